//! Calls, live streams, sessions and the knobs that tests turn.

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::simulator::{Fault, LoggedEnd, Outcome};

#[tokio::test]
async fn the_surfaces_describe_symbols_in_their_own_shapes() {
    let simulator = Simulator::new(plain());
    let mut v1 = Client::dial(&simulator, V1).await.unwrap();
    let mut legacy = Client::dial(&simulator, LEGACY).await.unwrap();
    let find = |answer: &Value, key: &str, symbol: &str| {
        let list = answer["active_symbols"].as_array().unwrap().clone();
        list.into_iter().find(|entry| entry[key] == symbol).unwrap()
    };
    let brief = json!({ "active_symbols": "brief" });
    let answer = v1.ask(brief.clone()).await;
    let euro = find(&answer, "underlying_symbol", "frxEURUSD");
    assert_eq!((&euro["pip_size"], &euro["exchange_is_open"]), (&json!(0.00001), &json!(0)));
    let index = find(&legacy.ask(brief).await, "symbol", "R_100");
    assert_eq!((&index["pip"], &index["exchange_is_open"]), (&json!(0.01), &json!(1)));
    let full = find(&legacy.ask(json!({ "active_symbols": "full" })).await, "symbol", "R_100");
    assert!(full["spot"].is_number());
    let strict = v1.ask(json!({ "active_symbols": "brief", "product_type": "basic" })).await;
    assert_eq!(code(&strict), "InputValidationFailed");
}

#[tokio::test]
async fn refusals_name_their_reason_and_echo_the_request() {
    let simulator = Simulator::new(SimulatorConfig { token: Some("good".to_owned()), ..plain() });
    let mut client = Client::dial(&simulator, LEGACY).await.unwrap();
    let mut check = async |request: Value, expected: &str| {
        let answer = client.ask(request.clone()).await;
        assert_eq!(code(&answer), expected, "{request}");
        answer
    };
    let answer =
        check(json!({ "ticks_history": "R_999", "end": "latest", "req_id": 3 }), "InvalidSymbol")
            .await;
    assert_eq!((&answer["req_id"], &answer["echo_req"]["req_id"]), (&json!(3), &json!(3)));
    assert_eq!(answer["error"]["message"], "Symbol R_999 is invalid.");
    check(history(NOW, NOW - 5, 5), "InvalidStartEnd").await;
    check(json!({ "proposal": 1 }), "UnrecognisedRequest").await;
    check(json!([1]), "BadRequest").await;
    check(json!({ "trading_times": "2026-02-31" }), "InvalidDateFormat").await;
    let answer = check(json!({ "authorize": "bad" }), "InvalidToken").await;
    assert_eq!(answer["echo_req"]["authorize"], "<not shown>");
    let answer = check(json!({ "authorize": "good", "passthrough": { "a": 1 } }), "no error").await;
    assert_eq!(answer["passthrough"], json!({ "a": 1 }));
    let answer = check(json!({ "website_status": 1 }), "no error").await;
    assert_eq!(answer["website_status"]["site_status"], "up");
    let answer = check(json!({ "trading_times": "2026-03-14" }), "no error").await;
    assert!(answer["trading_times"]["markets"].as_array().unwrap().len() > 3);
    assert_eq!(answer["echo_req"]["trading_times"], "2026-03-14");
}

#[tokio::test]
async fn wrong_paths_get_the_documented_body() {
    let simulator = Simulator::new(plain());
    for (path, status) in [("/", 400), ("/websockets/v3", 401), ("/websockets/v3?app_id=x", 401)] {
        let Err(tungstenite::Error::Http(response)) = Client::dial(&simulator, path).await else {
            panic!("{path} was accepted");
        };
        assert_eq!(response.status().as_u16(), status);
        let body = response.body().clone().unwrap_or_default();
        if !body.is_empty() {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["errors"][0]["status"], status);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ticks_are_streamed_until_forgotten() {
    let clock = SimClock::running(Epoch::new(NOW));
    let simulator = Simulator::new(SimulatorConfig { clock, ..plain() });
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let first = client.ask(json!({ "ticks": "R_100", "subscribe": 1, "req_id": 4 })).await;
    let id = first["subscription"]["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 36);
    assert_eq!(first["tick"]["epoch"], NOW);
    for second in [2, 4, 6] {
        let tick = client.next().await.unwrap();
        assert_eq!((&tick["tick"]["epoch"], &tick["req_id"]), (&json!(NOW + second), &json!(4)));
        assert_eq!(tick["subscription"]["id"], id.as_str());
    }
    let again = client.ask(json!({ "ticks": "R_100", "subscribe": 1 })).await;
    assert_eq!(code(&again), "AlreadySubscribed");
    assert_eq!(client.ask(json!({ "forget": id })).await["forget"], 1);
    assert!(tokio::time::timeout(60 * SECOND, client.next()).await.is_err());
}

#[tokio::test]
async fn history_can_be_followed_live_when_the_clock_is_moved_by_hand() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, LEGACY).await.unwrap();
    let ask = json!({ "ticks_history": "1HZ100V", "end": "latest", "count": 2, "style": "candles",
                      "granularity": 60, "subscribe": 1 });
    let first = client.ask(ask).await;
    assert_eq!(first["candles"].as_array().unwrap().len(), 2);
    simulator.advance(2);
    for second in [1, 2] {
        let message = client.next().await.unwrap();
        assert_eq!(message["msg_type"], "ohlc");
        assert_eq!(
            (&message["ohlc"]["epoch"], &message["ohlc"]["open_time"]),
            (&json!(NOW + second), &json!(NOW))
        );
        assert!(message["ohlc"]["open"].is_string());
    }
    let closed = client.ask(json!({ "forget_all": "candles" })).await;
    assert_eq!(closed["forget_all"], json!([first["subscription"]["id"]]));
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_closed_and_a_ping_keeps_it() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    tokio::time::sleep(100 * SECOND).await;
    client.socket.send(Message::Ping(Vec::new().into())).await.unwrap();
    assert!(matches!(client.socket.next().await, Some(Ok(Message::Pong(_)))));
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(client.ask(json!({ "ping": 1 })).await["ping"], "pong");
    tokio::time::sleep(121 * SECOND).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_held_back_and_overlap_in_their_latency() {
    let config = SimulatorConfig { latency: 5 * SECOND, ..plain() };
    let simulator = Simulator::new(config);
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let begin = tokio::time::Instant::now();
    simulator.hold_after(3);
    for _ in 0..5 {
        client.send(&history(NOW - 18, NOW, 10)).await;
    }
    for _ in 0..3 {
        assert!(client.next().await.is_some());
    }
    assert!(begin.elapsed() < 6 * SECOND);
    assert!(tokio::time::timeout(60 * SECOND, client.next()).await.is_err());
    assert_eq!(simulator.answered(), 3);
    simulator.release();
    assert!(client.next().await.is_some() && client.next().await.is_some());
}

#[tokio::test]
async fn the_log_says_what_was_asked() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    client.ask(json!({ "time": 1, "req_id": 1 })).await;
    client.ask(minutes(NOW - 600, NOW - 1)).await;
    client.ask(json!({ "ticks_history": "R_1", "end": "latest" })).await;
    let log = simulator.log();
    assert_eq!((log[0].call, log[0].req_id, log[0].is_limited()), ("time", Some(1), false));
    assert_eq!(log[1].symbol.as_deref(), Some("R_100"));
    assert_eq!(log[1].end, Some(LoggedEnd::At(Epoch::new(NOW - 1))));
    assert_eq!((log[1].granularity, log[1].candles), (Some(60), true));
    assert_eq!(log[1].outcome, Outcome::Answered { rows: 10 });
    assert_eq!(log[2].outcome, Outcome::Error("InvalidSymbol"));
}

#[tokio::test]
async fn serves_tcp_until_it_is_stopped() {
    let simulator = Simulator::new(plain());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(simulator.serve(listener, stop.clone()));
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{address}{V1}"), stream).await.unwrap();
    socket.send(Message::text(r#"{"ping":1}"#)).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(answer.contains("pong"), "{answer}");
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(!matches!(socket.next().await, Some(Ok(Message::Text(_)))));
}

#[tokio::test]
async fn a_reset_over_tcp_is_a_reset() {
    let simulator = with_faults(FaultPlan::one_shot(Fault::TcpReset, 1));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(simulator.serve(listener, stop.clone()));
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{address}{V1}"), stream).await.unwrap();
    socket.send(Message::text(history(NOW - 18, NOW, 10).to_string())).await.unwrap();
    let Some(Err(tungstenite::Error::Io(error))) = socket.next().await else { panic!("no reset") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_close_is_answered_with_a_close() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    client.socket.close(None).await.unwrap();
    assert!(matches!(client.socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(client.socket.next().await.is_none());
}

#[tokio::test]
async fn only_what_is_listed_is_served() {
    let listed = Some(vec!["R_100".parse().unwrap()]);
    let simulator = Simulator::new(SimulatorConfig { listed, ..plain() });
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let answer = client.ask(json!({ "active_symbols": "brief" })).await;
    assert_eq!(answer["active_symbols"].as_array().unwrap().len(), 1);
    let refused = client.ask(json!({ "ticks_history": "R_75", "end": "latest" })).await;
    assert_eq!(code(&refused), "InvalidSymbol");
}

#[tokio::test]
async fn the_basket_is_derived_but_keeps_forex_hours() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let answer = client.ask(json!({ "active_symbols": "brief" })).await;
    let list = answer["active_symbols"].as_array().unwrap();
    let basket = list.iter().find(|entry| entry["underlying_symbol"] == "WLDAUD").unwrap();
    assert_eq!(
        (&basket["market"], &basket["exchange_is_open"]),
        (&json!("synthetic_index"), &json!(0))
    );
}

/// The properties that the published schemas allow, and no others.
#[tokio::test]
async fn opening_hours_have_the_published_form() {
    let simulator = Simulator::new(plain());
    for (path, key) in [(V1, "underlying_symbol"), (LEGACY, "symbol")] {
        let mut client = Client::dial(&simulator, path).await.unwrap();
        let mut day_of = async |date: &str, symbol: &str| {
            let answer = client.ask(json!({ "trading_times": date, "req_id": 1 })).await;
            assert_eq!(
                (&answer["msg_type"], &answer["req_id"]),
                (&json!("trading_times"), &json!(1))
            );
            let markets = answer["trading_times"]["markets"].as_array().unwrap().clone();
            let submarkets = markets.iter().flat_map(|m| m["submarkets"].as_array().unwrap());
            let mut symbols = submarkets.flat_map(|s| s["symbols"].as_array().unwrap());
            symbols.find(|entry| entry[key] == symbol).unwrap().clone()
        };
        // Friday, Saturday, Sunday.
        let friday = day_of("2026-03-13", "frxEURUSD").await;
        let mut allowed = ["events", "name", "times", "trading_days", key];
        allowed.sort_unstable();
        assert!(friday.as_object().unwrap().keys().eq(allowed), "{friday}");
        assert_eq!(friday["times"]["close"], json!(["21:00:00"]));
        let saturday = day_of("2026-03-14", "frxEURUSD").await;
        assert_eq!(
            saturday["times"],
            json!({ "open": ["--"], "close": ["--"], "settlement": "--" })
        );
        assert_eq!(day_of("2026-03-15", "WLDAUD").await["times"]["open"], json!(["21:00:00"]));
        let two = json!({ "open": ["07:00:00", "13:00:00"], "close": ["12:00:00", "20:00:00"], "settlement": "20:00:00" });
        assert_eq!(day_of("2026-03-13", "OTC_SPC").await["times"], two);
        assert_eq!(day_of("today", "R_100").await["times"]["close"], json!(["23:59:59"]));
    }
}
