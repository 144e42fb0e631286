//! The command line: the top of the crate, and the only code that prints, colours or draws.
//!
//! [`run`] reads the command line, the environment, `.env` and the configuration file, checks them
//! once, starts log and
//! runtime, hands over to a command, and turns its outcome into an exit code. The parts below meet
//! in `wiring` and nowhere else.

pub mod args;
pub mod clock;
mod command;
pub mod config;
mod disk;
pub mod error;
pub mod exit;
pub mod gate;
mod harmless;
pub mod logging;
mod machine;
pub mod progress;
pub mod record;
mod remembered;
pub mod report;
pub mod settings;
pub mod signal;
mod state;
mod suggest;
pub mod terminal;
pub mod variables;
mod wiring;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::download::with_disk;
use crate::format::guard::is_guarded;
use args::{Command, Keys, Layers, Origin, Parsed, Typed};
use tokio::runtime::{Builder, Runtime};

use command::Context;
use error::Failure;
use record::{Begun, RunRecord};
use settings::{Outside, Volume};
use terminal::Terminal;
use variables::{ENV_FILE, Variables};

pub use exit::ExitCode;

/// A secret and where it comes from.
type Secret = (OsString, Origin);

/// The API token; it is no option, because other users see command lines.
const TOKEN: &str = "TITAN_TOKEN";

/// Names the configuration file.
const CONFIG_VARIABLE: &str = "TITAN_CONFIG";

/// More threads than this have nothing to do: one core serves several exchanges.
const MOST_THREADS: usize = 4;

/// Threads that may wait for the disk at once. One encodes a month in a fraction of a second, and
/// the answers to stage wait for it; another would save no time at the pace of any source, and
/// whichever thread ever encoded keeps what that took in a heap of its own, some 7 MiB.
const DISK_THREADS: usize = 1;

/// Threads that look up addresses and keep the shared pace; they hold next to nothing.
const OTHER_THREADS: usize = 3;

/// How long a thread without work is kept: for the whole run. Another might not be allowed later.
const KEPT: Duration = Duration::from_secs(365 * 86_400);

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
    hush_decoders();
    let session = clock::session_id();
    let arguments: Vec<_> = arguments.into_iter().collect();
    let typed = match Typed::read(arguments.clone()) {
        Ok(typed) => typed,
        Err(said) => return said_by_clap(&said, &arguments, &session),
    };
    let (name, json) = (typed.command().to_owned(), typed.wants_json());
    // Help, manual pages and completions do not care for an `.env` of whatever else lies here.
    let variables = if typed.has_settings() { Variables::read() } else { Ok(Variables::default()) };
    let variables = match variables {
        Ok(variables) => variables,
        Err(failure) => return told(&failure, &name, &session, json),
    };
    let token = variables.get(TOKEN);
    let warnings = variables.warnings.clone();
    match parsed(typed, variables) {
        Ok(parsed) => dispatch(&parsed, token, &warnings, &session),
        Err(failure) => told(&failure, &name, &session, json),
    }
}

/// What a decoder panics at becomes a finding that names the file. Its own words, which name a line
/// of a library, are for the log.
fn hush_decoders() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if is_guarded() {
            tracing::debug!(%panic, "a decoder gave up on a file");
        } else {
            print(panic);
        }
    }));
}

/// What clap says instead of a command line: help and version, or what is wrong with it.
fn said_by_clap(said: &clap::Error, arguments: &[OsString], session: &str) -> ExitCode {
    if said.use_stderr() {
        let text = error::usage_text(&said.to_string());
        let (command, wants_json) = args::guessed(arguments);
        if wants_json {
            print_failure(&error::usage_failure(&text), &command, session);
        }
        Terminal::new(false).say(&text);
        return ExitCode::CannotStart;
    }
    // Nothing can be done about a terminal that takes no help.
    let _ = said.print();
    ExitCode::Success
}

/// Puts the configuration file and the variables below the command line.
fn parsed(typed: Typed, variables: Variables) -> Result<Parsed, Failure> {
    let file = if typed.has_settings() {
        let by_variable = || {
            let (path, origin) = variables.get(CONFIG_VARIABLE)?;
            Some((PathBuf::from(path), origin))
        };
        let named = typed.config().map(|path| (path, Origin::Flag)).or_else(by_variable);
        if let Some((path, origin)) = &named {
            args::paths::check_path(path.as_os_str(), &origin.place_of("config"))?;
        }
        config::load(named.as_ref().map(|(path, _)| path.as_path()), &Keys::all())?
    } else {
        None
    };
    typed.over(Layers { variables, file })
}

fn dispatch(
    parsed: &Parsed,
    token: Option<Secret>,
    warnings: &[String],
    session: &str,
) -> ExitCode {
    let Parsed { cli, origins, .. } = parsed;
    let (name, talk_args, wants_bars) = match &cli.command {
        None => ("download", &cli.download.talk, !cli.download.no_progress),
        Some(Command::Adopt(args)) => ("adopt", &args.talk, false),
        Some(Command::Verify(args)) => ("verify", &args.talk, false),
        Some(Command::Repair(args)) => ("repair", &args.talk, !args.no_progress),
        Some(Command::Status(args)) => ("status", &args.talk, false),
        Some(Command::Explain(args)) => ("explain", &args.talk, false),
        Some(Command::Views(args)) => ("views", &args.talk, false),
        Some(Command::Report(args)) => ("report", &args.talk, false),
        Some(Command::Symbols(args)) => ("symbols", &args.talk, false),
        Some(Command::Doctor(args)) => ("doctor", &args.talk, true),
        Some(Command::Simulate(args)) => ("simulate", &args.talk, false),
        Some(Command::Completions(args)) => return printed(command::handbook::completions(args)),
        Some(Command::Man(args)) => return printed(command::handbook::man(args)),
    };
    let mut log_file = None;
    let talk = settings::talk(talk_args, origins).map_err(Failure::from).and_then(|talk| {
        let terminal = Terminal::new(wants_bars && talk.volume != Volume::Quiet);
        let written_to = output_of(parsed);
        if let (Some(file), Some(output)) = (&talk.log_file, written_to) {
            record::must_lie_outside("--log-file", &file.path, output)?;
        }
        log_file = logging::start(&talk, &terminal, session)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok((talk, terminal))
    });
    // A run that cannot even read its settings is recorded, too: somebody waits for it.
    let (record, recorded) = match record(parsed, session) {
        Ok(record) => (record, Ok(())),
        Err(failure) => (RunRecord::idle(), Err(failure)),
    };
    let result = talk.and_then(|(talk, terminal)| {
        recorded?;
        let (session, record) = (session.to_owned(), record.clone());
        started(parsed, token, &Context { session, terminal, talk, record })
    });
    let exit = result.unwrap_or_else(|failure| {
        record.failed(&failure);
        told(&failure, name, session, talk_args.json)
    });
    record.end(exit);
    if let Some(said) = log_file.and_then(logging::LogFile::finish) {
        Terminal::new(false).say(&terminal::escaped(&said));
    }
    exit
}

/// The archive of a command that writes into it.
fn output_of(parsed: &Parsed) -> Option<&Path> {
    match &parsed.cli.command {
        None => Some(&parsed.cli.download.place.output),
        Some(Command::Repair(args)) => Some(args.path.as_ref().unwrap_or(&args.place.output)),
        _ => None,
    }
}

/// What a run that writes tells others of itself; nothing if it is to write nothing.
fn record(parsed: &Parsed, session: &str) -> Result<RunRecord, Failure> {
    let (download, session) = (&parsed.cli.download, session.to_owned());
    if let (None, Some(metrics)) = (&parsed.cli.command, &download.metrics_file) {
        record::may_be_replaced(record::METRICS, metrics, &download.place.output)?;
    }
    let writes_nothing = download.dry_run || download.print_config;
    match &parsed.cli.command {
        None if !writes_nothing => RunRecord::begin(Begun {
            command: "download",
            session,
            output: download.place.output.clone(),
            metrics_file: download.metrics_file.clone(),
        }),
        Some(Command::Repair(args)) if !args.dry_run => RunRecord::begin(Begun {
            command: "repair",
            session,
            output: output_of(parsed).unwrap_or(&args.place.output).to_owned(),
            // The metrics are those of the nightly run: a repair by hand is no night.
            metrics_file: None,
        }),
        _ => Ok(RunRecord::idle()),
    }
}

/// Never shown, not even in part.
fn no_token() -> Failure {
    Failure::cannot_start(format!("`{TOKEN}` holds something that is no token"))
        .with_hint("set it to the token alone, or to nothing: market data needs none")
}

/// The end of a command that only prints and has no session.
fn printed(result: Result<ExitCode, Failure>) -> ExitCode {
    result.unwrap_or_else(|failure| told(&failure, "titan-download", "", false))
}

fn started(parsed: &Parsed, token: Option<Secret>, context: &Context) -> Result<ExitCode, Failure> {
    let Parsed { cli, origins, .. } = parsed;
    let (token, token_origin) = token.unzip();
    let outside = Outside {
        token: token.map(OsString::into_string).transpose().map_err(|_| no_token())?,
        endpoint: &wiring::endpoint,
        compression: &wiring::check_compression,
    };
    match &cli.command {
        None => {
            if cli.download.print_config {
                let origin = token_origin.as_ref();
                return command::print_config::run(parsed, origin, &outside, context);
            }
            blocking(Threads::beside(cli.download.place.source.demo), async {
                signal::hold().map_err(Failure::cannot_start)?;
                let mut settings = settings::download(&cli.download, origins, &outside)?;
                settings.warnings.extend(settings::warning_of_env_file(Path::new(ENV_FILE)));
                let series = settings.request.series();
                context.record.asked_for(&series, command::download::arguments(&settings));
                command::download::run(&settings, context).await
            })
        }
        Some(Command::Adopt(args)) => {
            command::adopt::run(&settings::adopt(args, origins)?, context)
        }
        Some(Command::Verify(args)) => blocking(Threads::One, async {
            signal::hold().map_err(Failure::cannot_start)?;
            command::verify::run(&settings::verify(args, origins)?, context).await
        }),
        Some(Command::Repair(args)) => blocking(Threads::beside(args.place.source.demo), async {
            signal::hold().map_err(Failure::cannot_start)?;
            let settings = settings::repair::repair(args, origins, &outside)?;
            command::repair::run(&settings, context).await
        }),
        Some(Command::Status(args)) => {
            command::status::run(&settings::look::status(args, origins)?, context)
        }
        Some(Command::Explain(args)) => {
            command::explain::run(&settings::look::explain(args, origins)?, context)
        }
        Some(Command::Views(args)) => command::views::run(&settings::look::views(args), context),
        Some(Command::Report(args)) => {
            command::report::run(&settings::look::report(args)?, context)
        }
        Some(Command::Symbols(args)) => {
            let settings = settings::source::symbols(args, origins, &outside)?;
            blocking(
                Threads::beside(args.ask.source.demo),
                command::symbols::run(&settings, context),
            )
        }
        Some(Command::Doctor(args)) => {
            let settings = settings::source::doctor(args, origins, &outside)?;
            blocking(
                Threads::beside(args.ask.source.demo),
                command::doctor::run(&settings, context),
            )
        }
        Some(Command::Simulate(args)) => blocking(Threads::Cores, async {
            let settings = settings::simulate::simulate(args, origins)?;
            command::simulate::run(&settings, context).await
        }),
        // They print and have ended before.
        Some(Command::Completions(_) | Command::Man(_)) => Ok(ExitCode::Success),
    }
}

/// Which threads a command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// One for all that waits, and one for the disk: a source is asked a few times a second, and
    /// handing every answer from one core to the other costs more than it saves.
    One,
    /// One for each core: an exchange serves many, or works beside the one who asks.
    Cores,
}

impl Threads {
    /// For a command that asks: the simulated exchange of a demo works in the same process.
    fn beside(demo: bool) -> Self {
        if demo { Self::Cores } else { Self::One }
    }

    /// Threads without which a command cannot do its work.
    fn number(self) -> usize {
        let workers = if self == Self::Cores { Self::workers() } else { 0 };
        workers + DISK_THREADS + 1 + THREADS_BESIDE
    }

    fn workers() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST_THREADS)
    }

    fn runtime(self) -> std::io::Result<Runtime> {
        let mut builder = match self {
            Self::One => Builder::new_current_thread(),
            Self::Cores => Builder::new_multi_thread(),
        };
        match self {
            Self::One => builder.max_blocking_threads(OTHER_THREADS),
            Self::Cores => builder.worker_threads(Self::workers()),
        };
        builder.thread_keep_alive(KEPT).enable_all().build()
    }

    /// Whose blocking threads wait for the disk, so that nothing else has to.
    fn disk() -> std::io::Result<Runtime> {
        let mut builder = Builder::new_current_thread();
        builder.thread_keep_alive(KEPT).max_blocking_threads(DISK_THREADS).build()
    }
}

/// Threads that a command starts beside its runtimes: the display, or what leaves at a second Ctrl-C.
const THREADS_BESIDE: usize = 1;

/// Starts so many threads at once, and ends them. Where the machine allows fewer, tokio would panic,
/// or wait for ever for a thread that never comes.
fn check_threads(n: usize) -> Result<(), Failure> {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    std::thread::scope(|scope| {
        // Dropped with this scope's work, which lets all of them go.
        let _hold = hold;
        for n_started in 0..n {
            let wait = || drop(held.lock().map(|held| held.recv()));
            let started = std::thread::Builder::new().spawn_scoped(scope, wait);
            started.map_err(|error| Failure::no_thread(&error, n_started, n))?;
        }
        Ok(())
    })
}

/// Runs a command on a runtime of its own.
fn blocking(
    threads: Threads,
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    check_threads(threads.number())?;
    let runtime = threads.runtime().map_err(Failure::cannot_start)?;
    let disk = Threads::disk().map_err(Failure::cannot_start)?;
    // What waits for a thread later waits for one of these at worst, which are never given back.
    drop((runtime.spawn_blocking(|| ()), disk.spawn_blocking(|| ())));
    let result = runtime.block_on(with_disk(disk.handle().clone(), command));
    disk.shutdown_timeout(END_WITHIN);
    runtime.shutdown_background();
    result
}

/// Prints why a command ended early: to people on stderr, to programs on stdout as well.
fn told(failure: &Failure, command: &str, session: &str, json: bool) -> ExitCode {
    if json {
        print_failure(failure, command, session);
    }
    Terminal::new(false).say(&report::failure_text(failure));
    failure.exit
}

fn print_failure(failure: &Failure, command: &str, session: &str) {
    let object = report::json::failure(command, session, failure);
    // If stdout is gone too, stderr and the exit code still tell.
    let _ = terminal::print(|out| writeln!(out, "{object}"));
}
