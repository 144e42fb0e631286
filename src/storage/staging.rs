//! The folder of answers that are not published yet: segments, the intent of a publish that is
//! under way, and remarks for the next publish.
//!
//! Of what lies here, no row is published before the whole that it is part of was proved. What
//! fails is moved to quarantine and becomes a finding of the next publish; it is never deleted and
//! never silent, and seconds that it had an answer for are lost, not unknown.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{
    CoverageState, EpochRange, Finding, FindingKind, PartitionKey, Record, Segment, SegmentNotes,
    StoreError,
};

use crate::format::{SIDECAR_BYTES, SMALL_FILE_BYTES, Unread, read_beginning, read_bounded};

use super::adopt::Adoption;
use super::atomic::{self, DRAFT_SUFFIX, Draft};
use super::errors::{damaged, io_error, unread};
use super::read::file_sha256;
use super::segment::{self, Origin, Refused, StagedSegment};
use super::{Access, ParquetStore};

const SEGMENT_SUFFIX: &str = ".segment";
const INTENT: &str = "publish.intent";
const REMARKS: &str = "remarks";
const ADOPTION: &str = "adoption";
const GIVEN_UP: &str = "given-up";
/// Findings that wait at most; runs that never end must not fill the disk.
const MAX_REMARKS: usize = 1000;

/// What a publish is about to do, written before the Parquet file takes its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    /// SHA-256 of the file that is to be replaced, if there is one.
    pub(super) old_sha256: Option<String>,
    /// SHA-256 of the file that replaces it.
    pub(super) new_sha256: String,
    /// Name under which the new file waits.
    pub(super) draft: String,
    /// Names of the segments whose rows are in the new file.
    pub(super) segments: Vec<String>,
    /// What is to be told if rows of the old file are replaced by newer prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted: Option<Finding>,
    /// What is to be told of rows of another tool that the source's answers replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replaced: Vec<Finding>,
}

/// A published file that cannot be trusted. It keeps its name until something takes its place: what
/// it proved is staged, and it is kept in quarantine as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct GivenUp {
    /// Of the whole file: another one under the same name is none of it.
    sha256: String,
}

/// The staging folder of one partition.
pub(super) struct Staging<'a> {
    store: &'a ParquetStore,
    key: &'a PartitionKey,
    dir: PathBuf,
}

impl<'a> Staging<'a> {
    /// Names the folder; it need not exist.
    pub(super) fn new(store: &'a ParquetStore, key: &'a PartitionKey) -> Self {
        Self { store, key, dir: store.layout.staging_dir(key) }
    }

    /// Keeps a segment durably.
    pub(super) fn add<R: Record>(
        &self,
        segment: &Segment<R>,
        origin: Origin,
    ) -> Result<(), StoreError> {
        self.check_offered(segment)?;
        self.make()?;
        let unique = self.store.names.next();
        let draft = Draft::create(&self.free_place(segment.range, &unique), &unique)?;
        segment::write(&draft, self.key, segment, origin)?;
        draft.sync()?;
        draft.rename()?.sync_dir()
    }

    /// Every whole segment, sorted by what is inside; what is not whole is set aside.
    pub(super) fn scan<R: Record>(&self, access: Access) -> Result<Vec<StagedSegment>, StoreError> {
        self.gather::<R>(access, segment::check::<R>)
    }

    /// Every segment by its header, for whoever is about to merge, and so to prove, their rows.
    pub(super) fn heads<R: Record>(
        &self,
        access: Access,
    ) -> Result<Vec<StagedSegment>, StoreError> {
        self.gather::<R>(access, segment::look::<R>)
    }

    fn gather<R: Record>(
        &self,
        access: Access,
        check: impl Fn(&Path, &PartitionKey) -> Result<StagedSegment, Refused>,
    ) -> Result<Vec<StagedSegment>, StoreError> {
        match self.pass::<R>(access, &check)? {
            (segments, false) => Ok(segments),
            // What took the place of those that are gone is among them now.
            (_, true) => Ok(self.pass::<R>(access, &check)?.0),
        }
    }

    /// Looks at everything once; tells whether it noted anything as lost.
    fn pass<R: Record>(
        &self,
        access: Access,
        check: impl Fn(&Path, &PartitionKey) -> Result<StagedSegment, Refused>,
    ) -> Result<(Vec<StagedSegment>, bool), StoreError> {
        atomic::confine(self.store.layout.root(), &self.dir)?;
        let (mut segments, mut has_lost) = (Vec::new(), false);
        for path in self.entries()? {
            self.store.stop.check()?;
            let name = file_name(&path);
            if [INTENT, REMARKS, ADOPTION, GIVEN_UP].contains(&name.as_str()) {
                continue;
            }
            if name.ends_with(DRAFT_SUFFIX) {
                self.sweep_draft(&path, access)?;
                continue;
            }
            let checked = if name.ends_with(SEGMENT_SUFFIX) {
                check(&path, self.key)
            } else {
                Err(Refused::Damaged("is nothing that belongs there".into()))
            };
            match checked {
                Ok(segment) => segments.push(segment),
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Newer(problem)) => {
                    let what = "a staged file is left to the version that wrote it, and its seconds \
                                are asked again";
                    tracing::warn!(path = %path.display(), problem, "{what}");
                }
                Err(Refused::Damaged(problem)) => self.set_aside(&path, &problem, access)?,
                Err(Refused::Rotten(segment, problem)) => {
                    self.lose::<R>(&segment, access)?;
                    self.set_aside(&path, &problem, access)?;
                    has_lost |= access == Access::Owner;
                }
            }
        }
        segments.sort_by_cached_key(StagedSegment::order);
        Ok((segments, has_lost))
    }

    /// The intent of a publish that did not end, if there is one that can be read.
    pub(super) fn intent(&self, access: Access) -> Result<Option<Intent>, StoreError> {
        let path = self.dir.join(INTENT);
        let Some(bytes) = read_if_any(&path)? else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(intent) => Ok(Some(intent)),
            Err(_) => {
                self.set_aside(&path, "cannot be read as the intent of a publish", access)?;
                Ok(None)
            }
        }
    }

    /// Writes down what is about to happen, durably.
    pub(super) fn announce(&self, intent: &Intent) -> Result<(), StoreError> {
        self.make()?;
        self.write(INTENT, intent)
    }

    /// Forgets the intent: what it announced is done or will never happen.
    pub(super) fn forget_intent(&self) -> Result<(), StoreError> {
        atomic::remove_if_any(&self.dir.join(INTENT))
    }

    /// Notes durably that the published file is given up.
    pub(super) fn give_up(&self, sha256: &str) -> Result<(), StoreError> {
        self.make()?;
        self.write(GIVEN_UP, &GivenUp { sha256: sha256.to_owned() })
    }

    /// Tells whether the file at `parquet` is the one that was given up. While none is, this costs
    /// one look for a file.
    pub(super) fn is_given_up(&self, parquet: &Path) -> Result<bool, StoreError> {
        let bytes = read_if_any(&self.dir.join(GIVEN_UP))?;
        // A note that cannot be read says nothing: the file is then judged once more.
        let noted = bytes.and_then(|bytes| serde_json::from_slice::<GivenUp>(&bytes).ok());
        let Some(noted) = noted.filter(|_| parquet.is_file()) else { return Ok(false) };
        Ok(file_sha256(parquet)? == noted.sha256)
    }

    /// Findings that wait for the next publish.
    pub(super) fn remarks(&self) -> Result<Vec<Finding>, StoreError> {
        let adoption = self.adoption()?.map(|adoption| adoption.findings);
        Ok(adoption.into_iter().flatten().chain(self.own_remarks()?).collect())
    }

    fn own_remarks(&self) -> Result<Vec<Finding>, StoreError> {
        let bytes = read_if_any(&self.dir.join(REMARKS))?;
        // Remarks that cannot be read name nothing any more; the quarantine still shows the files.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// What was noted when the partition was taken over from another tool.
    pub(super) fn adoption(&self) -> Result<Option<Adoption>, StoreError> {
        let bytes = read_if_any(&self.dir.join(ADOPTION))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps what is to be told of a partition of another tool, before it is touched.
    pub(super) fn note_adoption(&self, adoption: &Adoption) -> Result<(), StoreError> {
        self.make()?;
        self.write(ADOPTION, adoption)
    }

    /// Keeps findings for the next publish, whichever run makes it.
    pub(super) fn remember(
        &self,
        findings: impl IntoIterator<Item = Finding>,
    ) -> Result<(), StoreError> {
        let known = self.own_remarks()?;
        let mut remarks = known.clone();
        for finding in findings {
            if !remarks.contains(&finding) && remarks.len() < MAX_REMARKS {
                remarks.push(finding);
            }
        }
        if remarks == known {
            return Ok(());
        }
        self.make()?;
        self.write(REMARKS, &remarks)
    }

    /// Removes what a finished publish has no more need of.
    pub(super) fn sweep(&self, segments: &[String]) -> Result<(), StoreError> {
        let names = segments.iter().map(String::as_str);
        self.remove(names.chain([REMARKS, ADOPTION, GIVEN_UP]))
    }

    /// Removes the segments whose rows replaced a file that was given up. What is lost of it, and
    /// what is to be told, waits for the next publish.
    pub(super) fn sweep_saved(&self, segments: &[String]) -> Result<(), StoreError> {
        self.remove(segments.iter().map(String::as_str).chain([GIVEN_UP]))
    }

    /// Removes what was to be told, for it was; nothing was published.
    pub(super) fn sweep_told(&self) -> Result<(), StoreError> {
        self.remove([REMARKS, ADOPTION])
    }

    /// Removes files, and the intent last: as long as it is there, an interrupted sweep is taken up
    /// again.
    fn remove<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<(), StoreError> {
        if !self.dir.is_dir() {
            return Ok(());
        }
        for name in names {
            atomic::remove_if_any(&self.dir.join(name))?;
        }
        atomic::sync_dir(&self.dir)?;
        self.forget_intent()?;
        atomic::remove_dir_if_empty(&self.dir);
        Ok(())
    }

    /// Notes that the seconds of a segment were answered once, with what it told beside its rows.
    /// Before it is moved: after a crash in between it is lost again, which is the same.
    fn lose<R: Record>(&self, rotten: &StagedSegment, access: Access) -> Result<(), StoreError> {
        if access == Access::Observer {
            return Ok(());
        }
        let header = &rotten.header;
        let findings = header.findings.clone();
        let segment = Segment::<R> {
            range: rotten.range,
            asked: (header.asked_first, header.asked_last),
            pip_size: header.pip_size,
            n_duplicates: 0,
            pieces: Vec::new(),
            notes: SegmentNotes { findings, ..SegmentNotes::default() },
        };
        self.add(&segment, Origin::Salvaged(CoverageState::Failed))
    }

    fn check_offered<R: Record>(&self, segment: &Segment<R>) -> Result<(), StoreError> {
        let refuse = |problem: &str| Err(damaged(&self.dir, format!("was offered {problem}")));
        if !self.key.month.range().covers(segment.range) {
            return refuse(&format!("the range {} outside its month", segment.range));
        }
        let mut last = None;
        for rows in segment.pieces.iter().filter(|rows| !rows.is_empty()) {
            let ends = (rows[0].epoch(), rows[rows.len() - 1].epoch());
            let follows = last.is_none_or(|last| last < ends.0);
            if !follows || !rows.is_sorted_by(|a, b| a.epoch() < b.epoch()) {
                return refuse("rows that do not ascend");
            }
            if !segment.range.contains(ends.0) || !segment.range.contains(ends.1) {
                return refuse("rows outside the range they are said to be of");
            }
            last = Some(ends.1);
        }
        Ok(())
    }

    fn free_place(&self, range: EpochRange, unique: &str) -> PathBuf {
        let (start, end) = (range.start().secs(), range.end().secs());
        let mut place = self.dir.join(format!("{start}-{end}-{unique}{SEGMENT_SUFFIX}"));
        while place.exists() {
            let another = self.store.names.next();
            place.set_file_name(format!("{start}-{end}-{another}{SEGMENT_SUFFIX}"));
        }
        place
    }

    fn entries(&self) -> Result<Vec<PathBuf>, StoreError> {
        list(&self.dir)
    }

    fn make(&self) -> Result<(), StoreError> {
        self.store.make_private_dirs()?;
        self.store.make_dir_inside(&self.dir)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).expect("plain values always become JSON");
        atomic::write_file(&self.dir.join(name), &self.store.names.next(), &bytes)
    }

    /// Removes a draft nobody works on any more; half a segment proves nothing.
    fn sweep_draft(&self, path: &Path, access: Access) -> Result<(), StoreError> {
        if access == Access::Owner && !self.store.names.is_own(&file_name(path)) {
            return atomic::sweep_draft(path);
        }
        Ok(())
    }

    /// Moves what cannot be used to quarantine; the next publish tells.
    fn set_aside(&self, path: &Path, problem: &str, access: Access) -> Result<(), StoreError> {
        tracing::warn!(path = %path.display(), problem, "a staged file is not used");
        if access == Access::Observer {
            return Ok(());
        }
        let key = self.key;
        let folder = Path::new("staging")
            .join(key.series.symbol.as_str())
            .join(key.series.kind.folder())
            .join(key.month.to_string());
        let [target] = self.store.quarantine_places(&folder, [&file_name(path)])?;
        let found = format!("one that {problem}; it was set aside as `{}`", target.display());
        let (kind, expected) = (FindingKind::StagingSetAside, "a whole segment of this partition");
        let finding = Finding::warning(kind, path.display(), expected, found);
        self.remember([finding.in_partition(key)])?;
        atomic::move_aside(path, &target)
    }
}

/// The files in `dir`, sorted by name; none if it does not exist.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| io_error("list", dir)(error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// The last part of a path as text.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The content of a small file, or `None` if there is no such file. Of one that is longer than any
/// of ours nothing is read: it then says nothing, as one without content.
pub(super) fn read_if_any(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match read_bounded(path, "a file of ours", SMALL_FILE_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error @ Unread::TooLong { .. }) => {
            tracing::warn!(path = %path.display(), %error, "the file is not used");
            Ok(Some(Vec::new()))
        }
        Err(error) => Err(unread(path, error)),
    }
}

/// The content of a sidecar, or `None` if there is none. Of one that is longer than any only the
/// beginning is read, which may still say that the partition is locked, and made no JSON.
pub(super) fn read_sidecar(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    /// The keys of the Python tool come first, and `locked` is one of them.
    const BEGINNING_BYTES: u64 = 64 << 10;
    match read_bounded(path, "a sidecar", SIDECAR_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error @ Unread::TooLong { .. }) => {
            tracing::warn!(path = %path.display(), %error, "the sidecar is not used");
            let beginning = read_beginning(path, BEGINNING_BYTES);
            let mut bytes = beginning.map_err(|error| unread(path, error))?;
            bytes.push(0);
            Ok(Some(bytes))
        }
        Err(error) => Err(unread(path, error)),
    }
}
