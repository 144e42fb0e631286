//! The file form of a segment: one JSON line that says what it is, then the raw rows.
//!
//! The rows are the very bytes that `rows_sha256` hashes, but a checksum is enough here: a segment
//! lives from its answers to the end of its month, and a second SHA-256 of every row would cost as
//! much as reading the answers. The header is sealed by a hash of its own: a flipped digit in it
//! could otherwise claim seconds that nobody ever answered for.

use std::fs::File;
use std::hash::Hasher;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use twox_hash::XxHash64;

use crate::domain::{
    CoverageState, Epoch, EpochRange, Finding, PartitionKey, RangeSet, Record, Segment, StoreError,
};
use crate::format::digest::{hex, push_rows};

use super::atomic::Draft;
use super::errors::{damaged, io_error};
use super::read::RowStream;

/// First value of every header.
const MAGIC: &str = "titan-segment";
/// Staged files live from one run to the next, so another version is set aside, not migrated.
const SEGMENT_VERSION: u32 = 2;
/// A header is about 400 bytes, and each finding it carries as much again; more is no header.
const MAX_HEADER_BYTES: u64 = 512 * 1024;
/// Findings one header carries at most; a run keeps no more of one partition.
const MAX_FINDINGS: usize = 200;
/// Rows turned into bytes, or back, at once.
const ROWS_AT_ONCE: usize = 4096;
/// Bytes read at once while the header is looked for; rows are read in blocks of their own.
const HEADER_BLOCK_BYTES: usize = 4096;

/// What a segment file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentHeader {
    magic: String,
    format_version: u32,
    series: String,
    month: String,
    start: Epoch,
    end: Epoch,
    /// When the first of its answers came, by the source's clock.
    pub(super) asked_first: Epoch,
    /// When the last of its answers came.
    pub(super) asked_last: Epoch,
    /// Decimals in which the series is quoted, if the source said so.
    pub(super) pip_size: Option<u8>,
    /// Equal rows dropped inside single answers.
    pub(super) n_duplicates: u64,
    /// Rows behind the header.
    pub(super) n_rows: u64,
    /// xxHash64 of the rows, as 16 hexadecimal digits.
    rows_xxh64: String,
    /// What is known of its seconds: `answered` or `inherited`; or `failed` for seconds that were
    /// answered once and whose rows are lost.
    #[serde(default = "answered", skip_serializing_if = "is_answered")]
    pub(super) state: CoverageState,
    /// Whether it was saved from a damaged published file: its rows count as published ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) salvaged: bool,
    /// What the run found that asked for it, unless another segment carries it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) findings: Vec<Finding>,
    /// Silence that was asked again by itself, as start and end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    confirmed: Vec<(Epoch, Epoch)>,
    /// Silence that was not believed yet, as start and end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    doubted: Vec<(Epoch, Epoch)>,
    header_sha256: String,
}

/// Where the answers of a segment come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The source answered.
    Asked,
    /// A damaged published file, which said this of them.
    Salvaged(CoverageState),
}

// The defaults are left out of the header, so one of an earlier version keeps its seal.
fn answered() -> CoverageState {
    CoverageState::Answered
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_answered(state: &CoverageState) -> bool {
    *state == CoverageState::Answered
}

fn pairs(ranges: &RangeSet) -> Vec<(Epoch, Epoch)> {
    ranges.iter().map(|range| (range.start(), range.end())).collect()
}

fn ranges(pairs: &[(Epoch, Epoch)]) -> RangeSet {
    pairs.iter().filter_map(|(start, end)| EpochRange::new(*start, *end)).collect()
}

impl SegmentHeader {
    fn of<R: Record>(key: &PartitionKey, segment: &Segment<R>, origin: Origin) -> Self {
        let (state, salvaged) = match origin {
            Origin::Asked => (CoverageState::Answered, false),
            Origin::Salvaged(state) => (state, true),
        };
        let notes = &segment.notes;
        let header = Self {
            magic: MAGIC.to_owned(),
            format_version: SEGMENT_VERSION,
            series: series_name(key),
            month: key.month.to_string(),
            start: segment.range.start(),
            end: segment.range.end(),
            asked_first: segment.asked.0,
            asked_last: segment.asked.1,
            pip_size: segment.pip_size,
            n_duplicates: segment.n_duplicates,
            n_rows: segment.n_rows() as u64,
            rows_xxh64: rows_xxh64(&segment.pieces),
            state,
            salvaged,
            findings: notes.findings.iter().take(MAX_FINDINGS).cloned().collect(),
            confirmed: pairs(&notes.confirmed.within(segment.range)),
            doubted: pairs(&notes.doubted.within(segment.range)),
            header_sha256: String::new(),
        };
        let header_sha256 = header.seal();
        Self { header_sha256, ..header }
    }

    /// Hash of everything else in the header.
    fn seal(&self) -> String {
        let blank = Self { header_sha256: String::new(), ..self.clone() };
        hex(&Sha256::digest(to_json(&blank)))
    }

    /// Tells whether its seconds were answered: then what it does not hold was not there.
    pub(super) fn holds_rows(&self) -> bool {
        self.state >= CoverageState::Inherited
    }

    /// Silence that was asked again by itself, and silence that was not believed yet.
    pub(super) fn silence(&self) -> (RangeSet, RangeSet) {
        (ranges(&self.confirmed), ranges(&self.doubted))
    }

    /// Tells why the header cannot be one of a segment of `key`, if it cannot.
    fn problem(&self, key: &PartitionKey) -> Option<String> {
        if self.magic != MAGIC || self.format_version != SEGMENT_VERSION {
            return Some(format!("has format version {} of `{}`", self.format_version, self.magic));
        }
        if self.header_sha256 != self.seal() {
            return Some("has a header that was changed".into());
        }
        if self.series != series_name(key) || self.month != key.month.to_string() {
            return Some(format!("belongs to `{}/{}`", self.series, self.month));
        }
        let range = EpochRange::new(self.start, self.end);
        if range.is_none_or(|range| !key.month.range().covers(range)) {
            return Some(format!("claims {} to {}, outside its month", self.start, self.end));
        }
        if !self.holds_rows() && self.n_rows > 0 {
            return Some(format!("holds rows of seconds that are {:?}", self.state));
        }
        None
    }
}

/// A segment file that was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StagedSegment {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    /// The seconds that its header speaks of.
    pub(super) range: EpochRange,
    /// Epoch of its last row, if it holds any.
    pub(super) last_row: Option<Epoch>,
}

impl StagedSegment {
    /// Sorts by what is inside, never by file name: the order decides which of two rows stays.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let header = &self.header;
        let asked = (header.asked_first, header.asked_last);
        (self.range, asked, header.rows_xxh64.clone(), self.path.clone())
    }
}

/// Why a segment file was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is not what it must be; the text is read after its name.
    Damaged(String),
    /// The operating system refused.
    Failed(StoreError),
}

/// Writes `segment` into a draft.
pub(super) fn write<R: Record>(
    draft: &Draft,
    key: &PartitionKey,
    segment: &Segment<R>,
    origin: Origin,
) -> Result<(), StoreError> {
    let failed = |error| io_error("write", draft.path())(error);
    let mut sink = BufWriter::new(draft.writer()?);
    let mut bytes = to_json(&SegmentHeader::of(key, segment, origin));
    bytes.push(b'\n');
    sink.write_all(&bytes).map_err(failed)?;
    for rows in in_blocks(&segment.pieces) {
        bytes.clear();
        push_rows(&mut bytes, rows);
        sink.write_all(&bytes).map_err(failed)?;
    }
    sink.flush().map_err(failed)
}

/// Reads all of `path` and tells whether it is a whole segment of `key`: header, length, checksum,
/// order and range of its rows.
pub(super) fn check<R: Record>(path: &Path, key: &PartitionKey) -> Result<StagedSegment, Refused> {
    let (header, mut rows) = open::<R>(path)?;
    if let Some(problem) = header.problem(key) {
        return Err(Refused::Damaged(problem));
    }
    let range = EpochRange::new(header.start, header.end)
        .ok_or_else(|| Refused::Damaged("claims an empty range".into()))?;
    let mut hash = XxHash64::with_seed(0);
    let mut last = None;
    while rows.read_block()? {
        hash.write(&rows.bytes);
        for row in &rows.rows {
            let epoch = row.epoch();
            if !range.contains(epoch) || last.is_some_and(|last| epoch <= last) {
                return Err(Refused::Damaged(format!("has a misplaced row at {epoch}")));
            }
            last = Some(epoch);
        }
    }
    if rows.is_more()? {
        return Err(Refused::Damaged("is longer than its header says".into()));
    }
    if checksum(&hash) != header.rows_xxh64 {
        return Err(Refused::Damaged("holds other rows than its header promises".into()));
    }
    Ok(StagedSegment { path: path.to_path_buf(), header, range, last_row: last })
}

/// The rows of a segment file, a block at a time.
pub(super) struct SegmentRows<R> {
    path: PathBuf,
    source: BufReader<File>,
    /// Rows behind the block.
    n_left: u64,
    bytes: Vec<u8>,
    /// The block, decoded.
    rows: Vec<R>,
    n_passed: usize,
}

impl<R: Record> SegmentRows<R> {
    /// Opens a segment that was checked before.
    pub(super) fn open(segment: &StagedSegment) -> Result<Self, StoreError> {
        match open::<R>(&segment.path) {
            Ok((_, rows)) => Ok(rows),
            Err(Refused::Failed(error)) => Err(error),
            Err(Refused::Damaged(problem)) => Err(damaged(&segment.path, problem)),
        }
    }

    /// Reads the next block; tells whether there was one.
    fn read_block(&mut self) -> Result<bool, Refused> {
        let n_rows = self.n_left.min(ROWS_AT_ONCE as u64);
        self.n_left -= n_rows;
        let width = size_of::<u64>() * (1 + R::COLUMNS.len());
        // At most `ROWS_AT_ONCE`, so it fits.
        self.bytes.resize(n_rows as usize * width, 0);
        self.rows.clear();
        self.n_passed = 0;
        match self.source.read_exact(&mut self.bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Refused::Damaged("is shorter than its header says".into()));
            }
            Err(error) => return Err(Refused::Failed(io_error("read", &self.path)(error))),
        }
        self.rows.extend(self.bytes.chunks_exact(width).map(row_of::<R>));
        Ok(!self.rows.is_empty())
    }

    fn is_more(&mut self) -> Result<bool, Refused> {
        let rest = self.source.fill_buf();
        let rest = rest.map_err(|error| Refused::Failed(io_error("read", &self.path)(error)))?;
        Ok(!rest.is_empty())
    }
}

impl<R: Record> RowStream<R> for SegmentRows<R> {
    fn ahead(&mut self) -> Result<&[R], StoreError> {
        if self.n_passed == self.rows.len() {
            self.read_block().map_err(|refused| match refused {
                Refused::Failed(error) => error,
                Refused::Damaged(problem) => damaged(&self.path, problem),
            })?;
        }
        Ok(&self.rows[self.n_passed..])
    }

    fn pass(&mut self, n_rows: usize) {
        self.n_passed += n_rows;
    }
}

/// Undoes [`push_rows`] for one row.
fn row_of<R: Record>(bytes: &[u8]) -> R {
    let mut numbers = bytes.as_chunks::<8>().0.iter();
    let epoch = numbers.next().map_or(0, |bytes| i64::from_le_bytes(*bytes));
    // No record kind has more columns than a candle.
    let mut prices = [0.0; 8];
    for (price, bytes) in prices.iter_mut().zip(numbers) {
        *price = f64::from_le_bytes(*bytes);
    }
    R::from_parts(Epoch::new(epoch), &prices[..R::COLUMNS.len()])
}

fn open<R: Record>(path: &Path) -> Result<(SegmentHeader, SegmentRows<R>), Refused> {
    let failed = |doing| move |error| Refused::Failed(io_error(doing, path)(error));
    let file = File::open(path).map_err(failed("open"))?;
    let mut source = BufReader::with_capacity(HEADER_BLOCK_BYTES, file);
    let mut line = Vec::new();
    let mut head = source.by_ref().take(MAX_HEADER_BYTES);
    head.read_until(b'\n', &mut line).map_err(failed("read"))?;
    let header: SegmentHeader = serde_json::from_slice(&line)
        .map_err(|_| Refused::Damaged("has no header that this version can read".into()))?;
    let rows = SegmentRows {
        path: path.to_path_buf(),
        source,
        n_left: header.n_rows,
        bytes: Vec::new(),
        rows: Vec::new(),
        n_passed: 0,
    };
    Ok((header, rows))
}

fn in_blocks<R>(pieces: &[Vec<R>]) -> impl Iterator<Item = &[R]> {
    pieces.iter().flat_map(|rows| rows.chunks(ROWS_AT_ONCE))
}

fn rows_xxh64<R: Record>(pieces: &[Vec<R>]) -> String {
    let mut hash = XxHash64::with_seed(0);
    let mut bytes = Vec::new();
    for rows in in_blocks(pieces) {
        bytes.clear();
        push_rows(&mut bytes, rows);
        hash.write(&bytes);
    }
    checksum(&hash)
}

fn checksum(hash: &XxHash64) -> String {
    format!("{:016x}", hash.finish())
}

fn series_name(key: &PartitionKey) -> String {
    format!("{}/{}", key.series.symbol, key.series.kind.folder())
}

fn to_json(header: &SegmentHeader) -> Vec<u8> {
    serde_json::to_vec(header).expect("plain values always become JSON")
}
