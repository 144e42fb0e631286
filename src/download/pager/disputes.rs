//! Positions of which two answers said different things, twice: they are asked a third time, and
//! only what then still stands is an error.

use std::collections::BTreeMap;

use crate::domain::{Epoch, Finding, Page, Record};

/// Positions asked a third time at most; of the others the finding stays as it is.
const MAX_DISPUTES: usize = 64;

/// What is disputed: the row that is kept, and what was said of it.
#[derive(Debug)]
pub(super) struct Disputes<R> {
    open: BTreeMap<Epoch, (R, Finding)>,
}

impl<R> Default for Disputes<R> {
    fn default() -> Self {
        Self { open: BTreeMap::new() }
    }
}

impl<R: Record> Disputes<R> {
    /// Notes the row that is kept at `position`, and the finding that names both answers.
    pub(super) fn note(&mut self, position: Epoch, kept: Option<R>, finding: &Finding) {
        if let Some(kept) = kept.filter(|_| self.open.len() < MAX_DISPUTES) {
            self.open.insert(position, (kept, finding.clone()));
        }
    }

    /// The disputed positions, ascending.
    pub(super) fn positions(&self) -> Vec<Epoch> {
        self.open.keys().copied().collect()
    }

    /// Takes another answer and returns the findings that it settles: those whose kept row it
    /// holds as well.
    pub(super) fn settle(&mut self, page: &Page<R>) -> impl Iterator<Item = Finding> + use<R> {
        let is_agreed = |kept: &R| {
            let found = page.records.binary_search_by_key(&kept.epoch(), Record::epoch);
            let is_clear = page.conflicts.iter().all(|c| c.kept.epoch() != kept.epoch());
            is_clear && found.is_ok_and(|index| page.records[index] == *kept)
        };
        let settled: Vec<Epoch> = self
            .open
            .iter()
            .filter(|(_, (kept, _))| is_agreed(kept))
            .map(|(position, _)| *position)
            .collect();
        let findings: Vec<Finding> =
            settled.iter().filter_map(|at| self.open.remove(at)).map(|(_, f)| f).collect();
        findings.into_iter()
    }
}
