//! What the sidecar of a partition says: pure, from facts that others gathered.

use std::time::Duration;

use crate::domain::{
    Coverage, CoverageRange, CoverageState, Epoch, Finding, FindingState, Gap, GapClass,
    Inspection, Kind, Month, PartitionState, RangeSet, SilenceFacts,
};
use crate::format::sidecar::SCHEMA_VERSION;
use crate::format::{FORMAT_VERSION, Sidecar, SidecarCoverage};

use super::encode::FileFacts;
use super::segment::StagedSegment;

/// How far a month is from never changing again, by the source's clock.
pub(super) fn state(
    server_now: Epoch,
    settle_lag: Duration,
    month: Month,
    coverage: &Coverage,
) -> PartitionState {
    let range = month.range();
    let lag = i64::try_from(settle_lag.as_secs()).unwrap_or(i64::MAX);
    if server_now < range.end() {
        PartitionState::Open
    } else if server_now >= range.end().plus(lag) && coverage.missing(range).is_empty() {
        PartitionState::Sealed
    } else {
        PartitionState::Settling
    }
}

/// The state while nobody knows the time: never sealed, and open unless the month's last second
/// is covered, which it cannot be before the month is over.
pub(super) fn state_without_clock(month: Month, coverage: &Coverage) -> PartitionState {
    match coverage.state_at(month.range().last()) {
        Some(_) => PartitionState::Settling,
        None => PartitionState::Open,
    }
}

/// Adds to each covered range when its answers came: the earliest and the latest of those that
/// touch it.
pub(super) fn timed_coverage(
    coverage: &Coverage,
    old: &[SidecarCoverage],
    segments: &[StagedSegment],
) -> Vec<SidecarCoverage> {
    // Who writes that the last answer came before the first knows neither.
    let is_true = |old: &&SidecarCoverage| {
        old.asked_first.zip(old.asked_last).is_none_or(|(first, last)| first <= last)
    };
    let timed = |c: &CoverageRange| {
        let mut timed = SidecarCoverage {
            start: c.start,
            end: c.end,
            state: c.state,
            asked_first: None,
            asked_last: None,
        };
        if c.state != CoverageState::Answered {
            return timed;
        }
        let touches = |start: Epoch, end: Epoch| start < c.end && c.start < end;
        let same = |old: &&SidecarCoverage| old.state == c.state && touches(old.start, old.end);
        for old in old.iter().filter(same).filter(is_true) {
            widen(&mut timed, old.asked_first, old.asked_last);
        }
        for staged in segments.iter().filter(|s| touches(s.range.start(), s.range.end())) {
            let header = &staged.header;
            widen(&mut timed, Some(header.asked_first), Some(header.asked_last));
        }
        timed
    };
    coverage.ranges().iter().map(timed).collect()
}

fn widen(timed: &mut SidecarCoverage, first: Option<Epoch>, last: Option<Epoch>) {
    // `None` is the smallest option, so the minimum has to look at those that are there.
    timed.asked_first = [timed.asked_first, first].into_iter().flatten().min();
    timed.asked_last = timed.asked_last.max(last);
}

/// The silence that counts as confirmed because the previous sidecar knew of it: confirmed then,
/// or unexplained then and still silent when this run asked again.
pub(super) fn confirmed_before(old: Option<&Sidecar>, silence: &SilenceFacts) -> RangeSet {
    let mut silent_now = silence.confirmed.clone();
    silence.doubted.iter().for_each(|range| silent_now.insert(range));
    let gaps = old.map(|old| old.gaps.as_slice()).unwrap_or_default();
    gaps.iter()
        .filter_map(|gap| {
            let range = crate::domain::EpochRange::new(gap.start, gap.end)?;
            let is_confirmed = match gap.class {
                GapClass::ConfirmedBySource => true,
                GapClass::Unexplained => silent_now.covers(range),
                GapClass::MarketClosed | GapClass::WithinPage => false,
            };
            is_confirmed.then_some(range)
        })
        .collect()
}

/// What the inspector is told of the silence: what this run learned and what was known before.
///
/// Silence that another tool left is doubted as long as nobody asked for it; once the source has
/// answered, its answer counts.
pub(super) fn silence_known(
    old: Option<&Sidecar>,
    confirmed_before: &RangeSet,
    silence: &SilenceFacts,
    coverage: &Coverage,
) -> SilenceFacts {
    let mut known = silence.clone();
    let rules = old.and_then(|old| old.gap_rules.as_ref());
    known.continuous = known.continuous.or(rules.and_then(|rules| rules.continuous));
    known.hours = known.hours.or_else(|| rules.and_then(|rules| rules.hours.clone()));
    let is_inherited = |state| state == CoverageState::Inherited;
    for range in coverage.select(is_inherited).iter() {
        known.doubted.insert(range);
    }
    let was_inherited = old.map(|old| old.coverage().select(is_inherited)).unwrap_or_default();
    // What nothing explained stays so until a question about it was answered.
    let unexplained = |gap: &&Gap| gap.class == GapClass::Unexplained;
    for gap in old.map(|old| old.gaps.as_slice()).unwrap_or_default().iter().filter(unexplained) {
        let range = crate::domain::EpochRange::new(gap.start, gap.end);
        if let Some(range) = range.filter(|range| !was_inherited.intersects(*range)) {
            known.doubted.insert(range);
        }
    }
    for range in confirmed_before.iter() {
        known.confirmed.insert(range);
        known.doubted.remove(range);
    }
    known
}

/// Carries the classes of gaps over from the previous sidecar.
pub(super) fn carry_classes(gaps: &mut [Gap], confirmed_before: &RangeSet) {
    for gap in gaps {
        let is_open = matches!(gap.class, GapClass::Unexplained | GapClass::WithinPage);
        let range = crate::domain::EpochRange::new(gap.start, gap.end);
        if is_open && range.is_some_and(|range| confirmed_before.covers(range)) {
            gap.class = GapClass::ConfirmedBySource;
        }
    }
}

/// Findings of the previous sidecar that nothing in the file itself could tell again.
pub(super) fn kept_findings(old: Option<&Sidecar>) -> impl Iterator<Item = &Finding> {
    let is_kept =
        |finding: &&Finding| finding.kind.is_of_answers() || finding.state != FindingState::Open;
    old.map(|old| old.findings.as_slice()).unwrap_or_default().iter().filter(is_kept)
}

/// The same findings without repetitions, in their order.
pub(super) fn without_repetitions(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut unique: Vec<Finding> = Vec::new();
    for finding in findings {
        if !unique.iter().any(|known| known.says_the_same_as(&finding)) {
            unique.push(finding);
        }
    }
    unique
}

/// A sidecar that says what follows from the file and its inspection; times, counters and facts
/// of the run are still empty.
pub(super) fn sidecar(file: &FileFacts, inspection: Inspection, state: PartitionState) -> Sidecar {
    let footer = &file.footer;
    let series = &footer.key.series;
    let first_covered = footer.coverage.ranges().first().map(|covered| covered.start);
    let empty = first_covered.unwrap_or(footer.key.month.range().start());
    let data_type = match series.kind {
        Kind::Ticks => "ticks",
        Kind::Candles(_) => "candles",
    };
    Sidecar {
        schema_version: SCHEMA_VERSION.to_owned(),
        symbol: series.symbol.clone(),
        data_type: data_type.to_owned(),
        granularity: series.kind.granularity().map(u32::from),
        start_epoch: file.first.unwrap_or(empty).secs(),
        end_epoch: file.last.unwrap_or(empty).secs(),
        record_count: footer.record_count,
        gaps_detected: inspection.gaps_detected,
        duplicates_removed: 0,
        sha256: Some(file.sha256.clone()),
        locked: false,
        created_at: None,
        download_duration_seconds: None,
        file_size: Some(file.file_size),
        format_version: Some(FORMAT_VERSION),
        state: Some(state),
        month: Some(footer.key.month.to_string()),
        pip_size: footer.pip_size,
        rows_sha256: Some(footer.rows_sha256.clone()),
        coverage: timed_coverage(&footer.coverage, &[], &[]),
        first_held: None,
        gaps: inspection.gaps,
        gap_rules: None,
        findings: inspection.findings,
        days: footer.days.clone(),
        source: serde_json::Map::new(),
        run: serde_json::Map::new(),
    }
}

/// Tells whether two sidecars say the same of the partition, whichever run wrote them.
pub(super) fn says_the_same(old: &Sidecar, new: &Sidecar) -> bool {
    let timeless = |sidecar: &Sidecar| Sidecar {
        created_at: None,
        download_duration_seconds: None,
        source: serde_json::Map::new(),
        run: serde_json::Map::new(),
        ..sidecar.clone()
    };
    timeless(old) == timeless(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EpochRange;

    fn month() -> Month {
        "2026-03".parse().unwrap()
    }

    fn range(start: i64, end: i64) -> EpochRange {
        EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap()
    }

    #[test]
    fn a_month_is_sealed_only_when_it_is_over_settled_and_whole() {
        let end = month().range().end();
        let lag = Duration::from_secs(100);
        let mut whole = Coverage::new();
        whole.insert(month().range(), CoverageState::Answered);
        let mut holed = Coverage::new();
        holed
            .insert(range(month().range().start().secs() + 1, end.secs()), CoverageState::Answered);
        let mut failed = holed.clone();
        failed.insert(month().range(), CoverageState::Failed);
        let mut walled = holed.clone();
        walled.insert(month().range(), CoverageState::NotOffered);

        let check = |offset, coverage: &Coverage, expected| {
            assert_eq!(state(end.plus(offset), lag, month(), coverage), expected, "{offset}");
        };
        check(-1, &whole, PartitionState::Open);
        check(0, &whole, PartitionState::Settling);
        check(99, &whole, PartitionState::Settling);
        check(100, &whole, PartitionState::Sealed);
        check(100, &walled, PartitionState::Sealed);
        check(100, &holed, PartitionState::Settling);
        check(100, &failed, PartitionState::Settling);
    }

    fn gap(start: i64, end: i64, class: GapClass) -> Gap {
        Gap { start: Epoch::new(start), end: Epoch::new(end), missing_estimate: 1, class }
    }

    #[test]
    fn an_unexplained_gap_is_confirmed_by_a_second_run_only() {
        let silence = SilenceFacts {
            doubted: [range(10, 20), range(50, 60)].into_iter().collect(),
            ..SilenceFacts::default()
        };
        let mut gaps = vec![
            gap(10, 20, GapClass::Unexplained), // unexplained before, silent again
            gap(30, 40, GapClass::Unexplained), // unexplained before, not asked again
            gap(50, 60, GapClass::Unexplained), // seen for the first time
            gap(70, 80, GapClass::WithinPage),  // confirmed before
        ];
        let mut old = gaps.clone();
        old.remove(2);
        old[2].class = GapClass::ConfirmedBySource;
        let before = old
            .iter()
            .filter(|gap| gap.class == GapClass::ConfirmedBySource || gap.start.secs() == 10)
            .map(|gap| range(gap.start.secs(), gap.end.secs()))
            .collect::<RangeSet>();
        let old = Sidecar { gaps: old, ..bare_sidecar() };
        assert_eq!(confirmed_before(Some(&old), &silence), before);

        carry_classes(&mut gaps, &before);
        let classes: Vec<_> = gaps.iter().map(|gap| gap.class).collect();
        use GapClass::{ConfirmedBySource, Unexplained};
        assert_eq!(classes, [ConfirmedBySource, Unexplained, Unexplained, ConfirmedBySource]);
        let known = silence_known(Some(&old), &before, &silence, &Coverage::new());
        assert!(known.confirmed.covers(range(10, 20)) && !known.doubted.intersects(range(10, 20)));
        assert!(known.doubted.covers(range(50, 60)));
    }

    #[test]
    fn times_are_the_earliest_and_the_latest_of_what_touches_a_range() {
        let answered = |start, end, first, last| SidecarCoverage {
            start: Epoch::new(start),
            end: Epoch::new(end),
            state: CoverageState::Answered,
            asked_first: Some(Epoch::new(first)),
            asked_last: Some(Epoch::new(last)),
        };
        let old = [answered(0, 10, 500, 510), answered(10, 20, 400, 600), answered(90, 95, 1, 2)];
        let mut coverage = Coverage::new();
        coverage.insert(range(0, 30), CoverageState::Answered);
        coverage.insert(range(30, 40), CoverageState::Failed);
        let timed = timed_coverage(&coverage, &old, &[]);
        assert_eq!(timed[0], answered(0, 30, 400, 600));
        assert_eq!((timed[1].asked_first, timed[1].asked_last), (None, None));
    }

    fn bare_sidecar() -> Sidecar {
        let text = r#"{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks",
            "granularity": null, "start_epoch": 0, "end_epoch": 0, "record_count": 0,
            "gaps_detected": 0, "duplicates_removed": 0}"#;
        Sidecar::from_json(text.as_bytes()).unwrap()
    }
}
