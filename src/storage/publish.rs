//! The protocol of a publish, step by step.
//!
//! 1. merge published and staged rows into a draft beside the published file; sync it; re-open it
//!    and compare;
//! 2. announce, durably, which file is about to replace which;
//! 3. give the draft its name; sync the folder;
//! 4. inspect the file as it lies there, and write the sidecar the same careful way: it commits;
//! 5. sweep the staging, the announcement last.
//!
//! A crash after any step leaves a partition that the next `load` brings to the state before or
//! after this publish. A file that would come out the same is not written again. A run that is
//! ending gives up between two steps or two batches of rows, and that is such a crash too.

use std::fs;
use std::path::PathBuf;

use crate::domain::{
    Coverage, CoverageState, Epoch, EpochRange, Finding, FindingKind, Inspection, PartitionKey,
    PartitionState, Publication, Published, RangeSet, Record, Restatements, SilenceFacts,
    StoreError,
};
use crate::format::{Footer, MOST_RANGES, RowsDigests, Sidecar};

use super::atomic::{self, Draft};
use super::encode::{Encoder, FileFacts};
use super::errors::damaged;
use super::keep;
use super::merge::{Accepted, Merge, Merged};
use super::read::{PartitionFile, Unusable, file_sha256};
use super::recover::Remains;
use super::segment::StagedSegment;
use super::staging::{Intent, Staging, file_name};
use super::{Access, ParquetStore, describe, space, watermark};

/// Merged rows handed to the encoder at once.
const ROWS_AT_ONCE: usize = 4096;

/// Publishes what is staged. See [`PartitionStore::publish`](crate::domain::PartitionStore::publish).
///
/// What turns out to be damaged on the way is set aside, or given up, and the publish begins anew:
/// with all segments read before, if it was one of them, and with the good days of the published
/// file, if it was that.
pub(super) fn publish<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
    publication: &Publication,
) -> Result<Published, StoreError> {
    let staging = store.layout.staging_dir(key);
    let (mut trust, mut was_given_up) = (Trust::Headers, false);
    loop {
        match attempt::<R>(store, key, publication, trust) {
            Ok(published) => return Ok(published),
            Err(Halt::GaveUp(_)) if !was_given_up => was_given_up = true,
            Err(Halt::Failed(StoreError::Damaged { path, .. }))
                if trust == Trust::Headers && path.parent() == Some(&staging) =>
            {
                trust = Trust::Nothing;
            }
            Err(Halt::GaveUp(error) | Halt::Failed(error)) => return Err(error),
        }
    }
}

/// Why a publish did not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// It cannot.
    Failed(StoreError),
    /// The published file turned out to be damaged, and was given up: another attempt goes on with
    /// what is left of it.
    GaveUp(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Lets the good days of a file that was given up take its name, and nothing else: what was asked
/// since is published when the whole is. Returns the segments they came from; `None` if no row of it
/// is good.
pub(super) fn publish_saved<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
) -> Result<Option<Vec<String>>, StoreError> {
    let publication = Publication::default();
    let mut segments = Staging::new(store, key).scan::<R>(Access::Owner)?;
    segments.retain(|segment| segment.header.salvaged);
    if segments.iter().all(|segment| segment.header.n_rows == 0) {
        return Ok(None);
    }
    let mut work = Work::new(store, key, &publication, None, segments);
    work.bearer = atomic::identity(&work.path());
    if let Some(written) = work.write::<R>().map_err(StoreError::from)? {
        work.announce(&written)?;
        work.take_name(written)?;
    }
    let with_rows = work.segments.iter().filter(|segment| segment.header.holds_rows());
    Ok(Some(with_rows.map(|segment| file_name(&segment.path)).collect()))
}

impl From<Halt> for StoreError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Failed(error) | Halt::GaveUp(error) => error,
        }
    }
}

/// What is believed of segments before their rows are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// That they hold what their headers say. It comes out while they are merged.
    Headers,
    Nothing,
}

fn attempt<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
    publication: &Publication,
    trust: Trust,
) -> Result<Published, Halt> {
    store.stop.check()?;
    let mut work = Work::gather::<R>(store, key, publication, trust)?;
    if work.has_nothing() {
        return Ok(work.nothing()?);
    }
    if let Some(written) = work.write::<R>()? {
        store.stop.check()?;
        work.announce(&written)?;
        work.take_name(written)?;
    }
    // From here on nothing gives up: only this run knows all that the sidecar is to say.
    let sidecar = work.describe()?;
    work.commit(&sidecar)?;
    work.sweep()?;
    watermark::refresh(store, &key.series);
    Ok(work.published(sidecar))
}

/// Everything one publish works on.
pub(super) struct Work<'a> {
    store: &'a ParquetStore,
    key: &'a PartitionKey,
    publication: &'a Publication,
    staging: Staging<'a>,
    segments: Vec<StagedSegment>,
    old: Option<Old>,
    /// Which file bore the name when this began.
    bearer: Option<u64>,
    coverage: Coverage,
    pip_size: Option<u8>,
    merge_findings: Vec<Finding>,
    /// What earlier steps left to be told.
    remarks: Vec<Finding>,
    /// What is to be told if newer prices were taken.
    accepted: Option<Finding>,
    /// What is to be told of rows of another tool that the source's answers replace.
    replaced: Vec<Finding>,
    /// The file that bears the name after this publish; known once it was written.
    file: Option<FileFacts>,
}

struct Old {
    sidecar: Sidecar,
    file: PartitionFile,
}

/// A new file that is whole and durable, but has no name yet.
pub(super) struct Written {
    draft: Draft,
    facts: FileFacts,
}

#[cfg(test)]
impl Written {
    /// Leaves the draft behind, as a process that dies does.
    pub(super) fn abandon(self) {
        self.draft.abandon();
    }
}

impl<'a> Work<'a> {
    /// Looks at what is there; nothing is changed but what recovery has to.
    pub(super) fn gather<R: Record>(
        store: &'a ParquetStore,
        key: &'a PartitionKey,
        publication: &'a Publication,
        trust: Trust,
    ) -> Result<Self, Halt> {
        let remains = Remains::new(store, key, Access::Owner);
        let sidecar = remains.settle::<R>()?;
        let bearer = atomic::identity(&store.layout.parquet(key));
        if sidecar.as_ref().is_some_and(|sidecar| sidecar.locked) {
            return Err(StoreError::Locked { path: store.layout.sidecar(key) }.into());
        }
        let old = match sidecar {
            Some(sidecar) => Some(Old { sidecar, file: open_old::<R>(&remains, store, key)? }),
            None => None,
        };
        let staging = Staging::new(store, key);
        let segments = match trust {
            Trust::Headers => staging.heads::<R>(Access::Owner)?,
            Trust::Nothing => staging.scan::<R>(Access::Owner)?,
        };
        let mut work = Self::new(store, key, publication, old, segments);
        work.check_coverage()?;
        work.remarks = work.staging.remarks()?;
        work.bearer = bearer;
        Ok(work)
    }

    /// Nothing is published that would be refused when it is read.
    fn check_coverage(&self) -> Result<(), StoreError> {
        let n = self.coverage.ranges().len();
        if n <= MOST_RANGES {
            return Ok(());
        }
        let problem = format!(
            "would list {n} covered ranges, and {MOST_RANGES} are the most that are read; its \
             answers stay in the staging"
        );
        Err(damaged(&self.path(), problem))
    }

    fn new(
        store: &'a ParquetStore,
        key: &'a PartitionKey,
        publication: &'a Publication,
        old: Option<Old>,
        segments: Vec<StagedSegment>,
    ) -> Self {
        let published = old.as_ref().map(|old| &old.file.footer);
        let sidecar = old.as_ref().map(|old| &old.sidecar).filter(|old| old.record_count > 0);
        let last_row = sidecar.map(|sidecar| Epoch::new(sidecar.end_epoch));
        let coverage = coverage(key, published, last_row, &segments, publication);
        let pip_sizes = segments.iter().map(|segment| segment.header.pip_size);
        let pip_size = pip_sizes.chain([published.and_then(|footer| footer.pip_size)]).max();
        Self {
            store,
            key,
            publication,
            staging: Staging::new(store, key),
            segments,
            coverage,
            pip_size: pip_size.flatten(),
            old,
            bearer: None,
            merge_findings: Vec::new(),
            remarks: Vec::new(),
            accepted: None,
            replaced: Vec::new(),
            file: None,
        }
    }

    /// Tells whether there is neither a file nor an answer to make one of.
    fn has_nothing(&self) -> bool {
        let holds_data =
            |state| matches!(state, CoverageState::Answered | CoverageState::Inherited);
        self.old.is_none() && self.coverage.select(holds_data).is_empty()
    }

    fn nothing(self) -> Result<Published, StoreError> {
        let Publication { server_now, settle_lag, findings, .. } = self.publication;
        // No sidecar will ever hold the remarks: this is the one time they are told.
        self.staging.sweep_told()?;
        let findings = findings.iter().cloned().chain(self.remarks.iter().cloned());
        Ok(Published {
            key: self.key.clone(),
            path: self.path(),
            record_count: 0,
            n_new: 0,
            duplicates_removed: 0,
            file_size: 0,
            lost: RangeSet::new(),
            state: describe::state(*server_now, *settle_lag, self.key.month, &self.coverage, &[]),
            coverage: self.coverage,
            gaps: Vec::new(),
            findings: describe::without_repetitions(findings),
            standing: Vec::new(),
        })
    }

    /// Step 1. Returns nothing if the published file is already what would come out.
    pub(super) fn write<R: Record>(&mut self) -> Result<Option<Written>, Halt> {
        if self.segments.is_empty() && self.old.as_ref().is_some_and(|old| self.is_up_to_date(old))
        {
            return Ok(None);
        }
        let path = self.path();
        let dir = self.store.layout.series_dir(&self.key.series);
        self.store.make_dir_inside(&dir)?;
        space::require(&dir, self.bytes_needed::<R>())?;
        let draft = Draft::create(&path, &self.store.names.next())?;
        let (facts, merged) = self.encode::<R>(&draft).map_err(|error| self.judge::<R>(error))?;
        self.check_published_rows::<R>(&merged)?;
        self.accepted = self.keep_accepted(&merged.accepted)?;
        self.replaced = self.keep_replaced(merged.replaced)?;
        self.merge_findings = merged.findings;
        if self.old.as_ref().is_some_and(|old| old.file.footer == facts.footer) {
            return Ok(None);
        }
        self.store.stop.check()?;
        draft.sync()?;
        check_written::<R>(&draft, &facts)?;
        Ok(Some(Written { draft, facts }))
    }

    /// Step 2.
    pub(super) fn announce(&self, written: &Written) -> Result<(), StoreError> {
        self.staging.announce(&Intent {
            old_sha256: self.old.as_ref().and_then(|old| old.sidecar.sha256.clone()),
            new_sha256: written.facts.sha256.clone(),
            draft: file_name(written.draft.path()),
            segments: self.segment_names(),
            accepted: self.accepted.clone(),
            replaced: self.replaced.clone(),
        })
    }

    /// Where newer prices were taken, keeps the published file, which is about to be replaced, and
    /// says so.
    fn keep_accepted(&self, rows: &Accepted) -> Result<Option<Finding>, StoreError> {
        if self.publication.restatements == Restatements::Refuse || self.segments.is_empty() {
            return Ok(None);
        }
        if rows.n_rows == 0 {
            let is_known = |old: &Old| old.sidecar.findings.iter().any(keep::says_accepted);
            let is_news = self.old.as_ref().is_some_and(|old| !is_known(old));
            return Ok(is_news.then(|| keep::nothing_restated(self.key)));
        }
        let kept = match &self.old {
            Some(_) => Some(keep::keep_published(self.store, self.key)?),
            None => None,
        };
        Ok(Some(keep::accepted(self.key, rows, kept.as_deref())))
    }

    /// Where the source's answers took the place of rows of another tool, keeps the file that holds
    /// those, and says where it is.
    fn keep_replaced(&self, mut findings: Vec<Finding>) -> Result<Vec<Finding>, StoreError> {
        if self.old.is_some() && !findings.is_empty() {
            let kept = keep::keep_published(self.store, self.key)?;
            for finding in &mut findings {
                finding
                    .found
                    .push_str(&format!("; the file before is kept as `{}`", kept.display()));
            }
        }
        Ok(findings)
    }

    /// Step 3. Never over a file that was not merged: then two runs believe that they own the
    /// series, and the rows of the other one would be lost.
    pub(super) fn take_name(&mut self, written: Written) -> Result<(), StoreError> {
        if atomic::identity(&self.path()) != self.bearer {
            let problem = "was replaced by another run while this one worked on it; run again";
            return Err(damaged(&self.path(), problem));
        }
        written.draft.rename()?.sync_dir()?;
        self.file = Some(written.facts);
        Ok(())
    }

    /// First half of step 4: what the sidecar will say.
    pub(super) fn describe(&self) -> Result<Sidecar, StoreError> {
        let publication = self.publication;
        let old = self.old.as_ref().map(|old| &old.sidecar);
        let silence = self.silence();
        let before = describe::confirmed_before(old, &silence);
        let known = describe::silence_known(old, &before, &silence, &self.coverage);
        let written = self.file.as_ref().map(|file| file.footer.rows_sha256.as_str());
        let mut inspection = self.store.inspector.inspect(self.key, &self.path(), &known, written);
        describe::carry_classes(&mut inspection.gaps, &before);
        describe::note_asked(&mut inspection.gaps, old, &known);
        let findings = self.findings(&mut inspection)?;
        let (now, lag) = (publication.server_now, publication.settle_lag);
        let state = describe::state(now, lag, self.key.month, &self.coverage, &inspection.gaps);
        let facts = self.file_facts()?;
        let mut sidecar = describe::sidecar(&facts, inspection, state);
        let counts = self.segments.iter().map(|s| s.header.n_duplicates);
        let n_duplicates: u64 = counts.fold(0, u64::saturating_add);
        let old_coverage = old.map(|old| old.coverage.as_slice()).unwrap_or_default();
        sidecar.findings = findings;
        sidecar.gap_rules = known.rules(self.key.month);
        sidecar.duplicates_removed = old.map_or(0, |old| old.duplicates_removed) + n_duplicates;
        sidecar.coverage = describe::timed_coverage(&self.coverage, old_coverage, &self.segments);
        sidecar.created_at = Some(now.to_iso_with_offset());
        sidecar.download_duration_seconds = Some(publication.elapsed.as_secs_f64());
        sidecar.first_held = self.first_held();
        sidecar.source = publication.source.clone();
        sidecar.run = publication.run.clone();
        Ok(sidecar)
    }

    /// Second half of step 4. A sidecar that would say the same again stays as it is.
    pub(super) fn commit(&self, sidecar: &Sidecar) -> Result<(), StoreError> {
        let is_rewritten = self.file.is_some();
        let says_the_same = |old: &Old| describe::says_the_same(&old.sidecar, sidecar);
        if !is_rewritten && self.old.as_ref().is_some_and(says_the_same) {
            return Ok(());
        }
        let path = self.store.layout.sidecar(self.key);
        atomic::write_file(&path, &self.store.names.next(), &sidecar.to_json())
    }

    /// Step 5.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        self.staging.sweep(&self.segment_names())
    }

    fn published(self, mut sidecar: Sidecar) -> Published {
        let salvaged = self.segments.iter().filter(|segment| segment.header.salvaged);
        let n_salvaged = salvaged.map(|segment| segment.header.n_rows).sum();
        let n_before = self.old.as_ref().map_or(n_salvaged, |old| old.file.footer.record_count);
        let findings = std::mem::take(&mut sidecar.findings);
        let (findings, mut standing): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| self.is_news(finding));
        standing.retain(Finding::stands);
        Published {
            path: self.path(),
            key: self.key.clone(),
            record_count: sidecar.record_count,
            n_new: sidecar.record_count.saturating_sub(n_before),
            duplicates_removed: sidecar.duplicates_removed,
            file_size: sidecar.file_size.unwrap_or_default(),
            lost: self.lost(),
            coverage: self.coverage,
            state: sidecar.state.unwrap_or(PartitionState::Settling),
            gaps: sidecar.gaps,
            findings,
            standing,
        }
    }

    /// What this run found: an old conflict stays in the sidecar but is no news to every later run.
    fn is_news(&self, finding: &Finding) -> bool {
        let old = self.old.as_ref().map(|old| &old.sidecar);
        let is_known = describe::kept_findings(old).any(|kept| keep::knows(kept, finding));
        !is_known || self.remarks.contains(finding) || self.publication.unread.contains(finding)
    }

    /// Most bytes that the new file and what goes with it can take. Rows never take more than their
    /// numbers do.
    fn bytes_needed<R: Record>(&self) -> u64 {
        let old = self.old.as_ref().and_then(|old| old.sidecar.file_size).unwrap_or_default();
        let n_staged: u64 = self.segments.iter().map(|segment| segment.header.n_rows).sum();
        let staged = n_staged.saturating_mul(space::number_bytes(R::COLUMNS.len()));
        old.saturating_add(staged).saturating_add(space::SLACK_BYTES)
    }

    fn is_up_to_date(&self, old: &Old) -> bool {
        old.file.footer.coverage == self.coverage && old.file.footer.pip_size == self.pip_size
    }

    fn encode<R: Record>(&self, draft: &Draft) -> Result<(FileFacts, Merged), StoreError> {
        let published = self.old.as_ref().map(|old| old.file.rows::<R>()).transpose()?;
        let covered = |wanted: fn(CoverageState) -> bool| {
            let coverage = self.old.as_ref().map(|old| &old.file.footer.coverage);
            coverage.map(|coverage| coverage.select(wanted)).unwrap_or_default()
        };
        let mut merge = Merge::new(
            self.key,
            published,
            &covered(is_inherited),
            &self.segments,
            self.publication.restatements,
            &covered(|state| state == CoverageState::Answered),
        )?;
        let mut encoder = Encoder::new(draft, self.store.file)?;
        let mut rows = Vec::new();
        while merge.next_rows(&mut rows)? {
            if rows.len() >= ROWS_AT_ONCE {
                self.store.stop.check()?;
                encoder.extend(&rows)?;
                rows.clear();
            }
        }
        encoder.extend(&rows)?;
        let facts = encoder.finish(|rows| self.footer(rows))?;
        Ok((facts, merge.finish()))
    }

    fn footer(&self, rows: RowsDigests) -> Footer {
        Footer {
            key: self.key.clone(),
            pip_size: self.pip_size,
            coverage: self.coverage.clone(),
            record_count: rows.record_count,
            rows_sha256: rows.rows_sha256,
            days: rows.days,
        }
    }

    /// Rows that were published and are not the promised ones must not be published again.
    fn check_published_rows<R: Record>(&self, merged: &Merged) -> Result<(), Halt> {
        let (Some(old), Some(found)) = (&self.old, &merged.published) else { return Ok(()) };
        old.file.check_digests(found).map_err(|error| self.judge::<R>(error))
    }

    /// Gives the published file up if it is the one that `error` calls damaged.
    fn judge<R: Record>(&self, error: StoreError) -> Halt {
        let is_published =
            matches!(&error, StoreError::Damaged { path, .. } if *path == self.path());
        if !is_published || self.old.is_none() {
            return error.into();
        }
        let remains = Remains::new(self.store, self.key, Access::Owner);
        give_up::<R>(&remains, FindingKind::RowsHash, error)
    }

    fn findings(&self, inspection: &mut Inspection) -> Result<Vec<Finding>, StoreError> {
        let publication = self.publication;
        let staged = self.segments.iter().flat_map(|segment| &segment.header.findings);
        let withdrawn =
            |f: &Finding| publication.withdrawn.iter().any(|other| other.says_the_same_as(f));
        let told: Vec<Finding> = publication
            .findings
            .iter()
            .chain(staged.filter(|finding| !withdrawn(finding)))
            .cloned()
            .chain(self.remarks.iter().cloned())
            .chain(self.accepted.clone())
            .collect();
        let kept = self.old_findings(&told);
        let all = told
            .into_iter()
            .chain(self.merge_findings.iter().cloned())
            .chain(self.replaced.iter().cloned())
            .chain(inspection.findings.drain(..))
            .chain(kept);
        Ok(describe::without_repetitions(all))
    }

    /// What the previous sidecar said and still holds: a loss, unless it was answered since; a
    /// refusal, unless the source was asked since. If it still names another price, the merge has
    /// said so again.
    fn old_findings(&self, told: &[Finding]) -> Vec<Finding> {
        let old = self.old.as_ref().map(|old| &old.sidecar);
        let mut kept: Vec<Finding> = describe::kept_findings(old).cloned().collect();
        let is_lost = |at| !self.coverage.missing(at).is_empty();
        kept.retain(|f| f.kind != FindingKind::LostBehindWall || f.at.is_none_or(is_lost));
        let asked = self.segments.iter().filter(|segment| !segment.header.salvaged);
        let asked: RangeSet = asked.map(|segment| segment.range).collect();
        let is_asked = |at: Option<EpochRange>| at.is_some_and(|at| asked.covers(at));
        kept.retain(|finding| !(finding.is_open_restatement() && is_asked(finding.at)));
        // One of an older build that only counts goes with the last of those that it listed.
        let is_wished = self.publication.restatements == Restatements::Accept;
        let is_accepted = is_wished || told.iter().any(keep::says_accepted);
        if is_accepted && !kept.iter().any(|f| f.is_open_restatement() && f.at.is_some()) {
            kept.retain(|finding| !finding.is_open_restatement());
        }
        kept
    }

    /// What is known of the silence, with what a stopped run noted where this one did not ask.
    fn silence(&self) -> SilenceFacts {
        let mut silence = self.publication.silence.clone();
        for segment in &self.segments {
            let (mut confirmed, mut doubted) = segment.header.silence();
            confirmed.remove_all(&silence.asked);
            doubted.remove_all(&silence.asked);
            silence.confirmed.extend(&confirmed);
            silence.doubted.extend(&doubted);
        }
        silence
    }

    /// Seconds that a damaged file held and nothing answered since.
    fn lost(&self) -> RangeSet {
        let lost = self.segments.iter().filter(|segment| !segment.header.holds_rows());
        let missing = lost.map(|segment| self.coverage.missing(segment.range));
        let mut lost = RangeSet::new();
        missing.for_each(|missing| lost.extend(&missing));
        lost
    }

    /// The oldest second that was ever answered, if its rows are lost.
    fn first_held(&self) -> Option<Epoch> {
        let lost = self.segments.iter().filter(|segment| !segment.header.holds_rows());
        let before = self.old.as_ref().and_then(|old| old.sidecar.first_held);
        let first = lost.map(|segment| segment.range.start()).chain(before).min()?;
        let held = self.coverage.select(|state| state >= CoverageState::Inherited);
        let is_shown = held.iter().next().map(EpochRange::start).is_some_and(|held| held <= first);
        (!is_shown).then_some(first)
    }

    /// The file that bears the name now: the new one, or the old one that stayed.
    fn file_facts(&self) -> Result<FileFacts, StoreError> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let path = self.path();
        let Some(Old { sidecar, file }) = &self.old else {
            return Err(damaged(&path, "was not written yet"));
        };
        let sha256 = match &sidecar.sha256 {
            Some(sha256) => sha256.clone(),
            None => file_sha256(&path)?,
        };
        let ends = |epoch| (file.footer.record_count > 0).then(|| Epoch::new(epoch));
        Ok(FileFacts {
            footer: file.footer.clone(),
            sha256,
            file_size: sidecar.file_size.unwrap_or_default(),
            first: ends(sidecar.start_epoch),
            last: ends(sidecar.end_epoch),
        })
    }

    fn segment_names(&self) -> Vec<String> {
        self.segments.iter().map(|segment| file_name(&segment.path)).collect()
    }

    fn path(&self) -> PathBuf {
        self.store.layout.parquet(self.key)
    }
}

/// Published coverage, staged answers, and what this run could not get, inside the month.
fn coverage(
    key: &PartitionKey,
    published: Option<&Footer>,
    last_row: Option<Epoch>,
    segments: &[StagedSegment],
    publication: &Publication,
) -> Coverage {
    let mut coverage = published.map(|footer| footer.coverage.clone()).unwrap_or_default();
    // What reaches past the source's present time was asked of another clock: of it only the rows
    // are believed, and not the silence behind them.
    let claimed_to = coverage.ranges().last().map(|claimed| claimed.end);
    if claimed_to.is_some_and(|end| end > publication.server_now) {
        let start = key.month.range().start();
        let end = last_row.map_or(start, |row| row.plus(1));
        coverage = EpochRange::new(start, end)
            .map(|believed| coverage.clipped(believed))
            .unwrap_or_default();
    }
    for segment in segments {
        coverage.insert(segment.range, segment.header.state);
    }
    for range in publication.failed.iter() {
        coverage.insert(range, CoverageState::Failed);
    }
    if let Some(range) = publication.not_offered {
        coverage.insert(range, CoverageState::NotOffered);
    }
    coverage.clipped(key.month.range())
}

/// Opens the published file. One that broke unnoticed since its sidecar was written is given up.
fn open_old<R: Record>(
    remains: &Remains<'_>,
    store: &ParquetStore,
    key: &PartitionKey,
) -> Result<PartitionFile, Halt> {
    let path = store.layout.parquet(key);
    let file = match PartitionFile::open(&path) {
        Ok(file) => file,
        Err(Unusable::Broken(error)) => {
            return Err(give_up::<R>(remains, FindingKind::Unreadable, error));
        }
        Err(error) => return Err(StoreError::from(error).into()),
    };
    if file.footer.key != *key {
        let error = damaged(&path, format!("is the file of {} by its footer", file.footer.key));
        return Err(give_up::<R>(remains, FindingKind::FooterMismatch, error));
    }
    match file.check::<R>() {
        Ok(()) => Ok(file),
        Err(error) => Err(give_up::<R>(remains, FindingKind::Schema, error)),
    }
}

fn is_inherited(state: CoverageState) -> bool {
    state == CoverageState::Inherited
}

/// Gives up the published file: its good days take its name, and what was lost is asked again.
fn give_up<R: Record>(remains: &Remains<'_>, kind: FindingKind, error: StoreError) -> Halt {
    if let Err(error) = remains.give_up::<R>(kind, &error) {
        return error.into();
    }
    Halt::GaveUp(match error {
        StoreError::Damaged { path, problem } => damaged(
            &path,
            format!(
                "{problem}; it is kept in quarantine, and the next run asks for its rows again"
            ),
        ),
        error => error,
    })
}

/// Reads the draft back, as a stranger would.
pub(super) fn check_written<R: Record>(draft: &Draft, facts: &FileFacts) -> Result<(), StoreError> {
    let file = PartitionFile::open(draft.path())?;
    file.check::<R>()?;
    let file_size = fs::metadata(draft.path()).map(|metadata| metadata.len());
    if file.footer != facts.footer || file_size.ok() != Some(facts.file_size) {
        return Err(damaged(draft.path(), "reads back differently from what was written"));
    }
    Ok(())
}
