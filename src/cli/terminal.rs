//! stdout and stderr: the one place that writes to them.
//!
//! Bars live on stderr too, so every other line there is written while they are put aside.

mod drawing;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressDrawTarget};

pub use super::harmless::escaped;
use super::harmless::{Harmless, harmless};

/// How long a terminal may take to have its display taken away when the process has to leave.
const CLEARED_WITHIN: Duration = Duration::from_millis(100);

/// The terminal, or what stands in its place. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Terminal {
    bars: MultiProgress,
    draws_bars: bool,
    colours: bool,
}

impl Terminal {
    /// Draws bars if `wants_bars` and stderr is a terminal that can move its cursor.
    pub fn new(wants_bars: bool) -> Self {
        let is_capable = io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let draws_bars = wants_bars && is_capable;
        let target = if draws_bars {
            ProgressDrawTarget::term_like(Box::new(drawing::Drawing::new()))
        } else {
            ProgressDrawTarget::hidden()
        };
        // https://no-color.org: any value that is not empty.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            bars: MultiProgress::with_draw_target(target),
            draws_bars,
            colours: is_capable && !no_colour,
        }
    }

    /// The place for bars.
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Tells whether bars are seen.
    pub fn draws_bars(&self) -> bool {
        self.draws_bars
    }

    /// Columns of stderr now.
    pub fn width(&self) -> usize {
        usize::from(drawing::size().0)
    }

    /// Takes the bars away because the process ends right now, unless the terminal does not let
    /// itself be written to.
    pub fn abandon(&self) {
        if !self.draws_bars {
            return;
        }
        let (done, is_done) = mpsc::channel();
        let bars = self.bars.clone();
        let clear = move || {
            let _ = bars.clear();
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("abandon".to_owned()).spawn(clear).is_ok() {
            let _ = is_done.recv_timeout(CLEARED_WITHIN);
        }
    }

    /// Tells whether stderr takes colours.
    pub fn has_colours(&self) -> bool {
        self.colours
    }

    /// Writes to stderr, above the bars, nothing that steers it. A closed stderr is nobody
    /// listening, which is no error.
    pub fn say(&self, text: &str) {
        let text = harmless(text, self.colours);
        self.bars.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(text.as_bytes());
            if !text.ends_with('\n') {
                let _ = stderr.write_all(b"\n");
            }
            let _ = stderr.flush();
        });
    }
}

/// Writes a result to stdout, nothing that steers a terminal. A reader who has read enough (`| head`)
/// or whose terminal was closed is no error.
///
/// # Errors
///
/// If stdout could not be written for another reason, for instance a full disk behind it.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut stdout = Harmless::new(BufWriter::new(io::stdout().lock()), stdout_canvas().1);
    let result = write(&mut stdout).and_then(|()| stdout.flush());
    // Dropping the buffer would try to write again what was refused.
    let (_, _) = stdout.inner.into_parts();
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe || is_hung_up(&error) => Ok(()),
        other => other,
    }
}

/// Whether stdout is a terminal that was closed. It is no terminal any more then, only a device; a
/// disk that fails in the same words is a file.
#[cfg(unix)]
fn is_hung_up(error: &io::Error) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    const EIO: i32 = 5;
    let is_device = || {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
        let about = stdout.and_then(|stdout| stdout.metadata());
        about.is_ok_and(|about| about.file_type().is_char_device())
    };
    error.raw_os_error() == Some(EIO) && is_device()
}

#[cfg(not(unix))]
fn is_hung_up(_: &io::Error) -> bool {
    false
}

/// How wide stdout is and whether it takes colours; neither is known unless it is a terminal.
pub fn stdout_canvas() -> (Option<usize>, bool) {
    let is_terminal = io::stdout().is_terminal();
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let size = terminal_size::terminal_size_of(io::stdout()).filter(|_| is_terminal);
    (size.map(|(width, _)| usize::from(width.0)), is_terminal && !is_dumb && !no_colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_left_is_no_error_but_a_full_disk_is() {
        let fail = |kind: io::ErrorKind| print(|_| Err(io::Error::from(kind)));
        assert!(fail(io::ErrorKind::BrokenPipe).is_ok());
        assert!(fail(io::ErrorKind::StorageFull).is_err());
    }
}
