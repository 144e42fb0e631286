//! The loop that keeps the pipe full: several windows in flight, pages taken in, months published.
//!
//! One task owns all state. Answers and disk work come back as events; nothing is shared, nothing
//! is locked. A month that has no window to ask while its last answers are on their way leaves its
//! place in the pipe to the next one, and is encoded while the next one is being asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::domain::{
    Candle, CoverageState, DefectCounts, Epoch, EpochRange, ErrorKind, Kind, PageRequest,
    PartitionState, PartitionStore, Published, RangeSet, Series, SettleClock, SilenceFacts,
    SourceError, StoreError, StoredPartition, Tick, Wall,
};

use super::DownloadOptions;
use super::ended::{Ended, Worked, ending_of};
use super::errands::{AnyPage, AnySegment, Arrival, Written, fetch, look, write_segment};
use super::job::{Behind, Effects, PartitionJob, joined};
use super::pager::{AskId, Scope};
use super::plan::PlannedPartition;
use super::prepare::{CONTRADICTED, Prepared, ServerClock, Source, Store, blocking, chain};
use super::probe::Sighting;
use super::profile::{Profile, unit_secs};
use super::reporter::{PageReport, Reporter};
use super::second_looks;
use super::spans;
use super::summary::{Ending, PartitionOutcome};
use super::wall::{self, WallSearch};

/// Months worked on at once: the one being asked, and those whose last answers, checks or files
/// are still on their way. Each holds about a chunk of rows, so this bounds the memory.
const MAX_ACTIVE: usize = 4;

/// Months encoded at once: each holds a row group and its dictionary, some 6 MiB. Others wait with
/// all their rows on disk; one core encodes faster than any source answers.
const MAX_PUBLISHING: usize = 1;

/// Writes to disk under way before asking pauses: a slow disk slows the asking, not fills memory.
const MAX_DISK: usize = 2;

enum AnyJob {
    Ticks(PartitionJob<Tick>),
    Candles(PartitionJob<Candle>),
}

macro_rules! each {
    ($any:expr, $job:ident => $body:expr) => {
        match $any {
            AnyJob::Ticks($job) => $body,
            AnyJob::Candles($job) => $body,
        }
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Paging,
    Publishing,
}

struct Active {
    job: AnyJob,
    series: Series,
    /// Names series and month in every line of the log that comes from the work on it.
    span: Span,
    phase: Phase,
    n_staging: usize,
    /// Where a look at the wall began that is still under way.
    looks_for_wall: Option<Epoch>,
    /// What this run has put into the staging.
    staged: RangeSet,
}

/// Does the work of a plan.
pub(super) struct Engine<'a, S, P> {
    source: &'a Arc<S>,
    store: &'a Arc<P>,
    reporter: &'a dyn Reporter,
    options: &'a DownloadOptions,
    stop: &'a CancellationToken,
    clock: ServerClock,
    profiles: BTreeMap<Series, Profile>,
    walls: BTreeMap<Series, Wall>,
    /// Why a wall cannot be believed.
    wall_doubts: BTreeMap<Series, String>,
    /// Whether any answer of this run denied what another one held: then no denial is evidence.
    was_lied_to: bool,
    /// From the oldest row of each series to the newest: of those held, and of this run.
    rows: BTreeMap<Series, EpochRange>,
    /// Up to where each series is answered for, by earlier runs or by this one.
    answered_to: BTreeMap<Series, Epoch>,
    settle_lag: Duration,
    queue: VecDeque<(usize, AnyJob, Series)>,
    active: BTreeMap<usize, Active>,
    /// Order in which jobs began; the oldest is served first.
    order: Vec<usize>,
    asks: FuturesUnordered<BoxFuture<'static, Arrival>>,
    disk: FuturesUnordered<BoxFuture<'static, Written>>,
    outcomes: BTreeMap<usize, Worked>,
    thrown_away: DefectCounts,
    ending: Ending,
    /// Why nothing more is asked, once the run's own budget is used up.
    spent: Option<String>,
}

impl<'a, S: Source, P: Store> Engine<'a, S, P> {
    pub(super) fn new(
        source: &'a Arc<S>,
        store: &'a Arc<P>,
        reporter: &'a dyn Reporter,
        options: &'a DownloadOptions,
        stop: &'a CancellationToken,
        prepared: Prepared,
    ) -> Self {
        let queue = queue(&prepared, options);
        let mut answered_to = BTreeMap::new();
        for (planned, stored) in prepared.plan.partitions.iter().zip(&prepared.stored) {
            let end = stored.published.ranges().last().map(|covered| covered.end);
            let end = end.max(Some(planned.wanted.end()).filter(|_| !planned.missing.is_empty()));
            let known: &mut Option<Epoch> =
                answered_to.entry(planned.key.series.clone()).or_default();
            *known = end.max(*known);
        }
        let answered_to = answered_to.into_iter().filter_map(|(series, end)| Some((series, end?)));
        let answered_to = answered_to.collect();
        Self {
            source,
            store,
            reporter,
            options,
            stop,
            clock: prepared.clock,
            profiles: prepared.profiles,
            walls: prepared.walls,
            wall_doubts: prepared.wall_doubts,
            was_lied_to: false,
            rows: prepared.rows_held,
            answered_to,
            settle_lag: prepared.settle_lag,
            queue,
            active: BTreeMap::new(),
            order: Vec::new(),
            asks: FuturesUnordered::new(),
            disk: FuturesUnordered::new(),
            outcomes: BTreeMap::new(),
            thrown_away: DefectCounts::default(),
            ending: Ending::Finished,
            spent: None,
        }
    }

    /// Position in the plan of what is worked on first.
    pub(super) fn first(&self) -> Option<usize> {
        self.queue.front().map(|(id, _, _)| *id)
    }

    /// Works until everything is done, the caller stops it, or budget, source or store give out.
    pub(super) async fn run(mut self) -> Ended {
        let stop = self.stop;
        while self.ending == Ending::Finished {
            self.fill();
            if self.asks.is_empty() && self.disk.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => self.ending = Ending::Cancelled,
                Some(written) = self.disk.next() => self.take_written(written),
                Some(arrival) = self.asks.next() => self.take_arrival(arrival),
            }
        }
        if let (Ending::Finished, Some(why)) = (&self.ending, self.spent.take()) {
            self.ending = Ending::BudgetSpent(why);
        }
        self.wind_down().await;
        let Self { ending, outcomes, profiles, walls, wall_doubts, .. } = self;
        let (was_lied_to, thrown_away) = (self.was_lied_to, self.thrown_away);
        Ended { ending, outcomes, profiles, walls, wall_doubts, was_lied_to, thrown_away }
    }

    /// Puts asks into the pipe until it is full or nothing can be asked now.
    fn fill(&mut self) {
        while self.spent.is_none()
            && self.asks.len() < self.options.concurrency.max(1)
            && self.disk.len() < MAX_DISK
        {
            let asked = self.order.clone().into_iter().any(|job| self.ask_one(job));
            if !asked && !self.start_next() {
                break;
            }
        }
        // What earlier runs left covered needs no budget.
        while self.spent.is_some() && self.disk.len() < MAX_DISK && self.start_covered() {}
        for job in self.order.clone() {
            self.finish_if_done(job);
        }
    }

    fn ask_one(&mut self, job: usize) -> bool {
        let Some(active) = self.active.get_mut(&job) else { return false };
        let Some(profile) = self.profiles.get(&active.series) else { return false };
        if active.phase != Phase::Paging {
            return false;
        }
        let Some(ask) = each!(&mut active.job, j => j.next_ask(profile)) else { return false };
        let request = PageRequest {
            series: active.series.clone(),
            range: ask.range,
            limit: self.options.page_limit,
        };
        self.asks.push(fetch(Arc::clone(self.source), job, ask, request, &active.span));
        true
    }

    fn start_next(&mut self) -> bool {
        if self.active.len() >= MAX_ACTIVE {
            return false;
        }
        let Some((id, job, series)) = self.queue.pop_front() else { return false };
        self.start(id, job, series);
        true
    }

    /// Starts the next month that needs no more answers, and has it published.
    fn start_covered(&mut self) -> bool {
        let is_covered = |(_, job, _): &(usize, AnyJob, Series)| each!(job, j => j.is_done());
        let next = self.queue.iter().position(is_covered).and_then(|at| self.queue.remove(at));
        let Some((id, job, series)) = next else { return false };
        self.start(id, job, series);
        self.finish_if_done(id);
        true
    }

    fn start(&mut self, id: usize, job: AnyJob, series: Series) {
        let span = each!(&job, j => spans::month(&j.key));
        if let Some(profile) = self.profiles.get(&series) {
            let (key, pages) = each!(&job, j => (j.key.clone(), j.pages_left(profile)));
            let _entered = span.enter();
            self.reporter.partition_started(&key, pages);
        }
        let active = Active {
            job,
            series,
            span,
            phase: Phase::Paging,
            n_staging: 0,
            looks_for_wall: None,
            staged: RangeSet::new(),
        };
        self.active.insert(id, active);
        self.order.push(id);
    }

    fn take_arrival(&mut self, arrival: Arrival) {
        let failure = match &arrival {
            Arrival::Page { answer, .. } => answer.as_ref().err(),
            Arrival::Wall { found, .. } => found.as_ref().err(),
        };
        if let Some(error) = failure.filter(|error| error.kind == ErrorKind::BudgetSpent) {
            // The answers under way were paid for, so they are still taken in.
            self.spent.get_or_insert_with(|| chain(error));
            return;
        }
        if let Some(ending) = failure.and_then(ending_of) {
            self.ending = ending;
            return;
        }
        match arrival {
            Arrival::Page { job, ask, answer } => self.take_page(job, ask, answer),
            Arrival::Wall { job, found } => self.take_wall(job, found),
        }
    }

    fn take_page(&mut self, id: usize, ask: AskId, answer: Result<AnyPage, SourceError>) {
        let now = self.clock.now();
        let Some(active) = self.active.get_mut(&id) else { return };
        let Some(profile) = self.profiles.get_mut(&active.series) else { return };
        let span = active.span.clone();
        let _entered = span.enter();
        let failed = |error: SourceError| (error.kind, chain(&error));
        let effects = match (&mut active.job, answer) {
            (AnyJob::Ticks(job), Ok(AnyPage::Ticks(page))) => job.take(ask, Ok(page), now, profile),
            (AnyJob::Candles(job), Ok(AnyPage::Candles(page))) => {
                job.take(ask, Ok(page), now, profile)
            }
            (AnyJob::Ticks(job), Err(error)) => job.take(ask, Err(failed(error)), now, profile),
            (AnyJob::Candles(job), Err(error)) => job.take(ask, Err(failed(error)), now, profile),
            // A fetch is made for the kind of its job, so the kinds always agree.
            (AnyJob::Ticks(_), Ok(_)) | (AnyJob::Candles(_), Ok(_)) => return,
        };
        self.was_lied_to |= each!(&active.job, j => j.was_lied_to());
        self.after(id, &effects);
    }

    fn take_wall(&mut self, id: usize, found: Result<Sighting, SourceError>) {
        let now = self.clock.now();
        let Some(active) = self.active.get(&id) else { return };
        let (series, span) = (active.series.clone(), active.span.clone());
        let _entered = span.enter();
        let found = found.map_err(|error| chain(&error)).and_then(|s| self.weighed(&series, s));
        let Some(active) = self.active.get_mut(&id) else { return };
        let Some(searched_from) = active.looks_for_wall.take() else { return };
        let Some(profile) = self.profiles.get(&series) else { return };
        let wall = found.clone();
        let effects = each!(&mut active.job, j => j.wall(searched_from, wall, now, profile));
        self.after(id, &effects);
        if let Ok(Some(wall)) = found {
            self.tell_of_wall(&series, wall, now);
        }
    }

    /// What a look during the work found, if it can be believed: where no wall was known that it can
    /// be, no answer of this run may have denied what is there.
    fn weighed(&mut self, series: &Series, seen: Sighting) -> Result<Option<Wall>, String> {
        let Some(found) = seen.wall else { return Ok(None) };
        let unit = unit_secs(series.kind);
        let known = self.walls.get(series).copied();
        if known.is_some_and(|known| wall::is_same(known, found, unit)) {
            return Ok(Some(wall::remembered(known, found, found.seen_at, unit, false)));
        }
        if self.was_lied_to || seen.was_lied_to {
            return Err(CONTRADICTED.to_owned());
        }
        if let Some(known) = known {
            let Wall { offered_from, seen_at, .. } = known;
            let doubt = format!("at {seen_at} it seemed to begin at {offered_from}");
            self.wall_doubts.insert(series.clone(), doubt);
        }
        Ok(Some(found))
    }

    /// The other months of the series need not ask behind the wall either.
    fn tell_of_wall(&mut self, series: &Series, wall: Wall, now: Epoch) {
        self.walls.insert(series.clone(), wall);
        let Some(profile) = self.profiles.get(series) else { return };
        let from = wall.offered_from;
        let queued = self.queue.iter_mut().filter(|(_, _, s)| s == series).map(|(_, job, _)| job);
        let active = self.active.values_mut().filter(|active| active.series == *series);
        for job in queued.chain(active.map(|active| &mut active.job)) {
            // Nothing is proved by this, so there is nothing to report or to stage.
            each!(job, j => drop(j.wall(from, Ok(Some(wall)), now, profile)));
        }
    }

    /// What follows from an answer: a report, a look at the wall, a full segment.
    fn after(&mut self, id: usize, effects: &Effects) {
        let Some(active) = self.active.get_mut(&id) else { return };
        if let Some(rows) = joined(self.rows.get(&active.series).copied(), effects.rows) {
            self.rows.insert(active.series.clone(), rows);
        }
        let Some(profile) = self.profiles.get(&active.series) else { return };
        let (key, n_pages_left) = each!(&active.job, j => (&j.key, j.pages_left(profile)));
        let page =
            PageReport { n_rows: effects.n_rows, n_pages_left, proved_to: effects.proved_to };
        self.reporter.page(key, &page);
        if let Some(lower) = effects.wall_doubted.filter(|_| active.looks_for_wall.is_none()) {
            active.looks_for_wall = Some(lower);
            let known = self.walls.get(&active.series).copied();
            let unit = unit_secs(active.series.kind);
            let search = WallSearch::new(unit, lower, self.clock.now(), known);
            let (series, span) = (active.series.clone(), active.span.clone());
            self.asks.push(look(Arc::clone(self.source), id, series, search, span));
        }
        self.stage(id, false);
    }

    /// Hands segments to the disk: full ones, or everything that is held.
    fn stage(&mut self, id: usize, everything: bool) {
        let Some(active) = self.active.get_mut(&id) else { return };
        let key = each!(&active.job, j => j.key.clone());
        while let Some(segment) = pop_segment(&mut active.job, everything) {
            active.n_staging += 1;
            let (store, span) = (Arc::clone(self.store), active.span.clone());
            self.disk.push(write_segment(store, id, key.clone(), segment, span));
        }
    }

    /// Tells whether no row of the series is known yet and another month of it may still bring one:
    /// only then is known whether the silence of this month lies before the first.
    fn may_learn_where_it_begins(&self, id: usize) -> bool {
        let Some(series) = self.active.get(&id).map(|active| &active.series) else { return false };
        if self.rows.contains_key(series) || self.ending != Ending::Finished || self.spent.is_some()
        {
            return false;
        }
        let is_at_work = |active: &Active| {
            active.series == *series
                && active.phase == Phase::Paging
                && !each!(&active.job, j => j.is_done())
        };
        let has_room = self.active.len() < MAX_ACTIVE;
        self.active.values().any(is_at_work)
            || has_room && self.queue.iter().any(|(_, _, queued)| queued == series)
    }

    fn finish_if_done(&mut self, id: usize) {
        let Some(active) = self.active.get(&id) else { return };
        let waits = active.phase != Phase::Paging || active.looks_for_wall.is_some();
        if waits || !each!(&active.job, j => j.is_done()) {
            return;
        }
        self.stage(id, true);
        if self.may_learn_where_it_begins(id) {
            return;
        }
        let is_publishing = |active: &&Active| active.phase == Phase::Publishing;
        if self.active.values().filter(is_publishing).count() >= MAX_PUBLISHING {
            return;
        }
        let Some(active) = self.active.get_mut(&id).filter(|active| active.n_staging == 0) else {
            return;
        };
        active.phase = Phase::Publishing;
        let Some(profile) = self.profiles.get(&active.series) else { return };
        let now = self.clock.now();
        let clock = SettleClock::new(now, self.settle_lag);
        let rows = self.rows.get(&active.series).copied();
        let answered_to = self.answered_to.get(&active.series).copied();
        let (key, mut publication) =
            each!(&active.job, j => (j.key.clone(), j.publication(clock, profile, self.options)));
        publication.settle_lag = self.settle_lag;
        note_series(&mut publication.silence, key.month.range(), rows, answered_to);
        let span = active.span.clone();
        span.in_scope(|| self.reporter.publishing(&key));
        let store = Arc::clone(self.store);
        let publish = async move {
            let publish = move |store: &P| match key.series.kind {
                Kind::Ticks => PartitionStore::<Tick>::publish(store, &key, &publication),
                Kind::Candles(_) => PartitionStore::<Candle>::publish(store, &key, &publication),
            };
            let result = Box::new(blocking(&store, publish).await);
            Written::Published { job: id, result }
        };
        self.disk.push(Box::pin(publish.instrument(span)));
    }

    fn take_written(&mut self, written: Written) {
        let (Written::Staged { job, .. } | Written::Published { job, .. }) = &written;
        let span = self.active.get(job).map_or_else(Span::none, |active| active.span.clone());
        let _entered = span.enter();
        match written {
            Written::Staged { job, n_findings, result } => {
                if let Some(active) = self.active.get_mut(&job) {
                    active.n_staging -= 1;
                    if let Ok(range) = &result {
                        active.staged.insert(*range);
                        each!(&mut active.job, j => j.note_durable(n_findings));
                    }
                }
                if let Err(error) = result {
                    self.store_failed(job, &error);
                }
            }
            Written::Published { job, result } => match *result {
                Ok(published) if self.mend(job, &published) => {}
                Ok(mut published) => {
                    if let Some(active) = self.active.get(&job) {
                        published.n_new += each!(&active.job, j => j.n_new_before);
                    }
                    self.reporter.published(&published);
                    self.close(job, PartitionOutcome::Published(Box::new(published)));
                }
                Err(error) => self.store_failed(job, &error),
            },
        }
    }

    /// Goes on with a partition whose publish found rows damaged that were held before.
    fn mend(&mut self, id: usize, published: &Published) -> bool {
        let Some(active) = self.active.get_mut(&id) else { return false };
        let mending = match &active.job {
            AnyJob::Ticks(job) => job.mending(published).map(AnyJob::Ticks),
            AnyJob::Candles(job) => job.mending(published).map(AnyJob::Candles),
        };
        let Some(job) = mending.filter(|_| self.ending == Ending::Finished) else { return false };
        active.job = job;
        active.phase = Phase::Paging;
        true
    }

    /// A file that cannot be trusted stops its partition; a disk that refuses stops the run. What a
    /// run that is ending gave up itself stays staged.
    fn store_failed(&mut self, id: usize, error: &StoreError) {
        let is_finished = self.ending == Ending::Finished;
        if matches!(error, StoreError::Stopped) {
            self.close(id, PartitionOutcome::Staged);
            if is_finished {
                self.ending = Ending::Cancelled;
            }
            return;
        }
        let why = chain(error);
        tracing::error!(why, "the archive could not be written");
        self.close(id, PartitionOutcome::Failed(why.clone()));
        if let StoreError::Io { source, .. } = error
            && is_finished
        {
            self.ending = Ending::StoreFailed { why, kind: Some(source.kind()) };
        }
    }

    fn close(&mut self, id: usize, outcome: PartitionOutcome) {
        if let Some(active) = self.active.remove(&id) {
            let n_pages = each!(&active.job, j => j.n_answers);
            let not_offered = each!(&active.job, j => j.not_offered());
            self.thrown_away = self.thrown_away.plus(&each!(&active.job, j => j.thrown_away()));
            let staged = active.staged;
            self.outcomes.insert(id, Worked { outcome, n_pages, staged, not_offered });
        }
        self.order.retain(|other| *other != id);
    }

    /// Stops asking, keeps every answer, and waits for the disk.
    async fn wind_down(&mut self) {
        self.asks.clear();
        let disk_works = !matches!(self.ending, Ending::StoreFailed { .. });
        for id in self.order.clone() {
            if disk_works {
                self.stage(id, true);
            }
        }
        while let Some(written) = self.disk.next().await {
            self.take_written(written);
        }
        for id in self.order.clone() {
            let span = self.active.get(&id).map_or_else(Span::none, |active| active.span.clone());
            if disk_works && let Err(error) = self.remember_findings(id).instrument(span).await {
                self.store_failed(id, &error);
            }
            self.close(id, PartitionOutcome::Staged);
        }
    }

    /// Keeps the findings of answers that gave no segment.
    async fn remember_findings(&self, id: usize) -> Result<(), StoreError> {
        let Some(active) = self.active.get(&id) else { return Ok(()) };
        let (key, findings) = each!(&active.job, j => (j.key.clone(), j.unsaved_findings()));
        if findings.is_empty() {
            return Ok(());
        }
        blocking(self.store, move |store| match key.series.kind {
            Kind::Ticks => PartitionStore::<Tick>::remember(store, &key, &findings),
            Kind::Candles(_) => PartitionStore::<Candle>::remember(store, &key, &findings),
        })
        .await
    }
}

fn pop_segment(job: &mut AnyJob, everything: bool) -> Option<(AnySegment, usize)> {
    match job {
        AnyJob::Ticks(job) => {
            job.pop_segment(everything).map(|(segment, n)| (AnySegment::Ticks(segment), n))
        }
        AnyJob::Candles(job) => {
            job.pop_segment(everything).map(|(segment, n)| (AnySegment::Candles(segment), n))
        }
    }
}

/// Tells what a month alone does not know: where its series begins, and whether its silence goes on
/// behind it.
fn note_series(
    silence: &mut SilenceFacts,
    month: EpochRange,
    rows: Option<EpochRange>,
    answered_to: Option<Epoch>,
) {
    let Some(rows) = rows else { return };
    silence.before_first_row = EpochRange::new(month.start(), rows.start()).into_iter().collect();
    let goes_on = rows.last() < month.end() && answered_to.is_some_and(|to| to > month.end());
    silence.lasting_from = goes_on.then(|| rows.last().plus(1));
}

/// A tail longer than this many requests is not worth keeping the oldest history waiting for.
const SHORT_TAIL_REQUESTS: u64 = 60;

/// Position in the plan of what would be worked on first.
pub(super) fn first(prepared: &Prepared, options: &DownloadOptions) -> Option<usize> {
    queue(prepared, options).front().map(|(id, _, _)| *id)
}

/// The order of work: short tails of running months first, they are what trading waits for; then
/// the oldest month of every series, the next to fall behind the wall.
fn queue(prepared: &Prepared, options: &DownloadOptions) -> VecDeque<(usize, AnyJob, Series)> {
    let partitions = &prepared.plan.partitions;
    let now = prepared.plan.server_now;
    let mut work: Vec<usize> = (0..partitions.len())
        .filter(|&id| {
            let planned = &partitions[id];
            let is_asked = !planned.missing.is_empty() || !planned.second_looks.is_empty();
            is_asked || is_news(prepared, id)
        })
        .collect();
    work.sort_by_key(|&id| {
        let partition = &partitions[id];
        let running = partition.key.month.range().contains(now);
        let is_short = !partition.is_ordered && partition.n_requests <= SHORT_TAIL_REQUESTS;
        let short_tail = running && is_short;
        (!short_tail, partition.key.month, id)
    });
    let mut seen = std::collections::BTreeSet::new();
    let oldest: Vec<usize> = {
        let by_month = |id: &usize| partitions[*id].key.month;
        // Only where something is asked can the wall be met.
        let mut by_age = work.clone();
        by_age.retain(|&id| !partitions[id].missing.is_empty());
        by_age.sort_by_key(by_month);
        by_age.retain(|&id| seen.insert(partitions[id].key.series.clone()));
        by_age
    };
    work.into_iter()
        .filter_map(|id| job(prepared, options, id, oldest.contains(&id), now))
        .collect()
}

/// Whether something other than missing seconds makes a partition worth publishing again: answers
/// that a stopped run left staged, a state that time has changed, or a finding that waits to be told.
fn is_news(prepared: &Prepared, id: usize) -> bool {
    let (partition, stored) = (&prepared.plan.partitions[id], &prepared.stored[id]);
    if stored.locked || partition.is_ordered {
        return !stored.locked;
    }
    let month = partition.key.month.range();
    let was_unsealed = stored.state.is_some_and(|s| s != PartitionState::Sealed);
    let whole = stored.coverage().missing(month).is_empty();
    let may_seal = was_unsealed && whole && prepared.plan.server_now >= month.end();
    let held = !stored.published.is_empty();
    let newly_lost = partition.lost.iter().any(|range| {
        let failed = stored.published.select(|state| state == CoverageState::Failed);
        held && !failed.covers(range)
    });
    let wall = prepared.walls.get(&partition.key.series);
    let is_doubted = prepared.wall_doubts.contains_key(&partition.key.series);
    let is_gone_for_good = |behind: EpochRange| {
        let behind = behind.intersect(month).unwrap_or(behind);
        held && wall.is_some_and(|wall| wall.is_confirmed)
            && !stored.coverage().missing(behind).is_empty()
    };
    !stored.staged.is_empty()
        || !stored.lost.is_empty()
        || may_seal
        || newly_lost
        || partition.not_offered.is_some_and(is_gone_for_good)
        || partition.not_offered.is_some() && held && is_doubted
        || stored.has_remarks
}

/// The silences to ask once more: those that are due, and the doubts of a run that was stopped.
fn rechecked(partition: &PlannedPartition, stored: &StoredPartition) -> Vec<EpochRange> {
    let mut all = partition.second_looks.clone();
    let is_new = |range: &&EpochRange| {
        let is_listed = stored.silences.iter().any(|gap| gap.range() == Some(**range));
        (partition.is_ordered || !is_listed) && !partition.second_looks.contains(range)
    };
    all.extend(stored.unexplained.iter().filter(is_new));
    all
}

fn job(
    prepared: &Prepared,
    options: &DownloadOptions,
    id: usize,
    is_oldest: bool,
    now: Epoch,
) -> Option<(usize, AnyJob, Series)> {
    let (partition, stored) = (&prepared.plan.partitions[id], &prepared.stored[id]);
    let series = partition.key.series.clone();
    let profile = prepared.profiles.get(&series)?;
    let month = partition.key.month.range();
    let unit = unit_secs(series.kind);
    let taken_over = stored.coverage().select(|state| state == CoverageState::Inherited);
    let wall = prepared.walls.get(&series).copied();
    let start = wall.map_or(month.start(), |wall| wall.offered_from.max(month.start()));
    let tail_secs = i64::try_from(options.tail_lag.as_secs()).unwrap_or(i64::MAX);
    let latest = now.plus(-tail_secs).floor_to(unit, 0);
    let offered = EpochRange::new(start, latest.min(month.end()));
    // A month that lies behind the wall as a whole has nothing to ask, but may have news to publish.
    let range = offered.or(partition.missing.is_empty().then_some(month))?;
    let is_open_question = |gap: &EpochRange| offered.is_some() && !taken_over.intersects(*gap);
    let clock = SettleClock::new(now, prepared.settle_lag);
    let known = |range| second_looks::known(range, stored);
    let first_held = prepared.first_held.get(&series).copied();
    let first_missing = partition.missing.iter().next().map(EpochRange::start);
    let held_before = first_held.is_some_and(|held| Some(held) < first_missing);
    let scope = Scope {
        series: series.clone(),
        range,
        missing: partition.missing.clone(),
        settled: partition.again.clone(),
        is_oldest: is_oldest && !held_before,
        first_held,
        recheck: rechecked(partition, stored)
            .into_iter()
            .filter(is_open_question)
            .map(known)
            .collect(),
        older: second_looks::older(stored, clock).into_iter().map(known).collect(),
        settled_before: now.plus(clock.lag_secs.saturating_neg()),
        kept: taken_over.clone(),
    };
    let not_offered =
        partition.not_offered.and_then(|behind| EpochRange::new(month.start(), behind.end()));
    let key = partition.key.clone();
    let behind = Behind { not_offered, is_confirmed: wall.is_some_and(|wall| wall.is_confirmed) };
    let (lost, chunk_rows) = (&partition.lost, options.chunk_rows);
    let job = match profile.kind {
        Kind::Ticks => AnyJob::Ticks(
            PartitionJob::new(key, scope, behind, lost, chunk_rows).quoted_in(profile.decimals),
        ),
        Kind::Candles(_) => AnyJob::Candles(
            PartitionJob::new(key, scope, behind, lost, chunk_rows).quoted_in(profile.decimals),
        ),
    };
    Some((id, job, series))
}
