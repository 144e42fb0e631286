//! Which silences of earlier runs are asked once more, and when. Pure.
//!
//! A silence that the source answered may still be filled. So it is asked again once it is older
//! than the settle lag, and when its month is sealed; never every night. One ask shows the newest
//! row of a silence of any length, if there is one.

use std::cmp::Reverse;

use crate::domain::{
    CoverageState, Epoch, EpochRange, Gap, GapClass, PartitionState, SettleClock, StoredPartition,
};

use super::pager::KnownSilence;

/// What nothing explains is asked again at most this often while it is young.
const LEAST_PAUSE_SECS: i64 = 3600;

/// Silences that were asked in one run only: so many of a partition are asked again in one run, the
/// longest first.
const MAX_SILENT: usize = 5;

/// Those that make a run work on the partition, though nothing else may be missing in it.
pub(super) fn due(stored: &StoredPartition, clock: SettleClock) -> Vec<EpochRange> {
    if stored.state == Some(PartitionState::Sealed) {
        return Vec::new();
    }
    let ranges = |wanted: &dyn Fn(&Gap) -> bool| {
        let gaps = stored.silences.iter().filter(|gap| wanted(gap));
        gaps.filter_map(Gap::range).collect::<Vec<_>>()
    };
    let was_asked_late = |gap: &Gap| {
        gap.asked_last.is_some_and(|asked| SettleClock { now: asked, ..clock }.has_settled(gap.end))
    };
    let mut due = ranges(&|gap| match gap.class {
        GapClass::Unexplained => {
            let is_old = clock.has_settled(gap.end) && !was_asked_late(gap);
            let pause = gap.asked_last.map_or(i64::MAX, |asked| clock.now.since(asked));
            is_old || pause >= LEAST_PAUSE_SECS
        }
        GapClass::BeforeFirstRow => !was_asked_late(gap),
        _ => false,
    });
    let mut silent = ranges(&|gap| match gap.class {
        GapClass::Silent => clock.has_settled(gap.end),
        // Confirmed by an earlier build, and too soon.
        GapClass::ConfirmedBySource => {
            gap.asked_last.is_some() && !was_asked_late(gap) && clock.has_settled(gap.end)
        }
        _ => false,
    });
    silent.sort_by_key(|range| Reverse(range.len_secs()));
    due.extend(silent.into_iter().take(MAX_SILENT));
    due
}

/// Short silences that are old enough now: asked again beside other work, as far as its budget goes.
pub(super) fn older(stored: &StoredPartition, clock: SettleClock) -> Vec<EpochRange> {
    let is_older = |gap: &&Gap| gap.class == GapClass::WithinPage && clock.has_settled(gap.end);
    stored.silences.iter().filter(is_older).filter_map(Gap::range).collect()
}

/// A silence, with what is known of the rows beside it.
pub(super) fn known(range: EpochRange, stored: &StoredPartition) -> KnownSilence {
    let coverage = stored.coverage();
    let is_held = |epoch: Epoch| {
        let state = coverage.state_at(epoch);
        matches!(state, Some(CoverageState::Answered | CoverageState::Inherited))
    };
    // It begins behind a row, or at the edge of what was answered; it ends likewise.
    KnownSilence {
        range,
        follows_row: is_held(range.start().plus(-1)),
        precedes_row: is_held(range.end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn stored(class: GapClass, asked_last: Option<i64>) -> StoredPartition {
        let gap = Gap {
            start: Epoch::new(1000),
            end: Epoch::new(2000),
            missing_estimate: 1,
            class,
            asked_first: asked_last.map(Epoch::new),
            asked_last: asked_last.map(Epoch::new),
        };
        StoredPartition { silences: vec![gap], ..StoredPartition::default() }
    }

    /// A settle lag of a day.
    fn check(class: GapClass, asked_last: Option<i64>, now: i64, expected: bool) {
        let clock = SettleClock { now: Epoch::new(2000 + now), lag_secs: 24 * HOUR };
        let stored = stored(class, asked_last.map(|asked| 2000 + asked));
        let found = !due(&stored, clock).is_empty();
        assert_eq!(found, expected, "{class:?} asked {asked_last:?} now {now}");
    }

    #[test]
    fn silence_is_asked_again_when_it_is_old_enough_and_not_every_night() {
        check(GapClass::Silent, Some(0), 24 * HOUR - 1, false);
        check(GapClass::Silent, Some(0), 24 * HOUR, true);
        check(GapClass::WithinPage, None, 99 * HOUR, false);
        check(GapClass::ConfirmedBySource, None, 99 * HOUR, false);
        check(GapClass::ConfirmedBySource, Some(24 * HOUR), 99 * HOUR, false);
        check(GapClass::ConfirmedBySource, Some(10), 99 * HOUR, true);
    }

    #[test]
    fn what_nothing_explains_is_asked_hourly_at_most() {
        check(GapClass::Unexplained, None, 0, true);
        check(GapClass::Unexplained, Some(0), HOUR - 1, false);
        check(GapClass::Unexplained, Some(0), HOUR, true);
        check(GapClass::Unexplained, Some(24 * HOUR - 10), 24 * HOUR, true);
        check(GapClass::Unexplained, Some(24 * HOUR), 24 * HOUR + 60, false);
    }

    #[test]
    fn what_is_before_the_first_row_is_asked_by_each_run_until_it_is_settled() {
        check(GapClass::BeforeFirstRow, Some(0), 1, true);
        check(GapClass::BeforeFirstRow, Some(24 * HOUR - 1), 24 * HOUR + 5, true);
        check(GapClass::BeforeFirstRow, Some(24 * HOUR), 48 * HOUR, false);
        check(GapClass::BeforeFirstRow, None, 48 * HOUR, true);
    }

    #[test]
    fn short_silences_wait_for_the_settle_lag() {
        let clock = |now| SettleClock { now: Epoch::new(2000 + now), lag_secs: 24 * HOUR };
        let stored = stored(GapClass::WithinPage, None);
        assert!(older(&stored, clock(24 * HOUR - 1)).is_empty());
        assert_eq!(older(&stored, clock(24 * HOUR)).len(), 1);
    }
}
