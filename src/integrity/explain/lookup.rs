//! Finds one second in a Parquet file by the statistics of its row groups, reading only those that
//! can hold it, its neighbours, or another row of its day.

use std::path::Path;

use crate::domain::{Candle, Epoch, EpochRange, Kind, Tick};
use crate::format::{Footer, FooterError, RowsDigest};

use super::super::reader::{ParquetFile, ReadError};
use super::super::record::CheckedRecord;
use super::Row;

const SECS_PER_DAY: i64 = 86_400;

/// The intervals between rows of a day that are told apart; longer ones are no cadence.
const LONGEST_CADENCE: usize = 3600;

/// A cadence is what nine intervals in ten are.
const CADENCE_SHARE: (u64, u64) = (9, 10);

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The second, its neighbours, and the whole day around it.
    Day,
    /// The nearest rows only.
    Nearest,
}

/// What one file says about one second.
pub(super) struct Look {
    pub(super) footer: Result<Footer, FooterError>,
    pub(super) n_groups: usize,
    pub(super) before: Option<(Row, usize)>,
    pub(super) at: Option<(Row, usize)>,
    pub(super) after: Option<(Row, usize)>,
    /// Rows of the day and their hash; only with [`Scope::Day`].
    pub(super) day_rows: u64,
    pub(super) day_sha256: String,
    /// Seconds between nearly all rows of the day.
    pub(super) cadence_secs: Option<i64>,
    /// What is wrong with the rows or with what the file says of them.
    pub(super) contradictions: Vec<String>,
}

/// The UTC day of an epoch.
pub(super) fn day_of(epoch: Epoch) -> EpochRange {
    let midnight = epoch.floor_to(SECS_PER_DAY, 0);
    EpochRange::new(midnight, midnight.plus(SECS_PER_DAY)).expect("a day has seconds")
}

/// Looks for `epoch` in a file.
pub(super) fn look(path: &Path, kind: Kind, epoch: Epoch, scope: Scope) -> Result<Look, ReadError> {
    match kind {
        Kind::Ticks => look_for::<Tick>(path, epoch, scope),
        Kind::Candles(_) => look_for::<Candle>(path, epoch, scope),
    }
}

fn look_for<R: CheckedRecord>(path: &Path, epoch: Epoch, scope: Scope) -> Result<Look, ReadError> {
    let file = ParquetFile::open(path)?;
    let groups = file.groups();
    let wanted = groups_to_read(&groups, epoch, scope);
    let mut search = Search::<R>::new(epoch, file.footer(), groups.len());
    let mut place = Place { groups: &groups, wanted: &wanted, at: 0, left: 0 };
    let mut rows = file.rows_in::<R>(wanted.clone())?;
    while let Some(batch) = rows.next_rows()? {
        for row in batch {
            let group = place.next();
            search.push(*row, group, &groups);
        }
    }
    Ok(search.finish())
}

/// The row groups that can hold the second, the nearest row on either side, or, with
/// [`Scope::Day`], a row of its day. A group that does not say what it holds is read.
fn groups_to_read(groups: &[(i64, Option<(i64, i64)>)], epoch: Epoch, scope: Scope) -> Vec<usize> {
    let (second, day) = (epoch.secs(), day_of(epoch));
    let before = groups.iter().rposition(|(_, said)| said.is_some_and(|(min, _)| min < second));
    let after = groups.iter().position(|(_, said)| said.is_some_and(|(_, max)| max > second));
    let is_wanted = |index: &usize| {
        let Some((min, max)) = groups[*index].1 else { return true };
        let holds_it = min <= second && second <= max;
        let of_day = min < day.end().secs() && max >= day.start().secs();
        holds_it
            || Some(*index) == before
            || Some(*index) == after
            || (scope == Scope::Day && of_day)
    };
    (0..groups.len()).filter(is_wanted).collect()
}

/// Tells of each row in turn from which row group it is.
struct Place<'a> {
    groups: &'a [(i64, Option<(i64, i64)>)],
    wanted: &'a [usize],
    at: usize,
    left: i64,
}

impl Place<'_> {
    fn next(&mut self) -> usize {
        while self.left <= 0 && self.at < self.wanted.len() {
            self.left = self.groups[self.wanted[self.at]].0;
            self.at += 1;
        }
        self.left -= 1;
        self.wanted.get(self.at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

struct Search<R> {
    epoch: Epoch,
    day: EpochRange,
    digest: RowsDigest,
    intervals: Vec<u32>,
    last: Option<Epoch>,
    before: Option<(R, usize)>,
    at: Option<(R, usize)>,
    after: Option<(R, usize)>,
    look: Look,
}

impl<R: CheckedRecord> Search<R> {
    fn new(epoch: Epoch, footer: Result<Footer, FooterError>, n_groups: usize) -> Self {
        let look = Look {
            footer,
            n_groups,
            before: None,
            at: None,
            after: None,
            day_rows: 0,
            day_sha256: String::new(),
            cadence_secs: None,
            contradictions: Vec::new(),
        };
        Self {
            epoch,
            day: day_of(epoch),
            digest: RowsDigest::new(),
            intervals: vec![0; LONGEST_CADENCE],
            last: None,
            before: None,
            at: None,
            after: None,
            look,
        }
    }

    fn push(&mut self, row: R, group: usize, groups: &[(i64, Option<(i64, i64)>)]) {
        let epoch = row.epoch();
        if let Some((min, max)) = groups[group].1
            && !(min..=max).contains(&epoch.secs())
        {
            let said = EpochRange::inclusive(Epoch::new(min), Epoch::new(max));
            let said = said.map_or_else(|| "nothing".to_owned(), |said| said.to_string());
            self.contradict(format!("row group {group} says it holds {said}, and holds {epoch}"));
        }
        if let Some(last) = self.last {
            if last >= epoch {
                self.contradict(format!("the row of {epoch} comes after the row of {last}"));
            } else if self.day.contains(last)
                && let Some(n) = usize::try_from(epoch.since(last)).ok()
                && let Some(n) = self.intervals.get_mut(n)
            {
                *n += 1;
            }
        }
        self.last = Some(epoch);
        if self.day.contains(epoch) {
            self.digest.update(&[row]);
        }
        if epoch == self.epoch {
            self.at = Some((row, group));
        } else if epoch < self.epoch {
            self.before = Some((row, group));
        } else if self.after.is_none() {
            self.after = Some((row, group));
        }
    }

    /// The first few say it all.
    fn contradict(&mut self, what: String) {
        const MOST: usize = 3;
        if self.look.contradictions.len() < MOST {
            self.look.contradictions.push(what);
        }
    }

    fn finish(mut self) -> Look {
        if self.at.is_some_and(|(row, _)| !row.is_well_shaped()) {
            self.contradict("its prices are not `low ≤ open, close ≤ high`".to_owned());
        }
        let total: u64 = self.intervals.iter().map(|n| u64::from(*n)).sum();
        let most =
            (0..LONGEST_CADENCE).max_by_key(|secs| self.intervals[*secs]).unwrap_or_default();
        let share = u64::from(self.intervals[most]) * CADENCE_SHARE.1;
        let is_cadence = total > 0 && share >= total * CADENCE_SHARE.0;
        let digests = self.digest.finish();
        let erased = |found: Option<(R, usize)>| found.map(|(row, group)| (erase(&row), group));
        Look {
            before: erased(self.before),
            at: erased(self.at),
            after: erased(self.after),
            day_rows: digests.record_count,
            day_sha256: digests.rows_sha256,
            cadence_secs: i64::try_from(most).ok().filter(|_| is_cadence),
            ..self.look
        }
    }
}

fn erase<R: CheckedRecord>(row: &R) -> Row {
    Row { epoch: row.epoch(), prices: row.prices().as_ref().to_vec() }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Sample, ticks_range};
    use super::*;

    #[test]
    fn reads_the_groups_of_the_day_and_of_the_nearest_rows() {
        // Four groups over two days, with a silence over the second midnight.
        let day = |days: f64| (days * 86_400.0) as i64;
        let said = |from: f64, to: f64| (10, Some((day(from), day(to))));
        let groups = [said(0.0, 0.4), said(0.5, 0.9), said(2.5, 2.8), said(2.9, 3.5)];
        let check = |days: f64, scope, expected: &[usize]| {
            let found = groups_to_read(&groups, Epoch::new(day(days)), scope);
            assert_eq!(found, expected, "{days}");
        };
        check(0.2, Scope::Nearest, &[0]);
        check(0.45, Scope::Nearest, &[0, 1]);
        check(1.5, Scope::Day, &[1, 2]);
        check(2.6, Scope::Day, &[2, 3]);
        check(2.6, Scope::Nearest, &[2]);
        check(3.9, Scope::Nearest, &[3]);
        check(-1.0, Scope::Nearest, &[0]);
        let silent = [(10, None), said(0.5, 0.9)];
        assert_eq!(groups_to_read(&silent, Epoch::new(day(0.6)), Scope::Nearest), [0, 1]);
    }

    /// Every second near both midnights gives what going through all rows gives.
    #[test]
    fn finds_what_reading_everything_finds() {
        let sample = Sample::ticks();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("partition");
        let pairs = sample.footer.to_pairs();
        super::super::super::testing::write_parquet(&path, &sample.batch(), &pairs);
        let covered = ticks_range();
        let seconds = [0, 1, 2, 9_999, 10_003, 10_004, 17_999, 18_000, 35_998, 35_999];
        for second in seconds.into_iter().map(|n| covered.start().plus(n)) {
            let look = look(&path, Kind::Ticks, second, Scope::Day).unwrap();
            let epochs = || sample.rows.iter().map(|row| row.epoch);
            let found = |found: &Option<(Row, usize)>| found.as_ref().map(|(row, _)| row.epoch);
            assert_eq!(found(&look.before), epochs().filter(|e| *e < second).max());
            assert_eq!(found(&look.at), epochs().find(|e| *e == second));
            assert_eq!(found(&look.after), epochs().find(|e| *e > second));
            let day = day_of(second);
            let date = day.start().to_utc().unwrap().date_naive().to_string();
            let said = sample.footer.days.iter().find(|said| said.date == date).unwrap();
            assert_eq!((look.day_rows, &look.day_sha256), (said.rows, &said.rows_sha256));
            assert_eq!(look.cadence_secs, Some(2));
            assert!(look.contradictions.is_empty(), "{:?}", look.contradictions);
            if let Some((row, group)) = look.at {
                let index = epochs().position(|e| e == row.epoch).unwrap();
                assert_eq!(group, index / 4096);
            }
        }
    }

    #[test]
    fn rows_that_do_not_ascend_contradict_the_file() {
        let mut sample = Sample::ticks();
        sample.rows.swap(100, 101);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("partition");
        let pairs = sample.footer.to_pairs();
        super::super::super::testing::write_parquet(&path, &sample.batch(), &pairs);
        let second = ticks_range().start().plus(200);
        let look = look(&path, Kind::Ticks, second, Scope::Day).unwrap();
        assert!(
            look.contradictions.iter().any(|c| c.contains("comes after")),
            "{:?}",
            look.contradictions
        );
    }
}
