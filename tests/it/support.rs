//! A downloader against a simulated exchange on a free loopback port, and readers of what it wrote
//! that share no code with the writer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use titan_download::deriv::{ApiVersion, DerivClient, DerivConfig, Endpoint, NetConnector};
use titan_download::domain::{
    Epoch, EpochRange, ErrorKind, Instrument, Kind, MarketDataSource, Page, PageRequest, Record,
    Series, SeriesLocks, SourceError, SourceInfo, Symbol, TradingDay,
};
use titan_download::download::{
    DownloadError, DownloadOptions, DownloadRequest, LocalClock, PartitionedDownloader, Plan,
    Silent, Summary, Window,
};
use titan_download::integrity::PartitionChecker;
use titan_download::resilience::{BreakerConfig, Observer, RetryConfig, ThrottleConfig, resilient};
use titan_download::simulator::{Limits, SimClock, Simulator, SimulatorConfig};
use titan_download::storage::{ParquetStore, StoreOptions};

/// Rows as (epoch, prices as text of the shortest decimal that reads back the same).
pub(crate) type Rows = BTreeMap<i64, Vec<String>>;

/// A simulated exchange behind a real socket.
pub(crate) struct Exchange {
    pub(crate) simulator: Arc<Simulator>,
    endpoint: Endpoint,
    api: ApiVersion,
    _stop: DropGuard,
}

/// How a download is run; the defaults are those of the command line without limits.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) concurrency: usize,
    pub(crate) chunk_rows: usize,
    pub(crate) retry: RetryConfig,
    pub(crate) timeout: Duration,
    pub(crate) stop: CancellationToken,
    pub(crate) ask_everything: bool,
    pub(crate) settle_lag: Duration,
    pub(crate) tail_lag: Duration,
    pub(crate) local_clock: Option<LocalClock>,
    /// What becomes of the question for opening hours; without it, the exchange answers it.
    pub(crate) hours_refused: Option<ErrorKind>,
    /// Symbols that the list of the exchange leaves out.
    pub(crate) unlisted: Vec<&'static str>,
    /// What the store hears; without it, `stop`.
    pub(crate) is_ending: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            concurrency: 4,
            chunk_rows: 65_536,
            retry: RetryConfig { first: Duration::from_millis(1), ..RetryConfig::default() },
            timeout: Duration::from_secs(30),
            stop: CancellationToken::new(),
            ask_everything: false,
            settle_lag: download_options().settle_lag,
            tail_lag: download_options().tail_lag,
            local_clock: None,
            hours_refused: None,
            unlisted: Vec::new(),
            is_ending: None,
        }
    }
}

pub(crate) fn epoch(text: &str) -> Epoch {
    let utc: chrono::DateTime<chrono::Utc> = text.parse().unwrap();
    Epoch::new(utc.timestamp())
}

/// Unlimited, without latency, its clock frozen at `now`.
pub(crate) fn quiet_config(now: Epoch) -> SimulatorConfig {
    SimulatorConfig {
        clock: SimClock::frozen(now),
        limits: Limits::NONE,
        ..SimulatorConfig::default()
    }
}

pub(crate) fn series(symbol: &str, kind: Kind) -> Series {
    Series { symbol: symbol.parse::<Symbol>().unwrap(), kind }
}

impl Exchange {
    pub(crate) async fn open(config: SimulatorConfig) -> Self {
        Self::open_as(ApiVersion::V1, config).await
    }

    pub(crate) async fn open_as(api: ApiVersion, config: SimulatorConfig) -> Self {
        let simulator = Simulator::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = match api {
            ApiVersion::V1 => "trading/v1/options/ws/public",
            ApiVersion::Legacy => "websockets/v3",
        };
        let endpoint = Endpoint::parse(&format!("ws://127.0.0.1:{port}/{path}")).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&simulator).serve(listener, stop.clone()));
        Self { simulator, endpoint, api, _stop: stop.drop_guard() }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Where the real binary finds it.
    pub(crate) fn url(&self) -> String {
        self.endpoint.to_string()
    }

    /// Runs the main job into `root`.
    pub(crate) async fn download(
        &self,
        root: &Path,
        setup: &Setup,
        series: &[Series],
        window: Window,
    ) -> Result<Summary, DownloadError> {
        let (downloader, store, client) = self.parts(root, setup);
        store.prepare().unwrap();
        let guards: Vec<_> = series.iter().map(|series| store.lock(series).unwrap()).collect();
        let request = DownloadRequest::of(series, window);
        let summary = downloader.run(&request).await;
        client.close().await;
        drop(guards);
        summary
    }

    /// Plans without writing.
    pub(crate) async fn plan(
        &self,
        root: &Path,
        series: &[Series],
        window: Window,
    ) -> Result<Plan, DownloadError> {
        let (downloader, _, client) = self.parts(root, &Setup::default());
        let plan = downloader.plan(&DownloadRequest::of(series, window)).await;
        client.close().await;
        plan
    }

    #[allow(clippy::type_complexity)]
    fn parts(
        &self,
        root: &Path,
        setup: &Setup,
    ) -> (
        PartitionedDownloader<impl titan_download::download::Source + use<>, ParquetStore>,
        Arc<ParquetStore>,
        DerivClient,
    ) {
        let mut config = DerivConfig::new(self.api, self.endpoint.clone());
        config.request_timeout = setup.timeout;
        let client = DerivClient::new(config, NetConnector::new());
        let observer = Observer::new(setup.stop.clone());
        let throttle = ThrottleConfig { per_minute: None, ..ThrottleConfig::default() };
        let source =
            resilient(client.clone(), throttle, BreakerConfig::default(), setup.retry, &observer);
        let (hours_refused, unlisted) = (setup.hours_refused, setup.unlisted.clone());
        let source = Reticent { inner: source, hours_refused, unlisted };
        let options = StoreOptions { endpoint: "test".into(), ..StoreOptions::default() };
        let store = ParquetStore::open(root, options, Arc::new(PartitionChecker)).unwrap();
        let stop = setup.stop.clone();
        let is_ending = setup.is_ending.clone();
        let store = Arc::new(
            store.stopped_by(is_ending.unwrap_or_else(|| Arc::new(move || stop.is_cancelled()))),
        );
        let options = DownloadOptions {
            concurrency: setup.concurrency,
            chunk_rows: setup.chunk_rows,
            ask_everything: setup.ask_everything,
            settle_lag: setup.settle_lag,
            tail_lag: setup.tail_lag,
            local_clock: setup.local_clock,
            ..download_options()
        };
        let downloader = PartitionedDownloader::new(
            Arc::new(source),
            Arc::clone(&store),
            Arc::new(Silent),
            options,
            setup.stop.clone(),
        );
        (downloader, store, client)
    }

    /// What the exchange knows to be true.
    pub(crate) fn truth(&self, series: &Series, range: EpochRange) -> Rows {
        truth(&self.simulator, series, range)
    }
}

/// A source that may not tell when its markets are open, nor of all its symbols.
struct Reticent<S> {
    inner: S,
    hours_refused: Option<ErrorKind>,
    unlisted: Vec<&'static str>,
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Reticent<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.inner.fetch_page(request).await
    }
}

impl<S: SourceInfo> SourceInfo for Reticent<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.inner.server_time().await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        let mut all = self.inner.instruments().await?;
        all.retain(|instrument| !self.unlisted.contains(&instrument.symbol.as_str()));
        Ok(all)
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        match self.hours_refused {
            Some(kind) => Err(SourceError::new(kind, "no hours")),
            None => self.inner.trading_times(day).await,
        }
    }
}

/// How pages are asked and kept, as the command line has it without limits.
pub(crate) fn download_options() -> DownloadOptions {
    DownloadOptions {
        concurrency: 4,
        page_limit: 5000,
        assumed_page_cap: 1000,
        chunk_rows: 65_536,
        settle_lag: Duration::from_secs(86_400),
        tail_lag: Duration::ZERO,
        local_clock: None,
        gap_thresholds: Default::default(),
        source: serde_json::Map::new(),
        ask_everything: false,
        accept_restatement: BTreeSet::new(),
    }
}

/// What an exchange knows to be true.
pub(crate) fn truth(simulator: &Simulator, series: &Series, range: EpochRange) -> Rows {
    let mut csv = Vec::new();
    simulator.write_truth(&series.symbol, series.kind, range, &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let row = |line: &str| {
        let mut fields = line.split(',');
        let epoch: i64 = fields.next()?.parse().ok()?;
        let price = |text: &str| text.parse::<f64>().map(|price| price.to_string());
        Some((epoch, fields.map(price).collect::<Result<_, _>>().ok()?))
    };
    csv.lines().filter_map(row).collect()
}

/// The rows of a batch: epochs, and prices in the order of the columns.
pub(crate) fn column_values(batch: &RecordBatch) -> Vec<(i64, Vec<f64>)> {
    let epochs = batch.column(0).as_primitive::<Int64Type>();
    let price = |row: usize, c: usize| batch.column(c).as_primitive::<Float64Type>().value(row);
    let prices = |row: usize| (1..batch.num_columns()).map(|c| price(row, c)).collect();
    (0..batch.num_rows()).map(|row| (epochs.value(row), prices(row))).collect()
}

/// Every row of a Parquet file; panics unless they strictly ascend.
pub(crate) fn rows_of(path: &Path) -> Rows {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = Rows::new();
    for batch in reader {
        let batch = batch.unwrap();
        let epochs = batch.column(0).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let price =
                |column: usize| batch.column(column).as_primitive::<Float64Type>().value(row);
            let prices = (1..batch.num_columns()).map(|c| price(c).to_string()).collect();
            let epoch = epochs.value(row);
            assert!(rows.last_key_value().is_none_or(|(last, _)| *last < epoch));
            rows.insert(epoch, prices);
        }
    }
    rows
}

/// Every row of every month of a series.
pub(crate) fn all_rows(root: &Path, series: &Series) -> Rows {
    parquet_files(root, series).iter().flat_map(|path| rows_of(path)).collect()
}

pub(crate) fn parquet_files(root: &Path, series: &Series) -> Vec<PathBuf> {
    let dir = root.join(series.symbol.as_str()).join(series.kind.folder());
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .collect();
    paths.sort();
    paths
}

/// Asserts equality without printing a million rows.
pub(crate) fn assert_same_rows(found: &Rows, expected: &Rows) {
    let missing = expected.iter().find(|(epoch, _)| !found.contains_key(epoch));
    let surplus = found.iter().find(|(epoch, _)| !expected.contains_key(epoch));
    let other = expected.iter().find(|(epoch, row)| found.get(epoch).is_some_and(|r| r != *row));
    assert!(
        missing.is_none() && surplus.is_none() && other.is_none(),
        "{} rows found, {} expected; first missing {missing:?}, surplus {surplus:?}, other {other:?}",
        found.len(),
        expected.len(),
    );
}
