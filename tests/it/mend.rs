//! `repair` as a user has it: what it shows before it does anything, what it cannot bring back, and
//! that no kill makes it lose a row.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::process::{Ran, Sandbox, Server, n_pages};
use crate::support::{assert_same_rows, rows_of};

const FEBRUARY: &str = "data/R_100/candles_60/2026-02.parquet";
const START: i64 = 1_769_904_000;
const DAY: i64 = 86_400;

/// A sealed February and a day of March, in small row groups.
fn archive() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let server = Server::start(&[]);
    let line = format!(
        "--symbol R_100 --kind candles --row-group-rows 5000 --start-date 2026-02-01 \
         --end-date 2026-03-02 --endpoint {} --output data --rate unlimited",
        server.url
    );
    sandbox.run(&line.split_whitespace().collect::<Vec<_>>()).expect(0);
    let whole = fs::read(sandbox.path(FEBRUARY)).unwrap();
    (sandbox, whole)
}

fn arguments<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["repair", "data", "--row-group-rows", "5000", "--rate", "unlimited"];
    [fixed.as_slice(), &["--endpoint", url], more].concat()
}

fn repair(sandbox: &Sandbox, server: &Server, more: &[&str]) -> Ran {
    sandbox.run(&arguments(&server.url, more))
}

/// Flips a bit in the first row group: it reaches into the fourth day.
fn spoil(sandbox: &Sandbox) -> Vec<u8> {
    let mut bytes = fs::read(sandbox.path(FEBRUARY)).unwrap();
    bytes[100] ^= 0x10;
    fs::write(sandbox.path(FEBRUARY), &bytes).unwrap();
    bytes
}

fn sidecar_path(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("data/R_100/candles_60/2026-02.metadata.json")
}

fn edit_sidecar(sandbox: &Sandbox, edit: impl FnOnce(&mut Value)) {
    let path = sidecar_path(sandbox);
    let mut sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut sidecar);
    fs::write(path, sidecar.to_string()).unwrap();
}

#[test]
fn a_dry_run_shows_what_it_would_ask_and_writes_nothing() {
    let (sandbox, whole) = archive();
    // Nothing is to be asked, so nobody is.
    let nobody = arguments("ws://127.0.0.1:9", &["--dry-run", "--json"]);
    let before = sandbox.content();
    let json = sandbox.run(&nobody).expect(0).json();
    assert_eq!((&json["mended"], json["partitions"].as_array().unwrap().len()), (&json!(true), 0));
    assert!(sandbox.content() == before);

    spoil(&sandbox);
    let before = sandbox.content();
    let server = Server::start(&[]);
    let json = repair(&sandbox, &server, &["--dry-run", "--json"]).expect(0).json();
    assert!(sandbox.content() == before);
    let february = &json["partitions"][0];
    assert_eq!((&february["month"], &february["kind"]), (&json!("2026-02"), &json!("candles")));
    assert_eq!(february["asked"][0]["reason"], "damaged");
    assert!(february["requests_estimated"].as_u64().unwrap() > 0, "{february}");
    let text = repair(&sandbox, &server, &["--dry-run"]).expect(0).stdout;
    assert!(text.contains("damaged") && text.contains("nothing was written"), "{text}");
    assert!(sandbox.content() == before);
    // Where history begins is asked, once in each of the two runs.
    assert!(n_pages(&server.end()) <= 2);

    let server = Server::start(&[]);
    let json = repair(&sandbox, &server, &["--json"]).expect(0).json();
    assert!(n_pages(&server.end()) <= 8);
    let found: BTreeSet<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = "command session exit_code error root dry_run mended errors_found requests \
        days_proved_unchanged partitions problems findings reasons failed_series \
        held_series";
    assert_eq!(found, documented.split_whitespace().collect());
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == whole);
    sandbox.run(&["verify", "data"]).expect(0);
}

#[test]
fn what_fell_behind_the_wall_is_called_lost_and_all_else_stays() {
    let (sandbox, _) = archive();
    let before = rows_of(&sandbox.path(FEBRUARY));
    spoil(&sandbox);
    // History begins at 2026-02-18 now.
    let server = Server::start(&["--history-days", "20"]);
    for night in 0..2 {
        let ran = repair(&sandbox, &server, &[]).expect(1);
        assert!(ran.stdout.contains("lost_behind_wall"), "night {night}: {}", ran.stdout);
        assert!(ran.stdout.contains("is not mended"), "{}", ran.stdout);
        let mut expected = before.clone();
        expected.retain(|epoch, _| *epoch >= START + 4 * DAY);
        assert_same_rows(&rows_of(&sandbox.path(FEBRUARY)), &expected);
        sandbox.run(&["verify", "data"]).expect(1);
    }
}

const MARCH: &str = "data/R_100/candles_60/2026-03.parquet";

fn beside(parquet: &str) -> String {
    parquet.replace(".parquet", ".metadata.json")
}

fn rename(sandbox: &Sandbox, from: &str, to: &str) {
    fs::rename(sandbox.path(from), sandbox.path(to)).unwrap();
}

/// Two months changed their names, and the source has neither any more: repairing once took both
/// for damaged, and only the quarantine had their rows.
#[test]
fn months_in_each_others_place_stay_until_a_person_puts_them_back() {
    let (sandbox, february) = archive();
    for (one, other) in [(FEBRUARY.to_owned(), MARCH.to_owned()), (beside(FEBRUARY), beside(MARCH))]
    {
        rename(&sandbox, &one, "data/held");
        rename(&sandbox, &other, &one);
        rename(&sandbox, "data/held", &other);
    }
    let server = Server::start_at("1790000000", &["--history-days", "20"]);
    let ran = repair(&sandbox, &server, &[]).expect(1);
    assert!(ran.stderr.contains("whose place another file has"), "{}", ran.stderr);
    assert!(fs::read(sandbox.path(MARCH)).unwrap() == february);
    assert_eq!(n_pages(&server.end()), 0);
}

/// A file under a false name whose sidecar stayed where it was: nobody has to be asked.
#[test]
fn a_file_under_a_false_name_goes_back_to_its_sidecar() {
    let (sandbox, february) = archive();
    rename(&sandbox, FEBRUARY, "data/R_100/candles_60/2026-01.parquet");
    let server = Server::start(&["--history-days", "20"]);
    repair(&sandbox, &server, &[]).expect(0);
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == february);
    assert_eq!(n_pages(&server.end()), 0);
    sandbox.run(&["verify", "data"]).expect(0);
    let file = fs::read(sandbox.path("data/.titan/watermark.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let series = &file["series"]["R_100/candles_60"];
    assert_eq!(
        (&series["months"], &series["problems"]),
        (&json!(["2026-02", "2026-03"]), &json!({}))
    );
}

/// Of a month without footer and sidecar nobody knows what it held; it is not forgotten for that.
#[test]
fn a_month_that_nothing_comes_in_the_place_of_is_named() {
    let (sandbox, february) = archive();
    fs::write(sandbox.path(FEBRUARY), &february[..february.len() / 2]).unwrap();
    fs::remove_file(sidecar_path(&sandbox)).unwrap();
    let server = Server::start_at("1790000000", &["--history-days", "20"]);
    let cut = &february[..february.len() / 2];
    for _ in 0..2 {
        let ran = repair(&sandbox, &server, &[]).expect(1);
        assert!(ran.stderr.contains("nothing came in its place"), "{}", ran.stderr);
        assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == cut);
    }
}

/// One file that cannot be what it says stops neither the repair of the others nor the next one.
#[test]
fn what_cannot_be_mended_holds_up_nothing_else() {
    let (sandbox, february) = archive();
    let future = "data/R_100/candles_60/2036-03.parquet";
    fs::write(sandbox.path(future), &february).unwrap();
    spoil(&sandbox);
    let server = Server::start(&[]);
    repair(&sandbox, &server, &[]).expect(1);
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == february);
    // Now the rows are at home, too, and the other file is set aside, which is told once.
    repair(&sandbox, &server, &[]).expect(1);
    repair(&sandbox, &server, &[]).expect(0);
    sandbox.run(&["verify", "data"]).expect(0);
}

/// To open a pipe is to wait for its other end.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_in_the_place_of_a_month_or_of_the_watermark_is_not_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (sandbox, february) = archive();
    for file in [FEBRUARY, "data/.titan/watermark.json"] {
        fs::remove_file(sandbox.path(file)).unwrap();
        let mode = Mode::from_raw_mode(0o644);
        mknodat(CWD, sandbox.path(file), FileType::Fifo, mode, 0).unwrap();
    }
    let server = Server::start(&[]);
    let ran = repair(&sandbox, &server, &[]).expect(0);
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == february);
    assert!(ran.stderr.contains("the watermark file is out of date"), "{}", ran.stderr);
}

/// Every row is lost and nothing of it can be asked again: no file is left to say so.
#[test]
fn days_that_only_the_staging_knows_to_be_lost_are_counted() {
    let (sandbox, _) = archive();
    fs::remove_file(sandbox.path(FEBRUARY)).unwrap();
    let server = Server::start(&["--history-days", "7"]);
    repair(&sandbox, &server, &["--kind", "candles"]).expect(1);
    assert!(!sandbox.path(FEBRUARY).exists());
    let checked = sandbox.run(&["verify", "data"]).expect(1);
    assert!(checked.stdout.contains("lost with their file"), "{}", checked.stdout);
}

#[test]
fn a_locked_month_is_named_when_it_is_broken_and_never_changed() {
    let (sandbox, _) = archive();
    edit_sidecar(&sandbox, |sidecar| sidecar["locked"] = json!(true));
    let server = Server::start(&[]);
    let download = |code| {
        let line = format!(
            "--symbol R_100 --kind candles --start-date 2026-02-01 --end-date 2026-03-02 \
             --endpoint {} --output data --rate unlimited",
            server.url
        );
        sandbox.run(&line.split_whitespace().collect::<Vec<_>>()).expect(code)
    };
    download(0);
    repair(&sandbox, &server, &[]).expect(0);
    let bytes = fs::read(sandbox.path(FEBRUARY)).unwrap();
    fs::write(sandbox.path(FEBRUARY), &bytes[..bytes.len() / 2]).unwrap();
    let sidecar = fs::read(sidecar_path(&sandbox)).unwrap();
    let short = download(1);
    assert!(short.stderr.contains("it is locked and nothing was changed"), "{}", short.stderr);
    let ran = repair(&sandbox, &server, &[]).expect(1);
    assert!(ran.stderr.contains("is locked by its sidecar"), "{}", ran.stderr);
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == bytes[..bytes.len() / 2]);
    fs::remove_file(sandbox.path(FEBRUARY)).unwrap();
    let gone = download(1);
    assert!(gone.stderr.contains("its file is not there"), "{}", gone.stderr);
    repair(&sandbox, &server, &[]).expect(1);
    assert!(fs::read(sidecar_path(&sandbox)).unwrap() == sidecar);
    assert!(!sandbox.path(FEBRUARY).exists());
}

/// Killed before a step on disk: every good row is still published or staged, and the next repair
/// brings back all.
#[cfg(debug_assertions)]
#[test]
fn no_kill_makes_a_repair_lose_a_row() {
    let (sandbox, whole) = archive();
    let clean = sandbox.content();
    let good: Vec<i64> = {
        let rows = rows_of(&sandbox.path(FEBRUARY)).into_keys();
        rows.filter(|epoch| *epoch >= START + 4 * DAY).collect()
    };
    let server = Server::start(&[]);
    let is_long = std::env::var("TITAN_LONG_TESTS").is_ok_and(|value| value == "1");
    let mut n_kills = 0;
    for n in (1..).step_by(if is_long { 1 } else { 37 }) {
        fs::remove_dir_all(sandbox.path("data")).unwrap();
        for (path, bytes) in &clean {
            match bytes {
                None => fs::create_dir_all(path).unwrap(),
                Some(_) => fs::create_dir_all(path.parent().unwrap()).unwrap(),
            }
        }
        for (path, bytes) in &clean {
            bytes.iter().for_each(|bytes| fs::write(path, bytes).unwrap());
        }
        let spoiled = spoil(&sandbox);
        let _ = fs::remove_file(sandbox.path("steps"));
        let mut command = sandbox.command(&arguments(&server.url, &[]));
        command.env("TITAN_TEST_STEPS", format!("{n}:steps"));
        let mut run = crate::process::Running::from(command.spawn().unwrap());
        let n_steps = || {
            let text = fs::read_to_string(sandbox.path("steps")).unwrap_or_default();
            text.split_inclusive('\n').filter(|line| line.ends_with('\n')).count()
        };
        let is_there = run.until_or_end(|| n_steps() >= n);
        if is_there {
            run.signal("KILL");
        }
        let ran = run.end();
        n_kills += usize::from(is_there);
        if ran.code.is_none() {
            assert_is_kept(&sandbox, &good, &spoiled, n);
            repair(&sandbox, &server, &[]).expect(0);
        }
        assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == whole, "step {n}");
        if !is_there {
            break;
        }
    }
    assert!(n_kills >= 3, "{n_kills}");
    sandbox.run(&["verify", "data"]).expect(0);
}

/// Each good row is in the file that was spoiled, in a published one, or staged.
#[cfg(debug_assertions)]
fn assert_is_kept(sandbox: &Sandbox, good: &[i64], spoiled: &[u8], step: usize) {
    let published = match fs::read(sandbox.path(FEBRUARY)) {
        Ok(bytes) if bytes == spoiled => return,
        Ok(_) => rows_of(&sandbox.path(FEBRUARY)),
        Err(error) => panic!("step {step}: readers find nothing: {error}"),
    };
    let mut staged: Vec<(i64, i64)> = Vec::new();
    let folder = sandbox.path("data/.titan/staging/R_100/candles_60/2026-02");
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".segment") {
            let mut bounds = name.split('-').map(str::parse::<i64>);
            staged.push((bounds.next().unwrap().unwrap(), bounds.next().unwrap().unwrap()));
        }
    }
    let is_kept = |epoch: &&i64| {
        published.contains_key(*epoch)
            || staged.iter().any(|(start, end)| start <= *epoch && *epoch < end)
    };
    let lost = good.iter().find(|epoch| !is_kept(epoch));
    assert!(lost.is_none(), "step {step}: {lost:?}");
}
