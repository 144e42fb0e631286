//! What lies behind the wall: doubts about it, what it took away, and what never was on offer.

use crate::domain::{Epoch, EpochRange, Finding, FindingKind, RangeSet, Record};

use super::super::profile::Profile;
use super::lane::{Lane, Span};
use super::{Doubt, Event, MAX_BAD_ANSWERS, Pager, fail};

/// How much of the oldest history is left to the moving wall at first when it is met twice.
const HEAD_START_SECS: i64 = 60;

impl<R: Record> Pager<R> {
    /// Tells where the wall is now, after [`Event::WallDoubted`]; `None` if everything asked is offered.
    ///
    /// The look began at `searched_from`; of what is older it says nothing, unless it found a wall.
    /// What stays in doubt is named again.
    pub fn wall(
        &mut self,
        searched_from: Epoch,
        offered_from: Option<Epoch>,
        profile: &Profile,
    ) -> Vec<Event<R>> {
        let mut events = Vec::new();
        let (parked, unseen): (Vec<_>, Vec<_>) = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.doubt().is_some())
            .map(|(id, lane)| (*id, lane.lower))
            .partition(|(_, lower)| offered_from.is_some() || *lower >= searched_from);
        if let Some(lower) = unseen.iter().map(|(_, lower)| *lower).min() {
            events.push(Event::WallDoubted { lower });
        }
        for (id, _) in parked {
            let Some(lane) = self.lanes.remove(&id) else { continue };
            match offered_from.filter(|from| *from > lane.lower) {
                Some(from) => self.behind_wall(lane, from, profile, &mut events),
                None => self.doubt_cleared(id, lane, profile, &mut events),
            }
        }
        if let Some(from) = offered_from {
            self.drop_uncut_behind(from, &mut events);
            let scope = self.scope.range;
            self.scope.range =
                EpochRange::new(from.max(scope.start()), scope.end()).unwrap_or(scope);
        }
        events
    }

    /// Gives up the lanes that wait for a look at the wall, because it could not be had.
    pub fn wall_unknown(&mut self, why: &str) -> Vec<Event<R>> {
        let mut events = Vec::new();
        self.lanes.retain(|_, lane| {
            if lane.doubt().is_some() {
                fail(lane, why, &mut events);
            }
            lane.doubt().is_none()
        });
        events
    }

    fn doubt_cleared(
        &mut self,
        id: u64,
        mut lane: Lane<R>,
        profile: &Profile,
        events: &mut Vec<Event<R>>,
    ) {
        match lane.unpark() {
            Some(Doubt::Silent { witnessed }) => {
                if let Some(range) = lane.unproved() {
                    self.take_silence(&lane, range, witnessed, profile, events);
                }
            }
            _ if lane.n_bad_answers >= MAX_BAD_ANSWERS => {
                let why = "the source kept sending other data than was asked for";
                let asked = lane.unproved();
                events.extend(asked.map(|asked| self.substituted(asked)));
                fail(&lane, why, events);
            }
            _ => {
                self.lanes.insert(id, lane);
            }
        }
    }

    /// The wall has passed the lower end of this lane.
    fn behind_wall(
        &mut self,
        mut lane: Lane<R>,
        from: Epoch,
        profile: &Profile,
        events: &mut Vec<Event<R>>,
    ) {
        let doubt = lane.unpark();
        let Some(unproved) = lane.unproved() else { return };
        if let Some(lost) = EpochRange::new(unproved.start(), from.min(unproved.end())) {
            self.note_lost(lost, events);
        }
        let Some(rest) = EpochRange::new(from, unproved.end()) else { return };
        if let Some(Doubt::Silent { witnessed }) = doubt {
            self.take_silence(&lane, rest, witnessed, profile, events);
            return;
        }
        // The wall moves on while we ask: leave it a head start when it is met again, and come
        // back for the strip between; by then it is answered or behind the wall, either is known.
        let unit = profile.unit_secs();
        let head_start = (HEAD_START_SECS << lane.n_wall_doubts.min(6)).max(unit) / unit * unit;
        let split = if lane.n_wall_doubts > 1 { from.plus(head_start) } else { from };
        if let Some(strip) = EpochRange::new(from, split.min(rest.end())) {
            self.put_back(Span::from(strip));
        }
        if split < rest.end() {
            lane.raise_lower(split);
            let id = self.fresh_id();
            self.lanes.insert(id, lane);
        }
    }

    fn drop_uncut_behind(&mut self, from: Epoch, events: &mut Vec<Event<R>>) {
        for span in std::mem::take(&mut self.uncut) {
            let range = span.range;
            if let Some(lost) = EpochRange::new(range.start(), from.min(range.end())) {
                self.note_lost(lost, events);
            }
            if let Some(kept) = EpochRange::new(from.max(range.start()), range.end()) {
                let shares_start = span.shares_start && kept == range;
                self.uncut.push(Span { range: kept, shares_start, ..span });
            }
        }
    }

    /// `not_offered` is only ever a prefix: what lies behind a row already received is lost.
    fn note_lost(&self, lost: EpochRange, events: &mut Vec<Event<R>>) {
        let mut gone = RangeSet::from(lost);
        self.scope.kept.iter().for_each(|range| gone.remove(range));
        gone.iter().for_each(|range| self.note_gone(range, events));
    }

    fn note_gone(&self, lost: EpochRange, events: &mut Vec<Event<R>>) {
        let first_held = [self.scope.first_held, self.oldest_row].into_iter().flatten().min();
        let prefix_end = match (self.scope.is_oldest, first_held) {
            (false, _) => lost.start(),
            (true, Some(held)) => held.min(lost.end()),
            (true, None) => lost.end(),
        };
        if let Some(prefix) = EpochRange::new(lost.start(), prefix_end) {
            events.push(Event::NotOffered(prefix));
        }
        let gone = EpochRange::new(prefix_end.max(lost.start()), lost.end());
        let mut gone: RangeSet = gone.into_iter().collect();
        gone.remove_all(&self.scope.settled);
        for gone in gone.iter() {
            let finding = Finding::error(
                FindingKind::LostBehindWall,
                &self.scope.series,
                format!("an answer for {gone}"),
                "the source no longer offers it",
            );
            events.push(Event::Found(finding.at(gone)));
            events.push(Event::Failed(gone, "the source no longer offers it".to_owned()));
        }
    }
}
