//! Writes partitions for the tests, right or wrong in one chosen way, with a writer of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use crate::domain::{
    Candle, Coverage, CoverageState, Epoch, EpochRange, Granularity, Inspection, Kind, Month,
    PartitionInspector, PartitionKey, PartitionState, Record, Series, SilenceFacts, Tick,
};
use crate::format::sidecar::SCHEMA_VERSION;
use crate::format::{FORMAT_VERSION, Footer, Layout, RowsDigest, Sidecar, SidecarCoverage, schema};

use super::gaps::GapFinder;
use super::reader::hash_file;
use super::{PartitionChecker, Report, VerifyOptions, verify};

/// Rows in a row group of the test files, so that they have several.
const ROW_GROUP_ROWS: usize = 4096;

/// March 2026 begins on a Sunday.
pub(crate) const MONTH: &str = "2026-03";

/// First second of [`MONTH`].
pub(crate) fn month_start() -> i64 {
    month().range().start().secs()
}

pub(crate) fn month() -> Month {
    MONTH.parse().unwrap()
}

pub(crate) fn range(start: i64, end: i64) -> EpochRange {
    EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap()
}

/// What [`Sample::ticks`] was answered for.
pub(crate) fn ticks_range() -> EpochRange {
    let midnight = month_start() + 86_400;
    range(midnight - 5 * 3600, midnight + 5 * 3600)
}

pub(crate) fn tick(epoch: i64, quote: f64) -> Tick {
    Tick { epoch: Epoch::new(epoch), quote }
}

/// A price with two decimals that moves.
pub(crate) fn price(i: i64) -> f64 {
    (100_000 + (i * 7919) % 1000) as f64 / 100.0
}

/// One partition and everything that is said of it; tests change one thing and write it.
#[derive(Debug, Clone)]
pub(crate) struct Sample<R> {
    pub(crate) key: PartitionKey,
    pub(crate) rows: Vec<R>,
    pub(crate) footer: Footer,
    pub(crate) sidecar: Sidecar,
}

impl Sample<Tick> {
    /// Ten hours of a tick every two seconds around the first midnight inside the month, with
    /// holes of 4 to 8 s.
    pub(crate) fn ticks() -> Self {
        let covered = ticks_range();
        let is_hole = |i: &i64| i % 5000 > 0 && i % 5000 < 3;
        let times = (0..covered.len_secs() / 2).filter(|i| !is_hole(i));
        let rows = times.map(|i| tick(covered.start().secs() + 2 * i, price(i))).collect();
        Self::new("R_100", Kind::Ticks, rows, covered)
    }
}

impl Sample<Candle> {
    /// Two days of minutes from the start of the month.
    pub(crate) fn candles() -> Self {
        let start = month_start();
        let candle = |i: i64| {
            let (open, close) = (price(i), price(i + 1));
            let (high, low) = (open.max(close), open.min(close));
            Candle { epoch: Epoch::new(start + 60 * i), open, high, low, close }
        };
        let rows = (0..2880).map(candle).collect();
        let covered = range(start, start + 2 * 86_400);
        Self::new("R_100", Kind::Candles(Granularity::MINUTE), rows, covered)
    }
}

impl<R: Record> Sample<R> {
    /// A partition that keeps every promise.
    pub(crate) fn new(symbol: &str, kind: Kind, rows: Vec<R>, answered: EpochRange) -> Self {
        let series = Series { symbol: symbol.parse().unwrap(), kind };
        let key = PartitionKey { series, month: month() };
        let mut coverage = Coverage::new();
        coverage.insert(answered, CoverageState::Answered);
        let footer = footer_of(&key, &rows, coverage);
        let sidecar = sidecar_of(&footer, &rows);
        Self { key, rows, footer, sidecar }
    }

    /// Replaces the coverage in footer and sidecar alike.
    pub(crate) fn with_coverage(mut self, coverage: Coverage) -> Self {
        self.footer.coverage = coverage;
        let findings = self.sidecar.findings.clone();
        self.sidecar = Sidecar { findings, ..sidecar_of(&self.footer, &self.rows) };
        self
    }

    /// Makes footer and sidecar fit rows that were changed.
    pub(crate) fn fitted(mut self) -> Self {
        self.footer = footer_of(&self.key, &self.rows, self.footer.coverage);
        self.sidecar = sidecar_of(&self.footer, &self.rows);
        self
    }

    /// Writes the Parquet file and inspects it as the store does.
    pub(crate) fn inspect(&self) -> Inspection {
        self.inspect_with(&SilenceFacts::default())
    }

    pub(crate) fn inspect_with(&self, silence: &SilenceFacts) -> Inspection {
        self.inspect_as(silence, None)
    }

    /// As the store does that wrote rows of this hash just now.
    pub(crate) fn inspect_written(&self, rows_sha256: &str) -> Inspection {
        self.inspect_as(&SilenceFacts::default(), Some(rows_sha256))
    }

    fn inspect_as(&self, silence: &SilenceFacts, written: Option<&str>) -> Inspection {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("partition");
        write_parquet(&path, &self.batch(), &self.footer.to_pairs());
        PartitionChecker.inspect(&self.key, &path, silence, written)
    }

    /// The rows as the columns of the contract.
    pub(crate) fn batch(&self) -> RecordBatch {
        RecordBatch::try_new(schema::schema::<R>(), columns(&self.rows)).unwrap()
    }

    /// Writes Parquet file and sidecar into an archive.
    pub(crate) fn publish(&self, archive: &Archive) {
        let path = archive.layout.parquet(&self.key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_parquet(&path, &self.batch(), &self.footer.to_pairs());
        let sidecar = Sidecar {
            sha256: Some(hash_file(&path).unwrap()),
            file_size: Some(fs::metadata(&path).unwrap().len()),
            ..self.sidecar.clone()
        };
        archive.write_sidecar(&self.key, &sidecar);
    }
}

/// An archive in a temporary folder.
pub(crate) struct Archive {
    folder: TempDir,
    pub(crate) layout: Layout,
}

impl Archive {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let layout = Layout::new(folder.path());
        Self { folder, layout }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn verify(&self) -> Report {
        verify(self.root(), &VerifyOptions::default())
    }

    pub(crate) fn write_sidecar(&self, key: &PartitionKey, sidecar: &Sidecar) {
        fs::write(self.layout.sidecar(key), sidecar.to_json()).unwrap();
    }

    /// Writes any file, its folders included.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) fn write_parquet(path: &Path, batch: &RecordBatch, pairs: &[(String, String)]) {
    let pairs = pairs.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(pairs.collect()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A batch with any columns.
pub(crate) fn batch_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let field = |(name, array): &(&str, ArrayRef)| {
        Field::new(*name, array.data_type().clone(), array.null_count() > 0)
    };
    let fields: Vec<_> = columns.iter().map(field).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// The columns of rows: epochs, then prices in the order of the schema.
pub(crate) fn columns<R: Record>(rows: &[R]) -> Vec<ArrayRef> {
    let epochs: Int64Array = rows.iter().map(|row| row.epoch().secs()).collect();
    let prices = (0..R::COLUMNS.len()).map(|column| {
        let prices: Float64Array = rows.iter().map(|row| row.prices().as_ref()[column]).collect();
        // Built from iterators they could hold nulls; the contract's columns cannot.
        Arc::new(prices) as ArrayRef
    });
    std::iter::once(Arc::new(epochs) as ArrayRef).chain(prices).collect()
}

fn footer_of<R: Record>(key: &PartitionKey, rows: &[R], coverage: Coverage) -> Footer {
    let mut digest = RowsDigest::new();
    digest.update(rows);
    let digests = digest.finish();
    Footer {
        key: key.clone(),
        pip_size: Some(2),
        coverage,
        record_count: digests.record_count,
        rows_sha256: digests.rows_sha256,
        days: digests.days,
    }
}

fn sidecar_of<R: Record>(footer: &Footer, rows: &[R]) -> Sidecar {
    let key = &footer.key;
    let silence = SilenceFacts::default();
    let answered = footer.coverage.select(|state| state == CoverageState::Answered);
    let mut gaps = GapFinder::new(key.series.kind, Some(&answered), &silence);
    gaps.update(rows);
    let gaps = gaps.finish();
    let first = footer.coverage.ranges().first().map_or(0, |range| range.start.secs());
    let epoch_of = |row: Option<&R>| row.map_or(first, |row| row.epoch().secs());
    let coverage = footer.coverage.ranges().iter().map(|c| SidecarCoverage {
        start: c.start,
        end: c.end,
        state: c.state,
        asked_first: None,
        asked_last: None,
    });
    let data_type = if key.series.kind == Kind::Ticks { "ticks" } else { "candles" };
    Sidecar {
        schema_version: SCHEMA_VERSION.to_owned(),
        symbol: key.series.symbol.clone(),
        data_type: data_type.to_owned(),
        granularity: key.series.kind.granularity().map(u32::from),
        start_epoch: epoch_of(rows.first()),
        end_epoch: epoch_of(rows.last()),
        record_count: footer.record_count,
        gaps_detected: gaps.gaps_detected,
        duplicates_removed: 0,
        sha256: None,
        locked: false,
        created_at: Some("2026-03-20T00:00:00Z".to_owned()),
        download_duration_seconds: Some(1.5),
        file_size: None,
        format_version: Some(FORMAT_VERSION),
        state: Some(PartitionState::Open),
        month: Some(key.month.to_string()),
        pip_size: footer.pip_size,
        rows_sha256: Some(footer.rows_sha256.clone()),
        coverage: coverage.collect(),
        first_held: None,
        gaps: gaps.gaps,
        gap_rules: None,
        findings: Vec::new(),
        days: footer.days.clone(),
        source: serde_json::Map::new(),
        run: serde_json::Map::new(),
    }
}
