//! `views`: how DuckDB sees the archive as tables. Asks nobody, changes nothing.

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::settings::look::ViewsSettings;
use super::super::{report, terminal, wiring};
use super::Context;

/// Prints the views over what the archive holds.
pub(crate) fn run(settings: &ViewsSettings, context: &Context) -> Result<ExitCode, Failure> {
    super::must_hold_archive(&settings.root)?;
    // The views shall work wherever they are used.
    let root = settings.root.canonicalize().map_err(Failure::cannot_start)?;
    let series = wiring::series_of(&root);
    let exit = if series.is_empty() { ExitCode::Incomplete } else { ExitCode::Success };
    let views = report::views::Views::new(&root, &series).map_err(|path| {
        Failure::cannot_start(path).with_hint("DuckDB takes text only; rename the folder")
    })?;
    if settings.sql && !context.talk.json && series.is_empty() {
        // Statements over nothing would be an empty file, and nobody told.
        return Err(Failure::new(exit, format!("`{}` holds no series yet", root.display()))
            .with_hint("download something first, or name another folder with `--output`"));
    }
    terminal::print(|out| match (context.talk.json, settings.sql) {
        (true, _) => writeln!(out, "{}", report::views::json(&views, &context.session, exit)),
        (false, true) => report::views::write_sql(out, &views),
        (false, false) => report::views::write_list(out, &views),
    })
    .map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}
