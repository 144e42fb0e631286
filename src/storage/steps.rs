//! Every change of the disk is told here, in `atomic.rs`, just before it is made.
//!
//! This exists for the tests that stop the program after any step or cut its power; a release
//! build does nothing here. Unit tests record the steps of their thread. The real binary, built
//! for debugging, can write each step down and stand still at one, so that a test kills a process
//! that is exactly there.

use std::path::Path;

/// One change of the disk.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "only tests look inside")]
pub(super) enum Op<'a> {
    /// An empty file appears.
    Create(&'a Path),
    /// A new file is filled.
    Write(&'a Path),
    /// The content of a file becomes durable.
    Sync(&'a Path),
    /// A file changes its name, replacing what had the new one.
    Rename(&'a Path, &'a Path),
    /// A file gets a second name.
    Link(&'a Path, &'a Path),
    /// The names in a folder become durable.
    SyncDir(&'a Path),
    /// An empty folder appears.
    MakeDir(&'a Path),
    /// A name goes away.
    Remove(&'a Path),
    /// A folder goes away, if it is empty.
    RemoveDir(&'a Path),
}

#[cfg(not(any(test, debug_assertions)))]
#[inline]
pub(super) fn step(_: Op<'_>) {}

#[cfg(test)]
pub(super) use recorder::step;

#[cfg(all(debug_assertions, not(test)))]
pub(super) use stop::step;

/// Does what is no step of the archive: a file that tells others of a run, on a thread of its own.
pub(super) fn aside<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(all(debug_assertions, not(test)))]
    let _untold = stop::Untold::begin();
    work()
}

#[cfg(test)]
pub(super) mod recorder {
    //! The steps of one thread, as values.

    use std::cell::RefCell;
    use std::fs;
    use std::path::PathBuf;

    use super::Op;

    /// A step that can be replayed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(in crate::storage) enum Event {
        Create(PathBuf),
        Write(PathBuf),
        /// With all that the file holds.
        Sync(PathBuf, Vec<u8>),
        Rename(PathBuf, PathBuf),
        Link(PathBuf, PathBuf),
        SyncDir(PathBuf),
        MakeDir(PathBuf),
        Remove(PathBuf),
        RemoveDir(PathBuf),
        /// No step: what was asked for so far has returned.
        Returned,
    }

    type Look = Box<dyn FnMut()>;

    thread_local! {
        static EVENTS: RefCell<Option<Vec<Event>>> = const { RefCell::new(None) };
        static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
    }

    pub(in crate::storage) fn step(op: Op<'_>) {
        LOOK.with_borrow_mut(|look| {
            if let Some(look) = look {
                look();
            }
        });
        let own = std::path::Path::to_path_buf;
        record(|| match op {
            Op::Create(path) => Event::Create(own(path)),
            Op::Write(path) => Event::Write(own(path)),
            Op::Sync(path) => Event::Sync(own(path), fs::read(path).unwrap()),
            Op::Rename(from, to) => Event::Rename(own(from), own(to)),
            Op::Link(from, to) => Event::Link(own(from), own(to)),
            Op::SyncDir(path) => Event::SyncDir(own(path)),
            Op::MakeDir(path) => Event::MakeDir(own(path)),
            Op::Remove(path) => Event::Remove(own(path)),
            Op::RemoveDir(path) => Event::RemoveDir(own(path)),
        });
    }

    /// Notes that what was asked for has returned.
    pub(in crate::storage) fn returned() {
        record(|| Event::Returned);
    }

    fn record(event: impl FnOnce() -> Event) {
        EVENTS.with_borrow_mut(|events| {
            if let Some(events) = events {
                events.push(event());
            }
        });
    }

    /// Looks before each step that `work` takes on this thread, and behind the last.
    pub(in crate::storage) fn watched(look: impl FnMut() + 'static, work: impl FnOnce()) {
        LOOK.set(Some(Box::new(look)));
        work();
        let mut look = LOOK.take().expect("set above");
        look();
    }

    /// The steps that `work` takes on this thread.
    pub(in crate::storage) fn recorded(work: impl FnOnce()) -> Vec<Event> {
        EVENTS.set(Some(Vec::new()));
        work();
        EVENTS.take().expect("set above")
    }
}

#[cfg(all(debug_assertions, not(test)))]
mod stop {
    //! `TITAN_TEST_STEPS=N:FILE`: write each step into FILE, stand still at the N-th.
    //! `TITAN_TEST_STEPS=TEXT@PIPE`: wait for PIPE at the first step that holds TEXT, as for a disk
    //! that does not answer.

    use std::cell::Cell;
    use std::fs::{File, OpenOptions};
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};

    use super::Op;

    struct Plan {
        stop_at: u64,
        file: String,
        n_steps: Mutex<u64>,
    }

    thread_local! {
        static IS_TOLD: Cell<bool> = const { Cell::new(true) };
    }

    /// While it lives the steps of this thread do not count.
    pub(in crate::storage) struct Untold;

    impl Untold {
        pub(in crate::storage) fn begin() -> Self {
            IS_TOLD.set(false);
            Self
        }
    }

    impl Drop for Untold {
        fn drop(&mut self) {
            IS_TOLD.set(true);
        }
    }

    /// Waits where a test wants a disk that does not answer.
    fn wait_at_gate(op: Op<'_>) {
        static IS_PASSED: AtomicBool = AtomicBool::new(false);
        let Ok(text) = std::env::var("TITAN_TEST_STEPS") else { return };
        let Some((text, pipe)) = text.split_once('@') else { return };
        if format!("{op:?}").contains(text) && !IS_PASSED.swap(true, Ordering::Relaxed) {
            let waited = File::open(pipe).and_then(|mut pipe| pipe.read_to_end(&mut Vec::new()));
            waited.expect("a test that holds the disk up has made the pipe");
        }
    }

    pub(in crate::storage) fn step(op: Op<'_>) {
        static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
        if !IS_TOLD.get() {
            return;
        }
        wait_at_gate(op);
        let Some(plan) = PLAN.get_or_init(plan) else { return };
        let mut n_steps = plan.n_steps.lock().unwrap_or_else(PoisonError::into_inner);
        if *n_steps < plan.stop_at {
            *n_steps += 1;
            let log = OpenOptions::new().create(true).append(true).open(&plan.file);
            let told = log.and_then(|mut log| writeln!(log, "{op:?}"));
            told.expect("a test that asks for the steps can be told them");
        }
        if *n_steps >= plan.stop_at {
            loop {
                // With the lock: no other thread takes a step any more.
                std::thread::park();
            }
        }
    }

    fn plan() -> Option<Plan> {
        let text = std::env::var("TITAN_TEST_STEPS").ok()?;
        let (stop_at, file) = text.split_once(':')?;
        let stop_at = stop_at.parse().ok()?;
        Some(Plan { stop_at, file: file.to_owned(), n_steps: Mutex::new(0) })
    }
}
