//! Reads from how long a silence on it is a gap, for all series or for some.

use crate::domain::{GapThresholds, Kind, Series, Symbol};

use super::parse::{BadValue, number, quoted};

const HINT: &str = "write `auto` or seconds, for one symbol `frxEURUSD=120`, for one series \
                    `R_100/ticks=4` or `R_100/candles_60=auto`";

/// The longest threshold that can be chosen: a year.
const MOST_SECS: i64 = 31_536_000;

/// The thresholds named by `texts`, each thing at most once.
pub(super) fn read(texts: &[String]) -> Result<GapThresholds, BadValue> {
    let mut thresholds = GapThresholds::default();
    let mut everywhere = None;
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let Some((name, threshold)) = text.split_once('=') else {
            once(text, everywhere.replace(secs(text)?).is_some())?;
            continue;
        };
        let threshold = secs(threshold)?;
        let is_again = match named(text, name.trim())? {
            (symbol, None) => thresholds.by_symbol.insert(symbol, threshold).is_some(),
            (symbol, Some(kind)) => {
                thresholds.by_series.insert(Series { symbol, kind }, threshold).is_some()
            }
        };
        once(name.trim(), is_again)?;
    }
    Ok(GapThresholds { everywhere: everywhere.flatten(), ..thresholds })
}

fn once(text: &str, is_again: bool) -> Result<(), BadValue> {
    if !is_again {
        return Ok(());
    }
    let what =
        if secs(text).is_ok() { "is a second threshold for all series" } else { "is named twice" };
    Err(BadValue::new(format!("{} {what}", quoted(text)), "say it once"))
}

fn secs(text: &str) -> Result<Option<i64>, BadValue> {
    match text.trim() {
        "auto" => Ok(None),
        text => number(text, 1..=MOST_SECS)
            .map(Some)
            .map_err(|bad| BadValue { hint: HINT.to_owned(), ..bad }),
    }
}

fn named(text: &str, name: &str) -> Result<(Symbol, Option<Kind>), BadValue> {
    let bad = |what: &str| BadValue::new(format!("{} {what}", quoted(text)), HINT);
    let (symbol, kind) = match name.split_once('/') {
        Some((symbol, kind)) => {
            (symbol, Some(kind.parse().map_err(|_| bad("names no kind of record"))?))
        }
        None => (name, None),
    };
    Ok((symbol.parse().map_err(|_| bad("begins with no symbol"))?, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Granularity;

    fn texts(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn thresholds_of_all_of_symbols_and_of_series() {
        let of = |text: &str, symbol: &str, kind| {
            let symbol = symbol.parse().unwrap();
            read(&texts(text)).unwrap().of(&Series { symbol, kind })
        };
        let minutes = Kind::Candles(Granularity::MINUTE);
        assert_eq!(of("auto", "R_100", Kind::Ticks), None);
        assert_eq!(of("", "R_100", Kind::Ticks), None);
        let text = " 30 , frxEURUSD = 120,R_100/ticks=4, R_100/candles_60=auto,R_50=auto";
        assert_eq!(of(text, "R_10", Kind::Ticks), Some(30));
        assert_eq!(of(text, "frxEURUSD", minutes), Some(120));
        assert_eq!(of(text, "R_100", Kind::Ticks), Some(4));
        assert_eq!(of(text, "R_100", minutes), None);
        assert_eq!(of(text, "R_50", Kind::Ticks), None);
    }

    #[test]
    fn each_mistake_is_named() {
        let check = |text: &str, expected: &str| {
            let bad = read(&texts(text)).unwrap_err();
            assert_eq!(bad.problem, expected, "{text}");
            assert!(!bad.hint.is_empty());
        };
        check("never", "`never` is not a whole number");
        check("0", "`0` is out of bounds");
        check("30,R_100=-1", "`-1` is out of bounds");
        check("R_100=", "`` is not a whole number");
        check("R 100=4", "`R 100=4` begins with no symbol");
        check("=4", "`=4` begins with no symbol");
        check("R_100/bars=4", "`R_100/bars=4` names no kind of record");
        check("R_100/candles_61=4", "`R_100/candles_61=4` names no kind of record");
        check("R_100=4,R_100=4", "`R_100` is named twice");
        check("R_100/ticks=4,R_100/ticks=auto", "`R_100/ticks` is named twice");
        check("30,auto", "`auto` is a second threshold for all series");
    }
}
