//! What is known of a run so far. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::domain::{DefectCounts, Epoch, Published, Series, Severity};
use crate::download::{Ending, PartitionOutcome, Summary};

use super::super::exit::ExitCode;
use super::last_run::{RUNNING, RunNote, shortened};
use super::metrics::{Asked, Ended, SeriesCounts};
use super::process::Process;

/// Problems that are listed; the others are counted.
const MOST_PROBLEMS: usize = 20;

/// What a run told so far.
#[derive(Debug)]
pub(super) struct State {
    command: &'static str,
    session: String,
    pub(super) started: Epoch,
    began: Instant,
    took: Option<Duration>,
    /// What it was asked to do.
    pub(super) arguments: Value,
    server_time: Option<Epoch>,
    n_partitions: u64,
    pub(super) series: BTreeMap<Series, SeriesCounts>,
    up_to_date: BTreeMap<Series, bool>,
    pub(super) thrown_away: DefectCounts,
    /// Counts of what became of the partitions and what was found, once it is known.
    totals: Map<String, Value>,
    problems: Vec<String>,
    n_problems_left_out: u64,
    pub(super) ended: Option<Ended>,
}

impl State {
    pub(super) fn new(command: &'static str, session: &str, started: Epoch) -> Self {
        Self {
            command,
            session: session.to_owned(),
            started,
            began: Instant::now(),
            took: None,
            arguments: Value::Null,
            server_time: None,
            n_partitions: 0,
            series: BTreeMap::new(),
            up_to_date: BTreeMap::new(),
            thrown_away: DefectCounts::default(),
            totals: Map::new(),
            problems: Vec::new(),
            n_problems_left_out: 0,
            ended: None,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.took.unwrap_or_else(|| self.began.elapsed())
    }

    pub(super) fn series(&mut self, series: &Series) -> &mut SeriesCounts {
        self.series.entry(series.clone()).or_default()
    }

    /// Each series is counted from the beginning, at zero.
    pub(super) fn asked_for(&mut self, series: &[Series]) {
        for series in series {
            self.series(series);
        }
    }

    pub(super) fn planned(&mut self, n_partitions: usize, server_now: Epoch) {
        self.n_partitions = n_partitions as u64;
        self.server_time = Some(server_now);
    }

    pub(super) fn published(&mut self, published: &Published) {
        let counts = self.series(&published.key.series);
        counts.rows_new += published.n_new;
        counts.bytes += published.file_size;
        counts.published += 1;
    }

    pub(super) fn note_problem(&mut self, problem: &str) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(shortened(problem));
        } else {
            self.n_problems_left_out += 1;
        }
    }

    pub(super) fn summed_up(&mut self, summary: &Summary, held: &[(Series, String)]) {
        self.thrown_away = summary.thrown_away;
        for partition in &summary.partitions {
            let is_so = self.up_to_date.entry(partition.key.series.clone()).or_insert(true);
            *is_so &= partition.is_complete();
        }
        for (series, why) in summary.failed_series.iter().chain(held) {
            self.up_to_date.insert(series.clone(), false);
            self.note_problem(&format!("{series}: {why}"));
        }
        for partition in &summary.partitions {
            if let PartitionOutcome::Failed(why) | PartitionOutcome::LeftAlone(why) =
                &partition.outcome
            {
                self.note_problem(&format!("{}: {why}", partition.key));
            }
            if let Some(first) = partition.missing.iter().next() {
                let n_secs = partition.missing.len_secs();
                let key = &partition.key;
                self.note_problem(&format!("{key}: {n_secs} s are missing, first {first}"));
            }
            let standing = partition.standing.iter().filter(|f| f.weight() == Severity::Error);
            let news = partition.findings().filter(|f| f.severity == Severity::Error);
            for finding in news.chain(standing) {
                self.note_problem(&finding.to_string());
            }
        }
        match &summary.ending {
            Ending::Finished | Ending::Cancelled => {}
            Ending::Outage(why) | Ending::BudgetSpent(why) | Ending::StoreFailed { why, .. } => {
                self.note_problem(why);
            }
        }
        self.totals = totals(summary);
    }

    pub(super) fn end(&mut self, exit: ExitCode, at: Epoch) {
        self.took = Some(self.began.elapsed());
        self.ended = Some(Ended { exit, at, up_to_date: self.up_to_date.clone() });
    }

    /// What `last-run.json` says of it now.
    pub(super) fn note(&self, process: &Process, asked: &Asked, now: Epoch) -> RunNote {
        let sum = |of: fn(&SeriesCounts) -> u64| self.series.values().map(of).sum();
        let exit = self.ended.as_ref().map(|ended| ended.exit);
        RunNote {
            session: self.session.clone(),
            command: self.command.to_owned(),
            outcome: exit.map_or(RUNNING, ExitCode::word).to_owned(),
            exit_code: exit.map(ExitCode::number),
            started_at: self.started.to_string(),
            updated_at: now.to_string(),
            ended_at: self.ended.as_ref().map(|ended| ended.at.to_string()),
            server_time: self.server_time.map(|time| time.to_string()),
            elapsed_secs: self.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process.pid,
            host: process.host.clone(),
            process: process.mark.clone(),
            namespace: process.namespace.clone(),
            series: self.series.len() as u64,
            partitions: self.n_partitions,
            partitions_published: sum(|counts| counts.published),
            requests: asked.stats.requests,
            retries: asked.stats.retries,
            refusals: asked.stats.refusals,
            reconnects: asked.reconnects,
            waited_secs: asked.stats.waited.as_secs_f64(),
            rows_received: sum(|counts| counts.rows_received),
            rows_new: sum(|counts| counts.rows_new),
            bytes_written: sum(|counts| counts.bytes),
            details: Some(self.details(asked)),
        }
    }

    fn details(&self, asked: &Asked) -> Value {
        let retries: Map<_, _> =
            asked.tally.retries.iter().map(|(cause, n)| ((*cause).to_owned(), json!(n))).collect();
        let waited = asked.tally.waited.iter();
        let waited: Map<_, _> =
            waited.map(|(cause, time)| ((*cause).to_owned(), json!(time.as_secs_f64()))).collect();
        json!({
            "arguments": self.arguments,
            "retries": retries,
            "waited_secs": waited,
            "thrown_away": asked.stats.thrown_away.plus(&self.thrown_away),
            "totals": self.totals,
            "problems": self.problems,
            "problems_left_out": self.n_problems_left_out,
        })
    }
}

fn totals(summary: &Summary) -> Map<String, Value> {
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut gaps: BTreeMap<String, u64> = BTreeMap::new();
    let mut findings: BTreeMap<String, u64> = BTreeMap::new();
    let (mut rows, mut duplicates) = (0, 0);
    for partition in &summary.partitions {
        let (word, record_count) = match &partition.outcome {
            PartitionOutcome::Published(published) => {
                duplicates += published.duplicates_removed;
                for gap in &published.gaps {
                    *gaps.entry(word_of(&gap.class)).or_default() += 1;
                }
                ("published", published.record_count)
            }
            PartitionOutcome::UpToDate { record_count } => ("up_to_date", *record_count),
            PartitionOutcome::Locked { record_count } => ("locked", *record_count),
            PartitionOutcome::NotOffered => ("not_offered", 0),
            PartitionOutcome::Staged => ("staged", 0),
            PartitionOutcome::NotReached => ("not_reached", 0),
            PartitionOutcome::Failed(_) | PartitionOutcome::LeftAlone(_) => ("failed", 0),
        };
        *outcomes.entry(word).or_default() += 1;
        rows += record_count;
        for finding in partition.findings() {
            *findings.entry(finding.severity.word().to_owned()).or_default() += 1;
        }
    }
    let totals = json!({
        "complete": summary.is_complete(),
        "rows": rows,
        "duplicates_removed": duplicates,
        "partitions": outcomes,
        "gaps": gaps,
        "findings": findings,
    });
    match totals {
        Value::Object(totals) => totals,
        _ => Map::new(),
    }
}

/// The word that a value has in JSON.
fn word_of(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}
