//! Who waits for which answer, and until when.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::super::error::Failure;

/// An answer as it came, or why there is none.
pub(in crate::deriv) type Answer = Result<Utf8Bytes, Failure>;

/// Who wants an answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// One caller, one answer.
    Once(oneshot::Sender<Answer>),
    /// The first answer names a subscription; its later messages go to `items`.
    Stream { first: oneshot::Sender<Answer>, items: mpsc::Sender<Utf8Bytes> },
    /// Nobody; the answer is expected, and not a stray.
    Nobody,
}

impl Reply {
    /// Tells whether whoever asked is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Once(reply) | Self::Stream { first: reply, .. } => reply.is_closed(),
            Self::Nobody => true,
        }
    }

    /// Tells the caller why there is no answer; a caller that is gone needs none.
    pub(super) fn fail(self, failure: Failure) {
        if let Self::Once(reply) | Self::Stream { first: reply, .. } = self {
            let _ = reply.send(Err(failure));
        }
    }
}

/// One request that was sent and not answered yet.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) reply: Reply,
    /// `msg_type` of a good answer.
    pub(super) expects: &'static str,
    /// What is asked, whatever its number.
    pub(super) question: u64,
    pub(super) sent: Instant,
    /// Requests that were sent later and answered sooner.
    pub(super) n_overtakers: u32,
    pub(super) deadline: Instant,
}

/// The requests in flight on one connection, by their number.
///
/// A handful at a time, so the earliest deadline is looked for, not kept.
#[derive(Debug, Default)]
pub(super) struct Waiters(HashMap<u64, Waiter>);

impl Waiters {
    pub(super) fn insert(&mut self, req_id: u64, waiter: Waiter) {
        self.0.insert(req_id, waiter);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, req_id: u64) -> Option<Waiter> {
        self.0.remove(&req_id)
    }

    /// The only request in flight whose waiter satisfies `fits`: an answer without a number is its.
    pub(super) fn take_sole(&mut self, fits: impl Fn(&Waiter) -> bool) -> Option<Waiter> {
        let (&req_id, waiter) = self.0.iter().next().filter(|_| self.0.len() == 1)?;
        if fits(waiter) { self.0.remove(&req_id) } else { None }
    }

    /// The first moment at which `deadline` ends the time of a request.
    pub(super) fn next_deadline(&self, deadline: impl Fn(&Waiter) -> Instant) -> Option<Instant> {
        self.0.values().map(deadline).min()
    }

    /// Takes out every request whose time `deadline` ends, with its number.
    pub(super) fn take_expired(
        &mut self,
        now: Instant,
        deadline: impl Fn(&Waiter) -> Instant,
    ) -> Vec<(u64, Waiter)> {
        self.0.extract_if(|_, waiter| deadline(waiter) <= now).collect()
    }

    /// Every request with a smaller number was overtaken by the one that was answered.
    pub(super) fn overtaken_by(&mut self, answered: u64) {
        for (_, waiter) in self.0.iter_mut().filter(|(req_id, _)| **req_id < answered) {
            waiter.n_overtakers = waiter.n_overtakers.saturating_add(1);
        }
    }

    /// The request that waits the longest.
    pub(super) fn oldest(&self) -> Option<&Waiter> {
        self.0.values().min_by_key(|waiter| waiter.sent)
    }

    /// What is asked.
    pub(super) fn questions(&self) -> impl Iterator<Item = u64> {
        self.0.values().map(|waiter| waiter.question)
    }

    /// Tells every caller the same.
    pub(super) fn fail_all(&mut self, failure: &Failure) {
        for (_, waiter) in self.0.drain() {
            waiter.reply.fail(failure.clone());
        }
    }
}
