//! How fast a run is and when it will be done. Pure: time is told.

use std::collections::VecDeque;
use std::time::Duration;

/// The recent past that counts. A minute, because that is what the ceiling of requests is over.
const WINDOW_SECS: u64 = 60;

/// Too little was seen before this to tell anything.
const LEAST_SECS: f64 = 3.0;

/// Counts requests by the second, over the last minute.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    recent: VecDeque<(u64, u64)>,
    began: Option<Duration>,
}

impl Pace {
    /// A request was answered, `at` after the beginning.
    pub fn note(&mut self, at: Duration) {
        self.began.get_or_insert(at);
        match self.recent.back_mut() {
            Some((second, count)) if *second >= at.as_secs() => *count += 1,
            _ => self.recent.push_back((at.as_secs(), 1)),
        }
        while self.recent.front().is_some_and(|(second, _)| second + WINDOW_SECS <= at.as_secs()) {
            self.recent.pop_front();
        }
    }

    /// Requests per minute in the recent past; `None` if it is too early to tell, or all is quiet.
    pub fn per_minute(&self, now: Duration) -> Option<f64> {
        let since = now.checked_sub(self.began?)?.as_secs_f64();
        let counted = |(second, _): &&(u64, u64)| second + WINDOW_SECS > now.as_secs();
        let n: u64 = self.recent.iter().filter(counted).map(|(_, count)| count).sum();
        let measured = since.min(WINDOW_SECS as f64);
        (n > 0 && measured >= LEAST_SECS).then(|| n as f64 * 60.0 / measured)
    }

    /// Time until `n_left` requests are answered, if it goes on like this.
    pub fn time_left(&self, n_left: u64, now: Duration) -> Option<Duration> {
        let per_second = self.per_minute(now)? / 60.0;
        Duration::try_from_secs_f64(n_left as f64 / per_second).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// `per_second` requests in each second of `seconds`.
    fn noted(seconds: std::ops::Range<u64>, per_second: u64) -> Pace {
        let mut pace = Pace::default();
        for second in seconds {
            for part in 0..per_second {
                pace.note(secs(second) + Duration::from_millis(part * 10));
            }
        }
        pace
    }

    #[test]
    fn a_steady_run() {
        let pace = noted(0..120, 3);
        assert_eq!(pace.per_minute(secs(120)).map(f64::round), Some(177.0));
        assert_eq!(pace.time_left(354, secs(120)), Some(secs(120)));
        assert_eq!(pace.time_left(0, secs(120)), Some(secs(0)));
    }

    #[test]
    fn counts_from_the_first_request_not_from_the_start_of_the_process() {
        let pace = noted(100..110, 2);
        assert_eq!(pace.per_minute(secs(110)), Some(120.0));
    }

    #[test]
    fn says_nothing_too_early_or_after_a_long_silence() {
        let pace = noted(0..2, 3);
        assert_eq!(pace.per_minute(secs(1)), None);
        assert!(pace.per_minute(secs(10)).is_some());
        assert_eq!(pace.per_minute(secs(62)), None);
        assert_eq!(Pace::default().time_left(5, secs(100)), None);
    }

    #[test]
    fn a_slower_minute_replaces_a_faster_one() {
        let mut pace = noted(0..60, 4);
        for second in 60..180 {
            pace.note(secs(second));
        }
        assert_eq!(pace.per_minute(secs(180)).map(f64::round), Some(59.0));
        assert!(pace.recent.len() <= 60);
    }
}
