//! Counts broken promises of one kind and names the first few, so that a file with a million bad
//! rows makes a handful of findings.

use crate::domain::{Advice, Epoch, EpochRange, Finding, FindingKind, Severity};

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
    named: Vec<(Option<EpochRange>, Epoch, String)>,
    last: Option<Epoch>,
    /// What all of them lie in.
    span: Option<EpochRange>,
}

impl Tally {
    /// Starts at zero; a broken promise is an error.
    pub(crate) fn errors(kind: FindingKind, expected: impl Into<String>) -> Self {
        let (severity, expected) = (Severity::Error, expected.into());
        Self {
            severity,
            kind,
            expected,
            max_named: MAX_NAMED,
            n: 0,
            named: Vec::new(),
            last: None,
            span: None,
        }
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

    /// Counts one more second; `found` is only asked for as long as rows are named.
    pub(crate) fn note(&mut self, epoch: Epoch, found: impl FnOnce() -> String) {
        self.note_until(epoch, epoch.plus(1), found);
    }

    /// Counts one more stretch of seconds, as [`note`](Self::note) does.
    pub(crate) fn note_until(&mut self, start: Epoch, end: Epoch, found: impl FnOnce() -> String) {
        self.n += 1;
        self.last = Some(start);
        let range = EpochRange::new(start, end);
        self.span = self.span.into_iter().chain(range).reduce(EpochRange::hull);
        if self.named.len() < self.max_named {
            self.named.push((range, start, found()));
        }
    }

    /// Counts `n` more seconds up to `last`, none of which is named.
    pub(crate) fn note_more(&mut self, n: u64, last: Epoch) {
        self.n += n;
        self.last = self.last.max(Some(last));
        let end = last.plus(1);
        self.span = self.span.and_then(|span| EpochRange::new(span.start(), span.end().max(end)));
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.n
    }

    /// One finding for each that is named, and one that stands for the others.
    pub(crate) fn into_findings(
        self,
        place: &str,
        advice: Option<Advice>,
        findings: &mut Vec<Finding>,
    ) {
        let Self { severity, kind, expected, n, named, last, span, .. } = self;
        let mut make = |subject: String, found: String, at, n| {
            let finding = Finding::error(kind, subject, &expected, found).times(n);
            findings.push(Finding { severity, advice, at, ..finding });
        };
        let n_more = n - named.len() as u64;
        for (range, epoch, found) in named {
            make(format!("{place} at {epoch}"), found, range, 1);
        }
        if let Some(last) = last.filter(|_| n_more > 0) {
            make(place.to_owned(), format!("{n} times in all, the last at {last}"), span, n_more);
        }
    }
}
