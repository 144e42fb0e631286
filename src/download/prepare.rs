//! From a request to a plan: which series are on offer, what is proved already, where the wall is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::domain::{
    Advice, Cadence, Candle, CoverageState, Epoch, EpochRange, ErrorKind, FactsStore, Finding,
    FindingKind, GapClass, Granularity, Instrument, Kind, MarketDataSource, Month, PartitionKey,
    PartitionState, PartitionStore, RangeSet, Series, SeriesFacts, SettleClock, SourceError,
    SourceFacts, SourceInfo, StoreError, StoreSpace, StoredPartition, Tick, Wall,
};

use super::clocks::{ClockDoubt, LocalClock};
use super::disk::disk;
use super::job::joined;
use super::plan::{Plan, PlannedPartition};
use super::probe::{Sighting, ask_wall, run_wall_search};
use super::profile::{Profile, unit_secs};
use super::refusals::{Refusals, SeriesError, ends_everything, ends_the_run};
use super::repair::{self, Orders};
use super::wall::{self, Answer, Probe, Step, WallSearch};
use super::{DownloadError, DownloadOptions, DownloadRequest, Wanted, second_looks, space, spans};

/// A source that serves every kind of record this crate knows.
pub trait Source: MarketDataSource<Tick> + MarketDataSource<Candle> + SourceInfo {}
impl<S: MarketDataSource<Tick> + MarketDataSource<Candle> + SourceInfo> Source for S {}

/// A store that keeps every kind of record this crate knows.
pub trait Store: PartitionStore<Tick> + PartitionStore<Candle> + FactsStore + StoreSpace {}
impl<P: PartitionStore<Tick> + PartitionStore<Candle> + FactsStore + StoreSpace> Store for P {}

/// An open partition that grows is asked again from this long before its end: a record that
/// reached the source late is then still taken in.
const TAIL_OVERLAP_SECS: i64 = 60;

/// Silence longer than this before the end of what is answered is no late record; a week-end with
/// holidays is shorter.
const LONGEST_TAIL_SECS: i64 = 7 * 86_400;

/// Younger than this, what follows an answer needs no look at the wall: nobody reported a history
/// shorter than a year.
const SURELY_OFFERED_SECS: i64 = 300 * 86_400;

/// Answers to one look at a remembered wall, at most.
const MAX_LOOKS: u32 = 8;

/// Why the answers of a run are no evidence of a wall.
pub(super) const CONTRADICTED: &str =
    "the source also sent its newest rows where it offers what was asked";

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
    /// Why a wall cannot be believed.
    pub(super) wall_doubts: BTreeMap<Series, String>,
    /// Oldest second of each series that the source ever answered for.
    pub(super) first_held: BTreeMap<Series, Epoch>,
    /// Oldest and newest row of each series that is held.
    pub(super) rows_held: BTreeMap<Series, EpochRange>,
    pub(super) facts: SourceFacts,
    /// The source's clock, if it is not believed.
    pub(super) clock_doubt: Option<ClockDoubt>,
    /// How long after its end a month may still change; for ever if the clock is in doubt.
    pub(super) settle_lag: Duration,
}

/// Makes the plan; `stop` is honoured by the source's wrappers.
pub(super) async fn prepare<S: Source, P: Store>(
    source: &S,
    store: &Arc<P>,
    request: &DownloadRequest,
    options: &DownloadOptions,
    orders: Option<&Orders>,
    purpose: Purpose,
) -> Result<Prepared, DownloadError> {
    let asking = |what| move |source| DownloadError::Source { what, source };
    let told = source.server_time().await.map_err(asking("the time"))?;
    let clock_doubt = doubt_clock(store, request, options, told).await?;
    if let Some(doubt) = clock_doubt {
        tracing::warn!("{}", doubt.finding());
    }
    let asked = clock_doubt.map_or(told, ClockDoubt::believed);
    let windows = request.windows(options, asked)?;
    let instruments = source.instruments().await.map_err(asking("its symbols"))?;
    let facts = blocking(store, |store| Ok(store.load_facts())).await?;
    let mut prepared = Prepared::new(asked, clock_doubt, facts, options);
    let mut refusals = Refusals::default();
    for (Wanted { series, .. }, window) in request.wanted.iter().zip(windows) {
        let window = window.map_err(|error| chain(&error));
        let instrument = instruments.iter().find(|i| i.symbol == series.symbol);
        let (window, instrument) = match (window, instrument) {
            (Ok(window), Some(instrument)) => (window, instrument),
            (Err(why), _) => {
                prepared.plan.failed_series.push((series.clone(), why));
                continue;
            }
            (Ok(_), None) => {
                prepared.take_unlisted(store, series, &instruments).await?;
                continue;
            }
        };
        prepared.facts.unlisted.remove(series.symbol.as_str());
        let known = prepared.known(series);
        let remembered = known.wall;
        let cap = prepared.facts.page_cap.unwrap_or(options.assumed_page_cap);
        let continuous = (!instrument.market.is_empty()).then(|| instrument.is_continuous());
        let mut profile = Profile::new(series.kind, continuous, cap, known.cadence);
        profile.assume_cap(options.assumed_page_cap);
        profile.assume_interval(instrument.usual_interval_millis);
        profile.decimals = instrument.pip_size;
        let planner = Planner {
            source,
            store,
            series,
            profile: &profile,
            known,
            purpose,
            now: asked,
            settle_lag: prepared.settle_lag,
            options,
            orders,
        };
        let planned = planner.plan(window).instrument(spans::series(series)).await;
        prepared.profiles.insert(series.clone(), profile);
        match planned {
            Ok(planned) => prepared.take(series, planned),
            Err(SeriesError::Wall(source)) if ends_the_run(source.kind) => {
                return Err(DownloadError::Source { what: "its history", source });
            }
            Err(SeriesError::Locked(key)) => {
                let why = "its sidecar says `locked`, and what is locked is never changed";
                return Err(DownloadError::Restatement { key, why });
            }
            Err(SeriesError::Store(error)) if ends_everything(&error) => return Err(error.into()),
            Err(error) => {
                // What was known is no less known for that.
                prepared.walls.extend(remembered.map(|wall| (series.clone(), wall)));
                prepared.plan.failed_series.push((series.clone(), chain(&error)));
                refusals.take(error);
            }
        }
    }
    prepared.plan.n_bytes = space::bytes_of_all(&prepared.plan, |kind| store.row_bytes(kind));
    prepared.plan.free_bytes = blocking(store, |store| Ok(store.free_bytes())).await?;
    if prepared.plan.partitions.is_empty() && !prepared.plan.failed_series.is_empty() {
        return Err(refusals.of_all(prepared.plan.failed_series));
    }
    Ok(prepared)
}

impl Prepared {
    /// Begins with no series, at the time that is believed.
    fn new(
        now: Epoch,
        clock_doubt: Option<ClockDoubt>,
        facts: SourceFacts,
        options: &DownloadOptions,
    ) -> Self {
        let is_believed = clock_doubt.is_none_or(|doubt| !doubt.is_local_plausible);
        Self {
            clock: ServerClock { asked: now, at: Instant::now() },
            plan: Plan {
                server_now: now,
                partitions: Vec::new(),
                failed_series: Vec::new(),
                begins: Vec::new(),
                notices: Vec::new(),
                n_bytes: 0,
                free_bytes: None,
            },
            stored: Vec::new(),
            profiles: BTreeMap::new(),
            walls: BTreeMap::new(),
            wall_doubts: BTreeMap::new(),
            first_held: BTreeMap::new(),
            rows_held: BTreeMap::new(),
            facts,
            clock_doubt,
            settle_lag: if is_believed { options.settle_lag } else { Duration::MAX },
        }
    }

    /// A wall seen in the future belongs to another clock.
    fn known(&self, series: &Series) -> SeriesFacts {
        let known = self.facts.series.get(&fact_name(series)).copied().unwrap_or_default();
        SeriesFacts { wall: known.wall.filter(|wall| wall.is_possible(self.clock.asked)), ..known }
    }

    /// A series that is not listed and that the archive holds has ended: that is told once, with the
    /// date, and nothing is asked for it. Any other is a name that nobody ever heard of. A list of
    /// nothing is no answer.
    async fn take_unlisted<P: Store>(
        &mut self,
        store: &Arc<P>,
        series: &Series,
        instruments: &[Instrument],
    ) -> Result<(), StoreError> {
        let held = series.clone();
        let holds = move |store: &P| Ok(PartitionStore::<Tick>::rows_held(store, &held)?.is_some());
        if instruments.is_empty() || !blocking(store, holds).await? {
            self.plan.failed_series.push((series.clone(), unknown_symbol(series, instruments)));
            return Ok(());
        }
        let now = self.clock.asked;
        if let Entry::Vacant(unknown) = self.facts.unlisted.entry(series.symbol.to_string()) {
            unknown.insert(now);
            let expected = "a symbol that the source lists";
            let found = format!(
                "none since {now}; what is held of it stays, and nothing is asked for it any more"
            );
            let notice =
                Finding::warning(FindingKind::NoLongerListed, &series.symbol, expected, found);
            self.plan.notices.push(notice.advise(Advice::LeaveOut));
        }
        Ok(())
    }

    fn take(&mut self, series: &Series, planned: PlannedSeries) {
        if let Some(wall) = planned.wall {
            self.walls.insert(series.clone(), wall);
        }
        self.plan.begins.extend(planned.begins().map(|begins| (series.clone(), begins)));
        if let Some(doubt) = planned.wall_doubt {
            self.wall_doubts.insert(series.clone(), doubt);
        }
        if let Some(held) = planned.first_held {
            self.first_held.insert(series.clone(), held);
        }
        if let Some(rows) = planned.rows_held {
            self.rows_held.insert(series.clone(), rows);
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

/// Says that nobody ever heard of a symbol, and which one may have been meant.
fn unknown_symbol(series: &Series, instruments: &[Instrument]) -> String {
    let wanted = series.symbol.as_str();
    let names = instruments.iter().map(|i| i.symbol.as_str());
    let distance = |name: &&str| {
        let letters = strsim::damerau_levenshtein(&name.to_lowercase(), &wanted.to_lowercase());
        (letters, name.len().abs_diff(wanted.len()))
    };
    let nearest = names.min_by_key(distance).filter(|name| distance(name).0 <= 3);
    let hint = nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    format!("the source does not offer the symbol `{wanted}`{hint}")
}

struct PlannedSeries {
    partitions: Vec<(PlannedPartition, StoredPartition)>,
    wall: Option<Wall>,
    wall_doubt: Option<String>,
    first_held: Option<Epoch>,
    /// From the oldest row that is held to the newest.
    rows_held: Option<EpochRange>,
}

impl PlannedSeries {
    /// Where the history begins inside the wanted time: with the first row, if the source answered
    /// for silence before it; else at the wall.
    fn begins(&self) -> Option<Epoch> {
        let (first, _) = self.partitions.first()?;
        let wanted = first.wanted.start();
        let is_silent_before = |row: &Epoch| {
            let mut gaps = self.partitions.iter().flat_map(|(_, stored)| &stored.silences);
            gaps.any(|gap| gap.class == GapClass::BeforeFirstRow && gap.end == *row)
        };
        let row = self.rows_held.map(EpochRange::start).filter(is_silent_before);
        let wall = self.wall.map(|wall| wall.offered_from);
        row.or(wall).filter(|begins| *begins > wanted)
    }
}

/// Plans one series.
struct Planner<'a, S, P> {
    source: &'a S,
    store: &'a Arc<P>,
    series: &'a Series,
    profile: &'a Profile,
    known: SeriesFacts,
    purpose: Purpose,
    now: Epoch,
    settle_lag: Duration,
    options: &'a DownloadOptions,
    /// If there are any, nothing but what they say is asked.
    orders: Option<&'a Orders>,
}

impl<S: Source, P: Store> Planner<'_, S, P> {
    async fn plan(&self, window: EpochRange) -> Result<PlannedSeries, SeriesError> {
        let mut partitions = Vec::new();
        let lag_secs = i64::try_from(self.options.tail_lag.as_secs()).unwrap_or(i64::MAX);
        let latest = self.now.plus(-lag_secs);
        for month in Month::touching(window) {
            let kind = self.series.kind;
            let Some(wanted) = closed_records(window, month, kind, latest) else { continue };
            let key = PartitionKey { series: self.series.clone(), month };
            if let Some(orders) = self.orders {
                let Some(order) = orders.0.get(&key) else { continue };
                let stored = self.load(&key).await?;
                let is_dry_run = self.purpose == Purpose::DryRun;
                let planned = repair::planned(key, order, wanted, &stored, is_dry_run);
                partitions.extend(planned.map(|planned| (planned, stored)));
                continue;
            }
            let stored = self.load(&key).await?;
            let is_locked = stored.locked && stored.undecodable.is_none();
            if is_locked && self.options.accept_restatement.contains(&key) {
                return Err(SeriesError::Locked(key));
            }
            if self.options.accept_restatement.contains(&key) && stored.restatement_accepted {
                let hint = "its newer prices were accepted before; `--no-resume` compares anew";
                tracing::warn!(partition = %key, hint);
            }
            let mut missing = self.missing(&stored, &key, wanted);
            let mut again = RangeSet::new();
            if self.is_asked_again(&stored, &key) {
                again = stored.coverage().select(CoverageState::is_settled).within(wanted);
                missing = RangeSet::from(wanted);
            }
            let mut planned = planned(key, wanted, missing, again, &stored);
            planned.second_looks = self.second_looks(&stored, &planned);
            partitions.push((planned, stored));
        }
        let first_held = self.first_held(&partitions).await?;
        let seen = match self.wall(&partitions, first_held).await {
            // The plan then names what is not reached; nothing behind the wall is asked any more.
            Err(error) if self.is_only_spent(&error) => {
                Sighting { wall: self.known.wall, ..Sighting::default() }
            }
            wall => wall.map_err(SeriesError::Wall)?,
        };
        let (wall, wall_doubt) = self.weighed(seen).await?;
        for (partition, stored) in &mut partitions {
            if let Some(wall) = wall {
                stand_before(wall, first_held, &inherited(stored), partition);
            }
            let missing = &partition.missing;
            let n_pages = missing.iter().map(|range| self.profile.pages_in(range.len_secs()));
            partition.n_requests = n_pages.sum::<u64>() + partition.second_looks.len() as u64;
            partition.n_rows = self.profile.rows_in(missing.len_secs());
            partition.n_bytes =
                space::bytes_at_once(partition, self.store.row_bytes(self.series.kind));
        }
        let rows_held = self.rows_held(&partitions).await?;
        Ok(PlannedSeries { partitions, wall, wall_doubt, first_held, rows_held })
    }

    /// What the store knows. What it claims of seconds that the source's clock has not reached was
    /// asked of another clock: its silence is not believed.
    async fn load(&self, key: &PartitionKey) -> Result<StoredPartition, StoreError> {
        let mut stored = load(self.store, key).await?;
        if let Some(from) = disbelieved_from(&stored, key, self.now) {
            let before = EpochRange::new(key.month.range().start(), from);
            let clipped = before.map(|before| stored.published.clipped(before));
            stored.published = clipped.unwrap_or_default();
        }
        Ok(stored)
    }

    /// The silences of earlier runs that are due to be asked once more.
    fn second_looks(
        &self,
        stored: &StoredPartition,
        planned: &PlannedPartition,
    ) -> Vec<EpochRange> {
        if stored.locked {
            return Vec::new();
        }
        let due = second_looks::due(stored, SettleClock::new(self.now, self.settle_lag));
        let is_ours = |range: &EpochRange| planned.wanted.covers(*range);
        due.into_iter().filter(|range| is_ours(range) && !planned.missing.covers(*range)).collect()
    }

    /// From the oldest row of the series that is held to the newest, those of other months
    /// included. Another tool's rows are rows, too.
    async fn rows_held(
        &self,
        partitions: &[(PlannedPartition, StoredPartition)],
    ) -> Result<Option<EpochRange>, StoreError> {
        let series = self.series.clone();
        let published =
            blocking(self.store, move |store| PartitionStore::<Tick>::rows_held(store, &series));
        let published = published.await?;
        let staged = partitions.iter().filter_map(|(_, stored)| stored.last_row).max();
        let staged = staged.and_then(|row| EpochRange::inclusive(row, row));
        Ok(joined(published, staged))
    }

    /// What the wall that was seen now is, beside what was known of it; and why it cannot be
    /// believed, if anything of the archive says so.
    async fn weighed(&self, seen: Sighting) -> Result<(Option<Wall>, Option<String>), StoreError> {
        let Some(found) = seen.wall.filter(|_| seen.was_asked && self.purpose == Purpose::Run)
        else {
            return Ok((seen.wall, None));
        };
        let unit = unit_secs(self.series.kind);
        let answers = answers_of(self.store, self.series).await?;
        let against = wall::doubt(found, unit, &answers, &[]);
        let doubt = against.or_else(|| seen.was_lied_to.then(|| CONTRADICTED.to_owned()));
        let wall = wall::remembered(self.known.wall, found, self.now, unit, doubt.is_none());
        Ok((Some(wall), doubt.filter(|_| !wall.is_confirmed)))
    }

    fn is_only_spent(&self, error: &SourceError) -> bool {
        error.kind == ErrorKind::BudgetSpent && self.purpose == Purpose::Run
    }

    /// The seconds to ask: those that nothing settles, the last silence before them once more, and
    /// those another tool answered for, which are asked once whatever the state of the month.
    fn missing(
        &self,
        stored: &StoredPartition,
        key: &PartitionKey,
        wanted: EpochRange,
    ) -> RangeSet {
        if stored.locked {
            return RangeSet::new();
        }
        let mut unproved = inherited(stored).within(wanted);
        if !self.is_wall_confirmed() {
            unproved.extend(&not_offered(stored).within(wanted));
        }
        if stored.state == Some(PartitionState::Sealed) {
            return unproved;
        }
        let coverage = stored.coverage();
        let mut missing = coverage.missing(wanted);
        unproved.iter().for_each(|range| missing.insert(range));
        let again = |range: EpochRange| {
            let answered =
                coverage.state_at(range.start().plus(-1)) == Some(CoverageState::Answered);
            let start =
                if answered { self.tail_start(stored, range.start()) } else { range.start() };
            EpochRange::new(start.max(wanted.start()), range.end())
        };
        if missing.is_empty() && self.is_about_to_be_sealed(stored, key, wanted) {
            return again(EpochRange::inclusive(wanted.end(), wanted.end()).unwrap_or(wanted))
                .and_then(|range| range.intersect(wanted))
                .into_iter()
                .collect();
        }
        missing.iter().filter_map(again).collect()
    }

    /// Tells whether even what is settled is asked, to be compared.
    ///
    /// A month whose newer prices were accepted is not asked a second time for the same wish.
    fn is_asked_again(&self, stored: &StoredPartition, key: &PartitionKey) -> bool {
        let is_named = self.options.accept_restatement.contains(key);
        let is_wished = self.options.ask_everything || is_named && !stored.restatement_accepted;
        is_wished && !stored.locked
    }

    /// The silence at the end of what is answered may only have been a record that came late: it
    /// is asked again from the last row on.
    fn tail_start(&self, stored: &StoredPartition, end: Epoch) -> Epoch {
        let unit = unit_secs(self.series.kind);
        let overlap = end.plus(-TAIL_OVERLAP_SECS.max(unit));
        // Where a row is promised at every step, a long silence takes many windows: it is unexplained,
        // and asked again whole.
        let longest = match self.profile.cadence {
            Some(Cadence::Fixed { .. }) => self.profile.page_secs().min(LONGEST_TAIL_SECS),
            _ => LONGEST_TAIL_SECS,
        };
        let last_row = stored.last_row.filter(|row| end.since(*row) <= longest);
        last_row.map_or(overlap, |row| row.min(overlap)).floor_to(unit, 0)
    }

    /// The last look at a month before nothing in it is asked any more.
    fn is_about_to_be_sealed(
        &self,
        stored: &StoredPartition,
        key: &PartitionKey,
        wanted: EpochRange,
    ) -> bool {
        let month = key.month.range();
        let whole = stored.published.missing(month).is_empty();
        let due = SettleClock::new(self.now, self.settle_lag).has_settled(month.end());
        stored.state.is_some() && whole && due && wanted.end() == month.end()
    }

    /// The oldest second of the series that the source ever answered for. Rows of another tool
    /// prove nothing of the source.
    async fn first_held(
        &self,
        partitions: &[(PlannedPartition, StoredPartition)],
    ) -> Result<Option<Epoch>, StoreError> {
        if let Some((first, _)) = partitions.first() {
            let (series, before) = (self.series.clone(), first.key.month);
            let older = blocking(self.store, move |store| {
                PartitionStore::<Tick>::first_answered(store, &series, before)
            });
            if let Some(answered) = older.await? {
                return Ok(Some(answered));
            }
        }
        let first_answered = |(_, stored): &(PlannedPartition, StoredPartition)| {
            let mut held = stored.coverage().select(|state| state == CoverageState::Answered);
            held.extend(&stored.lost);
            held.iter().next().map(EpochRange::start).into_iter().chain(stored.first_held).min()
        };
        Ok(partitions.iter().filter_map(first_answered).min())
    }

    fn is_wall_confirmed(&self) -> bool {
        self.known.wall.is_some_and(|wall| wall.is_confirmed)
    }

    /// Where history begins, as far as it matters for what is missing.
    ///
    /// A wall that is remembered only says where to look: the stretch behind it is asked once,
    /// unless it is confirmed and the archive itself says that nothing is offered there. The wall
    /// only moves forward, so that is enough; and what comes after answers and is young needs no
    /// question either.
    async fn wall(
        &self,
        partitions: &[(PlannedPartition, StoredPartition)],
        first_held: Option<Epoch>,
    ) -> Result<Sighting, SourceError> {
        let mut known = self.known.wall.filter(|_| !self.options.ask_everything);
        let mut was_lied_to = false;
        if let Some(wall) = known
            && let Some(stretch) = self.owed_behind(wall, partitions)
        {
            let seen = self.look_again(wall, stretch).await?;
            if seen.wall.is_some() || self.purpose == Purpose::DryRun {
                return Ok(seen);
            }
            known = None;
            was_lied_to = seen.was_lied_to;
        }
        let known_from = known.map(|wall| wall.offered_from);
        let missing = partitions.iter().flat_map(|(partition, _)| partition.missing.iter());
        let open = |range: EpochRange| {
            EpochRange::new(known_from.map_or(range.start(), |w| w.max(range.start())), range.end())
        };
        let as_known = Sighting { wall: known, ..Sighting::default() };
        let Some(oldest) = missing.filter_map(open).map(EpochRange::start).min() else {
            return Ok(as_known);
        };
        let held_before = first_held.is_some_and(|held| held < oldest);
        if held_before && self.now.since(oldest) < SURELY_OFFERED_SECS {
            return Ok(as_known);
        }
        let mut search = WallSearch::new(unit_secs(self.series.kind), oldest, self.now, known);
        if self.purpose == Purpose::DryRun {
            let Step::Ask(range) = search.step() else { return Ok(as_known) };
            let probe = ask_wall(self.source, self.series, range, self.now).await?;
            let wall = if probe == Probe::Refused { Some(search.expected_wall()) } else { known };
            return Ok(Sighting { wall, ..as_known });
        }
        let seen = run_wall_search(self.source, self.series, &mut search).await?;
        let was_lied_to = was_lied_to || seen.was_lied_to;
        Ok(seen.wall.map_or(as_known, |_| Sighting { was_lied_to, ..seen }))
    }

    /// The stretch behind a remembered wall that is to be asked again: from the oldest second that
    /// is missing there.
    fn owed_behind(
        &self,
        wall: Wall,
        partitions: &[(PlannedPartition, StoredPartition)],
    ) -> Option<EpochRange> {
        let unit = unit_secs(self.series.kind);
        let before = EpochRange::new(Epoch::new(i64::MIN), wall.offered_from.floor_to(unit, 0))?;
        let mut owed = RangeSet::new();
        let mut recorded = None;
        for (partition, stored) in partitions {
            let mut missing = partition.missing.within(before);
            if wall.is_confirmed {
                // Nothing is said of what another tool left behind the wall.
                missing.remove_all(&inherited(stored));
                let said = not_offered(stored).iter().next_back().map(EpochRange::end);
                recorded = recorded.max(said);
            }
            owed.extend(&missing);
        }
        if let Some(recorded) = recorded.and_then(|end| EpochRange::new(before.start(), end)) {
            owed.remove(recorded);
        }
        EpochRange::new(owed.iter().next()?.start(), before.end())
    }

    /// Asks for the whole stretch behind a remembered wall: if the source offers any row of it, it
    /// shows the newest one, and the wall is not there. An answer that would confirm the wall is
    /// asked for twice.
    async fn look_again(&self, wall: Wall, stretch: EpochRange) -> Result<Sighting, SourceError> {
        let unit = unit_secs(self.series.kind);
        let again = wall::remembered(Some(wall), wall, self.now, unit, true);
        let confirms = again != wall && self.purpose == Purpose::Run;
        let seen = |wall, was_lied_to| Sighting { wall, was_lied_to, was_asked: true };
        let (mut n_denials, mut was_lied_to) = (0, false);
        for _ in 0..MAX_LOOKS {
            match ask_wall(self.source, self.series, stretch, self.now).await? {
                Probe::Refused => n_denials += 1,
                Probe::Faulty => was_lied_to = true,
                Probe::Offered { .. } => {
                    tracing::warn!(series = %self.series, %stretch, "the source offers what it seemed to have no more");
                    return Ok(seen(None, was_lied_to || n_denials > 0));
                }
            }
            if n_denials > u32::from(confirms) || self.purpose == Purpose::DryRun {
                return Ok(seen((n_denials > 0).then_some(wall), was_lied_to));
            }
        }
        Ok(seen(None, true))
    }
}

/// What every series of the symbol was answered, as far as the archive tells: they share one
/// history.
pub(super) async fn answers_of<P: Store>(
    store: &Arc<P>,
    series: &Series,
) -> Result<Vec<Answer>, StoreError> {
    let widths = Granularity::ALL.into_iter().filter_map(|secs| Granularity::try_from(secs).ok());
    let kinds: Vec<Kind> = std::iter::once(Kind::Ticks).chain(widths.map(Kind::Candles)).collect();
    let symbol = series.symbol.clone();
    let answers = blocking(store, move |store| {
        let mut answers = Vec::new();
        for kind in kinds {
            let series = Series { symbol: symbol.clone(), kind };
            answers.extend(PartitionStore::<Tick>::oldest_answers(store, &series)?);
        }
        Ok(answers)
    });
    Ok(answers.await?.into_iter().map(|(from, asked)| Answer { from, asked }).collect())
}

/// The wanted seconds of a month up to `latest`: whole records only, so no bar that is still open.
fn closed_records(
    window: EpochRange,
    month: Month,
    kind: Kind,
    latest: Epoch,
) -> Option<EpochRange> {
    let unit = unit_secs(kind);
    let range = window.intersect(month.range())?;
    EpochRange::new(range.start().ceil_to(unit, 0), range.end().min(latest).floor_to(unit, 0))
}

/// From where on the coverage of a partition is not believed: it reaches past the source's present
/// time, so another clock was asked. Rows are rows; the silence behind the last of them is not.
pub(super) fn disbelieved_from(
    stored: &StoredPartition,
    key: &PartitionKey,
    now: Epoch,
) -> Option<Epoch> {
    let end = stored.published.ranges().last()?.end;
    let behind_rows = stored.last_row.map_or(key.month.range().start(), |row| row.plus(1));
    (end > now && !stored.locked && end > behind_rows).then_some(behind_rows)
}

/// Holds the source's clock against this machine's, if there is one to hold it against.
async fn doubt_clock<P: Store>(
    store: &Arc<P>,
    request: &DownloadRequest,
    options: &DownloadOptions,
    source: Epoch,
) -> Result<Option<ClockDoubt>, StoreError> {
    let Some(local) = options.local_clock.map(LocalClock::now) else { return Ok(None) };
    if ClockDoubt::of(source, local, None).is_none() {
        return Ok(None);
    }
    let mut newest = None;
    for series in request.series() {
        let rows = blocking(store, move |store| PartitionStore::<Tick>::rows_held(store, &series));
        newest = newest.max(rows.await?.map(EpochRange::last));
    }
    Ok(ClockDoubt::of(source, local, newest))
}

pub(super) fn planned(
    key: PartitionKey,
    wanted: EpochRange,
    missing: RangeSet,
    again: RangeSet,
    stored: &StoredPartition,
) -> PlannedPartition {
    PlannedPartition {
        key,
        wanted,
        not_offered: None,
        lost: RangeSet::new(),
        missing,
        kept: RangeSet::new(),
        is_locked: stored.locked,
        is_ordered: false,
        again,
        second_looks: Vec::new(),
        state: stored.state,
        record_count: stored.record_count,
        n_requests: 0,
        n_rows: 0,
        n_bytes: 0,
    }
}

/// The seconds that an earlier run took for lying behind the wall.
fn not_offered(stored: &StoredPartition) -> RangeSet {
    stored.coverage().select(|state| state == CoverageState::NotOffered)
}

/// The seconds of which another tool's rows are all that is known.
fn inherited(stored: &StoredPartition) -> RangeSet {
    stored.coverage().select(|state| state == CoverageState::Inherited)
}

/// Nothing behind the wall is asked. What another tool left there is kept as it is. Of the rest,
/// what lies before everything ever answered is not offered; what lies after an answer was
/// offered once, and is lost, unless it is held.
fn stand_before(
    wall: Wall,
    first_held: Option<Epoch>,
    inherited: &RangeSet,
    partition: &mut PlannedPartition,
) {
    let wanted = partition.wanted;
    let prefix_end = first_held.map_or(wall.offered_from, |held| held.min(wall.offered_from));
    let before = |end: Epoch| EpochRange::new(wanted.start(), end.min(wanted.end()));
    if let Some(behind) = before(wall.offered_from) {
        partition.kept = inherited.within(behind);
        partition.kept.iter().for_each(|range| partition.missing.remove(range));
    }
    if let Some(prefix) = before(prefix_end).filter(|range| partition.missing.intersects(*range)) {
        partition.not_offered = Some(prefix);
        partition.missing.remove(prefix);
    }
    if let Some(behind) = before(wall.offered_from) {
        partition.lost = partition.missing.within(behind);
        partition.lost.remove_all(&partition.again);
        partition.missing.remove(behind);
        partition.again.remove(behind);
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
    let span = Span::current();
    match disk().spawn_blocking(move || span.in_scope(|| work(&store))).await {
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

/// What is worth keeping for the next run. A wall that is not believed is not.
pub(super) fn facts_learned(
    mut facts: SourceFacts,
    profiles: &BTreeMap<Series, Profile>,
    walls: &BTreeMap<Series, Wall>,
    doubts: &BTreeMap<Series, String>,
) -> SourceFacts {
    for (series, profile) in profiles {
        if profile.was_fed() {
            facts.page_cap = Some(profile.page_cap);
        }
        let fact = facts.series.entry(fact_name(series)).or_default();
        fact.cadence = profile.cadence.or(fact.cadence);
        fact.wall = walls.get(series).copied().filter(|_| !doubts.contains_key(series));
    }
    facts
}
