//! `titan-download repair`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::{FileArgs, PaceArgs, PlaceArgs, TalkArgs};

const REPAIR_HELP: &str = "\
Examples:
  titan-download repair --output data_cache --dry-run
  titan-download repair --output data_cache
  titan-download repair --output data_cache --symbol R_100 --deep

Exit codes: 0 nothing is broken any more, 1 something is, others as without a command";

/// `titan-download repair`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = REPAIR_HELP,
    // What is in doubt is asked again in any case, and newer prices are for the main job to take.
    mut_arg("no_resume", |arg| arg.hide(true)),
    mut_arg("accept_restatement", |arg| arg.hide(true))
)]
pub struct RepairArgs {
    /// Repair the archive in this folder; the same as --output
    #[arg(value_name = "FOLDER", conflicts_with = "output")]
    pub path: Option<PathBuf>,
    /// Repair this symbol only, like R_100; repeat it or separate several by commas [default: all]
    #[arg(short, long = "symbol", value_name = "SYMBOL", value_delimiter = ',')]
    pub symbols: Vec<String>,
    /// Repair these kinds of record only: ticks, candles or both
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    #[arg(default_value = "ticks,candles")]
    pub kinds: Vec<String>,
    /// Hold ticks against candles as well, and ask again where they contradict each other
    #[arg(long)]
    pub deep: bool,
    /// Check this many files at once [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
    /// Where from and where to.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How fast, and how patiently.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// How the files are written.
    #[command(flatten)]
    pub file: FileArgs,
    /// Show what would be asked, and why, and write nothing
    ///
    /// Asks the source only for its time and its symbols, and once per series where its history
    /// begins; if nothing is to be asked, it asks nobody.
    #[arg(long, env = "TITAN_DRY_RUN", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub dry_run: bool,
    /// Show no progress, neither as bars nor as lines
    #[arg(long, env = "TITAN_NO_PROGRESS", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub no_progress: bool,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}
