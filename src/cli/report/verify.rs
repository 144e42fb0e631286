//! What `verify` found, as text.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::domain::{Finding, FindingKind, Severity};
use crate::integrity::Report;

use super::text::{counted, thousands};
use super::write_findings;

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    /// Partitions looked at.
    pub n_partitions: u64,
    /// Rows read.
    pub n_rows: u64,
    /// All that was found.
    pub findings: Vec<Finding>,
    /// How candles agree with ticks, if that was looked at.
    pub bars: Option<Bars>,
    /// The whole report, for `--json`.
    pub report: Value,
}

/// Candles held against the ticks of their month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bars {
    /// Those that could be judged.
    pub n_judged: u64,
    /// Those that are exactly what their ticks make them.
    pub n_equal: u64,
    /// Those that differ by a tick on one of their borders alone.
    pub n_edge: u64,
}

impl Checked {
    /// Tells whether no promise is broken.
    pub fn is_sound(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// Tells whether nothing is against it but that this build cannot read all of it.
    fn is_only_unread(&self) -> bool {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.into_iter().all(|finding| finding.kind == FindingKind::Undecodable)
    }

    fn count(&self, severity: Severity) -> u64 {
        self.findings.iter().filter(|finding| finding.severity == severity).count() as u64
    }
}

/// The whole report as JSON.
pub fn details(report: &Report, root: &Path) -> Value {
    let place = super::place(root);
    let mut value = json!(report);
    value["findings"] = super::findings(&report.findings, &place).into();
    for (index, partition) in report.partitions.iter().enumerate() {
        let told = super::findings(&partition.findings, &place);
        value["partitions"][index]["findings"] = told.into();
    }
    value
}

/// Writes what was found.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, root: &Path, checked: &Checked) -> io::Result<()> {
    let findings: Vec<_> = checked.findings.iter().collect();
    let name = super::escaped(&root.display().to_string());
    let verdict = match (checked.is_sound(), checked.n_partitions) {
        // Nothing there is never sound: a part of a sample may be empty, or nothing published yet.
        (true, 0) => "holds no partition to check",
        (true, _) => "is sound",
        (false, _) if checked.is_only_unread() => "cannot all be read by this build",
        (false, _) => "is broken",
    };
    writeln!(
        out,
        "`{name}` {verdict}: {}, {}, {}, {}",
        counted(checked.n_partitions, "partition"),
        counted(checked.n_rows, "row"),
        counted(checked.count(Severity::Error), "error"),
        counted(checked.count(Severity::Warning), "warning"),
    )?;
    if let Some(bars) = checked.bars {
        let n_other = bars.n_judged - bars.n_equal - bars.n_edge;
        writeln!(
            out,
            "candles against ticks: {}, {} equal, {} apart by a tick on the border, {} not equal",
            counted(bars.n_judged, "bar"),
            thousands(bars.n_equal),
            thousands(bars.n_edge),
            thousands(n_other),
        )?;
    }
    write_findings(out, root, &findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(findings: Vec<Finding>, expected: &str) {
        let checked = Checked { n_partitions: 1, n_rows: 1_234, findings, ..Checked::default() };
        check_text(&checked, expected);
    }

    fn check_text(checked: &Checked, expected: &str) {
        let mut out = Vec::new();
        write(&mut out, Path::new("data_cache"), checked).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn candles_against_ticks_have_a_line_of_their_own() {
        let bars = Bars { n_judged: 1440, n_equal: 1400, n_edge: 39 };
        let checked = Checked { n_partitions: 1, bars: Some(bars), ..Checked::default() };
        let expected = "`data_cache` is sound: 1 partition, 0 rows, 0 errors, 0 warnings\n\
             candles against ticks: 1,440 bars, 1,400 equal, 39 apart by a tick on the border, 1 \
             not equal\n";
        check_text(&checked, expected);
    }

    #[test]
    fn warnings_break_nothing_and_errors_do() {
        let warning = Finding::warning(FindingKind::OffGrid, "a", "b", "c");
        let error = Finding::error(FindingKind::RowsHash, "a", "b", "c");
        let nothing = "`data_cache` holds no partition to check: 0 partitions, 0 rows, 0 errors, 0 \
                       warnings\n";
        check_text(&Checked::default(), nothing);
        check(vec![], "`data_cache` is sound: 1 partition, 1,234 rows, 0 errors, 0 warnings\n");
        check(
            vec![warning],
            "`data_cache` is sound: 1 partition, 1,234 rows, 0 errors, 1 warning\n\nfindings:\n  \
             warning off_grid: a: expected b, found c\n",
        );
        check(
            vec![error],
            "`data_cache` is broken: 1 partition, 1,234 rows, 1 error, 0 warnings\n\nfindings:\n  \
             error rows_hash: a: expected b, found c\n",
        );
    }
}
