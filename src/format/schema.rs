//! The columns of each record kind and their units.
//!
//! `epoch` is int64: whole seconds since 1970-01-01 UTC. Every price is float64, the nearest
//! double to the decimal the source sent. No column can be null; there is no index column.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::domain::{Candle, Kind, Record, Tick};

/// Name of the first column of every partition.
pub const EPOCH: &str = "epoch";

/// Name of the price column of ticks.
pub const QUOTE: &str = "quote";

/// The schema of partitions of `R`.
pub fn schema<R: Record>() -> SchemaRef {
    of_columns(R::COLUMNS)
}

/// The schema of partitions of `kind`.
pub fn schema_of(kind: Kind) -> SchemaRef {
    of_columns(price_columns(kind))
}

/// The price columns of `kind` in the order of the schema.
pub fn price_columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Ticks => Tick::COLUMNS,
        Kind::Candles(_) => Candle::COLUMNS,
    }
}

fn of_columns(prices: &[&str]) -> SchemaRef {
    let epoch = Field::new(EPOCH, DataType::Int64, false);
    let prices = prices.iter().map(|name| Field::new(*name, DataType::Float64, false));
    Arc::new(Schema::new(std::iter::once(epoch).chain(prices).collect::<Vec<_>>()))
}
