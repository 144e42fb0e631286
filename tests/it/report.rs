//! `report` with the real binary: what the page shows is what lies on disk, and nothing else.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::process::{Ran, Sandbox, Server};

/// Candles over three months, ticks over a week-end, from a source that stands still on 2026-03-10.
pub(crate) fn archive() -> Sandbox {
    let server = Server::start(&[]);
    let sandbox = Sandbox::new();
    let place = ["--endpoint", &server.url, "--output", "data", "--rate", "unlimited", "--quiet"];
    for line in [
        "--symbol R_100 --kind candles --start-date 2026-01-30 --end-date 2026-03-04",
        "--symbol frxEURUSD --kind ticks,candles --start-date 2026-03-05 --end-date 2026-03-10",
    ] {
        let what: Vec<_> = line.split_whitespace().collect();
        sandbox.run(&[what.as_slice(), &place].concat()).expect(0);
    }
    sandbox
}

fn report(sandbox: &Sandbox, options: &[&str]) -> Ran {
    sandbox.run(&[&["report", "--output", "data", "--html", "page.html"], options].concat())
}

pub(crate) fn page(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("page.html")).unwrap()
}

fn read_json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn rewrite(path: PathBuf, change: impl FnOnce(&mut Value)) {
    let mut value = read_json(path.clone());
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Name on the page, folder, and months.
const SERIES: [(&str, &str, &[&str]); 3] = [
    ("R_100 candles 60s", "R_100/candles_60", &["2026-01", "2026-02", "2026-03"]),
    ("frxEURUSD candles 60s", "frxEURUSD/candles_60", &["2026-03"]),
    ("frxEURUSD ticks", "frxEURUSD/ticks", &["2026-03"]),
];

/// The part of the page about one series.
fn section<'p>(page: &'p str, name: &str) -> &'p str {
    let is_about = |part: &&str| part.contains(&format!("-title\">{name}</h2>"));
    let part = page.split("<section class=\"series\"").find(is_about).expect(name);
    part.split("</section>").next().unwrap()
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| std::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(",")
}

fn n_days(month: &str) -> u32 {
    if month.ends_with("02") { 28 } else { 31 }
}

#[test]
fn every_day_of_every_series_is_there_with_its_rows() {
    let sandbox = archive();
    let before = sandbox.content();
    let ran = report(&sandbox, &[]).expect(0);
    assert!(ran.stdout.starts_with("wrote `page.html`, "), "{}", ran.stdout);
    assert!(ran.stdout.contains("3 series, 5 months, "), "{}", ran.stdout);
    let mut after = sandbox.content();
    assert!(after.remove(&sandbox.path("page.html")).is_some());
    assert!(after == before, "looking changes nothing");

    let page = page(&sandbox);
    assert_eq!(page.matches("<section class=\"series\"").count(), SERIES.len());
    assert!(!page.contains("id=\"invented\"") && !page.contains("id=\"problems\""));
    for (name, folder, months) in SERIES {
        let section = section(&page, name);
        for month in months {
            let sidecar = read_json(sandbox.path(&format!("data/{folder}/{month}.metadata.json")));
            let rows = sidecar["record_count"].as_u64().unwrap();
            assert!(section.contains(&format!(">{}</span>", thousands(rows))), "{name} {month}");
            for day in 1..=n_days(month) {
                let date = format!("{month}-{day:02}");
                let cell = section.split(&format!("title=\"{date}: ")).nth(1).expect(&date);
                let title = cell.split('"').next().unwrap();
                let days = sidecar["days"].as_array().unwrap();
                let said = days.iter().find(|of| of["date"] == date.as_str());
                let expected = said.map(|of| of["rows"].as_u64().unwrap());
                let shown = title.split_once(", ").map(|(_, rows)| rows.to_owned());
                let expected = expected.map(|rows| format!("{} rows", thousands(rows)));
                assert_eq!(shown, expected, "{name} {date}: {title}");
            }
        }
        assert_eq!(section.matches("<svg").count(), 4, "{name}");
    }
    let forex = section(&page, "frxEURUSD ticks");
    for part in ["2026-03-07: market closed\"", "2026-03-04: missing\"", "<th>market closed"] {
        assert!(forex.contains(part), "{part}");
    }
}

/// The page speaks to nobody: it has no address, loads nothing and runs nothing.
#[test]
fn the_page_stands_alone_and_is_well_formed() {
    let sandbox = archive();
    report(&sandbox, &["--quiet"]).expect(0);
    let page = page(&sandbox);
    let lower = page.to_lowercase();
    for part in
        ["http:", "https:", "://", "src=", "url(", "@import", "<script", "<link", "javascript"]
    {
        assert!(!lower.contains(part), "the page has `{part}`");
    }
    for href in page.split("href=\"").skip(1) {
        assert!(href.starts_with("#series-"), "{}", &href[..40]);
    }
    assert_well_formed(&page);
}

/// Every element is closed in its order, and every attribute has quotes.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect(piece);
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{piece}");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert_eq!(tag.matches("=\"").count() * 2, tag.matches('"').count(), "{tag}");
        if name != "meta" && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(page.matches("id=\"overview\"").count(), 1);
}

#[test]
fn what_others_wrote_stays_text() {
    let sandbox = archive();
    let hostile = "<script>alert(1)</script>\"><img onerror=x>\u{202e}";
    let sidecar = sandbox.path("data/R_100/candles_60/2026-02.metadata.json");
    rewrite(sidecar, |value| {
        let finding = json!({ "severity": "warning", "kind": "spike", "subject": hostile,
            "expected": hostile, "found": "x", "repair": hostile });
        value["findings"].as_array_mut().unwrap().push(finding);
    });
    rewrite(sandbox.path("data/.titan/last-run.json"), |value| {
        value["outcome"] = hostile.into();
        value["started_at"] = hostile.into();
        value["refusals"] = 1_234_567.into();
    });
    let ran = report(&sandbox, &["--json"]).expect(0);
    assert_eq!(
        (ran.json()["series"].as_u64(), ran.json()["problems"].clone()),
        (Some(3), json!([]))
    );
    let page = page(&sandbox);
    for part in ["<script", "<img", "\u{202e}"] {
        assert!(!page.contains(part), "{part:?}");
    }
    for part in ["&#60;script&#62;alert(1)", "\\u{202e}", ">1,234,567<", "1,234,567 refused"] {
        assert!(page.contains(part), "{part:?}");
    }
    assert_well_formed(&page);
}

#[test]
fn the_runs_are_those_of_the_archive() {
    let sandbox = archive();
    report(&sandbox, &[]).expect(0);
    let page = page(&sandbox);
    let runs = page.split("id=\"runs\"").nth(1).unwrap();
    let last = read_json(sandbox.path("data/.titan/last-run.json"));
    assert_eq!(last["history"].as_array().unwrap().len(), 1);
    for run in [&last, &last["history"][0]] {
        let started = run["started_at"].as_str().unwrap().replace('T', " ").replace('Z', "");
        let cell =
            |key: &str| format!("<td class=\"n\">{}</td>", thousands(run[key].as_u64().unwrap()));
        // Two runs may begin within one second.
        let of_run = |row: &&str| {
            row.contains(&started)
                && row.contains(&cell("requests"))
                && row.contains(&cell("rows_new"))
        };
        let row = runs.split("<tr>").find(of_run).expect(&started);
        assert!(row.contains("<td>success (0)</td>") || row.contains("(0)"), "{row}");
    }
}

#[test]
fn what_cannot_be_read_is_named_on_the_page() {
    let sandbox = archive();
    let parquet = sandbox.path("data/R_100/candles_60/2026-02.parquet");
    // Of the same size, so that only who reads it notices.
    fs::write(&parquet, vec![b'x'; fs::metadata(&parquet).unwrap().len() as usize]).unwrap();
    fs::write(sandbox.path("data/frxEURUSD/ticks/2026-03.metadata.json"), "{").unwrap();
    fs::write(sandbox.path("data/.titan/last-run.json"), "[]").unwrap();
    let ran = report(&sandbox, &[]).expect(1);
    let json = report(&sandbox, &["--json"]).expect(1).json();
    assert_eq!((&json["exit_code"], &json["path"]), (&json!(1), &json!("page.html")));
    let problems = json["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 3, "{problems:?}");
    let page = page(&sandbox);
    for (what, why) in [
        ("R_100 candles 60s 2026-02", "the Parquet file is unusable: it is no readable Parquet"),
        ("frxEURUSD ticks 2026-03", "cannot be relied on: its sidecar is unusable"),
        (".titan/last-run.json", "says nothing"),
    ] {
        assert!(
            ran.stdout.contains(&format!("{what}: {why}")) || ran.stdout.contains(why),
            "{}",
            ran.stdout
        );
        assert!(page.contains(&format!("<strong>{what}</strong>")) && page.contains(why), "{what}");
    }
    // The months beside it are drawn, and where there are none there is a sentence.
    assert_eq!(section(&page, "R_100 candles 60s").matches("<svg").count(), 4);
    assert!(section(&page, "frxEURUSD ticks").contains("No price can be drawn"));
    assert_well_formed(&page);
}

#[test]
fn only_an_earlier_page_is_replaced() {
    let sandbox = archive();
    report(&sandbox, &[]).expect(0);
    report(&sandbox, &[]).expect(0);
    let names = fs::read_dir(sandbox.path(".")).unwrap().flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.ends_with(".titan-tmp")), "{names:?}");

    fs::write(sandbox.path("mine.html"), "<!DOCTYPE html>\n<html lang=\"en\">mine").unwrap();
    fs::create_dir(sandbox.path("folder")).unwrap();
    let check = |file: &str, part: &str| {
        let before = sandbox.content();
        let ran = sandbox.run(&["report", "data", "--html", file]).expect(2);
        assert!(ran.stderr.contains(part) && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert!(sandbox.content() == before, "{file}");
    };
    check("mine.html", "a file that holds something else would be replaced");
    check("folder", "what is no ordinary file would be replaced");
    check("data/page.html", "inside the archive");
    check("data/R_100/candles_60/2026-02.parquet", "inside the archive");
    check("nowhere/page.html", "cannot write the page `nowhere/page.html`");
}

/// The clock is that of this machine, so both have to be made within the same second.
#[test]
fn the_same_archive_gives_the_same_page_wherever_it_goes() {
    let sandbox = archive();
    let is_same = |_| {
        report(&sandbox, &[]).expect(0);
        let printed = sandbox.run(&["report", "data", "--html", "-"]).expect(0).stdout;
        printed == page(&sandbox)
    };
    assert!((0..20).any(is_same));
}

#[test]
fn an_archive_of_nothing_has_no_page() {
    let sandbox = Sandbox::new();
    let ran = report(&sandbox, &[]).expect(2);
    assert!(ran.stderr.contains("cannot read the folder `data`"), "{}", ran.stderr);
    fs::create_dir(sandbox.path("data")).unwrap();
    let ran = report(&sandbox, &[]).expect(2);
    assert!(ran.stderr.contains("`data` holds no archive"), "{}", ran.stderr);
    fs::create_dir(sandbox.path("data/.titan")).unwrap();
    let ran = report(&sandbox, &[]).expect(1);
    assert!(
        ran.stderr.contains("`data` holds no series yet; no page is written"),
        "{}",
        ran.stderr
    );
    assert!(!sandbox.path("page.html").exists());
    let json = report(&sandbox, &["--json"]).expect(1).json();
    assert_eq!(json["exit_code"], 1);
    let ran = sandbox.run(&["report", "data"]).expect(2);
    assert!(ran.stderr.contains("--html <FILE>"), "{}", ran.stderr);
    let ran = sandbox.run(&["report", "data", "--html", "-", "--json"]).expect(2);
    assert!(ran.stderr.contains("would both print to stdout"), "{}", ran.stderr);
}

#[test]
fn invented_prices_are_called_so() {
    let sandbox = Sandbox::new();
    let what = ["--demo", "--symbol", "R_100", "--test", "--kind", "candles", "--output", "data"];
    sandbox.run(&what).expect(0);
    let json = report(&sandbox, &["--json"]).expect(0).json();
    assert_eq!(json["invented_prices"], true);
    let page = page(&sandbox);
    assert!(page.contains("<strong>Invented prices.</strong>"));
    assert!(page.contains("<title>Invented prices: data, "));
}
