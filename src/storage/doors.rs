//! Doors for fuzzing: what is read from disk, read from a file of any bytes. Nothing else enters here.

use std::path::Path;

use crate::domain::{PartitionKey, Record};

use super::read::PartitionFile;
use super::stop::Stop;
use super::{facts, segment};

/// Reads a file as the facts of a source; tells how many facts were set aside.
///
/// # Errors
///
/// Why it is none.
pub fn facts(bytes: &[u8]) -> Result<usize, String> {
    Ok(facts::facts_of(bytes)?.iter().map(|(_, n_set_aside)| n_set_aside).sum())
}

/// Reads a file as a segment of `key`; tells its rows.
///
/// # Errors
///
/// Why it is none.
pub fn segment<R: Record>(path: &Path, key: &PartitionKey) -> Result<u64, String> {
    match segment::check::<R>(path, key) {
        Ok(segment) => Ok(segment.header.n_rows),
        Err(refused) => Err(format!("{refused:?}")),
    }
}

/// Reads a file as a published partition of ours; tells its rows.
///
/// # Errors
///
/// Why it is none.
pub fn partition<R: Record>(path: &Path) -> Result<u64, String> {
    let file = PartitionFile::open(path).map_err(|unusable| format!("{unusable:?}"))?;
    let read = file.verify_rows::<R>(&Stop::default());
    read.map(|_| file.footer.record_count).map_err(|error| error.to_string())
}
