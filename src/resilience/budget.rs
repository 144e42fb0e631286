//! The run's own budget: so many requests, so much time, and then nothing more is asked.
//!
//! [`Counted`] belongs below the retries and above everything that waits, so that each attempt
//! counts and a spent budget is said at once. [`Timed`] belongs on top, so that no wait outlasts it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::domain::{
    Epoch, ErrorKind, Instrument, MarketDataSource, Page, PageRequest, Record, SourceError,
    SourceInfo, TradingDay,
};

/// A source that is asked so many times and not once more.
///
/// `server_time` is outside the budget of the source, and so outside this one.
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    max_requests: Option<u64>,
    n_requests: AtomicU64,
}

impl<S> Counted<S> {
    /// Wraps `inner`; `None` is no limit.
    pub fn new(inner: S, max_requests: Option<u64>) -> Self {
        Self { inner, max_requests, n_requests: AtomicU64::new(0) }
    }

    fn take(&self) -> Result<(), SourceError> {
        let Some(max) = self.max_requests else { return Ok(()) };
        let one_more = |n| (n < max).then_some(n + 1);
        let taken = self.n_requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.map(drop).map_err(|_| {
            let plural = if max == 1 { "" } else { "s" };
            spent(format!("the run's own budget of {max} request{plural} is used up"))
        })
    }
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Counted<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.take()?;
        self.inner.fetch_page(request).await
    }
}

impl<S: SourceInfo> SourceInfo for Counted<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.inner.server_time().await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.take()?;
        self.inner.instruments().await
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        self.take()?;
        self.inner.trading_times(day).await
    }
}

/// A source that is asked until a moment and not after it; whoever waits then is told at once.
#[derive(Debug)]
pub struct Timed<S> {
    inner: S,
    end: Option<(Instant, Duration)>,
}

impl<S> Timed<S> {
    /// Wraps `inner`; the time begins now. `None` is no limit.
    pub fn new(inner: S, max_duration: Option<Duration>) -> Self {
        // What is too far away to be told is no limit either.
        let end = max_duration.and_then(|max| Some((Instant::now().checked_add(max)?, max)));
        Self { inner, end }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let Some((end, length)) = self.end else { return call.await };
        let secs = length.as_secs_f64();
        let over = || spent(format!("the run's own time of {secs} s is used up"));
        if Instant::now() >= end {
            return Err(over());
        }
        timeout_at(end, call).await.unwrap_or_else(|_| Err(over()))
    }
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Timed<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.in_time(self.inner.fetch_page(request)).await
    }
}

impl<S: SourceInfo> SourceInfo for Timed<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.in_time(self.inner.server_time()).await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.in_time(self.inner.instruments()).await
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        self.in_time(self.inner.trading_times(day)).await
    }
}

fn spent(message: String) -> SourceError {
    SourceError::new(ErrorKind::BudgetSpent, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Tick;
    use crate::resilience::testing::{Scripted, observer, page_request};
    use crate::resilience::{Jitter, Retried, RetryConfig};

    const PATIENT: RetryConfig = RetryConfig {
        retries: 6,
        first: Duration::from_secs(1),
        max: Duration::from_secs(60),
        jitter: Jitter::Off,
    };

    async fn fetch(source: &impl MarketDataSource<Tick>) -> Result<(), ErrorKind> {
        source.fetch_page(&page_request()).await.map(drop).map_err(|error| error.kind)
    }

    #[tokio::test(start_paused = true)]
    async fn every_attempt_counts_and_none_goes_out_beyond() {
        let failed = Err(ErrorKind::Transport);
        let counted = Counted::new(Scripted::new([Ok(()), Ok(()), failed, failed]), Some(4));
        let source = Retried::new(counted, PATIENT, observer());
        source.server_time().await.unwrap();
        source.instruments().await.unwrap();
        // Two attempts fail, the third is the fourth request.
        assert_eq!(fetch(&source).await, Ok(()));
        assert_eq!(fetch(&source).await, Err(ErrorKind::BudgetSpent));
        assert_eq!(source.instruments().await.unwrap_err().kind, ErrorKind::BudgetSpent);
        source.server_time().await.unwrap();
        assert_eq!(source.inner().inner.calls().len(), 4 + 2, "four, and the time twice");
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_outlasts_the_time() {
        let failing = Scripted::new([Err(ErrorKind::Transport); 9]);
        let retried = Retried::new(failing, PATIENT, observer());
        let source = Timed::new(retried, Some(Duration::from_secs(5)));
        let start = Instant::now();
        assert_eq!(fetch(&source).await, Err(ErrorKind::BudgetSpent));
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        // After it nothing is asked.
        assert_eq!(source.server_time().await.unwrap_err().kind, ErrorKind::BudgetSpent);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert_eq!(source.inner.inner().calls().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_budget_nothing_is_refused() {
        let source = Timed::new(Counted::new(Scripted::new([]), None), None);
        for _ in 0..100 {
            fetch(&source).await.unwrap();
        }
    }
}
