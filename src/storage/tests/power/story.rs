//! What was done before the power went, and what it promised.

use std::path::PathBuf;

use super::model::{Disk, Tree, read_tree, write_tree};
use super::*;
use crate::domain::{FactsStore, SourceFacts};
use crate::storage::steps::recorder::{Event, recorded, returned};

/// Seconds of the month that the stories work on; a tick every two of them.
pub(super) const ALL: (i64, i64) = (0, 250);

/// What must be true from the moment on that something returned.
#[derive(Debug, Clone, Default)]
pub(super) struct Promise {
    /// Nobody has to ask for these again.
    pub(super) kept: Vec<EpochRange>,
    /// These are told, now or by the next publish.
    pub(super) findings: Vec<FindingKind>,
    /// What was damaged lies in quarantine, once.
    pub(super) is_aside: bool,
    /// And nowhere else.
    pub(super) is_replaced: bool,
    /// The sidecar is there.
    pub(super) has_sidecar: bool,
    /// What was learned of the source is known.
    pub(super) knows_facts: bool,
}

pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) root: PathBuf,
    pub(super) before: Tree,
    pub(super) events: Vec<Event>,
    /// By how many calls have returned.
    pub(super) promises: Vec<Promise>,
    /// Contents that were damaged before it all began.
    pub(super) damaged: Vec<Vec<u8>>,
    /// What the disk holds at its end.
    pub(super) end: Tree,
}

impl Story {
    /// The disk after the first `n` steps; the sync among them that is `lost` did nothing.
    pub(super) fn disk(&self, n: usize, lost: Option<usize>) -> Disk {
        let mut disk = Disk::of(&self.before);
        for at in 0..n {
            disk.apply(&self.root, &self.events, at, lost == Some(at));
        }
        disk
    }

    /// What holds after the first `n` steps.
    pub(super) fn promise(&self, n: usize) -> &Promise {
        let n_returned = self.events[..n].iter().filter(|event| **event == Event::Returned).count();
        &self.promises[n_returned]
    }

    /// The syncs among the steps, each told by what it makes durable.
    pub(super) fn syncs(&self) -> Vec<(usize, String)> {
        let plain = |path: &Path| path.strip_prefix(&self.root).map_or("..".into(), plain_name);
        let mut syncs = Vec::new();
        for (at, event) in self.events.iter().enumerate() {
            match event {
                Event::Sync(path, _) => syncs.push((at, format!("content of {}", plain(path)))),
                Event::SyncDir(folder) => {
                    let change = self.events[..at].iter().rev().find_map(|event| match event {
                        Event::MakeDir(path) if path.parent() == Some(folder) => {
                            Some(format!("new {}", plain(path)))
                        }
                        Event::Rename(_, to) if to.parent() == Some(folder) => {
                            Some(format!("new {}", plain(to)))
                        }
                        Event::Rename(from, _) | Event::Remove(from)
                            if from.parent() == Some(folder) =>
                        {
                            Some(format!("no more {}", plain(from)))
                        }
                        _ => None,
                    });
                    let change = change.unwrap_or_else(|| "what was there".into());
                    syncs.push((at, format!("{}: {change}", plain(folder))));
                }
                _ => {}
            }
        }
        syncs
    }
}

/// A path without the parts that differ from run to run.
pub(super) fn plain_name(path: &Path) -> String {
    let name = path.to_str().unwrap();
    let (folder, file) = name.rsplit_once('/').unwrap_or((".", name));
    let kinds = [
        ".segment",
        ".parquet",
        ".metadata.json",
        "intent",
        "remarks",
        "facts",
        "probe",
        "given-up",
    ];
    match kinds.iter().find(|kind| file.contains(*kind)) {
        Some(kind) => format!("{folder}/*{kind}"),
        None if name.is_empty() => ".".to_owned(),
        None => name.to_owned(),
    }
}

/// A step without content.
pub(super) fn plain_step(event: &Event) -> String {
    match event {
        Event::Sync(path, bytes) => format!("Sync({}, {} bytes)", path.display(), bytes.len()),
        event => format!("{event:?}"),
    }
}

/// A folder without a disk behind it where there is one: nothing here has to last.
pub(in crate::storage::tests) fn fast_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub(super) fn archive_of(tree: &Tree) -> Archive {
    let archive = Archive { dir: fast_dir(), inspector: Arc::default() };
    write_tree(tree, archive.root());
    archive
}

pub(super) fn facts() -> SourceFacts {
    SourceFacts { page_cap: Some(1234), ..SourceFacts::default() }
}

/// Rows of the first 200 seconds; then silence.
pub(super) fn rows() -> Vec<Tick> {
    walk(100).into_iter().map(|row| Tick { epoch: row.epoch.plus(SHIFT), ..row }).collect()
}

/// A publish that found something which no file can tell.
pub(super) fn with_finding() -> Publication {
    let finding = Finding::warning(FindingKind::LostBehindWall, "the story", "rows", "nothing");
    Publication { findings: vec![finding], ..publication() }
}

/// What every story begins with.
fn begin(archive: &Archive) -> (ParquetStore, crate::storage::SeriesGuard) {
    let store = archive.store("story");
    store.prepare().unwrap();
    let guard = store.lock(&series()).unwrap();
    load(&store).unwrap();
    (store, guard)
}

fn told(
    name: &'static str,
    archive: &Archive,
    damaged: Vec<Vec<u8>>,
    promises: Vec<Promise>,
    work: impl FnOnce(),
) -> Story {
    let root = archive.root().to_owned();
    let before = read_tree(&root);
    let events = recorded(work);
    let end = read_tree(&root);
    Story { name, root, before, events, promises, damaged, end }
}

/// A first month: made from nothing, published, extended, published again.
pub(super) fn extension() -> Story {
    let archive = archive_of(&Tree::new());
    let kept = |ends: &[(i64, i64)]| ends.iter().map(|(start, end)| range(*start, *end)).collect();
    let lost = vec![FindingKind::LostBehindWall];
    let promise = |ends: &[(i64, i64)]| Promise { kept: kept(ends), ..Promise::default() };
    let published = |ends: &[(i64, i64)]| Promise {
        findings: lost.clone(),
        has_sidecar: true,
        ..promise(ends)
    };
    let promises = vec![
        Promise::default(),
        Promise::default(),
        promise(&[(0, 100)]),
        published(&[(0, 100)]),
        published(&[(0, 150)]),
        published(&[(0, 250)]),
        published(&[(0, 250)]),
        Promise { knows_facts: true, ..published(&[(0, 250)]) },
    ];
    told("extension", &archive, Vec::new(), promises, || {
        let (store, _guard) = begin(&archive);
        returned();
        stage(&store, range(0, 100), &rows());
        returned();
        publish_with(&store, &with_finding()).unwrap();
        returned();
        stage(&store, range(100, 150), &rows());
        returned();
        stage(&store, range(150, 250), &rows());
        returned();
        publish(&store);
        returned();
        store.save_facts(&facts()).unwrap();
        returned();
    })
}

/// Silence proved behind the last row: the new file is as long as the old one.
pub(super) fn silence() -> Story {
    let archive = archive_of(&Tree::new());
    let store = archive.store("earlier");
    store.prepare().unwrap();
    stage(&store, range(0, 230), &rows());
    publish(&store);
    let kept = |end| Promise { kept: vec![range(0, end)], has_sidecar: true, ..Promise::default() };
    let old = archive.bytes();
    let story = told(
        "silence",
        &archive,
        Vec::new(),
        vec![kept(230), kept(230), kept(250), kept(250)],
        || {
            let (store, _guard) = begin(&archive);
            returned();
            stage(&store, range(230, 250), &rows());
            returned();
            publish(&store);
            returned();
        },
    );
    let new = archive.bytes();
    assert!(old.len() == new.len() && old != new, "only then can a length deceive");
    story
}

/// A published file that rotted: it keeps its name until it was asked again and published.
pub(super) fn rotten_file() -> Story {
    let archive = archive_of(&Tree::new());
    let store = archive.store("earlier");
    stage(&store, range(0, 100), &rows());
    publish(&store);
    fs::remove_file(archive.sidecar_path()).unwrap();
    let path = archive.parquet();
    quarantine("rotten file", &archive, &path, FindingKind::RowsHash, |bytes| {
        bytes[4..60].fill(b'x');
    })
}

/// A published file of which one day rotted: the other one takes its name before anything is asked.
pub(super) fn rotten_day() -> Story {
    let archive = archive_of(&Tree::new());
    let store = archive.store("earlier");
    stage(&store, range(0, 150), &rows());
    publish(&store);
    fs::remove_file(archive.sidecar_path()).unwrap();
    let path = archive.parquet();
    quarantine("rotten day", &archive, &path, FindingKind::RowsHash, |bytes| {
        let name = b"\"date\":\"2026-03-02\",\"rows\":";
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
        let hash = b"\"rows_sha256\":\"";
        let behind = bytes[at..].windows(hash.len()).position(|window| window == hash).unwrap();
        let digit = &mut bytes[at + behind + hash.len()];
        *digit = if *digit == b'0' { b'1' } else { b'0' };
    })
}

/// A segment that rotted: set aside, asked again, published.
pub(super) fn rotten_segment() -> Story {
    let archive = archive_of(&Tree::new());
    let store = archive.store("earlier");
    stage(&store, range(100, 150), &rows());
    let staging = store.layout().staging_dir(&key());
    let segment = staging::list(&staging).unwrap().remove(0);
    let kind = FindingKind::StagingSetAside;
    quarantine("rotten segment", &archive, &segment, kind, |bytes| bytes[4..60].fill(b'x'))
}

fn quarantine(
    name: &'static str,
    archive: &Archive,
    rotten: &Path,
    kind: FindingKind,
    rot: impl FnOnce(&mut Vec<u8>),
) -> Story {
    let mut damaged = fs::read(rotten).unwrap();
    rot(&mut damaged);
    fs::write(rotten, &damaged).unwrap();
    let is_file = kind != FindingKind::StagingSetAside;
    let aside = |kept: &[EpochRange]| Promise {
        kept: kept.to_vec(),
        findings: vec![kind],
        is_aside: true,
        is_replaced: !is_file || name == "rotten day",
        ..Promise::default()
    };
    let mut last = Promise { has_sidecar: true, is_replaced: true, ..aside(&[range(0, 150)]) };
    // Told once by the publish that has returned; a damaged segment is told for ever.
    last.findings.retain(|kind| *kind == FindingKind::StagingSetAside);
    let promises = vec![Promise::default(), aside(&[]), aside(&[range(0, 150)]), last];
    // An archive from elsewhere may come without its empty folders.
    fs::remove_dir(Layout::new(archive.root()).quarantine_dir()).unwrap();
    told(name, archive, vec![damaged], promises, || {
        let (store, _guard) = begin(archive);
        returned();
        stage(&store, range(0, 150), &rows());
        returned();
        publish(&store);
        returned();
    })
}

/// A sidecar that was lost and is made again.
pub(super) fn rebuilding() -> Story {
    let archive = archive_of(&Tree::new());
    let store = archive.store("earlier");
    stage(&store, range(0, 100), &rows());
    publish(&store);
    fs::remove_file(archive.sidecar_path()).unwrap();
    let kept = Promise { kept: vec![range(0, 100)], ..Promise::default() };
    let promises = vec![kept.clone(), Promise { has_sidecar: true, ..kept }];
    told("rebuilding", &archive, Vec::new(), promises, || {
        let _run = begin(&archive);
        returned();
    })
}
