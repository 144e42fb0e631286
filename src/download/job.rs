//! The work on one partition: its pager, the rows on their way to the staging, and its tally.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::domain::{
    DefectCounts, Epoch, EpochRange, ErrorKind, Finding, FindingKind, Page, PartitionKey,
    Publication, RangeSet, Record, Segment, SilenceFacts,
};

use super::DownloadOptions;
use super::buffer::SegmentBuffer;
use super::decimals::Decimals;
use super::pager::{Ask, AskId, Event, Pager, Scope};
use super::profile::Profile;

/// Findings kept of one partition; a source gone mad must not fill the memory.
const MAX_FINDINGS: usize = 200;

/// What taking in an answer led to.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Rows proved.
    pub(super) n_rows: u64,
    /// Newest second proved.
    pub(super) proved_to: Option<Epoch>,
    /// Ask where the wall is, from this second on.
    pub(super) wall_doubted: Option<Epoch>,
}

/// One partition being worked on.
#[derive(Debug)]
pub(super) struct PartitionJob<R> {
    pub(super) key: PartitionKey,
    pub(super) n_answers: u64,
    pager: Pager<R>,
    buffer: SegmentBuffer<R>,
    decimals: Decimals,
    failed: RangeSet,
    not_offered: Option<EpochRange>,
    findings: Vec<Finding>,
    n_dropped_findings: u64,
    started: Instant,
}

impl<R: Record> PartitionJob<R> {
    /// `not_offered` and `lost` are known to lie behind the wall before anything is asked.
    pub(super) fn new(
        key: PartitionKey,
        scope: Scope,
        not_offered: Option<EpochRange>,
        lost: &RangeSet,
        chunk_rows: usize,
    ) -> Self {
        let finding = |range: EpochRange| {
            let expected = format!("an answer for {range}");
            let found = "the source no longer offers it";
            Finding::error(FindingKind::LostBehindWall, &key, expected, found)
        };
        let findings = lost.iter().map(finding).collect();
        Self {
            pager: Pager::new(scope),
            key,
            n_answers: 0,
            buffer: SegmentBuffer::new(chunk_rows),
            decimals: Decimals::default(),
            failed: lost.clone(),
            not_offered,
            findings,
            n_dropped_findings: 0,
            started: Instant::now(),
        }
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
            self.note_pip_size(page.pip_size);
        }
        let events = self.pager.answer(ask, answer, profile);
        self.take_events(events, now)
    }

    /// Goes on after a look at the wall; `Err` if it could not be had.
    pub(super) fn wall(
        &mut self,
        searched_from: Epoch,
        offered_from: Result<Option<Epoch>, String>,
        now: Epoch,
        profile: &Profile,
    ) -> Effects {
        let events = match offered_from {
            Ok(offered_from) => self.pager.wall(searched_from, offered_from, profile),
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
                    effects.proved_to = effects.proved_to.max(Some(range.end()));
                    self.buffer.insert(range, rows, n_duplicates, now);
                }
                Event::Failed(range, why) => {
                    tracing::error!(partition = %self.key, %range, why, "range was not answered");
                    self.failed.insert(range);
                }
                Event::NotOffered(range) => self.note_not_offered(range),
                Event::WallDoubted { lower } => {
                    let lower = effects.wall_doubted.map_or(lower, |known| known.min(lower));
                    effects.wall_doubted = Some(lower);
                }
                Event::Found(finding) => self.note_finding(finding),
            }
        }
        effects
    }

    fn note_pip_size(&mut self, pip_size: Option<u8>) {
        if let (Some(old), Some(new)) = (self.decimals.note(pip_size), pip_size) {
            self.note_finding(Finding::warning(
                FindingKind::OffGrid,
                &self.key,
                format!("{old} decimals in every answer"),
                format!("{new} decimals in one"),
            ));
        }
    }

    /// What is not offered is a prefix of the month, whatever part of it was asked.
    fn note_not_offered(&mut self, range: EpochRange) {
        let start = self.key.month.range().start();
        let end = self.not_offered.map_or(range.end(), |known| known.end().max(range.end()));
        self.not_offered = EpochRange::new(start, end);
    }

    fn note_finding(&mut self, finding: Finding) {
        if self.findings.contains(&finding) {
            return;
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.n_dropped_findings += 1;
        }
    }

    /// Lets a segment go to the staging: one chunk while paging, everything at the end.
    pub(super) fn pop_segment(&mut self, everything: bool) -> Option<Segment<R>> {
        if everything {
            self.buffer.pop(self.decimals.agreed())
        } else {
            self.buffer.pop_full(self.decimals.agreed())
        }
    }

    /// What the publish needs beside the staged rows.
    pub(super) fn publication(
        &self,
        now: Epoch,
        profile: &Profile,
        options: &DownloadOptions,
    ) -> Publication {
        let (confirmed, doubted) = self.pager.silence();
        let silence = SilenceFacts {
            confirmed,
            doubted,
            continuous: profile.continuous,
            interval_secs: profile.interval_secs(),
            gap_threshold_secs: options.gap_threshold_secs,
        };
        let elapsed: Duration = self.started.elapsed();
        let mut run = serde_json::Map::new();
        run.insert("answers".into(), self.n_answers.into());
        run.insert("thrown_away".into(), json!(self.pager.thrown_away()));
        run.insert("findings_dropped".into(), self.n_dropped_findings.into());
        Publication {
            server_now: now,
            settle_lag: options.settle_lag,
            not_offered: self.not_offered,
            failed: self.failed.clone(),
            silence,
            findings: self.findings.clone(),
            source: options.source.clone(),
            run,
            elapsed,
        }
    }
}
