//! The use case: which pages to ask, what they prove, when a month is published.
//!
//! Knows neither Deriv nor Parquet: it works over the seams of `domain`.

pub mod buffer;
mod clocks;
mod decimals;
mod disk;
mod ended;
mod engine;
mod errands;
mod hours;
mod job;
pub mod pager;
pub mod plan;
mod prepare;
mod probe;
pub mod profile;
mod refusals;
pub mod repair;
pub mod reporter;
mod request;
mod second_looks;
mod space;
mod spans;
pub mod summary;
pub mod wall;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use tokio::time::Instant;

use crate::domain::{
    Coverage, CoverageState, Epoch, EpochRange, Finding, FindingKind, GapThresholds, PartitionKey,
    RangeSet, Series, SourceError, SourceFacts, StoreError, StoredPartition, Wall,
};

use ended::{Ended, Worked};
use engine::Engine;
use prepare::{CONTRADICTED, Purpose, answers_of, blocking, chain, facts_learned, prepare};
use profile::unit_secs;

pub use clocks::{ClockDoubt, LocalClock};
pub use disk::{disk, with_disk};
pub use plan::{Plan, PlannedPartition, Window, WindowError};
pub use prepare::{Source, Store};
pub use repair::{Order, Orders, orders};
pub use reporter::{PageReport, Reporter, Silent};
pub use request::{DownloadRequest, Wanted};
pub use summary::{Beginning, Ending, PartitionOutcome, PartitionSummary, Summary};

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
    /// The newest seconds are not asked for: their ticks may still come, and change the last bar.
    pub tail_lag: Duration,
    /// This machine's clock, where it is held against that of the source.
    pub local_clock: Option<LocalClock>,
    /// From how long a silence on it is a gap, by series.
    pub gap_thresholds: GapThresholds,
    /// Facts for the sidecars: endpoint and API, never a secret.
    pub source: serde_json::Map<String, serde_json::Value>,
    /// Whether what is proved already is asked again and compared.
    pub ask_everything: bool,
    /// Partitions asked again whole, once, whose rows take the newer price of the source.
    pub accept_restatement: BTreeSet<PartitionKey>,
}

impl DownloadOptions {
    /// Tells whether each partition of a series whose newer prices are accepted lies in the wanted
    /// time.
    ///
    /// # Errors
    ///
    /// For the first one that does not: nothing could be accepted there.
    pub fn check_accepted(
        &self,
        series: &Series,
        window: EpochRange,
        now: Epoch,
    ) -> Result<(), DownloadError> {
        let is_cut = |key: &&PartitionKey| {
            let month = key.month.range();
            let until_now = EpochRange::new(month.start(), month.end().min(now)).unwrap_or(month);
            key.series == *series && !window.covers(until_now)
        };
        match self.accept_restatement.iter().find(is_cut) {
            Some(key) => Err(DownloadError::Restatement {
                key: key.clone(),
                why: "the whole month has to be in the range asked for",
            }),
            None => Ok(()),
        }
    }
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
    /// Newer prices cannot be accepted for a partition that was named.
    #[error("cannot accept newer prices for {key}: {why}")]
    Restatement {
        /// Which partition.
        key: PartitionKey,
        /// Why not.
        why: &'static str,
    },
    /// Not even the first month fits on the disk.
    #[error("the disk is too small for {key}: about {} MiB are needed, {} MiB are free", needed.div_ceil(MIB), free / MIB)]
    NoRoom {
        /// The month that comes first.
        key: Box<PartitionKey>,
        /// Bytes it needs, estimated.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// No series that was asked for is on offer.
    #[error("no series can be worked on: {}", reasons(.0))]
    NoSeries(Vec<(Series, String)>),
}

const MIB: u64 = 1 << 20;

fn reasons(failed: &[(Series, String)]) -> String {
    failed.iter().map(|(series, why)| format!("{series}: {why}")).collect::<Vec<_>>().join("; ")
}

impl<S: Source, P: Store> PartitionedDownloader<S, P> {
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

    /// Tells what a run would do. Asks for the time, the symbols, and at most one page per series;
    /// writes nothing.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn plan(&self, request: &DownloadRequest) -> Result<Plan, DownloadError> {
        self.rehearse(request).await.map(|(plan, _)| plan)
    }

    /// As [`plan`](Self::plan), and tells why the run could not begin if the disk has no room for
    /// what would be worked on first.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn rehearse(
        &self,
        request: &DownloadRequest,
    ) -> Result<(Plan, Option<DownloadError>), DownloadError> {
        let purpose = Purpose::DryRun;
        let (options, source) = (&self.options, &*self.source);
        let prepared = prepare(source, &self.store, request, options, None, purpose).await?;
        let plan = prepared.plan.clone();
        let first = engine::first(&prepared, &self.options);
        let problem = first.and_then(|first| has_room(&plan, &plan.partitions[first]).err());
        Ok((plan, problem))
    }

    /// Tells what a repair would do. Asks and writes as little as [`plan`](Self::plan).
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn plan_repair(&self, orders: &Orders) -> Result<Plan, DownloadError> {
        let request = request_of(orders);
        let (options, orders) = (&self.options, Some(orders));
        let purpose = Purpose::DryRun;
        let prepared =
            prepare(&*self.source, &self.store, &request, options, orders, purpose).await?;
        Ok(prepared.plan)
    }

    /// Asks exactly what is ordered, oldest first, and publishes every ordered partition anew.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn repair(&self, orders: &Orders) -> Result<Summary, DownloadError> {
        self.run_over(&request_of(orders), Some(orders)).await
    }

    /// Brings every series and month of the request up to date.
    ///
    /// # Errors
    ///
    /// If the run could not start. What goes wrong later is in the [`Summary`].
    pub async fn run(&self, request: &DownloadRequest) -> Result<Summary, DownloadError> {
        self.run_over(request, None).await
    }

    async fn run_over(
        &self,
        request: &DownloadRequest,
        orders: Option<&Orders>,
    ) -> Result<Summary, DownloadError> {
        let started = Instant::now();
        let (options, purpose) = (&self.options, Purpose::Run);
        let mut prepared =
            prepare(&*self.source, &self.store, request, options, orders, purpose).await?;
        hours::learn(&*self.source, &mut prepared).await;
        self.reporter.planned(&prepared.plan);
        let (plan, facts) = (prepared.plan.clone(), prepared.facts.clone());
        let before = prepared.stored.clone();
        let clocks = prepared.clock_doubt.map(ClockDoubt::finding);
        let engine = Engine::new(
            &self.source,
            &self.store,
            &*self.reporter,
            &self.options,
            &self.stop,
            prepared,
        );
        if let Some(first) = engine.first() {
            has_room(&plan, &plan.partitions[first])?;
        }
        let mut ended = engine.run().await;
        self.doubt_walls(&facts, plan.server_now, &mut ended).await;
        let Ended { ending, mut outcomes, profiles, walls, wall_doubts, thrown_away, .. } = ended;
        self.keep_facts(facts_learned(facts, &profiles, &walls, &wall_doubts)).await;
        let partitions = plan.partitions.iter().zip(before).enumerate();
        let partitions = partitions
            .map(|(id, (planned, before))| {
                let series = &planned.key.series;
                let wall = walls.get(series).map(|wall| (*wall, wall_doubts.get(series)));
                let ended = outcomes.remove(&id).or_else(|| left_alone(&before));
                summarize(planned, &before, wall, ended)
            })
            .collect();
        let Plan { failed_series, mut notices, .. } = plan;
        notices.extend(clocks);
        let believed = walls.iter().filter(|(series, _)| !wall_doubts.contains_key(series));
        let history_begins = believed
            .map(|(series, &Wall { offered_from: at, is_confirmed, .. })| {
                (series.clone(), Beginning { at, is_confirmed })
            })
            .collect();
        Ok(Summary {
            ending,
            partitions,
            failed_series,
            notices,
            history_begins,
            thrown_away,
            elapsed: started.elapsed(),
        })
    }

    /// Adds what speaks against the walls that this run found, now that all of its answers are
    /// known. A wall that was found again in a later run is beyond that.
    async fn doubt_walls(&self, facts: &SourceFacts, began: Epoch, ended: &mut Ended) {
        for (series, &wall) in ended.walls.iter().filter(|(_, wall)| !wall.is_confirmed) {
            if ended.wall_doubts.contains_key(series) {
                continue;
            }
            let is_first_sight = wall.seen_at >= began;
            let others: Vec<Wall> = other_walls(facts, &ended.walls, series);
            let unit = unit_secs(series.kind);
            let doubt = match answers_of(&self.store, series).await {
                Ok(answers) => wall::doubt(wall, unit, &answers, &others),
                Err(error) => Some(chain(&error)),
            };
            let contradicted =
                || (ended.was_lied_to && is_first_sight).then(|| CONTRADICTED.into());
            if let Some(doubt) = doubt.or_else(contradicted) {
                tracing::warn!(%series, offered_from = %wall.offered_from, doubt, "the beginning of the history is not believed");
                ended.wall_doubts.insert(series.clone(), doubt);
            }
        }
    }

    /// Facts only make the next run cheaper, so losing them is no failure of this one.
    async fn keep_facts(&self, facts: SourceFacts) {
        if let Err(error) = blocking(&self.store, move |store| store.save_facts(&facts)).await {
            tracing::warn!(why = chain(&error), "what was learned of the source is not kept");
        }
    }
}

/// Refuses what surely cannot be begun; what may only come to an end early is a warning.
fn has_room(plan: &Plan, first: &PlannedPartition) -> Result<(), DownloadError> {
    let Some(free) = plan.free_bytes else { return Ok(()) };
    if first.n_bytes > free {
        let key = Box::new(first.key.clone());
        return Err(DownloadError::NoRoom { key, needed: first.n_bytes, free });
    }
    if plan.n_bytes > free {
        let (needed_mib, free_mib) = (plan.n_bytes.div_ceil(MIB), free / MIB);
        tracing::warn!(needed_mib, free_mib, "the disk may be full before everything is done");
    }
    Ok(())
}

/// The walls of all other symbols, as this run or an earlier one saw them.
fn other_walls(facts: &SourceFacts, walls: &BTreeMap<Series, Wall>, series: &Series) -> Vec<Wall> {
    let own = format!("{}/", series.symbol);
    let earlier = facts.series.iter().filter(|(name, _)| !name.starts_with(&own));
    let now = walls.iter().filter(|(other, _)| other.symbol != series.symbol);
    earlier.filter_map(|(_, facts)| facts.wall).chain(now.map(|(_, wall)| *wall)).collect()
}

/// The wanted seconds without a settled answer, and those that were to be asked because only
/// another tool answered for them, and were not, unless the wall has passed them meanwhile.
fn still_owed(planned: &PlannedPartition, coverage: &Coverage, wall: Option<Wall>) -> RangeSet {
    let mut owed = coverage.missing(planned.wanted);
    let inherited = coverage.select(|state| state == CoverageState::Inherited);
    for range in planned.missing.iter() {
        let offered = wall.map_or(range.start(), |wall| wall.offered_from.max(range.start()));
        let Some(range) = EpochRange::new(offered, range.end()) else { continue };
        inherited.within(range).iter().for_each(|range| owed.insert(range));
    }
    owed
}

/// What is locked and cannot be what it was, and what this build cannot read: said, and left as it
/// is.
fn left_alone(stored: &StoredPartition) -> Option<Worked> {
    let why = match (&stored.undecodable, &stored.locked_problem) {
        (Some(undecodable), _) => format!("undecodable: {undecodable}"),
        (None, Some(problem)) => format!(
            "it is locked and nothing was changed, but {problem}; put the file back, or take \
             `locked` out of its sidecar and run `titan-download repair`"
        ),
        (None, None) => return None,
    };
    let outcome = PartitionOutcome::LeftAlone(why);
    Some(Worked { outcome, n_pages: 0, staged: RangeSet::new(), not_offered: None })
}

/// The series of the orders, and all time.
fn request_of(orders: &Orders) -> DownloadRequest {
    // The months are named; only the source knows which of them have begun.
    let start = plan::OLDEST_START;
    DownloadRequest::of(&orders.series(), Window::Range { start, end: None })
}

fn summarize(
    planned: &PlannedPartition,
    before: &StoredPartition,
    wall: Option<(Wall, Option<&String>)>,
    ended: Option<Worked>,
) -> PartitionSummary {
    let record_count = planned.record_count;
    let doubt = wall.and_then(|(_, doubt)| doubt);
    let unworked = || match planned.is_beyond_wall() {
        _ if planned.is_locked => PartitionOutcome::Locked { record_count },
        true => doubt.map_or(PartitionOutcome::NotOffered, |why| {
            let why = format!("the source sends other data instead, but {why}");
            PartitionOutcome::Failed(why)
        }),
        false if planned.missing.is_empty() => PartitionOutcome::UpToDate { record_count },
        false => PartitionOutcome::NotReached,
    };
    let Worked { mut outcome, n_pages, staged, not_offered } = ended.unwrap_or_else(|| Worked {
        outcome: unworked(),
        n_pages: 0,
        staged: RangeSet::new(),
        not_offered: None,
    });
    let found = not_offered.and_then(|behind| behind.intersect(planned.wanted));
    let behind = planned.not_offered.max(found);
    if let (PartitionOutcome::Published(published), Some(behind), Some((wall, doubt))) =
        (&mut outcome, behind, wall)
    {
        published.findings.extend(unconfirmed(&planned.key, behind, wall, doubt));
    }
    let wall = wall.map(|(wall, _)| wall);
    let standing = match &outcome {
        PartitionOutcome::Published(published) => published.standing.clone(),
        _ => before.standing.clone(),
    };
    let mut missing = match &outcome {
        PartitionOutcome::Published(published) => still_owed(planned, &published.coverage, wall),
        PartitionOutcome::NotOffered | PartitionOutcome::Locked { .. } => RangeSet::new(),
        _ => {
            let mut missing = still_owed(planned, &before.coverage(), wall);
            missing.remove_all(&staged);
            missing
        }
    };
    let not_offered = behind.filter(|_| doubt.is_none());
    if let Some(behind) = not_offered {
        missing.remove(behind);
    }
    let key: PartitionKey = planned.key.clone();
    let wanted = planned.wanted;
    PartitionSummary { key, wanted, not_offered, outcome, missing, standing, n_pages }
}

/// What is to be told of seconds that the source does not offer, as long as that is not certain.
fn unconfirmed(
    key: &PartitionKey,
    behind: EpochRange,
    wall: Wall,
    doubt: Option<&String>,
) -> Option<Finding> {
    if wall.is_confirmed {
        return None;
    }
    let expected = format!("an answer for {behind}");
    let kind = FindingKind::WallProvisional;
    let finding = match doubt {
        None => Finding::info(
            kind,
            key,
            expected,
            "history seems to begin later; the next run asks again",
        ),
        Some(why) => Finding::error(kind, key, expected, format!("other data, but {why}")),
    };
    Some(finding.in_partition(key).at(behind))
}
