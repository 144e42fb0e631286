//! The page as its template takes it: texts and lists, nothing left to decide.

use std::time::Duration;

use askama::Template;

use crate::domain::{Epoch, Place, Severity};
use crate::integrity::survey::days::DayCell;

use super::super::text::{counted, size, span, thousands};
use super::runs::RunsView;
use super::series::{FindingView, SeriesView};
use super::{Facts, Listed, Problem, n_months, n_rows, plain, utc};

/// Problems that are named; the others are counted.
const MOST_PROBLEMS: usize = 100;

/// Things beside the partitions that are named.
const MOST_STRANGERS: usize = 50;

/// The whole page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page {
    root: String,
    made_at: String,
    version: &'static str,
    is_invented: bool,
    lead: String,
    tiles: Vec<Tile>,
    problems: Listed<Problem>,
    legend: Vec<Legend>,
    series: Vec<SeriesView>,
    runs: RunsView,
    beside: Listed<FindingView>,
}

/// One number that matters.
struct Tile {
    name: &'static str,
    value: String,
    more: String,
    /// `good`, `warn`, `bad`, or nothing; a word says the same.
    class: &'static str,
}

/// What a cell of the calendar means.
struct Legend {
    class: &'static str,
    glyph: char,
    word: &'static str,
}

impl Page {
    /// Puts the page together.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let place = Place {
            root: Some(facts.root.to_owned()),
            is_demo: facts.is_invented,
            now: Some(facts.now),
        };
        let all = facts.survey.series.iter().zip(facts.courses);
        let all = all.enumerate().map(|(index, (found, course))| {
            SeriesView::of(found, course, &format!("series-{}", index + 1), facts.now, &place)
        });
        let beside = facts.survey.findings.iter().filter(|f| f.weight() != Severity::Error);
        let beside = beside.map(|finding| FindingView::of("", finding, &place)).collect();
        Self {
            root: plain(&facts.root.display().to_string()),
            made_at: utc(facts.now),
            version: env!("CARGO_PKG_VERSION"),
            is_invented: facts.is_invented,
            lead: lead(facts),
            tiles: tiles(facts),
            problems: Listed::new(facts.problems(), MOST_PROBLEMS),
            legend: CELLS
                .map(|cell| Legend { class: class(cell), glyph: glyph(cell), word: word(cell) })
                .into(),
            series: all.collect(),
            runs: RunsView::of(facts.runs),
            beside: Listed::new(beside, MOST_STRANGERS),
        }
    }
}

/// All that a day can be, in the order of the legend.
const CELLS: [DayCell; 6] = [
    DayCell::Full,
    DayCell::Closed,
    DayCell::Partial,
    DayCell::Missing,
    DayCell::NotOffered,
    DayCell::Future,
];

/// What a day is for the style sheet.
pub(super) fn class(cell: DayCell) -> &'static str {
    match cell {
        DayCell::Full => "f",
        DayCell::Closed => "c",
        DayCell::Partial => "p",
        DayCell::Missing => "m",
        DayCell::NotOffered => "n",
        DayCell::Future => "u",
    }
}

/// The sign of a day, which means the same without any colour.
pub(super) fn glyph(cell: DayCell) -> char {
    match cell {
        DayCell::Full => '■',
        DayCell::Closed => 'c',
        DayCell::Partial => '◧',
        DayCell::Missing => '×',
        DayCell::NotOffered => '–',
        DayCell::Future => '·',
    }
}

/// What a day is in words.
pub(super) fn word(cell: DayCell) -> &'static str {
    match cell {
        DayCell::Full => "full",
        DayCell::Closed => "market closed",
        DayCell::Partial => "partial",
        DayCell::Missing => "missing",
        DayCell::NotOffered => "not offered",
        DayCell::Future => "still to come",
    }
}

/// How long ago, or nothing if it lies ahead of this machine's clock.
pub(super) fn ago(then: Epoch, now: Epoch) -> String {
    u64::try_from(now.since(then)).map_or_else(
        |_| "ahead of this clock".to_owned(),
        |s| format!("{} ago", span(Duration::from_secs(s))),
    )
}

/// The archive in one sentence.
fn lead(facts: &Facts<'_>) -> String {
    let survey = facts.survey;
    let firsts = survey.series.iter().filter_map(|found| found.standing.first_row);
    let lasts = survey.series.iter().filter_map(|found| found.standing.last_row);
    let (n_series, n_months) = (survey.series.len(), counted(n_months(survey), "month"));
    let held = format!("{n_series} series in {n_months}, {} rows", thousands(n_rows(survey)));
    match firsts.min().zip(lasts.max()) {
        Some((first, last)) => format!("{held}, from {} to {}.", utc(first), utc(last)),
        None => format!("{held}."),
    }
}

fn tiles(facts: &Facts<'_>) -> Vec<Tile> {
    let series = &facts.survey.series;
    let sum = |of: fn(&crate::format::Standing) -> u64| {
        series.iter().fold(0_u64, |sum, found| sum.saturating_add(of(&found.standing)))
    };
    let unexplained = sum(|standing| standing.gaps.unexplained);
    let explained = sum(|s| {
        let gaps = s.gaps;
        let asked = gaps.silent + gaps.confirmed_by_source + gaps.within_page;
        asked + gaps.before_first_row + gaps.market_closed
    });
    let (errors, warnings) = (sum(|s| s.findings.error), sum(|s| s.findings.warning));
    let n_problems = facts.problems().len() as u64;
    let class = |n: u64, bad: &'static str| if n == 0 { "good" } else { bad };
    vec![
        proved(facts),
        Tile {
            name: "Rows",
            value: thousands(n_rows(facts.survey)),
            more: format!("{} of Parquet", size(sum(|standing| standing.bytes))),
            class: "",
        },
        Tile {
            name: "Unexplained gaps",
            value: thousands(unexplained),
            more: format!("{} explained", thousands(explained)),
            class: class(unexplained, "warn"),
        },
        Tile {
            name: "Findings",
            value: counted(errors, "error"),
            more: counted(warnings, "warning"),
            class: class(errors, "bad"),
        },
        Tile {
            name: "Unreadable",
            value: thousands(n_problems),
            more: if n_problems == 0 { "all of it was read" } else { "listed above" }.to_owned(),
            class: class(n_problems, "bad"),
        },
    ]
}

/// How far all series are proved: as far as the one that is proved the least.
fn proved(facts: &Facts<'_>) -> Tile {
    let series = &facts.survey.series;
    let marks = series.iter().map(|found| (found.standing.watermark, &found.series));
    let (value, more) = match marks.min_by_key(|(mark, _)| *mark) {
        None => ("nothing".to_owned(), String::new()),
        Some((None, of)) => ("nothing".to_owned(), format!("of {of}")),
        Some((Some(mark), of)) => {
            let ago = ago(mark, facts.now);
            let least = if series.len() > 1 { format!(", {of} the least") } else { String::new() };
            let value = mark.to_utc().map(|utc| utc.format("%F %H:%M").to_string());
            (value.unwrap_or_else(|| mark.to_string()), format!("UTC, {ago}{least}"))
        }
    };
    let class = if value == "nothing" { "bad" } else { "" };
    Tile { name: "All proved through", value, more, class }
}
