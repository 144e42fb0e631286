//! Changes of the number of decimals that prices use.

use crate::domain::{Advice, DecimalsInUse, Epoch, Finding, FindingKind};
use crate::integrity::checks::tally::Tally;

use super::MAX_NAMED;

/// One row in so many is looked at; an odd number, so that no pattern of even seconds hides.
const ONE_ROW_IN: u32 = 17;
/// Rows looked at before the decimals of a stretch are known. By chance all of them end in the
/// same zero once in 10^64 stretches.
const BLOCK: u32 = 64;
/// Of these, so many must differ from the one before: a price that stands still shows no grid.
const MIN_MOVES: u32 = 32;
#[derive(Debug)]
pub(super) struct Grid {
    skip: u32,
    before: f64,
    n_rows: u32,
    n_moves: u32,
    decimals: DecimalsInUse,
    since: Option<Epoch>,
    usual: Option<usize>,
    changes: Tally,
}

impl Grid {
    /// What the file says of its decimals plays no part: it may be what the source says today.
    pub(super) fn new() -> Self {
        let expected = "prices with the decimals of the prices before";
        Self {
            skip: 0,
            before: 0.0,
            n_rows: 0,
            n_moves: 0,
            decimals: DecimalsInUse::new(0),
            since: None,
            usual: None,
            changes: Tally::warnings(FindingKind::GridChange, expected, MAX_NAMED),
        }
    }

    pub(super) fn push(&mut self, epoch: Epoch, price: f64) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.skip = ONE_ROW_IN - 1;
        self.look_at(epoch, price);
    }

    fn look_at(&mut self, epoch: Epoch, price: f64) {
        self.since = self.since.or(Some(epoch));
        self.n_rows += 1;
        self.n_moves += u32::from(price != self.before);
        self.before = price;
        self.decimals.note(price);
        if self.n_rows == BLOCK {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        let decimals = std::mem::replace(&mut self.decimals, DecimalsInUse::new(0));
        let since = self.since.take();
        self.n_rows = 0;
        if std::mem::take(&mut self.n_moves) < MIN_MOVES {
            return;
        }
        // A few odd prices are none of its own, and arithmetic is no grid.
        let Some(digits) = decimals.learned() else { return };
        if let (Some(usual), Some(since)) = (self.usual.filter(|usual| *usual != digits), since) {
            self.changes.note(since, || format!("{digits} decimals in use instead of {usual}"));
        }
        self.usual = Some(digits);
    }

    pub(super) fn into_findings(self, place: &str, findings: &mut Vec<Finding>) {
        self.changes.into_findings(place, Some(Advice::LookAtRows), findings);
    }
}
