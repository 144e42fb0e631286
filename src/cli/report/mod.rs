//! What a command tells at its end: results on stdout as text or as one JSON object, errors with
//! their causes and a hint on stderr.

pub mod adopt;
pub mod calendar;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod html;
pub mod json;
pub mod plan;
pub mod repair;
#[cfg(test)]
pub(crate) mod samples;
pub mod status;
pub mod summary;
pub mod symbols;
pub mod text;
mod unreached;
pub mod verify;
pub mod views;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::domain::{DefectCounts, Epoch, Finding, Kind, Month, Place, Series};
use crate::format::Layout;

use crate::resilience::WaitTimes;

use super::clock;
use super::error::Failure;
use super::exit::ExitCode;
use super::terminal::escaped;

/// Requests of a run, as the layers around the source counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests that went out, retries included.
    pub requests: u64,
    /// Calls after the first for the same thing.
    pub retries: u64,
    /// Requests that the source refused as too frequent.
    pub refusals: u64,
    /// Time spent waiting for permits, pauses and the breaker.
    pub waited: Duration,
    /// Answers that could not be read, by reason; those that proved nothing are in the summary.
    pub thrown_away: DefectCounts,
    /// Messages that came too late or twice, or that nobody asked for.
    pub stray_answers: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// The time waited, by cause.
    pub waits: WaitTimes,
    /// What the breaker did.
    pub breaker: BreakerFacts,
}

/// What the breaker does, and how often it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerFacts {
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// Again after a failed probe included.
    pub n_openings: u64,
}

impl Default for BreakerFacts {
    fn default() -> Self {
        Self { state: "closed", n_openings: 0 }
    }
}

/// No result is wider, so that it can be read and sent.
const WIDEST: usize = 100;

/// How wide a result may be where it goes to.
pub fn width() -> usize {
    let (width, _) = super::terminal::stdout_canvas();
    width.unwrap_or(WIDEST).clamp(40, WIDEST)
}

/// Where the history of series begins, as far as that was learned.
pub type Walls = BTreeMap<Series, Epoch>;

/// What is known of a run beside its summary.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// Names the run.
    pub session: String,
    /// How the process ends.
    pub exit: ExitCode,
    /// What was asked.
    pub traffic: Traffic,
    /// Where history begins.
    pub walls: Walls,
    /// Series that another run holds, with who does.
    pub held: Vec<(Series, String)>,
    /// Folder of the archive.
    pub output: PathBuf,
}

/// `error: …`, `  caused by: …`, `hint: …`, each on its own line.
pub fn failure_text(failure: &Failure) -> String {
    problem_text(&failure.chain(), failure.hint.as_deref())
}

/// A chain of messages, outermost first, and what to do about it.
pub fn problem_text(chain: &[String], hint: Option<&str>) -> String {
    let mut text = String::new();
    for (depth, message) in chain.iter().enumerate() {
        text.push_str(if depth == 0 { "error: " } else { "  caused by: " });
        text.push_str(&escaped(message));
        text.push('\n');
    }
    if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
        text.extend(["hint: ", &escaped(hint), "\n"]);
    }
    text
}

/// The archive in a folder, as far as a command that works on it has to say.
pub fn place(root: &Path) -> Place {
    let is_demo = Layout::new(root).invented_mark().exists();
    Place { root: Some(root.to_owned()), is_demo, now: Some(clock::now()) }
}

/// Findings as JSON, with commands that can be typed as they stand.
pub fn findings<'a>(findings: impl IntoIterator<Item = &'a Finding>, place: &Place) -> Vec<Value> {
    let told = |finding: &Finding| {
        let mut value = serde_json::json!(finding);
        value["repair"] = finding.repair(place).into();
        value
    };
    findings.into_iter().map(told).collect()
}

/// A finding on one line, and what to do about it on the next.
fn write_finding(out: &mut dyn Write, finding: &Finding, place: &Place) -> io::Result<()> {
    writeln!(out, "  {}", escaped(&finding.to_string()))?;
    let repair = finding.repair(place);
    if !repair.is_empty() {
        writeln!(out, "    repair: {}", escaped(&repair))?;
    }
    Ok(())
}

/// Findings shown as text; the others are counted, and `--json` has them all.
const SHOWN_FINDINGS: usize = 50;

/// The findings, worst first.
fn write_findings(out: &mut dyn Write, root: &Path, findings: &[&Finding]) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut sorted = findings.to_vec();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    writeln!(out, "\nfindings:")?;
    let place = place(root);
    for finding in sorted.iter().take(SHOWN_FINDINGS) {
        write_finding(out, finding, &place)?;
    }
    if let Some(more) = sorted.len().checked_sub(SHOWN_FINDINGS).filter(|more| *more > 0) {
        writeln!(out, "  and {more} more; `--json` lists all")?;
    }
    Ok(())
}

/// One line for each series with months that the source no longer has.
fn write_not_offered(
    out: &mut dyn Write,
    not_offered: &[(Series, Vec<Month>)],
    walls: &Walls,
    seems: impl Fn(&Series) -> bool,
) -> io::Result<()> {
    for (series, months) in not_offered {
        let (Some(first), Some(last)) = (months.first(), months.last()) else { continue };
        // What is not offered is always the oldest of it, so there is no hole in between.
        let months = text::months(*first, *last);
        write!(out, "{series}: not offered by the source: {months}")?;
        match walls.get(series) {
            Some(wall) => {
                let begins = if seems(series) { "seems to begin" } else { "begins" };
                writeln!(out, " (history {begins} {})", date_or_time(*wall))?;
            }
            None => writeln!(out)?,
        }
    }
    let is_named = |series: &Series| not_offered.iter().any(|(named, _)| named == series);
    for (series, begins) in walls.iter().filter(|(series, _)| !is_named(series)) {
        writeln!(out, "{series}: history begins {}", date_or_time(*begins))?;
    }
    Ok(())
}

/// The day alone if it is a midnight, else the second.
fn date_or_time(epoch: Epoch) -> String {
    let text = epoch.to_string();
    text.strip_suffix("T00:00:00Z").map_or_else(|| text.clone(), str::to_owned)
}

/// The UTC day of an epoch, `2026-03-07`.
fn day_of(epoch: Epoch) -> String {
    epoch.to_utc().map_or_else(|| epoch.to_string(), |utc| utc.date_naive().to_string())
}

/// Collects months by series, in the order they come.
fn by_series<'a>(keys: impl Iterator<Item = (&'a Series, Month)>) -> Vec<(Series, Vec<Month>)> {
    let mut grouped: Vec<(Series, Vec<Month>)> = Vec::new();
    for (series, month) in keys {
        match grouped.last_mut() {
            Some((last, months)) if last == series => months.push(month),
            _ => grouped.push((series.clone(), vec![month])),
        }
    }
    grouped
}

/// `ticks` or `candles`, the word of the option and of the sidecar.
fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Ticks => "ticks",
        Kind::Candles(_) => "candles",
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::SourceError;
    use crate::domain::{Advice, ErrorKind, FindingKind};
    use crate::download::DownloadError;

    use super::*;

    #[test]
    fn an_error_has_its_causes_and_a_hint() {
        let cause = io::Error::other("connection reset \u{1b}[31m");
        let source =
            SourceError::new(ErrorKind::Transport, "no answer after 6 attempts").with_cause(cause);
        let error = DownloadError::Source { what: "the time", source };
        let failure = Failure::new(ExitCode::Unavailable, error).with_hint("run it again");
        assert_eq!(
            failure_text(&failure),
            "error: cannot ask the source for the time\n  \
             caused by: no answer after 6 attempts\n  \
             caused by: connection reset \\u{1b}[31m\n\
             hint: run it again\n"
        );
    }

    #[test]
    fn the_worst_findings_come_first_and_not_all_are_shown() {
        let finding = |n: usize| Finding::warning(FindingKind::OffGrid, n, "x", "y");
        let mut findings: Vec<_> = (0..60).map(finding).collect();
        findings
            .push(Finding::error(FindingKind::RowsHash, "it", "a", "b").advise(Advice::MoveOut));
        let mut out = Vec::new();
        write_findings(&mut out, Path::new("data_cache"), &findings.iter().collect::<Vec<_>>())
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "findings:");
        assert_eq!(lines[2], "  error rows_hash: it: expected a, found b");
        assert_eq!(lines[3], "    repair: move it out of the folder");
        assert_eq!(lines.last(), Some(&"  and 11 more; `--json` lists all"));
    }
}
