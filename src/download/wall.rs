//! Finds the wall: the oldest second that the source still answers for.
//!
//! Beyond its wall the source does not fail, it sends its newest data instead, so a small probe is
//! either answered (perhaps by silence) or refused (by a substitution). The boundary is found by
//! bisection, and the newest second that was refused is asked again: the wall only moves forward,
//! so only a chance fault can have refused what is offered. Then the whole stretch behind the wall
//! is asked, twice: if the source offers any row of it, it shows the newest one. What was offered
//! may be behind the wall by then; whoever asks there will notice and search again.
//!
//! A probe is two seconds long where a record can be one, because the source takes no shorter
//! window; if the wall runs through it the source may answer for its younger second alone. So only
//! a record at the very start of a probe proves that start; without one, what is offered is counted
//! from the step after, where nothing can be lost that was ever there.
//!
//! A wall that one search found is a guess. [`remembered`] says when it counts as confirmed, and
//! [`doubt`] what speaks against it.

use crate::domain::{Epoch, EpochRange, Wall};

/// How much later a wall has to be found again to be believed.
const CONFIRMED_AFTER_SECS: i64 = 3_600;

/// How far two looks at one wall may be apart, beside its steps and its way: a search takes minutes.
const SLACK_SECS: i64 = 600;

/// How much younger than that of another symbol a wall may be.
const OTHER_SYMBOL_SECS: i64 = 86_400;

/// Answers in a row that are neither an answer nor a denial.
const MAX_FAULTY: u32 = 8;

/// How often the source has to deny the whole stretch behind a wall.
const STRETCH_DENIALS: u32 = 2;

/// How old the history was at every place that reported it; only the first guess depends on it.
const USUAL_HISTORY_SECS: i64 = 365 * 86_400;

/// How far around a guess the first two probes lie.
const GUESS_MARGIN_SECS: i64 = 7_200;

/// How far around the place expected from an earlier run the first two probes lie.
const KNOWN_MARGIN_SECS: i64 = 120;

/// The source refuses a window that begins where it ends, both included.
const SHORTEST_PROBE_SECS: i64 = 2;

/// How often contradicting answers start the search anew.
const MAX_ROUNDS: u32 = 4;

/// What a probe showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The source answered, with records of the asked seconds or with silence.
    Offered {
        /// Whether it named a record at the first asked second.
        record_at_start: bool,
    },
    /// The source sent its newest rows instead.
    Refused,
    /// The answer holds a row that does not belong: it says nothing.
    Faulty,
}

/// Where a search stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask for this range.
    Ask(EpochRange),
    /// Everything wanted is offered; no wall in sight.
    NoWall,
    /// The wall is here.
    Found(Wall),
    /// The answers contradict each other; nothing may be concluded.
    Contradictory,
}

/// Searches the wall between a wanted start and now.
#[derive(Debug, Clone)]
pub struct WallSearch {
    unit_secs: i64,
    start: Epoch,
    now: Epoch,
    expected: Epoch,
    margin_secs: i64,
    /// Newest second known to be refused.
    refused: Option<Epoch>,
    /// Oldest second known to be offered; `now` is offered by definition.
    offered: Epoch,
    /// Whether the probe that was offered last began with a record.
    starts_with_record: bool,
    phase: Phase,
    rounds: u32,
    n_faulty: u32,
    n_stretch_denials: u32,
    was_lied_to: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Start,
    /// The start was answered by silence: one such answer may be a fault.
    StartAgain,
    BelowGuess,
    AboveGuess,
    Bisect,
    CheckRefused,
    CheckStretch,
    Done,
}

impl WallSearch {
    /// Prepares a search for a series whose smallest step is `unit_secs`, wanted from `start` on.
    ///
    /// `known` is the wall an earlier search found; it moves forward with time.
    pub fn new(unit_secs: i64, start: Epoch, now: Epoch, known: Option<Wall>) -> Self {
        let (expected, margin_secs) = match known {
            Some(wall) => (wall.offered_from.plus(now.since(wall.seen_at)), KNOWN_MARGIN_SECS),
            None => (now.plus(-USUAL_HISTORY_SECS), GUESS_MARGIN_SECS),
        };
        let start = start.ceil_to(unit_secs, 0);
        let now = now.floor_to(unit_secs, 0);
        Self {
            unit_secs,
            start,
            now,
            expected,
            margin_secs: margin_secs.max(2 * unit_secs),
            refused: None,
            offered: now,
            starts_with_record: false,
            phase: Phase::Start,
            rounds: 0,
            n_faulty: 0,
            n_stretch_denials: 0,
            was_lied_to: false,
        }
    }

    /// The source's clock when the search began.
    pub fn now(&self) -> Epoch {
        self.now
    }

    /// Whether the source contradicted itself or sent what was not asked, on the way.
    pub fn was_lied_to(&self) -> bool {
        self.was_lied_to
    }

    /// Tells what to do next; unchanged until [`answer`](Self::answer) is called.
    pub fn step(&self) -> Step {
        if self.rounds >= MAX_ROUNDS || self.n_faulty >= MAX_FAULTY {
            return Step::Contradictory;
        }
        match (self.phase, self.refused) {
            (Phase::Start, _) if self.start >= self.now => Step::NoWall,
            (Phase::Start | Phase::StartAgain, _) => self.ask(self.start),
            (Phase::BelowGuess, _) => self.ask(self.guess(-self.margin_secs)),
            (Phase::AboveGuess, _) => self.ask(self.guess(self.margin_secs)),
            (Phase::Bisect, Some(refused)) => self.ask(self.middle(refused)),
            (Phase::CheckRefused, Some(refused)) => self.ask(refused),
            (Phase::CheckStretch, Some(refused)) => {
                let end = refused.plus(self.unit_secs);
                EpochRange::new(self.start, end).map_or(Step::Contradictory, Step::Ask)
            }
            // A source that offers nothing at all is broken, and no wall.
            (Phase::Done, Some(_)) if self.offered >= self.now => Step::Contradictory,
            (Phase::Done, Some(refused)) => self.found(refused),
            (_, None) => Step::NoWall,
        }
    }

    /// Takes the answer to the range that [`step`](Self::step) named; returns what to do next.
    pub fn answer(&mut self, probe: Probe) -> Step {
        let Step::Ask(asked) = self.step() else { return self.step() };
        if probe == Probe::Faulty {
            self.n_faulty += 1;
            self.was_lied_to = true;
            return self.step();
        }
        self.n_faulty = 0;
        let at = asked.start();
        match (self.phase, probe) {
            (Phase::CheckRefused | Phase::CheckStretch, Probe::Offered { .. }) => {
                self.start_again();
                return self.step();
            }
            (Phase::CheckStretch, _) => self.n_stretch_denials += 1,
            (_, Probe::Offered { record_at_start }) => {
                self.offered = self.offered.min(at);
                self.starts_with_record = record_at_start;
            }
            _ => self.refused = Some(self.refused.map_or(at, |old| old.max(at))),
        }
        self.phase = self.following();
        self.step()
    }

    /// The wall as far as it can be told without asking more: where it usually is.
    pub fn expected_wall(&self) -> Wall {
        let offered_from = self.expected.ceil_to(self.unit_secs, 0).max(self.start);
        self.wall_at(offered_from, self.start)
    }

    fn wall_at(&self, offered_from: Epoch, refused_at: Epoch) -> Wall {
        Wall { offered_from, refused_at, seen_at: self.now, is_confirmed: false }
    }

    fn following(&self) -> Phase {
        let Some(refused) = self.refused else {
            let silent = self.phase == Phase::Start && !self.starts_with_record;
            return if silent { Phase::StartAgain } else { Phase::Bisect };
        };
        let inside = |at: Epoch| refused < at && at < self.offered;
        match self.phase {
            Phase::Start | Phase::StartAgain if inside(self.guess(-self.margin_secs)) => {
                Phase::BelowGuess
            }
            Phase::Start | Phase::StartAgain | Phase::BelowGuess
                if inside(self.guess(self.margin_secs)) =>
            {
                Phase::AboveGuess
            }
            Phase::CheckRefused => Phase::CheckStretch,
            Phase::CheckStretch if self.n_stretch_denials < STRETCH_DENIALS => Phase::CheckStretch,
            Phase::CheckStretch => Phase::Done,
            _ if self.offered.since(refused) > self.unit_secs => Phase::Bisect,
            _ => Phase::CheckRefused,
        }
    }

    /// A chance fault was believed on the way: forget everything, and do not trust the guess again.
    fn start_again(&mut self) {
        self.rounds += 1;
        self.was_lied_to = true;
        self.n_stretch_denials = 0;
        self.refused = None;
        self.offered = self.now;
        self.phase = Phase::Start;
        self.expected = Epoch::new(i64::MIN / 2);
    }

    fn guess(&self, offset_secs: i64) -> Epoch {
        self.expected.plus(offset_secs).floor_to(self.unit_secs, 0)
    }

    fn middle(&self, refused: Epoch) -> Epoch {
        let half = self.offered.since(refused) / self.unit_secs / 2;
        refused.plus(half.max(1) * self.unit_secs)
    }

    fn ask(&self, at: Epoch) -> Step {
        let end = at.plus(self.unit_secs.max(SHORTEST_PROBE_SECS));
        EpochRange::new(at, end).map_or(Step::NoWall, Step::Ask)
    }

    fn found(&self, refused: Epoch) -> Step {
        let doubtful_secs = if self.starts_with_record { 0 } else { self.unit_secs };
        let offered_from = self.offered.plus(doubtful_secs);
        Step::Found(self.wall_at(offered_from, refused))
    }
}

/// What a wall that was `found` by a look at `now` is, given the one `known` from before; they are
/// the same if nothing but the stretch behind the known one was asked.
///
/// A wall that is not confirmed stays first seen when it was, until an hour has passed; then it is
/// confirmed, if `is_sound`: nothing that was seen meanwhile speaks against it.
pub fn remembered(
    known: Option<Wall>,
    found: Wall,
    now: Epoch,
    unit_secs: i64,
    is_sound: bool,
) -> Wall {
    let Some(known) = known.filter(|known| is_same(*known, found, unit_secs)) else {
        return Wall { is_confirmed: false, ..found };
    };
    let is_later = now.since(known.seen_at) >= CONFIRMED_AFTER_SECS;
    let is_confirmed = known.is_confirmed || is_later && is_sound;
    let seen_at = if is_confirmed { found.seen_at } else { known.seen_at };
    Wall { is_confirmed, seen_at, ..found }
}

/// Whether `found` can be the wall that is `known`: it moves forward, and no faster than time.
pub fn is_same(known: Wall, found: Wall, unit_secs: i64) -> bool {
    let slack = unit_secs + SLACK_SECS;
    found.offered_from >= known.offered_from.plus(-slack)
        && found.offered_from <= known.at_most_at(found.seen_at).plus(slack)
}

/// Seconds that the source answered for, and when it did: the wall was not younger then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The oldest of them.
    pub from: Epoch,
    /// When they were answered, by the source's clock.
    pub asked: Epoch,
}

/// Why a wall that is not confirmed cannot be believed: `answers` are those of any series of its
/// symbol, which share one history; `others` are the walls of other symbols.
pub fn doubt(wall: Wall, unit_secs: i64, answers: &[Answer], others: &[Wall]) -> Option<String> {
    let now = wall.seen_at;
    let is_beyond = |from: Epoch, asked: Epoch, slack: i64| {
        from.plus(now.since(asked).max(0)).plus(unit_secs + slack) < wall.offered_from
    };
    if let Some(answer) = answers.iter().find(|a| is_beyond(a.from, a.asked, SLACK_SECS)) {
        let Answer { from, asked } = answer;
        return Some(format!("the source answered for {from} at {asked}, which is behind it"));
    }
    let is_younger =
        |other: &&Wall| is_beyond(other.offered_from, other.seen_at, OTHER_SYMBOL_SECS);
    let other = others.iter().find(is_younger)?;
    Some(format!("other symbols reach back to {}", other.at_most_at(now)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_790_000_000;

    /// A source with a record every `every` seconds and its wall at `wall`.
    #[derive(Clone, Copy)]
    struct Source {
        wall: i64,
        every: i64,
        /// Whether a window across the wall is answered for its younger part.
        younger_part: bool,
    }

    impl Source {
        fn probe(self, range: EpochRange) -> Probe {
            let start = range.start().secs();
            let refused =
                if self.younger_part { range.last().secs() < self.wall } else { start < self.wall };
            if refused {
                return Probe::Refused;
            }
            Probe::Offered { record_at_start: start >= self.wall && start % self.every == 0 }
        }

        fn first_record(self) -> i64 {
            Epoch::new(self.wall).ceil_to(self.every, 0).secs()
        }
    }

    /// Runs a search whose answers go through `fault`.
    fn search(
        mut search: WallSearch,
        source: Source,
        mut fault: impl FnMut(usize, Probe) -> Probe,
    ) -> (Step, usize) {
        let mut n_asked = 0;
        loop {
            let Step::Ask(range) = search.step() else { return (search.step(), n_asked) };
            search.answer(fault(n_asked, source.probe(range)));
            n_asked += 1;
            assert!(n_asked < 1000, "the search does not end");
        }
    }

    fn every_second(wall: i64) -> Source {
        Source { wall, every: 1, younger_part: false }
    }

    fn new(unit: i64, start: i64, known: Option<Wall>) -> WallSearch {
        WallSearch::new(unit, Epoch::new(start), Epoch::new(NOW), known)
    }

    #[test]
    fn one_probe_is_enough_when_everything_is_offered() {
        let (step, n_asked) = search(new(1, NOW - 1000, None), every_second(NOW - 2000), |_, p| p);
        assert_eq!((step, n_asked), (Step::NoWall, 1));
    }

    #[test]
    fn finds_the_usual_wall_to_the_second_with_few_probes() {
        let wall = NOW - 365 * 86_400;
        let (step, n_asked) =
            search(new(1, NOW - 400 * 86_400, None), every_second(wall), |_, p| p);
        let Step::Found(found) = step else { panic!("{step:?}") };
        assert_eq!((found.offered_from.secs(), found.refused_at.secs()), (wall, wall - 1));
        assert!(n_asked <= 22, "{n_asked}");
    }

    /// Once the search asked whether the oldest offered second was still offered; at the usual
    /// pace of the requests it never was, and no search ended.
    #[test]
    fn a_wall_that_moves_during_the_search_is_found() {
        let start_wall = NOW - 365 * 86_400;
        for (millis_per_probe, younger_part) in [(600, true), (600, false), (5000, false)] {
            let mut search = new(1, NOW - 400 * 86_400, None);
            let mut n_asked = 0;
            while let Step::Ask(range) = search.step() {
                let wall = start_wall + n_asked * millis_per_probe / 1000;
                search.answer(Source { wall, every: 1, younger_part }.probe(range));
                n_asked += 1;
                assert!(n_asked < 40, "the search does not end");
            }
            let Step::Found(found) = search.step() else { panic!("{:?}", search.step()) };
            let late = start_wall + n_asked * millis_per_probe / 1000 - found.offered_from.secs();
            assert!((-1..=n_asked * millis_per_probe / 1000).contains(&late), "{late}");
        }
    }

    #[test]
    fn a_source_that_offers_nothing_has_no_wall() {
        let (step, _) = search(new(1, NOW - 1000, None), every_second(NOW + 5), |_, p| p);
        assert_eq!(step, Step::Contradictory);
    }

    #[test]
    fn a_known_wall_is_found_again_with_fewer() {
        let seen_at = Epoch::new(NOW - 86_400);
        let offered_from = Epoch::new(NOW - 366 * 86_400);
        let known =
            Wall { offered_from, refused_at: offered_from.plus(-1), seen_at, is_confirmed: false };
        let source = every_second(NOW - 365 * 86_400);
        let (step, n_asked) = search(new(1, NOW - 400 * 86_400, Some(known)), source, |_, p| p);
        assert!(matches!(step, Step::Found(_)));
        assert!(n_asked <= 15, "{n_asked}");
    }

    fn wall(offered_from: i64, seen_at: i64, is_confirmed: bool) -> Wall {
        let offered_from = Epoch::new(offered_from);
        let refused_at = offered_from.plus(-1);
        Wall { offered_from, refused_at, seen_at: Epoch::new(seen_at), is_confirmed }
    }

    /// What one run found is a guess; a later run that finds it where it can be makes it certain.
    #[test]
    fn a_wall_is_confirmed_by_a_later_run_alone() {
        let first = wall(1000, NOW, false);
        let check = |known: Wall, found: Wall, is_sound: bool, expected: Wall| {
            assert_eq!(
                remembered(Some(known), found, found.seen_at, 1, is_sound),
                expected,
                "{found:?}"
            );
        };
        assert_eq!(remembered(None, first, first.seen_at, 1, true), first);
        // Too soon: it stays as young as it is.
        check(first, wall(2000, NOW + 1000, false), true, wall(2000, NOW, false));
        check(first, wall(4600, NOW + 3600, false), true, wall(4600, NOW + 3600, true));
        check(first, wall(4600, NOW + 3600, false), false, wall(4600, NOW, false));
        // It has not moved faster than time, nor back.
        check(first, wall(9000, NOW + 3600, false), true, wall(9000, NOW + 3600, false));
        check(first, wall(100, NOW + 3600, false), true, wall(100, NOW + 3600, false));
        let certain = wall(1000, NOW, true);
        check(certain, wall(1060, NOW + 60, false), false, wall(1060, NOW + 60, true));
        check(certain, wall(9000, NOW + 60, false), true, wall(9000, NOW + 60, false));
        // Whatever a file says.
        for (offered_from, seen_at) in
            [(i64::MIN, NOW), (0, 0), (NOW, NOW - 1), (NOW + 1, NOW + 1), (i64::MAX, i64::MAX)]
        {
            let odd = wall(offered_from, seen_at, true);
            assert!(!odd.is_possible(Epoch::new(NOW)), "{odd:?}");
        }
    }

    #[test]
    fn answers_and_other_symbols_speak_against_a_wall() {
        let found = wall(100_000, NOW, false);
        let answer = |from, asked| Answer { from: Epoch::new(from), asked: Epoch::new(asked) };
        let check = |answers: &[Answer], others: &[Wall], is_doubted: bool| {
            let doubt = doubt(found, 1, answers, others);
            assert_eq!(doubt.is_some(), is_doubted, "{answers:?} {others:?}: {doubt:?}");
        };
        check(&[], &[], false);
        check(&[answer(100_000, NOW), answer(200_000, NOW)], &[], false);
        check(&[answer(50_000, NOW)], &[], true);
        // Then it was there; meanwhile the wall may have come so far.
        check(&[answer(50_000, NOW - 50_000)], &[], false);
        check(&[answer(50_000, NOW - 10_000)], &[], true);
        check(&[], &[wall(90_000, NOW, true)], false);
        check(&[], &[wall(1_000, NOW, true)], true);
        check(&[], &[wall(1_000, NOW - 99_000, true)], false);
    }

    proptest! {
        /// No record that is offered lies before the wall that is found, and no second that is not
        /// offered lies after it.
        #[test]
        fn finds_any_wall(
            unit in prop_oneof![Just(1i64), Just(60), Just(86_400)],
            multiple in 1i64..3,
            wall in 2i64..400,
            jitter in 0i64..86_400,
            younger_part in any::<bool>(),
        ) {
            let start = (NOW - 450 * 86_400) / unit * unit;
            let wall = NOW - wall * 86_400 - jitter;
            let source = Source { wall, every: unit * multiple, younger_part };
            let (step, _) = search(new(unit, start, None), source, |_, p| p);
            let Step::Found(found) = step else { panic!("{step:?}") };
            let from = found.offered_from.secs();
            prop_assert!(from >= wall, "{from} is before {wall}");
            prop_assert!(from <= source.first_record(), "{from} is after {}", source.first_record());
        }

        /// The wall must never be believed newer than it is because one answer was a fault.
        #[test]
        fn one_false_answer_never_moves_the_wall(nth in 0usize..30) {
            let wall = NOW - 365 * 86_400;
            let lie = |n, truth| match (n == nth, truth) {
                (false, truth) => truth,
                (true, Probe::Offered { .. }) => Probe::Refused,
                (true, _) => Probe::Offered { record_at_start: false },
            };
            let (step, _) = search(new(1, NOW - 400 * 86_400, None), every_second(wall), lie);
            match step {
                // A wall believed too old is noticed by whoever asks there.
                Step::Found(found) => prop_assert!(found.offered_from.secs() <= wall),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
