//! The corpus of the fuzz targets, fed to the same entries: nothing panics, and what is known is
//! taken for what it is.
//!
//! A file whose name begins with an expectation and two underscores says what it must be taken for;
//! what fuzzing adds has other names and need only be survived.

use std::collections::HashMap;
use std::path::PathBuf;

use titan_download::deriv::classify;
use titan_download::domain::{Candle, PartitionInspector, PartitionKey, Series, Tick};
use titan_download::format::sidecar::Sidecar;
use titan_download::format::{Footer, FooterError};
use titan_download::integrity::PartitionChecker;
use titan_download::storage::doors;

/// What a file must be taken for, if that is known, its path and its bytes.
type Entry = (Option<String>, PathBuf, Vec<u8>);

/// Every file of a target; nothing in a packed crate, which leaves
/// out the package that `fuzz` is.
fn corpus(target: &str) -> Option<Vec<Entry>> {
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if project.join("Cargo.toml.orig").exists() {
        return None;
    }
    let folder = project.join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let expected = name.split_once("__").map(|(expected, _)| expected.to_owned());
            let bytes = std::fs::read(&path).unwrap();
            (expected, path, bytes)
        })
        .collect();
    files.sort();
    Some(files)
}

#[test]
fn every_message_is_taken_for_what_it_is() {
    let Some(files) = corpus("message") else { return };
    assert!(files.len() >= 70, "{} files", files.len());
    for (expected, path, bytes) in files {
        let found = classify(&bytes).replace(' ', "_");
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

#[test]
fn every_sidecar_is_taken_for_what_it_is() {
    let Some(files) = corpus("sidecar") else { return };
    assert!(files.len() >= 15, "{} files", files.len());
    for (expected, path, bytes) in files {
        let found = match Sidecar::from_json(&bytes) {
            Ok(sidecar) => {
                let _ = sidecar.coverage();
                assert_eq!(Sidecar::from_json(&sidecar.to_json()).unwrap(), sidecar);
                if sidecar.is_foreign() { "foreign" } else { "ours" }
            }
            Err(_) => "refused",
        };
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

fn key(kind: &str) -> PartitionKey {
    let series = Series { symbol: "R_100".parse().unwrap(), kind: kind.parse().unwrap() };
    PartitionKey { series, month: "2026-03".parse().unwrap() }
}

/// `EXPECTED__what.parquet`: what the reader of the store takes it for.
#[test]
fn every_parquet_file_is_taken_for_what_it_is() {
    let Some(files) = corpus("parquet") else { return };
    for (expected, path, _) in files {
        let key = key("candles_60");
        let found = match doors::partition::<Candle>(&path) {
            Ok(_) => "ours",
            Err(_) => "refused",
        };
        let inspected = PartitionChecker.inspect(&key, &path, &Default::default(), None);
        assert_eq!(found == "ours", inspected.findings.is_empty(), "{:?}", inspected.findings);
        assert_eq!(doors::partition::<Tick>(&path).ok(), None, "{}", path.display());
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

#[test]
fn every_segment_is_taken_for_what_it_is() {
    let Some(files) = corpus("segment") else { return };
    for (expected, path, _) in files {
        let read = doors::segment::<Candle>(&path, &key("candles_60"));
        let found = if read.is_ok() { "ours" } else { "refused" };
        assert!(doors::segment::<Tick>(&path, &key("ticks")).is_err(), "{}", path.display());
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{}: {read:?}", path.display());
        }
    }
}

/// One `key=value` a line.
#[test]
fn every_footer_is_taken_for_what_it_is() {
    let Some(files) = corpus("footer") else { return };
    for (expected, path, bytes) in files {
        let text = String::from_utf8(bytes).unwrap();
        let pairs: HashMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let found = match Footer::from_pairs(|key| pairs.get(key).copied()) {
            Ok(_) => "ours",
            Err(FooterError::Foreign) => "foreign",
            Err(_) => "refused",
        };
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

/// `EXPECTED__what.json`: how many facts are set aside, or that all of it is refused.
#[test]
fn of_every_file_of_facts_what_cannot_be_is_set_aside() {
    let Some(files) = corpus("facts") else { return };
    for (expected, path, bytes) in files {
        let found = doors::facts(&bytes).map_or("refused".to_owned(), |n| n.to_string());
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}
