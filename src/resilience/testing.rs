//! A source that does as it is told, for the tests of the wrappers.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Observer, locked};
use crate::domain::{
    Epoch, EpochRange, ErrorKind, Instrument, Kind, MarketDataSource, Page, PageRequest, Record,
    Series, SourceError, SourceInfo,
};

/// An observer whose token nobody else holds.
pub(super) fn observer() -> Observer {
    Observer::new(CancellationToken::new())
}

/// Any request; scripted answers do not depend on it.
pub(super) fn page_request() -> PageRequest {
    PageRequest {
        series: Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks },
        range: EpochRange::new(Epoch::new(0), Epoch::new(10)).unwrap(),
        limit: 10,
    }
}

/// Answers as scripted, then well for ever; remembers when it was asked.
#[derive(Debug)]
pub(super) struct Scripted {
    script: Mutex<VecDeque<Result<(), ErrorKind>>>,
    calls: Mutex<Vec<Instant>>,
    hangs_from: AtomicUsize,
}

impl Scripted {
    pub(super) fn new(script: impl IntoIterator<Item = Result<(), ErrorKind>>) -> Self {
        Self {
            script: Mutex::new(script.into_iter().collect()),
            calls: Mutex::default(),
            hangs_from: AtomicUsize::new(usize::MAX),
        }
    }

    pub(super) fn always_fine() -> Self {
        Self::new([])
    }

    /// Never answers the call after the first `n_calls`, nor any later one.
    pub(super) fn hanging_from(self, n_calls: usize) -> Self {
        self.hangs_from.store(n_calls, Ordering::Relaxed);
        self
    }

    pub(super) fn stop_hanging(&self) {
        self.hangs_from.store(usize::MAX, Ordering::Relaxed);
    }

    /// When it was asked.
    pub(super) fn calls(&self) -> Vec<Instant> {
        locked(&self.calls).clone()
    }

    async fn act(&self) -> Result<(), SourceError> {
        let n_calls = {
            let mut calls = locked(&self.calls);
            calls.push(Instant::now());
            calls.len()
        };
        let next = locked(&self.script).pop_front();
        if n_calls > self.hangs_from.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        match next {
            Some(Err(kind)) => Err(SourceError::new(kind, "scripted").with_cause("scripted cause")),
            _ => Ok(()),
        }
    }
}

impl<R: Record> MarketDataSource<R> for Scripted {
    async fn fetch_page(&self, _: &PageRequest) -> Result<Page<R>, SourceError> {
        self.act().await?;
        let records = Vec::new();
        Ok(Page {
            records,
            n_received: 0,
            pip_size: None,
            n_duplicates: 0,
            conflicts: Vec::new(),
            unusable: Vec::new(),
        })
    }
}

impl SourceInfo for Scripted {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.act().await.map(|()| Epoch::new(1))
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.act().await.map(|()| Vec::new())
    }
}
