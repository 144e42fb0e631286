//! What is known of the reason of a gap.

use crate::domain::{Epoch, EpochRange, GapClass, SilenceFacts};

use super::cadence::Threshold;
use super::longest::Silence;

const SECS_PER_DAY: i64 = 86_400;
const SECS_PER_WEEK: i64 = 7 * SECS_PER_DAY;
/// 1970-01-01 was a Thursday; weeks are counted from Monday.
const EPOCH_SECOND_OF_WEEK: i64 = 3 * SECS_PER_DAY;
/// Friday 20:00 UTC: no market closes for the week-end before it.
const WEEKEND_START: i64 = 4 * SECS_PER_DAY + 20 * 3600;

/// A market does not close for less than half an hour.
const MIN_CLOSED_SECS: i64 = 1800;
/// What is no longer than so many times the threshold of its hour of the week is what the series is
/// used to.
const USUAL_THRESHOLDS: i64 = 20;
/// Nor is a silence this short anything unusual.
const USUAL_SECS: i64 = 600;
/// No week-end with its holidays is longer: where nobody told the hours, this silence has no reason.
const LONGEST_CLOSED_SECS: i64 = 4 * SECS_PER_DAY;
/// Sessions end at the same time of day, give or take the last quote.
const SESSION_TOLERANCE_SECS: i64 = 900;
/// A gap at the same time on so many other days is the end of a session.
const MIN_OTHER_DAYS: usize = 3;

/// Classes the gaps of one partition.
pub(super) struct Classes<'a> {
    silence: &'a SilenceFacts,
    continuous: bool,
    /// Seconds that a row stands for: a bar's width, one for a tick.
    row_secs: i64,
    /// What the rows of this file show to be usual, whatever threshold was chosen.
    usual: Threshold,
    /// Where the silences of a closed market's length begin, ascending.
    long_starts: Vec<Epoch>,
}

impl<'a> Classes<'a> {
    /// `continuous` tells whether the series is quoted day and night, week-ends included; `row_secs`
    /// for how many seconds a row stands.
    pub(super) fn new(
        silence: &'a SilenceFacts,
        (continuous, row_secs): (bool, i64),
        usual: Threshold,
        gaps: &[Silence],
    ) -> Self {
        let long = gaps.iter().filter(|gap| gap.range.len_secs() >= MIN_CLOSED_SECS);
        let long_starts = long.map(|gap| gap.range.start()).collect();
        Self { silence, continuous, row_secs, usual, long_starts }
    }

    /// The first of the classes that fits.
    pub(super) fn of(&self, silence: &Silence) -> GapClass {
        let (gap, known) = (silence.range, self.silence);
        let has_settled = || known.clock.is_some_and(|clock| clock.has_settled(gap.end()));
        if !self.continuous && self.is_market_closed(gap) {
            GapClass::MarketClosed
        } else if known.before_first_row.covers(gap) {
            GapClass::BeforeFirstRow
        } else if known.confirmed.covers(gap) {
            GapClass::ConfirmedBySource
        } else if known.doubted.intersects(gap) || self.is_too_long(silence) {
            GapClass::Unexplained
        } else if known.silent.covers(gap) {
            if has_settled() { GapClass::ConfirmedBySource } else { GapClass::Silent }
        } else {
            GapClass::WithinPage
        }
    }

    /// Tells whether the market is open and silent for longer than the series is used to be.
    pub(super) fn is_too_long(&self, silence: &Silence) -> bool {
        let usual = self.usual.secs_at(silence).saturating_mul(USUAL_THRESHOLDS).max(USUAL_SECS);
        if silence.distance_secs <= usual {
            return false;
        }
        let told = || self.hours_explain(silence.range);
        match self.continuous {
            true => true,
            false => match told() {
                Some(is_closed) => !is_closed,
                None => silence.distance_secs > LONGEST_CLOSED_SECS,
            },
        }
    }

    /// What the source told of these days counts; of days it told nothing of, what the rows show.
    fn is_market_closed(&self, gap: EpochRange) -> bool {
        let told = self.hours_explain(gap);
        let observed = || is_in_weekend(gap) || self.recurs(gap.start());
        told.unwrap_or_else(|| gap.len_secs() >= MIN_CLOSED_SECS && observed())
    }

    /// What the source's hours say of `gap`. The bar before it was traded to its end, and only what
    /// follows is silent.
    fn hours_explain(&self, gap: EpochRange) -> Option<bool> {
        let start = gap.start().plus(self.row_secs - 1).min(gap.last());
        self.silence.hours.as_ref()?.explains(EpochRange::new(start, gap.end())?)
    }

    /// Tells whether gaps of a closed market's length begin at this time of day on enough other days.
    fn recurs(&self, start: Epoch) -> bool {
        let alike = |other: &&Epoch| {
            let apart = other.since(start).rem_euclid(SECS_PER_DAY);
            apart.min(SECS_PER_DAY - apart) <= SESSION_TOLERANCE_SECS
        };
        // The nearest whole number of days, so that 23:55 and 00:05 of the next day are one day's.
        let day = |other: &Epoch| (other.since(start) + SECS_PER_DAY / 2).div_euclid(SECS_PER_DAY);
        let mut days: Vec<_> = self.long_starts.iter().filter(alike).map(day).collect();
        days.retain(|day| *day != 0);
        days.dedup();
        days.len() >= MIN_OTHER_DAYS
    }
}

fn is_in_weekend(gap: EpochRange) -> bool {
    let second_of_week = (gap.start().secs() + EPOCH_SECOND_OF_WEEK).rem_euclid(SECS_PER_WEEK);
    second_of_week >= WEEKEND_START && second_of_week + gap.len_secs() <= SECS_PER_WEEK
}
