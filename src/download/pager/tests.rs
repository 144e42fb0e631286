//! The pager against sources that hold any rows, cut pages anywhere and answer in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{Kind, Tick};

const T0: i64 = 1_790_000_000;

/// What the source holds and how it answers.
struct Source {
    rows: BTreeMap<i64, f64>,
    cap: usize,
    /// From this many answers on, another cap holds.
    cap_change: Option<(usize, usize)>,
    /// Older seconds are substituted.
    wall: Option<i64>,
    n_asked: usize,
}

impl Source {
    fn new(epochs: impl IntoIterator<Item = i64>, cap: usize) -> Self {
        let rows = epochs.into_iter().map(|e| (T0 + e, 100.0 + (e % 97) as f64)).collect();
        Self { rows, cap, cap_change: None, wall: None, n_asked: 0 }
    }

    fn page(&mut self, range: EpochRange) -> Page<Tick> {
        self.n_asked += 1;
        if let Some((at, cap)) = self.cap_change
            && self.n_asked > at
        {
            self.cap = cap;
        }
        let substituted = self.wall.is_some_and(|wall| range.start().secs() < wall);
        let held: Vec<_> = if substituted {
            self.rows.range(self.wall.unwrap()..).collect()
        } else {
            self.rows.range(range.start().secs()..range.end().secs()).collect()
        };
        let newest = held.len().saturating_sub(self.cap);
        page(held[newest..].iter().map(|(e, q)| tick(**e, **q)).collect())
    }
}

fn tick(epoch: i64, quote: f64) -> Tick {
    Tick { epoch: Epoch::new(epoch), quote }
}

fn page(records: Vec<Tick>) -> Page<Tick> {
    Page {
        n_received: u32::try_from(records.len()).unwrap(),
        records,
        pip_size: Some(2),
        n_duplicates: 0,
        conflicts: Vec::new(),
        unusable: Vec::new(),
    }
}

fn range(start: i64, end: i64) -> EpochRange {
    EpochRange::new(Epoch::new(T0 + start), Epoch::new(T0 + end)).unwrap()
}

fn scope(missing: &[EpochRange], is_oldest: bool) -> Scope {
    let missing: RangeSet = missing.iter().copied().collect();
    let first = missing.iter().next().unwrap();
    let last = missing.iter().next_back().unwrap();
    Scope {
        settled: RangeSet::new(),
        series: Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks },
        range: EpochRange::new(first.start(), last.end()).unwrap(),
        missing,
        is_oldest,
        first_held: None,
        recheck: Vec::new(),
        older: Vec::new(),
        settled_before: Epoch::new(T0 + 1_000_000),
        kept: RangeSet::new(),
    }
}

fn profile(continuous: bool, cap: u32) -> Profile {
    Profile::new(Kind::Ticks, Some(continuous), cap, None)
}

/// Everything a run brought to light.
#[derive(Default, Debug)]
struct Outcome {
    proved: RangeSet,
    rows: BTreeMap<i64, f64>,
    failed: RangeSet,
    not_offered: RangeSet,
    findings: Vec<Finding>,
    unusable: Vec<(EpochRange, u64)>,
    n_asks: usize,
}

/// Runs a pager to its end; `pick` chooses which of the asks in flight is answered next, `answer`
/// what the source says (given the number of the ask and the honest page).
fn run(
    source: &mut Source,
    scope: Scope,
    profile: &mut Profile,
    concurrency: usize,
    mut pick: impl FnMut(usize) -> usize,
    mut answer: impl FnMut(usize, Ask, Page<Tick>) -> Result<Page<Tick>, (ErrorKind, String)>,
) -> (Outcome, Pager<Tick>) {
    let mut pager = Pager::new(scope);
    let mut in_flight = Vec::new();
    let mut outcome = Outcome::default();
    loop {
        while in_flight.len() < concurrency {
            let Some(ask) = pager.next_ask(profile) else { break };
            in_flight.push(ask);
        }
        if in_flight.is_empty() {
            break;
        }
        let ask = in_flight.remove(pick(in_flight.len()) % in_flight.len());
        let honest = source.page(ask.range);
        outcome.n_asks += 1;
        // Pages of two rows that share one each get on by one row: 4,000 asks for as many rows.
        assert!(outcome.n_asks < 10_000, "the pager does not end");
        let answered = answer(outcome.n_asks, ask, honest);
        let mut events = pager.answer(ask.id, answered, profile);
        while let Some(event) = events.pop() {
            events.extend(note(event, source, &mut pager, profile, &mut outcome));
        }
    }
    assert!(pager.is_done(), "{pager:?}");
    (outcome, pager)
}

fn note(
    event: Event<Tick>,
    source: &Source,
    pager: &mut Pager<Tick>,
    profile: &Profile,
    outcome: &mut Outcome,
) -> Vec<Event<Tick>> {
    match event {
        Event::Proved { range, rows, .. } => {
            assert!(rows.iter().all(|row| range.contains(row.epoch)), "{range} {rows:?}");
            outcome.proved.insert(range);
            outcome.rows.extend(rows.iter().map(|row| (row.epoch.secs(), row.quote)));
        }
        Event::Failed(range, _) => outcome.failed.insert(range),
        Event::Unusable { seconds, n_rows } => outcome.unusable.push((seconds, n_rows)),
        Event::NotOffered(range) => outcome.not_offered.insert(range),
        Event::Found(finding) => outcome.findings.push(finding),
        Event::Withdrawn(settled) => outcome.findings.retain(|finding| *finding != settled),
        Event::WallDoubted { lower } => {
            return pager.wall(lower, source.wall.map(Epoch::new), profile);
        }
    }
    Vec::new()
}

fn honest(source: &mut Source, scope: Scope, profile: &mut Profile) -> Outcome {
    run(source, scope, profile, 4, |_| 0, |_, _, page| Ok(page)).0
}

/// The rows of the source inside the proved seconds, which must be what was returned.
fn truth(source: &Source, within: &RangeSet) -> BTreeMap<i64, f64> {
    let inside = |e: &i64| within.iter().any(|r| r.contains(Epoch::new(*e)));
    source.rows.iter().filter(|(e, _)| inside(e)).map(|(e, q)| (*e, *q)).collect()
}

/// Ticks every `interval` s with holes, or at random seconds.
fn arbitrary_epochs() -> impl Strategy<Value = (bool, Vec<i64>)> {
    let holes = || proptest::collection::vec((0i64..4000, 1i64..60), 0..8);
    let fixed = (1i64..4, holes()).prop_map(|(interval, holes)| {
        let in_hole = |e: &i64| holes.iter().any(|(start, len)| (*start..start + len).contains(e));
        (true, (0..4000).step_by(interval as usize).filter(|e| !in_hole(e)).collect())
    });
    let irregular = proptest::collection::btree_set(0i64..4000, 0..1500)
        .prop_map(|epochs| (false, epochs.into_iter().collect()));
    prop_oneof![fixed, irregular]
}

fn arbitrary_missing() -> impl Strategy<Value = Vec<EpochRange>> {
    let piece =
        (0i64..3900, 1i64..2000).prop_map(|(start, len)| range(start, (start + len).min(4000)));
    proptest::collection::vec(piece, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Paging any stream under any cap, cap change, hole pattern and answer order returns each row
    /// once, in order, and claims coverage for exactly what was to be proved.
    #[test]
    fn any_stream_is_returned_whole(
        (continuous, epochs) in arbitrary_epochs(),
        missing in arbitrary_missing(),
        cap in 2usize..200,
        assumed_cap in 2u32..200,
        cap_change in proptest::option::of((1usize..40, 2usize..200)),
        concurrency in 1usize..9,
        order in proptest::collection::vec(0usize..8, 1..50),
    ) {
        let mut source = Source::new(epochs, cap);
        source.cap_change = cap_change;
        let scope = scope(&missing, false);
        let wanted = scope.missing.clone();
        let floor = scope.range;
        let mut turn = 0;
        let pick = |_| { turn += 1; order[turn % order.len()] };
        let mut profile = profile(continuous, assumed_cap);
        let (outcome, _) = run(&mut source, scope, &mut profile, concurrency, pick, |_, _, page| Ok(page));
        for range in wanted.iter() {
            prop_assert!(outcome.proved.covers(range), "{range} of {:?}", outcome.proved);
        }
        prop_assert!(outcome.proved.iter().all(|range| floor.covers(range)));
        prop_assert_eq!(&outcome.rows, &truth(&source, &outcome.proved));
        prop_assert!(outcome.failed.is_empty() && outcome.findings.is_empty(), "{outcome:?}");
    }

    /// Pages that stop early, single false silences, refused asks and pages of other data never
    /// lose a row: what is claimed is true, and what is not claimed is failed.
    #[test]
    fn faults_cost_asks_but_never_rows(
        (continuous, epochs) in arbitrary_epochs(),
        missing in arbitrary_missing(),
        cap in 20usize..200,
        faults in proptest::collection::vec(0u8..24, 16..64),
    ) {
        let mut source = Source::new(epochs, cap);
        let scope = scope(&missing, false);
        let wanted = scope.missing.clone();
        let mut profile = profile(continuous, 100);
        let mut was_silenced = std::collections::HashSet::new();
        let fault = |n: usize, ask: Ask, page: Page<Tick>| match faults[n % faults.len()] {
            // Two rows at least: of one row less, only the known one would be left, and to send that
            // twice is a lie in perfect form, as a false silence is.
            0 => {
                let n_rows = page.records.len();
                let from = (n_rows / 2).min(n_rows.saturating_sub(2));
                Ok(self::page(page.records[from..].to_vec()))
            }
            1 if was_silenced.insert(ask.range) => Ok(self::page(Vec::new())),
            2 => Ok(self::page(vec![tick(T0 + 9_000_000, 1.0)])),
            3 => Ok(self::page(page.records.iter().rev().copied().collect())),
            4 if n.is_multiple_of(3) => Err((ErrorKind::Transport, "gone".to_owned())),
            5 => Err((ErrorKind::TooLarge, "too large".to_owned())),
            _ => Ok(page),
        };
        let (outcome, _) = run(&mut source, scope, &mut profile, 3, |_| 0, fault);
        for range in wanted.iter() {
            let mut open = RangeSet::from(range);
            outcome.proved.iter().for_each(|proved| open.remove(proved));
            outcome.failed.iter().for_each(|failed| open.remove(failed));
            prop_assert!(open.is_empty(), "{open:?} is neither proved nor failed");
        }
        prop_assert_eq!(&outcome.rows, &truth(&source, &outcome.proved));
    }

    /// However many answers hold only their newest part, or a row from outside the window: what is
    /// claimed is true. A page of one row cannot be cut, so there is always an answer that shows it.
    #[test]
    fn no_rate_of_faults_makes_a_claim_without_ground(
        (continuous, epochs) in arbitrary_epochs(),
        missing in arbitrary_missing(),
        cap in 20usize..200,
        is_oldest in any::<bool>(),
        rate in 1u8..=10,
        draws in proptest::collection::vec((0u8..10, 0u8..5), 64..256),
    ) {
        let mut source = Source::new(epochs, cap);
        let scope = scope(&missing, is_oldest);
        let wanted = scope.missing.clone();
        let mut profile = profile(continuous, 100);
        let lie = |n: usize, ask: Ask, mut page: Page<Tick>| {
            let (chance, kind) = draws[n % draws.len()];
            let n_rows = page.records.len();
            match kind {
                _ if chance >= rate || n_rows == 0 => {}
                // Never all: one answer in eight is whole, or nothing could be known.
                _ if n.is_multiple_of(8) => {}
                0 | 1 => page = self::page(page.records[n_rows - (n_rows * 6 / 10).max(1)..].to_vec()),
                2 => page.records.push(tick(T0 + 9_000_000, 1.0)),
                3 => page.records.push(tick(ask.range.end().secs(), 1.0)),
                _ => page.records.insert(0, tick(ask.range.start().secs() - 1, 1.0)),
            }
            Ok(page)
        };
        let (outcome, _) = run(&mut source, scope, &mut profile, 3, |_| 0, lie);
        prop_assert!(outcome.not_offered.is_empty(), "{:?}", outcome.not_offered);
        for range in wanted.iter() {
            let mut open = RangeSet::from(range);
            open.remove_all(&outcome.proved);
            open.remove_all(&outcome.failed);
            prop_assert!(open.is_empty(), "{open:?} is neither proved nor failed");
        }
        prop_assert_eq!(&outcome.rows, &truth(&source, &outcome.proved));
    }

    /// What lies behind the wall is never claimed, and all of the rest is. In a page of two rows a
    /// substitution looks like one row that does not belong beside one that does.
    #[test]
    fn the_wall_is_respected(epochs in arbitrary_epochs(), wall in 1i64..4000, cap in 3usize..200) {
        let mut source = Source::new(epochs.1, cap);
        source.wall = Some(T0 + wall);
        let mut profile = profile(epochs.0, 100);
        let outcome = honest(&mut source, scope(&[range(0, 4000)], true), &mut profile);
        let offered = EpochRange::new(Epoch::new(T0 + wall), Epoch::new(T0 + 4000)).unwrap();
        prop_assert!(outcome.proved.covers(offered), "{outcome:?}");
        prop_assert_eq!(outcome.not_offered, RangeSet::from(range(0, wall)));
        prop_assert_eq!(&outcome.rows, &truth(&source, &RangeSet::from(offered)));
    }
}

#[test]
fn a_gap_free_month_needs_hardly_more_than_the_fewest_requests() {
    // Four lanes are cut for the larger page before the smaller cap is known; each ends with a rest.
    for (cap, assumed, extra) in [(1000, 1000, 2), (5000, 1000, 2), (1000, 5000, 6)] {
        let n_rows = 100 * cap as i64;
        let mut source = Source::new((0..n_rows).map(|i| i * 2), cap);
        let scope = scope(&[range(0, n_rows * 2)], false);
        let outcome = honest(&mut source, scope, &mut profile(true, assumed));
        assert_eq!(outcome.rows.len(), source.rows.len());
        assert!(
            outcome.n_asks <= 100 + extra,
            "cap {cap}, assumed {assumed}: {} asks",
            outcome.n_asks
        );
    }
}

#[test]
fn an_irregular_month_needs_few_more_requests_than_the_fewest() {
    let mut source = Source::new((0..400_000).filter(|i| (i * 7919) % 5 < 3), 1000);
    let fewest = source.rows.len().div_ceil(1000);
    let outcome =
        honest(&mut source, scope(&[range(0, 400_000)], false), &mut profile(false, 1000));
    assert_eq!(outcome.rows.len(), source.rows.len());
    assert!(outcome.n_asks * 100 <= fewest * 107, "{} asks, fewest {fewest}", outcome.n_asks);
}

/// A hole at the head of a window looks like a page cut short there: the head is asked again.
#[test]
fn the_head_of_a_window_is_asked_again() {
    let fixed = crate::domain::Cadence::Fixed { interval_secs: 2, phase_secs: 0 };
    let mut profile = Profile::new(Kind::Ticks, Some(true), 100, Some(fixed));
    let mut source = Source::new((0..400).map(|i| i * 2).filter(|e| !(198..204).contains(e)), 100);
    let mut heads = Vec::new();
    let answer = |_, ask: Ask, page: Page<Tick>| {
        if [T0 + 204, T0 + 205].contains(&ask.range.end().secs()) {
            heads.push(ask.range);
        }
        Ok(page)
    };
    let scope = scope(&[range(0, 800)], false);
    let (outcome, _) = run(&mut source, scope, &mut profile, 1, |_| 0, answer);
    // The second time without the row that is known: a source that leaves rows out has none to show.
    let (head, bare_head, gap_by_itself) = (range(198, 205), range(198, 204), range(196, 205));
    assert_eq!(heads, [head, bare_head, gap_by_itself]);
    assert_eq!(outcome.rows.len(), source.rows.len());
}

#[test]
fn a_silent_answer_between_rows_is_doubted_until_another_run() {
    let epochs = (0..1000).map(|i| i * 2).filter(|e| !(600..1000).contains(e));
    let mut source = Source::new(epochs, 100);
    let (outcome, pager) = run(
        &mut source,
        scope(&[range(0, 2000)], false),
        &mut profile(true, 100),
        1,
        |_| 0,
        |_, _, page| Ok(page),
    );
    let (confirmed, doubted) = pager.silence();
    assert!(outcome.proved.covers(range(0, 2000)));
    assert!(!doubted.is_empty());
    assert!(!doubted.iter().any(|range| confirmed.intersects(range)));
}

#[test]
fn a_gap_is_asked_again_by_itself_and_confirmed() {
    let epochs = (0..1000).map(|i| i * 2).filter(|e| !(700..708).contains(e));
    let mut source = Source::new(epochs, 100);
    let scope = scope(&[range(0, 2000)], false);
    let (_, pager) =
        run(&mut source, scope, &mut profile(true, 100), 1, |_| 0, |_, _, page| Ok(page));
    assert_eq!(pager.silence().0, RangeSet::from(range(699, 708)));
}

#[test]
fn answers_that_never_agree_become_a_finding_with_both() {
    let mut source = Source::new((0..1000).map(|i| i * 2), 100);
    let mut profile = profile(true, 100);
    // The oldest window names another price for its newest position, however often it is asked.
    let lie = |_, ask: Ask, mut page: Page<Tick>| {
        if let Some(last) = page.records.last_mut().filter(|_| ask.range.start().secs() == T0) {
            last.quote = 1.0;
        }
        Ok(page)
    };
    let scope = scope(&[range(0, 2000)], false);
    let (outcome, _) = run(&mut source, scope, &mut profile, 1, |_| 0, lie);
    assert_eq!(outcome.findings.len(), 1, "{:?}", outcome.findings);
    assert_eq!(outcome.findings[0].kind, FindingKind::ConflictingTick);
    assert_eq!(outcome.findings[0].expected, "[1.0]");
}

#[test]
fn a_source_that_never_answers_fails_the_range_and_ends() {
    let mut source = Source::new((0..1000).map(|i| i * 2), 100);
    let gone = |_, _, _| Err((ErrorKind::Transport, "gone".to_owned()));
    let scope = scope(&[range(0, 2000)], false);
    let (outcome, _) = run(&mut source, scope, &mut profile(true, 100), 2, |_| 0, gone);
    assert_eq!(outcome.failed, RangeSet::from(range(0, 2000)));
    assert!(outcome.proved.is_empty());
}

/// One position is named with another price twice, and rightly the third time: the source was
/// faulty for a while, and the archive is right.
#[test]
fn a_disagreement_that_is_overcome_is_withdrawn() {
    let mut source = Source::new((0..1000).map(|i| i * 2), 100);
    let mut n_lies = 0;
    let mut at = None;
    // The lane above the lowest lies about the position that both share.
    let lie = |_, ask: Ask, mut page: Page<Tick>| {
        let is_lane = ask.range.len_secs() > 10 && ask.range.start().secs() > T0;
        if let Some(first) = page.records.first_mut().filter(|_| is_lane && n_lies < 2)
            && *at.get_or_insert(first.epoch) == first.epoch
        {
            first.quote = 1.0;
            n_lies += 1;
        }
        Ok(page)
    };
    let fixed = Some(crate::domain::Cadence::Fixed { interval_secs: 2, phase_secs: T0 % 2 });
    let mut profile = Profile::new(Kind::Ticks, Some(true), 100, fixed);
    let scope = scope(&[range(0, 2000)], false);
    let (outcome, _) = run(&mut source, scope, &mut profile, 1, |_| 0, lie);
    assert_eq!(n_lies, 2, "the position was disputed twice");
    assert_eq!(outcome.findings, []);
}

/// A row is sent twice in one answer with two prices, once: asked again, there is no conflict.
#[test]
fn a_conflict_inside_one_answer_is_asked_again() {
    for (n_times, expected) in [(1, 0), (2, 1)] {
        let mut source = Source::new((0..1000).map(|i| i * 2), 100);
        let mut n_left = n_times;
        let conflict = |_, _, mut page: Page<Tick>| {
            if n_left > 0 && page.records.len() > 50 {
                n_left -= 1;
                let kept = page.records[50];
                let refused = Tick { quote: 1.0, ..kept };
                page.conflicts.push(crate::domain::RowConflict { kept, refused });
            }
            Ok(page)
        };
        let scope = scope(&[range(0, 2000)], false);
        let (outcome, _) = run(&mut source, scope, &mut profile(true, 100), 1, |_| 0, conflict);
        assert_eq!(outcome.findings.len(), expected, "{:?}", outcome.findings);
    }
}

/// What is held cannot be lost by not being answered again.
#[test]
fn what_is_settled_is_not_lost_behind_the_wall() {
    let mut source = Source::new((0..1000).map(|i| i * 2), 100);
    source.wall = Some(T0 + 500);
    let all = range(0, 2000);
    for (settled, is_lost) in [(None, true), (Some(range(0, 400)), true), (Some(all), false)] {
        let mut scope = scope(&[range(0, 2000)], true);
        scope.first_held = Some(Epoch::new(T0));
        scope.settled = settled.into_iter().collect();
        let outcome = honest(&mut source, scope, &mut profile(true, 100));
        assert_eq!(outcome.findings.is_empty(), !is_lost, "{:?}", outcome.findings);
        assert_eq!(outcome.failed.is_empty(), !is_lost);
    }
}

/// Bars that open beside the grid: the seconds they stand for fail, and the good ones stay.
#[test]
fn rows_that_cannot_be_used_are_neither_rows_nor_silence() {
    let minutes = Kind::Candles(crate::domain::Granularity::MINUTE);
    let t0 = T0 / 3600 * 3600;
    let range = |start: i64, end: i64| {
        EpochRange::new(Epoch::new(t0 + start * 60), Epoch::new(t0 + end * 60)).unwrap()
    };
    for (n_good, is_odd) in [(10, false), (10, true), (0, true)] {
        let missing = RangeSet::from(range(0, 10));
        let series = Series { symbol: "R_100".parse().unwrap(), kind: minutes };
        let scope = Scope {
            series,
            range: range(0, 10),
            missing,
            ..scope(&[super::tests::range(0, 1)], false)
        };
        let mut profile = Profile::new(minutes, Some(true), 100, None);
        let mut pager = Pager::<Tick>::new(scope);
        let mut outcome = Outcome::default();
        let source = Source::new([], 1);
        while let Some(ask) = pager.next_ask(&profile) {
            let inside = |at: &i64| ask.range.contains(Epoch::new(*at));
            let good = (0..n_good).map(|n| t0 + n * 60).filter(inside);
            let mut page = page(good.map(|at| tick(at, 1.0)).collect());
            // The bars of minutes 5 and 6 open 7 s late.
            let odd = [5, 6].map(|n| t0 + n * 60 + 7);
            let at = |row: &Tick| !is_odd || !odd.contains(&(row.epoch.secs() + 7));
            page.records.retain(at);
            page.unusable =
                odd.into_iter().filter(|_| is_odd).filter(inside).map(Epoch::new).collect();
            for event in pager.answer(ask.id, Ok(page), &mut profile) {
                note(event, &source, &mut pager, &profile, &mut outcome);
            }
        }
        assert_eq!(outcome.rows.len(), n_good as usize - 2 * usize::from(is_odd && n_good > 0));
        let failed: Vec<_> = outcome.failed.iter().collect();
        match (is_odd, n_good) {
            (false, _) => assert!(failed.is_empty() && outcome.unusable.is_empty()),
            (true, 0) => assert!(failed.iter().any(|failed| failed.covers(range(5, 10)))),
            (true, _) => {
                assert_eq!(failed, [range(5, 7)]);
                assert!(outcome.proved.covers(range(0, 5)) && outcome.proved.covers(range(7, 10)));
            }
        }
        assert!(!outcome.proved.intersects(range(5, 7)) || !is_odd, "{:?}", outcome.proved);
        assert_eq!(outcome.unusable.is_empty(), !is_odd);
    }
}
