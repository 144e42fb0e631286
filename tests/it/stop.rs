//! Signals end a run by themselves, whatever it waits for, also for a disk that does not answer.
//!
//! A named pipe stands for such a disk: the program waits at a step of its store until somebody
//! writes. Nothing here measures time; a process that did not end would keep its test waiting.
#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use titan_download::domain::{Granularity, Kind, StoreError};
use titan_download::download::{DownloadError, Ending, PartitionOutcome, Window};

use crate::cli::{TWENTY_DAYS, TWO_DAYS, assert_whole, candles};
use crate::process::{Running, Sandbox, Server};
use crate::support::{self, Exchange, Setup, assert_same_rows, epoch, quiet_config};

#[cfg(debug_assertions)]
const STAGING: &str = "data/.titan/staging/R_100/candles_60/2026-02";

/// Starts a run whose store waits for the pipe at the first step that holds `text`.
#[cfg(debug_assertions)]
fn held_up(sandbox: &Sandbox, arguments: &[&str], text: &str, pipe: &Path) -> Running {
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let mut command = sandbox.command(arguments);
    command.env("TITAN_TEST_STEPS", format!("{text}@{}", pipe.display()));
    Running::of(command.spawn().unwrap())
}

/// The first step of a publish: its draft appears beside the month.
#[cfg(debug_assertions)]
const PUBLISH: &str = "Create(\"data/R_100/candles_60/";

/// Waits until the command reads from the pipe, and keeps it waiting as long as the result lives.
#[cfg(debug_assertions)]
fn held_at(run: &mut Running, pipe: &Path) -> File {
    const O_NONBLOCK: i32 = 0o4000;
    let open = || OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(pipe).ok();
    let held = std::cell::Cell::new(None);
    run.until("it reads the pipe", || {
        held.set(open());
        let file = held.take();
        let is_open = file.is_some();
        held.set(file);
        is_open
    });
    held.take().unwrap()
}

#[cfg(debug_assertions)]
#[test]
fn a_publish_that_the_disk_holds_up_is_left() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let server = Server::start(&[]);
        let sandbox = Sandbox::new();
        let small = ["--chunk-rows", "1000", "--concurrency", "2"];
        let arguments = [candles(&server.url, TWENTY_DAYS).as_slice(), &small].concat();
        let pipe = sandbox.path("pipe");
        let mut run = held_up(&sandbox, &arguments, PUBLISH, &pipe);
        let held = held_at(&mut run, &pipe);
        run.signal(signal);
        run.end().expect(code);
        drop(held);
        assert!(support::parquet_files(&sandbox.path("data"), &series()).is_empty());
        sandbox.run(&arguments).expect(0);
        assert_whole(&sandbox.path("data"), &sandbox, TWENTY_DAYS);
    }
}

/// Segments rot between their answers and their publish: the run that was given the answers notices
/// it, and asks for them again before it ends.
#[cfg(debug_assertions)]
#[test]
fn staged_rows_that_rot_before_their_publish_are_asked_again_by_the_same_run() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let small = ["--chunk-rows", "1000", "--concurrency", "2", "--json"];
    let arguments = [candles(&server.url, TWENTY_DAYS).as_slice(), &small].concat();
    let pipe = sandbox.path("pipe");
    let mut run = held_up(&sandbox, &arguments, PUBLISH, &pipe);
    let held = held_at(&mut run, &pipe);
    // The publish has looked at the headers of all of them.
    let entries = fs::read_dir(sandbox.path(STAGING)).unwrap().map(|entry| entry.unwrap().path());
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "segment");
    let rotten: Vec<_> = entries.filter(is_segment).take(2).collect();
    assert_eq!(rotten.len(), 2);
    for path in &rotten {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
    drop(held);
    let json = run.end().expect(0).json();
    let findings = json["partitions"].to_string();
    for path in rotten {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(findings.contains(name), "{name}: {findings}");
    }
    assert_eq!(json["rows_new"], json["rows"], "{json}");
    assert_whole(&sandbox.path("data"), &sandbox, TWENTY_DAYS);
}

/// What is no segment is set aside by the first look, which the disk holds up.
#[cfg(debug_assertions)]
#[test]
fn a_look_at_the_archive_that_the_disk_holds_up_is_left() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path(STAGING)).unwrap();
    fs::write(sandbox.path(STAGING).join("z.segment"), "no segment").unwrap();
    let pipe = sandbox.path("pipe");
    let mut run = held_up(&sandbox, &candles(&server.url, TWENTY_DAYS), "z.segment", &pipe);
    let held = held_at(&mut run, &pipe);
    run.signal("TERM");
    run.end().expect(143);
    drop(held);
}

/// A file of 64 GiB, all of it hole, takes longer to hash than any test runs.
#[test]
fn a_check_is_left() {
    let server = Server::start(&[]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
        let file = sandbox.path("data/R_100/candles_60/2026-03.parquet");
        OpenOptions::new().write(true).open(&file).unwrap().set_len(64 << 30).unwrap();
        let mut run = sandbox.start(&["verify", "data"]);
        let open_files = format!("/proc/{}/fd", run.pid());
        run.until("it reads the file", || {
            let files = fs::read_dir(&open_files).into_iter().flatten().flatten();
            files.into_iter().any(|open| fs::read_link(open.path()).is_ok_and(|to| to == file))
        });
        run.signal(signal);
        let ran = run.end().expect(code);
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("hint: nothing was changed"), "{}", ran.stderr);
    }
}

/// Starts with stderr in a file and waits until it says `text`.
fn waiting_at(sandbox: &Sandbox, arguments: &[&str], text: &str) -> Running {
    let said = sandbox.path("stderr.txt");
    let mut command = sandbox.command(arguments);
    let mut run = Running::of(command.stderr(File::create(&said).unwrap()).spawn().unwrap());
    run.until(text, || fs::read_to_string(&said).unwrap().contains(text));
    run
}

#[test]
fn a_pause_after_a_refusal_is_left() {
    // The list of symbols is one request; the first page is refused.
    let server = Server::start(&["--hidden-limit", "1"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        let run = waiting_at(&sandbox, &candles(&server.url, TWO_DAYS), "asked too often");
        run.signal(signal);
        run.end().expect(code);
    }
}

#[test]
fn the_wait_for_a_source_that_is_away_is_left() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}/");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        let mut arguments = candles(&url, TWO_DAYS);
        arguments.extend(["--breaker-threshold", "1"]);
        let run = waiting_at(&sandbox, &arguments, "the source does not answer, waiting");
        run.signal(signal);
        run.end().expect(code);
        assert!(!sandbox.path("data").exists(), "nothing was begun");
    }
}

#[test]
fn a_connection_that_never_comes_up_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&candles(&url, TWO_DAYS));
    let run = Running::of(command.stderr(Stdio::null()).spawn().unwrap());
    // Accepted, and never answered.
    let connection = listener.accept().unwrap();
    run.signal("TERM");
    run.end().expect(143);
    drop(connection);
}

fn series() -> titan_download::domain::Series {
    support::series("R_100", Kind::Candles(Granularity::MINUTE))
}

/// The store asks again and again whether the run is ending. Whenever it hears so for the first
/// time, the run is over in good order, and the next one asks for nothing twice.
#[tokio::test]
async fn whenever_the_store_hears_of_the_end_nothing_is_lost() {
    let exchange = Exchange::open(quiet_config(epoch("2026-03-10T00:00:00Z"))).await;
    let range =
        |end: &str| Window::Range { start: epoch("2026-02-01T00:00:00Z"), end: Some(epoch(end)) };
    let (mut n_stopped, mut n_staged) = (0, 0);
    for at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let first = Setup { chunk_rows: 1000, ..Setup::default() };
        exchange
            .download(dir.path(), &first, &[series()], range("2026-02-05T00:00:00Z"))
            .await
            .unwrap();
        let before = fs::read(&support::parquet_files(dir.path(), &series())[0]).unwrap();

        let (asked, stop) = (AtomicU64::new(0), first.stop.clone());
        let mut ending = first.clone();
        ending.is_ending = Some(Arc::new(move || {
            if asked.fetch_add(1, Ordering::Relaxed) + 1 >= at {
                stop.cancel();
            }
            stop.is_cancelled()
        }));
        let window = range("2026-02-14T00:00:00Z");
        let ran = exchange.download(dir.path(), &ending, &[series()], window).await;
        match ran {
            Err(DownloadError::Store(StoreError::Stopped)) => n_stopped += 1,
            Err(error) => panic!("{at}: {error:?}"),
            Ok(summary) if summary.ending == Ending::Finished => break,
            Ok(summary) => {
                assert_eq!(summary.ending, Ending::Cancelled, "{at}");
                // A publish that had its file named already is brought to its end.
                if summary.partitions[0].outcome == PartitionOutcome::Staged {
                    let after = fs::read(&support::parquet_files(dir.path(), &series())[0]);
                    assert!(after.unwrap() == before, "{at}: the published file is another one");
                    n_staged += 1;
                }
            }
        }
        let last = Setup { chunk_rows: 1000, ..Setup::default() };
        let summary = exchange.download(dir.path(), &last, &[series()], window).await.unwrap();
        assert!(summary.is_complete(), "{at}: {summary:?}");
        let wanted = summary.partitions[0].wanted;
        assert_same_rows(
            &support::all_rows(dir.path(), &series()),
            &exchange.truth(&series(), wanted),
        );
    }
    assert!(n_stopped > 0 && n_staged > 1, "{n_stopped} {n_staged}");
}
