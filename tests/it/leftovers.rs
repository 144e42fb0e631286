//! Readers that look everywhere find partitions and nothing else; and the contract of the old tool is
//! kept to the letter.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::old_cache::{self, bars, month_path, newer, sidecar_path};
use crate::process::{NOW, Sandbox, Server};
use crate::support::epoch;

const HISTORY: [&str; 2] = ["--history-days", "60"];

fn download(url: &str) -> Vec<&str> {
    let what = ["--symbol", "R_100", "--kind", "candles"];
    let range = ["--start-date", "2026-02-27", "--end-date", "2026-03-03"];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited"];
    [what.as_slice(), &range, &place].concat()
}

/// Every file of an archive whose name ends like this, as `**/*.parquet` finds it.
fn ending_in(root: &Path, end: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn months(root: &Path) -> Vec<String> {
    ending_in(root, ".parquet").iter().map(|path| path.display().to_string()).collect()
}

/// What a killed run of the old tool leaves would be read as data, or raise.
#[test]
fn leftovers_of_the_old_tool_are_moved_by_any_run_and_named_before() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    sandbox.run(&download(&server.url)).expect(0);
    let folder = root.join("R_100/candles_60");
    let left = ["2026-02.inc.parquet", "2026-03.tmp.parquet", "2026-03.tmp.metadata.json"];
    let leave = || left.map(|name| fs::write(folder.join(name), format!("half {name}")).unwrap());
    let expected = ["R_100/candles_60/2026-02.parquet", "R_100/candles_60/2026-03.parquet"];
    let repair = ["repair", "data", "--endpoint", &server.url];
    for (n, run) in [download(&server.url), repair.to_vec()].into_iter().enumerate() {
        leave();
        for name in left {
            let verified = sandbox.run(&["verify", "data"]).expect(0).stdout;
            assert!(verified.contains(name), "{name} in {verified}");
            assert!(folder.join(name).exists(), "a look moves nothing");
        }
        sandbox.run(&run).expect(0);
        assert_eq!(months(&root), expected);
        for name in left {
            let (stem, rest) = name.split_once('.').unwrap();
            let kept = format!("{stem}.{}.{rest}.set-aside", n + 1);
            let kept = root.join(".titan/quarantine/R_100/candles_60").join(kept);
            assert_eq!(fs::read_to_string(&kept).unwrap(), format!("half {name}"));
        }
    }
    let sql = sandbox.run(&["views", "data", "--sql"]).expect(0).stdout;
    assert!(sql.contains("/????-??.parquet'") && !sql.contains("*.parquet"), "{sql}");
}

/// Earlier builds kept what they set aside under names that readers take for data.
#[test]
fn what_was_set_aside_before_gets_a_name_that_nobody_reads() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    sandbox.run(&download(&server.url)).expect(0);
    let quarantine = root.join(".titan/quarantine");
    for name in [
        "R_100/candles_60/2026-02.1.parquet",
        "R_100/candles_60/2026-02.1.metadata.json",
        "staging/R_100/candles_60/2026-02/1-2.1.segment",
    ] {
        fs::create_dir_all(quarantine.join(name).parent().unwrap()).unwrap();
        fs::write(quarantine.join(name), name).unwrap();
    }
    // And one whose new name is taken.
    let taken = quarantine.join("R_100/candles_60/2026-02.1.metadata.json.set-aside");
    fs::write(&taken, "taken").unwrap();
    sandbox.run(&download(&server.url)).expect(0);
    assert_eq!(months(&root).len(), 2);
    let found = ending_in(&quarantine, "");
    assert!(found.iter().all(|path| path.to_string_lossy().ends_with(".set-aside")), "{found:?}");
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(fs::read_to_string(taken).unwrap(), "taken");
    let kept = quarantine.join("R_100/candles_60/2026-02.1.parquet.set-aside");
    assert_eq!(fs::read_to_string(kept).unwrap(), "R_100/candles_60/2026-02.1.parquet");
    let verified = sandbox.run(&["verify", "data"]).expect(0).stdout;
    assert_eq!(verified.matches("quarantine").count(), 2, "one line, two names: {verified}");
}

#[test]
fn a_damaged_month_leaves_nothing_that_is_read_as_data() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    sandbox.run(&download(&server.url)).expect(0);
    let path = month_path(&root, "2026-02");
    let mut bytes = fs::read(&path).unwrap();
    bytes[300..364].fill(7);
    fs::write(&path, bytes).unwrap();
    sandbox.run(&["repair", "data", "--endpoint", &server.url, "--rate", "unlimited"]).expect(0);
    assert_eq!(months(&root).len(), 2);
    assert_eq!(ending_in(&root, ".metadata.json").len(), 2);
}

fn sidecar(root: &Path, month: &str) -> Value {
    serde_json::from_slice(&fs::read(sidecar_path(root, month)).unwrap()).unwrap()
}

/// `datetime.fromisoformat` of Python 3.10 raises on a final `Z`; and `lock_dataset()` writes its own
/// keys and no others.
#[test]
fn a_sidecar_that_the_old_tool_locked_is_whole_again_and_stays_locked() {
    let server = Server::start(&HISTORY);
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    sandbox.run(&download(&server.url)).expect(0);
    let whole = sidecar(&root, "2026-02");
    let created = whole["created_at"].as_str().unwrap();
    assert!(created.ends_with("+00:00") && !created.contains('Z'), "{created}");
    let mut cut = whole.clone();
    let old: Vec<&str> = titan_download::format::sidecar::OLD_KEYS.to_vec();
    cut.as_object_mut().unwrap().retain(|key, _| old.contains(&key.as_str()));
    cut["locked"] = true.into();
    fs::write(sidecar_path(&root, "2026-02"), serde_json::to_vec_pretty(&cut).unwrap()).unwrap();
    let file = fs::read(month_path(&root, "2026-02")).unwrap();
    sandbox.run(&["verify", "data"]).expect(1);

    sandbox.run(&download(&server.url)).expect(0);
    let again = sidecar(&root, "2026-02");
    assert_eq!(again["locked"], true);
    for key in ["rows_sha256", "days", "sha256", "record_count", "month", "created_at"] {
        assert_eq!(again[key], whole[key], "{key}");
    }
    let plain = |sidecar: &Value| {
        let ranges = sidecar["coverage"].as_array().unwrap().iter();
        ranges.map(|range| [range["start"].clone(), range["end"].clone()]).collect::<Vec<_>>()
    };
    assert_eq!(plain(&again), plain(&whole));
    assert!(fs::read(month_path(&root, "2026-02")).unwrap() == file, "the file is as it was");
    sandbox.run(&["verify", "data"]).expect(0);
    let before = fs::read(sidecar_path(&root, "2026-02")).unwrap();
    sandbox.run(&download(&server.url)).expect(0);
    assert!(
        fs::read(sidecar_path(&root, "2026-02")).unwrap() == before,
        "and is not written again"
    );
}

/// Each old month holds the first second of the next one. That row is no reason to keep the month
/// twice, nor to tell of it for ever.
#[test]
fn a_row_that_is_left_out_does_not_keep_the_whole_month_twice() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("data");
    let truth = sandbox.truth("2026-02-01", NOW);
    let end = epoch("2026-03-01T00:00:00Z").secs();
    let month = bars(&truth, |epoch| epoch <= end);
    old_cache::write(&root, "2026-02", &month, &newer());
    let row = month.last().unwrap();
    let ran = sandbox.run(&["adopt", "--output", "data"]).expect(0);
    let place = ".titan/quarantine/R_100/candles_60/2026-02.1.rows.csv.set-aside";
    assert!(ran.stdout.contains(place), "{}", ran.stdout);
    let [open, high, low, close] = row.1;
    let expected = format!(
        "reason,epoch,open,high,low,close\nnext_month_start,{end},{open},{high},{low},{close}\n"
    );
    assert_eq!(fs::read_to_string(root.join(place)).unwrap(), expected);
    assert_eq!(ending_in(&root.join(".titan/quarantine"), "").len(), 1, "and nothing else");
    for _ in 0..2 {
        let verified = sandbox.run(&["verify", "data"]).expect(0).stdout;
        assert!(!verified.contains("quarantine") && !verified.contains("trusted"), "{verified}");
    }
    let explained = sandbox.run(&["explain", "R_100@2026-02-27", "--output", "data"]).expect(0);
    assert!(explained.stdout.contains("rows.csv"), "{}", explained.stdout);
}
