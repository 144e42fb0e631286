//! `adopt`: take over the partitions of another tool in a folder. Asks nobody, deletes nothing.

use crate::domain::{Severity, StoreError};
use crate::storage::Fate;

use super::super::error::{Failure, chain};
use super::super::exit::ExitCode;
use super::super::report;
use super::super::report::adopt::TakenOver;
use super::super::settings::AdoptSettings;
use super::super::terminal;
use super::super::wiring::{self, Adopter};
use super::Context;

/// Takes over what is there, or shows what would become of it.
pub(crate) fn run(settings: &AdoptSettings, context: &Context) -> Result<ExitCode, Failure> {
    let root = &settings.root;
    super::must_be_readable(root, "the old cache")?;
    if !wiring::holds_archive(root) {
        return Err(super::no_archive(root));
    }
    super::mixing::refuse_real(root)?;
    let mut adopter = Adopter::open(settings, &context.session)?;
    let result = taken_over(settings, &mut adopter)?;
    let exit = exit(&result);
    let printed = terminal::print(|out| {
        if context.talk.json {
            writeln!(out, "{}", report::json::adopt(root, &result, &context.session, exit))
        } else if context.is_silent(exit) {
            Ok(())
        } else {
            report::adopt::write(out, root, &result)
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    for (series, owner) in &result.held {
        let chain = [format!("{series} was left out: it is being written by {owner}")];
        context.terminal.say(&report::problem_text(&chain, None));
    }
    Ok(exit)
}

/// Goes through the partitions, series by series.
fn taken_over(settings: &AdoptSettings, adopter: &mut Adopter) -> Result<TakenOver, Failure> {
    let (keys, strangers) = adopter.contents();
    let is_dry_run = settings.dry_run;
    let mut result = TakenOver { is_dry_run, strangers, ..TakenOver::default() };
    if !is_dry_run {
        adopter.prepare(&keys).map_err(|error| cannot_start(error, settings))?;
    }
    for key in keys {
        let end = if is_dry_run { adopter.survey(&key) } else { adopter.adopt(&key) };
        match end {
            Ok(Some(adoption)) => result.partitions.push((key, Ok(adoption))),
            Ok(None) => {}
            Err(StoreError::Held { owner, .. }) => {
                if result.held.iter().all(|(series, _)| *series != key.series) {
                    result.held.push((key.series, owner));
                }
            }
            Err(error) => result.partitions.push((key, Err(chain(&error)))),
        }
    }
    if let (true, Some((series, owner))) = (result.partitions.is_empty(), result.held.first()) {
        let error = StoreError::Held { series: series.to_string(), owner: owner.clone() };
        return Err(Failure::new(ExitCode::Held, error)
            .with_hint("wait for the other run to end, then run this again"));
    }
    Ok(result)
}

fn cannot_start(error: StoreError, settings: &AdoptSettings) -> Failure {
    let hint =
        format!("check the permissions of `{}` and the space on its disk", settings.root.display());
    Failure::cannot_start(error).with_hint(hint)
}

/// 1 if a file moved to quarantine as a whole, could not be read, or its series is being written.
fn exit(result: &TakenOver) -> ExitCode {
    let is_fine = |adoption: &crate::storage::Adoption| {
        adoption.fate != Fate::SetAside
            && adoption.findings.iter().all(|finding| finding.severity < Severity::Error)
    };
    let all_fine = result.partitions.iter().all(|(_, end)| end.as_ref().is_ok_and(is_fine));
    match all_fine && result.held.is_empty() {
        true => ExitCode::Success,
        false => ExitCode::Incomplete,
    }
}
