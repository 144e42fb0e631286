//! What a person asks for: a symbol and a kind of record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::time::Granularity;

/// A symbol of the source, for instance `R_100`: 2 to 30 ASCII letters, digits or underscores.
///
/// Nothing else ever reaches a path, a request or a report, so `../../etc` ends here.
///
/// Source: `ticks_history` request schema (`^\w{2,30}$`), narrowed to ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(String);

/// The text says what a symbol looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a symbol; a symbol is 2 to 30 letters, digits or underscores, like `R_100`", .0.escape_default())]
pub struct InvalidSymbol(String);

impl Symbol {
    /// The symbol as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Symbol {
    type Err = InvalidSymbol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if (2..=30).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSymbol(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for Symbol {
    type Error = InvalidSymbol;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which records of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Every quote.
    Ticks,
    /// Candles of one width.
    Candles(Granularity),
}

impl Kind {
    /// The word used in paths, flags and sidecars: `ticks` or `candles_60`.
    pub fn folder(self) -> String {
        match self {
            Self::Ticks => "ticks".to_owned(),
            Self::Candles(granularity) => format!("candles_{granularity}"),
        }
    }

    /// The candle width, if there is one.
    pub fn granularity(self) -> Option<Granularity> {
        match self {
            Self::Ticks => None,
            Self::Candles(granularity) => Some(granularity),
        }
    }
}

/// A text is not the word for a kind of record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no kind of record; write `ticks` or `candles_60`", .0.escape_debug())]
pub struct InvalidKind(String);

/// Reads the word used in paths, and no other spelling of it.
impl FromStr for Kind {
    type Err = InvalidKind;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if word == "ticks" {
            return Ok(Self::Ticks);
        }
        let width = word.strip_prefix("candles_").and_then(|width| width.parse::<u32>().ok());
        let kind = width.and_then(|width| Granularity::try_from(width).ok()).map(Self::Candles);
        kind.filter(|kind| kind.folder() == word).ok_or_else(|| InvalidKind(word.to_owned()))
    }
}

/// `ticks`, or `candles 60s`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticks => f.pad("ticks"),
            Self::Candles(granularity) => f.pad(&format!("candles {granularity}s")),
        }
    }
}

/// A symbol and the kind of its records: what a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// Of which instrument.
    pub symbol: Symbol,
    /// Which records.
    pub kind: Kind,
}

/// `R_100 ticks`, or `R_100 candles 60s`.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.symbol, self.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, legal: bool) {
        assert_eq!(text.parse::<Symbol>().is_ok(), legal, "{text:?}");
    }

    #[test]
    fn accepts_symbols_and_nothing_that_could_leave_the_folder() {
        check("R_100", true);
        check("frxEURUSD", true);
        check("1HZ100V", true);
        check("R", false);
        check("", false);
        check("../../etc", false);
        check("R_100/..", false);
        check("R 100", false);
        check("Ä_100", false);
        check("R_100\0", false);
        check(&"R".repeat(31), false);
    }

    #[test]
    fn an_illegal_symbol_cannot_write_to_the_terminal() {
        let error = "\u{1b}[2J".parse::<Symbol>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}
