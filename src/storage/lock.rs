//! One writer per series: a lock of the operating system with an owner record in the file.
//!
//! The lock dies with the process that holds it, so nothing ever has to be broken by hand. The
//! file itself stays: removing it would let two writers lock two files of one name.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{Epoch, Series, SeriesLocks, StoreError};

use super::errors::{damaged, io_error};
use super::{ParquetStore, atomic, tidy, watermark};

/// The series that this store has locked.
pub(super) type HeldSeries = Arc<Mutex<HashSet<Series>>>;

/// What was being done where a lock is refused, as errors say it.
pub const LOCKING: &str = "lock";

/// An owner record is one short line.
const MAX_RECORD_BYTES: u64 = 1024;

/// Holds the lock of one series until it is dropped.
#[derive(Debug)]
pub struct SeriesGuard {
    file: File,
    series: Series,
    held: HeldSeries,
}

impl Drop for SeriesGuard {
    fn drop(&mut self) {
        held(&self.held).remove(&self.series);
        // An empty record names nobody wrongly in the moment before the next owner writes its own.
        let _ = self.file.set_len(0);
        // Closing the file lets go of the lock.
    }
}

/// Who holds a lock.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.host.escape_default();
        write!(f, "process {} on `{host}`", self.pid)?;
        match &self.since {
            Some(since) => write!(f, " since {}", since.escape_default()),
            None => Ok(()),
        }
    }
}

impl SeriesLocks for ParquetStore {
    type Guard = SeriesGuard;

    fn lock(&self, series: &Series) -> Result<SeriesGuard, StoreError> {
        self.make_private_dirs()?;
        let path = self.layout.lock(series);
        atomic::confine(self.layout.root(), &path)?;
        let mut file = open(&path)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Held {
                    series: series.to_string(),
                    owner: read_owner(file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io_error(LOCKING, &path)(error)),
        }
        write_owner(&mut file, self.started).map_err(io_error("write", &path))?;
        held(&self.held).insert(series.clone());
        tidy::tidy(self, series);
        // A run that was killed may have left it behind what it published.
        watermark::refresh(self, series);
        Ok(SeriesGuard { file, series: series.clone(), held: self.held.clone() })
    }
}

/// Who only looks whether a lock is held has it for microseconds, and must not keep an owner away.
const LOOKS: u32 = 4;
const LOOK_PAUSE: Duration = Duration::from_millis(3);

fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_PAUSE),
            other => return other,
        }
    }
    file.try_lock()
}

/// The set, whatever happened to a thread that had it.
pub(super) fn held(held: &HeldSeries) -> std::sync::MutexGuard<'_, HashSet<Series>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a lock file, making it if need be; its content stays.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    let mut options = atomic::public_file();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).map_err(io_error("open", path))?;
    match file.metadata() {
        Ok(found) if !found.is_file() => Err(damaged(path, "is no ordinary file")),
        _ => Ok(file),
    }
}

fn write_owner(file: &mut File, since: Option<Epoch>) -> std::io::Result<()> {
    let since = since.map(|since| since.to_string());
    let owner = Owner { pid: std::process::id(), host: host_name(), since };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&owner)?)
}

pub(super) fn read_owner(file: File) -> String {
    let mut text = String::new();
    let read = file.take(MAX_RECORD_BYTES).read_to_string(&mut text);
    match read.ok().and_then(|_| serde_json::from_str::<Owner>(&text).ok()) {
        Some(owner) => owner.to_string(),
        None => "another process".to_owned(),
    }
}

/// What this machine calls itself.
pub fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let environment = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok();
    let name = kernel.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    name.or_else(environment).unwrap_or_else(|| "an unnamed host".to_owned())
}
