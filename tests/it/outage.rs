//! The source is away for ten minutes in the middle of a month: the whole stack over in-memory
//! pipes, on a virtual clock.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use titan_download::deriv::{ApiVersion, BoxedStream, Connect, DerivClient, DerivConfig, Endpoint};
use titan_download::domain::{Kind, SeriesLocks};
use titan_download::download::{DownloadRequest, PartitionedDownloader, Silent, Summary, Window};
use titan_download::integrity::PartitionChecker;
use titan_download::resilience::{
    BreakerConfig, BreakerState, Observer, RetryConfig, ThrottleConfig, resilient,
};
use titan_download::simulator::{FaultPlan, Limits, SimClock, Simulator, SimulatorConfig};
use titan_download::storage::{ParquetStore, StoreOptions};

use crate::support::*;

/// Dials the exchange in memory and remembers when.
struct Pipes {
    exchange: Arc<Simulator>,
    began: Instant,
    dials: Arc<Mutex<Vec<Duration>>>,
}

impl Connect for Pipes {
    async fn dial(&self, _: &Endpoint) -> io::Result<BoxedStream> {
        self.dials.lock().unwrap().push(self.began.elapsed());
        let (near, far) = tokio::io::duplex(1 << 20);
        tokio::spawn(Arc::clone(&self.exchange).serve_stream(far));
        Ok(Box::new(near))
    }
}

async fn download(
    pipes: Pipes,
    root: &std::path::Path,
    request: &DownloadRequest,
    observer: &Observer,
) -> Summary {
    let endpoint = Endpoint::default_for(ApiVersion::V1);
    let client = DerivClient::new(DerivConfig::new(ApiVersion::V1, endpoint), pipes);
    let (throttle, breaker) = (ThrottleConfig::default(), BreakerConfig::default());
    let source = resilient(client.clone(), throttle, breaker, RetryConfig::default(), observer);
    let options = StoreOptions { endpoint: "test".into(), ..StoreOptions::default() };
    let store = Arc::new(ParquetStore::open(root, options, Arc::new(PartitionChecker)).unwrap());
    store.prepare().unwrap();
    let _guard = store.lock(&request.wanted[0].series).unwrap();
    let options = download_options();
    let stop = CancellationToken::new();
    let (source, silent) = (Arc::new(source), Arc::new(Silent));
    let summary = PartitionedDownloader::new(source, store, silent, options, stop)
        .run(request)
        .await
        .unwrap();
    client.close().await;
    summary
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_away_cost_one_connection_attempt_per_cool_down_and_no_row() {
    const AWAY_FROM: u64 = 60;
    const BACK_AT: u64 = 660;
    let now = epoch("2026-03-20T12:00:00Z");
    let away = Duration::from_secs(BACK_AT - AWAY_FROM);
    let exchange = Simulator::new(SimulatorConfig {
        clock: SimClock::running(now),
        limits: Limits::default(),
        latency: Duration::from_millis(150),
        faults: FaultPlan::none().with_outage(Duration::from_secs(AWAY_FROM), away),
        ..SimulatorConfig::default()
    });
    let dials = Arc::new(Mutex::new(Vec::new()));
    let pipes =
        Pipes { exchange: Arc::clone(&exchange), began: Instant::now(), dials: Arc::clone(&dials) };
    let observer = Observer::new(CancellationToken::new());
    let ticks = series("R_100", Kind::Ticks);
    let window = Window::Range {
        start: epoch("2026-03-08T00:00:00Z"),
        end: Some(epoch("2026-03-14T00:00:00Z")),
    };
    let request = DownloadRequest::of(std::slice::from_ref(&ticks), window);
    let folder = tempfile::tempdir().unwrap();
    let summary = download(pipes, folder.path(), &request, &observer).await;
    assert!(summary.is_complete(), "{summary:#?}");

    let range = window.resolve(now).unwrap();
    let mut csv = Vec::new();
    exchange.write_truth(&ticks.symbol, ticks.kind, range, &mut csv).unwrap();
    let row = |line: &str| {
        let (epoch, quote) = line.split_once(',').unwrap();
        (epoch.parse().unwrap(), vec![quote.parse::<f64>().unwrap().to_string()])
    };
    let truth: Rows = String::from_utf8(csv).unwrap().lines().skip(1).map(row).collect();
    assert_same_rows(&all_rows(folder.path(), &ticks), &truth);

    // The lost connection, if it carried a call, and dials that failed open the breaker, five
    // failures in all; then one attempt after each cool-down of 60, 120, 240 and 300 s, the last of
    // which meets the source again.
    let dials: Vec<_> = dials.lock().unwrap().iter().map(Duration::as_secs).collect();
    assert!((1 + 4 + 4..=1 + 5 + 4).contains(&dials.len()), "{dials:?}");
    let probes = &dials[dials.len() - 5..];
    assert!((AWAY_FROM..AWAY_FROM + 40).contains(&probes[0]), "{dials:?}");
    let cooldowns: Vec<_> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let fits = |(waited, cooldown): (&u64, &u64)| (*cooldown..cooldown + 5).contains(waited);
    assert!(cooldowns.iter().zip(&[60, 120, 240, 300]).all(fits), "{dials:?}");
    assert!(probes[3] < BACK_AT && BACK_AT < probes[4], "{dials:?}");
    assert_eq!(
        (observer.breaker().state, observer.breaker().n_openings),
        (BreakerState::Closed, 4)
    );
    assert!(exchange.max_calls_in_any(Duration::from_secs(60)) <= 200);
}
