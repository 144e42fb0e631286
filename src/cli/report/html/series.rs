//! One series of the page: how far it is proved, its calendar, charts, gaps and findings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{Epoch, EpochRange, Finding, Gap, GapClass, Month, Place};
use crate::integrity::SeriesSurvey;
use crate::integrity::survey::MonthSurvey;
use crate::integrity::survey::days::DayCell;

use super::super::status::{finding_words, gap_words, remarks, state_word, states};
use super::super::text::{size, span, thousands};
use super::charts::{self, Pair};
use super::course::Course;
use super::model::{ago, class, glyph, word};
use super::{Listed, plain, utc};

const DAY: i64 = 86_400;

/// Gaps that are named; the classes count all of them.
const MOST_GAPS: usize = 10;

/// Findings of a series that are named.
const MOST_FINDINGS: usize = 30;

/// Stands where there is nothing to say.
const NOTHING: &str = "–";

/// One series.
pub(super) struct SeriesView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) n_months: usize,
    pub(super) rows: String,
    pub(super) size: String,
    pub(super) watermark: String,
    pub(super) age: String,
    pub(super) states: String,
    pub(super) gaps: String,
    pub(super) findings: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) notes: Vec<String>,
    pub(super) n_older: usize,
    pub(super) calendar: Vec<MonthView>,
    pub(super) prices: Option<Pair>,
    pub(super) prices_say: String,
    pub(super) prices_say_narrow: String,
    pub(super) day_rows: Option<Pair>,
    pub(super) day_rows_say: String,
    pub(super) day_rows_say_narrow: String,
    pub(super) gap_classes: Vec<GapClassView>,
    pub(super) largest: Listed<GapView>,
    pub(super) found: Listed<FindingView>,
}

/// One month of the calendar.
pub(super) struct MonthView {
    pub(super) month: String,
    pub(super) cells: Vec<CellView>,
    /// The cells in one sentence.
    pub(super) sum: String,
    pub(super) rows: String,
    pub(super) size: String,
    pub(super) state: String,
    pub(super) gaps: String,
    pub(super) published: String,
}

/// One day of the calendar.
pub(super) struct CellView {
    pub(super) class: &'static str,
    pub(super) glyph: char,
    pub(super) title: String,
}

/// All gaps of one class.
pub(super) struct GapClassView {
    pub(super) name: &'static str,
    pub(super) means: &'static str,
    pub(super) n_gaps: String,
    pub(super) longest: String,
    pub(super) total: String,
    pub(super) missing: String,
}

/// One gap.
pub(super) struct GapView {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) length: String,
    pub(super) missing: String,
    pub(super) class: &'static str,
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FindingView {
    pub(super) severity: &'static str,
    pub(super) kind: String,
    pub(super) month: String,
    pub(super) subject: String,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) repair: String,
}

impl SeriesView {
    pub(super) fn of(
        found: &SeriesSurvey,
        course: &Course,
        id: &str,
        now: Epoch,
        place: &Place,
    ) -> Self {
        let standing = &found.standing;
        let mark = standing.watermark;
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let gaps: Vec<&Gap> = found.months.iter().flat_map(MonthSurvey::gaps).collect();
        let first_shown = course.days.first().map(|(month, _)| *month);
        let (say, say_narrow) = day_rows_say(course.window);
        let (step, step_narrow) = charts::price_steps(&course.spans, course.step_secs);
        Self {
            id: id.to_owned(),
            name: found.series.to_string(),
            n_months: found.months.len(),
            rows: thousands(standing.rows),
            size: size(standing.bytes),
            watermark: or_nothing(mark.map(utc)),
            age: or_nothing(mark.map(|mark| ago(mark, now))),
            states: or_nothing(states(found)),
            gaps: or_nothing(gap_words(standing.gaps)),
            findings: or_nothing(finding_words(standing.findings)),
            facts: facts(found, now),
            notes: remarks(found, place).iter().map(|note| plain(note)).collect(),
            n_older: found.months.iter().filter(|m| Some(m.month) < first_shown).count(),
            calendar: calendar(found, course),
            prices: course.window.and_then(|w| charts::prices(&course.spans, course.step_secs, w)),
            prices_say: prices_say(step),
            prices_say_narrow: prices_say(step_narrow),
            day_rows: course.window.and_then(|w| charts::rows(&course.rows_by_day, w)),
            day_rows_say: say,
            day_rows_say_narrow: say_narrow,
            gap_classes: gap_classes(&gaps),
            largest: largest(&gaps),
            found: findings(found, place),
        }
    }
}

fn facts(found: &SeriesSurvey, now: Epoch) -> Vec<(&'static str, String)> {
    let standing = &found.standing;
    let mut facts = Vec::new();
    let proved = standing
        .first
        .zip(standing.watermark)
        .map(|(first, mark)| format!("{} to {}, {}", utc(first), utc(mark), ago(mark, now)));
    facts.push(("Proved", proved.unwrap_or_else(|| "nothing".to_owned())));
    let ends = standing.first_row.zip(standing.last_row);
    let rows = format!("{} in {}", thousands(standing.rows), size(standing.bytes));
    facts.push(("Rows", rows));
    facts.extend(
        ends.map(|(first, last)| ("First to last row", format!("{} to {}", utc(first), utc(last)))),
    );
    facts.extend(states(found).map(|states| ("Months", states)));
    let decimals = found.months.iter().rev().find_map(|m| m.sidecar.as_ref()?.pip_size);
    facts.extend(decimals.map(|decimals| ("Decimals", decimals.to_string())));
    let published = standing.published_at.map(utc);
    facts.extend(published.map(|at| ("Published", at)));
    facts
}

fn calendar(found: &SeriesSurvey, course: &Course) -> Vec<MonthView> {
    let view = |(month, cells): &(Month, Vec<DayCell>)| {
        let survey = found.months.iter().find(|survey| survey.month == *month);
        let sidecar = survey.and_then(|survey| survey.sidecar.as_ref());
        let text = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let state = match survey {
            None => Some("not there".to_owned()),
            Some(survey) if survey.problem.is_some() => Some("unreadable".to_owned()),
            Some(_) => sidecar.and_then(|s| s.state).map(|state| state_word(state).to_owned()),
        };
        let n_gaps = survey.map(|survey| thousands(survey.gaps().len() as u64));
        let published = sidecar.and_then(|sidecar| sidecar.created_at.as_deref()).map(plain);
        MonthView {
            month: month.to_string(),
            cells: day_cells(*month, cells, &course.rows_by_day),
            sum: sum(*month, cells),
            rows: text(sidecar.map(|sidecar| thousands(sidecar.record_count))),
            size: text(survey.and_then(|survey| survey.file_size).map(size)),
            state: text(state),
            gaps: text(n_gaps),
            published: text(published),
        }
    };
    course.days.iter().map(view).collect()
}

fn day_cells(month: Month, cells: &[DayCell], rows_by_day: &BTreeMap<i64, u64>) -> Vec<CellView> {
    let midnights = (0..).map(|day| month.range().start().plus(day * DAY));
    let view = |(cell, midnight): (&DayCell, Epoch)| {
        let rows = match rows_by_day.get(&midnight.secs()) {
            Some(1) => ", 1 row".to_owned(),
            Some(rows) => format!(", {} rows", thousands(*rows)),
            None => String::new(),
        };
        let title = format!("{}: {}{rows}", super::day(midnight), word(*cell));
        CellView { class: class(*cell), glyph: glyph(*cell), title }
    };
    cells.iter().zip(midnights).map(view).collect()
}

/// `2026-03: 29 full, 2 missing`.
fn sum(month: Month, cells: &[DayCell]) -> String {
    let mut counts: BTreeMap<DayCell, usize> = BTreeMap::new();
    for cell in cells {
        *counts.entry(*cell).or_default() += 1;
    }
    let words: Vec<_> = counts.iter().map(|(cell, n)| format!("{n} {}", word(*cell))).collect();
    format!("{month}: {}", words.join(", "))
}

fn prices_say(step_secs: i64) -> String {
    let each = match step_secs {
        60 => "minute".to_owned(),
        3_600 => "hour".to_owned(),
        DAY => "day".to_owned(),
        secs if secs % DAY == 0 => format!("{} days", secs / DAY),
        secs if secs % 3_600 == 0 => format!("{} hours", secs / 3_600),
        secs => format!("{} minutes", secs / 60),
    };
    format!("Last price of each {each}; the band reaches from the lowest to the highest. UTC.")
}

/// What a bar is, on a wide page and on a narrow one.
fn day_rows_say(window: Option<EpochRange>) -> (String, String) {
    let say = |n_days| match n_days {
        1 => "One bar a day, UTC.".to_owned(),
        n => format!("One bar for {n} days: their mean, UTC."),
    };
    let (wide, narrow) = window.map_or((1, 1), charts::days_in_bars);
    (say(wide), say(narrow))
}

/// The classes, what needs a look first.
const CLASSES: [(GapClass, &str, &str); 6] = [
    (GapClass::Unexplained, "unexplained", "nothing says why"),
    (GapClass::Silent, "silent", "asked twice in one run, and once more when it is older"),
    (GapClass::ConfirmedBySource, "confirmed by the source", "asked again by itself, and silent"),
    (GapClass::WithinPage, "within a page", "inside one well-formed answer"),
    (GapClass::BeforeFirstRow, "before the first row", "the series had not begun"),
    (GapClass::MarketClosed, "market closed", "week-ends and pauses between sessions"),
];

fn class_name(class: GapClass) -> &'static str {
    CLASSES.iter().find(|(of, _, _)| *of == class).map_or("", |(_, name, _)| name)
}

fn length(gap: &Gap) -> u64 {
    u64::try_from(gap.end.since(gap.start)).unwrap_or(0)
}

fn secs(secs: u64) -> String {
    if secs < 60 { format!("{secs}s") } else { span(Duration::from_secs(secs)) }
}

fn gap_classes(gaps: &[&Gap]) -> Vec<GapClassView> {
    let view = |(class, name, means)| {
        let of_class: Vec<_> = gaps.iter().filter(|gap| gap.class == class).collect();
        let sum = |of: &dyn Fn(&Gap) -> u64| {
            of_class.iter().fold(0_u64, |sum, gap| sum.saturating_add(of(gap)))
        };
        let longest = of_class.iter().map(|gap| length(gap)).max();
        longest.map(|longest| GapClassView {
            name,
            means,
            n_gaps: thousands(of_class.len() as u64),
            longest: secs(longest),
            total: secs(sum(&length)),
            missing: thousands(sum(&|gap| gap.missing_estimate)),
        })
    };
    CLASSES.into_iter().filter_map(view).collect()
}

/// When a gap ended; of one within a day the time alone.
fn end(gap: &Gap) -> String {
    let (day, whole) = (super::day(gap.start), utc(gap.end));
    whole.strip_prefix(&format!("{day} ")).map_or_else(|| whole.clone(), str::to_owned)
}

/// The largest gaps that opening hours do not explain.
fn largest(gaps: &[&Gap]) -> Listed<GapView> {
    let is_open =
        |gap: &&&Gap| !matches!(gap.class, GapClass::MarketClosed | GapClass::BeforeFirstRow);
    let mut open: Vec<&Gap> = gaps.iter().filter(is_open).copied().collect();
    open.sort_by_key(|gap| (std::cmp::Reverse(length(gap)), gap.start));
    let view = |gap: &Gap| GapView {
        start: utc(gap.start),
        end: end(gap),
        length: secs(length(gap)),
        missing: thousands(gap.missing_estimate),
        class: class_name(gap.class),
    };
    let n_more = open.len().saturating_sub(MOST_GAPS);
    let shown = open.into_iter().take(MOST_GAPS).map(view).collect();
    Listed { shown, n_more }
}

fn findings(found: &SeriesSurvey, place: &Place) -> Listed<FindingView> {
    let of_month = |month: &'_ MonthSurvey| {
        let name = month.month.to_string();
        let findings = month.sidecar.iter().flat_map(|sidecar| sidecar.findings.clone());
        findings.map(|finding| (name.clone(), finding)).collect::<Vec<_>>()
    };
    let mut all: Vec<(String, Finding)> = found.months.iter().flat_map(of_month).collect();
    all.sort_by_key(|(month, finding)| (std::cmp::Reverse(finding.weight()), month.clone()));
    let n_more = all.len().saturating_sub(MOST_FINDINGS);
    let shown = all.iter().take(MOST_FINDINGS);
    let shown = shown.map(|(month, finding)| FindingView::of(month, finding, place)).collect();
    Listed { shown, n_more }
}

impl FindingView {
    pub(super) fn of(month: &str, finding: &Finding, place: &Place) -> Self {
        Self {
            severity: finding.weight().word(),
            kind: finding.kind.to_string().replace('_', " "),
            month: month.to_owned(),
            subject: plain(&finding.subject),
            expected: plain(&finding.expected),
            found: plain(&finding.found),
            repair: plain(&finding.repair(place)),
        }
    }
}
