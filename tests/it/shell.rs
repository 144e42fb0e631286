//! Completions and manual pages, tried by the programs they are made for. Where one of those is not
//! installed its test says so and ends.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::help::commands;
use crate::process::Sandbox;

#[allow(clippy::print_stdout, reason = "tells why a test did nothing")]
fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    let found = command.status().is_ok();
    if !found {
        println!("skipped: `{program}` is not installed");
    }
    found
}

/// Feeds `input` to a program and returns stdout and stderr of it, which has to succeed.
#[track_caller]
fn fed(program: &str, arguments: &[&str], input: &str) -> (String, String) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env("LC_ALL", "C.UTF-8").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (said, complained) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{program}: {complained}");
    (said, complained)
}

/// What bash offers for the last of `words`.
fn completed(script: &str, words: &[&str]) -> Vec<String> {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, before) = (words.len() - 1, words[words.len() - 2]);
    let ask = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n\
         complete=$(complete -p titan-download)\n\
         function=${{complete#*-F }}\n\
         ${{function%% *}} titan-download '{}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        quoted.join(" "),
        words[last],
    );
    let (offered, complaints) = fed("bash", &["--norc"], &ask);
    assert_eq!(complaints, "");
    offered.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn bash_completes_options_words_and_commands() {
    if !is_installed("bash") {
        return;
    }
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("folder")).unwrap();
    let script = sandbox.run(&["completions", "bash"]).expect(0).stdout;
    let check = |words: &[&str], expected: &[&str]| {
        let words = [&["titan-download"], words].concat();
        assert_eq!(completed(&script, &words), expected, "{words:?}");
    };
    check(&["--sym"], &["--symbol"]);
    check(&["--kind", ""], &["ticks", "candles"]);
    check(&["--kind", "t"], &["ticks"]);
    check(&["--api", "l"], &["legacy"]);
    check(&["--compression", ""], &["zstd", "snappy", "none"]);
    check(&["--log-format", "j"], &["json"]);
    check(&["--granularity", "86"], &["86400"]);
    check(&["ver"], &["verify"]);
    check(&["verify", "--spi"], &["--spike-threshold"]);
    check(&["status", "--kind", "c"], &["candles"]);
    check(&["completions", "z"], &["zsh"]);
}

#[test]
fn zsh_and_fish_can_read_their_completions() {
    let sandbox = Sandbox::new();
    for shell in ["zsh", "fish"] {
        let script = sandbox.run(&["completions", shell]).expect(0).stdout;
        for part in ["symbol", "verify", "snappy"] {
            assert!(script.contains(part), "{shell}: no {part}");
        }
        if is_installed(shell) {
            fed(shell, &["-n", "/dev/stdin"], &script);
        }
    }
}

#[test]
fn every_manual_page_renders_without_warnings() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["man", "--dir", "pages/man1"]).expect(0).stdout.is_empty());
    let pages = sandbox.path("pages/man1");
    let mut names: Vec<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let commands = commands(&sandbox);
    let pages_of = commands.iter().map(|name| format!("titan-download-{name}.1"));
    let mut expected: Vec<_> = pages_of.collect();
    expected.push("titan-download.1".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    let page = |name: &str| fs::read_to_string(pages.join(name)).unwrap();
    assert_eq!(sandbox.run(&["man"]).expect(0).stdout, page("titan-download.1"));
    let verify = sandbox.run(&["man", "verify"]).expect(0).stdout;
    assert_eq!(verify, page("titan-download-verify.1"));
    assert!(verify.contains("Exit codes") && verify.contains("spike"), "{verify}");
    if is_installed("groff") {
        for name in &names {
            rendered(&pages.join(name));
        }
    }
    let ran = sandbox.run(&["man", "verfy"]).expect(2);
    assert!(ran.stderr.contains("hint: did you mean `verify`?"), "{}", ran.stderr);
}

fn rendered(page: &Path) {
    let page = page.to_str().unwrap();
    let (text, complaints) = fed("groff", &["-man", "-Tascii", "-P-cbou", "-wall", page], "");
    assert_eq!(complaints, "", "{page}");
    for part in ["NAME", "SYNOPSIS", "titan-download"] {
        assert!(text.contains(part), "{page}: no {part}");
    }
}

/// The pages are printed as they are, whatever the environment of who prints them holds.
#[test]
fn what_is_printed_does_not_depend_on_the_environment() {
    let sandbox = Sandbox::new();
    for arguments in [["man", "explain"], ["completions", "fish"]] {
        let plain = sandbox.run(&arguments).expect(0).stdout;
        let mut command = sandbox.command(&arguments);
        command.env("TITAN_TOKEN", "s3cret").env("TITAN_SYMBOL", "s3cret").env("COLUMNS", "40");
        let output = command.env("TITAN_ENDPOINT", "wss://h/?t=s3cret").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), plain);
        assert!(!plain.contains("s3cret"));
    }
}

/// The service, with the program in its place, and its timer are units that systemd takes.
#[test]
fn systemd_takes_the_units() {
    if !is_installed("systemd-analyze") {
        return;
    }
    let sandbox = Sandbox::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let mut analyze = Command::new("systemd-analyze");
    analyze.arg("verify");
    for name in ["titan-download.service", "titan-download.timer"] {
        let unit = fs::read_to_string(folder.join(name)).unwrap();
        // Neither the program nor its manual is installed.
        let unit =
            unit.replace("/usr/local/bin/titan-download", env!("CARGO_BIN_EXE_titan-download"));
        let unit = unit.replace("Documentation=man:titan-download(1)\n", "");
        fs::write(sandbox.path(name), unit).unwrap();
        analyze.arg(sandbox.path(name));
    }
    let output = analyze.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It succeeds with a warning where a key is unknown.
    assert!(output.status.success() && !said.contains("titan-download."), "{said}");
}
