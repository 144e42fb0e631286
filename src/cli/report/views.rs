//! The archive as DuckDB sees it: views with the symbol as a column.
//!
//! What is computed from rows (wider candles, values carried forward) is a view and never a file:
//! the archive holds what the source answered and nothing else.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::domain::{Kind, Series};
use crate::format::Layout;

use super::super::exit::ExitCode;

/// A view or table macro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// How it is used: `ticks`, `bars(width)`.
    pub usage: &'static str,
    /// What it gives, in one line.
    pub gives: String,
    /// The statement that makes it.
    pub sql: String,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Views {
    root: String,
    views: Vec<View>,
}

/// A folder whose name is no text cannot be named in SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of the folder `{0}` is no UTF-8")]
pub struct NotText(String);

impl Views {
    /// Makes the views over these series of the archive at `root`, an absolute path.
    ///
    /// # Errors
    ///
    /// If the path is no text.
    pub fn new(root: &Path, series: &[Series]) -> Result<Self, NotText> {
        let text = root.to_str().ok_or_else(|| NotText(root.display().to_string()))?;
        let layout = Layout::new(root);
        let mut sources: BTreeMap<bool, Vec<String>> = BTreeMap::new();
        for series in series {
            let folder = layout.series_dir(series).display().to_string();
            let is_ticks = series.kind == Kind::Ticks;
            sources.entry(is_ticks).or_default().push(select(series, &folder));
        }
        let mut views = Vec::new();
        if let Some(parts) = sources.get(&true) {
            let n = parts.len();
            views.push(union(
                "ticks",
                format!("{n} series: symbol, epoch, time (UTC), quote"),
                parts,
            ));
            views.extend(over_ticks());
        }
        if let Some(parts) = sources.get(&false) {
            let gives = format!(
                "{} series: symbol, granularity, epoch, time, open, high, low, close",
                parts.len()
            );
            views.push(union("candles", gives, parts));
        }
        Ok(Self { root: text.to_owned(), views })
    }
}

/// The rows of one series, with what its folder says as columns.
fn select(series: &Series, folder: &str) -> String {
    let symbol = &series.symbol;
    // Nothing else that lies there is a month.
    let files = quoted(&format!("{}/????-??.parquet", literal(folder)));
    let time = "make_timestamp(epoch * 1000000) AS time";
    // By name: candles of the Python tool may have their columns in another order, and one more.
    let from = format!("FROM read_parquet({files}, union_by_name = true)");
    match series.kind {
        Kind::Ticks => format!("SELECT '{symbol}' AS symbol, epoch, {time}, quote {from}"),
        Kind::Candles(width) => format!(
            "SELECT '{symbol}' AS symbol, {width} AS granularity, epoch, {time}, open, high, low, close {from}"
        ),
    }
}

fn union(usage: &'static str, gives: String, parts: &[String]) -> View {
    let sql = format!("CREATE OR REPLACE VIEW {usage} AS\n  {};", parts.join("\n  UNION ALL\n  "));
    View { usage, gives, sql }
}

fn over_ticks() -> [View; 3] {
    let view = |usage, gives: &str, sql: &str| View {
        usage,
        gives: gives.to_owned(),
        sql: sql.to_owned(),
    };
    [
        view(
            "bars(width)",
            "candles of `width` seconds made of ticks, with their number of ticks",
            "CREATE OR REPLACE MACRO bars(width) AS TABLE\n  \
             SELECT symbol, bar AS epoch, make_timestamp(bar * 1000000) AS time, arg_min(quote, second) AS open,\n         \
             max(quote) AS high, min(quote) AS low, arg_max(quote, second) AS close, count(*) AS ticks\n  \
             FROM (SELECT symbol, epoch AS second, epoch // width * width AS bar, quote FROM ticks)\n  \
             GROUP BY symbol, bar\n  ORDER BY symbol, bar;",
        ),
        view(
            "minutes",
            "candles of one minute made of ticks, to hold against `candles`",
            "CREATE OR REPLACE VIEW minutes AS\n  SELECT * FROM bars(60);",
        ),
        view(
            "filled(symbol, from, until, step)",
            "the last quote at every `step` seconds from epoch `from` to before `until`, and its age in seconds",
            "CREATE OR REPLACE MACRO filled(wanted, first, until, step) AS TABLE\n  \
             SELECT grid.epoch, make_timestamp(grid.epoch * 1000000) AS time, seen.quote, grid.epoch - seen.epoch AS age\n  \
             FROM (SELECT unnest(generate_series(first, until - 1, step)) AS epoch) AS grid\n  \
             ASOF LEFT JOIN (SELECT epoch, quote FROM ticks WHERE symbol = wanted) AS seen\n  \
             ON grid.epoch >= seen.epoch\n  ORDER BY grid.epoch;",
        ),
    ]
}

/// A path whose letters DuckDB takes as they are: these four would make a pattern of it.
fn literal(path: &str) -> String {
    let one = |c: char| match c {
        '*' | '?' | '[' => format!("[{c}]"),
        other => other.to_string(),
    };
    path.chars().map(one).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Writes the statements.
pub(crate) fn write_sql(out: &mut dyn Write, views: &Views) -> io::Result<()> {
    // A line break in the name of the folder must not end the comment.
    writeln!(out, "-- Views over the archive {:?}, for DuckDB.", views.root)?;
    for view in &views.views {
        writeln!(out, "\n-- {}: {}\n{}", view.usage, view.gives, view.sql)?;
    }
    Ok(())
}

/// Writes what there would be.
pub(crate) fn write_list(out: &mut dyn Write, views: &Views) -> io::Result<()> {
    if views.views.is_empty() {
        return writeln!(out, "the archive holds no series yet");
    }
    for view in &views.views {
        writeln!(out, "{:34} {}", view.usage, view.gives)?;
    }
    writeln!(out, "\nfor DuckDB: titan-download views --sql > views.sql && duckdb -init views.sql")
}

/// The result as one object.
pub(crate) fn json(views: &Views, session: &str, exit: ExitCode) -> Value {
    let view = |view: &View| json!({"usage": view.usage, "gives": view.gives, "sql": view.sql});
    json!({
        "command": "views",
        "session": session,
        "exit_code": exit.number(),
        "root": views.root,
        "views": views.views.iter().map(view).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Granularity;

    fn series(symbol: &str, kind: Kind) -> Series {
        Series { symbol: symbol.parse().unwrap(), kind }
    }

    fn sql(root: &str) -> String {
        let minutes = Kind::Candles(Granularity::MINUTE);
        let all = [series("R_100", Kind::Ticks), series("R_50", minutes)];
        let mut out = Vec::new();
        write_sql(&mut out, &Views::new(Path::new(root), &all).unwrap()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_folder_is_named_and_nothing_else() {
        assert!(sql("/data").contains("read_parquet('/data/R_100/ticks/????-??.parquet'"));
        assert!(sql("/it's").contains("'/it''s/R_50/candles_60/????-??.parquet'"));
        assert!(sql("/a[1]*").contains("'/a[[]1][*]/R_100/ticks/????-??.parquet'"));
        assert!(sql("/a\nDROP TABLE x").starts_with("-- Views over the archive \"/a\\nDROP"));
    }

    #[test]
    fn only_what_is_there_has_a_view() {
        let only_candles = [series("R_50", Kind::Candles(Granularity::MINUTE))];
        let views = Views::new(Path::new("/data"), &only_candles).unwrap();
        let usages: Vec<_> = views.views.iter().map(|view| view.usage).collect();
        assert_eq!(usages, ["candles"]);
        assert!(Views::new(Path::new("/data"), &[]).unwrap().views.is_empty());
    }
}
