//! The main job end to end: every row of the source, no other, proved and certified.

use std::time::Duration;

use titan_download::deriv::ApiVersion;
use titan_download::domain::{CoverageState, EpochRange, Granularity, Kind, PartitionState};
use titan_download::download::{Ending, PartitionOutcome, Summary, Window};
use titan_download::simulator::{Fault, FaultPlan, SimClock, SimulatorConfig, Straddle};

use titan_download::resilience::RetryConfig;

use crate::support::*;

const MINUTES: Kind = Kind::Candles(Granularity::MINUTE);

fn assert_complete(summary: &Summary) {
    let findings: Vec<_> = summary.findings().collect();
    assert!(summary.is_complete(), "{:?} {findings:#?} {:#?}", summary.ending, summary.partitions);
}

/// Downloads and compares with the truth; returns how often history was asked.
async fn check(symbol: &str, config: SimulatorConfig, api: ApiVersion, window: Window) -> usize {
    let exchange = Exchange::open_as(api, config).await;
    let folder = tempfile::tempdir().unwrap();
    let both = [series(symbol, Kind::Ticks), series(symbol, MINUTES)];
    let summary = exchange.download(folder.path(), &Setup::default(), &both, window).await.unwrap();
    assert_complete(&summary);
    let range = window.resolve(exchange.simulator.now()).unwrap();
    for series in &both {
        assert_same_rows(&all_rows(folder.path(), series), &exchange.truth(series, range));
    }
    exchange.simulator.log().iter().filter(|call| call.call == "ticks_history").count()
}

fn days_before(now: &str, days: i64) -> Window {
    let end = epoch(now);
    Window::Range { start: end.plus(-days * 86_400), end: Some(end) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_series_arrives_whole() {
    // A Wednesday noon, so that a week-end and a month's end lie in the window.
    let now = "2026-03-04T12:00:00Z";
    for symbol in ["R_100", "1HZ100V", "BOOM500", "stpRNG", "frxEURUSD", "cryBTCUSD"] {
        check(symbol, quiet_config(epoch(now)), ApiVersion::V1, days_before(now, 5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_legacy_surface_and_larger_pages_serve_as_well() {
    let now = "2026-03-04T12:00:00Z";
    let config = SimulatorConfig { page_cap: Some(5000), ..quiet_config(epoch(now)) };
    check("R_50", config.clone(), ApiVersion::Legacy, days_before(now, 3)).await;
    check("R_50", config, ApiVersion::V1, days_before(now, 3)).await;
}

/// The month that straddles the wall begins at the wall, older ones are absent and said to be so.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_is_named_and_never_invented() {
    for straddle in [Straddle::YoungerPart, Straddle::Substitute] {
        let now = epoch("2026-03-04T12:00:01Z");
        let wall = Duration::from_secs(10 * 86_400 + 777);
        let config = SimulatorConfig { straddle, wall, ..quiet_config(now) };
        let exchange = Exchange::open(config).await;
        let folder = tempfile::tempdir().unwrap();
        let both = [series("R_100", Kind::Ticks), series("R_100", MINUTES)];
        let setup = Setup::default();
        let window = Window::Months(3);
        let summary = exchange.download(folder.path(), &setup, &both, window).await.unwrap();
        assert_complete(&summary);
        let offered = EpochRange::new(now.plus(-(10 * 86_400 + 777)), now).unwrap();
        for series in &both {
            let rows = all_rows(folder.path(), series);
            assert_same_rows(&rows, &exchange.truth(series, offered));
            assert_eq!(parquet_files(folder.path(), series).len(), 2);
        }
        let not_offered =
            summary.partitions.iter().filter(|p| p.outcome == PartitionOutcome::NotOffered);
        assert_eq!(not_offered.count(), 4, "December and January of both kinds");
    }
}

/// Equal knowledge gives equal bytes, however the windows were cut and answered.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_do_not_depend_on_caps_or_concurrency() {
    let now = "2026-03-04T12:00:00Z";
    let mut files: Vec<Vec<Vec<u8>>> = Vec::new();
    for (cap, concurrency) in [(1000, 1), (1000, 8), (5000, 1), (5000, 8)] {
        let config = SimulatorConfig { page_cap: Some(cap), ..quiet_config(epoch(now)) };
        let exchange = Exchange::open(config).await;
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { concurrency, chunk_rows: 3000 * concurrency, ..Setup::default() };
        let all: Vec<_> = ["R_100", "frxEURUSD"]
            .into_iter()
            .flat_map(|symbol| [series(symbol, Kind::Ticks), series(symbol, MINUTES)])
            .collect();
        let window = days_before(now, 6);
        let summary = exchange.download(folder.path(), &setup, &all, window).await.unwrap();
        assert_complete(&summary);
        let paths = all.iter().flat_map(|series| parquet_files(folder.path(), series));
        files.push(paths.map(|path| std::fs::read(path).unwrap()).collect());
    }
    assert!(files[0].len() == 8 && files.iter().all(|other| *other == files[0]));
}

/// The second run asks for the time, the symbols and the tail, and for nothing that is sealed.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_asks_only_for_what_is_new() {
    let exchange = Exchange::open(quiet_config(epoch("2026-03-04T12:00:00Z"))).await;
    let folder = tempfile::tempdir().unwrap();
    let ticks = [series("R_100", Kind::Ticks)];
    let (setup, window) = (Setup::default(), Window::Months(1));
    let summary = exchange.download(folder.path(), &setup, &ticks, window).await.unwrap();
    assert_complete(&summary);
    let asked_first = exchange.simulator.log().len();

    exchange.simulator.advance(3600);
    let summary = exchange.download(folder.path(), &setup, &ticks, window).await.unwrap();
    assert_complete(&summary);
    let log = exchange.simulator.log();
    let pages = log[asked_first..].iter().filter(|call| call.call == "ticks_history").count();
    assert!(pages <= 4, "{pages} pages for two pages of new ticks: {:#?}", &log[asked_first..]);
    let range = window.resolve(exchange.simulator.now()).unwrap();
    assert_same_rows(&all_rows(folder.path(), &ticks[0]), &exchange.truth(&ticks[0], range));
    let sealed = summary.partitions.iter().filter(|p| match &p.outcome {
        PartitionOutcome::Published(published) => published.state == PartitionState::Sealed,
        outcome => matches!(outcome, PartitionOutcome::UpToDate { .. }),
    });
    assert_eq!(sealed.count(), 1, "February");
}

/// What was answered before the run was stopped is not asked again.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_is_continued_from_its_staging() {
    let now = "2026-03-04T12:00:00Z";
    let exchange = Exchange::open(quiet_config(epoch(now))).await;
    let folder = tempfile::tempdir().unwrap();
    let ticks = [series("R_100", Kind::Ticks)];
    let window = days_before(now, 3);
    let setup = Setup::default();
    exchange.simulator.hold_after(60);
    let stop = setup.stop.clone();
    let simulator = std::sync::Arc::clone(&exchange.simulator);
    let stopper = tokio::spawn(async move {
        while simulator.answered() < 60 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    let summary = exchange.download(folder.path(), &setup, &ticks, window).await.unwrap();
    stopper.await.unwrap();
    assert_eq!(summary.ending, Ending::Cancelled);
    assert!(parquet_files(folder.path(), &ticks[0]).is_empty());

    exchange.simulator.release();
    let before = exchange.simulator.log().len();
    let summary =
        exchange.download(folder.path(), &Setup::default(), &ticks, window).await.unwrap();
    assert_complete(&summary);
    let again = exchange.simulator.log()[before..].len();
    assert!(again < 100, "{again} calls; three days are 130 pages, 60 of them were answered");
    let range = window.resolve(epoch(now)).unwrap();
    assert_same_rows(&all_rows(folder.path(), &ticks[0]), &exchange.truth(&ticks[0], range));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_writes_nothing_and_asks_little() {
    let exchange = Exchange::open(quiet_config(epoch("2026-03-04T12:00:00Z"))).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("not_there");
    let both = [series("R_100", Kind::Ticks), series("R_100", MINUTES)];
    let plan = exchange.plan(&root, &both, Window::Months(14)).await.unwrap();
    assert!(!root.exists());
    assert_eq!(exchange.simulator.log().len(), 4, "time, symbols, one probe for each series");
    assert_eq!(plan.partitions.len(), 30);
    let behind = plan.partitions.iter().filter(|p| p.is_beyond_wall());
    assert_eq!(behind.count(), 4, "January and February 2025 of both kinds");
}

/// What lies behind the wall but after rows that are held was offered once: it is lost, and saying
/// "not offered" would certify the loss.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_falls_behind_the_wall_is_never_called_not_offered() {
    let now = epoch("2026-03-20T12:00:00Z");
    let hole = EpochRange::new(now.plus(-9 * 86_400 - 3600), now.plus(-9 * 86_400)).unwrap();
    let config = SimulatorConfig {
        wall: Duration::from_secs(10 * 86_400),
        faults: FaultPlan::none().touching(Fault::InternalError, hole),
        ..quiet_config(now)
    };
    let exchange = Exchange::open(config).await;
    let folder = tempfile::tempdir().unwrap();
    let ticks = [series("R_100", Kind::Ticks)];
    for days in [0, 3] {
        exchange.simulator.advance(days * 86_400);
        let retry = RetryConfig { retries: 1, ..Setup::default().retry };
        let setup = Setup { retry, ..Setup::default() };
        let window = Window::Months(0);
        let summary = exchange.download(folder.path(), &setup, &ticks, window).await.unwrap();
        assert!(!summary.is_complete(), "after {days} days: {summary:#?}");
        let [partition] = &summary.partitions[..] else { panic!("{summary:#?}") };
        let PartitionOutcome::Published(published) = &partition.outcome else {
            panic!("{summary:#?}")
        };
        let middle = hole.start().plus(1800);
        assert_eq!(published.coverage.state_at(middle), Some(CoverageState::Failed));
        assert!(partition.missing.intersects(hole));
    }
}

/// The overlap with what is held must end on bars, or the source refuses the window.
#[tokio::test(flavor = "multi_thread")]
async fn wide_candles_of_sessions_are_refreshed() {
    let exchange = Exchange::open(quiet_config(epoch("2026-03-04T12:00:00Z"))).await;
    let folder = tempfile::tempdir().unwrap();
    let hours = [series("frxEURUSD", Kind::Candles(Granularity::try_from(3600).unwrap()))];
    let window = Window::Months(0);
    for _ in 0..3 {
        let setup = Setup::default();
        let summary = exchange.download(folder.path(), &setup, &hours, window).await.unwrap();
        assert_complete(&summary);
        let range = window.resolve(exchange.simulator.now()).unwrap();
        assert_same_rows(&all_rows(folder.path(), &hours[0]), &exchange.truth(&hours[0], range));
        exchange.simulator.advance(5400);
    }
}

/// The wall moves on while it is searched and while the oldest month is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_wall_that_moves_during_the_run_costs_only_what_it_passes() {
    for straddle in [Straddle::YoungerPart, Straddle::Substitute] {
        let now = epoch("2026-03-04T12:00:00Z");
        let config = SimulatorConfig {
            clock: SimClock::scaled(now, 20.0),
            wall: Duration::from_secs(2 * 86_400),
            latency: Duration::from_millis(20),
            straddle,
            ..quiet_config(now)
        };
        let exchange = Exchange::open(config).await;
        let folder = tempfile::tempdir().unwrap();
        for series in [series("R_100", Kind::Ticks), series("frxEURUSD", Kind::Ticks)] {
            let window = Window::Range { start: now.plus(-5 * 86_400), end: Some(now) };
            let only = std::slice::from_ref(&series);
            let summary =
                exchange.download(folder.path(), &Setup::default(), only, window).await.unwrap();
            assert_complete(&summary);
            let rows = all_rows(folder.path(), &series);
            let first = *rows.first_key_value().unwrap().0;
            let wall = now.plus(-2 * 86_400).secs();
            let passed = exchange.simulator.now().since(now);
            assert!(
                (wall..=wall + passed + 60).contains(&first),
                "{first}, wall {wall} + {passed}"
            );
            let held = EpochRange::new(titan_download::domain::Epoch::new(first), now).unwrap();
            assert_same_rows(&rows, &exchange.truth(&series, held));
            for partition in &summary.partitions {
                let PartitionOutcome::Published(published) = &partition.outcome else { continue };
                let state =
                    published.coverage.state_at(titan_download::domain::Epoch::new(first - 1));
                assert_ne!(state, Some(CoverageState::Failed));
            }
        }
    }
}

/// Six nights across the end of a month leave the files that one download would have made, seal
/// the month once, and never ask for it again.
#[tokio::test(flavor = "multi_thread")]
async fn nights_leave_the_files_of_one_download() {
    let exchange = Exchange::open(quiet_config(epoch("2026-03-29T02:17:00Z"))).await;
    let folder = tempfile::tempdir().unwrap();
    let hours = Kind::Candles(Granularity::try_from(3600).unwrap());
    let all = [series("R_100", MINUTES), series("frxEURUSD", MINUTES), series("frxEURUSD", hours)];
    let window = Window::Range { start: epoch("2026-03-01T00:00:00Z"), end: None };
    let setup = Setup::default();
    let mut nights = Vec::new();
    for night in 0..6 {
        if night > 0 {
            exchange.simulator.advance(86_400);
        }
        let before = exchange.simulator.log().len();
        let summary = exchange.download(folder.path(), &setup, &all, window).await.unwrap();
        assert_complete(&summary);
        let is_sealed = |outcome: &PartitionOutcome| match outcome {
            PartitionOutcome::Published(published) => published.state == PartitionState::Sealed,
            _ => false,
        };
        let sealed = summary.partitions.iter().filter(|p| is_sealed(&p.outcome)).count();
        nights.push((exchange.simulator.log().len() - before, sealed));
    }
    let n_sealed: usize = nights.iter().map(|(_, sealed)| sealed).sum();
    assert_eq!(n_sealed, 3, "each March is sealed once; calls and sealings: {nights:?}");
    // Time, symbols, two pages of R_100, two of forex minutes, one of hours, a last look at gaps.
    let (calls, _) = nights[5];
    assert!(calls <= 12, "calls and sealings: {nights:?}");
    let bulk = tempfile::tempdir().unwrap();
    let summary = exchange.download(bulk.path(), &setup, &all, window).await.unwrap();
    assert_complete(&summary);
    for series in &all {
        let [nightly, once] = [&folder, &bulk].map(|folder| parquet_files(folder.path(), series));
        assert_eq!((nightly.len(), once.len()), (2, 2));
        for (one, other) in nightly.iter().zip(&once) {
            assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap(), "{one:?}");
        }
    }
}
