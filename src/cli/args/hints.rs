//! What a shell can complete, and which options the short help leaves to the long one.
//!
//! In one place and by name, so that every command that has the option completes it in the same way.
//! Words are offered and not enforced: `settings` reads the values and says what is wrong with them.

use std::ffi::{OsStr, OsString};

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command as ClapCommand, Error, ValueHint};

/// The words an option takes, by its id.
const WORDS: [(&str, &[&str]); 10] = [
    ("api", &["v1", "legacy"]),
    ("compression", &["zstd", "snappy", "none"]),
    ("gap_threshold", &["auto"]),
    ("granularities", &WIDTHS),
    ("granularity", &WIDTHS),
    ("kind", &KINDS),
    ("kinds", &KINDS),
    ("log_format", &["text", "json"]),
    ("rate", &["unlimited"]),
    ("straddle", &["younger", "substitute"]),
];

const KINDS: [&str; 2] = ["ticks", "candles"];

const WIDTHS: [&str; 12] =
    ["60", "120", "180", "300", "600", "900", "1800", "3600", "7200", "14400", "28800", "86400"];

/// Options that hold a folder or a file, by id.
const PLACES: [(&str, ValueHint); 7] = [
    ("output", ValueHint::DirPath),
    ("path", ValueHint::DirPath),
    ("state_dir", ValueHint::DirPath),
    ("token_file", ValueHint::FilePath),
    ("html", ValueHint::FilePath),
    ("log", ValueHint::FilePath),
    ("replays", ValueHint::FilePath),
];

/// Options that the short help leaves out: right as they are for nearly everybody.
const RARE: [&str; 19] = [
    "accept_restatement",
    "app_id",
    "breaker_cooldown",
    "breaker_threshold",
    "check_clock",
    "chunk_rows",
    "gap_threshold",
    "insecure_ws",
    "log_file_level",
    "log_format",
    "max_outage",
    "must_exist",
    "no_resume",
    "ratelimit_pause",
    "retries",
    "row_group_rows",
    "settle_lag",
    "state_dir",
    "tail_lag",
];

/// Adds to a command what shells complete, and shortens its short help.
pub(super) fn with_hints(command: ClapCommand) -> ClapCommand {
    // Only the main job has so many options that a screen does not hold them.
    let is_crowded = command.get_name() == "titan-download";
    command.mut_args(|arg| {
        let arg = completed(arg);
        let is_rare = is_crowded && RARE.iter().any(|id| arg.get_id() == *id);
        if is_rare { arg.hide_short_help(true) } else { arg }
    })
}

fn completed(arg: Arg) -> Arg {
    let id = arg.get_id().to_string();
    // `--rate -5` is a bad rate, and not an option that nobody knows.
    let is_valued = !arg.is_positional() && arg.get_action().takes_values();
    let arg = if is_valued { arg.allow_negative_numbers(true) } else { arg };
    if let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == id) {
        return arg.value_parser(Words(words)).hide_possible_values(true);
    }
    match PLACES.iter().find(|(name, _)| *name == id) {
        Some((_, hint)) => arg.value_hint(*hint),
        None => arg,
    }
}

/// Takes any text, and knows the words that are usual.
#[derive(Clone)]
struct Words(&'static [&'static str]);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &ClapCommand,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, Error> {
        self.parse(command, None, value.to_owned())
    }

    fn parse(
        &self,
        command: &ClapCommand,
        _: Option<&Arg>,
        value: OsString,
    ) -> Result<String, Error> {
        value.into_string().map_err(|_| Error::new(ErrorKind::InvalidUtf8).with_cmd(command))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;
    use crate::domain::Granularity;

    fn ids(command: &ClapCommand) -> Vec<String> {
        command.get_arguments().map(|arg| arg.get_id().to_string()).collect()
    }

    /// An option that was renamed would otherwise lose its completion in silence.
    #[test]
    fn every_entry_names_an_option() {
        let cli = Cli::command();
        let mut known = ids(&cli);
        known.extend(cli.get_subcommands().flat_map(ids));
        let words = WORDS.iter().map(|(id, _)| *id);
        for id in words.chain(PLACES.iter().map(|(id, _)| *id)).chain(RARE) {
            assert!(known.iter().any(|name| name == id), "{id}");
        }
        assert_eq!(WIDTHS.map(|width| width.parse::<u32>().unwrap()), Granularity::ALL);
    }
}
