//! From a request to a plan: which series are on offer, what is proved already, where the wall is.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::{
    Candle, CoverageState, Epoch, EpochRange, ErrorKind, FactsStore, Instrument, Kind,
    MarketDataSource, Month, PageRequest, PartitionKey, PartitionState, PartitionStore, RangeSet,
    Record, Series, SeriesFacts, SourceError, SourceFacts, SourceInfo, StoreError, StoredPartition,
    Tick, Wall,
};

use super::plan::{Plan, PlannedPartition};
use super::profile::{Profile, unit_secs};
use super::wall::{Probe, Step, WallSearch};
use super::{DownloadError, DownloadOptions, DownloadRequest};

/// A source that serves every kind of record this crate knows.
pub trait Source: MarketDataSource<Tick> + MarketDataSource<Candle> + SourceInfo {}
impl<S: MarketDataSource<Tick> + MarketDataSource<Candle> + SourceInfo> Source for S {}

/// A store that keeps every kind of record this crate knows.
pub trait Store: PartitionStore<Tick> + PartitionStore<Candle> + FactsStore {}
impl<P: PartitionStore<Tick> + PartitionStore<Candle> + FactsStore> Store for P {}

/// An open partition that grows is asked again from this long before its end: a record that
/// reached the source late is then still taken in.
const TAIL_OVERLAP_SECS: i64 = 60;

/// The source's clock, carried forward between two looks at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerClock {
    asked: Epoch,
    at: Instant,
}

impl ServerClock {
    pub(super) fn now(self) -> Epoch {
        let elapsed = i64::try_from(self.at.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.asked.plus(elapsed)
    }
}

/// Enough for every record of a probe.
const PROBE_RECORDS: u32 = 10;

/// Whether looking may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Only a plan: nothing is written, and at most one probe per series is asked.
    DryRun,
    /// The work follows.
    Run,
}

/// Everything known before the first page is asked.
pub(super) struct Prepared {
    pub(super) clock: ServerClock,
    pub(super) plan: Plan,
    /// What the store knows of each planned partition, in the order of the plan.
    pub(super) stored: Vec<StoredPartition>,
    pub(super) profiles: BTreeMap<Series, Profile>,
    pub(super) walls: BTreeMap<Series, Wall>,
    pub(super) facts: SourceFacts,
}

/// Makes the plan; `stop` is honoured by the source's wrappers.
pub(super) async fn prepare<S: Source, P: Store>(
    source: &S,
    store: &Arc<P>,
    request: &DownloadRequest,
    options: &DownloadOptions,
    purpose: Purpose,
) -> Result<Prepared, DownloadError> {
    let asking = |what| move |source| DownloadError::Source { what, source };
    let asked = source.server_time().await.map_err(asking("the time"))?;
    let clock = ServerClock { asked, at: Instant::now() };
    let window = request.window.resolve(asked)?;
    let instruments = source.instruments().await.map_err(asking("its symbols"))?;
    let facts = blocking(store, |store| Ok(store.load_facts())).await?;
    let mut prepared = Prepared {
        clock,
        plan: Plan { server_now: asked, partitions: Vec::new(), failed_series: Vec::new() },
        stored: Vec::new(),
        profiles: BTreeMap::new(),
        walls: BTreeMap::new(),
        facts,
    };
    for series in &request.series {
        let instrument = match offered(series, &instruments) {
            Ok(instrument) => instrument,
            Err(why) => {
                prepared.plan.failed_series.push((series.clone(), why));
                continue;
            }
        };
        let known = prepared.known(series);
        let cap = prepared.facts.page_cap.unwrap_or(options.assumed_page_cap);
        let continuous = (!instrument.market.is_empty()).then(|| instrument.is_continuous());
        let mut profile = Profile::new(series.kind, continuous, cap, known.cadence);
        profile.assume_interval(instrument.usual_interval_millis);
        let planned =
            plan_series(source, store, series, window, &profile, known, purpose, asked).await;
        prepared.profiles.insert(series.clone(), profile);
        match planned {
            Ok(planned) => prepared.take(series, planned),
            Err(error) => prepared.plan.failed_series.push((series.clone(), chain(&error))),
        }
    }
    if prepared.plan.partitions.is_empty() && !prepared.plan.failed_series.is_empty() {
        return Err(DownloadError::NoSeries(prepared.plan.failed_series));
    }
    Ok(prepared)
}

impl Prepared {
    fn known(&self, series: &Series) -> SeriesFacts {
        self.facts.series.get(&fact_name(series)).copied().unwrap_or_default()
    }

    fn take(&mut self, series: &Series, planned: PlannedSeries) {
        if let Some(wall) = planned.wall {
            self.walls.insert(series.clone(), wall);
        }
        for (partition, stored) in planned.partitions {
            self.plan.partitions.push(partition);
            self.stored.push(stored);
        }
    }
}

/// Name of a series among the facts.
pub(super) fn fact_name(series: &Series) -> String {
    format!("{}/{}", series.symbol, series.kind.folder())
}

fn offered<'a>(series: &Series, instruments: &'a [Instrument]) -> Result<&'a Instrument, String> {
    let wanted = series.symbol.as_str();
    if let Some(instrument) = instruments.iter().find(|i| i.symbol == series.symbol) {
        return Ok(instrument);
    }
    let names = instruments.iter().map(|i| i.symbol.as_str());
    let distance =
        |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &wanted.to_lowercase());
    let nearest = names.min_by_key(|name| distance(name)).filter(|name| distance(name) <= 3);
    let hint = nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    Err(format!("the source does not offer the symbol `{wanted}`{hint}"))
}

struct PlannedSeries {
    partitions: Vec<(PlannedPartition, StoredPartition)>,
    wall: Option<Wall>,
}

/// A series could not be planned.
#[derive(Debug, thiserror::Error)]
enum SeriesError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot find out how far back its history reaches")]
    Wall(#[source] SourceError),
}

#[allow(clippy::too_many_arguments)] // one call; a struct would only name the same eight things again
async fn plan_series<S: Source, P: Store>(
    source: &S,
    store: &Arc<P>,
    series: &Series,
    window: EpochRange,
    profile: &Profile,
    known: SeriesFacts,
    purpose: Purpose,
    now: Epoch,
) -> Result<PlannedSeries, SeriesError> {
    let mut partitions = Vec::new();
    for month in Month::touching(window) {
        let Some(wanted) = closed_records(window, month, series.kind) else { continue };
        let key = PartitionKey { series: series.clone(), month };
        let stored = load(store, &key).await?;
        let missing = missing(&stored, wanted);
        partitions.push((planned(key, wanted, missing, &stored), stored));
    }
    let wall = match oldest_missing(store, series, &partitions).await? {
        Some(oldest) => look_for_wall(source, series, oldest, now, known.wall, purpose).await?,
        None => None,
    };
    for (partition, _) in &mut partitions {
        if let Some(wall) = wall {
            stand_before(wall, partition);
        }
        let secs = partition.missing.len_secs();
        partition.n_requests =
            partition.missing.iter().map(|r| profile.pages_in(r.len_secs())).sum();
        partition.n_rows = profile.rows_in(secs);
    }
    Ok(PlannedSeries { partitions, wall })
}

/// The wanted seconds of a month: whole records only, so no bar that is still open.
fn closed_records(window: EpochRange, month: Month, kind: Kind) -> Option<EpochRange> {
    let unit = unit_secs(kind);
    let range = window.intersect(month.range())?;
    EpochRange::new(range.start().ceil_to(unit, 0), range.end().floor_to(unit, 0))
}

fn missing(stored: &StoredPartition, wanted: EpochRange) -> RangeSet {
    if stored.state == Some(PartitionState::Sealed) || stored.locked {
        return RangeSet::new();
    }
    let coverage = stored.coverage();
    let missing = coverage.missing(wanted);
    let overlap = |range: EpochRange| {
        let before = range.start().plus(-1);
        let grows = coverage.state_at(before) == Some(CoverageState::Answered);
        let start = if grows { range.start().plus(-TAIL_OVERLAP_SECS) } else { range.start() };
        EpochRange::new(start.max(wanted.start()), range.end())
    };
    missing.iter().filter_map(overlap).collect()
}

fn planned(
    key: PartitionKey,
    wanted: EpochRange,
    missing: RangeSet,
    stored: &StoredPartition,
) -> PlannedPartition {
    PlannedPartition {
        key,
        wanted,
        not_offered: None,
        missing,
        state: stored.state,
        record_count: stored.record_count,
        n_requests: 0,
        n_rows: 0,
    }
}

/// The oldest missing second, if nothing older was ever answered: only then can it be behind the wall.
async fn oldest_missing<P: Store>(
    store: &Arc<P>,
    series: &Series,
    partitions: &[(PlannedPartition, StoredPartition)],
) -> Result<Option<Epoch>, StoreError> {
    let Some((first, _)) = partitions.first() else { return Ok(None) };
    let first_missing =
        partitions.iter().find_map(|(partition, _)| partition.missing.iter().next());
    let Some(oldest) = first_missing.map(EpochRange::start) else { return Ok(None) };
    let answered_before = partitions.iter().any(|(_, stored)| {
        let coverage = stored.coverage();
        let answered = coverage.select(|state| state >= CoverageState::Inherited);
        answered.iter().next().is_some_and(|range| range.start() < oldest)
    });
    if answered_before {
        return Ok(None);
    }
    let (series, first) = (series.clone(), first.key.month);
    let months =
        blocking(store, move |store| PartitionStore::<Tick>::published_months(store, &series));
    Ok(months.await?.iter().all(|month| *month >= first).then_some(oldest))
}

async fn look_for_wall<S: Source>(
    source: &S,
    series: &Series,
    oldest: Epoch,
    now: Epoch,
    known: Option<Wall>,
    purpose: Purpose,
) -> Result<Option<Wall>, SeriesError> {
    let mut search = WallSearch::new(unit_secs(series.kind), oldest, now, known);
    if purpose == Purpose::DryRun {
        if let Step::Ask(range) = search.step() {
            let probe = ask_wall(source, series, range).await.map_err(SeriesError::Wall)?;
            return Ok((probe == Probe::Refused).then(|| search.expected_wall()));
        }
        return Ok(None);
    }
    run_wall_search(source, series, &mut search).await.map_err(SeriesError::Wall)
}

/// Runs a search to its end.
pub(super) async fn run_wall_search<S: Source>(
    source: &S,
    series: &Series,
    search: &mut WallSearch,
) -> Result<Option<Wall>, SourceError> {
    loop {
        match search.step() {
            Step::Ask(range) => {
                let probe = ask_wall(source, series, range).await?;
                search.answer(probe);
            }
            Step::NoWall => return Ok(None),
            Step::Found(wall) => {
                tracing::info!(%series, offered_from = %wall.offered_from, "history begins here");
                return Ok(Some(wall));
            }
            Step::Contradictory => {
                let message = "the source contradicts itself about where its history begins";
                return Err(SourceError::new(ErrorKind::Malformed, message));
            }
        }
    }
}

async fn ask_wall<S: Source>(
    source: &S,
    series: &Series,
    range: EpochRange,
) -> Result<Probe, SourceError> {
    let request = PageRequest { series: series.clone(), range, limit: PROBE_RECORDS };
    match series.kind {
        Kind::Ticks => ask_wall_of::<Tick, S>(source, &request).await,
        Kind::Candles(_) => ask_wall_of::<Candle, S>(source, &request).await,
    }
}

async fn ask_wall_of<R: Record, S: MarketDataSource<R>>(
    source: &S,
    request: &PageRequest,
) -> Result<Probe, SourceError> {
    let page = source.fetch_page(request).await?;
    if !page.fits(request.range) {
        return Ok(Probe::Refused);
    }
    let first = page.records.first().map(Record::epoch);
    Ok(Probe::Offered { record_at_start: first == Some(request.range.start()) })
}

/// Nothing behind the wall is asked, and it is known not to be offered.
fn stand_before(wall: Wall, partition: &mut PlannedPartition) {
    let behind = EpochRange::new(partition.wanted.start(), wall.offered_from);
    let Some(behind) = behind.and_then(|range| range.intersect(partition.wanted)) else { return };
    if partition.missing.intersects(behind) {
        partition.not_offered = Some(behind);
        partition.missing.remove(behind);
    }
}

async fn load<P: Store>(store: &Arc<P>, key: &PartitionKey) -> Result<StoredPartition, StoreError> {
    let key = key.clone();
    blocking(store, move |store| match key.series.kind {
        Kind::Ticks => PartitionStore::<Tick>::load(store, &key),
        Kind::Candles(_) => PartitionStore::<Candle>::load(store, &key),
    })
    .await
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<P: Store, T: Send + 'static>(
    store: &Arc<P>,
    work: impl FnOnce(&P) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Damaged {
                path: std::path::PathBuf::new(),
                problem: "could not be worked on: the program is ending".to_owned(),
            }),
        },
    }
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

/// What is worth keeping for the next run.
pub(super) fn facts_learned(
    mut facts: SourceFacts,
    profiles: &BTreeMap<Series, Profile>,
    walls: &BTreeMap<Series, Wall>,
) -> SourceFacts {
    for (series, profile) in profiles {
        if profile.was_fed() {
            facts.page_cap = Some(profile.page_cap);
        }
        let fact = facts.series.entry(fact_name(series)).or_default();
        fact.cadence = profile.cadence.or(fact.cadence);
        fact.wall = walls.get(series).copied().or(fact.wall);
    }
    facts
}
