//! The work on one partition: its pager, the rows on their way to the staging, and its tally.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::domain::{
    DefectCounts, Epoch, EpochRange, ErrorKind, Finding, FindingKind, FindingState, Page,
    PartitionKey, Publication, Published, RangeSet, Record, Restatements, Segment, SegmentNotes,
    SettleClock, Severity, SilenceFacts, Wall,
};

use super::DownloadOptions;
use super::buffer::SegmentBuffer;
use super::decimals::{self, Decimals};
use super::pager::{Ask, AskId, Event, Pager, Scope};
use super::profile::Profile;

/// Findings kept of one partition; a source gone mad must not fill the memory.
const MAX_FINDINGS: usize = 200;

/// What taking in an answer led to.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Rows proved.
    pub(super) n_rows: u64,
    /// From the oldest of them to the newest.
    pub(super) rows: Option<EpochRange>,
    /// Newest second proved.
    pub(super) proved_to: Option<Epoch>,
    /// Ask where the wall is, from this second on.
    pub(super) wall_doubted: Option<Epoch>,
}

/// What of a month lies behind the wall, and whether the wall is confirmed: only then does the
/// archive say so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    /// From the first second of the month on.
    pub(super) not_offered: Option<EpochRange>,
    pub(super) is_confirmed: bool,
}

/// One partition being worked on.
#[derive(Debug)]
pub(super) struct PartitionJob<R> {
    pub(super) key: PartitionKey,
    pub(super) n_answers: u64,
    pager: Pager<R>,
    scope: Scope,
    chunk_rows: usize,
    /// Whether it only asks again for what a publish found damaged.
    is_mending: bool,
    buffer: SegmentBuffer<R>,
    decimals: Decimals,
    failed: RangeSet,
    /// First seconds and number of rows that cannot be used.
    unusable: Option<(EpochRange, u64)>,
    /// Whether any row could be used.
    has_rows: bool,
    behind: Behind,
    /// Seconds settled before: published, and asked again only to be compared.
    settled: RangeSet,
    findings: Vec<Finding>,
    /// So many of the findings, from the first on, are durable: a segment carries them.
    n_durable: usize,
    /// What the publish before this work found, if it only asks again for what was damaged.
    unread: Vec<Finding>,
    /// And how many rows it brought.
    pub(super) n_new_before: u64,
    /// Findings that asking once more has settled.
    withdrawn: Vec<Finding>,
    n_dropped_findings: u64,
    started: Instant,
}

impl<R: Record> PartitionJob<R> {
    /// `behind` and `lost` are known to lie behind the wall before anything is asked.
    pub(super) fn new(
        key: PartitionKey,
        scope: Scope,
        behind: Behind,
        lost: &RangeSet,
        chunk_rows: usize,
    ) -> Self {
        let finding = |range: EpochRange| {
            let expected = format!("an answer for {range}");
            let found = "the source no longer offers it";
            Finding::error(FindingKind::LostBehindWall, &key, expected, found)
                .in_partition(&key)
                .at(range)
        };
        let findings = lost.iter().map(finding).collect();
        Self {
            settled: scope.settled.clone(),
            pager: Pager::new(scope.clone()),
            scope,
            chunk_rows,
            is_mending: false,
            key,
            n_answers: 0,
            buffer: SegmentBuffer::new(chunk_rows),
            decimals: Decimals::default(),
            failed: lost.clone(),
            unusable: None,
            has_rows: false,
            behind,
            findings,
            n_durable: 0,
            unread: Vec::new(),
            n_new_before: 0,
            withdrawn: Vec::new(),
            n_dropped_findings: 0,
            started: Instant::now(),
        }
    }

    /// The work that is left, once, if the publish found rows damaged that were held before: they
    /// are asked again, and what of them lies behind the wall is lost.
    pub(super) fn mending(&self, published: &Published) -> Option<Self> {
        let mut lost = published.lost.clone();
        lost.remove_all(&self.failed);
        if self.is_mending || lost.is_empty() {
            return None;
        }
        let first_lost = lost.iter().next().map(EpochRange::start);
        let missing = lost.within(self.scope.range);
        lost.remove_all(&missing);
        let scope = Scope {
            missing,
            settled: RangeSet::new(),
            // Nobody looked for the wall where nothing was to be asked: it may have passed.
            is_oldest: true,
            first_held: self.scope.first_held.into_iter().chain(first_lost).min(),
            recheck: Vec::new(),
            ..self.scope.clone()
        };
        let key = self.key.clone();
        let mut job = Self::new(key, scope, self.behind, &lost, self.chunk_rows);
        job.is_mending = true;
        job.n_answers = self.n_answers;
        job.decimals = self.decimals.clone();
        self.failed.iter().for_each(|range| job.failed.insert(range));
        // Told by the publish that comes, or nobody would read of them.
        job.findings.extend(published.findings.iter().cloned());
        job.unread.clone_from(&published.findings);
        job.n_new_before = published.n_new;
        Some(job)
    }

    /// Starts with what the source says of its decimals, so that one odd answer is the odd one.
    pub(super) fn quoted_in(mut self, decimals: Option<u8>) -> Self {
        self.decimals = Decimals::expecting(decimals);
        self
    }

    pub(super) fn next_ask(&mut self, profile: &Profile) -> Option<Ask> {
        self.pager.next_ask(profile)
    }

    pub(super) fn thrown_away(&self) -> DefectCounts {
        self.pager.thrown_away()
    }

    /// Whether the source denied what it answered when it was asked again.
    pub(super) fn was_lied_to(&self) -> bool {
        self.pager.was_lied_to()
    }

    /// What of the month the source does not offer, confirmed or not.
    pub(super) fn not_offered(&self) -> Option<EpochRange> {
        self.behind.not_offered
    }

    pub(super) fn is_done(&self) -> bool {
        self.pager.is_done()
    }

    pub(super) fn pages_left(&self, profile: &Profile) -> u64 {
        profile.pages_in(self.pager.secs_left())
    }

    /// Takes the answer to an ask, received at `now` by the source's clock.
    pub(super) fn take(
        &mut self,
        ask: AskId,
        answer: Result<Page<R>, (ErrorKind, String)>,
        now: Epoch,
        profile: &mut Profile,
    ) -> Effects {
        self.n_answers += 1;
        if let Ok(page) = &answer {
            self.note_decimals(decimals::in_use(page));
        }
        let events = self.pager.answer(ask, answer, profile);
        self.take_events(events, now)
    }

    /// Goes on after a look at the wall; `Err` if it could not be had.
    pub(super) fn wall(
        &mut self,
        searched_from: Epoch,
        wall: Result<Option<Wall>, String>,
        now: Epoch,
        profile: &Profile,
    ) -> Effects {
        let events = match wall {
            Ok(wall) => {
                self.behind.is_confirmed |= wall.is_some_and(|wall| wall.is_confirmed);
                self.pager.wall(searched_from, wall.map(|wall| wall.offered_from), profile)
            }
            Err(why) => self.pager.wall_unknown(&why),
        };
        self.take_events(events, now)
    }

    fn take_events(&mut self, events: Vec<Event<R>>, now: Epoch) -> Effects {
        let mut effects = Effects::default();
        for event in events {
            match event {
                Event::Proved { range, rows, n_duplicates } => {
                    effects.n_rows += rows.len() as u64;
                    self.has_rows |= !rows.is_empty();
                    let ends = rows.first().zip(rows.last());
                    let hull = ends.and_then(|(a, b)| EpochRange::inclusive(a.epoch(), b.epoch()));
                    effects.rows = joined(effects.rows, hull);
                    effects.proved_to = effects.proved_to.max(Some(range.end()));
                    self.buffer.insert(range, rows, n_duplicates, now);
                }
                Event::Failed(range, why) => {
                    tracing::error!(partition = %self.key, %range, why, "range was not answered");
                    self.note_not_compared(range);
                    self.failed.insert(range);
                }
                Event::Unusable { seconds, n_rows } => self.note_unusable(seconds, n_rows),
                Event::NotOffered(range) => self.note_not_offered(range),
                Event::WallDoubted { lower } => {
                    let lower = effects.wall_doubted.map_or(lower, |known| known.min(lower));
                    effects.wall_doubted = Some(lower);
                }
                Event::Found(finding) => self.note_finding(finding),
                Event::Withdrawn(finding) => self.withdraw(finding),
            }
        }
        effects
    }

    fn note_decimals(&mut self, in_use: Option<u8>) {
        if let (Some(old), Some(new)) = (self.decimals.note(in_use), in_use) {
            let finding = Finding::warning(
                FindingKind::OffGrid,
                &self.key,
                format!("{old} decimals in every answer"),
                format!("{new} decimals in one"),
            );
            self.note_finding(finding.in_partition(&self.key));
        }
    }

    /// What is not offered is a prefix of the month, whatever part of it was asked.
    fn note_not_offered(&mut self, range: EpochRange) {
        let start = self.key.month.range().start();
        let known = self.behind.not_offered.map(EpochRange::end);
        self.behind.not_offered =
            EpochRange::new(start, known.max(Some(range.end())).unwrap_or(start));
    }

    fn note_unusable(&mut self, seconds: EpochRange, n_rows: u64) {
        let (first, n_known) = self.unusable.unwrap_or((seconds, 0));
        self.unusable = Some((first.min(seconds), n_known.saturating_add(n_rows)));
    }

    /// The rows that the source sent and that cannot be records of the series, in one sentence.
    fn unusable_rows(&self) -> Option<Finding> {
        let (first, n_rows) = self.unusable?;
        let unit = super::profile::unit_secs(self.key.series.kind);
        let expected = format!("bars that open on a multiple of {unit} s");
        let first = EpochRange::new(first.start(), first.start().plus(unit)).unwrap_or(first);
        let found = match self.has_rows {
            true => format!("{n_rows} that do not, the first in {first}; they are not kept"),
            false => format!("none: {n_rows} that do not, the first in {first}; none is kept"),
        };
        let finding = Finding::error(FindingKind::UnusableRows, &self.key, expected, found);
        Some(finding.in_partition(&self.key).at(first))
    }

    fn note_finding(&mut self, finding: Finding) {
        let finding = finding.in_partition(&self.key);
        if self.findings.contains(&finding) {
            return;
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.n_dropped_findings += 1;
        }
    }

    /// What was published stays, but the wish to compare it is not fulfilled.
    fn note_not_compared(&mut self, range: EpochRange) {
        for range in self.settled.within(range).iter() {
            let expected = format!("a second answer for {range}");
            let found = "none; what was published stays";
            let finding = Finding::error(FindingKind::NotCompared, &self.key, expected, found);
            self.note_finding(finding.at(range));
        }
    }

    /// A disagreement that was overcome by asking again is no error any more.
    fn withdraw(&mut self, finding: Finding) {
        let finding = finding.in_partition(&self.key);
        for known in self.findings.iter_mut().filter(|known| **known == finding) {
            known.severity = Severity::Warning;
            known.state = FindingState::Settled;
            known.found.push_str("; asked once more, the source agreed with what is kept");
        }
        self.withdrawn.push(finding);
    }

    /// Lets a segment go to the staging: one chunk while paging, everything at the end. It carries
    /// every finding that is not durable yet, so none comes to the disk later than its rows.
    /// Returns with it how many findings are durable once it is.
    pub(super) fn pop_segment(&mut self, everything: bool) -> Option<(Segment<R>, usize)> {
        let mut segment = if everything {
            self.buffer.pop(self.decimals.agreed())?
        } else {
            self.buffer.pop_full(self.decimals.agreed())?
        };
        let (confirmed, doubted) = self.pager.silence();
        segment.notes = SegmentNotes {
            findings: self.findings[self.n_durable..].to_vec(),
            confirmed: confirmed.within(segment.range),
            doubted: doubted.within(segment.range),
        };
        Some((segment, self.findings.len()))
    }

    /// The first `n_findings` findings are on disk.
    pub(super) fn note_durable(&mut self, n_findings: usize) {
        self.n_durable = self.n_durable.max(n_findings);
    }

    /// Findings that no segment carries to the disk.
    pub(super) fn unsaved_findings(&self) -> Vec<Finding> {
        self.findings[self.n_durable..].to_vec()
    }

    /// What the publish needs beside the staged rows.
    pub(super) fn publication(
        &self,
        clock: SettleClock,
        profile: &Profile,
        options: &DownloadOptions,
    ) -> Publication {
        let (confirmed, doubted) = self.pager.silence();
        let silence = SilenceFacts {
            confirmed,
            doubted,
            clock: Some(clock),
            asked: self.pager.asked().clone(),
            continuous: profile.continuous,
            interval_secs: profile.interval_secs(),
            gap_threshold_secs: options.gap_thresholds.of(&self.key.series),
            hours: profile.hours.clone(),
            ..SilenceFacts::default()
        };
        let elapsed: Duration = self.started.elapsed();
        let mut run = serde_json::Map::new();
        run.insert("answers".into(), self.n_answers.into());
        run.insert("thrown_away".into(), json!(self.pager.thrown_away()));
        run.insert("findings_dropped".into(), self.n_dropped_findings.into());
        Publication {
            server_now: clock.now,
            settle_lag: options.settle_lag,
            not_offered: self.behind.not_offered.filter(|_| self.behind.is_confirmed),
            failed: self.failed.clone(),
            silence,
            findings: self.findings.iter().cloned().chain(self.unusable_rows()).collect(),
            unread: self.unread.clone(),
            withdrawn: self.withdrawn.clone(),
            restatements: if options.accept_restatement.contains(&self.key) {
                Restatements::Accept
            } else {
                Restatements::Refuse
            },
            source: options.source.clone(),
            run,
            elapsed,
        }
    }
}

/// The shortest range that holds both.
pub(super) fn joined(a: Option<EpochRange>, b: Option<EpochRange>) -> Option<EpochRange> {
    let start = a.into_iter().chain(b).map(EpochRange::start).min();
    let end = a.into_iter().chain(b).map(EpochRange::end).max();
    EpochRange::new(start?, end?)
}
