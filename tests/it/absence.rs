//! What is not there: folders that hold no archive, disks that are not mounted, paths that no shell
//! has seen, months and series that have vanished. None of it is ever sound, and none is guessed.

use std::fs;
use std::path::Path;

use titan_download::domain::{FindingKind, Kind, Severity};
use titan_download::download::Window;

use crate::process::{Sandbox, Server};
use crate::support::{Exchange, Setup, epoch, quiet_config, series};

const HISTORY: [&str; 2] = ["--history-days", "120"];

/// Hourly bars of three months.
fn download<'a>(url: &'a str, start: &'a str) -> Vec<&'a str> {
    let what = ["--symbol", "R_100", "--kind", "candles", "--granularity", "3600"];
    let range = ["--start-date", start, "--end-date", "2026-03-01"];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited"];
    [what.as_slice(), &range, &place].concat()
}

fn remove_month(root: &Path, month: &str) {
    for end in ["parquet", "metadata.json"] {
        fs::remove_file(root.join(format!("R_100/candles_3600/{month}.{end}"))).unwrap();
    }
}

/// An empty mount point, and a folder of somebody else: neither is sound, whoever looks.
#[test]
fn a_folder_without_an_archive_is_no_sound_one() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("empty/lost")).unwrap();
    let before = sandbox.content();
    let ask = ["--endpoint", "ws://127.0.0.1:1"];
    let commands: [(&[&str], &[&str]); 7] = [
        (&["verify"], &[]),
        (&["repair"], &ask),
        (&["status"], &[]),
        (&["report"], &["--html", "page.html"]),
        (&["views"], &["--sql"]),
        (&["explain", "R_100@2026-03-01"], &[]),
        (&["adopt"], &[]),
    ];
    for folder in ["empty", "/etc"] {
        for (command, options) in commands {
            let arguments = [command, &["--output", folder], options].concat();
            let ran = sandbox.run(&arguments).expect(2);
            let said = format!("`{folder}` holds no archive");
            assert!(ran.stderr.contains(&said), "{arguments:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("hint: it would hold"), "{arguments:?}: {}", ran.stderr);
            assert_eq!(ran.stdout, "", "{arguments:?}");
        }
    }
    assert!(sandbox.content() == before, "nothing was made");
    let told = sandbox.run(&["verify", "empty", "--json"]).expect(2).json();
    assert_eq!(told["exit_code"], 2, "{told}");
}

#[test]
fn what_is_not_held_is_not_sound_and_what_is_held_is_named() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("young/.titan")).unwrap();
    for command in ["verify", "repair"] {
        let ran = sandbox.run(&[command, "young", "--symbol", "R_100"]).expect(2);
        assert!(ran.stderr.contains("holds no partition yet"), "{}", ran.stderr);
    }
    sandbox.run(&download(&server.url, "2026-02-01")).expect(0);
    let ask = ["--endpoint", server.url.as_str()];
    let commands: [(&str, &[&str]); 3] = [("verify", &[]), ("status", &[]), ("repair", &ask)];
    for (command, options) in commands {
        for symbols in ["R_999", "R_100,R_999"] {
            let arguments = [&[command, "data", "--symbol", symbols], options].concat();
            let ran = sandbox.run(&arguments).expect(2);
            let said = "`data` holds nothing of `R_999`";
            assert!(ran.stderr.contains(said), "{command}: {}", ran.stderr);
            assert!(ran.stderr.contains("it holds R_100 candles 3600s"), "{}", ran.stderr);
        }
        sandbox.run(&[&[command, "data", "--symbol", "R_100"], options].concat()).expect(0);
    }
    for command in ["status", "repair"] {
        let ran = sandbox.run(&[command, "data", "--kind", "ticks"]).expect(2);
        assert!(ran.stderr.contains("`data` holds nothing of the kinds"), "{}", ran.stderr);
    }
    // A gate falls short, as it always did, of what is not there.
    let gate = ["status", "data", "--symbol", "R_100,R_999", "--require-through", "2026-02-01"];
    assert!(sandbox.run(&gate).expect(1).stdout.contains("R_999 holds no data"));
}

/// A month, whichever, that goes with its sidecar leaves no trace beside the data. The archive
/// remembers it, through later runs too, until it is there again.
#[test]
fn a_month_that_vanished_is_missed_until_it_is_there_again() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    sandbox.run(&download(&server.url, "2025-12-01")).expect(0);
    sandbox.run(&["verify", "data"]).expect(0);
    for month in ["2026-01", "2025-12"] {
        remove_month(&root, month);
        let path = format!("R_100/candles_3600/{month}.parquet");
        let found = format!("error partition_missing: {path}");
        let verified = sandbox.run(&["verify", "data"]).expect(1);
        assert!(verified.stdout.contains(&found), "{}", verified.stdout);
        let status = sandbox.run(&["status", "data"]).expect(0);
        let said = format!("{month} cannot be relied on: its files are gone");
        assert!(status.stdout.contains(&said), "{}", status.stdout);
        let gate = sandbox.run(&["status", "data", "--require-through", "2026-02-01"]).expect(1);
        assert!(gate.stdout.contains("its files are gone"), "{}", gate.stdout);
        // A run over another month writes the file that remembers anew.
        sandbox.run(&download(&server.url, "2026-02-01")).expect(0);
        assert!(sandbox.run(&["verify", "data"]).expect(1).stdout.contains(&found));
        let repair = ["repair", "data", "--endpoint", &server.url, "--rate", "unlimited"];
        sandbox.run(&repair).expect(0);
        sandbox.run(&["verify", "data"]).expect(0);
        assert!(root.join(path).exists());
    }
}

#[test]
fn a_series_that_vanished_is_missed_and_a_person_may_agree_to_it() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    sandbox.run(&download(&server.url, "2026-01-01")).expect(0);
    let other = download(&server.url, "2026-02-01").join(" ").replace("R_100", "R_50");
    let other: Vec<&str> = other.split(' ').collect();
    sandbox.run(&other).expect(0);
    fs::remove_dir_all(root.join("R_100")).unwrap();
    let verified = sandbox.run(&["verify", "data"]).expect(1).stdout;
    assert_eq!(verified.matches("error partition_missing").count(), 2, "{verified}");
    let alone = sandbox.run(&["verify", "data", "--symbol", "R_100"]).expect(1).stdout;
    assert!(alone.contains("partition_missing"), "{alone}");
    sandbox.run(&["verify", "data", "--symbol", "R_50"]).expect(0);
    // A run over the other series forgets nothing.
    sandbox.run(&other).expect(0);
    let status = sandbox.run(&["status", "data"]).expect(0).stdout;
    assert!(status.contains("R_100 candles 3600s"), "{status}");
    fs::remove_file(root.join(".titan/watermark.json")).unwrap();
    sandbox.run(&["verify", "data"]).expect(0);
    sandbox.run(&other).expect(0);
    sandbox.run(&["verify", "data"]).expect(0);
}

/// The disk of the archive is not mounted tonight.
#[test]
fn a_new_archive_is_begun_knowingly() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let line = download(&server.url, "2026-02-01");
    let with = |more: &[&'static str]| [line.as_slice(), more].concat();
    fs::create_dir(sandbox.path("data")).unwrap();
    let before = sandbox.content();
    for more in
        [&["--must-exist"][..], &["--must-exist", "--dry-run"], &["--must-exist", "--quiet"]]
    {
        let ran = sandbox.run(&with(more)).expect(2);
        assert!(ran.stderr.contains("`data` holds no archive"), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: mount the disk"), "{}", ran.stderr);
    }
    let by_variable = sandbox.command(&line).env("TITAN_MUST_EXIST", "true").output().unwrap();
    assert_eq!(by_variable.status.code(), Some(2));
    fs::write(sandbox.path("titan.toml"), "must-exist = true\n").unwrap();
    sandbox.run(&line).expect(2);
    fs::remove_file(sandbox.path("titan.toml")).unwrap();
    assert!(sandbox.content() == before, "nothing was made, nobody was asked");

    let begun = "`data` holds no archive: a new one begins there";
    for (more, is_said) in [
        (&["--dry-run"][..], true),
        (&["--quiet"], true),
        (&["--quiet"], false),
        (&["--must-exist"], false),
    ] {
        let ran = sandbox.run(&with(more)).expect(0);
        assert_eq!(ran.stderr.contains(begun), is_said, "{more:?}: {}", ran.stderr);
    }
    // An old cache is no nothing.
    fs::remove_dir_all(sandbox.path("data/.titan")).unwrap();
    let ran = sandbox.run(&with(&["--must-exist"])).expect(0);
    assert!(!ran.stderr.contains(begun), "{}", ran.stderr);
}

/// `--output=~/m` and `TITAN_OUTPUT='"/data/x"'` make folders named `~` and `"`.
#[test]
fn a_path_that_no_shell_has_seen_is_refused_wherever_it_is_said() {
    let sandbox = Sandbox::new();
    let bad = ["~/m", "$HOME/m", "\"/data/x\"", "'x'"];
    let line: &[&str] = &["--demo", "--symbol", "R_100", "--test"];
    let before = sandbox.content();
    let refused = |ran: crate::process::Ran, place: &str, path: &str| {
        let ran = ran.expect(2);
        let said = format!("cannot read {place}: `{path}` ");
        assert!(ran.stderr.contains(&said), "no {said} in {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("`./{path}`")), "{}", ran.stderr);
    };
    for path in bad {
        let flag = format!("--output={path}");
        refused(sandbox.run(&[line, &[&flag]].concat()), "`--output`", path);
        for option in ["log-file", "metrics-file", "token-file", "state-dir", "config"] {
            let flag = format!("--{option}={path}");
            refused(sandbox.run(&[line, &[&flag]].concat()), &format!("`--{option}`"), path);
        }
        for (variable, place) in [("TITAN_OUTPUT", "output"), ("TITAN_CONFIG", "config")] {
            let mut command = sandbox.command(&[line, &["--print-config"]].concat());
            let ran = command.env(variable, path).output().unwrap().into();
            refused(ran, &format!("`TITAN_{}`", place.to_uppercase()), path);
        }
        for command in ["verify", "status", "repair"] {
            refused(sandbox.run(&[command, path]), "`--output`", path);
        }
        let page = format!("--html={path}");
        refused(sandbox.run(&["report", &page]), "`--html`", path);
        refused(sandbox.run(&["simulate", &format!("--log={path}")]), "`--log`", path);
        refused(sandbox.run(&["man", &format!("--dir={path}")]), "`--dir`", path);
        let replay = format!("--replay=R_100={path}");
        refused(sandbox.run(&["simulate", &replay]), "`--replay`", path);
    }
    assert!(sandbox.content() == before, "nothing was made");

    fs::write(sandbox.path("titan.toml"), "# where\noutput = \"~/m\"\n").unwrap();
    refused(sandbox.run(line), "`output` in `titan.toml` line 2", "~/m");
    fs::remove_file(sandbox.path("titan.toml")).unwrap();
    fs::write(sandbox.path(".env"), "TITAN_OUTPUT=~/m\n").unwrap();
    refused(sandbox.run(line), "`TITAN_OUTPUT` in `.env`", "~/m");
    fs::remove_file(sandbox.path(".env")).unwrap();
    // A folder that is truly named so.
    sandbox.run(&[line, &["--kind=candles", "--output=./~"]].concat()).expect(0);
    assert!(sandbox.path("~/.titan").is_dir());
}

/// The history of a symbol ends. That is told once, with the date; nothing is asked for it, and it
/// ends no night with 1.
#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_that_is_no_longer_listed_is_told_once_and_ends_no_run() {
    let exchange = Exchange::open(quiet_config(epoch("2026-03-10T00:00:00Z"))).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let hours = Kind::Candles(3600.try_into().unwrap());
    let both = [series("R_100", hours), series("R_50", hours)];
    let window = Window::Months(0);
    let listed = Setup::default();
    let ended = Setup { unlisted: vec!["R_50"], ..Setup::default() };
    let run = async |setup: &Setup, wanted: &[_]| {
        exchange.download(root, setup, wanted, window).await.unwrap()
    };
    assert!(run(&listed, &both).await.is_complete());

    let first = run(&ended, &both).await;
    assert!(first.is_complete(), "{first:?}");
    let [notice] = first.notices.as_slice() else { panic!("{:?}", first.notices) };
    assert_eq!((notice.kind, notice.severity), (FindingKind::NoLongerListed, Severity::Warning));
    assert_eq!(notice.subject, "R_50");
    assert!(notice.found.contains("since 2026-03-10T00:00:00Z"), "{notice}");
    assert!(first.partitions.iter().all(|partition| partition.key.series == both[0]));

    // Told before; also where it is all that is wanted.
    for wanted in [&both[..], &both[1..]] {
        let again = run(&ended, wanted).await;
        assert!(again.is_complete() && again.notices.is_empty(), "{again:?}");
    }
    // Listed again it is asked for, and told again when it ends once more.
    assert!(run(&listed, &both).await.notices.is_empty());
    assert_eq!(run(&ended, &both).await.notices.len(), 1);

    // One that was never held is a slip of the finger, and so is everything if nothing is listed.
    let slip = run(&ended, &[series("R_100", hours), series("R_101", hours)]).await;
    assert!(!slip.is_complete() && slip.notices.is_empty());
    assert!(slip.failed_series[0].1.contains("did you mean `R_100`?"), "{slip:?}");
}

/// Runs a line of shell as somebody for whom root's folders are closed, or with mounts of its own;
/// nothing where that cannot be done here.
#[cfg(target_os = "linux")]
#[allow(clippy::print_stderr)]
fn as_another(sandbox: &Sandbox, starter: &[&str], line: &str) -> Option<crate::process::Ran> {
    use std::os::unix::fs::PermissionsExt;
    let dir = sandbox.path("");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |line: &str| {
        let mut command = std::process::Command::new(starter[0]);
        command.args(&starter[1..]).args(["sh", "-c", line]).current_dir(&dir);
        command.env("TITAN", env!("CARGO_BIN_EXE_titan-download")).env("HOME", &dir);
        command.output()
    };
    let probe = run("\"$TITAN\" --version");
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `{}` is not possible here", starter.join(" "));
        return None;
    }
    Some(run(line).unwrap().into())
}

/// `backup/` of root lies beside the symbols.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_folder_of_somebody_else_is_a_stranger() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    sandbox.run(&download(&server.url, "2026-02-01")).expect(0);
    let close = |name: &str, mode| {
        let path = sandbox.path(&format!("data/{name}"));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    close("backup", 0o700);
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let Some(ran) = as_another(&sandbox, &nobody, "\"$TITAN\" verify data") else { return };
    let verified = ran.expect(0).stdout;
    assert!(verified.contains("warning stranger: backup: "), "{verified}");
    let gate = "\"$TITAN\" status data --require-through 2026-02-20";
    as_another(&sandbox, &nobody, gate).unwrap().expect(0);
    // A folder of the archive that is closed hides what is in it, whatever else is known.
    close("R_100", 0o700);
    let verified =
        as_another(&sandbox, &nobody, "\"$TITAN\" verify data").unwrap().expect(1).stdout;
    assert!(verified.contains("error unreadable: R_100: "), "{verified}");
    assert!(!verified.contains("partition_missing"), "it may be there: {verified}");
    as_another(&sandbox, &nobody, gate).unwrap().expect(1);
}

/// Each symbol on a disk of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_symbol_on_a_disk_of_its_own_can_be_mended() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let line = download(&server.url, "2026-02-01").join(" ");
    let script = format!(
        "set -e\nmkdir -p data/R_100\nmount -t tmpfs none data/R_100\n\"$TITAN\" {line} --quiet\n\
         file=data/R_100/candles_3600/2026-02.parquet\n\
         printf xxxxxxxx | dd of=$file bs=1 seek=200 conv=notrunc 2>/dev/null\n\
         cp $file damaged\n\
         \"$TITAN\" repair data --endpoint {} --rate unlimited\n\"$TITAN\" verify data\n\
         cmp damaged data/.titan/quarantine/R_100/*/*.parquet.set-aside\n\
         ls -A data/R_100/candles_3600",
        server.url
    );
    let Some(ran) = as_another(&sandbox, &["unshare", "-m"], &script) else { return };
    let ran = ran.expect(0);
    assert!(ran.stdout.ends_with("2026-02.metadata.json\n2026-02.parquet\n"), "{}", ran.stdout);
}
