//! `explain`: where the row or the silence of one second comes from. Asks nobody, changes nothing.

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::settings::look::ExplainSettings;
use super::super::{report, terminal, wiring};
use super::Context;

/// Explains the second and prints what it rests on.
pub(crate) fn run(settings: &ExplainSettings, context: &Context) -> Result<ExitCode, Failure> {
    super::must_hold_archive(&settings.root)?;
    let found = wiring::explain(settings).map_err(|error| {
        let held: Vec<_> = error.held.iter().map(ToString::to_string).collect();
        let hint = match held.is_empty() {
            true => "it is empty; name another folder with `--output`".to_owned(),
            false => format!("it holds {}", held.join(", ")),
        };
        Failure::cannot_start(error).with_hint(hint)
    })?;
    let exit = match found.contradictions.is_empty() {
        true => ExitCode::Success,
        false => ExitCode::Incomplete,
    };
    let printed = terminal::print(|out| {
        if context.talk.json {
            writeln!(
                out,
                "{}",
                report::json::explain(&settings.root, &found, &context.session, exit)
            )
        } else if context.is_silent(exit) {
            Ok(())
        } else {
            report::explain::write(out, &settings.root, &found)
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}
