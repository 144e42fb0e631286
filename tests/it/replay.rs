//! Recorded ticks of the real feed, served by `simulate --replay` and downloaded by the real
//! binary: whatever the feed left out is a gap, and nothing is an error.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Sandbox, Server};

/// The recordings `SYMBOL.csv.gz` of the folder that is named, if one is.
fn recordings() -> Option<Vec<(String, PathBuf)>> {
    let folder = std::env::var_os("TITAN_RECORDED_TICKS")?;
    let named = |path: PathBuf| {
        let symbol = path.file_name()?.to_str()?.strip_suffix(".csv.gz")?.to_owned();
        Some((symbol, path))
    };
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    Some(paths.filter_map(named).collect())
}

/// Unpacks a recording beside the sandbox' other files; returns its lines.
fn unpacked(path: &Path, to: &Path) -> Vec<String> {
    let csv = Command::new("gzip").args(["-dc"]).arg(path).output().unwrap().stdout;
    fs::File::create(to).unwrap().write_all(&csv).unwrap();
    String::from_utf8(csv).unwrap().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn recordings_are_replayed_downloaded_and_found_sound() {
    let Some(recordings) = recordings() else {
        println!("skipped: name a folder of recorded ticks in TITAN_RECORDED_TICKS");
        return;
    };
    assert!(!recordings.is_empty(), "the folder holds no recording");
    for (symbol, path) in recordings {
        let sandbox = Sandbox::new();
        let file = sandbox.path("recorded.csv");
        let rows = unpacked(&path, &file);
        let epoch = |row: &String| row.split(',').next().unwrap().parse::<i64>().unwrap();
        let (first, last) = (epoch(&rows[0]), epoch(rows.last().unwrap()));
        let date = |epoch: i64| {
            chrono::DateTime::from_timestamp(epoch, 0).unwrap().format("%Y-%m-%d").to_string()
        };
        let replay = format!("{symbol}={}", file.display());
        let server = Server::start_at(&(last + 60).to_string(), &["--replay", &replay]);
        let start = date(first);
        let what = ["--symbol", &symbol, "--start-date", &start, "--rate", "unlimited", "--json"];
        let ran = sandbox.run(&[&what[..], &["--endpoint", &server.url, "-o", "data"]].concat());
        let report = ran.expect(0).json();
        server.end();
        let checked = sandbox.run(&["verify", "--deep", "--json", "data"]).expect(0).json();
        let ticks = checked["report"]["partitions"].as_array().unwrap();
        let ticks = ticks.iter().find(|p| p["path"].as_str().unwrap().contains("/ticks/")).unwrap();
        println!("{symbol}: {} rows recorded, {} published in all", rows.len(), report["rows"]);
        println!("{symbol}: gaps {}, {} findings", ticks["gap_counts"], ticks["findings"]);
        assert_eq!(ticks["rows"], rows.len(), "{symbol}");
        let inside: Vec<_> = ticks["gaps"].as_array().unwrap().iter().collect();
        // What the recording leaves out between two of its rows is exactly what is listed there.
        let epochs: Vec<i64> = rows.iter().map(epoch).collect();
        let usual = epochs[1] - epochs[0];
        let holes = epochs.windows(2).filter(|pair| pair[1] - pair[0] > usual);
        let expected: Vec<_> = holes.map(|pair| (pair[0] + 1, pair[1])).collect();
        let found: Vec<_> = inside
            .iter()
            .map(|gap| (gap["start"].as_i64().unwrap(), gap["end"].as_i64().unwrap()))
            .filter(|(start, end)| *start > first && *end <= last)
            .collect();
        assert_eq!(found, expected, "{symbol}");
    }
}
