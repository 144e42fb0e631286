//! Waits for a permit before each request.
//!
//! Two things decide. The [`Ceiling`] never moves and holds in every sliding minute and hour,
//! whatever the pace does. The [`Pace`] below it starts at half, grows, and yields when the source
//! refuses. The pace is kept here, or in a file that all processes of the machine share
//! ([`SharedPace`]).

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::ceiling::Ceiling;
use super::pace::{Cap, Pace, PaceOutlook};
use super::shared::SharedPace;
use super::{HeldBack, Observer, WaitReason, chance, locked};
use crate::domain::{
    Epoch, ErrorKind, Instrument, MarketDataSource, Page, PageRequest, Record, SourceError,
    SourceInfo, TradingDay,
};

/// Longest addition to a pause, so that processes refused together do not return together.
const PAUSE_JITTER: f64 = 0.25;

/// Between two tries at a lock that is held for microseconds.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// A lock that is held for longer belongs to a process that hangs.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How fast a source may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThrottleConfig {
    /// Requests in any 60 s, retries included; `None` asks as fast as it can, pauses when refused,
    /// and goes on as before; then `per_hour` does not count either. Zero is read as one.
    pub per_minute: Option<u32>,
    /// Requests in any hour. Zero is read as one.
    pub per_hour: u32,
    /// Share of `per_minute` to start with; the pace grows from there to all of it.
    pub start: f64,
    /// How long everybody pauses when the source refuses a request as too frequent.
    pub ratelimit_pause: Duration,
}

impl Default for ThrottleConfig {
    /// 200 a minute, where 220 are documented: the rest is for the live trader.
    fn default() -> Self {
        Self {
            per_minute: Some(200),
            per_hour: 14_400,
            start: 0.5,
            ratelimit_pause: Duration::from_secs(60),
        }
    }
}

/// What a throttle did so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ThrottleStats {
    /// Permits given.
    pub permits: u64,
    /// Requests a minute the pace allows now; `None` is as fast as it can.
    pub rate_per_minute: Option<f64>,
}

/// A source that is asked no faster than its budget allows.
///
/// `server_time` is outside the budget, and so takes no permit.
#[derive(Debug)]
pub struct Throttled<S> {
    inner: S,
    pause: Duration,
    keeper: Keeper,
    ceiling: SharedCeiling,
    /// Callers queue here in order; the first of them waits for its permit.
    turnstile: Semaphore,
    permits: AtomicU64,
    observer: Observer,
}

impl<S> Throttled<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, config: ThrottleConfig, observer: Observer) -> Self {
        let ceiling = config.per_minute.map(|limit| Ceiling::new(limit, config.per_hour));
        Self {
            inner,
            pause: config.ratelimit_pause,
            keeper: Keeper::new(config),
            ceiling: Arc::new(Mutex::new(ceiling)),
            turnstile: Semaphore::new(1),
            permits: AtomicU64::new(0),
            observer,
        }
    }

    /// Keeps the pace where other processes keep it too. Should that fail, now or later, it says so
    /// once and goes on alone at half of the ceiling.
    #[must_use]
    pub fn sharing(mut self, shared: SharedPace) -> Self {
        self.keeper.share(shared);
        self
    }

    /// Begins where the processes of this machine are now, and keeps what it learns to itself: for
    /// a run that must not write. What cannot be read counts as nothing learned.
    #[must_use]
    pub fn beginning_like(mut self, shared: &SharedPace) -> Self {
        self.keeper.begin_like(shared);
        self
    }

    /// What it did so far.
    pub fn stats(&self) -> ThrottleStats {
        ThrottleStats {
            permits: self.permits.load(Ordering::Relaxed),
            rate_per_minute: self.keeper.rate(),
        }
    }

    /// The source below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Waits in line, then for leave to make one request; returns when it was given.
    async fn permit(&self) -> Result<Permit, SourceError> {
        let entered = self.observer.n_openings();
        // The semaphore is never closed; were it, going out of turn would be harmless.
        let _turn =
            self.observer.unless_cancelled(async { Ok(self.turnstile.acquire().await) }).await?;
        let mut paused_since = None;
        loop {
            // A source that went away meanwhile is left alone; no permit is spent on it.
            if self.observer.n_openings() != entered {
                return Err(HeldBack::error());
            }
            let (reason, wait) = match self.try_permit().await {
                Ok(given) => {
                    self.given(paused_since);
                    return Ok(given);
                }
                Err(refused) => refused,
            };
            if reason == WaitReason::RateLimited {
                paused_since.get_or_insert_with(Instant::now);
            }
            self.observer.wait(reason, wait).await?;
        }
    }

    fn given(&self, paused_since: Option<Instant>) {
        self.permits.fetch_add(1, Ordering::Relaxed);
        self.observer.count_request();
        self.observer.pace_is(self.keeper.outlook());
        if let Some(since) = paused_since {
            let (paused_secs, rate) = (since.elapsed().as_secs(), self.keeper.rate());
            tracing::info!(paused_secs, rate, "the pause is over, asking again");
        }
    }

    /// Takes a permit, or tells how long to wait before trying again.
    async fn try_permit(&self) -> Result<Permit, (WaitReason, Duration)> {
        let ceiling = Arc::clone(&self.ceiling);
        let given = self.keeper.act(move |pace, now, cap| {
            let take = || locked(&ceiling).as_mut()?.take();
            if let Some(refused) = pace.wait(now, cap).or_else(take) {
                return Err(refused);
            }
            pace.take(now, cap);
            Ok(Permit { sent: now, ceiling: Arc::clone(&ceiling) })
        });
        given.await
    }

    /// Makes a call that has leave to go out.
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let permit = self.permit().await?;
        let outcome = call.await;
        let sent = permit.sent;
        drop(permit);
        self.notice(sent, outcome).await
    }

    /// Looks at an outcome: a refusal slows everybody down.
    async fn notice<T>(
        &self,
        sent: Duration,
        outcome: Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        if let Err(error) = &outcome
            && error.kind == ErrorKind::RateLimited
        {
            self.refused(sent, error).await;
        }
        outcome
    }

    async fn refused(&self, sent: Duration, error: &SourceError) {
        self.observer.count_refusal();
        let pause = self.pause.max(error.retry_after.unwrap_or_default());
        let pause = pause.mul_f64(1.0 + PAUSE_JITTER * chance());
        let told = self.keeper.act(move |pace, now, cap| {
            pace.refused(sent, now, pause).then(|| pace.rate(now + pause, cap))
        });
        if let Some(rate) = told.await {
            self.observer.pace_is(self.keeper.outlook());
            let pause_secs = pause.as_secs();
            tracing::warn!(pause_secs, rate, reason = %error, "asked too often, everybody pauses");
        }
    }
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Throttled<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.call(self.inner.fetch_page(request)).await
    }
}

impl<S: SourceInfo> SourceInfo for Throttled<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        let sent = self.keeper.now();
        self.notice(sent, self.inner.server_time().await).await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.call(self.inner.instruments()).await
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        self.call(self.inner.trading_times(day)).await
    }
}

/// `None` if nothing is to bound it.
type SharedCeiling = Arc<Mutex<Option<Ceiling>>>;

/// Leave to make one request, held as long as it is on its way.
#[derive(Debug)]
struct Permit {
    /// When it was given.
    sent: Duration,
    ceiling: SharedCeiling,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ceiling) = locked(&self.ceiling).as_mut() {
            ceiling.ended();
        }
    }
}

/// Where the pace is kept.
#[derive(Debug)]
struct Keeper {
    cap: Cap,
    start: f64,
    shared: Option<Arc<SharedPace>>,
    /// Set once sharing has failed.
    is_alone: AtomicBool,
    /// The pace, or what it was when this process last saw it.
    own: Mutex<Pace>,
    origin: Instant,
    /// What its own clock showed at its origin.
    ahead: Duration,
}

impl Keeper {
    fn new(config: ThrottleConfig) -> Self {
        let cap = Cap { per_minute: config.per_minute, per_hour: config.per_hour };
        Self {
            cap,
            start: config.start,
            shared: None,
            is_alone: AtomicBool::new(false),
            own: Mutex::new(Pace::new(cap, config.start, Duration::ZERO)),
            origin: Instant::now(),
            ahead: Duration::ZERO,
        }
    }

    fn begin_like(&mut self, shared: &SharedPace) {
        let Some(pace) = shared.peek(self.cap, self.start) else { return };
        // Its moments are those of the machine's clock, and so are ours from now on.
        (self.ahead, self.origin) = (shared.now(), Instant::now());
        self.own = Mutex::new(pace);
    }

    fn share(&mut self, shared: SharedPace) {
        self.own = Mutex::new(Pace::new(self.alone_cap(), self.start, shared.now()));
        self.shared = Some(Arc::new(shared));
    }

    fn now(&self) -> Duration {
        match &self.shared {
            Some(shared) => shared.now(),
            None => self.ahead + self.origin.elapsed(),
        }
    }

    fn rate(&self) -> Option<f64> {
        self.outlook().map(|outlook| outlook.per_minute)
    }

    fn outlook(&self) -> Option<PaceOutlook> {
        let cap = if self.is_alone.load(Ordering::Relaxed) { self.alone_cap() } else { self.cap };
        locked(&self.own).outlook(self.now(), cap)
    }

    /// Half: another process may be alone as well, and nobody knows of the other.
    fn alone_cap(&self) -> Cap {
        let half = |limit: u32| (limit / 2).max(1);
        Cap { per_minute: self.cap.per_minute.map(half), per_hour: half(self.cap.per_hour) }
    }

    /// Does something with the pace while nobody else can.
    async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Pace, Duration, Cap) -> T + Clone + Send + 'static,
    ) -> T {
        let Some(shared) = &self.shared else {
            return act(&mut locked(&self.own), self.now(), self.cap);
        };
        if !self.is_alone.load(Ordering::Relaxed) {
            match self.act_shared(shared, act.clone()).await {
                Ok(done) => return done,
                Err(error) => self.go_alone(shared, &error),
            }
        }
        act(&mut locked(&self.own), self.now(), self.alone_cap())
    }

    async fn act_shared<T: Send + 'static>(
        &self,
        shared: &Arc<SharedPace>,
        act: impl FnOnce(&mut Pace, Duration, Cap) -> T + Clone + Send + 'static,
    ) -> io::Result<T> {
        let began = Instant::now();
        while began.elapsed() < LOCK_PATIENCE {
            let (shared, act) = (Arc::clone(shared), act.clone());
            let (cap, start) = (self.cap, self.start);
            let turn = tokio::task::spawn_blocking(move || shared.act(cap, start, act));
            if let Some((done, pace)) = turn.await.map_err(io::Error::other)?? {
                *locked(&self.own) = pace;
                return Ok(done);
            }
            sleep(LOCK_PAUSE.mul_f64(1.0 + chance())).await;
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "another process does not let go of its lock"))
    }

    fn go_alone(&self, shared: &SharedPace, error: &io::Error) {
        if !self.is_alone.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                path = %shared.path.display(),
                %error,
                rate = self.alone_cap().per_minute,
                "the request budget cannot be shared with other processes of this machine; asking \
                 at half of the allowed rate (name a folder that can be written with `--state-dir`)"
            );
        }
    }
}

#[cfg(test)]
mod tests;
