use super::*;
use crate::domain::{Coverage, CoverageState, Granularity, Severity};
use crate::integrity::testing::*;

/// A tick every second for ten minutes, and the candles they make under a convention.
struct Pair {
    ticks: Vec<Tick>,
    candles: Vec<Candle>,
    answered: EpochRange,
}

const N_BARS: i64 = 10;

impl Pair {
    fn new(border: BorderTick) -> Self {
        let start = month_start();
        let ticks: Vec<_> = (0..N_BARS * 60).map(|i| tick(start + i, price(i))).collect();
        let bar = |bar: i64| {
            let from = start + bar * 60 + i64::from(border == BorderTick::Closes);
            let inside = |tick: &&Tick| (from..from + 60).contains(&tick.epoch.secs());
            let quotes: Vec<f64> = ticks.iter().filter(inside).map(|tick| tick.quote).collect();
            Candle {
                epoch: Epoch::new(start + bar * 60),
                open: quotes[0],
                high: quotes.iter().copied().fold(f64::MIN, f64::max),
                low: quotes.iter().copied().fold(f64::MAX, f64::min),
                close: quotes[quotes.len() - 1],
            }
        };
        let candles = (0..N_BARS).map(bar).collect();
        Self { candles, answered: range(start, start + N_BARS * 60), ticks }
    }

    fn compared(self) -> Compared {
        let answered = Coverage::from(vec![crate::domain::CoverageRange {
            start: self.answered.start(),
            end: self.answered.end(),
            state: CoverageState::Answered,
        }]);
        self.compared_where(answered)
    }

    fn compared_where(self, ticks_coverage: Coverage) -> Compared {
        let archive = Archive::new();
        let answered = self.answered;
        let minute = Kind::Candles(Granularity::MINUTE);
        let candles = Sample::new("R_100", minute, self.candles, answered);
        candles.publish(&archive);
        let ticks = Sample::new("R_100", Kind::Ticks, self.ticks, answered);
        ticks.with_coverage(ticks_coverage).publish(&archive);
        compare(&archive.layout, "it", &candles.key)
    }

    fn second(&self, bar: i64, second: i64) -> Epoch {
        self.answered.start().plus(bar * 60 + second)
    }

    fn without_ticks(mut self, bar: i64, seconds: std::ops::Range<i64>) -> Self {
        let (from, to) = (self.second(bar, seconds.start), self.second(bar, seconds.end));
        self.ticks.retain(|tick| !(from <= tick.epoch && tick.epoch < to));
        self
    }
}

/// Bars, equal, edge, ticks missing, without ticks, candle missing, different.
fn numbers(compared: &Compared) -> [u64; 7] {
    let c = compared.counts.as_ref().unwrap();
    let candles = [c.candle_missing, c.different];
    [c.bars, c.equal, c.edge, c.ticks_missing, c.without_ticks, candles[0], candles[1]]
}

fn found(compared: &Compared) -> Vec<(Severity, FindingKind)> {
    compared.findings.iter().map(|finding| (finding.severity, finding.kind)).collect()
}

#[test]
fn candles_are_equal_under_the_convention_of_their_file() {
    let compared = Pair::new(BorderTick::Opens).compared();
    assert_eq!(numbers(&compared), [10, 10, 0, 0, 0, 0, 0]);
    assert_eq!(compared.findings, []);
    assert_eq!(compared.counts.unwrap().border_tick, BorderTick::Opens);
    let compared = Pair::new(BorderTick::Closes).compared();
    assert_eq!(numbers(&compared), [10, 10, 0, 0, 0, 0, 0]);
    assert_eq!(compared.findings, []);
    assert_eq!(compared.counts.unwrap().border_tick, BorderTick::Closes);
}

#[test]
fn a_bar_of_the_other_convention_is_an_edge_difference() {
    let mut pair = Pair::new(BorderTick::Opens);
    pair.candles[3] = Pair::new(BorderTick::Closes).candles[3];
    let compared = pair.compared();
    assert_eq!(numbers(&compared), [10, 9, 1, 0, 0, 0, 0]);
    assert_eq!(found(&compared), [(Severity::Info, FindingKind::CandleMismatch)]);
    assert_eq!(compared.findings[0].subject, "it at 2026-03-01T00:03:00Z");
}

#[test]
fn a_candle_without_ticks_proves_a_hole() {
    let compared = Pair::new(BorderTick::Opens).without_ticks(3, 0..120).compared();
    assert_eq!(numbers(&compared), [10, 8, 0, 0, 2, 0, 0]);
    assert_eq!(found(&compared), [(Severity::Error, FindingKind::TicksMissing)]);
    let hole = "no tick from 2026-03-01T00:03:00Z to 2026-03-01T00:05:00Z, 2 bars";
    assert_eq!(compared.findings[0].found, hole);
    // To the end of the file, where no tick follows.
    let compared = Pair::new(BorderTick::Opens).without_ticks(9, 0..60).compared();
    assert_eq!(numbers(&compared), [10, 9, 0, 0, 1, 0, 0]);
}

#[test]
fn ticks_without_a_candle_are_told_as_one_place() {
    let mut pair = Pair::new(BorderTick::Opens);
    pair.candles.drain(4..7);
    let compared = pair.compared();
    assert_eq!(numbers(&compared), [10, 7, 0, 0, 0, 3, 0]);
    assert_eq!(found(&compared), [(Severity::Error, FindingKind::CandleMissing)]);
    // The first tick of a bar alone may be the last of the bar before.
    let mut pair = Pair::new(BorderTick::Opens).without_ticks(4, 1..60);
    pair.candles.remove(4);
    assert_eq!(numbers(&pair.compared()), [9, 9, 0, 0, 0, 0, 0]);
}

#[test]
fn a_candle_that_reaches_beyond_its_ticks_misses_some() {
    let pair = Pair::new(BorderTick::Opens);
    let highest = |tick: &&Tick| tick.quote == pair.candles[5].high;
    let at = pair.ticks[300..360].iter().find(highest).unwrap().epoch;
    let second = at.since(pair.second(5, 0));
    let compared = pair.without_ticks(5, second..second + 1).compared();
    assert_eq!(numbers(&compared), [10, 9, 0, 1, 0, 0, 0]);
    assert_eq!(found(&compared), [(Severity::Warning, FindingKind::TicksMissing)]);
}

#[test]
fn where_no_tick_can_be_missing_the_prices_differ() {
    let mut pair = Pair::new(BorderTick::Opens);
    pair.candles[5].high += 1.0;
    let compared = pair.compared();
    assert_eq!(numbers(&compared), [10, 9, 0, 0, 0, 0, 1]);
    assert_eq!(found(&compared), [(Severity::Warning, FindingKind::CandleMismatch)]);
    let mut pair = Pair::new(BorderTick::Opens).without_ticks(5, 20..22);
    pair.ticks[310].quote += 100.0;
    assert_eq!(numbers(&pair.compared()), [10, 9, 0, 0, 0, 0, 1]);
}

#[test]
fn only_bars_answered_in_both_files_are_judged() {
    let pair = Pair::new(BorderTick::Opens).without_ticks(3, 0..90);
    let mut coverage = Coverage::new();
    coverage
        .insert(range(pair.second(0, 0).secs(), pair.second(3, 0).secs()), CoverageState::Answered);
    coverage
        .insert(range(pair.second(3, 0).secs(), pair.second(4, 30).secs()), CoverageState::Failed);
    coverage.insert(
        range(pair.second(4, 30).secs(), pair.second(10, 0).secs()),
        CoverageState::Inherited,
    );
    let compared = pair.compared_where(coverage);
    assert_eq!(numbers(&compared), [8, 8, 0, 0, 0, 0, 0]);
}

#[test]
fn rows_out_of_order_are_not_compared() {
    let mut pair = Pair::new(BorderTick::Opens);
    pair.ticks.swap(100, 101);
    let compared = pair.compared();
    assert_eq!(compared.counts, None);
    assert_eq!(found(&compared), [(Severity::Info, FindingKind::CandleMismatch)]);
}

#[test]
fn what_is_not_there_is_not_compared() {
    let archive = Archive::new();
    let sample = Sample::candles();
    sample.publish(&archive);
    assert_eq!(compare(&archive.layout, "it", &sample.key).counts, None);
    let ticks = Sample::ticks();
    assert_eq!(compare(&archive.layout, "it", &ticks.key).counts, None);
}

#[test]
fn a_candle_beside_the_grid_is_no_bar() {
    let mut pair = Pair::new(BorderTick::Opens);
    pair.candles[4].epoch = pair.candles[4].epoch.plus(1);
    let compared = pair.compared();
    assert_eq!(compared.counts, None);
    assert_eq!(found(&compared), [(Severity::Info, FindingKind::CandleMismatch)]);
}
