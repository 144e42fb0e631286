//! A scripted server over in-memory pipes.
//!
//! It knows nothing but WebSocket: each test reads requests and writes answers itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::{BoxedStream, Connect, DerivClient, DerivConfig, Endpoint};

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Dials in-memory pipes; the other ends go to the test.
pub(super) struct Pipes {
    far_ends: mpsc::Sender<DuplexStream>,
    n_dials: Arc<AtomicUsize>,
}

impl Connect for Pipes {
    async fn dial(&self, _: &Endpoint) -> io::Result<BoxedStream> {
        self.n_dials.fetch_add(1, Ordering::Relaxed);
        let (near, far) = tokio::io::duplex(1 << 20);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        self.far_ends.send(far).await.map_err(|_| refused())?;
        Ok(Box::new(near))
    }
}

/// The server's side of all pipes.
pub(super) struct Exchange {
    far_ends: mpsc::Receiver<DuplexStream>,
    pub(super) n_dials: Arc<AtomicUsize>,
}

impl Exchange {
    /// The next connection, after the upgrade.
    pub(super) async fn accept(&mut self) -> Peer {
        Peer(accept_async(self.raw().await).await.unwrap())
    }

    /// The next connection, before the upgrade.
    pub(super) async fn raw(&mut self) -> DuplexStream {
        timeout(secs(60), self.far_ends.recv()).await.expect("nobody dialled").unwrap()
    }

    /// Answers the next upgrade with plain HTTP.
    pub(super) async fn refuse(&mut self, status: &str, body: &str) {
        let mut pipe = self.raw().await;
        let mut request = vec![0; 4096];
        let _ = pipe.read(&mut request).await.unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        pipe.write_all(answer.as_bytes()).await.unwrap();
    }

    pub(super) fn n_dials(&self) -> usize {
        self.n_dials.load(Ordering::Relaxed)
    }
}

/// The server's side of one connection.
pub(super) struct Peer(pub(super) WebSocketStream<DuplexStream>);

impl Peer {
    /// The next request that is no ping; pings are answered.
    pub(super) async fn request(&mut self) -> Value {
        loop {
            let request = self.anything().await.expect("the client left");
            if request.get("ping").is_none() {
                return request;
            }
            self.answer(&request, json!({"msg_type": "ping", "ping": "pong"})).await;
        }
    }

    /// The next request, pings included; `None` once the client closed.
    pub(super) async fn anything(&mut self) -> Option<Value> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    pub(super) async fn answer(&mut self, request: &Value, mut body: Value) {
        body["req_id"] = request["req_id"].clone();
        body["echo_req"] = request.clone();
        self.say(&body.to_string()).await;
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(super) async fn answer_ticks(&mut self, request: &Value) {
        self.answer(request, ticks_from(request)).await;
    }

    /// The same to a client that may be gone.
    pub(super) async fn tries_to_answer_ticks(&mut self, request: &Value) -> bool {
        let mut body = ticks_from(request);
        body["req_id"] = request["req_id"].clone();
        body["echo_req"] = request.clone();
        self.0.send(Message::text(body.to_string())).await.is_ok()
    }

    /// Reads nothing and says nothing for ever, with the connection open.
    pub(super) async fn fall_silent(self) {
        std::future::pending::<()>().await;
        drop(self);
    }
}

/// A page with one tick at the asked start.
fn ticks_from(request: &Value) -> Value {
    json!({"msg_type": "history", "pip_size": 2,
           "history": {"prices": [1.25], "times": [request["start"]]}})
}

/// A client, and the server it dials.
pub(super) fn client_with(config: DerivConfig) -> (DerivClient, Exchange) {
    let (sender, far_ends) = mpsc::channel(8);
    let n_dials = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes { far_ends: sender, n_dials: Arc::clone(&n_dials) };
    (DerivClient::new(config, pipes), Exchange { far_ends, n_dials })
}
