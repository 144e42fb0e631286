//! What was learned of the source, kept from run to run.
//!
//! Facts only make a run cheaper; nothing is proved by them. A wrong or lost fact costs requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calendar::{TradingHours, Weekday};
use super::store::StoreError;
use super::time::Epoch;

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
