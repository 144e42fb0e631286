//! Open, high, low and close of the ticks that exist; nothing is invented for a silent bar.

use super::price::Row;

/// Where the bars of one width begin: `offset` past the multiples of the width, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) width: i64,
    pub(super) offset: i64,
}

impl Grid {
    /// Bars on the multiples of their width.
    pub(super) fn plain(width: i64) -> Self {
        Self { width, offset: 0 }
    }

    /// The beginning of the bar that holds this second.
    pub(super) fn floor(self, epoch: i64) -> i64 {
        (epoch - self.offset).div_euclid(self.width) * self.width + self.offset
    }

    /// The first beginning of a bar that is not before this second.
    pub(super) fn ceil(self, epoch: i64) -> i64 {
        self.floor(epoch + self.width - 1)
    }
}

/// One candle or part of one; prices in pips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    /// First second it stands for.
    pub(super) epoch: i64,
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
}

impl Bar {
    /// The bar of a single tick, named `epoch`.
    fn of(epoch: i64, pips: i64) -> Self {
        Self { epoch, open: pips, high: pips, low: pips, close: pips }
    }

    /// Takes in what happened right after this bar.
    pub(super) fn extend(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
    }

    /// Takes in what happened right before this bar.
    fn extend_back(&mut self, earlier: &Self) {
        self.high = self.high.max(earlier.high);
        self.low = self.low.min(earlier.low);
        self.open = earlier.open;
    }
}

/// Groups ascending ticks into bars.
pub(super) fn bars(rows: &[Row], grid: Grid) -> Vec<Bar> {
    let mut out: Vec<Bar> = Vec::new();
    for row in rows {
        let epoch = grid.floor(row.epoch);
        let single = Bar::of(epoch, row.pips);
        match out.last_mut() {
            Some(bar) if bar.epoch == epoch => bar.extend(&single),
            _ => out.push(single),
        }
    }
    out
}

/// Joins narrow bars, handed over newest first, into candles of one width.
#[derive(Debug)]
pub(super) struct BackwardMerge {
    grid: Grid,
    /// Newest first; the last one may still grow.
    candles: Vec<Bar>,
}

impl BackwardMerge {
    /// Starts with no candle.
    pub(super) fn new(grid: Grid) -> Self {
        Self { grid, candles: Vec::new() }
    }

    /// Takes in the next older bar; false when `limit` candles are complete and it was not needed.
    pub(super) fn push(&mut self, bar: &Bar, limit: usize) -> bool {
        let epoch = self.grid.floor(bar.epoch);
        let n_candles = self.candles.len();
        match self.candles.last_mut() {
            Some(candle) if candle.epoch == epoch => candle.extend_back(bar),
            _ if n_candles >= limit => return false,
            _ => self.candles.push(Bar { epoch, ..*bar }),
        }
        true
    }

    /// The candles, oldest first.
    pub(super) fn finish(mut self) -> Vec<Bar> {
        self.candles.reverse();
        self.candles
    }
}
