//! Jobs: what they inherit, what stands above them, and what two of them must not both want.

use std::ffi::OsString;

use super::super::super::args::{Keys, Layers, Typed};
use super::super::super::config;
use super::super::super::variables::Variables;
use super::super::parse::day;
use super::*;
use crate::download::Window;

const FILE: &str = "\
months = 2
granularity = [60, 3600]

[[series]]
symbol = \"R_100\"

[[series]]
symbol = [\"R_50\", \"frxEURUSD\"]
kind = \"candles\"
granularity = 300
start-date = 2026-01-01
end-date = \"2026-02-01\"
gap-threshold = 30

[[series]]
symbol = \"R_50, R_25,\"
kind = \"ticks\"
months = 0.5
";

fn read(typed: &str, variables: &[(&str, &str)], file: &str) -> Result<Wishes, String> {
    let words = std::iter::once("titan-download").chain(typed.split_whitespace());
    let typed = Typed::read(words.map(OsString::from).collect()).unwrap();
    let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(*value)));
    let variables = Variables { environment: pairs.collect(), ..Variables::default() };
    let file = config::parse("titan.toml", file, &Keys::all()).unwrap();
    let parsed = typed.over(Layers { variables, file: Some(file) }).unwrap();
    wishes(&parsed.cli.download, &parsed.origins)
        .map_err(|error| format!("{error} ({})", error.hint()))
}

fn shown(wishes: &Wishes) -> Vec<String> {
    let shown = |wanted: &Wanted| format!("{} {:?}", wanted.series, wanted.window);
    wishes.request.wanted.iter().map(shown).collect()
}

#[test]
fn each_job_has_its_own_series_and_time_and_inherits_the_rest() {
    let wishes = read("", &[], FILE).unwrap();
    let range =
        Window::Range { start: day("2026-01-01").unwrap(), end: Some(day("2026-02-01").unwrap()) };
    let range = format!("{range:?}");
    assert_eq!(
        shown(&wishes),
        [
            "R_100 ticks Months(2)".to_owned(),
            "R_100 candles 60s Months(2)".to_owned(),
            "R_100 candles 3600s Months(2)".to_owned(),
            format!("R_50 candles 300s {range}"),
            format!("frxEURUSD candles 300s {range}"),
            "R_50 ticks MonthsOf30Days(0.5)".to_owned(),
            "R_25 ticks MonthsOf30Days(0.5)".to_owned(),
        ]
    );
    let own: Vec<_> =
        wishes.gap_thresholds.iter().map(|(series, secs)| format!("{series} {secs:?}")).collect();
    assert_eq!(own, ["R_50 candles 300s Some(30)", "frxEURUSD candles 300s Some(30)"]);
    assert_eq!(wishes.set_aside, None);
}

#[test]
fn a_symbol_of_the_file_is_for_the_jobs_that_have_none() {
    let file = "symbol = ['R_100', 'R_50']\n[[series]]\nkind = 'ticks'\n[[series]]\nkind = 'candles'\nmonths = 3";
    let wishes = read("", &[], file).unwrap();
    assert_eq!(
        shown(&wishes),
        [
            "R_100 ticks Months(1)",
            "R_50 ticks Months(1)",
            "R_100 candles 60s Months(3)",
            "R_50 candles 60s Months(3)"
        ]
    );
}

#[test]
fn what_stands_above_the_file_stands_above_its_jobs() {
    let typed = read(
        "--months 1 --kind ticks",
        &[],
        FILE.split("\n\n[[series]]\nsymbol = \"R_50,").next().unwrap(),
    );
    assert_eq!(
        shown(&typed.unwrap()),
        ["R_100 ticks Months(1)", "R_50 ticks Months(1)", "frxEURUSD ticks Months(1)"]
    );
    // No to a test says nothing of the time.
    let by_variable = [("TITAN_TEST", "no"), ("TITAN_GAP_THRESHOLD", "5")];
    let wishes = read("", &by_variable, FILE).unwrap();
    assert_eq!(shown(&wishes), shown(&read("", &[], FILE).unwrap()));
    assert!(wishes.gap_thresholds.is_empty(), "the variable is for all of them");
}

#[test]
fn symbols_from_above_replace_the_jobs() {
    let wishes = read("--symbol R_25 --kind ticks", &[], FILE).unwrap();
    assert_eq!(shown(&wishes), ["R_25 ticks Months(2)"]);
    assert!(wishes.gap_thresholds.is_empty() && wishes.set_aside.is_none());
    let wishes = read("", &[("TITAN_SYMBOL", "R_25"), ("TITAN_KIND", "ticks")], FILE).unwrap();
    assert_eq!(shown(&wishes), ["R_25 ticks Months(2)"]);
    let said = wishes.set_aside.unwrap();
    assert!(said.starts_with("`TITAN_SYMBOL` stands for all jobs"), "{said}");
}

#[test]
fn two_jobs_never_want_the_same_series() {
    let check = |file: &str, message: &str| assert_eq!(read("", &[], file).unwrap_err(), message);
    check(
        "[[series]]\nsymbol = 'R_100'\n\n[[series]]\nsymbol = 'R_100'\nkind = 'ticks'\nmonths = 9",
        "R_100 ticks is wanted by the job in `titan.toml` line 1 and by the one in `titan.toml` line 4 \
         (leave each series to one job; kinds and widths make different series)",
    );
    // Twice in one job is once.
    let once = read("", &[], "[[series]]\nsymbol = ['R_100', 'R_100']\nkind = 'ticks'").unwrap();
    assert_eq!(shown(&once), ["R_100 ticks Months(1)"]);
}

#[test]
fn what_is_wrong_in_a_job_is_named_with_its_line() {
    let check = |file: &str, message: &str| {
        let found = read("", &[], file).unwrap_err();
        assert!(found.starts_with(message), "{found}");
    };
    check(
        "[[series]]\nkind = 'ticks'",
        "the job in `titan.toml` line 1 names no symbol (add `symbol = \"R_100\"` to it",
    );
    check(
        "[[series]]\nsymbol = 'R_100'\ngranularity = 61",
        "cannot read `granularity` in `titan.toml` line 3: the source has no candles of `61` seconds",
    );
    check(
        "[[series]]\nsymbol = 'R_100'\nend-date = 2026-01-01",
        "`end-date` in `titan.toml` line 3 needs a start (add `start-date = ",
    );
    check(
        "[[series]]\nsymbol = 'R_100'\nmonths = 'twelve'",
        "cannot read `months` in `titan.toml` line 3: `twelve` is not a number of months",
    );
    check(
        "months = -1\n[[series]]\nsymbol = 'R_100'",
        "cannot read `months` in `titan.toml` line 1: `-1` is no time at all",
    );
    check(
        "[[series]]\nsymbol = 'R_100'\ngap-threshold = 'never'",
        "cannot read `gap-threshold` in `titan.toml` line 3: `never` is not a whole number",
    );
    check("months = 1", "no symbol is given (name one with");
}
