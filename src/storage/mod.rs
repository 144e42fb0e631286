//! Writes partitions: staging, merging, encoding, atomic publishing, locks.
//!
//! The promise kept here: at every instant, whatever is killed or unplugged, each published
//! partition is whole, no published row is lost or replaced, and no answer that was staged has to
//! be asked again. Nothing here knows where rows come from; everything blocks, so it is called on
//! blocking threads. Memory is bounded by a few batches, however long the month.
//!
//! | file | does |
//! |---|---|
//! | `atomic`, `steps` | the only rename: write aside, sync, rename, sync the folder; told to tests |
//! | `segment`, `packed`, `staging` | answers on their way, proved by whoever reads them |
//! | `merge`, `encode`, `read` | rows as streams, out of and into Parquet |
//! | `publish`, `describe` | the protocol of a publish; what the sidecar says |
//! | `adopt` | partitions of another tool become ours, row by good row |
//! | `recover`, `salvage` | what a crash or a foreign hand left behind; the good days of a damaged file |
//! | `mend` | what is done with damaged files before anybody is asked |
//! | `keep` | what newer prices replace is kept |
//! | `lock`, `facts` | one writer per series; what was learned of the source |
//! | `stop`, `space` | the switch that ends long work; room on the disk |
//! | `doors` | for fuzzing: what is read from disk, from bytes of any kind |
//! | `aside` | small files in which a run tells others of itself |
//! | `tidy` | what other readers would take for a partition gets another name |
//! | `watermark` | up to where each series is proved, for other readers |

mod adopt;
mod aside;
mod atomic;
mod describe;
#[doc(hidden)]
pub mod doors;
mod encode;
mod errors;
mod facts;
mod keep;
mod lock;
mod look;
mod mend;
mod merge;
mod packed;
mod probe;
mod publish;
mod read;
mod recover;
mod salvage;
mod segment;
mod space;
mod staging;
mod steps;
mod stop;
#[cfg(test)]
mod tests;
mod tidy;
mod watermark;

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{
    Candle, Epoch, EpochRange, Finding, Kind, Month, PartitionInspector, PartitionKey,
    PartitionStore, Publication, Published, Record, Remedy, Segment, Series, StoreError,
    StoredPartition, Tick,
};
use crate::format::Layout;
use crate::format::layout::SET_ASIDE;
use crate::format::schema::price_columns;

use atomic::Draft;
use encode::FileOptions;
use errors::{damaged, io_error};
use segment::Origin;
use space::Home;
use staging::Staging;
use stop::Stop;

pub use adopt::{Adoption, Fate};
pub use aside::SmallFiles;
pub use encode::{Compression, InvalidCompression};
pub use lock::{LOCKING, SeriesGuard, host_name};
pub use probe::{FolderProbe, lock_holders, probe_folder};

/// Rows per row group unless told otherwise: small enough for memory, large enough for size.
pub const DEFAULT_ROW_GROUP_ROWS: usize = 131_072;

/// Folders that other users need not look into.
const PRIVATE_MODE: u32 = 0o700;
const PUBLIC_MODE: u32 = 0o755;

/// How a store writes, and on whose behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// How columns are compressed.
    pub compression: Compression,
    /// Rows per row group; at least 1.
    pub row_group_rows: usize,
    /// The endpoint whose facts are kept; a key, never opened.
    pub endpoint: String,
    /// Names the run, best differently each time; goes into the names of temporary files and
    /// nowhere else.
    pub session: String,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            row_group_rows: DEFAULT_ROW_GROUP_ROWS,
            endpoint: String::new(),
            session: String::new(),
        }
    }
}

/// An archive of Parquet partitions below one folder.
pub struct ParquetStore {
    layout: Layout,
    file: FileOptions,
    endpoint: String,
    names: Names,
    started: Option<Epoch>,
    inspector: Arc<dyn PartitionInspector>,
    held: lock::HeldSeries,
    /// Folders whose names are known to be durable.
    lasting: Mutex<HashSet<PathBuf>>,
    stop: Stop,
    home: Home,
}

/// Whether the series is ours to tidy, or only to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// This store holds the lock of the series, or is publishing.
    Owner,
    /// Another run may be writing: nothing is swept, moved or rebuilt.
    Observer,
}

impl ParquetStore {
    /// Names an archive; nothing is made on disk before something is written.
    ///
    /// # Errors
    ///
    /// If the compression level does not exist.
    pub fn open(
        root: impl Into<PathBuf>,
        options: StoreOptions,
        inspector: Arc<dyn PartitionInspector>,
    ) -> Result<Self, StoreError> {
        let layout = Layout::new(root);
        let StoreOptions { compression, row_group_rows, endpoint, session } = options;
        let file = FileOptions { compression, row_group_rows };
        file.properties().map_err(|error| errors::write_error(layout.root(), error))?;
        let names = Names::new(&session);
        let held = lock::HeldSeries::default();
        Ok(Self {
            layout,
            file,
            endpoint,
            names,
            started: None,
            inspector,
            held,
            lasting: Mutex::default(),
            stop: Stop::default(),
            home: Home::default(),
        })
    }

    /// Notes when the run began, so that a second run can be told since when the first is at work.
    #[must_use]
    pub fn started_at(mut self, started: Epoch) -> Self {
        self.started = Some(started);
        self
    }

    /// Gives up loading and publishing with [`StoreError::Stopped`] once `is_ending` says so. It
    /// is asked often, from blocking threads. Staging goes on: answers are kept until the end.
    #[must_use]
    pub fn stopped_by(mut self, is_ending: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        self.stop = Stop::new(is_ending);
        self
    }

    /// Where everything of this archive lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes the root and the private folders and proves that both can be written.
    ///
    /// # Errors
    ///
    /// If they cannot; whatever was made on the way is taken away again.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let mut made = Vec::new();
        let result = self
            .make_private(&mut made)
            .and_then(|()| self.home.remember(self.layout.root()))
            .and_then(|()| self.probe(self.layout.root()))
            .and_then(|()| self.probe(&self.layout.staging_root()));
        match &result {
            Ok(()) => self.sweep_shared_folders(),
            Err(_) => atomic::remove_dirs(&made),
        }
        result
    }

    /// Removes what dead runs left in the folders that belong to no series. Other runs may be at
    /// work there, so this is done only where it shows who lives; failing is no harm.
    fn sweep_shared_folders(&self) {
        let layout = &self.layout;
        let folders = [layout.root().to_path_buf(), layout.private_dir(), layout.staging_root()];
        for path in folders.iter().flat_map(|dir| staging::list(dir).unwrap_or_default()) {
            let name = staging::file_name(&path);
            if cfg!(unix) && name.starts_with('.') && name.ends_with(atomic::DRAFT_SUFFIX) {
                let _ = atomic::sweep_draft(&path);
            }
        }
    }

    /// Marks the archive as one of invented prices, durably, before any of them comes into it.
    ///
    /// # Errors
    ///
    /// If the mark cannot be written.
    pub fn mark_invented(&self) -> Result<(), StoreError> {
        let mark = self.layout.invented_mark();
        atomic::confine(self.layout.root(), &mark)?;
        if mark.exists() {
            return Ok(());
        }
        atomic::write_file(&mark, &self.names.next(), b"the prices of this archive are invented\n")
    }

    fn probe(&self, dir: &Path) -> Result<(), StoreError> {
        let draft = Draft::create(&dir.join("probe"), &self.names.next())?;
        draft.writer()?.write_all(b"probe").map_err(io_error("write", draft.path()))?;
        draft.sync()
    }

    fn make_private_dirs(&self) -> Result<(), StoreError> {
        self.make_private(&mut Vec::new())
    }

    fn make_private(&self, made: &mut Vec<PathBuf>) -> Result<(), StoreError> {
        let layout = &self.layout;
        self.home.check(layout.root())?;
        made.extend(atomic::make_dir(layout.root(), PUBLIC_MODE)?);
        let dirs = [
            (layout.private_dir(), PUBLIC_MODE),
            (layout.locks_dir(), PRIVATE_MODE),
            (layout.staging_root(), PRIVATE_MODE),
            (layout.quarantine_dir(), PRIVATE_MODE),
        ];
        for (dir, mode) in dirs {
            atomic::confine(layout.root(), &dir)?;
            made.extend(self.make_lasting(&dir, mode)?);
        }
        Ok(())
    }

    /// Makes a folder of the archive, unless a link would put it elsewhere.
    fn make_dir_inside(&self, dir: &Path) -> Result<(), StoreError> {
        self.home.check(self.layout.root())?;
        atomic::confine(self.layout.root(), dir)?;
        self.make_lasting(dir, PUBLIC_MODE).map(drop)
    }

    /// Makes a folder and what is missing above it, and makes the names of all of them durable. A
    /// folder that is there already may be one that a killed run made and had no time to sync.
    fn make_lasting(&self, dir: &Path, mode: u32) -> Result<Vec<PathBuf>, StoreError> {
        let root = self.layout.root();
        let made = atomic::make_dir(dir, mode)?;
        let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        lasting.extend(made.iter().cloned());
        for at in dir.ancestors().take_while(|at| *at != root && at.starts_with(root)) {
            if !lasting.contains(at) {
                atomic::sync_dir(at.parent().unwrap_or(root))?;
                lasting.insert(at.to_path_buf());
            }
        }
        Ok(made)
    }

    /// Free places in quarantine, all with one number: `2026-03.parquet` becomes
    /// `2026-03.1.parquet.set-aside`, then `2026-03.2.parquet.set-aside`.
    fn quarantine_places<const N: usize>(
        &self,
        folder: &Path,
        names: [&str; N],
    ) -> Result<[PathBuf; N], StoreError> {
        free_places(&self.quarantine_folder(folder)?, &names)
    }

    /// A folder in quarantine, made if need be.
    fn quarantine_folder(&self, folder: &Path) -> Result<PathBuf, StoreError> {
        self.make_private_dirs()?;
        let dir = self.layout.quarantine_dir().join(folder);
        self.make_dir_inside(&dir)?;
        Ok(dir)
    }

    /// Tells whether [`adopt`](Self::adopt) has anything to do or to tell. Reads no row.
    ///
    /// # Errors
    ///
    /// If the files cannot be looked at.
    pub fn is_foreign(&self, key: &PartitionKey) -> Result<bool, StoreError> {
        adopt::is_foreign(self, key)
    }

    /// Takes a partition of another tool over; the lock of its series must be held. `None` if the
    /// partition is ours already, or not there.
    ///
    /// # Errors
    ///
    /// If the disk refuses, or a newer version of this program wrote the partition.
    pub fn adopt(&self, key: &PartitionKey) -> Result<Option<Adoption>, StoreError> {
        match key.series.kind {
            Kind::Ticks => adopt::adopt::<Tick>(self, key),
            Kind::Candles(_) => adopt::adopt::<Candle>(self, key),
        }
    }

    /// Tells what [`adopt`](Self::adopt) would do. Changes nothing and needs no lock.
    ///
    /// # Errors
    ///
    /// As [`adopt`](Self::adopt).
    pub fn survey(&self, key: &PartitionKey) -> Result<Option<Adoption>, StoreError> {
        match key.series.kind {
            Kind::Ticks => adopt::survey::<Tick>(self, key),
            Kind::Candles(_) => adopt::survey::<Candle>(self, key),
        }
    }

    /// Does what is to be done with the files of a partition before anybody is asked. The lock of
    /// its series must be held; for [`Remedy::Return`] that of the other series as well.
    ///
    /// # Errors
    ///
    /// If the disk refuses, the partition is locked, or a newer version of this program wrote it.
    pub fn mend(&self, key: &PartitionKey, remedy: &Remedy) -> Result<(), StoreError> {
        match key.series.kind {
            Kind::Ticks => mend::mend::<Tick>(self, key, remedy),
            Kind::Candles(_) => mend::mend::<Candle>(self, key, remedy),
        }
    }

    fn access(&self, key: &PartitionKey) -> Access {
        if lock::held(&self.held).contains(&key.series) { Access::Owner } else { Access::Observer }
    }
}

impl<R: Record> PartitionStore<R> for ParquetStore {
    fn first_answered(&self, series: &Series, before: Month) -> Result<Option<Epoch>, StoreError> {
        recover::first_answered(&self.layout, series, before)
    }

    fn oldest_answers(&self, series: &Series) -> Result<Vec<(Epoch, Epoch)>, StoreError> {
        recover::oldest_answers(&self.layout, series)
    }

    fn rows_held(&self, series: &Series) -> Result<Option<EpochRange>, StoreError> {
        recover::rows_held(&self.layout, series)
    }

    fn load(&self, key: &PartitionKey) -> Result<StoredPartition, StoreError> {
        check_kind::<R>(key)?;
        self.stop.check()?;
        recover::load::<R>(self, key, self.access(key))
    }

    fn stage(&self, key: &PartitionKey, segment: &Segment<R>) -> Result<(), StoreError> {
        check_kind::<R>(key)?;
        Staging::new(self, key).add(segment, Origin::Asked)
    }

    fn remember(&self, key: &PartitionKey, findings: &[Finding]) -> Result<(), StoreError> {
        check_kind::<R>(key)?;
        Staging::new(self, key).remember(findings.iter().cloned())
    }

    /// Where neither a file nor an answer exists, nothing is written: the result then counts no
    /// rows and names the place where the file would be.
    fn publish(
        &self,
        key: &PartitionKey,
        publication: &Publication,
    ) -> Result<Published, StoreError> {
        check_kind::<R>(key)?;
        publish::publish::<R>(self, key, publication)
    }
}

/// The first places in `dir` for a file and its sidecar, both with one number; of a sidecar that is
/// not there, a stopped run may have taken the place before.
fn free_pair(
    dir: &Path,
    [parquet, sidecar]: [&str; 2],
    has_sidecar: bool,
) -> Result<[PathBuf; 2], StoreError> {
    let is_free = |place: &Path| fs::symlink_metadata(place).is_err();
    for n in 1u32.. {
        let places = numbered_places(dir, [parquet, sidecar], n);
        if is_free(&places[0]) && (!has_sidecar || is_free(&places[1])) {
            return Ok(places);
        }
    }
    Err(damaged(dir, "is full"))
}

/// The first places in `dir`, all with one number, where nothing lies yet.
fn free_places<N: AsRef<str>, const M: usize>(
    dir: &Path,
    names: &[N; M],
) -> Result<[PathBuf; M], StoreError> {
    for n in 1u32.. {
        let places = numbered_places(dir, names.each_ref().map(AsRef::as_ref), n);
        if places.iter().all(|place| fs::symlink_metadata(place).is_err()) {
            return Ok(places);
        }
    }
    Err(damaged(dir, "is full"))
}

fn numbered_places<const M: usize>(dir: &Path, names: [&str; M], n: u32) -> [PathBuf; M] {
    names.map(|name| {
        let (stem, rest) = name.split_at(name.find('.').unwrap_or(name.len()));
        dir.join(format!("{stem}.{n}{rest}{SET_ASIDE}"))
    })
}

fn check_kind<R: Record>(key: &PartitionKey) -> Result<(), StoreError> {
    if price_columns(key.series.kind) == R::COLUMNS {
        return Ok(());
    }
    let columns = R::COLUMNS.join(", ");
    Err(damaged(Path::new(&key.to_string()), format!("cannot hold records of {columns}")))
}

/// Names that were never used before and never will be.
#[derive(Debug)]
struct Names {
    prefix: String,
}

/// One for the whole process: two stores in it never share a name.
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Names {
    fn new(session: &str) -> Self {
        let legal = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let session: String = session.chars().filter(legal).take(40).collect();
        // Each container has a process 1, and two may start in one second.
        let chance = RandomState::new().hash_one(&session) as u32;
        Self { prefix: format!("{session}-{}-{chance:08x}-", std::process::id()) }
    }

    fn next(&self) -> String {
        format!("{}{}", self.prefix, COUNTER.fetch_add(1, Ordering::Relaxed))
    }

    /// Tells whether a file name contains a name of this run.
    fn is_own(&self, name: &str) -> bool {
        // With the dot before it, the name of run `a` is not found in one of run `ba`.
        name.contains(&format!(".{}", self.prefix))
    }
}
