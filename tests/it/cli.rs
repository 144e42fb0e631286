//! The command line end to end: exit codes, what is said where, and what is left on disk.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use titan_download::domain::{Granularity, Kind};

use crate::process::{NOW, Ran, Sandbox, Server, n_pages, n_segments};
use crate::support::{all_rows, assert_same_rows, rows_of, series};

/// The options of a small download of minute candles.
pub(crate) fn candles<'a>(url: &'a str, range: [&'a str; 2]) -> Vec<&'a str> {
    let [start, end] = range;
    let what = ["--symbol", "R_100", "--kind", "candles", "--start-date", start, "--end-date", end];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited"];
    [what.as_slice(), &place].concat()
}

/// The same one answer after the other and in small segments: each answer is on disk at once.
pub(crate) fn in_small_steps<'a>(url: &'a str, range: [&'a str; 2]) -> Vec<&'a str> {
    [candles(url, range).as_slice(), &["--chunk-rows", "1000", "--concurrency", "1"]].concat()
}

pub(crate) const TWO_DAYS: [&str; 2] = ["2026-03-01", "2026-03-03"];

/// Long enough to be interrupted: 29 pages of 1000 candles at least.
pub(crate) const TWENTY_DAYS: [&str; 2] = ["2026-02-01", "2026-02-21"];

#[track_caller]
pub(crate) fn assert_whole(root: &Path, sandbox: &Sandbox, range: [&str; 2]) {
    let series = series("R_100", Kind::Candles(Granularity::MINUTE));
    assert_same_rows(&all_rows(root, &series), &sandbox.truth(range[0], range[1]));
    sandbox.run(&["verify", root.to_str().unwrap()]).expect(0);
}

/// Refused with one error and a hint, nothing on stdout, nothing changed on disk.
///
/// Only the note of the run itself may be there: who waits for it wants to know that it failed.
#[track_caller]
pub(crate) fn assert_refused(sandbox: &Sandbox, arguments: &[&str], code: i32, said: &[&str]) {
    let before = sandbox.content_but_records();
    let ran = sandbox.run(arguments).expect(code);
    let n = |start: &str| ran.stderr.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((n("error: "), n("hint: ")), (1, 1), "{arguments:?}\n{}", ran.stderr);
    for part in said {
        assert!(ran.stderr.contains(part), "{arguments:?}: no `{part}` in\n{}", ran.stderr);
    }
    assert_eq!(ran.stdout, "", "{arguments:?}");
    let after = sandbox.content_but_records();
    let changed =
        after.keys().chain(before.keys()).find(|path| after.get(*path) != before.get(*path));
    assert_eq!(changed, None, "{arguments:?} left something behind");
}

#[test]
fn a_bad_command_line_is_refused_without_asking_anybody() {
    let sandbox = Sandbox::new();
    // Nobody listens at port 1: whoever asked would end with 69.
    let check = |arguments: &str, said: &[&str]| {
        let place = ["--endpoint", "ws://127.0.0.1:1/", "--output", "data"];
        let typed: Vec<_> = arguments.split_whitespace().collect();
        assert_refused(&sandbox, &[place.as_slice(), &typed].concat(), 2, said);
    };
    check("--symbol ../../etc", &["error: cannot read `--symbol`", "`../../etc` is not a symbol"]);
    check("--kind candles", &["no symbol is given", "hint: name one"]);
    check(
        "--symbol R_100 --start-date 2026-02-01 --end-date 2026-01-01",
        &["from 2026-02-01T00:00:00Z to 2026-01-01T00:00:00Z is empty"],
    );
    check(
        "--symbol R_100 --start-date 2024-13-01",
        &["`2024-13-01` has no month 13", "2024-03-01"],
    );
    check("--symbol R_100 --start-date 1900-01-01", &["before the year 2000"]);
    check(
        "--symbol R_100 --granularity 61",
        &["no candles of `61` seconds", "hint: choose one of 60"],
    );
    check("--symbol R_100 --kind tick", &["cannot read `--kind`", "`ticks` or `candles`"]);
    check("--symbol R_100 --rate 0", &["cannot read `--rate`", "unlimited"]);
    check("--symbol R_100 --months -1", &["cannot read `--months`"]);
    check("--sybmol R_100", &["unexpected argument '--sybmol'", "hint: ", "'--symbol'"]);
    check("--symbol R_100 --test --months 2", &["cannot be used with", "hint: `--help`"]);
    let far = ["--symbol", "R_100", "--endpoint", "ws://192.0.2.1:9/"];
    assert_refused(&sandbox, &far, 2, &["not encrypted", "hint: use `wss://`"]);
}

/// Who wants JSON gets an object whatever is wrong, also with a line that cannot be read at all.
#[test]
fn a_line_that_cannot_be_read_is_one_object_as_well() {
    let sandbox = Sandbox::new();
    for (line, command, message, hint) in [
        ("--json --sybmol R_100", "download", "unexpected argument '--sybmol' found", "'--symbol'"),
        ("verify --json --sampel 1/2", "verify", "unexpected argument '--sampel'", "'--sample'"),
        ("explain --json", "explain", "required arguments were not provided: <", "--help"),
        ("--json --test --months 2", "download", "cannot be used with", "--help"),
    ] {
        let json = sandbox.run(&line.split_whitespace().collect::<Vec<_>>()).expect(2).json();
        assert_eq!((&json["command"], &json["exit_code"]), (&command.into(), &2.into()), "{line}");
        let said = |key: &str| json["error"][key].as_str().unwrap_or_default().to_owned();
        assert!(said("message").contains(message), "{line}: {json}");
        assert!(said("hint").contains(hint), "{line}: {json}");
    }
}

#[test]
fn a_source_that_refuses_leaves_no_folder() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let mut unknown = candles(&server.url, TWO_DAYS);
    unknown[1] = "R_10O";
    assert_refused(
        &sandbox,
        &unknown,
        2,
        &["does not offer the symbol `R_10O`", "did you mean `R_10"],
    );
    let future = candles(&server.url, ["2026-03-01", "2026-05-01"]);
    let said = ["cannot download this range", "  caused by: the end 2026-05-01", "`--end-date`"];
    assert_refused(&sandbox, &future, 2, &said);
    // Looking first costs no second `active_symbols`.
    let ran = sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    assert!(ran.stdout.contains("2,880 rows"), "{}", ran.stdout);
    let log = server.end();
    let last = log.last().unwrap()["connection"].clone();
    let asked = log.iter().filter(|c| c["connection"] == last && c["call"] == "active_symbols");
    assert_eq!(asked.count(), 1);
}

/// One symbol that does not exist spoils neither the other nor the archive.
#[test]
fn an_unknown_symbol_among_others_leaves_nothing() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let mut both = candles(&server.url, TWO_DAYS);
    both[1] = "R_100,R_10O";
    let ran = sandbox.run(&both).expect(1);
    assert!(ran.stderr.contains("R_10O candles 60s could not be worked on"), "{}", ran.stderr);
    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
    let left = sandbox.content().into_keys().find(|path| path.to_string_lossy().contains("R_10O"));
    assert_eq!(left, None);
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "mine").unwrap();
    for (output, cause, hint) in [
        ("file/data", "cannot create the folder", "hint: a file is where a folder has to be"),
        ("file", "file", "hint: "),
        ("/proc/nope", "`/proc/nope`", "hint: check the permissions of `/proc/nope`"),
    ] {
        let mut arguments = candles(&server.url, TWO_DAYS);
        arguments[11] = output;
        let said = ["error: cannot work on the archive", "  caused by: ", cause, hint];
        assert_refused(&sandbox, &arguments, 2, &said);
    }
}

#[test]
fn a_source_that_is_away_is_said_to_be() {
    let sandbox = Sandbox::new();
    // A port that was just free is closed now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}/");
    let hurry = ["--retries", "1", "--max-outage", "1s", "--breaker-cooldown", "100ms"];
    let arguments = [candles(&url, TWO_DAYS).as_slice(), &hurry].concat();
    let said = ["cannot ask the source for the time", "  caused by: ", "refused", "hint: check"];
    assert_refused(&sandbox, &arguments, 69, &said);
}

/// The library's own message quotes the line, and the line may hold the token.
#[test]
fn a_bad_env_file_is_refused_and_not_quoted() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path(".env"), "TITAN_TOKEN='s3cretT0ken and more\n").unwrap();
    let arguments = ["--symbol", "R_100"];
    assert_refused(&sandbox, &arguments, 2, &["cannot read `.env` line 1", "NAME=value"]);
    let ran = sandbox.run(&["--symbol", "R_100"]);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
}

#[test]
fn an_env_file_gives_defaults_and_the_command_line_wins() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let file = format!("TITAN_ENDPOINT={}\nTITAN_KIND=candles\nTITAN_SYMBOL=R_9999\n", server.url);
    fs::write(sandbox.path(".env"), file).unwrap();
    let arguments = ["--symbol", "R_100", "--dry-run", "--start-date", "2026-03-01"];
    let ran = sandbox.run(&arguments).expect(0);
    assert!(ran.stdout.contains("R_100 candles 60s") && !ran.stdout.contains("ticks"), "{ran:?}");
}

#[test]
fn a_download_is_summed_up_and_proved_again() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let download = candles(&server.url, TWO_DAYS);
    let ran = sandbox.run(&download).expect(0);
    assert!(ran.stdout.contains("2,880 rows, 2,880 new"), "{}", ran.stdout);
    assert!(ran.stderr.is_ascii() && !ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);

    let mut as_json = download.clone();
    as_json.push("--json");
    let json = sandbox.run(&as_json).expect(0).json();
    let found: BTreeSet<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        found,
        crate::rehearsal::documented("download").iter().map(String::as_str).collect()
    );
    assert_eq!(json["partitions"][0]["outcome"], "up_to_date");
    assert_eq!((&json["rows"], &json["rows_new"]), (&2880.into(), &0.into()));
    assert_eq!((&json["exit_code"], &json["complete"]), (&0.into(), &true.into()));

    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
    let json = sandbox.run(&["verify", "--json", "--output", "data"]).expect(0).json();
    assert_eq!((&json["sound"], &json["rows"]), (&true.into(), &2880.into()));
}

#[test]
fn verify_names_what_was_damaged() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    let file = sandbox.path("data/R_100/candles_60/2026-03.parquet");
    let check = || {
        let ran = sandbox.run(&["verify", "data"]).expect(1);
        assert!(ran.stdout.contains("R_100/candles_60/2026-03"), "{}", ran.stdout);
        let json = sandbox.run(&["verify", "--json", "data"]).expect(1).json();
        assert_eq!((&json["sound"], &json["exit_code"]), (&false.into(), &1.into()));
    };
    let whole = fs::read(&file).unwrap();
    for place in [4, whole.len() / 3, whole.len() / 2, whole.len() - 12] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        fs::write(&file, damaged).unwrap();
        check();
    }
    fs::write(&file, &whole).unwrap();
    sandbox.run(&["verify", "data"]).expect(0);
    fs::remove_file(sandbox.path("data/R_100/candles_60/2026-03.metadata.json")).unwrap();
    check();
    let ran = sandbox.run(&["verify", "nowhere"]).expect(2);
    assert!(ran.stderr.contains("`nowhere`") && ran.stderr.contains("hint: "), "{}", ran.stderr);
}

#[test]
fn the_demo_needs_no_network() {
    let sandbox = Sandbox::new();
    let arguments = ["--symbol", "R_100", "--kind", "candles", "--test", "--demo", "--output", "d"];
    let json = sandbox.run(&[arguments.as_slice(), &["--json"]].concat()).expect(0).json();
    // Inside a minute, neither the first nor the last of them is whole.
    let rows = json["rows"].as_u64().unwrap();
    assert!((1439..=1440).contains(&rows) && json["complete"] == true, "{json}");
    sandbox.run(&["verify", "d"]).expect(0);
    // Its prices are invented and never come among real ones.
    let server = Server::start(&[]);
    let mut real = candles(&server.url, TWO_DAYS);
    real[11] = "d";
    assert_refused(&sandbox, &real, 2, &["holds invented prices", "hint: give `--demo`"]);
}

#[test]
fn months_not_offered_are_named_and_no_failure() {
    let server = Server::start(&["--history-days", "40"]);
    let sandbox = Sandbox::new();
    let arguments = ["--symbol", "R_100", "--kind", "candles", "--months", "3"];
    let place = ["--endpoint", &server.url, "--output", "data", "--rate", "unlimited"];
    let ran = sandbox.run(&[&arguments[..], &place, &["--tail-lag", "0s"]].concat()).expect(0);
    let said = "not offered by the source: 2025-12 (history seems to begin 2026-01-29)";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    assert_whole(&sandbox.path("data"), &sandbox, ["2026-01-29", NOW]);
}

#[test]
fn the_second_run_on_a_series_is_told_who_holds_it() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    let sandbox = Sandbox::new();
    let mut first = sandbox.start(&candles(&hanging.url, TWO_DAYS));
    first.until_locked(&sandbox, "R_100");
    let owner = format!("process {} on", first.pid());
    let arguments = candles(&hanging.url, TWO_DAYS);
    assert_refused(&sandbox, &arguments, 75, &[&owner, "hint: wait for the other run"]);
    first.signal("KILL");
    assert_eq!(first.end().code, None);
    let server = Server::start(&[]);
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
}

/// Every Parquet file has the name of a partition, is whole and has its sidecar.
fn assert_nothing_half_written(sandbox: &Sandbox) {
    for path in sandbox.content().into_keys() {
        if path.extension().is_some_and(|extension| extension == "parquet") {
            assert!(path.starts_with(sandbox.path("data/R_100/candles_60")), "{}", path.display());
            assert!(path.with_extension("metadata.json").exists(), "{}", path.display());
            rows_of(&path);
        }
    }
}

/// Segments that are staged before a run over twenty days is ended.
pub(crate) const STAGED: usize = 10;

/// The first answers arrive and are staged, then one never comes: with this seed and this chance
/// always the same one.
pub(crate) fn stuck_server() -> Server {
    Server::start(&["--fault", "hang=0.05"])
}

/// The run that was ended is gone on with, and what was staged is not asked again.
#[track_caller]
pub(crate) fn assert_goes_on(sandbox: &Sandbox) {
    let server = Server::start(&[]);
    sandbox.run(&in_small_steps(&server.url, TWENTY_DAYS)).expect(0);
    assert_whole(&sandbox.path("data"), sandbox, TWENTY_DAYS);
    let asked = n_pages(&server.end());
    assert!(asked <= 29 - STAGED + 3, "{asked} pages were asked: what was staged is lost");
}

fn interrupted_by(signal: &str, code: i32) {
    let stuck = stuck_server();
    let sandbox = Sandbox::new();
    let mut first = sandbox.start(&in_small_steps(&stuck.url, TWENTY_DAYS));
    first.until("enough is staged", || n_segments(&sandbox.path("data")) >= STAGED);
    let signalled = Instant::now();
    first.signal(signal);
    let ran = first.end().expect(code);
    assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
    assert!(ran.stderr.contains("hint: everything answered is kept"), "{}", ran.stderr);
    assert_nothing_half_written(&sandbox);
    assert_goes_on(&sandbox);
}

#[test]
fn ctrl_c_keeps_what_was_answered() {
    interrupted_by("INT", 130);
}

#[test]
fn sigterm_keeps_what_was_answered() {
    interrupted_by("TERM", 143);
}

/// While it is looked for where history begins, every series fails because the run is ending. That
/// was once told as if no symbol were on offer, with exit code 2.
#[test]
fn ctrl_c_before_the_first_page_is_ctrl_c_too() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        let mut run = sandbox.start(&candles(&hanging.url, TWO_DAYS));
        run.until("it works", || sandbox.path("data/.titan/locks/R_100.candles_60.lock").exists());
        run.signal(signal);
        let ran = run.end().expect(code);
        assert!(ran.stderr.contains("hint: nothing is lost"), "{}", ran.stderr);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    let sandbox = Sandbox::new();
    let mut run = sandbox.start(&candles(&hanging.url, TWO_DAYS));
    run.until("it works", || sandbox.path("data/.titan/locks/R_100.candles_60.lock").exists());
    run.signal("INT");
    run.signal("INT");
    run.end().expect(130);
}

#[test]
fn whenever_it_is_killed_the_next_run_completes_it() {
    let server = Server::start(&["--latency", "10ms"]);
    let sandbox = Sandbox::new();
    let small = ["--chunk-rows", "1000", "--concurrency", "2"];
    let arguments = [candles(&server.url, TWENTY_DAYS).as_slice(), &small].concat();
    let chance = RandomState::new();
    let lives: Vec<_> = (0..4).map(|n| chance.hash_one(n) % 300).collect();
    for life in &lives {
        let run = sandbox.start(&arguments);
        // No synchronisation: any moment will do, and chance chooses it.
        std::thread::sleep(Duration::from_millis(*life));
        run.signal("KILL");
        let ran = run.end();
        assert!(matches!(ran.code, None | Some(0)), "{lives:?} {ran:?}");
    }
    let ran = sandbox.run(&arguments);
    assert_eq!(ran.code, Some(0), "{lives:?} {ran:?}");
    println!("killed after {lives:?} ms");
    assert_nothing_half_written(&sandbox);
    assert_whole(&sandbox.path("data"), &sandbox, TWENTY_DAYS);
}

#[test]
fn quiet_means_quiet() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let mut arguments = candles(&server.url, TWO_DAYS);
    arguments.push("--quiet");
    let ran = sandbox.run(&arguments).expect(0);
    let begun = "`data` holds no archive: a new one begins there\n";
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", begun));
    let ran = sandbox.run(&arguments).expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = sandbox.run(&["verify", "--quiet", "data"]).expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    arguments.push("--json");
    assert_eq!(sandbox.run(&arguments).expect(0).json()["complete"], true);
    fs::remove_file(sandbox.path("data/R_100/candles_60/2026-03.metadata.json")).unwrap();
    let ran = sandbox.run(&["verify", "--quiet", "data"]).expect(1);
    assert!(ran.stdout.contains("broken"), "{ran:?}");
}

#[test]
fn a_reader_who_left_is_no_panic() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let download = candles(&server.url, TWO_DAYS);
    let dry = [download.as_slice(), &["--dry-run"]].concat();
    let dump = ["simulate", "--dump", "R_100", "2026-03-01", "2026-03-02", "--now", NOW];
    for arguments in [&dry, &download, &vec!["verify", "data"], &vec!["--help"], &dump.to_vec()] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran: Ran = sandbox.command(arguments).stdout(writer).output().unwrap().into();
        let ran = ran.expect(0);
        assert!(!ran.stderr.contains("panicked"), "{arguments:?} {}", ran.stderr);
    }
    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
    // Nobody listens to errors either.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sandbox.command(&["--symbol", "?"]);
    let status = command.stdout(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_token_is_shown_nowhere() {
    const TOKEN: &str = "pL4nt3dT0k3n";
    for (accepted, code) in [(TOKEN, 0), ("an0ther", 2)] {
        let server = Server::start(&["--token", accepted]);
        let sandbox = Sandbox::new();
        for format in ["text", "json"] {
            let mut arguments = candles(&server.legacy_url, TWO_DAYS);
            arguments.extend(["--api", "legacy", "-vvvv", "--json", "--log-format", format]);
            let output = sandbox.command(&arguments).env("TITAN_TOKEN", TOKEN).output().unwrap();
            let ran = Ran::from(output).expect(code);
            assert!(ran.stderr.contains("TRACE") || ran.stderr.contains("DEBUG"), "{}", ran.stderr);
            assert!(!ran.stderr.contains(TOKEN) && !ran.stdout.contains(TOKEN), "{ran:?}");
        }
        for (path, bytes) in sandbox.content() {
            let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
            assert!(!text.contains(TOKEN), "{}", path.display());
        }
        let log = server.end();
        assert!(log.iter().any(|call| call["call"] == "authorize"), "the token was never used");
    }
}

#[test]
fn help_lists_every_option() {
    let sandbox = Sandbox::new();
    let short = sandbox.run(&["-h"]).expect(0).stdout;
    let long = sandbox.run(&["--help"]).expect(0).stdout;
    let options = "symbol months start-date end-date test kind granularity output endpoint api app-id \
        demo token-file insecure-ws rate concurrency timeout retries breaker-threshold \
        breaker-cooldown ratelimit-pause max-outage max-duration max-requests compression row-group-rows chunk-rows \
        gap-threshold settle-lag dry-run no-progress metrics-file quiet verbose json log-format log-file log-file-level";
    for option in options.split_whitespace() {
        let flag = format!("--{option}");
        assert!(long.contains(&flag), "{flag}");
    }
    // The short help is what most people need, on about a screen.
    assert!(short.lines().count() < 80 && short.contains("`--help` tells of more"), "{short}");
    assert!(!short.contains("[env:") && long.contains("[env: TITAN_SYMBOL]"), "{short}");
    insta::assert_snapshot!(short);
}
