//! How the loop ended: for each partition it worked on, and as a whole.

use std::collections::BTreeMap;

use crate::domain::{DefectCounts, EpochRange, ErrorKind, RangeSet, Series, SourceError, Wall};

use super::prepare::chain;
use super::profile::Profile;
use super::summary::{Ending, PartitionOutcome};

/// What became of one partition that was worked on.
pub(super) struct Worked {
    pub(super) outcome: PartitionOutcome,
    /// Answers taken in.
    pub(super) n_pages: u64,
    /// What this run has put into the staging, published since or not.
    pub(super) staged: RangeSet,
    /// What of its month the source does not offer, as far as this run knows.
    pub(super) not_offered: Option<EpochRange>,
}

/// How the loop ended for each planned partition, and as a whole.
pub(super) struct Ended {
    pub(super) ending: Ending,
    /// By position in the plan; partitions not in here were not worked on.
    pub(super) outcomes: BTreeMap<usize, Worked>,
    pub(super) profiles: BTreeMap<Series, Profile>,
    pub(super) walls: BTreeMap<Series, Wall>,
    /// Why a wall cannot be believed.
    pub(super) wall_doubts: BTreeMap<Series, String>,
    /// Whether any answer of the run denied what another one held.
    pub(super) was_lied_to: bool,
    /// Answers that proved nothing, by reason.
    pub(super) thrown_away: DefectCounts,
}

/// The errors that end a run rather than a request.
pub(super) fn ending_of(error: &SourceError) -> Option<Ending> {
    match error.kind {
        ErrorKind::Cancelled => Some(Ending::Cancelled),
        ErrorKind::Outage | ErrorKind::Unauthorized => Some(Ending::Outage(chain(error))),
        _ => None,
    }
}
