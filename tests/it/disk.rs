//! Disks that are full, read-only, too small or gone: each ends the run with words of its own, what
//! is published stays valid, and once there is room the same command completes the archive.
//!
//! Small disks are mounted for the tests that need one, which only the superuser may; where that is
//! refused, those tests say so and are skipped. The limit of file sizes works everywhere.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::{TWENTY_DAYS, TWO_DAYS, assert_whole, candles, in_small_steps};
use crate::process::{Ran, Sandbox, Server, n_segments};
use crate::support::rows_of;

/// A file system in memory, mounted as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where it is not allowed to mount.
    #[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", options, "tmpfs"], &at);
        if !mounted {
            println!("skipped: no file system can be mounted here");
        }
        mounted.then_some(Self(at))
    }

    fn change(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.0), "{options}");
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(arguments).arg(at).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Valid so far: no draft has a name that readers look for, every published file can be read, and
/// what is published proves itself. A file that has its name and could not get its sidecar awaits
/// it; that is the one thing the check may say.
#[track_caller]
fn assert_sound(sandbox: &Sandbox) {
    for path in sandbox.content().into_keys() {
        if path.extension().is_some_and(|extension| extension == "parquet") {
            rows_of(&path);
        }
    }
    if !sandbox.path("data/R_100").exists() {
        return;
    }
    let ran = sandbox.run(&["verify", "--json", "data"]);
    let json = ran.json();
    let findings = json["findings"].as_array().unwrap();
    let awaits = |finding: &serde_json::Value| {
        finding["kind"].as_str().is_some_and(|kind| kind.starts_with("sidecar"))
    };
    assert!(findings.iter().all(|f| f["severity"] != "error" || awaits(f)), "{json}");
}

#[track_caller]
fn assert_said(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.stderr.contains(part), "no `{part}` in\n{}", ran.stderr);
    }
}

/// Each number of files is a place where it ends: making the folders, the lock, a segment, the
/// announcement, the new file, the sidecar.
#[test]
fn a_disk_that_takes_no_more_files_at_any_point() {
    let server = Server::start(&[]);
    let (mut n_starts, mut n_middles) = (0, 0);
    for n_files in 2.. {
        let sandbox = Sandbox::new();
        let options = format!("size=16m,nr_inodes={n_files}");
        let Some(disk) = SmallDisk::mount(sandbox.path("data"), &options) else { return };
        // What is published before must outlive everything.
        let ran = sandbox.run(&in_small_steps(&server.url, TWO_DAYS));
        match ran.code {
            Some(0) => break,
            Some(1) => n_middles += 1,
            Some(2) => n_starts += 1,
            _ => panic!("{n_files}: {ran:?}"),
        }
        assert_said(&ran, &["No space left on device", "hint: make room on the disk of `data`"]);
        if ran.code == Some(1) {
            assert_said(&ran, &["error: the disk is full", "what is staged is kept"]);
            assert!(ran.stdout.contains("requests"), "no summary: {}", ran.stdout);
        }
        assert_sound(&sandbox);
        disk.change("nr_inodes=1000");
        sandbox.run(&in_small_steps(&server.url, TWO_DAYS)).expect(0);
        assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
        let left =
            sandbox.content().into_keys().find(|p| p.to_string_lossy().contains("titan-tmp"));
        assert_eq!(left, None, "{n_files}");
    }
    println!("full {n_starts} times at the start, {n_middles} times in the middle");
    assert!(n_starts > 2 && n_middles > 3, "{n_starts} {n_middles}");
}

/// The bytes run out while a month is being staged, beside one that is published.
#[test]
fn a_disk_that_fills_up_while_answers_come_in() {
    let server = Server::start(&["--latency", "30ms"]);
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(sandbox.path("data"), "size=8m") else { return };
    sandbox.run(&candles(&server.url, ["2026-02-01", "2026-02-02"])).expect(0);
    let mut run = sandbox.start(&in_small_steps(&server.url, TWENTY_DAYS));
    run.until("something is staged", || n_segments(&sandbox.path("data")) > 2);
    let filler = sandbox.path("data/filler");
    let mut zeros = std::io::repeat(0);
    let full = std::io::copy(&mut zeros, &mut File::create(&filler).unwrap()).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let ran = run.end().expect(1);
    assert_said(&ran, &["error: the disk is full", "hint: make room on the disk of `data`"]);
    assert!(ran.stdout.contains("not reached; the next run begins there"), "{}", ran.stdout);
    let n_kept = n_segments(&sandbox.path("data"));
    assert!(n_kept > 0);
    assert_sound(&sandbox);
    drop(server);

    fs::remove_file(filler).unwrap();
    let server = Server::start(&[]);
    sandbox.run(&in_small_steps(&server.url, TWENTY_DAYS)).expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, TWENTY_DAYS);
    let asked = crate::process::n_pages(&server.end());
    assert!(
        asked <= 29 - n_kept + 3,
        "{asked} pages were asked, {n_kept} segments were staged: something is lost"
    );
    drop(disk);
}

/// Everything is staged; then there is not enough room for the new file beside it.
#[test]
fn a_disk_too_full_to_publish() {
    let server = Server::start(&["--fault", "hang=0.05"]);
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(sandbox.path("data"), "size=8m") else { return };
    let mut run = sandbox.start(&in_small_steps(&server.url, TWENTY_DAYS));
    run.until("enough is staged", || n_segments(&sandbox.path("data")) >= 10);
    run.signal("TERM");
    run.end().expect(143);
    drop(server);
    let server = Server::start(&[]);
    // Room for the answers that are missing, but not for all of them once more.
    let used = 1_200;
    disk.change(&format!("size={used}k"));
    let ran = sandbox.run(&in_small_steps(&server.url, TWENTY_DAYS));
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
    assert_said(&ran, &["hint: make room on the disk of `data`"]);
    assert_sound(&sandbox);
    disk.change("size=8m");
    sandbox.run(&in_small_steps(&server.url, TWENTY_DAYS)).expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, TWENTY_DAYS);
}

#[test]
fn a_disk_that_is_too_small_is_said_before_anything_is_asked() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(sandbox.path("data"), "size=700k") else { return };
    let arguments = candles(&server.url, TWENTY_DAYS);
    // A dry run ends as the run would have at its start.
    let dry = sandbox.run(&[arguments.as_slice(), &["--dry-run"]].concat()).expect(2);
    assert!(dry.stdout.contains("on disk at once, 700.0 KiB are free"), "{}", dry.stdout);
    assert_said(&dry, &["the disk is too small for R_100 candles 60s 2026-02"]);
    let ran = sandbox.run(&arguments).expect(2);
    let said = ["the disk is too small for R_100 candles 60s 2026-02", "2 MiB are needed, 0 MiB"];
    assert_said(&ran, &said);
    assert_said(&ran, &["hint: make room on the disk of `data`, ask for fewer months"]);
    // What fits is not refused.
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
    drop(disk);
}

#[test]
fn a_read_only_disk_is_said_to_be() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(sandbox.path("data"), "size=8m") else { return };
    disk.change("ro");
    let ran = sandbox.run(&candles(&server.url, TWO_DAYS)).expect(2);
    assert_said(&ran, &["Read-only file system", "hint: mount the file system of `data` writable"]);
    disk.change("rw");
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    disk.change("ro");
    let before = sandbox.content();
    sandbox.run(&candles(&server.url, TWENTY_DAYS)).expect(2);
    sandbox.run(&["verify", "data"]).expect(0);
    assert!(sandbox.content() == before);
}

#[test]
fn a_folder_on_another_disk_inside_is_mended_too() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let Some(disk) = SmallDisk::mount(sandbox.path("data/R_100"), "size=8m") else { return };
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    // A damaged file goes to quarantine, which is on the other disk.
    let file = sandbox.path("data/R_100/candles_60/2026-03.parquet");
    fs::write(&file, "PAR1 damaged PAR1").unwrap();
    sandbox.run(&candles(&server.url, TWO_DAYS)).expect(0);
    sandbox.run(&["verify", "data"]).expect(0);
    let kept = "data/.titan/quarantine/R_100/candles_60/2026-03.1.parquet.set-aside";
    assert_eq!(fs::read_to_string(sandbox.path(kept)).unwrap(), "PAR1 damaged PAR1");
    drop(disk);
}

fn move_folder(from: &Path, to: &Path) {
    assert!(Command::new("mv").arg(from).arg(to).status().unwrap().success());
}

/// Moved or deleted, an archive that vanishes is not begun anew under its old name.
#[test]
fn a_folder_that_vanishes_ends_the_run() {
    let server = Server::start(&["--latency", "30ms"]);
    let sandbox = Sandbox::new();
    let (data, away) = (sandbox.path("data"), sandbox.path("away"));
    sandbox.run(&in_small_steps(&server.url, ["2026-02-01", "2026-02-02"])).expect(0);
    let mut run = sandbox.start(&in_small_steps(&server.url, TWENTY_DAYS));
    run.until("something is staged", || n_segments(&data) > 2);
    move_folder(&data, &away);
    let ran = run.end().expect(1);
    assert_said(
        &ran,
        &["error: the folder of the archive has vanished", "hint: bring `data` back"],
    );
    assert!(!data.exists(), "begun anew");
    move_folder(&away, &data);
    assert_sound(&sandbox);
    sandbox.run(&in_small_steps(&server.url, TWENTY_DAYS)).expect(0);
    assert_whole(&data, &sandbox, TWENTY_DAYS);
}

/// An unmounted disk leaves an empty folder of the same name, and that is not the archive.
#[test]
fn a_disk_that_is_unmounted_ends_the_run() {
    let server = Server::start(&["--latency", "30ms"]);
    let sandbox = Sandbox::new();
    let data = sandbox.path("data");
    let Some(disk) = SmallDisk::mount(data.clone(), "size=8m") else { return };
    let mut run = sandbox.start(&in_small_steps(&server.url, TWENTY_DAYS));
    run.until("something is staged", || n_segments(&data) > 2);
    drop(disk);
    let ran = run.end().expect(1);
    assert_said(&ran, &["error: the folder of the archive has vanished"]);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "the wrong disk was written to");
}

/// The same command under a limit of file sizes, in blocks of the shell.
fn limited(sandbox: &Sandbox, arguments: &[&str], n_blocks: u32) -> Ran {
    let plain = sandbox.command(arguments);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &n_blocks.to_string()]);
    command.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(plain.get_current_dir().unwrap()).stdin(Stdio::null());
    command.output().unwrap().into()
}

#[test]
fn a_limit_of_file_sizes_at_any_point() {
    let server = Server::start(&[]);
    let mut n_limited = 0;
    for n_blocks in [1, 4, 16, 48, 80, 96, 128, 4096] {
        let sandbox = Sandbox::new();
        sandbox.run(&candles(&server.url, ["2026-02-20", "2026-02-21"])).expect(0);
        let range = ["2026-02-19", "2026-03-03"];
        let ran = limited(&sandbox, &in_small_steps(&server.url, range), n_blocks);
        if ran.code == Some(0) {
            assert!(n_blocks > 16, "{ran:?}");
            continue;
        }
        assert_eq!(ran.code, Some(1), "{n_blocks}: {ran:?}");
        n_limited += 1;
        assert_said(&ran, &["error: a file would become larger than is allowed", "ulimit -f"]);
        assert_sound(&sandbox);
        sandbox.run(&in_small_steps(&server.url, range)).expect(0);
        assert_whole(&sandbox.path("data"), &sandbox, range);
    }
    assert!(n_limited >= 3, "{n_limited}");
}

/// A log that goes to a full disk loses itself and not the result.
#[test]
fn a_full_disk_behind_the_log_takes_the_result_nothing() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for more in [["-vv", "--no-progress"], ["-vv", "--json"], ["--log-format", "json"]] {
        let arguments = [candles(&server.url, TWO_DAYS).as_slice(), &more].concat();
        let output = sandbox.command(&arguments).stderr(full()).output().unwrap();
        let ran = Ran::from(output).expect(0);
        assert!(
            ran.stdout.contains("2,880 rows") || ran.stdout.contains("\"rows\":2880"),
            "{ran:?}"
        );
    }
    // A result that cannot be told is a failure that is.
    let arguments = candles(&server.url, TWO_DAYS);
    let ran: Ran = sandbox.command(&arguments).stdout(full()).output().unwrap().into();
    assert_said(&ran.expect(1), &["error: cannot write the result to stdout"]);
}
