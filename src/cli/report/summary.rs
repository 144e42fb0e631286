//! The end of a download as text: a table of partitions, totals, findings, and what is missing.

use std::io::{self, Write};

use crate::domain::{
    CoverageState, Finding, Gap, GapClass, Month, PartitionState, Published, Series, Severity,
};
use crate::download::{Ending, PartitionOutcome, PartitionSummary, Summary};

use super::super::disk::refusal;
use super::super::terminal::escaped;
use super::text::{Align, Table, counted, size, span, thousands};
use super::unreached;
use super::{RunFacts, Walls, by_series, problem_text, write_findings, write_not_offered};

/// What is wrong with the archive if nobody said why.
const UNWRITABLE: &str = "the archive cannot be written any more";

/// What is put where a cell has nothing to say.
const NOTHING: &str = "-";

/// Writes the result of a run.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, summary: &Summary, facts: &RunFacts) -> io::Result<()> {
    let table = table(summary);
    if !table.is_empty() {
        for line in table.lines() {
            writeln!(out, "{line}")?;
        }
    }
    write_not_offered(out, &not_offered(summary), &walls(summary, &facts.walls))?;
    unreached::write(out, summary)?;
    let findings: Vec<_> = summary.findings().collect();
    write_findings(out, &findings)?;
    if !summary.partitions.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "{}", totals(summary, facts))
}

fn table(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        ("series", Align::Left),
        ("month", Align::Left),
        ("outcome", Align::Left),
        ("rows", Align::Right),
        ("new", Align::Right),
        ("size", Align::Right),
        ("gaps", Align::Left),
        ("findings", Align::Left),
    ]);
    for partition in &summary.partitions {
        if partition.outcome != PartitionOutcome::NotOffered {
            table.push(row(partition));
        }
    }
    table
}

fn row(partition: &PartitionSummary) -> Vec<String> {
    let nothing = || NOTHING.to_owned();
    let (outcome, rows, new, file_size, gaps) = match &partition.outcome {
        PartitionOutcome::Published(published) => published_cells(partition, published),
        PartitionOutcome::UpToDate { record_count } => {
            ("up to date".into(), thousands(*record_count), "0".into(), nothing(), nothing())
        }
        PartitionOutcome::Locked { record_count } => {
            ("locked".into(), thousands(*record_count), "0".into(), nothing(), nothing())
        }
        PartitionOutcome::Staged => ("staged".into(), nothing(), nothing(), nothing(), nothing()),
        PartitionOutcome::NotReached => {
            ("not reached".into(), nothing(), nothing(), nothing(), nothing())
        }
        PartitionOutcome::Failed(_) => {
            ("failed".into(), nothing(), nothing(), nothing(), nothing())
        }
        PartitionOutcome::NotOffered => {
            ("not offered".into(), nothing(), nothing(), nothing(), nothing())
        }
    };
    let findings = match partition.findings().count() {
        0 => nothing(),
        n => n.to_string(),
    };
    let key = &partition.key;
    vec![
        key.series.to_string(),
        key.month.to_string(),
        outcome,
        rows,
        new,
        file_size,
        gaps,
        findings,
    ]
}

fn published_cells(
    partition: &PartitionSummary,
    published: &Published,
) -> (String, String, String, String, String) {
    let state = state_word(published.state);
    let outcome = if partition.missing.is_empty() {
        state.to_owned()
    } else {
        format!("{state}, incomplete")
    };
    (
        outcome,
        thousands(published.record_count),
        thousands(published.n_new),
        size(published.file_size),
        gap_words(&published.gaps),
    )
}

/// `open`, `settling` or `sealed`, the words of the sidecar.
pub(super) fn state_word(state: PartitionState) -> &'static str {
    match state {
        PartitionState::Open => "open",
        PartitionState::Settling => "settling",
        PartitionState::Sealed => "sealed",
    }
}

/// How many gaps there are of each class, in the order in which they matter.
pub(super) fn gap_counts(gaps: &[Gap]) -> [(&'static str, &'static str, usize); 4] {
    let count = |class| gaps.iter().filter(|gap| gap.class == class).count();
    [
        ("unexplained", "unexplained", count(GapClass::Unexplained)),
        ("confirmed_by_source", "confirmed by the source", count(GapClass::ConfirmedBySource)),
        ("within_page", "within a page", count(GapClass::WithinPage)),
        ("market_closed", "market closed", count(GapClass::MarketClosed)),
    ]
}

fn gap_words(gaps: &[Gap]) -> String {
    let words: Vec<_> = gap_counts(gaps)
        .iter()
        .filter(|(_, _, n)| *n > 0)
        .map(|(_, words, n)| format!("{n} {words}"))
        .collect();
    if words.is_empty() { NOTHING.to_owned() } else { words.join(", ") }
}

/// The months that the source no longer has, series by series.
pub(super) fn not_offered(summary: &Summary) -> Vec<(Series, Vec<Month>)> {
    let is_beyond = |p: &&PartitionSummary| p.outcome == PartitionOutcome::NotOffered;
    let keys = summary.partitions.iter().filter(is_beyond).map(|p| (&p.key.series, p.key.month));
    by_series(keys)
}

/// Where history begins: as the plan knew it, or as the files that were written prove it.
pub(super) fn walls(summary: &Summary, planned: &Walls) -> Walls {
    let mut walls = planned.clone();
    for partition in &summary.partitions {
        let PartitionOutcome::Published(published) = &partition.outcome else { continue };
        let beyond = published.coverage.select(|state| state == CoverageState::NotOffered);
        if let Some(last) = beyond.iter().next_back() {
            let wall = walls.entry(partition.key.series.clone()).or_insert(last.end());
            *wall = (*wall).max(last.end());
        }
    }
    walls
}

/// Rows in the files, and those that are new.
pub(super) fn rows(summary: &Summary) -> (u64, u64) {
    summary.partitions.iter().fold((0, 0), |(rows, new), partition| match &partition.outcome {
        PartitionOutcome::Published(p) => (rows + p.record_count, new + p.n_new),
        PartitionOutcome::UpToDate { record_count } | PartitionOutcome::Locked { record_count } => {
            (rows + record_count, new)
        }
        _ => (rows, new),
    })
}

fn totals(summary: &Summary, facts: &RunFacts) -> String {
    let (rows, new) = rows(summary);
    let traffic = &facts.traffic;
    let mut text = format!(
        "{}, {} new, in {}: {}",
        counted(rows, "row"),
        thousands(new),
        span(summary.elapsed),
        counted(traffic.requests, "request"),
    );
    if traffic.retries > 0 {
        text.push_str(&format!(", {} retried", thousands(traffic.retries)));
    }
    if traffic.refusals > 0 {
        text.push_str(&format!(", {} refused as too frequent", thousands(traffic.refusals)));
    }
    let thrown_away = traffic.thrown_away.plus(&summary.thrown_away);
    if thrown_away.total() > 0 {
        text.push_str(&format!(", answers thrown away: {thrown_away}"));
    }
    if traffic.waited.as_millis() >= 100 {
        text.push_str(&format!(", {} waited", span(traffic.waited)));
    }
    let secs = summary.elapsed.as_secs_f64();
    if new > 0 && secs > 0.0 {
        text.push_str(&format!(", {} rows/s", thousands((new as f64 / secs) as u64)));
    }
    text
}

/// What is missing or broken, each with its cause and what to do; for stderr.
pub fn problems(summary: &Summary, facts: &RunFacts) -> String {
    let mut text = String::new();
    for (series, reason) in &summary.failed_series {
        let chain = [format!("{series} could not be worked on"), reason.clone()];
        text.push_str(&problem_text(&chain, None));
    }
    for (series, owner) in &facts.held {
        let chain = [format!("{series} was left out: it is being written by {owner}")];
        text.push_str(&problem_text(&chain, None));
    }
    text.push_str(&incomplete(summary));
    text.push_str(&broken(summary));
    match &summary.ending {
        Ending::Outage(seen) => {
            let chain = ["the source is unavailable".to_owned(), seen.clone()];
            text.push_str(&problem_text(&chain, None));
        }
        Ending::BudgetSpent(why) => {
            let chain = ["the run stopped at its own budget".to_owned(), why.clone()];
            text.push_str(&problem_text(&chain, None));
        }
        Ending::StoreFailed { why, kind } => {
            let problem = kind.map_or(UNWRITABLE, |kind| refusal(kind, &facts.output).problem);
            let chain = [problem.to_owned(), why.clone()];
            text.push_str(&problem_text(&chain, None));
        }
        Ending::Cancelled | Ending::Finished => (),
    }
    if let Some(hint) = hint(summary, facts) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// One error for each series with months that are not whole.
fn incomplete(summary: &Summary) -> String {
    let mut text = String::new();
    let keys = summary.partitions.iter().filter(|p| !is_whole(p));
    for (series, months) in by_series(keys.map(|p| (&p.key.series, p.key.month))) {
        let of_series = || summary.partitions.iter().filter(|p| p.key.series == series);
        let names: Vec<_> = months.iter().map(ToString::to_string).collect();
        let verb = if months.len() == 1 { "is" } else { "are" };
        let mut chain = vec![format!(
            "{} of {} of {series} {verb} incomplete: {}",
            months.len(),
            counted(of_series().count() as u64, "month"),
            names.join(", ")
        )];
        for partition in of_series() {
            if let PartitionOutcome::Failed(why) = &partition.outcome
                && !chain.contains(why)
            {
                chain.push(why.clone());
            }
        }
        text.push_str(&problem_text(&chain, None));
    }
    text
}

/// One error for each partition that is whole but in which a promise is broken.
fn broken(summary: &Summary) -> String {
    let mut text = String::new();
    for partition in summary.partitions.iter().filter(|p| is_whole(p)) {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let n_errors = partition.findings().filter(is_error).count() as u64;
        if n_errors > 0 {
            let key = &partition.key;
            let chain =
                [format!("{key} has {}; see the findings", counted(n_errors, "broken promise"))];
            text.push_str(&problem_text(&chain, None));
        }
    }
    text
}

fn is_whole(partition: &PartitionSummary) -> bool {
    let is_done = !matches!(
        partition.outcome,
        PartitionOutcome::Staged | PartitionOutcome::NotReached | PartitionOutcome::Failed(_)
    );
    is_done && partition.missing.is_empty()
}

fn hint(summary: &Summary, facts: &RunFacts) -> Option<String> {
    let is_partial = !summary.partitions.iter().all(is_whole);
    let advice = match &summary.ending {
        Ending::StoreFailed { kind, .. } => {
            let mend = kind.map(|kind| refusal(kind, &facts.output).hint).unwrap_or_default();
            let mend = if mend.is_empty() { "mend the folder".to_owned() } else { mend };
            return Some(escaped(&format!(
                "{mend}; everything published stays valid and what is staged is kept; then run \
                 the same command again"
            )));
        }
        Ending::BudgetSpent(_) => {
            "everything answered is kept; run the same command again to go on, with more of \
             `--max-requests` or `--max-duration` if it never gets far"
        }
        Ending::Cancelled => "everything answered is kept; run the same command again to go on",
        Ending::Outage(_) => "everything answered is kept; run the same command again later",
        Ending::Finished if is_partial => {
            "everything answered is kept; run the same command again to fetch the rest"
        }
        Ending::Finished => return None,
    };
    Some(escaped(advice))
}

#[cfg(test)]
mod tests {
    use super::super::super::exit::ExitCode;
    use super::super::samples;
    use super::*;

    fn written(summary: &Summary, exit: ExitCode) -> String {
        let mut out = Vec::new();
        write(&mut out, summary, &samples::facts(exit)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_whole_run() {
        let summary = samples::whole_summary();
        assert_eq!(problems(&summary, &samples::facts(ExitCode::Success)), "");
        insta::assert_snapshot!(written(&summary, ExitCode::Success));
    }

    #[test]
    fn a_mixed_run() {
        insta::assert_snapshot!(written(&samples::mixed_summary(), ExitCode::Incomplete));
    }

    #[test]
    fn problems_of_a_mixed_run() {
        let mut facts = samples::facts(ExitCode::Incomplete);
        facts.held.push((samples::series(crate::domain::Kind::Ticks), "process 7 on h".into()));
        insta::assert_snapshot!(problems(&samples::mixed_summary(), &facts));
    }

    #[test]
    fn endings_say_what_is_kept() {
        let check = |ending, expected: &str| {
            let summary = Summary { ending, ..samples::whole_summary() };
            assert_eq!(problems(&summary, &samples::facts(ExitCode::Incomplete)), expected);
        };
        check(
            Ending::Outage("connection refused".into()),
            "error: the source is unavailable\n  caused by: connection refused\n\
             hint: everything answered is kept; run the same command again later\n",
        );
        check(
            Ending::StoreFailed {
                why: "cannot write `x`: no".into(),
                kind: Some(io::ErrorKind::StorageFull),
            },
            "error: the disk is full\n  caused by: cannot write `x`: no\n\
             hint: make room on the disk of `data_cache`, or use another one with `--output`; \
             everything published stays valid and what is staged is kept; then run the same \
             command again\n",
        );
        check(
            Ending::Cancelled,
            "hint: everything answered is kept; run the same command again to go on\n",
        );
    }
}
