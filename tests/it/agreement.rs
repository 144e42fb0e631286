//! One story for each finding: the run, `verify`, `status`, `report`, the gate, the exit code and
//! the metrics say the same of it, whatever kind it is of.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use titan_download::domain::{Finding, FindingKind, FindingState, Month, PartitionKey, Severity};

use crate::process::{Ran, Sandbox, Server};

/// A month of each for every kind, in two series: a page of the report names thirty a series.
const SYMBOLS: [&str; 2] = ["R_100", "R_50"];

/// What was refused or is only a doubt: an error when it is seen first, and a warning afterwards.
const WARNINGS: [&str; 13] = [
    "restatement",
    "conflicting_tick",
    "substituted",
    "not_compared",
    "staging_set_aside",
    "misaligned",
    "candle_shape",
    "off_grid",
    "spike",
    "frozen_run",
    "cadence_change",
    "grid_change",
    "candle_mismatch",
];

struct World {
    sandbox: Sandbox,
    server: Server,
    /// Which month shows which kind.
    places: BTreeMap<PartitionKey, FindingKind>,
    /// Months of each series before those that are downloaded in each round.
    end: Month,
}

fn first_month() -> Month {
    "2022-01".parse().unwrap()
}

impl World {
    fn new() -> Self {
        let per_series = FindingKind::ALL.len().div_ceil(SYMBOLS.len());
        let months: Vec<Month> =
            std::iter::successors(Some(first_month()), |month| Some(month.next()))
                .take(per_series + 1)
                .collect();
        let keys = SYMBOLS.iter().flat_map(|symbol| {
            months[..per_series]
                .iter()
                .map(move |month| format!("{symbol}/candles_86400/{month}").parse().unwrap())
        });
        Self {
            sandbox: Sandbox::new(),
            server: Server::start(&["--history-days", "2000"]),
            places: keys.zip(FindingKind::ALL.iter().copied()).collect(),
            end: months[per_series],
        }
    }

    /// Downloads up to a month that no round before had: a month is published, so that the metrics
    /// are of now.
    fn download(&mut self) -> Ran {
        let (start, end) = (format!("{}-01", first_month()), format!("{}-01", self.end));
        self.end = self.end.next();
        let what = ["--symbol", "R_100,R_50", "--kind", "candles", "--granularity", "86400"];
        let when = ["--start-date", &start, "--end-date", &end, "--rate", "unlimited", "--json"];
        let place =
            ["--endpoint", &self.server.url, "--output", "data", "--metrics-file", "m.prom"];
        self.sandbox.run(&[what.as_slice(), &when, &place].concat())
    }

    fn sidecar(&self, key: &PartitionKey) -> PathBuf {
        let series = &key.series;
        let folder = format!("data/{}/{}", series.symbol, series.kind.folder());
        self.sandbox.path(&format!("{folder}/{}.metadata.json", key.month))
    }

    /// Lets each sidecar say that its kind was found, with this severity and state.
    fn show(&self, severity: Severity, state: FindingState) -> BTreeMap<PartitionKey, Finding> {
        let of = |(key, kind): (&PartitionKey, &FindingKind)| {
            let finding = Finding::error(*kind, key, format!("no {kind}"), "one");
            let finding = finding.in_partition(key).in_state(state);
            let finding = Finding { severity, ..finding };
            let path = self.sidecar(key);
            let mut sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            sidecar["findings"] = json!([finding]);
            fs::write(&path, sidecar.to_string()).unwrap();
            (key.clone(), finding)
        };
        self.places.iter().map(of).collect()
    }
}

fn key_of(partition: &Value) -> PartitionKey {
    let symbol = partition["symbol"].as_str().unwrap();
    format!("{symbol}/candles_86400/{}", partition["month"].as_str().unwrap()).parse().unwrap()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What each of the outputs says of each finding, as the word of its weight; `None` says nothing
/// that matters.
fn told(world: &mut World) -> [(&'static str, BTreeMap<PartitionKey, String>); 4] {
    let verified = world.sandbox.run(&["verify", "data", "--json"]);
    let report = verified.json();
    let mut verify = BTreeMap::new();
    for partition in report["report"]["partitions"].as_array().unwrap() {
        for finding in partition["findings"].as_array().unwrap() {
            verify.insert(
                word(&partition["key"]).parse().unwrap(),
                word(&finding["severity"]).into(),
            );
        }
    }
    assert_eq!(report["sound"], verified.code == Some(0));

    let gate = world.sandbox.run(&["status", "data", "--json", "--require-through", "2022-02-01"]);
    let json = gate.json();
    let mut status = BTreeMap::new();
    for series in json["series"].as_array().unwrap() {
        for partition in series["partitions"].as_array().unwrap() {
            let symbol = word(&series["symbol"]);
            let key = format!("{symbol}/candles_86400/{}", word(&partition["month"]));
            for finding in partition["findings"].as_array().unwrap() {
                status.insert(key.parse().unwrap(), word(&finding["severity"]).to_owned());
            }
        }
    }
    let mut closed = BTreeMap::new();
    for short in json["required"]["shortfalls"].as_array().unwrap() {
        let reason = word(&short["reason"]);
        let month = reason.strip_prefix("is broken in ").expect(reason).split(':').next().unwrap();
        let symbol = word(&short["what"]).split(' ').next().unwrap();
        let key = format!("{symbol}/candles_86400/{month}").parse().unwrap();
        closed.insert(key, "error".to_owned());
    }
    assert_eq!(gate.code, Some(i32::from(!closed.is_empty())), "{gate:?}");

    let ran = world.download();
    let mut run = BTreeMap::new();
    for partition in ran.json()["partitions"].as_array().unwrap() {
        if partition["complete"] == false {
            run.insert(key_of(partition), "error".to_owned());
        }
    }
    assert_eq!(ran.code, Some(i32::from(!run.is_empty())), "{ran:?}");
    [("verify", verify), ("status", status), ("gate", closed), ("run", run)]
}

/// How many findings of each weight the page names, and how many the metrics count.
fn counted(world: &World) -> [(&'static str, BTreeMap<String, usize>); 2] {
    let made = world.sandbox.run(&["report", "data", "--html", "page.html"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let page = fs::read_to_string(world.sandbox.path("page.html")).unwrap();
    let mut named = BTreeMap::new();
    for row in page.split("data-name=\"Severity\"><span class=\"mark\">").skip(1) {
        *named.entry(row.split('<').next().unwrap().to_owned()).or_default() += 1;
    }
    let metrics = fs::read_to_string(world.sandbox.path("m.prom")).unwrap();
    let mut metric = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("titan_download_series_findings{")) {
        let severity = line.split("severity=\"").nth(1).unwrap().split('"').next().unwrap();
        let n: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        *metric.entry(severity.to_owned()).or_default() += n;
    }
    metric.retain(|_, n| *n > 0);
    [("report", named), ("metrics", metric)]
}

#[test]
fn every_output_says_the_same_of_every_kind_of_finding() {
    let mut world = World::new();
    world.download().expect(0);
    for (severity, state) in [
        (Severity::Error, FindingState::Open),
        (Severity::Warning, FindingState::Open),
        (Severity::Error, FindingState::Accepted),
        (Severity::Error, FindingState::Settled),
    ] {
        let shown = world.show(severity, state);
        let weights: BTreeMap<_, _> =
            shown.iter().map(|(key, finding)| (key.clone(), finding.weight())).collect();
        for (key, kind) in &world.places {
            let is_refused = WARNINGS.contains(&kind.word());
            let expected = match (severity, state) {
                (_, FindingState::Accepted | FindingState::Settled) => Severity::Info,
                (Severity::Error, _) if !is_refused => Severity::Error,
                _ => Severity::Warning,
            };
            assert_eq!(weights[key], expected, "{kind}");
        }
        let only = |least: Severity| -> BTreeMap<PartitionKey, String> {
            let worth = weights.iter().filter(|(_, weight)| **weight >= least);
            worth.map(|(key, weight)| (key.clone(), weight.word().to_owned())).collect()
        };
        for (output, said) in told(&mut world) {
            let least = match output {
                "verify" | "status" => Severity::Warning,
                _ => Severity::Error,
            };
            assert_eq!(said, only(least), "{output}, {severity} and {state}");
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        weights
            .values()
            .for_each(|weight| *counts.entry(weight.word().to_owned()).or_default() += 1);
        for (output, said) in counted(&world) {
            assert_eq!(said, counts, "{output}, {severity} and {state}");
        }
    }
}

/// The command between backticks behind `before`.
fn command_behind<'a>(text: &'a str, before: &str) -> &'a str {
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no `{before}` in:\n{text}"));
    rest.split('`').nth(1).unwrap()
}

/// A price that the source changed is news once. From then on each run says in one line that it is
/// open, and with which command it is taken; and that command takes it.
#[test]
fn a_restatement_is_news_once_and_open_until_it_is_taken() {
    let sandbox = Sandbox::new();
    let fixed = [
        "--symbol",
        "R_100",
        "--kind",
        "candles",
        "--granularity",
        "3600",
        "--start-date",
        "2026-02-01",
        "--end-date",
        "2026-03-01",
        "--output",
        "my data",
        "--rate",
        "unlimited",
        "--metrics-file",
        "m.prom",
    ];
    let run = |server: &Server, more: &[&str]| {
        sandbox.run(&[fixed.as_slice(), &["--endpoint", &server.url], more].concat())
    };
    let metric = || {
        let text = fs::read_to_string(sandbox.path("m.prom")).unwrap();
        let line = text.lines().find(|line| line.starts_with("titan_download_open_restatements{"));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    run(&Server::start(&[]), &[]).expect(0);
    assert_eq!(metric(), "0");
    let other = Server::start(&["--seed", "2"]);
    let first = run(&other, &["--no-resume"]).expect(1);
    assert!(first.stdout.contains("error restatement"), "{}", first.stdout);
    assert_eq!(metric(), "672");

    // It is met again, and only looked at from afar.
    for more in [["--no-resume"].as_slice(), &[]] {
        let later = run(&other, more).expect(0);
        let line = "R_100 candles 3600s 2026-02: 672 open restatements; take them with `";
        assert!(later.stdout.contains(line), "{}", later.stdout);
        assert!(!later.stdout.contains("error restatement"), "{}", later.stdout);
        assert_eq!(metric(), "672");
    }
    let verified = sandbox.run(&["verify", "my data"]).expect(0);
    assert!(verified.stdout.contains("warning restatement"), "{}", verified.stdout);
    let status = sandbox.run(&["status", "my data", "--require-through", "2026-03-01"]).expect(0);
    let take = command_behind(&status.stdout, "672 open restatements; take them with ");
    let repaired = sandbox
        .run(&["repair", "my data", "--endpoint", &other.url, "--rate", "unlimited"])
        .expect(0);
    assert!(repaired.stdout.contains("is sound"), "{}", repaired.stdout);

    // As it is printed, in a shell; only where the exchange is has to be said to it.
    let words = take.strip_prefix("titan-download").expect(take);
    let taken =
        sandbox.shell(words, &[("TITAN_ENDPOINT", &other.url), ("TITAN_RATE", "unlimited")]);
    assert_eq!(taken.code, Some(0), "{take}: {taken:?}");
    let again = run(&other, &[]).expect(0);
    assert!(!again.stdout.contains("open restatement"), "{}", again.stdout);
    assert_eq!(metric(), "0");
    let verified = sandbox.run(&["verify", "my data"]).expect(0);
    assert!(!verified.stdout.contains("restatement"), "{}", verified.stdout);
}

/// The source that names the published price again has settled its own restatement.
#[test]
fn a_source_that_takes_its_word_back_settles_the_restatement() {
    let sandbox = Sandbox::new();
    let run = |seed: &str, more: &[&str]| {
        let server = Server::start(&["--seed", seed]);
        let fixed = [
            "--symbol",
            "R_100",
            "--kind",
            "candles",
            "--granularity",
            "3600",
            "--start-date",
            "2026-03-01",
            "--end-date",
            "2026-03-02",
            "--output",
            "data",
            "--rate",
            "unlimited",
            "--endpoint",
            &server.url,
        ];
        sandbox.run(&[fixed.as_slice(), more].concat())
    };
    run("1", &[]).expect(0);
    run("2", &["--no-resume"]).expect(1);
    assert!(run("2", &[]).expect(0).stdout.contains("24 open restatements"));
    run("1", &["--no-resume"]).expect(0);
    assert!(!run("1", &[]).expect(0).stdout.contains("open restatement"));
}
