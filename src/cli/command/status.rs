//! `status`: how far each series is proved, and whether that is far enough. Asks nobody, changes
//! nothing, and is the one command that holds the archive against the clock of this machine.

use crate::domain::Symbol;

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::gate;
use super::super::report::calendar::Canvas;
use super::super::report::{self, status::Shown};
use super::super::settings::Volume;
use super::super::settings::look::StatusSettings;
use super::super::{clock, record, terminal, wiring};
use super::Context;

/// Looks at the archive and prints how it stands.
pub(crate) fn run(settings: &StatusSettings, context: &Context) -> Result<ExitCode, Failure> {
    let root = &settings.root;
    super::must_be_readable(root, "an archive")?;
    let survey = wiring::survey(settings);
    let last_run = record::last_run(root);
    let now = clock::now();
    let required = settings.requirement;
    let shortfalls = required.map(|r| gate::shortfalls(&survey, &settings.asked, r, now));
    let falls_short = shortfalls.as_ref().is_some_and(|short| !short.is_empty());
    let exit = if falls_short { ExitCode::Incomplete } else { ExitCode::Success };
    let shown = Shown {
        root,
        survey: &survey,
        now,
        calendar: settings.calendar,
        shortfalls: shortfalls.as_deref(),
        last_run: last_run.as_ref(),
    };
    let (width, colours) = terminal::stdout_canvas();
    let printed = terminal::print(|out| {
        if context.talk.json {
            writeln!(out, "{}", report::json::status(&shown, &context.session, exit))
        } else if context.is_silent(exit) {
            Ok(())
        } else if context.talk.volume == Volume::Quiet {
            report::status::write_shortfalls(out, &shown)
        } else {
            report::status::write(out, &shown, Canvas { width, colours })?;
            write_unknown(out, settings, &survey)
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}

/// Symbols that were named and are not there; a requirement says so itself.
fn write_unknown(
    out: &mut dyn std::io::Write,
    settings: &StatusSettings,
    survey: &crate::integrity::Survey,
) -> std::io::Result<()> {
    if settings.requirement.is_some() {
        return Ok(());
    }
    let is_there =
        |symbol: &Symbol| survey.series.iter().any(|found| found.series.symbol == *symbol);
    for symbol in settings.asked.symbols.iter().filter(|symbol| !is_there(symbol)) {
        writeln!(out, "\nnothing of `{symbol}` is in the archive")?;
    }
    Ok(())
}
