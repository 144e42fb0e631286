//! How an archive stands, as text: a table of all series, or a block and a calendar for each.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::domain::{Epoch, PartitionKey, PartitionState, Place};
use crate::format::standing::{FindingCounts, GapCounts};
use crate::integrity::{SeriesSurvey, Survey};

use super::super::gate::{Shortfall, stop_words};
use super::super::record::RunNote;
use super::calendar::{self, Canvas};
use super::summary::open_restatements;
use super::text::{Align, Table, counted, size, span, thousands};
use super::{escaped, write_findings};

/// Stands where there is nothing to say.
const NOTHING: &str = "-";

/// Everything that is shown.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    /// Folder of the archive.
    pub root: &'a Path,
    /// What was found.
    pub survey: &'a Survey,
    /// Now, by this machine.
    pub now: Epoch,
    /// Whether the calendar was asked for.
    pub calendar: bool,
    /// What falls short; `None` if nothing was required.
    pub shortfalls: Option<&'a [Shortfall]>,
    /// How the run that started last goes or went, if it said so.
    pub last_run: Option<&'a RunNote>,
}

/// The word of the sidecar.
pub(super) fn state_word(state: PartitionState) -> &'static str {
    match state {
        PartitionState::Open => "open",
        PartitionState::Settling => "settling",
        PartitionState::Sealed => "sealed",
    }
}

/// Writes how the archive stands.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, shown: &Shown<'_>, canvas: Canvas) -> io::Result<()> {
    let survey = shown.survey;
    write_total(out, shown)?;
    if let Some(run) = shown.last_run {
        writeln!(out, "{}", escaped(&last_run(run)))?;
    }
    let table = table(shown);
    let width = table.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let fits = canvas.width.is_none_or(|columns| width <= columns);
    let wants_blocks = shown.calendar || survey.series.len() == 1 || !fits;
    if !wants_blocks && !survey.series.is_empty() {
        writeln!(out)?;
        for line in table {
            writeln!(out, "{line}")?;
        }
    }
    for series in &survey.series {
        if wants_blocks {
            write_block(out, series, shown, canvas)?;
        }
    }
    if !wants_blocks {
        write_notes(out, survey, &super::place(shown.root))?;
    }
    write_findings(out, shown.root, &survey.findings.iter().collect::<Vec<_>>())?;
    write_shortfalls(out, shown)
}

/// `last run: interrupted, exit code 130, ended 2026-11-22T19:44:48Z`
fn last_run(run: &RunNote) -> String {
    let RunNote { outcome, exit_code, ended_at, started_at, updated_at, pid, host, .. } = run;
    let words = outcome.replace('_', " ");
    match (exit_code, ended_at) {
        (Some(code), Some(at)) => format!("last run: {words}, exit code {code}, ended {at}"),
        (None, Some(at)) => format!("last run: {words}, last seen {at}"),
        _ => format!(
            "last run: {words} since {started_at}, process {pid} on `{host}`, last seen {updated_at}"
        ),
    }
}

/// Writes only what falls short.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write_shortfalls(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    let Some(shortfalls) = shown.shortfalls else { return Ok(()) };
    if shortfalls.is_empty() {
        return writeln!(out, "\nproved as far as required");
    }
    writeln!(out, "\nnot proved as far as required:")?;
    for Shortfall { what, reason } in shortfalls {
        writeln!(out, "  {} {}", escaped(what), escaped(reason))?;
    }
    Ok(())
}

fn write_total(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    let series = &shown.survey.series;
    let sum = |of: fn(&SeriesSurvey) -> u64| series.iter().map(of).sum::<u64>();
    writeln!(
        out,
        "`{}`: {} series, {}, {}, {}",
        escaped(&shown.root.display().to_string()),
        series.len(),
        counted(sum(|found| found.months.len() as u64), "month"),
        counted(sum(|found| found.standing.rows), "row"),
        size(sum(|found| found.standing.bytes)),
    )
}

fn table(shown: &Shown<'_>) -> Vec<String> {
    let mut table = Table::new(&[
        ("series", Align::Left),
        ("months", Align::Right),
        ("rows", Align::Right),
        ("size", Align::Right),
        ("first row", Align::Left),
        ("proved through", Align::Left),
        ("age", Align::Right),
        ("state", Align::Left),
        ("gaps", Align::Left),
        ("findings", Align::Left),
    ]);
    for series in &shown.survey.series {
        let standing = &series.standing;
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        table.push(vec![
            series.series.to_string(),
            series.months.len().to_string(),
            thousands(standing.rows),
            size(standing.bytes),
            or_nothing(standing.first_row.map(super::day_of)),
            or_nothing(standing.watermark.map(|mark| mark.to_string())),
            or_nothing(standing.watermark.map(|mark| age(mark, shown.now))),
            or_nothing(states(series)),
            or_nothing(gap_words(standing.gaps)),
            or_nothing(finding_words(standing.findings)),
        ]);
    }
    table.lines()
}

/// What is worth a line of its own beneath the table.
fn write_notes(out: &mut dyn Write, survey: &Survey, place: &Place) -> io::Result<()> {
    let mut notes = Vec::new();
    for series in &survey.series {
        let of = |note: String| format!("{}: {note}", series.series);
        notes.extend(remarks(series, place).into_iter().map(of));
    }
    if !notes.is_empty() {
        writeln!(out)?;
    }
    for note in notes {
        writeln!(out, "{}", escaped(&note))?;
    }
    if survey.series.len() > 1 {
        writeln!(out, "\n`--calendar` shows each day, `--symbol` and `--kind` one series")?;
    }
    Ok(())
}

fn write_block(
    out: &mut dyn Write,
    series: &SeriesSurvey,
    shown: &Shown<'_>,
    canvas: Canvas,
) -> io::Result<()> {
    let standing = &series.standing;
    writeln!(out, "\n{}", series.series)?;
    let mut line = |label: &str, text: Option<String>| match text {
        Some(text) => writeln!(out, "  {label:9} {}", escaped(&text)),
        None => Ok(()),
    };
    let months = series.months.first().zip(series.months.last()).map(|(first, last)| {
        let n = series.months.len();
        let states = states(series).unwrap_or_default();
        format!("{n}, {} to {}: {states}", first.month, last.month)
    });
    line("months", months)?;
    let rows = format!("{}, {}", thousands(standing.rows), size(standing.bytes));
    line("rows", Some(rows))?;
    let ends = standing.first_row.zip(standing.last_row);
    line("from", ends.map(|(first, last)| format!("{first} to {last}")))?;
    let proved = standing
        .first
        .zip(standing.watermark)
        .map(|(first, mark)| format!("{first} through {mark}, {} ago", age(mark, shown.now)));
    line("proved", Some(proved.unwrap_or_else(|| "nothing".to_owned())))?;
    line("gaps", gap_words(standing.gaps))?;
    line("findings", finding_words(standing.findings))?;
    for remark in remarks(series, &super::place(shown.root)) {
        line("note", Some(remark))?;
    }
    let wants_calendar = shown.calendar || shown.survey.series.len() == 1;
    let lines = match wants_calendar {
        true => calendar::lines(series, shown.now, canvas),
        false => Vec::new(),
    };
    if !lines.is_empty() {
        writeln!(out)?;
    }
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// What is unusual about a series.
pub(super) fn remarks(series: &SeriesSurvey, place: &Place) -> Vec<String> {
    let standing = &series.standing;
    let mut remarks: Vec<String> = standing
        .problems
        .iter()
        .map(|(month, problem)| format!("{month} cannot be relied on: {problem}"))
        .collect();
    if let Some(stop) = &standing.stopped_by {
        remarks.push(format!("the proof goes no further: {}", stop_words(stop)));
    }
    for (n, what) in [
        (standing.locked, "locked, and never modified"),
        (standing.inherited, "with rows taken over from another tool"),
        (standing.foreign, "written by another tool, and not proved"),
    ] {
        if n > 0 {
            remarks.push(format!("{} {what}", counted(n, "month")));
        }
    }
    for month in &series.months {
        let findings = month.sidecar.iter().flat_map(|sidecar| &sidecar.findings);
        let n = findings.filter(|f| f.is_open_restatement()).map(|f| f.n).sum();
        let key = PartitionKey { series: series.series.clone(), month: month.month };
        if n > 0 {
            remarks.push(format!("{}: {}", month.month, open_restatements(n, &key, place)));
        }
    }
    let staged = &series.staged;
    if let Some(span) = staged.span() {
        let n = counted(staged.n_segments, "staged segment");
        remarks.push(format!("{n} between {} and {}, not published yet", span.start(), span.end()));
    }
    if staged.is_publishing {
        remarks.push("a publish is under way, or was interrupted".to_owned());
    }
    if let Some(why) = &staged.refused {
        remarks.push(format!("staged answers cannot be looked at: {why}"));
    }
    remarks
}

fn age(mark: Epoch, now: Epoch) -> String {
    span(Duration::from_secs(u64::try_from(now.since(mark)).unwrap_or(0)))
}

fn words<const N: usize>(counts: [(u64, &str); N]) -> Option<String> {
    let words: Vec<_> = counts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", thousands(n)))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// How many months are in which state.
pub(super) fn states(series: &SeriesSurvey) -> Option<String> {
    let state = series.standing.state;
    words([
        (state.sealed, "sealed"),
        (state.settling, "settling"),
        (state.open, "open"),
        (state.unknown, "unknown"),
    ])
}

/// How many gaps there are of which class.
pub(super) fn gap_words(gaps: GapCounts) -> Option<String> {
    words([
        (gaps.unexplained, "unexplained"),
        (gaps.silent, "silent"),
        (gaps.confirmed_by_source, "confirmed by the source"),
        (gaps.within_page, "within a page"),
        (gaps.before_first_row, "before the first row"),
        (gaps.market_closed, "market closed"),
    ])
}

/// How many findings there are of which severity.
pub(super) fn finding_words(findings: FindingCounts) -> Option<String> {
    let plural =
        |n: u64, one: &'static str, many: &'static str| (n, if n == 1 { one } else { many });
    words([
        plural(findings.error, "error", "errors"),
        plural(findings.warning, "warning", "warnings"),
        (findings.info, "info"),
    ])
}

#[cfg(test)]
mod tests;
