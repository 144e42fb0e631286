//! What `status`, `explain`, `views` and `report` shall look at, checked.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::domain::{Epoch, Granularity, Kind, Series, Symbol};
use crate::integrity::{Question, Selection};

use super::super::args::look::{ExplainArgs, StatusArgs};
use super::super::args::{Origins, ReportArgs, ViewsArgs};
use super::parse::{BadValue, choice, duration, number, quoted};
use super::{SettingsError, bad_width, named};

/// First second of the year 9999, from which on there are no months.
const FIRST_EPOCH_TOO_LATE: i64 = 253_370_764_800;

/// An epoch of fewer digits is from before 1973, and a number of minutes by mistake.
const LEAST_EPOCH_DIGITS: usize = 9;

pub(super) const MOMENT_HINT: &str =
    "write a time of UTC like `2026-03-07T12:00:05Z`, a date like `2026-03-07`, or an epoch";

/// How far a series has to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// The watermark is younger than this.
    Age(Duration),
    /// The watermark has reached this.
    Time(Epoch),
}

/// What was named by itself, so that its absence is worth a word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// These symbols; empty if none was named.
    pub symbols: Vec<Symbol>,
    /// Whether ticks were named.
    pub ticks: bool,
    /// Whether candles were named, of whichever width.
    pub candles: bool,
    /// Whether candles of these widths were named.
    pub granularities: Vec<Granularity>,
}

/// What `status` shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSettings {
    /// Folder of the archive.
    pub root: PathBuf,
    /// Which series are shown.
    pub selection: Selection,
    /// Which of them were named.
    pub asked: Asked,
    /// How far they have to be proved.
    pub requirement: Option<Requirement>,
    /// Whether the days are shown whatever the number of series.
    pub calendar: bool,
}

/// What `explain` shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainSettings {
    /// Folder of the archive.
    pub root: PathBuf,
    /// Which second of what.
    pub question: Question,
}

/// What `views` shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewsSettings {
    /// Folder of the archive.
    pub root: PathBuf,
    /// Whether the statements are printed, or only a list.
    pub sql: bool,
}

/// Reads what `views` shall do.
pub fn views(args: &ViewsArgs) -> ViewsSettings {
    let root = args.path.clone().unwrap_or_else(|| args.output.clone());
    ViewsSettings { root, sql: args.sql }
}

/// What `report` shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSettings {
    /// Folder of the archive.
    pub root: PathBuf,
    /// Where the page goes; `None` is stdout.
    pub file: Option<PathBuf>,
}

/// Reads what `report` shall do.
///
/// # Errors
///
/// If two things would go to stdout.
pub fn report(args: &ReportArgs) -> Result<ReportSettings, SettingsError> {
    let file = Some(args.html.clone()).filter(|path| path.as_os_str() != "-");
    if file.is_none() && args.talk.json {
        let problem = "`--html -` and `--json` would both print to stdout";
        return Err(SettingsError::rule(problem, "name a file with `--html`"));
    }
    let root = args.path.clone().unwrap_or_else(|| args.output.clone());
    Ok(ReportSettings { root, file })
}

/// Reads what `status` shall do.
///
/// # Errors
///
/// The first option that cannot be used.
pub fn status(args: &StatusArgs, origins: &Origins) -> Result<StatusSettings, SettingsError> {
    let asked = asked(args, origins)?;
    let requirement = args.require_through.as_deref().map(requirement).transpose();
    Ok(StatusSettings {
        root: args.path.clone().unwrap_or_else(|| args.output.clone()),
        selection: Selection { symbols: asked.symbols.clone(), kinds: kinds(&asked) },
        requirement: named("require-through", origins, requirement)?,
        calendar: args.calendar,
        asked,
    })
}

fn asked(args: &StatusArgs, origins: &Origins) -> Result<Asked, SettingsError> {
    let mut asked = Asked::default();
    for text in given(&args.symbols) {
        asked.symbols.push(named("symbol", origins, symbol(text))?);
    }
    for text in given(&args.kinds) {
        match named("kind", origins, is_ticks(text))? {
            true => asked.ticks = true,
            false => asked.candles = true,
        }
    }
    for text in given(&args.granularities) {
        asked.granularities.push(named("granularity", origins, width(text))?);
    }
    if asked.ticks && !asked.candles && !asked.granularities.is_empty() {
        return Err(no_width_of_ticks());
    }
    Ok(asked)
}

fn no_width_of_ticks() -> SettingsError {
    let hint = "leave `--granularity` out, or name the kind `candles`";
    SettingsError::rule("ticks have no width", hint)
}

fn given(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// The kinds that are shown; none named means all.
fn kinds(asked: &Asked) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if asked.ticks {
        kinds.push(Kind::Ticks);
    }
    if asked.granularities.is_empty() && asked.candles {
        let all = Granularity::ALL.into_iter().filter_map(|secs| Granularity::try_from(secs).ok());
        kinds.extend(all.map(Kind::Candles));
    }
    kinds.extend(asked.granularities.iter().map(|width| Kind::Candles(*width)));
    kinds
}

/// Reads what `explain` shall do.
///
/// # Errors
///
/// If the second, the series or the kind makes no sense.
pub fn explain(args: &ExplainArgs, origins: &Origins) -> Result<ExplainSettings, SettingsError> {
    let (series, time) = args.second.rsplit_once('@').ok_or_else(|| {
        let problem = format!("cannot read {}: it names no time", quoted(&args.second));
        SettingsError::rule(problem, "write SYMBOL@TIME, like `R_100@2026-03-07T12:00:05Z`")
    })?;
    let unreadable = |bad: BadValue| {
        let problem = format!("cannot read {}: {}", quoted(&args.second), bad.problem);
        SettingsError::rule(problem, bad.hint)
    };
    let (symbol, folder) = named_series(series.trim()).map_err(unreadable)?;
    let epoch = moment(time).map_err(unreadable)?;
    let kind = kind(args, origins, folder, &symbol)?;
    let question = Question { symbol, kind, epoch };
    Ok(ExplainSettings { root: args.output.clone(), question })
}

/// `R_100`, or `R_100/candles_60`.
fn named_series(text: &str) -> Result<(Symbol, Option<Kind>), BadValue> {
    if let Ok(symbol) = text.parse() {
        return Ok((symbol, None));
    }
    let named = text
        .split_once('/')
        .and_then(|(name, folder)| Some((name.parse::<Symbol>().ok()?, folder.parse().ok()?)));
    named.map(|(symbol, kind)| (symbol, Some(kind))).ok_or_else(|| {
        BadValue::new(
            format!("{} is no series", quoted(text)),
            "name a symbol like `R_100`, or a series like `R_100/candles_60`",
        )
    })
}

/// The kind asked about, named once or twice alike; `None` if it was left open.
fn kind(
    args: &ExplainArgs,
    origins: &Origins,
    folder: Option<Kind>,
    symbol: &Symbol,
) -> Result<Option<Kind>, SettingsError> {
    let width = args.granularity.as_deref().map(width).transpose();
    let width = named("granularity", origins, width)?;
    let ticks = args.kind.as_deref().map(is_ticks).transpose();
    let by_option = match (named("kind", origins, ticks)?, width) {
        (Some(true), Some(_)) => return Err(no_width_of_ticks()),
        (Some(true), None) => Some(Kind::Ticks),
        (_, Some(width)) => Some(Kind::Candles(width)),
        // The width that is the default of the download.
        (Some(false), None) => match folder {
            Some(kind @ Kind::Candles(_)) => Some(kind),
            _ => Some(Kind::Candles(Granularity::MINUTE)),
        },
        (None, None) => None,
    };
    match (folder, by_option) {
        (Some(one), Some(other)) if one != other => {
            let shown = |kind| Series { symbol: symbol.clone(), kind }.to_string();
            let problem = format!("{} and {} are two series", shown(one), shown(other));
            Err(SettingsError::rule(problem, "name the kind once"))
        }
        _ => Ok(folder.or(by_option)),
    }
}

fn symbol(text: &str) -> Result<Symbol, BadValue> {
    text.parse().map_err(|_| {
        let hint = "a symbol is 2 to 30 letters, digits or underscores, like `R_100`";
        BadValue::new(format!("{} is not a symbol", quoted(text)), hint)
    })
}

fn is_ticks(text: &str) -> Result<bool, BadValue> {
    choice(text, &[("ticks", true), ("candles", false)])
}

fn width(text: &str) -> Result<Granularity, BadValue> {
    let secs = number(text, 1..=u32::MAX).map_err(|_| bad_width(text))?;
    Granularity::try_from(secs).map_err(|_| bad_width(text))
}

/// An age like `15m`, or a moment.
fn requirement(text: &str) -> Result<Requirement, BadValue> {
    const HINT: &str =
        "write an age like `15m` or `2h`, a time like `2026-11-20T12:00:00Z`, or a date";
    let trimmed = text.trim();
    let is_number = trimmed.bytes().all(|byte| byte.is_ascii_digit());
    let looks_like_time = trimmed.contains('-') || is_number && trimmed.len() >= LEAST_EPOCH_DIGITS;
    if looks_like_time {
        return moment(trimmed).map(Requirement::Time);
    }
    match duration(trimmed, Duration::from_secs(1)) {
        Ok(age) => Ok(Requirement::Age(age)),
        Err(bad) if bad.problem.contains("is not a duration") => {
            Err(BadValue::new(format!("{} is neither an age nor a time", quoted(text)), HINT))
        }
        Err(bad) => Err(bad),
    }
}

/// A second of UTC between the years 1970 and 9998.
pub(super) fn moment(text: &str) -> Result<Epoch, BadValue> {
    let trimmed = text.trim();
    let bad = |what: &str| BadValue::new(format!("{} {what}", quoted(trimmed)), MOMENT_HINT);
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let secs = if is_number {
        trimmed.parse().map_err(|_| bad("is out of bounds"))?
    } else {
        calendar_moment(trimmed).ok_or_else(|| bad("is not a time"))??
    };
    match secs {
        ..0 => Err(bad("is before 1970")),
        FIRST_EPOCH_TOO_LATE.. => Err(bad("is after the year 9998")),
        secs => Ok(Epoch::new(secs)),
    }
}

/// `None` if it does not look like a time at all.
fn calendar_moment(text: &str) -> Option<Result<i64, BadValue>> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(Ok(day.and_time(NaiveTime::MIN).and_utc().timestamp()));
    }
    let has_offset =
        |text: &str| text.ends_with(['Z', 'z']) || text.rfind(['+', '-']) > text.find(':');
    let with_zone = if has_offset(text) { text.to_owned() } else { format!("{text}Z") };
    let time = DateTime::parse_from_rfc3339(&with_zone).ok()?;
    if time.timestamp_subsec_nanos() != 0 {
        let problem = format!("{} is between two seconds", quoted(text));
        return Some(Err(BadValue::new(
            problem,
            "an archive knows whole seconds; leave the rest out",
        )));
    }
    Some(Ok(time.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem<T: std::fmt::Debug>(result: Result<T, BadValue>) -> String {
        result.expect_err("bad").problem
    }

    #[test]
    fn reads_moments() {
        let check =
            |text, expected: i64| assert_eq!(moment(text), Ok(Epoch::new(expected)), "{text}");
        check("2026-03-07T12:00:05Z", 1_772_884_805);
        check("2026-03-07 12:00:05", 1_772_884_805);
        check("2026-03-07T13:00:05+01:00", 1_772_884_805);
        check("2026-03-07T10:00:05-02:00", 1_772_884_805);
        check("2026-03-07", 1_772_841_600);
        check(" 1772884805 ", 1_772_884_805);
        check("0", 0);
        let check = |text, expected: &str| assert_eq!(problem(moment(text)), expected);
        check("1969-12-31T23:59:59Z", "`1969-12-31T23:59:59Z` is before 1970");
        check("-5", "`-5` is before 1970");
        check("9999-01-01", "`9999-01-01` is after the year 9998");
        check("9999-12-31T00:00:00Z", "`9999-12-31T00:00:00Z` is after the year 9998");
        check("253370764800", "`253370764800` is after the year 9998");
        check("99999999999999999999", "`99999999999999999999` is out of bounds");
        check("2026-02-30", "`2026-02-30` is not a time");
        check("2026-03-07T25:00:00Z", "`2026-03-07T25:00:00Z` is not a time");
        check("2026-03-07T12:00:05.5Z", "`2026-03-07T12:00:05.5Z` is between two seconds");
        check("noon", "`noon` is not a time");
        check("", "`` is not a time");
        check("\u{1b}[2J", "`\\u{1b}[2J` is not a time");
        check("größer", "`größer` is not a time");
    }

    #[test]
    fn reads_ages_and_times() {
        assert_eq!(requirement("15m"), Ok(Requirement::Age(Duration::from_secs(900))));
        let noon = Requirement::Time(Epoch::new(1_772_884_805));
        assert_eq!(requirement("2026-03-07T12:00:05Z"), Ok(noon));
        assert_eq!(requirement("1772884805"), Ok(noon));
        assert_eq!(problem(requirement("30")), "`30` is neither an age nor a time");
        assert_eq!(problem(requirement("soon")), "`soon` is neither an age nor a time");
        assert_eq!(problem(requirement("")), "`` is neither an age nor a time");
        assert_eq!(problem(requirement("0s")), "`0s` is too short");
        assert_eq!(problem(requirement("2026-13-01")), "`2026-13-01` is not a time");
        assert_eq!(problem(requirement("-5m")), "`-5m` is not a time");
    }

    fn question(
        second: &str,
        kind: Option<&str>,
        granularity: Option<&str>,
    ) -> Result<Question, String> {
        let talk = super::super::super::args::TalkArgs {
            quiet: false,
            verbose: 0,
            json: false,
            log_file: None,
            log_file_level: "info".to_owned(),
            log_format: "text".into(),
        };
        let args = ExplainArgs {
            second: second.to_owned(),
            kind: kind.map(str::to_owned),
            granularity: granularity.map(str::to_owned),
            output: "data_cache".into(),
            talk,
        };
        let settings = explain(&args, &Origins::default()).map_err(|error| error.to_string());
        settings.map(|settings| settings.question)
    }

    #[test]
    fn reads_which_second_of_what() {
        let check = |second, kind, granularity, expected: Option<Kind>| {
            let question = question(second, kind, granularity).expect(second);
            assert_eq!(question.kind, expected, "{second} {kind:?} {granularity:?}");
        };
        let hour = Kind::Candles(Granularity::try_from(3600).unwrap());
        let minute = Kind::Candles(Granularity::MINUTE);
        check("R_100@0", None, None, None);
        check("R_100@0", Some("ticks"), None, Some(Kind::Ticks));
        check("R_100@0", Some("candles"), None, Some(minute));
        check("R_100@0", None, Some("3600"), Some(hour));
        check("R_100/candles_3600@0", None, None, Some(hour));
        check("R_100/candles_3600@0", Some("candles"), None, Some(hour));
        check("R_100/ticks@0", Some("ticks"), None, Some(Kind::Ticks));
        let refused = |second, kind, granularity, part: &str| {
            let error = question(second, kind, granularity).expect_err(second);
            assert!(error.contains(part), "{second}: {error}");
        };
        refused("R_100", None, None, "it names no time");
        refused("../../etc@0", None, None, "`../../etc` is no series");
        refused("R_100/../R_50@0", None, None, "is no series");
        refused("R_100/candles_61@0", None, None, "is no series");
        refused("@0", None, None, "`` is no series");
        refused("R_100@noon", None, None, "`noon` is not a time");
        refused("R_100/ticks@0", Some("candles"), None, "are two series");
        refused("R_100@0", Some("ticks"), Some("60"), "ticks have no width");
        refused("R_100@0", None, Some("61"), "no candles of `61` seconds");
        refused("R_100@0", Some("tick"), None, "`tick` is not known");
    }
}
