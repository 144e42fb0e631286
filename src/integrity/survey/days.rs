//! One word for each day of a month: how complete it is. Pure.

use std::collections::BTreeSet;

use crate::domain::{CoverageState, Epoch, EpochRange, Gap, GapClass, Month, RangeSet};

use super::MonthSurvey;

const SECS_PER_DAY: i64 = 86_400;

/// How complete a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DayCell {
    /// Every second that was on offer was answered or inherited, and nothing is unexplained.
    Full,
    /// Answered as a whole, without any row, because the market was closed.
    Closed,
    /// Some seconds are proved, others are not; so is today, as a rule.
    Partial,
    /// Nothing of it is proved: never asked, or asked in vain.
    Missing,
    /// The source did not offer it when it was asked.
    NotOffered,
    /// It has not begun.
    Future,
}

/// The days of `month` at `now`; a month without a partition has `None`.
pub fn cells(month: Month, partition: Option<&MonthSurvey>, now: Epoch) -> Vec<DayCell> {
    let known = Known::of(partition);
    let midnights = std::iter::successors(Some(month.range().start()), |day| {
        Some(day.plus(SECS_PER_DAY)).filter(|next| *next < month.range().end())
    });
    midnights.map(|midnight| known.cell(midnight, now)).collect()
}

#[derive(Default)]
struct Known {
    proved: RangeSet,
    not_offered: RangeSet,
    unexplained: RangeSet,
    closed: RangeSet,
    days_with_rows: BTreeSet<String>,
}

impl Known {
    fn of(partition: Option<&MonthSurvey>) -> Self {
        let Some(partition) = partition else { return Self::default() };
        let coverage = partition.coverage();
        let is_proved = |state| matches!(state, CoverageState::Answered | CoverageState::Inherited);
        let gaps_of = |wanted: GapClass| -> RangeSet {
            let of_class = partition.gaps().iter().filter(|gap: &&Gap| gap.class == wanted);
            of_class.filter_map(|gap| EpochRange::new(gap.start, gap.end)).collect()
        };
        let days = partition.sidecar.as_ref().map(|sidecar| sidecar.days.as_slice());
        Self {
            proved: coverage.select(is_proved),
            not_offered: coverage.select(|state| state == CoverageState::NotOffered),
            unexplained: gaps_of(GapClass::Unexplained),
            closed: gaps_of(GapClass::MarketClosed),
            days_with_rows: days.unwrap_or_default().iter().map(|day| day.date.clone()).collect(),
        }
    }

    fn cell(&self, midnight: Epoch, now: Epoch) -> DayCell {
        let day =
            EpochRange::new(midnight, midnight.plus(SECS_PER_DAY)).expect("a day has seconds");
        if midnight >= now {
            return DayCell::Future;
        }
        let mut offered = RangeSet::from(day);
        self.not_offered.within(day).iter().for_each(|range| offered.remove(range));
        if offered.is_empty() {
            return DayCell::NotOffered;
        }
        let mut unproved = offered;
        self.proved.within(day).iter().for_each(|range| unproved.remove(range));
        let has_doubt = self.unexplained.intersects(day);
        if unproved.is_empty() && !has_doubt {
            return if self.is_closed(day) { DayCell::Closed } else { DayCell::Full };
        }
        if self.proved.intersects(day) { DayCell::Partial } else { DayCell::Missing }
    }

    fn is_closed(&self, day: EpochRange) -> bool {
        let date = day.start().to_utc().map(|utc| utc.date_naive().to_string());
        let has_rows = date.is_some_and(|date| self.days_with_rows.contains(&date));
        !has_rows && self.closed.covers(day)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::CoverageState;
    use crate::format::Sidecar;
    use crate::format::testing::{day, tell};

    use super::*;

    fn march(covered: &[(f64, f64, CoverageState)], gaps: &[(f64, f64, GapClass)]) -> MonthSurvey {
        let text = r#"{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks",
            "granularity": null, "start_epoch": 0, "end_epoch": 0, "record_count": 0,
            "gaps_detected": 0, "duplicates_removed": 0}"#;
        let mut sidecar = Sidecar::from_json(text.as_bytes()).unwrap();
        tell(&mut sidecar, covered, gaps);
        let month = "2026-03".parse().unwrap();
        MonthSurvey { month, sidecar: Some(Box::new(sidecar)), problem: None, file_size: Some(1) }
    }

    fn text(cells: &[DayCell]) -> String {
        let letter = |cell: &DayCell| match cell {
            DayCell::Full => '#',
            DayCell::Closed => 'c',
            DayCell::Partial => '+',
            DayCell::Missing => 'x',
            DayCell::NotOffered => '-',
            DayCell::Future => '.',
        };
        cells.iter().map(letter).collect()
    }

    fn check(partition: &MonthSurvey, now: f64, expected: &str) {
        let cells = cells(partition.month, Some(partition), day(now));
        assert_eq!(cells.len(), 31);
        let found = text(&cells);
        assert_eq!(&found[..expected.len()], expected, "{found}");
    }

    use CoverageState::{Answered, Failed, NotOffered};

    #[test]
    fn a_day_is_what_its_seconds_are() {
        check(&march(&[(0.0, 2.0, Answered)], &[]), 5.5, "##xxxx..");
        check(&march(&[(0.0, 1.5, Answered)], &[]), 1.5, "#+....");
        check(&march(&[(0.0, 1.0, Answered), (1.0, 2.0, Failed)], &[]), 2.0, "#x....");
        check(&march(&[(0.0, 1.5, NotOffered), (1.5, 3.0, Answered)], &[]), 3.0, "-##...");
        check(&march(&[(0.0, 1.5, NotOffered), (1.5, 1.7, Answered)], &[]), 3.0, "-+x...");
        check(&march(&[(0.0, 31.0, Answered)], &[(1.2, 1.3, GapClass::Unexplained)]), 40.0, "#+##");
        check(&march(&[(0.0, 31.0, Answered)], &[(1.2, 1.3, GapClass::WithinPage)]), 40.0, "####");
    }

    /// A Saturday and a Sunday without rows are closed, the Friday evening before is not.
    #[test]
    fn a_closed_day_is_one_without_rows() {
        let month = march(&[(0.0, 31.0, Answered)], &[(0.9, 3.9, GapClass::MarketClosed)]);
        check(&month, 40.0, "#cc##");
    }

    #[test]
    fn a_month_without_partition_is_missing_until_now() {
        let cells = cells("2026-02".parse().unwrap(), None, day(-14.0));
        assert_eq!(text(&cells), "xxxxxxxxxxxxxx..............");
    }
}
