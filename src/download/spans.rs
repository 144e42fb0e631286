//! Where an event of the log belongs: series → month → window. The attempts below are named by
//! whoever makes them.
//!
//! Series and month are known wherever anything is logged, windows only where warnings are, so
//! that a span costs nothing where its level is off.

use tracing::Span;

use crate::domain::{EpochRange, Kind, PartitionKey, Series};

/// Work on one series.
pub(super) fn series(series: &Series) -> Span {
    let kind = match series.kind {
        Kind::Ticks => "ticks",
        Kind::Candles(_) => "candles",
    };
    let granularity = series.kind.granularity().map(u32::from);
    tracing::error_span!("series", symbol = %series.symbol, kind, granularity)
}

/// Work on one month of a series.
pub(super) fn month(key: &PartitionKey) -> Span {
    let series = series(&key.series);
    tracing::error_span!(parent: &series, "month", month = %key.month)
}

/// One window, asked until it is answered.
pub(super) fn window(within: &Span, range: EpochRange) -> Span {
    let (start, end) = (range.start(), range.end());
    tracing::warn_span!(parent: within, "window", window_start = %start, window_end = %end)
}
