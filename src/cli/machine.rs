//! What this machine has to offer a download: looked at by [`look`], judged by [`judge`], which is
//! pure.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{Judged, Probe, StoreError};
use crate::storage::FolderProbe;

use super::disk::{Refusal, no_locks, refusal};
use super::report::text::size;
use super::settings::source::DoctorSettings;
use super::wiring::outside;
use super::{state, terminal};

/// A year of ticks of a series takes some 40 MB, its staging the same once more.
const ENOUGH_BYTES: u64 = 1 << 30;

/// What was found on this machine.
#[derive(Debug)]
pub(super) struct MachineFacts {
    output: PathBuf,
    folder: FolderProbe,
    /// Folders that others may look into, with their modes.
    loose: Vec<(PathBuf, u32)>,
    holders: Vec<(String, String)>,
    state_folder: Option<(PathBuf, FolderProbe)>,
    /// From where a token comes, if there is one.
    has_token: bool,
    /// Columns of the terminal, and whether it takes colours.
    canvas: (Option<usize>, bool),
}

/// Looks at the machine. What it tries out on disk is gone afterwards.
pub(super) fn look(settings: &DoctorSettings, session: &str) -> MachineFacts {
    let output = settings.root.clone();
    let state_folder = state::folder(settings.state_dir.as_deref());
    MachineFacts {
        folder: outside::folder(&output, session),
        loose: outside::private_folders(&output).into_iter().filter_map(loose).collect(),
        holders: outside::lock_holders(&output),
        state_folder: state_folder.map(|folder| {
            let probe = outside::folder(&folder, &format!("{session}-state"));
            (folder, probe)
        }),
        has_token: settings.source.token.is_some(),
        canvas: terminal::stdout_canvas(),
        output,
    }
}

#[cfg(unix)]
fn loose(folder: PathBuf) -> Option<(PathBuf, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&folder).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some((folder, mode))
}

#[cfg(not(unix))]
fn loose(_: PathBuf) -> Option<(PathBuf, u32)> {
    None
}

/// A row of each thing that was looked at; `proxy` is the one on the way to the source.
pub(super) fn judge(facts: &MachineFacts, proxy: Option<&str>) -> Vec<Probe> {
    let MachineFacts { folder, output, .. } = facts;
    vec![
        Probe::new("output", "the folder of the archive can be written", written(output, folder)),
        Probe::new("free_space", "there is room for years of ticks", room(folder)),
        Probe::new(
            "file_locks",
            "a locked file is locked for other processes",
            locks(output, folder),
        ),
        Probe::new("hard_links", "a file can have two names", links(folder)),
        Probe::new("file_names", "names differ by upper and lower case", names(folder)),
        Probe::new(
            "private_folders",
            "`.titan` keeps its inner folders to its owner",
            private(facts),
        ),
        Probe::new("runs", "it is known who works in the archive", runs(facts)),
        Probe::new("state_folder", "runs on this machine can share one budget", shared(facts)),
        Probe::new("api_token", "a token is not needed", token(facts)),
        Probe::new("proxy", "connections are made directly or by an HTTP proxy", through(proxy)),
        Probe::new("terminal", "any terminal will do, or none", canvas(facts)),
    ]
}

fn written(output: &Path, folder: &FolderProbe) -> Judged {
    match (&folder.write, folder.existed) {
        (Ok(()), true) => Judged::ok("written, synced, named and read back; nothing was left"),
        (Ok(()), false) => Judged::ok("it is not there yet and can be made; nothing was left"),
        (Err(error), existed) => {
            let (seen, hint) = refused(error, output, existed);
            Judged::failed(seen, hint)
        }
    }
}

/// What is wrong and what to do about it.
fn refused(error: &StoreError, folder: &Path, existed: bool) -> (String, String) {
    match error {
        StoreError::Io { source, .. } => {
            // Where nothing was yet, nothing can have vanished.
            let is_new = !existed && source.kind() == io::ErrorKind::NotFound;
            let kind = if is_new { io::ErrorKind::Other } else { source.kind() };
            (format!("{error}: {source}"), refusal(kind, folder).hint)
        }
        other => (other.to_string(), refusal(io::ErrorKind::Other, folder).hint),
    }
}

fn room(folder: &FolderProbe) -> Judged {
    match folder.free_bytes {
        None => Judged::skipped("the file system does not tell"),
        Some(bytes) if bytes >= ENOUGH_BYTES => Judged::ok(format!("{} are free", size(bytes))),
        Some(bytes) => Judged::differs(
            format!("{} are free", size(bytes)),
            "a year of ticks of one symbol takes about 80 MB while it is written; `--dry-run` tells \
             what yours needs",
        ),
    }
}

const NOT_WRITTEN: &str = "no file could be written there";

fn locks(output: &Path, folder: &FolderProbe) -> Judged {
    match &folder.locks {
        None => Judged::skipped(NOT_WRITTEN),
        Some(Ok(true)) => Judged::ok("yes"),
        // What a run says of it, for it ends there.
        Some(Err(error)) => {
            let Refusal { problem, hint } = no_locks(output);
            Judged::failed(format!("{problem}: {error}"), hint)
        }
        Some(Ok(false)) => Judged::differs(
            "no",
            "two runs could write one series at once; keep the archive on a local disk",
        ),
    }
}

fn links(folder: &FolderProbe) -> Judged {
    match folder.links {
        None => Judged::skipped(NOT_WRITTEN),
        Some(true) => Judged::ok("yes"),
        Some(false) => Judged::differs("no", "harmless: what is kept of an old file is copied"),
    }
}

fn names(folder: &FolderProbe) -> Judged {
    match folder.case_matters {
        None => Judged::skipped(NOT_WRITTEN),
        Some(true) => Judged::ok("yes"),
        Some(false) => Judged::differs(
            "no",
            "two symbols that differ by case alone would share a folder; none do at present",
        ),
    }
}

fn private(facts: &MachineFacts) -> Judged {
    if facts.loose.is_empty() {
        return Judged::ok("yes, or they are not there yet");
    }
    let folders: Vec<_> = facts
        .loose
        .iter()
        .map(|(folder, mode)| format!("{} has {mode:o}", folder.display()))
        .collect();
    Judged::differs(folders.join(", "), "others can look into them; `chmod 700` them")
}

fn runs(facts: &MachineFacts) -> Judged {
    if facts.holders.is_empty() {
        return Judged::ok("nobody");
    }
    let holders: Vec<_> =
        facts.holders.iter().map(|(series, owner)| format!("{series}: {owner}")).collect();
    Judged::ok(holders.join("; "))
}

fn shared(facts: &MachineFacts) -> Judged {
    let means = "runs ask at half their rate; name a folder that can be written with `--state-dir`";
    match &facts.state_folder {
        None => Judged::differs("there is no place for it without a home folder", means),
        Some((_, FolderProbe { write: Ok(()), .. })) => Judged::ok("its folder can be written"),
        Some((folder, FolderProbe { write: Err(error), existed, .. })) => {
            Judged::differs(refused(error, folder, *existed).0, means)
        }
    }
}

fn token(facts: &MachineFacts) -> Judged {
    Judged::ok(if facts.has_token { "one is given" } else { "none is given" })
}

fn through(proxy: Option<&str>) -> Judged {
    Judged::ok(proxy.map_or_else(|| "no proxy is used".to_owned(), str::to_owned))
}

fn canvas(facts: &MachineFacts) -> Judged {
    Judged::ok(match facts.canvas {
        (None, _) => "stdout is no terminal".to_owned(),
        (Some(columns), true) => format!("{columns} columns, with colours"),
        (Some(columns), false) => format!("{columns} columns, without colours"),
    })
}

#[cfg(test)]
mod tests {
    use crate::domain::Verdict;

    use super::*;

    fn good() -> FolderProbe {
        FolderProbe {
            existed: true,
            write: Ok(()),
            links: Some(true),
            locks: Some(Ok(true)),
            case_matters: Some(true),
            free_bytes: Some(1 << 40),
        }
    }

    fn facts(folder: FolderProbe) -> MachineFacts {
        MachineFacts {
            output: "data_cache".into(),
            folder,
            loose: Vec::new(),
            holders: Vec::new(),
            state_folder: Some(("state".into(), good())),
            has_token: false,
            canvas: (None, false),
        }
    }

    /// The names of the rows that are not fine.
    fn bad(facts: &MachineFacts) -> Vec<&'static str> {
        let rows = judge(facts, None).into_iter();
        rows.filter(|row| row.verdict != Verdict::Ok).map(|row| row.name).collect()
    }

    fn denied() -> StoreError {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        StoreError::Io { doing: "create", path: "data_cache/x".into(), source }
    }

    #[test]
    fn a_good_machine_has_nothing_to_complain_of() {
        assert!(bad(&facts(good())).is_empty());
        assert!(bad(&facts(FolderProbe { existed: false, ..good() })).is_empty());
    }

    #[test]
    fn each_shortcoming_has_its_row() {
        let none: [&str; 0] = [];
        let of = |folder| bad(&facts(folder));
        assert_eq!(of(FolderProbe { locks: Some(Ok(false)), ..good() }), ["file_locks"]);
        // ENOLCK, as NFS says without its lock service.
        let no_lock = || Some(Err(io::Error::from_raw_os_error(37)));
        assert_eq!(of(FolderProbe { locks: no_lock(), ..good() }), ["file_locks"]);
        let judged = locks(Path::new("data"), &FolderProbe { locks: no_lock(), ..good() });
        assert!(format!("{judged:?}").contains("local disk"), "{judged:?}");
        assert_eq!(of(FolderProbe { links: Some(false), ..good() }), ["hard_links"]);
        assert_eq!(of(FolderProbe { case_matters: Some(false), ..good() }), ["file_names"]);
        assert_eq!(of(FolderProbe { free_bytes: Some(1 << 20), ..good() }), ["free_space"]);
        assert_eq!(of(FolderProbe { write: Err(denied()), ..good() }), ["output"]);
        let mut loose = facts(good());
        loose.loose = vec![("x".into(), 0o755)];
        assert_eq!(bad(&loose), ["private_folders"]);
        let mut homeless = facts(good());
        homeless.state_folder = None;
        assert_eq!(bad(&homeless), ["state_folder"]);
        homeless.state_folder = Some(("x".into(), FolderProbe { write: Err(denied()), ..good() }));
        assert_eq!(bad(&homeless), ["state_folder"]);
        let mut busy = facts(good());
        busy.holders = vec![("R_100/ticks".into(), "process 7 on `host`".into())];
        assert_eq!(bad(&busy), none);
    }
}
