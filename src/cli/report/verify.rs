//! What `verify` found, as text.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use crate::domain::{Finding, Severity};

use super::text::counted;
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
    /// The whole report, for `--json`.
    pub report: Value,
}

impl Checked {
    /// Tells whether no promise is broken.
    pub fn is_sound(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    fn count(&self, severity: Severity) -> u64 {
        self.findings.iter().filter(|finding| finding.severity == severity).count() as u64
    }
}

/// Writes what was found.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, root: &Path, checked: &Checked) -> io::Result<()> {
    let findings: Vec<_> = checked.findings.iter().collect();
    let root = super::escaped(&root.display().to_string());
    let verdict = if checked.is_sound() { "sound" } else { "broken" };
    writeln!(
        out,
        "`{root}` is {verdict}: {}, {}, {}, {}",
        counted(checked.n_partitions, "partition"),
        counted(checked.n_rows, "row"),
        counted(checked.count(Severity::Error), "error"),
        counted(checked.count(Severity::Warning), "warning"),
    )?;
    write_findings(out, &findings)
}

#[cfg(test)]
mod tests {
    use crate::domain::FindingKind;

    use super::*;

    fn check(findings: Vec<Finding>, expected: &str) {
        let checked = Checked { n_partitions: 1, n_rows: 1_234, findings, report: Value::Null };
        let mut out = Vec::new();
        write(&mut out, Path::new("data_cache"), &checked).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn warnings_break_nothing_and_errors_do() {
        let warning = Finding::warning(FindingKind::OffGrid, "a", "b", "c");
        let error = Finding::error(FindingKind::RowsHash, "a", "b", "c");
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
