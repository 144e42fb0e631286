//! Summaries and plans for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Coverage, CoverageState, Defect, DefectCounts, Epoch, EpochRange, Finding, FindingKind, Gap,
    GapClass, Granularity, Kind, Month, PartitionKey, PartitionState, Published, RangeSet, Series,
    Symbol,
};
use crate::download::{
    Beginning, Ending, PartitionOutcome, PartitionSummary, Plan, PlannedPartition, Summary,
};
use crate::resilience::WaitTimes;

use super::super::exit::ExitCode;
use super::super::settings::Rate;
use super::plan::PlanFacts;
use super::{BreakerFacts, RunFacts, Traffic, Walls};

pub(crate) fn series(kind: Kind) -> Series {
    Series { symbol: "R_100".parse().unwrap(), kind }
}

pub(crate) fn key(kind: Kind, month: &str) -> PartitionKey {
    PartitionKey { series: series(kind), month: month.parse().unwrap() }
}

fn published(key: PartitionKey, record_count: u64) -> Published {
    let range = key.month.range();
    let mut coverage = Coverage::new();
    coverage.insert(range, CoverageState::Answered);
    let gap = |at: i64, class| Gap {
        start: range.start().plus(at),
        end: range.start().plus(at + 8),
        missing_estimate: 4,
        class,
        asked_first: None,
        asked_last: None,
    };
    Published {
        lost: RangeSet::new(),
        path: format!("data_cache/R_100/ticks/{}.parquet", key.month).into(),
        key,
        record_count,
        n_new: 39_200,
        duplicates_removed: 0,
        file_size: 3_040_871,
        coverage,
        state: PartitionState::Sealed,
        gaps: vec![
            gap(100, GapClass::ConfirmedBySource),
            gap(500, GapClass::ConfirmedBySource),
            gap(900, GapClass::MarketClosed),
        ],
        findings: Vec::new(),
        standing: Vec::new(),
    }
}

fn summary_of(key: PartitionKey, outcome: PartitionOutcome) -> PartitionSummary {
    let wanted = key.month.range();
    PartitionSummary {
        key,
        wanted,
        not_offered: None,
        outcome,
        missing: RangeSet::new(),
        standing: Vec::new(),
        n_pages: 9,
    }
}

pub(crate) fn whole_summary() -> Summary {
    let key = key(Kind::Ticks, "2026-03");
    let outcome = PartitionOutcome::Published(Box::new(published(key.clone(), 1_339_200)));
    Summary {
        ending: Ending::Finished,
        partitions: vec![summary_of(key, outcome)],
        failed_series: Vec::new(),
        history_begins: BTreeMap::new(),
        notices: Vec::new(),
        thrown_away: DefectCounts::default(),
        elapsed: Duration::from_secs(250),
    }
}

/// One of everything.
pub(crate) fn mixed_summary() -> Summary {
    let candles = Kind::Candles(Granularity::MINUTE);
    let mut found = published(key(Kind::Ticks, "2025-12"), 700_000);
    found.findings.push(Finding::error(
        FindingKind::Restatement,
        "R_100 ticks 2025-12",
        "the price on disk, 1.5",
        "1.6",
    ));
    let wanted = found.key.month.range();
    let beyond = EpochRange::new(wanted.start(), wanted.start().plus(10 * 86_400)).unwrap();
    found.coverage.insert(beyond, CoverageState::NotOffered);
    let missing = EpochRange::new(Epoch::new(1_772_323_200), Epoch::new(1_772_409_600)).unwrap();
    let mut failed = summary_of(
        key(candles, "2026-03"),
        PartitionOutcome::Failed("no answer after 6 attempts: connection lost".into()),
    );
    failed.missing = RangeSet::from(missing);
    let mut partitions = vec![
        summary_of(key(Kind::Ticks, "2025-10"), PartitionOutcome::NotOffered),
        summary_of(key(Kind::Ticks, "2025-11"), PartitionOutcome::NotOffered),
        summary_of(found.key.clone(), PartitionOutcome::Published(Box::new(found))),
        summary_of(key(candles, "2026-02"), PartitionOutcome::UpToDate { record_count: 40_320 }),
        failed,
    ];
    for (index, partition) in partitions.iter_mut().enumerate() {
        partition.n_pages = index as u64;
    }
    Summary {
        ending: Ending::Finished,
        partitions,
        failed_series: vec![(series(Kind::Candles(3600.try_into().unwrap())), "not listed".into())],
        history_begins: BTreeMap::from([(
            series(Kind::Ticks),
            Beginning { at: Epoch::new(1_764_547_200), is_confirmed: false },
        )]),
        notices: Vec::new(),
        thrown_away: defects(Defect::OutsideWindow, 2),
        elapsed: Duration::from_secs(250),
    }
}

fn defects(defect: Defect, n: u64) -> DefectCounts {
    let mut counts = DefectCounts::default();
    counts.set(defect, n);
    counts
}

pub(crate) fn facts(exit: ExitCode) -> RunFacts {
    let wall = "2025-12".parse::<Month>().unwrap().range().start();
    let traffic = Traffic {
        requests: 312,
        retries: 2,
        refusals: 1,
        waited: Duration::from_millis(12_500),
        thrown_away: defects(Defect::Unsorted, 1),
        stray_answers: 3,
        reconnects: 1,
        waits: WaitTimes {
            pace: Duration::from_millis(2_500),
            rate_limited: Duration::from_secs(10),
            ..WaitTimes::default()
        },
        breaker: BreakerFacts::default(),
    };
    RunFacts {
        session: "20260316T120000Z-1".into(),
        exit,
        traffic,
        walls: Walls::from([(series(Kind::Ticks), wall)]),
        held: Vec::new(),
        output: "data_cache".into(),
    }
}

pub(crate) fn plan() -> Plan {
    let planned = |month: &str| {
        let key = key(Kind::Ticks, month);
        let wanted = key.month.range();
        PlannedPartition {
            key,
            wanted,
            not_offered: None,
            lost: RangeSet::new(),
            again: RangeSet::new(),
            second_looks: Vec::new(),
            missing: RangeSet::from(wanted),
            kept: RangeSet::new(),
            is_ordered: false,
            is_locked: false,
            state: None,
            record_count: 0,
            n_requests: 1_340,
            n_rows: 1_339_200,
            n_bytes: 25_444_800,
        }
    };
    let mut beyond = planned("2025-12");
    beyond.not_offered = Some(beyond.wanted);
    (beyond.missing, beyond.n_requests, beyond.n_rows) = (RangeSet::new(), 0, 0);
    let mut done = planned("2026-01");
    (done.missing, done.n_requests, done.n_rows) = (RangeSet::new(), 0, 0);
    (done.state, done.record_count) = (Some(PartitionState::Sealed), 1_339_150);
    Plan {
        server_now: "2026-05".parse::<Month>().unwrap().range().start(),
        partitions: vec![beyond, done, planned("2026-03")],
        failed_series: Vec::new(),
        begins: Vec::new(),
        notices: Vec::new(),
        n_bytes: 25_444_800,
        free_bytes: Some(50 << 30),
    }
}

pub(crate) fn plan_facts() -> PlanFacts {
    PlanFacts {
        session: "20260316T120000Z-1".into(),
        exit: ExitCode::Success,
        rate: Rate::PerMinute(200),
        pace: None,
        held: Vec::new(),
    }
}

/// Two years of three series: a month behind the wall, a long past that is proved, a hole, what runs.
pub(crate) fn long_plan() -> Plan {
    let mut plan = plan();
    plan.partitions.clear();
    let kinds =
        [Kind::Ticks, Kind::Candles(Granularity::MINUTE), Kind::Candles(3600.try_into().unwrap())];
    let last: Month = "2026-11".parse().unwrap();
    for kind in kinds {
        for back in (0..=24).rev() {
            let key = PartitionKey { series: series(kind), month: last.back(back).unwrap() };
            let wanted = key.month.range();
            let mut planned = PlannedPartition { key, wanted, ..self::plan().partitions.remove(1) };
            match back {
                13.. => {
                    planned.not_offered = Some(wanted);
                    (planned.state, planned.record_count) = (None, 0);
                }
                4 | 5 => {
                    (planned.state, planned.record_count) = (None, 0);
                    planned.missing = RangeSet::from(wanted);
                    (planned.n_requests, planned.n_rows) = (1_340, 1_339_200);
                }
                0 => {
                    planned.state = Some(PartitionState::Open);
                    let start = wanted.start().plus(15 * 86_400);
                    let rest = EpochRange::new(start, start.plus(7_200)).unwrap();
                    planned.missing = RangeSet::from(rest);
                    (planned.n_requests, planned.n_rows) = (4, 3_600);
                }
                _ => {}
            }
            plan.partitions.push(planned);
        }
    }
    plan
}

/// A night in which only the running month of one series grew.
pub(crate) fn night_summary() -> Summary {
    let mut partitions = Vec::new();
    for kind in [Kind::Ticks, Kind::Candles(Granularity::MINUTE)] {
        let last: Month = "2026-11".parse().unwrap();
        for back in (0..=24).rev() {
            let key = PartitionKey { series: series(kind), month: last.back(back).unwrap() };
            let grown = published(key.clone(), 700_000);
            let outcome = match (back, kind) {
                (0, Kind::Ticks) => PartitionOutcome::Published(Box::new(grown)),
                _ => PartitionOutcome::UpToDate { record_count: 1_000 },
            };
            partitions.push(summary_of(key, outcome));
        }
    }
    Summary { partitions, ..whole_summary() }
}

/// One month with gaps of every class, rows repeated, and a long name.
pub(crate) fn wide_summary() -> Summary {
    let mut summary = whole_summary();
    let name = "frxEURUSD_with_a_long_name_30c".parse().unwrap();
    for partition in &mut summary.partitions {
        partition.key.series.symbol = Symbol::clone(&name);
        if let PartitionOutcome::Published(published) = &mut partition.outcome {
            let gap = published.gaps[0];
            let of = |class| Gap { class, ..gap };
            published.gaps.extend((0..1_234).map(|_| of(GapClass::WithinPage)));
            published.gaps.push(of(GapClass::Unexplained));
            published.duplicates_removed = 12;
        }
    }
    summary
}
