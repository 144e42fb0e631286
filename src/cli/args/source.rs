//! The commands that look at the source itself: `symbols` and `doctor`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::TalkArgs;

const SYMBOLS_HELP: &str = "\
Examples:
  titan-download symbols
  titan-download symbols volatility --open
  titan-download symbols --market forex --json

Exit codes: 0 found, 1 nothing fits, 2 an option is wrong, 69 the source is unavailable";

const DOCTOR_HELP: &str = "\
Examples:
  titan-download doctor
  titan-download doctor --symbol frxEURUSD --long
  titan-download doctor --json > report.json

Exit codes: 0 everything is as assumed, 1 something differs or failed, 2 it could not start,
69 the source is unavailable";

/// Which source is asked, and as whom: by the main job, by `repair`, and by the commands here.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// Ask this endpoint instead of the one of the API
    #[arg(long, value_name = "URL", env = "TITAN_ENDPOINT")]
    pub endpoint: Option<String>,
    /// Speak this API: v1, or legacy which Deriv retires
    #[arg(long, value_name = "v1|legacy", default_value = "v1", env = "TITAN_API")]
    pub api: String,
    /// Name this application to the legacy API
    #[arg(long, value_name = "ID", default_value = "1089", env = "TITAN_APP_ID")]
    pub app_id: String,
    /// Ask the built-in simulated exchange, without any network
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
    /// Allow an endpoint on another machine without encryption
    #[arg(long, env = "TITAN_INSECURE_WS", value_parser = BoolishValueParser::new())]
    pub insecure_ws: bool,
    /// Compare the clock of an exchange on this machine with this machine's
    ///
    /// Always so for other endpoints: a source whose clock is more than an hour ahead would have
    /// the future recorded as silence. An exchange on this machine may have a time of its own.
    #[arg(long, env = "TITAN_CHECK_CLOCK", value_parser = BoolishValueParser::new())]
    pub check_clock: bool,
}

/// Which source is looked at, and how patiently.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source")]
pub struct AskArgs {
    /// Which source.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Give up on an answer after this long
    #[arg(long, value_name = "DURATION", default_value = "30s", env = "TITAN_TIMEOUT")]
    pub timeout: String,
}

/// `titan-download symbols`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SYMBOLS_HELP)]
pub struct SymbolsArgs {
    /// Show symbols that have this text in their symbol or name, in whichever case
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Show this market only, like forex
    #[arg(long, value_name = "MARKET")]
    pub market: Option<String>,
    /// Show this part of a market only, like major_pairs
    #[arg(long, value_name = "SUBMARKET")]
    pub submarket: Option<String>,
    /// Show symbols only whose market is open now
    #[arg(long)]
    pub open: bool,
    /// Look into the archive in this folder for what it holds and what was learned
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Which source.
    #[command(flatten)]
    pub ask: AskArgs,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// `titan-download doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = DOCTOR_HELP)]
pub struct DoctorArgs {
    /// Examine the API with this symbol
    #[arg(short, long, value_name = "SYMBOL", default_value = "R_100")]
    pub symbol: String,
    /// Spend two and a half minutes more on how long a silent connection lives
    #[arg(long)]
    pub long: bool,
    /// Examine this folder as that of an archive; nothing is left in it
    #[arg(short, long, value_name = "FOLDER", default_value = "data_cache", env = "TITAN_OUTPUT")]
    pub output: PathBuf,
    /// Examine this folder as that of what all runs share [default: the user's state folder]
    #[arg(long, value_name = "FOLDER", env = "TITAN_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Which source.
    #[command(flatten)]
    pub ask: AskArgs,
    /// How much is said.
    #[command(flatten)]
    pub talk: TalkArgs,
}
