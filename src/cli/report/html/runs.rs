//! The runs that an archive remembers: what they asked, and what was refused.

use std::time::Duration;

use chrono::DateTime;

use super::super::super::record::RunNote;
use super::super::text::{span, thousands};
use super::charts::{self, Pair, RunBar};
use super::plain;

/// No archive of ours remembers more.
const MOST_RUNS: usize = 31;

/// The runs.
pub(super) struct RunsView {
    /// Why nobody knows of any; empty if somebody does.
    pub(super) problem: String,
    pub(super) chart: Option<Pair>,
    pub(super) sum: String,
    /// The latest first.
    pub(super) runs: Vec<RunView>,
}

/// One run.
pub(super) struct RunView {
    pub(super) started: String,
    pub(super) command: String,
    pub(super) outcome: String,
    pub(super) elapsed: String,
    pub(super) requests: String,
    pub(super) retries: String,
    pub(super) refusals: String,
    pub(super) reconnects: String,
    pub(super) waited: String,
    pub(super) rows_new: String,
}

impl RunsView {
    pub(super) fn of(runs: &Result<Vec<RunNote>, String>) -> Self {
        let (runs, problem) = match runs {
            Ok(runs) => (runs.as_slice(), String::new()),
            Err(why) => (&[][..], plain(why)),
        };
        let runs = &runs[..runs.len().min(MOST_RUNS)];
        let bars: Vec<_> = runs.iter().rev().map(bar).collect();
        let total = |of: fn(&RunNote) -> u64| {
            thousands(runs.iter().fold(0_u64, |sum, run| sum.saturating_add(of(run))))
        };
        let (requests, refusals) = (total(|run| run.requests), total(|run| run.refusals));
        let runs_word = if runs.len() == 1 { "run" } else { "runs" };
        Self {
            problem,
            chart: charts::runs(&bars),
            sum: format!("{requests} requests in {} {runs_word}, {refusals} refused", runs.len()),
            runs: runs.iter().map(RunView::of).collect(),
        }
    }
}

/// Only a date that is one gets into the chart.
fn bar(run: &RunNote) -> RunBar {
    let started = DateTime::parse_from_rfc3339(&run.started_at).ok();
    let label = started.map_or_else(|| "?".to_owned(), |at| at.format("%m-%d").to_string());
    RunBar { label, requests: run.requests, refusals: run.refusals }
}

impl RunView {
    fn of(run: &RunNote) -> Self {
        let started = DateTime::parse_from_rfc3339(&run.started_at);
        let started =
            started.map_or_else(|_| plain(&run.started_at), |at| at.format("%F %T").to_string());
        let outcome = plain(&run.outcome.replace('_', " "));
        Self {
            started,
            command: plain(&run.command),
            outcome: match run.exit_code {
                Some(code) => format!("{outcome} ({code})"),
                None => outcome,
            },
            elapsed: time(run.elapsed_secs),
            requests: thousands(run.requests),
            retries: thousands(run.retries),
            refusals: thousands(run.refusals),
            reconnects: thousands(run.reconnects),
            waited: time(run.waited_secs),
            rows_new: thousands(run.rows_new),
        }
    }
}

/// The file may say anything, also a time that is none.
fn time(secs: f64) -> String {
    Duration::try_from_secs_f64(secs).map_or_else(|_| "?".to_owned(), span)
}
