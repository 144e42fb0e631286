//! `verify`: recompute every promise of an archive from its files. Asks nobody, changes nothing.

use crate::download::disk;

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::report;
use super::super::settings::VerifySettings;
use super::super::signal::{Patience, Signals};
use super::super::terminal;
use super::super::wiring;
use super::{Context, Selected};

const STOPPING: &str = "stopping";

const AGAIN: &str = "nothing was changed; run the same command again";

/// Checks the archive and prints what was found.
pub(crate) async fn run(settings: &VerifySettings, context: &Context) -> Result<ExitCode, Failure> {
    let root = &settings.root;
    let signals = Signals::listen(context.terminal.clone(), STOPPING, Patience::Bounded)
        .map_err(Failure::cannot_start)?;
    let selected = Selected { symbols: &settings.symbols, is_kind: &|_| true, kinds: "" };
    super::must_hold(root, &selected)?;
    let check = {
        let (settings, with_report) = (settings.clone(), context.talk.json);
        disk().spawn_blocking(move || wiring::verify(&settings, with_report))
    };
    let checked = tokio::select! {
        biased;
        // Nothing was changed, so the check may be left where it stands.
        () = signals.stop().cancelled() => {
            let exit = ExitCode::of_signal(signals.first());
            return Err(Failure::new(exit, "the check was stopped before it was done").with_hint(AGAIN));
        }
        checked = check => match checked {
            Ok(checked) => checked?,
            // A panic in there is a bug, and goes on up here.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        },
    };
    let exit = if checked.is_sound() { ExitCode::Success } else { ExitCode::Incomplete };
    let printed = terminal::print(|out| {
        if context.talk.json {
            writeln!(out, "{}", report::json::verify(root, &checked, &context.session, exit))
        } else if context.is_silent(exit) {
            Ok(())
        } else {
            report::verify::write(out, root, &checked)
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}
