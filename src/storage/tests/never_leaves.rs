//! Whatever runs, repairs, adoptions, damages and kills follow each other: a row that was once
//! published under an answered second leaves the final name only because a person accepted another
//! price, and a reader who looks between any two steps finds a file that can be read, or the one
//! that was damaged before the run began.
//!
//! `TITAN_SEEDS=N` tries N sequences instead of a few.

use std::cell::RefCell;
use std::rc::Rc;

use super::foreign::write_old;
use super::power::Chance;
use super::*;
use crate::domain::{Coverage, CoverageState, RangeSet, Remedy, Restatements};
use crate::format::RowsDigest;
use crate::format::digest::DayDigest;
use crate::storage::steps::recorder::watched;

const DAY: i64 = 86_400;
const DAYS: i64 = 4;
/// Between two rows.
const STEP: i64 = 2400;
/// Things that happen in one sequence.
const N_EVENTS: usize = 14;

type Prices = BTreeMap<i64, f64>;

/// An archive, its source, and what must never leave.
struct World {
    archive: Archive,
    chance: Chance,
    /// What the source has, by second of the month.
    source: Prices,
    /// Rows that were published under an answered second.
    answered: Prices,
    /// The newer prices a person takes in the run under way.
    accepted: Prices,
    /// What lies there damaged by the test.
    damaged: Option<Vec<u8>>,
    now: i64,
    story: Vec<String>,
}

/// What happens to the archive.
#[derive(Debug, Clone, Copy)]
enum Event {
    Ask { publishes: bool, accepts: bool },
    Load,
    Mend,
    SourceChanges,
    Damage(usize),
}

impl World {
    fn new(seed: u64) -> Self {
        let archive = Archive { dir: super::power::fast_dir(), inspector: Arc::default() };
        let mut chance = Chance(seed);
        let price = |i: i64| (i * STEP, 100.0 + (i * 7919 % 1000) as f64 / 100.0);
        let source: Prices = (0..DAYS * DAY / STEP).map(price).collect();
        if chance.below(2) == 0 {
            // An old cache: some of its rows are wrong, some are not there, some nobody else has.
            let mut old: Vec<_> = source.iter().map(|(at, price)| (*at, *price)).collect();
            old.retain(|_| chance.below(10) > 0);
            for row in &mut old {
                match chance.below(12) {
                    0 => row.1 += 1.0,
                    1 => row.0 += 7,
                    _ => {}
                }
            }
            write_old(&archive, &old, None);
        }
        Self {
            archive,
            chance,
            source,
            answered: Prices::new(),
            accepted: Prices::new(),
            damaged: None,
            now: 5_000_000,
            story: Vec::new(),
        }
    }

    fn below(&mut self, n: i64) -> i64 {
        self.chance.below(usize::try_from(n).unwrap()) as i64
    }

    fn event(&mut self) -> Event {
        match self.chance.below(12) {
            0..4 => Event::Ask { publishes: true, accepts: false },
            4 => Event::Ask { publishes: false, accepts: false },
            5 => Event::Ask { publishes: true, accepts: true },
            6 => Event::Load,
            7 | 8 => Event::Mend,
            9 => Event::SourceChanges,
            _ => Event::Damage(self.chance.below(6)),
        }
    }

    /// What the source answers for a stretch.
    fn answer(&self, asked: EpochRange) -> Segment<Tick> {
        let rows: Vec<_> = self.source.iter().map(|(at, price)| tick(*at, *price)).collect();
        segment_asked(asked, &rows, self.now)
    }

    fn source_changes(&mut self) {
        let at = self.below(DAYS * DAY / STEP) * STEP;
        match self.chance.below(3) {
            0 => drop(self.source.remove(&at)),
            1 => drop(self.source.insert(at + 5, 50.0)),
            _ => drop(self.source.insert(at, 60.0 + self.now as f64 % 7.0)),
        }
    }

    /// Spoils the files as no run does; rows of days that nothing proves any more are not held
    /// against it.
    fn damage(&mut self, how: usize) {
        let Some(file) = self.published() else { return };
        let whole = file.footer.days.clone();
        let mut bytes = self.archive.bytes();
        match how {
            0 => {
                let hash = b"rows_sha256\":\"";
                let is_there = |at: &usize| bytes[*at..].starts_with(hash);
                let places: Vec<_> = (0..bytes.len()).filter(is_there).collect();
                let Some(at) = places.get(self.chance.below(places.len().max(1))) else { return };
                let digit = &mut bytes[at + hash.len()];
                *digit = if *digit == b'0' { b'1' } else { b'0' };
            }
            1 => {
                let at = 4 + self.chance.below(bytes.len() / 2);
                bytes[at] ^= 0x10;
            }
            2 => bytes.truncate(bytes.len() / 2),
            3 => return drop(fs::remove_file(self.archive.sidecar_path())),
            4 => return fs::write(self.archive.sidecar_path(), "{").unwrap(),
            _ => {
                let mut sidecar = self.archive.sidecar();
                sidecar.coverage.truncate(1);
                sidecar.file_size = Some(1);
                return fs::write(self.archive.sidecar_path(), sidecar.to_json()).unwrap();
            }
        }
        // As another tool writes: under a name of its own first.
        fs::remove_file(self.archive.parquet()).unwrap();
        fs::write(self.archive.parquet(), &bytes).unwrap();
        let proved = proved_days(&self.archive.parquet(), &whole);
        self.answered
            .retain(|at, _| proved.iter().any(|range| range.contains(Epoch::new(START + at))));
        self.damaged = Some(bytes);
    }

    fn published(&self) -> Option<PartitionFile> {
        PartitionFile::open(&self.archive.parquet()).ok().filter(|_| self.damaged.is_none())
    }

    /// One run, which may be killed at any of its steps.
    fn run(&mut self, event: Event) {
        let (start, end) = (self.below(DAYS * DAY), 1 + self.below(2 * DAY));
        let mut asked = range(start, (start + end).min(DAYS * DAY));
        let (publishes, accepts) = match event {
            Event::Ask { publishes, accepts } => (publishes, accepts),
            _ => (false, false),
        };
        if accepts {
            asked = range(0, DAYS * DAY);
        }
        self.now += 1000;
        self.accepted = if accepts { self.source.clone() } else { Prices::new() };
        let remedy = match self.chance.below(4) {
            0 => Remedy::RebuildSidecar,
            1 => Remedy::Salvage,
            2 => Remedy::Rewrite { wrong: RangeSet::new() },
            _ => Remedy::Rewrite { wrong: RangeSet::from(asked) },
        };
        let killed_at = (self.chance.below(3) == 0).then(|| self.chance.below(60));
        self.story.push(format!("{event:?} {asked} {remedy:?} killed at {killed_at:?}"));
        let answer = self.answer(asked);
        let reader = Rc::new(RefCell::new(Reader::of(self, killed_at)));
        let looks = Rc::clone(&reader);
        let store = self.archive.store("run");
        watched(
            move || looks.borrow_mut().look(),
            || {
                let _guard = store.lock(&series()).unwrap();
                if let Event::Mend = event {
                    return store.mend(&key(), &remedy).unwrap();
                }
                load(&store).unwrap();
                if let Event::Ask { .. } = event {
                    store.stage(&key(), &answer).unwrap();
                }
                if publishes {
                    let restatements =
                        if accepts { Restatements::Accept } else { Restatements::Refuse };
                    publish_with(&store, &Publication { restatements, ..publication() }).unwrap();
                }
            },
        );
        let reader = Rc::into_inner(reader).unwrap().into_inner();
        assert_eq!(reader.problem, None, "{:#?}", self.story);
        if let Some(files) = reader.killed {
            restore(&self.archive, &files);
        }
        self.take_stock();
    }

    /// What is published now, and answered, stays for ever.
    fn take_stock(&mut self) {
        if self.damaged.as_ref().is_some_and(|bytes| *bytes != self.archive.bytes()) {
            self.damaged = None;
        }
        let Some(file) = self.published() else { return };
        let answered = file.footer.coverage.select(|state| state == CoverageState::Answered);
        for row in read_rows::<Tick>(&self.archive.parquet()) {
            if answered.iter().any(|range| range.contains(row.epoch)) {
                self.answered.insert(row.epoch.secs() - START, row.quote);
            }
        }
    }
}

/// The days whose rows are still those that were written, as a stranger reads them.
fn proved_days(path: &Path, written: &[DayDigest]) -> RangeSet {
    let mut proved = RangeSet::new();
    let Ok(file) = PartitionFile::open(path) else { return proved };
    let Ok(mut rows) = file.rows::<Tick>() else { return proved };
    let mut found = Vec::new();
    loop {
        match rows.next_row() {
            Ok(Some(row)) => found.push(row),
            Ok(None) => break,
            Err(_) => return proved,
        }
    }
    for n in 0..DAYS {
        let day = range(n * DAY, (n + 1) * DAY);
        let rows: Vec<_> = found.iter().copied().filter(|row| day.contains(row.epoch)).collect();
        let mut digest = RowsDigest::new();
        digest.update(&rows);
        let is_promised =
            |digest: &DayDigest| written.contains(digest) && file.footer.days.contains(digest);
        if digest.finish().days.iter().all(is_promised) {
            proved.insert(day);
        }
    }
    proved
}

/// A reader who knows the final name and nothing else.
struct Reader {
    parquet: PathBuf,
    root: PathBuf,
    damaged: Option<Vec<u8>>,
    answered: Prices,
    accepted: Prices,
    was_there: bool,
    last: Option<(u64, u64)>,
    n_looks: usize,
    killed_at: Option<usize>,
    killed: Option<BTreeMap<String, Vec<u8>>>,
    problem: Option<String>,
}

impl Reader {
    fn of(world: &World, killed_at: Option<usize>) -> Self {
        Self {
            parquet: world.archive.parquet(),
            root: world.archive.root().to_owned(),
            damaged: world.damaged.clone(),
            answered: world.answered.clone(),
            accepted: world.accepted.clone(),
            was_there: false,
            last: None,
            n_looks: 0,
            killed_at,
            killed: None,
            problem: None,
        }
    }

    fn look(&mut self) {
        if self.killed_at == Some(self.n_looks) {
            let mut files = BTreeMap::new();
            collect(&self.root, &self.root, &mut files);
            self.killed = Some(files);
        }
        self.n_looks += 1;
        let identity = fs::metadata(&self.parquet).ok().map(|found| {
            use std::os::unix::fs::MetadataExt;
            (found.ino(), found.len())
        });
        if identity.is_some() && identity == self.last || self.problem.is_some() {
            return;
        }
        self.last = identity;
        let seen = if identity.is_some() { self.read() } else { Err("nothing".to_owned()) };
        match seen {
            Err(_) if identity.is_none() && !self.was_there => {}
            Err(what) => self.problem = Some(format!("a reader finds {what}")),
            Ok(()) => {}
        }
        self.was_there |= identity.is_some();
    }

    fn read(&self) -> Result<(), String> {
        if self.damaged.as_ref() == Some(&fs::read(&self.parquet).unwrap()) {
            return Ok(());
        }
        let file = match PartitionFile::open(&self.parquet) {
            Ok(file) => file,
            // An old cache that nobody has taken over yet.
            Err(super::super::read::Unusable::Foreign(_)) => return Ok(()),
            Err(error) => return Err(format!("{error:?}")),
        };
        file.verify_rows::<Tick>(&Stop::default()).map_err(|error| error.to_string())?;
        let rows: Prices = read_rows::<Tick>(&self.parquet)
            .into_iter()
            .map(|row| (row.epoch.secs() - START, row.quote))
            .collect();
        let is_kept = |(at, price): &(&i64, &f64)| {
            let found = rows.get(*at);
            found == Some(*price) || found.is_some() && found == self.accepted.get(*at)
        };
        match self.answered.iter().find(|row| !is_kept(row)) {
            Some((at, price)) => {
                Err(format!("{:?} where {price} was answered at {at}", rows.get(at)))
            }
            None => Ok(()),
        }
    }
}

fn restore(archive: &Archive, files: &BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(archive.root()).unwrap() {
        let path = entry.unwrap().path();
        fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
    }
    for (name, bytes) in files {
        let path = archive.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn check(seed: u64) -> usize {
    let mut world = World::new(seed);
    for _ in 0..N_EVENTS {
        match world.event() {
            Event::SourceChanges => world.source_changes(),
            Event::Damage(how) => {
                world.story.push(format!("damage {how}"));
                world.damage(how);
            }
            event => world.run(event),
        }
    }
    // In the end everything is asked once more, by a run that nobody disturbs.
    let store = world.archive.store("last");
    let _guard = store.lock(&series()).unwrap();
    world.now += 1000;
    load(&store).unwrap();
    store.stage(&key(), &world.answer(range(0, DAYS * DAY))).unwrap();
    let published = publish_with(&store, &publication()).unwrap();
    let mut whole = Coverage::new();
    whole.insert(range(0, DAYS * DAY), CoverageState::Answered);
    assert_eq!(published.coverage, whole, "{:#?}", world.story);
    let rows = read_rows::<Tick>(&world.archive.parquet());
    let find =
        |at: i64| rows.iter().find(|row| row.epoch.secs() - START == at).map(|row| row.quote);
    for (at, price) in &world.answered {
        assert_eq!(find(*at), Some(*price), "{at}: {:#?}", world.story);
    }
    let is_held = |at: &i64| find(*at).is_some();
    assert!(world.source.keys().all(is_held), "{:#?}", world.story);
    world.answered.len()
}

#[test]
fn a_row_once_answered_never_leaves_and_readers_always_find_a_file() {
    let seeds = std::env::var("TITAN_SEEDS").ok().and_then(|text| text.parse().ok());
    let n_answered: usize = (0..seeds.unwrap_or(12)).map(check).sum();
    assert!(n_answered > 0);
}
