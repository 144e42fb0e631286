//! What happens to the exchange over the months: symbols begin and end, holes are filled later,
//! prices are corrected, the clock is wrong.
//!
//! All of it is data. The market and the answers look it up for a second and a *moment*, the true
//! time at which somebody asks; nothing here keeps state, so moments can be asked in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{Epoch, EpochRange};

/// Stands for every symbol wherever a [`World`] takes one.
pub const EVERY_SYMBOL: &str = "*";

/// What happens to an exchange, and when; the default is that nothing does.
///
/// Symbols are given by name, or [`EVERY_SYMBOL`]. A change of the rows belongs to an *epoch* (of the
/// row) or to a *moment* (of the true time, when it is asked): a hole has both.
///
/// ```
/// use titan_download::domain::{Epoch, EpochRange};
/// use titan_download::simulator::World;
///
/// let noon = Epoch::new(1_773_576_000);
/// let hole = EpochRange::new(noon, noon.plus(1200)).unwrap();
/// let world = World::quiet().hole("R_100", hole, Some(noon.plus(36_000))).late("*", 2, None);
/// let same = World::parse(&["hole=R_100@1773576000..1773577200@2026-03-15T22:00:00Z", "late=*@2"]);
/// assert_eq!(same.unwrap(), world);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    lives: BTreeMap<String, Life>,
    renames: Vec<(String, String, i64)>,
    clock: Vec<Shift>,
    wall: Vec<Shift>,
}

/// What happens to one symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Life {
    listed: Option<i64>,
    /// End of the rows, and the moment from which the symbol is not listed any more.
    ended: Option<(i64, i64)>,
    holes: Vec<Hole>,
    late: Vec<Shift>,
    /// Widths of bars and how far past the UTC grid they begin.
    offsets: BTreeMap<i64, i64>,
    /// Decimals from an epoch on.
    decimals: BTreeMap<i64, u8>,
    pub(super) list_decimals: Option<u8>,
    pub(super) page_decimals: Option<u8>,
    corrections: Vec<Correction>,
}

/// So many seconds, from one moment to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shift {
    secs: i64,
    from: i64,
    to: i64,
}

/// Seconds without rows, until the moment they are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    from: i64,
    to: i64,
    filled: i64,
}

/// The price of one tick changes at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Correction {
    pub(super) epoch: i64,
    pub(super) moment: i64,
    /// Smallest steps that are added.
    pub(super) pips: i64,
}

impl Shift {
    fn new(secs: i64, during: Option<EpochRange>) -> Self {
        let (from, to) =
            during.map_or((i64::MIN, i64::MAX), |range| (range.start().secs(), range.end().secs()));
        Self { secs, from, to }
    }

    fn sum(shifts: &[Self], moment: i64) -> i64 {
        let on = shifts.iter().filter(|shift| (shift.from..shift.to).contains(&moment));
        on.map(|shift| shift.secs).sum()
    }
}

impl World {
    /// Nothing happens: every symbol has always been there, and nothing changes.
    pub fn quiet() -> Self {
        Self::default()
    }

    fn with(mut self, symbol: &str, change: impl FnOnce(&mut Life)) -> Self {
        change(self.lives.entry(symbol.to_owned()).or_default());
        self
    }

    /// The symbol is listed from the moment `at` on and has no row before it.
    #[must_use]
    pub fn listed(self, symbol: &str, at: Epoch) -> Self {
        self.with(symbol, |life| life.listed = Some(at.secs()))
    }

    /// The rows stop before `at`, and from the moment `at` on nothing is known of the symbol.
    #[must_use]
    pub fn ended(self, symbol: &str, at: Epoch) -> Self {
        self.ended_then_unlisted(symbol, at, at)
    }

    /// The rows stop before `at`; the symbol is listed, and answers for its history, until `unlisted`.
    #[must_use]
    pub fn ended_then_unlisted(self, symbol: &str, at: Epoch, unlisted: Epoch) -> Self {
        self.with(symbol, |life| life.ended = Some((at.secs(), unlisted.secs())))
    }

    /// From `at` on the symbol is called `new`, which has the rows from there on only.
    #[must_use]
    pub fn renamed(mut self, old: &str, new: &str, at: Epoch) -> Self {
        self.renames.push((old.to_owned(), new.to_owned(), at.secs()));
        self.ended(old, at).listed(new, at)
    }

    /// There are no rows in `range` before the moment `filled`; never, if that is `None`.
    ///
    /// The hours of the market say nothing of it. A long one that is never filled is a dead feed.
    #[must_use]
    pub fn hole(self, symbol: &str, range: EpochRange, filled: Option<Epoch>) -> Self {
        let filled = filled.map_or(i64::MAX, Epoch::secs);
        let hole = Hole { from: range.start().secs(), to: range.end().secs(), filled };
        self.with(symbol, |life| life.holes.push(hole))
    }

    /// A row shows in the history `secs` after its second only, at the moments `during`; at all
    /// of them, if that is `None`. A bar shows what its rows that are visible make of it.
    ///
    /// With a large number, this is a replica that lags behind `time`.
    #[must_use]
    pub fn late(self, symbol: &str, secs: u32, during: Option<EpochRange>) -> Self {
        self.with(symbol, |life| life.late.push(Shift::new(secs.into(), during)))
    }

    /// Bars of `width` seconds begin `secs` past the multiples of their width.
    #[must_use]
    pub fn bars_offset(self, symbol: &str, width: u32, secs: u32) -> Self {
        self.with(symbol, |life| {
            life.offsets.insert(width.into(), i64::from(secs % width.max(1)));
        })
    }

    /// Rows from the epoch `at` on have so many decimals; lists and pages of later moments say so.
    #[must_use]
    pub fn decimals(self, symbol: &str, at: Epoch, decimals: u8) -> Self {
        self.with(symbol, |life| {
            life.decimals.insert(at.secs(), decimals);
        })
    }

    /// The list of symbols says that there are so many decimals, whatever the rows have.
    #[must_use]
    pub fn list_decimals(self, symbol: &str, decimals: u8) -> Self {
        self.with(symbol, |life| life.list_decimals = Some(decimals))
    }

    /// The `pip_size` of a page says that there are so many decimals, whatever the rows have.
    #[must_use]
    pub fn page_decimals(self, symbol: &str, decimals: u8) -> Self {
        self.with(symbol, |life| life.page_decimals = Some(decimals))
    }

    /// From the `moment` on the price of the tick at `epoch` is larger by so many smallest steps.
    #[must_use]
    pub fn corrected(self, symbol: &str, epoch: Epoch, moment: Epoch, steps: i32) -> Self {
        let correction =
            Correction { epoch: epoch.secs(), moment: moment.secs(), pips: steps.into() };
        self.with(symbol, |life| life.corrections.push(correction))
    }

    /// `time` answers with the true moment and `secs` (behind when negative) at the moments `during`.
    ///
    /// Rows come by the true time. A jump over hours or days is a large number.
    #[must_use]
    pub fn clock_error(mut self, secs: i64, during: Option<EpochRange>) -> Self {
        self.clock.push(Shift::new(secs, during));
        self
    }

    /// From the moment `at` on history reaches less far back, by so much.
    #[must_use]
    pub fn wall_jump(mut self, at: Epoch, by: Duration) -> Self {
        let secs = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        self.wall.push(Shift { secs, from: at.secs(), to: i64::MAX });
        self
    }

    /// Adds everything that happens in `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (symbol, life) in other.lives {
            self.lives.entry(symbol).or_default().extend(&life);
        }
        self.renames.extend(other.renames);
        self.clock.extend(other.clock);
        self.wall.extend(other.wall);
        self
    }

    /// Every symbol that something happens to, except those that a renaming makes.
    pub fn symbols(&self) -> BTreeSet<&str> {
        let made: BTreeSet<&str> = self.renames.iter().map(|(_, new, _)| new.as_str()).collect();
        let named = self.lives.keys().map(String::as_str);
        named.filter(|name| *name != EVERY_SYMBOL && !made.contains(name)).collect()
    }

    /// From when to before when the symbol has rows; `None` stands for always.
    pub fn span_of(&self, symbol: &str) -> (Option<Epoch>, Option<Epoch>) {
        let life = self.life(symbol);
        (life.listed.map(Epoch::new), life.ended.map(|(at, _)| Epoch::new(at)))
    }

    /// The moment from which nothing is known of the symbol any more.
    pub fn unlisted_at(&self, symbol: &str) -> Option<Epoch> {
        self.life(symbol).ended.map(|(_, unlisted)| Epoch::new(unlisted))
    }

    /// The corrected ticks of a symbol: the epoch of each, and the moment from which it has changed.
    pub fn corrections(&self, symbol: &str) -> Vec<(Epoch, Epoch)> {
        let corrections = self.life(symbol).corrections;
        let pair = |it: Correction| (Epoch::new(it.epoch), Epoch::new(it.moment));
        corrections.into_iter().map(pair).collect()
    }

    /// The new names: old, new.
    pub(super) fn renames(&self) -> impl Iterator<Item = (&str, &str)> {
        self.renames.iter().map(|(old, new, _)| (old.as_str(), new.as_str()))
    }

    /// All that happens to a symbol.
    pub(super) fn life(&self, symbol: &str) -> Life {
        let mut life = self.lives.get(EVERY_SYMBOL).cloned().unwrap_or_default();
        if let Some(own) = self.lives.get(symbol) {
            life.extend(own);
        }
        life
    }

    /// What `time` adds to the true moment.
    pub(super) fn clock_error_at(&self, moment: i64) -> i64 {
        Shift::sum(&self.clock, moment)
    }

    /// Seconds of history that are gone beside those the wall takes.
    pub(super) fn wall_jumps_at(&self, moment: i64) -> i64 {
        Shift::sum(&self.wall, moment)
    }
}

impl Life {
    /// Takes over what `other` says, which wins where only one thing can be true.
    fn extend(&mut self, other: &Self) {
        self.listed = other.listed.or(self.listed);
        self.ended = other.ended.or(self.ended);
        self.holes.extend(&other.holes);
        self.late.extend(&other.late);
        self.offsets.extend(&other.offsets);
        self.decimals.extend(&other.decimals);
        self.list_decimals = other.list_decimals.or(self.list_decimals);
        self.page_decimals = other.page_decimals.or(self.page_decimals);
        self.corrections.extend(&other.corrections);
    }

    /// Tells whether the symbol is known at a moment.
    pub(super) fn is_listed(&self, moment: i64) -> bool {
        self.listed.is_none_or(|listed| listed <= moment)
            && self.ended.is_none_or(|(_, unlisted)| moment < unlisted)
    }

    /// The part of `[from, to]` in which the symbol can have rows.
    pub(super) fn clip(&self, from: i64, to: i64) -> (i64, i64) {
        let from = self.listed.map_or(from, |listed| from.max(listed));
        (from, self.ended.map_or(to, |(ended, _)| to.min(ended - 1)))
    }

    /// The newest second whose row shows in the history at a moment.
    pub(super) fn horizon(&self, moment: i64) -> i64 {
        moment.saturating_sub(Shift::sum(&self.late, moment))
    }

    /// How far past the multiples of their width bars begin.
    pub(super) fn offset(&self, width: i64) -> i64 {
        self.offsets.get(&width).copied().unwrap_or(0)
    }

    /// Decimals of the rows at an epoch, if they ever change.
    pub(super) fn decimals_at(&self, epoch: i64) -> Option<u8> {
        self.decimals.range(..=epoch).next_back().map(|(_, decimals)| *decimals)
    }

    /// The most decimals there ever are, if they ever change.
    pub(super) fn most_decimals(&self) -> Option<u8> {
        self.decimals.values().copied().max()
    }

    /// Tells whether the rows of `[from, to]` depend on the moment they are asked at.
    pub(super) fn changes_in(&self, from: i64, to: i64) -> bool {
        self.holes.iter().any(|hole| hole.from <= to && hole.to > from)
            || self.corrections.iter().any(|it| (from..=to).contains(&it.epoch))
    }

    /// Tells whether an epoch has no row at a moment.
    pub(super) fn is_silent(&self, epoch: i64, moment: i64) -> bool {
        let covers = |hole: &Hole| (hole.from..hole.to).contains(&epoch) && moment < hole.filled;
        self.holes.iter().any(covers)
    }

    /// Smallest steps by which the row of an epoch is corrected at a moment.
    pub(super) fn correction(&self, epoch: i64, moment: i64) -> i64 {
        let is_on = |it: &&Correction| it.epoch == epoch && it.moment <= moment;
        self.corrections.iter().filter(is_on).map(|it| it.pips).sum()
    }
}
