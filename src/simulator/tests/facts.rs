//! The facts of the API that shape a downloader, one test each.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{EpochRange, Granularity, Kind};
use crate::simulator::{Replay, Straddle};

#[tokio::test]
async fn a_page_is_the_newest_of_the_window_both_ends_inside() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let start = NOW - 10_000;
    let all = client.ticks(history(start, start + 1000, 1000)).await;
    assert_eq!(epochs(&all), (start..=start + 1000).step_by(2).collect::<Vec<_>>());
    let few = client.ticks(history(start, start + 1000, 10)).await;
    assert_eq!(few, all[all.len() - 10..]);
}

#[tokio::test]
async fn the_cap_is_silent_and_depends_on_the_surface() {
    let simulator = Simulator::new(plain());
    let ask = history(NOW - 40_000, NOW - 1, 50_000);
    let mut v1 = Client::dial(&simulator, V1).await.unwrap();
    let mut legacy = Client::dial(&simulator, LEGACY).await.unwrap();
    assert_eq!(v1.ticks(ask.clone()).await.len(), 1000);
    assert_eq!(legacy.ticks(ask.clone()).await.len(), 5000);
    let mut without = ask;
    without.as_object_mut().unwrap().remove("count");
    assert_eq!(legacy.ticks(without).await.len(), 1000);
}

#[tokio::test]
async fn behind_the_wall_comes_the_newest_data_with_the_asked_end_echoed() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, LEGACY).await.unwrap();
    let wall = NOW - 365 * DAY;
    let answer = client.ask(history(wall - 1000, wall - 2, 10)).await;
    assert_eq!(answer["echo_req"]["end"], (wall - 2).to_string());
    let newest: Vec<i64> = (NOW - 18..=NOW).step_by(2).collect();
    assert_eq!(epochs(&ticks_of(&answer)), newest);
    // The wall moves with the clock.
    assert_eq!(client.ticks(history(wall, wall + 10, 50)).await.len(), 6);
    simulator.advance(3600);
    assert_ne!(client.ticks(history(wall, wall + 10, 50)).await[0].0, wall);
}

#[tokio::test]
async fn a_window_across_the_wall_follows_the_configuration() {
    let wall = NOW - 365 * DAY;
    for (straddle, expected) in [(Straddle::YoungerPart, wall + 20), (Straddle::Substitute, NOW)] {
        let simulator = Simulator::new(SimulatorConfig { straddle, ..plain() });
        let mut client = Client::dial(&simulator, V1).await.unwrap();
        let ticks = client.ticks(history(wall - 20, wall + 20, 100)).await;
        assert_eq!(ticks.last().unwrap().0, expected, "{straddle:?}");
    }
}

#[tokio::test]
async fn without_start_ticks_reach_one_day_back() {
    let simulator = Simulator::new(SimulatorConfig { page_cap: Some(100_000), ..plain() });
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let ask = |end: &str| json!({ "ticks_history": "R_100", "end": end, "count": 100_000 });
    let ticks = client.ticks(ask("latest")).await;
    assert_eq!((ticks[0].0, ticks.last().unwrap().0), (NOW - DAY, NOW));
    let older = client.ticks(ask(&(NOW - 2 * DAY).to_string())).await;
    assert_eq!(older.last().unwrap().0, NOW);
}

#[tokio::test]
async fn candles_are_cut_by_both_bounds_and_the_last_is_open() {
    let simulator = Simulator::new(plain());
    simulator.advance(30);
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let start = NOW - 6000;
    let aligned = client.candles(minutes(start, start + 599)).await;
    assert_eq!(aligned.len(), 10);
    assert!(aligned.iter().all(|candle| candle["epoch"].as_i64().unwrap() % 60 == 0));

    let partial = client.candles(minutes(start + 20, start + 599)).await;
    assert_eq!(partial[0]["epoch"], start + 20);
    assert_ne!(partial[0]["open"], aligned[0]["open"]);
    assert_eq!(partial[1..], aligned[1..]);

    let bogus = client.candles(minutes(start, start + 600)).await;
    let last = &bogus[10];
    assert_eq!(last["epoch"], start + 600);
    assert_eq!((&last["open"], &last["high"]), (&last["close"], &last["low"]));

    let open = client.candles(minutes(start, NOW + 500)).await;
    assert_eq!(open.last().unwrap()["epoch"], NOW);
}

#[tokio::test]
async fn a_closed_market_is_an_empty_success_unless_subscribed() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let mut ask = json!({ "ticks_history": "frxEURUSD", "start": NOW - 3600,
                          "end": (NOW - 60).to_string(), "count": 1000, "style": "ticks" });
    let answer = client.ask(ask.clone()).await;
    assert_eq!(answer["history"], json!({ "prices": [], "times": [] }));
    assert_eq!(answer["pip_size"], 5);
    ask["style"] = json!("candles");
    assert_eq!(client.ask(ask.clone()).await["candles"], json!([]));
    ask["subscribe"] = json!(1);
    assert_eq!(code(&client.ask(ask.clone()).await), "MarketIsClosed");
    ask.as_object_mut().unwrap().remove("subscribe");
    ask["adjust_start_time"] = json!(1);
    assert!(!client.candles(ask).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_is_in_band_sliding_and_spares_time() {
    let config = SimulatorConfig { limits: Limits::default(), ..plain() };
    let simulator = Simulator::new(config);
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    for _ in 0..220 {
        assert_eq!(code(&client.ask(history(NOW - 10, NOW, 5)).await), "no error");
    }
    let refused = client.ask(history(NOW - 10, NOW, 5)).await;
    assert_eq!(code(&refused), "RateLimit");
    assert_eq!(refused["error"]["message"], "You have reached the rate limit for ticks_history.");
    assert_eq!((&refused["msg_type"], &refused["req_id"]), (&json!("ticks_history"), &json!(7)));
    assert_eq!(client.ask(json!({ "time": 1 })).await["time"], NOW);
    // Another connection shares the budget.
    let mut other = Client::dial(&simulator, LEGACY).await.unwrap();
    assert_eq!(code(&other.ask(json!({ "active_symbols": "brief" })).await), "RateLimit");
    tokio::time::advance(60 * SECOND).await;
    assert_eq!(code(&client.ask(history(NOW - 10, NOW, 5)).await), "no error");
    assert_eq!(simulator.max_calls_in_any(60 * SECOND), 222);
}

#[tokio::test]
async fn prices_are_numbers_without_trailing_zeros_on_the_pip_grid() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let answer = client.ask(history(NOW - 1900, NOW, 1000)).await;
    assert_eq!((&answer["pip_size"], &answer["msg_type"]), (&json!(2), &json!("history")));
    let ticks = ticks_of(&answer);
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    assert!(ticks.iter().all(|(_, price)| decimals(price) <= 2 && !price.ends_with(".0")));
    assert!(ticks.iter().any(|(_, price)| decimals(price) == 1), "no zero was ever dropped");
}

#[tokio::test]
async fn the_truth_is_what_the_pages_say() {
    let config = SimulatorConfig { holes: true, page_cap: Some(100_000), ..plain() };
    let simulator = Simulator::new(config);
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let start = NOW - DAY;
    let truth = |kind: Kind, end: i64| {
        let range = EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap();
        let mut out = Vec::new();
        simulator.write_truth(&"R_100".parse().unwrap(), kind, range, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let ticks = client.ticks(history(start, NOW, 100_000)).await;
    let csv: String = ticks.iter().map(|(epoch, price)| format!("{epoch},{price}\n")).collect();
    assert_eq!(truth(Kind::Ticks, NOW + 500), format!("epoch,quote\n{csv}"));

    let mut bars: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (epoch, price) in &ticks {
        bars.entry(epoch / 60 * 60).or_default().push(price.parse().unwrap());
    }
    // The candle of this moment is not closed and so no truth yet.
    bars.retain(|open, _| open + 60 <= NOW);
    let csv: String = bars
        .iter()
        .map(|(epoch, prices)| {
            let high = prices.iter().copied().fold(f64::MIN, f64::max);
            let low = prices.iter().copied().fold(f64::MAX, f64::min);
            format!("{epoch},{},{high},{low},{}\n", prices[0], prices[prices.len() - 1])
        })
        .collect();
    let told = truth(Kind::Candles(Granularity::MINUTE), NOW + 500);
    assert_eq!(told, format!("epoch,open,high,low,close\n{csv}"));
}

#[tokio::test]
async fn a_recording_is_all_there_is() {
    let text = "epoch,quote\n1773572400,616.4\n1773572402,616.5\n1773572470,616.29\n";
    let replay = Replay::read("R_100".parse().unwrap(), text.as_bytes()).unwrap();
    let simulator = Simulator::new(SimulatorConfig { replays: vec![replay], ..plain() });
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let ticks = client.ticks(history(NOW - 5000, NOW, 1000)).await;
    assert_eq!(epochs(&ticks), [1_773_572_400, 1_773_572_402, 1_773_572_470]);
    assert_eq!(ticks[2].1, "616.29");
    let candles = client.candles(minutes(NOW - 6000, NOW - 1)).await;
    let expected = json!([
        { "epoch": 1_773_572_400, "open": 616.4, "high": 616.5, "low": 616.4, "close": 616.5 },
        { "epoch": 1_773_572_460, "open": 616.29, "high": 616.29, "low": 616.29, "close": 616.29 },
    ]);
    assert_eq!(Value::from(candles), expected);
}
