//! The configuration file: `--config FILE`, or `titan.toml` in the current folder.
//!
//! Here a file becomes keys with their texts and lines. What the texts mean is read by `settings`,
//! which reads those of the command line and of the environment alike.

mod parse;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::args::{Given, JobArgs, Keys, Origin};
use super::error::Failure;
use super::terminal::escaped;

pub use parse::parse;

/// Read without being named, if it is there.
pub const USUAL_NAME: &str = "titan.toml";

/// Some thousand jobs; a larger file is another file by mistake.
const MOST_BYTES: u64 = 1 << 20;

const HINT: &str = "name a file of settings with `--config`, as the README shows one";

/// What a configuration file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its name as it was given.
    pub path: Arc<str>,
    /// The values for every command, by long name of the option.
    pub values: BTreeMap<String, Given>,
    /// The jobs of the main job, in their order.
    pub jobs: Vec<JobArgs>,
}

impl ConfigFile {
    /// What comes from a line of it.
    pub fn origin(&self, line: usize) -> Origin {
        Origin::ConfigFile { path: Arc::clone(&self.path), line }
    }
}

/// Reads the file that is named, or the usual one if it is there.
///
/// # Errors
///
/// If the file cannot be read, or says something that is no setting.
pub fn load(named: Option<&Path>, keys: &Keys) -> Result<Option<ConfigFile>, Failure> {
    let path = named.unwrap_or(Path::new(USUAL_NAME));
    let shown = escaped(&path.to_string_lossy());
    let refuse = |why: &str| {
        let problem = format!("cannot read the configuration file `{shown}`: {why}");
        Failure::cannot_start(problem).with_hint(HINT)
    };
    let bytes = match read(path, named.is_some()) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(None);
        }
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            return Err(refuse("it is a folder"));
        }
        Err(error) => return Err(refuse(&error.to_string())),
    };
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refuse(&format!("it is larger than {} KiB", MOST_BYTES >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        refuse(&format!("it is not UTF-8 from line {line} on"))
    })?;
    parse(&shown, &text, keys).map(Some)
}

/// The content, and no more than one byte too many of it. A pipe that was named is read, for a shell
/// makes one of `<(…)`; one that nobody named would keep the program waiting for ever.
fn read(path: &Path, is_named: bool) -> io::Result<Vec<u8>> {
    let found = std::fs::metadata(path)?;
    if !is_named && !found.is_file() && !found.is_dir() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
