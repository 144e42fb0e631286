//! Counts numbers of any size in a fixed number of bins, each about 6 % wide.

/// Bins to each doubling.
const STEPS: u32 = 16;
/// Numbers below two to this power count as zero: less than a pip of any price.
const LEAST_POWER: u32 = 40;
/// Numbers from two to this power on share the last bin.
const MOST_POWER: u32 = 24;
const N_BINS: usize = ((LEAST_POWER + MOST_POWER) * STEPS) as usize;
/// The first bits of a float: its power of two and four bits of what follows.
const SHIFT: u32 = 23 - STEPS.ilog2();
const LEAST_BITS: u32 = (127 - LEAST_POWER) * STEPS;

/// How many numbers there were of each size. Signs count: -3 is smaller than 2.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    /// Index 0: zero and what counts as zero; then ascending.
    below: Vec<u64>,
    above: Vec<u64>,
    n: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { below: vec![0; N_BINS], above: vec![0; N_BINS], n: 0 }
    }

    /// Counts `n` equal numbers.
    pub(super) fn add(&mut self, number: f64, n: u64) {
        let bins = if number < 0.0 { &mut self.below } else { &mut self.above };
        bins[bin_of(number)] += n;
        self.n += n;
    }

    /// How many numbers were counted.
    pub(super) fn count(&self) -> u64 {
        self.n
    }

    /// The number in the middle; 0 if there is none.
    pub(super) fn median(&self) -> f64 {
        value_at(&self.values(|value| value), self.n / 2)
    }

    /// How far the numbers lie from `middle`.
    pub(super) fn deviations(&self, middle: f64) -> Deviations {
        let mut values = self.values(|value| (value - middle).abs());
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        Deviations { values, n: self.n }
    }

    /// Middles of the bins that are not empty, in the order of the numbers, with their counts.
    fn values(&self, map: impl Fn(f64) -> f64) -> Vec<(f64, u64)> {
        let below = self.below.iter().enumerate().rev().map(|(bin, n)| (-middle_of(bin), *n));
        let above = self.above.iter().enumerate().map(|(bin, n)| (middle_of(bin), *n));
        let filled = below.chain(above).filter(|(_, n)| *n > 0);
        filled.map(|(value, n)| (map(value), n)).collect()
    }
}

/// Distances from a middle, ascending.
#[derive(Debug)]
pub(super) struct Deviations {
    values: Vec<(f64, u64)>,
    n: u64,
}

impl Deviations {
    /// The distance that half of the numbers do not exceed. If more than half of them lie in the
    /// middle itself, that of the numbers that do not.
    pub(super) fn median(&self) -> f64 {
        let at_middle = self.values.first().filter(|(value, _)| *value == 0.0).map_or(0, |v| v.1);
        if at_middle <= self.n / 2 {
            return value_at(&self.values, self.n / 2);
        }
        value_at(&self.values, at_middle + (self.n - at_middle) / 2)
    }

    /// The distance that `rank` numbers reach or exceed; 0 if there are no more than `rank`.
    pub(super) fn largest(&self, rank: u64) -> f64 {
        self.n
            .checked_sub(rank)
            .map_or(0.0, |index| if index == 0 { 0.0 } else { value_at(&self.values, index) })
    }
}

fn value_at(values: &[(f64, u64)], index: u64) -> f64 {
    let mut behind = 0;
    for (value, n) in values {
        behind += n;
        if behind > index {
            return *value;
        }
    }
    values.last().map_or(0.0, |(value, _)| *value)
}

fn bin_of(number: f64) -> usize {
    let bits = (number.abs() as f32).to_bits() >> SHIFT;
    (bits.saturating_sub(LEAST_BITS) as usize).min(N_BINS - 1)
}

fn middle_of(bin: usize) -> f64 {
    let Ok(bin @ 1..) = u32::try_from(bin) else { return 0.0 };
    f64::from(f32::from_bits(((bin + LEAST_BITS) << SHIFT) | (1 << (SHIFT - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_its_own_middle_and_is_narrow() {
        for bin in 1..N_BINS {
            assert_eq!(bin_of(middle_of(bin)), bin);
            assert!(bin == 1 || middle_of(bin) / middle_of(bin - 1) < 1.07, "{bin}");
        }
        assert_eq!((bin_of(0.0), bin_of(f64::MAX), bin_of(-0.0)), (0, N_BINS - 1, 0));
        assert_eq!(middle_of(0), 0.0);
    }

    #[test]
    fn knows_the_middle_and_the_largest() {
        let mut histogram = Histogram::new();
        (-500..=500).for_each(|i| histogram.add(f64::from(i) + 100.0, 1));
        let near = |found: f64, expected: f64| {
            assert!((found / expected - 1.0).abs() < 0.07, "{found} {expected}");
        };
        near(histogram.median(), 100.0);
        let deviations = histogram.deviations(100.0);
        near(deviations.median(), 250.0);
        near(deviations.largest(2), 500.0);
        near(deviations.largest(101), 450.0);
        assert_eq!(deviations.largest(1001), 0.0);
        assert_eq!(Histogram::new().median(), 0.0);
    }

    #[test]
    fn where_most_stand_still_those_that_move_are_the_measure() {
        let mut histogram = Histogram::new();
        histogram.add(0.0, 900);
        histogram.add(2.0, 60);
        histogram.add(64.0, 40);
        assert!((1.9..2.1).contains(&histogram.deviations(0.0).median()));
    }
}
