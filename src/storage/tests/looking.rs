//! Looking whether a run could write changes nothing.

use std::io;

use super::*;

fn series() -> Series {
    Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks }
}

fn store(root: &Path) -> ParquetStore {
    ParquetStore::open(root, StoreOptions::default(), Arc::new(FakeInspector::default())).unwrap()
}

#[test]
fn a_folder_that_is_not_there_is_judged_by_the_one_above() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b");
    store(&root).check_writable().unwrap();
    assert!(!dir.path().join("a").exists(), "it only looked");
    fs::write(dir.path().join("a"), "a file").unwrap();
    let StoreError::Io { source, .. } = store(&root).check_writable().unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(source.kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn a_holder_is_seen_and_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let (owner, other) = (store(dir.path()), store(dir.path()));
    assert_eq!(other.holder(&series()).unwrap(), None);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "it only looked");
    let guard = owner.lock(&series()).unwrap();
    let held = other.holder(&series()).unwrap().unwrap();
    assert!(held.contains(&std::process::id().to_string()), "{held}");
    drop(guard);
    assert_eq!(other.holder(&series()).unwrap(), None);
    drop(owner.lock(&series()).unwrap());
}
