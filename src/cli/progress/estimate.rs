//! How fast a run is and when it will be done. Pure: time is told.
//!
//! Rates are averages over answers, the recent ones counting most, over the time in which answers
//! could come: a pause that everybody knows of makes nothing slower. The time left follows from what
//! is left, from how much of the permitted pace was really used, and from how that pace will grow.
//! What is shown of it follows the estimate slowly, so that it can be read.

use std::time::Duration;

use crate::resilience::PaceOutlook;

/// The recent past that counts: an answer so long ago counts a third of one now. Long enough that
/// a page that was slow does not show, short enough that a new speed is told within a minute.
const MEMORY_SECS: f64 = 30.0;

/// Too little was seen before this, or fewer answers, to tell anything.
const LEAST_SECS: f64 = 3.0;
const LEAST_ANSWERS: f64 = 3.0;

/// How slowly the time shown follows the estimate; faster at first, when the estimate learns most:
/// then a share of what was seen.
const FOLLOW_SECS: f64 = 10.0;
const FOLLOW_SHARE: f64 = 0.2;

/// No less of the permitted pace is believed to be used; below this the estimate would only say
/// that nothing comes, which the rate says too.
const LEAST_USED: f64 = 0.02;

/// Something that is counted as it comes: how much a second, lately.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    amount: f64,
    secs: f64,
    at: f64,
}

impl Flow {
    /// What counts at `now`, with the time it took.
    fn faded(self, now: f64) -> Self {
        let passed = (now - self.at).max(0.0);
        let keeps = (-passed / MEMORY_SECS).exp();
        let secs = self.secs * keeps + MEMORY_SECS * (1.0 - keeps);
        Self { amount: self.amount * keeps, secs, at: now.max(self.at) }
    }

    fn add(&mut self, amount: f64, now: f64) {
        *self = self.faded(now);
        self.amount += amount;
    }

    fn per_second(self, now: f64) -> f64 {
        let faded = self.faded(now);
        if faded.secs > 0.0 { faded.amount / faded.secs } else { 0.0 }
    }
}

/// What was seen so far of the speed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Estimate {
    /// When the first answer came, on the clock that stands still in pauses.
    began: Option<f64>,
    n_answers: f64,
    answers: Flow,
    rows: Flow,
    /// Answers that were permitted, had everything been used.
    permitted: Flow,
    /// Length of all pauses, the present one included, and when it ends.
    paused: Duration,
    paused_until: Duration,
    outlook: Option<(PaceOutlook, f64)>,
    shown: Option<Shown>,
}

/// When the end is shown to be, and when that was last thought over.
#[derive(Debug, Clone, Copy)]
struct Shown {
    end_secs: f64,
    at_secs: f64,
}

impl Estimate {
    /// The clock that stands still in pauses.
    fn flowing(&self, now: Duration) -> f64 {
        let ahead = self.paused_until.saturating_sub(now);
        (now.as_secs_f64() - (self.paused.as_secs_f64() - ahead.as_secs_f64())).max(0.0)
    }

    /// An answer came, `now` after the beginning.
    pub(crate) fn note(&mut self, now: Duration, n_rows: u64) {
        let at = self.flowing(now);
        if self.began.is_none() {
            // The first answer only starts the clock: how long it took says little of the others.
            self.began = Some(at);
            for flow in [&mut self.answers, &mut self.rows, &mut self.permitted] {
                flow.at = at;
            }
            return;
        }
        self.n_answers += 1.0;
        if let Some(outlook) = self.outlook_at(at) {
            let secs = (at - self.permitted.at).max(0.0);
            self.permitted.add(outlook.per_minute / 60.0 * secs, at);
        }
        self.answers.add(1.0, at);
        self.rows.add(n_rows as f64, at);
    }

    /// How fast requests may go out now, and soon.
    pub(crate) fn paced(&mut self, outlook: Option<PaceOutlook>, now: Duration) {
        let at = self.flowing(now);
        let is_news = match (outlook, self.outlook_at(at)) {
            (Some(new), Some(old)) => {
                let differs = |one: f64, two: f64| (one - two).abs() > two * 0.01;
                differs(new.per_minute, old.per_minute)
                    || differs(new.aim_per_minute, old.aim_per_minute)
            }
            (new, old) => new.is_some() || old.is_some(),
        };
        if is_news {
            self.outlook = outlook.map(|outlook| (outlook, at));
        }
    }

    /// Everything waits until then.
    pub(crate) fn pause(&mut self, now: Duration, until: Duration) {
        let from = self.paused_until.max(now);
        let longer = until.saturating_sub(from);
        self.paused += longer;
        self.paused_until = self.paused_until.max(until);
        if let Some(shown) = &mut self.shown {
            // It is known how much later the end will be; nothing has to be followed slowly.
            shown.end_secs += longer.as_secs_f64();
        }
    }

    /// The permitted pace, grown for as long as answers could come since it was told.
    fn outlook_at(&self, at: f64) -> Option<PaceOutlook> {
        let (told, told_at) = self.outlook?;
        let grows_for = told.aim_in.as_secs_f64();
        let grown =
            if grows_for > 0.0 { ((at - told_at) / grows_for).clamp(0.0, 1.0) } else { 1.0 };
        let per_minute = told.per_minute + (told.aim_per_minute - told.per_minute) * grown;
        let aim_in = Duration::from_secs_f64(grows_for * (1.0 - grown));
        Some(PaceOutlook { per_minute, aim_in, ..told })
    }

    /// Answers a minute in the recent past; `None` if it is too early to tell, or all is quiet.
    pub(crate) fn per_minute(&self, now: Duration) -> Option<f64> {
        let at = self.flowing(now);
        let rate = self.answers.per_second(at) * 60.0;
        let is_seen = at - self.began? >= LEAST_SECS && self.n_answers >= LEAST_ANSWERS;
        // Less than one in ten minutes is silence.
        (is_seen && rate >= 0.1).then_some(rate)
    }

    /// Rows a second in the recent past, under the same conditions.
    pub(crate) fn rows_per_second(&self, now: Duration) -> Option<f64> {
        self.per_minute(now).map(|_| self.rows.per_second(self.flowing(now)))
    }

    /// Time until `n_left` requests are answered, to be shown; to be asked often. `None` if it is
    /// too early to tell.
    pub(crate) fn time_left(&mut self, n_left: u64, now: Duration) -> Option<Duration> {
        let expected = self.expected(n_left, now);
        let now_secs = now.as_secs_f64();
        let (Some(expected), true) = (expected, n_left > 0) else {
            self.shown = None;
            return None;
        };
        let end = now_secs + expected;
        let end_secs = match self.shown {
            None => end,
            Some(shown) => {
                let passed = (now_secs - shown.at_secs).max(0.0);
                let seen = self.flowing(now) - self.began.unwrap_or_default();
                let slowness = (seen * FOLLOW_SHARE).clamp(0.5, FOLLOW_SECS);
                let follows = 1.0 - (-passed / slowness).exp();
                shown.end_secs + (end - shown.end_secs) * follows
            }
        };
        self.shown = Some(Shown { end_secs, at_secs: now_secs });
        Duration::try_from_secs_f64((end_secs - now_secs).max(0.0)).ok()
    }

    /// The same in seconds as it follows from this moment alone.
    fn expected(&self, n_left: u64, now: Duration) -> Option<f64> {
        let at = self.flowing(now);
        let per_second = self.per_minute(now)? / 60.0;
        let pause = self.paused_until.saturating_sub(now).as_secs_f64();
        let Some(outlook) = self.outlook_at(at) else {
            return Some(pause + n_left as f64 / per_second);
        };
        // Permission is counted at answers; what was permitted since the last one counts too.
        let since = (at - self.permitted.at).max(0.0);
        let mut permitted = self.permitted;
        permitted.add(outlook.per_minute / 60.0 * since, at);
        let used = (per_second / permitted.per_second(at).max(1e-9)).clamp(LEAST_USED, 1.0);
        Some(pause + time_to_ask(n_left as f64 / used, outlook).as_secs_f64())
    }
}

/// How long `n` requests take if every permitted one is made.
pub(crate) fn time_to_ask(n: f64, outlook: PaceOutlook) -> Duration {
    let (from, to) = (outlook.per_minute.max(1e-6) / 60.0, outlook.aim_per_minute.max(1e-6) / 60.0);
    let grows_for = outlook.aim_in.as_secs_f64();
    let in_growth = f64::midpoint(from, to) * grows_for;
    let secs = if n >= in_growth {
        grows_for + (n - in_growth) / to
    } else {
        // from·t + slope/2·t² = n
        let slope = (to - from) / grows_for;
        if slope.abs() < 1e-9 {
            n / from
        } else {
            ((from * from + 2.0 * slope * n).max(0.0).sqrt() - from) / slope
        }
    };
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
