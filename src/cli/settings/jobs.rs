//! The series of the main job: those of the command line and the variables, or those of the jobs of
//! the configuration file.

use std::collections::BTreeMap;

use crate::domain::Series;
use crate::download::{DownloadRequest, Wanted};

use super::super::args::{DownloadArgs, Origin, Origins};
use super::{SettingsError, named, series, thresholds, window};

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wishes {
    /// Which series, and which time of each.
    pub(super) request: DownloadRequest,
    /// The thresholds of the series whose job has one of its own.
    pub(super) gap_thresholds: BTreeMap<Series, Option<i64>>,
    /// What to say of jobs that do not count.
    pub(super) set_aside: Option<String>,
}

/// Reads what is wanted. Symbols from above the configuration file stand for its jobs.
///
/// # Errors
///
/// The first value that cannot be used, or a series that two jobs want.
pub(super) fn wishes(args: &DownloadArgs, origins: &Origins) -> Result<Wishes, SettingsError> {
    let from_above = origins.of("symbol").is_above_file();
    if !args.what.jobs.is_empty() && !from_above {
        return jobs(args, origins);
    }
    let request = DownloadRequest::of(&series(&args.what, origins)?, window(&args.what, origins)?);
    // Whoever types a symbol knows; a variable may have been forgotten.
    let is_forgotten = from_above && *origins.of("symbol") != Origin::Flag;
    let set_aside = args.what.jobs.first().filter(|_| is_forgotten).map(|job| {
        let (place, jobs) = (origins.place_of("symbol"), shown(&job.origin));
        format!("{place} stands for all jobs of the configuration file, the first of them {jobs}")
    });
    Ok(Wishes { request, gap_thresholds: BTreeMap::new(), set_aside })
}

fn jobs(args: &DownloadArgs, origins: &Origins) -> Result<Wishes, SettingsError> {
    let mut request = DownloadRequest { wanted: Vec::new() };
    let mut gap_thresholds = BTreeMap::new();
    let mut jobs: BTreeMap<Series, &Origin> = BTreeMap::new();
    for job in args.what.jobs.iter() {
        let full = job.over(args, origins);
        let of_job = series(&full.what, &full.origins).map_err(|error| match error {
            SettingsError::NoSymbol => no_symbol(&job.origin),
            other => other,
        });
        let window = window(&full.what, &full.origins)?;
        let of_job_alone = thresholds::read(&full.gap_threshold);
        let threshold = named("gap-threshold", &full.origins, of_job_alone)?;
        for series in of_job? {
            if let Some(first) = jobs.insert(series.clone(), &job.origin) {
                return Err(wanted_twice(&series, first, &job.origin));
            }
            if !full.gap_threshold.is_empty() {
                gap_thresholds.insert(series.clone(), threshold.of(&series));
            }
            request.wanted.push(Wanted { series, window });
        }
    }
    Ok(Wishes { request, gap_thresholds, set_aside: None })
}

fn no_symbol(job: &Origin) -> SettingsError {
    SettingsError::rule(
        format!("the job {} names no symbol", shown(job)),
        "add `symbol = \"R_100\"` to it, or above the first `[[series]]` for all jobs",
    )
}

fn wanted_twice(series: &Series, one: &Origin, other: &Origin) -> SettingsError {
    SettingsError::rule(
        format!("{series} is wanted by the job {} and by the one {}", shown(one), shown(other)),
        "leave each series to one job; kinds and widths make different series",
    )
}

/// Where a job begins.
fn shown(job: &Origin) -> String {
    match job {
        Origin::ConfigFile { path, line } => format!("in `{path}` line {line}"),
        _ => "of the command line".to_owned(),
    }
}

#[cfg(test)]
mod tests;
