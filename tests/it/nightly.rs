//! Night after night: only what is new is asked, months are sealed once, and what comes out is what
//! one download would have made.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use titan_download::domain::{
    Epoch, EpochRange, Granularity, Kind, Month, PartitionKey, PartitionState, Series,
};
use titan_download::download::{PartitionOutcome, Summary, Window};
use titan_download::integrity::{VerifyOptions, verify};
use titan_download::simulator::LoggedCall;

use crate::support::*;

const MINUTES: Kind = Kind::Candles(Granularity::MINUTE);
const DAY_SECS: i64 = 86_400;
/// Before the end of what is held, a night asks at most this much again, unless it was silent.
const OVERLAP_SECS: i64 = 120;
/// A week-end: so much silence may be asked again.
const CLOSED_SECS: i64 = 3 * DAY_SECS;

/// What one night did.
struct Night {
    /// What the clock showed the night before.
    before: Epoch,
    calls: Vec<LoggedCall>,
    sealed: Vec<PartitionKey>,
}

/// Downloads night after night and returns what each night but the first did.
async fn nights(
    exchange: &Exchange,
    root: &Path,
    series: &[Series],
    window: Window,
    n_nights: usize,
) -> Vec<Night> {
    let mut nights = Vec::new();
    for night in 0..n_nights {
        let before = exchange.simulator.now();
        if night > 0 {
            exchange.simulator.advance(DAY_SECS);
        }
        let n_before = exchange.simulator.log().len();
        let summary = exchange.download(root, &Setup::default(), series, window).await.unwrap();
        assert_complete(&summary);
        if night > 0 {
            let calls = exchange.simulator.log().split_off(n_before);
            nights.push(Night { before, calls, sealed: sealed(&summary) });
        }
    }
    nights
}

#[track_caller]
fn assert_complete(summary: &Summary) {
    let findings: Vec<_> = summary.findings().collect();
    assert!(summary.is_complete(), "{findings:#?} {:#?}", summary.partitions);
}

fn sealed(summary: &Summary) -> Vec<PartitionKey> {
    let is_sealed = |outcome: &PartitionOutcome| match outcome {
        PartitionOutcome::Published(published) => published.state == PartitionState::Sealed,
        _ => false,
    };
    let sealed = summary.partitions.iter().filter(|p| is_sealed(&p.outcome));
    sealed.map(|partition| partition.key.clone()).collect()
}

fn history(calls: &[LoggedCall]) -> impl Iterator<Item = (&str, Epoch)> {
    let history = calls.iter().filter(|call| call.call == "ticks_history");
    history.map(|call| (call.symbol.as_deref().unwrap(), call.start.unwrap()))
}

/// No night asks for what is older than the overlap, but for the last look at a month before it is
/// sealed; and nothing of a sealed month, ever again.
fn assert_only_news(nights: &[Night], n_calls_at_most: usize) {
    let mut sealed: BTreeMap<String, Month> = BTreeMap::new();
    for (n, night) in nights.iter().enumerate() {
        assert!(night.calls.len() <= n_calls_at_most, "night {n}: {:#?}", night.calls);
        let mut n_second_looks = 0;
        for (symbol, start) in history(&night.calls) {
            let last_look = night.sealed.iter().find(|key| key.series.symbol.as_str() == symbol);
            let from = last_look.map_or(night.before, |key| key.month.range().end());
            let silence = if symbol.starts_with("frx") { CLOSED_SECS } else { 0 };
            let oldest = from.min(night.before).plus(-OVERLAP_SECS - silence);
            // One look at silences that are older than the settle lag now.
            n_second_looks += usize::from(start < oldest);
            let eldest = oldest.plus(-2 * DAY_SECS);
            assert!(start >= eldest, "night {n}: {symbol} asked from {start}, {eldest} is allowed");
            assert!(n_second_looks <= 1, "night {n}: {symbol} asked from {start}");
            if let Some(month) = sealed.get(symbol) {
                let end = month.range().end();
                assert!(start >= end, "night {n}: {symbol} {month} is sealed, asked from {start}");
            }
        }
        for key in &night.sealed {
            let before = sealed.insert(key.series.symbol.to_string(), key.month);
            assert!(before < Some(key.month), "night {n}: {key} is sealed a second time");
        }
    }
}

#[track_caller]
fn assert_same_files(one: &Path, other: &Path, series: &[Series], n_months: usize) {
    for series in series {
        let [one, other] = [one, other].map(|root| parquet_files(root, series));
        assert_eq!((one.len(), other.len()), (n_months, n_months), "{series}");
        for (one, other) in one.iter().zip(&other) {
            assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{}", one.display());
        }
    }
}

/// Sixty nights over the ends of February and March, week-ends included. Then the old months are
/// spoiled without a change of size: no night looks into them, but `verify` does.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_nights_ask_only_for_what_is_new() {
    let exchange = Exchange::open(quiet_config(epoch("2026-02-05T02:17:00Z"))).await;
    let (nightly, bulk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let both = [series("R_100", MINUTES), series("frxEURUSD", MINUTES)];
    let window = Window::Range { start: epoch("2026-02-01T00:00:00Z"), end: None };
    let nights = nights(&exchange, nightly.path(), &both, window, 61).await;
    // Time, symbols, two pages of each series, each again where the market was closed, and a last
    // look at silences.
    assert_only_news(&nights, 14);
    let n_sealed: usize = nights.iter().map(|night| night.sealed.len()).sum();
    assert_eq!(n_sealed, 4, "February and March of both series");

    let setup = Setup::default();
    let summary = exchange.download(bulk.path(), &setup, &both, window).await.unwrap();
    assert_complete(&summary);
    assert_same_files(nightly.path(), bulk.path(), &both, 3);

    nothing_to_do(&exchange, nightly.path(), &both, window).await;
    old_months_are_not_read(&exchange, nightly.path(), &both, window).await;
}

async fn nothing_to_do(exchange: &Exchange, root: &Path, series: &[Series], window: Window) {
    // Less than a bar later there is no new bar.
    exchange.simulator.advance(7);
    let n_before = exchange.simulator.log().len();
    let summary = exchange.download(root, &Setup::default(), series, window).await.unwrap();
    assert_complete(&summary);
    let calls: Vec<_> = exchange.simulator.log()[n_before..].iter().map(|c| c.call).collect();
    assert_eq!(calls, ["time", "active_symbols"]);
}

async fn old_months_are_not_read(
    exchange: &Exchange,
    root: &Path,
    series: &[Series],
    window: Window,
) {
    let mut garbage = BTreeMap::new();
    for series in series {
        for path in parquet_files(root, series).into_iter().take(2) {
            let bytes = vec![0xA5; fs::metadata(&path).unwrap().len() as usize];
            fs::write(&path, &bytes).unwrap();
            garbage.insert(path, bytes);
        }
    }
    exchange.simulator.advance(DAY_SECS);
    let summary = exchange.download(root, &Setup::default(), series, window).await.unwrap();
    assert_complete(&summary);
    for (path, bytes) in &garbage {
        assert!(fs::read(path).unwrap() == *bytes, "{}", path.display());
    }
    let report = verify(root, &VerifyOptions::default());
    let broken: std::collections::BTreeSet<_> =
        report.all_findings().filter(|f| f.found.contains("Parquet")).map(|f| &f.subject).collect();
    assert!(broken.len() >= garbage.len(), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_of_ticks_ask_only_for_what_is_new() {
    let exchange = Exchange::open(quiet_config(epoch("2026-02-27T02:17:00Z"))).await;
    let (nightly, bulk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ticks = [series("R_50", Kind::Ticks)];
    let window = Window::Range { start: epoch("2026-02-26T00:00:00Z"), end: None };
    let nights = nights(&exchange, nightly.path(), &ticks, window, 5).await;
    // 43,200 ticks a day are 44 pages of 1000.
    assert_only_news(&nights, 54);
    let summary = exchange.download(bulk.path(), &Setup::default(), &ticks, window).await.unwrap();
    assert_complete(&summary);
    assert_same_files(nightly.path(), bulk.path(), &ticks, 2);
}

/// Everything is asked again and nothing changes but when it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn asking_everything_again_moves_the_time_it_was_asked() {
    let now = epoch("2026-03-04T12:00:00Z");
    let exchange = Exchange::open(quiet_config(now)).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let minutes = [series("R_100", MINUTES)];
    let february: Month = "2026-02".parse().unwrap();
    let window =
        Window::Range { start: february.range().start(), end: Some(february.range().end()) };
    let setup = Setup { ask_everything: true, ..Setup::default() };
    let mut states = Vec::new();
    for _ in 0..2 {
        let summary = exchange.download(root, &setup, &minutes, window).await.unwrap();
        assert_complete(&summary);
        states.push((fs::read(&parquet_files(root, &minutes[0])[0]).unwrap(), sealed(&summary)));
        exchange.simulator.advance(3600);
    }
    assert!(states[0] == states[1] && states[0].1.len() == 1);
    let sidecar = fs::read(root.join("R_100/candles_60/2026-02.metadata.json")).unwrap();
    let sidecar: serde_json::Value = serde_json::from_slice(&sidecar).unwrap();
    let covered = &sidecar["coverage"][0];
    let asked = |key: &str| Epoch::new(covered[key].as_i64().unwrap());
    assert!(asked("asked_first").since(now) < 60 && asked("asked_last").since(now) >= 3600);
    let held = EpochRange::new(february.range().start(), february.range().end()).unwrap();
    assert_same_rows(&all_rows(root, &minutes[0]), &exchange.truth(&minutes[0], held));
}
