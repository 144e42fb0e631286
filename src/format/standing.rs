//! How a series stands, from its sidecars alone, and `.titan/watermark.json`, which says so to
//! readers that have no Parquet library.
//!
//! Pure: whoever reads the folder says what was found there. What cannot be believed is a problem
//! and proves nothing. The file is read back for one purpose: to name what was published once and
//! is not there any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{
    Coverage, CoverageState, Epoch, EpochRange, Gap, GapClass, Kind, Month, MonthProof,
    PartitionKey, PartitionState, Series, Severity, Stop, Watermark,
};

use super::{FORMAT_VERSION, MOST_ROWS, Sidecar};

/// Version of `watermark.json` alone.
pub const WATERMARK_VERSION: u32 = 1;

/// The sidecar of a partition as it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum SidecarSeen {
    /// There is none.
    Missing,
    /// There is one that cannot be read; the text says why.
    Unreadable(String),
    /// What it says.
    Read(Box<Sidecar>),
}

/// One partition as it was found. Where neither of its two files is there, it is one that was
/// published once.
#[derive(Debug, Clone, PartialEq)]
pub struct MonthSeen {
    /// Which month.
    pub month: Month,
    /// Its sidecar.
    pub sidecar: SidecarSeen,
    /// Size of its Parquet file in bytes, if there is one.
    pub file_size: Option<u64>,
}

impl MonthSeen {
    /// A partition of which nothing is there any more.
    pub fn gone(month: Month) -> Self {
        Self { month, sidecar: SidecarSeen::Missing, file_size: None }
    }

    /// Tells why this partition proves nothing, if it does not; to be read after its name.
    pub fn problem(&self, series: &Series) -> Option<String> {
        let sidecar = match &self.sidecar {
            SidecarSeen::Missing if self.file_size.is_none() => {
                return Some("its files are gone".to_owned());
            }
            SidecarSeen::Missing => return Some("its sidecar is missing".to_owned()),
            SidecarSeen::Unreadable(why) => return Some(format!("its sidecar is unusable: {why}")),
            SidecarSeen::Read(sidecar) => sidecar,
        };
        if let Some(version) = sidecar.format_version.filter(|version| *version > FORMAT_VERSION) {
            return Some(format!("its sidecar has the newer format version {version}"));
        }
        if !is_about(sidecar, series, self.month) {
            return Some("its sidecar describes another partition".to_owned());
        }
        if sidecar.record_count > MOST_ROWS {
            let n_rows = sidecar.record_count;
            return Some(format!(
                "its sidecar counts {n_rows} rows, and no month has so many seconds"
            ));
        }
        let is_inside = |rows: EpochRange| self.month.range().covers(rows);
        if !sidecar.is_foreign() && rows(sidecar).is_some_and(|rows| !is_inside(rows)) {
            return Some("its sidecar names rows outside its month".to_owned());
        }
        match (self.file_size, sidecar.file_size) {
            (None, _) => Some("its Parquet file is missing".to_owned()),
            (Some(found), Some(said)) if found != said => {
                Some(format!("its Parquet file has {found} bytes, its sidecar says {said}"))
            }
            (Some(_), None) if !sidecar.is_foreign() => {
                Some("its sidecar does not say how large the Parquet file is".to_owned())
            }
            _ => None,
        }
    }

    /// What its sidecar says, unless it cannot be believed.
    pub fn believed(&self, series: &Series) -> Option<&Sidecar> {
        match &self.sidecar {
            SidecarSeen::Read(sidecar) if self.problem(series).is_none() => Some(sidecar),
            _ => None,
        }
    }

    /// Epoch of its first row, as far as its sidecar can be believed; else it may have any.
    fn first_row(&self, series: &Series) -> Option<Epoch> {
        match self.believed(series) {
            Some(sidecar) => rows(sidecar).map(EpochRange::start),
            None => Some(self.month.range().start()),
        }
    }

    fn proof(&self, series: &Series, first_row: Option<Epoch>) -> MonthProof {
        let month = self.month;
        let Some(sidecar) = self.believed(series) else {
            let rows = Some(month.range());
            return MonthProof { month, coverage: Coverage::new(), unexplained: Vec::new(), rows };
        };
        let is_unexplained = |gap: &&Gap| class_in_series(gap, first_row) == GapClass::Unexplained;
        let unexplained = sidecar.gaps.iter().filter(is_unexplained);
        MonthProof {
            month,
            coverage: sidecar.coverage(),
            unexplained: unexplained.filter_map(Gap::range).collect(),
            rows: rows(sidecar),
        }
    }
}

/// The class of a gap, now that all months of its series are known: no month can tell by itself
/// whether another one holds an older row.
fn class_in_series(gap: &Gap, first_row: Option<Epoch>) -> GapClass {
    let is_before = first_row.is_some_and(|first| gap.end <= first);
    match gap.class {
        GapClass::Unexplained | GapClass::BeforeFirstRow if is_before => GapClass::BeforeFirstRow,
        GapClass::BeforeFirstRow => GapClass::Unexplained,
        class => class,
    }
}

/// The first to the last row that a sidecar names.
fn rows(sidecar: &Sidecar) -> Option<EpochRange> {
    let ends =
        EpochRange::inclusive(Epoch::new(sidecar.start_epoch), Epoch::new(sidecar.end_epoch));
    ends.filter(|_| sidecar.record_count > 0)
}

fn is_about(sidecar: &Sidecar, series: &Series, month: Month) -> bool {
    sidecar.symbol == series.symbol
        && sidecar.data_type == kind_word(series.kind)
        && sidecar.granularity == series.kind.granularity().map(u32::from)
        && sidecar.month.as_ref().is_none_or(|said| *said == month.to_string())
        && (sidecar.is_foreign() || sidecar.month.is_some())
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Ticks => "ticks",
        Kind::Candles(_) => "candles",
    }
}

/// How many partitions are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateCounts {
    /// Their month runs.
    pub open: u64,
    /// Their month is over, but not settled or not whole.
    pub settling: u64,
    /// Never asked again.
    pub sealed: u64,
    /// Without a state: written by another tool, or not to be believed.
    pub unknown: u64,
}

/// How many gaps there are of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GapCounts {
    /// Explained by nothing.
    pub unexplained: u64,
    /// Asked twice in one run, and not again since.
    #[serde(default)]
    pub silent: u64,
    /// Asked again by themselves, and still silent.
    pub confirmed_by_source: u64,
    /// Before the first row of the series.
    #[serde(default)]
    pub before_first_row: u64,
    /// Inside one well-formed page.
    pub within_page: u64,
    /// Week-ends and sessions.
    pub market_closed: u64,
}

/// How many findings the sidecars hold, by what they [weigh](crate::domain::Finding::weight).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FindingCounts {
    /// Broken promises.
    pub error: u64,
    /// What is unusual.
    pub warning: u64,
    /// What is worth knowing.
    pub info: u64,
}

/// How one series stands. The order of the fields is the order in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whose records.
    pub symbol: String,
    /// `ticks` or `candles`.
    pub kind: String,
    /// Candle width in seconds; null for ticks.
    pub granularity: Option<u32>,
    /// Every second from `first` to before this one is proved; null if nothing is.
    pub watermark: Option<Epoch>,
    /// The first second that is on offer, as far as is known.
    pub first: Option<Epoch>,
    /// What the watermark cannot pass; null if all that was ever asked is proved.
    pub stopped_by: Option<Stop>,
    /// Epoch of the first row.
    pub first_row: Option<Epoch>,
    /// Epoch of the last row; may lie beyond the watermark.
    pub last_row: Option<Epoch>,
    /// Rows in all months, by their sidecars.
    pub rows: u64,
    /// Bytes of the Parquet files.
    pub bytes: u64,
    /// The months as `YYYY-MM`, ascending: those on disk, and those whose files are gone.
    pub months: Vec<String>,
    /// Their states.
    pub state: StateCounts,
    /// Their gaps.
    pub gaps: GapCounts,
    /// Their findings.
    pub findings: FindingCounts,
    /// Published prices for which the source names others that nobody took.
    #[serde(default)]
    pub open_restatements: u64,
    /// Months that must not be modified.
    pub locked: u64,
    /// Months that hold rows taken over from another tool.
    pub inherited: u64,
    /// Months that another tool wrote.
    pub foreign: u64,
    /// Months that prove nothing, with the reason.
    pub problems: BTreeMap<String, String>,
    /// When the newest of them was published, by the source's clock.
    pub published_at: Option<Epoch>,
}

impl Standing {
    /// Computes it from all partitions of the series.
    pub fn of(series: &Series, months: &[MonthSeen]) -> Self {
        let first_row = months.iter().filter_map(|month| month.first_row(series)).min();
        let proofs: Vec<_> = months.iter().map(|month| month.proof(series, first_row)).collect();
        let mark = Watermark::of(&proofs);
        let mut standing = Self {
            symbol: series.symbol.to_string(),
            kind: kind_word(series.kind).to_owned(),
            granularity: series.kind.granularity().map(u32::from),
            watermark: mark.and_then(|mark| mark.proved()).map(EpochRange::end),
            first: mark.map(|mark| mark.first),
            stopped_by: mark.and_then(|mark| mark.stop),
            first_row: None,
            last_row: None,
            rows: 0,
            bytes: months.iter().filter_map(|month| month.file_size).sum(),
            months: months.iter().map(|month| month.month.to_string()).collect(),
            state: StateCounts::default(),
            gaps: GapCounts::default(),
            findings: FindingCounts::default(),
            open_restatements: 0,
            locked: 0,
            inherited: 0,
            foreign: 0,
            problems: BTreeMap::new(),
            published_at: None,
        };
        standing.months.sort_unstable();
        for month in months {
            match month.believed(series) {
                Some(sidecar) => standing.add(sidecar, first_row),
                None => standing.state.unknown += 1,
            }
            let problem = month.problem(series);
            standing.problems.extend(problem.map(|why| (month.month.to_string(), why)));
        }
        standing
    }

    fn add(&mut self, sidecar: &Sidecar, first_row: Option<Epoch>) {
        if let Some(rows) = rows(sidecar) {
            self.first_row = self.first_row.into_iter().chain([rows.start()]).min();
            self.last_row = self.last_row.max(Some(rows.last()));
        }
        self.rows = self.rows.saturating_add(sidecar.record_count);
        let n_in_state = match sidecar.state {
            Some(PartitionState::Open) => &mut self.state.open,
            Some(PartitionState::Settling) => &mut self.state.settling,
            Some(PartitionState::Sealed) => &mut self.state.sealed,
            None => &mut self.state.unknown,
        };
        *n_in_state += 1;
        for gap in &sidecar.gaps {
            *match class_in_series(gap, first_row) {
                GapClass::Unexplained => &mut self.gaps.unexplained,
                GapClass::Silent => &mut self.gaps.silent,
                GapClass::BeforeFirstRow => &mut self.gaps.before_first_row,
                GapClass::ConfirmedBySource => &mut self.gaps.confirmed_by_source,
                GapClass::WithinPage => &mut self.gaps.within_page,
                GapClass::MarketClosed => &mut self.gaps.market_closed,
            } += 1;
        }
        for finding in &sidecar.findings {
            *match finding.weight() {
                Severity::Error => &mut self.findings.error,
                Severity::Warning => &mut self.findings.warning,
                Severity::Info => &mut self.findings.info,
            } += 1;
            if finding.is_open_restatement() {
                self.open_restatements = self.open_restatements.saturating_add(finding.n);
            }
        }
        let is_inherited = |c: &super::SidecarCoverage| c.state == CoverageState::Inherited;
        self.locked += u64::from(sidecar.locked);
        self.inherited += u64::from(sidecar.coverage.iter().any(is_inherited));
        self.foreign += u64::from(sidecar.is_foreign());
        self.published_at = self.published_at.max(published_at(sidecar));
    }
}

fn published_at(sidecar: &Sidecar) -> Option<Epoch> {
    let text = sidecar.created_at.as_deref().filter(|_| !sidecar.is_foreign())?;
    let utc = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(Epoch::new(utc.timestamp()))
}

/// What `.titan/watermark.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatermarkFile {
    /// Always [`WATERMARK_VERSION`].
    pub format_version: u32,
    /// When the newest partition was published: ISO-8601, by the source's clock.
    pub updated_at: Option<String>,
    /// By series, named as in paths: `R_100/ticks`, `R_100/candles_60`.
    pub series: BTreeMap<String, Standing>,
}

impl Default for WatermarkFile {
    fn default() -> Self {
        Self { format_version: WATERMARK_VERSION, updated_at: None, series: BTreeMap::new() }
    }
}

impl WatermarkFile {
    /// Puts in how a series stands; a series without partitions is taken out.
    pub fn set(&mut self, series: &Series, standing: Standing) {
        let name = format!("{}/{}", series.symbol, series.kind.folder());
        if standing.months.is_empty() {
            self.series.remove(&name);
        } else {
            self.series.insert(name, standing);
        }
        let newest = self.series.values().filter_map(|standing| standing.published_at).max();
        self.updated_at = newest.map(|epoch| epoch.to_string());
    }

    /// Every partition that it names, whether it is still there or not.
    pub fn partitions(&self) -> BTreeSet<PartitionKey> {
        let of_series = |(name, standing): (&String, &Standing)| {
            let (symbol, kind) = name.split_once('/')?;
            let series = Series { symbol: symbol.parse().ok()?, kind: kind.parse().ok()? };
            let months = standing.months.iter().filter_map(|text| text.parse::<Month>().ok());
            let key = |month| PartitionKey { series: series.clone(), month };
            Some(months.map(key).collect::<Vec<_>>())
        };
        self.series.iter().filter_map(of_series).flatten().collect()
    }

    /// The bytes of the file: two-space JSON and a final line break.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain values always become JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// If it is not one of this version; the text says why.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match file.format_version {
            WATERMARK_VERSION => Ok(file),
            other => Err(format!("format version {other}")),
        }
    }
}

#[cfg(test)]
mod tests;
