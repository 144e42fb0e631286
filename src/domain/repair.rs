//! What a check tells whoever mends: the facts of each partition, not their wording.

use std::fmt;

use super::coverage::{Coverage, RangeSet};
use super::finding::Finding;
use super::partition::PartitionKey;
use super::time::EpochRange;

/// Why seconds are to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AskReason {
    /// Every attempt at them failed.
    Failed,
    /// Nobody ever asked for them, though the series reaches beyond them on both sides.
    NeverAsked,
    /// They are silent, and nothing explains it.
    Unexplained,
    /// They are silent, and the source was not asked again since they could have been filled.
    SecondLook,
    /// The file that held them is damaged.
    Damaged,
    /// A row in them breaks a promise. It stays, for its day hashes to what was promised; the source
    /// is asked again, to compare.
    Wrong,
    /// The file is silent there for longer than its sidecar says.
    Silent,
    /// Candles and ticks contradict each other.
    Contradicted,
}

impl AskReason {
    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NeverAsked => "never asked",
            Self::Unexplained => "unexplained",
            Self::SecondLook => "silent, asked in one run only",
            Self::Damaged => "damaged",
            Self::Wrong => "wrong rows",
            Self::Silent => "silent",
            Self::Contradicted => "contradicted",
        }
    }

    /// Tells whether the rows that are published there are given up before anything is asked.
    pub const fn gives_up_rows(self) -> bool {
        matches!(self, Self::Damaged)
    }
}

impl fmt::Display for AskReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Seconds in doubt, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doubt {
    /// Why.
    pub reason: AskReason,
    /// Which seconds.
    pub range: EpochRange,
}

/// What is done with the files of a partition before anybody is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Remedy {
    /// Nothing.
    #[default]
    Keep,
    /// The file is good, and its sidecar is written anew from it.
    RebuildSidecar,
    /// The file is what was written, but not what it should be: every row that lies in its month is
    /// kept and the file is written anew; the file before is kept in quarantine.
    Rewrite {
        /// The seconds of the rows that break a promise.
        wrong: RangeSet,
    },
    /// The file cannot be trusted: its good days replace it, and it is kept in quarantine.
    Salvage,
    /// The file is that of another partition, and whole: it goes where it belongs.
    Return(PartitionKey),
    /// It is left alone, for this reason.
    Leave(String),
}

/// What is known of one partition that matters to who mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which partition.
    pub key: PartitionKey,
    /// Whether its sidecar forbids every change.
    pub is_locked: bool,
    /// What it holds, as far as its files can be believed; `None` if nothing tells.
    pub coverage: Option<Coverage>,
    /// What is to be done with its files.
    pub remedy: Remedy,
    /// Seconds to be asked again.
    pub doubts: Vec<Doubt>,
    /// Whether answers of a run that ended wait for it.
    pub is_staged: bool,
    /// What its sidecar says stands against a repair: losses behind the wall, refused prices.
    pub said: Vec<Finding>,
}

impl Evidence {
    /// A partition of which nothing is known.
    pub fn unknown(key: PartitionKey) -> Self {
        Self {
            key,
            is_locked: false,
            coverage: None,
            remedy: Remedy::Keep,
            doubts: Vec::new(),
            is_staged: false,
            said: Vec::new(),
        }
    }
}
