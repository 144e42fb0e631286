//! `doctor`: the API and this machine, each assumption tried. Leaves nothing behind.

use indicatif::ProgressBar;

use crate::deriv::probe::{Check, Examination};
use crate::domain::Verdict;

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::machine;
use super::super::report;
use super::super::report::calendar::Canvas;
use super::super::report::doctor::Examined;
use super::super::settings::EndpointChoice;
use super::super::settings::source::DoctorSettings;
use super::super::signal::{Patience, Signals};
use super::super::wiring::outside;
use super::super::{clock, terminal};
use super::{Context, download};

const STOPPING: &str = "stopping";

/// Examines and prints what was found.
pub(crate) async fn run(settings: &DoctorSettings, context: &Context) -> Result<ExitCode, Failure> {
    let signals = Signals::listen(context.terminal.clone(), STOPPING, Patience::Bounded)
        .map_err(Failure::cannot_start)?;
    let began = clock::now();
    let facts = machine::look(settings, &context.session);
    let (endpoint, demo) =
        download::endpoint_or_demo(settings.source.endpoint.as_ref(), settings.source.api).await?;
    let proxy = outside::proxy(&endpoint)?;
    let examination = tokio::select! {
        biased;
        () = signals.stop().cancelled() => {
            let exit = ExitCode::of_signal(signals.first());
            return Err(Failure::new(exit, "stopped before everything was examined"));
        }
        found = examined(settings, &endpoint, context) => found?,
    };
    if let Some(demo) = demo {
        demo.end().await;
    }
    let shown = Examined {
        endpoint: endpoint.shown.clone(),
        api: settings.source.api,
        symbol: settings.symbol.clone(),
        began,
        machine: machine::judge(&facts, proxy.as_deref()),
        network: examination,
    };
    let exit = exit(&shown);
    let (width, colours) = terminal::stdout_canvas();
    let printed = terminal::print(|out| {
        if context.talk.json {
            writeln!(out, "{}", report::doctor::json(&shown, &context.session, exit))
        } else if context.is_silent(exit) {
            Ok(())
        } else {
            report::doctor::write(out, &shown, Canvas { width, colours })
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}

async fn examined(
    settings: &DoctorSettings,
    endpoint: &EndpointChoice,
    context: &Context,
) -> Result<Examination, Failure> {
    if !context.terminal.draws_bars() {
        return outside::examine(settings, endpoint, &|_| {}).await;
    }
    let spinner = context.terminal.bars().add(ProgressBar::new_spinner());
    let tell = |check: Check| {
        spinner.set_message(format!("{}: {}", check.name(), check.assumed()));
        spinner.tick();
    };
    let found = outside::examine(settings, endpoint, &tell).await;
    spinner.finish_and_clear();
    found
}

/// A source that cannot be reached counts more than what differs.
fn exit(shown: &Examined) -> ExitCode {
    if !shown.network.is_reached {
        return ExitCode::Unavailable;
    }
    let is_bad = |verdict| matches!(verdict, Verdict::Differs | Verdict::Failed);
    match shown.rows().any(|(_, probe)| is_bad(probe.verdict)) {
        true => ExitCode::Incomplete,
        false => ExitCode::Success,
    }
}
