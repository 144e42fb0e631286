//! What a run published, skipped and failed to get, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    DefectCounts, Epoch, EpochRange, Finding, PartitionKey, Published, RangeSet, Series, Severity,
};

/// How a run ended as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was planned was tried.
    Finished,
    /// The caller stopped it; what was answered is staged or published.
    Cancelled,
    /// The source was away for longer than the run may wait; the text says what was seen last.
    Outage(String),
    /// The run's own budget of requests or time was used up before everything was asked; the text
    /// says which. What is missing is in the partitions, and the next run begins there.
    BudgetSpent(String),
    /// The archive could not be written any more.
    StoreFailed {
        /// The whole chain of causes.
        why: String,
        /// What the operating system said, if it was the one that refused.
        kind: Option<std::io::ErrorKind>,
    },
}

/// What became of one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionSummary {
    /// Which partition.
    pub key: PartitionKey,
    /// The seconds that were wanted of it.
    pub wanted: EpochRange,
    /// The wanted seconds that the source no longer offered before anything was asked.
    pub not_offered: Option<EpochRange>,
    /// What became of them.
    pub outcome: PartitionOutcome,
    /// Wanted seconds that are neither settled nor staged now: never answered, or failed. The next
    /// run asks for them.
    pub missing: RangeSet,
    /// What an earlier run saw and still stands.
    pub standing: Vec<Finding>,
    /// Answers taken in for this partition in this run, refused ones included.
    pub n_pages: u64,
}

/// What became of one partition.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionOutcome {
    /// A new file was committed.
    Published(Box<Published>),
    /// Everything wanted was proved before; nothing was asked.
    UpToDate {
        /// Rows in the published file.
        record_count: u64,
    },
    /// Its sidecar forbids to modify it; it is held as it is.
    Locked {
        /// Rows in it, as the sidecar says.
        record_count: u64,
    },
    /// The source no longer offers any wanted second, and nothing was kept from before.
    NotOffered,
    /// Answers are staged; the month was not finished.
    Staged,
    /// The run ended before this partition's turn.
    NotReached,
    /// The partition could not be worked on; the text is the whole chain of causes.
    Failed(String),
    /// Its files are not for this run to touch, and not what a run can rely on; the text says why.
    /// Running again changes nothing.
    LeftAlone(String),
}

/// Where the history of a series begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// The first second on offer when it was measured.
    pub at: Epoch,
    /// Whether a later run found it again; until then it only seems so, and each run asks again.
    pub is_confirmed: bool,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// Each planned partition, series by series, oldest month first.
    pub partitions: Vec<PartitionSummary>,
    /// Series that could not be worked on at all, with the reason.
    pub failed_series: Vec<(Series, String)>,
    /// Where the history of series begins, as far as the source offers less than everything.
    pub history_begins: BTreeMap<Series, Beginning>,
    /// What was found that concerns no partition by itself.
    pub notices: Vec<Finding>,
    /// Answers in good form that proved nothing, by reason; the rest is known to the source.
    pub thrown_away: DefectCounts,
    /// Wall time of the run.
    pub elapsed: Duration,
}

impl Summary {
    /// Tells whether all that was asked for and that the source offers is on disk and certified.
    pub fn is_complete(&self) -> bool {
        self.ending == Ending::Finished
            && self.failed_series.is_empty()
            && self.partitions.iter().all(PartitionSummary::is_complete)
    }

    /// Every finding of the run and of every partition.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.notices.iter().chain(self.partitions.iter().flat_map(PartitionSummary::findings))
    }
}

impl PartitionSummary {
    /// Tells whether nothing wanted is missing, nothing that this run found is an error, and nothing
    /// that was found before weighs as one.
    pub fn is_complete(&self) -> bool {
        let done = matches!(
            self.outcome,
            PartitionOutcome::Published(_)
                | PartitionOutcome::UpToDate { .. }
                | PartitionOutcome::Locked { .. }
                | PartitionOutcome::NotOffered
        );
        let sound = |finding: &Finding| finding.severity < Severity::Error;
        let broken = |finding: &Finding| finding.weight() == Severity::Error;
        let is_sound = self.findings().all(sound) && !self.standing.iter().any(broken);
        done && self.missing.is_empty() && is_sound
    }

    /// Published prices for which the source was seen to name others, by an earlier run.
    pub fn n_open_restatements(&self) -> u64 {
        self.standing.iter().filter(|f| f.is_open_restatement()).map(|f| f.n).sum()
    }

    /// What download, merge and check found in it.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let published = match &self.outcome {
            PartitionOutcome::Published(published) => Some(published),
            _ => None,
        };
        published.into_iter().flat_map(|published| &published.findings)
    }
}
