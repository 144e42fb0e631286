//! The real binary: in a folder of its own, without the environment of whoever runs the tests,
//! against a `simulate` process that ends with its test.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::Rows;

/// What the clock of every `simulate` process shows, and stands still at.
pub(crate) const NOW: &str = "2026-03-10";

/// Longer than anything takes on a busy machine; only a failure waits for it.
const AT_MOST: Duration = Duration::from_secs(60);

/// A folder in which commands run and leave what they leave.
pub(crate) struct Sandbox {
    dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).expect(&self.stdout);
        assert!(value.is_object(), "{value}");
        value
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(&[], arguments)
    }

    /// A command that another one starts.
    pub(crate) fn command_by(&self, starter: &[&str], arguments: &[&str]) -> Command {
        let words = [starter, &[env!("CARGO_BIN_EXE_titan-download")], arguments].concat();
        let mut command = Command::new(words[0]);
        let is_ours = |name: &str| {
            name.starts_with("TITAN_")
                || [
                    "NO_COLOR",
                    "COLUMNS",
                    "RUST_LOG",
                    "RUST_BACKTRACE",
                    "TERM",
                    "STY",
                    "XTERM_VERSION",
                    "SSL_CERT_FILE",
                    "SSL_CERT_DIR",
                ]
                .contains(&name)
                || name.to_lowercase().ends_with("_proxy")
        };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_ours) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.dir.path()).args(&words[1..]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command as a shell reads it; `words` follow the name of the program.
    pub(crate) fn shell(&self, words: &str, variables: &[(&str, &str)]) -> Ran {
        let line = format!("\"$0\"{words}");
        let program = env!("CARGO_BIN_EXE_titan-download");
        let own = self.command(&[]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, program]).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in own.get_envs() {
            shell.env_remove(name);
        }
        shell.envs(variables.iter().copied()).output().unwrap().into()
    }

    /// Starts a command and goes on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running(Some(self.command(arguments).spawn().unwrap()))
    }

    /// Every file and folder, files with their content.
    pub(crate) fn content(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut content = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in if_there(fs::read_dir(folder)).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                    content.insert(path, None);
                } else if let Some(bytes) = if_there(fs::read(&path)) {
                    content.insert(path, Some(bytes));
                }
            }
        }
        content
    }

    /// The same without the record of the latest run, its draft and its lock: a run that is refused
    /// leaves a record too, and one that waits for its source writes its own whenever it wants.
    pub(crate) fn content_but_records(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut content = self.content();
        content.retain(|path, _| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            !name.trim_start_matches('.').starts_with("last-run.")
        });
        content
    }

    /// What `simulate --dump` says is true of `R_100` in candles of a minute.
    pub(crate) fn truth(&self, from: &str, to: &str) -> Rows {
        self.truth_of("--granularity 60", from, to)
    }

    /// What `simulate --dump` says is true of `R_100`: ticks, or what `kind` says.
    pub(crate) fn truth_of(&self, kind: &str, from: &str, to: &str) -> Rows {
        let line = format!("simulate --now {NOW} {kind} --dump R_100 {from} {to}");
        let csv = self.run(&line.split_whitespace().collect::<Vec<_>>()).expect(0).stdout;
        let row = |line: &str| {
            let mut fields = line.split(',');
            let epoch = fields.next().unwrap().parse().unwrap();
            let price = |text: &str| text.parse::<f64>().unwrap().to_string();
            (epoch, fields.map(price).collect())
        };
        csv.lines().skip(1).map(row).collect()
    }
}

/// What was read, unless a run at work renamed or removed it since it was listed.
#[track_caller]
fn if_there<T>(read: io::Result<T>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

/// A command at work; killed if the test ends before it.
pub(crate) struct Running(Option<Child>);

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(Some(child))
    }
}

impl Running {
    pub(crate) fn of(child: Child) -> Self {
        Self(Some(child))
    }

    /// Hands the command back, alive.
    #[cfg(unix)]
    pub(crate) fn into_child(mut self) -> Child {
        self.0.take().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }

    /// Waits until `is_so` or the command has ended; tells whether `is_so` came first.
    pub(crate) fn until_or_end(&mut self, is_so: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !is_so() {
            if self.0.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            assert!(began.elapsed() < AT_MOST, "neither comes");
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Waits until it holds the candles of a symbol in the archive `data` of its sandbox and has
    /// made all that it makes there before its first answer, but for the record of the run.
    #[track_caller]
    pub(crate) fn until_locked(&mut self, sandbox: &Sandbox, symbol: &str) {
        let locks = sandbox.path("data/.titan/locks");
        let lock = locks.join(format!("{symbol}.candles_60.lock"));
        let owner = format!("\"pid\":{},", self.pid());
        self.until("the lock is taken", || {
            fs::read_to_string(&lock).is_ok_and(|record| record.contains(&owner))
                && locks.join("watermark.lock").exists()
        });
    }

    /// Waits until `is_so`, which has to come while the command is at work.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let child = self.0.as_mut().unwrap();
            if child.try_wait().unwrap().is_some() {
                let ran: Ran = self.0.take().unwrap().wait_with_output().unwrap().into();
                panic!("ended before {what}: {ran:?}");
            }
            assert!(began.elapsed() < AT_MOST, "never {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A `simulate` process.
pub(crate) struct Server {
    child: Running,
    _stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
    pub(crate) legacy_url: String,
    dir: TempDir,
}

impl Server {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_at(NOW, options)
    }

    /// One whose clock shows another time.
    pub(crate) fn start_at(now: &str, options: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let mut arguments = vec!["simulate", "--port", "0", "--now", now, "--speed", "0"];
        arguments.extend(["--limit-per-minute", "none", "--log", "log.jsonl"]);
        arguments.extend(options);
        let mut child = sandbox.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let (url, legacy_url) = (line(), line());
        assert!(url.starts_with("ws://127.0.0.1:"), "{url}");
        let child = Running(Some(child));
        Self { child, _stdout: stdout, url, legacy_url, dir: sandbox.dir }
    }

    /// Ends it and returns its log.
    pub(crate) fn end(self) -> Vec<Value> {
        self.child.signal("TERM");
        self.child.end().expect(0);
        let log = fs::read_to_string(self.dir.path().join("log.jsonl")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// How often history was asked.
pub(crate) fn n_pages(log: &[Value]) -> usize {
    log.iter().filter(|call| call["call"] == "ticks_history").count()
}

/// The segments staged in an archive.
pub(crate) fn n_segments(root: &Path) -> usize {
    let folder = root.join(".titan/staging/R_100/candles_60/2026-02");
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "segment")).count()
}
