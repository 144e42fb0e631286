//! What a check saw. Findings are collected, never thrown.

use std::fmt;
use std::hash::Hash;

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::advice::{Advice, Place};
use super::partition::PartitionKey;
use super::time::{Epoch, EpochRange};
use super::words::words;

words! {
    /// How much a finding matters.
    pub enum Severity {
        /// Worth knowing; nothing is wrong.
        Info = "info",
        /// Unusual; the data may still be right.
        Warning = "warning",
        /// A promise of the archive is broken.
        Error = "error",
    }
}

words! {
    /// Which promise a finding is about.
    #[non_exhaustive]
    pub enum FindingKind {
        /// The file cannot be read as Parquet.
        Unreadable = "unreadable",
        /// Columns are missing, surplus, or of another type.
        Schema = "schema",
        /// Rows do not ascend by epoch.
        Unsorted = "unsorted",
        /// Two rows share an epoch.
        DuplicateRow = "duplicate_row",
        /// A row lies outside the partition's month.
        OutsideMonth = "outside_month",
        /// A row lies where the coverage says nothing was answered.
        OutsideCoverage = "outside_coverage",
        /// The footer or sidecar counts other rows than the file holds.
        RecordCount = "record_count",
        /// The rows do not hash to what footer or sidecar promise.
        RowsHash = "rows_hash",
        /// The file does not hash to what the sidecar promises.
        FileHash = "file_hash",
        /// The sidecar is missing.
        SidecarMissing = "sidecar_missing",
        /// The sidecar cannot be read, or disagrees with the footer.
        SidecarMismatch = "sidecar_mismatch",
        /// The footer is missing or disagrees with the place of the file.
        FooterMismatch = "footer_mismatch",
        /// A wanted range has no settled answer.
        CoverageMissing = "coverage_missing",
        /// The state is not legal for the month or its coverage.
        IllegalState = "illegal_state",
        /// Two answers name different prices for one epoch.
        ConflictingTick = "conflicting_tick",
        /// The source names another price than the row already published.
        Restatement = "restatement",
        /// A candle does not open on a multiple of its granularity.
        Misaligned = "misaligned",
        /// `low ≤ open, close ≤ high` does not hold.
        CandleShape = "candle_shape",
        /// A price is not a multiple of the series' smallest step.
        OffGrid = "off_grid",
        /// A price is not positive or not finite.
        BadPrice = "bad_price",
        /// Records are missing and nothing explains it.
        UnexplainedGap = "unexplained_gap",
        /// The source kept sending something else than was asked for.
        Substituted = "substituted",
        /// The range was never answered and the source no longer offers it.
        LostBehindWall = "lost_behind_wall",
        /// Staged answers were damaged or of another version and set aside.
        StagingSetAside = "staging_set_aside",
        /// Rows of another tool: proved foreign by a named reason, or inherited and not certified.
        ForeignRows = "foreign_rows",
        /// Something lies in a series folder that is no part of the archive.
        Stranger = "stranger",
        /// Unfinished work of a run that ended, or something set aside, waits to be dealt with.
        Leftover = "leftover",
        /// The sidecar forbids every change of the partition.
        Locked = "locked",
        /// The price moved far more than the series usually does.
        Spike = "spike",
        /// The price stood still for far longer than the series usually does.
        FrozenRun = "frozen_run",
        /// Rows began to come at another fixed interval.
        CadenceChange = "cadence_change",
        /// Prices began to use more or fewer decimals.
        GridChange = "grid_change",
        /// A candle shows trading that no tick of the archive shows.
        TicksMissing = "ticks_missing",
        /// Ticks show trading where the archive has no candle.
        CandleMissing = "candle_missing",
        /// A candle and its ticks name different prices.
        CandleMismatch = "candle_mismatch",
        /// Well-formed rows that do not fit the series: the seconds they stand for count as failed.
        UnusableRows = "unusable_rows",
        /// The source's hours say "open", and for longer than the series is used to nothing comes.
        FeedSilent = "feed_silent",
        /// Rows came where the source had answered with silence before.
        LateRows = "late_rows",
        /// The source answered otherwise than another tool had, and its answer was taken.
        InheritedReplaced = "inherited_replaced",
        /// A partition that was published once is not there.
        PartitionMissing = "partition_missing",
        /// The file is beyond this build: another codec, another type, a newer version.
        Undecodable = "undecodable",
        /// The source's clock and this machine's are too far apart to believe either.
        ClocksDisagree = "clocks_disagree",
        /// The source no longer lists the symbol.
        NoLongerListed = "no_longer_listed",
        /// A second answer was asked for, to be compared, and never came; what was published stays.
        NotCompared = "not_compared",
        /// Where the history seems to begin, seen once and not yet believed.
        WallProvisional = "wall_provisional",
    }
}

impl FindingKind {
    /// Tells whether only an answer, or what became of one, shows it: nothing in the file could
    /// tell it again, so each sidecar takes it over from the one before.
    pub const fn is_of_answers(self) -> bool {
        matches!(
            self,
            Self::Restatement
                | Self::ConflictingTick
                | Self::ForeignRows
                | Self::StagingSetAside
                | Self::LostBehindWall
                | Self::Substituted
                | Self::InheritedReplaced
        )
    }

    /// Tells whether it is a doubt: rows are unusual, and whether they are wrong nobody can say.
    pub const fn is_doubt(self) -> bool {
        matches!(
            self,
            Self::Misaligned
                | Self::CandleShape
                | Self::OffGrid
                | Self::Spike
                | Self::FrozenRun
                | Self::CadenceChange
                | Self::GridChange
                | Self::CandleMismatch
        )
    }

    /// Tells whether the published rows stayed what they were because something else was refused:
    /// that is news once, and from then on for a person to decide.
    const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Restatement
                | Self::ConflictingTick
                | Self::Substituted
                | Self::NotCompared
                | Self::StagingSetAside
        )
    }
}

words! {
    /// Whether anything is still to be decided about a finding. Not how much it matters.
    #[derive(Default)]
    pub enum FindingState {
        /// It stands as it was seen.
        #[default]
        Open = "open",
        /// A person accepted what the source says now.
        Accepted = "accepted",
        /// A later answer settled it, or it tells only how another tool had left a file.
        Settled = "settled",
    }
}

/// One thing a check saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Finding {
    /// How much it matters to the run that sees it first; see [`weight`](Self::weight).
    pub severity: Severity,
    /// Which promise it is about.
    pub kind: FindingKind,
    /// Whether it is still to be decided.
    pub state: FindingState,
    /// The partition it is about, if it is about one.
    pub partition: Option<PartitionKey>,
    /// The seconds it is about, if it is about some of its partition and not the whole.
    pub at: Option<EpochRange>,
    /// How many it stands for: 1, or more where the others of its kind are only counted.
    pub n: u64,
    /// What it was seen in: a path, a partition, an epoch.
    pub subject: String,
    /// What the promise says.
    pub expected: String,
    /// What was found instead.
    pub found: String,
    /// What to do about it, if anything.
    pub advice: Option<Advice>,
    /// The same in the words of the older build that made it.
    pub old_advice: String,
}

impl Finding {
    /// Makes a finding of [`Severity::Error`].
    pub fn error(
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(Severity::Error, kind, subject, expected, found)
    }

    /// Makes a finding of [`Severity::Warning`].
    pub fn warning(
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(Severity::Warning, kind, subject, expected, found)
    }

    /// Makes a finding of [`Severity::Info`].
    pub fn info(
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(Severity::Info, kind, subject, expected, found)
    }

    /// Names the partition it is about.
    #[must_use]
    pub fn in_partition(mut self, key: &PartitionKey) -> Self {
        self.partition = Some(key.clone());
        self
    }

    /// Names the seconds it is about.
    #[must_use]
    pub fn at(mut self, at: EpochRange) -> Self {
        self.at = Some(at);
        self
    }

    /// Says whether it is still to be decided.
    #[must_use]
    pub fn in_state(mut self, state: FindingState) -> Self {
        self.state = state;
        self
    }

    /// Says that it stands for `n`.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.n = n;
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: Advice) -> Self {
        self.advice = Some(advice);
        self
    }

    /// What it means for the archive from now on: `verify`, `status`, `report`, the gate, the exit
    /// code and the metrics all go by this, and by nothing else. An error breaks the archive and
    /// closes the gate; anything less does neither.
    ///
    /// Only the run that sees a finding first goes by its [`severity`](Self::severity) as well.
    pub fn weight(&self) -> Severity {
        match self.state {
            FindingState::Accepted | FindingState::Settled => Severity::Info,
            FindingState::Open if self.kind.is_doubt() || self.kind.is_refusal() => {
                self.severity.min(Severity::Warning)
            }
            FindingState::Open => self.severity,
        }
    }

    /// The same, as severe as it [weighs](Self::weight).
    #[must_use]
    pub fn weighed(&self) -> Self {
        Self { severity: self.weight(), ..self.clone() }
    }

    /// Tells whether the source names another price than was published, and nobody took it yet.
    pub fn is_open_restatement(&self) -> bool {
        self.kind == FindingKind::Restatement
            && self.state == FindingState::Open
            && self.severity == Severity::Error
    }

    /// Tells whether each later run tells it again until it is dealt with.
    pub fn stands(&self) -> bool {
        self.weight() == Severity::Error || self.is_open_restatement()
    }

    /// Tells whether both say the same, whichever build wrote them.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.what_it_says() == other.what_it_says()
    }

    /// What it says, to be compared with what others say.
    pub fn what_it_says(&self) -> impl Eq + Hash + '_ {
        let said = (self.kind, self.at, self.n, self.state);
        (said, [self.subject.as_str(), &self.expected, &self.found])
    }

    /// What to do about it, with commands that can be typed as they stand; empty if nothing need
    /// be done.
    pub fn repair(&self, place: &Place) -> String {
        match self.advice {
            Some(advice) => advice.words(self.partition.as_ref(), place),
            None => self.old_advice.clone(),
        }
    }

    fn new(
        severity: Severity,
        kind: FindingKind,
        subject: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        // No doubt is a broken promise.
        let is_doubt = kind.is_doubt();
        Self {
            severity: if is_doubt { severity.min(Severity::Warning) } else { severity },
            kind,
            state: FindingState::Open,
            partition: None,
            at: None,
            n: 1,
            subject: subject.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
            advice: None,
            old_advice: String::new(),
        }
    }
}

/// `error off_grid R_100 ticks 2026-03: expected …, found …`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, kind, subject, expected, found, .. } = self;
        write!(f, "{severity} {kind}: {subject}: expected {expected}, found {found}")
    }
}

/// A finding as it stands in JSON. The order of the fields is the order in the file.
#[derive(Serialize, Deserialize)]
struct Written {
    severity: Severity,
    kind: FindingKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<FindingState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partition: Option<PartitionKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<EpochRange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    subject: String,
    expected: String,
    found: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(default)]
    repair: String,
}

impl From<Finding> for Written {
    fn from(finding: Finding) -> Self {
        Self {
            repair: finding.repair(&Place::default()),
            severity: finding.severity,
            kind: finding.kind,
            state: Some(finding.state).filter(|state| *state != FindingState::Open),
            partition: finding.partition,
            at: finding.at,
            n: Some(finding.n).filter(|n| *n != 1),
            subject: finding.subject,
            expected: finding.expected,
            found: finding.found,
            advice: finding.advice.map(|advice| advice.word().to_owned()),
        }
    }
}

impl From<Written> for Finding {
    fn from(written: Written) -> Self {
        let known = |word: &str| Advice::ALL.iter().find(|advice| advice.word() == word).copied();
        let advice = written.advice.as_deref().and_then(known);
        let is_old = written.partition.is_none() && written.advice.is_none();
        let finding = Self {
            severity: written.severity,
            kind: written.kind,
            state: written.state.unwrap_or_default(),
            partition: written.partition,
            at: written.at,
            n: written.n.unwrap_or(1),
            subject: written.subject,
            expected: written.expected,
            found: written.found,
            old_advice: if advice.is_some() { String::new() } else { written.repair },
            advice,
        };
        if is_old { finding.understood_as_of_an_older_build() } else { finding }
    }
}

/// How the subject of a finding about a file of another tool ended in older builds.
const OLD_AS_FOUND: &str = "as another tool left it";

/// `2026-03-07T12:00:05Z` has so many bytes.
const ISO_LEN: usize = 20;

/// No text of an older build that names a time is longer.
const MOST_OLD_BYTES: usize = 4096;

impl Finding {
    /// Fills the fields that older builds did not have from the words they used instead. The one
    /// place where words are read.
    fn understood_as_of_an_older_build(mut self) -> Self {
        if self.at.is_none() {
            let texts = [&self.subject, &self.expected, &self.found];
            let epochs = || texts.into_iter().flat_map(|text| epochs_in(text));
            let (first, last) = (epochs().min(), epochs().max());
            self.at = first.zip(last).and_then(|(a, b)| EpochRange::inclusive(a, b));
        }
        if self.kind == FindingKind::CoverageMissing && self.expected.starts_with("a second answer")
        {
            self.kind = FindingKind::NotCompared;
        }
        if self.state == FindingState::Open {
            let is_accepted =
                self.kind == FindingKind::Restatement && self.severity == Severity::Info;
            let is_as_found = self.subject.ends_with(OLD_AS_FOUND);
            self.state = match (is_accepted, is_as_found) {
                (true, _) => FindingState::Accepted,
                (_, true) => FindingState::Settled,
                _ => FindingState::Open,
            };
        }
        if self.is_open_restatement() {
            self.advice = Some(Advice::AcceptRestatement);
        }
        self
    }
}

fn epochs_in(text: &str) -> impl Iterator<Item = Epoch> {
    let iso = move |at: usize| {
        let piece = text.get(at..at + ISO_LEN).filter(|piece| piece.ends_with('Z'))?;
        let utc = DateTime::parse_from_rfc3339(piece).ok()?;
        Some(Epoch::new(utc.timestamp()))
    };
    (0..text.len().min(MOST_OLD_BYTES)).filter_map(iso)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(severity: &str, kind: &str, subject: &str, found: &str) -> Finding {
        let json = serde_json::json!({ "severity": severity, "kind": kind, "subject": subject,
            "expected": "e", "found": found, "repair": "run it" });
        serde_json::from_value(json).unwrap()
    }

    fn seconds(first: i64, last: i64) -> Option<EpochRange> {
        EpochRange::inclusive(Epoch::new(first), Epoch::new(last))
    }

    /// Files of older builds have the words alone; what they meant stays true.
    #[test]
    fn old_words_become_fields() {
        // 2026-03-07T12:00:05Z is 1772884805.
        let at = "R_100 ticks 2026-03 at 2026-03-07T12:00:05Z";
        let refused = old("error", "restatement", at, "quote 2");
        assert_eq!(refused.at, seconds(1_772_884_805, 1_772_884_805));
        assert!(refused.is_open_restatement());
        assert_eq!(refused.old_advice, "run it");
        let range = "größer: none from 2026-03-07T12:00:00Z to 2026-03-07T12:00:10Z";
        let gap = old("warning", "unexplained_gap", "R_100 ticks 2026-03", range);
        assert_eq!(gap.at, seconds(1_772_884_800, 1_772_884_810));
        assert_eq!(old("error", "restatement", "R_100", "12 more rows").at, None);
        let state = |severity, kind, subject| old(severity, kind, subject, "x").state;
        assert_eq!(state("info", "restatement", "R_100"), FindingState::Accepted);
        assert_eq!(state("warning", "restatement", "R_100"), FindingState::Open);
        let as_found = "R_100 ticks 2026-03, as another tool left it";
        assert_eq!(state("warning", "foreign_rows", as_found), FindingState::Settled);
    }

    /// The words of a build that has the fields say nothing to it.
    #[test]
    fn what_is_written_is_read() {
        let key: PartitionKey = "R_100/ticks/2026-03".parse().unwrap();
        let text = "R_100 ticks 2026-03 at 2026-03-07T12:00:05Z";
        for kind in FindingKind::ALL {
            let plain = Finding::error(*kind, text, "a", "b").in_partition(&key);
            let whole =
                plain.clone().advise(Advice::Repair).times(3).in_state(FindingState::Settled);
            for finding in [plain, whole] {
                let json = serde_json::to_string(&finding).unwrap();
                assert_eq!(serde_json::from_str::<Finding>(&json).unwrap(), finding, "{json}");
            }
        }
    }

    #[test]
    fn what_a_finding_weighs() {
        use FindingKind::{LostBehindWall, OffGrid, Restatement, RowsHash};
        let weight = |kind, state| Finding::error(kind, "a", "b", "c").in_state(state).weight();
        assert_eq!(weight(RowsHash, FindingState::Open), Severity::Error);
        assert_eq!(weight(LostBehindWall, FindingState::Open), Severity::Error);
        assert_eq!(weight(Restatement, FindingState::Open), Severity::Warning);
        assert_eq!(weight(OffGrid, FindingState::Open), Severity::Warning);
        assert_eq!(weight(Restatement, FindingState::Accepted), Severity::Info);
        assert_eq!(weight(RowsHash, FindingState::Settled), Severity::Info);
        assert_eq!(Finding::info(Restatement, "a", "b", "c").weight(), Severity::Info);
    }
}
