//! What a running download tells whoever watches it. Calls are cheap and never block.

use crate::domain::{Epoch, PartitionKey, Published};

use super::plan::Plan;

/// Watches a download. Every method has an empty default.
pub trait Reporter: Send + Sync + 'static {
    /// The work is known, before the first page is asked.
    fn planned(&self, _plan: &Plan) {}

    /// Work on a partition begins; `n_pages` is the estimate of the requests it needs.
    fn partition_started(&self, _key: &PartitionKey, _n_pages: u64) {}

    /// An answer was taken in.
    fn page(&self, _key: &PartitionKey, _page: &PageReport) {}

    /// A partition is being merged, encoded and checked.
    fn publishing(&self, _key: &PartitionKey) {}

    /// A partition took its name.
    fn published(&self, _published: &Published) {}

    /// Something a person should read now, for instance where the wall was found.
    fn note(&self, _text: &str) {}
}

/// What one answer brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageReport {
    /// Rows proved by it.
    pub n_rows: u64,
    /// Requests this partition still needs, estimated from what is not proved yet.
    pub n_pages_left: u64,
    /// Newest second proved by it; `None` if it proved nothing.
    pub proved_to: Option<Epoch>,
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {}
