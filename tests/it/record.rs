//! What a run tells others: the file of its log, its metrics, and how it went, as the real binary
//! leaves them however it ends.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::cli::{TWENTY_DAYS, TWO_DAYS, candles};
use crate::process::{Sandbox, Server};

#[path = "../../src/cli/record/metrics/tests/strict.rs"]
mod strict;

use strict::{Metric, parse};

pub(crate) type Metrics = BTreeMap<String, Metric>;

const METRICS: [&str; 2] = ["--metrics-file", "titan.prom"];

pub(crate) fn metrics(sandbox: &Sandbox) -> Metrics {
    parse(&fs::read_to_string(sandbox.path("titan.prom")).unwrap())
}

#[track_caller]
pub(crate) fn value(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> f64 {
    let name = format!("titan_download_{name}");
    metrics.get(&name).unwrap_or_else(|| panic!("no {name}")).value(labels)
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

fn last_run(sandbox: &Sandbox) -> Value {
    read_json(&sandbox.path("data/.titan/last-run.json")).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn with<'a>(line: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [line, more].concat()
}

/// A small download with metrics.
fn watched(url: &str) -> Vec<&str> {
    with(&candles(url, TWO_DAYS), &METRICS)
}

/// A port that was just free is closed now.
fn nobody() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("ws://127.0.0.1:{port}/")
}

const HURRY: [&str; 6] = ["--retries", "1", "--max-outage", "1s", "--breaker-cooldown", "100ms"];

#[test]
fn each_retry_says_where_it_belongs() {
    let server = Server::start(&["--fault", "internal_error=0.3"]);
    let sandbox = Sandbox::new();
    let file = ["--log-file", "run.log", "--log-format", "json", "--quiet", "--retries", "20"];
    fs::create_dir_all(sandbox.path("data/.titan")).unwrap();
    let ran = sandbox.run(&with(&candles(&server.url, TWENTY_DAYS), &file)).expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let lines = lines(&sandbox.path("run.log"));
    let session = lines[0]["session"].as_str().unwrap().to_owned();
    assert!(lines.iter().all(|line| line["session"] == *session), "{lines:?}");
    let retries: Vec<_> = lines.iter().filter(|line| line["message"] == "asking again").collect();
    assert!(retries.len() > 3, "{lines:?}");
    let mut months = Vec::new();
    for retry in &retries {
        assert_eq!((&retry["symbol"], &retry["kind"]), (&"R_100".into(), &"candles".into()));
        assert_eq!(retry["granularity"], 60, "{retry}");
        assert!(retry["attempt"].as_u64().is_some_and(|n| n >= 1), "{retry}");
        for key in ["window_start", "window_end", "timestamp"] {
            assert!(
                retry[key]
                    .as_str()
                    .is_some_and(|text| text.starts_with("2026-") || key == "timestamp"),
                "{retry}"
            );
        }
        months.extend(retry.get("month").cloned());
    }
    // Where the history begins is asked before there is a month.
    assert!(months.len() > 2 && months.iter().all(|month| *month == "2026-02"), "{retries:?}");
    assert!(retries.iter().any(|retry| retry["attempt"] == 2), "{retries:?}");
    let said = |text: &str| lines.iter().filter(|line| line["message"] == *text).count();
    for text in ["run started", "planned", "month started", "month published", "run ended"] {
        assert_eq!(said(text), 1, "{text}: {lines:?}");
    }
    // A month at `info` is a few lines, however many pages it has.
    let size = fs::metadata(sandbox.path("run.log")).unwrap().len();
    println!("{size} bytes with {} retries", retries.len());
}

#[test]
fn screen_and_file_have_levels_of_their_own() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let line = candles(&server.url, TWO_DAYS);
    let error = ["--log-file", "log", "--log-file-level", "error", "-vv"];
    let ran = sandbox.run(&with(&line, &error)).expect(0);
    assert!(ran.stderr.contains("run started") && ran.stderr.contains("DEBUG"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(sandbox.path("log")).unwrap(), "");
    let mut command = sandbox.command(&with(&line, &["-q"]));
    command.env("TITAN_LOG_FILE", "log").env("TITAN_LOG_FILE_LEVEL", "debug");
    assert!(command.output().unwrap().stderr.is_empty());
    let log = fs::read_to_string(sandbox.path("log")).unwrap();
    assert!(log.contains("run ended") && log.contains("DEBUG") && !log.contains('\u{1b}'), "{log}");
    let n_lines = log.lines().count();
    sandbox.run(&with(&line, &["-q", "--log-file", "log"])).expect(0);
    let longer = fs::read_to_string(sandbox.path("log")).unwrap();
    assert!(longer.starts_with(&log) && longer.lines().count() > n_lines, "{longer}");
}

#[test]
fn a_log_that_cannot_be_kept_is_refused_before_the_work_and_told_after_it() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let line = candles(&server.url, TWO_DAYS);
    let ran = sandbox.run(&with(&line, &["--log-file", "nowhere/log"])).expect(2);
    assert!(ran.stderr.contains("cannot open the log file `nowhere/log`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    let ran = sandbox.run(&with(&line, &["--log-file", "l", "--log-file-level", "much"])).expect(2);
    assert!(ran.stderr.contains("cannot read `--log-file-level`"), "{}", ran.stderr);
    assert!(sandbox.content().is_empty());
    if cfg!(target_os = "linux") {
        let ran = sandbox.run(&with(&line, &["-q", "--log-file", "/dev/full"])).expect(0);
        assert!(ran.stderr.contains("missing in the log file `/dev/full`"), "{}", ran.stderr);
    }
}

#[test]
fn a_run_that_went_well_says_so() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let line = with(&candles(&server.url, TWO_DAYS), &METRICS);
    sandbox.run(&line).expect(0);
    let found = metrics(&sandbox);
    let minute = [("symbol", "R_100"), ("kind", "candles"), ("granularity", "60")];
    assert_eq!(value(&found, "run_active", &[]), 0.0);
    assert_eq!(value(&found, "last_exit_code", &[]), 0.0);
    assert_eq!(value(&found, "last_outcome", &[("outcome", "success")]), 1.0);
    assert_eq!(value(&found, "rows_new_total", &minute), 2880.0);
    assert_eq!(value(&found, "series_rows", &minute), 2880.0);
    assert_eq!(value(&found, "series_up_to_date", &minute), 1.0);
    assert_eq!(value(&found, "series_watermark_epoch_seconds", &minute), 1_772_496_000.0);
    assert!(value(&found, "requests_total", &[]) >= 3.0);
    assert!(value(&found, "last_success_time_seconds", &[]) > 1.7e9);
    let files: Vec<_> = sandbox.content().into_keys().collect();
    assert!(!files.iter().any(|path| path.to_string_lossy().contains(".titan-tmp")), "{files:?}");

    let note = last_run(&sandbox);
    assert_eq!((&note["outcome"], &note["exit_code"]), (&"success".into(), &0.into()));
    assert_eq!((&note["rows_new"], &note["partitions_published"]), (&2880.into(), &1.into()));
    assert_eq!(note["server_time"], "2026-03-10T00:00:00Z");
    assert_eq!(note["details"]["totals"]["rows"], 2880);
    assert_eq!(note["details"]["arguments"]["wanted"][0]["series"], "R_100 candles 60s");
    assert_eq!(note["history"].as_array().unwrap().len(), 0);
    // The counters of the next run begin at zero; what is on disk stays.
    sandbox.run(&line).expect(0);
    let found = metrics(&sandbox);
    assert_eq!(value(&found, "rows_new_total", &minute), 0.0);
    assert_eq!(value(&found, "series_rows", &minute), 2880.0);
    let again = last_run(&sandbox);
    assert_eq!(again["history"][0]["session"], note["session"]);
    assert_eq!(again["history"][0]["rows_new"], 2880);
    assert!(again["history"][0].get("details").is_none());

    let json = sandbox.run(&["status", "data", "--json"]).expect(0).json();
    assert_eq!(json["last_run"]["session"], again["session"]);
    let ran = sandbox.run(&["status", "data"]).expect(0);
    assert!(ran.stdout.contains("last run: success, exit code 0, ended 20"), "{}", ran.stdout);
}

#[test]
fn a_run_at_work_can_be_watched_and_one_that_was_killed_is_told_once() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    let sandbox = Sandbox::new();
    let mut run = sandbox.start(&watched(&hanging.url));
    let path = sandbox.path("data/.titan/last-run.json");
    run.until("it says that it is at work", || {
        read_json(&path).is_some_and(|note| note["outcome"] == "running")
    });
    let note = last_run(&sandbox);
    assert_eq!((&note["pid"], &note["exit_code"]), (&run.pid().into(), &Value::Null));
    assert_eq!(note["ended_at"], Value::Null);
    assert_eq!(value(&metrics(&sandbox), "run_active", &[]), 1.0);
    let ran = sandbox.run(&["status", "data"]).expect(0);
    assert!(ran.stdout.contains(&format!("process {}", run.pid())), "{}", ran.stdout);

    // Another run that comes to nothing leaves it its place in the file.
    sandbox.run(&with(&candles(&hanging.url, TWO_DAYS), &["--metrics-file", "b.prom"])).expect(75);
    let note = last_run(&sandbox);
    assert_eq!((&note["outcome"], &note["exit_code"]), (&"held".into(), &75.into()));
    assert_eq!(note["history"][0]["outcome"], "running");
    let held = parse(&fs::read_to_string(sandbox.path("b.prom")).unwrap());
    assert_eq!(value(&held, "last_exit_code", &[]), 75.0);

    run.signal("KILL");
    run.end();
    let server = Server::start(&[]);
    let log = ["--log-file", "log", "--quiet"];
    for _ in 0..2 {
        sandbox.run(&with(&watched(&server.url), &log)).expect(0);
    }
    let note = last_run(&sandbox);
    let outcome = |n: usize| note["history"][n]["outcome"].as_str().unwrap().to_owned();
    assert_eq!(
        (outcome(0), outcome(1), outcome(2)),
        ("success".into(), "held".into(), "killed".into())
    );
    let log = fs::read_to_string(sandbox.path("log")).unwrap();
    assert_eq!(log.matches("an earlier run ended without a word").count(), 1, "{log}");
}

#[test]
fn each_end_is_told() {
    let server = Server::start(&[]);
    let failing = Server::start(&["--fault", "internal_error=1772420000..1772424000"]);
    let sandbox = Sandbox::new();
    let check = |more: &[&str], url: &str, code: i32, word: &str| {
        sandbox.run(&with(&watched(url), more)).expect(code);
        let found = metrics(&sandbox);
        assert_eq!(value(&found, "last_exit_code", &[]), f64::from(code), "{word}");
        assert_eq!(value(&found, "last_outcome", &[("outcome", word)]), 1.0, "{word}");
        let note = read_json(&sandbox.path("data/.titan/last-run.json"));
        if let Some(note) = &note {
            assert_eq!((&note["outcome"], &note["exit_code"]), (&word.into(), &code.into()));
            let problems = note["details"]["problems"].as_array().unwrap();
            assert_eq!(problems.is_empty(), code == 0, "{note}");
        }
        (found, note.is_some())
    };
    // Where there is no archive none is made, but who watches is told.
    let (_, is_noted) = check(&HURRY, &nobody(), 69, "unavailable");
    assert!(!is_noted && !sandbox.path("data").exists());
    check(&["--concurrency", "0"], &server.url, 2, "cannot_start");
    let retry = ["--retries", "0", "--breaker-threshold", "99"];
    let (found, _) = check(&retry, &failing.url, 1, "incomplete");
    assert_eq!(value(&found, "series_up_to_date", &[]), 0.0);
    assert!(!found.contains_key("titan_download_last_success_time_seconds"));
    check(&["--max-requests", "3", "--no-resume"], &server.url, 3, "budget_spent");
    let (success, _) = check(&[], &server.url, 0, "success");
    let at = value(&success, "last_success_time_seconds", &[]);
    for (more, url, code, word) in [
        (HURRY.as_slice(), nobody(), 69, "unavailable"),
        (&["--granularity", "61"], server.url.clone(), 2, "cannot_start"),
    ] {
        let (found, is_noted) = check(more, &url, code, word);
        assert_eq!(value(&found, "last_success_time_seconds", &[]), at);
        assert_eq!(value(&found, "series_up_to_date", &[("kind", "candles")]), 1.0);
        assert!(is_noted);
    }
}

#[test]
fn an_interrupted_run_says_so() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    let sandbox = Sandbox::new();
    let mut run = sandbox.start(&with(&candles(&hanging.url, TWO_DAYS), &METRICS));
    run.until("it works", || sandbox.path("data/.titan/locks/R_100.candles_60.lock").exists());
    run.signal("INT");
    run.end().expect(130);
    assert_eq!(value(&metrics(&sandbox), "last_outcome", &[("outcome", "interrupted")]), 1.0);
    let note = last_run(&sandbox);
    assert_eq!((&note["outcome"], &note["exit_code"]), (&"interrupted".into(), &130.into()));
}

#[test]
fn a_dry_run_tells_nobody() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    sandbox
        .run(&with(&candles(&server.url, TWO_DAYS), &["--dry-run", METRICS[0], METRICS[1]]))
        .expect(0);
    assert!(sandbox.content().is_empty());
}

#[test]
fn what_cannot_be_written_stops_no_run() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let line = candles(&server.url, TWO_DAYS);
    let ran = sandbox.run(&with(&line, &["--metrics-file", "nowhere/titan.prom"])).expect(2);
    assert!(ran.stderr.contains("cannot write the metrics file"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: ") && sandbox.content().is_empty(), "{}", ran.stderr);

    sandbox.run(&line).expect(0);
    let path = sandbox.path("data/.titan/last-run.json");
    // A folder in its place can be neither read nor replaced.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let ran = sandbox.run(&line).expect(0);
    assert_eq!(
        ran.stderr.matches("`.titan/last-run.json` cannot be written").count(),
        1,
        "{}",
        ran.stderr
    );
    fs::remove_dir(&path).unwrap();
    for damaged in ["", "{\"format_version\":1,", "\u{0}\u{1b}[31m", "[[[[[["] {
        fs::write(&path, damaged).unwrap();
        let ran = sandbox.run(&line).expect(0);
        assert!(ran.stderr.contains("said of earlier runs cannot be used"), "{}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'));
        assert_eq!(last_run(&sandbox)["outcome"], "success");
    }
    // What a newer version wrote stays as it is.
    fs::write(&path, "{\"format_version\":9}").unwrap();
    sandbox.run(&line).expect(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"format_version\":9}");
}

/// The source may say anything; what it says reaches the log and the note of a run.
#[test]
fn a_token_is_in_no_file() {
    const TOKEN: &str = "pL4nt3dT0k3n";
    for (accepted, code) in [(TOKEN, 0), ("an0ther", 2)] {
        let server = Server::start(&["--token", accepted]);
        let sandbox = Sandbox::new();
        for format in ["text", "json"] {
            let mut line = with(&candles(&server.legacy_url, TWO_DAYS), &METRICS);
            line.extend(["--api", "legacy", "--log-format", format, "--log-file", "log"]);
            line.extend(["--log-file-level", "trace"]);
            let output = sandbox.command(&line).env("TITAN_TOKEN", TOKEN).output().unwrap();
            assert_eq!(output.status.code(), Some(code));
        }
        let log = fs::read_to_string(sandbox.path("log")).unwrap();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "{log}");
        for (path, bytes) in sandbox.content() {
            let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
            assert!(!text.contains(TOKEN), "{}", path.display());
        }
        let calls = server.end();
        assert!(calls.iter().any(|call| call["call"] == "authorize"), "the token was never used");
    }
}
