//! Several processes on one file: a member each, and one virtual clock for all.

use std::sync::Mutex;

use super::*;
use crate::resilience::WaitReason;

const CAP: Cap = Cap { per_minute: Some(60), per_hour: 14_400 };

const NOON: i64 = 1_773_576_000;

/// A machine whose clocks are moved by hand.
#[derive(Clone)]
struct Machine {
    path: PathBuf,
    boot: &'static str,
    now: Arc<Mutex<(Duration, i64)>>,
}

impl Machine {
    fn new(path: PathBuf) -> Self {
        Self { path, boot: "one", now: Arc::new(Mutex::new((secs(5_000), NOON))) }
    }

    fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap();
        *now = (now.0 + by, now.1 + by.as_secs() as i64);
    }

    fn process(&self, process: u64) -> SharedPace {
        let (since_boot, epoch) = (Arc::clone(&self.now), Arc::clone(&self.now));
        let clock = MachineClock {
            since_boot: Arc::new(move || since_boot.lock().unwrap().0),
            boot: self.boot.to_owned(),
            epoch: Arc::new(move || Epoch::new(epoch.lock().unwrap().1)),
        };
        SharedPace { path: self.path.clone(), clock, process }
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Takes a permit, or tells how long to wait.
fn ask(process: &SharedPace, cap: Cap) -> Option<(WaitReason, Duration)> {
    let ask = |pace: &mut Pace, now, cap| {
        let refused = pace.wait(now, cap);
        if refused.is_none() {
            pace.take(now, cap);
        }
        refused
    };
    process.act(cap, 1.0, ask).unwrap().expect("locked").0
}

fn rate(process: &SharedPace) -> f64 {
    let rate = |pace: &mut Pace, now, cap| pace.rate(now, cap);
    process.act(CAP, 1.0, rate).unwrap().unwrap().0.unwrap()
}

fn refuse(process: &SharedPace) -> bool {
    let refuse = |pace: &mut Pace, now, _| pace.refused(now, now, secs(60));
    process.act(CAP, 1.0, refuse).unwrap().unwrap().0
}

fn machine() -> (tempfile::TempDir, Machine) {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(folder.path().join("not/there/yet.json"));
    (folder, machine)
}

#[test]
fn processes_share_one_budget_and_each_gets_some() {
    let (_folder, machine) = machine();
    let processes = [machine.process(1), machine.process(2), machine.process(3)];
    let mut given = [0; 3];
    for step in 0..6_000 {
        let who = step % 3;
        given[who] += usize::from(ask(&processes[who], CAP).is_none());
        machine.advance(Duration::from_millis(10));
    }
    let total: usize = given.iter().sum();
    assert!((57..=60).contains(&total), "{given:?} in a minute");
    assert!(given.iter().all(|n| *n >= 10), "{given:?}");
}

#[test]
fn the_lowest_ceiling_holds_as_long_as_its_process_is_there() {
    let (_folder, machine) = machine();
    let low = Cap { per_minute: Some(6), ..CAP };
    let (one, other) = (machine.process(1), machine.process(2));
    ask(&one, CAP);
    machine.advance(secs(1));
    assert!(ask(&other, low).is_none_or(|(_, wait)| wait < secs(1)));
    machine.advance(secs(60));
    assert_eq!(ask(&one, CAP), None);
    let (_, wait) = ask(&one, CAP).unwrap();
    assert!(wait > secs(9), "{wait:?}");
    // The other is not heard of for a while.
    machine.advance(secs(200));
    assert_eq!(ask(&one, CAP), None);
    let (_, wait) = ask(&one, CAP).unwrap();
    assert!(wait < secs(2), "{wait:?}");
}

#[test]
fn a_refusal_seen_by_one_pauses_all() {
    let (_folder, machine) = machine();
    let (one, other) = (machine.process(1), machine.process(2));
    assert_eq!(ask(&one, CAP), None);
    assert!(refuse(&one));
    assert!(!refuse(&other), "the same event");
    machine.advance(secs(20));
    assert_eq!(ask(&other, CAP), Some((WaitReason::RateLimited, secs(40))));
}

/// Fifty minutes at the full pace, then a refusal at what was sent in the last of them.
fn learned(machine: &Machine) -> SharedPace {
    let process = machine.process(1);
    for _ in 0..240 {
        ask(&process, CAP);
        machine.advance(Duration::from_millis(1_250));
    }
    assert!(refuse(&process));
    process
}

#[test]
fn what_was_learned_is_kept_for_the_next_run_until_it_is_old() {
    for (hours, expected) in [(1, 38.9), (12, 41.0), (25, 59.0)] {
        let (_folder, machine) = machine();
        learned(&machine);
        machine.advance(secs(hours * 3_600));
        let found = rate(&machine.process(2));
        assert!((found - expected).abs() < 1.2, "after {hours} h: {found}");
    }
}

#[test]
fn a_machine_that_starts_anew_keeps_what_it_learned_and_waits_its_pause_out() {
    let (_folder, mut machine) = machine();
    learned(&machine);
    machine.boot = "two";
    let restart = |now: &mut (Duration, i64)| *now = (secs(50), now.1 + 30);
    restart(&mut machine.now.lock().unwrap());
    let next = machine.process(2);
    let (reason, wait) = ask(&next, CAP).unwrap();
    assert_eq!(reason, WaitReason::RateLimited);
    assert!((secs(29)..=secs(31)).contains(&wait), "{wait:?}");
    machine.advance(secs(3_600));
    assert!((rate(&next) - 38.9).abs() < 1.2, "{}", rate(&next));
}

/// Each content counts as none, is replaced, and stops nobody.
#[test]
fn broken_and_foreign_files_count_as_none() {
    let (_folder, machine) = machine();
    let process = learned(&machine);
    let good = std::fs::read_to_string(&machine.path).unwrap();
    let mut contents = vec![
        String::new(),
        "\n".to_owned(),
        "not ours".to_owned(),
        "{}".to_owned(),
        "\0".repeat(100),
        "x".repeat(1 << 20),
        good[..good.len() / 2].to_owned(),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("\"level\":", "\"level\":-"),
        good.replace("\"paused_until\":", "\"paused_until\":9"),
    ];
    // Of a clock that is ahead of this one.
    contents.push(good.replace("\"saved_micros\":", "\"saved_micros\":9"));
    for content in contents {
        assert_ne!(content, good);
        std::fs::write(&machine.path, &content).unwrap();
        let shown: String = content.chars().take(60).collect();
        assert_eq!(ask(&process, CAP), None, "{shown}");
        assert!(ask(&process, CAP).is_some(), "{shown}");
    }
    // What a longer content leaves behind its line is no matter.
    std::fs::write(&machine.path, format!("{good}rubbish")).unwrap();
    assert_eq!(ask(&process, CAP).unwrap().0, WaitReason::RateLimited);
}

#[test]
fn who_holds_the_lock_is_waited_for_and_whoever_dies_lets_go() {
    let (_folder, machine) = machine();
    let process = machine.process(1);
    ask(&process, CAP);
    let holder = File::open(&machine.path).unwrap();
    holder.lock().unwrap();
    assert!(process.act(CAP, 1.0, |_, _, _| ()).unwrap().is_none());
    drop(holder);
    assert!(process.act(CAP, 1.0, |_, _, _| ()).unwrap().is_some());
}

#[test]
fn a_place_that_cannot_be_written_is_an_error() {
    let (folder, machine) = machine();
    std::fs::write(folder.path().join("not"), "a file").unwrap();
    machine.process(1).act(CAP, 1.0, |_, _, _| ()).unwrap_err();
}

#[test]
fn the_members_are_bounded() {
    let (_folder, machine) = machine();
    for process in 0..200 {
        ask(&machine.process(process), CAP);
    }
    assert!(std::fs::metadata(&machine.path).unwrap().len() < 16 * 1024);
    // A full hour at a ceiling no source allows.
    let fast = Cap { per_minute: Some(100_000), per_hour: u32::MAX };
    for _ in 0..3_000 {
        ask(&machine.process(1), fast);
        machine.advance(Duration::from_millis(100));
    }
    assert!(std::fs::metadata(&machine.path).unwrap().len() < MOST_BYTES / 4);
}

#[test]
fn who_only_looks_sees_what_was_learned_and_changes_nothing() {
    let (_folder, machine) = machine();
    let (asking, looking) = (machine.process(1), machine.process(2));
    assert!(looking.peek(CAP, 0.5).is_none(), "there is nothing yet");
    assert!(!machine.path.exists());
    for _ in 0..40 {
        while ask(&asking, CAP).is_some() {
            machine.advance(secs(1));
        }
    }
    assert!(refuse(&asking));
    let before = std::fs::read(&machine.path).unwrap();
    let seen = looking.peek(CAP, 0.5).unwrap();
    assert!(matches!(seen.wait(looking.now(), CAP), Some((WaitReason::RateLimited, _))));
    machine.advance(secs(60));
    let seen = looking.peek(CAP, 0.5).unwrap().rate(looking.now(), CAP).unwrap();
    assert_eq!(std::fs::read(&machine.path).unwrap(), before);
    assert!((seen - rate(&asking)).abs() < 0.01, "{seen}");
    std::fs::write(&machine.path, "no pace").unwrap();
    assert!(looking.peek(CAP, 0.5).is_none());
}
