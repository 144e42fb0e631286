//! Takes over the partitions of another tool: good rows become ours as `inherited`, everything
//! else is named, and nothing is ever deleted.
//!
//! 1. the good rows are written into a draft beside the file, in order, without repetitions;
//! 2. what the new file does not carry on goes to quarantine, durably: rows that are left out as a
//!    small file that says why, a sidecar or a file that says more as it is, by a second name;
//! 3. what was found is noted in the staging;
//! 4. the draft takes the name of the file.
//!
//! From then on the file is one of ours whose sidecar is lost, which `recover` puts right. A crash
//! before the last step leaves the original where it was, and everything is done again with the
//! same result; a crash after it leaves what `recover` knows. The original can be read under its
//! name until the new file is.

mod foreign;
mod said;
mod sift;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{
    Coverage, CoverageState, Epoch, EpochRange, Finding, FindingKind, PartitionKey, PartitionState,
    Record, StoreError,
};
use crate::format::layout::{ROWS_SUFFIX, SET_ASIDE, is_rows_file};
use crate::format::schema::EPOCH;
use crate::format::{Footer, RowsDigests, Sidecar, SidecarCoverage, read_bounded};

use super::atomic::{self, Draft, Renamed};
use super::encode::Encoder;
use super::errors::{damaged, io_error};
use super::publish::check_written;
use super::read::{PartitionFile, Unusable, file_sha256};
use super::recover::Remains;
use super::staging::{Staging, file_name, read_sidecar};
use super::{Access, ParquetStore};

use foreign::{ForeignFile, Refusal};
use said::shown;
use sift::{Rules, Saved, Sifted, remark, sift};

pub(super) use said::Said;

/// What became of a partition of another tool, or what would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// What was done with it.
    pub fate: Fate,
    /// Rows in the file as the other tool left it; 0 if it could not be read.
    pub n_rows: u64,
    /// Rows taken over.
    pub n_kept: u64,
    /// Rows left out because they repeat another one to the last bit.
    pub n_repeated: u64,
    /// Rows left out for a reason that one of the findings names.
    pub n_set_aside: u64,
    /// Where what is not in the new file lies now: the rows that were left out, the sidecar, or the
    /// original.
    pub quarantined: Vec<PathBuf>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// What is done with a partition of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its good rows are ours now, as `inherited`.
    Adopted,
    /// It moved to quarantine as a whole: it cannot be read, or holds no good row.
    SetAside,
    /// Its sidecar says that it must not be modified.
    Locked,
}

/// Whether a partition is, or was a moment ago, one of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Nothing is to be taken over.
    Ours,
    Foreign,
    /// With so many rows, as its sidecar says.
    Locked(u64),
}

/// A partition of another tool.
pub(super) struct Foreign<'a> {
    store: &'a ParquetStore,
    key: &'a PartitionKey,
    parquet: PathBuf,
    sidecar: PathBuf,
    /// The bytes of the sidecar, if there is one.
    sidecar_bytes: Option<Vec<u8>>,
    said: Option<Said>,
    sha256: String,
}

/// A new file without a name, and what is to be told of the old one.
pub(super) struct Prepared {
    draft: Draft,
    /// The rows that are left out, as the file of them will say it.
    rows: Vec<u8>,
    pub(super) adoption: Adoption,
}

#[cfg(test)]
impl Prepared {
    /// Leaves the draft behind, as a process that dies does.
    pub(super) fn abandon(self) {
        self.draft.abandon();
    }
}

/// What reading the file told.
struct Judged {
    sifted: Sifted,
    findings: Vec<Finding>,
    /// Whether the file holds more than rows of a partition, or more rows than are written out.
    keeps_file: bool,
    /// Whether the sidecar says what the new one does not.
    keeps_sidecar: bool,
}

impl<'a> Foreign<'a> {
    /// Reads the sidecar and hashes the file.
    pub(super) fn open(store: &'a ParquetStore, key: &'a PartitionKey) -> Result<Self, StoreError> {
        let (parquet, sidecar) = (store.layout.parquet(key), store.layout.sidecar(key));
        let sidecar_bytes = read_sidecar(&sidecar)?;
        let said = sidecar_bytes.as_deref().and_then(Said::read);
        let sha256 = file_sha256(&parquet)?;
        Ok(Self { store, key, parquet, sidecar, sidecar_bytes, said, sha256 })
    }

    /// Takes the partition over, or sets it aside as a whole.
    pub(super) fn adopt<R: Record>(&self) -> Result<Adoption, Refused> {
        let prepared = self.prepare::<R>()?;
        self.keep_original(&prepared)?;
        self.note(&prepared.adoption)?;
        let adoption = prepared.adoption.clone();
        self.take_name(prepared)?.sync_dir()?;
        tracing::info!(partition = %self.key, rows = adoption.n_kept, "taken over");
        Ok(adoption)
    }

    /// Step 1.
    pub(super) fn prepare<R: Record>(&self) -> Result<Prepared, Refused> {
        let draft = Draft::create(&self.parquet, &self.store.names.next())?;
        let mut encoder = Encoder::new(&draft, self.store.file)?;
        let judged = self.judge::<R>(&mut |row| encoder.push(row))?;
        let facts = encoder.finish(|rows| self.footer(rows, &judged.sifted))?;
        draft.sync()?;
        check_written::<R>(&draft, &facts)?;
        let rows = rows_file::<R>(&judged.sifted.tally.lines);
        let adoption = self.adoption(judged, &rows)?;
        Ok(Prepared { draft, rows, adoption })
    }

    /// Step 2.
    pub(super) fn keep_original(&self, prepared: &Prepared) -> Result<(), StoreError> {
        let places = &prepared.adoption.quarantined;
        if places.is_empty() {
            return Ok(());
        }
        self.store.make_private_dirs()?;
        self.store.make_dir_inside(&self.quarantine())?;
        for to in places {
            let unique = self.store.names.next();
            let is_of = |suffix: &str| file_name(to).ends_with(&format!("{suffix}{SET_ASIDE}"));
            if is_rows_file(to) {
                atomic::write_file(to, &unique, &prepared.rows)?;
            } else {
                let from = if is_of(".parquet") { &self.parquet } else { &self.sidecar };
                atomic::keep(from, to, &unique)?;
            }
        }
        Ok(())
    }

    /// Step 3.
    pub(super) fn note(&self, adoption: &Adoption) -> Result<(), StoreError> {
        Staging::new(self.store, self.key).note_adoption(adoption)
    }

    /// Step 4.
    pub(super) fn take_name(&self, prepared: Prepared) -> Result<Renamed, StoreError> {
        if file_sha256(&self.parquet)? != self.sha256 {
            let problem = "changed while it was read; end the other tool and run this again";
            return Err(damaged(&self.parquet, problem));
        }
        prepared.draft.rename()
    }

    /// Tells what [`adopt`](Self::adopt) would do; changes nothing.
    pub(super) fn survey<R: Record>(&self) -> Result<Adoption, StoreError> {
        match self.judge::<R>(&mut |_| Ok(())) {
            Ok(judged) => {
                let rows = rows_file::<R>(&judged.sifted.tally.lines);
                self.adoption(judged, &rows)
            }
            Err(Refused::Untrusted { problem, findings, .. }) => {
                let [parquet, sidecar] = self.free_places()?;
                let kept_as = parquet.display().to_string();
                let finding = remark(
                    self.key,
                    FindingKind::ForeignRows,
                    "rows that can be taken over",
                    format!("a file that {problem}; it would be set aside as `{kept_as}`"),
                );
                let findings = findings.into_iter().chain([finding]).collect();
                Ok(self.set_aside(self.existing(parquet, sidecar), findings))
            }
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    /// What is to be noted before the file moves to quarantine as a whole.
    pub(super) fn note_set_aside(&self, findings: Vec<Finding>) -> Result<(), StoreError> {
        let [parquet, sidecar] = self.free_places()?;
        self.note(&self.set_aside(self.existing(parquet, sidecar), findings))
    }

    fn set_aside(&self, quarantined: Vec<PathBuf>, findings: Vec<Finding>) -> Adoption {
        Adoption {
            fate: Fate::SetAside,
            n_rows: 0,
            n_kept: 0,
            n_repeated: 0,
            n_set_aside: 0,
            quarantined,
            findings,
        }
    }

    /// Reads the file and hands the good rows to `sink`, in order.
    fn judge<R: Record>(
        &self,
        sink: &mut dyn FnMut(R) -> Result<(), StoreError>,
    ) -> Result<Judged, Refused> {
        let file = ForeignFile::<R>::open(&self.parquet)?;
        let saved = self.said.as_ref().and_then(Said::saved);
        let mut pass = |take: &mut sift::TakeRow<'_>| {
            let mut rows = file.rows()?;
            rows.for_each(take)?;
            Ok(rows.n_volumes)
        };
        let sifted = sift(Rules::new(self.key), saved, &mut pass, sink)?;
        let tally = &sifted.tally;
        if tally.n_rows != file.declared_rows() {
            let (found, said) = (tally.n_rows, file.declared_rows());
            let problem = format!("holds {found} rows, its metadata says {said}");
            return Err(Refused::untrusted(FindingKind::RecordCount, problem));
        }
        let mut findings = tally.findings(self.key);
        if tally.kept.n_rows == 0 {
            let problem = format!("holds no good row of {}", self.key.month);
            return Err(Refused::Untrusted { kind: FindingKind::ForeignRows, problem, findings });
        }
        let is_too_much = tally.n_set_aside() > tally.lines.len() as u64;
        let keeps_file = is_too_much || !file.extra.is_empty() || sifted.n_volumes > 0;
        findings.extend(self.not_in_file(&file.extra, &sifted));
        let not_in_sidecar = self.not_in_sidecar(&sifted);
        let keeps_sidecar = keeps_file || !not_in_sidecar.is_empty();
        findings.extend(not_in_sidecar);
        Ok(Judged { sifted, findings, keeps_file, keeps_sidecar })
    }

    /// What the new file does not hold any more, beside rows.
    fn not_in_file(&self, extra: &[String], sifted: &Sifted) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut note = |kind, expected: &str, found: String| {
            findings.push(remark(self.key, kind, expected, found));
        };
        if !extra.is_empty() {
            let names: Vec<_> = extra.iter().take(10).map(|name| shown(name)).collect();
            let found = format!("also {}, which are left out", names.join(", "));
            note(FindingKind::Schema, "the columns of a partition", found);
        }
        if sifted.n_volumes > 0 {
            let found = format!("{} rows with another one, left out", sifted.n_volumes);
            note(FindingKind::Schema, "a `volume` of 0.0", found);
        }
        findings
    }

    /// What the new sidecar does not say any more.
    fn not_in_sidecar(&self, sifted: &Sifted) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut note = |kind, expected: &str, found: String| {
            findings.push(remark(self.key, kind, expected, found));
        };
        match (&self.said, &self.sidecar_bytes) {
            (Some(said), _) => {
                let unknown = said.unknown_keys();
                if !unknown.is_empty() {
                    let names: Vec<_> = unknown.iter().take(10).map(|name| shown(name)).collect();
                    let found = format!("also {}, which are left out", names.join(", "));
                    note(FindingKind::SidecarMismatch, "the keys of a sidecar", found);
                }
                let n_rows = sifted.tally.n_rows;
                findings.extend(said.disagreements(self.key, &self.sha256, n_rows, sifted.ends));
            }
            (None, Some(bytes)) if Sidecar::from_json(bytes).is_err() => {
                let found = "one that cannot be read".to_owned();
                note(FindingKind::SidecarMismatch, "a readable sidecar", found);
            }
            (None, _) => {}
        }
        findings
    }

    fn adoption(&self, judged: Judged, rows: &[u8]) -> Result<Adoption, StoreError> {
        let Judged { sifted, mut findings, keeps_file, keeps_sidecar } = judged;
        let tally = &sifted.tally;
        let wanted = Wanted {
            file: keeps_file,
            sidecar: keeps_sidecar && self.sidecar_bytes.is_some(),
            rows: (!keeps_file && tally.n_set_aside() > 0).then_some(rows),
        };
        let quarantined = self.places(&wanted)?;
        if !quarantined.is_empty() {
            let shown: Vec<_> = quarantined.iter().map(|p| format!("`{}`", p.display())).collect();
            let what = match (keeps_file, wanted.rows) {
                (true, _) => "not all of it; the original is kept as",
                (false, Some(_)) => "all but the rows set aside, which are kept with the reason as",
                (false, None) => "all but what its sidecar said, which is kept as",
            };
            let expected = "every row and value carried on";
            let found = format!("{what} {}", shown.join(" and "));
            findings.push(remark(self.key, FindingKind::ForeignRows, expected, found));
        }
        Ok(Adoption {
            fate: Fate::Adopted,
            n_rows: tally.n_rows,
            n_kept: tally.kept.n_rows,
            n_repeated: tally.equal.n_rows,
            n_set_aside: tally.n_set_aside(),
            quarantined,
            findings,
        })
    }

    fn footer(&self, rows: RowsDigests, sifted: &Sifted) -> Footer {
        let unit = Rules::new(self.key).unit_secs();
        let inherited =
            sifted.tally.ends().and_then(|(first, last)| hull(self.key, first, last, unit));
        let mut coverage = Coverage::new();
        if let Some(range) = inherited {
            coverage.insert(range, CoverageState::Inherited);
        }
        Footer {
            key: self.key.clone(),
            pip_size: None,
            coverage,
            record_count: rows.record_count,
            rows_sha256: rows.rows_sha256,
            days: rows.days,
        }
    }

    /// Those of the two places whose originals are there.
    fn existing(&self, parquet: PathBuf, sidecar: PathBuf) -> Vec<PathBuf> {
        let sidecar = self.sidecar_bytes.is_some().then_some(sidecar);
        std::iter::once(parquet).chain(sidecar).collect()
    }

    fn quarantine(&self) -> PathBuf {
        let series = &self.key.series;
        let layout = &self.store.layout;
        layout.quarantine_dir().join(series.symbol.as_str()).join(series.kind.folder())
    }

    /// Where what is wanted is kept: where a run that was stopped has put it already, else the next
    /// free places.
    fn places(&self, wanted: &Wanted<'_>) -> Result<Vec<PathBuf>, StoreError> {
        let [parquet, sidecar] = self.names();
        let rows = format!("{}{ROWS_SUFFIX}", self.key.month);
        let is_absent = |place: &Path| fs::symlink_metadata(place).is_err();
        let is = |place: &Path, bytes: &[u8]| {
            read_bounded(place, "a kept file", bytes.len() as u64).is_ok_and(|kept| kept == bytes)
        };
        let is_bytes =
            |place: &Path, bytes: Option<&[u8]>| bytes.is_some_and(|bytes| is(place, bytes));
        for n in 1u32.. {
            let names = [parquet.as_str(), sidecar.as_str(), rows.as_str()];
            let [parquet, sidecar, rows] = super::numbered_places(&self.quarantine(), names, n);
            // One may be there and the next not yet.
            let fits = (is_absent(&parquet)
                || wanted.file && file_sha256(&parquet)? == self.sha256)
                && (is_absent(&sidecar)
                    || wanted.sidecar && is_bytes(&sidecar, self.sidecar_bytes.as_deref()))
                && (is_absent(&rows) || wanted.rows.is_some() && is_bytes(&rows, wanted.rows));
            if fits {
                let places = [
                    wanted.file.then_some(parquet),
                    wanted.rows.map(|_| rows),
                    wanted.sidecar.then_some(sidecar),
                ];
                return Ok(places.into_iter().flatten().collect());
            }
        }
        Err(damaged(&self.quarantine(), "is full"))
    }

    fn free_places(&self) -> Result<[PathBuf; 2], StoreError> {
        let names = self.names();
        let names = names.each_ref().map(String::as_str);
        super::free_pair(&self.quarantine(), names, self.sidecar_bytes.is_some())
    }

    fn names(&self) -> [String; 2] {
        [file_name(&self.parquet), file_name(&self.sidecar)]
    }
}

/// What of an original is kept in quarantine.
struct Wanted<'a> {
    file: bool,
    sidecar: bool,
    /// The rows that are left out.
    rows: Option<&'a [u8]>,
}

/// Rows that are left out, with the reason of each, for people and for scripts.
fn rows_file<R: Record>(lines: &[String]) -> Vec<u8> {
    let columns: String = R::COLUMNS.iter().map(|name| format!(",{name}")).collect();
    let mut text = format!("reason,{EPOCH}{columns}\n");
    lines.iter().for_each(|line| {
        text.push_str(line);
        text.push('\n');
    });
    text.into_bytes()
}

/// Why a partition was not taken over.
#[derive(Debug)]
pub(super) enum Refused {
    /// It cannot be trusted as a whole; `problem` is read after its name.
    Untrusted { kind: FindingKind, problem: String, findings: Vec<Finding> },
    /// The disk refused.
    Failed(StoreError),
}

impl Refused {
    fn untrusted(kind: FindingKind, problem: String) -> Self {
        Self::Untrusted { kind, problem, findings: Vec::new() }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Untrusted(kind, problem) => Self::untrusted(kind, problem),
            Refusal::Failed(error) => Self::Failed(error),
        }
    }
}

/// From the first row to the end of the last, inside the month.
fn hull(key: &PartitionKey, first: Epoch, last: Epoch, unit_secs: i64) -> Option<EpochRange> {
    EpochRange::new(first, last.plus(unit_secs))?.intersect(key.month.range())
}

/// What can be said of a partition of another tool without reading its rows: as much as its
/// sidecar says, if that agrees with the file. Changes nothing.
pub(super) fn glimpse<R: Record>(
    key: &PartitionKey,
    parquet: &Path,
    sidecar: Option<&Sidecar>,
) -> Result<Option<Sidecar>, StoreError> {
    let n_rows = match ForeignFile::<R>::open(parquet) {
        Ok(file) => file.declared_rows(),
        Err(Refusal::Failed(error @ StoreError::Undecodable { .. })) => return Err(error),
        Err(_) => 0,
    };
    if n_rows == 0 {
        return Ok(None);
    }
    let mut glimpsed = sidecar
        .filter(|sidecar| sidecar.is_foreign())
        .cloned()
        .unwrap_or_else(|| Said::default().to_sidecar(key));
    let is_said = glimpsed.record_count == n_rows;
    let (first, last) = (Epoch::new(glimpsed.start_epoch), Epoch::new(glimpsed.end_epoch));
    let unit = Rules::new(key).unit_secs();
    if let Some(range) = hull(key, first, last, unit).filter(|_| is_said) {
        glimpsed.coverage.push(SidecarCoverage {
            start: range.start(),
            end: range.end(),
            state: CoverageState::Inherited,
            asked_first: None,
            asked_last: None,
        });
    }
    glimpsed.record_count = n_rows;
    Ok(Some(glimpsed))
}

/// Lets the sidecar of a file that was taken over say what only the old one knew. A time that the
/// rows contradict is dropped.
pub(super) fn carry_on(
    key: &PartitionKey,
    foreign: &Sidecar,
    last: Option<Epoch>,
    sidecar: &mut Sidecar,
) {
    let end = key.month.range().end();
    let saved = foreign.created_at.as_deref().and_then(Saved::parse).map(Saved::moment);
    let saved = saved.filter(|saved| last.is_none_or(|last| *saved >= last));
    let is_over = sidecar.state != Some(PartitionState::Open);
    match saved {
        Some(saved) if saved > end => sidecar.state = Some(PartitionState::Settling),
        // The last second is there, so the month was over.
        Some(saved) if saved < end && is_over => return carry_counts(foreign, None, sidecar),
        _ => {}
    }
    carry_counts(foreign, saved, sidecar);
}

fn carry_counts(foreign: &Sidecar, saved: Option<Epoch>, sidecar: &mut Sidecar) {
    sidecar.created_at = saved.map(Epoch::to_iso_with_offset);
    sidecar.download_duration_seconds = foreign.download_duration_seconds;
    sidecar.duplicates_removed = foreign.duplicates_removed;
}

/// See [`ParquetStore::adopt`].
pub(super) fn adopt<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
) -> Result<Option<Adoption>, StoreError> {
    match origin(store, key)? {
        Origin::Ours => return Ok(None),
        Origin::Locked(n_rows) => return Ok(Some(locked(n_rows))),
        Origin::Foreign => {}
    }
    let sidecar = Remains::new(store, key, Access::Owner).settle::<R>()?;
    let staging = Staging::new(store, key);
    let mut adoption =
        staging.adoption()?.unwrap_or_else(|| Adoption { fate: Fate::SetAside, ..locked(0) });
    adoption.findings = staging.remarks()?;
    if let Some(sidecar) = sidecar {
        adoption.fate = Fate::Adopted;
        adoption.n_kept = sidecar.record_count;
        // The sidecar holds them now. Of a partition that is gone the next download tells.
        staging.sweep(&[])?;
    }
    Ok(Some(adoption))
}

/// See [`ParquetStore::survey`].
pub(super) fn survey<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
) -> Result<Option<Adoption>, StoreError> {
    match origin(store, key)? {
        Origin::Ours => Ok(None),
        Origin::Locked(n_rows) => Ok(Some(locked(n_rows))),
        Origin::Foreign => Foreign::open(store, key)?.survey::<R>().map(Some),
    }
}

/// See [`ParquetStore::is_foreign`].
pub(super) fn is_foreign(store: &ParquetStore, key: &PartitionKey) -> Result<bool, StoreError> {
    origin(store, key).map(|origin| origin != Origin::Ours)
}

fn locked(n_rows: u64) -> Adoption {
    Adoption {
        fate: Fate::Locked,
        n_rows,
        n_kept: 0,
        n_repeated: 0,
        n_set_aside: 0,
        quarantined: Vec::new(),
        findings: Vec::new(),
    }
}

/// Whose a partition is, from its sidecar if that is ours and fits, else from the file.
fn origin(store: &ParquetStore, key: &PartitionKey) -> Result<Origin, StoreError> {
    let (parquet, sidecar) = (store.layout.parquet(key), store.layout.sidecar(key));
    for path in [&parquet, &sidecar] {
        atomic::confine(store.layout.root(), path)?;
    }
    let Some(file_size) = size_of(&parquet)? else { return Ok(Origin::Ours) };
    if Staging::new(store, key).is_given_up(&parquet)? {
        return Ok(Origin::Ours);
    }
    let bytes = read_sidecar(&sidecar)?;
    if let Some(said) = bytes.as_deref().and_then(Said::read) {
        let is_locked = said.is_locked();
        let n_rows = said.to_sidecar(key).record_count;
        return Ok(if is_locked { Origin::Locked(n_rows) } else { Origin::Foreign });
    }
    let ours = bytes.as_deref().and_then(|bytes| Sidecar::from_json(bytes).ok());
    if ours.is_some_and(|ours| ours.locked || ours.file_size == Some(file_size)) {
        return Ok(Origin::Ours);
    }
    let is_inherited = |state| state == CoverageState::Inherited;
    match PartitionFile::open(&parquet) {
        Err(Unusable::Foreign(_)) => Ok(Origin::Foreign),
        // A publish that was stopped before its sidecar was there.
        Ok(file) if !file.footer.coverage.select(is_inherited).is_empty() => Ok(Origin::Foreign),
        // No footer of anybody: without a sidecar of ours it is as foreign as it is broken.
        Err(Unusable::Broken(_)) if bytes.is_none() => Ok(Origin::Foreign),
        Ok(_) | Err(Unusable::Broken(_)) => Ok(Origin::Ours),
        Err(Unusable::Undecodable(error) | Unusable::Unknown(error)) => Err(error),
    }
}

/// The size of a file, if there is one.
fn size_of(path: &Path) -> Result<Option<u64>, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("look at", path)(error)),
    }
}
