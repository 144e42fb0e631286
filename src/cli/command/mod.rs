//! One file for each command: what it does, step by step, over the parts that `wiring` puts
//! together.

pub(super) mod adopt;
pub(super) mod doctor;
pub(super) mod download;
pub(super) mod explain;
pub(super) mod handbook;
mod mixing;
pub(super) mod print_config;
pub(super) mod repair;
pub(super) mod report;
pub(super) mod simulate;
pub(super) mod status;
pub(super) mod symbols;
mod taken;
pub(super) mod verify;
pub(super) mod views;

use std::path::Path;

use super::error::Failure;
use super::exit::ExitCode;
use super::record::RunRecord;
use super::settings::{Talk, Volume};
use super::terminal::Terminal;

/// What every command is given.
pub(super) struct Context {
    /// Names this run.
    pub(super) session: String,
    /// Where is written.
    pub(super) terminal: Terminal,
    /// How much, and how.
    pub(super) talk: Talk,
    /// What the run tells others.
    pub(super) record: RunRecord,
}

impl Context {
    /// Tells whether nothing is to be said about a run that ended like this.
    fn is_silent(&self, exit: ExitCode) -> bool {
        self.talk.volume == Volume::Quiet && exit == ExitCode::Success
    }
}

/// Refuses a folder that cannot be looked into; `which` says what folder is meant.
fn must_be_readable(root: &Path, which: &str) -> Result<(), Failure> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the folder `{0}`")]
    struct CannotRead(String, #[source] std::io::Error);
    let Err(error) = std::fs::read_dir(root) else { return Ok(()) };
    let failure = Failure::cannot_start(CannotRead(root.display().to_string(), error));
    Err(failure.with_hint(format!("name the folder of {which} with `--output`")))
}
