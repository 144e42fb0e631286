//! Room on the disk: how much is free, and whether the folder of the archive is still the one the
//! run began in.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use crate::domain::{Kind, RowBytes, StoreError, StoreSpace};
use crate::format::schema::price_columns;

use super::ParquetStore;
use super::errors::io_error;

/// Sidecar, announcement, footer, and blocks that are filled only in part.
pub(super) const SLACK_BYTES: u64 = 256 * 1024;

/// Measured: a month of `R_100` takes 2.2 bytes a tick with the default codec; others quote in
/// finer steps.
const TICK_BYTES: u64 = 3;
/// Measured: a month of minute candles of `R_100` takes 12 bytes a candle.
const CANDLE_BYTES: u64 = 14;

impl StoreSpace for ParquetStore {
    fn free_bytes(&self) -> Option<u64> {
        free_bytes(self.layout.root())
    }

    fn row_bytes(&self, kind: Kind) -> RowBytes {
        let published = match kind {
            Kind::Ticks => TICK_BYTES,
            Kind::Candles(_) => CANDLE_BYTES,
        };
        RowBytes { staged: number_bytes(price_columns(kind).len()), published }
    }
}

/// Bytes of the numbers of one row: it takes no more in a segment or a file.
pub(super) fn number_bytes(n_price_columns: usize) -> u64 {
    8 * (1 + n_price_columns as u64)
}

/// Free bytes on the disk of `path`, or of the nearest folder above it that is there; `None` if
/// the file system does not tell.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let here = |path: &Path| if path.as_os_str().is_empty() { ".".into() } else { path.to_owned() };
    let there = path.ancestors().map(here).find(|at| at.exists())?;
    free_bytes_of(&there)
}

#[cfg(unix)]
fn free_bytes_of(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    // Some network file systems do not count.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes_of(_: &Path) -> Option<u64> {
    None
}

/// Refuses to begin what the disk of `dir` surely or probably cannot hold, before it is full.
pub(super) fn require(dir: &Path, needed: u64) -> Result<(), StoreError> {
    const MIB: f64 = 1_048_576.0;
    match free_bytes(dir) {
        Some(free) if free < needed => {
            let (needed, free) = (needed as f64 / MIB, free as f64 / MIB);
            let why = format!("{needed:.1} MiB are needed, {free:.1} MiB are free");
            let full = io::Error::new(io::ErrorKind::StorageFull, why);
            Err(io_error("publish into", dir)(full))
        }
        _ => Ok(()),
    }
}

/// Which folder the archive is, whatever its name. A disk that is unmounted leaves an empty folder
/// of the same name, and a run that went on there would fill the wrong disk.
#[derive(Debug, Default)]
pub(super) struct Home(OnceLock<Identity>);

impl Home {
    /// From now on `root` must stay the folder it is.
    pub(super) fn remember(&self, root: &Path) -> Result<(), StoreError> {
        let metadata = std::fs::metadata(root).map_err(io_error("look at", root))?;
        self.0.get_or_init(|| identity(&metadata));
        Ok(())
    }

    /// Tells whether it still is.
    pub(super) fn check(&self, root: &Path) -> Result<(), StoreError> {
        let Some(known) = self.0.get() else { return Ok(()) };
        let metadata = std::fs::metadata(root).map_err(io_error("find the folder", root))?;
        if identity(&metadata) == *known {
            return Ok(());
        }
        let other = io::Error::new(io::ErrorKind::NotFound, "another folder has its name now");
        Err(io_error("find the folder", root)(other))
    }
}

#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let free = free_bytes(&dir.path().join("a/b/c"));
        assert_eq!(free.is_some(), cfg!(unix));
        require(&dir.path().join("a"), 1).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_fit_is_refused_as_a_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let StoreError::Io { source, .. } = require(dir.path(), u64::MAX).unwrap_err() else {
            panic!("another error")
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        assert!(source.to_string().contains("MiB are needed"), "{source}");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_of_the_same_name_is_not_the_same_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        let (home, aside) = (Home::default(), dir.path().join("aside"));
        home.check(&root).unwrap();
        std::fs::create_dir(&root).unwrap();
        home.remember(&root).unwrap();
        home.check(&root).unwrap();
        #[allow(clippy::disallowed_methods, reason = "moves a folder of the test away")]
        std::fs::rename(&root, &aside).unwrap();
        assert!(matches!(home.check(&root), Err(StoreError::Io { .. })));
        std::fs::create_dir(&root).unwrap();
        assert!(matches!(home.check(&root), Err(StoreError::Io { .. })));
    }
}
