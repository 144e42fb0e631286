//! Reads the disk with its own eyes and tells which promises of the archive are broken.
//!
//! Two ways in. [`PartitionChecker`] inspects each partition right after it was written, before
//! its sidecar is. [`verify`] walks a whole archive, sidecars included. Both stream: memory does
//! not grow with the files. Both collect findings and never stop at the first; a file that cannot
//! be read is a finding, not an error.
//!
//! Nothing here shares code with the writer except the contract in [`crate::format`], so that a
//! bug of the writer cannot hide itself.

mod against;
mod checks;
mod doubted;
mod evidence;
mod examine;
pub mod explain;
pub mod gaps;
mod inspector;
mod known;
mod options;
mod prices;
mod reader;
mod record;
mod report;
mod statistics;
pub mod survey;
mod unchanged;
mod verify;
mod walk;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use against::{AgainstTicks, BorderTick};
pub use explain::{Explanation, Question, explain};
pub use gaps::{GapFinder, GapsSeen};
pub use inspector::PartitionChecker;
pub use options::{ArchivePart, Depth, VerifyOptions};
pub use prices::{MonthPrices, PriceSpan, Unreadable, month_prices};
pub use report::{GapCounts, PartitionReport, Report};
pub use statistics::Thresholds;
pub use survey::{Selection, SeriesSurvey, Survey, survey};
pub use unchanged::{changed_days, rows_beside};
pub use verify::{assess, contents, holds_archive, present, verify};
