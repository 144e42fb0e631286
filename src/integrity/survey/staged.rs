//! Answers that were staged and not published yet, by the names of their files alone.

use std::fs;
use std::io::{self, BufRead, Read};
use std::path::Path;

use crate::domain::{Epoch, EpochRange, Kind, Month, PartitionKey, RangeSet, Series};
use crate::format::Layout;
use crate::format::open_ordinary;
use crate::integrity::reader::read_sidecar;

/// The staged answers of one series, or of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Staged {
    /// Files of answers.
    pub n_segments: u64,
    /// The seconds they are named after; whether they are whole is looked at by the next run.
    pub ranges: RangeSet,
    /// Whether a publish is under way, or was interrupted.
    pub is_publishing: bool,
    /// Why the folder could not be looked at; it is closed to other users.
    pub refused: Option<String>,
}

impl Staged {
    /// Those of all months of a series.
    pub fn of(layout: &Layout, series: &Series) -> Self {
        let mut staged = Self::default();
        let folder = folder_of(layout, series);
        for name in staged.names_in(&folder) {
            if let Ok(month) = name.parse::<Month>() {
                staged.add(layout, &PartitionKey { series: series.clone(), month });
            }
        }
        staged
    }

    /// Those of one month.
    pub fn of_month(layout: &Layout, key: &PartitionKey) -> Self {
        let mut staged = Self::default();
        staged.add(layout, key);
        staged
    }

    /// The seconds of a month that were held once and whose rows are lost: no staged answer and no
    /// published file holds them. Reads the head of each file.
    pub fn lost_of(layout: &Layout, key: &PartitionKey) -> RangeSet {
        let folder = layout.staging_dir(key);
        let (mut lost, mut held) = (RangeSet::new(), RangeSet::new());
        for name in names(&folder).unwrap_or_default() {
            let Some(range) = range_of(&name) else { continue };
            match says_lost(&folder.join(&name)) {
                Some(true) => lost.insert(range),
                Some(false) => held.insert(range),
                None => {}
            }
        }
        if let Ok(Some(sidecar)) = read_sidecar(&layout.sidecar(key)) {
            // A failed range of the sidecar is told where the sidecar is checked.
            held.extend(&sidecar.coverage().select(|_| true));
        }
        lost.remove_all(&held);
        lost
    }

    /// First to last second of what is staged.
    pub fn span(&self) -> Option<EpochRange> {
        let (first, last) = (self.ranges.iter().next()?, self.ranges.iter().next_back()?);
        EpochRange::new(first.start(), last.end())
    }

    fn add(&mut self, layout: &Layout, key: &PartitionKey) {
        for name in self.names_in(&layout.staging_dir(key)) {
            if let Some(range) = range_of(&name) {
                self.n_segments += 1;
                self.ranges.insert(range);
            }
            self.is_publishing |= name == "publish.intent";
        }
    }

    fn names_in(&mut self, folder: &Path) -> Vec<String> {
        match names(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.refused = Some(error.to_string());
                Vec::new()
            }
        }
    }
}

/// The series that have a folder of staged answers with something in it.
pub(super) fn series(layout: &Layout) -> Vec<Series> {
    let root = layout.staging_root();
    let mut found = Vec::new();
    for symbol in names(&root).unwrap_or_default() {
        let kinds = names(&root.join(&symbol)).unwrap_or_default();
        let Ok(symbol) = symbol.parse() else { continue };
        for kind in kinds.iter().filter_map(|name| name.parse::<Kind>().ok()) {
            let series = Series { symbol: Clone::clone(&symbol), kind };
            if Staged::of(layout, &series).n_segments > 0 {
                found.push(series);
            }
        }
    }
    found
}

fn folder_of(layout: &Layout, series: &Series) -> std::path::PathBuf {
    layout.staging_root().join(series.symbol.as_str()).join(series.kind.folder())
}

/// `1772323200-1772324200-name.segment` is named after the half-open range it answers for.
fn range_of(name: &str) -> Option<EpochRange> {
    let mut parts = name.strip_suffix(".segment")?.splitn(3, '-');
    let mut epoch = || parts.next()?.parse::<i64>().ok().map(Epoch::new);
    EpochRange::new(epoch()?, epoch()?)
}

/// Whether a segment says that its rows are lost; `None` if its head cannot be read.
fn says_lost(path: &Path) -> Option<bool> {
    /// Longer than any head.
    const MOST_BYTES: u64 = 512 * 1024;
    let mut line = Vec::new();
    let mut head = io::BufReader::new(open_ordinary(path).ok()?).take(MOST_BYTES);
    head.read_until(b'\n', &mut line).ok()?;
    let head: serde_json::Value = serde_json::from_slice(&line).ok()?;
    Some(head.get("state").and_then(serde_json::Value::as_str) == Some("failed"))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let mut names: Vec<_> = names
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .filter_map(|n| n.into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_named_after_its_range() {
        let check = |name: &str, expected: Option<(i64, i64)>| {
            let found = range_of(name).map(|range| (range.start().secs(), range.end().secs()));
            assert_eq!(found, expected, "{name}");
        };
        check("1772323200-1772324200-20260322T120000Z-7-1.segment", Some((1772323200, 1772324200)));
        check("1772323200-1772323200-a.segment", None);
        check("1772323200-x-a.segment", None);
        check("publish.intent", None);
        check("1-2-a.segment.titan-tmp", None);
    }
}
