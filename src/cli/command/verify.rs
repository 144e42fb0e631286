//! `verify`: recompute every promise of an archive from its files. Asks nobody, changes nothing.

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::report;
use super::super::settings::VerifySettings;
use super::super::terminal;
use super::super::wiring;
use super::Context;

/// Checks the archive and prints what was found.
pub(crate) fn run(settings: &VerifySettings, context: &Context) -> Result<ExitCode, Failure> {
    let root = &settings.root;
    super::must_be_readable(root)?;
    let checked = wiring::verify(settings)?;
    let exit = if checked.is_sound() { ExitCode::Success } else { ExitCode::Incomplete };
    let printed = terminal::print(|out| {
        if context.talk.json {
            writeln!(out, "{}", report::json::verify(root, &checked, &context.session, exit))
        } else if context.is_silent(exit) {
            Ok(())
        } else {
            report::verify::write(out, root, &checked)
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}
