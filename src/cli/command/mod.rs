//! One file for each command: what it does, step by step, over the parts that `wiring` puts
//! together.

pub(super) mod adopt;
pub(super) mod download;
mod mixing;
pub(super) mod simulate;
pub(super) mod verify;

use super::exit::ExitCode;
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
}

impl Context {
    /// Tells whether nothing is to be said about a run that ended like this.
    fn is_silent(&self, exit: ExitCode) -> bool {
        self.talk.volume == Volume::Quiet && exit == ExitCode::Success
    }
}
