//! One pass over one Parquet file: every check that needs the file alone.

use std::path::Path;

use crate::domain::{
    Candle, Finding, FindingKind, Gap, Kind, PartitionKey, RangeSet, SilenceFacts, Tick,
};
use crate::format::{Footer, FooterError};

use super::checks::footer::{check_footer, check_rows_of_footer};
use super::checks::rows::{RowChecks, RowPromises, RowsSeen, has_rows};
use super::checks::schema::{Writer, check_schema};
use super::checks::tally::Tally;
use super::checks::{REPLACE, info, shown};
use super::gaps::{GapFinder, GapsSeen, unexplained};
use super::reader::{ParquetFile, ReadError, RowBatches};
use super::record::CheckedRecord;

/// Unexplained gaps that get a finding each.
const MAX_NAMED_GAPS: usize = 20;

/// What one pass over a file gave.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Whether the file carries no footer of ours.
    pub(crate) is_foreign: bool,
    /// What it says of itself, if that can be read.
    pub(crate) footer: Option<Footer>,
    /// Its rows, if they could be read to the end.
    pub(crate) rows: Option<RowsSeen>,
    /// Its silent stretches; none if the rows could not be read to the end.
    pub(crate) gaps: Vec<Gap>,
    /// Its gaps as the old sidecar key counts them.
    pub(crate) gaps_detected: u64,
    /// What is wrong with it.
    pub(crate) findings: Vec<Finding>,
}

/// Reads a file once and checks it as the partition `key`; `place` names it in findings.
pub(crate) fn examine(
    place: &str,
    key: &PartitionKey,
    path: &Path,
    silence: &SilenceFacts,
) -> Examined {
    let mut examined = Examined::default();
    let file = match ParquetFile::open(path) {
        Ok(file) => file,
        Err(error) => {
            examined.findings.push(unreadable(place, &error));
            return examined;
        }
    };
    let writer = examined.take_footer(place, key, &file);
    let kind = key.series.kind;
    examined.findings.extend(check_schema(place, kind, file.schema(), writer));
    match kind {
        Kind::Ticks => examined.take_rows::<Tick>(place, key, file, silence),
        Kind::Candles(_) => examined.take_rows::<Candle>(place, key, file, silence),
    }
    examined
}

impl Examined {
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
            Err(error) => {
                let expected = "a footer this build can read";
                let finding = Finding::error(FindingKind::FooterMismatch, place, expected, &error);
                let repair = match error {
                    FooterError::TooNew(_) => "use the newer build that wrote it",
                    _ => REPLACE,
                };
                self.findings.push(finding.with_repair(repair));
            }
        }
        Writer::Ours
    }

    fn take_rows<R: CheckedRecord>(
        &mut self,
        place: &str,
        key: &PartitionKey,
        file: ParquetFile,
        silence: &SilenceFacts,
    ) {
        let declared_rows = file.declared_rows();
        let pass = Pass::new(key, self.footer.as_ref(), silence);
        let batches = match file.rows::<R>() {
            Ok(batches) => batches,
            // The schema check has said so already, and in more words.
            Err(ReadError::Column(_)) => return,
            Err(error) => {
                self.findings.push(unreadable(place, &error));
                return;
            }
        };
        let (checks, gaps) = pass.run(batches);
        let rows = checks.finish(place, &mut self.findings);
        let gaps = match gaps {
            Ok(gaps) => gaps,
            Err(error) => {
                self.findings.push(unreadable(place, &error));
                return;
            }
        };
        if i64::try_from(rows.n_rows) != Ok(declared_rows) {
            let expected = format!("{declared_rows} rows as its Parquet metadata says");
            let found = format!("{} rows", rows.n_rows);
            let finding = Finding::error(FindingKind::RecordCount, place, expected, found);
            self.findings.push(finding.with_repair(REPLACE));
        }
        if let Some(footer) = &self.footer {
            self.findings.extend(check_rows_of_footer(place, footer, &rows));
        }
        self.rows = Some(rows);
        self.take_gaps(place, gaps);
    }

    fn take_gaps(&mut self, place: &str, seen: GapsSeen) {
        let expected = "silence that something explains";
        let mut doubts = Tally::warnings(FindingKind::UnexplainedGap, expected, MAX_NAMED_GAPS);
        for gap in unexplained(&seen.gaps) {
            let n_secs = gap.end.since(gap.start);
            doubts.note(gap.start, || format!("no row for {n_secs} s, until {}", gap.end));
        }
        let repair = "run the download again; a silence that another run meets is confirmed";
        doubts.into_findings(place, repair, &mut self.findings);
        if seen.is_cut {
            let expected = "silences that a list can hold";
            let found = format!("more; the longest {} are listed", seen.gaps.len());
            self.findings.push(info(FindingKind::UnexplainedGap, place, expected, found));
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
}

impl<'a> Pass<'a> {
    fn new(key: &'a PartitionKey, footer: Option<&Footer>, silence: &'a SilenceFacts) -> Self {
        let promises = RowPromises {
            month: key.month,
            kind: key.series.kind,
            coverage: footer.map(|footer| footer.coverage.clone()),
            pip_size: footer.and_then(|footer| footer.pip_size),
        };
        let month = key.month.range();
        let answered: Option<RangeSet> =
            footer.map(|footer| footer.coverage.clipped(month).select(has_rows));
        let gaps = GapFinder::new(key.series.kind, answered.as_ref(), silence);
        Self { key, checks: RowChecks::new(&promises), gaps }
    }

    /// Streams through all rows; gaps are known only if they could be read to the end.
    fn run<R: CheckedRecord>(
        mut self,
        mut batches: RowBatches<R>,
    ) -> (RowChecks, Result<GapsSeen, ReadError>) {
        loop {
            match batches.next_rows() {
                Ok(Some(rows)) => self.take(rows),
                Ok(None) => return (self.checks, Ok(self.gaps.finish())),
                Err(error) => return (self.checks, Err(error)),
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
            }
        }
    }
}

fn unreadable(place: &str, error: &ReadError) -> Finding {
    let kind = match error {
        ReadError::Nulls(_) | ReadError::Column(_) => FindingKind::Schema,
        _ => FindingKind::Unreadable,
    };
    Finding::error(kind, place, "a whole Parquet file", shown(error)).with_repair(REPLACE)
}
