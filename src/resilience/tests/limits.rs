//! The whole stack against a source that counts strictly in every sliding minute, over virtual
//! hours on the paused clock.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::time::sleep;

use super::super::testing::page_request;
use super::*;
use crate::domain::{Epoch, Instrument, PageRequest, SourceInfo};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Refuses what exceeds its limit in any 60 s; what it refused counts too.
#[derive(Debug)]
struct Strict {
    /// From when on which limit holds.
    limits: Vec<(Duration, usize)>,
    /// Most that a request is late, beside half of the latency.
    jitter: Duration,
    /// How long the network stands still, and how often; what sets out meanwhile arrives together.
    stalls: Option<(Duration, Duration)>,
    state: Mutex<State>,
    origin: Instant,
}

#[derive(Debug, Default)]
struct State {
    seed: u64,
    window: VecDeque<Duration>,
    /// When each request arrived and whether it was answered.
    log: Vec<(Duration, bool)>,
}

const LATENCY: Duration = Duration::from_millis(150);

impl Strict {
    fn new(limits: &[(Duration, usize)], jitter: Duration) -> Self {
        let state = Mutex::new(State { seed: 7, ..State::default() });
        Self { limits: limits.to_vec(), jitter, stalls: None, state, origin: Instant::now() }
    }

    /// When what sets out now is let through.
    fn stall(&self) -> Duration {
        let Some((length, period)) = self.stalls else { return Duration::ZERO };
        let into = self.origin.elapsed().as_nanos() % period.as_nanos();
        length.saturating_sub(Duration::from_nanos(into as u64))
    }

    fn lateness(&self) -> Duration {
        let mut state = locked(&self.state);
        state.seed = state.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.jitter.mul_f64((state.seed >> 33) as f64 / f64::from(1_u32 << 31))
    }

    fn arrives(&self) -> bool {
        let now = self.origin.elapsed();
        let (_, limit) = *self.limits.iter().rfind(|(from, _)| *from <= now).unwrap();
        let state = &mut *locked(&self.state);
        while state.window.front().is_some_and(|first| *first + MINUTE <= now) {
            state.window.pop_front();
        }
        let is_fine = state.window.len() < limit;
        state.window.push_back(now);
        state.log.push((now, is_fine));
        is_fine
    }
}

impl MarketDataSource<Tick> for Strict {
    async fn fetch_page(&self, _: &PageRequest) -> Result<Page<Tick>, SourceError> {
        sleep(self.stall() + LATENCY / 2 + self.lateness()).await;
        let is_fine = self.arrives();
        sleep(LATENCY / 2).await;
        if !is_fine {
            return Err(SourceError::new(ErrorKind::RateLimited, "too frequent"));
        }
        let records = Vec::new();
        Ok(Page {
            records,
            n_received: 0,
            pip_size: None,
            n_duplicates: 0,
            conflicts: Vec::new(),
            unusable: Vec::new(),
        })
    }
}

impl SourceInfo for Strict {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        Ok(Epoch::new(1))
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        Ok(Vec::new())
    }
}

/// What the source saw.
struct Seen(Vec<(Duration, bool)>);

impl Seen {
    fn count(&self, from: Duration, to: Duration, is_fine: bool) -> usize {
        let counts = |(at, fine): &&(Duration, bool)| from <= *at && *at < to && *fine == is_fine;
        self.0.iter().filter(counts).count()
    }

    /// Answers a minute.
    fn goodput(&self, from: Duration, to: Duration) -> f64 {
        self.count(from, to, true) as f64 / ((to - from).as_secs_f64() / 60.0)
    }

    fn refusals(&self, from: Duration, to: Duration) -> usize {
        self.count(from, to, false)
    }

    fn busiest(&self, window: Duration) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (n, (at, _)) in self.0.iter().enumerate() {
            while self.0[first].0 + window <= *at {
                first += 1;
            }
            most = most.max(n + 1 - first);
        }
        most
    }
}

/// Four callers ask all the time for so many hours; both ceilings hold whatever happens.
async fn run(limits: &[(Duration, usize)], jitter_millis: u64, hours: u32) -> Seen {
    let strict = Strict::new(limits, Duration::from_millis(jitter_millis));
    run_on(strict, 4, hours).await
}

async fn run_on(strict: Strict, n_callers: usize, hours: u32) -> Seen {
    let observer = observer();
    let (throttle, breaker) = (ThrottleConfig::default(), BreakerConfig::default());
    let stack = resilient(strict, throttle, breaker, RetryConfig::default(), &observer);
    let stack = Arc::new(stack);
    let callers: Vec<_> = (0..n_callers)
        .map(|_| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move {
                let request = page_request();
                while MarketDataSource::<Tick>::fetch_page(&*stack, &request).await.is_ok() {}
            })
        })
        .collect();
    sleep(HOUR * hours).await;
    observer.cancel.cancel();
    for caller in callers {
        caller.await.unwrap();
    }
    let seen = Seen(std::mem::take(&mut locked(&stack.inner().inner().inner().state).log));
    assert!(seen.busiest(MINUTE) <= 200, "{} in a minute", seen.busiest(MINUTE));
    assert!(seen.busiest(HOUR) <= 14_400, "{} in an hour", seen.busiest(HOUR));
    seen
}

#[track_caller]
fn assert_settled(seen: &Seen, hidden: usize, hours: std::ops::Range<u32>) {
    for hour in hours {
        let (from, to) = (HOUR * hour, HOUR * (hour + 1));
        let (good, refused) = (seen.goodput(from, to), seen.refusals(from, to));
        println!("limit {hidden}, hour {hour}: {good:.1}/min, {refused} refusals");
        assert!(good >= 0.8 * hidden as f64, "limit {hidden}, hour {hour}: {good}");
        assert!(refused <= 3, "limit {hidden}, hour {hour}: {refused} refusals");
    }
}

/// Finds a hidden limit, and keeps just under it in the hours after the first.
async fn settles(hidden: usize, jitter_millis: u64) {
    let seen = run(&[(Duration::ZERO, hidden)], jitter_millis, 5).await;
    assert_settled(&seen, hidden, 1..5);
}

#[tokio::test(start_paused = true)]
async fn a_hidden_limit_of_20_is_kept_just_under() {
    settles(20, 0).await;
    settles(20, 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_hidden_limit_of_60_is_kept_just_under() {
    settles(60, 0).await;
    settles(60, 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_hidden_limit_of_100_is_kept_just_under() {
    settles(100, 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_hidden_limit_of_180_is_kept_just_under() {
    settles(180, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_allows_the_ceiling_never_has_to_refuse() {
    for jitter_millis in [0, 400] {
        let seen = run(&[(Duration::ZERO, 200)], jitter_millis, 2).await;
        assert_eq!(seen.refusals(Duration::ZERO, 2 * HOUR), 0);
        let good = seen.goodput(5 * MINUTE, 2 * HOUR);
        println!("no hidden limit, {jitter_millis} ms of jitter: {good:.1}/min");
        assert!(good >= 0.97 * 200.0, "{good}");
    }
}

/// Eight requests that a network had held back arrived in one moment; in the minute from there they
/// were too many, and the run paused for a refusal that nobody but itself had caused.
#[tokio::test(start_paused = true)]
async fn what_a_network_held_back_is_not_too_much_at_once() {
    for (stall_secs, n_callers) in [(3, 8), (10, 24)] {
        let strict = Strict {
            stalls: Some((Duration::from_secs(stall_secs), Duration::from_secs(397))),
            ..Strict::new(&[(Duration::ZERO, 200)], Duration::from_millis(400))
        };
        let seen = run_on(strict, n_callers, 2).await;
        assert_eq!(seen.refusals(Duration::ZERO, 2 * HOUR), 0, "{n_callers} callers");
        let good = seen.goodput(5 * MINUTE, 2 * HOUR);
        println!("{n_callers} callers, {stall_secs} s: {good:.1}/min");
        assert!(good >= 0.95 * 200.0, "{n_callers} callers: {good}");
    }
}

/// Down at once, up slowly.
#[tokio::test(start_paused = true)]
async fn a_limit_that_changes_is_followed() {
    let changes = [(Duration::ZERO, 100), (2 * HOUR, 40), (4 * HOUR, 180)];
    let seen = run(&changes, 100, 10).await;
    assert_settled(&seen, 100, 1..2);
    let dropped = seen.refusals(2 * HOUR, 2 * HOUR + 15 * MINUTE);
    // Each event may refuse all that is in flight.
    assert!(dropped <= 12, "{dropped} refusals until the lower limit was found");
    let low = seen.goodput(2 * HOUR + 15 * MINUTE, 4 * HOUR);
    assert!(low >= 0.8 * 40.0, "{low}");
    assert_eq!(seen.refusals(4 * HOUR, 4 * HOUR + 20 * MINUTE), 0);
    let soon = seen.goodput(4 * HOUR, 4 * HOUR + 30 * MINUTE);
    assert!(soon < 60.0, "{soon}: that is no careful step");
    assert_settled(&seen, 180, 8..10);
}
