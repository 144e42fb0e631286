//! The commands that work on the files of an archive: `verify` and `adopt`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::TalkArgs;

const VERIFY_HELP: &str = "\
Examples:
  titan-download verify
  titan-download verify --symbol R_100 --deep
  titan-download verify --output data_cache --sample auto/30 --quiet

Exit codes: 0 nothing is broken, 1 something is, 2 the folder cannot be read or an option is wrong,
130 interrupted (143: terminated, 129: the terminal was closed)";

const ADOPT_HELP: &str = "\
Examples:
  titan-download adopt --output data_cache --dry-run
  titan-download adopt --output data_cache --symbol R_100

Exit codes: 0 every good row is taken over, 1 something could not be, 2 the folder cannot be read or
written, or an option is wrong, 75 another run holds a series";

/// `titan-download verify`.
#[derive(Debug, Clone, Args)]
#[command(after_help = VERIFY_HELP)]
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
#[command(after_help = ADOPT_HELP)]
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
