//! One day of ticks into memory, page by page, without an archive.
//!
//! ```sh
//! cargo run --example day_in_memory                             # from a simulated exchange inside this process
//! cargo run --example day_in_memory -- wss://HOST/PATH R_100    # from a real one
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::disallowed_types)]

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use titan_download::deriv::{ApiVersion, DerivClient, DerivConfig, Endpoint, NetConnector};
use titan_download::domain::{
    EpochRange, Kind, MarketDataSource, PageRequest, Series, SourceError, SourceInfo, Tick,
};
use titan_download::simulator::{Simulator, SimulatorConfig};

/// Walks a range backward: each page holds the newest rows of what is left. `MarketDataSource`
/// promises good form, not truth: a page from outside its range is the source's newest data in
/// the place of data that it no longer has.
pub async fn ticks<S: MarketDataSource<Tick>>(
    source: &S,
    series: &Series,
    range: EpochRange,
) -> Result<Vec<Tick>, SourceError> {
    let mut pages = Vec::new();
    let mut rest = Some(range);
    while let Some(range) = rest {
        let request = PageRequest { series: series.clone(), range, limit: 5_000 };
        let page = source.fetch_page(&request).await?;
        let Some(first) = page.records.first().filter(|_| page.fits(range)) else { break };
        rest = EpochRange::new(range.start(), first.epoch);
        pages.push(page.records);
    }
    pages.reverse();
    Ok(pages.concat())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let stop = CancellationToken::new();
    let url = match arguments.first() {
        Some(url) => url.clone(),
        None => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let port = listener.local_addr()?.port();
            let exchange = Simulator::new(SimulatorConfig::default());
            tokio::spawn(exchange.serve(listener, stop.clone()));
            format!("ws://127.0.0.1:{port}/trading/v1/options/ws/public")
        }
    };
    let symbol = arguments.get(1).map_or("R_100", String::as_str).parse()?;
    let series = Series { symbol, kind: Kind::Ticks };
    let config = DerivConfig::new(ApiVersion::V1, Endpoint::parse(&url)?);
    let client = DerivClient::new(config, NetConnector::new());
    let now = client.server_time().await?;
    let day = EpochRange::new(now.plus(-86_400), now).ok_or("no time at all")?;
    let ticks = ticks(&client, &series, day).await?;
    println!("{} ticks of {series}: {:?} to {:?}", ticks.len(), ticks.first(), ticks.last());
    client.close().await;
    stop.cancel();
    Ok(())
}
