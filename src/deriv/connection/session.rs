//! The life of one connection, from its first request to its end.
//!
//! - A message that cannot be matched is counted and dropped; if exactly one request is in flight,
//!   an unreadable message is taken for its answer.
//! - A message above the size limit, or text that is no UTF-8, ends the connection: what follows
//!   it cannot be trusted to be in step.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::handshake::{Socket, describe_loss};
use super::waiters::{Reply, Waiter, Waiters};
use super::{Command, Shared, closed, count};
use crate::deriv::error::{Failure, printable};
use crate::deriv::wire::{self, Envelope, ForgetRequest, PingRequest, Text};
use crate::domain::ErrorKind;

/// For the farewell; who does not read it does not miss it.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

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
    id: u64,
    socket: Socket,
    waiters: Waiters,
    /// Subscription id → its reader.
    streams: HashMap<String, mpsc::Sender<Utf8Bytes>>,
    next_ping: Instant,
    /// Until when the ping in flight must be answered, if one is.
    pong_until: Option<Instant>,
    /// Whether any answer came: such a connection did not fail, it ended.
    was_useful: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Shared, id: u64, socket: Socket) -> Self {
        Self {
            shared,
            id,
            socket,
            waiters: Waiters::default(),
            streams: HashMap::new(),
            next_ping: Instant::now() + shared.config.ping_every,
            pong_until: None,
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
        let ping = self.pong_until.unwrap_or(self.next_ping);
        self.waiters.next_deadline().map_or(ping, |deadline| deadline.min(ping))
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
        let deadline = Instant::now() + self.shared.config.request_timeout;
        self.waiters.insert(req_id, Waiter { reply, expects, deadline });
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
        let expired = self.waiters.take_expired(now);
        if !expired.is_empty() {
            // A connection that does not answer is asked at once whether it lives.
            self.next_ping = now;
        }
        for waiter in expired {
            self.expire(waiter);
        }
        if self.pong_until.is_some_and(|until| until <= now) {
            count(&self.shared.counters.pings_lost);
            return Err(Stop::Lost(self.loss("declared dead, because a ping was not answered")));
        }
        if self.pong_until.is_none() && self.next_ping <= now {
            return self.ping(now).await;
        }
        Ok(())
    }

    fn expire(&self, waiter: Waiter) {
        count(&self.shared.counters.timeouts);
        let secs = self.shared.config.request_timeout.as_secs_f64();
        let message = format!("not answered within {secs} s");
        waiter.reply.fail(Failure::new(ErrorKind::Transport, message));
    }

    async fn ping(&mut self, now: Instant) -> Result<(), Stop> {
        let config = &self.shared.config;
        self.next_ping = now + config.ping_every;
        self.pong_until = Some(now + config.pong_within);
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
