//! The few numbers behind the display. Pure: time is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{Month, PartitionKey, Series};
use crate::download::{PageReport, Plan};
use crate::resilience::BreakerState;

use super::super::report::Walls;
use super::super::report::text::span;
use super::SourceLook;
use super::estimate::Estimate;
use super::lines::{Cause, Look, SeriesLook, TotalLook, Wait};

/// A wait of one cause is told again at most so often where every line stays.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// A connection that is made faster than this is not worth a word.
const SLOW_CONNECT: Duration = Duration::from_millis(700);

#[derive(Debug, Default)]
pub(super) struct State {
    is_planned: bool,
    series: BTreeMap<Series, BTreeMap<Month, MonthState>>,
    rows: u64,
    answers: u64,
    estimate: Estimate,
    /// Until when each cause makes somebody wait, and when that was last told as a line.
    waits: BTreeMap<Cause, (Duration, Duration)>,
    connecting_since: Option<Duration>,
    pub(super) lines: Vec<String>,
    pub(super) walls: Walls,
}

/// A month in which something is to be done.
#[derive(Debug, Clone, Copy, Default)]
struct MonthState {
    phase: Phase,
    asked: u64,
    left: u64,
    rows: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Planned,
    Asked,
    Written,
    Done,
}

impl State {
    pub(super) fn planned(&mut self, plan: &Plan) {
        self.is_planned = true;
        for partition in plan.partitions.iter().filter(|partition| partition.n_requests > 0) {
            self.month(&partition.key).left = partition.n_requests;
        }
    }

    fn month(&mut self, key: &PartitionKey) -> &mut MonthState {
        self.series.entry(key.series.clone()).or_default().entry(key.month).or_default()
    }

    pub(super) fn started(&mut self, key: &PartitionKey, n_pages: u64) {
        self.is_planned = true;
        *self.month(key) = MonthState { phase: Phase::Asked, left: n_pages, ..Default::default() };
    }

    pub(super) fn page(&mut self, key: &PartitionKey, page: &PageReport, now: Duration) {
        self.rows += page.n_rows;
        self.answers += 1;
        self.estimate.note(now, page.n_rows);
        let month = self.month(key);
        month.rows += page.n_rows;
        month.asked += 1;
        month.left = page.n_pages_left;
    }

    pub(super) fn publishing(&mut self, key: &PartitionKey) {
        let month = self.month(key);
        (month.phase, month.left) = (Phase::Written, 0);
    }

    pub(super) fn published(&mut self, key: &PartitionKey) {
        let month = self.month(key);
        (month.phase, month.left) = (Phase::Done, 0);
    }

    /// Somebody waits; tells whether that is worth a line of its own.
    pub(super) fn waits(&mut self, cause: Cause, now: Duration, how_long: Duration) -> bool {
        let until = now + how_long;
        // One request that is made again holds up nobody else.
        if matches!(cause, Cause::RateLimit | Cause::HourBudget | Cause::SourceAway) {
            self.estimate.pause(now, until);
        }
        let before = self.waits.get(&cause).copied();
        let is_over = before.is_none_or(|(until, _)| until <= now);
        let is_news = is_over && before.is_none_or(|(_, told)| now >= told + TOLD_AGAIN);
        let told = before.filter(|_| !is_news).map_or(now, |(_, told)| told);
        let until = before.map_or(until, |(before, _)| before.max(until));
        self.waits.insert(cause, (until, told));
        is_news
    }

    /// What is to be shown at `now`; `source` as it is at the same moment, if it can be looked at.
    pub(super) fn look(&mut self, source: Option<SourceLook>, now: Duration) -> Look {
        if let Some(source) = source {
            self.estimate.paced(source.pace, now);
            self.connecting_since =
                source.is_connecting.then(|| self.connecting_since.unwrap_or(now));
        }
        let series = self.series.iter().filter_map(|(series, months)| active(series, months));
        let series: Vec<_> = series.collect();
        let months = || self.series.values().flat_map(BTreeMap::values);
        let left: u64 = months().map(|month| month.left).sum();
        let asked = months().map(|month| month.asked).sum();
        let wait = self.wait(source.map(|source| source.breaker), now);
        // Nobody knows when a source that is away comes back.
        let is_away = wait.is_some_and(|w| matches!(w.cause, Cause::SourceAway | Cause::Probing));
        let time_left = self.estimate.time_left(left, now).filter(|_| !is_away);
        let total = TotalLook {
            is_preparing: !self.is_planned,
            rows: self.rows,
            requests: source.map_or(self.answers, |source| source.requests),
            asked,
            left,
            per_minute: self.estimate.per_minute(now),
            rows_per_second: self.estimate.rows_per_second(now),
            time_left,
        };
        Look { series, total, wait }
    }

    /// What everything waits for; if that is more than one thing, the one that is worst.
    fn wait(&self, breaker: Option<BreakerState>, now: Duration) -> Option<Wait> {
        let left = |cause| {
            let (until, _) = self.waits.get(&cause)?;
            until.checked_sub(now).filter(|left| !left.is_zero())
        };
        let counted = |cause| left(cause).map(|left| Wait { cause, left: Some(left) });
        let is_slow = self.connecting_since.is_some_and(|since| now >= since + SLOW_CONNECT);
        match breaker {
            Some(BreakerState::HalfOpen) => {
                return Some(Wait { cause: Cause::Probing, left: None });
            }
            // The breaker knows better than the last who was told to wait.
            Some(BreakerState::Open) | None => {
                if let Some(wait) = counted(Cause::SourceAway) {
                    return Some(wait);
                }
            }
            Some(BreakerState::Closed) => {}
        }
        counted(Cause::RateLimit)
            .or_else(|| counted(Cause::HourBudget))
            .or_else(|| is_slow.then_some(Wait { cause: Cause::Connecting, left: None }))
            .or_else(|| counted(Cause::Retry))
    }
}

/// The line of a series; `None` if nothing of it is being done.
fn active(series: &Series, months: &BTreeMap<Month, MonthState>) -> Option<SeriesLook> {
    let in_phase = |phase| months.iter().find(move |(_, month)| month.phase == phase);
    let asked = in_phase(Phase::Asked);
    let (month, _) = asked.or_else(|| in_phase(Phase::Written))?;
    let sum = |count: fn(&MonthState) -> u64| months.values().map(count).sum();
    Some(SeriesLook {
        name: series.to_string(),
        month: month.to_string(),
        is_writing: asked.is_none(),
        n_done: sum(|month| u64::from(month.phase == Phase::Done)),
        n_months: months.len() as u64,
        asked: sum(|month| month.asked),
        left: sum(|month| month.left),
        rows: sum(|month| month.rows),
    })
}

/// A wait as a line that stays.
pub(super) fn wait_line(cause: Cause, how_long: Duration) -> String {
    format!("waiting {}: {}", span(how_long), cause.words().0)
}
