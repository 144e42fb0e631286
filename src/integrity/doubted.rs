//! Where something is wrong, for whoever asks again; bounded, however much is wrong.

use crate::domain::{Epoch, EpochRange, RangeSet};

/// Stretches kept apart; what comes after them widens the last one.
const MAX_STRETCHES: usize = 4_096;

/// Ticks are doubted by the minute: no question is shorter, and bars of a minute stay whole.
const TICKS_AT_ONCE_SECS: i64 = 60;

/// Collects stretches in ascending order of discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubted {
    width: i64,
    n_stretches: usize,
    last: Option<EpochRange>,
    set: RangeSet,
}

impl Doubted {
    /// Nothing yet; `granularity_secs` is that of the candles, if they are candles.
    pub(crate) fn new(granularity_secs: Option<i64>) -> Self {
        let width = granularity_secs.unwrap_or(TICKS_AT_ONCE_SECS).max(1);
        Self { width, n_stretches: 0, last: None, set: RangeSet::new() }
    }

    /// Doubts the bar, or the minute, of an epoch.
    pub(crate) fn note(&mut self, epoch: Epoch) {
        let start = epoch.floor_to(self.width, 0);
        let Some(range) = EpochRange::new(start, start.plus(self.width)) else { return };
        if self.last.is_some_and(|last| last.covers(range)) {
            return;
        }
        let range = match self.last.filter(|_| self.n_stretches >= MAX_STRETCHES) {
            Some(last) => {
                let (start, end) = (last.start().min(start), last.end().max(range.end()));
                EpochRange::new(start, end).unwrap_or(range)
            }
            None => range,
        };
        self.n_stretches += 1;
        self.last = Some(range);
        self.set.insert(range);
    }

    /// All of it.
    pub(crate) fn into_set(self) -> RangeSet {
        self.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_whole_bars_and_their_number_is_bounded() {
        let mut few = Doubted::new(None);
        [61, 70, 119, 3_600].iter().for_each(|secs| few.note(Epoch::new(*secs)));
        let ranges: Vec<_> =
            few.into_set().iter().map(|r| (r.start().secs(), r.end().secs())).collect();
        assert_eq!(ranges, [(60, 120), (3_600, 3_660)]);

        let mut many = Doubted::new(Some(60));
        let epochs = (0..3 * MAX_STRETCHES as i64).map(|n| Epoch::new(n * 7_200));
        epochs.clone().for_each(|epoch| many.note(epoch));
        let set = many.into_set();
        assert!(set.iter().count() <= MAX_STRETCHES);
        assert!(epochs.into_iter().all(|e| set.iter().any(|range| range.contains(e))));
    }
}
