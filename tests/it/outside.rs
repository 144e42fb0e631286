//! `symbols` and `doctor` as a user runs them.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::Value;

use crate::process::*;

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn set(words: &str) -> BTreeSet<&str> {
    words.split_whitespace().collect()
}

/// The text without the port, which is another one each time.
fn without_port(text: &str, url: &str) -> String {
    text.replace(url.split('/').nth(2).unwrap(), "HOST")
}

#[test]
fn symbols_are_listed_filtered_and_marked() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let place = ["--endpoint", server.url.as_str(), "--output", "data"];
    let symbols = |arguments: &[&str]| {
        let line = [["symbols"].as_slice(), arguments, &place].concat();
        sandbox.run(&line)
    };
    let shown = symbols(&["--market", "Forex"]).expect(0).stdout;
    insta::assert_snapshot!(without_port(&shown, &server.url));

    let json = symbols(&["VOLATILITY 1", "--json"]).expect(0).json();
    assert_eq!(
        keys(&json),
        set("command session exit_code error endpoint api server_now offered symbols")
    );
    let first = &json["symbols"][0];
    assert_eq!(
        keys(first),
        set("symbol name market submarket pip_size open exchange_is_open trading_suspended \
             interval_secs interval_from held")
    );
    let names: Vec<_> = json["symbols"].as_array().unwrap().iter().map(|s| &s["symbol"]).collect();
    assert_eq!(names, ["1HZ10V", "1HZ15V", "1HZ100V", "1HZ150V", "R_10", "R_100"]);
    assert_eq!(
        (&first["interval_from"], &first["held"]),
        (&"usual".into(), &Value::from(Vec::<Value>::new()))
    );

    let none = symbols(&["no such thing"]).expect(1);
    assert!(none.stdout.contains("none of "), "{none:?}");
    let wrong = symbols(&["--market", "forx"]).expect(2);
    assert!(wrong.stderr.contains("hint: did you mean `forex`?"), "{}", wrong.stderr);
    let submarket = symbols(&["--submarket", "metals", "--open", "--json"]).expect(0).json();
    assert_eq!(submarket["symbols"].as_array().unwrap().len(), 1);
    assert!(sandbox.content().is_empty());
    let log = server.end();
    let n_lists = log.iter().filter(|call| call["call"] == "active_symbols").count();
    assert_eq!((n_lists, log.len()), (5, 10), "one list and one time for each");
}

#[test]
fn symbols_know_what_the_archive_holds() {
    let server = Server::start(&["--quirk", "no_ping"]);
    let sandbox = Sandbox::new();
    let place = ["--endpoint", server.url.as_str(), "--output", "data"];
    let range = ["--start-date", "2026-03-08", "--end-date", "2026-03-09", "--rate", "unlimited"];
    let download = [["--symbol", "R_100"].as_slice(), &place, &range].concat();
    sandbox.run(&download).expect(0);
    let json = sandbox.run(&[["symbols", "R_100", "--json"].as_slice(), &place].concat());
    let row = json.expect(0).json()["symbols"][0].clone();
    assert_eq!(row["held"], Value::from(vec!["candles_60", "ticks"]));
    assert_eq!((&row["interval_secs"], &row["interval_from"]), (&2.0.into(), &"learned".into()));
}

#[test]
fn the_demo_is_as_assumed_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let line = ["doctor", "--demo", "--output", "data", "--state-dir", "state", "--json"];
    let json = sandbox.run(&line).expect(0).json();
    assert_eq!(
        keys(&json),
        set("command session exit_code error version target endpoint api symbol local_time \
             server_time requests counts probes")
    );
    assert_eq!(keys(&json["probes"][0]), set("group name verdict assumed seen means exchanges"));
    assert_eq!((&json["counts"]["differs"], &json["counts"]["failed"]), (&0.into(), &0.into()));
    assert!(json["requests"].as_u64().unwrap() <= 30);
    let text = sandbox.run(&line[..6]).expect(0).stdout;
    assert!(text.contains("machine") && text.contains("page_cap"), "{text}");
    let quiet = sandbox.run(&[&line[..6], &["--quiet"]].concat()).expect(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let symbols = sandbox.run(&["symbols", "--demo", "R_100"]).expect(0).stdout;
    assert!(symbols.contains("Volatility 100 Index"), "{symbols}");
    assert!(sandbox.content().is_empty(), "{:?}", sandbox.content().keys());
}

#[test]
fn what_differs_is_told_and_the_token_is_not() {
    const TOKEN: &str = "pL4nt3dT0k3n";
    let server = Server::start(&["--quirk", "exclusive_end,never_echoes", "--token", TOKEN]);
    let sandbox = Sandbox::new();
    let line = ["doctor", "--endpoint", &server.legacy_url, "--api", "legacy", "--state-dir", "s"];
    let output = sandbox.command(&line).env("TITAN_TOKEN", TOKEN).output().unwrap();
    let ran = Ran::from(output).expect(1);
    for part in
        ["differs  bounds", "differs  echo_req", "means: ", "differs  clock", "is a bug report"]
    {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let report = [line.as_slice(), &["--json", "-vvv"]].concat();
    let output = sandbox.command(&report).env("TITAN_TOKEN", TOKEN).output().unwrap();
    let report = Ran::from(output).expect(1);
    for text in [&ran.stdout, &ran.stderr, &report.stdout, &report.stderr] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    let differing: BTreeSet<_> = report.json()["probes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|probe| probe["verdict"] == "differs")
        .map(|probe| probe["name"].as_str().unwrap().to_owned())
        .collect();
    // The clock of the exchange stands still in the past.
    assert_eq!(differing, set("bounds clock echo_req").into_iter().map(str::to_owned).collect());
    assert!(server.end().len() <= 60, "30 for each");
}

#[test]
fn a_source_that_is_away_and_bad_options() {
    let sandbox = Sandbox::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}/");
    let ran = sandbox.run(&["doctor", "--endpoint", &url, "--state-dir", "s"]).expect(69);
    assert!(
        ran.stdout.contains("failed   tcp") && ran.stdout.contains("ok       output"),
        "{ran:?}"
    );
    let ran = sandbox.run(&["symbols", "--endpoint", &url]).expect(69);
    assert!(ran.stderr.contains("hint: ") && ran.stdout.is_empty(), "{ran:?}");
    for bad in [
        ["doctor", "--symbol", "../etc"].as_slice(),
        &["doctor", "--endpoint", "http://x"],
        &["symbols", "--api", "v2"],
        &["symbols", "--timeout", "soon"],
        &["simulate", "--quirk", "no_such_quirk"],
    ] {
        let ran = sandbox.run(bad).expect(2);
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("hint: "), "{ran:?}");
    }
    assert!(sandbox.content().is_empty());
}
