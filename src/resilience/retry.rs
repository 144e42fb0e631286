//! Asks again, where asking again can help.
//!
//! How often depends on the class of the error, how soon on the number of failures (exponential
//! with full jitter; the `backoff` crate stays private here). A refusal as too frequent uses up no
//! attempt: the throttle below makes everybody wait, and a long run must not end for it. An outage
//! uses up one, however many failed in it: it says nothing about the request.

use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use tracing::Instrument as _;

use super::{Observer, WaitReason};
use crate::domain::{
    Epoch, ErrorKind, Instrument, MarketDataSource, Page, PageRequest, Record, SourceError,
    SourceInfo, TradingDay,
};

/// Attempts at what the client does not understand, or what was too large: once more, then final.
const MAX_DOUBTFUL_ATTEMPTS: u32 = 2;

/// Whether delays are left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Anything between nothing and the full delay, so that callers that failed together do not
    /// return together.
    Full,
    /// None, for tests.
    Off,
}

/// How often and how soon to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// Attempts after the first.
    pub retries: u32,
    /// Delay before the first of them; doubles from there.
    pub first: Duration,
    /// Longest delay.
    pub max: Duration,
    /// Whether delays are left to chance.
    pub jitter: Jitter,
}

impl Default for RetryConfig {
    /// 6 retries after 1, 2, 4, 8, 16 and 32 s, each shortened by chance.
    fn default() -> Self {
        Self {
            retries: 6,
            first: Duration::from_secs(1),
            max: Duration::from_secs(60),
            jitter: Jitter::Full,
        }
    }
}

/// A source that is asked again where that can help.
#[derive(Debug)]
pub struct Retried<S> {
    inner: S,
    config: RetryConfig,
    observer: Observer,
}

impl<S> Retried<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, config: RetryConfig, observer: Observer) -> Self {
        Self { inner, config, observer }
    }

    /// The source below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// What was counted so far by all wrappers that share the observer.
    pub fn stats(&self) -> super::RequestStats {
        self.observer.stats()
    }

    /// Calls until it works, or cannot, or everything is cancelled.
    async fn retry<T, F>(&self, call: impl Fn() -> F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, SourceError>>,
    {
        let mut policy = Policy::new(self.config);
        let mut n_absences = self.observer.n_absences();
        loop {
            let attempt = policy.n_calls.saturating_add(1);
            let span = tracing::warn_span!("attempt", attempt);
            let mut error =
                match self.observer.unless_cancelled(call()).instrument(span.clone()).await {
                    Ok(done) => return Ok(done),
                    Err(error) => error,
                };
            if let Some(defect) = error.defect {
                self.observer.count_defect(defect);
            }
            if n_absences != self.observer.n_absences() {
                n_absences = self.observer.n_absences();
                policy.outlived_outage();
            }
            let Some(delay) = policy.after(error.kind, error.retry_after) else {
                error.attempts = policy.n_attempts.max(1);
                return Err(error);
            };
            span.in_scope(|| self.tell(&policy, &error, delay));
            self.observer.wait(WaitReason::Retry, delay).instrument(span).await?;
        }
    }

    fn tell(&self, policy: &Policy, error: &SourceError, delay: Duration) {
        self.observer.count_retry(error.kind);
        tracing::warn!(
            counted = policy.n_attempts,
            wait_secs = delay.as_secs_f64(),
            class = ?error.kind,
            cause = error.cause.as_ref().map(tracing::field::display),
            reason = %error,
            "asking again"
        );
    }
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Retried<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.retry(|| self.inner.fetch_page(request)).await
    }
}

impl<S: SourceInfo> SourceInfo for Retried<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.retry(|| self.inner.server_time()).await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.retry(|| self.inner.instruments()).await
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        // Asked once: whoever gets no answer does without.
        self.observer.unless_cancelled(self.inner.trading_times(day)).await
    }
}

/// The decisions about one request. Pure but for chance, which [`Jitter::Off`] takes out.
struct Policy {
    config: RetryConfig,
    delays: ExponentialBackoff,
    /// Attempts that failed, those that were refused as too frequent included.
    n_calls: u32,
    /// Attempts that failed and count.
    n_attempts: u32,
    /// Those of them that failed in a way that is tried only twice.
    n_doubtful: u32,
    /// Outages that fell into the time of the request.
    n_outages: u32,
}

impl Policy {
    fn new(config: RetryConfig) -> Self {
        let delays = delays(config);
        Self { config, delays, n_calls: 0, n_attempts: 0, n_doubtful: 0, n_outages: 0 }
    }

    /// The source was away since the failure before: what failed until then counts as one attempt
    /// for each such outage. Not as none, or a request that brings the source down would be asked
    /// for ever.
    fn outlived_outage(&mut self) {
        self.n_outages = self.n_outages.saturating_add(1);
        self.n_attempts = self.n_attempts.min(self.n_outages);
        self.delays.reset();
    }

    /// How long to wait before asking again after a failure; `None` is not at all.
    fn after(&mut self, kind: ErrorKind, retry_after: Option<Duration>) -> Option<Duration> {
        self.n_calls = self.n_calls.saturating_add(1);
        if kind == ErrorKind::RateLimited {
            // The throttle knows for how long; this only keeps a source without one from spinning.
            return Some(self.config.first.max(retry_after.unwrap_or_default()));
        }
        self.n_attempts = self.n_attempts.saturating_add(1);
        if matches!(kind, ErrorKind::Unknown | ErrorKind::TooLarge) {
            self.n_doubtful += 1;
        }
        let spent =
            self.n_attempts > self.config.retries || self.n_doubtful >= MAX_DOUBTFUL_ATTEMPTS;
        if !kind.is_retryable() || spent {
            return None;
        }
        let delay = self.delays.next_backoff().unwrap_or(self.config.max);
        Some(delay.min(self.config.max).max(retry_after.unwrap_or_default()))
    }
}

/// `first`, doubling up to `max`, for ever.
///
/// Full jitter is chance around half the delay by up to all of that half.
fn delays(config: RetryConfig) -> ExponentialBackoff {
    let (share, chance) = match config.jitter {
        Jitter::Full => (2, 1.0),
        Jitter::Off => (1, 0.0),
    };
    ExponentialBackoffBuilder::new()
        .with_initial_interval(config.first / share)
        .with_max_interval(config.max / share)
        .with_multiplier(2.0)
        .with_randomization_factor(chance)
        .with_max_elapsed_time(None)
        .build()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::domain::Tick;
    use crate::resilience::testing::{Scripted, observer, page_request};

    const PLAIN: RetryConfig = RetryConfig {
        retries: 6,
        first: Duration::from_secs(1),
        max: Duration::from_secs(60),
        jitter: Jitter::Off,
    };

    async fn fetch(source: &Retried<Scripted>) -> Result<Page<Tick>, SourceError> {
        source.fetch_page(&page_request()).await
    }

    /// Fails for ever with `kind`: how many calls are made, and how many seconds they take?
    async fn check(kind: ErrorKind, n_calls: usize, total_secs: u64) {
        let source = Retried::new(Scripted::new(vec![Err(kind); 99]), PLAIN, observer());
        let start = Instant::now();
        let error = fetch(&source).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert_eq!(source.inner().calls().len(), n_calls, "{kind:?}");
        assert_eq!(error.attempts as usize, n_calls, "{kind:?}");
        assert!(error.cause.is_some(), "{kind:?}: the cause is lost");
        assert_eq!(start.elapsed().as_secs(), total_secs, "{kind:?}");
        assert_eq!(source.stats().retries as usize, n_calls - 1, "{kind:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_class_has_its_limit() {
        check(ErrorKind::Transport, 7, 63).await;
        check(ErrorKind::ServerFault, 7, 63).await;
        check(ErrorKind::Malformed, 7, 63).await;
        check(ErrorKind::TooLarge, 2, 1).await;
        check(ErrorKind::Unknown, 2, 1).await;
        check(ErrorKind::Rejected, 1, 0).await;
        check(ErrorKind::UnknownSymbol, 1, 0).await;
        check(ErrorKind::Unauthorized, 1, 0).await;
        check(ErrorKind::MarketClosed, 1, 0).await;
        check(ErrorKind::Cancelled, 1, 0).await;
        check(ErrorKind::Outage, 1, 0).await;
    }

    #[tokio::test(start_paused = true)]
    async fn too_frequent_uses_up_no_attempt() {
        let source =
            Retried::new(Scripted::new(vec![Err(ErrorKind::RateLimited); 50]), PLAIN, observer());
        fetch(&source).await.unwrap();
        assert_eq!(source.inner().calls().len(), 51);

        let mut script = vec![Err(ErrorKind::RateLimited); 20];
        script.extend([Err(ErrorKind::Transport); 7]);
        let source = Retried::new(Scripted::new(script), PLAIN, observer());
        let error = fetch(&source).await.unwrap_err();
        assert_eq!(error.attempts, 7);
        assert!(error.to_string().ends_with(" (after 7 attempts)"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn works_as_soon_as_the_source_does() {
        let script = [Err(ErrorKind::Transport), Err(ErrorKind::Unknown), Ok(())];
        let source = Retried::new(Scripted::new(script), PLAIN, observer());
        let start = Instant::now();
        fetch(&source).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 3);
        source.server_time().await.unwrap();
        source.instruments().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_run_neither_waits_nor_hangs() {
        for script in [vec![Err(ErrorKind::Transport); 9], vec![]] {
            let observer = observer();
            let scripted = Scripted::new(script).hanging_from(1);
            let source = Retried::new(scripted, PLAIN, observer.clone());
            let start = Instant::now();
            let cancel = async {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                observer.cancel.cancel();
            };
            let work = async {
                loop {
                    if let Err(error) = fetch(&source).await {
                        break error.kind;
                    }
                }
            };
            let (kind, ()) = tokio::join!(work, cancel);
            assert_eq!(kind, ErrorKind::Cancelled);
            assert_eq!(start.elapsed(), Duration::from_millis(1500));
        }
    }

    /// An outage makes many attempts fail, and says nothing about the request: it counts once. It
    /// does count, or a request that brings the source down each time would be asked for ever.
    #[test]
    fn an_outage_is_one_attempt() {
        let mut policy = Policy::new(PLAIN);
        for n_outages in 1..=6 {
            for _ in 0..6 - n_outages + 1 {
                assert!(policy.after(ErrorKind::Transport, None).is_some(), "{n_outages}");
            }
            policy.outlived_outage();
            assert_eq!(policy.n_attempts, n_outages);
            assert_eq!(policy.delays.clone().next_backoff(), Some(PLAIN.first));
        }
        assert_eq!(policy.after(ErrorKind::Transport, None), None);
    }

    #[test]
    fn delays_double_up_to_the_longest_and_never_run_out() {
        let mut policy = Policy::new(RetryConfig { retries: u32::MAX, ..PLAIN });
        let mut next = || policy.after(ErrorKind::Transport, None).unwrap().as_secs_f64().round();
        let delays: Vec<_> = (0..9).map(|_| next()).collect();
        assert_eq!(delays, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
    }

    #[test]
    fn full_jitter_uses_the_whole_delay_and_no_more() {
        let config = RetryConfig { jitter: Jitter::Full, ..PLAIN };
        let first = || Policy::new(config).after(ErrorKind::Transport, None).unwrap();
        let delays: Vec<_> = (0..500).map(|_| first().as_secs_f64()).collect();
        let (least, most) = (
            delays.iter().copied().fold(1.0, f64::min),
            delays.iter().copied().fold(0.0, f64::max),
        );
        assert!(least < 0.2 && most > 0.8 && most <= 1.000_001, "{least} to {most}");
    }

    #[test]
    fn the_wish_of_the_source_is_obeyed() {
        let wish = Some(Duration::from_secs(90));
        let mut policy = Policy::new(PLAIN);
        assert_eq!(policy.after(ErrorKind::ServerFault, wish), wish);
        assert_eq!(policy.after(ErrorKind::RateLimited, wish), wish);
    }
}
