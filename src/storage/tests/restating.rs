//! Newer prices are taken only where a person named the month, and what they replace is kept.

use super::crash::{After, EVERY_STEP, publish_until};
use super::*;
use crate::domain::{Restatements, Severity};

fn accepting() -> Publication {
    Publication { restatements: Restatements::Accept, ..publication() }
}

/// Three published ticks; the source has another price for the second and no third any more.
fn refused() -> Archive {
    let archive = Archive::new();
    let store = archive.store("a");
    stage(&store, range(0, 10), &[tick(0, 1.0), tick(2, 2.0), tick(4, 3.0)]);
    publish(&store);
    restate(&store);
    let findings = publish(&store).findings;
    assert_eq!(findings.iter().filter(|f| f.severity == Severity::Error).count(), 1);
    archive
}

fn restate(store: &ParquetStore) {
    let answer =
        segment_asked(range(0, 20), &[tick(0, 1.0), tick(2, 2.5), tick(8, 4.0)], 6_000_000);
    store.stage(&key(), &answer).unwrap();
}

const NEWER: [(i64, f64); 4] = [(0, 1.0), (2, 2.5), (4, 3.0), (8, 4.0)];

fn newer() -> Vec<Tick> {
    NEWER.map(|(second, quote)| tick(second, quote)).to_vec()
}

fn errors(archive: &Archive) -> Vec<Finding> {
    let findings = archive.sidecar().findings.into_iter();
    findings.filter(|finding| finding.severity == Severity::Error).collect()
}

fn told(archive: &Archive) -> Vec<String> {
    let findings = archive.sidecar().findings.into_iter();
    findings.filter(|f| f.severity == Severity::Info).map(|f| f.found).collect()
}

#[test]
fn an_accepted_restatement_keeps_the_file_before() {
    let archive = refused();
    let (old, old_sidecar) = (archive.bytes(), fs::read(archive.sidecar_path()).unwrap());
    let store = archive.store("b");
    restate(&store);
    let published = publish_with(&store, &accepting()).unwrap();

    assert_eq!(read_rows::<Tick>(&archive.parquet()), newer());
    assert!(published.findings.iter().all(|f| f.severity < Severity::Error), "{published:#?}");
    assert_eq!(errors(&archive), []);
    let [told] = &told(&archive)[..] else { panic!("{:#?}", archive.sidecar().findings) };
    let place = ".titan/quarantine/R_100/ticks/2026-03.1.parquet.set-aside";
    for part in ["1 row changed", "2026-03-01T00:00:02Z", place] {
        assert!(told.contains(part), "{told}");
    }
    let files = archive.files();
    assert!(files[place] == old);
    assert!(
        files[".titan/quarantine/R_100/ticks/2026-03.1.metadata.json.set-aside"] == old_sidecar
    );
    assert!(load_owned(&store).unwrap().restatement_accepted);

    // The same wish again has nothing to change, and nothing more to tell.
    let before = archive.files();
    restate(&store);
    let published = publish_with(&store, &accepting()).unwrap();
    assert!(published.findings.iter().all(|f| f.severity < Severity::Error), "{published:#?}");
    assert_eq!(archive.names_in(".titan/quarantine").len(), 2);
    assert_eq!(archive.bytes(), before["R_100/ticks/2026-03.parquet"]);
}

#[test]
fn a_wish_that_changes_nothing_is_fulfilled_too() {
    let archive = Archive::new();
    let store = archive.store("a");
    stage(&store, range(0, 10), &[tick(0, 1.0)]);
    publish(&store);
    assert!(!load_owned(&store).unwrap().restatement_accepted);
    stage(&store, range(0, 10), &[tick(0, 1.0)]);
    publish_with(&store, &accepting()).unwrap();
    assert!(load_owned(&store).unwrap().restatement_accepted);
    assert!(archive.names_in(".titan/quarantine").is_empty());
}

/// Of a refusal that was not asked again nothing is known: it stands.
#[test]
fn only_what_was_asked_again_is_settled() {
    let archive = refused();
    let store = archive.store("b");
    stage(&store, range(0, 1), &[tick(0, 1.5)]);
    publish_with(&store, &accepting()).unwrap();
    assert_eq!(read_rows::<Tick>(&archive.parquet())[..2], [tick(0, 1.5), tick(2, 2.0)]);
    assert_eq!(errors(&archive).len(), 1);
    assert!(!load_owned(&store).unwrap().restatement_accepted);
}

/// Among answers of several runs the newest counts.
#[test]
fn the_newest_of_several_answers_is_taken() {
    let archive = refused();
    let store = archive.store("b");
    store.stage(&key(), &segment_asked(range(0, 10), &[tick(2, 9.0)], 5_500_000)).unwrap();
    restate(&store);
    publish_with(&store, &accepting()).unwrap();
    assert_eq!(read_rows::<Tick>(&archive.parquet()), newer());
}

/// Before the new file has its name the wish has to be made again; after it, it is fulfilled even
/// if the next run does not know of it.
#[test]
fn a_crash_while_prices_are_taken_loses_neither_file_nor_finding() {
    let whole = refused();
    let store = whole.store("b");
    restate(&store);
    publish_with(&store, &accepting()).unwrap();
    for last in EVERY_STEP {
        let archive = refused();
        restate(&archive.store("b"));
        publish_until(&archive.store("dead"), &accepting(), last);
        let store = archive.store("next");
        load_owned(&store).unwrap();
        let wish = if last < After::Name { accepting() } else { publication() };
        publish_with(&store, &wish).unwrap();
        assert_eq!(read_rows::<Tick>(&archive.parquet()), newer(), "{last:?}");
        assert_eq!(errors(&archive), [], "{last:?}");
        assert_eq!(told(&archive).len(), 1, "{last:?}");
        assert_eq!(archive.names_in(".titan/quarantine"), whole.names_in(".titan/quarantine"));
        assert!(archive.bytes() == whole.bytes(), "{last:?}");
    }
}

/// Of many refusals most are only counted: the run that meets one of those again brings no news.
#[test]
fn a_refusal_that_was_only_counted_is_no_news() {
    let archive = Archive::new();
    let store = archive.store("a");
    let ticks = |from: i64, quote| (from..30).map(|n| tick(2 * n, quote)).collect::<Vec<_>>();
    stage(&store, range(0, 60), &ticks(0, 1.0));
    publish(&store);
    let restated = |from: i64| {
        let store = archive.store("b");
        let answer = segment_asked(range(2 * from, 60), &ticks(from, 2.0), 6_000_000 + from);
        store.stage(&key(), &answer).unwrap();
        let published = publish(&store);
        let open = |findings: &[Finding]| -> u64 {
            findings.iter().filter(|f| f.is_open_restatement()).map(|f| f.n).sum()
        };
        (open(&published.findings), open(&published.standing))
    };
    assert_eq!(restated(0), (30, 0));
    assert_eq!(restated(0), (0, 30));
    let (news, standing) = restated(28);
    assert_eq!(news, 0, "two of the last ten");
    assert!(standing >= 30, "{standing}");
    assert_eq!(load_owned(&archive.store("c")).unwrap().standing.len(), 20 + 1 + 2);
    assert_eq!(archive.sidecar().findings.len(), 20 + 1 + 2);
}
