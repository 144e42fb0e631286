//! What a folder and its file system can do, tried out without leaving anything behind; and who
//! works in an archive now.

use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::domain::StoreError;
use crate::format::Layout;

use super::atomic::{self, DRAFT_SUFFIX};
use super::errors::io_error;
use super::{lock, space};

/// What a folder and its file system can do.
#[derive(Debug)]
pub struct FolderProbe {
    /// Whether it was there; if not it was made, and taken away again.
    pub existed: bool,
    /// Whether a file can be written, synced, named and found whole.
    pub write: Result<(), StoreError>,
    /// Whether a file can have two names; `None` if none could be written.
    pub links: Option<bool>,
    /// Whether a locked file is locked for others, or why none could be locked; `None` if none
    /// could be written.
    pub locks: Option<std::io::Result<bool>>,
    /// Whether names differ by case; `None` if none could be written.
    pub case_matters: Option<bool>,
    /// Free bytes on its disk, if the file system tells.
    pub free_bytes: Option<u64>,
}

/// Tries out a folder. `unique` must never be used again.
///
/// What a crash on the way leaves has the name of a draft, which the next run sweeps.
pub fn probe_folder(dir: &Path, unique: &str) -> FolderProbe {
    let existed = dir.is_dir();
    let free_bytes = space::free_bytes(dir);
    let failed = |error| FolderProbe {
        existed,
        write: Err(error),
        links: None,
        locks: None,
        case_matters: None,
        free_bytes,
    };
    let made = match atomic::make_dir(dir, 0o755) {
        Ok(made) => made,
        Err(error) => return failed(error),
    };
    let probe = match written(dir, unique) {
        Ok(file) => FolderProbe {
            existed,
            links: Some(links(&file)),
            locks: Some(locks(&file)),
            case_matters: Some(!upper(&file).exists()),
            write: atomic::remove_if_any(&file),
            free_bytes,
        },
        Err(error) => failed(error),
    };
    atomic::remove_dirs(&made);
    probe
}

/// A file that was written as those of an archive are, and read back.
fn written(dir: &Path, unique: &str) -> Result<PathBuf, StoreError> {
    const CONTENT: &[u8] = b"probe";
    let file = dir.join(format!(".probe.{unique}{DRAFT_SUFFIX}"));
    let read_back = atomic::write_file(&file, unique, CONTENT)
        .and_then(|()| fs::read(&file).map_err(io_error("read", &file)));
    match read_back {
        Ok(content) if content == CONTENT => Ok(file),
        Ok(_) => {
            atomic::remove_if_any(&file)?;
            Err(super::errors::damaged(&file, "does not hold what was written into it"))
        }
        Err(error) => {
            let _ = atomic::remove_if_any(&file);
            Err(error)
        }
    }
}

fn links(file: &Path) -> bool {
    let second = file.with_extension(format!("second{DRAFT_SUFFIX}"));
    let linked = atomic::link(file, &second).is_ok();
    // The next run sweeps what cannot be removed now.
    let _ = atomic::remove_if_any(&second);
    linked
}

fn locks(file: &Path) -> std::io::Result<bool> {
    let (one, other) = (File::open(file)?, File::open(file)?);
    match one.try_lock() {
        Ok(()) => Ok(matches!(other.try_lock(), Err(TryLockError::WouldBlock))),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn upper(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    file.with_file_name(name)
}

/// Who works in an archive now: the series, named as in paths, and its owner.
///
/// Only locks with an owner's record are tried, so no run that starts now is disturbed.
pub fn lock_holders(root: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(Layout::new(root).locks_dir()) else { return Vec::new() };
    let mut holders: Vec<_> = entries.flatten().filter_map(|entry| holder(&entry.path())).collect();
    holders.sort();
    holders
}

fn holder(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".lock")?;
    let (symbol, kind) = name.rsplit_once('.')?;
    let file = File::open(path).ok()?;
    let mut first = [0; 1];
    let has_record = (&file).read(&mut first).is_ok_and(|n| n > 0);
    if !has_record || !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    Some((format!("{symbol}/{kind}"), lock::read_owner(File::open(path).ok()?)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Inspection, SeriesLocks};
    use crate::storage::{ParquetStore, StoreOptions};

    fn names(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_good_folder_passes_and_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        for (folder, existed) in [(dir.path().to_owned(), true), (dir.path().join("a/b"), false)] {
            let probe = probe_folder(&folder, "1");
            assert!(probe.write.is_ok(), "{probe:?}");
            assert_eq!((probe.existed, probe.links), (existed, Some(true)));
            assert!(matches!(probe.locks, Some(Ok(true))), "{probe:?}");
            assert_eq!(names(dir.path()), 0, "{folder:?}");
        }
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_fails() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let probe = probe_folder(&file.join("data"), "1");
        assert!(probe.write.is_err() && probe.locks.is_none());
        assert_eq!(names(dir.path()), 1);
    }

    #[derive(Debug)]
    struct Nobody;

    impl crate::domain::PartitionInspector for Nobody {
        fn inspect(
            &self,
            _: &crate::domain::PartitionKey,
            _: &Path,
            _: &crate::domain::SilenceFacts,
            _: Option<&str>,
        ) -> Inspection {
            Inspection::default()
        }
    }

    #[test]
    fn who_holds_a_lock_is_told_while_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(lock_holders(dir.path()).is_empty());
        let store =
            ParquetStore::open(dir.path(), StoreOptions::default(), Arc::new(Nobody)).unwrap();
        let series = crate::domain::Series {
            symbol: "R_100".parse().unwrap(),
            kind: crate::domain::Kind::Ticks,
        };
        let guard = store.lock(&series).unwrap();
        let holders = lock_holders(dir.path());
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0].0, "R_100/ticks");
        assert!(holders[0].1.contains(&std::process::id().to_string()), "{holders:?}");
        drop(guard);
        assert!(lock_holders(dir.path()).is_empty());
    }
}
