//! Settings of the simulated exchange.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::{Epoch, EpochRange, Granularity, Kind, Symbol};

use super::super::args::paths::unexpanded;
use super::super::args::{Origins, SimulateArgs};
use super::look::{MOMENT_HINT, moment};
use super::parse::{BadValue, choice, duration, epoch_or_day, number, quoted};
use super::{SettingsError, Token, bad_width, named};

/// What a window across the wall is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StraddleChoice {
    /// Its part younger than the wall.
    Younger,
    /// The newest data.
    Substitute,
}

/// Recorded ticks that take the place of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayFile {
    /// Whose ticks.
    pub symbol: Symbol,
    /// CSV with the header `epoch,quote`.
    pub path: PathBuf,
}

/// What is printed instead of serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Whose records.
    pub symbol: Symbol,
    /// Ticks, or candles of a width.
    pub kind: Kind,
    /// From when to before when.
    pub range: EpochRange,
    /// The moment whose history is printed; `None` is the one the clock starts at.
    pub as_of: Option<Epoch>,
}

/// What the months bring, by a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldSeed {
    /// Decides it.
    pub seed: u64,
    /// When anything happens; `None` is three calendar years around now.
    pub span: Option<EpochRange>,
}

/// How the simulated exchange is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulateSettings {
    /// Print this instead of serving.
    pub dump: Option<Dump>,
    /// Loopback port; 0 takes a free one.
    pub port: u16,
    /// Decides every price.
    pub seed: u64,
    /// Where its clock starts; `None` is now.
    pub now: Option<Epoch>,
    /// Simulated seconds per second; 0 stands still.
    pub speed: f64,
    /// Most rows of one answer; `None` is the one of the API.
    pub page_cap: Option<u32>,
    /// How far history reaches back.
    pub history: Duration,
    /// What a window across the wall is answered with.
    pub straddle: StraddleChoice,
    /// Wait before each answer.
    pub latency: Duration,
    /// Requests allowed in a minute.
    pub per_minute: Option<u32>,
    /// Requests allowed in an hour.
    pub per_hour: Option<u32>,
    /// Requests allowed in a minute, not admitted.
    pub hidden: Option<u32>,
    /// What the months bring.
    pub world: Option<WorldSeed>,
    /// Whether the feed has its short silent stretches.
    pub holes: bool,
    /// Faults as `name=probability`, read by the exchange.
    pub faults: Vec<String>,
    /// Names of quirks and `NAME=…`, read by the exchange.
    pub quirks: Vec<String>,
    /// Recorded ticks.
    pub replays: Vec<ReplayFile>,
    /// Where each request is written.
    pub log: Option<PathBuf>,
    /// The only token that is accepted.
    pub token: Option<Token>,
}

/// Reads how the simulated exchange is to be.
///
/// # Errors
///
/// The first setting that cannot be used.
pub fn simulate(args: &SimulateArgs, o: &Origins) -> Result<SimulateSettings, SettingsError> {
    let (market, serve) = (&args.market, &args.serve);
    let straddles =
        [("younger", StraddleChoice::Younger), ("substitute", StraddleChoice::Substitute)];
    let days: u64 = named("history-days", o, number(&market.history_days, 1..=10_000))?;
    let now = market.now.as_deref().map(start_of_clock).transpose();
    let page_cap = serve.page_cap.as_deref().map(|text| number(text, 1..=1_000_000)).transpose();
    let replays: Result<_, _> = market.replays.iter().map(|text| replay(text)).collect();
    Ok(SimulateSettings {
        dump: dump(args, o)?,
        port: named("port", o, number(&serve.port, 0..=u16::MAX))?,
        seed: named("seed", o, number(&market.seed, 0..=u64::MAX))?,
        now: named("now", o, now)?,
        speed: named("speed", o, speed(&market.speed))?,
        page_cap: named("page-cap", o, page_cap)?,
        history: Duration::from_secs(days * 86_400),
        straddle: named("straddle", o, choice(&serve.straddle, &straddles))?,
        latency: named("latency", o, duration(&serve.latency, Duration::ZERO))?,
        per_minute: named("limit-per-minute", o, limit(&serve.limit_per_minute))?,
        per_hour: named("limit-per-hour", o, limit(&serve.limit_per_hour))?,
        hidden: named("hidden-limit", o, limit(&serve.hidden_limit))?,
        world: named("world", o, market.world.as_deref().map(world).transpose())?,
        holes: !market.no_holes,
        faults: serve.faults.clone(),
        quirks: serve.quirks.clone(),
        replays: named("replay", o, replays)?,
        log: serve.log.clone(),
        token: serve.token.clone().map(Token::new),
    })
}

fn dump(args: &SimulateArgs, o: &Origins) -> Result<Option<Dump>, SettingsError> {
    let Some([symbol, from, to]) = args.dump.as_deref() else { return Ok(None) };
    let symbol = named("dump", o, symbol_of(symbol))?;
    let (from, to) = (named("dump", o, epoch_or_day(from))?, named("dump", o, epoch_or_day(to))?);
    let empty = || {
        BadValue::new(
            format!("nothing lies between {from} and {to}"),
            "TO is exclusive and must come after FROM",
        )
    };
    let range = named("dump", o, EpochRange::new(from, to).ok_or_else(empty))?;
    let kind = match args.granularity.as_deref() {
        None => Kind::Ticks,
        Some(text) => {
            let width =
                number(text, 1..=u32::MAX).ok().and_then(|secs| Granularity::try_from(secs).ok());
            Kind::Candles(named("granularity", o, width.ok_or_else(|| bad_width(text)))?)
        }
    };
    let as_of = named("as-of", o, args.as_of.as_deref().map(start_of_clock).transpose())?;
    Ok(Some(Dump { symbol, kind, range, as_of }))
}

fn symbol_of(text: &str) -> Result<Symbol, BadValue> {
    text.parse().map_err(|_| {
        BadValue::new(
            format!("{} is not a symbol", quoted(text)),
            "a symbol is 2 to 30 letters, digits or underscores, like `R_100`",
        )
    })
}

/// An epoch, the first second of a day, or a time of UTC.
fn start_of_clock(text: &str) -> Result<Epoch, BadValue> {
    if !text.contains([':', 'T']) {
        return epoch_or_day(text).map_err(|bad| BadValue { hint: MOMENT_HINT.to_owned(), ..bad });
    }
    moment(text)
}

/// `SEED`, or `SEED@A..B`.
fn world(text: &str) -> Result<WorldSeed, BadValue> {
    let (seed, span) = text.split_once('@').map_or((text, None), |(a, b)| (a, Some(b)));
    let seed = number(seed, 0..=u64::MAX)?;
    let Some(span) = span else { return Ok(WorldSeed { seed, span: None }) };
    let bad = || {
        BadValue::new(
            format!("{} is not a range of times", quoted(span)),
            "write it like `7@2026-01-01..2026-07-01`",
        )
    };
    let (from, to) = span.split_once("..").ok_or_else(bad)?;
    let span = EpochRange::new(start_of_clock(from)?, start_of_clock(to)?).ok_or_else(bad)?;
    Ok(WorldSeed { seed, span: Some(span) })
}

fn speed(text: &str) -> Result<f64, BadValue> {
    match text.trim().parse::<f64>() {
        Ok(speed) if (0.0..=1_000_000.0).contains(&speed) => Ok(speed),
        _ => Err(BadValue::new(
            format!("{} is not a speed", quoted(text)),
            "write `0` to stand still, `1` for the real pace, or how many times as fast",
        )),
    }
}

fn limit(text: &str) -> Result<Option<u32>, BadValue> {
    match text.trim() {
        "none" => Ok(None),
        text => number(text, 1..=1_000_000).map(Some).map_err(|bad| BadValue {
            hint: "write a number of requests, or `none`".to_owned(),
            ..bad
        }),
    }
}

/// `SYMBOL=FILE`, or `FILE` whose name is the symbol.
fn replay(text: &str) -> Result<ReplayFile, BadValue> {
    let (symbol, path) = match text.split_once('=') {
        Some((symbol, path)) => (symbol, Path::new(path)),
        None => {
            let path = Path::new(text);
            (path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default(), path)
        }
    };
    if let Some((problem, hint)) = unexpanded(path.as_os_str()) {
        return Err(BadValue { problem, hint });
    }
    let symbol = symbol_of(symbol).map_err(|bad| BadValue {
        hint: "write `SYMBOL=FILE`, like `R_100=ticks.csv`".into(),
        ..bad
    })?;
    Ok(ReplayFile { symbol, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::super::args::{self, Command};
    use super::*;

    fn read(line: &str) -> Result<SimulateSettings, SettingsError> {
        let words = ["titan-download", "simulate"].into_iter().chain(line.split_whitespace());
        let (cli, origins) = args::parse(words.map(Into::into).collect()).unwrap();
        let Some(Command::Simulate(args)) = cli.command else { panic!("not simulate") };
        simulate(&args, &origins)
    }

    fn check(line: &str, message: &str, hint: &str) {
        let error = read(line).expect_err(line);
        assert_eq!((error.to_string().as_str(), error.hint()), (message, hint));
    }

    #[test]
    fn the_clock_starts_at_an_epoch_a_day_or_a_time() {
        let check = |text: &str, secs| {
            let now = read(&format!("--now {text}")).unwrap().now;
            assert_eq!(now, Some(Epoch::new(secs)), "{text}");
        };
        check("1772884805", 1_772_884_805);
        check("2026-03-07", 1_772_841_600);
        check("2026-03-07T12:00:05Z", 1_772_884_805);
        check("2026-03-07T14:00:05+02:00", 1_772_884_805);
        assert!(read("--now 2026-03-07T25:00:00Z").is_err());
    }

    #[test]
    fn the_defaults_are_faithful() {
        let settings = read("").unwrap();
        assert_eq!((settings.port, settings.seed, settings.now), (0, 1, None));
        assert_eq!(
            (settings.per_minute, settings.per_hour, settings.hidden),
            (Some(220), Some(14_400), None)
        );
        assert_eq!(settings.history, Duration::from_secs(365 * 86_400));
        assert!(settings.holes && settings.speed == 1.0 && settings.page_cap.is_none());
    }

    #[test]
    fn good_values() {
        let settings = read(
            "--now 2026-03-01 --speed 0 --limit-per-minute none --hidden-limit 20 --straddle substitute \
             --latency 50ms --replay R_100=a.csv --replay dir/R_50.csv --fault hang=0.1 --no-holes",
        )
        .unwrap();
        assert_eq!(
            settings.now.map(|now| now.to_string()).as_deref(),
            Some("2026-03-01T00:00:00Z")
        );
        assert_eq!((settings.per_minute, settings.hidden), (None, Some(20)));
        assert_eq!(settings.straddle, StraddleChoice::Substitute);
        let world = |text: &str| read(&format!("--world {text}")).map(|read| read.world);
        assert_eq!(world("7").unwrap(), Some(WorldSeed { seed: 7, span: None }));
        let span = EpochRange::new(Epoch::new(1_772_323_200), Epoch::new(1_772_884_805));
        let text = "7@2026-03-01..2026-03-07T12:00:05Z";
        assert_eq!(world(text).unwrap(), Some(WorldSeed { seed: 7, span }));
        let symbols: Vec<_> =
            settings.replays.iter().map(|replay| replay.symbol.as_str()).collect();
        assert_eq!(symbols, ["R_100", "R_50"]);
        assert!(!settings.holes && settings.speed == 0.0);
    }

    #[test]
    fn a_dump_is_ticks_or_candles_of_a_range() {
        let dump = |line: &str| read(line).unwrap().dump.unwrap();
        let ticks = dump("--dump R_100 2026-03-01 1772323260");
        assert_eq!(ticks.range.to_string(), "2026-03-01T00:00:00Z to 2026-03-01T00:01:00Z");
        assert_eq!(ticks.kind, Kind::Ticks);
        let candles = dump("--dump R_100 2026-03-01 2026-03-02 --granularity 60");
        assert_eq!(candles.kind, Kind::Candles(Granularity::MINUTE));
        let as_of = dump("--dump R_100 2026-03-01 2026-03-02 --as-of 2026-03-07T12:00:05Z").as_of;
        assert_eq!((as_of, ticks.as_of), (Some(Epoch::new(1_772_884_805)), None));
    }

    #[test]
    fn bad_values() {
        check(
            "--dump R_100 2026-03-02 2026-03-02",
            "cannot read `--dump`: nothing lies between 2026-03-02T00:00:00Z and 2026-03-02T00:00:00Z",
            "TO is exclusive and must come after FROM",
        );
        check(
            "--world 7@2026-03-02..2026-03-01",
            "cannot read `--world`: `2026-03-02..2026-03-01` is not a range of times",
            "write it like `7@2026-01-01..2026-07-01`",
        );
        check(
            "--speed -1",
            "cannot read `--speed`: `-1` is not a speed",
            "write `0` to stand still, `1` for the real pace, or how many times as fast",
        );
        check(
            "--replay some.file.csv",
            "cannot read `--replay`: `some.file` is not a symbol",
            "write `SYMBOL=FILE`, like `R_100=ticks.csv`",
        );
        check(
            "--limit-per-minute 0",
            "cannot read `--limit-per-minute`: `0` is out of bounds",
            "write a number of requests, or `none`",
        );
        check(
            "--port 65536",
            "cannot read `--port`: `65536` is out of bounds",
            "write a number from 0 to 65535",
        );
    }
}
