//! Which rows of a file of another tool are good, and why the others are not. Pure.
//!
//! A row is set aside only for a reason with a name; each reason becomes one finding with a count
//! and the first and last epoch, however many rows it is about. Good rows keep their values to
//! the last bit.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime};

use crate::domain::{
    Epoch, EpochRange, Finding, FindingKind, FindingState, Granularity, PartitionKey, Record,
    StoreError,
};

use super::foreign::Refusal;

/// A time without a zone may be of any: the widest are 14 hours from UTC.
const WIDEST_ZONE_SECS: i64 = 14 * 3600;

/// Why a row is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Its epoch is null or no number of seconds.
    NoEpoch,
    /// It lies before the month.
    BeforeMonth,
    /// It lies on the first second of the next month, where a range that counts its end puts one.
    NextMonthStart,
    /// It lies later: a source that was asked behind its wall had answered with its newest data.
    AfterMonth,
    /// A candle that opens beside the grid of its granularity.
    OffGrid,
    /// A candle that was not closed yet when the file was saved.
    StillOpen,
    /// A price is null, not finite or not positive.
    Price,
    /// `low ≤ open, close ≤ high` does not hold.
    Shape,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::NoEpoch,
        Self::BeforeMonth,
        Self::NextMonthStart,
        Self::AfterMonth,
        Self::OffGrid,
        Self::StillOpen,
        Self::Price,
        Self::Shape,
    ];

    /// The reason in the file of rows that are left out.
    fn word(self) -> &'static str {
        match self {
            Self::NoEpoch => "no_epoch",
            Self::BeforeMonth => "before_month",
            Self::NextMonthStart => "next_month_start",
            Self::AfterMonth => "after_month",
            Self::OffGrid => "off_grid",
            Self::StillOpen => "still_open",
            Self::Price => "bad_price",
            Self::Shape => "candle_shape",
        }
    }

    /// The kind of its finding, what was expected, and what such rows are.
    fn words(self) -> (FindingKind, &'static str, &'static str) {
        use FindingKind as K;
        match self {
            Self::NoEpoch => (K::ForeignRows, "an epoch in each row", "without a usable epoch"),
            Self::BeforeMonth => {
                (K::ForeignRows, "rows of this month only", "from before the month")
            }
            Self::NextMonthStart => {
                (K::ForeignRows, "rows of this month only", "at the first second of the next month")
            }
            Self::AfterMonth => (
                K::ForeignRows,
                "rows of this month only",
                "from after the month, data of the time of the download",
            ),
            Self::OffGrid => (
                K::Misaligned,
                "candles that open on a multiple of their width",
                "that open beside one",
            ),
            Self::StillOpen => {
                (K::ForeignRows, "closed candles only", "that were still open when saved")
            }
            Self::Price => (K::BadPrice, "positive, finite prices", "with a price that is not one"),
            Self::Shape => {
                (K::CandleShape, "low ≤ open, close ≤ high", "for which that does not hold")
            }
        }
    }
}

/// What a row has to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    month: EpochRange,
    granularity_secs: Option<i64>,
    /// Candles from this epoch on were still open when the file was saved.
    open_from: Option<Epoch>,
}

impl Rules {
    /// The rules of a partition before it is known which of its candles was open.
    pub(super) fn new(key: &PartitionKey) -> Self {
        Self {
            month: key.month.range(),
            granularity_secs: key.series.kind.granularity().map(Granularity::secs),
            open_from: None,
        }
    }

    /// Seconds from one record to the next at the closest.
    pub(super) fn unit_secs(&self) -> i64 {
        self.granularity_secs.unwrap_or(1)
    }

    /// Adds what follows from the last candle of the file and the time at which it was saved.
    ///
    /// Only the last candle can have been open. It is taken for closed if the file was saved
    /// after its end, or, where no time is known that the rows do not contradict, if it is the
    /// last one of the month.
    pub(super) fn with_end(self, last: Option<Epoch>, saved: Option<Saved>) -> Self {
        let (Some(width), Some(last)) = (self.granularity_secs, last) else { return self };
        let end = last.plus(width);
        let is_closed = match saved.filter(|saved| saved.latest() >= last) {
            Some(saved) => saved.earliest() >= end,
            None => end >= self.month.end(),
        };
        Self { open_from: (!is_closed).then_some(last), ..self }
    }

    /// Judges one row. Prices that are null come as NaN.
    pub(super) fn fault(&self, epoch: Option<Epoch>, prices: &[f64]) -> Option<Fault> {
        let Some(epoch) = epoch else { return Some(Fault::NoEpoch) };
        if epoch < self.month.start() {
            return Some(Fault::BeforeMonth);
        }
        if epoch == self.month.end() {
            return Some(Fault::NextMonthStart);
        }
        if epoch > self.month.end() {
            return Some(Fault::AfterMonth);
        }
        if self.granularity_secs.is_some_and(|width| epoch.secs().rem_euclid(width) != 0) {
            return Some(Fault::OffGrid);
        }
        if !prices.iter().all(|price| price.is_finite() && *price > 0.0) {
            return Some(Fault::Price);
        }
        if !has_candle_shape(prices) {
            return Some(Fault::Shape);
        }
        self.open_from.is_some_and(|open| epoch >= open).then_some(Fault::StillOpen)
    }
}

/// Whether four prices are those of a candle; one price has no shape.
fn has_candle_shape(prices: &[f64]) -> bool {
    let [open, high, low, close] = prices else { return true };
    low <= open && low <= close && open <= high && close <= high
}

/// When a file was saved, as its sidecar says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    /// At this moment.
    At(Epoch),
    /// When some clock on earth showed this.
    Somewhere(Epoch),
}

impl Saved {
    /// Reads an ISO-8601 time, with a zone or without one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self::At(Epoch::new(time.timestamp())));
        }
        let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        let naive = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
        Some(Self::Somewhere(Epoch::new(naive.and_utc().timestamp())))
    }

    /// The moment, taken for UTC where no zone is named.
    pub(super) fn moment(self) -> Epoch {
        match self {
            Self::At(moment) | Self::Somewhere(moment) => moment,
        }
    }

    fn earliest(self) -> Epoch {
        match self {
            Self::At(moment) => moment,
            Self::Somewhere(shown) => shown.plus(-WIDEST_ZONE_SECS),
        }
    }

    fn latest(self) -> Epoch {
        match self {
            Self::At(moment) => moment,
            Self::Somewhere(shown) => shown.plus(WIDEST_ZONE_SECS),
        }
    }
}

/// Rows of one sort: how many, and between which epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    pub(super) n_rows: u64,
    ends: Option<(Epoch, Epoch)>,
}

impl Count {
    pub(super) fn add(&mut self, epoch: Option<Epoch>) {
        self.n_rows += 1;
        let Some(epoch) = epoch else { return };
        let (first, last) = self.ends.unwrap_or((epoch, epoch));
        self.ends = Some((first.min(epoch), last.max(epoch)));
    }

    /// `3 rows <what>, <first> to <last>`; nothing for no row.
    fn words(&self, what: &str) -> Option<String> {
        let rows = match self.n_rows {
            0 => return None,
            1 => "1 row".to_owned(),
            n => format!("{n} rows"),
        };
        Some(match self.ends {
            None => format!("{rows} {what}"),
            Some((first, last)) if first == last => format!("{rows} {what}, at {first}"),
            Some((first, last)) => format!("{rows} {what}, {first} to {last}"),
        })
    }
}

/// Rows left out of one file that are written one by one: two pages of the source. Where there are
/// more, the file itself is kept.
pub(super) const MOST_ROWS_WRITTEN: usize = 10_000;

/// What was seen in the rows of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Every row of the file.
    pub(super) n_rows: u64,
    /// Rows in the new file.
    pub(super) kept: Count,
    /// Rows that equal the row before them at their epoch.
    pub(super) equal: Count,
    /// Rows with another price than an earlier row for their epoch.
    pub(super) conflicting: Count,
    /// Good rows that come after a later one.
    pub(super) unsorted: Count,
    faults: [Count; Fault::ALL.len()],
    /// The rows that are set aside, as lines of CSV; no more than [`MOST_ROWS_WRITTEN`].
    pub(super) lines: Vec<String>,
}

impl Tally {
    pub(super) fn note(&mut self, fault: Fault, epoch: Option<Epoch>, prices: &[f64]) {
        self.faults[fault as usize].add(epoch);
        self.write_out(fault.word(), epoch, prices);
    }

    fn note_second(&mut self, is_equal: bool, epoch: Epoch, prices: &[f64]) {
        if is_equal {
            return self.equal.add(Some(epoch));
        }
        self.conflicting.add(Some(epoch));
        self.write_out("conflicting", Some(epoch), prices);
    }

    /// Numbers are written so that they read back the same.
    fn write_out(&mut self, reason: &str, epoch: Option<Epoch>, prices: &[f64]) {
        if self.lines.len() < MOST_ROWS_WRITTEN {
            let epoch = epoch.map(|epoch| epoch.secs().to_string()).unwrap_or_default();
            let prices = prices.iter().map(|price| format!(",{price}"));
            self.lines.push(format!("{reason},{epoch}{}", prices.collect::<String>()));
        }
    }

    /// Rows that are in the old file and whose values are not in the new one.
    pub(super) fn n_set_aside(&self) -> u64 {
        self.faults.iter().map(|count| count.n_rows).sum::<u64>() + self.conflicting.n_rows
    }

    /// First and last epoch of the good rows.
    pub(super) fn ends(&self) -> Option<(Epoch, Epoch)> {
        self.kept.ends
    }

    /// One finding for each sort of row that was there.
    pub(super) fn findings(&self, key: &PartitionKey) -> Vec<Finding> {
        let faults = Fault::ALL.into_iter().filter_map(|fault| {
            let (kind, expected, what) = fault.words();
            let found = self.faults[fault as usize].words(what)?;
            Some(remark(key, kind, expected, format!("{found}; set aside")))
        });
        let others = [
            (
                &self.conflicting,
                FindingKind::ConflictingTick,
                "one price for each epoch",
                "with another price than a row before them",
                "; the first by position stays, the others are set aside",
            ),
            (
                &self.equal,
                FindingKind::DuplicateRow,
                "one row for each epoch",
                "that repeat another one",
                "; one of each stays",
            ),
            (
                &self.unsorted,
                FindingKind::Unsorted,
                "rows that ascend by epoch",
                "behind a later one",
                "; they are put in order",
            ),
        ];
        let others = others.into_iter().filter_map(|(count, kind, expected, what, then)| {
            Some(remark(key, kind, expected, format!("{}{then}", count.words(what)?)))
        });
        faults.chain(others).collect()
    }
}

/// A finding about a file as another tool had left it: settled, for it is not that file any more,
/// and kept, for nothing in the new file could tell it again.
pub(super) fn remark(
    key: &PartitionKey,
    kind: FindingKind,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Finding {
    Finding::warning(kind, format!("{key}, as another tool left it"), expected, found)
        .in_partition(key)
        .in_state(FindingState::Settled)
}

/// Takes one row: its epoch, unless it has none, and its prices, null as NaN.
pub(super) type TakeRow<'a> = dyn FnMut(Option<Epoch>, &[f64]) -> Result<(), StoreError> + 'a;

/// Reads all rows in the order of the file; returns how many have a volume that is not zero.
pub(super) type Pass<'a> = dyn FnMut(&mut TakeRow<'_>) -> Result<u64, Refusal> + 'a;

/// Seconds (or candles) that are put in order at once where rows are not: it bounds the memory,
/// and an unsorted month of ticks is read some twenty times.
const SLICE_UNITS: i64 = 131_072;

/// What is known of a file after all of its rows went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sifted {
    pub(super) tally: Tally,
    /// First and last epoch by position, whatever rows they are of.
    pub(super) ends: Option<(Epoch, Epoch)>,
    /// Rows with a volume that is not zero.
    pub(super) n_volumes: u64,
}

/// Hands the good rows to `sink`, ascending and unique, and counts all others by their reason.
///
/// Of rows for one epoch the first by position stays.
pub(super) fn sift<R: Record>(
    rules: Rules,
    saved: Option<Saved>,
    pass: &mut Pass<'_>,
    sink: &mut dyn FnMut(R) -> Result<(), StoreError>,
) -> Result<Sifted, Refusal> {
    let seen = look(rules, pass)?;
    let rules = rules.with_end(seen.last_good, saved);
    let mut tally = Tally { n_rows: seen.n_rows, unsorted: seen.unsorted, ..Tally::default() };
    if seen.unsorted.n_rows == 0 {
        stream(rules, pass, sink, &mut tally)?;
    } else {
        put_in_order(rules, &seen, pass, sink, &mut tally)?;
    }
    Ok(Sifted { tally, ends: seen.ends, n_volumes: seen.n_volumes })
}

/// What a first look tells.
#[derive(Debug, Default)]
struct Seen {
    n_rows: u64,
    n_volumes: u64,
    ends: Option<(Epoch, Epoch)>,
    first_good: Option<Epoch>,
    last_good: Option<Epoch>,
    unsorted: Count,
}

fn look(rules: Rules, pass: &mut Pass<'_>) -> Result<Seen, Refusal> {
    let mut seen = Seen::default();
    let n_volumes = pass(&mut |epoch, prices| {
        seen.n_rows += 1;
        if let Some(epoch) = epoch {
            let (first, _) = seen.ends.unwrap_or((epoch, epoch));
            seen.ends = Some((first, epoch));
        }
        if rules.fault(epoch, prices).is_none() {
            if epoch < seen.last_good {
                seen.unsorted.add(epoch);
            }
            seen.first_good = [seen.first_good, epoch].into_iter().flatten().min();
            seen.last_good = seen.last_good.max(epoch);
        }
        Ok(())
    })?;
    Ok(Seen { n_volumes, ..seen })
}

/// Rows that ascend need to know only the one before them.
fn stream<R: Record>(
    rules: Rules,
    pass: &mut Pass<'_>,
    sink: &mut dyn FnMut(R) -> Result<(), StoreError>,
    tally: &mut Tally,
) -> Result<(), Refusal> {
    let mut before: Option<R> = None;
    pass(&mut |epoch, prices| {
        let row = match (epoch, rules.fault(epoch, prices)) {
            (Some(epoch), None) => R::from_parts(epoch, prices),
            (_, fault) => {
                tally.note(fault.unwrap_or(Fault::NoEpoch), epoch, prices);
                return Ok(());
            }
        };
        match before.filter(|before| before.epoch() == row.epoch()) {
            Some(before) => tally.note_second(before == row, row.epoch(), prices),
            None => {
                before = Some(row);
                tally.kept.add(epoch);
                sink(row)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// Reads the file once for each slice of time and sorts the rows of the slice in memory.
fn put_in_order<R: Record>(
    rules: Rules,
    seen: &Seen,
    pass: &mut Pass<'_>,
    sink: &mut dyn FnMut(R) -> Result<(), StoreError>,
    tally: &mut Tally,
) -> Result<(), Refusal> {
    let (Some(first), Some(last)) = (seen.first_good, seen.last_good) else { return Ok(()) };
    let mut start = first;
    while start <= last {
        let end = start.plus(SLICE_UNITS * rules.unit_secs());
        let mut slice: BTreeMap<Epoch, R> = BTreeMap::new();
        pass(&mut |epoch, prices| {
            match (epoch, rules.fault(epoch, prices)) {
                (Some(epoch), None) if start <= epoch && epoch < end => {
                    let row = R::from_parts(epoch, prices);
                    match slice.get(&epoch) {
                        Some(held) => tally.note_second(*held == row, epoch, prices),
                        None => drop(slice.insert(epoch, row)),
                    }
                }
                // Whatever is no good row is counted in the first pass.
                (_, Some(fault)) if start == first => tally.note(fault, epoch, prices),
                _ => {}
            }
            Ok(())
        })?;
        for row in slice.into_values() {
            tally.kept.add(Some(row.epoch()));
            sink(row).map_err(Refusal::Failed)?;
        }
        start = end;
    }
    Ok(())
}
