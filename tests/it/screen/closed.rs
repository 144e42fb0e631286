//! Terminals that are closed under a run.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;

use super::tty;
use crate::cli::{STAGED, TWENTY_DAYS, assert_goes_on, assert_whole, in_small_steps, stuck_server};
use crate::process::{Running, Sandbox, Server, n_segments};

/// Starts a run on a terminal of its own, by `starter`, and closes that once enough is staged.
fn closed_in_the_middle(sandbox: &Sandbox, starter: &[&str], server: &Server) -> Running {
    let session = ["setsid", "--ctty"];
    let arguments = in_small_steps(&server.url, TWENTY_DAYS);
    let command = sandbox.command_by(&[starter, &session].concat(), &arguments);
    let (mut terminal, child) = tty::spawn(command, 80);
    let mut bytes = [0; 4096];
    while n_segments(&sandbox.path("data")) < STAGED {
        assert_ne!(terminal.read(&mut bytes).unwrap(), 0, "it ended before enough was staged");
    }
    Running::of(child)
}

/// The kernel tells who works on a terminal that it is closed, and then takes nothing more for it.
#[test]
fn a_terminal_that_is_closed_ends_a_run_in_good_order() {
    let sandbox = Sandbox::new();
    // Whoever runs the tests may have them ignore this signal.
    let starter = ["env", "--default-signal=HUP"];
    closed_in_the_middle(&sandbox, &starter, &stuck_server()).end().expect(129);
    let note = fs::read_to_string(sandbox.path("data/.titan/last-run.json")).unwrap();
    assert!(note.contains("\"hung_up\""), "{note}");
    assert_goes_on(&sandbox);
}

/// As after `disown` or under `nohup`: nobody looks any more, and the run goes on to its end.
#[test]
fn a_run_that_ignores_it_goes_on_without_its_terminal() {
    let server = Server::start(&["--latency", "150ms"]);
    let sandbox = Sandbox::new();
    let starter = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];
    closed_in_the_middle(&sandbox, &starter, &server).end().expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, TWENTY_DAYS);
}
