//! What `verify` finds of gaps from the files alone: the same as whoever wrote them.

use crate::domain::{GapClass, GapRules, Session, TradingDay, TradingHours, Weekday};
use crate::integrity::testing::{Archive, Sample, month_start, range, tick};

use super::*;

const HOUR: i64 = 3600;

fn prices(i: i64) -> f64 {
    (100_000 + (i * 7919) % 1000) as f64 / 100.0
}

/// Two hours of ticks at this interval without those whose number is in `lost`.
fn every(symbol: &str, interval_secs: i64, lost: &[i64]) -> Sample<crate::domain::Tick> {
    let start = month_start();
    let numbers = (0..2 * HOUR / interval_secs).filter(|i| !lost.contains(i));
    let rows = numbers.map(|i| tick(start + i * interval_secs, prices(i))).collect();
    Sample::new(symbol, Kind::Ticks, rows, range(start, start + 2 * HOUR))
}

fn gaps_of(archive: &Archive) -> Vec<Gap> {
    let report = archive.verify();
    assert_eq!(report.n_errors, 0, "{:?}", report.all_findings().collect::<Vec<_>>());
    report.partitions.into_iter().flat_map(|partition| partition.gaps).collect()
}

/// Whoever takes one tick out of a series at fixed cadence, and makes every hash and every count
/// fit, leaves a gap of exactly one.
#[test]
fn one_lost_tick_shows_at_fixed_cadence() {
    for (symbol, interval) in [("R_100", 2), ("1HZ100V", 1), ("BOOM500", 1)] {
        let archive = Archive::new();
        every(symbol, interval, &[]).publish(&archive);
        assert_eq!(gaps_of(&archive), [], "{symbol}");
        let archive = Archive::new();
        every(symbol, interval, &[1234]).publish(&archive);
        let lost = Epoch::new(month_start() + 1234 * interval);
        let gap = Gap {
            start: lost.plus(1 - interval),
            end: lost.plus(interval),
            missing_estimate: 1,
            class: GapClass::WithinPage,
            asked_first: None,
            asked_last: None,
        };
        assert_eq!(gaps_of(&archive), [gap], "{symbol}");
        // Three in a row, and the last of all.
        let archive = Archive::new();
        let last = 2 * HOUR / interval - 1;
        every(symbol, interval, &[500, 501, 502, last]).publish(&archive);
        let missing: Vec<u64> = gaps_of(&archive).iter().map(|gap| gap.missing_estimate).collect();
        assert_eq!(missing, [3, 1], "{symbol}");
    }
}

/// The second day of the month, a Monday, quoted every one to three seconds but at noon.
fn with_a_pause() -> Sample<crate::domain::Tick> {
    let start = month_start() + 24 * HOUR;
    let mut epoch = start;
    let mut rows = Vec::new();
    for i in 0.. {
        epoch += 1 + (i * i + i / 3) % 3;
        if epoch >= start + 24 * HOUR {
            break;
        }
        if !(12 * HOUR..13 * HOUR).contains(&(epoch - start)) {
            rows.push(tick(epoch, prices(i)));
        }
    }
    Sample::new("OTC_SPC", Kind::Ticks, rows, range(start, start + 24 * HOUR))
}

/// Monday's hours: the whole day, or two sessions with an hour between.
fn hours_with(pause: bool) -> TradingHours {
    let session = |open, close| Session::new(open * HOUR, close * HOUR).unwrap();
    let mut hours = TradingHours::default();
    hours.learn(&TradingDay {
        symbol: "OTC_SPC".parse().unwrap(),
        day: Epoch::new(month_start() + 24 * HOUR),
        sessions: if pause { vec![session(0, 12), session(13, 24)] } else { vec![session(0, 24)] },
        weekdays: Some(Weekday::ALL.into()),
        holidays: Vec::new(),
        odd_days: Vec::new(),
    });
    hours
}

fn rules(hours: Option<TradingHours>) -> GapRules {
    GapRules { continuous: Some(false), hours, threshold_secs: None }
}

#[test]
fn the_sidecar_holds_what_a_class_was_derived_from() {
    let class = |rules: Option<GapRules>| {
        let archive = Archive::new();
        let mut sample = with_a_pause();
        sample.sidecar.gap_rules = rules;
        sample.publish(&archive);
        let gaps = gaps_of(&archive);
        let long: Vec<_> = gaps.iter().filter(|gap| gap.end.since(gap.start) > 1800).collect();
        assert_eq!(long.len(), 1, "{gaps:?}");
        long[0].class
    };
    // One pause on one day is no pattern: only the hours that were told explain it.
    assert_eq!(class(Some(rules(Some(hours_with(true))))), GapClass::MarketClosed);
    assert_eq!(class(Some(rules(Some(hours_with(false))))), GapClass::Unexplained);
    assert_eq!(class(Some(rules(None))), GapClass::WithinPage);
    assert_eq!(class(None), GapClass::WithinPage);
}

#[test]
fn the_sidecar_holds_the_threshold_that_was_chosen() {
    let n_gaps = |threshold_secs| {
        let archive = Archive::new();
        let mut sample = every("R_100", 2, &[100, 101, 102, 700]);
        sample.sidecar.gap_rules = Some(GapRules { threshold_secs, ..rules(None) });
        sample.publish(&archive);
        gaps_of(&archive).len()
    };
    assert_eq!(n_gaps(None), 2);
    assert_eq!(n_gaps(Some(5)), 1);
    assert_eq!(n_gaps(Some(60)), 0);
}

/// A week-end in a market that its source calls open is no closed market.
#[test]
fn what_was_told_outranks_what_is_usual() {
    let saturday = month_start() + 6 * 24 * HOUR;
    let silent = (saturday + 3 * HOUR, saturday + 5 * HOUR);
    let class = |hours: Option<TradingHours>| {
        let silence = SilenceFacts { continuous: Some(false), hours, ..SilenceFacts::default() };
        let rows: Vec<_> = (saturday..saturday + 8 * HOUR)
            .filter(|epoch| !(silent.0..silent.1).contains(epoch) && epoch % 3 != 0)
            .map(|epoch| tick(epoch, 1.0))
            .collect();
        let mut finder = GapFinder::new(Kind::Ticks, None, &silence);
        finder.update(&rows);
        let gaps = finder.finish().gaps;
        assert_eq!(gaps.len(), 1);
        gaps[0].class
    };
    assert_eq!(class(None), GapClass::MarketClosed);
    let mut always = TradingHours::default();
    for day in 0..7 {
        always.learn(&TradingDay {
            symbol: "cryBTCUSD".parse().unwrap(),
            day: Epoch::new(month_start() + day * 24 * HOUR),
            sessions: vec![Session::ALL_DAY],
            weekdays: Some(Weekday::ALL.into()),
            holidays: Vec::new(),
            odd_days: Vec::new(),
        });
    }
    assert_eq!(class(Some(always)), GapClass::Unexplained);
    // Hours of other days say nothing: there the usual counts.
    assert_eq!(class(Some(hours_with(true))), GapClass::MarketClosed);
}
