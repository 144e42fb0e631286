//! What is seen while a download runs: lines that are redrawn on a terminal, lines now and then
//! elsewhere.
//!
//! The download only updates a few numbers; a thread of ours looks at them a few times a second
//! and draws. So no call of [`Reporter`] ever waits for a terminal.

mod bars;
pub(super) mod estimate;
pub(super) mod lines;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{PartitionKey, Published};
use crate::download::{PageReport, Plan, Reporter};
use crate::resilience::{BreakerState, PaceOutlook};

use super::report::text::{counted, size, thousands};
use super::report::{Walls, plan};
use super::terminal::{Terminal, escaped};

pub use self::bars::Screen;
pub use self::lines::Cause;
use self::state::State;

/// Lines that wait to be said; more would mean that nobody reads them.
const MOST_LINES: usize = 10_000;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Nothing,
    /// Only what a person should read.
    Notes,
    /// Progress, and the notes.
    All,
}

/// What the layers around the source say of themselves at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceLook {
    /// Whether calls flow.
    pub breaker: BreakerState,
    /// No connection stands, one is being made.
    pub is_connecting: bool,
    /// How fast requests may go out; `None` if that is not known, or not bounded.
    pub pace: Option<PaceOutlook>,
    /// Requests that went out so far.
    pub requests: u64,
}

type Watch = Box<dyn Fn() -> SourceLook + Send + Sync>;

/// Takes in what the download tells.
pub struct Progress {
    began: Instant,
    detail: Detail,
    draws_bars: bool,
    state: Mutex<State>,
    source: OnceLock<Watch>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("detail", &self.detail).finish_non_exhaustive()
    }
}

impl Progress {
    /// Nothing has happened yet.
    pub fn new(detail: Detail, terminal: &Terminal) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            detail,
            draws_bars: detail == Detail::All && terminal.draws_bars(),
            state: Mutex::default(),
            source: OnceLock::new(),
        })
    }

    /// Where history begins, as the plan knew it.
    pub fn walls(&self) -> Walls {
        self.state().walls.clone()
    }

    /// Looks at the source now and then with `look`, which must return at once. Only the first
    /// source that is given is looked at.
    pub fn watch(&self, look: impl Fn() -> SourceLook + Send + Sync + 'static) {
        let _ = self.source.set(Box::new(look));
    }

    /// A caller waits from now on; told from wherever it does.
    pub fn waits(&self, cause: Cause, how_long: Duration) {
        let now = self.now();
        let mut state = self.state();
        let is_news = state.waits(cause, now, how_long);
        if !self.draws_bars && is_news {
            self.line(&mut state, Detail::All, || state::wait_line(cause, how_long));
        }
    }

    /// No method panics while it holds the state, and half an update is only shown wrong.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Leaves a line to be said, if `least` is to be shown.
    fn line(&self, state: &mut State, least: Detail, text: impl FnOnce() -> String) {
        let is_shown = match least {
            Detail::All => self.detail == Detail::All,
            Detail::Nothing | Detail::Notes => self.detail != Detail::Nothing,
        };
        if is_shown && state.lines.len() < MOST_LINES {
            state.lines.push(text());
        }
    }
}

impl Reporter for Progress {
    fn planned(&self, plan: &Plan) {
        let mut state = self.state();
        state.walls = plan::walls(plan);
        state.planned(plan);
        if !self.draws_bars {
            self.line(&mut state, Detail::All, || {
                let months = counted(plan.partitions.len() as u64, "partition");
                format!("{months} wanted, about {} to ask", counted(plan.n_requests(), "request"))
            });
        }
    }

    fn partition_started(&self, key: &PartitionKey, n_pages: u64) {
        let mut state = self.state();
        state.started(key, n_pages);
        if !self.draws_bars {
            self.line(&mut state, Detail::All, || {
                format!("{key}: started, about {}", counted(n_pages, "request"))
            });
        }
    }

    fn page(&self, key: &PartitionKey, page: &PageReport) {
        let now = self.now();
        self.state().page(key, page, now);
    }

    fn publishing(&self, key: &PartitionKey) {
        self.state().publishing(key);
    }

    fn published(&self, published: &Published) {
        let mut state = self.state();
        state.published(&published.key);
        self.line(&mut state, Detail::All, || {
            format!(
                "{}: published, {} ({} new), {}",
                published.key,
                counted(published.record_count, "row"),
                thousands(published.n_new),
                size(published.file_size),
            )
        });
    }

    fn note(&self, text: &str) {
        let mut state = self.state();
        self.line(&mut state, Detail::Notes, || escaped(text));
    }
}

#[cfg(test)]
mod tests;
