//! Everything a person can type wrong, word for word: what is said, and the exit code.
//!
//! Each table is one snapshot. A bad command line asks nobody and changes nothing on disk.
#![cfg(unix)]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use crate::cli::{TWO_DAYS, assert_whole, candles};
use crate::process::{Ran, Sandbox, Server};

/// The command line, the exit code, and what was said where.
fn told(arguments: &[&str], ran: &Ran) -> String {
    let mut text = String::new();
    let shown: Vec<_> = arguments.iter().map(|word| word.escape_default().to_string()).collect();
    writeln!(text, "$ titan-download {}", shown.join(" ")).unwrap();
    for (name, said) in [("", &ran.stdout), ("", &ran.stderr)] {
        for line in said.lines() {
            writeln!(text, "{name}{line}").unwrap();
        }
    }
    writeln!(text, "[{}]\n", ran.code.map_or("killed".to_owned(), |code| code.to_string()))
        .unwrap();
    text
}

/// Runs each line; nobody listens at the endpoint, so whoever asked would end with 69.
fn refused(sandbox: &Sandbox, lines: &[&str]) -> String {
    let before = sandbox.content();
    let mut text = String::new();
    for line in lines {
        // `~` stands for a space inside a word.
        let words: Vec<_> = line.split_whitespace().map(|word| word.replace('~', " ")).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut command = sandbox.command(&words);
        command.env("TITAN_ENDPOINT", "ws://127.0.0.1:1/");
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, Some(2), "{line}\n{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stdout, "", "{line}");
        let n = |start| ran.stderr.lines().filter(|said| said.starts_with(start)).count();
        assert_eq!((n("error: "), n("hint: ")), (1, 1), "{line}\n{}", ran.stderr);
        text += &told(&words, &ran);
    }
    assert!(sandbox.content() == before, "something was left behind");
    text
}

#[test]
fn what_to_download() {
    let sandbox = Sandbox::new();
    let long = "R".repeat(31);
    let symbols = ["../../etc", "R_100/..", "R", "R_100.", "Ä_100", "Ｒ_100", "R_100\u{200b}"];
    let symbols = symbols.into_iter().chain(["\u{1b}[2J", &long]);
    let mut lines: Vec<_> = symbols.map(|symbol| format!("--symbol {symbol}")).collect();
    for wrong in [
        "--kind ticks",
        "-s R_100 --kind tick",
        "-s R_100 --kind candle,ticks",
        "-s R_100 --kind trades",
        "-s R_100 --granularity 61",
        "-s R_100 --granularity one",
        "-s R_100 --months NaN",
        "-s R_100 --months inf",
        "-s R_100 --months -1",
        "-s R_100 --months 1201",
        "-s R_100 --months 0.0",
        "-s R_100 --months many",
        "-s R_100 --start-date 1900-01-01",
        "-s R_100 --start-date 2026-01-01 --end-date 9999-12-31",
        "-s R_100 --start-date 2024-13-01",
        "-s R_100 --start-date 2023-02-29",
        "-s R_100 --start-date 1.3.2024",
        "-s R_100 --start-date 2026-02-01 --end-date 2026-01-01",
        "-s R_100 --start-date 2026-02-01 --end-date 2026-02-01",
        "-s R_100 --end-date 2026-02-01",
        "-s R_100 --accept-restatement 2026-03",
        "-s R_100 --accept-restatement R_50/ticks/2026-03",
        "-s R_100 --test --months 2",
    ] {
        lines.push(wrong.to_owned());
    }
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let text = refused(&sandbox, &lines);
    insta::assert_snapshot!(text);
}

#[test]
fn how_and_where() {
    let sandbox = Sandbox::new();
    let text = refused(
        &sandbox,
        &[
            "-s R_100 --rate 0",
            "-s R_100 --rate -5",
            "-s R_100 --rate fast",
            "-s R_100 --rate unlimited --endpoint wss://127.0.0.1.evil.com/",
            "-s R_100 --concurrency 0",
            "-s R_100 --timeout 30",
            "-s R_100 --timeout 0s",
            "-s R_100 --retries -1",
            "-s R_100 --max-requests 0",
            "-s R_100 --max-requests 2",
            "-s R_100 --max-duration 5",
            "-s R_100 --breaker-cooldown forever",
            "-s R_100 --compression zst",
            "-s R_100 --compression zstd:99",
            "-s R_100 --compression brotli",
            "-s R_100 --row-group-rows 1",
            "-s R_100 --gap-threshold never",
            "-s R_100 --settle-lag -1h",
            "-s R_100 --log-format yaml",
            "-s R_100 --api v2",
            "-s R_100 --api legcy",
            "-s R_100 --app-id none",
            "-s R_100 --endpoint https://api.derivws.com/",
            "-s R_100 --endpoint api.derivws.com",
            "-s R_100 --endpoint wss://user:s3cret@host/?token=s3cret",
            "-s R_100 --endpoint ws://192.0.2.1:9/?token=s3cret",
            "-s R_100 --endpoint ws://127.0.0.1.evil.com/",
            "-s R_100 --endpoint ws://0x7f000001/",
            "-s R_100 --endpoint ws://2130706433/",
            "-s R_100 --endpoint ws://[::]/",
            "-s R_100 --output=",
            "-s R_100 --demo --endpoint ws://127.0.0.1:1/",
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn the_names_of_things() {
    let sandbox = Sandbox::new();
    let text = refused(
        &sandbox,
        &[
            "--sybmol R_100",
            "--token s3cret",
            "--token=s3cret",
            "verfy",
            "verify --dep",
            "verify --fast --deep",
            "verify --sample 5/3",
            "verify --threads 0",
            "verify nowhere",
            "status nowhere",
            "status --require-through soon",
            "explain R_100",
            "explain R_100@soon",
            "explain R_100@2026-03-07T12:00:05.5Z",
            "explain ../x@2026-03-07",
            "adopt --output nowhere",
            "adopt --symbol ../x",
            "simulate --now yesterday",
            "simulate --now 2026-03-07T25:00:00Z",
            "simulate --speed -1",
            "simulate --port 70000",
            "simulate --fault hagn=1",
            "simulate --fault hang=2",
            "simulate --dump R_100 2026-03-02 2026-03-01",
            "completions tcsh",
            "completions fsh",
            "man verfy",
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn what_lies_in_the_way() {
    let sandbox = Sandbox::new();
    let write = |name: &str, content: &[u8], mode| {
        fs::write(sandbox.path(name), content).unwrap();
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("file", b"mine", 0o644);
    write("open.token", b"s3cret", 0o644);
    write("two.token", b"s3cret s3cret", 0o600);
    write("empty.token", b"\n", 0o600);
    write("long.token", &[b'x'; 5_000], 0o600);
    write("binary.token", b"\xff\xfe\x00", 0o600);
    fs::create_dir(sandbox.path("folder.token")).unwrap();
    symlink("open.token", sandbox.path("link.token")).unwrap();
    let mut text = refused(
        &sandbox,
        &[
            "-s R_100 --token-file open.token",
            "-s R_100 --token-file two.token",
            "-s R_100 --token-file empty.token",
            "-s R_100 --token-file long.token",
            "-s R_100 --token-file binary.token",
            "-s R_100 --token-file folder.token",
            "-s R_100 --token-file /dev/zero",
            "-s R_100 --token-file link.token",
            "-s R_100 --token-file none.token",
            "-s R_100 --token-file s3cret",
            "verify file",
            "status file",
        ],
    );
    for broken in
        [&b"TITAN_RATE\n"[..], b"TITAN_TOKEN='s3cret\n", b"\xff\xfe\n", b"TITAN_RATE=a\x00b\n"]
    {
        fs::write(sandbox.path(".env"), broken).unwrap();
        writeln!(text, ".env: {}", broken.escape_ascii()).unwrap();
        text += &refused(&sandbox, &["-s R_100 --dry-run"]);
    }
    fs::remove_file(sandbox.path(".env")).unwrap();
    fs::create_dir(sandbox.path(".env")).unwrap();
    text += ".env: a folder\n";
    text += &refused(&sandbox, &["-s R_100 --dry-run"]);
    let mut said = text.lines().filter(|line| !line.starts_with(['$', '.']));
    assert!(said.all(|line| !line.contains("s3cret")), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn every_exit_code() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let mut text = String::new();
    let mut run = |arguments: &[&str], code: i32| {
        let ran = sandbox.run(arguments).expect(code);
        let said = Ran { stdout: String::new(), ..ran };
        text += &told(arguments, &said).replace(&server.url, "ws://127.0.0.1:PORT/");
    };
    let small = |more: &[&'static str]| {
        [candles(&server.url, TWO_DAYS).as_slice(), &["--quiet"], more].concat()
    };
    run(&small(&["--retries", "some"]), 2);
    run(&small(&["--max-requests", "3"]), 3);
    run(&small(&[]), 0);
    run(&["status", "data", "--require-through", "2026-03-05"], 1);
    run(&["status", "data", "--require-through", "2026-03-02"], 0);
    let mut unknown = small(&[]);
    for (symbol, meant) in [("R100", "`R_100`"), ("R_100x", "`R_100`"), ("r_100", "`R_100`")] {
        unknown[1] = symbol;
        let ran = sandbox.run(&unknown).expect(2);
        assert!(ran.stderr.contains(&format!("did you mean {meant}?")), "{}", ran.stderr);
    }
    run(&unknown, 2);
    let lock = File::open(sandbox.path("data/.titan/locks/R_100.candles_60.lock")).unwrap();
    lock.lock().unwrap();
    run(&small(&["--no-resume"]), 75);
    drop(lock);
    fs::write(sandbox.path("data/R_100/candles_60/2026-03.metadata.json"), "{").unwrap();
    run(&["verify", "data"], 1);
    // A port that was just free is closed now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}/");
    let hurry = ["--retries", "1", "--max-outage", "1s", "--breaker-cooldown", "100ms"];
    let away = [candles(&url, TWO_DAYS).as_slice(), &hurry, &["--quiet"]].concat();
    let ran = sandbox.run(&away).expect(69);
    let mut lines = ran.stderr.lines();
    assert_eq!(lines.next(), Some("error: cannot ask the source for the time"));
    assert!(lines.last().unwrap().starts_with("hint: check the network"), "{}", ran.stderr);
    insta::assert_snapshot!(text);
}

#[test]
fn a_signal_says_so_and_has_its_code() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        let arguments = candles(&hanging.url, TWO_DAYS);
        let mut run = sandbox.start(&arguments);
        run.until("it works", || sandbox.path("data/.titan/locks/R_100.candles_60.lock").exists());
        run.signal(signal);
        let ran = run.end().expect(code);
        let mut lines: Vec<_> = ran.stderr.lines().collect();
        assert_eq!(lines.remove(0), "`data` holds no archive: a new one begins there");
        let stopping = "stopping: everything answered is kept; press Ctrl-C again to leave at once";
        assert_eq!(lines.first(), Some(&stopping), "{}", ran.stderr);
        // What was waited for when it came is for chance to say.
        assert!(lines[1].starts_with("error: cannot "), "{}", ran.stderr);
        let go_on = "hint: nothing is lost, run the same command again to go on";
        assert_eq!(lines.last(), Some(&go_on), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

/// No terminal, nothing to read from and nowhere to write to, as under some supervisors.
#[test]
fn nobody_is_there() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let run = |arguments: &[&str], closed: &str| {
        let mut command = std::process::Command::new("sh");
        let script = format!("exec \"$0\" \"$@\" {closed}");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_titan-download")]).args(arguments);
        command.env_clear().current_dir(sandbox.path("."));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().code()
    };
    let download = candles(&server.url, TWO_DAYS);
    let wrong = ["--symbol", "?"];
    for closed in ["<&- >&- 2>&-", ">&-", "2>&-", "<&-", "</dev/null >/dev/null 2>&1"] {
        assert_eq!(run(&download, closed), Some(0), "{closed}");
        assert_eq!(run(&[download.as_slice(), &["-vvvv"]].concat(), closed), Some(0), "{closed}");
        assert_eq!(run(&["verify", "data"], closed), Some(0), "{closed}");
        assert_eq!(run(&["--help"], closed), Some(0), "{closed}");
        assert_eq!(run(&wrong, closed), Some(2), "{closed}");
    }
    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
    // A full disk behind stdout is no reader who left.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran: Ran = sandbox.command(&download).stdout(full).output().unwrap().into();
    assert!(ran.expect(1).stderr.contains("cannot write the result to stdout"));
}
