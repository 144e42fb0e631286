//! Why there were retries and waits: counts by cause, for whoever watches many runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{WaitReason, WaitTimes};
use crate::domain::ErrorKind;

/// Why a request is made again, in the order of the counters.
const CAUSES: [(ErrorKind, &str); 6] = [
    (ErrorKind::RateLimited, "rate_limited"),
    (ErrorKind::Transport, "transport"),
    (ErrorKind::ServerFault, "server_fault"),
    (ErrorKind::Malformed, "malformed"),
    (ErrorKind::TooLarge, "too_large"),
    (ErrorKind::Unknown, "unknown"),
];

/// Why a call waits, in the order of the counters.
const REASONS: [(WaitReason, &str); 5] = [
    (WaitReason::Pace, "pace"),
    (WaitReason::HourBudget, "hour_budget"),
    (WaitReason::RateLimited, "rate_limited"),
    (WaitReason::BreakerOpen, "breaker_open"),
    (WaitReason::Retry, "retry"),
];

/// Retries and waits by cause. Each cause is listed, also where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Attempts after the first, by what was wrong with the one before.
    pub retries: [(&'static str, u64); CAUSES.len()],
    /// Time spent waiting, added up over callers. A wait counts when it ends.
    pub waited: [(&'static str, Duration); REASONS.len()],
}

impl Tally {
    /// The waits by the names of their fields.
    pub(super) fn waits(&self) -> WaitTimes {
        let [pace, hour_budget, rate_limited, breaker_open, retry] =
            self.waited.map(|(_, time)| time);
        WaitTimes { pace, hour_budget, rate_limited, breaker_open, retry }
    }
}

#[derive(Debug, Default)]
pub(super) struct TallyCounters {
    retries: [AtomicU64; CAUSES.len()],
    waited_nanos: [AtomicU64; REASONS.len()],
}

impl TallyCounters {
    /// Nothing else is ever asked again.
    pub(super) fn count_retry(&self, cause: ErrorKind) {
        if let Some(at) = CAUSES.iter().position(|(kind, _)| *kind == cause) {
            self.retries[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_wait(&self, reason: WaitReason, nanos: u64) {
        if let Some(at) = REASONS.iter().position(|(known, _)| *known == reason) {
            self.waited_nanos[at].fetch_add(nanos, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            retries: std::array::from_fn(|at| (CAUSES[at].1, read(&self.retries[at]))),
            waited: std::array::from_fn(|at| {
                (REASONS[at].1, Duration::from_nanos(read(&self.waited_nanos[at])))
            }),
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        TallyCounters::default().read()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::domain::{MarketDataSource, Tick};
    use crate::resilience::testing::{Scripted, observer, page_request};
    use crate::resilience::{Jitter, Retried, RetryConfig};

    #[test]
    fn whatever_is_asked_again_has_a_counter() {
        use ErrorKind::*;
        let all = [
            RateLimited,
            Transport,
            ServerFault,
            Malformed,
            TooLarge,
            Unknown,
            Rejected,
            UnknownSymbol,
            Unauthorized,
            MarketClosed,
            Cancelled,
            Outage,
            BudgetSpent,
        ];
        for kind in all {
            let counters = TallyCounters::default();
            counters.count_retry(kind);
            let n: u64 = counters.read().retries.iter().map(|(_, n)| n).sum();
            assert_eq!(n, u64::from(kind.is_retryable()), "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_and_waits_are_counted_by_cause() {
        let (fault, lost) = (Err(ErrorKind::ServerFault), Err(ErrorKind::Transport));
        let observer = observer();
        let config = RetryConfig { jitter: Jitter::Off, ..RetryConfig::default() };
        let source =
            Retried::new(Scripted::new([fault, lost, fault, Ok(())]), config, observer.clone());
        let began = Instant::now();
        MarketDataSource::<Tick>::fetch_page(&source, &page_request()).await.unwrap();
        let tally = observer.tally();
        let expected = [0, 1, 2, 0, 0, 0];
        assert_eq!(tally.retries.map(|(_, n)| n), expected);
        assert_eq!(tally.waited[4], ("retry", began.elapsed()));
        assert_eq!(tally.waited.iter().map(|(_, t)| *t).sum::<Duration>(), began.elapsed());
    }
}
