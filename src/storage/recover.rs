//! What a crash or a foreign hand left behind, and what is known of a partition after it.
//!
//! File times say nothing here. A file whose rows hash to its own footer is good, and gets its
//! sidecar rebuilt if that is lost or stale. One that does not is given up: its good days are staged,
//! it is kept in quarantine, and a file of the good days takes its name. Where it has none, it keeps
//! the name until the answers are there that replace it: at no moment a reader finds nothing. A file
//! of another tool is taken over by `adopt`, unless it is locked. What this build cannot read, it does
//! not judge: such a partition is left alone like a locked one. While everything is up to date this
//! costs one small read, one look at a file size and one for a note.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::{
    Coverage, CoverageState, Epoch, EpochRange, FactsStore, Finding, FindingKind, Gap, GapClass,
    GapRules, Inspection, Month, PartitionKey, PartitionState, Record, Series, SilenceFacts,
    StoreError, StoredPartition, TradingHours,
};
use crate::format::{FORMAT_VERSION, Layout, Sidecar, newer_version};

use super::adopt::{self, Foreign, Refused, Said};
use super::atomic::{self, DRAFT_SUFFIX};
use super::encode::FileFacts;
use super::errors::{damaged, io_error, undecodable};
use super::keep;
use super::publish;
use super::read::{self, PartitionFile, Unusable, file_sha256};
use super::salvage::{self, Salvaged};
use super::staging::{Intent, Staging, file_name, list, read_sidecar};
use super::stop::Stop;
use super::{Access, ParquetStore, describe, watermark};

/// Tells what is published and staged, after putting right what can be.
pub(super) fn load<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
    access: Access,
) -> Result<StoredPartition, StoreError> {
    let sidecar = match Remains::new(store, key, access).settle::<R>() {
        Err(error @ StoreError::Undecodable { .. }) => {
            let undecodable = Some(error.to_string());
            return Ok(StoredPartition { undecodable, locked: true, ..StoredPartition::default() });
        }
        settled => settled?,
    };
    let segments = Staging::new(store, key).scan::<R>(access)?;
    let (answers, lost): (Vec<_>, Vec<_>) =
        segments.iter().partition(|segment| segment.header.holds_rows());
    let asked = answers.iter().filter(|segment| !segment.header.salvaged);
    let staged_pip_size = segments.iter().filter_map(|segment| segment.header.pip_size).max();
    let mut stored = StoredPartition {
        asked: asked.map(|segment| segment.range).collect(),
        staged: answers.iter().map(|segment| segment.range).collect(),
        lost: lost.iter().map(|segment| segment.range).collect(),
        unexplained: segments
            .iter()
            .flat_map(|segment| segment.header.silence().1.iter().collect::<Vec<_>>())
            .collect(),
        pip_size: staged_pip_size,
        last_row: segments.iter().filter_map(|segment| segment.last_row).max(),
        ..StoredPartition::default()
    };
    if let Some(sidecar) = sidecar {
        let unexplained = sidecar.gaps.iter().filter(|gap| gap.class == GapClass::Unexplained);
        let month = key.month.range();
        stored.silences = silences(&sidecar);
        stored.first_row = (sidecar.record_count > 0).then(|| Epoch::new(sidecar.start_epoch));
        stored.published = sidecar.coverage().clipped(month);
        stored.record_count = sidecar.record_count;
        let published = (sidecar.record_count > 0).then(|| Epoch::new(sidecar.end_epoch));
        stored.last_row = stored.last_row.max(published);
        stored.state = sidecar.state;
        stored.locked = sidecar.locked;
        stored.locked_problem =
            sidecar.locked.then(|| locked_problem(store, key, &sidecar)).flatten();
        let inside = |gap: &Gap| EpochRange::new(gap.start, gap.end)?.intersect(month);
        stored.unexplained.extend(unexplained.filter_map(inside));
        stored.first_held = sidecar.first_held.filter(|first| month.contains(*first));
        stored.restatement_accepted = keep::is_accepted(&sidecar);
        stored.standing = sidecar.findings.iter().filter(|f| f.stands()).cloned().collect();
        stored.pip_size = staged_pip_size.max(sidecar.pip_size);
    }
    stored.has_remarks = !Staging::new(store, key).remarks()?.is_empty();
    Ok(stored)
}

/// The silences that may be asked again. Those that an earlier build confirmed say not when they
/// were asked; the coverage does.
fn silences(sidecar: &Sidecar) -> Vec<Gap> {
    let is_sealed = sidecar.state == Some(PartitionState::Sealed);
    let timed = |gap: &Gap| {
        let covering = sidecar.covering(gap);
        let is_untimed = gap.class == GapClass::ConfirmedBySource && gap.asked_last.is_none();
        let asked = covering.filter(|_| is_untimed).and_then(|covering| covering.asked_last);
        Gap { asked_last: gap.asked_last.or(asked), ..*gap }
    };
    let is_kept = |gap: &&Gap| match gap.class {
        GapClass::BeforeFirstRow => true,
        GapClass::MarketClosed => false,
        _ => !is_sealed,
    };
    sidecar.gaps.iter().filter(is_kept).map(timed).collect()
}

/// What a glance at a locked partition shows to be wrong: nothing of it is ever read or changed by
/// a run, so nobody else would notice that its file is gone or cut off.
fn locked_problem(store: &ParquetStore, key: &PartitionKey, sidecar: &Sidecar) -> Option<String> {
    let path = store.layout.parquet(key);
    let Ok(metadata) = fs::metadata(&path) else { return Some("its file is not there".to_owned()) };
    let size = metadata.len();
    match sidecar.file_size {
        Some(said) if said != size => {
            Some(format!("its file has {size} bytes, and the sidecar says {said}"))
        }
        Some(_) => None,
        None => match read::declared_rows(&path) {
            Ok(rows) if rows == sidecar.record_count => None,
            Ok(rows) => Some(format!(
                "its file has {rows} rows, and the sidecar says {}",
                sidecar.record_count
            )),
            Err(error) => Some(error.to_string()),
        },
    }
}

/// The partitions of a series, oldest first.
fn keys(layout: &Layout, series: &Series) -> Result<Vec<PartitionKey>, StoreError> {
    let paths = list(&layout.series_dir(series))?;
    let keys = paths.iter().filter_map(|p| Layout::key_of(p.strip_prefix(layout.root()).ok()?));
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// From the oldest row of a series to the newest, as its sidecars tell; a month of which nothing
/// can be read may hold a row at its first second. Reads about two of them.
pub(super) fn rows_held(
    layout: &Layout,
    series: &Series,
) -> Result<Option<EpochRange>, StoreError> {
    let keys = keys(layout, series)?;
    let rows = |key: &PartitionKey| -> Result<Option<EpochRange>, StoreError> {
        let sidecar = read_sidecar(&layout.sidecar(key))?;
        let first_second = key.month.range().start();
        match sidecar.and_then(|bytes| Sidecar::from_json(&bytes).ok()) {
            None => Ok(EpochRange::inclusive(first_second, first_second)),
            Some(sidecar) => Ok(EpochRange::inclusive(
                Epoch::new(sidecar.start_epoch),
                Epoch::new(sidecar.end_epoch),
            )
            .filter(|_| sidecar.record_count > 0)),
        }
    };
    let find = |keys: &mut dyn Iterator<Item = &PartitionKey>| -> Result<_, StoreError> {
        for key in keys {
            if let Some(rows) = rows(key)? {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    };
    let oldest = find(&mut keys.iter())?;
    let newest = find(&mut keys.iter().rev())?;
    let ends = oldest.zip(newest);
    Ok(ends.and_then(|(oldest, newest)| EpochRange::inclusive(oldest.start(), newest.last())))
}

/// The oldest second of the months before `before` that the source answered for. What another tool
/// left says nothing of that. Costs a small read for each month up to the one it is found in.
pub(super) fn first_answered(
    layout: &Layout,
    series: &Series,
    before: Month,
) -> Result<Option<Epoch>, StoreError> {
    let mut keys = keys(layout, series)?;
    keys.retain(|key| key.month < before);
    for key in keys {
        let sidecar = read_sidecar(&layout.sidecar(&key))?;
        let sidecar = sidecar.and_then(|bytes| Sidecar::from_json(&bytes).ok());
        let ours = sidecar.filter(|sidecar| !sidecar.is_foreign()).map(|s| s.coverage());
        let coverage =
            ours.or_else(|| Some(PartitionFile::open(&layout.parquet(&key)).ok()?.footer.coverage));
        let answered =
            coverage.unwrap_or_default().select(|state| state == CoverageState::Answered);
        if let Some(first) = answered.iter().next() {
            return Ok(Some(first.start()));
        }
    }
    Ok(None)
}

/// The first answered second of each published month, and when its answer came first.
pub(super) fn oldest_answers(
    layout: &Layout,
    series: &Series,
) -> Result<Vec<(Epoch, Epoch)>, StoreError> {
    let mut answers = Vec::new();
    for path in list(&layout.series_dir(series))? {
        let key = path.strip_prefix(layout.root()).ok().and_then(Layout::key_of);
        let Some(key) = key else { continue };
        let sidecar = read_sidecar(&layout.sidecar(&key))?;
        let sidecar = sidecar.and_then(|bytes| Sidecar::from_json(&bytes).ok());
        let coverage = sidecar.map(|sidecar| sidecar.coverage).unwrap_or_default();
        let answered = coverage.iter().filter(|c| c.state == CoverageState::Answered);
        answers.extend(answered.filter_map(|c| Some((c.start, c.asked_first?))).min());
    }
    Ok(answers)
}

/// The files of one partition as they were found.
pub(super) struct Remains<'a> {
    store: &'a ParquetStore,
    key: &'a PartitionKey,
    access: Access,
    staging: Staging<'a>,
    parquet: PathBuf,
    sidecar: PathBuf,
}

impl<'a> Remains<'a> {
    /// Names the files; nothing is read yet.
    pub(super) fn new(store: &'a ParquetStore, key: &'a PartitionKey, access: Access) -> Self {
        Self {
            store,
            key,
            access,
            staging: Staging::new(store, key),
            parquet: store.layout.parquet(key),
            sidecar: store.layout.sidecar(key),
        }
    }

    pub(super) fn parquet(&self) -> &Path {
        &self.parquet
    }

    pub(super) fn sidecar(&self) -> &Path {
        &self.sidecar
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.store.stop
    }

    /// Tells whether a publish of this partition did not end.
    pub(super) fn is_amid_publish(&self) -> Result<bool, StoreError> {
        Ok(self.staging.intent(self.access)?.is_some())
    }

    /// The sidecar, if it is one of ours and about this partition.
    pub(super) fn own_sidecar(&self) -> Result<Option<Sidecar>, StoreError> {
        Ok(self.read_sidecar()?.filter(|sidecar| self.is_about_this(sidecar)))
    }

    /// Brings file and sidecar to agree and returns what the sidecar then says; `None` if nothing
    /// is published. A locked partition is returned as it is, whoever wrote it.
    pub(super) fn settle<R: Record>(&self) -> Result<Option<Sidecar>, StoreError> {
        atomic::confine(self.store.layout.root(), &self.parquet)?;
        atomic::confine(self.store.layout.root(), &self.sidecar)?;
        self.sweep_drafts()?;
        let sidecar = self.read_sidecar()?;
        if let Some(sidecar) = sidecar.as_ref().filter(|sidecar| sidecar.locked) {
            let restored = self.restored::<R>(sidecar)?;
            return Ok(Some(restored.unwrap_or_else(|| sidecar.clone())));
        }
        if sidecar.as_ref().and_then(|s| s.format_version).is_some_and(|v| v > FORMAT_VERSION) {
            return Err(self.too_new());
        }
        if self.is_given_up()? {
            return self.replace_given_up::<R>();
        }
        let intent = self.staging.intent(self.access)?;
        let Some(file_size) = self.file_size()? else { return self.without_file::<R>() };
        let sidecar_fits = sidecar.as_ref().is_some_and(|sidecar| self.fits(sidecar, file_size));
        match intent {
            Some(intent) => self.finish::<R>(&intent, sidecar, sidecar_fits),
            None if sidecar_fits && self.footer_agrees(sidecar.as_ref()) => Ok(sidecar),
            None => self.examine::<R>(sidecar.as_ref()),
        }
    }

    fn too_new(&self) -> StoreError {
        undecodable(&self.sidecar, "was written by a newer version of this program")
    }

    /// The sidecar of a file of ours that the `lock_dataset()` of the Python tool cut down to its
    /// own keys: written anew from the footer, and locked as before. `None` if it is none such, or
    /// the file is not what was locked.
    fn restored<R: Record>(&self, locked: &Sidecar) -> Result<Option<Sidecar>, StoreError> {
        // One that cannot be read, or that a newer version wrote, is no such sidecar.
        let bytes = read_sidecar(&self.sidecar)?;
        if bytes.as_deref().and_then(Said::read).is_none() {
            return Ok(None);
        }
        let file = match PartitionFile::open(&self.parquet) {
            Ok(file) if file.footer.key == *self.key => file,
            Err(Unusable::Unknown(error)) => return Err(error),
            _ => return Ok(None),
        };
        if let Some(said) = &locked.sha256
            && *said != file_sha256(&self.parquet)?
        {
            return Ok(None);
        }
        match file.verify_rows::<R>(&self.store.stop) {
            Ok(ends) => self.rebuild(file, ends, Some(locked)).map(Some),
            Err(StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes up a publish that did not end: either its file had taken the name or it had not.
    fn finish<R: Record>(
        &self,
        intent: &Intent,
        sidecar: Option<Sidecar>,
        sidecar_fits: bool,
    ) -> Result<Option<Sidecar>, StoreError> {
        let sha256 = file_sha256(&self.parquet)?;
        let is_new = sha256 == intent.new_sha256;
        let describes_it = |sidecar: &Sidecar| sidecar.sha256.as_ref() == Some(&sha256);
        let sidecar_fits = sidecar_fits && sidecar.as_ref().is_some_and(describes_it);
        // A sidecar that was only rebuilt does not know yet what the segments had to tell.
        let is_committed = sidecar.as_ref().is_some_and(|sidecar| sidecar.created_at.is_some());
        if is_new && sidecar_fits && is_committed {
            // Only the sweep was missing.
            if self.access == Access::Owner {
                // The run that wrote the sidecar may have been killed before its name was durable.
                atomic::sync_dir(&self.store.layout.series_dir(&self.key.series))?;
                self.staging.sweep(&intent.segments)?;
            }
            return Ok(sidecar);
        }
        let settled = if sidecar_fits { sidecar } else { self.examine::<R>(sidecar.as_ref())? };
        // The segments stay: merged again they give the same rows and the same file. So does the
        // intent if they are in it already, lest a sweep that is stopped leaves them to be counted
        // once more.
        if self.access == Access::Owner && is_new {
            self.staging.remember(intent.accepted.iter().chain(&intent.replaced).cloned())?;
        }
        if self.access == Access::Owner && !(is_new && settled.is_some()) {
            self.staging.forget_intent()?;
        }
        Ok(settled)
    }

    /// Judges a Parquet file by itself.
    fn examine<R: Record>(&self, stale: Option<&Sidecar>) -> Result<Option<Sidecar>, StoreError> {
        let file = match PartitionFile::open(&self.parquet) {
            Ok(file) => file,
            Err(Unusable::Undecodable(error) | Unusable::Unknown(error)) => return Err(error),
            Err(Unusable::Foreign(_)) if stale.is_some_and(|stale| self.is_about_this(stale)) => {
                let problem = damaged(&self.parquet, "has lost its footer");
                return self.give_up_now::<R>(FindingKind::FooterMismatch, &problem);
            }
            Err(Unusable::Foreign(_)) => return self.take_over::<R>(stale),
            Err(Unusable::Broken(error)) => {
                if stale.is_some_and(Sidecar::is_foreign) && self.access == Access::Owner {
                    Foreign::open(self.store, self.key)?.note_set_aside(Vec::new())?;
                }
                return self.give_up_now::<R>(FindingKind::Unreadable, &error);
            }
        };
        if file.footer.key != *self.key {
            let problem = format!("is the file of {} by its footer", file.footer.key);
            let problem = damaged(&self.parquet, problem);
            return self.give_up_now::<R>(FindingKind::FooterMismatch, &problem);
        }
        match file.verify_rows::<R>(&self.store.stop) {
            Ok(ends) => self.rebuild(file, ends, stale).map(Some),
            Err(error @ StoreError::Damaged { .. }) => {
                self.give_up_now::<R>(FindingKind::RowsHash, &error)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives up the file and returns the sidecar of its good days.
    fn give_up_now<R: Record>(
        &self,
        kind: FindingKind,
        problem: &StoreError,
    ) -> Result<Option<Sidecar>, StoreError> {
        self.give_up::<R>(kind, problem)?;
        if self.access == Access::Observer || self.is_given_up()? {
            return Ok(None);
        }
        self.own_sidecar()
    }

    /// Makes a file of another tool one of ours. Whoever does not hold the series only learns what
    /// its sidecar says.
    fn take_over<R: Record>(&self, stale: Option<&Sidecar>) -> Result<Option<Sidecar>, StoreError> {
        if self.access == Access::Observer {
            return adopt::glimpse::<R>(self.key, &self.parquet, stale);
        }
        let foreign = Foreign::open(self.store, self.key)?;
        match foreign.adopt::<R>() {
            // The file is ours now and waits for its sidecar.
            Ok(_) => self.examine::<R>(stale),
            Err(Refused::Untrusted { kind, problem, findings }) => {
                foreign.note_set_aside(findings)?;
                self.set_aside(kind, &damaged(&self.parquet, problem), "")?;
                Ok(None)
            }
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    /// Writes the sidecar anew from the file, and from the old one what no file can tell: when
    /// ranges were asked, duplicates, gaps that were confirmed, findings of merges.
    pub(super) fn rebuild(
        &self,
        file: PartitionFile,
        (first, last): (Option<Epoch>, Option<Epoch>),
        stale: Option<&Sidecar>,
    ) -> Result<Sidecar, StoreError> {
        let facts = FileFacts {
            footer: file.footer,
            sha256: file_sha256(&self.parquet)?,
            file_size: self.file_size()?.unwrap_or_default(),
            first,
            last,
        };
        let foreign = stale.filter(|stale| stale.is_foreign());
        let is_inherited = |state| state == CoverageState::Inherited;
        let is_adopted = !facts.footer.coverage.select(is_inherited).is_empty()
            && (foreign.is_some() || self.staging.adoption()?.is_some());
        let stale = stale.filter(|stale| self.is_about_this(stale));
        let coverage = &facts.footer.coverage;
        let (mut inspection, gap_rules) = self.inspect(stale, coverage);
        let findings = self.staging.remarks()?.into_iter().chain(inspection.findings.drain(..));
        let findings = findings.chain(describe::kept_findings(stale).cloned());
        let findings = describe::without_repetitions(findings);
        let state = describe::state_without_clock(self.key.month, coverage);
        let mut sidecar = describe::sidecar(&facts, inspection, state);
        sidecar.findings = findings;
        sidecar.gap_rules = gap_rules;
        if let Some(foreign) = foreign {
            adopt::carry_on(self.key, foreign, facts.last, &mut sidecar);
            sidecar.locked = foreign.locked;
        }
        if let Some(stale) = stale {
            sidecar.duplicates_removed = stale.duplicates_removed;
            sidecar.coverage =
                describe::timed_coverage(&facts.footer.coverage, &stale.coverage, &[]);
            sidecar.source = stale.source.clone();
            sidecar.first_held = stale.first_held;
        }
        if self.access == Access::Owner {
            let path = self.sidecar.display();
            if is_adopted {
                tracing::info!(%path, "the file of another tool is taken over and gets its sidecar");
            } else {
                tracing::warn!(%path, "the sidecar was lost or stale and is rebuilt");
            }
            let unique = self.store.names.next();
            atomic::write_file(&self.sidecar, &unique, &sidecar.to_json())?;
            watermark::refresh(self.store, &self.key.series);
        }
        Ok(sidecar)
    }

    /// Looks for gaps by the rules of the sidecar that is lost or stale, and by the hours that
    /// earlier runs kept of the market.
    fn inspect(
        &self,
        stale: Option<&Sidecar>,
        coverage: &Coverage,
    ) -> (Inspection, Option<GapRules>) {
        if self.access == Access::Observer {
            return (Inspection::default(), None);
        }
        let rules = stale.and_then(|stale| stale.gap_rules.clone()).unwrap_or_default();
        let unknown = SilenceFacts {
            gap_threshold_secs: rules.threshold_secs,
            hours: rules.hours.or_else(|| self.hours_kept()),
            ..SilenceFacts::default()
        };
        let before = describe::confirmed_before(stale, &unknown);
        let known = describe::silence_known(stale, &before, &unknown, coverage);
        let mut inspection = self.store.inspector.inspect(self.key, &self.parquet, &known, None);
        describe::carry_classes(&mut inspection.gaps, &before);
        describe::note_asked(&mut inspection.gaps, stale, &known);
        (inspection, known.rules(self.key.month))
    }

    fn hours_kept(&self) -> Option<TradingHours> {
        let facts = self.store.load_facts().hours.remove(self.key.series.symbol.as_str())?;
        Some(facts.hours).filter(|hours| !hours.is_empty())
    }

    /// Tells whether the file that has the name cannot be trusted and waits to be replaced.
    pub(super) fn is_given_up(&self) -> Result<bool, StoreError> {
        self.staging.is_given_up(&self.parquet)
    }

    /// Gives up a damaged published file: stages its good days, keeps it in quarantine, and lets the
    /// good days take its name.
    ///
    /// After a crash in between the file is still there, and is saved again or replaced.
    pub(super) fn give_up<R: Record>(
        &self,
        kind: FindingKind,
        problem: &StoreError,
    ) -> Result<(), StoreError> {
        let sidecar = self.read_sidecar()?.filter(|sidecar| self.is_about_this(sidecar));
        self.give_up_knowing::<R>(kind, problem, sidecar.as_ref())
    }

    /// As [`give_up`](Self::give_up), but hears only this sidecar.
    pub(super) fn give_up_knowing<R: Record>(
        &self,
        kind: FindingKind,
        problem: &StoreError,
        sidecar: Option<&Sidecar>,
    ) -> Result<(), StoreError> {
        tracing::warn!(partition = %self.key, %problem, "a published file cannot be trusted");
        if self.access == Access::Observer {
            return Ok(());
        }
        let saved = self.salvaged::<R>(sidecar)?;
        // A pipe or a folder holds no row that could be kept, and no reader needs it.
        if fs::metadata(&self.parquet).is_ok_and(|found| !found.is_file()) {
            return self.set_aside(kind, problem, &saved.to_string());
        }
        let kept = keep::keep_published(self.store, self.key)?;
        self.note_set_aside(kind, problem, &kept, "it is kept as", &saved.to_string())?;
        self.staging.give_up(&file_sha256(&self.parquet)?)?;
        self.replace_given_up::<R>().map(drop)
    }

    /// Stages what is still proved of the published file, and what of it is lost.
    fn salvaged<R: Record>(&self, sidecar: Option<&Sidecar>) -> Result<Salvaged, StoreError> {
        let saved = salvage::salvage::<R>(&self.staging, self.key, &self.parquet, sidecar)?;
        self.staging.remember(describe::kept_findings(sidecar).cloned())?;
        Ok(saved)
    }

    /// Lets the staged good days of a file that was given up take its name; returns the sidecar they
    /// get. Where there are none, the file keeps its name, and nothing counts as published.
    fn replace_given_up<R: Record>(&self) -> Result<Option<Sidecar>, StoreError> {
        if self.access == Access::Observer {
            return Ok(None);
        }
        let Some(saved) = publish::publish_saved::<R>(self.store, self.key)? else {
            // Its sidecar would go on claiming what is lost. Both are kept in quarantine.
            if atomic::remove_if_there(&self.sidecar)? {
                watermark::refresh(self.store, &self.key.series);
            }
            return Ok(None);
        };
        let stale = self.read_sidecar()?;
        let file = PartitionFile::open(&self.parquet)?;
        let ends = file.verify_rows::<R>(&self.store.stop)?;
        let sidecar = self.rebuild(file, ends, stale.as_ref())?;
        self.staging.sweep_saved(&saved)?;
        Ok(Some(sidecar))
    }

    /// Saves what a file is proved to hold that has no business in this place, and moves it away:
    /// its rows are where they belong.
    pub(super) fn move_away<R: Record>(
        &self,
        kind: FindingKind,
        problem: &StoreError,
    ) -> Result<(), StoreError> {
        let sidecar = self.own_sidecar()?;
        let saved = self.salvaged::<R>(sidecar.as_ref())?;
        self.set_aside(kind, problem, &saved.to_string())
    }

    /// Moves file and sidecar to quarantine and remembers why for the next publish; `saved` says
    /// what was kept of it.
    pub(super) fn set_aside(
        &self,
        kind: FindingKind,
        problem: &StoreError,
        saved: &str,
    ) -> Result<(), StoreError> {
        tracing::warn!(partition = %self.key, %problem, "a published file cannot be trusted");
        if self.access == Access::Observer {
            return Ok(());
        }
        let places = self.quarantine_places()?;
        self.note_set_aside(kind, problem, &places[0], "it was set aside as", saved)?;
        // First: what this moves is not missing.
        watermark::forget(self.store, self.key);
        for (from, to) in [&self.sidecar, &self.parquet].into_iter().zip(places.iter().rev()) {
            if fs::symlink_metadata(from).is_ok() {
                atomic::move_aside(from, to)?;
            }
        }
        Ok(())
    }

    fn note_set_aside(
        &self,
        kind: FindingKind,
        problem: &StoreError,
        place: &Path,
        done: &str,
        saved: &str,
    ) -> Result<(), StoreError> {
        let found = format!("{problem}; {done} `{}`{saved}", place.display());
        let expected = "the rows and the coverage that were published";
        let finding = Finding::warning(kind, self.key, expected, found).in_partition(self.key);
        self.staging.remember([finding])
    }

    fn quarantine_places(&self) -> Result<[PathBuf; 2], StoreError> {
        let names = [file_name(&self.parquet), file_name(&self.sidecar)];
        let series = &self.key.series;
        let folder = Path::new(series.symbol.as_str()).join(series.kind.folder());
        let dir = self.store.quarantine_folder(&folder)?;
        let has_sidecar = fs::symlink_metadata(&self.sidecar).is_ok();
        super::free_pair(&dir, names.each_ref().map(String::as_str), has_sidecar)
    }

    /// Moves what has the name of the file to quarantine; the sidecar stays to tell what was held.
    pub(super) fn set_aside_file(
        &self,
        kind: FindingKind,
        problem: &StoreError,
    ) -> Result<(), StoreError> {
        let [place, _] = self.quarantine_places()?;
        self.note_set_aside(kind, problem, &place, "it was set aside as", "")?;
        atomic::move_aside(&self.parquet, &place)
    }

    /// No Parquet file: a sidecar without one describes nothing that is left. What it held was
    /// answered once, so it is lost and not unknown.
    pub(super) fn without_file<R: Record>(&self) -> Result<Option<Sidecar>, StoreError> {
        if fs::symlink_metadata(&self.sidecar).is_ok() {
            let problem = damaged(&self.sidecar, "describes a file that is not there");
            if self.access == Access::Owner {
                self.move_away::<R>(FindingKind::SidecarMismatch, &problem)?;
            }
        }
        if self.access == Access::Owner {
            self.staging.forget_intent()?;
        }
        Ok(None)
    }

    /// Tells whether the footer says the same of what was answered. Only of months that are still
    /// worked on: what is sealed is not looked at every night.
    fn footer_agrees(&self, sidecar: Option<&Sidecar>) -> bool {
        let Some(sidecar) = sidecar else { return true };
        if sidecar.state == Some(PartitionState::Sealed) {
            return true;
        }
        PartitionFile::open(&self.parquet).is_ok_and(|file| {
            file.footer.coverage == sidecar.coverage()
                && file.footer.record_count == sidecar.record_count
        })
    }

    fn fits(&self, sidecar: &Sidecar, file_size: u64) -> bool {
        self.is_about_this(sidecar) && sidecar.file_size == Some(file_size)
    }

    pub(super) fn is_about_this(&self, sidecar: &Sidecar) -> bool {
        let series = &self.key.series;
        let data_type = if series.kind.granularity().is_some() { "candles" } else { "ticks" };
        !sidecar.is_foreign()
            && sidecar.symbol == series.symbol
            && sidecar.data_type == data_type
            && sidecar.granularity == series.kind.granularity().map(u32::from)
            && sidecar.month == Some(self.key.month.to_string())
    }

    pub(super) fn read_sidecar(&self) -> Result<Option<Sidecar>, StoreError> {
        let Some(bytes) = read_sidecar(&self.sidecar)? else { return Ok(None) };
        let foreign = || Said::read(&bytes).map(|said| said.to_sidecar(self.key));
        let read = Sidecar::from_json(&bytes).ok().or_else(foreign);
        // Who cannot be understood and yet forbids to be modified is obeyed.
        let read = read.or_else(|| Said::locked(&bytes).map(|said| said.to_sidecar(self.key)));
        match read {
            None if newer_version(&bytes, FORMAT_VERSION).is_some() => Err(self.too_new()),
            read => Ok(read),
        }
    }

    fn file_size(&self) -> Result<Option<u64>, StoreError> {
        match fs::metadata(&self.parquet) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("look at", &self.parquet)(error)),
        }
    }

    /// Removes the unfinished files of dead runs for this month.
    fn sweep_drafts(&self) -> Result<(), StoreError> {
        if self.access == Access::Observer {
            return Ok(());
        }
        let ours = format!(".{}.", self.key.month);
        for path in list(&self.store.layout.series_dir(&self.key.series))? {
            let name = file_name(&path);
            let is_draft = name.starts_with(&ours) && name.ends_with(DRAFT_SUFFIX);
            if is_draft && !self.store.names.is_own(&name) {
                atomic::sweep_draft(&path)?;
            }
        }
        Ok(())
    }
}
