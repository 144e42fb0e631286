//! What another user may have put into the folder of an archive: links to elsewhere, names and texts
//! that steer a terminal. Nothing is written, moved or deleted through a link, and nothing that is
//! printed steers. Also: which rights the files of an archive have.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{TWO_DAYS, assert_whole, candles};
use crate::process::{Ran, Sandbox, Server};

/// Every file and folder below one, and a link as what it is.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            tree.extend(self::tree(&path));
            tree.insert(path, None);
        } else {
            let bytes = fs::read(&path).ok();
            tree.insert(path, bytes);
        }
    }
    tree
}

/// Everything below the folder of the archive that a run reads, writes, moves or removes.
const PLACES: [&str; 11] = [
    "R_100",
    "R_100/candles_60",
    "R_100/candles_60/2026-03.parquet",
    "R_100/candles_60/2026-03.metadata.json",
    ".titan",
    ".titan/locks",
    ".titan/locks/R_100.candles_60.lock",
    ".titan/staging",
    ".titan/quarantine",
    ".titan/source-facts.json",
    ".titan/watermark.json",
];

/// Moves what lies there to elsewhere, where it must stay as it is, and leaves a link.
#[test]
fn nothing_is_changed_through_a_link() {
    let server = Server::start(&[]);
    for place in PLACES {
        let sandbox = Sandbox::new();
        sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
        let (elsewhere, link) = (sandbox.path("elsewhere"), sandbox.path("data").join(place));
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&link, elsewhere.join("it")).unwrap();
        symlink(elsewhere.join("it"), &link).unwrap();
        let before = tree(&elsewhere);
        let mut more = candles(&server.url, ["2026-03-01", "2026-03-05"]);
        more.push("--no-resume");
        let ran = sandbox.run(&more);
        // What follows from the rest or is only learned is done without, with a warning.
        let is_needed = !place.ends_with("facts.json") && !place.ends_with("watermark.json");
        assert_eq!(ran.code != Some(0), is_needed, "{place}: {ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("symbolic link"), "{place}: {said}");
        for offline in [["adopt", "--output", "data"], ["verify", "--output", "data"]] {
            let ran = sandbox.run(&offline);
            assert!(ran.code.is_some_and(|code| code < 3), "{place}: {ran:?}");
        }
        sandbox.run(&["status", "data"]);
        assert!(tree(&elsewhere) == before, "{place}: something was changed through the link");
        assert!(link.is_symlink(), "{place}: the link is gone");
    }
}

/// A draft of a dead run that is a link is swept as a link.
#[test]
fn a_link_in_the_place_of_a_draft_takes_nothing_with_it() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    fs::write(sandbox.path("mine"), "mine").unwrap();
    let draft = sandbox.path("data/R_100/candles_60/.2026-03.parquet.x.titan-tmp");
    symlink(sandbox.path("mine"), &draft).unwrap();
    sandbox.run(&candles(&server.url, ["2026-03-01", "2026-03-05"])).expect(0);
    assert_eq!(fs::read_to_string(sandbox.path("mine")).unwrap(), "mine");
    assert!(!draft.is_symlink(), "the draft is still there");
    assert_whole(&sandbox.path("data"), &sandbox, ["2026-03-01", "2026-03-05"]);
}

/// Which disk an archive lies on is for its user to choose.
#[test]
fn the_folder_of_the_archive_may_be_a_link() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("disk")).unwrap();
    symlink(sandbox.path("disk"), sandbox.path("data")).unwrap();
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    assert_whole(&sandbox.path("disk"), &sandbox, TWO_DAYS);
    sandbox.run(&["verify", "data"]).expect(0);
}

#[test]
fn files_have_the_same_rights_whatever_the_mask() {
    let server = Server::start(&[]);
    for (mask, others_read) in [("000", true), ("022", true), ("077", false)] {
        let sandbox = Sandbox::new();
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_titan-download")]);
        let mut arguments = candles(&server.url, TWO_DAYS);
        let unlimited = arguments.iter_mut().find(|word| **word == "unlimited").unwrap();
        *unlimited = "100000";
        command.args(arguments).args(["--share-pace", "--state-dir", "state"]);
        let ran: Ran = command.current_dir(sandbox.path(".")).output().unwrap().into();
        ran.expect(0);
        let private =
            ["data/.titan/locks", "data/.titan/staging", "data/.titan/quarantine", "state"];
        let private = private.map(|name| sandbox.path(name));
        let all = tree(&sandbox.path(""));
        assert!(all.len() > 10, "{all:?}");
        for path in all.keys() {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let is_private = private.contains(path) || path.starts_with(sandbox.path("state"));
            let full = match (path.is_dir(), is_private) {
                (true, true) => 0o700,
                (true, false) => 0o755,
                (false, _) if path.starts_with(sandbox.path("state")) => 0o600,
                (false, _) => 0o644,
            };
            let expected = if others_read { full } else { full & 0o700 };
            assert_eq!(mode, expected, "umask {mask}: {} {mode:o}", path.display());
        }
    }
}

#[track_caller]
fn assert_harmless(ran: &Ran, what: &str) {
    for said in [&ran.stdout, &ran.stderr] {
        let steers = |c: &char| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert_eq!(said.chars().find(steers), None, "{what}: {said:?}");
    }
}

/// Clears the screen, rings, writes over the line, and turns the direction of writing.
const HOSTILE: &str = "x\u{1b}[2J\u{7}\r\u{9b}1A\u{202e}y";

#[test]
fn names_and_texts_in_an_archive_steer_nothing() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    let data = sandbox.path("data");
    let sidecar = data.join("R_100/candles_60/2026-03.metadata.json");
    let mut said: serde_json::Value = serde_json::from_slice(&fs::read(&sidecar).unwrap()).unwrap();
    for value in said.as_object_mut().unwrap().values_mut().filter(|value| value.is_string()) {
        *value = format!("{}{HOSTILE}", value.as_str().unwrap()).into();
    }
    fs::write(&sidecar, said.to_string()).unwrap();
    fs::create_dir(data.join(HOSTILE)).unwrap();
    for folder in ["", "R_100", "R_100/candles_60", ".titan/quarantine"] {
        fs::write(data.join(folder).join(format!("{HOSTILE}.parquet")), HOSTILE).unwrap();
        fs::write(data.join(folder).join(format!("{HOSTILE}.metadata.json")), HOSTILE).unwrap();
    }
    let download = candles(&server.url, ["2026-03-01", "2026-03-05"]);
    for arguments in [
        &["verify", "data"][..],
        &["status", "data"],
        &["status", "data", "--require-through", "1h"],
        &["explain", "R_100@2026-03-01T12:00:00Z", "--output", "data"],
        &["adopt", "--output", "data", "--dry-run"],
        &["verify", HOSTILE],
        &["status", HOSTILE],
        &["man", HOSTILE],
        &[HOSTILE],
        &["--kind", HOSTILE, "-s", HOSTILE],
        &["completions", HOSTILE],
        &[download.as_slice(), &["--dry-run"]].concat(),
        &[download.as_slice(), &["-vvv"]].concat(),
    ] {
        let ran = sandbox.run(arguments);
        assert_harmless(&ran, &format!("{arguments:?}"));
        let ran = sandbox.run(&[arguments, &["--json"]].concat());
        assert_harmless(&ran, &format!("{arguments:?} --json"));
        if !ran.stdout.is_empty() {
            ran.json();
        }
    }
}

/// What the server says comes into errors, the log and the summary.
#[test]
fn texts_of_a_server_steer_nothing() {
    for fault in ["hostile_error=1", "close_policy=1"] {
        let server = Server::start(&["--fault", fault]);
        for (format, more) in [("text", "-vvvv"), ("json", "-vvvv"), ("text", "--json")] {
            let sandbox = Sandbox::new();
            let mut arguments = candles(&server.url, TWO_DAYS);
            arguments.extend([
                "--retries",
                "1",
                "--max-outage",
                "1s",
                "--breaker-cooldown",
                "10ms",
            ]);
            arguments.extend(["--log-format", format, more]);
            let ran = sandbox.run(&arguments);
            assert_ne!(ran.code, Some(0), "{fault}");
            assert_harmless(&ran, fault);
            assert!(ran.stderr.contains("2J"), "{fault}: nothing hostile was said: {}", ran.stderr);
        }
    }
}
