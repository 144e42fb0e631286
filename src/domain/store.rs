//! Seam: where partitions are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calendar::TradingHours;
use super::coverage::{Coverage, RangeSet};
use super::finding::Finding;
use super::partition::{Gap, Month, PartitionKey, PartitionState};
use super::record::Record;
use super::series::{Kind, Series};
use super::time::{Epoch, EpochRange};

/// Answers for one contiguous range, on their way to a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment<R> {
    /// Every second of it was answered.
    pub range: EpochRange,
    /// When the first and the last of the answers came, by the source's clock.
    pub asked: (Epoch, Epoch),
    /// Decimals in which the series is quoted, if the source said so.
    pub pip_size: Option<u8>,
    /// Equal rows that were dropped inside single answers.
    pub n_duplicates: u64,
    /// The rows, ascending, unique, inside `range`, in pieces as they were answered: a chunk is
    /// never copied into one block of memory.
    pub pieces: Vec<Vec<R>>,
    /// What was noted while they were asked for, kept as durably as the rows.
    pub notes: SegmentNotes,
}

impl<R> Segment<R> {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }
}

/// What a run noted beside rows. It outlives the run together with the segment that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentNotes {
    /// Findings that are not durable yet by another segment.
    pub findings: Vec<Finding>,
    /// Silence inside the range that was asked again by itself and stayed silent.
    pub confirmed: RangeSet,
    /// Silence inside the range that was not believed yet.
    pub doubted: RangeSet,
}

/// What the store knows of one partition before a run touches it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredPartition {
    /// Coverage of the published file; empty if there is none.
    pub published: Coverage,
    /// Rows in the published file.
    pub record_count: u64,
    /// State of the published file, if there is one.
    pub state: Option<PartitionState>,
    /// Whether the published file must never be modified.
    pub locked: bool,
    /// Why what is locked cannot be what it was, if its files show it at a glance.
    pub locked_problem: Option<String>,
    /// Why this build cannot read the published files, if it cannot. They are left as they are,
    /// like what is locked.
    pub undecodable: Option<String>,
    /// Seconds answered by staged segments that are not published yet.
    pub staged: RangeSet,
    /// Those of them that the source was asked for; the others were saved from a damaged file.
    pub asked: RangeSet,
    /// Seconds that were answered once and whose rows are lost: they are asked again, and never
    /// count as not offered.
    pub lost: RangeSet,
    /// Oldest second that was ever answered, if it is older than what the coverage tells.
    pub first_held: Option<Epoch>,
    /// Whether newer prices of the source were accepted, and none was refused since.
    pub restatement_accepted: bool,
    /// What its sidecar says of it that [stands](Finding::stands).
    pub standing: Vec<Finding>,
    /// Silence that nothing explained: gaps of the published file, and doubts of a stopped run.
    pub unexplained: Vec<EpochRange>,
    /// The silences of the published file, unless they are closed markets; of a sealed one only
    /// that before the first row.
    pub silences: Vec<Gap>,
    /// Decimals in which the series is quoted, if known.
    pub pip_size: Option<u8>,
    /// Epoch of the first published row, if there is any.
    pub first_row: Option<Epoch>,
    /// Epoch of the last row, published or staged, if there is any.
    pub last_row: Option<Epoch>,
    /// Whether earlier steps found something that the next publish has to tell.
    pub has_remarks: bool,
}

impl StoredPartition {
    /// Published and staged coverage together.
    pub fn coverage(&self) -> Coverage {
        let mut coverage = self.published.clone();
        for range in self.staged.iter() {
            coverage.insert(range, super::coverage::CoverageState::Answered);
        }
        for range in self.lost.iter() {
            coverage.insert(range, super::coverage::CoverageState::Failed);
        }
        coverage
    }
}

/// Everything a publish needs beside the staged rows.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// Now, by the source's clock; decides the state.
    pub server_now: Epoch,
    /// How long after its end a month may still change.
    pub settle_lag: Duration,
    /// The range behind the source's wall, if it reaches into this month.
    pub not_offered: Option<EpochRange>,
    /// Ranges whose every attempt failed.
    pub failed: RangeSet,
    /// What the download learned of the silence in the series.
    pub silence: SilenceFacts,
    /// What the download itself found.
    pub findings: Vec<Finding>,
    /// What an earlier publish of this run found and nobody has read yet: news in this one, too.
    pub unread: Vec<Finding>,
    /// Findings that segments carry and that asking once more has settled.
    pub withdrawn: Vec<Finding>,
    /// What becomes of published rows for which the source names another price.
    pub restatements: Restatements,
    /// Facts for the sidecar: where the data came from (endpoint, API), never a secret.
    pub source: serde_json::Map<String, serde_json::Value>,
    /// Facts for the sidecar: this run's counters for the partition (requests, retries, seconds).
    pub run: serde_json::Map<String, serde_json::Value>,
    /// Seconds the partition took to download.
    pub elapsed: Duration,
}

/// What becomes of a published row for which the source names another price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restatements {
    /// The published row stays, and the other price is a finding.
    #[default]
    Refuse,
    /// The newer price is taken, and the file published before is kept in quarantine.
    Accept,
}

/// What is known of the silence in a partition; decides which gaps are listed and their class.
#[derive(Debug, Clone, Default)]
pub struct SilenceFacts {
    /// Silent stretches that were asked again by themselves and stayed silent.
    pub confirmed: RangeSet,
    /// Those of them that were asked twice in one run and by no later one.
    pub silent: RangeSet,
    /// The seconds before the first row that the series ever had.
    pub before_first_row: RangeSet,
    /// Since when the series is silent, in later months too: that silence is not over.
    pub lasting_from: Option<Epoch>,
    /// When silence is old enough to be believed; `None` where nobody knows the time.
    pub clock: Option<SettleClock>,
    /// Stretches of a continuous series for which a whole answer was empty, first seen in this
    /// run; `unexplained` before another run confirms them.
    pub doubted: RangeSet,
    /// What this run asked: there its own doubts count, and not those of a stopped run before it.
    pub asked: RangeSet,
    /// Whether the series is quoted day and night, week-ends included; `None` if unknown.
    pub continuous: Option<bool>,
    /// Seconds between records at fixed cadence, if known.
    pub interval_secs: Option<i64>,
    /// Longest silence between two rows that is no gap; `None` derives it from the rows.
    pub gap_threshold_secs: Option<i64>,
    /// When the market is open, as far as the source told; `None` if it told nothing.
    pub hours: Option<TradingHours>,
}

/// The source's present time, and how long after its end a silence may still be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettleClock {
    /// Now, by the source's clock.
    pub now: Epoch,
    /// The settle lag in seconds.
    pub lag_secs: i64,
}

impl SettleClock {
    /// Makes it from a lag; one that is too long never passes.
    pub fn new(now: Epoch, lag: Duration) -> Self {
        Self { now, lag_secs: i64::try_from(lag.as_secs()).unwrap_or(i64::MAX) }
    }

    /// Tells whether the lag has passed since `end`.
    pub fn has_settled(self, end: Epoch) -> bool {
        self.now >= end.plus(self.lag_secs)
    }
}

impl SilenceFacts {
    /// What of it is kept beside the gaps of `month`.
    pub fn rules(&self, month: Month) -> Option<GapRules> {
        let hours = self.hours.as_ref().map(|hours| hours.within(month.range()));
        let rules = GapRules {
            continuous: self.continuous,
            threshold_secs: self.gap_threshold_secs,
            hours: hours.filter(|hours| !hours.is_empty()),
        };
        (rules != GapRules::default()).then_some(rules)
    }
}

/// By which rules the gaps of a partition were listed and classed, beside what its rows tell: with
/// them whoever has the files finds the same gaps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GapRules {
    /// Whether the series is quoted day and night, week-ends included, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuous: Option<bool>,
    /// Longest silence that is no gap, if it was chosen and not derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_secs: Option<i64>,
    /// When the market is open, if the source told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<TradingHours>,
}

impl GapRules {
    /// A silence of a year is no rule for a month.
    const MOST_SECS: i64 = 31_536_000;

    /// Tells what in it cannot be, as far as it was read from a file.
    pub fn problem(&self) -> Option<String> {
        let is_odd = |secs: &i64| !(1..=Self::MOST_SECS).contains(secs);
        if let Some(secs) = self.threshold_secs.filter(is_odd) {
            return Some(format!("it calls a silence of more than {secs} s a gap"));
        }
        self.hours.as_ref().and_then(TradingHours::problem)
    }
}

/// Checks a partition file, from the file alone, right after it was written.
pub trait PartitionInspector: Send + Sync + 'static {
    /// Reads `file` and tells what is wrong with it and where it is silent. Never fails: a file
    /// that cannot be read is a finding.
    ///
    /// `written` is what all rows hashed to while this process wrote them, if it just did: rows
    /// whose days hash to what the file promises of each are then proved without a second hash.
    fn inspect(
        &self,
        key: &PartitionKey,
        file: &Path,
        silence: &SilenceFacts,
        written: Option<&str>,
    ) -> Inspection;
}

/// What an inspection saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspection {
    /// Silent stretches longer than the threshold, ascending, classed.
    pub gaps: Vec<Gap>,
    /// Gaps as the old sidecar key counts them: intervals over 10 s for ticks, missing bars for candles.
    pub gaps_detected: u64,
    /// Broken promises and remarks.
    pub findings: Vec<Finding>,
}

/// What a publish made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which partition.
    pub key: PartitionKey,
    /// The Parquet file.
    pub path: PathBuf,
    /// Rows in it.
    pub record_count: u64,
    /// Rows that were not in the file before.
    pub n_new: u64,
    /// Equal rows dropped inside single answers, this file's whole life long.
    pub duplicates_removed: u64,
    /// Size of the Parquet file in bytes.
    pub file_size: u64,
    /// What is proved now.
    pub coverage: Coverage,
    /// Seconds that were held before and whose rows were found damaged: to be asked again.
    pub lost: RangeSet,
    /// How far it is from never changing again.
    pub state: PartitionState,
    /// Silent stretches longer than the threshold.
    pub gaps: Vec<Gap>,
    /// What download, merge and check found.
    pub findings: Vec<Finding>,
    /// What stands beside them, seen by an earlier run.
    pub standing: Vec<Finding>,
}

/// Keeps the partitions of one kind of record. Every method blocks; call it on a blocking thread.
pub trait PartitionStore<R: Record>: Send + Sync + 'static {
    /// The oldest second of the months before `before` that the source answered for, as far as is
    /// published. Rows of another tool are no answers. Changes nothing.
    ///
    /// # Errors
    ///
    /// If the folder is there and cannot be read.
    fn first_answered(&self, series: &Series, before: Month) -> Result<Option<Epoch>, StoreError>;

    /// The oldest second of each month that the source answered for, and when it did so first, as
    /// far as is published. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`first_answered`](Self::first_answered).
    fn oldest_answers(&self, series: &Series) -> Result<Vec<(Epoch, Epoch)>, StoreError>;

    /// From the oldest published row of a series to the newest, whoever wrote them; from the first
    /// second of an older month of which nothing can be read. Changes nothing.
    ///
    /// # Errors
    ///
    /// If the folder is there and cannot be read.
    fn rows_held(&self, series: &Series) -> Result<Option<EpochRange>, StoreError>;

    /// Tells what is published and staged of a partition.
    ///
    /// With the lock of the series it also readies the partition for this run: completes what a
    /// stopped run left half done and sets aside what cannot be trusted. Without it, nothing is
    /// changed and such leftovers are only not believed.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or what is there cannot be trusted nor set aside.
    fn load(&self, key: &PartitionKey) -> Result<StoredPartition, StoreError>;

    /// Keeps answers durably until their month is published.
    ///
    /// # Errors
    ///
    /// If they could not be written; nothing half written is left to be trusted.
    fn stage(&self, key: &PartitionKey, segment: &Segment<R>) -> Result<(), StoreError>;

    /// Keeps findings durably for the next publish, where no segment carries them.
    ///
    /// # Errors
    ///
    /// If they could not be written.
    fn remember(&self, key: &PartitionKey, findings: &[Finding]) -> Result<(), StoreError>;

    /// Merges published rows and staged segments into a new published file, checks it, commits it
    /// with its sidecar, and sweeps the staging.
    ///
    /// # Errors
    ///
    /// If any step failed; the partition published before is then still in place.
    /// [`StoreError::Stopped`] if the run is ending: what is staged stays staged.
    fn publish(
        &self,
        key: &PartitionKey,
        publication: &Publication,
    ) -> Result<Published, StoreError>;
}

/// Tells how much room there is for partitions.
pub trait StoreSpace: Send + Sync + 'static {
    /// Free bytes where partitions are kept; `None` if that cannot be told. Blocks.
    fn free_bytes(&self) -> Option<u64>;

    /// What a row of this kind takes, for estimates.
    fn row_bytes(&self, kind: Kind) -> RowBytes;
}

/// Bytes of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowBytes {
    /// In the staging.
    pub staged: u64,
    /// In a published file, on average.
    pub published: u64,
}

/// Keeps one writer per series.
pub trait SeriesLocks: Send + Sync + 'static {
    /// Held as long as the series may be written; dropping it lets go.
    type Guard: Send + 'static;

    /// Takes the lock of `series`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Held`] if another writer has it.
    fn lock(&self, series: &Series) -> Result<Self::Guard, StoreError>;
}

/// A partition could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was being done, as a verb: `write`, `read`, `rename`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what it must be.
    #[error("`{}` {problem}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, to be read after its name.
        problem: String,
    },
    /// A file is beyond this build: of a newer version, or of a codec or type that it cannot
    /// decode. It may be as good as any, so nobody touches it.
    #[error("`{}` {problem}; it stays as it is", path.display())]
    Undecodable {
        /// Which file.
        path: PathBuf,
        /// What this build cannot do with it, to be read after its name.
        problem: String,
    },
    /// The partition says that it must not be modified.
    #[error("`{}` is locked by its sidecar and stays as it is", path.display())]
    Locked {
        /// The sidecar that says so.
        path: PathBuf,
    },
    /// The run is ending; what was published and staged before is still in place.
    #[error("stopped before it was done")]
    Stopped,
    /// Another run writes this series.
    #[error("{series} is being written by {owner}")]
    Held {
        /// Which series.
        series: String,
        /// Who holds it, since when.
        owner: String,
    },
}
