//! The promises every row makes: order, place, price, shape; and the hash of them all.
//!
//! Each batch is first judged as a whole with cheap comparisons; only a batch that fails is looked
//! at row by row. Nothing is allocated per row, and no fault makes memory grow.

use crate::domain::{
    Advice, Coverage, CoverageState, Epoch, EpochRange, Finding, FindingKind, Granularity, Kind,
    Month, PriceGrid, RangeSet,
};
use crate::format::{RowsDigest, RowsDigests};
use crate::integrity::doubted::Doubted;
use crate::integrity::record::CheckedRecord;

use super::decimals::Decimals;
use super::tally::Tally;

/// Rows out of order or outside the month after which hashing stops: every one of them may start
/// a day of its own in the list of days, which must stay bounded.
const MAX_MISPLACED_HASHED: u64 = 1000;

/// Doubts of one kind that name their row.
const MAX_NAMED: usize = 3;

/// What the rows of a partition are held against.
#[derive(Debug, Clone)]
pub(crate) struct RowPromises {
    /// Every row lies in it.
    pub(crate) month: Month,
    /// Which records they are.
    pub(crate) kind: Kind,
    /// Every row lies where this says it was answered or inherited; `None` if nothing says so.
    pub(crate) coverage: Option<Coverage>,
    /// Decimals of its prices, as far as they are not learned from a day; `None` if nothing says so.
    pub(crate) pip_size: Option<u8>,
    /// What all rows hashed to while they were written; `None` hashes them as a whole again.
    pub(crate) written: Option<String>,
}

/// What streaming through the rows gave.
#[derive(Debug)]
pub(crate) struct RowsSeen {
    /// Rows in the file.
    pub(crate) n_rows: u64,
    /// Epoch of the first row in the order of the file.
    pub(crate) first: Option<Epoch>,
    /// Epoch of the last row in the order of the file.
    pub(crate) last: Option<Epoch>,
    /// Hashes; that of all rows may be one that was known before. `None` if the rows are too
    /// disordered to be hashed by day.
    pub(crate) digests: Option<RowsDigests>,
    /// The seconds in which a row is that breaks a promise. One that is only unusual breaks none.
    pub(crate) wrong: RangeSet,
}

/// Checks rows as they stream by.
#[derive(Debug)]
pub(crate) struct RowChecks {
    month: EpochRange,
    granularity_secs: Option<i64>,
    answered: Option<Vec<EpochRange>>,
    decimals: Option<Decimals>,
    n_rows: u64,
    first: Option<Epoch>,
    last: Option<Epoch>,
    digest: Option<RowsDigest>,
    unsorted: Tally,
    doubled: Tally,
    outside_month: Tally,
    outside_coverage: Tally,
    misaligned: Tally,
    bad_price: Tally,
    bad_shape: Tally,
    wrong: Doubted,
}

impl RowChecks {
    /// Starts with no row.
    pub(crate) fn new(promises: &RowPromises) -> Self {
        use FindingKind as K;
        let granularity_secs = promises.kind.granularity().map(Granularity::secs);
        let month = promises.month.range();
        Self {
            month,
            granularity_secs,
            answered: promises.coverage.as_ref().map(answered_ranges),
            decimals: promises.pip_size.and_then(PriceGrid::new).map(Decimals::new),
            n_rows: 0,
            first: None,
            last: None,
            digest: Some(match &promises.written {
                Some(written) => RowsDigest::by_day(written),
                None => RowsDigest::new(),
            }),
            unsorted: Tally::errors(K::Unsorted, "an epoch after that of the row before"),
            doubled: Tally::errors(K::DuplicateRow, "one row for one epoch"),
            outside_month: Tally::errors(K::OutsideMonth, format!("a row of {}", promises.month)),
            outside_coverage: Tally::errors(K::OutsideCoverage, "rows only where coverage is"),
            misaligned: Tally::warnings(
                K::Misaligned,
                format!("an epoch that is a multiple of {} s", granularity_secs.unwrap_or(1)),
                MAX_NAMED,
            ),
            bad_price: Tally::errors(K::BadPrice, "a positive, finite price"),
            bad_shape: Tally::warnings(K::CandleShape, "low ≤ open, close ≤ high", MAX_NAMED),
            wrong: Doubted::new(granularity_secs),
        }
    }

    /// Checks the next rows.
    pub(crate) fn update<R: CheckedRecord>(&mut self, rows: &[R]) {
        let (Some(head), Some(tail)) = (rows.first(), rows.last()) else { return };
        let ascending = self.last.is_none_or(|last| last < head.epoch())
            && rows.is_sorted_by(|a, b| a.epoch() < b.epoch());
        if !ascending {
            self.check_order(rows);
        }
        let span = EpochRange::inclusive(head.epoch(), tail.epoch()).filter(|_| ascending);
        if span.is_none_or(|span| !self.month.covers(span)) {
            self.check_month(rows);
        }
        if span.is_none_or(|span| !self.is_answered(span)) {
            self.check_coverage(rows);
        }
        self.check_alignment(rows);
        self.check_prices(rows);
        self.hash(rows);
        self.n_rows += rows.len() as u64;
        self.first = self.first.or(Some(head.epoch()));
        self.last = Some(tail.epoch());
    }

    /// Ends with the last row.
    pub(crate) fn finish(self, place: &str, findings: &mut Vec<Finding>) -> RowsSeen {
        let broken = [self.unsorted, self.doubled, self.outside_month, self.outside_coverage];
        for tally in broken {
            tally.into_findings(place, Some(Advice::RepairRows), findings);
        }
        self.bad_price.into_findings(place, Some(Advice::Compare), findings);
        let doubts =
            [Some(self.misaligned), self.decimals.map(Decimals::finish), Some(self.bad_shape)];
        for tally in doubts.into_iter().flatten() {
            tally.into_findings(place, Some(Advice::LookAtRows), findings);
        }
        RowsSeen {
            n_rows: self.n_rows,
            first: self.first,
            last: self.last,
            digests: self.digest.map(RowsDigest::finish),
            wrong: self.wrong.into_set(),
        }
    }

    fn check_order<R: CheckedRecord>(&mut self, rows: &[R]) {
        let mut before = self.last;
        for row in rows {
            let epoch = row.epoch();
            match before {
                Some(before) if epoch < before => {
                    self.wrong.note(before);
                    self.wrong.note(epoch);
                    self.unsorted.note(epoch, || format!("a row that follows {before}"));
                }
                Some(before) if epoch == before => {
                    self.wrong.note(epoch);
                    self.doubled.note(epoch, || "a second row".to_owned());
                }
                _ => {}
            }
            before = Some(epoch);
        }
    }

    fn check_month<R: CheckedRecord>(&mut self, rows: &[R]) {
        for row in rows.iter().filter(|row| !self.month.contains(row.epoch())) {
            self.wrong.note(row.epoch());
            self.outside_month.note(row.epoch(), || "a row outside the month".to_owned());
        }
    }

    fn is_answered(&self, span: EpochRange) -> bool {
        let Some(answered) = &self.answered else { return true };
        let behind = answered.partition_point(|range| range.end() <= span.start());
        answered.get(behind).is_some_and(|range| range.covers(span))
    }

    fn check_coverage<R: CheckedRecord>(&mut self, rows: &[R]) {
        for row in rows {
            let epoch = row.epoch();
            let second = EpochRange::inclusive(epoch, epoch);
            if second.is_none_or(|second| !self.is_answered(second)) {
                let found = || "a row that no answer covers".to_owned();
                self.wrong.note(epoch);
                self.outside_coverage.note(epoch, found);
            }
        }
    }

    fn check_alignment<R: CheckedRecord>(&mut self, rows: &[R]) {
        let Some(granularity) = self.granularity_secs else { return };
        for row in rows {
            let beside = row.epoch().secs().rem_euclid(granularity);
            if beside != 0 {
                self.misaligned.note(row.epoch(), || format!("{beside} s beside one"));
            }
        }
    }

    fn check_prices<R: CheckedRecord>(&mut self, rows: &[R]) {
        // No early end inside: without branches the compiler can take several rows at once.
        let fine = rows.iter().fold(true, |fine, row| {
            let prices = row.prices();
            let prices = prices.as_ref().iter();
            prices.fold(fine & row.is_well_shaped(), |fine, price| fine & self.is_fine(*price))
        });
        if fine {
            if let Some(decimals) = &mut self.decimals {
                decimals.take_expected(rows);
            }
            return;
        }
        for row in rows {
            self.check_prices_of(row);
        }
    }

    fn is_fine(&self, price: f64) -> bool {
        let fits = self.decimals.as_ref().is_none_or(|decimals| decimals.is_expected(price));
        (price > 0.0) & (price < f64::INFINITY) & fits
    }

    fn check_prices_of<R: CheckedRecord>(&mut self, row: &R) {
        let epoch = row.epoch();
        let prices = row.prices();
        let named = || R::COLUMNS.iter().zip(prices.as_ref());
        for (name, price) in named() {
            if !(price.is_finite() && *price > 0.0) {
                self.wrong.note(epoch);
                self.bad_price.note(epoch, || format!("{name} {price}"));
            } else if let Some(decimals) = &mut self.decimals {
                decimals.take(epoch, name, *price);
            }
        }
        let all_finite = prices.as_ref().iter().all(|price| price.is_finite());
        if all_finite && !row.is_well_shaped() {
            let list = || named().map(|(name, price)| format!("{name} {price}"));
            self.bad_shape.note(epoch, || list().collect::<Vec<_>>().join(", "));
        }
    }

    fn hash<R: CheckedRecord>(&mut self, rows: &[R]) {
        if self.unsorted.count() + self.outside_month.count() > MAX_MISPLACED_HASHED {
            self.digest = None;
        }
        if let Some(digest) = &mut self.digest {
            digest.update(rows);
        }
    }
}

/// The seconds in which rows may lie, ascending.
fn answered_ranges(coverage: &Coverage) -> Vec<EpochRange> {
    coverage.select(has_rows).iter().collect()
}

/// Tells whether rows may lie in seconds of this state.
pub(crate) fn has_rows(state: CoverageState) -> bool {
    matches!(state, CoverageState::Answered | CoverageState::Inherited)
}
