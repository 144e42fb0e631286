use super::*;

fn subject_of(symbol: &str, market: &str) -> Subject {
    let listed = |symbol: &str, market: &str| Listed {
        symbol: symbol.to_owned(),
        market: market.to_owned(),
        step: Some(0.01),
        is_open: true,
    };
    subject(symbol.to_owned(), &[listed(symbol, market), listed("frxUSDJPY", "forex")])
}

#[test]
fn the_closed_hour_is_the_noon_of_a_saturday() {
    let check = |now: &str, expected: &str| {
        let now: chrono::DateTime<chrono::Utc> = now.parse().unwrap();
        let noon = crate::domain::Epoch::new(last_saturday_noon(now.timestamp()));
        assert_eq!(noon.to_string(), expected);
    };
    check("2026-03-15T12:00:00Z", "2026-03-14T12:00:00Z");
    check("2026-03-14T13:59:59Z", "2026-03-07T12:00:00Z");
    check("2026-03-14T14:00:00Z", "2026-03-14T12:00:00Z");
    check("2026-03-13T00:00:00Z", "2026-03-07T12:00:00Z");
}

#[test]
fn sessions_are_asked_on_wednesdays() {
    let (always, sessions) =
        (subject_of("R_100", "synthetic_index"), subject_of("frxEURUSD", "forex"));
    let basket = subject_of("WLDAUD", "synthetic_index");
    let check = |at: &str, expected: &str| {
        let at = at.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp();
        assert_eq!(always.trading_second(at), at);
        for subject in [&sessions, &basket] {
            let found = crate::domain::Epoch::new(subject.trading_second(at));
            assert_eq!(found.to_string(), expected);
        }
    };
    check("2026-03-14T10:00:00Z", "2026-03-11T12:00:00Z");
    check("2026-03-15T10:00:00Z", "2026-03-18T12:00:00Z");
    check("2026-03-11T00:00:00Z", "2026-03-11T12:00:00Z");
    check("2026-03-09T23:00:00Z", "2026-03-11T12:00:00Z");
    assert_eq!(sessions.session_symbol.as_deref(), Some("frxEURUSD"));
    assert_eq!(always.session_symbol.as_deref(), Some("frxUSDJPY"));
    assert_eq!(subject("X".into(), &[]).session_symbol.as_deref(), Some("frxEURUSD"));
}
