//! The rows of a history answer as JSON, whole or spoiled on purpose.

use std::fmt::Write;

use super::candles::Bar;
use super::fault::Fault;
use super::price::{Row, full, push_short};

/// What was asked for, as far as a spoiled row has to lie beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// `None` is the first row.
    pub(super) start: Option<i64>,
    /// `None` is now.
    pub(super) end: Option<i64>,
    /// Width of a bar, and 1 for ticks.
    pub(super) width: i64,
}

/// The rows of one answer, oldest first.
#[derive(Debug, Clone)]
pub(super) enum Rows {
    Ticks(Vec<Row>),
    Candles(Vec<Bar>),
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ticks(rows) => rows.len(),
            Self::Candles(bars) => bars.len(),
        }
    }

    /// Keeps at most so many rows, the first ones.
    pub(super) fn truncate(&mut self, limit: usize) {
        match self {
            Self::Ticks(rows) => rows.truncate(limit),
            Self::Candles(bars) => bars.truncate(limit),
        }
    }

    /// Turns the order around.
    pub(super) fn reverse(&mut self) {
        match self {
            Self::Ticks(rows) => rows.reverse(),
            Self::Candles(bars) => bars.reverse(),
        }
    }

    /// Spoils the rows; faults of another stage, and of an empty answer, change nothing.
    ///
    pub(super) fn spoil(&mut self, fault: Fault, asked: Asked, now: i64) {
        match self {
            Self::Ticks(rows) => spoil(rows, fault, Asked { width: 1, ..asked }, now),
            Self::Candles(bars) => spoil(bars, fault, asked, now),
        }
    }

    /// The member of the answer: its name and its JSON.
    pub(super) fn render(&self, decimals: u8, fault: Option<Fault>) -> (&'static str, String) {
        match self {
            Self::Ticks(rows) => ("history", render_ticks(rows, decimals, fault)),
            Self::Candles(bars) => ("candles", render_candles(bars, decimals, fault)),
        }
    }
}

/// What the faults need to know of a row.
trait Spoilable: Copy {
    fn epoch(self) -> i64;
    fn moved_to(self, epoch: i64) -> Self;
    fn repriced(self) -> Self;
}

impl Spoilable for Row {
    fn epoch(self) -> i64 {
        self.epoch
    }

    fn moved_to(self, epoch: i64) -> Self {
        Self { epoch, ..self }
    }

    fn repriced(self) -> Self {
        Self { pips: self.pips + 1, ..self }
    }
}

impl Spoilable for Bar {
    fn epoch(self) -> i64 {
        self.epoch
    }

    fn moved_to(self, epoch: i64) -> Self {
        Self { epoch, ..self }
    }

    fn repriced(self) -> Self {
        let close = self.close + 1;
        Self { close, high: self.high.max(close), ..self }
    }
}

fn spoil<T: Spoilable>(rows: &mut Vec<T>, fault: Fault, asked: Asked, now: i64) {
    let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return };
    let middle = rows.len() / 2;
    match fault {
        Fault::ShortPage => {
            let kept = (rows.len() / 3).max(1);
            rows.drain(..rows.len() - kept);
        }
        Fault::NewestPart => {
            let kept = (rows.len() * 3 / 5).max(1);
            rows.drain(..rows.len() - kept);
        }
        Fault::Silent => rows.clear(),
        Fault::Unsorted => rows.swap(0, middle),
        Fault::DuplicateRows => rows.insert(middle, rows[middle]),
        Fault::ConflictingRows => rows.insert(middle + 1, rows[middle].repriced()),
        Fault::PastRows => {
            // An hour is a multiple of every narrower candle, so only its time is wrong.
            let from = asked.start.unwrap_or(first.epoch());
            rows.insert(0, first.moved_to(from - 3600));
        }
        Fault::RowBefore => {
            let from = asked.start.unwrap_or(first.epoch());
            rows.insert(0, first.moved_to(from - asked.width));
        }
        Fault::RowBehind => {
            rows.push(last.moved_to(asked.end.unwrap_or(now) + asked.width));
        }
        Fault::FutureRows => rows.push(last.moved_to((now + 3600) / 3600 * 3600)),
        _ => {}
    }
}

/// Which text takes the place of a price, if one of the price faults is on.
fn push_price(out: &mut String, pips: i64, decimals: u8, fault: Option<Fault>) {
    match fault {
        Some(Fault::NullPrice) => out.push_str("null"),
        Some(Fault::NanPrice) => out.push_str("NaN"),
        Some(Fault::NegativePrice) => push_short(out, -pips, decimals),
        Some(Fault::ZeroPrice) => out.push('0'),
        Some(Fault::InfinitePrice) => out.push_str("1e999"),
        Some(Fault::HugePrice) => out.push_str("123456789012345678901234567890"),
        Some(Fault::LongPrice) => {
            let point = if decimals == 0 { "." } else { "" };
            let _ = write!(out, "{}{point}{:0300}", full(pips, decimals), 0);
        }
        Some(Fault::StringPrices) => {
            let _ = write!(out, "\"{}\"", full(pips, decimals));
        }
        _ => push_short(out, pips, decimals),
    }
}

/// Which text takes the place of an epoch, if one of the epoch faults is on.
fn push_epoch(out: &mut String, epoch: i64, fault: Option<Fault>) {
    let _ = match fault {
        Some(Fault::StringEpochs) => write!(out, "\"{epoch}\""),
        Some(Fault::FloatEpochs) => write!(out, "{epoch}.0"),
        Some(Fault::HalfEpoch) => write!(out, "{epoch}.5"),
        Some(Fault::NegativeEpoch) => write!(out, "-{epoch}"),
        Some(Fault::NullEpoch) => write!(out, "null"),
        _ => write!(out, "{epoch}"),
    };
}

/// The faults that change one row only change the one in the middle.
fn fault_at(fault: Option<Fault>, index: usize, len: usize) -> Option<Fault> {
    let single = matches!(
        fault,
        Some(
            Fault::NullPrice
                | Fault::NanPrice
                | Fault::NegativePrice
                | Fault::ZeroPrice
                | Fault::InfinitePrice
                | Fault::HugePrice
                | Fault::HalfEpoch
                | Fault::NegativeEpoch
                | Fault::NullEpoch
        )
    );
    if single && index != len / 2 { None } else { fault }
}

fn render_ticks(rows: &[Row], decimals: u8, fault: Option<Fault>) -> String {
    let mut out = String::with_capacity(rows.len() * 24 + 32);
    let n_prices = match fault {
        Some(Fault::UnequalLengths) => rows.len().saturating_sub(1),
        _ => rows.len(),
    };
    out.push('{');
    if fault != Some(Fault::MissingPrices) {
        out.push_str("\"prices\":[");
        for (index, row) in rows[..n_prices].iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_price(&mut out, row.pips, decimals, fault_at(fault, index, rows.len()));
        }
        out.push_str("],");
    }
    out.push_str("\"times\":[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_epoch(&mut out, row.epoch, fault_at(fault, index, rows.len()));
    }
    out.push_str("]}");
    out
}

fn render_candles(bars: &[Bar], decimals: u8, fault: Option<Fault>) -> String {
    let mut out = String::with_capacity(bars.len() * 96 + 2);
    out.push('[');
    for (index, bar) in bars.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let fault = fault_at(fault, index, bars.len());
        out.push('{');
        // A candle has no lengths to differ; losing one price is the same kind of damage.
        let is_cut = fault == Some(Fault::UnequalLengths) && index + 1 == bars.len();
        if !is_cut && fault != Some(Fault::MissingPrices) {
            out.push_str("\"close\":");
            push_price(&mut out, bar.close, decimals, fault);
            out.push(',');
        }
        out.push_str("\"epoch\":");
        push_epoch(&mut out, bar.epoch, fault);
        let prices = [("high", bar.high), ("low", bar.low), ("open", bar.open)];
        let n_prices = if fault == Some(Fault::MissingPrices) { 0 } else { prices.len() };
        for (name, pips) in &prices[..n_prices] {
            let _ = write!(out, ",\"{name}\":");
            push_price(&mut out, *pips, decimals, fault);
        }
        out.push('}');
    }
    out.push(']');
    out
}
