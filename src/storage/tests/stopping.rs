//! A publish that gives up because the run is ending leaves everything as it was.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Hears of the end when it looks for the `at`th time.
fn stopped_at(archive: &Archive, at: u64) -> ParquetStore {
    let n_looks = AtomicU64::new(0);
    let is_ending = move || n_looks.fetch_add(1, Ordering::Relaxed) + 1 >= at;
    archive.store("ending").stopped_by(Arc::new(is_ending))
}

#[test]
fn whenever_it_gives_up_nothing_was_changed() {
    let mut n_stopped = 0;
    for at in 1.. {
        let archive = Archive::new();
        let rows = walk(30_000);
        let store = archive.store("before");
        stage(&store, range(0, 1000), &rows);
        publish(&store);
        stage(&store, range(1000, 30_000), &rows);
        stage(&store, range(30_000, 60_000), &rows);
        let before = archive.files();
        match publish_with(&stopped_at(&archive, at), &publication()) {
            Ok(published) => {
                assert_eq!(published.record_count, 30_000);
                break;
            }
            Err(StoreError::Stopped) => n_stopped += 1,
            Err(error) => panic!("{at}: {error}"),
        }
        // No draft, no announcement, and every segment is there.
        assert!(archive.files() == before, "{at}");
        assert_eq!(publish(&archive.store("next")).record_count, 30_000, "{at}");
        assert_eq!(read_rows::<Tick>(&archive.parquet()), rows, "{at}");
    }
    // At the start, at each file of the staging, in each batch of rows, and before the new name.
    assert!(n_stopped >= 8, "{n_stopped}");
}

#[test]
fn a_load_gives_up_and_staging_goes_on() {
    let archive = Archive::new();
    let rows = walk(100);
    let store = stopped_at(&archive, 1);
    stage(&store, range(0, 200), &rows);
    assert!(matches!(load(&store), Err(StoreError::Stopped)));
    assert_eq!(publish(&archive.store("next")).record_count, 100);
}
