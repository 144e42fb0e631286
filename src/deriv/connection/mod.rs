//! One task owns the socket; everybody else talks to the task.
//!
//! Calls go through a bounded channel to the [`actor`], which dials at the first of them, matches
//! answers to callers by `req_id`, pings, notices silence ([`patience`]), and dials again when a later call needs
//! it. A call is sent once: if its connection is lost, its caller is told and decides.

mod actor;
pub(super) mod handshake;
mod heard;
mod patience;
mod session;
mod waiters;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::actor::Actor;
pub(super) use self::waiters::Answer;
use self::waiters::Reply;
use super::config::DerivConfig;
use super::error::Failure;
use super::net::Connect;
use crate::domain::ErrorKind;

/// Calls that may wait for the task; more than any sensible concurrency, few enough to bound memory.
const MAX_QUEUED: usize = 64;

/// What the connections of a client went through so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionStats {
    /// Connections that were established, authorization included.
    pub connects: u64,
    /// Those of them that were not the first.
    pub reconnects: u64,
    /// Attempts to connect that failed.
    pub failed_connects: u64,
    /// Connections that were lost, not closed by us.
    pub losses: u64,
    /// Pings sent.
    pub pings: u64,
    /// Pings that were not answered; each ended its connection.
    pub pings_lost: u64,
    /// Requests whose answer did not come in time.
    pub timeouts: u64,
    /// Messages that belong to no waiting caller; dropped.
    pub stray_answers: u64,
    /// Live ticks dropped because their reader was too slow.
    pub dropped_ticks: u64,
    /// Requests sent whose answer is still waited for; 0 once the client is closed.
    pub in_flight: u64,
    /// A connection is being made, or waits for its turn to be.
    pub is_connecting: bool,
}

#[derive(Debug, Default)]
struct Counters {
    is_connecting: AtomicBool,
    connects: AtomicU64,
    failed_connects: AtomicU64,
    losses: AtomicU64,
    pings: AtomicU64,
    pings_lost: AtomicU64,
    timeouts: AtomicU64,
    stray_answers: AtomicU64,
    dropped_ticks: AtomicU64,
    in_flight: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What the task is asked to do.
#[derive(Debug)]
enum Command {
    /// Send `text` and hand its answer to `reply`.
    Call { req_id: u64, text: String, expects: &'static str, reply: Reply },
    /// End a subscription.
    Forget { id: String },
}

/// What the task shares with its handle.
#[derive(Debug)]
struct Shared {
    config: DerivConfig,
    counters: Counters,
    /// Numbers requests, over all connections: a late answer never meets a new request.
    next_req_id: AtomicU64,
    /// Tells the task to end.
    ending: CancellationToken,
}

impl Shared {
    fn is_connecting(&self, is_so: bool) {
        self.counters.is_connecting.store(is_so, Ordering::Relaxed);
    }

    fn next_req_id(&self) -> u64 {
        self.next_req_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// The handle of the task. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct Connection {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    /// Owns the task, so that [`close`](Self::close) can await it.
    tasks: TaskTracker,
}

impl Connection {
    /// Starts the task, which dials at the first call. Needs a tokio runtime.
    pub(super) fn start<C: Connect>(config: DerivConfig, connector: C) -> Self {
        let (commands, inbox) = mpsc::channel(MAX_QUEUED);
        let shared = Arc::new(Shared {
            config,
            counters: Counters::default(),
            next_req_id: AtomicU64::new(1),
            ending: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(Actor::new(Arc::clone(&shared), connector, inbox).run());
        tasks.close();
        Self { commands, shared, tasks }
    }

    pub(super) fn config(&self) -> &DerivConfig {
        &self.shared.config
    }

    /// A number for a request that is about to be written.
    pub(super) fn next_req_id(&self) -> u64 {
        self.shared.next_req_id()
    }

    /// Sends a request and waits for its answer, an error answer included.
    pub(super) async fn call(&self, req_id: u64, text: String, expects: &'static str) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(req_id, text, expects, Reply::Once(reply), answer).await
    }

    /// Sends a request that subscribes; later messages go to `items`, which is bounded.
    pub(super) async fn subscribe(
        &self,
        req_id: u64,
        text: String,
        expects: &'static str,
        items: mpsc::Sender<Utf8Bytes>,
    ) -> Answer {
        let (first, answer) = oneshot::channel();
        self.ask(req_id, text, expects, Reply::Stream { first, items }, answer).await
    }

    /// Ends a subscription without waiting; if the queue is full, its next message ends it.
    pub(super) fn forget(&self, id: String) {
        let _ = self.commands.try_send(Command::Forget { id });
    }

    async fn ask(
        &self,
        req_id: u64,
        text: String,
        expects: &'static str,
        reply: Reply,
        answer: oneshot::Receiver<Answer>,
    ) -> Answer {
        let command = Command::Call { req_id, text, expects, reply };
        self.commands.send(command).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ends the task and waits until it has ended; calls in flight fail as cancelled.
    pub(super) async fn close(&self) {
        self.shared.ending.cancel();
        self.tasks.wait().await;
    }

    pub(super) fn stats(&self) -> ConnectionStats {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionStats {
            connects: read(&counters.connects),
            reconnects: read(&counters.connects).saturating_sub(1),
            failed_connects: read(&counters.failed_connects),
            losses: read(&counters.losses),
            pings: read(&counters.pings),
            pings_lost: read(&counters.pings_lost),
            timeouts: read(&counters.timeouts),
            stray_answers: read(&counters.stray_answers),
            dropped_ticks: read(&counters.dropped_ticks),
            in_flight: read(&counters.in_flight),
            is_connecting: counters.is_connecting.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.ending.cancel();
    }
}

fn closed() -> Failure {
    Failure::new(ErrorKind::Cancelled, "the client was closed")
}
