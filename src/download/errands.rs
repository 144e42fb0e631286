//! What the engine sends out and what comes back: one question to the source, one look at the wall,
//! one segment to the disk. Each is a future that owns what it needs.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tracing::{Instrument as _, Span};

use crate::domain::{
    Candle, EpochRange, Kind, MarketDataSource, Page, PageRequest, PartitionKey, Published, Record,
    Segment, Series, SourceError, StoreError, Tick,
};

use super::pager::{Ask, AskId};
use super::prepare::{Source, Store, blocking};
use super::probe::{Sighting, run_wall_search};
use super::spans;
use super::wall::WallSearch;

/// A page of a kind known only at run time.
pub(super) enum AnyPage {
    Ticks(Page<Tick>),
    Candles(Page<Candle>),
}

/// A segment of a kind known only at run time.
pub(super) enum AnySegment {
    Ticks(Segment<Tick>),
    Candles(Segment<Candle>),
}

/// What comes back from the source.
pub(super) enum Arrival {
    Page { job: usize, ask: AskId, answer: Result<AnyPage, SourceError> },
    Wall { job: usize, found: Result<Sighting, SourceError> },
}

/// What comes back from the disk.
pub(super) enum Written {
    Staged { job: usize, n_findings: usize, result: Result<EpochRange, StoreError> },
    Published { job: usize, result: Box<Result<Published, StoreError>> },
}

pub(super) fn fetch<S: Source>(
    source: Arc<S>,
    job: usize,
    ask: Ask,
    request: PageRequest,
    month: &Span,
) -> BoxFuture<'static, Arrival> {
    let window = spans::window(month, request.range);
    let errand = async move {
        let answer = match request.series.kind {
            Kind::Ticks => fetch_kind(&*source, &request).await.map(AnyPage::Ticks),
            Kind::Candles(_) => fetch_kind(&*source, &request).await.map(AnyPage::Candles),
        };
        Arrival::Page { job, ask: ask.id, answer }
    };
    Box::pin(errand.instrument(window))
}

async fn fetch_kind<R: Record, S: MarketDataSource<R>>(
    source: &S,
    request: &PageRequest,
) -> Result<Page<R>, SourceError> {
    source.fetch_page(request).await
}

pub(super) fn look<S: Source>(
    source: Arc<S>,
    job: usize,
    series: Series,
    mut search: WallSearch,
    month: Span,
) -> BoxFuture<'static, Arrival> {
    let errand = async move {
        let found = run_wall_search(&*source, &series, &mut search).await;
        Arrival::Wall { job, found }
    };
    Box::pin(errand.instrument(month))
}

pub(super) fn write_segment<P: Store>(
    store: Arc<P>,
    job: usize,
    key: PartitionKey,
    (segment, n_findings): (AnySegment, usize),
    month: Span,
) -> BoxFuture<'static, Written> {
    let range = match &segment {
        AnySegment::Ticks(segment) => segment.range,
        AnySegment::Candles(segment) => segment.range,
    };
    let errand = async move {
        let write = move |store: &P| match &segment {
            AnySegment::Ticks(segment) => store.stage(&key, segment),
            AnySegment::Candles(segment) => store.stage(&key, segment),
        };
        let result = blocking(&store, write).await;
        Written::Staged { job, n_findings, result: result.map(|()| range) }
    };
    Box::pin(errand.instrument(month))
}
