//! The options that can be set elsewhere than on the command line: their names and their values.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command as ClapCommand, CommandFactory};

use super::Cli;
use super::layers::with_variable;
use super::origins::{Origin, Origins};
use super::shape::Shape;

/// The keys that a configuration file may have, for whichever command.
#[derive(Debug, Clone)]
pub struct Keys(BTreeMap<String, Shape>);

impl Keys {
    /// Every long name that has a variable.
    pub fn all() -> Self {
        let root = Cli::command();
        let commands = std::iter::once(&root).chain(root.get_subcommands());
        let named = commands.flat_map(with_variable);
        Self(named.map(|(arg, long)| (long.to_owned(), Shape::of(arg))).collect())
    }

    /// What a key takes; `None` if there is none of this name.
    pub fn shape(&self, key: &str) -> Option<Shape> {
        self.0.get(key).copied()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// An option with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its long name.
    pub option: String,
    /// What it belongs to, as `--help` groups it.
    pub group: String,
    /// What it takes.
    pub shape: Shape,
    /// Its values as texts; none if nobody said anything and there is no default.
    pub values: Vec<String>,
    /// Where they came from.
    pub origin: Origin,
}

/// The options of a command with the values that count.
pub(super) fn of(command: &ClapCommand, matches: &ArgMatches, origins: &Origins) -> Vec<Listed> {
    let listed = with_variable(command).map(|(arg, option)| {
        let id = arg.get_id().as_str();
        let shape = Shape::of(arg);
        let values = match shape {
            Shape::Flag => vec![matches.get_flag(id).to_string()],
            Shape::Count => vec![matches.get_count(id).to_string()],
            Shape::Text | Shape::Path | Shape::List => {
                let raw = matches.get_raw(id).into_iter().flatten();
                raw.map(|value| value.to_string_lossy().into_owned()).collect()
            }
        };
        let group = arg.get_help_heading().unwrap_or("Options").to_owned();
        Listed {
            option: option.to_owned(),
            group,
            shape,
            values,
            origin: origins.of(option).clone(),
        }
    });
    listed.collect()
}
