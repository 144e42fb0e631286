//! The life of one connection, from its first request to its end.
//!
//! - A message that cannot be matched is counted and dropped; if exactly one request is in flight,
//!   an unreadable message is taken for its answer.
//! - A message above the size limit, or text that is no UTF-8, ends the connection: what follows
//!   it cannot be trusted to be in step.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::handshake::{Socket, describe_loss, rounded_secs};
use super::patience::{Patience, question_of};
use super::waiters::{Reply, Waiter, Waiters};
use super::{Command, Shared, closed, count};
use crate::deriv::error::{Failure, printable};
use crate::deriv::wire::{self, Envelope, ForgetRequest, PingRequest, Text};
use crate::domain::ErrorKind;

/// For the farewell; who does not read it does not miss it.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// So many later requests are answered before a request counts as overtaken: answers come in any
/// order, and one may be slow.
const MOST_OVERTAKERS: u32 = 3;

/// Requests given up whose answers may still come.
const MOST_GIVEN_UP: usize = 64;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By us; there will be no other.
    Closed,
    /// By the server or the network.
    Lost,
}

/// Why a session stops.
enum Stop {
    Closed,
    Lost(Failure),
}

/// What a session waits for.
enum Event {
    Ending,
    Message(Option<Result<Message, WsError>>),
    Command(Option<Command>),
    Timer,
}

pub(super) struct Session<'a> {
    shared: &'a Shared,
    patience: &'a mut Patience,
    id: u64,
    socket: Socket,
    waiters: Waiters,
    /// When each request that was given up had been sent, by its number.
    given_up: HashMap<u64, Instant>,
    /// Subscription id → its reader.
    streams: HashMap<String, mpsc::Sender<Utf8Bytes>>,
    next_ping: Instant,
    /// Until when the ping in flight must be answered, if one is.
    pong_until: Option<Instant>,
    /// Pings sent since the last answer to anything else.
    n_pings: u32,
    /// Whether any answer came: such a connection did not fail, it ended.
    was_useful: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        patience: &'a mut Patience,
        id: u64,
        socket: Socket,
    ) -> Self {
        Self {
            shared,
            patience,
            id,
            socket,
            waiters: Waiters::default(),
            given_up: HashMap::new(),
            streams: HashMap::new(),
            next_ping: Instant::now() + shared.config.ping_every,
            pong_until: None,
            n_pings: 0,
            was_useful: false,
        }
    }

    /// Tells whether the server answered anything.
    pub(super) fn was_useful(&self) -> bool {
        self.was_useful
    }

    /// Serves `first` and every later command until the connection ends.
    pub(super) async fn run(&mut self, first: Command, inbox: &mut mpsc::Receiver<Command>) -> End {
        let mut step = self.obey(first).await;
        while step.is_ok() {
            self.note_in_flight();
            step = match self.next_event(inbox).await {
                Event::Ending | Event::Command(None) => Err(Stop::Closed),
                Event::Message(message) => self.receive(message).await,
                Event::Command(Some(command)) => self.obey(command).await,
                Event::Timer => self.keep_time().await,
            };
        }
        let end = match step {
            Err(Stop::Lost(failure)) => self.lose(&failure),
            _ => self.close().await,
        };
        self.note_in_flight();
        end
    }

    fn note_in_flight(&self) {
        self.shared.counters.in_flight.store(self.waiters.len() as u64, Ordering::Relaxed);
    }

    /// Fair between its sources: a server that never stops talking must not stop the clock.
    async fn next_event(&mut self, inbox: &mut mpsc::Receiver<Command>) -> Event {
        let wake = self.next_wake();
        tokio::select! {
            () = self.shared.ending.cancelled() => Event::Ending,
            message = self.socket.next() => Event::Message(message),
            command = inbox.recv() => Event::Command(command),
            () = sleep_until(wake) => Event::Timer,
        }
    }

    fn next_wake(&self) -> Instant {
        let ping = self.pong_until.unwrap_or_else(|| self.ping_at());
        let deadline = self.waiters.next_deadline(|waiter| deadline_of(self.patience, waiter));
        deadline.map_or(ping, |deadline| deadline.min(ping))
    }

    /// When a ping is due: when it is time for one, and sooner if answers are overdue and nothing
    /// at all comes.
    fn ping_at(&self) -> Instant {
        let Some(oldest) = self.waiters.oldest() else { return self.next_ping };
        let silent_since = self.socket.get_ref().last().max(oldest.sent);
        let quiet = self.patience.quiet(self.waiters.questions(), self.n_pings);
        self.next_ping.min(silent_since + quiet)
    }

    async fn obey(&mut self, command: Command) -> Result<(), Stop> {
        match command {
            Command::Call { reply, .. } if reply.is_abandoned() => Ok(()),
            Command::Call { req_id, text, expects, reply } => {
                self.send(req_id, text, expects, reply).await
            }
            Command::Forget { id } => self.forget(&id).await,
        }
    }

    /// The waiter is entered first: whatever happens to the write, its caller hears of it.
    async fn send(
        &mut self,
        req_id: u64,
        text: String,
        expects: &'static str,
        reply: Reply,
    ) -> Result<(), Stop> {
        let sent = Instant::now();
        let deadline = sent + self.shared.config.request_timeout;
        let question = question_of(&text, req_id);
        if self.waiters.len() == 0 {
            self.n_pings = 0;
        }
        let waiter = Waiter { reply, expects, question, sent, n_overtakers: 0, deadline };
        self.waiters.insert(req_id, waiter);
        self.write(text).await
    }

    async fn forget(&mut self, id: &str) -> Result<(), Stop> {
        if self.streams.remove(id).is_none() {
            return Ok(());
        }
        let req_id = self.shared.next_req_id();
        match wire::text_of(&ForgetRequest { forget: id, req_id }) {
            Ok(text) => self.send(req_id, text, "forget", Reply::Nobody).await,
            Err(_) => Ok(()),
        }
    }

    /// A peer that takes no bytes for as long as a ping may take is as dead as one that sends none.
    async fn write(&mut self, text: String) -> Result<(), Stop> {
        let within = self.shared.config.pong_within;
        let written = tokio::select! {
            () = self.shared.ending.cancelled() => return Err(Stop::Closed),
            written = timeout(within, self.socket.send(Message::text(text))) => written,
        };
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Stop::Lost(self.broken(error))),
            Err(_) => {
                Err(Stop::Lost(self.loss("ended, because the server takes no more requests")))
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), Stop> {
        // Whatever arrives proves that the connection lives.
        self.pong_until = None;
        match message {
            Some(Ok(Message::Text(text))) => return self.route(text).await,
            Some(Ok(Message::Binary(_))) => self.unreadable("a binary message"),
            Some(Ok(Message::Close(frame))) => {
                return Err(Stop::Lost(self.farewell(frame.as_ref())));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Stop::Lost(self.broken(error))),
            None => return Err(Stop::Lost(self.loss("closed by the server"))),
        }
        Ok(())
    }

    /// Finds out whose message it is.
    async fn route(&mut self, text: Utf8Bytes) -> Result<(), Stop> {
        let text = match self.shared.config.masked(&text) {
            Cow::Owned(masked) => masked.into(),
            Cow::Borrowed(_) => text,
        };
        let Ok(envelope) = wire::peek(&text) else {
            self.unreadable("an unreadable message");
            return Ok(());
        };
        self.was_useful = true;
        if let Some(waiter) = self.waiter_of(&envelope) {
            self.answer(waiter, &envelope, text);
            return Ok(());
        }
        match envelope.subscription {
            Some(subscription) => self.push(subscription.id.as_str(), text).await,
            None if envelope.msg_type.as_str() == "ping" => Ok(()),
            None => {
                if let Some(sent) = envelope.req_id.0.and_then(|id| self.given_up.remove(&id)) {
                    self.patience.answered_late(sent.elapsed());
                }
                self.stray("an answer nobody waits for");
                Ok(())
            }
        }
    }

    /// By number; without one, the only request in flight if the message could be its answer.
    fn waiter_of(&mut self, envelope: &Envelope) -> Option<Waiter> {
        match envelope.req_id {
            wire::Id(Some(req_id)) => self.waiters.take(req_id),
            wire::Id(None) => {
                let Text(msg_type) = &envelope.msg_type;
                let is_error = envelope.error.is_some();
                self.waiters.take_sole(|waiter| is_error || waiter.expects == msg_type)
            }
        }
    }

    fn answer(&mut self, waiter: Waiter, envelope: &Envelope, text: Utf8Bytes) {
        self.n_pings = 0;
        self.patience.answered(waiter.question, waiter.sent.elapsed());
        if let wire::Id(Some(req_id)) = envelope.req_id {
            self.waiters.overtaken_by(req_id);
        }
        match waiter.reply {
            Reply::Once(reply) => {
                let _ = reply.send(Ok(text));
            }
            Reply::Stream { first, items } => {
                if let Some(subscription) = &envelope.subscription {
                    self.streams.insert(subscription.id.0.clone(), items);
                }
                // A reader that left meanwhile is noticed at the next message of its subscription.
                let _ = first.send(Ok(text));
            }
            Reply::Nobody => {}
        }
    }

    /// Hands a live message to its reader; never waits for a slow one.
    async fn push(&mut self, id: &str, text: Utf8Bytes) -> Result<(), Stop> {
        let Some(reader) = self.streams.get(id) else {
            self.stray("a message of no subscription");
            return Ok(());
        };
        match reader.try_send(text) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                count(&self.shared.counters.dropped_ticks);
                Ok(())
            }
            Err(TrySendError::Closed(_)) => self.forget(id).await,
        }
    }

    fn unreadable(&mut self, what: &str) {
        match self.waiters.take_sole(|_| true) {
            Some(waiter) => {
                let message = format!("the answer was {what}");
                waiter.reply.fail(Failure::new(ErrorKind::Malformed, message));
            }
            None => self.stray(what),
        }
    }

    fn stray(&self, what: &str) {
        count(&self.shared.counters.stray_answers);
        tracing::debug!(connection = self.id, what, "message dropped");
    }

    /// Ends what is overdue and pings when it is time.
    async fn keep_time(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        let ends = |waiter: &Waiter| deadline_of(self.patience, waiter);
        let expired = self.waiters.take_expired(now, ends);
        if !expired.is_empty() {
            // A connection that does not answer is asked at once whether it lives.
            self.next_ping = now;
        }
        for (req_id, waiter) in expired {
            self.expire(req_id, waiter);
        }
        if self.pong_until.is_some_and(|until| until <= now) {
            return self.judge_silence(now).await;
        }
        if self.pong_until.is_none() && self.ping_at() <= now {
            return self.ping(now).await;
        }
        Ok(())
    }

    /// A ping was not answered. That is the end, unless something waits to be read (this machine
    /// may have slept) or a long answer is on its way.
    async fn judge_silence(&mut self, now: Instant) -> Result<(), Stop> {
        if let Some(message) = self.socket.next().now_or_never() {
            return self.receive(message).await;
        }
        let within = self.patience.pong(self.waiters.questions());
        let until = self.socket.get_ref().last() + within;
        if until > now {
            self.pong_until = Some(until);
            return Ok(());
        }
        count(&self.shared.counters.pings_lost);
        if let Some(question) = self.waiters.oldest().map(|waiter| waiter.question) {
            self.patience.unanswered(question);
        }
        Err(Stop::Lost(self.loss("declared dead, because a ping was not answered")))
    }

    fn expire(&mut self, req_id: u64, waiter: Waiter) {
        count(&self.shared.counters.timeouts);
        if self.given_up.len() >= MOST_GIVEN_UP {
            self.given_up.clear();
        }
        self.given_up.insert(req_id, waiter.sent);
        let secs = rounded_secs(deadline_of(self.patience, &waiter) - waiter.sent);
        self.patience.unanswered(waiter.question);
        let message = format!("not answered within {secs} s");
        waiter.reply.fail(Failure::new(ErrorKind::Transport, message));
    }

    async fn ping(&mut self, now: Instant) -> Result<(), Stop> {
        let config = &self.shared.config;
        self.n_pings = self.n_pings.saturating_add(1);
        self.next_ping = now + config.ping_every;
        self.pong_until = Some(now + self.patience.pong(self.waiters.questions()));
        count(&self.shared.counters.pings);
        match wire::text_of(&PingRequest { ping: 1, req_id: self.shared.next_req_id() }) {
            Ok(text) => self.write(text).await,
            Err(_) => Ok(()),
        }
    }

    fn loss(&self, how: &str) -> Failure {
        let host = self.shared.config.endpoint.host();
        let message = format!("connection {} to `{host}` was {how}", self.id);
        Failure::new(ErrorKind::Transport, message).on_connection(self.id)
    }

    fn farewell(&self, frame: Option<&CloseFrame>) -> Failure {
        match frame {
            Some(frame) if !frame.reason.is_empty() => {
                let reason = printable(&self.shared.config.masked(&frame.reason));
                self.loss(&format!("closed by the server ({}: {reason})", frame.code))
            }
            Some(frame) => self.loss(&format!("closed by the server ({})", frame.code)),
            None => self.loss("closed by the server"),
        }
    }

    /// The only request in flight is to blame for an answer that is too large; of several, none is
    /// known to be.
    fn broken(&mut self, error: WsError) -> Failure {
        let failure = self.loss(describe_loss(&error));
        let is_too_large = matches!(error, WsError::Capacity(_));
        let failure = failure.caused_by(error);
        if is_too_large && let Some(waiter) = self.waiters.take_sole(|_| true) {
            let too_large = Failure { kind: ErrorKind::TooLarge, ..failure.clone() };
            waiter.reply.fail(too_large);
        }
        failure
    }

    fn lose(&mut self, failure: &Failure) -> End {
        count(&self.shared.counters.losses);
        tracing::debug!(connection = self.id, reason = failure.message, "connection lost");
        self.waiters.fail_all(failure);
        self.streams.clear();
        End::Lost
    }

    async fn close(&mut self) -> End {
        self.waiters.fail_all(&closed());
        self.streams.clear();
        let _ = timeout(CLOSE_WITHIN, self.socket.close(None)).await;
        End::Closed
    }
}

/// When a request is given up.
fn deadline_of(patience: &Patience, waiter: &Waiter) -> Instant {
    if waiter.n_overtakers < MOST_OVERTAKERS {
        return waiter.deadline;
    }
    waiter.deadline.min(waiter.sent + patience.overtaken(waiter.question))
}
