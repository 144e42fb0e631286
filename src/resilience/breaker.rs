//! Stops asking a source that is away, and finds out when it is back.
//!
//! Closed: calls flow. Open: callers wait, without error and without using up an attempt.
//! Half-open: one probe may pass, the others wait for its outcome. A probe asks the time first: if
//! that fails, the source is away whatever is asked of it, and the call behind the probe goes on
//! waiting. Only if it is answered the call itself goes out, and a failure is its own. Only failures
//! of the transport and of the server count; a refused request proves that the source is there.
//!
//! A source that answers nothing for too long is given up, be it that it is away or that it refuses
//! every request as too frequent.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{HeldBack, Observer, WaitReason, locked};
use crate::domain::{
    Epoch, ErrorKind, Instrument, MarketDataSource, Page, PageRequest, Record, SourceError,
    SourceInfo, TradingDay,
};

/// When to stop asking, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open the breaker. Zero is read as one.
    pub threshold: u32,
    /// How long it stays open at first; doubled by every probe that fails.
    pub cooldown: Duration,
    /// Longest time it stays open before the next probe.
    pub max_cooldown: Duration,
    /// How long nothing may be answered before the source is given up.
    pub max_outage: Duration,
    /// The same before the first answer: who starts a run wants to know soon that nobody is there.
    pub max_outage_at_start: Duration,
}

impl Default for BreakerConfig {
    /// Opens after 5 failures, for 1 to 5 minutes; gives up after half an hour.
    fn default() -> Self {
        Self {
            threshold: 5,
            cooldown: Duration::from_secs(60),
            max_cooldown: Duration::from_secs(300),
            max_outage: Duration::from_secs(30 * 60),
            max_outage_at_start: Duration::from_secs(30 * 60),
        }
    }
}

/// What a breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls flow.
    Closed,
    /// Calls wait.
    Open,
    /// One call is on its way to find out whether the source is back.
    HalfOpen,
}

/// What a breaker does, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStatus {
    /// What it does.
    pub state: BreakerState,
    /// Since when, on the runtime's clock.
    pub since: Instant,
    /// How often it opened so far, again after a failed probe included.
    pub n_openings: u64,
}

/// A source that is left alone while it is away.
#[derive(Debug)]
pub struct Guarded<S> {
    inner: S,
    circuit: Mutex<Circuit>,
    /// Tells waiting callers that the circuit changed.
    changed: watch::Sender<()>,
    /// What was seen of it last, told when it is given up.
    last_failure: Mutex<Option<String>>,
    origin: Instant,
    observer: Observer,
}

impl<S> Guarded<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, config: BreakerConfig, observer: Observer) -> Self {
        let circuit = Mutex::new(Circuit::new(config));
        let changed = watch::Sender::new(());
        let last_failure = Mutex::default();
        Self { inner, circuit, changed, last_failure, origin: Instant::now(), observer }
    }

    /// The source below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Waits until a call may be made.
    async fn pass(&self) -> Result<Passage<'_, S>, SourceError> {
        // Subscribed before the first look, so that no change falls between look and wait.
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let leave = locked(&self.circuit).ask(self.now());
            let wait = match leave {
                Leave::Go(pass) => {
                    if pass == Pass::Probe {
                        self.log_probe();
                    }
                    return Ok(Passage { guarded: self, pass: Some(pass) });
                }
                Leave::Wait(wait) => wait,
                Leave::Outage(lasted, why) => return Err(self.outage(lasted, why)),
            };
            let change = async {
                let _ = changed.changed().await; // its sender lives in `self`
            };
            self.observer.wait_for(WaitReason::BreakerOpen, wait, change).await?;
        }
    }

    fn outage(&self, lasted: Duration, why: Silence) -> SourceError {
        let length = match lasted.as_secs() {
            secs @ 0..120 => format!("{secs} s"),
            secs => format!("{} min", secs / 60),
        };
        let message = match why {
            Silence::Away => format!("the source has been away for {length}"),
            Silence::Refusing => {
                format!("the source has refused every request as too frequent for {length}")
            }
        };
        let error = SourceError::new(ErrorKind::Outage, message);
        match locked(&self.last_failure).clone() {
            Some(seen) => error.with_cause(seen),
            None => error,
        }
    }

    /// Makes a call when it may be made.
    async fn guard<T, F>(&self, call: impl Fn() -> F) -> Result<T, SourceError>
    where
        S: SourceInfo,
        F: Future<Output = Result<T, SourceError>>,
    {
        loop {
            let passage = self.pass().await?;
            if passage.is_probe()
                && let Err(error) = self.inner.server_time().await
            {
                match Outcome::of(Some(&error)) {
                    Outcome::Failed { .. } => {
                        self.observer.count_absence();
                        self.end(passage, Some(&error));
                        continue;
                    }
                    Outcome::Unknown => return Err(error),
                    // It is there; what it thinks of the call itself is still to be seen.
                    Outcome::Answered | Outcome::Refused => {}
                }
            }
            let outcome = call().await;
            match &outcome {
                Err(error) if HeldBack::is_cause_of(error) => passage.end(Outcome::Unknown),
                _ => {
                    self.end(passage, outcome.as_ref().err());
                    return outcome;
                }
            }
        }
    }

    fn end(&self, passage: Passage<'_, S>, error: Option<&SourceError>) {
        if let Some(error) = error {
            *locked(&self.last_failure) = Some(failure_text(error));
        }
        passage.end(Outcome::of(error));
    }

    fn log_probe(&self) {
        let open_secs = self.observer.breaker_is(BreakerState::HalfOpen).since.elapsed().as_secs();
        tracing::info!(open_secs, "one request tries whether the source is back");
    }

    fn log_change(&self, change: Change) {
        match change {
            Change::Opened { cooldown, silent } => {
                self.observer.breaker_is(BreakerState::Open);
                let (cooldown_secs, silent_secs) = (cooldown.as_secs(), silent.as_secs());
                tracing::warn!(cooldown_secs, silent_secs, "the source does not answer, waiting");
            }
            Change::Closed { silent } => {
                self.observer.breaker_is(BreakerState::Closed);
                tracing::info!(silent_secs = silent.as_secs(), "the source answers again");
            }
            Change::ProbeGivenBack => {
                self.observer.breaker_is(BreakerState::Open);
                tracing::debug!("the try was given up, the next request is one");
            }
        }
    }
}

/// A failure and its cause on one line.
fn failure_text(error: &SourceError) -> String {
    match &error.cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl<R: Record, S: MarketDataSource<R> + SourceInfo> MarketDataSource<R> for Guarded<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.guard(|| self.inner.fetch_page(request)).await
    }
}

impl<S: SourceInfo> SourceInfo for Guarded<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.guard(|| self.inner.server_time()).await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.guard(|| self.inner.instruments()).await
    }

    async fn trading_times(&self, day: Epoch) -> Result<Vec<TradingDay>, SourceError> {
        self.guard(|| self.inner.trading_times(day)).await
    }
}

/// One call on its way. A caller that leaves in the middle gives its probe back.
struct Passage<'a, S> {
    guarded: &'a Guarded<S>,
    pass: Option<Pass>,
}

impl<S> Passage<'_, S> {
    fn is_probe(&self) -> bool {
        self.pass == Some(Pass::Probe)
    }

    fn end(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    fn report(&mut self, outcome: Outcome) {
        let Some(pass) = self.pass.take() else { return };
        let now = self.guarded.now();
        let change = locked(&self.guarded.circuit).report(now, pass, outcome);
        let Some(change) = change else { return };
        self.guarded.log_change(change);
        self.guarded.changed.send_replace(());
    }
}

impl<S> Drop for Passage<'_, S> {
    fn drop(&mut self) {
        self.report(Outcome::Unknown);
    }
}

/// What an outcome says about the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It answered, be it that this one request is wrong.
    Answered,
    /// It is there, but refuses as too frequent.
    Refused,
    /// It did not, or failed on its side.
    Failed { connection: Option<u64> },
    /// Nothing: the caller left.
    Unknown,
}

impl Outcome {
    fn of(error: Option<&SourceError>) -> Self {
        match error.map(|error| (error.kind, error.connection)) {
            Some((ErrorKind::Transport | ErrorKind::ServerFault, connection)) => {
                Self::Failed { connection }
            }
            Some((ErrorKind::RateLimited, _)) => Self::Refused,
            Some((ErrorKind::Cancelled | ErrorKind::Outage, _)) => Self::Unknown,
            _ => Self::Answered,
        }
    }
}

/// Leave to make one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Ordinary,
    Probe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    Go(Pass),
    /// Ask again then, or when the circuit changes.
    Wait(Duration),
    /// Nothing was answered for this long; give up.
    Outage(Duration, Silence),
}

/// Why nothing was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// The source does not answer at all.
    Away,
    /// It refuses every request as too frequent.
    Refusing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Opened { cooldown: Duration, silent: Duration },
    Closed { silent: Duration },
    ProbeGivenBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { n_failures: u32 },
    Open { until: Duration, cooldown: Duration },
    HalfOpen { cooldown: Duration },
}

/// The breaker's decisions. Pure: times are durations since some origin.
#[derive(Debug)]
struct Circuit {
    config: BreakerConfig,
    state: State,
    /// When the first failure or refusal after the last answer came.
    silent_since: Option<Duration>,
    /// Whether anything was ever answered, be it a refusal.
    has_answered: bool,
    /// Set by a failure or refusal that came when nothing had been answered for too long.
    given_up: Option<(Duration, Silence)>,
    /// The last lost connection that was counted; their numbers ascend.
    counted: Option<u64>,
}

impl Circuit {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: State::Closed { n_failures: 0 },
            silent_since: None,
            has_answered: false,
            given_up: None,
            counted: None,
        }
    }

    /// May a call be made?
    fn ask(&mut self, now: Duration) -> Leave {
        if let Some((lasted, why)) = self.given_up {
            return Leave::Outage(lasted, why);
        }
        let silent = self.silent(now);
        let cooldown = match self.state {
            State::Closed { .. } if !self.has_answered && silent >= self.max_outage() => {
                return Leave::Outage(silent, Silence::Away);
            }
            State::Closed { .. } => return Leave::Go(Pass::Ordinary),
            State::Open { cooldown, .. } | State::HalfOpen { cooldown } => cooldown,
        };
        let patience = self.max_outage().saturating_sub(silent);
        if patience.is_zero() {
            return Leave::Outage(silent, Silence::Away);
        }
        match self.state {
            State::Open { until, .. } if until <= now => {
                self.state = State::HalfOpen { cooldown };
                Leave::Go(Pass::Probe)
            }
            State::Open { until, .. } => Leave::Wait((until - now).min(patience)),
            _ => Leave::Wait(patience),
        }
    }

    /// Learns how a call ended.
    fn report(&mut self, now: Duration, pass: Pass, outcome: Outcome) -> Option<Change> {
        match outcome {
            Outcome::Answered => self.answered(now),
            Outcome::Refused => self.refused(now),
            Outcome::Failed { connection } => self.failed(now, pass, connection),
            Outcome::Unknown => self.given_back(now, pass),
        }
    }

    /// How long nothing has been answered.
    fn silent(&self, now: Duration) -> Duration {
        now.saturating_sub(self.silent_since.unwrap_or(now))
    }

    /// Any answer proves that the source is there, also one to a call made before it went away.
    fn answered(&mut self, now: Duration) -> Option<Change> {
        let change = self.close(now);
        self.silent_since = None;
        self.given_up = None;
        change
    }

    /// So does a refusal; but a run that is only refused gets nowhere.
    fn refused(&mut self, now: Duration) -> Option<Change> {
        let change = self.close(now);
        self.unanswered(now, Silence::Refusing);
        change
    }

    fn close(&mut self, now: Duration) -> Option<Change> {
        let was_closed = matches!(self.state, State::Closed { .. });
        self.state = State::Closed { n_failures: 0 };
        self.has_answered = true;
        (!was_closed).then(|| Change::Closed { silent: self.silent(now) })
    }

    /// Who never heard of the source gives it up sooner.
    fn max_outage(&self) -> Duration {
        match self.has_answered {
            true => self.config.max_outage,
            false => self.config.max_outage.min(self.config.max_outage_at_start),
        }
    }

    /// Decided when a call ends, not when the next one asks: a pause that is longer than the
    /// patience must not end a run whose next request would be answered.
    fn unanswered(&mut self, now: Duration, why: Silence) {
        self.silent_since.get_or_insert(now);
        let silent = self.silent(now);
        if silent >= self.max_outage() {
            self.given_up = Some((silent, why));
        }
    }

    fn failed(&mut self, now: Duration, pass: Pass, connection: Option<u64>) -> Option<Change> {
        let seen = connection.is_some() && connection <= self.counted;
        self.counted = connection.max(self.counted);
        match self.state {
            State::Closed { .. } if seen => None,
            State::Closed { n_failures } => {
                self.unanswered(now, Silence::Away);
                if n_failures + 1 < self.config.threshold {
                    self.state = State::Closed { n_failures: n_failures + 1 };
                    return None;
                }
                Some(self.open(now, self.config.cooldown))
            }
            State::HalfOpen { cooldown } if pass == Pass::Probe => {
                Some(self.open(now, (cooldown * 2).min(self.config.max_cooldown)))
            }
            // Calls made before it opened; their failure is no news.
            State::HalfOpen { .. } | State::Open { .. } => None,
        }
    }

    fn given_back(&mut self, now: Duration, pass: Pass) -> Option<Change> {
        match self.state {
            State::HalfOpen { cooldown } if pass == Pass::Probe => {
                self.state = State::Open { until: now, cooldown };
                Some(Change::ProbeGivenBack)
            }
            _ => None,
        }
    }

    fn open(&mut self, now: Duration, cooldown: Duration) -> Change {
        self.state = State::Open { until: now + cooldown, cooldown };
        Change::Opened { cooldown, silent: self.silent(now) }
    }
}

#[cfg(test)]
mod tests;
