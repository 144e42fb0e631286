//! How the display is put on the screen, and taken from it again after the window was made
//! narrower.
//!
//! Each line ends with a newline of its own, so a terminal that flows text anew breaks only lines
//! that are too long, and never joins two. How many rows the lines of the last drawing take at
//! another width follows from their lengths.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

/// What a terminal that does not tell its size is taken for.
const UNKNOWN: (u16, u16) = (80, 24);

/// Draws on stderr.
#[derive(Debug, Default)]
pub(super) struct Drawing(Mutex<Canvas>);

/// What goes out with the next flush, and what stands on the screen.
#[derive(Debug, Default)]
struct Canvas {
    flows_anew: bool,
    buffer: String,
    /// The next text begins a new line.
    is_line_due: bool,
    /// Something was drawn since the last cleaning.
    is_drawn: bool,
    drawn: Vec<usize>,
    drawn_width: u16,
}

impl Drawing {
    pub(super) fn new() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let known = variable("XTERM_VERSION").is_empty() && variable("STY").is_empty();
        let flows_anew = known && flows_anew(&variable("TERM"));
        Self(Mutex::new(Canvas { flows_anew, ..Canvas::default() }))
    }

    fn canvas(&self) -> MutexGuard<'_, Canvas> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Columns and rows of stderr.
pub(super) fn size() -> (u16, u16) {
    sensible(
        terminal_size::terminal_size_of(io::stderr()).map(|(width, height)| (width.0, height.0)),
    )
}

/// A terminal that says it has no column does not know.
fn sensible(told: Option<(u16, u16)>) -> (u16, u16) {
    let or = |told: u16, unknown: u16| if told == 0 { unknown } else { told };
    let (width, height) = told.unwrap_or(UNKNOWN);
    (or(width, UNKNOWN.0), or(height, UNKNOWN.1))
}

/// Most terminals break long lines anew when they become narrower; these few cut them off.
fn flows_anew(term: &str) -> bool {
    !["linux", "rxvt", "vt", "ansi", "cons"].iter().any(|name| term.starts_with(name))
}

impl Canvas {
    /// Goes to the top of what was drawn, `up` lines above if nothing was broken meanwhile.
    fn go_to_top(&mut self, up: usize, width: u16) {
        let is_narrower = self.is_drawn && width < self.drawn_width;
        let extra = if is_narrower && self.flows_anew { self.broken(width) } else { 0 };
        self.up(up + extra);
        if extra > 0 {
            self.buffer.push_str("\r\x1b[J");
        }
        (self.is_drawn, self.is_line_due) = (false, false);
        self.drawn.clear();
    }

    /// Rows that the lines take beyond one each.
    fn broken(&self, width: u16) -> usize {
        let width = usize::from(width.max(1));
        self.drawn.iter().map(|length| length.div_ceil(width).max(1) - 1).sum()
    }

    fn up(&mut self, n: usize) {
        if n > 0 {
            self.buffer.push_str(&format!("\x1b[{n}A"));
        }
    }

    fn write(&mut self, text: &str, width: u16) {
        if text.is_empty() {
            return;
        }
        // Spaces up to the edge end a line; here a newline does.
        if text.bytes().all(|byte| byte == b' ') {
            self.buffer.push_str("\x1b[K");
            self.is_line_due = true;
            return;
        }
        if self.is_line_due {
            self.buffer.push_str("\r\n");
            self.is_line_due = false;
        }
        self.buffer.push_str(text);
        self.drawn.push(text.chars().count());
        (self.is_drawn, self.drawn_width) = (true, width);
    }
}

impl TermLike for Drawing {
    fn width(&self) -> u16 {
        size().0
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let mut canvas = self.canvas();
        if canvas.is_drawn {
            canvas.go_to_top(n, size().0);
        } else {
            canvas.up(n);
        }
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.canvas().buffer.push_str(&format!("\x1b[{n}B"));
        }
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.canvas().buffer.push_str(&format!("\x1b[{n}C"));
        }
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.canvas().buffer.push_str(&format!("\x1b[{n}D"));
        }
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.canvas().buffer.push_str(&format!("{text}\r\n"));
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.canvas().write(text, size().0);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.canvas().buffer.push_str("\r\x1b[2K");
        Ok(())
    }

    /// All at once, so that no half of it is ever seen. A terminal that was closed is nobody looking,
    /// which is no error: the library would panic at one, and the run with it.
    fn flush(&self) -> io::Result<()> {
        let text = std::mem::take(&mut self.canvas().buffer);
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(canvas: &mut Canvas, lines: &[&str], width: u16) {
        for line in lines {
            canvas.write(line, width);
            canvas.write(&" ".repeat(usize::from(width) - line.len()), width);
        }
    }

    #[test]
    fn lines_end_where_they_end() {
        let mut canvas = Canvas::default();
        drawn(&mut canvas, &["one", "two"], 10);
        assert_eq!(canvas.buffer, "one\x1b[K\r\ntwo\x1b[K");
    }

    #[test]
    fn lines_that_were_broken_are_cleared_whole() {
        let mut canvas = Canvas { flows_anew: true, ..Canvas::default() };
        drawn(&mut canvas, &["123456789", "12345", ""], 10);
        canvas.buffer.clear();
        canvas.go_to_top(1, 4);
        assert_eq!(canvas.buffer, "\x1b[4A\r\x1b[J", "three rows and two of them, less one");
    }

    #[test]
    fn a_terminal_that_cuts_lines_off_needs_nothing() {
        for (flows_anew, width) in [(false, 4), (true, 10), (true, 20)] {
            let mut canvas = Canvas { flows_anew, ..Canvas::default() };
            drawn(&mut canvas, &["123456789", "12345"], 10);
            canvas.buffer.clear();
            canvas.go_to_top(1, width);
            assert_eq!(canvas.buffer, "\x1b[1A");
        }
    }

    #[test]
    fn terminals_are_known_by_name() {
        assert!(flows_anew("xterm-256color") && flows_anew("tmux") && flows_anew(""));
        assert!(!flows_anew("linux") && !flows_anew("vt100"));
        assert_eq!((sensible(None), sensible(Some((0, 9)))), ((80, 24), (80, 9)));
    }
}
