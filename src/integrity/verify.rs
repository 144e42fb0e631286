//! Checks a whole archive, partition by partition, on all cores.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::domain::{
    Advice, AskReason, Coverage, CoverageState, Doubt, Evidence, Finding, FindingKind, Gap,
    GapClass, PartitionKey, RangeSet, Severity, SilenceFacts, Symbol,
};
use crate::format::{Footer, Layout, Sidecar};

use super::against::compare;
use super::checks::shown;
use super::checks::sidecar::{SidecarPromises, check_sidecar};
use super::evidence::{Looked, orphan, ticks_of};
use super::examine::{Examined, Subject, beyond, examine, examine_footer};
use super::options::{Depth, VerifyOptions};
use super::reader::{ReadError, hash_file, read_sidecar};
use super::report::{GapCounts, PartitionReport, Report};
use super::survey::Staged;
use super::walk::{Place, walk, without_parquet};

/// Gaps of one partition that a report lists: the longest. All are counted. A report of many
/// partitions must not need more memory than the check of one.
const MAX_LISTED_GAPS: usize = 1_000;

/// Findings of one partition that a report lists: the worst. The others are counted.
const MAX_LISTED_FINDINGS: usize = 200;

/// Checks every partition of the archive at `root`. Blocks; reads only.
///
/// Never fails: what cannot be read is a finding, a root that is not there included.
pub fn verify(root: &Path, options: &VerifyOptions) -> Report {
    assess(root, options).0
}

/// As [`verify`], and tells the facts of each partition, for a repair: those with a file, those
/// whose file is gone, and those of which only answers wait in the staging.
pub fn assess(root: &Path, options: &VerifyOptions) -> (Report, Vec<Evidence>) {
    let layout = Layout::new(root);
    let walked = walk(&layout, &options.symbols);
    let is_wanted = |place: &Place| !options.is_left_out(&place.key);
    let (partitions, orphans): (Vec<_>, Vec<_>) =
        walked.places.into_iter().filter(is_wanted).partition(|place| place.has_parquet);
    let gone = walked.gone.into_iter().filter(|key| !options.is_left_out(key));
    let gone: Vec<PartitionKey> = gone.collect();
    let mut findings = walked.findings;
    findings.extend(gone.iter().map(missing));
    findings
        .extend(orphans.iter().map(|place| without_parquet(&place.key, &sidecar_path(&place.key))));
    let checked = on_threads(options.threads, &partitions, |place: &Place| {
        verify_partition(&layout, &place.key, options)
    });
    let mut reports = Vec::with_capacity(checked.len());
    let mut evidence: BTreeMap<PartitionKey, Evidence> =
        gone.iter().map(|key| (key.clone(), vanished(key))).collect();
    for place in &orphans {
        let sidecar = read_sidecar(&layout.sidecar(&place.key)).ok().flatten();
        evidence.insert(place.key.clone(), orphan(&place.key, sidecar.as_ref()));
    }
    let mut of_ticks = Vec::new();
    for (place, checked) in partitions.iter().zip(checked) {
        reports.push(checked.report);
        evidence.insert(place.key.clone(), checked.evidence);
        of_ticks.extend(ticks_of(&place.key).map(|ticks| (ticks, checked.of_ticks)));
    }
    for (ticks, doubts) in of_ticks {
        if let Some(ticks) = evidence.get_mut(&ticks).filter(|ticks| !ticks.is_locked) {
            let range = |range| Doubt { reason: AskReason::Contradicted, range };
            ticks.doubts.extend(doubts.iter().map(range));
        }
    }
    for key in walked.staged.into_iter().filter(|key| !options.is_left_out(key)) {
        let unknown = Evidence::unknown(key.clone());
        let lost = Staged::lost_of(&layout, &key);
        let found = evidence.entry(key).or_insert(unknown);
        found.is_staged = true;
        if found.coverage.is_none() && !lost.is_empty() {
            let mut coverage = Coverage::new();
            lost.iter().for_each(|range| coverage.insert(range, CoverageState::Failed));
            found.coverage = Some(coverage);
        }
    }
    (Report::new(reports, findings), evidence.into_values().collect())
}

/// One partition as it was checked.
struct CheckedPartition {
    report: PartitionReport,
    evidence: Evidence,
    /// If they are candles: the seconds of the ticks that contradict them.
    of_ticks: RangeSet,
}

/// The partitions of the archive at `root` that have a file, in order, and what lies among them
/// that is no partition. `symbols` limits it to some, none means all. Opens no file.
pub fn contents(root: &Path, symbols: &[Symbol]) -> (Vec<PartitionKey>, Vec<Finding>) {
    let walked = walk(&Layout::new(root), symbols);
    let places = walked.places.into_iter().filter(|place| place.has_parquet);
    (places.map(|place| place.key).collect(), walked.findings)
}

/// Tells whether a folder is an archive, or a cache of another tool that would become one: it has
/// our private folder, or a partition. What cannot be looked at may be one.
pub fn holds_archive(root: &Path) -> bool {
    let layout = Layout::new(root);
    let is_absent =
        |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    match fs::symlink_metadata(layout.private_dir()) {
        Err(error) if is_absent(&error) => !present(root, &[]).0.is_empty(),
        _ => true,
    }
}

/// As [`contents`], with the partitions that have a sidecar alone, or answers that wait, and those
/// that were published once and of which nothing is there any more.
pub fn present(root: &Path, symbols: &[Symbol]) -> (Vec<PartitionKey>, Vec<Finding>) {
    let walked = walk(&Layout::new(root), symbols);
    let mut keys = walked.staged;
    keys.extend(walked.gone);
    keys.extend(walked.places.into_iter().map(|place| place.key));
    (keys.into_iter().collect(), walked.findings)
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
            // One thread less works as well: the machine may allow no other.
            let _ = thread::Builder::new().spawn_scoped(scope, worker);
        }
        worker();
    });
    let mut results = results.into_inner().expect("no worker panics holding it");
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn verify_partition(
    layout: &Layout,
    key: &PartitionKey,
    options: &VerifyOptions,
) -> CheckedPartition {
    let path = layout.parquet(key);
    let place = parquet_path(key);
    let read = read_sidecar(&layout.sidecar(key));
    let sidecar = read.as_ref().ok().and_then(Option::as_ref);
    let silence = sidecar.map(remembered_silence).unwrap_or_default();
    let subject = Subject {
        place: &place,
        key,
        path: &path,
        silence: &silence,
        claimed: sidecar.filter(|s| is_in_order(s)).map_or(&[], |sidecar| &sidecar.gaps),
        thresholds: Some(options.thresholds),
        written: None,
    };
    let mut examined = match options.depth {
        Depth::Fast => examine_footer(&subject),
        Depth::Full | Depth::Deep => examine(&subject),
    };
    let mut findings = std::mem::take(&mut examined.findings);
    if examined.is_foreign && !examined.is_undecodable {
        findings.push(inherited(&place));
    }
    findings.extend(examined.footer.as_ref().and_then(|footer| taken_over(&place, footer)));
    let is_sidecar_newer = matches!(read, Err(ReadError::Newer(_)));
    match &read {
        // Nothing can be held against a file that this build cannot read.
        Ok(_) if examined.is_undecodable => {}
        Ok(Some(sidecar)) => {
            findings.extend(sidecar_findings(key, &path, &examined, sidecar, options.depth));
        }
        Ok(None) => findings.push(without_sidecar(&place, examined.is_foreign)),
        Err(error) if error.is_inability() => findings.push(beyond(&sidecar_path(key), error)),
        Err(error) => {
            let subject = sidecar_path(key);
            let expected = "a readable sidecar";
            let kind = FindingKind::SidecarMismatch;
            let finding = Finding::error(kind, subject, expected, shown(error));
            findings.push(finding.advise(Advice::Repair));
        }
    }
    let told = sidecar.map_or_else(Vec::new, |sidecar| told_before(sidecar, &findings));
    let (of_answers, of_checks): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|finding| finding.kind.is_of_answers());
    findings.extend(of_checks);
    let compared = match options.depth {
        Depth::Deep => compare(layout, &place, key),
        Depth::Fast | Depth::Full => Default::default(),
    };
    findings.extend(compared.findings);
    findings.iter_mut().for_each(|finding| finding.partition = Some(key.clone()));
    let says_hash = sidecar.is_some_and(|sidecar| sidecar.sha256.is_some());
    let evidence = Looked {
        key,
        examined: &examined,
        sidecar,
        is_sidecar_newer,
        has_said_hash: says_hash && !findings.iter().any(|f| f.kind == FindingKind::FileHash),
        findings: &findings,
        contradicted: compared.of_candles,
        is_deep: options.depth == Depth::Deep,
    }
    .evidence();
    // No repair of files settles what answers said.
    findings.extend(of_answers);
    let declared = examined.declared_rows.and_then(|rows| u64::try_from(rows).ok());
    let fast_rows = declared.filter(|_| options.depth == Depth::Fast);
    let listed = sidecar.map(|sidecar| sidecar.gaps.as_slice()).unwrap_or_default();
    remember_times(&mut examined.gaps, listed);
    let report = PartitionReport {
        key: key.clone(),
        rows: examined.rows.as_ref().map(|rows| rows.n_rows).or(fast_rows).unwrap_or(0),
        state: sidecar.and_then(|sidecar| sidecar.state),
        inherited: examined.is_foreign,
        findings: the_worst(key, &place, findings),
        gap_counts: GapCounts::of(&examined.gaps),
        gaps: the_longest(examined.gaps),
        against_ticks: compared.counts,
        path: place,
    };
    CheckedPartition { report, evidence, of_ticks: compared.of_ticks }
}

/// What the sidecar says of its partition and that was not seen again just now, by what it weighs.
fn told_before(sidecar: &Sidecar, seen: &[Finding]) -> Vec<Finding> {
    let is_seen = |finding: &Finding| seen.iter().any(|other| other.kind == finding.kind);
    let told = sidecar.findings.iter().filter(|_| !sidecar.is_foreign()).map(Finding::weighed);
    told.filter(|finding| finding.severity > Severity::Info && !is_seen(finding)).collect()
}

/// When silences were asked is known to the sidecar alone; both lists ascend.
fn remember_times(gaps: &mut [Gap], listed: &[Gap]) {
    for gap in gaps {
        let at = listed.partition_point(|known| known.start < gap.start);
        if let Some(known) = listed.get(at).filter(|k| (k.start, k.end) == (gap.start, gap.end)) {
            (gap.asked_first, gap.asked_last) = (known.asked_first, known.asked_last);
        }
    }
}

/// The worst findings, worst first if they are many, and how many more there are.
fn the_worst(key: &PartitionKey, place: &str, mut findings: Vec<Finding>) -> Vec<Finding> {
    let n_more = findings.len().saturating_sub(MAX_LISTED_FINDINGS);
    if n_more > 0 {
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let kind = findings[MAX_LISTED_FINDINGS].kind;
        findings.truncate(MAX_LISTED_FINDINGS);
        let expected = format!("at most {MAX_LISTED_FINDINGS} findings");
        let found = format!("{n_more} more, none worse than those listed");
        let rest = Finding::info(kind, place, expected, found).times(n_more as u64);
        findings.push(rest.in_partition(key));
    }
    findings
}

/// The longest gaps, ascending.
fn the_longest(mut gaps: Vec<Gap>) -> Vec<Gap> {
    if gaps.len() > MAX_LISTED_GAPS {
        gaps.sort_by_key(|gap| Reverse(gap.end.since(gap.start)));
        gaps.truncate(MAX_LISTED_GAPS);
        gaps.sort_unstable_by_key(|gap| gap.start);
        gaps.shrink_to_fit();
    }
    gaps
}

fn sidecar_findings(
    key: &PartitionKey,
    path: &Path,
    examined: &Examined,
    sidecar: &Sidecar,
    depth: Depth,
) -> Vec<Finding> {
    let place = sidecar_path(key);
    let mut findings = Vec::new();
    let metadata = fs::metadata(path).ok();
    // What is no file is named already, and opening a pipe would wait for its other end for ever.
    let is_hashed = depth != Depth::Fast
        && sidecar.sha256.is_some()
        && metadata.as_ref().is_some_and(fs::Metadata::is_file);
    let hash = is_hashed.then(|| hash_file(path));
    if let Some(Err(error)) = &hash {
        let subject = parquet_path(key);
        let expected = "a file that can be hashed";
        let finding = Finding::error(FindingKind::Unreadable, subject, expected, error);
        findings.push(finding.advise(Advice::RepairRows));
    }
    let promises = SidecarPromises {
        place: &place,
        key,
        is_parquet: examined.declared_rows.is_some(),
        footer: examined.footer.as_ref(),
        rows: examined.rows.as_ref(),
        gaps_detected: examined.rows.as_ref().map(|_| examined.gaps_detected),
        silent: &examined.gaps,
        row_in_gap: examined.row_in_gap,
        file_size: metadata.map(|metadata| metadata.len()),
        sha256: hash.as_ref().and_then(|hash| hash.as_deref().ok()),
    };
    findings.extend(check_sidecar(&promises, sidecar));
    findings
}

fn is_in_order(sidecar: &Sidecar) -> bool {
    sidecar.gaps.is_sorted_by(|a, b| a.end <= b.start)
}

/// What the sidecar remembers of the questions that were asked: the file alone cannot tell it.
fn remembered_silence(sidecar: &Sidecar) -> SilenceFacts {
    if !is_in_order(sidecar) {
        return SilenceFacts::default(); // Not written by us; the sidecar checks say so.
    }
    let classed = |class: GapClass| -> RangeSet {
        let gaps = sidecar.gaps.iter().filter(|gap| gap.class == class);
        gaps.filter_map(|gap| crate::domain::EpochRange::new(gap.start, gap.end)).collect()
    };
    let rules = sidecar.gap_rules.clone().unwrap_or_default();
    // Sidecars of earlier builds keep no rules: there the list has to tell.
    let closes = sidecar.gaps.iter().any(|gap| gap.class == GapClass::MarketClosed);
    SilenceFacts {
        confirmed: classed(GapClass::ConfirmedBySource),
        silent: classed(GapClass::Silent),
        before_first_row: classed(GapClass::BeforeFirstRow),
        doubted: classed(GapClass::Unexplained),
        continuous: rules.continuous.or(closes.then_some(false)),
        gap_threshold_secs: rules.threshold_secs,
        hours: rules.hours,
        ..SilenceFacts::default()
    }
}

fn missing(key: &PartitionKey) -> Finding {
    let expected = "the partition that was published once, as `.titan/watermark.json` remembers";
    let found = "neither its file nor its sidecar";
    Finding::error(FindingKind::PartitionMissing, parquet_path(key), expected, found)
        .in_partition(key)
        .advise(Advice::PutBack)
}

/// Nothing tells which of its seconds it held, so the month is asked for as a whole.
fn vanished(key: &PartitionKey) -> Evidence {
    let doubt = Doubt { reason: AskReason::Damaged, range: key.month.range() };
    Evidence { doubts: vec![doubt], ..Evidence::unknown(key.clone()) }
}

fn inherited(place: &str) -> Finding {
    let expected = "a file that proves itself";
    let found = "one of another tool: inherited, not certified";
    Finding::warning(FindingKind::ForeignRows, place, expected, found).advise(Advice::Adopt)
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
    let finding = Finding::warning(FindingKind::ForeignRows, place, expected, found);
    Some(finding.at(first).advise(Advice::Download))
}

fn without_sidecar(place: &str, is_foreign: bool) -> Finding {
    let (kind, expected) = (FindingKind::SidecarMissing, "a sidecar beside it");
    if is_foreign {
        return Finding::warning(kind, place, expected, "none").advise(Advice::Adopt);
    }
    Finding::error(kind, place, expected, "none; the file may still be good").advise(Advice::Repair)
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
