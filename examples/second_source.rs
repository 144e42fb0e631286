//! A second source in under a hundred lines: ticks of CSV files in a folder, one `SYMBOL.csv` each
//! with lines `epoch,quote`. Run it over a folder of yours, or over one it makes:
//!
//! ```sh
//! cargo run --example second_source
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

use titan_download::conformance::{Sample, check_source};
use titan_download::domain::{
    Epoch, EpochRange, ErrorKind, Instrument, Kind, MarketDataSource, Page, PageRequest, Record,
    Series, SourceError, SourceInfo, Symbol, Tick,
};

/// Ticks read once from a folder; its clock is one second after the last of them.
pub struct CsvFolder {
    ticks: BTreeMap<Symbol, Vec<Tick>>,
}

impl CsvFolder {
    /// Reads every `SYMBOL.csv`.
    pub fn open(folder: &std::path::Path) -> std::io::Result<Self> {
        let mut ticks = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let Ok(symbol) = stem.parse() else { continue };
            let text = std::fs::read_to_string(&path)?;
            let tick = |line: &str| {
                let (epoch, quote) = line.split_once(',')?;
                let epoch = Epoch::new(epoch.parse().ok()?);
                Some(Tick { epoch, quote: quote.parse().ok()? })
            };
            let mut rows: Vec<_> = text.lines().filter_map(tick).collect();
            rows.sort_by_key(Record::epoch);
            ticks.insert(symbol, rows);
        }
        Ok(Self { ticks })
    }
}

impl MarketDataSource<Tick> for CsvFolder {
    async fn fetch_page(&self, request: &PageRequest) -> Result<Page<Tick>, SourceError> {
        let Some(rows) = self.ticks.get(&request.series.symbol) else {
            let message = format!("there is no file for {}", request.series.symbol);
            return Err(SourceError::new(ErrorKind::UnknownSymbol, message));
        };
        let inside = rows.iter().filter(|row| request.range.contains(row.epoch)).copied();
        let mut records: Vec<_> = inside.rev().take(request.limit as usize).collect();
        records.reverse();
        let n_received = u32::try_from(records.len()).unwrap_or(u32::MAX);
        Ok(Page {
            records,
            n_received,
            pip_size: None,
            n_duplicates: 0,
            conflicts: Vec::new(),
            unusable: Vec::new(),
        })
    }
}

impl SourceInfo for CsvFolder {
    async fn server_time(&self) -> Result<Epoch, SourceError> {
        let last = self.ticks.values().filter_map(|rows| rows.last()).map(Record::epoch).max();
        last.map(|last| last.plus(1))
            .ok_or_else(|| SourceError::new(ErrorKind::Rejected, "the folder holds no ticks"))
    }

    async fn instruments(&self) -> Result<Vec<Instrument>, SourceError> {
        let on_offer = |symbol: &Symbol| Instrument {
            symbol: symbol.clone(),
            name: None,
            market: "csv".into(),
            pip_size: None,
            submarket: None,
            is_open: false,
            is_exchange_open: None,
            is_suspended: None,
            usual_interval_millis: None,
        };
        Ok(self.ticks.keys().map(on_offer).collect())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join("second-source");
    std::fs::create_dir_all(&folder)?;
    let lines: Vec<_> =
        (0..300).map(|n| format!("{},{}.5", 1_772_323_200 + 2 * n, 100 + n)).collect();
    std::fs::write(folder.join("MY_INDEX.csv"), lines.join("\n"))?;
    let sample = Sample {
        series: Series { symbol: "MY_INDEX".parse()?, kind: Kind::Ticks },
        range: EpochRange::new(Epoch::new(1_772_323_200), Epoch::new(1_772_323_600))
            .ok_or("empty")?,
        not_offered: "NO_INDEX".parse()?,
    };
    let broken = check_source::<Tick, _>(&CsvFolder::open(&folder)?, &sample).await;
    println!("{} promises broken: {broken:#?}", broken.len());
    if broken.is_empty() { Ok(()) } else { Err("the source cannot be relied on".into()) }
}
