//! `--print-config`: every setting of the main job with its value and where it comes from. Asks
//! nobody and writes nothing.

use super::super::args::{Origin, Parsed};
use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::report::config::{self, Shown};
use super::super::settings::{self, Outside, SettingsError};
use super::super::terminal;
use super::Context;

/// Prints the settings, and then what is wrong with them, if anything is.
///
/// # Errors
///
/// If a download with these settings could not start, unless all that is missing is a symbol.
pub(crate) fn run(
    parsed: &Parsed,
    token: Option<&Origin>,
    outside: &Outside<'_>,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let args = &parsed.cli.download;
    let (settings, wrong) = match settings::download(args, &parsed.origins, outside) {
        Ok(settings) => (Some(settings), None),
        Err(SettingsError::NoSymbol) => (None, None),
        Err(error) => (None, Some(error)),
    };
    let json = context.talk.json;
    // A program that reads the result gets one object: then the one that says what is wrong.
    if !json || wrong.is_none() {
        let shown = Shown { parsed, token, outside, settings: settings.as_ref() };
        let printed = terminal::print(|out| match json {
            true => writeln!(out, "{}", config::json(&shown, &context.session)),
            false => config::write(out, &shown),
        });
        printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    }
    match wrong {
        None => Ok(ExitCode::Success),
        Some(error) => Err(error.into()),
    }
}
