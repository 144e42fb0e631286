//! What was typed: clap structs, nothing resolved, nothing checked beyond their shape.
//!
//! Values stay text until `settings` reads them, so that a bad one is named together with the
//! place it came from, and a bad one in the environment stops only the commands that use it.

mod archive;
mod download;
pub mod look;
mod origins;
mod repair;
pub mod simulate;

use std::ffi::OsString;

use clap::{Command as ClapCommand, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use archive::{AdoptArgs, VerifyArgs};
pub use download::{DownloadArgs, FileArgs, PaceArgs, PlaceArgs, TalkArgs, WhatArgs};
pub use look::{ExplainArgs, StatusArgs};
pub use origins::Origins;
pub use repair::RepairArgs;
pub use simulate::{MarketArgs, ServeArgs, SimulateArgs};

use origins::without_void_variables;

const AFTER_HELP: &str = "\
Examples:
  titan-download --symbol R_100 --months 24
  titan-download --symbol R_100,R_50 --kind ticks --start-date 2026-01-01 --end-date 2026-02-01
  titan-download --symbol R_100 --months 12 --dry-run
  titan-download --symbol R_100 --test --demo --output demo_cache
  titan-download verify --output data_cache
  titan-download repair --output data_cache --dry-run
  titan-download status --require-through 15m
  titan-download explain R_100@2026-03-07T12:00:05Z

Every option can also be set as TITAN_<NAME> in the environment or in a file `.env`
in the current folder; an option on the command line wins over both.

Exit codes:
  0    everything asked for and offered is on disk and certified
  1    it ran, but something is missing or broken
  2    it could not start: arguments, configuration, permissions, disk
  3    it stopped at its own budget; run the same command again to go on
  69   the source is unavailable
  75   another run holds the series
  130  interrupted (143: terminated); run the same command again to go on";

/// Downloads the history of Deriv market data into an archive that can prove itself.
#[derive(Debug, Clone, Parser)]
#[command(name = "titan-download", version, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    /// What else to do than download.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The main job.
    #[command(flatten)]
    pub download: DownloadArgs,
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
    /// Serve a simulated exchange on this machine
    ///
    /// Speaks the API of Deriv on a loopback port, deterministic from a seed, with its real
    /// limits and traps. The first two lines on stdout are the endpoint URLs, `v1` and `legacy`.
    Simulate(Box<SimulateArgs>),
}

/// Reads a command line.
///
/// # Errors
///
/// What clap has to say: usage errors, and help and version, which are no failures.
pub fn parse(arguments: Vec<OsString>) -> Result<(Cli, Origins), clap::Error> {
    let matches = command(&arguments).try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let origins = match matches.subcommand() {
        Some((_, inner)) => Origins::of(inner),
        None => Origins::of(&matches),
    };
    Ok((cli, origins))
}

/// The definition, with the environment variables taken out that must not count.
fn command(arguments: &[OsString]) -> ClapCommand {
    let tidy = |command: ClapCommand| without_void_variables(command, arguments);
    tidy(Cli::command()).mut_subcommands(tidy)
}

#[cfg(test)]
mod tests {
    use super::origins::{VALUE_OPTIONS, silenced_by};
    use super::*;

    fn parsed(line: &str) -> Result<(Cli, Origins), clap::Error> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
        command(&[]).debug_assert();
    }

    #[test]
    fn every_option_with_a_variable_is_named_after_it() {
        for arg in Cli::command().get_arguments() {
            let Some(variable) = arg.get_env() else { continue };
            let long = arg.get_long().expect("an option");
            let expected = format!("TITAN_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(variable.to_str(), Some(expected.as_str()));
            let takes_value = arg.get_action().takes_values();
            let listed = VALUE_OPTIONS.contains(&(arg.get_id().as_str(), long));
            assert_eq!(takes_value, listed, "{long}");
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

    #[test]
    fn a_typed_option_silences_the_variables_of_its_rivals() {
        let silenced = |line: &str| {
            let arguments: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            silenced_by(&arguments, &Cli::command()).join(" ")
        };
        let window = "months start_date end_date test";
        assert_eq!(silenced("x --symbol R_100"), "");
        assert_eq!(silenced("x --start-date=2026-01-01"), window);
        assert_eq!(silenced("x -m12"), window);
        assert_eq!(silenced("x --demo"), "endpoint demo");
        assert_eq!(silenced("x -jq --"), "quiet verbose");
        assert_eq!(silenced("x -- --demo"), "");
    }
}
