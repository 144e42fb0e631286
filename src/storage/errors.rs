//! Short ways to say which file an operation failed on.

use std::io;
use std::path::Path;

use parquet::errors::ParquetError;

use crate::domain::StoreError;
use crate::format::Unread;

/// For `map_err`: the operating system refused to do `doing` to `path`.
pub(super) fn io_error(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_path_buf();
    move |source| StoreError::Io { doing, path, source }
}

/// `path` is beyond this build; `problem` is read after its name.
pub(super) fn undecodable(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::Undecodable { path: path.to_path_buf(), problem: problem.into() }
}

/// `path` is not what it must be; `problem` is read after its name.
pub(super) fn damaged(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_path_buf(), problem: problem.into() }
}

/// `path` could not be read, or was not to be.
pub(super) fn unread(path: &Path, error: Unread) -> StoreError {
    match error {
        Unread::Io(source) => io_error("read", path)(source),
        Unread::NotAFile => damaged(path, "is no ordinary file"),
        Unread::TooLong { what, bytes, most } => damaged(
            path,
            format!("has {bytes} bytes, more than the {most} bytes that {what} can have"),
        ),
    }
}

/// The encoder failed; what the operating system said (a full disk, say) is kept as it is.
pub(super) fn write_error(path: &Path, error: ParquetError) -> StoreError {
    io_error("write", path)(into_io(error))
}

/// Tells a failing disk from bytes that are no Parquet file.
pub(super) fn read_error(path: &Path, error: ParquetError) -> StoreError {
    let text = error.to_string();
    // The library knows what it is and cannot read it.
    if let ParquetError::NYI(what) = &error {
        return undecodable(path, format!("cannot be decoded by this build: {what}"));
    }
    let source = into_io(error);
    // Decoders wrap what they cannot decode into an `io::Error` too, but without an OS code.
    if source.raw_os_error().is_some() {
        io_error("read", path)(source)
    } else {
        damaged(path, format!("cannot be read as Parquet: {text}"))
    }
}

fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}
