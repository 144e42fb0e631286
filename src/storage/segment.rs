//! The file form of a segment: one JSON line that says what it is, then the rows, packed.
//!
//! A checksum of the rows is enough here: a segment lives from its answers to the end of its
//! month, and a SHA-256 of every row would cost as much as reading the answers. The header is
//! sealed by a hash of its own: a flipped digit in it could otherwise claim seconds that nobody
//! ever answered for.
//!
//! Whoever reads the rows proves them on the way: each block is in order and in its range before
//! it is let out, and the last one is not before the checksum fits.

use std::fs::File;
use std::hash::Hasher;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use twox_hash::XxHash64;

use crate::domain::{
    CoverageState, Epoch, EpochRange, Finding, PartitionKey, RangeSet, Record, Segment, StoreError,
};
use crate::format::digest::hex;
use crate::format::{Unread, newer_version, open_ordinary};

use super::atomic::Draft;
use super::errors::{damaged, io_error, undecodable};
use super::packed::{self, BLOCK_ROWS, HEAD_BYTES, Head, Unpacker};
use super::read::RowStream;

/// First value of every header.
const MAGIC: &str = "titan-segment";
/// Staged files live from one run to the next. A newer version is left for the build that wrote it.
const SEGMENT_VERSION: u32 = 3;
/// Rows as they are hashed in Parquet files, 8 bytes for each number; still read.
const UNPACKED_VERSION: u32 = 2;
/// Bytes of an epoch or a price there.
const UNPACKED_NUMBER_BYTES: usize = 8;
/// A header is about 400 bytes, and each finding it carries as much again; more is no header.
const MAX_HEADER_BYTES: u64 = 512 * 1024;
/// Findings one header carries at most; a run keeps no more of one partition.
const MAX_FINDINGS: usize = 200;
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
    /// xxHash64 of the bytes behind the header, as 16 hexadecimal digits.
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
            // As long as the true one, which is known when the rows are written.
            rows_xxh64: checksum(&XxHash64::default()),
            state,
            salvaged,
            findings: notes.findings.iter().take(MAX_FINDINGS).cloned().collect(),
            confirmed: pairs(&notes.confirmed.within(segment.range)),
            doubted: pairs(&notes.doubted.within(segment.range)),
            header_sha256: String::new(),
        };
        header.sealed()
    }

    fn sealed(self) -> Self {
        Self { header_sha256: self.seal(), ..self }
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

    fn form(&self) -> Form {
        if self.format_version > UNPACKED_VERSION { Form::Packed } else { Form::Unpacked }
    }

    /// Silence that was asked again by itself, and silence that was not believed yet.
    pub(super) fn silence(&self) -> (RangeSet, RangeSet) {
        let own = EpochRange::new(self.start, self.end);
        let inside = |silence| own.map_or_else(RangeSet::new, |own| ranges(silence).within(own));
        (inside(&self.confirmed), inside(&self.doubted))
    }

    /// Tells why the header cannot be one of a segment of `key`, if it cannot.
    fn problem(&self, key: &PartitionKey) -> Option<String> {
        let is_known = [SEGMENT_VERSION, UNPACKED_VERSION].contains(&self.format_version);
        if self.magic != MAGIC || !is_known {
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

/// A segment file whose header can be trusted; its rows are proved when they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StagedSegment {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    /// The seconds that its header speaks of.
    pub(super) range: EpochRange,
    /// Epoch of its last row, if it holds any; known when all were read.
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
    /// A newer build wrote it; the text is read after its name.
    Newer(String),
    /// It is not what it must be; the text is read after its name.
    Damaged(String),
    /// Its header can be trusted, what is behind it not: these seconds were answered once.
    Rotten(Box<StagedSegment>, String),
    /// The operating system refused.
    Failed(StoreError),
}

impl Refused {
    fn of(self, path: &Path) -> StoreError {
        match self {
            Self::Failed(error) => error,
            Self::Newer(problem) => undecodable(path, problem),
            Self::Damaged(problem) | Self::Rotten(_, problem) => damaged(path, problem),
        }
    }
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
    let mut header = SegmentHeader::of(key, segment, origin);
    let mut bytes = to_line(&header);
    sink.write_all(&bytes).map_err(failed)?;
    let mut hash = XxHash64::with_seed(0);
    let mut before = header.start;
    for rows in segment.pieces.iter().flat_map(|rows| rows.chunks(BLOCK_ROWS)) {
        packed::pack(&mut bytes, before, rows);
        hash.write(&bytes);
        sink.write_all(&bytes).map_err(failed)?;
        before = rows.last().map_or(before, R::epoch);
    }
    header.rows_xxh64 = checksum(&hash);
    sink.rewind().map_err(failed)?;
    sink.write_all(&to_line(&header.sealed())).map_err(failed)?;
    sink.flush().map_err(failed)
}

/// Reads the header of `path` and tells whether it can be one of a segment of `key`. The rows are
/// left to whoever merges them; where there are none, it is proved that there are none.
pub(super) fn look<R: Record>(path: &Path, key: &PartitionKey) -> Result<StagedSegment, Refused> {
    let (segment, rows) = open::<R>(path, key)?;
    if segment.header.n_rows > 0 { Ok(segment) } else { prove(segment, rows) }
}

/// Reads all of `path` and tells whether it is a whole segment of `key`: header, length, checksum,
/// order and range of its rows.
pub(super) fn check<R: Record>(path: &Path, key: &PartitionKey) -> Result<StagedSegment, Refused> {
    let (segment, rows) = open::<R>(path, key)?;
    prove(segment, rows)
}

fn prove<R: Record>(
    segment: StagedSegment,
    mut rows: SegmentRows<R>,
) -> Result<StagedSegment, Refused> {
    loop {
        match rows.read_block() {
            Ok(true) => {}
            Ok(false) => return Ok(StagedSegment { last_row: rows.last, ..segment }),
            Err(Refused::Damaged(problem)) => {
                return Err(Refused::Rotten(Box::new(segment), problem));
            }
            Err(refused) => return Err(refused),
        }
    }
}

/// The rows of a segment file, a block at a time.
pub(super) struct SegmentRows<R> {
    path: PathBuf,
    source: BufReader<File>,
    range: EpochRange,
    form: Form,
    /// Of what was read, and what it has to be in the end.
    hash: XxHash64,
    rows_xxh64: String,
    /// Rows behind the block.
    n_left: u64,
    bytes: Vec<u8>,
    unpacker: Unpacker,
    /// The block, decoded.
    rows: Vec<R>,
    n_passed: usize,
    /// Epoch of the last row of the block, and of all before it.
    last: Option<Epoch>,
    /// Whether its end was reached and all of it is what the header promises.
    is_proved: bool,
}

/// How the rows of a segment file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Packed,
    /// Epoch and prices, 8 bytes each.
    Unpacked,
}

impl<R: Record> SegmentRows<R> {
    /// Opens a segment that was looked at before.
    pub(super) fn open(segment: &StagedSegment) -> Result<Self, StoreError> {
        let path = &segment.path;
        let (header, source) = read_header(path).map_err(|refused| refused.of(path))?;
        if header != segment.header {
            return Err(damaged(path, "was changed while it was read"));
        }
        Ok(Self::behind(segment, source))
    }

    /// The rows behind the header of a segment.
    fn behind(segment: &StagedSegment, source: BufReader<File>) -> Self {
        let header = &segment.header;
        Self {
            path: segment.path.clone(),
            source,
            range: segment.range,
            form: header.form(),
            hash: XxHash64::with_seed(0),
            rows_xxh64: header.rows_xxh64.clone(),
            n_left: header.n_rows,
            bytes: Vec::new(),
            unpacker: Unpacker::default(),
            rows: Vec::new(),
            n_passed: 0,
            last: None,
            is_proved: false,
        }
    }

    /// Reads the next block and proves it; tells whether there was one.
    fn read_block(&mut self) -> Result<bool, Refused> {
        self.rows.clear();
        self.n_passed = 0;
        if self.n_left > 0 {
            // At most `BLOCK_ROWS`, so it fits.
            let n_most = self.n_left.min(BLOCK_ROWS as u64) as usize;
            match self.form {
                Form::Packed => self.read_packed(n_most)?,
                Form::Unpacked => self.read_unpacked(n_most)?,
            }
            self.check_order()?;
            self.n_left -= self.rows.len() as u64;
        }
        if self.n_left == 0 && !self.is_proved {
            self.check_end()?;
        }
        Ok(!self.rows.is_empty())
    }

    fn check_order(&mut self) -> Result<(), Refused> {
        for row in &self.rows {
            let epoch = row.epoch();
            if !self.range.contains(epoch) || self.last.is_some_and(|last| epoch <= last) {
                return Err(Refused::Damaged(format!("has a misplaced row at {epoch}")));
            }
            self.last = Some(epoch);
        }
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), Refused> {
        let rest = self.source.fill_buf();
        let rest = rest.map_err(|error| Refused::Failed(io_error("read", &self.path)(error)))?;
        if !rest.is_empty() {
            return Err(Refused::Damaged("is longer than its header says".into()));
        }
        if checksum(&self.hash) != self.rows_xxh64 {
            return Err(Refused::Damaged("holds other rows than its header promises".into()));
        }
        self.is_proved = true;
        Ok(())
    }

    fn read_packed(&mut self, n_most: usize) -> Result<(), Refused> {
        let mut head = [0; HEAD_BYTES];
        self.read_bytes(&mut head)?;
        let Some(head) = Head::read(head).filter(|head| head.n_rows <= n_most) else {
            return Err(Refused::Damaged("has a block that cannot be".into()));
        };
        let bytes = self.read_rows(head.rows_bytes::<R>())?;
        let before = self.last.unwrap_or(self.range.start());
        self.unpacker.unpack(&mut self.rows, before, head, &bytes);
        self.bytes = bytes;
        Ok(())
    }

    fn read_unpacked(&mut self, n_rows: usize) -> Result<(), Refused> {
        let width = unpacked_bytes::<R>();
        let bytes = self.read_rows(n_rows * width)?;
        self.rows.extend(bytes.chunks_exact(width).map(|bytes| {
            let mut numbers = bytes.as_chunks().0.iter();
            let epoch = numbers.next().map_or(0, |epoch| i64::from_le_bytes(*epoch));
            let prices: Vec<f64> = numbers.map(|price| f64::from_le_bytes(*price)).collect();
            R::from_parts(Epoch::new(epoch), &prices)
        }));
        self.bytes = bytes;
        Ok(())
    }

    /// Reads into the bytes of the block before; they are put back when they were made rows.
    fn read_rows(&mut self, n_bytes: usize) -> Result<Vec<u8>, Refused> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(n_bytes, 0);
        self.read_bytes(&mut bytes)?;
        Ok(bytes)
    }

    fn read_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Refused> {
        match self.source.read_exact(bytes) {
            Ok(()) => {
                self.hash.write(bytes);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(Refused::Damaged("is shorter than its header says".into()))
            }
            Err(error) => Err(Refused::Failed(io_error("read", &self.path)(error))),
        }
    }
}

impl<R: Record> RowStream<R> for SegmentRows<R> {
    fn ahead(&mut self) -> Result<&[R], StoreError> {
        if self.n_passed == self.rows.len() {
            self.read_block().map_err(|refused| refused.of(&self.path))?;
        }
        Ok(&self.rows[self.n_passed..])
    }

    fn pass(&mut self, n_rows: usize) {
        self.n_passed += n_rows;
    }
}

fn open<R: Record>(
    path: &Path,
    key: &PartitionKey,
) -> Result<(StagedSegment, SegmentRows<R>), Refused> {
    let (header, source) = read_header(path)?;
    if let Some(problem) = header.problem(key) {
        return Err(Refused::Damaged(problem));
    }
    let range = EpochRange::new(header.start, header.end)
        .ok_or_else(|| Refused::Damaged("claims an empty range".into()))?;
    let row_bytes = match header.form() {
        Form::Packed => packed::least_bytes::<R>(),
        Form::Unpacked => unpacked_bytes::<R>(),
    };
    let failed = |error| Refused::Failed(io_error("look at", path)(error));
    let file_bytes = source.get_ref().metadata().map_err(failed)?.len();
    // Before anybody counts on that many rows.
    let is_cut = header.n_rows.saturating_mul(row_bytes as u64) > file_bytes;
    let segment = StagedSegment { path: path.to_path_buf(), header, range, last_row: None };
    if is_cut {
        return Err(Refused::Rotten(Box::new(segment), "is shorter than its header says".into()));
    }
    let rows = SegmentRows::behind(&segment, source);
    Ok((segment, rows))
}

fn read_header(path: &Path) -> Result<(SegmentHeader, BufReader<File>), Refused> {
    let failed = |doing| move |error| Refused::Failed(io_error(doing, path)(error));
    let file = open_ordinary(path).map_err(|error| match error {
        Unread::Io(error) => failed("open")(error),
        error => Refused::Damaged(error.to_string()),
    })?;
    let mut source = BufReader::with_capacity(HEADER_BLOCK_BYTES, file);
    let mut line = Vec::new();
    let mut head = source.by_ref().take(MAX_HEADER_BYTES);
    head.read_until(b'\n', &mut line).map_err(failed("read"))?;
    if let Some(version) = newer_version(&line, SEGMENT_VERSION) {
        return Err(Refused::Newer(format!("has the newer format version {version}")));
    }
    let header = serde_json::from_slice(&line)
        .map_err(|_| Refused::Damaged("has no header that this version can read".into()))?;
    Ok((header, source))
}

/// Bytes of a row whose numbers are as they are.
const fn unpacked_bytes<R: Record>() -> usize {
    UNPACKED_NUMBER_BYTES * (1 + R::COLUMNS.len())
}

fn checksum(hash: &XxHash64) -> String {
    format!("{:016x}", hash.finish())
}

fn series_name(key: &PartitionKey) -> String {
    format!("{}/{}", key.series.symbol, key.series.kind.folder())
}

fn to_line(header: &SegmentHeader) -> Vec<u8> {
    let mut line = to_json(header);
    line.push(b'\n');
    line
}

fn to_json(header: &SegmentHeader) -> Vec<u8> {
    serde_json::to_vec(header).expect("plain values always become JSON")
}
