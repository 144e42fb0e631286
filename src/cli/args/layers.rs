//! The places that speak for an option where the command line is silent: the environment, `.env`,
//! the configuration file. Each option is answered by the first of them that says anything.
//!
//! What they say becomes the default of the option before the command line is read a second time,
//! so that what was typed always wins, and lists are replaced, never joined.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command as ClapCommand};

use super::super::config::ConfigFile;
use super::super::error::Failure;
use super::super::terminal::escaped;
use super::super::variables::Variables;
use super::origins::{Origin, Origins, variable};
use super::shape::Shape;

/// The option that names the configuration file; a file cannot name another one.
pub(super) const CONFIG: &str = "config";

/// What speaks below the command line.
#[derive(Debug, Default)]
pub struct Layers {
    /// The environment and `.env`.
    pub variables: Variables,
    /// The configuration file, if there is one.
    pub file: Option<ConfigFile>,
}

/// Options that exclude each other. The highest place that says anything about a group says all of
/// it: a typed `--start-date` silences `TITAN_END_DATE` and `months` of a file. What is in one camp
/// goes together; two camps in one place are an error.
const RIVALS: [&[&[&str]]; 3] = [
    &[&["months"], &["start_date", "end_date"], &["test"]],
    &[&["endpoint"], &["demo"]],
    &[&["quiet"], &["verbose"]],
];

/// What a place said about an option.
#[derive(Debug, Clone)]
struct Said {
    option: String,
    origin: Origin,
    values: Vec<OsString>,
    is_off: bool,
}

/// What the places below the command line say, by the id of the option.
#[derive(Debug, Default)]
pub(super) struct Answers(BTreeMap<String, Said>);

impl Answers {
    /// Asks every place for every option of `command` that was not typed.
    ///
    /// # Errors
    ///
    /// If a place says something that is no answer, or contradicts itself.
    pub(super) fn of(
        command: &ClapCommand,
        typed: &ArgMatches,
        layers: &Layers,
    ) -> Result<Self, Failure> {
        let mut answers = Self::default();
        for (arg, option) in with_variable(command) {
            let id = arg.get_id().as_str();
            let is_typed = typed.value_source(id) == Some(ValueSource::CommandLine);
            let said = match is_typed {
                true => Some(typed_value(option)),
                false => answer(arg, option, layers)?,
            };
            answers.0.extend(said.map(|said| (id.to_owned(), said)));
        }
        answers.settle_rivals()?;
        Ok(answers)
    }

    fn settle_rivals(&mut self) -> Result<(), Failure> {
        for camps in RIVALS {
            let speaks = |id: &&str| self.0.get(*id).filter(|said| !said.is_off);
            let ranks = camps.iter().copied().flatten().filter_map(speaks);
            let Some(best) = ranks.map(|said| said.origin.rank()).min() else { continue };
            for id in camps.iter().copied().flatten() {
                if self.0.get(*id).is_some_and(|s| !s.is_off && s.origin.rank() > best) {
                    self.0.remove(*id);
                }
            }
            let speaks = |id: &&str| self.0.get(*id).filter(|said| !said.is_off);
            let first = |camp: &&[&str]| camp.iter().find_map(speaks);
            let speaking: Vec<_> = camps.iter().filter_map(first).collect();
            if let [one, other, ..] = speaking.as_slice()
                && one.origin != Origin::Flag
            {
                return Err(rivals(one, other));
            }
        }
        Ok(())
    }

    /// The definition with these answers as defaults, and deaf to the environment.
    pub(super) fn become_defaults(&self, command: ClapCommand) -> ClapCommand {
        deaf(command).mut_args(|arg| match self.0.get(arg.get_id().as_str()) {
            Some(said) if said.origin != Origin::Flag => arg.default_values(said.values.clone()),
            _ => arg,
        })
    }

    /// Where each value came from.
    pub(super) fn origins(&self) -> Origins {
        let mut origins = Origins::default();
        for said in self.0.values() {
            origins.set(&said.option, said.origin.clone());
        }
        origins
    }
}

fn rivals(one: &Said, other: &Said) -> Failure {
    let place = |said: &Said| said.origin.place_of(&said.option);
    let problem = format!("{} and {} exclude each other", place(one), place(other));
    Failure::cannot_start(problem).with_hint("keep one of them")
}

/// The options of a command that can be set elsewhere than on the command line.
pub(super) fn with_variable(command: &ClapCommand) -> impl Iterator<Item = (&Arg, &str)> {
    let named = command.get_arguments().filter(|arg| arg.get_env().is_some());
    named.filter_map(|arg| Some((arg, arg.get_long()?))).filter(|(_, long)| *long != CONFIG)
}

/// The definition, with no variable read.
pub(super) fn deaf(command: ClapCommand) -> ClapCommand {
    command.mut_args(|arg| arg.env(Resettable::Reset))
}

/// Rivals look only at who spoke; the value is read from the command line itself.
fn typed_value(option: &str) -> Said {
    let option = option.to_owned();
    Said { option, origin: Origin::Flag, values: Vec::new(), is_off: false }
}

/// What the first place that says anything says.
fn answer(arg: &Arg, option: &str, layers: &Layers) -> Result<Option<Said>, Failure> {
    let shape = Shape::of(arg);
    let (texts, origin) = if let Some((text, origin)) = layers.variables.get(&variable(option)) {
        (vec![text], origin)
    } else if let Some((given, file)) =
        layers.file.as_ref().and_then(|file| Some((file.values.get(option)?, file)))
        && !given.is_void()
    {
        let texts = given.texts.iter().map(OsString::from).collect();
        (texts, file.origin(given.line))
    } else {
        return Ok(None);
    };
    let values: Result<Vec<_>, _> =
        texts.iter().map(|text| value(text, shape, &origin.place_of(option))).collect();
    let values = values?;
    let is_off = values.iter().all(|text| text.to_str().is_some_and(|text| shape.is_off(text)));
    Ok(Some(Said { option: option.to_owned(), origin, values, is_off }))
}

fn value(text: &OsStr, shape: Shape, place: &str) -> Result<OsString, Failure> {
    if shape == Shape::Path {
        return Ok(text.to_owned());
    }
    let bad = |problem: &str, hint: &str| {
        Failure::cannot_start(format!("cannot read {place}: {problem}")).with_hint(hint)
    };
    let text = text.to_str().ok_or_else(|| bad("it is not UTF-8", "write it as UTF-8"))?;
    shape.read(text).map(OsString::from).map_err(|(problem, hint)| {
        let shown: String = text.chars().take(40).collect();
        bad(&format!("`{}` {problem}", escaped(&shown)), hint)
    })
}

#[cfg(test)]
mod tests;
