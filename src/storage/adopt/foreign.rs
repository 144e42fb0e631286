//! Reads a Parquet file of another tool: columns by name in any order, one batch at a time.
//!
//! What is not wanted is not decoded. A file that does not have the columns a partition needs, in
//! types that lose nothing, is not trusted at all.

use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use crate::domain::{Epoch, FindingKind, Record, StoreError};
use crate::format::codecs::unknown_codec;
use crate::format::schema::EPOCH;
use crate::format::{MOST_ROWS, open_parquet};

use super::super::errors::{io_error, undecodable, unread};
use super::super::read::{BATCH_ROWS, check_count, without_panic};

/// The column that newer files of the Python tool have, always zero.
const VOLUME: &str = "volume";

/// Rows of a file of another tool that are looked at: a year of seconds may lie in the place of a
/// month, and most of them are then set aside.
const MOST_FOREIGN_ROWS: u64 = 12 * MOST_ROWS;

/// Why a file is not taken over.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It cannot be trusted as a whole; the text is read after its name.
    Untrusted(FindingKind, String),
    /// The operating system refused.
    Failed(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { problem, .. } => {
                Self::Untrusted(FindingKind::Unreadable, problem)
            }
            error => Self::Failed(error),
        }
    }
}

/// A file whose columns were looked at; no row yet.
pub(super) struct ForeignFile<R> {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    has_volume: bool,
    /// Columns that no partition has, beside `volume`.
    pub(super) extra: Vec<String>,
    record: PhantomData<R>,
}

impl<R: Record> ForeignFile<R> {
    /// Opens a file and checks its columns and codecs.
    pub(super) fn open(path: &Path) -> Result<Self, Refusal> {
        let file = open_parquet(path).map_err(|error| unread(path, error))?;
        // A schema of Arrow's own could reinterpret the columns that other readers see.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = without_panic(path, || ArrowReaderMetadata::load(&file, options))?;
        check_count(path, &metadata, MOST_FOREIGN_ROWS)?;
        let schema = metadata.schema();
        check_columns::<R>(path, schema)?;
        check_codecs(path, &metadata)?;
        let has_volume = schema
            .field_with_name(VOLUME)
            .is_ok_and(|field| *field.data_type() == DataType::Float64);
        let is_known = |name: &str| {
            name == EPOCH || R::COLUMNS.contains(&name) || (name == VOLUME && has_volume)
        };
        let names = schema.fields().iter().map(|field| field.name());
        let extra = names.filter(|name| !is_known(name)).cloned().collect();
        let path = path.to_path_buf();
        Ok(Self { path, file, metadata, has_volume, extra, record: PhantomData })
    }

    /// Rows the file says it has.
    pub(super) fn declared_rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// Starts reading the rows in the order of the file.
    pub(super) fn rows(&self) -> Result<RawRows<R>, Refusal> {
        let schema = self.metadata.schema();
        let volume = self.has_volume.then_some(VOLUME);
        let wanted = std::iter::once(EPOCH).chain(R::COLUMNS.iter().copied()).chain(volume);
        let roots: Vec<usize> = wanted.filter_map(|name| schema.index_of(name).ok()).collect();
        let file = self.file.try_clone().map_err(|error| io_error("open", &self.path)(error))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        let reader = without_panic(&self.path, || builder.build())?;
        let path = self.path.clone();
        Ok(RawRows { path, reader, has_volume: self.has_volume, n_volumes: 0, record: PhantomData })
    }
}

/// The rows of a file as they lie in it.
pub(super) struct RawRows<R> {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    has_volume: bool,
    /// Rows so far whose volume is not zero.
    pub(super) n_volumes: u64,
    record: PhantomData<R>,
}

impl<R: Record> RawRows<R> {
    /// Hands every row to `take`: its epoch, unless it is null or no second, and its prices in
    /// the order of the schema, null as NaN.
    pub(super) fn for_each(
        &mut self,
        mut take: impl FnMut(Option<Epoch>, &[f64]) -> Result<(), StoreError>,
    ) -> Result<(), Refusal> {
        let mut prices = vec![0.0; R::COLUMNS.len()];
        loop {
            let next = || self.reader.next().transpose().map_err(ParquetError::from);
            let Some(batch) = without_panic(&self.path, next)? else { return Ok(()) };
            let epochs = Epochs::of(&batch)?;
            let columns = R::COLUMNS.iter().map(|name| float(&batch, name));
            let columns: Vec<_> = columns.collect::<Result<_, _>>()?;
            for row in 0..batch.num_rows() {
                for (price, column) in prices.iter_mut().zip(&columns) {
                    *price = if column.is_null(row) { f64::NAN } else { column.value(row) };
                }
                take(epochs.at(row), &prices).map_err(Refusal::Failed)?;
            }
            if self.has_volume {
                let volumes = float(&batch, VOLUME)?;
                let is_said = |row: &usize| !volumes.is_null(*row) && volumes.value(*row) != 0.0;
                self.n_volumes += (0..batch.num_rows()).filter(is_said).count() as u64;
            }
        }
    }
}

/// The epochs of a batch, of whatever width.
struct Epochs<'a>(&'a dyn Array);

impl<'a> Epochs<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Refusal> {
        batch
            .column_by_name(EPOCH)
            .map(|column| Self(column.as_ref()))
            .ok_or_else(|| missing(EPOCH))
    }

    fn at(&self, row: usize) -> Option<Epoch> {
        let array = self.0;
        if array.is_null(row) {
            return None;
        }
        let secs = match array.data_type() {
            DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
            DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
            DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
            DataType::UInt64 => {
                i64::try_from(array.as_primitive::<UInt64Type>().value(row)).ok()?
            }
            _ => return None,
        };
        Some(Epoch::new(secs))
    }
}

fn float<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow_array::PrimitiveArray<Float64Type>, Refusal> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt());
    column.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Refusal {
    Refusal::Untrusted(FindingKind::Schema, format!("has no usable column `{name}`"))
}

/// Every column a partition needs is there once, in a type that loses nothing. That another type
/// cannot be read here says nothing against the file.
fn check_columns<R: Record>(path: &Path, schema: &Schema) -> Result<(), Refusal> {
    use DataType::{Float64, Int32, Int64, UInt32, UInt64};
    for name in std::iter::once(EPOCH).chain(R::COLUMNS.iter().copied()) {
        let mut fields = schema.fields().iter().filter(|field| field.name() == name);
        let wanted = if name == EPOCH { "int64" } else { "float64" };
        let found = match (fields.next(), fields.next()) {
            (None, _) => "no such column",
            (Some(_), Some(_)) => "two of them",
            (Some(field), None) => {
                let fits = match field.data_type() {
                    Int64 | Int32 | UInt32 | UInt64 => name == EPOCH,
                    Float64 => name != EPOCH,
                    _ => false,
                };
                if fits {
                    continue;
                }
                let found = field.data_type();
                let problem = format!(
                    "has a column `{name}` of type {found}, which this build cannot take over; \
                     write it anew with {wanted} and put it back"
                );
                return Err(Refusal::Failed(undecodable(path, problem)));
            }
        };
        let problem = format!("needs a column `{name}` of type {wanted} and has {found}");
        return Err(Refusal::Untrusted(FindingKind::Schema, problem));
    }
    Ok(())
}

fn check_codecs(path: &Path, metadata: &ArrowReaderMetadata) -> Result<(), Refusal> {
    let Some(codec) = unknown_codec(metadata.metadata()) else { return Ok(()) };
    let problem = format!(
        "is compressed with {codec}, which this build cannot decode; write it anew with zstd or \
         snappy and put it back"
    );
    Err(Refusal::Failed(undecodable(path, problem)))
}
