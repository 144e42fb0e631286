//! Finds the partitions of an archive, and what lies among them that is none.
//!
//! Only series folders (`R_100/ticks`, `R_100/candles_60`) are ours to judge. The private folder
//! and everything else under the root belongs to someone else and is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use crate::domain::{Finding, FindingKind, Month, PartitionKey, Series, Symbol};
use crate::format::Layout;
use crate::format::layout::kind_of;

use super::checks::{REPLACE, info, shown};

/// One place where a partition is, or where its sidecar says one should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: PartitionKey,
    /// Whether the Parquet file is there.
    pub(crate) has_parquet: bool,
}

/// What lies in an archive.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Ascending by series and month.
    pub(crate) places: Vec<Place>,
    /// What is no partition.
    pub(crate) findings: Vec<Finding>,
}

/// Lists the partitions under a root; `symbols` limits it to some, none means all.
pub(crate) fn walk(layout: &Layout, symbols: &[Symbol]) -> Walk {
    let mut walk = Walk::default();
    let root = layout.root();
    for name in walk.entries(root, &root.display().to_string()) {
        let Some(symbol) = name.to_str().and_then(|name| name.parse::<Symbol>().ok()) else {
            continue;
        };
        let wanted = symbols.is_empty() || symbols.contains(&symbol);
        if wanted && root.join(symbol.as_str()).is_dir() {
            walk.symbol(layout, &symbol);
        }
    }
    walk
}

impl Walk {
    fn symbol(&mut self, layout: &Layout, symbol: &Symbol) {
        let folder = layout.root().join(symbol.as_str());
        for name in self.entries(&folder, symbol.as_str()) {
            let shown_path = || format!("{symbol}/{}", shown(name.display()));
            match name.to_str().and_then(kind_of) {
                Some(kind) => self.series(layout, &Series { symbol: symbol.clone(), kind }),
                None => self.stranger(&shown_path(), &name),
            }
        }
    }

    fn series(&mut self, layout: &Layout, series: &Series) {
        let place = format!("{}/{}", series.symbol, series.kind.folder());
        let mut months: BTreeMap<Month, bool> = BTreeMap::new();
        for name in self.entries(&layout.series_dir(series), &place) {
            let text = name.to_str().unwrap_or_default();
            let month_before = |suffix| text.strip_suffix(suffix)?.parse::<Month>().ok();
            if let Some(month) = month_before(".parquet") {
                months.insert(month, true);
            } else if let Some(month) = month_before(".metadata.json") {
                months.entry(month).or_insert(false);
            } else {
                self.stranger(&format!("{place}/{}", shown(name.display())), &name);
            }
        }
        self.places.extend(months.into_iter().map(|(month, has_parquet)| Place {
            key: PartitionKey { series: series.clone(), month },
            has_parquet,
        }));
    }

    fn stranger(&mut self, path: &str, name: &OsStr) {
        let expected = "only partitions and their sidecars";
        // Readers that take every `*.parquet` of a folder read this one as well.
        let is_read = name.to_str().is_some_and(|name| name.ends_with(".parquet"));
        let finding = if is_read {
            let found = "a Parquet file that is no partition, but that other readers take for one";
            Finding::warning(FindingKind::Stranger, path, expected, found)
                .with_repair("move it out of the folder")
        } else {
            info(FindingKind::Stranger, path, expected, "something else")
        };
        self.findings.push(finding);
    }

    /// Names in a folder, ascending; a folder that cannot be listed is a finding.
    fn entries(&mut self, folder: &Path, place: &str) -> BTreeSet<std::ffi::OsString> {
        let list = || -> io::Result<BTreeSet<_>> {
            fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        list().unwrap_or_else(|error| {
            let expected = "a folder that can be listed";
            let finding = Finding::error(FindingKind::Unreadable, place, expected, error);
            self.findings.push(finding);
            BTreeSet::new()
        })
    }
}

/// The finding for a sidecar whose Parquet file is gone.
pub(crate) fn without_parquet(path: &str) -> Finding {
    let expected = "the Parquet file this sidecar describes";
    Finding::error(FindingKind::SidecarMismatch, path, expected, "no such file")
        .with_repair(REPLACE)
}
