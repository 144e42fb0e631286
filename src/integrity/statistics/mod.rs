//! What looks unusual in the rows of one partition: warnings for a person, never a reason to
//! change or distrust data.
//!
//! One streaming pass in constant memory: histograms with a fixed number of bins and short lists
//! of the most unusual places. Everything is measured against the series' own habits, so that an
//! index which jumps by nature raises no alarm for jumping. Nothing is random: the same rows and
//! thresholds always give the same findings.

mod frozen;
mod grid;
mod histogram;
mod rhythm;
mod spikes;
#[cfg(test)]
mod tests;

use crate::domain::{Epoch, Finding, Granularity, Kind, Record};

use self::frozen::Frozen;
use self::grid::Grid;
use self::rhythm::Rhythm;
use self::spikes::Spikes;

/// Findings of one kind that name their place; the others are counted.
const MAX_NAMED: usize = 5;

/// Two ticks further apart than this say nothing of how the price moves from tick to tick: the
/// feed was away or the market closed.
const TICKS_APART_SECS: i64 = 60;

/// From when on rows look unusual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// A move is a spike if it is so many times the usual one: the median absolute deviation of
    /// the log returns, scaled to a standard deviation.
    pub spike: f64,
    /// A price is frozen if it stands still so many times as long as it usually does at most.
    pub frozen: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        // No walk without jumps comes near twenty deviations; the moves of a bad print do.
        Self { spike: 20.0, frozen: 10.0 }
    }
}

/// Watches the rows of one partition stream by.
#[derive(Debug)]
pub(crate) struct Statistics {
    spikes: Spikes,
    frozen: Frozen,
    /// Candles keep their interval by definition.
    rhythm: Option<Rhythm>,
    grid: Grid,
}

impl Statistics {
    /// Starts with no row.
    pub(crate) fn new(kind: Kind, thresholds: Thresholds) -> Self {
        let granularity = kind.granularity().map(Granularity::secs);
        let apart_secs = granularity.unwrap_or(TICKS_APART_SECS);
        Self {
            spikes: Spikes::new(apart_secs, thresholds.spike, granularity.is_some()),
            frozen: Frozen::new(apart_secs, thresholds.frozen, granularity),
            rhythm: granularity.is_none().then(Rhythm::new),
            grid: Grid::new(),
        }
    }

    /// Watches the next rows; those whose price is no price are passed over.
    pub(crate) fn update<R: Record>(&mut self, rows: &[R]) {
        for row in rows {
            let (epoch, prices) = (row.epoch(), row.prices());
            let prices = prices.as_ref();
            // The quote of a tick, the close of a candle.
            let Some(price) = prices.last().copied().filter(|p| *p > 0.0 && p.is_finite()) else {
                continue;
            };
            // A candle stands still if nothing in it moved.
            let moved = prices.iter().any(|other| *other != price);
            self.spikes.push(epoch, price);
            self.frozen.push(epoch, price, moved);
            self.grid.push(epoch, price);
        }
        if let Some(rhythm) = &mut self.rhythm {
            rows.iter().for_each(|row| rhythm.push(row.epoch()));
        }
    }

    /// Ends with the last row.
    pub(crate) fn finish(self, place: &str, findings: &mut Vec<Finding>) {
        self.spikes.into_findings(place, findings);
        self.frozen.into_findings(place, findings);
        if let Some(rhythm) = self.rhythm {
            rhythm.into_findings(place, findings);
        }
        self.grid.into_findings(place, findings);
    }
}

/// The place of something unusual: the row before it and the row it shows in.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Between {
    before: Epoch,
    behind: Epoch,
}

impl Between {
    fn secs(self) -> i64 {
        self.behind.since(self.before)
    }
}
