//! From what was typed to checked values, once. Nothing below sees a clap type, and what is built
//! here cannot be wrong.

mod jobs;
pub mod look;
mod parse;
pub mod repair;
mod restatement;
mod secret;
pub mod simulate;
pub mod source;
mod thresholds;
mod values;
mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::{Granularity, Kind, Series};
use crate::download::Window;

use super::args::{
    AdoptArgs, DownloadArgs, FileArgs, Origin, Origins, PaceArgs, SourceArgs, TalkArgs, WhatArgs,
};
use super::error::Failure;
pub use secret::Token;
pub(super) use secret::warning_of_env_file;
pub use values::{
    AdoptSettings, Api, DownloadSettings, EndpointChoice, FileSettings, LogFileChoice, LogFormat,
    LogLevel, Pace, Rate, SampleChoice, Talk, VerifyDepth, VerifySettings, Volume,
};
pub use verify::verify;

use jobs::Wishes;
pub(super) use parse::nearest;
use parse::{BadValue, choice, day, duration, number, quoted, symbol};

/// Requests a minute when nothing is said: 220 are allowed, the rest is for whoever trades.
pub const DEFAULT_RATE: u32 = 200;
/// Requests a minute that the source allows.
pub const ALLOWED_RATE: u32 = 220;
/// Requests an hour that the source allows.
pub const ALLOWED_PER_HOUR: u32 = 14_400;
/// Pauses shorter than this are impolite to a source that others use.
const POLITE_PAUSE: Duration = Duration::from_secs(60);

/// A setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// One option has a bad value.
    #[error("cannot read {option}: {problem}")]
    Value {
        /// Where the value was found, literals in backticks: `` `--rate` ``, or
        /// `` `rate` in `titan.toml` line 7 ``.
        option: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// Neither a symbol nor a job is given.
    #[error("no symbol is given")]
    NoSymbol,
    /// Something is missing, or two settings do not go together.
    #[error("{problem}")]
    Rule {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        hint: String,
    },
}

impl SettingsError {
    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::Value { hint, .. } | Self::Rule { hint, .. } => hint,
            Self::NoSymbol => {
                "name one with `--symbol R_100`, set `TITAN_SYMBOL` in the environment or in `.env`, \
                 or write jobs into `titan.toml`"
            }
        }
    }

    fn rule(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Rule { problem: problem.into(), hint: hint.into() }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let hint = error.hint().to_owned();
        Self::cannot_start(error).with_hint(hint)
    }
}

/// Reads the text of an endpoint, or names the one of the API; the error says what is wrong.
pub type EndpointReader = dyn Fn(Api, Option<&str>) -> Result<EndpointChoice, String>;

/// What has to be asked outside to check the settings; tests give other answers.
pub struct Outside<'a> {
    /// `TITAN_TOKEN`, if it is set.
    pub token: Option<String>,
    /// Reads an endpoint, or names the one of an API.
    pub endpoint: &'a EndpointReader,
    /// Checks the name of a codec.
    pub compression: &'a dyn Fn(&str) -> Result<(), String>,
}

/// Reads how much is said.
///
/// # Errors
///
/// If the format or the level of the log is not known.
pub fn talk(args: &TalkArgs, origins: &Origins) -> Result<Talk, SettingsError> {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let volume = match (args.quiet, args.verbose) {
        (true, _) => Volume::Quiet,
        (false, 0) => Volume::Normal,
        (false, degrees) => Volume::Verbose(degrees),
    };
    let log_format = named("log-format", origins, choice(&args.log_format, &formats))?;
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let level = named("log-file-level", origins, choice(&args.log_file_level, &levels))?;
    let log_file = args.log_file.clone().map(|path| LogFileChoice { path, level });
    Ok(Talk { volume, log_format, log_file, json: args.json })
}

/// Reads what `adopt` shall do.
///
/// # Errors
///
/// If a symbol or the folder is none.
pub fn adopt(args: &AdoptArgs, origins: &Origins) -> Result<AdoptSettings, SettingsError> {
    let texts = args.symbols.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let symbols = named("symbol", origins, texts.map(symbol).collect())?;
    let root = some_folder(&args.output, origins)?;
    Ok(AdoptSettings { root, symbols, dry_run: args.dry_run })
}

/// Reads the main job.
///
/// # Errors
///
/// The first setting that cannot be used.
pub fn download(
    args: &DownloadArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<DownloadSettings, SettingsError> {
    let mut warnings = Vec::new();
    let Wishes { request, gap_thresholds, set_aside } = jobs::wishes(args, origins)?;
    warnings.extend(set_aside);
    let Whom { api, endpoint, app_id, token } = whom(&args.place.source, origins, outside)?;
    let is_local = endpoint.as_ref().is_none_or(|endpoint| endpoint.is_loopback);
    warnings.extend(token_warning(token.as_ref(), endpoint.as_ref()));
    let pace = pace(&args.pace, args.place.source.demo, is_local, origins)?;
    warnings.extend(rate_warning(pace.rate, is_local));
    let n_series = request.wanted.len() as u64;
    named("max-requests", origins, gets_to_a_page(pace.max_requests, n_series))?;
    let named_months = restatement::partitions(&args.place.accept_restatement, &request.series());
    let mut file = file(&args.file, origins, outside)?;
    file.gap_thresholds.by_series.extend(gap_thresholds);
    Ok(DownloadSettings {
        accept_restatement: named("accept-restatement", origins, named_months)?,
        ask_everything: args.place.no_resume,
        request,
        output: some_folder(&args.place.output, origins)?,
        must_exist: args.must_exist,
        api,
        endpoint,
        app_id,
        token,
        state_dir: args.place.state_dir.clone(),
        insecure_ws: args.place.source.insecure_ws,
        check_clock: args.place.source.check_clock,
        pace,
        file,
        dry_run: args.dry_run,
        progress: !args.no_progress,
        warnings,
    })
}

/// Who is asked, and as whom.
struct Whom {
    api: Api,
    /// `None` is the simulated exchange of a demo.
    endpoint: Option<EndpointChoice>,
    app_id: u32,
    token: Option<Token>,
}

fn whom(
    args: &SourceArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<Whom, SettingsError> {
    let apis = [("v1", Api::V1), ("legacy", Api::Legacy)];
    let api = named("api", origins, choice(&args.api, &apis))?;
    Ok(Whom {
        api,
        endpoint: endpoint(args, api, origins, outside)?,
        token: secret::token(args.token_file.as_deref(), outside.token.as_deref())?,
        app_id: named("app-id", origins, number(&args.app_id, 1..=u32::MAX))?,
    })
}

fn token_warning(token: Option<&Token>, endpoint: Option<&EndpointChoice>) -> Option<String> {
    let is_open = endpoint.is_some_and(|endpoint| !endpoint.is_tls && !endpoint.is_loopback);
    let text = || "the API token travels unencrypted to another machine".to_owned();
    (token.is_some() && is_open).then(text)
}

/// Gives a bad value the name of its option.
fn named<T>(
    option: &'static str,
    origins: &Origins,
    result: Result<T, BadValue>,
) -> Result<T, SettingsError> {
    result.map_err(|bad| SettingsError::Value {
        option: origins.place_of(option),
        problem: bad.problem,
        hint: bad.hint,
    })
}

/// The series asked for, in the order of the symbols, each once.
fn series(args: &WhatArgs, origins: &Origins) -> Result<Vec<Series>, SettingsError> {
    let kinds = kinds(args, origins)?;
    let mut series = Vec::new();
    for text in args.symbols.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let symbol = named("symbol", origins, symbol(text))?;
        for kind in &kinds {
            let wanted = Series { symbol: symbol.clone(), kind: *kind };
            if !series.contains(&wanted) {
                series.push(wanted);
            }
        }
    }
    if series.is_empty() {
        return Err(SettingsError::NoSymbol);
    }
    Ok(series)
}

fn kinds(args: &WhatArgs, origins: &Origins) -> Result<Vec<Kind>, SettingsError> {
    let mut widths = Vec::new();
    for text in args.granularities.iter().filter(|text| !text.trim().is_empty()) {
        let width = number(text, 1..=u32::MAX)
            .and_then(|secs| Granularity::try_from(secs).map_err(|_| bad_width(text)))
            .map_err(|_| bad_width(text));
        widths.push(named("granularity", origins, width)?);
    }
    let mut kinds = Vec::new();
    for text in args.kinds.iter().filter(|text| !text.trim().is_empty()) {
        let is_ticks =
            named("kind", origins, choice(text, &[("ticks", true), ("candles", false)]))?;
        if is_ticks {
            kinds.push(Kind::Ticks);
        } else {
            kinds.extend(widths.iter().map(|width| Kind::Candles(*width)));
        }
    }
    if kinds.is_empty() {
        return Err(SettingsError::rule("no kind is given", "choose `ticks`, `candles` or both"));
    }
    Ok(kinds)
}

fn bad_width(text: &str) -> BadValue {
    let widths: Vec<_> = Granularity::ALL.iter().map(ToString::to_string).collect();
    BadValue::new(
        format!("the source has no candles of {} seconds", quoted(text)),
        format!("choose one of {}", widths.join(", ")),
    )
}

fn window(args: &WhatArgs, origins: &Origins) -> Result<Window, SettingsError> {
    if args.test {
        return Ok(Window::LastDay);
    }
    let start = args.start_date.as_deref().map(|text| named("start-date", origins, day(text)));
    let end = args.end_date.as_deref().map(|text| named("end-date", origins, day(text)));
    match (start.transpose()?, end.transpose()?) {
        (Some(start), Some(end)) if start >= end => Err(SettingsError::rule(
            format!("the range from {start} to {end} is empty"),
            "the end is exclusive: for one day, write the day after it as `--end-date`",
        )),
        (Some(start), end) => Ok(Window::Range { start, end }),
        (None, Some(_)) => Err(SettingsError::rule(
            format!("{} needs a start", origins.place_of("end-date")),
            match origins.of("end-date") {
                Origin::ConfigFile { .. } => "add `start-date = \"YYYY-MM-DD\"` beside it",
                _ => "add `--start-date YYYY-MM-DD`",
            },
        )),
        (None, None) => {
            let text = args.months.as_deref().unwrap_or("1");
            named("months", origins, months(text))
        }
    }
}

/// Whole numbers are calendar months, decimals months of 30 days.
fn months(text: &str) -> Result<Window, BadValue> {
    /// A hundred years; more is a slip of the finger.
    const MOST: u32 = 1_200;
    let trimmed = text.trim();
    let bad = |problem: &str| {
        BadValue::new(
            format!("{} {problem}", quoted(text)),
            "write a number of months like `12`, or a decimal like `0.5` for 15 days",
        )
    };
    if let Ok(whole) = trimmed.parse::<u32>() {
        return if whole <= MOST {
            Ok(Window::Months(whole))
        } else {
            Err(bad("is too many months"))
        };
    }
    let decimal: f64 = trimmed.parse().map_err(|_| bad("is not a number of months"))?;
    if !decimal.is_finite() {
        return Err(bad("is not a number of months"));
    }
    // A month of 30 days has 2,592,000 seconds: less than one second is nothing.
    if decimal * 2_592_000.0 < 1.0 {
        return Err(bad("is no time at all"));
    }
    if decimal > f64::from(MOST) {
        return Err(bad("is too many months"));
    }
    Ok(Window::MonthsOf30Days(decimal))
}

fn endpoint(
    args: &SourceArgs,
    api: Api,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<Option<EndpointChoice>, SettingsError> {
    if args.demo {
        return Ok(None);
    }
    let endpoint = (outside.endpoint)(api, args.endpoint.as_deref()).map_err(|problem| {
        BadValue::new(problem, "write an endpoint like `wss://host/path` or `ws://127.0.0.1:8080`")
    });
    let endpoint = named("endpoint", origins, endpoint)?;
    if !endpoint.is_tls && !endpoint.is_loopback && !args.insecure_ws {
        return Err(SettingsError::rule(
            format!(
                "the endpoint {} is on another machine and not encrypted",
                quoted(&endpoint.shown)
            ),
            "use `wss://`, or allow it with `--insecure-ws`",
        ));
    }
    Ok(Some(endpoint))
}

fn some_folder(output: &Path, origins: &Origins) -> Result<PathBuf, SettingsError> {
    if output.as_os_str().is_empty() {
        let empty = BadValue::new("it is empty", "name a folder, for instance `data_cache`");
        return named("output", origins, Err(empty));
    }
    Ok(output.to_path_buf())
}

fn pace(
    args: &PaceArgs,
    is_demo: bool,
    is_local: bool,
    origins: &Origins,
) -> Result<Pace, SettingsError> {
    let least_pause = if is_local { Duration::from_millis(1) } else { POLITE_PAUSE };
    let pause = |text| duration(text, least_pause);
    let second = Duration::from_secs(1);
    let o = origins;
    Ok(Pace {
        rate: named("rate", o, rate(args.rate.as_deref(), is_demo, is_local))?,
        concurrency: named("concurrency", o, number(&args.concurrency, 1..=64))?,
        timeout: named("timeout", o, duration(&args.timeout, Duration::from_millis(100)))?,
        retries: named("retries", o, number(&args.retries, 0..=100))?,
        breaker_threshold: named(
            "breaker-threshold",
            o,
            number(&args.breaker_threshold, 1..=1000),
        )?,
        breaker_cooldown: named("breaker-cooldown", o, pause(&args.breaker_cooldown))?,
        ratelimit_pause: named("ratelimit-pause", o, pause(&args.ratelimit_pause))?,
        max_outage: named("max-outage", o, duration(&args.max_outage, second))?,
        max_duration: named("max-duration", o, {
            args.max_duration.as_deref().map(|text| duration(text, second)).transpose()
        })?,
        max_requests: named("max-requests", o, {
            args.max_requests.as_deref().map(|text| number(text, 1..=1_000_000_000)).transpose()
        })?,
        is_shared: named("share-pace", o, is_shared(args.share_pace.as_deref(), is_local))?,
    })
}

/// Refuses a budget that would only do to learn what is on offer, and to learn it again in the next
/// run, for ever.
fn gets_to_a_page(max_requests: Option<u64>, n_series: u64) -> Result<(), BadValue> {
    // The list of symbols, where the history of each series begins, and one page.
    let least = n_series + 2;
    let Some(few) = max_requests.filter(|max| *max < least) else { return Ok(()) };
    Err(BadValue::new(
        format!("with `{few}` no run would ever get to its first page of history"),
        format!(
            "write at least {least} for what is asked for: one to list the symbols, one for each \
             series to find out where its history begins, and one for a page"
        ),
    ))
}

/// An exchange on this machine has no budget to share, unless somebody says so.
fn is_shared(text: Option<&str>, is_local: bool) -> Result<bool, BadValue> {
    text.map_or(Ok(!is_local), |text| choice(text, &[("true", true), ("false", false)]))
}

fn rate(text: Option<&str>, is_demo: bool, is_local: bool) -> Result<Rate, BadValue> {
    match text.map(str::trim) {
        None if is_demo => Ok(Rate::Unlimited),
        None => Ok(Rate::PerMinute(DEFAULT_RATE)),
        Some("unlimited") if is_local => Ok(Rate::Unlimited),
        Some("unlimited") => Err(BadValue::new(
            "`unlimited` is for endpoints on this machine only",
            format!("write requests per minute, at most {ALLOWED_RATE} are allowed by Deriv"),
        )),
        Some(text) => number(text, 1..=100_000).map(Rate::PerMinute).map_err(|bad| BadValue {
            hint: "write requests per minute like `200`, or `unlimited` for an endpoint on this machine"
                .to_owned(),
            ..bad
        }),
    }
}

fn rate_warning(rate: Rate, is_local: bool) -> Option<String> {
    match rate {
        Rate::PerMinute(rate) if rate > ALLOWED_RATE && !is_local => Some(format!(
            "{rate} requests a minute are more than the {ALLOWED_RATE} that Deriv allows; expect refusals"
        )),
        _ => None,
    }
}

fn file(
    args: &FileArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<FileSettings, SettingsError> {
    let o = origins;
    let compression = (outside.compression)(args.compression.trim()).map_err(|problem| {
        let words = ["zstd", "snappy", "none"];
        let meant = nearest(&args.compression, words).filter(|_| !args.compression.contains(':'));
        let meant = meant.map_or_else(String::new, |word| format!("did you mean `{word}`? "));
        let choices = "choose `zstd`, `zstd:1` to `zstd:22`, `snappy` or `none`";
        BadValue::new(problem, format!("{meant}{choices}"))
    });
    named("compression", o, compression)?;
    Ok(FileSettings {
        compression: args.compression.trim().to_owned(),
        row_group_rows: named(
            "row-group-rows",
            o,
            number(&args.row_group_rows, 1_000..=10_000_000),
        )?,
        chunk_rows: named("chunk-rows", o, number(&args.chunk_rows, 1..=10_000_000))?,
        gap_thresholds: named("gap-threshold", o, thresholds::read(&args.gap_threshold))?,
        settle_lag: named("settle-lag", o, duration(&args.settle_lag, Duration::ZERO))?,
        tail_lag: named("tail-lag", o, duration(&args.tail_lag, Duration::ZERO))?,
    })
}

#[cfg(test)]
mod tests;
