//! Tests of the pure parts: which rows are good, and what a sidecar says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::sift::{Rules, Saved, Sifted, Tally, sift};
use super::*;
use crate::domain::{Candle, Granularity, Kind, Series, Tick};

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;
const END: i64 = START + 31 * 86_400;

fn key(kind: Kind) -> PartitionKey {
    let series = Series { symbol: "R_100".parse().unwrap(), kind };
    PartitionKey { series, month: "2026-03".parse().unwrap() }
}

fn minutes() -> PartitionKey {
    key(Kind::Candles(Granularity::MINUTE))
}

type Raw = (Option<i64>, Vec<f64>);

fn sifted<R: Record>(key: &PartitionKey, saved: Option<Saved>, raw: &[Raw]) -> (Vec<R>, Sifted) {
    let mut rows = Vec::new();
    let mut pass = |take: &mut sift::TakeRow<'_>| {
        for (epoch, prices) in raw {
            take(epoch.map(Epoch::new), prices).unwrap();
        }
        Ok(0)
    };
    let mut sink = |row| {
        rows.push(row);
        Ok(())
    };
    let sifted = sift::<R>(Rules::new(key), saved, &mut pass, &mut sink).unwrap();
    (rows, sifted)
}

fn bar(epoch: i64) -> Raw {
    (Some(epoch), vec![2.0, 3.0, 1.0, 2.5])
}

fn found(tally: &Tally, key: &PartitionKey) -> Vec<String> {
    tally.findings(key).into_iter().map(|finding| finding.found).collect()
}

#[test]
fn each_reason_becomes_one_finding_with_its_count_and_ends() {
    let key = minutes();
    let later = END + 90 * 86_400;
    let odd = |prices: [f64; 4]| (Some(START + 600), prices.to_vec());
    let raw = [
        (None, vec![1.0; 4]),
        bar(START - 60),
        bar(START),
        bar(START + 61),
        odd([2.0, 3.0, 1.0, f64::NAN]),
        odd([0.0, 3.0, 1.0, 2.0]),
        odd([2.0, f64::INFINITY, 1.0, 2.0]),
        odd([2.0, 1.5, 1.0, 2.0]),
        odd([2.0, 3.0, 2.5, 2.0]),
        bar(START + 1200),
        bar(END),
        bar(later),
        bar(later + 60),
    ];
    let (rows, sifted) = sifted::<Candle>(&key, None, &raw);
    assert_eq!(rows.iter().map(|row| row.epoch.secs()).collect::<Vec<_>>(), [START]);
    assert_eq!(
        found(&sifted.tally, &key),
        [
            "1 row without a usable epoch; set aside",
            "1 row from before the month, at 2026-02-28T23:59:00Z; set aside",
            "1 row at the first second of the next month, at 2026-04-01T00:00:00Z; set aside",
            "2 rows from after the month, data of the time of the download, \
             2026-06-30T00:00:00Z to 2026-06-30T00:01:00Z; set aside",
            "1 row that open beside one, at 2026-03-01T00:01:01Z; set aside",
            "1 row that were still open when saved, at 2026-03-01T00:20:00Z; set aside",
            "3 rows with a price that is not one, at 2026-03-01T00:10:00Z; set aside",
            "2 rows for which that does not hold, at 2026-03-01T00:10:00Z; set aside",
        ]
    );
}

#[test]
fn the_last_candle_is_kept_only_if_it_was_surely_closed() {
    let check = |last: i64, saved: Option<&str>, is_kept: bool| {
        let saved = saved.map(|text| Saved::parse(text).unwrap());
        let (rows, _) = sifted::<Candle>(&minutes(), saved, &[bar(START), bar(last)]);
        assert_eq!(rows.len() == 2, is_kept, "{last} {saved:?}");
        assert_eq!(rows[0].epoch.secs(), START);
    };
    let noon = START + 12 * 3600;
    check(noon, Some("2026-03-01T12:00:59Z"), false);
    check(noon, Some("2026-03-01T12:01:00Z"), true);
    check(noon, Some("2026-03-01T14:00:30+02:00"), false);
    check(noon, None, false);
    check(END - 60, None, true);
    // The rows contradict this time, so it is none.
    check(noon, Some("2026-03-01T11:00:00Z"), false);
    check(END - 60, Some("2026-03-01T11:00:00Z"), true);
    // Without a zone it may have been any.
    check(noon, Some("2026-03-01T20:00:00.123456"), false);
    check(noon, Some("2026-03-02 02:01:00"), true);
    // A tick has no end.
    let (rows, _) = sifted::<Tick>(&key(Kind::Ticks), None, &[(Some(noon), vec![1.0])]);
    assert_eq!(rows.len(), 1);
}

#[test]
fn a_sidecar_is_read_key_by_key() {
    let key = minutes();
    let said = Said::read(
        br#"{"symbol": "R_50", "granularity": 60.0, "start_epoch": 1772323200.0, "record_count": 3,
            "sha256": "AB", "end_epoch": null, "colour": 1}"#,
    )
    .unwrap();
    let ends = Some((Epoch::new(START), Epoch::new(START + 60)));
    let findings = said.disagreements(&key, "ab", 2, ends);
    let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::SidecarMismatch, FindingKind::RecordCount]);
    assert_eq!(said.unknown_keys(), ["colour"]);
    let sidecar = said.to_sidecar(&key);
    assert_eq!((sidecar.start_epoch, sidecar.record_count), (START, 3));
    assert!(sidecar.is_foreign() && !sidecar.locked);
    assert_eq!(Said::read(br#"{"format_version": 1}"#), None);
    assert_eq!(Said::read(b"not JSON"), None);
}

proptest! {
    /// Whatever lies in a file in whatever order: the good rows come out ascending and unique, of
    /// several for one epoch the first, bit for bit, and each other row is counted once.
    #[test]
    fn good_rows_survive_and_all_others_are_counted(
        raw in proptest::collection::vec(
            (
                proptest::option::weighted(0.95, -3i64..40),
                prop_oneof![
                    8 => (1u64..1 << 52).prop_map(|bits| f64::from_bits((1 << 62) | bits)),
                    4 => prop_oneof![Just(1.5), Just(2.5)],
                    1 => Just(f64::NAN),
                    1 => Just(0.0),
                    1 => Just(-1.0),
                ],
            ),
            0..60,
        ),
        is_sorted in any::<bool>(),
        // Far apart, so that several slices are put in order.
        step in prop_oneof![Just(1), Just(70_000)],
    ) {
        let mut raw: Vec<Raw> = raw
            .into_iter()
            .map(|(at, price)| (at.map(|at| START + at * step), vec![price]))
            .collect();
        if is_sorted {
            raw.sort_by_key(|(epoch, _)| *epoch);
        }
        let (rows, sifted) = sifted::<Tick>(&key(Kind::Ticks), None, &raw);
        let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
        let is_good = |epoch: i64, price: f64| {
            (START..END).contains(&epoch) && price.is_finite() && price > 0.0
        };
        for (epoch, prices) in &raw {
            if let Some(epoch) = epoch.filter(|epoch| is_good(*epoch, prices[0])) {
                expected.entry(epoch).or_insert(prices[0]);
            }
        }
        let expected: Vec<_> = expected.into_iter().map(|(e, p)| (e, p.to_bits())).collect();
        let found: Vec<_> =
            rows.iter().map(|row| (row.epoch.secs(), row.quote.to_bits())).collect();
        prop_assert_eq!(&found, &expected);
        let tally = &sifted.tally;
        prop_assert_eq!(tally.n_rows, raw.len() as u64);
        prop_assert_eq!(tally.kept.n_rows, rows.len() as u64);
        let counted = tally.kept.n_rows + tally.equal.n_rows + tally.n_set_aside();
        prop_assert_eq!(counted, tally.n_rows);
        let ends = rows.first().zip(rows.last()).map(|(a, b)| (a.epoch, b.epoch));
        prop_assert_eq!(tally.ends(), ends);
    }
}
