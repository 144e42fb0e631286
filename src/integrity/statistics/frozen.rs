//! Runs of one price that last far longer than the price of the series usually stands still.

use crate::domain::{Advice, Epoch, Finding, FindingKind};
use crate::integrity::checks::tally::Tally;

use super::MAX_NAMED;
use super::histogram::Histogram;

/// A tick price that stands still for less is never called frozen.
const LEAST_TICKS_SECS: i64 = 60;
/// Nor do fewer candles than this without any movement.
const LEAST_BARS: i64 = 10;

/// One run in so many is allowed to be as long as the series' usual longest.
const ONE_RUN_IN: u64 = 1_000;
/// In short files so many runs at least must be as long to be its habit.
const LEAST_RUNS: u64 = 4;

/// Longest runs that are remembered.
const MAX_KEPT: usize = 64;

#[derive(Debug)]
pub(super) struct Frozen {
    apart_secs: i64,
    least_secs: i64,
    threshold: f64,
    run: Option<Run>,
    lengths: Histogram,
    /// Runs of a single row, which most are, counted aside because it is quicker.
    n_single: u64,
    longest: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    start: Epoch,
    last: Epoch,
    price: f64,
    n_rows: u64,
}

impl Run {
    fn secs(&self) -> i64 {
        self.last.since(self.start)
    }
}

impl Frozen {
    /// Rows further apart than `apart_secs` are never one run.
    pub(super) fn new(apart_secs: i64, threshold: f64, granularity: Option<i64>) -> Self {
        Self {
            apart_secs,
            least_secs: granularity.map_or(LEAST_TICKS_SECS, |secs| LEAST_BARS * secs),
            threshold,
            run: None,
            lengths: Histogram::new(),
            n_single: 0,
            longest: Vec::new(),
        }
    }

    /// Adds a row; a candle in which something `moved` ends every run and belongs to none.
    pub(super) fn push(&mut self, epoch: Epoch, price: f64, moved: bool) {
        if let Some(run) = &mut self.run
            && run.price == price
            && !moved
            && epoch.since(run.last) <= self.apart_secs
        {
            run.last = epoch;
            run.n_rows += 1;
            return;
        }
        self.close();
        self.run = (!moved).then_some(Run { start: epoch, last: epoch, price, n_rows: 1 });
    }

    fn close(&mut self) {
        let Some(run) = self.run.take() else {
            self.n_single += 1;
            return;
        };
        if run.n_rows == 1 {
            self.n_single += 1;
            return;
        }
        self.lengths.add(run.secs() as f64, 1);
        if run.secs() > self.least_secs {
            self.longest.push(run);
            if self.longest.len() >= 2 * MAX_KEPT {
                self.longest.sort_by_key(|run| std::cmp::Reverse(run.secs()));
                self.longest.truncate(MAX_KEPT);
            }
        }
    }

    pub(super) fn into_findings(mut self, place: &str, findings: &mut Vec<Finding>) {
        self.close();
        self.lengths.add(0.0, self.n_single);
        let rank = (self.lengths.count() / ONE_RUN_IN).max(LEAST_RUNS);
        let usual = self.lengths.deviations(0.0).largest(rank);
        let limit = (self.threshold * usual).max(self.least_secs as f64);
        let expected = format!("a price that moves at least every {limit:.0} s");
        let mut frozen = Tally::warnings(FindingKind::FrozenRun, expected, MAX_NAMED);
        self.longest.retain(|run| run.secs() as f64 > limit);
        self.longest.sort_by_key(|run| run.start);
        for run in &self.longest {
            frozen.note_until(run.start, run.last.plus(1), || {
                let Run { price, last, n_rows, .. } = run;
                format!("{price} for {} s and {n_rows} rows, until {last}", run.secs())
            });
        }
        frozen.into_findings(place, Some(Advice::LookAtRows), findings);
    }
}
