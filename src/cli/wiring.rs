//! Where the parts below meet: source, resilience, store, checker and simulated exchange are put
//! together here and nowhere else. No decisions: settings come in checked, outcomes go out as they
//! are.

mod exchange;
pub(super) mod outside;
mod repair;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::deriv::{
    ApiVersion, DerivClient, DerivConfig, Endpoint, NetConnector, Proxy, Secret, check_trust_store,
};
use crate::domain::{
    Finding, PartitionKey, Series, SeriesLocks, Severity, SourceInfo, StoreError, Symbol,
};
use crate::download::{
    DownloadError, DownloadOptions, DownloadRequest, LocalClock, PartitionedDownloader, Plan,
    Summary, disk,
};
use crate::integrity::explain::NotHeld;
use crate::integrity::{
    self, AgainstTicks, ArchivePart, Depth, Explanation, MonthPrices, PartitionChecker, Selection,
    Survey, Thresholds, Unreadable, VerifyOptions,
};
use crate::resilience::{
    BreakerConfig, BreakerState, Counted, Guarded, Observer, PaceOutlook, Retried, RetryConfig,
    SharedPace, ThrottleConfig, Throttled, Timed, WaitReason,
};
use crate::simulator::{Fault, OUTAGE, Quirk, WORLD_QUIRKS};
use crate::storage::{Adoption, Compression, ParquetStore, SeriesGuard, StoreOptions};

use super::clock;
use super::error::Failure;
use super::progress::{Cause, Progress, SourceLook};
use super::record::{Asked, RunRecord};
use super::remembered::Remembered;
use super::report::verify::{Bars, Checked};
use super::report::{BreakerFacts, Traffic};
use super::settings::look::{ExplainSettings, StatusSettings};
use super::settings::{
    ALLOWED_PER_HOUR, AdoptSettings, Api, DownloadSettings, EndpointChoice, Pace, Rate,
    SampleChoice, VerifyDepth, VerifySettings,
};
use super::state;

pub(super) use exchange::{Exchange, NO_SUCH_SYMBOL};
pub(super) use repair::{assess, contents, orders, rows_beside};

/// Most records that any surface of the source puts into one page; asking for more is useless.
const PAGE_LIMIT: u32 = 5_000;

/// The breaker waits at most this many times its first cool-down: a minute becomes five.
const MOST_COOLDOWNS: u32 = 5;

/// A source that never answered in this run is given up after this long: a wrong address or a
/// missing network is better told than waited for.
const MAX_OUTAGE_AT_START: Duration = Duration::from_secs(30);

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

/// The proxy that the environment names for an endpoint.
fn proxy(endpoint: &Endpoint) -> Result<Option<Proxy>, Failure> {
    Proxy::for_endpoint(endpoint, |name| std::env::var_os(name)).map_err(|error| {
        Failure::cannot_start(error).with_hint(
            "name an HTTP proxy like `http://name:password@proxy.example:3128`, or except the \
             endpoint from it with `NO_PROXY`",
        )
    })
}

/// What dials an endpoint as the environment says. Dials nothing yet.
fn connector(endpoint: &Endpoint, allow_insecure: bool) -> Result<NetConnector, Failure> {
    if endpoint.is_tls() {
        check_trust_store(|name| std::env::var_os(name)).map_err(|error| {
            Failure::cannot_start(error).with_hint(
                "name certificates in PEM there, or unset the variable to trust those of the system",
            )
        })?;
    }
    let connector =
        if allow_insecure { NetConnector::allow_insecure() } else { NetConnector::new() };
    Ok(connector.through(proxy(endpoint)?))
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
        report: if with_report {
            super::report::verify::details(&report, &settings.root)
        } else {
            Value::Null
        },
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

/// A store over the folder of another tool.
pub(super) struct Adopter {
    store: ParquetStore,
    symbols: Vec<Symbol>,
    guards: BTreeMap<Series, SeriesGuard>,
}

impl Adopter {
    /// Names the folder; nothing is read or written yet.
    pub(super) fn open(settings: &AdoptSettings, session: &str) -> Result<Self, Failure> {
        let options = StoreOptions { session: session.to_owned(), ..StoreOptions::default() };
        let store = ParquetStore::open(&settings.root, options, Arc::new(PartitionChecker))
            .map_err(Failure::cannot_start)?
            .started_at(clock::now());
        Ok(Self { store, symbols: settings.symbols.clone(), guards: BTreeMap::new() })
    }

    /// Every partition of the folder, and what lies among them that is none.
    pub(super) fn contents(&self) -> (Vec<PartitionKey>, Vec<Finding>) {
        integrity::contents(self.store.layout().root(), &self.symbols)
    }

    /// Makes the folders that are needed and proves that they can be written, if anything is to
    /// be taken over.
    pub(super) fn prepare(&self, keys: &[PartitionKey]) -> Result<(), StoreError> {
        let is_foreign = |key: &PartitionKey| self.store.is_foreign(key).unwrap_or(false);
        if keys.iter().any(is_foreign) { self.store.prepare() } else { Ok(()) }
    }

    /// What would become of a partition; `None` if it is ours.
    pub(super) fn survey(&self, key: &PartitionKey) -> Result<Option<Adoption>, StoreError> {
        self.store.survey(key)
    }

    /// Takes a partition over, with the lock of its series, which is held until the end; `None`
    /// if it is ours.
    pub(super) fn adopt(&mut self, key: &PartitionKey) -> Result<Option<Adoption>, StoreError> {
        if !self.store.is_foreign(key)? {
            return Ok(None);
        }
        if !self.guards.contains_key(&key.series) {
            self.guards.insert(key.series.clone(), self.store.lock(&key.series)?);
        }
        self.store.adopt(key)
    }
}

/// Tells whether a folder is an archive, or a cache that would become one.
pub(super) fn holds_archive(root: &Path) -> bool {
    integrity::holds_archive(root)
}

/// The series of which an archive holds anything, or held it once; nothing if something of it
/// cannot be looked at, so that nobody knows.
pub(super) fn series_known(root: &Path) -> Option<Vec<Series>> {
    let (keys, findings) = integrity::present(root, &[]);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return None;
    }
    let mut series: Vec<_> = keys.into_iter().map(|key| key.series).collect();
    series.dedup();
    Some(series)
}

/// The partitions of which an archive holds a file, in order; `symbols` limits it to some.
pub(super) fn files(root: &Path, symbols: &[Symbol]) -> Vec<PartitionKey> {
    integrity::contents(root, symbols).0
}

/// The series of which an archive holds a file, in order.
pub(super) fn series_of(root: &Path) -> Vec<Series> {
    let mut series: Vec<_> = files(root, &[]).into_iter().map(|key| key.series).collect();
    series.dedup();
    series
}

/// Looks at what an archive says of itself.
pub(super) fn survey(settings: &StatusSettings) -> Survey {
    integrity::survey(&settings.root, &settings.selection)
}

/// Looks at what a whole archive says of itself.
pub(super) fn survey_of(root: &Path) -> Survey {
    integrity::survey(root, &Selection::default())
}

/// Reads the prices of one month in steps of so many seconds.
pub(super) fn prices(
    root: &Path,
    key: &PartitionKey,
    step_secs: i64,
) -> Result<MonthPrices, Unreadable> {
    integrity::month_prices(root, key, step_secs)
}

/// Explains one second of an archive.
pub(super) fn explain(settings: &ExplainSettings) -> Result<Explanation, NotHeld> {
    integrity::explain(&settings.root, &settings.question)
}

/// The names of the faults and what they do, one a line, for `simulate --help`.
pub(super) fn fault_list() -> String {
    let faults = Fault::ALL.iter().map(|fault| (fault.name(), fault.description()));
    let lines: Vec<_> =
        faults.chain([OUTAGE]).map(|(name, text)| format!("  {name:24} {text}")).collect();
    lines.join("\n")
}

/// The names of the quirks and what they do, one a line, for `simulate --help`.
pub(super) fn quirk_list() -> String {
    let quirks = Quirk::ALL.iter().map(|quirk| (quirk.name(), quirk.description()));
    quirks.map(|(name, text)| format!("  {name:24} {text}")).collect::<Vec<_>>().join("\n")
}

/// The quirks of time, their form and what they do, two lines each, for `simulate --help`.
pub(super) fn world_list() -> String {
    let lines =
        WORLD_QUIRKS.iter().map(|(name, form, text)| format!("  {name}={form}\n{:27}{text}", ""));
    lines.collect::<Vec<_>>().join("\n")
}

/// What a session is made of beside its settings.
pub(super) struct Parts {
    /// Where to ask.
    pub(super) endpoint: EndpointChoice,
    /// Names the run.
    pub(super) session: String,
    /// Watches the run.
    pub(super) progress: Arc<Progress>,
    /// What the run tells others.
    pub(super) record: RunRecord,
    /// Ends the run.
    pub(super) stop: CancellationToken,
}

type Source = Remembered<Timed<Retried<Counted<Guarded<Throttled<DerivClient>>>>>>;

/// Source, store and download, put together for one run.
pub(super) struct Session {
    /// The same connection as the one below the wrappers; kept to close it.
    client: DerivClient,
    observer: Observer,
    source: Arc<Source>,
    store: Arc<ParquetStore>,
    options: DownloadOptions,
    downloader: PartitionedDownloader<Source, ParquetStore>,
    /// Held until the session ends.
    guards: Vec<SeriesGuard>,
}

impl Session {
    /// Puts the parts together. Asks nobody and writes nothing.
    pub(super) fn open(settings: &DownloadSettings, parts: Parts) -> Result<Self, Failure> {
        let config = source_config(settings, &parts.endpoint)?;
        let connector = connector(&config.endpoint, settings.insecure_ws)?;
        let client = DerivClient::new(config, connector);
        let observer = observer(&parts);
        let source = source(settings, &parts, client.clone(), &observer);
        let store = Arc::new(open_store(settings, &parts)?);
        show(&parts.progress, &observer, &client);
        parts.record.counts(asking(client.clone(), observer.clone()));
        let reporter = parts.record.beside(parts.progress);
        let options = download_options(settings, &parts.endpoint);
        let downloader = PartitionedDownloader::new(
            Arc::clone(&source),
            Arc::clone(&store),
            reporter,
            options.clone(),
            parts.stop,
        );
        Ok(Self { client, observer, source, store, options, downloader, guards: Vec::new() })
    }

    /// Which of the series are on offer and wanted for a time that makes sense. Writes nothing.
    pub(super) async fn offered(
        &self,
        request: &DownloadRequest,
    ) -> Result<Vec<Series>, DownloadError> {
        let asking = |what| move |source| DownloadError::Source { what, source };
        let now = self.source.server_time().await.map_err(asking("the time"))?;
        let wanted = request.in_time(&self.options, now)?;
        let instruments = self.source.instruments().await.map_err(asking("its symbols"))?;
        let is_offered = |series: &Series| instruments.iter().any(|i| i.symbol == series.symbol);
        Ok(wanted.into_iter().filter(is_offered).collect())
    }

    /// Makes the folders and proves that they can be written.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        self.with_store(ParquetStore::prepare).await
    }

    /// Says in the archive that its prices are invented.
    pub(super) async fn mark_invented(&self) -> Result<(), StoreError> {
        self.with_store(ParquetStore::mark_invented).await
    }

    /// Does `work` on a thread that may block.
    async fn with_store(
        &self,
        work: impl FnOnce(&ParquetStore) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        match disk().spawn_blocking(move || work(&store)).await {
            Ok(result) => result,
            // A panic in there is a bug, and goes on up here.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Takes the lock of a series until the session ends.
    pub(super) fn lock(&mut self, series: &Series) -> Result<(), StoreError> {
        self.guards.push(self.store.lock(series)?);
        Ok(())
    }

    /// What a run would do, and why it could not begin if the disk is too small for it.
    pub(super) async fn rehearse(
        &self,
        request: &DownloadRequest,
    ) -> Result<(Plan, Option<DownloadError>), DownloadError> {
        self.downloader.rehearse(request).await
    }

    /// Tells whether the folders could be made and written. Writes nothing.
    pub(super) async fn check_writable(&self) -> Result<(), StoreError> {
        self.with_store(ParquetStore::check_writable).await
    }

    /// Who else works on a series now.
    pub(super) fn holder(&self, series: &Series) -> Result<Option<String>, StoreError> {
        self.store.holder(series)
    }

    /// The pace as it was learned and is now.
    pub(super) fn pace(&self) -> Option<PaceOutlook> {
        self.observer.pace()
    }

    /// Brings the series up to date.
    pub(super) async fn run(&self, request: &DownloadRequest) -> Result<Summary, DownloadError> {
        self.downloader.run(request).await
    }

    /// What was asked so far.
    pub(super) fn traffic(&self) -> Traffic {
        let (stats, connection) = (self.observer.stats(), self.client.stats());
        Traffic {
            requests: stats.requests,
            retries: stats.retries,
            refusals: stats.refusals,
            waited: stats.waited,
            thrown_away: stats.thrown_away,
            stray_answers: connection.stray_answers,
            reconnects: connection.reconnects,
            waits: stats.waits,
            breaker: breaker_facts(&self.observer),
        }
    }

    /// Closes the connection and lets go of the locks.
    pub(super) async fn close(self) {
        self.client.close().await;
    }
}

/// Tells at any time what was asked.
fn asking(client: DerivClient, observer: Observer) -> Arc<dyn Fn() -> Asked + Send + Sync> {
    Arc::new(move || {
        let (connection, breaker) = (client.stats(), observer.breaker());
        Asked {
            stats: observer.stats(),
            tally: observer.tally(),
            breaker: breaker.state,
            breaker_openings: breaker.n_openings,
            reconnects: connection.reconnects,
            stray_answers: connection.stray_answers,
        }
    })
}

fn breaker_facts(observer: &Observer) -> BreakerFacts {
    let status = observer.breaker();
    let state = match status.state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    };
    BreakerFacts { state, n_openings: status.n_openings }
}

/// The wrappers, outermost last. The reading order of the type is the calling order.
fn source(
    settings: &DownloadSettings,
    parts: &Parts,
    client: DerivClient,
    observer: &Observer,
) -> Arc<Source> {
    let pace = &settings.pace;
    let is_loopback = parts.endpoint.is_loopback;
    let shared = shared_pace(settings, &client);
    let throttled = Throttled::new(client, throttle(pace, is_loopback), observer.clone());
    let throttled = match shared {
        // A look writes nothing, and its few requests matter to nobody.
        Some(shared) if settings.dry_run => throttled.beginning_like(&shared),
        Some(shared) => throttled.sharing(shared),
        None => throttled,
    };
    let guarded = Guarded::new(throttled, breaker(pace), observer.clone());
    let counted = Counted::new(guarded, pace.max_requests);
    let retry = RetryConfig { retries: pace.retries, ..RetryConfig::default() };
    let retried = Retried::new(counted, retry, observer.clone());
    Arc::new(Remembered::new(Timed::new(retried, pace.max_duration)))
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

/// Where the budget is shared; without a ceiling there is none.
fn shared_pace(settings: &DownloadSettings, client: &DerivClient) -> Option<SharedPace> {
    if !settings.pace.is_shared || settings.pace.rate == Rate::Unlimited {
        return None;
    }
    let (folder, address) = (settings.state_dir.as_deref(), client.endpoint());
    Some(state::shared_pace(folder, settings.api.word(), address.host(), address.port()))
}

fn breaker(pace: &Pace) -> BreakerConfig {
    BreakerConfig {
        threshold: pace.breaker_threshold,
        cooldown: pace.breaker_cooldown,
        max_cooldown: pace.breaker_cooldown * MOST_COOLDOWNS,
        max_outage: pace.max_outage,
        max_outage_at_start: MAX_OUTAGE_AT_START,
    }
}

/// Tells the progress why callers wait, unless it is only keeping the pace.
fn observer(parts: &Parts) -> Observer {
    let progress = Arc::clone(&parts.progress);
    Observer::new(parts.stop.clone()).on_wait(Arc::new(move |reason, length| {
        let cause = match reason {
            WaitReason::Pace => return,
            WaitReason::Retry if length < NOTICED_RETRY => return,
            WaitReason::Retry => Cause::Retry,
            WaitReason::HourBudget => Cause::HourBudget,
            WaitReason::RateLimited => Cause::RateLimit,
            WaitReason::BreakerOpen => Cause::SourceAway,
        };
        progress.waits(cause, length);
    }))
}

/// Lets the progress look at the layers around the source.
fn show(progress: &Progress, observer: &Observer, client: &DerivClient) {
    let (observer, client) = (observer.clone(), client.clone());
    progress.watch(move || SourceLook {
        breaker: observer.breaker().state,
        is_connecting: client.stats().is_connecting,
        pace: observer.pace(),
        requests: observer.stats().requests,
    });
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
    let stop = parts.stop.clone();
    Ok(store.started_at(clock::now()).stopped_by(Arc::new(move || stop.is_cancelled())))
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
        tail_lag: settings.file.tail_lag,
        // An exchange on this machine has a clock of its own.
        local_clock: (!endpoint.is_loopback || settings.check_clock)
            .then(|| LocalClock::reading(clock::now())),
        gap_thresholds: settings.file.gap_thresholds.clone(),
        source,
        ask_everything: settings.ask_everything,
        accept_restatement: settings.accept_restatement.clone(),
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
}
