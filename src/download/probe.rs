//! Asks the source where its history begins, for a search that says what to ask.

use tracing::{Instrument, Span};

use crate::domain::{
    Candle, Epoch, EpochRange, ErrorKind, Kind, MarketDataSource, PageRequest, Record, Series,
    SourceError, Tick, Wall,
};

use super::prepare::Source;
use super::spans;
use super::wall::{Probe, Step, WallSearch};

/// Enough for every record of a probe.
const PROBE_RECORDS: u32 = 10;

/// The newest row of a series that is quoted is hardly older: week-ends with holidays are shorter.
const NEWEST_SECS: i64 = 7 * 86_400;

/// How long the source's clock may have gone on since it was asked for the time.
const CLOCK_SECS: i64 = 3_600;

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sighting {
    /// The wall, if there is one.
    pub(super) wall: Option<Wall>,
    /// Whether the source was asked for it, and it is not only remembered.
    pub(super) was_asked: bool,
    /// Whether the source contradicted itself on the way.
    pub(super) was_lied_to: bool,
}

/// Runs a search to its end.
pub(super) async fn run_wall_search<S: Source>(
    source: &S,
    series: &Series,
    search: &mut WallSearch,
) -> Result<Sighting, SourceError> {
    loop {
        let was_lied_to = search.was_lied_to();
        match search.step() {
            Step::Ask(range) => {
                let probe = ask_wall(source, series, range, search.now()).await?;
                search.answer(probe);
            }
            Step::NoWall => return Ok(Sighting { wall: None, was_asked: true, was_lied_to }),
            Step::Found(wall) => {
                tracing::info!(%series, offered_from = %wall.offered_from, was_lied_to, "history seems to begin here");
                return Ok(Sighting { wall: Some(wall), was_asked: true, was_lied_to });
            }
            Step::Contradictory => {
                let message = "the source contradicts itself about where its history begins";
                return Err(SourceError::new(ErrorKind::Malformed, message));
            }
        }
    }
}

/// Asks for a stretch that is believed to be behind the wall, at `now` by the source's clock.
pub(super) async fn ask_wall<S: Source>(
    source: &S,
    series: &Series,
    range: EpochRange,
    now: Epoch,
) -> Result<Probe, SourceError> {
    let request = PageRequest { series: series.clone(), range, limit: PROBE_RECORDS };
    let window = spans::window(&Span::current(), range);
    match series.kind {
        Kind::Ticks => ask_wall_of::<Tick, S>(source, &request, now).instrument(window).await,
        Kind::Candles(_) => {
            ask_wall_of::<Candle, S>(source, &request, now).instrument(window).await
        }
    }
}

async fn ask_wall_of<R: Record, S: MarketDataSource<R>>(
    source: &S,
    request: &PageRequest,
    now: Epoch,
) -> Result<Probe, SourceError> {
    let page = source.fetch_page(request).await?;
    if page.fits(request.range) {
        let first = page.records.first().map(Record::epoch);
        return Ok(Probe::Offered { record_at_start: first == Some(request.range.start()) });
    }
    let Some(last) = page.records.last().map(Record::epoch) else { return Ok(Probe::Faulty) };
    let is_newer = page.records.iter().all(|row| row.epoch() >= request.range.end());
    if !is_newer || last > now.plus(CLOCK_SECS) {
        return Ok(Probe::Faulty);
    }
    // One row alone may be a row that does not belong: then it has to be the newest of all.
    let is_recent = page.records.len() > 1 && now.since(last) <= NEWEST_SECS;
    if is_recent || last == newest(source, request, now).await? {
        return Ok(Probe::Refused);
    }
    Ok(Probe::Faulty)
}

/// The newest row that the source has after a window; the end of the window if there is none.
async fn newest<R: Record, S: MarketDataSource<R>>(
    source: &S,
    request: &PageRequest,
    now: Epoch,
) -> Result<Epoch, SourceError> {
    let end = request.range.end();
    let unit = super::profile::unit_secs(request.series.kind);
    let Some(range) = EpochRange::new(end, now.floor_to(unit, 0).max(end.plus(2 * unit))) else {
        return Ok(end);
    };
    let page: crate::domain::Page<R> =
        source.fetch_page(&PageRequest { range, ..request.clone() }).await?;
    Ok(page.records.last().map_or(end, Record::epoch))
}
