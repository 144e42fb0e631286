//! Changes of the fixed interval at which rows come.

use crate::domain::{Advice, Epoch, Finding, FindingKind};
use crate::integrity::checks::tally::Tally;

use super::MAX_NAMED;

const SECS_PER_HOUR: i64 = 3600;
/// Longer intervals are silences, not a cadence.
const MAX_INTERVAL: usize = 64;
/// Intervals an hour must hold to say anything.
const MIN_INTERVALS: u32 = 50;
/// Share of them that must be equal for a fixed interval, in percent.
const FIXED_PERCENT: u32 = 95;
/// Hours in a row that must agree before a new interval is believed.
const HOURS_TO_BELIEVE: u32 = 2;

#[derive(Debug)]
pub(super) struct Rhythm {
    before: Option<Epoch>,
    hour: Epoch,
    intervals: [u32; MAX_INTERVAL],
    n_intervals: u32,
    usual: Option<usize>,
    /// Another interval, since when, and for how many hours.
    other: Option<(usize, Epoch, u32)>,
    changes: Tally,
}

impl Rhythm {
    pub(super) fn new() -> Self {
        let expected = "rows at the interval of the rows before";
        Self {
            before: None,
            hour: Epoch::default(),
            intervals: [0; MAX_INTERVAL],
            n_intervals: 0,
            usual: None,
            other: None,
            changes: Tally::warnings(FindingKind::CadenceChange, expected, MAX_NAMED),
        }
    }

    pub(super) fn push(&mut self, epoch: Epoch) {
        let Some(before) = self.before.replace(epoch) else {
            self.hour = epoch.floor_to(SECS_PER_HOUR, 0);
            return;
        };
        if epoch.since(self.hour) >= SECS_PER_HOUR {
            self.end_hour();
            self.hour = epoch.floor_to(SECS_PER_HOUR, 0);
        }
        if let Some(n) =
            usize::try_from(epoch.since(before)).ok().and_then(|i| self.intervals.get_mut(i))
        {
            *n += 1;
            self.n_intervals += 1;
        }
    }

    fn end_hour(&mut self) {
        let intervals = std::mem::replace(&mut self.intervals, [0; MAX_INTERVAL]);
        let n_intervals = std::mem::take(&mut self.n_intervals);
        let Some((interval, n)) = intervals.iter().enumerate().max_by_key(|(_, n)| **n) else {
            return;
        };
        let is_fixed = n_intervals >= MIN_INTERVALS && n * 100 >= n_intervals * FIXED_PERCENT;
        if !is_fixed || self.usual == Some(interval) {
            self.other = None;
            return;
        }
        let (since, n_hours) = match self.other {
            Some((other, since, n_hours)) if other == interval => (since, n_hours + 1),
            _ => (self.hour, 1),
        };
        self.other = Some((interval, since, n_hours));
        if n_hours >= HOURS_TO_BELIEVE {
            if let Some(usual) = self.usual {
                self.changes
                    .note(since, || format!("a row every {interval} s instead of {usual} s"));
            }
            self.usual = Some(interval);
            self.other = None;
        }
    }

    pub(super) fn into_findings(mut self, place: &str, findings: &mut Vec<Finding>) {
        self.end_hour();
        self.changes.into_findings(place, Some(Advice::LookAtRows), findings);
    }
}
