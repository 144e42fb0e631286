//! One stretch of seconds walked backward, page by page, and the judgement of its answers.

use crate::domain::{Cadence, Defect, Epoch, EpochRange, Page, Record};

use super::super::profile::Profile;
use super::MAX_BAD_ANSWERS;

/// How many silent answers a stretch needs before its silence is believed.
const SILENT_ANSWERS: u32 = 2;

/// The same for a stretch whose silence another answer has disproved: the source leaves rows out.
const SILENT_ANSWERS_OF_LIAR: u32 = 6;

/// Substitutions in a row before the wall is suspected: one is a chance fault.
const SUBSTITUTIONS: u32 = 2;

/// Pages by which a lane of an irregular series reaches into the lane below it, so that its last
/// page is full and proves its head without an ask of its own.
const REACH_PAGES: i64 = 2;

/// A stretch of uncut work. A shared end is a position that the neighbour asks for as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) range: EpochRange,
    pub(super) shares_start: bool,
    pub(super) shares_end: bool,
}

impl From<EpochRange> for Span {
    fn from(range: EpochRange) -> Self {
        Self { range, shares_start: false, shares_end: false }
    }
}

impl Span {
    /// Its first `secs` seconds in whole steps and the rest; `None` if there is no rest.
    pub(super) fn split(self, secs: i64, profile: &Profile) -> Option<(Self, Self)> {
        let (start, end) = (self.range.start(), self.range.end());
        let at = start.plus(secs).floor_to(profile.unit_secs(), 0);
        let (low, high) = (EpochRange::new(start, at)?, EpochRange::new(at, end)?);
        let low = Self { range: low, shares_end: false, ..self };
        Some((low, Self { range: high, shares_start: false, ..self }))
    }
}

/// Why only a look at the wall can tell what an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The source keeps sending other data: a fault, or the wall has passed.
    Substituted,
    /// The oldest stretch of the series is silent: so quiet, or cut off by the wall.
    Silent {
        /// Whether the silent answers also held a row known from before.
        witnessed: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Asked,
    Parked(Doubt),
}

/// One stretch, walked from its end to its lower bound.
#[derive(Debug)]
pub(super) struct Lane<R> {
    /// Oldest second to prove.
    pub(super) lower: Epoch,
    /// Position at `lower` that the lane below asks for as well.
    pub(super) bottom_edge: Option<Epoch>,
    /// Position at the end that the lane above asks for as well; taken by the first page.
    pub(super) top_edge: Option<Epoch>,
    /// Whether it was cut without regard to the size of a page.
    pub(super) whole: bool,
    /// Answers that cannot be right, since the last good one.
    pub(super) n_bad_answers: u32,
    /// How often the wall was suspected to be in this lane.
    pub(super) n_wall_doubts: u32,
    /// Rows of the page before; 0 before the first.
    pub(super) last_size: u32,
    unit_secs: i64,
    /// Oldest second to ask; not after `lower`.
    reach: Epoch,
    /// First second not to ask any more.
    end: Epoch,
    /// First row of the page before, which the next page must hold as its last.
    witness: Option<R>,
    /// Whether that row is left out of the window. A source that sends only the newest rows of a
    /// window can answer with the known row alone; without it, it has to send another or none.
    is_bare: bool,
    /// Longest window to ask after the source complained about size, in seconds.
    width_secs: Option<i64>,
    n_silent: u32,
    /// How many silent answers are needed.
    n_silent_needed: u32,
    /// Answers in a row that were newer data instead of the window.
    n_substituted: u32,
    /// Whether an answer held rows that another one had denied; told once.
    lied: bool,
    /// Whether a row that cannot be used was asked for again.
    has_asked_unusable: bool,
    n_disputes: u32,
    /// Why the last answer proved nothing, if it did.
    thrown_away: Option<Defect>,
    state: State,
}

/// Two answers about one position that do not agree; the answer of the lower window counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dispute<R> {
    pub(super) position: Epoch,
    pub(super) lower: Option<R>,
    pub(super) upper: Option<R>,
}

/// What the neighbours said of the shared positions; `None` while they have said nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neighbours<R> {
    pub(super) above: Option<Option<R>>,
    pub(super) below: Option<Option<R>>,
}

/// What an answer means for its lane.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict<R> {
    /// It proves nothing; ask the same again.
    Again,
    /// It cannot be right, and was asked often enough.
    Contradiction(Defect, &'static str),
    /// It may be the wall.
    Doubtful(Doubt),
    /// These seconds are silent.
    Silent { range: EpochRange, witnessed: bool },
    /// These seconds are answered by the rows of the page.
    Rows { proved: EpochRange, disputes: Vec<Dispute<R>> },
    /// These seconds are answered by rows that cannot be used, and by no others.
    Unusable(EpochRange),
}

impl<R: Record> Lane<R> {
    /// Cuts a lane off the lower end of `span`; returns what is left of the span.
    ///
    /// `whole` takes all of it, whatever a page holds. `floor` is the oldest second that may be asked.
    pub(super) fn cut(
        span: Span,
        whole: bool,
        profile: &Profile,
        floor: Epoch,
    ) -> (Self, Option<Span>) {
        let (start, end) = (span.range.start(), span.range.end());
        let unit = profile.unit_secs();
        let reach = reach(start, whole, profile, floor);
        let (split, shared) = match profile.cadence {
            _ if whole => (end, false),
            Some(Cadence::Fixed { interval_secs, phase_secs }) => {
                let positions = i64::from(profile.page_cap) - 1;
                let last = reach.ceil_to(interval_secs, phase_secs).plus(positions * interval_secs);
                (last.plus(unit), true)
            }
            Some(Cadence::Irregular { mean_interval_millis }) => {
                let len = profile.lane_secs(mean_interval_millis);
                let rest_is_short = span.range.len_secs() <= len + len / 2;
                (if rest_is_short { end } else { start.plus(len) }, false)
            }
            None => (end, false),
        };
        let rest_start = if shared { split.plus(-unit) } else { split };
        let rest = (split < end)
            .then(|| EpochRange::new(rest_start, end))
            .flatten()
            .map(|range| Span { range, shares_start: shared, shares_end: span.shares_end });
        let end = split.min(end);
        let shares_end = if rest.is_some() { shared } else { span.shares_end };
        let lane = Self {
            lower: start,
            bottom_edge: span.shares_start.then_some(start),
            top_edge: shares_end.then(|| end.plus(-unit)),
            whole,
            n_bad_answers: 0,
            n_wall_doubts: 0,
            last_size: 0,
            unit_secs: unit,
            reach,
            end,
            witness: None,
            is_bare: false,
            width_secs: None,
            n_silent: 0,
            n_silent_needed: SILENT_ANSWERS,
            n_substituted: 0,
            lied: false,
            has_asked_unusable: false,
            n_disputes: 0,
            thrown_away: None,
            state: State::Ready,
        };
        (lane, rest)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Names the window to ask and waits for its answer.
    pub(super) fn ask(&mut self) -> EpochRange {
        self.state = State::Asked;
        let end = self.known_row().map_or_else(|| self.unproved_end(), |_| self.end);
        let start = match self.width_secs {
            Some(width) => self.reach.max(end.plus(-width)),
            None => self.reach,
        };
        EpochRange::new(start, end).expect("a lane that is not finished has seconds to ask")
    }

    /// The row known from before that the next answer must hold.
    fn known_row(&self) -> Option<R> {
        self.witness.filter(|_| !self.is_bare)
    }

    fn unproved_end(&self) -> Epoch {
        self.witness.map_or(self.end, |row| row.epoch())
    }

    /// The seconds still to prove.
    pub(super) fn unproved(&self) -> Option<EpochRange> {
        EpochRange::new(self.lower, self.unproved_end())
    }

    /// Whether the source answered with rows where it had denied them, told once.
    pub(super) fn take_lie(&mut self) -> bool {
        std::mem::take(&mut self.lied)
    }

    /// Why the last answer was thrown away, told once.
    pub(super) fn take_defect(&mut self) -> Option<Defect> {
        self.thrown_away.take()
    }

    pub(super) fn secs_left(&self) -> i64 {
        self.unproved().map_or(0, EpochRange::len_secs)
    }

    pub(super) fn doubt(&self) -> Option<Doubt> {
        match self.state {
            State::Parked(doubt) => Some(doubt),
            State::Ready | State::Asked => None,
        }
    }

    /// Waits for a look at the wall.
    pub(super) fn park(&mut self, doubt: Doubt) {
        self.state = State::Parked(doubt);
    }

    /// Goes on after a doubt; returns what it was.
    pub(super) fn unpark(&mut self) -> Option<Doubt> {
        let doubt = self.doubt();
        self.state = State::Ready;
        doubt
    }

    /// Starts above the wall.
    pub(super) fn raise_lower(&mut self, lower: Epoch) {
        self.lower = lower;
        self.reach = lower;
        self.bottom_edge = None;
        self.n_bad_answers = 0;
        self.n_substituted = 0;
        self.n_silent = 0;
    }

    /// Asks for at most `secs` seconds at a time; `false` if that leaves no step beside the row
    /// that is known.
    pub(super) fn narrow(&mut self, secs: i64, unit: i64) -> bool {
        let width = secs / unit * unit;
        let leads_on = width >= 2 * unit;
        if leads_on {
            self.width_secs = Some(width);
            self.n_substituted = 0;
            // Silence of another window is another silence.
            self.n_silent = 0;
            self.state = State::Ready;
        }
        leads_on
    }

    pub(super) fn is_narrowed(&self) -> bool {
        self.width_secs.is_some()
    }

    /// Tells whether the page before left out rows of its window, now that older ones came.
    pub(super) fn was_truncated(&self) -> bool {
        self.witness.is_some() && self.last_size > 0 && !self.is_narrowed()
    }

    /// Tells what `page`, the answer to `asked`, means.
    ///
    /// `floor` is the oldest second the source may be asked for, where the wall can be near.
    pub(super) fn judge(
        &mut self,
        asked: EpochRange,
        page: &Page<R>,
        neighbours: Neighbours<R>,
        floor: Option<Epoch>,
    ) -> Verdict<R> {
        self.state = State::Ready;
        if !page.fits(asked) {
            return self.outside(page.is_substitution(asked), floor.is_some());
        }
        self.lied |= std::mem::take(&mut self.n_substituted) > 0;
        if !page.is_ascending() {
            return self.bad(Defect::Unsorted, "the answers are not in order");
        }
        if self.leaves_out_known_row(page, neighbours) {
            return self
                .bad(Defect::RowLeftOut, "the answers leave out a row that another answer holds");
        }
        if !page.unusable.is_empty() && !std::mem::replace(&mut self.has_asked_unusable, true) {
            self.thrown_away = Some(Defect::Unusable);
            return Verdict::Again;
        }
        let n_new = page.records.len() - usize::from(self.known_row().is_some());
        if n_new == 0 {
            let end = self.unproved_end();
            return match page.unusable.first().filter(|at| **at < end) {
                Some(first) => self.unusable(*first, asked),
                None => self.silent(asked, neighbours, floor),
            };
        }
        if self.is_bare && self.n_silent > 0 {
            self.n_silent_needed = SILENT_ANSWERS_OF_LIAR;
        }
        let disputes = self.disputes(page, neighbours);
        let is_disputed = !disputes.is_empty() || !page.conflicts.is_empty();
        if is_disputed && self.n_disputes == 0 {
            self.n_disputes += 1;
            self.thrown_away = Some(Defect::Disputed);
            return Verdict::Again;
        }
        let first = page.records.first().map_or(self.lower, crate::domain::record::Record::epoch);
        self.n_bad_answers = 0;
        match EpochRange::new(first.max(self.lower), asked.end()) {
            Some(proved) => Verdict::Rows { proved, disputes },
            None => self.bad(Defect::OutsideWindow, "the answers hold no row of the range"),
        }
    }

    fn bad(&mut self, defect: Defect, why: &'static str) -> Verdict<R> {
        self.thrown_away = Some(defect);
        self.n_bad_answers += 1;
        if self.n_bad_answers >= MAX_BAD_ANSWERS {
            Verdict::Contradiction(defect, why)
        } else {
            Verdict::Again
        }
    }

    /// A row from outside the window spoils the answer; only newer data instead of all that was
    /// asked, twice, can be the wall.
    fn outside(&mut self, is_substitution: bool, wall_possible: bool) -> Verdict<R> {
        self.thrown_away = Some(Defect::OutsideWindow);
        if is_substitution && self.reach < self.lower {
            // Only the part asked for convenience may be behind the wall: do without it.
            self.reach = self.lower;
            return Verdict::Again;
        }
        self.n_substituted += u32::from(is_substitution);
        if is_substitution && wall_possible && self.n_substituted >= SUBSTITUTIONS {
            self.n_bad_answers += 1;
            self.n_wall_doubts += 1;
            return Verdict::Doubtful(Doubt::Substituted);
        }
        self.bad(Defect::OutsideWindow, "the source sent other data than was asked for")
    }

    /// Nothing but rows that cannot be used: from the first of them on, nothing is known.
    fn unusable(&mut self, first: Epoch, asked: EpochRange) -> Verdict<R> {
        let start = first.max(self.lower).floor_to(self.unit_secs, 0).max(self.lower);
        match EpochRange::new(start, self.unproved_end().min(asked.end())) {
            Some(range) => Verdict::Unusable(range),
            None => self.bad(Defect::Unusable, "the answers hold no usable row of the range"),
        }
    }

    /// The newest position of the window is known from a page before or from the lane above.
    fn leaves_out_known_row(&self, page: &Page<R>, neighbours: Neighbours<R>) -> bool {
        let known = self.known_row().or(neighbours.above.flatten());
        let last = page.records.last().map(Record::epoch);
        known.is_some_and(|row| last != Some(row.epoch()))
    }

    fn silent(
        &mut self,
        asked: EpochRange,
        neighbours: Neighbours<R>,
        floor: Option<Epoch>,
    ) -> Verdict<R> {
        if neighbours.below.flatten().is_some() {
            return self
                .bad(Defect::RowLeftOut, "the answers leave out a row that another answer holds");
        }
        self.n_silent += 1;
        let is_shown = self.known_row().is_none();
        self.is_bare = self.witness.is_some();
        if !is_shown || self.n_silent < self.n_silent_needed {
            return Verdict::Again;
        }
        let witnessed = self.witness.is_some();
        if floor.is_some_and(|floor| asked.start() <= floor) {
            self.n_wall_doubts += 1;
            return Verdict::Doubtful(Doubt::Silent { witnessed });
        }
        let unproved = self.unproved();
        match unproved.and_then(|range| range.intersect(asked)) {
            Some(range) => Verdict::Silent { range, witnessed },
            None => self.bad(Defect::OutsideWindow, "the answers hold no second of the range"),
        }
    }

    /// Compares what is said twice: once here, once by the page before or by a neighbour.
    fn disputes(&self, page: &Page<R>, neighbours: Neighbours<R>) -> Vec<Dispute<R>> {
        let mut disputes = Vec::new();
        let at = |position: Epoch| {
            let found = page.records.binary_search_by_key(&position, Record::epoch);
            found.ok().map(|index| page.records[index])
        };
        let mut compare = |position: Epoch, lower: Option<R>, upper: Option<R>| {
            if lower != upper {
                disputes.push(Dispute { position, lower, upper });
            }
        };
        if let Some(witness) = self.known_row() {
            compare(witness.epoch(), at(witness.epoch()), Some(witness));
        }
        if let (Some(position), Some(above)) = (self.top_edge, neighbours.above) {
            compare(position, at(position), above);
        }
        let head_is_here = page.records.first().is_some_and(|first| first.epoch() <= self.lower);
        if let (true, Some(position), Some(below)) =
            (head_is_here, self.bottom_edge, neighbours.below)
        {
            compare(position, below, at(position));
        }
        disputes
    }

    /// Goes on below `first`, the first row of a page of `n_received` rows.
    pub(super) fn descend(&mut self, first: R, n_received: u32, profile: &Profile) {
        self.end = first.epoch().plus(profile.unit_secs());
        self.witness = Some(first);
        // A page that could have held more rows has said once that there are none before its first.
        // Where records are promised at every step, that alone is not taken for an answer.
        let promised = matches!(profile.cadence, Some(Cadence::Fixed { .. }));
        let spoke_of_head = n_received < profile.page_cap && !self.is_narrowed() && !promised;
        self.n_silent = u32::from(spoke_of_head);
        self.is_bare = false;
        self.n_disputes = 0;
        self.last_size = n_received;
    }

    /// Goes on below a stretch that was silent or failed; `false` if nothing is below.
    pub(super) fn descend_below(&mut self, done: EpochRange) -> bool {
        self.state = State::Ready;
        self.end = done.start();
        self.witness = None;
        self.is_bare = false;
        self.top_edge = None;
        self.n_silent = 0;
        self.lower < done.start()
    }
}

/// The oldest second to ask, not after `lower`: the grid position before it, so that the first row
/// of the page proves the head; or well into the lane below, so that the last page is full.
fn reach(lower: Epoch, whole: bool, profile: &Profile, floor: Epoch) -> Epoch {
    match profile.cadence {
        Some(Cadence::Irregular { mean_interval_millis }) if !whole => {
            lower.plus(-profile.pages_secs(mean_interval_millis, REACH_PAGES)).max(floor)
        }
        Some(Cadence::Fixed { interval_secs, phase_secs }) if !whole => {
            let on_grid = lower.floor_to(interval_secs, phase_secs);
            if on_grid < floor { lower } else { on_grid }
        }
        _ => lower,
    }
}
