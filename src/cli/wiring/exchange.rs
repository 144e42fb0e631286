//! The simulated exchange, put together from checked settings; its log as CSV or JSON.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveTime};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::domain::{Epoch, EpochRange};
use crate::simulator::{
    FaultPlan, Limits, LoggedCall, LoggedEnd, Outcome, Quirk, Quirks, Replay, SimClock, Simulator,
    SimulatorConfig, Straddle, TruthError, World, symbols,
};

use super::super::error::Failure;
use super::super::settings::Api;
use super::super::settings::simulate::{
    Dump, ReplayFile, SimulateSettings, StraddleChoice, WorldSeed,
};
use super::super::terminal::escaped;

/// The simulated exchange, as the command line needs it.
pub(in crate::cli) struct Exchange(Arc<Simulator>);

impl Exchange {
    /// The exchange of `--demo`: running at the real pace, without limits.
    pub(in crate::cli) fn demo(now: Epoch) -> Self {
        Self(Simulator::new(SimulatorConfig {
            clock: SimClock::running(now),
            limits: Limits::NONE,
            ..SimulatorConfig::default()
        }))
    }

    /// The exchange of `simulate`; its clock begins at `now`.
    pub(in crate::cli) fn new(settings: &SimulateSettings, now: Epoch) -> Result<Self, Failure> {
        let faults = FaultPlan::parse(&settings.faults).map_err(|error| {
            Failure::cannot_start(error).with_hint("`simulate --help` lists the faults")
        })?;
        let replays: Result<Vec<_>, _> = settings.replays.iter().map(read_replay).collect();
        let (entries, names): (Vec<_>, Vec<_>) =
            settings.quirks.iter().cloned().partition(|text| text.contains('='));
        let world = seeded(settings.world, now).and(world(&entries)?);
        let exchange = Self(Simulator::new(SimulatorConfig {
            seed: settings.seed,
            clock: SimClock::scaled(now, settings.speed),
            page_cap: settings.page_cap,
            wall: settings.history,
            straddle: match settings.straddle {
                StraddleChoice::Younger => Straddle::YoungerPart,
                StraddleChoice::Substitute => Straddle::Substitute,
            },
            limits: Limits {
                per_minute: settings.per_minute,
                per_hour: settings.per_hour,
                hidden: settings.hidden,
            },
            latency: settings.latency,
            holes: settings.holes,
            faults,
            quirks: quirks(&names)?,
            world: world.clone(),
            replays: replays?,
            token: settings.token.as_ref().map(|token| token.reveal().to_owned()),
            ..SimulatorConfig::default()
        }));
        match world.symbols().into_iter().find(|symbol| !exchange.0.knows(symbol)) {
            None => Ok(exchange),
            Some(symbol) => {
                Err(Failure::cannot_start(TruthError::UnknownSymbol(symbol.to_owned()))
                    .with_hint(NO_SUCH_SYMBOL))
            }
        }
    }

    /// Where an API is found on a port of this machine.
    pub(in crate::cli) fn url(&self, api: Api, port: u16) -> String {
        let path = match api {
            Api::V1 => "trading/v1/options/ws/public",
            Api::Legacy => "websockets/v3?app_id=1089",
        };
        format!("ws://127.0.0.1:{port}/{path}")
    }

    /// Writes what really happened as CSV. An unknown symbol is [`io::ErrorKind::InvalidInput`].
    pub(in crate::cli) fn write_truth(
        &self,
        dump: &Dump,
        mut out: &mut dyn Write,
    ) -> io::Result<()> {
        let as_of = dump.as_of.unwrap_or(self.0.now());
        let Dump { symbol, kind, range, .. } = dump;
        self.0.write_truth_as_of(symbol, *kind, *range, as_of, &mut out).map_err(
            |error| match error {
                TruthError::Write { source, .. } => source,
                TruthError::UnknownSymbol(_) => io::Error::new(io::ErrorKind::InvalidInput, error),
            },
        )
    }

    /// Serves until `stop`.
    pub(in crate::cli) async fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> io::Result<()> {
        Arc::clone(&self.0).serve(listener, stop).await
    }

    /// Writes every request so far, as CSV with a header or as JSON lines.
    pub(in crate::cli) fn write_log(&self, out: &mut dyn Write, as_json: bool) -> io::Result<()> {
        if !as_json {
            writeln!(out, "{}", LOG_COLUMNS.join(","))?;
        }
        for call in self.0.log() {
            let row = log_row(&call);
            if as_json {
                let object: Map<String, Value> =
                    LOG_COLUMNS.into_iter().map(str::to_owned).zip(row).collect();
                writeln!(out, "{}", Value::from(object))?;
            } else {
                // No cell holds a comma or a quotation mark: words, symbols and numbers only.
                let cells: Vec<_> = row.iter().map(cell).collect();
                writeln!(out, "{}", cells.join(","))?;
            }
        }
        Ok(())
    }
}

/// What to do about a symbol that is not there.
pub(in crate::cli) const NO_SUCH_SYMBOL: &str = "name a symbol of the exchange, like `R_100`";

/// The world of `--world`.
fn seeded(world: Option<WorldSeed>, now: Epoch) -> World {
    let Some(WorldSeed { seed, span }) = world else { return World::quiet() };
    let year = now.to_utc().map_or(2026, |utc| utc.year());
    let first = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
    let start = |year| Epoch::new(first(year).and_time(NaiveTime::MIN).and_utc().timestamp());
    let span = span.or_else(|| EpochRange::new(start(year - 1), start(year + 2)));
    span.map_or_else(World::quiet, |span| World::seeded(seed, &symbols(), span))
}

fn world(entries: &[String]) -> Result<World, Failure> {
    World::parse(entries).map_err(|error| {
        Failure::cannot_start(error).with_hint("`simulate --help` lists the quirks")
    })
}

fn quirks(names: &[String]) -> Result<Quirks, Failure> {
    let found = names.iter().map(|name| {
        Quirk::from_name(name.trim()).ok_or_else(|| {
            let name = escaped(name);
            Failure::cannot_start(format!("there is no quirk `{name}`"))
                .with_hint("`simulate --help` lists the quirks")
        })
    });
    found.collect()
}

fn read_replay(file: &ReplayFile) -> Result<Replay, Failure> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot replay `{path}`")]
    struct CannotReplay {
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    }
    let fail = |source: Box<dyn std::error::Error + Send + Sync>| {
        Failure::cannot_start(CannotReplay { path: file.path.display().to_string(), source })
            .with_hint("a recording is a CSV file with the header `epoch,quote`")
    };
    let reader = File::open(&file.path).map_err(|error| fail(error.into()))?;
    Replay::read(file.symbol.clone(), BufReader::new(reader)).map_err(|error| fail(error.into()))
}

/// Columns of the log of `simulate`, in the order of [`log_row`].
const LOG_COLUMNS: [&str; 13] = [
    "received_after_secs",
    "now",
    "connection",
    "call",
    "symbol",
    "start",
    "end",
    "count",
    "style",
    "granularity",
    "req_id",
    "outcome",
    "rows",
];

fn log_row(call: &LoggedCall) -> [Value; 13] {
    let end = call.end.map(|end| match end {
        LoggedEnd::Latest => json!("latest"),
        LoggedEnd::At(epoch) => json!(epoch),
    });
    let style =
        (call.call == "ticks_history").then_some(if call.candles { "candles" } else { "ticks" });
    let (outcome, rows) = match call.outcome {
        Outcome::Pending => ("pending".to_owned(), None),
        Outcome::Answered { rows } => ("answered".to_owned(), Some(rows)),
        Outcome::Error(code) => (format!("error:{code}"), None),
        Outcome::Fault(name) => (format!("fault:{name}"), None),
    };
    [
        json!(call.received_after.as_secs_f64()),
        json!(call.now),
        json!(call.connection),
        json!(call.call),
        json!(call.symbol),
        json!(call.start),
        json!(end),
        json!(call.count),
        json!(style),
        json!(call.granularity),
        json!(call.req_id),
        json!(outcome),
        json!(rows),
    ]
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_log_has_a_cell_for_each_column() {
        let call = LoggedCall {
            received_after: Duration::from_millis(1500),
            now: Epoch::new(7),
            connection: 1,
            call: "ticks_history",
            symbol: Some("R_100".into()),
            start: Some(Epoch::new(1)),
            end: Some(LoggedEnd::Latest),
            count: Some(5000),
            candles: false,
            granularity: None,
            req_id: Some(3),
            outcome: Outcome::Answered { rows: 4 },
        };
        let cells: Vec<_> = log_row(&call).iter().map(cell).collect();
        assert_eq!(
            cells.join(","),
            "1.5,7,1,ticks_history,R_100,1,latest,5000,ticks,,3,answered,4"
        );
    }
}
