//! What the operating system refused, in words of its own for each reason, and what to do about it.

use std::io::ErrorKind;
use std::path::Path;

/// Why the archive could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is wrong.
    pub(super) problem: &'static str,
    /// What a person can do about it.
    pub(super) hint: String,
}

/// Names the reason; `output` is the folder of the archive.
pub(super) fn refusal(kind: ErrorKind, output: &Path) -> Refusal {
    let output = output.display();
    let (problem, hint) = match kind {
        ErrorKind::StorageFull => (
            "the disk is full",
            format!("make room on the disk of `{output}`, or use another one with `--output`"),
        ),
        ErrorKind::QuotaExceeded => (
            "the disk quota is used up",
            format!("remove files or have the quota of `{output}` raised"),
        ),
        ErrorKind::FileTooLarge => (
            "a file would become larger than is allowed",
            "raise the limit (`ulimit -f`), or use a file system that holds larger files".into(),
        ),
        ErrorKind::PermissionDenied => (
            "the archive may not be written",
            format!("check the permissions of `{output}` and of what lies in it"),
        ),
        ErrorKind::ReadOnlyFilesystem => (
            "the file system is read-only",
            format!(
                "mount the file system of `{output}` writable; if it turned read-only by itself, \
                 the disk may be failing"
            ),
        ),
        ErrorKind::CrossesDevices => (
            "a folder of the archive lies on another file system",
            format!("keep all of `{output}` on one file system, without mounts or links inside"),
        ),
        ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle => (
            "the folder of the archive has vanished",
            format!("bring `{output}` back: it was unmounted, moved or deleted during the run"),
        ),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => (
            "a file is where a folder has to be",
            "a file is where a folder has to be; give the archive another folder with `--output`"
                .into(),
        ),
        _ => (
            "the archive cannot be written any more",
            format!("check the permissions of `{output}` and the space on its disk"),
        ),
    };
    Refusal { problem, hint }
}

/// The file system knows no file locks, or refuses them: without them two runs could write one
/// series at once.
pub(super) fn no_locks(output: &Path) -> Refusal {
    let output = output.display();
    Refusal {
        problem: "files cannot be locked there",
        hint: format!(
            "keep `{output}` on a local disk, or turn locks on where it is mounted (NFS: without \
             `nolock`, and with the lock service running)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;

    use super::*;

    /// The numbers are those of Linux; what matters is that each reason has words of its own.
    #[cfg(target_os = "linux")]
    #[test]
    fn every_reason_has_its_own_words() {
        let said = |number, part: &str| {
            let refusal =
                refusal(io::Error::from_raw_os_error(number).kind(), Path::new("data_cache"));
            assert!(refusal.problem.contains(part), "{number}: {}", refusal.problem);
            assert!(!refusal.hint.is_empty());
            refusal.problem
        };
        let (enoent, eperm, eacces, eio) = (2, 1, 13, 5);
        let (exdev, enotdir, efbig, enospc, erofs, edquot) = (18, 20, 27, 28, 30, 122);
        let all = [
            said(enospc, "full"),
            said(edquot, "quota"),
            said(efbig, "larger"),
            said(eacces, "may not"),
            said(erofs, "read-only"),
            said(exdev, "another file system"),
            said(enoent, "vanished"),
            said(enotdir, "a file is where"),
            said(eio, "cannot be written"),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(said(eperm, "may not"), said(eacces, "may not"));
    }
}
