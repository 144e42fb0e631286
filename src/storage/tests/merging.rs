//! Good data is never replaced by less, nor by other.

use super::*;
use crate::domain::{RangeSet, Severity};

#[test]
fn a_restatement_is_refused_and_everything_else_is_published() {
    let archive = Archive::new();
    let store = archive.store("a");
    stage(&store, range(0, 10), &[tick(0, 1.0), tick(2, 2.0), tick(4, 3.0)]);
    publish(&store);
    stage(&store, range(0, 20), &[tick(0, 1.0), tick(2, 2.5), tick(4, 3.0), tick(12, 4.0)]);
    let published = publish(&store);

    let kept = [tick(0, 1.0), tick(2, 2.0), tick(4, 3.0), tick(12, 4.0)];
    assert_eq!(read_rows::<Tick>(&archive.parquet()), kept);
    assert_eq!((published.record_count, published.n_new), (4, 1));
    let [finding] = &published.findings[..] else { panic!("{:?}", published.findings) };
    assert_eq!((finding.kind, finding.severity), (FindingKind::Restatement, Severity::Error));
    let text = finding.to_string();
    for part in ["R_100 ticks 2026-03 at 2026-03-01T00:00:02Z", "quote 2,", "quote 2.5"] {
        assert!(text.contains(part), "{text}");
    }

    // The next publish has nothing to say about it, but the sidecar does not forget.
    stage(&store, range(20, 30), &[tick(22, 5.0)]);
    assert_eq!(kinds(&publish(&store).findings), []);
    assert_eq!(kinds(&archive.sidecar().findings), [FindingKind::Restatement]);
}

#[test]
fn a_row_that_the_source_lost_stays() {
    let archive = Archive::new();
    let store = archive.store("a");
    stage(&store, range(0, 10), &[tick(0, 1.0), tick(2, 2.0), tick(8, 3.0)]);
    publish(&store);
    // One answer no longer has the row at 2; where nothing was asked again, nothing is said.
    stage(&store, range(0, 4), &[tick(0, 1.0)]);
    let published = publish(&store);
    assert_eq!(read_rows::<Tick>(&archive.parquet()).len(), 3);
    let [finding] = &published.findings[..] else { panic!("{:?}", published.findings) };
    assert_eq!((finding.kind, finding.severity), (FindingKind::Restatement, Severity::Warning));
    assert!(finding.subject.ends_with("00:00:02Z"), "{finding}");
}

#[test]
fn an_empty_answer_takes_nothing_away() {
    let archive = Archive::new();
    let store = archive.store("a");
    let rows = walk(100);
    stage(&store, range(0, 200), &rows);
    publish(&store);
    let bytes = archive.bytes();
    stage(&store, range(0, 200), &[]);
    let published = publish(&store);
    assert_eq!(archive.bytes(), bytes);
    // Twenty by name, and one that counts the other eighty.
    assert_eq!(published.findings.len(), 21);
    assert!(published.findings[20].found.starts_with("80 more"), "{}", published.findings[20]);
}

#[test]
fn between_answers_the_one_of_the_lower_window_stays() {
    for swap in [false, true] {
        let archive = Archive::new();
        let store = archive.store("a");
        let low = segment(range(0, 10), &[tick(0, 1.0), tick(8, 2.0)]);
        let high = segment(range(8, 20), &[tick(8, 2.5), tick(10, 3.0)]);
        let order = if swap { [&high, &low] } else { [&low, &high] };
        order.into_iter().for_each(|segment| store.stage(&key(), segment).unwrap());
        let published = publish(&store);
        let kept = [tick(0, 1.0), tick(8, 2.0), tick(10, 3.0)];
        assert_eq!(read_rows::<Tick>(&archive.parquet()), kept);
        assert_eq!(kinds(&published.findings), [FindingKind::ConflictingTick]);
    }
}

#[test]
fn rows_may_be_in_any_of_many_overlapping_answers() {
    let archive = Archive::new();
    let store = archive.store("a");
    let rows = walk(50);
    // Whole, a part of it, an empty one inside, one that begins in the silence behind.
    stage(&store, range(0, 60), &rows[..30]);
    stage(&store, range(10, 100), &rows);
    stage(&store, range(30, 34), &[]);
    stage(&store, range(120, 130), &[]);
    stage(&store, range(125, 140), &[tick(130, 9.0)]);
    let published = publish(&store);
    let mut expected = rows;
    expected.push(tick(130, 9.0));
    assert_eq!(read_rows::<Tick>(&archive.parquet()), expected);
    assert!(published.findings.is_empty(), "{:?}", published.findings);
}

#[test]
fn only_rows_that_keep_their_word_are_staged() {
    let archive = Archive::new();
    let store = archive.store("a");
    let mut wrong = segment(range(0, 10), &[tick(2, 1.0), tick(4, 1.0)]);
    wrong.pieces[0].swap(0, 1);
    let unsorted = store.stage(&key(), &wrong).unwrap_err();
    assert!(unsorted.to_string().contains("do not ascend"), "{unsorted}");
    wrong.pieces = vec![vec![tick(10, 1.0)]];
    let outside = store.stage(&key(), &wrong).unwrap_err();
    assert!(outside.to_string().contains("outside the range"), "{outside}");
    let other_month = store.stage(&key(), &segment(range(-1, 10), &[])).unwrap_err();
    assert!(other_month.to_string().contains("outside its month"), "{other_month}");
    assert!(archive.files().is_empty());
}

#[test]
fn a_doubted_silence_is_confirmed_by_the_next_run_that_asks() {
    let archive = Archive::new();
    archive.inspector.gaps.lock().unwrap().push(range(10, 20));
    let store = archive.store("a");
    stage(&store, range(0, 30), &[tick(8, 1.0), tick(20, 1.0)]);
    let mut doubting = publication();
    doubting.silence.doubted = RangeSet::from(range(10, 20));
    doubting.silence.clock = Some(SettleClock { now: doubting.server_now, lag_secs: 60 });
    let published = publish_with(&store, &doubting).unwrap();
    assert_eq!(published.gaps[0].class, GapClass::Unexplained);
    let unexplained = load(&store).unwrap().unexplained;
    assert_eq!(unexplained, [range(10, 20)]);

    // A run that does not ask for it changes nothing.
    assert_eq!(publish(&store).gaps[0].class, GapClass::Unexplained);
    let published = publish_with(&store, &doubting).unwrap();
    assert_eq!(published.gaps[0].class, GapClass::ConfirmedBySource);
    assert!(published.findings.is_empty(), "{:?}", published.findings);
    assert_eq!(publish(&store).gaps[0].class, GapClass::ConfirmedBySource);
    assert!(load(&store).unwrap().unexplained.is_empty());
}
