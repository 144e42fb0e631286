//! `status` and `explain` with the real binary, on archives of the simulated exchange.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::process::{Ran, Sandbox, Server};

/// Three days of minute candles of `R_100`, from a source that stands still on 2026-03-10.
fn archive() -> Sandbox {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    download(&sandbox, &server.url, "R_100", "candles", "2026-03-01", "2026-03-04").expect(0);
    sandbox
}

fn download(sandbox: &Sandbox, url: &str, symbol: &str, kind: &str, from: &str, to: &str) -> Ran {
    let what = ["--symbol", symbol, "--kind", kind, "--start-date", from, "--end-date", to];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited", "--quiet"];
    // Up to the last second of a day that has just ended.
    sandbox.run(&[what.as_slice(), &place, &["--tail-lag", "0s"]].concat())
}

fn status(sandbox: &Sandbox, options: &[&str]) -> Ran {
    sandbox.run(&[&["status", "--output", "data"], options].concat())
}

/// Explains offline, and changes nothing by it.
fn explain(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let before = sandbox.content();
    let ran = sandbox.run(&[&["explain", "--output", "data"], options].concat());
    assert!(sandbox.content() == before, "{options:?} changed something");
    ran
}

fn sidecar(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("data/R_100/candles_60/2026-03.metadata.json")
}

fn parquet(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("data/R_100/candles_60/2026-03.parquet")
}

#[track_caller]
fn assert_says(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.stdout.contains(part), "no `{part}` in\n{}\n{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn status_shows_how_far_each_series_is_proved() {
    let sandbox = archive();
    let before = sandbox.content();
    let ran = status(&sandbox, &[]).expect(0);
    assert_says(&ran, &["1 series, 1 month, 4,320 rows", "through 2026-03-04T00:00:00Z"]);
    assert_says(&ran, &["2026-03  ###xxxx", "# full", "x missing", "4,320  "]);
    assert!(!ran.stdout.contains('\u{1b}'), "no colour into a pipe");
    let json = status(&sandbox, &["--json"]).expect(0).json();
    let series = &json["series"][0];
    assert_eq!((&series["symbol"], &series["granularity"]), (&"R_100".into(), &60.into()));
    assert_eq!(series["watermark"], 1_772_582_400);
    assert_eq!(series["rows"], 4_320);
    let march = series["calendar"]["2026-03"].as_str().unwrap();
    assert!(march.starts_with("###x") && march.len() == 31, "{march}");
    assert_eq!(json["required"], Value::Null);
    assert!(sandbox.content() == before, "looking changes nothing");

    // The same facts lie in a file for readers of JSON alone.
    let file = fs::read(sandbox.path("data/.titan/watermark.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let facts = file["series"]["R_100/candles_60"].as_object().unwrap();
    for (key, value) in facts {
        assert_eq!(series[key], *value, "{key}");
    }
    let said: Value = serde_json::from_slice(&fs::read(sidecar(&sandbox)).unwrap()).unwrap();
    let created = said["created_at"].as_str().unwrap().replace("+00:00", "Z");
    assert_eq!(file["updated_at"], created, "the clock is that of the source");
}

#[test]
fn a_requirement_of_time_is_met_or_not() {
    let sandbox = archive();
    let check = |through: &str, code: i32, part: &str| {
        let ran = status(&sandbox, &["--require-through", through]).expect(code);
        assert_says(&ran, &[part]);
    };
    check("2026-03-04", 0, "proved as far as required");
    check("2026-03-04T00:00:00Z", 0, "proved as far as required");
    check("1772582400", 0, "proved as far as required");
    let short = "R_100 candles 60s is proved through 2026-03-04T00:00:00Z, and not through";
    check("2026-03-04T00:00:01Z", 1, short);
    check("15m", 1, "ago, and not 15m 00s");
    let quiet = status(&sandbox, &["--quiet", "--require-through", "2026-03-04"]).expect(0);
    assert_eq!(quiet.stdout, "");
    let json = status(&sandbox, &["--json", "--require-through", "2026-04-01"]).expect(1).json();
    assert_eq!(json["required"]["proved_as_required"], false);
    assert_eq!(json["required"]["shortfalls"][0]["what"], "R_100 candles 60s");
    assert_eq!(json["exit_code"], 1);
}

/// `--demo` is the exchange whose clock is that of this machine.
#[test]
fn a_requirement_of_age_is_met_by_a_fresh_download() {
    let sandbox = Sandbox::new();
    let what = ["--demo", "--symbol", "R_100", "--test", "--kind", "candles", "--output", "data"];
    sandbox.run(&what).expect(0);
    status(&sandbox, &["--require-through", "1h"]).expect(0);
    let ran = status(&sandbox, &["--require-through", "1s"]).expect(1);
    assert_says(&ran, &["ago, and not 1.0s"]);
}

#[test]
fn a_requirement_fails_closed() {
    let sandbox = archive();
    let gate = ["--require-through", "2026-03-02"];
    let with = |options: &[&str]| status(&sandbox, &[options, &gate].concat());
    with(&[]).expect(0);
    assert_says(&with(&["--symbol", "R_10O"]).expect(1), &["R_10O holds no data"]);
    assert_says(&with(&["--symbol", "R_100,R_50"]).expect(1), &["R_50 holds no data"]);
    assert_says(&with(&["--kind", "ticks"]).expect(1), &["the archive holds no data"]);
    let hour = ["--symbol", "R_100", "--granularity", "60,3600"];
    assert_says(&with(&hour).expect(1), &["R_100 candles 3600s holds no data"]);
    // Without a requirement it is a name that nothing bears.
    let ran = status(&sandbox, &["--symbol", "R_10O"]).expect(2);
    assert!(ran.stderr.contains("`data` holds nothing of `R_10O`"), "{}", ran.stderr);

    let (sidecar, parquet) = (sidecar(&sandbox), parquet(&sandbox));
    let (said, rows) = (fs::read(&sidecar).unwrap(), fs::read(&parquet).unwrap());
    let spoiled = |part: &str| {
        assert_says(&with(&[]).expect(1), &["cannot be relied on in 2026-03", part]);
        status(&sandbox, &[]).expect(0);
        fs::write(&sidecar, &said).unwrap();
        fs::write(&parquet, &rows).unwrap();
        with(&[]).expect(0);
    };
    fs::remove_file(&sidecar).unwrap();
    spoiled("its sidecar is missing");
    fs::write(&sidecar, "{ \"schema_version\"").unwrap();
    spoiled("its sidecar is unusable");
    fs::write(&sidecar, []).unwrap();
    spoiled("its sidecar is unusable");
    fs::remove_file(&parquet).unwrap();
    spoiled("its Parquet file is missing");
    fs::write(&parquet, &rows[..rows.len() - 1]).unwrap();
    spoiled("bytes, its sidecar says");
    let other = String::from_utf8(said.clone()).unwrap().replace("R_100", "R_50");
    fs::write(&sidecar, other).unwrap();
    spoiled("describes another partition");

    let empty = Sandbox::new();
    fs::create_dir(empty.path("data")).unwrap();
    status(&empty, &gate).expect(2);
    fs::create_dir(empty.path("data/.titan")).unwrap();
    let ran = status(&empty, &gate).expect(1);
    assert_says(&ran, &["the archive holds no data"]);
    status(&empty, &[]).expect(0);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let sandbox = archive();
    let check = |arguments: &[&str], part: &str| {
        let before = sandbox.content();
        let ran = sandbox.run(arguments).expect(2);
        assert!(ran.stderr.contains(part), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: ") && ran.stdout.is_empty(), "{arguments:?}");
        assert!(sandbox.content() == before, "{arguments:?}");
    };
    check(&["status", "nowhere"], "cannot read the folder `nowhere`");
    check(
        &["status", "--output", "data", "--require-through", "soon"],
        "neither an age nor a time",
    );
    check(&["status", "--output", "data", "--symbol", "../../etc"], "is not a symbol");
    check(&["status", "--output", "data", "--granularity", "61"], "no candles of `61` seconds");
    let explain = |second: &str, part: &str| check(&["explain", "--output", "data", second], part);
    explain("../../etc@2026-03-01", "`../../etc` is no series");
    explain("R_100/../../etc@2026-03-01", "is no series");
    explain("R_100", "it names no time");
    explain("R_100@1969-12-31T23:59:59Z", "is before 1970");
    explain("R_100@9999-01-01", "is after the year 9998");
    explain("R_100@yesterday", "is not a time");
    explain("R_10O@2026-03-01", "the archive holds nothing of R_10O");
    explain("R_100/ticks@2026-03-01", "the archive holds nothing of R_100 ticks");
    check(&["explain", "--output", "nowhere", "R_100@0"], "cannot read the folder `nowhere`");
}

#[test]
fn explain_tells_rows_from_what_nobody_asked_for() {
    let sandbox = archive();
    let second = "R_100@2026-03-02T12:00:05Z";
    let ran = explain(&sandbox, &[second]).expect(0);
    assert_says(&ran, &["R_100 candles 60s: open ", " at 2026-03-02T12:00:00Z\n"]);
    assert_says(&ran, &["60 s earlier", "60 s later", "2026-03-02 has 1,440 rows, which hash to"]);
    assert_says(&ran, &["R_100/candles_60/2026-03.parquet, row group 1 of 1, 4,320 rows, open"]);
    let json = explain(&sandbox, &[second, "--json"]).expect(0).json();
    assert_eq!((&json["verdict"], &json["row"]["epoch"]), (&"row".into(), &1_772_452_800.into()));
    let truth = sandbox.truth("2026-03-02", "2026-03-03");
    let price = |value: &Value| value.as_f64().unwrap().to_string();
    let prices: Vec<_> = json["row"]["prices"].as_array().unwrap().iter().map(price).collect();
    assert_eq!(truth[&1_772_452_800], prices);

    let later = explain(&sandbox, &["R_100/candles_60@2026-03-06"]).expect(0);
    assert_says(&later, &["nothing is known of 2026-03-06T00:00:00Z; nobody asked for it"]);
    assert_says(&later, &["2d 00h earlier", "never asked"]);
    let other_month = explain(&sandbox, &["R_100@2026-05-01"]).expect(0);
    assert_says(&other_month, &["nobody asked for it", "2026-05.parquet is not there"]);

    // Nothing else of the file is looked at, so only what is spoiled here is noticed.
    let mut said = fs::read_to_string(sidecar(&sandbox)).unwrap();
    said = said.replacen("\"record_count\": 4320", "\"record_count\": 4319", 1);
    fs::write(sidecar(&sandbox), said).unwrap();
    let ran = explain(&sandbox, &[second]).expect(1);
    assert_says(&ran, &["contradicts itself", "sidecar and footer promise different rows"]);
}

/// Ticks of a forex pair from Friday to Monday: a row, the hole between two rows, the week-end.
#[test]
fn explain_knows_a_closed_weekend() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    download(&sandbox, &server.url, "frxEURUSD", "ticks,candles", "2026-03-06", "2026-03-10")
        .expect(0);
    let ran = explain(&sandbox, &["frxEURUSD@2026-03-07T12:00:00Z"]).expect(0);
    assert_says(&ran, &["frxEURUSD ticks: no tick at 2026-03-07T12:00:00Z; the market was closed"]);
    assert_says(&ran, &["coverage   answered", "2026-03-07 has no row, as the footer says"]);
    let json = explain(&sandbox, &["frxEURUSD@2026-03-07T12:00:00Z", "--json"]).expect(0).json();
    let before = json["before"]["epoch"].as_i64().unwrap();
    let row = explain(&sandbox, &[&format!("frxEURUSD@{before}"), "--json"]).expect(0).json();
    assert_eq!(row["verdict"], "row");
    // The candle around the tick holds its price.
    let candle = &row["candles"][0]["prices"];
    let (price, high, low) = (&row["row"]["prices"][0], &candle[1], &candle[2]);
    assert!(low.as_f64() <= price.as_f64() && price.as_f64() <= high.as_f64(), "{row}");
    let calendar = status(&sandbox, &["--kind", "ticks"]).expect(0);
    assert_says(&calendar, &["2026-03  xxxxx#c", "c market closed"]);
    // The week-end counts as proved.
    status(&sandbox, &["--require-through", "2026-03-10"]).expect(0);
}

#[test]
fn explain_knows_what_failed_and_what_is_behind_the_wall() {
    let server = Server::start(&["--history-days", "5"]);
    let sandbox = Sandbox::new();
    download(&sandbox, &server.url, "R_100", "candles", "2026-03-01", "2026-03-10").expect(0);
    let ran = explain(&sandbox, &["R_100@2026-03-02T12:00:00Z"]).expect(0);
    // One look believes no end of the history: the seconds stay open questions.
    assert_says(&ran, &["nothing is known of 2026-03-02T12:00:00Z"]);
    status(&sandbox, &["--require-through", "2026-03-10"]).expect(0);

    // A source that answers nonsense leaves what was asked for as failed.
    let nonsense = Server::start(&["--fault", "unsorted=1"]);
    let sandbox = archive();
    let what = ["--symbol", "R_100", "--kind", "candles", "--retries", "1", "--quiet"];
    let range = ["--start-date", "2026-03-04", "--end-date", "2026-03-05"];
    let place = ["--endpoint", &nonsense.url, "--output", "data", "--rate", "unlimited"];
    sandbox.run(&[what.as_slice(), &range, &place].concat()).expect(1);
    let ran = explain(&sandbox, &["R_100@2026-03-04T12:00:00Z"]).expect(0);
    assert_says(
        &ran,
        &["every attempt to ask for 2026-03-04T00:00:00Z to 2026-03-05T00:00:00Z failed"],
    );
    let ran = status(&sandbox, &["--require-through", "2026-03-05"]).expect(1);
    assert_says(&ran, &["and not through 2026-03-05T00:00:00Z; every attempt to ask for"]);
}
