//! A rehearsal of cron: one line, one configuration file, two nights.

use std::fs;

use serde_json::Value;

use titan_download::domain::{Granularity, Kind, Series};

use crate::process::{Ran, Sandbox, Server};
use crate::record::{metrics, value};
use crate::support::{all_rows, epoch, series};

/// Three symbols, two kinds, two widths. Dates as TOML has them, and as texts.
const CONFIG: &str = "\
output = \"archive\"
metrics-file = \"titan.prom\"
log-file = \"titan.log\"
rate = \"unlimited\"
start-date = 2026-03-06

[[series]]
symbol = \"R_100\"
kind = \"ticks\"
start-date = \"2026-03-09\"

[[series]]
symbol = [\"R_50\", \"frxEURUSD\"]
kind = \"candles\"
granularity = [60, 3600]
";

/// When cron starts it, in the night to Tuesday and in the next one.
const NIGHTS: [&str; 2] = ["2026-03-10T02:17:00Z", "2026-03-11T02:17:00Z"];

/// Before the last night, a night asks at most this much again: the bar of an hour that was still
/// open then, and the one before it.
const OVERLAP_SECS: i64 = 2 * 3_600;

/// A week-end: so much silence may be asked again.
const CLOSED_SECS: i64 = 3 * 86_400;

fn wanted() -> Vec<Series> {
    let hour = Granularity::try_from(3_600).unwrap();
    let bars = [Kind::Candles(Granularity::MINUTE), Kind::Candles(hour)];
    let of = |symbol| bars.map(|kind| series(symbol, kind));
    let ticks = [series("R_100", Kind::Ticks)];
    ticks.into_iter().chain(of("R_50")).chain(of("frxEURUSD")).collect()
}

/// `--tail-lag` as it is without a word.
const TAIL_LAG_SECS: i64 = 15;

/// The line in the crontab; the endpoint is in the environment, as cron would have it.
fn night(sandbox: &Sandbox, now: &str) -> (Ran, Vec<Value>) {
    let server = Server::start_at(&epoch(now).secs().to_string(), &[]);
    let mut command = sandbox.command(&["--config", "titan.toml", "--quiet"]);
    let ran = command.env("TITAN_ENDPOINT", &server.url).output().unwrap().into();
    (ran, server.end())
}

/// Up to `now`, and the bars of whole hours before it.
fn assert_up_to_date(sandbox: &Sandbox, now: &str) {
    let through = format!("{}T02:00:00Z", &now[..10]);
    let ran = sandbox.run(&["status", "--require-through", &through, "--json"]).expect(0);
    assert_eq!(ran.json()["series"].as_array().unwrap().len(), 5, "{}", ran.stdout);
    // What is younger than the tail lag is not asked for yet.
    let settled = epoch(now).plus(-TAIL_LAG_SECS).to_string();
    let ticks = ["status", "--symbol", "R_100", "--require-through", &settled];
    sandbox.run(&ticks).expect(0);
    sandbox.run(&["verify"]).expect(0);
}

/// What other programs look at after a night: every file the operator watches is asserted here.
fn assert_watched_files(sandbox: &Sandbox, now: &str) {
    let text = fs::read_to_string(sandbox.path("archive/.titan/watermark.json")).unwrap();
    let watermarks: Value = serde_json::from_str(&text).unwrap();
    for series in wanted() {
        let name = format!("{}/{}", series.symbol, series.kind.folder());
        let watermark = watermarks["series"][&name]["watermark"].as_i64().expect(&name);
        let width = series.kind.granularity().map_or(1, Granularity::secs);
        let lag = width.max(TAIL_LAG_SECS);
        assert!(epoch(now).secs() - watermark <= lag, "{name}: {watermark}");
        let kind = if series.kind == Kind::Ticks { "ticks" } else { "candles" };
        let bars = series.kind.granularity().map_or(String::new(), |width| width.to_string());
        let labels =
            [("symbol", series.symbol.as_str()), ("kind", kind), ("granularity", bars.as_str())];
        let found = metrics(sandbox);
        assert_eq!(value(&found, "series_up_to_date", &labels), 1.0, "{name}");
        let told = value(&found, "series_watermark_epoch_seconds", &labels);
        assert_eq!(told, watermark as f64, "{name}");
    }
    let found = metrics(sandbox);
    assert_eq!(value(&found, "last_exit_code", &[]), 0.0);
    assert_eq!(value(&found, "last_outcome", &[("outcome", "success")]), 1.0);
    assert_eq!(value(&found, "run_active", &[]), 0.0);
    let text = fs::read_to_string(sandbox.path("archive/.titan/last-run.json")).unwrap();
    let note: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&note["outcome"], &note["exit_code"]), (&"success".into(), &0.into()));
    assert_eq!(note["series"], 5);
    assert_eq!(value(&found, "requests_total", &[]), note["requests"].as_f64().unwrap());
    let n_before = NIGHTS.iter().position(|night| *night == now).unwrap();
    assert_eq!(note["history"].as_array().unwrap().len(), n_before);
    // The log tells what the screen did not.
    let log = fs::read_to_string(sandbox.path("titan.log")).unwrap();
    assert!(log.lines().filter(|line| line.contains("month published")).count() >= 5, "{log}");
}

#[test]
fn two_nights_of_one_line() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("titan.toml"), CONFIG).unwrap();
    let mut n_rows = Vec::new();
    let mut logs = Vec::new();
    for now in NIGHTS {
        let (ran, log) = night(&sandbox, now);
        let ran = ran.expect(0);
        // Only that an archive begins is told.
        let said = if n_rows.is_empty() {
            "`archive` holds no archive: a new one begins there\n"
        } else {
            ""
        };
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", said));
        assert_up_to_date(&sandbox, now);
        assert_watched_files(&sandbox, now);
        let rows = |series: &Series| all_rows(&sandbox.path("archive"), series).len();
        n_rows.push(wanted().iter().map(rows).collect::<Vec<_>>());
        logs.push(log);
    }
    // A day more: ticks every two seconds, bars of a minute and of an hour.
    for (before, after, new) in
        [(0, 1, 43_100..=43_200), (1, 1, 1_440..=1_440), (2, 1, 24..=24), (3, 1, 1_440..=1_440)]
            .map(|(at, night, new)| (n_rows[night - 1][at], n_rows[night][at], new))
    {
        assert!(new.contains(&(after - before)), "{n_rows:?}");
    }
    only_new_pages_are_asked(&logs[1]);
    // One connection and one budget for all of it.
    for log in &logs {
        let connections: std::collections::BTreeSet<_> =
            log.iter().map(|call| call["connection"].to_string()).collect();
        assert_eq!(connections.len(), 1, "{connections:?}");
        assert_eq!(log.iter().filter(|call| call["call"] == "active_symbols").count(), 1);
    }
}

fn only_new_pages_are_asked(log: &[Value]) {
    let history: Vec<_> = log.iter().filter(|call| call["call"] == "ticks_history").collect();
    let oldest = epoch(NIGHTS[0]).secs() - OVERLAP_SECS;
    for call in &history {
        let start = call["start"].as_i64().unwrap();
        // The silence of the week-end is asked again before it is believed.
        let is_forex = call["symbol"] == "frxEURUSD";
        assert!(start >= oldest - if is_forex { CLOSED_SECS } else { 0 }, "{call}");
    }
    // 44 pages of ticks, 2 of minutes and 1 of hours for each of two symbols, and a few heads and
    // silences again.
    assert!((50..=64).contains(&history.len()), "{} pages", history.len());
}

/// The budget of requests is one for all jobs, and the next night goes on from there.
#[test]
fn a_night_that_is_cut_short_goes_on_the_next_night() {
    let sandbox = Sandbox::new();
    let file = CONFIG.replace("output =", "max-requests = 20\noutput =");
    fs::write(sandbox.path("titan.toml"), file).unwrap();
    let (ran, log) = night(&sandbox, NIGHTS[0]);
    assert!(ran.expect(3).stderr.contains("max-requests") || log.len() <= 22);
    assert!(log.iter().filter(|call| call["call"] != "time").count() <= 20);
    fs::write(sandbox.path("titan.toml"), CONFIG).unwrap();
    let (ran, _) = night(&sandbox, NIGHTS[1]);
    ran.expect(0);
    assert_up_to_date(&sandbox, NIGHTS[1]);
}
