use crate::domain::{CoverageState, Epoch, Finding, FindingKind, Gap, Granularity, PartitionState};
use crate::format::{SidecarCoverage, Standing};
use crate::integrity::explain::{CandleAround, Partition};
use crate::integrity::survey::Staged;

use super::super::samples;
use super::*;

/// 2026-03-07T12:00:05Z.
const AT: i64 = 1_772_884_805;

fn at(after: i64) -> Epoch {
    Epoch::new(AT + after)
}

fn placed(after: i64, prices: &[f64]) -> PlacedRow {
    let row = Row { epoch: at(after), prices: prices.to_vec() };
    PlacedRow { row, month: "2026-03".parse().unwrap(), row_group: 4 }
}

/// A second of silence between two ticks, in an archive where all is well.
fn silent() -> Explanation {
    let series = samples::series(Kind::Ticks);
    let mut standing = Standing::of(&series, &[]);
    standing.first = Some(Epoch::new(1_772_323_200));
    standing.watermark = Some(Epoch::new(1_773_100_800));
    let coverage = SidecarCoverage {
        start: Epoch::new(1_772_323_200),
        end: Epoch::new(1_773_100_800),
        state: CoverageState::Answered,
        asked_first: Some(Epoch::new(1_773_000_000)),
        asked_last: Some(Epoch::new(1_773_100_800)),
    };
    let open = at(-5);
    let candle = Row { epoch: open, prices: vec![8121.5, 8125.0, 8120.25, 8123.45] };
    Explanation {
        series,
        epoch: at(0),
        row_epoch: at(0),
        verdict: Verdict::Silent,
        row: None,
        before: Some(placed(-1, &[8123.45])),
        after: Some(placed(1, &[8123.5])),
        cadence_secs: Some(2),
        coverage: Some(coverage),
        gap: None,
        partition: Partition {
            path: "R_100/ticks/2026-03.parquet".into(),
            exists: true,
            row_groups: 11,
            rows: Some(1_339_200),
            state: Some(PartitionState::Open),
            day_rows: 43_200,
            day_is_proved: Some(true),
            ..Partition::default()
        },
        standing,
        candles: vec![
            CandleAround { granularity: Granularity::MINUTE, open, row: Some(candle) },
            CandleAround { granularity: 3600.try_into().unwrap(), open, row: None },
        ],
        findings: Vec::new(),
        n_other_findings: 2,
        staged: Staged::default(),
        quarantine: Vec::new(),
        contradictions: Vec::new(),
    }
}

fn text(found: &Explanation) -> String {
    let mut out = Vec::new();
    write(&mut out, std::path::Path::new("data_cache"), found).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_second_of_silence() {
    insta::assert_snapshot!(text(&silent()));
}

#[test]
fn a_row_that_contradicts_itself() {
    let mut found = silent();
    found.verdict = Verdict::Row;
    found.row = Some(placed(0, &[8123.45]));
    found.partition.day_is_proved = Some(false);
    found.partition.is_locked = true;
    let finding = Finding::warning(FindingKind::ConflictingTick, at(0), "8123.45", "8123.46");
    found.findings.push(finding);
    found.staged.n_segments = 1;
    found.staged.ranges.insert(crate::domain::EpochRange::new(at(-9), at(9)).unwrap());
    found.quarantine.push(".titan/quarantine/R_100/ticks/2026-03.1.parquet.set-aside".into());
    found.contradictions.push("there is a row where the coverage says `failed`".into());
    insta::assert_snapshot!(text(&found));
}

#[test]
fn every_verdict_has_its_sentence() {
    let check = |change: &dyn Fn(&mut Explanation), expected: &str| {
        let mut found = silent();
        change(&mut found);
        assert_eq!(sentence(&found), format!("R_100 {expected}"));
    };
    let gap = |class| {
        move |found: &mut Explanation| {
            found.verdict = Verdict::Gap(class);
            found.gap = Some(Gap {
                start: at(-2),
                end: at(3),
                missing_estimate: 2,
                class,
                asked_first: None,
                asked_last: None,
            });
        }
    };
    let (from, none) =
        ("2026-03-07T12:00:03Z to 2026-03-07T12:00:08Z", "no tick at 2026-03-07T12:00:05Z");
    check(&|_| (), &format!("ticks: {none}; the source answered for it, and has one every 2 s"));
    check(
        &|found| found.cadence_secs = None,
        &format!("ticks: {none}; the source answered for it, and had none"),
    );
    check(
        &gap(GapClass::MarketClosed),
        &format!("ticks: {none}; the market was closed from {from}"),
    );
    check(
        &gap(GapClass::WithinPage),
        &format!("ticks: {none}; one answer of the source spans the silence from {from}"),
    );
    check(
        &gap(GapClass::ConfirmedBySource),
        &format!(
            "ticks: {none}; the source was asked again for the silence from {from}, and had nothing again"
        ),
    );
    check(
        &gap(GapClass::Unexplained),
        &format!("ticks: {none}; nothing explains the silence from {from}"),
    );
    let covered = "2026-03-01T00:00:00Z to 2026-03-10T00:00:00Z";
    let unknown = "ticks: nothing is known of 2026-03-07T12:00:05Z";
    check(
        &|found| found.verdict = Verdict::Failed,
        &format!("{unknown}; every attempt to ask for {covered} failed"),
    );
    check(
        &|found| found.verdict = Verdict::NotOffered,
        &format!("{unknown}; the source no longer offered {covered} when it was asked"),
    );
    check(&|found| found.verdict = Verdict::NeverAsked, &format!("{unknown}; nobody asked for it"));
    check(
        &|found| {
            found.verdict = Verdict::Unknown;
            found.contradictions = vec!["its sidecar is missing".into()];
        },
        "ticks: nothing can be said of 2026-03-07T12:00:05Z: its sidecar is missing",
    );
    check(
        &|found| {
            found.verdict = Verdict::Row;
            found.series = samples::series(Kind::Candles(Granularity::MINUTE));
            found.row_epoch = at(-5);
            found.row = Some(placed(-5, &[1.0, 2.0, 0.5, 1.5]));
        },
        "candles 60s: open 1, high 2, low 0.5, close 1.5 at 2026-03-07T12:00:00Z",
    );
}
