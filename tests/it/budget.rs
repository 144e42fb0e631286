//! A run's own budget of requests and time: never more, nothing lost, and what is left is named.

use std::fs;

use serde_json::Value;

use crate::cli::{TWENTY_DAYS, TWO_DAYS, assert_whole, candles, in_small_steps};
use crate::process::{Sandbox, Server};

const FILE: &str = "data/R_100/candles_60/2026-02.parquet";

/// What counts against the budget of the source.
fn n_counted(log: &[Value]) -> usize {
    log.iter()
        .filter(|call| call["call"] == "ticks_history" || call["call"] == "active_symbols")
        .count()
}

/// A download of twenty days with small segments, so that each answer is on disk at once.
fn twenty_days<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [in_small_steps(url, TWENTY_DAYS).as_slice(), more].concat()
}

#[test]
fn two_runs_with_a_budget_make_the_archive_of_one() {
    let whole = Sandbox::new();
    let server = Server::start(&[]);
    whole.run(&twenty_days(&server.url, &[])).expect(0);
    drop(server);

    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let budget = ["--max-requests", "20", "--json"];
    let json = sandbox.run(&twenty_days(&server.url, &budget)).expect(3).json();
    assert_eq!((&json["ending"], &json["exit_code"]), (&"budget_spent".into(), &3.into()));
    assert!(json["ending_reason"].as_str().unwrap().contains("20 requests"), "{json}");
    assert_eq!(json["requests"], 20);
    let left = &json["not_reached"][0];
    assert_eq!((&left["symbol"], &left["month"]), (&"R_100".into(), &"2026-02".into()));
    assert!(left["ranges"].as_array().is_some_and(|ranges| !ranges.is_empty()), "{json}");
    // Honest: it neither holds everything nor what is staged.
    let secs = |range: &Value| range["end"].as_i64().unwrap() - range["start"].as_i64().unwrap();
    let n_left: i64 = left["ranges"].as_array().unwrap().iter().map(secs).sum();
    assert!(0 < n_left && n_left < 20 * 86_400, "{json}");
    assert_eq!(n_counted(&server.end()), 20, "never more than allowed");
    assert!(!sandbox.path(FILE).exists());

    let server = Server::start(&[]);
    let json = sandbox.run(&twenty_days(&server.url, &["--json"])).expect(0).json();
    assert_eq!(json["not_reached"], Value::Array(Vec::new()));
    // What was staged is not asked again: a page is 1000 minutes.
    let n_pages_left = usize::try_from(n_left).unwrap().div_ceil(60_000);
    assert!(n_counted(&server.end()) <= n_pages_left + 4, "{n_left} s were left");
    assert_whole(&sandbox.path("data"), &sandbox, TWENTY_DAYS);
    assert!(fs::read(sandbox.path(FILE)).unwrap() == fs::read(whole.path(FILE)).unwrap());
}

#[test]
fn a_run_that_ends_exactly_at_its_budget_is_whole() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let json = sandbox.run(&twenty_days(&server.url, &["--json"])).expect(0).json();
    let needed = json["requests"].as_u64().unwrap();
    for (budget, code) in [(needed, 0), (needed - 1, 3)] {
        let sandbox = Sandbox::new();
        let budget = budget.to_string();
        sandbox.run(&twenty_days(&server.url, &["--max-requests", &budget])).expect(code);
    }
}

#[test]
fn a_budget_that_is_too_small_to_begin_names_everything() {
    let sandbox = Sandbox::new();
    let few = Server::start(&[]);
    for budget in ["1", "2"] {
        let ran = sandbox.run(&twenty_days(&few.url, &["--max-requests", budget])).expect(2);
        assert!(ran.stderr.contains("hint: write at least 3"), "{}", ran.stderr);
    }
    assert_eq!(few.end().len(), 0, "the source was asked");
    // History begins inside the range, which takes more than one request to find out.
    let server = Server::start(&["--history-days", "25"]);
    for budget in ["3", "4"] {
        let sandbox = Sandbox::new();
        let ran = sandbox.run(&twenty_days(&server.url, &["--max-requests", budget])).expect(3);
        let said = "R_100 candles 60s 2026-02: 2026-02-01T00:00:00Z to 2026-02-21T00:00:00Z";
        assert!(ran.stdout.contains("not reached") && ran.stdout.contains(said), "{}", ran.stdout);
        assert!(ran.stderr.contains("its own budget"), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("--max-requests"));
    }
}

#[test]
fn a_month_that_is_covered_is_published_though_the_next_is_not() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let arguments = candles(&server.url, ["2026-02-01", "2026-03-03"]);
    let budget = ["--max-requests", "20", "--concurrency", "1"];
    let ran = sandbox.run(&[arguments.as_slice(), &budget].concat()).expect(3);
    assert!(sandbox.path("data/R_100/candles_60/2026-03.metadata.json").exists(), "{ran:?}");
    let left = "R_100 candles 60s 2026-02: ";
    assert!(ran.stdout.contains(left), "{}", ran.stdout);
    assert!(!ran.stdout.contains("60s 2026-03: "), "{}", ran.stdout);
    sandbox.run(&["verify", "data"]).expect(0);
    sandbox.run(&arguments).expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, ["2026-02-01", "2026-03-03"]);
}

/// Without the limit each of these would go on for a minute and longer.
#[test]
fn no_wait_outlasts_the_time() {
    let check = |options: &[&str], arguments: &[&str]| {
        let server = Server::start(options);
        let sandbox = Sandbox::new();
        let time = ["--max-duration", "1s500ms"];
        let all = [candles(&server.url, TWENTY_DAYS).as_slice(), &time, arguments].concat();
        let ran = sandbox.run(&all).expect(3);
        assert!(ran.stdout.contains("not reached"), "{options:?} {ran:?}");
        assert!(ran.stderr.contains("the run's own time of 1.5 s is used up"), "{ran:?}");
    };
    check(&["--fault", "hang=1"], &[]);
    check(&["--hidden-limit", "5"], &[]);
}

#[test]
fn bad_budgets_are_refused() {
    let sandbox = Sandbox::new();
    for (option, value) in [("--max-requests", "0"), ("--max-duration", "5")] {
        let arguments =
            [candles("ws://127.0.0.1:1/", TWO_DAYS).as_slice(), &[option, value]].concat();
        let ran = sandbox.run(&arguments).expect(2);
        assert!(ran.stderr.contains(&format!("cannot read `{option}`")), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: write a"), "{}", ran.stderr);
    }
    assert!(!sandbox.path("data").exists());
}

/// Answers that only wait in the staging are real prices too.
#[test]
fn invented_prices_never_come_among_staged_ones() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    sandbox.run(&twenty_days(&server.url, &["--max-requests", "20"])).expect(3);
    assert!(!sandbox.path(FILE).exists());
    let demo = ["--demo", "--symbol", "R_100", "--kind", "candles", "--test", "--output", "data"];
    let ran = sandbox.run(&demo).expect(2);
    assert!(ran.stderr.contains("holds real prices"), "{}", ran.stderr);
}
