//! What is asked, in the strict form of the schemas unless the point is to break it.

use serde_json::{Map, Value, json};

/// Seconds of the candles that are asked for.
pub(super) const WIDTH: i64 = 60;

/// A window of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) symbol: String,
    /// First second, inclusive if the API is as assumed.
    pub(super) start: i64,
    /// Last second, inclusive if the API is as assumed.
    pub(super) end: i64,
    pub(super) count: u32,
    /// Seconds of a candle; `None` asks for ticks.
    pub(super) width: Option<i64>,
}

impl Window {
    /// Tells whether an epoch lies inside, ends included.
    pub(super) fn contains(&self, epoch: i64) -> bool {
        (self.start..=self.end).contains(&epoch)
    }
}

/// One request, without its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Ping,
    Time,
    Symbols,
    TradingTimes,
    History(Window),
}

impl Question {
    /// `msg_type` of a good answer.
    pub(super) fn expects(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Time => "time",
            Self::Symbols => "active_symbols",
            Self::TradingTimes => "trading_times",
            Self::History(Window { width: Some(_), .. }) => "candles",
            Self::History(_) => "history",
        }
    }

    /// The request as JSON, with its number.
    pub(super) fn json(&self, req_id: u64) -> Value {
        let mut request = match self {
            Self::Ping => json!({ "ping": 1 }),
            Self::Time => json!({ "time": 1 }),
            Self::Symbols => json!({ "active_symbols": "brief" }),
            Self::TradingTimes => json!({ "trading_times": "today" }),
            Self::History(window) => Value::Object(history(window)),
        };
        request["req_id"] = req_id.into();
        request
    }
}

fn history(window: &Window) -> Map<String, Value> {
    let mut request = Map::new();
    let mut put = |name: &str, value: Value| request.insert(name.to_owned(), value);
    put("ticks_history", window.symbol.as_str().into());
    put("start", window.start.into());
    put("end", window.end.to_string().into());
    put("count", window.count.into());
    put("style", if window.width.is_some() { "candles" } else { "ticks" }.into());
    if let Some(width) = window.width {
        put("granularity", width.into());
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_schema() {
        let window =
            Window { symbol: "R_100".into(), start: 60, end: 119, count: 7, width: Some(60) };
        assert_eq!(
            Question::History(window).json(3),
            json!({"ticks_history": "R_100", "start": 60, "end": "119", "count": 7,
                   "style": "candles", "granularity": 60, "req_id": 3})
        );
        assert_eq!(Question::Symbols.json(1), json!({"active_symbols": "brief", "req_id": 1}));
    }
}
