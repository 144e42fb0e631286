//! The source's clock against this machine's. Pure but for the time that passes.
//!
//! The source's clock rules. But one that is far ahead would have the future sealed as silence, so
//! two clocks must agree before that: where the source is ahead of a clock that is plausible, the
//! run works up to where both have been, and seals nothing.

use tokio::time::Instant;

use crate::domain::{Epoch, Finding, FindingKind};

/// Clocks that differ by more than this do not agree: no time zone is told wrong by less, and no
/// clock that anything sets drifts that far.
const MOST_AHEAD_SECS: i64 = 3600;

/// 2026-01-01T00:00:00Z, before this program was first built. A clock that shows an earlier time has
/// lost it.
const BUILT_AFTER: Epoch = Epoch::new(1_767_225_600);

/// This machine's clock as it was read once, carried forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalClock {
    read: Epoch,
    at: Instant,
}

impl LocalClock {
    /// It shows `now` at this moment.
    pub fn reading(now: Epoch) -> Self {
        Self { read: now, at: Instant::now() }
    }

    /// What it shows now.
    pub fn now(self) -> Epoch {
        let elapsed = i64::try_from(self.at.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.read.plus(elapsed)
    }
}

/// Two clocks that do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDoubt {
    /// What the source said.
    pub source: Epoch,
    /// What this machine showed.
    pub local: Epoch,
    /// Whether this machine's clock is plausible; if it is not, the source is believed.
    pub is_local_plausible: bool,
}

impl ClockDoubt {
    /// Tells what is wrong with two clocks, if anything is; `newest_row` is the newest one held.
    pub fn of(source: Epoch, local: Epoch, newest_row: Option<Epoch>) -> Option<Self> {
        let is_local_plausible =
            local >= BUILT_AFTER && newest_row.is_none_or(|newest| local >= newest);
        let is_ahead = source.since(local) > MOST_AHEAD_SECS;
        is_ahead.then_some(Self { source, local, is_local_plausible })
    }

    /// What the run tells of it.
    pub fn finding(self) -> Finding {
        let ahead = self.source.since(self.local);
        let expected = format!("a source whose clock agrees with this machine's, {}", self.local);
        let so = match self.is_local_plausible {
            true => {
                "nothing is sealed, and nothing later than this machine's clock is recorded, until \
                 both agree; `titan-download doctor` compares them"
            }
            false => "this machine has lost the time: set its clock; the source's is used",
        };
        let found = format!("{}, {ahead} s ahead; {so}", self.source);
        Finding::warning(FindingKind::ClocksDisagree, "the clocks", expected, found)
    }

    /// The time up to which the run works.
    pub fn believed(self) -> Epoch {
        if self.is_local_plausible { self.local } else { self.source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_far_ahead_is_not_believed_unless_this_clock_has_lost_the_time() {
        let local = BUILT_AFTER.plus(1_000_000);
        let of = |ahead, newest: Option<i64>| {
            let newest = newest.map(|after| local.plus(after));
            ClockDoubt::of(local.plus(ahead), local, newest).map(|d| d.believed().since(local))
        };
        assert_eq!(of(3600, None), None);
        assert_eq!(of(-1_000_000, None), None, "a source that is behind harms nothing");
        assert_eq!(of(3601, None), Some(0));
        assert_eq!(of(3601, Some(0)), Some(0));
        assert_eq!(of(3601, Some(1)), Some(3601), "rows were received from after this clock");
        let lost = ClockDoubt::of(local, Epoch::new(1000), None).unwrap();
        assert_eq!((lost.is_local_plausible, lost.believed()), (false, local));
    }
}
