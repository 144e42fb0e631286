//! Up to where a series is proved. Pure, from what its partitions say of themselves.

use serde::{Deserialize, Serialize};

use super::coverage::{Coverage, CoverageState};
use super::partition::Month;
use super::time::{Epoch, EpochRange};

/// What one month of a series says of itself, as far as the watermark needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthProof {
    /// Which month.
    pub month: Month,
    /// What was asked and answered; what reaches out of the month does not count.
    pub coverage: Coverage,
    /// Silent stretches that nothing explains.
    pub unexplained: Vec<EpochRange>,
    /// Where rows lie, whether they are proved or not: the first to the last of them. The whole
    /// month if nothing is known of it. The proof of a series cannot begin behind such a row.
    pub rows: Option<EpochRange>,
}

/// Why a watermark stands where it stands, and not further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Nobody asked for what follows, though something later is known.
    NeverAsked,
    /// Every attempt to ask for what follows failed.
    Failed,
    /// The source is said not to offer what follows, which can be true only of a beginning.
    NotOffered,
    /// What follows is silent, and nothing explains it.
    UnexplainedGap,
}

/// What stops a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// First second that is not proved.
    pub start: Epoch,
    /// First second after that stretch.
    pub end: Epoch,
    /// What is the matter with it.
    pub reason: StopReason,
}

/// Every second of `[first, through)` was answered or inherited, and none of it is silent without
/// an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The first second that is on offer, as far as is known.
    pub first: Epoch,
    /// The largest such epoch; equal to `first` if nothing is proved.
    pub through: Epoch,
    /// What stands in the way; `None` if all that was ever asked is proved.
    pub stop: Option<Stop>,
}

impl Watermark {
    /// Computes it from the months of one series, in any order; a month that is left out was never
    /// asked. `None` if nothing is known of the series but what is not offered.
    ///
    /// A closed market stops nothing: it is seconds that were answered and hold no row. What is not
    /// offered counts only as the beginning, before which nothing can be proved.
    pub fn of(months: &[MonthProof]) -> Option<Self> {
        let known = Known::of(months);
        let first = known.first()?;
        let (mut through, mut stop) = known.walk(first);
        let gaps = months.iter().flat_map(|month| &month.unexplained);
        let gaps = gaps.filter(|gap| gap.start() < through && gap.end() > first);
        if let Some(gap) = gaps.min_by_key(|gap| gap.start()) {
            through = gap.start().max(first);
            let (start, end) = (through, gap.end());
            stop = Some(Stop { start, end, reason: StopReason::UnexplainedGap });
        }
        Some(Self { first, through, stop })
    }

    /// What is proved; `None` if nothing is.
    pub fn proved(&self) -> Option<EpochRange> {
        EpochRange::new(self.first, self.through)
    }
}

/// The coverage of all months in ascending order, and the rows that may lie outside it.
struct Known {
    pieces: Vec<(EpochRange, CoverageState)>,
    rows: Vec<EpochRange>,
}

impl Known {
    fn of(months: &[MonthProof]) -> Self {
        let mut months: Vec<_> = months.iter().collect();
        months.sort_by_key(|month| month.month);
        let mut pieces = Vec::new();
        for month in &months {
            let inside = month.coverage.clipped(month.month.range());
            pieces.extend(inside.ranges().iter().filter_map(|c| Some((c.range()?, c.state))));
        }
        Self { pieces, rows: months.iter().filter_map(|month| month.rows).collect() }
    }

    /// The end of the beginning that is not offered, or the first second of which anything else is
    /// known; a row that lies before either.
    fn first(&self) -> Option<Epoch> {
        let mut offered_from = None;
        let mut has_more = false;
        for (range, state) in &self.pieces {
            let goes_on = offered_from.is_none_or(|end| end == range.start());
            if *state == CoverageState::NotOffered && goes_on {
                offered_from = Some(range.end());
            } else {
                offered_from = offered_from.or(Some(range.start()));
                has_more = true;
                break;
            }
        }
        let offered_from = offered_from.filter(|_| has_more || !self.rows.is_empty());
        let first_row = self.rows.iter().map(|rows| rows.start()).min();
        offered_from.into_iter().chain(first_row).min()
    }

    /// Goes on from `first` as long as every second is proved.
    fn walk(&self, first: Epoch) -> (Epoch, Option<Stop>) {
        let mut through = first;
        let stop = |start, end, reason| Some(Stop { start, end, reason });
        for (range, state) in &self.pieces {
            if range.end() <= through {
                continue;
            }
            if range.start() > through {
                return (through, stop(through, range.start(), StopReason::NeverAsked));
            }
            let reason = match state {
                CoverageState::Answered | CoverageState::Inherited => {
                    through = range.end();
                    continue;
                }
                CoverageState::Failed => StopReason::Failed,
                CoverageState::NotOffered => StopReason::NotOffered,
            };
            return (through, stop(through, range.end(), reason));
        }
        let last = self.rows.iter().map(|rows| rows.end()).max();
        let rest = last.filter(|last| *last > through);
        (through, rest.and_then(|last| stop(through, last, StopReason::NeverAsked)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// 2026-03-01T00:00:00Z, where February meets March.
    const MIDNIGHT: i64 = 1_772_323_200;

    fn range(start: i64, end: i64) -> EpochRange {
        EpochRange::new(Epoch::new(MIDNIGHT + start), Epoch::new(MIDNIGHT + end)).unwrap()
    }

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    type Facts = Vec<(EpochRange, CoverageState)>;

    /// Two months that meet at midnight, each with its part of the facts.
    fn months(facts: &Facts, gaps: &[EpochRange], rows: Option<EpochRange>) -> Vec<MonthProof> {
        let of = |name: &str| {
            let month = month(name);
            let mut coverage = Coverage::new();
            for (range, state) in facts {
                if let Some(inside) = range.intersect(month.range()) {
                    coverage.insert(inside, *state);
                }
            }
            let inside = |range: &EpochRange| range.intersect(month.range());
            MonthProof {
                month,
                coverage,
                unexplained: gaps.iter().filter_map(inside).collect(),
                rows: rows.as_ref().and_then(inside),
            }
        };
        vec![of("2026-03"), of("2026-02")]
    }

    use CoverageState::{Answered, Failed, Inherited, NotOffered};

    /// `expected` is first, through and why it stops, in seconds after midnight.
    fn check(facts: &Facts, gaps: &[EpochRange], expected: Option<(i64, i64, Option<StopReason>)>) {
        let found = Watermark::of(&months(facts, gaps, None)).map(|mark| {
            let after = |epoch: Epoch| epoch.secs() - MIDNIGHT;
            (after(mark.first), after(mark.through), mark.stop.map(|stop| stop.reason))
        });
        assert_eq!(found, expected, "{facts:?} {gaps:?}");
    }

    #[test]
    fn stands_before_the_first_second_that_is_not_proved() {
        use StopReason::{NeverAsked, UnexplainedGap};
        let failed = StopReason::Failed;
        check(&vec![], &[], None);
        check(&vec![(range(-9, -1), NotOffered)], &[], None);
        check(&vec![(range(-9, 9), Answered)], &[], Some((-9, 9, None)));
        check(
            &vec![(range(-9, -1), NotOffered), (range(-1, 9), Answered)],
            &[],
            Some((-1, 9, None)),
        );
        let two = vec![(range(-9, 0), Inherited), (range(0, 9), Answered)];
        check(&two, &[], Some((-9, 9, None)));
        check(&two, &[range(4, 6)], Some((-9, 4, Some(UnexplainedGap))));
        check(&two, &[range(4, 6), range(-3, 1)], Some((-9, -3, Some(UnexplainedGap))));
        check(
            &vec![(range(-9, -2), Answered), (range(0, 9), Answered)],
            &[],
            Some((-9, -2, Some(NeverAsked))),
        );
        check(
            &vec![(range(-9, 2), Answered), (range(2, 4), Failed)],
            &[],
            Some((-9, 2, Some(failed))),
        );
        check(
            &vec![(range(-9, 2), Failed), (range(2, 4), Answered)],
            &[],
            Some((-9, -9, Some(failed))),
        );
    }

    /// A file of which nothing is known, or rows of another tool, are no beginning of a proof.
    #[test]
    fn rows_without_proof_stop_it_where_they_begin() {
        let facts = vec![(range(0, 9), Answered)];
        let before = Watermark::of(&months(&facts, &[], Some(range(-100, -50)))).unwrap();
        assert_eq!(before.first, before.through);
        assert_eq!(before.proved(), None);
        let after = Watermark::of(&months(&facts, &[], Some(range(0, 50)))).unwrap();
        assert_eq!(after.proved(), Some(range(0, 9)));
        assert_eq!(after.stop.map(|stop| stop.end), Some(range(0, 50).end()));
        let mut beyond = months(&vec![(range(0, 9), NotOffered)], &[], None);
        beyond[1].rows = Some(month("2026-02").range());
        assert_eq!(Watermark::of(&beyond).unwrap().proved(), None);
    }

    #[test]
    fn a_missing_month_stops_it() {
        let mut coverage = Coverage::new();
        let (february, april) = (month("2026-02"), month("2026-04"));
        coverage.insert(february.range(), Answered);
        coverage.insert(april.range(), Answered);
        let proof = |month| MonthProof {
            month,
            coverage: coverage.clone(),
            unexplained: Vec::new(),
            rows: None,
        };
        let mark = Watermark::of(&[proof(april), proof(february)]).unwrap();
        assert_eq!(mark.proved(), Some(february.range()));
        let stop = mark.stop.unwrap();
        assert_eq!((stop.start, stop.end), (february.range().end(), april.range().start()));
    }

    /// Says of each second on its own what the definition says, one after the other.
    fn by_hand(facts: &Facts, gaps: &[EpochRange]) -> Option<(i64, i64)> {
        let mut states = BTreeMap::new();
        for (range, state) in facts {
            for second in range.start().secs()..range.end().secs() {
                let known = states.entry(second).or_insert(*state);
                *known = (*known).max(*state);
            }
        }
        let mut first = *states.keys().next()?;
        while states.get(&first) == Some(&NotOffered) {
            first += 1;
        }
        states.range(first..).next()?;
        let is_silent = |second| gaps.iter().any(|gap| gap.contains(Epoch::new(second)));
        let is_proved = |second: &i64| {
            matches!(states.get(second), Some(Answered | Inherited)) && !is_silent(*second)
        };
        let through = (first..).find(|second| !is_proved(second))?;
        Some((first, through))
    }

    fn arbitrary_range() -> impl Strategy<Value = EpochRange> {
        (-30i64..30, 1i64..25).prop_map(|(start, len)| range(start, start + len))
    }

    fn arbitrary_state() -> impl Strategy<Value = CoverageState> {
        prop_oneof![1 => Just(Failed), 2 => Just(NotOffered), 2 => Just(Inherited), 5 => Just(Answered)]
    }

    proptest! {
        #[test]
        fn is_what_counting_second_by_second_gives(
            facts in proptest::collection::vec((arbitrary_range(), arbitrary_state()), 0..8),
            gaps in proptest::collection::vec(arbitrary_range(), 0..2),
        ) {
            let months = months(&facts, &gaps, None);
            let mark = Watermark::of(&months);
            let found = mark.map(|mark| (mark.first.secs(), mark.through.secs()));
            prop_assert_eq!(found, by_hand(&facts, &gaps));
            // It stops exactly where something stands in the way.
            if let Some(Watermark { through, stop: Some(stop), .. }) = mark {
                prop_assert_eq!(stop.start, through);
                prop_assert!(stop.end > stop.start);
            }
        }

        /// What is learned later never takes proof away.
        #[test]
        fn more_answers_never_lower_it(
            facts in proptest::collection::vec((arbitrary_range(), arbitrary_state()), 1..6),
            more in arbitrary_range(),
        ) {
            let before = Watermark::of(&months(&facts, &[], None));
            let mut extended = facts.clone();
            extended.push((more, Answered));
            let after = Watermark::of(&months(&extended, &[], None));
            if let (Some(before), Some(after)) = (before, after)
                && more.start() >= before.first
            {
                prop_assert!(after.through >= before.through);
            }
        }
    }
}
