//! Seam: where records come from.

use std::future::Future;
use std::time::Duration;

use super::calendar::TradingDay;
use super::defect::Defect;
use super::record::Record;
use super::series::{Series, Symbol};
use super::time::{Epoch, EpochRange};

/// Asks for the newest records of a series inside a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Whose records.
    pub series: Series,
    /// Every second that may be answered. For candles both ends are multiples of the granularity.
    pub range: EpochRange,
    /// At most this many records; the source may silently cap lower.
    pub limit: u32,
}

/// Two prices for one epoch inside one answer; the first by position was kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowConflict<R> {
    /// The record kept.
    pub kept: R,
    /// The record refused.
    pub refused: R,
}

/// One answer in good form: records ascending by epoch and unique, prices finite and positive.
///
/// Whether the records lie inside the asked range is *not* promised: beyond its wall the source
/// answers with its newest data instead, and the caller has to notice ([`Page::fits`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Page<R> {
    /// The records, oldest first.
    pub records: Vec<R>,
    /// How many rows the answer held before anything was dropped; compare this with the page cap.
    pub n_received: u32,
    /// Decimals in which the series is quoted (`3` means multiples of `0.001`), if the source said so.
    pub pip_size: Option<u8>,
    /// Rows dropped because an equal one was in the same answer.
    pub n_duplicates: u32,
    /// Rows refused because another price for the same epoch came first in the same answer.
    pub conflicts: Vec<RowConflict<R>>,
    /// Epochs of rows in good form that cannot be records of the series, ascending: a candle that
    /// does not open on a multiple of its width. The rows are left out; what they stand for is
    /// neither answered nor silent.
    pub unusable: Vec<Epoch>,
}

impl<R: Record> Page<R> {
    /// Tells whether the records strictly ascend by epoch, as promised.
    pub fn is_ascending(&self) -> bool {
        self.records.is_sorted_by(|a, b| a.epoch() < b.epoch())
    }

    /// Tells whether every row lies inside `range`.
    pub fn fits(&self, range: EpochRange) -> bool {
        self.ends().all(|epoch| range.contains(epoch))
    }

    /// Tells whether the source may have sent its newest data instead of what was asked: none of
    /// it older than `asked`, and more than one row newer, unless that is all there is. One row that
    /// does not belong among others that do is a fault of the answer and says nothing.
    pub fn is_substitution(&self, asked: EpochRange) -> bool {
        let n_newer =
            self.records.iter().rev().take_while(|row| row.epoch() >= asked.end()).count();
        let is_older = self.ends().any(|at| at < asked.start());
        !is_older && n_newer > usize::from(n_newer < self.records.len())
    }

    /// First and last epoch of the records, and of the rows that cannot be used: both ascend, so
    /// these speak for all.
    fn ends(&self) -> impl Iterator<Item = Epoch> {
        let records = [self.records.first(), self.records.last()].into_iter().flatten();
        let unusable = [self.unusable.first(), self.unusable.last()].into_iter().flatten();
        records.map(Record::epoch).chain(unusable.copied())
    }
}

/// Serves one kind of record, one page at a time.
pub trait MarketDataSource<R: Record>: Send + Sync + 'static {
    /// Returns the newest records inside `request.range`, oldest first, at most `request.limit` of them.
    ///
    /// # Errors
    ///
    /// [`SourceError::kind`] says whether asking again can help.
    fn fetch_page(
        &self,
        request: &PageRequest,
    ) -> impl Future<Output = Result<Page<R>, SourceError>> + Send;
}

/// Tells what the source knows of itself.
pub trait SourceInfo: Send + Sync + 'static {
    /// The source's own clock: the only "now" that decides anything.
    ///
    /// # Errors
    ///
    /// As [`MarketDataSource::fetch_page`].
    fn server_time(&self) -> impl Future<Output = Result<Epoch, SourceError>> + Send;

    /// What is offered at present.
    ///
    /// # Errors
    ///
    /// As [`MarketDataSource::fetch_page`].
    fn instruments(&self) -> impl Future<Output = Result<Vec<Instrument>, SourceError>> + Send;

    /// When markets are open on one UTC day, of which `day` is the first second. Optional: a
    /// source that does not know tells of none. A symbol whose hours cannot be read is left out.
    ///
    /// # Errors
    ///
    /// As [`MarketDataSource::fetch_page`]. Nobody needs the hours, so nobody asks again.
    fn trading_times(
        &self,
        day: Epoch,
    ) -> impl Future<Output = Result<Vec<TradingDay>, SourceError>> + Send {
        let _ = day;
        std::future::ready(Ok(Vec::new()))
    }
}

/// One symbol on offer.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// How it is asked for.
    pub symbol: Symbol,
    /// Its name for people, if the source gives one.
    pub name: Option<String>,
    /// Market category, for instance `synthetic_index` or `forex`; empty if the source gives none.
    pub market: String,
    /// Part of the market, for instance `random_index`, if the source gives one.
    pub submarket: Option<String>,
    /// Decimals in which it is quoted, if the source says so.
    pub pip_size: Option<u8>,
    /// Whether its exchange is open now, if the source says so.
    pub is_exchange_open: Option<bool>,
    /// Whether trading is suspended, if the source says so.
    pub is_suspended: Option<bool>,
    /// Whether its market is open now.
    pub is_open: bool,
    /// Usual milliseconds between two ticks, for estimates before any were seen; never for proof.
    pub usual_interval_millis: Option<i64>,
}

impl Instrument {
    /// Tells whether it is quoted day and night, week-ends included.
    ///
    /// Source: the symbol table of the API notes; only synthetic indices promise it. Baskets of
    /// currencies and metals (submarket `forex_basket`) are listed among them, yet keep the hours
    /// of what they are made of.
    pub fn is_continuous(&self) -> bool {
        let is_basket = self.submarket.as_ref().is_some_and(|name| name.ends_with("_basket"));
        (self.market == "synthetic_index" || self.market == "synthetics") && !is_basket
    }
}

/// What can be done about a failed request; callers branch on this, never on text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Too frequent: everybody pauses, then asks slower.
    RateLimited,
    /// No connection, a lost one, or no answer in time.
    Transport,
    /// The source failed on its side; asking again may help.
    ServerFault,
    /// The answer was not in good form; asking again may help.
    Malformed,
    /// The answer was too large: ask once more, then for less.
    TooLarge,
    /// An error the client does not know: tried twice, then final.
    Unknown,
    /// The request is wrong and stays wrong.
    Rejected,
    /// The symbol does not exist.
    UnknownSymbol,
    /// The account, token or application is refused.
    Unauthorized,
    /// The market is closed (only live subscriptions say so).
    MarketClosed,
    /// The caller gave up: the run is ending.
    Cancelled,
    /// The source was away for longer than the run may wait.
    Outage,
    /// The run's own budget of requests or time is used up.
    BudgetSpent,
}

impl ErrorKind {
    /// Tells whether asking the same again can help.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Transport
                | Self::ServerFault
                | Self::Malformed
                | Self::TooLarge
                | Self::Unknown
        )
    }
}

/// A request that was not answered.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", told(*attempts))]
pub struct SourceError {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What was being done and what went wrong; safe to print, without secrets.
    pub message: String,
    /// How many attempts were made; 1 below the retry wrapper.
    pub attempts: u32,
    /// Identifies the connection that was lost, so that one lost connection counts once however
    /// many calls it carried; `None` if no shared connection is to blame.
    pub connection: Option<u64>,
    /// How long the source asked to wait, if it did.
    pub retry_after: Option<Duration>,
    /// What was wrong with the answer, if there was one and it was thrown away.
    pub defect: Option<Defect>,
    /// The cause beneath, if another library reported it.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// One attempt goes without saying.
fn told(attempts: u32) -> String {
    if attempts > 1 { format!(" (after {attempts} attempts)") } else { String::new() }
}

impl SourceError {
    /// Makes an error after one attempt, without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            attempts: 1,
            connection: None,
            retry_after: None,
            defect: None,
            cause: None,
        }
    }

    /// Says what was wrong with the answer.
    #[must_use]
    pub fn with_defect(mut self, defect: Defect) -> Self {
        self.defect = Some(defect);
        self
    }

    /// Adds the cause beneath.
    #[must_use]
    pub fn with_cause(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.cause = Some(cause.into());
        self
    }
}
