//! Small files beside the data, in which a run tells others of itself. They appear whole, like
//! everything else, but nothing depends on them: no crash has to be repaired for their sake.

use std::fs;
use std::path::Path;

use crate::domain::StoreError;
use crate::format::Layout;

use super::errors::io_error;
use super::staging::{file_name, list, read_if_any};
use super::{Names, atomic, lock, steps};

/// Serialises runs on different series, which are different processes.
const LOCK_NAME: &str = "last-run.lock";

/// No `last-run.json` of ours is nearly as large; what is larger is not read.
const MOST_BYTES: u64 = 1 << 20;

/// Writes the small files of one run.
#[derive(Debug)]
pub struct SmallFiles {
    names: Names,
}

impl SmallFiles {
    /// For the run with this name.
    pub fn new(session: &str) -> Self {
        Self { names: Names::new(session) }
    }

    /// Replaces `target` by a file with this content. Its folder must exist. On the way the content
    /// has a name in that folder that begins with a dot and ends in `.titan-tmp`.
    ///
    /// # Errors
    ///
    /// If it cannot be written; the old file stays then.
    pub fn replace(&self, target: &Path, content: &[u8]) -> Result<(), StoreError> {
        steps::aside(|| atomic::write_file(target, &self.names.next(), content))
    }

    /// Removes what dead runs left behind while they were replacing `target`. Failing is no harm.
    pub fn sweep(&self, target: &Path) {
        let start = format!(".{}.", file_name(target));
        let folder = target.parent().filter(|dir| !dir.as_os_str().is_empty());
        for path in list(folder.unwrap_or(Path::new("."))).unwrap_or_default() {
            let name = file_name(&path);
            // Only where it shows who lives.
            if cfg!(unix) && name.starts_with(&start) && name.ends_with(atomic::DRAFT_SUFFIX) {
                let _ = steps::aside(|| atomic::sweep_draft(&path));
            }
        }
    }

    /// Replaces `last-run.json` of an archive by what `change` makes of it; `None` leaves it. What
    /// is too large to be ours comes as empty. Tells whether the archive is there at all: none is
    /// made for this.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written.
    pub fn update_last_run(
        &self,
        root: &Path,
        change: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<bool, StoreError> {
        let layout = Layout::new(root);
        if !layout.locks_dir().is_dir() {
            return Ok(false);
        }
        let path = layout.last_run();
        let lock_path = layout.locks_dir().join(LOCK_NAME);
        atomic::confine(root, &path)?;
        atomic::confine(root, &lock_path)?;
        let lock = lock::open(&lock_path)?;
        lock.lock().map_err(io_error("lock", &lock_path))?;
        let old = match fs::metadata(&path) {
            Ok(found) if found.len() > MOST_BYTES => Some(Vec::new()),
            _ => read_if_any(&path)?,
        };
        match change(old.as_deref()) {
            Some(new) => self.replace(&path, &new).map(|()| true),
            None => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(Layout::new(dir.path()).locks_dir()).unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = list(dir).unwrap().iter().map(|path| file_name(path)).collect();
        names.sort();
        names
    }

    #[test]
    fn no_archive_is_made_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let wrote = SmallFiles::new("s").update_last_run(dir.path(), |_| Some(b"x".to_vec()));
        assert!(!wrote.unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn each_change_sees_the_one_before_and_what_is_too_large_is_not_read() {
        let dir = archive();
        let files = SmallFiles::new("s");
        let path = Layout::new(dir.path()).last_run();
        let mut seen = Vec::new();
        for text in ["one", "two"] {
            let change = |old: Option<&[u8]>| {
                seen.push(old.map(<[u8]>::to_vec));
                Some(text.as_bytes().to_vec())
            };
            assert!(files.update_last_run(dir.path(), change).unwrap());
        }
        assert_eq!(seen, [None, Some(b"one".to_vec())]);
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        files.update_last_run(dir.path(), |old| Some(old.unwrap().to_vec())).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn runs_side_by_side_lose_nothing_of_each_other() {
        let dir = archive();
        std::thread::scope(|scope| {
            for run in 0..4 {
                let root = dir.path();
                scope.spawn(move || {
                    let files = SmallFiles::new(&run.to_string());
                    let longer =
                        |old: Option<&[u8]>| Some([old.unwrap_or_default(), b"x"].concat());
                    for _ in 0..10 {
                        files.update_last_run(root, longer).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read(Layout::new(dir.path()).last_run()).unwrap().len(), 40);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_of_the_archive_is_not_followed() {
        let (dir, outside) = (archive(), tempfile::tempdir().unwrap());
        let target = outside.path().join("theirs");
        fs::write(&target, "theirs").unwrap();
        std::os::unix::fs::symlink(&target, Layout::new(dir.path()).last_run()).unwrap();
        let error = SmallFiles::new("s").update_last_run(dir.path(), |_| Some(Vec::new()));
        assert!(error.unwrap_err().to_string().contains("symbolic link"));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
    }

    #[cfg(unix)]
    #[test]
    fn drafts_of_dead_runs_are_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("titan.prom");
        for name in [".titan.prom.dead-1.titan-tmp", ".other.prom.dead-1.titan-tmp", "x.prom"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let living = atomic::Draft::create(&target, "living-1").unwrap();
        let files = SmallFiles::new("s");
        files.sweep(&target);
        files.replace(&target, b"new").unwrap();
        assert_eq!(
            names(dir.path()),
            [
                ".other.prom.dead-1.titan-tmp",
                ".titan.prom.living-1.titan-tmp",
                "titan.prom",
                "x.prom"
            ]
        );
        drop(living);
    }
}
