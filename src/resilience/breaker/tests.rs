//! The decisions one by one, then the waiting around them.

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
    assert_eq!(change, Some(Change::Opened { cooldown: secs(60), silent: secs(0) }));
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
    assert_eq!(change, Some(Change::Closed { silent: now }));
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
    assert_eq!(change, Some(Change::Closed { silent: secs(62) }));
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
            Leave::Outage(lasted, why) => {
                break assert_eq!((lasted, why), (secs(1800), Silence::Away));
            }
        }
    }
    assert_eq!(now, secs(1900));
    assert!(matches!(circuit.ask(now + secs(9)), Leave::Outage(..)));
}

#[test]
fn only_the_absence_of_the_source_counts() {
    let check = |kind, expected| {
        let error = SourceError::new(kind, "");
        assert_eq!(Outcome::of(Some(&error)), expected, "{kind:?}");
    };
    check(ErrorKind::Transport, LOST);
    check(ErrorKind::ServerFault, LOST);
    check(ErrorKind::RateLimited, Outcome::Refused);
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
    // The first probe fails after 60 s, which nobody is told; the next one, 120 s later, is fine.
    assert_eq!(outcomes, [Ok(()); 4]);
    assert_eq!(start.elapsed(), secs(180));
    assert_eq!(source.inner().calls().len(), 5 + 1 + 1 + 4);
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

#[test]
fn a_late_report_of_an_older_loss_is_no_news() {
    let mut circuit = circuit();
    for connection in [1, 2, 1, 2, 3, 3, 2, 1, 4, 4, 3] {
        let lost = Outcome::Failed { connection: Some(connection) };
        assert_eq!(circuit.report(secs(1), Pass::Ordinary, lost), None, "{connection}");
    }
    let lost = Outcome::Failed { connection: Some(5) };
    assert!(circuit.report(secs(1), Pass::Ordinary, lost).is_some());
}

#[test]
fn only_refusals_for_too_long_are_an_outage_and_any_answer_is_none() {
    let ask_at = |last: Outcome, now| {
        let mut circuit = circuit();
        circuit.report(secs(0), Pass::Ordinary, Outcome::Refused);
        circuit.report(secs(900), Pass::Ordinary, Outcome::Refused);
        assert_eq!(circuit.ask(secs(5_000)), Leave::Go(Pass::Ordinary), "a pause ends no run");
        circuit.report(secs(now), Pass::Ordinary, last);
        circuit.report(secs(now + 1), Pass::Ordinary, Outcome::Refused);
        circuit.ask(secs(now + 1))
    };
    let given_up = |lasted| Leave::Outage(secs(lasted), Silence::Refusing);
    assert_eq!(ask_at(Outcome::Refused, 1_700), Leave::Go(Pass::Ordinary));
    assert_eq!(ask_at(Outcome::Refused, 1_800), given_up(1_801));
    assert_eq!(ask_at(Outcome::Answered, 9_000), Leave::Go(Pass::Ordinary));
    // An answer that was still on its way when the source was given up.
    let mut circuit = circuit();
    circuit.report(secs(0), Pass::Ordinary, Outcome::Refused);
    circuit.report(secs(1_800), Pass::Ordinary, Outcome::Refused);
    assert_eq!(circuit.ask(secs(1_801)), given_up(1_800));
    circuit.report(secs(1_802), Pass::Ordinary, Outcome::Answered);
    assert_eq!(circuit.ask(secs(1_803)), Leave::Go(Pass::Ordinary));
}

#[test]
fn refusals_and_losses_in_turn_are_an_outage_too() {
    let config = BreakerConfig { threshold: 1_000, ..BreakerConfig::default() };
    let mut circuit = Circuit::new(config);
    for n in 0..=18 {
        assert_eq!(circuit.ask(secs(n * 100)), Leave::Go(Pass::Ordinary));
        let outcome = if n % 2 == 0 { LOST } else { Outcome::Refused };
        circuit.report(secs(n * 100), Pass::Ordinary, outcome);
    }
    assert_eq!(circuit.ask(secs(1_800)), Leave::Outage(secs(1_800), Silence::Away));
}

#[tokio::test(start_paused = true)]
async fn the_observer_knows_the_state_and_its_age() {
    let observer = observer();
    let scripted = Scripted::new([Err(ErrorKind::Transport); 6]);
    let source = Guarded::new(scripted, BreakerConfig::default(), observer.clone());
    let state = || (observer.breaker().state, observer.breaker().since.elapsed());
    assert_eq!(observer.breaker().state, BreakerState::Closed);
    for _ in 0..5 {
        fetch(&source).await.unwrap_err();
    }
    tokio::time::advance(secs(7)).await;
    assert_eq!(state(), (BreakerState::Open, secs(7)));
    tokio::time::timeout(secs(63), fetch(&source)).await.unwrap_err();
    assert_eq!(state(), (BreakerState::Open, secs(10)));
    assert_eq!(observer.breaker().n_openings, 2);
    fetch(&source).await.unwrap();
    assert_eq!(state(), (BreakerState::Closed, secs(0)));
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

/// What fails although the time is told fails by itself: the caller hears of it, and the breaker
/// stays open for twice as long as before.
#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_alone_is_told_to_its_caller() {
    let lost = Err(ErrorKind::Transport);
    let script = [lost; 5].into_iter().chain([Ok(()), lost, Err(ErrorKind::RateLimited)]);
    let source = Guarded::new(Scripted::new(script), BreakerConfig::default(), observer());
    for _ in 0..5 {
        fetch(&source).await.unwrap_err();
    }
    let start = Instant::now();
    assert_eq!(fetch(&source).await.unwrap_err().kind, ErrorKind::Transport);
    assert_eq!(start.elapsed(), secs(60));
    // Even the time is refused as too frequent: it is there.
    fetch(&source).await.unwrap();
    assert_eq!(start.elapsed(), secs(60 + 120));
    assert_eq!(source.inner().calls().len(), 5 + 2 + 2);
}
