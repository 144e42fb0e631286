//! One frame read in every way there is: the entry for fuzzing and for replaying what it found.

use super::convert;
use super::wire;
use crate::domain::{
    Epoch, EpochRange, ErrorKind, Granularity, Kind, Page, PageRequest, Series, SourceError,
    Symbol, Tick,
};

/// The window that pages are read for: ten minutes of `R_100`, ticks or minutes.
const FROM: i64 = 1_773_576_000;

/// Tells what a frame would be to the client: `unreadable`, the name of a good answer with its
/// number of rows, the kind of the error it stands for, or `other`.
///
/// Reads it as every kind of answer, whatever it says it is, so that nothing hides behind the
/// choice.
#[doc(hidden)]
pub fn classify(frame: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(frame) else { return "unreadable".to_owned() };
    let ticks = convert::tick_page(&request(Kind::Ticks), text).map(|page| page.records.len());
    let minutes = request(Kind::Candles(Granularity::MINUTE));
    let candles = convert::candle_page(&minutes, text).map(|page| page.records.len());
    let time = convert::server_time(text).map(|_| 1);
    let symbols = convert::instruments(text).map(|rows| rows.len());
    let tick = convert::live_tick(&symbol(), text).map(|_| 1);
    // The client looks only at the envelope first: whoever waits learns that the rest is broken.
    let is_json = wire::read_envelope(text).is_ok();
    let Some(envelope) = wire::peek(text).ok().filter(|_| is_json) else {
        return "unreadable".to_owned();
    };
    let kind = |outcome: Result<usize, SourceError>| match outcome {
        Ok(n_rows) => format!("{} {n_rows}", envelope.msg_type.as_str()),
        Err(error) => format!("{:?}", error.kind),
    };
    match envelope.msg_type.as_str() {
        _ if envelope.error.is_some() => kind(ticks),
        "history" => kind(ticks),
        "candles" => kind(candles),
        "time" => kind(time),
        "active_symbols" => kind(symbols),
        "tick" => kind(tick),
        "ticks_history" => format!("{:?}", ErrorKind::Malformed),
        _ => "other".to_owned(),
    }
}

/// Reads a page of ticks as it comes: whose it is, then its rows. The entry for measuring.
///
/// # Errors
///
/// If it is no answer to `request`.
#[doc(hidden)]
pub fn read_tick_page(request: &PageRequest, text: &str) -> Result<Page<Tick>, SourceError> {
    std::hint::black_box(wire::peek(text).is_ok());
    convert::tick_page(request, text)
}

fn symbol() -> Symbol {
    "R_100".parse().expect("letters and digits")
}

fn request(kind: Kind) -> PageRequest {
    let range = EpochRange::new(Epoch::new(FROM), Epoch::new(FROM + 600));
    PageRequest {
        series: Series { symbol: symbol(), kind },
        range: range.expect("ten minutes are some"),
        limit: 1000,
    }
}
