//! How complete each day is: one line a month, one letter a day. Pure.
//!
//! The letter carries the meaning; colour only repeats it.

use crate::domain::{Epoch, Month};
use crate::integrity::SeriesSurvey;
use crate::integrity::survey::days::{DayCell, cells};

use super::text::thousands;

/// What takes up the text: how wide a line may be, and whether it may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Canvas {
    /// Columns; `None` if nobody limits them.
    pub width: Option<usize>,
    /// Whether colours are seen.
    pub colours: bool,
}

/// Older months are left out; ten years fit.
const MOST_MONTHS: usize = 120;

/// `2026-03  `.
const MARGIN: usize = 9;
/// Columns of a whole month without anything behind it.
const WHOLE: usize = MARGIN + 31;
/// Columns of a whole month with its rows and state.
const WITH_REMARKS: usize = WHOLE + 26;
/// Days in the first line of a month that is cut in two.
const HALF: usize = 16;

/// What a letter means, in the order of the legend.
const LEGEND: [(DayCell, &str); 6] = [
    (DayCell::Full, "full"),
    (DayCell::Closed, "market closed"),
    (DayCell::Partial, "partial"),
    (DayCell::Missing, "missing"),
    (DayCell::NotOffered, "not offered"),
    (DayCell::Future, "future"),
];

/// The letter of a day.
pub fn letter(cell: DayCell) -> char {
    match cell {
        DayCell::Full => '#',
        DayCell::Closed => 'c',
        DayCell::Partial => '+',
        DayCell::Missing => 'x',
        DayCell::NotOffered => '-',
        DayCell::Future => '.',
    }
}

/// The colour of a letter on a terminal that has some, as it is put between `ESC[` and `m`.
fn colour(cell: DayCell) -> &'static str {
    match cell {
        DayCell::Full => "32",
        DayCell::Closed => "36",
        DayCell::Partial => "33",
        DayCell::Missing => "1;31",
        DayCell::NotOffered | DayCell::Future => "2",
    }
}

/// The days of each month from the first on disk to the last or to `now`, oldest first.
pub fn days(series: &SeriesSurvey, now: Epoch) -> Vec<(Month, Vec<DayCell>)> {
    let (Some(first), Some(last)) = (series.months.first(), series.months.last()) else {
        return Vec::new();
    };
    let last = Month::containing(now).map_or(last.month, |month| month.max(last.month));
    let mut months = Vec::new();
    let mut month = last;
    // Backward from the newest, so that a file of the year 1970 costs ten years and no more.
    while month >= first.month && months.len() < MOST_MONTHS {
        let partition = series.months.iter().find(|partition| partition.month == month);
        months.push((month, cells(month, partition, now)));
        let Some(before) = month.back(1) else { break };
        month = before;
    }
    months.reverse();
    months
}

/// The lines of the calendar, the legend last; none if there is no month.
pub fn lines(series: &SeriesSurvey, now: Epoch, canvas: Canvas) -> Vec<String> {
    let months = days(series, now);
    if months.is_empty() {
        return Vec::new();
    }
    let width = canvas.width.unwrap_or(usize::MAX);
    let mut lines = Vec::new();
    if series.months.first().is_some_and(|first| first.month < months[0].0) {
        lines.push(format!("{} older months are not shown", n_older(series, months[0].0)));
    }
    if width >= WHOLE {
        lines.push(format!("{:MARGIN$}1   5    10   15   20   25   30", ""));
    }
    for (month, cells) in &months {
        let per_line = if width >= WHOLE { cells.len() } else { HALF };
        for (index, part) in cells.chunks(per_line).enumerate() {
            let head = if index == 0 { month.to_string() } else { String::new() };
            let drawn: String = part.iter().map(|cell| painted(*cell, canvas.colours)).collect();
            let mut line = format!("{head:MARGIN$}{drawn}");
            if width >= WITH_REMARKS {
                let pad = " ".repeat(31 - cells.len().min(31));
                line.push_str(&format!("{pad}{}", remark(series, *month)));
            }
            line.truncate(line.trim_end().len());
            lines.push(line);
        }
    }
    lines.extend(legend(&months, width, canvas.colours));
    lines
}

fn n_older(series: &SeriesSurvey, first_shown: Month) -> usize {
    series.months.iter().filter(|partition| partition.month < first_shown).count()
}

fn painted(cell: DayCell, colours: bool) -> String {
    let letter = letter(cell);
    if colours { format!("\u{1b}[{}m{letter}\u{1b}[0m", colour(cell)) } else { letter.to_string() }
}

/// Rows and state of a month, or why nothing is believed of it.
fn remark(series: &SeriesSurvey, month: Month) -> String {
    let Some(partition) = series.months.iter().find(|partition| partition.month == month) else {
        return format!("  {:>12}", "no file");
    };
    match &partition.sidecar {
        None => "  cannot be relied on".to_owned(),
        Some(sidecar) => {
            let state = sidecar.state.map_or("foreign", super::status::state_word);
            let locked = if sidecar.locked { ", locked" } else { "" };
            format!("  {:>12}  {state}{locked}", thousands(sidecar.record_count))
        }
    }
}

/// The letters that occur, with their meaning, in lines that fit.
fn legend(months: &[(Month, Vec<DayCell>)], width: usize, colours: bool) -> Vec<String> {
    let occurs = |cell: &DayCell| months.iter().any(|(_, cells)| cells.contains(cell));
    let mut lines = vec![String::new()];
    let mut used = 0;
    for (cell, words) in LEGEND.iter().filter(|(cell, _)| occurs(cell)) {
        let needed = 2 + words.len() + 3;
        if used > 0 && used + needed > width {
            lines.push(String::new());
            used = 0;
        }
        used += needed;
        let line = lines.last_mut().expect("there is always a line");
        line.push_str(&format!("{} {words}   ", painted(*cell, colours)));
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}
