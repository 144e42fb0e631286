//! Old caches of the Python tool: taken over by ordinary runs and by `adopt`, with the real binary.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use titan_download::domain::{Granularity, Kind, SeriesLocks};
use titan_download::integrity::PartitionChecker;
use titan_download::storage::{ParquetStore, StoreOptions};

use crate::old_cache::{self, Bar, Form, OLD, bars, month_path, newer, sidecar_path};
use crate::process::{NOW, Sandbox, Server, n_pages};
use crate::python::python_with;
use crate::support::{Rows, assert_same_rows, epoch, rows_of, series};

/// The history of the exchange is ten days long and begins on the 28th of February.
const HISTORY: [&str; 2] = ["--history-days", "10"];
const WALL: &str = "2026-02-28T00:00:00Z";

fn at(text: &str) -> i64 {
    epoch(text).secs()
}

fn as_rows(bars: &[Bar]) -> Rows {
    let text = |prices: &[f64; 4]| prices.iter().map(ToString::to_string).collect();
    bars.iter().map(|(epoch, prices)| (*epoch, text(prices))).collect()
}

fn within(from: &str, to: &str) -> impl Fn(i64) -> bool + use<> {
    let (from, to) = (at(from), at(to));
    move |epoch| from <= epoch && epoch < to
}

fn download<'a>(url: &'a str, start: &'a str, end: &'a str) -> Vec<&'a str> {
    let what = ["--symbol", "R_100", "--kind", "candles", "--start-date", start, "--end-date", end];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited"];
    // Up to the bar that has just closed.
    [what.as_slice(), &place, &["--tail-lag", "0s"]].concat()
}

fn sidecar(root: &Path, month: &str) -> Value {
    serde_json::from_slice(&fs::read(sidecar_path(root, month)).unwrap()).unwrap()
}

/// `(start, end, state)` of each covered range.
fn coverage(root: &Path, month: &str) -> Vec<(i64, i64, String)> {
    let sidecar = sidecar(root, month);
    let range = |range: &Value| {
        let number = |key: &str| range[key].as_i64().unwrap();
        (number("start"), number("end"), range["state"].as_str().unwrap().to_owned())
    };
    sidecar["coverage"].as_array().unwrap().iter().map(range).collect()
}

/// What is true of the days that the caches are about.
fn truth(sandbox: &Sandbox) -> Rows {
    let mut truth = sandbox.truth("2025-12-30", "2026-01-02");
    truth.extend(sandbox.truth("2026-02-25", NOW));
    truth
}

/// The cache with every fault that is known of them; returns what is good in each month.
fn write_cache(root: &Path, truth: &Rows) -> BTreeMap<&'static str, Vec<Bar>> {
    let page = bars(truth, within("2026-03-08T00:00:00Z", "2026-03-08T10:00:00Z"));
    let mut good = BTreeMap::new();

    // Behind the wall, and nothing but data of the time of the download.
    old_cache::write(root, "2025-11", &page, &OLD);

    // Behind the wall: a hole of a hundred bars, and the first record of the next month.
    let hole = within("2025-12-30T10:00:00Z", "2025-12-30T11:40:00Z");
    let wanted = within("2025-12-30T00:00:00Z", "2026-01-01T00:00:00Z");
    let december = bars(truth, |epoch| wanted(epoch) && !hole(epoch));
    let next = bars(truth, |epoch| epoch == at("2026-01-01T00:00:00Z"));
    old_cache::write(root, "2025-12", &[december.clone(), next].concat(), &OLD);
    good.insert("2025-12", december);

    // The wall is in it; a page of data of the time of the download is appended.
    let february = bars(truth, within("2026-02-25T00:00:00Z", "2026-03-01T00:00:00Z"));
    old_cache::write(root, "2026-02", &[february.clone(), page].concat(), &newer());
    good.insert("2026-02", february);

    // The running month, saved while its last candle was open: an hour is missing, a bar is beside
    // the grid, one is without a price, and one is there twice.
    let hole = within("2026-03-02T10:00:00Z", "2026-03-02T11:00:00Z");
    let wanted = within("2026-03-01T00:00:00Z", "2026-03-09T12:01:00Z");
    let mut march = bars(truth, |epoch| wanted(epoch) && !hole(epoch));
    march.remove(500);
    let last = march.pop().unwrap();
    good.insert("2026-03", march.clone());
    let (epoch, prices) = march[499];
    march.insert(500, (epoch + 60, [prices[0], prices[1], f64::NAN, prices[3]]));
    march.insert(500, (epoch + 7, prices));
    march.insert(500, (epoch, prices));
    march.push((last.0, [last.1[0]; 4]));
    old_cache::write(root, "2026-03", &march, &newer());
    good
}

#[test]
fn an_ordinary_run_takes_over_what_it_is_asked_for_and_asks_it_once() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let truth = truth(&sandbox);
    let good = write_cache(&root, &truth);
    let earlier = |bar: &Bar| (bar.0 - 61 * 86_400, bar.1);
    let october: Vec<Bar> = good["2025-12"][..10].iter().map(earlier).collect();
    old_cache::write(&root, "2025-10", &october, &OLD);
    let untouched = fs::read(month_path(&root, "2025-10")).unwrap();

    let arguments = download(&server.url, "2025-11-01", NOW);
    let dry_run = [arguments.as_slice(), &["--dry-run"]].concat();
    let before = sandbox.content();
    sandbox.run(&dry_run).expect(0);
    assert!(sandbox.content() == before, "a dry run writes nothing");

    let ran = sandbox.run(&[arguments.as_slice(), &["--json"]].concat()).expect(0).json();
    let faults = ran["partitions"].to_string();
    for fault in [
        "600 rows from after the month, data of the time of the download",
        "1 row at the first second of the next month, at 2026-01-01T00:00:00Z",
        "1 row that open beside one",
        "1 row with a price that is not one",
        "1 row that repeat another one",
        "1 row that were still open when saved, at 2026-03-09T12:00:00Z",
        "holds no good row of 2025-11",
        "all but the rows set aside, which are kept with the reason as",
    ] {
        assert!(faults.contains(fault), "no `{fault}` in {faults}");
    }

    // Behind the wall the good rows stay; inside it the source filled what was missing.
    assert_same_rows(&rows_of(&month_path(&root, "2025-12")), &as_rows(&good["2025-12"]));
    let february = bars(&truth, within("2026-02-25T00:00:00Z", "2026-03-01T00:00:00Z"));
    assert_same_rows(&rows_of(&month_path(&root, "2026-02")), &as_rows(&february));
    let march = bars(&truth, within("2026-03-01T00:00:00Z", "2026-03-10T00:00:00Z"));
    assert_same_rows(&rows_of(&month_path(&root, "2026-03")), &as_rows(&march));
    let covered = |month| -> Vec<_> {
        let text = |secs| titan_download::domain::Epoch::new(secs).to_string();
        let ranges = coverage(&root, month).into_iter();
        ranges.map(|(start, _, state)| format!("{} {state}", &text(start)[..10])).collect()
    };
    // One look at the wall is not enough to say for ever that nothing is offered behind it.
    assert_eq!(covered("2025-12"), ["2025-12-30 inherited"]);
    assert_eq!(covered("2026-02"), ["2026-02-25 inherited", "2026-02-28 answered"]);
    assert!(coverage(&root, "2026-02")[1].0 == at(WALL));
    assert_eq!(covered("2026-03"), ["2026-03-01 answered"]);
    let gaps = sidecar(&root, "2025-12")["gaps"].to_string();
    assert!(gaps.contains("unexplained"), "{gaps}");
    assert!(!month_path(&root, "2025-11").exists());
    assert_eq!(fs::read(month_path(&root, "2025-10")).unwrap(), untouched);
    sandbox.run(&["verify", "data"]).expect(0);

    // A second run knows all of it and has nothing to ask.
    let settled = sandbox.content();
    let again = sandbox.run(&[arguments.as_slice(), &["--json"]].concat()).expect(0).json();
    let changed: Vec<_> = sandbox
        .content()
        .into_iter()
        .filter(|(path, bytes)| {
            path.starts_with(root.join("R_100")) && settled.get(path) != Some(bytes)
        })
        .collect();
    assert!(changed.is_empty(), "{:?}", changed.iter().map(|(path, _)| path).collect::<Vec<_>>());
    assert_eq!(again["rows_new"], 0, "{again}");
    let told: Vec<_> = again["partitions"].as_array().unwrap().iter().collect();
    assert!(told.iter().all(|p| p["complete"] == true), "{again}");

    let log = server.end();
    let connection = |call: &Value| call["connection"].as_i64().unwrap();
    let last = log.iter().map(connection).max().unwrap();
    let (second, first): (Vec<_>, Vec<_>) = log.into_iter().partition(|c| connection(c) == last);
    // Ten days of 1,440 bars in pages of 1,000, the edges of two months, and the wall's probes, of
    // which the dry run makes one and the run all.
    let n_asked = n_pages(&first);
    assert!((15..=45).contains(&n_asked), "{n_asked} pages");
    assert!(n_pages(&second) <= 2, "{second:?}");
}

/// A bar that was still open when the old tool saved it, and looks like any other: it once outranked
/// the source for ever.
#[test]
fn a_wrong_bar_in_an_old_cache_yields_to_the_source() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let truth = sandbox.truth("2026-03-01", "2026-03-04");
    let mut old = bars(&truth, |epoch| epoch < at("2026-03-03T00:00:00Z"));
    let open = old[700].1[0];
    old[700].1 = [open; 4];
    // And one that the source does not have at all.
    let alone = at("2026-02-28T12:00:00Z");
    let mut february = bars(&sandbox.truth("2026-02-28", "2026-03-01"), |epoch| epoch != alone);
    february.insert(0, (at("2026-02-27T23:59:00Z"), [1.0; 4]));
    old_cache::write(&root, "2026-02", &february, &newer());
    old_cache::write(&root, "2026-03", &old, &newer());
    let arguments = download(&server.url, "2026-02-01", "2026-03-04");
    let ran = sandbox.run(&[arguments.as_slice(), &["--json"]].concat()).expect(0).json();
    let rows = rows_of(&month_path(&root, "2026-03"));
    assert_same_rows(&rows, &truth);
    assert!(coverage(&root, "2026-03").iter().all(|(_, _, state)| state == "answered"));
    let months = ran["partitions"].as_array().unwrap();
    let march = months.iter().find(|p| p["month"] == "2026-03").unwrap();
    let findings = march["findings"].as_array().unwrap();
    let told: Vec<_> = findings.iter().filter(|f| f["kind"] == "inherited_replaced").collect();
    let [told] = told[..] else { panic!("{findings:?}") };
    assert_eq!((&told["severity"], &told["at"]["start"]), (&"warning".into(), &old[700].0.into()));
    let values = [told["expected"].as_str().unwrap(), told["found"].as_str().unwrap()];
    assert!(values[0].contains(&format!("close {open}")), "{values:?}");
    assert!(values[1].contains(&format!("close {}", truth[&old[700].0][3])), "{values:?}");

    // What it replaced is kept, once; behind the wall a row of another tool stays for ever.
    let kept = fs::read_dir(root.join(".titan/quarantine/R_100/candles_60")).unwrap();
    let kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept: Vec<_> =
        kept.filter(|name| name.starts_with("2026-03") && name.contains("parquet")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let february = rows_of(&month_path(&root, "2026-02"));
    assert_eq!(february[&at("2026-02-27T23:59:00Z")], ["1", "1", "1", "1"]);
    sandbox.run(&["verify", "data"]).expect(0);
    sandbox.run(&arguments).expect(0);
    assert_same_rows(&rows_of(&month_path(&root, "2026-03")), &truth);
}

#[test]
fn a_locked_partition_is_held_as_it_is() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let truth = sandbox.truth("2026-02-01", "2026-02-02");
    let mut old = bars(&truth, |_| true);
    old.push((7, [1.0; 4]));
    old_cache::write(&root, "2026-02", &old, &Form { is_locked: true, ..newer() });
    let files = || [month_path(&root, "2026-02"), sidecar_path(&root, "2026-02")].map(fs::read);
    let before = files().map(Result::unwrap);
    let ran = sandbox.run(&download(&server.url, "2026-02-01", "2026-03-01")).expect(0);
    assert!(ran.stdout.contains("locked"), "{}", ran.stdout);
    let ran = sandbox.run(&["adopt", "--output", "data"]).expect(0);
    assert!(ran.stdout.contains("locked, 1,441 rows, stays as it is"), "{}", ran.stdout);
    assert!(files().map(Result::unwrap) == before);
    assert_eq!(n_pages(&server.end()), 0);
}

#[test]
fn adopt_takes_a_folder_over_offline() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let truth = truth(&sandbox);
    let good = write_cache(&root, &truth);
    let transient = ["2026-03.tmp.parquet", "2026-03.tmp.metadata.json", "2026-03.inc.parquet"];
    for name in transient {
        fs::write(root.join("R_100/candles_60").join(name), "half").unwrap();
    }
    let before = sandbox.content();
    let shown = sandbox.run(&["adopt", "--output", "data", "--dry-run"]).expect(1).stdout;
    assert!(sandbox.content() == before, "a dry run writes nothing");
    let run = sandbox.command(&["adopt"]).env("TITAN_OUTPUT", "data").output().unwrap();
    let done = crate::process::Ran::from(run).expect(1).stdout;
    let lines = |text: &str| -> Vec<String> {
        let would = [("would be kept", "kept"), ("would be taken over", "taken over")];
        let whole = [("would be set aside", "set aside"), ("and its rows are asked again", "")];
        let same = |line: &str| {
            would.iter().chain(&whole).fold(line.to_owned(), |l, (a, b)| l.replace(a, b))
        };
        text.lines().filter(|line| line.starts_with("R_100")).map(same).collect()
    };
    assert_eq!(lines(&shown), lines(&done));
    for (month, rows) in &good {
        assert_same_rows(&rows_of(&month_path(&root, month)), &as_rows(rows));
        assert_ne!(sidecar(&root, month)["state"], "sealed");
    }
    for said in ["2,780 rows taken over, 1 set aside; kept as", "set aside as a whole"] {
        assert!(done.contains(said), "no `{said}` in\n{done}");
    }
    for name in transient {
        assert!(done.contains(name), "{name} is not named in\n{done}");
        let (month, rest) = name.split_once('.').unwrap();
        let kept = format!(".titan/quarantine/R_100/candles_60/{month}.1.{rest}.set-aside");
        assert_eq!(fs::read_to_string(root.join(kept)).unwrap(), "half");
        assert!(!root.join("R_100/candles_60").join(name).exists());
    }
    sandbox.run(&["verify", "data"]).expect(0);
    let again = sandbox.run(&["adopt", "-o", "data", "--json"]).expect(0).json();
    assert_eq!(again["partitions"].as_array().unwrap().len(), 0);
    sandbox.run(&["adopt", "--output", "nowhere"]).expect(2);
}

#[test]
fn adopt_waits_for_nobody() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let truth = sandbox.truth("2026-02-01", "2026-02-02");
    old_cache::write(&root, "2026-02", &bars(&truth, |_| true), &newer());
    let store =
        ParquetStore::open(&root, StoreOptions::default(), Arc::new(PartitionChecker)).unwrap();
    let guard = store.lock(&series("R_100", Kind::Candles(Granularity::MINUTE))).unwrap();
    let ran = sandbox.run(&["adopt", "--output", "data"]).expect(75);
    assert!(ran.stderr.contains("is being written by process"), "{}", ran.stderr);
    drop(guard);
    sandbox.run(&["adopt", "--output", "data"]).expect(0);
}

/// What can be read of an archive, without its own path.
fn archive(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["R_100/candles_60", ".titan/quarantine/R_100/candles_60"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            files.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
        }
    }
    files
}

/// `kill -9` at any moment: the next run ends where an undisturbed one does.
#[test]
fn whenever_adopt_is_killed_the_next_run_completes_it() {
    let sandbox = Sandbox::new();
    let truth = truth(&sandbox);
    let whole = Sandbox::new();
    write_cache(&whole.path("data"), &truth);
    let began = std::time::Instant::now();
    whole.run(&["adopt", "--output", "data"]).expect(1);
    let took = began.elapsed();
    let expected = archive(&whole.path("data"));
    let n_kills = 6u32;
    for n in 0..n_kills {
        let sandbox = Sandbox::new();
        write_cache(&sandbox.path("data"), &truth);
        let mut killed = sandbox.command(&["adopt", "--output", "data"]).spawn().unwrap();
        std::thread::sleep(took * n / n_kills + Duration::from_millis(1));
        killed.kill().unwrap();
        killed.wait().unwrap();
        // 0 if the month that is set aside as a whole was set aside before.
        let code = sandbox.run(&["adopt", "--output", "data"]).code;
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
        let found = archive(&sandbox.path("data"));
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "kill {n}");
        let differing: Vec<_> =
            expected.iter().filter(|(path, bytes)| found[*path] != **bytes).collect();
        assert!(differing.is_empty(), "kill {n}: {:?}", differing[0].0);
    }
}

/// The old readers find their columns, their rows and their keys in what became of their files.
#[test]
fn the_old_readers_read_it_as_before() {
    let Some(mut python) = python_with(&["pandas", "pyarrow"]) else { return };
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let truth = truth(&sandbox);
    let mut expected = as_rows(&write_cache(&root, &truth)["2025-12"]);
    sandbox.run(&download(&server.url, "2025-11-01", NOW)).expect(0);
    expected.extend(as_rows(&bars(&truth, |epoch| epoch >= at("2026-02-25T00:00:00Z"))));
    let line = |(epoch, prices): (&i64, &Vec<String>)| format!("{epoch},{}\n", prices.join(","));
    let csv: String = expected.iter().map(line).collect();
    let csv_path = sandbox.path("expected.csv");
    fs::write(&csv_path, format!("epoch,open,high,low,close\n{csv}")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_as_before.py");
    let read =
        python.arg(script).arg(root.join("R_100/candles_60")).arg(csv_path).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(read.status.success(), "{}{}", text(&read.stdout), text(&read.stderr));
}
