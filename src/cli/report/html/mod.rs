//! One page with a whole archive to look at: HTML that needs no network, no script and no other
//! file. Pure: whoever has the archive says what is in it, and writes what comes out.
//!
//! Everything others wrote (sidecars, runs, names of files) is made harmless here and escaped once
//! more by the template. The only markup that is put in as it is are the charts, in which there are
//! numbers and dates alone.

mod axis;
mod charts;
mod course;
mod model;
mod runs;
mod series;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use askama::Template;
use serde_json::{Value, json};

use crate::domain::Epoch;
use crate::integrity::Survey;

use super::super::exit::ExitCode;
use super::super::record::RunNote;
use super::super::terminal::escaped;
use super::json::with_head;

pub use course::Course;
use model::Page;

/// How each of our pages begins; a file that begins otherwise is never replaced.
pub(crate) const BEGINNING: &[u8] =
    b"<!DOCTYPE html>\n<html lang=\"en\" data-made-by=\"titan-download report\">";

/// Texts are names and sentences; no table becomes better by longer ones.
const MOST_CHARS: usize = 400;

/// What the page tells of.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Folder of the archive.
    pub root: &'a Path,
    /// What it says of itself.
    pub survey: &'a Survey,
    /// What was read of each of its series, in the same order.
    pub courses: &'a [Course],
    /// The runs it remembers, or why nobody knows.
    pub runs: &'a Result<Vec<RunNote>, String>,
    /// Whether its prices are invented.
    pub is_invented: bool,
    /// Now, by this machine.
    pub now: Epoch,
}

/// Something that could not be read, so that nobody knows what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub what: String,
    /// Why; to be read after it.
    pub why: String,
}

impl Problem {
    fn new(what: &dyn fmt::Display, why: &dyn fmt::Display) -> Self {
        Self { what: plain(&what.to_string()), why: plain(&why.to_string()) }
    }
}

impl Facts<'_> {
    /// Everything that could not be read.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for finding in self.survey.blind_spots() {
            let why = format!("cannot be looked at: {}", finding.found);
            problems.push(Problem::new(&finding.subject, &why));
        }
        for (found, course) in self.survey.series.iter().zip(self.courses) {
            for (month, why) in &found.standing.problems {
                let what = format!("{} {month}", found.series);
                let why = format!("cannot be relied on: {why}");
                problems.push(Problem::new(&what, &why));
            }
            problems.extend(course.problems.iter().cloned());
        }
        if let Err(why) = self.runs {
            problems.push(Problem::new(&".titan/last-run.json", why));
        }
        problems
    }
}

/// Writes the page.
///
/// # Errors
///
/// If the template cannot be filled, which no archive brings about.
pub fn page(facts: &Facts<'_>) -> Result<String, askama::Error> {
    Page::of(facts).render()
}

/// What became of the page, as one object: `root`, `path`, `bytes`, `series` and `months` (their
/// number), `rows`, `invented_prices`, and `problems` (`what`, `why`).
pub(crate) fn json(
    facts: &Facts<'_>,
    path: &Path,
    bytes: usize,
    session: &str,
    exit: ExitCode,
) -> Value {
    let problem = |problem: Problem| json!({ "what": problem.what, "why": problem.why });
    let body = json!({
        "root": facts.root.display().to_string(),
        "path": path.display().to_string(),
        "bytes": bytes,
        "series": facts.survey.series.len(),
        "months": n_months(facts.survey),
        "rows": n_rows(facts.survey),
        "invented_prices": facts.is_invented,
        "problems": facts.problems().into_iter().map(problem).collect::<Vec<_>>(),
    });
    with_head("report", session, exit, &Value::Null, body)
}

/// Months on disk, of all series.
pub(crate) fn n_months(survey: &Survey) -> u64 {
    survey.series.iter().map(|found| found.months.len() as u64).sum()
}

/// Rows of all series, by their sidecars, which may say anything.
pub(crate) fn n_rows(survey: &Survey) -> u64 {
    survey.series.iter().fold(0, |sum, found| sum.saturating_add(found.standing.rows))
}

/// A text that others wrote: nothing in it steers, and it is no book.
fn plain(text: &str) -> String {
    let mut plain: String = escaped(text).chars().take(MOST_CHARS + 1).collect();
    if let Some((end, _)) = plain.char_indices().nth(MOST_CHARS) {
        plain.truncate(end);
        plain.push('…');
    }
    plain
}

/// `2026-03-07 12:00:05 UTC`, or the number where no calendar reaches.
fn utc(epoch: Epoch) -> String {
    epoch.to_utc().map_or_else(|| epoch.to_string(), |t| t.format("%F %T UTC").to_string())
}

/// `2026-03-07`.
fn day(epoch: Epoch) -> String {
    epoch.to_utc().map_or_else(|| epoch.to_string(), |t| t.format("%F").to_string())
}

/// The beginning of a list, and how many more there are.
#[derive(Debug, Clone, PartialEq)]
struct Listed<T> {
    shown: Vec<T>,
    n_more: usize,
}

impl<T> Listed<T> {
    fn new(mut all: Vec<T>, most: usize) -> Self {
        let n_more = all.len().saturating_sub(most);
        all.truncate(most);
        Self { shown: all, n_more }
    }
}
