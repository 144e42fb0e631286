use super::*;
use crate::domain::{Epoch, Series};
use crate::format::RowsDigests;
use crate::integrity::checks::rows::RowsSeen;

const MARCH: i64 = 1_772_323_200;

fn key(month: &str) -> PartitionKey {
    let series = Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks };
    PartitionKey { series, month: month.parse().unwrap() }
}

fn range(start: i64, end: i64) -> EpochRange {
    EpochRange::new(Epoch::new(MARCH + start), Epoch::new(MARCH + end)).unwrap()
}

fn day(date: &str, hash: &str) -> DayDigest {
    DayDigest { date: date.into(), rows: 1, rows_sha256: hash.into() }
}

/// One day of March, answered, whole.
fn whole() -> Examined {
    let days = vec![day("2026-03-01", "a")];
    let mut coverage = Coverage::new();
    coverage.insert(range(0, 86_400), CoverageState::Answered);
    let footer = Footer {
        key: key("2026-03"),
        pip_size: Some(2),
        coverage,
        record_count: 1,
        rows_sha256: "rows".into(),
        days: days.clone(),
    };
    let digests = RowsDigests { record_count: 1, rows_sha256: "rows".into(), days };
    let rows = RowsSeen {
        n_rows: 1,
        first: None,
        last: None,
        digests: Some(digests),
        wrong: RangeSet::new(),
    };
    Examined {
        footer: Some(footer),
        declared_rows: Some(1),
        rows: Some(rows),
        ..Examined::default()
    }
}

fn sidecar() -> Sidecar {
    let text = r#"{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks",
        "granularity": null, "start_epoch": 0, "end_epoch": 0, "record_count": 1,
        "gaps_detected": 0, "duplicates_removed": 0, "sha256": "file", "format_version": 1,
        "month": "2026-03", "rows_sha256": "rows",
        "coverage": [{"start": 1772323200, "end": 1772409600, "state": "answered",
            "asked_first": null, "asked_last": null}],
        "days": [{"date": "2026-03-01", "rows": 1, "rows_sha256": "a"}]}"#;
    Sidecar::from_json(text.as_bytes()).unwrap()
}

/// What is made of a file and a sidecar of which something of this kind is wrong.
fn found(
    examined: &Examined,
    sidecar: Option<&Sidecar>,
    has_said_hash: bool,
    broken: Option<FindingKind>,
) -> Evidence {
    let key = key("2026-03");
    let findings: Vec<_> =
        broken.map(|kind| Finding::error(kind, &key, "one", "another")).into_iter().collect();
    Looked {
        key: &key,
        examined,
        sidecar,
        is_sidecar_newer: false,
        has_said_hash,
        findings: &findings,
        contradicted: RangeSet::new(),
        is_deep: false,
    }
    .evidence()
}

#[test]
fn each_damage_has_its_remedy() {
    use FindingKind as K;
    let (file, said) = (whole(), sidecar());
    let remedy = |examined: &Examined, sidecar: Option<&Sidecar>, hash, broken| {
        found(examined, sidecar, hash, broken).remedy
    };
    let anew = Remedy::Rewrite { wrong: RangeSet::new() };
    assert_eq!(remedy(&file, Some(&said), true, None), Remedy::Keep);
    assert_eq!(remedy(&file, None, false, Some(K::SidecarMissing)), Remedy::RebuildSidecar);
    assert_eq!(remedy(&file, Some(&said), true, Some(K::IllegalState)), Remedy::RebuildSidecar);
    assert_eq!(remedy(&file, Some(&said), true, Some(K::CoverageMissing)), Remedy::Keep);
    // The same knowledge in other bytes.
    assert_eq!(remedy(&file, Some(&said), false, Some(K::FileHash)), anew);
    assert_eq!(remedy(&file, Some(&said), true, Some(K::FooterMismatch)), anew);
    // A sidecar of an older file of this partition is only stale.
    let stale = Sidecar { rows_sha256: Some("older".into()), ..sidecar() };
    assert_eq!(remedy(&file, Some(&stale), false, Some(K::FileHash)), Remedy::RebuildSidecar);
    let unreadable = Examined::default();
    assert_eq!(remedy(&unreadable, Some(&said), false, Some(K::Unreadable)), Remedy::Salvage);
    let mut other = whole();
    other.rows.as_mut().unwrap().n_rows = 2;
    assert_eq!(remedy(&other, Some(&said), false, Some(K::RecordCount)), Remedy::Salvage);
    let mut home = whole();
    home.footer.as_mut().unwrap().key = key("2026-02");
    let back = Remedy::Return(key("2026-02"));
    assert_eq!(remedy(&home, Some(&said), true, Some(K::FooterMismatch)), back);
}

#[test]
fn what_nobody_may_touch_is_left_alone() {
    let broken = Some(FindingKind::RowsHash);
    let locked = Sidecar { locked: true, ..sidecar() };
    let found_locked = found(&whole(), Some(&locked), true, broken);
    assert!(found_locked.is_locked && found_locked.remedy == Remedy::Keep);
    let newer = Sidecar { format_version: Some(99), ..sidecar() };
    assert!(matches!(found(&whole(), Some(&newer), true, broken).remedy, Remedy::Leave(_)));
    let foreign = Examined { is_foreign: true, footer: None, ..whole() };
    assert!(matches!(found(&foreign, None, false, broken).remedy, Remedy::Leave(_)));
    // With a sidecar of ours it is one of ours that lost its footer.
    assert_eq!(found(&foreign, Some(&sidecar()), false, broken).remedy, Remedy::Salvage);
}

#[test]
fn claims_count_as_far_as_file_and_sidecar_agree() {
    let mut overclaiming = whole();
    let coverage = &mut overclaiming.footer.as_mut().unwrap().coverage;
    coverage.insert(range(86_400, 90_000), CoverageState::Answered);
    let found = found(&overclaiming, Some(&sidecar()), true, Some(FindingKind::SidecarMismatch));
    assert_eq!(found.remedy, Remedy::Rewrite { wrong: RangeSet::new() });
    assert_eq!(found.coverage, Some(sidecar().coverage()));
}

#[test]
fn damaged_days_are_those_that_hash_to_something_else() {
    let mut damaged = whole();
    let footer = damaged.footer.as_mut().unwrap();
    footer.coverage.insert(range(86_400, 2 * 86_400), CoverageState::Answered);
    footer.days.push(day("2026-03-02", "b"));
    let digests = damaged.rows.as_mut().unwrap().digests.as_mut().unwrap();
    digests.days.push(day("2026-03-02", "other"));
    let found = found(&damaged, None, false, Some(FindingKind::RowsHash));
    let expected = Doubt { reason: AskReason::Damaged, range: range(86_400, 2 * 86_400) };
    assert_eq!((found.remedy, found.doubts), (Remedy::Salvage, vec![expected]));
}

#[test]
fn silence_that_the_sidecar_of_the_file_hides_is_asked() {
    let gap = |start, end| Gap {
        start: Epoch::new(MARCH + start),
        end: Epoch::new(MARCH + end),
        missing_estimate: 1,
        class: GapClass::WithinPage,
        asked_first: None,
        asked_last: None,
    };
    let silent = Examined { gaps: vec![gap(10, 20), gap(50, 60)], ..whole() };
    let listing = Sidecar { gaps: vec![gap(10, 20)], ..sidecar() };
    let mismatch = Some(FindingKind::SidecarMismatch);
    let doubts = found(&silent, Some(&listing), true, mismatch).doubts;
    assert_eq!(doubts, [Doubt { reason: AskReason::Silent, range: range(50, 60) }]);
    // Nothing is wrong, or the sidecar is that of another file: the list proves nothing.
    assert!(found(&silent, Some(&listing), true, None).doubts.is_empty());
    assert!(found(&silent, Some(&listing), false, mismatch).doubts.is_empty());
}
