//! The key-value metadata inside each Parquet file: only what follows from rows and coverage.
//!
//! No clock, host or run id, so equal rows and coverage give equal bytes. A file can be judged,
//! and its sidecar rebuilt, from this alone.

use crate::domain::{Coverage, CoverageRange, Granularity, Kind, PartitionKey, Symbol};

use super::FORMAT_VERSION;
use super::bounded::{MOST_DAYS, MOST_RANGES};
use super::digest::DayDigest;

const VERSION_KEY: &str = "titan.format_version";
const SYMBOL_KEY: &str = "titan.symbol";
const KIND_KEY: &str = "titan.kind";
const GRANULARITY_KEY: &str = "titan.granularity";
const MONTH_KEY: &str = "titan.month";
const PIP_SIZE_KEY: &str = "titan.pip_size";
const COVERAGE_KEY: &str = "titan.coverage";
const RECORD_COUNT_KEY: &str = "titan.record_count";
const ROWS_SHA256_KEY: &str = "titan.rows_sha256";
const DAYS_KEY: &str = "titan.days";

/// What a Parquet file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Which partition it is.
    pub key: PartitionKey,
    /// Decimals in which the series is quoted, if the source ever said so.
    pub pip_size: Option<u8>,
    /// What was asked and answered.
    pub coverage: Coverage,
    /// Rows in the file.
    pub record_count: u64,
    /// Hash of all rows, lower-case hex.
    pub rows_sha256: String,
    /// Hash of each UTC day's rows, ascending.
    pub days: Vec<DayDigest>,
}

/// The metadata of a file is not ours, or not readable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// None of our keys is there: another tool wrote the file.
    #[error("the file has no footer of titan-download")]
    Foreign,
    /// A newer build wrote the file.
    #[error("the footer has format version {0}, this build reads up to {FORMAT_VERSION}")]
    TooNew(u32),
    /// A key is missing or its value makes no sense.
    #[error("footer key `{0}` is missing or damaged")]
    Damaged(&'static str),
    /// A value holds more than one of ours can.
    #[error("footer key `{0}` holds more than that of any partition")]
    TooLong(&'static str),
}

impl Footer {
    /// The key-value pairs to write, always in the same order.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let Self { key, pip_size, coverage, record_count, rows_sha256, days } = self;
        let kind = match key.series.kind {
            Kind::Ticks => "ticks",
            Kind::Candles(_) => "candles",
        };
        let mut pairs = vec![
            (VERSION_KEY, FORMAT_VERSION.to_string()),
            (SYMBOL_KEY, key.series.symbol.to_string()),
            (KIND_KEY, kind.to_owned()),
        ];
        if let Some(granularity) = key.series.kind.granularity() {
            pairs.push((GRANULARITY_KEY, granularity.to_string()));
        }
        pairs.push((MONTH_KEY, key.month.to_string()));
        if let Some(pip_size) = pip_size {
            pairs.push((PIP_SIZE_KEY, pip_size.to_string()));
        }
        pairs.extend([
            (COVERAGE_KEY, json(coverage)),
            (RECORD_COUNT_KEY, record_count.to_string()),
            (ROWS_SHA256_KEY, rows_sha256.clone()),
            (DAYS_KEY, json(days)),
        ]);
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Reads the pairs of a file; `get` looks a key up among them.
    ///
    /// # Errors
    ///
    /// [`FooterError::Foreign`] for a file of another tool, otherwise what is wrong with ours.
    pub fn from_pairs<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, FooterError> {
        let version = get(VERSION_KEY).ok_or(FooterError::Foreign)?;
        let version: u32 = version.parse().map_err(|_| FooterError::Damaged(VERSION_KEY))?;
        if version > FORMAT_VERSION {
            return Err(FooterError::TooNew(version));
        }
        let text = |key: &'static str| get(key).ok_or(FooterError::Damaged(key));
        let symbol: Symbol = parsed(SYMBOL_KEY, text(SYMBOL_KEY)?)?;
        let kind = match text(KIND_KEY)? {
            "ticks" => Kind::Ticks,
            "candles" => Kind::Candles(granularity(text(GRANULARITY_KEY)?)?),
            _ => return Err(FooterError::Damaged(KIND_KEY)),
        };
        let series = crate::domain::Series { symbol, kind };
        let month = parsed(MONTH_KEY, text(MONTH_KEY)?)?;
        Ok(Self {
            key: PartitionKey { series, month },
            pip_size: get(PIP_SIZE_KEY).map(|text| parsed(PIP_SIZE_KEY, text)).transpose()?,
            coverage: coverage(text(COVERAGE_KEY)?)?,
            record_count: parsed(RECORD_COUNT_KEY, text(RECORD_COUNT_KEY)?)?,
            rows_sha256: text(ROWS_SHA256_KEY)?.to_owned(),
            days: list(DAYS_KEY, text(DAYS_KEY)?, MOST_DAYS)?,
        })
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain values always become JSON")
}

fn from_json<T: serde::de::DeserializeOwned>(
    key: &'static str,
    text: &str,
) -> Result<T, FooterError> {
    serde_json::from_str(text).map_err(|_| FooterError::Damaged(key))
}

fn coverage(text: &str) -> Result<Coverage, FooterError> {
    let ranges: Vec<CoverageRange> = list(COVERAGE_KEY, text, MOST_RANGES)?;
    Ok(Coverage::from(ranges))
}

/// A list of at most `most` entries.
fn list<T: serde::de::DeserializeOwned>(
    key: &'static str,
    text: &str,
    most: usize,
) -> Result<Vec<T>, FooterError> {
    let entries: Vec<T> = from_json(key, text)?;
    if entries.len() > most { Err(FooterError::TooLong(key)) } else { Ok(entries) }
}

fn parsed<T: std::str::FromStr>(key: &'static str, text: &str) -> Result<T, FooterError> {
    text.parse().map_err(|_| FooterError::Damaged(key))
}

fn granularity(text: &str) -> Result<Granularity, FooterError> {
    let secs: u32 = parsed(GRANULARITY_KEY, text)?;
    Granularity::try_from(secs).map_err(|_| FooterError::Damaged(GRANULARITY_KEY))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::{CoverageState, Month, Series};

    fn footer(kind: Kind) -> Footer {
        let month: Month = "2026-03".parse().unwrap();
        let series = Series { symbol: "R_100".parse().unwrap(), kind };
        let mut coverage = Coverage::new();
        coverage.insert(month.range(), CoverageState::Answered);
        Footer {
            key: PartitionKey { series, month },
            pip_size: Some(2),
            coverage,
            record_count: 1,
            rows_sha256: "ab".into(),
            days: vec![DayDigest { date: "2026-03-01".into(), rows: 1, rows_sha256: "ab".into() }],
        }
    }

    fn read(pairs: &[(String, String)]) -> Result<Footer, FooterError> {
        let map: HashMap<_, _> = pairs.iter().cloned().collect();
        Footer::from_pairs(|key| map.get(key).map(String::as_str))
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in [Kind::Ticks, Kind::Candles(Granularity::MINUTE)] {
            assert_eq!(read(&footer(kind).to_pairs()), Ok(footer(kind)));
        }
    }

    #[test]
    fn every_key_that_is_lost_is_noticed() {
        let pairs = footer(Kind::Candles(Granularity::MINUTE)).to_pairs();
        for lost in 0..pairs.len() {
            let mut rest = pairs.clone();
            let (key, _) = rest.remove(lost);
            let read = read(&rest);
            match key.as_str() {
                VERSION_KEY => assert_eq!(read, Err(FooterError::Foreign)),
                PIP_SIZE_KEY => assert_eq!(read.map(|f| f.pip_size), Ok(None)),
                _ => assert!(matches!(read, Err(FooterError::Damaged(_))), "{key}"),
            }
        }
    }

    #[test]
    fn lists_beyond_any_month_are_refused_by_their_key() {
        let check = |key: &'static str, entry: &str, n: usize, expected: bool| {
            let mut pairs = footer(Kind::Ticks).to_pairs();
            let value = pairs.iter_mut().find(|pair| pair.0 == key).map(|pair| &mut pair.1);
            *value.unwrap() = format!("[{}]", vec![entry; n].join(","));
            assert_eq!(read(&pairs) == Err(FooterError::TooLong(key)), expected, "{n} of {key}");
        };
        let range = r#"{"start":1,"end":2,"state":"answered"}"#;
        check(COVERAGE_KEY, range, MOST_RANGES, false);
        check(COVERAGE_KEY, range, MOST_RANGES + 1, true);
        let day = r#"{"date":"2026-03-01","rows":1,"rows_sha256":"ab"}"#;
        check(DAYS_KEY, day, 31, false);
        check(DAYS_KEY, day, 32, true);
    }

    #[test]
    fn refuses_a_newer_format() {
        let mut pairs = footer(Kind::Ticks).to_pairs();
        pairs[0].1 = "2".into();
        assert_eq!(read(&pairs), Err(FooterError::TooNew(2)));
    }
}
