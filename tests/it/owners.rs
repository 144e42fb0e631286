//! Two processes on one archive: one writer per series, and no damage even where the lock lies.

use std::fs;
use std::path::PathBuf;

use titan_download::domain::{Granularity, Kind};

use crate::process::{Ran, Sandbox, Server};
use crate::support::{all_rows, assert_same_rows, series};

const RANGE: [&str; 2] = ["2026-02-20", "2026-03-03"];

fn arguments<'a>(url: &'a str, symbol: &'a str) -> Vec<&'a str> {
    let what = ["--symbol", symbol, "--kind", "candles", "--chunk-rows", "500"];
    let range = ["--start-date", RANGE[0], "--end-date", RANGE[1]];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited"];
    [what.as_slice(), &range, &place].concat()
}

#[track_caller]
fn assert_whole(sandbox: &Sandbox) {
    let series = series("R_100", Kind::Candles(Granularity::MINUTE));
    let truth = sandbox.truth(RANGE[0], RANGE[1]);
    assert_same_rows(&all_rows(&sandbox.path("data"), &series), &truth);
    sandbox.run(&["verify", "data"]).expect(0);
}

/// The second is told who works there and since when; once the first was killed, it takes over.
#[test]
fn of_two_runs_on_a_series_one_works_and_one_is_told() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let mut first = sandbox.start(&arguments(&hanging.url, "R_100"));
    first.until_locked(&sandbox, "R_100");
    let held = sandbox.run(&arguments(&server.url, "R_100")).expect(75);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let owner = format!("process {} on `{}", first.pid(), host.trim());
    for part in [owner.as_str(), " since 20", "hint: wait for the other run"] {
        assert!(held.stderr.contains(part), "no `{part}` in {}", held.stderr);
    }
    first.signal("KILL");
    assert_eq!(first.end().code, None);
    sandbox.run(&arguments(&server.url, "R_100")).expect(0);
    assert_whole(&sandbox);
}

#[test]
fn two_runs_work_on_different_series_side_by_side() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let runs = ["R_100", "R_50"].map(|symbol| sandbox.start(&arguments(&server.url, symbol)));
    for run in runs {
        run.end().expect(0);
    }
    assert_whole(&sandbox);
    let calls = server.end();
    assert!(calls.iter().any(|call| call["connection"] == 2), "both asked");
}

/// Somebody deletes the lock file while a run is at work, and a second one starts: both believe
/// that the series is theirs.
#[test]
fn two_runs_that_both_own_a_series_damage_nothing() {
    let slow = Server::start(&["--latency", "20ms"]);
    let sandbox = Sandbox::new();
    let lock = sandbox.path("data/.titan/locks/R_100.candles_60.lock");
    let mut runs = Vec::new();
    for n in 0..3 {
        let mut run = sandbox.start(&arguments(&slow.url, "R_100"));
        if n < 2 {
            run.until_locked(&sandbox, "R_100");
            fs::remove_file(&lock).unwrap();
        }
        runs.push(run);
    }
    for run in runs {
        let ran: Ran = run.end();
        assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
    sandbox.run(&arguments(&slow.url, "R_100")).expect(0);
    assert_whole(&sandbox);
}

/// What lies in the staging and is no whole segment of this version is set aside and told, and its
/// seconds are asked again.
#[test]
fn staged_answers_that_cannot_be_trusted_are_set_aside_and_told() {
    type Spoil = fn(String) -> String;
    let spoils: [(&str, Spoil); 2] = [
        ("with another header", |text| {
            text.replacen("\"n_duplicates\":0", "\"n_duplicates\":3", 1)
        }),
        ("empty", |_| String::new()),
    ];
    for (what, spoil) in spoils {
        let hanging = Server::start(&["--fault", "hang=0.05"]);
        let sandbox = Sandbox::new();
        let one_by_one = ["--concurrency", "1"];
        let start = [arguments(&hanging.url, "R_100").as_slice(), &one_by_one].concat();
        let mut first = sandbox.start(&start);
        let segment = || {
            let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "segment");
            sandbox.content().into_keys().find(is_segment)
        };
        first.until("something is staged", || segment().is_some());
        first.signal("KILL");
        first.end();
        let path = segment().unwrap();
        let bytes = fs::read(&path).unwrap();
        let header = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let text = String::from_utf8(bytes[..header].to_vec()).unwrap();
        let spoiled = [spoil(text.clone()).into_bytes(), bytes[header..].to_vec()].concat();
        let spoiled = if spoil(text).is_empty() { Vec::new() } else { spoiled };
        assert!(spoiled != bytes, "{what}: nothing was spoiled");
        fs::write(&path, &spoiled).unwrap();

        let server = Server::start(&[]);
        let ran = sandbox.run(&[arguments(&server.url, "R_100").as_slice(), &["--json"]].concat());
        let told = ran.stdout.contains("staging_set_aside") && ran.stdout.contains("quarantine");
        assert!(told, "{what}: {ran:?}");
        // Nothing is missing and nothing is broken: a warning.
        assert_eq!(ran.code, Some(0), "{what}: {ran:?}");
        let is_aside = |(path, content): (PathBuf, Option<Vec<u8>>)| {
            path.to_str().unwrap().contains(".titan/quarantine/staging/R_100/")
                && content.as_ref() == Some(&spoiled)
        };
        assert!(sandbox.content().into_iter().any(is_aside), "{what}: it is not in quarantine");
        assert_whole(&sandbox);
    }
}
