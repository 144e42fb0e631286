//! One UTC month of one series, and what can be said of it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::series::Series;
use super::time::{Epoch, EpochRange};

/// One UTC calendar month between the years 1970 and 9998.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: u16,
    month: u8,
}

/// The text says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a month; write one like `2026-03`", .0.escape_default())]
pub struct InvalidMonth(String);

impl Month {
    /// Makes a month, or `None` if there is no such month between 1970 and 9998.
    pub fn new(year: i32, month: u32) -> Option<Self> {
        let year = u16::try_from(year).ok().filter(|year| (1970..=9998).contains(year))?;
        let month = u8::try_from(month).ok().filter(|month| (1..=12).contains(month))?;
        Some(Self { year, month })
    }

    /// The month in which `epoch` falls, or `None` outside 1970 to 9998.
    pub fn containing(epoch: Epoch) -> Option<Self> {
        let utc: DateTime<Utc> = epoch.to_utc()?;
        Self::new(utc.year(), utc.month())
    }

    /// The seconds of this month.
    pub fn range(self) -> EpochRange {
        EpochRange::new(first_second(self), first_second(self.next()))
            .expect("a month ends after it begins")
    }

    /// The month after this one.
    #[must_use]
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { month: self.month + 1, ..self }
        }
    }

    /// The month `n_months` before this one, or `None` before 1970.
    pub fn back(self, n_months: u32) -> Option<Self> {
        let index = u32::from(self.year) * 12 + u32::from(self.month) - 1;
        let index = index.checked_sub(n_months)?;
        Self::new(i32::try_from(index / 12).ok()?, index % 12 + 1)
    }

    /// The months that share a second with `range`, oldest first.
    pub fn touching(range: EpochRange) -> Vec<Self> {
        let (Some(first), Some(last)) =
            (Self::containing(range.start()), Self::containing(range.last()))
        else {
            return Vec::new();
        };
        std::iter::successors(Some(first), |month| Some(month.next()))
            .take_while(|month| *month <= last)
            .collect()
    }
}

fn first_second(month: Month) -> Epoch {
    let date = NaiveDate::from_ymd_opt(i32::from(month.year), u32::from(month.month), 1)
        .expect("years 1970 to 9999 are in the calendar");
    Epoch::new(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}-{:02}", self.year, self.month))
    }
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMonth(text.chars().take(64).collect());
        let (year, month) = text.split_once('-').ok_or_else(invalid)?;
        let digits =
            |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(invalid());
        }
        let number = |part: &str| part.parse::<u32>().map_err(|_| invalid());
        Self::new(number(year)?.cast_signed(), number(month)?).ok_or_else(invalid)
    }
}

/// Names one partition: one month of one series. In JSON and in flags `R_100/candles_60/2026-03`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartitionKey {
    /// Whose records.
    pub series: Series,
    /// Which month.
    pub month: Month,
}

/// A text does not name a partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no partition; write one like `R_100/ticks/2026-03`", .0.escape_debug())]
pub struct InvalidPartitionKey(String);

impl FromStr for PartitionKey {
    type Err = InvalidPartitionKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (symbol, rest) = text.split_once('/')?;
            let (kind, month) = rest.split_once('/')?;
            let series = Series { symbol: symbol.parse().ok()?, kind: kind.parse().ok()? };
            Some(Self { series, month: month.parse().ok()? })
        };
        read().ok_or_else(|| InvalidPartitionKey(text.to_owned()))
    }
}

impl TryFrom<String> for PartitionKey {
    type Error = InvalidPartitionKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Its path below the archive, without an ending.
impl From<PartitionKey> for String {
    fn from(PartitionKey { series, month }: PartitionKey) -> Self {
        format!("{}/{}/{month}", series.symbol, series.kind.folder())
    }
}

/// `R_100 ticks 2026-03`.
impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.series, self.month))
    }
}

/// How far a partition is from never changing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// The month is running.
    Open,
    /// The month is over, but its settle lag has not passed or something is still missing.
    Settling,
    /// The settle lag has passed and every second is settled; not asked again.
    Sealed,
}

/// Why records are missing where the series promises them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapClass {
    /// A week-end or the time between two sessions.
    MarketClosed,
    /// Interior of one well-formed page, and no longer than the series is used to be silent.
    WithinPage,
    /// Asked twice in one run, soon after it was: the source may still fill it.
    Silent,
    /// Asked again by itself after the settle lag, and still nothing.
    ConfirmedBySource,
    /// Before the first row that the series ever had.
    BeforeFirstRow,
    /// Not explained by anything.
    Unexplained,
}

/// A silent stretch `[start, end)` between two rows, longer than the series' threshold.
///
/// `start` is the second after the row before it, `end` the epoch of the row behind it. At the
/// edge of a partition `start` or `end` is the edge of what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First silent second.
    pub start: Epoch,
    /// First second after the silence.
    pub end: Epoch,
    /// How many records the cadence of the series would have put there.
    pub missing_estimate: u64,
    /// What is known of the reason.
    pub class: GapClass,
    /// When the source first answered with this silence, by its clock; kept where it is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_first: Option<Epoch>,
    /// When it did last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_last: Option<Epoch>,
}

impl Gap {
    /// Its seconds.
    pub fn range(&self) -> Option<EpochRange> {
        EpochRange::new(self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_its_seconds() {
        let month: Month = "2026-02".parse().unwrap();
        assert_eq!(month.range().start().to_string(), "2026-02-01T00:00:00Z");
        assert_eq!(month.range().end().to_string(), "2026-03-01T00:00:00Z");
        assert_eq!(month.range().len_secs(), 28 * 86_400);
        assert_eq!(Month::containing(month.range().last()), Some(month));
    }

    #[test]
    fn a_partition_is_named_by_its_path() {
        for text in ["R_100/ticks/2026-03", "frxEURUSD/candles_60/2025-12"] {
            let key: PartitionKey = text.parse().unwrap();
            assert_eq!(String::from(key), text);
        }
        for text in ["R_100/ticks", "R_100/candles_61/2026-03", "R_100/ticks/2026-03/x", "../a/b"] {
            assert!(text.parse::<PartitionKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn counts_months_back_over_the_year() {
        let month: Month = "2026-02".parse().unwrap();
        assert_eq!(month.back(2).map(|m| m.to_string()).as_deref(), Some("2025-12"));
        assert_eq!(Month::new(1970, 1).unwrap().back(1), None);
    }

    #[test]
    fn refuses_what_is_no_month() {
        for text in
            ["2026-13", "2026-00", "26-01", "2026-1", "2026", "1969-12", "9999-01", "2026-+1"]
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }

    #[test]
    fn lists_the_months_of_a_range() {
        let start: Month = "2025-11".parse().unwrap();
        let range = EpochRange::new(
            start.range().start().plus(5),
            start.next().next().range().start().plus(1),
        );
        let months: Vec<_> =
            Month::touching(range.unwrap()).iter().map(ToString::to_string).collect();
        assert_eq!(months, ["2025-11", "2025-12", "2026-01"]);
    }
}
