//! Whatever lies among the answers that wait, reading it comes to an end and does not panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use titan_download::domain::{Candle, PartitionKey, Series, Tick};
use titan_download::storage::doors;

fuzz_target!(|file: &[u8]| {
    let path = std::env::temp_dir().join(format!("titan-fuzz-{}.segment", std::process::id()));
    std::fs::write(&path, file).unwrap();
    for kind in ["ticks", "candles_60"] {
        let series = Series { symbol: "R_100".parse().unwrap(), kind: kind.parse().unwrap() };
        let key = PartitionKey { series, month: "2026-03".parse().unwrap() };
        let _ = doors::segment::<Tick>(&path, &key);
        let _ = doors::segment::<Candle>(&path, &key);
    }
});
