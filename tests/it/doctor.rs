//! The API examined: as it is known, and in every way in which the simulated exchange can differ.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use titan_download::deriv::probe::{self, Check, Examination, MAX_REQUESTS, ProbePlan};
use titan_download::deriv::{
    ApiVersion, BoxedStream, Connect, DerivConfig, Endpoint, NetConnector, Secret,
};
use titan_download::domain::{Epoch, Verdict};
use titan_download::simulator::{
    Fault, FaultPlan, Limits, Outcome, Quirk, Quirks, SimClock, Simulator, SimulatorConfig,
    Straddle,
};

/// Dials the exchange in memory.
struct Pipes(Arc<Simulator>);

impl Connect for Pipes {
    async fn dial(&self, _: &Endpoint) -> io::Result<BoxedStream> {
        let (near, far) = tokio::io::duplex(1 << 20);
        tokio::spawn(Arc::clone(&self.0).serve_stream(far));
        Ok(Box::new(near))
    }
}

/// In the middle of a minute, so that there is a candle that is not over.
fn config() -> SimulatorConfig {
    let clock = SimClock::frozen(Epoch::new(1_773_576_030));
    SimulatorConfig { clock, limits: Limits::NONE, ..SimulatorConfig::default() }
}

fn quirk(quirk: Quirk) -> SimulatorConfig {
    SimulatorConfig { quirks: Quirks::NONE.with(quirk), ..config() }
}

fn always(fault: Fault) -> SimulatorConfig {
    SimulatorConfig { faults: FaultPlan::none().always(fault), ..config() }
}

/// How the client goes about it.
struct Setup {
    api: ApiVersion,
    symbol: &'static str,
    is_long: bool,
    token: Option<&'static str>,
    /// Milliseconds that this machine's clock is ahead.
    ahead_millis: i64,
    pace: Duration,
}

const V1: Setup = Setup {
    api: ApiVersion::V1,
    symbol: "R_100",
    is_long: false,
    token: None,
    ahead_millis: 0,
    pace: Duration::ZERO,
};

/// Examines an exchange, and counts its requests.
async fn examined(setup: &Setup, config: SimulatorConfig) -> (Examination, Arc<Simulator>) {
    let exchange_closes = config.quirks.has(Quirk::CloseOnError);
    let exchange = Simulator::new(config);
    let mut told = DerivConfig::new(setup.api, Endpoint::default_for(setup.api));
    told.token = setup.token.map(Secret::new);
    let (clock, ahead) = (Arc::clone(&exchange), setup.ahead_millis);
    let plan = ProbePlan {
        symbol: setup.symbol.parse().unwrap(),
        is_long: setup.is_long,
        pace: setup.pace,
        clock: Arc::new(move || clock.now().secs() * 1000 + ahead),
    };
    let found = probe::probe(&told, &Pipes(Arc::clone(&exchange)), &plan, &|_| {}).await;
    let n_seen = exchange.log().len();
    // What is sent into a connection that the exchange has closed counts and is never seen.
    assert!(n_seen <= found.n_requests as usize);
    assert!(
        exchange_closes || n_seen == found.n_requests as usize,
        "{n_seen} of {}",
        found.n_requests
    );
    assert!(found.n_requests <= MAX_REQUESTS, "{}", found.n_requests);
    (found, exchange)
}

fn named(found: &Examination, verdict: Verdict) -> BTreeSet<&'static str> {
    let fits = found.probes.iter().filter(|probe| probe.verdict == verdict);
    fits.map(|probe| probe.name).collect()
}

/// Exactly these differ, and nothing fails.
#[track_caller]
fn assert_differs(what: &str, found: &Examination, expected: &str) {
    let expected: BTreeSet<_> = expected.split_whitespace().collect();
    assert_eq!(named(found, Verdict::Differs), expected, "{what}: {found:#?}");
    assert_eq!(named(found, Verdict::Failed), BTreeSet::new(), "{what}: {found:#?}");
}

#[tokio::test]
async fn the_api_as_it_is_known_is_as_assumed() {
    let legacy = Setup { api: ApiVersion::Legacy, ..V1 };
    let session = Setup { symbol: "frxEURUSD", ..V1 };
    for (what, setup) in [("v1", V1), ("legacy", legacy), ("sessions", session)] {
        let (found, exchange) = examined(&setup, config()).await;
        assert_differs(what, &found, "");
        let skipped = named(&found, Verdict::Skipped);
        let may_be_skipped = ["dns", "tcp", "tls", "token", "idle", "open_candle"];
        assert!(skipped.iter().all(|name| may_be_skipped.contains(name)), "{what}: {skipped:?}");
        assert!(found.is_reached && found.server_time == Some(exchange.now()));
        assert_eq!(found.probes.len(), Check::ALL.len());
    }
    let substitute = SimulatorConfig { straddle: Straddle::Substitute, ..config() };
    assert_differs("straddle", &examined(&V1, substitute).await.0, "");
}

/// Each quirk shows in its own rows and in no other.
#[tokio::test]
async fn every_quirk_is_noticed_as_what_it_is() {
    let table = [
        (Quirk::ExclusiveStart, "bounds"),
        (Quirk::ExclusiveEnd, "bounds"),
        (Quirk::OldestFirst, "newest_first substitution"),
        (Quirk::Descending, "order"),
        (Quirk::CountIgnored, "count"),
        (Quirk::CountRefused, "page_cap"),
        (Quirk::StepAsDecimals, "decimals"),
        (Quirk::DecimalsAsStep, "decimals"),
        (Quirk::WallError, "substitution"),
        (Quirk::WallEmpty, "substitution"),
        (Quirk::ClosedError, "closed_market"),
        (Quirk::NoOpenCandle, "open_candle"),
        (Quirk::WholeCandles, "cut_candle"),
        (Quirk::UnknownEmpty, "unknown_symbol"),
        // It also echoes what it took the request for.
        (Quirk::AnyGranularity, "bad_granularity echo_req"),
        (Quirk::CloseOnError, "errors_keep_connection"),
        (Quirk::NeverEchoes, "echo_req"),
        (Quirk::NeverNumbers, "req_id"),
        (Quirk::NoSymbols, "symbols"),
        (Quirk::NoTradingTimes, "trading_times"),
        (Quirk::NoPing, "ping"),
    ];
    for (one, expected) in table {
        let (found, _) = examined(&V1, quirk(one)).await;
        assert_differs(one.name(), &found, expected);
    }
    let idle = [Quirk::ShortIdle, Quirk::NeverIdle];
    let tried: BTreeSet<_> =
        table.iter().map(|(one, _)| *one).chain(idle).map(Quirk::name).collect();
    assert_eq!(tried, Quirk::ALL.iter().map(|quirk| quirk.name()).collect());
}

#[tokio::test]
async fn other_limits_and_spoiled_pages_are_noticed() {
    let days = |n: u64| SimulatorConfig { wall: Duration::from_secs(n * 86_400), ..config() };
    let cap = |n| SimulatorConfig { page_cap: Some(n), ..config() };
    for (what, config, expected) in [
        ("a larger cap", cap(5_000), "page_cap"),
        ("a smaller cap", cap(700), "page_cap"),
        ("a near wall", days(200), "wall"),
        ("a far wall", days(3_000), "wall"),
        ("no wall", days(30_000), "wall"),
        ("wrong decimals", always(Fault::WrongPipSize), "decimals grid"),
        ("fewer prices", always(Fault::UnequalLengths), "lengths"),
        ("the answer to something else", always(Fault::OtherAnswer), ""),
    ] {
        let (found, _) = examined(&V1, config).await;
        if expected.is_empty() {
            assert!(named(&found, Verdict::Failed).contains("page_cap"), "{what}: {found:#?}");
        } else {
            let differs = named(&found, Verdict::Differs);
            for name in expected.split_whitespace() {
                assert!(differs.contains(name), "{what}: {found:#?}");
            }
        }
    }
    for (ahead_millis, expected) in [(1_500, ""), (5_000, "clock"), (-5_000, "clock")] {
        let (found, _) = examined(&Setup { ahead_millis, ..V1 }, config()).await;
        assert_differs("clock", &found, expected);
    }
}

/// A refusal as too frequent ends it: what was found is told, and nothing more is asked.
#[tokio::test]
async fn a_refusal_as_too_frequent_ends_it() {
    let faults = FaultPlan::one_shot(Fault::RateLimit, 3);
    let (found, exchange) = examined(&V1, SimulatorConfig { faults, ..config() }).await;
    assert_differs("refused", &found, "rate_limit");
    let log = exchange.log();
    assert_eq!(log.last().unwrap().outcome, Outcome::Fault("rate_limit"));
    let of = |name: &str| found.probes.iter().find(|probe| probe.name == name).unwrap().verdict;
    assert_eq!(
        (of("page_cap"), of("wall"), of("candles")),
        (Verdict::Ok, Verdict::Skipped, Verdict::Skipped)
    );
}

/// The pauses between requests are kept, and no limit that is published is reached.
#[tokio::test(start_paused = true)]
async fn it_asks_politely() {
    let (began, pace) = (Instant::now(), Duration::from_secs(2));
    let (found, exchange) = examined(&Setup { pace, ..V1 }, SimulatorConfig::default()).await;
    assert_differs("polite", &found, "");
    assert!(began.elapsed() >= pace * (found.n_requests - 1), "{:?}", began.elapsed());
    assert!(exchange.max_calls_in_any(Duration::from_secs(60)) <= 31);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_watched() {
    let long = Setup { is_long: true, ..V1 };
    for (config, expected) in
        [(config(), ""), (quirk(Quirk::ShortIdle), "idle"), (quirk(Quirk::NeverIdle), "idle")]
    {
        let (found, _) = examined(&long, config).await;
        assert_differs("idle", &found, expected);
        assert!(!named(&found, Verdict::Skipped).contains("idle"));
    }
}

#[tokio::test]
async fn a_token_is_tried_and_never_told() {
    const TOKEN: &str = "pL4nt3dT0k3n";
    let legacy = Setup { api: ApiVersion::Legacy, token: Some(TOKEN), ..V1 };
    let accepts = |token: &str| SimulatorConfig { token: Some(token.to_owned()), ..config() };
    let (found, exchange) = examined(&legacy, accepts(TOKEN)).await;
    assert_differs("token", &found, "");
    assert!(named(&found, Verdict::Ok).contains("token"));
    assert_eq!(exchange.log()[0].call, "authorize");
    assert!(!format!("{found:?}").contains(TOKEN));
    let (found, _) = examined(&legacy, accepts("an0ther")).await;
    assert_eq!(named(&found, Verdict::Failed), BTreeSet::from(["token"]));
    assert!(!found.is_reached && !format!("{found:?}").contains(TOKEN));
}

/// What never answers costs one time-out for each of the first questions, then it is over.
#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_or_refuses_is_told() {
    let (found, _) = examined(&V1, always(Fault::Hang)).await;
    let failed = named(&found, Verdict::Failed);
    assert!(failed.contains("page_cap") && failed.contains("candles"), "{failed:?}");
    for fault in [Fault::Refuse503, Fault::GarbageUpgrade, Fault::NeverUpgrades] {
        let (found, exchange) = examined(&V1, always(fault)).await;
        assert_eq!(named(&found, Verdict::Failed).len(), 1, "{fault:?} {found:#?}");
        assert!(!found.is_reached && exchange.log().is_empty());
    }
}

#[tokio::test]
async fn each_step_of_the_way_is_told() {
    let plan = ProbePlan {
        symbol: "R_100".parse().unwrap(),
        is_long: false,
        pace: Duration::ZERO,
        clock: Arc::new(|| 0),
    };
    // A port that was just free is closed now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = Endpoint::parse(&format!("ws://127.0.0.1:{port}/")).unwrap();
    let config = DerivConfig::new(ApiVersion::V1, endpoint);
    let found = probe::probe(&config, &NetConnector::new(), &plan, &|_| {}).await;
    assert_eq!(named(&found, Verdict::Failed), BTreeSet::from(["tcp"]));
    assert_eq!(named(&found, Verdict::Ok), BTreeSet::from(["dns"]));
    assert!(!found.is_reached && found.n_requests == 0);
}
