//! The decisions of the pace, one by one and as properties.

use proptest::prelude::*;

use super::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const CAP: Cap = Cap { per_minute: Some(200), per_hour: 14_400 };

/// The ceiling, evenly spread over a minute and a bit.
const ALL: f64 = 200.0 * 60.0 / 61.0;

fn pace() -> Pace {
    Pace::new(CAP, 0.5, Duration::ZERO)
}

/// Asks as often as it may until `end`; returns when.
fn ask_until(pace: &mut Pace, cap: Cap, now: &mut Duration, end: Duration) -> Vec<Duration> {
    let mut sent = Vec::new();
    while *now < end {
        match pace.wait(*now, cap) {
            Some((_, wait)) => *now += wait,
            None => {
                pace.take(*now, cap);
                sent.push(*now);
            }
        }
    }
    sent
}

#[track_caller]
fn assert_near(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|rate| (rate - expected).abs() < 0.05), "{found:?}, not {expected}");
}

/// A pace that was refused its `n`th request of a minute; and when it was.
fn refused_at(n: u64) -> (Pace, Duration) {
    let mut pace = Pace::new(CAP, 1.0, Duration::ZERO);
    for request in 0..n {
        pace.take(Duration::from_millis(request * 290), CAP);
    }
    let sent = Duration::from_millis((n - 1) * 290);
    let now = sent + Duration::from_millis(150);
    assert!(pace.refused(sent, now, secs(60)));
    (pace, now)
}

#[test]
fn starts_at_half_and_grows_to_the_ceiling() {
    let pace = pace();
    assert_near(pace.rate(secs(0), CAP), ALL / 2.0);
    assert_near(pace.rate(secs(55), CAP), ALL * 0.75);
    assert_near(pace.rate(secs(110), CAP), ALL);
    assert_near(pace.rate(secs(9_999), CAP), ALL);
}

#[test]
fn the_hour_is_spread_too() {
    let cap = Cap { per_minute: Some(1_000), per_hour: 3_601 };
    assert_near(Pace::new(cap, 1.0, secs(0)).rate(secs(0), cap), 60.0);
}

#[test]
fn the_refused_rate_is_what_was_really_sent() {
    let (mut pace, now) = refused_at(61);
    assert_eq!(pace.wait(now, CAP), Some((WaitReason::RateLimited, secs(60))));
    assert_eq!(pace.wait(now + secs(60), CAP), None);
    assert_near(pace.rate(now + secs(60), CAP), 30.5);
    assert_near(pace.rate(now + secs(60 + 110), CAP), 54.9);
    assert_near(pace.rate(now + secs(60 + 1_100), CAP), 54.9);
    // A request of an hour later, when little was sent, says something else.
    let later = now + secs(3_600);
    pace.take(later, CAP);
    assert!(pace.refused(later, later, secs(60)));
    assert_near(pace.rate(later + secs(600), CAP), LEAST_RATE);
}

#[test]
fn refusals_of_one_moment_are_one_event() {
    let (mut pace, now) = refused_at(100);
    let before = pace.clone();
    assert!(!pace.refused(now, now + secs(1), secs(60)));
    // Its answer took longer than the pause.
    assert!(!pace.refused(now, now + secs(90), secs(60)));
    assert_eq!(pace, before);
    assert!(pace.refused(now + secs(61), now + secs(90), secs(60)));
}

#[test]
fn a_probe_that_holds_becomes_the_level_and_the_next_goes_further() {
    let (mut pace, refused) = refused_at(61);
    let mut now = refused;
    ask_until(&mut pace, CAP, &mut now, refused + secs(20 * 60 - 1));
    assert_near(pace.rate(now, CAP), 54.9);
    ask_until(&mut pace, CAP, &mut now, refused + secs(20 * 60 + 5));
    assert_near(pace.rate(now, CAP), 54.9 * 1.1);
    assert_eq!(pace.level, Some(54.9));
    ask_until(&mut pace, CAP, &mut now, refused + secs(25 * 60 + 10));
    assert_near(pace.level, 54.9 * 1.1);
    ask_until(&mut pace, CAP, &mut now, refused + secs(39 * 60));
    assert_near(pace.rate(now, CAP), 54.9 * 1.1);
    ask_until(&mut pace, CAP, &mut now, refused + secs(41 * 60));
    assert_near(pace.rate(now, CAP), 54.9 * 1.1 * 1.2);
}

#[test]
fn a_refused_probe_goes_back_to_just_under_and_waits_longer() {
    let (mut pace, refused) = refused_at(61);
    let mut now = refused;
    let mut refusals = Vec::new();
    while refusals.len() < 6 {
        let end = now + Duration::from_millis(1);
        let sent = ask_until(&mut pace, CAP, &mut now, end);
        let Some(&last) = sent.last() else { continue };
        if pace.sent_before(micros(last)) > 60.0 {
            assert!(pace.refused(last, last, secs(60)));
            refusals.push(now.as_secs() / 60);
            assert_near(pace.level, 61.0 * AFTER_PROBE);
        }
    }
    let waits: Vec<_> = refusals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let expected = [40, 80, 160, 160, 160];
    let fits = |(wait, expected): (&u64, &u64)| (*expected..expected + 4).contains(wait);
    assert!(waits.iter().zip(&expected).all(fits), "{waits:?}");
}

#[test]
fn nobody_probes_who_does_not_use_what_he_has() {
    let (mut pace, mut now) = refused_at(101);
    for _ in 0..2_000 {
        now += secs(3);
        if pace.wait(now, CAP).is_none() {
            pace.take(now, CAP);
        }
        assert_eq!(pace.probe, None);
    }
}

#[test]
fn what_was_learned_is_forgotten_with_its_age() {
    let (pace, refused) = refused_at(151);
    let level = 151.0 * AFTER_REFUSAL;
    let now = refused + secs(7_200);
    let start_after = |age| pace.clone().resumed(age, CAP, 0.5, now).rate(now, CAP);
    assert_near(start_after(secs(121)), level * 0.9 - 0.03);
    assert_near(start_after(secs(43_200)), (level * 0.9 + ALL / 2.0) / 2.0);
    assert_near(start_after(secs(86_400)), ALL / 2.0);
    let aim_after = |age| pace.clone().resumed(age, CAP, 0.5, now).rate(now + secs(120), CAP);
    assert_near(aim_after(secs(43_200)), level);
    assert_near(aim_after(secs(90_000)), ALL);
    assert_eq!(pace.clone().resumed(secs(119), CAP, 0.5, now), pace);
    // A low level is no reason to start above it.
    let (low, _) = refused_at(21);
    assert_near(low.clone().resumed(secs(86_000), CAP, 0.5, now).rate(now, CAP), 18.9);
    // The pause of another run is waited out.
    let during = low.resumed(secs(99_999), CAP, 0.5, refused);
    assert!(matches!(during.wait(secs(7), CAP), Some((WaitReason::RateLimited, _))));
}

#[test]
fn a_new_clock_moves_everything_alike() {
    let (mut pace, now) = refused_at(61);
    let (before, later) = (pace.clone(), now + secs(30));
    pace.moved(now, now + secs(5_000));
    assert_eq!(pace.wait(later + secs(5_000), CAP), before.wait(later, CAP));
    assert_eq!(pace.rate(later + secs(5_040), CAP), before.rate(later + secs(40), CAP));
    pace.moved(now + secs(5_000), Duration::ZERO);
    assert_eq!(pace.wait(secs(30), CAP), before.wait(later, CAP));
}

#[test]
fn nonsense_is_recognised() {
    let (pace, now) = refused_at(61);
    assert!(pace.is_sane(now));
    assert!(!pace.is_sane(secs(1)), "from the future");
    let check = |spoil: fn(&mut Pace)| {
        let mut pace = pace.clone();
        spoil(&mut pace);
        assert!(!pace.is_sane(now), "{pace:?}");
    };
    check(|pace| pace.level = Some(f64::NAN));
    check(|pace| pace.from = -1.0);
    check(|pace| pace.paused_until = u64::MAX);
    check(|pace| pace.next = u64::MAX / 2);
    check(|pace| pace.patience = u64::MAX);
    check(|pace| pace.sent = vec![5, 3].into());
}

/// The most of `sent` in any 60 s, whatever `late` does to each on its way.
fn busiest(sent: &[Duration], late: impl Fn(usize) -> u64) -> usize {
    let mut arrived: Vec<_> =
        sent.iter().enumerate().map(|(n, at)| *at + Duration::from_millis(late(n))).collect();
    arrived.sort_unstable();
    let first = |at: &Duration| arrived.partition_point(|other| *other + secs(60) <= *at);
    arrived.iter().enumerate().map(|(n, at)| n + 1 - first(at)).max().unwrap_or(0)
}

#[derive(Debug, Clone)]
enum Event {
    Ask { for_secs: u64 },
    Idle { for_millis: u64 },
    Refused,
    Restart { after_secs: u64 },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1_u64..900).prop_map(|for_secs| Event::Ask { for_secs }),
        2 => (1_u64..200_000).prop_map(|for_millis| Event::Idle { for_millis }),
        2 => Just(Event::Refused),
        1 => (0_u64..100_000).prop_map(|after_secs| Event::Restart { after_secs }),
    ];
    prop::collection::vec(event, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens: no window above the ceiling, no request in a pause, and it always goes on.
    #[test]
    fn no_history_breaks_a_promise(
        limit in 1_u32..300, start in 0.0_f64..1.0, seed in any::<u64>(), events in events()
    ) {
        let cap = Cap { per_minute: Some(limit), per_hour: 14_400 };
        let mut pace = Pace::new(cap, start, Duration::ZERO);
        let (mut now, mut sent) = (Duration::ZERO, Vec::new());
        for event in events {
            match event {
                Event::Ask { for_secs } => {
                    let end = now + secs(for_secs);
                    sent.extend(ask_until(&mut pace, cap, &mut now, end));
                }
                Event::Idle { for_millis } => now += Duration::from_millis(for_millis),
                Event::Refused => {
                    let at = sent.last().copied().unwrap_or(now);
                    if pace.refused(at, now, secs(60)) {
                        let paused = Some((WaitReason::RateLimited, secs(60)));
                        prop_assert_eq!(pace.wait(now, cap), paused);
                    }
                }
                Event::Restart { after_secs } => {
                    now += secs(after_secs);
                    pace = pace.resumed(secs(after_secs), cap, start, now);
                }
            }
            prop_assert!(pace.is_sane(now), "{:?}", pace);
            let rate = pace.rate(now, cap).unwrap();
            prop_assert!(rate > 0.0 && rate <= f64::from(limit), "{}", rate);
            let (_, wait) = pace.wait(now, cap).unwrap_or((WaitReason::Pace, Duration::ZERO));
            prop_assert!(wait <= secs(75));
        }
        let late = |n: usize| seed.rotate_left(n as u32 % 64).wrapping_mul(n as u64 | 1) % 900;
        prop_assert!(busiest(&sent, late) <= limit as usize, "{}", busiest(&sent, late));
        let text = serde_json::to_string(&pace).unwrap();
        let read: Pace = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.wait(now, cap), pace.wait(now, cap));
    }
}

#[test]
fn the_outlook_tells_where_growth_ends() {
    let pace = pace();
    let outlook = pace.outlook(Duration::ZERO, CAP).unwrap();
    assert_near(Some(outlook.per_minute), ALL / 2.0);
    assert_near(Some(outlook.aim_per_minute), ALL);
    assert_eq!(outlook.aim_in, secs(110));
    let grown = pace.outlook(secs(300), CAP).unwrap();
    assert_near(Some(grown.per_minute), ALL);
    assert_eq!(grown.aim_in, Duration::ZERO);
    assert_eq!(pace.outlook(Duration::ZERO, Cap { per_minute: None, per_hour: 1 }), None);
}
