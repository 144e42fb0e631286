//! Which window to ask next, and what each answer proves. Pure: no I/O, no clock.
//!
//! The work of one partition is a set of seconds still to be proved. It is cut into *lanes*, each
//! walked backward from its newest second: ask `[lower, cursor]`, and the page that comes back
//! proves everything from its first row on, because the source sends the newest rows of a window.
//! The next ask ends on that first row, which both pages then share and must agree on. A lane of a
//! fixed-cadence series holds exactly one page and shares its end with the lane above; a lane of
//! an irregular series holds about twenty. So nothing is ever concluded from a page being short,
//! only from what lies between its first row and the end of the window it answered.

mod behind;
mod disputes;
mod gaps;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::domain::{
    Defect, DefectCounts, Epoch, EpochRange, ErrorKind, Finding, FindingKind, Page, RangeSet,
    Record, Series,
};

use super::profile::Profile;
use disputes::Disputes;
use gaps::Gaps;
use lane::{Dispute, Lane, Neighbours, Span, Verdict};

pub use gaps::KnownSilence;
pub use lane::Doubt;

/// How often an answer that cannot be right is asked again before the range counts as failed.
const MAX_BAD_ANSWERS: u32 = 4;

/// Why seconds fail that are answered by rows that cannot be used.
const UNUSABLE: &str = "the rows there cannot be records of the series";

/// Names an ask until its answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(u64);

/// One window to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// To be handed back with the answer.
    pub id: AskId,
    /// Every second that may be answered.
    pub range: EpochRange,
}

/// What an answer brought to light.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<R> {
    /// The source answered for every second of `range`; these are all its rows.
    Proved {
        /// Answered seconds.
        range: EpochRange,
        /// Their rows, ascending, inside `range`; empty if the answer was silence.
        rows: Vec<R>,
        /// Equal rows dropped inside the answer.
        n_duplicates: u32,
    },
    /// Every attempt at these seconds failed, for this reason.
    Failed(EpochRange, String),
    /// Rows that cannot be records of the series stand for these seconds.
    Unusable {
        /// The seconds, in whole units.
        seconds: EpochRange,
        /// How many such rows the answer held there.
        n_rows: u64,
    },
    /// These seconds are behind the wall.
    NotOffered(EpochRange),
    /// The wall may have reached `lower`: ask there, then call [`Pager::wall`].
    WallDoubted {
        /// Oldest second whose answer is in doubt.
        lower: Epoch,
    },
    /// Something to tell.
    Found(Finding),
    /// Something told before that asking once more has settled.
    Withdrawn(Finding),
}

/// What a pager works on.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Whose records, for findings.
    pub series: Series,
    /// The seconds of the partition that the source may be asked for: never behind the wall.
    pub range: EpochRange,
    /// The seconds to prove, all inside `range`.
    pub missing: RangeSet,
    /// Those of them that are settled already: they cannot be lost by not being answered again.
    pub settled: RangeSet,
    /// Whether nothing older of the series was ever answered: only then can the wall be in here.
    pub is_oldest: bool,
    /// Oldest second of the series that was ever answered, here or in another month.
    pub first_held: Option<Epoch>,
    /// Silence of earlier runs that is asked once more.
    pub recheck: Vec<KnownSilence>,
    /// Short silences of earlier runs: the longest are asked once more as far as the budget goes.
    pub older: Vec<KnownSilence>,
    /// What ended by then is older than the settle lag: an answer of now is the last word on it.
    pub settled_before: Epoch,
    /// Seconds of which rows of another tool are on disk: nothing is lost where they fall behind
    /// the wall.
    pub kept: RangeSet,
}

/// Pages through one partition.
#[derive(Debug)]
pub struct Pager<R> {
    scope: Scope,
    /// Seconds in no lane yet; neighbouring lanes may share one position.
    uncut: Vec<Span>,
    lanes: BTreeMap<u64, Lane<R>>,
    in_flight: BTreeMap<AskId, InFlight>,
    /// Shared positions of which one side is known: the row there, or silence.
    edges: BTreeMap<Epoch, Option<R>>,
    gaps: Gaps,
    disputes: Disputes<R>,
    next_id: u64,
    /// After a silent window the rest may be silent too: it is asked whole, and halved until the
    /// first rows behind the silence are found. So many seconds are asked at once.
    explore_secs: Option<i64>,
    /// Oldest row any answer held.
    oldest_row: Option<Epoch>,
    /// Answers taken in.
    n_answers: u64,
    /// Those of them that proved nothing, by reason.
    thrown_away: DefectCounts,
    /// Whether the source sent other data instead of a window that it answered later.
    was_lied_to: bool,
}

#[derive(Debug, Clone, Copy)]
enum InFlight {
    Lane(u64, EpochRange),
    Check(EpochRange),
}

impl<R: Record> Pager<R> {
    /// Prepares the work; nothing is asked yet.
    pub fn new(scope: Scope) -> Self {
        let uncut = scope.missing.iter().map(Span::from).collect();
        let gaps = Gaps::new(scope.recheck.clone(), &scope.older, scope.settled_before);
        Self {
            scope,
            uncut,
            lanes: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            edges: BTreeMap::new(),
            gaps,
            disputes: Disputes::default(),
            next_id: 0,
            explore_secs: None,
            oldest_row: None,
            n_answers: 0,
            thrown_away: DefectCounts::default(),
            was_lied_to: false,
        }
    }

    /// Names the next window to ask for, or `None` while only answers can lead further.
    pub fn next_ask(&mut self, profile: &Profile) -> Option<Ask> {
        let waiting = self.lanes.iter().find(|(_, lane)| lane.is_ready()).map(|(id, _)| *id);
        if let Some(id) = waiting.or_else(|| self.cut(profile)) {
            let lane = self.lanes.get_mut(&id)?;
            let range = lane.ask();
            return Some(self.note_ask(range, |range| InFlight::Lane(id, range)));
        }
        if !self.lanes.is_empty() {
            return None;
        }
        let range = self.gaps.next_check(
            profile,
            self.scope.range,
            self.n_answers,
            self.disputes.positions(),
        )?;
        Some(self.note_ask(range, InFlight::Check))
    }

    fn note_ask(&mut self, range: EpochRange, what: impl FnOnce(EpochRange) -> InFlight) -> Ask {
        let id = AskId(self.fresh_id());
        self.in_flight.insert(id, what(range));
        Ask { id, range }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Tells whether everything is proved, failed or not offered, and every check is made.
    ///
    /// The checks are known only once [`next_ask`](Self::next_ask) had nothing more to say.
    pub fn is_done(&self) -> bool {
        let paged = self.uncut.is_empty() && self.lanes.is_empty();
        paged && self.in_flight.is_empty() && self.gaps.all_asked()
    }

    /// The seconds not proved yet: what a progress display still expects.
    pub fn secs_left(&self) -> i64 {
        let uncut: i64 = self.uncut.iter().map(|span| span.range.len_secs()).sum();
        uncut + self.lanes.values().map(Lane::secs_left).sum::<i64>()
    }

    /// Answers thrown away, by reason.
    pub fn thrown_away(&self) -> DefectCounts {
        self.thrown_away
    }

    /// Whether the source denied, by sending newer data instead, what it answered when it was asked
    /// again: then its denials are no evidence of a wall.
    pub fn was_lied_to(&self) -> bool {
        self.was_lied_to
    }

    /// Silence that was asked again by itself, and silence of whole answers not believed yet.
    pub fn silence(&self) -> (RangeSet, RangeSet) {
        (self.gaps.confirmed().clone(), self.gaps.doubted().clone())
    }

    /// The seconds whose silence this run knows at first hand.
    pub fn asked(&self) -> &RangeSet {
        self.gaps.proved()
    }

    /// Takes the answer to an ask. An answer to an unknown ask is ignored.
    pub fn answer(
        &mut self,
        id: AskId,
        answer: Result<Page<R>, (ErrorKind, String)>,
        profile: &mut Profile,
    ) -> Vec<Event<R>> {
        let Some(asked) = self.in_flight.remove(&id) else { return Vec::new() };
        self.n_answers += 1;
        let mut events = Vec::new();
        match (asked, answer) {
            (InFlight::Lane(lane, range), Ok(page)) => {
                self.take_page(lane, range, page, profile, &mut events);
            }
            (InFlight::Lane(lane, range), Err((kind, why))) => {
                self.take_error(lane, range, kind, &why, profile, &mut events);
            }
            (InFlight::Check(range), Ok(page)) => self.take_check(range, page, &mut events),
            // An unanswered check leaves the silence as it was: seen once, not confirmed.
            (InFlight::Check(_), Err(_)) => {}
        }
        events
    }

    fn take_page(
        &mut self,
        id: u64,
        asked: EpochRange,
        mut page: Page<R>,
        profile: &mut Profile,
        events: &mut Vec<Event<R>>,
    ) {
        let Some(mut lane) = self.lanes.remove(&id) else { return };
        let neighbours =
            Neighbours { above: self.edge(lane.top_edge), below: self.edge(lane.bottom_edge) };
        let verdict = lane.judge(asked, &page, neighbours, self.floor_of_history());
        if let Some(defect) = lane.take_defect() {
            self.thrown_away.add(defect);
        }
        self.was_lied_to |= lane.take_lie();
        match verdict {
            Verdict::Again => {
                self.lanes.insert(id, lane);
            }
            Verdict::Contradiction(defect, why) => {
                events.extend(self.contradiction(defect, asked));
                fail(&lane, why, events);
            }
            Verdict::Doubtful(doubt) => {
                events.push(Event::WallDoubted { lower: lane.lower });
                lane.park(doubt);
                self.lanes.insert(id, lane);
            }
            Verdict::Unusable(range) => {
                note_unusable(range, &page, profile.unit_secs(), events);
                events.push(Event::Failed(range, UNUSABLE.to_owned()));
                if lane.descend_below(range) {
                    self.lanes.insert(id, lane);
                }
            }
            Verdict::Silent { range, witnessed } => {
                self.take_silence(&lane, range, witnessed, profile, events);
                if lane.descend_below(range) {
                    self.lanes.insert(id, lane);
                }
            }
            Verdict::Rows { proved, disputes } => {
                for conflict in page.conflicts.drain(..) {
                    let (kept, refused) = (Some(conflict.kept), Some(conflict.refused));
                    events.push(self.conflict(conflict.kept.epoch(), kept, refused));
                }
                for Dispute { position, lower, upper } in disputes {
                    let event = self.conflict(position, lower, upper);
                    if let Event::Found(finding) = &event {
                        self.disputes.note(position, lower.or(upper), finding);
                    }
                    events.push(event);
                }
                self.take_rows(id, lane, proved, page, profile, events);
            }
        }
    }

    /// Where the wall can be near: the oldest second of the oldest partition.
    fn floor_of_history(&self) -> Option<Epoch> {
        self.scope.is_oldest.then(|| self.scope.range.start())
    }

    fn edge(&self, position: Option<Epoch>) -> Option<Option<R>> {
        self.edges.get(&position?).copied()
    }

    /// The page answers for `proved`; the lane goes on below its first row.
    fn take_rows(
        &mut self,
        id: u64,
        mut lane: Lane<R>,
        proved: EpochRange,
        page: Page<R>,
        profile: &mut Profile,
        events: &mut Vec<Event<R>>,
    ) {
        let Some(first) = page.records.first().copied() else { return };
        let unknown = note_unusable(proved, &page, profile.unit_secs(), events);
        let Page { records: mut rows, n_received, n_duplicates, .. } = page;
        if lane.was_truncated() {
            profile.learn_truncated(lane.last_size);
        } else {
            profile.learn_whole(n_received);
        }
        profile.learn(&rows, n_received);
        self.oldest_row = Some(self.oldest_row.map_or(first.epoch(), |row| row.min(first.epoch())));
        self.gaps.note_rows(&rows, profile);
        if let Some(position) = lane.top_edge.take() {
            self.note_edge(position, rows.last().copied());
        }
        rows.retain(|row| proved.contains(row.epoch()));
        self.push_proved(proved, &unknown, rows, n_duplicates, events);
        let unit = profile.unit_secs();
        if first.epoch() <= lane.lower {
            if let Some(position) = lane.bottom_edge {
                self.note_edge(position, Some(first));
            }
        } else if lane.whole && profile.cadence.is_some() {
            self.halve(first.epoch().since(lane.lower), profile);
            self.hand_back(&lane, first, unit);
        } else {
            lane.descend(first, n_received, profile);
            self.lanes.insert(id, lane);
        }
    }

    /// Proves all of `range` but what rows that cannot be used stand for.
    fn push_proved(
        &mut self,
        range: EpochRange,
        unknown: &RangeSet,
        mut rows: Vec<R>,
        mut n_duplicates: u32,
        events: &mut Vec<Event<R>>,
    ) {
        let mut known = RangeSet::from(range);
        known.remove_all(unknown);
        // From the newest piece down, so that each takes its rows off the end.
        for range in unknown.iter() {
            events.push(Event::Failed(range, UNUSABLE.to_owned()));
        }
        for range in known.iter().rev() {
            let rows = rows.split_off(rows.partition_point(|row| row.epoch() < range.start()));
            let n_duplicates = std::mem::take(&mut n_duplicates);
            self.gaps.note_proved(range);
            events.push(Event::Proved { range, rows, n_duplicates });
        }
    }

    /// A lane cut before the pattern of the series was known goes back to be cut by it.
    fn hand_back(&mut self, lane: &Lane<R>, first: R, unit: i64) {
        let Some(range) = EpochRange::new(lane.lower, first.epoch().plus(unit)) else { return };
        self.note_edge(first.epoch(), Some(first));
        self.put_back(Span { range, shares_start: lane.bottom_edge.is_some(), shares_end: true });
    }

    /// Looks for the end of a silence in half of what is left, unless a page shows as much.
    fn halve(&mut self, left_secs: i64, profile: &Profile) {
        let half = self.explore_secs.map(|_| left_secs / 2);
        self.explore_secs = half.filter(|half| *half > profile.page_secs());
    }

    fn put_back(&mut self, span: Span) {
        self.uncut.push(span);
        self.uncut.sort_unstable_by_key(|span| span.range);
    }

    fn take_silence(
        &mut self,
        lane: &Lane<R>,
        range: EpochRange,
        witnessed: bool,
        profile: &Profile,
        events: &mut Vec<Event<R>>,
    ) {
        if let Some(position) = lane.bottom_edge.filter(|position| range.contains(*position)) {
            self.note_edge(position, None);
        }
        if let Some(position) = lane.top_edge.filter(|position| range.contains(*position)) {
            self.note_edge(position, None);
        }
        if !witnessed {
            match self.explore_secs {
                None => self.explore_secs = Some(i64::MAX),
                Some(asked) => self.halve(asked, profile),
            }
            if profile.continuous == Some(true) {
                self.gaps.note_silent_answer(range);
            }
        }
        self.gaps.note_proved(range);
        events.push(Event::Proved { range, rows: Vec::new(), n_duplicates: 0 });
    }

    fn take_error(
        &mut self,
        id: u64,
        asked: EpochRange,
        kind: ErrorKind,
        why: &str,
        profile: &Profile,
        events: &mut Vec<Event<R>>,
    ) {
        let Some(mut lane) = self.lanes.remove(&id) else { return };
        // What fails for good in a long window may be answered in shorter ones.
        let shorter = match kind {
            ErrorKind::TooLarge => Some(asked.len_secs() / 2),
            ErrorKind::ServerFault | ErrorKind::Malformed | ErrorKind::Unknown => {
                Some(profile.page_secs()).filter(|page| *page < asked.len_secs())
            }
            _ => None,
        };
        if shorter.is_some_and(|secs| lane.narrow(secs, profile.unit_secs())) {
            self.lanes.insert(id, lane);
            return;
        }
        let Some(unproved) = lane.unproved() else { return };
        let failed = unproved.intersect(asked).unwrap_or(unproved);
        events.push(Event::Failed(failed, why.to_owned()));
        if lane.descend_below(failed) {
            self.lanes.insert(id, lane);
        }
    }

    fn take_check(&mut self, asked: EpochRange, page: Page<R>, events: &mut Vec<Event<R>>) {
        let defect = [
            (!page.fits(asked), Defect::OutsideWindow),
            (!page.is_ascending(), Defect::Unsorted),
            (!page.unusable.is_empty(), Defect::Unusable),
        ];
        if let Some((_, defect)) = defect.into_iter().find(|(is_so, _)| *is_so) {
            self.thrown_away.add(defect);
            return;
        }
        for conflict in &page.conflicts {
            let (kept, refused) = (Some(conflict.kept), Some(conflict.refused));
            events.push(self.conflict(conflict.kept.epoch(), kept, refused));
        }
        events.extend(self.disputes.settle(&page).map(Event::Withdrawn));
        let heard = self.gaps.take_check(asked, &page);
        let Some(first) = page.records.first().map(Record::epoch) else { return };
        if heard.silences.is_empty() {
            return;
        }
        // An answer shows the newest rows; of what lies before them it says nothing.
        let before =
            |silence: &EpochRange| EpochRange::new(silence.start(), silence.end().min(first));
        for rest in heard.silences.iter().filter_map(before) {
            self.put_back(Span::from(rest));
        }
        // Rows that an earlier answer left out are kept like any others.
        if let Some(range) = EpochRange::new(first, asked.end()) {
            self.gaps.note_proved(range);
            let n_duplicates = page.n_duplicates;
            events.push(Event::Proved { range, rows: page.records, n_duplicates });
        }
    }

    /// What to tell of answers that were wrong too often; what is only malformed is told as failed.
    fn contradiction(&self, defect: Defect, asked: EpochRange) -> Option<Event<R>> {
        match defect {
            Defect::OutsideWindow => Some(self.substituted(asked)),
            Defect::RowLeftOut => {
                let subject = format!("{} in {asked}", self.scope.series);
                let (expected, found) = ("a row that another answer holds", "answers without it");
                let finding =
                    Finding::error(FindingKind::ConflictingTick, subject, expected, found);
                Some(Event::Found(finding.at(asked)))
            }
            _ => None,
        }
    }

    fn substituted(&self, asked: EpochRange) -> Event<R> {
        let expected = format!("rows from {} on", asked.start());
        let found = "rows from outside the window";
        let kind = FindingKind::Substituted;
        Event::Found(Finding::error(kind, &self.scope.series, expected, found).at(asked))
    }

    fn conflict(&self, position: Epoch, kept: Option<R>, refused: Option<R>) -> Event<R> {
        let prices = |row: Option<R>| match row {
            Some(row) => format!("{:?}", row.prices().as_ref()),
            None => "no row".to_owned(),
        };
        let finding = Finding::error(
            FindingKind::ConflictingTick,
            format!("{} at {position}", self.scope.series),
            prices(kept),
            format!("{} in another answer", prices(refused)),
        );
        Event::Found(Finding { at: EpochRange::inclusive(position, position), ..finding })
    }

    /// An edge is kept until its second side has spoken; so there are never more than lanes.
    fn note_edge(&mut self, position: Epoch, row: Option<R>) {
        if self.edges.remove(&position).is_none() {
            self.edges.insert(position, row.filter(|row| row.epoch() == position));
        }
    }

    /// Cuts the next lane off the work, lowest first, and returns its number.
    fn cut(&mut self, profile: &Profile) -> Option<u64> {
        if self.uncut.is_empty() {
            return None;
        }
        let exploring = profile.cadence.is_none() || self.explore_secs.is_some();
        if exploring && !self.lanes.is_empty() {
            return None; // one explorer at a time: its answer says how to cut the rest
        }
        let at = if profile.cadence.is_none() { self.uncut.len() - 1 } else { 0 };
        let mut span = self.uncut.remove(at);
        let asked_secs = self.explore_secs.filter(|_| profile.cadence.is_some());
        if let Some((low, high)) = asked_secs.and_then(|secs| span.split(secs, profile)) {
            self.uncut.insert(at, high);
            span = low;
        }
        let floor = self.scope.range.start();
        let (lane, rest) = Lane::cut(span, exploring, profile, floor);
        if let Some(rest) = rest {
            self.uncut.insert(at, rest);
        }
        let id = self.fresh_id();
        self.lanes.insert(id, lane);
        Some(id)
    }
}

/// Tells of rows in `range` that cannot be used; returns the seconds they stand for and that no
/// other row of the page does.
fn note_unusable<R: Record>(
    range: EpochRange,
    page: &Page<R>,
    unit: i64,
    events: &mut Vec<Event<R>>,
) -> RangeSet {
    let mut unknown = RangeSet::new();
    let inside: Vec<Epoch> =
        page.unusable.iter().copied().filter(|at| range.contains(*at)).collect();
    for at in &inside {
        let seconds = EpochRange::new(at.floor_to(unit, 0), at.plus(unit).ceil_to(unit, 0));
        if let Some(seconds) = seconds.and_then(|seconds| seconds.intersect(range)) {
            unknown.insert(seconds);
        }
    }
    let hull = unknown.iter().next().zip(unknown.iter().next_back());
    if let Some(seconds) = hull.and_then(|(first, last)| EpochRange::new(first.start(), last.end()))
    {
        events.push(Event::Unusable { seconds, n_rows: inside.len() as u64 });
    }
    for row in &page.records {
        if let Some(seconds) = EpochRange::new(row.epoch(), row.epoch().plus(unit)) {
            unknown.remove(seconds);
        }
    }
    unknown
}

fn fail<R: Record>(lane: &Lane<R>, why: &str, events: &mut Vec<Event<R>>) {
    if let Some(range) = lane.unproved() {
        events.push(Event::Failed(range, why.to_owned()));
    }
}
