//! What happens over time is in the answers of each moment, and in no other.

use super::*;
use crate::domain::{EpochRange, Granularity, Kind};
use crate::simulator::World;

fn exchange(world: World) -> Arc<Simulator> {
    Simulator::new(SimulatorConfig { world, ..plain() })
}

fn at(secs: i64) -> Epoch {
    Epoch::new(secs)
}

fn range(from: i64, to: i64) -> EpochRange {
    EpochRange::new(at(from), at(to)).unwrap()
}

fn of(symbol: &str, start: i64, end: i64) -> Value {
    let mut ask = history(start, end, 5000);
    ask["ticks_history"] = json!(symbol);
    ask
}

fn bars(start: i64, end: i64, width: i64) -> Value {
    let mut ask = minutes(start, end);
    ask["granularity"] = json!(width);
    ask
}

async fn names(client: &mut Client) -> Vec<String> {
    let answer = client.ask(json!({ "active_symbols": "brief" })).await;
    let list = answer["active_symbols"].as_array().unwrap().clone();
    list.iter().map(|it| it["underlying_symbol"].as_str().unwrap().to_owned()).collect()
}

fn dump(simulator: &Simulator, kind: Kind, range: EpochRange, as_of: i64) -> Vec<String> {
    let mut csv = Vec::new();
    let symbol = "R_100".parse().unwrap();
    simulator.write_truth_as_of(&symbol, kind, range, at(as_of), &mut csv).unwrap();
    String::from_utf8(csv).unwrap().lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test]
async fn symbols_begin_end_and_change_their_names() {
    let world = World::quiet()
        .listed("R_10", at(NOW + 100))
        .ended_then_unlisted("R_25", at(NOW + 100), at(NOW + 200))
        .renamed("R_50", "V_50", at(NOW + 100));
    let simulator = exchange(world);
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let mut known = async |symbol: &str| {
        let answer = client.ask(of(symbol, NOW + 80, NOW + 120)).await;
        let listed = names(&mut client).await.iter().any(|name| name == symbol);
        let rows = answer.get("history").map(|_| epochs(&ticks_of(&answer)));
        assert_eq!(listed, rows.is_some(), "{symbol}");
        assert!(listed || code(&answer) == "InvalidSymbol");
        rows
    };
    simulator.set_now(at(NOW + 99));
    assert_eq!(known("R_10").await, None);
    assert_eq!(known("V_50").await, None);
    assert_eq!(known("R_50").await.unwrap().last(), Some(&(NOW + 98)));
    simulator.set_now(at(NOW + 150));
    assert_eq!(known("R_10").await.unwrap().first(), Some(&(NOW + 100)));
    assert_eq!(known("R_25").await.unwrap().last(), Some(&(NOW + 98)));
    assert_eq!(known("R_50").await, None);
    assert_eq!(known("V_50").await.unwrap().first(), Some(&(NOW + 100)));
    simulator.set_now(at(NOW + 200));
    assert_eq!(known("R_25").await, None);
}

/// A symbol that is renamed goes on at the price it had.
#[tokio::test]
async fn a_renamed_symbol_keeps_its_prices() {
    let plain = Simulator::new(plain());
    let renamed = exchange(World::quiet().renamed("R_100", "V_100", at(NOW - 50)));
    let ticks = async |simulator: &Arc<Simulator>, symbol: &str| {
        let mut client = Client::dial(simulator, V1).await.unwrap();
        client.ticks(of(symbol, NOW - 50, NOW)).await
    };
    assert_eq!(ticks(&plain, "R_100").await, ticks(&renamed, "V_100").await);
}

#[tokio::test]
async fn a_hole_is_silent_until_it_is_filled_and_so_are_its_bars() {
    let (from, to, filled) = (NOW - 600, NOW - 300, NOW + 36_000);
    let simulator = exchange(World::quiet().hole("R_100", range(from, to), Some(at(filled))));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let count = async |client: &mut Client| {
        let ticks = client.ticks(history(from - 60, to + 60, 5000)).await.len();
        (ticks, client.candles(minutes(from - 60, to + 59)).await.len())
    };
    assert_eq!(count(&mut client).await, (61, 2));
    simulator.set_now(at(filled - 1));
    assert_eq!(count(&mut client).await, (61, 2));
    simulator.set_now(at(filled));
    assert_eq!(count(&mut client).await, (211, 7));
    // The truth as of a moment, whatever the clock shows.
    let truth = |as_of| dump(&simulator, Kind::Ticks, range(from - 60, to + 60), as_of).len();
    assert_eq!((truth(filled - 1), truth(filled)), (60, 210));
    let minutes = Kind::Candles(Granularity::MINUTE);
    let truth = |as_of| dump(&simulator, minutes, range(from - 60, to + 60), as_of).len();
    assert_eq!((truth(filled - 1), truth(filled)), (2, 7));
}

/// The hours say open, and nothing comes: neither ticks nor live ones.
#[tokio::test]
async fn a_dead_feed_is_open() {
    // A Thursday.
    let day = NOW - 12 * 3600 - 3 * DAY;
    let dead = range(day + 3600, i64::MAX);
    let simulator = exchange(World::quiet().hole("frxEURUSD", dead, None));
    simulator.set_now(at(day + 7200));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let ticks = client.ticks(of("frxEURUSD", day + 3000, day + 7200)).await;
    assert!(!ticks.is_empty() && ticks.last().unwrap().0 < day + 3600);
    let listed = client.ask(json!({ "active_symbols": "brief" })).await;
    let listed = listed["active_symbols"].as_array().unwrap();
    let euro = listed.iter().find(|it| it["underlying_symbol"] == "frxEURUSD").unwrap();
    assert_eq!(euro["exchange_is_open"], 1);
}

#[tokio::test]
async fn late_rows_change_a_bar_that_is_closed() {
    let simulator = exchange(World::quiet().late("*", 5, Some(range(0, NOW + 60))));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let ticks = client.ticks(history(NOW - 20, NOW, 5000)).await;
    assert_eq!(ticks.last().unwrap().0, NOW - 6);
    let minute = async |client: &mut Client| client.candles(minutes(NOW - 60, NOW - 1)).await;
    let early = minute(&mut client).await;
    simulator.set_now(at(NOW + 4));
    assert_ne!(early, minute(&mut client).await);
    let minutes = Kind::Candles(Granularity::MINUTE);
    let truth = |as_of| dump(&simulator, minutes, range(NOW - 60, NOW), as_of);
    assert_ne!(truth(NOW), truth(NOW + 4));
    // From that moment on rows are there at once.
    simulator.set_now(at(NOW + 60));
    let ticks = client.ticks(history(NOW, NOW + 60, 5000)).await;
    assert_eq!(ticks.last().unwrap().0, NOW + 60);
}

#[tokio::test]
async fn bars_begin_off_the_grid() {
    let simulator =
        exchange(World::quiet().bars_offset("R_100", 86_400, 79_200).bars_offset("R_100", 120, 37));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let days = client.candles(bars(NOW - 14 * 3600 - 2 * DAY, NOW, 86_400)).await;
    let opens: Vec<i64> = days.iter().map(|bar| bar["epoch"].as_i64().unwrap()).collect();
    let ten = NOW - 14 * 3600;
    assert_eq!(opens, [ten - 2 * DAY, ten - DAY, ten]);
    let ticks = client.ticks(history(ten - 2, ten, 5)).await;
    assert_eq!(days[1]["close"].to_string(), ticks[0].1);
    assert_eq!(days[2]["open"].to_string(), ticks[1].1);
    let odd = client.candles(bars(NOW - 323, NOW - 84, 120)).await;
    let opens: Vec<i64> = odd.iter().map(|bar| bar["epoch"].as_i64().unwrap()).collect();
    assert_eq!(opens, [NOW - 323, NOW - 203]);
    let truth = dump(
        &simulator,
        Kind::Candles(Granularity::try_from(86_400).unwrap()),
        range(ten - 2 * DAY, NOW),
        NOW,
    );
    assert_eq!(truth.len(), 2);
    assert!(truth[1].starts_with(&(ten - DAY).to_string()));
}

#[tokio::test]
async fn decimals_change_in_the_rows_the_list_and_the_pages() {
    // R_100 has two.
    let world = World::quiet().decimals("R_100", at(NOW - 100), 1);
    let world = world.decimals("R_100", at(NOW + 1000), 4).list_decimals("R_25", 1);
    let simulator = exchange(world.page_decimals("R_25", 2));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let most = |ticks: &[(i64, String)]| {
        let digits = ticks.iter().map(|(_, price)| price.split('.').nth(1).map_or(0, str::len));
        digits.max().unwrap()
    };
    let list = async |client: &mut Client, symbol: &str| {
        let answer = client.ask(json!({ "active_symbols": "brief" })).await;
        let list = answer["active_symbols"].as_array().unwrap().clone();
        let entry = list.iter().find(|it| it["underlying_symbol"] == symbol).unwrap();
        entry["pip_size"].as_f64().unwrap()
    };
    let old = client.ask(history(NOW - 1100, NOW - 102, 5000)).await;
    assert_eq!((most(&ticks_of(&old)), &old["pip_size"]), (2, &json!(1)));
    let young = client.ask(history(NOW - 100, NOW, 5000)).await;
    assert_eq!((most(&ticks_of(&young)), &young["pip_size"]), (1, &json!(1)));
    assert_eq!(list(&mut client, "R_100").await, 0.1);
    simulator.set_now(at(NOW + 2000));
    let new = client.ask(history(NOW + 1000, NOW + 2000, 5000)).await;
    assert_eq!((most(&ticks_of(&new)), &new["pip_size"]), (4, &json!(4)));
    let before = client.ticks(history(NOW - 1100, NOW - 102, 5000)).await;
    assert_eq!(before, ticks_of(&old), "what is past stays as it was");
    // Three decimals in the rows, and both the list and the pages say something else.
    let other = client.ask(of("R_25", NOW - 1000, NOW)).await;
    assert_eq!((most(&ticks_of(&other)), &other["pip_size"]), (3, &json!(2)));
    assert_eq!(list(&mut client, "R_25").await, 0.1);
}

#[tokio::test]
async fn a_correction_changes_one_tick_and_its_bars_from_its_moment_on() {
    let world = World::quiet().corrected("R_100", at(NOW - 30), at(NOW + 100), 100_000);
    let simulator = exchange(world);
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let ask = async |client: &mut Client| {
        let ticks = client.ticks(history(NOW - 60, NOW - 1, 5000)).await;
        (ticks, client.candles(minutes(NOW - 60, NOW - 1)).await)
    };
    let before = ask(&mut client).await;
    simulator.set_now(at(NOW + 100));
    let after = ask(&mut client).await;
    let changed: Vec<i64> = (before.0.iter().zip(&after.0))
        .filter(|(old, new)| old != new)
        .map(|(old, _)| old.0)
        .collect();
    assert_eq!((changed, before.0.len()), (vec![NOW - 30], after.0.len()));
    let high = |bars: &[Value]| bars[0]["high"].as_f64().unwrap();
    assert!((high(&after.1) - high(&before.1) - 1000.0).abs() < 20.0);
    let truth = |as_of| dump(&simulator, Kind::Ticks, range(NOW - 30, NOW - 29), as_of);
    assert_ne!(truth(NOW + 99), truth(NOW + 100));
}

#[tokio::test]
async fn the_clock_is_wrong_for_a_while_and_rows_come_by_the_true_time() {
    let world = World::quiet().clock_error(5 * DAY, Some(range(NOW + 100, NOW + 200)));
    let simulator = exchange(world.late("R_100", 1002, Some(range(NOW + 200, NOW + 300))));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    for (shown, time, newest) in [
        (NOW + 99, NOW + 99, NOW + 98),
        (NOW + 100, NOW + 100 + 5 * DAY, NOW + 100),
        (NOW + 200, NOW + 200, NOW + 200 - 1002),
    ] {
        simulator.set_now(at(shown));
        assert_eq!(client.ask(json!({ "time": 1 })).await["time"], time);
        let ticks = client.ticks(history(NOW - 1000, NOW + 6 * DAY, 10)).await;
        assert_eq!(ticks.last().unwrap().0, newest);
    }
}

#[tokio::test]
async fn the_wall_jumps() {
    let jump = Duration::from_secs(3 * 86_400);
    let simulator = exchange(World::quiet().wall_jump(at(NOW + 10), jump));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let wall = NOW - 365 * DAY;
    let mut oldest = async || client.ticks(history(wall - 100, wall + 4 * DAY, 5)).await;
    assert_eq!(oldest().await.last().unwrap().0, wall + 4 * DAY);
    simulator.set_now(at(NOW + 10));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let behind = client.ticks(history(wall + 100, wall + 2 * DAY, 5)).await;
    assert_eq!(behind.last().unwrap().0, NOW + 10, "the newest is substituted");
}
