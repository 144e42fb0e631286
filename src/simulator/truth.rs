//! What really happened on the simulated market, for comparison with an archive of it.

use std::io::{self, Write};

use crate::domain::{Epoch, EpochRange, Kind, Symbol};

use super::Simulator;
use super::candles::Bar;
use super::market::InstrumentId;
use super::price::push_short;

/// Why the truth cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// Nothing of that name is listed.
    #[error("the simulated exchange does not list `{0}`")]
    UnknownSymbol(String),
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
    /// Writes every row of `range` as history has it now as CSV with a header, oldest first.
    ///
    /// The same as [`write_truth_as_of`](Self::write_truth_as_of) now.
    ///
    /// # Errors
    ///
    /// [`TruthError`]: there is no such symbol, or `out` fails.
    pub fn write_truth(
        &self,
        symbol: &Symbol,
        kind: Kind,
        range: EpochRange,
        out: &mut impl Write,
    ) -> Result<(), TruthError> {
        self.write_truth_as_of(symbol, kind, range, self.now(), out)
    }

    /// Writes every row of `range` as history has it at a moment as CSV with a header, oldest first.
    ///
    /// Ticks are `epoch,quote`, candles `epoch,open,high,low,close`: the whole candles that open
    /// inside the range and are closed by then, made of the ticks that are visible then. Holes that
    /// are not filled yet, late rows and corrections of the [`World`](super::World) are as they are
    /// at the moment. Prices are exact, trailing zeros dropped as in the API. Neither the wall nor
    /// the list of symbols matters here: what was once there is the truth. Blocks the thread while
    /// it works, about half a second for a month of ticks.
    ///
    /// # Errors
    ///
    /// [`TruthError`]: there is no such symbol, or `out` fails.
    pub fn write_truth_as_of(
        &self,
        symbol: &Symbol,
        kind: Kind,
        range: EpochRange,
        as_of: Epoch,
        out: &mut impl Write,
    ) -> Result<(), TruthError> {
        let id = self
            .exchange()
            .market
            .find(symbol.as_str())
            .ok_or_else(|| TruthError::UnknownSymbol(symbol.to_string()))?;
        let written = match kind {
            Kind::Ticks => self.write_ticks(id, range, as_of, out),
            Kind::Candles(granularity) => {
                self.write_candles(id, range, granularity.secs(), as_of, out)
            }
        };
        written.map_err(|source| TruthError::Write { symbol: symbol.clone(), source })
    }

    fn write_ticks(
        &self,
        id: InstrumentId,
        range: EpochRange,
        as_of: Epoch,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let market = &self.exchange().market;
        let decimals = market.instrument(id).decimals;
        writeln!(out, "epoch,quote")?;
        let moment = as_of.secs();
        let last = range.last().secs().min(market.life(id).horizon(moment));
        let mut line = String::new();
        for block in market.tick_blocks(id, range.start().secs(), last, moment) {
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
        as_of: Epoch,
        out: &mut impl Write,
    ) -> io::Result<()> {
        /// Candles worked out at a time.
        const STRETCH: i64 = 1000;
        let market = &self.exchange().market;
        let decimals = market.instrument(id).decimals;
        writeln!(out, "epoch,open,high,low,close")?;
        let grid = market.grid(id, width);
        let (moment, visible) = (as_of.secs(), market.life(id).horizon(as_of.secs()));
        let mut from = grid.ceil(range.start().secs());
        let last = range.last().secs().min(moment - width);
        while from <= last {
            let to = last.min(from + STRETCH * width - 1);
            let to = grid.floor(to) + width - 1;
            for bar in market.newest_candles(id, from, to.min(visible), width, moment, usize::MAX) {
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
