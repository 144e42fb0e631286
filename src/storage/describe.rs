//! What the sidecar of a partition says: pure, from facts that others gathered.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use crate::domain::{
    Coverage, CoverageRange, CoverageState, Epoch, EpochRange, Finding, FindingState, Gap,
    GapClass, Inspection, Kind, Month, PartitionState, RangeSet, SettleClock, SilenceFacts,
};
use crate::format::sidecar::SCHEMA_VERSION;
use crate::format::{FORMAT_VERSION, MOST_FINDINGS, Sidecar, SidecarCoverage};

use super::encode::FileFacts;
use super::segment::StagedSegment;

/// A month that ends in silence is not sealed sooner than this after its end, whatever the settle
/// lag: a source may show its newest rows late.
const LEAST_SETTLE_SECS: i64 = 3600;

/// How far a month is from never changing again, by the source's clock. A month with a silence that
/// nothing explains is not sealed: the next run asks once more.
pub(super) fn state(
    server_now: Epoch,
    settle_lag: Duration,
    month: Month,
    coverage: &Coverage,
    gaps: &[Gap],
) -> PartitionState {
    let range = month.range();
    let is_quiet_at_end = gaps.last().is_some_and(|gap| {
        gap.end >= range.end() && matches!(gap.class, GapClass::WithinPage | GapClass::Silent)
    });
    let least = if is_quiet_at_end { LEAST_SETTLE_SECS } else { 0 };
    let clock = SettleClock::new(server_now, settle_lag);
    let clock = SettleClock { lag_secs: clock.lag_secs.max(least), ..clock };
    let is_settled = clock.has_settled(range.end())
        && coverage.missing(range).is_empty()
        && !gaps.iter().any(|gap| gap.class == GapClass::Unexplained);
    match server_now < range.end() {
        true => PartitionState::Open,
        false if is_settled => PartitionState::Sealed,
        false => PartitionState::Settling,
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
    let untimed = |c: &CoverageRange| {
        let (asked_first, asked_last) = (None, None);
        SidecarCoverage { start: c.start, end: c.end, state: c.state, asked_first, asked_last }
    };
    let mut timed: Vec<_> = coverage.ranges().iter().map(untimed).collect();
    let mut tell = |start: Epoch, end: Epoch, first: Option<Epoch>, last: Option<Epoch>| {
        let from = timed.partition_point(|c| c.end <= start);
        let touched = timed[from..].iter_mut().take_while(|c| c.start < end);
        for c in touched.filter(|c| c.state == CoverageState::Answered) {
            widen(c, first, last);
        }
    };
    // Ranges that overlap were not written by us; each could touch all others.
    let is_ours = old.is_sorted_by(|a, b| a.end <= b.start);
    let answered = |old: &&SidecarCoverage| old.state == CoverageState::Answered && is_ours;
    for old in old.iter().filter(answered).filter(is_true) {
        tell(old.start, old.end, old.asked_first, old.asked_last);
    }
    for StagedSegment { range, header, .. } in segments {
        tell(range.start(), range.end(), Some(header.asked_first), Some(header.asked_last));
    }
    timed
}

fn widen(timed: &mut SidecarCoverage, first: Option<Epoch>, last: Option<Epoch>) {
    // `None` is the smallest option, so the minimum has to look at those that are there.
    timed.asked_first = [timed.asked_first, first].into_iter().flatten().min();
    timed.asked_last = timed.asked_last.max(last);
}

/// The silence that counts as confirmed because the previous sidecar knew of it: confirmed then,
/// or still silent when this run asked again after the settle lag.
pub(super) fn confirmed_before(old: Option<&Sidecar>, silence: &SilenceFacts) -> RangeSet {
    let Some(old) = old else { return RangeSet::new() };
    let mut silent_now = silence.confirmed.clone();
    silent_now.extend(&silence.doubted);
    let is_over = |range: EpochRange| {
        let has_settled = silence.clock.is_some_and(|clock| clock.has_settled(range.end()));
        has_settled && silence.lasting_from.is_none_or(|from| range.start() < from)
    };
    let is_confirmed = |gap: &Gap, range: EpochRange| match gap.class {
        GapClass::ConfirmedBySource if !was_young(gap, old, silence.clock) => true,
        GapClass::MarketClosed => false,
        _ => silent_now.covers(range) && is_over(range),
    };
    let ranges = old.gaps.iter().filter_map(|gap| Some((gap, gap.range()?)));
    ranges.filter(|(gap, range)| is_confirmed(gap, *range)).map(|(_, range)| range).collect()
}

/// Earlier builds called a silence confirmed as soon as it was asked twice in one run. Where they
/// last asked before the settle lag had passed, that is not enough.
pub(super) fn was_young(gap: &Gap, sidecar: &Sidecar, clock: Option<SettleClock>) -> bool {
    let Some(clock) = clock.filter(|_| gap.asked_last.is_none()) else { return false };
    let asked = sidecar.covering(gap).and_then(|covering| covering.asked_last);
    asked.is_some_and(|asked| !SettleClock { now: asked, ..clock }.has_settled(gap.end))
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
    known.silent.extend(&silence.confirmed);
    known.confirmed.clone_from(confirmed_before);
    let is_inherited = |state| state == CoverageState::Inherited;
    known.doubted.extend(&coverage.select(is_inherited));
    let was_inherited = old.map(|old| old.coverage().select(is_inherited)).unwrap_or_default();
    let (mut doubted, mut silent, mut before) = (Vec::new(), Vec::new(), Vec::new());
    for gap in old.map(|old| old.gaps.as_slice()).unwrap_or_default() {
        let Some(range) = gap.range() else { continue };
        match gap.class {
            // What nothing explained stays so until a question about it was answered.
            GapClass::Unexplained
                if !was_inherited.intersects(range) && !silence.asked.covers(range) =>
            {
                doubted.push(range);
            }
            GapClass::Silent => silent.push(range),
            GapClass::ConfirmedBySource if !confirmed_before.covers(range) => {
                silent.push(range);
            }
            // Where nobody knows the rows of other months, what was known counts.
            GapClass::BeforeFirstRow if silence.clock.is_none() => {
                before.push(range);
            }
            _ => {}
        }
    }
    known.doubted.extend(&doubted.into_iter().collect());
    known.silent.extend(&silent.into_iter().collect());
    known.before_first_row.extend(&before.into_iter().collect());
    known.doubted.remove_all(confirmed_before);
    if let Some(from) = known.lasting_from {
        // However often it was asked in one run: it is not over.
        let after = EpochRange::new(from, Epoch::new(i64::MAX));
        after.into_iter().for_each(|after| known.silent.remove(after));
    }
    known
}

/// Carries the classes of gaps over from the previous sidecar.
pub(super) fn carry_classes(gaps: &mut [Gap], confirmed_before: &RangeSet) {
    for gap in gaps {
        let is_open =
            matches!(gap.class, GapClass::Unexplained | GapClass::Silent | GapClass::WithinPage);
        if is_open && gap.range().is_some_and(|range| confirmed_before.covers(range)) {
            gap.class = GapClass::ConfirmedBySource;
        }
    }
}

/// Says when each silence that may be asked again was asked first and last.
pub(super) fn note_asked(gaps: &mut [Gap], old: Option<&Sidecar>, silence: &SilenceFacts) {
    let before = old.map(|old| old.gaps.as_slice()).unwrap_or_default();
    // A list in another order was not written by us; each of it could touch all others.
    let before = if before.is_sorted_by(|a, b| a.end <= b.start) { before } else { &[] };
    for gap in gaps {
        let Some(range) = gap.range() else { continue };
        if matches!(gap.class, GapClass::WithinPage | GapClass::MarketClosed) {
            continue;
        }
        let now = silence.clock.map(|clock| clock.now);
        let now = now.filter(|_| silence.asked.covers(range) || silence.silent.covers(range));
        let behind = &before[before.partition_point(|known| known.end <= gap.start)..];
        let same = behind.iter().take_while(|known| known.start < gap.end);
        let (mut first, mut last) = (now, now);
        for known in same {
            first = [first, known.asked_first].into_iter().flatten().min();
            let covers = known.start <= gap.start && gap.end <= known.end;
            last = last.max(known.asked_last.filter(|_| covers));
        }
        (gap.asked_first, gap.asked_last) = (first, last);
    }
}

/// Findings of the previous sidecar that nothing in the file itself could tell again.
pub(super) fn kept_findings(old: Option<&Sidecar>) -> impl Iterator<Item = &Finding> {
    let is_kept =
        |finding: &&Finding| finding.kind.is_of_answers() || finding.state != FindingState::Open;
    old.map(|old| old.findings.as_slice()).unwrap_or_default().iter().filter(is_kept)
}

/// The same findings without repetitions, in their order; the worst of them if they are more than a
/// sidecar may hold.
pub(super) fn without_repetitions(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let all: Vec<Finding> = findings.into_iter().collect();
    let is_new: Vec<bool> = {
        let mut seen = HashSet::new();
        all.iter().map(|finding| seen.insert(finding.what_it_says())).collect()
    };
    let news = all.into_iter().zip(is_new).filter(|(_, is_new)| *is_new);
    let mut unique: Vec<Finding> = news.map(|(finding, _)| finding).collect();
    if unique.len() > MOST_FINDINGS {
        tracing::warn!(n_findings = unique.len(), "only the worst findings are kept");
        unique.sort_by_key(|finding| Reverse(finding.severity));
        unique.truncate(MOST_FINDINGS);
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
            assert_eq!(state(end.plus(offset), lag, month(), coverage, &[]), expected, "{offset}");
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
        Gap {
            start: Epoch::new(start),
            end: Epoch::new(end),
            missing_estimate: 1,
            class,
            asked_first: None,
            asked_last: None,
        }
    }

    /// The source's clock with a settle lag of 100 s.
    fn clock(now: i64) -> Option<SettleClock> {
        Some(SettleClock { now: Epoch::new(now), lag_secs: 100 })
    }

    fn set(ranges: &[(i64, i64)]) -> RangeSet {
        ranges.iter().map(|(start, end)| range(*start, *end)).collect()
    }

    /// Which of the old gaps are confirmed by a run at `now` that asked for `silent` again.
    fn check_confirmed(old: &[Gap], silent: &[(i64, i64)], now: i64, expected: &[(i64, i64)]) {
        let old = Sidecar { gaps: old.to_vec(), ..bare_sidecar() };
        let silence =
            SilenceFacts { confirmed: set(silent), clock: clock(now), ..SilenceFacts::default() };
        assert_eq!(confirmed_before(Some(&old), &silence), set(expected), "{silent:?} at {now}");
    }

    #[test]
    fn silence_is_confirmed_by_a_later_run_after_the_settle_lag() {
        use GapClass::{BeforeFirstRow, ConfirmedBySource, MarketClosed, Silent, Unexplained};
        for class in [Unexplained, Silent, GapClass::WithinPage, BeforeFirstRow] {
            let old = [gap(10, 20, class)];
            check_confirmed(&old, &[(10, 20)], 119, &[]);
            check_confirmed(&old, &[(10, 20)], 120, &[(10, 20)]);
            check_confirmed(&old, &[(10, 19)], 120, &[]);
            check_confirmed(&old, &[], 500, &[]);
        }
        check_confirmed(&[gap(10, 20, MarketClosed)], &[(10, 20)], 500, &[]);
        check_confirmed(&[gap(10, 20, ConfirmedBySource)], &[], 0, &[(10, 20)]);
    }

    #[test]
    fn a_silence_that_lasts_is_not_confirmed() {
        let old = Sidecar { gaps: vec![gap(10, 20, GapClass::Unexplained)], ..bare_sidecar() };
        let silence = SilenceFacts {
            doubted: set(&[(10, 20)]),
            lasting_from: Some(Epoch::new(10)),
            clock: clock(500),
            ..SilenceFacts::default()
        };
        assert!(confirmed_before(Some(&old), &silence).is_empty());
        let over = SilenceFacts { lasting_from: Some(Epoch::new(11)), ..silence };
        assert_eq!(confirmed_before(Some(&old), &over), set(&[(10, 20)]));
    }

    /// What an earlier build called confirmed within one run was asked too soon.
    #[test]
    fn a_confirmation_of_an_earlier_build_counts_if_it_was_late_enough() {
        for (asked_last, is_confirmed) in [(119, false), (120, true)] {
            let mut old =
                Sidecar { gaps: vec![gap(10, 20, GapClass::ConfirmedBySource)], ..bare_sidecar() };
            old.coverage = vec![SidecarCoverage {
                start: Epoch::new(0),
                end: Epoch::new(30),
                state: CoverageState::Answered,
                asked_first: Some(Epoch::new(25)),
                asked_last: Some(Epoch::new(asked_last)),
            }];
            let silence = SilenceFacts { clock: clock(500), ..SilenceFacts::default() };
            let before = confirmed_before(Some(&old), &silence);
            assert_eq!(!before.is_empty(), is_confirmed);
            let known = silence_known(Some(&old), &before, &silence, &Coverage::new());
            assert_eq!(known.silent.is_empty(), is_confirmed, "it is asked once more");
        }
    }

    /// A gap that nothing explained and that was asked is judged anew, as far as it was asked.
    #[test]
    fn what_nothing_explained_stays_doubted_until_it_was_asked() {
        let old = Sidecar { gaps: vec![gap(10, 20, GapClass::Unexplained)], ..bare_sidecar() };
        for (asked, is_doubted) in [((10, 19), true), ((5, 25), false)] {
            let silence = SilenceFacts { asked: set(&[asked]), ..SilenceFacts::default() };
            let known = silence_known(Some(&old), &RangeSet::new(), &silence, &Coverage::new());
            assert_eq!(known.doubted.covers(range(10, 20)), is_doubted);
        }
    }

    #[test]
    fn it_is_remembered_when_a_silence_was_asked() {
        let mut old = gap(10, 20, GapClass::Unexplained);
        (old.asked_first, old.asked_last) = (Some(Epoch::new(30)), Some(Epoch::new(40)));
        let old = Sidecar { gaps: vec![old], ..bare_sidecar() };
        let times = |start, end, asked: &[(i64, i64)]| {
            let silence =
                SilenceFacts { asked: set(asked), clock: clock(50), ..SilenceFacts::default() };
            let mut gaps = [gap(start, end, GapClass::Unexplained)];
            note_asked(&mut gaps, Some(&old), &silence);
            (gaps[0].asked_first.map(Epoch::secs), gaps[0].asked_last.map(Epoch::secs))
        };
        assert_eq!(times(10, 20, &[]), (Some(30), Some(40)));
        assert_eq!(times(10, 20, &[(0, 30)]), (Some(30), Some(50)));
        // It grew: of the new part only this run knows.
        assert_eq!(times(10, 25, &[]), (Some(30), None));
        assert_eq!(times(60, 70, &[(60, 70)]), (Some(50), Some(50)));
    }

    #[test]
    fn a_month_is_not_sealed_with_a_silence_at_its_end_that_is_young_or_unexplained() {
        let end = month().range().end();
        let mut whole = Coverage::new();
        whole.insert(month().range(), CoverageState::Answered);
        let check = |class, secs_before_end, after_end, expected| {
            let gap = gap(end.secs() - secs_before_end, end.secs() - secs_before_end + 100, class);
            let found = state(end.plus(after_end), Duration::ZERO, month(), &whole, &[gap]);
            assert_eq!(found, expected, "{class:?} {secs_before_end} {after_end}");
        };
        use PartitionState::{Sealed, Settling};
        check(GapClass::WithinPage, 100, 18, Settling);
        check(GapClass::Silent, 100, 3599, Settling);
        check(GapClass::WithinPage, 100, 3600, Sealed);
        check(GapClass::WithinPage, 200, 18, Sealed);
        check(GapClass::ConfirmedBySource, 100, 18, Sealed);
        check(GapClass::Unexplained, 5000, 900_000, Settling);
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
