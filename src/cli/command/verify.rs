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
    if let Err(error) = std::fs::read_dir(root) {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the folder `{0}`")]
        struct CannotRead(String, #[source] std::io::Error);
        let failure = Failure::cannot_start(CannotRead(root.display().to_string(), error));
        return Err(failure.with_hint("name the folder of an archive with `--output`"));
    }
    let checked = wiring::verify(settings, context.talk.json)?;
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
