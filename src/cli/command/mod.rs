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

use crate::domain::{Kind, Series, Symbol};

use super::error::Failure;
use super::exit::ExitCode;
use super::record::RunRecord;
use super::settings::{Talk, Volume};
use super::terminal::Terminal;
use super::wiring;

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

/// Refuses a folder that holds no archive: of nothing, nothing can be said.
fn must_hold_archive(root: &Path) -> Result<(), Failure> {
    must_be_readable(root, "an archive")?;
    match wiring::holds_archive(root) {
        true => Ok(()),
        false => Err(no_archive(root)),
    }
}

fn no_archive(root: &Path) -> Failure {
    let said = format!("`{}` holds no archive", root.display());
    Failure::cannot_start(said).with_hint(
        "it would hold a folder `.titan`, or files like `R_100/ticks/2026-03.parquet`; name the \
         folder of the archive with `--output`, or mount the disk that it is on",
    )
}

/// What of an archive a command is about. No symbol means all of them.
struct Selected<'a> {
    symbols: &'a [Symbol],
    /// Which kinds, and how they are called.
    is_kind: &'a dyn Fn(Kind) -> bool,
    kinds: &'a str,
}

impl Selected<'_> {
    fn takes(&self, series: &Series) -> bool {
        let has_symbol = self.symbols.is_empty() || self.symbols.contains(&series.symbol);
        has_symbol && (self.is_kind)(series.kind)
    }
}

/// Refuses a folder that holds no partition, and a selection of which it holds nothing: nothing
/// that is there is never sound.
fn must_hold(root: &Path, selected: &Selected<'_>) -> Result<(), Failure> {
    must_hold_archive(root)?;
    // What cannot be looked at may be what is meant; the command itself says so.
    let Some(series) = wiring::series_known(root) else { return Ok(()) };
    let shown = root.display();
    if series.is_empty() {
        return Err(Failure::cannot_start(format!("`{shown}` holds no partition yet"))
            .with_hint("download something first, or name another folder with `--output`"));
    }
    let is_missing = |symbol: &&Symbol| {
        let one = Selected { symbols: std::slice::from_ref(*symbol), ..*selected };
        !series.iter().any(|series| one.takes(series))
    };
    let held = || {
        let held: Vec<_> = series.iter().map(ToString::to_string).collect();
        format!("it holds {}", held.join(", "))
    };
    let kinds = selected.kinds;
    if let Some(symbol) = selected.symbols.iter().find(is_missing) {
        let said = format!("`{shown}` holds nothing of `{symbol}`{kinds}");
        return Err(Failure::cannot_start(said).with_hint(held()));
    }
    match series.iter().any(|series| selected.takes(series)) {
        true => Ok(()),
        false => {
            Err(Failure::cannot_start(format!("`{shown}` holds nothing{kinds}")).with_hint(held()))
        }
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
