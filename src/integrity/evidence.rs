//! What a check found, as facts for a repair: which remedy the files need, which seconds are in
//! doubt. Pure; the words for people are in the findings.

use crate::domain::{
    AskReason, Coverage, CoverageRange, CoverageState, Doubt, EpochRange, Evidence, Finding,
    FindingKind, Gap, GapClass, Kind, PartitionKey, RangeSet, Remedy, Severity,
};
use crate::format::digest::DayDigest;
use crate::format::{FORMAT_VERSION, Footer, Sidecar};

use super::examine::Examined;

const SECS_PER_DAY: i64 = 86_400;

/// Everything one look at a partition gave.
pub(crate) struct Looked<'a> {
    pub(crate) key: &'a PartitionKey,
    pub(crate) examined: &'a Examined,
    /// The sidecar, if there is one that can be read.
    pub(crate) sidecar: Option<&'a Sidecar>,
    /// Whether there is one that only a newer version of this program can read.
    pub(crate) is_sidecar_newer: bool,
    /// Whether the file has the hash that the sidecar says.
    pub(crate) has_said_hash: bool,
    /// All that was found.
    pub(crate) findings: &'a [Finding],
    /// Seconds of this partition that its candles, or its ticks, contradict.
    pub(crate) contradicted: RangeSet,
    /// Whether silence that no sidecar lists is in doubt even if nothing else is wrong.
    pub(crate) is_deep: bool,
}

impl Looked<'_> {
    /// The facts of it.
    pub(crate) fn evidence(&self) -> Evidence {
        let remedy = self.remedy();
        let mut doubts = Vec::new();
        if !self.is_locked() && !matches!(remedy, Remedy::Leave(_)) {
            doubts.extend(self.doubts(&remedy));
        }
        Evidence {
            key: self.key.clone(),
            is_locked: self.is_locked(),
            coverage: self.coverage(&remedy),
            remedy,
            doubts,
            is_staged: false,
            said: self.said(),
        }
    }

    fn said(&self) -> Vec<Finding> {
        let stands = |finding: &&Finding| {
            finding.severity == Severity::Error
                && matches!(finding.kind, FindingKind::LostBehindWall | FindingKind::Restatement)
        };
        let findings = self.own_sidecar().map(|s| s.findings.as_slice()).unwrap_or_default();
        findings.iter().filter(stands).cloned().collect()
    }

    fn is_locked(&self) -> bool {
        self.sidecar.is_some_and(|sidecar| sidecar.locked)
    }

    fn is_broken(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The sidecar, if it is one of ours about this partition.
    fn own_sidecar(&self) -> Option<&Sidecar> {
        let series = &self.key.series;
        let data_type = if series.kind.granularity().is_some() { "candles" } else { "ticks" };
        self.sidecar.filter(|sidecar| {
            !sidecar.is_foreign()
                && sidecar.symbol == series.symbol
                && sidecar.data_type == data_type
                && sidecar.granularity == series.kind.granularity().map(u32::from)
                && sidecar.month == Some(self.key.month.to_string())
        })
    }

    /// The sidecar, if it was written for the file that is there.
    fn fitting_sidecar(&self) -> Option<&Sidecar> {
        self.own_sidecar().filter(|_| self.has_said_hash)
    }

    fn remedy(&self) -> Remedy {
        if self.is_locked() {
            return Remedy::Keep;
        }
        if let Some(why) = self.left_alone() {
            return Remedy::Leave(why);
        }
        if !self.is_broken() {
            return Remedy::Keep;
        }
        let Some(footer) = &self.examined.footer else { return Remedy::Salvage };
        if footer.key != *self.key {
            // Rows of another kind or month cannot be judged here: whoever brings the file home
            // reads them, and gives it up if they are not what it promises.
            return Remedy::Return(footer.key.clone());
        }
        if !self.is_whole(footer) {
            return Remedy::Salvage;
        }
        if self.is_out_of_form() || self.is_other_file(footer) {
            return Remedy::Rewrite { wrong: self.wrong() };
        }
        let is_of_sidecar = |finding: &Finding| {
            finding.severity == Severity::Error
                && !matches!(
                    finding.kind,
                    FindingKind::TicksMissing
                        | FindingKind::CandleMissing
                        | FindingKind::CoverageMissing
                        | FindingKind::BadPrice
                )
        };
        match self.findings.iter().any(is_of_sidecar) {
            true => Remedy::RebuildSidecar,
            false => Remedy::Keep,
        }
    }

    /// Why nobody may touch it.
    fn left_alone(&self) -> Option<String> {
        let is_newer = |version: Option<u32>| version.is_some_and(|v| v > FORMAT_VERSION);
        if self.is_sidecar_newer || is_newer(self.sidecar.and_then(|s| s.format_version)) {
            return Some("a newer version of this program wrote it".to_owned());
        }
        if self.examined.is_undecodable {
            return Some("this build cannot read it, which says nothing against it".to_owned());
        }
        let is_foreign = self.examined.is_foreign && self.own_sidecar().is_none();
        is_foreign.then(|| "another tool wrote it; `titan-download adopt` takes it over".to_owned())
    }

    /// Tells whether the rows are those that the file promises, wherever it lies.
    fn is_whole(&self, footer: &Footer) -> bool {
        let Some(rows) = &self.examined.rows else { return false };
        let Some(digests) = &rows.digests else { return false };
        u64::try_from(self.examined.declared_rows.unwrap_or(-1)) == Ok(footer.record_count)
            && rows.n_rows == footer.record_count
            && digests.rows_sha256 == footer.rows_sha256
            && digests.days == footer.days
    }

    fn wrong(&self) -> RangeSet {
        self.examined.rows.as_ref().map(|rows| rows.wrong.clone()).unwrap_or_default()
    }

    /// Tells whether the rows, which are those that were promised, do not lie as the rows of a
    /// partition have to: in order, each epoch once, inside the month, where something was answered.
    fn is_out_of_form(&self) -> bool {
        let is_out_of_form = |finding: &Finding| {
            matches!(
                finding.kind,
                FindingKind::Unsorted
                    | FindingKind::DuplicateRow
                    | FindingKind::OutsideMonth
                    | FindingKind::OutsideCoverage
            )
        };
        self.findings.iter().any(is_out_of_form)
    }

    /// Tells whether the file, whose rows are good, is not the one that was written: its footer
    /// has another form, or the sidecar that describes it says something else.
    fn is_other_file(&self, footer: &Footer) -> bool {
        let is_of_footer = |finding: &Finding| finding.kind == FindingKind::FooterMismatch;
        if self.findings.iter().any(is_of_footer) {
            return true;
        }
        let Some(sidecar) = self.own_sidecar() else { return false };
        let is_same_knowledge = sidecar.rows_sha256.as_ref() == Some(&footer.rows_sha256)
            && sidecar.coverage() == footer.coverage
            && sidecar.days == footer.days;
        match self.has_said_hash {
            true => sidecar.coverage() != footer.coverage,
            false => sidecar.sha256.is_some() && is_same_knowledge,
        }
    }

    /// What the partition holds as far as its files can be believed; `None` if nothing tells.
    fn coverage(&self, remedy: &Remedy) -> Option<Coverage> {
        let month = self.key.month.range();
        let of_sidecar = || self.own_sidecar().map(Sidecar::coverage);
        let coverage = match (remedy, &self.examined.footer) {
            (Remedy::Return(_), _) => return None,
            (Remedy::Salvage, _) => match (&self.examined.footer, of_sidecar()) {
                (_, Some(said)) => said,
                (Some(footer), None) if footer.key == *self.key => footer.coverage.clone(),
                _ => return None,
            },
            (_, Some(footer)) => match self.fitting_sidecar() {
                Some(sidecar) if sidecar.coverage() != footer.coverage => {
                    agreed(&footer.coverage, &sidecar.coverage())
                }
                _ => footer.coverage.clone(),
            },
            (_, None) => of_sidecar().unwrap_or_default(),
        };
        Some(coverage.clipped(month))
    }

    fn doubts(&self, remedy: &Remedy) -> Vec<Doubt> {
        let doubt = |reason| move |range| Doubt { reason, range };
        let month = self.key.month.range();
        let mut doubts: Vec<Doubt> = Vec::new();
        let contradicted = self.contradicted.within(month);
        doubts.extend(contradicted.iter().map(doubt(AskReason::Contradicted)));
        match remedy {
            Remedy::Salvage => {
                doubts.extend(self.damaged().iter().map(doubt(AskReason::Damaged)));
                return doubts;
            }
            Remedy::Return(_) => return Vec::new(),
            _ => {}
        }
        let wrong = self.wrong();
        doubts.extend(wrong.within(month).iter().map(doubt(AskReason::Wrong)));
        let unexplained = |gap: &&Gap| gap.class == GapClass::Unexplained;
        let range = |gap: &Gap| EpochRange::new(gap.start, gap.end);
        let silent = self.unlisted(!wrong.is_empty());
        doubts.extend(silent.iter().filter_map(range).map(doubt(AskReason::Silent)));
        let unexplained = self.examined.gaps.iter().filter(unexplained);
        // Both are ascending, as the gaps of a file are.
        let is_silent = |gap: &&Gap| silent.binary_search_by_key(&gap.start, |s| s.start).is_ok();
        let unexplained = unexplained.filter(|gap| !is_silent(gap));
        doubts.extend(unexplained.filter_map(range).map(doubt(AskReason::Unexplained)));
        let listed = self.fitting_sidecar().map(|sidecar| sidecar.gaps.as_slice());
        let young = listed.unwrap_or_default().iter().filter(|gap| gap.class == GapClass::Silent);
        doubts.extend(young.filter_map(range).map(doubt(AskReason::SecondLook)));
        doubts
    }

    /// The silences that the sidecar of this very file does not list, if something is wrong with
    /// what it says of them.
    fn unlisted(&self, is_forged: bool) -> Vec<Gap> {
        let Some(sidecar) = self.fitting_sidecar() else { return Vec::new() };
        let is_mismatch = |finding: &Finding| finding.kind == FindingKind::SidecarMismatch;
        if !(self.is_deep || is_forged || self.findings.iter().any(is_mismatch)) {
            return Vec::new();
        }
        let range = |gap: &Gap| EpochRange::new(gap.start, gap.end);
        let listed: RangeSet = sidecar.gaps.iter().filter_map(range).collect();
        let is_listed = |gap: &&Gap| range(gap).is_some_and(|range| listed.covers(range));
        // Silence where only one of file and sidecar claims an answer is none: nobody asked.
        let coverage = self.coverage(&Remedy::Keep).unwrap_or_default();
        let held = coverage.select(CoverageState::is_settled);
        let is_held = |gap: &&Gap| {
            EpochRange::new(gap.start, gap.end).is_some_and(|range| held.covers(range))
        };
        self.examined.gaps.iter().filter(|gap| !is_listed(gap)).filter(is_held).copied().collect()
    }

    /// The held seconds of the days that are not what they were: of all days, if the rows cannot
    /// be read.
    fn damaged(&self) -> RangeSet {
        let coverage = self.coverage(&Remedy::Salvage);
        let Some(coverage) = coverage else { return RangeSet::new() };
        let is_held = |state| matches!(state, CoverageState::Answered | CoverageState::Inherited);
        let held = coverage.select(is_held);
        let promised: &[DayDigest] = match (self.own_sidecar(), &self.examined.footer) {
            (Some(sidecar), _) if !sidecar.days.is_empty() => &sidecar.days,
            (_, Some(footer)) => &footer.days,
            _ => &[],
        };
        let seen = self.examined.rows.as_ref().and_then(|rows| rows.digests.as_ref());
        let Some(seen) = seen else { return held };
        let month = self.key.month.range();
        let n_days = month.len_secs() / SECS_PER_DAY;
        let days = (0..n_days).filter_map(|n| {
            let start = month.start().plus(n * SECS_PER_DAY);
            EpochRange::new(start, start.plus(SECS_PER_DAY))
        });
        let of = |days: &[DayDigest], day: EpochRange| {
            let date: String = day.start().to_string().chars().take(10).collect();
            days.iter().find(|digest| digest.date == date).cloned()
        };
        let is_damaged = |day: &EpochRange| of(promised, *day) != of(&seen.days, *day);
        let mut damaged = RangeSet::new();
        days.filter(is_damaged).for_each(|day| damaged.extend(&held.within(day)));
        damaged
    }
}

/// What both say, second by second.
fn agreed(a: &Coverage, b: &Coverage) -> Coverage {
    use CoverageState::{Answered, Failed, Inherited, NotOffered};
    let mut agreed = Vec::new();
    for state in [Failed, NotOffered, Inherited, Answered] {
        let of_a = a.select(|s| s == state);
        for range in b.select(|s| s == state).iter() {
            let both = of_a.within(range);
            agreed.extend(both.iter().map(|range| CoverageRange::of(range, state)));
        }
    }
    Coverage::from(agreed)
}

/// A sidecar whose file is gone: what it held is lost, and is asked again.
pub(crate) fn orphan(key: &PartitionKey, sidecar: Option<&Sidecar>) -> Evidence {
    let examined = Examined::default();
    let looked = Looked {
        key,
        examined: &examined,
        sidecar,
        is_sidecar_newer: false,
        has_said_hash: false,
        findings: &[],
        contradicted: RangeSet::new(),
        is_deep: false,
    };
    let is_locked = looked.is_locked();
    let coverage = looked.coverage(&Remedy::Salvage);
    let doubts = if is_locked { Vec::new() } else { looked.doubts(&Remedy::Salvage) };
    let remedy = match (is_locked, looked.left_alone()) {
        (true, _) => Remedy::Keep,
        (false, Some(why)) => Remedy::Leave(why),
        (false, None) => Remedy::Salvage,
    };
    Evidence { is_locked, coverage, remedy, doubts, ..Evidence::unknown(key.clone()) }
}

/// Tells which kind of partition holds the ticks of candles.
pub(crate) fn ticks_of(candles: &PartitionKey) -> Option<PartitionKey> {
    candles.series.kind.granularity()?;
    let series = crate::domain::Series { symbol: candles.series.symbol.clone(), kind: Kind::Ticks };
    Some(PartitionKey { series, month: candles.month })
}

#[cfg(test)]
mod tests;
