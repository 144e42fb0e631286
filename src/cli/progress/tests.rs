use crate::domain::{Epoch, Kind};
use crate::resilience::BreakerState;

use super::super::report::samples;
use super::lines::{Look, Wait};
use super::*;

fn progress(detail: Detail) -> Arc<Progress> {
    Progress::new(detail, &Terminal::new(false))
}

fn page(n_rows: u64, n_pages_left: u64) -> PageReport {
    PageReport { n_rows, n_pages_left, proved_to: Some(Epoch::new(1_772_884_805)) }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn source(breaker: BreakerState) -> SourceLook {
    SourceLook { breaker, is_connecting: false, pace: None, requests: 5 }
}

fn seen(state: &mut State, breaker: BreakerState, now: u64) -> Option<Wait> {
    state.look(Some(source(breaker)), secs(now)).wait
}

#[test]
fn what_is_left_is_known_from_the_plan_and_corrected_by_the_answers() {
    let progress = progress(Detail::All);
    let look = || progress.state().look(None, secs(1));
    assert!(look().total.is_preparing);
    progress.planned(&samples::plan());
    assert_eq!((look().total.left, look().series.len()), (1_340, 0));
    let key = samples::key(Kind::Ticks, "2026-03");
    progress.partition_started(&key, 1_340);
    progress.page(&key, &page(1_000, 1_200));
    let Look { series, total, .. } = look();
    assert_eq!((total.left, total.asked, total.rows), (1_200, 1, 1_000));
    assert_eq!((series[0].month.as_str(), series[0].is_writing), ("2026-03", false));
    progress.publishing(&key);
    assert_eq!((look().total.left, look().series[0].is_writing), (0, true));
    progress.state().published(&key);
    assert_eq!(look().series, []);
}

/// Two months of a series are worked on at once; that is one line, and it names the older one.
#[test]
fn a_series_is_one_line() {
    let progress = progress(Detail::All);
    for month in ["2026-04", "2026-03"] {
        let key = samples::key(Kind::Ticks, month);
        progress.partition_started(&key, 10);
        progress.page(&key, &page(100, 9));
    }
    let series = progress.state().look(None, secs(1)).series;
    assert_eq!(series.len(), 1);
    assert_eq!((series[0].month.as_str(), series[0].rows, series[0].left), ("2026-03", 200, 18));
}

/// Answers to what was sent before the refusal still come in; the pause was once taken from the
/// screen by the first of them.
#[test]
fn a_pause_is_shown_until_it_is_over_whatever_still_comes_in() {
    let mut state = State::default();
    state.waits(Cause::RateLimit, secs(10), secs(60));
    state.page(&samples::key(Kind::Ticks, "2026-03"), &page(1_000, 5), secs(11));
    let shown = Some(Wait { cause: Cause::RateLimit, left: Some(secs(59)) });
    assert_eq!(seen(&mut state, BreakerState::Closed, 11), shown);
    assert_eq!(seen(&mut state, BreakerState::Closed, 70), None);
}

#[test]
fn the_breaker_is_believed_about_a_source_that_is_away() {
    let mut state = State::default();
    state.waits(Cause::SourceAway, secs(10), secs(60));
    let cause = |wait: Option<Wait>| wait.map(|wait| (wait.cause, wait.left));
    let away = Some((Cause::SourceAway, Some(secs(40))));
    assert_eq!(cause(seen(&mut state, BreakerState::Open, 30)), away);
    let probing = Some((Cause::Probing, None));
    assert_eq!(cause(seen(&mut state, BreakerState::HalfOpen, 31)), probing);
    assert_eq!(cause(seen(&mut state, BreakerState::Closed, 32)), None);
}

#[test]
fn no_time_is_promised_while_the_source_is_away() {
    let mut state = State::default();
    let key = samples::key(Kind::Ticks, "2026-03");
    for second in 0..20 {
        state.page(&key, &page(1_000, 500), secs(second));
    }
    let left =
        |state: &mut State, breaker| state.look(Some(source(breaker)), secs(20)).total.time_left;
    assert!(left(&mut state, BreakerState::Closed).is_some());
    state.waits(Cause::SourceAway, secs(20), secs(60));
    assert_eq!(left(&mut state, BreakerState::Open), None);
}

#[test]
fn only_a_connection_that_takes_its_time_is_told() {
    let mut state = State::default();
    let connecting = SourceLook { is_connecting: true, ..source(BreakerState::Closed) };
    let mut cause = |look, millis| {
        let look = state.look(Some(look), Duration::from_millis(millis));
        look.wait.map(|wait| wait.cause)
    };
    assert_eq!(cause(connecting, 1_000), None);
    assert_eq!(cause(connecting, 1_800), Some(Cause::Connecting));
    assert_eq!(cause(source(BreakerState::Closed), 1_900), None);
    assert_eq!(cause(connecting, 2_000), None);
}

#[test]
fn without_a_terminal_there_are_lines() {
    let progress = progress(Detail::All);
    let key = samples::key(Kind::Ticks, "2026-03");
    progress.planned(&samples::plan());
    progress.partition_started(&key, 1_340);
    progress.waits(Cause::RateLimit, secs(60));
    progress.waits(Cause::RateLimit, secs(59));
    progress.note("history begins \u{1b}[2J");
    assert_eq!(
        progress.state().lines,
        [
            "3 partitions wanted, about 1,340 requests to ask",
            "R_100 ticks 2026-03: started, about 1,340 requests",
            "waiting 1m 00s: the source refused a request as too frequent",
            "history begins \\u{1b}[2J",
        ]
    );
}

#[test]
fn many_short_waits_are_few_lines() {
    let mut state = State::default();
    let told = (0..120).filter(|second| state.waits(Cause::Retry, secs(*second), secs(1)));
    assert_eq!(told.collect::<Vec<_>>(), [0, 30, 60, 90]);
}

#[test]
fn quiet_is_obeyed() {
    let lines = |detail| {
        let progress = progress(detail);
        progress.planned(&samples::plan());
        progress.note("read this");
        progress.state().lines.clone()
    };
    assert_eq!(lines(Detail::Nothing), Vec::<String>::new());
    assert_eq!(lines(Detail::Notes), ["read this"]);
}

#[test]
fn the_screen_ends_when_it_is_told() {
    let terminal = Terminal::new(false);
    let screen = Screen::start(progress(Detail::Nothing), terminal).unwrap();
    screen.finish();
}
