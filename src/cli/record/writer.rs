//! The thread that writes: at each stage of a run, and now and then between two of them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::domain::{Epoch, StoreError};
use crate::format::{Layout, SMALL_FILE_BYTES, Standing, WatermarkFile, read_bounded};
use crate::storage::{SmallFiles, lock_holders};

use super::super::clock;
use super::super::error::{Failure, chain};
use super::last_run::{LastRunFile, RUNNING, RunNote, noted};
use super::metrics::{Carried, View, render};
use super::process::Process;
use super::{Begun, Shared};

/// Between two writes when nothing happens.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// Between two writes at least, however much happens; the end does not wait for it.
const REST: Duration = Duration::from_millis(500);

/// No small file of ours is nearly as large.
const MOST_BYTES: u64 = 1 << 20;

pub(super) struct Writer {
    begun: Begun,
    shared: Arc<Shared>,
    files: SmallFiles,
    process: Process,
    carried: Carried,
    /// What was already said to be wrong.
    said: [bool; 2],
    is_noted: bool,
}

impl Writer {
    pub(super) fn new(begun: Begun, shared: Arc<Shared>) -> Self {
        let files = SmallFiles::new(&begun.session);
        let process = Process::own();
        let carried = Carried::default();
        Self { begun, shared, files, process, carried, said: [false; 2], is_noted: false }
    }

    /// Writes the metrics for the first time, so that a file that can never be written is told
    /// before the work and not after it.
    pub(super) fn first_metrics(&mut self) -> Result<(), Failure> {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write the metrics file `{path}`")]
        struct CannotWrite {
            path: String,
            source: StoreError,
        }
        let Some(path) = self.begun.metrics_file.clone() else { return Ok(()) };
        self.carried =
            read(&path, MOST_BYTES).map_or_else(Carried::default, |text| Carried::from_file(&text));
        self.files.sweep(&path);
        match self.try_metrics(&path) {
            Err(error) if !is_full(&error) => {
                let error = CannotWrite { path: path.display().to_string(), source: error };
                Err(Failure::cannot_start(error)
                    .with_hint("name a file in a folder that can be written with `--metrics-file`"))
            }
            result => {
                self.tell(0, result);
                Ok(())
            }
        }
    }

    pub(super) fn work(mut self, woken: &Receiver<()>) {
        loop {
            let began = Instant::now();
            let is_over = self.write();
            if is_over {
                return;
            }
            match woken.recv_timeout(WRITE_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while began.elapsed() < REST && self.shared.state().ended.is_none() {
                let left = REST.saturating_sub(began.elapsed());
                // Woken again, it looks whether this is the end.
                let _ = woken.recv_timeout(left);
            }
        }
    }

    /// Writes both files; tells whether that was the end.
    fn write(&mut self) -> bool {
        let is_over = self.shared.state().ended.is_some();
        if let Some(path) = self.begun.metrics_file.clone() {
            let result = self.try_metrics(&path);
            self.tell(0, result);
        }
        let result = self.try_note();
        self.tell(1, result);
        is_over
    }

    /// Says once that a file is not written, and goes on.
    fn tell(&mut self, which: usize, result: Result<(), StoreError>) {
        let Err(error) = result else { return };
        if std::mem::replace(&mut self.said[which], true) {
            return;
        }
        let what = ["the metrics file", "`.titan/last-run.json`"][which];
        let why = chain(&error).join(": ");
        tracing::warn!(why, "{what} cannot be written; the run goes on without it");
    }

    fn try_metrics(&self, path: &Path) -> Result<(), StoreError> {
        let standings = standings(&self.begun.output);
        let asked = self.shared.asked();
        let text = {
            let state = self.shared.state();
            render(&View {
                version: env!("CARGO_PKG_VERSION"),
                now: clock::now(),
                started: state.started,
                elapsed: state.elapsed(),
                ended: state.ended.as_ref(),
                asked,
                thrown_away: asked.stats.thrown_away.plus(&state.thrown_away),
                series: &state.series,
                standings: &standings,
                carried: &self.carried,
            })
        };
        self.files.replace(path, text.as_bytes())
    }

    fn try_note(&mut self) -> Result<(), StoreError> {
        let now = clock::now();
        let asked = self.shared.asked();
        let note = self.shared.state().note(&self.process, &asked, now);
        let (process, is_first) = (&self.process, !self.is_noted);
        let output = &self.begun.output;
        let is_free = || nobody_holds_any(output);
        let is_gone = |run: &RunNote| is_first && process.is_gone(run, now, is_free);
        let mut problem = None;
        let mut killed = Vec::new();
        let is_there = self.files.update_last_run(&self.begun.output, |old| {
            let noted = noted(old, &note, is_gone);
            (killed, problem) = (noted.killed, noted.problem);
            noted.bytes
        })?;
        self.is_noted |= is_there;
        for run in killed {
            let RunNote { session, pid, updated_at, .. } = run;
            tracing::info!(
                earlier_session = session,
                pid,
                last_seen = updated_at,
                "an earlier run ended without a word; its answers are kept"
            );
        }
        if let Some(why) = problem {
            tracing::warn!(why, "what `.titan/last-run.json` said of earlier runs cannot be used");
        }
        Ok(())
    }
}

/// A disk that is full now need not be full later.
fn is_full(error: &StoreError) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        StoreError::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded),
        _ => false,
    }
}

/// A small text file; nothing if it cannot be read, or is none.
fn read(path: &Path, most: u64) -> Option<String> {
    String::from_utf8(read_bounded(path, "a small file", most).ok()?).ok()
}

/// How the series of an archive stand, as its `watermark.json` says.
fn standings(root: &Path) -> Vec<Standing> {
    let text = read(&Layout::new(root).watermark(), SMALL_FILE_BYTES);
    let file = text.and_then(|text| WatermarkFile::from_json(text.as_bytes()).ok());
    file.map_or_else(Vec::new, |file| file.series.into_values().collect())
}

/// Whether no series of an archive is known to be held. Who may not look into the locks, or read the
/// records of other users, does not know.
fn nobody_holds_any(root: &Path) -> bool {
    let is_closed = |dir: &Path| {
        std::fs::read_dir(dir).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
    };
    !is_closed(&Layout::new(root).locks_dir()) && lock_holders(root).is_empty()
}

/// The run that started last, by what it said of itself; one that is gone is `killed`.
pub(super) fn read_last_run(root: &Path) -> Option<RunNote> {
    read_runs(root).ok()?.into_iter().next()
}

/// All runs that are remembered, the one that started last first; one that is gone is `killed`.
pub(super) fn read_runs(root: &Path) -> Result<Vec<RunNote>, String> {
    let path = Layout::new(root).last_run();
    let Some(text) = read(&path, MOST_BYTES) else {
        // Without a sign of life there was no run; what is there and unreadable is another thing.
        return match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err("is no small file of text".to_owned()),
        };
    };
    let file =
        LastRunFile::from_json(text.as_bytes()).map_err(|why| format!("says nothing: {why}"))?;
    let (process, now): (Process, Epoch) = (Process::own(), clock::now());
    let mut runs = file.into_runs();
    for run in runs.iter_mut().filter(|run| run.outcome == RUNNING) {
        if process.is_gone(run, now, || nobody_holds_any(root)) {
            run.end_without_a_word();
        }
    }
    Ok(runs)
}
