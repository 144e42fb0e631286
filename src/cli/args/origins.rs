//! Where the value of an option came from, and which places count: the command line, then the
//! environment.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command as ClapCommand};

/// Which options got their value from the environment or `.env`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeSet<&'static str>);

impl Origins {
    /// The name under which a person finds the value of an option: `--rate` or `TITAN_RATE`.
    pub fn name_of(&self, option: &'static str) -> String {
        if self.0.contains(option) {
            format!("TITAN_{}", option.to_uppercase().replace('-', "_"))
        } else {
            format!("--{option}")
        }
    }

    /// For tests: these options came from the environment.
    #[cfg(test)]
    pub(crate) fn from_environment(options: &[&'static str]) -> Self {
        Self(options.iter().copied().collect())
    }

    pub(super) fn of(matches: &ArgMatches) -> Self {
        let from_environment = |(id, _): &&(&'static str, &'static str)| {
            matches.try_contains_id(id).is_ok()
                && matches.value_source(id) == Some(ValueSource::EnvVariable)
        };
        Self(VALUE_OPTIONS.iter().filter(from_environment).map(|(_, option)| *option).collect())
    }
}

/// Id and long name of the options that hold a value and can come from the environment.
pub(super) const VALUE_OPTIONS: [(&str, &str); 35] = [
    ("symbols", "symbol"),
    ("months", "months"),
    ("start_date", "start-date"),
    ("end_date", "end-date"),
    ("kinds", "kind"),
    ("granularities", "granularity"),
    ("output", "output"),
    ("accept_restatement", "accept-restatement"),
    ("endpoint", "endpoint"),
    ("api", "api"),
    ("app_id", "app-id"),
    ("token_file", "token-file"),
    ("rate", "rate"),
    ("concurrency", "concurrency"),
    ("timeout", "timeout"),
    ("retries", "retries"),
    ("breaker_threshold", "breaker-threshold"),
    ("breaker_cooldown", "breaker-cooldown"),
    ("ratelimit_pause", "ratelimit-pause"),
    ("max_outage", "max-outage"),
    ("max_duration", "max-duration"),
    ("max_requests", "max-requests"),
    ("compression", "compression"),
    ("row_group_rows", "row-group-rows"),
    ("chunk_rows", "chunk-rows"),
    ("gap_threshold", "gap-threshold"),
    ("state_dir", "state-dir"),
    ("share_pace", "share-pace"),
    ("settle_lag", "settle-lag"),
    ("log_format", "log-format"),
    ("log_file", "log-file"),
    ("log_file_level", "log-file-level"),
    ("metrics_file", "metrics-file"),
    ("spike_threshold", "spike-threshold"),
    ("frozen_threshold", "frozen-threshold"),
];

/// Options that exclude each other: one of them on the command line silences the environment
/// variables of the others, because the command line always wins.
const RIVALS: [&[&str]; 3] =
    [&["months", "start_date", "end_date", "test"], &["endpoint", "demo"], &["quiet", "verbose"]];

pub(super) fn without_void_variables(command: ClapCommand, arguments: &[OsString]) -> ClapCommand {
    let silenced = silenced_by(arguments, &command);
    command.mut_args(|arg| {
        let set = arg.get_env().and_then(std::env::var_os);
        let is_void = set.is_some_and(|value| value.is_empty())
            || silenced.iter().any(|id| arg.get_id() == *id);
        let arg = if is_void { arg.env(Resettable::Reset) } else { arg };
        arg.hide_env_values(true)
    })
}

/// The options whose environment variables a rival on the command line silences.
pub(super) fn silenced_by(arguments: &[OsString], command: &ClapCommand) -> Vec<&'static str> {
    let is_typed = |id: &str| {
        let Some(arg) = command.get_arguments().find(|arg| arg.get_id() == id) else {
            return false;
        };
        let typed = arguments.iter().skip(1).take_while(|argument| *argument != "--");
        typed.into_iter().any(|argument| names(argument, arg))
    };
    let mut silenced = Vec::new();
    for rivals in RIVALS {
        if rivals.iter().any(|id| is_typed(id)) {
            // A typed option reads no variable anyway, so all of them may lose theirs.
            silenced.extend(rivals);
        }
    }
    silenced
}

fn names(argument: &OsStr, arg: &clap::Arg) -> bool {
    let text = argument.to_string_lossy();
    if let Some(long) = text.strip_prefix("--") {
        return arg.get_long() == Some(long.split('=').next().unwrap_or(long));
    }
    let short = arg.get_short().filter(|_| text.len() > 1);
    // Flags bundle (`-qv`), options hold their value (`-m12`): looking at the first suffices for
    // options, at any for flags.
    match (text.strip_prefix('-'), short) {
        (Some(rest), Some(short)) if arg.get_action().takes_values() => rest.starts_with(short),
        (Some(rest), Some(short)) => {
            rest.chars().take_while(char::is_ascii_alphabetic).any(|c| c == short)
        }
        _ => false,
    }
}
