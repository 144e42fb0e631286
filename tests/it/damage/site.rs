//! A copy of a clean archive and the tools to damage it: bytes, rows, footers, sidecars.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use titan_download::domain::{Candle, Epoch, Record, Tick};
use titan_download::format::digest::hex;
use titan_download::format::{Footer, RowsDigest, RowsDigests, schema};

use crate::support::column_values;

/// A row: its epoch and its prices.
pub(crate) type Row = (i64, Vec<f64>);

/// Ticks and candles of the month that runs, without their endings.
pub(crate) const TICKS: &str = "R_100/ticks/2026-03";
pub(crate) const CANDLES: &str = "R_100/candles_60/2026-03";

/// The archive that is damaged.
pub(crate) struct Site {
    folder: TempDir,
    /// The sidecar of the ticks as it was when half of them were there.
    pub(crate) stale: Vec<u8>,
}

impl Site {
    /// Copies a clean archive.
    pub(crate) fn copy(clean: &Path, stale: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(clean, folder.path());
        Self { folder, stale: stale.to_vec() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn parquet(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.parquet"))
    }

    pub(crate) fn sidecar(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.metadata.json"))
    }

    /// Writes any file, its folders included.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Flips a bit of the byte `at` the file's length says.
    pub(crate) fn flip(&self, path: &Path, at: impl FnOnce(&[u8]) -> usize) {
        let mut bytes = fs::read(path).unwrap();
        let at = at(&bytes);
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    /// Moves a partition to the place of another.
    pub(crate) fn move_to(&self, from: &str, to: &str) {
        fs::create_dir_all(self.parquet(to).parent().unwrap()).unwrap();
        // Copied and removed: the crate has one rename, and it is not here.
        for (from, to) in
            [(self.parquet(from), self.parquet(to)), (self.sidecar(from), self.sidecar(to))]
        {
            fs::copy(&from, to).unwrap();
            fs::remove_file(from).unwrap();
        }
    }

    /// Puts the file elsewhere and a link to it in its place.
    pub(crate) fn link_away(&self, path: &Path) {
        let elsewhere = self.path("elsewhere");
        fs::copy(path, &elsewhere).unwrap();
        fs::remove_file(path).unwrap();
        symlink(elsewhere, path).unwrap();
    }

    /// Changes the sidecar.
    pub(crate) fn edit_sidecar(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.sidecar(name);
        let mut sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut sidecar);
        fs::write(path, serde_json::to_vec_pretty(&sidecar).unwrap()).unwrap();
    }

    /// Changes the rows and nothing that is said of them.
    pub(crate) fn damage_rows(&self, name: &str, change: impl FnOnce(&mut Vec<Row>)) {
        let (mut rows, pairs) = self.read(name);
        change(&mut rows);
        self.write_parquet(name, &rows, &pairs);
    }

    /// Changes the rows and makes footer and sidecar fit them: only the rows themselves are wrong.
    pub(crate) fn forge_rows(&self, name: &str, change: impl FnOnce(&mut Vec<Row>)) {
        let (mut rows, pairs) = self.read(name);
        change(&mut rows);
        let digests = digests(&rows);
        let value = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let footer = Footer::from_pairs(value).unwrap();
        let footer = Footer {
            record_count: digests.record_count,
            rows_sha256: digests.rows_sha256,
            days: digests.days,
            ..footer
        };
        self.write_parquet(name, &rows, &footer.to_pairs());
        self.fit_sidecar(name, |sidecar| {
            sidecar["record_count"] = footer.record_count.into();
            sidecar["rows_sha256"] = footer.rows_sha256.clone().into();
            sidecar["days"] = serde_json::to_value(&footer.days).unwrap();
            sidecar["start_epoch"] = rows[0].0.into();
            sidecar["end_epoch"] = rows[rows.len() - 1].0.into();
        });
    }

    /// Changes one value of the footer; the sidecar knows the new file.
    pub(crate) fn forge_footer(&self, name: &str, key: &str, change: impl FnOnce(&str) -> String) {
        let (rows, mut pairs) = self.read(name);
        let value = &mut pairs.iter_mut().find(|(k, _)| k.ends_with(key)).unwrap().1;
        *value = change(value);
        self.write_parquet(name, &rows, &pairs);
        self.fit_sidecar(name, |_| {});
    }

    /// Takes the footer away: the file of another tool.
    pub(crate) fn drop_footer(&self, name: &str) {
        let (rows, _) = self.read(name);
        self.write_parquet(name, &rows, &[]);
        self.fit_sidecar(name, |_| {});
    }

    fn fit_sidecar(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let bytes = fs::read(self.parquet(name)).unwrap();
        self.edit_sidecar(name, |sidecar| {
            sidecar["sha256"] = hex(&Sha256::digest(&bytes)).into();
            sidecar["file_size"] = bytes.len().into();
            edit(sidecar);
        });
    }

    fn read(&self, name: &str) -> (Vec<Row>, Vec<(String, String)>) {
        let file = File::open(self.parquet(name)).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let pairs = builder.metadata().file_metadata().key_value_metadata().unwrap();
        let ours = pairs.iter().filter(|pair| pair.key.starts_with("titan."));
        let pairs = ours.map(|pair| (pair.key.clone(), pair.value.clone().unwrap())).collect();
        let mut rows = Vec::new();
        for batch in builder.build().unwrap() {
            rows.extend(column_values(&batch.unwrap()));
        }
        (rows, pairs)
    }

    fn write_parquet(&self, name: &str, rows: &[Row], pairs: &[(String, String)]) {
        let epochs: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)));
        let price = |column: usize| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1[column])))
        };
        let n_prices = rows[0].1.len();
        let columns = std::iter::once(epochs).chain((0..n_prices).map(price)).collect();
        let schema =
            if n_prices == 1 { schema::schema::<Tick>() } else { schema::schema::<Candle>() };
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let pairs = pairs.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(pairs.collect()))
            .set_max_row_group_row_count(Some(4096))
            .build();
        let file = File::create(self.parquet(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
}

fn digests(rows: &[Row]) -> RowsDigests {
    fn of<R: Record>(rows: &[Row]) -> RowsDigests {
        let records: Vec<R> = rows.iter().map(|r| R::from_parts(Epoch::new(r.0), &r.1)).collect();
        let mut digest = RowsDigest::new();
        digest.update(&records);
        digest.finish()
    }
    if rows[0].1.len() == 1 { of::<Tick>(rows) } else { of::<Candle>(rows) }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}
