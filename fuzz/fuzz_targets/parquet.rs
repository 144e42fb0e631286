//! Whatever lies where a partition should, both readers come to an end, and neither panics.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use titan_download::domain::{Candle, PartitionInspector, PartitionKey, Tick};
use titan_download::integrity::{PartitionChecker, month_prices};
use titan_download::{format::Layout, storage::doors};

static ROOT: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("titan-fuzz-{}", std::process::id())));

fuzz_target!(|file: &[u8]| {
    // The panics of the library are caught; libFuzzer would end at the first.
    std::panic::set_hook(Box::new(|info| {
        if !titan_download::format::guard::is_guarded() {
            eprintln!("{info}");
            std::process::abort();
        }
    }));
    let key = |kind: &str| PartitionKey {
        series: titan_download::domain::Series {
            symbol: "R_100".parse().unwrap(),
            kind: kind.parse().unwrap(),
        },
        month: "2026-03".parse().unwrap(),
    };
    for kind in ["ticks", "candles_60"] {
        let key = key(kind);
        let path = Layout::new(&*ROOT).parquet(&key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, file).unwrap();
        let _ = PartitionChecker.inspect(&key, &path, &Default::default(), None);
        let _ = month_prices(&ROOT, &key, 3600);
        let _ = if kind == "ticks" {
            doors::partition::<Tick>(&path)
        } else {
            doors::partition::<Candle>(&path)
        };
    }
});
