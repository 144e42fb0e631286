//! The command line: the top of the crate, and the only code that prints, colours or draws.
//!
//! [`run`] reads `.env`, the command line and the environment, checks them once, starts log and
//! runtime, hands over to a command, and turns its outcome into an exit code. The parts below meet
//! in `wiring` and nowhere else.

pub mod args;
pub mod clock;
mod command;
mod disk;
pub mod error;
pub mod exit;
pub mod gate;
pub mod logging;
pub mod pace;
pub mod progress;
mod remembered;
pub mod report;
pub mod settings;
pub mod signal;
mod state;
pub mod terminal;
mod wiring;

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use args::{Cli, Command, Origins};
use tokio::runtime::{Builder, Runtime};

use command::Context;
use error::Failure;
use settings::{Outside, Volume};
use terminal::Terminal;

pub use exit::ExitCode;

/// Holds defaults for the environment, in the current folder.
const ENV_FILE: &str = ".env";

/// More threads than this have nothing to do: one core serves several exchanges.
const MOST_THREADS: usize = 4;

/// Threads that may block on the disk at once: one encodes a month, the others stage answers.
const DISK_THREADS: usize = 3;

/// Blocking work that outlives its command (a page being encoded when Ctrl-C came) may take this
/// long before the process leaves it; what it leaves behind is swept by the next run.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Does what the command line says and tells how it ended.
///
/// The first of `arguments` is the name of the program. To be called once, before any other thread
/// is started, because it reads `.env` into the environment of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Two libraries bring two providers, and then the first encrypted connection panics unless one
    // of them was chosen. An error means that somebody chose before us, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Err(failure) = read_env_file() {
        return told(&failure, "titan-download", &clock::session_id(), false);
    }
    match args::parse(arguments.into_iter().collect()) {
        Ok((cli, origins)) => dispatch(&cli, &origins),
        Err(said) => {
            if said.use_stderr() {
                Terminal::new(false).say(&error::usage_text(&said.to_string()));
                return ExitCode::CannotStart;
            }
            // Nothing can be done about a terminal that takes no help.
            let _ = said.print();
            ExitCode::Success
        }
    }
}

/// Reads `.env` of the current folder; variables that are set already stay as they are.
fn read_env_file() -> Result<(), Failure> {
    match dotenvy::from_path(ENV_FILE) {
        Ok(()) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        // The library's own message quotes the line, and the line may hold the token.
        Err(dotenvy::Error::LineParse(..)) => Err(Failure::cannot_start("cannot read `.env`")
            .with_hint("write one `NAME=value` on each line, quoted if it holds spaces")),
        Err(error) => {
            let why = io::Error::other(error);
            Err(Failure::cannot_start(format!("cannot read `.env`: {why}")))
        }
    }
}

fn dispatch(cli: &Cli, origins: &Origins) -> ExitCode {
    let session = clock::session_id();
    let (name, talk_args, wants_bars) = match &cli.command {
        None => ("download", &cli.download.talk, !cli.download.no_progress),
        Some(Command::Adopt(args)) => ("adopt", &args.talk, false),
        Some(Command::Verify(args)) => ("verify", &args.talk, false),
        Some(Command::Status(args)) => ("status", &args.talk, false),
        Some(Command::Explain(args)) => ("explain", &args.talk, false),
        Some(Command::Simulate(args)) => ("simulate", &args.talk, false),
    };
    let result = settings::talk(talk_args, origins).map_err(Failure::from).and_then(|talk| {
        let terminal = Terminal::new(wants_bars && talk.volume != Volume::Quiet);
        logging::start(&talk, &terminal, &session);
        started(cli, origins, &Context { session: session.clone(), terminal, talk })
    });
    result.unwrap_or_else(|failure| told(&failure, name, &session, talk_args.json))
}

fn started(cli: &Cli, origins: &Origins, context: &Context) -> Result<ExitCode, Failure> {
    match &cli.command {
        None => {
            let outside = Outside {
                token: std::env::var("TITAN_TOKEN").ok(),
                endpoint: &wiring::endpoint,
                compression: &wiring::check_compression,
            };
            let settings = settings::download(&cli.download, origins, &outside)?;
            let threads = if cli.download.place.demo { Threads::Cores } else { Threads::One };
            blocking(threads, command::download::run(&settings, context))
        }
        Some(Command::Adopt(args)) => {
            command::adopt::run(&settings::adopt(args, origins)?, context)
        }
        Some(Command::Verify(args)) => {
            let settings = settings::verify(args, origins)?;
            blocking(Threads::One, command::verify::run(&settings, context))
        }
        Some(Command::Status(args)) => {
            command::status::run(&settings::look::status(args, origins)?, context)
        }
        Some(Command::Explain(args)) => {
            command::explain::run(&settings::look::explain(args, origins)?, context)
        }
        Some(Command::Simulate(args)) => {
            let settings = settings::simulate::simulate(args, origins)?;
            blocking(Threads::Cores, command::simulate::run(&settings, context))
        }
    }
}

/// Which threads a command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// One for all that waits, and a few for the disk: a source is asked a few times a second, and
    /// handing every answer from one core to the other costs more than it saves. Each thread also
    /// has a heap of its own that keeps the most it ever held.
    One,
    /// One for each core: an exchange serves many, or works beside the one who asks.
    Cores,
}

impl Threads {
    fn runtime(self) -> std::io::Result<Runtime> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut builder = match self {
            Self::One => Builder::new_current_thread(),
            Self::Cores => Builder::new_multi_thread(),
        };
        match self {
            Self::One => builder.max_blocking_threads(DISK_THREADS),
            Self::Cores => builder.worker_threads(cores().min(MOST_THREADS)),
        };
        builder.enable_all().build()
    }
}

/// Runs a command on a runtime of its own.
fn blocking(
    threads: Threads,
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = threads.runtime().map_err(Failure::cannot_start)?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(END_WITHIN);
    result
}

/// Prints why a command ended early: to people on stderr, to programs on stdout as well.
fn told(failure: &Failure, command: &str, session: &str, json: bool) -> ExitCode {
    if json {
        let object = report::json::failure(command, session, failure);
        // If stdout is gone too, stderr and the exit code still tell.
        let _ = terminal::print(|out| writeln!(out, "{object}"));
    }
    Terminal::new(false).say(&report::failure_text(failure));
    failure.exit
}
