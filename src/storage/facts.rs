//! `source-facts.json`: what was learned of each endpoint, kept from run to run.
//!
//! Facts only save requests, so a file that cannot be read is never fatal: it counts as empty and
//! is set aside when the next facts are saved. Facts of other endpoints are kept as they are, and a
//! file of a newer version as a whole: the run then works without, and learns for itself alone.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{FactsStore, SourceFacts, StoreError};
use crate::format::newer_version;

use super::errors::io_error;
use super::staging::read_if_any;
use super::{ParquetStore, atomic, lock};

/// Version of this file alone.
const FACTS_VERSION: u32 = 1;
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
        let Some(facts) = file.endpoints.get(&self.endpoint) else { return SourceFacts::default() };
        serde_json::from_value(facts.clone()).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what was learned of the source is not used");
            SourceFacts::default()
        })
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
    let useless = |error: &dyn std::fmt::Display| Unread::Useless(error.to_string());
    let Some(bytes) = read_if_any(path).map_err(|error| useless(&error))? else {
        return Ok(None);
    };
    if let Some(version) = newer_version(&bytes, FACTS_VERSION) {
        return Err(Unread::Newer(version));
    }
    let file: FactsFile = serde_json::from_slice(&bytes).map_err(|error| useless(&error))?;
    match file.format_version {
        FACTS_VERSION => Ok(Some(file)),
        other => Err(Unread::Useless(format!("format version {other}"))),
    }
}
