//! How long an answer is waited for: learned from the answers seen. Pure.
//!
//! - **A silent connection** is found by a ping: one is sent once nothing at all has come for a few
//!   times as long as answers take, and if that brings nothing either, the connection is dead.
//! - **A request that others overtake** on a connection that lives is given up sooner than one that
//!   is only slow; where nothing overtakes it, it has the whole of `--timeout`.
//! - **A slow server** is never cut off for good: what was waited for in vain is waited for twice as
//!   long the next time, and an answer that comes late is learned from as well.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// An answer may take so many times as long as the slowest of the latest ones.
const TIMES_THE_SLOWEST: u32 = 3;

/// The slowest of at least so many answers counts, and of at most twice as many.
const REMEMBERED: u32 = 256;

/// Shorter than this no silence is worth a ping: a lost packet takes as long to be sent again.
const LEAST_QUIET: Duration = Duration::from_secs(1);

/// A ping has at least this long.
const LEAST_PONG: Duration = Duration::from_millis(1_500);

/// A request that was overtaken has at least this long.
const LEAST_OVERTAKEN: Duration = Duration::from_secs(5);

/// A connection has at least this long to be made: a look-up that asks a second server takes 5 s.
const LEAST_CONNECT: Duration = Duration::from_secs(6);

/// Questions that are remembered as unanswered: more than can be in flight.
const MOST_UNANSWERED: usize = 256;

/// How long something may take that took `slowest` at most before, and was waited for in vain
/// `n_in_vain` times: a few times as long, doubled each time, between `least` and `most`.
fn allowed(slowest: Option<Duration>, n_in_vain: u32, [least, most]: [Duration; 2]) -> Duration {
    let Some(slowest) = slowest else { return most };
    let usual = slowest.saturating_mul(TIMES_THE_SLOWEST).max(least);
    usual.saturating_mul(1_u32.checked_shl(n_in_vain).unwrap_or(u32::MAX)).min(most)
}

/// The slowest of the latest answers.
#[derive(Debug, Default)]
struct Slowest {
    now: Option<Duration>,
    before: Option<Duration>,
    n_now: u32,
}

impl Slowest {
    fn learn(&mut self, took: Duration) {
        if self.n_now == REMEMBERED {
            (self.before, self.now, self.n_now) = (self.now, None, 0);
        }
        self.now = self.now.max(Some(took));
        self.n_now += 1;
    }

    fn get(&self) -> Option<Duration> {
        self.now.max(self.before)
    }
}

/// The same question, whatever its number.
pub(super) fn question_of(text: &str, req_id: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.replace(&format!("\"req_id\":{req_id}"), "").hash(&mut hasher);
    hasher.finish()
}

/// What a client learned about the times of its server, over all its connections.
#[derive(Debug)]
pub(super) struct Patience {
    /// For one answer, whatever was learned.
    request: Duration,
    pong: Duration,
    connect: Duration,
    answers: Slowest,
    connects: Slowest,
    n_connects_in_vain: u32,
    /// How often each question was waited for in vain.
    in_vain: HashMap<u64, u32>,
}

impl Patience {
    /// Never waits longer than this for an answer, a pong and a connection.
    pub(super) fn new(request: Duration, pong: Duration, connect: Duration) -> Self {
        Self {
            request,
            pong,
            connect,
            answers: Slowest::default(),
            connects: Slowest::default(),
            n_connects_in_vain: 0,
            in_vain: HashMap::new(),
        }
    }

    pub(super) fn answered(&mut self, question: u64, took: Duration) {
        self.in_vain.remove(&question);
        self.answers.learn(took);
    }

    /// An answer came after it was given up.
    pub(super) fn answered_late(&mut self, took: Duration) {
        self.answers.learn(took);
    }

    pub(super) fn unanswered(&mut self, question: u64) {
        if self.in_vain.len() >= MOST_UNANSWERED {
            self.in_vain.clear();
        }
        let n = self.in_vain.entry(question).or_default();
        *n = n.saturating_add(1);
    }

    pub(super) fn connected(&mut self, took: Duration) {
        self.n_connects_in_vain = 0;
        self.connects.learn(took);
    }

    pub(super) fn not_connected(&mut self) {
        self.n_connects_in_vain = self.n_connects_in_vain.saturating_add(1);
    }

    /// How long a question waits for its answer before others that overtake it end the wait.
    pub(super) fn overtaken(&self, question: u64) -> Duration {
        let limits = [LEAST_OVERTAKEN, self.request];
        allowed(self.answers.get(), self.n_in_vain(question), limits)
    }

    /// How long nothing may come before a ping asks whether the connection lives; `n_pings` were
    /// answered since anything else was.
    pub(super) fn quiet(&self, questions: impl Iterator<Item = u64>, n_pings: u32) -> Duration {
        let n = self.most_in_vain(questions).saturating_add(n_pings);
        allowed(self.answers.get(), n, [LEAST_QUIET, self.request])
    }

    /// How long a ping may stay unanswered.
    pub(super) fn pong(&self, questions: impl Iterator<Item = u64>) -> Duration {
        allowed(self.answers.get(), self.most_in_vain(questions), [LEAST_PONG, self.pong])
    }

    /// How long a connection may take to be made.
    pub(super) fn connect(&self) -> Duration {
        let limits = [LEAST_CONNECT, self.connect];
        allowed(self.connects.get(), self.n_connects_in_vain, limits)
    }

    fn n_in_vain(&self, question: u64) -> u32 {
        self.in_vain.get(&question).copied().unwrap_or_default()
    }

    fn most_in_vain(&self, questions: impl Iterator<Item = u64>) -> u32 {
        questions.map(|question| self.n_in_vain(question)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::iter::{empty, once};

    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn patience() -> Patience {
        Patience::new(secs(30), secs(10), secs(15))
    }

    #[test]
    fn time_is_a_few_times_the_slowest_between_two_limits() {
        let check = |slowest: Option<u64>, n, expected| {
            let slowest = slowest.map(Duration::from_millis);
            let found = allowed(slowest, n, [secs(2), secs(30)]);
            assert_eq!(found, Duration::from_millis(expected), "{slowest:?} {n}");
        };
        check(None, 0, 30_000);
        check(None, 7, 30_000);
        check(Some(0), 0, 2_000);
        check(Some(100), 0, 2_000);
        check(Some(1_000), 0, 3_000);
        check(Some(1_000), 1, 6_000);
        check(Some(1_000), 3, 24_000);
        check(Some(1_000), 4, 30_000);
        check(Some(1_000), 99, 30_000);
        check(Some(u64::MAX), 99, 30_000);
        // A short `--timeout` is a limit to everything.
        assert_eq!(allowed(Some(secs(1)), 0, [secs(2), secs(1)]), secs(1));
    }

    #[test]
    fn nothing_is_cut_short_before_anything_was_learned() {
        let patience = patience();
        assert_eq!(patience.overtaken(1), secs(30));
        assert_eq!(patience.quiet(once(1), 0), secs(30));
        assert_eq!(patience.pong(empty()), secs(10));
        assert_eq!(patience.connect(), secs(15));
    }

    #[test]
    fn a_quick_server_that_falls_silent_is_noticed_soon() {
        let mut patience = patience();
        patience.answered(1, Duration::from_millis(80));
        patience.connected(Duration::from_millis(300));
        let noticed = patience.quiet(once(2), 0) + patience.pong(once(2));
        assert_eq!(noticed, Duration::from_millis(2_500));
        assert_eq!(patience.overtaken(2), secs(5));
        assert_eq!(patience.connect(), secs(6));
        // Each answered ping proves life, and the next one has time.
        assert_eq!(patience.quiet(once(2), 3), secs(8));
    }

    #[test]
    fn what_was_waited_for_in_vain_is_waited_for_longer() {
        let mut patience = patience();
        patience.answered(1, Duration::from_millis(80));
        let mut waited = Vec::new();
        for _ in 0..4 {
            waited.push(patience.overtaken(7).as_secs());
            patience.unanswered(7);
        }
        assert_eq!(waited, [5, 10, 20, 30]);
        assert_eq!(patience.quiet([2, 7].into_iter(), 0), secs(16));
        assert_eq!(patience.pong(once(7)), secs(10));
        // Another question is another matter, and an answer ends it.
        assert_eq!(patience.overtaken(2), secs(5));
        patience.answered(7, secs(12));
        assert_eq!(patience.overtaken(2), secs(30));
        let mut connects = Vec::new();
        patience.connected(Duration::from_millis(10));
        for _ in 0..3 {
            connects.push(patience.connect().as_secs());
            patience.not_connected();
        }
        assert_eq!(connects, [6, 12, 15]);
    }

    #[test]
    fn the_slowest_is_remembered_for_a_while() {
        let mut patience = patience();
        patience.answered_late(secs(4));
        for n in 0..600_u64 {
            let expected = if n < 512 { 12 } else { 5 };
            assert_eq!(patience.overtaken(1), secs(expected).min(secs(30)), "{n}");
            patience.answered(n, Duration::from_millis(50));
        }
    }

    #[test]
    fn the_number_of_a_request_is_not_its_question() {
        let ask = |start: u64, req_id| {
            question_of(&format!(r#"{{"start":{start},"req_id":{req_id}}}"#), req_id)
        };
        assert_eq!(ask(5, 1), ask(5, 22));
        assert_ne!(ask(5, 1), ask(6, 1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut patience = patience();
        for question in 0..10_000 {
            patience.unanswered(question);
        }
        assert!(patience.in_vain.len() <= MOST_UNANSWERED);
    }
}
