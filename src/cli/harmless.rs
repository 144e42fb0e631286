//! What others wrote, made harmless: names of files, texts of servers and sidecars may hold anything.
//!
//! Everything that is printed or logged passes here once more, whoever forgot to escape it, because
//! `terminal` writes nothing else. What steers a terminal is shown as `\u001b`, which inside the
//! strings of JSON means the same character, so a JSON object stays what it is.

use std::borrow::Cow;
use std::io::{self, Write};

/// Tells whether a character moves the cursor, sends a command, turns the direction of writing or
/// hides.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{061c}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Control characters made visible, those of lines too, so that no message can steer the terminal
/// or look like two.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The text of several lines, with everything made visible that steers, but for its lines, tabs
/// and, if `keeps_colours`, the commands that choose a colour.
pub(super) fn harmless(text: &str, keeps_colours: bool) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && c != '\t' && steers(c)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if keeps_colours { colour_at(rest) } else { 0 };
        let n_bytes = if colour > 0 { colour } else { c.len_utf8() };
        if colour > 0 || c == '\n' || c == '\t' || !steers(c) {
            safe.push_str(&rest[..n_bytes]);
        } else {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units).iter();
            safe.extend(units.map(|unit| format!("\\u{unit:04x}")));
        }
        rest = &rest[n_bytes..];
    }
    Cow::Owned(safe)
}

/// The length of the colour command that `text` begins with, 0 if there is none.
fn colour_at(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let n_digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if rest.as_bytes().get(n_digits) == Some(&b'm') { 2 + n_digits + 1 } else { 0 }
}

/// Makes harmless what is written through it, line by line.
pub(super) struct Harmless<W> {
    /// Where it goes.
    pub(super) inner: W,
    keeps_colours: bool,
    /// The beginning of a line; what its bytes mean is known when it ends.
    line: Vec<u8>,
}

impl<W: Write> Harmless<W> {
    /// Writes to `inner`.
    pub(super) fn new(inner: W, keeps_colours: bool) -> Self {
        Self { inner, keeps_colours, line: Vec::new() }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        self.inner.write_all(harmless(&text, self.keeps_colours).as_bytes())
    }
}

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        let (lines, rest) = bytes.split_at(end + 1);
        self.line.extend_from_slice(lines);
        self.write_out()?;
        self.line.extend_from_slice(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(escaped("größer ≤ 3"), "größer ≤ 3");
    }

    #[test]
    fn lines_stay_lines_and_everything_else_is_shown() {
        let check = |text, expected| assert_eq!(harmless(text, false), expected);
        check("a\tb\nc\n", "a\tb\nc\n");
        check("a\rb", "a\\u000db");
        check("\u{1b}]0;owned\u{7}", "\\u001b]0;owned\\u0007");
        check("\u{9b}2J", "\\u009b2J");
        check("\u{202e}\u{2066}\u{feff}", "\\u202e\\u2066\\ufeff");
        check("\u{e0041}", "\\udb40\\udc41");
        check("\u{1b}[31mred", "\\u001b[31mred");
        assert!(matches!(harmless("größer ≤ 3\n", false), Cow::Borrowed(_)));
    }

    #[test]
    fn a_colour_is_kept_where_it_is_meant_and_nothing_else() {
        let check = |text, expected| assert_eq!(harmless(text, true), expected);
        check("\u{1b}[1;31mred\u{1b}[0m\n", "\u{1b}[1;31mred\u{1b}[0m\n");
        check("\u{1b}[2J\u{1b}[31", "\\u001b[2J\\u001b[31");
        check("\u{1b}", "\\u001b");
    }

    #[test]
    fn a_json_object_means_the_same_afterwards() {
        let object = serde_json::json!({ "text": "\u{1b}[2J\u{9b}\u{202e}\u{e0041}\r\n" });
        let safe = harmless(&object.to_string(), false).into_owned();
        assert!(safe.is_ascii(), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), object);
    }

    #[test]
    fn pieces_are_put_together_before_they_are_judged() {
        let mut out = Harmless::new(Vec::new(), true);
        for piece in ["\u{1b}[3", "1mred\n", "\u{1b}[", "2J"] {
            out.write_all(piece.as_bytes()).unwrap();
        }
        let [first, second] = "é".as_bytes() else { panic!("two bytes") };
        out.write_all(&[*first]).unwrap();
        out.write_all(&[*second, 0xff]).unwrap();
        out.flush().unwrap();
        let text = String::from_utf8(out.inner).unwrap();
        assert_eq!(text, "\u{1b}[31mred\n\\u001b[2Jé\u{fffd}");
    }
}
