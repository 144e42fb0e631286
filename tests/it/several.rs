//! Several symbols in one run: what fails for one of them leaves the others alone.

use std::fs;

use titan_download::domain::{Granularity, Kind};

use crate::process::{Sandbox, Server};
use crate::support::{all_rows, series};

const TWO_DAYS: &str = "start-date = 2026-03-01\nend-date = 2026-03-03\n";

const BARS: Kind = Kind::Candles(Granularity::MINUTE);

fn config(jobs: &str) -> String {
    format!(
        "output = \"data\"\nrate = \"unlimited\"\nkind = \"candles\"\nretries = 2\n{TWO_DAYS}{jobs}"
    )
}

fn n_rows(sandbox: &Sandbox, symbol: &str) -> usize {
    all_rows(&sandbox.path("data"), &series(symbol, BARS)).len()
}

/// A symbol that does not exist, one that another run holds, one whose folder is a file, one whose
/// history begins nobody knows where, one whose time is to come: two others are whole.
#[test]
fn one_that_fails_does_not_stop_the_others() {
    // Where the history of one of them would have to begin, the exchange is broken for good.
    let broken = "internal_error=1751328000..1751414400"; // 2025-07-01
    let server = Server::start(&["--fault", broken]);
    let hanging = Server::start(&["--fault", "hang=1"]);
    let sandbox = Sandbox::new();
    let held = config("symbol = \"R_50\"\n");
    fs::write(sandbox.path("held.toml"), held).unwrap();
    let mut other =
        sandbox.start(&["--config", "held.toml", "--endpoint", &hanging.url, "--timeout", "10m"]);
    other.until_locked(&sandbox, "R_50");
    fs::write(sandbox.path("data/R_25"), "no folder").unwrap();

    let jobs = "[[series]]\nsymbol = [\"R_100\", \"R_10O\", \"R_50\", \"R_25\", \"R_10\"]\n\
                [[series]]\nsymbol = \"R_75\"\nstart-date = 2025-07-01\nend-date = 2025-07-02\n\
                [[series]]\nsymbol = \"frxEURUSD\"\nend-date = 2026-04-01\nstart-date = 2026-03-01\n";
    fs::write(sandbox.path("titan.toml"), config(jobs)).unwrap();
    let ran = sandbox.run(&["--endpoint", &server.url, "--json"]).expect(1);
    let json = ran.json();
    assert_eq!((n_rows(&sandbox, "R_100"), n_rows(&sandbox, "R_10")), (2_880, 2_880));
    let reasons = |key: &str| {
        let list = json[key].as_array().unwrap();
        list.iter().map(|one| format!("{}: {}", one["symbol"], one["reason"])).collect::<Vec<_>>()
    };
    let (failed, held) = (reasons("failed_series"), reasons("held_series"));
    assert_eq!((failed.len(), held.len()), (4, 1), "{failed:#?} {held:#?}");
    for (symbol, why) in [
        ("R_10O", "did you mean `R_10"),
        ("R_25", "Not a directory"),
        ("R_75", "how far back its history reaches"),
        ("frxEURUSD", "is later than the source's present time"),
    ] {
        let is_said = |reason: &&String| reason.contains(symbol) && reason.contains(why);
        assert!(failed.iter().any(|reason| is_said(&reason)), "{symbol}: {failed:#?}");
        assert!(ran.stderr.contains(symbol), "{symbol}: {}", ran.stderr);
    }
    assert!(held[0].contains("R_50"), "{held:?}");
    other.signal("KILL");
    assert_eq!(other.end().code, None);
}

/// 75 and 2 only if no series at all could start.
#[test]
fn without_any_series_it_cannot_start() {
    let server = Server::start(&[]);
    let hanging = Server::start(&["--fault", "hang=1"]);
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("titan.toml"), config("")).unwrap();
    let line = |symbols: &'static str| ["--endpoint", &server.url, "--symbol", symbols];
    let mut other = sandbox.start(&["--symbol", "R_50,R_25", "--endpoint", &hanging.url]);
    for symbol in ["R_50", "R_25"] {
        other.until_locked(&sandbox, symbol);
    }
    let ran = sandbox.run(&line("R_50,R_25")).expect(75);
    assert!(ran.stderr.contains("hint: wait for the other run"), "{}", ran.stderr);
    let ran = sandbox.run(&line("R_50,R_10O")).expect(2);
    assert!(ran.stderr.contains("held by process"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean"), "{}", ran.stderr);
    sandbox.run(&line("R_10O,R_11O")).expect(2);
    sandbox.run(&line("R_100,R_25")).expect(1);
    assert_eq!(n_rows(&sandbox, "R_100"), 2_880);
    other.signal("KILL");
    assert_eq!(other.end().code, None);
}

/// The lock of one series cannot be taken: its file is a folder.
#[test]
fn a_lock_that_cannot_be_taken_leaves_the_others_alone() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("titan.toml"), config("")).unwrap();
    fs::create_dir_all(sandbox.path("data/.titan/locks/R_50.candles_60.lock")).unwrap();
    let line = |symbols: &'static str| ["--endpoint", &server.url, "--symbol", symbols];
    let ran = sandbox.run(&line("R_50,R_100")).expect(1);
    assert!(ran.stderr.contains("R_50") && ran.stderr.contains(".lock"), "{}", ran.stderr);
    assert_eq!(n_rows(&sandbox, "R_100"), 2_880);
    sandbox.run(&line("R_50")).expect(2);
}
