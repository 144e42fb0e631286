//! What really happened on the simulated market, for comparison with an archive of it.

use std::io::{self, Write};

use crate::domain::{EpochRange, Kind, Symbol};

use super::Simulator;
use super::candles::Bar;
use super::market::InstrumentId;
use super::price::push_short;

/// Why the truth cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// Nothing of that name is listed.
    #[error("the simulated exchange does not list `{0}`")]
    UnknownSymbol(Symbol),
    /// The rows could not be written.
    #[error("cannot write the rows of `{symbol}`")]
    Write {
        /// Whose rows.
        symbol: Symbol,
        /// Why.
        source: io::Error,
    },
}

impl Simulator {
    /// Writes every row of `range` up to now as CSV with a header, oldest first.
    ///
    /// Ticks are `epoch,quote`, candles `epoch,open,high,low,close`: the whole candles that open
    /// inside the range and are closed by now. Prices are exact, trailing zeros dropped as in the
    /// API. The wall does not matter here: the truth does not age. Blocks the thread while it
    /// works, about half a second for a month of ticks.
    ///
    /// # Errors
    ///
    /// [`TruthError`]: the symbol is not listed, or `out` fails.
    pub fn write_truth(
        &self,
        symbol: &Symbol,
        kind: Kind,
        range: EpochRange,
        out: &mut impl Write,
    ) -> Result<(), TruthError> {
        let id = self
            .world()
            .market
            .find(symbol.as_str())
            .ok_or_else(|| TruthError::UnknownSymbol(symbol.clone()))?;
        let written = match kind {
            Kind::Ticks => self.write_ticks(id, range, out),
            Kind::Candles(granularity) => self.write_candles(id, range, granularity.secs(), out),
        };
        written.map_err(|source| TruthError::Write { symbol: symbol.clone(), source })
    }

    fn write_ticks(
        &self,
        id: InstrumentId,
        range: EpochRange,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let market = &self.world().market;
        let decimals = market.instrument(id).decimals;
        writeln!(out, "epoch,quote")?;
        let last = range.last().secs().min(self.now().secs());
        let mut line = String::new();
        for block in market.tick_blocks(id, range.start().secs(), last) {
            for row in block {
                line.clear();
                push_short(&mut line, row.pips, decimals);
                writeln!(out, "{},{line}", row.epoch)?;
            }
        }
        Ok(())
    }

    fn write_candles(
        &self,
        id: InstrumentId,
        range: EpochRange,
        width: i64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        /// Candles worked out at a time.
        const STRETCH: i64 = 1000;
        let market = &self.world().market;
        let decimals = market.instrument(id).decimals;
        writeln!(out, "epoch,open,high,low,close")?;
        let mut from = range.start().ceil_to(width, 0).secs();
        let closed = self.now().plus(1 - width).secs();
        let last = range.last().secs().min(closed - 1);
        while from <= last {
            let to = last.min(from + STRETCH * width - 1);
            let to = to.div_euclid(width) * width + width - 1;
            for bar in market.newest_candles(id, from, to, width, usize::MAX) {
                write_bar(&bar, decimals, out)?;
            }
            from = to + 1;
        }
        Ok(())
    }
}

fn write_bar(bar: &Bar, decimals: u8, out: &mut impl Write) -> io::Result<()> {
    let mut line = bar.epoch.to_string();
    for pips in [bar.open, bar.high, bar.low, bar.close] {
        line.push(',');
        push_short(&mut line, pips, decimals);
    }
    writeln!(out, "{line}")
}
