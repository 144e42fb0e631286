//! `source-facts.json`: what was learned of each endpoint, kept from run to run.
//!
//! Facts only save requests, so a file that cannot be read is never fatal: it counts as empty and
//! is set aside when the next facts are saved. So does a single fact that cannot be. Facts of other
//! endpoints are kept as they are, and a file of a newer version as a whole: the run then works
//! without, and learns for itself alone.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Cadence, FactsStore, HoursFacts, SeriesFacts, SourceFacts, StoreError, Wall};
use crate::format::{newer_version, read_bounded};

use super::errors::io_error;
use super::{ParquetStore, atomic, lock};

/// Version of this file alone.
const FACTS_VERSION: u32 = 1;
/// Some ten thousand series; each value takes ten times the memory of its bytes.
const MOST_BYTES: u64 = 4 << 20;
/// Serialises writers of different series, which may be different processes.
const LOCK_NAME: &str = "source-facts.lock";

#[derive(Debug, Serialize, Deserialize)]
struct FactsFile {
    format_version: u32,
    endpoints: BTreeMap<String, Value>,
}

impl Default for FactsFile {
    fn default() -> Self {
        Self { format_version: FACTS_VERSION, endpoints: BTreeMap::new() }
    }
}

impl FactsStore for ParquetStore {
    fn load_facts(&self) -> SourceFacts {
        let path = self.layout.source_facts();
        let file = match read(&path) {
            Ok(Some(file)) => file,
            Ok(None) => return SourceFacts::default(),
            Err(reason) => {
                tracing::warn!(path = %path.display(), %reason, "what was learned of the source is not used");
                return SourceFacts::default();
            }
        };
        let Some(said) = file.endpoints.get(&self.endpoint) else { return SourceFacts::default() };
        let (facts, set_aside) = believed(said.clone());
        if let Some(first) = set_aside.first() {
            let n = set_aside.len();
            tracing::warn!(path = %path.display(), n, first, "facts that cannot be are learned anew");
        }
        facts
    }

    fn save_facts(&self, facts: &SourceFacts) -> Result<(), StoreError> {
        self.make_private_dirs()?;
        let path = self.layout.source_facts();
        atomic::confine(self.layout.root(), &path)?;
        let lock_path = self.layout.locks_dir().join(LOCK_NAME);
        let lock = lock::open(&lock_path)?;
        lock.lock().map_err(io_error("lock", &lock_path))?;
        let mut file = match read(&path) {
            Ok(file) => file.unwrap_or_default(),
            // What is not used was told when it was read.
            Err(Unread::Newer(_)) => return Ok(()),
            Err(Unread::Useless(reason)) => {
                let [target] = self.quarantine_places(Path::new(""), ["source-facts.json"])?;
                tracing::warn!(path = %path.display(), reason, target = %target.display(), "set aside");
                atomic::move_aside(&path, &target)?;
                FactsFile::default()
            }
        };
        let facts = serde_json::to_value(facts).expect("plain values always become JSON");
        file.endpoints.insert(self.endpoint.clone(), facts);
        let mut bytes = serde_json::to_vec_pretty(&file).expect("plain values always become JSON");
        bytes.push(b'\n');
        atomic::write_file(&path, &self.names.next(), &bytes)
    }
}

/// The facts of one endpoint, each for itself: one that cannot be is left out, and named.
fn believed(said: Value) -> (SourceFacts, Vec<String>) {
    let (mut facts, mut set_aside) = (SourceFacts::default(), Vec::new());
    let Value::Object(mut said) = said else { return (facts, vec!["no object".to_owned()]) };
    let mut said = |key: &str| said.remove(key).unwrap_or_default();
    let mut take = Taking { set_aside: &mut set_aside };
    facts.page_cap =
        take.fact("page_cap", said("page_cap"), |cap| SourceFacts::page_cap_problem(*cap));
    for (name, mut fact) in take.table("series", said("series")) {
        let Some(kind) = name.split_once('/').and_then(|(_, kind)| kind.parse().ok()) else {
            take.leave_out(&name, "no series");
            continue;
        };
        let mut part = |key: &str| fact.get_mut(key).map(Value::take).unwrap_or_default();
        let cadence = take.fact(&name, part("cadence"), |cadence: &Cadence| cadence.problem(kind));
        let wall = take.fact(&name, part("wall"), Wall::problem);
        facts.series.insert(name, SeriesFacts { cadence, wall });
    }
    for (symbol, since) in take.table("unlisted", said("unlisted")) {
        let since = take.fact(&symbol, since, SourceFacts::unlisted_problem);
        facts.unlisted.extend(since.map(|since| (symbol, since)));
    }
    for (symbol, hours) in take.table("hours", said("hours")) {
        let hours = take.fact(&symbol, hours, HoursFacts::problem);
        facts.hours.extend(hours.map(|hours| (symbol, hours)));
    }
    (facts, set_aside)
}

/// Takes what can be, and names the rest.
struct Taking<'a> {
    set_aside: &'a mut Vec<String>,
}

impl Taking<'_> {
    fn leave_out(&mut self, name: &str, why: impl std::fmt::Display) {
        self.set_aside.push(format!("`{}`: {why}", name.escape_debug()));
    }

    /// A fact, if one is there and can be.
    fn fact<T: DeserializeOwned>(
        &mut self,
        name: &str,
        said: Value,
        problem: impl FnOnce(&T) -> Option<String>,
    ) -> Option<T> {
        let said: Option<T> = match serde_json::from_value(said) {
            Ok(said) => said,
            Err(error) => {
                self.leave_out(name, error);
                return None;
            }
        };
        let why = said.as_ref().and_then(problem);
        match why {
            Some(why) => {
                self.leave_out(name, why);
                None
            }
            None => said,
        }
    }

    /// The entries of a table; none if there is no table.
    fn table(&mut self, name: &str, said: Value) -> serde_json::Map<String, Value> {
        self.fact(name, said, |_| None).unwrap_or_default()
    }
}

/// Why the file is not used.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// A newer build wrote it.
    #[error("it has the format version {0} of a newer version of this program, and stays as it is")]
    Newer(u64),
    /// It says nothing to anybody.
    #[error("{0}")]
    Useless(String),
}

fn read(path: &Path) -> Result<Option<FactsFile>, Unread> {
    match read_bounded(path, "the facts", MOST_BYTES) {
        Ok(bytes) => parsed(&bytes).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(Unread::Useless(error.to_string())),
    }
}

fn parsed(bytes: &[u8]) -> Result<FactsFile, Unread> {
    if let Some(version) = newer_version(bytes, FACTS_VERSION) {
        return Err(Unread::Newer(version));
    }
    let useless = |error: serde_json::Error| Unread::Useless(error.to_string());
    let file: FactsFile = serde_json::from_slice(bytes).map_err(useless)?;
    match file.format_version {
        FACTS_VERSION => Ok(file),
        other => Err(Unread::Useless(format!("format version {other}"))),
    }
}

/// What is believed of a file of facts by endpoint, and how much of each is not.
pub(super) fn facts_of(bytes: &[u8]) -> Result<Vec<(SourceFacts, usize)>, String> {
    let endpoints = parsed(bytes).map_err(|why| why.to_string())?.endpoints.into_values();
    let believed = |said| {
        let (facts, set_aside) = believed(said);
        (facts, set_aside.len())
    };
    Ok(endpoints.map(believed).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Epoch;

    fn check(said: &Value, expected: &SourceFacts, n_set_aside: usize) {
        let (facts, set_aside) = believed(said.clone());
        assert_eq!(&facts, expected, "{said} {set_aside:?}");
        assert_eq!(set_aside.len(), n_set_aside, "{said} {set_aside:?}");
    }

    fn cadence(said: &Value) -> (Option<Cadence>, Vec<String>) {
        let (facts, set_aside) =
            believed(json!({ "series": { "R_100/ticks": { "cadence": said } } }));
        (facts.series["R_100/ticks"].cadence, set_aside)
    }

    /// The numbers that once divided by zero, or made a download that never ended.
    #[test]
    fn a_cadence_that_cannot_be_is_left_out() {
        for secs in [0, -1, -2, 1 << 62, i64::MIN, i64::MAX, 86_401] {
            let said = json!({ "pattern": "fixed", "interval_secs": secs, "phase_secs": 0 });
            let (cadence, set_aside) = cadence(&said);
            assert_eq!((cadence, set_aside.len()), (None, 1), "{secs}");
            assert!(set_aside[0].contains(&secs.to_string()), "{set_aside:?}");
        }
        for (interval, phase) in [(2, 2), (2, -1), (60, i64::MAX), (60, i64::MIN)] {
            let said =
                json!({ "pattern": "fixed", "interval_secs": interval, "phase_secs": phase });
            assert_eq!(cadence(&said).0, None, "{interval} {phase}");
        }
        for millis in [0, -1, 999, 1 << 62, i64::MAX, i64::MIN] {
            let said = json!({ "pattern": "irregular", "mean_interval_millis": millis });
            assert_eq!(cadence(&said).0, None, "{millis}");
        }
        let good = json!({ "pattern": "fixed", "interval_secs": 2, "phase_secs": 1 });
        assert_eq!(cadence(&good).0, Some(Cadence::Fixed { interval_secs: 2, phase_secs: 1 }));
    }

    #[test]
    fn what_can_be_stays_beside_what_cannot() {
        let wall = Wall {
            offered_from: Epoch::new(1_772_323_200),
            refused_at: Epoch::new(1_772_323_199),
            seen_at: Epoch::new(1_790_000_000),
            is_confirmed: false,
        };
        let good = SeriesFacts { wall: Some(wall), ..SeriesFacts::default() };
        let mut expected = SourceFacts { page_cap: Some(5000), ..SourceFacts::default() };
        expected.series.insert("R_100/ticks".to_owned(), good);
        let said = json!({
            "page_cap": 5000,
            "series": {
                "R_100/ticks": { "wall": wall, "cadence": "daily" },
                "R_100": {},
                "R_100/candles_61": {},
            },
            "hours": { "frxEURUSD": { "asked": { "mon": i64::MAX } }, "frxGBPUSD": 7 },
            "more": [1],
        });
        check(&said, &expected, 5);
        let mut nothing_of_it = SourceFacts::default();
        let series = json!({ "R_100/ticks": { "wall": { "offered_from": 1i64 << 62, "refused_at": 0, "seen_at": 0 } } });
        nothing_of_it.series.insert("R_100/ticks".to_owned(), SeriesFacts::default());
        check(&json!({ "page_cap": 4_294_967_295u32, "series": series }), &nothing_of_it, 2);
        check(&json!({ "page_cap": 0, "series": [], "hours": "x" }), &SourceFacts::default(), 3);
        check(&json!({ "page_cap": -1 }), &SourceFacts::default(), 1);
        check(&json!(null), &SourceFacts::default(), 1);
        check(&json!({}), &SourceFacts::default(), 0);
    }

    #[test]
    fn what_is_saved_is_believed() {
        let facts = SourceFacts {
            page_cap: Some(1000),
            series: [(
                "R_50/candles_60".to_owned(),
                SeriesFacts {
                    cadence: Some(Cadence::Irregular { mean_interval_millis: 60_000 }),
                    wall: None,
                },
            )]
            .into(),
            unlisted: [("R_25".to_owned(), Epoch::new(1_772_323_200))].into(),
            hours: [("frxEURUSD".to_owned(), HoursFacts::default())].into(),
        };
        check(&serde_json::to_value(&facts).unwrap(), &facts, 0);
    }
}
