//! Panics of the Parquet library as values: it is written for honest files, and a flipped bit can
//! make numbers that it panics at. To whoever reads, that is a damaged file like any other.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Takes one step of the library; `None` if it panicked.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Option<T> {
    let before = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(step));
    IS_GUARDED.set(before);
    result.ok()
}

/// Tells whether a panic of this thread will be told as a finding: then nobody has to see its text.
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value_and_others_are_none_of_it() {
        assert_eq!(guarded(is_guarded), Some(true));
        assert_eq!(guarded(|| -> u8 { panic!("{}", is_guarded()) }), None);
        assert_eq!(guarded(|| guarded(|| 1).map(|one| (one, is_guarded()))), Some(Some((1, true))));
        assert!(!is_guarded());
    }
}
