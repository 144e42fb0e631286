//! The way to the source with the real binary: proxies, certificates that were named, connections
//! that fall silent, and machines that allow few threads.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use titan_download::domain::{Granularity, Kind};
use titan_download::download::Window;
use titan_download::simulator::{Fault, FaultPlan, SimulatorConfig};

use crate::cli::{TWO_DAYS, assert_refused, assert_whole, candles};
use crate::process::{Ran, Running, Sandbox, Server};
use crate::support::{Exchange, Setup, all_rows, assert_same_rows, epoch, quiet_config, series};

/// What a proxy does with a request.
#[derive(Clone, Copy)]
enum Answer {
    Connects(SocketAddr),
    Says(&'static str),
    Hangs,
}

/// A proxy on a free port, and the heads of the requests it gets.
fn proxy(answer: Answer) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heads) = channel();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            if tell.send(String::from_utf8(head).unwrap()).is_err() {
                return;
            }
            match answer {
                Answer::Hangs => held.push(stream),
                Answer::Says(text) => stream.write_all(text.as_bytes()).unwrap(),
                Answer::Connects(target) => {
                    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                    let far = TcpStream::connect(target).unwrap();
                    pipe(stream.try_clone().unwrap(), far.try_clone().unwrap());
                    pipe(far, stream);
                }
            }
        }
    });
    (port, heads)
}

fn pipe(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

/// The address of a server under a name that only a proxy finds.
fn far_url(near: &str) -> (String, SocketAddr) {
    let (host, path) = near.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    (format!("ws://exchange.invalid:8080/{path}"), host.parse().unwrap())
}

/// A download from a far address, with the variables of a proxy.
fn through(sandbox: &Sandbox, line: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = sandbox.command(line);
    command.envs(variables.iter().copied());
    command.output().unwrap().into()
}

const PASSWORD: &str = "pr0xyS3cret";

#[test]
fn a_proxy_carries_a_download_and_its_password_is_nowhere() {
    let server = Server::start(&[]);
    let (url, near) = far_url(&server.url);
    let (port, heads) = proxy(Answer::Connects(near));
    let sandbox = Sandbox::new();
    let mut line = candles(&url, TWO_DAYS);
    line.retain(|word| !["--rate", "unlimited"].contains(word));
    line.extend(["--insecure-ws", "-vvv", "--log-file", "run.log", "--log-file-level", "trace"]);
    let named = format!("http://me:{PASSWORD}@127.0.0.1:{port}");
    let ran = through(&sandbox, &line, &[("ALL_PROXY", &named)]).expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
    let head = heads.recv().unwrap();
    assert!(head.starts_with("CONNECT exchange.invalid:8080 HTTP/1.1\r\n"), "{head}");
    // `me:pr0xyS3cret`
    assert!(head.contains("Proxy-Authorization: Basic bWU6cHIweHlTM2NyZXQ=\r\n"), "{head}");
    for line in [&["--print-config"][..], &["doctor", "--json"], &["doctor"]] {
        let more = ["--endpoint", &url, "--insecure-ws"];
        let ran = through(&sandbox, &[line, &more].concat(), &[("ALL_PROXY", &named)]);
        assert!(!ran.stdout.contains(PASSWORD) && !ran.stderr.contains(PASSWORD), "{ran:?}");
        if line == ["doctor"] {
            let shown = format!("`http://127.0.0.1:{port}` of `ALL_PROXY`");
            assert!(ran.stdout.contains(&shown), "{}", ran.stdout);
        }
    }
    assert!(!ran.stdout.contains(PASSWORD) && !ran.stderr.contains(PASSWORD), "{ran:?}");
    for (path, content) in sandbox.content() {
        let content = content.unwrap_or_default();
        for secret in [PASSWORD, "bWU6cHIweHlTM2NyZXQ="] {
            let is_there = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!is_there, "the password is in {}", path.display());
        }
    }
}

#[test]
fn a_proxy_that_refuses_is_named_and_not_asked_for_ever() {
    let check = |answer, line: &[&str], code: i32, said: &[&str]| {
        let (port, _heads) = proxy(answer);
        let sandbox = Sandbox::new();
        let named = format!("http://me:{PASSWORD}@127.0.0.1:{port}");
        let far = ["--endpoint", "ws://exchange.invalid/x", "--insecure-ws"];
        let ran = through(&sandbox, &[line, &far].concat(), &[("http_proxy", &named)]).expect(code);
        for part in said {
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(all.contains(part), "no `{part}` in {all}");
            assert!(!all.contains(PASSWORD), "{all}");
        }
    };
    let download = ["--symbol", "R_100", "--test", "--output", "data"];
    let symbols = ["symbols"];
    let wrong = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    let hint = "hint: check the proxy that the variable names";
    let told = ["of `http_proxy` refuses the user name and password it was given", hint];
    check(Answer::Says(wrong), &download, 2, &told);
    check(Answer::Says(wrong), &symbols, 2, &told);
    let told = ["`exchange.invalid:80` (HTTP 403)", hint];
    check(Answer::Says("HTTP/1.1 403 Forbidden\r\n\r\n"), &download, 2, &told);
    let doctor = ["doctor", "--timeout", "1s"];
    check(Answer::Hangs, &doctor, 69, &["did not accept a connection within 1 s", "127.0.0.1:"]);
    check(Answer::Says(""), &doctor, 69, &["ended the connection"]);
    check(Answer::Says("HTTP/1.1 502 no\r\n\r\n"), &doctor, 69, &["(HTTP 502)"]);
}

#[test]
fn a_proxy_of_another_kind_is_an_error_and_one_on_this_machine_is_not_used() {
    let sandbox = Sandbox::new();
    let socks = [("https_proxy", "socks5://me:pr0xyS3cret@127.0.0.1:1")];
    for line in [&["--symbol", "R_100", "--test"][..], &["symbols"], &["doctor"]] {
        let far = ["--endpoint", "wss://exchange.invalid/x"];
        let ran = through(&sandbox, &[line, &far].concat(), &socks).expect(2);
        let said = "`https_proxy` names a proxy of the kind `socks5`, which is not supported";
        assert!(ran.stderr.contains(said) && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert!(!ran.stderr.contains(PASSWORD), "{}", ran.stderr);
    }
    let server = Server::start(&[]);
    let every =
        ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"].map(|name| (name, "socks5://x"));
    through(&sandbox, &candles(&server.url, TWO_DAYS), &every).expect(0);
}

#[test]
fn certificates_that_were_named_and_are_not_there_are_an_error() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("empty.pem"), "nothing\n").unwrap();
    for (variable, path) in
        [("SSL_CERT_FILE", "none.pem"), ("SSL_CERT_FILE", "empty.pem"), ("SSL_CERT_DIR", "none")]
    {
        for line in [&["--symbol", "R_100", "--test"][..], &["symbols"], &["doctor"]] {
            let far = ["--endpoint", "wss://localhost:1/x"];
            let ran = through(&sandbox, &[line, &far].concat(), &[(variable, path)]).expect(2);
            let said = format!("`{variable}` names `{path}`, which holds no certificate");
            assert!(ran.stderr.contains(&said), "{}", ran.stderr);
            assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
        }
    }
    assert_refused(
        &sandbox,
        &["--symbol", "R_100", "--test", "--endpoint", "ws://127.0.0.1:1/", "--retries", "0"],
        69,
        &["127.0.0.1:1"],
    );
}

/// Ten days of ticks, with every tenth answer followed by silence.
async fn ten_days(faults: FaultPlan, days: i64) -> Duration {
    let now = epoch("2026-03-10T00:00:00Z");
    let config = SimulatorConfig { faults, ..quiet_config(now) };
    let exchange = Exchange::open(config).await;
    let dir = tempfile::tempdir().unwrap();
    let wanted = series("R_100", Kind::Candles(Granularity::MINUTE));
    let wanted = if days == 10 { series("R_100", Kind::Ticks) } else { wanted };
    let start = epoch("2026-02-20T00:00:00Z");
    let end = start.plus(days * 86_400);
    let window = Window::Range { start, end: Some(end) };
    let began = Instant::now();
    let summary = exchange
        .download(dir.path(), &Setup::default(), std::slice::from_ref(&wanted), window)
        .await
        .unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    let range = titan_download::domain::EpochRange::new(start, end).unwrap();
    assert_same_rows(&all_rows(dir.path(), &wanted), &exchange.truth(&wanted, range));
    began.elapsed()
}

/// Each silence took 40 seconds: the time for an answer, and then that for a ping.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_costs_seconds() {
    let took = ten_days(FaultPlan::one_shot(Fault::Stall, 3), 5).await;
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn ten_days_with_a_silence_in_every_tenth_answer() {
    for fault in [Fault::Stall, Fault::Hang] {
        let faults = FaultPlan::none().with_chance(fault, 0.1);
        println!("{}: {:?}", fault.name(), ten_days(faults, 10).await);
    }
}

/// With few threads the demo hung for ever, or panicked with 101.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_that_allows_few_threads_is_told_of() {
    use std::os::unix::fs::PermissionsExt;
    // A user of its own: the limit counts all threads of a user, and root has none.
    let user = 40_000 + std::process::id() % 20_000;
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let as_user = ["setpriv", &uid, &gid, "--clear-groups"];
    let binary = env!("CARGO_BIN_EXE_titan-download");
    let can = |arguments: &[&str]| {
        let words = [as_user.as_slice(), arguments].concat();
        let output = Command::new(words[0]).args(&words[1..]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let fork = ["prlimit", "--nproc=1:1", "sh", "-c", "(true) & wait $!"];
    if !can(&[binary, "--version"]) || !can(&["prlimit", "--version"]) || can(&fork) {
        println!("skipped: no user with a limit of threads can be had");
        return;
    }
    let mut codes = Vec::new();
    for n in [1, 2, 3, 4, 5, 6, 8, 12] {
        let sandbox = Sandbox::new();
        fs::set_permissions(sandbox.path("."), fs::Permissions::from_mode(0o777)).unwrap();
        let limit = format!("--nproc={n}:{n}");
        let starter = [as_user.as_slice(), &["prlimit", &limit]].concat();
        let line =
            ["--demo", "--symbol", "R_100", "--test", "--kind", "candles", "--output", "data"];
        let mut command = sandbox.command_by(&starter, &line);
        command.env("HOME", sandbox.path("."));
        let mut running = Running::of(command.spawn().unwrap());
        let began = Instant::now();
        let ended = !running.until_or_end(|| began.elapsed() > Duration::from_secs(40));
        assert!(ended, "{n} threads: it hangs");
        let ran = running.end();
        let is_told = ran.stderr.contains("threads it needs") && ran.stderr.contains("hint: ");
        assert!(ran.code == Some(0) || ran.code == Some(2) && is_told, "{n} threads: {ran:?}");
        codes.push(ran.code.unwrap());
    }
    assert!(codes.is_sorted_by(|few, more| few >= more), "{codes:?}");
    assert_eq!((codes[0], codes.last()), (2, Some(&0)), "{codes:?}");
}
