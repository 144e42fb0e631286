//! Bars that do not fit the grid are told of: they are neither rows nor silence.

use titan_download::domain::{CoverageState, FindingKind, Granularity, Kind, PartitionState};
use titan_download::download::{PartitionOutcome, Window};
use titan_download::simulator::{SimulatorConfig, World};

use crate::support::*;

const NOW: &str = "2026-03-15T12:00:00Z";

/// Day bars that begin at 22:00 once became a sealed month of no rows, with exit code 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_width_that_is_off_the_grid_is_never_sealed_emptiness() {
    let world = World::quiet().bars_offset("R_100", 86_400, 79_200);
    let config = SimulatorConfig { world, ..quiet_config(epoch(NOW)) };
    let exchange = Exchange::open(config).await;
    let folder = tempfile::tempdir().unwrap();
    let days = [series("R_100", Kind::Candles(Granularity::try_from(86_400).unwrap()))];
    for _ in 0..2 {
        let window = Window::Months(1);
        let setup = Setup::default();
        let summary = exchange.download(folder.path(), &setup, &days, window).await.unwrap();
        assert!(!summary.is_complete(), "{summary:#?}");
        assert!(all_rows(folder.path(), &days[0]).is_empty());
        for partition in &summary.partitions {
            let PartitionOutcome::Published(published) = &partition.outcome else {
                panic!("{partition:#?}")
            };
            assert_ne!(published.state, PartitionState::Sealed);
            let answered = published.coverage.select(|state| state == CoverageState::Answered);
            assert!(answered.len_secs() <= 86_400, "{answered:?}");
            let findings: Vec<_> = partition.findings().collect();
            let told: Vec<_> =
                findings.iter().filter(|f| f.kind == FindingKind::UnusableRows).collect();
            assert_eq!(told.len(), 1, "one sentence: {findings:#?}");
            assert!(told[0].at.is_some() && told[0].found.contains("none is kept"), "{told:#?}");
        }
        exchange.simulator.advance(86_400);
    }
}
