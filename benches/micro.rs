//! What a core spends where: one step of a download each, on its own, over the same rows.
//!
//! `cargo bench --bench micro`; `cargo bench --bench micro -- parse` for some. Rows are a walk of
//! `R_100` (a tick every two seconds, two decimals), made from a seed, so that figures of two builds
//! compare. `items/s` are rows a second.

use std::path::Path;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use titan_download::deriv;
use titan_download::domain::{
    Epoch, EpochRange, Kind, Month, Page, PageRequest, PartitionKey, PartitionStore, Publication,
    RangeSet, Segment, SegmentNotes, Series, Tick,
};
use titan_download::download::pager::{Pager, Scope};
use titan_download::download::profile::Profile;
use titan_download::format::RowsDigest;
use titan_download::integrity::{self, PartitionChecker, VerifyOptions};
use titan_download::storage::{ParquetStore, StoreOptions};

/// Rows in a page, as the source sends them.
const PAGE_ROWS: i64 = 5_000;
/// Rows in the month that is encoded and verified: five days.
const MONTH_ROWS: i64 = 216_000;
const INTERVAL_SECS: i64 = 2;
/// Rows of one staged segment.
const CHUNK_ROWS: usize = 65_536;

fn main() {
    divan::main();
}

fn key() -> PartitionKey {
    let symbol = "R_100".parse().expect("letters and digits");
    let month = Month::new(2026, 9).expect("a month");
    PartitionKey { series: Series { symbol, kind: Kind::Ticks }, month }
}

/// A walk in steps of a few hundredths, the same each time.
fn ticks(n_rows: i64) -> Vec<Tick> {
    let start = key().month.range().start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut hundredths = 123_456_i64;
    let walk = |at: i64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        hundredths += i64::try_from(state % 101).unwrap_or(0) - 50;
        #[allow(clippy::cast_precision_loss)] // seven digits
        let quote = hundredths as f64 / 100.0;
        Tick { epoch: start.plus(at * INTERVAL_SECS), quote }
    };
    (0..n_rows).map(walk).collect()
}

fn range_of(rows: &[Tick]) -> EpochRange {
    let (first, last) = (rows[0].epoch, rows[rows.len() - 1].epoch);
    EpochRange::new(first, last.plus(1)).expect("rows ascend")
}

fn message(rows: &[Tick]) -> String {
    let list = |text: fn(&Tick) -> String| rows.iter().map(text).collect::<Vec<_>>().join(",");
    let prices = list(|row| format!("{:.2}", row.quote));
    let times = list(|row| row.epoch.secs().to_string());
    format!(
        r#"{{"echo_req":{{"ticks_history":"R_100"}},"history":{{"prices":[{prices}],"times":[{times}]}},"msg_type":"history","pip_size":2,"req_id":7}}"#
    )
}

/// A message of 5,000 ticks: whose it is, and its rows.
#[divan::bench]
fn parse_page(bencher: Bencher) {
    let rows = ticks(PAGE_ROWS);
    let message = message(&rows);
    let request = PageRequest { series: key().series, range: range_of(&rows), limit: 5_000 };
    let bencher = bencher.counter(ItemsCount::new(rows.len()));
    bencher.bench(|| deriv::read_tick_page(&request, black_box(&message)).expect("a good page"));
}

/// One window chosen and its answer judged.
#[divan::bench]
fn step_of_the_pager(bencher: Bencher) {
    let range = key().month.range();
    let rows = ticks(PAGE_ROWS);
    let ready = || {
        let scope = Scope {
            series: key().series,
            range,
            missing: std::iter::once(range).collect(),
            settled: RangeSet::new(),
            is_oldest: false,
            first_held: Some(Epoch::default()),
            recheck: Vec::new(),
            older: Vec::new(),
            settled_before: Epoch::default(),
            kept: RangeSet::new(),
        };
        let cadence = titan_download::domain::Cadence::Fixed { interval_secs: 2, phase_secs: 0 };
        let profile = Profile::new(Kind::Ticks, Some(true), 5_000, Some(cadence));
        let page = Page {
            records: rows.clone(),
            n_received: 5_000,
            pip_size: Some(2),
            n_duplicates: 0,
            conflicts: Vec::new(),
            unusable: Vec::new(),
        };
        (Pager::<Tick>::new(scope), profile, page)
    };
    let bencher = bencher.counter(ItemsCount::new(rows.len())).with_inputs(ready);
    bencher.bench_values(|(mut pager, mut profile, page)| {
        let ask = pager.next_ask(&profile).expect("a window is missing");
        pager.answer(ask.id, Ok(page), &mut profile)
    });
}

/// The hash of the rows and of their days.
#[divan::bench]
fn hash_rows(bencher: Bencher) {
    let rows = ticks(MONTH_ROWS);
    bencher.counter(ItemsCount::new(rows.len())).bench(|| {
        let mut digest = RowsDigest::new();
        digest.update(black_box(&rows));
        digest.finish()
    });
}

fn store(root: &Path) -> ParquetStore {
    ParquetStore::open(root, StoreOptions::default(), Arc::new(PartitionChecker))
        .expect("the default level exists")
}

fn stage(store: &ParquetStore, rows: &[Tick]) {
    for records in rows.chunks(CHUNK_ROWS) {
        let segment = Segment {
            range: range_of(records),
            asked: (Epoch::default(), Epoch::default()),
            pip_size: Some(2),
            n_duplicates: 0,
            pieces: vec![records.to_vec()],
            notes: SegmentNotes::default(),
        };
        PartitionStore::<Tick>::stage(store, &key(), &segment).expect("room on the disk");
    }
}

/// Rows to a durable segment.
#[divan::bench]
fn stage_rows(bencher: Bencher) {
    let rows = ticks(MONTH_ROWS);
    let folder = tempfile::tempdir().expect("room on the disk");
    let store = store(folder.path());
    bencher.counter(ItemsCount::new(rows.len())).bench_local(|| stage(&store, &rows));
}

/// Segments to a published file: merged, encoded, hashed, checked, described.
#[divan::bench]
fn publish_rows(bencher: Bencher) {
    let rows = ticks(MONTH_ROWS);
    let ready = || {
        let folder = tempfile::tempdir().expect("room on the disk");
        let store = store(folder.path());
        stage(&store, &rows);
        (folder, store)
    };
    let bencher = bencher.counter(ItemsCount::new(rows.len())).with_inputs(ready);
    bencher.bench_local_values(|(folder, store)| {
        let publication = Publication::default();
        let published = PartitionStore::<Tick>::publish(&store, &key(), &publication);
        (folder, published.expect("a good month"))
    });
}

/// Every promise of a published file, from the file alone.
#[divan::bench]
fn verify_rows(bencher: Bencher) {
    let rows = ticks(MONTH_ROWS);
    let folder = tempfile::tempdir().expect("room on the disk");
    let store = store(folder.path());
    stage(&store, &rows);
    PartitionStore::<Tick>::publish(&store, &key(), &Publication::default()).expect("a good month");
    let options = VerifyOptions { threads: 1, ..VerifyOptions::default() };
    let bencher = bencher.counter(ItemsCount::new(rows.len()));
    bencher.bench(|| integrity::verify(folder.path(), &options));
}
