//! The checker at the seam of the store: it sees each partition right after it was written.

use std::path::Path;

use crate::domain::{
    Advice, Finding, FindingKind, Inspection, PartitionInspector, PartitionKey, SilenceFacts,
};

use super::examine::{Subject, examine};

/// Checks a partition file and its footer in one pass over its rows; the sidecar is not there yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartitionChecker;

impl PartitionInspector for PartitionChecker {
    fn inspect(
        &self,
        key: &PartitionKey,
        file: &Path,
        silence: &SilenceFacts,
        written: Option<&str>,
    ) -> Inspection {
        let place = key.to_string();
        // Thresholds are a matter of whoever looks: what a sidecar says must not depend on them.
        let (claimed, thresholds) = (&[], None);
        let subject =
            Subject { place: &place, key, path: file, silence, claimed, thresholds, written };
        let mut examined = examine(&subject);
        if examined.is_foreign {
            // In an archive such a file is another tool's; here it is one that was just written.
            let expected = "a file with the footer of titan-download";
            let finding = Finding::error(FindingKind::FooterMismatch, place, expected, "none");
            examined.findings.push(finding.advise(Advice::RepairRows));
        }
        let own = |finding: Finding| finding.in_partition(key);
        Inspection {
            gaps: examined.gaps,
            gaps_detected: examined.gaps_detected,
            findings: examined.findings.into_iter().map(own).collect(),
        }
    }
}
