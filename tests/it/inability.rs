//! What this build cannot read is no fault of the file: other codecs are read, and of what is beyond
//! it nothing is moved, judged or overwritten.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use crate::old_cache::{self, Bar, Form, month_path, newer, sidecar_path};
use crate::process::{Sandbox, Server};
use crate::python::python_with;
use crate::support::rows_of;

const HISTORY: [&str; 2] = ["--history-days", "60"];
/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;

fn hours(n: i64) -> Vec<Bar> {
    (0..n).map(|hour| (START + 60 * hour, [2.0, 3.0, 1.0, 2.5])).collect()
}

fn download(url: &str) -> Vec<&str> {
    let what = ["--symbol", "R_100", "--kind", "candles", "--granularity", "3600"];
    let range = ["--start-date", "2026-01-10", "--end-date", "2026-03-01"];
    let place = ["--endpoint", url, "--output", "data", "--rate", "unlimited"];
    [what.as_slice(), &range, &place].concat()
}

fn hourly(root: &Path, month: &str, end: &str) -> PathBuf {
    root.join(format!("R_100/candles_3600/{month}.{end}"))
}

/// pandas writes with whatever codec its user likes.
#[test]
fn an_old_cache_is_taken_over_whatever_it_is_compressed_with() {
    let bars = hours(3_000);
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
    ] {
        let sandbox = Sandbox::new();
        let root = sandbox.path("data");
        old_cache::write(&root, "2026-01", &bars, &Form { codec, ..newer() });
        sandbox.run(&["verify", "data"]).expect(0);
        let ran = sandbox.run(&["adopt", "--output", "data"]).expect(0);
        assert!(ran.stdout.contains("3,000 rows taken over"), "{codec}: {}", ran.stdout);
        let rows = rows_of(&month_path(&root, "2026-01"));
        assert_eq!(rows.len(), bars.len(), "{codec}");
        assert!(rows.values().all(|row| row.join(" ") == "2 3 1 2.5"), "{codec}");
        sandbox.run(&["verify", "data"]).expect(0);
    }
}

#[test]
fn what_pandas_compresses_is_taken_over() {
    let Some(mut python) = python_with(&["pandas", "pyarrow"]) else { return };
    let code = format!(
        "import pandas, sys, os\n\
         for i, codec in enumerate(['gzip', 'brotli', 'lz4', 'snappy', 'zstd', None]):\n    \
         folder = f'{{i}}/R_100/ticks'\n    os.makedirs(folder)\n    \
         frame = pandas.DataFrame({{'epoch': range({START}, {START} + 9000), 'quote': 1.25}})\n    \
         frame.to_parquet(f'{{folder}}/2026-01.parquet', compression=codec)\n"
    );
    let sandbox = Sandbox::new();
    let made = python.current_dir(sandbox.path("")).args(["-c", &code]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    for folder in 0..6 {
        let folder = folder.to_string();
        let ran = sandbox.run(&["adopt", "--output", &folder]).expect(0);
        assert!(ran.stdout.contains("9,000 rows taken over"), "{folder}: {}", ran.stdout);
    }
}

/// A month whose epochs are timestamps, as some write them.
fn write_timestamps(path: &Path) {
    let millis = (0..10).map(|n| (START + 60 * n) * 1000);
    let seconds = TimestampMillisecondArray::from_iter_values(millis);
    let columns: Vec<(&str, ArrayRef)> = ["open", "high", "low", "close"]
        .map(|name| (name, Arc::new(Float64Array::from(vec![1.5; 10])) as ArrayRef))
        .into_iter()
        .chain([("epoch", Arc::new(seconds) as ArrayRef)])
        .collect();
    let field =
        |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    assert_eq!(*schema.field(4).data_type(), DataType::Timestamp(TimeUnit::Millisecond, None));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema, arrays).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Another type, and an encrypted footer: the file may be as good as any.
#[test]
fn what_cannot_be_decoded_stays_where_it_is_and_is_named() {
    let server = Server::start(&HISTORY);
    for (what, spoil) in [
        ("of type Timestamp", write_timestamps as fn(&Path)),
        ("encrypted", |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            let at = bytes.len() - 4;
            bytes[at..].copy_from_slice(b"PARE");
            fs::write(path, bytes).unwrap();
        }),
    ] {
        let sandbox = Sandbox::new();
        let root = sandbox.path("data");
        old_cache::write(&root, "2026-01", &hours(10), &newer());
        let path = month_path(&root, "2026-01");
        spoil(&path);
        let said = fs::read_to_string(sidecar_path(&root, "2026-01")).unwrap();
        let bytes = fs::read(&path).unwrap();
        let stays = |what: &str| {
            assert!(fs::read(&path).unwrap() == bytes, "{what}");
            assert_eq!(fs::read_to_string(sidecar_path(&root, "2026-01")).unwrap(), said);
        };
        let verified = sandbox.run(&["verify", "data"]).expect(1).stdout;
        assert!(verified.contains("error undecodable: R_100/candles_60/2026-01"), "{verified}");
        assert!(verified.contains(what), "{verified}");
        assert_eq!(verified.matches("error ").count(), 1, "nothing else is held against it");
        assert!(verified.contains("cannot all be read by this build"), "{verified}");
        for more in [&["--dry-run"][..], &[]] {
            let adopted = sandbox.run(&[&["adopt", "--output", "data"], more].concat()).expect(1);
            assert!(adopted.stdout.contains(what), "{}", adopted.stdout);
            stays("adopt");
        }
        let line = download(&server.url).join(" ").replace("3600", "60");
        let ran = sandbox.run(&line.split(' ').collect::<Vec<_>>()).expect(1);
        assert!(ran.stderr.contains("is incomplete: 2026-01"), "{}", ran.stderr);
        assert!(ran.stderr.contains("undecodable") && ran.stderr.contains(what), "{}", ran.stderr);
        assert!(!ran.stderr.contains("write a symbol"), "{}", ran.stderr);
        stays("download");
        assert!(month_path(&root, "2026-02").exists(), "the other month is brought up to date");
        sandbox
            .run(&["repair", "data", "--endpoint", &server.url, "--rate", "unlimited"])
            .expect(1);
        stays("repair");
    }
}

/// Writes a Parquet file anew with another version in its footer.
fn rewrite_as_version(path: &Path, version: &str) {
    let file = File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let pairs = builder.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let pair = |pair: KeyValue| match pair.key.as_str() {
        "titan.format_version" => KeyValue::new(pair.key, version.to_owned()),
        _ => pair,
    };
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(pairs.into_iter().map(pair).collect()))
        .build();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batches[0].schema(), Some(properties))
            .unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
}

/// The program was set back after a newer one had been at work: it works without what it cannot
/// read, names it, and overwrites nothing.
#[test]
fn files_of_a_newer_version_are_left_to_it() {
    let server = Server::start(&HISTORY);
    let newer_sidecar = |root: &Path| {
        change(&hourly(root, "2026-01", "metadata.json"), |said| {
            said["format_version"] = 9.into();
            said["coverage"] = serde_json::json!([{ "state": "of another sort" }]);
        });
    };
    let newer_footer = |root: &Path| rewrite_as_version(&hourly(root, "2026-01", "parquet"), "9");
    for spoil in [&newer_sidecar as &dyn Fn(&Path), &newer_footer] {
        let sandbox = Sandbox::new();
        let root = sandbox.path("data");
        sandbox.run(&download(&server.url)).expect(0);
        spoil(&root);
        let newer = |name: &str| {
            change(&root.join(".titan").join(name), |said| {
                said["format_version"] = 9.into();
                said["later"] = serde_json::json!({ "more": [1, 2, 3] });
            });
        };
        newer("source-facts.json");
        newer("watermark.json");
        for end in ["parquet", "metadata.json"] {
            fs::remove_file(hourly(&root, "2026-02", end)).unwrap();
        }
        let names = [
            ".titan/source-facts.json",
            ".titan/watermark.json",
            "R_100/candles_3600/2026-01.parquet",
            "R_100/candles_3600/2026-01.metadata.json",
        ];
        let content = || names.map(|name| fs::read(root.join(name)).unwrap());
        let before = content();
        let ran = sandbox.run(&download(&server.url)).expect(1);
        assert!(content() == before, "nothing newer is overwritten");
        assert!(ran.stderr.contains("is incomplete: 2026-01"), "{}", ran.stderr);
        assert!(ran.stderr.contains("undecodable: `data/R_100/candles_3600/2026-01"));
        assert!(ran.stderr.contains("newer version"), "{}", ran.stderr);
        assert!(ran.stderr.contains("running again changes nothing"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("write a symbol"), "{}", ran.stderr);
        assert!(hourly(&root, "2026-02", "parquet").exists(), "the other month is there again");
        let verified = sandbox.run(&["verify", "data"]).expect(1).stdout;
        assert!(verified.contains("error undecodable"), "{verified}");
        assert_eq!(verified.matches("error ").count(), 1, "{verified}");
        sandbox
            .run(&["repair", "data", "--endpoint", &server.url, "--rate", "unlimited"])
            .expect(1);
        assert!(content() == before, "nor by a repair");
        assert!(!root.join(".titan/quarantine/R_100").exists(), "nothing was set aside");
    }
}
