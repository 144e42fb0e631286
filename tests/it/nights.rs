//! Nights on a virtual clock: the whole stack over in-memory pipes, with the waits of production.
//!
//! Tokio's paused clock jumps ahead whenever nothing can go on without waiting, and stands while
//! work is done on blocking threads. So a pause of a minute costs nothing and no constant shrinks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use titan_download::deriv::{
    ApiVersion, BoxedStream, Connect, ConnectionStats, DerivClient, DerivConfig, Endpoint, Secret,
};
use titan_download::domain::{
    Epoch, EpochRange, Finding, FindingKind, Series, SeriesLocks, Severity,
};
use titan_download::download::{
    DownloadError, DownloadOptions, DownloadRequest, PartitionedDownloader, Silent, Summary, Window,
};
use titan_download::format::sidecar::Sidecar;
use titan_download::integrity::{self, PartitionChecker, VerifyOptions};
use titan_download::resilience::{
    BreakerConfig, Observer, RequestStats, RetryConfig, ThrottleConfig, resilient,
};
use titan_download::simulator::{LoggedCall, Simulator};
use titan_download::storage::{ParquetStore, StoreOptions};

use crate::support::download_options;

/// No night may last longer, in virtual time: whoever is not done by then hangs.
const NIGHT: Duration = Duration::from_secs(24 * 3600);

/// Dials a simulated exchange in this process.
struct Pipes(Arc<Simulator>);

impl Connect for Pipes {
    async fn dial(&self, _: &Endpoint) -> io::Result<BoxedStream> {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(Arc::clone(&self.0).serve_stream(far));
        Ok(Box::new(near))
    }
}

/// What became of a night.
pub(crate) struct Night {
    pub(crate) summary: Result<Summary, DownloadError>,
    pub(crate) connection: ConnectionStats,
    pub(crate) requests: RequestStats,
}

impl Night {
    /// Whether the process would exit with 0.
    pub(crate) fn is_complete(&self) -> bool {
        self.summary.as_ref().is_ok_and(Summary::is_complete)
    }
}

/// Downloads `window` of `series` into `root` with the settings of production.
pub(crate) async fn night(
    simulator: &Arc<Simulator>,
    api: ApiVersion,
    root: &Path,
    series: &[Series],
    window: Window,
) -> Night {
    let mut config = DerivConfig::new(api, Endpoint::default_for(api));
    config.token = (api == ApiVersion::Legacy).then(|| Secret::new("a-pretended-token"));
    let client = DerivClient::new(config, Pipes(Arc::clone(simulator)));
    let stop = CancellationToken::new();
    let observer = Observer::new(stop.clone());
    let source = resilient(
        client.clone(),
        ThrottleConfig::default(),
        BreakerConfig::default(),
        RetryConfig::default(),
        &observer,
    );
    let options = StoreOptions { endpoint: "test".into(), ..StoreOptions::default() };
    let store = Arc::new(ParquetStore::open(root, options, Arc::new(PartitionChecker)).unwrap());
    store.prepare().unwrap();
    let guards: Vec<_> = series.iter().map(|series| store.lock(series).unwrap()).collect();
    let options = DownloadOptions { chunk_rows: 500, ..download_options() };
    let downloader =
        PartitionedDownloader::new(Arc::new(source), store, Arc::new(Silent), options, stop);
    let request = DownloadRequest::of(series, window);
    let summary = tokio::time::timeout(NIGHT, downloader.run(&request)).await;
    let summary = summary.expect("the night never ends");
    // Returns only when the task of the connection has ended.
    tokio::time::timeout(Duration::from_secs(60), client.close()).await.expect("a task lives on");
    drop(guards);
    Night { summary, connection: client.stats(), requests: observer.stats() }
}

/// Findings of the offline check that are errors and of none of these kinds.
pub(crate) fn errors_but(root: &Path, expected: &[FindingKind]) -> Vec<Finding> {
    let report = integrity::verify(root, &VerifyOptions { threads: 1, ..VerifyOptions::default() });
    let is_news = |finding: &&Finding| {
        finding.severity == Severity::Error && !expected.contains(&finding.kind)
    };
    report.all_findings().filter(is_news).cloned().collect()
}

/// The silences that the sidecars of a series admit.
pub(crate) fn known_gaps(root: &Path, series: &Series) -> Vec<EpochRange> {
    let sidecars = super::support::parquet_files(root, series).into_iter();
    let gaps = sidecars.flat_map(|path| {
        let json = std::fs::read(path.with_extension("metadata.json")).unwrap();
        let sidecar: Sidecar = serde_json::from_slice(&json).unwrap();
        sidecar.gaps.into_iter().filter_map(|gap| EpochRange::new(gap.start, gap.end))
    });
    gaps.collect()
}

/// Everything below `root` whose name ends in `suffix`.
pub(crate) fn files_ending(root: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found
}

/// Most calls against the limits in any minute of the exchange's log.
pub(crate) fn busiest_minute(log: &[LoggedCall]) -> usize {
    let times: Vec<Duration> =
        log.iter().filter(|call| call.is_limited()).map(|call| call.received_after).collect();
    let within = |from: &Duration| {
        times.partition_point(|time| *time < *from + Duration::from_secs(60))
            - times.partition_point(|time| time < from)
    };
    times.iter().map(within).max().unwrap_or(0)
}

/// The epoch of a row as the coverage counts it.
pub(crate) fn at(secs: i64) -> Epoch {
    Epoch::new(secs)
}
