//! `ticks_history`: which window a request really gets, and its rows.
//!
//! Every trap of the real API that a downloader meets is here: newest rows first, the silent cap,
//! the wall behind which the newest data is substituted, and bounds that cut candles.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::candles::Grid;
use super::config::Straddle;
use super::fault::Fault;
use super::hours::{DAY, Hours};
use super::market::{InstrumentId, Market};
use super::page::{Asked, Rows};
use super::quirk::{Quirk, Quirks};
use super::reply::ApiError;

/// Rows when `count` is absent. Source: `ticks_history` request schema.
const DEFAULT_COUNT: i64 = 1000;

/// A `ticks_history` request that passed its schema.
#[derive(Debug, Clone)]
pub(super) struct HistoryRequest {
    pub(super) symbol: String,
    pub(super) start: Option<i64>,
    /// `None` is `latest`.
    pub(super) end: Option<i64>,
    pub(super) count: Option<i64>,
    pub(super) candles: bool,
    pub(super) granularity: Option<i64>,
    pub(super) adjust: bool,
    pub(super) subscribe: bool,
}

impl HistoryRequest {
    /// Reads what is there; members of a wrong type read as absent, which the schema has excluded.
    pub(super) fn read(body: &Map<String, Value>) -> Self {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let integer = |name: &str| body.get(name).and_then(Value::as_i64);
        Self {
            symbol: text("ticks_history").unwrap_or_default().to_owned(),
            start: integer("start"),
            end: text("end").and_then(|end| end.parse().ok()),
            count: integer("count"),
            candles: text("style") == Some("candles"),
            granularity: integer("granularity"),
            adjust: integer("adjust_start_time") == Some(1),
            subscribe: integer("subscribe") == Some(1),
        }
    }

    /// Candle width in seconds; a minute when absent.
    pub(super) fn width(&self) -> i64 {
        self.granularity.unwrap_or(60)
    }
}

/// What the exchange imposes on a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) now: i64,
    /// Oldest second on offer.
    pub(super) wall: i64,
    /// Most rows of one answer.
    pub(super) cap: u32,
    pub(super) straddle: Straddle,
    pub(super) quirks: Quirks,
}

/// The seconds a request is answered for, both ends included; empty when `from > to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Decides the window of a request.
pub(super) fn window(
    request: &HistoryRequest,
    terms: &Terms,
    hours: Hours,
    grid: Grid,
) -> Result<Window, ApiError> {
    let Terms { now, wall, .. } = *terms;
    let request = adjusted(request, now, hours);
    let end = request.end.unwrap_or(now);
    // Candles from before the wall are not on offer, so none begins in the middle there.
    let offered = if request.candles { grid.ceil(wall) } else { wall };
    let newest = Window { from: offered, to: now };
    let Some(start) = request.start else {
        let from = default_start(&request, now, grid).max(offered);
        let is_old = end < from;
        return Ok(if is_old { newest } else { Window { from, to: end.min(now) } });
    };
    if start >= end {
        let message = format!("Start time {start} must be before end time {end}");
        return Err(ApiError::new("InvalidStartEnd", message));
    }
    let straddles = start < wall && terms.straddle == Straddle::Substitute;
    if end < wall || straddles {
        if terms.quirks.has(Quirk::WallError) {
            let message = format!("Start time {start} is too far in the past");
            return Err(ApiError::new("InvalidStartEnd", message));
        }
        let nothing = Window { from: now, to: now - 1 };
        return Ok(if terms.quirks.has(Quirk::WallEmpty) { nothing } else { newest });
    }
    let from = if start < wall { offered } else { start };
    Ok(Window { from, to: end.min(now) })
}

/// Where a request without `start` begins: a day ago, or for candles with `count` and `granularity`
/// as far back as there is anything.
fn default_start(request: &HistoryRequest, now: i64, grid: Grid) -> i64 {
    let is_open_ended = request.candles && request.count.is_some() && request.granularity.is_some();
    let day_ago = if request.candles { grid.floor(now - DAY) } else { now - DAY };
    if is_open_ended { 0 } else { day_ago }
}

/// `adjust_start_time`: when the market is closed at the end, the whole window moves back to its last second.
fn adjusted(request: &HistoryRequest, now: i64, hours: Hours) -> Cow<'_, HistoryRequest> {
    let end = request.end.unwrap_or(now).min(now);
    let last = hours.last_open(end);
    if !request.adjust || last == end {
        return Cow::Borrowed(request);
    }
    let start = request.start.map(|start| (start - (end - last)).max(0));
    Cow::Owned(HistoryRequest { start, end: Some(last), ..request.clone() })
}

/// The member of an answer without rows: its name and its JSON.
pub(super) fn nothing(request: &HistoryRequest) -> (&'static str, &'static str) {
    match request.candles {
        true => ("candles", "[]"),
        false => ("history", r#"{"prices":[],"times":[]}"#),
    }
}

/// How many rows a request may get.
fn limit(request: &HistoryRequest, terms: &Terms) -> Result<usize, ApiError> {
    let cap = i64::from(terms.cap);
    let asked = request.count.unwrap_or(DEFAULT_COUNT);
    if terms.quirks.has(Quirk::CountRefused) && asked > 5000 {
        let message = "Input validation failed: count";
        return Err(ApiError::about("InputValidationFailed", message, "count"));
    }
    let asked = if terms.quirks.has(Quirk::CountIgnored) { cap } else { asked.clamp(0, cap) };
    Ok(usize::try_from(asked).unwrap_or(0))
}

/// The window without the ends that a quirk leaves out.
fn with_bounds(mut window: Window, request: &HistoryRequest, quirks: Quirks) -> Window {
    if !request.candles && quirks.has(Quirk::ExclusiveStart) && request.start == Some(window.from) {
        window.from += 1;
    }
    if !request.candles && quirks.has(Quirk::ExclusiveEnd) && request.end == Some(window.to) {
        window.to -= 1;
    }
    window
}

/// Returns the rows of a request, oldest first unless a quirk says otherwise.
pub(super) fn rows(
    market: &Market,
    id: InstrumentId,
    request: &HistoryRequest,
    terms: &Terms,
    fault: Option<Fault>,
) -> Result<Rows, ApiError> {
    let quirks = terms.quirks;
    let hours = market.instrument(id).hours;
    let grid = market.grid(id, request.width());
    let mut window = with_bounds(window(request, terms, hours, grid)?, request, quirks);
    if quirks.has(Quirk::ClosedError) && hours.is_closed_throughout(window.from, window.to) {
        let message = "This market is presently closed.";
        return Err(ApiError::about("MarketIsClosed", message, "symbol"));
    }
    if fault == Some(Fault::Substitute) {
        window = Window { from: terms.wall, to: terms.now };
    }
    window.to = window.to.min(market.life(id).horizon(terms.now));
    let limit = limit(request, terms)?;
    // Oldest first is the newest of the oldest part, with room for holes, cut at its other end.
    let taken = if quirks.has(Quirk::OldestFirst) {
        let unit = if request.candles { request.width() } else { 2 };
        window.to = window.to.min(window.from + 4 * unit * i64::try_from(limit).unwrap_or(0));
        usize::MAX
    } else {
        limit
    };
    let mut rows = if request.candles {
        let Grid { width, .. } = grid;
        if quirks.has(Quirk::WholeCandles) {
            window.from = grid.floor(window.from);
        }
        let mut bars = market.newest_candles(id, window.from, window.to, width, terms.now, taken);
        if quirks.has(Quirk::NoOpenCandle) {
            bars.retain(|bar| bar.epoch + width <= terms.now);
        }
        // A candle cut by the start is named by the start, not by its grid.
        if let Some(first) = bars.first_mut() {
            first.epoch = first.epoch.max(window.from);
        }
        Rows::Candles(bars)
    } else {
        Rows::Ticks(market.newest_ticks(id, window.from, window.to, terms.now, taken))
    };
    rows.truncate(limit);
    if quirks.has(Quirk::Descending) {
        rows.reverse();
    }
    if let Some(fault) = fault {
        let asked = Asked { start: request.start, end: request.end, width: grid.width };
        rows.spoil(fault, asked, terms.now);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_773_576_000;
    const TERMS: Terms = Terms {
        now: NOW,
        wall: NOW - 365 * DAY,
        cap: 1000,
        straddle: Straddle::YoungerPart,
        quirks: Quirks::NONE,
    };

    fn request(json: &str) -> HistoryRequest {
        let Value::Object(body) = serde_json::from_str(json).unwrap() else { panic!("no object") };
        HistoryRequest::read(&body)
    }

    fn check(json: &str, terms: &Terms, expected: (i64, i64)) {
        let window = window(&request(json), terms, Hours::Always, Grid::plain(60)).unwrap();
        assert_eq!((window.from, window.to), expected, "{json}");
    }

    #[test]
    fn a_window_inside_is_taken_as_asked() {
        let (a, b) = (NOW - 5000, NOW - 100);
        check(&format!(r#"{{"start":{a},"end":"{b}"}}"#), &TERMS, (a, b));
        check(&format!(r#"{{"start":{a},"end":"latest"}}"#), &TERMS, (a, NOW));
        let later = NOW + 100;
        check(&format!(r#"{{"start":{a},"end":"{later}"}}"#), &TERMS, (a, NOW));
    }

    #[test]
    fn behind_the_wall_the_newest_is_substituted() {
        let (a, b) = (TERMS.wall - 500, TERMS.wall - 1);
        check(&format!(r#"{{"start":{a},"end":"{b}"}}"#), &TERMS, (TERMS.wall, NOW));
        let b = TERMS.wall + 50;
        let across = format!(r#"{{"start":{a},"end":"{b}"}}"#);
        check(&across, &TERMS, (TERMS.wall, b));
        let substitute = Terms { straddle: Straddle::Substitute, ..TERMS };
        check(&across, &substitute, (TERMS.wall, NOW));
    }

    #[test]
    fn without_start_ticks_reach_back_a_day() {
        check(r#"{"end":"latest"}"#, &TERMS, (NOW - DAY, NOW));
        let old = NOW - DAY - 1;
        check(&format!(r#"{{"end":"{old}"}}"#), &TERMS, (TERMS.wall, NOW));
        check(
            r#"{"end":"latest","style":"candles","count":5,"granularity":60}"#,
            &TERMS,
            (TERMS.wall, NOW),
        );
    }

    #[test]
    fn the_start_must_be_before_the_end() {
        for json in [r#"{"start":5,"end":"5"}"#, r#"{"start":6,"end":"5"}"#] {
            let error = window(&request(json), &TERMS, Hours::Always, Grid::plain(60)).unwrap_err();
            assert_eq!(error.code, "InvalidStartEnd");
        }
    }

    #[test]
    fn adjusting_moves_the_window_out_of_a_closed_market() {
        // Saturday 2026-03-14 12:00; the market closed on Friday at 21:00, 15 hours before.
        let saturday = NOW - DAY;
        let json =
            format!(r#"{{"start":{},"end":"{saturday}","adjust_start_time":1}}"#, saturday - 600);
        let moved = window(&request(&json), &TERMS, Hours::Forex, Grid::plain(60)).unwrap();
        let last = saturday - 15 * 3600 - 1;
        assert_eq!((moved.from, moved.to), (last - 600, last));
    }
}
