//! Holds answers back, so that a test can stop the world at a page of its choice.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Lets through a number of answers, then holds the rest until it is opened.
#[derive(Debug)]
pub(super) struct Gate {
    /// Most answers that may pass; `None` is open.
    limit: watch::Sender<Option<u64>>,
    passed: AtomicU64,
}

impl Gate {
    /// An open gate.
    pub(super) fn open() -> Self {
        Self { limit: watch::Sender::new(None), passed: AtomicU64::new(0) }
    }

    /// Closes after the `n`th answer since the start.
    pub(super) fn hold_after(&self, n: u64) {
        self.limit.send_replace(Some(n));
    }

    /// Lets everything through, also what is waiting.
    pub(super) fn release(&self) {
        self.limit.send_replace(None);
    }

    /// Number of answers that passed.
    pub(super) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Waits until one more answer may pass.
    pub(super) async fn pass(&self) {
        let mut limit = self.limit.subscribe();
        loop {
            let most = limit.borrow_and_update().unwrap_or(u64::MAX);
            let step = |passed: u64| (passed < most).then_some(passed + 1);
            if self.passed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).is_ok() {
                return;
            }
            if limit.changed().await.is_err() {
                return;
            }
        }
    }
}
