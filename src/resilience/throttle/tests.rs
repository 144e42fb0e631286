//! Permits on a paused clock.

use std::sync::Arc;

use super::*;
use crate::domain::Tick;
use crate::resilience::testing::{Scripted, observer, page_request};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The most calls that fall into any window of `width`, both ends included.
fn busiest(calls: &[Instant], width: Duration) -> usize {
    let within =
        |&first: &Instant| calls.iter().filter(|&&at| first <= at && at <= first + width).count();
    calls.iter().map(within).max().unwrap_or(0)
}

async fn run(config: ThrottleConfig, n_callers: usize, time: Duration) -> Vec<Instant> {
    let source = Arc::new(Throttled::new(Scripted::always_fine(), config, observer()));
    let end = Instant::now() + time;
    let callers: Vec<_> = (0..n_callers)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move {
                while Instant::now() < end {
                    let page: Result<Page<Tick>, _> = source.fetch_page(&page_request()).await;
                    page.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    source.inner().calls()
}

#[tokio::test(start_paused = true)]
async fn no_minute_sees_more_calls_than_its_ceiling() {
    for limit in [1, 2, 10, 60, 200, 220] {
        let config =
            ThrottleConfig { per_minute: Some(limit), start: 1.0, ..ThrottleConfig::default() };
        let calls = run(config, 5, secs(400)).await;
        let busiest = busiest(&calls, secs(60));
        assert!(busiest <= limit as usize, "{busiest} calls in a minute, ceiling {limit}");
        // Gentle, not lame: one goes first, and the others follow evenly.
        let fair = 1 + (f64::from(limit.max(2) - 1) * 0.97 * 400.0 / 61.0) as usize;
        assert!(calls.len() >= fair, "only {} calls, ceiling {limit}", calls.len());
    }
}

#[tokio::test(start_paused = true)]
async fn no_hour_sees_more_calls_than_its_ceiling() {
    let config = ThrottleConfig { per_minute: Some(60), per_hour: 100, ..Default::default() };
    let calls = run(config, 2, secs(3 * 3600)).await;
    assert!(busiest(&calls, secs(3600)) <= 100, "{}", busiest(&calls, secs(3600)));
    assert!(calls.len() > 280, "only {}", calls.len());
}

#[tokio::test(start_paused = true)]
async fn the_first_minute_is_asked_at_half() {
    let config = ThrottleConfig { per_minute: Some(200), ..ThrottleConfig::default() };
    let calls = run(config, 3, secs(10)).await;
    assert!((15..=26).contains(&calls.len()), "{}", calls.len());
}

#[tokio::test(start_paused = true)]
async fn unlimited_does_not_wait() {
    let config = ThrottleConfig { per_minute: None, ..ThrottleConfig::default() };
    let source = Throttled::new(Scripted::always_fine(), config, observer());
    let start = Instant::now();
    for _ in 0..1000 {
        let _: Page<Tick> = source.fetch_page(&page_request()).await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(source.stats(), ThrottleStats { permits: 1000, rate_per_minute: None });
}

#[tokio::test(start_paused = true)]
async fn one_refusal_pauses_everybody() {
    let scripted = Scripted::new([Err(ErrorKind::RateLimited)]);
    let source = Throttled::new(scripted, ThrottleConfig::default(), observer());
    let refused: Result<Page<Tick>, _> = source.fetch_page(&page_request()).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::RateLimited);
    let start = Instant::now();
    let _: Page<Tick> = source.fetch_page(&page_request()).await.unwrap();
    let pause = start.elapsed();
    assert!((secs(60)..=secs(76)).contains(&pause), "{pause:?}");
    assert_eq!(source.observer.stats().refusals, 1);
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_asked_outside_the_budget() {
    let config = ThrottleConfig { per_minute: Some(1), ..ThrottleConfig::default() };
    let source = Throttled::new(Scripted::always_fine(), config, observer());
    let start = Instant::now();
    for _ in 0..50 {
        source.server_time().await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(source.stats().permits, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_ends_at_once() {
    let observer = observer();
    let config = ThrottleConfig { per_minute: Some(1), ..ThrottleConfig::default() };
    let source = Throttled::new(Scripted::always_fine(), config, observer.clone());
    let _: Page<Tick> = source.fetch_page(&page_request()).await.unwrap();
    let start = Instant::now();
    let cancel = async {
        tokio::time::sleep(secs(1)).await;
        observer.cancel.cancel();
    };
    let request = page_request();
    let calls = async {
        tokio::join!(
            MarketDataSource::<Tick>::fetch_page(&source, &request),
            MarketDataSource::<Tick>::fetch_page(&source, &request),
        )
    };
    let ((first, second), ()) = tokio::join!(calls, cancel);
    assert_eq!(first.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(second.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(start.elapsed(), secs(1));
}

#[tokio::test(start_paused = true)]
async fn without_a_ceiling_a_refusal_is_a_pause_and_nothing_else() {
    let config = ThrottleConfig { per_minute: None, ..ThrottleConfig::default() };
    let source = Throttled::new(Scripted::new([Err(ErrorKind::RateLimited)]), config, observer());
    let refused: Result<Page<Tick>, _> = source.fetch_page(&page_request()).await;
    refused.unwrap_err();
    let start = Instant::now();
    for _ in 0..1000 {
        let _: Page<Tick> = source.fetch_page(&page_request()).await.unwrap();
    }
    let pause = start.elapsed();
    assert!((secs(60)..=secs(76)).contains(&pause), "{pause:?}");
    assert_eq!(source.stats().rate_per_minute, None);
}

fn shared(path: std::path::PathBuf) -> SharedPace {
    let origin = Instant::now();
    let clock = crate::resilience::MachineClock {
        since_boot: Arc::new(move || secs(1_000) + origin.elapsed()),
        boot: "one".into(),
        epoch: Arc::new(|| Epoch::new(1_773_576_000)),
    };
    SharedPace { path, clock, process: 7 }
}

#[tokio::test(start_paused = true)]
async fn a_shared_pace_is_kept_like_an_own_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pace.json");
    let config = ThrottleConfig { per_minute: Some(60), start: 1.0, ..ThrottleConfig::default() };
    let scripted = Scripted::new([Ok(()), Ok(()), Err(ErrorKind::RateLimited)]);
    let source = Throttled::new(scripted, config, observer()).sharing(shared(path.clone()));
    let start = Instant::now();
    for _ in 0..5 {
        let _: Result<Page<Tick>, _> = source.fetch_page(&page_request()).await;
    }
    let calls = source.inner().calls();
    let gaps: Vec<_> = calls.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    let fits = [1_000..1_100, 1_000..1_100, 60_000..76_000, 9_000..21_000];
    assert!(fits.iter().zip(&gaps).all(|(fit, gap)| fit.contains(gap)), "{gaps:?}");
    assert!(start.elapsed() > secs(60) && path.exists());
}

/// Alone at half: another process may be alone as well.
#[tokio::test(start_paused = true)]
async fn without_a_place_to_share_it_goes_on_alone_at_half() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = ThrottleConfig { per_minute: Some(60), start: 1.0, ..ThrottleConfig::default() };
    let source = Throttled::new(Scripted::always_fine(), config, observer())
        .sharing(shared(file.join("no")));
    for _ in 0..62 {
        let _: Page<Tick> = source.fetch_page(&page_request()).await.unwrap();
    }
    let busiest = busiest(&source.inner().calls(), secs(60));
    assert!((29..=30).contains(&busiest), "{busiest}");
}

/// A process that hangs with the lock in its hands stops nobody for long.
#[tokio::test(start_paused = true)]
async fn a_lock_that_is_never_let_go_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pace.json");
    let holder = std::fs::File::create(&path).unwrap();
    holder.lock().unwrap();
    let config = ThrottleConfig { per_minute: Some(60), start: 1.0, ..ThrottleConfig::default() };
    let source = Throttled::new(Scripted::always_fine(), config, observer()).sharing(shared(path));
    let start = Instant::now();
    let _: Page<Tick> = source.fetch_page(&page_request()).await.unwrap();
    assert!((secs(5)..secs(6)).contains(&start.elapsed()), "{:?}", start.elapsed());
}
