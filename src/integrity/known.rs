//! What an archive remembers of itself: the partitions it published once.
//!
//! Remembered in `.titan/watermark.json`, which keeps the months that it named before. It is a claim
//! to hold against what is there and never evidence by itself: without it nothing is known to be
//! missing, and a month that lies there is there whatever it says.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::domain::PartitionKey;
use crate::format::{Layout, WatermarkFile};

/// A hundred series with a hundred months each take a tenth of it.
const MAX_BYTES: u64 = 16 << 20;

/// The partitions that were published once; none if nothing tells.
pub(crate) fn remembered(layout: &Layout) -> BTreeSet<PartitionKey> {
    let bytes = read(&layout.watermark());
    let file = bytes.and_then(|bytes| WatermarkFile::from_json(&bytes).ok());
    file.map(|file| file.partitions()).unwrap_or_default()
}

/// Tells whether neither file of a partition is there. What cannot be looked at may be there.
pub(crate) fn is_gone(layout: &Layout, key: &PartitionKey) -> bool {
    let is_absent = |path: &Path| {
        let found = fs::symlink_metadata(path);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    is_absent(&layout.parquet(key)) && is_absent(&layout.sidecar(key))
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
