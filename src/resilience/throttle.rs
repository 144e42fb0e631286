//! Waits for a permit before each request.
//!
//! Two things decide. The *ceiling* (governor, private here) never moves and holds in every
//! sliding minute and hour, whatever the pace does. The [`Pace`] below it starts at half, grows,
//! and yields when the source refuses.

use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Observer, WaitReason, chance, locked};
use crate::domain::{
    Epoch, ErrorKind, Instrument, MarketDataSource, Page, PageRequest, Record, SourceError,
    SourceInfo,
};

/// A minute and an hour, and a little: the source counts arrivals, and on the way a packet may
/// catch up with the one before it by about this much.
const MINUTE: Duration = Duration::from_secs(61);
const HOUR: Duration = Duration::from_secs(3_601);

/// How long the pace takes from half of what it aims for to all of it.
const GROWTH: Duration = Duration::from_secs(110);

/// Share of a refused rate that is aimed for afterwards.
const AFTER_REFUSAL: f64 = 0.9;

/// Longest addition to a pause, so that processes refused together do not return together.
const PAUSE_JITTER: f64 = 0.25;

/// How fast a source may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThrottleConfig {
    /// Requests in any 60 s, retries included; `None` asks as fast as it can, and then `per_hour`
    /// does not count either. Zero is read as one.
    pub per_minute: Option<u32>,
    /// Requests in any hour. Zero is read as one.
    pub per_hour: u32,
    /// Share of `per_minute` to start with; the pace grows from there to all of it.
    pub start: f64,
    /// How long everybody pauses when the source refuses a request as too frequent.
    pub ratelimit_pause: Duration,
}

impl Default for ThrottleConfig {
    /// 200 a minute, where 220 are documented: the rest is for the live trader.
    fn default() -> Self {
        Self {
            per_minute: Some(200),
            per_hour: 14_400,
            start: 0.5,
            ratelimit_pause: Duration::from_secs(60),
        }
    }
}

/// What a throttle did so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ThrottleStats {
    /// Permits given.
    pub permits: u64,
    /// Requests a minute the pace allows now; `None` is as fast as it can.
    pub rate_per_minute: Option<f64>,
}

/// A source that is asked no faster than its budget allows.
///
/// `server_time` is outside the budget, and so takes no permit.
#[derive(Debug)]
pub struct Throttled<S> {
    inner: S,
    pause: Duration,
    gate: Mutex<Gate>,
    /// Callers queue here in order; the first of them waits for its permit.
    turnstile: Semaphore,
    permits: AtomicU64,
    origin: Instant,
    observer: Observer,
}

impl<S> Throttled<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, config: ThrottleConfig, observer: Observer) -> Self {
        Self {
            inner,
            pause: config.ratelimit_pause,
            gate: Mutex::new(Gate {
                pace: Pace::new(config.per_minute, config.start),
                ceiling: config.per_minute.map(|limit| Ceiling::new(limit, config.per_hour)),
            }),
            turnstile: Semaphore::new(1),
            permits: AtomicU64::new(0),
            origin: Instant::now(),
            observer,
        }
    }

    /// What it did so far.
    pub fn stats(&self) -> ThrottleStats {
        ThrottleStats {
            permits: self.permits.load(Ordering::Relaxed),
            rate_per_minute: locked(&self.gate).pace.rate(self.now()),
        }
    }

    /// The source below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Waits in line, then for leave to make one request.
    async fn permit(&self) -> Result<(), SourceError> {
        // The semaphore is never closed; were it, going out of turn would be harmless.
        let _turn =
            self.observer.unless_cancelled(async { Ok(self.turnstile.acquire().await) }).await?;
        while let Some((reason, wait)) = self.try_permit() {
            self.observer.wait(reason, wait).await?;
        }
        self.permits.fetch_add(1, Ordering::Relaxed);
        self.observer.count_request();
        Ok(())
    }

    /// Takes a permit, or tells how long to wait before trying again.
    fn try_permit(&self) -> Option<(WaitReason, Duration)> {
        locked(&self.gate).try_permit(self.now())
    }

    /// Looks at an outcome: a refusal slows everybody down.
    fn notice<T>(&self, outcome: Result<T, SourceError>) -> Result<T, SourceError> {
        if let Err(error) = &outcome
            && error.kind == ErrorKind::RateLimited
        {
            self.refused(error);
        }
        outcome
    }

    fn refused(&self, error: &SourceError) {
        self.observer.count_refusal();
        let pause = self.pause.max(error.retry_after.unwrap_or_default());
        let pause = pause.mul_f64(1.0 + PAUSE_JITTER * chance());
        let now = self.now();
        let pace = &mut locked(&self.gate).pace;
        if pace.refused(now, pause) {
            let rate = pace.rate(now + pause);
            let pause_secs = pause.as_secs();
            tracing::warn!(pause_secs, rate, reason = %error, "asked too often, everybody pauses");
        }
    }
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Throttled<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.permit().await?;
        self.notice(self.inner.fetch_page(request).await)
    }
}

impl<S: SourceInfo> SourceInfo for Throttled<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.notice(self.inner.server_time().await)
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.permit().await?;
        self.notice(self.inner.instruments().await)
    }
}

/// What both deciders say.
#[derive(Debug)]
struct Gate {
    pace: Pace,
    ceiling: Option<Ceiling>,
}

impl Gate {
    /// Takes a permit, or tells how long to wait before trying again.
    fn try_permit(&mut self, now: Duration) -> Option<(WaitReason, Duration)> {
        let refused = self.pace.wait(now).or_else(|| self.ceiling.as_mut()?.take());
        if refused.is_none() {
            self.pace.take(now);
        }
        refused
    }
}

/// How fast to ask below the ceiling. Pure: times are durations since some origin.
///
/// A token bucket whose rate grows additively, and is halved by a refusal.
#[derive(Debug, Clone, PartialEq)]
struct Pace {
    /// `None`: as fast as it can.
    growth: Option<Growth>,
    /// Permits that may follow each other at once.
    burst: u32,
    /// When the bucket would be full again.
    full_at: Duration,
    paused_until: Duration,
    /// Permits in this and the previous minute, to know what was refused if nothing limited it.
    recent: Recent,
}

/// A rate that grows from `from` at `since` to `to` a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Growth {
    since: Duration,
    from: f64,
    to: f64,
}

impl Growth {
    fn rate(&self, now: Duration) -> f64 {
        let share = now.saturating_sub(self.since).div_duration_f64(GROWTH).min(1.0);
        self.from + (self.to - self.from) * share
    }
}

impl Pace {
    fn new(per_minute: Option<u32>, start: f64) -> Self {
        let growth = per_minute.map(|limit| {
            let to = f64::from(limit.max(1));
            Growth { since: Duration::ZERO, from: (to * start.clamp(0.0, 1.0)).max(1.0), to }
        });
        Self {
            growth,
            burst: per_minute.map_or(1, burst_of),
            full_at: Duration::ZERO,
            paused_until: Duration::ZERO,
            recent: Recent::default(),
        }
    }

    /// Requests a minute at `now`; `None` is as fast as it can.
    fn rate(&self, now: Duration) -> Option<f64> {
        self.growth.map(|growth| growth.rate(now))
    }

    /// From one permit to the next at `now`.
    fn spacing(&self, now: Duration) -> Duration {
        self.rate(now).map_or(Duration::ZERO, |rate| Duration::from_secs(60).div_f64(rate))
    }

    /// How long until a permit may be taken, and why; `None` is now.
    fn wait(&self, now: Duration) -> Option<(WaitReason, Duration)> {
        if now < self.paused_until {
            return Some((WaitReason::RateLimited, self.paused_until - now));
        }
        let slack = self.spacing(now) * (self.burst - 1);
        let wait = self.full_at.saturating_sub(slack).saturating_sub(now);
        (!wait.is_zero()).then_some((WaitReason::Pace, wait))
    }

    fn take(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now) + self.spacing(now);
        self.recent.count(now);
    }

    /// Pauses until `now + pause`, then goes on at half the rate; false if a pause is on already,
    /// because the refusals of one moment are one event.
    fn refused(&mut self, now: Duration, pause: Duration) -> bool {
        if now < self.paused_until {
            return false;
        }
        let refused = self.rate(now).unwrap_or_else(|| self.recent.per_minute(now)).max(1.0);
        let to = (refused * AFTER_REFUSAL).max(1.0);
        self.paused_until = now + pause;
        self.full_at = self.paused_until;
        self.growth = Some(Growth { since: self.paused_until, from: (refused / 2.0).max(1.0), to });
        true
    }
}

/// Permits of this minute and the one before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Recent {
    minute: u64,
    this: u32,
    before: u32,
}

impl Recent {
    fn count(&mut self, now: Duration) {
        self.turn(now);
        self.this = self.this.saturating_add(1);
    }

    fn per_minute(mut self, now: Duration) -> f64 {
        self.turn(now);
        f64::from(self.this.max(self.before))
    }

    fn turn(&mut self, now: Duration) {
        let minute = now.as_secs() / 60;
        if minute != self.minute {
            self.before = if minute == self.minute + 1 { self.this } else { 0 };
            (self.minute, self.this) = (minute, 0);
        }
    }
}

/// What no pace may exceed, in any sliding minute and hour.
#[derive(Debug)]
struct Ceiling {
    minute: Limiter,
    hour: Limiter,
    /// An hour's permit that was taken while the minute still refuses; kept for the next try.
    holds_hour: bool,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<TokioInstant>>;

impl Ceiling {
    fn new(per_minute: u32, per_hour: u32) -> Self {
        let limiter =
            |limit, window| RateLimiter::direct_with_clock(quota(limit, window), TokioClock);
        // One less an hour: the permit that is kept is used later than it was taken.
        let per_hour = per_hour.saturating_sub(1);
        Self {
            minute: limiter(per_minute, MINUTE),
            hour: limiter(per_hour, HOUR),
            holds_hour: false,
        }
    }

    /// Takes a permit, or tells how long to wait before trying again.
    fn take(&mut self) -> Option<(WaitReason, Duration)> {
        if !self.holds_hour {
            if let Some(wait) = wait_of(&self.hour) {
                return Some((WaitReason::HourBudget, wait));
            }
            self.holds_hour = true;
        }
        if let Some(wait) = wait_of(&self.minute) {
            return Some((WaitReason::Pace, wait));
        }
        self.holds_hour = false;
        None
    }
}

/// Takes a permit, or tells how long until there is one.
fn wait_of(limiter: &Limiter) -> Option<Duration> {
    limiter.check().err().map(|refused| refused.wait_time_from(TokioClock.now()))
}

/// Permits that may follow each other at once under a ceiling.
fn burst_of(limit: u32) -> u32 {
    (limit / 50).clamp(1, 4)
}

/// A bucket that gives at most `limit` permits in any `window`: what it holds at the start, and
/// what flows in meanwhile, must together not be more.
fn quota(limit: u32, window: Duration) -> Quota {
    let limit = limit.max(1);
    let burst = burst_of(limit);
    let period = window / (limit - burst).max(1);
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(period).unwrap_or(Quota::per_hour(NonZeroU32::MIN));
    quota.allow_burst(burst)
}

/// The runtime's clock for governor, which would otherwise be deaf to paused time.
#[derive(Debug, Clone, Copy)]
struct TokioClock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TokioInstant(Instant);

impl Add<Nanos> for TokioInstant {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for TokioInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl Clock for TokioClock {
    type Instant = TokioInstant;

    fn now(&self) -> TokioInstant {
        TokioInstant(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::Tick;
    use crate::resilience::testing::{Scripted, observer, page_request};

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// The most calls that fall into any window of `width`, both ends included.
    fn busiest(calls: &[Instant], width: Duration) -> usize {
        let within = |&first: &Instant| {
            calls.iter().filter(|&&at| first <= at && at <= first + width).count()
        };
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
            // Gentle, not lame: at least nine tenths of what is allowed, burst aside.
            let fair = (f64::from(limit - burst_of(limit)) * 0.9 * 400.0 / 60.0) as usize;
            assert!(calls.len() >= fair.max(6), "only {} calls, ceiling {limit}", calls.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_hour_sees_more_calls_than_its_ceiling() {
        let config = ThrottleConfig { per_minute: Some(60), per_hour: 100, ..Default::default() };
        let calls = run(config, 2, secs(3 * 3600)).await;
        assert!(busiest(&calls, secs(3600)) <= 100, "{}", busiest(&calls, secs(3600)));
        assert!(calls.len() > 250, "only {}", calls.len());
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

    #[test]
    fn the_pace_starts_at_half_and_grows_to_its_ceiling() {
        let pace = Pace::new(Some(200), 0.5);
        assert_eq!(pace.rate(secs(0)), Some(100.0));
        assert_eq!(pace.rate(secs(55)), Some(150.0));
        assert_eq!(pace.rate(secs(110)), Some(200.0));
        assert_eq!(pace.rate(secs(9999)), Some(200.0));
    }

    #[test]
    fn a_refusal_halves_the_pace_which_then_stays_below_what_was_refused() {
        let mut pace = Pace::new(Some(200), 1.0);
        assert!(pace.refused(secs(100), secs(60)));
        assert_eq!(pace.wait(secs(130)), Some((WaitReason::RateLimited, secs(30))));
        assert_eq!(pace.wait(secs(160)), None);
        assert_eq!(pace.rate(secs(160)), Some(100.0));
        assert_eq!(pace.rate(secs(160 + 120)), Some(180.0));
        assert!(pace.refused(secs(300), secs(60)));
        assert_eq!(pace.rate(secs(360)), Some(90.0));
        assert_eq!(pace.rate(secs(9999)), Some(162.0));
    }

    #[test]
    fn refusals_of_one_moment_are_one_event() {
        let mut pace = Pace::new(Some(200), 1.0);
        assert!(pace.refused(secs(100), secs(60)));
        assert!(!pace.refused(secs(101), secs(60)));
        assert_eq!(pace.rate(secs(160)), Some(100.0));
        assert_eq!(pace.wait(secs(160)), None);
    }

    #[test]
    fn the_pace_never_stops() {
        let mut pace = Pace::new(Some(2), 0.5);
        for n in 0..50 {
            pace.refused(secs(n * 1000), secs(60));
        }
        assert_eq!(pace.rate(secs(99_999)), Some(1.0));
    }

    #[test]
    fn an_unlimited_pace_learns_from_its_first_refusal() {
        let mut pace = Pace::new(None, 1.0);
        for n in 0..120 {
            pace.take(Duration::from_millis(500 * n));
        }
        assert!(pace.refused(secs(61), secs(60)));
        assert_eq!(pace.rate(secs(121)), Some(60.0));
    }

    #[test]
    fn a_window_holds_burst_and_refill_together() {
        for limit in 1..=300 {
            let quota = quota(limit, MINUTE);
            let refill = secs(60).div_duration_f64(quota.replenish_interval()).floor() as u32;
            assert!(quota.burst_size().get() + refill <= limit, "{limit}: {quota:?}");
        }
    }
}
