//! Silence over several nights: what is filled later comes in, what is young is not final, a series
//! begins with its first row, and a feed that died stops the watermark.

use std::path::Path;
use std::time::Duration;

use titan_download::domain::{
    Epoch, EpochRange, FindingKind, Gap, GapClass, Granularity, Kind, PartitionState, Series,
};
use titan_download::download::{LocalClock, PartitionOutcome, Summary, Window};
use titan_download::format::{Sidecar, WatermarkFile};
use titan_download::integrity::{VerifyOptions, verify};
use titan_download::simulator::{SimulatorConfig, World};

use crate::support::*;

const MINUTES: Kind = Kind::Candles(Granularity::MINUTE);
const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

fn config(now: &str, world: World) -> SimulatorConfig {
    SimulatorConfig { world, ..quiet_config(epoch(now)) }
}

fn range(start: Epoch, secs: i64) -> EpochRange {
    EpochRange::new(start, start.plus(secs)).unwrap()
}

/// As the command line has it.
fn setup() -> Setup {
    Setup { tail_lag: Duration::from_secs(15), ..Setup::default() }
}

fn from(start: &str) -> Window {
    Window::Range { start: epoch(start), end: None }
}

/// One night; `hours` later. Must end with 0.
async fn night(
    exchange: &Exchange,
    root: &Path,
    series: &[Series],
    window: Window,
    hours: i64,
) -> Summary {
    exchange.simulator.advance(hours * HOUR);
    let summary = exchange.download(root, &setup(), series, window).await.unwrap();
    assert!(summary.is_complete(), "{:#?}", summary.findings().collect::<Vec<_>>());
    summary
}

fn sidecar(root: &Path, series: &Series, month: &str) -> Sidecar {
    let folder = root.join(series.symbol.as_str()).join(series.kind.folder());
    let bytes = std::fs::read(folder.join(format!("{month}.metadata.json"))).unwrap();
    Sidecar::from_json(&bytes).unwrap()
}

/// Silences of a minute and more.
fn long_gaps(root: &Path, series: &Series, month: &str) -> Vec<Gap> {
    let gaps = sidecar(root, series, month).gaps;
    gaps.into_iter().filter(|gap| gap.end.since(gap.start) >= 60).collect()
}

fn watermark(root: &Path, series: &Series) -> Option<Epoch> {
    let bytes = std::fs::read(root.join(".titan/watermark.json")).unwrap();
    let file = WatermarkFile::from_json(&bytes).unwrap();
    file.series[&format!("{}/{}", series.symbol, series.kind.folder())].watermark
}

fn kinds(summary: &Summary) -> Vec<FindingKind> {
    summary.findings().map(|finding| finding.kind).collect()
}

fn n_history(exchange: &Exchange) -> usize {
    exchange.simulator.log().iter().filter(|call| call.call == "ticks_history").count()
}

#[track_caller]
fn assert_sound(root: &Path) {
    let report = verify(root, &VerifyOptions::default());
    assert_eq!(report.n_errors, 0, "{:?}", report.all_findings().collect::<Vec<_>>());
}

/// Field case 4: the vendor fills a hole of twenty minutes ten hours later. The first run after the
/// settle lag asks once more, and the rows come in; of ticks and of bars.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_is_filled_later_comes_in() {
    for (kind, secs) in [(Kind::Ticks, 1200), (Kind::Ticks, 180), (MINUTES, 1200)] {
        let hole = range(epoch("2026-03-09T20:00:00Z"), secs);
        let filled = hole.end().plus(10 * HOUR);
        let world = World::quiet().hole("R_100", hole, Some(filled));
        let exchange = Exchange::open(config("2026-03-10T02:17:00Z", world)).await;
        let folder = tempfile::tempdir().unwrap();
        let (root, series) = (folder.path(), [series("R_100", kind)]);
        let window = from("2026-03-09T12:00:00Z");
        night(&exchange, root, &series, window, 0).await;
        let gaps = long_gaps(root, &series[0], "2026-03");
        let expected = match (kind, secs) {
            (Kind::Ticks, 1200) => GapClass::Unexplained,
            // Twenty bars are no more than thirty.
            _ => GapClass::Silent,
        };
        assert_eq!((gaps.len(), gaps[0].class), (1, expected), "{gaps:?}");
        let is_stopped = watermark(root, &series[0]) == Some(gaps[0].start);
        assert_eq!(is_stopped, expected == GapClass::Unexplained);

        let summary = night(&exchange, root, &series, window, 24).await;
        assert!(long_gaps(root, &series[0], "2026-03").is_empty());
        let late: Vec<_> = summary.findings().filter(|f| f.kind == FindingKind::LateRows).collect();
        let n_late = if kind == Kind::Ticks { secs / 2 } else { secs / 60 };
        assert_eq!(late.len(), 1, "{:?}", kinds(&summary));
        assert!(late[0].found.starts_with(&format!("{n_late} rows")), "{late:?}");
        assert!(late[0].at.is_some_and(|at| hole.covers(at)), "{late:?}");
        let now = exchange.simulator.now();
        let wanted = range(
            epoch("2026-03-09T12:00:00Z"),
            now.plus(-15).since(epoch("2026-03-09T12:00:00Z")),
        );
        let wanted = EpochRange::new(wanted.start(), wanted.end().floor_to(60, 0)).unwrap();
        let rows = all_rows(root, &series[0]).into_iter();
        let rows = rows.filter(|(row, _)| *row < wanted.end().secs()).collect();
        assert_same_rows(&rows, &exchange.truth(&series[0], wanted));
        let summary = night(&exchange, root, &series, window, 24).await;
        assert!(!kinds(&summary).contains(&FindingKind::LateRows), "told once");
        assert_sound(root);
    }
}

/// A hole that is never filled is asked once more after the settle lag, then it is confirmed, and no
/// night asks for it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_stays_is_confirmed_by_the_second_look() {
    let hole = range(epoch("2026-03-09T20:00:00Z"), 1200);
    let world = World::quiet().hole("R_100", hole, None);
    let exchange = Exchange::open(config("2026-03-10T02:17:00Z", world)).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, series) = (folder.path(), [series("R_100", Kind::Ticks)]);
    let window = from("2026-03-09T12:00:00Z");
    let summary = night(&exchange, root, &series, window, 0).await;
    assert!(kinds(&summary).contains(&FindingKind::FeedSilent), "{:?}", kinds(&summary));
    let asked = exchange.simulator.now();
    let gap = long_gaps(root, &series[0], "2026-03")[0];
    assert_eq!((gap.asked_first, gap.asked_last), (Some(asked), Some(asked)));
    // Two hours later it is young: asked, and still not believed.
    night(&exchange, root, &series, window, 2).await;
    assert_eq!(long_gaps(root, &series[0], "2026-03")[0].class, GapClass::Unexplained);
    let summary = night(&exchange, root, &series, window, 22).await;
    let gap = long_gaps(root, &series[0], "2026-03")[0];
    assert_eq!(gap.class, GapClass::ConfirmedBySource);
    assert_eq!((gap.asked_first, gap.asked_last), (Some(asked), Some(asked.plus(DAY))));
    assert!(!kinds(&summary).contains(&FindingKind::FeedSilent), "{:?}", kinds(&summary));
    assert!(watermark(root, &series[0]) >= Some(exchange.simulator.now().plus(-20)));
    let n_before = exchange.simulator.log().len();
    night(&exchange, root, &series, window, 24).await;
    let log = exchange.simulator.log();
    let asks_again = log[n_before..].iter().filter_map(|call| call.start);
    assert!(asks_again.min() >= Some(hole.end()), "{:?}", &log[n_before..]);
    assert_sound(root);
}

/// Field case 5: bars change as long as their ticks come in. Cron at 02:17:00 sharp leaves the last
/// bar alone, three nights end with 0, and each close is right.
#[tokio::test(flavor = "multi_thread")]
async fn a_bar_is_final_when_it_is_old() {
    let exchange =
        Exchange::open(config("2026-03-10T02:17:00Z", World::quiet().late("*", 2, None))).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, all) = (folder.path(), [series("R_100", MINUTES), series("R_100", Kind::Ticks)]);
    let window = from("2026-03-09T22:00:00Z");
    for _ in 0..3 {
        night(&exchange, root, &all, window, 24).await;
        let newest = exchange.simulator.now();
        let bars = all_rows(root, &all[0]);
        assert_eq!(bars.last_key_value().map(|(open, _)| *open), Some(newest.plus(-120).secs()));
        let ticks = all_rows(root, &all[1]);
        assert!(
            ticks.last_key_value().is_some_and(|(at, _)| (15..20).contains(&(newest.secs() - at)))
        );
        exchange.simulator.advance(60);
        let wanted = EpochRange::new(epoch("2026-03-09T22:00:00Z"), newest.plus(-60)).unwrap();
        assert_same_rows(&bars, &exchange.truth(&all[0], wanted));
        exchange.simulator.advance(-60);
    }
    assert_sound(root);
}

/// Field case 6: a forex symbol is listed, its hours say open, and for nine days nothing comes. The
/// watermark stops where the feed died, for as long as it lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_feed_stops_the_watermark_for_as_long_as_it_lasts() {
    let died = epoch("2026-03-10T09:00:00Z");
    let world = World::quiet().hole("frxEURUSD", range(died, 10 * DAY), None);
    for kind in [Kind::Ticks, MINUTES] {
        let exchange = Exchange::open(config("2026-03-10T02:17:00Z", world.clone())).await;
        let folder = tempfile::tempdir().unwrap();
        let (root, series) = (folder.path(), [series("frxEURUSD", kind)]);
        let window = from("2026-03-09T12:00:00Z");
        night(&exchange, root, &series, window, 0).await;
        for days in [1, 4, 4] {
            let summary = night(&exchange, root, &series, window, 24 * days).await;
            // After one night the hours of that day may not be known yet.
            if days > 1 {
                assert!(
                    kinds(&summary).contains(&FindingKind::FeedSilent),
                    "{:?}",
                    kinds(&summary)
                );
                let mark = watermark(root, &series[0]).unwrap();
                assert!(mark <= died && mark > died.plus(-120), "{mark}");
            }
        }
        // It comes back, and a day later the silence has been asked once more.
        night(&exchange, root, &series, window, 48).await;
        night(&exchange, root, &series, window, 24).await;
        let gaps = long_gaps(root, &series[0], "2026-03");
        let longest = gaps.iter().max_by_key(|gap| gap.end.since(gap.start)).unwrap();
        assert_eq!(longest.class, GapClass::ConfirmedBySource, "{longest:?}");
        assert!(watermark(root, &series[0]) > Some(died.plus(10 * DAY)));
        assert_sound(root);
    }
}

/// Field case 14d: the newest rows come 17 minutes late while the month is being finished. It is not
/// sealed with its last seconds claimed.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lags_does_not_seal_the_end_of_a_month() {
    let end = epoch("2026-03-01T00:00:00Z");
    let lagging = range(end, HOUR);
    for lag in [1020, 300] {
        let listed = end.plus(-2 * HOUR);
        let world = World::quiet().listed("R_100", listed).late("R_100", lag, Some(lagging));
        let exchange = Exchange::open(config("2026-03-01T00:00:18Z", world)).await;
        let folder = tempfile::tempdir().unwrap();
        let (root, series) = (folder.path(), [series("R_100", Kind::Ticks)]);
        let setup = Setup { settle_lag: Duration::ZERO, ..setup() };
        let month = Window::Range { start: end.plus(-28 * DAY), end: Some(end) };
        let state = |summary: &Summary| match &summary.partitions[0].outcome {
            PartitionOutcome::Published(published) => Some(published.state),
            _ => None,
        };
        let summary = exchange.download(root, &setup, &series, month).await.unwrap();
        assert_eq!(state(&summary), Some(PartitionState::Settling), "{lag}");
        exchange.simulator.advance(2 * HOUR);
        let summary = exchange.download(root, &setup, &series, month).await.unwrap();
        assert_eq!(state(&summary), Some(PartitionState::Sealed), "{lag}");
        let whole = EpochRange::new(listed, end).unwrap();
        assert_same_rows(&all_rows(root, &series[0]), &exchange.truth(&series[0], whole));
    }
}

/// Field case 15: a symbol that is listed in mid-month. It begins with its first row: no error, no
/// obstacle, few requests, and every run names the same second.
#[tokio::test(flavor = "multi_thread")]
async fn a_series_begins_with_its_first_row() {
    let listed = epoch("2026-03-12T08:00:00Z");
    for (kind, fewest) in [(Kind::Ticks, 87), (MINUTES, 3)] {
        let world = World::quiet().listed("R_100", listed);
        let exchange = Exchange::open(config("2026-03-14T02:17:00Z", world)).await;
        let folder = tempfile::tempdir().unwrap();
        let (root, series) = (folder.path(), [series("R_100", kind)]);
        for night_number in 0..3 {
            let n_before = n_history(&exchange);
            let summary =
                night(&exchange, root, &series, Window::Months(1), 24 * night_number.min(1)).await;
            let n_asked = n_history(&exchange) - n_before;
            if night_number == 0 {
                assert!(n_asked <= fewest + 50, "{n_asked} requests");
            }
            assert_eq!(kinds(&summary), [], "night {night_number}");
            let gaps = long_gaps(root, &series[0], "2026-03");
            assert_eq!(gaps[0].class, GapClass::BeforeFirstRow, "{gaps:?}");
            assert!(watermark(root, &series[0]) > Some(exchange.simulator.now().plus(-80)));
            let plan = exchange.plan(root, &series, Window::Months(1)).await.unwrap();
            let begins =
                all_rows(root, &series[0]).first_key_value().map(|(at, _)| Epoch::new(*at));
            assert_eq!(plan.begins(&series[0]), begins);
        }
        assert_sound(root);
    }
}

/// As long as a series is young, each run asks the silence before its first row once more: what the
/// source puts there later comes in.
#[tokio::test(flavor = "multi_thread")]
async fn rows_before_the_first_row_come_in_while_it_is_young() {
    let now = epoch("2026-03-14T02:17:00Z");
    let hole = EpochRange::new(epoch("2026-01-01T00:00:00Z"), now.plus(-HOUR)).unwrap();
    let world = World::quiet().listed("R_100", now.plus(-6 * HOUR)).hole(
        "R_100",
        hole,
        Some(now.plus(2 * HOUR)),
    );
    let exchange = Exchange::open(config("2026-03-14T02:17:00Z", world)).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, series) = (folder.path(), [series("R_100", Kind::Ticks)]);
    night(&exchange, root, &series, Window::Months(0), 0).await;
    assert_eq!(
        all_rows(root, &series[0]).first_key_value().map(|(at, _)| *at),
        Some(now.plus(-HOUR).secs())
    );
    let summary = night(&exchange, root, &series, Window::Months(0), 3).await;
    assert!(kinds(&summary).contains(&FindingKind::LateRows), "{:?}", kinds(&summary));
    assert_eq!(
        all_rows(root, &series[0]).first_key_value().map(|(at, _)| *at),
        Some(now.plus(-6 * HOUR).secs())
    );
}

/// Field case 14c: the source's clock was twelve days ahead for one run, and nobody could tell. What
/// was claimed of the future heals on honest nights.
#[tokio::test(flavor = "multi_thread")]
async fn a_future_that_was_recorded_as_silence_heals() {
    // The last bar has all its ticks.
    let jump = epoch("2026-03-02T02:16:59Z");
    let world = World::quiet().clock_error(12 * DAY, Some(range(jump, 60)));
    let exchange = Exchange::open(config("2026-03-01T02:16:59Z", world)).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, series) = (folder.path(), [series("R_100", MINUTES)]);
    let window = from("2026-02-27T00:00:00Z");
    night(&exchange, root, &series, window, 0).await;
    night(&exchange, root, &series, window, 24).await;
    assert!(watermark(root, &series[0]) < Some(jump), "the future is no proof");
    for hours in [14 * 24, 24] {
        night(&exchange, root, &series, window, hours).await;
    }
    let now = exchange.simulator.now();
    let wanted =
        EpochRange::new(epoch("2026-02-27T00:00:00Z"), now.plus(-119).floor_to(60, 0).plus(60))
            .unwrap();
    assert_same_rows(&all_rows(root, &series[0]), &exchange.truth(&series[0], wanted));
    assert!(watermark(root, &series[0]) > Some(now.plus(-120)));
    assert_sound(root);
}

/// Rule 14: with a plausible clock of its own, the run says that the source is ahead, works up to
/// its own time, and seals nothing.
#[tokio::test(flavor = "multi_thread")]
async fn two_clocks_must_agree_before_the_future_is_recorded() {
    let now = epoch("2026-02-27T02:17:00Z");
    let world = World::quiet().clock_error(5 * DAY, Some(range(now, 60)));
    for symbol in ["frxEURUSD", "R_100"] {
        let exchange = Exchange::open(config("2026-02-27T02:17:00Z", world.clone())).await;
        let folder = tempfile::tempdir().unwrap();
        let (root, series) = (folder.path(), [series(symbol, MINUTES)]);
        let held = Setup { local_clock: Some(LocalClock::reading(now)), ..setup() };
        let window = from("2026-02-25T00:00:00Z");
        let summary = exchange.download(root, &held, &series, window).await.unwrap();
        assert!(summary.is_complete());
        assert!(kinds(&summary).contains(&FindingKind::ClocksDisagree), "{:?}", kinds(&summary));
        let sidecar = sidecar(root, &series[0], "2026-02");
        assert_eq!(sidecar.state, Some(PartitionState::Open));
        assert!(sidecar.coverage.last().unwrap().end <= now.plus(5), "{:?}", sidecar.coverage);
        assert!(!root.join(symbol).join("candles_60/2026-03.parquet").exists());
        // A clock that has lost the time is told, and ignored.
        let lost = Setup { local_clock: Some(LocalClock::reading(Epoch::new(86_400))), ..setup() };
        exchange.simulator.advance(DAY);
        let summary = exchange.download(root, &lost, &series, window).await.unwrap();
        assert!(summary.is_complete());
        assert!(kinds(&summary).contains(&FindingKind::ClocksDisagree));
        assert!(watermark(root, &series[0]) > Some(now));
    }
}

/// The usual holes of the exchange: a night's second looks are few, and what one download makes is
/// what the nights make.
#[tokio::test(flavor = "multi_thread")]
async fn second_looks_cost_little() {
    let exchange = Exchange::open(quiet_config(epoch("2026-02-24T02:17:00Z"))).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, series) = (folder.path(), [series("R_100", Kind::Ticks)]);
    let window = from("2026-02-23T00:00:00Z");
    night(&exchange, root, &series, window, 0).await;
    let mut asked = Vec::new();
    for _ in 0..6 {
        let n_before = n_history(&exchange);
        night(&exchange, root, &series, window, 24).await;
        asked.push(n_history(&exchange) - n_before);
    }
    // 43,200 ticks are 44 pages, the tail is asked with them, and heads that a hole hides again.
    eprintln!("requests of each night: {asked:?}");
    assert!(asked.iter().all(|n| *n <= 49), "{asked:?}");
}
