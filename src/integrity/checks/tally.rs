//! Counts broken promises of one kind and names the first few, so that a file with a million bad
//! rows makes a handful of findings.

use crate::domain::{Epoch, Finding, FindingKind, FindingState, Severity};

/// Rows of one kind of fault that are named one by one.
const MAX_NAMED: usize = 3;

/// How often one promise was broken, and where first.
#[derive(Debug)]
pub(crate) struct Tally {
    severity: Severity,
    kind: FindingKind,
    expected: String,
    max_named: usize,
    n: u64,
    named: Vec<(Epoch, String)>,
    last: Option<Epoch>,
}

impl Tally {
    /// Starts at zero; a broken promise is an error.
    pub(crate) fn errors(kind: FindingKind, expected: impl Into<String>) -> Self {
        let (severity, expected) = (Severity::Error, expected.into());
        Self { severity, kind, expected, max_named: MAX_NAMED, n: 0, named: Vec::new(), last: None }
    }

    /// Starts at zero; what is seen is a warning, and the first `max_named` are named.
    pub(crate) fn warnings(
        kind: FindingKind,
        expected: impl Into<String>,
        max_named: usize,
    ) -> Self {
        Self { severity: Severity::Warning, max_named, ..Self::errors(kind, expected) }
    }

    /// Starts at zero; a broken promise is an error, and the first `max_named` are named.
    pub(crate) fn named_errors(
        kind: FindingKind,
        expected: impl Into<String>,
        max_named: usize,
    ) -> Self {
        Self { max_named, ..Self::errors(kind, expected) }
    }

    /// Starts at zero; what is seen is worth knowing, and the first `max_named` are named.
    pub(crate) fn infos(kind: FindingKind, expected: impl Into<String>, max_named: usize) -> Self {
        Self { severity: Severity::Info, max_named, ..Self::errors(kind, expected) }
    }

    /// Counts one more; `found` is only asked for as long as rows are named.
    pub(crate) fn note(&mut self, epoch: Epoch, found: impl FnOnce() -> String) {
        self.n += 1;
        self.last = Some(epoch);
        if self.named.len() < self.max_named {
            self.named.push((epoch, found()));
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.n
    }

    /// One finding for each named row, and one with the count if there were more.
    pub(crate) fn into_findings(self, place: &str, repair: &str, findings: &mut Vec<Finding>) {
        let Self { severity, kind, expected, n, named, last, .. } = self;
        let make = |subject, found| Finding {
            severity,
            kind,
            state: FindingState::Open,
            partition: None,
            at: None,
            subject,
            expected: expected.clone(),
            found,
            repair: repair.to_owned(),
        };
        let n_named = named.len() as u64;
        for (epoch, found) in named {
            findings.push(make(format!("{place} at {epoch}"), found));
        }
        if let Some(last) = last.filter(|_| n > n_named) {
            let found = format!("{n} times in all, the last at {last}");
            findings.push(make(place.to_owned(), found));
        }
    }
}
