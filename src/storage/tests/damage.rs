//! What cannot be trusted is set aside and named; what is not ours is not touched.

use sha2::Digest;

use super::foreign::{FOREIGN_SIDECAR, write_foreign};
use super::*;
use crate::domain::{Coverage, CoverageState, PartitionState, RangeSet};

/// An archive with 500 published ticks.
fn published() -> (Archive, Vec<Tick>) {
    let archive = Archive::new();
    let rows = walk(500);
    let store = archive.store("before");
    stage(&store, range(0, 1000), &rows);
    publish(&store);
    (archive, rows)
}

/// Stages a second segment of `rows` and spoils it.
fn stage_spoiled(archive: &Archive, store: &ParquetStore, rows: &[Tick], spoil: impl Fn(&Path)) {
    let intact = archive.names_in(".titan/staging");
    stage(store, range(100, 200), rows);
    let spoiled =
        archive.names_in(".titan/staging").into_iter().find(|name| !intact.contains(name));
    spoil(&archive.root().join(spoiled.unwrap()));
}

/// Expects a spoiled segment to be named and another one to be used, whoever meets it first.
fn check_spoiled(what: &str, spoil: impl Fn(&Path)) {
    check_spoiled_before(what, &spoil);
    check_spoiled_on_the_way(what, spoil);
}

/// The run that staged it publishes, and did not look at it again before.
fn check_spoiled_on_the_way(what: &str, spoil: impl Fn(&Path)) {
    let (archive, rows) = (Archive::new(), walk(150));
    let store = archive.store("one");
    stage(&store, range(200, 300), &rows);
    publish(&store);
    stage(&store, range(0, 100), &rows);
    stage_spoiled(&archive, &store, &rows, spoil);

    let published = publish(&store);
    assert_eq!(kinds(&published.findings), [FindingKind::StagingSetAside], "{what}");
    assert_eq!(
        published.coverage.missing(range(0, 300)),
        RangeSet::from_iter([range(100, 200)]),
        "{what}"
    );
    let kept: Vec<_> = rows[..50].iter().chain(&rows[100..]).copied().collect();
    assert_eq!(read_rows::<Tick>(&archive.parquet()), kept, "{what}");
    let quarantine = archive.names_in(".titan/quarantine/staging/R_100/ticks/2026-03");
    assert_eq!(quarantine.len(), 1, "{what}");
    assert!(archive.names_in(".titan/staging").is_empty(), "{what}");
}

/// Another run finds it.
fn check_spoiled_before(what: &str, spoil: impl Fn(&Path)) {
    let archive = Archive::new();
    let rows = walk(100);
    let store = archive.store("before");
    stage(&store, range(0, 100), &rows);
    stage_spoiled(&archive, &store, &rows, spoil);
    let before = archive.files();

    let store = archive.store("next");
    assert!(!load(&store).unwrap().staged.intersects(range(100, 200)), "{what}");
    assert_eq!(archive.files(), before, "{what}: without the lock nothing is moved");

    let stored = load_owned(&store).unwrap();
    assert_eq!(stored.staged.iter().collect::<Vec<_>>(), [range(0, 100)], "{what}");
    assert_eq!(
        archive.names_in(".titan/quarantine/staging/R_100/ticks/2026-03").len(),
        1,
        "{what}"
    );

    // Also if this run dies and another one publishes.
    let published = publish(&archive.store("third"));
    assert_eq!(kinds(&published.findings), [FindingKind::StagingSetAside], "{what}");
    assert_eq!(kinds(&archive.sidecar().findings), [FindingKind::StagingSetAside], "{what}");
    assert_eq!(read_rows::<Tick>(&archive.parquet()), rows[..50], "{what}");
    assert!(archive.names_in(".titan/staging").is_empty(), "{what}");
}

fn edit(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    edit(path, |bytes| {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes.splice(at..at + from.len(), to.bytes());
    });
}

#[test]
fn a_spoiled_segment_is_set_aside_and_named() {
    check_spoiled("truncated", |path| edit(path, |bytes| bytes.truncate(bytes.len() - 1)));
    check_spoiled("longer", |path| edit(path, |bytes| bytes.push(0)));
    check_spoiled("empty", |path| edit(path, Vec::clear));
    check_spoiled("no header", |path| edit(path, |bytes| bytes.retain(|byte| *byte != b'\n')));
    check_spoiled("a flipped bit in a price", |path| {
        edit(path, |bytes| *bytes.last_mut().unwrap() ^= 1);
    });
    let end = format!("\"end\":{}", START + 200);
    let later = format!("\"end\":{}", START + 900);
    check_spoiled("a header that claims more", |path| replace(path, &end, &later));
    check_spoiled("a version that nobody knows any more", |path| {
        replace(path, "\"format_version\":3", "\"format_version\":1");
    });
    check_spoiled("rows of a form that the header denies", |path| {
        replace(path, "\"format_version\":3", "\"format_version\":2");
    });
    check_spoiled("an unknown key", |path| replace(path, "\"n_rows\"", "\"new\":1,\"n_rows\""));
}

/// A newer build staged it, in whatever form, and was set back: it is left for that build, and its
/// seconds count as not answered.
#[test]
fn a_segment_of_a_newer_version_stays_where_it_is() {
    for more in ["", "\"form\":[1],"] {
        let (archive, rows) = (Archive::new(), walk(100));
        let store = archive.store("one");
        stage(&store, range(0, 100), &rows);
        let spoil = |path: &Path| {
            let newer = format!("{more}\"format_version\":4");
            replace(path, "\"format_version\":3", &newer);
        };
        stage_spoiled(&archive, &store, &rows, spoil);
        let staged = archive.names_in(".titan/staging");
        let stored = load_owned(&store).unwrap();
        assert_eq!(stored.staged.iter().collect::<Vec<_>>(), [range(0, 100)]);
        assert_eq!(archive.names_in(".titan/staging"), staged);
        let published = publish(&archive.store("next"));
        assert_eq!(kinds(&published.findings), []);
        assert_eq!(published.coverage.missing(range(0, 200)), RangeSet::from(range(100, 200)));
        assert_eq!(archive.names_in(".titan/staging").len(), 1);
        assert!(archive.names_in(".titan/quarantine").is_empty());
    }
}

/// However many are spoiled, each is named, the rest is published, and what they answered for is
/// lost and not unknown.
#[test]
fn every_spoiled_segment_is_set_aside_by_one_publish() {
    let (archive, rows) = (Archive::new(), walk(500));
    let store = archive.store("one");
    for part in 0..10 {
        stage(&store, range(part * 100, part * 100 + 100), &rows);
    }
    let staged = archive.names_in(".titan/staging");
    for name in staged.iter().skip(1) {
        edit(&archive.root().join(name), |bytes| *bytes.last_mut().unwrap() ^= 1);
    }
    let published = publish(&store);
    assert_eq!(kinds(&published.findings), [FindingKind::StagingSetAside; 9]);
    assert_eq!(published.record_count, 50);
    assert_eq!(published.lost, RangeSet::from_iter([range(100, 1000)]));
}

/// One byte of one of several segments that overlap, contradict each other, or have no rows: what
/// comes out is what comes out without it.
#[test]
fn a_flipped_byte_costs_its_segment_and_nothing_else() {
    let rows = walk(200);
    let other: Vec<Tick> = rows.iter().map(|r| Tick { quote: r.quote + 1.0, ..*r }).collect();
    let parts: [(EpochRange, &[Tick]); 6] = [
        (range(0, 60), &rows),
        (range(20, 50), &other),
        (range(60, 100), &[]),
        (range(90, 160), &rows),
        (range(158, 159), &[]),
        (range(300, 320), &rows),
    ];
    let build = |without: Option<usize>| {
        let archive = Archive::new();
        let store = archive.store("one");
        stage(&store, range(100, 140), &rows);
        publish(&store);
        for (index, (range, rows)) in parts.iter().enumerate() {
            if without != Some(index) {
                store.stage(&key(), &segment_asked(*range, rows, index as i64)).unwrap();
            }
        }
        (archive, store)
    };
    let is_other = |finding: &&Finding| finding.kind != FindingKind::StagingSetAside;
    let answered = |coverage: &Coverage| coverage.select(CoverageState::is_settled);
    for (victim, (range, _)) in parts.iter().enumerate() {
        let (expected, store) = build(Some(victim));
        let without = publish(&store);
        let expected = read_rows::<Tick>(&expected.parquet());
        let start = format!("/{}-", range.start().secs());
        // A stride that meets every sort of byte.
        for at in (0..).step_by(37) {
            let (archive, store) = build(None);
            let names = archive.names_in(".titan/staging");
            let name = names.iter().find(|name| name.contains(&start)).unwrap();
            let path = archive.root().join(name);
            if at >= fs::read(&path).unwrap().len() {
                break;
            }
            edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            let published = publish(&store);
            let what = format!("segment {victim}, byte {at}");
            assert_eq!(read_rows::<Tick>(&archive.parquet()), expected, "{what}");
            assert_eq!(answered(&published.coverage), answered(&without.coverage), "{what}");
            let told: Vec<_> = published.findings.iter().filter(is_other).collect();
            assert_eq!(told, without.findings.iter().collect::<Vec<_>>(), "{what}");
            assert_eq!(published.findings.len(), without.findings.len() + 1, "{what}");
            assert!(archive.names_in(".titan/staging").is_empty(), "{what}");
        }
    }
}

/// Somebody wrote these on purpose: checksum and seal fit.
#[test]
fn forged_blocks_are_set_aside() {
    type Forge = fn(&mut Vec<u8>);
    let forgeries: [(&str, Forge); 9] = [
        ("a row less", |body| body[0] -= 1),
        ("a row more", |body| body[0] += 1),
        ("no row", |body| body[0] = 0),
        ("more rows than a block has", |body| (body[0], body[1]) = (1, 0x20)),
        ("steps of no known width", |body| body[2] = 3),
        ("wider steps", |body| body[2] = 8),
        ("a second row for one epoch", |body| body[4] = 0),
        ("a row outside the range", |body| body[52] = 200),
        ("a second block", |body| body.extend_from_within(..)),
    ];
    for (what, forge) in forgeries {
        let (archive, rows) = (Archive::new(), walk(100));
        let store = archive.store("one");
        stage(&store, range(0, 100), &rows);
        stage_spoiled(&archive, &store, &rows, |path| {
            edit(path, |bytes| *bytes = forged(bytes, &[], forge));
        });
        let published = publish(&store);
        assert_eq!(kinds(&published.findings), [FindingKind::StagingSetAside], "{what}");
        assert_eq!(read_rows::<Tick>(&archive.parquet()), rows[..50], "{what}");
    }
}

/// So many rows would need more room than any disk has; nobody counts on them.
#[test]
fn a_segment_that_claims_more_rows_than_it_can_hold_is_set_aside() {
    for n_rows in [51, 1 << 40, u64::MAX] {
        let (archive, rows) = (Archive::new(), walk(150));
        let store = archive.store("one");
        stage(&store, range(200, 300), &rows);
        for _ in 0..2 {
            stage_spoiled(&archive, &store, &rows, |path| {
                let change = ("\"n_rows\":50", format!("\"n_rows\":{n_rows}"));
                edit(path, |bytes| *bytes = forged(bytes, std::slice::from_ref(&change), |_| {}));
            });
        }
        let published = publish(&store);
        assert_eq!(kinds(&published.findings), [FindingKind::StagingSetAside; 2], "{n_rows}");
        assert_eq!(published.record_count, 50, "{n_rows}");
    }
}

/// A sidecar without its file that claims seconds of another month: they are not lost with it.
#[test]
fn a_claim_on_another_month_ends_with_the_month() {
    let (archive, rows) = published();
    let store = archive.store("next");
    fs::remove_file(archive.parquet()).unwrap();
    let mut sidecar = archive.sidecar();
    sidecar.coverage[0].start = Epoch::new(START - 100);
    fs::write(archive.sidecar_path(), sidecar.to_json()).unwrap();
    let lost = load_owned(&store).unwrap().lost;
    assert_eq!(lost, RangeSet::from_iter([range(0, 1000)]));
    stage(&store, range(0, 1000), &rows);
    assert_eq!(publish(&store).record_count, 500);
}

/// A segment with another header and other bytes behind it, sealed as if they were true.
fn forged(segment: &[u8], header: &[(&str, String)], body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let at = segment.iter().position(|byte| *byte == b'\n').unwrap();
    let mut head = String::from_utf8(segment[..at].to_vec()).unwrap();
    let mut rest = segment[at + 1..].to_vec();
    body(&mut rest);
    for (from, to) in header {
        assert!(head.contains(from), "{head}");
        head = head.replace(from, to);
    }
    let with = |head: &str, key: &str, value: &str| {
        let (before, rest) = head.split_once(&format!("\"{key}\":\"")).unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        format!("{before}\"{key}\":\"{value}\"{after}")
    };
    let checksum = format!("{:016x}", twox_hash::XxHash64::oneshot(0, &rest));
    let head = with(&with(&head, "rows_xxh64", &checksum), "header_sha256", "");
    let seal = crate::format::digest::hex(&sha2::Sha256::digest(&head));
    [with(&head, "header_sha256", &seal).into_bytes(), vec![b'\n'], rest].concat()
}

/// What a build before this one staged: the same header, and numbers of 8 bytes behind it.
#[test]
fn a_segment_of_the_form_before_is_read() {
    let (archive, rows) = (Archive::new(), walk(100));
    let store = archive.store("one");
    stage(&store, range(0, 200), &rows);
    let [name] = archive.names_in(".titan/staging").try_into().unwrap();
    edit(&archive.root().join(&name), |bytes| *bytes = in_the_form_before(bytes, &rows));
    assert_eq!(load(&store).unwrap().last_row, Some(rows[99].epoch));
    let published = publish(&store);
    assert_eq!((published.findings, published.record_count), (Vec::new(), 100));
    assert_eq!(read_rows::<Tick>(&archive.parquet()), rows);
}

fn in_the_form_before(segment: &[u8], rows: &[Tick]) -> Vec<u8> {
    let numbers = |row: &Tick| [row.epoch.secs().to_le_bytes(), row.quote.to_le_bytes()].concat();
    let version = ("\"format_version\":3", "\"format_version\":2".to_owned());
    forged(segment, &[version], |body| *body = rows.iter().flat_map(numbers).collect())
}

#[test]
fn a_segment_of_another_month_is_not_taken() {
    let archive = Archive::new();
    let store = archive.store("a");
    stage(&store, range(0, 100), &walk(50));
    let april = PartitionKey { month: "2026-04".parse().unwrap(), ..key() };
    let layout = store.layout();
    atomic::move_aside(&layout.staging_dir(&key()), &layout.staging_dir(&april)).unwrap();
    let stored = PartitionStore::<Tick>::load(&store, &april).unwrap();
    assert!(stored.staged.is_empty());
}

#[test]
fn half_written_files_of_dead_runs_are_swept() {
    let (archive, rows) = published();
    let store = archive.store("dead");
    stage(&store, range(1000, 1100), &rows);
    let drafts = [
        store.layout().staging_dir(&key()).join("1-2-x.segment"),
        archive.parquet(),
        archive.sidecar_path(),
    ];
    let living: Vec<_> =
        drafts.iter().map(|target| Draft::create(target, &store.names.next()).unwrap()).collect();
    let is_draft = |name: &String| name.ends_with(".titan-tmp");
    assert_eq!(archive.files().keys().filter(|name| is_draft(name)).count(), 3);
    // The next run has the same name, as where every run is process 1.
    let store = archive.store("dead");
    load(&store).unwrap();
    assert_eq!(archive.files().keys().filter(|name| is_draft(name)).count(), 3);
    // While whoever writes them lives, even the owner of the series lets them be.
    #[cfg(unix)]
    {
        load_owned(&store).unwrap();
        assert_eq!(archive.files().keys().filter(|name| is_draft(name)).count(), 3);
    }
    living.into_iter().for_each(Draft::abandon);
    load_owned(&store).unwrap();
    assert_eq!(archive.files().keys().filter(|name| is_draft(name)).count(), 0);
}

#[test]
fn a_lost_or_stale_sidecar_is_rebuilt_from_the_file() {
    for spoiled in ["lost", "not JSON", "stale"] {
        let (archive, _) = published();
        let path = archive.sidecar_path();
        let before = archive.sidecar();
        match spoiled {
            "lost" => fs::remove_file(&path).unwrap(),
            "stale" => fs::write(&path, Sidecar { file_size: Some(1), ..before.clone() }.to_json())
                .unwrap(),
            _ => fs::write(&path, "{").unwrap(),
        }
        let bytes = archive.bytes();
        let stored = load_owned(&archive.store("next")).unwrap();
        assert_eq!(stored.published, before.coverage(), "{spoiled}");
        assert_eq!(archive.bytes(), bytes);

        let after = archive.sidecar();
        assert_eq!(after.created_at, None);
        let mut expected = Sidecar { created_at: None, download_duration_seconds: None, ..before };
        if spoiled != "stale" {
            // Nobody knows any more when it was asked.
            expected.duplicates_removed = 0;
            expected.coverage[0].asked_first = None;
            expected.coverage[0].asked_last = None;
        }
        assert_eq!(after, expected, "{spoiled}");
    }
}

#[test]
fn a_rebuilt_sidecar_never_says_sealed() {
    let archive = Archive::new();
    let store = archive.store("a");
    stage(&store, month().range(), &walk(10));
    publish(&store);
    fs::remove_file(archive.sidecar_path()).unwrap();
    let stored = load_owned(&store).unwrap();
    assert_eq!(stored.state, Some(PartitionState::Settling));
}

#[test]
fn a_truncated_file_keeps_its_name_until_it_was_asked_again() {
    let (archive, rows) = published();
    let whole = archive.bytes();
    edit(&archive.parquet(), |bytes| bytes.truncate(bytes.len() / 2));
    let before = archive.files();
    assert!(load(&archive.store("observer")).unwrap().published.is_empty());
    assert_eq!(archive.files(), before);

    let store = archive.store("next");
    let stored = load_owned(&store).unwrap();
    assert!(stored.published.is_empty() && stored.state.is_none());
    let quarantined = ["2026-03.1.metadata.json.set-aside", "2026-03.1.parquet.set-aside"];
    let quarantined = quarantined.map(|name| format!(".titan/quarantine/R_100/ticks/{name}"));
    assert_eq!(archive.names_in(".titan/quarantine"), quarantined);
    assert!(archive.bytes() == before["R_100/ticks/2026-03.parquet"]);
    assert!(!archive.sidecar_path().exists(), "it would go on claiming what is lost");
    // However often it is met, and with nothing to replace it.
    let settled = archive.files();
    assert!(load_owned(&archive.store("again")).unwrap().published.is_empty());
    assert_eq!(archive.files(), settled);
    let nothing = publish(&store);
    assert_eq!(
        (nothing.record_count, kinds(&nothing.findings)),
        (0, vec![FindingKind::Unreadable])
    );
    assert!(archive.bytes() == before["R_100/ticks/2026-03.parquet"]);
    assert_eq!(load_owned(&store).unwrap().lost, RangeSet::from(range(0, 1000)));

    stage(&store, range(0, 1000), &rows);
    publish(&store);
    assert_eq!(archive.bytes(), whole);
    assert_eq!(archive.names_in(".titan/quarantine"), quarantined);
    assert!(archive.names_in(".titan/staging").is_empty());
}

/// A file may rot without changing its size. A load does not read rows, so the next publish is
/// the first to notice; the rotten rows must not be published again.
#[test]
fn rows_that_rotted_are_never_published_again() {
    let (archive, rows) = published();
    let whole = archive.bytes();
    let mut n_refused = 0;
    for at in (4..whole.len()).step_by(97) {
        edit(&archive.parquet(), |bytes| {
            bytes.clone_from(&whole);
            bytes[at] ^= 0x10;
        });
        let store = archive.store("next");
        stage(&store, range(1000, 1010), &[tick(1000, 1.0)]);
        match publish_with(&store, &publication()) {
            // What the flip hit is not part of any row, or nothing reads it.
            Ok(published) if published.record_count == 501 => {
                assert_eq!(read_rows::<Tick>(&archive.parquet())[..500], rows, "byte {at}");
            }
            // They were all of one day, and it is to be asked again.
            Ok(published) => {
                n_refused += 1;
                assert_eq!(read_rows::<Tick>(&archive.parquet()), [tick(1000, 1.0)], "byte {at}");
                assert_eq!(
                    published.coverage.missing(range(0, 1010)),
                    RangeSet::from(range(0, 1000))
                );
                assert!(published.findings[0].found.contains("quarantine"), "{published:?}");
            }
            Err(error) => {
                n_refused += 1;
                let is_said = error.to_string().contains("quarantine")
                    || error.to_string().contains("another tool")
                    || error.to_string().contains("left as it is");
                assert!(is_said, "byte {at}: {error}");
            }
        }
        // Start over from the whole file.
        let _ = fs::remove_dir_all(archive.root().join(".titan"));
        let _ = fs::remove_dir_all(archive.root().join("R_100"));
        let store = archive.store("before");
        stage(&store, range(0, 1000), &rows);
        publish(&store);
        assert_eq!(archive.bytes(), whole);
    }
    assert!(n_refused > 3, "{n_refused}");
}

/// Any flipped byte in a file without a sidecar: found whole, set aside, or refused; no panic.
#[test]
fn no_flipped_byte_gets_past_the_examination() {
    let archive = Archive::new();
    let store = archive.store("a");
    let rows = walk(40);
    stage(&store, range(0, 80), &rows);
    publish(&store);
    fs::remove_file(archive.sidecar_path()).unwrap();
    let whole = archive.bytes();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x21;
        fs::write(archive.parquet(), &bytes).unwrap();
        match load(&store) {
            Ok(stored) if stored.published.is_empty() => {}
            Ok(stored) => {
                assert_eq!(stored.record_count, 40, "byte {at}");
                assert_eq!(read_rows::<Tick>(&archive.parquet()), rows, "byte {at}");
            }
            Err(StoreError::Damaged { .. }) => {}
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn a_file_in_the_wrong_place_is_not_believed() {
    let (archive, _) = published();
    let april = PartitionKey { month: "2026-04".parse().unwrap(), ..key() };
    let store = archive.store("next");
    fs::copy(archive.parquet(), store.layout().parquet(&april)).unwrap();
    fs::copy(archive.sidecar_path(), store.layout().sidecar(&april)).unwrap();
    let _guard = store.lock(&series()).unwrap();
    assert!(PartitionStore::<Tick>::load(&store, &april).unwrap().published.is_empty());
    assert_eq!(archive.names_in(".titan/quarantine/R_100/ticks/2026-04").len(), 2);
    assert_eq!(load(&store).unwrap().record_count, 500);
}

#[test]
fn a_sidecar_without_its_file_describes_nothing() {
    let (archive, _) = published();
    fs::remove_file(archive.parquet()).unwrap();
    assert_eq!(load_owned(&archive.store("next")).unwrap().record_count, 0);
    assert_eq!(
        archive.names_in(".titan/quarantine"),
        [".titan/quarantine/R_100/ticks/2026-03.1.metadata.json.set-aside"]
    );
}

#[test]
fn a_broken_file_of_another_tool_is_kept_with_its_sidecar() {
    let archive = Archive::new();
    write_foreign(&archive, Some(FOREIGN_SIDECAR));
    edit(&archive.parquet(), |bytes| bytes.truncate(20));
    let before = archive.files();
    assert!(load(&archive.store("a")).unwrap().published.is_empty());
    assert_eq!(archive.files(), before, "without the lock nothing is moved");
    let stored = load_owned(&archive.store("a")).unwrap();
    assert!(stored.published.is_empty() && stored.has_remarks);
    assert_eq!(archive.names_in(".titan/quarantine/R_100/ticks").len(), 2);
    assert_eq!(archive.names_in("R_100"), ["R_100/ticks/2026-03.parquet"]);
}

#[test]
fn a_locked_partition_is_never_modified() {
    let (archive, _) = published();
    let locked = Sidecar { locked: true, ..archive.sidecar() };
    fs::write(archive.sidecar_path(), locked.to_json()).unwrap();
    let store = archive.store("next");
    stage(&store, range(1000, 1010), &[tick(1000, 1.0)]);
    let before = archive.files();
    assert!(load_owned(&store).unwrap().locked);
    let error = publish_with(&store, &publication()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert_eq!(archive.files(), before);

    let archive = Archive::new();
    write_foreign(&archive, Some(&FOREIGN_SIDECAR.replace("false", "true")));
    let store = archive.store("a");
    assert!(load_owned(&store).unwrap().locked);
    assert!(matches!(publish_with(&store, &publication()), Err(StoreError::Locked { .. })));
}

#[test]
fn a_lock_is_obeyed_however_it_is_written() {
    for value in ["\"true\"", "1", "\"yes\"", "[]"] {
        let (archive, _) = published();
        let text = String::from_utf8(archive.sidecar().to_json()).unwrap();
        let spoiled = text.replace("\"locked\": false", &format!("\"locked\": {value}"));
        assert_ne!(spoiled, text);
        for spoiled in [spoiled.as_str(), &spoiled[..spoiled.len() / 2]] {
            fs::write(archive.sidecar_path(), spoiled).unwrap();
            let before = archive.files();
            assert!(load_owned(&archive.store("next")).unwrap().locked, "{value}");
            assert_eq!(archive.files(), before, "{value}");
        }
    }
}

#[test]
fn a_sidecar_that_claims_more_than_its_footer_is_not_believed() {
    let (archive, _) = published();
    let mut claims = archive.sidecar();
    let covered = claims.coverage();
    claims.coverage.last_mut().unwrap().end = claims.coverage.last().unwrap().end.plus(3600);
    fs::write(archive.sidecar_path(), claims.to_json()).unwrap();
    assert_eq!(load_owned(&archive.store("next")).unwrap().published, covered);
}

#[test]
fn a_newer_format_is_left_alone() {
    let (archive, _) = published();
    let newer = Sidecar { format_version: Some(99), ..archive.sidecar() };
    fs::write(archive.sidecar_path(), newer.to_json()).unwrap();
    let before = archive.files();
    let store = archive.store("next");
    let stored = load_owned(&store).unwrap();
    assert!(stored.locked && stored.undecodable.is_some_and(|why| why.contains("newer version")));
    stage(&store, range(0, 10), &[]);
    let error = publish_with(&store, &publication()).unwrap_err();
    assert!(matches!(error, StoreError::Undecodable { .. }), "{error:?}");
    let mut after = archive.files();
    after.retain(|name, _| !name.starts_with(".titan/staging"));
    assert_eq!(after, before);
}
