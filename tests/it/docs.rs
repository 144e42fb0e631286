//! The documents name only what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use titan_download::domain::FindingKind;

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
    let runbook = fs::read_to_string(project().join("docs/operations.md")).unwrap();
    for kind in FindingKind::ALL {
        assert!(runbook.contains(&format!("`{kind}`")), "docs/operations.md lacks `{kind}`");
    }
}

/// No crate of the tree asks for a newer Rust than the program does. What std had by then is
/// clippy's to say (`incompatible_msrv`); only a build with that Rust proves the rest.
#[test]
fn no_dependency_needs_a_newer_rust() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    // Crates for other platforms need not be there.
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).current_dir(project());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let version = |text: &str| -> Vec<u32> {
        let mut numbers: Vec<_> = text.split('.').map(|part| part.parse().unwrap()).collect();
        numbers.resize(3, 0);
        numbers
    };
    let ours = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    for package in packages {
        let Some(theirs) = package["rust_version"].as_str() else { continue };
        assert!(version(theirs) <= ours, "{} needs Rust {theirs}", package["id"]);
    }
}

/// The documents, with their text.
pub(crate) fn documents() -> Vec<(String, String)> {
    let mut names: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
            .into_iter()
            .map(str::to_owned)
            .collect();
    for entry in fs::read_dir(project().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        names.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    names.sort();
    let text = |name: &String| fs::read_to_string(project().join(name)).unwrap();
    names.iter().map(|name| (name.clone(), text(name))).collect()
}

/// The name under which a heading is linked to.
fn anchor(heading: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading.chars().filter(is_kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Whatever a document links to is there, headings too.
#[test]
fn links_lead_somewhere() {
    let mut n_links = 0;
    for (name, text) in documents() {
        let folder = project().join(&name).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.contains("://") {
                continue;
            }
            n_links += 1;
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { project().join(&name) } else { folder.join(path) };
            assert!(path.exists(), "{name} links to `{target}`");
            if !heading.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.any(|name| name == heading), "{name} links to `{target}`");
            }
        }
    }
    assert!(n_links > 30, "only {n_links} links");
}

/// Each metric that is written has its place in the table, and each alert names one.
#[test]
fn the_metrics_are_those_that_are_written() {
    let source = fs::read_to_string(project().join("src/cli/record/metrics.rs")).unwrap();
    let in_quotes = |rest: &str| rest.split('"').next().unwrap().to_owned();
    let written: BTreeSet<_> = source.split("name!(\"").skip(1).map(in_quotes).collect();
    assert!(written.len() > 25, "{written:?}");
    let page = fs::read_to_string(project().join("docs/operations.md")).unwrap();
    for name in &written {
        let is_listed = ["`", "{"].iter().any(|end| page.contains(&format!("`{name}{end}")));
        assert!(is_listed, "docs/operations.md lacks `{name}`");
    }
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    for named in page.split("titan_download_").skip(1) {
        let name = named.split(|c| !is_name(c)).next().unwrap();
        assert!(name.is_empty() || written.contains(name), "there is no metric `{name}`");
    }
}

/// The map of ARCHITECTURE.md leaves out no module and no file of these tests.
#[test]
fn the_map_is_complete() {
    let map = fs::read_to_string(project().join("ARCHITECTURE.md")).unwrap();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<_> = map.split(|c| !is_word(c)).collect();
    let mut folders = vec![project().join("tests/it"), project().join("src")];
    for entry in fs::read_dir(project().join("src")).unwrap() {
        folders.extend(Some(entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    let mut n_files = 0;
    for path in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = path.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_left_out = ["mod", "main", "snapshots"].contains(&name) || name.contains("test");
        n_files += 1;
        assert!(is_left_out || words.contains(name), "ARCHITECTURE.md lacks {}", path.display());
    }
    assert!(n_files > 150, "{n_files} files");
}

/// The container builds with the Rust of everybody else, and with no other it would have to fetch.
#[test]
fn the_container_has_the_toolchain() {
    let read = |name| fs::read_to_string(project().join(name)).unwrap();
    let (toolchain, dockerfile) = (read("rust-toolchain.toml"), read("Dockerfile"));
    let channel = toolchain.split("channel = \"").nth(1).unwrap().split('"').next().unwrap();
    for needed in [format!("FROM rust:{channel}-alpine"), format!("RUSTUP_TOOLCHAIN={channel}\n")] {
        assert!(dockerfile.contains(&needed), "Dockerfile lacks `{}`", needed.trim());
    }
}
