//! What one series did over the months of the page: prices in steps, rows of each day, and what of
//! it could not be read. Bounded whatever the archive holds: a few hundred steps, and ten years of
//! days.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::domain::{Epoch, EpochRange, Month, PartitionKey};
use crate::format::Sidecar;
use crate::integrity::survey::MonthSurvey;
use crate::integrity::survey::days::DayCell;
use crate::integrity::{MonthPrices, PriceSpan, SeriesSurvey, Unreadable};

use super::super::calendar;
use super::super::text::thousands;
use super::{Problem, day};

const DAY: i64 = 86_400;

/// Steps into which time is cut, the finest first; the last is taken for whatever is longer.
pub(super) const STEPS: [i64; 13] =
    [60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];

/// Steps in a chart: more would be finer than a line is wide.
const MOST_STEPS: i64 = 600;

/// One series as it is drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Course {
    /// The days of each month, oldest first.
    pub(super) days: Vec<(Month, Vec<DayCell>)>,
    /// From the first day with rows to the end of the last; none if there are no rows.
    pub(super) window: Option<EpochRange>,
    /// How long a step is.
    pub(super) step_secs: i64,
    /// By first second of the step; steps without rows are left out.
    pub(super) spans: BTreeMap<i64, PriceSpan>,
    /// Rows by first second of the UTC day, as the sidecar says, or the file where it says nothing.
    pub(super) rows_by_day: BTreeMap<i64, u64>,
    /// What could not be read, or contradicts itself.
    pub(super) problems: Vec<Problem>,
}

impl Course {
    /// Reads a series, one month after the other.
    pub fn of(
        found: &SeriesSurvey,
        now: Epoch,
        mut read: impl FnMut(&PartitionKey, i64) -> Result<MonthPrices, Unreadable>,
    ) -> Self {
        let days = calendar::days(found, now);
        let window = window(found, &days);
        let width = found.series.kind.granularity().map_or(0, |width| u32::from(width).into());
        let step_secs = step(window.map_or(0, EpochRange::len_secs), width);
        let mut course = Self { days, window, step_secs, ..Self::default() };
        let first_shown = course.days.first().map(|(month, _)| *month);
        for month in found.months.iter().filter(|month| Some(month.month) >= first_shown) {
            // What cannot be believed is a problem already.
            let Some(sidecar) = &month.sidecar else { continue };
            let key = PartitionKey { series: found.series.clone(), month: month.month };
            course.add(month, sidecar, &key, read(&key, step_secs));
        }
        course
    }

    fn add(
        &mut self,
        month: &MonthSurvey,
        sidecar: &Sidecar,
        key: &PartitionKey,
        read: Result<MonthPrices, Unreadable>,
    ) {
        let said = rows_said(sidecar, month.month);
        let held = match read {
            Ok(held) => held,
            Err(why) => {
                self.rows_by_day.extend(said);
                let why = format!("cannot be drawn, the Parquet file is unusable: {why}");
                self.problems.push(Problem::new(key, &why));
                return;
            }
        };
        let contradiction = contradiction(sidecar, &said, &held);
        self.problems.extend(contradiction.map(|why| Problem::new(key, &why)));
        self.rows_by_day.extend(if said.is_empty() { held.rows_by_day } else { said });
        for (start, span) in held.spans {
            self.spans.entry(start).and_modify(|known| known.go_on(span)).or_insert(span);
        }
    }
}

/// What sidecar and file say differently of the rows; to be read after the name of the partition.
fn contradiction(
    sidecar: &Sidecar,
    said: &BTreeMap<i64, u64>,
    held: &MonthPrices,
) -> Option<String> {
    if held.n_outside > 0 {
        return Some(format!("holds {} rows of other months", thousands(held.n_outside)));
    }
    if held.n_unusable > 0 {
        return Some(format!("holds {} prices that cannot be", thousands(held.n_unusable)));
    }
    if held.n_unsorted > 0 {
        return Some(format!("holds {} rows out of order", thousands(held.n_unsorted)));
    }
    if sidecar.record_count > 0 && sidecar.start_epoch > sidecar.end_epoch {
        return Some("has rows, but its sidecar ends before it begins".to_owned());
    }
    if held.n_rows != sidecar.record_count {
        let (held, said) = (thousands(held.n_rows), thousands(sidecar.record_count));
        return Some(format!("holds {held} rows, its sidecar says {said}"));
    }
    if said.is_empty() {
        return None;
    }
    let days = said.keys().chain(held.rows_by_day.keys());
    let rows = |of: &BTreeMap<i64, u64>, day| of.get(day).copied().unwrap_or(0);
    let mut differing = days.filter(|day| rows(said, day) != rows(&held.rows_by_day, day));
    let first = differing.next()?;
    let (held, said) = (rows(&held.rows_by_day, first), rows(said, first));
    let (held, said) = (thousands(held), thousands(said));
    let date = day(Epoch::new(*first));
    Some(format!("holds {held} rows on {date}, its sidecar says {said}"))
}

/// The rows of each day by the sidecar; days of other months say nothing.
fn rows_said(sidecar: &Sidecar, month: Month) -> BTreeMap<i64, u64> {
    let of_month = |date: &str| {
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        let midnight = Epoch::new(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp());
        month.range().contains(midnight).then_some(midnight.secs())
    };
    sidecar.days.iter().filter_map(|day| Some((of_month(&day.date)?, day.rows))).collect()
}

/// The days from the first row to the last, as far as they are on the page.
fn window(found: &SeriesSurvey, days: &[(Month, Vec<DayCell>)]) -> Option<EpochRange> {
    let (first, last) = (days.first()?.0.range().start(), days.last()?.0.range().end());
    let shown = EpochRange::new(first, last)?;
    let ends = found.standing.first_row.zip(found.standing.last_row);
    let rows = match ends.and_then(|(first, last)| EpochRange::inclusive(first, last)) {
        Some(rows) => rows.intersect(shown)?,
        // There are some, but the sidecars name ends that cannot be.
        None if found.standing.rows > 0 => shown,
        None => return None,
    };
    EpochRange::new(rows.start().floor_to(DAY, 0), rows.end().ceil_to(DAY, 0))
}

/// The finest step of which there are not too many, and that is no finer than the rows.
fn step(span_secs: i64, width: i64) -> i64 {
    let fits = |step: &i64| *step >= width && span_secs / step <= MOST_STEPS;
    STEPS.into_iter().find(fits).unwrap_or(28 * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_as_fine_as_a_chart_can_show() {
        assert_eq!(step(DAY, 0), 300);
        assert_eq!(step(31 * DAY, 0), 7_200);
        assert_eq!(step(31 * DAY, DAY), DAY);
        assert_eq!(step(92 * DAY, 0), 14_400);
        assert_eq!(step(365 * DAY, 0), DAY);
        assert_eq!(step(3_653 * DAY, 0), 7 * DAY);
        assert_eq!(step(i64::MAX, 0), 28 * DAY);
    }
}
