//! Whether what a power cut left keeps the promise, before and after the next run.

use std::collections::{BTreeSet, HashMap};

use super::model::{Tree, read_tree};
use super::story::{ALL, Promise, archive_of, facts, plain_name, rows};
use super::*;
use crate::domain::FactsStore;
use crate::format::digest::hex;
use sha2::{Digest, Sha256};

/// Judges each state once, however many cuts lead to it.
#[derive(Default)]
pub(super) struct Judge {
    known: HashMap<String, Result<(), String>>,
    pub(super) n_judged: usize,
}

impl Judge {
    pub(super) fn judge(
        &mut self,
        tree: &Tree,
        promise: &Promise,
        damaged: &[Vec<u8>],
    ) -> Result<(), String> {
        // One draft is as good as another: none is believed.
        let is_draft = |name: &str| name.ends_with(".titan-tmp");
        let drafts: BTreeSet<_> = tree
            .keys()
            .filter(|name| is_draft(name))
            .map(|name| plain_name(Path::new(name)))
            .collect();
        let others: Vec<_> = tree.iter().filter(|(name, _)| !is_draft(name)).collect();
        let name = hex(&Sha256::digest(format!("{others:?} {drafts:?} {promise:?}")));
        if let Some(verdict) = self.known.get(&name) {
            return verdict.clone();
        }
        self.n_judged += 1;
        let verdict = readers_see_whole_files(tree, damaged)
            .and_then(|()| nothing_damaged_is_deleted(tree, promise, damaged))
            .and_then(|()| the_next_run_loses_nothing(tree, promise, damaged));
        self.known.insert(name, verdict.clone());
        verdict
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn readers_see_whole_files(tree: &Tree, damaged: &[Vec<u8>]) -> Result<(), String> {
    let archive = archive_of(tree);
    for (name, content) in tree {
        let Some(content) = content else { continue };
        if name.starts_with(".titan/quarantine") || damaged.contains(content) {
            continue;
        }
        let is_whole = if name.ends_with(".parquet") {
            PartitionFile::open(&archive.root().join(name))
                .is_ok_and(|file| file.verify_rows::<Tick>(&Stop::default()).is_ok())
        } else if name.ends_with(".json") {
            serde_json::from_slice::<serde_json::Value>(content).is_ok()
        } else {
            true
        };
        ensure(is_whole, || format!("readers see a broken `{name}`"))?;
    }
    Ok(())
}

fn nothing_damaged_is_deleted(
    tree: &Tree,
    promise: &Promise,
    damaged: &[Vec<u8>],
) -> Result<(), String> {
    for bytes in damaged {
        let places = |aside: bool| {
            let is_it = |(name, content): &(&String, &Option<Vec<u8>>)| {
                content.as_ref() == Some(bytes) && name.starts_with(".titan/quarantine") == aside
            };
            tree.iter().filter(is_it).count()
        };
        let (n_aside, n_there) = (places(true), places(false));
        ensure(n_aside + n_there > 0, || "what was damaged is gone".into())?;
        let is_settled =
            (!promise.is_aside || n_aside == 1) && (!promise.is_replaced || n_there == 0);
        ensure(is_settled, || format!("damaged: {n_aside} aside, {n_there} not"))?;
    }
    Ok(())
}

fn the_next_run_loses_nothing(
    tree: &Tree,
    promise: &Promise,
    damaged: &[Vec<u8>],
) -> Result<(), String> {
    let archive = archive_of(tree);
    let sidecar_before = fs::read_to_string(archive.sidecar_path()).unwrap_or_default();
    ensure(!promise.has_sidecar || !sidecar_before.is_empty(), || "no sidecar".into())?;
    let store = archive.store("next");
    let failed = |error: StoreError| format!("the next run fails: {error}");
    store.prepare().map_err(failed)?;
    let _guard = store.lock(&series()).map_err(failed)?;
    let known = store.load_facts() == facts();
    ensure(known || !promise.knows_facts, || "what was learned is lost".into())?;

    let stored = load(&store).map_err(failed)?;
    for kept in &promise.kept {
        let missing = stored.coverage().missing(*kept);
        ensure(missing.is_empty(), || format!("{missing:?} has to be asked again"))?;
    }
    let published = publish_with(&store, &publication()).map_err(failed)?;
    let told = published.findings.iter().map(|finding| finding.kind);
    let told: Vec<_> = told
        .chain(if archive.sidecar_path().exists() {
            kinds(&archive.sidecar().findings)
        } else {
            vec![]
        })
        .collect();
    for kind in &promise.findings {
        let is_told = told.contains(kind) || sidecar_before.contains(&kind.to_string());
        ensure(is_told, || format!("`{kind}` is told nowhere"))?;
    }
    let is_there = tree.contains_key("R_100/ticks/2026-03.parquet");
    ensure(!is_there || archive.parquet().exists(), || "readers find nothing any more".into())?;
    if archive.parquet().exists() && damaged.contains(&archive.bytes()) {
        // Nothing could take its place yet.
        ensure(!archive.sidecar_path().exists(), || "a sidecar of what is given up".into())?;
    } else {
        consistent(&archive)?;
    }
    converges(&archive, &store)
}

/// File, sidecar and rows agree, and nothing is left over.
fn consistent(archive: &Archive) -> Result<(), String> {
    let left = read_tree(archive.root());
    let draft = left.keys().find(|name| name.ends_with(".titan-tmp"));
    ensure(draft.is_none(), || format!("`{draft:?}` is left"))?;
    if !archive.parquet().exists() {
        return ensure(!archive.sidecar_path().exists(), || "a sidecar without its file".into());
    }
    let staged = archive.names_in(".titan/staging/");
    ensure(staged.is_empty(), || format!("staging is not swept: {staged:?}"))?;
    let (sidecar, bytes) = (archive.sidecar(), archive.bytes());
    let file = PartitionFile::open(&archive.parquet()).map_err(|error| format!("{error:?}"))?;
    let is_described = sidecar.sha256 == Some(hex(&Sha256::digest(&bytes)))
        && sidecar.file_size == Some(bytes.len() as u64)
        && sidecar.coverage() == file.footer.coverage
        && sidecar.record_count == file.footer.record_count;
    ensure(is_described, || "the sidecar describes another file".into())?;
    let found = read_rows::<Tick>(&archive.parquet());
    let held = file.footer.coverage.select(crate::domain::CoverageState::is_settled);
    let is_covered = |row: &Tick| held.iter().any(|range| range.contains(row.epoch));
    let expected: Vec<_> = rows().into_iter().filter(is_covered).collect();
    ensure(found == expected, || {
        format!("{} rows where {} were answered", found.len(), expected.len())
    })
}

/// Once what is missing was asked again, the bytes are those of one download.
fn converges(archive: &Archive, store: &ParquetStore) -> Result<(), String> {
    let stored = load(store).map_err(|error| error.to_string())?;
    let n_before = archive.sidecar_path().exists().then(|| archive.sidecar().duplicates_removed);
    let mut n_asked = 0;
    for missing in stored.coverage().missing(range(ALL.0, ALL.1)).iter() {
        stage(store, missing, &rows());
        n_asked += 1;
    }
    publish(store);
    consistent(archive)?;
    let n_after = archive.sidecar().duplicates_removed;
    let n_expected = n_before.unwrap_or(0) + n_asked;
    ensure(n_after == n_expected, || format!("{n_after} duplicates, not {n_expected}"))?;
    ensure(n_after - n_asked <= 3, || format!("{n_after} duplicates are counted twice"))?;
    ensure(archive.bytes() == bytes_in_one_go(), || "other bytes than one download gives".into())
}

fn bytes_in_one_go() -> Vec<u8> {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let download = || {
        let archive = archive_of(&Tree::new());
        let store = archive.store("one");
        stage(&store, range(ALL.0, ALL.1), &rows());
        publish(&store);
        archive.bytes()
    };
    BYTES.get_or_init(download).clone()
}
