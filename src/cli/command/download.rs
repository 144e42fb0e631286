//! The main job: settings → source → store → locks → download → summary.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::deriv::Proxy;
use crate::domain::{ErrorKind, Series, StoreError};
use crate::download::{DownloadError, Plan, Summary, Window};
use crate::storage::LOCKING;

use super::super::clock;
use super::super::disk::{no_locks, refusal};
use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::progress::{Detail, Progress, Screen};
use super::super::report::plan::PlanFacts;
use super::super::report::{self, RunFacts};
use super::super::settings::{Api, DownloadSettings, EndpointChoice, Rate, Volume};
use super::super::signal::{Patience, Signals};
use super::super::terminal;
use super::super::wiring::{self, Exchange, Parts, Session};
use super::taken::Taken;
use super::{Context, mixing};

pub(super) const STOPPING: &str =
    "stopping: everything answered is kept; press Ctrl-C again to leave at once";

/// What a person can do about a run that was stopped before it began to download.
pub(super) const GO_ON: &str = "nothing is lost, run the same command again to go on";

/// The demo's exchange may not hold up the end of the process.
const DEMO_END_WITHIN: Duration = Duration::from_secs(1);

/// Brings the asked series and months up to date, or shows what would be done.
pub(crate) async fn run(
    settings: &DownloadSettings,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let signals = Signals::listen(context.terminal.clone(), STOPPING, Patience::Bounded)
        .map_err(|error| Failure::cannot_start(error).with_hint("signals cannot be listened to"))?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let is_new = !wiring::holds_archive(&settings.output);
    if is_new && settings.must_exist {
        return Err(must_exist(&settings.output));
    }
    mixing::refuse(&settings.output, &settings.request.series(), settings.endpoint.is_none())?;
    let (endpoint, demo) = endpoint_or_demo(settings.endpoint.as_ref(), settings.api).await?;
    let progress = Progress::new(detail(settings, context), &context.terminal);
    let session = Session::open(
        settings,
        Parts {
            endpoint,
            session: context.session.clone(),
            progress: Arc::clone(&progress),
            record: context.record.clone(),
            stop: signals.stop().clone(),
        },
    )?;
    let work = Work { settings, context, signals: &signals, progress: &progress, is_new };
    let result = work.done_with(session).await;
    if let Some(demo) = demo {
        demo.end().await;
    }
    result
}

/// What a run would do.
struct Rehearsed {
    plan: Plan,
    /// Series that another run holds, with who does.
    held: Vec<(Series, String)>,
    /// Why it could not start.
    problem: Option<Failure>,
}

/// One run over an open session.
struct Work<'a> {
    settings: &'a DownloadSettings,
    context: &'a Context,
    signals: &'a Signals,
    progress: &'a Arc<Progress>,
    /// Whether its folder holds no archive yet.
    is_new: bool,
}

impl Work<'_> {
    /// A new archive is begun knowingly, by those who hear nothing else, too: the disk of the old
    /// one may only not be mounted.
    fn say_if_new(&self) {
        if self.is_new {
            let output = self.settings.output.display();
            let said = format!("`{output}` holds no archive: a new one begins there");
            self.context.terminal.say(&terminal::escaped(&said));
        }
    }

    /// Does it and closes the session, however it ended.
    async fn done_with(&self, mut session: Session) -> Result<ExitCode, Failure> {
        let screen = Screen::start(Arc::clone(self.progress), self.context.terminal.clone())
            .map_err(|error| Failure::no_thread(&error, 0, 1))?;
        let result = if self.settings.dry_run {
            self.planned(&session, screen).await
        } else {
            self.downloaded(&mut session, screen).await
        };
        session.close().await;
        result
    }

    async fn planned(&self, session: &Session, screen: Screen) -> Result<ExitCode, Failure> {
        let rehearsed = self.rehearsed(session).await;
        screen.finish();
        let Rehearsed { plan, held, problem } = rehearsed?;
        let partly = ExitCode::Incomplete;
        let is_whole = plan.failed_series.is_empty() && held.is_empty();
        let exit = match &problem {
            Some(problem) => problem.exit,
            None if is_whole => ExitCode::Success,
            None => partly,
        };
        for (series, reason) in &plan.failed_series {
            let chain = [format!("{series} cannot be worked on"), reason.clone()];
            self.context.terminal.say(&report::problem_text(&chain, None));
        }
        let facts = PlanFacts {
            session: self.context.session.clone(),
            exit,
            rate: self.settings.pace.rate,
            pace: session.pace(),
            held,
        };
        let json = self.context.talk.json;
        terminal::print(|out| {
            if json {
                writeln!(out, "{}", report::json::plan(&plan, &facts, problem.as_ref()))
            } else {
                report::plan::write(out, &plan, &facts, report::width())
            }
        })
        .map_err(cannot_print)?;
        if let Some(problem) = problem {
            self.context.terminal.say(&report::failure_text(&problem));
        } else {
            for (series, owner) in &facts.held {
                let chain = [format!("{series} is being written by {owner}")];
                self.context.terminal.say(&report::problem_text(&chain, None));
            }
        }
        Ok(exit)
    }

    /// Goes through the start of a run without writing, in its order, so that it ends as that
    /// would.
    async fn rehearsed(&self, session: &Session) -> Result<Rehearsed, Failure> {
        let request = &self.settings.request;
        let offered = session.offered(request).await.map_err(|error| self.failure(error))?;
        if !offered.is_empty() {
            self.say_if_new();
            session.check_writable().await.map_err(|error| self.failure(error.into()))?;
        }
        let mut held = Vec::new();
        for series in &offered {
            match session.holder(series) {
                Ok(Some(owner)) => held.push((series.clone(), owner)),
                Ok(None) => {}
                Err(error) => return Err(self.failure(error.into())),
            }
        }
        let (plan, no_room) =
            session.rehearse(request).await.map_err(|error| self.failure(error))?;
        let problem = match held.first() {
            Some((series, owner)) if held.len() == request.wanted.len() => {
                Some(StoreError::Held { series: series.to_string(), owner: owner.clone() }.into())
            }
            _ => no_room,
        };
        Ok(Rehearsed { plan, held, problem: problem.map(|error| self.failure(error)) })
    }

    async fn downloaded(&self, session: &mut Session, screen: Screen) -> Result<ExitCode, Failure> {
        let outcome = self.summarised(session).await;
        screen.finish();
        let (summary, held) = outcome?;
        self.context.record.summed_up(&summary, &held);
        let facts = RunFacts {
            session: self.context.session.clone(),
            exit: ExitCode::of_summary(&summary, self.signals.first(), held.len()),
            traffic: session.traffic(),
            walls: self.progress.walls(),
            held,
            output: self.settings.output.clone(),
        };
        terminal::print(|out| {
            if self.context.talk.json {
                writeln!(out, "{}", report::json::summary(&summary, &facts))
            } else if self.context.is_silent(facts.exit) {
                Ok(())
            } else {
                report::summary::write(out, &summary, &facts, report::width())
            }
        })
        .map_err(cannot_print)?;
        if self.context.is_silent(facts.exit) && !self.context.talk.json {
            // Told once, and nobody would ever hear of it.
            let notices = summary.notices.iter().map(ToString::to_string);
            notices.for_each(|notice| self.context.terminal.say(&terminal::escaped(&notice)));
        }
        let problems = report::summary::problems(&summary, &facts);
        if !problems.is_empty() {
            self.context.terminal.say(&problems);
        }
        Ok(facts.exit)
    }

    /// Takes the locks and runs over the series that are ours; names those that are not.
    async fn summarised(
        &self,
        session: &mut Session,
    ) -> Result<(Summary, Vec<(Series, String)>), Failure> {
        let request = &self.settings.request;
        // Looked at first, so that a run that cannot start leaves no folder behind.
        let offered = session.offered(request).await.map_err(|error| self.failure(error))?;
        if !offered.is_empty() {
            self.say_if_new();
            session.prepare().await.map_err(|error| self.failure(error.into()))?;
            self.context.record.archive_is_there();
            if self.settings.endpoint.is_none() {
                session.mark_invented().await.map_err(|error| self.failure(error.into()))?;
            }
        }
        let series = request.series();
        let taken = Taken::of(&series, &offered, |series| session.lock(series));
        let taken = taken.map_err(|error| self.failure(error))?;
        let mut request = request.clone();
        request.wanted.retain(|wanted| taken.ours.contains(&wanted.series));
        let summary = session.run(&request).await;
        let mut summary = summary.map_err(|error| self.failure(taken.with_reasons(error)))?;
        summary.failed_series.extend(taken.refused);
        Ok((summary, taken.held))
    }

    fn failure(&self, error: DownloadError) -> Failure {
        let exit = ExitCode::of_error(&error, self.signals.first());
        let hint = match self.signals.first() {
            Some(_) => Some(GO_ON.to_owned()),
            None => hint(&error, &self.settings.output),
        };
        let failure = Failure::new(exit, error);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

fn must_exist(output: &Path) -> Failure {
    let said = format!("`{}` holds no archive, and none is to begin there", output.display());
    Failure::cannot_start(said).with_hint(
        "mount the disk that it is on, or name its folder with `--output`; to begin a new archive, \
         leave `--must-exist` out once",
    )
}

/// What was asked for, as `last-run.json` tells it; no secret is among it.
pub(crate) fn arguments(settings: &DownloadSettings) -> Value {
    /// More than this many series are told by their number.
    const MOST_SERIES: usize = 100;
    let wanted = settings.request.wanted.iter().take(MOST_SERIES).map(
        |wanted| json!({ "series": wanted.series.to_string(), "window": window(wanted.window) }),
    );
    let rate = match settings.pace.rate {
        Rate::PerMinute(rate) => json!(rate),
        Rate::Unlimited => json!("unlimited"),
    };
    let endpoint = settings.endpoint.as_ref().map_or(mixing::DEMO, |endpoint| &endpoint.shown);
    json!({
        "wanted": wanted.collect::<Vec<_>>(),
        "output": settings.output.display().to_string(),
        "endpoint": endpoint,
        "api": settings.api.word(),
        "rate_per_minute": rate,
        "no_resume": settings.ask_everything,
    })
}

fn window(window: Window) -> Value {
    match window {
        Window::Months(n) => json!({ "months": n }),
        Window::MonthsOf30Days(n) => json!({ "months_of_30_days": n }),
        Window::Range { start, end } => json!({ "start": start, "end": end }),
        Window::LastDay => json!({ "days": 1 }),
    }
}

/// What a person can do about a proxy that makes no connection.
pub(super) const PROXY_HINT: &str =
    "check the proxy that the variable names, or except the endpoint from it with `NO_PROXY`";

/// What a person can do about a run that could not start.
pub(super) fn hint(error: &DownloadError, output: &Path) -> Option<String> {
    let hint = match error {
        DownloadError::Source { source, .. } if Proxy::is_to_blame(source) => PROXY_HINT,
        DownloadError::Source { source, .. } => match source.kind {
            ErrorKind::Unauthorized => {
                "check `TITAN_TOKEN` and `--app-id`; market data needs no token on `--api v1`"
            }
            ErrorKind::Rejected | ErrorKind::UnknownSymbol => {
                "check `--endpoint` and `--api`; they must belong together"
            }
            ErrorKind::Cancelled => return None,
            ErrorKind::BudgetSpent => {
                "give the run more with `--max-requests` or `--max-duration`; nothing is lost"
            }
            _ => "check the network and `--endpoint`; nothing is lost, run the same command again",
        },
        DownloadError::Store(StoreError::Held { .. }) => {
            "wait for the other run to end, or give this one another folder with `--output`"
        }
        // Where nothing was yet, nothing can have vanished.
        DownloadError::Store(StoreError::Io { doing: "create the folder", source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            return Some(refusal(io::ErrorKind::Other, output).hint);
        }
        DownloadError::Store(StoreError::Io { doing: LOCKING, .. }) => {
            return Some(no_locks(output).hint);
        }
        DownloadError::Store(StoreError::Io { source, .. }) => {
            return Some(refusal(source.kind(), output).hint);
        }
        DownloadError::NoSeries(_) => {
            "write a symbol as the source does, like `R_100`; if something else failed, run it again"
        }
        DownloadError::NoRoom { .. } => {
            return Some(format!(
                "make room on the disk of `{}`, ask for fewer months with `--months`, or use \
                 another disk with `--output`",
                output.display()
            ));
        }
        DownloadError::Window(_) => {
            "all days are UTC, the end is exclusive; without `--end-date` the end is the source's now"
        }
        DownloadError::Restatement { .. } => {
            "name a month inside the range asked for whose sidecar does not say `locked`"
        }
        DownloadError::Store(_) => return None,
    };
    Some(hint.to_owned())
}

pub(super) fn cannot_print(error: io::Error) -> Failure {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the result to stdout")]
    struct CannotPrint(#[source] io::Error);
    Failure::new(ExitCode::Incomplete, CannotPrint(error))
}

pub(super) fn detail(settings: &DownloadSettings, context: &Context) -> Detail {
    match (context.talk.volume, settings.progress) {
        (Volume::Quiet, _) => Detail::Nothing,
        (_, false) => Detail::Notes,
        (_, true) => Detail::All,
    }
}

/// The simulated exchange inside this process.
pub(super) struct Demo {
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Demo {
    /// Ends it.
    pub(super) async fn end(self) {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        if tokio::time::timeout(DEMO_END_WITHIN, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// The endpoint that was named, or one of a simulated exchange that is started for it.
pub(super) async fn endpoint_or_demo(
    endpoint: Option<&EndpointChoice>,
    api: Api,
) -> Result<(EndpointChoice, Option<Demo>), Failure> {
    match endpoint {
        Some(endpoint) => Ok((endpoint.clone(), None)),
        None => start_demo(api).await.map(|(endpoint, demo)| (endpoint, Some(demo))),
    }
}

async fn start_demo(api: Api) -> Result<(EndpointChoice, Demo), Failure> {
    let no_port = |error| Failure::cannot_start(error).with_hint("no loopback port is free");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_port)?;
    let port = listener.local_addr().map_err(no_port)?.port();
    let exchange = Exchange::demo(clock::now());
    let url = exchange.url(api, port);
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { exchange.serve(listener, stop).await }
    });
    let shown = mixing::DEMO.to_owned();
    let endpoint = EndpointChoice { url, shown, is_tls: false, is_loopback: true };
    Ok((endpoint, Demo { stop, task }))
}

#[cfg(test)]
mod tests {
    use crate::domain::SourceError;
    use crate::download::WindowError;

    use super::*;

    #[test]
    fn every_start_that_can_be_mended_has_a_hint() {
        let source =
            |kind| DownloadError::Source { what: "the time", source: SourceError::new(kind, "no") };
        let check = |error: DownloadError, part: &str| {
            let text = hint(&error, Path::new("data_cache")).unwrap_or_default();
            assert!(text.contains(part) && text.is_empty() == part.is_empty(), "{error}: {text}");
        };
        check(source(ErrorKind::Transport), "network");
        check(source(ErrorKind::Unauthorized), "TITAN_TOKEN");
        check(source(ErrorKind::Cancelled), "");
        check(DownloadError::NoSeries(Vec::new()), "`R_100`");
        let end = crate::domain::Epoch::new(1);
        check(WindowError::Empty { start: end, end }.into(), "`--end-date`");
        let io = |kind| {
            let source = io::Error::from(kind);
            DownloadError::from(StoreError::Io { doing: "write", path: "x".into(), source })
        };
        check(io(io::ErrorKind::PermissionDenied), "`data_cache`");
        check(io(io::ErrorKind::NotADirectory), "a file is where");
        for number in [37, 95] {
            // ENOLCK and EOPNOTSUPP: neither the permissions nor the space are to blame.
            let source = io::Error::from_raw_os_error(number);
            let locked = StoreError::Io { doing: LOCKING, path: "x".into(), source };
            check(locked.into(), "on a local disk");
        }
    }
}
