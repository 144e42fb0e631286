//! An answer cut short and made harmless: what a report needs to show how the API answers.

use serde_json::{Map, Value};

use super::super::error::printable;

/// Items of a list that are kept: the first two and the last.
const KEPT_ITEMS: usize = 3;
/// Members of an object that are kept.
const KEPT_MEMBERS: usize = 40;
/// Deeper values are left out.
const MAX_DEPTH: u32 = 8;

/// The shape of an answer: long lists, texts and objects are cut, and say so.
pub(super) fn shape(value: &Value) -> Value {
    shaped(value, 0)
}

fn shaped(value: &Value, depth: u32) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth == MAX_DEPTH => Value::from("…"),
        Value::Array(items) if items.len() > KEPT_ITEMS => {
            let mut kept: Vec<_> = items[..2].iter().map(|item| shaped(item, depth + 1)).collect();
            kept.push(Value::from(format!("… {} more …", items.len() - KEPT_ITEMS)));
            kept.extend(items.last().map(|item| shaped(item, depth + 1)));
            Value::from(kept)
        }
        Value::Array(items) => items.iter().map(|item| shaped(item, depth + 1)).collect(),
        Value::Object(members) => Value::Object(object(members, depth)),
        Value::String(text) => Value::from(printable(text)),
        plain => plain.clone(),
    }
}

fn object(members: &Map<String, Value>, depth: u32) -> Map<String, Value> {
    let kept = members.iter().take(KEPT_MEMBERS);
    let mut out: Map<_, _> =
        kept.map(|(name, value)| (printable(name), shaped(value, depth + 1))).collect();
    if let Some(n_more) = members.len().checked_sub(KEPT_MEMBERS).filter(|n| *n > 0) {
        out.insert("…".to_owned(), Value::from(format!("{n_more} more")));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_and_hostile_answers_become_short_and_harmless() {
        let answer = json!({"history": {"times": [1, 2, 3, 4, 5], "prices": [1, 2, 3]},
                            "\u{1b}[2J": "a\u{202e}b"});
        assert_eq!(
            shape(&answer),
            json!({"history": {"times": [1, 2, "… 2 more …", 5], "prices": [1, 2, 3]},
                   "\\u{1b}[2J": "a\\u{202e}b"})
        );
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(shape(&deep).to_string().len() < 40);
        let wide: Map<_, _> = (0..1000).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(shape(&Value::Object(wide)).as_object().unwrap().len(), KEPT_MEMBERS + 1);
    }
}
