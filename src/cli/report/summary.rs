//! The end of a download as text: a table of partitions, totals, findings, and what is missing.

use std::io::{self, Write};
use std::path::Path;

use crate::domain::{
    CoverageState, Finding, Gap, GapClass, Month, PartitionKey, PartitionState, Place, Series,
    Severity,
};
use crate::download::{Ending, PartitionOutcome, PartitionSummary, Summary};

use super::super::disk::refusal;
use super::super::terminal::escaped;
use super::text::{Align, Table, counted, months, size, span, thousands, wrapped};
use super::unreached;
use super::{
    RunFacts, Walls, by_series, problem_text, write_finding, write_findings, write_not_offered,
};

/// What is wrong with the archive if nobody said why.
const UNWRITABLE: &str = "the archive cannot be written any more";

/// What is put where a cell has nothing to say.
const NOTHING: &str = "-";

/// Classes of gaps as columns, in the order of [`gap_counts`].
const GAP_COLUMNS: [&str; 6] =
    ["unexplained", "silent", "confirmed", "in page", "not begun", "closed"];

/// Writes the result of a run, no wider than `width` if it can be helped.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(
    out: &mut dyn Write,
    summary: &Summary,
    facts: &RunFacts,
    width: usize,
) -> io::Result<()> {
    for line in table(summary, width).lines() {
        writeln!(out, "{line}")?;
    }
    let seems = |series: &Series| is_provisional(summary, series);
    write_not_offered(out, &not_offered(summary), &walls(summary, &facts.walls), seems)?;
    unreached::write(out, summary)?;
    let findings: Vec<_> = summary.findings().collect();
    write_findings(out, &facts.output, &findings)?;
    write_standing(out, summary, &facts.output)?;
    if !summary.partitions.is_empty() {
        writeln!(out)?;
    }
    for parts in totals(summary, facts).iter().filter(|parts| !parts.is_empty()) {
        writeln!(out, "{}", wrapped(parts, width))?;
    }
    Ok(())
}

/// What stands from earlier runs: what is broken, and which newer prices wait for a person.
fn write_standing(out: &mut dyn Write, summary: &Summary, root: &Path) -> io::Result<()> {
    let place = super::place(root);
    for partition in &summary.partitions {
        let broken = partition.standing.iter().filter(|f| f.weight() == Severity::Error);
        for finding in broken {
            write_finding(out, finding, &place)?;
        }
        let n = partition.n_open_restatements();
        if n > 0 {
            let key = &partition.key;
            writeln!(out, "{key}: {}", open_restatements(n, key, &place))?;
        }
    }
    Ok(())
}

/// `1 open restatement; take it with …`.
pub(super) fn open_restatements(n: u64, key: &PartitionKey, place: &Place) -> String {
    let (them, how) = (if n == 1 { "it" } else { "them" }, place.acceptance(key));
    escaped(&format!("{}; take {them} with `{how}`", counted(n, "open restatement")))
}

/// A heading for each series, and beneath it the months in which something happened.
fn table(summary: &Summary, width: usize) -> Table {
    let [unexplained, silent, confirmed, in_page, not_begun, closed] = GAP_COLUMNS;
    let mut table = Table::new(&[
        ("months", Align::Left),
        ("outcome", Align::Left),
        ("rows", Align::Right),
        ("new", Align::Right),
        ("size", Align::Right),
        ("requests", Align::Right),
        (unexplained, Align::Right),
        (silent, Align::Right),
        (confirmed, Align::Right),
        (in_page, Align::Right),
        (not_begun, Align::Right),
        (closed, Align::Right),
        ("repeated", Align::Right),
        ("findings", Align::Right),
    ]);
    for of_series in summary.partitions.chunk_by(|one, two| one.key.series == two.key.series) {
        let shown = |p: &&PartitionSummary| p.outcome != PartitionOutcome::NotOffered;
        let of_series: Vec<_> = of_series.iter().filter(shown).collect();
        if of_series.is_empty() {
            continue;
        }
        table.heading(heading(&of_series));
        let news: Vec<_> = of_series.into_iter().filter(|p| !is_up_to_date(p)).collect();
        for alike in news.chunk_by(|one, two| are_alike(one, two)) {
            table.push(row(alike));
        }
    }
    for name in GAP_COLUMNS.iter().chain(&["repeated", "findings"]) {
        table.leave_out_if_empty(name);
    }
    table.fit(
        width,
        &[
            "requests",
            closed,
            not_begun,
            in_page,
            confirmed,
            silent,
            "repeated",
            "size",
            unexplained,
            "findings",
        ],
    );
    table
}

fn is_up_to_date(partition: &PartitionSummary) -> bool {
    matches!(partition.outcome, PartitionOutcome::UpToDate { .. }) && partition.missing.is_empty()
}

/// Months that nothing was done for share a line.
fn are_alike(one: &PartitionSummary, two: &PartitionSummary) -> bool {
    let is_next = one.key.month.range().end() == two.key.month.range().start();
    let is_same = match (&one.outcome, &two.outcome) {
        (PartitionOutcome::Locked { .. }, PartitionOutcome::Locked { .. }) => true,
        (PartitionOutcome::NotReached, PartitionOutcome::NotReached) => true,
        (PartitionOutcome::Failed(one), PartitionOutcome::Failed(two))
        | (PartitionOutcome::LeftAlone(one), PartitionOutcome::LeftAlone(two)) => one == two,
        _ => false,
    };
    is_next && is_same
}

/// `R_100 ticks: 32,140,800 rows, 24 of 25 months up to date`.
fn heading(of_series: &[&PartitionSummary]) -> String {
    let series = of_series.first().map(|p| p.key.series.to_string()).unwrap_or_default();
    let (rows, _) = sums(of_series.iter().copied());
    let (n, all) = (of_series.iter().filter(|p| is_up_to_date(p)).count(), of_series.len());
    let months_of = |all: usize| counted(all as u64, "month");
    match (of_series.first(), of_series.last()) {
        (Some(first), Some(last)) if n == all => {
            let span = months(first.key.month, last.key.month);
            format!("{series}: {}, {} up to date, {span}", counted(rows, "row"), months_of(all))
        }
        _ if n > 0 => {
            format!("{series}: {}, {n} of {} up to date", counted(rows, "row"), months_of(all))
        }
        _ => format!("{series}: {}, {}", counted(rows, "row"), months_of(all)),
    }
}

/// One partition, or several for which nothing was done.
fn row(alike: &[&PartitionSummary]) -> Vec<String> {
    let (Some(first), Some(last)) = (alike.first(), alike.last()) else { return Vec::new() };
    let nothing = || NOTHING.to_owned();
    let dash = |n: u64| if n == 0 { nothing() } else { thousands(n) };
    let mut cells = vec![months(first.key.month, last.key.month), outcome_words(first)];
    let (rows, _) = sums(alike.iter().copied());
    let published = match &first.outcome {
        PartitionOutcome::Published(published) => Some(published),
        _ => None,
    };
    cells.push(if published.is_some() { thousands(rows) } else { dash(rows) });
    cells.push(published.map_or_else(nothing, |published| thousands(published.n_new)));
    cells.push(published.map_or_else(nothing, |published| size(published.file_size)));
    cells.push(dash(alike.iter().map(|partition| partition.n_pages).sum()));
    let gaps = gap_counts(published.map_or(&[], |published| &published.gaps));
    cells.extend(gaps.map(|(_, _, n)| dash(n as u64)));
    cells.push(dash(published.map_or(0, |published| published.duplicates_removed)));
    cells.push(dash(alike.iter().map(|p| p.findings().count() as u64).sum()));
    cells
}

fn outcome_words(partition: &PartitionSummary) -> String {
    let words = match &partition.outcome {
        PartitionOutcome::Published(published) => {
            let state = state_word(published.state);
            if !partition.missing.is_empty() {
                return format!("{state}, incomplete");
            }
            state
        }
        PartitionOutcome::UpToDate { .. } => "up to date, incomplete",
        PartitionOutcome::Locked { .. } => "locked",
        PartitionOutcome::Staged => "staged",
        PartitionOutcome::NotReached => "not reached",
        PartitionOutcome::Failed(_) | PartitionOutcome::LeftAlone(_) => "failed",
        PartitionOutcome::NotOffered => "not offered",
    };
    words.to_owned()
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
pub(super) fn gap_counts(gaps: &[Gap]) -> [(&'static str, &'static str, usize); 6] {
    let count = |class| gaps.iter().filter(|gap| gap.class == class).count();
    [
        ("unexplained", "unexplained", count(GapClass::Unexplained)),
        ("silent", "silent", count(GapClass::Silent)),
        ("confirmed_by_source", "confirmed by the source", count(GapClass::ConfirmedBySource)),
        ("within_page", "within a page", count(GapClass::WithinPage)),
        ("before_first_row", "before the first row", count(GapClass::BeforeFirstRow)),
        ("market_closed", "market closed", count(GapClass::MarketClosed)),
    ]
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
        let is_before = |gap: &&Gap| gap.class == GapClass::BeforeFirstRow;
        if let Some(last) = published.gaps.iter().rfind(is_before) {
            // Silence before the first row begins at the wall, or there is none.
            walls.insert(partition.key.series.clone(), last.end);
            continue;
        }
        let beyond = published.coverage.select(|state| state == CoverageState::NotOffered);
        if let Some(last) = beyond.iter().next_back() {
            let wall = walls.entry(partition.key.series.clone()).or_insert(last.end());
            *wall = (*wall).max(last.end());
        }
    }
    walls.extend(summary.history_begins.iter().map(|(series, begins)| (series.clone(), begins.at)));
    walls
}

/// Whether only one look says where the history of a series begins.
pub(super) fn is_provisional(summary: &Summary, series: &Series) -> bool {
    summary.history_begins.get(series).is_some_and(|begins| !begins.is_confirmed)
}

/// Rows in the files, and those that are new.
pub(super) fn rows(summary: &Summary) -> (u64, u64) {
    sums(summary.partitions.iter())
}

fn sums<'a>(partitions: impl Iterator<Item = &'a PartitionSummary>) -> (u64, u64) {
    partitions.fold((0, 0), |(rows, new), partition| match &partition.outcome {
        PartitionOutcome::Published(p) => (rows + p.record_count, new + p.n_new),
        PartitionOutcome::UpToDate { record_count } | PartitionOutcome::Locked { record_count } => {
            (rows + record_count, new)
        }
        _ => (rows, new),
    })
}

/// What all files that were written have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) duplicates: u64,
    /// In the order of [`gap_counts`].
    pub(super) gaps: [(&'static str, &'static str, usize); 6],
}

pub(super) fn written(summary: &Summary) -> Written {
    let mut all = Written { gaps: gap_counts(&[]), ..Written::default() };
    for partition in &summary.partitions {
        let PartitionOutcome::Published(published) = &partition.outcome else { continue };
        all.bytes += published.file_size;
        all.duplicates += published.duplicates_removed;
        for (sum, (_, _, n)) in all.gaps.iter_mut().zip(gap_counts(&published.gaps)) {
            sum.2 += n;
        }
    }
    all
}

/// So many a second, or a minute; `None` in no time.
pub(super) fn speed(n: u64, summary: &Summary, per: f64) -> Option<f64> {
    let secs = summary.elapsed.as_secs_f64();
    (secs > 0.0).then(|| n as f64 * per / secs)
}

/// Lines of parts: rows; requests; waits; gaps.
fn totals(summary: &Summary, facts: &RunFacts) -> [Vec<String>; 4] {
    let (n_rows, new) = rows(summary);
    let all = written(summary);
    let mut rows = vec![counted(n_rows, "row"), format!("{} new", thousands(new))];
    if all.bytes > 0 {
        rows.push(format!("{} written", size(all.bytes)));
    }
    rows.push(format!("in {}", span(summary.elapsed)));
    if let Some(speed) = speed(new, summary, 1.0).filter(|_| new > 0) {
        rows.push(format!("{} rows/s", thousands(speed as u64)));
    }
    let mut gaps: Vec<_> = all.gaps.iter().filter(|(_, _, n)| *n > 0).collect();
    gaps.retain(|(_, _, n)| *n > 0);
    let mut gaps: Vec<_> =
        gaps.iter().map(|(_, words, n)| format!("{} {words}", thousands(*n as u64))).collect();
    if let Some(first) = gaps.first_mut() {
        *first = format!("gaps: {first}");
    }
    if all.duplicates > 0 {
        gaps.push(format!("{} dropped", counted(all.duplicates, "repeated row")));
    }
    [rows, requests(summary, facts), waits(facts), gaps]
}

fn requests(summary: &Summary, facts: &RunFacts) -> Vec<String> {
    let traffic = &facts.traffic;
    let mut parts = vec![counted(traffic.requests, "request")];
    if let Some(speed) = speed(traffic.requests, summary, 60.0).filter(|_| traffic.requests > 9) {
        parts.push(format!("{}/min", thousands(speed as u64)));
    }
    if traffic.retries > 0 {
        parts.push(format!("{} retried", thousands(traffic.retries)));
    }
    if traffic.refusals > 0 {
        parts.push(format!("{} refused as too frequent", thousands(traffic.refusals)));
    }
    if traffic.reconnects > 0 {
        parts.push(counted(traffic.reconnects, "reconnect"));
    }
    let thrown_away = traffic.thrown_away.plus(&summary.thrown_away);
    if thrown_away.total() > 0 {
        parts.push(format!("answers thrown away: {thrown_away}"));
    }
    parts
}

/// What was waited for, without what is only the pace of every run unless that was all.
fn waits(facts: &RunFacts) -> Vec<String> {
    let waits = &facts.traffic.waits;
    let causes = [
        (waits.pace, "to keep the pace"),
        (waits.hour_budget, "for the hour's budget"),
        (waits.rate_limited, "after refusals"),
        (waits.breaker_open, "for a source that was away"),
        (waits.retry, "before retries"),
    ];
    let long = causes.into_iter().filter(|(waited, _)| waited.as_millis() >= 100);
    let mut parts: Vec<_> =
        long.map(|(waited, words)| format!("{} {words}", span(waited))).collect();
    if let Some(first) = parts.first_mut() {
        *first = format!("waited: {first}");
    }
    parts
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
            if let PartitionOutcome::Failed(why) | PartitionOutcome::LeftAlone(why) =
                &partition.outcome
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
        let standing = partition.standing.iter().filter(|f| f.weight() == Severity::Error);
        let n_errors = (partition.findings().filter(is_error).count() + standing.count()) as u64;
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
        PartitionOutcome::Staged
            | PartitionOutcome::NotReached
            | PartitionOutcome::Failed(_)
            | PartitionOutcome::LeftAlone(_)
    );
    is_done && partition.missing.is_empty()
}

fn is_whole_or_left(partition: &PartitionSummary) -> bool {
    is_whole(partition) || matches!(partition.outcome, PartitionOutcome::LeftAlone(_))
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
        Ending::Finished if is_partial && summary.partitions.iter().all(is_whole_or_left) => {
            "nothing was changed there, and running again changes nothing; see to what is named first"
        }
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

    fn text(summary: &Summary, exit: ExitCode, width: usize) -> String {
        let mut out = Vec::new();
        write(&mut out, summary, &samples::facts(exit), width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_night_is_a_line_for_a_series_and_one_for_what_grew() {
        insta::assert_snapshot!(text(&samples::night_summary(), ExitCode::Success, 100));
    }

    #[test]
    fn gaps_of_every_class_make_nothing_too_wide() {
        let wide = text(&samples::wide_summary(), ExitCode::Success, 100);
        insta::assert_snapshot!(wide);
        for summary in [samples::wide_summary(), samples::mixed_summary()] {
            for width in [100, 80, 60] {
                let text = text(&summary, ExitCode::Success, width);
                // What is said in whole sentences is left to the terminal to break.
                let is_said = |line: &str| line.contains("restatement") || line.contains("offered");
                let ours = text.lines().filter(|line| !is_said(line) && !line.starts_with("frx"));
                let widest = ours.map(str::len).max().unwrap();
                assert!(widest <= width, "{width}\n{text}");
            }
        }
    }

    #[test]
    fn a_whole_run() {
        let summary = samples::whole_summary();
        assert_eq!(problems(&summary, &samples::facts(ExitCode::Success)), "");
        insta::assert_snapshot!(text(&summary, ExitCode::Success, 100));
    }

    #[test]
    fn a_mixed_run() {
        insta::assert_snapshot!(text(&samples::mixed_summary(), ExitCode::Incomplete, 100));
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
