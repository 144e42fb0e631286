//! Wire → domain: every quirk of the API is named here, and undone.
//!
//! | quirk | undone by |
//! |---|---|
//! | both ends of a window are inclusive | [`history_request`] asks up to `end - 1` |
//! | a window must not begin where it ends | [`Window`] asks one second of ticks as two |
//! | a candle window that ends on a boundary answers one bar too many | the same: `end = m·g − 1` |
//! | candles with `epoch % g != 0` | [`collect`] leaves them out and names them ([`Page::unusable`]) |
//! | the same row twice | [`collect`] keeps the first, counts equals, reports contradictions |
//! | prices as text | `wire::Number` |
//! | `pip_size` is decimals here, a step there | [`decimals`], [`decimals_of_step`] |
//! | an answer that belongs to another request | [`check_echo`] |
//! | a closed market is an empty success | passes as an empty page |
//! | beyond the wall, the newest data instead | *not* here: [`Page::fits`] tells the pager |

use crate::domain::{
    Candle, Defect, Epoch, ErrorKind, Granularity, Instrument, Kind, Page, PageRequest, Record,
    RowConflict, Series, SourceError, Symbol, Tick,
};

use super::error::{malformed, printable, refused};
use super::skim;
use super::wire::{
    self, ApiError, CandlesAnswer, Echo, HistoryRequest, Number, Seconds, SymbolRow, SymbolsAnswer,
    Text, TickAnswer, TimeAnswer,
};

/// Most decimals believed; the finest series has 5.
const MAX_DECIMALS: u8 = 10;

/// A page request in words, for messages.
pub(super) fn describe(request: &PageRequest) -> String {
    format!("{} from {}", request.series, request.range)
}

/// Writes a page request in the API's terms: half-open `[start, end)` becomes `start` to `end - 1`,
/// both inclusive, which for candles is `k·g` to `m·g − 1`.
///
/// # Errors
///
/// [`ErrorKind::Rejected`] if the API could only refuse or bend it.
pub(super) fn history_request(
    request: &PageRequest,
    req_id: u64,
) -> Result<HistoryRequest<'_>, SourceError> {
    let range = request.range;
    let rejected = |problem: &str| {
        let message = format!("cannot ask for {}: {problem}", describe(request));
        Err(SourceError::new(ErrorKind::Rejected, message))
    };
    if range.start().secs() < 0 || range.last().secs() > Seconds::MAX {
        return rejected("the API knows only seconds between 1970 and 2286");
    }
    if request.limit == 0 {
        return rejected("a page of no records");
    }
    let granularity = request.series.kind.granularity();
    if let Some(width) = granularity.map(Granularity::secs)
        && (range.start().secs() % width != 0 || range.end().secs() % width != 0)
    {
        return rejected("both ends must be multiples of the granularity");
    }
    let window = Window::of(request);
    Ok(HistoryRequest {
        ticks_history: request.series.symbol.as_str(),
        start: range.start().secs(),
        end: window.last.secs().to_string(),
        count: window.count,
        style: style(request.series.kind),
        granularity: granularity.map(u32::from),
        req_id,
    })
}

/// What is asked of the API for a request: the same, unless that is one second.
///
/// Source: the error `InvalidStartEnd`, "start time must be before end time".
struct Window {
    last: Epoch,
    count: u32,
    widened: bool,
}

impl Window {
    fn of(request: &PageRequest) -> Self {
        let widened = request.range.len_secs() == 1;
        let more = u32::from(widened);
        Self {
            last: request.range.last().plus(i64::from(more)),
            count: request.limit.saturating_add(more),
            widened,
        }
    }

    /// Drops the row of the second that only widening asked for.
    fn undo<R: Record>(&self, page: &mut Page<R>) {
        if self.widened {
            page.records.retain(|row| row.epoch() != self.last);
        }
    }
}

/// The API's word for a kind of record; candles answer as `candles`, ticks as `history`.
pub(super) fn style(kind: Kind) -> &'static str {
    match kind {
        Kind::Ticks => "ticks",
        Kind::Candles(_) => "candles",
    }
}

/// Reads a page of ticks.
pub(super) fn tick_page(request: &PageRequest, text: &str) -> Result<Page<Tick>, SourceError> {
    let what = describe(request);
    let answer = match skim::history(text) {
        Some(answer) => answer,
        None => wire::read_history(text).map_err(|error| unreadable(&what, error))?,
    };
    accept(&what, answer.error)?;
    check_echo(request, answer.echo_req.as_ref())?;
    let Some(history) = answer.history else {
        return Err(malformed(Defect::MissingRows, &what, "`history` is missing"));
    };
    let (n_prices, n_times) = (history.prices.len(), history.times.len());
    if n_prices != n_times {
        return Err(malformed(
            Defect::UnequalLengths,
            &what,
            format!("{n_prices} prices for {n_times} times"),
        ));
    }
    let rows = history
        .times
        .iter()
        .zip(&history.prices)
        .map(|(&Seconds(secs), &Number(quote))| Tick { epoch: Epoch::new(secs), quote });
    let pip_size = decimals(&what, answer.pip_size)?;
    collect(request, n_times, rows, pip_size)
}

/// Reads a page of candles.
pub(super) fn candle_page(request: &PageRequest, text: &str) -> Result<Page<Candle>, SourceError> {
    let what = describe(request);
    let answer: CandlesAnswer = read(&what, text)?;
    accept(&what, answer.error)?;
    check_echo(request, answer.echo_req.as_ref())?;
    let Some(candles) = answer.candles else {
        return Err(malformed(Defect::MissingRows, &what, "`candles` is missing"));
    };
    let rows = candles.iter().map(|row| Candle {
        epoch: Epoch::new(row.epoch.0),
        open: row.open.0,
        high: row.high.0,
        low: row.low.0,
        close: row.close.0,
    });
    let pip_size = decimals(&what, answer.pip_size)?;
    collect(request, candles.len(), rows, pip_size)
}

/// Reads the server's clock.
pub(super) fn server_time(text: &str) -> Result<Epoch, SourceError> {
    let what = "server time";
    let answer: TimeAnswer = read(&what, text)?;
    accept(&what, answer.error)?;
    match answer.time {
        Some(Seconds(secs)) if secs > 0 => Ok(Epoch::new(secs)),
        _ => Err(malformed(Defect::MissingRows, &what, "`time` is missing")),
    }
}

/// Reads what is offered. A row without a usable symbol is left out: nothing could ask for it.
pub(super) fn instruments(text: &str) -> Result<Vec<Instrument>, SourceError> {
    let what = "list of symbols";
    let answer: SymbolsAnswer = read(&what, text)?;
    accept(&what, answer.error)?;
    let Some(rows) = answer.active_symbols else {
        return Err(malformed(Defect::MissingRows, &what, "`active_symbols` is missing"));
    };
    Ok(rows.into_iter().filter_map(instrument).collect())
}

/// Reads one live tick of `symbol`.
pub(super) fn live_tick(symbol: &Symbol, text: &str) -> Result<Tick, SourceError> {
    let what = format!("live ticks of {symbol}");
    let answer: TickAnswer = read(&what, text)?;
    accept(&what, answer.error)?;
    let Some(row) = answer.tick else {
        return Err(malformed(Defect::MissingRows, &what, "`tick` is missing"));
    };
    if row.symbol.as_ref().is_some_and(|named| named.as_str() != symbol.as_str()) {
        return Err(malformed(Defect::OtherRequest, &what, "a tick of another symbol"));
    }
    let tick = Tick { epoch: Epoch::new(row.epoch.0), quote: row.quote.0 };
    check_prices(&what, "tick", &tick, price_limit(None))?;
    Ok(tick)
}

fn instrument(row: SymbolRow) -> Option<Instrument> {
    let symbol = row.underlying_symbol.non_empty().or(row.symbol.non_empty())?;
    let symbol: Symbol = match symbol.parse() {
        Ok(symbol) => symbol,
        Err(error) => {
            tracing::debug!(%error, "symbol left out");
            return None;
        }
    };
    let flag = |flag: Option<Number>| flag.map(|Number(value)| value == 1.0);
    let (is_exchange_open, is_suspended) =
        (flag(row.exchange_is_open), flag(row.is_trading_suspended));
    Some(Instrument {
        usual_interval_millis: usual_interval_millis(symbol.as_str()),
        symbol,
        name: row.underlying_symbol_name.non_empty().or(row.display_name.non_empty()),
        market: row.market.0,
        submarket: row.submarket.non_empty(),
        pip_size: row.pip_size.or(row.pip).and_then(|Number(step)| decimals_of_step(step)),
        is_exchange_open,
        is_suspended,
        is_open: is_exchange_open == Some(true) && is_suspended != Some(true),
    })
}

/// Milliseconds between two ticks as the symbol table of the API notes gives them, week-ends of
/// sessions included; serves estimates only.
fn usual_interval_millis(symbol: &str) -> Option<i64> {
    const USUAL: [(&str, i64); 9] = [
        ("R_", 2000),
        ("1HZ", 1000),
        ("BOOM", 1000),
        ("CRASH", 1000),
        ("JD", 1000),
        ("stpRNG", 1000),
        ("frx", 2500),
        ("cry", 1500),
        ("OTC_", 5000),
    ];
    USUAL.iter().find(|(prefix, _)| symbol.starts_with(prefix)).map(|(_, millis)| *millis)
}

/// One deserialization of the whole answer.
pub(super) fn read<'a, T: serde::Deserialize<'a>>(
    what: &dyn std::fmt::Display,
    text: &'a str,
) -> Result<T, SourceError> {
    serde_json::from_str(text).map_err(|error| unreadable(what, error))
}

fn unreadable(what: &dyn std::fmt::Display, error: serde_json::Error) -> SourceError {
    malformed(Defect::Unreadable, what, "it cannot be read").with_cause(Unreadable::from(error))
}

/// Why JSON could not be read. serde repeats values of the answer, which may be anything.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(printable(&error.to_string()))
    }
}

/// Passes an answer that is no error.
pub(super) fn accept(
    what: &dyn std::fmt::Display,
    error: Option<ApiError>,
) -> Result<(), SourceError> {
    match error {
        None => Ok(()),
        Some(ApiError { code, message }) => Err(refused(what, code.as_str(), message.as_str())),
    }
}

/// Notices the answer to another request under this one's number: proved by any field that the
/// server repeats otherwise than it was asked.
fn check_echo(request: &PageRequest, echo: Option<&Echo>) -> Result<(), SourceError> {
    let Some(echo) = echo else { return Ok(()) };
    let Series { symbol, kind } = &request.series;
    let differs = |echoed: &Option<Text>, asked: &str| {
        echoed.as_ref().is_some_and(|Text(text)| !text.is_empty() && text != asked)
    };
    // The same width is meant by ticks with any granularity: the API ignores it there.
    let width = kind.granularity();
    let other = if differs(&echo.ticks_history, symbol.as_str()) {
        "symbol"
    } else if differs(&echo.start, &request.range.start().secs().to_string()) {
        "start"
    } else if differs(&echo.end, &Window::of(request).last.secs().to_string()) {
        "end"
    } else if differs(&echo.style, style(*kind)) {
        "style"
    } else if width.is_some_and(|width| differs(&echo.granularity, &width.to_string())) {
        "granularity"
    } else {
        return Ok(());
    };
    Err(malformed(
        Defect::OtherRequest,
        &describe(request),
        format!("answer to another request, with another {other}"),
    ))
}

/// Checks every row, undoes doubled ones, names misaligned ones, and makes the page.
fn collect<R: Record>(
    request: &PageRequest,
    n_rows: usize,
    rows: impl Iterator<Item = R>,
    pip_size: Option<u8>,
) -> Result<Page<R>, SourceError> {
    let what = describe(request);
    let n_received = u32::try_from(n_rows).unwrap_or(u32::MAX);
    let window = Window::of(request);
    if n_received > window.count {
        let problem = format!("{n_received} rows, at most {} were asked", window.count);
        return Err(malformed(Defect::TooManyRows, &what, problem));
    }
    let name = row_name(request.series.kind);
    let width = request.series.kind.granularity().map(Granularity::secs);
    let limit = price_limit(pip_size);
    let mut page = Page {
        records: Vec::with_capacity(n_rows),
        n_received,
        pip_size,
        n_duplicates: 0,
        conflicts: Vec::new(),
        unusable: Vec::new(),
    };
    let mut newest = Epoch::new(i64::MIN);
    for row in rows {
        if row.epoch() < newest {
            let problem = format!("the {name} of {} comes after one of {newest}", row.epoch());
            return Err(malformed(Defect::Unsorted, &what, problem));
        }
        newest = row.epoch();
        if width.is_some_and(|width| newest.secs() % width != 0) {
            page.unusable.push(newest);
            continue;
        }
        check_prices(&what, name, &row, limit)?;
        add(&mut page, row);
    }
    window.undo(&mut page);
    // A candle that the window cuts is named by the start of the window. Among candles of another
    // grid, one that opens there is such a part and no candle.
    let is_cut = page.records.first().is_some_and(|row| row.epoch() == request.range.start())
        && page.unusable.len() >= page.records.len();
    if is_cut {
        page.unusable.insert(0, page.records.remove(0).epoch());
    }
    Ok(page)
}

fn add<R: Record>(page: &mut Page<R>, row: R) {
    match page.records.last() {
        Some(&kept) if kept.epoch() == row.epoch() && kept == row => page.n_duplicates += 1,
        Some(&kept) if kept.epoch() == row.epoch() => {
            page.conflicts.push(RowConflict { kept, refused: row });
        }
        _ => page.records.push(row),
    }
}

fn check_prices<R: Record>(
    what: &dyn std::fmt::Display,
    name: &str,
    row: &R,
    limit: f64,
) -> Result<(), SourceError> {
    let prices = row.prices();
    // NaN stands for whatever was no number, null included.
    let problem = if !prices.as_ref().iter().all(|price| price.is_finite() && *price > 0.0) {
        "no positive number"
    } else if !prices.as_ref().iter().all(|price| *price < limit) {
        "of more digits than a price can have"
    } else {
        return Ok(());
    };
    let problem = format!("the {name} of {} has a price that is {problem}", row.epoch());
    Err(malformed(Defect::BadPrice, what, problem))
}

/// Prices above it have steps finer than a double can tell apart: no price is like that, and what
/// is stored would not be what was sent.
fn price_limit(pip_size: Option<u8>) -> f64 {
    const EXACT_WHOLE_NUMBERS: f64 = 9_007_199_254_740_992.0; // 2^53
    EXACT_WHOLE_NUMBERS / 10_f64.powi(i32::from(pip_size.unwrap_or(0)))
}

fn row_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ticks => "tick",
        Kind::Candles(_) => "candle",
    }
}

/// `pip_size` of `ticks_history`: a number of decimals, written `2` or `2.0`.
fn decimals(
    what: &dyn std::fmt::Display,
    given: Option<Number>,
) -> Result<Option<u8>, SourceError> {
    let Some(Number(given)) = given else { return Ok(None) };
    match (0..=MAX_DECIMALS).find(|&decimals| f64::from(decimals) == given) {
        Some(decimals) => Ok(Some(decimals)),
        None => Err(malformed(
            Defect::BadDecimals,
            what,
            format!("`pip_size` {given} is no number of decimals"),
        )),
    }
}

/// `pip_size` of v1 `active_symbols` and `pip` of legacy: the smallest step, `0.01` for 2 decimals.
fn decimals_of_step(step: f64) -> Option<u8> {
    // A step above 1 could only be a number of decimals by mistake; the history will tell.
    if !(step > 0.0 && step <= 1.0) {
        return None;
    }
    let is_whole = |value: f64| (value - value.round()).abs() < 1e-6 && value.round() >= 1.0;
    (0..=MAX_DECIMALS).find(|&decimals| is_whole(step * 10f64.powi(i32::from(decimals))))
}

#[cfg(test)]
mod tests;
