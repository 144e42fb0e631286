//! The use case: which pages to ask, what they prove, when a month is published.
//!
//! Knows neither Deriv nor Parquet: it works over the seams of `domain`.

pub mod pager;
pub mod plan;
pub mod profile;
pub mod reporter;
pub mod summary;
pub mod wall;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{Series, SourceError, StoreError};

pub use plan::{Plan, PlannedPartition, Window, WindowError};
pub use reporter::{PageReport, Reporter, Silent};
pub use summary::{Ending, PartitionOutcome, PartitionSummary, Summary};

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct DownloadRequest {
    /// Which series, worked on together under one budget.
    pub series: Vec<Series>,
    /// Which time.
    pub window: Window,
}

/// How the work is done.
#[derive(Debug, Clone, PartialEq)]
pub struct DownloadOptions {
    /// Requests in flight at once; at least 1.
    pub concurrency: usize,
    /// Records to ask per page; the source may cap lower.
    pub page_limit: u32,
    /// Page cap assumed until one was seen.
    pub assumed_page_cap: u32,
    /// Rows held before they go to the staging.
    pub chunk_rows: usize,
    /// How long after its end a month may still change.
    pub settle_lag: Duration,
    /// Longest silence between two rows that is no gap; `None` derives it.
    pub gap_threshold_secs: Option<i64>,
    /// Facts for the sidecars: endpoint and API, never a secret.
    pub source: serde_json::Map<String, serde_json::Value>,
}

/// Brings series and months up to date: plans, pages, stages, publishes.
pub struct PartitionedDownloader<S, P> {
    source: Arc<S>,
    store: Arc<P>,
    reporter: Arc<dyn Reporter>,
    options: DownloadOptions,
    stop: CancellationToken,
}

/// The run could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The source could not be asked for the time or its symbols.
    #[error("cannot ask the source for {what}")]
    Source {
        /// What was asked for.
        what: &'static str,
        /// Why it was not answered.
        source: SourceError,
    },
    /// The archive could not be read or written.
    #[error("cannot work on the archive")]
    Store(#[from] StoreError),
    /// The window makes no sense.
    #[error("cannot download this range")]
    Window(#[from] WindowError),
    /// No series that was asked for is on offer.
    #[error("no series can be worked on: {}", reasons(.0))]
    NoSeries(Vec<(Series, String)>),
}

fn reasons(failed: &[(Series, String)]) -> String {
    failed.iter().map(|(series, why)| format!("{series}: {why}")).collect::<Vec<_>>().join("; ")
}

impl<S, P> PartitionedDownloader<S, P> {
    /// Puts the parts together; nothing is asked before [`run`](Self::run) or [`plan`](Self::plan).
    pub fn new(
        source: Arc<S>,
        store: Arc<P>,
        reporter: Arc<dyn Reporter>,
        options: DownloadOptions,
        stop: CancellationToken,
    ) -> Self {
        Self { source, store, reporter, options, stop }
    }
}
