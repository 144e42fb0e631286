//! The corpus of the fuzz targets, fed to the same entries: nothing panics, and what is known is
//! taken for what it is.
//!
//! A file whose name begins with an expectation and two underscores says what it must be taken for;
//! what fuzzing adds has other names and need only be survived.

use std::path::PathBuf;

use titan_download::deriv::classify;
use titan_download::format::sidecar::Sidecar;

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
