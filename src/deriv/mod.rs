//! One exchange: Deriv's market data over a WebSocket.
//!
//! [`DerivClient`] is a [`MarketDataSource`] of ticks and candles. It asks exactly what it is told,
//! once, and reports honestly; pacing, waiting out outages and asking again live in
//! `resilience`.
//!
//! | file | what lives there |
//! |---|---|
//! | `config` | which API, where, as whom; addresses and tokens that cannot be printed by accident |
//! | `net` | TCP, proxies and TLS |
//! | `connection` | the task that owns the socket |
//! | `wire`, `skim` | the API's JSON, shape for shape; whose message it is, without reading the rest |
//! | `trading_times` | opening hours: wire and meaning |
//! | `convert` | wire → domain; every quirk is named and undone there |
//! | `probe` | the API asked raw, and each answer held against what is assumed |
//! | `error` | error codes → [`ErrorKind`] |

mod classify;
mod config;
mod connection;
#[cfg(test)]
mod connection_tests;
mod convert;
mod error;
mod net;
pub mod probe;
mod skim;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trading_times;
mod wire;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::connection::Connection;
use self::trading_times::TradingTimesRequest;
use self::wire::{SymbolsRequest, TicksRequest, TimeRequest};
use crate::domain::{
    Candle, Defect, Epoch, ErrorKind, Instrument, Kind, MarketDataSource, Page, PageRequest,
    SourceError, SourceInfo, Symbol, Tick, TradingDay,
};

#[doc(hidden)]
pub use self::classify::{classify, read_tick_page};
pub use self::config::{
    ApiVersion, DerivConfig, Endpoint, InvalidApiVersion, InvalidEndpoint, Secret,
};
pub use self::connection::ConnectionStats;
pub use self::net::{
    BoxedStream, ByteStream, Connect, DialSteps, InvalidProxy, InvalidTrustStore, NetConnector,
    Proxy, check_trust_store,
};

/// Live ticks that may wait for their reader: four minutes of the fastest series.
const MAX_WAITING_TICKS: usize = 256;

/// Asks Deriv for market data over one shared connection.
///
/// Clones share the connection. It is opened at the first call, and again after a loss when a
/// later call needs it. Dropping the last clone ends it; [`close`](Self::close) also waits for
/// the end.
#[derive(Debug, Clone)]
pub struct DerivClient {
    connection: Arc<Connection>,
}

impl DerivClient {
    /// Makes a client that dials with `connector` when it is first asked.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: the task that owns the socket starts here.
    pub fn new<C: Connect>(config: DerivConfig, connector: C) -> Self {
        Self { connection: Arc::new(Connection::start(config, connector)) }
    }

    /// Closes the connection and waits until its task has ended. Calls in flight, and all later
    /// ones of any clone, fail with [`ErrorKind::Cancelled`].
    pub async fn close(&self) {
        self.connection.close().await;
    }

    /// What the connections went through so far.
    pub fn stats(&self) -> ConnectionStats {
        self.connection.stats()
    }

    /// Where it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.connection.config().endpoint
    }

    /// Subscribes to the live ticks of `symbol`.
    ///
    /// # Errors
    ///
    /// As [`MarketDataSource::fetch_page`]; [`ErrorKind::MarketClosed`] if there is nothing to
    /// subscribe to now.
    pub async fn subscribe_ticks(&self, symbol: &Symbol) -> Result<TickSubscription, SourceError> {
        let what = format!("live ticks of {symbol}");
        let (items, later) = mpsc::channel(MAX_WAITING_TICKS);
        let req_id = self.connection.next_req_id();
        let request = TicksRequest { ticks: symbol.as_str(), subscribe: 1, req_id };
        let text = written(&what, &request)?;
        let answer = self.connection.subscribe(req_id, text, "tick", items).await;
        let first = answer.map_err(|failure| failure.about(&what))?;
        let tick = convert::live_tick(symbol, &first)?;
        let id = wire::peek(&first).ok().and_then(|envelope| envelope.subscription);
        let Some(id) = id.and_then(|subscription| subscription.id.non_empty()) else {
            return Err(error::malformed(
                Defect::MissingRows,
                &what,
                "`subscription.id` is missing",
            ));
        };
        let connection = Arc::clone(&self.connection);
        Ok(TickSubscription { connection, symbol: symbol.clone(), id, first: Some(tick), later })
    }

    /// Sends what `request` makes of its number and returns the answer as it came.
    async fn ask<T: Serialize>(
        &self,
        what: &(dyn fmt::Display + Sync),
        expects: &'static str,
        request: impl FnOnce(u64) -> T,
    ) -> Result<Utf8Bytes, SourceError> {
        let req_id = self.connection.next_req_id();
        let text = written(what, &request(req_id))?;
        let answer = self.connection.call(req_id, text, expects).await;
        answer.map_err(|failure| failure.about(what))
    }

    async fn ask_page(
        &self,
        request: &PageRequest,
        expects: &'static str,
    ) -> Result<Utf8Bytes, SourceError> {
        let mut wanted = convert::history_request(request, 0)?;
        let what = convert::describe(request);
        self.ask(&what, expects, move |req_id| {
            wanted.req_id = req_id;
            wanted
        })
        .await
    }
}

fn written<T: Serialize>(what: &dyn fmt::Display, request: &T) -> Result<String, SourceError> {
    wire::text_of(request).map_err(|error| {
        SourceError::new(ErrorKind::Rejected, format!("cannot write the request for {what}"))
            .with_cause(error)
    })
}

fn wrong_kind(request: &PageRequest, wanted: &str) -> SourceError {
    let message = format!("cannot ask for {} of {}", wanted, request.series);
    SourceError::new(ErrorKind::Rejected, message)
}

impl MarketDataSource<Tick> for DerivClient {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<Tick>, SourceError> {
        if request.series.kind != Kind::Ticks {
            return Err(wrong_kind(request, "ticks"));
        }
        let answer = self.ask_page(request, "history").await?;
        convert::tick_page(request, &answer)
    }
}

impl MarketDataSource<Candle> for DerivClient {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<Candle>, SourceError> {
        if request.series.kind.granularity().is_none() {
            return Err(wrong_kind(request, "candles"));
        }
        let answer = self.ask_page(request, "candles").await?;
        convert::candle_page(request, &answer)
    }
}

impl SourceInfo for DerivClient {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        let request = |req_id| TimeRequest { time: 1, req_id };
        let answer = self.ask(&"server time", "time", request).await?;
        convert::server_time(&answer)
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        let request = |req_id| SymbolsRequest { active_symbols: "brief", req_id };
        let answer = self.ask(&"list of symbols", "active_symbols", request).await?;
        convert::instruments(&answer)
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        let what = "opening hours";
        let Some(date) = trading_times::date_of(day) else { return Ok(Vec::new()) };
        let request = |req_id| TradingTimesRequest { trading_times: date, req_id };
        let answer = self.ask(&what, "trading_times", request).await?;
        trading_times::trading_days(day, &answer)
    }
}

/// Live ticks of one symbol. Dropping it tells the server to stop sending.
///
/// Ticks that its reader is too slow for are dropped and counted
/// ([`ConnectionStats::dropped_ticks`]).
#[derive(Debug)]
pub struct TickSubscription {
    connection: Arc<Connection>,
    symbol: Symbol,
    id: String,
    /// The answer to the subscription is itself the first tick.
    first: Option<Tick>,
    later: mpsc::Receiver<Utf8Bytes>,
}

impl TickSubscription {
    /// The next tick; `None` once the connection was lost or closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Tick, SourceError>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let text = self.later.recv().await?;
        Some(convert::live_tick(&self.symbol, &text))
    }
}

impl Drop for TickSubscription {
    fn drop(&mut self) {
        self.connection.forget(std::mem::take(&mut self.id));
    }
}
