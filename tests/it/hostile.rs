//! The real binary over an archive whose files say what nobody wrote: numbers beyond any, lists
//! without an end, gigabytes, pipes. Whatever they say, a command ends, says which file it is, and
//! takes no more memory than an archive needs.
#![cfg(unix)]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::process::{Ran, Sandbox, Server};
use crate::support::{Rows, assert_same_rows, rows_of};

const FACTS: &str = "data/.titan/source-facts.json";
const SIDECAR: &str = "data/R_100/candles_60/2026-03.metadata.json";
const PARQUET: &str = "data/R_100/candles_60/2026-03.parquet";
const WATERMARK: &str = "data/.titan/watermark.json";
const LAST_RUN: &str = "data/.titan/last-run.json";
const STAGING: &str = "data/.titan/staging/R_100/candles_60/2026-03";

/// 2026-03-01T00:00:00Z.
const MARCH: i64 = 1_772_323_200;

/// No more than this for code, stacks and all; one file of a gigabyte would be more.
const MEMORY: [&str; 4] = ["sh", "-c", "ulimit -v 1000000; exec \"$@\"", "sh"];

/// Two days of minute bars of March.
fn archive() -> (Sandbox, Server) {
    let (sandbox, server) = (Sandbox::new(), Server::start(&[]));
    download(&sandbox, &server, "2026-03-03", &[]).expect(0);
    (sandbox, server)
}

fn arguments<'a>(server: &'a Server, end: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let what = ["--symbol", "R_100", "--kind", "candles", "--rate", "unlimited"];
    let range = ["--start-date", "2026-03-01", "--end-date", end];
    [&what[..], &range, &["--endpoint", &server.url, "--output", "data"], more].concat()
}

fn download(sandbox: &Sandbox, server: &Server, end: &str, more: &[&str]) -> Ran {
    sandbox.run(&arguments(server, end, more))
}

/// Every command that reads an archive, in little memory; none may panic, abort or be killed.
fn each_command(sandbox: &Sandbox, server: &Server) -> Vec<Ran> {
    let lines = [
        vec!["status", "data"],
        vec!["verify", "--fast", "data"],
        vec!["verify", "data"],
        vec!["explain", "R_100/candles_60@2026-03-01T12:00:00", "--output", "data"],
        vec!["report", "data", "--output", "page.html"],
        vec!["repair", "data", "--dry-run", "--endpoint", &server.url],
        arguments(server, "2026-03-03", &["--dry-run"]),
        arguments(server, "2026-03-03", &[]),
    ];
    let run = |line: &Vec<&str>| -> Ran {
        let ran: Ran = sandbox.command_by(&MEMORY, line).output().unwrap().into();
        assert!(
            matches!(ran.code, Some(0..=3)),
            "{line:?}: {:?}\n{}\n{}",
            ran.code,
            ran.stdout,
            ran.stderr
        );
        ran
    };
    lines.iter().map(run).collect()
}

fn edit(sandbox: &Sandbox, name: &str, edit: impl FnOnce(&mut Value)) {
    let path = sandbox.path(name);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn rows(sandbox: &Sandbox) -> Rows {
    rows_of(&sandbox.path(PARQUET))
}

/// The archive is whole: the rows of the exchange, and nothing to complain of.
#[track_caller]
fn assert_mended(sandbox: &Sandbox, server: &Server) {
    download(sandbox, server, "2026-03-03", &[]).expect(0);
    sandbox.run(&["verify", "data"]).expect(0);
    assert_same_rows(&rows(sandbox), &sandbox.truth("2026-03-01", "2026-03-03"));
}

fn of_series(facts: &mut Value) -> &mut Value {
    let endpoints = facts["endpoints"].as_object_mut().unwrap();
    let (_, endpoint) = endpoints.iter_mut().next().unwrap();
    &mut endpoint["series"]["R_100/candles_60"]
}

/// A cadence of 0 once divided by zero, and a mean interval of 2⁶² ms never ended.
#[test]
fn facts_that_cannot_be_are_set_aside_and_learned_anew() {
    let fixed = |secs: i64| json!({ "pattern": "fixed", "interval_secs": secs, "phase_secs": 0 });
    let mean = |millis: i64| json!({ "pattern": "irregular", "mean_interval_millis": millis });
    let huge = 1_i64 << 62;
    let days = ["2026-03-04", "2026-03-05", "2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"];
    let cadences = [fixed(0), fixed(-1), fixed(-2), fixed(huge), fixed(i64::MIN), mean(huge)];
    let (sandbox, server) = archive();
    for (end, cadence) in days.into_iter().zip(cadences) {
        edit(&sandbox, FACTS, |facts| of_series(facts)["cadence"] = cadence.clone());
        let dry = download(&sandbox, &server, end, &["--dry-run"]).expect(0);
        let ran = download(&sandbox, &server, end, &[]).expect(0);
        for said in [&dry.stderr, &ran.stderr] {
            assert!(said.contains("source-facts.json") && said.contains("learned anew"), "{said}");
        }
        let mut learned = serde_json::from_slice(&fs::read(sandbox.path(FACTS)).unwrap()).unwrap();
        assert_ne!(of_series(&mut learned)["cadence"], cadence);
    }
    for (key, value) in [("page_cap", json!(-1)), ("page_cap", json!(4_294_967_295_u32))] {
        edit(&sandbox, FACTS, |facts| {
            let endpoints = facts["endpoints"].as_object_mut().unwrap();
            endpoints.iter_mut().for_each(|(_, endpoint)| endpoint[key] = value.clone());
        });
        download(&sandbox, &server, "2026-03-09", &["--no-resume"]).expect(0);
    }
    assert_same_rows(&rows(&sandbox), &sandbox.truth("2026-03-01", "2026-03-09"));
    sandbox.run(&["verify", "data"]).expect(0);
}

/// The square of thirty thousand ranges was minutes of work.
#[test]
fn a_sidecar_of_thirty_thousand_ranges_costs_no_more_than_its_length() {
    let (sandbox, server) = archive();
    let spoil = |n: i64| {
        edit(&sandbox, SIDECAR, |sidecar| {
            let range = |i| json!({ "start": MARCH + 2 * i, "end": MARCH + 2 * i + 1, "state": "answered" });
            sidecar["coverage"] = (0..n).map(range).collect();
            let gap = |i| {
                json!({ "start": MARCH + 2 * i, "end": MARCH + 2 * i + 1, "missing_estimate": 1,
                    "class": "unexplained" })
            };
            sidecar["gaps"] = (0..n).map(gap).collect();
        });
    };
    spoil(30_000);
    each_command(&sandbox, &server);
    assert_mended(&sandbox, &server);
    // Beyond the bound nothing is believed, and the reason is said.
    spoil(50_001);
    let ran = sandbox.run(&["verify", "data"]).expect(1);
    assert!(ran.stdout.contains("50001 covered ranges"), "{}", ran.stdout);
    assert_mended(&sandbox, &server);
}

/// A sidecar whose numbers are none of this world is refused, or disbelieved, by the number.
#[test]
fn a_sidecar_with_numbers_beyond_any_is_disbelieved_and_made_anew() {
    let (sandbox, server) = archive();
    let whole = fs::read(sandbox.path(SIDECAR)).unwrap();
    for (key, value) in [
        ("record_count", json!(u64::MAX)),
        ("start_epoch", json!(i64::MIN)),
        ("end_epoch", json!(i64::MAX)),
        ("pip_size", json!(255)),
        ("gap_rules", json!({ "threshold_secs": i64::MIN })),
        ("gap_rules", json!({ "threshold_secs": 0 })),
        ("first_held", json!(i64::MIN)),
        ("duplicates_removed", json!(u64::MAX)),
        ("gaps_detected", json!(u64::MAX)),
        ("file_size", json!(u64::MAX)),
        ("format_version", json!(-1)),
        ("coverage", json!([{ "start": i64::MIN, "end": i64::MAX, "state": "answered" }])),
        (
            "gaps",
            json!([{ "start": i64::MIN, "end": i64::MAX, "missing_estimate": u64::MAX,
                "class": "unexplained" }]),
        ),
    ] {
        fs::write(sandbox.path(SIDECAR), &whole).unwrap();
        edit(&sandbox, SIDECAR, |sidecar| sidecar[key] = value.clone());
        for line in [&["status", "data"][..], &["verify", "data"]] {
            let ran = sandbox.run(line);
            assert!(matches!(ran.code, Some(0 | 1)), "{key} {value}: {line:?} {ran:?}");
        }
        let ran = download(&sandbox, &server, "2026-03-03", &[]);
        assert!(matches!(ran.code, Some(0 | 1)), "{key} {value}: {ran:?}");
        assert_same_rows(&rows(&sandbox), &sandbox.truth("2026-03-01", "2026-03-03"));
    }
}

/// One gigabyte of nothing where a small file belongs: it is not read.
#[test]
fn files_of_a_gigabyte_are_not_read() {
    let (sandbox, server) = archive();
    fs::create_dir_all(sandbox.path(STAGING)).unwrap();
    for (name, is_told) in [
        (SIDECAR, true),
        (WATERMARK, false),
        (FACTS, true),
        (LAST_RUN, false),
        (&format!("{STAGING}/publish.intent"), true),
        (&format!("{STAGING}/remarks"), true),
        (&format!("{STAGING}/adoption"), true),
        (&format!("{STAGING}/1772323200-1772324200-x.segment"), true),
    ] {
        // Blanks are the worst: they are JSON up to the last.
        let file = File::create(sandbox.path(name)).unwrap();
        file.set_len(1 << 30).unwrap();
        let ran = each_command(&sandbox, &server);
        let last = ran.last().unwrap();
        assert_eq!(last.code, Some(0), "{name}: {last:?}");
        let base = name.rsplit('/').next().unwrap();
        assert!(!is_told || last.stderr.contains(base), "{name}: {}", last.stderr);
        assert_mended(&sandbox, &server);
        fs::create_dir_all(sandbox.path(STAGING)).unwrap();
    }
}

/// Whoever opened a pipe waited for ever.
#[test]
fn pipes_and_folders_in_the_place_of_files_are_no_files() {
    let names = [
        SIDECAR,
        PARQUET,
        WATERMARK,
        FACTS,
        LAST_RUN,
        &format!("{STAGING}/publish.intent"),
        &format!("{STAGING}/remarks"),
        &format!("{STAGING}/1772323200-1772324200-x.segment"),
    ];
    for is_pipe in [true, false] {
        let (sandbox, server) = archive();
        for name in names {
            let path = sandbox.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let aside = sandbox.path("aside");
            let had_file = fs::rename(&path, &aside).is_ok();
            put(&path, is_pipe);
            each_command(&sandbox, &server);
            // What was not moved away by then is taken away by hand.
            let _ = fs::remove_file(&path);
            let _ = fs::remove_dir(&path);
            if had_file && !path.exists() {
                fs::rename(&aside, &path).unwrap();
            }
        }
        download(&sandbox, &server, "2026-03-03", &[]).expect(0);
        assert_same_rows(&rows(&sandbox), &sandbox.truth("2026-03-01", "2026-03-03"));
    }
}

fn put(path: &Path, is_pipe: bool) {
    if is_pipe {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    } else {
        fs::create_dir(path).unwrap();
    }
}

/// Text that is JSON and no file of ours: nothing overflows the stack, and nothing counts twice.
#[test]
fn json_of_any_shape_is_survived() {
    let (sandbox, server) = archive();
    let whole = fs::read_to_string(sandbox.path(SIDECAR)).unwrap();
    let nested = format!("{{\"source\":{}", "{\"a\":".repeat(200_000));
    let double = whole.replacen('{', "{\"record_count\": 1,", 1);
    let wide = format!("{{\"source\":[{}0]}}", "0,".repeat(4_000_000));
    for text in [&nested, &double, &wide, "", "[]"] {
        for name in [SIDECAR, WATERMARK, FACTS, LAST_RUN] {
            fs::write(sandbox.path(name), text).unwrap();
        }
        each_command(&sandbox, &server);
        assert_mended(&sandbox, &server);
    }
}

/// A page of a few bytes that is millions of rows.
fn bomb(path: &Path, n_rows: usize) {
    let epochs: ArrayRef = Arc::new(Int64Array::from(vec![MARCH; n_rows]));
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![1.0; n_rows]));
    let names = ["open", "high", "low", "close"];
    let columns =
        std::iter::once(("epoch", epochs)).chain(names.map(|name| (name, prices.clone())));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// More rows than a month has seconds are told by their count; nobody reads them.
#[test]
fn a_page_of_millions_of_rows_is_not_unpacked() {
    let (sandbox, server) = archive();
    bomb(&sandbox.path(PARQUET), 3_000_000);
    for line in [&["verify", "data"][..], &["verify", "--fast", "data"]] {
        let ran = sandbox.run(line).expect(1);
        assert!(ran.stdout.contains("3000000 rows"), "{}", ran.stdout);
    }
    each_command(&sandbox, &server);
    assert_mended(&sandbox, &server);
}

/// Metadata that would be gigabytes once it is unpacked is refused by the length it says.
#[test]
fn parquet_metadata_of_many_megabytes_is_not_read() {
    let (sandbox, server) = archive();
    let file = File::create(sandbox.path(PARQUET)).unwrap();
    file.set_len(20 << 20).unwrap();
    let tail = [&(17_u32 << 20).to_le_bytes()[..], b"PAR1"].concat();
    std::os::unix::fs::FileExt::write_all_at(&file, &tail, (20 << 20) - 8).unwrap();
    drop(file);
    let ran = sandbox.run(&["verify", "--fast", "data"]).expect(1);
    assert!(ran.stdout.contains("17825792 bytes"), "{}", ran.stdout);
    each_command(&sandbox, &server);
    assert_mended(&sandbox, &server);
}

/// Each job was compared with all others before a word was said.
#[test]
fn thousands_of_jobs_are_read_as_they_come() {
    let sandbox = Sandbox::new();
    let job = |i| format!("[[series]]\nsymbol = \"X_{i}\"\nkind = \"ticks\"\nmonths = 1\n");
    let text: String = (0..10_000).map(job).collect();
    fs::write(sandbox.path("titan.toml"), text).unwrap();
    let ran = sandbox.run(&["--demo", "--print-config", "--output", "data"]).expect(0);
    assert!(ran.stdout.contains("X_9999"), "{}", ran.stdout.len());
}

/// A pipe that nobody named is no file of settings; one that a shell made is.
#[test]
fn a_pipe_is_read_as_settings_only_if_it_is_named() {
    let sandbox = Sandbox::new();
    put(&sandbox.path("titan.toml"), true);
    let ran = sandbox.run(&["--demo", "--print-config"]).expect(2);
    assert!(
        ran.stderr.contains("titan.toml") && ran.stderr.contains("no ordinary file"),
        "{ran:?}"
    );
    let script = "printf 'months = 7\\n' | \"$0\" --config /dev/stdin --demo --print-config";
    let ran: Ran = sandbox.command_by(&["sh", "-c", script], &[]).output().unwrap().into();
    assert!(ran.expect(0).stdout.contains('7'));
}
