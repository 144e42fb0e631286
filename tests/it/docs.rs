//! The documents name only what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn functions() -> BTreeSet<String> {
    let mut files = Vec::new();
    rust_files(&project().join("src"), &mut files);
    rust_files(&project().join("tests"), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for piece in text.split("fn ").skip(1) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            names.insert(piece.split(|c| !is_name(c)).next().unwrap_or_default().to_owned());
        }
    }
    names
}

/// What stands in backticks and looks like the name of a test: words joined by at least two
/// underscores, and an ellipsis where the rest of the name is left out.
fn tests_named_in(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_…".contains(c);
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(move |t| t.chars().all(is_part) && t.matches('_').count() >= 2)
}

#[test]
fn every_test_that_is_named_exists() {
    // Keys and options of the program that look like tests.
    let others = ["download_duration_seconds", "confirmed_by_source"];
    let functions = functions();
    let mut n_named = 0;
    for document in ["ARCHITECTURE.md", "docs/audit.md"] {
        let text = fs::read_to_string(project().join(document)).unwrap();
        for named in tests_named_in(&text).filter(|named| !others.contains(named)) {
            n_named += 1;
            let exists = match named.strip_suffix('…') {
                Some(start) => functions.iter().any(|name| name.starts_with(start)),
                None => functions.contains(named),
            };
            assert!(exists, "{document} names `{named}`, and there is no such function");
        }
    }
    assert!(n_named > 100, "only {n_named} names were found: do the documents still have tables?");
}

/// Every kind of finding has its line in the runbook.
#[test]
fn the_runbook_knows_every_finding() {
    let kinds = fs::read_to_string(project().join("src/domain/finding.rs")).unwrap();
    let kinds = kinds.split("pub enum FindingKind {").nth(1).unwrap().split("\n}").next().unwrap();
    let runbook = fs::read_to_string(project().join("docs/operations.md")).unwrap();
    let is_variant = |line: &&str| line.ends_with(',') && !line.starts_with("//");
    let mut n_kinds = 0;
    for variant in kinds.lines().map(str::trim).filter(is_variant) {
        let mut name = String::new();
        for letter in variant.trim_end_matches(',').chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        n_kinds += 1;
        assert!(runbook.contains(&format!("`{name}`")), "docs/operations.md lacks `{name}`");
    }
    assert!(n_kinds > 30, "only {n_kinds} kinds were found");
}
