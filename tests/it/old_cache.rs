//! Makes folders as the Python tool left them, with its faults where they are wanted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};

use crate::support::Rows;

/// One candle: when it opens, then open, high, low and close.
pub(crate) type Bar = (i64, [f64; 4]);

/// The layout of one file.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    /// In the order of the file.
    pub(crate) columns: [&'static str; 5],
    pub(crate) has_volume: bool,
    pub(crate) codec: Compression,
    /// Keys that its sidecar does not have.
    pub(crate) lacks: &'static [&'static str],
    pub(crate) is_locked: bool,
    pub(crate) created_at: Option<&'static str>,
}

/// As older versions wrote.
pub(crate) const OLD: Form = Form {
    columns: ["open", "high", "low", "close", "epoch"],
    has_volume: false,
    codec: Compression::SNAPPY,
    lacks: &["locked", "download_duration_seconds", "file_size"],
    is_locked: false,
    created_at: None,
};

/// As newer versions wrote.
pub(crate) fn newer() -> Form {
    Form {
        columns: ["epoch", "low", "open", "close", "high"],
        has_volume: true,
        codec: Compression::ZSTD(Default::default()),
        lacks: &[],
        is_locked: false,
        created_at: Some("2026-03-09T12:00:30+00:00"),
    }
}

/// The bars of the truth whose epoch is wanted.
pub(crate) fn bars(truth: &Rows, is_wanted: impl Fn(i64) -> bool) -> Vec<Bar> {
    let bar = |(epoch, prices): (&i64, &Vec<String>)| {
        let prices: Vec<f64> = prices.iter().map(|price| price.parse().unwrap()).collect();
        (*epoch, prices.try_into().unwrap())
    };
    truth.iter().map(bar).filter(|(epoch, _)| is_wanted(*epoch)).collect()
}

pub(crate) fn month_path(root: &Path, month: &str) -> PathBuf {
    root.join(format!("R_100/candles_60/{month}.parquet"))
}

pub(crate) fn sidecar_path(root: &Path, month: &str) -> PathBuf {
    root.join(format!("R_100/candles_60/{month}.metadata.json"))
}

/// Writes a month of minute candles of `R_100` and its sidecar.
pub(crate) fn write(root: &Path, month: &str, bars: &[Bar], form: &Form) {
    let path = month_path(root, month);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let column = |name: &str| -> ArrayRef {
        let place = ["open", "high", "low", "close"].iter().position(|known| *known == name);
        match place {
            None => Arc::new(Int64Array::from_iter_values(bars.iter().map(|bar| bar.0))),
            Some(i) => Arc::new(Float64Array::from_iter_values(bars.iter().map(|bar| bar.1[i]))),
        }
    };
    let mut columns: Vec<(&str, ArrayRef)> =
        form.columns.iter().map(|name| (*name, column(name))).collect();
    if form.has_volume {
        columns.push(("volume", Arc::new(Float64Array::from(vec![0.0; bars.len()]))));
    }
    let field = |(name, column): &(&str, ArrayRef)| {
        Field::new(
            *name,
            if *name == "epoch" { DataType::Int64 } else { column.data_type().clone() },
            true,
        )
    };
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema, arrays).unwrap();
    let properties = WriterProperties::builder().set_compression(form.codec).build();
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::write(sidecar_path(root, month), sidecar(&path, bars, form)).unwrap();
}

fn sidecar(path: &Path, bars: &[Bar], form: &Form) -> String {
    let all: [(&str, Value); 14] = [
        ("schema_version", json!("1.0.0")),
        ("symbol", json!("R_100")),
        ("data_type", json!("candles")),
        ("granularity", json!(60)),
        ("start_epoch", json!(bars.first().map(|bar| bar.0))),
        ("end_epoch", json!(bars.last().map(|bar| bar.0))),
        ("record_count", json!(bars.len())),
        ("gaps_detected", json!(0)),
        ("duplicates_removed", json!(0)),
        ("sha256", Value::Null),
        ("locked", json!(form.is_locked)),
        ("created_at", json!(form.created_at)),
        ("download_duration_seconds", json!(12.5)),
        ("file_size", json!(fs::metadata(path).unwrap().len())),
    ];
    let has = |name: &str| !form.lacks.contains(&name);
    let said: Map<String, Value> =
        all.into_iter().filter(|(name, _)| has(name)).map(|(n, v)| (n.to_owned(), v)).collect();
    serde_json::to_string_pretty(&said).unwrap()
}
