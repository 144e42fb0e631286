//! Recorded ticks that take the place of a generated market.

use std::io::{self, BufRead};

use crate::domain::{Epoch, Symbol};

use super::instruments::MOST_DECIMALS;
use super::price::{Row, pips_per_unit};

/// The recorded ticks of one symbol: exactly these exist, nothing before, between or after.
#[derive(Debug, Clone)]
pub struct Replay {
    symbol: Symbol,
    decimals: u8,
    rows: Vec<Row>,
}

/// Why a recording cannot be served; the text names the line.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file could not be read further.
    #[error("cannot read line {line} of the recording")]
    Read {
        /// Number of the line, from 1.
        line: usize,
        /// Why.
        source: io::Error,
    },
    /// The first line is not the expected header.
    #[error("line 1: expected the header `epoch,quote`, found `{found}`")]
    Header {
        /// What stands there.
        found: String,
    },
    /// A row is not an epoch and a positive price.
    #[error("line {line}: {reason}; expected a row like `1775217456,616.4`")]
    Row {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is a header and nothing else.
    #[error("the recording of `{symbol}` has no ticks")]
    Empty {
        /// Whose recording.
        symbol: Symbol,
    },
}

impl Replay {
    /// Reads a recording: a header `epoch,quote`, then rows with strictly ascending epochs.
    ///
    /// # Errors
    ///
    /// A [`ReplayError`] that names the first line that is wrong.
    pub fn read(symbol: Symbol, reader: impl BufRead) -> Result<Self, ReplayError> {
        let mut quotes: Vec<Quote> = Vec::new();
        for (index, text) in reader.lines().enumerate() {
            let line = index + 1;
            let text = text.map_err(|source| ReplayError::Read { line, source })?;
            let text = text.trim();
            if line == 1 {
                check_header(text)?;
            } else if !text.is_empty() {
                let quote =
                    Quote::parse(text).map_err(|reason| ReplayError::Row { line, reason })?;
                if quotes.last().is_some_and(|last| last.epoch >= quote.epoch) {
                    let reason = format!("epoch {} is not after the one before", quote.epoch);
                    return Err(ReplayError::Row { line, reason });
                }
                quotes.push(quote);
            }
        }
        let Some(decimals) = quotes.iter().map(|quote| quote.decimals).max() else {
            return Err(ReplayError::Empty { symbol });
        };
        let rows = quotes.iter().map(|quote| quote.row(decimals)).collect();
        Ok(Self { symbol, decimals, rows })
    }

    /// Whose ticks these are.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// The most decimals seen in a quote.
    pub fn decimals(&self) -> u8 {
        self.decimals
    }

    /// First recorded second.
    pub fn first(&self) -> Epoch {
        Epoch::new(self.rows.first().map_or(0, |row| row.epoch))
    }

    /// Last recorded second; a clock frozen one second later shows the whole recording.
    pub fn last(&self) -> Epoch {
        Epoch::new(self.rows.last().map_or(0, |row| row.epoch))
    }

    /// Number of ticks; at least 1.
    pub fn n_ticks(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }
}

fn check_header(text: &str) -> Result<(), ReplayError> {
    let plain = text.trim_start_matches('\u{feff}').replace([' ', '"'], "");
    if plain == "epoch,quote" {
        Ok(())
    } else {
        Err(ReplayError::Header { found: text.chars().take(60).collect() })
    }
}

/// One row as it was read, before the common number of decimals is known.
#[derive(Debug, Clone, Copy)]
struct Quote {
    epoch: i64,
    /// The digits without their point.
    digits: i64,
    decimals: u8,
}

impl Quote {
    fn parse(text: &str) -> Result<Self, String> {
        let (epoch, price) = text.split_once(',').ok_or("there is no comma")?;
        let epoch = epoch.trim();
        let price = price.trim();
        let epoch: i64 =
            epoch.parse().ok().filter(|epoch| (0..=9_999_999_999).contains(epoch)).ok_or_else(
                || format!("`{}` is not an epoch in seconds", epoch.escape_default()),
            )?;
        let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || fraction.len() > usize::from(MOST_DECIMALS) || digits.len() > 17 {
            return Err(format!("`{}` is not a price", price.escape_default()));
        }
        let digits: i64 = digits.parse().map_err(|_| "the price is too large".to_owned())?;
        if digits == 0 {
            return Err("the price is not positive".to_owned());
        }
        Ok(Self { epoch, digits, decimals: u8::try_from(fraction.len()).unwrap_or(u8::MAX) })
    }

    fn row(&self, decimals: u8) -> Row {
        let pips = self.digits.saturating_mul(pips_per_unit(decimals - self.decimals));
        Row { epoch: self.epoch, pips }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Replay, ReplayError> {
        Replay::read("R_75".parse().unwrap(), text.as_bytes())
    }

    #[test]
    fn brings_every_price_to_the_most_decimals_seen() {
        let replay = read("epoch,quote\n10,34173.9692\n12,34174.1\n\n14,7\n").unwrap();
        assert_eq!(replay.decimals(), 4);
        let pips: Vec<i64> = replay.rows().iter().map(|row| row.pips).collect();
        assert_eq!(pips, [341_739_692, 341_741_000, 70_000]);
        assert_eq!(replay.last(), Epoch::new(14));
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("time,price\n1,2\n", "line 1");
        check("epoch,quote\n10,1.5\n10,1.6\n", "line 3");
        check("epoch,quote\n10,abc\n", "line 2");
        check("epoch,quote\n10,-3\n", "line 2");
        check("epoch,quote\n10,0.00\n", "not positive");
        check("epoch,quote\n10\n", "no comma");
        check("epoch,quote\n", "no ticks");
    }
}
