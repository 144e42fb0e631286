//! What a source has to keep to serve this program: questions asked of a live one.
//!
//! Whoever adds a source runs [`check_source`] over it, bare and in whatever wrappers it will
//! live; an empty list means that pager, plan and checker may rely on it. The pager does not
//! *trust* a source to keep these promises, but it needs one that does to come to an end.

use futures_util::future::join_all;

use crate::domain::{
    Epoch, EpochRange, ErrorKind, Kind, MarketDataSource, Page, PageRequest, Record, Series,
    SourceError, SourceInfo, Symbol,
};

/// Where a source is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// A series on offer.
    pub series: Series,
    /// A stretch of its past with at least [`FEWEST_ROWS`] rows, and no more than fit into some
    /// dozens of pages of seven rows: ten minutes of a busy symbol. For candles both ends are
    /// multiples of the granularity.
    pub range: EpochRange,
    /// A symbol that the source does not offer.
    pub not_offered: Symbol,
}

/// With fewer rows the suite would pass by accident.
pub const FEWEST_ROWS: usize = 20;

/// So many rows a page make many pages of few rows.
const SMALL_PAGE: u32 = 7;

/// A promise that a source does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// What is promised.
    pub promise: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// Asks a source whether it keeps what [`MarketDataSource`] and [`SourceInfo`] promise; the answer
/// names every promise that is broken. Takes some hundred requests.
pub async fn check_source<R: Record, S>(source: &S, sample: &Sample) -> Vec<Broken>
where
    S: MarketDataSource<R> + SourceInfo,
{
    let mut suite = Suite { source, sample, broken: Vec::new() };
    suite.check_info().await;
    let Some(rows) = suite.rows().await else { return suite.broken };
    suite.check_limits(&rows).await;
    suite.check_ends(&rows).await;
    suite.check_paging(&rows).await;
    suite.check_silence(&rows).await;
    suite.check_callers(&rows).await;
    suite.check_refusal().await;
    suite.broken
}

struct Suite<'a, S> {
    source: &'a S,
    sample: &'a Sample,
    broken: Vec<Broken>,
}

impl<S: SourceInfo> Suite<'_, S> {
    fn is_so(&mut self, is_kept: bool, promise: &'static str, seen: impl FnOnce() -> String) {
        if !is_kept {
            self.broken.push(Broken { promise, seen: seen() });
        }
    }

    async fn check_info(&mut self) {
        let times = [self.source.server_time().await, self.source.server_time().await];
        match times {
            [Ok(first), Ok(second)] => {
                let seen = || format!("{first}, then {second}");
                self.is_so(first <= second, "its clock does not go backwards", seen);
                let end = self.sample.range.end();
                self.is_so(end <= first, "the sample lies in its past", || {
                    format!("now is {first}")
                });
            }
            times => self.is_so(false, "it tells its time", || format!("{times:?}")),
        }
        let symbol = self.sample.series.symbol.clone();
        match self.source.instruments().await {
            Ok(offered) => {
                let n = offered.iter().filter(|on_offer| on_offer.symbol == symbol).count();
                self.is_so(n == 1, "it offers the symbol, once", || format!("{n} times"));
                let is_there = offered.iter().any(|i| i.symbol == self.sample.not_offered);
                self.is_so(!is_there, "it does not offer the other symbol", || "it does".into());
            }
            Err(error) => self.is_so(false, "it tells its symbols", || error.to_string()),
        }
    }

    async fn ask<R: Record>(&self, range: EpochRange, limit: u32) -> Result<Page<R>, SourceError>
    where
        S: MarketDataSource<R>,
    {
        let request = PageRequest { series: self.sample.series.clone(), range, limit };
        self.source.fetch_page(&request).await
    }

    /// Asks, and notes an answer that is none or not in good form.
    async fn page<R: Record>(&mut self, range: EpochRange, limit: u32) -> Option<Vec<R>>
    where
        S: MarketDataSource<R>,
    {
        let page = match self.ask::<R>(range, limit).await {
            Ok(page) => page,
            Err(error) => {
                self.is_so(false, "a stretch on offer is answered", || error.to_string());
                return None;
            }
        };
        let asked = format!("{range:?}, at most {limit}");
        self.is_so(page.is_ascending(), "rows ascend, each epoch once", || asked.clone());
        let n = page.records.len();
        let many = || format!("{n} rows for {asked}");
        self.is_so(n <= limit as usize, "no more rows come than were asked for", many);
        let received = page.n_received;
        let few = || format!("{n} rows, {received} received");
        self.is_so(received as usize >= n, "no row is made up", few);
        let is_good = |price: &f64| price.is_finite() && *price > 0.0;
        let are_good = page.records.iter().all(|row| row.prices().as_ref().iter().all(is_good));
        self.is_so(are_good, "prices are finite and positive", || asked.clone());
        let width = i64::from(self.sample.series.kind.granularity().map_or(1, u32::from));
        let is_aligned = page.records.iter().all(|row| row.epoch().secs() % width == 0);
        self.is_so(is_aligned, "candles open on multiples of their width", || asked.clone());
        self.is_so(page.fits(range), "a stretch on offer is answered with its own rows", || asked);
        Some(page.records)
    }

    /// Every row of the sample, walked backward in pages of any size the source likes.
    async fn rows<R: Record>(&mut self) -> Option<Vec<R>>
    where
        S: MarketDataSource<R>,
    {
        let rows = self.walk::<R>(u32::try_from(FEWEST_ROWS).unwrap_or(u32::MAX)).await?;
        let n = rows.len();
        let few = || format!("{n} rows, {FEWEST_ROWS} are needed to judge");
        self.is_so(n >= FEWEST_ROWS, "the sample has rows enough", few);
        (n >= FEWEST_ROWS).then_some(rows)
    }

    async fn walk<R: Record>(&mut self, limit: u32) -> Option<Vec<R>>
    where
        S: MarketDataSource<R>,
    {
        let mut rows: Vec<R> = Vec::new();
        let mut rest = Some(self.sample.range);
        while let Some(range) = rest {
            let page = self.page::<R>(range, limit).await?;
            let Some(first) = page.first().map(Record::epoch) else { break };
            if !range.contains(first) {
                return None;
            }
            rows.splice(0..0, page);
            rest = EpochRange::new(range.start(), first);
        }
        Some(rows)
    }

    /// The newest rows of a range come first, whatever the limit.
    async fn check_limits<R: Record>(&mut self, rows: &[R])
    where
        S: MarketDataSource<R>,
    {
        let limit = SMALL_PAGE as usize;
        let Some(page) = self.page::<R>(self.sample.range, SMALL_PAGE).await else { return };
        let newest = &rows[rows.len() - limit..];
        let promise = "a limited answer holds the newest rows of its range";
        self.is_so(page == newest, promise, || format!("{page:?}, not {newest:?}"));
    }

    /// Both ends of a range belong to it, and nothing beyond them.
    async fn check_ends<R: Record>(&mut self, rows: &[R])
    where
        S: MarketDataSource<R>,
    {
        let inner = &rows[3..10];
        let (first, last) = (inner[0].epoch(), inner[inner.len() - 1].epoch());
        let Some(range) = self.until_after(first, last) else { return };
        let Some(page) = self.page::<R>(range, 100).await else { return };
        let promise = "a range from one row to another holds both and what lies between";
        self.is_so(page == inner, promise, || format!("{page:?}, not {inner:?}"));
    }

    /// Pages of another size give the same rows.
    async fn check_paging<R: Record>(&mut self, rows: &[R])
    where
        S: MarketDataSource<R>,
    {
        for limit in [SMALL_PAGE, 50] {
            let Some(again) = self.walk::<R>(limit).await else { return };
            let promise = "the rows of a stretch do not depend on how it is asked";
            let seen = || format!("{} rows in pages of {limit}, not {}", again.len(), rows.len());
            self.is_so(again == rows, promise, seen);
        }
    }

    /// Between two rows there is nothing, and nothing is not an error.
    async fn check_silence<R: Record>(&mut self, rows: &[R])
    where
        S: MarketDataSource<R>,
    {
        let width = i64::from(self.sample.series.kind.granularity().map_or(1, u32::from));
        let between = rows.windows(2).find_map(|pair| {
            let (start, end) = (pair[0].epoch().plus(width), pair[1].epoch());
            EpochRange::new(start, end)
        });
        let Some(silence) = between else { return };
        match self.ask::<R>(silence, 10).await {
            Ok(page) => {
                let rows = page.records;
                let seen = || format!("{rows:?} in {silence:?}");
                self.is_so(rows.is_empty(), "silence is an answer without rows", seen);
            }
            Err(error) => {
                let seen = || error.to_string();
                self.is_so(false, "silence is an answer without rows", seen);
            }
        }
    }

    /// Questions asked at once are answered each for itself.
    async fn check_callers<R: Record>(&mut self, rows: &[R])
    where
        S: MarketDataSource<R>,
    {
        let pairs: Vec<_> = rows.chunks_exact(2).take(8).collect();
        let ranges = pairs.iter().filter_map(|p| self.until_after(p[0].epoch(), p[1].epoch()));
        let asks = ranges.map(|range| self.ask::<R>(range, 10));
        let answers = join_all(asks).await;
        for (pair, answer) in pairs.iter().zip(answers) {
            let is_own = matches!(&answer, Ok(page) if page.records == *pair);
            let promise = "questions asked at once are answered each for itself";
            self.is_so(is_own, promise, || format!("{answer:?}, not {pair:?}"));
        }
    }

    /// A symbol that is not on offer is refused as such, not answered with silence.
    async fn check_refusal<R: Record>(&mut self)
    where
        S: MarketDataSource<R>,
    {
        let symbol = self.sample.not_offered.clone();
        let series = Series { symbol, kind: self.sample.series.kind };
        let request = PageRequest { series, range: self.sample.range, limit: 10 };
        let answer: Result<Page<R>, _> = self.source.fetch_page(&request).await;
        let is_refused = matches!(&answer, Err(e) if e.kind == ErrorKind::UnknownSymbol);
        let promise = "a symbol that is not on offer is refused as unknown";
        self.is_so(is_refused, promise, || format!("{answer:?}"));
    }

    /// From `first` to `last`, both inclusive, in whole records.
    fn until_after(&self, first: Epoch, last: Epoch) -> Option<EpochRange> {
        let width = match self.sample.series.kind {
            Kind::Ticks => 1,
            Kind::Candles(width) => i64::from(u32::from(width)),
        };
        EpochRange::new(first, last.plus(width))
    }
}
