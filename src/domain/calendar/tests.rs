use super::*;
use crate::domain::Month;

const HOUR: i64 = 3600;

/// Monday 2026-03-02.
const MONDAY: i64 = 1_772_409_600;

fn day(weekday: i64) -> Epoch {
    Epoch::new(MONDAY + weekday * SECS_PER_DAY)
}

fn told(weekday: i64, sessions: &[&str], weekdays: &[Weekday]) -> TradingDay {
    TradingDay {
        symbol: "frxEURUSD".parse().unwrap(),
        day: day(weekday),
        sessions: sessions.iter().map(|s| Session::try_from((*s).to_owned()).unwrap()).collect(),
        weekdays: (!weekdays.is_empty()).then(|| weekdays.iter().copied().collect()),
        holidays: Vec::new(),
        odd_days: Vec::new(),
    }
}

const NO_SATURDAY: [Weekday; 6] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sun];

/// Friday and Sunday are told; of Monday to Thursday only is known that they are trading days.
fn forex() -> TradingHours {
    let mut hours = TradingHours::default();
    hours.learn(&told(4, &["00:00:00-21:00:00"], &NO_SATURDAY));
    hours.learn(&told(6, &["21:00:00-24:00:00"], &NO_SATURDAY));
    hours
}

fn office() -> TradingHours {
    let mut hours = TradingHours::default();
    for weekday in 0..5 {
        let sessions = ["07:00:00-12:00:00", "13:00:00-20:00:00"];
        hours.learn(&told(weekday, &sessions, &NO_SATURDAY[..5]));
    }
    hours
}

/// From one weekday and hour to another, in minutes.
fn explains(hours: &TradingHours, from: (i64, i64), to: (i64, i64)) -> Option<bool> {
    let at = |(weekday, minutes): (i64, i64)| day(weekday).plus(minutes * 60);
    hours.explains(EpochRange::new(at(from), at(to)).unwrap())
}

#[test]
fn a_week_end_is_explained_in_summer_and_in_winter() {
    let hours = forex();
    for start in [20, 21, 22] {
        let (from, to) = ((4, start * 60 - 3), (6, start * 60 + 4));
        assert_eq!(explains(&hours, from, to), Some(true), "{start}");
    }
    // A market that opens hours late, or closes hours early, is not explained by its hours.
    assert_eq!(explains(&hours, (4, 21 * 60), (6, 23 * 60 + 30)), Some(false));
    assert_eq!(explains(&hours, (4, 18 * 60), (6, 21 * 60)), Some(false));
    // Of Monday nothing is known.
    assert_eq!(explains(&hours, (0, 60), (0, 180)), None);
    assert_eq!(explains(&hours, (5, 60), (5, 180)), Some(true));
    assert_eq!(explains(&hours, (4, 60), (4, 180)), Some(false));
}

#[test]
fn pauses_between_sessions_are_explained_and_minutes_before_their_end_are_not() {
    let hours = office();
    assert_eq!(explains(&hours, (1, 12 * 60), (1, 13 * 60)), Some(true));
    assert_eq!(explains(&hours, (1, 20 * 60 - 1), (2, 7 * 60 + 1)), Some(true));
    assert_eq!(explains(&hours, (1, 15 * 60), (1, 15 * 60 + 10)), Some(false));
    assert_eq!(explains(&hours, (1, 9 * 60), (1, 18 * 60)), Some(false));
}

#[test]
fn a_market_that_never_closes_explains_no_silence() {
    let mut hours = TradingHours::default();
    hours.learn(&told(4, &["00:00:00-24:00:00"], &Weekday::ALL));
    assert!(!hours.is_always_open(), "nothing was said of a week-end");
    hours.learn(&told(6, &["00:00:00-24:00:00"], &Weekday::ALL));
    assert!(hours.is_always_open() && !forex().is_always_open());
    assert_eq!(explains(&hours, (6, 60), (6, 300)), Some(false));
}

#[test]
fn a_holiday_says_nothing_of_its_weekday() {
    let mut hours = TradingHours::default();
    hours.learn(&told(4, &[], &NO_SATURDAY));
    assert_eq!(explains(&hours, (4, 60), (4, 300)), Some(true));
    assert_eq!(explains(&hours, (11, 60), (11, 300)), None, "a week later");
    // Holidays that are told ahead count, and hours that only differ are not guessed.
    let mut hours = office();
    let more = TradingDay {
        holidays: vec![day(8)],
        odd_days: vec![day(9)],
        ..told(7, &["07:00:00-20:00:00"], &NO_SATURDAY[..5])
    };
    hours.learn(&more);
    assert_eq!(explains(&hours, (8, 9 * 60), (8, 11 * 60)), Some(true));
    assert_eq!(explains(&hours, (9, 9 * 60), (9, 11 * 60)), None);
    assert_eq!(explains(&hours, (10, 9 * 60), (10, 11 * 60)), Some(false));
    // Only those of a month matter to it.
    let march: Month = "2026-03".parse().unwrap();
    let april: Month = "2026-04".parse().unwrap();
    assert_eq!(hours.within(march.range()), hours);
    assert!(hours.within(april.range()).holidays.is_empty());
}

#[test]
fn a_weekday_that_opens_again_is_unknown_until_its_hours_are_told() {
    let mut hours = forex();
    assert_eq!(explains(&hours, (5, 60), (5, 180)), Some(true));
    hours.learn(&told(6, &["21:00:00-24:00:00"], &Weekday::ALL));
    assert_eq!(explains(&hours, (5, 60), (5, 180)), None);
}

#[test]
fn sessions_are_read_and_written_and_touching_ones_are_one() {
    for text in ["00:00:00-24:00:00", "07:00:00-20:00:00", "23:59:59-24:00:00"] {
        assert_eq!(Session::try_from(text.to_owned()).unwrap().to_string(), text);
    }
    for text in ["20:00:00-07:00:00", "07:00", "", "--", "25:00:00-26:00:00", "+1:00-02:00"] {
        assert!(Session::try_from(text.to_owned()).is_err(), "{text}");
    }
    let mut hours = TradingHours::default();
    hours.learn(&told(0, &["12:00:00-24:00:00", "00:00:00-12:00:00"], &[]));
    assert_eq!(hours.week[&Weekday::Mon], [Session::ALL_DAY]);
    let json = serde_json::to_string(&forex()).unwrap();
    let expected = r#"{"week":{"fri":["00:00:00-21:00:00"],"sat":[],"sun":["21:00:00-24:00:00"]}}"#;
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<TradingHours>(&json).unwrap(), forex());
}

#[test]
fn weeks_begin_on_monday() {
    assert_eq!(Weekday::of(day(0)), Weekday::Mon);
    assert_eq!(Weekday::of(day(0).plus(-1)), Weekday::Sun);
    assert_eq!(Weekday::of(day(0).plus(24 * HOUR)), Weekday::Tue);
}
