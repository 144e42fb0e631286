//! Conversations with the exchange over an in-memory pipe, judged by the published API alone.

mod facts;
mod faults;
mod sessions;
mod world;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::domain::Epoch;

use super::{FaultPlan, Limits, SimClock, Simulator, SimulatorConfig};

const V1: &str = "/trading/v1/options/ws/public";
const LEGACY: &str = "/websockets/v3?app_id=1089";

/// Sunday 2026-03-15 12:00:00 UTC, when the forex market is closed.
const NOW: i64 = 1_773_576_000;

const DAY: i64 = 86_400;

/// A raw client that knows nothing but WebSocket and JSON.
struct Client {
    socket: WebSocketStream<DuplexStream>,
}

impl Client {
    async fn dial(simulator: &Arc<Simulator>, path: &str) -> Result<Self, tungstenite::Error> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(Arc::clone(simulator).serve_stream(theirs));
        let (socket, _) = client_async(format!("ws://localhost{path}"), ours).await?;
        Ok(Self { socket })
    }

    async fn send(&mut self, request: &Value) {
        self.socket.send(Message::text(request.to_string())).await.unwrap();
    }

    /// The next message as JSON; `None` when the connection ends or says something else.
    async fn next(&mut self) -> Option<Value> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }

    async fn ask(&mut self, request: Value) -> Value {
        self.send(&request).await;
        self.next().await.expect("an answer in JSON")
    }

    /// Ticks as pairs of epoch and the price's text.
    async fn ticks(&mut self, request: Value) -> Vec<(i64, String)> {
        ticks_of(&self.ask(request).await)
    }

    async fn candles(&mut self, request: Value) -> Vec<Value> {
        self.ask(request).await["candles"].as_array().unwrap().clone()
    }
}

fn ticks_of(answer: &Value) -> Vec<(i64, String)> {
    let list = |name: &str| answer["history"][name].as_array().unwrap().clone();
    let (times, prices) = (list("times"), list("prices"));
    assert_eq!(times.len(), prices.len());
    times
        .iter()
        .map(|time| time.as_i64().unwrap())
        .zip(prices.iter().map(Value::to_string))
        .collect()
}

fn epochs(ticks: &[(i64, String)]) -> Vec<i64> {
    ticks.iter().map(|(epoch, _)| *epoch).collect()
}

/// No holes and no limits unless a test is about them.
fn plain() -> SimulatorConfig {
    SimulatorConfig {
        clock: SimClock::frozen(Epoch::new(NOW)),
        holes: false,
        limits: Limits::NONE,
        ..SimulatorConfig::default()
    }
}

fn with_faults(faults: FaultPlan) -> Arc<Simulator> {
    Simulator::new(SimulatorConfig { faults, ..plain() })
}

fn history(start: i64, end: i64, count: i64) -> Value {
    json!({ "ticks_history": "R_100", "start": start, "end": end.to_string(), "count": count,
            "style": "ticks", "req_id": 7 })
}

fn minutes(start: i64, end: i64) -> Value {
    json!({ "ticks_history": "R_100", "start": start, "end": end.to_string(), "count": 1000,
            "style": "candles", "granularity": 60, "req_id": 7 })
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("no error")
}

const SECOND: Duration = Duration::from_secs(1);
