//! `report`: one page with the whole archive to look at. Asks nobody and changes nothing in it.

use std::path::Path;

use crate::domain::{Epoch, StoreError};
use crate::format::Layout;
use crate::integrity::Survey;
use crate::storage::SmallFiles;

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::record::{self, OwnFile, RunNote};
use super::super::report::html::{self, Course, Facts};
use super::super::report::text::{counted, size};
use super::super::settings::look::ReportSettings;
use super::super::terminal::escaped;
use super::super::{clock, terminal, wiring};
use super::Context;

/// The page, which replaces an earlier one and nothing else.
const PAGE: OwnFile = OwnFile { option: "--html", what: "page", beginning: html::BEGINNING };

/// Looks at an archive that is being written, at most.
const MOST_LOOKS: usize = 4;

#[derive(Debug, thiserror::Error)]
#[error("cannot write the page `{path}`")]
struct CannotWrite {
    path: String,
    source: StoreError,
}

/// Reads the archive, and writes the page.
pub(crate) fn run(settings: &ReportSettings, context: &Context) -> Result<ExitCode, Failure> {
    let root = &settings.root;
    super::must_hold_archive(root)?;
    // Before the files are read, which may take a while.
    if let Some(file) = &settings.file {
        record::may_be_replaced(PAGE, file, root)?;
    }
    let look = settled(root);
    if look.survey.series.is_empty() && look.survey.blind_spots().next().is_none() {
        let said = format!("`{}` holds no series yet; no page is written", root.display());
        return Err(Failure::new(ExitCode::Incomplete, said)
            .with_hint("download something first, or name another folder with `--output`"));
    }
    let facts = look.facts(root);
    let page = html::page(&facts).map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    let exit = if facts.problems().is_empty() { ExitCode::Success } else { ExitCode::Incomplete };
    match &settings.file {
        None => terminal::print(|out| out.write_all(page.as_bytes())).map_err(incomplete)?,
        Some(file) => {
            write(file, &page, &context.session)?;
            tell(&facts, file, page.len(), exit, context).map_err(incomplete)?;
        }
    }
    Ok(exit)
}

/// What the archive said when it was read.
struct Look {
    survey: Survey,
    courses: Vec<Course>,
    runs: Result<Vec<RunNote>, String>,
    now: Epoch,
}

impl Look {
    fn at(root: &Path) -> Self {
        let now = clock::now();
        let survey = wiring::survey_of(root);
        let read = |key: &_, step_secs| wiring::prices(root, key, step_secs);
        let courses = survey.series.iter().map(|found| Course::of(found, now, read)).collect();
        Self { survey, courses, runs: record::runs(root), now }
    }

    fn facts<'a>(&'a self, root: &'a Path) -> Facts<'a> {
        Facts {
            root,
            survey: &self.survey,
            courses: &self.courses,
            runs: &self.runs,
            is_invented: Layout::new(root).invented_mark().exists(),
            now: self.now,
        }
    }
}

/// A run that publishes between two looks at a month makes its file and its sidecar disagree: a
/// problem is one only if the next look sees the same.
fn settled(root: &Path) -> Look {
    let mut look = Look::at(root);
    for _ in 1..MOST_LOOKS {
        let problems = look.facts(root).problems();
        if problems.is_empty() {
            break;
        }
        let next = Look::at(root);
        let is_settled = next.facts(root).problems() == problems;
        look = next;
        if is_settled {
            break;
        }
    }
    look
}

fn incomplete(error: std::io::Error) -> Failure {
    Failure::new(ExitCode::Incomplete, error)
}

fn write(file: &Path, page: &str, session: &str) -> Result<(), Failure> {
    let files = SmallFiles::new(session);
    files.sweep(file);
    files.replace(file, page.as_bytes()).map_err(|source| {
        let path = file.display().to_string();
        Failure::cannot_start(CannotWrite { path, source })
            .with_hint("name a file in a folder that can be written with `--html`")
    })
}

/// Says what was written, and what of the archive could not be read.
fn tell(
    facts: &Facts<'_>,
    file: &Path,
    bytes: usize,
    exit: ExitCode,
    context: &Context,
) -> std::io::Result<()> {
    if context.talk.json {
        let object = html::json(facts, file, bytes, &context.session, exit);
        return terminal::print(|out| writeln!(out, "{object}"));
    }
    if context.is_silent(exit) {
        return Ok(());
    }
    let problems = facts.problems();
    let months = counted(html::n_months(facts.survey), "month");
    let rows = counted(html::n_rows(facts.survey), "row");
    let n_series = facts.survey.series.len();
    terminal::print(|out| {
        let (file, bytes) = (escaped(&file.display().to_string()), size(bytes as u64));
        writeln!(out, "wrote `{file}`, {bytes}: {n_series} series, {months}, {rows}")?;
        for problem in &problems {
            writeln!(out, "  {}: {}", problem.what, problem.why)?;
        }
        Ok(())
    })
}
