//! Candles at the edges of a window: whole, cut, open, and one too many.

use super::super::answer::Bar;
use super::super::question::{WIDTH, Window};
use super::rows;
use crate::domain::Judged;

/// Seconds by which the last tick may lie behind the clock.
const FEED_LAG_SECS: i64 = 5;

fn epochs(bars: &[Bar]) -> Vec<i64> {
    let mut epochs: Vec<_> = bars.iter().map(|bar| bar.epoch).collect();
    epochs.sort_unstable();
    epochs
}

/// A window from a boundary to the second before another.
pub(in super::super) fn aligned(bars: &[Bar], window: &Window) -> Judged {
    let found = epochs(bars);
    let wanted: Vec<i64> = (window.start..=window.end).step_by(WIDTH as usize).collect();
    let n_off = found.iter().filter(|epoch| **epoch % WIDTH != 0).count();
    let n_outside = found.iter().filter(|epoch| !window.contains(**epoch)).count();
    let seen = format!("{} where {} fit", rows(found.len()), wanted.len());
    if found == wanted {
        Judged::ok(seen)
    } else if n_outside > 0 {
        Judged::differs(
            format!("{seen}, {n_outside} from outside"),
            "pages with rows from outside are thrown away: candles are never completed",
        )
    } else if n_off > 0 {
        Judged::differs(
            format!("{seen}, {n_off} off the boundary"),
            "rows off the boundary are dropped, and what they stood for is missing",
        )
    } else {
        Judged::differs(
            seen,
            "bars are missing in the middle of the market: asked again, then listed as gaps",
        )
    }
}

/// The same window, with its end on the boundary `at`.
pub(in super::super) fn at_end(bars: &[Bar], window: &Window) -> Judged {
    let found = epochs(bars);
    if found.iter().any(|epoch| !window.contains(*epoch)) {
        return Judged::differs(
            "rows from outside the window",
            "this program never asks like that",
        );
    }
    let more: Vec<_> = bars.iter().filter(|bar| bar.epoch > window.end - WIDTH).collect();
    match more.as_slice() {
        [] => Judged::ok("no candle begins there"),
        [bar] if bar.epoch == window.end => {
            let [open, high, low, close] = &bar.prices;
            let is_flat = open == high && high == low && low == close;
            Judged::ok(match is_flat {
                true => "one of a single price begins there, as if of one second",
                false => "a whole one begins there",
            })
        }
        odd => Judged::differs(
            format!("{} after the last boundary but one", rows(odd.len())),
            "harmless: this program never asks like that",
        ),
    }
}

/// A window up to now.
pub(in super::super) fn open(bars: &[Bar], now: i64) -> Judged {
    match epochs(bars).last() {
        None => Judged::differs("no rows at all", OPEN_MEANS),
        Some(last) if last + WIDTH > now => {
            Judged::ok(format!("the last one began {} s ago", now - last))
        }
        Some(last) if last + WIDTH > now - FEED_LAG_SECS => {
            Judged::skipped("the minute has only begun, and may have no tick yet; run it again")
        }
        Some(last) => {
            Judged::differs(format!("the last one began {} s ago", now - last), OPEN_MEANS)
        }
    }
}

const OPEN_MEANS: &str = "harmless: a candle that is not over is dropped anyway";

/// A window that begins inside a candle; `whole` is that candle as it was answered before.
pub(in super::super) fn cut(bars: &[Bar], window: &Window, whole: Option<&Bar>) -> Judged {
    let boundary = window.start.div_euclid(WIDTH) * WIDTH;
    let Some(first) = bars.iter().min_by_key(|bar| bar.epoch) else {
        return Judged::failed("no rows", "the candles around a known one did not come");
    };
    if first.epoch == window.start {
        return Judged::ok("named by the start, off the boundary");
    }
    if first.epoch == boundary + WIDTH {
        return Judged::differs("it is left out", "harmless: this program asks from boundaries");
    }
    if first.epoch != boundary {
        let seen = format!("the first row is {} s from the start", first.epoch - window.start);
        return Judged::differs(seen, "harmless: this program asks from boundaries");
    }
    match whole {
        Some(whole) if whole.prices == first.prices => Judged::differs(
            "the whole candle comes, on its boundary",
            "harmless: this program asks from boundaries",
        ),
        Some(_) => Judged::differs(
            "a part of it comes as if it were whole",
            "this program asks from boundaries and never meets it; other tools cannot notice it",
        ),
        None => Judged::differs("one on the boundary comes", "it is not known whether it is whole"),
    }
}
