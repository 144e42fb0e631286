//! The market: ticks and candles of any stretch of time, from blocks that are generated on demand.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::candles::{BackwardMerge, Bar, Grid, bars};
use super::holes;
use super::hours::DAY;
use super::instruments::{self, Cadence, Instrument, Model};
use super::price::{Row, pips_per_unit};
use super::replay::Replay;
use super::walk::{self, BLOCK, Draw, hash, unit};
use super::world::{Life, World};

/// Blocks of ticks kept: at most 64 KiB each, so 4 MiB in all.
const TICK_BLOCKS: usize = 64;

/// Blocks of minute bars kept: under 3 KiB each, so 6 MiB and about a hundred days in all.
const BAR_BLOCKS: usize = 2048;

/// Width of the bars every wider candle is made of, in seconds.
const MINUTE: i64 = 60;

/// Every listed instrument and what was generated lately.
#[derive(Debug)]
pub(super) struct Market {
    seed: u64,
    with_holes: bool,
    instruments: Vec<Instrument>,
    /// What happens to each of them.
    lives: Vec<Life>,
    /// Decimals each was quoted in before anything changed.
    quoted: Vec<u8>,
    ticks: Mutex<Cache<(usize, i64), Vec<Row>>>,
    minutes: Mutex<Cache<(usize, i64), Vec<Bar>>>,
}

/// An instrument of a [`Market`], by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InstrumentId(usize);

impl Market {
    /// Lists every known instrument that `is_listed`, every replay, and what `world` makes of them.
    pub(super) fn new(
        seed: u64,
        with_holes: bool,
        replays: &[Replay],
        world: &World,
        is_listed: impl Fn(&str) -> bool,
    ) -> Self {
        let mut instruments = instruments::all();
        instruments.retain(|instrument| is_listed(&instrument.symbol));
        for replay in replays {
            instruments::install(&mut instruments, replay);
        }
        for (old, new) in world.renames() {
            let known = instruments.iter().find(|known| known.symbol == old).cloned();
            instruments.extend(known.map(|known| Instrument { symbol: new.to_owned(), ..known }));
        }
        let lives: Vec<Life> =
            instruments.iter().map(|instrument| world.life(&instrument.symbol)).collect();
        let quoted = instruments.iter().map(|instrument| instrument.decimals).collect();
        for (instrument, life) in instruments.iter_mut().zip(&lives) {
            let most = life.most_decimals().unwrap_or(0);
            instrument.refine(most.max(instrument.decimals));
        }
        Self {
            seed,
            with_holes,
            instruments,
            lives,
            quoted,
            ticks: Mutex::new(Cache::new(TICK_BLOCKS)),
            minutes: Mutex::new(Cache::new(BAR_BLOCKS)),
        }
    }

    /// Every instrument that is listed at a moment, in the order of the list.
    pub(super) fn listed(&self, moment: i64) -> impl Iterator<Item = (InstrumentId, &Instrument)> {
        let all =
            self.instruments.iter().enumerate().map(|(index, found)| (InstrumentId(index), found));
        all.filter(move |(id, _)| self.life(*id).is_listed(moment))
    }

    /// Finds an instrument by its symbol, whether or not it is listed now.
    pub(super) fn find(&self, symbol: &str) -> Option<InstrumentId> {
        self.instruments.iter().position(|known| known.symbol == symbol).map(InstrumentId)
    }

    /// What is known of one instrument.
    pub(super) fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[id.0]
    }

    /// What happens to one instrument.
    pub(super) fn life(&self, id: InstrumentId) -> &Life {
        &self.lives[id.0]
    }

    /// Decimals in which the instrument is quoted at an epoch.
    ///
    /// Those of the [`Instrument`] are the most there ever are, and the scale of every [`Row`].
    pub(super) fn decimals_at(&self, id: InstrumentId, epoch: i64) -> u8 {
        self.life(id).decimals_at(epoch).unwrap_or(self.quoted[id.0])
    }

    /// The smallest step of the price at an epoch, in pips.
    pub(super) fn step_at(&self, id: InstrumentId, epoch: i64) -> i64 {
        pips_per_unit(self.instrument(id).decimals - self.decimals_at(id, epoch))
    }

    /// The bars of one width.
    pub(super) fn grid(&self, id: InstrumentId, width: i64) -> Grid {
        Grid { width, offset: self.life(id).offset(width) }
    }

    /// Returns the newest `limit` ticks of `[from, to]` as they are at `moment`, oldest first.
    pub(super) fn newest_ticks(
        &self,
        id: InstrumentId,
        from: i64,
        to: i64,
        moment: i64,
        limit: usize,
    ) -> Vec<Row> {
        let mut newest_first = Vec::with_capacity(limit.min(8192));
        let (from, to) = self.life(id).clip(from, to);
        for start in self.blocks(id, from, to).rev() {
            let block = self.block(id, start, moment);
            let inside = clip(&block, from, to);
            newest_first.extend(inside.iter().rev().take(limit - newest_first.len()));
            if newest_first.len() >= limit {
                break;
            }
        }
        newest_first.reverse();
        newest_first
    }

    /// Returns the newest `limit` candles of the ticks in `[from, to]` as they are at `moment`,
    /// oldest first.
    ///
    /// Ticks outside do not count, so a candle cut by either bound holds only its inner part.
    pub(super) fn newest_candles(
        &self,
        id: InstrumentId,
        from: i64,
        to: i64,
        width: i64,
        moment: i64,
        limit: usize,
    ) -> Vec<Bar> {
        let grid = self.grid(id, width);
        let mut merge = BackwardMerge::new(grid);
        let (from, to) = self.life(id).clip(from, to);
        'blocks: for start in self.blocks(id, from, to).rev() {
            let parts = if grid.offset % MINUTE == 0 {
                self.minutes_of(id, start, from, to, moment)
            } else {
                Arc::new(bars(clip(&self.block(id, start, moment), from, to), Grid::plain(1)))
            };
            for bar in parts.iter().rev() {
                if !merge.push(bar, limit) {
                    break 'blocks;
                }
            }
        }
        merge.finish()
    }

    /// Returns the ticks of `[from, to]` as they are at `moment` one block at a time, oldest first.
    pub(super) fn tick_blocks(
        &self,
        id: InstrumentId,
        from: i64,
        to: i64,
        moment: i64,
    ) -> impl Iterator<Item = Vec<Row>> {
        let (from, to) = self.life(id).clip(from, to);
        self.blocks(id, from, to)
            .map(move |start| clip(&self.block(id, start, moment), from, to).to_vec())
    }

    /// The newest tick that is not after `now`, looked for over the last ten days.
    pub(super) fn latest(&self, id: InstrumentId, now: i64) -> Option<Row> {
        self.newest_ticks(id, now - 10 * DAY, now, now, 1).pop()
    }

    /// Starts of the blocks that touch `[from, to]` and can hold a tick.
    fn blocks(&self, id: InstrumentId, from: i64, to: i64) -> impl DoubleEndedIterator<Item = i64> {
        let instrument = self.instrument(id);
        let (from, to) = match &instrument.model {
            Model::Recorded(rows) => match (rows.first(), rows.last()) {
                (Some(first), Some(last)) => (from.max(first.epoch), to.min(last.epoch)),
                _ => (1, 0),
            },
            _ => (from.max(0), to),
        };
        let hours = instrument.hours;
        let numbers = if from <= to { from / BLOCK..to / BLOCK + 1 } else { 0..0 };
        numbers
            .map(|number| number * BLOCK)
            .filter(move |&start| !hours.is_closed_throughout(start, start + BLOCK - 1))
    }

    /// Minute bars of one block, of the ticks in `[from, to]` only.
    fn minutes_of(
        &self,
        id: InstrumentId,
        start: i64,
        from: i64,
        to: i64,
        moment: i64,
    ) -> Arc<Vec<Bar>> {
        let last = start + BLOCK - 1;
        if start < from || last > to || self.life(id).changes_in(start, last) {
            let block = self.block(id, start, moment);
            return Arc::new(bars(clip(&block, from, to), Grid::plain(MINUTE)));
        }
        if let Some(known) = locked(&self.minutes).get(&(id.0, start)) {
            return known;
        }
        let made = Arc::new(bars(&self.block(id, start, moment), Grid::plain(MINUTE)));
        locked(&self.minutes).insert((id.0, start), Arc::clone(&made));
        made
    }

    /// Ticks of one block as they are at `moment`.
    fn block(&self, id: InstrumentId, start: i64, moment: i64) -> Arc<Vec<Row>> {
        let made = self.made(id, start);
        let life = self.life(id);
        if !life.changes_in(start, start + BLOCK - 1) {
            return made;
        }
        let heard = made.iter().filter(|row| !life.is_silent(row.epoch, moment));
        let corrected = heard.map(|row| {
            let steps = life.correction(row.epoch, moment);
            Row { pips: row.pips + steps * self.step_at(id, row.epoch), ..*row }
        });
        Arc::new(corrected.collect())
    }

    /// Ticks of one block as they are in the end.
    ///
    /// Two callers may generate the same block at once; both get the same rows.
    fn made(&self, id: InstrumentId, start: i64) -> Arc<Vec<Row>> {
        if let Some(known) = locked(&self.ticks).get(&(id.0, start)) {
            return known;
        }
        let made = Arc::new(self.generate(id, start));
        locked(&self.ticks).insert((id.0, start), Arc::clone(&made));
        made
    }

    fn generate(&self, id: InstrumentId, start: i64) -> Vec<Row> {
        let instrument = self.instrument(id);
        if let Model::Recorded(rows) = &instrument.model {
            return clip(rows, start, start + BLOCK - 1).to_vec();
        }
        let key = walk::key(self.seed, &instrument.path);
        let step = match instrument.cadence {
            Cadence::Every(step) => step,
            Cadence::Irregular => 1,
        };
        let mut rows: Vec<Row> = (start..start + BLOCK)
            .step_by(usize::try_from(step).unwrap_or(1))
            .zip(walk::block(key, instrument, start, step))
            .map(|(epoch, pips)| Row { epoch, pips })
            .collect();
        if instrument.cadence == Cadence::Irregular {
            rows.retain(|row| is_quoted(key, instrument, row.epoch));
        }
        if self.with_holes && instrument.has_holes() {
            let holes = holes::in_range(self.seed, start, start + BLOCK);
            rows.retain(|row| !holes.iter().any(|(from, to)| (*from..*to).contains(&row.epoch)));
        }
        if self.life(id).most_decimals().is_some() {
            for row in &mut rows {
                let step = self.step_at(id, row.epoch);
                row.pips = ((row.pips + step / 2) / step * step).max(step);
            }
        }
        rows
    }
}

/// Tells whether an irregular market has a quote in this second.
fn is_quoted(key: u64, instrument: &Instrument, epoch: i64) -> bool {
    let busy = match epoch.rem_euclid(DAY) / 3600 {
        7..=16 => 0.6,
        17..=20 => 0.45,
        _ => 0.25,
    };
    instrument.hours.is_open(epoch) && unit(hash(key, Draw::Presence, epoch)) < busy
}

/// The part of ascending rows inside `[from, to]`.
fn clip(rows: &[Row], from: i64, to: i64) -> &[Row] {
    let first = rows.partition_point(|row| row.epoch < from);
    let after = rows.partition_point(|row| row.epoch <= to);
    &rows[first..after.max(first)]
}

/// The last few values made, oldest thrown out first.
#[derive(Debug)]
struct Cache<K, V> {
    capacity: usize,
    values: HashMap<K, Arc<V>>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Cache<K, V> {
    fn new(capacity: usize) -> Self {
        Self { capacity, values: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.values.get(key).cloned()
    }

    fn insert(&mut self, key: K, value: Arc<V>) {
        if self.values.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

/// A panic elsewhere leaves these caches whole, so a poisoned lock is as good as any.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_772_884_800;

    /// A moment after everything that is asked for.
    const LATER: i64 = START + 100 * DAY;

    fn market(with_holes: bool) -> Market {
        Market::new(5, with_holes, &[], &World::quiet(), |_| true)
    }

    #[test]
    fn random_access_equals_reading_from_the_beginning() {
        let market_a = market(true);
        let id = market_a.find("R_100").unwrap();
        let whole = market_a.newest_ticks(id, START, START + 50_000, LATER, usize::MAX);
        let mut parts = Vec::new();
        for part in [4, 0, 2, 1, 3] {
            let fresh = market(true);
            let from = START + part * 10_000;
            let to = if part == 4 { from + 10_000 } else { from + 9_999 };
            parts.push((part, fresh.newest_ticks(id, from, to, LATER, usize::MAX)));
        }
        parts.sort_by_key(|(part, _)| *part);
        let joined: Vec<Row> = parts.into_iter().flat_map(|(_, rows)| rows).collect();
        assert_eq!(whole, joined);
    }

    #[test]
    fn both_ends_are_inside_and_the_newest_win() {
        let market = market(false);
        let id = market.find("R_100").unwrap();
        let rows = market.newest_ticks(id, START, START + 86_400, LATER, usize::MAX);
        assert_eq!(rows.len(), 43_201);
        assert_eq!((rows[0].epoch, rows[43_200].epoch), (START, START + 86_400));
        let few = market.newest_ticks(id, START, START + 86_400, LATER, 10);
        assert_eq!(few, rows[43_191..]);
    }

    #[test]
    fn candles_are_what_their_ticks_make_them() {
        let market = market(true);
        for symbol in ["R_50", "frxEURUSD", "CRASH500"] {
            let id = market.find(symbol).unwrap();
            for width in [60, 900, 3600] {
                let to = START + 172_799;
                let ticks = market.newest_ticks(id, START, to, LATER, usize::MAX);
                let candles = market.newest_candles(id, START, to, width, LATER, usize::MAX);
                assert_eq!(candles, bars(&ticks, Grid::plain(width)), "{symbol} {width}");
            }
        }
    }

    #[test]
    fn a_silent_bar_does_not_exist() {
        let market = market(true);
        let id = market.find("frxEURUSD").unwrap();
        // Saturday 2026-03-07.
        assert_eq!(START, 1_772_884_800);
        let saturday = START - START.rem_euclid(DAY);
        assert!(
            market.newest_candles(id, saturday, saturday + DAY - 1, 60, LATER, 5000).is_empty()
        );
        assert!(market.newest_ticks(id, saturday, saturday + DAY - 1, LATER, 5000).is_empty());
    }

    #[test]
    fn holes_are_alike_in_all_indices_and_can_be_left_out() {
        let with = market(true);
        let without = market(false);
        let missing = |symbol: &str| {
            let id = with.find(symbol).unwrap();
            let kept = with.newest_ticks(id, START, START + 604_800, LATER, usize::MAX);
            let full = without.newest_ticks(id, START, START + 604_800, LATER, usize::MAX);
            let kept: std::collections::HashSet<i64> = kept.iter().map(|row| row.epoch).collect();
            full.iter()
                .map(|row| row.epoch)
                .filter(|epoch| !kept.contains(epoch))
                .collect::<Vec<_>>()
        };
        let one = missing("R_100");
        assert!(!one.is_empty());
        assert_eq!(one, missing("R_25"));
    }

    #[test]
    fn forex_ticks_are_irregular_and_never_two_a_second() {
        let market = market(true);
        let id = market.find("frxEURUSD").unwrap();
        // Thursday 2026-03-05, 10:00 to 11:00.
        let from = START - START.rem_euclid(DAY) - 2 * DAY + 36_000;
        let rows = market.newest_ticks(id, from, from + 3599, LATER, usize::MAX);
        assert!((1800..2600).contains(&rows.len()), "{}", rows.len());
        assert!(rows.windows(2).all(|pair| pair[0].epoch < pair[1].epoch));
    }
}
