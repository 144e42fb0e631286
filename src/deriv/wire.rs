//! The API's JSON, shape for shape. What it *means* is undone in `convert`.
//!
//! Requests are the strict form of the schemas, answers are read as leniently as anyone reported
//! them: any key order, unknown keys, numbers as strings, missing `echo_req`.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::skim;

/// Asks for a page of history. Never `subscribe`: a closed market would become an error; never
/// `adjust_start_time`: it moves the window.
#[derive(Debug, Serialize)]
pub(super) struct HistoryRequest<'a> {
    pub(super) ticks_history: &'a str,
    /// First second wanted.
    pub(super) start: i64,
    /// Last second wanted, as text: the schema allows nothing else.
    pub(super) end: String,
    pub(super) count: u32,
    pub(super) style: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) granularity: Option<u32>,
    pub(super) req_id: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct TimeRequest {
    pub(super) time: u8,
    pub(super) req_id: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct PingRequest {
    pub(super) ping: u8,
    pub(super) req_id: u64,
}

/// Asks what is offered; without `product_type`, which v1 refuses.
#[derive(Debug, Serialize)]
pub(super) struct SymbolsRequest {
    pub(super) active_symbols: &'static str,
    pub(super) req_id: u64,
}

#[derive(Serialize)]
pub(super) struct AuthorizeRequest<'a> {
    pub(super) authorize: &'a str,
    pub(super) req_id: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct TicksRequest<'a> {
    pub(super) ticks: &'a str,
    pub(super) subscribe: u8,
    pub(super) req_id: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ForgetRequest<'a> {
    pub(super) forget: &'a str,
    pub(super) req_id: u64,
}

/// What decides whose answer a message is; everything else is skipped unread.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope {
    #[serde(default)]
    pub(super) req_id: Id,
    #[serde(default)]
    pub(super) msg_type: Text,
    pub(super) error: Option<IgnoredAny>,
    pub(super) subscription: Option<SubscriptionId>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SubscriptionId {
    #[serde(default)]
    pub(super) id: Text,
}

/// An answer of which only success or failure matters.
#[derive(Debug, Deserialize)]
pub(super) struct PlainAnswer {
    pub(super) error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    pub(super) code: Text,
    #[serde(default)]
    pub(super) message: Text,
}

#[derive(Debug, Deserialize)]
pub(super) struct HistoryAnswer {
    pub(super) history: Option<History>,
    pub(super) pip_size: Option<Number>,
    pub(super) echo_req: Option<Echo>,
    pub(super) error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct History {
    pub(super) prices: Vec<Number>,
    pub(super) times: Vec<Seconds>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CandlesAnswer {
    pub(super) candles: Option<Vec<CandleRow>>,
    pub(super) pip_size: Option<Number>,
    pub(super) echo_req: Option<Echo>,
    pub(super) error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CandleRow {
    pub(super) epoch: Seconds,
    pub(super) open: Number,
    pub(super) high: Number,
    pub(super) low: Number,
    pub(super) close: Number,
}

/// The request as the server understood it; each field may be missing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Echo {
    pub(super) ticks_history: Option<Text>,
    pub(super) start: Option<Text>,
    pub(super) end: Option<Text>,
    pub(super) style: Option<Text>,
    pub(super) granularity: Option<Text>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TimeAnswer {
    pub(super) time: Option<Seconds>,
    pub(super) error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SymbolsAnswer {
    pub(super) active_symbols: Option<Vec<SymbolRow>>,
    pub(super) error: Option<ApiError>,
}

/// One symbol, under the names of v1 or of legacy.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SymbolRow {
    pub(super) underlying_symbol: Text,
    pub(super) symbol: Text,
    pub(super) underlying_symbol_name: Text,
    pub(super) display_name: Text,
    pub(super) market: Text,
    pub(super) submarket: Text,
    /// v1: the smallest step, not a number of decimals.
    pub(super) pip_size: Option<Number>,
    /// Legacy: the smallest step.
    pub(super) pip: Option<Number>,
    pub(super) exchange_is_open: Option<Number>,
    pub(super) is_trading_suspended: Option<Number>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TickAnswer {
    pub(super) tick: Option<TickRow>,
    pub(super) error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TickRow {
    pub(super) epoch: Seconds,
    pub(super) quote: Number,
    pub(super) symbol: Option<Text>,
}

/// A number, or its digits as text. Whatever else stands in its place reads as NaN, so that the
/// place can be named instead of the whole page being unreadable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor).map(Self)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or its digits")
    }

    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    #[allow(clippy::cast_precision_loss)] // prices and flags are far below 2^53
    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_bool<E>(self, value: bool) -> Result<f64, E> {
        Ok(if value { 1.0 } else { 0.0 })
    }

    fn visit_unit<E>(self) -> Result<f64, E> {
        Ok(f64::NAN)
    }

    /// Rust reads `inf` and `nan` as numbers, the API never means them.
    fn visit_str<E>(self, text: &str) -> Result<f64, E> {
        let decimal = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
        Ok(if decimal { text.parse().unwrap_or(f64::NAN) } else { f64::NAN })
    }
}

/// Whole seconds since 1970, between 0 and [`Seconds::MAX`]: as a number, or its digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) i64);

impl Seconds {
    /// Ten digits, the year 2286. Source: `ticks_history` request schema, `start.maximum`.
    pub(super) const MAX: i64 = 9_999_999_999;
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor).map(Self)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whole seconds since 1970")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i64, E> {
        match i64::try_from(value) {
            Ok(secs) if secs <= Seconds::MAX => Ok(secs),
            _ => Err(E::custom("seconds beyond the year 2286")),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<i64, E> {
        match u64::try_from(value) {
            Ok(secs) => self.visit_u64(secs),
            Err(_) => Err(E::custom("seconds before 1970")),
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // checked just before
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<i64, E> {
        if value.fract() == 0.0 && (0.0..=Seconds::MAX as f64).contains(&value) {
            Ok(value as i64)
        } else {
            Err(E::custom("seconds that are not whole"))
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
        let secs = text.parse::<u64>().map_err(|_| E::custom("seconds that are not a number"))?;
        self.visit_u64(secs)
    }
}

/// A request's number as an answer repeats it; `None` if there is nothing usable in its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Id(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        Ok(Self(text.parse().ok()))
    }
}

/// Text, or a number as its digits; anything else reads as no text at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, or `None` where there is none.
    pub(super) fn non_empty(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_bool<E>(self, _: bool) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<String, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<String, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }
}

/// Writes a request; fails only if a map key were no string, which no request has.
pub(super) fn text_of<T: Serialize>(request: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(request)
}

/// Reads what decides whose answer a message is.
pub(super) fn peek(text: &str) -> Result<Envelope, serde_json::Error> {
    let envelope = skim::envelope(text).map_or_else(|| read_envelope(text), Ok)?;
    if envelope.req_id.0.is_none()
        && envelope.msg_type.0.is_empty()
        && envelope.error.is_none()
        && envelope.subscription.is_none()
    {
        return Err(serde_json::Error::custom("neither `req_id` nor `msg_type` nor `error`"));
    }
    Ok(envelope)
}

/// Reads the envelope by reading all of the message.
pub(super) fn read_envelope(text: &str) -> Result<Envelope, serde_json::Error> {
    serde_json::from_str(text)
}

/// Reads a page of ticks by reading all of the message.
pub(super) fn read_history(text: &str) -> Result<HistoryAnswer, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(json: &str) -> f64 {
        serde_json::from_str::<Number>(json).map_or(f64::INFINITY, |number| number.0)
    }

    #[test]
    fn reads_numbers_however_they_are_written() {
        assert_eq!(number("252.662"), 252.662);
        assert_eq!(number("616"), 616.0);
        assert_eq!(number("\"271.8080\""), 271.808);
        assert_eq!(number("-3"), -3.0);
        for odd in ["null", "\"\"", "\"NaN\"", "\"inf\"", "\"Infinity\"", "\"1e5\"", "\"0x1\""] {
            assert!(number(odd).is_nan(), "{odd}");
        }
        for unreadable in ["NaN", "Infinity", "[]", "{}", "1e999"] {
            assert_eq!(number(unreadable), f64::INFINITY, "{unreadable}");
        }
    }

    /// Prices have at most 15 digits; each must become the double nearest to its digits.
    #[test]
    fn digits_become_the_nearest_double() {
        for step in 0..100_000_u64 {
            let digits = format!("{}.{:05}", 100 + step % 977, (step * 7919) % 100_000);
            let expected: f64 = digits.parse().unwrap();
            assert_eq!(number(&digits).to_bits(), expected.to_bits(), "{digits}");
        }
    }

    #[test]
    fn reads_whole_seconds_only() {
        let check = |json: &str, expected: Option<i64>| {
            assert_eq!(serde_json::from_str::<Seconds>(json).ok().map(|s| s.0), expected, "{json}");
        };
        check("1524809066", Some(1_524_809_066));
        check("1524809066.0", Some(1_524_809_066));
        check("\"1524809066\"", Some(1_524_809_066));
        check("1524809066.5", None);
        check("-1", None);
        check("99999999999", None);
        check("18446744073709551615", None);
        check("null", None);
        check("true", None);
    }

    #[test]
    fn peeks_at_any_shape_without_panicking() {
        let id = |text: &str| peek(text).ok().map(|envelope| envelope.req_id.0);
        assert_eq!(id(r#"{"req_id":7,"history":{"prices":[1,2]}}"#), Some(Some(7)));
        assert_eq!(id(r#"{"echo_req":{"req_id":1},"req_id":"7"}"#), Some(Some(7)));
        assert_eq!(id(r#"{"req_id":{},"msg_type":"tick"}"#), Some(None));
        assert_eq!(id(r#"{"req_id":-1,"msg_type":"tick"}"#), Some(None));
        assert_eq!(id("{}"), None);
        assert_eq!(id("[]"), None);
        assert_eq!(id(r#"{"req_id":7"#), None);
        assert_eq!(id(&"[".repeat(1_000_000)), None);
        assert_eq!(id(&format!("{{\"a\":{}", "{\"a\":".repeat(1_000_000))), None);
    }

    #[test]
    fn requests_have_exactly_the_fields_of_the_schema() {
        let request = HistoryRequest {
            ticks_history: "R_100",
            start: 1_786_147_200,
            end: "1786148199".to_owned(),
            count: 1000,
            style: "ticks",
            granularity: None,
            req_id: 3,
        };
        assert_eq!(
            text_of(&request).unwrap(),
            r#"{"ticks_history":"R_100","start":1786147200,"end":"1786148199","count":1000,"style":"ticks","req_id":3}"#
        );
        assert_eq!(
            text_of(&SymbolsRequest { active_symbols: "brief", req_id: 1 }).unwrap(),
            r#"{"active_symbols":"brief","req_id":1}"#
        );
    }
}
