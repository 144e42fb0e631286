use crate::domain::{CoverageState, GapClass, Granularity, Kind, Month};
use crate::format::testing::{day, days, tell};
use crate::format::{MonthSeen, Sidecar, SidecarSeen, Standing};
use crate::integrity::survey::{MonthSurvey, Staged};

use super::super::samples;
use super::*;

type Facts<'a> = (&'a str, &'a [(f64, f64, CoverageState)], &'a [(f64, f64, GapClass)]);

fn month(kind: Kind, (name, covered, gaps): Facts<'_>) -> MonthSeen {
    let month: Month = name.parse().unwrap();
    let series = samples::series(kind);
    let text = r#"{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks",
        "granularity": null, "start_epoch": 0, "end_epoch": 0, "record_count": 43200,
        "gaps_detected": 0, "duplicates_removed": 0, "file_size": 94208, "format_version": 1,
        "created_at": "2026-03-10T00:00:00Z"}"#;
    let mut sidecar = Sidecar::from_json(text.as_bytes()).unwrap();
    sidecar.month = Some(name.to_owned());
    if let Kind::Candles(width) = series.kind {
        (sidecar.data_type, sidecar.granularity) = ("candles".to_owned(), Some(width.into()));
    }
    sidecar.state = Some(match month.range().contains(day(0.0)) {
        true => PartitionState::Open,
        false => PartitionState::Sealed,
    });
    tell(&mut sidecar, covered, gaps);
    let coverage = sidecar.coverage();
    let answered = coverage.select(|state| state == CoverageState::Answered);
    sidecar.start_epoch = answered.iter().next().unwrap().start().secs();
    sidecar.end_epoch = answered.iter().next_back().unwrap().last().secs();
    MonthSeen { month, sidecar: SidecarSeen::Read(Box::new(sidecar)), file_size: Some(94_208) }
}

fn series(kind: Kind, months: &[MonthSeen]) -> SeriesSurvey {
    let series = samples::series(kind);
    let standing = Standing::of(&series, months);
    let surveyed = |seen: &MonthSeen| MonthSurvey {
        month: seen.month,
        sidecar: seen.believed(&series).cloned().map(Box::new),
        problem: seen.problem(&series),
        file_size: seen.file_size,
    };
    let months = months.iter().map(surveyed).collect();
    SeriesSurvey { series, standing, months, staged: Staged::default() }
}

use CoverageState::{Answered, Failed, NotOffered};

/// February from behind the wall, March up to its tenth day with a hole and a closed week-end.
fn ticks() -> SeriesSurvey {
    let february =
        month(Kind::Ticks, ("2026-02", &[(-28.0, -20.5, NotOffered), (-20.5, 0.0, Answered)], &[]));
    let march = month(
        Kind::Ticks,
        (
            "2026-03",
            &[(0.0, 4.0, Answered), (4.0, 5.25, Failed), (5.25, 9.5, Answered)],
            &[(5.9, 8.1, GapClass::MarketClosed), (1.1, 1.2, GapClass::WithinPage)],
        ),
    );
    let mut series = series(Kind::Ticks, &[february, march]);
    series.staged.n_segments = 3;
    series.staged.ranges.insert(days(9.5, 9.75));
    series
}

fn candles() -> SeriesSurvey {
    let kind = Kind::Candles(Granularity::MINUTE);
    let mut broken = month(kind, ("2026-02", &[(-28.0, 0.0, Answered)], &[]));
    broken.file_size = Some(7);
    series(kind, &[broken, month(kind, ("2026-03", &[(0.0, 9.5, Answered)], &[]))])
}

fn text(
    series: Vec<SeriesSurvey>,
    calendar: bool,
    canvas: Canvas,
    shortfalls: Option<&[Shortfall]>,
) -> String {
    let survey = Survey { series, findings: Vec::new() };
    let root = Path::new("data_cache");
    let shown =
        Shown { root, survey: &survey, now: day(9.75), calendar, shortfalls, last_run: None };
    let mut out = Vec::new();
    write(&mut out, &shown, canvas).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn one_series_with_its_calendar() {
    insta::assert_snapshot!(text(vec![ticks()], false, Canvas::default(), None));
}

#[test]
fn several_series() {
    let short = Shortfall { what: "R_100 ticks".into(), reason: "is proved for no second".into() };
    let shortfalls = [short];
    let series = vec![ticks(), candles()];
    insta::assert_snapshot!(text(series, false, Canvas::default(), Some(&shortfalls)));
}

#[test]
fn an_empty_archive() {
    let shown = text(Vec::new(), false, Canvas::default(), None);
    assert_eq!(shown, "`data_cache`: 0 series, 0 months, 0 rows, 0 B\n");
}

/// No line is wider than the terminal, down to a width on which nobody works.
#[test]
fn narrow_terminals_are_kept_to() {
    for width in [30, 40, 60, 66, 80] {
        let canvas = Canvas { width: Some(width), colours: false };
        let lines = calendar::lines(&ticks(), day(9.75), canvas);
        for line in &lines {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        // However it is cut, every day is there.
        let letters: String = lines.iter().filter_map(|line| line.get(9..)).collect();
        let is_cut = width < 66;
        assert!(!is_cut || letters.contains("####x+cc#+....................."), "{letters}");
    }
    // Too narrow for a table: blocks, and still every series.
    let shown =
        text(vec![ticks(), candles()], false, Canvas { width: Some(80), colours: false }, None);
    assert!(
        shown.contains("\nR_100 ticks\n") && shown.contains("\nR_100 candles 60s\n"),
        "{shown}"
    );
}

/// Without its colours the calendar is the same text.
#[test]
fn colour_only_repeats_what_the_letters_say() {
    let plain = calendar::lines(&ticks(), day(9.75), Canvas::default());
    let canvas = Canvas { width: None, colours: true };
    let coloured = calendar::lines(&ticks(), day(9.75), canvas);
    assert_ne!(plain, coloured);
    let strip = |line: &String| {
        let mut text = String::new();
        for (index, piece) in line.split('\u{1b}').enumerate() {
            text.push_str(if index == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        text
    };
    assert_eq!(coloured.iter().map(strip).collect::<Vec<_>>(), plain);
}

/// A file of a strange year does not fill the terminal.
#[test]
fn a_calendar_is_never_endless() {
    let mut series = ticks();
    series.months[0].month = "1970-01".parse().unwrap();
    let lines = calendar::lines(&series, day(9.75), Canvas::default());
    assert!(lines.len() < 130, "{}", lines.len());
    assert!(lines[0].contains("1 older months are not shown"), "{}", lines[0]);
}
