//! What `adopt` did with each partition of another tool, as text.

use std::io::{self, Write};
use std::path::Path;

use crate::domain::{Finding, PartitionKey, Series};
use crate::storage::{Adoption, Fate};

use super::super::terminal::escaped;
use super::text::{counted, thousands};
use super::write_finding;

/// What became of the partitions of another tool in a folder.
#[derive(Debug, Default)]
pub struct TakenOver {
    /// Whether nothing was done yet.
    pub is_dry_run: bool,
    /// Each of them in the order of series and months, or the chain of causes why not.
    pub partitions: Vec<(PartitionKey, Result<Adoption, Vec<String>>)>,
    /// What lies beside them and is no partition.
    pub strangers: Vec<Finding>,
    /// Series that another run holds, with who does.
    pub held: Vec<(Series, String)>,
}

/// Sums over all partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Partitions whose good rows are ours.
    pub n_adopted: u64,
    /// Partitions that moved to quarantine as a whole.
    pub n_set_aside: u64,
    /// Partitions that must not be modified.
    pub n_locked: u64,
    /// Partitions that could not be worked on.
    pub n_failed: u64,
    /// Rows taken over.
    pub n_rows_kept: u64,
    /// Rows left out for a reason.
    pub n_rows_set_aside: u64,
    /// Files that have a name in quarantine.
    pub n_files_quarantined: u64,
}

impl TakenOver {
    /// The sums.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, end) in &self.partitions {
            let Ok(adoption) = end else {
                totals.n_failed += 1;
                continue;
            };
            match adoption.fate {
                Fate::Adopted => totals.n_adopted += 1,
                Fate::SetAside => totals.n_set_aside += 1,
                Fate::Locked => totals.n_locked += 1,
            }
            totals.n_rows_kept += adoption.n_kept;
            totals.n_rows_set_aside += adoption.n_set_aside;
            totals.n_files_quarantined += adoption.quarantined.len() as u64;
        }
        totals
    }
}

/// Writes one line for each partition, what was found in it, and the sums.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, root: &Path, result: &TakenOver) -> io::Result<()> {
    let place = super::place(root);
    for (key, end) in &result.partitions {
        match end {
            Ok(adoption) => {
                writeln!(out, "{key}: {}", line(adoption, result.is_dry_run))?;
                for finding in &adoption.findings {
                    write_finding(out, finding, &place)?;
                }
            }
            Err(chain) => {
                writeln!(out, "{key}: failed: {}", escaped(&chain.join(": ")))?;
            }
        }
    }
    for stranger in &result.strangers {
        write_finding(out, stranger, &place)?;
    }
    writeln!(out, "{}", sums(root, result))
}

fn line(adoption: &Adoption, is_dry_run: bool) -> String {
    let would = |done: &str, would: &str| if is_dry_run { would } else { done }.to_owned();
    let mut text = match adoption.fate {
        Fate::Locked => {
            let rows = counted(adoption.n_rows, "row");
            return format!("locked, {rows}, stays as it is");
        }
        Fate::SetAside => would("set aside as a whole", "would be set aside as a whole"),
        Fate::Adopted => {
            let rows = counted(adoption.n_kept, "row");
            format!("{rows} {}", would("taken over", "would be taken over"))
        }
    };
    if adoption.n_set_aside > 0 {
        text.push_str(&format!(", {} set aside", thousands(adoption.n_set_aside)));
    }
    if adoption.n_repeated > 0 {
        text.push_str(&format!(", {} repeated", thousands(adoption.n_repeated)));
    }
    let places = adoption.quarantined.iter().map(|place| format!("`{}`", place.display()));
    let places: Vec<_> = places.collect();
    if !places.is_empty() {
        let kept = would("kept as", "would be kept as");
        text.push_str(&format!("; {kept} {}", escaped(&places.join(" and "))));
    }
    text
}

fn sums(root: &Path, result: &TakenOver) -> String {
    let totals = result.totals();
    let root = escaped(&root.display().to_string());
    if result.partitions.is_empty() {
        return format!("`{root}`: nothing of another tool to take over");
    }
    let mut text = format!(
        "`{root}`: {} {}, {}; {} set aside, {} quarantined",
        counted(totals.n_adopted, "partition"),
        if result.is_dry_run { "would be taken over" } else { "taken over" },
        counted(totals.n_rows_kept, "row"),
        counted(totals.n_rows_set_aside, "row"),
        counted(totals.n_files_quarantined, "file"),
    );
    for (n, words) in [
        (totals.n_set_aside, "set aside as a whole"),
        (totals.n_locked, "locked"),
        (totals.n_failed, "failed"),
    ] {
        if n > 0 {
            text.push_str(&format!("; {} {words}", counted(n, "partition")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::domain::{FindingKind, Kind};

    use super::super::samples;
    use super::*;

    fn adoption(fate: Fate) -> Adoption {
        Adoption {
            fate,
            n_rows: 1_003,
            n_kept: 1_000,
            n_repeated: 1,
            n_set_aside: 2,
            quarantined: vec!["q/2026-03.1.parquet".into()],
            findings: vec![Finding::warning(FindingKind::ForeignRows, "a", "b", "c")],
        }
    }

    #[test]
    fn each_partition_has_a_line_and_all_have_a_sum() {
        let key = |month| samples::key(Kind::Ticks, month);
        let locked = Adoption { findings: Vec::new(), ..adoption(Fate::Locked) };
        let locked = Adoption { n_kept: 0, n_set_aside: 0, quarantined: Vec::new(), ..locked };
        let mut result = TakenOver {
            partitions: vec![
                (key("2026-01"), Ok(locked)),
                (key("2026-02"), Err(vec!["cannot read `x`".into(), "denied".into()])),
                (key("2026-03"), Ok(adoption(Fate::Adopted))),
            ],
            ..TakenOver::default()
        };
        let text = |result: &TakenOver| {
            let mut out = Vec::new();
            write(&mut out, Path::new("data_cache"), result).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text(&result),
            "R_100 ticks 2026-01: locked, 1,003 rows, stays as it is\n\
             R_100 ticks 2026-02: failed: cannot read `x`: denied\n\
             R_100 ticks 2026-03: 1,000 rows taken over, 2 set aside, 1 repeated; kept as \
             `q/2026-03.1.parquet`\n  \
             warning foreign_rows: a: expected b, found c\n\
             `data_cache`: 1 partition taken over, 1,000 rows; 2 rows set aside, 1 file \
             quarantined; 1 partition locked; 1 partition failed\n"
        );
        result.is_dry_run = true;
        assert!(text(&result).contains("1,000 rows would be taken over"));
        result.partitions.clear();
        assert_eq!(text(&result), "`data_cache`: nothing of another tool to take over\n");
    }
}
