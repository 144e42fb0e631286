//! Price paths with random access in time: dyadic Brownian bridges whose normals are hashes.
//!
//! Every value depends on the seed, the symbol and the second alone, so a page costs the same
//! wherever it lies. Far-apart anchors hold each path near its base price; between them a bridge
//! keeps the quadratic variation of a free Brownian motion, hence the advertised volatility.

use super::instruments::{Instrument, Model};
use super::price::pips_per_unit;

/// Seconds of one block, the unit of generation; a power of two.
pub(super) const BLOCK: i64 = 4096;

/// Seconds between anchors, a little more than a year; a power of two.
const SPAN: i64 = 1 << 25;

/// Seconds of a year of 365 days, the unit of volatility.
const YEAR: f64 = 31_536_000.0;

/// What a hash is drawn for, so that two draws of one second have nothing in common.
#[derive(Debug, Clone, Copy)]
pub(super) enum Draw {
    Bridge = 1,
    Anchor,
    Spike,
    SpikeSize,
    Step,
    Presence,
    Hole,
    HoleAt,
    HoleLength,
    Fault,
    World,
}

/// Mixes a key, a purpose and a number into 64 well-spread bits (the finalizer of `SplitMix64`).
pub(super) fn hash(key: u64, draw: Draw, number: i64) -> u64 {
    let purpose = (draw as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mixed = number.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mix(mix(key ^ purpose).wrapping_add(mixed))
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Spreads a hash over `[0, 1)`.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Turns a hash into a nearly normal number: the sum of its four 16-bit words, standardized.
///
/// Only integers and one division, so it is fast and the same on every machine.
fn normal(bits: u64) -> f64 {
    let words = (bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) + ((bits >> 32) & 0xFFFF) + (bits >> 48);
    // Four uniform words of 0..65536: mean 131,070, standard deviation 65,536 / sqrt(3).
    (words as f64 - 131_070.0) / 37_837.227
}

/// The key of a symbol under a seed.
pub(super) fn key(seed: u64, symbol: &str) -> u64 {
    let fnv = symbol.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    mix(seed ^ fnv)
}

/// Prices in pips at `start`, `start + step`, … over the block that begins at `start`.
///
/// `step` is 1 or 2 seconds; recorded instruments have no path and give nothing.
pub(super) fn block(key: u64, instrument: &Instrument, start: i64, step: i64) -> Vec<i64> {
    let scale = instrument.base * pips_per_unit(instrument.decimals) as f64;
    let priced = |log: f64| ((scale * log.exp()).round() as i64).max(1);
    match instrument.model {
        Model::Geometric { volatility } => {
            bridge(key, start, step, per_second(volatility)).into_iter().map(priced).collect()
        }
        Model::Spiked { every, up } => {
            let jumps = Jumps {
                every,
                size: spike_size(every),
                sign: if up { 1.0 } else { -1.0 },
                both: false,
            };
            jumping(key, start, step, per_second(0.12), jumps).into_iter().map(priced).collect()
        }
        Model::Jumpy { volatility } => {
            let sigma = per_second(volatility);
            let jumps = Jumps { every: 1200, size: 30.0 * sigma, sign: 1.0, both: true };
            jumping(key, start, step, sigma, jumps).into_iter().map(priced).collect()
        }
        Model::Steps => steps(key, start).map(|offset| (scale as i64 + offset).max(1)).collect(),
        Model::Recorded(_) => Vec::new(),
    }
}

/// Standard deviation of one second of a walk of so much volatility a year.
fn per_second(volatility: f64) -> f64 {
    volatility / YEAR.sqrt()
}

/// Rarer spikes are larger, as in the real indices: about 0.1 % to 0.3 %.
fn spike_size(every: u32) -> f64 {
    0.0001 * f64::from(every).sqrt()
}

/// Values of the path of `sigma` per square-root second at the grid of one block, both ends included.
fn bridge(key: u64, start: i64, step: i64, sigma: f64) -> Vec<f64> {
    let n_steps = usize::try_from(BLOCK / step).unwrap_or(1);
    let mut path = vec![0.0; n_steps + 1];
    (path[0], path[n_steps]) = ends(key, start, sigma);
    let mut stride = n_steps;
    while stride > 1 {
        let half = stride / 2;
        let spread = sigma * (stride as f64 * step as f64 / 4.0).sqrt();
        for middle in (half..n_steps).step_by(stride) {
            let mean = f64::midpoint(path[middle - half], path[middle + half]);
            let second = start + middle as i64 * step;
            path[middle] = mean + spread * normal(hash(key, Draw::Bridge, second));
        }
        stride = half;
    }
    path
}

/// Values at both ends of the block at `start`, by descent from the anchors around it.
fn ends(key: u64, start: i64, sigma: f64) -> (f64, f64) {
    // Half of what a year of free walking would do: enough to differ, not enough to run away.
    let anchor =
        |second: i64| 0.5 * sigma * (SPAN as f64).sqrt() * normal(hash(key, Draw::Anchor, second));
    let mut left = start.div_euclid(SPAN) * SPAN;
    let mut length = SPAN;
    let (mut low, mut high) = (anchor(left), anchor(left + SPAN));
    while length > BLOCK {
        let half = length / 2;
        let spread = sigma * (length as f64 / 4.0).sqrt();
        let middle =
            f64::midpoint(low, high) + spread * normal(hash(key, Draw::Bridge, left + half));
        if start < left + half {
            high = middle;
        } else {
            low = middle;
            left += half;
        }
        length = half;
    }
    (low, high)
}

/// Rare large moves on top of a walk.
#[derive(Debug, Clone, Copy)]
struct Jumps {
    /// One in so many seconds jumps.
    every: u32,
    /// Typical size of the logarithm's move.
    size: f64,
    /// Direction when not `both`.
    sign: f64,
    /// Whether each jump draws its own direction.
    both: bool,
}

/// A walk with jumps; the drift against them is spread over their block, so blocks stay independent.
fn jumping(key: u64, start: i64, step: i64, sigma: f64, jumps: Jumps) -> Vec<f64> {
    let mut path = bridge(key, start, step, sigma);
    let threshold = u64::MAX / u64::from(jumps.every);
    let mut sum = 0.0;
    let mut at = 0;
    for second in 1..BLOCK {
        if second % step == 0 {
            at += 1;
        }
        if hash(key, Draw::Spike, start + second) < threshold {
            let bits = hash(key, Draw::SpikeSize, start + second);
            let sign = if jumps.both && bits & 1 == 1 { -1.0 } else { jumps.sign };
            sum += sign * jumps.size * (0.5 + unit(bits));
        }
        if second % step == 0 {
            path[at] += sum;
        }
    }
    let per_step = sum * step as f64 / BLOCK as f64;
    let last = path.len() - 1;
    for (index, value) in path[..last].iter_mut().enumerate() {
        *value -= per_step * index as f64;
    }
    path
}

/// Offsets in pips of a walk that moves by exactly one pip each second.
fn steps(key: u64, start: i64) -> impl Iterator<Item = i64> {
    let (low, high) = ends(key, start, 1.0);
    // Both ends even, so an even number of steps leads from one to the other.
    let even = |value: f64| 2 * (value / 2.0).round() as i64;
    let target = even(high);
    let mut offset = even(low);
    (0..BLOCK).map(move |second| {
        let here = offset;
        let left = BLOCK - second;
        // The chance of a step up that makes every path to the target equally likely.
        let up = (left + target - offset) as f64 / (2 * left) as f64;
        offset += if unit(hash(key, Draw::Step, start + second)) < up { 1 } else { -1 };
        here
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::instruments;

    const START: i64 = 1_772_884_805 / BLOCK * BLOCK;

    fn instrument(symbol: &str) -> Instrument {
        instruments::all().into_iter().find(|known| known.symbol == symbol).unwrap()
    }

    fn logs(symbol: &str, n_blocks: i64, step: i64) -> Vec<f64> {
        let instrument = instrument(symbol);
        let key = key(7, symbol);
        let mut out = Vec::new();
        for number in 0..n_blocks {
            let mut prices = block(key, &instrument, START + number * BLOCK, step);
            prices.truncate(usize::try_from(BLOCK / step).unwrap());
            out.extend(prices.into_iter().map(|pips| (pips as f64).ln()));
        }
        out
    }

    fn check_volatility(symbol: &str, step: i64, expected: f64) {
        let logs = logs(symbol, 100, step);
        let squares: f64 = logs.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum();
        let secs = (logs.len() - 1) as f64 * step as f64;
        let volatility = (squares / secs * YEAR).sqrt();
        let off = (volatility / expected - 1.0).abs();
        assert!(off < 0.1, "{symbol}: {volatility} instead of {expected}");
    }

    #[test]
    fn volatility_is_what_the_name_says() {
        check_volatility("R_100", 2, 1.0);
        check_volatility("R_10", 2, 0.1);
        check_volatility("1HZ250V", 1, 2.5);
    }

    #[test]
    fn blocks_join_without_a_seam() {
        for symbol in ["R_75", "BOOM500", "CRASH300N", "JD100"] {
            let instrument = instrument(symbol);
            let key = key(7, symbol);
            let one = block(key, &instrument, START, 1);
            let next = block(key, &instrument, START + BLOCK, 1);
            assert_eq!(one.last(), next.first(), "{symbol}");
        }
    }

    #[test]
    fn the_step_index_moves_by_one_pip() {
        let instrument = instrument("stpRNG");
        let key = key(7, "stpRNG");
        let mut prices = block(key, &instrument, START, 1);
        prices.extend(block(key, &instrument, START + BLOCK, 1));
        assert!(prices.windows(2).all(|pair| (pair[1] - pair[0]).abs() == 1));
    }

    #[test]
    fn booms_spike_upwards_about_as_often_as_promised() {
        let logs = logs("BOOM1000", 200, 1);
        let ups = logs.windows(2).filter(|pair| pair[1] - pair[0] > 0.0012).count();
        let downs = logs.windows(2).filter(|pair| pair[1] - pair[0] < -0.0012).count();
        let expected = logs.len() / 1000;
        assert!(ups > expected / 2 && ups < expected * 2, "{ups} spikes, expected {expected}");
        assert_eq!(downs, 0);
    }

    #[test]
    fn prices_stay_near_their_base_for_thirty_years() {
        for instrument in instruments::all() {
            let key = key(1, &instrument.symbol);
            let base = instrument.base * pips_per_unit(instrument.decimals) as f64;
            for year in 45..75 {
                let start = year * 31_536_000 / BLOCK * BLOCK;
                let ratio = block(key, &instrument, start, 2)[0] as f64 / base;
                assert!((0.0005..2000.0).contains(&ratio), "{} {ratio}", instrument.symbol);
            }
        }
    }

    #[test]
    fn the_seed_and_the_symbol_decide() {
        let (r_100, r_75) = (instrument("R_100"), instrument("R_75"));
        let of = |seed, which: &Instrument| block(key(seed, &which.symbol), which, START, 2);
        assert_eq!(of(1, &r_100), of(1, &r_100));
        assert_ne!(of(1, &r_100), of(2, &r_100));
        assert_ne!(of(1, &r_100), of(1, &r_75));
    }
}
