//! Partitions of another tool: what is good in them becomes ours, what is not is named and kept.

use std::sync::Arc as Shared;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression as Codec;
use parquet::file::properties::WriterProperties;

use super::super::adopt::Foreign;
use super::*;
use crate::domain::{CoverageState, PartitionState, RangeSet};

pub(super) const FOREIGN_SIDECAR: &str = r#"{"schema_version": "1.0.0", "symbol": "R_100",
    "data_type": "ticks", "granularity": null, "start_epoch": 0, "end_epoch": 0,
    "record_count": 2, "gaps_detected": 0, "duplicates_removed": 0, "locked": false}"#;

/// A partition of two ticks as another tool writes it.
pub(super) fn write_foreign(archive: &Archive, sidecar: Option<&str>) {
    write_old(archive, &[(0, 1.0), (2, 2.0)], sidecar);
}

/// Ticks by their second of the month, columns in the other order, compressed with snappy.
pub(super) fn write_old(archive: &Archive, rows: &[(i64, f64)], sidecar: Option<&str>) {
    let path = archive.parquet();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let fields = vec![
        Field::new("quote", DataType::Float64, true),
        Field::new("epoch", DataType::Int64, true),
    ];
    let epochs = rows.iter().map(|(second, _)| START + second);
    let columns: Vec<ArrayRef> = vec![
        Shared::new(Float64Array::from_iter_values(rows.iter().map(|(_, quote)| *quote))),
        Shared::new(Int64Array::from_iter_values(epochs)),
    ];
    let batch = RecordBatch::try_new(Shared::new(Schema::new(fields)), columns).unwrap();
    let properties = WriterProperties::builder().set_compression(Codec::SNAPPY).build();
    let file = fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    if let Some(sidecar) = sidecar {
        fs::write(archive.sidecar_path(), sidecar).unwrap();
    }
}

/// The sidecar that describes `rows` rightly.
fn fitting_sidecar(rows: &[(i64, f64)]) -> String {
    format!(
        r#"{{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "ticks",
        "granularity": null, "start_epoch": {}, "end_epoch": {}, "record_count": {},
        "gaps_detected": 4, "duplicates_removed": 3, "created_at": "2026-03-20T00:00:00Z",
        "download_duration_seconds": 2.5, "file_size": 9}}"#,
        START + rows[0].0,
        START + rows[rows.len() - 1].0,
        rows.len(),
    )
}

/// One that says more than the new one will.
fn chatty_sidecar() -> String {
    fitting_sidecar(&FAULTY).replace("\"file_size\": 9", "\"file_size\": 9, \"colour\": 1")
}

fn ticks(rows: &[(i64, f64)]) -> Vec<Tick> {
    rows.iter().map(|(second, quote)| tick(*second, *quote)).collect()
}

fn inherited(start: i64, end: i64) -> crate::domain::Coverage {
    let mut coverage = crate::domain::Coverage::new();
    coverage.insert(range(start, end), CoverageState::Inherited);
    coverage
}

/// Two good rows, an hour of nothing, and one row each of four sorts that do not belong there.
const FAULTY: [(i64, f64); 7] = [
    (10, 1.5),
    (12, f64::NAN),
    (3610, 1.25),
    (3610, 1.25),
    (3610, 9.0),
    (31 * 86_400, 3.0),
    (90 * 86_400, 4.0),
];

#[test]
fn good_rows_become_inherited_and_nothing_else_is_needed() {
    let archive = Archive::new();
    let rows = [(10, 1.5), (12, 0.1 + 0.2), (3610, 1.25)];
    write_old(&archive, &rows, Some(&fitting_sidecar(&rows)));
    *archive.inspector.gaps.lock().unwrap() = vec![range(13, 3610)];

    let stored = load_owned(&archive.store("a")).unwrap();
    assert_eq!(stored.published, inherited(10, 3611));
    assert_eq!((stored.record_count, stored.state), (3, Some(PartitionState::Open)));
    assert_eq!(stored.unexplained, [range(13, 3610)]);
    assert!(!stored.has_remarks, "nothing was wrong");
    assert_eq!(read_rows::<Tick>(&archive.parquet()), ticks(&rows));
    assert!(archive.names_in(".titan/quarantine").is_empty(), "every value is in the new file");

    let sidecar = archive.sidecar();
    assert_eq!(sidecar.created_at.as_deref(), Some("2026-03-20T00:00:00+00:00"));
    assert_eq!((sidecar.duplicates_removed, sidecar.download_duration_seconds), (3, Some(2.5)));
    assert_eq!(sidecar.coverage(), inherited(10, 3611));
    assert!(sidecar.findings.iter().all(|f| f.kind == FindingKind::UnexplainedGap));
    let before = archive.files();
    load_owned(&archive.store("b")).unwrap();
    assert_eq!(archive.files(), before, "there is nothing more to do");
}

#[test]
fn what_is_left_out_is_named_and_kept() {
    let archive = Archive::new();
    write_old(&archive, &FAULTY, Some(&chatty_sidecar()));
    let sidecar = fs::read(archive.sidecar_path()).unwrap();

    let store = archive.store("a");
    let surveyed = store.survey(&key()).unwrap().unwrap();
    assert!(archive.names_in(".titan").is_empty(), "a survey writes nothing");
    let _guard = store.lock(&series()).unwrap();
    let adoption = store.adopt(&key()).unwrap().unwrap();
    assert_eq!(adoption, surveyed);
    assert_eq!(store.adopt(&key()).unwrap(), None);

    assert_eq!(adoption.fate, Fate::Adopted);
    assert_eq!((adoption.n_rows, adoption.n_kept), (7, 2));
    assert_eq!((adoption.n_repeated, adoption.n_set_aside), (1, 4));
    use FindingKind::{BadPrice, ConflictingTick, DuplicateRow, ForeignRows};
    let expected = [
        ForeignRows,
        ForeignRows,
        BadPrice,
        ConflictingTick,
        DuplicateRow,
        FindingKind::SidecarMismatch,
        ForeignRows,
    ];
    assert_eq!(kinds(&adoption.findings), expected);
    assert_eq!(read_rows::<Tick>(&archive.parquet()), ticks(&[(10, 1.5), (3610, 1.25)]));
    assert_eq!(load(&store).unwrap().published, inherited(10, 3611));
    assert_eq!(kinds(&archive.sidecar().findings), expected);
    let quarantine = store.layout().quarantine_dir().join("R_100/ticks");
    let day = START + 86_400;
    let (next, later) = (START + 31 * 86_400, START + 90 * 86_400);
    let rows = format!(
        "reason,epoch,quote\nbad_price,{},NaN\nconflicting,{},9\nnext_month_start,{next},3\n\
         after_month,{later},4\n",
        day - 86_400 + 12,
        day - 86_400 + 3610,
    );
    let kept = fs::read_to_string(quarantine.join("2026-03.1.rows.csv.set-aside")).unwrap();
    assert_eq!(kept, rows);
    assert_eq!(fs::read(quarantine.join("2026-03.1.metadata.json.set-aside")).unwrap(), sidecar);
    assert_eq!(archive.names_in(".titan/quarantine").len(), 2);
}

/// More rows than are written one by one: then the file itself is kept.
#[test]
fn many_rows_that_are_left_out_keep_the_original() {
    let archive = Archive::new();
    let rows: Vec<_> = (0..10_002).map(|n| (31 * 86_400 - 1 + n, 1.0)).collect();
    write_old(&archive, &rows, Some(&fitting_sidecar(&rows)));
    let original = archive.bytes();
    load_owned(&archive.store("a")).unwrap();
    let names = archive.names_in(".titan/quarantine");
    let place = ".titan/quarantine/R_100/ticks/2026-03.1.parquet.set-aside";
    assert_eq!((names.len(), &archive.files()[place]), (2, &original));
}

/// Whoever adopts and then stops, the findings are told once by the next publish and stay in the
/// sidecar after it.
#[test]
fn findings_of_an_adoption_are_told_once_and_stay_in_the_sidecar() {
    let archive = Archive::new();
    write_old(&archive, &FAULTY, None);
    assert!(load_owned(&archive.store("a")).unwrap().has_remarks);
    let told = publish(&archive.store("b")).findings;
    assert_eq!(told.len(), 6, "{told:?}"); // Without a sidecar nothing is said of one.
    let again = publish(&archive.store("c")).findings;
    assert_eq!(again, []);
    assert_eq!(kinds(&archive.sidecar().findings), kinds(&told));
    assert!(!load_owned(&archive.store("d")).unwrap().has_remarks);
}

/// Rows of another tool prove nothing of the source: where it answers, its answer is taken, and
/// what it replaces is kept, once.
#[test]
fn an_answer_replaces_what_was_inherited() {
    let archive = Archive::new();
    let rows = [(10, 1.5), (12, 2.0), (14, 3.0), (200, 9.0)];
    write_old(&archive, &rows, None);
    *archive.inspector.gaps.lock().unwrap() = vec![range(15, 20)];
    load_owned(&archive.store("a")).unwrap();
    let (old, old_sidecar) = (archive.bytes(), fs::read(archive.sidecar_path()).unwrap());
    let store = archive.store("b");
    // The source knows one row more, one less, and another price for a third.
    let answer = [tick(10, 1.5), tick(11, 7.0), tick(14, 4.0)];
    stage(&store, range(0, 100), &answer);
    let published = publish(&store);
    let expected = ticks(&[(10, 1.5), (11, 7.0), (14, 4.0), (200, 9.0)]);
    assert_eq!(read_rows::<Tick>(&archive.parquet()), expected);
    let replaced = |findings: &[Finding]| -> Vec<Finding> {
        let is_replaced = |f: &&Finding| f.kind == FindingKind::InheritedReplaced;
        findings.iter().filter(is_replaced).cloned().collect()
    };
    let told = replaced(&published.findings);
    assert_eq!(
        told.iter().map(|f| f.at).collect::<Vec<_>>(),
        [Some(range(12, 13)), Some(range(14, 15))]
    );
    assert!(told.iter().all(|f| f.severity == crate::domain::Severity::Warning));
    assert!(told.iter().all(|f| f.partition == Some(key()) && f.found.contains("quarantine")));
    assert!(told[0].found.contains("no such row") && told[1].found.contains("quote 4"), "{told:?}");
    assert!(told[1].expected.contains("quote 3"), "{told:?}");
    assert!(published.findings.iter().all(|f| f.severity < crate::domain::Severity::Error));
    // Behind what was answered they are kept as they are.
    assert_eq!(
        published.coverage.select(|s| s == CoverageState::Inherited),
        RangeSet::from(range(100, 201))
    );
    let files = archive.files();
    assert!(files[".titan/quarantine/R_100/ticks/2026-03.1.parquet.set-aside"] == old);
    assert!(
        files[".titan/quarantine/R_100/ticks/2026-03.1.metadata.json.set-aside"] == old_sidecar
    );
    assert_eq!(archive.names_in(".titan/quarantine").len(), 2);

    // What the source answered is protected like everything it answered.
    stage(&store, range(0, 100), &[tick(10, 1.5), tick(11, 7.5)]);
    let again = publish(&store);
    assert_eq!(read_rows::<Tick>(&archive.parquet()), expected);
    assert!(kinds(&again.findings).contains(&FindingKind::Restatement));
    assert_eq!(replaced(&archive.sidecar().findings), told, "it stays told");
    assert_eq!(archive.names_in(".titan/quarantine").len(), 2);
}

/// Wherever a run dies, the rows are replaced once, told once and kept once.
#[test]
fn a_crash_while_inherited_rows_are_replaced_loses_nothing() {
    let inherited = || {
        let archive = Archive::new();
        write_old(&archive, &[(10, 1.5), (14, 3.0)], None);
        load_owned(&archive.store("a")).unwrap();
        stage(&archive.store("a"), range(0, 100), &[tick(10, 1.5), tick(14, 4.0)]);
        archive
    };
    let whole = inherited();
    publish(&whole.store("b"));
    for last in super::crash::EVERY_STEP {
        let archive = inherited();
        super::crash::publish_until(&archive.store("dead"), &publication(), last);
        let store = archive.store("next");
        load_owned(&store).unwrap();
        publish(&store);
        let (files, expected) = (archive.files(), whole.files());
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&files), names(&expected), "{last:?}");
        assert!(archive.bytes() == whole.bytes(), "{last:?}");
        let told = kinds(&archive.sidecar().findings);
        assert_eq!(told.iter().filter(|k| **k == FindingKind::InheritedReplaced).count(), 1);
    }
}

#[test]
fn a_file_without_a_good_row_is_set_aside_as_a_whole() {
    let archive = Archive::new();
    let rows = [(90 * 86_400, 4.0), (90 * 86_400 + 2, 4.0)];
    write_old(&archive, &rows, Some(&fitting_sidecar(&rows)));
    let bytes = archive.bytes();
    let store = archive.store("a");
    let surveyed = store.survey(&key()).unwrap().unwrap();
    let guard = store.lock(&series()).unwrap();
    let adoption = store.adopt(&key()).unwrap().unwrap();
    assert_eq!((adoption.fate, &adoption.quarantined), (Fate::SetAside, &surveyed.quarantined));
    assert_eq!(surveyed.fate, Fate::SetAside);
    assert!(archive.names_in("R_100").is_empty());
    assert_eq!(fs::read(&adoption.quarantined[0]).unwrap(), bytes);
    assert_eq!(adoption.quarantined.len(), archive.names_in(".titan/quarantine").len());
    drop(guard);
    // The month is like one that was never downloaded, and the next publish tells why.
    let stored = load_owned(&store).unwrap();
    assert_eq!((stored.record_count, stored.state), (0, None));
    stage(&store, range(0, 100), &walk(50));
    let told = publish(&store).findings;
    assert!(told.iter().any(|finding| finding.found.contains("set aside")), "{told:?}");
}

#[test]
fn columns_that_lose_something_are_not_trusted() {
    let archive = Archive::new();
    fs::create_dir_all(archive.parquet().parent().unwrap()).unwrap();
    let fields = vec![
        Field::new("epoch", DataType::Float64, false),
        Field::new("quote", DataType::Float64, false),
    ];
    let column = || Shared::new(Float64Array::from(vec![1.0])) as ArrayRef;
    let schema = Shared::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema, vec![column(), column()]).unwrap();
    let file = fs::File::create(archive.parquet()).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let store = archive.store("a");
    let guard = store.lock(&series()).unwrap();
    let before = archive.bytes();
    for error in [store.survey(&key()).unwrap_err(), store.adopt(&key()).unwrap_err()] {
        assert!(matches!(error, StoreError::Undecodable { .. }), "{error:?}");
        assert!(error.to_string().contains("a column `epoch` of type Float64"), "{error}");
    }
    drop(guard);
    let stored = load_owned(&store).unwrap();
    assert!(stored.undecodable.is_some_and(|why| why.contains("write it anew with int64")));
    assert_eq!(archive.bytes(), before, "nothing is said against it");
}

#[test]
fn whoever_does_not_hold_the_series_changes_nothing() {
    let archive = Archive::new();
    let rows = [(10, 1.5), (12, 2.0)];
    write_old(&archive, &rows, Some(&fitting_sidecar(&rows)));
    let before = archive.files();
    let stored = load(&archive.store("a")).unwrap();
    assert_eq!((stored.published, stored.record_count), (inherited(10, 13), 2));
    fs::write(archive.sidecar_path(), FOREIGN_SIDECAR.replace("_count\": 2", "_count\": 3"))
        .unwrap();
    let stored = load(&archive.store("a")).unwrap();
    assert!(stored.published.is_empty(), "the sidecar is not believed");
    fs::write(archive.sidecar_path(), fitting_sidecar(&rows)).unwrap();
    assert_eq!(archive.files(), before);
}

#[test]
fn a_locked_partition_stays_whatever_else_its_sidecar_says() {
    for sidecar in [r#"{"locked": true}"#, r#"{"locked": "yes", "start_epoch": "?"}"#] {
        let archive = Archive::new();
        write_old(&archive, &FAULTY, Some(sidecar));
        let before = archive.files();
        let store = archive.store("a");
        assert!(load_owned(&store).unwrap().locked);
        let _guard = store.lock(&series()).unwrap();
        assert_eq!(store.adopt(&key()).unwrap().unwrap().fate, Fate::Locked);
        assert_eq!(archive.files(), before);
    }
}

/// Stops an adoption after each of its steps, as `kill -9` does, and lets the next run go on.
#[test]
fn an_adoption_may_stop_after_any_step() {
    let whole = Archive::new();
    write_old(&whole, &FAULTY, Some(&chatty_sidecar()));
    load_owned(&whole.store("a")).unwrap();
    let n_steps = 5;
    for n_done in 0..=n_steps {
        let archive = Archive::new();
        write_old(&archive, &FAULTY, Some(&chatty_sidecar()));
        let original = archive.bytes();
        let store = archive.store("dead");
        let key = key();
        let foreign = Foreign::open(&store, &key).unwrap();
        let prepared = foreign.prepare::<Tick>().unwrap();
        if n_done > 0 {
            foreign.keep_original(&prepared).unwrap();
        }
        if n_done > 1 {
            // A crash may also come between the file and its sidecar.
            let sidecar = &prepared.adoption.quarantined[1];
            if n_done == 2 {
                fs::remove_file(sidecar).unwrap();
            }
        }
        if n_done > 2 {
            foreign.note(&prepared.adoption).unwrap();
        }
        if n_done > 3 {
            foreign.take_name(prepared).unwrap().sync_dir().unwrap();
        } else {
            prepared.abandon();
            assert_eq!(archive.bytes(), original, "the original can be read");
        }
        if n_done > 4 {
            load_owned(&archive.store("another")).unwrap();
        }
        load_owned(&archive.store("next")).unwrap();
        let comparable = |archive: &Archive| {
            let mut files = archive.files();
            for bytes in files.values_mut() {
                // Findings name the quarantine by its full path.
                if let Ok(text) = String::from_utf8(bytes.clone()) {
                    *bytes = text.replace(archive.root().to_str().unwrap(), "").into_bytes();
                }
            }
            files
        };
        let (found, expected) = (comparable(&archive), comparable(&whole));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "after step {n_done}"
        );
        assert!(found == expected, "after step {n_done}");
    }
}
