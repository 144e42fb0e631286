//! `rows_sha256`: a hash of the rows themselves, whatever file they lie in.
//!
//! SHA-256 over, row by row, `epoch` as little-endian int64, then the other columns in the order
//! of the schema as little-endian IEEE-754 doubles. One for the whole partition, one for each UTC
//! day, so that a damaged file loses only the days whose hash fails.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{Epoch, Record};

const SECS_PER_DAY: i64 = 86_400;
/// Bytes of an epoch or a price.
const NUMBER_BYTES: usize = 8;
/// Rows turned into bytes at once: 16 KiB of ticks.
const ROWS_AT_ONCE: usize = 1024;

/// Hash of the rows of one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayDigest {
    /// The day as `YYYY-MM-DD`.
    pub date: String,
    /// Rows in it; days without rows are not listed.
    pub rows: u64,
    /// Lower-case hex.
    pub rows_sha256: String,
}

/// What hashing all rows of a partition gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsDigests {
    /// Rows hashed.
    pub record_count: u64,
    /// Over all rows, lower-case hex.
    pub rows_sha256: String,
    /// Per UTC day, ascending.
    pub days: Vec<DayDigest>,
}

/// Hashes rows as they stream by; they must come in the order of the file.
#[derive(Debug, Default)]
pub struct RowsDigest {
    total: Total,
    n_rows: u64,
    day: Option<OpenDay>,
    days: Vec<DayDigest>,
    buffer: Vec<u8>,
}

/// The hash of all rows.
#[derive(Debug)]
enum Total {
    Hashed(Sha256),
    Known(String),
}

impl Default for Total {
    fn default() -> Self {
        Self::Hashed(Sha256::new())
    }
}

#[derive(Debug)]
struct OpenDay {
    number: i64,
    n_rows: u64,
    hash: Sha256,
}

impl RowsDigest {
    /// Starts with no row.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with no row, and hashes by day alone. `rows_sha256` is what all rows are known to
    /// hash to if they are the same ones: that they are, the days have to show.
    pub fn by_day(rows_sha256: &str) -> Self {
        Self { total: Total::Known(rows_sha256.to_owned()), ..Self::default() }
    }

    /// Adds rows.
    pub fn update<R: Record>(&mut self, mut rows: &[R]) {
        while let Some(first) = rows.first() {
            let secs = first.epoch().secs();
            let midnight = secs.wrapping_sub(secs.rem_euclid(SECS_PER_DAY));
            let secs_in = |row: &R| row.epoch().secs().wrapping_sub(midnight).cast_unsigned();
            let is_other_day = |row: &R| secs_in(row) >= SECS_PER_DAY.cast_unsigned();
            let n_rows = rows.iter().position(is_other_day).unwrap_or(rows.len());
            let (of_day, rest) = rows.split_at(n_rows);
            self.update_one_day(day_number(first.epoch()), of_day);
            rows = rest;
        }
    }

    fn update_one_day<R: Record>(&mut self, number: i64, rows: &[R]) {
        if self.day.as_ref().is_none_or(|day| day.number != number) {
            self.close_day();
        }
        let day =
            self.day.get_or_insert_with(|| OpenDay { number, n_rows: 0, hash: Sha256::new() });
        day.n_rows += rows.len() as u64;
        self.n_rows += rows.len() as u64;
        // For day and whole while the bytes are still in the first-level cache.
        for rows in rows.chunks(ROWS_AT_ONCE) {
            write_rows(&mut self.buffer, rows);
            day.hash.update(&self.buffer);
            if let Total::Hashed(total) = &mut self.total {
                total.update(&self.buffer);
            }
        }
    }

    /// Ends with the last row and returns the hashes.
    pub fn finish(mut self) -> RowsDigests {
        self.close_day();
        RowsDigests {
            record_count: self.n_rows,
            rows_sha256: match self.total {
                Total::Hashed(total) => hex(&total.finalize()),
                Total::Known(rows_sha256) => rows_sha256,
            },
            days: self.days,
        }
    }

    fn close_day(&mut self) {
        if let Some(day) = self.day.take() {
            self.days.push(DayDigest {
                date: date_text(day.number),
                rows: day.n_rows,
                rows_sha256: hex(&day.hash.finalize()),
            });
        }
    }
}

/// Makes `bytes` those that stand for rows in every hash.
fn write_rows<R: Record>(bytes: &mut Vec<u8>, rows: &[R]) {
    let width = NUMBER_BYTES * (1 + R::COLUMNS.len());
    // Not cleared before: what is left of other rows is written over.
    bytes.resize(rows.len() * width, 0);
    for (bytes, row) in bytes.chunks_exact_mut(width).zip(rows) {
        let (epoch, prices) = bytes.split_at_mut(NUMBER_BYTES);
        epoch.copy_from_slice(&row.epoch().secs().to_le_bytes());
        for (bytes, price) in prices.chunks_exact_mut(NUMBER_BYTES).zip(row.prices().as_ref()) {
            bytes.copy_from_slice(&price.to_le_bytes());
        }
    }
}

/// Lower-case hexadecimal text of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn day_number(epoch: Epoch) -> i64 {
    epoch.secs().div_euclid(SECS_PER_DAY)
}

fn date_text(day: i64) -> String {
    let midnight = Epoch::new(day.saturating_mul(SECS_PER_DAY));
    midnight.to_utc().map_or_else(|| day.to_string(), |utc| utc.date_naive().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Candle, Tick};

    fn tick(epoch: i64, quote: f64) -> Tick {
        Tick { epoch: Epoch::new(epoch), quote }
    }

    /// Expected values: `hashlib.sha256(struct.pack("<qd", …)).hexdigest()` in Python.
    #[test]
    fn hashes_rows_as_documented() {
        let mut digest = RowsDigest::new();
        digest.update(&[tick(0, 1.5), tick(86_400, 252.662)]);
        let digests = digest.finish();
        assert_eq!(digests.rows_sha256, PYTHON_TWO_TICKS);
        assert_eq!(digests.record_count, 2);
        let dates: Vec<_> = digests.days.iter().map(|day| day.date.as_str()).collect();
        assert_eq!(dates, ["1970-01-01", "1970-01-02"]);

        let mut digest = RowsDigest::new();
        let candle = Candle { epoch: Epoch::new(60), open: 1.0, high: 4.0, low: 0.5, close: 2.0 };
        digest.update(&[candle]);
        assert_eq!(digest.finish().rows_sha256, PYTHON_ONE_CANDLE);
    }

    #[test]
    fn by_day_the_whole_is_what_was_known() {
        let rows: Vec<_> = (0..1000).map(|i| tick(i * 300, i as f64)).collect();
        let mut whole = RowsDigest::new();
        whole.update(&rows);
        let whole = whole.finish();
        let mut by_day = RowsDigest::by_day(&whole.rows_sha256);
        by_day.update(&rows);
        assert_eq!(by_day.finish(), whole);
    }

    #[test]
    fn does_not_depend_on_how_rows_are_batched() {
        let rows: Vec<_> = (0..1000).map(|i| tick(i * 300, i as f64)).collect();
        let mut at_once = RowsDigest::new();
        at_once.update(&rows);
        let mut in_pieces = RowsDigest::new();
        for piece in rows.chunks(7) {
            in_pieces.update(piece);
        }
        assert_eq!(at_once.finish(), in_pieces.finish());
    }

    const PYTHON_TWO_TICKS: &str =
        "1f71fdb4a03c9864300312d5206b7f1186898562ac730c87753a6dfd7ee31d50";
    const PYTHON_ONE_CANDLE: &str =
        "afd89e545052827d39b441f1fa1b748572f0022f3ed06f0f361658f6b6f6c377";
}
