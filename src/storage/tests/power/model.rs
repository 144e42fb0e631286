//! A file system that keeps no more through a power cut than POSIX makes it keep.
//!
//! - Content that was not synced may be lost, cut short, or be zeros.
//! - A name that was made, changed or taken away is certain only after its folder was synced.
//!   Until then each name shows, by itself, any of the values it had since the last sync.
//! - A rename is whole in one respect: the old name never goes by itself before the new one is
//!   there. A sync of the old folder alone makes it go.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use crate::storage::steps::recorder::Event;

/// What lies below a root: content by path, nothing for a folder.
pub(super) type Tree = BTreeMap<String, Option<Vec<u8>>>;

type NodeId = usize;
/// A name in a folder.
type Slot = (NodeId, String);

const ROOT: NodeId = 0;

#[derive(Debug, Clone)]
enum Node {
    Folder,
    File { written: Vec<u8>, is_synced: bool },
}

/// What a name meant since it was last certain.
#[derive(Debug, Clone)]
struct Name {
    values: Vec<Option<NodeId>>,
    /// The oldest value that may come back.
    oldest: usize,
}

/// If the first name shows this value or a later one, so does the second.
#[derive(Debug, Clone)]
struct Bond(Slot, usize, Slot, usize);

/// How unsynced content comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsynced {
    Whole,
    Half,
    Nothing,
    Zeros,
}

pub(super) const EVERY_LOSS: [Unsynced; 3] = [Unsynced::Half, Unsynced::Nothing, Unsynced::Zeros];

/// A disk in the middle of its work.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    nodes: Vec<Node>,
    names: BTreeMap<Slot, Name>,
    bonds: Vec<Bond>,
}

impl Disk {
    /// A disk at rest.
    pub(super) fn of(tree: &Tree) -> Self {
        let mut disk =
            Self { nodes: vec![Node::Folder], names: BTreeMap::new(), bonds: Vec::new() };
        // Sorted by path, a folder comes before what is in it.
        for (path, content) in tree {
            let node = match content {
                None => Node::Folder,
                Some(bytes) => Node::File { written: bytes.clone(), is_synced: true },
            };
            disk.add(Path::new(path), node);
        }
        for name in disk.names.values_mut() {
            name.oldest = name.values.len() - 1;
        }
        disk
    }

    /// Does what `events[at]` did below `root`. A sync that is `lost` does nothing.
    pub(super) fn apply(&mut self, root: &Path, events: &[Event], at: usize, is_lost: bool) {
        let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_owned();
        let file = |written| Node::File { written, is_synced: false };
        match &events[at] {
            Event::Create(path) => drop(self.add(&below(path), file(Vec::new()))),
            Event::Write(path) => {
                let synced = |event: &Event| match event {
                    Event::Sync(other, bytes) if other == path => Some(bytes.clone()),
                    _ => None,
                };
                let written = events[at..].iter().find_map(synced).unwrap_or_default();
                self.fill(&below(path), &written, false);
            }
            Event::Sync(path, bytes) => self.fill(&below(path), bytes, !is_lost),
            Event::Rename(from, to) => self.rename(&below(from), &below(to)),
            Event::Link(from, to) => self.link(&below(from), &below(to)),
            // The root's own name lies outside.
            Event::SyncDir(path) if path.starts_with(root) && !is_lost => {
                self.sync_folder(&below(path));
            }
            Event::MakeDir(path) => {
                self.add(&below(path), Node::Folder);
            }
            Event::Remove(path) => {
                if let Some(slot) = self.find(&below(path)).filter(|slot| self.now(slot).is_some())
                {
                    self.set(slot, None);
                }
            }
            Event::RemoveDir(path) => self.remove_folder(&below(path)),
            Event::SyncDir(_) | Event::Returned => {}
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> Slot {
        let slot = self.find(path).unwrap_or_else(|| panic!("no folder for {}", path.display()));
        // A folder that is there already, or a file that could not be made.
        if self.now(&slot).is_none() {
            self.nodes.push(node);
            self.set(slot.clone(), Some(self.nodes.len() - 1));
        }
        slot
    }

    fn fill(&mut self, path: &Path, bytes: &[u8], is_synced: bool) {
        let slot = self.find(path).expect("a file that is written has a folder");
        let node = self.now(&slot).expect("a file that is written has a name");
        self.nodes[node] = Node::File { written: bytes.to_vec(), is_synced };
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let (from, to) = (self.find(from), self.find(to));
        let (from, to) = from.zip(to).expect("both folders are there");
        let node = self.now(&from).expect("what is renamed is there");
        let new = self.set(to.clone(), Some(node));
        let gone = self.set(from.clone(), None);
        self.bonds.push(Bond(from, gone, to, new));
    }

    fn link(&mut self, from: &Path, to: &Path) {
        let (from, to) = (self.find(from), self.find(to));
        let (from, to) = from.zip(to).expect("both folders are there");
        let node = self.now(&from);
        self.set(to, node);
    }

    fn remove_folder(&mut self, path: &Path) {
        let Some(slot) = self.find(path) else { return };
        let Some(folder) = self.now(&slot) else { return };
        let inside: Vec<_> =
            self.inside(folder).map(|(slot, name)| (slot.clone(), name.values.len() - 1)).collect();
        if inside.iter().any(|(slot, _)| self.now(slot).is_some()) {
            return;
        }
        let gone = self.set(slot.clone(), None);
        // What is in no folder any more has moved to where it went.
        self.bonds.extend(inside.into_iter().map(|(at, last)| Bond(slot.clone(), gone, at, last)));
    }

    fn sync_folder(&mut self, path: &Path) {
        let folder = if path.as_os_str().is_empty() {
            ROOT
        } else {
            let slot = self.find(path).expect("a folder that is synced is there");
            self.now(&slot).expect("a folder that is synced is there")
        };
        for ((at, _), name) in &mut self.names {
            if *at == folder {
                name.oldest = name.values.len() - 1;
            }
        }
    }

    fn inside(&self, folder: NodeId) -> impl Iterator<Item = (&Slot, &Name)> {
        self.names.iter().filter(move |((at, _), _)| *at == folder)
    }

    fn set(&mut self, slot: Slot, value: Option<NodeId>) -> usize {
        let name = self.names.entry(slot).or_insert(Name { values: vec![None], oldest: 0 });
        name.values.push(value);
        name.values.len() - 1
    }

    fn now(&self, slot: &Slot) -> Option<NodeId> {
        *self.names.get(slot)?.values.last()?
    }

    /// The name that `path` ends in, if its folder is there.
    fn find(&self, path: &Path) -> Option<Slot> {
        let parts = path.components().map(|part| match part {
            Component::Normal(part) => part.to_str().unwrap().to_owned(),
            part => panic!("{part:?} in the path of a step"),
        });
        let mut parts: Vec<_> = parts.collect();
        let last = parts.pop()?;
        let mut folder = ROOT;
        for part in parts {
            folder = self.now(&(folder, part))?;
        }
        Some((folder, last))
    }

    /// The value each name shows if it were to show the one that is `wanted`, and what follows.
    fn settled(&self, wanted: impl Fn(&Slot, &Name) -> usize) -> BTreeMap<Slot, usize> {
        let mut shown: BTreeMap<_, _> =
            self.names.iter().map(|(slot, name)| (slot.clone(), wanted(slot, name))).collect();
        loop {
            let is_broken = |Bond(a, i, b, j): &&Bond| {
                self.names[a].oldest < *i && shown[a] >= *i && shown[b] < *j
            };
            let broken = self.bonds.iter().find(is_broken);
            let Some(Bond(_, _, slot, index)) = broken else { return shown };
            shown.insert(slot.clone(), *index);
        }
    }

    /// How many names are uncertain.
    fn uncertain(&self) -> Vec<&Slot> {
        let is_uncertain = |name: &Name| name.oldest + 1 < name.values.len();
        self.names.iter().filter(|(_, name)| is_uncertain(name)).map(|(slot, _)| slot).collect()
    }

    /// What a reader sees while the power is on.
    pub(super) fn seen(&self) -> Tree {
        self.tree(&self.settled(|_, name| name.values.len() - 1), Unsynced::Whole)
    }

    /// What may be found after the power comes back: all of it where that is little, else the
    /// extremes, each name lost or kept alone, and a sample that `seed` chooses.
    pub(super) fn after_a_cut(&self, seed: u64, n_samples: usize) -> Vec<Tree> {
        let newest = |name: &Name| name.values.len() - 1;
        let mut shown =
            vec![self.settled(|_, name| name.oldest), self.settled(|_, name| newest(name))];
        for alone in self.uncertain() {
            let kept =
                |slot: &Slot, name: &Name| if slot == alone { newest(name) } else { name.oldest };
            let lost =
                |slot: &Slot, name: &Name| if slot == alone { name.oldest } else { newest(name) };
            shown.push(self.settled(kept));
            shown.push(self.settled(lost));
        }
        for sample in 0..n_samples as u64 {
            let mut chance = Chance(seed ^ (sample << 32));
            let choices: BTreeMap<_, _> = self
                .names
                .iter()
                .map(|(slot, name)| {
                    (slot, name.oldest + chance.below(name.values.len() - name.oldest))
                })
                .collect();
            shown.push(self.settled(|slot, _| choices[slot]));
        }
        let mut trees: Vec<_> = shown
            .iter()
            .flat_map(|shown| EVERY_LOSS.map(|unsynced| self.tree(shown, unsynced)))
            .collect();
        trees.sort();
        trees.dedup();
        trees
    }

    fn tree(&self, shown: &BTreeMap<Slot, usize>, unsynced: Unsynced) -> Tree {
        let mut tree = Tree::new();
        let mut folders = vec![(ROOT, String::new())];
        while let Some((folder, path)) = folders.pop() {
            for (slot, name) in self.inside(folder) {
                let Some(node) = name.values[shown[slot]] else { continue };
                let path = format!("{path}{}", slot.1);
                match &self.nodes[node] {
                    Node::Folder => {
                        folders.push((node, format!("{path}/")));
                        tree.insert(path, None);
                    }
                    Node::File { written, is_synced } => {
                        let keep = if *is_synced { Unsynced::Whole } else { unsynced };
                        tree.insert(path, Some(left_of(written, keep)));
                    }
                }
            }
        }
        tree
    }
}

fn left_of(written: &[u8], unsynced: Unsynced) -> Vec<u8> {
    match unsynced {
        Unsynced::Whole => written.to_vec(),
        Unsynced::Half => written[..written.len() / 2].to_vec(),
        Unsynced::Nothing => Vec::new(),
        Unsynced::Zeros => vec![0; written.len()],
    }
}

/// SplitMix64: the same choices in every run.
pub(in crate::storage::tests) struct Chance(pub(in crate::storage::tests) u64);

impl Chance {
    pub(in crate::storage::tests) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Reads all that lies below `root`, but the locks.
pub(super) fn read_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                tree.insert(name, None);
                folders.push(path);
            } else if !name.ends_with(".lock") {
                tree.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

/// Puts a tree on a real disk.
pub(super) fn write_tree(tree: &Tree, root: &Path) {
    for (path, content) in tree {
        match content {
            None => fs::create_dir(root.join(path)).unwrap(),
            Some(bytes) => fs::write(root.join(path), bytes).unwrap(),
        }
    }
}
