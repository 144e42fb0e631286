//! The power goes at any step, and a file system keeps no more than it must.

mod judge;
mod model;
mod story;
mod table;

use std::collections::BTreeSet;

use super::*;
use crate::domain::CoverageRange;
use crate::storage::steps::recorder::{Event, recorded};
use judge::Judge;
pub(super) use model::Chance;
pub(super) use story::fast_dir;
use story::{Story, archive_of};

/// Chosen cuts at each step, beside the extremes.
const N_SAMPLES: usize = 6;

/// The stories happen around midnight, so that one day of a file can be lost and another one kept.
const SHIFT: i64 = 86_400 - 60;

/// Seconds since a minute before the second day of the month.
fn range(start: i64, end: i64) -> EpochRange {
    super::range(SHIFT + start, SHIFT + end)
}

fn stories() -> [Story; 6] {
    [
        story::silence(),
        story::rebuilding(),
        story::rotten_file(),
        story::rotten_day(),
        story::rotten_segment(),
        story::extension(),
    ]
}

/// The first state that breaks the promise when the power goes after step `first` or later.
fn broken(story: &Story, judge: &mut Judge, first: usize, lost: Option<usize>) -> Option<String> {
    (first..=story.events.len()).find_map(|n| {
        let promise = story.promise(n);
        let trees = story.disk(n, lost).after_a_cut(n as u64, N_SAMPLES);
        trees.iter().find_map(|tree| {
            let problem = judge.judge(tree, promise, &story.damaged).err()?;
            let last = n.checked_sub(1).map(|last| story::plain_step(&story.events[last]));
            let names: Vec<_> = tree.keys().collect();
            Some(format!("{problem}\nafter step {n}, {last:?}\n{promise:?}\n{names:#?}"))
        })
    })
}

/// Whatever changes the disk is told to the recorder, and the model does the same.
#[test]
fn the_model_does_what_the_disk_does() {
    for story in stories() {
        assert_eq!(story.disk(story.events.len(), None).seen(), story.end, "{}", story.name);
    }
}

#[test]
fn a_power_cut_at_any_step_loses_nothing() {
    let mut judge = Judge::default();
    for story in stories() {
        let problem = broken(&story, &mut judge, 0, None);
        assert!(problem.is_none(), "{}: {}", story.name, problem.unwrap());
        println!("{}: {} steps", story.name, story.events.len());
    }
    println!("{} different states", judge.n_judged);
}

/// A killed process leaves everything that the system knows, synced or not; what the next run
/// builds on that must outlast a power cut like everything else.
#[test]
fn a_power_cut_after_a_kill_loses_nothing() {
    for story in [story::silence(), story::extension()] {
        let mut judge = Judge::default();
        for killed_after in 0..story.events.len() {
            cut_after_a_kill(&story, killed_after, &mut judge);
        }
        println!("{}: {} different states", story.name, judge.n_judged);
    }
}

fn cut_after_a_kill(story: &Story, killed_after: usize, judge: &mut Judge) {
    let disk = story.disk(killed_after, None);
    let archive = archive_of(&disk.seen());
    let mut kept = Vec::new();
    let events = recorded(|| {
        let store = archive.store("second");
        store.prepare().unwrap();
        let _guard = store.lock(&series()).unwrap();
        load(&store).unwrap();
        kept.extend(publish(&store).coverage.ranges().iter().filter_map(CoverageRange::range));
    });
    let matters = |n: &usize| {
        let last = n.checked_sub(1).map(|last| &events[last]);
        let is_change =
            matches!(last, Some(Event::Rename(..) | Event::Remove(_) | Event::RemoveDir(_)));
        is_change || *n == events.len()
    };
    for n in (0..=events.len()).filter(matters) {
        let mut disk = disk.clone();
        (0..n).for_each(|at| disk.apply(archive.root(), &events, at, false));
        let mut promise = story.promise(killed_after).clone();
        if n == events.len() {
            promise.kept = kept.clone();
        }
        for tree in disk.after_a_cut(n as u64, 0) {
            let verdict = judge.judge(&tree, &promise, &[]);
            let steps = [&story.events[..killed_after], &[Event::Returned], &events[..n]];
            let steps: Vec<_> = steps.concat().iter().map(story::plain_step).collect();
            let names: Vec<_> = tree.keys().collect();
            assert!(verdict.is_ok(), "{verdict:?}\n{steps:#?}\n{names:#?}");
        }
    }
}

/// Syncs whose loss breaks no promise, and why they are there all the same.
///
/// `what was there` and what follows a probe are the folders that a run finds: only after a kill
/// can their names be uncertain, and then `a_power_cut_after_a_kill_loses_nothing` needs the sync.
const HARMLESS: [(&str, &str); 15] = [
    (".: no more ./*probe", "a folder that was there"),
    (".: what was there", "a folder that was there"),
    (
        ".titan/staging/R_100/ticks/2026-03: new .titan/staging/R_100/ticks/2026-03/*given-up",
        "without the note the file is judged once more",
    ),
    (
        ".titan/staging/R_100/ticks/2026-03: new .titan/staging/R_100/ticks/2026-03/*remarks",
        "the sync after the note of a file given up covers it",
    ),
    (".titan/staging/R_100/ticks: what was there", "a folder that was there"),
    (".titan/staging/R_100: what was there", "a folder that was there"),
    (".titan/staging: no more .titan/staging/*probe", "a folder that was there"),
    (".titan: new .titan/locks", "holds nothing that lasts"),
    (".titan: new .titan/staging", "the sync after its neighbour `quarantine` is made covers it"),
    (".titan: new .titan/watermark.json", "follows from the sidecars and is written again"),
    (".titan: what was there", "a folder that was there"),
    ("R_100: what was there", "a folder that was there"),
    ("content of ./*probe", "shows that the disk takes data, and is removed"),
    ("content of .titan/staging/*probe", "shows that the disk takes data, and is removed"),
    (
        "content of .titan/staging/R_100/ticks/2026-03/*given-up",
        "a note that cannot be read says nothing: the file is judged once more",
    ),
];

#[test]
fn removing_any_sync_breaks_a_promise() {
    let (mut needed, mut all) = (BTreeMap::new(), BTreeSet::new());
    for story in stories() {
        let mut judge = Judge::default();
        for (at, name) in story.syncs() {
            all.insert(name.clone());
            if needed.contains_key(&name) || HARMLESS.iter().any(|(harmless, _)| *harmless == name)
            {
                continue;
            }
            if let Some(problem) = broken(&story, &mut judge, at + 1, Some(at)) {
                needed.insert(name, problem.lines().next().unwrap_or_default().to_owned());
            }
        }
        println!("{}: {} states", story.name, judge.n_judged);
    }
    needed.iter().for_each(|(name, problem)| println!("{name}: {problem}"));
    let harmless: Vec<_> = all.iter().filter(|name| !needed.contains_key(*name)).collect();
    let justified: Vec<_> = HARMLESS.iter().map(|(name, _)| name).collect();
    assert_eq!(harmless, justified);
}
