//! A pseudo-terminal with a command on it, and what its screen shows.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::num::NonZeroU16;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process::{Running, Sandbox};

const ROWS: u16 = 40;

/// Longer than anything takes on a busy machine; only a failure waits for it.
const AT_MOST: Duration = Duration::from_secs(60);

pub(super) struct Tty {
    master: Arc<File>,
    child: Option<Child>,
    screen: Arc<Mutex<Screen>>,
    reader: Option<JoinHandle<()>>,
}

struct Screen {
    emulator: vt100::Parser,
    raw: Vec<u8>,
}

/// What is left when the command has ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) lines: Vec<String>,
    pub(super) raw: String,
    pub(super) is_cursor_hidden: bool,
    pub(super) cursor_column: u16,
}

impl Ended {
    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

fn columns(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

fn size(width: u16) -> Winsize {
    Winsize { ws_row: ROWS, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Starts a command with stdin, stdout and stderr on a terminal of that width, and returns the end of
/// it that a person has.
pub(super) fn spawn(mut command: Command, width: u16) -> (File, Child) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let slave = OpenOptions::new().read(true).write(true).open(path).unwrap();
    tcsetwinsize(&slave, size(width)).unwrap();
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
    // The command holds the other end; once it has ended, reading ends.
    (File::from(master), command.stderr(slave).spawn().unwrap())
}

impl Tty {
    /// Starts a command on a terminal of that width. The emulator cuts long lines off like xterm, and
    /// the command is told so.
    pub(super) fn start(
        sandbox: &Sandbox,
        arguments: &[&str],
        variables: &[(&str, &str)],
        width: u16,
    ) -> Self {
        let mut command = sandbox.command(arguments);
        command.env("TERM", "xterm-256color").env("XTERM_VERSION", "test");
        command.envs(variables.iter().copied());
        let (master, child) = spawn(command, width);
        let emulator = vt100::Parser::new(columns(ROWS), columns(width), 1_000);
        let screen = Arc::new(Mutex::new(Screen { emulator, raw: Vec::new() }));
        let master = Arc::new(master);
        let reader = std::thread::spawn({
            let (master, screen) = (Arc::clone(&master), Arc::clone(&screen));
            move || read(&master, &screen)
        });
        Self { master, child: Some(child), screen, reader: Some(reader) }
    }

    /// What is on the screen, without spaces at the ends of lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        let contents = screen.emulator.screen().contents();
        contents.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits until the screen shows what `is_so` looks for, while the command is at work.
    #[track_caller]
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&[String]) -> bool) {
        let began = Instant::now();
        loop {
            let lines = self.lines();
            if is_so(&lines) {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "ended before {what}:\n{}", lines.join("\n"));
            assert!(began.elapsed() < AT_MOST, "never {what}:\n{}", lines.join("\n"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(super) fn resize(&self, width: u16) {
        let mut screen = self.screen.lock().unwrap();
        screen.emulator.set_size(columns(ROWS), columns(width));
        tcsetwinsize(&*self.master, size(width)).unwrap();
    }

    pub(super) fn signal(&mut self, name: &str) {
        let running = Running::of(self.child.take().unwrap());
        running.signal(name);
        self.child = Some(running.into_child());
    }

    pub(super) fn end(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        let code = child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        let lines = self.lines();
        let screen = self.screen.lock().unwrap();
        Ended {
            code,
            lines,
            raw: String::from_utf8_lossy(&screen.raw).into_owned(),
            is_cursor_hidden: screen.emulator.screen().hide_cursor(),
            cursor_column: screen.emulator.screen().cursor_position().1,
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Feeds the emulator until the other end is closed, which is told as an error.
fn read(mut master: &File, screen: &Mutex<Screen>) {
    let mut bytes = [0; 4096];
    while let Ok(n) = master.read(&mut bytes) {
        if n == 0 {
            break;
        }
        let mut screen = screen.lock().unwrap();
        screen.emulator.process(&bytes[..n]);
        screen.raw.extend_from_slice(&bytes[..n]);
    }
}
