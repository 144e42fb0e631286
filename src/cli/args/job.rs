//! A job of the configuration file: `[[series]]`, as it was written.

use std::collections::BTreeMap;

use super::origins::{Origin, Origins};
use super::{DownloadArgs, WhatArgs};

/// The options that a job may have of its own.
pub const JOB_KEYS: [&str; 7] =
    ["symbol", "kind", "granularity", "months", "start-date", "end-date", "gap-threshold"];

/// The options that say which time; whoever says one of them says all of it.
const WINDOW: [&str; 4] = ["months", "start-date", "end-date", "test"];

/// What was written for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The values, none of them empty.
    pub texts: Vec<String>,
    /// The line of the key, counted from 1.
    pub line: usize,
}

impl Given {
    /// Tells whether nothing was said: what is empty counts as not given.
    pub fn is_void(&self) -> bool {
        self.texts.is_empty()
    }
}

/// One `[[series]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobArgs {
    /// Where it begins.
    pub origin: Origin,
    /// What it says, by key.
    pub values: BTreeMap<String, Given>,
}

/// A job with everything it inherits.
#[derive(Debug, Clone)]
pub struct FullJob {
    /// Which series and which time.
    pub what: WhatArgs,
    /// Which silences are gaps, if the job says so itself; empty if not.
    pub gap_threshold: Vec<String>,
    /// Where each of these came from.
    pub origins: Origins,
}

impl JobArgs {
    /// The job with what it inherits: its own values stand for those of the file, so the command
    /// line, the environment and `.env` win over them.
    pub fn over(&self, args: &DownloadArgs, origins: &Origins) -> FullJob {
        let mut what = args.what.clone();
        let mut own = origins.clone();
        let list = |key: &str, own: &mut Origins, place: &mut Vec<String>| {
            if let Some(given) = self.own(key, origins) {
                let split = given.texts.iter().flat_map(|text| text.split(','));
                *place = split.map(str::to_owned).collect();
                own.set(key, self.place(given.line));
            }
        };
        list("symbol", &mut own, &mut what.symbols);
        list("kind", &mut own, &mut what.kinds);
        list("granularity", &mut own, &mut what.granularities);
        let has_window = WINDOW.iter().any(|key| self.own(key, origins).is_some());
        if has_window && !says_window(args, origins) {
            what.test = false;
            let one = |key: &str, own: &mut Origins| {
                let given = self.own(key, origins);
                let origin = given.map_or(Origin::Default, |given| self.place(given.line));
                own.set(key, origin);
                given.map(|given| given.texts.join(","))
            };
            what.months = one("months", &mut own);
            what.start_date = one("start-date", &mut own);
            what.end_date = one("end-date", &mut own);
        }
        let mut gap_threshold = Vec::new();
        list("gap-threshold", &mut own, &mut gap_threshold);
        FullJob { what, gap_threshold, origins: own }
    }

    /// What the job says of a key, unless a place above the file says something else.
    fn own(&self, key: &str, origins: &Origins) -> Option<&Given> {
        let given = self.values.get(key).filter(|given| !given.is_void());
        given.filter(|_| !origins.of(key).is_above_file())
    }

    fn place(&self, line: usize) -> Origin {
        match &self.origin {
            Origin::ConfigFile { path, .. } => Origin::ConfigFile { path: path.clone(), line },
            other => other.clone(),
        }
    }
}

/// Whether a place above the file says which time.
fn says_window(args: &DownloadArgs, origins: &Origins) -> bool {
    WINDOW.iter().any(|key| origins.of(key).is_above_file() && (*key != "test" || args.what.test))
}
