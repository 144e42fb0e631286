//! The task: waits for a call, dials, lives through one session, starts over.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::handshake::{self, Socket};
use super::patience::Patience;
use super::session::{End, Session};
use super::{Command, Shared, count};
use crate::deriv::error::Failure;
use crate::deriv::net::Connect;
use crate::domain::ErrorKind;

/// Longest wait before dialling again. Source: the API's advice, 1, 2, 4, 8 s … capped.
const MAX_REDIAL_DELAY: Duration = Duration::from_secs(30);

pub(super) struct Actor<C> {
    shared: Arc<Shared>,
    connector: C,
    inbox: mpsc::Receiver<Command>,
    redial: Redial,
    patience: Patience,
    /// Numbers attempts to connect; the number tells callers which loss hit them.
    n_dials: u64,
    /// Set once the account was refused: dialling again would only be refused again.
    refused: Option<Failure>,
}

impl<C: Connect> Actor<C> {
    pub(super) fn new(shared: Arc<Shared>, connector: C, inbox: mpsc::Receiver<Command>) -> Self {
        let redial = Redial::default();
        let config = &shared.config;
        let patience =
            Patience::new(config.request_timeout, config.pong_within, config.connect_timeout);
        Self { shared, connector, inbox, redial, patience, n_dials: 0, refused: None }
    }

    /// Runs until the handle is dropped or closed. Calls still queued then fail as cancelled.
    pub(super) async fn run(mut self) {
        let ending = self.shared.ending.clone();
        while let Some(Some(command)) = ending.run_until_cancelled(self.inbox.recv()).await {
            let Command::Call { req_id, text, expects, reply } = command else {
                continue; // no connection, no subscription to forget
            };
            if reply.is_abandoned() {
                continue;
            }
            if let Some(refused) = &self.refused {
                reply.fail(refused.clone());
                continue;
            }
            self.shared.is_connecting(true);
            let connected = ending.run_until_cancelled(self.connect()).await;
            self.shared.is_connecting(false);
            match connected {
                None => return,
                Some(Err(failure)) => {
                    reply.fail(failure.clone());
                    self.fail_queued(&failure);
                }
                Some(Ok(socket)) => {
                    let first = Command::Call { req_id, text, expects, reply };
                    if self.live(socket, first).await == End::Closed {
                        return;
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Socket, Failure> {
        if let Some(not_before) = self.redial.not_before {
            sleep_until(not_before).await;
        }
        self.n_dials += 1;
        let began = Instant::now();
        let opened = handshake::open(&self.connector, &self.shared, self.patience.connect()).await;
        match opened {
            Ok(socket) => {
                self.patience.connected(began.elapsed());
                Ok(socket)
            }
            Err(failure) => Err(self.connect_failed(failure)),
        }
    }

    fn connect_failed(&mut self, failure: Failure) -> Failure {
        count(&self.shared.counters.failed_connects);
        self.patience.not_connected();
        let failure = failure.on_connection(self.n_dials);
        self.redial.failed(Instant::now(), jitter());
        tracing::debug!(dial = self.n_dials, kind = ?failure.kind, reason = failure.message, "not connected");
        if failure.kind == ErrorKind::Unauthorized {
            self.refused = Some(failure.clone());
        }
        failure
    }

    async fn live(&mut self, socket: Socket, first: Command) -> End {
        count(&self.shared.counters.connects);
        tracing::debug!(connection = self.n_dials, endpoint = %self.shared.config.endpoint, "connected");
        let mut session = Session::new(&self.shared, &mut self.patience, self.n_dials, socket);
        let end = session.run(first, &mut self.inbox).await;
        if session.was_useful() {
            self.redial = Redial::default();
        }
        if end == End::Lost {
            self.redial.failed(Instant::now(), jitter());
        }
        end
    }

    /// Calls that queued up behind a failed dial share its fate instead of each dialling again.
    fn fail_queued(&mut self, failure: &Failure) {
        while let Ok(command) = self.inbox.try_recv() {
            if let Command::Call { reply, .. } = command {
                reply.fail(failure.clone());
            }
        }
    }
}

/// When the next dial may start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Redial {
    n_failures: u32,
    not_before: Option<Instant>,
}

impl Redial {
    fn failed(&mut self, now: Instant, jitter: f64) {
        self.n_failures = self.n_failures.saturating_add(1);
        self.not_before = Some(now + redial_delay(self.n_failures, jitter));
    }
}

/// 1, 2, 4, 8 … 30 s, shortened by up to a quarter so that many clients do not dial in step.
fn redial_delay(n_failures: u32, jitter: f64) -> Duration {
    let doubled = 1_u64.checked_shl(n_failures.saturating_sub(1)).unwrap_or(u64::MAX);
    let delay = Duration::from_secs(doubled).min(MAX_REDIAL_DELAY);
    delay.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

/// A fraction between 0 and 1. The hasher's seed is the standard library's only randomness.
#[allow(clippy::cast_precision_loss)] // 32 bits of chance are plenty
fn jitter() -> f64 {
    let random = RandomState::new().hash_one(0_u8) >> 32;
    random as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_again_ever_more_slowly() {
        let secs = |n_failures| redial_delay(n_failures, 0.0).as_secs();
        let delays: Vec<_> = (1..=7).map(secs).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(secs(u32::MAX), 30);
        assert_eq!(redial_delay(2, 1.0), Duration::from_millis(1500));
    }

    #[test]
    fn jitter_is_a_fraction() {
        assert!((0..100).map(|_| jitter()).all(|fraction| (0.0..=1.0).contains(&fraction)));
    }
}
