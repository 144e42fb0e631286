//! Folders, locks and facts.

use super::*;
use crate::domain::{FactsStore, SeriesFacts, SourceFacts};

#[test]
fn opening_makes_nothing_and_preparing_makes_the_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("deep/data_cache");
    let options = StoreOptions::default();
    let store = ParquetStore::open(&root, options, Arc::<FakeInspector>::default()).unwrap();
    assert!(!dir.path().join("deep").exists());
    assert!(load(&store).unwrap().published.is_empty());
    assert!(!dir.path().join("deep").exists(), "a look makes nothing either");
    store.prepare().unwrap();
    store.prepare().unwrap();
    let mut files = BTreeMap::new();
    collect(&root, &root, &mut files);
    assert!(files.is_empty(), "no probe is left: {files:?}");
    #[cfg(unix)]
    for name in ["locks", "staging", "quarantine"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(root.join(".titan").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{name}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let open = |root: &Path| {
        let options = StoreOptions::default();
        ParquetStore::open(root, options, Arc::<FakeInspector>::default()).unwrap()
    };
    let error = open(&file.join("data_cache")).prepare().unwrap_err();
    assert!(error.to_string().contains("cannot create the folder"), "{error}");

    // Half-way: the root can be made, `.titan` cannot.
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join(".titan"), "").unwrap();
    let error = open(&root).prepare().unwrap_err();
    assert!(error.to_string().contains(".titan"), "{error}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    fs::remove_file(root.join(".titan")).unwrap();
    fs::create_dir(root.join(".titan")).unwrap();
    fs::write(root.join(".titan/staging"), "").unwrap();
    open(&root).prepare().unwrap_err();
    assert_eq!(
        fs::read_dir(root.join(".titan")).unwrap().count(),
        1,
        "`locks` is taken away again"
    );
}

#[test]
fn an_impossible_compression_is_refused() {
    let options = StoreOptions { compression: Compression::Zstd(99), ..StoreOptions::default() };
    assert!(ParquetStore::open("x", options, Arc::<FakeInspector>::default()).is_err());
}

#[cfg(unix)]
#[test]
fn links_that_lead_out_of_the_archive_are_not_followed() {
    use std::os::unix::fs::symlink;

    let outside = tempfile::tempdir().unwrap();
    let refused = |archive: &Archive| {
        let store = archive.store("a");
        stage(&store, range(0, 10), &[tick(0, 1.0)]);
        for error in [load(&store).unwrap_err(), publish_with(&store, &publication()).unwrap_err()]
        {
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    };
    let archive = Archive::new();
    symlink(outside.path(), archive.root().join("R_100")).unwrap();
    refused(&archive);

    let archive = Archive::new();
    fs::create_dir(archive.root().join("R_100")).unwrap();
    symlink(outside.path(), archive.root().join("R_100/ticks")).unwrap();
    refused(&archive);

    let archive = Archive::new();
    fs::create_dir_all(archive.root().join("R_100/ticks")).unwrap();
    symlink(outside.path().join("new"), archive.parquet()).unwrap();
    refused(&archive);

    let archive = Archive::new();
    symlink(outside.path(), archive.root().join(".titan")).unwrap();
    let error = archive.store("a").stage(&key(), &segment(range(0, 10), &[])).unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
}

#[test]
fn a_series_has_one_writer_and_the_second_learns_who() {
    let archive = Archive::new();
    let first = archive.store("first").started_at(Epoch::new(START));
    let second = archive.store("second");
    let guard = first.lock(&series()).unwrap();
    for store in [&first, &second] {
        let error = store.lock(&series()).unwrap_err();
        assert!(matches!(error, StoreError::Held { .. }), "{error}");
        let text = error.to_string();
        let pid = format!("process {}", std::process::id());
        for part in ["R_100 ticks is being written by", &pid, "since 2026-03-01T00:00:00Z"] {
            assert!(text.contains(part), "{text}");
        }
    }
    let other = Series { symbol: "R_50".parse().unwrap(), kind: Kind::Ticks };
    second.lock(&other).unwrap();
    assert_eq!(first.access(&key()), Access::Owner);
    assert_eq!(second.access(&key()), Access::Observer);
    drop(guard);
    assert_eq!(first.access(&key()), Access::Observer);
    drop(second.lock(&series()).unwrap());
    assert!(Layout::new(archive.root()).lock(&series()).exists(), "the lock file stays");
}

#[test]
fn facts_are_kept_by_endpoint() {
    let archive = Archive::new();
    let open = |endpoint: &str| {
        let options = StoreOptions { endpoint: endpoint.into(), ..archive.options("a") };
        ParquetStore::open(archive.root(), options, archive.inspector.clone()).unwrap()
    };
    let (one, two) = (open("wss://one"), open("wss://two"));
    assert_eq!(one.load_facts(), SourceFacts::default());
    assert!(archive.files().is_empty());

    let mut facts = SourceFacts { page_cap: Some(1000), ..SourceFacts::default() };
    facts.series.insert("R_100/ticks".into(), SeriesFacts::default());
    one.save_facts(&facts).unwrap();
    two.save_facts(&SourceFacts { page_cap: Some(5000), ..SourceFacts::default() }).unwrap();
    assert_eq!(one.load_facts(), facts);
    assert_eq!(two.load_facts().page_cap, Some(5000));
}

#[test]
fn facts_that_cannot_be_read_are_set_aside_when_new_ones_come() {
    for spoiled in ["{", "[]", r#"{"format_version": 0, "endpoints": {}}"#] {
        let archive = Archive::new();
        let store = archive.store("a");
        store.prepare().unwrap();
        fs::write(store.layout().source_facts(), spoiled).unwrap();
        assert_eq!(store.load_facts(), SourceFacts::default());
        let facts = SourceFacts { page_cap: Some(7), ..SourceFacts::default() };
        store.save_facts(&facts).unwrap();
        assert_eq!(store.load_facts(), facts);
        let aside = &archive.files()[".titan/quarantine/source-facts.1.json.set-aside"];
        assert_eq!(aside, spoiled.as_bytes());
    }
}
