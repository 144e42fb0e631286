//! The thread that draws.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::super::terminal::Terminal;
use super::lines::{paint, plain};
use super::{Detail, Progress};

/// Time between two looks.
const REDRAW: Duration = Duration::from_millis(150);

/// Time between two lines where nothing is redrawn.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Draws; [`finish`](Self::finish) ends it.
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

    /// Takes the display away and says what is left to be said.
    pub fn finish(self) {
        // Either it takes the word or it is gone already.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

struct Painter {
    progress: Arc<Progress>,
    terminal: Terminal,
    /// All lines together, so that they change together.
    display: Option<ProgressBar>,
    last_line: Duration,
}

impl Painter {
    fn new(progress: Arc<Progress>, terminal: Terminal) -> Self {
        Self { progress, terminal, display: None, last_line: Duration::ZERO }
    }

    fn look(&mut self) {
        let now = self.progress.now();
        let source = self.progress.source.get().map(|look| look());
        let (lines, look) = {
            let mut state = self.progress.state();
            (std::mem::take(&mut state.lines), state.look(source, now))
        };
        for line in lines {
            self.terminal.say(&line);
        }
        if self.progress.draws_bars {
            self.draw(&paint(&look, self.terminal.width()));
        } else if self.progress.detail == Detail::All
            && now >= self.last_line + LINE_EVERY
            && !look.total.is_preparing
        {
            self.last_line = now;
            self.terminal.say(&plain(&look));
        }
    }

    fn draw(&mut self, lines: &[String]) {
        let display = self.display.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg}");
            let bar = ProgressBar::new(0);
            let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.terminal.bars().add(bar)
        });
        display.set_message(lines.join("\n"));
        display.tick();
    }

    fn close(&mut self) {
        let now = self.progress.now();
        let lines = std::mem::take(&mut self.progress.state().lines);
        self.last_line = now;
        for line in lines {
            self.terminal.say(&line);
        }
        if let Some(display) = &self.display {
            display.finish_and_clear();
        }
    }
}
