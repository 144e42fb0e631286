//! Finds the partitions of an archive, and what lies among them that is none.
//!
//! Series folders (`R_100/ticks`, `R_100/candles_60`) hold partitions and their sidecars and nothing
//! else. Of the private folder only what waits there is told: answers that are not published yet,
//! and files that were set aside. Everything else under the root belongs to someone else.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{Advice, Finding, FindingKind, Kind, Month, PartitionKey, Series, Symbol};
use crate::format::Layout;
use crate::format::layout::{is_rows_file, is_transient};

use super::checks::shown;
use super::known::{is_gone, remembered};
use super::survey::Staged;

/// How the names of unfinished files end.
const DRAFT_SUFFIX: &str = ".titan-tmp";

/// Folders below the quarantine; deeper ones are not ours.
const QUARANTINE_DEPTH: usize = 4;

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
    /// The partitions for which something waits: answers, or the draft of a run that ended.
    pub(crate) staged: BTreeSet<PartitionKey>,
    /// The partitions that were published once, as far as the archive remembers, and of which
    /// nothing is there any more. Ascending.
    pub(crate) gone: Vec<PartitionKey>,
    /// All that were published once, as far as the archive remembers.
    remembered: BTreeSet<PartitionKey>,
    /// What is no partition.
    pub(crate) findings: Vec<Finding>,
}

/// Lists the partitions under a root; `symbols` limits it to some, none means all.
pub(crate) fn walk(layout: &Layout, symbols: &[Symbol]) -> Walk {
    let mut walk = Walk { remembered: remembered(layout), ..Walk::default() };
    let root = layout.root();
    for name in walk.entries(root, &root.display().to_string()) {
        let Some(symbol) = name.to_str().and_then(|name| name.parse::<Symbol>().ok()) else {
            continue;
        };
        let wanted = symbols.is_empty() || symbols.contains(&symbol);
        if wanted && root.join(symbol.as_str()).is_dir() {
            walk.symbol(layout, &symbol, !symbols.is_empty());
        }
    }
    let is_wanted =
        |key: &&PartitionKey| symbols.is_empty() || symbols.contains(&key.series.symbol);
    let gone = walk.remembered.iter().filter(is_wanted).filter(|key| is_gone(layout, key));
    walk.gone = gone.cloned().collect();
    walk.staging(layout, symbols);
    walk.quarantine(layout);
    walk
}

impl Walk {
    fn symbol(&mut self, layout: &Layout, symbol: &Symbol, is_asked_for: bool) {
        let folder = layout.root().join(symbol.as_str());
        self.link(&folder, symbol.as_str());
        if !is_asked_for && self.is_closed_stranger(layout, symbol) {
            let expected = "a folder that can be listed, if it is one of the archive";
            let found = "one that is closed to this user and of which the archive knows nothing";
            let finding = Finding::warning(FindingKind::Stranger, symbol, expected, found);
            self.findings.push(finding);
            return;
        }
        for name in self.entries(&folder, symbol.as_str()) {
            let shown_path = || format!("{symbol}/{}", shown(name.display()));
            match name.to_str().and_then(|name| name.parse::<Kind>().ok()) {
                Some(kind) => self.series(layout, &Series { symbol: symbol.clone(), kind }),
                None => self.stranger(&shown_path(), &name),
            }
        }
    }

    /// Tells whether a folder that cannot be listed is nothing of the archive: it remembers no
    /// partition there, and no run ever locked a series of that name.
    fn is_closed_stranger(&self, layout: &Layout, symbol: &Symbol) -> bool {
        let listed = fs::read_dir(layout.root().join(symbol.as_str()));
        if !listed.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return false;
        }
        let locks = fs::read_dir(layout.locks_dir());
        // Who may not look into the locks cannot tell, unless there are none.
        let may_be_locked = match locks {
            Ok(entries) => entries.flatten().any(|entry| {
                let name = entry.file_name();
                name.to_str().is_some_and(|name| name.starts_with(&format!("{symbol}.")))
            }),
            Err(error) => error.kind() != io::ErrorKind::NotFound && self.remembered.is_empty(),
        };
        !may_be_locked && self.remembered.iter().all(|key| key.series.symbol != *symbol)
    }

    fn series(&mut self, layout: &Layout, series: &Series) {
        let place = format!("{}/{}", series.symbol, series.kind.folder());
        let mut months: BTreeMap<Month, bool> = BTreeMap::new();
        let folder = layout.series_dir(series);
        self.link(&folder, &place);
        for name in self.entries(&folder, &place) {
            self.link(&folder.join(&name), &format!("{place}/{}", shown(name.display())));
            let text = name.to_str().unwrap_or_default();
            let month_before = |suffix| text.strip_suffix(suffix)?.parse::<Month>().ok();
            if let Some(month) = month_before(".parquet") {
                months.insert(month, true);
            } else if let Some(month) = month_before(".metadata.json") {
                months.entry(month).or_insert(false);
            } else {
                let key = |month| PartitionKey { series: series.clone(), month };
                self.staged.extend(month_of_draft(text).map(key));
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
        let ends_with = |suffix| name.to_str().is_some_and(|name| name.ends_with(suffix));
        let finding = if ends_with(DRAFT_SUFFIX) {
            let found = "the unfinished file of a run that ended, or of one at work";
            Finding::info(FindingKind::Leftover, path, expected, found).advise(Advice::Repair)
        } else if name.to_str().is_some_and(is_transient) {
            let found = "an unfinished file of the Python tool, that other readers take for data";
            Finding::warning(FindingKind::Stranger, path, expected, found)
                .advise(Advice::EndOtherTool)
        } else if ends_with(".parquet") {
            let found = "a Parquet file that is no partition, but that other readers take for one";
            Finding::warning(FindingKind::Stranger, path, expected, found).advise(Advice::MoveOut)
        } else {
            Finding::info(FindingKind::Stranger, path, expected, "something else")
        };
        self.findings.push(finding);
    }

    /// Tells of a link where the archive has files and folders of its own. No run follows it, and
    /// what it leads to may change behind the back of the archive, so nothing is proved by it.
    fn link(&mut self, path: &Path, place: &str) {
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            let expected = "a file or folder of the archive";
            let finding = Finding::error(FindingKind::Stranger, place, expected, "a symbolic link");
            self.findings.push(finding.advise(Advice::ReplaceLink));
        }
    }

    /// Tells of answers that wait for their month to be published.
    fn staging(&mut self, layout: &Layout, symbols: &[Symbol]) {
        let root = layout.staging_root();
        for symbol in folders(&root).filter_map(|name| name.parse::<Symbol>().ok()) {
            if !symbols.is_empty() && !symbols.contains(&symbol) {
                continue;
            }
            for kind in
                folders(&root.join(symbol.as_str())).filter_map(|name| name.parse::<Kind>().ok())
            {
                let series = Series { symbol: symbol.clone(), kind };
                let folder = root.join(symbol.as_str()).join(kind.folder());
                for month in folders(&folder).filter_map(|name| name.parse::<Month>().ok()) {
                    self.staged(layout, &PartitionKey { series: series.clone(), month });
                }
            }
        }
    }

    fn staged(&mut self, layout: &Layout, key: &PartitionKey) {
        let n_files = fs::read_dir(layout.staging_dir(key)).map_or(0, Iterator::count);
        if n_files > 0 {
            self.staged.insert(key.clone());
            self.lost(layout, key);
            let expected = "every answer in its published month";
            let found = format!("{n_files} files that wait in the staging");
            let finding = Finding::info(FindingKind::Leftover, key, expected, found);
            self.findings.push(finding.in_partition(key).advise(Advice::Repair));
        }
    }

    /// Tells of seconds that were held once and whose rows are lost, where nothing published says
    /// so yet.
    fn lost(&mut self, layout: &Layout, key: &PartitionKey) {
        let lost = Staged::lost_of(layout, key);
        if let Some(first) = lost.iter().next() {
            let found = format!("{} s lost with their file, first {first}", lost.len_secs());
            let expected = "an answer for every second that was held once";
            let finding = Finding::error(FindingKind::CoverageMissing, key, expected, found);
            let finding = finding.in_partition(key).at(first);
            self.findings.push(finding.advise(Advice::Repair));
        }
    }

    /// Tells of what was set aside, in one line: it waits for a person for as long as it takes. Rows
    /// that an adoption left out are told where the partition is, and lie there for good.
    fn quarantine(&mut self, layout: &Layout) {
        let root = layout.quarantine_dir();
        let mut files = Vec::new();
        list_files(&root, QUARANTINE_DEPTH, &mut files);
        files.retain(|file| !is_rows_file(file));
        files.sort_unstable();
        let Some(first) = files.first() else { return };
        let relative = |path: &Path| {
            let path = path.strip_prefix(layout.root()).unwrap_or(path);
            shown(path.display())
        };
        let found = match files.len() {
            1 => format!("`{}`", relative(first)),
            n => format!("{n} files, the first `{}`", relative(first)),
        };
        let expected = "nothing set aside";
        let finding = Finding::info(FindingKind::Leftover, relative(&root), expected, found);
        self.findings.push(finding.advise(Advice::LookAtFile));
    }

    /// Names in a folder, ascending; a folder that cannot be listed is a finding.
    fn entries(&mut self, folder: &Path, place: &str) -> BTreeSet<std::ffi::OsString> {
        let list = || -> io::Result<BTreeSet<_>> {
            fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        list().unwrap_or_else(|error| {
            let expected = "a folder that can be listed";
            let finding = Finding::error(FindingKind::Unreadable, place, expected, error);
            self.findings.push(finding.advise(Advice::CheckPermissions));
            BTreeSet::new()
        })
    }
}

/// `.2026-03.parquet.7-1.titan-tmp` is a draft of that month.
fn month_of_draft(name: &str) -> Option<Month> {
    let name = name.strip_prefix('.')?.strip_suffix(DRAFT_SUFFIX)?;
    name.split('.').next()?.parse().ok()
}

/// Names of the folders in a folder, ascending; none if it is not there.
fn folders(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let names = entries.filter(is_folder).filter_map(|entry| entry.file_name().into_string().ok());
    names.collect::<BTreeSet<_>>().into_iter()
}

fn list_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth > 0 {
            list_files(&entry.path(), depth - 1, files);
        } else if !is_folder {
            files.push(entry.path());
        }
    }
}

/// The finding for a sidecar whose Parquet file is gone.
pub(crate) fn without_parquet(key: &PartitionKey, path: &str) -> Finding {
    let expected = "the Parquet file this sidecar describes";
    Finding::error(FindingKind::SidecarMismatch, path, expected, "no such file")
        .in_partition(key)
        .advise(Advice::RepairRows)
}
