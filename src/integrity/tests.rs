//! One damaged file or archive for every kind of finding, and whole ones that give none.

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch};

use super::testing::*;
use super::*;
use crate::domain::{
    Candle, Coverage, CoverageState, Finding, FindingKind as K, GapClass, Inspection, Kind,
    PartitionInspector, PartitionState, Record, Severity, SilenceFacts, Tick,
};
use crate::format::Footer;

const DAY: i64 = 86_400;
const TICKS: &str = "R_100/ticks/2026-03.parquet";

fn kinds<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<K> {
    let mut kinds: Vec<_> = findings.into_iter().map(|finding| finding.kind).collect();
    kinds.dedup();
    kinds
}

/// Damages the rows only: footer and hash still are those of the rows before.
fn damaged<R: Record>(mut sample: Sample<R>, damage: impl FnOnce(&mut Vec<R>)) -> Vec<K> {
    damage(&mut sample.rows);
    kinds(&sample.inspect().findings)
}

/// Changes the rows and everything that is said of them: only the rows themselves are wrong.
fn changed<R: Record>(mut sample: Sample<R>, change: impl FnOnce(&mut Vec<R>)) -> Vec<K> {
    change(&mut sample.rows);
    kinds(&sample.fitted().inspect().findings)
}

/// Makes the footer lie about good rows. Whoever has just written them finds the same lies.
fn lying(lie: impl FnOnce(&mut Footer)) -> Vec<K> {
    let mut sample = Sample::ticks();
    let written = sample.footer.rows_sha256.clone();
    lie(&mut sample.footer);
    let found = kinds(&sample.inspect().findings);
    assert_eq!(kinds(&sample.inspect_written(&written).findings), found);
    found
}

/// Publishes ticks whose sidecar says one thing wrong; answers what `verify` finds.
fn stale(change: impl FnOnce(&mut crate::format::Sidecar)) -> Vec<Finding> {
    let archive = Archive::new();
    let sample = Sample::ticks();
    sample.publish(&archive);
    let path = archive.layout.sidecar(&sample.key);
    let mut sidecar = crate::format::Sidecar::from_json(&fs::read(path).unwrap()).unwrap();
    change(&mut sidecar);
    archive.write_sidecar(&sample.key, &sidecar);
    archive.verify().all_findings().cloned().collect()
}

fn inspect_batch(batch: &RecordBatch) -> Inspection {
    let sample = Sample::ticks();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("partition");
    write_parquet(&path, batch, &sample.footer.to_pairs());
    PartitionChecker.inspect(&sample.key, &path, &SilenceFacts::default(), None)
}

fn inspect_bytes(bytes: &[u8]) -> Inspection {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("partition");
    fs::write(&path, bytes).unwrap();
    PartitionChecker.inspect(&Sample::ticks().key, &path, &SilenceFacts::default(), None)
}

fn whole_file() -> Vec<u8> {
    let sample = Sample::ticks();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("partition");
    write_parquet(&path, &sample.batch(), &sample.footer.to_pairs());
    fs::read(path).unwrap()
}

#[test]
fn good_files_give_no_finding() {
    let ticks = Sample::ticks().inspect();
    assert_eq!(ticks.findings, []);
    assert!(!ticks.gaps.is_empty(), "the holes of 4 to 8 s are listed, and nothing more");
    assert!(ticks.gaps.iter().all(|gap| gap.class == GapClass::WithinPage));
    assert_eq!(ticks.gaps_detected, 0);
    let candles = Sample::candles().inspect();
    assert_eq!(candles, Inspection::default());
    let none = Sample::<Tick>::new("R_100", Kind::Ticks, vec![], month().range()).inspect();
    let kinds: Vec<_> = none.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!((kinds, none.gaps.len()), (vec![K::FeedSilent], 1), "a month without a row");
}

#[test]
fn an_irregular_month_with_week_ends_gives_no_finding() {
    let start = month_start();
    let is_open = |secs: i64| (22 * 3600..5 * DAY + 21 * 3600).contains(&(secs % (7 * DAY)));
    // One second in twenty, at no interval that could be learned.
    let is_quoted =
        |secs: i64| secs.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 0xFFFF < 3277;
    let times = (0..31 * DAY).filter(|secs| is_open(*secs) && is_quoted(*secs));
    let rows = times.map(|s| tick(start + s, price(s))).collect();
    let sample = Sample::new("frxEURUSD", Kind::Ticks, rows, month().range());
    let seen = sample.inspect();
    assert_eq!(seen.findings, []);
    let long = seen.gaps.iter().filter(|gap| gap.end.since(gap.start) > 3600);
    assert!(long.clone().all(|gap| gap.class == GapClass::MarketClosed), "{:?}", seen.gaps);
    assert_eq!(long.count(), 5);
    assert!(seen.gaps.len() * 1000 < sample.rows.len(), "{} gaps", seen.gaps.len());
}

#[test]
fn good_archives_give_no_finding() {
    let archive = Archive::new();
    Sample::ticks().publish(&archive);
    Sample::candles().publish(&archive);
    archive.write(".titan/staging/whatever.seg", "ours");
    archive.write("notes.txt", "the user's");
    let report = archive.verify();
    assert_eq!(report.worst(), None, "{report:?}");
    let paths: Vec<_> = report.partitions.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["R_100/candles_60/2026-03.parquet", TICKS]);
    assert_eq!(report.n_rows, Sample::ticks().footer.record_count + 2880);
    assert!(report.partitions.iter().all(|p| p.state == Some(PartitionState::Open)));
}

#[test]
fn damaged_rows_break_order_and_hash() {
    use K::{DuplicateRow, OutsideCoverage, OutsideMonth, RecordCount, RowsHash, Unsorted};
    assert_eq!(damaged(Sample::ticks(), |rows| rows.swap(9, 10)), [Unsorted, RowsHash]);
    assert_eq!(changed(Sample::ticks(), |rows| rows.swap(8191, 8192)), [Unsorted]);
    let double = |rows: &mut Vec<Tick>| rows.insert(10, rows[10]);
    assert_eq!(damaged(Sample::ticks(), double), [DuplicateRow, RecordCount, RowsHash]);
    assert_eq!(changed(Sample::ticks(), |rows| rows.insert(8192, rows[8191])), [DuplicateRow]);
    let lose = |rows: &mut Vec<Tick>| rows.truncate(15_000);
    assert_eq!(damaged(Sample::ticks(), lose), [RecordCount, RowsHash]);
    let alter = |rows: &mut Vec<Tick>| rows[15_000].quote += 0.01;
    assert_eq!(damaged(Sample::ticks(), |rows| rows[15_000].quote = 1.23), [RowsHash]);
    assert_eq!(changed(Sample::ticks(), |rows| rows[15_000].quote = 1.23), []);
    assert!(damaged(Sample::ticks(), alter).contains(&RowsHash));
    let next_month = month().range().end().secs();
    let append = |rows: &mut Vec<Tick>| rows.push(tick(next_month, 1.0));
    assert_eq!(changed(Sample::ticks(), append), [OutsideMonth, OutsideCoverage]);
    let prepend = |rows: &mut Vec<Tick>| rows.insert(0, tick(month_start() - 2, 1.0));
    assert_eq!(changed(Sample::ticks(), prepend), [OutsideMonth, OutsideCoverage]);
    let beyond = |rows: &mut Vec<Tick>| rows.push(tick(ticks_range().end().secs(), 1.0));
    assert_eq!(changed(Sample::ticks(), beyond), [OutsideCoverage]);
}

#[test]
fn a_hash_names_the_days_that_fail() {
    let mut sample = Sample::ticks();
    sample.rows.last_mut().unwrap().quote = 1.23;
    let subjects: Vec<_> = sample.inspect().findings.into_iter().map(|f| f.subject).collect();
    assert_eq!(subjects, ["R_100 ticks 2026-03", "R_100 ticks 2026-03 on 2026-03-02"]);
    let written = sample.inspect_written(&sample.footer.rows_sha256);
    let subjects: Vec<_> = written.findings.into_iter().map(|f| f.subject).collect();
    assert_eq!(subjects, ["R_100 ticks 2026-03 on 2026-03-02"]);
}

#[test]
fn bad_prices_are_found() {
    let priced = |price| changed(Sample::ticks(), |rows| rows[12_000].quote = price);
    assert_eq!(priced(f64::NAN), [K::BadPrice]);
    assert_eq!(priced(f64::INFINITY), [K::BadPrice]);
    assert_eq!(priced(-1.25), [K::BadPrice]);
    assert_eq!(priced(0.0), [K::BadPrice]);
    assert_eq!(priced(1.255), [K::OffGrid]);
    assert_eq!(priced(0.1 + 0.2), [K::OffGrid]);
    assert_eq!(priced(0.30), []);
    assert_eq!(priced(1e300), []);
}

#[test]
fn a_price_grid_is_judged_only_where_it_is_known() {
    let mut sample = Sample::ticks();
    sample.rows[5].quote = 1.000_01;
    let mut sample = sample.fitted();
    sample.footer.pip_size = None;
    assert_eq!(sample.inspect().findings, []);
}

/// The source once listed a series with two decimals whose older rows have three: each of them was
/// an error, and a repair took them all out.
#[test]
fn decimals_are_a_fact_of_each_day() {
    let mut sample = Sample::ticks();
    let turn = month_start() + DAY;
    for row in sample.rows.iter_mut().filter(|row| row.epoch.secs() < turn) {
        row.quote = (row.quote * 1000.0 + 1.0).round() / 1000.0;
    }
    let finer = sample.fitted();
    assert_eq!(finer.inspect().findings, []);
    let mut odd = finer;
    odd.rows[7].quote = 1_000.000_1;
    odd.rows.last_mut().unwrap().quote = 1000.001;
    let findings = odd.fitted().inspect().findings;
    assert_eq!((kinds(&findings), findings.len()), (vec![K::OffGrid], 2));
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:?}");
}

/// A row whose day hashes to what was promised is the answer, however it looks.
#[test]
fn what_only_looks_wrong_is_no_error() {
    let mut sample = Sample::candles();
    sample.rows[10].high = 1.0;
    sample.rows[20].epoch = sample.rows[20].epoch.plus(1);
    sample.rows[30].low += 0.000_1;
    let findings = sample.fitted().inspect().findings;
    assert_eq!(kinds(&findings), [K::Misaligned, K::OffGrid, K::CandleShape]);
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:?}");
}

#[test]
fn bad_candles_are_found() {
    let with = |change: fn(&mut Candle)| changed(Sample::candles(), |rows| change(&mut rows[100]));
    assert_eq!(with(|c| c.epoch = c.epoch.plus(1)), [K::Misaligned]);
    assert_eq!(with(|c| c.high = 1.0), [K::CandleShape]);
    assert_eq!(with(|c| c.open = 9999.0), [K::CandleShape]);
    assert_eq!(with(|c| c.close = 1.0), [K::CandleShape]);
    assert_eq!(with(|c| c.high = f64::NAN), [K::BadPrice]);
    assert_eq!(with(|c| c.low = -1.0), [K::BadPrice]);
    assert_eq!(with(|c| c.high += 0.001), [K::OffGrid]);
}

#[test]
fn a_flood_of_faults_makes_few_findings() {
    let mut sample = Sample::ticks();
    for row in &mut sample.rows {
        row.quote = -1.0;
    }
    let findings = sample.fitted().inspect().findings;
    assert_eq!(findings.len(), 4);
    assert!(findings[3].found.starts_with("17992 times in all"), "{}", findings[3].found);
}

#[test]
fn rows_in_no_order_are_not_hashed_day_by_day() {
    let mut sample = Sample::ticks();
    sample.rows.reverse();
    let findings = sample.inspect().findings;
    assert_eq!(kinds(&findings), [K::Unsorted, K::RowsHash]);
    assert!(findings.iter().any(|finding| finding.found == "rows in no order"));
}

#[test]
fn a_footer_that_lies_is_found() {
    use K::{FooterMismatch, OutsideCoverage, RecordCount, RowsHash};
    assert_eq!(lying(|footer| footer.record_count += 1), [RecordCount]);
    assert_eq!(lying(|footer| footer.rows_sha256 = "ab".into()), [RowsHash]);
    assert_eq!(lying(|footer| footer.days[1].rows_sha256 = "ab".into()), [RowsHash]);
    assert_eq!(lying(|footer| footer.days.truncate(1)), [RowsHash]);
    assert_eq!(lying(|footer| footer.days.reverse()), [RowsHash]);
    assert_eq!(lying(|footer| footer.pip_size = Some(99)), [FooterMismatch]);
    // Of decimals the rows of a day know more than whoever wrote the footer.
    assert_eq!(lying(|footer| footer.pip_size = Some(1)), []);
    let rename = |footer: &mut Footer| footer.key.series.symbol = "R_50".parse().unwrap();
    assert_eq!(lying(rename), [FooterMismatch]);
    let start = month_start();
    let overclaim = |footer: &mut Footer| {
        footer.coverage.insert(range(start - 5, start), CoverageState::Answered);
    };
    assert_eq!(lying(overclaim), [FooterMismatch]);
    let underclaim = |footer: &mut Footer| {
        footer.coverage = Coverage::new();
        footer.coverage.insert(range(start, start + DAY), CoverageState::Answered);
        footer.coverage.insert(range(start + DAY, start + 2 * DAY), CoverageState::Failed);
    };
    assert_eq!(lying(underclaim), [OutsideCoverage]);
}

#[test]
fn a_footer_in_another_form_is_found() {
    let sample = Sample::ticks();
    let with = |name: &str, change: &dyn Fn(&str) -> String| {
        let mut pairs = sample.footer.to_pairs();
        for (key, value) in &mut pairs {
            if key.ends_with(name) {
                *value = change(value);
            }
        }
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("partition");
        write_parquet(&path, &sample.batch(), &pairs);
        kinds(
            &PartitionChecker.inspect(&sample.key, &path, &SilenceFacts::default(), None).findings,
        )
    };
    assert_eq!(with("coverage", &str::to_owned), []);
    // The same seconds cut in two ranges are not what equal knowledge always gives.
    let (start, middle, end) = (month_start(), month_start() + 100, month_start() + 2 * DAY);
    let range = |a, b| format!(r#"{{"start":{a},"end":{b},"state":"answered"}}"#);
    let cut = format!("[{},{}]", range(start, middle), range(middle, end));
    assert_eq!(with("coverage", &|_| cut.clone()), [K::FooterMismatch]);
    assert_eq!(with("coverage", &|_| "garbage".into()), [K::FooterMismatch]);
    assert_eq!(with("coverage", &|_| " ".repeat(2 << 20)), [K::FooterMismatch]);
    assert_eq!(with("record_count", &|n| format!("+{n}")), [K::FooterMismatch]);
    assert_eq!(with("format_version", &|_| "2".into()), [K::Undecodable]);
}

#[test]
fn a_file_without_our_footer_cannot_have_just_been_written() {
    let sample = Sample::ticks();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("partition");
    write_parquet(&path, &sample.batch(), &[]);
    let seen = PartitionChecker.inspect(&sample.key, &path, &SilenceFacts::default(), None);
    assert_eq!(kinds(&seen.findings), [K::FooterMismatch]);
}

#[test]
fn wrong_columns_are_found() {
    let sample = Sample::ticks();
    let columns = columns(&sample.rows);
    let (epochs, quotes) = (columns[0].clone(), columns[1].clone());
    let n = sample.rows.len();
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1; n]));
    let single: ArrayRef = Arc::new(Float32Array::from(vec![1.0; n]));
    let with = |columns| kinds(&inspect_batch(&batch_of(columns)).findings);
    assert_eq!(with(vec![("epoch", epochs.clone()), ("quote", quotes.clone())]), []);
    assert_eq!(with(vec![("epoch", narrow), ("quote", quotes.clone())]), [K::Schema]);
    assert_eq!(with(vec![("epoch", epochs.clone()), ("quote", single)]), [K::Schema]);
    assert_eq!(with(vec![("epoch", epochs.clone())]), [K::Schema]);
    assert_eq!(with(vec![("quote", quotes.clone()), ("epoch", epochs.clone())]), [K::Schema]);
    let surplus = vec![("epoch", epochs.clone()), ("quote", quotes.clone()), ("x", quotes.clone())];
    assert_eq!(with(surplus), [K::Schema]);
    let mut nulls: Vec<Option<i64>> =
        sample.rows.iter().map(|row| Some(row.epoch.secs())).collect();
    nulls[5] = None;
    let nulls: ArrayRef = Arc::new(Int64Array::from(nulls));
    assert_eq!(with(vec![("epoch", nulls), ("quote", quotes)]), [K::Schema]);
}

#[test]
fn files_that_are_no_parquet_are_unreadable() {
    let file = whole_file();
    assert_eq!(kinds(&inspect_bytes(&file).findings), []);
    for bytes in
        [&b""[..], b"PAR1", b"PAR1PAR1", b"garbage garbage garbage", &file[..file.len() / 2]]
    {
        let seen = inspect_bytes(bytes);
        assert_eq!(kinds(&seen.findings), [K::Unreadable], "{} bytes", bytes.len());
        assert_eq!(seen.gaps, []);
    }
    let nowhere = std::path::Path::new("/nowhere/at/all");
    let key = Sample::ticks().key;
    let seen = PartitionChecker.inspect(&key, nowhere, &SilenceFacts::default(), None);
    assert_eq!(kinds(&seen.findings), [K::Unreadable]);
    let seen =
        PartitionChecker.inspect(&key, std::path::Path::new("."), &SilenceFacts::default(), None);
    assert_eq!(kinds(&seen.findings), [K::Unreadable]);
}

#[test]
fn any_flipped_byte_is_found_or_harmless() {
    let file = whole_file();
    let truth = inspect_bytes(&file);
    let mut n_found = 0;
    for step in 0..150 {
        let mut bytes = file.clone();
        let at = (step * 9973 + file.len() - 1 - (step % 40) * (step % 40)) % file.len();
        bytes[at] ^= 0x55;
        let seen = inspect_bytes(&bytes);
        // Bytes nobody reads (statistics, the name of the writer) change nothing that is seen.
        assert!(!seen.findings.is_empty() || seen == truth, "byte {at}: {seen:?}");
        n_found += u32::from(!seen.findings.is_empty());
    }
    assert!(n_found > 100, "{n_found}");
}

#[test]
fn sidecars_that_disagree_are_found() {
    use K::{CoverageMissing, FileHash, IllegalState, Locked, RecordCount, SidecarMismatch};
    let found = |change: fn(&mut crate::format::Sidecar)| kinds(&stale(change));
    assert_eq!(found(|_| {}), []);
    assert_eq!(found(|s| s.record_count += 1), [RecordCount]);
    assert_eq!(found(|s| s.sha256 = Some("ab".into())), [FileHash]);
    assert_eq!(found(|s| s.sha256 = None), [SidecarMismatch]);
    assert_eq!(found(|s| s.file_size = None), [SidecarMismatch]);
    assert_eq!(found(|s| s.locked = true), [Locked]);
    assert_eq!(found(|s| s.file_size = Some(1)), [SidecarMismatch]);
    assert_eq!(found(|s| s.start_epoch += 1), [SidecarMismatch]);
    assert_eq!(found(|s| s.end_epoch += 1), [SidecarMismatch]);
    assert_eq!(found(|s| s.gaps_detected += 1), [SidecarMismatch]);
    assert_eq!(found(|s| s.symbol = "R_50".parse().unwrap()), [SidecarMismatch]);
    assert_eq!(found(|s| s.data_type = "candles".into()), [SidecarMismatch]);
    assert_eq!(found(|s| s.granularity = Some(60)), [SidecarMismatch]);
    assert_eq!(found(|s| s.schema_version = "2".into()), [SidecarMismatch]);
    assert_eq!(found(|s| s.format_version = Some(2)), [K::Undecodable]);
    assert_eq!(found(|s| s.format_version = None), [SidecarMismatch]);
    assert_eq!(found(|s| s.month = Some("2026-04".into())), [SidecarMismatch]);
    assert_eq!(found(|s| s.pip_size = None), [SidecarMismatch]);
    assert_eq!(found(|s| s.rows_sha256 = None), [SidecarMismatch]);
    assert_eq!(found(|s| s.days.truncate(1)), [SidecarMismatch]);
    assert_eq!(found(|s| s.coverage.clear()), [SidecarMismatch]);
    assert_eq!(found(|s| s.coverage[0].end = month().range().end()), [SidecarMismatch]);
    assert_eq!(found(|s| s.state = None), [IllegalState]);
    assert_eq!(found(|s| s.state = Some(PartitionState::Sealed)), [IllegalState]);
    assert_eq!(found(|s| s.state = Some(PartitionState::Settling)), [IllegalState]);
    assert_eq!(found(|s| s.created_at = Some("2026-05-01T00:00:00Z".into())), [IllegalState]);
    let failed = |s: &mut crate::format::Sidecar| s.coverage[0].state = CoverageState::Failed;
    assert_eq!(found(failed), [SidecarMismatch, CoverageMissing]);
    let backward = |s: &mut crate::format::Sidecar| {
        let (start, end) = (month().range().end(), month().range().start());
        let class = GapClass::WithinPage;
        s.gaps.push(crate::domain::Gap {
            start,
            end,
            missing_estimate: 0,
            class,
            asked_first: None,
            asked_last: None,
        });
    };
    assert_eq!(found(backward), [SidecarMismatch]);
}

#[test]
fn sealed_needs_every_second_settled() {
    let sealed = |end: i64, state: CoverageState| {
        let archive = Archive::new();
        let mut coverage = Coverage::new();
        coverage.insert(range(month_start(), month_start() + 2 * DAY), CoverageState::Answered);
        coverage.insert(range(month_start() + 2 * DAY, end), state);
        let mut sample = Sample::ticks().with_coverage(coverage);
        sample.sidecar.state = Some(PartitionState::Sealed);
        sample.sidecar.created_at = Some("2026-04-03T00:00:00Z".into());
        sample.publish(&archive);
        let mut kinds = kinds(archive.verify().all_findings());
        kinds.retain(|kind| *kind != K::FeedSilent);
        kinds
    };
    let end = month().range().end().secs();
    assert_eq!(sealed(end, CoverageState::Answered), []);
    assert_eq!(sealed(end, CoverageState::NotOffered), []);
    assert_eq!(sealed(end - 1, CoverageState::Answered), [K::IllegalState]);
    assert_eq!(sealed(end, CoverageState::Failed), [K::IllegalState, K::CoverageMissing]);
}

#[test]
fn a_hole_between_answers_is_told() {
    let archive = Archive::new();
    let mut coverage = Coverage::new();
    coverage.insert(range(month_start(), month_start() + 2 * DAY), CoverageState::Answered);
    coverage
        .insert(range(month_start() + 3 * DAY, month_start() + 4 * DAY), CoverageState::Answered);
    Sample::ticks().with_coverage(coverage).publish(&archive);
    let report = archive.verify();
    assert_eq!(kinds(report.all_findings()), [K::CoverageMissing]);
    assert_eq!(report.worst(), Some(Severity::Info));
}

#[test]
fn what_is_missing_or_strange_in_a_folder_is_found() {
    let archive = Archive::new();
    let sample = Sample::ticks();
    sample.publish(&archive);
    let findings = |archive: &Archive| {
        let report = archive.verify();
        let text = |f: &Finding| format!("{:?} {} {}", f.severity, f.kind, f.subject);
        report.all_findings().map(text).collect::<Vec<_>>()
    };
    fs::remove_file(archive.layout.sidecar(&sample.key)).unwrap();
    assert_eq!(findings(&archive), [format!("Error sidecar_missing {TICKS}")]);
    archive.write("R_100/ticks/2026-03.metadata.json", "{ not json");
    let sidecar = "R_100/ticks/2026-03.metadata.json";
    assert_eq!(findings(&archive), [format!("Error sidecar_mismatch {sidecar}")]);
    fs::remove_file(archive.layout.parquet(&sample.key)).unwrap();
    assert_eq!(findings(&archive), [format!("Error sidecar_mismatch {sidecar}")]);
    fs::remove_file(archive.layout.sidecar(&sample.key)).unwrap();
    archive.write("R_100/ticks/2026-04.tmp.parquet", "");
    archive.write("R_100/ticks/left\u{1b}over", "");
    archive.write("R_100/candles_61/2026-04.parquet", "");
    let expected = [
        "Info stranger R_100/candles_61",
        "Warning stranger R_100/ticks/2026-04.tmp.parquet",
        "Info stranger R_100/ticks/left\\u{1b}over",
    ];
    assert_eq!(findings(&archive), expected);
    let report = verify(&archive.root().join("nowhere"), &VerifyOptions::default());
    assert_eq!(kinds(&report.findings), [K::Unreadable]);
}

#[test]
fn a_file_under_another_name_is_found() {
    let archive = Archive::new();
    let sample = Sample::ticks();
    sample.publish(&archive);
    for suffix in ["parquet", "metadata.json"] {
        let from = archive.root().join(format!("R_100/ticks/2026-03.{suffix}"));
        let bytes = fs::read(from).unwrap();
        archive.write(&format!("R_50/ticks/2026-03.{suffix}"), &bytes);
        archive.write(&format!("R_100/ticks/2026-02.{suffix}"), &bytes);
    }
    let report = archive.verify();
    let found = |path: &str| {
        let partition = report.partitions.iter().find(|p| p.path == path).unwrap();
        let mut kinds = kinds(&partition.findings);
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    assert_eq!(found(TICKS), []);
    assert_eq!(found("R_50/ticks/2026-03.parquet"), [K::SidecarMismatch, K::FooterMismatch]);
    let february = found("R_100/ticks/2026-02.parquet");
    assert!(february.contains(&K::OutsideMonth) && february.contains(&K::FooterMismatch));
    let only = VerifyOptions { symbols: vec!["R_50".parse().unwrap()], ..VerifyOptions::default() };
    assert_eq!(verify(archive.root(), &only).partitions.len(), 1);
}

/// A month of the Python tool: no footer, a `volume`, columns in any order and nullable.
fn foreign(archive: &Archive, epochs: &[i64]) {
    let prices = |x: f64| Arc::new(Float64Array::from(vec![x; epochs.len()])) as ArrayRef;
    let batch = batch_of(vec![
        ("close", prices(1.0)),
        ("epoch", Arc::new(Int64Array::from(epochs.to_vec()))),
        ("open", prices(1.0)),
        ("high", prices(2.0)),
        ("low", prices(0.5)),
        ("volume", prices(0.0)),
    ]);
    let path = archive.write("R_100/candles_60/2026-03.parquet", "");
    write_parquet(&path, &batch, &[]);
    let (first, last, n) = (epochs[0], epochs[epochs.len() - 1], epochs.len());
    let sidecar = format!(
        r#"{{"schema_version": "1.0.0", "symbol": "R_100", "data_type": "candles",
        "granularity": 60, "start_epoch": {first}, "end_epoch": {last}, "record_count": {n},
        "gaps_detected": 7, "duplicates_removed": 0, "sha256": null, "locked": false}}"#
    );
    archive.write("R_100/candles_60/2026-03.metadata.json", sidecar);
}

#[test]
fn files_of_another_tool_are_inherited_and_their_rows_checked() {
    let start = month_start();
    let found = |epochs: &[i64]| {
        let archive = Archive::new();
        foreign(&archive, epochs);
        let report = archive.verify();
        assert!(report.partitions[0].inherited);
        let mut kinds = kinds(report.all_findings());
        kinds.sort_unstable();
        (report.worst().unwrap(), kinds)
    };
    let good = [start, start + 60, start + 120, start + 600];
    assert_eq!(found(&good), (Severity::Warning, vec![K::ForeignRows]));
    let swapped = [start, start + 120, start + 60, start + 600];
    assert_eq!(found(&swapped), (Severity::Error, vec![K::Unsorted, K::ForeignRows]));
    let doubled = [start, start + 60, start + 60, start + 600];
    assert_eq!(found(&doubled), (Severity::Error, vec![K::DuplicateRow, K::ForeignRows]));
    let end = month().range().end().secs();
    let next_month = [start, start + 60, end];
    assert_eq!(found(&next_month), (Severity::Error, vec![K::OutsideMonth, K::ForeignRows]));
}

#[test]
fn an_unexplained_gap_is_a_warning_that_the_sidecar_remembers() {
    let start = month_start();
    let mut sample = Sample::ticks();
    let hole = range(start + 70_001, start + 70_100);
    sample.rows.retain(|row| !hole.contains(row.epoch));
    let mut sample = sample.fitted();
    let silence = SilenceFacts { doubted: hole.into(), ..SilenceFacts::default() };
    let seen = sample.inspect_with(&silence);
    assert_eq!(kinds(&seen.findings), [K::UnexplainedGap]);
    assert_eq!(seen.findings[0].severity, Severity::Warning);
    assert_eq!(seen.gaps_detected, 1);
    let archive = Archive::new();
    sample.sidecar.gaps = seen.gaps.clone();
    sample.publish(&archive);
    let report = archive.verify();
    assert_eq!(kinds(report.all_findings()), [K::UnexplainedGap]);
    assert_eq!(report.partitions[0].gaps, seen.gaps);
}

#[test]
fn a_report_is_the_same_on_any_number_of_threads_and_becomes_json() {
    let archive = Archive::new();
    for symbol in ["R_10", "R_25", "R_50", "R_75", "R_100"] {
        let mut sample = Sample::candles();
        sample.key.series.symbol = symbol.parse().unwrap();
        sample.rows[7].high = f64::NAN;
        sample.fitted().publish(&archive);
    }
    let on =
        |threads| verify(archive.root(), &VerifyOptions { threads, ..VerifyOptions::default() });
    assert_eq!(on(1), on(3));
    assert_eq!(on(0).n_errors, 5);
    let json = serde_json::to_value(on(1)).unwrap();
    assert_eq!(json["partitions"][0]["path"], "R_10/candles_60/2026-03.parquet");
    assert_eq!(json["partitions"][0]["findings"][0]["kind"], "bad_price");
}

#[test]
fn every_error_says_what_to_do() {
    let findings = stale(|sidecar| {
        sidecar.record_count += 1;
        sidecar.state = None;
        sidecar.sha256 = Some("\u{1b}[2J".into());
    });
    assert_eq!(findings.len(), 3);
    for finding in findings {
        assert!(finding.advice.is_some(), "{finding}");
        assert!(!finding.to_string().contains('\u{1b}'), "{finding}");
    }
}

/// How fast one core inspects, hashing included: `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn measures_the_rows_inspected_in_a_second() {
    let start = month_start();
    let n_rows = 2_600_000;
    let rows = (0..n_rows).map(|i| tick(start + i, price(i * i % 1009))).collect();
    let sample = Sample::new("1HZ100V", Kind::Ticks, rows, range(start, start + n_rows));
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("partition");
    write_parquet(&path, &sample.batch(), &sample.footer.to_pairs());
    for silence in [
        SilenceFacts::default(),
        SilenceFacts { interval_secs: Some(1), ..SilenceFacts::default() },
    ] {
        let before = std::time::Instant::now();
        let seen = PartitionChecker.inspect(&sample.key, &path, &silence, None);
        let secs = before.elapsed().as_secs_f64();
        assert_eq!(seen.findings, []);
        println!("{:.1} million rows a second", n_rows as f64 / secs / 1e6);
    }
}
