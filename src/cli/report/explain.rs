//! Where one second comes from, as text: one sentence, then what it rests on.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::domain::{Epoch, GapClass, Kind};
use crate::integrity::Explanation;
use crate::integrity::explain::{PlacedRow, Row, Verdict, state_words};

use super::super::gate::stop_words;
use super::text::{counted, span, thousands};
use super::{escaped, write_findings};

/// Writes what there is to say.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, root: &Path, found: &Explanation) -> io::Result<()> {
    writeln!(out, "{}", escaped(&sentence(found)))?;
    writeln!(out)?;
    for (label, text) in lines(found) {
        writeln!(out, "  {label:10} {}", escaped(&text))?;
    }
    write_findings(out, root, &found.findings.iter().collect::<Vec<_>>())?;
    if !found.contradictions.is_empty() {
        writeln!(out, "\nthe archive contradicts itself here:")?;
        for contradiction in &found.contradictions {
            writeln!(out, "  {}", escaped(contradiction))?;
        }
        writeln!(out, "hint: `titan-download verify` checks the whole archive")?;
    }
    Ok(())
}

/// What is to be said, in one sentence.
pub fn sentence(found: &Explanation) -> String {
    let series = &found.series;
    let at = found.row_epoch;
    let gap = found.gap.map(|gap| format!("{} to {}", gap.start, gap.end)).unwrap_or_default();
    let covered = found.coverage.map(|c| format!("{} to {}", c.start, c.end)).unwrap_or_default();
    let no_row = match series.kind {
        Kind::Ticks => format!("no tick at {at}"),
        Kind::Candles(_) => format!("no candle that opens at {at}"),
    };
    let said = match found.verdict {
        Verdict::Row => match &found.row {
            Some(placed) => format!("{} at {at}", prices(&placed.row)),
            None => no_row,
        },
        Verdict::Silent => match found.cadence_secs {
            Some(secs) => {
                format!("{no_row}; the source answered for it, and has one every {secs} s")
            }
            None => format!("{no_row}; the source answered for it, and had none"),
        },
        Verdict::Gap(GapClass::MarketClosed) => {
            format!("{no_row}; the market was closed from {gap}")
        }
        Verdict::Gap(GapClass::WithinPage) => {
            format!("{no_row}; one answer of the source spans the silence from {gap}")
        }
        Verdict::Gap(GapClass::Silent) => format!(
            "{no_row}; the source answered twice with the silence from {gap}, and is asked once more when it is older"
        ),
        Verdict::Gap(GapClass::BeforeFirstRow) => {
            format!("{no_row}; the silence from {gap} is before the first row of the series")
        }
        Verdict::Gap(GapClass::ConfirmedBySource) => format!(
            "{no_row}; the source was asked again for the silence from {gap}, and had nothing again"
        ),
        Verdict::Gap(GapClass::Unexplained) => {
            format!("{no_row}; nothing explains the silence from {gap}")
        }
        Verdict::Failed => {
            format!("nothing is known of {at}; every attempt to ask for {covered} failed")
        }
        Verdict::NotOffered => format!(
            "nothing is known of {at}; the source no longer offered {covered} when it was asked"
        ),
        Verdict::NeverAsked => format!("nothing is known of {at}; nobody asked for it"),
        Verdict::Unknown => match found.contradictions.first() {
            Some(why) => format!("nothing can be said of {at}: {why}"),
            None => format!("nothing can be said of {at}"),
        },
    };
    format!("{series}: {said}")
}

fn lines(found: &Explanation) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut line = |label: &'static str, text: Option<String>| {
        lines.extend(text.map(|text| (label, text)));
    };
    let at = found.row_epoch;
    let distance = |other: Epoch| {
        let secs = other.since(at).unsigned_abs();
        match secs {
            0..120 => format!("{secs} s"),
            _ => span(Duration::from_secs(secs)),
        }
    };
    let neighbour = |placed: &PlacedRow, side: &str| {
        let row = &placed.row;
        format!("{} at {}, {} {side}", prices(row), row.epoch, distance(row.epoch))
    };
    line("before", found.before.as_ref().map(|placed| neighbour(placed, "earlier")));
    line("after", found.after.as_ref().map(|placed| neighbour(placed, "later")));
    for candle in &found.candles {
        let open = candle.open;
        let text = match &candle.row {
            Some(row) => format!("{} s from {open}: {}", candle.granularity, prices(row)),
            None => format!("{} s from {open}: none on disk", candle.granularity),
        };
        line("candle", Some(text));
    }
    line("coverage", Some(coverage(found)));
    line(
        "gap",
        found.gap.map(|gap| {
            let class = match gap.class {
                GapClass::MarketClosed => "market closed",
                GapClass::WithinPage => "within a page",
                GapClass::Silent => "silent, to be asked once more",
                GapClass::ConfirmedBySource => "confirmed by the source",
                GapClass::BeforeFirstRow => "before the first row",
                GapClass::Unexplained => "unexplained",
            };
            let n = match gap.class {
                // Nothing is missing where nothing was traded.
                GapClass::MarketClosed | GapClass::BeforeFirstRow => String::new(),
                _ => format!(", about {} missing", counted(gap.missing_estimate, "record")),
            };
            format!("{} to {}, {class}{n}", gap.start, gap.end)
        }),
    );
    line("file", Some(file(found)));
    line("day", day(found));
    line("series", Some(standing(found)));
    line("staged", staged(found));
    for path in &found.quarantine {
        line("set aside", Some(path.clone()));
    }
    let n = found.n_other_findings as u64;
    line("findings", (n > 0).then(|| format!("{} of the month about other times", thousands(n))));
    lines
}

/// `8123.45`, or `open 1.5, high 2, low 1, close 1.75`.
fn prices(row: &Row) -> String {
    match row.prices.as_slice() {
        [open, high, low, close] => format!("open {open}, high {high}, low {low}, close {close}"),
        prices => prices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn coverage(found: &Explanation) -> String {
    let Some(covered) = &found.coverage else { return "never asked".to_owned() };
    let state = state_words(covered.state);
    let range = format!("{state}, {} to {}", covered.start, covered.end);
    match (covered.asked_first, covered.asked_last) {
        (Some(first), Some(last)) if first != last => {
            format!("{range}, asked between {first} and {last}")
        }
        (Some(at), _) | (None, Some(at)) => format!("{range}, asked at {at}"),
        (None, None) => range,
    }
}

fn file(found: &Explanation) -> String {
    let partition = &found.partition;
    if !partition.exists {
        return match partition.path.is_empty() {
            true => "none: no month holds such a second".to_owned(),
            false => format!("{} is not there", partition.path),
        };
    }
    let mut parts = vec![partition.path.clone()];
    if let Some(placed) = &found.row {
        let n_groups = partition.row_groups;
        parts.push(format!("row group {} of {n_groups}", placed.row_group + 1));
    }
    parts.extend(partition.rows.map(|rows| counted(rows, "row")));
    parts.extend(partition.state.map(|state| super::status::state_word(state).to_owned()));
    parts.extend(partition.is_locked.then(|| "locked".to_owned()));
    parts.extend(partition.is_foreign.then(|| "written by another tool".to_owned()));
    parts.join(", ")
}

fn day(found: &Explanation) -> Option<String> {
    let is_proved = found.partition.day_is_proved?;
    let rows = counted(found.partition.day_rows, "row");
    let day = super::day_of(found.row_epoch);
    Some(match (is_proved, found.partition.day_rows) {
        (true, 0) => format!("{day} has no row, as the footer says"),
        (true, _) => format!("{day} has {rows}, which hash to what the footer promises"),
        (false, _) => format!("{day} has {rows}, which are not what the footer promises"),
    })
}

fn standing(found: &Explanation) -> String {
    let standing = &found.standing;
    let stopped = standing.stopped_by.as_ref().map(|stop| format!("; {}", stop_words(stop)));
    match (standing.first, standing.watermark) {
        (Some(first), Some(mark)) => {
            format!("proved from {first} through {mark}{}", stopped.unwrap_or_default())
        }
        _ => format!("proved for no second{}", stopped.unwrap_or_default()),
    }
}

fn staged(found: &Explanation) -> Option<String> {
    let staged = &found.staged;
    if let Some(why) = &staged.refused {
        return Some(format!("cannot be looked at: {why}"));
    }
    let span = staged.span()?;
    let covers = staged.ranges.iter().any(|range| range.contains(found.epoch));
    let holds = if covers { "one of them holds this second" } else { "none holds this second" };
    let n = counted(staged.n_segments, "segment");
    Some(format!("{n} between {} and {}, not published yet; {holds}", span.start(), span.end()))
}

#[cfg(test)]
mod tests;
