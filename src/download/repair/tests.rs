use proptest::prelude::*;

use super::*;
use crate::domain::{Epoch, Granularity, Kind};

const MARCH: i64 = 1_772_323_200;
const DAY: i64 = 86_400;

fn key(kind: Kind, month: &str) -> PartitionKey {
    let series = Series { symbol: "R_100".parse().unwrap(), kind };
    PartitionKey { series, month: month.parse().unwrap() }
}

fn range(start: i64, end: i64) -> EpochRange {
    EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap()
}

fn answered(key: PartitionKey, ranges: &[(i64, i64)]) -> Evidence {
    let mut coverage = Coverage::new();
    for (start, end) in ranges {
        coverage.insert(range(*start, *end), CoverageState::Answered);
    }
    Evidence { coverage: Some(coverage), ..Evidence::unknown(key) }
}

fn asked(orders: &Orders, key: &PartitionKey) -> Vec<(AskReason, i64, i64)> {
    let doubts = orders.0.get(key).map(|order| order.doubts.as_slice()).unwrap_or_default();
    doubts.iter().map(|d| (d.reason, d.range.start().secs(), d.range.end().secs())).collect()
}

#[test]
fn what_is_whole_gives_no_order() {
    let ticks = key(Kind::Ticks, "2026-03");
    assert!(orders(&[answered(ticks, &[(MARCH + 100, MARCH + DAY)])]).is_empty());
    assert!(orders(&[]).is_empty());
}

#[test]
fn holes_between_the_ends_of_a_series_are_asked_in_months_without_a_file_too() {
    let (march, april, may) =
        (key(Kind::Ticks, "2026-03"), key(Kind::Ticks, "2026-04"), key(Kind::Ticks, "2026-05"));
    let (april_start, may_start) =
        (april.month.range().start().secs(), may.month.range().start().secs());
    let evidence = [
        answered(march.clone(), &[(MARCH + 100, MARCH + 200), (MARCH + 300, april_start)]),
        answered(may.clone(), &[(may_start, may_start + 50)]),
    ];
    let orders = orders(&evidence);
    assert_eq!(asked(&orders, &march), [(AskReason::NeverAsked, MARCH + 200, MARCH + 300)]);
    assert_eq!(asked(&orders, &april), [(AskReason::NeverAsked, april_start, may_start)]);
    assert!(!orders.0.contains_key(&may));
}

#[test]
fn what_failed_is_asked_and_called_so() {
    let ticks = key(Kind::Ticks, "2026-03");
    let mut found = answered(ticks.clone(), &[(MARCH, MARCH + 100)]);
    let failed = range(MARCH + 100, MARCH + 160);
    found.coverage.as_mut().unwrap().insert(failed, CoverageState::Failed);
    let orders = orders(&[found]);
    assert_eq!(asked(&orders, &ticks), [(AskReason::Failed, MARCH + 100, MARCH + 160)]);
}

#[test]
fn a_month_of_which_nothing_is_known_reaches_as_far_as_its_symbol() {
    let (ticks, candles) =
        (key(Kind::Ticks, "2026-03"), key(Kind::Candles(Granularity::MINUTE), "2026-03"));
    let lost = Evidence { remedy: Remedy::Salvage, ..Evidence::unknown(candles.clone()) };
    let known = answered(ticks, &[(MARCH - DAY, MARCH + 600)]);
    let both = orders(&[known, lost.clone()]);
    assert_eq!(asked(&both, &candles), [(AskReason::Damaged, MARCH, MARCH + 600)]);
    let end = candles.month.range().end().secs();
    assert_eq!(asked(&orders(&[lost]), &candles), [(AskReason::Damaged, MARCH, end)]);
}

#[test]
fn nobody_touches_what_is_locked_or_left_alone() {
    let ticks = key(Kind::Ticks, "2026-03");
    let holed = answered(ticks, &[(MARCH, MARCH + 10), (MARCH + 20, MARCH + 30)]);
    assert!(!orders(std::slice::from_ref(&holed)).is_empty());
    assert!(orders(&[Evidence { is_locked: true, ..holed.clone() }]).is_empty());
    assert!(orders(&[Evidence { remedy: Remedy::Leave("no".into()), ..holed }]).is_empty());
}

#[test]
fn a_partition_whose_answers_wait_is_published() {
    let ticks = key(Kind::Ticks, "2026-03");
    let waiting = Evidence { is_staged: true, ..Evidence::unknown(ticks.clone()) };
    let orders = orders(&[waiting]);
    assert_eq!((orders.0.len(), asked(&orders, &ticks)), (1, Vec::new()));
}

#[test]
fn a_stopped_repair_goes_on_where_it_was() {
    let ticks = key(Kind::Ticks, "2026-03");
    let doubt = |reason, start, end| Doubt { reason, range: range(MARCH + start, MARCH + end) };
    let order = Order {
        doubts: vec![
            doubt(AskReason::Damaged, 0, 500),
            doubt(AskReason::Unexplained, 550, 560),
            doubt(AskReason::Contradicted, 600, 700),
        ],
    };
    let month = ticks.month.range();
    let mut stored = StoredPartition::default();
    stored.published.insert(range(MARCH + 500, MARCH + 1_000), CoverageState::Answered);
    stored.lost.insert(range(MARCH, MARCH + 40));
    stored.staged.insert(range(MARCH + 40, MARCH + 500));
    stored.staged.insert(range(MARCH + 650, MARCH + 700));
    stored.asked.insert(range(MARCH + 650, MARCH + 700));
    let plan = planned(ticks.clone(), &order, month, &stored, false).unwrap();
    // What was given up and saved again is not asked, what was answered neither.
    let missing: Vec<_> = plan.missing.iter().collect();
    assert_eq!(missing, [range(MARCH, MARCH + 40), range(MARCH + 600, MARCH + 650)]);
    assert_eq!(plan.again, RangeSet::from(range(MARCH + 600, MARCH + 650)));
    assert!(plan.is_ordered && plan.wanted == range(MARCH, MARCH + 1_000));
    let dry = planned(ticks.clone(), &order, month, &stored, true).unwrap().missing;
    let dry: Vec<_> = dry.iter().collect();
    assert_eq!(dry, [range(MARCH, MARCH + 500), range(MARCH + 600, MARCH + 650)]);
    stored.locked = true;
    assert!(planned(ticks.clone(), &order, month, &stored, false).unwrap().missing.is_empty());
    assert_eq!(planned(ticks, &Order::default(), month, &StoredPartition::default(), false), None);
}

proptest! {
    /// Second by second: what lies between the ends is asked if and only if it is not settled, or
    /// in doubt; nothing beyond the ends is asked without a doubt.
    #[test]
    fn exactly_what_is_unsettled_or_in_doubt_is_asked(
        pieces in prop::collection::vec((0i64..80, 1i64..20, 0usize..4), 1..8),
        doubts in prop::collection::vec((0i64..90, 1i64..9), 0..4),
    ) {
        use CoverageState::{Answered, Failed, Inherited, NotOffered};
        let ticks = key(Kind::Ticks, "2026-03");
        let mut coverage = Coverage::new();
        for (start, len, state) in pieces {
            let state = [Failed, NotOffered, Inherited, Answered][state];
            coverage.insert(range(MARCH + start, MARCH + start + len), state);
        }
        let doubts: Vec<_> = doubts
            .into_iter()
            .map(|(start, len)| Doubt {
                reason: AskReason::Silent,
                range: range(MARCH + start, MARCH + start + len),
            })
            .collect();
        let ends = hull(&coverage).unwrap();
        let found = Evidence {
            coverage: Some(coverage.clone()),
            doubts: doubts.clone(),
            ..Evidence::unknown(ticks.clone())
        };
        let orders = orders(&[found]);
        let asked = orders.0.get(&ticks).map(Order::ranges).unwrap_or_default();
        for secs in -5..110 {
            let epoch = Epoch::new(MARCH + secs);
            let is_settled = coverage.state_at(epoch).is_some_and(CoverageState::is_settled);
            let is_doubted = doubts.iter().any(|doubt| doubt.range.contains(epoch));
            let expected = is_doubted || ends.contains(epoch) && !is_settled;
            let is_asked = asked.iter().any(|range| range.contains(epoch));
            prop_assert_eq!(is_asked, expected, "{}", secs);
        }
    }
}
