//! Short stretches in which the feed of the synthetic indices is silent, alike in all of them.
//!
//! Users of the API reported such holes of 4 to 8 s several times a week. A few are laid on
//! purpose where a downloader's windows are likely to begin, because a page whose head is
//! missing looks just like a page that was cut short.

use chrono::{DateTime, Datelike, NaiveDate};

use super::hours::DAY;
use super::walk::{Draw, hash, unit};

/// The longest hole, in seconds.
const LONGEST: i64 = 8;

/// Strides of aligned pages: 999 and 4,999 intervals of 2 s, and their round neighbour.
const STRIDES: [i64; 3] = [1998, 9998, 10_000];

/// Seconds of a week.
const WEEK: f64 = 604_800.0;

/// Returns every hole that touches `[from, to)`, as half-open pairs of epochs, ascending.
pub(super) fn in_range(seed: u64, from: i64, to: i64) -> Vec<(i64, i64)> {
    let mut holes = Vec::new();
    let early = from - LONGEST;
    for day in early.div_euclid(DAY)..=to.div_euclid(DAY) {
        let bits = hash(seed, Draw::Hole, day);
        // Four days in seven have one.
        if unit(bits) < 4.0 / 7.0 {
            let second = hash(seed, Draw::HoleAt, day) % DAY.unsigned_abs();
            holes.push(hole_at(seed, day * DAY + second.cast_signed()));
        }
    }
    for stride in STRIDES {
        let chance = stride as f64 / WEEK;
        for number in early.div_euclid(stride)..=to.div_euclid(stride) {
            if unit(hash(seed ^ stride.unsigned_abs(), Draw::Hole, number)) < chance {
                holes.push(hole_at(seed, number * stride));
            }
        }
    }
    if let Some(start) = month_start(to).filter(|start| hash(seed, Draw::HoleAt, *start) & 1 == 1) {
        holes.push(hole_at(seed, start));
    }
    holes.retain(|&(start, end)| start < to && end > from);
    holes.sort_unstable();
    holes
}

/// A hole of 4 to 8 s that begins at `start`.
fn hole_at(seed: u64, start: i64) -> (i64, i64) {
    let length = 4 + (hash(seed, Draw::HoleLength, start) % 5).cast_signed();
    (start, start + length)
}

/// First second of the month of `epoch`.
fn month_start(epoch: i64) -> Option<i64> {
    let date = DateTime::from_timestamp(epoch, 0)?.date_naive();
    let first = NaiveDate::from_ymd_opt(date.year(), date.month(), 1)?;
    Some(first.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_767_225_600;

    #[test]
    fn a_few_a_week_of_four_to_eight_seconds() {
        let holes = in_range(3, START, START + 10 * 604_800);
        assert!((30..120).contains(&holes.len()), "{}", holes.len());
        assert!(holes.iter().all(|(start, end)| (4..=8).contains(&(end - start))));
    }

    #[test]
    fn a_part_of_the_range_sees_the_same_holes() {
        let all = in_range(3, START, START + 604_800);
        let mut parts = Vec::new();
        for part in 0..604_800 / 4096 + 1 {
            parts.extend(in_range(3, START + part * 4096, START + (part + 1) * 4096));
        }
        parts.retain(|hole| hole.0 < START + 604_800);
        parts.dedup();
        assert_eq!(all, parts);
    }
}
