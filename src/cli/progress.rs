//! What is seen while a download runs: bars on a terminal, lines now and then elsewhere.
//!
//! The download only updates a few numbers; a thread of ours looks at them a few times a second
//! and draws. So no call of [`Reporter`] ever waits for a terminal.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::{Epoch, PartitionKey, Published};
use crate::download::{PageReport, Plan, Reporter};

use super::pace::Pace;
use super::report::text::{counted, size, span, thousands};
use super::report::{Walls, plan};
use super::terminal::{Terminal, escaped};

/// Time between two looks.
const REDRAW: Duration = Duration::from_millis(150);

/// Time between two lines where no bars are.
const LINE_EVERY: Duration = Duration::from_secs(30);

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

/// Takes in what the download tells.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    detail: Detail,
    draws_bars: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    active: Vec<Active>,
    pages_left: BTreeMap<PartitionKey, u64>,
    rows: u64,
    pages: u64,
    pace: Pace,
    waiting: Option<Waiting>,
    lines: Vec<String>,
    walls: Walls,
}

/// A partition that is worked on.
#[derive(Debug, Clone)]
struct Active {
    key: PartitionKey,
    rows: u64,
    pages: u64,
    pages_left: u64,
    proved_to: Option<Epoch>,
    publishing: bool,
}

#[derive(Debug, Clone)]
struct Waiting {
    why: String,
    until: Duration,
}

impl Progress {
    /// Nothing has happened yet.
    pub fn new(detail: Detail, terminal: &Terminal) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            detail,
            draws_bars: detail == Detail::All && terminal.draws_bars(),
            state: Mutex::default(),
        })
    }

    /// Where history begins, as the plan knew it.
    pub fn walls(&self) -> Walls {
        self.state().walls.clone()
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
        state.pages_left = plan
            .partitions
            .iter()
            .filter(|partition| partition.n_requests > 0)
            .map(|partition| (partition.key.clone(), partition.n_requests))
            .collect();
        if !self.draws_bars {
            self.line(&mut state, Detail::All, || {
                let months = counted(plan.partitions.len() as u64, "partition");
                format!("{months} wanted, about {} to ask", counted(plan.n_requests(), "request"))
            });
        }
    }

    fn partition_started(&self, key: &PartitionKey, n_pages: u64) {
        let mut state = self.state();
        state.pages_left.insert(key.clone(), n_pages);
        state.active.retain(|active| active.key != *key);
        state.active.push(Active {
            key: key.clone(),
            rows: 0,
            pages: 0,
            pages_left: n_pages,
            proved_to: None,
            publishing: false,
        });
        if !self.draws_bars {
            self.line(&mut state, Detail::All, || {
                format!("{key}: started, about {}", counted(n_pages, "request"))
            });
        }
    }

    fn page(&self, key: &PartitionKey, page: &PageReport) {
        let now = self.now();
        let mut state = self.state();
        state.rows += page.n_rows;
        state.pages += 1;
        state.pace.note(now);
        // An answer came, so nothing waits any more.
        state.waiting = None;
        state.pages_left.insert(key.clone(), page.n_pages_left);
        if let Some(active) = state.active.iter_mut().find(|active| active.key == *key) {
            active.rows += page.n_rows;
            active.pages += 1;
            active.pages_left = page.n_pages_left;
            active.proved_to = active.proved_to.max(page.proved_to);
        }
    }

    fn publishing(&self, key: &PartitionKey) {
        let mut state = self.state();
        state.pages_left.remove(key);
        if let Some(active) = state.active.iter_mut().find(|active| active.key == *key) {
            active.publishing = true;
            active.pages_left = 0;
        }
    }

    fn published(&self, published: &Published) {
        let mut state = self.state();
        state.pages_left.remove(&published.key);
        state.active.retain(|active| active.key != published.key);
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

    fn waiting(&self, why: &str, how_long: Duration) {
        let until = self.now() + how_long;
        let mut state = self.state();
        let is_new = state.waiting.as_ref().is_none_or(|waiting| waiting.why != why);
        state.waiting = Some(Waiting { why: escaped(why), until });
        if !self.draws_bars && is_new {
            self.line(&mut state, Detail::All, || {
                format!("waiting {}: {}", span(how_long), escaped(why))
            });
        }
    }

    fn note(&self, text: &str) {
        let mut state = self.state();
        self.line(&mut state, Detail::Notes, || escaped(text));
    }
}

impl State {
    /// `1,234 rows, 56 requests, 198/min, 4m 10s left`, and what is waited for.
    fn total(&self, now: Duration) -> String {
        let mut text = format!("{}, {}", counted(self.rows, "row"), counted(self.pages, "request"));
        if let Some(rate) = self.pace.per_minute(now) {
            text.push_str(&format!(", {rate:.0}/min"));
        }
        let n_left: u64 = self.pages_left.values().sum();
        match self.pace.time_left(n_left, now) {
            Some(left) if n_left > 0 => text.push_str(&format!(", about {} left", span(left))),
            _ => (),
        }
        if let Some(waiting) = self.waiting.as_ref().filter(|waiting| waiting.until > now) {
            let secs = waiting.until.saturating_sub(now).as_secs() + 1;
            text.push_str(&format!(
                "; waiting {}: {}",
                span(Duration::from_secs(secs)),
                waiting.why
            ));
        }
        text
    }
}

impl Active {
    /// What stands behind the bar.
    fn message(&self) -> String {
        if self.publishing {
            return format!("{}, being written", counted(self.rows, "row"));
        }
        let mut text =
            format!("{}, {} left", counted(self.rows, "row"), counted(self.pages_left, "request"));
        if let Some(day) = self.proved_to.and_then(Epoch::to_utc) {
            text.push_str(&format!(", {}", day.format("%Y-%m-%d")));
        }
        text
    }
}

/// The thread that draws; [`finish`](Self::finish) ends it.
#[derive(Debug)]
pub struct Screen {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Screen {
    /// Begins to show `progress`.
    ///
    /// # Errors
    ///
    /// If there can be no further thread.
    pub fn start(progress: Arc<Progress>, terminal: Terminal) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut painter = Painter::new(progress, terminal);
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                painter.look();
            }
            painter.close();
        })?;
        Ok(Self { stop, thread })
    }

    /// Takes the bars away and says what is left to be said.
    pub fn finish(self) {
        // Either it takes the word or it is gone already.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

struct Painter {
    progress: Arc<Progress>,
    terminal: Terminal,
    bars: BTreeMap<PartitionKey, ProgressBar>,
    total: Option<ProgressBar>,
    last_line: Duration,
}

impl Painter {
    fn new(progress: Arc<Progress>, terminal: Terminal) -> Self {
        Self { progress, terminal, bars: BTreeMap::new(), total: None, last_line: Duration::ZERO }
    }

    fn look(&mut self) {
        let now = self.progress.now();
        let (lines, active, total) = {
            let mut state = self.progress.state();
            (std::mem::take(&mut state.lines), state.active.clone(), state.total(now))
        };
        if self.progress.draws_bars {
            self.draw(&active, &total);
        }
        for line in lines {
            self.terminal.say(&line);
        }
        if !self.progress.draws_bars
            && self.progress.detail == Detail::All
            && now >= self.last_line + LINE_EVERY
        {
            self.last_line = now;
            self.terminal.say(&total);
        }
    }

    fn draw(&mut self, active: &[Active], total: &str) {
        let multi = self.terminal.bars();
        self.bars.retain(|key, bar| {
            let stays = active.iter().any(|active| active.key == *key);
            if !stays {
                bar.finish_and_clear();
                multi.remove(bar);
            }
            stays
        });
        let line = self
            .total
            .get_or_insert_with(|| multi.add(ProgressBar::new(0).with_style(style("{msg}"))));
        for active in active {
            let bar = self.bars.entry(active.key.clone()).or_insert_with(|| {
                let bar = ProgressBar::new(1).with_style(style("{prefix:32} [{bar:20}] {msg}"));
                multi.insert_before(line, bar.with_prefix(active.key.to_string()))
            });
            bar.set_length((active.pages + active.pages_left).max(1));
            bar.set_position(active.pages);
            bar.set_message(active.message());
        }
        line.set_message(total.to_owned());
        line.tick();
    }

    fn close(&mut self) {
        self.look();
        for bar in self.bars.values().chain(&self.total) {
            bar.finish_and_clear();
        }
    }
}

/// A style without colours, so that `NO_COLOR` is always obeyed.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use crate::domain::Kind;

    use super::super::report::samples;
    use super::*;

    fn progress(detail: Detail) -> Arc<Progress> {
        Progress::new(detail, &Terminal::new(false))
    }

    fn page(n_rows: u64, n_pages_left: u64) -> PageReport {
        PageReport { n_rows, n_pages_left, proved_to: Some(Epoch::new(1_772_884_805)) }
    }

    #[test]
    fn what_is_left_is_known_from_the_plan_and_corrected_by_the_answers() {
        let progress = progress(Detail::All);
        let left = || progress.state().pages_left.values().sum::<u64>();
        progress.planned(&samples::plan());
        assert_eq!(left(), 1_340);
        let key = samples::key(Kind::Ticks, "2026-03");
        progress.partition_started(&key, 1_340);
        progress.page(&key, &page(1_000, 1_200));
        assert_eq!(left(), 1_200);
        assert_eq!(
            progress.state().active[0].message(),
            "1,000 rows, 1,200 requests left, 2026-03-07"
        );
        progress.publishing(&key);
        assert_eq!(left(), 0);
        assert_eq!(progress.state().active[0].message(), "1,000 rows, being written");
    }

    #[test]
    fn the_total_line_counts_down_what_it_waits_for() {
        let secs = Duration::from_secs;
        let mut state = State { rows: 12_345, pages: 60, ..State::default() };
        assert_eq!(state.total(secs(60)), "12,345 rows, 60 requests");
        for second in 0..60 {
            state.pace.note(secs(second));
        }
        state.pages_left.insert(samples::key(Kind::Ticks, "2026-03"), 120);
        assert_eq!(state.total(secs(60)), "12,345 rows, 60 requests, 59/min, about 2m 02s left");
        state.waiting = Some(Waiting { why: "too frequent".into(), until: secs(72) });
        assert!(state.total(secs(60)).ends_with("; waiting 13s: too frequent"));
        assert!(!state.total(secs(72)).contains("waiting"));
    }

    #[test]
    fn without_a_terminal_there_are_lines() {
        let progress = progress(Detail::All);
        let key = samples::key(Kind::Ticks, "2026-03");
        progress.planned(&samples::plan());
        progress.partition_started(&key, 1_340);
        progress.waiting("too frequent", Duration::from_secs(60));
        progress.waiting("too frequent", Duration::from_secs(59));
        progress.note("history begins \u{1b}[2J");
        assert_eq!(
            progress.state().lines,
            [
                "3 partitions wanted, about 1,340 requests to ask",
                "R_100 ticks 2026-03: started, about 1,340 requests",
                "waiting 1m 00s: too frequent",
                "history begins \\u{1b}[2J",
            ]
        );
    }

    #[test]
    fn quiet_is_obeyed() {
        let lines = |detail| {
            let progress = progress(detail);
            progress.planned(&samples::plan());
            progress.note("read this");
            progress.state().lines.clone()
        };
        assert_eq!(lines(Detail::Nothing), Vec::<String>::new());
        assert_eq!(lines(Detail::Notes), ["read this"]);
    }

    #[test]
    fn the_screen_ends_when_it_is_told() {
        let terminal = Terminal::new(false);
        let screen = Screen::start(progress(Detail::Nothing), terminal).unwrap();
        screen.finish();
    }
}
