//! The call `trading_times`: its JSON, and what it means. Every quirk of it is undone here.
//!
//! Read as leniently as it can be: nothing depends on the hours, so a symbol whose entry makes no
//! sense is left out, and only an answer that is none at all is an error.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::convert::{accept, read};
use super::error::malformed;
use super::wire::{ApiError, Text};
use crate::domain::calendar::{SECS_PER_DAY, second_of_day};
use crate::domain::{Defect, Epoch, Session, SourceError, TradingDay, Weekday};

/// Asks for the hours of all markets on one day, `yyyy-mm-dd`.
#[derive(Debug, Serialize)]
pub(super) struct TradingTimesRequest {
    pub(super) trading_times: String,
    pub(super) req_id: u64,
}

#[derive(Debug, Deserialize)]
struct TradingTimesAnswer {
    trading_times: Option<Markets>,
    error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
struct Markets {
    markets: Vec<Market>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Market {
    submarkets: Option<Vec<Submarket>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submarket {
    symbols: Option<Vec<SymbolTimes>>,
}

/// One symbol, under the names of v1 or of legacy. The published schemas say nothing of what
/// `times` and `events` hold, so these are looked at piece by piece.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SymbolTimes {
    underlying_symbol: Text,
    symbol: Text,
    times: Value,
    trading_days: Value,
    events: Value,
}

/// How a day is written in requests.
pub(super) fn date_of(day: Epoch) -> Option<String> {
    day.to_utc().map(|utc| utc.format("%Y-%m-%d").to_string())
}

/// Reads the hours of `day`.
pub(super) fn trading_days(day: Epoch, text: &str) -> Result<Vec<TradingDay>, SourceError> {
    let what = "opening hours";
    let answer: TradingTimesAnswer = read(&what, text)?;
    accept(&what, answer.error)?;
    let Some(Markets { markets }) = answer.trading_times else {
        return Err(malformed(Defect::MissingRows, &what, "`trading_times` is missing"));
    };
    let submarkets = markets.into_iter().flat_map(|market| market.submarkets.unwrap_or_default());
    let symbols = submarkets.flat_map(|submarket| submarket.symbols.unwrap_or_default());
    Ok(symbols.filter_map(|told| trading_day(day, told)).collect())
}

fn trading_day(day: Epoch, told: SymbolTimes) -> Option<TradingDay> {
    let symbol = told.underlying_symbol.non_empty().or(told.symbol.non_empty())?;
    let Some(Sessions { sessions, over_midnight }) = sessions(&told.times) else {
        tracing::debug!(symbol, "opening hours left out");
        return None;
    };
    let (holidays, odd_days) = special_days(&told.events);
    Some(TradingDay {
        symbol: symbol.parse().ok()?,
        day,
        sessions,
        // Nobody says whether a night belongs to the day it begins on or to that it ends on.
        weekdays: weekdays(&told.trading_days).filter(|_| !over_midnight),
        holidays,
        odd_days,
    })
}

/// The sessions of a day from its lists of opening and closing times; `None` if they make no sense.
///
/// `--` stands where there is no session. A day ends with `23:59:59`, which is its last second. A
/// session that closes before it opens goes on after midnight; what may be open counts as open.
fn sessions(times: &Value) -> Option<Sessions> {
    let (opens, closes) = (clocks(times.get("open")?)?, clocks(times.get("close")?)?);
    if opens.len() != closes.len() || opens.is_empty() {
        return None;
    }
    let (mut sessions, mut over_midnight) = (Vec::new(), false);
    for (open, close) in opens.into_iter().zip(closes) {
        let (open, close) = match (open, close) {
            (Clock::At(open), Clock::At(close)) => (open, close),
            (Clock::Never, Clock::Never) => continue,
            _ => return None,
        };
        let close = if close == SECS_PER_DAY - 1 { SECS_PER_DAY } else { close };
        if open < close {
            sessions.push(Session::new(open, close)?);
        } else {
            over_midnight |= close > 0;
            sessions.extend(Session::new(open, SECS_PER_DAY));
            sessions.extend(Session::new(0, close));
        }
    }
    Some(Sessions { sessions, over_midnight })
}

struct Sessions {
    sessions: Vec<Session>,
    /// Whether one of them ends on the day after.
    over_midnight: bool,
}

enum Clock {
    At(i64),
    Never,
}

/// One time, or a list of them.
fn clocks(value: &Value) -> Option<Vec<Clock>> {
    let one = |value: &Value| match value.as_str()?.trim() {
        "--" | "" => Some(Clock::Never),
        text => second_of_day(text).map(Clock::At),
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        value => Some(vec![one(value)?]),
    }
}

/// The weekdays on which a market opens; `None` if they are not told.
fn weekdays(value: &Value) -> Option<BTreeSet<Weekday>> {
    let weekday = |value: &Value| -> Option<Weekday> {
        let text = value.as_str()?.get(..3)?.to_lowercase();
        serde_json::from_value(Value::from(text)).ok()
    };
    let days: Option<BTreeSet<Weekday>> = value.as_array()?.iter().map(weekday).collect();
    // A market that never opens is more likely one whose days are not told.
    days.filter(|days| !days.is_empty())
}

/// Holidays, and days whose hours differ in another way. An event that names no date repeats
/// every week, and the hours of its weekday say the same.
fn special_days(events: &Value) -> (Vec<Epoch>, Vec<Epoch>) {
    let (mut holidays, mut odd_days) = (Vec::new(), Vec::new());
    for event in events.as_array().into_iter().flatten() {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let date = NaiveDate::parse_from_str(text("dates").trim(), "%Y-%m-%d").ok();
        let Some(midnight) = date.and_then(|date| date.and_hms_opt(0, 0, 0)) else { continue };
        let told = text("descrip").to_lowercase();
        let is_partly = ["early", "late", "open"].iter().any(|word| told.contains(word));
        let days = if is_partly { &mut odd_days } else { &mut holidays };
        days.push(Epoch::new(midnight.and_utc().timestamp()));
    }
    (holidays, odd_days)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Friday 2026-03-06.
    const DAY: Epoch = Epoch::new(1_772_755_200);

    fn answer(symbols: &Value) -> String {
        json!({
            "echo_req": { "trading_times": "2026-03-06" },
            "msg_type": "trading_times",
            "trading_times": { "markets": [
                { "name": "Empty" },
                { "name": "None", "submarkets": [] },
                { "name": "Forex", "submarkets": [
                    { "name": "Nothing", "symbols": [] },
                    { "name": "Major Pairs", "symbols": symbols },
                ] },
            ] },
        })
        .to_string()
    }

    fn one(open: &Value, close: &Value) -> Option<Vec<String>> {
        let times = json!({ "open": open, "close": close, "settlement": "23:59:59" });
        let symbols = json!([{ "name": "x", "symbol": "frxEURUSD", "times": times }]);
        let days = trading_days(DAY, &answer(&symbols)).unwrap();
        let day = days.first()?;
        Some(day.sessions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn sessions_of_every_shape_are_read() {
        let check = |open: Value, close: Value, expected: &[&str]| {
            assert_eq!(one(&open, &close).unwrap(), expected, "{open} {close}");
        };
        check(json!(["00:00:00"]), json!(["23:59:59"]), &["00:00:00-24:00:00"]);
        check(json!(["--"]), json!(["--"]), &[]);
        check(json!("07:00:00"), json!("20:00"), &["07:00:00-20:00:00"]);
        let two = ["01:15:00-04:00:00", "05:00:00-08:30:00"];
        check(json!(["01:15:00", "05:00:00"]), json!(["04:00:00", "08:30:00"]), &two);
        let night = ["22:00:00-24:00:00", "00:00:00-05:00:00"];
        check(json!(["22:00:00"]), json!(["05:00:00"]), &night);
        check(json!(["22:00:00"]), json!(["00:00:00"]), &["22:00:00-24:00:00"]);
        check(json!(["--", "07:00:00"]), json!(["--", "20:00:00"]), &["07:00:00-20:00:00"]);
        check(json!(["00:00:00"]), json!(["24:00:00"]), &["00:00:00-24:00:00"]);
    }

    #[test]
    fn hours_that_make_no_sense_are_left_out() {
        for (open, close) in [
            (json!(["07:00:00"]), json!([])),
            (json!([]), json!([])),
            (json!(["07:00:00"]), json!(["--"])),
            (json!(["7 o'clock"]), json!(["20:00:00"])),
            (json!(["07:00:00"]), json!(["20:00:00", "21:00:00"])),
            (json!(["07:61:00"]), json!(["20:00:00"])),
            (json!([7]), json!([20])),
            (json!(null), json!(null)),
            (json!({}), json!([])),
        ] {
            assert_eq!(one(&open, &close), None, "{open} {close}");
        }
        let symbols = json!([
            { "name": "no symbol" },
            { "symbol": "../etc", "times": { "open": ["00:00:00"], "close": ["23:59:59"] } },
            { "symbol": "R_100" },
            { "underlying_symbol": "R_50", "times": { "open": ["--"], "close": ["--"] },
              "trading_days": "Mon", "events": "none" },
        ]);
        let days = trading_days(DAY, &answer(&symbols)).unwrap();
        assert_eq!(days.len(), 1);
        assert_eq!((days[0].symbol.as_str(), &days[0].weekdays), ("R_50", &None));
    }

    #[test]
    fn days_of_the_week_and_special_days_are_read() {
        let symbols = json!([{
            "name": "EUR/USD", "underlying_symbol": "frxEURUSD",
            "times": { "open": ["00:00:00"], "close": ["21:00:00"], "settlement": "21:00:00" },
            "trading_days": ["Sun", "Mon", "Fri"],
            "events": [
                { "dates": "Fridays", "descrip": "Closes early (at 20:55)" },
                { "dates": "2026-12-25", "descrip": "Christmas Day" },
                { "dates": "2026-12-24", "descrip": "Closes early (at 18:00)" },
                { "dates": 5 }, "nonsense",
            ],
        }]);
        let days = trading_days(DAY, &answer(&symbols)).unwrap();
        let day = &days[0];
        assert_eq!(day.day, DAY);
        let expected = [Weekday::Mon, Weekday::Fri, Weekday::Sun].into();
        assert_eq!(day.weekdays.as_ref(), Some(&expected));
        assert_eq!(
            day.holidays.iter().map(|d| date_of(*d).unwrap()).collect::<Vec<_>>(),
            ["2026-12-25"]
        );
        assert_eq!(
            day.odd_days.iter().map(|d| date_of(*d).unwrap()).collect::<Vec<_>>(),
            ["2026-12-24"]
        );
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        use crate::domain::ErrorKind;
        let kind = |text: &str| trading_days(DAY, text).unwrap_err().kind;
        assert_eq!(kind("{"), ErrorKind::Malformed);
        assert_eq!(kind(r#"{"msg_type":"trading_times"}"#), ErrorKind::Malformed);
        assert_eq!(kind(r#"{"trading_times":{"markets":5}}"#), ErrorKind::Malformed);
        let refused = r#"{"error":{"code":"UnrecognisedRequest","message":"no"}}"#;
        assert_eq!(kind(refused), ErrorKind::Rejected);
        assert_eq!(trading_days(DAY, &answer(&json!([]))).unwrap(), []);
        assert_eq!(trading_days(DAY, r#"{"trading_times":{"markets":[]}}"#).unwrap(), []);
    }
}
