//! The file of the log: written by a thread of its own, so that no disk ever holds up the run.
//!
//! Lines wait in a bounded queue. Whatever does not fit, or cannot be written, is lost, counted
//! and told. The file is only ever appended to, so several processes may share it, and it is opened
//! anew when another file or none bears its name, so it may be rotated in any way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::error::Failure;

/// Lines and bytes that may wait.
const MOST_LINES: usize = 8_192;
const MOST_BYTES: usize = 4 << 20;

/// Between two looks at whose name the file has.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the last lines.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The log file could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log file `{path}`")]
struct CannotOpen {
    path: String,
    source: io::Error,
}

/// Makes the line that says how many lines were lost, and why.
type Note = dyn Fn(u64, &str) -> String + Send;

enum Message {
    Line(String),
    End,
}

/// What thread and queue share.
#[derive(Debug, Default)]
struct Shared {
    n_bytes: AtomicUsize,
    /// Lost since the last line that says so.
    n_lost: AtomicU64,
    /// Lost at all.
    n_lost_ever: AtomicU64,
    why: Mutex<String>,
}

impl Shared {
    fn lose(&self, why: &str) {
        self.n_lost.fetch_add(1, Ordering::Relaxed);
        self.n_lost_ever.fetch_add(1, Ordering::Relaxed);
        let mut known = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != why {
            why.clone_into(&mut known);
        }
    }

    fn why(&self) -> String {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes lines, and never waits.
#[derive(Clone)]
pub(super) struct Queue {
    messages: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl Queue {
    pub(super) fn push(&self, line: &str) {
        const SLOW: &str = "the disk is too slow";
        let n_waiting = self.shared.n_bytes.load(Ordering::Relaxed);
        if n_waiting + line.len() > MOST_BYTES {
            return self.shared.lose(SLOW);
        }
        self.shared.n_bytes.fetch_add(line.len(), Ordering::Relaxed);
        if self.messages.try_send(Message::Line(line.to_owned())).is_err() {
            self.shared.n_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.shared.lose(SLOW);
        }
    }
}

/// The file; [`finish`](Self::finish) it before the process ends.
pub struct LogFile {
    path: PathBuf,
    queue: Queue,
    ended: Receiver<()>,
}

impl LogFile {
    /// Opens the file, making it if need be, and starts its thread. `note` makes the line that says
    /// how many lines were lost, and why.
    pub(super) fn open(
        path: &Path,
        note: impl Fn(u64, &str) -> String + Send + 'static,
    ) -> Result<Self, Failure> {
        let fail = |source| {
            let error = CannotOpen { path: path.display().to_string(), source };
            Failure::cannot_start(error)
                .with_hint("name a file in a folder that can be written with `--log-file`")
        };
        let file = open(path).map_err(fail)?;
        let (messages, received) = mpsc::sync_channel(MOST_LINES);
        let (end, ended) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            path: path.to_owned(),
            file: Some(file),
            looked_at: Instant::now(),
            is_torn: false,
            shared: Arc::clone(&shared),
            note: Box::new(note),
        };
        // Never joined, for its disk may hang for ever; `finish` waits for its word instead.
        std::thread::Builder::new()
            .name("log file".to_owned())
            .spawn(move || {
                writer.work(&received);
                let _ = end.send(());
            })
            .map_err(|error| Failure::no_thread(&error, 0, 1))?;
        Ok(Self { path: path.to_owned(), queue: Queue { messages, shared }, ended })
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Writes what waits; tells what a person should know: whether the log is not whole.
    pub fn finish(self) -> Option<String> {
        let deadline = Instant::now() + END_WITHIN;
        while let Err(TrySendError::Full(_)) = self.queue.messages.try_send(Message::End) {
            if Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let path = self.path.display();
        if self.ended.recv_timeout(left).is_err() {
            return Some(format!(
                "warning: the log file `{path}` did not take its last lines in time"
            ));
        }
        let n_lost = self.queue.shared.n_lost_ever.load(Ordering::Relaxed);
        let plural = if n_lost == 1 { "line is" } else { "lines are" };
        let why = self.queue.shared.why();
        (n_lost > 0)
            .then(|| format!("warning: {n_lost} {plural} missing in the log file `{path}`: {why}"))
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe that nobody reads is refused rather than waited for.
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        options.mode(0o644).custom_flags(i32::try_from(flags).unwrap_or(0));
    }
    options.open(path)
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    looked_at: Instant,
    /// Half a line was written, and its rest could not be.
    is_torn: bool,
    shared: Arc<Shared>,
    note: Box<Note>,
}

impl Writer {
    fn work(mut self, received: &Receiver<Message>) {
        while let Ok(Message::Line(line)) = received.recv() {
            self.shared.n_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            if self.looked_at.elapsed() >= LOOK_EVERY {
                self.looked_at = Instant::now();
                self.look();
            }
            if let Err(error) = self.write(&line) {
                self.shared.lose(&error.to_string());
            }
        }
    }

    /// Follows the name: after a rotation another file has it, or none.
    fn look(&mut self) {
        let is_ours = self.file.as_ref().is_some_and(|file| has_name(file, &self.path));
        if !is_ours {
            self.file = open(&self.path).ok();
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        let n_lost = self.shared.n_lost.load(Ordering::Relaxed);
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        if n_lost > 0 {
            text.push_str(&(self.note)(n_lost, &self.shared.why()));
        }
        text.push_str(line);
        // In one piece, so that processes that share the file do not mix their lines.
        let written = file.write_all(text.as_bytes());
        self.is_torn = written.is_err();
        if written.is_ok() {
            self.shared.n_lost.fetch_sub(n_lost, Ordering::Relaxed);
        }
        written
    }
}

/// Whether `path` names this very file.
fn has_name(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (own.dev(), own.ino()) == (named.dev(), named.ino())
    }
    #[cfg(not(unix))]
    {
        // There an open file keeps its name.
        let _ = (own, named);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(n_lost: u64, why: &str) -> String {
        format!("{n_lost} lost: {why}\n")
    }

    #[test]
    fn lines_are_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for line in ["one\n", "two\n"] {
            let file = LogFile::open(&path, note).unwrap();
            file.queue().push(line);
            assert_eq!(file.finish(), None);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn what_cannot_be_opened_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("no/log")] {
            let failure = LogFile::open(&path, note).err().unwrap();
            assert!(failure.chain()[0].starts_with("cannot open the log file"), "{failure:?}");
            assert!(failure.hint.is_some());
        }
    }

    fn writer(path: &Path) -> Writer {
        Writer {
            path: path.to_owned(),
            file: open(path).ok(),
            looked_at: Instant::now(),
            is_torn: false,
            shared: Arc::default(),
            note: Box::new(note),
        }
    }

    #[cfg(unix)]
    #[test]
    fn whatever_has_the_name_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        let mut writer = writer(&path);
        writer.write("one\n").unwrap();
        fs::rename(&path, &old).unwrap();
        writer.look();
        writer.write("two\n").unwrap();
        fs::remove_file(&path).unwrap();
        writer.look();
        writer.write("three\n").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        // As `copytruncate` does.
        fs::write(&path, "").unwrap();
        writer.write("four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn what_was_lost_is_told_where_it_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/log");
        let mut writer = writer(&path);
        assert!(writer.write("one\n").is_err());
        writer.shared.lose("gone");
        writer.shared.lose("gone");
        fs::create_dir(path.parent().unwrap()).unwrap();
        writer.look();
        writer.is_torn = true;
        writer.write("two\n").unwrap();
        writer.write("three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "\n2 lost: gone\ntwo\nthree\n");
    }

    #[test]
    fn nobody_waits_for_a_queue_that_is_full() {
        let (messages, _received) = mpsc::sync_channel(2);
        let queue = Queue { messages, shared: Arc::default() };
        for _ in 0..5 {
            queue.push("line\n");
        }
        assert_eq!(queue.shared.n_lost.load(Ordering::Relaxed), 3);
        assert_eq!(queue.shared.n_bytes.load(Ordering::Relaxed), 10);
        queue.push(&"x".repeat(MOST_BYTES));
        assert_eq!(queue.shared.n_lost_ever.load(Ordering::Relaxed), 4);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let file = LogFile::open(Path::new("/dev/full"), note).unwrap();
        file.queue().push("one\n");
        file.queue().push("two\n");
        let said = file.finish().unwrap();
        assert!(said.contains("2 lines are missing") && said.contains("No space left"), "{said}");
    }
}
