//! Rows as a segment holds them, block by block: how far each is from the row before it, then its
//! prices as they are. Pure.
//!
//! A block begins with the number of its rows and the width of its steps, which is that of the
//! longest: one byte for ticks and minute bars, more in the block that spans a week-end. A tick
//! then takes 9 bytes instead of 16, and what is written, synced, read and removed for each row of
//! a month shrinks with it.

use crate::domain::{Epoch, Record};

/// Most rows of a block; a page of the source is one.
pub(super) const BLOCK_ROWS: usize = 8192;

/// Bytes of the head of a block.
pub(super) const HEAD_BYTES: usize = 3;

/// Bytes of a price.
const PRICE_BYTES: usize = 8;

/// What a block begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) n_rows: usize,
    width: StepWidth,
}

/// Bytes that a step takes in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepWidth {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl StepWidth {
    /// The least that holds `step`.
    fn of(step: u64) -> Self {
        match step.checked_ilog2() {
            None | Some(..8) => Self::One,
            Some(..16) => Self::Two,
            Some(..32) => Self::Four,
            Some(_) => Self::Eight,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::One, Self::Two, Self::Four, Self::Eight].into_iter().find(|w| *w as u8 == byte)
    }
}

impl Head {
    /// Reads the head of a block; none if no block begins like that.
    pub(super) fn read(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let [low, high, width] = bytes;
        let n_rows = usize::from(u16::from_le_bytes([low, high]));
        let head = Self { n_rows, width: StepWidth::from_byte(width)? };
        (1..=BLOCK_ROWS).contains(&n_rows).then_some(head)
    }

    fn bytes(self) -> [u8; HEAD_BYTES] {
        // A block has few rows.
        let [low, high] = (self.n_rows as u16).to_le_bytes();
        [low, high, self.width as u8]
    }

    /// Bytes of its rows of `R`, behind the head.
    pub(super) fn rows_bytes<R: Record>(self) -> usize {
        self.n_rows * (self.width as usize + price_bytes::<R>())
    }
}

/// Makes `bytes` a block of 1 to [`BLOCK_ROWS`] ascending rows, none of them before `before`.
pub(super) fn pack<R: Record>(bytes: &mut Vec<u8>, before: Epoch, rows: &[R]) {
    let longest = steps(before, rows).fold(0, |longest, step| longest | step);
    let head = Head { n_rows: rows.len(), width: StepWidth::of(longest) };
    // Not cleared before: what is left of another block is written over.
    bytes.resize(HEAD_BYTES + head.rows_bytes::<R>(), 0);
    bytes[..HEAD_BYTES].copy_from_slice(&head.bytes());
    let (of_steps, of_prices) = bytes[HEAD_BYTES..].split_at_mut(head.n_rows * head.width as usize);
    match head.width {
        StepWidth::One => pack_steps::<1>(of_steps, steps(before, rows)),
        StepWidth::Two => pack_steps::<2>(of_steps, steps(before, rows)),
        StepWidth::Four => pack_steps::<4>(of_steps, steps(before, rows)),
        StepWidth::Eight => pack_steps::<8>(of_steps, steps(before, rows)),
    }
    for (bytes, row) in of_prices.chunks_exact_mut(price_bytes::<R>()).zip(rows) {
        for (bytes, price) in bytes.as_chunks_mut().0.iter_mut().zip(row.prices().as_ref()) {
            *bytes = price.to_le_bytes();
        }
    }
}

/// How far each row is from the one before it.
fn steps<R: Record>(before: Epoch, rows: &[R]) -> impl Iterator<Item = u64> {
    let mut before = before.secs();
    rows.iter().map(move |row| {
        let epoch = row.epoch().secs();
        epoch.wrapping_sub(std::mem::replace(&mut before, epoch)).cast_unsigned()
    })
}

fn pack_steps<const WIDTH: usize>(bytes: &mut [u8], steps: impl Iterator<Item = u64>) {
    for (bytes, step) in bytes.as_chunks_mut::<WIDTH>().0.iter_mut().zip(steps) {
        bytes.copy_from_slice(&step.to_le_bytes()[..WIDTH]);
    }
}

/// Turns blocks back into rows.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    /// The prices of one block: rows are made from slices of them.
    prices: Vec<f64>,
}

impl Unpacker {
    /// Appends the rows of a block; `bytes` are those behind its head.
    ///
    /// Whatever the bytes are, it gives rows; whether they ascend is for the caller to see.
    pub(super) fn unpack<R: Record>(
        &mut self,
        rows: &mut Vec<R>,
        before: Epoch,
        head: Head,
        bytes: &[u8],
    ) {
        let (steps, prices) = bytes.split_at(bytes.len().min(head.n_rows * head.width as usize));
        self.prices.clear();
        self.prices.extend(prices.as_chunks().0.iter().map(|price| f64::from_le_bytes(*price)));
        match head.width {
            StepWidth::One => self.rows::<R, 1>(rows, before, steps),
            StepWidth::Two => self.rows::<R, 2>(rows, before, steps),
            StepWidth::Four => self.rows::<R, 4>(rows, before, steps),
            StepWidth::Eight => self.rows::<R, 8>(rows, before, steps),
        }
    }

    fn rows<R: Record, const WIDTH: usize>(&self, rows: &mut Vec<R>, before: Epoch, steps: &[u8]) {
        let mut epoch = before.secs();
        let prices = self.prices.chunks_exact(R::COLUMNS.len());
        rows.extend(steps.as_chunks::<WIDTH>().0.iter().zip(prices).map(|(step, prices)| {
            let mut wide = [0; 8];
            wide[..WIDTH].copy_from_slice(step);
            epoch = epoch.wrapping_add(i64::from_le_bytes(wide));
            R::from_parts(Epoch::new(epoch), prices)
        }));
    }
}

/// Bytes that a row takes at least.
pub(super) const fn least_bytes<R: Record>() -> usize {
    StepWidth::One as usize + price_bytes::<R>()
}

const fn price_bytes<R: Record>() -> usize {
    PRICE_BYTES * R::COLUMNS.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Candle, Tick};

    /// Packs and unpacks; returns the bytes of the block with the rows.
    fn there_and_back<R: Record>(before: Epoch, rows: &[R]) -> (usize, Vec<R>) {
        let mut bytes = vec![0xee; 1000];
        pack(&mut bytes, before, rows);
        let (head, rest) = bytes.split_first_chunk().unwrap();
        let head = Head::read(*head).unwrap();
        assert_eq!((head.n_rows, rest.len()), (rows.len(), head.rows_bytes::<R>()));
        let mut back = Vec::new();
        Unpacker::default().unpack(&mut back, before, head, rest);
        (bytes.len(), back)
    }

    fn ticks(before: i64, steps: &[u64], prices: &[u64]) -> Vec<Tick> {
        let mut epoch = before;
        let step = |(step, bits): (&u64, &u64)| {
            epoch = epoch.wrapping_add(step.cast_signed());
            Tick { epoch: Epoch::new(epoch), quote: f64::from_bits(*bits) }
        };
        steps.iter().zip(prices).map(step).collect()
    }

    proptest! {
        /// Every epoch and every bit of every price comes back, NaN and -0 included, whatever the
        /// steps are.
        #[test]
        fn rows_come_back_bit_by_bit(
            before in any::<i64>(),
            steps in proptest::collection::vec(prop_oneof![0u64..300, any::<u64>()], 1..50),
            prices in proptest::collection::vec(any::<u64>(), 50),
        ) {
            let rows = ticks(before, &steps, &prices);
            let (_, back) = there_and_back(Epoch::new(before), &rows);
            let bits = |rows: &[Tick]| -> Vec<_> {
                rows.iter().map(|row| (row.epoch, row.quote.to_bits())).collect()
            };
            prop_assert_eq!(bits(&back), bits(&rows));
        }

        /// Bytes that nobody packed give rows, never a panic.
        #[test]
        fn foreign_bytes_do_no_harm(
            n_rows in any::<u16>(),
            width in 0u8..20,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let [low, high] = n_rows.to_le_bytes();
            if let Some(head) = Head::read([low, high, width]) {
                let mut rows: Vec<Candle> = Vec::new();
                Unpacker::default().unpack(&mut rows, Epoch::new(i64::MAX), head, &bytes);
                prop_assert!(rows.len() <= head.n_rows && head.n_rows <= BLOCK_ROWS);
            }
        }
    }

    #[test]
    fn steps_take_what_the_longest_needs() {
        for (longest, expected) in [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4)] {
            let rows = ticks(1_772_323_200, &[1, longest, 2], &[0; 3]);
            let (n_bytes, _) = there_and_back(Epoch::new(1_772_323_200), &rows);
            assert_eq!(n_bytes, HEAD_BYTES + 3 * (expected + 8), "{longest}");
        }
    }

    #[test]
    fn candles_keep_the_order_of_their_prices() {
        let candle = Candle { epoch: Epoch::new(60), open: 1.0, high: 4.0, low: 0.5, close: 2.0 };
        let (n_bytes, back) = there_and_back(Epoch::new(0), &[candle]);
        assert_eq!((n_bytes, back), (HEAD_BYTES + 1 + 32, vec![candle]));
    }
}
