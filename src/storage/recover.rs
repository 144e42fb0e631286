//! What a crash or a foreign hand left behind, and what is known of a partition after it.
//!
//! File times say nothing here. A file whose rows hash to its own footer is good, and gets its
//! sidecar rebuilt if that is lost or stale; one that does not goes to quarantine. A file of
//! another tool is never touched. While everything is up to date this costs one small read and
//! one look at a file size.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::domain::{
    Epoch, EpochRange, Finding, FindingKind, GapClass, Inspection, Month, PartitionKey, Record,
    Series, SilenceFacts, StoreError, StoredPartition,
};
use crate::format::{FORMAT_VERSION, Layout, Sidecar};

use super::atomic::{self, DRAFT_SUFFIX};
use super::encode::FileFacts;
use super::errors::{damaged, io_error};
use super::read::{PartitionFile, Unusable, file_sha256};
use super::staging::{Intent, Staging, file_name, list, read_if_any, remove_if_any};
use super::{Access, ParquetStore, describe, watermark};

/// Tells what is published and staged, after putting right what can be.
pub(super) fn load<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
    access: Access,
) -> Result<StoredPartition, StoreError> {
    let sidecar = Remains::new(store, key, access).settle::<R>()?;
    let segments = Staging::new(store, key).scan::<R>(access)?;
    let staged_pip_size = segments.iter().filter_map(|segment| segment.header.pip_size).max();
    let mut stored = StoredPartition {
        staged: segments.iter().map(|segment| segment.range).collect(),
        pip_size: staged_pip_size,
        ..StoredPartition::default()
    };
    if let Some(sidecar) = sidecar {
        let unexplained = sidecar.gaps.iter().filter(|gap| gap.class == GapClass::Unexplained);
        stored.published = sidecar.coverage().clipped(key.month.range());
        stored.record_count = sidecar.record_count;
        stored.last_row = (sidecar.record_count > 0).then(|| Epoch::new(sidecar.end_epoch));
        stored.state = sidecar.state;
        stored.locked = sidecar.locked;
        stored.unexplained =
            unexplained.filter_map(|gap| EpochRange::new(gap.start, gap.end)).collect();
        stored.pip_size = staged_pip_size.max(sidecar.pip_size);
    }
    Ok(stored)
}

/// The months that have a Parquet file, ascending; whose they are is looked at when they are loaded.
pub(super) fn published_months(layout: &Layout, series: &Series) -> Result<Vec<Month>, StoreError> {
    let dir = layout.series_dir(series);
    let mut months: Vec<Month> = list(&dir)?
        .iter()
        .filter_map(|path| Layout::key_of(path.strip_prefix(layout.root()).ok()?))
        .map(|key| key.month)
        .collect();
    months.sort_unstable();
    Ok(months)
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

    /// Brings file and sidecar to agree and returns what the sidecar then says; `None` if nothing
    /// is published. A locked partition is returned as it is, whoever wrote it.
    pub(super) fn settle<R: Record>(&self) -> Result<Option<Sidecar>, StoreError> {
        atomic::confine(self.store.layout.root(), &self.parquet)?;
        atomic::confine(self.store.layout.root(), &self.sidecar)?;
        self.sweep_drafts()?;
        let sidecar = self.read_sidecar()?;
        if sidecar.as_ref().is_some_and(|sidecar| sidecar.locked) {
            return Ok(sidecar);
        }
        if sidecar.as_ref().and_then(|s| s.format_version).is_some_and(|v| v > FORMAT_VERSION) {
            return Err(damaged(&self.sidecar, "was written by a newer version of this program"));
        }
        let intent = self.staging.intent(self.access)?;
        let Some(file_size) = self.file_size()? else { return self.without_file() };
        let sidecar_fits = sidecar.as_ref().is_some_and(|sidecar| self.fits(sidecar, file_size));
        match intent {
            Some(intent) => self.finish::<R>(&intent, sidecar, sidecar_fits),
            None if sidecar_fits => Ok(sidecar),
            None => self.examine::<R>(sidecar.as_ref()),
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
        let is_described = sidecar_fits
            && sidecar.as_ref().is_some_and(|sidecar| sidecar.sha256.as_ref() == Some(&sha256));
        if is_described && sha256 == intent.new_sha256 {
            // Only the sweep was missing.
            if self.access == Access::Owner {
                self.staging.sweep(&intent.segments)?;
            }
            return Ok(sidecar);
        }
        let settled = if is_described { sidecar } else { self.examine::<R>(sidecar.as_ref())? };
        // The segments stay: merged again they give the same rows and the same file.
        if self.access == Access::Owner {
            self.staging.forget_intent()?;
        }
        Ok(settled)
    }

    /// Judges a Parquet file by itself.
    fn examine<R: Record>(&self, stale: Option<&Sidecar>) -> Result<Option<Sidecar>, StoreError> {
        let file = match PartitionFile::open(&self.parquet) {
            Ok(file) => file,
            Err(Unusable::NotOurs(error) | Unusable::Unknown(error)) => return Err(error),
            // The sidecar says that another tool wrote the file.
            Err(Unusable::Broken(error)) if stale.is_some_and(Sidecar::is_foreign) => {
                return Err(error);
            }
            Err(Unusable::Broken(error)) => {
                self.set_aside(FindingKind::Unreadable, &error)?;
                return Ok(None);
            }
        };
        if file.footer.key != *self.key {
            let problem = format!("is the file of {} by its footer", file.footer.key);
            self.set_aside(FindingKind::FooterMismatch, &damaged(&self.parquet, problem))?;
            return Ok(None);
        }
        match file.verify_rows::<R>() {
            Ok(ends) => self.rebuild(file, ends, stale).map(Some),
            Err(error @ StoreError::Damaged { .. }) => {
                // A later version may keep the days whose own hash still holds.
                self.set_aside(FindingKind::RowsHash, &error)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the sidecar anew from the file, and from the old one what no file can tell: when
    /// ranges were asked, duplicates, gaps that were confirmed, findings of merges.
    fn rebuild(
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
        let stale = stale.filter(|stale| self.is_about_this(stale));
        let mut inspection = self.inspect(stale);
        let findings = inspection.findings.drain(..).chain(describe::kept_findings(stale).cloned());
        let findings = describe::without_repetitions(findings);
        let state = describe::state_without_clock(self.key.month, &facts.footer.coverage);
        let mut sidecar = describe::sidecar(&facts, inspection, state);
        sidecar.findings = findings;
        if let Some(stale) = stale {
            sidecar.duplicates_removed = stale.duplicates_removed;
            sidecar.coverage =
                describe::timed_coverage(&facts.footer.coverage, &stale.coverage, &[]);
            sidecar.source = stale.source.clone();
        }
        if self.access == Access::Owner {
            tracing::warn!(path = %self.sidecar.display(), "the sidecar was lost or stale and is rebuilt");
            let unique = self.store.names.next();
            atomic::write_file(&self.sidecar, &unique, &sidecar.to_json())?;
            watermark::refresh(self.store, &self.key.series);
        }
        Ok(sidecar)
    }

    fn inspect(&self, stale: Option<&Sidecar>) -> Inspection {
        if self.access == Access::Observer {
            return Inspection::default();
        }
        let unknown = SilenceFacts::default();
        let before = describe::confirmed_before(stale, &unknown);
        let known = describe::silence_known(stale, &before, &unknown);
        let mut inspection = self.store.inspector.inspect(self.key, &self.parquet, &known);
        describe::carry_classes(&mut inspection.gaps, &before);
        inspection
    }

    /// Moves file and sidecar to quarantine and remembers why for the next publish.
    pub(super) fn set_aside(
        &self,
        kind: FindingKind,
        problem: &StoreError,
    ) -> Result<(), StoreError> {
        tracing::warn!(partition = %self.key, %problem, "a published file cannot be trusted");
        if self.access == Access::Observer {
            return Ok(());
        }
        let names = [file_name(&self.parquet), file_name(&self.sidecar)];
        let series = &self.key.series;
        let folder = Path::new(series.symbol.as_str()).join(series.kind.folder());
        let places =
            self.store.quarantine_places(&folder, [names[0].as_str(), names[1].as_str()])?;
        let kept_as = places[0].display();
        let finding = Finding::warning(
            kind,
            self.key,
            "the rows and the coverage that were published",
            format!("{problem}; it was set aside as `{kept_as}` and its rows are asked again"),
        );
        self.staging.remember(finding)?;
        for (from, to) in [&self.sidecar, &self.parquet].into_iter().zip(places.iter().rev()) {
            if fs::symlink_metadata(from).is_ok() {
                atomic::move_aside(from, to)?;
            }
        }
        watermark::refresh(self.store, series);
        Ok(())
    }

    /// No Parquet file: a sidecar without one describes nothing.
    fn without_file(&self) -> Result<Option<Sidecar>, StoreError> {
        if fs::symlink_metadata(&self.sidecar).is_ok() {
            let problem = damaged(&self.sidecar, "describes a file that is not there");
            self.set_aside(FindingKind::SidecarMismatch, &problem)?;
        }
        if self.access == Access::Owner {
            self.staging.forget_intent()?;
        }
        Ok(None)
    }

    fn fits(&self, sidecar: &Sidecar, file_size: u64) -> bool {
        self.is_about_this(sidecar) && sidecar.file_size == Some(file_size)
    }

    fn is_about_this(&self, sidecar: &Sidecar) -> bool {
        let series = &self.key.series;
        let data_type = if series.kind.granularity().is_some() { "candles" } else { "ticks" };
        !sidecar.is_foreign()
            && sidecar.symbol == series.symbol
            && sidecar.data_type == data_type
            && sidecar.granularity == series.kind.granularity().map(u32::from)
            && sidecar.month == Some(self.key.month.to_string())
    }

    fn read_sidecar(&self) -> Result<Option<Sidecar>, StoreError> {
        let Some(bytes) = read_if_any(&self.sidecar)? else { return Ok(None) };
        Ok(Sidecar::from_json(&bytes).ok())
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
                remove_if_any(&path)?;
            }
        }
        Ok(())
    }
}
