//! One pass over one Parquet file: every check that needs the file alone.

use std::path::Path;

use arrow_schema::Schema;

use crate::domain::{
    Advice, Candle, Epoch, Finding, FindingKind, Gap, Kind, PartitionKey, RangeSet, SilenceFacts,
    Tick,
};
use crate::format::schema::schema_of;
use crate::format::{Footer, FooterError};

use super::checks::footer::{check_declared_rows, check_footer, check_rows_of_footer};
use super::checks::rows::{RowChecks, RowPromises, RowsSeen, has_rows};
use super::checks::schema::{Writer, check_schema};
use super::checks::shown;
use super::checks::tally::Tally;
use super::gaps::{GapFinder, GapsSeen, unexplained};
use super::reader::{ParquetFile, ReadError, RowBatches};
use super::record::CheckedRecord;
use super::statistics::{Statistics, Thresholds};

/// Unexplained gaps that get a finding each.
const MAX_NAMED_GAPS: usize = 20;

/// A file and what is said of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// Names it in findings.
    pub(crate) place: &'a str,
    /// The partition it should be.
    pub(crate) key: &'a PartitionKey,
    /// Where it lies.
    pub(crate) path: &'a Path,
    /// What is known of its silence.
    pub(crate) silence: &'a SilenceFacts,
    /// Where somebody says it is silent, ascending and disjoint.
    pub(crate) claimed: &'a [Gap],
    /// From when on its rows look unusual; `None` leaves the statistics out.
    pub(crate) thresholds: Option<Thresholds>,
    /// What all its rows hashed to while they were written, if that is known; then they are hashed
    /// by day alone.
    pub(crate) written: Option<&'a str>,
}

/// What one pass over a file gave.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Whether the file carries no footer of ours.
    pub(crate) is_foreign: bool,
    /// Whether this build cannot read it: then nothing is said against it.
    pub(crate) is_undecodable: bool,
    /// What it says of itself, if that can be read.
    pub(crate) footer: Option<Footer>,
    /// The rows it says it has, if it is a Parquet file at all.
    pub(crate) declared_rows: Option<i64>,
    /// Its rows, if they could be read to the end.
    pub(crate) rows: Option<RowsSeen>,
    /// A row where somebody says the partition is silent.
    pub(crate) row_in_gap: Option<Epoch>,
    /// Its silent stretches; none if the rows could not be read to the end.
    pub(crate) gaps: Vec<Gap>,
    /// Its gaps as the old sidecar key counts them.
    pub(crate) gaps_detected: u64,
    /// What is wrong with it.
    pub(crate) findings: Vec<Finding>,
}

/// Reads a file once and checks it as the partition it should be.
pub(crate) fn examine(subject: &Subject<'_>) -> Examined {
    let mut examined = Examined::default();
    let Some(file) = examined.open(subject) else { return examined };
    match subject.key.series.kind {
        Kind::Ticks => examined.take_rows::<Tick>(subject, file),
        Kind::Candles(_) => examined.take_rows::<Candle>(subject, file),
    }
    examined
}

/// Reads what stands at the end of a file and checks that much; no row is read.
pub(crate) fn examine_footer(subject: &Subject<'_>) -> Examined {
    let mut examined = Examined::default();
    if examined.open(subject).is_none() {
        return examined;
    }
    if let (Some(footer), Some(n_rows)) = (&examined.footer, examined.declared_rows) {
        examined.findings.extend(check_declared_rows(subject.place, footer, n_rows));
    }
    examined
}

impl Examined {
    /// Opens the file and checks its footer and columns; none if it is no Parquet file.
    fn open(&mut self, subject: &Subject<'_>) -> Option<ParquetFile> {
        let Subject { place, key, path, .. } = *subject;
        let file = match ParquetFile::open(path) {
            Ok(file) => file,
            Err(error) => {
                self.is_undecodable = error.is_inability();
                self.findings.push(unreadable(place, &error).in_partition(key));
                return None;
            }
        };
        self.declared_rows = Some(file.declared_rows());
        if let Err(error) = file.check_count() {
            self.findings.push(unreadable(place, &error));
            return None;
        }
        let writer = self.take_footer(place, key, &file);
        let other_type = other_type(key.series.kind, file.schema());
        if let (Writer::Foreign, Some(found)) = (writer, other_type) {
            self.is_undecodable = true;
            self.findings.push(beyond(place, found).in_partition(key));
        }
        if self.is_undecodable {
            return None;
        }
        self.findings.extend(check_schema(place, key.series.kind, file.schema(), writer));
        Some(file)
    }

    fn take_footer(&mut self, place: &str, key: &PartitionKey, file: &ParquetFile) -> Writer {
        match file.footer() {
            Ok(footer) => {
                let value = |name: &str| file.value(name);
                self.findings.extend(check_footer(place, key, &footer, value));
                self.footer = Some(footer);
            }
            Err(FooterError::Foreign) => {
                self.is_foreign = true;
                return Writer::Foreign;
            }
            Err(FooterError::TooNew(version)) => {
                self.is_undecodable = true;
                let found = format!("it has the format version {version} of a newer one");
                self.findings.push(beyond(place, found).in_partition(key));
            }
            Err(error) => {
                let expected = "a footer this build can read";
                let finding = Finding::error(FindingKind::FooterMismatch, place, expected, &error);
                self.findings.push(finding.advise(Advice::RepairRows));
            }
        }
        Writer::Ours
    }

    fn take_rows<R: CheckedRecord>(&mut self, subject: &Subject<'_>, file: ParquetFile) {
        let place = subject.place;
        let declared_rows = file.declared_rows();
        let pass = Pass::new(subject, self.footer.as_ref());
        let batches = match file.rows::<R>() {
            Ok(batches) => batches,
            // The schema check has said so already, and in more words.
            Err(ReadError::Column(_)) => return,
            Err(error) => {
                self.findings.push(unreadable(place, &error));
                return;
            }
        };
        let (pass, end) = pass.run(batches);
        let rows = pass.checks.finish(place, &mut self.findings);
        if let Err(error) = end {
            self.findings.push(unreadable(place, &error));
            return;
        }
        if i64::try_from(rows.n_rows) != Ok(declared_rows) {
            let expected = format!("{declared_rows} rows as its Parquet metadata says");
            let found = format!("{} rows", rows.n_rows);
            let finding = Finding::error(FindingKind::RecordCount, place, expected, found);
            self.findings.push(finding.advise(Advice::RepairRows));
        }
        if let Some(footer) = &self.footer {
            self.findings.extend(check_rows_of_footer(place, footer, &rows));
        }
        self.rows = Some(rows);
        self.row_in_gap = pass.claimed.row;
        self.take_gaps(place, pass.gaps.finish());
        if let Some(statistics) = pass.statistics {
            statistics.finish(place, &mut self.findings);
        }
    }

    fn take_gaps(&mut self, place: &str, seen: GapsSeen) {
        let expected = "silence that something explains";
        let mut doubts = Tally::warnings(FindingKind::UnexplainedGap, expected, MAX_NAMED_GAPS);
        let open = "rows, as the market is open";
        let mut silent = Tally::warnings(FindingKind::FeedSilent, open, MAX_NAMED_GAPS);
        for gap in unexplained(&seen.gaps) {
            let n_secs = gap.end.since(gap.start);
            let is_too_long = gap.range().is_some_and(|range| seen.feed_silent.covers(range));
            let tally = if is_too_long { &mut silent } else { &mut doubts };
            let found = || format!("no row for {n_secs} s, until {}", gap.end);
            tally.note_until(gap.start, gap.end, found);
        }
        doubts.into_findings(place, Some(Advice::AskAboutSilence), &mut self.findings);
        silent.into_findings(place, Some(Advice::AskAboutSilence), &mut self.findings);
        if seen.is_cut {
            let expected = "silences that a list can hold";
            let found = format!("more; the longest {} are listed", seen.gaps.len());
            self.findings.push(Finding::info(FindingKind::UnexplainedGap, place, expected, found));
        }
        self.gaps = seen.gaps;
        self.gaps_detected = seen.gaps_detected;
    }
}

/// The checks that see every row.
struct Pass<'a> {
    key: &'a PartitionKey,
    checks: RowChecks,
    gaps: GapFinder<'a>,
    claimed: ClaimedSilence<'a>,
    statistics: Option<Statistics>,
}

impl<'a> Pass<'a> {
    fn new(subject: &Subject<'a>, footer: Option<&Footer>) -> Self {
        let key = subject.key;
        let kind = key.series.kind;
        let pip_size = footer.and_then(|footer| footer.pip_size);
        let promised = footer.map(|footer| footer.rows_sha256.as_str());
        let written = subject.written.filter(|written| promised == Some(*written));
        let promises = RowPromises {
            month: key.month,
            kind,
            coverage: footer.map(|footer| footer.coverage.clone()),
            pip_size,
            // Where the file has another hash, all is hashed again.
            written: written.map(str::to_owned),
        };
        let month = key.month.range();
        let answered: Option<RangeSet> =
            footer.map(|footer| footer.coverage.clipped(month).select(has_rows));
        let statistics = |thresholds| Statistics::new(kind, thresholds);
        Self {
            key,
            checks: RowChecks::new(&promises),
            gaps: GapFinder::new(kind, answered.as_ref(), subject.silence),
            claimed: ClaimedSilence { gaps: subject.claimed, row: None },
            statistics: subject.thresholds.map(statistics),
        }
    }

    /// Streams through all rows, or to where they cannot be read.
    fn run<R: CheckedRecord>(
        mut self,
        mut batches: RowBatches<R>,
    ) -> (Self, Result<(), ReadError>) {
        loop {
            match batches.next_rows() {
                Ok(Some(rows)) => self.take(rows),
                Ok(None) => return (self, Ok(())),
                Err(error) => return (self, Err(error)),
            }
        }
    }

    fn take<R: CheckedRecord>(&mut self, rows: &[R]) {
        self.checks.update(rows);
        let month = self.key.month.range();
        // Rows of another month are reported as such; they would only make strange gaps.
        for inside in rows.chunk_by(|a, b| month.contains(a.epoch()) == month.contains(b.epoch())) {
            if inside.first().is_some_and(|row| month.contains(row.epoch())) {
                self.gaps.update(inside);
                self.claimed.update(inside);
                if let Some(statistics) = &mut self.statistics {
                    statistics.update(inside);
                }
            }
        }
    }
}

/// Looks for rows where somebody says there are none.
struct ClaimedSilence<'a> {
    /// Those the rows have not passed yet.
    gaps: &'a [Gap],
    /// The first row inside one of them.
    row: Option<Epoch>,
}

impl ClaimedSilence<'_> {
    fn update<R: CheckedRecord>(&mut self, rows: &[R]) {
        let mut rest = rows;
        while let (None, Some(gap)) = (self.row, self.gaps.first()) {
            let start = rest.partition_point(|row| row.epoch() < gap.start);
            let Some(row) = rest.get(start) else { return };
            self.row = Some(row.epoch()).filter(|epoch| *epoch < gap.end);
            self.gaps = &self.gaps[1..];
            rest = &rest[start..];
        }
    }
}

fn unreadable(place: &str, error: &ReadError) -> Finding {
    let kind = match error {
        error if error.is_inability() => return beyond(place, error),
        ReadError::Nulls(_) | ReadError::Column(_) => FindingKind::Schema,
        ReadError::TooManyRows(_) => FindingKind::RecordCount,
        _ => FindingKind::Unreadable,
    };
    Finding::error(kind, place, "a whole Parquet file", shown(error)).advise(Advice::RepairRows)
}

/// Says that this build cannot read a file, which is no fault of the file.
pub(crate) fn beyond(place: &str, found: impl std::fmt::Display) -> Finding {
    let expected = "a file that this build can read";
    let finding = Finding::error(FindingKind::Undecodable, place, expected, shown(found));
    finding.advise(Advice::ReadElsewhere)
}

/// The first column of a partition that is there and of another type.
fn other_type(kind: Kind, found: &Schema) -> Option<String> {
    let wanted = schema_of(kind);
    let mut fields = wanted.fields().iter().filter_map(|field| {
        Some((field.data_type().clone(), found.field_with_name(field.name()).ok()?))
    });
    let (_, other) = fields.find(|(wanted, found)| *wanted != *found.data_type())?;
    Some(format!("its column `{}` is of type {}", shown(other.name()), other.data_type()))
}
