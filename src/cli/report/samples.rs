//! Summaries and plans for tests.

use std::time::Duration;

use crate::domain::{
    Coverage, CoverageState, Defect, DefectCounts, Epoch, EpochRange, Finding, FindingKind, Gap,
    GapClass, Granularity, Kind, Month, PartitionKey, PartitionState, Published, RangeSet, Series,
};
use crate::download::{
    Ending, PartitionOutcome, PartitionSummary, Plan, PlannedPartition, Summary,
};

use super::super::exit::ExitCode;
use super::{RunFacts, Traffic, Walls};

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
        n_bytes: 25_444_800,
        free_bytes: Some(50 << 30),
    }
}
