//! `verify` names whatever is damaged, and nothing else.

mod mending;
mod site;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use titan_download::domain::{Finding, Granularity, Kind};
use titan_download::download::Window;
use titan_download::integrity::{Depth, Report, VerifyOptions, verify};

use self::site::{Site, TICKS};
use self::table::{Damage, OF_FILES, OF_ROWS, OF_WORDS};
use crate::support::*;

/// A clean archive: six hours on either side of the turn of a month, ticks and candles.
struct Clean {
    folder: tempfile::TempDir,
    /// The sidecar of the ticks when half of the younger month was there.
    stale: Vec<u8>,
}

impl Clean {
    async fn download() -> Self {
        let exchange = Exchange::open(quiet_config(epoch("2026-03-10T12:00:00Z"))).await;
        let folder = tempfile::tempdir().unwrap();
        let both =
            [series("R_100", Kind::Ticks), series("R_100", Kind::Candles(Granularity::MINUTE))];
        let mut stale = Vec::new();
        for end in ["2026-03-01T03:00:00Z", "2026-03-01T06:00:00Z"] {
            let window =
                Window::Range { start: epoch("2026-02-28T18:00:00Z"), end: Some(epoch(end)) };
            let setup = Setup::default();
            let summary = exchange.download(folder.path(), &setup, &both, window).await.unwrap();
            assert!(summary.is_complete(), "{summary:?}");
            if stale.is_empty() {
                let path = folder.path().join(format!("{TICKS}.metadata.json"));
                stale = fs::read(path).unwrap();
            }
        }
        Self { folder, stale }
    }

    fn damaged_by(&self, damage: &Damage) -> Site {
        let site = Site::copy(self.folder.path(), &self.stale);
        (damage.inflict)(&site);
        site
    }
}

fn checked(root: &Path, depth: Depth) -> Report {
    verify(root, &VerifyOptions { depth, ..VerifyOptions::default() })
}

/// `severity kind place`: the place without the second or the day in it.
fn told(finding: &Finding) -> String {
    let place = finding.subject.split(" at ").next().unwrap_or_default();
    let place = place.split(" on ").next().unwrap_or_default();
    let severity = format!("{:?}", finding.severity).to_lowercase();
    format!("{severity} {} {place}", finding.kind)
}

fn check(clean: &Clean, damages: impl IntoIterator<Item = &'static Damage>) {
    let mut wrong = String::new();
    for damage in damages {
        let site = clean.damaged_by(damage);
        let report = checked(site.root(), Depth::Deep);
        let found: BTreeSet<_> = report.all_findings().map(told).collect();
        let expected: BTreeSet<_> = damage.found.iter().map(|text| (*text).to_owned()).collect();
        if found != expected {
            let details: Vec<_> = report.all_findings().map(ToString::to_string).collect();
            wrong += &format!("{}:\nfound {found:#?}\n{details:#?}\n", damage.name);
        }
        for finding in report.all_findings() {
            let is_error = finding.severity == titan_download::domain::Severity::Error;
            assert!(!is_error || finding.advice.is_some(), "{}: {finding}", damage.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_damaged_is_named_and_nothing_else() {
    let clean = Clean::download().await;
    for depth in [Depth::Fast, Depth::Full, Depth::Deep] {
        let report = checked(clean.folder.path(), depth);
        assert_eq!(report.all_findings().next(), None, "{depth:?}");
        assert_eq!((report.partitions.len(), report.n_rows), (4, 22_318), "{depth:?}");
    }
    check(&clean, [OF_FILES, OF_WORDS, OF_ROWS].into_iter().flatten());
}
