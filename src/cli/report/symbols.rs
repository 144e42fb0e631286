//! What the source offers, as a table and as JSON.
//!
//! `symbols` adds `endpoint`, `api`, `server_now`, `offered` (how many there are in all), and
//! `symbols`: `symbol`, `name`, `market`, `submarket`, `pip_size` (decimals), `open`,
//! `exchange_is_open`, `trading_suspended`, `interval_secs` (mean seconds between two ticks),
//! `interval_from` (`learned`, `usual`), and `held` (kinds in the archive, named as its folders). What
//! is not known is null.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::domain::{Cadence, Epoch, Instrument, Kind, Series, SourceFacts, Symbol};

use super::super::exit::ExitCode;
use super::super::settings::Api;
use super::text::{Align, Table};
use super::{escaped, json};

/// Stands where there is nothing to say.
const NOTHING: &str = "-";

/// A name is cut no shorter than this.
const LEAST_NAME: usize = 12;

/// How the time between two ticks is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// From answers, in milliseconds; exact if it is always the same.
    Learned {
        /// Mean milliseconds.
        millis: i64,
        /// Whether it is always the same.
        is_fixed: bool,
    },
    /// From a table of what is usual, in milliseconds.
    Usual(i64),
}

/// One symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What the source says.
    pub instrument: Instrument,
    /// Time between two ticks.
    pub interval: Option<Interval>,
    /// Kinds in the archive.
    pub held: BTreeSet<String>,
}

impl Row {
    /// Puts together what the source says and what the archive knows.
    pub fn new(
        instrument: Instrument,
        held: &BTreeMap<Symbol, BTreeSet<String>>,
        facts: &SourceFacts,
    ) -> Self {
        let series = Series { symbol: instrument.symbol.clone(), kind: Kind::Ticks };
        let key = format!("{}/{}", series.symbol, series.kind.folder());
        let learned = facts.series.get(&key).and_then(|facts| facts.cadence);
        let usual = instrument.usual_interval_millis;
        Self {
            interval: learned.map(interval).or_else(|| usual.map(Interval::Usual)),
            held: held.get(&instrument.symbol).cloned().unwrap_or_default(),
            instrument,
        }
    }

    /// By market, its part, and symbol; `R_10` comes before `R_100`, and that after `R_75`.
    pub fn in_order(&self, other: &Self) -> Ordering {
        let (one, two) = (&self.instrument, &other.instrument);
        one.market
            .cmp(&two.market)
            .then_with(|| one.submarket.cmp(&two.submarket))
            .then_with(|| natural(one.symbol.as_str()).cmp(&natural(two.symbol.as_str())))
    }
}

fn interval(cadence: Cadence) -> Interval {
    match cadence {
        Cadence::Fixed { interval_secs, .. } => {
            Interval::Learned { millis: interval_secs.saturating_mul(1000), is_fixed: true }
        }
        Cadence::Irregular { mean_interval_millis } => {
            Interval::Learned { millis: mean_interval_millis, is_fixed: false }
        }
    }
}

/// Text and numbers in turn, so that numbers compare as numbers.
fn natural(text: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let number_end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (digits, after) = after.split_at(number_end);
        parts.push((word.to_owned(), digits.parse().unwrap_or(u64::MAX)));
        rest = after;
    }
    parts
}

/// Everything that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What fits, in order.
    pub rows: Vec<Row>,
    /// How many symbols there are in all.
    pub n_offered: usize,
    /// The clock of the source.
    pub now: Epoch,
    /// Where was asked, without secrets.
    pub endpoint: String,
    /// Which API.
    pub api: Api,
    /// Folder of the archive.
    pub root: PathBuf,
}

/// The list as one object.
pub fn json(shown: &Shown, session: &str, exit: ExitCode) -> Value {
    let row = |row: &Row| {
        let one = &row.instrument;
        let (millis, from) = match row.interval {
            Some(Interval::Learned { millis, .. }) => (Some(millis), Some("learned")),
            Some(Interval::Usual(millis)) => (Some(millis), Some("usual")),
            None => (None, None),
        };
        json!({
            "symbol": one.symbol,
            "name": one.name.as_deref().map(escaped),
            "market": Some(escaped(&one.market)).filter(|market| !market.is_empty()),
            "submarket": one.submarket.as_deref().map(escaped),
            "pip_size": one.pip_size,
            "open": one.is_open,
            "exchange_is_open": one.is_exchange_open,
            "trading_suspended": one.is_suspended,
            "interval_secs": millis.map(|millis| millis as f64 / 1000.0),
            "interval_from": from,
            "held": row.held,
        })
    };
    let body = json!({
        "endpoint": shown.endpoint,
        "api": shown.api.word(),
        "server_now": shown.now,
        "offered": shown.n_offered,
        "symbols": shown.rows.iter().map(row).collect::<Vec<_>>(),
    });
    json::with_head("symbols", session, exit, &Value::Null, body)
}

/// A column: its head, and what stands in it.
type Column = (&'static str, Align, fn(&Row) -> String);

const COLUMNS: [Column; 8] = [
    ("symbol", Align::Left, |row| row.instrument.symbol.to_string()),
    ("name", Align::Left, |row| or_nothing(row.instrument.name.as_deref())),
    ("market", Align::Left, |row| or_nothing(Some(&row.instrument.market))),
    ("submarket", Align::Left, |row| or_nothing(row.instrument.submarket.as_deref())),
    ("decimals", Align::Right, |row| {
        row.instrument.pip_size.map_or_else(|| NOTHING.to_owned(), |decimals| decimals.to_string())
    }),
    ("open", Align::Left, |row| open_word(&row.instrument).to_owned()),
    ("tick every", Align::Right, |row| interval_word(row.interval)),
    ("archive", Align::Left, |row| {
        let held: Vec<_> = row.held.iter().map(String::as_str).collect();
        or_nothing(Some(&held.join(", ")))
    }),
];

/// Columns that are left out one after the other where the terminal is too narrow.
const EXPENDABLE: [&str; 5] = ["submarket", "market", "name", "archive", "tick every"];

fn or_nothing(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(|| NOTHING.to_owned(), escaped)
}

fn open_word(one: &Instrument) -> &'static str {
    match (one.is_open, one.is_suspended, one.is_exchange_open) {
        (true, ..) => "yes",
        (_, Some(true), _) => "suspended",
        (.., None) => NOTHING,
        _ => "no",
    }
}

/// `2s` as learned, `~2.5s` where it varies, `(2s)` where it is only usual.
fn interval_word(interval: Option<Interval>) -> String {
    let secs = |millis: i64| format!("{}s", (millis as f64 / 100.0).round() / 10.0);
    match interval {
        None => NOTHING.to_owned(),
        Some(Interval::Learned { millis, is_fixed: true }) => secs(millis),
        Some(Interval::Learned { millis, .. }) => format!("~{}", secs(millis)),
        Some(Interval::Usual(millis)) => format!("({})", secs(millis)),
    }
}

/// The table, as wide as `width` allows.
///
/// # Errors
///
/// If `out` could not be written.
pub fn write(out: &mut dyn Write, shown: &Shown, width: Option<usize>) -> io::Result<()> {
    let n_open = shown.rows.iter().filter(|row| row.instrument.is_open).count();
    if shown.rows.is_empty() {
        return writeln!(out, "none of {} symbols fits", shown.n_offered);
    }
    for line in lines(&shown.rows, width) {
        writeln!(out, "{line}")?;
    }
    let of = match shown.rows.len() == shown.n_offered {
        true => String::new(),
        false => format!(" of {}", shown.n_offered),
    };
    writeln!(
        out,
        "\n{}{of} symbols, {n_open} open at {} by `{}` ({})",
        shown.rows.len(),
        shown.now,
        escaped(&shown.endpoint),
        shown.api.word()
    )?;
    if shown.rows.iter().any(|row| matches!(row.interval, Some(Interval::Usual(_)))) {
        writeln!(
            out,
            "(2s) is usual for such symbols; without brackets it was learned by downloads"
        )?;
    }
    Ok(())
}

/// Leaves out columns and cuts names until it fits.
fn lines(rows: &[Row], width: Option<usize>) -> Vec<String> {
    let mut left_out: Vec<&str> = Vec::new();
    let mut longest_name = usize::MAX;
    loop {
        let columns: Vec<_> =
            COLUMNS.iter().filter(|(head, ..)| !left_out.contains(head)).collect();
        let heads: Vec<_> = columns.iter().map(|(head, align, _)| (*head, *align)).collect();
        let mut table = Table::new(&heads);
        for row in rows {
            let cell = |(head, _, of): &&Column| match *head {
                "name" => cut(&of(row), longest_name),
                _ => of(row),
            };
            table.push(columns.iter().map(cell).collect());
        }
        let lines = table.lines();
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let Some(too_much) = width.and_then(|width| widest.checked_sub(width)).filter(|n| *n > 0)
        else {
            return lines;
        };
        let name = rows.iter().map(|row| cut(&COLUMNS[1].2(row), longest_name).chars().count());
        let name = name.max().unwrap_or(0);
        if !left_out.contains(&"name") && name > LEAST_NAME {
            longest_name = name.saturating_sub(too_much).max(LEAST_NAME);
        } else if let Some(next) = EXPENDABLE.get(left_out.len()) {
            left_out.push(next);
            longest_name = usize::MAX;
        } else {
            return lines;
        }
    }
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(symbol: &str, name: &str, market: &str) -> Instrument {
        Instrument {
            symbol: symbol.parse().unwrap(),
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            market: market.to_owned(),
            submarket: Some("part".to_owned()),
            pip_size: Some(2),
            is_exchange_open: Some(true),
            is_suspended: Some(false),
            is_open: true,
            usual_interval_millis: Some(2000),
        }
    }

    fn shown() -> Shown {
        let held = BTreeMap::from([(
            "R_100".parse().unwrap(),
            BTreeSet::from(["candles_60".to_owned(), "ticks".to_owned()]),
        )]);
        let mut facts = SourceFacts::default();
        let cadence = Some(Cadence::Fixed { interval_secs: 2, phase_secs: 0 });
        facts
            .series
            .insert("R_100/ticks".into(), crate::domain::SeriesFacts { cadence, wall: None });
        let suspended = Instrument {
            is_open: false,
            is_suspended: Some(true),
            usual_interval_millis: None,
            pip_size: None,
            ..instrument("OLD", "", "synthetic_index")
        };
        let closed = Instrument {
            is_open: false,
            is_exchange_open: Some(false),
            ..instrument("frxEURUSD", "EUR/USD \u{1b}[2J\u{202e}", "forex")
        };
        let list = [
            instrument("R_100", "Volatility 100 Index", "synthetic_index"),
            suspended,
            closed,
            instrument("R_75", "Volatility 75 Index", "synthetic_index"),
        ];
        let mut rows: Vec<_> = list.into_iter().map(|one| Row::new(one, &held, &facts)).collect();
        rows.sort_by(Row::in_order);
        Shown {
            rows,
            n_offered: 40,
            now: Epoch::new(1_773_576_000),
            endpoint: "demo".into(),
            api: Api::V1,
            root: "data_cache".into(),
        }
    }

    fn text(width: Option<usize>) -> String {
        let mut out = Vec::new();
        write(&mut out, &shown(), width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_harmless() {
        insta::assert_snapshot!(text(None));
    }

    #[test]
    fn the_table_becomes_as_narrow_as_it_must() {
        insta::assert_snapshot!(text(Some(60)));
        for width in [30, 45, 60, 80, 100] {
            for line in lines(&shown().rows, Some(width)) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert!(lines(&shown().rows, Some(1))[0].starts_with("symbol"));
    }

    #[test]
    fn as_json() {
        insta::assert_json_snapshot!(json(&shown(), "s", ExitCode::Success));
    }
}
