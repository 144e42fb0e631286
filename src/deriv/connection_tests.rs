//! What a connection survives, over in-memory pipes in paused time: hostile frames and losses.

use futures_util::SinkExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::testing::{client_with, secs};
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
