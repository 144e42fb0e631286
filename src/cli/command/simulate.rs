//! `simulate`: the simulated exchange on a loopback port, or its truth as CSV.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use tokio::net::TcpListener;

use super::super::clock;
use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::settings::Api;
use super::super::settings::simulate::SimulateSettings;
use super::super::signal::{Patience, Signals};
use super::super::terminal;
use super::super::wiring::{Exchange, NO_SUCH_SYMBOL};
use super::Context;

const STOPPING: &str = "stopping";

/// Serves until it is told to stop, or prints what `--dump` asks for.
pub(crate) async fn run(
    settings: &SimulateSettings,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let exchange = Exchange::new(settings, settings.now.unwrap_or_else(clock::now))?;
    if let Some(dump) = &settings.dump {
        let printed = terminal::print(|out| exchange.write_truth(dump, out));
        return printed.map(|()| ExitCode::Success).map_err(cannot_dump);
    }
    // Made before anything is served, so that a bad path is known at once.
    let log = settings.log.as_deref().map(create).transpose()?;
    let signals = Signals::listen(context.terminal.clone(), STOPPING, Patience::Endless)
        .map_err(Failure::cannot_start)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await;
    let listener = listener.map_err(|error| cannot_listen(settings.port, error))?;
    let port = listener.local_addr().map_err(Failure::cannot_start)?.port();
    terminal::print(|out| {
        writeln!(out, "{}", exchange.url(Api::V1, port))?;
        writeln!(out, "{}", exchange.url(Api::Legacy, port))
    })
    .map_err(Failure::cannot_start)?;
    let served = exchange.serve(listener, signals.stop().clone()).await;
    if let (Some(log), Some(path)) = (log, &settings.log) {
        write_log(&exchange, log, path)?;
    }
    served.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(ExitCode::Success)
}

fn cannot_dump(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::InvalidInput {
        return Failure::cannot_start(error).with_hint(NO_SUCH_SYMBOL);
    }
    Failure::new(ExitCode::Incomplete, error)
}

fn cannot_listen(port: u16, error: std::io::Error) -> Failure {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen on port {0} of this machine")]
    struct CannotListen(u16, #[source] std::io::Error);
    Failure::cannot_start(CannotListen(port, error)).with_hint("`--port 0` takes a free port")
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write the log `{0}`")]
struct CannotLog(String, #[source] std::io::Error);

#[allow(clippy::disallowed_methods, reason = "a log outside any archive")]
fn create(path: &Path) -> Result<File, Failure> {
    let fail = |error| Failure::cannot_start(CannotLog(path.display().to_string(), error));
    File::create(path).map_err(fail)
}

fn write_log(exchange: &Exchange, log: File, path: &Path) -> Result<(), Failure> {
    let as_json = path.extension().is_some_and(|extension| extension == "jsonl");
    let mut out = BufWriter::new(log);
    exchange.write_log(&mut out, as_json).and_then(|()| out.flush()).map_err(|error| {
        Failure::new(ExitCode::Incomplete, CannotLog(path.display().to_string(), error))
    })
}
