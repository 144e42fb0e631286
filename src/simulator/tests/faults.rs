//! Every fault does what its line in the table says.

use std::collections::BTreeSet;

use super::*;
use crate::simulator::{Fault, Outcome};

/// The first answer to a page of ten ticks under one fault; `None` if nothing readable came.
async fn first_answer(fault: Fault) -> Option<Value> {
    let simulator = with_faults(FaultPlan::one_shot(fault, 1));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    client.send(&history(NOW - 18, NOW, 10)).await;
    let answer = client.next().await;
    assert_eq!(simulator.log()[0].outcome, Outcome::Fault(fault.name()));
    answer
}

#[tokio::test(start_paused = true)]
async fn in_band_errors_carry_their_codes() {
    for (fault, expected) in [
        (Fault::RateLimit, "RateLimit"),
        (Fault::InternalError, "InternalServerError"),
        (Fault::CallError, "CallError"),
        (Fault::WrongResponse, "WrongResponse"),
        (Fault::Timeout, "Timeout"),
        (Fault::OutputValidationFailed, "OutputValidationFailed"),
        (Fault::ResponseTooLarge, "ResponseTooLarge"),
        (Fault::UnknownCode, "FluxCapacitorDrained"),
    ] {
        assert_eq!(code(&first_answer(fault).await.unwrap()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn spoiled_rows_differ_from_the_true_page_in_the_promised_way() {
    let simulator = Simulator::new(plain());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let good = client.ticks(history(NOW - 18, NOW, 10)).await;

    let spoiled = |fault| async move { ticks_of(&first_answer(fault).await.unwrap()) };
    assert_eq!(spoiled(Fault::ShortPage).await, good[7..]);
    assert!(spoiled(Fault::Silent).await.is_empty());
    let unsorted = spoiled(Fault::Unsorted).await;
    assert!(unsorted[0].0 > unsorted[1].0);
    let twice = spoiled(Fault::DuplicateRows).await;
    assert_eq!((twice.len(), &twice[5]), (11, &twice[6]));
    let conflict = spoiled(Fault::ConflictingRows).await;
    assert!(conflict[5].0 == conflict[6].0 && conflict[5].1 != conflict[6].1);
    assert!(spoiled(Fault::FutureRows).await.last().unwrap().0 > NOW);
    assert_eq!(spoiled(Fault::NullPrice).await[5].1, "null");
    assert!(spoiled(Fault::NegativePrice).await[5].1.starts_with('-'));
    assert!(spoiled(Fault::StringPrices).await.iter().all(|(_, price)| price.starts_with('"')));
    assert_eq!(first_answer(Fault::NanPrice).await, None);
    let unequal = first_answer(Fault::UnequalLengths).await.unwrap();
    assert_eq!(unequal["history"]["prices"].as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn a_substituted_page_is_the_newest_data() {
    let simulator = with_faults(FaultPlan::none().always(Fault::Substitute));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    let ticks = client.ticks(history(NOW - 5000, NOW - 4000, 10)).await;
    assert_eq!(ticks.last().unwrap().0, NOW);
}

#[tokio::test(start_paused = true)]
async fn spoiled_envelopes() {
    let answer = |fault| async move { first_answer(fault).await.unwrap() };
    assert_ne!(answer(Fault::WrongReqId).await["req_id"], 7);
    assert_eq!(answer(Fault::NoReqId).await.get("req_id"), None);
    let lenient = answer(Fault::NoEcho).await;
    assert_eq!((lenient.get("echo_req"), &lenient["req_id"]), (None, &json!(7)));
    assert_ne!(answer(Fault::WrongSymbolEcho).await["echo_req"]["ticks_history"], "R_100");
    assert_eq!(answer(Fault::WrongPipSize).await["pip_size"], 1);
    assert_eq!(answer(Fault::MissingHistory).await.get("history"), None);
}

#[tokio::test(start_paused = true)]
async fn transports_that_break() {
    for fault in [
        Fault::Drop,
        Fault::TcpReset,
        Fault::DropMidFrame,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Binary,
        Fault::DeepJson,
        Fault::HugeFrame,
    ] {
        assert_eq!(first_answer(fault).await, None, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_late_twice_or_never() {
    let plan =
        FaultPlan::none().on(Fault::Hang, 1..=1).on(Fault::Late, 2..=2).on(Fault::Doubled, 3..=3);
    let simulator = with_faults(plan);
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    for req_id in 1..=3 {
        let mut ask = history(NOW - 18, NOW, 10);
        ask["req_id"] = json!(req_id);
        client.send(&ask).await;
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(client.next().await.unwrap()["req_id"].as_i64().unwrap());
    }
    assert_eq!(order, [3, 3, 2]);
    assert!(tokio::time::timeout(60 * SECOND, client.next()).await.is_err());

    let simulator = with_faults(FaultPlan::one_shot(Fault::Slow, 1));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    client.send(&history(NOW - 18, NOW, 10)).await;
    assert!(tokio::time::timeout(2 * SECOND, client.next()).await.is_err());
    assert!(tokio::time::timeout(2 * SECOND, client.next()).await.unwrap().is_some());
}

#[tokio::test]
async fn upgrades_are_refused_with_their_status() {
    for (fault, expected) in [
        (Fault::Refuse401, 401),
        (Fault::Refuse403, 403),
        (Fault::Refuse429, 429),
        (Fault::Refuse503, 503),
    ] {
        let simulator = with_faults(FaultPlan::one_shot(fault, 2));
        assert!(Client::dial(&simulator, V1).await.is_ok());
        let Err(tungstenite::Error::Http(response)) = Client::dial(&simulator, V1).await else {
            panic!("{fault:?} did not refuse");
        };
        assert_eq!(response.status().as_u16(), expected);
        assert!(Client::dial(&simulator, V1).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_cuts_everybody_and_lets_nobody_in() {
    let simulator = with_faults(FaultPlan::parse(&["outage=10+20".to_owned()]).unwrap());
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    assert_eq!(client.ask(json!({ "ping": 1 })).await["ping"], "pong");
    assert_eq!(client.next().await, None);
    assert!(Client::dial(&simulator, V1).await.is_err());
    tokio::time::advance(21 * SECOND).await;
    assert!(Client::dial(&simulator, V1).await.is_ok());
}

#[tokio::test]
async fn random_faults_repeat_with_the_seed() {
    let outcomes = |seed: u64| async move {
        let faults = FaultPlan::none().with_chance(Fault::ShortPage, 0.3);
        let simulator = Simulator::new(SimulatorConfig { seed, faults, ..plain() });
        let mut client = Client::dial(&simulator, V1).await.unwrap();
        for _ in 0..60 {
            client.ask(history(NOW - 18, NOW, 10)).await;
        }
        simulator.log().iter().map(|call| call.outcome).collect::<Vec<_>>()
    };
    let one = outcomes(1).await;
    assert_eq!(one, outcomes(1).await);
    assert_ne!(one, outcomes(2).await);
    assert!(one.contains(&Outcome::Fault("short_page")));
    assert!(one.contains(&Outcome::Answered { rows: 10 }));
}

#[test]
fn every_fault_of_the_table_is_tested_here() {
    let source = include_str!("faults.rs");
    let untested: BTreeSet<&str> = Fault::ALL
        .iter()
        .filter(|fault| !source.contains(&format!("Fault::{fault:?}")))
        .map(|fault| fault.name())
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}
