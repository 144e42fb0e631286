//! `status`: how far each series is proved, and whether that is far enough. Asks nobody, changes
//! nothing, and is the one command that holds the archive against the clock of this machine.

use crate::domain::Kind;
use crate::integrity::Selection;

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::gate;
use super::super::report::calendar::Canvas;
use super::super::report::{self, status::Shown};
use super::super::settings::Volume;
use super::super::settings::look::StatusSettings;
use super::super::{clock, record, terminal, wiring};
use super::{Context, Selected};

/// Looks at the archive and prints how it stands.
pub(crate) fn run(settings: &StatusSettings, context: &Context) -> Result<ExitCode, Failure> {
    let root = &settings.root;
    must_hold(settings)?;
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
            report::status::write(out, &shown, Canvas { width, colours })
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}

/// A requirement says itself which series are not there; else whoever names one means one that is.
fn must_hold(settings: &StatusSettings) -> Result<(), Failure> {
    let Selection { symbols, kinds } = &settings.selection;
    if settings.requirement.is_some() || (symbols.is_empty() && kinds.is_empty()) {
        return super::must_hold_archive(&settings.root);
    }
    let is_kind = |kind: Kind| kinds.is_empty() || kinds.contains(&kind);
    let kinds = if kinds.is_empty() { "" } else { " of the kinds that were named" };
    super::must_hold(&settings.root, &Selected { symbols, is_kind: &is_kind, kinds })
}
