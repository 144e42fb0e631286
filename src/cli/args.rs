//! What was typed: clap structs, nothing resolved, nothing checked beyond their shape.
//!
//! Values stay text until `settings` reads them, so that a bad one is named together with the
//! place it came from, and a bad one in the environment stops only the commands that use it.

pub mod look;
pub mod simulate;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, Resettable};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command as ClapCommand, CommandFactory, FromArgMatches};
use clap::{Parser, Subcommand};

pub use look::{ExplainArgs, StatusArgs};
pub use simulate::{MarketArgs, ServeArgs, SimulateArgs};

const AFTER_HELP: &str = "\
Examples:
  titan-download --symbol R_100 --months 24
  titan-download --symbol R_100,R_50 --kind ticks --start-date 2026-01-01 --end-date 2026-02-01
  titan-download --symbol R_100 --months 12 --dry-run
  titan-download --symbol R_100 --test --demo --output demo_cache
  titan-download verify --output data_cache
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

/// How much is said, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct TalkArgs {
    /// Say nothing unless something is wrong
    ///
    /// What --json and --dry-run print is printed all the same.
    #[arg(short, long, env = "TITAN_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// Say more; repeat for still more
    ///
    /// Once shows what is being done, twice each decision, three times what the libraries say.
    #[arg(short, long, action = ArgAction::Count, env = "TITAN_VERBOSE", conflicts_with = "quiet")]
    pub verbose: u8,
    /// Print the result as one JSON object
    #[arg(long, env = "TITAN_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Write the log as text or as JSON lines
    #[arg(long, value_name = "text|json", default_value = "text", env = "TITAN_LOG_FORMAT")]
    pub log_format: String,
}

/// The main job: bring series and months up to date.
#[derive(Debug, Clone, Args)]
pub struct DownloadArgs {
    /// What to download.
    #[command(flatten)]
    pub what: WhatArgs,
    /// Where from and where to.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How fast, and how patiently.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// How the files are written.
    #[command(flatten)]
    pub file: FileArgs,
    /// Show what would be done and write nothing
    ///
    /// Asks the source only for its time and its symbols, and once per series where its history
    /// begins. No file or folder is made.
    #[arg(long, env = "TITAN_DRY_RUN", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub dry_run: bool,
    /// Show no progress, neither as bars nor as lines
    #[arg(long, env = "TITAN_NO_PROGRESS", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub no_progress: bool,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// Which series and which time.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What")]
pub struct WhatArgs {
    /// Download this symbol, like R_100; repeat it or separate several by commas
    #[arg(
        short,
        long = "symbol",
        value_name = "SYMBOL",
        value_delimiter = ',',
        env = "TITAN_SYMBOL"
    )]
    pub symbols: Vec<String>,
    /// Download the N complete calendar months before this one, and this one up to now
    ///
    /// A decimal, as old command lines have it, counts months of 30 days back from now: 0.5 is the
    /// last 15 days. This is the default, with N = 1. "Now" is the time of the source.
    #[arg(short, long, value_name = "N", env = "TITAN_MONTHS", allow_negative_numbers = true)]
    #[arg(conflicts_with_all = ["start_date", "end_date", "test"])]
    pub months: Option<String>,
    /// Start at this day, UTC
    #[arg(long, value_name = "YYYY-MM-DD", env = "TITAN_START_DATE", conflicts_with = "test")]
    pub start_date: Option<String>,
    /// End before this day, UTC; without it the end is now
    #[arg(long, value_name = "YYYY-MM-DD", env = "TITAN_END_DATE", conflicts_with = "test")]
    pub end_date: Option<String>,
    /// Download the last 24 hours only, to try things out
    #[arg(long, env = "TITAN_TEST", value_parser = BoolishValueParser::new())]
    pub test: bool,
    /// Download these kinds of record: ticks, candles or both
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', env = "TITAN_KIND")]
    #[arg(default_value = "ticks,candles")]
    pub kinds: Vec<String>,
    /// Download candles of this width in seconds; repeat it or separate several by commas
    ///
    /// One of 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400.
    #[arg(long = "granularity", value_name = "SECONDS", value_delimiter = ',')]
    #[arg(env = "TITAN_GRANULARITY", default_value = "60")]
    pub granularities: Vec<String>,
}

/// Where from and where to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where")]
pub struct PlaceArgs {
    /// Keep the archive in this folder
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Ask again for what is proved already, and compare
    ///
    /// Every wanted second that the source still offers is asked, in sealed months too, but never
    /// in locked ones. Published rows stay, new rows are added, and another price for a published
    /// row is refused and reported.
    #[arg(long, env = "TITAN_NO_RESUME", value_parser = BoolishValueParser::new())]
    pub no_resume: bool,
    /// Take newer prices of the source in this month, like R_100/ticks/2026-03
    ///
    /// The month is asked again whole, once. The file published before is kept in
    /// `.titan/quarantine/`. Repeat it or separate several by commas.
    #[arg(long, value_name = "SYMBOL/KIND/YYYY-MM", value_delimiter = ',')]
    #[arg(env = "TITAN_ACCEPT_RESTATEMENT")]
    pub accept_restatement: Vec<String>,
    /// Ask this endpoint instead of the one of the API
    #[arg(long, value_name = "URL", env = "TITAN_ENDPOINT")]
    pub endpoint: Option<String>,
    /// Speak this API: v1, or legacy which Deriv retires
    #[arg(long, value_name = "v1|legacy", default_value = "v1", env = "TITAN_API")]
    pub api: String,
    /// Name this application to the legacy API
    #[arg(long, value_name = "ID", default_value = "1089", env = "TITAN_APP_ID")]
    pub app_id: String,
    /// Download from the built-in simulated exchange, without any network
    ///
    /// The prices are invented. They are never mixed with real ones: a folder that holds the one
    /// is refused for the other.
    #[arg(long, env = "TITAN_DEMO", value_parser = BoolishValueParser::new(), conflicts_with = "endpoint")]
    pub demo: bool,
    /// Read the API token from this file
    ///
    /// Market data needs no token. If you want one used, set TITAN_TOKEN in the environment or
    /// `.env`, or name a file here; it is never an option, because other users see command lines.
    #[arg(long, value_name = "FILE", env = "TITAN_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Keep what all runs on this machine share in this folder [default: the user's state folder]
    ///
    /// It holds the request budget, which all processes that ask the same host share, and the pace
    /// that was learned. The default is $XDG_STATE_HOME/titan-download, or
    /// ~/.local/state/titan-download. If it cannot be written, a run asks at half of its rate.
    #[arg(long, value_name = "FOLDER", env = "TITAN_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Allow an endpoint on another machine without encryption
    #[arg(long, env = "TITAN_INSECURE_WS", value_parser = BoolishValueParser::new())]
    pub insecure_ws: bool,
}

/// How fast, and how patiently.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pace")]
pub struct PaceArgs {
    /// Ask at most this often per minute [default: 200; with --demo: unlimited]
    ///
    /// Deriv allows 220; 200 leaves a reserve for whoever trades with the same account.
    /// `unlimited` is allowed for endpoints on this machine only.
    #[arg(long, value_name = "N|unlimited", env = "TITAN_RATE")]
    pub rate: Option<String>,
    /// Keep this many requests in flight
    #[arg(long, value_name = "N", default_value = "4", env = "TITAN_CONCURRENCY")]
    pub concurrency: String,
    /// Give up on an answer after this long
    #[arg(long, value_name = "DURATION", default_value = "30s", env = "TITAN_TIMEOUT")]
    pub timeout: String,
    /// Ask again at most this often before a range is given up for this run
    #[arg(long, value_name = "N", default_value = "6", env = "TITAN_RETRIES")]
    pub retries: String,
    /// Pause after this many failures in a row
    #[arg(long, value_name = "N", default_value = "5", env = "TITAN_BREAKER_THRESHOLD")]
    pub breaker_threshold: String,
    /// Pause this long before one request tries whether the source is back
    #[arg(long, value_name = "DURATION", default_value = "60s", env = "TITAN_BREAKER_COOLDOWN")]
    pub breaker_cooldown: String,
    /// Pause this long after the source refused a request as too frequent
    #[arg(long, value_name = "DURATION", default_value = "60s", env = "TITAN_RATELIMIT_PAUSE")]
    pub ratelimit_pause: String,
    /// End the run when the source was away, or refused everything, for this long
    #[arg(long, value_name = "DURATION", default_value = "30m", env = "TITAN_MAX_OUTAGE")]
    pub max_outage: String,
    /// Stop asking after this long; the next run goes on from there
    ///
    /// Waits for the source end then too. What is covered is still published. Exit code 3.
    #[arg(long, value_name = "DURATION", env = "TITAN_MAX_DURATION")]
    pub max_duration: Option<String>,
    /// Stop asking after this many requests; the next run goes on from there
    ///
    /// Counts what counts against the limits of the source: pages of history and the list of
    /// symbols, repetitions included. Exit code 3.
    #[arg(long, value_name = "N", env = "TITAN_MAX_REQUESTS")]
    pub max_requests: Option<String>,
    /// Share the request budget with the other processes of this machine
    ///
    /// Always so for endpoints on other machines; an exchange on this machine has no budget to
    /// share, unless somebody wants to try it out.
    #[arg(long, value_name = "true|false", env = "TITAN_SHARE_PACE", hide = true)]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    pub share_pace: Option<String>,
}

/// How the files are written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "File")]
pub struct FileArgs {
    /// Compress with zstd, zstd:LEVEL, snappy or none
    #[arg(long, value_name = "CODEC", default_value = "zstd:3", env = "TITAN_COMPRESSION")]
    pub compression: String,
    /// Write row groups of this many rows
    #[arg(long, value_name = "N", default_value = "131072", env = "TITAN_ROW_GROUP_ROWS")]
    pub row_group_rows: String,
    /// Hold this many rows before they go to disk
    #[arg(long, value_name = "N", default_value = "65536", env = "TITAN_CHUNK_ROWS")]
    pub chunk_rows: String,
    /// List silences longer than this as gaps: auto, or seconds
    #[arg(long, value_name = "auto|SECONDS", default_value = "auto", env = "TITAN_GAP_THRESHOLD")]
    pub gap_threshold: String,
    /// Seal a month this long after its end
    #[arg(long, value_name = "DURATION", default_value = "24h", env = "TITAN_SETTLE_LAG")]
    pub settle_lag: String,
}

/// `titan-download verify`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit codes: 0 nothing is broken, 1 something is, 2 the folder cannot be read"
)]
pub struct VerifyArgs {
    /// Check the archive in this folder
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Check the archive in this folder; the same as --output
    #[arg(value_name = "FOLDER", conflicts_with = "output")]
    pub path: Option<PathBuf>,
    /// Check this symbol only; repeat it or separate several by commas
    #[arg(short, long = "symbol", value_name = "SYMBOL", value_delimiter = ',')]
    pub symbols: Vec<String>,
    /// Check footers and sidecars only; read no row and hash nothing
    #[arg(long, conflicts_with = "deep")]
    pub fast: bool,
    /// Rebuild the candles from the ticks of their month as well, and compare bar by bar
    #[arg(long)]
    pub deep: bool,
    /// Check the N-th of T parts of the archive only; auto/T takes the next part every day
    ///
    /// A partition is always in the same part, so T runs check everything, one after the other.
    #[arg(long, value_name = "N/T|auto/T")]
    pub sample: Option<String>,
    /// Warn of a move so many times the usual one of its series
    #[arg(long, value_name = "X", default_value = "20", env = "TITAN_SPIKE_THRESHOLD")]
    pub spike_threshold: String,
    /// Warn of a price that stands still so many times as long as it usually does at most
    #[arg(long, value_name = "X", default_value = "10", env = "TITAN_FROZEN_THRESHOLD")]
    pub frozen_threshold: String,
    /// Check this many files at once [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// `titan-download adopt`.
#[derive(Debug, Clone, Args)]
pub struct AdoptArgs {
    /// Take over the cache in this folder
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Take over only this symbol, like R_100; repeat it or separate several by commas [default: all]
    #[arg(
        short,
        long = "symbol",
        value_name = "SYMBOL",
        value_delimiter = ',',
        env = "TITAN_SYMBOL"
    )]
    pub symbols: Vec<String>,
    /// Show what would be done and write nothing
    #[arg(long, env = "TITAN_DRY_RUN", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub dry_run: bool,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}

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

    fn of(matches: &ArgMatches) -> Self {
        let from_environment = |(id, _): &&(&'static str, &'static str)| {
            matches.try_contains_id(id).is_ok()
                && matches.value_source(id) == Some(ValueSource::EnvVariable)
        };
        Self(VALUE_OPTIONS.iter().filter(from_environment).map(|(_, option)| *option).collect())
    }
}

/// Id and long name of the options that hold a value and can come from the environment.
const VALUE_OPTIONS: [(&str, &str); 32] = [
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
    ("spike_threshold", "spike-threshold"),
    ("frozen_threshold", "frozen-threshold"),
];

/// Options that exclude each other: one of them on the command line silences the environment
/// variables of the others, because the command line always wins.
const RIVALS: [&[&str]; 3] =
    [&["months", "start_date", "end_date", "test"], &["endpoint", "demo"], &["quiet", "verbose"]];

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

fn without_void_variables(command: ClapCommand, arguments: &[OsString]) -> ClapCommand {
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
fn silenced_by(arguments: &[OsString], command: &ClapCommand) -> Vec<&'static str> {
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

#[cfg(test)]
mod tests {
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
