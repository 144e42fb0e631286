//! What a source has to keep: the client keeps it bare and wrapped, the example does, and a source
//! that breaks a promise is told which.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use titan_download::conformance::{Broken, Sample, check_source};
use titan_download::deriv::{ApiVersion, DerivClient, DerivConfig, NetConnector};
use titan_download::domain::{
    Candle, Epoch, EpochRange, ErrorKind, Granularity, Instrument, Kind, MarketDataSource, Page,
    PageRequest, SourceError, SourceInfo, Tick,
};
use titan_download::resilience::{BreakerConfig, Observer, RetryConfig, ThrottleConfig, resilient};
use tokio_util::sync::CancellationToken;

use crate::support::*;

#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/second_source.rs"]
mod second_source;

#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/day_in_memory.rs"]
mod day_in_memory;

const NOW: &str = "2026-03-04T12:00:00Z";

fn sample(symbol: &str, kind: Kind, minutes: i64) -> Sample {
    let end = epoch(NOW).plus(-3_600);
    let range = EpochRange::new(end.plus(-60 * minutes), end).unwrap();
    Sample { series: series(symbol, kind), range, not_offered: "NOT_THERE".parse().unwrap() }
}

fn client(exchange: &Exchange, api: ApiVersion) -> DerivClient {
    DerivClient::new(DerivConfig::new(api, exchange.endpoint()), NetConnector::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_keeps_what_a_source_promises() {
    let minutes = Kind::Candles(Granularity::MINUTE);
    for api in [ApiVersion::V1, ApiVersion::Legacy] {
        let exchange = Exchange::open_as(api, quiet_config(epoch(NOW))).await;
        let bare = client(&exchange, api);
        for symbol in ["R_100", "1HZ100V", "frxEURUSD"] {
            let ticks = check_source::<Tick, _>(&bare, &sample(symbol, Kind::Ticks, 5)).await;
            assert_eq!(ticks, [], "{symbol}");
            let candles = check_source::<Candle, _>(&bare, &sample(symbol, minutes, 90)).await;
            assert_eq!(candles, [], "{symbol}");
        }
        let observer = Observer::new(CancellationToken::new());
        let throttle = ThrottleConfig { per_minute: None, ..ThrottleConfig::default() };
        let (breaker, retry) = (BreakerConfig::default(), RetryConfig::default());
        let wrapped = resilient(bare.clone(), throttle, breaker, retry, &observer);
        let ticks = check_source::<Tick, _>(&wrapped, &sample("R_100", Kind::Ticks, 5)).await;
        assert_eq!(ticks, [], "wrapped");
        bare.close().await;
    }
}

fn write_csv(folder: &std::path::Path) -> Sample {
    let lines: Vec<_> =
        (0..150).map(|n| format!("{},{}.5", 1_772_323_200 + 2 * n, 100 + n)).collect();
    std::fs::write(folder.join("MY_INDEX.csv"), lines.join("\n")).unwrap();
    let first = Epoch::new(1_772_323_200);
    Sample {
        series: series("MY_INDEX", Kind::Ticks),
        range: EpochRange::new(first, first.plus(200)).unwrap(),
        not_offered: "NOT_THERE".parse().unwrap(),
    }
}

#[tokio::test]
async fn the_second_source_keeps_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let sample = write_csv(folder.path());
    let source = second_source::CsvFolder::open(folder.path()).unwrap();
    assert_eq!(check_source::<Tick, _>(&source, &sample).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_comes_into_memory_whole() {
    let exchange = Exchange::open(quiet_config(epoch(NOW))).await;
    let source = client(&exchange, ApiVersion::V1);
    let series = series("R_100", Kind::Ticks);
    let day = EpochRange::new(epoch(NOW).plus(-86_400), epoch(NOW)).unwrap();
    let ticks = day_in_memory::ticks(&source, &series, day).await.unwrap();
    let rows = ticks.iter().map(|t| (t.epoch.secs(), vec![t.quote.to_string()])).collect();
    assert_same_rows(&rows, &exchange.truth(&series, day));
    source.close().await;
}

/// How a source may be wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    OldestFirst,
    EndExclusive,
    MoreThanAsked,
    Descending,
    NotPositive,
    MadeUp,
    NoSilence,
    SilentRefusal,
    OtherCallers,
    ClockRunsBack,
    OfferedTwice,
    Fails,
}

/// The good source, spoiled in one way.
struct Spoiled {
    inner: second_source::CsvFolder,
    fault: Fault,
    before: Mutex<Option<Page<Tick>>>,
    asked: AtomicI64,
}

impl MarketDataSource<Tick> for Spoiled {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<Tick>, SourceError> {
        let mut asked = request.clone();
        match self.fault {
            Fault::OldestFirst => asked.limit = 10_000,
            Fault::MoreThanAsked => asked.limit += 1,
            Fault::EndExclusive => {
                let shorter = EpochRange::new(asked.range.start(), asked.range.last());
                asked.range = shorter.unwrap_or(asked.range);
            }
            Fault::Fails => return Err(SourceError::new(ErrorKind::ServerFault, "no")),
            _ => (),
        }
        let answer = self.inner.fetch_page(&asked).await;
        if self.fault == Fault::SilentRefusal && answer.is_err() {
            return Ok(empty());
        }
        let mut page = answer?;
        match self.fault {
            Fault::OldestFirst => page.records.truncate(request.limit as usize),
            Fault::Descending => page.records.reverse(),
            Fault::MadeUp => page.n_received = 0,
            Fault::NotPositive => page.records.iter_mut().for_each(|row| row.quote = -row.quote),
            Fault::NoSilence if page.records.is_empty() => {
                return Err(SourceError::new(ErrorKind::MarketClosed, "closed"));
            }
            Fault::OtherCallers => {
                // Everybody gets the answer to the question before.
                let mut before = self.before.lock().unwrap();
                if request.range.len_secs() < 10 {
                    page = before.replace(page.clone()).unwrap_or(page);
                }
            }
            _ => (),
        }
        Ok(page)
    }
}

fn empty() -> Page<Tick> {
    let records = Vec::new();
    Page {
        records,
        n_received: 0,
        pip_size: None,
        n_duplicates: 0,
        conflicts: Vec::new(),
        unusable: Vec::new(),
    }
}

impl SourceInfo for Spoiled {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        let back = self.asked.fetch_add(1, Ordering::Relaxed);
        let back = if self.fault == Fault::ClockRunsBack { back } else { 0 };
        Ok(self.inner.server_time().await?.plus(-back))
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        let mut offered = self.inner.instruments().await?;
        if self.fault == Fault::OfferedTwice {
            offered.extend_from_within(..);
        }
        Ok(offered)
    }
}

#[tokio::test]
async fn every_broken_promise_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let sample = write_csv(folder.path());
    let check = async |fault, promise: &str| {
        let inner = second_source::CsvFolder::open(folder.path()).unwrap();
        let source =
            Spoiled { inner, fault, before: Mutex::default(), asked: AtomicI64::default() };
        let broken: Vec<Broken> = check_source::<Tick, _>(&source, &sample).await;
        assert!(broken.iter().any(|b| b.promise.contains(promise)), "{fault:?}: {broken:#?}");
    };
    check(Fault::OldestFirst, "newest rows").await;
    check(Fault::EndExclusive, "holds both").await;
    check(Fault::MoreThanAsked, "no more rows").await;
    check(Fault::Descending, "rows ascend").await;
    check(Fault::NotPositive, "positive").await;
    check(Fault::MadeUp, "made up").await;
    check(Fault::NoSilence, "silence").await;
    check(Fault::SilentRefusal, "refused as unknown").await;
    check(Fault::OtherCallers, "each for itself").await;
    check(Fault::ClockRunsBack, "clock").await;
    check(Fault::OfferedTwice, "once").await;
    check(Fault::Fails, "is answered").await;
}
