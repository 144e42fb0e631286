//! `.env` and the environment with the real binary: what is ours is read to the letter or refused
//! with its place, and what is another program's harms nobody.

use std::fs;

use crate::cli::{TWO_DAYS, assert_refused, candles};
use crate::process::{Ran, Sandbox, Server};

fn print_config(sandbox: &Sandbox) -> Ran {
    sandbox.run(&["--symbol", "R_100", "--print-config"]).expect(0)
}

/// The file of somebody who also runs other programs in this folder, with a mark of Windows.
#[test]
fn an_env_file_that_is_shared_with_other_programs() {
    let sandbox = Sandbox::new();
    let text = "\u{feff}TITAN_OUTPUT=/data/a$b/c\r\nFOO=bar baz\r\nPASSWORD=a!b\"c\r\n\
                TITAN_RATE=\"7\" # slowly\r\nKEY=\"one\ntwo\"\r\nTITAN_STATE_DIR='/s/${HOME} #1'\n";
    fs::write(sandbox.path(".env"), text).unwrap();
    let ran = print_config(&sandbox);
    for part in ["\"/data/a$b/c\"", "rate = 7 ", "\"/s/${HOME} #1\"", "in .env"] {
        assert!(ran.stdout.contains(part), "no {part} in {}", ran.stdout);
    }
    let warning = "`.env` line 2 and 1 more like it passed over";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert!(!ran.stderr.contains("bar") && !ran.stderr.contains("a!b"), "{}", ran.stderr);
}

#[test]
fn a_name_that_no_command_reads_is_refused_wherever_it_stands() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    for line in [&["--symbol", "R_100", "--dry-run"][..], &["verify", "data"], &["status", "data"]]
    {
        let mut command = sandbox.command(line);
        let ran: Ran = command.env("TITAN_DRYRUN", "1").output().unwrap().into();
        let ran = ran.expect(2);
        let said = "there is no variable `TITAN_DRYRUN`; it stands in the environment";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: did you mean `TITAN_DRY_RUN`?"), "{}", ran.stderr);
    }
    fs::write(sandbox.path(".env"), "A=1\nTITAN_SYMBOLS=R_100\n").unwrap();
    let said = ["`TITAN_SYMBOLS`; it stands in `.env` line 2", "did you mean `TITAN_SYMBOL`?"];
    assert_refused(&sandbox, &candles(&server.url, TWO_DAYS), 2, &said);
    fs::write(sandbox.path(".env"), "A=1\n\nTITAN_RATE\n").unwrap();
    let said = ["cannot read `.env` line 3: there is no `=` after the name", "NAME=value"];
    assert_refused(&sandbox, &candles(&server.url, TWO_DAYS), 2, &said);
    // Neither help nor completions care for it.
    sandbox.run(&["completions", "bash"]).expect(0);
}

/// What is set for the main job breaks no other command, and what Kubernetes sets breaks none.
#[test]
fn variables_of_one_command_are_none_of_another() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    for line in [
        "verify data",
        "status data",
        "explain R_100@2026-03-01T12:00:00Z --output data",
        "views data",
    ] {
        let mut command = sandbox.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("TITAN_RATE", "50").env("TITAN_MONTHS", "3").env("TITAN_ENDPOINT", "wss://x/");
        command.env("TITAN_METRICS_FILE", "x.prom").env("TITAN_SPIKE_THRESHOLD", "20");
        command.env("TITAN_SERVICE_HOST", "10.0.0.1").env("TITAN_PORT", "tcp://10.0.0.1:80");
        let ran: Ran = command.output().unwrap().into();
        ran.expect(0);
    }
}
