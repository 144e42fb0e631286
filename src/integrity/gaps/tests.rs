use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::integrity::testing::{month_start, range, tick};

const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

fn set(ranges: &[(i64, i64)]) -> RangeSet {
    ranges.iter().map(|(start, end)| range(*start, *end)).collect()
}

fn find(
    kind: Kind,
    epochs: impl IntoIterator<Item = i64>,
    answered: Option<&RangeSet>,
    silence: &SilenceFacts,
) -> GapsSeen {
    let rows: Vec<_> = epochs.into_iter().map(|epoch| tick(epoch, 1.0)).collect();
    let mut finder = GapFinder::new(kind, answered, silence);
    for batch in rows.chunks(7) {
        finder.update(batch);
    }
    finder.finish()
}

fn every_two_secs() -> SilenceFacts {
    SilenceFacts { interval_secs: Some(2), ..SilenceFacts::default() }
}

fn spans(seen: &GapsSeen) -> Vec<(i64, i64, u64)> {
    seen.gaps.iter().map(|gap| (gap.start.secs(), gap.end.secs(), gap.missing_estimate)).collect()
}

/// Rows on even seconds, answered in `answered`: gaps as start, end and missing rows.
fn check(answered: &[(i64, i64)], epochs: &[i64], expected: &[(i64, i64, u64)]) {
    let answered = set(answered);
    let found = find(Kind::Ticks, epochs.iter().copied(), Some(&answered), &every_two_secs());
    assert_eq!(spans(&found), expected, "{answered:?} {epochs:?}");
}

#[test]
fn a_gap_begins_behind_a_row_and_ends_at_the_next() {
    check(&[(0, 20)], &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18], &[]);
    check(&[(0, 20)], &[0, 2, 4, 8, 10, 12, 14, 16, 18], &[(5, 8, 1)]);
    check(&[(0, 20)], &[0, 2, 4, 12, 14, 16, 18], &[(5, 12, 3)]);
    check(&[(0, 20)], &[1, 4, 7, 10, 13, 16, 18], &[]);
}

#[test]
fn the_edges_of_what_was_answered_are_edges_of_gaps() {
    check(&[(0, 20)], &[4, 6, 8, 10, 12, 14, 16, 18], &[(0, 4, 2)]);
    check(&[(0, 20)], &[0, 2, 4, 6, 8, 10, 12], &[(13, 20, 3)]);
    check(&[(0, 20)], &[3, 5, 7, 9, 11, 13, 15, 17], &[]);
    check(&[(0, 20)], &[], &[(0, 20, 10)]);
    check(&[(0, 3)], &[], &[]);
}

#[test]
fn nothing_is_silent_where_nobody_answered() {
    check(&[(0, 6), (20, 26)], &[0, 2, 4, 20, 22, 24], &[]);
    check(&[(0, 10), (20, 26)], &[0, 2, 4, 20, 22, 24], &[(5, 10, 2)]);
    check(&[(0, 6), (14, 26)], &[0, 2, 4, 20, 22, 24], &[(14, 20, 3)]);
    // A row outside the coverage breaks no stretch and joins none.
    check(&[(0, 6), (20, 26)], &[0, 2, 4, 12, 20, 22, 24], &[]);
    check(&[], &[0, 2, 4, 12, 20], &[]);
    // Three stretches, the middle one silent.
    check(&[(0, 4), (10, 16), (20, 24)], &[0, 2, 20, 22], &[(10, 16, 3)]);
}

#[test]
fn without_coverage_only_rows_make_edges() {
    let found = find(Kind::Ticks, [10, 12, 20, 22], None, &every_two_secs());
    assert_eq!(spans(&found), [(13, 20, 3)]);
    assert_eq!(find(Kind::Ticks, [], None, &every_two_secs()), GapsSeen::default());
}

#[test]
fn a_given_threshold_outranks_the_interval() {
    let silence = SilenceFacts { gap_threshold_secs: Some(6), ..every_two_secs() };
    let found = find(Kind::Ticks, [0, 2, 8, 16], None, &silence);
    assert_eq!(spans(&found), [(9, 16, 3)]);
}

#[test]
fn learns_a_fixed_interval_from_the_rows() {
    let epochs = (0..1000).map(|i| 2 * i).filter(|epoch| ![500, 502, 1200].contains(epoch));
    let found = find(Kind::Ticks, epochs, None, &SilenceFacts::default());
    assert_eq!(spans(&found), [(499, 504, 2), (1199, 1202, 1)]);
}

#[test]
fn old_gaps_are_counted_as_the_old_tool_did() {
    let count = |kind, epochs: &[i64]| {
        let silence = SilenceFacts::default();
        find(kind, epochs.iter().copied(), Some(&set(&[(0, 5)])), &silence).gaps_detected
    };
    assert_eq!(count(Kind::Ticks, &[0, 10, 20, 31, 42, 44]), 2);
    let minutes = Kind::Candles(Granularity::MINUTE);
    assert_eq!(count(minutes, &[0, 60, 120, 240, 300, 3600]), 2);
    assert_eq!(count(minutes, &[]), 0);
}

#[test]
fn candles_miss_whole_bars_only() {
    let minutes = Kind::Candles(Granularity::MINUTE);
    // Answered from within a bar to within a bar: neither of the two is promised.
    let answered = set(&[(30, 659)]);
    let silence = SilenceFacts::default();
    let found = find(minutes, [60, 120, 180, 480, 540], Some(&answered), &silence);
    assert_eq!(spans(&found), [(181, 480, 4)]);
    let found = find(minutes, [60, 120], Some(&answered), &silence);
    assert_eq!(spans(&found), [(121, 600, 7)]);
}

/// Ticks that come every one to four seconds while `open` says so, for four weeks of a month.
fn irregular(open: impl Fn(i64) -> bool) -> Vec<i64> {
    let mut epoch = month_start();
    let mut state = 12_345_u64;
    let mut epochs = Vec::new();
    while epoch < month_start() + 28 * DAY {
        if open(epoch) {
            epochs.push(epoch);
        }
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        epoch += 1 + i64::from((state >> 33) as u32 % 4);
    }
    epochs
}

/// Open from Sunday 22:00 to Friday 21:00 UTC; the month begins on a Sunday.
fn week(epoch: i64) -> bool {
    let secs = (epoch - month_start()).rem_euclid(7 * DAY);
    (22 * HOUR..5 * DAY + 21 * HOUR).contains(&secs)
}

#[test]
fn week_ends_of_an_irregular_series_are_closed_markets() {
    let start = month_start();
    let answered = set(&[(start, start + 28 * DAY)]);
    let found = find(Kind::Ticks, irregular(week), Some(&answered), &SilenceFacts::default());
    // Sunday morning, three whole week-ends, and the Friday evening that ends the data.
    assert_eq!(found.gaps.len(), 5, "{:?}", spans(&found));
    assert!(found.gaps.iter().all(|gap| gap.class == GapClass::MarketClosed), "{found:?}");
    let first = found.gaps[0];
    assert_eq!(first.start.secs(), start);
    assert!((first.end.secs() - start - 22 * HOUR) < 5);
}

#[test]
fn a_daily_pause_is_a_session() {
    let open = |epoch: i64| week(epoch) && !(0..HOUR).contains(&((epoch - 3 * HOUR) % DAY));
    let found = find(Kind::Ticks, irregular(open), None, &SilenceFacts::default());
    let at_three = |gap: &&Gap| (gap.start.secs() % DAY - 3 * HOUR).abs() < 10;
    let pauses: Vec<_> = found.gaps.iter().filter(at_three).collect();
    assert_eq!(pauses.len(), 20, "{:?}", spans(&found));
    assert!(pauses.iter().all(|gap| gap.class == GapClass::MarketClosed));
}

#[test]
fn a_single_pause_is_no_session() {
    let pause = month_start() + 10 * DAY + 3 * HOUR;
    let open = |epoch: i64| week(epoch) && !(pause..pause + HOUR).contains(&epoch);
    let found = find(Kind::Ticks, irregular(open), None, &SilenceFacts::default());
    let gap = found.gaps.iter().find(|gap| (gap.start.secs() - pause).abs() < 10).unwrap();
    assert_eq!(gap.class, GapClass::WithinPage);
    assert!((1300..1600).contains(&gap.missing_estimate), "{gap:?}");
}

#[test]
fn a_silence_in_a_round_the_clock_series_is_never_a_closed_market() {
    let saturday = month_start() + 6 * DAY;
    let silence = SilenceFacts {
        doubted: set(&[(saturday + HOUR, saturday + 2 * HOUR)]),
        ..SilenceFacts::default()
    };
    let open = |epoch: i64| !(saturday..saturday + 3 * HOUR).contains(&epoch);
    let found = find(Kind::Ticks, irregular(open), None, &silence);
    assert_eq!(found.gaps.len(), 1);
    assert_eq!(found.gaps[0].class, GapClass::Unexplained);
}

#[test]
fn a_class_is_the_first_that_fits() {
    let friday = month_start() + 5 * DAY;
    let (start, end) = (friday + 21 * HOUR, friday + 23 * HOUR);
    let class = |continuous, confirmed: &[(i64, i64)], doubted: &[(i64, i64)]| {
        let silence = SilenceFacts {
            confirmed: set(confirmed),
            doubted: set(doubted),
            continuous: Some(continuous),
            ..every_two_secs()
        };
        let found = find(Kind::Ticks, [start - 1, end], None, &silence);
        found.gaps[0].class
    };
    let all = [(start, end)];
    let most = [(start, end - 1)];
    assert_eq!(class(false, &all, &all), GapClass::MarketClosed);
    assert_eq!(class(true, &all, &all), GapClass::ConfirmedBySource);
    assert_eq!(class(true, &most, &all), GapClass::Unexplained);
    assert_eq!(class(true, &[], &most), GapClass::Unexplained);
    assert_eq!(class(true, &[], &[(end, end + 5)]), GapClass::Unexplained, "two hours");
}

/// The class of a silence of so many seconds in ticks every two seconds, one second after midnight
/// of a Tuesday.
fn class_of(secs: i64, silence: &SilenceFacts) -> GapClass {
    let from = month_start() + 2 * DAY;
    let rows = (0..1000).map(|i| from - 2 * i).rev().chain([from + secs, from + secs + 2]);
    let found = find(Kind::Ticks, rows, None, silence);
    found.gaps[0].class
}

#[test]
fn silence_needs_a_reason_that_fits_its_length() {
    let open = SilenceFacts { continuous: Some(true), ..every_two_secs() };
    // Twenty thresholds of 3 s are less than ten minutes.
    assert_eq!(class_of(600, &open), GapClass::WithinPage);
    assert_eq!(class_of(601, &open), GapClass::Unexplained);
    // A chosen threshold says what is listed, not what is usual.
    let chosen = SilenceFacts { gap_threshold_secs: Some(500), ..open.clone() };
    assert_eq!(class_of(601, &chosen), GapClass::Unexplained);
    let slow = SilenceFacts { interval_secs: Some(60), ..open.clone() };
    assert_eq!(class_of(1800, &slow), GapClass::WithinPage);
    assert_eq!(class_of(1801, &slow), GapClass::Unexplained);
    // Where nobody told the hours, no more than a long week-end may be a closed market.
    let unknown = SilenceFacts { continuous: Some(false), ..every_two_secs() };
    assert_eq!(class_of(3 * DAY, &unknown), GapClass::WithinPage);
    assert_eq!(class_of(5 * DAY, &unknown), GapClass::Unexplained);
}

#[test]
fn silence_that_was_asked_twice_is_believed_when_it_is_old() {
    let from = month_start() + 2 * DAY;
    let asked = |now| SilenceFacts {
        silent: set(&[(from + 1, from + 600)]),
        clock: Some(crate::domain::SettleClock { now: Epoch::new(now), lag_secs: DAY }),
        continuous: Some(true),
        ..every_two_secs()
    };
    assert_eq!(class_of(600, &asked(from + DAY)), GapClass::Silent);
    assert_eq!(class_of(600, &asked(from + 600 + DAY)), GapClass::ConfirmedBySource);
    // However old: one run does not confirm what is unusual.
    let long = SilenceFacts { silent: set(&[(from + 1, from + 700)]), ..asked(from + 9 * DAY) };
    assert_eq!(class_of(700, &long), GapClass::Unexplained);
}

#[test]
fn few_intervals_exceed_the_learned_threshold() {
    let mut epochs = irregular(|_| true);
    // Every thousandth row takes its eleven neighbours with it: a silence of about half a minute.
    let mut i = 0;
    epochs.retain(|_| {
        i += 1;
        i % 3000 > 11
    });
    let n = epochs.len();
    let found = find(Kind::Ticks, epochs, None, &SilenceFacts::default());
    assert!(found.gaps.len() > 100, "{}", found.gaps.len());
    assert!(found.gaps.len() * 1000 < n, "{} of {n}", found.gaps.len());
}

#[test]
fn a_list_that_is_cut_says_so() {
    let silence = SilenceFacts { gap_threshold_secs: Some(1), ..SilenceFacts::default() };
    let found = find(Kind::Ticks, (0..200_000).map(|i| 2 * i), None, &silence);
    assert!(found.is_cut);
    assert!(found.gaps.len() < 200_000 && found.gaps.len() > 60_000);
    let found = find(Kind::Ticks, (0..50_000).map(|i| 2 * i), None, &silence);
    assert!(!found.is_cut);
    assert_eq!(found.gaps.len(), 49_999);
}

/// Every second is asked in turn whether it is silent; runs of silent ones are then measured.
fn brute_force(answered: &BTreeSet<i64>, rows: &BTreeSet<i64>, threshold: i64) -> Vec<(i64, i64)> {
    let mut gaps = Vec::new();
    let mut second = 0;
    while second < 400 {
        let silent = |s: i64| answered.contains(&s) && !rows.contains(&s);
        if !silent(second) {
            second += 1;
            continue;
        }
        let start = second;
        while silent(second) {
            second += 1;
        }
        let row_before = answered.contains(&(start - 1)) && rows.contains(&(start - 1));
        let distance = second - start + i64::from(row_before);
        if distance > threshold {
            gaps.push((start, second));
        }
    }
    gaps
}

proptest! {
    #[test]
    fn finds_what_brute_force_finds(
        rows in proptest::collection::btree_set(0i64..300, 0..80),
        ranges in proptest::collection::vec((0i64..280, 1i64..60), 0..6),
        threshold in 1i64..20,
    ) {
        let ranges: Vec<_> = ranges.iter().map(|(start, len)| (*start, start + len)).collect();
        let answered = set(&ranges);
        let seconds = ranges.iter().flat_map(|(start, end)| *start..*end).collect();
        let silence =
            SilenceFacts { gap_threshold_secs: Some(threshold), ..SilenceFacts::default() };
        let found = find(Kind::Ticks, rows.iter().copied(), Some(&answered), &silence);
        let found: Vec<_> = found.gaps.iter().map(|g| (g.start.secs(), g.end.secs())).collect();
        prop_assert_eq!(found, brute_force(&seconds, &rows, threshold));
    }

    /// Whatever is counted at once is what counting one by one gives: over hours, edges of answers
    /// and changes of the interval.
    #[test]
    fn steady_rows_count_as_each_of_them_would(
        runs in proptest::collection::vec((1i64..40, 1usize..400), 1..12),
        ranges in proptest::collection::vec((0i64..40_000, 1i64..20_000), 0..4),
        batch in 1usize..700,
        threshold in proptest::option::of(1i64..30),
    ) {
        let ranges: Vec<_> = ranges.iter().map(|(start, len)| (*start, start + len)).collect();
        let answered = Some(set(&ranges)).filter(|_| !ranges.is_empty());
        let steps = runs.iter().flat_map(|(step, n)| std::iter::repeat_n(*step, *n));
        let rows: Vec<_> = steps.scan(0, |at, step| { *at += step; Some(tick(*at, 1.0)) }).collect();
        let silence = SilenceFacts { gap_threshold_secs: threshold, ..SilenceFacts::default() };
        let mut at_once = GapFinder::new(Kind::Ticks, answered.as_ref(), &silence);
        rows.chunks(batch).for_each(|rows| at_once.update(rows));
        let mut each = GapFinder::new(Kind::Ticks, answered.as_ref(), &silence);
        rows.iter().for_each(|row| each.push(row.epoch));
        prop_assert_eq!(at_once.cadence.state(), each.cadence.state());
        prop_assert_eq!(at_once.finish(), each.finish());
    }

    #[test]
    fn survives_any_rows(epochs in proptest::collection::vec(0i64..i64::from(u32::MAX), 0..50)) {
        let found = find(Kind::Ticks, epochs, None, &SilenceFacts::default());
        prop_assert!(found.gaps.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
