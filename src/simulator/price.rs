//! Prices as whole pips, so that their text is exact.

use std::fmt::Write;

/// One tick: epoch in seconds and price in pips (multiples of `10^-decimals`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) epoch: i64,
    pub(super) pips: i64,
}

/// `10^decimals`, the number of pips in one unit.
pub(super) fn pips_per_unit(decimals: u8) -> i64 {
    10_i64.pow(u32::from(decimals))
}

/// Appends `pips` as a decimal number, trailing zeros dropped as the API drops them: `616.4`, `616`.
pub(super) fn push_short(out: &mut String, pips: i64, decimals: u8) {
    let start = out.len();
    push_full(out, pips, decimals);
    if out[start..].contains('.') {
        let kept = out[start..].trim_end_matches('0').trim_end_matches('.').len();
        out.truncate(start + kept);
    }
}

/// Appends `pips` with all its decimals, as `ohlc` messages write them: `616.40`.
pub(super) fn push_full(out: &mut String, pips: i64, decimals: u8) {
    let unit = pips_per_unit(decimals).unsigned_abs();
    let size = pips.unsigned_abs();
    if pips < 0 {
        out.push('-');
    }
    // Writing to a `String` cannot fail.
    let _ = write!(out, "{}", size / unit);
    if decimals > 0 {
        let _ = write!(out, ".{:0width$}", size % unit, width = usize::from(decimals));
    }
}

/// The short text as a new string.
pub(super) fn short(pips: i64, decimals: u8) -> String {
    let mut out = String::new();
    push_short(&mut out, pips, decimals);
    out
}

/// The full text as a new string.
pub(super) fn full(pips: i64, decimals: u8) -> String {
    let mut out = String::new();
    push_full(&mut out, pips, decimals);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_trailing_zeros_only_behind_the_point() {
        assert_eq!(short(61_640, 2), "616.4");
        assert_eq!(short(61_600, 2), "616");
        assert_eq!(short(60_000, 1), "6000");
        assert_eq!(short(5, 4), "0.0005");
        assert_eq!(short(-123, 2), "-1.23");
        assert_eq!(short(7000, 0), "7000");
        assert_eq!(full(61_600, 2), "616.00");
    }
}
