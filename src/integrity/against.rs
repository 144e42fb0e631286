//! Ticks against candles: each bar rebuilt from the ticks of its symbol and held against the bar
//! the source sent.
//!
//! One streaming pass over both files side by side; memory does not grow with them. Only bars
//! whose every second was answered (or inherited) in both files are judged.
//!
//! Two conventions are known of the tick that falls on the border of two bars: it *opens* the
//! bar named by its epoch, or it *closes* the bar before. Nobody says which one the source
//! follows, so both are tried, and the one that more bars keep counts for the whole file. A bar
//! that only the tick at one of its borders parts from its ticks is an edge difference.

use serde::Serialize;

use crate::domain::{
    Advice, Candle, Epoch, EpochRange, Finding, FindingKind, Kind, PartitionKey, RangeSet, Series,
    Tick,
};
use crate::format::Layout;

use super::checks::rows::has_rows;
use super::checks::shown;
use super::checks::tally::Tally;
use super::doubted::Doubted;
use super::reader::{ParquetFile, ReadError, RowBatches};
use super::record::CheckedRecord;

/// Findings of one kind that name their place; the others are counted.
const MAX_NAMED: usize = 5;

/// Which bar a tick on the border of two belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BorderTick {
    /// To the bar it is the first second of.
    Opens,
    /// To the bar before.
    Closes,
}

/// How the candles of a month agree with its ticks; counts of bars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgainstTicks {
    /// Bars judged.
    pub bars: u64,
    /// Which bar border ticks belong to, as far as the file tells.
    pub border_tick: BorderTick,
    /// Bars that are exactly what their ticks make them.
    pub equal: u64,
    /// Bars that differ by a tick on one of their borders alone.
    pub edge: u64,
    /// Bars that show prices beyond those of their ticks.
    pub ticks_missing: u64,
    /// Bars in which there is no tick at all.
    pub without_ticks: u64,
    /// Bars with ticks and no candle.
    pub candle_missing: u64,
    /// Bars that name other prices than their ticks.
    pub different: u64,
}

/// What the comparison of one month gave.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// The counts; `None` if the files could not be compared.
    pub(crate) counts: Option<AgainstTicks>,
    pub(crate) findings: Vec<Finding>,
    /// The seconds whose ticks contradict the candles.
    pub(crate) of_ticks: RangeSet,
    /// The seconds whose candles contradict the ticks.
    pub(crate) of_candles: RangeSet,
}

/// Compares the candles of a partition with the ticks of the same month; `place` names the candles
/// in findings. Nothing is said where there are no ticks or the file is another tool's.
pub(crate) fn compare(layout: &Layout, place: &str, candles: &PartitionKey) -> Compared {
    let Kind::Candles(granularity) = candles.series.kind else { return Compared::default() };
    let series = Series { symbol: candles.series.symbol.clone(), kind: Kind::Ticks };
    let ticks = PartitionKey { series, month: candles.month };
    let (candles, ticks) = (layout.parquet(candles), layout.parquet(&ticks));
    let opened =
        ParquetFile::open(&candles).and_then(|candles| Ok((candles, ParquetFile::open(&ticks)?)));
    // What is wrong with either file is said where that file is checked.
    let Ok((candles, ticks)) = opened else { return Compared::default() };
    let (Some(candles_answered), Some(ticks_answered)) = (answered(&candles), answered(&ticks))
    else {
        return Compared::default();
    };
    let both = ticks_answered
        .iter()
        .flat_map(|range| candles_answered.within(range).iter().collect::<Vec<_>>());
    let mut comparison = Comparison::new(granularity.secs(), both.collect());
    let done = Rows::open(candles)
        .and_then(|candles| Ok((candles, Rows::open(ticks)?)))
        .and_then(|(candles, ticks)| comparison.run(candles, Bars::new(ticks, granularity.secs())));
    match done {
        Ok(()) => comparison.finish(place),
        Err(stop) => {
            let expected = "ticks and candles that can be read side by side";
            let finding = Finding::info(FindingKind::CandleMismatch, place, expected, shown(stop));
            let findings = vec![finding.advise(Advice::OthersFirst)];
            Compared { findings, ..Compared::default() }
        }
    }
}

fn answered(file: &ParquetFile) -> Option<RangeSet> {
    Some(file.footer().ok()?.coverage.select(has_rows))
}

/// Why two files cannot be compared.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("not compared: {0}")]
    Unreadable(#[from] ReadError),
    #[error("not compared: rows out of order at {0}")]
    Disorder(Epoch),
    #[error("not compared: a candle beside the grid at {0}")]
    Misaligned(Epoch),
}

/// The rows of a file one by one, strictly ascending.
struct Rows<R> {
    batches: RowBatches<R>,
    batch: Vec<R>,
    next: usize,
    last: Option<Epoch>,
}

impl<R: CheckedRecord> Rows<R> {
    fn open(file: ParquetFile) -> Result<Self, Stop> {
        Ok(Self { batches: file.rows()?, batch: Vec::new(), next: 0, last: None })
    }

    fn next(&mut self) -> Result<Option<R>, Stop> {
        if self.next == self.batch.len() {
            self.batch.clear();
            self.next = 0;
            let Some(rows) = self.batches.next_rows()? else { return Ok(None) };
            self.batch.extend_from_slice(rows);
        }
        let Some(row) = self.batch.get(self.next).copied() else { return Ok(None) };
        self.next += 1;
        if self.last.is_some_and(|last| row.epoch() <= last) {
            return Err(Stop::Disorder(row.epoch()));
        }
        self.last = Some(row.epoch());
        Ok(Some(row))
    }
}

/// Open, high, low and close of some ticks in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Prices {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
}

impl Prices {
    fn of(quote: f64) -> Self {
        Self { open: quote, high: quote, low: quote, close: quote }
    }

    fn of_candle(candle: &Candle) -> Self {
        Self { open: candle.open, high: candle.high, low: candle.low, close: candle.close }
    }

    /// What two stretches are together; either may be silent.
    fn joined(first: Option<Self>, then: Option<Self>) -> Option<Self> {
        let (Some(first), Some(then)) = (first, then) else { return first.or(then) };
        Some(Self {
            open: first.open,
            high: first.high.max(then.high),
            low: first.low.min(then.low),
            close: then.close,
        })
    }

    /// Tells whether `other` reaches nowhere beyond these prices.
    fn reach_around(&self, other: &Self) -> bool {
        let within = |price: f64| self.low <= price && price <= self.high;
        within(other.low) && within(other.high)
    }
}

/// The ticks of one bar, those on its borders apart.
#[derive(Debug, Clone, Copy, PartialEq)]
struct TickBar {
    start: Epoch,
    /// The tick in the first second.
    at_start: Option<f64>,
    /// Those after it and before the next bar.
    inner: Option<Prices>,
    /// The tick in the first second of the next bar.
    at_end: Option<f64>,
    n_ticks: i64,
}

impl TickBar {
    fn new(start: Epoch) -> Self {
        Self { start, at_start: None, inner: None, at_end: None, n_ticks: 0 }
    }

    fn add(&mut self, tick: Tick) {
        let quote = Some(Prices::of(tick.quote));
        if tick.epoch == self.start {
            self.at_start = Some(tick.quote);
        } else {
            self.inner = Prices::joined(self.inner, quote);
        }
        self.n_ticks += 1;
    }

    fn prices(&self, with_start: bool, with_end: bool) -> Option<Prices> {
        let start = self.at_start.filter(|_| with_start).map(Prices::of);
        let end = self.at_end.filter(|_| with_end).map(Prices::of);
        Prices::joined(Prices::joined(start, self.inner), end)
    }
}

/// Groups ticks into bars.
struct Bars {
    ticks: Rows<Tick>,
    ahead: Option<Tick>,
    is_begun: bool,
    width: i64,
    /// The shortest distance between two ticks so far: no bar can hold more than `width` of them.
    closest: i64,
}

impl Bars {
    fn new(ticks: Rows<Tick>, width: i64) -> Self {
        Self { ticks, ahead: None, is_begun: false, width, closest: i64::MAX }
    }

    fn next(&mut self) -> Result<Option<TickBar>, Stop> {
        if !self.is_begun {
            self.is_begun = true;
            self.ahead = self.ticks.next()?;
        }
        let Some(first) = self.ahead else { return Ok(None) };
        let mut bar = TickBar::new(first.epoch.floor_to(self.width, 0));
        let end = bar.start.plus(self.width);
        while let Some(tick) = self.ahead.filter(|tick| tick.epoch < end) {
            bar.add(tick);
            self.ahead = self.ticks.next()?;
            if let Some(next) = self.ahead {
                self.closest = self.closest.min(next.epoch.since(tick.epoch));
            }
        }
        bar.at_end = self.ahead.filter(|tick| tick.epoch == end).map(|tick| tick.quote);
        Ok(Some(bar))
    }

    /// Tells whether a bar holds as many ticks as fit into it.
    fn is_full(&self, bar: &TickBar) -> bool {
        bar.n_ticks >= self.width / self.closest.max(1)
    }
}

/// Runs of neighbouring bars with one fault: told as one place each.
struct Holes {
    tally: Tally,
    open: Option<(EpochRange, u64)>,
    width: i64,
    what: &'static str,
}

impl Holes {
    fn new(kind: FindingKind, expected: &str, what: &'static str, width: i64) -> Self {
        Self { tally: Tally::named_errors(kind, expected, MAX_NAMED), open: None, width, what }
    }

    fn note(&mut self, start: Epoch) {
        let Some(bar) = EpochRange::new(start, start.plus(self.width)) else { return };
        self.open = match self.open.take() {
            Some((hole, n)) if hole.end() == start => {
                EpochRange::new(hole.start(), bar.end()).map(|hole| (hole, n + 1))
            }
            other => {
                self.open = other;
                self.close();
                Some((bar, 1))
            }
        };
    }

    fn close(&mut self) {
        if let Some((hole, n)) = self.open.take() {
            let what = self.what;
            let found = || format!("{what} {hole}, {n} bars");
            self.tally.note_until(hole.start(), hole.end(), found);
        }
    }

    fn into_findings(mut self, place: &str, findings: &mut Vec<Finding>) {
        self.close();
        self.tally.into_findings(place, Some(Advice::RepairDeep), findings);
    }
}

struct Comparison {
    width: i64,
    /// What was answered in both files, ascending.
    both: Vec<EpochRange>,
    n_bars: u64,
    n_alike: u64,
    n_opens: u64,
    n_closes: u64,
    n_without_ticks: u64,
    n_candle_missing: u64,
    without_ticks: Holes,
    candle_missing: Holes,
    ticks_missing: Tally,
    different: Tally,
    /// Bars that differ by a border tick under either convention.
    edge_opens: Tally,
    edge_closes: Tally,
    of_ticks: Doubted,
    of_candles: Doubted,
}

impl Comparison {
    fn new(width: i64, both: Vec<EpochRange>) -> Self {
        let warnings = |kind, expected: &str| Tally::warnings(kind, expected, MAX_NAMED);
        let edge = || {
            Tally::infos(FindingKind::CandleMismatch, "the prices of the bar's ticks", MAX_NAMED)
        };
        Self {
            width,
            both,
            n_bars: 0,
            n_alike: 0,
            n_opens: 0,
            n_closes: 0,
            n_without_ticks: 0,
            n_candle_missing: 0,
            without_ticks: Holes::new(
                FindingKind::TicksMissing,
                "ticks where there are candles",
                "no tick from",
                width,
            ),
            candle_missing: Holes::new(
                FindingKind::CandleMissing,
                "candles where there are ticks",
                "no candle from",
                width,
            ),
            ticks_missing: warnings(
                FindingKind::TicksMissing,
                "ticks that reach as far as the candle",
            ),
            different: warnings(FindingKind::CandleMismatch, "the prices of the bar's ticks"),
            edge_opens: edge(),
            edge_closes: edge(),
            of_ticks: Doubted::new(Some(width)),
            of_candles: Doubted::new(Some(width)),
        }
    }

    fn run(&mut self, mut candles: Rows<Candle>, mut bars: Bars) -> Result<(), Stop> {
        let (mut candle, mut bar) = (candles.next()?, bars.next()?);
        loop {
            let at = [candle.map(|c| c.epoch), bar.map(|b| b.start)];
            let Some(start) = at.into_iter().flatten().min() else { return Ok(()) };
            let own_candle = candle.filter(|c| c.epoch == start);
            if start.floor_to(self.width, 0) != start {
                return Err(Stop::Misaligned(start));
            }
            let own_bar = bar.filter(|b| b.start == start);
            // A tick on the far border may be all that a bar without ticks of its own has.
            let lent = bar.filter(|b| b.start == start.plus(self.width)).and_then(|b| b.at_start);
            let ticks = own_bar.unwrap_or(TickBar { at_end: lent, ..TickBar::new(start) });
            if self.is_judged(start) {
                self.judge(own_candle.as_ref(), &ticks, bars.is_full(&ticks));
            }
            if own_candle.is_some() {
                candle = candles.next()?;
            }
            if own_bar.is_some() {
                bar = bars.next()?;
            }
        }
    }

    fn is_judged(&self, start: Epoch) -> bool {
        let Some(bar) = EpochRange::new(start, start.plus(self.width)) else { return false };
        let behind = self.both.partition_point(|range| range.end() <= start);
        self.both.get(behind).is_some_and(|range| range.covers(bar))
    }

    fn judge(&mut self, candle: Option<&Candle>, ticks: &TickBar, is_full: bool) {
        let start = ticks.start;
        let Some(candle) = candle else {
            // A tick on the border alone may belong to the bar before.
            if ticks.inner.is_some() {
                self.n_bars += 1;
                self.n_candle_missing += 1;
                self.candle_missing.note(start);
                self.of_candles.note(start);
            }
            return;
        };
        self.n_bars += 1;
        let candle = Prices::of_candle(candle);
        let is = |with_start, with_end| ticks.prices(with_start, with_end) == Some(candle);
        let (opens, closes) = (is(true, false), is(false, true));
        if opens || closes || is(true, true) || is(false, false) {
            self.n_alike += 1;
            self.n_opens += u64::from(opens);
            self.n_closes += u64::from(closes);
            let found = || "one that leaves out or adds the tick on a border".to_owned();
            if !opens {
                self.edge_opens.note_until(start, start.plus(self.width), found);
            }
            if !closes {
                self.edge_closes.note_until(start, start.plus(self.width), found);
            }
            return;
        }
        let Some(own) = ticks.prices(true, false) else {
            self.n_without_ticks += 1;
            self.without_ticks.note(start);
            self.of_ticks.note(start);
            return;
        };
        let found = || format!("candle {}, ticks {}", text(&candle), text(&own));
        if candle.reach_around(&own) && !is_full {
            self.ticks_missing.note_until(start, start.plus(self.width), found);
            self.of_ticks.note(start);
        } else {
            self.of_ticks.note(start);
            self.of_candles.note(start);
            self.different.note_until(start, start.plus(self.width), found);
        }
    }

    fn finish(self, place: &str) -> Compared {
        let opens = self.n_opens >= self.n_closes;
        let (n_equal, border_tick, edge) = if opens {
            (self.n_opens, BorderTick::Opens, self.edge_opens)
        } else {
            (self.n_closes, BorderTick::Closes, self.edge_closes)
        };
        let counts = AgainstTicks {
            bars: self.n_bars,
            border_tick,
            equal: n_equal,
            edge: self.n_alike - n_equal,
            ticks_missing: self.ticks_missing.count(),
            without_ticks: self.n_without_ticks,
            candle_missing: self.n_candle_missing,
            different: self.different.count(),
        };
        let mut findings = Vec::new();
        self.without_ticks.into_findings(place, &mut findings);
        self.candle_missing.into_findings(place, &mut findings);
        self.ticks_missing.into_findings(place, Some(Advice::RepairDeep), &mut findings);
        self.different.into_findings(place, Some(Advice::RepairDeep), &mut findings);
        edge.into_findings(place, None, &mut findings);
        Compared {
            counts: Some(counts),
            findings,
            of_ticks: self.of_ticks.into_set(),
            of_candles: self.of_candles.into_set(),
        }
    }
}

fn text(prices: &Prices) -> String {
    let Prices { open, high, low, close } = prices;
    format!("{open}/{high}/{low}/{close}")
}

#[cfg(test)]
mod tests;
