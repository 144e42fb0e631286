//! The wrappers composed: what one does must not undo what another promises.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::testing::{Scripted, observer, page_request};
use super::*;
use crate::domain::{MarketDataSource, Page, Tick};

mod limits;

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
    // Five failures open the breaker; a minute later not even the time is told, two minutes later
    // everything is fine.
    assert!(start.elapsed() >= Duration::from_secs(60 + 120), "{:?}", start.elapsed());
    assert_eq!(stack.stats().requests, 6);
}

/// Four windows were in flight when a source went away for ten minutes. Every dial that failed
/// failed all four, so the breaker opened with five of their seven attempts used up; the three
/// probes that followed were calls of windows too, and if the same window happened to make two of
/// them it was recorded as failed, though nothing was wrong with it.
#[tokio::test(start_paused = true)]
async fn an_outage_fails_no_window() {
    let lost = Err(ErrorKind::Transport);
    let stack = stack(vec![lost; 5 + 20], &observer());
    let start = Instant::now();
    // Alone it makes every probe: six of them at 60, 120, 240 and 300 s until its patience ends.
    assert_eq!(fetch(&stack).await.unwrap_err().kind, ErrorKind::Outage);
    assert!(start.elapsed() >= Duration::from_secs(30 * 60), "{:?}", start.elapsed());

    // Back after six failed probes, it goes on where it was.
    let stack = self::stack(vec![lost; 5 + 6], &observer());
    fetch(&stack).await.unwrap();
}

/// A request that fails for good while the time is told is given up in minutes, also if it is the
/// only one left, and the run goes on.
#[tokio::test(start_paused = true)]
async fn a_window_that_fails_alone_is_given_up() {
    let lost = Err(ErrorKind::Transport);
    let script = [vec![lost; 5], vec![Ok(()), lost, Ok(()), lost]].concat();
    let stack = stack(script, &observer());
    let start = Instant::now();
    let error = fetch(&stack).await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (ErrorKind::Transport, 7));
    assert!(start.elapsed() < Duration::from_secs(5 * 60), "{:?}", start.elapsed());
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

/// Calls that wait for their permits while the source goes away are not made: one probe is.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_permit_when_the_breaker_opens_is_held_back() {
    let throttle = ThrottleConfig { per_minute: Some(30), start: 1.0, ..Default::default() };
    let source = Scripted::new(vec![Err(ErrorKind::Transport); 6]);
    let retry = RetryConfig { jitter: Jitter::Off, ..RetryConfig::default() };
    let observer = observer();
    let stack = resilient(source, throttle, BreakerConfig::default(), retry, &observer);
    let stack = Arc::new(stack);
    let start = Instant::now();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move { fetch(&stack).await.unwrap() })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let calls = stack.inner().inner().inner().calls();
    let secs: Vec<_> = calls.iter().map(|at| (*at - start).as_secs()).collect();
    // Five failures, the time a minute later, again after two, then all that waited.
    assert!((8..=9).contains(&secs[4]), "{secs:?}");
    assert!((secs[4] + 60..secs[4] + 64).contains(&secs[5]), "{secs:?}");
    assert!((secs[5] + 120..secs[5] + 124).contains(&secs[6]), "{secs:?}");
    assert_eq!(calls.len(), 5 + 2 + 8);
}

/// Only refusals, for ever: the run ends, but not before its patience does.
#[tokio::test(start_paused = true)]
async fn refusals_without_end_end_the_run() {
    let stack = stack(vec![Err(ErrorKind::RateLimited); 99], &observer());
    let start = Instant::now();
    let error = fetch(&stack).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Outage);
    let minutes = start.elapsed().as_secs() / 60;
    assert!((30..33).contains(&minutes), "{minutes}");
    assert!(error.to_string().starts_with("the source has refused every request"), "{error}");
}
