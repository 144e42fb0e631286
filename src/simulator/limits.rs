//! Sliding windows over all calls, shared by all connections.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::config::Limits;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Remembers the calls of the last hour.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    /// Moments of the calls, ascending.
    calls: VecDeque<Instant>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, calls: VecDeque::new() }
    }

    /// Counts a call at `now`, which is not before the one before; false if it must be refused.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        while self.calls.front().is_some_and(|first| now.duration_since(*first) >= HOUR) {
            self.calls.pop_front();
        }
        let minute = self.n_within(now, MINUTE);
        let hour = self.calls.len();
        self.calls.push_back(now);
        let fits = |limit: Option<u32>, n: usize| limit.is_none_or(|limit| n < limit as usize);
        fits(self.limits.per_minute, minute)
            && fits(self.limits.hidden, minute)
            && fits(self.limits.per_hour, hour)
    }

    fn n_within(&self, now: Instant, window: Duration) -> usize {
        let older = self.calls.partition_point(|call| now.duration_since(*call) >= window);
        self.calls.len() - older
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_minute: u32, per_hour: u32) -> Limits {
        Limits { per_minute: Some(per_minute), per_hour: Some(per_hour), hidden: None }
    }

    #[test]
    fn the_window_slides() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut budget = Budget::new(limits(2, 100));
        assert!(budget.admit(at(0)));
        assert!(budget.admit(at(30)));
        assert!(!budget.admit(at(59)));
        // The call at 0 has left, those at 30 and 59 (refused, but counted) have not.
        assert!(!budget.admit(at(60)));
        assert!(budget.admit(at(121)));
    }

    #[test]
    fn the_hour_and_the_hidden_limit_count_too() {
        let start = Instant::now();
        let mut budget = Budget::new(limits(1000, 3));
        let admitted = (0..5).filter(|k| budget.admit(start + MINUTE * 2 * *k)).count();
        assert_eq!(admitted, 3);
        let mut budget = Budget::new(Limits { hidden: Some(1), ..Limits::default() });
        assert!(budget.admit(start));
        assert!(!budget.admit(start));
        let mut budget = Budget::new(Limits::NONE);
        assert!((0..1000).all(|_| budget.admit(start)));
    }
}
