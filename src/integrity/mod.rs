//! Reads the disk with its own eyes and tells which promises of the archive are broken.
//!
//! Two ways in. [`PartitionChecker`] inspects each partition right after it was written, before
//! its sidecar is. [`verify`] walks a whole archive, sidecars included. Both stream: memory does
//! not grow with the files. Both collect findings and never stop at the first; a file that cannot
//! be read is a finding, not an error.
//!
//! Nothing here shares code with the writer except the contract in [`crate::format`], so that a
//! bug of the writer cannot hide itself.

mod checks;
mod examine;
pub mod explain;
pub mod gaps;
mod inspector;
mod reader;
mod record;
mod report;
pub mod survey;
mod verify;
mod walk;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use explain::{Explanation, Question, explain};
pub use gaps::{GapFinder, GapsSeen};
pub use inspector::PartitionChecker;
pub use report::{PartitionReport, Report};
pub use survey::{Selection, SeriesSurvey, Survey, survey};
pub use verify::{VerifyOptions, contents, verify};
