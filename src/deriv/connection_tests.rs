//! What a connection survives, over in-memory pipes in paused time: hostile frames and losses.

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::testing::{Exchange, Peer, client_with, secs};
use super::tests::ask;
use super::*;

/// A frame that says it is too large ends the connection at its header: nothing of it is waited for.
#[tokio::test(start_paused = true)]
async fn a_huge_frame_is_refused_before_it_is_there() {
    let (client, mut exchange) = client_with(DerivConfig::default());
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    peer.request().await;
    let mut header = vec![0x81, 127];
    header.extend((64_u64 << 20).to_be_bytes());
    let pipe = peer.0.get_mut();
    pipe.write_all(&header).await.unwrap();
    pipe.flush().await.unwrap();
    let start = Instant::now();
    assert_eq!(one.await.unwrap_err().kind, ErrorKind::TooLarge);
    assert!(start.elapsed() < secs(1), "it waited for the rest of the frame");
}

/// After every kind of loss the table of waiters is empty, and the task ends when it is told to.
#[tokio::test(start_paused = true)]
async fn no_waiter_and_no_task_is_left_after_many_losses() {
    let (client, mut exchange) = client_with(DerivConfig::default());
    for round in 0..8 {
        let calls: Vec<_> = (1..=3).map(|n| ask(&client, n * 600)).collect();
        let mut peer = exchange.accept().await;
        for _ in 0..3 {
            peer.request().await;
        }
        match round % 4 {
            0 => drop(peer),
            1 => peer.0.close(None).await.unwrap(),
            2 => peer.0.send(Message::text("x".repeat(9 << 20))).await.unwrap_or_default(),
            // Never answers again: the deadline of the calls and then a ping find out.
            _ => {
                let mut pipe = peer.0.into_inner();
                tokio::spawn(
                    async move { tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await },
                );
            }
        }
        for call in calls {
            let kind = call.await.unwrap_err().kind;
            assert!(matches!(kind, ErrorKind::Transport | ErrorKind::TooLarge), "{kind:?}");
        }
        assert_eq!(client.stats().in_flight, 0, "round {round}");
        tokio::time::sleep(secs(60)).await;
    }
    let stats = client.stats();
    assert_eq!((stats.connects, stats.losses), (8, 8));
    client.close().await;
    assert_eq!(client.stats().in_flight, 0);
}

/// A token that ends in the middle is told as such, with where to look, and never shown.
#[tokio::test(start_paused = true)]
async fn a_token_that_expires_is_told_with_where_to_look() {
    let (client, mut exchange) = client_with(DerivConfig::default());
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    let error = json!({"code": "InvalidToken", "message": "The token has expired."});
    peer.answer(&request, json!({"msg_type": "ticks_history", "error": error})).await;
    let error = one.await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains("TITAN_TOKEN"), "{error}");
}

/// A server that answers one request at once: what a client then takes for quick.
async fn quick_server() -> (DerivClient, Exchange, Peer) {
    let (client, mut exchange) = client_with(DerivConfig::default());
    let one = ask(&client, 600);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    one.await.unwrap();
    (client, exchange, peer)
}

/// One answer in ten was followed by silence, and each silence cost 40 seconds.
#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_noticed_in_seconds() {
    let (client, mut exchange, peer) = quick_server().await;
    let silent = tokio::spawn(peer.fall_silent());
    let start = Instant::now();
    let error = ask(&client, 1200).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis(), 2_500, "{error}");
    assert_eq!((error.kind, error.connection), (ErrorKind::Transport, Some(1)));
    assert!(error.message.contains("a ping was not answered"), "{error}");
    let again = ask(&client, 1200);
    let mut peer = exchange.accept().await;
    let request = peer.request().await;
    peer.answer_ticks(&request).await;
    again.await.unwrap();
    assert_eq!((client.stats().losses, client.stats().pings_lost), (1, 1));
    silent.abort();
}

/// A slow server that answers pings has all the time that `--timeout` gives it.
#[tokio::test(start_paused = true)]
async fn a_slow_server_that_answers_pings_is_waited_for() {
    let (client, exchange, mut peer) = quick_server().await;
    let slow = ask(&client, 1200);
    let request = peer.request().await;
    let start = Instant::now();
    // `request` answers the pings, and nothing else is asked meanwhile.
    let _ = tokio::time::timeout(secs(29), peer.request()).await;
    assert_eq!(start.elapsed(), secs(29));
    peer.answer_ticks(&request).await;
    slow.await.unwrap();
    let stats = client.stats();
    assert_eq!((stats.timeouts, stats.losses, exchange.n_dials()), (0, 0, 1));
    assert!((3..=6).contains(&stats.pings), "{} pings in 29 s", stats.pings);
}

/// A server that answers in order answers no ping before the page it works on. It is cut off at
/// first, and with more patience each time until it has its time.
#[tokio::test(start_paused = true)]
async fn a_slow_server_that_answers_in_order_gets_through_in_the_end() {
    let (client, mut exchange, peer) = quick_server().await;
    drop(peer);
    let server = tokio::spawn(async move {
        loop {
            let mut peer = exchange.accept().await;
            tokio::spawn(async move {
                while let Some(request) = peer.anything().await {
                    tokio::time::sleep(secs(20)).await;
                    if request.get("ping").is_none() && !peer.tries_to_answer_ticks(&request).await
                    {
                        return;
                    }
                }
            });
        }
    });
    let mut n_failures = 0;
    while let Err(error) = ask(&client, 1200).await {
        assert_eq!(error.kind, ErrorKind::Transport);
        n_failures += 1;
        assert!(n_failures < 5, "{error}");
    }
    assert!((1..=4).contains(&n_failures), "{n_failures}");
    server.abort();
}

/// On a slow line the bytes of a long answer are all that comes, and pongs queue up behind them.
#[tokio::test(start_paused = true)]
async fn a_long_answer_on_its_way_is_life() {
    let (client, exchange, mut peer) = quick_server().await;
    let call = ask(&client, 1200);
    let request = peer.request().await;
    let text = json!({"msg_type": "history", "req_id": request["req_id"], "echo_req": request,
                      "pip_size": 2, "history": {"prices": [1.25], "times": [1200]}});
    let text = format!("{text}{}", " ".repeat(10_000));
    let pipe = peer.0.get_mut();
    pipe.write_all(&[0x81, 126]).await.unwrap();
    pipe.write_all(&u16::try_from(text.len()).unwrap().to_be_bytes()).await.unwrap();
    for piece in text.as_bytes().chunks(text.len() / 20 + 1) {
        pipe.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_400)).await;
    }
    call.await.unwrap();
    assert_eq!((client.stats().losses, client.stats().timeouts, exchange.n_dials()), (0, 0, 1));
}

/// A request that is lost while others are answered is given up after five seconds, its next
/// attempt after ten, and an answer that comes late teaches patience.
#[tokio::test(start_paused = true)]
async fn a_request_that_others_overtake_is_given_up_sooner() {
    let (client, _exchange, mut peer) = quick_server().await;
    let mut lost = Vec::new();
    for expected in [5, 10] {
        let start = Instant::now();
        let call = ask(&client, 1200);
        lost.push(peer.request().await);
        for n in 0..3 {
            let other = ask(&client, 6000 + 600 * n);
            tokio::time::sleep(Duration::from_millis(10)).await;
            let request = peer.request().await;
            peer.answer_ticks(&request).await;
            other.await.unwrap();
        }
        let server = tokio::spawn(async move {
            let _ = tokio::time::timeout(secs(expected + 1), peer.request()).await;
            peer
        });
        let error = call.await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), expected, "{error}");
        let told = format!("not answered within {expected} s");
        assert!(error.message.ends_with(&told), "{error}");
        peer = server.await.unwrap();
    }
    assert_eq!((client.stats().timeouts, client.stats().losses), (2, 0));
    // The answer to the first attempt: 17 seconds and more, so three times as long is too long.
    peer.answer_ticks(&lost[0]).await;
    let start = Instant::now();
    let call = ask(&client, 1800);
    peer.request().await;
    for n in 0..3 {
        let other = ask(&client, 9000 + 600 * n);
        let request = peer.request().await;
        peer.answer_ticks(&request).await;
        other.await.unwrap();
    }
    let server = tokio::spawn(async move { peer.request().await });
    call.await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 30);
    server.abort();
}

/// A server that takes the connection and never says a word held up every tenth connection for 15 s.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_made_is_given_up_sooner_once_others_were() {
    let (client, mut exchange, peer) = quick_server().await;
    drop(peer);
    tokio::time::sleep(secs(60)).await;
    let start = Instant::now();
    let call = ask(&client, 1200);
    let pipe = exchange.raw().await;
    let error = call.await.unwrap_err();
    assert!(error.message.contains("did not accept a connection within 6 s"), "{error}");
    assert_eq!(start.elapsed().as_secs(), 6);
    drop(pipe);
}
