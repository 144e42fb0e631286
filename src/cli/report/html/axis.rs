//! Where an axis of time has its marks, and what they are called. Pure; all times are UTC.

use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::domain::Epoch;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The first Monday after 1970-01-01.
const MONDAY: i64 = 4 * DAY;

/// Steps of hours and days, the finest first.
const STEPS: [i64; 8] = [HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY];

/// Steps of months, the finest first.
const MONTH_STEPS: [u32; 6] = [1, 2, 3, 6, 12, 24];

/// The marks of `[start, end]`, at most `most` of them: at the finest step that is not finer than
/// that.
pub(super) fn marks(start: i64, end: i64, most: usize) -> Vec<i64> {
    for step in STEPS {
        // Weeks begin on Mondays.
        let phase = if step == 7 * DAY { MONDAY } else { 0 };
        let first = Epoch::new(start).ceil_to(step, phase).secs();
        let n = (end - first).div_euclid(step) + 1;
        if n <= most as i64 {
            return (0..n.max(0)).map(|i| first + i * step).collect();
        }
    }
    for step in MONTH_STEPS {
        let marks = months(start, end, step);
        if marks.len() <= most {
            return marks;
        }
    }
    Vec::new()
}

/// Round values from `bottom` to `top`, at most `most` of them and one more. Bounded whatever the
/// values are: also where a step is smaller than what doubles tell apart there.
pub(super) fn values(bottom: f64, top: f64, most: usize) -> Vec<f64> {
    let least = (top - bottom) / most.max(1) as f64;
    let magnitude = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude);
    let Some(step) = steps.into_iter().find(|step| *step >= least) else { return Vec::new() };
    let first = (bottom / step).ceil();
    let values = (0..=most).map(|i| (first + i as f64) * step);
    values.filter(|value| bottom <= *value && *value <= top).collect()
}

/// The first seconds of every `step`-th month.
fn months(start: i64, end: i64, step: u32) -> Vec<i64> {
    let Some(month) = crate::domain::Month::containing(Epoch::new(start)) else {
        return Vec::new();
    };
    let firsts = std::iter::successors(Some(month), |month| Some(month.next()));
    let firsts = firsts.map(|month| month.range().start().secs());
    let is_marked = |secs: &i64| {
        let index = utc(*secs).map_or(0, |utc| utc.year().unsigned_abs() * 12 + utc.month0());
        *secs >= start && index.is_multiple_of(step)
    };
    firsts.take_while(|secs| *secs <= end).filter(is_marked).collect()
}

/// What a mark is called: `12:00`, `03-07`, or `2026-03` if all marks begin months.
pub(super) fn name(mark: i64, all: &[i64]) -> String {
    let begins_month = |secs: &i64| utc(*secs).is_some_and(|t| t.day() == 1 && is_midnight(t));
    let Some(time) = utc(mark) else { return mark.to_string() };
    let form = if all.len() > 1 && all.iter().all(begins_month) {
        "%Y-%m"
    } else if is_midnight(time) {
        "%m-%d"
    } else {
        "%H:%M"
    };
    time.format(form).to_string()
}

fn is_midnight(time: DateTime<Utc>) -> bool {
    time.num_seconds_from_midnight() == 0
}

fn utc(secs: i64) -> Option<DateTime<Utc>> {
    Epoch::new(secs).to_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01T00:00:00Z, a Sunday.
    const START: i64 = 1_772_323_200;

    fn check(secs: i64, most: usize, expected: &[&str]) {
        let marks = marks(START, START + secs, most);
        let names: Vec<_> = marks.iter().map(|mark| name(*mark, &marks)).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn marks_are_where_people_look_for_them() {
        check(4 * HOUR, 6, &["03-01", "01:00", "02:00", "03:00", "04:00"]);
        check(2 * DAY, 5, &["03-01", "12:00", "03-02", "12:00", "03-03"]);
        check(31 * DAY, 6, &["03-02", "03-09", "03-16", "03-23", "03-30"]);
        check(100 * DAY, 6, &["2026-03", "2026-04", "2026-05", "2026-06"]);
        check(700 * DAY, 5, &["2026-07", "2027-01", "2027-07", "2028-01"]);
        check(0, 5, &["03-01"]);
    }

    #[test]
    fn values_are_round_and_few_whatever_they_are() {
        assert_eq!(values(1_320.0, 2_350.0, 5), [1_500.0, 2_000.0]);
        assert_eq!(values(0.0, 46_000.0, 3), [0.0, 20_000.0, 40_000.0]);
        assert_eq!(values(0.88, 1.12, 5).len(), 5);
        for (bottom, top) in [
            (1e15, 1e15 + 0.25),
            (0.0, f64::MAX),
            (-f64::MAX, f64::MAX),
            (5.0, 5.0),
            (f64::NAN, 1.0),
            (0.0, f64::MIN_POSITIVE),
        ] {
            assert!(values(bottom, top, 5).len() <= 6, "{bottom} to {top}");
        }
    }

    #[test]
    fn no_time_is_too_long_for_few_marks() {
        assert!(marks(0, 253_370_764_800, 5).len() <= 5);
    }
}
