//! A life for each symbol, made from a seed: what happens to a day depends on the seed and the day.

use crate::domain::{Epoch, EpochRange, Symbol};

use super::hours::{DAY, Hours};
use super::instruments::{self, Cadence, Instrument};
use super::walk::{self, Draw, hash};
use super::world::World;

/// Seconds of a slot in which rare things happen at most once.
const SLOT: i64 = 30 * DAY;

/// How wrong the clock can be for some hours.
const CLOCK_ERRORS: [i64; 6] = [-3600, -90, -5, 5, 90, 5 * DAY];

/// What a draw decides.
#[derive(Debug, Clone, Copy)]
enum What {
    Rank = 1,
    Late,
    Listed,
    Ended,
    Unlisted,
    Decimals,
    Hole,
    HoleAt,
    HoleLength,
    HoleFilled,
    Correction,
    CorrectionAt,
    CorrectionDelay,
    CorrectionSize,
    Dead,
    DeadAt,
    DeadLength,
    Clock,
    ClockAt,
}

/// Draws for one symbol, or for the exchange.
#[derive(Debug, Clone, Copy)]
struct Dice(u64);

impl Dice {
    /// A number from 0 to before `below`, for the `number`th day or slot.
    fn roll(self, what: What, number: i64, below: i64) -> i64 {
        let bits = hash(self.0 ^ ((what as u64) << 48), Draw::World, number);
        (bits % below.unsigned_abs()).cast_signed()
    }

    /// A moment between two hundredths of `span`.
    fn within(self, what: What, span: EpochRange, from: i64, to: i64) -> Epoch {
        let hundredth = (span.len_secs() / 100).max(1);
        let share = from * hundredth + self.roll(what, 0, (to - from) * hundredth);
        span.start().plus(share)
    }
}

impl World {
    /// A plausible life for each of `symbols` over `span`, decided by the seed.
    ///
    /// Every few days a symbol has a hole that is filled within a day, and now and then a single
    /// tick is corrected after hours or days; rows show up to three seconds late. Markets that
    /// close have a dead feed of hours or days about every other month. One in four changes its
    /// decimals once. One symbol in six (at least one of two and more) is listed on the way, and
    /// another one ends. The clock is wrong for six hours every other month.
    ///
    /// A day is the same in every span that it lies in. What happens once, listing, end and
    /// decimals, depends on the span.
    pub fn seeded(seed: u64, symbols: &[Symbol], span: EpochRange) -> Self {
        let known = instruments::all();
        let dice = |symbol: &Symbol| Dice(walk::key(seed, symbol.as_str()));
        let mut ranked: Vec<&Symbol> = symbols.iter().collect();
        ranked.sort_by_key(|symbol| (dice(symbol).roll(What::Rank, 0, i64::MAX), *symbol));
        let n_changing = if ranked.len() < 2 { 0 } else { ranked.len().div_ceil(6) };
        let mut world = Self::quiet().with_clock_errors(Dice(seed), span);
        for (rank, symbol) in ranked.iter().enumerate() {
            let (name, dice) = (symbol.as_str(), dice(symbol));
            if rank < n_changing {
                world = world.listed(name, dice.within(What::Listed, span, 20, 50));
            } else if rank + n_changing >= ranked.len() {
                let end = dice.within(What::Ended, span, 50, 80);
                let unlisted = end.plus(dice.roll(What::Unlisted, 0, 3) * DAY);
                world = world.ended_then_unlisted(name, end, unlisted);
            }
            if let Some(instrument) = known.iter().find(|known| known.symbol == name) {
                world = world.with_life(instrument, dice, span);
            }
        }
        world
    }

    fn with_life(mut self, instrument: &Instrument, dice: Dice, span: EpochRange) -> Self {
        let name = instrument.symbol.as_str();
        let secs = dice.roll(What::Late, 0, 4).unsigned_abs();
        self = self.late(name, u32::try_from(secs).unwrap_or(0), None);
        if dice.roll(What::Decimals, 0, 4) == 0 {
            let decimals = match instrument.decimals {
                0 | 1 => instrument.decimals + 1,
                more => more - 1,
            };
            self = self.decimals(name, dice.within(What::Decimals, span, 30, 70), decimals);
        }
        for day in numbers(span, DAY) {
            self = self.with_hole(name, dice, day).with_correction(instrument, dice, day);
        }
        if instrument.hours != Hours::Always {
            for slot in numbers(span, SLOT).filter(|slot| dice.roll(What::Dead, *slot, 2) == 0) {
                let start = Epoch::new(slot * SLOT + dice.roll(What::DeadAt, slot, 26 * DAY));
                let length = 3 * 3600 + dice.roll(What::DeadLength, slot, 4 * DAY);
                let dead = EpochRange::new(start, start.plus(length));
                self = dead.into_iter().fold(self, |world, dead| world.hole(name, dead, None));
            }
        }
        self
    }

    /// One day in six has a hole of 20 s to 21 min, filled 10 min to 20 h after its end.
    fn with_hole(self, name: &str, dice: Dice, day: i64) -> Self {
        if dice.roll(What::Hole, day, 6) != 0 {
            return self;
        }
        let start = Epoch::new(day * DAY + dice.roll(What::HoleAt, day, DAY));
        let end = start.plus(20 << dice.roll(What::HoleLength, day, 7));
        let filled = end.plus(600 + dice.roll(What::HoleFilled, day, 20 * 3600 - 600));
        EpochRange::new(start, end)
            .into_iter()
            .fold(self, |world, hole| world.hole(name, hole, Some(filled)))
    }

    /// One day in fifteen has a tick that is corrected an hour to three days later.
    fn with_correction(self, instrument: &Instrument, dice: Dice, day: i64) -> Self {
        if dice.roll(What::Correction, day, 15) != 0 {
            return self;
        }
        let step = match instrument.cadence {
            Cadence::Every(step) => step,
            Cadence::Irregular => 1,
        };
        let at = day * DAY + dice.roll(What::CorrectionAt, day, DAY) / step * step;
        let moment = Epoch::new(at + 3600 + dice.roll(What::CorrectionDelay, day, 3 * DAY));
        let steps = i32::try_from(1 + dice.roll(What::CorrectionSize, day, 9)).unwrap_or(1);
        self.corrected(&instrument.symbol, Epoch::new(at), moment, steps)
    }

    fn with_clock_errors(self, dice: Dice, span: EpochRange) -> Self {
        let slots = numbers(span, SLOT).filter(|slot| dice.roll(What::Clock, *slot, 2) == 0);
        slots.fold(self, |world, slot| {
            let start = Epoch::new(slot * SLOT + dice.roll(What::ClockAt, slot, SLOT - 6 * 3600));
            let which = dice.roll(What::Clock, slot, 12) / 2;
            let secs = CLOCK_ERRORS[usize::try_from(which).unwrap_or(0) % CLOCK_ERRORS.len()];
            world.clock_error(secs, EpochRange::new(start, start.plus(6 * 3600)))
        })
    }
}

/// The whole stretches of so many seconds, counted from 1970, that lie inside `span`.
fn numbers(span: EpochRange, secs: i64) -> impl Iterator<Item = i64> {
    (span.start().secs() + secs - 1).div_euclid(secs)..span.end().secs().div_euclid(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00Z.
    const START: Epoch = Epoch::new(1_767_225_600);

    fn symbols() -> Vec<Symbol> {
        let names = ["R_100", "R_50", "1HZ100V", "cryBTCUSD", "frxEURUSD", "frxUSDJPY"];
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn span(from_day: i64, to_day: i64) -> EpochRange {
        EpochRange::new(START.plus(from_day * DAY), START.plus(to_day * DAY)).unwrap()
    }

    #[test]
    fn the_seed_decides_and_every_world_has_what_a_year_brings() {
        for seed in 0..40 {
            let world = World::seeded(seed, &symbols(), span(0, 365));
            assert_eq!(world, World::seeded(seed, &symbols(), span(0, 365)));
            assert_ne!(world, World::seeded(seed + 1, &symbols(), span(0, 365)));
            let spans: Vec<_> =
                symbols().iter().map(|symbol| world.span_of(symbol.as_str())).collect();
            assert_eq!(spans.iter().filter(|(listed, _)| listed.is_some()).count(), 1);
            assert_eq!(spans.iter().filter(|(_, ended)| ended.is_some()).count(), 1);
            let n_corrections: usize =
                symbols().iter().map(|symbol| world.corrections(symbol.as_str()).len()).sum();
            assert!((90..210).contains(&n_corrections), "{n_corrections}");
        }
    }

    /// Whoever asks about a day hears the same whatever else he asks about.
    #[test]
    fn a_day_is_the_same_in_every_span() {
        let of = |span| {
            let corrections = World::seeded(3, &symbols(), span).corrections("R_100");
            corrections.into_iter().filter(|(epoch, _)| *epoch < START.plus(60 * DAY))
        };
        assert!(of(span(0, 365)).eq(of(span(0, 60))));
        assert!(of(span(0, 60)).count() > 0);
    }
}
