//! Prices beside the decimals of their day.
//!
//! What the file says of its decimals may be what the source said when it was asked, long after the
//! rows were quoted; so each day tells its own, and only odd prices of a day are in doubt.

use crate::domain::{DecimalsInUse, Epoch, FindingKind, PriceGrid};
use crate::integrity::record::CheckedRecord;

use super::tally::Tally;

const SECS_PER_DAY: i64 = 86_400;

/// Odd prices of a day that are named, for each number of decimals.
const MAX_NAMED: usize = 3;

/// Watches the decimals of the rows that stream by.
#[derive(Debug)]
pub(crate) struct Decimals {
    promised: PriceGrid,
    day: i64,
    seen: DecimalsInUse,
    /// The first odd prices of the day: how many decimals more they need, and what they are.
    named: Vec<(usize, Epoch, String)>,
    last: Option<Epoch>,
    odd: Tally,
}

impl Decimals {
    /// Starts with no row.
    pub(crate) fn new(promised: PriceGrid) -> Self {
        let seen = DecimalsInUse::new(promised.digits());
        let expected = format!("a price with the {} decimals of its day", promised.digits());
        let odd = Tally::warnings(FindingKind::OffGrid, expected, MAX_NAMED);
        Self { promised, day: i64::MIN, seen, named: Vec::new(), last: None, odd }
    }

    /// Tells whether a price needs no more decimals than promised; may deny it, see [`PriceGrid`].
    pub(crate) fn is_expected(&self, price: f64) -> bool {
        self.promised.quickly_holds(price)
    }

    /// Takes in rows whose prices are all expected.
    pub(crate) fn take_expected<R: CheckedRecord>(&mut self, rows: &[R]) {
        for of_day in rows.chunk_by(|a, b| day_of(a.epoch()) == day_of(b.epoch())) {
            self.turn_to(day_of(of_day[0].epoch()));
            self.seen.note_expected((of_day.len() * R::COLUMNS.len()) as u64);
        }
    }

    /// Takes in one price.
    pub(crate) fn take(&mut self, epoch: Epoch, name: &str, price: f64) {
        self.turn_to(day_of(epoch));
        let more = self.seen.note(price);
        if more == 0 {
            return;
        }
        self.last = Some(epoch);
        if self.named.iter().filter(|(other, ..)| *other == more).count() < MAX_NAMED {
            self.named.push((more, epoch, format!("{name} {price}")));
        }
    }

    fn turn_to(&mut self, day: i64) {
        if day == self.day {
            return;
        }
        self.day = day;
        let seen = DecimalsInUse::new(self.promised.digits());
        let seen = std::mem::replace(&mut self.seen, seen);
        let usual = seen.usual();
        let odd: Vec<_> = self.named.drain(..).filter(|(more, ..)| *more > usual).collect();
        let n_more = seen.n_odd() - (odd.len() as u64).min(seen.n_odd());
        odd.into_iter().for_each(|(_, epoch, found)| self.odd.note(epoch, || found));
        if let Some(last) = self.last.take() {
            self.odd.note_more(n_more, last);
        }
    }

    /// Ends with the last row.
    pub(crate) fn finish(mut self) -> Tally {
        self.turn_to(i64::MAX);
        self.odd
    }
}

fn day_of(epoch: Epoch) -> i64 {
    epoch.secs().div_euclid(SECS_PER_DAY)
}
