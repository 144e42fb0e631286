//! Results as one JSON object. Part of the stability promise: keys are added, never changed.
//!
//! Every object has `command`, `session`, `exit_code` and `error` (null, or `message`, `causes`
//! and `hint`). Times are epochs in seconds, lengths of time are seconds, sizes are bytes. Which
//! series is meant is said by `symbol`, `kind` (`ticks`, `candles`) and `granularity` (null for ticks).
//!
//! `download` adds `complete`, `ending` (`finished`, `cancelled`, `budget_spent`, `outage`,
//! `store_failed`),
//! `ending_reason`, `elapsed_secs`, `rows`, `rows_new`, `requests`, `retries`, `refusals`,
//! `waited_secs` and the same by cause in `waits` (added up over callers), `breaker` (`state`,
//! `openings`), `rows_per_sec` (new ones), `requests_per_min`, `bytes_written`,
//! `duplicates_removed`, `gaps` (count by class in what was written), `findings` (count),
//! `open_restatements` (prices that an earlier run refused and nobody took), and the lists
//! - `partitions`: series, `month`, `outcome` (`published`, `up_to_date`, `locked`, `not_offered`, `staged`, `not_reached`,
//!   `failed`), `reason`, `complete`, `state`, `rows`, `rows_new`, `duplicates_removed`,
//!   `file_size`, `path`, `gaps` (count by class), `findings` (of this run), `standing` (of earlier
//!   ones), `missing` (ranges `start`, `end`), `pages`;
//! - `not_reached`: series, `month`, `ranges`: what a run that ended early leaves to the next one;
//! - `not_offered`: series, `months`, `history_begins`, `is_confirmed` (by a later run);
//! - `failed_series` and `held_series`: series, `reason`.
//! - `notices`: findings about series for which nothing was to be done.
//!
//! `plan` (a dry run) adds `server_now`, `requests`, `rows`, `bytes_needed` (most at once), `bytes_free`
//! (null if unknown), `estimated_secs` (null if nothing bounds the rate), `rate_ceiling`, `rate_now`
//! and `rate_aim` (requests a minute, as learned), `failed_series`, `held_series`, `history_begins`
//! (series, epoch), and `partitions`: series, `month`, `standing` (`proved`, `to_ask`,
//! `not_offered`, `kept`, `locked`), `state`, `rows_on_disk`, `wanted`, `not_offered`, `missing`,
//! `missing_secs`, `again_secs` (asked only to be compared), `requests`, `rows`, `bytes_needed`,
//! `estimated_secs`. `error` says why a real run could not start, if it could not.
//!
//! `adopt` adds `root`, `dry_run`, `rows_kept`, `rows_set_aside`, `strangers` (findings),
//! `held_series`, and `partitions`: series, `month`, `fate` (`adopted`, `set_aside`, `locked`,
//! `failed`), `reason`, `rows` (in the old file), `rows_kept`, `rows_repeated`, `rows_set_aside`,
//! `quarantined` (paths), `findings`.
//!
//! `verify` adds `root`, `sound`, `partitions`, `rows`, `findings`, and `report` with every detail.
//! What `status` and `explain` add is said in `look`, what `symbols` and `doctor` add in their files.

mod look;

use std::path::Path;

use serde_json::{Value, json};

use crate::domain::{EpochRange, PartitionKey, Place, RangeSet, Series};
use crate::download::{Ending, PartitionOutcome, PartitionSummary, Plan, Summary};
use crate::resilience::WaitTimes;

use crate::storage::Adoption;

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::settings::Rate;
use super::adopt::TakenOver;
use super::plan::{PlanFacts, Standing};
use super::summary::{gap_counts, is_provisional, not_offered, rows, speed, walls, written};
use super::unreached::unreached;
use super::verify::Checked;
use super::{RunFacts, findings, kind_word, place};

pub use look::{explain, status};

/// A command that ended early.
pub fn failure(command: &str, session: &str, failure: &Failure) -> Value {
    with_head(command, session, failure.exit, &error(failure), json!({}))
}

fn error(failure: &Failure) -> Value {
    let chain = failure.chain();
    json!({
        "message": chain.first(),
        "causes": chain.get(1..).unwrap_or_default(),
        "hint": failure.hint,
    })
}

/// The end of a download.
pub fn summary(summary: &Summary, facts: &RunFacts) -> Value {
    let (ending, reason) = match &summary.ending {
        Ending::Finished => ("finished", None),
        Ending::Cancelled => ("cancelled", None),
        Ending::Outage(why) => ("outage", Some(why)),
        Ending::BudgetSpent(why) => ("budget_spent", Some(why)),
        Ending::StoreFailed { why, .. } => ("store_failed", Some(why)),
    };
    let (n_rows, n_new) = rows(summary);
    let all = written(summary);
    let walls = walls(summary, &facts.walls);
    let place = place(&facts.output);
    let of = |of: &PartitionSummary| partition(of, &place);
    let beyond: Vec<_> = not_offered(summary)
        .into_iter()
        .map(|(series, months)| {
            let months: Vec<_> = months.iter().map(ToString::to_string).collect();
            let begins = walls.get(&series);
            let is_confirmed = !is_provisional(summary, &series);
            let beginning = json!({
                "months": months,
                "history_begins": begins,
                "is_confirmed": is_confirmed,
            });
            with_series(&series, beginning)
        })
        .collect();
    let body = json!({
        "complete": summary.is_complete() && facts.held.is_empty(),
        "ending": ending,
        "ending_reason": reason,
        "elapsed_secs": summary.elapsed.as_secs_f64(),
        "rows": n_rows,
        "rows_new": n_new,
        "requests": facts.traffic.requests,
        "retries": facts.traffic.retries,
        "refusals": facts.traffic.refusals,
        "waited_secs": facts.traffic.waited.as_secs_f64(),
        "waits": waits(&facts.traffic.waits),
        "breaker": {
            "state": facts.traffic.breaker.state,
            "openings": facts.traffic.breaker.n_openings,
        },
        "rows_per_sec": speed(n_new, summary, 1.0),
        "requests_per_min": speed(facts.traffic.requests, summary, 60.0),
        "bytes_written": all.bytes,
        "duplicates_removed": all.duplicates,
        "gaps": gaps(all.gaps),
        "findings": summary.findings().count(),
        "open_restatements": summary
            .partitions
            .iter()
            .map(PartitionSummary::n_open_restatements)
            .sum::<u64>(),
        "thrown_away": facts.traffic.thrown_away.plus(&summary.thrown_away),
        "stray_answers": facts.traffic.stray_answers,
        "reconnects": facts.traffic.reconnects,
        "partitions": summary.partitions.iter().map(of).collect::<Vec<_>>(),
        "not_reached": unreached(summary).into_iter().map(left).collect::<Vec<_>>(),
        "not_offered": beyond,
        "failed_series": with_reasons(&summary.failed_series),
        "notices": summary.notices,
        "held_series": with_reasons(&facts.held),
    });
    with_head("download", &facts.session, facts.exit, &Value::Null, body)
}

/// Seconds waited, by cause.
fn waits(waits: &WaitTimes) -> Value {
    json!({
        "pace": waits.pace.as_secs_f64(),
        "hour_budget": waits.hour_budget.as_secs_f64(),
        "rate_limited": waits.rate_limited.as_secs_f64(),
        "breaker_open": waits.breaker_open.as_secs_f64(),
        "retry": waits.retry.as_secs_f64(),
    })
}

fn gaps(counts: [(&'static str, &'static str, usize); 6]) -> Value {
    Value::Object(counts.map(|(name, _, n)| (name.to_owned(), n.into())).into_iter().collect())
}

/// The plan of a dry run; `problem` if a real run could not start.
pub fn plan(plan: &Plan, facts: &PlanFacts, problem: Option<&Failure>) -> Value {
    let time = |n| facts.time_needed(n).map(|time| time.as_secs_f64());
    let planned = |p: &crate::download::PlannedPartition| {
        let body = json!({
            "standing": Standing::of(p).word(),
            "state": p.state,
            "rows_on_disk": p.record_count,
            "wanted": range(p.wanted),
            "not_offered": p.not_offered.map(range),
            "missing": ranges(&p.missing),
            "missing_secs": p.missing.len_secs(),
            "again_secs": p.again.len_secs(),
            "requests": p.n_requests,
            "rows": p.n_rows,
            "bytes_needed": p.n_bytes,
            "estimated_secs": time(p.n_requests),
        });
        with_key(&p.key, body)
    };
    let begins = |(series, wall): (&Series, &crate::domain::Epoch)| {
        with_series(series, json!({ "history_begins": wall }))
    };
    let ceiling = match facts.rate {
        Rate::PerMinute(rate) => Some(rate),
        Rate::Unlimited => None,
    };
    let body = json!({
        "server_now": plan.server_now,
        "requests": plan.n_requests(),
        "rows": plan.n_rows(),
        "bytes_needed": plan.n_bytes,
        "bytes_free": plan.free_bytes,
        "estimated_secs": time(plan.n_requests()),
        "rate_ceiling": ceiling,
        "rate_now": facts.pace.map(|pace| pace.per_minute),
        "rate_aim": facts.pace.map(|pace| pace.aim_per_minute),
        "partitions": plan.partitions.iter().map(planned).collect::<Vec<_>>(),
        "history_begins": super::plan::walls(plan).iter().map(begins).collect::<Vec<_>>(),
        "failed_series": with_reasons(&plan.failed_series),
        "notices": plan.notices,
        "held_series": with_reasons(&facts.held),
    });
    with_head("plan", &facts.session, facts.exit, &problem.map_or(Value::Null, error), body)
}

/// What a check found.
pub fn verify(root: &Path, checked: &Checked, session: &str, exit: ExitCode) -> Value {
    let body = json!({
        "root": root.display().to_string(),
        "sound": checked.is_sound(),
        "partitions": checked.n_partitions,
        "rows": checked.n_rows,
        "findings": findings(&checked.findings, &place(root)),
        "report": checked.report,
    });
    with_head("verify", session, exit, &Value::Null, body)
}

/// What became of the partitions of another tool.
pub fn adopt(root: &Path, result: &TakenOver, session: &str, exit: ExitCode) -> Value {
    let place = place(root);
    let partition = |(key, end): &(PartitionKey, Result<Adoption, Vec<String>>)| {
        let body = match end {
            Err(chain) => json!({ "fate": "failed", "reason": chain.join(": ") }),
            Ok(adoption) => json!({
                "fate": adoption.fate,
                "reason": null,
                "rows": adoption.n_rows,
                "rows_kept": adoption.n_kept,
                "rows_repeated": adoption.n_repeated,
                "rows_set_aside": adoption.n_set_aside,
                "quarantined": adoption
                    .quarantined
                    .iter()
                    .map(|place| place.display().to_string())
                    .collect::<Vec<_>>(),
                "findings": findings(&adoption.findings, &place),
            }),
        };
        with_key(key, body)
    };
    let totals = result.totals();
    let body = json!({
        "root": root.display().to_string(),
        "dry_run": result.is_dry_run,
        "rows_kept": totals.n_rows_kept,
        "rows_set_aside": totals.n_rows_set_aside,
        "partitions": result.partitions.iter().map(partition).collect::<Vec<_>>(),
        "strangers": findings(&result.strangers, &place),
        "held_series": with_reasons(&result.held),
    });
    with_head("adopt", session, exit, &Value::Null, body)
}

pub(super) fn partition(partition: &PartitionSummary, place: &Place) -> Value {
    let (outcome, reason) = match &partition.outcome {
        PartitionOutcome::Published(_) => ("published", None),
        PartitionOutcome::UpToDate { .. } => ("up_to_date", None),
        PartitionOutcome::Locked { .. } => ("locked", None),
        PartitionOutcome::NotOffered => ("not_offered", None),
        PartitionOutcome::Staged => ("staged", None),
        PartitionOutcome::NotReached => ("not_reached", None),
        PartitionOutcome::Failed(why) | PartitionOutcome::LeftAlone(why) => ("failed", Some(why)),
    };
    let mut body = json!({
        "outcome": outcome,
        "reason": reason,
        "complete": partition.is_complete(),
        "state": null,
        "rows": null,
        "rows_new": null,
        "duplicates_removed": null,
        "file_size": null,
        "path": null,
        "gaps": null,
        "findings": findings(partition.findings(), place),
        "standing": findings(&partition.standing, place),
        "missing": ranges(&partition.missing),
        "pages": partition.n_pages,
    });
    match &partition.outcome {
        PartitionOutcome::Published(published) => {
            body["state"] = json!(published.state);
            body["rows"] = published.record_count.into();
            body["rows_new"] = published.n_new.into();
            body["duplicates_removed"] = published.duplicates_removed.into();
            body["file_size"] = published.file_size.into();
            body["path"] = published.path.display().to_string().into();
            body["gaps"] = gaps(gap_counts(&published.gaps));
        }
        PartitionOutcome::UpToDate { record_count } | PartitionOutcome::Locked { record_count } => {
            body["rows"] = (*record_count).into();
            body["rows_new"] = 0.into();
        }
        _ => (),
    }
    with_key(&partition.key, body)
}

fn left((key, missing): (&PartitionKey, &RangeSet)) -> Value {
    with_key(key, json!({ "ranges": ranges(missing) }))
}

pub(super) fn with_head(
    command: &str,
    session: &str,
    exit: ExitCode,
    error: &Value,
    body: Value,
) -> Value {
    let head = json!({
        "command": command,
        "session": session,
        "exit_code": exit.number(),
        "error": error,
    });
    joined(head, body)
}

pub(super) fn with_key(key: &PartitionKey, body: Value) -> Value {
    with_series(&key.series, joined(json!({ "month": key.month.to_string() }), body))
}

fn with_series(series: &Series, body: Value) -> Value {
    let head = json!({
        "symbol": series.symbol,
        "kind": kind_word(series.kind),
        "granularity": series.kind.granularity(),
    });
    joined(head, body)
}

pub(super) fn with_reasons(series: &[(Series, String)]) -> Vec<Value> {
    series.iter().map(|(series, why)| with_series(series, json!({ "reason": why }))).collect()
}

fn range(range: EpochRange) -> Value {
    json!({ "start": range.start(), "end": range.end() })
}

pub(super) fn ranges(set: &RangeSet) -> Vec<Value> {
    set.iter().map(range).collect()
}

fn joined(mut head: Value, body: Value) -> Value {
    if let (Value::Object(head), Value::Object(body)) = (&mut head, body) {
        head.extend(body);
    }
    head
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_mixed_run() {
        let facts = samples::facts(ExitCode::Incomplete);
        insta::assert_json_snapshot!(super::summary(&samples::mixed_summary(), &facts));
    }

    #[test]
    fn a_plan() {
        let value = plan(&samples::plan(), &samples::plan_facts(), None);
        assert_eq!(
            (&value["error"], &value["partitions"][0]["standing"]),
            (&Value::Null, &"not_offered".into())
        );
        assert_eq!(value["partitions"][2]["standing"], "to_ask");
        assert_eq!(value["estimated_secs"], 402.0);
        assert_eq!(value["requests"], 1_340);
        assert_eq!(value["partitions"][0]["not_offered"]["start"], 1_764_547_200);
        assert_eq!(value["partitions"][1]["state"], "sealed");
        assert_eq!(value["partitions"][2]["missing_secs"], 31 * 86_400);
    }

    #[test]
    fn a_failure() {
        let error = Failure::cannot_start("no symbol").with_hint("name one");
        let value = failure("download", "s", &error);
        assert_eq!(value["exit_code"], 2);
        assert_eq!(value["error"]["message"], "no symbol");
        assert_eq!(value["error"]["causes"], json!([]));
        assert_eq!(value["error"]["hint"], "name one");
    }
}
