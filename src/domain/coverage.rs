//! What has been asked and answered, second by second.
//!
//! [`Coverage`] is canonical: it is a function of the proved seconds alone, however the windows
//! that proved them were cut, so that equal knowledge gives equal bytes on disk.

use serde::{Deserialize, Serialize};

use super::time::{Epoch, EpochRange};

/// Why a second is covered. Later variants are stronger and replace earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoverageState {
    /// Asked, and every attempt failed; the next run asks again.
    Failed,
    /// Behind the source's wall, before anything it ever served of this series.
    NotOffered,
    /// Taken over from another tool, not asked again yet.
    Inherited,
    /// The source answered for every second of it.
    Answered,
}

impl CoverageState {
    /// Tells whether nothing is left to ask: every state but `failed`.
    pub fn is_settled(self) -> bool {
        self != Self::Failed
    }
}

/// A half-open range `[start, end)` in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRange {
    /// First second inside.
    pub start: Epoch,
    /// First second after.
    pub end: Epoch,
    /// What is known of it.
    pub state: CoverageState,
}

impl CoverageRange {
    /// The range without its state; `None` if it is empty (possible only in a file we did not write).
    pub fn range(&self) -> Option<EpochRange> {
        EpochRange::new(self.start, self.end)
    }
}

/// Disjoint covered ranges in ascending order; touching ranges of one state are merged.
///
/// A second in no range was never asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<CoverageRange>", into = "Vec<CoverageRange>")]
pub struct Coverage(Vec<CoverageRange>);

impl Coverage {
    /// Nothing was ever asked.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ranges, ascending, disjoint, merged.
    pub fn ranges(&self) -> &[CoverageRange] {
        &self.0
    }

    /// Tells whether nothing was ever asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Records that `range` is in `state`. Where something stronger is known already, that stays.
    pub fn insert(&mut self, range: EpochRange, state: CoverageState) {
        let mut pieces = Vec::with_capacity(self.0.len() + 2);
        let mut free = RangeSet::from(range);
        for old in self.0.drain(..) {
            let Some(old_range) = old.range() else { continue };
            if old.state >= state {
                free.remove(old_range);
                pieces.push(old);
                continue;
            }
            let mut kept = RangeSet::from(old_range);
            kept.remove(range);
            pieces.extend(kept.iter().map(|r| covered(r, old.state)));
        }
        pieces.extend(free.iter().map(|r| covered(r, state)));
        pieces.sort_unstable_by_key(|piece| piece.start);
        self.0 = merged(pieces);
    }

    /// Records everything that `other` knows.
    pub fn extend(&mut self, other: &Self) {
        for covered in &other.0 {
            if let Some(range) = covered.range() {
                self.insert(range, covered.state);
            }
        }
    }

    /// The seconds whose state satisfies `wanted`.
    pub fn select(&self, wanted: impl Fn(CoverageState) -> bool) -> RangeSet {
        let mut set = RangeSet::new();
        for covered in self.0.iter().filter(|covered| wanted(covered.state)) {
            if let Some(range) = covered.range() {
                set.insert(range);
            }
        }
        set
    }

    /// The seconds of `within` that are still to be asked: in no range, or `failed`.
    pub fn missing(&self, within: EpochRange) -> RangeSet {
        let mut missing = RangeSet::from(within);
        for settled in self.select(CoverageState::is_settled).iter() {
            missing.remove(settled);
        }
        missing
    }

    /// The part of this coverage inside `within`.
    #[must_use]
    pub fn clipped(&self, within: EpochRange) -> Self {
        let clip = |c: &CoverageRange| Some(covered(c.range()?.intersect(within)?, c.state));
        Self(self.0.iter().filter_map(clip).collect())
    }

    /// What is known of one second.
    pub fn state_at(&self, epoch: Epoch) -> Option<CoverageState> {
        self.0.iter().find(|c| c.start <= epoch && epoch < c.end).map(|c| c.state)
    }
}

/// Rebuilds the canonical form, whatever the order, overlaps or empty ranges of the input.
impl From<Vec<CoverageRange>> for Coverage {
    fn from(ranges: Vec<CoverageRange>) -> Self {
        let mut coverage = Self::new();
        for covered in ranges {
            if let Some(range) = covered.range() {
                coverage.insert(range, covered.state);
            }
        }
        coverage
    }
}

impl From<Coverage> for Vec<CoverageRange> {
    fn from(coverage: Coverage) -> Self {
        coverage.0
    }
}

fn covered(range: EpochRange, state: CoverageState) -> CoverageRange {
    CoverageRange { start: range.start(), end: range.end(), state }
}

fn merged(sorted: Vec<CoverageRange>) -> Vec<CoverageRange> {
    let mut merged: Vec<CoverageRange> = Vec::with_capacity(sorted.len());
    for next in sorted {
        match merged.last_mut() {
            Some(last) if last.end == next.start && last.state == next.state => last.end = next.end,
            _ => merged.push(next),
        }
    }
    merged
}

/// A set of seconds as disjoint, ascending, non-touching ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeSet(Vec<EpochRange>);

impl RangeSet {
    /// No second.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells whether there is no second in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = EpochRange> + '_ {
        self.0.iter().copied()
    }

    /// Number of seconds in the set.
    pub fn len_secs(&self) -> i64 {
        self.iter().map(EpochRange::len_secs).sum()
    }

    /// Adds every second of `range`.
    pub fn insert(&mut self, range: EpochRange) {
        let from = self.0.partition_point(|r| r.end() < range.start());
        let to = self.0.partition_point(|r| r.start() <= range.end());
        let touched = &self.0[from..to];
        let start = touched.first().map_or(range.start(), |r| r.start().min(range.start()));
        let end = touched.last().map_or(range.end(), |r| r.end().max(range.end()));
        self.0.splice(from..to, EpochRange::new(start, end));
    }

    /// Adds every second of `other`.
    pub fn extend(&mut self, other: &Self) {
        other.iter().for_each(|range| self.insert(range));
    }

    /// Takes every second of `other` out.
    pub fn remove_all(&mut self, other: &Self) {
        other.iter().for_each(|range| self.remove(range));
    }

    /// Takes every second of `range` out.
    pub fn remove(&mut self, range: EpochRange) {
        let from = self.0.partition_point(|r| r.end() <= range.start());
        let to = self.0.partition_point(|r| r.start() < range.end());
        let rest: Vec<_> = self.0[from..to]
            .iter()
            .flat_map(|r| {
                [
                    EpochRange::new(r.start(), r.end().min(range.start())),
                    EpochRange::new(r.start().max(range.end()), r.end()),
                ]
            })
            .flatten()
            .collect();
        self.0.splice(from..to.max(from), rest);
    }

    /// The seconds of `range` that are in the set.
    #[must_use]
    pub fn within(&self, range: EpochRange) -> Self {
        Self(self.iter().filter_map(|r| r.intersect(range)).collect())
    }

    /// Tells whether every second of `range` is in the set.
    pub fn covers(&self, range: EpochRange) -> bool {
        self.0.iter().any(|r| r.covers(range))
    }

    /// Tells whether any second of `range` is in the set.
    pub fn intersects(&self, range: EpochRange) -> bool {
        self.0.iter().any(|r| r.intersect(range).is_some())
    }
}

impl From<EpochRange> for RangeSet {
    fn from(range: EpochRange) -> Self {
        Self(vec![range])
    }
}

impl FromIterator<EpochRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = EpochRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(start: i64, end: i64) -> EpochRange {
        EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap()
    }

    fn seconds(set: &RangeSet) -> BTreeSet<i64> {
        set.iter().flat_map(|r| r.start().secs()..r.end().secs()).collect()
    }

    fn arbitrary_range() -> impl Strategy<Value = EpochRange> {
        (0i64..60, 1i64..20).prop_map(|(start, len)| range(start, start + len))
    }

    fn arbitrary_state() -> impl Strategy<Value = CoverageState> {
        prop_oneof![
            Just(CoverageState::Failed),
            Just(CoverageState::NotOffered),
            Just(CoverageState::Inherited),
            Just(CoverageState::Answered),
        ]
    }

    proptest! {
        #[test]
        fn a_range_set_is_a_set_of_seconds(
            operations in proptest::collection::vec((any::<bool>(), arbitrary_range()), 0..20),
        ) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for (add, range) in operations {
                let secs = range.start().secs()..range.end().secs();
                if add {
                    set.insert(range);
                    model.extend(secs);
                } else {
                    set.remove(range);
                    model.retain(|second| !secs.contains(second));
                }
                prop_assert_eq!(&seconds(&set), &model);
                prop_assert!(set.0.windows(2).all(|w| w[0].end() < w[1].start()), "{:?}", set);
            }
        }

        #[test]
        fn coverage_does_not_depend_on_the_order_it_was_proved_in(
            facts in proptest::collection::vec((arbitrary_range(), arbitrary_state()), 0..12)
                .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        ) {
            let build = |facts: &[(EpochRange, CoverageState)]| {
                let mut coverage = Coverage::new();
                for (range, state) in facts {
                    coverage.insert(*range, *state);
                }
                coverage
            };
            let coverage = build(&facts.0);
            prop_assert_eq!(&coverage, &build(&facts.1));
            for second in 0..80 {
                let strongest = facts.0.iter()
                    .filter(|(range, _)| range.contains(Epoch::new(second)))
                    .map(|(_, state)| *state)
                    .max();
                prop_assert_eq!(coverage.state_at(Epoch::new(second)), strongest);
            }
            let touching = coverage.ranges().windows(2)
                .any(|w| w[0].end > w[1].start || (w[0].end == w[1].start && w[0].state == w[1].state));
            prop_assert!(!touching, "{:?}", coverage);
        }
    }

    #[test]
    fn failed_and_never_asked_seconds_are_missing() {
        let mut coverage = Coverage::new();
        coverage.insert(range(10, 20), CoverageState::Answered);
        coverage.insert(range(20, 30), CoverageState::Failed);
        let missing: Vec<_> = coverage.missing(range(0, 40)).iter().collect();
        assert_eq!(missing, [range(0, 10), range(20, 40)]);
    }
}
