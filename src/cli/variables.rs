//! The variables of the program: those of the environment, and those that only `.env` sets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::args::Origin;
use super::error::Failure;

/// Holds defaults for the environment, in the current folder.
pub(super) const ENV_FILE: &str = ".env";

/// No text file.
const HAS_NUL: &str = "it holds a NUL byte";

/// How the name of every variable of ours begins.
const PREFIX: &str = "TITAN_";

/// The variables of the program, by name.
#[derive(Debug, Default)]
pub struct Variables {
    /// As they were before `.env` was read.
    pub environment: BTreeMap<String, OsString>,
    /// As `.env` has them.
    pub env_file: BTreeMap<String, OsString>,
}

impl Variables {
    /// Reads both. What else is in `.env` comes into the environment of the process; variables
    /// that are set already stay as they are. To be called before any other thread is started.
    ///
    /// # Errors
    ///
    /// If `.env` is there and cannot be read.
    pub fn read() -> Result<Self, Failure> {
        let ours =
            |name: &OsStr| name.to_str().filter(|n| n.starts_with(PREFIX)).map(str::to_owned);
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((ours(&name)?, value))).collect();
        let env_file = read_env_file(Path::new(ENV_FILE)).map_err(failure)?;
        Ok(Self { environment, env_file })
    }

    /// What a variable says, and where. An empty one says nothing.
    pub fn get(&self, name: &str) -> Option<(OsString, Origin)> {
        let said = |place: &BTreeMap<String, OsString>, origin: Origin| {
            let value = place.get(name).filter(|value| !is_void(value))?;
            Some((value.clone(), origin))
        };
        said(&self.environment, Origin::Environment)
            .or_else(|| said(&self.env_file, Origin::EnvFile))
    }
}

fn is_void(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

/// The variables of ours in a file; of several lines for one of them the first counts.
fn read_env_file(path: &Path) -> Result<BTreeMap<String, OsString>, dotenvy::Error> {
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut ours = BTreeMap::new();
    for line in lines {
        let (name, value) = line?;
        // No variable can hold a NUL, and the attempt to set one ends with its value on the screen.
        if name.contains('\0') || value.contains('\0') {
            return Err(dotenvy::Error::Io(io::Error::other(HAS_NUL)));
        }
        if name.starts_with(PREFIX) {
            ours.entry(name).or_insert_with(|| OsString::from(value));
        }
    }
    dotenvy::from_path(path)?;
    Ok(ours)
}

fn failure(error: dotenvy::Error) -> Failure {
    match error {
        // The library's own message quotes the line, and the line may hold the token.
        dotenvy::Error::LineParse(..) => Failure::cannot_start("cannot read `.env`")
            .with_hint("write one `NAME=value` on each line, quoted if it holds spaces"),
        dotenvy::Error::Io(error) if error.to_string() == HAS_NUL => {
            Failure::cannot_start(format!("cannot read `.env`: {HAS_NUL}"))
                .with_hint("write one `NAME=value` on each line, as plain text")
        }
        error => {
            let why = io::Error::other(error);
            Failure::cannot_start(format!("cannot read `.env`: {why}"))
                .with_hint("put plain text there that you may read, or take it away")
        }
    }
}
