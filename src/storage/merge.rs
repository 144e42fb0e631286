//! Published rows and staged segments → one ascending stream of unique rows.
//!
//! A published row that the source once answered is never dropped, and never replaced unless a person
//! asked for it by the name of the month: a source that changes its mind becomes a finding. Rows of
//! another tool prove nothing of the source: where it answers, its answer is taken. Memory: one batch
//! of the published file and one buffer per segment that is open.

use std::collections::VecDeque;

use crate::domain::{
    Advice, CoverageState, Epoch, EpochRange, Finding, FindingKind, Granularity, PartitionKey,
    RangeSet, Record, Restatements, Severity, StoreError,
};
use crate::format::RowsDigests;

use super::read::{RowStream, Rows};
use super::segment::{SegmentRows, StagedSegment};

/// Findings of one sort that are listed; the rest is only counted.
const MAX_LISTED: usize = 20;

/// The merged rows, some at a time.
pub(super) struct Merge<R> {
    published: Option<Published<R>>,
    waiting: VecDeque<StagedSegment>,
    open: Vec<OpenSegment<R>>,
    /// The seconds whose published rows another tool left, from where the merge is on.
    inherited: VecDeque<EpochRange>,
    restatements: Restatements,
    /// What the open segments say of one epoch, and when they were asked; reused row by row.
    answers: Vec<(Epoch, R)>,
    accepted: Accepted,
    /// The seconds for which the source had answered before.
    answered: Vec<EpochRange>,
    late: Late,
    key: PartitionKey,
    remarks: Remarks,
}

/// Rows of seconds that the source had answered for without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Late {
    n_rows: u64,
    rows: Option<EpochRange>,
}

/// Published rows that took a newer price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Accepted {
    pub(super) n_rows: u64,
    pub(super) first: Option<Epoch>,
    pub(super) last: Option<Epoch>,
}

struct Published<R> {
    rows: Rows<R>,
    head: Option<R>,
}

struct OpenSegment<R> {
    rows: SegmentRows<R>,
    head: Option<R>,
    end: Epoch,
    asked: Epoch,
    /// Its rows were published before, in a file that was damaged since.
    is_salvaged: bool,
    /// And another tool had left them there.
    is_inherited: bool,
}

/// What a merge saw.
pub(super) struct Merged {
    /// Restatements, conflicts and rows that the source no longer has.
    pub(super) findings: Vec<Finding>,
    /// What the published rows hash to, if there were any to read.
    pub(super) published: Option<RowsDigests>,
    /// Published rows that took a newer price.
    pub(super) accepted: Accepted,
    /// What the source answered otherwise than another tool had.
    pub(super) replaced: Vec<Finding>,
}

impl<R: Record> Merge<R> {
    /// Starts to merge; `segments` must be sorted by their start. Published rows in `inherited`
    /// are those of another tool.
    pub(super) fn new(
        key: &PartitionKey,
        published: Option<Rows<R>>,
        inherited: &RangeSet,
        segments: &[StagedSegment],
        restatements: Restatements,
        answered: &RangeSet,
    ) -> Result<Self, StoreError> {
        let published = match published {
            Some(mut rows) => Some(Published { head: rows.next_row()?, rows }),
            None => None,
        };
        Ok(Self {
            published,
            waiting: segments.iter().filter(|s| s.header.holds_rows()).cloned().collect(),
            open: Vec::new(),
            inherited: inherited.iter().collect(),
            restatements,
            answers: Vec::new(),
            accepted: Accepted::default(),
            answered: answered.iter().collect(),
            late: Late::default(),
            key: key.clone(),
            remarks: Remarks::new(key),
        })
    }

    /// Appends the next rows to `rows`; returns whether there were any.
    pub(super) fn next_rows(&mut self, rows: &mut Vec<R>) -> Result<bool, StoreError> {
        let Some(epoch) = self.open_up_to_lowest()? else { return Ok(false) };
        // A segment stays until its range ends: what it does not hold, the source does not have.
        self.open.retain(|segment| segment.end > epoch);
        if !self.take_alone(epoch, rows)? {
            rows.extend(self.merge_row(epoch)?);
        }
        Ok(true)
    }

    /// Takes what only the published file, or only one segment, has to say. Returns whether that
    /// is so: from `epoch` on, for the rows that are at hand, up to where another one has its say.
    fn take_alone(&mut self, epoch: Epoch, rows: &mut Vec<R>) -> Result<bool, StoreError> {
        let waiting = self.waiting.front().map(|segment| segment.range.start());
        let until = |other: Option<Epoch>| waiting.into_iter().chain(other).min();
        let published = self.published.as_mut().filter(|published| published.head.is_some());
        match (published, self.open.as_mut_slice()) {
            (Some(published), []) => {
                take_until(&mut published.rows, &mut published.head, until(None), rows)
            }
            (published, [segment]) => {
                let published = published.and_then(|published| published.head);
                if segment.head.is_none() || published.is_some_and(|row| row.epoch() == epoch) {
                    return Ok(false);
                }
                let published = published.map_or(segment.end, |row| row.epoch().min(segment.end));
                let n_before = rows.len();
                let is_late = !segment.is_salvaged;
                let until = until(Some(published));
                let taken = take_until(&mut segment.rows, &mut segment.head, until, rows)?;
                if is_late {
                    rows[n_before..].iter().for_each(|row| self.late.note(row, &self.answered));
                }
                Ok(taken)
            }
            _ => Ok(false),
        }
    }

    fn merge_row(&mut self, epoch: Epoch) -> Result<Option<R>, StoreError> {
        let mut published = self.take_published(epoch)?;
        let mut is_inherited = published.is_some() && self.is_inherited(epoch);
        let mut is_asked = false;
        self.answers.clear();
        for segment in &mut self.open {
            let row = segment.take(epoch)?;
            if segment.is_salvaged {
                if published.is_none() && row.is_some() {
                    is_inherited = segment.is_inherited;
                    published = row;
                }
                continue;
            }
            is_asked = true;
            self.answers.extend(row.map(|row| (segment.asked, row)));
        }
        if let (Some(inherited), true, true) = (published, is_inherited, is_asked) {
            let answered = self.choose(None);
            if answered != published {
                self.remarks.replaced(&inherited, answered.as_ref());
            }
            return Ok(answered);
        }
        if let (Some(row), true, true) = (published, is_asked, self.answers.is_empty()) {
            self.remarks.vanished(&row);
        }
        let kept = self.choose(published);
        if let (None, Some(row)) = (published, kept) {
            self.late.note(&row, &self.answered);
        }
        Ok(kept)
    }

    /// Tells whether the published row of `epoch` is one of another tool. Epochs ascend.
    fn is_inherited(&mut self, epoch: Epoch) -> bool {
        while self.inherited.front().is_some_and(|range| range.end() <= epoch) {
            self.inherited.pop_front();
        }
        self.inherited.front().is_some_and(|range| range.contains(epoch))
    }

    /// Which of the rows for one epoch stays; the others are remarked.
    fn choose(&mut self, published: Option<R>) -> Option<R> {
        let first = self.answers.first().map(|(_, row)| *row);
        // Of answers given at one time the one of the lower window counts, which comes first.
        let newest = self.answers.iter().rev().max_by_key(|(asked, _)| *asked);
        let kept = match self.restatements {
            Restatements::Refuse => published.or(first),
            Restatements::Accept => newest.map(|(_, row)| *row).or(published),
        }?;
        // A price that is no number differs even from itself.
        let stays = match self.restatements {
            Restatements::Refuse => published.is_some(),
            Restatements::Accept => published == Some(kept),
        };
        if let Some(published) = published.filter(|_| !stays) {
            self.accepted.note(published.epoch());
        }
        for (_, row) in self.answers.iter().filter(|(_, row)| *row != kept) {
            match published {
                Some(_) if stays => self.remarks.restated(&kept, row),
                // An older answer that only says what was published.
                Some(published) if published == *row => {}
                _ => self.remarks.conflicting(&kept, row),
            }
        }
        Some(kept)
    }

    /// What was seen on the way; call it behind the last row.
    pub(super) fn finish(self) -> Merged {
        let late = self.late.finding(&self.key);
        let (mut findings, replaced) = self.remarks.into_findings();
        findings.extend(late);
        Merged {
            findings,
            replaced,
            published: self.published.map(|published| published.rows.digests()),
            accepted: self.accepted,
        }
    }

    /// Opens every segment that could hold the next row and returns the epoch of that row.
    fn open_up_to_lowest(&mut self) -> Result<Option<Epoch>, StoreError> {
        loop {
            let lowest = self.lowest_head();
            let is_due = |segment: &StagedSegment| {
                lowest.is_none_or(|lowest| segment.range.start() <= lowest)
            };
            if !self.waiting.front().is_some_and(is_due) {
                return Ok(lowest);
            }
            if let Some(segment) = self.waiting.pop_front() {
                self.open.push(OpenSegment::open(&segment)?);
            }
        }
    }

    fn lowest_head(&self) -> Option<Epoch> {
        let published = self.published.iter().filter_map(|published| published.head);
        let staged = self.open.iter().filter_map(|segment| segment.head);
        published.chain(staged).map(|row| row.epoch()).min()
    }

    fn take_published(&mut self, epoch: Epoch) -> Result<Option<R>, StoreError> {
        let Some(published) = &mut self.published else { return Ok(None) };
        if published.head.is_none_or(|row| row.epoch() != epoch) {
            return Ok(None);
        }
        let next = published.rows.next_row()?;
        Ok(std::mem::replace(&mut published.head, next))
    }
}

impl<R: Record> OpenSegment<R> {
    fn open(segment: &StagedSegment) -> Result<Self, StoreError> {
        let mut rows = SegmentRows::open(segment)?;
        let header = &segment.header;
        let (asked, is_salvaged) = (header.asked_last, header.salvaged);
        let is_inherited = header.state == CoverageState::Inherited;
        let (head, end) = (rows.next_row()?, segment.range.end());
        Ok(Self { head, rows, end, asked, is_salvaged, is_inherited })
    }

    fn take(&mut self, epoch: Epoch) -> Result<Option<R>, StoreError> {
        if self.head.is_none_or(|row| row.epoch() != epoch) {
            return Ok(None);
        }
        let next = self.rows.next_row()?;
        Ok(std::mem::replace(&mut self.head, next))
    }
}

/// Takes the head and the rows at hand behind it, up to the second `until`; tells whether there
/// were any.
fn take_until<R: Record>(
    source: &mut impl RowStream<R>,
    head: &mut Option<R>,
    until: Option<Epoch>,
    rows: &mut Vec<R>,
) -> Result<bool, StoreError> {
    let is_before = |row: &R| until.is_none_or(|until| row.epoch() < until);
    let Some(first) = head.filter(is_before) else { return Ok(false) };
    rows.push(first);
    let ahead = source.ahead()?;
    // They ascend, as far as was checked; what follows one that does not is merged row by row.
    let n_rows = ahead.partition_point(is_before);
    rows.extend_from_slice(&ahead[..n_rows]);
    source.pass(n_rows);
    *head = source.next_row()?;
    Ok(true)
}

impl Late {
    fn note<R: Record>(&mut self, row: &R, answered: &[EpochRange]) {
        let epoch = row.epoch();
        let at = answered.partition_point(|range| range.end() <= epoch);
        if !answered.get(at).is_some_and(|range| range.contains(epoch)) {
            return;
        }
        self.n_rows += 1;
        let first = self.rows.map_or(epoch, |rows| rows.start().min(epoch));
        let last = self.rows.map_or(epoch, |rows| rows.last().max(epoch));
        self.rows = EpochRange::inclusive(first, last);
    }

    fn finding(self, key: &PartitionKey) -> Option<Finding> {
        let rows = self.rows?;
        let expected = "the silence that the source answered before";
        let found = format!("{} rows in {rows}, now published", self.n_rows);
        let finding = Finding::info(FindingKind::LateRows, key, expected, found);
        Some(finding.in_partition(key).at(rows))
    }
}

impl Accepted {
    fn note(&mut self, epoch: Epoch) {
        self.n_rows += 1;
        self.first.get_or_insert(epoch);
        self.last = Some(epoch);
    }
}

/// Collects findings, a few of each sort by name and the rest by number.
struct Remarks {
    key: PartitionKey,
    restated: Sort,
    conflicting: Sort,
    vanished: Sort,
    replaced: Sort,
}

/// Findings of one sort.
struct Sort {
    severity: Severity,
    kind: FindingKind,
    /// What those are that are only counted.
    rest: &'static str,
    listed: Vec<Finding>,
    n_more: u64,
    /// From the first of the others to behind the last.
    more: Option<EpochRange>,
}

impl Remarks {
    fn new(key: &PartitionKey) -> Self {
        Self {
            key: key.clone(),
            restated: Sort::new(
                Severity::Error,
                FindingKind::Restatement,
                "rows for which the source names another price; the published rows stay",
            ),
            conflicting: Sort::new(
                Severity::Error,
                FindingKind::ConflictingTick,
                "rows for which two answers name different prices; the first stays",
            ),
            vanished: Sort::new(
                Severity::Warning,
                FindingKind::Restatement,
                "published rows that the source no longer has; they stay",
            ),
            replaced: Sort::new(
                Severity::Warning,
                FindingKind::InheritedReplaced,
                "rows of another tool that the source has otherwise or not at all",
            ),
        }
    }

    fn restated<R: Record>(&mut self, kept: &R, refused: &R) {
        let text = || (format!("the published {}", prices(kept)), prices(refused));
        self.restated.add(&self.key, kept.epoch(), text);
    }

    fn conflicting<R: Record>(&mut self, kept: &R, refused: &R) {
        let text = || (format!("one price; kept was {}", prices(kept)), prices(refused));
        self.conflicting.add(&self.key, kept.epoch(), text);
    }

    fn vanished<R: Record>(&mut self, row: &R) {
        let found = "no such row in the new answer; the published row stays";
        let text = || (format!("the published {}", prices(row)), found.to_owned());
        self.vanished.add(&self.key, row.epoch(), text);
    }

    fn replaced<R: Record>(&mut self, inherited: &R, answered: Option<&R>) {
        let text = || {
            let found = answered.map_or("no such row, and none is published".to_owned(), |row| {
                format!("{}, which is published", prices(row))
            });
            (format!("the {} of another tool", prices(inherited)), found)
        };
        self.replaced.add(&self.key, inherited.epoch(), text);
    }

    /// What stays as it was published, and what was replaced.
    fn into_findings(self) -> (Vec<Finding>, Vec<Finding>) {
        let key = self.key;
        let stays = [self.restated, self.conflicting, self.vanished];
        let stays = stays.into_iter().flat_map(|sort| sort.into_findings(&key)).collect();
        (stays, self.replaced.into_findings(&key).collect())
    }
}

impl Sort {
    fn new(severity: Severity, kind: FindingKind, rest: &'static str) -> Self {
        Self { severity, kind, rest, listed: Vec::new(), n_more: 0, more: None }
    }

    /// `text` gives what was expected and what was found; it is not asked for what is only counted.
    fn add(&mut self, key: &PartitionKey, epoch: Epoch, text: impl FnOnce() -> (String, String)) {
        let unit = key.series.kind.granularity().map_or(1, Granularity::secs);
        let at = EpochRange::new(epoch, epoch.plus(unit));
        if self.listed.len() == MAX_LISTED {
            self.n_more += 1;
            self.more = self.more.into_iter().chain(at).reduce(EpochRange::hull);
            return;
        }
        let (expected, found) = text();
        let finding = self.finding(key, at, &format!("{key} at {epoch}"), &expected, &found);
        self.listed.push(finding);
    }

    fn into_findings(self, key: &PartitionKey) -> impl Iterator<Item = Finding> + use<> {
        let found = format!("{} more {}", self.n_more, self.rest);
        let rest = self.more.map(|more| {
            self.finding(key, Some(more), &key.to_string(), "none", &found).times(self.n_more)
        });
        self.listed.into_iter().chain(rest)
    }

    fn finding(
        &self,
        key: &PartitionKey,
        at: Option<EpochRange>,
        subject: &str,
        expected: &str,
        found: &str,
    ) -> Finding {
        let finding = Finding::error(self.kind, subject, expected, found).in_partition(key);
        let finding = Finding { severity: self.severity, at, ..finding };
        let is_open = finding.is_open_restatement();
        Finding { advice: is_open.then_some(Advice::AcceptRestatement), ..finding }
    }
}

/// `quote 252.66`, or all four prices of a candle.
fn prices<R: Record>(row: &R) -> String {
    let prices = row.prices();
    let named = R::COLUMNS.iter().zip(prices.as_ref());
    named.map(|(name, price)| format!("{name} {price}")).collect::<Vec<_>>().join(", ")
}
