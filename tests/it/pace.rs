//! Two real processes and one budget.

use serde_json::Value;

use crate::process::{Sandbox, Server};

/// At 1,200 a minute asking starts with one request in 100 ms, for both together.
const STEP_MICROS: u64 = 100_000;

#[test]
fn two_processes_share_one_budget() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let download = |symbol: &'static str, output: &'static str| {
        let what = ["--symbol", symbol, "--kind", "candles", "--output", output];
        let range = ["--start-date", "2026-02-01", "--end-date", "2026-02-21"];
        let pace = ["--rate", "1200", "--share-pace", "--state-dir", "state"];
        let place = ["--endpoint", server.url.as_str()];
        sandbox.start(&[what.as_slice(), &range, &pace, &place].concat())
    };
    let processes = [download("R_100", "one"), download("R_50", "other")];
    for process in processes {
        process.end().expect(0);
    }
    let log = server.end();
    let counted: Vec<&Value> = log.iter().filter(|call| call["call"] != "time").collect();
    let counted: Vec<&Value> = counted.into_iter().filter(|call| call["call"] != "ping").collect();
    let refused = counted.iter().filter(|call| call["outcome"] == "RateLimit").count();
    assert_eq!(refused, 0);
    let at: Vec<u64> = counted
        .iter()
        .map(|call| (call["received_after_secs"].as_f64().unwrap() * 1e6) as u64)
        .collect();
    assert!(at.len() >= 2 * 29, "{} requests", at.len());

    // Each alone would ask 20 times in two seconds, and both without knowing of each other 40
    // times. The rate has grown by a tenth at most when they are done.
    let in_two_secs = at
        .iter()
        .map(|from| at.iter().filter(|at| (*from..from + 20 * STEP_MICROS).contains(*at)).count());
    let busiest = in_two_secs.max().unwrap();
    assert!(busiest <= 26, "{busiest} requests in two seconds: {at:?}");
    let took = at.last().unwrap() - at[0];
    let least = (at.len() as u64 - 1) * STEP_MICROS * 85 / 100;
    assert!(took >= least, "{} requests in {took} µs", at.len());
    let files = std::fs::read_dir(sandbox.path("state/pace")).unwrap().count();
    assert_eq!(files, 1, "one address, one file");
}
