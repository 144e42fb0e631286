//! A dry run ends as a real run would at its start, and changes nothing anywhere.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::cli::{TWO_DAYS, assert_refused, candles};
use crate::process::{Sandbox, Server, n_pages};

/// The keys of `--json` that `docs/commands.md` lists for a command.
pub(crate) fn documented(command: &str) -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let page = fs::read_to_string(page).unwrap();
    let keys = |start: &str| -> Vec<String> {
        let line = page.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("docs/commands.md has no line `{start}`"));
        let row = line.strip_prefix(start).unwrap();
        // What is in brackets explains a key.
        let mut depth = 0_u32;
        let outside: String = row
            .chars()
            .filter(|c| {
                depth += u32::from(*c == '(');
                let is_outside = depth == 0;
                depth -= u32::from(*c == ')');
                is_outside
            })
            .collect();
        outside.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let all = [keys("| every object |"), keys(&format!("| `{command}` |"))];
    all.concat().into_iter().collect()
}

fn dry<'a>(url: &'a str, range: [&'a str; 2]) -> Vec<&'a str> {
    [candles(url, range).as_slice(), &["--dry-run"]].concat()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn it_writes_nothing_and_asks_for_one_small_page() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let mut arguments = dry(&server.url, ["2026-02-20", "2026-03-02"]);
    let ran = sandbox.run(&arguments).expect(0);
    insta::assert_snapshot!("dry_run_of_a_new_archive", masked(&ran.stdout));
    arguments.push("--json");
    let json = sandbox.run(&arguments).expect(0).json();
    assert_eq!(keys(&json), documented("plan"));
    let partitions = json["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 2);
    assert!(partitions.iter().all(|partition| partition["standing"] == "to_ask"), "{json}");
    assert!(sandbox.content().is_empty());
    assert_eq!(n_pages(&server.end()), 2, "one probe of the wall for each run");
}

/// How much is free is different everywhere.
fn masked(text: &str) -> String {
    let mask = |line: &str| match line.split_once(" on disk at once, ") {
        Some((most, _)) => format!("{most} on disk at once, [size] are free"),
        None => line.to_owned(),
    };
    text.lines().map(mask).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_archive_and_what_is_shared_stay_as_they_are() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let pace = ["--share-pace", "--state-dir", "state"];
    let mut run = candles(&server.url, TWO_DAYS);
    // The later rate is the one that counts.
    run.retain(|word| !["--rate", "unlimited"].contains(word));
    let run = [run.as_slice(), &pace, &["--rate", "6000"]].concat();
    sandbox.run(&run).expect(0);
    let before = sandbox.content();
    assert!(before.keys().any(|path| path.starts_with(sandbox.path("state/pace"))));

    let ran = sandbox.run(&[run.as_slice(), &["--dry-run"]].concat()).expect(0);
    insta::assert_snapshot!("dry_run_of_an_archive_that_is_whole", masked(&ran.stdout));
    let mut more = run.clone();
    *more.iter_mut().find(|word| **word == TWO_DAYS[1]).unwrap() = "2026-03-06";
    let json = sandbox.run(&[more.as_slice(), &["--dry-run", "--json"]].concat()).expect(0).json();
    assert!(sandbox.content() == before, "something was changed");
    // The pace that the run before has learned is the one that is reckoned with.
    assert_eq!(json["rate_ceiling"], 6_000);
    let rate = json["rate_now"].as_f64().unwrap();
    assert!((1.0..=6_000.0).contains(&rate), "{json}");
    assert!(json["estimated_secs"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["partitions"][0]["state"], "open");
}

#[test]
fn what_would_refuse_a_run_refuses_it_too() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let mut unknown = dry(&server.url, TWO_DAYS);
    unknown[1] = "R_1000";
    assert_refused(&sandbox, &unknown, 2, &["does not offer the symbol", "did you mean `R_100`?"]);
    fs::write(sandbox.path("data"), "a file").unwrap();
    let said = ["cannot work on the archive", "hint: a file is where a folder has to be"];
    assert_refused(&sandbox, &dry(&server.url, TWO_DAYS), 2, &said);
    fs::remove_file(sandbox.path("data")).unwrap();

    let mut half = dry(&server.url, TWO_DAYS);
    half[1] = "R_100,R_1000";
    let ran = sandbox.run(&half).expect(1);
    assert!(ran.stdout.contains("R_100 candles 60s"), "{}", ran.stdout);
    assert!(ran.stderr.contains("R_1000 candles 60s cannot be worked on"), "{}", ran.stderr);

    let url = server.url.clone();
    server.end();
    let hurry = ["--retries", "1", "--max-outage", "1s", "--breaker-cooldown", "100ms"];
    let arguments = [dry(&url, TWO_DAYS).as_slice(), &hurry].concat();
    assert_refused(&sandbox, &arguments, 69, &["cannot ask the source for the time"]);
}

#[test]
fn a_series_that_is_held_is_named() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    let sandbox = Sandbox::new();
    let mut first = sandbox.start(&candles(&hanging.url, TWO_DAYS));
    first.until_locked(&sandbox, "R_100");
    let server = Server::start(&[]);
    let before = sandbox.content_but_records();
    let ran = sandbox.run(&dry(&server.url, TWO_DAYS)).expect(75);
    let owner = format!("being written by process {} on", first.pid());
    assert!(ran.stderr.contains(&owner) && ran.stderr.contains("hint: wait"), "{}", ran.stderr);
    assert!(ran.stdout.contains("to ask"), "the plan is shown all the same: {}", ran.stdout);

    let mut two = dry(&server.url, TWO_DAYS);
    two[1] = "R_100,R_50";
    let json = sandbox.run(&[two.as_slice(), &["--json"]].concat()).expect(1).json();
    assert_eq!(json["held_series"][0]["symbol"], "R_100");
    assert_eq!(json["partitions"].as_array().unwrap().len(), 2);
    assert!(sandbox.content_but_records() == before, "something was changed");
    first.signal("KILL");
}
