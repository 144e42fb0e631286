//! The client against a scripted server over in-memory pipes, in paused time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::testing::{Exchange, client_with, secs};
use super::*;
use crate::domain::{EpochRange, Granularity, Series};

fn client() -> (DerivClient, Exchange) {
    client_with(DerivConfig::default())
}

fn legacy_with_token() -> DerivConfig {
    let endpoint = Endpoint::default_for(ApiVersion::Legacy);
    let token = Some(Secret::new("s3cret"));
    DerivConfig { token, ..DerivConfig::new(ApiVersion::Legacy, endpoint) }
}

fn page_of(kind: Kind, start: i64) -> PageRequest {
    PageRequest {
        series: Series { symbol: "R_100".parse().unwrap(), kind },
        range: EpochRange::new(Epoch::new(start), Epoch::new(start + 600)).unwrap(),
        limit: 1000,
    }
}

/// Asks for ticks from `start` on a task of its own.
pub(super) fn ask(
    client: &DerivClient,
    start: i64,
) -> impl Future<Output = Result<Page<Tick>, SourceError>> + use<> {
    let client = client.clone();
    let task = tokio::spawn(async move {
        MarketDataSource::<Tick>::fetch_page(&client, &page_of(Kind::Ticks, start)).await
    });
    async move { timeout(secs(600), task).await.expect("the call hangs").unwrap() }
}

fn start_of(page: &Page<Tick>) -> i64 {
    page.records[0].epoch.secs()
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_caller_in_any_order() {
    let (client, mut exchange) = client();
    let (one, two) = (ask(&client, 600), ask(&client, 1200));
    let mut peer = exchange.accept().await;
    let first = peer.request().await;
    let second = peer.request().await;
    assert_ne!(first["req_id"], second["req_id"]);
    peer.answer_ticks(&second).await;
    peer.answer_ticks(&first).await;
    assert_eq!(start_of(&one.await.unwrap()), 600);
    assert_eq!(start_of(&two.await.unwrap()), 1200);
    assert_eq!(exchange.n_dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn asks_exactly_what_the_schema_allows() {
    let (client, mut exchange) = client();
    let candles = tokio::spawn({
        let client = client.clone();
        async move {
            let request = page_of(Kind::Candles(Granularity::MINUTE), 600);
            MarketDataSource::<Candle>::fetch_page(&client, &request).await.unwrap()
        }
    });
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    let expected = json!({"ticks_history": "R_100", "start": 600, "end": "1199", "count": 1000,
                          "style": "candles", "granularity": 60, "req_id": request["req_id"]});
    assert_eq!(request, expected);
    let row = json!({"epoch": 600, "open": 1, "high": 2, "low": 1, "close": 2});
    peer.answer(&request, json!({"msg_type": "candles", "candles": [row]})).await;
    assert_eq!(candles.await.unwrap().records[0].high, 2.0);
}

#[tokio::test(start_paused = true)]
async fn tells_the_time_and_what_is_offered() {
    let (client, mut exchange) = client();
    let server = tokio::spawn(async move {
        let mut peer = exchange.accept().await;
        let request = peer.request().await;
        assert_eq!(request["time"], 1);
        peer.answer(&request, json!({"msg_type": "time", "time": 1_786_147_200})).await;
        let request = peer.request().await;
        assert_eq!(request, json!({"active_symbols": "brief", "req_id": request["req_id"]}));
        let row = json!({"underlying_symbol": "R_100", "pip_size": 0.01, "exchange_is_open": 1});
        peer.answer(&request, json!({"msg_type": "active_symbols", "active_symbols": [row]})).await;
    });
    assert_eq!(client.server_time().await.unwrap(), Epoch::new(1_786_147_200));
    assert_eq!(client.instruments().await.unwrap()[0].pip_size, Some(2));
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_a_stray_and_meets_nobody() {
    let (client, mut exchange) = client();
    let first = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let slow = peer.request().await;
    let error = first.await.unwrap_err();
    assert_eq!((error.kind, error.connection), (ErrorKind::Transport, None));
    assert!(error.message.ends_with("not answered within 30 s"), "{error}");
    assert_eq!(client.stats().timeouts, 1);

    let second = ask(&client, 1200);
    let quick = peer.request().await;
    peer.answer_ticks(&slow).await;
    peer.answer_ticks(&quick).await;
    assert_eq!(start_of(&second.await.unwrap()), 1200);
    assert_eq!(client.stats().stray_answers, 1);
    assert_eq!(exchange.n_dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn doubled_and_misnumbered_answers_harm_nobody() {
    let (client, mut exchange) = client();
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.say(r#"{"req_id":999,"msg_type":"history","history":{"prices":[],"times":[]}}"#).await;
    peer.answer_ticks(&request).await;
    peer.answer_ticks(&request).await;
    assert_eq!(start_of(&one.await.unwrap()), 600);
    let two = ask(&client, 1200);
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    assert_eq!(start_of(&two.await.unwrap()), 1200);
    assert_eq!(client.stats().stray_answers, 2);
}

#[tokio::test(start_paused = true)]
async fn swapped_numbers_are_noticed_by_the_echo() {
    let (client, mut exchange) = client();
    let (one, two) = (ask(&client, 600), ask(&client, 1200));
    let mut peer = exchange.accept().await;
    let mut first = peer.request().await;
    let mut second = peer.request().await;
    let number = first["req_id"].take();
    first["req_id"] = second["req_id"].take();
    second["req_id"] = number;
    peer.answer_ticks(&first).await;
    peer.answer_ticks(&second).await;
    for outcome in [one.await, two.await] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains("answer to another request"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_loss_is_told_to_every_caller_with_one_number() {
    let (client, mut exchange) = client();
    let (one, two) = (ask(&client, 600), ask(&client, 1200));
    let mut peer = exchange.accept().await;
    peer.request().await;
    peer.request().await;
    drop(peer);
    let (one, two) = (one.await.unwrap_err(), two.await.unwrap_err());
    assert_eq!((one.kind, two.kind), (ErrorKind::Transport, ErrorKind::Transport));
    assert_eq!((one.connection, two.connection), (Some(1), Some(1)));

    let third = ask(&client, 1800);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    assert_eq!(start_of(&third.await.unwrap()), 1800);
    let stats = client.stats();
    assert_eq!((stats.connects, stats.reconnects, stats.losses), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_is_dialled_ever_more_slowly() {
    let (client, exchange) = client();
    let n_dials = Arc::clone(&exchange.n_dials);
    drop(exchange);
    let start = Instant::now();
    let mut connections = Vec::new();
    for _ in 0..5 {
        let error = ask(&client, 600).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transport);
        assert!(error.cause.is_some());
        connections.push(error.connection);
    }
    assert_eq!(connections, [1, 2, 3, 4, 5].map(Some));
    // 1 + 2 + 4 + 8 s, each shortened by up to a quarter.
    let waited = start.elapsed();
    assert!((secs(11)..=secs(15)).contains(&waited), "{waited:?}");
    assert_eq!(n_dials.load(Ordering::Relaxed), 5);
}

#[tokio::test(start_paused = true)]
async fn callers_behind_a_failed_dial_share_its_fate() {
    let (client, exchange) = client();
    drop(exchange);
    let calls: Vec<_> = (1..=4).map(|n| ask(&client, n * 600)).collect();
    let mut connections = Vec::new();
    for call in calls {
        connections.push(call.await.unwrap_err().connection);
    }
    assert!(connections.iter().all(|connection| *connection == connections[0]), "{connections:?}");
}

#[tokio::test(start_paused = true)]
async fn a_half_open_socket_is_found_by_its_silence() {
    let (client, mut exchange) = client();
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    one.await.unwrap();
    let silent = tokio::spawn(peer.fall_silent());
    sleep(secs(29)).await;
    assert_eq!(client.stats().pings, 0);
    sleep(secs(2)).await;
    assert_eq!((client.stats().pings, client.stats().losses), (1, 0));
    sleep(secs(10)).await;
    let stats = client.stats();
    assert_eq!((stats.pings_lost, stats.losses), (1, 1));
    let two = ask(&client, 1200);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    two.await.unwrap();
    silent.abort();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_alive_by_pings() {
    let (client, mut exchange) = client();
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    one.await.unwrap();
    let server = tokio::spawn(async move { peer.request().await });
    sleep(secs(305)).await;
    let stats = client.stats();
    assert_eq!((stats.pings, stats.pings_lost, stats.losses), (10, 0, 0));
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_answer_belongs_to_the_only_caller_there_is() {
    for (n, garbage) in
        ["", "not json", "{\"req_id\":", "[1,2]", "{}", "null"].into_iter().enumerate()
    {
        let (client, mut exchange) = client();
        let one = ask(&client, 600);
        let mut peer = exchange.accept().await;
        peer.request().await;
        if n == 0 {
            peer.0.send(Message::binary(vec![0xff, 0xfe])).await.unwrap();
        } else {
            peer.say(garbage).await;
        }
        let error = one.await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{garbage:?}");
        assert_eq!(client.stats().stray_answers, 0, "{garbage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_answer_among_several_callers_belongs_to_nobody() {
    let (client, mut exchange) = client();
    let (one, two) = (ask(&client, 600), ask(&client, 1200));
    let mut peer = exchange.accept().await;
    let (first, second) = (peer.request().await, peer.request().await);
    peer.say("not json").await;
    peer.answer_ticks(&first).await;
    peer.answer_ticks(&second).await;
    one.await.unwrap();
    two.await.unwrap();
    assert_eq!(client.stats().stray_answers, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_without_a_number_belongs_to_the_only_caller_there_is() {
    let (client, mut exchange) = client();
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    peer.request().await;
    // A live message nobody subscribed to must not be taken for the answer.
    peer.say(r#"{"msg_type":"tick","tick":{},"subscription":{"id":"x"}}"#).await;
    peer.say(r#"{"msg_type":"error","error":{"code":"Brandnew","message":"What is this?"}}"#).await;
    let error = one.await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown);
    assert!(error.message.contains("`Brandnew`: What is this?"), "{error}");
    assert_eq!(client.stats().stray_answers, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_named_so() {
    let config = DerivConfig { max_message_bytes: 1000, ..DerivConfig::default() };
    let (client, mut exchange) = client_with(config);
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    peer.request().await;
    peer.say(&format!("{{\"req_id\":1,\"history\":\"{}\"}}", "x".repeat(2000))).await;
    let error = one.await.unwrap_err();
    assert_eq!((error.kind, error.connection), (ErrorKind::TooLarge, Some(1)));
    assert!(error.message.contains("larger than allowed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn authorization_precedes_everything_on_every_connection() {
    let (client, mut exchange) = client_with(legacy_with_token());
    for start in [600, 1200] {
        let call = ask(&client, start);
        let mut peer = exchange.accept().await;
        let request = peer.request().await;
        assert_eq!(request, json!({"authorize": "s3cret", "req_id": request["req_id"]}));
        peer.answer(&request, json!({"msg_type": "authorize", "authorize": {}})).await;
        let request = peer.request().await;
        assert_eq!(request["start"], start);
        peer.answer_ticks(&request).await;
        call.await.unwrap();
    }
    assert_eq!(client.stats().reconnects, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_the_end_and_not_a_loop() {
    let (client, mut exchange) = client_with(legacy_with_token());
    let call = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    let refusal = json!({"code": "InvalidToken", "message": "The token is invalid."});
    peer.answer(&request, json!({"msg_type": "authorize", "error": refusal})).await;
    let error = call.await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains("The token is invalid."), "{error}");
    assert!(!format!("{error:?} {client:?}").contains("s3cret"), "{error:?}");
    let again = ask(&client, 600).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Unauthorized);
    assert_eq!(exchange.n_dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn v1_never_sends_a_token() {
    let config = DerivConfig { token: Some(Secret::new("s3cret")), ..DerivConfig::default() };
    let (client, mut exchange) = client_with(config);
    let call = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    assert_eq!(request["ticks_history"], "R_100");
    peer.answer_ticks(&request).await;
    call.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_upgrade_is_told_with_its_reason() {
    let cases = [
        ("401 Unauthorized", ErrorKind::Unauthorized),
        ("403 Forbidden", ErrorKind::Unauthorized),
        ("400 Bad Request", ErrorKind::Rejected),
        ("429 Too Many Requests", ErrorKind::RateLimited),
        ("503 Service Unavailable", ErrorKind::Transport),
    ];
    for (status, kind) in cases {
        let endpoint = Endpoint::parse("ws://h/p?otp=s3cret").unwrap();
        let (client, mut exchange) = client_with(DerivConfig::new(ApiVersion::V1, endpoint));
        let call = ask(&client, 600);
        exchange.refuse(status, r#"{"errors":[{"code":"ValidationError"}]}"#).await;
        let error = call.await.unwrap_err();
        assert_eq!(error.kind, kind, "{status}: {error}");
        assert!(error.message.contains(&status[..3]), "{error}");
        assert!(error.message.contains("ValidationError"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_upgrades_is_given_up() {
    let (client, mut exchange) = client();
    let start = Instant::now();
    let call = ask(&client, 600);
    let pipe = exchange.raw().await;
    let error = call.await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transport);
    assert_eq!(start.elapsed().as_secs(), 15);
    drop(pipe);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_calls_and_says_goodbye() {
    let (client, mut exchange) = client();
    let call = ask(&client, 600);
    let mut peer = exchange.accept().await;
    peer.request().await;
    client.close().await;
    assert_eq!(call.await.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(peer.anything().await, None);
    assert_eq!(ask(&client, 600).await.unwrap_err().kind, ErrorKind::Cancelled);
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_clone_ends_the_connection() {
    let (client, mut exchange) = client();
    let call = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    call.await.unwrap();
    drop(client);
    let gone = timeout(secs(5), async { while peer.anything().await.is_some() {} }).await;
    assert!(gone.is_ok(), "the task lives on");
}

fn live(request: &Value, epoch: i64) -> Value {
    json!({"msg_type": "tick", "req_id": request["req_id"], "subscription": {"id": "sub-1"},
           "tick": {"epoch": epoch, "quote": 1.5, "symbol": "R_100", "id": "sub-1"}})
}

#[tokio::test(start_paused = true)]
async fn live_ticks_flow_until_their_reader_leaves() {
    let (client, mut exchange) = client();
    let peer = Arc::new(Mutex::new(None));
    let served = Arc::clone(&peer);
    let server = tokio::spawn(async move {
        let mut peer = exchange.accept().await;
        let request = peer.request().await;
        assert_eq!(request["ticks"], "R_100");
        for epoch in [10, 11, 12] {
            peer.say(&live(&request, epoch).to_string()).await;
        }
        *served.lock().await = Some(peer);
        request
    });
    let symbol: Symbol = "R_100".parse().unwrap();
    let mut ticks = client.subscribe_ticks(&symbol).await.unwrap();
    for epoch in [10, 11, 12] {
        assert_eq!(ticks.next().await.unwrap().unwrap().epoch, Epoch::new(epoch));
    }
    server.await.unwrap();
    drop(ticks);
    let mut peer = peer.lock().await.take().unwrap();
    assert_eq!(peer.request().await["forget"], "sub-1");
    assert_eq!(client.stats().stray_answers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_loses_ticks_and_never_holds_up_pages() {
    let (client, mut exchange) = client();
    let symbol: Symbol = "R_100".parse().unwrap();
    let server = tokio::spawn(async move {
        let mut peer = exchange.accept().await;
        let request = peer.request().await;
        for epoch in 0..400 {
            peer.say(&live(&request, 10 + epoch).to_string()).await;
        }
        let page = peer.request().await;
        peer.answer_ticks(&page).await;
        peer
    });
    let mut ticks = client.subscribe_ticks(&symbol).await.unwrap();
    ask(&client, 600).await.unwrap();
    assert_eq!(client.stats().dropped_ticks, 399 - MAX_WAITING_TICKS as u64);
    drop(server.await.unwrap());
    let mut n_read = 0;
    while ticks.next().await.is_some() {
        n_read += 1;
    }
    assert_eq!(n_read, 1 + MAX_WAITING_TICKS);
}

#[tokio::test(start_paused = true)]
async fn every_error_code_reaches_the_caller_as_its_kind() {
    let cases = [
        ("RateLimit", ErrorKind::RateLimited),
        ("InvalidSymbol", ErrorKind::UnknownSymbol),
        ("InvalidStartEnd", ErrorKind::Rejected),
        ("OutputValidationFailed", ErrorKind::TooLarge),
        ("WrongResponse", ErrorKind::ServerFault),
        ("Unheard", ErrorKind::Unknown),
    ];
    let (client, mut exchange) = client();
    let mut call = ask(&client, 600);
    let mut peer = exchange.accept().await;
    for (code, kind) in cases {
        let request = peer.request().await;
        let error = json!({"code": code, "message": "Words"});
        peer.answer(&request, json!({"msg_type": "ticks_history", "error": error})).await;
        assert_eq!(call.await.unwrap_err().kind, kind, "{code}");
        call = ask(&client, 600);
    }
    drop(call);
    // An error in band leaves the connection up.
    assert_eq!(exchange.n_dials(), 1);
}
