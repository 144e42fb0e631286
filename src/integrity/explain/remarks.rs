//! What was remarked about a second: findings that name it, files that were set aside.

use std::fs;
use std::path::Path;

use crate::domain::{Epoch, EpochRange, Finding, PartitionKey};
use crate::format::Layout;

/// `2026-03-07T12:00:05Z` has so many bytes.
const ISO_LEN: usize = 20;

/// Tells whether a finding is about a second of `about`: the times it names hold it between them,
/// or it names none, and is about the whole partition.
pub(super) fn touches(finding: &Finding, about: EpochRange) -> bool {
    let texts = [&finding.subject, &finding.expected, &finding.found];
    let epochs: Vec<Epoch> = texts.into_iter().flat_map(|text| epochs_in(text)).collect();
    match (epochs.iter().min(), epochs.iter().max()) {
        (Some(first), Some(last)) => *first < about.end() && about.start() <= *last,
        _ => true,
    }
}

fn epochs_in(text: &str) -> Vec<Epoch> {
    let iso = |at: usize| {
        let piece = text.get(at..at + ISO_LEN).filter(|piece| piece.ends_with('Z'))?;
        let utc = chrono::DateTime::parse_from_rfc3339(piece).ok()?;
        Some(Epoch::new(utc.timestamp()))
    };
    (0..text.len()).filter_map(iso).collect()
}

/// Files of a partition that lie in quarantine, below the folder of the archive, ascending. None
/// if the folder is closed to this user.
pub(super) fn quarantined(layout: &Layout, key: &PartitionKey) -> Vec<String> {
    let series = Path::new(key.series.symbol.as_str()).join(key.series.kind.folder());
    let month = key.month.to_string();
    let whole = layout.quarantine_dir().join(&series);
    let staged = layout.quarantine_dir().join("staging").join(&series).join(&month);
    let mut found = Vec::new();
    for (folder, prefix) in [(whole, format!("{month}.")), (staged, String::new())] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) {
                let path = folder.join(name);
                let relative = path.strip_prefix(layout.root()).unwrap_or(&path);
                found.push(relative.display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use crate::domain::FindingKind;

    use super::*;

    #[test]
    fn a_finding_touches_the_times_it_names() {
        let about = |secs| EpochRange::inclusive(Epoch::new(secs), Epoch::new(secs)).unwrap();
        let finding = |found: &str| {
            Finding::warning(FindingKind::UnexplainedGap, "R_100 ticks 2026-03", "rows", found)
        };
        // 2026-03-07T12:00:05Z is 1772884805.
        let range = finding("none from 2026-03-07T12:00:00Z to 2026-03-07T12:00:10Z");
        assert!(touches(&range, about(1_772_884_805)));
        assert!(!touches(&range, about(1_772_884_811)));
        assert!(!touches(&range, about(1_772_884_799)));
        let single = finding("größer: a row at 2026-03-07T12:00:05Z");
        assert!(touches(&single, about(1_772_884_805)));
        assert!(!touches(&single, about(1_772_884_806)));
        assert!(touches(&finding("three rows"), about(1)), "it is about everything");
    }
}
