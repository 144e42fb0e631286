//! The prices of one partition in few numbers, to be looked at and not to be relied on: lowest,
//! highest and last of each step of time, and the rows of each day.
//!
//! Streams like every reader here: what is held grows with the steps of a month, not with its rows.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::{Candle, EpochRange, Kind, PartitionKey, Tick};
use crate::format::Layout;

use super::checks::shown;
use super::reader::{ParquetFile, ReadError};
use super::record::CheckedRecord;

const SECS_PER_DAY: i64 = 86_400;

/// Beyond it doubles tell hundredths no longer apart, and nothing is quoted there.
const LARGEST_PRICE: f64 = 1e13;

/// What the price did within one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriceSpan {
    /// Lowest price.
    pub low: f64,
    /// Highest price.
    pub high: f64,
    /// Price of the last row.
    pub last: f64,
}

/// What the Parquet file of one month holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MonthPrices {
    /// By first second of the step; steps without rows are left out.
    pub spans: BTreeMap<i64, PriceSpan>,
    /// Rows by first second of the UTC day; days without rows are left out.
    pub rows_by_day: BTreeMap<i64, u64>,
    /// Rows of the file, those outside of the month included.
    pub n_rows: u64,
    /// Rows that lie outside of the month; they are in no other number.
    pub n_outside: u64,
    /// Rows with a price that is no number, or larger than any; they are in no span.
    pub n_unusable: u64,
    /// Rows that do not come after the row before them.
    pub n_unsorted: u64,
}

/// Why a Parquet file cannot be read; to be read after its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Reads the prices of one month in steps of `step_secs`, which must be positive.
///
/// # Errors
///
/// If the file cannot be read to its end; nothing of it is told then.
pub fn month_prices(
    root: &Path,
    key: &PartitionKey,
    step_secs: i64,
) -> Result<MonthPrices, Unreadable> {
    let path = Layout::new(root).parquet(key);
    let range = key.month.range();
    let read = match key.series.kind {
        Kind::Ticks => read::<Tick>(&path, range, step_secs),
        Kind::Candles(_) => read::<Candle>(&path, range, step_secs),
    };
    read.map_err(|error| Unreadable(shown(error)))
}

fn read<R: CheckedRecord>(
    path: &Path,
    month: EpochRange,
    step_secs: i64,
) -> Result<MonthPrices, ReadError> {
    let mut prices = MonthPrices::default();
    let mut rows = ParquetFile::open(path)?.rows::<R>()?;
    let mut last = None;
    while let Some(batch) = rows.next_rows()? {
        for row in batch {
            prices.n_unsorted += u64::from(last >= Some(row.epoch()));
            last = Some(row.epoch());
            prices.add(row, month, step_secs);
        }
    }
    Ok(prices)
}

impl MonthPrices {
    fn add<R: CheckedRecord>(&mut self, row: &R, month: EpochRange, step_secs: i64) {
        let epoch = row.epoch();
        self.n_rows += 1;
        // A file that lies about itself must not fill the memory with steps.
        if !month.contains(epoch) {
            self.n_outside += 1;
            return;
        }
        let day = epoch.floor_to(SECS_PER_DAY, 0).secs();
        *self.rows_by_day.entry(day).or_default() += 1;
        let prices = row.prices();
        let Some(span) = span_of(prices.as_ref()) else {
            self.n_unusable += 1;
            return;
        };
        let step = epoch.floor_to(step_secs, 0).secs();
        self.spans.entry(step).and_modify(|known| known.go_on(span)).or_insert(span);
    }
}

impl PriceSpan {
    /// Takes in the rows that come next.
    pub fn go_on(&mut self, next: Self) {
        self.low = self.low.min(next.low);
        self.high = self.high.max(next.high);
        self.last = next.last;
    }
}

/// The prices of one row; the last of them is the latest, of a quote as of a candle.
fn span_of(prices: &[f64]) -> Option<PriceSpan> {
    let last = *prices.last()?;
    // What is no number is not smaller either.
    if !prices.iter().all(|price| price.abs() <= LARGEST_PRICE) {
        return None;
    }
    let low = prices.iter().copied().fold(last, f64::min);
    let high = prices.iter().copied().fold(last, f64::max);
    Some(PriceSpan { low, high, last })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Archive, Sample, month_start, range, tick};
    use super::*;

    fn given(rows: Vec<Tick>) -> (Archive, PartitionKey) {
        let start = month_start();
        let sample = Sample::new("R_100", Kind::Ticks, rows, range(start, start + 86_400));
        let archive = Archive::new();
        sample.publish(&archive);
        (archive, sample.key)
    }

    #[test]
    fn a_month_becomes_its_steps() {
        let start = month_start();
        let rows = vec![
            tick(start, 5.0),
            tick(start + 59, 7.0),
            tick(start + 60, 4.0),
            tick(start + 86_400, 6.0),
            tick(start + 86_401, f64::NAN),
        ];
        let (archive, key) = given(rows);
        let prices = month_prices(archive.root(), &key, 60).unwrap();
        let span = |low, high, last| PriceSpan { low, high, last };
        let expected = [
            (start, span(5.0, 7.0, 7.0)),
            (start + 60, span(4.0, 4.0, 4.0)),
            (start + 86_400, span(6.0, 6.0, 6.0)),
        ];
        assert_eq!(prices.spans, BTreeMap::from(expected));
        assert_eq!(prices.rows_by_day, BTreeMap::from([(start, 3), (start + 86_400, 2)]));
        assert_eq!((prices.n_rows, prices.n_outside, prices.n_unusable), (5, 0, 1));
    }

    #[test]
    fn rows_out_of_order_are_counted() {
        let start = month_start();
        let (archive, key) = given([0, 2, 2, 1, 3].map(|secs| tick(start + secs, 1.0)).to_vec());
        assert_eq!(month_prices(archive.root(), &key, 60).unwrap().n_unsorted, 2);
    }

    /// A hostile file could name a step a row.
    #[test]
    fn rows_of_other_months_are_only_counted() {
        let start = month_start();
        let (archive, key) = given(vec![tick(0, 1.0), tick(start, 1.0), tick(i64::MAX, 1.0)]);
        let prices = month_prices(archive.root(), &key, 60).unwrap();
        assert_eq!((prices.n_rows, prices.n_outside), (3, 2));
        assert_eq!((prices.spans.len(), prices.rows_by_day.len()), (1, 1));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let (archive, key) = given(vec![tick(month_start(), 1.0)]);
        let path = Layout::new(archive.root()).parquet(&key);
        for (content, part) in [("PAR1 but no Parquet", "no readable Parquet"), ("", "empty")] {
            std::fs::write(&path, content).unwrap();
            let error = month_prices(archive.root(), &key, 60).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(month_prices(archive.root(), &key, 60).is_err());
    }
}
