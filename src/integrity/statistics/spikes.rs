//! Moves of the price that are far out of the usual.

use crate::domain::{Advice, Epoch, Finding, FindingKind};
use crate::integrity::checks::tally::Tally;

use super::histogram::Histogram;
use super::{Between, MAX_NAMED};

/// Moves needed before any is called unusual.
const MIN_TICK_MOVES: u64 = 10_000;
const MIN_CANDLE_MOVES: u64 = 1_000;

/// From the median absolute deviation to the standard deviation of a normal distribution.
const TO_DEVIATION: f64 = 1.4826;

/// Jumps that come more often than one move in so many belong to the series: some indices jump
/// every few hundred ticks.
const ONE_JUMP_IN: u64 = 5_000;
/// Short files hold few jumps; so many moves at least must be as large to be its habit.
const LEAST_JUMPS: u64 = 8;
/// How far beyond its own jumps a move must reach.
const BEYOND_JUMPS: f64 = 3.0;

/// Largest moves that are remembered.
const MAX_KEPT: usize = 256;

/// Above this the difference between return and log return matters.
const SMALL: f64 = 0.01;

#[derive(Debug)]
pub(super) struct Spikes {
    apart_secs: i64,
    threshold: f64,
    min_moves: u64,
    before: Option<(Epoch, f64)>,
    moves: Histogram,
    largest: Vec<Move>,
    /// Moves up to this are not kept.
    floor: f64,
}

#[derive(Debug, Clone, Copy)]
struct Move {
    place: Between,
    from: f64,
    to: f64,
    log_return: f64,
}

impl Spikes {
    /// Rows further apart than `apart_secs` are not compared.
    pub(super) fn new(apart_secs: i64, threshold: f64, are_candles: bool) -> Self {
        Self {
            apart_secs,
            threshold,
            min_moves: if are_candles { MIN_CANDLE_MOVES } else { MIN_TICK_MOVES },
            before: None,
            moves: Histogram::new(),
            largest: Vec::new(),
            floor: 0.0,
        }
    }

    pub(super) fn push(&mut self, epoch: Epoch, price: f64) {
        let Some((before, from)) = self.before.replace((epoch, price)) else { return };
        let place = Between { before, behind: epoch };
        if !(1..=self.apart_secs).contains(&place.secs()) {
            return;
        }
        let small = price / from - 1.0;
        let log_return = if small.abs() < SMALL { small } else { (price / from).ln() };
        self.moves.add(log_return, 1);
        if log_return.abs() > self.floor {
            self.keep(Move { place, from, to: price, log_return });
        }
    }

    #[cold]
    fn keep(&mut self, found: Move) {
        self.largest.push(found);
        if self.largest.len() >= 2 * MAX_KEPT {
            let size = |m: &Move| m.log_return.abs();
            self.largest.sort_by(|a, b| size(b).total_cmp(&size(a)));
            self.largest.truncate(MAX_KEPT);
            self.floor = self.largest.last().map_or(0.0, size);
        }
    }

    pub(super) fn into_findings(mut self, place: &str, findings: &mut Vec<Finding>) {
        if self.moves.count() < self.min_moves {
            return;
        }
        let middle = self.moves.median();
        let deviations = self.moves.deviations(middle);
        let deviation = TO_DEVIATION * deviations.median();
        let habit = deviations.largest((self.moves.count() / ONE_JUMP_IN).max(LEAST_JUMPS));
        let limit = (self.threshold * deviation).max(BEYOND_JUMPS * habit);
        if deviation <= 0.0 {
            return; // Nothing ever moved: that is for the frozen runs to tell.
        }
        self.largest.retain(|found| (found.log_return - middle).abs() > limit);
        self.largest.sort_by_key(|found| found.place.behind);
        let expected = format!("moves up to {:.0} times the usual one", limit / deviation);
        let mut spikes = Tally::warnings(FindingKind::Spike, expected, MAX_NAMED);
        let mut named: Option<Between> = None;
        for found in &self.largest {
            // The way back from a bad price is no second spike.
            let is_way_back =
                named.replace(found.place).is_some_and(|n| n.behind == found.place.before);
            if !is_way_back {
                let times = (found.log_return - middle).abs() / deviation;
                spikes.note(found.place.behind, || {
                    let (from, to, secs) = (found.from, found.to, found.place.secs());
                    format!("{from} to {to} within {secs} s, {times:.0} times the usual move")
                });
            }
        }
        spikes.into_findings(place, Some(Advice::LookAtRows), findings);
    }
}
