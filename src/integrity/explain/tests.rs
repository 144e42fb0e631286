use std::fs;

use crate::domain::{Candle, Coverage, FindingKind, StopReason};

use super::super::testing::{
    Archive, Sample, month, month_start, range, ticks_range, write_parquet,
};
use super::*;

fn ask(archive: &Archive, kind: Option<Kind>, epoch: Epoch) -> Explanation {
    let symbol = "R_100".parse().unwrap();
    explain(archive.root(), &Question { symbol, kind, epoch }).unwrap()
}

fn second(after: i64) -> Epoch {
    ticks_range().start().plus(after)
}

fn ticks() -> Archive {
    let archive = Archive::new();
    Sample::ticks().publish(&archive);
    archive
}

#[test]
fn a_row_has_its_place_and_its_proof() {
    let found = ask(&ticks(), None, second(20_000));
    assert_eq!(found.verdict, Verdict::Row);
    let row = found.row.unwrap();
    assert_eq!((row.row.epoch, row.month, row.row_group), (second(20_000), month(), 2));
    assert_eq!(found.before.unwrap().row.epoch, second(19_998));
    assert_eq!(found.partition.day_is_proved, Some(true));
    assert_eq!((found.cadence_secs, found.partition.row_groups), (Some(2), 5));
    assert_eq!(found.coverage.unwrap().state, CoverageState::Answered);
    assert!(found.contradictions.is_empty(), "{:?}", found.contradictions);
}

#[test]
fn silence_has_its_neighbours() {
    let found = ask(&ticks(), None, second(20_011));
    assert_eq!(found.verdict, Verdict::Silent);
    assert_eq!(found.row, None);
    let neighbours = (found.before.unwrap().row.epoch, found.after.unwrap().row.epoch);
    assert_eq!(neighbours, (second(20_010), second(20_012)));
}

#[test]
fn a_second_of_a_gap_is_of_its_class() {
    let archive = Archive::new();
    let mut sample = Sample::ticks();
    let (start, end) = (second(10_001), second(10_006));
    for class in [GapClass::Unexplained, GapClass::WithinPage, GapClass::MarketClosed] {
        sample.sidecar.gaps = vec![Gap {
            start,
            end,
            missing_estimate: 2,
            class,
            asked_first: None,
            asked_last: None,
        }];
        sample.publish(&archive);
        let found = ask(&archive, None, second(10_003));
        assert_eq!(found.verdict, Verdict::Gap(class));
        assert!(found.contradictions.is_empty(), "{:?}", found.contradictions);
        // The row that ends the gap is no longer in it.
        assert_eq!(ask(&archive, None, end).verdict, Verdict::Row);
    }
}

#[test]
fn what_was_not_answered_says_so() {
    let archive = Archive::new();
    let day = |n: i64| month_start() + n * 86_400;
    let mut coverage = Coverage::new();
    coverage.insert(ticks_range(), CoverageState::Answered);
    coverage.insert(range(month_start(), month_start() + 100), CoverageState::NotOffered);
    coverage.insert(range(day(5), day(6)), CoverageState::Failed);
    Sample::ticks().with_coverage(coverage).publish(&archive);
    let check = |epoch: i64, expected| {
        let found = ask(&archive, None, Epoch::new(epoch));
        assert_eq!(found.verdict, expected, "{epoch}");
        assert!(found.contradictions.is_empty(), "{:?}", found.contradictions);
        found
    };
    check(month_start() + 50, Verdict::NotOffered);
    check(day(5) + 50, Verdict::Failed);
    let never = check(day(9), Verdict::NeverAsked);
    assert_eq!(never.before.unwrap().row.epoch, ticks_range().last().plus(-1));
    assert_eq!(never.standing.stopped_by.map(|stop| stop.reason), Some(StopReason::NeverAsked));
    // A month without any file, and one before all others.
    let far = check(day(100), Verdict::NeverAsked);
    assert_eq!(far.before.unwrap().row.epoch, ticks_range().last().plus(-1));
    assert!(!far.partition.exists);
    assert_eq!(check(5, Verdict::NeverAsked).after.unwrap().row.epoch, second(0));
}

#[test]
fn a_candle_is_named_by_its_open_and_shown_around_a_tick() {
    let archive = ticks();
    Sample::<Candle>::candles().publish(&archive);
    let minute = Kind::Candles(Granularity::MINUTE);
    let open = Epoch::new(month_start() + 86_400 + 60);
    let found = ask(&archive, Some(minute), open.plus(59));
    assert_eq!((found.verdict, found.row_epoch), (Verdict::Row, open));
    assert_eq!(found.row.unwrap().row.prices.len(), 4);
    assert!(found.candles.is_empty());
    let tick = ask(&archive, None, open.plus(2));
    assert_eq!(tick.series.kind, Kind::Ticks);
    assert_eq!(tick.candles[0].row.as_ref().unwrap().epoch, open);
}

/// Each kind of contradiction is named.
#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn contradictions_are_named() {
    let check = |what: &str, spoil: &dyn Fn(&Archive, Sample<crate::domain::Tick>), part: &str| {
        let archive = Archive::new();
        spoil(&archive, Sample::ticks());
        let found = ask(&archive, None, second(20_000));
        assert!(
            found.contradictions.iter().any(|c| c.contains(part)),
            "{what}: {:?}",
            found.contradictions
        );
    };
    check(
        "a changed price",
        &|archive, mut sample| {
            sample.publish(archive);
            sample.rows[9_000].quote += 0.01;
            let path = archive.layout.parquet(&sample.key);
            write_parquet(&path, &sample.batch(), &sample.footer.to_pairs());
            let mut sidecar = sample.sidecar.clone();
            sidecar.file_size = Some(fs::metadata(path).unwrap().len());
            archive.write_sidecar(&sample.key, &sidecar);
        },
        "are not the",
    );
    check(
        "no sidecar",
        &|archive, sample| {
            sample.publish(archive);
            fs::remove_file(archive.layout.sidecar(&sample.key)).unwrap();
        },
        "sidecar is missing",
    );
    check(
        "no file",
        &|archive, sample| {
            sample.publish(archive);
            fs::remove_file(archive.layout.parquet(&sample.key)).unwrap();
        },
        "Parquet file is missing",
    );
    check(
        "a cut file",
        &|archive, sample| {
            sample.publish(archive);
            fs::write(archive.layout.parquet(&sample.key), "PAR1 no more").unwrap();
        },
        "unusable",
    );
    check(
        "a row that was never asked for",
        &|archive, sample| {
            let mut coverage = Coverage::new();
            coverage
                .insert(range(second(0).secs(), second(10_000).secs()), CoverageState::Answered);
            sample.with_coverage(coverage).publish(archive);
        },
        "never asked",
    );
    check(
        "a row in a gap",
        &|archive, mut sample| {
            let (start, end) = (second(19_000), second(21_000));
            let class = GapClass::WithinPage;
            sample.sidecar.gaps = vec![Gap {
                start,
                end,
                missing_estimate: 2,
                class,
                asked_first: None,
                asked_last: None,
            }];
            sample.publish(archive);
        },
        "inside the gap",
    );
    check(
        "another coverage in the sidecar",
        &|archive, mut sample| {
            sample.sidecar.coverage[0].end = sample.sidecar.coverage[0].end.plus(60);
            sample.publish(archive);
        },
        "different coverage",
    );
}

#[test]
fn findings_and_leftovers_are_told() {
    let archive = Archive::new();
    let mut sample = Sample::ticks();
    let about = |at: i64| Finding::warning(FindingKind::ConflictingTick, second(at), "1.5", "1.6");
    sample.sidecar.findings = vec![about(20_000), about(4), about(6)];
    sample.publish(&archive);
    let (start, end) = (second(0).secs(), second(40_000).secs());
    archive.write(&format!(".titan/staging/R_100/ticks/2026-03/{start}-{end}-a-1.segment"), "x");
    archive.write(".titan/quarantine/R_100/ticks/2026-03.1.parquet", "x");
    archive.write(".titan/quarantine/R_100/ticks/2026-04.1.parquet", "x");
    archive.write(".titan/quarantine/staging/R_100/ticks/2026-03/a.1.segment", "x");
    let found = ask(&archive, None, second(20_000));
    assert_eq!((found.findings.len(), found.n_other_findings), (1, 2));
    assert_eq!(found.staged.n_segments, 1);
    assert_eq!(
        found.quarantine,
        [
            ".titan/quarantine/R_100/ticks/2026-03.1.parquet",
            ".titan/quarantine/staging/R_100/ticks/2026-03/a.1.segment",
        ]
    );
}

#[test]
fn what_is_not_held_is_refused_with_what_is() {
    let archive = ticks();
    let ask = |symbol: &str, kind| {
        let question = Question { symbol: symbol.parse().unwrap(), kind, epoch: second(0) };
        explain(archive.root(), &question).unwrap_err()
    };
    let error = ask("R_50", None);
    assert_eq!((error.wanted.as_str(), error.held.len()), ("R_50", 1));
    let error = ask("R_100", Some(Kind::Candles(Granularity::MINUTE)));
    assert_eq!(error.wanted, "R_100 candles 60s");
}
