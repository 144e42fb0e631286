use crate::domain::{Finding, FindingKind, Gap, StopReason};

use super::super::SidecarCoverage;
use super::*;

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;

fn series() -> Series {
    Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks }
}

fn month() -> Month {
    "2026-03".parse().unwrap()
}

fn covered(start: i64, end: i64, state: CoverageState) -> SidecarCoverage {
    let (start, end) = (Epoch::new(START + start), Epoch::new(START + end));
    SidecarCoverage { start, end, state, asked_first: None, asked_last: None }
}

/// A sound partition: the first thousand seconds of March, answered.
fn sidecar() -> Sidecar {
    let text = r#"{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks",
        "granularity": null, "start_epoch": 1772323200, "end_epoch": 1772324198,
        "record_count": 500, "gaps_detected": 0, "duplicates_removed": 0, "file_size": 100,
        "created_at": "2026-03-02T00:00:00Z", "format_version": 1, "state": "open",
        "month": "2026-03"}"#;
    let mut sidecar = Sidecar::from_json(text.as_bytes()).unwrap();
    sidecar.coverage = vec![covered(0, 1000, CoverageState::Answered)];
    sidecar
}

fn seen(sidecar: Sidecar) -> MonthSeen {
    let sidecar = SidecarSeen::Read(Box::new(sidecar));
    MonthSeen { month: month(), sidecar, file_size: Some(100) }
}

fn standing(change: impl FnOnce(&mut Sidecar)) -> Standing {
    let mut sidecar = sidecar();
    change(&mut sidecar);
    Standing::of(&series(), &[seen(sidecar)])
}

#[test]
fn a_sound_partition_counts() {
    let standing = standing(|sidecar| {
        sidecar.locked = true;
        sidecar.findings = vec![Finding::warning(FindingKind::OffGrid, "a", "b", "c")];
        let class = GapClass::WithinPage;
        let (start, end) = (Epoch::new(START + 10), Epoch::new(START + 20));
        sidecar.gaps = vec![Gap {
            start,
            end,
            missing_estimate: 1,
            class,
            asked_first: None,
            asked_last: None,
        }];
    });
    assert_eq!(standing.watermark, Some(Epoch::new(START + 1000)));
    assert_eq!(standing.first, Some(Epoch::new(START)));
    assert_eq!(standing.stopped_by, None);
    assert_eq!((standing.rows, standing.bytes, standing.locked), (500, 100, 1));
    assert_eq!(standing.last_row, Some(Epoch::new(START + 998)));
    assert_eq!((standing.state.open, standing.state.unknown), (1, 0));
    assert_eq!((standing.gaps.within_page, standing.findings.warning), (1, 1));
    assert_eq!(
        standing.published_at.map(|at| at.to_string()).as_deref(),
        Some("2026-03-02T00:00:00Z")
    );
}

#[test]
fn an_unexplained_gap_stops_the_watermark() {
    let standing = standing(|sidecar| {
        let (start, end) = (Epoch::new(START + 10), Epoch::new(START + 20));
        let class = GapClass::Unexplained;
        sidecar.gaps = vec![Gap {
            start,
            end,
            missing_estimate: 1,
            class,
            asked_first: None,
            asked_last: None,
        }];
    });
    assert_eq!(standing.watermark, Some(Epoch::new(START + 10)));
    assert_eq!(standing.stopped_by.map(|stop| stop.reason), Some(StopReason::UnexplainedGap));
}

/// What cannot be believed proves nothing, and says why.
#[test]
fn what_cannot_be_believed_proves_nothing() {
    let check = |month: &MonthSeen, part: &str| {
        let problem = month.problem(&series()).unwrap_or_default();
        assert!(problem.contains(part), "{part}: {problem}");
        let standing = Standing::of(&series(), std::slice::from_ref(month));
        assert_eq!(standing.watermark, None, "{part}");
        assert_eq!(standing.problems.len(), 1, "{part}");
        assert_eq!((standing.state.unknown, standing.rows), (1, 0), "{part}");
    };
    let sound = seen(sidecar());
    assert_eq!(sound.problem(&series()), None);
    check(&MonthSeen { sidecar: SidecarSeen::Missing, ..sound.clone() }, "sidecar is missing");
    let unreadable = SidecarSeen::Unreadable("no JSON".to_owned());
    check(&MonthSeen { sidecar: unreadable, ..sound.clone() }, "no JSON");
    check(&MonthSeen { file_size: None, ..sound.clone() }, "Parquet file is missing");
    check(&MonthSeen { file_size: Some(99), ..sound }, "has 99 bytes, its sidecar says 100");
    let changed = |change: fn(&mut Sidecar)| {
        let mut sidecar = sidecar();
        change(&mut sidecar);
        seen(sidecar)
    };
    check(&changed(|s| s.symbol = "R_50".parse().unwrap()), "another partition");
    check(&changed(|s| s.data_type = "candles".to_owned()), "another partition");
    check(&changed(|s| s.granularity = Some(60)), "another partition");
    check(&changed(|s| s.month = Some("2026-04".to_owned())), "another partition");
    check(&changed(|s| s.month = None), "another partition");
    check(&changed(|s| s.format_version = Some(99)), "newer format version 99");
    check(&changed(|s| s.file_size = None), "how large");
    check(&changed(|s| s.record_count = u64::MAX), "no month has so many seconds");
    check(&changed(|s| s.start_epoch = i64::MIN), "rows outside its month");
    check(&changed(|s| s.end_epoch = i64::MAX), "rows outside its month");
}

/// Rows of another tool are there, but nobody proved them.
#[test]
fn rows_of_another_tool_are_shown_and_not_proved() {
    let standing = standing(|sidecar| {
        (sidecar.format_version, sidecar.state, sidecar.month) = (None, None, None);
        (sidecar.file_size, sidecar.coverage) = (None, Vec::new());
    });
    assert_eq!(standing.watermark, None);
    assert_eq!((standing.rows, standing.foreign, standing.problems.len()), (500, 1, 0));
    assert_eq!(standing.stopped_by.map(|stop| stop.start), Some(Epoch::new(START)));
}

#[test]
fn the_file_says_when_the_newest_was_published_and_reads_back() {
    let mut file = WatermarkFile::default();
    file.set(&series(), standing(|_| ()));
    let other = Series { symbol: "R_50".parse().unwrap(), kind: Kind::Ticks };
    file.set(&other, standing(|s| s.created_at = Some("2026-03-05T01:02:03Z".to_owned())));
    assert_eq!(file.updated_at.as_deref(), Some("2026-03-05T01:02:03Z"));
    assert_eq!(WatermarkFile::from_json(&file.to_json()), Ok(file.clone()));
    file.set(&other, Standing::of(&other, &[]));
    assert_eq!(file.updated_at.as_deref(), Some("2026-03-02T00:00:00Z"));
    assert_eq!(file.series.keys().collect::<Vec<_>>(), ["R_100/ticks"]);
    file.format_version = 2;
    assert!(WatermarkFile::from_json(&file.to_json()).is_err());
    assert!(WatermarkFile::from_json(b"{").is_err());
}
