//! Opens Parquet files and sidecars with its own eyes, not through the writer's code.
//!
//! Everything read here may be hostile: cut off, empty, garbage, or lying about itself. Whatever
//! it is, the answer is a value or a [`ReadError`], in memory that does not grow with the file.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use arrow_array::{Array, Float64Array, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use sha2::{Digest, Sha256};

use crate::format::codecs::unknown_codec;
use crate::format::digest::hex;
use crate::format::schema::EPOCH;
use crate::format::{
    FORMAT_VERSION, Footer, FooterError, MOST_ROWS, SIDECAR_BYTES, Sidecar, Unread, guarded,
    newer_version, open_parquet, read_bounded,
};

use super::record::CheckedRecord;

/// Rows in one batch: few enough to stay in the second-level cache while they are checked.
const BATCH_ROWS: usize = 8192;

/// Bytes read at once while hashing a file.
const HASH_BUFFER_BYTES: usize = 256 * 1024;

/// A file cannot be read as what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("it is empty")]
    Empty,
    #[error("it is no readable Parquet: {0}")]
    Parquet(#[from] ParquetError),
    #[error("its columns cannot be read: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    #[error("column `{0}` is missing or of another type")]
    Column(&'static str),
    #[error("column `{0}` holds nulls")]
    Nulls(&'static str),
    #[error("{0}, which this build cannot decode")]
    Undecodable(String),
    #[error("it has the format version {0} of a newer version of this program")]
    Newer(u64),
    #[error("it is so damaged that the Parquet reader gave up on it")]
    Panicked,
    #[error("it holds {0} rows, and no month has so many seconds")]
    TooManyRows(u64),
    #[error("it is no sidecar: {0}")]
    Json(#[from] serde_json::Error),
}

impl ReadError {
    /// Tells whether this build is to blame and not the file.
    pub(crate) fn is_inability(&self) -> bool {
        matches!(self, Self::Undecodable(_) | Self::Newer(_) | Self::Parquet(ParquetError::NYI(_)))
    }
}

/// An opened Parquet file whose rows have not been read yet.
pub(crate) struct ParquetFile {
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl ParquetFile {
    /// Opens a file and reads what stands at its end.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let file = open_parquet(path)?;
        if file.metadata().map_err(Unread::Io)?.len() == 0 {
            return Err(ReadError::Empty);
        }
        // A schema of Arrow's own, embedded in the file, could reinterpret the columns that
        // other readers see; only what Parquet itself says counts.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let is_encrypted = ends_encrypted(&file);
        let builder = without_panic(|| {
            Ok(ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?)
        });
        let builder = match builder {
            Err(_) if is_encrypted => {
                return Err(ReadError::Undecodable("it is encrypted".to_owned()));
            }
            builder => builder?,
        };
        match unknown_codec(builder.metadata()) {
            Some(codec) => Err(ReadError::Undecodable(format!("it is compressed with {codec}"))),
            None => Ok(Self { builder }),
        }
    }

    /// The columns the file says it has.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.builder.schema()
    }

    /// The rows the file says it has.
    pub(crate) fn declared_rows(&self) -> i64 {
        self.builder.metadata().file_metadata().num_rows()
    }

    /// One value of the file's key-value metadata.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.builder.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// What the file says of itself.
    pub(crate) fn footer(&self) -> Result<Footer, FooterError> {
        Footer::from_pairs(|key| self.value(key))
    }

    /// For each row group its number of rows, and its first and last epoch where it says so.
    pub(crate) fn groups(&self) -> Vec<(i64, Option<(i64, i64)>)> {
        let is_epoch = |column: &parquet::schema::types::ColumnDescPtr| column.name() == EPOCH;
        let index = self.builder.parquet_schema().columns().iter().position(is_epoch);
        let bounds = |group: &RowGroupMetaData| match group.column(index?).statistics()? {
            Statistics::Int64(said) => Some((*said.min_opt()?, *said.max_opt()?)),
            _ => None,
        };
        let groups = self.builder.metadata().row_groups().iter();
        groups.map(|group| (group.num_rows(), bounds(group))).collect()
    }

    /// Starts reading the rows of some row groups, in the order of the file.
    pub(crate) fn rows_in<R: CheckedRecord>(
        self,
        groups: Vec<usize>,
    ) -> Result<RowBatches<R>, ReadError> {
        Self { builder: self.builder.with_row_groups(groups) }.rows()
    }

    /// Tells whether it says that it holds more rows than any partition. A page of a few bytes can
    /// be a hundred million of them.
    pub(crate) fn check_count(&self) -> Result<(), ReadError> {
        let groups = self.builder.metadata().row_groups().iter();
        let n_rows =
            groups.map(|group| group.num_rows().unsigned_abs()).fold(0, u64::saturating_add);
        let n_rows = n_rows.max(u64::try_from(self.declared_rows()).unwrap_or_default());
        if n_rows > MOST_ROWS { Err(ReadError::TooManyRows(n_rows)) } else { Ok(()) }
    }

    /// Starts reading the rows.
    pub(crate) fn rows<R: CheckedRecord>(self) -> Result<RowBatches<R>, ReadError> {
        self.check_count()?;
        let wanted = std::iter::once(&EPOCH).chain(R::COLUMNS);
        let roots = wanted
            .map(|name| self.schema().index_of(name).map_err(|_| ReadError::Column(name)))
            .collect::<Result<Vec<_>, _>>()?;
        let mask = ProjectionMask::roots(self.builder.parquet_schema(), roots);
        let builder = self.builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        let reader = without_panic(|| Ok(builder.build()?))?;
        Ok(RowBatches { reader, rows: Vec::with_capacity(BATCH_ROWS), n_read: 0 })
    }
}

/// The rows of a file, a batch at a time.
pub(crate) struct RowBatches<R> {
    reader: ParquetRecordBatchReader,
    rows: Vec<R>,
    n_read: u64,
}

impl<R: CheckedRecord> RowBatches<R> {
    /// The next rows in the order of the file; none after the last. Not to be called after an error.
    pub(crate) fn next_rows(&mut self) -> Result<Option<&[R]>, ReadError> {
        let reader = &mut self.reader;
        let Some(batch) = without_panic(|| Ok(reader.next().transpose()?))? else {
            return Ok(None);
        };
        self.n_read += batch.num_rows() as u64;
        if self.n_read > MOST_ROWS {
            return Err(ReadError::TooManyRows(self.n_read));
        }
        let epochs = column::<Int64Array>(&batch, EPOCH)?.values();
        let mut prices = Vec::with_capacity(R::COLUMNS.len());
        for name in R::COLUMNS {
            prices.push(&column::<Float64Array>(&batch, name)?.values()[..]);
        }
        self.rows.clear();
        R::gather(epochs, &prices, &mut self.rows);
        Ok(Some(&self.rows))
    }
}

/// Reads a sidecar; none if there is no such file.
pub(crate) fn read_sidecar(path: &Path) -> Result<Option<Sidecar>, ReadError> {
    match read_bounded(path, "a sidecar", SIDECAR_BYTES) {
        Ok(bytes) if bytes.is_empty() => Err(ReadError::Empty),
        Ok(bytes) => match (Sidecar::from_json(&bytes), newer_version(&bytes, FORMAT_VERSION)) {
            (Err(_), Some(version)) => Err(ReadError::Newer(version)),
            (sidecar, _) => Ok(Some(sidecar?)),
        },
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// SHA-256 of a whole file, lower-case hex.
pub(crate) fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    loop {
        let n_read = match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n_read) => n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..n_read]);
    }
}

/// Tells whether a file ends as Parquet files do whose footer is encrypted.
fn ends_encrypted(mut file: &File) -> bool {
    let mut magic = [0; 4];
    let read = file.seek(io::SeekFrom::End(-4)).and_then(|_| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"PARE"
}

/// That the Parquet reader panics is no reason for the checker to end.
fn without_panic<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    guarded(read).unwrap_or(Err(ReadError::Panicked))
}

fn column<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a A, ReadError> {
    let column = batch.column_by_name(name).ok_or(ReadError::Column(name))?;
    if column.null_count() > 0 {
        return Err(ReadError::Nulls(name));
    }
    column.as_any().downcast_ref().ok_or(ReadError::Column(name))
}
