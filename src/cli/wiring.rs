//! Where the parts below meet: source, resilience, store, checker and simulated exchange are put
//! together here and nowhere else. No decisions: settings come in checked, outcomes go out as they
//! are.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::deriv::{ApiVersion, DerivClient, DerivConfig, Endpoint, NetConnector, Secret};
use crate::domain::{Epoch, Series, SeriesLocks, SourceInfo, StoreError};
use crate::download::{
    DownloadError, DownloadOptions, DownloadRequest, PartitionedDownloader, Plan, Reporter, Summary,
};
use crate::integrity::{
    self, AgainstTicks, ArchivePart, Depth, PartitionChecker, Thresholds, VerifyOptions,
};
use crate::resilience::{
    BreakerConfig, Guarded, Observer, Retried, RetryConfig, ThrottleConfig, Throttled, WaitReason,
    resilient,
};
use crate::simulator::{
    Fault, FaultPlan, Limits, LoggedCall, LoggedEnd, OUTAGE, Outcome, Replay, SimClock, Simulator,
    SimulatorConfig, Straddle, TruthError,
};
use crate::storage::{Compression, ParquetStore, SeriesGuard, StoreOptions};

use super::clock;
use super::error::Failure;
use super::progress::Progress;
use super::remembered::Remembered;
use super::report::Traffic;
use super::report::verify::{Bars, Checked};
use super::settings::simulate::{Dump, ReplayFile, SimulateSettings, StraddleChoice};
use super::settings::{
    ALLOWED_PER_HOUR, Api, DownloadSettings, EndpointChoice, Pace, Rate, SampleChoice, VerifyDepth,
    VerifySettings,
};

/// Most records that any surface of the source puts into one page; asking for more is useless.
const PAGE_LIMIT: u32 = 5_000;

/// The breaker waits at most this many times its first cool-down: a minute becomes five.
const MOST_COOLDOWNS: u32 = 5;

/// A pause between two attempts that a person would notice.
const NOTICED_RETRY: Duration = Duration::from_secs(5);

fn version(api: Api) -> ApiVersion {
    match api {
        Api::V1 => ApiVersion::V1,
        Api::Legacy => ApiVersion::Legacy,
    }
}

/// Reads an endpoint, or names the one of the API.
pub(super) fn endpoint(api: Api, text: Option<&str>) -> Result<EndpointChoice, String> {
    let endpoint = match text {
        Some(text) => Endpoint::parse(text).map_err(|error| without_advice(&error))?,
        None => Endpoint::default_for(version(api)),
    };
    let shown = endpoint.to_string();
    Ok(EndpointChoice {
        url: text.map_or_else(|| shown.clone(), str::to_owned),
        shown,
        is_tls: endpoint.is_tls(),
        is_loopback: endpoint.is_loopback(),
    })
}

/// Checks the name of a codec.
pub(super) fn check_compression(text: &str) -> Result<(), String> {
    text.parse::<Compression>().map(drop).map_err(|error| without_advice(&error))
}

/// What is wrong, without what to do about it: the settings say that in their own hint.
fn without_advice(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.split_once("; ").map_or(text.clone(), |(problem, _)| problem.to_owned())
}

/// Checks an archive; `with_report` asks for every detail.
pub(super) fn verify(settings: &VerifySettings, with_report: bool) -> Result<Checked, Failure> {
    let options = VerifyOptions {
        threads: settings.threads.unwrap_or(0),
        depth: match settings.depth {
            VerifyDepth::Fast => Depth::Fast,
            VerifyDepth::Full => Depth::Full,
            VerifyDepth::Deep => Depth::Deep,
        },
        sample: settings.sample.and_then(part_of_today),
        symbols: settings.symbols.clone(),
        thresholds: Thresholds {
            spike: settings.spike_threshold,
            frozen: settings.frozen_threshold,
        },
    };
    let report = integrity::verify(&settings.root, &options);
    let compared = || report.partitions.iter().filter_map(|p| p.against_ticks.as_ref());
    let n_bars = |count: fn(&AgainstTicks) -> u64| compared().map(count).sum();
    Ok(Checked {
        n_partitions: report.partitions.len() as u64,
        n_rows: report.n_rows,
        findings: report.all_findings().cloned().collect(),
        bars: (settings.depth == VerifyDepth::Deep).then(|| Bars {
            n_judged: n_bars(|counts| counts.bars),
            n_equal: n_bars(|counts| counts.equal),
            n_edge: n_bars(|counts| counts.edge),
        }),
        report: with_report
            .then(|| serde_json::to_value(&report))
            .transpose()
            .map_err(Failure::cannot_start)?
            .unwrap_or_default(),
    })
}

/// The part that is meant: the one that was named, or the one whose turn it is today.
fn part_of_today(choice: SampleChoice) -> Option<ArchivePart> {
    const SECS_PER_DAY: i64 = 86_400;
    let n_parts = i64::from(choice.n_parts);
    let today = || clock::now().secs().div_euclid(SECS_PER_DAY).rem_euclid(n_parts) + 1;
    let part = choice.part.or_else(|| u32::try_from(today()).ok())?;
    ArchivePart::new(part, choice.n_parts)
}

/// The names of the faults and what they do, one a line, for `simulate --help`.
pub(super) fn fault_list() -> String {
    let faults = Fault::ALL.iter().map(|fault| (fault.name(), fault.description()));
    let lines: Vec<_> =
        faults.chain([OUTAGE]).map(|(name, text)| format!("  {name:24} {text}")).collect();
    lines.join("\n")
}

/// What a session is made of beside its settings.
pub(super) struct Parts {
    /// Where to ask.
    pub(super) endpoint: EndpointChoice,
    /// Names the run.
    pub(super) session: String,
    /// Watches the run.
    pub(super) progress: Arc<Progress>,
    /// Ends the run.
    pub(super) stop: CancellationToken,
}

type Source = Remembered<Retried<Guarded<Throttled<DerivClient>>>>;

/// Source, store and download, put together for one run.
pub(super) struct Session {
    /// The same connection as the one below the wrappers; kept to close it.
    client: DerivClient,
    observer: Observer,
    source: Arc<Source>,
    store: Arc<ParquetStore>,
    downloader: PartitionedDownloader<Source, ParquetStore>,
    /// Held until the session ends.
    guards: Vec<SeriesGuard>,
}

impl Session {
    /// Puts the parts together. Asks nobody and writes nothing.
    pub(super) fn open(settings: &DownloadSettings, parts: Parts) -> Result<Self, Failure> {
        let connector =
            if settings.insecure_ws { NetConnector::allow_insecure() } else { NetConnector::new() };
        let client = DerivClient::new(source_config(settings, &parts.endpoint)?, connector);
        let observer = observer(&parts);
        let source = resilient(
            client.clone(),
            throttle(&settings.pace, parts.endpoint.is_loopback),
            breaker(&settings.pace),
            RetryConfig { retries: settings.pace.retries, ..RetryConfig::default() },
            &observer,
        );
        let source = Arc::new(Remembered::new(source));
        let store = Arc::new(open_store(settings, &parts)?);
        let reporter: Arc<dyn Reporter> = parts.progress;
        let options = download_options(settings, &parts.endpoint);
        let downloader = PartitionedDownloader::new(
            Arc::clone(&source),
            Arc::clone(&store),
            reporter,
            options,
            parts.stop,
        );
        Ok(Self { client, observer, source, store, downloader, guards: Vec::new() })
    }

    /// Which of the series are on offer, if the window makes sense. Writes nothing.
    pub(super) async fn offered(
        &self,
        request: &DownloadRequest,
    ) -> Result<Vec<Series>, DownloadError> {
        let asking = |what| move |source| DownloadError::Source { what, source };
        let now = self.source.server_time().await.map_err(asking("the time"))?;
        request.window.resolve(now)?;
        let instruments = self.source.instruments().await.map_err(asking("its symbols"))?;
        let is_offered = |series: &&Series| instruments.iter().any(|i| i.symbol == series.symbol);
        Ok(request.series.iter().filter(is_offered).cloned().collect())
    }

    /// Makes the folders and proves that they can be written.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        // A panic in there is a bug, and goes on up here.
        match tokio::task::spawn_blocking(move || store.prepare()).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Takes the lock of a series until the session ends.
    pub(super) fn lock(&mut self, series: &Series) -> Result<(), StoreError> {
        self.guards.push(self.store.lock(series)?);
        Ok(())
    }

    /// What a run would do.
    pub(super) async fn plan(&self, request: &DownloadRequest) -> Result<Plan, DownloadError> {
        self.downloader.plan(request).await
    }

    /// Brings the series up to date.
    pub(super) async fn run(&self, request: &DownloadRequest) -> Result<Summary, DownloadError> {
        self.downloader.run(request).await
    }

    /// What was asked so far.
    pub(super) fn traffic(&self) -> Traffic {
        let stats = self.observer.stats();
        Traffic {
            requests: stats.requests,
            retries: stats.retries,
            refusals: stats.refusals,
            waited: stats.waited,
        }
    }

    /// Closes the connection and lets go of the locks.
    pub(super) async fn close(self) {
        self.client.close().await;
    }
}

fn source_config(
    settings: &DownloadSettings,
    endpoint: &EndpointChoice,
) -> Result<DerivConfig, Failure> {
    let address = Endpoint::parse(&endpoint.url).map_err(Failure::cannot_start)?;
    let mut config = DerivConfig::new(version(settings.api), address);
    config.app_id = settings.app_id;
    config.token = settings.token.as_ref().map(|token| Secret::new(token.reveal()));
    config.request_timeout = settings.pace.timeout;
    // Nobody who waits shorter for an answer wants to wait longer for a connection.
    config.connect_timeout = config.connect_timeout.min(settings.pace.timeout);
    Ok(config)
}

fn throttle(pace: &Pace, is_loopback: bool) -> ThrottleConfig {
    let per_minute = match pace.rate {
        Rate::PerMinute(rate) => Some(rate),
        Rate::Unlimited => None,
    };
    // The hour's budget is the source's own, however high the ceiling of the minute; a simulated
    // exchange has none.
    let more_on_loopback = |rate: u32| match is_loopback {
        true => ALLOWED_PER_HOUR.max(rate.saturating_mul(60)),
        false => ALLOWED_PER_HOUR,
    };
    ThrottleConfig {
        per_minute,
        per_hour: per_minute.map_or(u32::MAX, more_on_loopback),
        ratelimit_pause: pace.ratelimit_pause,
        ..ThrottleConfig::default()
    }
}

fn breaker(pace: &Pace) -> BreakerConfig {
    BreakerConfig {
        threshold: pace.breaker_threshold,
        cooldown: pace.breaker_cooldown,
        max_cooldown: pace.breaker_cooldown * MOST_COOLDOWNS,
        max_outage: pace.max_outage,
    }
}

/// Tells the progress why everything waits, unless it is only keeping its pace.
fn observer(parts: &Parts) -> Observer {
    let progress = Arc::clone(&parts.progress);
    Observer::new(parts.stop.clone()).on_wait(Arc::new(move |reason, length| {
        let why = match reason {
            WaitReason::Pace => return,
            WaitReason::Retry if length < NOTICED_RETRY => return,
            WaitReason::Retry => "a request failed and will be made again",
            WaitReason::HourBudget => "the hour's budget of requests is used up",
            WaitReason::RateLimited => "Deriv refused a request as too frequent",
            WaitReason::BreakerOpen => "the source does not answer; it will be tried again",
        };
        progress.waiting(why, length);
    }))
}

fn open_store(settings: &DownloadSettings, parts: &Parts) -> Result<ParquetStore, Failure> {
    let options = StoreOptions {
        compression: settings.file.compression.parse().map_err(Failure::cannot_start)?,
        row_group_rows: settings.file.row_group_rows,
        endpoint: format!("{} {}", settings.api.word(), parts.endpoint.shown),
        session: parts.session.clone(),
    };
    let store = ParquetStore::open(&settings.output, options, Arc::new(PartitionChecker))
        .map_err(Failure::cannot_start)?;
    Ok(store.started_at(clock::now()))
}

fn download_options(settings: &DownloadSettings, endpoint: &EndpointChoice) -> DownloadOptions {
    let source: Map<String, Value> = [
        ("endpoint".to_owned(), json!(endpoint.shown)),
        ("api".to_owned(), json!(settings.api.word())),
    ]
    .into_iter()
    .collect();
    DownloadOptions {
        concurrency: settings.pace.concurrency,
        page_limit: PAGE_LIMIT,
        // As users report it; what is really answered is learned.
        assumed_page_cap: match settings.api {
            Api::V1 => 1_000,
            Api::Legacy => PAGE_LIMIT,
        },
        chunk_rows: settings.file.chunk_rows,
        settle_lag: settings.file.settle_lag,
        gap_threshold_secs: settings.file.gap_threshold_secs,
        source,
    }
}

/// The simulated exchange, as the command line needs it.
pub(super) struct Exchange(Arc<Simulator>);

impl Exchange {
    /// The exchange of `--demo`: running at the real pace, without limits.
    pub(super) fn demo(now: Epoch) -> Self {
        Self(Simulator::new(SimulatorConfig {
            clock: SimClock::running(now),
            limits: Limits::NONE,
            ..SimulatorConfig::default()
        }))
    }

    /// The exchange of `simulate`; its clock begins at `now`.
    pub(super) fn new(settings: &SimulateSettings, now: Epoch) -> Result<Self, Failure> {
        let faults = FaultPlan::parse(&settings.faults).map_err(|error| {
            Failure::cannot_start(error).with_hint("`simulate --help` lists the faults")
        })?;
        let replays: Result<Vec<_>, _> = settings.replays.iter().map(read_replay).collect();
        Ok(Self(Simulator::new(SimulatorConfig {
            seed: settings.seed,
            clock: SimClock::scaled(now, settings.speed),
            page_cap: settings.page_cap,
            wall: settings.history,
            straddle: match settings.straddle {
                StraddleChoice::Younger => Straddle::YoungerPart,
                StraddleChoice::Substitute => Straddle::Substitute,
            },
            limits: Limits {
                per_minute: settings.per_minute,
                per_hour: settings.per_hour,
                hidden: settings.hidden,
            },
            latency: settings.latency,
            holes: settings.holes,
            faults,
            replays: replays?,
            token: settings.token.as_ref().map(|token| token.reveal().to_owned()),
            ..SimulatorConfig::default()
        })))
    }

    /// Where an API is found on a port of this machine.
    pub(super) fn url(&self, api: Api, port: u16) -> String {
        let path = match api {
            Api::V1 => "trading/v1/options/ws/public",
            Api::Legacy => "websockets/v3?app_id=1089",
        };
        format!("ws://127.0.0.1:{port}/{path}")
    }

    /// Writes what really happened as CSV. An unknown symbol is [`io::ErrorKind::InvalidInput`].
    pub(super) fn write_truth(&self, dump: &Dump, mut out: &mut dyn Write) -> io::Result<()> {
        self.0.write_truth(&dump.symbol, dump.kind, dump.range, &mut out).map_err(|error| {
            match error {
                TruthError::Write { source, .. } => source,
                TruthError::UnknownSymbol(_) => io::Error::new(io::ErrorKind::InvalidInput, error),
            }
        })
    }

    /// Serves until `stop`.
    pub(super) async fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> io::Result<()> {
        Arc::clone(&self.0).serve(listener, stop).await
    }

    /// Writes every request so far, as CSV with a header or as JSON lines.
    pub(super) fn write_log(&self, out: &mut dyn Write, as_json: bool) -> io::Result<()> {
        if !as_json {
            writeln!(out, "{}", LOG_COLUMNS.join(","))?;
        }
        for call in self.0.log() {
            let row = log_row(&call);
            if as_json {
                let object: Map<String, Value> =
                    LOG_COLUMNS.into_iter().map(str::to_owned).zip(row).collect();
                writeln!(out, "{}", Value::from(object))?;
            } else {
                // No cell holds a comma or a quotation mark: words, symbols and numbers only.
                let cells: Vec<_> = row.iter().map(cell).collect();
                writeln!(out, "{}", cells.join(","))?;
            }
        }
        Ok(())
    }
}

fn read_replay(file: &ReplayFile) -> Result<Replay, Failure> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot replay `{path}`")]
    struct CannotReplay {
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    }
    let fail = |source: Box<dyn std::error::Error + Send + Sync>| {
        Failure::cannot_start(CannotReplay { path: file.path.display().to_string(), source })
            .with_hint("a recording is a CSV file with the header `epoch,quote`")
    };
    let reader = File::open(&file.path).map_err(|error| fail(error.into()))?;
    Replay::read(file.symbol.clone(), BufReader::new(reader)).map_err(|error| fail(error.into()))
}

/// Columns of the log of `simulate`, in the order of [`log_row`].
const LOG_COLUMNS: [&str; 13] = [
    "received_after_secs",
    "now",
    "connection",
    "call",
    "symbol",
    "start",
    "end",
    "count",
    "style",
    "granularity",
    "req_id",
    "outcome",
    "rows",
];

fn log_row(call: &LoggedCall) -> [Value; 13] {
    let end = call.end.map(|end| match end {
        LoggedEnd::Latest => json!("latest"),
        LoggedEnd::At(epoch) => json!(epoch),
    });
    let style =
        (call.call == "ticks_history").then_some(if call.candles { "candles" } else { "ticks" });
    let (outcome, rows) = match call.outcome {
        Outcome::Pending => ("pending".to_owned(), None),
        Outcome::Answered { rows } => ("answered".to_owned(), Some(rows)),
        Outcome::Error(code) => (format!("error:{code}"), None),
        Outcome::Fault(name) => (format!("fault:{name}"), None),
    };
    [
        json!(call.received_after.as_secs_f64()),
        json!(call.now),
        json!(call.connection),
        json!(call.call),
        json!(call.symbol),
        json!(call.start),
        json!(end),
        json!(call.count),
        json!(style),
        json!(call.granularity),
        json!(call.req_id),
        json!(outcome),
        json!(rows),
    ]
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_left_to_the_settings() {
        assert_eq!(
            endpoint(Api::V1, Some("http://x")).unwrap_err(),
            "the scheme must be `ws` or `wss`"
        );
        assert_eq!(check_compression("lzma").unwrap_err(), "`lzma` is no compression");
        assert!(check_compression("zstd:3").is_ok());
    }

    #[test]
    fn the_default_endpoints_are_encrypted_and_far() {
        for api in [Api::V1, Api::Legacy] {
            let choice = endpoint(api, None).unwrap();
            assert!(choice.is_tls && !choice.is_loopback, "{choice:?}");
        }
        let local = endpoint(Api::V1, Some("ws://127.0.0.1:8080/x?otp=s3cret")).unwrap();
        assert!(local.is_loopback && !local.is_tls);
        assert!(!format!("{local:?}").contains("s3cret"));
    }

    #[test]
    fn the_log_has_a_cell_for_each_column() {
        let call = LoggedCall {
            received_after: Duration::from_millis(1500),
            now: Epoch::new(7),
            connection: 1,
            call: "ticks_history",
            symbol: Some("R_100".into()),
            start: Some(Epoch::new(1)),
            end: Some(LoggedEnd::Latest),
            count: Some(5000),
            candles: false,
            granularity: None,
            req_id: Some(3),
            outcome: Outcome::Answered { rows: 4 },
        };
        let cells: Vec<_> = log_row(&call).iter().map(cell).collect();
        assert_eq!(
            cells.join(","),
            "1.5,7,1,ticks_history,R_100,1,latest,5000,ticks,,3,answered,4"
        );
    }
}
