//! Whole seconds, half-open ranges of them, and candle widths.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(i64);

impl Epoch {
    /// Makes an epoch from seconds since 1970-01-01T00:00:00Z.
    pub const fn new(secs: i64) -> Self {
        Self(secs)
    }

    /// Returns the seconds since 1970-01-01T00:00:00Z.
    pub const fn secs(self) -> i64 {
        self.0
    }

    /// Returns the epoch `secs` later (earlier when negative); saturates instead of wrapping.
    #[must_use]
    pub const fn plus(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// Returns `self - earlier` in seconds; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the largest `k·step + phase` that is not after `self`; `step` must be positive.
    #[must_use]
    pub const fn floor_to(self, step: i64, phase: i64) -> Self {
        Self(
            self.0
                .saturating_sub(phase)
                .div_euclid(step)
                .saturating_mul(step)
                .saturating_add(phase),
        )
    }

    /// Returns the smallest `k·step + phase` that is not before `self`; `step` must be positive.
    #[must_use]
    pub const fn ceil_to(self, step: i64, phase: i64) -> Self {
        let floor = self.floor_to(step, phase);
        if floor.0 == self.0 { floor } else { floor.plus(step) }
    }

    /// As ISO-8601 with the offset `+00:00`, which readers take that do not know a final `Z`.
    pub fn to_iso_with_offset(self) -> String {
        match self.to_utc() {
            Some(utc) => utc.to_rfc3339_opts(SecondsFormat::Secs, false),
            None => self.0.to_string(),
        }
    }

    /// Returns the UTC date and time, or `None` outside the years chrono can write.
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0, 0)
    }
}

/// ISO-8601 with a `Z`, for instance `2026-03-07T12:00:05Z`; the bare number where no calendar reaches.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc() {
            Some(utc) => f.write_str(&utc.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A half-open range `[start, end)` of seconds, never empty. In JSON `{"start": …, "end": …}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bounds", into = "Bounds")]
pub struct EpochRange {
    start: Epoch,
    end: Epoch,
}

impl EpochRange {
    /// Makes the range `[start, end)`, or `None` if it would hold no second.
    pub fn new(start: Epoch, end: Epoch) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// Makes the range `[first, last]` of whole seconds, both included.
    pub fn inclusive(first: Epoch, last: Epoch) -> Option<Self> {
        Self::new(first, last.plus(1))
    }

    /// The shortest range that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// First second inside.
    pub const fn start(self) -> Epoch {
        self.start
    }

    /// First second after.
    pub const fn end(self) -> Epoch {
        self.end
    }

    /// Last second inside.
    pub const fn last(self) -> Epoch {
        self.end.plus(-1)
    }

    /// Number of seconds inside; at least 1.
    pub const fn len_secs(self) -> i64 {
        self.end.since(self.start)
    }

    /// Tells whether `epoch` is inside.
    pub fn contains(self, epoch: Epoch) -> bool {
        self.start <= epoch && epoch < self.end
    }

    /// Tells whether every second of `other` is inside.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns the shortest range that covers both.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the seconds in both ranges, if any.
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

/// The bounds of a range as they are written down, in any order.
#[derive(Serialize, Deserialize)]
struct Bounds {
    start: Epoch,
    end: Epoch,
}

/// The bounds hold no second between them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a range of seconds ends after it starts")]
pub struct EmptyRange;

impl TryFrom<Bounds> for EpochRange {
    type Error = EmptyRange;

    fn try_from(Bounds { start, end }: Bounds) -> Result<Self, Self::Error> {
        Self::new(start, end).ok_or(EmptyRange)
    }
}

impl From<EpochRange> for Bounds {
    fn from(EpochRange { start, end }: EpochRange) -> Self {
        Self { start, end }
    }
}

impl fmt::Display for EpochRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end)
    }
}

/// Candle width in seconds, one of those the source serves.
///
/// Source: `ticks_history` request schema, field `granularity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Granularity(u32);

impl Granularity {
    /// Every width the source serves, ascending, in seconds.
    pub const ALL: [u32; 12] = [60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

    /// One minute, the default.
    pub const MINUTE: Self = Self(60);

    /// Width in seconds.
    pub const fn secs(self) -> i64 {
        self.0 as i64
    }
}

/// The text names the widths that are allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no candles of {0} s exist; choose one of 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400"
)]
pub struct InvalidGranularity(u32);

impl TryFrom<u32> for Granularity {
    type Error = InvalidGranularity;

    fn try_from(secs: u32) -> Result<Self, Self::Error> {
        if Self::ALL.contains(&secs) { Ok(Self(secs)) } else { Err(InvalidGranularity(secs)) }
    }
}

impl From<Granularity> for u32 {
    fn from(granularity: Granularity) -> Self {
        granularity.0
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_a_grid_with_a_phase() {
        let floor = |secs, step, phase| Epoch::new(secs).floor_to(step, phase).secs();
        let ceil = |secs, step, phase| Epoch::new(secs).ceil_to(step, phase).secs();
        assert_eq!(floor(7, 2, 0), 6);
        assert_eq!(floor(7, 2, 1), 7);
        assert_eq!(floor(-1, 60, 0), -60);
        assert_eq!(ceil(7, 2, 0), 8);
        assert_eq!(ceil(8, 2, 0), 8);
        assert_eq!(ceil(-1, 60, 0), 0);
    }

    #[test]
    fn shows_epochs_as_utc_and_survives_any_number() {
        assert_eq!(Epoch::new(1_772_884_805).to_string(), "2026-03-07T12:00:05Z");
        assert_eq!(Epoch::new(i64::MAX).to_string(), i64::MAX.to_string());
    }

    #[test]
    fn a_range_is_never_empty() {
        assert_eq!(EpochRange::new(Epoch::new(5), Epoch::new(5)), None);
        assert_eq!(
            EpochRange::inclusive(Epoch::new(5), Epoch::new(5)).map(EpochRange::len_secs),
            Some(1)
        );
    }

    #[test]
    fn accepts_only_the_widths_of_the_source() {
        assert!(Granularity::try_from(60).is_ok());
        assert!(Granularity::try_from(61).is_err());
    }
}
