//! Reads the partitions whose newer prices are accepted.

use std::collections::BTreeSet;

use crate::domain::{Month, PartitionKey, Series, Symbol};

use super::parse::{BadValue, quoted};

const HINT: &str = "write it like `R_100/ticks/2026-03` or `R_100/candles_60/2026-03`";

/// The partitions named by `texts`, all of them of series that are `wanted`.
pub(super) fn partitions(
    texts: &[String],
    wanted: &[Series],
) -> Result<BTreeSet<PartitionKey>, BadValue> {
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    texts.map(|text| partition(text, wanted)).collect()
}

fn partition(text: &str, wanted: &[Series]) -> Result<PartitionKey, BadValue> {
    let bad = |what: &str| BadValue::new(format!("{} {what}", quoted(text)), HINT);
    let parts: Vec<&str> = text.split('/').collect();
    let &[symbol, kind, month] = parts.as_slice() else {
        return Err(bad("does not name symbol, kind and month"));
    };
    let symbol: Symbol = symbol.parse().map_err(|_| bad("begins with no symbol"))?;
    let kind = kind.parse().map_err(|_| bad("names no kind of record"))?;
    let month: Month = month.parse().map_err(|_| bad("ends with no month"))?;
    let series = Series { symbol, kind };
    if wanted.contains(&series) {
        return Ok(PartitionKey { series, month });
    }
    Err(BadValue::new(
        format!("{} is of a series that is not downloaded", quoted(text)),
        "ask for it with `--symbol`, `--kind` and `--granularity` as well",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Granularity, Kind};

    fn read(text: &str) -> Result<Vec<String>, String> {
        let symbol: Symbol = "R_100".parse().unwrap();
        let kinds = [Kind::Ticks, Kind::Candles(Granularity::MINUTE)];
        let wanted = kinds.map(|kind| Series { symbol: symbol.clone(), kind });
        let texts: Vec<_> = text.split(',').map(str::to_owned).collect();
        let keys = partitions(&texts, &wanted).map_err(|bad| bad.problem)?;
        Ok(keys.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn reads_partitions_of_series_that_are_wanted() {
        let expected = ["R_100 ticks 2026-03", "R_100 candles 60s 2026-02"];
        let found = read("R_100/candles_60/2026-02, R_100/ticks/2026-03,,R_100/ticks/2026-03");
        assert_eq!(found.unwrap(), expected);
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn says_what_is_wrong_with_any_other() {
        let check = |text: &str, expected: &str| {
            let problem = read(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        };
        check("R_100", "does not name symbol, kind and month");
        check("R_100/ticks/2026-03/x", "does not name symbol, kind and month");
        check("../ticks/2026-03", "begins with no symbol");
        check("R_100/candles/2026-03", "names no kind");
        check("R_100/candles_61/2026-03", "names no kind");
        check("R_100/ticks/2026-13", "ends with no month");
        check("R_50/ticks/2026-03", "not downloaded");
        check("R_100/candles_120/2026-03", "not downloaded");
    }
}
