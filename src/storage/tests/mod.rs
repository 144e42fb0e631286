//! Tests of the store as a whole, on real files. Here: what the others share.

mod crash;
mod damage;
mod folders;
mod foreign;
mod identity;
mod looking;
mod merging;
mod never_leaves;
mod notes;
mod power;
mod restating;
mod salvaging;
mod stopping;
mod watermark;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::read::{PartitionFile, RowStream};
use super::*;
use crate::domain::{
    EpochRange, Finding, FindingKind, Gap, GapClass, Inspection, Kind, Month, Publication,
    SegmentNotes, Series, SeriesLocks, SettleClock, SilenceFacts, Tick,
};
use crate::format::Sidecar;

/// 2026-03-01T00:00:00Z, the first second of the month the tests work on.
const START: i64 = 1_772_323_200;

/// Reports the gaps it was told to, classed by the silence it is given.
#[derive(Default)]
struct FakeInspector {
    gaps: Mutex<Vec<EpochRange>>,
}

impl PartitionInspector for FakeInspector {
    fn inspect(
        &self,
        key: &PartitionKey,
        file: &Path,
        silence: &SilenceFacts,
        _: Option<&str>,
    ) -> Inspection {
        assert!(file.is_file(), "the file has its name when it is inspected");
        let mut inspection = Inspection { gaps_detected: 7, ..Inspection::default() };
        for range in self.gaps.lock().unwrap().iter() {
            let asked = [&silence.confirmed, &silence.silent];
            let is_confirmed = asked.iter().any(|asked| asked.covers(*range));
            let class =
                if is_confirmed { GapClass::ConfirmedBySource } else { GapClass::Unexplained };
            let (start, end) = (range.start(), range.end());
            inspection.gaps.push(Gap {
                start,
                end,
                missing_estimate: 1,
                class,
                asked_first: None,
                asked_last: None,
            });
            if !is_confirmed {
                let kind = FindingKind::UnexplainedGap;
                inspection.findings.push(Finding::warning(kind, key, "rows", range));
            }
        }
        inspection
    }
}

/// An archive in a folder of its own.
struct Archive {
    dir: tempfile::TempDir,
    inspector: Arc<FakeInspector>,
}

impl Archive {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), inspector: Arc::default() }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn options(&self, session: &str) -> StoreOptions {
        StoreOptions {
            row_group_rows: 1000,
            endpoint: "wss://example.com".into(),
            session: session.into(),
            ..StoreOptions::default()
        }
    }

    /// A store as a new run has it.
    fn store(&self, session: &str) -> ParquetStore {
        let options = self.options(session);
        ParquetStore::open(self.root(), options, self.inspector.clone()).unwrap()
    }

    fn parquet(&self) -> PathBuf {
        Layout::new(self.root()).parquet(&key())
    }

    fn sidecar_path(&self) -> PathBuf {
        Layout::new(self.root()).sidecar(&key())
    }

    fn sidecar(&self) -> Sidecar {
        Sidecar::from_json(&fs::read(self.sidecar_path()).unwrap()).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.parquet()).unwrap()
    }

    /// Every file of the archive with its content, by path below the root, but the locks, and the
    /// watermark file, which follows from the sidecars.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.root(), self.root(), &mut files);
        files
            .retain(|name, _| !name.starts_with(".titan/locks") && name != ".titan/watermark.json");
        files
    }

    /// Names of the files below a folder of the archive.
    fn names_in(&self, folder: &str) -> Vec<String> {
        self.files().into_keys().filter(|name| name.starts_with(folder)).collect()
    }
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

fn month() -> Month {
    "2026-03".parse().unwrap()
}

fn series() -> Series {
    Series { symbol: "R_100".parse().unwrap(), kind: Kind::Ticks }
}

fn key() -> PartitionKey {
    PartitionKey { series: series(), month: month() }
}

/// Seconds since the start of the month.
fn range(start: i64, end: i64) -> EpochRange {
    EpochRange::new(Epoch::new(START + start), Epoch::new(START + end)).unwrap()
}

fn tick(second: i64, quote: f64) -> Tick {
    Tick { epoch: Epoch::new(START + second), quote }
}

/// A random walk in steps of 0.01, one tick every two seconds.
fn walk(n_ticks: usize) -> Vec<Tick> {
    let mut noise = 88_172_645_463_325_252_u64;
    let mut cents = 150_000_i64;
    (0..n_ticks as i64)
        .map(|i| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            cents += (noise % 61) as i64 - 30;
            tick(2 * i, cents as f64 / 100.0)
        })
        .collect()
}

/// The segment of `rows` that answers for `range`, asked at one second.
fn segment_asked(range: EpochRange, rows: &[Tick], asked: i64) -> Segment<Tick> {
    let asked = Epoch::new(START + asked);
    let records = rows.iter().copied().filter(|row| range.contains(row.epoch())).collect();
    let notes = SegmentNotes::default();
    let pieces = vec![records];
    Segment { range, asked: (asked, asked), pip_size: Some(2), n_duplicates: 1, pieces, notes }
}

fn segment(range: EpochRange, rows: &[Tick]) -> Segment<Tick> {
    segment_asked(range, rows, 5_000_000)
}

fn stage(store: &ParquetStore, range: EpochRange, rows: &[Tick]) {
    store.stage(&key(), &segment(range, rows)).unwrap();
}

/// A publish on the tenth of the month.
fn publication() -> Publication {
    Publication {
        server_now: Epoch::new(START + 9 * 86_400),
        settle_lag: Duration::from_secs(86_400),
        ..Publication::default()
    }
}

fn publish(store: &ParquetStore) -> Published {
    publish_with(store, &publication()).unwrap()
}

fn publish_with(store: &ParquetStore, publication: &Publication) -> Result<Published, StoreError> {
    PartitionStore::<Tick>::publish(store, &key(), publication)
}

fn load(store: &ParquetStore) -> Result<StoredPartition, StoreError> {
    PartitionStore::<Tick>::load(store, &key())
}

/// Loads as the run that holds the series.
fn load_owned(store: &ParquetStore) -> Result<StoredPartition, StoreError> {
    let _guard = store.lock(&series()).unwrap();
    load(store)
}

fn read_rows<R: Record>(path: &Path) -> Vec<R> {
    let file = PartitionFile::open(path).unwrap();
    file.check::<R>().unwrap();
    let mut rows = file.rows::<R>().unwrap();
    std::iter::from_fn(|| rows.next_row().unwrap()).collect()
}

fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}
