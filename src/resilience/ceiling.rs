//! What no pace may exceed: the ceilings of the sliding minute and hour.
//!
//! `governor` is private here. It counts the requests of this process alone and knows nothing of
//! the pace, so a mistake there cannot break a ceiling. It counts when they set out; [`Arrivals`]
//! sees to it that they keep the minute also where they arrive.

use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::WaitReason;
use super::arrivals::Arrivals;

/// A minute and an hour, and a little: the source counts arrivals, and on the way a packet may
/// catch up with the one before it by about this much.
pub(super) const MINUTE: Duration = Duration::from_secs(61);
pub(super) const HOUR: Duration = Duration::from_secs(3_601);

/// At most so many permits in any sliding minute and hour.
#[derive(Debug)]
pub(super) struct Ceiling {
    minute: Limiter,
    hour: Limiter,
    /// An hour's permit that was taken while the minute still refuses; kept for the next try.
    holds_hour: bool,
    arrivals: Arrivals,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<TokioInstant>>;

impl Ceiling {
    pub(super) fn new(per_minute: u32, per_hour: u32) -> Self {
        let limiter =
            |limit, window| RateLimiter::direct_with_clock(quota(limit, window), TokioClock);
        // One less an hour: the permit that is kept is used later than it was taken.
        let per_hour = per_hour.saturating_sub(1);
        Self {
            minute: limiter(per_minute, MINUTE),
            hour: limiter(per_hour, HOUR),
            holds_hour: false,
            arrivals: Arrivals::new(per_minute),
        }
    }

    /// Takes a permit, or tells how long to wait before trying again. Who took one tells
    /// [`Self::ended`] when the request is no longer on its way.
    pub(super) fn take(&mut self) -> Option<(WaitReason, Duration)> {
        if let Some(wait) = self.arrivals.wait(Instant::now()) {
            return Some((WaitReason::Pace, wait));
        }
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
        self.arrivals.sent();
        None
    }

    /// A request was answered, or given up.
    pub(super) fn ended(&mut self) {
        self.arrivals.ended(Instant::now());
    }
}

/// Takes a permit, or tells how long until there is one.
fn wait_of(limiter: &Limiter) -> Option<Duration> {
    limiter.check().err().map(|refused| refused.wait_time_from(TokioClock.now()))
}

/// Permits that may follow each other at once under a ceiling. Few, because what may come at once
/// must be taken from what flows in.
fn burst_of(limit: u32) -> u32 {
    (limit / 500).clamp(1, 4)
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
    use super::*;

    #[test]
    fn a_window_holds_burst_and_refill_together() {
        for limit in 1..=3_000 {
            let quota = quota(limit, MINUTE);
            let minute = Duration::from_secs(60);
            let refill = minute.div_duration_f64(quota.replenish_interval()).floor() as u32;
            assert!(quota.burst_size().get() + refill <= limit, "{limit}: {quota:?}");
        }
    }
}
