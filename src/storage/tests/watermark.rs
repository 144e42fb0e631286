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
        [None, Some(""), Some("{"), Some("[]"), Some(r#"{"format_version": 0, "series": {}}"#)]
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
fn a_file_of_a_newer_version_stays() {
    let archive = published();
    let newer = r#"{"format_version": 9, "series": {"R_100/ticks": {"of": "another form"}}}"#;
    fs::write(path(&archive), newer).unwrap();
    drop(archive.store("next").lock(&series()).unwrap());
    assert_eq!(fs::read_to_string(path(&archive)).unwrap(), newer);
}

/// The one place that remembers a month whose two files are gone.
#[test]
fn a_month_that_is_gone_stays_in_it_and_proves_nothing() {
    let archive = published();
    let right = fs::read(path(&archive)).unwrap();
    let files = [archive.parquet(), archive.sidecar_path()].map(|path| (fs::read(&path), path));
    files.iter().for_each(|(_, path)| fs::remove_file(path).unwrap());
    for _ in 0..2 {
        drop(archive.store("next").lock(&series()).unwrap());
        let standing = file(&archive).series["R_100/ticks"].clone();
        assert_eq!(standing.months, ["2026-03"]);
        assert_eq!(standing.problems["2026-03"], "its files are gone");
        assert_eq!((standing.watermark, standing.rows), (None, 0));
    }
    for (bytes, path) in files {
        fs::write(path, bytes.unwrap()).unwrap();
    }
    drop(archive.store("next").lock(&series()).unwrap());
    assert_eq!(fs::read(path(&archive)).unwrap(), right);
}

#[test]
fn other_series_keep_their_place_and_what_is_gone_is_said() {
    let archive = published();
    let mut with_others = file(&archive);
    let standing = with_others.series["R_100/ticks"].clone();
    for name in ["R_50/ticks", "R_75/ticks"] {
        with_others.series.insert(name.to_owned(), standing.clone());
    }
    fs::write(path(&archive), with_others.to_json()).unwrap();
    fs::create_dir_all(archive.root().join("R_75/ticks")).unwrap();
    drop(archive.store("next").lock(&series()).unwrap());
    let series = file(&archive).series;
    assert_eq!(series.keys().collect::<Vec<_>>(), ["R_100/ticks", "R_50/ticks", "R_75/ticks"]);
    assert_eq!(series["R_75/ticks"], standing, "whoever takes it next looks");
    assert_eq!(series["R_50/ticks"].watermark, None);
    assert_eq!(series["R_50/ticks"].problems["2026-03"], "its files are gone");
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
