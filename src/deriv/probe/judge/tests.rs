//! One look at each judgement: what is as assumed, and what is not.

use std::time::Duration;

use serde_json::json;

use super::super::super::config::ApiVersion;
use super::super::answer::{Bar, NoRows, Refusal, Ticks, of};
use super::super::question::{Question, Window};
use super::wall::{Place, Search};
use super::*;
use crate::domain::{Judged, Verdict};

#[track_caller]
fn check(judged: &Judged, verdict: Verdict, part: &str) {
    assert_eq!(judged.verdict, verdict, "{judged:?}");
    assert!(judged.seen.contains(part), "{judged:?}");
    let wants_meaning = matches!(verdict, Verdict::Differs | Verdict::Failed);
    assert_eq!(judged.means.is_empty(), !wants_meaning, "{judged:?}");
}

const OK: Verdict = Verdict::Ok;
const DIFFERS: Verdict = Verdict::Differs;

fn ticks(epochs: &[i64], prices: &[&str]) -> Ticks {
    let prices = prices.iter().map(|price| (*price).to_owned()).collect();
    Ticks { epochs: epochs.to_vec(), prices }
}

fn window(start: i64, end: i64, width: Option<i64>) -> Window {
    Window { symbol: "R_100".into(), start, end, count: 10_000, width }
}

fn bars(rows: &[(i64, [&str; 4])]) -> Vec<Bar> {
    let bar = |(epoch, prices): &(i64, [&str; 4])| Bar {
        epoch: *epoch,
        prices: prices.map(str::to_owned),
    };
    rows.iter().map(bar).collect()
}

#[test]
fn clocks_are_judged_by_what_is_certain() {
    // The source's second began at 100,000 ms; asked at the first number, heard at the second.
    check(&talk::clock(100, 100_000, 101_000), OK, "0.0 s ahead");
    check(&talk::clock(100, 102_000, 102_100), OK, "s ahead");
    check(&talk::clock(100, 103_100, 103_200), DIFFERS, "s ahead");
    check(&talk::clock(3_800, 100_000, 100_100), DIFFERS, "s behind");
    check(&talk::clock(100, 97_000, 97_900), DIFFERS, "s behind");
    // A slow answer tells less, so it accuses nobody.
    check(&talk::clock(100, 95_000, 105_000), OK, "");
}

#[test]
fn plain_answers() {
    check(&talk::ping(&of(json!({"ping": "pong"}))), OK, "`pong` in 20 ms");
    check(&talk::ping(&of(json!({"ping": 1}))), DIFFERS, "`1`");
    check(&talk::ping(&of(json!({"error": {"code": "No"}}))), DIFFERS, "`No`");
    let (judged, epoch) = talk::time(&of(json!({"time": 1_786_147_200})));
    check(&judged, OK, "2026-08-08");
    assert_eq!(epoch, Some(1_786_147_200));
    for odd in [json!({"time": 7}), json!({"time": 1_786_147_200_000_i64}), json!({})] {
        assert_eq!(talk::time(&of(odd)).1, None);
    }
    let secs = Duration::from_secs;
    check(&talk::round_trip(&[secs(3), Duration::from_millis(80)]), OK, "80 ms to 3.0 s");
    check(&talk::round_trip(&[secs(3)]), DIFFERS, "3.0 s");
    check(&talk::round_trip(&[]), Verdict::Skipped, "nothing");
    check(&talk::errors_keep(3, 0), OK, "3 of 3");
    check(&talk::errors_keep(1, 2), DIFFERS, "2 of 3");
    check(&talk::errors_keep(0, 0), Verdict::Skipped, "");
    let idle = |after: Option<u64>| talk::idle(after.map(secs), secs(150), secs(30));
    check(&idle(Some(120)), OK, "120 s");
    check(&idle(Some(60)), DIFFERS, "60 s");
    check(&idle(None), DIFFERS, "still open after 150 s");
}

#[test]
fn the_list_has_the_names_of_its_api() {
    let v1 = json!({"active_symbols": [{"underlying_symbol": "R_100", "pip_size": 0.01,
        "market": "synthetic_index", "exchange_is_open": 1, "is_trading_suspended": 0}]});
    let (judged, listed) = talk::symbols(&of(v1.clone()), ApiVersion::V1, "R_100");
    check(&judged, OK, "1 symbols, 1 of them open");
    assert_eq!((listed[0].step, listed[0].is_open), (Some(0.01), true));
    check(&talk::symbols(&of(v1.clone()), ApiVersion::V1, "R_50").0, DIFFERS, "`R_50` not among");
    check(&talk::symbols(&of(v1), ApiVersion::Legacy, "R_100").0, DIFFERS, "0 of 1");
    let none = json!({"active_symbols": []});
    check(&talk::symbols(&of(none), ApiVersion::V1, "R_100").0, DIFFERS, "no symbol");
    let times = json!({"trading_times": {"markets": [{"submarkets": [{"symbols": [
        {"underlying_symbol": "R_100", "times": {"open": ["00:00:00"], "close": ["23:59:59"]}},
        {"symbol": "R_50"}]}]}]}});
    check(&talk::trading_times(&of(times.clone()), "R_100"), OK, "2 symbols");
    check(&talk::trading_times(&of(times.clone()), "R_50"), DIFFERS, "no opening times");
    check(&talk::trading_times(&of(times), "R_25"), DIFFERS, "not among");
}

#[test]
fn envelopes_are_counted() {
    let request = Question::Time.json(3);
    let looked = |answer| {
        let mut envelopes = talk::Envelopes::default();
        envelopes.look(&Question::Time, &request, 3, &of(answer));
        envelopes
    };
    let good =
        looked(json!({"req_id": 3, "echo_req": {"time": 1, "req_id": 3}, "msg_type": "time"}));
    for judged in [good.numbers(), good.echoes(), good.types()] {
        check(&judged, OK, "in all 1 answers");
    }
    let other =
        looked(json!({"req_id": 4, "echo_req": {"time": 2, "req_id": 3}, "msg_type": "ping"}));
    check(&other.numbers(), DIFFERS, "1 another one");
    check(&other.echoes(), DIFFERS, "1 another one");
    check(&other.types(), DIFFERS, "`ping` for `time`");
    let bare = looked(json!({}));
    check(&bare.numbers(), DIFFERS, "1 have none");
    check(&bare.echoes(), DIFFERS, "1 have none");
    check(&bare.types(), DIFFERS, "none in 1");
}

#[test]
fn pages_are_judged_by_their_rows() {
    let asked = window(0, 1_000, None);
    let page = ticks(&[990, 992, 994], &["1.25", "2", "3.5"]);
    check(&pages::page_cap(&page, &asked, 3), OK, "3 rows where 10000 were asked");
    check(&pages::page_cap(&page, &asked, 1_000), DIFFERS, "3 rows");
    check(&pages::page_cap(&page, &asked, 2), DIFFERS, "3 rows");
    check(&pages::newest_first(&page, &asked), OK, "990 s of the window lie before");
    check(&pages::newest_first(&ticks(&[2, 4], &[]), &asked), DIFFERS, "996 s after");
    check(&pages::newest_first(&ticks(&[2, 2_000], &[]), &asked), DIFFERS, "outside");
    check(&pages::order(&page), OK, "3 rows in order");
    check(&pages::order(&ticks(&[4, 2], &[])), DIFFERS, "before an older one");
    check(&pages::order(&ticks(&[4, 4], &[])), DIFFERS, "twice");
    check(&pages::lengths(&page), OK, "3 epochs, 3 prices");
    check(&pages::lengths(&ticks(&[4], &[])), DIFFERS, "1 epochs, 0 prices");
    check(&pages::grid(&page, Some(2.0)), OK, "at most 2 decimals");
    check(&pages::grid(&page, Some(1.0)), DIFFERS, "1.25");
    check(&pages::grid(&page, Some(0.01)), Verdict::Skipped, "");
    check(&pages::decimals(Some(2.0), Some(0.01)), OK, "0.01 in the list, 2 in the page");
    check(&pages::decimals(Some(5.0), Some(0.00001)), OK, "");
    check(&pages::decimals(Some(2.0), Some(2.0)), DIFFERS, "");
    check(&pages::decimals(Some(0.01), Some(0.01)), DIFFERS, "0.01");
    check(&pages::decimals(None, Some(0.01)), DIFFERS, "no `pip_size`");
}

#[test]
fn bounds_are_inclusive_or_not() {
    let known = [2, 4, 6];
    let bounds = |epochs: &[i64]| pages::bounds(&ticks(epochs, &[]), &known);
    check(&bounds(&[2, 4, 6]), OK, "both");
    check(&bounds(&[6, 4, 2]), OK, "both");
    check(&bounds(&[4, 6]), DIFFERS, "the start is left out");
    check(&bounds(&[2, 4]), DIFFERS, "the end is left out");
    check(&bounds(&[4]), DIFFERS, "both ends");
    check(&bounds(&[2, 6]), DIFFERS, "not the rows between");
    check(&pages::count(&ticks(&[2, 4], &[]), 2), OK, "");
    check(&pages::count(&ticks(&[2, 4], &[]), 1), DIFFERS, "2 rows");
    check(&pages::count(&ticks(&[2], &[]), 2), DIFFERS, "1 row ");
    check(&pages::closed_market(&ticks(&[], &[])), OK, "no rows");
    check(&pages::closed_market(&ticks(&[2], &[])), DIFFERS, "1 row");
}

#[test]
fn candles_at_the_edges() {
    let flat = ["1"; 4];
    let moved = ["1", "3", "1", "2"];
    let asked = window(600, 719, Some(60));
    check(&candles::aligned(&bars(&[(600, flat), (660, flat)]), &asked), OK, "2 rows where 2 fit");
    check(&candles::aligned(&bars(&[(600, flat)]), &asked), DIFFERS, "1 row");
    check(
        &candles::aligned(&bars(&[(600, flat), (661, flat)]), &asked),
        DIFFERS,
        "off the boundary",
    );
    check(&candles::aligned(&bars(&[(600, flat), (720, flat)]), &asked), DIFFERS, "outside");
    let to_boundary = window(600, 720, Some(60));
    let at_end = |rows: &[(i64, [&str; 4])]| candles::at_end(&bars(rows), &to_boundary);
    check(&at_end(&[(600, flat), (660, flat)]), OK, "no candle");
    check(&at_end(&[(660, flat), (720, flat)]), OK, "single price");
    check(&at_end(&[(660, flat), (720, moved)]), OK, "whole one");
    check(&at_end(&[(660, flat), (719, moved)]), DIFFERS, "");
    check(&at_end(&[(780, moved)]), DIFFERS, "outside");
    check(&candles::open(&bars(&[(600, flat)]), 630), OK, "30 s ago");
    check(&candles::open(&bars(&[(540, flat)]), 602), Verdict::Skipped, "only begun");
    check(&candles::open(&bars(&[(540, flat)]), 630), DIFFERS, "90 s ago");
    check(&candles::open(&[], 630), DIFFERS, "no rows");
    let inside = window(617, 719, Some(60));
    let whole = &bars(&[(600, moved)])[0];
    let cut = |rows: &[(i64, [&str; 4])]| candles::cut(&bars(rows), &inside, Some(whole));
    check(&cut(&[(617, flat), (660, flat)]), OK, "named by the start");
    check(&cut(&[(600, moved)]), DIFFERS, "the whole candle");
    check(&cut(&[(600, flat)]), DIFFERS, "as if it were whole");
    check(&cut(&[(660, flat)]), DIFFERS, "left out");
    check(&cut(&[]), Verdict::Failed, "no rows");
}

#[test]
fn refusals_are_known_by_their_codes() {
    let error = |code: &str| of(json!({"error": {"code": code, "message": "no"}}));
    let judged = |answer| refusals::refused(&answer, &["InvalidSymbol"]);
    check(&judged(error("InvalidSymbol")), OK, "`InvalidSymbol`: no");
    check(&judged(error("Other\u{1b}")), DIFFERS, "`Other\\u{1b}`");
    let empty = json!({"history": {"prices": [], "times": []}});
    check(&judged(of(empty)), DIFFERS, "answered with 0 rows");
    let closed = NoRows::Refused(Refusal { code: "MarketIsClosed".into(), message: String::new() });
    check(&refusals::closed_market(&closed), DIFFERS, "MarketIsClosed");
}

#[test]
fn places_tell_the_newest_from_the_wanted() {
    let asked = window(100, 200, None);
    let place = |epochs: &[i64]| Place::of(Ok(epochs.to_vec()), &asked, 9_000);
    assert_eq!(place(&[100, 200]), Place::Inside(2));
    assert_eq!(place(&[]), Place::Empty);
    assert_eq!(place(&[8_000, 9_500]), Place::Newest);
    assert_eq!(place(&[150, 9_500]), Place::Newest);
    assert_eq!(place(&[300]), Place::Elsewhere { to: 300 });
    check(&wall::substitution(&Place::Newest, 200, Some(200)), OK, "end echoed");
    check(&wall::substitution(&Place::Newest, 200, None), OK, "no end echoed");
    check(&wall::substitution(&Place::Newest, 200, Some(9_500)), DIFFERS, "9500");
    check(&wall::substitution(&Place::Empty, 200, None), DIFFERS, "no rows");
    check(&wall::substitution(&Place::Elsewhere { to: 300 }, 200, None), DIFFERS, "elsewhere");
    let refused = Refusal { code: "X".into(), message: String::new() };
    check(&wall::substitution(&Place::Refused(refused), 200, None), DIFFERS, "`X`");
    check(&wall::straddle(&Place::Inside(3)), OK, "younger part");
    check(&wall::straddle(&Place::Newest), OK, "newest");
    check(&wall::straddle(&Place::Empty), DIFFERS, "no rows");
}

/// Looks for history that reaches back so many days.
fn search(reach: i64) -> (Search, u32) {
    let mut search = Search::new([364, 366]);
    let mut n_asked = 0;
    while let Some(days) = search.next() {
        n_asked += 1;
        let place = if days <= reach { Place::Inside(1) } else { Place::Newest };
        search.learn(days, &place);
        assert!(n_asked <= wall::MAX_ASKS);
    }
    (search, n_asked)
}

#[test]
fn the_wall_is_found_wherever_it_is() {
    let (found, n_asked) = search(365);
    assert_eq!((found.found(), n_asked), (Some((364, 366)), 2));
    check(&found.judge(), OK, "between 364 and 366");
    for reach in [1, 2, 30, 100, 200, 363, 367, 400, 730, 1_000, 3_000] {
        let found = search(reach).0;
        let (offered, refused) = found.found().expect("a wall");
        assert!((offered..refused).contains(&reach), "{reach}: {offered} to {refused}");
        assert!(refused - offered <= (reach / 4).max(8), "{reach}: {offered} to {refused}");
        let verdict = if reach == 367 { OK } else { found.judge().verdict };
        check(&found.judge(), verdict, "it begins between");
        assert_eq!(found.judge().verdict == OK, (350..=380).contains(&reach), "{reach}");
    }
    check(&search(i64::MAX).0.judge(), DIFFERS, "still offered");
}
