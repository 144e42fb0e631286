//! The JSON beside each Parquet file: it describes the file and, taking its name last, commits it.
//!
//! First the keys of the Python tool in their order and with their meaning, so that its readers go
//! on working; then ours. Unknown keys are ignored when reading.

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{
    Coverage, CoverageRange, CoverageState, Epoch, Finding, Gap, GapRules, Granularity, Kind,
    PartitionKey, PartitionState, Series, Symbol,
};

use super::bounded::{MOST_DAYS, MOST_FINDINGS, MOST_GAPS, MOST_RANGES, MOST_VALUES, n_values};
use super::digest::DayDigest;
use super::{FORMAT_VERSION, MOST_DECIMALS};

/// Value of `schema_version`, fixed since the Python tool.
pub const SCHEMA_VERSION: &str = "1.0.0";

/// The keys of the Python tool, in its order; ours begin with them.
pub const OLD_KEYS: [&str; 14] = [
    "schema_version",
    "symbol",
    "data_type",
    "granularity",
    "start_epoch",
    "end_epoch",
    "record_count",
    "gaps_detected",
    "duplicates_removed",
    "sha256",
    "locked",
    "created_at",
    "download_duration_seconds",
    "file_size",
];

/// A covered range and when it was asked, by the source's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarCoverage {
    /// First second inside.
    pub start: Epoch,
    /// First second after.
    pub end: Epoch,
    /// What is known of it.
    pub state: CoverageState,
    /// When its earliest answer came; `None` where nothing was asked or nobody noted it.
    pub asked_first: Option<Epoch>,
    /// When its latest answer came.
    pub asked_last: Option<Epoch>,
}

/// What a sidecar says. The order of the fields is the order in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Always [`SCHEMA_VERSION`].
    pub schema_version: String,
    /// Whose records.
    pub symbol: Symbol,
    /// `ticks` or `candles`.
    pub data_type: String,
    /// Candle width in seconds; null for ticks.
    pub granularity: Option<u32>,
    /// Epoch of the first record; the first second of the coverage if there is none.
    pub start_epoch: i64,
    /// Epoch of the last record; the first second of the coverage if there is none.
    pub end_epoch: i64,
    /// Rows in the file.
    pub record_count: u64,
    /// Ticks: intervals of more than 10 s between two rows. Candles: bars missing between two rows.
    pub gaps_detected: u64,
    /// Equal rows dropped inside single answers.
    pub duplicates_removed: u64,
    /// SHA-256 of the Parquet file, lower-case hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Whether the partition must not be modified. We never set it, and obey it.
    #[serde(default)]
    pub locked: bool,
    /// ISO-8601 time of this publish, by the source's clock.
    #[serde(default)]
    pub created_at: Option<String>,
    /// Seconds that the run which wrote this took for the partition.
    #[serde(default)]
    pub download_duration_seconds: Option<f64>,
    /// Size of the Parquet file in bytes.
    #[serde(default)]
    pub file_size: Option<u64>,

    /// Version of our part; absent in files of the Python tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_version: Option<u32>,
    /// How far from never changing again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PartitionState>,
    /// The month as `YYYY-MM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<String>,
    /// Decimals in which the series is quoted (`3` means multiples of `0.001`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pip_size: Option<u8>,
    /// Hash of all rows, lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_sha256: Option<String>,
    /// What was asked and answered, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<SidecarCoverage>,
    /// Oldest second that was ever answered, where the coverage tells no more of it because its
    /// rows were lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_held: Option<Epoch>,
    /// Silent stretches longer than the threshold.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// By which rules they were listed and classed, beside what the rows tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_rules: Option<GapRules>,
    /// What download, merge and check found.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Hash of each UTC day's rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<DayDigest>,
    /// Where the data came from.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub source: Map<String, Value>,
    /// The run that wrote this.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub run: Map<String, Value>,
}

impl Sidecar {
    /// The coverage without its times, as the footer has it.
    pub fn coverage(&self) -> Coverage {
        let plain =
            |c: &SidecarCoverage| CoverageRange { start: c.start, end: c.end, state: c.state };
        Coverage::from(self.coverage.iter().map(plain).collect::<Vec<_>>())
    }

    /// The covered range that holds all of `gap`, if one does.
    pub fn covering(&self, gap: &Gap) -> Option<&SidecarCoverage> {
        let covering = self.coverage.get(self.coverage.partition_point(|c| c.end <= gap.start))?;
        (covering.start <= gap.start && gap.end <= covering.end).then_some(covering)
    }

    /// Tells whether the Python tool wrote this.
    pub fn is_foreign(&self) -> bool {
        self.format_version.is_none()
    }

    /// The bytes of the file: two-space JSON and a final line break.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain values always become JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a sidecar, ours or the Python tool's.
    ///
    /// # Errors
    ///
    /// If it is not JSON, a key that every version has is missing, or it says something that no
    /// sidecar can: a list beyond its bound, or a number beyond any.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if n_values(bytes) > MOST_VALUES {
            return Err(serde_json::Error::custom(format!(
                "it holds more than {MOST_VALUES} values"
            )));
        }
        let mut sidecar: Self = serde_json::from_slice(bytes)?;
        if let Some(problem) = sidecar.problem() {
            return Err(serde_json::Error::custom(problem));
        }
        let key = sidecar.key();
        for finding in &mut sidecar.findings {
            finding.partition = finding.partition.take().or_else(|| key.clone());
        }
        Ok(sidecar)
    }

    /// Tells what in it cannot be, whatever the file beside it holds. Of newer versions nothing is
    /// said here.
    fn problem(&self) -> Option<String> {
        if self.format_version.is_some_and(|version| version > FORMAT_VERSION) {
            return None;
        }
        let lists = [
            ("covered ranges", self.coverage.len(), MOST_RANGES),
            ("gaps", self.gaps.len(), MOST_GAPS),
            ("findings", self.findings.len(), MOST_FINDINGS),
            ("days", self.days.len(), MOST_DAYS),
        ];
        if let Some((what, n, most)) = lists.into_iter().find(|(_, n, most)| n > most) {
            return Some(format!("it lists {n} {what}, and there are never more than {most}"));
        }
        if let Some(decimals) = self.pip_size.filter(|decimals| *decimals > MOST_DECIMALS) {
            return Some(format!("it says prices have {decimals} decimals"));
        }
        self.gap_rules.as_ref().and_then(GapRules::problem)
    }

    /// The partition it says it is about; files of the Python tool do not say which month.
    fn key(&self) -> Option<PartitionKey> {
        let month = self.month.as_ref()?.parse().ok()?;
        let kind = match self.granularity {
            Some(secs) => Kind::Candles(Granularity::try_from(secs).ok()?),
            None => Kind::Ticks,
        };
        Some(PartitionKey { series: Series { symbol: self.symbol.clone(), kind }, month })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sidecar as old versions of the Python tool wrote it: the last keys are missing.
    const OLD: &str = r#"{
        "schema_version": "1.0.0", "symbol": "R_100", "data_type": "candles", "granularity": 60,
        "start_epoch": 1772323200, "end_epoch": 1772323260, "record_count": 2,
        "gaps_detected": 0, "duplicates_removed": 0, "sha256": null, "locked": true,
        "something_unknown": [1, 2]
    }"#;

    #[test]
    fn reads_a_sidecar_of_the_python_tool() {
        let sidecar = Sidecar::from_json(OLD.as_bytes()).unwrap();
        assert!(sidecar.is_foreign());
        assert!(sidecar.locked);
        assert_eq!(sidecar.file_size, None);
    }

    #[test]
    fn keeps_the_old_keys_first_and_in_their_order() {
        let mut sidecar = Sidecar::from_json(OLD.as_bytes()).unwrap();
        sidecar.format_version = Some(super::super::FORMAT_VERSION);
        let text = String::from_utf8(sidecar.to_json()).unwrap();
        let position =
            |key: &str| text.find(&format!("\"{key}\"")).unwrap_or_else(|| panic!("{key}"));
        let keys = [&OLD_KEYS[..], &["format_version"]].concat();
        let positions: Vec<_> = keys.iter().map(|key| position(key)).collect();
        assert!(positions.is_sorted(), "{text}");
    }

    /// The reason why what is said cannot be.
    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut said: serde_json::Value = serde_json::from_str(OLD).unwrap();
        change(&mut said);
        Sidecar::from_json(said.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn lists_and_numbers_that_cannot_be_are_refused_by_name() {
        let range = serde_json::json!({ "start": 1, "end": 2, "state": "answered" });
        let error = refused(|said| said["coverage"] = vec![range; MOST_RANGES + 1].into());
        assert_eq!(error, "it lists 50001 covered ranges, and there are never more than 50000");
        let day = serde_json::json!({ "date": "2026-03-01", "rows": 1, "rows_sha256": "" });
        let error = refused(|said| said["days"] = vec![day; 32].into());
        assert_eq!(error, "it lists 32 days, and there are never more than 31");
        let error = refused(|said| said["pip_size"] = 255.into());
        assert_eq!(error, "it says prices have 255 decimals");
        for threshold in [i64::MIN, -1, 0, 31_536_001, i64::MAX] {
            let rules = serde_json::json!({ "threshold_secs": threshold });
            let error = refused(|said| said["gap_rules"] = rules);
            assert!(error.contains(&threshold.to_string()), "{error}");
        }
    }

    /// Each value takes ten times the memory of its two bytes, so a file that is short enough may
    /// still hold too much.
    #[test]
    fn a_value_of_millions_is_refused_before_it_is_made() {
        let many = format!("[{}0]", "0,".repeat(MOST_VALUES));
        let text = OLD.replacen('{', &format!("{{\"source\": {{\"a\": {many}}},"), 1);
        let error = Sidecar::from_json(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "it holds more than 2000000 values");
    }

    /// A sidecar as long as one can be is read within its bounds.
    #[test]
    fn the_longest_sidecar_fits() {
        let mut sidecar = Sidecar::from_json(OLD.as_bytes()).unwrap();
        let at = |i: usize| Epoch::new(1_772_323_200 + i as i64);
        sidecar.format_version = Some(FORMAT_VERSION);
        let range = |i| SidecarCoverage {
            start: at(i),
            end: at(i + 1),
            state: CoverageState::Answered,
            asked_first: Some(at(i)),
            asked_last: Some(at(i)),
        };
        sidecar.coverage = (0..MOST_RANGES).map(range).collect();
        let gap = |i| Gap {
            start: at(i),
            end: at(i + 1),
            missing_estimate: 1_000_000,
            class: crate::domain::GapClass::ConfirmedBySource,
            asked_first: None,
            asked_last: None,
        };
        sidecar.gaps = (0..MOST_GAPS).map(gap).collect();
        let json = sidecar.to_json();
        assert!((json.len() as u64) < super::super::SIDECAR_BYTES * 3 / 4, "{} bytes", json.len());
        assert_eq!(Sidecar::from_json(&json).unwrap(), sidecar);
    }

    #[test]
    fn what_is_written_is_read() {
        let sidecar = Sidecar::from_json(OLD.as_bytes()).unwrap();
        assert_eq!(Sidecar::from_json(&sidecar.to_json()).unwrap(), sidecar);
    }
}
