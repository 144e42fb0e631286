//! Where files may be written that lie outside the archive: never onto something that is not theirs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::error::Failure;

/// A file of ours outside the archive, which is replaced as a whole each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct OwnFile {
    /// The option that names it.
    pub(in super::super) option: &'static str,
    /// What it is, to be read after `the`.
    pub(in super::super) what: &'static str,
    /// How it begins; another file is somebody else's.
    pub(in super::super) beginning: &'static [u8],
}

/// The file of metrics.
pub(in super::super) const METRICS: OwnFile = OwnFile {
    option: "--metrics-file",
    what: "metrics file",
    beginning: b"# HELP titan_download_",
};

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("cannot write the {0} `{1}`")]
    Io(&'static str, String, #[source] io::Error),
    #[error("the {0} `{1}` is refused: {2} would be replaced")]
    Foreign(&'static str, String, &'static str),
    #[error("`{0}` names the file `{1}` inside the archive")]
    Inside(&'static str, String),
}

/// Tells whether a file of ours may take the place of what lies at `path`: nothing, or an earlier
/// one of ours. Reads only.
///
/// # Errors
///
/// If something else lies there, if it is inside the archive, or its folder is not there.
pub(in super::super) fn may_be_replaced(
    own: OwnFile,
    path: &Path,
    output: &Path,
) -> Result<(), Failure> {
    let OwnFile { option, what: name, beginning } = own;
    must_lie_outside(option, path, output)?;
    let shown = || path.display().to_string();
    let foreign = |what| {
        let failure = Failure::cannot_start(Refused::Foreign(name, shown(), what));
        Err(failure.with_hint(format!("name a file of its own with `{option}`")))
    };
    let failed = |error| {
        let failure = Failure::cannot_start(Refused::Io(name, shown(), error));
        Err(failure
            .with_hint(format!("name a file in a folder that can be written with `{option}`")))
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::metadata(folder(path)) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => failed(io::ErrorKind::NotADirectory.into()),
            Err(error) => failed(error),
        },
        Err(error) => failed(error),
        Ok(found) if found.is_symlink() => foreign("a symbolic link"),
        Ok(found) if !found.is_file() => foreign("what is no ordinary file"),
        Ok(found) if found.len() == 0 => Ok(()),
        Ok(_) => match begins_with(path, beginning) {
            Ok(true) => Ok(()),
            Ok(false) => foreign("a file that holds something else"),
            Err(error) => failed(error),
        },
    }
}

fn begins_with(path: &Path, expected: &[u8]) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?.take(expected.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning == expected)
}

/// Refuses a file inside the archive: nothing but the archive is written there.
///
/// # Errors
///
/// If it is.
pub(in super::super) fn must_lie_outside(
    option: &'static str,
    path: &Path,
    output: &Path,
) -> Result<(), Failure> {
    let (Ok(folder), Ok(archive)) = (folder(path).canonicalize(), output.canonicalize()) else {
        return Ok(());
    };
    if !folder.starts_with(archive) {
        return Ok(());
    }
    let failure = Failure::cannot_start(Refused::Inside(option, path.display().to_string()));
    Err(failure.with_hint("name a file outside the folder of the archive"))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_and_what_is_ours_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("data");
        fs::create_dir_all(archive.join("R_100/ticks")).unwrap();
        let check = |name: &str, is_allowed: bool| {
            let found = may_be_replaced(METRICS, &folder.path().join(name), &archive);
            assert_eq!(found.is_ok(), is_allowed, "{name}: {found:?}");
        };
        fs::write(folder.path().join("foreign"), "mine").unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        fs::write(folder.path().join("ours"), "# HELP titan_download_build_info x\n").unwrap();
        fs::write(archive.join("R_100/ticks/2026-03.parquet"), "PAR1").unwrap();
        check("new.prom", true);
        check("empty", true);
        check("ours", true);
        check("foreign", false);
        check("data", false);
        check("nowhere/x.prom", false);
        check("foreign/x.prom", false);
        check("data/R_100/ticks/2026-03.parquet", false);
        check("data/x.prom", false);
        check("data/../x.prom", true);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("ours", folder.path().join("link")).unwrap();
            check("link", false);
            assert!(may_be_replaced(METRICS, Path::new("/dev/full"), &archive).is_err());
        }
    }
}
