//! When a market is open, in UTC.

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Opening hours of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hours {
    /// Day and night, week-ends included.
    Always,
    /// From Sunday 21:00 to Friday 21:00.
    Forex,
    /// Monday to Friday from 07:00 to 20:00, with an hour's pause at noon.
    Weekdays,
}

/// When forex opens on Sunday and closes on Friday, as seconds of the day.
const EVENING: i64 = 21 * 3600;

/// When the weekday markets are open, as seconds of the day.
const OFFICE: [std::ops::Range<i64>; 2] = [7 * 3600..12 * 3600, 13 * 3600..20 * 3600];

/// Day of the week of an epoch, 0 = Monday.
pub(super) fn weekday(epoch: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (epoch.div_euclid(DAY) + 3).rem_euclid(7)
}

impl Hours {
    /// Tells whether the market trades in this second.
    pub(super) fn is_open(self, epoch: i64) -> bool {
        let second = epoch.rem_euclid(DAY);
        match (self, weekday(epoch)) {
            (Self::Always, _) => true,
            (Self::Forex, 4) => second < EVENING,
            (Self::Forex, 5) => false,
            (Self::Forex, 6) => second >= EVENING,
            (Self::Forex, _) => true,
            (Self::Weekdays, 5 | 6) => false,
            (Self::Weekdays, _) => OFFICE.iter().any(|session| session.contains(&second)),
        }
    }

    /// Returns the latest open second that is not after `epoch`.
    pub(super) fn last_open(self, epoch: i64) -> i64 {
        if self.is_open(epoch) {
            return epoch;
        }
        // Sessions begin and end on full hours, so hours are the only places to look.
        let mut hour = epoch - epoch.rem_euclid(3600);
        while !self.is_open(hour - 1) {
            hour -= 3600;
        }
        hour - 1
    }

    /// Tells whether no second of `[from, to]` is open; `to - from` is at most a few hours.
    pub(super) fn is_closed_throughout(self, from: i64, to: i64) -> bool {
        self.last_open(to) < from
    }

    /// Opening and closing times of one day (any second of it), as `HH:MM:SS`, and `--` when shut.
    pub(super) fn of_day(self, epoch: i64) -> &'static [(&'static str, &'static str)] {
        match (self, weekday(epoch)) {
            (Self::Always, _) | (Self::Forex, 0..=3) => &[("00:00:00", "23:59:59")],
            (Self::Forex, 4) => &[("00:00:00", "21:00:00")],
            (Self::Forex, 6) => &[("21:00:00", "23:59:59")],
            (Self::Forex, _) | (Self::Weekdays, 5 | 6) => &[("--", "--")],
            (Self::Weekdays, _) => &[("07:00:00", "12:00:00"), ("13:00:00", "20:00:00")],
        }
    }

    /// What is told of hours that differ from the other days of the week: dates and why.
    pub(super) fn events(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Forex => {
                &[("Fridays", "Closes early (at 21:00)"), ("Sundays", "Opens late (at 21:00)")]
            }
            Self::Always | Self::Weekdays => &[],
        }
    }

    /// Days on which the market opens at all.
    pub(super) fn trading_days(self) -> &'static [&'static str] {
        match self {
            Self::Always => &["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
            Self::Forex => &["Sun", "Mon", "Tue", "Wed", "Thu", "Fri"],
            Self::Weekdays => &["Mon", "Tue", "Wed", "Thu", "Fri"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday 2026-03-06 00:00:00 UTC.
    const FRIDAY: i64 = 1_772_755_200;

    #[test]
    fn forex_closes_from_friday_evening_to_sunday_evening() {
        assert_eq!(weekday(FRIDAY), 4);
        let closes = FRIDAY + EVENING;
        let opens = FRIDAY + 2 * DAY + EVENING;
        assert!(Hours::Forex.is_open(closes - 1));
        assert!(!Hours::Forex.is_open(closes));
        assert!(!Hours::Forex.is_open(opens - 1));
        assert!(Hours::Forex.is_open(opens));
        assert_eq!(Hours::Forex.last_open(opens - 1), closes - 1);
        assert!(Hours::Forex.is_closed_throughout(closes, opens - 1));
        assert!(!Hours::Forex.is_closed_throughout(closes, opens));
    }

    #[test]
    fn stock_indices_keep_office_hours() {
        let hours = Hours::Weekdays;
        assert!(!hours.is_open(FRIDAY + 7 * 3600 - 1));
        assert!(hours.is_open(FRIDAY + 7 * 3600));
        assert_eq!(hours.last_open(FRIDAY + DAY + 5), FRIDAY + 20 * 3600 - 1);
        assert!(hours.is_closed_throughout(FRIDAY + 12 * 3600, FRIDAY + 13 * 3600 - 1));
    }

    /// What is told of a day is what happens on it.
    #[test]
    fn the_times_that_are_told_are_those_that_are_kept() {
        let secs = |clock: &str| -> i64 {
            clock.split(':').fold(0, |secs, part| secs * 60 + part.parse::<i64>().unwrap())
        };
        for hours in [Hours::Always, Hours::Forex, Hours::Weekdays] {
            for day in (0..7).map(|day| FRIDAY + day * DAY) {
                let told = hours.of_day(day).iter().filter(|(open, _)| *open != "--");
                let told: Vec<_> = told.map(|(open, close)| (secs(open), secs(close))).collect();
                for second in (0..DAY).step_by(600).chain([DAY - 1]) {
                    let is_told = told.iter().any(|(open, close)| {
                        // The last second of a day stands for its end.
                        *open <= second && (second < *close || *close == DAY - 1)
                    });
                    assert_eq!(hours.is_open(day + second), is_told, "{hours:?} {day} {second}");
                }
                let name = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][weekday(day) as usize];
                assert_eq!(hours.trading_days().contains(&name), !told.is_empty());
            }
        }
    }
}
