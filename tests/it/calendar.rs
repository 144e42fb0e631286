//! Opening hours: when they are asked for, what they explain, and what is done without them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use titan_download::deriv::ApiVersion;
use titan_download::domain::{Epoch, ErrorKind, GapClass, Granularity, Kind};
use titan_download::download::Window;
use titan_download::integrity::{VerifyOptions, verify};

use crate::process::{Sandbox, Server};
use crate::support::*;

const MINUTES: Kind = Kind::Candles(Granularity::MINUTE);

/// A Wednesday.
const NOW: &str = "2026-04-08T12:00:00Z";

const DAY: i64 = 86_400;

/// From Friday, over the week-end, to the midnight so many days later.
fn from_friday(days: i64) -> Window {
    let start = epoch("2026-04-03T00:00:00Z");
    Window::Range { start, end: Some(start.plus(days * DAY)) }
}

async fn exchange(now: Epoch, api: ApiVersion) -> Exchange {
    Exchange::open_as(api, quiet_config(now)).await
}

fn n_asked(exchange: &Exchange) -> usize {
    exchange.simulator.log().iter().filter(|call| call.call == "trading_times").count()
}

/// What is kept of the hours, by symbol.
fn hours_kept(root: &Path) -> Value {
    let text = fs::read_to_string(root.join(".titan/source-facts.json")).unwrap();
    let facts: Value = serde_json::from_str(&text).unwrap();
    facts["endpoints"].as_object().unwrap().values().next().unwrap()["hours"].clone()
}

fn sidecar(root: &Path, symbol: &str) -> Value {
    let path = root.join(symbol).join("candles_60/2026-04.metadata.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The gaps that the sidecar lists and those that `verify` finds, which are the same.
fn classes(root: &Path, symbol: &str) -> Vec<GapClass> {
    let report = verify(root, &VerifyOptions::default());
    assert_eq!((report.n_errors, report.n_warnings), (0, 0), "{report:?}");
    let mut partitions = report.partitions.iter();
    let found = &partitions.find(|p| p.path.starts_with(symbol)).unwrap().gaps;
    let listed: Vec<titan_download::domain::Gap> =
        serde_json::from_value(sidecar(root, symbol)["gaps"].clone()).unwrap();
    assert_eq!(*found, listed);
    listed.iter().map(|gap| gap.class).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_asked_for_twice_a_week_and_explain_week_ends() {
    for api in [ApiVersion::V1, ApiVersion::Legacy] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let now = epoch(NOW);
        let series = [series("frxEURUSD", MINUTES)];
        let setup = Setup::default();
        let first = exchange(now, api).await;
        first.plan(root, &series, from_friday(4)).await.unwrap();
        assert_eq!(n_asked(&first), 0, "a plan asks for no hours");
        let summary = first.download(root, &setup, &series, from_friday(4)).await.unwrap();
        assert!(summary.is_complete(), "{summary:?}");
        assert_eq!(n_asked(&first), 2);
        let week = hours_kept(root)["frxEURUSD"]["hours"]["week"].clone();
        let expected = serde_json::json!({
            "fri": ["00:00:00-21:00:00"], "sat": [], "sun": ["21:00:00-24:00:00"],
        });
        assert_eq!(week, expected);
        assert_eq!(sidecar(root, "frxEURUSD")["gap_rules"]["hours"]["week"], expected);
        assert_eq!(classes(root, "frxEURUSD"), [GapClass::MarketClosed]);

        // Nothing to do: nothing but the time and the list of symbols.
        let n_before = first.simulator.log().len();
        first.download(root, &setup, &series, from_friday(4)).await.unwrap();
        assert_eq!(first.simulator.log().len() - n_before, 2, "time, symbols");
        // Something to do within the week: what is known is used.
        first.download(root, &setup, &series, from_friday(5)).await.unwrap();
        assert_eq!(n_asked(&first), 2);
        assert_eq!(classes(root, "frxEURUSD"), [GapClass::MarketClosed]);

        // A week later two other days are asked for.
        let later = exchange(now.plus(7 * DAY), api).await;
        later.download(root, &setup, &series, from_friday(8)).await.unwrap();
        assert_eq!(n_asked(&later), 2);
        let week = hours_kept(root)["frxEURUSD"]["hours"]["week"].clone();
        let known: Vec<_> = week.as_object().unwrap().keys().cloned().collect();
        assert_eq!(known, ["fri", "mon", "sat", "sun", "wed"]);
        assert_eq!(classes(root, "frxEURUSD"), [GapClass::MarketClosed; 2]);
    }
}

/// Synthetic indices never close and are not asked about, coins are once; a basket is listed among
/// the indices and keeps the hours of its currencies, so its week-end is no silence to doubt.
#[tokio::test(flavor = "multi_thread")]
async fn markets_that_never_close_are_asked_about_at_most_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let of = |symbols: &[&str]| symbols.iter().map(|s| series(s, MINUTES)).collect::<Vec<_>>();
    let setup = Setup::default();
    let first = exchange(epoch(NOW), ApiVersion::V1).await;
    first.download(root, &setup, &of(&["R_100"]), from_friday(1)).await.unwrap();
    assert_eq!(n_asked(&first), 0);
    let all = of(&["R_100", "cryBTCUSD", "WLDAUD"]);
    let summary = first.download(root, &setup, &all, from_friday(4)).await.unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    assert_eq!(n_asked(&first), 2, "one answer tells of every market");
    let kept = hours_kept(root);
    assert_eq!(kept.as_object().unwrap().keys().collect::<Vec<_>>(), ["WLDAUD", "cryBTCUSD"]);
    assert_eq!(classes(root, "WLDAUD"), [GapClass::MarketClosed]);
    assert_eq!(classes(root, "cryBTCUSD"), []);
    assert_eq!(sidecar(root, "R_100")["gap_rules"], serde_json::json!({ "continuous": true }));

    let later = exchange(epoch(NOW).plus(30 * DAY), ApiVersion::V1).await;
    later.download(root, &setup, &of(&["R_100", "cryBTCUSD"]), from_friday(5)).await.unwrap();
    assert_eq!(n_asked(&later), 0);
}

/// Whoever is told nothing goes on with what the rows show, and says nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn hours_that_are_not_told_stop_nothing() {
    let exchange = exchange(epoch(NOW), ApiVersion::V1).await;
    for (kind, is_noted) in [
        (ErrorKind::Rejected, true),
        (ErrorKind::Malformed, true),
        (ErrorKind::Transport, false),
        (ErrorKind::RateLimited, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let setup = Setup { hours_refused: Some(kind), ..Setup::default() };
        let series = [series("frxEURUSD", MINUTES)];
        let summary = exchange.download(root, &setup, &series, from_friday(4)).await.unwrap();
        assert!(summary.is_complete(), "{kind:?}: {summary:?}");
        assert_eq!(classes(root, "frxEURUSD"), [GapClass::MarketClosed], "{kind:?}");
        assert_eq!(
            sidecar(root, "frxEURUSD")["gap_rules"],
            serde_json::json!({ "continuous": false })
        );
        // What would end the same way tomorrow is not asked again tomorrow.
        assert_eq!(!hours_kept(root)["frxEURUSD"].is_null(), is_noted, "{kind:?}");
        let open = Setup::default();
        let n_before = n_asked(&exchange);
        exchange.download(root, &open, &series, from_friday(5)).await.unwrap();
        assert_eq!(n_asked(&exchange) - n_before, if is_noted { 0 } else { 2 }, "{kind:?}");
    }
}

/// A sidecar that is lost is made again with the hours that were kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_sidecar_gets_its_rules_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let exchange = exchange(epoch(NOW), ApiVersion::V1).await;
    let series = [series("frxEURUSD", MINUTES)];
    let setup = Setup::default();
    exchange.download(root, &setup, &series, from_friday(4)).await.unwrap();
    let before = sidecar(root, "frxEURUSD");
    fs::remove_file(root.join("frxEURUSD/candles_60/2026-04.metadata.json")).unwrap();
    exchange.download(root, &setup, &series, from_friday(4)).await.unwrap();
    let after = sidecar(root, "frxEURUSD");
    assert_eq!(after["gaps"], before["gaps"]);
    assert_eq!(after["gap_rules"]["hours"], before["gap_rules"]["hours"]);
    assert!(after["gap_rules"]["hours"].is_object());
}

/// Thresholds of single series, with the real binary: `verify` is told nothing and finds the same.
#[test]
fn each_series_can_have_a_threshold_of_its_own() {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let url = server.url.clone();
    let command = |thresholds: &str| {
        let line = format!(
            "--symbol R_100,R_50 --kind candles --start-date 2026-03-09 --end-date 2026-03-10 \
             --endpoint {url} --rate unlimited -o data --json --tail-lag 0s --gap-threshold {thresholds}"
        );
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |thresholds: &str| {
        let arguments = command(thresholds);
        sandbox.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run("auto,R_100/candles_60=30 --gap-threshold R_50/ticks=1").expect(0);
    let report = sandbox.run(&["verify", "--json", "data"]).expect(0).json();
    let partitions = report["report"]["partitions"].as_array().unwrap();
    let n_gaps: Vec<_> = partitions
        .iter()
        .map(|p| (p["path"].as_str().unwrap().to_owned(), p["gap_counts"]["within_page"].as_u64()))
        .collect();
    // Minutes that are 60 s apart, and a threshold of 30 s: a gap follows every one of them.
    assert_eq!(n_gaps[0], ("R_100/candles_60/2026-03.parquet".to_owned(), Some(1440)));
    assert_eq!(n_gaps[1], ("R_50/candles_60/2026-03.parquet".to_owned(), Some(0)));
    let refused = run("R_100/bars=4").expect(2);
    assert!(refused.stderr.contains("`R_100/bars=4` names no kind of record"), "{refused:?}");
    server.end();
}
