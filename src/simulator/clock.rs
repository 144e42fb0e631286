//! The exchange's own clock: a base epoch and a pace, measured on tokio's clock.
//!
//! Tokio's clock can be paused by a test, and then this one pauses with it. The wall clock is
//! never read here.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Epoch;

use super::market::locked;

/// Where the clock starts and how fast it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimClock {
    base: Epoch,
    /// Simulated seconds per second; 0 stands still.
    speed: f64,
}

impl SimClock {
    /// Stands still at `base` until somebody moves it.
    pub fn frozen(base: Epoch) -> Self {
        Self { base, speed: 0.0 }
    }

    /// Starts at `base` and runs at the pace of the real one.
    pub fn running(base: Epoch) -> Self {
        Self { base, speed: 1.0 }
    }

    /// Starts at `base` and runs `speed` times as fast; a negative or unreal speed stands still.
    pub fn scaled(base: Epoch, speed: f64) -> Self {
        Self { base, speed: if speed.is_finite() { speed.max(0.0) } else { 0.0 } }
    }

    /// Where it starts.
    pub fn base(&self) -> Epoch {
        self.base
    }
}

/// A clock that has been started.
#[derive(Debug)]
pub(super) struct Clock {
    speed: f64,
    since: Mutex<(Instant, Epoch)>,
}

impl Clock {
    /// Starts now.
    pub(super) fn start(config: SimClock) -> Self {
        Self { speed: config.speed, since: Mutex::new((Instant::now(), config.base)) }
    }

    /// What it shows.
    pub(super) fn now(&self) -> Epoch {
        let (since, base) = *locked(&self.since);
        base.plus((since.elapsed().as_secs_f64() * self.speed) as i64)
    }

    /// Makes it show `now`, and run on from there.
    pub(super) fn set(&self, now: Epoch) {
        *locked(&self.since) = (Instant::now(), now);
    }

    /// When it will show its next second, but not sooner than in 20 ms; `None` if it stands still.
    pub(super) fn next_second(&self) -> Option<Instant> {
        if self.speed == 0.0 {
            return None;
        }
        let (since, _) = *locked(&self.since);
        let shown = (since.elapsed().as_secs_f64() * self.speed).floor();
        // A hair behind the second, so that rounding cannot wake us just before it.
        let due = since + Duration::from_secs_f64((shown + 1.0) / self.speed + 0.001);
        Some(due.max(Instant::now() + Duration::from_millis(20)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn runs_at_its_own_pace_and_can_be_set() {
        let clock = Clock::start(SimClock::scaled(Epoch::new(1000), 10.0));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Epoch::new(1030));
        clock.set(Epoch::new(5000));
        tokio::time::advance(Duration::from_millis(150)).await;
        assert_eq!(clock.now(), Epoch::new(5001));

        let frozen = Clock::start(SimClock::frozen(Epoch::new(7)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(frozen.now(), Epoch::new(7));
        assert_eq!(frozen.next_second(), None);
    }
}
