//! A source that is asked only once what it offers: the command looks before it makes a folder,
//! and the download looks again, without a second request.

use tokio::sync::OnceCell;

use crate::domain::{
    Epoch, Instrument, MarketDataSource, Page, PageRequest, Record, SourceError, SourceInfo,
    TradingDay,
};

/// Keeps the first good answer about the instruments for as long as it lives.
pub(super) struct Remembered<S> {
    inner: S,
    instruments: OnceCell<Vec<Instrument>>,
}

impl<S> Remembered<S> {
    /// Remembers nothing yet.
    pub(super) fn new(inner: S) -> Self {
        Self { inner, instruments: OnceCell::new() }
    }
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Remembered<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.inner.fetch_page(request).await
    }
}

impl<S: SourceInfo> SourceInfo for Remembered<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.inner.server_time().await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.instruments.get_or_try_init(|| self.inner.instruments()).await.cloned()
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        self.inner.trading_times(day).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::domain::ErrorKind;

    use super::*;

    #[derive(Default)]
    struct Failing(AtomicU32);

    impl SourceInfo for Failing {
        async fn server_time(&self) -> Result<Epoch, SourceError> {
            Ok(Epoch::new(1))
        }

        async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => Err(SourceError::new(ErrorKind::Transport, "no")),
                _ => Ok(Vec::new()),
            }
        }
    }

    #[tokio::test]
    async fn a_good_answer_is_kept_and_a_failure_is_not() {
        let source = Remembered::new(Failing::default());
        assert!(source.instruments().await.is_err());
        assert_eq!(source.instruments().await.unwrap(), []);
        assert_eq!(source.instruments().await.unwrap(), []);
        assert_eq!(source.inner.0.load(Ordering::Relaxed), 2);
    }
}
