//! The real binary against windows that stay poisoned and tokens that end: exit codes, what is
//! said, and what the next run does about it.

use titan_download::domain::{Granularity, Kind};

use crate::process::{Ran, Sandbox, Server, n_pages};
use crate::support::{all_rows, assert_same_rows, series};

const TWO_DAYS: [&str; 2] = ["2026-03-01", "2026-03-03"];

/// A minute in the middle of the second day, in epochs.
const POISONED: &str = "1772452800..1772452860";

fn command<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let what = ["--symbol", "R_100", "--kind", "candles", "--retries", "1", "--rate", "unlimited"];
    let range = ["--start-date", TWO_DAYS[0], "--end-date", TWO_DAYS[1]];
    [&what[..], &range, &["--endpoint", url, "--output", "data"], more].concat()
}

/// A window that fails for good is `failed`; the run goes on, exits 1, and the next one asks it
/// again, and nothing else.
#[test]
fn a_poisoned_window_costs_only_itself_and_is_asked_again() {
    let sandbox = Sandbox::new();
    let poisoned = Server::start(&["--fault", &format!("zero_price={POISONED}")]);
    let ran = sandbox.run(&command(&poisoned.url, &["--json"])).expect(1);
    let report = ran.json();
    assert_eq!(report["complete"], false);
    assert!(report["thrown_away"]["bad_price"].as_u64() >= Some(2), "{report}");
    assert!(report["rows"].as_u64() > Some(0), "{report}");
    poisoned.end();
    // Neither is an incomplete archive called broken: what is there is right.
    let minutes = series("R_100", Kind::Candles(Granularity::MINUTE));
    let truth = sandbox.truth(TWO_DAYS[0], TWO_DAYS[1]);
    let kept = all_rows(&sandbox.path("data"), &minutes);
    assert!(kept.len() < truth.len() && kept.iter().all(|(epoch, row)| truth[epoch] == *row));

    let clean = Server::start(&[]);
    sandbox.run(&command(&clean.url, &[])).expect(0);
    assert_same_rows(&all_rows(&sandbox.path("data"), &minutes), &truth);
    let log = clean.end();
    assert!(n_pages(&log) <= 4, "{} pages for the one that had failed", n_pages(&log));
}

#[track_caller]
fn assert_token_is_named(ran: &Ran, token: &str) {
    assert!(ran.stderr.contains("TITAN_TOKEN"), "{}", ran.stderr);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(token), "{}", ran.stderr);
}

/// A refused token ends the run before it starts, one that expires in the middle ends it at once;
/// both say what to look at, and neither is tried again and again.
#[test]
fn tokens_that_are_refused_or_expire_end_the_run() {
    const TOKEN: &str = "a1pretendedToken";
    for (fault, code) in
        [("refuse_token=1".to_owned(), 2), (format!("token_expired={POISONED}"), 69)]
    {
        let server = Server::start(&["--fault", &fault]);
        let sandbox = Sandbox::new();
        let more = ["--api", "legacy"];
        let mut command = sandbox.command(&command(&server.legacy_url, &more));
        let ran: Ran = command.env("TITAN_TOKEN", TOKEN).output().unwrap().into();
        let ran = ran.expect(code);
        assert_token_is_named(&ran, TOKEN);
        let log = server.end();
        let expired = log.iter().filter(|call| call["outcome"] == "fault:token_expired").count();
        assert!(expired <= 4, "asked {expired} times with a token that has expired");
        let logins = log.iter().filter(|call| call["call"] == "authorize").count();
        assert_eq!(logins, 1, "{fault}");
    }
}

/// What a server says can neither steer a terminal nor end a line.
#[test]
fn hostile_text_is_made_harmless() {
    let server = Server::start(&["--fault", &format!("hostile_error={POISONED}")]);
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&command(&server.url, &["--verbose"])).expect(1);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("\\u{1b}[2J"), "{said}");
    let harmful = said.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(harmful, None, "{said:?}");
}
