//! The good days of a damaged file: those whose rows still hash to what footer or sidecar promise.
//!
//! A day whose rows hash to what was promised is kept whole: its rows are what was written, however
//! unlikely they look. Where nothing says that the source answered for them, they are kept like
//! those of another tool. Days without rows are kept where it is proved that they had none. What was
//! held and is lost is staged as such: it is asked again, and behind the wall it counts as lost,
//! never as not offered. Memory: the rows of one day.

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use crate::domain::{
    Coverage, CoverageRange, CoverageState, Epoch, EpochRange, GapClass, Granularity, PartitionKey,
    RangeSet, Record, Segment, SegmentNotes, StoreError,
};
use crate::format::digest::DayDigest;
use crate::format::{Footer, RowsDigest, Sidecar};

use super::read::{BATCH_ROWS, PartitionFile, RowStream, Unusable};
use super::segment::Origin;
use super::staging::Staging;

const SECS_PER_DAY: i64 = 86_400;

/// What became of a damaged file. As text it follows the words on where the file is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Salvaged {
    /// Days with rows that are kept.
    n_kept: usize,
    /// Days that were held and are asked again, as `YYYY-MM-DD`, ascending.
    lost: Vec<String>,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.n_kept, self.lost.is_empty()) {
            (_, true) => f.write_str(", and nothing of what it proved is lost"),
            (0, false) => f.write_str(", and its rows are asked again"),
            (n_kept, false) => {
                let days = if n_kept == 1 { "day is" } else { "days are" };
                let lost = self.lost.join(", ");
                write!(f, "; {n_kept} good {days} kept; lost and asked again: {lost}")
            }
        }
    }
}

/// Stages what is still proved of the file at `path`, durably, and what of it is lost.
///
/// # Errors
///
/// If the staging cannot be written, or the operating system refuses to read the file.
pub(super) fn salvage<R: Record>(
    staging: &Staging<'_>,
    key: &PartitionKey,
    path: &Path,
    sidecar: Option<&Sidecar>,
) -> Result<Salvaged, StoreError> {
    let described = sidecar.and_then(|sidecar| described(key, sidecar));
    let file = match PartitionFile::open(path) {
        Err(Unusable::Unknown(StoreError::Io { source, .. }))
            if source.kind() == ErrorKind::NotFound =>
        {
            None
        }
        Err(Unusable::Unknown(error)) => return Err(error),
        Ok(file) if file.footer.key == *key => Some(file),
        // The footer is of no use; the rows may be, if the sidecar says what they were.
        Ok(_) | Err(_) => match described.clone().map(|d| PartitionFile::open_with(path, d)) {
            Some(Err(Unusable::Unknown(error))) => return Err(error),
            Some(Ok(file)) => Some(file),
            Some(Err(_)) | None => None,
        },
    };
    let footer = file.as_ref().map(|file| &file.footer);
    let Some(promise) = Promise::of(footer, described.as_ref()) else {
        return Ok(Salvaged::default().with_everything_lost());
    };
    let kept = RangeSet::new();
    let mut rescue = Rescue { staging, key, promise, sidecar, kept, n_kept: 0 };
    if let Some(file) = &file {
        rescue.days_with_rows::<R>(file)?;
        rescue.days_without_rows::<R>()?;
    }
    rescue.note_lost::<R>()
}

/// What the sidecar says the footer to be.
fn described(key: &PartitionKey, sidecar: &Sidecar) -> Option<Footer> {
    Some(Footer {
        key: key.clone(),
        pip_size: sidecar.pip_size,
        coverage: sidecar.coverage(),
        record_count: sidecar.record_count,
        rows_sha256: sidecar.rows_sha256.clone()?,
        days: sidecar.days.clone(),
    })
}

/// What the rows must be, from footer and sidecar.
struct Promise {
    /// The seconds whose answers the file held; where both speak, as far as they agree.
    held: Coverage,
    /// What the rows of a day may hash to.
    days: Vec<DayDigest>,
    /// Whether a day that is not among them is proved to have had no rows.
    silence_is_proved: bool,
    pip_size: Option<u8>,
}

impl Promise {
    fn of(footer: Option<&Footer>, sidecar: Option<&Footer>) -> Option<Self> {
        let first = footer.or(sidecar)?;
        let second = sidecar.unwrap_or(first);
        let adds_up = |f: &Footer| {
            f.days.iter().map(|d| d.rows).fold(0, u64::saturating_add) == f.record_count
        };
        let mut days = first.days.clone();
        days.extend(second.days.iter().filter(|day| !first.days.contains(day)).cloned());
        Some(Self {
            // Nothing else is ever asked for it.
            held: in_both(&first.coverage, &second.coverage).clipped(first.key.month.range()),
            days,
            silence_is_proved: adds_up(first) && first.days == second.days,
            pip_size: first.pip_size.max(second.pip_size),
        })
    }

    fn knows(&self, date: &str) -> bool {
        self.days.iter().any(|day| day.date == date)
    }

    /// The pieces of `range` whose answers were held.
    fn held_in(&self, range: EpochRange) -> Vec<(EpochRange, CoverageState)> {
        let clipped = self.held.clipped(range);
        clipped.ranges().iter().filter_map(|c| Some((c.range()?, c.state))).collect()
    }
}

/// The seconds that both call answered, or both call inherited.
fn in_both(a: &Coverage, b: &Coverage) -> Coverage {
    let mut both = Vec::new();
    for state in [CoverageState::Inherited, CoverageState::Answered] {
        let of_a = a.select(|s| s == state);
        for range in b.select(|s| s == state).iter() {
            let common = of_a.within(range);
            both.extend(common.iter().map(|range| CoverageRange::of(range, state)));
        }
    }
    Coverage::from(both)
}

/// The work on one damaged file.
struct Rescue<'a> {
    staging: &'a Staging<'a>,
    key: &'a PartitionKey,
    promise: Promise,
    sidecar: Option<&'a Sidecar>,
    kept: RangeSet,
    n_kept: usize,
}

impl Rescue<'_> {
    /// Reads what can be read, day by day, and keeps the days that are what they must be.
    fn days_with_rows<R: Record>(&mut self, file: &PartitionFile) -> Result<(), StoreError> {
        // More rows than seconds are no rows; a damaged count must not keep us here for ever.
        let mut n_left = usize::try_from(self.key.month.range().len_secs()).unwrap_or_default();
        let mut day: Vec<R> = Vec::new();
        for (row_group, n_rows) in file.row_groups().into_iter().enumerate() {
            let n_rows = n_rows.min(n_left);
            n_left -= n_rows;
            let mut at = 0;
            while at < n_rows {
                let mut rows = match file.rows_behind::<R>(row_group, at) {
                    Ok(rows) => rows,
                    Err(StoreError::Damaged { .. }) => break,
                    Err(error) => return Err(error),
                };
                at = loop {
                    match rows.next_row() {
                        Ok(Some(row)) => self.take_row(row, &mut day)?,
                        Ok(None) => break n_rows,
                        // What cannot be decoded is left out; behind it may be good rows again.
                        Err(StoreError::Damaged { .. }) => break at + BATCH_ROWS,
                        Err(error) => return Err(error),
                    }
                    at += 1;
                };
            }
        }
        self.close_day(&mut day)
    }

    fn take_row<R: Record>(&mut self, row: R, day: &mut Vec<R>) -> Result<(), StoreError> {
        let number = |row: &R| row.epoch().secs().div_euclid(SECS_PER_DAY);
        if day.last().is_some_and(|last| number(last) != number(&row)) {
            self.close_day(day)?;
        }
        // One more than a day can have is enough to see that it is none.
        if day.len() as i64 <= SECS_PER_DAY {
            day.push(row);
        }
        Ok(())
    }

    fn close_day<R: Record>(&mut self, day: &mut Vec<R>) -> Result<(), StoreError> {
        let rows = std::mem::take(day);
        let Some(first) = rows.first() else { return Ok(()) };
        let range = day_of(first.epoch());
        let mut digest = RowsDigest::new();
        digest.update(&rows);
        let digests = digest.finish().days;
        if self.promise.days.iter().any(|promised| digests == [promised.clone()]) {
            self.n_kept += 1;
            self.keep(range, &rows)?;
        }
        Ok(())
    }

    fn days_without_rows<R: Record>(&mut self) -> Result<(), StoreError> {
        if !self.promise.silence_is_proved {
            return Ok(());
        }
        for day in days_of(self.key) {
            if !self.promise.knows(&date_of(day.start())) {
                self.keep::<R>(day, &[])?;
            }
        }
        Ok(())
    }

    /// Stages the seconds of a day that were held, with their rows, and the rows beside them.
    fn keep<R: Record>(&mut self, day: EpochRange, rows: &[R]) -> Result<(), StoreError> {
        // A hash says that these rows were written, not that they were in order.
        let mut rows = rows.to_vec();
        rows.sort_by_key(R::epoch);
        rows.dedup_by_key(|row| row.epoch());
        let within = |range: EpochRange| -> Vec<R> {
            let from = rows.partition_point(|row| row.epoch() < range.start());
            let to = rows.partition_point(|row| row.epoch() < range.end());
            rows[from..to].to_vec()
        };
        let held = self.promise.held_in(day);
        for (range, state) in &held {
            self.stage(*range, within(*range), *state)?;
            self.kept.insert(*range);
        }
        let mut beside: RangeSet = day.intersect(self.key.month.range()).into_iter().collect();
        held.iter().for_each(|(range, _)| beside.remove(*range));
        for range in beside.iter() {
            let rows = within(range);
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
            let unit = self.key.series.kind.granularity().map_or(1, Granularity::secs);
            let hull = EpochRange::new(first.epoch(), last.epoch().plus(unit));
            if let Some(hull) = hull.and_then(|hull| hull.intersect(range)) {
                self.stage(hull, rows, CoverageState::Inherited)?;
            }
        }
        Ok(())
    }

    fn note_lost<R: Record>(&mut self) -> Result<Salvaged, StoreError> {
        let mut lost = self.promise.held.select(|_| true);
        lost.remove_all(&self.kept);
        for range in lost.iter() {
            self.stage::<R>(range, Vec::new(), CoverageState::Failed)?;
        }
        let is_lost = |day: &EpochRange| lost.intersects(*day);
        let dates = days_of(self.key).into_iter().filter(is_lost).map(|day| date_of(day.start()));
        let lost: BTreeSet<String> = dates.collect();
        Ok(Salvaged { n_kept: self.n_kept, lost: lost.into_iter().collect() })
    }

    fn stage<R: Record>(
        &self,
        range: EpochRange,
        records: Vec<R>,
        state: CoverageState,
    ) -> Result<(), StoreError> {
        let segment = Segment {
            range,
            asked: self.asked(range),
            pip_size: self.promise.pip_size,
            n_duplicates: 0,
            pieces: vec![records],
            notes: self.notes(range, state),
        };
        self.staging.add(&segment, Origin::Salvaged(state))
    }

    /// What the sidecar knew of the silence in a range whose rows are kept.
    fn notes(&self, range: EpochRange, state: CoverageState) -> SegmentNotes {
        let sidecar = self.sidecar.filter(|_| state == CoverageState::Answered);
        let gaps = sidecar.map(|sidecar| sidecar.gaps.as_slice()).unwrap_or_default();
        let classed = |class: GapClass| {
            let gaps = gaps.iter().filter(|gap| gap.class == class);
            gaps.filter_map(|gap| EpochRange::new(gap.start, gap.end)?.intersect(range)).collect()
        };
        SegmentNotes {
            findings: Vec::new(),
            confirmed: classed(GapClass::ConfirmedBySource),
            doubted: classed(GapClass::Unexplained),
        }
    }

    /// When the range was asked, as the sidecar tells; else not before its end.
    fn asked(&self, range: EpochRange) -> (Epoch, Epoch) {
        let known = self.sidecar.map(|sidecar| sidecar.coverage.as_slice()).unwrap_or_default();
        let touching = known.iter().find(|c| c.start < range.end() && range.start() < c.end);
        let times = touching.and_then(|c| Some((c.asked_first?, c.asked_last?)));
        times.unwrap_or((range.end(), range.end()))
    }
}

impl Salvaged {
    /// Nobody knows any more what the file held.
    fn with_everything_lost(mut self) -> Self {
        self.lost.push("all of it".to_owned());
        self
    }
}

fn day_of(epoch: Epoch) -> EpochRange {
    let start = epoch.floor_to(SECS_PER_DAY, 0);
    EpochRange::new(start, start.plus(SECS_PER_DAY)).expect("a day ends after it begins")
}

fn days_of(key: &PartitionKey) -> Vec<EpochRange> {
    let month = key.month.range();
    let starts = (0..).map(|n| month.start().plus(n * SECS_PER_DAY));
    starts.take_while(|start| *start < month.end()).map(day_of).collect()
}

/// The day as `YYYY-MM-DD`.
fn date_of(midnight: Epoch) -> String {
    midnight.to_string().chars().take(10).collect()
}
