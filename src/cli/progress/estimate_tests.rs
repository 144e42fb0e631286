//! The estimate on traces: answers as a run would get them, looked at every 150 ms as the screen
//! does.

use proptest::prelude::*;

use super::*;

const LOOK: f64 = 0.15;

fn at(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

/// A run: how fast answers come at each moment, and pauses in between.
struct Trace {
    n: u64,
    /// Answers a second at a moment of the clock that stands still in pauses.
    speed: Box<dyn Fn(f64) -> f64>,
    outlook: Option<PaceOutlook>,
    /// Begin and length of a pause that is announced.
    pause: Option<(f64, f64)>,
    /// Chance added to each moment of an answer, in seconds.
    jitter: Vec<f64>,
}

/// What was shown at a moment, and how much time really was left.
#[derive(Debug, Clone, Copy)]
struct Seen {
    at: f64,
    shown: Option<f64>,
    left: f64,
}

impl Trace {
    fn steady(n: u64, per_second: f64) -> Self {
        let speed = Box::new(move |_| per_second);
        Self { n, speed, outlook: None, pause: None, jitter: vec![0.0] }
    }

    /// When each answer comes.
    fn answers(&self) -> Vec<f64> {
        let (mut moments, mut flowing, mut got) = (Vec::new(), 0.0, 0.0);
        while (moments.len() as u64) < self.n {
            flowing += 0.01;
            got += (self.speed)(flowing) * 0.01;
            while got >= 1.0 {
                got -= 1.0;
                let paused = self.pause.filter(|(begin, _)| flowing > *begin);
                let jitter = self.jitter[moments.len() % self.jitter.len()];
                moments.push(flowing + paused.map_or(0.0, |(_, length)| length) + jitter);
            }
        }
        moments.sort_by(f64::total_cmp);
        moments
    }

    fn play(&self) -> Vec<Seen> {
        let answers = self.answers();
        let end = *answers.last().unwrap();
        let mut estimate = Estimate::default();
        let (mut next, mut seen, mut now) = (0, Vec::new(), 0.0);
        let mut is_told = false;
        estimate.paced(self.outlook, at(0.0));
        while now < end {
            while next < answers.len() && answers[next] <= now {
                estimate.note(at(answers[next]), 1_000);
                next += 1;
            }
            if let Some((begin, length)) = self.pause.filter(|(begin, _)| !is_told && *begin <= now)
            {
                estimate.pause(at(begin), at(begin + length));
                is_told = true;
            }
            let shown = estimate.time_left(self.n - next as u64, at(now));
            seen.push(Seen {
                at: now,
                shown: shown.map(|left| left.as_secs_f64()),
                left: end - now,
            });
            now += LOOK;
        }
        seen
    }
}

/// After `from` seconds every look is within `share` of the truth, or within `secs` of it.
#[track_caller]
fn assert_true(seen: &[Seen], from: f64, share: f64, secs: f64) {
    for look in seen.iter().filter(|look| look.at >= from) {
        let shown = look.shown.unwrap_or_else(|| panic!("nothing is shown: {look:?}"));
        let off = (shown - look.left).abs();
        assert!(off <= (look.left * share).max(secs), "{look:?}");
    }
}

/// From one look to the next the end that is shown moves by little of what is left.
#[track_caller]
fn assert_calm(seen: &[Seen], share: f64) {
    for pair in seen.windows(2) {
        let (Some(one), Some(two)) = (pair[0].shown, pair[1].shown) else { continue };
        let moved = ((pair[1].at + two) - (pair[0].at + one)).abs();
        assert!(moved <= (one * share).max(0.3), "{pair:?}");
    }
}

#[test]
fn a_steady_run_is_told_true_and_calmly() {
    let seen = Trace::steady(1_500, 3.0).play();
    assert_true(&seen, 5.0, 0.1, 2.0);
    assert_calm(&seen, 0.03);
    assert!(seen[10].shown.is_none(), "it is too early: {:?}", seen[10]);
}

/// The pace starts at half and is at 200 a minute after 110 seconds. Who only looked at the past
/// would promise twice the time.
#[test]
fn growth_that_is_known_is_reckoned_with() {
    let grown = |t: f64| (100.0 + 100.0 * (t / 110.0).min(1.0)) / 60.0;
    let outlook =
        PaceOutlook { per_minute: 100.0, aim_per_minute: 200.0, aim_in: Duration::from_secs(110) };
    let mut trace = Trace::steady(1_300, 1.0);
    (trace.speed, trace.outlook) = (Box::new(grown), Some(outlook));
    let seen = trace.play();
    assert_true(&seen, 8.0, 0.1, 3.0);
    let later: Vec<_> = seen.into_iter().filter(|look| look.at >= 8.0).collect();
    assert_calm(&later, 0.02);
}

/// Answers are slower than the pace allows: the ceiling promises too much, the past does not.
#[test]
fn a_ceiling_that_is_not_reached_is_no_promise() {
    let outlook = PaceOutlook { per_minute: 200.0, aim_per_minute: 200.0, aim_in: Duration::ZERO };
    let mut trace = Trace::steady(300, 1.0);
    trace.outlook = Some(outlook);
    assert_true(&trace.play(), 10.0, 0.1, 3.0);
}

#[test]
fn a_pause_moves_the_end_once_and_makes_nothing_slower() {
    let mut trace = Trace::steady(600, 3.0);
    trace.pause = Some((60.0, 60.0));
    let seen = trace.play();
    let before = seen.iter().filter(|look| look.at < 59.0);
    for look in before.filter(|look| look.at > 10.0) {
        let unaware = look.left - 60.0;
        assert!((look.shown.unwrap() - unaware).abs() <= unaware * 0.1, "{look:?}");
    }
    let after: Vec<_> = seen.into_iter().filter(|look| look.at >= 61.0).collect();
    assert_true(&after, 61.0, 0.1, 3.0);
    assert_calm(&after, 0.02);
}

#[test]
fn a_new_speed_is_told_within_a_minute_and_a_half() {
    let mut trace = Trace::steady(600, 1.0);
    trace.speed = Box::new(|t| if t < 60.0 { 4.0 } else { 1.0 });
    let seen = trace.play();
    assert_true(&seen, 150.0, 0.25, 5.0);
    assert_calm(&seen, 0.1);
}

#[test]
fn silence_makes_it_later_little_by_little_and_then_says_nothing() {
    let mut estimate = Estimate::default();
    for n in 0..60 {
        estimate.note(at(f64::from(n) / 3.0), 1_000);
    }
    let mut before = estimate.time_left(600, at(20.0)).unwrap();
    let mut now = 20.0;
    while now < 60.0 {
        now += LOOK;
        let left = estimate.time_left(600, at(now)).unwrap();
        assert!(left < before.mul_f64(1.02), "{now}: {before:?} {left:?}");
        before = left;
    }
    assert_eq!(estimate.time_left(600, at(3_600.0)), None);
    assert_eq!(estimate.per_minute(at(3_600.0)), None);
}

#[test]
fn rates_are_what_was_seen() {
    let mut estimate = Estimate::default();
    assert_eq!(estimate.per_minute(at(9.0)), None);
    for n in 0..200 {
        estimate.note(at(100.0 + f64::from(n) / 2.0), 500);
    }
    let now = at(199.5);
    let (rate, rows) = (estimate.per_minute(now).unwrap(), estimate.rows_per_second(now).unwrap());
    assert!((rate - 120.0).abs() < 4.0 && (rows - 1_000.0).abs() < 35.0, "{rate} {rows}");
}

#[test]
fn what_a_pace_permits_takes_its_time() {
    let outlook = |from, to, secs| PaceOutlook {
        per_minute: from,
        aim_per_minute: to,
        aim_in: Duration::from_secs(secs),
    };
    let check = |n, outlook, expected: f64| {
        let secs = time_to_ask(n, outlook).as_secs_f64();
        assert!((secs - expected).abs() < 0.01, "{n}: {secs}");
    };
    check(200.0, outlook(200.0, 200.0, 0), 60.0);
    check(275.0, outlook(100.0, 200.0, 110), 110.0);
    check(475.0, outlook(100.0, 200.0, 110), 170.0);
    check(0.0, outlook(100.0, 200.0, 110), 0.0);
    check(100.0, outlook(60.0, 60.0, 30), 100.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the speed, a steady stream with uneven answers is told true and without jumps.
    #[test]
    fn uneven_answers_are_told_true(
        per_minute in 60_u32..1_000,
        minutes in 1_u32..4,
        jitter in prop::collection::vec(0.0_f64..0.8, 7),
    ) {
        let n = u64::from(per_minute * minutes);
        let mut trace = Trace::steady(n, f64::from(per_minute) / 60.0);
        trace.jitter = jitter;
        let seen = trace.play();
        assert_true(&seen, 15.0, 0.25, 5.0);
        let later: Vec<_> = seen.into_iter().filter(|look| look.at >= 15.0).collect();
        assert_calm(&later, 0.04);
    }
}
