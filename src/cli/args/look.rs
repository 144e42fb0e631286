//! The commands that look at an archive and ask nobody: `status` and `explain`.

use std::path::PathBuf;

use clap::Args;

use super::TalkArgs;

const STATUS_HELP: &str = "\
Examples:
  titan-download status
  titan-download status --symbol R_100 --kind ticks --calendar
  titan-download status --symbol R_100,R_50 --require-through 15m && start-trading

Exit codes: 0 shown, and what was required is so, 1 something falls short of --require-through,
2 the folder cannot be read or an option is wrong";

const EXPLAIN_HELP: &str = "\
Examples:
  titan-download explain R_100@2026-03-07T12:00:05Z
  titan-download explain R_100/candles_60@1772884805
  titan-download explain frxEURUSD@2026-03-08 --kind ticks --json

Exit codes: 0 explained, 1 the archive contradicts itself there, 2 the second, the series or the
folder makes no sense";

/// `titan-download status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = STATUS_HELP)]
pub struct StatusArgs {
    /// Look at the archive in this folder
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Look at the archive in this folder; the same as --output
    #[arg(value_name = "FOLDER", conflicts_with = "output")]
    pub path: Option<PathBuf>,
    /// Show this symbol only; repeat it or separate several by commas
    #[arg(short, long = "symbol", value_name = "SYMBOL", value_delimiter = ',')]
    pub symbols: Vec<String>,
    /// Show these kinds of record only: ticks, candles or both
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Show candles of this width in seconds only; repeat it or separate several by commas
    #[arg(long = "granularity", value_name = "SECONDS", value_delimiter = ',')]
    pub granularities: Vec<String>,
    /// Exit with 1 unless each series is proved through this age or time
    ///
    /// An age like 15m: each watermark must be younger than that, by the clock of this machine. A
    /// time like 2026-11-20, 2026-11-20T12:00:00Z or an epoch: each watermark must have reached it.
    /// It fails closed: no data, a symbol or kind that was asked for and is not there, a sidecar
    /// that is missing or cannot be read, and a Parquet file that is missing or of another size
    /// than its sidecar says all exit with 1, each with its reason.
    ///
    /// The watermark is about seconds that were answered, not about rows. Over a closed market it
    /// goes on as far as the source was asked, so an age works at week-ends as well, as long as the
    /// download runs.
    #[arg(long, value_name = "AGE|TIME")]
    pub require_through: Option<String>,
    /// Show how complete each day is, one line a month
    ///
    /// Shown without being asked for if there is only one series to show.
    #[arg(long)]
    pub calendar: bool,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// `titan-download explain`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXPLAIN_HELP)]
pub struct ExplainArgs {
    /// Explain this second: R_100@2026-03-07T12:00:05Z, or R_100/candles_60@EPOCH
    ///
    /// Without a kind it is about ticks, or about the finest candles if there are no ticks. The
    /// time is UTC: a date with a time, a date alone for its first second, or an epoch.
    #[arg(value_name = "SYMBOL@TIME")]
    pub second: String,
    /// Explain this kind of record: ticks or candles
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Explain candles of this width in seconds
    #[arg(long, value_name = "SECONDS")]
    pub granularity: Option<String>,
    /// Look at the archive in this folder
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}
