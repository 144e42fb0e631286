//! A crash after any step of a publish leads to the state before or after it.

use super::*;
use crate::domain::RangeSet;
use crate::storage::publish::{Trust, Work};

/// Where the machine stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum After {
    Draft,
    Announcement,
    Name,
    Sidecar,
    HalfOfTheSweep,
}

pub(super) const EVERY_STEP: [After; 5] =
    [After::Draft, After::Announcement, After::Name, After::Sidecar, After::HalfOfTheSweep];

/// Publishes as the store does, and stops. What a dead process would leave behind stays.
pub(super) fn publish_until(store: &ParquetStore, publication: &Publication, last: After) {
    let key = key();
    let mut work = Work::gather::<Tick>(store, &key, publication, Trust::Headers).unwrap();
    let written = work.write::<Tick>().unwrap().unwrap();
    if last == After::Draft {
        return written.abandon();
    }
    work.announce(&written).unwrap();
    if last == After::Announcement {
        return written.abandon();
    }
    work.take_name(written).unwrap();
    if last == After::Name {
        return;
    }
    let sidecar = work.describe().unwrap();
    work.commit(&sidecar).unwrap();
    if last == After::HalfOfTheSweep {
        let staging = store.layout.staging_dir(&key);
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|e| e == "segment");
        let segment = staging::list(&staging).unwrap().into_iter().find(is_segment);
        fs::remove_file(segment.unwrap()).unwrap();
    }
}

/// Stages two segments, after `published_before` of them were published in an earlier run.
fn archive_before_the_crash(published_before: bool) -> (Archive, Vec<Tick>) {
    let archive = Archive::new();
    let rows = walk(3000);
    let store = archive.store("before");
    if published_before {
        stage(&store, range(0, 1000), &rows);
        publish(&store);
    }
    stage(&store, range(1000, 3000), &rows);
    stage(&store, range(3000, 6000), &rows);
    if !published_before {
        stage(&store, range(0, 1000), &rows);
    }
    (archive, rows)
}

#[test]
fn nothing_is_lost_whatever_the_step() {
    for published_before in [false, true] {
        let (whole, rows) = archive_before_the_crash(published_before);
        publish(&whole.store("whole"));

        for last in EVERY_STEP {
            let (archive, _) = archive_before_the_crash(published_before);
            publish_until(&archive.store("dead"), &publication(), last);

            let store = archive.store("next");
            let _guard = store.lock(&series()).unwrap();
            let stored = load(&store).unwrap();
            let missing = stored.coverage().missing(range(0, 6000));
            assert!(missing.is_empty(), "{last:?}: nothing is to be asked again: {missing:?}");
            let published = publish(&store);
            assert_eq!(published.record_count, 3000, "{last:?}");
            assert_eq!(read_rows::<Tick>(&archive.parquet()), rows);
            assert!(published.findings.is_empty(), "{last:?}: {:?}", published.findings);
            // Same bytes, same sidecar, staging swept, no draft left.
            assert_eq!(archive.files(), whole.files(), "{last:?}, {published_before}");
        }
    }
}

#[test]
fn readers_see_a_whole_file_at_every_step() {
    for last in EVERY_STEP {
        let (archive, rows) = archive_before_the_crash(true);
        publish_until(&archive.store("dead"), &publication(), last);
        let folder = archive.names_in("R_100/ticks/");
        let readable: Vec<_> = folder.iter().filter(|name| name.ends_with(".parquet")).collect();
        assert_eq!(readable, ["R_100/ticks/2026-03.parquet"], "{last:?}");
        let found = read_rows::<Tick>(&archive.parquet());
        let expected = if last < After::Name { &rows[..500] } else { &rows[..] };
        assert_eq!(found, expected, "{last:?}");
    }
}

#[test]
fn an_observer_tidies_nothing() {
    for last in EVERY_STEP {
        let (archive, _) = archive_before_the_crash(true);
        publish_until(&archive.store("alive"), &publication(), last);
        let before = archive.files();
        // A dry run while another run is at work.
        let stored = load(&archive.store("observer")).unwrap();
        assert!(stored.coverage().missing(range(0, 6000)).is_empty(), "{last:?}");
        assert_eq!(archive.files(), before, "{last:?}");
    }
}

#[test]
fn a_failed_publish_leaves_what_was_there() {
    let (archive, _) = archive_before_the_crash(true);
    let before = archive.files();
    let store = archive.store("next");
    let mut publication = publication();
    publication.failed = RangeSet::from(range(6000, 6001));
    let key = key();
    let mut work = Work::gather::<Tick>(&store, &key, &publication, Trust::Headers).unwrap();
    // An error on the way drops the draft.
    drop(work.write::<Tick>().unwrap().unwrap());
    assert_eq!(archive.files(), before);
}

/// Where the lock lies, two runs may publish one month at once. The slower one once gave its file
/// the name although it had not merged what the faster one had published meanwhile.
#[test]
fn a_file_is_never_replaced_by_one_that_was_merged_without_it() {
    for published_before in [false, true] {
        let (archive, rows) = archive_before_the_crash(published_before);
        let (slow, fast) = (archive.store("slow"), archive.store("fast"));
        let (key, publication) = (key(), publication());
        let mut work = Work::gather::<Tick>(&slow, &key, &publication, Trust::Headers).unwrap();
        let written = work.write::<Tick>().unwrap().unwrap();

        stage(&fast, range(6000, 7000), &rows);
        publish(&fast);
        let before = archive.bytes();
        let error = work.take_name(written).unwrap_err();
        assert!(error.to_string().contains("another run"), "{error}");
        assert_eq!(archive.bytes(), before);
        assert_eq!(archive.names_in("R_100/ticks/").len(), 2, "its draft is gone");
    }
}
