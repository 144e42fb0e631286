//! What was typed: clap structs, nothing resolved, nothing checked beyond their shape.
//!
//! Values stay text until `settings` reads them, so that a bad one is named together with the
//! place it came from, and a bad one in the environment stops only the commands that use it.

mod archive;
mod download;
mod handbook;
mod hints;
mod job;
mod layers;
mod listing;
pub mod look;
mod origins;
pub mod paths;
mod repair;
mod shape;
mod share;
pub mod simulate;
pub mod source;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{
    ArgMatches, Command as ClapCommand, CommandFactory, FromArgMatches, Parser, Subcommand,
};

pub use archive::{AdoptArgs, VerifyArgs};
pub use download::{DownloadArgs, FileArgs, PaceArgs, PlaceArgs, TalkArgs, WhatArgs};
pub use handbook::{CompletionsArgs, ManArgs, ShellName};
pub use job::{FullJob, Given, JOB_KEYS, JobArgs};
pub use layers::Layers;
pub use listing::{Keys, Listed};
pub use look::{ExplainArgs, StatusArgs};
pub use origins::{Origin, Origins, variable};
pub use repair::RepairArgs;
pub use shape::Shape;
pub use share::{ReportArgs, ViewsArgs};
pub use simulate::{MarketArgs, ServeArgs, SimulateArgs};
pub use source::{AskArgs, DoctorArgs, SourceArgs, SymbolsArgs};

use super::error::Failure;
use layers::{Answers, CONFIG, deaf, with_variable};

const AFTER_HELP: &str = "\
Examples:
  titan-download --symbol R_100 --months 24
  titan-download --symbol R_100 --test --demo --output demo_cache
  titan-download verify --output data_cache

`--help` tells of more options, of the environment and of the exit codes;
`titan-download COMMAND -h` of a command.";

const AFTER_LONG_HELP: &str = "\
Examples:
  titan-download --symbol R_100 --months 24
  titan-download --symbol R_100,R_50 --kind ticks --start-date 2026-01-01 --end-date 2026-02-01
  titan-download --symbol R_100 --months 12 --dry-run
  titan-download --symbol R_100 --test --demo --output demo_cache
  titan-download verify --output data_cache
  titan-download repair --output data_cache --dry-run
  titan-download status --require-through 15m
  titan-download explain R_100@2026-03-07T12:00:05Z
  titan-download symbols --market forex
  titan-download doctor

Every option can also be set as TITAN_<NAME> in the environment or in a file `.env`
in the current folder, or in a configuration file, which can hold many jobs at once.
The command line wins over the environment, that over `.env`, and that over the
configuration file; --print-config shows what counts.

Exit codes:
  0    everything asked for and offered is on disk and certified
  1    it ran, but something is missing or broken
  2    it could not start: arguments, configuration, permissions, disk
  3    it stopped at its own budget; run the same command again to go on
  69   the source is unavailable
  75   another run holds the series
  130  interrupted (143: terminated, 129: the terminal was closed); run the same command
       again to go on";

/// Downloads the history of Deriv market data into an archive that can prove itself.
#[derive(Debug, Clone, Parser)]
#[command(name = "titan-download", version, after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    /// What else to do than download.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The main job.
    #[command(flatten)]
    pub download: DownloadArgs,
    /// Read settings from this file [default: titan.toml, if it is there]
    ///
    /// TOML: the long names of the options are its keys, and each `[[series]]` is a job of its own.
    #[arg(long, global = true, value_name = "FILE", env = "TITAN_CONFIG")]
    #[arg(help_heading = "Configuration")]
    pub config: Option<PathBuf>,
}

/// Everything but the main job.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Check an archive offline, from its files alone
    ///
    /// Recomputes every promise from the files: schema, order, duplicates, range, hashes,
    /// coverage and gaps, and warns of rows that look unusual. Asks nobody and changes nothing.
    Verify(VerifyArgs),
    /// Mend an archive: ask again for exactly what is missing or damaged
    ///
    /// Checks the archive like `verify`, keeps whatever is good, asks the source for the rest,
    /// oldest first, in sealed months too, and proves that no other row has changed. Files that
    /// cannot be trusted are kept in `.titan/quarantine`.
    Repair(Box<RepairArgs>),
    /// Take over a cache of the Python tool
    ///
    /// Good rows become part of the archive as `inherited`; whatever else is in the old files is
    /// named and kept in `.titan/quarantine`. Nothing is deleted and nobody is asked: a later
    /// download asks once for what the source still offers.
    Adopt(AdoptArgs),
    /// Show how far each series is proved, and what is missing
    ///
    /// Reads sidecars only, asks nobody and changes nothing. With --require-through it exits with 1
    /// unless every series is proved as far as that, so that others can wait for it.
    Status(StatusArgs),
    /// Explain where the row or the silence of one second comes from
    ///
    /// Says what is on disk at that second and next to it, who answered for it and when, and what
    /// of that contradicts itself. Asks nobody and changes nothing.
    Explain(ExplainArgs),
    /// Print views over the archive for DuckDB
    ///
    /// Each with the symbol as a column; candles of any width made of ticks, and values carried
    /// forward, as views and never as data. Asks nobody and changes nothing.
    Views(ViewsArgs),
    /// Write one page with the whole archive to look at
    ///
    /// How complete each day is, rows a day, prices, gaps, findings and the last runs, as one HTML
    /// file without scripts that needs no network. Reads all Parquet files; asks nobody and changes
    /// nothing in the archive.
    Report(ReportArgs),
    /// Show what the source offers now
    ///
    /// One line a symbol: its name, market, decimals, whether it is open, how often it ticks and what
    /// of it is in the archive. Asks once, and changes nothing.
    Symbols(Box<SymbolsArgs>),
    /// Find out whether the API and this machine are as assumed
    ///
    /// Asks the API some twenty questions, one after the other, and holds each answer against what is
    /// assumed; tries out the folder of the archive and leaves nothing in it. With --json it is a
    /// whole bug report, without any secret.
    Doctor(Box<DoctorArgs>),
    /// Serve a simulated exchange on this machine
    ///
    /// Speaks the API of Deriv on a loopback port, deterministic from a seed, with its real
    /// limits and traps. The first two lines on stdout are the endpoint URLs, `v1` and `legacy`.
    Simulate(Box<SimulateArgs>),
    /// Print completions for bash, zsh or fish
    Completions(CompletionsArgs),
    /// Print the manual pages
    Man(ManArgs),
}

/// Which command a line seems to be, and whether it seems to want JSON: for lines that cannot be read.
pub(super) fn guessed(arguments: &[OsString]) -> (String, bool) {
    let root = Cli::command();
    let words = || arguments.iter().skip(1).filter_map(|word| word.to_str());
    let command = words().find_map(|word| root.find_subcommand(word)).map(ClapCommand::get_name);
    (command.unwrap_or("download").to_owned(), words().any(|word| word == "--json"))
}

/// A command line as it was typed, before other places were asked.
#[derive(Debug)]
pub struct Typed {
    arguments: Vec<OsString>,
    matches: ArgMatches,
}

/// A command line with everything that other places say.
#[derive(Debug)]
pub struct Parsed {
    /// What to do.
    pub cli: Cli,
    /// Where each value came from.
    pub origins: Origins,
    /// The options of the command that can be set elsewhere too, as `--help` orders them.
    pub listed: Vec<Listed>,
}

impl Typed {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// What clap has to say: usage errors, and help and version, which are no failures.
    pub fn read(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        match changed(deaf).try_get_matches_from(&arguments) {
            Ok(matches) => Ok(Self { arguments, matches }),
            // Only the whole definition knows the names of the variables. The long help tells the
            // name of each, the short one that there are such names.
            Err(said) if !said.use_stderr() => {
                let tells_all = arguments.iter().any(|word| word == "--help" || word == "help");
                let shown = |c| no_values(c).mut_args(|arg| arg.hide_env(!tells_all));
                Err(changed(shown).try_get_matches_from(arguments).err().unwrap_or(said))
            }
            Err(said) => Err(said),
        }
    }

    /// The configuration file that is named.
    pub fn config(&self) -> Option<PathBuf> {
        self.matches.get_one::<PathBuf>(CONFIG).cloned()
    }

    /// Name of the command, as its results name it.
    pub fn command(&self) -> &str {
        self.matches.subcommand_name().unwrap_or("download")
    }

    /// Tells whether the result was asked for as JSON.
    pub fn wants_json(&self) -> bool {
        let matches = self.matches.subcommand().map_or(&self.matches, |(_, matches)| matches);
        matches.try_get_one::<bool>("json").is_ok_and(|json| json == Some(&true))
    }

    /// Tells whether anything of the command can be set elsewhere.
    pub fn has_settings(&self) -> bool {
        with_variable(&self.definition()).next().is_some()
    }

    fn definition(&self) -> ClapCommand {
        let root = Cli::command();
        let name = self.matches.subcommand_name();
        name.and_then(|name| root.find_subcommand(name).cloned()).unwrap_or(root)
    }

    /// Asks the other places for what was not typed.
    ///
    /// # Errors
    ///
    /// If one of them says something that is no answer, or contradicts itself.
    pub fn over(self, layers: Layers) -> Result<Parsed, Failure> {
        let sub = self.matches.subcommand();
        let typed = sub.map_or(&self.matches, |(_, matches)| matches);
        let command = self.definition();
        let answers = Answers::of(&command, typed, &layers)?;
        let definition = match sub {
            None => answers.become_defaults(hints::with_hints(Cli::command())),
            Some((name, _)) => deaf(Cli::command())
                .mut_subcommand(name, |sub| answers.become_defaults(hints::with_hints(sub))),
        };
        let matches = definition.try_get_matches_from(self.arguments);
        // What was typed was read before, and every other value was checked.
        let no_line = |said: clap::Error| Failure::cannot_start(said.to_string());
        let matches = matches.map_err(no_line)?;
        let mut cli = Cli::from_arg_matches(&matches).map_err(no_line)?;
        let origins = answers.origins();
        let inner = matches.subcommand().map_or(&matches, |(_, inner)| inner);
        paths::check(&command, inner, &origins)?;
        let listed = listing::of(&command, inner, &origins);
        cli.download.what.jobs = layers.file.map(|file| file.jobs.into()).unwrap_or_default();
        Ok(Parsed { cli, origins, listed })
    }
}

/// The definition as it is, whatever the environment says: what shells complete and manuals tell.
pub fn definition() -> ClapCommand {
    changed(no_values)
}

/// The definition, each of its commands changed.
fn changed(change: impl Fn(ClapCommand) -> ClapCommand) -> ClapCommand {
    let each = |command| change(hints::with_hints(command));
    each(Cli::command()).mut_subcommands(each)
}

/// What the environment holds is shown nowhere: it may be a secret.
fn no_values(command: ClapCommand) -> ClapCommand {
    command.mut_args(|arg| arg.hide_env_values(true))
}

/// For tests: a command line by itself, without any other place.
#[cfg(test)]
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<(Cli, Origins), clap::Error> {
    let parsed = Typed::read(arguments)?.over(Layers::default());
    Ok(parsed.map(|parsed| (parsed.cli, parsed.origins)).expect("no other place"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Cli, Origins), clap::Error> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
        changed(deaf).debug_assert();
        definition().debug_assert();
    }

    #[test]
    fn every_option_with_a_variable_is_named_after_it() {
        for arg in Cli::command().get_arguments() {
            let Some(found) = arg.get_env() else { continue };
            let long = arg.get_long().expect("an option");
            assert_eq!(found.to_str(), Some(variable(long).as_str()));
        }
    }

    #[test]
    fn short_help_is_one_line_each_imperative_and_without_full_stop() {
        for arg in Cli::command().get_arguments() {
            let help = arg.get_help().expect("help").to_string();
            assert!(!help.ends_with('.') && !help.contains('\n'), "{help}");
        }
    }

    #[test]
    fn takes_lists_and_repetitions() {
        let (cli, _) = parsed("titan-download --symbol R_100,R_50 --symbol R_25 -vv").unwrap();
        assert_eq!(cli.download.what.symbols, ["R_100", "R_50", "R_25"]);
        assert_eq!(cli.download.what.kinds, ["ticks", "candles"]);
        assert_eq!(cli.download.talk.verbose, 2);
    }

    #[test]
    fn refuses_options_that_exclude_each_other() {
        for line in [
            "titan-download --months 2 --start-date 2026-01-01",
            "titan-download --months 2 --test",
            "titan-download --test --end-date 2026-01-01",
            "titan-download --demo --endpoint ws://127.0.0.1:1",
            "titan-download -q -v",
            "titan-download --symbol R_100 verify",
            "titan-download simulate --granularity 60",
            "titan-download --no-such-flag",
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.use_stderr() && error.exit_code() == 2, "{line}");
        }
    }

    #[test]
    fn a_negative_number_reaches_the_settings() {
        let (cli, _) = parsed("titan-download --months -1").unwrap();
        assert_eq!(cli.download.what.months.as_deref(), Some("-1"));
    }
}
