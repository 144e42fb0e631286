//! A damaged file loses only the days whose hash fails.

use super::*;
use crate::domain::{Coverage, CoverageState, RangeSet};
use crate::storage::salvage::salvage;
use crate::storage::staging::Staging;

const DAY: i64 = 86_400;
/// Days with rows; the one after them was answered and silent.
const DAYS: i64 = 5;
/// What is covered, in seconds from the start of the month.
const COVERED: i64 = (DAYS + 1) * DAY;

/// Five days of one tick a minute, and a silent day, in row groups of 1000 rows.
fn archive() -> (Archive, Vec<Tick>) {
    let archive = Archive::new();
    let minute = |(i, row): (usize, Tick)| tick(i as i64 * 60, row.quote);
    let rows: Vec<_> = walk(1440 * 5).into_iter().enumerate().map(minute).collect();
    let store = archive.store("before");
    stage(&store, range(0, COVERED), &rows);
    publish(&store);
    (archive, rows)
}

fn flip(archive: &Archive, at: usize) {
    let mut bytes = archive.bytes();
    bytes[at] ^= 0x10;
    fs::write(archive.parquet(), bytes).unwrap();
}

fn day(n: i64) -> EpochRange {
    range(n * DAY, (n + 1) * DAY)
}

/// Every published day is whole or gone, and exactly those that are gone are to be asked.
#[track_caller]
fn assert_days(archive: &Archive, rows: &[Tick], coverage: &Coverage, what: &str) -> Vec<i64> {
    let found = read_rows::<Tick>(&archive.parquet());
    let of = |rows: &[Tick], n| -> Vec<Tick> {
        rows.iter().copied().filter(|row| day(n).contains(row.epoch)).collect()
    };
    let lost: Vec<i64> = (0..DAYS).filter(|n| of(&found, *n).is_empty()).collect();
    for n in (0..DAYS).filter(|n| !lost.contains(n)) {
        assert_eq!(of(&found, n), of(rows, n), "{what}: day {n}");
    }
    let missing: RangeSet = lost.iter().map(|n| day(*n)).collect();
    assert_eq!(coverage.missing(range(0, COVERED)), missing, "{what}");
    lost
}

/// The byte may be noticed at once, because the sidecar is gone, or in the middle of a publish.
#[test]
fn a_flipped_byte_costs_a_day_and_not_the_month() {
    let (whole, rows) = archive();
    let bytes = whole.bytes();
    let mut n_partly = 0;
    for (n, at) in (4..bytes.len() - 2000).step_by(bytes.len() / 14).enumerate() {
        let (archive, _) = archive();
        flip(&archive, at);
        let what = format!("byte {at}");
        let store = archive.store("next");
        if n % 2 == 0 {
            fs::remove_file(archive.sidecar_path()).unwrap();
            load_owned(&store).unwrap();
        } else {
            stage(&store, range(COVERED, COVERED + 10), &[]);
        }
        let published = publish(&store);
        let lost = assert_days(&archive, &rows, &published.coverage, &what);
        n_partly += usize::from((1..DAYS as usize).contains(&lost.len()));
        let Some(told) = published.findings.iter().find(|f| f.found.contains("quarantine")) else {
            assert!(lost.is_empty(), "{what}: what was hit is not part of any row");
            continue;
        };
        assert_eq!(told.severity, crate::domain::Severity::Warning);
        for n in lost.iter().filter(|_| lost.len() < DAYS as usize) {
            assert!(told.found.contains(&format!("2026-03-0{}", n + 1)), "{told}");
        }
        // Once the lost days are answered, it is as if nothing had been.
        for n in lost {
            stage(&store, day(n), &rows);
        }
        publish(&store);
        if published.coverage.ranges().last().unwrap().end == range(0, COVERED).end() {
            assert!(archive.bytes() == bytes, "{what}");
        }
    }
    assert!(n_partly >= 5, "{n_partly} of them lost some days and not all");
}

/// After a crash with the days staged and the file still in its place, the same comes out.
#[test]
fn a_crash_while_days_are_saved_changes_nothing() {
    let mut outcomes = Vec::new();
    for crashes in [0, 1, 2] {
        let (archive, rows) = archive();
        flip(&archive, archive.bytes().len() / 2);
        let dead = archive.store("dead");
        let sidecar = archive.sidecar();
        for _ in 0..crashes {
            let key = key();
            let staging = Staging::new(&dead, &key);
            salvage::<Tick>(&staging, &key, &archive.parquet(), Some(&sidecar)).unwrap();
        }
        fs::write(archive.sidecar_path(), "{").unwrap();
        let store = archive.store("next");
        load_owned(&store).unwrap();
        let published = publish(&store);
        let lost = assert_days(&archive, &rows, &published.coverage, "a crash");
        assert!((1..DAYS as usize).contains(&lost.len()));
        outcomes.push((archive.bytes(), kinds(&published.findings)));
    }
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
}

/// Its first day was held once: whoever asks where history begins must know that.
#[test]
fn what_is_lost_was_held_once() {
    let (archive, rows) = archive();
    flip(&archive, 40);
    fs::remove_file(archive.sidecar_path()).unwrap();
    let store = archive.store("next");
    let stored = load_owned(&store).unwrap();
    // The good days have the name already.
    assert_eq!(
        stored.published.select(CoverageState::is_settled),
        RangeSet::from(range(DAY, COVERED))
    );
    assert!(stored.lost.covers(day(0)), "{stored:?}");
    assert_eq!(stored.coverage().state_at(day(0).start()), Some(CoverageState::Failed));
    publish(&store);
    // In the sidecar too, from one run to the next, until the day is answered.
    stage(&store, range(COVERED, COVERED + 10), &[]);
    publish(&store);
    assert_eq!(load_owned(&store).unwrap().first_held, Some(day(0).start()));
    for n in 0..DAYS {
        stage(&store, day(n), &rows);
    }
    publish(&store);
    assert_eq!(load_owned(&store).unwrap().first_held, None);
}

/// A footer that claims more than the sidecar is not believed, nor the other way round; the rows are
/// what was written all the same.
#[test]
fn a_second_counts_as_held_only_if_both_say_so() {
    let (archive, _) = archive();
    let sidecar = archive.sidecar();
    let mut shorter = sidecar.clone();
    shorter.coverage[0].end = day(2).end();
    shorter.file_size = Some(1);
    fs::write(archive.sidecar_path(), shorter.to_json()).unwrap();
    flip(&archive, 40);
    let stored = load_owned(&archive.store("next")).unwrap();
    let known = stored.published;
    let held = known.select(|state| state != CoverageState::Inherited);
    assert_eq!(held.iter().next_back().unwrap().end(), day(2).end());
    let beside = known.select(|state| state == CoverageState::Inherited);
    let hulls: Vec<_> = [3, 4].map(|n| range(n * DAY, n * DAY + 1439 * 60 + 1)).into();
    assert_eq!(beside.iter().collect::<Vec<_>>(), hulls);
}

/// The end of a Parquet file tells where everything is: without it only the sidecar knows what
/// was held.
#[test]
fn without_its_end_a_file_gives_nothing_back() {
    let (archive, _) = archive();
    let bytes = archive.bytes();
    fs::write(archive.parquet(), &bytes[..bytes.len() - 100]).unwrap();
    let stored = load_owned(&archive.store("next")).unwrap();
    assert!(stored.staged.is_empty() && stored.published.is_empty());
    assert_eq!(stored.lost, RangeSet::from(range(0, COVERED)));
}

/// A digit of the footer that changed makes its claim false; the sidecar still proves the rows.
#[test]
fn a_damaged_footer_is_made_good_by_the_sidecar() {
    let (archive, rows) = archive();
    let mut bytes = archive.bytes();
    let name = b"titan.rows_sha256";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at] ^= 0x20;
    fs::write(archive.parquet(), bytes).unwrap();
    let mut sidecar = archive.sidecar();
    sidecar.file_size = Some(1);
    fs::write(archive.sidecar_path(), sidecar.to_json()).unwrap();
    let store = archive.store("next");
    let stored = load_owned(&store).unwrap();
    assert!(stored.lost.is_empty(), "{stored:?}");
    let published = publish(&store);
    assert_eq!(read_rows::<Tick>(&archive.parquet()), rows);
    assert!(published.findings[0].found.contains("nothing of what it proved is lost"));
}

#[test]
fn a_file_that_vanished_was_held_once() {
    let (archive, _) = archive();
    fs::remove_file(archive.parquet()).unwrap();
    let store = archive.store("next");
    let stored = load_owned(&store).unwrap();
    assert_eq!(stored.lost, RangeSet::from(range(0, COVERED)), "lost, and not unknown");
    assert!(stored.has_remarks, "and somebody is told");
    assert!(!archive.sidecar_path().exists());
    // Nothing of it is taken for an answer.
    assert_eq!(stored.coverage().missing(range(0, COVERED)), RangeSet::from(range(0, COVERED)));
}
