//! Pure: wanted range minus proved coverage is the work list. Also what `--dry-run` shows.

use crate::domain::{
    Epoch, EpochRange, Finding, Month, PartitionKey, PartitionState, RangeSet, Series,
};

/// The window of time a person asks for; resolved against the source's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    /// The N complete calendar months before this one, and this one up to now.
    Months(u32),
    /// That many months of 30 days back from now, as old command lines have it.
    MonthsOf30Days(f64),
    /// From a first second to before a last one; `None` means now.
    Range {
        /// First second wanted.
        start: Epoch,
        /// First second not wanted.
        end: Option<Epoch>,
    },
    /// The last 24 hours.
    LastDay,
}

/// The window makes no sense at the source's present time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Nothing is between start and end.
    #[error("the range from {start} to {end} is empty; the start must come before the end")]
    Empty {
        /// The start that was asked for.
        start: Epoch,
        /// The end that was asked for.
        end: Epoch,
    },
    /// The end is in the future.
    #[error(
        "the end {end} is later than the source's present time {now}; leave the end out to download up to now"
    )]
    Future {
        /// The end that was asked for.
        end: Epoch,
        /// The source's clock.
        now: Epoch,
    },
    /// The start is before any history.
    #[error("the start {start} is before the year 2000; the source has no history from then")]
    TooOld {
        /// The start that was asked for.
        start: Epoch,
    },
}

/// 2000-01-01T00:00:00Z: an earlier start is a mistake, not a wish.
pub(super) const OLDEST_START: Epoch = Epoch::new(946_684_800);
const DAY_SECS: i64 = 86_400;

impl Window {
    /// The seconds meant, given the source's clock.
    ///
    /// # Errors
    ///
    /// If they are none, in the future, or before 2000.
    pub fn resolve(self, now: Epoch) -> Result<EpochRange, WindowError> {
        let (start, end) = match self {
            Self::Months(n) => {
                let this = Month::containing(now).ok_or(WindowError::TooOld { start: now })?;
                let first = this.back(n).map_or(Epoch::new(0), |month| month.range().start());
                (first, now)
            }
            Self::MonthsOf30Days(n) => (now.plus(-((n * 30.0 * 86_400.0) as i64)), now),
            Self::Range { start, end } => (start, end.unwrap_or(now)),
            Self::LastDay => (now.plus(-DAY_SECS), now),
        };
        if end > now {
            return Err(WindowError::Future { end, now });
        }
        if start < OLDEST_START {
            return Err(WindowError::TooOld { start });
        }
        EpochRange::new(start, end).ok_or(WindowError::Empty { start, end })
    }
}

/// What is to be done, before anything is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The source's clock when the plan was made.
    pub server_now: Epoch,
    /// One entry for each series and month, series by series, oldest month first.
    pub partitions: Vec<PlannedPartition>,
    /// Series that cannot be worked on, with the reason.
    pub failed_series: Vec<(Series, String)>,
    /// Where the history of series begins, of those of which it is known.
    pub begins: Vec<(Series, Epoch)>,
    /// What a person should know of series for which nothing is to be done.
    pub notices: Vec<Finding>,
    /// Estimate of the most bytes that all of it takes on disk at once, beside what is there.
    pub n_bytes: u64,
    /// Free bytes on that disk; `None` if that cannot be told.
    pub free_bytes: Option<u64>,
}

/// What is to be done for one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedPartition {
    /// Which partition.
    pub key: PartitionKey,
    /// The seconds wanted of it: inside the month, before the source's now, closed bars only.
    pub wanted: EpochRange,
    /// The wanted seconds that the source no longer offers: always the oldest ones.
    pub not_offered: Option<EpochRange>,
    /// The wanted seconds behind the wall that younger answers prove to have been offered once:
    /// they can never be had any more.
    pub lost: RangeSet,
    /// The wanted seconds still to be asked.
    pub missing: RangeSet,
    /// Those of them that are settled already and are asked again only to be compared.
    pub again: RangeSet,
    /// Silences of earlier runs that are asked once more, each whole.
    pub second_looks: Vec<EpochRange>,
    /// The wanted seconds that hold rows of another tool and are not asked: behind the wall, where
    /// nobody can be asked any more.
    pub kept: RangeSet,
    /// Whether the partition must not be modified: it is held as it is, and nothing is asked.
    pub is_locked: bool,
    /// Whether it is worked on even if nothing is missing, and where it was ordered to.
    pub is_ordered: bool,
    /// State of what is published already.
    pub state: Option<PartitionState>,
    /// Rows published already.
    pub record_count: u64,
    /// Estimate of the requests needed.
    pub n_requests: u64,
    /// Estimate of the rows they bring.
    pub n_rows: u64,
    /// Estimate of the most bytes that the work on it takes on disk at once, beside what is there.
    pub n_bytes: u64,
}

impl PlannedPartition {
    /// Tells whether the source offers none of the wanted seconds that are missing, and none is kept.
    pub fn is_beyond_wall(&self) -> bool {
        self.not_offered == Some(self.wanted) && self.record_count == 0
    }
}

impl Plan {
    /// Where the history of a series begins, as far as that is known: at the wall, or with the
    /// first row the series ever had.
    pub fn begins(&self, series: &Series) -> Option<Epoch> {
        self.begins.iter().find(|(of, _)| of == series).map(|(_, begins)| *begins)
    }

    /// Requests of all partitions together.
    pub fn n_requests(&self) -> u64 {
        self.partitions.iter().map(|p| p.n_requests).sum()
    }

    /// Rows of all partitions together.
    pub fn n_rows(&self) -> u64 {
        self.partitions.iter().map(|p| p.n_rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Epoch {
        Epoch::new(1_794_830_400) // 2026-11-16T12:00:00Z
    }

    fn check(window: Window, expected: &str) {
        assert_eq!(window.resolve(now()).unwrap().to_string(), expected);
    }

    #[test]
    fn months_are_calendar_months_unless_decimal() {
        check(Window::Months(2), "2026-09-01T00:00:00Z to 2026-11-16T12:00:00Z");
        check(Window::Months(0), "2026-11-01T00:00:00Z to 2026-11-16T12:00:00Z");
        check(Window::MonthsOf30Days(0.5), "2026-11-01T12:00:00Z to 2026-11-16T12:00:00Z");
        check(Window::LastDay, "2026-11-15T12:00:00Z to 2026-11-16T12:00:00Z");
    }

    #[test]
    fn refuses_ranges_that_make_no_sense() {
        let range =
            |start, end| Window::Range { start: Epoch::new(start), end: Some(Epoch::new(end)) };
        let now_secs = now().secs();
        assert!(matches!(
            range(now_secs - 5, now_secs - 5).resolve(now()),
            Err(WindowError::Empty { .. })
        ));
        assert!(matches!(
            range(now_secs - 5, now_secs + 1).resolve(now()),
            Err(WindowError::Future { .. })
        ));
        assert!(matches!(
            range(-2_208_988_800, now_secs).resolve(now()),
            Err(WindowError::TooOld { .. })
        ));
    }
}
