//! How fast to ask below the ceiling. Pure: times are told, as durations since some origin.
//!
//! It starts at half of the ceiling and grows to all of it. A refusal pauses everybody; what was
//! really sent in the 60 s before it is the *refused rate*, because a source that counts strictly
//! in sliding windows refuses exactly there. Asking resumes at half of it, is back at 90 % within
//! two minutes, and stays there: the *level*. At most once in 20 minutes a *probe* asks a little
//! faster for a few minutes. What holds becomes the new level; what is refused costs one pause,
//! and the next probe waits longer.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::WaitReason;
use super::ceiling::{HOUR, MINUTE};

/// How long the rate takes from half of what it aims for to all of it.
const GROWTH: Micros = 110 * SECOND;

/// What a source counts over.
const WINDOW: Micros = 60 * SECOND;

/// How long requests are remembered: a window, and the longest wait for an answer before it.
const MEMORY: Micros = 2 * WINDOW;

/// Most requests that are remembered; beyond, their number is reckoned from these.
const MOST_SENT: usize = 1_024;

/// How late a permit may be used without making the next one late too: timers are never sharp.
const SLACK: Micros = SECOND / 10;

/// Share of a refused rate that is aimed for afterwards, and after a probe was refused: then the
/// level held for long and the limit has been met twice.
const AFTER_REFUSAL: f64 = 0.9;
const AFTER_PROBE: f64 = 0.95;

/// No refusal slows the pace below so many requests a minute. Nobody met a lower limit; a count
/// this low was somebody else's doing.
const LEAST_RATE: f64 = 6.0;

/// From one probe to the next, and after one that was refused twice as long, up to the most.
const PATIENCE: Micros = 20 * 60 * SECOND;
const MOST_PATIENCE: Micros = 8 * PATIENCE;

/// How long a probe must hold: long enough for several windows at its full rate.
const PROBE: Micros = 5 * 60 * SECOND;

/// How far above the level a probe goes; doubled by every probe that held, up to the most.
const STEP: f64 = 0.1;
const MOST_STEP: f64 = 0.5;

/// A probe proves nothing unless so much of its rate was really sent.
const REALLY_SENT: f64 = 0.95;

/// Longest pause that is believed, whoever asks for it.
const MOST_PAUSE: Duration = Duration::from_secs(3_600);

/// A rate that was learned is forgotten after this long; until then the start is more careful the
/// older it is.
const FORGOTTEN: Duration = Duration::from_secs(86_400);

/// After a silence shorter than this asking goes on as if there had been none.
const SAME_RUN: Duration = Duration::from_secs(120);

/// A share of a refused rate that begins growth.
const HALF: f64 = 0.5;

/// A moment or a length in microseconds.
type Micros = u64;

const SECOND: Micros = 1_000_000;

/// The most that may be asked, whatever was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cap {
    /// Requests in any 60 s; `None` is as fast as it can, and then nothing else counts.
    pub(super) per_minute: Option<u32>,
    /// Requests in any hour.
    pub(super) per_hour: u32,
}

impl Cap {
    /// Requests a minute that, evenly spread, keep below both.
    fn rate(self) -> Option<f64> {
        let spread =
            |limit: u32, window: Duration| f64::from(limit.max(1)) * 60.0 / window.as_secs_f64();
        Some(spread(self.per_minute?, MINUTE).min(spread(self.per_hour, HOUR)))
    }

    /// The lower of two.
    pub(super) fn min(self, other: Self) -> Self {
        let per_minute = match (self.per_minute, other.per_minute) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { per_minute, per_hour: self.per_hour.min(other.per_hour) }
    }
}

/// What was learned, and when the next request may go out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// Rate a minute that growth begins with, at `since`.
    from: f64,
    since: Micros,
    /// What the source bears; `None` as long as it refused nothing.
    level: Option<f64>,
    probe: Option<Probe>,
    /// When the last probe began or the last refusal came, and how long after it the next probe may.
    tried: Micros,
    patience: Micros,
    step: f64,
    /// No permit before this.
    next: Micros,
    paused_until: Micros,
    /// When the last refusal that counted came.
    refused: Option<Micros>,
    /// The permits of the last minutes, oldest first.
    sent: VecDeque<Micros>,
}

/// Asks faster than the level for a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Probe {
    since: Micros,
    rate: f64,
}

/// How fast requests may go out, and how fast they soon will.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaceOutlook {
    /// Requests a minute now.
    pub per_minute: f64,
    /// Requests a minute it grows to, evenly.
    pub aim_per_minute: f64,
    /// How long until it is there; zero if it is.
    pub aim_in: Duration,
}

impl Pace {
    /// Nothing is known; asking starts at `start`, a share of the ceiling.
    pub(super) fn new(cap: Cap, start: f64, now: Duration) -> Self {
        let now = micros(now);
        Self {
            from: cap.rate().map_or(1.0, |rate| (rate * start.clamp(0.0, 1.0)).max(1.0)),
            since: now,
            level: None,
            probe: None,
            tried: now,
            patience: PATIENCE,
            step: STEP,
            next: 0,
            paused_until: 0,
            refused: None,
            sent: VecDeque::new(),
        }
    }

    /// Requests a minute at `now`; `None` is as fast as it can.
    pub(super) fn rate(&self, now: Duration, cap: Cap) -> Option<f64> {
        let most = cap.rate()?;
        let target = self.probe.map(|probe| probe.rate).or(self.level).unwrap_or(most).min(most);
        let grown = micros(now).saturating_sub(self.since).min(GROWTH) as f64 / GROWTH as f64;
        Some((self.from + (target - self.from) * grown).min(most).max(1.0_f64.min(most)))
    }

    /// The rate at `now`, and where it is going; `None` is as fast as it can.
    pub(super) fn outlook(&self, now: Duration, cap: Cap) -> Option<PaceOutlook> {
        let per_minute = self.rate(now, cap)?;
        let grown_at = Duration::from_micros(self.since.saturating_add(GROWTH));
        let aim_per_minute = self.rate(grown_at.max(now), cap)?;
        Some(PaceOutlook { per_minute, aim_per_minute, aim_in: grown_at.saturating_sub(now) })
    }

    /// How long until a permit may be taken, and why; `None` is now.
    pub(super) fn wait(&self, now: Duration, cap: Cap) -> Option<(WaitReason, Duration)> {
        let now = micros(now);
        if now < self.paused_until {
            return Some((WaitReason::RateLimited, Duration::from_micros(self.paused_until - now)));
        }
        let per_minute = cap.per_minute?;
        let until = self.next.max(self.room_at(per_minute.max(1) as usize));
        (now < until).then(|| (WaitReason::Pace, Duration::from_micros(until - now)))
    }

    /// When a window has room for one more permit.
    fn room_at(&self, per_minute: usize) -> Micros {
        let oldest = self.sent.len().checked_sub(per_minute);
        oldest.map_or(0, |oldest| self.sent[oldest] + micros(MINUTE))
    }

    /// Counts a permit and looks whether it is time for a probe.
    pub(super) fn take(&mut self, now: Duration, cap: Cap) {
        let at = micros(now);
        self.sent.push_back(at);
        while self.sent.len() > MOST_SENT
            || self.sent.front().is_some_and(|sent| sent + MEMORY < at)
        {
            self.sent.pop_front();
        }
        let Some(most) = cap.rate() else { return };
        self.look_up(at, most);
        let rate = self.rate(now, cap).unwrap_or(most);
        self.next = self.next.max(at.saturating_sub(SLACK)) + (WINDOW as f64 / rate) as Micros;
    }

    /// Begins or ends a probe.
    fn look_up(&mut self, now: Micros, most: f64) {
        let Some(level) = self.level else { return };
        match self.probe {
            Some(probe) if now >= probe.since + PROBE => {
                self.probe = None;
                if self.sent_before(now) + 1.0 >= probe.rate * REALLY_SENT {
                    self.level = Some(probe.rate);
                    self.step = (self.step * 2.0).min(MOST_STEP);
                    self.patience = PATIENCE;
                }
            }
            Some(_) => {}
            None => {
                let is_time =
                    now >= self.tried + self.patience && now >= self.since + GROWTH + WINDOW;
                let is_busy = self.sent_before(now) + 1.0 >= level * REALLY_SENT;
                if is_time && is_busy && level < most * 0.99 {
                    self.probe =
                        Some(Probe { since: now, rate: (level * (1.0 + self.step)).min(most) });
                    self.tried = now;
                }
            }
        }
    }

    /// Requests in the 60 s up to `moment`.
    fn sent_before(&self, moment: Micros) -> f64 {
        let until = self.sent.partition_point(|sent| *sent <= moment);
        let from = self.sent.partition_point(|sent| sent + WINDOW <= moment);
        let n = (until - from.min(until)) as f64;
        match self.sent.front() {
            // More was sent than is remembered.
            Some(first) if from == 0 && self.sent.len() >= MOST_SENT => {
                n * WINDOW as f64 / moment.saturating_sub(*first).max(1) as f64
            }
            _ => n,
        }
    }

    /// A request that was sent at `sent` was refused as too frequent: pauses until `now + pause`.
    ///
    /// False if this is old news: requests that were on their way when the last refusal came, or
    /// during a pause, are part of the same event.
    pub(super) fn refused(&mut self, sent: Duration, now: Duration, pause: Duration) -> bool {
        let (sent, at) = (micros(sent), micros(now));
        if at < self.paused_until || self.refused.is_some_and(|refused| sent <= refused) {
            return false;
        }
        let rate = self.sent_before(sent).max(1.0);
        // One less than what was refused is what was borne; a share of it at least keeps below that.
        let under = (rate * AFTER_REFUSAL).min(rate - 1.5).max(LEAST_RATE);
        let just_under = (rate * AFTER_PROBE).min(rate - 2.0);
        self.level = match (self.probe.take(), self.level) {
            (Some(_), Some(level)) => {
                self.patience = (self.patience * 2).min(MOST_PATIENCE);
                self.step = STEP;
                // Both counts are rough by a request or two.
                Some(if level * 0.97 <= just_under { just_under } else { under })
            }
            // Not our probe but the source changed, and what was known of it is worth less.
            _ => {
                self.patience = PATIENCE;
                Some(under)
            }
        };
        self.paused_until = at + micros(pause.min(MOST_PAUSE));
        self.next = self.paused_until;
        self.from = (rate * HALF).max(LEAST_RATE * HALF);
        self.since = self.paused_until;
        self.tried = at;
        self.refused = Some(at);
        true
    }

    /// What another run left behind, unused for `age`, taken up at `now`.
    ///
    /// Fresh knowledge is gone on with near its level; the older it is, the more careful the start,
    /// and after a day it is forgotten. A pause that is still on is kept.
    pub(super) fn resumed(mut self, age: Duration, cap: Cap, start: f64, now: Duration) -> Self {
        if age < SAME_RUN {
            return self;
        }
        let Some(most) = cap.rate() else { return self };
        self.probe = None;
        self.since = micros(now).max(self.paused_until);
        let share = age.div_duration_f64(FORGOTTEN).min(1.0);
        if share >= 1.0 {
            let (paused_until, sent) = (self.paused_until, self.sent);
            let since = self.since;
            return Self { since, paused_until, sent, ..Self::new(cap, start, now) };
        }
        let target = self.level.unwrap_or(most).min(most);
        let (fresh, old) = (target * AFTER_REFUSAL, (most * start.clamp(0.0, 1.0)).min(target));
        self.from = fresh + (old - fresh) * share;
        self
    }

    /// Moves every moment so that `from` becomes `to`: the clock began anew.
    pub(super) fn moved(&mut self, from: Duration, to: Duration) {
        let (from, to) = (micros(from), micros(to));
        let moved = |moment: Micros| match moment.checked_sub(from) {
            Some(later) => to.saturating_add(later),
            None => to.saturating_sub(from - moment),
        };
        for moment in [&mut self.since, &mut self.tried, &mut self.next, &mut self.paused_until] {
            *moment = moved(*moment);
        }
        self.refused = self.refused.map(moved);
        self.probe = self.probe.map(|probe| Probe { since: moved(probe.since), ..probe });
        self.sent.iter_mut().for_each(|sent| *sent = moved(*sent));
    }

    /// Tells whether it can have been written at or before `now` by this code; one that was not
    /// could pause for ever.
    pub(super) fn is_sane(&self, now: Duration) -> bool {
        let now = micros(now);
        let is_rate = |rate: f64| rate.is_finite() && (0.0..=1e9).contains(&rate);
        let rates =
            [Some(self.from), self.level, self.probe.map(|probe| probe.rate), Some(self.step)];
        let soon = now.saturating_add(2 * micros(MOST_PAUSE));
        let ahead = [self.since, self.next, self.paused_until];
        let past = [Some(self.tried), self.refused, self.sent.back().copied()];
        rates.into_iter().flatten().all(is_rate)
            && ahead.into_iter().all(|moment| moment <= soon)
            && past.into_iter().flatten().all(|moment| moment <= now)
            && self.patience <= MOST_PATIENCE
            && self.sent.len() <= MOST_SENT
            && self.sent.iter().is_sorted()
    }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX / 4)
}

#[cfg(test)]
mod tests;
