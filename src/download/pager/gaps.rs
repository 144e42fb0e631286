//! Silence worth a second question: the largest gaps, silent answers, and doubts of earlier runs.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::{Cadence, Epoch, EpochRange, Page, RangeSet, Record};

use super::super::profile::Profile;

/// Gaps remembered at most; more than any month's budget for asking again.
const MAX_GAPS: usize = 256;

/// A gap that is so many times as long as the longest usual distance is asked again at once. What is
/// shorter waits until it is older than the settle lag: asked within the same minute, the source
/// says the same, and a day later it may have filled it.
const NOTABLE_THRESHOLDS: i64 = 5;

/// Pages for which one gap may be asked again: one per cent of the month's requests.
const PAGES_PER_CHECK: u64 = 100;

/// A silence between two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Gap {
    before: Epoch,
    after: Epoch,
}

impl Gap {
    fn len_secs(self) -> i64 {
        self.after.since(self.before)
    }

    fn silence(self) -> Option<EpochRange> {
        EpochRange::new(self.before.plus(1), self.after)
    }
}

/// A silence of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownSilence {
    /// Its seconds.
    pub range: EpochRange,
    /// Whether a row is known in the second before it.
    pub follows_row: bool,
    /// Whether a row is known in the second behind it.
    pub precedes_row: bool,
}

impl KnownSilence {
    fn gap(self) -> Option<Gap> {
        let is_between_rows = self.follows_row && self.precedes_row;
        let gap = Gap { before: self.range.start().plus(-1), after: self.range.end() };
        is_between_rows.then_some(gap)
    }

    /// Tells whether an answer that holds these rows shows it as it was known.
    fn is_shown_by(self, epochs: &[Epoch]) -> bool {
        let is_there = |epoch: Epoch| epochs.binary_search(&epoch).is_ok();
        (!self.follows_row || is_there(self.range.start().plus(-1)))
            && (!self.precedes_row || is_there(self.range.end()))
            && !epochs.iter().any(|epoch| self.range.contains(*epoch))
    }
}

/// What of an answer lies where silence was believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Heard {
    /// The silences in which rows came to light.
    pub(super) silences: Vec<EpochRange>,
}

/// One question about silence.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Check {
    /// Between known rows.
    Gaps(Vec<Gap>),
    /// A whole answer of a continuous series was silent in this run.
    SilentAnswer(EpochRange),
    /// An earlier run asked for them, and they are asked once more; neighbours together. An answer
    /// without any row counts only the second time.
    Recheck { silences: Vec<KnownSilence>, was_empty: bool },
    /// Two answers disagreed on what is there.
    Dispute(Epoch),
}

/// Collects silence while pages come in, then asks for the most doubtful again.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// The largest gaps inside pages.
    largest: Vec<Gap>,
    /// First and last row of each page, to see the gaps between pages.
    runs: BTreeMap<Epoch, Epoch>,
    silent_answers: RangeSet,
    /// What this run asked: silence elsewhere is not its business.
    proved: RangeSet,
    /// Silences of earlier runs that are asked again.
    recheck: Vec<KnownSilence>,
    /// Gaps of earlier runs that are asked again as far as the budget goes.
    older: Vec<Gap>,
    /// What ended by then is older than the settle lag.
    settled_before: Epoch,
    /// Made when the last page is in.
    queue: Option<VecDeque<Check>>,
    asked: Vec<(EpochRange, Check)>,
    confirmed: RangeSet,
    doubted: RangeSet,
}

impl Gaps {
    pub(super) fn new(
        recheck: Vec<KnownSilence>,
        older: &[KnownSilence],
        settled_before: Epoch,
    ) -> Self {
        let older = older.iter().filter_map(|silence| silence.gap()).collect();
        Self { recheck, older, settled_before, ..Self::default() }
    }

    pub(super) fn confirmed(&self) -> &RangeSet {
        &self.confirmed
    }

    pub(super) fn doubted(&self) -> &RangeSet {
        &self.doubted
    }

    pub(super) fn note_rows<R: Record>(&mut self, rows: &[R], profile: &Profile) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
        let run_end = self.runs.entry(first.epoch()).or_insert(last.epoch());
        *run_end = (*run_end).max(last.epoch());
        let threshold = threshold_secs(profile);
        for pair in rows.windows(2) {
            let gap = Gap { before: pair[0].epoch(), after: pair[1].epoch() };
            if gap.len_secs() > threshold {
                self.note_gap(gap);
            }
        }
    }

    fn note_gap(&mut self, gap: Gap) {
        if self.largest.len() < MAX_GAPS {
            self.largest.push(gap);
            return;
        }
        let smallest = self.largest.iter_mut().min_by_key(|gap| gap.len_secs());
        if let Some(smallest) = smallest.filter(|smallest| smallest.len_secs() < gap.len_secs()) {
            *smallest = gap;
        }
    }

    pub(super) fn note_proved(&mut self, range: EpochRange) {
        self.proved.insert(range);
    }

    /// A whole answer was empty: doubted until another run confirms it.
    pub(super) fn note_silent_answer(&mut self, range: EpochRange) {
        self.silent_answers.insert(range);
        self.doubted.insert(range);
    }

    /// What this run asked, and what it settled of earlier doubts.
    pub(super) fn proved(&self) -> &RangeSet {
        &self.proved
    }

    /// Names the next window that asks about silence or about a disputed position; call it when
    /// every page is in.
    pub(super) fn next_check(
        &mut self,
        profile: &Profile,
        scope: EpochRange,
        n_answers: u64,
        disputed: Vec<Epoch>,
    ) -> Option<EpochRange> {
        if self.queue.is_none() {
            let mut queue = self.plan(profile, n_answers);
            queue.extend(disputed.into_iter().map(Check::Dispute));
            self.queue = Some(queue);
        }
        let unit = profile.unit_secs();
        loop {
            let check = self.queue.as_mut()?.pop_front()?;
            let wanted = match &check {
                Check::Gaps(gaps) => {
                    let (first, last) = (gaps.first()?, gaps.last()?);
                    EpochRange::new(first.before, last.after.plus(unit))
                }
                Check::SilentAnswer(range) => Some(*range),
                Check::Dispute(position) => EpochRange::new(*position, position.plus(unit)),
                Check::Recheck { silences, .. } => {
                    let start = silences.iter().map(|silence| silence.range.start()).min()?;
                    let end = silences.iter().map(|silence| silence.range.end()).max()?;
                    let start = start.floor_to(unit, 0).plus(-unit);
                    EpochRange::new(start, end.ceil_to(unit, 0).plus(unit))
                }
            };
            if let Some(range) = wanted.and_then(|range| range.intersect(scope)) {
                self.asked.push((range, check));
                return Some(range);
            }
        }
    }

    /// Tells whether no question is left to ask.
    pub(super) fn all_asked(&self) -> bool {
        self.queue.as_ref().is_some_and(VecDeque::is_empty)
    }

    fn plan(&mut self, profile: &Profile, n_answers: u64) -> VecDeque<Check> {
        let mut checks: VecDeque<Check> = VecDeque::new();
        checks.extend(self.silent_answers.iter().map(Check::SilentAnswer));
        let together = |silences| Check::Recheck { silences, was_empty: false };
        checks.extend(neighbours(&self.recheck, group_secs(profile)).into_iter().map(together));
        let budget = n_answers.div_ceil(PAGES_PER_CHECK);
        checks.extend(grouped(self.candidates(profile), budget, group_secs(profile)));
        checks
    }

    /// All gaps known, largest first; equal ones oldest first.
    fn candidates(&self, profile: &Profile) -> Vec<Gap> {
        let mut gaps = self.largest.clone();
        let mut covered_to: Option<Epoch> = None;
        for (&first, &last) in &self.runs {
            if let Some(before) = covered_to {
                let gap = Gap { before, after: first };
                if gap.len_secs() > threshold_secs(profile) {
                    gaps.push(gap);
                }
            }
            covered_to = covered_to.max(Some(last));
        }
        let notable = threshold_secs(profile).saturating_mul(NOTABLE_THRESHOLDS);
        let is_due = |gap: &Gap| gap.after <= self.settled_before || gap.len_secs() > notable;
        let is_ours = |gap: &Gap| gap.silence().is_some_and(|range| self.proved.covers(range));
        gaps.retain(|gap| is_due(gap) && is_ours(gap));
        // What this run paged through again it knows better.
        let is_older = |gap: &&Gap| gap.silence().is_some_and(|r| !self.proved.intersects(r));
        gaps.extend(self.older.iter().filter(is_older));
        gaps.sort_unstable();
        gaps.dedup();
        gaps.sort_by_key(|gap| -gap.len_secs());
        gaps
    }

    /// Takes the answer to the check that asked for `asked`; it lies inside that window.
    ///
    /// Returns where rows came to light in believed silence.
    pub(super) fn take_check<R: Record>(&mut self, asked: EpochRange, page: &Page<R>) -> Heard {
        let Some(index) = self.asked.iter().position(|(range, _)| *range == asked) else {
            return Heard::default();
        };
        let (_, check) = self.asked.swap_remove(index);
        let epochs: Vec<Epoch> = page.records.iter().map(Record::epoch).collect();
        let any_in = |silence: &EpochRange| epochs.iter().any(|epoch| silence.contains(*epoch));
        let silences = match check {
            Check::Gaps(gaps) => {
                for gap in &gaps {
                    let still_silent =
                        epochs.windows(2).any(|pair| pair == [gap.before, gap.after]);
                    self.confirm(gap.silence().filter(|_| still_silent));
                }
                gaps.iter().filter_map(|gap| gap.silence()).filter(any_in).collect()
            }
            Check::SilentAnswer(range) => {
                let heard = epochs.first().and_then(|first| EpochRange::new(*first, range.end()));
                if let Some(heard) = heard {
                    self.doubted.remove(heard);
                }
                heard.into_iter().collect()
            }
            Check::Recheck { silences, was_empty: false } if epochs.is_empty() => {
                let again = Check::Recheck { silences, was_empty: true };
                self.queue.get_or_insert_default().push_back(again);
                Vec::new()
            }
            Check::Recheck { silences, .. } => {
                for silence in silences.iter().filter(|silence| silence.is_shown_by(&epochs)) {
                    self.proved.insert(silence.range);
                    self.confirm(Some(silence.range));
                }
                silences.iter().map(|silence| silence.range).filter(any_in).collect()
            }
            // The rows are known; what the answer says of them was looked at.
            Check::Dispute(_) => Vec::new(),
        };
        Heard { silences }
    }

    /// Silence of a whole answer is not confirmed by the run that saw it first.
    fn confirm(&mut self, silence: Option<EpochRange>) {
        if let Some(silence) = silence.filter(|range| !self.doubted.intersects(*range)) {
            self.confirmed.insert(silence);
        }
    }
}

/// Puts the largest gaps into at most `budget` questions; neighbours share one.
fn grouped(largest_first: Vec<Gap>, budget: u64, group_secs: i64) -> Vec<Check> {
    let mut groups: Vec<Vec<Gap>> = Vec::new();
    for gap in largest_first {
        let fits = |group: &&mut Vec<Gap>| {
            let start = group.first().map_or(gap.before, |g| g.before.min(gap.before));
            let end = group.last().map_or(gap.after, |g| g.after.max(gap.after));
            end.since(start) <= group_secs
        };
        if let Some(group) = groups.iter_mut().find(fits) {
            group.push(gap);
            group.sort_unstable();
        } else if (groups.len() as u64) < budget {
            groups.push(vec![gap]);
        }
    }
    groups.into_iter().map(Check::Gaps).collect()
}

/// Puts silences into questions: those with few rows between them share one.
fn neighbours(silences: &[KnownSilence], group_secs: i64) -> Vec<Vec<KnownSilence>> {
    let mut sorted = silences.to_vec();
    sorted.sort_unstable();
    let mut groups: Vec<(i64, Vec<KnownSilence>)> = Vec::new();
    for silence in sorted {
        if let Some((rows_secs, group)) = groups.last_mut()
            && let Some(last) = group.last()
        {
            let between = silence.range.start().since(last.range.end()).max(0);
            if *rows_secs + between <= group_secs {
                *rows_secs += between;
                group.push(silence);
                continue;
            }
        }
        groups.push((0, vec![silence]));
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Silence up to this long is the cadence of the series, not a gap.
fn threshold_secs(profile: &Profile) -> i64 {
    match profile.cadence {
        Some(Cadence::Fixed { interval_secs, .. }) => interval_secs + interval_secs / 2,
        Some(Cadence::Irregular { mean_interval_millis }) => {
            (mean_interval_millis / 100).max(10).max(profile.unit_secs())
        }
        None => profile.unit_secs().max(10),
    }
}

/// Gaps this close together fit into one page with the rows between them.
fn group_secs(profile: &Profile) -> i64 {
    match profile.cadence {
        Some(Cadence::Fixed { interval_secs, .. }) => {
            interval_secs * i64::from(profile.page_cap) / 2
        }
        Some(Cadence::Irregular { mean_interval_millis }) => {
            profile.pages_secs(mean_interval_millis, 1) / 2
        }
        None => 0,
    }
}
