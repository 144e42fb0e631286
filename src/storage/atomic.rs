//! Write aside, fsync the file, rename, fsync the directory: the only `rename` of the crate.
//!
//! Every file of an archive gets its name here, so no call site can forget a step. The steps are
//! separate values ([`Draft`], [`Renamed`]); a crash between any two of them leaves either the old
//! file or the new one, and at worst a draft that the next run sweeps. Also here: making folders
//! durably, removing, and the check that no symbolic link lies in the archive. Nothing else in
//! `storage` changes the disk but the owner records of locks, and each change is told to `steps`.

#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::domain::StoreError;
use crate::format::open_ordinary;

use super::errors::{damaged, io_error, unread};
use super::steps::{Op, step};

/// Ends the name of every unfinished file; readers that look for `*.parquet` never see one.
pub(super) const DRAFT_SUFFIX: &str = ".titan-tmp";

/// A file under its temporary name, in the folder of its final one.
///
/// Dropping it removes the file: an error on the way leaves nothing behind.
#[derive(Debug)]
pub(super) struct Draft {
    temp: PathBuf,
    target: PathBuf,
    file: File,
    is_renamed: bool,
}

/// A file that has its final name, but may lose it if the machine stops now.
#[derive(Debug)]
#[must_use = "the name is durable only after the folder is synced"]
pub(super) struct Renamed {
    target: PathBuf,
}

impl Draft {
    /// Creates an empty draft of `target`; `unique` must never be used again.
    pub(super) fn create(target: &Path, unique: &str) -> Result<Self, StoreError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temp = target.with_file_name(format!(".{name}.{unique}{DRAFT_SUFFIX}"));
        let create = || {
            step(Op::Create(&temp));
            public_file().write(true).create_new(true).open(&temp)
        };
        let file = match create() {
            // A dead run had the same name, which happens where every run is process 1.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !is_in_use(&temp) => {
                remove_file(&temp).and_then(|()| create())
            }
            result => result,
        };
        let file = file.map_err(io_error("create", &temp))?;
        mark_in_use(&file);
        Ok(Self { temp, target: target.to_path_buf(), file, is_renamed: false })
    }

    /// Where it lies now.
    pub(super) fn path(&self) -> &Path {
        &self.temp
    }

    /// A second handle to write through.
    pub(super) fn writer(&self) -> Result<File, StoreError> {
        step(Op::Write(&self.temp));
        self.file.try_clone().map_err(io_error("open", &self.temp))
    }

    /// Makes the content durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        step(Op::Sync(&self.temp));
        self.file.sync_all().map_err(io_error("sync", &self.temp))
    }

    /// Leaves it behind, as a process that dies does.
    #[cfg(test)]
    pub(super) fn abandon(mut self) {
        self.is_renamed = true;
    }

    /// Takes the final name, replacing what had it.
    pub(super) fn rename(mut self) -> Result<Renamed, StoreError> {
        rename(&self.temp, &self.target)?;
        self.is_renamed = true;
        Ok(Renamed { target: self.target.clone() })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_renamed {
            // The next run sweeps what cannot be removed now.
            let _ = remove_file(&self.temp);
        }
    }
}

impl Renamed {
    /// Makes the new name durable.
    pub(super) fn sync_dir(self) -> Result<(), StoreError> {
        sync_dir(parent_of(&self.target))
    }
}

/// Writes a small file in one go: all steps, in order.
pub(super) fn write_file(target: &Path, unique: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let draft = Draft::create(target, unique)?;
    draft.writer()?.write_all(bytes).map_err(io_error("write", draft.path()))?;
    draft.sync()?;
    draft.rename()?.sync_dir()
}

/// Moves a file that cannot be trusted out of the way, durably. The folder of `to` must exist. A
/// folder of the archive may lie on another file system: then the file is copied, and removed only
/// once the copy is durable.
pub(super) fn move_aside(from: &Path, to: &Path) -> Result<(), StoreError> {
    match rename(from, to) {
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => {
            move_across(from, to)?;
        }
        renamed => renamed?,
    }
    sync_dir(parent_of(to))?;
    sync_dir(parent_of(from))
}

fn move_across(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut file = File::open(from).map_err(io_error("open", from))?;
    // A stopped move leaves a draft that the sweep of the folder, or this, takes away.
    let draft = Draft::create(to, "moving")?;
    std::io::copy(&mut file, &mut draft.writer()?).map_err(io_error("write", draft.path()))?;
    draft.sync()?;
    draft.rename()?.sync_dir()?;
    remove_if_any(from)
}

/// Gives a file a second name, durably, where the file system knows such links, else a copy. A file
/// that is not there is nothing to keep; one that lies at `to` is taken to be it. The folder of
/// `to` must exist; `unique` must never be used again.
pub(super) fn keep(from: &Path, to: &Path, unique: &str) -> Result<(), StoreError> {
    let mut file = match open_ordinary(from) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(unread(from, error)),
    };
    // Whoever wrote it need not have synced it, and soon this name is the only one.
    step(Op::Sync(from));
    file.sync_all().map_err(io_error("sync", from))?;
    if fs::symlink_metadata(to).is_ok() || link(from, to).is_ok() {
        return sync_dir(parent_of(to));
    }
    let draft = Draft::create(to, unique)?;
    std::io::copy(&mut file, &mut draft.writer()?).map_err(io_error("write", draft.path()))?;
    draft.sync()?;
    draft.rename()?.sync_dir()
}

/// Makes `dir` and whatever is missing above it, durably; returns what it made, outermost first.
///
/// `mode` holds for `dir` itself (on Unix, before the process's mask).
pub(super) fn make_dir(dir: &Path, mode: u32) -> Result<Vec<PathBuf>, StoreError> {
    let missing: Vec<_> =
        dir.ancestors().take_while(|at| !at.as_os_str().is_empty() && !at.is_dir()).collect();
    let mut made = Vec::new();
    for at in missing.into_iter().rev() {
        let result = make_one(at, if at == dir { mode } else { 0o755 })
            .and_then(|()| sync_dir(parent_of(at)));
        match result {
            Ok(()) => made.push(at.to_path_buf()),
            Err(error) => {
                remove_dirs(&made);
                return Err(error);
            }
        }
    }
    Ok(made)
}

/// Takes folders away again that were just made, innermost first, if they are still empty.
pub(super) fn remove_dirs(made: &[PathBuf]) {
    made.iter().rev().for_each(|dir| remove_dir_if_empty(dir));
}

/// Removes a folder unless something is left inside.
#[allow(clippy::disallowed_methods, reason = "told to `steps`")]
pub(super) fn remove_dir_if_empty(dir: &Path) {
    step(Op::RemoveDir(dir));
    let _ = fs::remove_dir(dir);
}

/// Removes a file that may be gone already.
pub(super) fn remove_if_any(path: &Path) -> Result<(), StoreError> {
    match remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file, durably; tells whether there was one.
pub(super) fn remove_if_there(path: &Path) -> Result<bool, StoreError> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(false);
    }
    remove_if_any(path)?;
    sync_dir(parent_of(path))?;
    Ok(true)
}

/// Removes the draft of a dead run; one that a living process works on stays.
pub(super) fn sweep_draft(path: &Path) -> Result<(), StoreError> {
    if is_in_use(path) { Ok(()) } else { remove_if_any(path) }
}

#[allow(clippy::disallowed_methods, reason = "told to `steps`")]
fn remove_file(path: &Path) -> std::io::Result<()> {
    step(Op::Remove(path));
    fs::remove_file(path)
}

/// How files are made and opened: readable for everybody whatever the mask of the process is, unless
/// the mask says that even reading is too much, and never through a link.
pub(super) fn public_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe in the place of a file would be waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o644).custom_flags(flags.bits().cast_signed());
    }
    options
}

/// Locks a draft while its process lives, so that nobody else takes it for one of a dead run, even
/// if both believe that the series is theirs. Where files cannot be locked, the lock of the series
/// has to do.
fn mark_in_use(file: &File) {
    // Elsewhere a lock would keep the draft from being read back.
    #[cfg(unix)]
    let _ = file.try_lock();
    #[cfg(not(unix))]
    let _ = file;
}

fn is_in_use(draft: &Path) -> bool {
    #[cfg(unix)]
    let is_locked = public_file()
        .read(true)
        .open(draft)
        .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    #[cfg(not(unix))]
    let is_locked = false;
    is_locked
}

#[allow(clippy::disallowed_methods, reason = "told to `steps`")]
fn make_one(dir: &Path, mode: u32) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    #[cfg(not(unix))]
    let _ = mode;
    step(Op::MakeDir(dir));
    match builder.create(dir) {
        // Another thread or run was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        result => result.map_err(io_error("create the folder", dir)),
    }
}

/// Which file bears a name: another value once another file took it; nothing if none does.
pub(super) fn identity(path: &Path) -> Option<u64> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    return Some(std::os::unix::fs::MetadataExt::ino(&metadata));
    #[cfg(not(unix))]
    Some(metadata.len())
}

/// Refuses `path` if a symbolic link lies on the way from `root`, or in its place.
///
/// The root itself may be a link: that is the user's choice of a disk. Below it a link could lead
/// what is written, moved or removed to anywhere, into another series too.
pub(super) fn confine(root: &Path, path: &Path) -> Result<(), StoreError> {
    let relative = path
        .strip_prefix(root)
        .map_err(|_| damaged(path, "does not lie in the folder of the archive"))?;
    let mut at = root.to_path_buf();
    for part in relative {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_symlink() => {
                return Err(damaged(
                    &at,
                    "is a symbolic link, which is never followed inside an archive; put a real \
                     folder or file there",
                ));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("look at", &at)(error)),
        }
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "told to `steps`")]
pub(super) fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    step(Op::Link(from, to));
    fs::hard_link(from, to)
}

#[allow(clippy::disallowed_methods, reason = "this is the one rename; its callers sync after it")]
fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    step(Op::Rename(from, to));
    fs::rename(from, to).map_err(io_error("give its final name to", from))
}

/// Makes names that were added to or removed from `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    step(Op::SyncDir(dir));
    // Elsewhere a folder cannot be opened as a file, and names are durable without this.
    #[cfg(unix)]
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync the folder", dir))?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("2026-03.parquet");
        fs::write(&target, "old").unwrap();

        let draft = Draft::create(&target, "run-1").unwrap();
        draft.writer().unwrap().write_all(b"new").unwrap();
        assert_eq!(names(dir.path()), [".2026-03.parquet.run-1.titan-tmp", "2026-03.parquet"]);
        draft.sync().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        draft.rename().unwrap().sync_dir().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(names(dir.path()), ["2026-03.parquet"]);
    }

    #[test]
    fn what_is_kept_outlives_its_first_name() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (dir.path().join("old"), other.path().join("kept"));
        fs::write(&from, "old").unwrap();
        for _ in 0..2 {
            keep(&from, &to, "1").unwrap();
        }
        write_file(&from, "2", b"new").unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        assert_eq!(names(other.path()), ["kept"]);
        keep(&dir.path().join("nothing"), &other.path().join("none"), "3").unwrap();
        assert_eq!(names(other.path()), ["kept"]);
    }

    /// `/dev/shm` is a file system of its own wherever it is there.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_moves_to_another_file_system() {
        let Ok(there) = tempfile::tempdir_in("/dev/shm") else { return };
        let here = tempfile::tempdir().unwrap();
        let (from, to) = (there.path().join("a.parquet"), here.path().join("a.parquet.set-aside"));
        fs::write(&from, "rows").unwrap();
        // What a stopped move left behind is in nobody's way.
        fs::write(here.path().join(".a.parquet.set-aside.moving.titan-tmp"), "ro").unwrap();
        move_aside(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "rows");
        assert_eq!((names(there.path()).len(), names(here.path()).len()), (0, 1));
        assert!(move_aside(&from, &to).is_err(), "there is nothing to move");
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Draft::create(&dir.path().join("a"), "1").unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn folders_are_made_with_their_parents_and_named_outermost_first() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        assert_eq!(make_dir(&deep, 0o755).unwrap(), [dir.path().join("a"), deep.clone()]);
        assert!(make_dir(&deep, 0o755).unwrap().is_empty());
    }

    #[test]
    fn a_folder_below_a_file_is_an_error_that_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = make_dir(&file.join("a/b"), 0o755).unwrap_err();
        assert!(error.to_string().starts_with("cannot create the folder"), "{error}");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed_below_the_root() {
        use std::os::unix::fs::symlink;

        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = root.path();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("inside")).unwrap();
        symlink(outside.path(), root.join("outside")).unwrap();
        symlink(root.join("nowhere"), root.join("dangling")).unwrap();

        confine(root, &root.join("real/new.parquet")).unwrap();
        let other_name = outside.path().join("root");
        symlink(root, &other_name).unwrap();
        confine(&other_name, &other_name.join("real/new.parquet")).unwrap();
        for link in ["inside", "outside", "dangling"] {
            let error = confine(root, &root.join(link).join("new.parquet")).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
    }
}
