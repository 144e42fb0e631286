//! What may have reached the source within its present minute. Pure: times are told.
//!
//! A permit says when a request set out, the source counts when it arrives, and a network that
//! stands still for seconds delivers in one moment what set out over seconds. But a request arrives
//! before its answer does: it is in the source's minute no longer than a minute after that. If those
//! on their way and those answered within a minute are together fewer than the limit, one more is
//! within it wherever and whenever each of them arrives.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What the source counts over, and as much as timers are rounded by.
const WINDOW: Duration = Duration::from_millis(60_010);

/// The requests that may fall into one minute with the next.
#[derive(Debug)]
pub(super) struct Arrivals {
    limit: usize,
    n_on_their_way: usize,
    /// When the others were answered or given up, oldest first.
    ended: VecDeque<Instant>,
}

impl Arrivals {
    /// A source that lets `limit` requests through in any minute.
    pub(super) fn new(limit: u32) -> Self {
        Self { limit: limit.max(1) as usize, n_on_their_way: 0, ended: VecDeque::new() }
    }

    /// How long until one more is sure to be within the limit; `None` is now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        while self.ended.front().is_some_and(|ended| *ended + WINDOW <= now) {
            self.ended.pop_front();
        }
        let n_too_many = (self.n_on_their_way + self.ended.len() + 1).checked_sub(self.limit)?;
        let last = n_too_many.checked_sub(1)?;
        // What is still on its way counts for a minute at least.
        let leaves = self.ended.get(last).map_or(now, |ended| *ended) + WINDOW;
        Some(leaves.duration_since(now))
    }

    /// A request sets out.
    pub(super) fn sent(&mut self) {
        self.n_on_their_way += 1;
    }

    /// One was answered, or its caller left.
    pub(super) fn ended(&mut self, now: Instant) {
        self.n_on_their_way = self.n_on_their_way.saturating_sub(1);
        self.ended.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_until_a_minute_after_its_answer() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut arrivals = Arrivals::new(2);
        assert_eq!(arrivals.wait(at(0)), None);
        arrivals.sent();
        assert_eq!(arrivals.wait(at(0)), None);
        arrivals.sent();
        // Both on their way: if one were answered right now, it would count for a minute.
        assert_eq!(arrivals.wait(at(1)), Some(WINDOW));
        arrivals.ended(at(5));
        arrivals.ended(at(9));
        assert_eq!(arrivals.wait(at(10)), Some(WINDOW - Duration::from_secs(5)));
        assert_eq!(arrivals.wait(at(66)), None);
        arrivals.sent();
        assert_eq!(arrivals.wait(at(66)), Some(WINDOW - Duration::from_secs(57)));
        assert_eq!(arrivals.wait(at(70)), None);
    }
}
