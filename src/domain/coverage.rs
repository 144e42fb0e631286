//! What has been asked and answered, second by second.
//!
//! [`Coverage`] is canonical: it is a function of the proved seconds alone, however the windows
//! that proved them were cut, so that equal knowledge gives equal bytes on disk.

use std::collections::BTreeMap;

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
    /// Makes a range of it.
    pub fn of(range: EpochRange, state: CoverageState) -> Self {
        Self { start: range.start(), end: range.end(), state }
    }

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
    ///
    /// Takes the time of the ranges that `range` touches, beside moving those behind them.
    pub fn insert(&mut self, range: EpochRange, state: CoverageState) {
        let from = self.0.partition_point(|old| old.end < range.start());
        let to = self.0.partition_point(|old| old.start <= range.end());
        let touched = self.0[from..to].iter().copied().chain([CoverageRange::of(range, state)]);
        let pieces = strongest(touched.collect());
        self.0.splice(from..to, pieces);
    }

    /// Records everything that `other` knows.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
        self.0 = strongest(std::mem::take(&mut self.0));
    }

    /// The seconds whose state satisfies `wanted`.
    pub fn select(&self, wanted: impl Fn(CoverageState) -> bool) -> RangeSet {
        let wanted = self.0.iter().filter(|covered| wanted(covered.state));
        wanted.filter_map(CoverageRange::range).collect()
    }

    /// The seconds of `within` that are still to be asked: in no range, or `failed`.
    pub fn missing(&self, within: EpochRange) -> RangeSet {
        let mut missing = RangeSet::from(within);
        missing.remove_all(&self.select(CoverageState::is_settled).within(within));
        missing
    }

    /// The part of this coverage inside `within`.
    #[must_use]
    pub fn clipped(&self, within: EpochRange) -> Self {
        let clip =
            |c: &CoverageRange| Some(CoverageRange::of(c.range()?.intersect(within)?, c.state));
        Self(self.0.iter().filter_map(clip).collect())
    }

    /// What is known of one second.
    pub fn state_at(&self, epoch: Epoch) -> Option<CoverageState> {
        let covered = self.0.get(self.0.partition_point(|c| c.end <= epoch))?;
        (covered.start <= epoch).then_some(covered.state)
    }
}

/// Rebuilds the canonical form, whatever the order, overlaps or empty ranges of the input.
impl From<Vec<CoverageRange>> for Coverage {
    fn from(ranges: Vec<CoverageRange>) -> Self {
        Self(strongest(ranges))
    }
}

impl From<Coverage> for Vec<CoverageRange> {
    fn from(coverage: Coverage) -> Self {
        coverage.0
    }
}

/// The canonical form of any ranges: where several overlap, the strongest state counts.
fn strongest(mut ranges: Vec<CoverageRange>) -> Vec<CoverageRange> {
    ranges.retain(|covered| covered.start < covered.end);
    ranges.sort_unstable_by_key(|covered| covered.start);
    let mut pieces: Vec<CoverageRange> = Vec::with_capacity(ranges.len());
    // Until when each state lasts of the ranges begun so far; there are only a few states.
    let mut lasting: BTreeMap<CoverageState, Epoch> = BTreeMap::new();
    let mut at = Epoch::new(i64::MIN);
    let mut ranges = ranges.into_iter().peekable();
    loop {
        let next = ranges.peek().map_or(Epoch::new(i64::MAX), |covered| covered.start);
        // Up to where the next range begins, what has begun is all there is.
        while let Some((&state, &end)) = lasting.last_key_value() {
            if end > at {
                let until = end.min(next);
                push(&mut pieces, CoverageRange { start: at, end: until, state });
                at = until;
            }
            if end > at {
                break;
            }
            lasting.pop_last();
        }
        let Some(covered) = ranges.next() else { return pieces };
        at = covered.start;
        let end = lasting.entry(covered.state).or_insert(covered.end);
        *end = covered.end.max(*end);
    }
}

/// Appends a piece that lies behind all others, and merges it with the last if they are one.
fn push(pieces: &mut Vec<CoverageRange>, next: CoverageRange) {
    match pieces.last_mut() {
        Some(last) if last.end == next.start && last.state == next.state => last.end = next.end,
        _ if next.start < next.end => pieces.push(next),
        _ => {}
    }
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
        *self = self.iter().chain(other.iter()).collect();
    }

    /// Takes every second of `other` out.
    pub fn remove_all(&mut self, other: &Self) {
        let mut rest = Vec::with_capacity(self.0.len());
        let mut gone = other.0.as_slice();
        for range in &self.0 {
            let mut start = range.start();
            gone = &gone[gone.partition_point(|gone| gone.end() <= start)..];
            for taken in gone.iter().take_while(|taken| taken.start() < range.end()) {
                rest.extend(EpochRange::new(start, taken.start()));
                start = start.max(taken.end());
            }
            rest.extend(EpochRange::new(start, range.end()));
        }
        self.0 = rest;
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
        Self(self.touching(range).iter().filter_map(|r| r.intersect(range)).collect())
    }

    /// Tells whether every second of `range` is in the set.
    pub fn covers(&self, range: EpochRange) -> bool {
        self.touching(range).first().is_some_and(|r| r.covers(range))
    }

    /// Tells whether any second of `range` is in the set.
    pub fn intersects(&self, range: EpochRange) -> bool {
        !self.touching(range).is_empty()
    }

    /// The ranges that share a second with `range`.
    fn touching(&self, range: EpochRange) -> &[EpochRange] {
        let from = self.0.partition_point(|r| r.end() <= range.start());
        let behind = &self.0[from..];
        &behind[..behind.partition_point(|r| r.start() < range.end())]
    }
}

impl From<EpochRange> for RangeSet {
    fn from(range: EpochRange) -> Self {
        Self(vec![range])
    }
}

impl FromIterator<EpochRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = EpochRange>>(ranges: I) -> Self {
        let mut ranges: Vec<EpochRange> = ranges.into_iter().collect();
        ranges.sort_unstable();
        let mut set: Vec<EpochRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match set.last_mut() {
                Some(last) if range.start() <= last.end() => {
                    *last = last.joined(range);
                }
                _ => set.push(range),
            }
        }
        Self(set)
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

    proptest! {
        /// Whole sets at once give what one range at a time gives.
        #[test]
        fn sets_are_joined_and_subtracted_as_their_seconds_are(
            one in proptest::collection::vec(arbitrary_range(), 0..12),
            other in proptest::collection::vec(arbitrary_range(), 0..12),
            within in arbitrary_range(),
        ) {
            let (mut joined, other): (RangeSet, RangeSet) =
                (one.iter().copied().collect(), other.into_iter().collect());
            let mut rest = joined.clone();
            let of = seconds(&joined);
            prop_assert_eq!(
                seconds(&joined.within(within)),
                of.iter().copied().filter(|s| within.contains(Epoch::new(*s))).collect()
            );
            let inside = of.iter().filter(|s| within.contains(Epoch::new(**s))).count();
            prop_assert_eq!(joined.covers(within), inside as i64 == within.len_secs());
            prop_assert_eq!(joined.intersects(within), inside > 0);
            joined.extend(&other);
            rest.remove_all(&other);
            prop_assert_eq!(seconds(&joined), &of | &seconds(&other));
            prop_assert_eq!(seconds(&rest), &of - &seconds(&other));
            for set in [joined, rest] {
                prop_assert!(set.0.windows(2).all(|w| w[0].end() < w[1].start()), "{:?}", set);
            }
        }

        /// A list in any order is what its ranges are one by one.
        #[test]
        fn a_whole_list_gives_what_its_ranges_give(
            facts in proptest::collection::vec((arbitrary_range(), arbitrary_state()), 0..12),
        ) {
            let mut one_by_one = Coverage::new();
            let mut list = Vec::new();
            for (range, state) in facts {
                one_by_one.insert(range, state);
                list.push(CoverageRange::of(range, state));
            }
            let (mut first, second) = (list.clone(), list.split_off(list.len() / 2));
            first.truncate(list.len());
            let mut extended = Coverage::from(first);
            extended.extend(&Coverage::from(second));
            prop_assert_eq!(extended, one_by_one);
        }
    }

    /// Numbers from a file may be any: empty, backward, at the ends of what a number can be.
    #[test]
    fn ranges_of_any_numbers_are_taken() {
        let of = |start, end| CoverageRange {
            start: Epoch::new(start),
            end: Epoch::new(end),
            state: CoverageState::Answered,
        };
        let odd = vec![of(5, 5), of(9, 3), of(i64::MAX, i64::MIN), of(i64::MIN, i64::MAX)];
        assert_eq!(Coverage::from(odd).ranges(), [of(i64::MIN, i64::MAX)]);
        assert_eq!(Coverage::from(vec![of(7, 7)]), Coverage::new());
    }

    /// The square of this number of steps would take minutes.
    #[test]
    fn a_hundred_thousand_ranges_are_no_trouble() {
        let n = 100_000;
        let answered = |i: i64| CoverageRange::of(range(3 * i, 3 * i + 1), CoverageState::Answered);
        let coverage = Coverage::from((0..n).rev().map(answered).collect::<Vec<_>>());
        assert_eq!(coverage.ranges().len(), 100_000);
        let mut both = coverage.clone();
        both.extend(&Coverage::from(
            (0..n)
                .map(|i| CoverageRange::of(range(3 * i + 1, 3 * i + 2), CoverageState::Failed))
                .collect::<Vec<_>>(),
        ));
        assert_eq!(both.ranges().len(), 200_000);
        assert_eq!(both.missing(range(0, 3 * n)).len_secs(), 2 * n);
        let all = both.select(|_| true);
        assert!((0..n).all(|i| all.covers(range(3 * i, 3 * i + 2))));
        assert!((0..n).all(|i| both.state_at(Epoch::new(3 * i + 2)).is_none()));
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
