//! The options of the main job, and those that every command has.

use std::path::PathBuf;

use std::sync::Arc;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};

use super::{JobArgs, SourceArgs};

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
    /// Append the log to this file too
    ///
    /// It has a level of its own, --log-file-level. Lines that it cannot take are counted and told
    /// at the end; they never stop or slow the run.
    #[arg(long, value_name = "FILE", env = "TITAN_LOG_FILE")]
    pub log_file: Option<PathBuf>,
    /// Write this much into the log file, whatever is shown: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "TITAN_LOG_FILE_LEVEL")]
    pub log_file_level: String,
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
    /// Refuse to begin a new archive: its folder has to hold one already
    ///
    /// For jobs that run by themselves: on a disk that is not mounted the whole history would be
    /// downloaded once more. Without it, a run that begins an archive says so in one line.
    #[arg(long, env = "TITAN_MUST_EXIST", value_parser = BoolishValueParser::new(), help_heading = "Where")]
    pub must_exist: bool,
    /// Show what would be done and write nothing
    ///
    /// Asks the source only for its time and its symbols, and once per series where its history
    /// begins. No file or folder is made.
    #[arg(long, env = "TITAN_DRY_RUN", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub dry_run: bool,
    /// Print every setting with its value and where it comes from, and do nothing else
    ///
    /// As a configuration file that says the same, or with --json as one object. Secrets are not
    /// shown. Asks nobody and writes nothing.
    #[arg(long, help_heading = "Configuration")]
    pub print_config: bool,
    /// Show no progress, neither as bars nor as lines
    #[arg(long, env = "TITAN_NO_PROGRESS", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub no_progress: bool,
    /// Keep the metrics of this run in this file, for Prometheus
    ///
    /// In the text format that the textfile collector of the node exporter reads; its name should
    /// end in .prom. Replaced as a whole at the start, while the run works, and at its end.
    #[arg(long, value_name = "FILE", env = "TITAN_METRICS_FILE", help_heading = "Output")]
    pub metrics_file: Option<PathBuf>,
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
    /// The jobs of the configuration file; shared, because each of them inherits all the rest.
    #[arg(skip)]
    pub jobs: Arc<[JobArgs]>,
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
    /// Which source is asked.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Keep what all runs on this machine share in this folder [default: the user's state folder]
    ///
    /// It holds the request budget, which all processes that ask the same host share, and the pace
    /// that was learned. The default is $XDG_STATE_HOME/titan-download, or
    /// ~/.local/state/titan-download. If it cannot be written, a run asks at half of its rate.
    #[arg(long, value_name = "FOLDER", env = "TITAN_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
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
    /// List silences longer than this as gaps: auto, seconds, or SYMBOL=SECONDS
    ///
    /// Repeatable, or a comma list: `30,frxEURUSD=120,R_100/ticks=4,R_100/candles_60=auto`. What is
    /// said of a series outranks what is said of its symbol, and that what is said of all.
    #[arg(
        long,
        value_name = "auto|SECONDS",
        default_value = "auto",
        value_delimiter = ',',
        env = "TITAN_GAP_THRESHOLD"
    )]
    pub gap_threshold: Vec<String>,
    /// Leave out what is younger than this: it may still change
    ///
    /// Ticks of the last seconds, and bars that closed in them. A source may show its newest ticks
    /// late, and then the last bar changes after it closed.
    #[arg(long, value_name = "DURATION", default_value = "15s", env = "TITAN_TAIL_LAG")]
    pub tail_lag: String,
    /// Seal a month this long after its end
    #[arg(long, value_name = "DURATION", default_value = "24h", env = "TITAN_SETTLE_LAG")]
    pub settle_lag: String,
}
