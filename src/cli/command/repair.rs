//! `repair`: check → deal with the files → ask for exactly what is missing → prove → check again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::{Evidence, PartitionKey, RangeSet, Remedy, Series, StoreError};
use crate::download::{DownloadError, Ending, Order, Orders, disk};
use crate::format::Layout;
use crate::format::digest::DayDigest;
use crate::integrity::{Report, changed_days};

use super::super::error::{Failure, chain};
use super::super::exit::ExitCode;
use super::super::progress::{Progress, Screen};
use super::super::report;
use super::super::report::repair::Repaired;
use super::super::settings::repair::RepairSettings;
use super::super::signal::{Patience, Signals};
use super::super::terminal;
use super::super::wiring::{self, Parts, Session};
use super::download::{GO_ON, STOPPING, cannot_print, detail, endpoint_or_demo, hint};
use super::{Context, Selected, mixing};

/// A look at what was mended may show more: candles are held against ticks only once both can be
/// read. What three rounds do not mend, a fourth does not either.
const MAX_ROUNDS: usize = 3;

/// A file that lay where it did not belong, and whose place nobody took.
const GONE: &str = "its file could not be trusted and lies in `.titan/quarantine`, and nothing came \
                    in its place; if you have a copy, put it back";

/// A file of which no row can be trusted: it keeps its name until there is something better.
const NOT_REPLACED: &str = "its file cannot be trusted, and it stays as it is because nothing came \
                            in its place; if you have a copy, put it there";

/// Mends the archive, or shows what would be done.
pub(crate) async fn run(settings: &RepairSettings, context: &Context) -> Result<ExitCode, Failure> {
    let run = &settings.run;
    for warning in &run.warnings {
        tracing::warn!("{warning}");
    }
    let is_kind = |kind| settings.is_wanted(kind);
    let kinds = " of the kinds that were named";
    let selected = Selected { symbols: &settings.symbols, is_kind: &is_kind, kinds };
    super::must_hold(&run.output, &selected)?;
    let series = wiring::contents(settings);
    mixing::refuse(&run.output, &series, run.endpoint.is_none())?;
    let signals = Signals::listen(context.terminal.clone(), STOPPING, Patience::Bounded)
        .map_err(|error| Failure::cannot_start(error).with_hint("signals cannot be listened to"))?;
    context.record.asked_for(&series, arguments(settings));
    let (endpoint, demo) = endpoint_or_demo(run.endpoint.as_ref(), run.api).await?;
    let progress = Progress::new(detail(run, context), &context.terminal);
    let session = context.session.clone();
    let stop = signals.stop().clone();
    let record = context.record.clone();
    let parts = Parts { endpoint, session, progress: Arc::clone(&progress), record, stop };
    let session = Session::open(run, parts)?;
    let work = Work { settings, context, signals: &signals, series };
    let result = work.done_with(session, &progress).await;
    if let Some(demo) = demo {
        demo.end().await;
    }
    result
}

/// What was asked for, as `last-run.json` tells it; no secret is among it.
fn arguments(settings: &RepairSettings) -> Value {
    let endpoint = settings.run.endpoint.as_ref();
    json!({
        "output": settings.run.output.display().to_string(),
        "endpoint": endpoint.map_or(mixing::DEMO, |endpoint| &endpoint.shown),
        "deep": settings.deep,
    })
}

/// One repair over an open session.
struct Work<'a> {
    settings: &'a RepairSettings,
    context: &'a Context,
    signals: &'a Signals,
    series: Vec<Series>,
}

/// Places in which the file of another partition lay.
#[derive(Debug, Default)]
struct Vacated {
    /// All that were dealt with.
    seen: BTreeSet<PartitionKey>,
    /// Those whose file lies in its own place now.
    went_home: BTreeSet<PartitionKey>,
}

/// What a round is about to do; two rounds alike would go on for ever.
type Intent = (Orders, Vec<(PartitionKey, Remedy)>);

impl Work<'_> {
    async fn done_with(
        &self,
        mut session: Session,
        progress: &Arc<Progress>,
    ) -> Result<ExitCode, Failure> {
        let screen = Screen::start(Arc::clone(progress), self.context.terminal.clone())
            .map_err(|error| Failure::no_thread(&error, 0, 1))?;
        let result = if self.settings.run.dry_run {
            self.planned(&session).await
        } else {
            self.repaired(&mut session).await
        };
        screen.finish();
        let traffic = session.traffic();
        session.close().await;
        let mut repaired = result?;
        repaired.requests = traffic.requests;
        self.told(&repaired)
    }

    fn told(&self, repaired: &Repaired) -> Result<ExitCode, Failure> {
        let exit = ExitCode::of_repair(repaired, self.signals.first());
        let root = &self.settings.run.output;
        terminal::print(|out| {
            if self.context.talk.json {
                writeln!(
                    out,
                    "{}",
                    report::repair::json(repaired, root, &self.context.session, exit)
                )
            } else if self.context.is_silent(exit) && !repaired.is_dry_run {
                Ok(())
            } else {
                report::repair::write(out, root, repaired)
            }
        })
        .map_err(cannot_print)?;
        let problems = report::repair::problems(repaired);
        if !problems.is_empty() {
            self.context.terminal.say(&problems);
        }
        Ok(exit)
    }

    /// Checks the archive; a signal ends the wait for it.
    async fn assessed(&self) -> Result<(Report, Vec<Evidence>, Vec<Evidence>), Failure> {
        let settings = self.settings.clone();
        let check = disk().spawn_blocking(move || wiring::assess(&settings));
        let (report, evidence) = tokio::select! {
            biased;
            () = self.signals.stop().cancelled() => {
                let exit = ExitCode::of_signal(self.signals.first());
                return Err(Failure::new(exit, "the check was stopped before it was done").with_hint(GO_ON));
            }
            checked = check => match checked {
                Ok(checked) => checked,
                // A panic in there is a bug, and goes on up here.
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
        };
        // What is not to be repaired still tells how far a symbol reaches.
        let (wanted, others) =
            evidence.into_iter().partition(|found| self.settings.is_wanted(found.key.series.kind));
        Ok((report, wanted, others))
    }

    async fn planned(&self, session: &Session) -> Result<Repaired, Failure> {
        let (report, evidence, others) = self.assessed().await?;
        let mut repaired = Repaired { is_dry_run: true, ..Repaired::default() };
        repaired.note_found(&report);
        repaired.note_left(&report, &evidence);
        let orders = self.ordered(&evidence, &others);
        repaired.note_intent(&evidence, &orders);
        if !orders.is_empty() {
            let plan = session.plan_repair(&orders).await.map_err(|error| self.failure(error))?;
            repaired.note_plan(&plan, &orders);
        }
        repaired.note_end(&report, &evidence);
        Ok(repaired)
    }

    async fn repaired(&self, session: &mut Session) -> Result<Repaired, Failure> {
        let mut repaired = Repaired::default();
        let files = self.files();
        let mut ours = self.locked(session, &mut repaired).await?;
        let mut vacated = Vacated::default();
        let mut before: Option<Intent> = None;
        let mut asked: BTreeMap<PartitionKey, RangeSet> = BTreeMap::new();
        for round in 0..=MAX_ROUNDS {
            let (report, mut evidence, others) = self.assessed().await?;
            if round == 0 {
                repaired.note_found(&report);
            }
            repaired.note_left(&report, &evidence);
            repaired.note_end(&report, &evidence);
            evidence.retain(|found| ours.contains(&found.key.series));
            if self.brought_home(session, &evidence, &mut ours, &mut vacated, &mut repaired).await?
            {
                continue;
            }
            let lost = lost_places(&vacated.seen, &evidence);
            // What could not go home stays where it is, for nobody else knows its rows.
            evidence.retain(|found| !matches!(found.remedy, Remedy::Return(_)));
            evidence.extend(lost);
            let orders = self.ordered(&evidence, &others);
            let intent = (orders.clone(), remedies(&evidence));
            let is_known = before.as_ref() == Some(&intent) || !is_news(&intent, &asked);
            if orders.is_empty() || is_known || round == MAX_ROUNDS {
                let is_given_up = |found: &&Evidence| found.remedy == Remedy::Salvage;
                for found in evidence.iter().filter(is_given_up) {
                    repaired.note_problem(&found.key, NOT_REPLACED);
                }
                break;
            }
            before = Some(intent);
            for (key, order) in &orders.0 {
                asked.entry(key.clone()).or_default().extend(&order.ranges());
            }
            repaired.note_intent(&evidence, &orders);
            if !self.one_round(session, &evidence, &orders, &mut repaired).await? {
                break;
            }
        }
        let left = self.files();
        for key in files.difference(&left).filter(|key| !vacated.went_home.contains(*key)) {
            repaired.note_problem(key, GONE);
        }
        Ok(repaired)
    }

    /// The partitions of what is to be repaired that have a file.
    fn files(&self) -> BTreeSet<PartitionKey> {
        let settings = self.settings;
        let keys = wiring::files(&settings.run.output, &settings.symbols);
        keys.into_iter().filter(|key| settings.is_wanted(key.series.kind)).collect()
    }

    /// What is to be asked of what is to be repaired; `others` only tell how far a symbol reaches.
    fn ordered(&self, evidence: &[Evidence], others: &[Evidence]) -> Orders {
        let mut orders = wiring::orders(&[evidence, others].concat());
        orders.0.retain(|key, _| self.settings.is_wanted(key.series.kind));
        orders
    }

    /// Takes the locks of the series that are not held by others.
    async fn locked(
        &self,
        session: &mut Session,
        repaired: &mut Repaired,
    ) -> Result<BTreeSet<Series>, Failure> {
        let mut ours = BTreeSet::new();
        if self.series.is_empty() {
            return Ok(ours);
        }
        session.prepare().await.map_err(|error| self.failure(error.into()))?;
        for series in &self.series {
            match session.lock(series) {
                Ok(()) => drop(ours.insert(series.clone())),
                Err(StoreError::Held { owner, .. }) => {
                    repaired.held.push((series.clone(), owner));
                }
                Err(error) => return Err(self.failure(error.into())),
            }
        }
        match repaired.held.first() {
            Some((series, owner)) if ours.is_empty() => {
                let (series, owner) = (series.to_string(), owner.clone());
                Err(self.failure(StoreError::Held { series, owner }.into()))
            }
            _ => Ok(ours),
        }
    }

    /// Brings files that lie in the place of others back to theirs; tells whether there were any.
    async fn brought_home(
        &self,
        session: &mut Session,
        evidence: &[Evidence],
        ours: &mut BTreeSet<Series>,
        vacated: &mut Vacated,
        repaired: &mut Repaired,
    ) -> Result<bool, Failure> {
        let mut is_any = false;
        for found in evidence {
            let Remedy::Return(home) = &found.remedy else { continue };
            if vacated.seen.contains(&found.key) {
                continue;
            }
            if !ours.contains(&home.series) {
                match session.lock(&home.series) {
                    Ok(()) => drop(ours.insert(home.series.clone())),
                    Err(error) => {
                        repaired.note_problem(&found.key, &chain(&error).join(": "));
                        continue;
                    }
                }
            }
            let place = Layout::new(&self.settings.run.output).parquet(home);
            let was_free = !place.exists();
            self.mended(session, found, repaired).await?;
            if was_free && place.exists() {
                vacated.went_home.insert(found.key.clone());
            }
            vacated.seen.insert(found.key.clone());
            is_any = true;
        }
        Ok(is_any)
    }

    async fn mended(
        &self,
        session: &Session,
        found: &Evidence,
        repaired: &mut Repaired,
    ) -> Result<(), Failure> {
        match session.mend(&found.key, &found.remedy).await {
            Ok(()) => Ok(()),
            Err(error) if ends_the_run(&error) => Err(self.failure(error.into())),
            Err(error) => {
                repaired.note_problem(&found.key, &chain(&error).join(": "));
                Ok(())
            }
        }
    }

    /// Deals with the files, asks, publishes, and proves that nothing else has changed. Tells
    /// whether another look is worth it.
    async fn one_round(
        &self,
        session: &Session,
        evidence: &[Evidence],
        orders: &Orders,
        repaired: &mut Repaired,
    ) -> Result<bool, Failure> {
        let before = self.rows_beside(orders).await;
        for found in evidence {
            self.mended(session, found, repaired).await?;
        }
        let summary = session.repair(orders).await.map_err(|error| self.failure(error))?;
        let is_done = summary.ending == Ending::Finished;
        self.context.record.summed_up(&summary, &repaired.held);
        repaired.note_summary(summary);
        if is_done {
            let after = self.rows_beside(orders).await;
            for (key, days) in &before {
                let now = after.get(key).map(Vec::as_slice).unwrap_or_default();
                let changed = changed_days(days, now);
                repaired.n_proved_days += (days.len() - changed.len()) as u64;
                if let Some(day) = changed.first() {
                    let what = "rows that nobody asked for have changed, first on";
                    repaired.note_problem(key, &format!("{what} {}", day.date));
                }
            }
        }
        Ok(is_done)
    }

    /// The hash of each day's rows of the ordered partitions, beside what is asked of them.
    async fn rows_beside(&self, orders: &Orders) -> BTreeMap<PartitionKey, Vec<DayDigest>> {
        let (root, orders) = (self.settings.run.output.clone(), orders.clone());
        let hashed = disk().spawn_blocking(move || {
            let of = |(key, order): (&PartitionKey, &Order)| {
                let except: RangeSet = order.ranges();
                (key.clone(), wiring::rows_beside(&root, key, &except))
            };
            orders.0.iter().map(of).collect()
        });
        match hashed.await {
            Ok(hashed) => hashed,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn failure(&self, error: DownloadError) -> Failure {
        let exit = ExitCode::of_error(&error, self.signals.first());
        let hint = match self.signals.first() {
            Some(_) => Some(GO_ON.to_owned()),
            None => hint(&error, &self.settings.run.output),
        };
        let failure = Failure::new(exit, error);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

/// Tells whether nothing else could be written either.
fn ends_the_run(error: &StoreError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error {
        StoreError::Stopped => true,
        StoreError::Io { source, .. } => matches!(
            source.kind(),
            PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull
        ),
        _ => false,
    }
}

/// Tells whether a round would do anything that none has done yet: deal with a file, work on a
/// partition, or ask a second.
fn is_news((orders, remedies): &Intent, asked: &BTreeMap<PartitionKey, RangeSet>) -> bool {
    let is_new = |(key, order): (&PartitionKey, &Order)| {
        let Some(asked) = asked.get(key) else { return true };
        order.doubts.iter().any(|doubt| !asked.covers(doubt.range))
    };
    !remedies.is_empty() || orders.0.iter().any(is_new)
}

fn remedies(evidence: &[Evidence]) -> Vec<(PartitionKey, Remedy)> {
    let is_work = |found: &&Evidence| found.remedy != Remedy::Keep;
    evidence.iter().filter(is_work).map(|f| (f.key.clone(), f.remedy.clone())).collect()
}

/// The places from which a file went home, where their series has other months: what was there
/// before is gone.
fn lost_places(vacated: &BTreeSet<PartitionKey>, evidence: &[Evidence]) -> Vec<Evidence> {
    let is_known = |key: &PartitionKey| evidence.iter().any(|found| found.key == *key);
    let has_others = |key: &PartitionKey| {
        evidence.iter().any(|f| f.key.series == key.series && f.coverage.is_some())
    };
    let lost = vacated.iter().filter(|key| !is_known(key) && has_others(key));
    lost.cloned().map(Evidence::unknown).collect()
}
