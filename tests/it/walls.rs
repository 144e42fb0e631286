//! Where history begins is a claim about for ever: what it takes to believe it, and that a wrong
//! belief heals.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use titan_download::domain::{
    CoverageState, EpochRange, FindingKind, Granularity, Kind, PartitionState, Series, Severity,
};
use titan_download::download::{PartitionOutcome, Summary, Window};
use titan_download::format::sidecar::Sidecar;
use titan_download::simulator::SimulatorConfig;

use crate::support::*;

const NOW: &str = "2026-03-15T12:00:00Z";
const DAY_SECS: u64 = 86_400;

fn minutes() -> Series {
    series("R_100", Kind::Candles(Granularity::MINUTE))
}

fn history_of(days: u64, now: &str) -> SimulatorConfig {
    SimulatorConfig { wall: Duration::from_secs(days * DAY_SECS), ..quiet_config(epoch(now)) }
}

async fn run(
    exchange: &Exchange,
    root: &Path,
    series: &Series,
    window: Window,
) -> (Summary, usize) {
    let before = exchange.simulator.log().len();
    let only = std::slice::from_ref(series);
    let summary = exchange.download(root, &Setup::default(), only, window).await.unwrap();
    let asked = exchange.simulator.log().split_off(before);
    let n_pages = asked.iter().filter(|call| call.call == "ticks_history").count();
    (summary, n_pages)
}

/// The oldest month on disk: its state, and whether it says that anything is not offered.
fn oldest_month(root: &Path, series: &Series) -> (Option<PartitionState>, bool) {
    let path = parquet_files(root, series).remove(0).with_extension("metadata.json");
    let sidecar: Sidecar = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let says_so = sidecar.coverage.iter().any(|c| c.state == CoverageState::NotOffered);
    (sidecar.state, says_so)
}

fn provisional(summary: &Summary) -> Vec<Severity> {
    let findings = summary.findings().filter(|f| f.kind == FindingKind::WallProvisional);
    let findings: Vec<_> = findings.collect();
    assert!(findings.iter().all(|f| f.partition.is_some() && f.at.is_some()), "{findings:?}");
    findings.iter().map(|finding| finding.severity).collect()
}

/// The first run downloads what is offered and is complete; a run soon after asks the stretch
/// behind the wall once more; one that comes later believes it, and from then on nothing is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_wall_is_believed_when_a_later_run_finds_it_again() {
    let exchange = Exchange::open(history_of(40, NOW)).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, series, window) = (folder.path(), minutes(), Window::Months(2));
    let (summary, _) = run(&exchange, root, &series, window).await;
    assert!(summary.is_complete(), "{summary:#?}");
    assert_eq!(provisional(&summary), [Severity::Info]);
    assert!(!summary.history_begins[&series].is_confirmed);
    assert_eq!(oldest_month(root, &series), (Some(PartitionState::Settling), false));

    exchange.simulator.advance(600);
    let (summary, n_pages) = run(&exchange, root, &series, window).await;
    assert!(summary.is_complete(), "{summary:#?}");
    assert!(n_pages <= 3, "{n_pages} pages: the tail, its overlap, and one look");
    assert!(!oldest_month(root, &series).1);

    exchange.simulator.advance(3600);
    let (summary, _) = run(&exchange, root, &series, window).await;
    assert!(summary.is_complete() && provisional(&summary).is_empty(), "{summary:#?}");
    assert!(summary.history_begins[&series].is_confirmed);
    assert_eq!(oldest_month(root, &series), (Some(PartitionState::Sealed), true));

    for days in [1, 30] {
        exchange.simulator.advance(days * 86_400);
        let oldest = epoch("2026-02-28T00:00:00Z");
        let before = exchange.simulator.log().len();
        let (summary, _) = run(&exchange, root, &series, window).await;
        assert!(summary.is_complete(), "{summary:#?}");
        let asked = exchange.simulator.log().split_off(before);
        let old = asked.iter().filter_map(|call| call.start).filter(|start| *start < oldest);
        assert_eq!(old.count(), 0, "what is settled is asked for again: {asked:#?}");
    }
}

fn facts_file(root: &Path) -> std::path::PathBuf {
    root.join(".titan/source-facts.json")
}

/// A remembered wall is a hint where to look. Once a file with a wall that was too young made
/// 172,779 ticks not asked for, with exit code 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_wall_is_no_evidence() {
    let exchange = Exchange::open(quiet_config(epoch(NOW))).await;
    let now = epoch(NOW).secs();
    let window = Window::Range { start: epoch(NOW).plus(-2 * 86_400), end: Some(epoch(NOW)) };
    let range = window.resolve(epoch(NOW)).unwrap();
    for offered_from in [now, now - 86_400, 1 << 62, i64::MIN, 0] {
        for seen_at in [0, now, now - 86_400, i64::MAX] {
            for is_confirmed in [false, true].into_iter().skip(usize::from(offered_from != now)) {
                let folder = tempfile::tempdir().unwrap();
                std::fs::create_dir(folder.path().join(".titan")).unwrap();
                let wall = json!({
                    "offered_from": offered_from,
                    "refused_at": offered_from.saturating_sub(1),
                    "seen_at": seen_at,
                    "is_confirmed": is_confirmed,
                });
                let facts = json!({ "series": { "R_100/candles_60": { "wall": wall } } });
                let file = json!({ "format_version": 1, "endpoints": { "test": facts } });
                std::fs::write(facts_file(folder.path()), file.to_string()).unwrap();
                let (summary, _) = run(&exchange, folder.path(), &minutes(), window).await;
                assert!(summary.is_complete(), "{file}: {summary:#?}");
                let rows = all_rows(folder.path(), &minutes());
                assert_same_rows(&rows, &exchange.truth(&minutes(), range));
            }
        }
    }
}

/// An archive of a build that believed the first look: what it calls "not offered" is asked again,
/// and comes when the source has it, also in months that are sealed.
#[tokio::test(flavor = "multi_thread")]
async fn a_wall_that_one_look_believed_heals() {
    let folder = tempfile::tempdir().unwrap();
    let (root, series, window) = (folder.path(), minutes(), Window::Months(1));
    let young = Exchange::open(history_of(20, NOW)).await;
    for _ in 0..2 {
        let (summary, _) = run(&young, root, &series, window).await;
        assert!(summary.is_complete(), "{summary:#?}");
        young.simulator.advance(7200);
    }
    assert_eq!(oldest_month(root, &series), (Some(PartitionState::Sealed), true));
    let facts = std::fs::read(facts_file(root)).unwrap();
    let mut facts: Value = serde_json::from_slice(&facts).unwrap();
    let wall = &mut facts["endpoints"]["test"]["series"]["R_100/candles_60"]["wall"];
    assert_eq!(wall["is_confirmed"], true, "{wall}");
    wall.as_object_mut().unwrap().remove("is_confirmed");
    std::fs::write(facts_file(root), facts.to_string()).unwrap();

    let exchange = Exchange::open(quiet_config(young.simulator.now())).await;
    let (summary, _) = run(&exchange, root, &series, window).await;
    assert!(summary.is_complete(), "{summary:#?}");
    let range = window.resolve(exchange.simulator.now()).unwrap();
    assert_same_rows(&all_rows(root, &series), &exchange.truth(&series, range));
    assert!(!oldest_month(root, &series).1);
}

/// Candles and ticks share one history: bars that are held speak against a wall of the ticks, also
/// in runs that do not ask for bars. Nothing is certified, and the next run has all of it.
#[tokio::test(flavor = "multi_thread")]
async fn another_series_of_the_symbol_speaks_against_a_wall() {
    let folder = tempfile::tempdir().unwrap();
    let (root, ticks) = (folder.path(), series("R_100", Kind::Ticks));
    let window = Window::Range { start: epoch(NOW).plus(-2 * 86_400), end: Some(epoch(NOW)) };
    let honest = Exchange::open(quiet_config(epoch(NOW))).await;
    let (summary, _) = run(&honest, root, &minutes(), window).await;
    assert!(summary.is_complete(), "{summary:#?}");

    let lying = Exchange::open(history_of(1, NOW)).await;
    for night in 0..2 {
        let (summary, _) = run(&lying, root, &ticks, window).await;
        assert!(!summary.is_complete(), "{summary:#?}");
        assert_eq!(provisional(&summary), [Severity::Error], "night {night}: {summary:#?}");
        assert!(summary.partitions.iter().all(|p| p.not_offered.is_none()), "{summary:#?}");
        assert!(!oldest_month(root, &ticks).1);
        lying.simulator.advance(7200);
    }
    let (summary, _) = run(&honest, root, &ticks, window).await;
    assert!(summary.is_complete(), "{summary:#?}");
    let range: EpochRange = window.resolve(epoch(NOW)).unwrap();
    assert_same_rows(&all_rows(root, &ticks), &honest.truth(&ticks, range));
}

/// A month of which nothing is offered, by a wall that is not believed, is missing and not done.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_behind_a_wall_that_is_not_believed_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let start = epoch("2026-02-27T00:00:00Z");
    let window = Window::Range { start, end: Some(epoch("2026-03-03T00:00:00Z")) };
    let honest = Exchange::open(quiet_config(epoch(NOW))).await;
    run(&honest, root, &minutes(), window).await;
    let lying = Exchange::open(history_of(14, NOW)).await;
    let hours = series("R_100", Kind::Candles(Granularity::try_from(3600).unwrap()));
    let (summary, _) = run(&lying, root, &hours, window).await;
    assert!(!summary.is_complete(), "{summary:#?}");
    let [february, march] = &summary.partitions[..] else { panic!("{summary:#?}") };
    assert!(matches!(february.outcome, PartitionOutcome::Failed(_)), "{february:#?}");
    assert!(!february.missing.is_empty() && !march.missing.is_empty(), "{summary:#?}");
}
