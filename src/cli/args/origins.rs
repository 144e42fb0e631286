//! Where the value of an option came from.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the value of an option came from, the place that wins first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// A variable that only `.env` sets.
    EnvFile,
    /// The configuration file.
    ConfigFile {
        /// Its name as it was given.
        path: Arc<str>,
        /// Counted from 1.
        line: usize,
    },
    /// Nobody said anything.
    Default,
}

impl Origin {
    /// Tells whether this wins over the configuration file.
    pub fn is_above_file(&self) -> bool {
        matches!(self, Self::Flag | Self::Environment | Self::EnvFile)
    }

    /// How much nearer to the person who starts the program; the lines of one file are equal.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Flag => 0,
            Self::Environment => 1,
            Self::EnvFile => 2,
            Self::ConfigFile { .. } => 3,
            Self::Default => 4,
        }
    }

    /// Where a person finds the value of an option, literals in backticks.
    pub fn place_of(&self, option: &str) -> String {
        match self {
            Self::Flag | Self::Default => format!("`--{option}`"),
            Self::Environment => format!("`{}`", variable(option)),
            Self::EnvFile => format!("`{}` in `.env`", variable(option)),
            Self::ConfigFile { path, line } => format!("`{option}` in `{path}` line {line}"),
        }
    }
}

/// The variable of an option.
pub fn variable(option: &str) -> String {
    format!("TITAN_{}", option.to_uppercase().replace('-', "_"))
}

/// Where the value of each option came from, by its long name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Where a person finds the value of an option, literals in backticks: `` `--rate` ``,
    /// `` `TITAN_RATE` ``, `` `TITAN_RATE` in `.env` ``, `` `rate` in `titan.toml` line 7 ``.
    pub fn place_of(&self, option: &str) -> String {
        self.of(option).place_of(option)
    }

    /// Where the value of an option came from.
    pub fn of(&self, option: &str) -> &Origin {
        self.0.get(option).unwrap_or(&Origin::Default)
    }

    /// Says where the value of an option came from.
    pub fn set(&mut self, option: &str, origin: Origin) {
        self.0.insert(option.to_owned(), origin);
    }

    /// For tests: these options came from the environment.
    #[cfg(test)]
    pub(crate) fn from_environment(options: &[&'static str]) -> Self {
        Self(options.iter().map(|option| ((*option).to_owned(), Origin::Environment)).collect())
    }
}
