//! Records → `RecordBatch` → Parquet, so that equal rows give equal bytes.
//!
//! Whatever the size of the pieces rows come in, they are encoded in batches of one fixed size
//! into row groups of one fixed size. No clock, host or run id goes into the file. Rows and file
//! are hashed while they are written; nothing is read twice. Memory: one encoded row group.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::domain::{Epoch, Record, StoreError};
use crate::format::digest::hex;
use crate::format::schema::{EPOCH, QUOTE, schema};
use crate::format::{Footer, RowsDigest, RowsDigests};

use super::atomic::Draft;
use super::errors::{io_error, write_error};

/// Rows handed to the Parquet writer at once. Page boundaries follow from it, hence file bytes:
/// it moves only together with an entry in the CHANGELOG.
const BATCH_ROWS: usize = 8192;

/// Named in each file. No build, host or date.
const CREATED_BY: &str = concat!("titan-download version ", env!("CARGO_PKG_VERSION"));

/// How the columns of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard at a level from 1 to 22; above 3 costs time and saves next to nothing.
    Zstd(i32),
    /// Snappy, for readers that know nothing newer.
    Snappy,
    /// Encoded, but not compressed.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(3)
    }
}

/// The text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no compression; choose `zstd:1` to `zstd:22`, `zstd`, `snappy` or `none`", .0.escape_default())]
pub struct InvalidCompression(String);

impl FromStr for Compression {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCompression(text.chars().take(64).collect());
        match text {
            "zstd" => Ok(Self::default()),
            "snappy" => Ok(Self::Snappy),
            "none" => Ok(Self::None),
            _ => {
                let level = text.strip_prefix("zstd:").ok_or_else(invalid)?;
                let level = level.parse().map_err(|_| invalid())?;
                let compression = Self::Zstd(level);
                compression.codec().map_err(|_| invalid())?;
                Ok(compression)
            }
        }
    }
}

impl Compression {
    fn codec(self) -> Result<parquet::basic::Compression, ParquetError> {
        Ok(match self {
            // Level 0 would mean whatever the library takes for its default.
            Self::Zstd(level @ ..1) => {
                return Err(ParquetError::General(format!("zstd has no level {level}")));
            }
            Self::Zstd(level) => parquet::basic::Compression::ZSTD(ZstdLevel::try_new(level)?),
            Self::Snappy => parquet::basic::Compression::SNAPPY,
            Self::None => parquet::basic::Compression::UNCOMPRESSED,
        })
    }
}

/// Settings of a file that are the user's to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileOptions {
    pub(super) compression: Compression,
    pub(super) row_group_rows: usize,
}

impl FileOptions {
    /// The settings of the Parquet writer. Why these: `epoch` steps evenly, so deltas shrink to
    /// nothing, but a dictionary left on would silently win over the delta encoding. Quotes repeat
    /// within a row group, so a dictionary of them is the smallest that every reader knows. The
    /// prices of candles hardly do: a dictionary holds nearly every price once and an index for each
    /// row besides, over eleven series a quarter more bytes than plain prices, in three times the
    /// time. Only where prices move in a narrow band it is smaller, by a fifth at most.
    pub(super) fn properties(self) -> Result<WriterProperties, ParquetError> {
        let by_epoch = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
        Ok(WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(self.compression.codec()?)
            .set_max_row_group_row_count(Some(self.row_group_rows.max(1)))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_sorting_columns(Some(vec![by_epoch]))
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::PLAIN)
            .set_column_encoding(ColumnPath::from(EPOCH), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(ColumnPath::from(QUOTE), true)
            .build())
    }
}

/// Encodes ascending rows into a draft.
pub(super) struct Encoder<R> {
    writer: ArrowWriter<Hashing<File>>,
    refusal: Refusal,
    path: PathBuf,
    schema: SchemaRef,
    pending: Vec<R>,
    rows: RowsDigest,
    first: Option<Epoch>,
    last: Option<Epoch>,
}

/// What a written file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// What it says of itself.
    pub(super) footer: Footer,
    /// SHA-256 of the file, lower-case hex.
    pub(super) sha256: String,
    /// Its size in bytes.
    pub(super) file_size: u64,
    /// Epoch of the first row.
    pub(super) first: Option<Epoch>,
    /// Epoch of the last row.
    pub(super) last: Option<Epoch>,
}

impl<R: Record> Encoder<R> {
    /// Starts the file.
    pub(super) fn new(draft: &Draft, options: FileOptions) -> Result<Self, StoreError> {
        let failed = |error| write_error(draft.path(), error);
        let properties = options.properties().map_err(failed)?;
        // The Arrow schema would only repeat what the Parquet schema says.
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let schema = schema::<R>();
        let refusal = Refusal::default();
        let sink = Hashing::new(draft.writer()?, refusal.clone());
        let writer =
            ArrowWriter::try_new_with_options(sink, schema.clone(), options).map_err(failed)?;
        Ok(Self {
            writer,
            refusal,
            path: draft.path().to_path_buf(),
            schema,
            pending: Vec::with_capacity(BATCH_ROWS),
            rows: RowsDigest::new(),
            first: None,
            last: None,
        })
    }

    /// Adds the next row.
    pub(super) fn push(&mut self, row: R) -> Result<(), StoreError> {
        self.extend(&[row])
    }

    /// Adds the next rows.
    pub(super) fn extend(&mut self, mut rows: &[R]) -> Result<(), StoreError> {
        self.first = self.first.or(rows.first().map(R::epoch));
        self.last = rows.last().map(R::epoch).or(self.last);
        while !rows.is_empty() {
            let n_fitting = rows.len().min(BATCH_ROWS - self.pending.len());
            let (fitting, rest) = rows.split_at(n_fitting);
            self.pending.extend_from_slice(fitting);
            if self.pending.len() == BATCH_ROWS {
                self.write_pending()?;
            }
            rows = rest;
        }
        Ok(())
    }

    /// Ends the file with the footer that `describe` makes of the hashes of its rows.
    pub(super) fn finish(
        mut self,
        describe: impl FnOnce(RowsDigests) -> Footer,
    ) -> Result<FileFacts, StoreError> {
        self.write_pending()?;
        let footer = describe(self.rows.finish());
        for (key, value) in footer.to_pairs() {
            self.writer.append_key_value_metadata(KeyValue { key, value: Some(value) });
        }
        let (refusal, path) = (self.refusal, self.path);
        let sink = self.writer.into_inner().map_err(|error| refusal.or(&path, error))?;
        let (sha256, file_size) = sink.finish();
        Ok(FileFacts { footer, sha256, file_size, first: self.first, last: self.last })
    }

    fn write_pending(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.rows.update(&self.pending);
        let batch = batch(&self.schema, &self.pending);
        self.pending.clear();
        self.writer.write(&batch).map_err(|error| self.refusal.or(&self.path, error))
    }
}

fn batch<R: Record>(schema: &SchemaRef, rows: &[R]) -> RecordBatch {
    let epochs = Int64Array::from_iter_values(rows.iter().map(|row| row.epoch().secs()));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(epochs)];
    for column in 0..R::COLUMNS.len() {
        let prices = rows.iter().map(|row| row.prices().as_ref()[column]);
        columns.push(Arc::new(Float64Array::from_iter_values(prices)));
    }
    RecordBatch::try_new(schema.clone(), columns).expect("the columns are those of the schema")
}

/// What the operating system said when it refused a write. The Parquet writer makes a text of some
/// errors, and a text does not tell a full disk from a broken one. Clones share it.
#[derive(Debug, Clone, Default)]
struct Refusal(Arc<AtomicI32>);

impl Refusal {
    fn note(&self, error: &io::Error) {
        if let Some(code) = error.raw_os_error() {
            self.0.store(code, Ordering::Relaxed);
        }
    }

    /// The refusal, or `error` if there was none.
    fn or(&self, path: &Path, error: ParquetError) -> StoreError {
        match self.0.load(Ordering::Relaxed) {
            0 => write_error(path, error),
            code => io_error("write", path)(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
    refusal: Refusal,
}

impl<W> Hashing<W> {
    fn new(inner: W, refusal: Refusal) -> Self {
        Self { inner, hash: Sha256::new(), size: 0, refusal }
    }

    fn finish(self) -> (String, u64) {
        (hex(&self.hash.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        let n_written = written.inspect_err(|error| self.refusal.note(error))?;
        self.hash.update(&bytes[..n_written]);
        self.size += n_written as u64;
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
