//! `status` and `explain` as JSON.
//!
//! `status` adds `root`, `now` (by this machine), `required` (null, or `proved_as_required` and
//! `shortfalls`: `what`, `reason`), `last_run` (null, or the keys of
//! `.titan/last-run.json`), `findings`, and `series`: the keys of a series in
//! `.titan/watermark.json`, `watermark_age_secs`, `staged` (`segments`, `start`, `end`,
//! `publishing`), and `partitions`: `month`, `state`, `rows`, `file_size`, `locked`, `foreign`,
//! `problem`, `findings` (errors and warnings of its sidecar, by what they mean now). In `calendar` each month is one letter a day: `#` full, `c` market closed,
//! `+` partial, `x` missing, `-` not offered, `.` future.
//!
//! `explain` adds series, `epoch`, `row_epoch` (of a candle: its open), `verdict` (`row`, `silent`,
//! `gap`, `failed`, `not_offered`, `never_asked`, `unknown`), `sentence`, `row`, `before` and
//! `after` (`epoch`, `prices`, `month`, `row_group` from 0), `cadence_secs`, `coverage`, `gap`,
//! `partition`, `standing`, `candles` (`granularity`, `open`, `prices`), `findings`,
//! `other_findings`, `staged` (`segments`, `start`, `end`, `publishing`, `holds_it`), `quarantine`
//! and `contradictions`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::domain::{EpochRange, Finding, Place, Severity};
use crate::integrity::explain::{CandleAround, Explanation, PlacedRow};
use crate::integrity::survey::{MonthSurvey, SeriesSurvey, Staged};

use super::super::super::exit::ExitCode;
use super::super::calendar;
use super::super::explain::sentence;
use super::super::status::Shown;
use super::super::{findings, place};
use super::{joined, with_head, with_series};

/// How an archive stands.
pub fn status(shown: &Shown<'_>, session: &str, exit: ExitCode) -> Value {
    let place = place(shown.root);
    let required = shown.shortfalls.map(|short| {
        let one = |s: &super::super::super::gate::Shortfall| json!({ "what": s.what, "reason": s.reason });
        let all: Vec<_> = short.iter().map(one).collect();
        json!({ "proved_as_required": all.is_empty(), "shortfalls": all })
    });
    let one = |found: &SeriesSurvey| {
        let days: BTreeMap<String, String> = calendar::days(found, shown.now)
            .into_iter()
            .map(|(month, cells)| {
                (month.to_string(), cells.into_iter().map(calendar::letter).collect())
            })
            .collect();
        let standing = serde_json::to_value(&found.standing).expect("plain values become JSON");
        let more = json!({
            "watermark_age_secs": found.standing.watermark.map(|mark| shown.now.since(mark)),
            "staged": staged(&found.staged),
            "partitions": found.months.iter().map(|month| partition(month, &place)).collect::<Vec<_>>(),
            "calendar": days,
        });
        joined(standing, more)
    };
    let body = json!({
        "root": shown.root.display().to_string(),
        "now": shown.now,
        "required": required,
        "last_run": shown.last_run,
        "findings": findings(&shown.survey.findings, &place),
        "series": shown.survey.series.iter().map(one).collect::<Vec<_>>(),
    });
    with_head("status", session, exit, &Value::Null, body)
}

fn partition(month: &MonthSurvey, place: &Place) -> Value {
    let sidecar = month.sidecar.as_ref();
    let told = sidecar.iter().flat_map(|sidecar| &sidecar.findings).map(Finding::weighed);
    let told: Vec<_> = told.filter(|finding| finding.severity > Severity::Info).collect();
    json!({
        "month": month.month.to_string(),
        "state": sidecar.and_then(|sidecar| sidecar.state),
        "rows": sidecar.map(|sidecar| sidecar.record_count),
        "file_size": month.file_size,
        "locked": sidecar.is_some_and(|sidecar| sidecar.locked),
        "foreign": sidecar.is_some_and(|sidecar| sidecar.is_foreign()),
        "problem": month.problem,
        "findings": findings(&told, place),
    })
}

fn staged(staged: &Staged) -> Value {
    json!({
        "segments": staged.n_segments,
        "start": staged.span().map(EpochRange::start),
        "end": staged.span().map(EpochRange::end),
        "publishing": staged.is_publishing,
    })
}

/// Where one second comes from.
pub fn explain(root: &Path, found: &Explanation, session: &str, exit: ExitCode) -> Value {
    let partition = &found.partition;
    let holds_it = found.staged.ranges.iter().any(|range| range.contains(found.epoch));
    let body = json!({
        "epoch": found.epoch,
        "row_epoch": found.row_epoch,
        "verdict": found.verdict.word(),
        "sentence": sentence(found),
        "row": found.row.as_ref().map(placed),
        "before": found.before.as_ref().map(placed),
        "after": found.after.as_ref().map(placed),
        "cadence_secs": found.cadence_secs,
        "coverage": found.coverage,
        "gap": found.gap,
        "partition": {
            "path": partition.path,
            "exists": partition.exists,
            "row_groups": partition.row_groups,
            "rows": partition.rows,
            "state": partition.state,
            "locked": partition.is_locked,
            "foreign": partition.is_foreign,
            "day_rows": partition.day_rows,
            "day_proved": partition.day_is_proved,
        },
        "standing": found.standing,
        "candles": found.candles.iter().map(candle).collect::<Vec<_>>(),
        "findings": findings(&found.findings, &place(root)),
        "other_findings": found.n_other_findings,
        "staged": joined(staged(&found.staged), json!({ "holds_it": holds_it })),
        "quarantine": found.quarantine,
        "contradictions": found.contradictions,
    });
    with_head("explain", session, exit, &Value::Null, with_series(&found.series, body))
}

fn placed(placed: &PlacedRow) -> Value {
    json!({
        "epoch": placed.row.epoch,
        "prices": placed.row.prices,
        "month": placed.month.to_string(),
        "row_group": placed.row_group,
    })
}

fn candle(candle: &CandleAround) -> Value {
    json!({
        "granularity": candle.granularity,
        "open": candle.open,
        "prices": candle.row.as_ref().map(|row| &row.prices),
    })
}
