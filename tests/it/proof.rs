//! What `verify` says of archives nobody damaged: nothing. And what others make of its hashes.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::Command;

use titan_download::domain::{Epoch, Finding, FindingKind, Granularity, Kind, Severity};
use titan_download::download::Window;
use titan_download::integrity::{Depth, Report, VerifyOptions, verify};
use titan_download::simulator::{Replay, SimClock, SimulatorConfig};

use crate::process::{Sandbox, Server};
use crate::python::python_with;
use crate::support::*;

const MINUTES: Kind = Kind::Candles(Granularity::MINUTE);

/// Each behaves in a way of its own: every other second, every second, jumping by nature, closed
/// at week-ends, irregular day and night.
const SYMBOLS: [&str; 5] = ["R_100", "1HZ100V", "BOOM500", "frxEURUSD", "cryBTCUSD"];

/// A wednesday in a month with five week-ends.
const NOW: &str = "2026-04-08T12:00:00Z";

async fn download(exchange: &Exchange, root: &Path, symbol: &str, window: Window) {
    let both = [series(symbol, Kind::Ticks), series(symbol, MINUTES)];
    let summary = exchange.download(root, &Setup::default(), &both, window).await.unwrap();
    assert!(summary.is_complete(), "{symbol}: {summary:?}");
}

fn deeply(root: &Path) -> Report {
    verify(root, &VerifyOptions { depth: Depth::Deep, ..VerifyOptions::default() })
}

/// Nothing is broken, nothing looks unusual, and every candle is what its ticks make it.
fn assert_clean(report: &Report) {
    let is_told = |finding: &&Finding| finding.severity > Severity::Info;
    let told: Vec<_> = report.all_findings().filter(is_told).collect();
    assert!(told.is_empty(), "{told:#?}");
    let compared: Vec<_> =
        report.partitions.iter().filter_map(|p| p.against_ticks.as_ref()).collect();
    assert!(!compared.is_empty());
    for counts in compared {
        assert_eq!((counts.equal, counts.bars > 0), (counts.bars, true), "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_clean_archives_raise_no_alarm() {
    let exchange = Exchange::open(quiet_config(epoch(NOW))).await;
    let folder = tempfile::tempdir().unwrap();
    for symbol in SYMBOLS {
        // From Friday over the week-end; a day of what comes every second is enough.
        let days = if symbol.starts_with("frx") { 4 } else { 1 };
        let start = epoch("2026-04-03T12:00:00Z");
        let window = Window::Range { start, end: Some(start.plus(days * 86_400)) };
        download(&exchange, folder.path(), symbol, window).await;
    }
    assert_clean(&deeply(folder.path()));
}

/// Three months of each, which takes minutes: only where `TITAN_LONG_TESTS` is set, to `1` or to
/// some of the symbols.
#[tokio::test(flavor = "multi_thread")]
async fn months_of_clean_archives_raise_no_alarm() {
    let Ok(wanted) = std::env::var("TITAN_LONG_TESTS") else {
        println!("skipped: set TITAN_LONG_TESTS=1 for three months of every kind of series");
        return;
    };
    let is_wanted = |symbol: &&str| wanted == "1" || wanted.split(',').any(|name| name == *symbol);
    for symbol in SYMBOLS.into_iter().filter(is_wanted) {
        let exchange = Exchange::open(quiet_config(epoch(NOW))).await;
        let folder = tempfile::tempdir().unwrap();
        let (start, end) = (epoch("2026-01-01T00:00:00Z"), epoch("2026-04-01T00:00:00Z"));
        download(&exchange, folder.path(), symbol, Window::Range { start, end: Some(end) }).await;
        let report = deeply(folder.path());
        let (n_errors, n_warnings) = (report.n_errors, report.n_warnings);
        println!("{symbol}: {} rows, {n_errors} errors, {n_warnings} warnings", report.n_rows);
        assert_clean(&report);
    }
}

/// Recorded ticks of the real feed, as a folder of `SYMBOL.csv.gz`, if one is named.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_ticks_raise_no_error() {
    let Some(recorded) = std::env::var_os("TITAN_RECORDED_TICKS") else {
        println!("skipped: name a folder of recorded ticks in TITAN_RECORDED_TICKS");
        return;
    };
    let mut n_files = 0;
    for entry in fs::read_dir(recorded).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(symbol) = name.strip_suffix(".csv.gz") else { continue };
        let csv = Command::new("gzip").args(["-dc"]).arg(&path).output().unwrap().stdout;
        let replay = Replay::read(symbol.parse().unwrap(), BufReader::new(&csv[..])).unwrap();
        let (first, last) = (first_epoch(&csv), last_epoch(&csv));
        let config = SimulatorConfig {
            clock: SimClock::frozen(last.plus(3600)),
            replays: vec![replay],
            ..quiet_config(last)
        };
        let exchange = Exchange::open(config).await;
        let folder = tempfile::tempdir().unwrap();
        let window = Window::Range { start: first, end: Some(last.plus(1)) };
        download(&exchange, folder.path(), symbol, window).await;
        let report = deeply(folder.path());
        report.all_findings().for_each(|finding| println!("{finding}"));
        assert_eq!(report.n_errors, 0, "{symbol}");
        let gaps: u64 = report.partitions.iter().map(|p| p.gaps.len() as u64).sum();
        println!("{symbol}: {} rows, {gaps} gaps, {} warnings", report.n_rows, report.n_warnings);
        n_files += 1;
    }
    assert!(n_files > 0, "the folder holds no recording");
}

fn first_epoch(csv: &[u8]) -> Epoch {
    epoch_of(csv.split(|byte| *byte == b'\n').nth(1).unwrap())
}

fn last_epoch(csv: &[u8]) -> Epoch {
    epoch_of(csv.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap())
}

fn epoch_of(line: &[u8]) -> Epoch {
    let text = std::str::from_utf8(line).unwrap();
    Epoch::new(text.split(',').next().unwrap().parse().unwrap())
}

/// The script of the documents, with which anybody can recompute the hash.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_script_recomputes_the_hashes() {
    let Some(mut python) = python_with(&["pyarrow"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rows_sha256.py");
    let mut text = String::new();
    File::open(&script).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.lines().count() <= 20, "it is to be short");
    let exchange = Exchange::open(quiet_config(epoch(NOW))).await;
    let folder = tempfile::tempdir().unwrap();
    let start = epoch("2026-03-31T21:00:00Z");
    let window = Window::Range { start, end: Some(start.plus(6 * 3600)) };
    download(&exchange, folder.path(), "R_100", window).await;
    let files: Vec<_> = [Kind::Ticks, MINUTES]
        .into_iter()
        .flat_map(|kind| parquet_files(folder.path(), &series("R_100", kind)))
        .collect();
    assert_eq!(files.len(), 4);
    python.arg(&script).args(&files);
    let mut run = || python.output().unwrap();
    let ran = run();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 4, "{said}");
    // A promise that is not kept is noticed.
    let sidecar = files[0].with_extension("metadata.json");
    let text = fs::read_to_string(&sidecar).unwrap();
    let hash = text.find("\"rows_sha256\": \"").unwrap() + 16;
    let other = if text.as_bytes()[hash] == b'0' { "1" } else { "0" };
    fs::write(&sidecar, format!("{}{other}{}", &text[..hash], &text[hash + 1..])).unwrap();
    assert!(!run().status.success());
}

/// A part of an archive says of its partitions what the whole says, and all parts say all.
#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_an_archive_are_the_whole() {
    use titan_download::integrity::ArchivePart;
    let exchange = Exchange::open(quiet_config(epoch(NOW))).await;
    let folder = tempfile::tempdir().unwrap();
    let start = epoch("2026-03-31T23:00:00Z");
    let window = Window::Range { start, end: Some(start.plus(2 * 3600)) };
    download(&exchange, folder.path(), "R_100", window).await;
    download(&exchange, folder.path(), "BOOM500", window).await;
    let part = |n: u32| {
        let sample = ArchivePart::new(n, 3);
        verify(folder.path(), &VerifyOptions { sample, ..VerifyOptions::default() }).partitions
    };
    let mut parts: Vec<_> = (1..=3).flat_map(part).collect();
    parts.sort_by(|a, b| a.path.cmp(&b.path));
    let mut whole = verify(folder.path(), &VerifyOptions::default()).partitions;
    whole.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(whole.len(), 8);
    assert_eq!(parts, whole);
    assert!((1..=3).all(|n| part(n).len() < 8));
    let root = folder.path().to_str().unwrap();
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["verify", "--deep", "--sample", "auto/1", root]).expect(0);
    assert!(ran.stdout.contains("candles against ticks: 240 bars, 240 equal, 0 "), "{ran:?}");
    let json = sandbox.run(&["verify", "--deep", "--json", "-s", "R_100", root]).expect(0).json();
    assert_eq!(json["report"]["partitions"].as_array().unwrap().len(), 4);
    assert_eq!(json["report"]["partitions"][1]["against_ticks"]["equal"], 60, "{json}");
    sandbox.run(&["verify", "--fast", "--deep", root]).expect(2);
    sandbox.run(&["verify", "--sample", "4/3", root]).expect(2);
    // `--fast` reads no row, so it cannot see that one changed; it sees that a footer did.
    let path = parquet_files(folder.path(), &series("R_100", MINUTES)).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let fast = || {
        let options = VerifyOptions { depth: Depth::Fast, ..VerifyOptions::default() };
        verify(folder.path(), &options)
    };
    assert_eq!(fast().n_errors, 0);
    bytes.truncate(bytes.len() - 1);
    fs::write(&path, &bytes).unwrap();
    let kinds: Vec<_> = fast().all_findings().map(|finding| finding.kind).collect();
    assert!(kinds.contains(&FindingKind::Unreadable), "{kinds:?}");
}

/// A file at which the Parquet library panics is named like any other that is damaged, and nobody
/// reads of a line in a library.
#[test]
fn a_file_that_the_library_panics_at_is_named_without_its_words() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let range = ["--start-date", "2026-03-09", "--end-date", "2026-03-10", "--kind", "candles"];
    let place = ["--symbol", "R_100", "--endpoint", &server.url, "--output", "data", "--quiet"];
    sandbox.run(&[range.as_slice(), &place].concat()).expect(0);
    let path = sandbox.path("data/R_100/candles_60/2026-03.parquet");
    let whole = fs::read(&path).unwrap();
    let options = VerifyOptions { threads: 1, ..VerifyOptions::default() };
    let gives_up = |at: usize| {
        let mut bytes = whole.clone();
        // The sign of a number: an offset before the file, say.
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let report = verify(&sandbox.path("data"), &options);
        report.all_findings().any(|finding| finding.found.contains("gave up"))
    };
    // What stands at the end of the file says how to read it.
    let end = whole.len() - 3000..whole.len();
    assert!(end.rev().any(gives_up), "the library never panics any more");

    for command in [["verify"].as_slice(), &["report", "--html", "page.html"]] {
        let ran = sandbox.run(&[command, &["--output", "data"]].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.contains("gave up") || ran.stderr.contains("gave up"), "{ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
    let ran = sandbox.run(&[range.as_slice(), &place].concat());
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}
