//! The simulated exchange: the market-data API on loopback or in memory, deterministic from a seed.
//!
//! Its core, `api`, is a pure function of a request, the session, the moment and the seed; around
//! it stand a market with random access in time (`market`, `walk`) and the connections
//! ([`serve`](Simulator::serve)). It knows the API from its published schemas and reported traps,
//! never from `deriv/`: a shared mistake would hide itself.

mod api;
mod candles;
mod catalogue;
mod clock;
mod config;
mod connection;
mod fault;
mod fault_table;
mod frames;
mod gate;
mod history;
mod holes;
mod hours;
mod instruments;
mod limits;
mod live;
mod log;
mod market;
mod page;
mod price;
mod quirk;
mod replay;
mod reply;
mod serve;
#[cfg(test)]
mod tests;
mod truth;
mod upgrade;
mod validate;
mod walk;
mod world;
mod world_entry;
mod world_seed;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::{Epoch, EpochRange, Symbol};

pub use self::clock::SimClock;
pub use self::config::{Limits, SimulatorConfig, Straddle};
pub use self::fault::{Fault, FaultPlan, FaultPlanError, OUTAGE};
pub use self::log::{LoggedCall, LoggedEnd, Outcome};
pub use self::quirk::{Quirk, Quirks};
pub use self::replay::{Replay, ReplayError};
pub use self::truth::TruthError;
pub use self::world::{EVERY_SYMBOL, World};
pub use self::world_entry::{WORLD_QUIRKS, WorldError};

use self::api::{Call, Exchange, Session};
use self::clock::Clock;
use self::connection::Received;
use self::gate::Gate;
use self::history::HistoryRequest;
use self::limits::Budget;
use self::log::Log;
use self::market::{Market, locked};

/// A running exchange; connections share it through an [`Arc`].
#[derive(Debug)]
pub struct Simulator {
    exchange: Exchange,
    clock: Clock,
    started: Instant,
    budget: Mutex<Budget>,
    log: Mutex<Log>,
    gate: Gate,
    n_connections: AtomicU32,
    n_history: AtomicU64,
    /// Tells every connection that somebody moved the clock.
    moved: watch::Sender<()>,
    /// Tells every connection that a new version of the exchange takes over.
    deploys: watch::Sender<()>,
}

impl Simulator {
    /// Starts an exchange; its clock runs from here.
    pub fn new(mut config: SimulatorConfig) -> Arc<Self> {
        // The market keeps the recorded ticks; a second copy would be dead weight.
        let replays = std::mem::take(&mut config.replays);
        let is_listed = |symbol: &str| match &config.listed {
            Some(listed) => listed.iter().any(|known| known.as_str() == symbol),
            None => true,
        };
        let market = Market::new(config.seed, config.holes, &replays, &config.world, is_listed);
        Arc::new(Self {
            clock: Clock::start(config.clock),
            started: Instant::now(),
            budget: Mutex::new(Budget::new(config.limits)),
            log: Mutex::new(Log::default()),
            gate: Gate::open(),
            n_connections: AtomicU32::new(0),
            n_history: AtomicU64::new(0),
            moved: watch::Sender::new(()),
            deploys: watch::Sender::new(()),
            exchange: Exchange { market, config },
        })
    }

    /// The true moment; what `time` answers can be wrong by [`World::clock_error`].
    pub fn now(&self) -> Epoch {
        self.clock.now()
    }

    /// Makes the clock show `now` and run on from there at its pace; live streams catch up at once.
    pub fn set_now(&self, now: Epoch) {
        self.clock.set(now);
        self.moved.send_replace(());
    }

    /// Moves the clock forward (back when negative) by so many seconds.
    pub fn advance(&self, secs: i64) {
        self.set_now(self.now().plus(secs));
    }

    /// Tells whether there ever is a symbol of this name.
    pub fn knows(&self, symbol: &str) -> bool {
        self.exchange.market.find(symbol).is_some()
    }

    /// Every call so far, in the order of arrival.
    pub fn log(&self) -> Vec<LoggedCall> {
        locked(&self.log).calls()
    }

    /// The most calls that ever fell into one window of this length, `ping` and `time` left out.
    pub fn max_calls_in_any(&self, window: Duration) -> usize {
        locked(&self.log).max_in_any(window)
    }

    /// Stops answering `ticks_history` once `n` such calls have been answered since the start.
    ///
    /// Calls refused with `RateLimit` and calls that hang are neither counted nor held.
    pub fn hold_after(&self, n: u64) {
        self.gate.hold_after(n);
    }

    /// Answers everything that was held back, and all that follows.
    pub fn release(&self) {
        self.gate.release();
    }

    /// Number of `ticks_history` calls answered since the start, spoiled answers included.
    pub fn answered(&self) -> u64 {
        self.gate.passed()
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn quirks(&self) -> Quirks {
        self.exchange.config.quirks
    }

    fn latency(&self) -> Duration {
        self.exchange.config.latency
    }

    async fn pass_gate(&self) {
        self.gate.pass().await;
    }

    fn clock_moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    fn deploys(&self) -> watch::Receiver<()> {
        self.deploys.subscribe()
    }

    fn deploy(&self) {
        self.deploys.send_replace(());
    }

    fn next_second(&self) -> Option<Instant> {
        self.clock.next_second()
    }

    /// Tells whether an outage is on.
    fn is_out(&self) -> bool {
        self.exchange.config.faults.is_out(self.started.elapsed())
    }

    /// When the next outage begins.
    fn next_outage(&self) -> Option<Instant> {
        let begins = self.exchange.config.faults.next_outage(self.started.elapsed())?;
        Some(self.started + begins)
    }

    /// Counts a connection and says what is wrong with its upgrade.
    fn next_connection(&self) -> (u32, Option<Fault>) {
        let number = self.n_connections.fetch_add(1, Ordering::SeqCst) + 1;
        let fault =
            self.exchange.config.faults.of_connection(self.exchange.config.seed, number.into());
        (number, fault)
    }

    fn finish(&self, place: usize, outcome: Outcome) {
        locked(&self.log).finish(place, outcome);
    }

    /// Takes in one message: logs it, counts it against the limits, and draws its fault.
    fn receive(&self, session: &Session, text: &str) -> Received {
        let now = self.now();
        let (call, malformed) = match Call::read(session.surface, text) {
            Ok(call) => (call, None),
            Err(error) => (Call { name: "unknown", body: serde_json::Map::new() }, Some(error)),
        };
        let entry = logged(&call, session.connection, now);
        let is_limited = entry.is_limited();
        let window = entry_window(&entry, now);
        let (place, at) = {
            let mut log = locked(&self.log);
            let at = Instant::now();
            let received_after = at.duration_since(self.started);
            (log.push(LoggedCall { received_after, ..entry }), at)
        };
        let is_refused = is_limited && !locked(&self.budget).admit(at);
        let fault = if call.name == "ticks_history" && !is_refused {
            let number = self.n_history.fetch_add(1, Ordering::SeqCst) + 1;
            self.exchange.config.faults.of_call(self.exchange.config.seed, number, window)
        } else {
            None
        };
        Received { call, malformed, is_refused, fault, place, now: now.secs() }
    }
}

/// Every symbol the exchange lists unless it is configured otherwise.
pub fn symbols() -> Vec<Symbol> {
    instruments::all().iter().filter_map(|known| known.symbol.parse().ok()).collect()
}

/// The seconds a history call asks for.
fn entry_window(entry: &LoggedCall, now: Epoch) -> Option<EpochRange> {
    let end = match entry.end? {
        LoggedEnd::Latest => now,
        LoggedEnd::At(end) => end,
    };
    EpochRange::inclusive(entry.start.unwrap_or(now.plus(-86_400)), end)
}

/// What the log keeps of a call; `received_after` is set when it is pushed.
fn logged(call: &Call, connection: u32, now: Epoch) -> LoggedCall {
    let body = &call.body;
    let history = (call.name == "ticks_history").then(|| HistoryRequest::read(body));
    let history = history.as_ref();
    let symbol = body.get("ticks_history").or_else(|| body.get("ticks")).and_then(Value::as_str);
    LoggedCall {
        received_after: Duration::ZERO,
        now,
        connection,
        call: call.name,
        symbol: symbol.map(|symbol| symbol.chars().take(30).collect::<String>().into()),
        start: history.and_then(|history| history.start).map(Epoch::new),
        end: history.map(|history| {
            history.end.map_or(LoggedEnd::Latest, |end| LoggedEnd::At(Epoch::new(end)))
        }),
        count: history.and_then(|history| history.count),
        candles: history.is_some_and(|history| history.candles),
        granularity: history
            .and_then(|history| history.granularity)
            .and_then(|width| u32::try_from(width).ok()),
        req_id: body.get("req_id").and_then(Value::as_i64),
        outcome: Outcome::Pending,
    }
}
