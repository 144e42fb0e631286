//! Checks a whole archive, partition by partition, on all cores.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::domain::{
    CoverageState, Finding, FindingKind, GapClass, PartitionKey, RangeSet, SilenceFacts, Symbol,
};
use crate::format::{Footer, Layout, Sidecar};

use super::checks::sidecar::{SidecarPromises, check_sidecar};
use super::checks::{RUN_AGAIN, shown};
use super::examine::{Examined, examine};
use super::reader::{hash_file, read_sidecar};
use super::report::{PartitionReport, Report};
use super::walk::{Place, walk, without_parquet};

/// How thoroughly to check, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Partitions checked at once; 0 means one per core.
    pub threads: usize,
    /// Whether each file is hashed where its sidecar promises a hash; rows are always hashed.
    pub hash_files: bool,
    /// Only these symbols; empty means all.
    pub symbols: Vec<Symbol>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { threads: 0, hash_files: true, symbols: Vec::new() }
    }
}

/// Checks every partition of the archive at `root`. Blocks; reads only.
///
/// Never fails: what cannot be read is a finding, a root that is not there included.
pub fn verify(root: &Path, options: &VerifyOptions) -> Report {
    let layout = Layout::new(root);
    let walked = walk(&layout, &options.symbols);
    let (partitions, orphans): (Vec<_>, Vec<_>) =
        walked.places.into_iter().partition(|place| place.has_parquet);
    let mut findings = walked.findings;
    findings.extend(orphans.iter().map(|place| without_parquet(&sidecar_path(&place.key))));
    let reports = on_threads(options.threads, &partitions, |place: &Place| {
        verify_partition(&layout, &place.key, options.hash_files)
    });
    Report::new(reports, findings)
}

/// The partitions of the archive at `root` that have a file, in order, and what lies among them
/// that is no partition. `symbols` limits it to some, none means all. Opens no file.
pub fn contents(root: &Path, symbols: &[Symbol]) -> (Vec<PartitionKey>, Vec<Finding>) {
    let walked = walk(&Layout::new(root), symbols);
    let places = walked.places.into_iter().filter(|place| place.has_parquet);
    (places.map(|place| place.key).collect(), walked.findings)
}

/// Runs `work` on every item, on several threads; results come in the order of the items.
fn on_threads<T: Sync, U: Send>(
    n_threads: usize,
    items: &[T],
    work: impl Fn(&T) -> U + Sync,
) -> Vec<U> {
    let n_cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let n_threads = if n_threads == 0 { n_cores() } else { n_threads };
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(item);
            results.lock().expect("no worker panics holding it").push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..n_threads.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    let mut results = results.into_inner().expect("no worker panics holding it");
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn verify_partition(layout: &Layout, key: &PartitionKey, hash_files: bool) -> PartitionReport {
    let path = layout.parquet(key);
    let place = parquet_path(key);
    let read = read_sidecar(&layout.sidecar(key));
    let sidecar = read.as_ref().ok().and_then(Option::as_ref);
    let silence = sidecar.map(remembered_silence).unwrap_or_default();
    let mut examined = examine(&place, key, &path, &silence);
    let mut findings = std::mem::take(&mut examined.findings);
    if examined.is_foreign {
        findings.push(inherited(&place));
    }
    findings.extend(examined.footer.as_ref().and_then(|footer| taken_over(&place, footer)));
    match &read {
        Ok(Some(sidecar)) => {
            findings.extend(sidecar_findings(key, &path, &examined, sidecar, hash_files));
        }
        Ok(None) => findings.push(without_sidecar(&place, examined.is_foreign)),
        Err(error) => {
            let subject = sidecar_path(key);
            let expected = "a readable sidecar";
            let kind = FindingKind::SidecarMismatch;
            let finding = Finding::error(kind, subject, expected, shown(error));
            findings.push(finding.with_repair(RUN_AGAIN));
        }
    }
    PartitionReport {
        path: place,
        rows: examined.rows.as_ref().map_or(0, |rows| rows.n_rows),
        state: sidecar.and_then(|sidecar| sidecar.state),
        inherited: examined.is_foreign,
        findings,
        gaps: examined.gaps,
    }
}

fn sidecar_findings(
    key: &PartitionKey,
    path: &Path,
    examined: &Examined,
    sidecar: &Sidecar,
    hash_files: bool,
) -> Vec<Finding> {
    let place = sidecar_path(key);
    let mut findings = Vec::new();
    let hash = (hash_files && sidecar.sha256.is_some()).then(|| hash_file(path));
    if let Some(Err(error)) = &hash {
        let subject = parquet_path(key);
        let expected = "a file that can be hashed";
        findings.push(Finding::error(FindingKind::Unreadable, subject, expected, error));
    }
    let promises = SidecarPromises {
        place: &place,
        key,
        footer: examined.footer.as_ref(),
        rows: examined.rows.as_ref(),
        gaps_detected: examined.rows.as_ref().map(|_| examined.gaps_detected),
        file_size: fs::metadata(path).ok().map(|metadata| metadata.len()),
        sha256: hash.as_ref().and_then(|hash| hash.as_deref().ok()),
    };
    findings.extend(check_sidecar(&promises, sidecar));
    findings
}

/// What the sidecar remembers of the questions that were asked: the file alone cannot tell it.
fn remembered_silence(sidecar: &Sidecar) -> SilenceFacts {
    if !sidecar.gaps.is_sorted_by_key(|gap| gap.start) {
        return SilenceFacts::default(); // Not written by us; the sidecar checks say so.
    }
    let classed = |class: GapClass| -> RangeSet {
        let gaps = sidecar.gaps.iter().filter(|gap| gap.class == class);
        gaps.filter_map(|gap| crate::domain::EpochRange::new(gap.start, gap.end)).collect()
    };
    let closes = sidecar.gaps.iter().any(|gap| gap.class == GapClass::MarketClosed);
    SilenceFacts {
        confirmed: classed(GapClass::ConfirmedBySource),
        doubted: classed(GapClass::Unexplained),
        continuous: closes.then_some(false),
        ..SilenceFacts::default()
    }
}

fn inherited(place: &str) -> Finding {
    let expected = "a file that proves itself";
    let found = "one of another tool: inherited, not certified";
    Finding::warning(FindingKind::ForeignRows, place, expected, found).with_repair(RUN_AGAIN)
}

/// What was taken over from another tool and not asked again.
fn taken_over(place: &str, footer: &Footer) -> Option<Finding> {
    let inherited = footer.coverage.select(|state| state == CoverageState::Inherited);
    let first = inherited.iter().next()?;
    let found = match inherited.iter().count() {
        1 => format!("{first} inherited from another tool"),
        n => format!("{n} ranges inherited from another tool, first {first}"),
    };
    let expected = "an answer of the source for each second";
    let repair = "nothing, unless the source still offers it: then run the same download again";
    let finding = Finding::warning(FindingKind::ForeignRows, place, expected, found);
    Some(finding.with_repair(repair))
}

fn without_sidecar(place: &str, is_foreign: bool) -> Finding {
    let (kind, expected) = (FindingKind::SidecarMissing, "a sidecar beside it");
    let finding = if is_foreign {
        Finding::warning(kind, place, expected, "none")
    } else {
        Finding::error(kind, place, expected, "none; the file may still be good")
    };
    finding.with_repair(RUN_AGAIN)
}

fn parquet_path(key: &PartitionKey) -> String {
    relative(Layout::new("").parquet(key).as_path())
}

fn sidecar_path(key: &PartitionKey) -> String {
    relative(Layout::new("").sidecar(key).as_path())
}

/// A path as reports write it, the same on every system.
fn relative(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
