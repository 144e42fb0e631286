//! Nothing leaves before its replacement is in hand: a reader that looks at the final name all the
//! time while repairs are killed, interrupted and left alone by their source. And what only looks
//! unlikely does not leave at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::process::{Ran, Running, Sandbox, Server, n_pages};
use crate::support::{Rows, assert_same_rows, column_values, rows_of};

const FEBRUARY: &str = "data/R_100/candles_60/2026-02.parquet";
const START: i64 = 1_769_904_000;
const DAY: i64 = 86_400;

/// Ends soon where nobody answers.
const HURRY: [&str; 4] = ["--retries", "1", "--max-outage", "1s"];

/// A sealed February, in small row groups.
fn archive(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    download(&sandbox, server);
    sandbox
}

fn download(sandbox: &Sandbox, server: &Server) {
    let line = format!(
        "--symbol R_100 --kind candles --row-group-rows 5000 --start-date 2026-02-01 \
         --end-date 2026-03-01 --endpoint {} --output data --rate unlimited",
        server.url
    );
    sandbox.run(&line.split_whitespace().collect::<Vec<_>>()).expect(0);
}

fn arguments<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["repair", "data", "--row-group-rows", "5000", "--rate", "unlimited"];
    [fixed.as_slice(), &["--endpoint", url], more].concat()
}

/// Opens the file at the final name again and again.
struct Reader {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Vec<String>)>,
}

impl Reader {
    /// `spoiled` is what lies there before anybody mends it; `good` are the rows that no moment may
    /// be without.
    fn start(path: PathBuf, spoiled: Vec<u8>, good: Rows) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (mut n_looks, mut problems, mut last) = (0, Vec::new(), spoiled);
            while !told.load(Ordering::Relaxed) {
                n_looks += 1;
                match opened(&path) {
                    Err(error) => problems.push(format!("look {n_looks}: {error}")),
                    Ok((_, bytes)) if bytes == last => {}
                    Ok((file, bytes)) => {
                        problems.extend(problem(file, &good));
                        last = bytes;
                    }
                }
                thread::yield_now();
            }
            (n_looks, problems)
        });
        Self { is_over, thread }
    }

    #[track_caller]
    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let (n_looks, problems) = self.thread.join().unwrap();
        assert!(n_looks > 0);
        assert!(problems.is_empty(), "of {n_looks} looks: {problems:#?}");
    }
}

/// The file that has the name now, with all it holds.
fn opened(path: &Path) -> io::Result<(File, Vec<u8>)> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((file, bytes))
}

fn problem(file: File, good: &Rows) -> Option<String> {
    let read = || -> Result<Rows, String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file);
        let reader = builder.and_then(ParquetRecordBatchReaderBuilder::build);
        let mut rows = Rows::new();
        for batch in reader.map_err(|error| error.to_string())? {
            for (epoch, prices) in column_values(&batch.map_err(|error| error.to_string())?) {
                rows.insert(epoch, prices.iter().map(ToString::to_string).collect());
            }
        }
        Ok(rows)
    };
    match read() {
        Err(error) => Some(format!("a file that cannot be read: {error}")),
        Ok(rows) => good
            .iter()
            .find(|(epoch, row)| rows.get(epoch) != Some(row))
            .map(|(epoch, _)| format!("no row at {epoch}, of {} rows", rows.len())),
    }
}

/// How a repair ends before it is done.
#[derive(Debug, Clone, Copy)]
enum Stop {
    KilledAtStep(usize),
    Interrupted,
    HungUp,
    Unreachable,
}

fn stopped(sandbox: &Sandbox, stop: Stop) {
    match stop {
        Stop::KilledAtStep(n) => killed_at(sandbox, n),
        Stop::Interrupted => {
            // The time is told, the rows are not.
            let silent = Server::start(&["--fault", "hang=1"]);
            let mut run = sandbox.start(&arguments(&silent.url, &[]));
            let staging = sandbox.path("data/.titan/staging/R_100/candles_60/2026-02");
            run.until("the good days are dealt with", || staging.is_dir());
            run.signal("INT");
            assert_eq!(run.end().code, Some(130));
        }
        Stop::HungUp => {
            let rude = Server::start(&["--fault", "drop=1"]);
            let ran = sandbox.run(&arguments(&rude.url, &HURRY));
            assert_ne!(ran.code, Some(0), "{}", ran.stderr);
        }
        Stop::Unreachable => {
            let ran = sandbox.run(&arguments("ws://127.0.0.1:9", &HURRY));
            assert_eq!(ran.code, Some(69), "{}", ran.stderr);
        }
    }
}

/// Stands still just before the `n`-th change of the disk, and is killed there.
#[cfg(debug_assertions)]
fn killed_at(sandbox: &Sandbox, n: usize) {
    let server = Server::start(&[]);
    let _ = fs::remove_file(sandbox.path("steps"));
    let mut command = sandbox.command(&arguments(&server.url, &[]));
    command.env("TITAN_TEST_STEPS", format!("{n}:steps"));
    let mut run = Running::from(command.spawn().unwrap());
    let n_steps = || fs::read_to_string(sandbox.path("steps")).unwrap_or_default().lines().count();
    if run.until_or_end(|| n_steps() >= n) {
        run.signal("KILL");
    }
    run.end();
}

#[cfg(not(debug_assertions))]
fn killed_at(_: &Sandbox, _: usize) {}

/// 64 bytes of a month changed, or its second half gone: repairing once took the month from its
/// readers until a later run, whatever became of the repair.
#[test]
fn readers_find_a_file_whatever_becomes_of_a_repair() {
    let server = Server::start(&[]);
    let sandbox = archive(&server);
    let whole = fs::read(sandbox.path(FEBRUARY)).unwrap();
    let all = rows_of(&sandbox.path(FEBRUARY));
    let is_long = std::env::var("TITAN_LONG_TESTS").is_ok_and(|value| value == "1");
    let mut stops = vec![Stop::Interrupted, Stop::HungUp, Stop::Unreachable];
    let steps = (1..200).step_by(if is_long { 1 } else { 31 }).take(if is_long { 200 } else { 3 });
    stops.extend(steps.map(Stop::KilledAtStep));
    for (n, stop) in stops.into_iter().enumerate() {
        for is_cut in [false, true] {
            if !is_long && is_cut != (n % 2 == 0) {
                continue;
            }
            let mut spoiled = whole.clone();
            if is_cut {
                spoiled.truncate(whole.len() / 2);
            } else {
                spoiled[100..164].iter_mut().for_each(|byte| *byte ^= 0x5a);
            }
            fs::remove_dir_all(sandbox.path("data")).unwrap();
            download(&sandbox, &server);
            fs::write(sandbox.path(FEBRUARY), &spoiled).unwrap();
            let mut good = all.clone();
            good.retain(|epoch, _| !is_cut && *epoch >= START + 4 * DAY);
            let reader = Reader::start(sandbox.path(FEBRUARY), spoiled, good);
            stopped(&sandbox, stop);
            let ran = sandbox.run(&arguments(&server.url, &[]));
            reader.end();
            ran.expect(0);
            assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == whole, "{stop:?}, {is_cut}");
            sandbox.run(&["verify", "data"]).expect(0);
        }
    }
}

fn errors(report: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let mut rest = vec![report];
    while let Some(value) = rest.pop() {
        if value["severity"] == "error" {
            errors.push(value.to_string());
        }
        rest.extend(value.as_array().into_iter().flatten());
        rest.extend(value.as_object().into_iter().flat_map(|object| object.values()));
    }
    errors
}

/// Only today's decimals are known, and the rows of yesterday have more: each of them was an error,
/// and a repair took them all out of the archive.
#[test]
fn decimals_of_the_past_are_no_damage() {
    let quirks = [
        ["--quirk", "decimals=R_100@2026-03-09T06:00:00Z@1"].as_slice(),
        &["--quirk", "list_decimals=R_100@1"],
        &["--quirk", "page_decimals=R_100@1"],
    ];
    for quirk in quirks {
        let server = Server::start(quirk);
        let sandbox = Sandbox::new();
        let run = |line: &str| -> Ran {
            let line = format!("{line} --endpoint {} --rate unlimited --json", server.url);
            sandbox.run(&line.split_whitespace().collect::<Vec<_>>())
        };
        let download = "--symbol R_100 --kind ticks --start-date 2026-03-08 --end-date 2026-03-10 \
                        --output data";
        let ran = run(download).expect(0).json();
        assert_eq!(errors(&ran), Vec::<String>::new(), "{quirk:?}");
        let ticks = sandbox.path("data/R_100/ticks/2026-03.parquet");
        let before = fs::read(&ticks).unwrap();
        assert!(rows_of(&ticks).len() > 86_000);

        let checked = sandbox.run(&["verify", "data", "--json"]).expect(0).json();
        assert_eq!(errors(&checked), Vec::<String>::new(), "{quirk:?}");
        let through = ["status", "--output", "data", "--require-through", "2026-03-09"];
        sandbox.run(&through).expect(0);
        let repaired = run("repair data").expect(0).json();
        assert_eq!(repaired["partitions"].as_array().unwrap().len(), 0, "{repaired}");
        run(download).expect(0);
        assert!(fs::read(&ticks).unwrap() == before, "{quirk:?}");
    }
}

/// Behind the wall what a repair gives up is lost; so it gives up nothing that was answered.
#[test]
fn unlikely_rows_stay_where_nobody_can_be_asked_again() {
    let quirk = ["--quirk", "decimals=R_100@2026-02-02T12:00:00Z@1"];
    let server = Server::start(&quirk);
    let sandbox = archive(&server);
    let before = rows_of(&sandbox.path(FEBRUARY));
    let later = Server::start(&["--history-days", "20"]);
    sandbox.run(&arguments(&later.url, &["--deep"])).expect(0);
    assert_same_rows(&rows_of(&sandbox.path(FEBRUARY)), &before);
    assert_eq!(n_pages(&later.end()), 0);
}
