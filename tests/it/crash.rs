//! The real binary, killed for good at every step it takes on disk and at moments that chance
//! chooses: the next run loses nothing and hardly asks anything twice.
//!
//! A binary built for tests writes each step into a file, and stands still at one of them for the
//! `SIGKILL` to come. With `TITAN_LONG_TESTS=1` every step is tried, and many more moments.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};

use serde_json::Value;
use titan_download::domain::{Granularity, Kind, Series};

use crate::process::{Ran, Running, Sandbox, Server};
use crate::support::{Rows, assert_same_rows, parquet_files, rows_of, series};

/// A download of one series.
#[derive(Debug, Clone, Copy)]
struct Job {
    kind: &'static str,
    start: &'static str,
    end: &'static str,
    /// Rows of a page and of a segment.
    page: usize,
    chunk: usize,
}

const IN_FLIGHT: usize = 2;

/// Extends a month and publishes the next; what is published [`before`](Job::before) is its first day.
const SMALL: Job =
    Job { kind: "candles", start: "2026-02-26", end: "2026-03-02", page: 500, chunk: 500 };
/// The same with some sixty pages.
const LARGER: Job = Job { start: "2026-02-14", end: "2026-03-08", ..SMALL };
const TICKS: Job =
    Job { kind: "ticks", start: "2026-02-28", end: "2026-03-02", page: 1000, chunk: 4000 };

impl Job {
    fn series(self) -> Series {
        let is_ticks = self.kind == "ticks";
        series("R_100", if is_ticks { Kind::Ticks } else { Kind::Candles(Granularity::MINUTE) })
    }

    fn truth(self) -> Rows {
        let kind = if self.kind == "ticks" { "" } else { "--granularity 60" };
        Sandbox::new().truth_of(kind, self.start, self.end)
    }

    fn arguments(self, url: &str, end: &str) -> Vec<String> {
        let Self { kind, start, chunk, .. } = self;
        let line = format!(
            "--symbol R_100 --kind {kind} --start-date {start} --end-date {end} --endpoint {url} \
             --output data --rate unlimited --chunk-rows {chunk} --concurrency {IN_FLIGHT}"
        );
        line.split_whitespace().map(str::to_owned).collect()
    }
}

fn is_long() -> bool {
    std::env::var("TITAN_LONG_TESTS").is_ok_and(|value| value == "1")
}

/// One archive, one exchange, and whoever works on them.
struct Scene {
    job: Job,
    sandbox: Sandbox,
    server: Server,
}

impl Scene {
    fn new(job: Job) -> Self {
        let server = Server::start(&["--page-cap", &job.page.to_string()]);
        let scene = Self { job, sandbox: Sandbox::new(), server };
        if job.kind == "candles" {
            let first_day =
                format!("{}{:02}", &job.start[..8], job.start[8..].parse::<u32>().unwrap() + 1);
            scene.run(&first_day).expect(0);
        }
        scene
    }

    fn run(&self, end: &str) -> Ran {
        let arguments = self.job.arguments(&self.server.url, end);
        self.sandbox.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn root(&self) -> PathBuf {
        self.sandbox.path("data")
    }

    fn steps(&self) -> Vec<String> {
        let text = fs::read_to_string(self.sandbox.path("steps")).unwrap_or_default();
        // What has no end is still being written.
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    /// Starts the job; it stands still before step `stop_at`.
    fn start(&self, stop_at: usize) -> Running {
        let _ = fs::remove_file(self.sandbox.path("steps"));
        let arguments = self.job.arguments(&self.server.url, self.job.end);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = self.sandbox.command(&arguments);
        command.env("TITAN_TEST_STEPS", format!("{stop_at}:steps"));
        Running::from(command.spawn().unwrap())
    }

    /// Kills the job when it has begun step `n`; tells the step, or nothing if it ended before.
    fn kill_at(&self, n: usize, stands_still: bool) -> Option<String> {
        let mut run = self.start(if stands_still { n } else { usize::MAX });
        let is_there = run.until_or_end(|| self.steps().len() >= n);
        if is_there {
            run.signal("KILL");
        }
        let ran = run.end();
        assert!(matches!(ran.code, None | Some(0)), "{ran:?}");
        if ran.code.is_some() { None } else { self.steps().pop() }
    }

    /// Rows that a reader finds now; each file is whole.
    fn published(&self) -> Rows {
        parquet_files(&self.root(), &self.job.series())
            .iter()
            .flat_map(|path| rows_of(path))
            .collect()
    }

    /// First and last second of each segment that is staged.
    fn staged(&self) -> Vec<(i64, i64)> {
        let names = self.sandbox.content().into_keys();
        let segments = names.filter(|path| path.extension().is_some_and(|end| end == "segment"));
        let range = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let mut bounds = name.split('-').map(|bound| bound.parse::<i64>().unwrap());
            (bounds.next().unwrap(), bounds.next().unwrap() - 1)
        };
        segments.map(range).collect()
    }

    /// The next run completes it; returns what it asked again.
    fn complete(self, truth: &Rows, told: &str) -> AskedAgain {
        let (published, staged) = (self.published(), self.staged());
        let ran = self.run(self.job.end);
        assert_eq!(ran.code, Some(0), "{told}: {ran:?}");
        let root = self.root();
        assert_same_rows(&self.published(), truth);
        let verified = self.sandbox.run(&["verify", root.to_str().unwrap()]);
        assert_eq!(verified.code, Some(0), "{told}: {verified:?}");
        assert_nothing_left(&root, told);
        let again = AskedAgain::of(&self.server.end(), &published, &staged, truth);
        // Where two questions meet, both answers hold the same row; and the last minute before
        // what is missing is asked again, for a record that came late.
        let overlap = if self.job.kind == "ticks" { 32 } else { 2 };
        let at_most = overlap * (staged.len() + 1);
        assert!(again.published <= overlap, "{told}: {again:?}");
        assert!(again.staged <= at_most, "{told}: {again:?}, {} staged", staged.len());
        again
    }
}

/// No draft, no announcement, nothing staged, nothing in quarantine.
fn assert_nothing_left(root: &Path, told: &str) {
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.to_str().unwrap();
            let is_left = ["/.titan/staging/", "/.titan/quarantine/", ".titan-tmp"];
            let is_left = is_left.iter().any(|part| name.contains(part));
            assert!(!is_left, "{told}: `{name}` is left");
        }
    }
}

/// Rows that the last run was answered with although they were known.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AskedAgain {
    /// By the answers of any run before.
    answered: usize,
    /// By the segments that were staged when the run before was killed.
    staged: usize,
    /// By the files that were published then.
    published: usize,
}

impl AskedAgain {
    fn of(log: &[Value], published: &Rows, staged: &[(i64, i64)], truth: &Rows) -> Self {
        let last = log.last().unwrap()["connection"].clone();
        let asked = |is_last: bool| -> BTreeSet<i64> {
            let pages = log.iter().filter(|call| call["call"] == "ticks_history");
            let pages = pages.filter(|call| (call["connection"] == last) == is_last);
            let answered = pages.filter_map(|call| {
                Some((call["start"].as_i64()?, call["end"].as_i64()?, call["rows"].as_u64()?))
            });
            // The newest rows of the window were in the answer.
            let rows = answered.flat_map(|(start, end, n)| {
                truth.range(start..=end).rev().take(n as usize).map(|(epoch, _)| *epoch)
            });
            rows.collect()
        };
        let (before, again) = (asked(false), asked(true));
        let is_staged =
            |epoch: &&i64| staged.iter().any(|(start, end)| (start..=end).contains(epoch));
        Self {
            answered: again.intersection(&before).count(),
            staged: again.iter().filter(is_staged).count(),
            published: again.iter().filter(|epoch| published.contains_key(epoch)).count(),
        }
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the long form tells its figures")]
fn killed_before_any_step_the_next_run_loses_nothing() {
    let truth = SMALL.truth();
    let stride = if is_long() { 1 } else { 11 };
    let mut kills = 0;
    for n in (1..).step_by(stride) {
        let scene = Scene::new(SMALL);
        let Some(step) = scene.kill_at(n, true) else { break };
        kills += 1;
        let told = format!("killed before step {n}, {}", step.trim_end());
        let again = scene.complete(&truth, &told);
        println!("{told}: {again:?}");
    }
    println!("{kills} kills");
    assert!(kills * stride > 90, "a run takes more steps than that: {kills}");
}

/// Kills at moments that chance chooses, several on one archive.
#[allow(clippy::print_stdout, reason = "the long form tells its figures")]
fn killed_at_any_moment(job: Job, seeds: std::ops::Range<u64>, kills_each: usize) {
    let truth = job.truth();
    let mut all = Vec::new();
    let mut kills = 0;
    for seed in seeds {
        let scene = Scene::new(job);
        let mut moments = Vec::new();
        for kill in 0..kills_each {
            let n = 1 + BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, kill)) % 150;
            kills += usize::from(scene.kill_at(n as usize, false).is_some());
            // Whatever a reader finds now is whole, and true.
            for (epoch, row) in scene.published() {
                assert_eq!(truth.get(&epoch), Some(&row), "seed {seed}, {kill}");
            }
            moments.push(n);
        }
        let told = format!("seed {seed}, killed after steps {moments:?}");
        let again = scene.complete(&truth, &told);
        println!("{told}: {again:?}");
        all.push(again.answered);
    }
    all.sort_unstable();
    println!("{kills} kills; rows answered again: {all:?}");
    // Writes under way, at most four; rows on their way to them for two months; pages in flight.
    let at_most = kills_each * ((4 + 2) * job.chunk + IN_FLIGHT * job.page + 4);
    assert!(all.last() <= Some(&at_most), "{all:?}, more than {at_most}");
    assert!(kills > 0);
}

#[test]
#[allow(clippy::print_stdout, reason = "the long form tells its figures")]
fn killed_at_any_moment_the_next_run_loses_nothing() {
    killed_at_any_moment(LARGER, 0..if is_long() { 30 } else { 2 }, 3);
}

#[test]
#[allow(clippy::print_stdout, reason = "the long form tells its figures")]
fn killed_at_any_moment_the_next_run_loses_no_tick() {
    killed_at_any_moment(TICKS, 0..if is_long() { 10 } else { 1 }, 2);
}
