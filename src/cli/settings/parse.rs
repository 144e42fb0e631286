//! Reads single values; each error says what was given, what is wrong and what to write.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveTime};

use crate::domain::{Epoch, Symbol};

use super::super::terminal::escaped;

/// A value cannot be used, without the option it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadValue {
    /// What is wrong, to be read after the name of the option.
    pub(super) problem: String,
    /// What to do instead.
    pub(super) hint: String,
}

impl BadValue {
    /// Puts both together.
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}

/// Longest piece of a bad value that is shown.
const SHOWN_CHARS: usize = 60;

/// A value as it is shown in a message: in backticks, short, harmless.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{}`", escaped(&shown))
}

/// A whole number inside `allowed`.
pub(super) fn number<T>(text: &str, allowed: RangeInclusive<T>) -> Result<T, BadValue>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let trimmed = text.trim();
    let hint = || format!("write a number from {} to {}", allowed.start(), allowed.end());
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number {
        return Err(BadValue::new(format!("{} is not a whole number", quoted(text)), hint()));
    }
    match trimmed.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => Err(BadValue::new(format!("{} is out of bounds", quoted(text)), hint())),
    }
}

/// A duration like `30s`, `5m` or `1h30m`, at least `least`, at most ten years.
pub(super) fn duration(text: &str, least: Duration) -> Result<Duration, BadValue> {
    const MOST: Duration = Duration::from_secs(3_653 * 86_400);
    const HINT: &str = "write a duration like `30s`, `5m` or `1h30m`";
    let duration = humantime::parse_duration(text.trim())
        .map_err(|_| BadValue::new(format!("{} is not a duration", quoted(text)), HINT))?;
    if duration < least || duration > MOST {
        let bound = if duration < least { "short" } else { "long" };
        let hint =
            format!("write a duration from {} to {}", humantime::format_duration(least), "10years");
        return Err(BadValue::new(format!("{} is too {bound}", quoted(text)), hint));
    }
    Ok(duration)
}

/// The first second of a UTC day written `YYYY-MM-DD`, from 2000 to 2199.
pub(super) fn day(text: &str) -> Result<Epoch, BadValue> {
    const HINT: &str = "write a date like `2024-03-01`";
    let trimmed = text.trim();
    let shape = || BadValue::new(format!("{} is not a date", quoted(text)), HINT);
    let parts: Vec<&str> = trimmed.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { return Err(shape()) };
    let digits = |part: &str, n| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    if !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
        return Err(shape());
    }
    let number = |part: &str| part.parse::<u32>().map_err(|_| shape());
    let (year, month_number, day_number) = (number(year)?, number(month)?, number(day)?);
    let bad = |what: String| BadValue::new(format!("{} {what}", quoted(trimmed)), HINT);
    if !(1..=12).contains(&month_number) {
        return Err(bad(format!("has no month {month_number}")));
    }
    if year < 2000 {
        return Err(bad("is before the year 2000, and the source has no history from then".into()));
    }
    if year > 2199 {
        return Err(bad(format!("is in the year {year}, long after now")));
    }
    let date = NaiveDate::from_ymd_opt(year.cast_signed(), month_number, day_number)
        .ok_or_else(|| bad(format!("does not exist: that month has no day {day_number}")))?;
    debug_assert_eq!(date.month(), month_number);
    Ok(Epoch::new(date.and_time(NaiveTime::MIN).and_utc().timestamp()))
}

/// An epoch in seconds, or the first second of a day.
pub(super) fn epoch_or_day(text: &str) -> Result<Epoch, BadValue> {
    let trimmed = text.trim();
    // 9999-12-31T23:59:59Z: later seconds are milliseconds by mistake.
    const LAST: i64 = 253_402_300_799;
    match trimmed.parse::<i64>() {
        Ok(secs) if (0..=LAST).contains(&secs) => Ok(Epoch::new(secs)),
        Ok(_) => Err(BadValue::new(
            format!("{} is out of bounds", quoted(text)),
            "write an epoch in whole seconds, or a date like `2024-03-01`",
        )),
        Err(_) => day(trimmed).map_err(|bad| BadValue {
            hint: "write an epoch in whole seconds, or a date like `2024-03-01`".into(),
            ..bad
        }),
    }
}

/// The name of a symbol.
pub(super) fn symbol(text: &str) -> Result<Symbol, BadValue> {
    text.parse().map_err(|_| {
        BadValue::new(
            format!("{} is not a symbol", quoted(text)),
            "a symbol is 2 to 30 letters, digits or underscores, like `R_100`",
        )
    })
}

/// The word that was probably meant, if any is near enough.
pub(in super::super) fn nearest<'a>(
    text: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// `tick` and `zst` are nearer than this to what they mean, `trades` is not to `candles`.
    const NEAR: f64 = 0.8;
    let text = text.trim().to_lowercase();
    let rated = words.into_iter().map(|word| (strsim::jaro(&text, word), word));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness > NEAR).map(|(_, word)| word)
}

/// One of a few words.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, BadValue> {
    let trimmed = text.trim();
    choices.iter().find(|(word, _)| *word == trimmed).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        let meant = nearest(trimmed, choices.iter().map(|(word, _)| *word));
        let meant = meant.map_or_else(String::new, |word| format!("did you mean `{word}`? "));
        let hint = format!("{meant}choose {}", words.join(" or "));
        BadValue::new(format!("{} is not known", quoted(text)), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem<T: std::fmt::Debug>(result: Result<T, BadValue>) -> String {
        let bad = result.expect_err("bad");
        format!("{}; {}", bad.problem, bad.hint)
    }

    #[test]
    fn reads_days() {
        let check = |text, expected: &str| assert_eq!(day(text).unwrap().to_string(), expected);
        check("2024-03-01", "2024-03-01T00:00:00Z");
        check("2024-02-29", "2024-02-29T00:00:00Z");
        check(" 2000-01-01 ", "2000-01-01T00:00:00Z");
    }

    #[test]
    fn says_what_is_wrong_with_a_day() {
        let check = |text, expected: &str| {
            assert_eq!(problem(day(text)), format!("{expected}; write a date like `2024-03-01`"));
        };
        check("2024-13-01", "`2024-13-01` has no month 13");
        check("2024-00-01", "`2024-00-01` has no month 0");
        check("2023-02-29", "`2023-02-29` does not exist: that month has no day 29");
        check("2024-3-1", "`2024-3-1` is not a date");
        check("yesterday", "`yesterday` is not a date");
        check("", "`` is not a date");
        check("+024-03-01", "`+024-03-01` is not a date");
        check("9999-01-01", "`9999-01-01` is in the year 9999, long after now");
        check(
            "1900-01-01",
            "`1900-01-01` is before the year 2000, and the source has no history from then",
        );
    }

    #[test]
    fn reads_numbers_inside_bounds() {
        assert_eq!(number("4", 1..=64), Ok(4));
        assert_eq!(
            problem(number("0", 1..=64)),
            "`0` is out of bounds; write a number from 1 to 64"
        );
        assert_eq!(
            problem(number::<u32>("-1", 1..=64)),
            "`-1` is out of bounds; write a number from 1 to 64"
        );
        assert_eq!(
            problem(number::<u32>("4x", 1..=64)),
            "`4x` is not a whole number; write a number from 1 to 64"
        );
        assert!(number::<u32>("99999999999999999999", 1..=64).is_err());
        assert!(number::<u32>("", 1..=64).is_err());
    }

    #[test]
    fn reads_durations_with_a_unit() {
        let second = Duration::from_secs(1);
        assert_eq!(duration("1h30m", second), Ok(Duration::from_secs(5_400)));
        let check = |text, expected: &str| assert_eq!(problem(duration(text, second)), expected);
        check("30", "`30` is not a duration; write a duration like `30s`, `5m` or `1h30m`");
        check("0s", "`0s` is too short; write a duration from 1s to 10years");
        check("99years", "`99years` is too long; write a duration from 1s to 10years");
        check("-5s", "`-5s` is not a duration; write a duration like `30s`, `5m` or `1h30m`");
    }

    #[test]
    fn reads_epochs_or_days() {
        assert_eq!(epoch_or_day("1772884805"), Ok(Epoch::new(1_772_884_805)));
        assert_eq!(epoch_or_day("1970-01-02").ok(), None);
        assert!(epoch_or_day("1772884805000").is_err());
        assert!(epoch_or_day("-5").is_err());
    }

    #[test]
    fn a_bad_value_cannot_steer_the_terminal_nor_fill_it() {
        assert_eq!(quoted("\u{1b}[2J"), "`\\u{1b}[2J`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 63);
    }
}
