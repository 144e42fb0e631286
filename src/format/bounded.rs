//! How much of a file is read at most, and how: small files whole, never a pipe or a device.
//!
//! Whatever lies under a name of the archive may have been put there by anybody. A bound stands
//! before the first byte is read, so that no file costs more memory than one of ours could.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Longest sidecar that is read. One with [`MOST_RANGES`] covered ranges and as many gaps as are
/// ever listed (65,536) takes about 24 MiB.
pub const SIDECAR_BYTES: u64 = 32 << 20;

/// Longest of the other files that is read: facts, intents, remarks, `watermark.json`. The largest
/// of them holds about 1 KiB for each series.
pub const SMALL_FILE_BYTES: u64 = 16 << 20;

/// Most covered ranges of one partition. If every second minute bar of a month is unusable, there
/// are 44,640.
pub const MOST_RANGES: usize = 50_000;

/// Most gaps of one partition; whoever lists them keeps the longest.
pub const MOST_GAPS: usize = 65_536;

/// Most findings of one partition that are kept.
pub const MOST_FINDINGS: usize = 10_000;

/// Days of the longest month.
pub const MOST_DAYS: usize = 31;

/// Seconds of the longest month, and so most rows of a partition.
pub const MOST_ROWS: u64 = 31 * 86_400;

/// Decimals beyond which prices and doubles do not correspond.
pub const MOST_DECIMALS: u8 = 15;

/// Most values in one sidecar: more than in one whose every list is as long as it can be.
pub(super) const MOST_VALUES: usize = 2_000_000;

/// At most so many values and keys are in a JSON text. Each takes ten times the memory of the two
/// bytes it may be.
pub(super) fn n_values(json: &[u8]) -> usize {
    json.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count()
}

/// Longest metadata at the end of a Parquet file that is read: two coverages of [`MOST_RANGES`].
const PARQUET_METADATA_BYTES: u64 = 16 << 20;

/// Bytes behind the metadata of a Parquet file: its length and `PAR1`.
const PARQUET_TAIL_BYTES: u64 = 8;

/// A file cannot be read, or is not to be.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The operating system refused.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("it is no ordinary file")]
    NotAFile,
    /// It holds more than any file of this kind.
    #[error("it has {bytes} bytes, more than the {most} bytes that {what} can have")]
    TooLong {
        /// What it should be, or the part of it that is too long.
        what: &'static str,
        /// Its length; at least that, if it grows.
        bytes: u64,
        /// The bound.
        most: u64,
    },
}

impl Unread {
    /// Tells whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Opens a file that is one.
///
/// # Errors
///
/// If it is none, or cannot be opened.
pub fn open_ordinary(path: &Path) -> Result<File, Unread> {
    // Asked by name first: opening a named pipe would wait for its other end for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(Unread::NotAFile);
    }
    Ok(File::open(path)?)
}

/// The content of a file of at most `most` bytes; `what` names such files.
///
/// # Errors
///
/// If it cannot be read, is no ordinary file, or is longer.
pub fn read_bounded(path: &Path, what: &'static str, most: u64) -> Result<Vec<u8>, Unread> {
    let file = open_ordinary(path)?;
    let bytes = file.metadata()?.len();
    if bytes > most {
        return Err(Unread::TooLong { what, bytes, most });
    }
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        bytes if bytes > most => Err(Unread::TooLong { what, bytes, most }),
        _ => Ok(content),
    }
}

/// The first `most` bytes of a file.
///
/// # Errors
///
/// If it cannot be read, or is no ordinary file.
pub fn read_beginning(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    let mut content = Vec::new();
    open_ordinary(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}

/// Opens a Parquet file whose metadata is not longer than that of any of ours. The Parquet library
/// reads it whole, and makes several times as much of it.
///
/// # Errors
///
/// If it cannot be read, is no ordinary file, or says that its metadata is longer.
pub fn open_parquet(path: &Path) -> Result<File, Unread> {
    let mut file = open_ordinary(path)?;
    if file.metadata()?.len() > PARQUET_TAIL_BYTES {
        let mut tail = [0; PARQUET_TAIL_BYTES as usize];
        file.seek(SeekFrom::End(-PARQUET_TAIL_BYTES.cast_signed()))?;
        file.read_exact(&mut tail)?;
        file.rewind()?;
        let (n_bytes, magic) = tail.split_at(4);
        let n_bytes = n_bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let (bytes, most) = (n_bytes, PARQUET_METADATA_BYTES);
        // Of what is no Parquet the library says so.
        if magic == b"PAR1" && bytes > most {
            return Err(Unread::TooLong { what: "the metadata at its end", bytes, most });
        }
    }
    Ok(file)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_not_a_byte_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, "a file", 5).unwrap(), b"12345");
        let error = read_bounded(&path, "a file", 4).unwrap_err().to_string();
        assert_eq!(error, "it has 5 bytes, more than the 4 bytes that a file can have");
        assert_eq!(read_beginning(&path, 2).unwrap(), b"12");
        assert!(matches!(read_bounded(dir.path(), "a file", 5), Err(Unread::NotAFile)));
        assert!(read_bounded(&dir.path().join("none"), "", 5).unwrap_err().is_not_found());
    }

    /// The pseudo files of Linux have no length until they are read.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_length_is_bounded_all_the_same() {
        let error = read_bounded(Path::new("/proc/self/status"), "a file", 4).unwrap_err();
        assert!(matches!(error, Unread::TooLong { bytes: 5, .. }), "{error}");
    }

    #[test]
    fn metadata_of_gigabytes_is_refused_by_the_length_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let check = |n_bytes: u32, is_refused: bool| {
            let tail = [&n_bytes.to_le_bytes()[..], b"PAR1"].concat();
            fs::write(&path, [&b"PAR1"[..], &tail].concat()).unwrap();
            assert_eq!(open_parquet(&path).is_err(), is_refused, "{n_bytes}");
        };
        check(0, false);
        check(16 << 20, false);
        check((16 << 20) + 1, true);
        check(u32::MAX, true);
        fs::write(&path, b"PAR1").unwrap();
        assert!(open_parquet(&path).is_ok(), "the library says what is wrong with it");
    }
}
