//! What a run tells others while it works and when it ends: `.titan/last-run.json` in its archive,
//! and a file of metrics. Neither ever holds up the run, and losing them is a warning.
//!
//! A `RunRecord` takes in what is told, by whoever knows it; a thread of its own writes. A run
//! that is to leave no trace has an idle record, which takes in nothing.

mod exposition;
mod last_run;
mod metrics;
mod process;
mod state;
mod target;
mod writer;

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::domain::{Epoch, PartitionKey, Published, Series};
use crate::download::{PageReport, Plan, Reporter, Summary};

use super::clock;
use super::error::Failure;
use super::exit::ExitCode;

pub use last_run::RunNote;
pub(super) use metrics::Asked;
use state::State;
pub(super) use target::{METRICS, OwnFile, may_be_replaced, must_lie_outside};
use writer::Writer;

/// How long the end of the process waits for the last word.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Tells what was asked so far.
type Asking = dyn Fn() -> Asked + Send + Sync;

/// What is known of a run before it begins.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// What runs: `download`.
    pub(super) command: &'static str,
    /// Names the run.
    pub(super) session: String,
    /// Folder of the archive.
    pub(super) output: PathBuf,
    /// Where the metrics go, if anywhere.
    pub(super) metrics_file: Option<PathBuf>,
}

/// Takes in what a run tells. Clones are the same one.
#[derive(Clone)]
pub(super) struct RunRecord(Option<Arc<Inner>>);

struct Inner {
    shared: Arc<Shared>,
    wake: SyncSender<()>,
    written: Mutex<Receiver<()>>,
}

/// What the run and the thread that writes share.
pub(super) struct Shared {
    state: Mutex<State>,
    asking: Mutex<Option<Arc<Asking>>>,
}

impl Shared {
    /// No method panics while it holds the state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> Asked {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).clone();
        asking.map_or_else(Asked::default, |asking| asking())
    }
}

impl RunRecord {
    /// Takes in nothing.
    pub(super) fn idle() -> Self {
        Self(None)
    }

    /// Begins to write.
    ///
    /// # Errors
    ///
    /// If the metrics can be written now as little as later: a full disk is only a warning.
    pub(super) fn begin(begun: Begun) -> Result<Self, Failure> {
        tracing::info!(
            command = begun.command,
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            output = %begun.output.display(),
            "run started"
        );
        let state = Mutex::new(State::new(begun.command, &begun.session, clock::now()));
        let shared = Arc::new(Shared { state, asking: Mutex::default() });
        let mut writer = Writer::new(begun, Arc::clone(&shared));
        writer.first_metrics()?;
        let (wake, woken) = mpsc::sync_channel(1);
        let (say, written) = mpsc::sync_channel(1);
        // Never joined, for its disk may hang for ever; `end` waits for its word instead.
        std::thread::Builder::new()
            .name("run record".to_owned())
            .spawn(move || {
                writer.work(&woken);
                let _ = say.send(());
            })
            .map_err(|error| Failure::no_thread(&error, 0, 1))?;
        Ok(Self(Some(Arc::new(Inner { shared, wake, written: Mutex::new(written) }))))
    }

    /// What the run was asked to do, without any secret.
    pub(super) fn asked_for(&self, series: &[Series], arguments: Value) {
        self.change(|state| {
            state.asked_for(series);
            state.arguments = arguments;
        });
    }

    /// Tells from now on how often was asked.
    pub(super) fn counts(&self, asking: Arc<Asking>) {
        if let Some(inner) = &self.0 {
            *inner.shared.asking.lock().unwrap_or_else(PoisonError::into_inner) = Some(asking);
        }
    }

    /// There is an archive to write into now, if there was none.
    pub(super) fn archive_is_there(&self) {
        self.change(|_| ());
    }

    /// The download was carried out, if not to its end; `held` are series of other runs.
    pub(super) fn summed_up(&self, summary: &Summary, held: &[(Series, String)]) {
        self.change(|state| state.summed_up(summary, held));
    }

    /// The run came to nothing.
    pub(super) fn failed(&self, failure: &Failure) {
        let problem = failure.chain().join(": ");
        self.change(|state| state.note_problem(&problem));
    }

    /// The run ended. Waits for the last word to be written, but not for long.
    pub(super) fn end(&self, exit: ExitCode) {
        let Some(inner) = &self.0 else { return };
        tracing::info!(outcome = exit.word(), exit_code = exit.number(), "run ended");
        self.change(|state| state.end(exit, clock::now()));
        let written = inner.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.recv_timeout(END_WITHIN).is_err() {
            tracing::warn!("the end of the run could not be noted in time");
        }
    }

    /// Listens to a download beside `other`.
    pub(super) fn beside(&self, other: Arc<dyn Reporter>) -> Arc<dyn Reporter> {
        if self.0.is_none() {
            return other;
        }
        Arc::new(Both { record: self.clone(), other })
    }

    /// Changes what is known, and has it written soon.
    fn change(&self, change: impl FnOnce(&mut State)) {
        if let Some(inner) = &self.0 {
            change(&mut inner.shared.state());
            // If it was woken already, it has still to look.
            let _ = inner.wake.try_send(());
        }
    }

    /// Changes what is written when its time has come.
    fn count(&self, change: impl FnOnce(&mut State)) {
        if let Some(inner) = &self.0 {
            change(&mut inner.shared.state());
        }
    }
}

/// Tells the record and somebody else.
struct Both {
    record: RunRecord,
    other: Arc<dyn Reporter>,
}

impl Reporter for Both {
    fn planned(&self, plan: &Plan) {
        let (partitions, requests) = (plan.partitions.len(), plan.n_requests());
        tracing::info!(partitions, requests, server_time = %plan.server_now, "planned");
        let server_now: Epoch = plan.server_now;
        self.record.change(|state| state.planned(partitions, server_now));
        self.other.planned(plan);
    }

    fn partition_started(&self, key: &PartitionKey, n_pages: u64) {
        tracing::info!(requests = n_pages, "month started");
        self.other.partition_started(key, n_pages);
    }

    fn page(&self, key: &PartitionKey, page: &PageReport) {
        self.record.count(|state| state.series(&key.series).rows_received += page.n_rows);
        self.other.page(key, page);
    }

    fn publishing(&self, key: &PartitionKey) {
        self.other.publishing(key);
    }

    fn published(&self, published: &Published) {
        let Published { record_count, n_new, file_size, .. } = published;
        tracing::info!(rows = record_count, rows_new = n_new, bytes = file_size, "month published");
        self.record.change(|state| state.published(published));
        self.other.published(published);
    }

    fn note(&self, text: &str) {
        self.other.note(text);
    }
}

/// How the last run of an archive went, and whether it is known to have ended; `None` if there was
/// none, or nothing of it can be read.
pub(super) fn last_run(root: &std::path::Path) -> Option<RunNote> {
    writer::read_last_run(root)
}

/// The runs that an archive remembers, the one that started last first; none if there was none.
///
/// # Errors
///
/// If what is there cannot be read; the text says why, to be read after its name.
pub(super) fn runs(root: &std::path::Path) -> Result<Vec<RunNote>, String> {
    writer::read_runs(root)
}

#[cfg(test)]
mod tests {
    /// What the trait says and this does not pass on would be lost without a sign, for the trait has
    /// empty defaults.
    #[test]
    fn everything_that_is_told_is_passed_on() {
        let methods = |text: &'static str| -> Vec<&'static str> {
            let told = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            told.filter_map(|rest| rest.split('(').next()).collect()
        };
        let told = methods(include_str!("../../download/reporter.rs"));
        let own = include_str!("mod.rs");
        let passed_on = own.split_once("impl Reporter for Both").expect("it is there").1;
        assert!(told.contains(&"published"), "{told:?}");
        for method in told {
            assert!(passed_on.contains(&format!("self.other.{method}(")), "{method}");
        }
    }
}
