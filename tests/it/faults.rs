//! Whatever the exchange does, no row is wrong, nothing hangs, and what is missing is called so.
//!
//! Each fault alone, and all of them together. A night with faults is followed by one without, which
//! must complete the archive.

use std::path::Path;
use std::sync::Arc;

use titan_download::deriv::ApiVersion;
use titan_download::domain::{EpochRange, FindingKind, Granularity, Kind, RangeSet, Series};
use titan_download::download::{PartitionOutcome, PartitionSummary, Window};
use titan_download::simulator::{
    Fault, FaultPlan, Limits, Outcome, SimClock, Simulator, SimulatorConfig, Straddle,
};

use crate::nights::*;
use crate::support::*;

/// Seventy minutes across the end of a month on a Tuesday night, when every market is open.
const FROM: &str = "2026-03-31T23:30:00Z";
const TO: &str = "2026-04-01T00:40:00Z";
const NOW: &str = "2026-04-02T12:00:00Z";

/// Requests a minute that the throttle may make with the settings of production.
const CEILING: usize = 200;

/// What the exchange may contradict itself in for good: both answers are named, the first is kept.
const CONTRADICTIONS: [FindingKind; 1] = [FindingKind::ConflictingTick];

/// One exchange that misbehaves, and what is downloaded from it.
struct Case {
    name: String,
    api: ApiVersion,
    seed: u64,
    faults: FaultPlan,
    /// Whether an answer in perfect form may be a lie twice in a row, which nobody can notice.
    lies: bool,
}

impl Case {
    fn new(name: impl Into<String>, seed: u64, faults: FaultPlan) -> Self {
        Self { name: name.into(), api: ApiVersion::V1, seed, faults, lies: false }
    }

    fn exchange(&self, faults: FaultPlan, days_later: i64) -> Arc<Simulator> {
        Simulator::new(SimulatorConfig {
            seed: self.seed,
            clock: SimClock::running(epoch(NOW).plus(days_later * 86_400)),
            page_cap: Some(100),
            straddle: if self.seed.is_multiple_of(2) {
                Straddle::Substitute
            } else {
                Straddle::YoungerPart
            },
            limits: Limits::default(),
            faults,
            ..SimulatorConfig::default()
        })
    }

    /// A night with the faults and one without.
    async fn run(&self) -> Faulty {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let exchange = self.exchange(self.faults.clone(), 0);
        let first = self.night(&exchange, root).await;
        let clean = self.exchange(FaultPlan::none(), 1);
        let second = self.night(&clean, root).await;
        let contradicted = second.summary.as_ref().is_ok_and(|summary| {
            summary.findings().any(|finding| CONTRADICTIONS.contains(&finding.kind))
        });
        assert!(
            second.is_complete() || contradicted || self.lies,
            "{}: a night without faults is incomplete: {:#?}",
            self.name,
            second.summary
        );
        for series in all_series() {
            let missing = self.missing_rows(&clean, root, &series, &RangeSet::new());
            assert!(missing.is_empty(), "{}: {series} lacks {missing:?}", self.name);
        }
        let errors = errors_but(root, &CONTRADICTIONS);
        assert!(errors.is_empty() || self.lies, "{}: {errors:#?}", self.name);
        assert_eq!(files_ending(root, ".titan-tmp"), [] as [std::path::PathBuf; 0]);
        let outcomes = exchange.log().into_iter().map(|call| call.outcome);
        let bitten = outcomes.filter_map(|outcome| match outcome {
            Outcome::Fault(name) => Some(name),
            _ => None,
        });
        Faulty { bitten: bitten.collect(), first }
    }

    async fn night(&self, exchange: &Arc<Simulator>, root: &Path) -> Night {
        let night = night(exchange, self.api, root, &all_series(), window()).await;
        let busiest = busiest_minute(&exchange.log());
        assert!(busiest <= CEILING, "{}: {busiest} calls in a minute", self.name);
        assert_eq!(night.connection.in_flight, 0, "{}: a waiter is left", self.name);
        assert_eq!(files_ending(root, ".titan-tmp"), [] as [std::path::PathBuf; 0]);
        for series in all_series() {
            let unsettled = match &night.summary {
                Ok(summary) => {
                    let of_series = summary.partitions.iter().filter(|p| p.key.series == series);
                    let is_staged = |p: &&PartitionSummary| p.outcome == PartitionOutcome::Staged;
                    // What is staged is missing no more, and not published yet.
                    let staged = of_series.clone().filter(is_staged).map(|p| p.wanted);
                    staged.chain(of_series.clone().flat_map(|p| p.missing.iter())).collect()
                }
                Err(_) => whole(),
            };
            let planned = night
                .summary
                .as_ref()
                .is_ok_and(|summary| summary.partitions.iter().any(|p| p.key.series == series));
            let unsettled = if planned { unsettled } else { whole() };
            let missing = self.missing_rows(exchange, root, &series, &unsettled);
            assert!(
                missing.is_empty(),
                "{}: {series} lacks {missing:?}, and nothing says so: {:#?}",
                self.name,
                night.summary
            );
        }
        night
    }

    /// The true rows that are neither on disk nor admitted to be missing. Panics at a wrong row.
    fn missing_rows(
        &self,
        exchange: &Arc<Simulator>,
        root: &Path,
        series: &Series,
        unsettled: &RangeSet,
    ) -> Vec<i64> {
        let truth = truth(exchange, series, window().resolve(exchange.now()).unwrap());
        let found = all_rows(root, series);
        let wrong = found.iter().find(|(epoch, row)| truth.get(epoch) != Some(row));
        assert_eq!(wrong, None, "{}: a wrong row of {series}", self.name);
        let gaps = if self.lies { known_gaps(root, series) } else { Vec::new() };
        let admitted = |secs: i64| {
            unsettled.iter().any(|range| range.contains(at(secs)))
                || gaps.iter().any(|gap| gap.contains(at(secs)))
        };
        truth.keys().copied().filter(|secs| !found.contains_key(secs) && !admitted(*secs)).collect()
    }
}

/// What became of a night with faults.
struct Faulty {
    /// The faults that calls met.
    bitten: Vec<&'static str>,
    first: Night,
}

fn all_series() -> [Series; 3] {
    [
        series("R_100", Kind::Ticks),
        series("R_100", Kind::Candles(Granularity::MINUTE)),
        series("frxEURUSD", Kind::Ticks),
    ]
}

fn window() -> Window {
    Window::Range { start: epoch(FROM), end: Some(epoch(TO)) }
}

fn whole() -> RangeSet {
    EpochRange::new(epoch(FROM), epoch(TO)).into_iter().collect()
}

/// Faults that nothing but another run can overcome.
const ENDERS: [Fault; 4] =
    [Fault::Refuse401, Fault::Refuse403, Fault::RefuseToken, Fault::TokenExpired];

/// Faults that are answers in perfect form, only not true.
const LIARS: [Fault; 3] = [Fault::ShortPage, Fault::NewestPart, Fault::Silent];

/// Faults of a connection's upgrade; they need connections that die to be met more than once.
fn is_of_upgrade(fault: Fault) -> bool {
    FaultPlan::parse(&[format!("{}=1..2", fault.name())]).is_err()
}

/// The fault at a chance, and once for certain.
fn alone(fault: Fault, chance: f64) -> Case {
    let faults = if is_of_upgrade(fault) {
        FaultPlan::none().on(fault, 2..=2).with_chance(fault, 0.4).with_chance(Fault::Drop, chance)
    } else {
        FaultPlan::none().on(fault, 9..=9).with_chance(fault, chance)
    };
    let mut case = Case::new(format!("{} at {chance}", fault.name()), 1, faults);
    case.lies = LIARS.contains(&fault);
    if matches!(fault, Fault::RefuseToken | Fault::TokenExpired) {
        case.api = ApiVersion::Legacy;
    }
    case
}

/// One of four shares of the table, so that they run side by side.
async fn check_share(share: usize) {
    for (number, &fault) in Fault::ALL.iter().enumerate().filter(|(n, _)| n % 4 == share) {
        let case = alone(fault, [0.05, 0.1, 0.2][number % 3]);
        let Faulty { bitten, first } = case.run().await;
        let was_met = match is_of_upgrade(fault) {
            true => first.connection.failed_connects > 0,
            false => bitten.contains(&fault.name()),
        };
        assert!(was_met, "{}: it never happened", case.name);
        if fault.description().ends_with("(legal)") {
            assert!(first.is_complete(), "{}: {:#?}", case.name, first.summary);
            assert_eq!(first.requests.retries, 0, "{}: nothing was wrong", case.name);
        }
        if ENDERS.contains(&fault) {
            assert!(!first.is_complete(), "{}: {:#?}", case.name, first.summary);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_alone_costs_requests_and_never_rows_first_share() {
    check_share(0).await;
}

#[tokio::test(start_paused = true)]
async fn every_fault_alone_costs_requests_and_never_rows_second_share() {
    check_share(1).await;
}

#[tokio::test(start_paused = true)]
async fn every_fault_alone_costs_requests_and_never_rows_third_share() {
    check_share(2).await;
}

#[tokio::test(start_paused = true)]
async fn every_fault_alone_costs_requests_and_never_rows_fourth_share() {
    check_share(3).await;
}

/// Every fault at once, each rarely; how often some end the run at once is kept low.
fn together(seed: u64) -> Case {
    let chance = |fault: &Fault| match fault {
        fault if ENDERS.contains(fault) => 0.001,
        fault if is_of_upgrade(*fault) => 0.02,
        _ => 0.005,
    };
    let add = |plan: FaultPlan, fault: &Fault| plan.with_chance(*fault, chance(fault));
    let faults = Fault::ALL.iter().fold(FaultPlan::none(), add);
    Case { lies: true, ..Case::new(format!("all together, seed {seed}"), seed, faults) }
}

/// How many seeds of all faults together: a few, or with `TITAN_LONG_TESTS=1` very many.
fn n_seeds() -> u64 {
    if std::env::var("TITAN_LONG_TESTS").is_ok_and(|value| value == "1") { 120 } else { 6 }
}

#[tokio::test(start_paused = true)]
async fn all_faults_together_cost_requests_and_never_rows() {
    let (mut n_complete, mut n_bites) = (0, 0);
    for seed in 1..=n_seeds() {
        let Faulty { bitten, first } = together(seed).run().await;
        n_complete += u64::from(first.is_complete());
        n_bites += bitten.len();
    }
    println!("{n_complete} of {} nights complete under {n_bites} faults", n_seeds());
    assert!(n_bites as u64 >= 5 * n_seeds(), "{n_bites} faults");
}
