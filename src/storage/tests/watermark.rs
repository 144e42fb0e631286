//! `.titan/watermark.json` after publishes, crashes and foreign hands.

use super::*;
use crate::format::WatermarkFile;

fn path(archive: &Archive) -> PathBuf {
    Layout::new(archive.root()).watermark()
}

fn file(archive: &Archive) -> WatermarkFile {
    WatermarkFile::from_json(&fs::read(path(archive)).unwrap()).unwrap()
}

/// Seconds after the start of the month.
fn mark(archive: &Archive) -> Option<i64> {
    file(archive).series["R_100/ticks"].watermark.map(|epoch| epoch.secs() - START)
}

fn published() -> Archive {
    let archive = Archive::new();
    let store = archive.store("first");
    stage(&store, range(0, 1000), &walk(500));
    publish(&store);
    archive
}

#[test]
fn every_publish_says_how_far_it_got() {
    let archive = published();
    assert_eq!(mark(&archive), Some(1000));
    let standing = &file(&archive).series["R_100/ticks"];
    assert_eq!((standing.rows, standing.months.as_slice()), (500, &["2026-03".to_owned()][..]));
    let now = publication().server_now.to_string();
    assert_eq!(file(&archive).updated_at, Some(now));

    let store = archive.store("second");
    stage(&store, range(1500, 2000), &walk(1000));
    publish(&store);
    assert_eq!(mark(&archive), Some(1000), "what was not asked stops it");
    stage(&store, range(1000, 1500), &walk(1000));
    publish(&store);
    assert_eq!(mark(&archive), Some(2000));
}

#[cfg(unix)]
#[test]
fn others_may_read_it_as_they_read_the_sidecars() {
    use std::os::unix::fs::PermissionsExt;

    let archive = published();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path(&archive)), mode(&archive.sidecar_path()));
}

/// Killed between the sidecar and this file: the next run that takes the series puts it right.
#[test]
fn a_file_left_behind_is_put_right_by_the_next_run() {
    let archive = published();
    let right = fs::read(path(&archive)).unwrap();
    for wrong in
        [None, Some(""), Some("{"), Some("[]"), Some(r#"{"format_version": 9, "series": {}}"#)]
    {
        match wrong {
            None => fs::remove_file(path(&archive)).unwrap(),
            Some(text) => fs::write(path(&archive), text).unwrap(),
        }
        drop(archive.store("next").lock(&series()).unwrap());
        assert_eq!(fs::read(path(&archive)).unwrap(), right, "{wrong:?}");
    }
}

#[test]
fn other_series_keep_their_place_unless_they_are_gone() {
    let archive = published();
    let mut with_others = file(&archive);
    let standing = with_others.series["R_100/ticks"].clone();
    for name in ["R_50/ticks", "R_75/ticks"] {
        with_others.series.insert(name.to_owned(), standing.clone());
    }
    fs::write(path(&archive), with_others.to_json()).unwrap();
    fs::create_dir_all(archive.root().join("R_75/ticks")).unwrap();
    drop(archive.store("next").lock(&series()).unwrap());
    let names: Vec<_> = file(&archive).series.into_keys().collect();
    assert_eq!(names, ["R_100/ticks", "R_75/ticks"]);
}

#[test]
fn writers_of_different_series_lose_nothing_of_each_other() {
    let archive = Archive::new();
    let symbols = ["R_10", "R_25", "R_50", "R_75"];
    std::thread::scope(|scope| {
        for symbol in symbols {
            let archive = &archive;
            scope.spawn(move || {
                let store = archive.store(symbol);
                let series = Series { symbol: symbol.parse().unwrap(), kind: Kind::Ticks };
                let key = PartitionKey { series, month: month() };
                for start in [0, 1000, 2000] {
                    let range = range(start, start + 1000);
                    store.stage(&key, &segment(range, &walk(1500))).unwrap();
                    PartitionStore::<Tick>::publish(&store, &key, &publication()).unwrap();
                }
            });
        }
    });
    for symbol in symbols {
        let mark = file(&archive).series[&format!("{symbol}/ticks")].watermark;
        assert_eq!(mark, Some(Epoch::new(START + 3000)), "{symbol}");
    }
}

/// A folder where the file should be: the publish succeeds all the same.
#[test]
fn failing_to_write_it_spoils_no_publish() {
    let archive = Archive::new();
    fs::create_dir_all(path(&archive).join("in the way")).unwrap();
    let store = archive.store("first");
    stage(&store, range(0, 1000), &walk(500));
    assert_eq!(publish(&store).record_count, 500);
    assert_eq!(archive.sidecar().record_count, 500);
}

/// What cannot be trusted any more is not said to be proved.
#[test]
fn a_partition_that_is_given_up_lowers_it() {
    let archive = published();
    fs::write(archive.parquet(), "no Parquet").unwrap();
    let _ = load_owned(&archive.store("next"));
    let standing = &file(&archive).series["R_100/ticks"];
    assert_eq!((standing.watermark, standing.problems.len()), (None, 1));
}
