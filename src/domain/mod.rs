//! Values and the two seams: what a record, a series, a range and a proof *are*.
//!
//! No I/O, no async runtime, no clock. Everything else in the crate may import this
//! folder; it imports nothing of ours.

pub mod advice;
pub mod calendar;
pub mod coverage;
pub mod defect;
pub mod facts;
pub mod finding;
pub mod partition;
pub mod price_grid;
pub mod probe;
pub mod record;
pub mod repair;
pub mod series;
pub mod source;
pub mod store;
pub mod thresholds;
pub mod time;
pub mod watermark;
mod words;

pub use advice::{Advice, Place};
pub use calendar::{Session, TradingDay, TradingHours, Weekday};
pub use coverage::{Coverage, CoverageRange, CoverageState, RangeSet};
pub use defect::{Defect, DefectCounts};
pub use facts::{Cadence, FactsStore, HoursFacts, SeriesFacts, SourceFacts, Wall};
pub use finding::{Finding, FindingKind, FindingState, Severity};
pub use partition::{Gap, GapClass, Month, PartitionKey, PartitionState};
pub use price_grid::{DecimalsInUse, MAX_DECIMALS, PriceGrid};
pub use probe::{Judged, Probe, ProbeExchange, Verdict};
pub use record::{Candle, Record, Tick};
pub use repair::{AskReason, Doubt, Evidence, Remedy};
pub use series::{Kind, Series, Symbol};
pub use source::{
    ErrorKind, Instrument, MarketDataSource, Page, PageRequest, RowConflict, SourceError,
    SourceInfo,
};
pub use store::{
    GapRules, Inspection, PartitionInspector, PartitionStore, Publication, Published, Restatements,
    RowBytes, Segment, SegmentNotes, SeriesLocks, SettleClock, SilenceFacts, StoreError,
    StoreSpace, StoredPartition,
};
pub use thresholds::GapThresholds;
pub use time::{Epoch, EpochRange, Granularity};
pub use watermark::{MonthProof, Stop, StopReason, Watermark};
