//! Reads partitions back: the footer first, then the rows as a stream of small batches.
//!
//! Only what the writer needs; judging an archive is the work of `integrity`, with its own reader.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};

use crate::domain::{Epoch, Record, StoreError};
use crate::format::codecs::unknown_codec;
use crate::format::digest::hex;
use crate::format::schema::{EPOCH, schema};
use crate::format::{
    Footer, FooterError, MOST_ROWS, RowsDigest, RowsDigests, Unread, guarded, open_ordinary,
    open_parquet,
};

use super::errors::{damaged, io_error, read_error, undecodable, unread};
use super::stop::Stop;

/// Rows decoded at once.
pub(super) const BATCH_ROWS: usize = 8192;
/// Bytes hashed at once.
const BLOCK_BYTES: usize = 128 * 1024;

/// A Parquet file whose footer was read; no row yet.
#[derive(Debug)]
pub(super) struct PartitionFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    /// What the file says of itself.
    pub(super) footer: Footer,
}

/// Why a Parquet file cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Another tool wrote it.
    Foreign(StoreError),
    /// It is beyond this build, by its version, its codec or its types: leave it alone.
    Undecodable(StoreError),
    /// It is ours, or nobody's, and broken.
    Broken(StoreError),
    /// Nothing can be said: the operating system refused.
    Unknown(StoreError),
}

impl From<Unusable> for StoreError {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Foreign(error)
            | Unusable::Undecodable(error)
            | Unusable::Broken(error)
            | Unusable::Unknown(error) => error,
        }
    }
}

impl PartitionFile {
    /// Reads the footer of `path`.
    pub(super) fn open(path: &Path) -> Result<Self, Unusable> {
        let (file, metadata) = load(path)?;
        let footer = footer_of(&metadata).map_err(|error| match error {
            FooterError::Foreign => Unusable::Foreign(damaged(path, "was written by another tool")),
            FooterError::TooNew(_) => Unusable::Undecodable(undecodable(
                path,
                format!("was written by a newer version of this program: {error}"),
            )),
            FooterError::Damaged(_) | FooterError::TooLong(_) => {
                Unusable::Broken(damaged(path, format!("is broken: {error}")))
            }
        })?;
        Ok(Self { path: path.to_path_buf(), file, metadata, footer })
    }

    /// Reads a file whose own footer may be damaged, with the one that it ought to have.
    pub(super) fn open_with(path: &Path, footer: Footer) -> Result<Self, Unusable> {
        let (file, metadata) = load(path)?;
        Ok(Self { path: path.to_path_buf(), file, metadata, footer })
    }

    /// Number of rows in each row group, as the file says.
    pub(super) fn row_groups(&self) -> Vec<usize> {
        let groups = self.metadata.metadata().row_groups().iter();
        groups.map(|group| usize::try_from(group.num_rows()).unwrap_or_default()).collect()
    }

    /// Starts to read one row group behind its first `skipped` rows, which are not looked at.
    pub(super) fn rows_behind<R: Record>(
        &self,
        row_group: usize,
        skipped: usize,
    ) -> Result<Rows<R>, StoreError> {
        let n_rows = self.row_groups().get(row_group).copied().unwrap_or_default();
        let selection = RowSelection::from(vec![
            RowSelector::skip(skipped),
            RowSelector::select(n_rows.saturating_sub(skipped)),
        ]);
        self.start(|builder| builder.with_row_groups(vec![row_group]).with_row_selection(selection))
    }

    /// Checks columns and row count against what a file of `R` with this footer must have.
    pub(super) fn check<R: Record>(&self) -> Result<(), StoreError> {
        let expected = schema::<R>();
        let found = self.metadata.schema();
        if found.fields() != expected.fields() {
            let names: Vec<_> = found.fields().iter().map(|field| field.name().as_str()).collect();
            return Err(damaged(
                &self.path,
                format!("has the wrong columns or types: {}", names.join(", ")),
            ));
        }
        let n_rows = self.metadata.metadata().file_metadata().num_rows();
        check_count(&self.path, &self.metadata, MOST_ROWS)?;
        if u64::try_from(n_rows) != Ok(self.footer.record_count) {
            let promised = self.footer.record_count;
            return Err(damaged(
                &self.path,
                format!("holds {n_rows} rows, its footer says {promised}"),
            ));
        }
        Ok(())
    }

    /// Starts to read the rows.
    pub(super) fn rows<R: Record>(&self) -> Result<Rows<R>, StoreError> {
        self.start(|builder| builder)
    }

    fn start<R: Record>(
        &self,
        narrowed: impl FnOnce(Builder) -> Builder,
    ) -> Result<Rows<R>, StoreError> {
        let file = self.file.try_clone().map_err(io_error("open", &self.path))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let builder = narrowed(builder.with_batch_size(BATCH_ROWS));
        let reader = without_panic(&self.path, || builder.build())?;
        Ok(Rows {
            path: self.path.clone(),
            reader,
            batch: Vec::new(),
            n_passed: 0,
            digest: RowsDigest::new(),
        })
    }

    /// Reads all rows and tells whether they are those the footer promises: hash, count, order,
    /// month. Returns the first and the last epoch.
    pub(super) fn verify_rows<R: Record>(
        &self,
        stop: &Stop,
    ) -> Result<(Option<Epoch>, Option<Epoch>), StoreError> {
        self.check::<R>()?;
        let month = self.footer.key.month.range();
        let mut rows = self.rows::<R>()?;
        let (mut first, mut last, mut n_rows) = (None, None, 0);
        while let Some(row) = rows.next_row()? {
            stop.check_at(n_rows)?;
            n_rows += 1;
            let epoch = row.epoch();
            if !month.contains(epoch) || last.is_some_and(|last| epoch <= last) {
                return Err(damaged(&self.path, format!("has a misplaced row at {epoch}")));
            }
            first.get_or_insert(epoch);
            last = Some(epoch);
        }
        self.check_digests(&rows.digests())?;
        Ok((first, last))
    }

    /// Compares what the rows hash to with the promise of the footer.
    pub(super) fn check_digests(&self, found: &RowsDigests) -> Result<(), StoreError> {
        let footer = &self.footer;
        let is_whole = found.rows_sha256 == footer.rows_sha256
            && found.record_count == footer.record_count
            && found.days == footer.days;
        if is_whole {
            return Ok(());
        }
        Err(damaged(&self.path, "does not hold the rows that its footer promises"))
    }
}

type Builder = ParquetRecordBatchReaderBuilder<File>;

fn load(path: &Path) -> Result<(File, ArrowReaderMetadata), Unusable> {
    let file = open_parquet(path).map_err(|error| match error {
        Unread::Io(error) => Unusable::Unknown(io_error("open", path)(error)),
        Unread::NotAFile => Unusable::Broken(damaged(path, "is no ordinary file")),
        error @ Unread::TooLong { .. } => Unusable::Broken(unread(path, error)),
    })?;
    let load = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
    let metadata = without_panic(path, load).map_err(|error| match error {
        StoreError::Damaged { .. } if is_encrypted(&file) => {
            Unusable::Undecodable(undecodable(path, "is encrypted, which this build cannot read"))
        }
        StoreError::Damaged { .. } => Unusable::Broken(error),
        StoreError::Undecodable { .. } => Unusable::Undecodable(error),
        error => Unusable::Unknown(error),
    })?;
    match unknown_codec(metadata.metadata()) {
        Some(codec) => Err(Unusable::Undecodable(undecodable(
            path,
            format!("is compressed with {codec}, which this build cannot decode"),
        ))),
        None => Ok((file, metadata)),
    }
}

/// Tells whether a file ends as Parquet files do whose footer is encrypted.
fn is_encrypted(file: &File) -> bool {
    let mut file = file;
    let mut magic = [0; 4];
    let read = file.seek(std::io::SeekFrom::End(-4)).and_then(|_| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"PARE"
}

fn footer_of(metadata: &ArrowReaderMetadata) -> Result<Footer, FooterError> {
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    Footer::from_pairs(|key| pairs?.iter().find(|pair| pair.key == key)?.value.as_deref())
}

/// Rows that come some at a time.
pub(super) trait RowStream<R: Record> {
    /// The rows that come next, at least one; none behind the last.
    fn ahead(&mut self) -> Result<&[R], StoreError>;

    /// Goes on behind the first `n_rows` of the rows that are ahead.
    fn pass(&mut self, n_rows: usize);

    /// The next row, or `None` behind the last.
    fn next_row(&mut self) -> Result<Option<R>, StoreError> {
        let row = self.ahead()?.first().copied();
        self.pass(usize::from(row.is_some()));
        Ok(row)
    }
}

/// The rows of a file, batch by batch; hashes them on the way.
pub(super) struct Rows<R> {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    batch: Vec<R>,
    n_passed: usize,
    digest: RowsDigest,
}

impl<R: Record> RowStream<R> for Rows<R> {
    fn ahead(&mut self) -> Result<&[R], StoreError> {
        while self.n_passed == self.batch.len() {
            let next = || self.reader.next().transpose().map_err(ParquetError::from);
            match without_panic(&self.path, next)? {
                Some(batch) => self.decode(&batch)?,
                None => break,
            }
        }
        Ok(&self.batch[self.n_passed..])
    }

    fn pass(&mut self, n_rows: usize) {
        self.n_passed += n_rows;
    }
}

impl<R: Record> Rows<R> {
    /// What the rows that were read hash to.
    pub(super) fn digests(self) -> RowsDigests {
        self.digest.finish()
    }

    fn decode(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.batch.clear();
        self.n_passed = 0;
        let missing = |name: &str| damaged(&self.path, format!("has no usable column `{name}`"));
        let epochs = batch
            .column_by_name(EPOCH)
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| missing(EPOCH))?;
        let mut prices = Vec::with_capacity(R::COLUMNS.len());
        for name in R::COLUMNS {
            let column = batch
                .column_by_name(name)
                .and_then(|column| column.as_primitive_opt::<Float64Type>())
                .ok_or_else(|| missing(name))?;
            prices.push(column.values());
        }
        let mut row_prices = vec![0.0; prices.len()];
        self.batch.extend((0..batch.num_rows()).map(|row| {
            for (price, column) in row_prices.iter_mut().zip(&prices) {
                *price = column[row];
            }
            R::from_parts(Epoch::new(epochs.value(row)), &row_prices)
        }));
        self.digest.update(&self.batch);
        Ok(())
    }
}

/// Refuses a file that says it holds more than `most` rows: a page of a few bytes can be a hundred
/// million of them.
pub(super) fn check_count(
    path: &Path,
    metadata: &ArrowReaderMetadata,
    most: u64,
) -> Result<(), StoreError> {
    let groups = metadata.metadata().row_groups().iter();
    let n_rows = groups.map(|group| group.num_rows().unsigned_abs()).fold(0, u64::saturating_add);
    if n_rows > most {
        return Err(damaged(
            path,
            format!("holds {n_rows} rows, more than the {most} that it can hold"),
        ));
    }
    Ok(())
}

/// The rows that a Parquet file says it has, whoever wrote it.
pub(super) fn declared_rows(path: &Path) -> Result<u64, StoreError> {
    let (_, metadata) = load(path)?;
    let n_rows = metadata.metadata().file_metadata().num_rows();
    u64::try_from(n_rows).map_err(|_| damaged(path, "says that it has less than no row"))
}

/// Runs a step of the decoder, which panics at some of the numbers a flipped bit can make
/// (a negative offset, for one). To us that is a damaged file like any other.
pub(super) fn without_panic<T>(
    path: &Path,
    step: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, StoreError> {
    match guarded(step) {
        Some(result) => result.map_err(|error| read_error(path, error)),
        None => Err(damaged(path, "cannot be read as Parquet: its numbers make no sense")),
    }
}

/// SHA-256 of a file, lower-case hex, in constant memory.
pub(super) fn file_sha256(path: &Path) -> Result<String, StoreError> {
    let mut file = open_ordinary(path).map_err(|error| unread(path, error))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block).map_err(io_error("read", path))? {
            0 => return Ok(hex(&hash.finalize())),
            n_read => hash.update(&block[..n_read]),
        }
    }
}
