//! The checked values. They are made by `settings` alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{GapThresholds, PartitionKey, Symbol};
use crate::download::DownloadRequest;

use super::secret::Token;

/// Which of the two APIs is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// The present one.
    V1,
    /// The one that is being retired.
    Legacy,
}

impl Api {
    /// The word on the command line and in sidecars.
    pub fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::Legacy => "legacy",
        }
    }
}

/// An endpoint that was found to be well formed.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointChoice {
    /// Its URL as it was written; its query may hold a password.
    pub url: String,
    /// Its URL without the query, for messages, sidecars and logs.
    pub shown: String,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// Whether it is on this machine.
    pub is_loopback: bool,
}

impl std::fmt::Debug for EndpointChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EndpointChoice({})", self.shown)
    }
}

/// How often may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// At most this often in any minute.
    PerMinute(u32),
    /// As often as the source answers.
    Unlimited,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// Errors and the result.
    Quiet,
    /// Progress, warnings and the result.
    Normal,
    /// More, by that many degrees.
    Verbose(u8),
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much goes into the file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Data is missing.
    Error,
    /// Something went wrong and was overcome.
    Warn,
    /// What is being done.
    Info,
    /// Each decision.
    Debug,
    /// What the libraries say too.
    Trace,
}

/// Where the log goes beside stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileChoice {
    /// The file.
    pub path: PathBuf,
    /// How much.
    pub level: LogLevel,
}

/// How much is said, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// How much.
    pub volume: Volume,
    /// How the log is written.
    pub log_format: LogFormat,
    /// Where the log goes beside stderr, if anywhere.
    pub log_file: Option<LogFileChoice>,
    /// Whether the result is one JSON object.
    pub json: bool,
}

/// The main job, ready to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct DownloadSettings {
    /// Which series and which time.
    pub request: DownloadRequest,
    /// Folder of the archive.
    pub output: PathBuf,
    /// Whether it has to hold an archive already.
    pub must_exist: bool,
    /// Whether what is proved already is asked again.
    pub ask_everything: bool,
    /// The partitions that take newer prices of the source.
    pub accept_restatement: BTreeSet<PartitionKey>,
    /// Which API.
    pub api: Api,
    /// Where to ask; `None` is the built-in simulated exchange.
    pub endpoint: Option<EndpointChoice>,
    /// Names this application to the legacy API.
    pub app_id: u32,
    /// The API token, if one is to be used.
    pub token: Option<Token>,
    /// Folder of what all runs on this machine share; `None` is the user's state folder.
    pub state_dir: Option<PathBuf>,
    /// Whether an unencrypted endpoint on another machine is allowed.
    pub insecure_ws: bool,
    /// Whether the clock of an exchange on this machine is held against this machine's.
    pub check_clock: bool,
    /// How fast, and how patiently.
    pub pace: Pace,
    /// How the files are written.
    pub file: FileSettings,
    /// Whether only the plan is shown.
    pub dry_run: bool,
    /// Whether bars may be drawn.
    pub progress: bool,
    /// What a person should know before it begins.
    pub warnings: Vec<String>,
}

/// How fast, and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Ceiling of the requests.
    pub rate: Rate,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Limit of one request.
    pub timeout: Duration,
    /// Calls after the first for one range.
    pub retries: u32,
    /// Failures in a row that open the breaker.
    pub breaker_threshold: u32,
    /// How long it stays open at first.
    pub breaker_cooldown: Duration,
    /// Pause after a refusal as too frequent.
    pub ratelimit_pause: Duration,
    /// Longest outage that is waited for.
    pub max_outage: Duration,
    /// When to stop asking; `None` is when everything is done.
    pub max_duration: Option<Duration>,
    /// After how many requests to stop asking; `None` is when everything is done.
    pub max_requests: Option<u64>,
    /// Whether the budget is shared with the other processes of this machine.
    pub is_shared: bool,
}

/// How the files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// The codec, as it was written and found to be good.
    pub compression: String,
    /// Rows of a row group.
    pub row_group_rows: usize,
    /// Rows held before they go to disk.
    pub chunk_rows: usize,
    /// From how long a silence on it is a gap, by series.
    pub gap_thresholds: GapThresholds,
    /// How long after its end a month may still change.
    pub settle_lag: Duration,
    /// How old a second must be to be asked for.
    pub tail_lag: Duration,
}

/// What `adopt` shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptSettings {
    /// Folder of the old cache.
    pub root: PathBuf,
    /// Only these symbols; empty means all.
    pub symbols: Vec<Symbol>,
    /// Whether only what would be done is shown.
    pub dry_run: bool,
}

/// What `verify` shall do.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifySettings {
    /// Folder of the archive.
    pub root: PathBuf,
    /// Only these symbols; empty means all.
    pub symbols: Vec<Symbol>,
    /// How closely to check.
    pub depth: VerifyDepth,
    /// Which part of the archive; `None` is all of it.
    pub sample: Option<SampleChoice>,
    /// Files checked at once; `None` is one per core.
    pub threads: Option<usize>,
    /// Moves so many times the usual one are spikes.
    pub spike_threshold: f64,
    /// Prices that stand still so many times as long as usual are frozen.
    pub frozen_threshold: f64,
}

/// How closely to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Footers and sidecars.
    Fast,
    /// Every promise.
    Full,
    /// Ticks against candles as well.
    Deep,
}

/// Which of so many parts of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleChoice {
    /// Counted from 1; `None` is another one every day.
    pub part: Option<u32>,
    /// How many there are; at least 1.
    pub n_parts: u32,
}
