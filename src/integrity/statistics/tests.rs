//! Habits of a series raise no alarm, what breaks them does, and the same rows always say the same.

use super::*;
use crate::domain::{FindingKind as K, Tick};
use crate::integrity::testing::{month_start, tick};

/// A walk in hundredths from a fixed generator: about ten pips a step.
struct Walk(u64);

impl Walk {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn step(&mut self) -> i64 {
        // The sum of a few draws has the shape of a normal one.
        (0..4).map(|_| (self.bits() % 11).cast_signed() - 5).sum()
    }
}

fn walk(n_rows: i64, interval_secs: i64) -> Vec<Tick> {
    let mut walk = Walk(88_172_645_463_325_252);
    let mut pips = 100_000;
    let row = |i| {
        pips += walk.step();
        tick(month_start() + i * interval_secs, pips as f64 / 100.0)
    };
    (0..n_rows).map(row).collect()
}

fn watch(rows: &[Tick]) -> Vec<Finding> {
    let mut statistics = Statistics::new(Kind::Ticks, Thresholds::default());
    rows.chunks(1000).for_each(|rows| statistics.update(rows));
    let mut findings = Vec::new();
    statistics.finish("it", &mut findings);
    findings
}

fn told(rows: &[Tick]) -> Vec<(K, String)> {
    let subject = |f: Finding| (f.kind, f.subject.replace("it at 2026-03-", ""));
    watch(rows).into_iter().map(subject).collect()
}

const N: i64 = 40_000;

#[test]
fn a_walk_gives_no_warning() {
    assert_eq!(watch(&walk(N, 2)), []);
    assert_eq!(watch(&walk(N, 1)), []);
    assert_eq!(watch(&walk(3, 1)), []);
    assert_eq!(watch(&[]), []);
}

#[test]
fn a_bad_price_is_one_spike() {
    let mut rows = walk(N, 2);
    rows[20_000].quote *= 1.05;
    assert_eq!(told(&rows), [(K::Spike, "01T11:06:40Z".to_owned())]);
    assert!(watch(&rows)[0].found.contains("times the usual move"), "{:?}", watch(&rows));
    let threshold = Thresholds { spike: 1e9, ..Thresholds::default() };
    let mut statistics = Statistics::new(Kind::Ticks, threshold);
    statistics.update(&rows);
    let mut findings = Vec::new();
    statistics.finish("it", &mut findings);
    assert_eq!(findings, []);
}

#[test]
fn a_level_that_shifts_is_a_spike_as_well() {
    let mut rows = walk(N, 2);
    rows[20_000..].iter_mut().for_each(|row| row.quote *= 0.9);
    rows.iter_mut().for_each(|row| row.quote = (row.quote * 100.0).round() / 100.0);
    assert_eq!(told(&rows), [(K::Spike, "01T11:06:40Z".to_owned())]);
}

#[test]
fn a_series_that_jumps_by_nature_is_left_alone_until_it_jumps_farther() {
    let mut rows = walk(N, 1);
    let mut level = 1.0;
    for (i, row) in rows.iter_mut().enumerate() {
        if i % 500 == 250 {
            level *= 1.003;
        }
        row.quote = (row.quote * level * 100.0).round() / 100.0;
    }
    assert_eq!(watch(&rows), []);
    rows[30_100].quote *= 1.2;
    assert_eq!(told(&rows), [(K::Spike, "01T08:21:40Z".to_owned())]);
}

#[test]
fn many_spikes_are_counted_and_few_are_named() {
    let mut rows = walk(400_000, 1);
    for i in 0..30 {
        rows[10_000 + i * 10_000].quote *= 1.1;
    }
    let findings = watch(&rows);
    assert_eq!(findings.len(), MAX_NAMED + 1);
    assert!(findings[MAX_NAMED].found.starts_with("30 times in all"), "{findings:?}");
}

#[test]
fn a_price_across_a_silence_is_no_move() {
    let mut rows = walk(N, 2);
    rows[20_000..].iter_mut().for_each(|row| {
        row.epoch = row.epoch.plus(3 * 86_400);
        row.quote = ((row.quote + 50.0) * 100.0).round() / 100.0;
    });
    assert_eq!(watch(&rows), []);
}

#[test]
fn a_price_that_stands_still_is_frozen() {
    let mut rows = walk(N, 2);
    let price = rows[10_000].quote;
    rows[10_000..10_100].iter_mut().for_each(|row| row.quote = price);
    assert_eq!(told(&rows), [(K::FrozenRun, "01T05:33:20Z".to_owned())]);
    let all: Vec<_> = rows.iter().map(|row| Tick { quote: 1.0, ..*row }).collect();
    assert_eq!(told(&all), [(K::FrozenRun, "01T00:00:00Z".to_owned())]);
    // A series that often stands still for a minute may do so for five.
    let mut still = walk(N, 2);
    for (i, row) in still.iter_mut().enumerate() {
        let n_rows = if (9_000..9_150).contains(&i) { 150 } else { 30 };
        row.quote = (1000 + (i / n_rows) % 7) as f64;
    }
    assert_eq!(watch(&still), []);
}

#[test]
fn a_new_interval_is_told_once() {
    let mut rows = walk(N, 2);
    let turn = rows[20_000].epoch;
    for (i, row) in rows[20_000..].iter_mut().enumerate() {
        row.epoch = turn.plus(4 * i64::try_from(i).unwrap());
    }
    assert_eq!(told(&rows), [(K::CadenceChange, "01T12:00:00Z".to_owned())]);
    assert_eq!(watch(&rows)[0].found, "a row every 4 s instead of 2 s");
    // One odd hour is none.
    let mut odd = walk(N, 2);
    odd.retain(|row| row.epoch.secs() % 4 == 0 || row.epoch.secs() / 3600 % 24 != 5);
    assert_eq!(watch(&odd), []);
}

#[test]
fn other_decimals_are_told_at_each_change() {
    let mut rows = walk(N, 2);
    rows[20_000..30_000].iter_mut().for_each(|row| row.quote = (row.quote * 10.0).round() / 10.0);
    let found = told(&rows);
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [K::GridChange; 2]);
    assert!(found[0].1.starts_with("01T11:"), "{found:?}");
    assert!(found[1].1.starts_with("01T16:"), "{found:?}");
    // Where nobody says how many decimals there are, more are told as well.
    let mut statistics = Statistics::new(Kind::Ticks, Thresholds::default());
    rows.iter_mut().for_each(|row| row.quote = (row.quote * 10.0).round() / 10.0);
    rows[25_000..].iter_mut().for_each(|row| row.quote = (row.quote * 1e4 + 7.0).round() / 1e4);
    statistics.update(&rows);
    let mut findings = Vec::new();
    statistics.finish("it", &mut findings);
    assert_eq!(findings.iter().map(|f| f.kind).collect::<Vec<_>>(), [K::GridChange]);
}

#[test]
fn what_is_no_price_disturbs_nothing() {
    let mut rows = walk(N, 2);
    for (i, quote) in [f64::NAN, f64::INFINITY, 0.0, -1.0].into_iter().enumerate() {
        rows[1000 * (i + 1)].quote = quote;
    }
    assert_eq!(watch(&rows), []);
}
