//! What was set aside of a partition.

use std::fs;
use std::path::Path;

use crate::domain::PartitionKey;
use crate::format::Layout;

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
