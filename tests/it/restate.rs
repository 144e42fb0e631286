//! The source changes its mind, or a file is damaged: what stays, what is asked again, what is said.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::process::{NOW, Ran, Sandbox, Server, n_pages, n_segments};
use crate::support::{Rows, assert_same_rows, rows_of};

/// A sealed February and a day of March.
const RANGE: [&str; 2] = ["2026-02-01", "2026-03-02"];
const FEBRUARY: &str = "data/R_100/candles_60/2026-02.parquet";

fn download(sandbox: &Sandbox, server: &Server, more: &[&str]) -> Ran {
    sandbox.run(&arguments(server, RANGE, more))
}

fn arguments<'a>(server: &'a Server, range: [&'a str; 2], more: &[&'a str]) -> Vec<&'a str> {
    let what = ["--symbol", "R_100", "--kind", "candles", "--row-group-rows", "5000"];
    let when = ["--start-date", range[0], "--end-date", range[1]];
    let place = ["--endpoint", &server.url, "--output", "data", "--rate", "unlimited"];
    [what.as_slice(), &when, &place, more].concat()
}

/// What a server with this seed holds to be true of February.
fn february(sandbox: &Sandbox, seed: &str) -> Rows {
    let dump = ["--granularity", "60", "--dump", "R_100", "2026-02-01", "2026-03-01"];
    let options = ["simulate", "--now", NOW, "--seed", seed];
    let csv = sandbox.run(&[options.as_slice(), &dump].concat()).expect(0).stdout;
    let row = |line: &str| {
        let mut fields = line.split(',');
        let epoch = fields.next().unwrap().parse().unwrap();
        (epoch, fields.map(|text| text.parse::<f64>().unwrap().to_string()).collect())
    };
    csv.lines().skip(1).map(row).collect()
}

fn sidecar_path(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("data/R_100/candles_60/2026-02.metadata.json")
}

fn sidecar(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&fs::read(sidecar_path(sandbox)).unwrap()).unwrap()
}

/// How many findings of a kind the sidecar holds, by severity.
fn n_findings(sandbox: &Sandbox, kind: &str, severity: &str) -> usize {
    let sidecar = sidecar(sandbox);
    let findings = sidecar["findings"].as_array().unwrap().iter();
    findings.filter(|f| f["kind"] == kind && f["severity"] == severity).count()
}

#[test]
fn a_source_that_changed_its_mind_is_refused_until_it_is_accepted() {
    let sandbox = Sandbox::new();
    let honest = Server::start(&[]);
    download(&sandbox, &honest, &[]).expect(0);
    let old = fs::read(sandbox.path(FEBRUARY)).unwrap();
    assert_eq!(sidecar(&sandbox)["state"], "sealed");

    // Asked again by the same source: nothing changes.
    let before = sandbox.content();
    let ran = download(&sandbox, &honest, &["--no-resume", "--dry-run"]).expect(0);
    assert!(ran.stdout.contains("compare 28d 00h"), "{}", ran.stdout);
    assert!(sandbox.content() == before);
    download(&sandbox, &honest, &["--no-resume"]).expect(0);
    let n_asked = n_pages(&honest.end());
    assert!(n_asked >= 2 * 42, "{n_asked} pages for 41,760 bars, twice");
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == old);

    // Other prices for every bar: refused, and said.
    let other = Server::start(&["--seed", "2"]);
    download(&sandbox, &other, &[]).expect(0);
    let ran = download(&sandbox, &other, &["--no-resume"]).expect(1);
    assert!(ran.stdout.contains("restatement") || ran.stderr.contains("restatement"), "{ran:?}");
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == old);
    assert!(n_findings(&sandbox, "restatement", "error") > 0);
    let refused = fs::read(sidecar_path(&sandbox)).unwrap();
    other.end();

    // Accepted for February by its name, and for no other month.
    let march = fs::read(sandbox.path("data/R_100/candles_60/2026-03.parquet")).unwrap();
    let other = Server::start(&["--seed", "2"]);
    let wish = ["--accept-restatement", "R_100/candles_60/2026-02"];
    download(&sandbox, &other, &wish).expect(0);
    assert_same_rows(&rows_of(&sandbox.path(FEBRUARY)), &february(&sandbox, "2"));
    assert!(fs::read(sandbox.path("data/R_100/candles_60/2026-03.parquet")).unwrap() == march);
    assert_eq!(n_findings(&sandbox, "restatement", "error"), 0);
    assert_eq!(n_findings(&sandbox, "restatement", "info"), 1);
    let kept = sandbox.path("data/.titan/quarantine/R_100/candles_60/2026-02.1.parquet.set-aside");
    assert!(fs::read(&kept).unwrap() == old);
    assert!(fs::read(kept.with_file_name("2026-02.1.metadata.json.set-aside")).unwrap() == refused);
    sandbox.run(&["verify", "data"]).expect(0);

    // Neither the same wish nor a night without it asks for anything more.
    let n_before = n_pages(&other.end());
    assert!(n_before >= 41);
    let other = Server::start(&["--seed", "2"]);
    download(&sandbox, &other, &wish).expect(0);
    download(&sandbox, &other, &[]).expect(0);
    assert_eq!(n_pages(&other.end()), 0);
}

#[test]
fn a_wish_that_cannot_be_fulfilled_is_refused() {
    let sandbox = Sandbox::new();
    let server = Server::start(&[]);
    let check = |wish: &str, said: &str| {
        let before = sandbox.content();
        let ran = download(&sandbox, &server, &["--accept-restatement", wish]).expect(2);
        assert!(ran.stderr.contains(said) && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert!(sandbox.content() == before, "{wish}");
    };
    check("R_100/candles_60/2026-13", "cannot read `--accept-restatement`");
    check("R_100/ticks/2026-02", "is of a series that is not downloaded");
    check("R_100/candles_60/2026-02,R_100/candles_60/2026-04", "has to be in the range asked for");
    download(&sandbox, &server, &[]).expect(0);
    let mut locked = sidecar(&sandbox);
    locked["locked"] = json!(true);
    fs::write(sidecar_path(&sandbox), locked.to_string()).unwrap();
    let ran = download(&sandbox, &server, &["--accept-restatement", "R_100/candles_60/2026-02"]);
    assert!(ran.expect(2).stderr.contains("its sidecar says `locked`"));
    // Asking everything again leaves out what is locked.
    let n_before = fs::read(sandbox.path(FEBRUARY)).unwrap();
    download(&sandbox, &server, &["--no-resume"]).expect(0);
    assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == n_before);
}

/// Spoils a byte so that the next run looks at it: the sidecar is lost too.
fn spoil(sandbox: &Sandbox, place: impl Fn(usize) -> usize) {
    let path = sandbox.path(FEBRUARY);
    let mut bytes = fs::read(&path).unwrap();
    let at = place(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    fs::remove_file(sidecar_path(sandbox)).unwrap();
}

#[test]
fn a_damaged_file_is_mended_in_the_same_run() {
    let sandbox = Sandbox::new();
    let server = Server::start(&[]);
    download(&sandbox, &server, &[]).expect(0);
    let whole = fs::read(sandbox.path(FEBRUARY)).unwrap();
    server.end();
    // Inside a row group; in the numbers at the end that say where everything is.
    for (place, most_pages) in [(100, 8), (whole.len() / 2, 12), (whole.len() - 5, 60)] {
        spoil(&sandbox, |_| place);
        let server = Server::start(&[]);
        let ran = download(&sandbox, &server, &["--json"]).expect(0).json();
        let n_asked = n_pages(&server.end());
        assert!(n_asked <= most_pages, "byte {place}: {n_asked} pages");
        assert!(fs::read(sandbox.path(FEBRUARY)).unwrap() == whole, "byte {place}");
        let findings = &ran["partitions"][0]["findings"];
        assert!(findings.to_string().contains("quarantine"), "{findings}");
        sandbox.run(&["verify", "data"]).expect(0);
    }
}

/// What is lost behind the wall is lost: it is said, night after night, and never "not offered".
#[test]
fn days_lost_behind_the_wall_are_named_and_the_others_stay() {
    let sandbox = Sandbox::new();
    let server = Server::start(&[]);
    download(&sandbox, &server, &[]).expect(0);
    server.end();
    spoil(&sandbox, |_| 100);
    // History begins at 2026-02-18 now.
    for night in 0..3 {
        let server = Server::start(&["--history-days", "20"]);
        let ran = download(&sandbox, &server, &["--json"]).expect(1).json();
        assert_eq!(ran["partitions"][0]["complete"], false, "night {night}");
        server.end();
        let rows = rows_of(&sandbox.path(FEBRUARY));
        let mut expected = february(&sandbox, "1");
        // Rows 0 to 4,999 are one row group, and reach into the fourth day.
        expected.retain(|epoch, _| *epoch >= 1_769_904_000 + 4 * 86_400);
        assert_same_rows(&rows, &expected);
        let coverage = sidecar(&sandbox)["coverage"].clone();
        assert_eq!(coverage[0]["state"], "failed", "night {night}: {coverage}");
        assert_eq!(coverage[0]["end"], 1_769_904_000 + 4 * 86_400, "{coverage}");
        assert_eq!(n_findings(&sandbox, "lost_behind_wall", "error"), 1, "night {night}");
    }
}

/// Nobody reads an open month before it is written anew: only then the damage is noticed, and the
/// same run asks again for what was lost, or says that it cannot be had any more.
#[test]
fn damage_noticed_while_publishing_is_mended_in_the_same_run() {
    const MARCH: &str = "data/R_100/candles_60/2026-03.parquet";
    let clean = Sandbox::new();
    let server = Server::start(&[]);
    clean.run(&arguments(&server, ["2026-03-01", "2026-03-08"], &[])).expect(0);
    for (history, code) in [("365", 0), ("5", 1)] {
        let sandbox = Sandbox::new();
        sandbox.run(&arguments(&server, ["2026-03-01", "2026-03-06"], &[])).expect(0);
        let mut bytes = fs::read(sandbox.path(MARCH)).unwrap();
        bytes[100] ^= 0x10;
        fs::write(sandbox.path(MARCH), bytes).unwrap();

        let server = Server::start(&["--history-days", history]);
        let grown = arguments(&server, ["2026-03-01", "2026-03-08"], &["--json"]);
        let json = sandbox.run(&grown).expect(code).json();
        let findings = json["partitions"][0]["findings"].to_string();
        assert!(findings.contains("quarantine"), "{findings}");
        assert_eq!(findings.contains("lost_behind_wall"), code == 1, "{findings}");
        let rows = rows_of(&sandbox.path(MARCH));
        let mut expected = rows_of(&clean.path(MARCH));
        if code == 0 {
            assert!(fs::read(sandbox.path(MARCH)).unwrap() == fs::read(clean.path(MARCH)).unwrap());
        } else {
            // The first row group reaches into the fourth day; the wall is past it.
            expected.retain(|epoch, _| *epoch >= 1_772_323_200 + 4 * 86_400);
        }
        assert_same_rows(&rows, &expected);
        if code == 0 {
            sandbox.run(&["verify", "data"]).expect(0);
        }
    }
}

/// The rows of a conflict are staged and never asked again: what was seen of it has to last.
#[test]
fn a_conflict_seen_before_a_run_was_stopped_is_told_after_it() {
    for signal in ["KILL", "INT"] {
        let sandbox = Sandbox::new();
        let faulty = Server::start(&["--fault", "conflicting_rows=1", "--fault", "hang=0.05"]);
        let small = ["--chunk-rows", "1000", "--concurrency", "1"];
        let mut run = sandbox.start(&arguments(&faulty, RANGE, &small));
        run.until("something is staged", || n_segments(&sandbox.path("data")) >= 3);
        run.signal(signal);
        run.end();
        let honest = Server::start(&[]);
        download(&sandbox, &honest, &[]).expect(1);
        assert!(n_findings(&sandbox, "conflicting_tick", "error") > 0, "{signal}");
    }
}

/// Half of a month would keep the old prices of the other half, and never ask for them again.
#[test]
fn newer_prices_are_accepted_for_whole_months_only() {
    let sandbox = Sandbox::new();
    let server = Server::start(&[]);
    let accept = ["--accept-restatement", "R_100/candles_60/2026-02"];
    let half = arguments(&server, ["2026-02-10", "2026-03-02"], &accept);
    let ran = sandbox.run(&half).expect(2);
    assert!(ran.stderr.contains("the whole month has to be in the range"), "{}", ran.stderr);
    assert!(!sandbox.path("data").exists());
}
