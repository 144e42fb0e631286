//! The longest silences of a partition, in bounded memory.

use std::cmp::Reverse;

use crate::domain::{Epoch, EpochRange};

/// Silences kept at least; one in forty seconds of a month. A list longer than that is no list of
/// gaps but a wrong threshold.
const MAX_KEPT: usize = 65_536;

/// A stretch without rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    /// The seconds without a row.
    pub(super) range: EpochRange,
    /// What is compared with the threshold: seconds from the row (or edge) before to the row (or
    /// edge) behind.
    pub(super) distance_secs: i64,
    /// Whether a row stands on both sides.
    pub(super) is_between_rows: bool,
    /// Whether a row stands before it.
    follows_row: bool,
}

impl Silence {
    /// How many records at a fixed interval fit into it.
    pub(super) fn steps_inside(&self, interval_secs: i64) -> i64 {
        // A row before it sets the grid; otherwise the row behind it does, and counts from there.
        let unstepped = if self.follows_row { self.distance_secs - 1 } else { self.distance_secs };
        unstepped / interval_secs.max(1)
    }
}

/// Keeps the longest of the silences offered to it.
#[derive(Debug)]
pub(super) struct Longest {
    /// Distances up to this are never kept.
    floor_secs: i64,
    longest_dropped: i64,
    kept: Vec<Silence>,
}

impl Longest {
    /// Starts with none; a distance of up to `floor_secs` will never be asked for.
    pub(super) fn new(floor_secs: i64) -> Self {
        Self { floor_secs, longest_dropped: 0, kept: Vec::new() }
    }

    /// Distances up to this need not be offered.
    pub(super) fn floor_secs(&self) -> i64 {
        self.floor_secs
    }

    /// Offers what lies between two rows.
    pub(super) fn offer_between(&mut self, before: Epoch, behind: Epoch) {
        if behind.since(before) > self.floor_secs {
            self.keep(before.plus(1), behind, before, true, true);
        }
    }

    /// Offers what lies between the last row of a stretch and its end.
    pub(super) fn offer_trailing(&mut self, before: Epoch, end: Epoch) {
        if end.since(before) > self.floor_secs {
            self.keep(before.plus(1), end, before, false, true);
        }
    }

    /// Offers what lies between the start of a stretch and its first row, or its end if it has none.
    pub(super) fn offer_edge(&mut self, start: Epoch, behind: Epoch) {
        if behind.since(start) > self.floor_secs {
            self.keep(start, behind, start, false, false);
        }
    }

    /// The longest distance that was offered and not kept for want of room; 0 if there was room.
    pub(super) fn longest_dropped(&self) -> i64 {
        self.longest_dropped
    }

    /// What was kept, ascending.
    pub(super) fn into_silences(mut self) -> Vec<Silence> {
        self.prune(MAX_KEPT);
        self.kept.sort_unstable_by_key(|silence| silence.range);
        self.kept
    }

    #[cold]
    fn keep(
        &mut self,
        start: Epoch,
        end: Epoch,
        from: Epoch,
        is_between_rows: bool,
        follows_row: bool,
    ) {
        let Some(range) = EpochRange::new(start, end) else { return };
        let distance_secs = end.since(from);
        self.kept.push(Silence { range, distance_secs, is_between_rows, follows_row });
        self.prune(2 * MAX_KEPT);
    }

    /// Drops all but the longest if more than `limit` are held.
    fn prune(&mut self, limit: usize) {
        if self.kept.len() <= limit {
            return;
        }
        let shortest_first_dropped = |s: &Silence| (Reverse(s.distance_secs), s.range);
        let (_, dropped, _) =
            self.kept.select_nth_unstable_by_key(MAX_KEPT, shortest_first_dropped);
        self.longest_dropped = self.longest_dropped.max(dropped.distance_secs);
        // Equal ones that come later would be dropped again: earlier ones win.
        self.floor_secs = self.floor_secs.max(dropped.distance_secs);
        self.kept.truncate(MAX_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_longest_when_there_are_too_many() {
        let mut longest = Longest::new(1);
        let mut at = Epoch::new(0);
        let distances = || (0..400_000i64).map(|i| 2 + (i * 7919) % 1000);
        for distance in distances() {
            let next = at.plus(distance);
            longest.offer_between(at, next);
            at = next;
        }
        let longest_dropped_before_the_end = longest.longest_dropped();
        assert!(longest.kept.len() <= 2 * MAX_KEPT);
        assert!(longest_dropped_before_the_end > 1);
        let kept = longest.into_silences();
        assert_eq!(kept.len(), MAX_KEPT);
        assert!(kept.is_sorted_by_key(|silence| silence.range));
        let mut expected: Vec<_> = distances().collect();
        expected.sort_unstable_by_key(|distance| Reverse(*distance));
        expected.truncate(MAX_KEPT);
        let mut found: Vec<_> = kept.iter().map(|silence| silence.distance_secs).collect();
        found.sort_unstable_by_key(|distance| Reverse(*distance));
        assert_eq!(found, expected);
    }
}
