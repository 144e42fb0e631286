//! Looks whether a run could write, without writing: for a run that only shows what it would do.

use std::fs::TryLockError;
use std::io;
use std::path::Path;

use crate::domain::{Series, StoreError};
use crate::format::{Unread, open_ordinary};

use super::errors::{io_error, unread};
use super::{ParquetStore, atomic, lock};

impl ParquetStore {
    /// Tells whether [`prepare`](Self::prepare) would find folders that it can make and write, as
    /// far as permissions say. Writes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare).
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let root = self.layout.root();
        check_folder(root)?;
        let layout = &self.layout;
        let inside = [
            layout.private_dir(),
            layout.locks_dir(),
            layout.staging_root(),
            layout.quarantine_dir(),
        ];
        for dir in inside.iter().filter(|_| root.exists()) {
            atomic::confine(root, dir)?;
            check_folder(dir)?;
        }
        Ok(())
    }

    /// Who works on a series now, if anybody does. Makes no file and keeps no lock.
    ///
    /// # Errors
    ///
    /// If the lock cannot be looked at.
    pub fn holder(&self, series: &Series) -> Result<Option<String>, StoreError> {
        let path = self.layout.lock(series);
        let file = match open_ordinary(&path) {
            Ok(file) => file,
            Err(Unread::Io(error)) if is_not_there(&error) => return Ok(None),
            Err(error) => return Err(unread(&path, error)),
        };
        match file.try_lock_shared() {
            // Closing the file lets go of it at once.
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(lock::read_owner(file))),
            Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
        }
    }
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A folder that is there has to be writable; of one that is not, the nearest above it.
fn check_folder(dir: &Path) -> Result<(), StoreError> {
    let here = |at: &Path| if at.as_os_str().is_empty() { ".".into() } else { at.to_owned() };
    let mut above = dir.ancestors().map(here);
    let Some(there) = above.find(|at| at.symlink_metadata().is_ok()) else { return Ok(()) };
    let metadata = there.metadata().map_err(io_error("look at", &there))?;
    if !metadata.is_dir() {
        let error = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(io_error("create the folder", dir)(error));
    }
    may_write(&there).map_err(io_error("write into", &there))
}

#[cfg(unix)]
fn may_write(dir: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    Ok(())
}

#[cfg(not(unix))]
fn may_write(dir: &Path) -> io::Result<()> {
    match dir.metadata()?.permissions().readonly() {
        true => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        false => Ok(()),
    }
}
