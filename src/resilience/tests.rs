//! The wrappers composed: what one does must not undo what another promises.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::testing::{Scripted, observer, page_request};
use super::*;
use crate::domain::{MarketDataSource, Page, Tick};

type Stack = Retried<Guarded<Throttled<Scripted>>>;

fn stack(script: Vec<Result<(), ErrorKind>>, observer: &Observer) -> Stack {
    let retry = RetryConfig { jitter: Jitter::Off, ..RetryConfig::default() };
    let source = Scripted::new(script);
    resilient(source, ThrottleConfig::default(), BreakerConfig::default(), retry, observer)
}

async fn fetch(stack: &Stack) -> Result<Page<Tick>, SourceError> {
    stack.fetch_page(&page_request()).await
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_asked_again_after_the_pause() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let observer = observer().on_wait(Arc::new(move |reason, _| locked(&tell).push(reason)));
    let stack = stack(vec![Err(ErrorKind::RateLimited)], &observer);
    let start = Instant::now();
    fetch(&stack).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(60), "{:?}", start.elapsed());
    assert_eq!(*locked(&told), [WaitReason::Retry, WaitReason::RateLimited]);
    let stats = stack.stats();
    assert_eq!((stats.requests, stats.retries, stats.refusals), (2, 1, 1));
    assert_eq!(stats.waited, start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_breaker_uses_up_no_attempt() {
    let stack = stack(vec![Err(ErrorKind::Transport); 6], &observer());
    let start = Instant::now();
    fetch(&stack).await.unwrap();
    // Five failures open the breaker; the sixth is a probe after a minute, the seventh is fine.
    assert!(start.elapsed() >= Duration::from_secs(60 + 120), "{:?}", start.elapsed());
    assert_eq!(stack.stats().requests, 7);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_pause_ends_at_once() {
    let observer = observer();
    let stack = stack(vec![Err(ErrorKind::RateLimited)], &observer);
    let start = Instant::now();
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        observer.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(fetch(&stack), cancel);
    assert_eq!(outcome.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}
