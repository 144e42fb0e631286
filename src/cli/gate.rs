//! Whether an archive is proved as far as was required. Pure, and it fails closed: what is not
//! known to be so falls short.

use std::time::Duration;

use crate::domain::{Epoch, Granularity, Kind, Series, Severity, Stop, StopReason, Symbol};
use crate::integrity::{SeriesSurvey, Survey};

use super::report::text::span;
use super::settings::look::{Asked, Requirement};

/// A watermark may lie so far in the future of this machine's clock before one of both is wrong.
const CLOCK_TOLERANCE_SECS: i64 = 300;

/// What falls short, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The series, or what was asked for and is not there.
    pub what: String,
    /// Why, to be read after it.
    pub reason: String,
}

/// Everything that falls short of what is required; nothing if the archive may be relied on.
pub fn shortfalls(
    survey: &Survey,
    asked: &Asked,
    requirement: Requirement,
    now: Epoch,
) -> Vec<Shortfall> {
    let mut short = Vec::new();
    for finding in survey.blind_spots() {
        let reason = format!("cannot be looked at: {}", finding.found);
        short.push(Shortfall { what: finding.subject.clone(), reason });
    }
    short.extend(absent(survey, asked));
    for series in &survey.series {
        let what = || series.series.to_string();
        let all = series_reasons(series, requirement, now);
        short.extend(all.into_iter().map(|reason| Shortfall { what: what(), reason }));
    }
    short
}

/// What was asked for by name and is not there.
fn absent(survey: &Survey, asked: &Asked) -> Vec<Shortfall> {
    let has = |symbol: &Symbol, wanted: &dyn Fn(Kind) -> bool| {
        survey.series.iter().any(|found| {
            let Series { symbol: of, kind } = &found.series;
            of == symbol && wanted(*kind) && !found.months.is_empty()
        })
    };
    let mut symbols: Vec<_> = asked.symbols.iter().collect();
    if symbols.is_empty() {
        symbols = survey.series.iter().map(|found| &found.series.symbol).collect();
    }
    symbols.sort_unstable();
    symbols.dedup();
    let nothing = |what: String| Shortfall { what, reason: "holds no data".to_owned() };
    if symbols.is_empty() {
        return vec![nothing("the archive".to_owned())];
    }
    let mut short = Vec::new();
    for symbol in symbols {
        if !has(symbol, &|_| true) {
            short.push(nothing(symbol.to_string()));
            continue;
        }
        let mut wanted: Vec<Kind> = Vec::new();
        wanted.extend(asked.ticks.then_some(Kind::Ticks));
        wanted.extend(asked.granularities.iter().map(|width: &Granularity| Kind::Candles(*width)));
        for kind in wanted.into_iter().filter(|kind| !has(symbol, &|found| found == *kind)) {
            short.push(nothing(Series { symbol: symbol.clone(), kind }.to_string()));
        }
        let is_candles = |kind| matches!(kind, Kind::Candles(_));
        if asked.candles && !has(symbol, &is_candles) {
            short.push(nothing(format!("{symbol} candles")));
        }
    }
    short
}

fn series_reasons(series: &SeriesSurvey, requirement: Requirement, now: Epoch) -> Vec<String> {
    if series.months.is_empty() {
        // Named by its absence already if it was asked for; staged answers are no data yet.
        return vec!["has staged answers and no published month".to_owned()];
    }
    let mut reasons: Vec<_> = series
        .standing
        .problems
        .iter()
        .map(|(month, problem)| format!("cannot be relied on in {month}: {problem}"))
        .collect();
    for month in &series.months {
        let findings = month.sidecar.iter().flat_map(|sidecar| &sidecar.findings);
        let damage = findings.filter(|finding| finding.weight() == Severity::Error);
        reasons.extend(damage.map(|f| format!("is broken in {}: {f}", month.month)));
    }
    reasons.extend(not_through(series, requirement, now));
    reasons
}

fn not_through(series: &SeriesSurvey, requirement: Requirement, now: Epoch) -> Option<String> {
    let standing = &series.standing;
    let stopped = standing.stopped_by.as_ref().map(|stop| format!("; {}", stop_words(stop)));
    let stopped = stopped.unwrap_or_default();
    let Some(mark) = standing.watermark else {
        return Some(format!("is proved for no second{stopped}"));
    };
    match requirement {
        Requirement::Time(time) if mark < time => {
            Some(format!("is proved through {mark}, and not through {time}{stopped}"))
        }
        Requirement::Time(_) => None,
        Requirement::Age(_) if mark.since(now) > CLOCK_TOLERANCE_SECS => Some(format!(
            "is proved through {mark}, which this machine's clock takes for the future: it is {now} there"
        )),
        Requirement::Age(most) => {
            let age = Duration::from_secs(u64::try_from(now.since(mark)).unwrap_or(0));
            let most_shown = span(most);
            (age >= most).then(|| {
                format!(
                    "is proved through {mark}, {} ago, and not {most_shown}{stopped}",
                    span(age)
                )
            })
        }
    }
}

/// Why a watermark goes no further.
pub fn stop_words(stop: &Stop) -> String {
    let Stop { start, end, reason } = stop;
    match reason {
        StopReason::NeverAsked => {
            format!("{start} to {end} was never asked or cannot be relied on")
        }
        StopReason::Failed => format!("every attempt to ask for {start} to {end} failed"),
        StopReason::NotOffered => format!("{start} to {end} was not offered, with rows before it"),
        StopReason::UnexplainedGap => format!("nothing explains the silence from {start} to {end}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{Finding, FindingKind};
    use crate::integrity::survey::{MonthSurvey, Staged};

    use super::super::report::samples;
    use super::*;

    const NOW: i64 = 1_773_000_000;

    /// `R_100 ticks`, proved through ten minutes ago.
    fn sound() -> SeriesSurvey {
        let mut standing = crate::format::Standing::of(&samples::series(Kind::Ticks), &[]);
        standing.watermark = Some(Epoch::new(NOW - 600));
        standing.months = vec!["2026-03".to_owned()];
        let month = "2026-03".parse().unwrap();
        let month = MonthSurvey { month, sidecar: None, problem: None, file_size: Some(1) };
        let staged = Staged::default();
        SeriesSurvey { series: samples::series(Kind::Ticks), standing, months: vec![month], staged }
    }

    fn check(
        series: Vec<SeriesSurvey>,
        asked: &Asked,
        requirement: Requirement,
        expected: &[&str],
    ) {
        let survey = Survey { series, findings: Vec::new() };
        let found = shortfalls(&survey, asked, requirement, Epoch::new(NOW));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (short, part) in found.iter().zip(expected) {
            let text = format!("{} {}", short.what, short.reason);
            assert!(text.contains(part), "`{part}` is not in `{text}`");
        }
    }

    const AGE: Requirement = Requirement::Age(Duration::from_secs(900));

    #[test]
    fn an_age_and_a_time_are_kept_or_not() {
        let any = Asked::default();
        let age = |secs| Requirement::Age(Duration::from_secs(secs));
        let time = |after: i64| Requirement::Time(Epoch::new(NOW - 600 + after));
        check(vec![sound()], &any, age(601), &[]);
        check(vec![sound()], &any, age(600), &["10m 00s ago, and not 10m 00s"]);
        check(vec![sound()], &any, time(0), &[]);
        check(vec![sound()], &any, time(1), &["and not through"]);
        let mut ahead = sound();
        ahead.standing.watermark = Some(Epoch::new(NOW + 300));
        check(vec![ahead.clone()], &any, AGE, &[]);
        ahead.standing.watermark = Some(Epoch::new(NOW + 301));
        check(vec![ahead], &any, AGE, &["the future"]);
    }

    #[test]
    fn what_is_not_there_falls_short() {
        check(vec![], &Asked::default(), AGE, &["the archive holds no data"]);
        let symbols = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let asked = Asked { symbols: symbols(&["R_100", "R_50"]), ..Asked::default() };
        check(vec![sound()], &asked, AGE, &["R_50 holds no data"]);
        let asked = Asked { candles: true, ..Asked::default() };
        check(vec![sound()], &asked, AGE, &["R_100 candles holds no data"]);
        let granularities = vec![Granularity::MINUTE];
        let asked = Asked { ticks: true, granularities, ..Asked::default() };
        check(vec![sound()], &asked, AGE, &["R_100 candles 60s holds no data"]);
        let staged = SeriesSurvey { months: Vec::new(), ..sound() };
        check(vec![staged], &Asked::default(), AGE, &["R_100 holds no data", "no published month"]);
    }

    #[test]
    fn what_cannot_be_relied_on_falls_short() {
        let any = Asked::default();
        let mut nothing = sound();
        nothing.standing.watermark = None;
        check(vec![nothing], &any, AGE, &["is proved for no second"]);
        let mut broken = sound();
        broken.standing.problems.insert("2026-02".to_owned(), "its sidecar is missing".to_owned());
        check(vec![broken], &any, AGE, &["cannot be relied on in 2026-02: its sidecar is missing"]);
        let blind = Survey {
            series: vec![sound()],
            findings: vec![Finding::error(FindingKind::Unreadable, "R_50", "a folder", "denied")],
        };
        assert_eq!(shortfalls(&blind, &any, AGE, Epoch::new(NOW)).len(), 1);
    }

    #[test]
    fn damage_falls_short_and_a_changed_mind_does_not() {
        let with = |kind| {
            let text = r#"{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks",
                "granularity": null, "start_epoch": 0, "end_epoch": 0, "record_count": 0,
                "gaps_detected": 0, "duplicates_removed": 0}"#;
            let mut sidecar = crate::format::Sidecar::from_json(text.as_bytes()).unwrap();
            sidecar.findings = vec![Finding::error(kind, "a", "b", "c")];
            let mut series = sound();
            series.months[0].sidecar = Some(Box::new(sidecar));
            vec![series]
        };
        let any = Asked::default();
        check(with(FindingKind::RowsHash), &any, AGE, &["is broken in 2026-03: error rows_hash"]);
        check(with(FindingKind::Restatement), &any, AGE, &[]);
    }
}
