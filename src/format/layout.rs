//! Partition ↔ path. A symbol can hold no separator, so no path leaves the root.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::domain::{Month, PartitionKey, Series, Symbol};

/// Ends the name of everything in quarantine, so that readers that look for partitions or sidecars
/// everywhere find none there.
pub const SET_ASIDE: &str = ".set-aside";

/// The folder that is ours; everything outside it belongs to the user and other readers.
const PRIVATE: &str = ".titan";

/// Ends the name of the rows that an adoption left out, in quarantine.
pub const ROWS_SUFFIX: &str = ".rows.csv";

/// Tells whether a file in quarantine holds the rows that an adoption left out.
pub fn is_rows_file(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.strip_suffix(SET_ASIDE).is_some_and(|name| name.ends_with(ROWS_SUFFIX))
}

/// Tells whether a file in a series folder is one that the Python tool had not finished:
/// `2026-10.inc.parquet`, `2026-10.tmp.parquet`, `2026-10.tmp.metadata.json`.
pub fn is_transient(name: &str) -> bool {
    let Some((month, rest)) = name.split_once('.') else { return false };
    let endings = ["inc.parquet", "tmp.parquet", "inc.metadata.json", "tmp.metadata.json"];
    endings.contains(&rest) && month.parse::<Month>().is_ok()
}

/// Knows where everything of one archive lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Names an archive by its root folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root folder, `data_cache` by default.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of a series: `R_100/ticks`, `R_100/candles_60`.
    pub fn series_dir(&self, series: &Series) -> PathBuf {
        self.root.join(series.symbol.as_str()).join(series.kind.folder())
    }

    /// The Parquet file of a partition: `R_100/ticks/2026-10.parquet`.
    pub fn parquet(&self, key: &PartitionKey) -> PathBuf {
        self.series_dir(&key.series).join(format!("{}.parquet", key.month))
    }

    /// The sidecar of a partition: `R_100/ticks/2026-10.metadata.json`.
    pub fn sidecar(&self, key: &PartitionKey) -> PathBuf {
        self.series_dir(&key.series).join(format!("{}.metadata.json", key.month))
    }

    /// The private folder `.titan`.
    pub fn private_dir(&self) -> PathBuf {
        self.root.join(PRIVATE)
    }

    /// Marks an archive of invented prices.
    pub fn invented_mark(&self) -> PathBuf {
        self.private_dir().join("invented-prices")
    }

    /// Folder of the locks, one file per series.
    pub fn locks_dir(&self) -> PathBuf {
        self.private_dir().join("locks")
    }

    /// The lock of a series.
    pub fn lock(&self, series: &Series) -> PathBuf {
        self.locks_dir().join(format!("{}.{}.lock", series.symbol, series.kind.folder()))
    }

    /// Folder of all staged answers.
    pub fn staging_root(&self) -> PathBuf {
        self.private_dir().join("staging")
    }

    /// Folder of the staged answers of one partition.
    pub fn staging_dir(&self, key: &PartitionKey) -> PathBuf {
        self.staging_root()
            .join(key.series.symbol.as_str())
            .join(key.series.kind.folder())
            .join(key.month.to_string())
    }

    /// Folder for what cannot be trusted and is never deleted.
    pub fn quarantine_dir(&self) -> PathBuf {
        self.private_dir().join("quarantine")
    }

    /// What was learned of the source: page cap, intervals, walls.
    pub fn source_facts(&self) -> PathBuf {
        self.private_dir().join("source-facts.json")
    }

    /// How the last run went.
    pub fn last_run(&self) -> PathBuf {
        self.private_dir().join("last-run.json")
    }

    /// Up to where each series is proved, for readers without a Parquet library.
    pub fn watermark(&self) -> PathBuf {
        self.private_dir().join("watermark.json")
    }

    /// The partition whose Parquet file `path` would be, if it is one; `path` is relative to the root.
    pub fn key_of(relative: &Path) -> Option<PartitionKey> {
        let mut parts = relative.iter();
        let symbol: Symbol = text(parts.next())?.parse().ok()?;
        let kind = text(parts.next())?.parse().ok()?;
        let month: Month = text(parts.next())?.strip_suffix(".parquet")?.parse().ok()?;
        let series = Series { symbol, kind };
        parts.next().is_none().then_some(PartitionKey { series, month })
    }
}

fn text(part: Option<&OsStr>) -> Option<&str> {
    part?.to_str()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Granularity, Kind};

    fn arbitrary_key() -> impl Strategy<Value = PartitionKey> {
        let symbol = "[A-Za-z0-9_]{2,30}".prop_map(|s| s.parse::<Symbol>().unwrap());
        let kind = prop_oneof![
            Just(Kind::Ticks),
            proptest::sample::select(&Granularity::ALL[..])
                .prop_map(|g| Kind::Candles(Granularity::try_from(g).unwrap())),
        ];
        let month = (1970i32..9999, 1u32..13).prop_map(|(y, m)| Month::new(y, m).unwrap());
        (symbol, kind, month).prop_map(|(symbol, kind, month)| PartitionKey {
            series: Series { symbol, kind },
            month,
        })
    }

    proptest! {
        #[test]
        fn a_path_names_its_partition(key in arbitrary_key()) {
            let layout = Layout::new("root");
            let path = layout.parquet(&key);
            let relative = path.strip_prefix("root").unwrap();
            prop_assert_eq!(Layout::key_of(relative), Some(key));
        }
    }

    #[test]
    fn strangers_are_no_partitions() {
        for path in [
            "R_100/ticks/2026-13.parquet",
            "R_100/ticks/2026-10.tmp.parquet",
            "R_100/candles_060/2026-10.parquet",
            "R_100/candles_61/2026-10.parquet",
            "R_100/2026-10.parquet",
            "../R_100/ticks/2026-10.parquet",
            "R_100/ticks/deep/2026-10.parquet",
        ] {
            assert_eq!(Layout::key_of(Path::new(path)), None, "{path}");
        }
    }
}
