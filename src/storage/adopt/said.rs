//! What the sidecar of another tool says, key by key, however many of them it has. Pure.

use serde_json::{Map, Value};

use crate::domain::{Epoch, Finding, FindingKind, Kind, PartitionKey};
use crate::format::Sidecar;
use crate::format::sidecar::{OLD_KEYS, SCHEMA_VERSION};

use super::sift::{Saved, remark};

/// A sidecar without our part. A key that is missing or of another type says nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::storage) struct Said(Map<String, Value>);

impl Said {
    /// Reads a sidecar of another tool; `None` if it is ours, or no JSON object.
    pub(in crate::storage) fn read(bytes: &[u8]) -> Option<Self> {
        let said = Self::map(bytes)?;
        (!said.contains_key("format_version")).then_some(Self(said))
    }

    /// The keys of a JSON object that is not longer than a file of a few keys: each value takes ten
    /// times the memory of its bytes.
    fn map(bytes: &[u8]) -> Option<Map<String, Value>> {
        const MOST_BYTES: usize = 1 << 20;
        if bytes.len() > MOST_BYTES { None } else { serde_json::from_slice(bytes).ok() }
    }

    /// Reads as much as it takes of a sidecar that cannot be understood, if it says in any way that
    /// it is locked.
    pub(in crate::storage) fn locked(bytes: &[u8]) -> Option<Self> {
        let said = match Self::map(bytes) {
            Some(said) => Self(said),
            None => {
                let text: String = String::from_utf8_lossy(bytes).split_whitespace().collect();
                let (_, value) = text.split_once("\"locked\":")?;
                let is_free = ["false", "null", "0"].iter().any(|free| value.starts_with(free));
                Self(Map::from_iter([("locked".to_owned(), Value::Bool(!is_free))]))
            }
        };
        said.is_locked().then_some(said)
    }

    /// The sidecar in our words; what it does not say is null, none or nought.
    pub(in crate::storage) fn to_sidecar(&self, key: &PartitionKey) -> Sidecar {
        let series = &key.series;
        let text = |name: &str| self.text(name).map(str::to_owned);
        Sidecar {
            schema_version: text("schema_version").unwrap_or_else(|| SCHEMA_VERSION.to_owned()),
            symbol: self
                .text("symbol")
                .and_then(|symbol| symbol.parse().ok())
                .unwrap_or_else(|| series.symbol.clone()),
            data_type: text("data_type").unwrap_or_else(|| data_type(series.kind).to_owned()),
            granularity: self.whole("granularity").and_then(|width| u32::try_from(width).ok()),
            start_epoch: self.whole("start_epoch").unwrap_or_default(),
            end_epoch: self.whole("end_epoch").unwrap_or_default(),
            record_count: self.count("record_count").unwrap_or_default(),
            gaps_detected: self.count("gaps_detected").unwrap_or_default(),
            duplicates_removed: self.count("duplicates_removed").unwrap_or_default(),
            sha256: text("sha256"),
            locked: self.is_locked(),
            created_at: text("created_at"),
            download_duration_seconds: self
                .0
                .get("download_duration_seconds")
                .and_then(Value::as_f64),
            file_size: self.count("file_size"),
            // None unless a newer version wrote it, in a form that cannot be understood.
            format_version: self.whole("format_version").and_then(|v| u32::try_from(v).ok()),
            state: None,
            month: None,
            pip_size: None,
            rows_sha256: None,
            first_held: None,
            coverage: Vec::new(),
            gaps: Vec::new(),
            gap_rules: None,
            findings: Vec::new(),
            days: Vec::new(),
            source: Map::new(),
            run: Map::new(),
        }
    }

    /// Whether the partition must not be modified. Whatever is not clearly "no" counts as "yes".
    pub(in crate::storage) fn is_locked(&self) -> bool {
        match self.0.get("locked") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(_) => true,
        }
    }

    /// When the file was saved.
    pub(super) fn saved(&self) -> Option<Saved> {
        Saved::parse(self.text("created_at")?)
    }

    /// Keys that nothing of ours carries on.
    pub(super) fn unknown_keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|key| !OLD_KEYS.contains(key)).collect()
    }

    /// Where it says something else than the file shows; the rows decide.
    pub(super) fn disagreements(
        &self,
        key: &PartitionKey,
        sha256: &str,
        n_rows: u64,
        ends: Option<(Epoch, Epoch)>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut compare = |kind, name: &str, found: Value| {
            let said = self.0.get(name).filter(|said| !said.is_null());
            let Some(said) = said.filter(|said| !is_same(said, &found)) else { return };
            let expected = format!("`{name}` {} as its sidecar says", shown(&said.to_string()));
            findings.push(remark(key, kind, expected, format!("{found}; the rows decide")));
        };
        let series = &key.series;
        let kind = FindingKind::SidecarMismatch;
        compare(kind, "symbol", series.symbol.as_str().into());
        compare(kind, "data_type", data_type(series.kind).into());
        compare(kind, "granularity", series.kind.granularity().map(u32::from).into());
        compare(FindingKind::FileHash, "sha256", sha256.into());
        compare(FindingKind::RecordCount, "record_count", n_rows.into());
        if let Some((first, last)) = ends {
            compare(kind, "start_epoch", first.secs().into());
            compare(kind, "end_epoch", last.secs().into());
        }
        findings
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// A whole number, also where it is written like `1772323200.0`.
    fn whole(&self, key: &str) -> Option<i64> {
        let value = self.0.get(key)?;
        let of_float = || value.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 1e15);
        value.as_i64().or_else(|| of_float().map(|float| float as i64))
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.whole(key).and_then(|count| u64::try_from(count).ok())
    }
}

/// Numbers by their value, texts whatever their case.
fn is_same(said: &Value, found: &Value) -> bool {
    match (said, found) {
        (Value::String(said), Value::String(found)) => said.eq_ignore_ascii_case(found),
        (Value::Number(said), Value::Number(found)) => said.as_f64() == found.as_f64(),
        _ => said == found,
    }
}

fn data_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Ticks => "ticks",
        Kind::Candles(_) => "candles",
    }
}

/// Foreign text, made harmless.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
