//! What a stopped run noted is told by the next one.

use super::*;
use crate::domain::RangeSet;

fn conflict() -> Finding {
    Finding::error(FindingKind::ConflictingTick, "R_100 ticks", "[1.0]", "[2.0] in another answer")
        .in_partition(&key())
}

fn noted() -> Segment<Tick> {
    let notes = SegmentNotes {
        findings: vec![conflict()],
        confirmed: RangeSet::from(range(40, 50)),
        doubted: [range(10, 20), range(90, 200)].into_iter().collect(),
    };
    Segment { notes, ..segment(range(0, 100), &walk(5)) }
}

#[test]
fn findings_and_doubts_outlive_the_run() {
    let archive = Archive::new();
    archive.store("stopped").stage(&key(), &noted()).unwrap();
    let store = archive.store("next");
    let stored = load(&store).unwrap();
    // Asked once more; only the part that the segment speaks of.
    assert_eq!(stored.unexplained, [range(10, 20), range(90, 100)]);
    let published = publish(&store);
    assert_eq!(published.findings, [conflict()]);
    assert_eq!(archive.sidecar().findings, [conflict()]);
}

#[test]
fn a_finding_is_told_once_however_many_segments_carry_it() {
    let archive = Archive::new();
    let store = archive.store("a");
    store.stage(&key(), &noted()).unwrap();
    store
        .stage(&key(), &Segment { range: range(100, 120), pieces: Vec::new(), ..noted() })
        .unwrap();
    PartitionStore::<Tick>::remember(&store, &key(), &[conflict()]).unwrap();
    let mut publication = publication();
    publication.findings = vec![conflict()];
    assert_eq!(publish_with(&store, &publication).unwrap().findings, [conflict()]);
}

#[test]
fn what_was_settled_since_is_not_told() {
    let archive = Archive::new();
    let store = archive.store("a");
    store.stage(&key(), &noted()).unwrap();
    let mut publication = publication();
    publication.withdrawn = vec![conflict()];
    assert_eq!(publish_with(&store, &publication).unwrap().findings, []);
}

/// Where this run asked, its own doubts count.
#[test]
fn doubts_of_a_stopped_run_end_where_this_one_asked() {
    for (asked, expected) in [(RangeSet::new(), 1), (RangeSet::from(range(0, 100)), 0)] {
        let archive = Archive::new();
        archive.inspector.gaps.lock().unwrap().push(range(40, 50));
        let store = archive.store("a");
        store.stage(&key(), &noted()).unwrap();
        let mut publication = publication();
        publication.silence.asked = asked;
        let gaps = publish_with(&store, &publication).unwrap().gaps;
        let confirmed = gaps.iter().filter(|gap| gap.class == GapClass::ConfirmedBySource);
        assert_eq!(confirmed.count(), expected);
    }
}

#[test]
fn findings_without_a_segment_wait_for_the_next_publish() {
    let archive = Archive::new();
    let store = archive.store("stopped");
    PartitionStore::<Tick>::remember(&store, &key(), &[conflict()]).unwrap();
    let store = archive.store("next");
    stage(&store, range(0, 10), &walk(5));
    assert_eq!(publish(&store).findings, [conflict()]);
    assert!(archive.names_in(".titan/staging").is_empty());
}

/// What was staged before there were notes has a header without them, and the same seal.
#[test]
fn a_segment_without_notes_is_written_as_it_always_was() {
    let archive = Archive::new();
    stage(&archive.store("a"), range(0, 10), &walk(5));
    let staged = archive.files();
    let (_, bytes) = staged.iter().find(|(name, _)| name.ends_with(".segment")).unwrap();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
    let header: serde_json::Value = serde_json::from_slice(line).unwrap();
    let keys: Vec<_> = header.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec![
        "magic",
        "format_version",
        "series",
        "month",
        "start",
        "end",
        "asked_first",
        "asked_last",
        "pip_size",
        "n_duplicates",
        "n_rows",
        "rows_xxh64",
        "header_sha256",
    ];
    let mut keys = keys;
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);
}
