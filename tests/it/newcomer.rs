//! A newcomer's path: every command that the documents show does what they say.
//!
//! Each block of `sh` or `console` runs in a folder of its own, line by line, as typed: with the
//! built program first on the path, a home of its own, and the source in the environment replaced by
//! a simulated exchange that keeps one day. What cannot run here is listed with the reason; a command
//! that is neither run nor listed cannot be.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::docs::documents;
use crate::process::{Ran, Running, Sandbox, Server};
use crate::python::{interpreter, python_with};

/// Commands that are not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    // Building inside a test would wait for the lock of the build that runs it, and take minutes.
    ("cargo test", "it is what runs this"),
    ("cargo build", "it came before this"),
    (".ci/run", "it runs this"),
    ("cargo install --locked --path .", "minutes, and it installs"),
    ("cargo build --locked --profile dist", "minutes"),
    ("rustup target add x86_64-unknown-linux-musl", "a download, and it changes the toolchain"),
    ("cargo build --locked --profile dist --target x86_64-unknown-linux-musl", "minutes"),
    ("cargo run --example day_in_memory", "`.ci/run` runs it"),
    ("cargo run --example second_source", "`.ci/run` runs it"),
    ("TITAN_LONG_TESTS=1 cargo test --test it crash -- --nocapture", "minutes"),
    (
        "TITAN_LONG_TESTS=R_100,BOOM500 cargo test --test it months_of_clean_archives -- --nocapture",
        "minutes",
    ),
    ("TITAN_LONG_TESTS=1 cargo test --test it all_faults_together", "minutes"),
    ("TITAN_RECORDED_TICKS=FOLDER cargo test --test it record -- --nocapture", "recorded ticks"),
    ("TITAN_SCREENSHOTS=FOLDER cargo test --test it browser", "it would wait for this very test"),
    ("cargo install --locked cargo-fuzz", "a download, and it installs"),
    ("cargo +nightly fuzz run message", "a nightly toolchain, and without end"),
    ("cargo check --manifest-path fuzz/Cargo.toml", "minutes"),
    ("cargo +1.89 check --locked", "another toolchain"),
    ("cargo deny check", "another program, and the network"),
    ("docker build -t titan-download .", "an engine"),
    (
        "docker run --rm --user \"$(id -u):$(id -g)\" -v \"$PWD/market-data:/data\" titan-download --symbol R_100 --months 12 --no-progress",
        "an engine",
    ),
    (
        "docker run --rm --user \"$(id -u):$(id -g)\" -v /srv/market-data:/data titan-download --symbol R_100 --months 2 --no-progress",
        "an engine",
    ),
    ("sudo install -m 0755 target/dist/titan-download /usr/local/bin/", "it installs"),
    ("sudo install -d -m 0755 /var/lib/titan-download", "it installs"),
    ("sudo install -m 0644 titan.toml /var/lib/titan-download/titan.toml", "it installs"),
    (
        "sudo install -m 0644 packaging/systemd/titan-download.service packaging/systemd/titan-download.timer /etc/systemd/system/",
        "it installs",
    ),
    ("sudo systemctl daemon-reload", "systemd, and rights"),
    ("sudo systemctl enable --now titan-download.timer", "systemd, and rights"),
    ("journalctl -u titan-download.service", "systemd"),
    (
        "duckdb -init views.sql -c \"SELECT symbol, count(*) FROM ticks GROUP BY symbol\"",
        "a program that is seldom there; `tests/it/views.rs` runs the views in its library",
    ),
];

/// Commands that are run in another form, and why.
const INSTEAD: &[(&str, &str, &str)] = &[
    (
        "cargo run --release -- --demo --symbol R_100 --months 2",
        "titan-download --demo --symbol R_100 --test",
        "the program is built; two months are minutes without optimisation",
    ),
    (
        "titan-download --demo --symbol R_100 --months 2",
        "titan-download --demo --symbol R_100 --test",
        "two months are minutes without optimisation",
    ),
    (
        "titan-download --demo --symbol R_100 --months 1",
        "titan-download --demo --symbol R_100 --test",
        "a month is a minute without optimisation",
    ),
];

/// Commands that end with another code than 0, and why.
const OTHER_CODES: &[(&str, i32, &str)] =
    &[("titan-download doctor", 1, "it notices that this exchange keeps one day, not a year")];

/// What examples name that is somebody else's.
const PLACE: &str = "/srv/market-data";

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of a document, each with its language.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language, Vec::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, lines)), None) => lines.push(line),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

/// The commands of a block: all lines of a script, what follows a prompt in a session, what follows
/// the five fields of a line for cron.
fn commands(language: &str, lines: &[&str]) -> Vec<String> {
    let typed: Vec<&str> = match language {
        "sh" => lines.to_vec(),
        "console" => lines.iter().filter_map(|line| line.strip_prefix("$ ")).collect(),
        "cron" => {
            lines.iter().map(|line| line.split_once("  ").map_or(*line, |(_, rest)| rest)).collect()
        }
        _ => Vec::new(),
    };
    let text = typed.join("\n").replace("\\\n", " ");
    let bare = |line: &str| line.split("  #").next().unwrap_or_default().trim().to_owned();
    text.lines().map(bare).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Where the commands of one block run.
struct Desk<'a> {
    sandbox: Sandbox,
    exchange: &'a Server,
    /// Takes the place of the port that an example names.
    port: String,
    servers: Vec<Running>,
}

impl<'a> Desk<'a> {
    /// A folder with an archive of a day, unless the block makes one of invented prices, and with
    /// what a checkout and earlier blocks have.
    fn new(exchange: &'a Server, archive: &Path, script: &str) -> Self {
        let sandbox = Sandbox::new();
        for folder in ["home", "bin"] {
            fs::create_dir(sandbox.path(folder)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_titan-download"), sandbox.path("bin/titan-download")).unwrap();
        let stub = sandbox.path("bin/start-trading");
        fs::write(&stub, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(project().join("docs"), sandbox.path("docs")).unwrap();
        if !script.contains("--demo") {
            copy(archive, &sandbox.path("data_cache"));
        }
        // Whatever names no symbol has a file that does.
        let is_set = ["titan.toml", "--print-config", PLACE].iter().any(|s| script.contains(s));
        if is_set {
            fs::write(sandbox.path("titan.toml"), example_of_settings()).unwrap();
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        Self { sandbox, exchange, port, servers: Vec::new() }
    }

    fn shell(&self, line: &str) -> Command {
        let place = self.sandbox.path("");
        let line = line.replace("8080", &self.port).replace(PLACE, place.to_str().unwrap());
        let command = self.sandbox.command(&[]);
        let mut shell = Command::new("bash");
        // The environment that the sandbox cleaned.
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let others = std::env::var("PATH").unwrap();
        shell
            .args(["-euo", "pipefail", "-c", &line])
            .current_dir(place)
            .env("PATH", format!("{}:{others}", self.sandbox.path("bin").display()))
            .env("HOME", self.sandbox.path("home"))
            .env_remove("XDG_STATE_HOME")
            .env("TITAN_ENDPOINT", &self.exchange.url)
            .env("TITAN_RATE", "unlimited")
            .stdin(Stdio::null());
        shell
    }

    fn run(&mut self, line: &str) -> Ran {
        let serves = line.contains("titan-download simulate") && !line.contains("--dump");
        if !serves {
            return self.shell(line).output().unwrap().into();
        }
        let mut child = self.shell(&format!("exec {line}")).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        self.servers.push(Running::of(child));
        let code = if url.starts_with("ws://127.0.0.1:") { 0 } else { 1 };
        Ran { code: Some(code), stdout: url, stderr: String::new() }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// The configuration file that the documents show.
fn example_of_settings() -> String {
    let is_example = |(language, lines): &(&str, Vec<&str>)| {
        *language == "toml" && lines.first() == Some(&"# titan.toml")
    };
    let documents = documents();
    let mut all = documents.iter().flat_map(|(_, text)| blocks(text));
    all.find(is_example).expect("an example of titan.toml").1.join("\n")
}

/// An archive of the day that the exchange keeps.
fn archive(exchange: &Server, sandbox: &Sandbox) -> PathBuf {
    let of = |symbols: &str, kinds: &str| {
        let mut arguments = vec!["--symbol", symbols, "--kind", kinds, "--months", "1"];
        arguments.extend(["--rate", "unlimited", "--endpoint", &exchange.url]);
        sandbox.run(&arguments).expect(0);
    };
    of("R_100", "ticks,candles");
    of("frxEURUSD", "candles");
    sandbox.path("data_cache")
}

/// What became of the commands.
#[derive(Default)]
struct Course {
    /// Those of the lists that were met.
    met: BTreeSet<String>,
    n_run: usize,
    wrong: Vec<String>,
}

impl Course {
    #[allow(clippy::print_stdout)] // how long each takes
    fn take(&mut self, document: &str, command: &str, desk: &mut Desk, has_readers: bool) {
        if NOT_RUN.iter().any(|(line, _)| *line == command) {
            self.met.insert(command.to_owned());
            return;
        }
        let instead = INSTEAD.iter().find(|(line, ..)| *line == command);
        let other_code = OTHER_CODES.iter().find(|(line, ..)| *line == command);
        if instead.is_some() || other_code.is_some() {
            self.met.insert(command.to_owned());
        }
        let line = instead.map_or(command, |(_, line, _)| line);
        let line = match line.strip_prefix("python3 ") {
            Some(_) if !has_readers => return,
            Some(rest) => format!("{} {rest}", interpreter().display()),
            None => line.to_owned(),
        };
        let began = Instant::now();
        let ran = desk.run(&line);
        println!("{:5.1} s  {document}: {command}", began.elapsed().as_secs_f32());
        self.n_run += 1;
        if ran.code != Some(other_code.map_or(0, |(_, code, _)| *code)) {
            let Ran { code, stdout, stderr } = ran;
            self.wrong.push(format!("{document}: `{command}`: {code:?}\n{stdout}{stderr}"));
        }
    }
}

#[test]
fn every_command_of_the_documents_works_as_written() {
    // `status` holds an archive against the clock of the machine.
    let now = chrono::Utc::now().timestamp().to_string();
    let exchange = Server::start_at(&now, &["--history-days", "1"]);
    let home = Sandbox::new();
    let archive = archive(&exchange, &home);
    let has_readers = python_with(&["pyarrow"]).is_some();
    let mut course = Course::default();
    for (name, text) in documents() {
        for (language, lines) in blocks(&text) {
            let commands = commands(language, &lines);
            let mut desk = Desk::new(&exchange, &archive, &commands.join("\n"));
            for command in &commands {
                course.take(&name, command, &mut desk, has_readers);
            }
        }
    }
    assert!(course.wrong.is_empty(), "{}", course.wrong.join("\n"));
    assert!(course.n_run > 40, "only {} commands: are they still there?", course.n_run);
    let not_run = NOT_RUN.iter().map(|(line, _)| *line);
    let instead = INSTEAD.iter().map(|(line, ..)| *line);
    for line in not_run.chain(instead).chain(OTHER_CODES.iter().map(|(line, ..)| *line)) {
        assert!(course.met.contains(line), "no document has `{line}` any more");
    }
}

/// A block of another language holds no command that would escape the test above.
#[test]
fn commands_are_marked_as_such() {
    let programs = ["titan-download", "cargo", "docker", "sudo", "python3", "$"];
    for (name, text) in documents() {
        for (language, lines) in blocks(&text) {
            if ["sh", "console", "cron"].contains(&language) {
                continue;
            }
            for line in lines {
                let is_command = line.split(' ').next().is_some_and(|w| programs.contains(&w));
                assert!(!is_command, "{name}: `{line}` stands in a block of `{language}`");
            }
        }
    }
}
