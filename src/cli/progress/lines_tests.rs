//! What a person reads, at the widths people have.

use super::*;

fn ticks() -> SeriesLook {
    SeriesLook {
        name: "R_100 ticks".into(),
        month: "2026-03".into(),
        is_writing: false,
        n_done: 9,
        n_months: 24,
        asked: 12_345,
        left: 20_012,
        rows: 12_345_678,
    }
}

fn look() -> Look {
    let candles = SeriesLook {
        name: "R_100 candles 60s".into(),
        is_writing: true,
        n_done: 0,
        n_months: 1,
        asked: 45,
        left: 0,
        rows: 44_640,
        ..ticks()
    };
    let total = TotalLook {
        is_preparing: false,
        rows: 12_390_318,
        requests: 12_395,
        asked: 12_390,
        left: 20_012,
        per_minute: Some(198.4),
        rows_per_second: Some(3_306.0),
        time_left: Some(Duration::from_secs(6_060)),
    };
    let wait = Wait { cause: Cause::RateLimit, left: Some(Duration::from_millis(46_200)) };
    Look { series: vec![ticks(), candles], total, wait: Some(wait) }
}

#[test]
fn at_every_width_people_have() {
    let painted = |width| format!("{width}\n{}\n\n", paint(&look(), width).join("\n"));
    let all: String = [120, 100, 80, 60, 40, 20].map(painted).concat();
    insta::assert_snapshot!(all);
}

#[test]
fn no_line_ever_reaches_the_edge() {
    for width in 1..200 {
        for line in paint(&look(), width) {
            assert!(line.len() < width.max(2) && line.is_ascii(), "{width}: {line}");
        }
    }
}

#[test]
fn forty_columns_keep_what_matters() {
    let lines = paint(&look(), 40);
    for (line, parts) in lines.iter().zip([
        &["R_100 ticks", "38%", "12M rows"][..],
        &["R_100 candles 60s", "100%"],
        &["38%", "198/min", "1h 40m left"],
        &["waiting 47s", "rate limit"],
    ]) {
        for part in parts {
            assert!(line.contains(part), "{part}: {lines:?}");
        }
    }
}

#[test]
fn waits_have_words() {
    let line = |cause, left: Option<u64>| {
        let wait = Some(Wait { cause, left: left.map(Duration::from_secs) });
        paint(&Look { wait, ..Look::default() }, 80).pop().unwrap()
    };
    assert_eq!(
        line(Cause::SourceAway, Some(61)),
        "waiting 1m 01s: the source does not answer, then it is tried again"
    );
    assert_eq!(line(Cause::Connecting, None), "waiting: connecting to the source");
    assert_eq!(line(Cause::Retry, Some(8)), "waiting 8s: a request failed and is made again");
}

#[test]
fn before_the_plan_there_is_only_its_preparation() {
    let total = TotalLook { is_preparing: true, requests: 7, ..TotalLook::default() };
    assert_eq!(paint(&Look { total, ..Look::default() }, 80), ["preparing, 7 requests"]);
}

#[test]
fn estimates_are_rounded() {
    let check = |secs: f64, expected| assert_eq!(about(Duration::from_secs_f64(secs)), expected);
    check(0.2, "1s");
    check(44.6, "45s");
    check(59.9, "1m 00s");
    check(254.0, "4m 10s");
    check(2_470.0, "41m");
    check(3_569.0, "59m");
    check(3_580.0, "1h 00m");
    check(7_490.0, "2h 05m");
    check(97_000.0, "1d 03h");
}

#[test]
fn counts_in_few_letters() {
    let shown = [999, 1_000, 12_345, 999_499, 999_500, 12_345_678, 2_000_000_000].map(short);
    assert_eq!(shown, ["999", "1.0k", "12k", "999k", "1.0M", "12M", "2.0G"]);
}

#[test]
fn a_whole_is_whole_only_at_the_end() {
    assert_eq!(percent(999_999, 1), " 99%");
    assert_eq!(percent(5, 0), "100%");
    assert_eq!(bar(1, 1, 6), "[===>  ]");
    assert_eq!(bar(1, 0, 6), "[======]");
}
