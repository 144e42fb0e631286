//! What a check saw. Findings are collected, never thrown.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::partition::PartitionKey;
use super::time::EpochRange;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// Unusual; the data may still be right.
    Warning,
    /// A promise of the archive is broken.
    Error,
}

/// Which promise a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The file cannot be read as Parquet.
    Unreadable,
    /// Columns are missing, surplus, or of another type.
    Schema,
    /// Rows do not ascend by epoch.
    Unsorted,
    /// Two rows share an epoch.
    DuplicateRow,
    /// A row lies outside the partition's month.
    OutsideMonth,
    /// A row lies where the coverage says nothing was answered.
    OutsideCoverage,
    /// The footer or sidecar counts other rows than the file holds.
    RecordCount,
    /// The rows do not hash to what footer or sidecar promise.
    RowsHash,
    /// The file does not hash to what the sidecar promises.
    FileHash,
    /// The sidecar is missing.
    SidecarMissing,
    /// The sidecar cannot be read, or disagrees with the footer.
    SidecarMismatch,
    /// The footer is missing or disagrees with the place of the file.
    FooterMismatch,
    /// A wanted range has no settled answer.
    CoverageMissing,
    /// The state is not legal for the month or its coverage.
    IllegalState,
    /// Two answers name different prices for one epoch.
    ConflictingTick,
    /// The source names another price than the row already published.
    Restatement,
    /// A candle does not open on a multiple of its granularity.
    Misaligned,
    /// `low ≤ open, close ≤ high` does not hold.
    CandleShape,
    /// A price is not a multiple of the series' smallest step.
    OffGrid,
    /// A price is not positive or not finite.
    BadPrice,
    /// Records are missing and nothing explains it.
    UnexplainedGap,
    /// The source kept sending something else than was asked for.
    Substituted,
    /// The range was never answered and the source no longer offers it.
    LostBehindWall,
    /// Staged answers were damaged or of another version and set aside.
    StagingSetAside,
    /// Rows of another tool: proved foreign by a named reason, or inherited and not certified.
    ForeignRows,
    /// Something lies in a series folder that is no part of the archive.
    Stranger,
    /// Unfinished work of a run that ended, or something set aside, waits to be dealt with.
    Leftover,
    /// The sidecar forbids every change of the partition.
    Locked,
    /// The price moved far more than the series usually does.
    Spike,
    /// The price stood still for far longer than the series usually does.
    FrozenRun,
    /// Rows began to come at another fixed interval.
    CadenceChange,
    /// Prices began to use more or fewer decimals.
    GridChange,
    /// A candle shows trading that no tick of the archive shows.
    TicksMissing,
    /// Ticks show trading where the archive has no candle.
    CandleMissing,
    /// A candle and its ticks name different prices.
    CandleMismatch,
    /// Well-formed rows that do not fit the series: the seconds they stand for count as failed.
    UnusableRows,
    /// The source's hours say "open", and for longer than the series is used to nothing comes.
    FeedSilent,
    /// Rows came where the source had answered with silence before.
    LateRows,
    /// The source answered otherwise than another tool had, and its answer was taken.
    InheritedReplaced,
    /// A partition that was published once is not there.
    PartitionMissing,
    /// The file is beyond this build: another codec, another type, a newer version.
    Undecodable,
    /// The source's clock and this machine's are too far apart to believe either.
    ClocksDisagree,
    /// The source no longer lists the symbol.
    NoLongerListed,
    /// Where the history seems to begin, seen once and not yet believed.
    WallProvisional,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names in JSON and in text are the same words, so one table serves both.
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => f.pad(&name),
            _ => f.pad("unknown"),
        }
    }
}

/// Whether anything is still to be decided about a finding. Not how much it matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// It stands as it was seen.
    #[default]
    Open,
    /// A person accepted what the source says now.
    Accepted,
    /// A later answer of the source settled it.
    Settled,
}

impl FindingState {
    fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

/// One thing a check saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Which promise it is about.
    pub kind: FindingKind,
    /// Whether it is still to be decided. Absent in files of older builds, and then open.
    #[serde(default, skip_serializing_if = "FindingState::is_open")]
    pub state: FindingState,
    /// The partition it is about, if it is about one. Absent in files of older builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionKey>,
    /// The seconds it is about, if it is about some of its partition and not the whole. Absent in
    /// files of older builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<EpochRange>,
    /// What it was seen in: a path, a partition, an epoch.
    pub subject: String,
    /// What the promise says.
    pub expected: String,
    /// What was found instead.
    pub found: String,
    /// What to do about it; empty if nothing need be done.
    pub repair: String,
}

impl Finding {
    /// Makes a finding of [`Severity::Error`].
    pub fn error(
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(Severity::Error, kind, subject, expected, found)
    }

    /// Makes a finding of [`Severity::Warning`].
    pub fn warning(
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(Severity::Warning, kind, subject, expected, found)
    }

    /// Makes a finding of [`Severity::Info`].
    pub fn info(
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(Severity::Info, kind, subject, expected, found)
    }

    /// Names the partition it is about.
    #[must_use]
    pub fn in_partition(mut self, key: &PartitionKey) -> Self {
        self.partition = Some(key.clone());
        self
    }

    /// Names the seconds it is about.
    #[must_use]
    pub fn at(mut self, at: EpochRange) -> Self {
        self.at = Some(at);
        self
    }

    /// Says whether it is still to be decided.
    #[must_use]
    pub fn in_state(mut self, state: FindingState) -> Self {
        self.state = state;
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_repair(mut self, repair: impl fmt::Display) -> Self {
        self.repair = repair.to_string();
        self
    }

    fn new(
        severity: Severity,
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self {
            severity,
            kind,
            state: FindingState::Open,
            partition: None,
            at: None,
            subject: subject.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
            repair: String::new(),
        }
    }
}

/// `error off_grid R_100 ticks 2026-03: expected …, found …`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(
            f,
            "{severity} {}: {}: expected {}, found {}",
            self.kind, self.subject, self.expected, self.found
        )
    }
}
