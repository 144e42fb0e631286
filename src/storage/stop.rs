//! The switch that ends long work: asked between two batches of rows and between two steps.

use std::fmt;
use std::sync::Arc;

use crate::domain::StoreError;

/// Rows between two looks at the switch: as many as one batch of the encoder.
const ROWS_BETWEEN_LOOKS: u64 = 8192;

/// Tells whether the run is ending. Cheap to ask; clones ask the same.
#[derive(Clone, Default)]
pub(super) struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Stop {
    /// Asks `is_ending` each time.
    pub(super) fn new(is_ending: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        Self(Some(is_ending))
    }

    /// Goes on, or gives up because the run is ending.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &self.0 {
            Some(is_ending) if is_ending() => Err(StoreError::Stopped),
            _ => Ok(()),
        }
    }

    /// As [`check`](Self::check), but looks only once in a batch of rows.
    pub(super) fn check_at(&self, n_rows: u64) -> Result<(), StoreError> {
        if n_rows.is_multiple_of(ROWS_BETWEEN_LOOKS) { self.check() } else { Ok(()) }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}
