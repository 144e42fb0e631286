//! The page as a whole, over archives that no download makes.

use serde_json::{Value, json};

use crate::domain::{Finding, FindingKind, Granularity, Kind, Series, Severity};
use crate::format::{MonthSeen, Sidecar, SidecarSeen, Standing};
use crate::integrity::survey::{MonthSurvey, Staged};
use crate::integrity::{MonthPrices, PriceSpan, SeriesSurvey};

use super::super::samples;
use super::*;

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;
const DAY: i64 = 86_400;

fn sidecar(change: impl Fn(&mut Value)) -> Sidecar {
    let mut value = json!({
        "schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks", "granularity": null,
        "start_epoch": START, "end_epoch": START + 2 * DAY - 1, "record_count": 2_000,
        "gaps_detected": 0, "duplicates_removed": 0, "format_version": 1, "month": "2026-03",
        "state": "settling", "file_size": 1,
        "coverage": [{ "start": START, "end": START + 2 * DAY, "state": "answered",
            "asked_first": null, "asked_last": null }],
        "days": [{ "date": "2026-03-01", "rows": 1_500, "rows_sha256": "" },
            { "date": "2026-03-02", "rows": 500, "rows_sha256": "" }],
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn found(sidecar: Option<Sidecar>) -> SeriesSurvey {
    let series = samples::series(Kind::Ticks);
    let month = "2026-03".parse().unwrap();
    let sidecar = sidecar.map(Box::new);
    let seen = sidecar.clone().map_or(SidecarSeen::Missing, SidecarSeen::Read);
    let seen = MonthSeen { month, sidecar: seen, file_size: Some(1) };
    let problem = seen.problem(&series);
    let standing = Standing::of(&series, &[seen]);
    let months = vec![MonthSurvey { month, sidecar, problem, file_size: Some(1) }];
    SeriesSurvey { series, standing, months, staged: Staged::default() }
}

/// The rows that the sidecar promises, in two steps.
fn held() -> MonthPrices {
    let span = |last| PriceSpan { low: last - 1.0, high: last + 1.0, last };
    MonthPrices {
        spans: [(START, span(5.0)), (START + 900, span(6.0))].into(),
        rows_by_day: [(START, 1_500), (START + DAY, 500)].into(),
        n_rows: 2_000,
        ..MonthPrices::default()
    }
}

fn course(found: &SeriesSurvey, held: &MonthPrices) -> Course {
    Course::of(found, Epoch::new(START + 5 * DAY), |_, _| Ok(held.clone()))
}

/// The page over one series, and what it calls problems.
fn made(
    found: SeriesSurvey,
    course: Course,
    runs: &Result<Vec<RunNote>, String>,
) -> (String, Vec<String>) {
    let survey = Survey { series: vec![found], findings: Vec::new() };
    let courses = [course];
    let facts = Facts {
        root: Path::new("data"),
        survey: &survey,
        courses: &courses,
        runs,
        is_invented: false,
        now: Epoch::new(START + 5 * DAY),
    };
    let problems = facts.problems().into_iter().map(|p| format!("{}: {}", p.what, p.why));
    let problems = problems.collect();
    let page = page(&facts).unwrap();
    assert!(page.as_bytes().starts_with(BEGINNING), "{}", &page[..80]);
    (page, problems)
}

fn made_of(sidecar: Sidecar, held: &MonthPrices) -> (String, Vec<String>) {
    let found = found(Some(sidecar));
    let course = course(&found, held);
    made(found, course, &Ok(Vec::new()))
}

#[track_caller]
fn assert_has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no `{part}` in\n{page}");
    }
}

#[test]
fn days_and_sums_are_those_of_the_sidecar() {
    let (page, problems) = made_of(sidecar(|_| ()), &held());
    assert_eq!(problems, [""; 0]);
    assert_has(
        &page,
        &[
            "title=\"2026-03-01: full, 1,500 rows\"",
            "title=\"2026-03-02: full, 500 rows\"",
            "title=\"2026-03-03: missing\"",
            "title=\"2026-03-31: still to come\"",
            "2026-03: 2 full, 3 missing, 26 still to come",
            "1 series in 1 month, 2,000 rows",
            "<b>2026-03-03 00:00</b>",
            "No run has said anything of itself",
        ],
    );
    assert!(!page.contains("id=\"problems\"") && !page.contains("id=\"invented\""));
    assert_eq!(page.matches("<svg").count(), 4);
    let again = made_of(sidecar(|_| ()), &held()).0;
    assert!(page == again, "the same archive gave another page");
}

#[test]
fn what_file_and_sidecar_say_differently_is_a_problem() {
    let check = |change: fn(&mut MonthPrices), expected: &str| {
        let mut other = held();
        change(&mut other);
        let (page, problems) = made_of(sidecar(|_| ()), &other);
        assert_eq!(problems, [format!("R_100 ticks 2026-03: {expected}")]);
        assert_has(&page, &["id=\"problems\"", expected, "<svg"]);
    };
    check(|held| held.n_rows = 1_999, "holds 1,999 rows, its sidecar says 2,000");
    check(|held| held.n_outside = 3, "holds 3 rows of other months");
    check(|held| held.n_unusable = 1, "holds 1 prices that cannot be");
    check(|held| held.n_unsorted = 7, "holds 7 rows out of order");
    let reversed = sidecar(|said| {
        said["start_epoch"] = i64::MAX.into();
        said["end_epoch"] = i64::MIN.into();
    });
    let (page, problems) = made_of(reversed, &held());
    let expected = "has rows, but its sidecar ends before it begins";
    assert_eq!(problems, [format!("R_100 ticks 2026-03: {expected}")]);
    assert_has(&page, &[expected, "<svg"]);
    check(
        |held| held.rows_by_day = [(START, 1_499), (START + DAY, 501)].into(),
        "holds 1,499 rows on 2026-03-01, its sidecar says 1,500",
    );
}

#[test]
fn what_cannot_be_read_is_named_and_no_empty_chart() {
    let lost = found(None);
    let none = course(&lost, &held());
    let (page, problems) = made(lost, none, &Err("says nothing".to_owned()));
    assert_eq!(
        problems,
        [
            "R_100 ticks 2026-03: cannot be relied on: its sidecar is missing",
            ".titan/last-run.json: says nothing"
        ]
    );
    assert_has(
        &page,
        &["No price can be drawn", "No rows are known", "cannot be read: says nothing"],
    );
    assert!(!page.contains("<svg"));
}

#[test]
fn long_lists_end_and_say_how_much_is_left() {
    let gap = |i: i64, class: &str| {
        json!({ "start": START + 100 * i, "end": START + 100 * i + i, "missing_estimate": i,
            "class": class })
    };
    let finding = |i: usize| {
        let made = if i == 39 { Finding::error } else { Finding::warning };
        made(FindingKind::RowsHash, format!("row {i}"), "calm", "a spike")
    };
    let (page, _) = made_of(
        sidecar(|value| {
            let mut gaps: Vec<_> = (1..=14).map(|i| gap(i, "within_page")).collect();
            gaps.extend((20..30).map(|i| gap(i, "market_closed")));
            value["gaps"] = gaps.into();
            value["findings"] = (0..40).map(|i| json!(finding(i))).collect();
        }),
        &held(),
    );
    assert_has(&page, &["And 4 more that are not longer.", "And 10 more, none of them graver."]);
    let largest = page.split("The largest, without closed markets").nth(1).unwrap();
    let lengths: Vec<_> = largest.split("<tr><td class=\"n\">").skip(1).take(10).collect();
    assert!(lengths[0].starts_with("14s") && lengths[9].starts_with("5s"), "{lengths:?}");
    let first = page.split("data-name=\"Severity\"").nth(1).unwrap();
    assert!(first.contains(">error<") && first.contains("row 39"), "{first}");
    // All of them are in the sums: 20 + … + 29 seconds, 29 the longest.
    assert_has(
        &page,
        &["<td class=\"n\">10</td><td class=\"n\">29s</td><td class=\"n\">4m 05s</td>"],
    );
}

/// Sidecars and runs are files that anybody may have written.
#[test]
fn no_number_is_too_large_and_no_text_becomes_markup() {
    const HOSTILE: &str = "<script>alert(1)</script>\" onload='x' \u{202e}\u{1b}[2J&amp;";
    let extreme = sidecar(|value| {
        value["record_count"] = u64::MAX.into();
        value["end_epoch"] = i64::MAX.into();
        value["created_at"] = HOSTILE.into();
        value["gaps"] = json!([
            { "start": i64::MIN, "end": i64::MAX, "missing_estimate": u64::MAX, "class": "unexplained" },
            { "start": START + 9, "end": START, "missing_estimate": u64::MAX, "class": "unexplained" },
        ]);
        let mut finding = Finding::error(FindingKind::Stranger, HOSTILE, HOSTILE, HOSTILE);
        finding.severity = Severity::Info;
        finding.old_advice = HOSTILE.repeat(100);
        value["findings"] = json!([finding]);
        value["days"][0]["rows"] = u64::MAX.into();
        value["days"][1]["date"] = HOSTILE.into();
    });
    let text = || HOSTILE.to_owned();
    let run = RunNote {
        command: text(),
        outcome: text(),
        started_at: text(),
        elapsed_secs: -1.0,
        waited_secs: f64::MAX,
        requests: u64::MAX,
        refusals: u64::MAX,
        ..RunNote::default()
    };
    let found = found(Some(extreme));
    let course = course(&found, &held());
    let (page, problems) = made(found, course, &Ok(vec![run; 200]));
    assert_eq!(problems.len(), 2, "{problems:?}");
    let lower = page.to_lowercase();
    for part in ["<script", "onload='", "\u{202e}", "\u{1b}"] {
        assert!(!lower.contains(part), "{part:?}");
    }
    assert_has(&page, &["&#60;script&#62;alert(1)", "\\u{202e}", "&#38;amp;"]);
    assert_eq!(page.matches("<tr><td>&#60;script").count(), 31);
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn a_series_without_months_has_no_charts() {
    let series =
        Series { kind: Kind::Candles(Granularity::MINUTE), ..samples::series(Kind::Ticks) };
    let standing = Standing::of(&series, &[]);
    let found = SeriesSurvey { series, standing, months: Vec::new(), staged: Staged::default() };
    let none = course(&found, &held());
    let (page, problems) = made(found, none, &Ok(Vec::new()));
    assert!(problems.is_empty());
    assert_has(&page, &["No month is published yet", "R_100 candles 60s", "<b>nothing</b>"]);
}
