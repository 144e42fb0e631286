//! The kinds of record an archive holds.

use std::fmt::Debug;

use super::time::Epoch;

/// One row of a series: an epoch and a fixed number of prices.
///
/// Rows are small `Copy` values, so a page is one allocation whatever its length.
pub trait Record: Copy + PartialEq + Debug + Send + Sync + 'static {
    /// The price columns in the order of the schema; `epoch` comes before them.
    const COLUMNS: &'static [&'static str];

    /// The prices in the order of [`COLUMNS`](Self::COLUMNS).
    type Prices: AsRef<[f64]> + Copy;

    /// The second this record is named by; a candle is named by its open.
    fn epoch(&self) -> Epoch;

    /// The prices in the order of [`COLUMNS`](Self::COLUMNS).
    fn prices(&self) -> Self::Prices;

    /// Builds a record from its epoch and as many prices as there are [`COLUMNS`](Self::COLUMNS).
    ///
    /// # Panics
    ///
    /// If `prices` has another length; callers take it from a schema they have checked.
    fn from_parts(epoch: Epoch, prices: &[f64]) -> Self;
}

/// One quote at one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// When it was quoted; at most one tick a second.
    pub epoch: Epoch,
    /// The price.
    pub quote: f64,
}

/// Open, high, low and close over one granularity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candle {
    /// When it opened; a multiple of the granularity.
    pub epoch: Epoch,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
}

impl Record for Tick {
    const COLUMNS: &'static [&'static str] = &["quote"];
    type Prices = [f64; 1];

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn prices(&self) -> [f64; 1] {
        [self.quote]
    }

    fn from_parts(epoch: Epoch, prices: &[f64]) -> Self {
        Self { epoch, quote: prices[0] }
    }
}

impl Record for Candle {
    const COLUMNS: &'static [&'static str] = &["open", "high", "low", "close"];
    type Prices = [f64; 4];

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn prices(&self) -> [f64; 4] {
        [self.open, self.high, self.low, self.close]
    }

    fn from_parts(epoch: Epoch, prices: &[f64]) -> Self {
        Self { epoch, open: prices[0], high: prices[1], low: prices[2], close: prices[3] }
    }
}
