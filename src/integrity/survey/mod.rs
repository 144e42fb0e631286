//! What an archive says of itself, quickly: names, sizes and sidecars, and no Parquet data.
//!
//! [`survey`] believes the sidecars as far as they fit the files beside them; whether the files
//! keep what is promised is for [`verify`](super::verify()).

pub mod days;
mod staged;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{Coverage, Finding, Gap, Kind, Month, PartitionKey, Series, Severity, Symbol};
use crate::format::{Layout, MonthSeen, Sidecar, SidecarSeen, Standing};

use super::checks::shown;
use super::reader::read_sidecar;
use super::walk::walk;

pub use staged::Staged;

/// Which series are looked at; an empty list means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Only these symbols.
    pub symbols: Vec<Symbol>,
    /// Only these kinds.
    pub kinds: Vec<Kind>,
}

impl Selection {
    fn takes(&self, series: &Series) -> bool {
        let has_symbol = self.symbols.is_empty() || self.symbols.contains(&series.symbol);
        has_symbol && (self.kinds.is_empty() || self.kinds.contains(&series.kind))
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    /// The series with at least one partition or staged answer, ascending.
    pub series: Vec<SeriesSurvey>,
    /// What lies among the partitions and is none, and folders that cannot be listed.
    pub findings: Vec<Finding>,
}

impl Survey {
    /// What could not be looked at, so that nobody knows what is missing here.
    pub fn blind_spots(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.weight() == Severity::Error)
    }
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSurvey {
    /// Which one.
    pub series: Series,
    /// The facts that stand in `.titan/watermark.json` as well.
    pub standing: Standing,
    /// Its partitions, ascending.
    pub months: Vec<MonthSurvey>,
    /// Answers that wait for their publish.
    pub staged: Staged,
}

/// One partition.
#[derive(Debug, Clone, PartialEq)]
pub struct MonthSurvey {
    /// Which month.
    pub month: Month,
    /// What its sidecar says; none if it cannot be believed.
    pub sidecar: Option<Box<Sidecar>>,
    /// Why nothing is believed of it.
    pub problem: Option<String>,
    /// Size of the Parquet file, if there is one.
    pub file_size: Option<u64>,
}

impl MonthSurvey {
    /// What was asked and answered; nothing if the sidecar cannot be believed.
    pub fn coverage(&self) -> Coverage {
        let coverage = self.sidecar.as_ref().map(|sidecar| sidecar.coverage());
        coverage.unwrap_or_default().clipped(self.month.range())
    }

    /// The gaps its sidecar lists.
    pub fn gaps(&self) -> &[Gap] {
        self.sidecar.as_ref().map(|sidecar| sidecar.gaps.as_slice()).unwrap_or_default()
    }

    fn of(series: &Series, seen: MonthSeen) -> Self {
        let problem = seen.problem(series);
        let sidecar = match seen.sidecar {
            SidecarSeen::Read(sidecar) if problem.is_none() => Some(sidecar),
            _ => None,
        };
        Self { month: seen.month, sidecar, problem, file_size: seen.file_size }
    }
}

/// Looks at an archive. Reads only; never fails: what cannot be read is said in the result.
pub fn survey(root: &Path, selection: &Selection) -> Survey {
    let layout = Layout::new(root);
    let walked = walk(&layout, &selection.symbols);
    let mut series: Vec<Series> = walked.places.iter().map(|p| p.key.series.clone()).collect();
    series.extend(walked.gone.iter().map(|key| key.series.clone()));
    series.extend(staged::series(&layout));
    series.retain(|series| selection.takes(series));
    series.sort_unstable();
    series.dedup();
    let look = |series: Series| {
        let places = walked.places.iter().filter(|place| place.key.series == series);
        let gone = walked.gone.iter().filter(|key| key.series == series);
        let mut months: Vec<_> = places.map(|place| month_seen(&layout, place)).collect();
        months.extend(gone.map(|key| MonthSeen::gone(key.month)));
        months.sort_unstable_by_key(|seen| seen.month);
        let standing = Standing::of(&series, &months);
        let months = months.into_iter().map(|month| MonthSurvey::of(&series, month)).collect();
        let staged = Staged::of(&layout, &series);
        SeriesSurvey { series, standing, months, staged }
    };
    Survey { series: series.into_iter().map(look).collect(), findings: walked.findings }
}

/// Tells whether a file of the partition, or a folder above it, is only a link to another place:
/// what lies there proves nothing.
fn linked(layout: &Layout, key: &PartitionKey) -> Option<String> {
    let series = layout.series_dir(&key.series);
    let symbol = layout.root().join(key.series.symbol.as_str());
    let places = [symbol, series, layout.parquet(key), layout.sidecar(key)];
    let is_link = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    places.iter().find(|path| is_link(path)).map(|path| {
        let name = path.strip_prefix(layout.root()).unwrap_or(path);
        format!("`{}` is a symbolic link", shown(name.display()))
    })
}

fn month_seen(layout: &Layout, place: &super::walk::Place) -> MonthSeen {
    let path = layout.parquet(&place.key);
    let (file_size, refused) = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => (Some(metadata.len()), None),
        Ok(_) => (None, None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
        Err(error) => {
            (None, Some(format!("the Parquet file beside it cannot be looked at: {error}")))
        }
    };
    let sidecar = match read_sidecar(&layout.sidecar(&place.key)) {
        Ok(Some(sidecar)) => SidecarSeen::Read(Box::new(sidecar)),
        Ok(None) => SidecarSeen::Missing,
        Err(error) => SidecarSeen::Unreadable(shown(error)),
    };
    let refused = refused.or_else(|| linked(layout, &place.key));
    let sidecar = refused.map_or(sidecar, SidecarSeen::Unreadable);
    MonthSeen { month: place.key.month, sidecar, file_size }
}
