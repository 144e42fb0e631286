//! What is known of a series while it is being paged: how much fits into a page, how records come.
//!
//! Starts from defaults or from what earlier runs kept, and is corrected by every answer. It only
//! decides how windows are cut, never what an answer proves.

use std::collections::BTreeMap;

use crate::domain::{Cadence, Kind, Record, TradingHours};

/// Rows a page must hold before a pattern is read from it.
const ENOUGH_ROWS: usize = 50;

/// Share of equal intervals, in percent, from which a series counts as fixed cadence. The feed's
/// own holes make a few intervals longer.
const FIXED_SHARE_PERCENT: usize = 95;

/// Pages in one lane of an irregular series: few enough to run several lanes side by side, many
/// enough that a lane's one partly used page does not count.
const LANE_PAGES: i64 = 20;

/// Pages of one size cut short in a row that show the source's cap.
const CAP_WITNESSES: u32 = 3;

/// Pages after which a lowered cap is put to the test: the test costs less than a per cent.
const PAGES_BEFORE_RAISING: u32 = 1000;

/// What is known of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Ticks, or candles of a width.
    pub kind: Kind,
    /// Whether it is quoted day and night; `None` if the source did not say.
    pub continuous: Option<bool>,
    /// Most rows the source puts into one page.
    pub page_cap: u32,
    /// How records come; `None` before enough of them were seen.
    pub cadence: Option<Cadence>,
    /// When its market is open, as far as the source told.
    pub hours: Option<TradingHours>,
    /// Decimals in which the source says it is quoted, before any answer said so.
    pub decimals: Option<u8>,
    /// Size of the last pages that turned out to be cut short of their windows, and how many in a
    /// row were of that size.
    truncated: Option<(u32, u32)>,
    /// The cap before it was lowered.
    lowered_from: Option<u32>,
    n_since_lowered: u32,
    /// Milliseconds between two records to assume in estimates while no cadence is known.
    assumed_interval_millis: i64,
    /// Whether any answer taught it something.
    fed: bool,
}

impl Profile {
    /// Starts with what is known before the first answer.
    pub fn new(
        kind: Kind,
        continuous: Option<bool>,
        page_cap: u32,
        cadence: Option<Cadence>,
    ) -> Self {
        Self {
            kind,
            continuous,
            page_cap: page_cap.max(2),
            cadence,
            hours: None,
            decimals: None,
            truncated: None,
            lowered_from: None,
            n_since_lowered: 0,
            assumed_interval_millis: unit_secs(kind) * 1000,
            fed: false,
        }
    }

    /// Seconds of the smallest step between two records: 1 for ticks, the width for candles.
    pub fn unit_secs(&self) -> i64 {
        unit_secs(self.kind)
    }

    /// Seconds from one record to the next, if it is always the same.
    pub fn interval_secs(&self) -> Option<i64> {
        match self.cadence {
            Some(Cadence::Fixed { interval_secs, .. }) => Some(interval_secs),
            _ => None,
        }
    }

    /// Length of a lane of an irregular series, in whole units.
    pub fn lane_secs(&self, mean_interval_millis: i64) -> i64 {
        self.pages_secs(mean_interval_millis, LANE_PAGES)
    }

    /// Length of about `n_pages` pages at this mean interval, in whole units.
    pub fn pages_secs(&self, mean_interval_millis: i64, n_pages: i64) -> i64 {
        let unit = self.unit_secs();
        let secs = n_pages * i64::from(self.page_cap) * mean_interval_millis.max(1) / 1000;
        (secs / unit).max(1) * unit
    }

    /// Says how much a page usually holds: a smaller cap that was learned once is put to the test.
    pub fn assume_cap(&mut self, usual: u32) {
        if usual > self.page_cap {
            self.lowered_from = Some(usual);
        }
    }

    /// Sets the time between two ticks to assume in estimates; candles know theirs.
    pub fn assume_interval(&mut self, millis: Option<i64>) {
        if let (Kind::Ticks, Some(millis)) = (self.kind, millis) {
            self.assumed_interval_millis = millis.max(1);
        }
    }

    /// Tells whether any answer taught it something worth keeping.
    pub fn was_fed(&self) -> bool {
        self.fed
    }

    fn interval_millis(&self) -> i64 {
        match self.cadence {
            Some(Cadence::Fixed { interval_secs, .. }) => interval_secs * 1000,
            Some(Cadence::Irregular { mean_interval_millis }) => mean_interval_millis.max(1),
            None => self.assumed_interval_millis,
        }
    }

    /// Length of about one page, in whole units.
    pub fn page_secs(&self) -> i64 {
        self.pages_secs(self.interval_millis(), 1)
    }

    /// Estimate of the requests that `secs` seconds need.
    pub fn pages_in(&self, secs: i64) -> u64 {
        let pages = self.rows_in(secs).div_ceil(u64::from(self.page_cap - 1));
        pages.max(u64::from(secs > 0))
    }

    /// Estimate of the records in `secs` seconds.
    pub fn rows_in(&self, secs: i64) -> u64 {
        (secs.max(0) * 1000).unsigned_abs() / self.interval_millis().unsigned_abs()
    }

    /// Learns from the rows of an answer in good form that lay inside its window.
    pub fn learn<R: Record>(&mut self, rows: &[R], n_received: u32) {
        self.fed = true;
        self.page_cap = self.page_cap.max(n_received);
        if self.cadence.is_none() {
            self.cadence = cadence_of(self.kind, self.continuous, rows);
        }
    }

    /// Learns that a page of `n_received` rows left out older rows of its window.
    ///
    /// One such page may be a fault of the source; several of one size in a row are its cap.
    pub fn learn_truncated(&mut self, n_received: u32) {
        let n = match self.truncated {
            Some((size, n)) if size == n_received => n + 1,
            _ => 1,
        };
        self.truncated = Some((n_received, n));
        if n >= CAP_WITNESSES && n_received >= 2 && n_received < self.page_cap {
            self.lowered_from = Some(self.page_cap.max(self.lowered_from.unwrap_or(0)));
            self.page_cap = n_received;
            self.n_since_lowered = 0;
        }
    }

    /// Learns that a page was not cut short, so that an earlier short one was no cap. A cap that
    /// was lowered is put to the test now and then: windows cut for it can never exceed it.
    pub fn learn_whole(&mut self, n_received: u32) {
        if self.truncated.is_some_and(|(size, _)| n_received > size) {
            self.truncated = None;
        }
        self.n_since_lowered += 1;
        if self.n_since_lowered >= PAGES_BEFORE_RAISING
            && let Some(higher) = self.lowered_from.take()
        {
            self.page_cap = self.page_cap.max(higher);
        }
    }
}

/// Seconds of the smallest step between two records of a kind.
pub fn unit_secs(kind: Kind) -> i64 {
    kind.granularity().map_or(1, super::super::domain::time::Granularity::secs)
}

fn cadence_of<R: Record>(kind: Kind, continuous: Option<bool>, rows: &[R]) -> Option<Cadence> {
    let (first, last) = (rows.first()?, rows.last()?);
    if rows.len() < ENOUGH_ROWS {
        return None;
    }
    let n_intervals = rows.len() - 1;
    let mut counts = BTreeMap::<i64, usize>::new();
    for pair in rows.windows(2) {
        *counts.entry(pair[1].epoch().since(pair[0].epoch())).or_default() += 1;
    }
    let (&interval_secs, &n) = counts.iter().max_by_key(|(_, n)| **n)?;
    let regular = n * 100 >= n_intervals * FIXED_SHARE_PERCENT;
    if regular && continuous != Some(false) && interval_secs >= unit_secs(kind) {
        let phase_secs = first.epoch().secs().rem_euclid(interval_secs);
        return Some(Cadence::Fixed { interval_secs, phase_secs });
    }
    let span_millis = last.epoch().since(first.epoch()).saturating_mul(1000);
    let mean_interval_millis = (span_millis / n_intervals.cast_signed() as i64).max(1);
    Some(Cadence::Irregular { mean_interval_millis })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, Tick};

    fn learned(epochs: impl IntoIterator<Item = i64>, continuous: Option<bool>) -> Option<Cadence> {
        let tick = |secs| Tick { epoch: Epoch::new(secs), quote: 1.0 };
        let rows: Vec<_> = epochs.into_iter().map(tick).collect();
        cadence_of(Kind::Ticks, continuous, &rows)
    }

    #[test]
    fn reads_the_cadence_from_a_page() {
        let every_two = (0..100).map(|i| i * 2 + 1);
        let fixed = Some(Cadence::Fixed { interval_secs: 2, phase_secs: 1 });
        assert_eq!(learned(every_two.clone(), Some(true)), fixed);
        assert_eq!(learned(every_two.clone().filter(|e| e % 50 != 1), Some(true)), fixed);
        let irregular = Some(Cadence::Irregular { mean_interval_millis: 2000 });
        assert_eq!(learned(every_two.clone(), Some(false)), irregular);
        assert_eq!(learned(every_two.take(20), Some(true)), None);
        let uneven = (0..100).map(|i| i * 3 + i % 2);
        assert!(matches!(learned(uneven, None), Some(Cadence::Irregular { .. })));
    }

    #[test]
    fn a_few_short_pages_do_not_lower_the_cap_for_good() {
        let mut profile = Profile::new(Kind::Ticks, None, 5000, None);
        for _ in 0..2 {
            profile.learn_truncated(1000);
        }
        assert_eq!(profile.page_cap, 5000);
        profile.learn_whole(3000);
        for _ in 0..3 {
            assert_eq!(profile.page_cap, 5000);
            profile.learn_truncated(1000);
        }
        assert_eq!(profile.page_cap, 1000);
        for _ in 0..PAGES_BEFORE_RAISING {
            profile.learn_whole(1000);
        }
        assert_eq!(profile.page_cap, 5000);
    }
}
