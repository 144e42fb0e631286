//! What a run that ended early did not reach: series, months and ranges, where the next one begins.

use std::io::{self, Write};

use crate::domain::{PartitionKey, RangeSet};
use crate::download::{Ending, PartitionOutcome, Summary};

use super::text::{counted, span};

/// Ranges of one month that are written out; `--json` has them all.
const SHOWN_RANGES: usize = 3;

/// Months that are written out.
const SHOWN_MONTHS: usize = 50;

/// The wanted seconds that no answer was taken in for, month by month; none after a run that
/// tried everything.
pub(super) fn unreached(summary: &Summary) -> Vec<(&PartitionKey, &RangeSet)> {
    if summary.ending == Ending::Finished {
        return Vec::new();
    }
    let is_open = |outcome: &PartitionOutcome| {
        matches!(
            outcome,
            PartitionOutcome::Staged
                | PartitionOutcome::NotReached
                | PartitionOutcome::Failed(_)
                | PartitionOutcome::LeftAlone(_)
        )
    };
    let left = summary.partitions.iter().filter(|p| is_open(&p.outcome) && !p.missing.is_empty());
    left.map(|partition| (&partition.key, &partition.missing)).collect()
}

/// Writes the list for people.
pub(super) fn write(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let left = unreached(summary);
    if left.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nnot reached; the next run begins there:")?;
    for (key, missing) in left.iter().take(SHOWN_MONTHS) {
        let ranges: Vec<_> =
            missing.iter().take(SHOWN_RANGES).map(|range| range.to_string()).collect();
        write!(out, "  {key}: {}", ranges.join(", "))?;
        let n_more = (missing.iter().count() - ranges.len()) as u64;
        if n_more > 0 {
            let all = std::time::Duration::from_secs(missing.len_secs().unsigned_abs());
            write!(out, " and {}, {} in all", counted(n_more, "more range"), span(all))?;
        }
        writeln!(out)?;
    }
    if let Some(n_more) = left.len().checked_sub(SHOWN_MONTHS).filter(|more| *more > 0) {
        writeln!(out, "  and {n_more} more months; `--json` lists all")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::domain::{EpochRange, Kind};

    use super::super::samples;
    use super::*;

    fn text(summary: &Summary) -> String {
        let mut out = Vec::new();
        write(&mut out, summary).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_a_run_that_ended_early_left_is_listed() {
        let mut summary = samples::mixed_summary();
        assert_eq!(text(&summary), "");
        summary.ending = Ending::BudgetSpent("5 requests".into());
        let expected = "\nnot reached; the next run begins there:\n  \
            R_100 candles 60s 2026-03: 2026-03-01T00:00:00Z to 2026-03-02T00:00:00Z\n";
        assert_eq!(text(&summary), expected);
        assert_eq!(
            text(&Summary {
                ending: Ending::BudgetSpent(String::new()),
                ..samples::whole_summary()
            }),
            ""
        );
    }

    #[test]
    fn many_ranges_are_counted() {
        let mut summary = samples::mixed_summary();
        summary.ending = Ending::Cancelled;
        let left = summary.partitions.last_mut().unwrap();
        left.outcome = PartitionOutcome::Staged;
        let start = samples::key(Kind::Ticks, "2026-03").month.range().start();
        for n in 1..5 {
            let range = EpochRange::new(start.plus(n * 172_800), start.plus(n * 172_800 + 3_600));
            left.missing.insert(range.unwrap());
        }
        let said = "2026-03-05T01:00:00Z and 2 more ranges, 1d 04h in all\n";
        assert!(text(&summary).ends_with(said), "{}", text(&summary));
    }
}
