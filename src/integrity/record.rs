//! What the checker must know of each kind of record beyond its columns.

use crate::domain::{Candle, Epoch, Record, Tick};

/// A record the checker can gather from columns and judge by its shape.
pub(crate) trait CheckedRecord: Record {
    /// Appends one record per epoch; `prices` holds one equally long slice per price column.
    fn gather(epochs: &[i64], prices: &[&[f64]], rows: &mut Vec<Self>);

    /// Tells whether the prices stand in the order the kind promises.
    fn is_well_shaped(&self) -> bool;
}

impl CheckedRecord for Tick {
    fn gather(epochs: &[i64], prices: &[&[f64]], rows: &mut Vec<Self>) {
        let Some(quotes) = prices.first() else { return };
        let tick = |(epoch, quote): (&i64, &f64)| Self { epoch: Epoch::new(*epoch), quote: *quote };
        rows.extend(epochs.iter().zip(*quotes).map(tick));
    }

    fn is_well_shaped(&self) -> bool {
        true
    }
}

impl CheckedRecord for Candle {
    fn gather(epochs: &[i64], prices: &[&[f64]], rows: &mut Vec<Self>) {
        let [opens, highs, lows, closes] = prices else { return };
        let prices = opens.iter().zip(*highs).zip(lows.iter().zip(*closes));
        rows.extend(epochs.iter().zip(prices).map(|(epoch, ((open, high), (low, close)))| Self {
            epoch: Epoch::new(*epoch),
            open: *open,
            high: *high,
            low: *low,
            close: *close,
        }));
    }

    fn is_well_shaped(&self) -> bool {
        let inside = |price: f64| self.low <= price && price <= self.high;
        self.low <= self.high && inside(self.open) && inside(self.close)
    }
}
