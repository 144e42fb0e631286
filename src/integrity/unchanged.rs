//! Proves that a repair changed nothing but what it asked for: the rows beside the seconds in
//! question hash to the same before and after, day by day.

use std::path::Path;

use crate::domain::{Candle, Kind, PartitionKey, RangeSet, Tick};
use crate::format::digest::DayDigest;
use crate::format::{Layout, RowsDigest};

use super::reader::{ParquetFile, ReadError, read_sidecar};
use super::record::CheckedRecord;

/// The hash of each day's rows beside `except`. Before a repair, only days count whose rows are
/// what footer or sidecar promise: others are damaged. What cannot be read is left out.
pub fn rows_beside(root: &Path, key: &PartitionKey, except: &RangeSet) -> Vec<DayDigest> {
    let layout = Layout::new(root);
    match key.series.kind {
        Kind::Ticks => beside::<Tick>(&layout, key, except),
        Kind::Candles(_) => beside::<Candle>(&layout, key, except),
    }
    .unwrap_or_default()
}

/// The days of `before` whose rows are others now, or gone.
pub fn changed_days<'a>(before: &'a [DayDigest], after: &[DayDigest]) -> Vec<&'a DayDigest> {
    before.iter().filter(|day| !after.contains(day)).collect()
}

fn beside<R: CheckedRecord>(
    layout: &Layout,
    key: &PartitionKey,
    except: &RangeSet,
) -> Result<Vec<DayDigest>, ReadError> {
    let file = ParquetFile::open(&layout.parquet(key))?;
    let mut promised = file.footer().map(|footer| footer.days).unwrap_or_default();
    if let Ok(Some(sidecar)) = read_sidecar(&layout.sidecar(key)) {
        promised.extend(sidecar.days);
    }
    let (mut whole, mut partial) = (RowsDigest::new(), RowsDigest::new());
    let excepted: Vec<_> = except.iter().collect();
    let month = key.month.range();
    let is_beside = |row: &R| {
        let behind = excepted.partition_point(|range| range.end() <= row.epoch());
        let is_excepted = excepted.get(behind).is_some_and(|range| range.contains(row.epoch()));
        month.contains(row.epoch()) && !is_excepted
    };
    let mut batches = file.rows::<R>()?;
    // Behind a page that cannot be read nothing is compared.
    while let Ok(Some(rows)) = batches.next_rows() {
        whole.update(rows);
        rows.chunk_by(|a, b| is_beside(a) == is_beside(b))
            .filter(|rows| rows.first().is_some_and(is_beside))
            .for_each(|rows| partial.update(rows));
    }
    let whole = whole.finish().days;
    let is_trusted =
        |day: &DayDigest| whole.iter().any(|seen| seen.date == day.date && promised.contains(seen));
    Ok(partial.finish().days.into_iter().filter(is_trusted).collect())
}
