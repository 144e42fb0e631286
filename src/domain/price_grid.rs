//! Decimals of prices: which prices a number of decimals can write, and how many are in use.
//!
//! How many decimals a series is quoted in is a fact about days, and only the rows of a day tell it:
//! what a source says of a series today says nothing about last year.

/// Largest number of decimals that can be judged: beyond it decimals and doubles do not correspond.
pub const MAX_DECIMALS: u8 = 15;

/// More are a sign of arithmetic, not of a price.
const MOST_IN_USE: usize = 9;

/// Fewer odd prices than this are odd, however few prices there are.
const FEWEST_THAT_COUNT: u64 = 3;

/// One odd price in so many does not change the decimals of the others.
const ONE_ODD_IN: u64 = 100;

/// The prices that have a given number of decimals.
#[derive(Debug, Clone)]
pub struct PriceGrid {
    digits: u8,
    scale: f64,
}

impl PriceGrid {
    /// The prices with `digits` decimals; `None` if doubles cannot tell them apart.
    pub fn new(digits: u8) -> Option<Self> {
        let scale = 10_f64.powi(i32::from(digits));
        (digits <= MAX_DECIMALS).then_some(Self { digits, scale })
    }

    /// How many decimals.
    pub fn digits(&self) -> u8 {
        self.digits
    }

    /// Tells whether `price` is the nearest double to a decimal with as many digits; may deny it
    /// for enormous prices, see [`holds`](Self::holds).
    ///
    /// Whole numbers below 2^53 and powers of ten up to 10^22 are exact doubles and division
    /// rounds correctly, so the quotient *is* the nearest double to the decimal: no text is needed.
    pub fn quickly_holds(&self, price: f64) -> bool {
        // Adding and taking away 1.5·2^52 rounds to a whole number, in two instructions where
        // `round` is a function call.
        const ROUNDER: f64 = 6_755_399_441_055_744.0;
        const LARGEST: f64 = 2_251_799_813_685_248.0;
        let scaled = price * self.scale;
        let whole = (scaled + ROUNDER) - ROUNDER;
        (scaled < LARGEST) & (whole / self.scale == price)
    }

    /// Tells whether `price` is the nearest double to a decimal with as many digits.
    pub fn holds(&self, price: f64) -> bool {
        let digits = usize::from(self.digits);
        self.quickly_holds(price) || format!("{price:.digits$}").parse() == Ok(price)
    }
}

/// Counts how many decimals prices need beyond those that are promised.
#[derive(Debug, Clone)]
pub struct DecimalsInUse {
    /// From what is promised upward.
    grids: Vec<PriceGrid>,
    /// By grid: prices that need it. The last counts those that none of them holds.
    needed: Vec<u64>,
}

impl DecimalsInUse {
    /// Nothing seen yet of a series that is said to be quoted in `promised` decimals.
    pub fn new(promised: u8) -> Self {
        let most = usize::from(promised).max(MOST_IN_USE);
        let digits = usize::from(promised)..=most;
        let grids: Vec<_> =
            digits.filter_map(|digits| PriceGrid::new(u8::try_from(digits).ok()?)).collect();
        Self { needed: vec![0; grids.len() + 1], grids }
    }

    /// Takes in a price; returns how many decimals more than promised it needs.
    pub fn note(&mut self, price: f64) -> usize {
        let found = self.grids.iter().position(|grid| grid.holds(price));
        let more = found.unwrap_or(self.grids.len());
        self.needed[more] += 1;
        more
    }

    /// Takes in prices that need no more decimals than promised.
    pub fn note_expected(&mut self, n_prices: u64) {
        self.needed[0] += n_prices;
    }

    /// How many decimals more than promised the prices use, but for odd ones: those that need
    /// more are in doubt.
    pub fn usual(&self) -> usize {
        self.learned().unwrap_or(0)
    }

    /// The same, if the prices tell.
    pub fn learned(&self) -> Option<usize> {
        let n_prices: u64 = self.needed.iter().sum();
        let is_odd = |n: u64| n < FEWEST_THAT_COUNT || n.saturating_mul(ONE_ODD_IN) <= n_prices;
        let n_beyond = |more: usize| self.needed[more + 1..].iter().sum::<u64>();
        (0..self.grids.len()).find(|more| is_odd(n_beyond(*more)))
    }

    /// Prices that need more decimals than are usual.
    pub fn n_odd(&self) -> u64 {
        self.needed[self.usual() + 1..].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_quick_grid_check_agrees_with_text(whole in 1u64..1 << 52, digits in 0u8..9, nudge in -1i64..2) {
            let text = format!("{whole}e-{digits}");
            let exact: f64 = text.parse().unwrap();
            let price = f64::from_bits(exact.to_bits().wrapping_add_signed(nudge));
            let grid = PriceGrid::new(digits).unwrap();
            let places = usize::from(digits);
            let truth = format!("{price:.places$}").parse() == Ok(price);
            prop_assert_eq!(grid.holds(price), truth, "{}", price);
            if whole < 1 << 50 {
                prop_assert_eq!(grid.quickly_holds(price), truth, "{}", price);
            }
        }
    }

    #[test]
    fn knows_prices_beside_the_grid() {
        let grid = PriceGrid::new(2).unwrap();
        for good in [0.01, 252.66, 1e9 + 0.25, 0.29, 1.15, 4e22] {
            assert!(grid.holds(good), "{good}");
        }
        for bad in [252.665, 0.001, 252.660_000_000_000_1, 0.1 + 0.2] {
            assert!(!grid.holds(bad), "{bad}");
        }
    }

    #[test]
    fn a_price_size_beyond_all_doubles_is_not_judged() {
        assert!(PriceGrid::new(255).is_none());
    }

    fn check(promised: u8, prices: &[(f64, u64)], usual: usize, n_odd: u64) {
        let mut seen = DecimalsInUse::new(promised);
        for (price, n) in prices {
            for _ in 0..*n {
                seen.note(*price);
            }
        }
        assert_eq!((seen.usual(), seen.n_odd()), (usual, n_odd), "{promised} {prices:?}");
    }

    #[test]
    fn decimals_are_learned_from_prices_and_a_few_odd_ones_change_nothing() {
        check(2, &[(1.25, 1000)], 0, 0);
        check(2, &[(1.25, 1000), (1.255, 1)], 0, 1);
        check(2, &[(1.25, 1), (1.255, 2)], 0, 2);
        check(2, &[(1.25, 100), (1.255, 900)], 1, 0);
        check(2, &[(1.255, 900), (1.2555, 3)], 1, 3);
        check(2, &[(1.2555, 900)], 2, 0);
        // Nobody quotes that: it is arithmetic, however often it comes.
        check(2, &[(0.1 + 0.2, 900)], 0, 900);
        check(12, &[(1.25, 10)], 0, 0);
        check(200, &[(1.25, 10)], 0, 0);
    }
}
