//! What the sidecar says of the file, against its place, its footer and its rows.

use std::fmt::Display;

use chrono::DateTime;

use crate::domain::{
    Advice, Coverage, CoverageState, Epoch, EpochRange, Finding, FindingKind, Gap, Kind,
    PartitionKey, PartitionState,
};
use crate::format::sidecar::SCHEMA_VERSION;
use crate::format::{FORMAT_VERSION, Footer, Sidecar};

use super::rows::RowsSeen;
use super::shown;
use super::tally::Tally;

/// No learned threshold is longer; see `gaps`. A list made with a chosen one may leave out more.
const LONGEST_LEARNED_SECS: i64 = 1800;

/// A list without any gap may have been made with a threshold up to this: longer than a week-end.
const LONGEST_UNLISTED_SECS: i64 = 4 * 86_400;

/// What a sidecar is held against.
pub(crate) struct SidecarPromises<'a> {
    /// Path of the sidecar as findings name it.
    pub(crate) place: &'a str,
    /// The partition whose place it has.
    pub(crate) key: &'a PartitionKey,
    /// Whether the file could be opened as Parquet.
    pub(crate) is_parquet: bool,
    /// The footer of the Parquet file, if it has one of ours.
    pub(crate) footer: Option<&'a Footer>,
    /// The rows of the Parquet file, if they could be read to the end.
    pub(crate) rows: Option<&'a RowsSeen>,
    /// Gaps as the old key counts them, if the rows could be read to the end.
    pub(crate) gaps_detected: Option<u64>,
    /// The silent stretches of the rows, if they could be read to the end.
    pub(crate) silent: &'a [Gap],
    /// A row where the sidecar says the partition is silent.
    pub(crate) row_in_gap: Option<Epoch>,
    /// Size of the Parquet file in bytes.
    pub(crate) file_size: Option<u64>,
    /// SHA-256 of the Parquet file, if it was asked for.
    pub(crate) sha256: Option<&'a str>,
}

/// Checks everything a sidecar says.
pub(crate) fn check_sidecar(promises: &SidecarPromises<'_>, sidecar: &Sidecar) -> Vec<Finding> {
    let mut check = Check { place: promises.place, findings: Vec::new() };
    check.place_agrees(promises.key, sidecar);
    check.file_agrees(promises, sidecar);
    if let Some(rows) = promises.rows {
        check.rows_agree(rows, sidecar);
    } else if let Some(footer) = promises.footer {
        check.counts_agree(footer.record_count, sidecar);
    }
    if !sidecar.is_foreign() {
        check.our_part(promises, sidecar);
    } else if promises.footer.is_some() {
        let found = "a sidecar of another tool";
        let advice = if sidecar.locked { Advice::DownloadLocked } else { Advice::Repair };
        check.mismatch("a sidecar of titan-download, as the file is", found, advice);
    }
    check.findings
}

struct Check<'a> {
    place: &'a str,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn mismatch(&mut self, expected: impl Display, found: impl Display, advice: Advice) {
        self.error(FindingKind::SidecarMismatch, expected, found, advice);
    }

    fn error(
        &mut self,
        kind: FindingKind,
        expected: impl Display,
        found: impl Display,
        advice: Advice,
    ) {
        let finding = Finding::error(kind, self.place, expected, found);
        self.findings.push(finding.advise(advice));
    }

    /// Compares one key; `expected` is what the disk shows.
    fn key<T: PartialEq + Display>(&mut self, name: &str, expected: T, found: T) {
        if expected != found {
            let found = format!("`{name}` {}", shown(found));
            self.mismatch(format!("`{name}` {}", shown(expected)), found, Advice::Repair);
        }
    }

    fn place_agrees(&mut self, key: &PartitionKey, sidecar: &Sidecar) {
        let (data_type, granularity) = match key.series.kind {
            Kind::Ticks => ("ticks", None),
            Kind::Candles(granularity) => ("candles", Some(u32::from(granularity))),
        };
        self.key("schema_version", SCHEMA_VERSION, &sidecar.schema_version);
        self.key("symbol", &key.series.symbol, &sidecar.symbol);
        self.key("data_type", data_type, &sidecar.data_type);
        self.key("granularity", or_null(granularity), or_null(sidecar.granularity));
    }

    fn file_agrees(&mut self, promises: &SidecarPromises<'_>, sidecar: &Sidecar) {
        if let (Some(found), Some(promised)) = (promises.file_size, sidecar.file_size)
            && found != promised
        {
            let expected = format!("a file of {promised} bytes");
            let found = format!("{found} bytes");
            self.error(FindingKind::SidecarMismatch, expected, found, Advice::Repair);
        }
        if let (Some(found), Some(promised)) = (promises.sha256, &sidecar.sha256)
            && found != promised
        {
            let expected = format!("a file that hashes to {}", shown(promised));
            self.error(FindingKind::FileHash, expected, found, Advice::RepairRows);
        }
    }

    fn counts_agree(&mut self, n_rows: u64, sidecar: &Sidecar) {
        if n_rows != sidecar.record_count {
            let expected = format!("{} rows as the sidecar says", sidecar.record_count);
            self.error(
                FindingKind::RecordCount,
                expected,
                format!("{n_rows} rows"),
                Advice::RepairRows,
            );
        }
    }

    fn rows_agree(&mut self, rows: &RowsSeen, sidecar: &Sidecar) {
        self.counts_agree(rows.n_rows, sidecar);
        if let (Some(first), Some(last)) = (rows.first, rows.last) {
            self.key("start_epoch", first.secs(), sidecar.start_epoch);
            self.key("end_epoch", last.secs(), sidecar.end_epoch);
        }
    }

    fn our_part(&mut self, promises: &SidecarPromises<'_>, sidecar: &Sidecar) {
        if sidecar.format_version.is_some_and(|version| version > FORMAT_VERSION) {
            let found = format!("version {}", sidecar.format_version.unwrap_or_default());
            let expected = format!("a format up to version {FORMAT_VERSION}");
            self.error(FindingKind::Undecodable, expected, found, Advice::ReadElsewhere);
            return;
        }
        if let Some(gaps_detected) = promises.gaps_detected {
            self.key("gaps_detected", gaps_detected, sidecar.gaps_detected);
        }
        let month = promises.key.month;
        self.key("month", month.to_string(), or_null(sidecar.month.as_ref()));
        self.nothing_is_left_out(sidecar);
        self.gaps_agree(month.range(), promises.row_in_gap, sidecar);
        self.no_silence_is_hidden(promises.silent, sidecar);
        let coverage = sidecar.coverage();
        self.coverage_is_canonical(&coverage, sidecar);
        match promises.footer {
            Some(footer) => self.footer_agrees(footer, &coverage, sidecar),
            // Of a file that is no Parquet at all it is said already.
            None if !promises.is_parquet => {}
            None => {
                self.mismatch("a file with our footer", "no readable footer", Advice::RepairRows);
            }
        }
        if promises.rows.is_some_and(|rows| rows.n_rows == 0) {
            self.empty_agrees(&coverage, sidecar);
        }
        self.state_is_legal(month.range(), &coverage, sidecar);
        self.nothing_is_missing(month.range(), &coverage);
    }

    /// Checks the epochs that stand for those of the rows where there are none.
    fn empty_agrees(&mut self, coverage: &Coverage, sidecar: &Sidecar) {
        if let Some(first) = coverage.ranges().first() {
            self.key("start_epoch", first.start.secs(), sidecar.start_epoch);
            self.key("end_epoch", first.start.secs(), sidecar.end_epoch);
        }
    }

    fn footer_agrees(&mut self, footer: &Footer, coverage: &Coverage, sidecar: &Sidecar) {
        self.key("pip_size", or_null(footer.pip_size), or_null(sidecar.pip_size));
        let found = or_null(sidecar.rows_sha256.as_ref());
        self.key("rows_sha256", footer.rows_sha256.clone(), found);
        if footer.coverage != *coverage {
            let (expected, found) = (footer.coverage.ranges(), coverage.ranges());
            let differing = expected.iter().zip(found).find(|(a, b)| a != b);
            let text = |c: &crate::domain::CoverageRange| format!("{} to {}", c.start, c.end);
            let (expected, found) = differing.map_or_else(
                || (format!("{} ranges", expected.len()), format!("{} ranges", found.len())),
                |(a, b)| (text(a), text(b)),
            );
            let expected = format!("`coverage` as in the footer, {expected}");
            self.mismatch(expected, found, Advice::Repair);
        }
        if footer.days != sidecar.days {
            let expected = format!("`days` as in the footer, {} days", footer.days.len());
            let found = format!("other hashes for {} days", sidecar.days.len());
            self.mismatch(expected, found, Advice::Repair);
        }
    }

    /// Keys that files of the Python tool may lack and ours never do.
    fn nothing_is_left_out(&mut self, sidecar: &Sidecar) {
        for (name, is_there) in
            [("sha256", sidecar.sha256.is_some()), ("file_size", sidecar.file_size.is_some())]
        {
            if !is_there {
                self.mismatch(format!("`{name}` of the file"), "none", Advice::Repair);
            }
        }
        if sidecar.locked {
            let expected = "a partition that may grow";
            let found = "`locked` true: no run changes it";
            self.findings.push(Finding::info(FindingKind::Locked, self.place, expected, found));
        }
    }

    /// Equal knowledge is written in one way: ranges that overlap or touch in one state hide what
    /// is meant.
    fn coverage_is_canonical(&mut self, coverage: &Coverage, sidecar: &Sidecar) {
        let canonical = coverage.ranges();
        let said = sidecar.coverage.iter();
        let is_canonical = said.len() == canonical.len()
            && said
                .zip(canonical)
                .all(|(said, c)| (said.start, said.end, said.state) == (c.start, c.end, c.state));
        if !is_canonical {
            let expected = "`coverage` ascending, disjoint and merged";
            let found = "ranges that overlap, touch in one state or stand in another order";
            self.mismatch(expected, found, Advice::Repair);
        }
        let backward = |c: &&crate::format::SidecarCoverage| {
            c.asked_first.zip(c.asked_last).is_some_and(|(first, last)| first > last)
        };
        if let Some(range) = sidecar.coverage.iter().find(backward) {
            let found = format!("the other way round for the range from {}", range.start);
            self.mismatch("`asked_first` not after `asked_last`", found, Advice::Repair);
        }
    }

    fn gaps_agree(&mut self, month: EpochRange, row_inside: Option<Epoch>, sidecar: &Sidecar) {
        let inside = |start: Epoch, end: Epoch| {
            EpochRange::new(start, end).is_some_and(|range| month.covers(range))
        };
        let legal = sidecar.gaps.iter().all(|gap| inside(gap.start, gap.end))
            && sidecar.gaps.windows(2).all(|pair| pair[0].end <= pair[1].start);
        if !legal {
            let found = "gaps outside it, empty or in another order";
            self.mismatch("`gaps` inside the month, ascending", found, Advice::Repair);
        }
        if let Some(row) = row_inside {
            self.mismatch(
                "`gaps` in which there is no row",
                format!("a row at {row}"),
                Advice::Repair,
            );
        }
    }

    /// What is silent for longer than something that is listed has to be listed as well. Which
    /// threshold the list was made with is not written down; it was not beyond all of these.
    fn no_silence_is_hidden(&mut self, silent: &[Gap], sidecar: &Sidecar) {
        let secs = |gap: &Gap| gap.end.since(gap.start);
        let shortest = sidecar.gaps.iter().map(secs).min().unwrap_or(LONGEST_UNLISTED_SECS);
        let limit = shortest.max(LONGEST_LEARNED_SECS);
        let is_listed = |gap: &Gap| {
            let behind = sidecar.gaps.partition_point(|listed| listed.end <= gap.start);
            sidecar.gaps.get(behind).is_some_and(|listed| listed.start < gap.end)
        };
        let hidden = silent.iter().find(|gap| secs(gap) > limit && !is_listed(gap));
        if let Some(gap) = hidden {
            let found = format!("none of {} to {}", gap.start, gap.end);
            self.mismatch("every long silence among `gaps`", found, Advice::Repair);
        }
    }

    fn state_is_legal(&mut self, month: EpochRange, coverage: &Coverage, sidecar: &Sidecar) {
        let Some(state) = sidecar.state else {
            self.error(FindingKind::IllegalState, "a `state`", "none", Advice::Repair);
            return;
        };
        let missing = coverage.missing(month);
        if let (PartitionState::Sealed, Some(first)) = (state, missing.iter().next()) {
            let n_secs = missing.len_secs();
            let found = format!("`sealed` with {n_secs} s unsettled, first {first}");
            let expected = "a state that is not `sealed` while seconds are unsettled";
            self.error(FindingKind::IllegalState, expected, found, Advice::Repair);
        }
        let published = sidecar.created_at.as_deref().and_then(parsed_time);
        let Some(published) = published else { return };
        let is_over = published >= month.end();
        match state {
            PartitionState::Open if published > month.end() => {
                let found = format!("`open`, published {published}");
                let expected = format!("no open month after {}", month.end());
                self.error(FindingKind::IllegalState, expected, found, Advice::Repair);
            }
            PartitionState::Settling | PartitionState::Sealed if !is_over => {
                let found = format!("it closed when published {published}");
                let expected = format!("`open` before {}", month.end());
                self.error(FindingKind::IllegalState, expected, found, Advice::Repair);
            }
            _ => {}
        }
    }

    /// Tells of seconds whose answer is still owed: those that failed, and those between answers.
    fn nothing_is_missing(&mut self, month: EpochRange, coverage: &Coverage) {
        let expected = "an answer for every second that was asked for";
        let mut unanswered = Tally::errors(FindingKind::CoverageMissing, expected);
        for failed in coverage.select(|state| state == CoverageState::Failed).iter() {
            let found = || format!("every attempt failed for {failed}");
            unanswered.note_until(failed.start(), failed.end(), found);
        }
        unanswered.into_findings(self.place, Some(Advice::Repair), &mut self.findings);
        let ranges = coverage.ranges();
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return };
        let span = EpochRange::new(first.start, last.end).and_then(|span| span.intersect(month));
        let mut never_asked = span.map_or_else(Default::default, |span| coverage.missing(span));
        for failed in coverage.select(|state| state == CoverageState::Failed).iter() {
            never_asked.remove(failed);
        }
        if let Some(hole) = never_asked.iter().next() {
            let n_secs = never_asked.len_secs();
            let found = format!("{n_secs} s nobody asked for, first {hole}");
            let expected = "answers without a hole between them";
            let finding = Finding::info(FindingKind::CoverageMissing, self.place, expected, found);
            self.findings.push(finding.at(hole).advise(Advice::Repair));
        }
    }
}

fn or_null(value: Option<impl Display>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn parsed_time(text: &str) -> Option<Epoch> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| Epoch::new(time.timestamp()))
}
