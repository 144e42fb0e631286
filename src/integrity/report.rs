//! What a check of a whole archive saw.

use serde::Serialize;

use crate::domain::{Finding, Gap, GapClass, PartitionKey, PartitionState, Severity};

use super::against::AgainstTicks;

/// What was seen in one archive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Every partition found, by path.
    pub partitions: Vec<PartitionReport>,
    /// What belongs to no partition: strangers, sidecars without a file, unreadable folders.
    pub findings: Vec<Finding>,
    /// Rows in all partitions that could be read.
    pub n_rows: u64,
    /// Findings of [`Severity::Error`].
    pub n_errors: u64,
    /// Findings of [`Severity::Warning`].
    pub n_warnings: u64,
}

/// What was seen in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Which partition.
    pub key: PartitionKey,
    /// The Parquet file relative to the root, with `/` between its parts.
    pub path: String,
    /// Rows in it; 0 if they could not be read to the end.
    pub rows: u64,
    /// What its sidecar says of its state, true or not; `None` without a sidecar of ours.
    pub state: Option<PartitionState>,
    /// Whether another tool wrote it, so that nothing about it is certified.
    pub inherited: bool,
    /// Broken promises and remarks; the worst if there are very many.
    pub findings: Vec<Finding>,
    /// Silent stretches longer than the threshold, by class.
    pub gap_counts: GapCounts,
    /// Silent stretches longer than the threshold, ascending, classed; the longest if there are
    /// very many.
    pub gaps: Vec<Gap>,
    /// How candles agree with the ticks of their month, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_ticks: Option<AgainstTicks>,
}

/// Gaps of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct GapCounts {
    /// Week-ends and times between sessions.
    pub market_closed: u64,
    /// Interior of a well-formed page.
    pub within_page: u64,
    /// Asked twice in one run, and not again since.
    pub silent: u64,
    /// Asked again after the settle lag, and still nothing.
    pub confirmed_by_source: u64,
    /// Before the first row of the series.
    pub before_first_row: u64,
    /// Explained by nothing.
    pub unexplained: u64,
}

impl GapCounts {
    /// Counts gaps.
    pub(crate) fn of(gaps: &[Gap]) -> Self {
        let mut counts = Self::default();
        for gap in gaps {
            *match gap.class {
                GapClass::MarketClosed => &mut counts.market_closed,
                GapClass::WithinPage => &mut counts.within_page,
                GapClass::Silent => &mut counts.silent,
                GapClass::ConfirmedBySource => &mut counts.confirmed_by_source,
                GapClass::BeforeFirstRow => &mut counts.before_first_row,
                GapClass::Unexplained => &mut counts.unexplained,
            } += 1;
        }
        counts
    }
}

impl Report {
    /// Sums up what was seen.
    pub(crate) fn new(partitions: Vec<PartitionReport>, findings: Vec<Finding>) -> Self {
        let n_rows = partitions.iter().map(|partition| partition.rows).sum();
        let mut report = Self { partitions, findings, n_rows, n_errors: 0, n_warnings: 0 };
        let count = |severity| report.all_findings().filter(|f| f.severity == severity).count();
        let (n_errors, n_warnings) = (count(Severity::Error), count(Severity::Warning));
        report.n_errors = n_errors as u64;
        report.n_warnings = n_warnings as u64;
        report
    }

    /// Every finding, those of the archive first, then partition by partition.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.partitions.iter().flat_map(|p| &p.findings))
    }

    /// The most severe finding's severity; `None` if nothing was found.
    pub fn worst(&self) -> Option<Severity> {
        self.all_findings().map(|finding| finding.severity).max()
    }
}
