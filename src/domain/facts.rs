//! What was learned of the source, kept from run to run.
//!
//! Facts only make a run cheaper; nothing is proved by them. A wrong or lost fact costs requests.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::calendar::{TradingHours, Weekday};
use super::partition::Month;
use super::series::Kind;
use super::store::StoreError;
use super::time::{Epoch, Granularity};

/// How regularly the records of a series come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pattern", rename_all = "snake_case")]
pub enum Cadence {
    /// One record on every `k·interval_secs + phase_secs`, day and night; silence is exceptional.
    Fixed {
        /// Seconds from one record to the next.
        interval_secs: i64,
        /// Offset of the records from the multiples of the interval.
        phase_secs: i64,
    },
    /// Records come when they come, or pause over closed markets.
    Irregular {
        /// Mean time between records in milliseconds, pauses included.
        mean_interval_millis: i64,
    },
}

impl Cadence {
    /// Tells what in it cannot be of records of `kind`, as far as it was read from a file.
    pub fn problem(&self, kind: Kind) -> Option<String> {
        let unit = kind.granularity().map_or(1, Granularity::secs);
        match *self {
            Self::Fixed { interval_secs, phase_secs } => {
                let is_good = (unit..=LONGEST_INTERVAL_SECS).contains(&interval_secs)
                    && (0..interval_secs).contains(&phase_secs);
                (!is_good).then(|| format!("one record each {interval_secs} s, at {phase_secs}"))
            }
            Self::Irregular { mean_interval_millis } => {
                // No two records bear the same second.
                let possible = unit * 1000..=LONGEST_MEAN_SECS * 1000;
                (!possible.contains(&mean_interval_millis))
                    .then(|| format!("one record each {mean_interval_millis} ms"))
            }
        }
    }
}

/// The widest bar is a day.
const LONGEST_INTERVAL_SECS: i64 = 86_400;

/// Bars of a day over the longest closed time.
const LONGEST_MEAN_SECS: i64 = 31 * 86_400;

/// Rows of a page that a source may send; those that are known send 1,000 and 5,000.
const POSSIBLE_PAGES: RangeInclusive<u32> = 2..=100_000;

/// The oldest second that is still offered, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// First second the source still answers for.
    pub offered_from: Epoch,
    /// The newest second before it for which the source sent something else.
    pub refused_at: Epoch,
    /// When that was seen, by the source's clock.
    pub seen_at: Epoch,
    /// Whether a later run found it again and nothing spoke against it. Until then the wall is a
    /// guess: what lies behind it is asked for by each run. Absent in files of older builds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_confirmed: bool,
}

/// 2000-01-01T00:00:00Z: no history of a market reaches further back.
const OLDEST_WALL: Epoch = Epoch::new(946_684_800);

impl Wall {
    /// Tells whether it can be what a run before `now` saw; a file can say anything.
    pub fn is_possible(&self, now: Epoch) -> bool {
        self.offered_from >= OLDEST_WALL && self.offered_from <= self.seen_at && self.seen_at <= now
    }

    /// Where it is at `now`, if it moves as fast as the source's clock: it never moves faster.
    pub fn at_most_at(&self, now: Epoch) -> Epoch {
        self.offered_from.plus(now.since(self.seen_at).max(0))
    }
}

impl Wall {
    /// Tells what in it cannot be, as far as it was read from a file.
    pub fn problem(&self) -> Option<String> {
        let Self { offered_from, refused_at, seen_at, .. } = *self;
        let is_moment = |epoch: Epoch| Month::containing(epoch).is_some();
        let is_good = [offered_from, refused_at, seen_at].into_iter().all(is_moment)
            && refused_at < offered_from;
        (!is_good).then(|| {
            format!("a wall at {offered_from}, refused at {refused_at}, seen at {seen_at}")
        })
    }
}

/// What was learned of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeriesFacts {
    /// How its records come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<Cadence>,
    /// Where its history begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<Wall>,
}

/// What a source told of the hours of one market.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HoursFacts {
    /// When each weekday was asked for last, by the source's clock.
    #[serde(default)]
    pub asked: BTreeMap<Weekday, Epoch>,
    /// What was told.
    #[serde(default)]
    pub hours: TradingHours,
}

impl HoursFacts {
    /// Tells what in it cannot be, as far as it was read from a file.
    pub fn problem(&self) -> Option<String> {
        let odd = self.asked.values().find(|asked| Month::containing(**asked).is_none());
        odd.map(|asked| format!("hours asked for at {asked}")).or_else(|| self.hours.problem())
    }
}

/// What was learned of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Most records the source puts into one page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_cap: Option<u32>,
    /// By series, named as in paths: `R_100/ticks`, `R_100/candles_60`.
    #[serde(default)]
    pub series: BTreeMap<String, SeriesFacts>,
    /// Symbols that the archive holds and the source no longer lists: since when, as far as a run
    /// noticed, by the source's clock.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unlisted: BTreeMap<String, Epoch>,
    /// Opening hours by symbol, of markets that are not always open by their nature.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hours: BTreeMap<String, HoursFacts>,
}

impl SourceFacts {
    /// Tells why a page of so many rows cannot be, if it cannot.
    pub fn page_cap_problem(page_cap: u32) -> Option<String> {
        (!POSSIBLE_PAGES.contains(&page_cap)).then(|| format!("pages of {page_cap} rows"))
    }

    /// Why a symbol cannot have been found missing at that moment, if it cannot.
    pub fn unlisted_problem(since: &Epoch) -> Option<String> {
        Month::containing(*since).is_none().then(|| format!("no longer listed since {since}"))
    }
}

/// Keeps the facts of the endpoint it was made for. Every method blocks.
pub trait FactsStore: Send + Sync + 'static {
    /// What is known; empty if nothing is, or if what is there cannot be read.
    fn load_facts(&self) -> SourceFacts;

    /// Replaces what is known, atomically.
    ///
    /// # Errors
    ///
    /// If it could not be written; the old facts are then still in place.
    fn save_facts(&self, facts: &SourceFacts) -> Result<(), StoreError>;
}
