//! The corpus of the fuzz targets, fed to the same entries: nothing panics, and what is known is
//! taken for what it is.
//!
//! A file whose name begins with an expectation and two underscores says what it must be taken for;
//! what fuzzing adds has other names and need only be survived.

use std::path::PathBuf;

use titan_download::deriv::classify;
use titan_download::format::sidecar::Sidecar;

/// Every file of a target as (expectation, path, bytes).
fn corpus(target: &str) -> Vec<(Option<String>, PathBuf, Vec<u8>)> {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let folder = fuzz.join("corpus").join(target);
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
    files
}

#[test]
fn every_message_is_taken_for_what_it_is() {
    let files = corpus("message");
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
    let files = corpus("sidecar");
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
