//! Stops asking a source that is away, and finds out when it is back.
//!
//! Closed: calls flow. Open: callers wait, without error and without using up an attempt.
//! Half-open: one probe may pass, the others wait for its outcome. Only failures of the transport
//! and of the server count; a refused request proves that the source is there.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Observer, WaitReason, locked};
use crate::domain::{
    Epoch, ErrorKind, Instrument, MarketDataSource, Page, PageRequest, Record, SourceError,
    SourceInfo,
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
                Leave::Go(pass) => return Ok(Passage { guarded: self, pass: Some(pass) }),
                Leave::Wait(wait) => wait,
                Leave::Outage(lasted) => return Err(self.outage(lasted)),
            };
            let change = async {
                let _ = changed.changed().await; // its sender lives in `self`
            };
            self.observer.wait_for(WaitReason::BreakerOpen, wait, change).await?;
        }
    }

    fn outage(&self, lasted: Duration) -> SourceError {
        let away = match lasted.as_secs() {
            secs @ 0..120 => format!("{secs} s"),
            secs => format!("{} min", secs / 60),
        };
        let error =
            SourceError::new(ErrorKind::Outage, format!("the source has been away for {away}"));
        match locked(&self.last_failure).clone() {
            Some(seen) => error.with_cause(seen),
            None => error,
        }
    }

    async fn guard<T>(
        &self,
        call: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let passage = self.pass().await?;
        let outcome = call.await;
        if let Err(error) = &outcome {
            *locked(&self.last_failure) = Some(failure_text(error));
        }
        passage.end(Outcome::of(outcome.as_ref().err()));
        outcome
    }
}

/// A failure and its cause on one line.
fn failure_text(error: &SourceError) -> String {
    match &error.cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl<R: Record, S: MarketDataSource<R>> MarketDataSource<R> for Guarded<S> {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<R>, SourceError> {
        self.guard(self.inner.fetch_page(request)).await
    }
}

impl<S: SourceInfo> SourceInfo for Guarded<S> {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        self.guard(self.inner.server_time()).await
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        self.guard(self.inner.instruments()).await
    }
}

/// One call on its way. A caller that leaves in the middle gives its probe back.
struct Passage<'a, S> {
    guarded: &'a Guarded<S>,
    pass: Option<Pass>,
}

impl<S> Passage<'_, S> {
    fn end(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    fn report(&mut self, outcome: Outcome) {
        let Some(pass) = self.pass.take() else { return };
        let now = self.guarded.now();
        let change = locked(&self.guarded.circuit).report(now, pass, outcome);
        match change {
            None => return,
            Some(Change::Opened { cooldown }) => {
                let cooldown_secs = cooldown.as_secs();
                tracing::warn!(cooldown_secs, "the source does not answer, waiting");
            }
            Some(Change::Closed) => tracing::info!("the source answers again"),
            Some(Change::ProbeGivenBack) => {}
        }
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
    /// It answered, be it with a refusal.
    Answered,
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
    Outage(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Opened { cooldown: Duration },
    Closed,
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
    /// When the first failure after the last answer came.
    silent_since: Option<Duration>,
    /// Whether anything was ever answered.
    has_answered: bool,
    /// The last lost connection that was counted.
    counted: Option<u64>,
}

impl Circuit {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: State::Closed { n_failures: 0 },
            silent_since: None,
            has_answered: false,
            counted: None,
        }
    }

    /// May a call be made?
    fn ask(&mut self, now: Duration) -> Leave {
        let silent = now.saturating_sub(self.silent_since.unwrap_or(now));
        let max_outage = match self.has_answered {
            true => self.config.max_outage,
            false => self.config.max_outage.min(self.config.max_outage_at_start),
        };
        let cooldown = match self.state {
            State::Closed { .. } if !self.has_answered && silent >= max_outage => {
                return Leave::Outage(silent);
            }
            State::Closed { .. } => return Leave::Go(Pass::Ordinary),
            State::Open { cooldown, .. } | State::HalfOpen { cooldown } => cooldown,
        };
        let patience = max_outage.saturating_sub(silent);
        if patience.is_zero() {
            return Leave::Outage(silent);
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
            Outcome::Answered => self.answered(),
            Outcome::Failed { connection } => self.failed(now, pass, connection),
            Outcome::Unknown => self.given_back(now, pass),
        }
    }

    /// Any answer proves that the source is there, also one to a call made before it went away.
    fn answered(&mut self) -> Option<Change> {
        let was_closed = matches!(self.state, State::Closed { .. });
        self.state = State::Closed { n_failures: 0 };
        self.silent_since = None;
        self.has_answered = true;
        (!was_closed).then_some(Change::Closed)
    }

    fn failed(&mut self, now: Duration, pass: Pass, connection: Option<u64>) -> Option<Change> {
        let seen = connection.is_some() && connection == self.counted;
        self.counted = connection.or(self.counted);
        match self.state {
            State::Closed { .. } if seen => None,
            State::Closed { n_failures } => {
                self.silent_since.get_or_insert(now);
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
        Change::Opened { cooldown }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::Tick;
    use crate::resilience::testing::{Scripted, observer, page_request};

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn circuit() -> Circuit {
        Circuit::new(BreakerConfig::default())
    }

    const LOST: Outcome = Outcome::Failed { connection: None };

    fn opened_at(now: Duration) -> Circuit {
        let mut circuit = circuit();
        for _ in 0..5 {
            circuit.report(now, Pass::Ordinary, LOST);
        }
        circuit
    }

    #[test]
    fn opens_at_the_fifth_failure_in_a_row() {
        let mut circuit = circuit();
        for _ in 0..4 {
            assert_eq!(circuit.report(secs(1), Pass::Ordinary, LOST), None);
        }
        circuit.report(secs(1), Pass::Ordinary, Outcome::Answered);
        for _ in 0..4 {
            assert_eq!(circuit.report(secs(2), Pass::Ordinary, LOST), None);
        }
        assert_eq!(circuit.ask(secs(2)), Leave::Go(Pass::Ordinary));
        let change = circuit.report(secs(2), Pass::Ordinary, LOST);
        assert_eq!(change, Some(Change::Opened { cooldown: secs(60) }));
        assert_eq!(circuit.ask(secs(12)), Leave::Wait(secs(50)));
    }

    #[test]
    fn one_lost_connection_is_one_failure() {
        let mut circuit = circuit();
        for connection in 1..=4 {
            for _ in 0..10 {
                let lost = Outcome::Failed { connection: Some(connection) };
                assert_eq!(circuit.report(secs(1), Pass::Ordinary, lost), None);
            }
        }
        let lost = Outcome::Failed { connection: Some(5) };
        assert!(circuit.report(secs(1), Pass::Ordinary, lost).is_some());
    }

    #[test]
    fn one_probe_decides_and_failed_probes_double_the_wait() {
        let mut circuit = opened_at(secs(0));
        let mut now = secs(0);
        for cooldown in [60, 120, 240, 300, 300] {
            assert_eq!(circuit.ask(now), Leave::Wait(secs(cooldown)));
            now += secs(cooldown);
            assert_eq!(circuit.ask(now), Leave::Go(Pass::Probe));
            assert!(matches!(circuit.ask(now), Leave::Wait(_)), "a second probe");
            circuit.report(now, Pass::Probe, LOST);
        }
        now += secs(300);
        assert_eq!(circuit.ask(now), Leave::Go(Pass::Probe));
        let change = circuit.report(now, Pass::Probe, Outcome::Answered);
        assert_eq!(change, Some(Change::Closed));
        assert_eq!(circuit.ask(now), Leave::Go(Pass::Ordinary));
    }

    #[test]
    fn stragglers_neither_close_the_probe_nor_prolong_the_wait() {
        let mut circuit = opened_at(secs(0));
        assert_eq!(circuit.report(secs(30), Pass::Ordinary, LOST), None);
        assert_eq!(circuit.ask(secs(60)), Leave::Go(Pass::Probe));
        assert_eq!(circuit.report(secs(61), Pass::Ordinary, LOST), None);
        assert_eq!(circuit.report(secs(61), Pass::Ordinary, Outcome::Unknown), None);
        assert!(matches!(circuit.ask(secs(61)), Leave::Wait(_)));
        let change = circuit.report(secs(62), Pass::Ordinary, Outcome::Answered);
        assert_eq!(change, Some(Change::Closed));
    }

    #[test]
    fn a_probe_given_back_is_given_to_the_next() {
        let mut circuit = opened_at(secs(0));
        assert_eq!(circuit.ask(secs(60)), Leave::Go(Pass::Probe));
        circuit.report(secs(61), Pass::Probe, Outcome::Unknown);
        assert_eq!(circuit.ask(secs(61)), Leave::Go(Pass::Probe));
    }

    #[test]
    fn a_long_outage_is_given_up() {
        let mut circuit = opened_at(secs(100));
        let mut now = secs(100);
        loop {
            match circuit.ask(now) {
                Leave::Go(_) => drop(circuit.report(now, Pass::Probe, LOST)),
                Leave::Wait(wait) => now += wait,
                Leave::Outage(lasted) => break assert_eq!(lasted, secs(1800)),
            }
        }
        assert_eq!(now, secs(1900));
        assert!(matches!(circuit.ask(now + secs(9)), Leave::Outage(_)));
    }

    #[test]
    fn only_the_absence_of_the_source_counts() {
        let check = |kind, expected| {
            let error = SourceError::new(kind, "");
            assert_eq!(Outcome::of(Some(&error)), expected, "{kind:?}");
        };
        check(ErrorKind::Transport, LOST);
        check(ErrorKind::ServerFault, LOST);
        check(ErrorKind::RateLimited, Outcome::Answered);
        check(ErrorKind::Malformed, Outcome::Answered);
        check(ErrorKind::TooLarge, Outcome::Answered);
        check(ErrorKind::Unknown, Outcome::Answered);
        check(ErrorKind::Rejected, Outcome::Answered);
        check(ErrorKind::UnknownSymbol, Outcome::Answered);
        check(ErrorKind::Unauthorized, Outcome::Answered);
        check(ErrorKind::MarketClosed, Outcome::Answered);
        check(ErrorKind::Cancelled, Outcome::Unknown);
        check(ErrorKind::Outage, Outcome::Unknown);
        assert_eq!(Outcome::of(None), Outcome::Answered);
    }

    async fn fetch(source: &Guarded<Scripted>) -> Result<Page<Tick>, SourceError> {
        source.fetch_page(&page_request()).await
    }

    #[tokio::test(start_paused = true)]
    async fn callers_wait_without_error_until_the_probe_is_answered() {
        let scripted = Scripted::new([Err(ErrorKind::Transport); 6]);
        let source = Arc::new(Guarded::new(scripted, BreakerConfig::default(), observer()));
        for _ in 0..5 {
            assert_eq!(fetch(&source).await.unwrap_err().kind, ErrorKind::Transport);
        }
        let start = Instant::now();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let source = Arc::clone(&source);
                tokio::spawn(async move { fetch(&source).await.map_err(|error| error.kind) })
            })
            .collect();
        let mut outcomes = Vec::new();
        for caller in waiting {
            outcomes.push(caller.await.unwrap().map(|_| ()));
        }
        outcomes.sort_unstable_by_key(Result::is_ok);
        // The first probe fails after 60 s and is the only error; the next one, 120 s later, is fine.
        assert_eq!(outcomes, [Err(ErrorKind::Transport), Ok(()), Ok(()), Ok(())]);
        assert_eq!(start.elapsed(), secs(180));
        assert_eq!(source.inner().calls().len(), 5 + 1 + 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_leaves_gives_its_probe_back() {
        let scripted = Scripted::new([Err(ErrorKind::Transport); 5]).hanging_from(5);
        let source = Guarded::new(scripted, BreakerConfig::default(), observer());
        for _ in 0..5 {
            fetch(&source).await.unwrap_err();
        }
        tokio::time::timeout(secs(70), fetch(&source)).await.unwrap_err();
        source.inner().stop_hanging();
        let start = Instant::now();
        fetch(&source).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_outage_ends_the_wait() {
        let scripted = Scripted::new(vec![Err(ErrorKind::Transport); 99]);
        let source = Guarded::new(scripted, BreakerConfig::default(), observer());
        let start = Instant::now();
        let error = loop {
            let error = fetch(&source).await.unwrap_err();
            if error.kind != ErrorKind::Transport {
                break error;
            }
        };
        assert_eq!(error.kind, ErrorKind::Outage);
        assert_eq!(start.elapsed(), secs(1800));
        assert_eq!(error.to_string(), "the source has been away for 30 min");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_answered_is_given_up_sooner() {
        let config = BreakerConfig { max_outage_at_start: secs(30), ..BreakerConfig::default() };
        let run = async |n_answers: usize| {
            let script = std::iter::repeat_n(Ok(()), n_answers)
                .chain(std::iter::repeat_n(Err(ErrorKind::Transport), 99));
            let source = Guarded::new(Scripted::new(script), config, observer());
            let start = Instant::now();
            loop {
                let Err(error) = fetch(&source).await else { continue };
                if error.kind == ErrorKind::Outage {
                    let cause = error.cause.map(|cause| cause.to_string());
                    assert_eq!(cause.as_deref(), Some("scripted: scripted cause"));
                    return start.elapsed();
                }
            }
        };
        assert_eq!(run(0).await, secs(30));
        assert_eq!(run(1).await, secs(1800));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_ends_at_once() {
        let observer = observer();
        let scripted = Scripted::new([Err(ErrorKind::Transport); 5]);
        let source = Guarded::new(scripted, BreakerConfig::default(), observer.clone());
        for _ in 0..5 {
            fetch(&source).await.unwrap_err();
        }
        let start = Instant::now();
        observer.cancel.cancel();
        assert_eq!(fetch(&source).await.unwrap_err().kind, ErrorKind::Cancelled);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
