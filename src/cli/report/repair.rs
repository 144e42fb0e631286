//! What a repair did, or would do, as text and as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::{
    AskReason, Doubt, Evidence, Finding, PartitionKey, RangeSet, Remedy, Series, Severity,
};
use crate::download::{Ending, Orders, PartitionSummary, Plan, Summary};
use crate::integrity::Report;

use super::super::exit::ExitCode;
use super::json::{partition, ranges, with_head, with_key, with_reasons};
use super::text::{Align, Table, counted, span, thousands};
use super::{findings, place, problem_text, write_findings};

/// Ranges of one partition that are shown as text; `--json` has all.
const SHOWN_RANGES: usize = 5;

/// What a repair did, or would do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Repaired {
    /// Whether nothing was done.
    pub is_dry_run: bool,
    /// Errors that the first check found.
    pub n_found: u64,
    /// Findings that the last check found.
    pub left: Vec<Finding>,
    /// What came up against it in this run: prices refused, seconds lost.
    pub refused: Vec<Finding>,
    /// Why what is left cannot be brought back, as far as the archive says.
    pub stands: Vec<Finding>,
    /// What was to be done, partition by partition.
    pub partitions: BTreeMap<PartitionKey, RepairedPartition>,
    /// What could not be done, and why.
    pub problems: Vec<(PartitionKey, String)>,
    /// Series that another run holds, with who does.
    pub held: Vec<(Series, String)>,
    /// Series that could not be worked on.
    pub failed_series: Vec<(Series, String)>,
    /// How the asking ended; `None` if nothing was asked.
    pub ending: Option<Ending>,
    /// Requests that went out.
    pub requests: u64,
    /// Days whose rows beside what was asked were proved to be the same as before.
    pub n_proved_days: u64,
}

/// One partition of a repair.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RepairedPartition {
    /// What was done with its files, in words.
    pub remedy: String,
    /// What was to be asked, and why.
    pub doubts: Vec<Doubt>,
    /// Requests that are estimated for it; of a dry run alone.
    pub n_requests: u64,
    /// What the source does not offer of it; of a dry run alone.
    pub behind_wall: RangeSet,
    /// What became of it.
    pub outcome: Option<PartitionSummary>,
}

/// The errors that a check found in one partition.
pub fn errors_of(report: &Report, key: &PartitionKey) -> usize {
    let of_key = report.partitions.iter().filter(|partition| partition.key == *key);
    let findings = of_key.flat_map(|partition| &partition.findings);
    findings.filter(|finding| finding.severity == Severity::Error).count()
}

impl Repaired {
    /// Notes what the first check found.
    pub fn note_found(&mut self, report: &Report) {
        self.n_found = report.n_errors;
    }

    /// Notes what the last check found.
    pub fn note_end(&mut self, report: &Report, evidence: &[Evidence]) {
        self.stands.clear();
        for found in evidence {
            let is_asked = self.partitions.get(&found.key).is_some_and(|p| !p.doubts.is_empty());
            if is_asked || errors_of(report, &found.key) > 0 {
                self.stands.extend(found.said.iter().cloned());
            }
        }
        let told = report.all_findings().filter(|finding| finding.severity > Severity::Info);
        self.left = told.cloned().collect();
    }

    /// Notes the broken partitions that nobody may touch.
    pub fn note_left(&mut self, report: &Report, evidence: &[Evidence]) {
        for found in evidence.iter().filter(|found| errors_of(report, &found.key) > 0) {
            match &found.remedy {
                _ if found.is_locked => {
                    self.note_problem(&found.key, "it is locked by its sidecar and stays as it is");
                }
                Remedy::Leave(why) => self.note_problem(&found.key, why),
                _ => {}
            }
        }
    }

    /// Notes what could not be done.
    pub fn note_problem(&mut self, key: &PartitionKey, why: &str) {
        let problem = (key.clone(), why.to_owned());
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Notes what is about to be done.
    pub fn note_intent(&mut self, evidence: &[Evidence], orders: &Orders) {
        for (key, order) in &orders.0 {
            let partition = self.partitions.entry(key.clone()).or_default();
            let news = order.doubts.iter().filter(|doubt| !partition.doubts.contains(doubt));
            let news: Vec<_> = news.copied().collect();
            partition.doubts.extend(news);
        }
        for found in evidence.iter().filter(|found| !found.is_locked) {
            let Some(remedy) = remedy_word(&found.remedy) else { continue };
            self.partitions.entry(found.key.clone()).or_default().remedy = remedy;
        }
    }

    /// Notes what asking would take.
    pub fn note_plan(&mut self, plan: &Plan, orders: &Orders) {
        self.failed_series.clone_from(&plan.failed_series);
        for planned in &plan.partitions {
            let Some(partition) = self.partitions.get_mut(&planned.key) else { continue };
            let is_check =
                |d: &&Doubt| matches!(d.reason, AskReason::Unexplained | AskReason::SecondLook);
            let n_checks = partition.doubts.iter().filter(is_check);
            partition.n_requests = planned.n_requests + n_checks.count() as u64;
            let Some(order) = orders.0.get(&planned.key) else { continue };
            // What nobody ever asked for, or what was not offered before, is not lost now.
            let held = order.doubts.iter().filter(|doubt| doubt.reason != AskReason::NeverAsked);
            let mut behind = held.map(|doubt| doubt.range).collect::<RangeSet>();
            behind.remove_all(&planned.missing);
            let wall = planned.lost.iter().chain(planned.not_offered).collect::<RangeSet>();
            for range in wall.iter() {
                partition.behind_wall.extend(&behind.within(range));
            }
        }
    }

    /// Notes what became of it.
    pub fn note_summary(&mut self, summary: Summary) {
        for outcome in summary.partitions {
            let errors = outcome.findings().filter(|finding| finding.severity == Severity::Error);
            for finding in errors {
                if !self.refused.contains(finding) {
                    self.refused.push(finding.clone());
                }
            }
            let partition = self.partitions.entry(outcome.key.clone()).or_default();
            partition.outcome = Some(outcome);
        }
        self.failed_series = summary.failed_series;
        self.ending = Some(summary.ending);
    }

    /// Tells whether nothing is broken any more.
    pub fn is_mended(&self) -> bool {
        let is_complete =
            |p: &RepairedPartition| p.outcome.as_ref().is_none_or(PartitionSummary::is_complete);
        self.problems.is_empty()
            && self.held.is_empty()
            && self.failed_series.is_empty()
            && self.is_sound()
            && self.partitions.values().all(is_complete)
    }

    /// Of a dry run: tells whether nothing is known to stand against a repair.
    pub fn is_possible(&self) -> bool {
        let is_offered = |p: &RepairedPartition| p.behind_wall.is_empty();
        let is_free = self.problems.is_empty() && self.failed_series.is_empty();
        is_free && self.partitions.values().all(is_offered)
    }

    /// Everything that stands against it, each once.
    fn reasons(&self) -> Vec<&Finding> {
        let mut reasons: Vec<&Finding> = Vec::new();
        for finding in self.refused.iter().chain(&self.stands) {
            // What a publish found and a later round mended is left by neither check nor sidecar.
            let is_settled = !self.stands.contains(finding) && self.is_sound();
            if !is_settled && !reasons.contains(&finding) {
                reasons.push(finding);
            }
        }
        reasons
    }

    fn is_sound(&self) -> bool {
        !self.left.iter().any(|finding| finding.severity == Severity::Error)
    }
}

fn remedy_word(remedy: &Remedy) -> Option<String> {
    Some(match remedy {
        Remedy::Keep | Remedy::Leave(_) => return None,
        Remedy::RebuildSidecar => "sidecar anew".to_owned(),
        Remedy::Rewrite { .. } => "file anew, old one in quarantine".to_owned(),
        Remedy::Salvage => "good days anew, old file in quarantine".to_owned(),
        Remedy::Return(home) => format!("file back to {home}"),
    })
}

/// Writes what was done, or would be.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, root: &Path, repaired: &Repaired) -> io::Result<()> {
    let name = super::escaped(&root.display().to_string());
    if !repaired.partitions.is_empty() {
        write_partitions(out, repaired)?;
        writeln!(out)?;
    }
    let found = counted(repaired.n_found, "error");
    if repaired.is_dry_run {
        let n_requests: u64 = repaired.partitions.values().map(|p| p.n_requests).sum();
        let requests = counted(n_requests, "request");
        return writeln!(out, "`{name}`: {found}; about {requests}; nothing was written");
    }
    let verdict = match (repaired.is_mended(), repaired.partitions.is_empty()) {
        (true, true) => "is sound, nothing was to be done",
        (true, false) => "is mended",
        (false, _) => "is not mended",
    };
    writeln!(
        out,
        "`{name}` {verdict}: {found} found, {} left, {}, {} proved unchanged beside what was asked",
        thousands(repaired.left.iter().filter(|f| f.severity == Severity::Error).count() as u64),
        counted(repaired.requests, "request"),
        counted(repaired.n_proved_days, "day"),
    )?;
    let mut findings = repaired.reasons();
    let is_news = |left: &&Finding| !findings.iter().any(|told| told.says_the_same_as(left));
    let left: Vec<_> = repaired.left.iter().filter(is_news).collect();
    findings.extend(left);
    write_findings(out, root, &findings)
}

fn write_partitions(out: &mut dyn Write, repaired: &Repaired) -> io::Result<()> {
    let mut table = Table::new(&[
        ("series", Align::Left),
        ("month", Align::Left),
        ("files", Align::Left),
        ("ask", Align::Right),
        ("why", Align::Left),
        (if repaired.is_dry_run { "requests" } else { "new rows" }, Align::Right),
    ]);
    for (key, partition) in &repaired.partitions {
        table.push(row(key, partition, repaired.is_dry_run));
    }
    for line in table.lines() {
        writeln!(out, "{line}")?;
    }
    for (key, partition) in &repaired.partitions {
        for doubt in partition.doubts.iter().take(SHOWN_RANGES) {
            writeln!(out, "  {key}: {} {}", doubt.reason, doubt.range)?;
        }
        if partition.doubts.len() > SHOWN_RANGES {
            let more = partition.doubts.len() - SHOWN_RANGES;
            writeln!(out, "  {key}: and {more} more; `--json` lists all")?;
        }
        for range in partition.behind_wall.iter() {
            writeln!(out, "  {key}: no longer offered by the source {range}")?;
        }
    }
    Ok(())
}

fn row(key: &PartitionKey, partition: &RepairedPartition, is_dry_run: bool) -> Vec<String> {
    let asked: RangeSet = partition.doubts.iter().map(|doubt| doubt.range).collect();
    let secs = asked.len_secs().unsigned_abs();
    let mut reasons: Vec<_> = partition.doubts.iter().map(|doubt| doubt.reason.word()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let n_new = match partition.outcome.as_ref().map(|outcome| &outcome.outcome) {
        Some(crate::download::PartitionOutcome::Published(published)) => published.n_new,
        _ => 0,
    };
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    vec![
        key.series.to_string(),
        key.month.to_string(),
        dash(partition.remedy.clone()),
        if secs == 0 { "-".to_owned() } else { span(Duration::from_secs(secs)) },
        dash(reasons.join(", ")),
        thousands(if is_dry_run { partition.n_requests } else { n_new }),
    ]
}

/// What stands against it, for stderr.
pub fn problems(repaired: &Repaired) -> String {
    let mut text = String::new();
    for (key, why) in &repaired.problems {
        text.push_str(&problem_text(&[format!("{key} is not mended"), why.clone()], None));
    }
    for (series, why) in &repaired.failed_series {
        let chain = [format!("{series} could not be worked on"), why.clone()];
        text.push_str(&problem_text(&chain, None));
    }
    for (series, owner) in &repaired.held {
        let chain = [format!("{series} was left out: it is being written by {owner}")];
        text.push_str(&problem_text(&chain, None));
    }
    let (what, why) = match &repaired.ending {
        Some(Ending::Outage(seen)) => ("the source is unavailable", seen),
        Some(Ending::BudgetSpent(why)) => ("the run stopped at its own budget", why),
        Some(Ending::StoreFailed { why, .. }) => ("the archive could not be written", why),
        _ => return text,
    };
    let hint = "everything answered is kept; run the same command again";
    text + &problem_text(&[what.to_owned(), why.clone()], Some(hint))
}

/// The same as one JSON object.
pub fn json(repaired: &Repaired, root: &Path, session: &str, exit: ExitCode) -> Value {
    let place = place(root);
    let doubt = |doubt: &Doubt| {
        json!({
            "reason": doubt.reason.word(),
            "start": doubt.range.start(),
            "end": doubt.range.end(),
        })
    };
    let of = |(key, found): (&PartitionKey, &RepairedPartition)| {
        let body = json!({
            "files": found.remedy,
            "asked": found.doubts.iter().map(doubt).collect::<Vec<_>>(),
            "requests_estimated": found.n_requests,
            "not_offered": ranges(&found.behind_wall),
            "result": found.outcome.as_ref().map(|outcome| partition(outcome, &place)),
        });
        with_key(key, body)
    };
    let problem = |(key, why): &(PartitionKey, String)| with_key(key, json!({ "reason": why }));
    let body = json!({
        "root": root.display().to_string(),
        "dry_run": repaired.is_dry_run,
        "mended": repaired.is_mended(),
        "errors_found": repaired.n_found,
        "requests": repaired.requests,
        "days_proved_unchanged": repaired.n_proved_days,
        "partitions": repaired.partitions.iter().map(of).collect::<Vec<_>>(),
        "problems": repaired.problems.iter().map(problem).collect::<Vec<_>>(),
        "findings": findings(&repaired.left, &place),
        "reasons": findings(repaired.reasons(), &place),
        "failed_series": with_reasons(&repaired.failed_series),
        "held_series": with_reasons(&repaired.held),
    });
    with_head("repair", session, exit, &Value::Null, body)
}
