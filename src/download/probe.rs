//! Asks the source where its history begins, for a search that says what to ask.

use tracing::{Instrument, Span};

use crate::domain::{
    Candle, EpochRange, ErrorKind, Kind, MarketDataSource, PageRequest, Record, Series,
    SourceError, Tick, Wall,
};

use super::prepare::Source;
use super::spans;
use super::wall::{Probe, Step, WallSearch};

/// Enough for every record of a probe.
const PROBE_RECORDS: u32 = 10;

/// Runs a search to its end.
pub(super) async fn run_wall_search<S: Source>(
    source: &S,
    series: &Series,
    search: &mut WallSearch,
) -> Result<Option<Wall>, SourceError> {
    loop {
        match search.step() {
            Step::Ask(range) => {
                let probe = ask_wall(source, series, range).await?;
                search.answer(probe);
            }
            Step::NoWall => return Ok(None),
            Step::Found(wall) => {
                tracing::info!(%series, offered_from = %wall.offered_from, "history begins here");
                return Ok(Some(wall));
            }
            Step::Contradictory => {
                let message = "the source contradicts itself about where its history begins";
                return Err(SourceError::new(ErrorKind::Malformed, message));
            }
        }
    }
}

pub(super) async fn ask_wall<S: Source>(
    source: &S,
    series: &Series,
    range: EpochRange,
) -> Result<Probe, SourceError> {
    let request = PageRequest { series: series.clone(), range, limit: PROBE_RECORDS };
    let window = spans::window(&Span::current(), range);
    match series.kind {
        Kind::Ticks => ask_wall_of::<Tick, S>(source, &request).instrument(window).await,
        Kind::Candles(_) => ask_wall_of::<Candle, S>(source, &request).instrument(window).await,
    }
}

async fn ask_wall_of<R: Record, S: MarketDataSource<R>>(
    source: &S,
    request: &PageRequest,
) -> Result<Probe, SourceError> {
    let page = source.fetch_page(request).await?;
    if !page.fits(request.range) {
        return Ok(Probe::Refused);
    }
    let first = page.records.first().map(Record::epoch);
    Ok(Probe::Offered { record_at_start: first == Some(request.range.start()) })
}
