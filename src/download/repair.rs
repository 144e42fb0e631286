//! Pure: from what a check found to the seconds that are asked again, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    AskReason, Coverage, CoverageState, Doubt, EpochRange, Evidence, Month, PartitionKey, RangeSet,
    Remedy, Series, StoredPartition, Symbol,
};

use super::plan::PlannedPartition;
use super::profile::unit_secs;

/// What is to be asked of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    /// Which seconds, and why; ascending by reason, then by time.
    pub doubts: Vec<Doubt>,
}

/// What is to be asked, partition by partition. A partition without a doubt is only published anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Orders(pub BTreeMap<PartitionKey, Order>);

impl Order {
    /// The seconds to ask, all of them.
    pub fn ranges(&self) -> RangeSet {
        self.doubts.iter().map(|doubt| doubt.range).collect()
    }

    /// Those whose rows the files gave up.
    fn ranges_given_up(&self) -> impl Iterator<Item = EpochRange> + '_ {
        let given_up = self.doubts.iter().filter(|doubt| doubt.reason.gives_up_rows());
        given_up.map(|doubt| doubt.range)
    }

    /// Silences that are asked by themselves.
    fn silences(&self) -> impl Iterator<Item = EpochRange> + '_ {
        let is_silent =
            |doubt: &&Doubt| matches!(doubt.reason, AskReason::Unexplained | AskReason::SecondLook);
        self.doubts.iter().filter(is_silent).map(|doubt| doubt.range)
    }

    /// Those that are asked whatever became of the files.
    fn ranges_left(&self) -> RangeSet {
        let is_left = |doubt: &&Doubt| {
            // What nothing explains is asked by itself wherever a partition is worked on.
            !doubt.reason.gives_up_rows()
                && !matches!(doubt.reason, AskReason::Unexplained | AskReason::SecondLook)
        };
        let left = self.doubts.iter().filter(is_left);
        left.map(|doubt| doubt.range).collect()
    }
}

impl Orders {
    /// Tells whether nothing is to be asked and nothing to be published.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The series, each once.
    pub fn series(&self) -> Vec<Series> {
        let series: BTreeSet<_> = self.0.keys().map(|key| &key.series).collect();
        series.into_iter().cloned().collect()
    }

    /// From the first month to the last.
    pub fn span(&self) -> Option<EpochRange> {
        let months = || self.0.keys().map(|key| key.month.range());
        EpochRange::new(
            months().map(EpochRange::start).min()?,
            months().map(EpochRange::end).max()?,
        )
    }
}

/// Turns what was found into orders: what is in doubt; what failed or was never asked between the
/// first and the last second that its series holds; and for a partition of which nothing is known
/// any more its month, as far as the series of its symbol reach. Locked partitions get none.
pub fn orders(evidence: &[Evidence]) -> Orders {
    let mut doubts: BTreeMap<PartitionKey, BTreeSet<Doubt>> = BTreeMap::new();
    let spans = spans(evidence);
    let known: BTreeMap<&PartitionKey, &Evidence> = evidence.iter().map(|e| (&e.key, e)).collect();
    for (series, span) in &spans {
        for month in Month::touching(*span) {
            let key = PartitionKey { series: (*series).clone(), month };
            let found = known.get(&key);
            if found.is_some_and(|evidence| is_left_alone(evidence)) {
                continue;
            }
            let coverage = found.and_then(|evidence| evidence.coverage.clone());
            let unasked = unasked(&coverage.unwrap_or_default(), *span, month);
            if !unasked.is_empty() {
                doubts.entry(key).or_default().extend(unasked);
            }
        }
    }
    for evidence in evidence.iter().filter(|evidence| !is_left_alone(evidence)) {
        let lost = lost_month(evidence, &spans);
        let is_at_work =
            evidence.is_staged || evidence.remedy != Remedy::Keep || !evidence.doubts.is_empty();
        if is_at_work || lost.is_some() {
            let order = doubts.entry(evidence.key.clone()).or_default();
            order.extend(evidence.doubts.iter().copied().chain(lost));
            if matches!(evidence.remedy, Remedy::Rewrite { .. } | Remedy::Salvage) {
                order.extend(not_offered(evidence));
            }
        }
    }
    let order = |doubts: BTreeSet<Doubt>| Order { doubts: doubts.into_iter().collect() };
    Orders(doubts.into_iter().map(|(key, doubts)| (key, order(doubts))).collect())
}

fn is_left_alone(evidence: &Evidence) -> bool {
    evidence.is_locked || matches!(evidence.remedy, Remedy::Leave(_))
}

/// From the first to the last second of each series of which anything is known.
fn spans(evidence: &[Evidence]) -> BTreeMap<&Series, EpochRange> {
    let mut spans: BTreeMap<&Series, EpochRange> = BTreeMap::new();
    for found in evidence {
        let Some(hull) = found.coverage.as_ref().and_then(hull) else { continue };
        let span = spans.entry(&found.key.series).or_insert(hull);
        *span = joined(*span, hull);
    }
    spans
}

fn joined(a: EpochRange, b: EpochRange) -> EpochRange {
    EpochRange::new(a.start().min(b.start()), a.end().max(b.end())).unwrap_or(a)
}

fn hull(coverage: &Coverage) -> Option<EpochRange> {
    let ranges = coverage.ranges();
    EpochRange::new(ranges.first()?.start, ranges.last()?.end)
}

fn unasked(coverage: &Coverage, span: EpochRange, month: Month) -> Vec<Doubt> {
    let Some(inside) = span.intersect(month.range()) else { return Vec::new() };
    let failed = coverage.select(|state| state == CoverageState::Failed).within(inside);
    let mut never = coverage.missing(inside);
    never.remove_all(&failed);
    let doubt = |reason| move |range| Doubt { reason, range };
    let failed = failed.iter().map(doubt(AskReason::Failed)).collect::<Vec<_>>();
    failed.into_iter().chain(never.iter().map(doubt(AskReason::NeverAsked))).collect()
}

/// The month of a partition of which nothing is known: as far as the series of its symbol reach,
/// or whole if none is known.
fn lost_month(evidence: &Evidence, spans: &BTreeMap<&Series, EpochRange>) -> Option<Doubt> {
    let is_elsewhere = matches!(evidence.remedy, Remedy::Return(_));
    // A file that was given up and still has its name is replaced by what is asked.
    let is_waiting = evidence.is_staged && evidence.remedy != Remedy::Salvage;
    if evidence.coverage.is_some() || is_waiting || is_elsewhere {
        return None;
    }
    let month = evidence.key.month.range();
    let symbol: &Symbol = &evidence.key.series.symbol;
    let of_symbol = spans.iter().filter(|(series, _)| series.symbol == *symbol);
    let range = match of_symbol.map(|(_, span)| *span).reduce(joined) {
        Some(span) => span.intersect(month)?,
        None => month,
    };
    Some(Doubt { reason: AskReason::Damaged, range })
}

/// What lay behind the wall: nobody writes that down again but a run that looks there.
fn not_offered(evidence: &Evidence) -> Vec<Doubt> {
    let Some(coverage) = &evidence.coverage else { return Vec::new() };
    let behind = coverage.select(|state| state == CoverageState::NotOffered);
    behind.iter().map(|range| Doubt { reason: AskReason::NeverAsked, range }).collect()
}

/// The plan of one ordered partition; `offered` are its seconds before the source's now; a dry run
/// has left its files as they are. `None` if nothing was ever known of it and nothing is to be asked.
pub(super) fn planned(
    key: PartitionKey,
    order: &Order,
    offered: EpochRange,
    stored: &StoredPartition,
    is_dry_run: bool,
) -> Option<PlannedPartition> {
    let unit = unit_secs(key.series.kind);
    let whole = |range: EpochRange| {
        EpochRange::new(range.start().floor_to(unit, 0), range.end().ceil_to(unit, 0))
    };
    let coverage = stored.coverage();
    let mut asked = order.ranges_left();
    asked.extend(&stored.lost);
    for range in order.ranges_given_up() {
        // The files were dealt with: what is settled now was saved. A dry run has not done so.
        let given_up = if is_dry_run { RangeSet::from(range) } else { coverage.missing(range) };
        asked.extend(&given_up);
    }
    let mut missing = RangeSet::new();
    for range in asked.iter().filter_map(whole).filter_map(|range| range.intersect(offered)) {
        missing.insert(range);
    }
    // What a stopped repair was answered already.
    missing.remove_all(&stored.asked);
    let wanted = [set_hull(&missing), hull(&coverage)].into_iter().flatten().reduce(joined)?;
    if stored.locked {
        missing = RangeSet::new();
    }
    let settled = coverage.select(CoverageState::is_settled);
    let mut again = RangeSet::new();
    missing.iter().for_each(|range| again.extend(&settled.within(range)));
    let planned = super::prepare::planned(key, wanted, missing, again, stored);
    let second_looks = order.silences().filter_map(|range| range.intersect(offered)).collect();
    Some(PlannedPartition { is_ordered: true, second_looks, ..planned })
}

fn set_hull(set: &RangeSet) -> Option<EpochRange> {
    EpochRange::new(set.iter().next()?.start(), set.iter().next_back()?.end())
}

#[cfg(test)]
mod tests;
