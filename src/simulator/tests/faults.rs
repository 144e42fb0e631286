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
        (Fault::HostileError, "\u{1b}]0;owned\u{7}"),
        (Fault::TokenExpired, "InvalidToken"),
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
    assert_eq!(spoiled(Fault::NewestPart).await, good[4..]);
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
    assert_eq!(spoiled(Fault::ZeroPrice).await[5].1, "0");
    assert_eq!(spoiled(Fault::HugePrice).await[5].1.len(), 22, "as serde shows 30 digits");
    assert_eq!(first_answer(Fault::InfinitePrice).await, None);
    let long = spoiled(Fault::LongPrice).await;
    let value = |price: &str| price.parse::<f64>().unwrap();
    assert!(long.iter().zip(&good).all(|(a, b)| a.0 == b.0 && value(&a.1) == value(&b.1)));
    let past = spoiled(Fault::PastRows).await;
    assert_eq!((past.len(), past[0].0), (11, NOW - 18 - 3600));
    let before = spoiled(Fault::RowBefore).await;
    assert_eq!((before.len(), before[0].0), (11, NOW - 18 - 1));
    let behind = spoiled(Fault::RowBehind).await;
    assert_eq!((behind.len(), behind[10].0), (11, NOW + 1));
    let unequal = first_answer(Fault::UnequalLengths).await.unwrap();
    assert_eq!(unequal["history"]["prices"].as_array().unwrap().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn spoiled_epochs_and_members() {
    let times = |fault| async move {
        let answer = first_answer(fault).await.unwrap();
        answer["history"]["times"].as_array().unwrap().clone()
    };
    let epoch = NOW - 8;
    assert_eq!(times(Fault::StringEpochs).await[5], json!(epoch.to_string()));
    assert_eq!(times(Fault::FloatEpochs).await[5], json!(epoch as f64));
    assert_eq!(times(Fault::HalfEpoch).await[5], json!(epoch as f64 + 0.5));
    assert_eq!(times(Fault::NegativeEpoch).await[5], json!(-epoch));
    assert_eq!(times(Fault::NullEpoch).await[5], Value::Null);
    let history = first_answer(Fault::MissingPrices).await.unwrap()["history"].clone();
    assert!(history.get("prices").is_none() && history.get("times").is_some());
    let null = first_answer(Fault::NullHistory).await.unwrap();
    assert_eq!(null.get("history"), Some(&Value::Null));
}

/// Each candle fault spoils a candle as its twin spoils a tick.
#[tokio::test(start_paused = true)]
async fn candles_are_spoiled_as_well() {
    let bars = |fault| async move {
        let simulator = with_faults(FaultPlan::one_shot(fault, 1));
        let mut client = Client::dial(&simulator, V1).await.unwrap();
        client.candles(minutes(NOW - 600, NOW - 1)).await
    };
    assert_eq!(bars(Fault::MissingPrices).await[5].as_object().unwrap().len(), 1);
    assert_eq!(bars(Fault::StringEpochs).await[0]["epoch"], json!((NOW - 600).to_string()));
    assert_eq!(bars(Fault::ZeroPrice).await[5]["close"], 0);
    assert_eq!(bars(Fault::PastRows).await[0]["epoch"], NOW - 600 - 3600);
    assert_eq!(bars(Fault::RowBefore).await[0]["epoch"], NOW - 660);
    assert_eq!(bars(Fault::RowBehind).await[10]["epoch"], NOW - 1 + 60);
}

#[tokio::test(start_paused = true)]
async fn answers_to_something_else() {
    let other = first_answer(Fault::OtherWindow).await.unwrap();
    assert_eq!(other["echo_req"]["start"], NOW - 18 - 19);
    assert!(ticks_of(&other).iter().all(|(epoch, _)| *epoch < NOW - 18));
    let candles = first_answer(Fault::OtherStyle).await.unwrap();
    assert_eq!((&candles["msg_type"], candles.get("history")), (&json!("candles"), None));
    let time = first_answer(Fault::OtherAnswer).await.unwrap();
    assert_eq!((&time["msg_type"], &time["req_id"]), (&json!("time"), &json!(7)));
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
    assert_eq!(answer(Fault::HighPipSize).await["pip_size"], 3);
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
        Fault::InvalidUtf8,
        Fault::EmptyFrame,
        Fault::CloseAway,
        Fault::ClosePolicy,
    ] {
        assert_eq!(first_answer(fault).await, None, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_make_one_whole_answer() {
    assert_eq!(first_answer(Fault::Fragments).await.unwrap()["req_id"], 7);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_has_its_code() {
    for (fault, expected) in [(Fault::CloseAway, 1001_u16), (Fault::ClosePolicy, 1008)] {
        let simulator = with_faults(FaultPlan::one_shot(fault, 1));
        let mut client = Client::dial(&simulator, V1).await.unwrap();
        client.send(&history(NOW - 18, NOW, 10)).await;
        let Some(Ok(Message::Close(Some(frame)))) = client.socket.next().await else {
            panic!("{fault:?} says no farewell");
        };
        assert_eq!(u16::from(frame.code), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_connection_stays_open_and_answers_nothing() {
    let simulator = with_faults(FaultPlan::one_shot(Fault::Stall, 1));
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    client.send(&history(NOW - 18, NOW, 10)).await;
    client.send(&json!({ "ping": 1 })).await;
    assert!(tokio::time::timeout(600 * SECOND, client.next()).await.is_err(), "it spoke or closed");
    let mut other = Client::dial(&simulator, V1).await.unwrap();
    assert_eq!(other.ask(json!({ "ping": 1 })).await["ping"], "pong");
}

#[tokio::test(start_paused = true)]
async fn a_deploy_warns_everybody_and_cuts_everybody() {
    let simulator = with_faults(FaultPlan::one_shot(Fault::Deploy, 1));
    let mut bystander = Client::dial(&simulator, V1).await.unwrap();
    assert_eq!(bystander.ask(json!({ "ping": 1 })).await["ping"], "pong");
    let mut client = Client::dial(&simulator, V1).await.unwrap();
    client.send(&history(NOW - 18, NOW, 10)).await;
    let mut types = Vec::new();
    while let Some(answer) = client.next().await {
        types.push(answer["msg_type"].as_str().unwrap().to_owned());
    }
    types.sort();
    assert_eq!(types, ["history", "website_status"]);
    let status = bystander.next().await.unwrap();
    assert_eq!(status["website_status"]["site_status"], "updating");
    assert_eq!(bystander.next().await, None);
    assert!(Client::dial(&simulator, V1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn upgrades_that_never_come() {
    for fault in [Fault::ResetUpgrade, Fault::GarbageUpgrade] {
        let simulator = with_faults(FaultPlan::one_shot(fault, 1));
        assert!(Client::dial(&simulator, V1).await.is_err(), "{fault:?}");
        assert!(Client::dial(&simulator, V1).await.is_ok(), "{fault:?}");
    }
    let simulator = with_faults(FaultPlan::one_shot(Fault::NeverUpgrades, 1));
    let dialled = tokio::time::timeout(600 * SECOND, Client::dial(&simulator, V1)).await;
    assert!(dialled.is_err(), "it spoke or closed");
}

#[tokio::test(start_paused = true)]
async fn a_token_may_be_refused_on_one_connection() {
    let simulator = with_faults(FaultPlan::one_shot(Fault::RefuseToken, 1));
    let ask = json!({ "authorize": "abcdefghijklmno", "req_id": 1 });
    let mut client = Client::dial(&simulator, LEGACY).await.unwrap();
    assert_eq!(code(&client.ask(ask.clone()).await), "InvalidToken");
    let mut client = Client::dial(&simulator, LEGACY).await.unwrap();
    assert_eq!(code(&client.ask(ask).await), "no error");
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
