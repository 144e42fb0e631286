//! Every quirk, undone.

use super::*;
use crate::domain::EpochRange;

fn request(kind: Kind, start: i64, end: i64) -> PageRequest {
    PageRequest {
        series: Series { symbol: "R_50".parse().unwrap(), kind },
        range: EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap(),
        limit: 5,
    }
}

fn ticks(text: &str) -> Result<Page<Tick>, SourceError> {
    tick_page(&request(Kind::Ticks, 100, 200), text)
}

fn candles(text: &str) -> Result<Page<Candle>, SourceError> {
    candle_page(&request(Kind::Candles(Granularity::MINUTE), 120, 360), text)
}

fn history(times: &str, prices: &str) -> String {
    format!(r#"{{"history":{{"times":[{times}],"prices":[{prices}]}},"pip_size":2}}"#)
}

fn check_malformed(text: &str, expected: &str) {
    let error = ticks(text).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed, "{text}");
    let cause = error.cause.as_ref().map_or(String::new(), ToString::to_string);
    let told = format!("{}; {cause}", error.message);
    assert!(told.contains(expected), "{text}: {told}");
}

#[test]
fn half_open_becomes_inclusive() {
    let asked = request(Kind::Ticks, 100, 200);
    let asked = history_request(&asked, 1).unwrap();
    assert_eq!((asked.start, asked.end.as_str(), asked.granularity), (100, "199", None));
    let asked = request(Kind::Candles(Granularity::MINUTE), 120, 360);
    let asked = history_request(&asked, 1).unwrap();
    assert_eq!((asked.start, asked.end.as_str(), asked.granularity), (120, "359", Some(60)));
    assert_eq!(asked.style, "candles");
}

#[test]
fn one_second_is_asked_as_two_and_answered_as_one() {
    let one = request(Kind::Ticks, 100, 101);
    let asked = history_request(&one, 1).unwrap();
    assert_eq!((asked.start, asked.end.as_str()), (100, "101"));
    let page = tick_page(&one, &history("100,101", "1.5,1.6")).unwrap();
    assert_eq!(page.records, [Tick { epoch: Epoch::new(100), quote: 1.5 }]);
    // Other data than was asked for must still be noticed.
    let page = tick_page(&one, &history("900,901", "1.5,1.6")).unwrap();
    assert!(!page.fits(one.range));
}

#[test]
fn never_asks_what_could_only_be_refused() {
    let kind = |request: &PageRequest| history_request(request, 1).unwrap_err().kind;
    assert_eq!(kind(&request(Kind::Candles(Granularity::MINUTE), 121, 360)), ErrorKind::Rejected);
    assert_eq!(kind(&request(Kind::Candles(Granularity::MINUTE), 120, 361)), ErrorKind::Rejected);
    assert_eq!(kind(&request(Kind::Ticks, -1, 360)), ErrorKind::Rejected);
    let none = PageRequest { limit: 0, ..request(Kind::Ticks, 100, 200) };
    assert_eq!(kind(&none), ErrorKind::Rejected);
}

#[test]
fn reads_ticks_with_trailing_zeros_dropped_and_prices_as_text() {
    let page = ticks(&history("100,102,104", r#"616.4,"616.50",617"#)).unwrap();
    let quotes: Vec<_> = page.records.iter().map(|tick| tick.quote).collect();
    assert_eq!(quotes, [616.4, 616.5, 617.0]);
    assert_eq!((page.n_received, page.pip_size, page.n_duplicates), (3, Some(2), 0));
}

#[test]
fn a_closed_market_is_an_empty_page() {
    assert_eq!(ticks(&history("", "")).unwrap().records, []);
    assert_eq!(candles(r#"{"candles":[],"msg_type":"candles"}"#).unwrap().records, []);
}

#[test]
fn doubled_rows_are_counted_and_contradictions_told() {
    let page = ticks(&history("100,100,100,102", "1.5,1.5,1.6,1.7")).unwrap();
    let tick = |epoch, quote| Tick { epoch: Epoch::new(epoch), quote };
    assert_eq!(page.records, [tick(100, 1.5), tick(102, 1.7)]);
    assert_eq!((page.n_received, page.n_duplicates), (4, 1));
    let conflict = RowConflict { kept: tick(100, 1.5), refused: tick(100, 1.6) };
    assert_eq!(page.conflicts, [conflict]);
}

/// Once a bar that opens beside the grid was left out at debug level, and a month of day bars that
/// open at 22:00 became sealed emptiness.
#[test]
fn candles_beside_the_grid_are_named() {
    let bar = |epoch: i64| format!(r#"{{"epoch":{epoch},"open":1,"high":1,"low":1,"close":1}}"#);
    let check = |epochs: &[i64], kept: &[i64], unusable: &[i64]| {
        let bars: Vec<_> = epochs.iter().map(|epoch| bar(*epoch)).collect();
        let page = candles(&format!(r#"{{"candles":[{}]}}"#, bars.join(","))).unwrap();
        let secs = |epochs: Vec<Epoch>| epochs.iter().map(|at| at.secs()).collect::<Vec<_>>();
        assert_eq!(secs(page.records.iter().map(|row| row.epoch).collect()), kept, "{epochs:?}");
        assert_eq!(secs(page.unusable), unusable, "{epochs:?}");
    };
    check(&[120, 180, 247], &[120, 180], &[247]);
    // The first is the part of a bar that the window has cut, and is named by its start.
    check(&[120, 187, 247], &[], &[120, 187, 247]);
    check(&[127], &[], &[127]);
}

#[test]
fn refuses_pages_that_are_not_in_good_form() {
    check_malformed(&history("100,102", "1,null"), "tick of 1970-01-01T00:01:42Z has a price");
    check_malformed(&history("100,102", r#"1,"NaN""#), "00:01:42Z has a price");
    check_malformed(&history("100,102", "0,1"), "00:01:40Z has a price");
    check_malformed(&history("100,102", "-1,1"), "00:01:40Z has a price");
    check_malformed(&history("100,102", "1,NaN"), "cannot be read");
    check_malformed(&history("100,102", "1,1e999"), "cannot be read");
    check_malformed(&history("102,100", "1,1"), "tick of 1970-01-01T00:01:40Z comes after");
    check_malformed(&history("100,102", "1"), "1 prices for 2 times");
    check_malformed(&history("100,null", "1,1"), "cannot be read");
    check_malformed(&history("100,101.5", "1,1"), "not whole");
    check_malformed(&history("1,2,3,4,5,6", "1,1,1,1,1,1"), "6 rows, at most 5");
    check_malformed(r#"{"msg_type":"history"}"#, "`history` is missing");
    check_malformed(r#"{"history":null}"#, "`history` is missing");
    check_malformed(r#"{"candles":[]}"#, "`history` is missing");
    check_malformed(r#"{"history":{"prices":[]}}"#, "missing field `times`");
    check_malformed(r#"{"history":{"prices":[],"times":[]},"pip_size":11}"#, "`pip_size` 11");
    check_malformed(r#"{"history":{"prices":[],"times":[]},"pip_size":0.01}"#, "`pip_size`");
    check_malformed("{\"history\":", "cannot be read");
    check_malformed(&"{\"history\":".repeat(10_000), "cannot be read");
    check_malformed("\u{1b}[2J", "cannot be read");
}

#[test]
fn refuses_the_answer_to_another_request() {
    let echo =
        |field: &str| format!(r#"{{"echo_req":{{{field}}},"history":{{"prices":[],"times":[]}}}}"#);
    for fine in [
        r#""ticks_history":"R_50","start":100,"end":"199","style":"ticks""#,
        r#""start":"100","end":199,"req_id":7,"granularity":60,"count":9"#,
        "",
    ] {
        assert!(ticks(&echo(fine)).is_ok(), "{fine}");
    }
    check_malformed(&echo(r#""ticks_history":"R_100""#), "another symbol");
    check_malformed(&echo(r#""start":101"#), "another start");
    check_malformed(&echo(r#""end":"200""#), "another end");
    check_malformed(&echo(r#""style":"candles""#), "another style");
    let other_width = r#"{"echo_req":{"granularity":120},"candles":[]}"#;
    assert_eq!(candles(other_width).unwrap_err().kind, ErrorKind::Malformed);
}

/// Beyond the wall the API answers with its newest data while echoing what was asked; the page
/// has to reach the pager, which alone can tell a wall from a fault.
#[test]
fn a_substituted_page_passes_and_does_not_fit() {
    let page = ticks(
        r#"{"echo_req":{"ticks_history":"R_50","start":100,"end":"199","style":"ticks"},
            "history":{"prices":[252.6655,252.662],"times":[1722807400,1722807402]},
            "msg_type":"history","pip_size":4,"req_id":7}"#,
    )
    .unwrap();
    assert_eq!(page.pip_size, Some(4));
    assert!(!page.fits(request(Kind::Ticks, 100, 200).range));
}

#[test]
fn drops_partial_and_bogus_candles_but_counts_them() {
    let row =
        |epoch: i64| format!(r#"{{"epoch":{epoch},"open":"1.50","high":2,"low":1,"close":1.7}}"#);
    let rows = [130, 180, 240, 359].map(row).join(",");
    let page = candles(&format!(r#"{{"candles":[{rows}],"pip_size":2.0}}"#)).unwrap();
    let epochs: Vec<_> = page.records.iter().map(|candle| candle.epoch.secs()).collect();
    assert_eq!(epochs, [180, 240]);
    assert_eq!((page.n_received, page.pip_size), (4, Some(2)));
    assert_eq!(page.records[0].open, 1.5);
}

#[test]
fn refuses_candles_with_missing_or_wrong_prices() {
    let bad = |row: &str| candles(&format!(r#"{{"candles":[{row}]}}"#)).unwrap_err();
    let error = bad(r#"{"epoch":180,"open":1,"high":null,"low":1,"close":1}"#);
    assert!(error.message.contains("candle of 1970-01-01T00:03:00Z"), "{error}");
    assert_eq!(bad(r#"{"epoch":180,"open":1,"high":1,"low":1}"#).kind, ErrorKind::Malformed);
    assert_eq!(candles(r#"{"history":{}}"#).unwrap_err().kind, ErrorKind::Malformed);
}

#[test]
fn an_error_answer_is_an_error_whatever_else_it_holds() {
    let text = r#"{"error":{"code":"RateLimit","message":"You have reached the rate limit for ticks_history."},
        "history":{"prices":[],"times":[]},"msg_type":"ticks_history"}"#;
    let error = ticks(text).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert!(error.message.contains("too frequent"), "{error}");
    let odd = ticks(r#"{"error":{"code":5,"message":{}}}"#).unwrap_err();
    assert_eq!(odd.kind, ErrorKind::Unknown);
    assert!(odd.message.contains("`5`"), "{odd}");
}

#[test]
fn both_generations_of_symbol_lists_are_read() {
    let list = instruments(
        r#"{"active_symbols":[
            {"exchange_is_open":1,"is_trading_suspended":0,"market":"synthetic_index","pip_size":0.01,
             "underlying_symbol":"R_100","underlying_symbol_name":"Volatility 100 Index"},
            {"exchange_is_open":0,"market":"forex","pip":0.00001,"symbol":"frxEURUSD","display_name":"EUR/USD"},
            {"exchange_is_open":1,"is_trading_suspended":1,"symbol":"stpRNG","pip":"0.1"},
            {"symbol":"../../etc"},{}]}"#,
    )
    .unwrap();
    let told: Vec<_> = list
        .iter()
        .map(|i| (i.symbol.as_str(), i.name.as_deref(), i.pip_size, i.is_open))
        .collect();
    assert_eq!(
        told,
        [
            ("R_100", Some("Volatility 100 Index"), Some(2), true),
            ("frxEURUSD", Some("EUR/USD"), Some(5), false),
            ("stpRNG", None, Some(1), false),
        ]
    );
    assert!(list[0].is_continuous());
}

#[test]
fn a_step_becomes_decimals() {
    let check = |step: f64, expected| assert_eq!(decimals_of_step(step), expected, "{step}");
    check(1.0, Some(0));
    check(0.1, Some(1));
    check(0.01, Some(2));
    check(0.0001, Some(4));
    check(1e-5, Some(5));
    check(0.25, Some(2));
    check(2.0, None);
    check(0.0, None);
    check(-0.1, None);
    check(f64::NAN, None);
    check(1e-12, None);
}

#[test]
fn the_server_clock_is_read_or_refused() {
    assert_eq!(
        server_time(r#"{"msg_type":"time","time":1786147200}"#).unwrap(),
        Epoch::new(1_786_147_200)
    );
    assert_eq!(server_time(r#"{"msg_type":"time"}"#).unwrap_err().kind, ErrorKind::Malformed);
    let refused = server_time(r#"{"error":{"code":"CallError"}}"#).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::ServerFault);
}

#[test]
fn a_live_tick_is_checked_like_any_other() {
    let symbol: Symbol = "R_50".parse().unwrap();
    let text = r#"{"tick":{"epoch":1524812092,"id":"x","quote":271.8108,"symbol":"R_50"}}"#;
    assert_eq!(live_tick(&symbol, text).unwrap().quote, 271.8108);
    let other: Symbol = "R_75".parse().unwrap();
    assert_eq!(live_tick(&other, text).unwrap_err().kind, ErrorKind::Malformed);
    let closed =
        r#"{"error":{"code":"MarketIsClosed","message":"This market is presently closed."}}"#;
    assert_eq!(live_tick(&symbol, closed).unwrap_err().kind, ErrorKind::MarketClosed);
}
