//! One connection: requests in, answers out in any order, live streams between them.
//!
//! One task does all of it. Answers under way are futures of this task, so nothing outlives the
//! connection and nothing needs a lock across a wait.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::Simulator;
use super::api::{self, Answer, Call, Effect, Session};
use super::fault::Fault;
use super::frames;
use super::log::Outcome;
use super::quirk::Quirk;
use super::reply::{ApiError, Reply};

/// A client that says nothing for so long is disconnected. Source: published session rules.
const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// Answers under way on one connection before it stops reading.
const MAX_PENDING: usize = 1024;

/// What the `late` fault waits for when no other answer overtakes it.
const LATE: Duration = Duration::from_secs(2);

/// From the warning of a deploy to its cut.
const DEPLOY: Duration = Duration::from_secs(2);

/// What the `slow` fault waits for.
const SLOW: Duration = Duration::from_secs(3);

type Pending = FuturesUnordered<Pin<Box<dyn Future<Output = Delivery> + Send>>>;

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Serve,
    Close,
}

/// A request on its way to its answer.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) call: Call,
    /// Set if the message is no request at all.
    pub(super) malformed: Option<ApiError>,
    /// Set if the limits forbid it.
    pub(super) is_refused: bool,
    pub(super) fault: Option<Fault>,
    /// Place in the log.
    pub(super) place: usize,
    /// The exchange's clock on arrival.
    pub(super) now: i64,
}

/// An answer that is due.
#[derive(Debug)]
struct Delivery {
    messages: Vec<String>,
    fault: Option<Fault>,
    place: usize,
    outcome: Outcome,
    effect: Effect,
}

/// Serves one upgraded connection until it ends; `reset` makes its closing a reset where it can be one.
pub(super) async fn run<S>(
    simulator: Arc<Simulator>,
    socket: WebSocketStream<S>,
    session: Session,
    reset: fn(&S),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let moved = simulator.clock_moves();
    let deploys = simulator.deploys();
    let delivered = watch::Sender::new(0);
    let pending = Pending::new();
    Connection { simulator, socket, session, reset, delivered, pending, stalls: false }
        .run(moved, deploys)
        .await;
}

struct Connection<S> {
    simulator: Arc<Simulator>,
    socket: WebSocketStream<S>,
    session: Session,
    reset: fn(&S),
    /// Number of answers delivered here; late answers wait for it to change.
    delivered: watch::Sender<u64>,
    pending: Pending,
    /// Set once nothing is to be answered any more.
    stalls: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn run(mut self, mut moved: watch::Receiver<()>, mut deploys: watch::Receiver<()>) {
        let idle_limit = self.idle_limit();
        let mut idle = Instant::now() + idle_limit;
        let mut wake = None;
        let outage = self.simulator.next_outage();
        let mut cut = None;
        while !self.stalls {
            // Kept until it has passed, or busy traffic would push it ahead of itself.
            if !self.session.streams.is_empty() {
                wake = wake.or_else(|| self.simulator.next_second());
            }
            let is_full = self.pending.len() >= MAX_PENDING;
            let next = tokio::select! {
                message = self.socket.next(), if !is_full => {
                    idle = Instant::now() + idle_limit;
                    match message {
                        Some(Ok(Message::Close(_))) => {
                            // The protocol layer has its reply ready; it only has to leave.
                            let _ = self.socket.flush().await;
                            Next::Close
                        }
                        Some(Ok(message)) => self.take(message),
                        _ => Next::Close,
                    }
                }
                Some(delivery) = self.pending.next(), if !self.pending.is_empty() => {
                    self.deliver(delivery).await
                }
                () = until(wake) => {
                    wake = None;
                    self.stream().await
                }
                _ = moved.changed() => self.stream().await,
                () = sleep_until(idle) => {
                    // The peer may be gone already; then there is nobody to say goodbye to.
                    let _ = self.socket.close(None).await;
                    Next::Close
                }
                Ok(()) = deploys.changed() => {
                    cut = cut.or(Some(Instant::now() + DEPLOY));
                    self.say_updating().await
                }
                () = until(cut) => Next::Close,
                () = until(outage) => Next::Close,
            };
            if next == Next::Close {
                return;
            }
        }
        self.stall(outage).await;
    }

    /// How long this client may say nothing.
    fn idle_limit(&self) -> Duration {
        let quirks = self.simulator.quirks();
        if quirks.has(Quirk::ShortIdle) {
            IDLE_LIMIT / 2
        } else if quirks.has(Quirk::NeverIdle) {
            IDLE_LIMIT * 1000
        } else {
            IDLE_LIMIT
        }
    }

    /// Takes everything and says nothing, not even to the pings of the protocol layer.
    async fn stall(mut self, outage: Option<Instant>) {
        let mut nowhere = tokio::io::sink();
        tokio::select! {
            _ = tokio::io::copy(self.socket.get_mut(), &mut nowhere) => {}
            () = until(outage) => {}
        }
    }

    /// Warns of a deploy, as the status page of the exchange does.
    async fn say_updating(&mut self) -> Next {
        let text = r#"{"msg_type":"website_status","website_status":{"site_status":"updating"}}"#;
        match self.socket.send(Message::text(text)).await {
            Ok(()) => Next::Serve,
            Err(_) => Next::Close,
        }
    }

    /// Starts on whatever the client sent. Pings are answered by the protocol layer.
    fn take(&mut self, message: Message) -> Next {
        match message {
            Message::Text(text) => self.ask(&text),
            Message::Binary(bytes) => self.ask(&String::from_utf8_lossy(&bytes)),
            Message::Close(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        Next::Serve
    }

    fn ask(&mut self, text: &str) {
        let received = self.simulator.receive(&self.session, text);
        if let Some(fault @ (Fault::Hang | Fault::Stall)) = received.fault {
            self.simulator.finish(received.place, Outcome::Fault(fault.name()));
            self.stalls = fault == Fault::Stall;
            return;
        }
        let session = self.session.clone();
        // An answer opens at most one stream per symbol it names.
        let asked = received.call.body.get("ticks").and_then(|ticks| ticks.as_array());
        self.session.n_ids += 1 + asked.map_or(0, Vec::len) as u64;
        let simulator = Arc::clone(&self.simulator);
        let overtaken = self.delivered.subscribe();
        self.pending.push(Box::pin(prepare(simulator, session, received, overtaken)));
    }

    /// Sends an answer, or spoils its sending.
    async fn deliver(&mut self, delivery: Delivery) -> Next {
        let Delivery { messages, fault, place, outcome, effect } = delivery;
        self.simulator.finish(place, outcome);
        let is_error = matches!(outcome, Outcome::Error(_));
        match fault {
            Some(Fault::Drop) => return Next::Close,
            Some(Fault::TcpReset) => {
                (self.reset)(self.socket.get_ref());
                return Next::Close;
            }
            Some(Fault::CloseAway) => {
                let _ = self.socket.close(Some(frames::going_away())).await;
                return Next::Close;
            }
            Some(Fault::ClosePolicy) => {
                let _ = self.socket.close(Some(frames::against_the_rules())).await;
                return Next::Close;
            }
            Some(Fault::DropMidFrame) => {
                // Whatever happens to this write, the connection ends.
                let _ = frames::write_half(self.socket.get_mut(), &messages.concat()).await;
                return Next::Close;
            }
            Some(Fault::Deploy) => self.simulator.deploy(),
            _ => {}
        }
        for text in messages {
            if frames::send(&mut self.socket, text, fault).await.is_err() {
                return Next::Close;
            }
        }
        self.session.streams.retain(|stream| !effect.closed.contains(&stream.id));
        self.session.streams.extend(effect.opened);
        self.delivered.send_modify(|n| *n += 1);
        if is_error && self.simulator.quirks().has(Quirk::CloseOnError) {
            // The answer is out; whether the farewell is heard does not matter.
            let _ = self.socket.close(None).await;
            return Next::Close;
        }
        Next::Serve
    }

    /// Sends what became due on every stream.
    async fn stream(&mut self) -> Next {
        let now = self.simulator.now().secs();
        let market = &self.simulator.exchange().market;
        let messages: Vec<String> = self
            .session
            .streams
            .iter_mut()
            .flat_map(|stream| stream.messages(market, now))
            .collect();
        for text in messages {
            if self.socket.send(Message::text(text)).await.is_err() {
                return Next::Close;
            }
        }
        Next::Serve
    }
}

/// Waits for a moment, for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Works an answer out and waits until it is due.
async fn prepare(
    simulator: Arc<Simulator>,
    session: Session,
    received: Received,
    mut overtaken: watch::Receiver<u64>,
) -> Delivery {
    let Received { call, malformed, is_refused, fault, place, now } = received;
    let is_page = call.name == "ticks_history" && !is_refused;
    let answer = if let Some(error) = malformed {
        Answer::error(&call, &error)
    } else if is_refused {
        call.refused()
    } else {
        work_out(Arc::clone(&simulator), session, call, now, fault).await
    };
    // Not even a wait of nothing: tokio rounds timers up to a millisecond.
    let latency = simulator.latency();
    if !latency.is_zero() {
        sleep(latency).await;
    }
    match fault {
        Some(Fault::Slow) => sleep(SLOW).await,
        // Time-out and overtaking both end the wait.
        Some(Fault::Late) => drop(tokio::time::timeout(LATE, overtaken.changed()).await),
        _ => {}
    }
    if is_page {
        simulator.pass_gate().await;
    }
    let outcome = fault.map_or(answer.outcome, |fault| Outcome::Fault(fault.name()));
    let messages = answer.replies.iter().map(Reply::render).collect();
    Delivery { messages, fault, place, outcome, effect: answer.effect }
}

/// Answers a call; candles may take many blocks of ticks, so they leave the async threads.
async fn work_out(
    simulator: Arc<Simulator>,
    session: Session,
    call: Call,
    now: i64,
    fault: Option<Fault>,
) -> Answer {
    let is_heavy = call.body.get("style").is_some_and(|style| style == "candles");
    if !is_heavy {
        return api::answer(simulator.exchange(), &session, &call, now, fault);
    }
    let work = move || api::answer(simulator.exchange(), &session, &call, now, fault);
    tokio::task::spawn_blocking(work).await.expect("answering does not panic and is not aborted")
}
