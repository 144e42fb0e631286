//! From how long a silence on it is a gap, where somebody chose it.

use std::collections::BTreeMap;

use super::series::{Series, Symbol};

/// Longest silence that is no gap, for every series: chosen in seconds, or derived (`None`).
///
/// What is said of a series outranks what is said of its symbol, and that what is said of all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GapThresholds {
    /// For every series of which nothing else is said.
    pub everywhere: Option<i64>,
    /// For the ticks and candles of a symbol.
    pub by_symbol: BTreeMap<Symbol, Option<i64>>,
    /// For single series.
    pub by_series: BTreeMap<Series, Option<i64>>,
}

impl GapThresholds {
    /// The threshold of a series in seconds; `None` derives it.
    pub fn of(&self, series: &Series) -> Option<i64> {
        let of_series = self.by_series.get(series);
        let chosen = of_series.or_else(|| self.by_symbol.get(&series.symbol));
        chosen.copied().unwrap_or(self.everywhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Granularity, Kind};

    #[test]
    fn what_is_said_of_less_outranks_what_is_said_of_more() {
        let minutes = Kind::Candles(Granularity::MINUTE);
        let symbol = |name: &str| name.parse::<Symbol>().unwrap();
        let thresholds = GapThresholds {
            everywhere: Some(30),
            by_symbol: [(symbol("R_100"), Some(5)), (symbol("R_50"), None)].into(),
            by_series: [(Series { symbol: symbol("R_100"), kind: minutes }, None)].into(),
        };
        let of = |name: &str, kind| thresholds.of(&Series { symbol: symbol(name), kind });
        assert_eq!(of("R_100", Kind::Ticks), Some(5));
        assert_eq!(of("R_100", minutes), None);
        assert_eq!(of("R_50", Kind::Ticks), None);
        assert_eq!(of("R_10", minutes), Some(30));
    }
}
