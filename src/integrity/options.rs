//! What a check of an archive looks at, and how closely.

use sha2::{Digest, Sha256};

use crate::domain::{PartitionKey, Symbol};

use super::statistics::Thresholds;

/// How closely to check, and what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VerifyOptions {
    /// Partitions checked at once; 0 means one per core.
    pub threads: usize,
    /// How closely.
    pub depth: Depth,
    /// Only this part of the partitions; `None` means all.
    pub sample: Option<ArchivePart>,
    /// Only these symbols; empty means all.
    pub symbols: Vec<Symbol>,
    /// From when on the rows look unusual.
    pub thresholds: Thresholds,
}

impl VerifyOptions {
    /// Tells whether a partition is not to be looked at.
    pub(crate) fn is_left_out(&self, key: &PartitionKey) -> bool {
        let is_of_others = !self.symbols.is_empty() && !self.symbols.contains(&key.series.symbol);
        is_of_others || self.sample.is_some_and(|sample| !sample.holds(key))
    }
}

/// How closely an archive is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// Footers and sidecars alone: no row is read and nothing is hashed.
    Fast,
    /// Every promise of every partition, and statistics of its rows.
    #[default]
    Full,
    /// All that, and the ticks of each month against its candles.
    Deep,
}

/// One of so many parts of an archive. A partition is always in the same part, whatever else lies
/// in the archive, so that checking one part after the other checks everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePart {
    part: u32,
    n_parts: u32,
}

impl ArchivePart {
    /// The `part`-th of `n_parts`, counted from 1; `None` if there is no such part.
    pub fn new(part: u32, n_parts: u32) -> Option<Self> {
        (1..=n_parts).contains(&part).then_some(Self { part, n_parts })
    }

    /// Tells whether a partition is in this part.
    pub fn holds(self, key: &PartitionKey) -> bool {
        let name = format!("{}/{}/{}", key.series.symbol, key.series.kind.folder(), key.month);
        let hash = Sha256::digest(name.as_bytes());
        let head = hash.first_chunk().expect("a SHA-256 is longer than eight bytes");
        u64::from_be_bytes(*head) % u64::from(self.n_parts) == u64::from(self.part - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{Kind, Month, Series};

    fn keys() -> impl Iterator<Item = PartitionKey> {
        let months = (2000..2020).flat_map(|year| (1..=12).map(move |month| (year, month)));
        months.map(|(year, month)| PartitionKey {
            series: Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks },
            month: Month::new(year, month).unwrap(),
        })
    }

    #[test]
    fn every_partition_is_in_exactly_one_part() {
        let mut sizes = BTreeMap::new();
        for key in keys() {
            let parts: Vec<_> =
                (1..=7).filter(|part| ArchivePart::new(*part, 7).unwrap().holds(&key)).collect();
            assert_eq!(parts.len(), 1, "{key}");
            *sizes.entry(parts[0]).or_insert(0) += 1;
        }
        assert!(sizes.len() == 7 && sizes.values().all(|n| (15..60).contains(n)), "{sizes:?}");
        assert!(keys().all(|key| ArchivePart::new(1, 1).unwrap().holds(&key)));
    }

    /// Parts are compared over months: the rule must be the same in every build. Expected value:
    /// `int(hashlib.sha256(b"R_100/ticks/2000-01").hexdigest()[:16], 16) % 1000` in Python.
    #[test]
    fn the_part_of_a_partition_never_changes() {
        let key = keys().next().unwrap();
        let part = (1..=1000).find(|part| ArchivePart::new(*part, 1000).unwrap().holds(&key));
        assert_eq!(part, Some(PYTHON_PART + 1));
    }

    #[test]
    fn there_is_no_part_beyond_the_last() {
        assert!(ArchivePart::new(0, 3).is_none() && ArchivePart::new(4, 3).is_none());
        assert!(ArchivePart::new(1, 0).is_none());
    }

    const PYTHON_PART: u32 = 734;
}
