//! Asks gently, and again: each file wraps a source and is one.
//!
//! [`resilient`] composes them. The reading order is the calling order: every attempt of
//! [`Retried`] asks the breaker of [`Guarded`] first, takes a permit of [`Throttled`], then calls.
//!
//! Decisions are made by pure state machines that take the time as a value; the wrappers around
//! them only wait. Every wait ends at once when the [`Observer`]'s token is cancelled.

mod arrivals;
mod breaker;
mod budget;
mod ceiling;
mod pace;
mod retry;
mod shared;
mod tally;
mod throttle;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::domain::{Defect, DefectCounts, ErrorKind, SourceError};

use self::tally::TallyCounters;

pub use self::breaker::{BreakerConfig, BreakerState, BreakerStatus, Guarded};
pub use self::budget::{Counted, Timed};
pub use self::pace::PaceOutlook;
pub use self::retry::{Jitter, Retried, RetryConfig};
pub use self::shared::{MachineClock, SharedPace};
pub use self::tally::Tally;
pub use self::throttle::{ThrottleConfig, ThrottleStats, Throttled};

/// Wraps `source` in throttle, breaker and retry.
pub fn resilient<S>(
    source: S,
    throttle: ThrottleConfig,
    breaker: BreakerConfig,
    retry: RetryConfig,
    observer: &Observer,
) -> Retried<Guarded<Throttled<S>>> {
    let throttled = Throttled::new(source, throttle, observer.clone());
    let guarded = Guarded::new(throttled, breaker, observer.clone());
    Retried::new(guarded, retry, observer.clone())
}

/// Why a call waits before it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitReason {
    /// The pace allows the next request only then.
    Pace,
    /// The hour's budget is used up.
    HourBudget,
    /// The source refused a request as too frequent; everybody pauses.
    RateLimited,
    /// The source is away; the breaker is open.
    BreakerOpen,
    /// An attempt failed; the next one comes later.
    Retry,
}

/// What the requests of a run went through so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestStats {
    /// Requests sent that count against the source's budget, retries included.
    pub requests: u64,
    /// Attempts after the first, for whatever reason.
    pub retries: u64,
    /// Answers that refused a request as too frequent.
    pub refusals: u64,
    /// Time spent waiting, added up over callers: four that wait a second make four seconds.
    pub waited: Duration,
    /// The same by cause.
    pub waits: WaitTimes,
    /// Answers thrown away, by what was wrong with them.
    pub thrown_away: DefectCounts,
}

/// How long callers waited, by cause, added up over callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitTimes {
    /// To keep the pace.
    pub pace: Duration,
    /// For the hour's budget.
    pub hour_budget: Duration,
    /// After a refusal as too frequent.
    pub rate_limited: Duration,
    /// For a source that is away.
    pub breaker_open: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

type OnWait = Arc<dyn Fn(WaitReason, Duration) + Send + Sync>;

/// What the wrappers share with who runs them: one switch to stop, one place to tell and count.
///
/// Clones share everything.
#[derive(Clone)]
pub struct Observer {
    cancel: CancellationToken,
    on_wait: Option<OnWait>,
    counters: Arc<Counters>,
    breaker: Arc<Mutex<BreakerStatus>>,
    pace: Arc<Mutex<Option<PaceOutlook>>>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    refusals: AtomicU64,
    /// How often the source was found to be away for everybody.
    absences: AtomicU64,
    tally: TallyCounters,
    thrown_away: Mutex<DefectCounts>,
}

impl WaitTimes {
    /// All causes together.
    pub fn total(&self) -> Duration {
        self.pace + self.hour_budget + self.rate_limited + self.breaker_open + self.retry
    }
}

impl Observer {
    /// Stops every wait when `cancel` is cancelled.
    pub fn new(cancel: CancellationToken) -> Self {
        let breaker =
            BreakerStatus { state: BreakerState::Closed, since: Instant::now(), n_openings: 0 };
        let breaker = Arc::new(Mutex::new(breaker));
        let (counters, pace) = (Arc::default(), Arc::default());
        Self { cancel, on_wait: None, counters, breaker, pace }
    }

    /// Calls `tell` at the start of every wait with its reason and its length as known then. It
    /// must return quickly.
    #[must_use]
    pub fn on_wait(mut self, tell: Arc<dyn Fn(WaitReason, Duration) + Send + Sync>) -> Self {
        self.on_wait = Some(tell);
        self
    }

    /// What was counted so far.
    pub fn stats(&self) -> RequestStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waits = self.counters.tally.read().waits();
        RequestStats {
            requests: read(&self.counters.requests),
            retries: read(&self.counters.retries),
            refusals: read(&self.counters.refusals),
            waited: waits.total(),
            waits,
            thrown_away: *locked(&self.counters.thrown_away),
        }
    }

    /// Why there were retries and waits so far.
    pub fn tally(&self) -> Tally {
        self.counters.tally.read()
    }

    /// How fast the throttle lets requests go out, as of the last one, and how fast it aims to;
    /// `None` before the first, or if nothing bounds it.
    pub fn pace(&self) -> Option<PaceOutlook> {
        *locked(&self.pace)
    }

    fn pace_is(&self, outlook: Option<PaceOutlook>) {
        *locked(&self.pace) = outlook;
    }

    /// What the breaker does, and since when. With several sources the last change counts.
    pub fn breaker(&self) -> BreakerStatus {
        *locked(&self.breaker)
    }

    /// The breaker changed; returns what it was before.
    fn breaker_is(&self, state: BreakerState) -> BreakerStatus {
        let mut status = locked(&self.breaker);
        let before = *status;
        let n_openings = before.n_openings + u64::from(state == BreakerState::Open);
        *status = BreakerStatus { state, since: Instant::now(), n_openings };
        before
    }

    /// How often the breaker opened so far.
    fn n_openings(&self) -> u64 {
        locked(&self.breaker).n_openings
    }

    /// The source did not even tell the time: what failed before failed for that.
    fn count_absence(&self) {
        self.counters.absences.fetch_add(1, Ordering::Relaxed);
    }

    fn n_absences(&self) -> u64 {
        self.counters.absences.load(Ordering::Relaxed)
    }

    fn count_request(&self) {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn count_retry(&self, cause: ErrorKind) {
        self.counters.tally.count_retry(cause);
        self.counters.retries.fetch_add(1, Ordering::Relaxed);
    }

    fn count_defect(&self, defect: Defect) {
        locked(&self.counters.thrown_away).add(defect);
    }

    fn count_refusal(&self) {
        self.counters.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for `length`, or until cancelled.
    async fn wait(&self, reason: WaitReason, length: Duration) -> Result<(), SourceError> {
        self.wait_for(reason, length, std::future::pending()).await
    }

    /// Waits for `length`, until `sooner` is ready, or until cancelled.
    async fn wait_for(
        &self,
        reason: WaitReason,
        length: Duration,
        sooner: impl Future<Output = ()>,
    ) -> Result<(), SourceError> {
        if let Some(tell) = &self.on_wait {
            tell(reason, length);
        }
        let _counted = Waited { counters: &self.counters, reason, since: Instant::now() };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(cancelled()),
            () = sooner => Ok(()),
            () = sleep_until(Instant::now() + length) => Ok(()),
        }
    }

    /// Runs `work`, or fails as soon as everything is cancelled.
    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(cancelled()),
            done = work => done,
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Counts a wait when it ends, also if its caller leaves.
struct Waited<'a> {
    counters: &'a Counters,
    reason: WaitReason,
    since: Instant,
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters.tally.count_wait(self.reason, nanos);
    }
}

/// A call that had leave to go out, but the source went away while it waited for its permit. It was
/// not made; the breaker makes it wait.
#[derive(Debug, thiserror::Error)]
#[error("the source went away before the request was sent")]
struct HeldBack;

impl HeldBack {
    fn error() -> SourceError {
        SourceError::new(ErrorKind::Transport, HeldBack.to_string()).with_cause(HeldBack)
    }

    fn is_cause_of(error: &SourceError) -> bool {
        error.cause.as_ref().is_some_and(|cause| cause.is::<HeldBack>())
    }
}

fn cancelled() -> SourceError {
    SourceError::new(ErrorKind::Cancelled, "the run is ending")
}

/// Locks a state machine. None of them can be left half changed, so a panic elsewhere spoils nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fraction between 0 and 1. The hasher's seed is the standard library's only randomness.
#[allow(clippy::cast_precision_loss)] // 32 bits of chance are plenty
fn chance() -> f64 {
    let random = RandomState::new().hash_one(0_u8) >> 32;
    random as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
