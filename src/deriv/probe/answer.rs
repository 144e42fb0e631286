//! JSON as it came, read without any correction: lengths may differ, rows may be in any order.

use std::time::Duration;

use serde_json::Value;

use super::super::error::printable;

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) n_bytes: usize,
    pub(super) took: Duration,
}

/// A refusal in band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", printable(&self.code), printable(&self.message))
    }
}

/// Epochs and prices of a page of ticks, in the order they came; the lengths may differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ticks {
    pub(super) epochs: Vec<i64>,
    /// Each in its shortest decimal form.
    pub(super) prices: Vec<String>,
}

/// One candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) epoch: i64,
    /// Open, high, low, close, each in its shortest decimal form.
    pub(super) prices: [String; 4],
}

/// Why an answer tells nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRows {
    Refused(Refusal),
    /// What is wrong with it, in words.
    Odd(String),
}

impl std::fmt::Display for NoRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "refused with {refusal}"),
            Self::Odd(why) => f.write_str(why),
        }
    }
}

impl Answer {
    /// The refusal, if it is one.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let error = self.value.get("error").filter(|error| !error.is_null())?;
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(Refusal { code: text("code").to_owned(), message: text("message").to_owned() })
    }

    /// The member that a good answer has.
    pub(super) fn member(&self, name: &str) -> Result<&Value, NoRows> {
        if let Some(refusal) = self.refusal() {
            return Err(NoRows::Refused(refusal));
        }
        let missing = || NoRows::Odd(format!("answered without `{name}`"));
        self.value.get(name).filter(|member| !member.is_null()).ok_or_else(missing)
    }

    /// The ticks of a page.
    pub(super) fn ticks(&self) -> Result<Ticks, NoRows> {
        let history = self.member("history")?;
        let list = |name: &str| {
            let odd = || NoRows::Odd(format!("`history.{name}` is no list"));
            history.get(name).and_then(Value::as_array).ok_or_else(odd)
        };
        Ok(Ticks {
            epochs: list("times")?.iter().map(epoch).collect::<Result<_, _>>()?,
            prices: list("prices")?.iter().map(price).collect::<Result<_, _>>()?,
        })
    }

    /// The candles of a page.
    pub(super) fn candles(&self) -> Result<Vec<Bar>, NoRows> {
        let rows = self.member("candles")?.as_array();
        let rows = rows.ok_or_else(|| NoRows::Odd("`candles` is no list".to_owned()))?;
        rows.iter().map(bar).collect()
    }

    /// The epochs of a page of either style, in the order they came.
    pub(super) fn epochs(&self) -> Result<Vec<i64>, NoRows> {
        if self.value.get("candles").is_some() {
            let bars = self.candles()?;
            return Ok(bars.iter().map(|bar| bar.epoch).collect());
        }
        self.ticks().map(|ticks| ticks.epochs)
    }

    /// `pip_size` beside the rows.
    pub(super) fn pip_size(&self) -> Option<f64> {
        self.value.get("pip_size").and_then(number)
    }
}

/// A number, or its digits as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

fn epoch(value: &Value) -> Result<i64, NoRows> {
    let whole = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let whole = whole.or_else(|| value.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64));
    whole.ok_or_else(|| NoRows::Odd(format!("an epoch is {}", shown(value))))
}

fn price(value: &Value) -> Result<String, NoRows> {
    match number(value) {
        // The shortest digits that read back the same, so the number of decimals can be counted.
        Some(price) => Ok(price.to_string()),
        None => Err(NoRows::Odd(format!("a price is {}", shown(value)))),
    }
}

fn bar(row: &Value) -> Result<Bar, NoRows> {
    let of = |name: &str| price(row.get(name).unwrap_or(&Value::Null));
    Ok(Bar {
        epoch: epoch(row.get("epoch").unwrap_or(&Value::Null))?,
        prices: [of("open")?, of("high")?, of("low")?, of("close")?],
    })
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(40).collect();
    format!("`{}`", printable(&short))
}

#[cfg(test)]
pub(super) fn of(value: Value) -> Answer {
    Answer { n_bytes: value.to_string().len(), value, took: Duration::from_millis(20) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_read_as_they_are() {
        let answer =
            of(json!({"history": {"prices": [252.662, "616.10"], "times": [7, "5", 9.0]}}));
        let ticks = answer.ticks().unwrap();
        assert_eq!(
            (ticks.epochs, ticks.prices),
            (vec![7, 5, 9], vec!["252.662".into(), "616.1".into()])
        );
        let odd = |value: Value| of(value).ticks().unwrap_err().to_string();
        assert_eq!(odd(json!({"history": {"prices": [null], "times": [1]}})), "a price is `null`");
        assert_eq!(odd(json!({"history": {"prices": [], "times": [1.5]}})), "an epoch is `1.5`");
        assert_eq!(odd(json!({"history": {"prices": []}})), "`history.times` is no list");
        assert_eq!(odd(json!({"time": 1})), "answered without `history`");
        assert_eq!(
            odd(json!({"error": {"code": "X\u{1b}", "message": "no"}})),
            "refused with `X\\u{1b}`: no"
        );
    }
}
