//! How much room a plan needs on disk. Pure.

use crate::domain::{Kind, RowBytes};

use super::plan::{Plan, PlannedPartition};

/// Sidecar, footer, and blocks that are filled only in part.
const SLACK_BYTES: u64 = 64 * 1024;

/// Most bytes that the work on a partition takes at once: its new rows staged, and the new file
/// beside the old one.
pub(super) fn bytes_at_once(partition: &PlannedPartition, row: RowBytes) -> u64 {
    if partition.n_rows == 0 {
        return 0;
    }
    let rows = partition.n_rows.saturating_add(partition.record_count);
    let staged = partition.n_rows.saturating_mul(row.staged);
    staged.saturating_add(rows.saturating_mul(row.published)).saturating_add(SLACK_BYTES)
}

/// Most bytes that the whole plan takes at once: everything that stays, and beside it what the
/// largest month needs while it is worked on.
pub(super) fn bytes_of_all(plan: &Plan, row: impl Fn(Kind) -> RowBytes) -> u64 {
    let mut stays = 0_u64;
    let mut most = 0_u64;
    for partition in &plan.partitions {
        let grows = partition.n_rows.saturating_mul(row(partition.key.series.kind).published);
        stays = stays.saturating_add(grows);
        most = most.max(partition.n_bytes.saturating_sub(grows));
    }
    stays.saturating_add(most)
}

#[cfg(test)]
mod tests {
    use crate::domain::{Epoch, PartitionKey, RangeSet, Series};

    use super::*;

    const ROW: RowBytes = RowBytes { staged: 16, published: 3 };

    fn planned(n_rows: u64, record_count: u64) -> PlannedPartition {
        let series = Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks };
        let key = PartitionKey { series, month: "2026-03".parse().unwrap() };
        let mut planned = PlannedPartition {
            wanted: key.month.range(),
            key,
            not_offered: None,
            lost: RangeSet::new(),
            missing: RangeSet::new(),
            kept: RangeSet::new(),
            is_ordered: false,
            is_locked: false,
            again: RangeSet::new(),
            second_looks: Vec::new(),
            state: None,
            record_count,
            n_requests: 0,
            n_rows,
            n_bytes: 0,
        };
        planned.n_bytes = bytes_at_once(&planned, ROW);
        planned
    }

    #[test]
    fn a_month_needs_its_rows_twice_and_its_old_file_again() {
        assert_eq!(planned(1_000_000, 0).n_bytes, 19_000_000 + SLACK_BYTES);
        assert_eq!(planned(1_000, 1_000_000).n_bytes, 16_000 + 3_003_000 + SLACK_BYTES);
        assert_eq!(planned(0, 1_000_000).n_bytes, 0, "nothing is written");
    }

    #[test]
    fn the_staging_of_one_month_is_used_again_by_the_next() {
        let partitions = vec![planned(1_000_000, 0), planned(0, 5), planned(1_000_000, 0)];
        let plan = Plan {
            server_now: Epoch::new(0),
            partitions,
            failed_series: Vec::new(),
            begins: Vec::new(),
            notices: Vec::new(),
            n_bytes: 0,
            free_bytes: None,
        };
        assert_eq!(bytes_of_all(&plan, |_| ROW), 6_000_000 + 16_000_000 + SLACK_BYTES);
    }
}
