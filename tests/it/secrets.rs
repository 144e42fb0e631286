//! A token that was planted in every way it may come is found nowhere: neither in what is printed,
//! nor in any file, nor in the command line that other users see.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::cli::{TWO_DAYS, candles};
use crate::process::{Ran, Sandbox, Server};

const TOKEN: &str = "pL4nt3dT0k3n";

/// How the token reaches the program.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Environment,
    EnvFile,
    TokenFile,
    /// Beside the token, as the one-time password of an address.
    Query,
}

const WAYS: [Way; 4] = [Way::Environment, Way::EnvFile, Way::TokenFile, Way::Query];

impl Way {
    /// Plants the token and starts the command.
    fn start(self, sandbox: &Sandbox, arguments: &[&str]) -> crate::process::Running {
        let mut command = sandbox.command(arguments);
        let private = |name: &str, content: String| {
            fs::write(sandbox.path(name), content).unwrap();
            fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        };
        match self {
            Self::Environment => drop(command.env("TITAN_TOKEN", TOKEN)),
            Self::EnvFile => private(".env", format!("TITAN_TOKEN={TOKEN}\n")),
            Self::TokenFile => {
                private("planted", format!("{TOKEN}\n"));
                command.args(["--token-file", "planted"]);
            }
            Self::Query => {
                let at = arguments.iter().position(|word| *word == "--endpoint").unwrap();
                let mut words: Vec<_> = arguments.to_vec();
                words.drain(at..at + 2);
                let separator = if arguments[at + 1].contains('?') { '&' } else { '?' };
                let url = format!("{}{separator}otp={TOKEN}", arguments[at + 1]);
                command = sandbox.command(&words);
                command.env("TITAN_ENDPOINT", url).env("TITAN_TOKEN", TOKEN);
            }
        }
        crate::process::Running::of(command.spawn().unwrap())
    }
}

/// Looks through everything the run said and left, but for where the token was planted.
#[track_caller]
fn assert_nowhere(sandbox: &Sandbox, ran: &Ran, what: &str) {
    assert!(!ran.stdout.contains(TOKEN), "{what}: stdout\n{}", ran.stdout);
    assert!(!ran.stderr.contains(TOKEN), "{what}: stderr\n{}", ran.stderr);
    for (path, bytes) in sandbox.content() {
        let is_planted = path.ends_with("planted") || path.ends_with(".env");
        let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
        assert!(is_planted || !text.contains(TOKEN), "{what}: {}", path.display());
        assert!(!path.to_string_lossy().contains(TOKEN), "{what}: {}", path.display());
    }
}

/// Everything that can be said is said.
fn loud<'a>(url: &'a str, api: &'a str, format: &'a str) -> Vec<&'a str> {
    let mut arguments = candles(url, TWO_DAYS);
    // The state folder is written only if there is a budget to share.
    let unlimited = arguments.iter_mut().find(|word| **word == "unlimited").unwrap();
    *unlimited = "100000";
    arguments.extend(["--share-pace", "--state-dir", "state"]);
    arguments.extend(["--api", api, "-vvvv", "--log-format", format]);
    arguments
}

/// The refusing exchange repeats the token in the text of its refusal.
#[test]
fn a_planted_token_is_found_nowhere() {
    for (accepted, code) in [(TOKEN, 0), ("an0therT0ken", 2)] {
        let server = Server::start(&["--token", accepted]);
        for way in WAYS {
            let sandbox = Sandbox::new();
            let arguments = loud(&server.legacy_url, "legacy", "text");
            let ran = way.start(&sandbox, &arguments).end().expect(code);
            let what = format!("{way:?} on legacy");
            assert!(ran.stderr.contains("TRACE") || ran.stderr.contains("DEBUG"), "{what}");
            assert_nowhere(&sandbox, &ran, &what);
            if code == 2 {
                assert!(ran.stderr.contains("<secret>"), "{what}: {}", ran.stderr);
            }
        }
        let log = server.end();
        assert!(log.iter().any(|call| call["call"] == "authorize"), "the token was never used");
    }
}

/// v1 knows no tokens: it is not even sent.
#[test]
fn a_token_that_is_not_asked_for_is_not_sent() {
    let server = Server::start(&[]);
    for (way, format) in WAYS.into_iter().zip(["text", "json", "text", "json"]) {
        let sandbox = Sandbox::new();
        let mut arguments = loud(&server.url, "v1", format);
        arguments.push("--json");
        let ran = way.start(&sandbox, &arguments).end().expect(0);
        assert_nowhere(&sandbox, &ran, &format!("{way:?} on v1"));
    }
    assert!(server.end().iter().all(|call| call["call"] != "authorize"));
}

/// Other users read command lines.
#[cfg(target_os = "linux")]
#[test]
fn a_token_is_in_no_command_line() {
    let hanging = Server::start(&["--fault", "hang=1"]);
    for way in WAYS {
        let sandbox = Sandbox::new();
        let mut arguments = candles(&hanging.legacy_url, TWO_DAYS);
        arguments.extend(["--api", "legacy"]);
        let mut run = way.start(&sandbox, &arguments);
        run.until("it works", || sandbox.path("data/.titan/locks/R_100.candles_60.lock").exists());
        let line = fs::read(format!("/proc/{}/cmdline", run.pid())).unwrap();
        assert!(!String::from_utf8_lossy(&line).contains(TOKEN), "{way:?}");
        run.signal("INT");
        let ran = run.end().expect(130);
        assert_nowhere(&sandbox, &ran, &format!("{way:?}, interrupted"));
    }
}

/// Who types it where it does not belong does not find it in the log of the terminal's neighbours.
#[test]
fn a_token_in_a_wrong_place_is_not_repeated() {
    let sandbox = Sandbox::new();
    let in_address = format!("wss://me:{TOKEN}@host/?token={TOKEN}");
    let plain = format!("ws://192.0.2.1/?token={TOKEN}");
    for arguments in [
        ["--token", TOKEN],
        ["--token-file", TOKEN],
        ["--endpoint", &in_address],
        ["--endpoint", &plain],
    ] {
        for format in ["text", "json"] {
            let more = ["-s", "R_100", "-vvvv", "--json", "--log-format", format];
            let ran = sandbox.run(&[&arguments, more.as_slice()].concat()).expect(2);
            assert_nowhere(&sandbox, &ran, arguments[0]);
        }
    }
    let glued = format!("--token={TOKEN}");
    assert_nowhere(&sandbox, &sandbox.run(&[&glued]).expect(2), "--token=");
    for broken in [format!("TITAN_TOKEN='{TOKEN}\n"), format!("TITAN_TOKEN={TOKEN}\0\n")] {
        fs::write(sandbox.path(".env"), broken).unwrap();
        assert_nowhere(&sandbox, &sandbox.run(&["-s", "R_100"]).expect(2), "a broken .env");
    }
}

/// Others that can read `.env` are told of, once, and nothing else is.
#[test]
fn a_token_that_others_can_read_is_warned_of() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    fs::write(sandbox.path(".env"), format!("TITAN_TOKEN={TOKEN}\n")).unwrap();
    for (mode, warns) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(sandbox.path(".env"), fs::Permissions::from_mode(mode)).unwrap();
        let ran = sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
        assert_eq!(ran.stderr.contains("chmod 600 .env"), warns, "{}", ran.stderr);
        assert_nowhere(&sandbox, &ran, "a warning");
    }
}
