//! `symbols`: what the source offers now. One list, and the time; changes nothing.

use crate::deriv::Proxy;
use crate::domain::{ErrorKind, Instrument, SourceError};

use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::report::{self, symbols::Shown};
use super::super::settings::EndpointChoice;
use super::super::settings::source::SymbolsSettings;
use super::super::signal::{Patience, Signals};
use super::super::suggest::similar;
use super::super::terminal::{self, escaped};
use super::super::wiring::outside;
use super::{Context, download};

const STOPPING: &str = "stopping";

/// Shows what is on offer.
pub(crate) async fn run(
    settings: &SymbolsSettings,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let signals = Signals::listen(context.terminal.clone(), STOPPING, Patience::Bounded)
        .map_err(Failure::cannot_start)?;
    let (endpoint, demo) =
        download::endpoint_or_demo(settings.source.endpoint.as_ref(), settings.source.api).await?;
    let offered = tokio::select! {
        biased;
        () = signals.stop().cancelled() => {
            let exit = ExitCode::of_signal(signals.first());
            return Err(Failure::new(exit, "stopped before the source answered"));
        }
        offered = outside::offer(&settings.source, &endpoint) => offered,
    };
    if let Some(demo) = demo {
        demo.end().await;
    }
    let (now, instruments) = offered?.map_err(unavailable)?;
    let shown = shown(settings, &endpoint, now, instruments)?;
    // As with searching tools: nothing that fits is no success.
    let exit = if shown.rows.is_empty() { ExitCode::Incomplete } else { ExitCode::Success };
    let (width, _) = terminal::stdout_canvas();
    let printed = terminal::print(|out| {
        if context.talk.json {
            writeln!(out, "{}", report::symbols::json(&shown, &context.session, exit))
        } else {
            report::symbols::write(out, &shown, width)
        }
    });
    printed.map_err(|error| Failure::new(ExitCode::Incomplete, error))?;
    Ok(exit)
}

/// What fits the filters, with what the archive knows of it.
fn shown(
    settings: &SymbolsSettings,
    endpoint: &EndpointChoice,
    now: crate::domain::Epoch,
    instruments: Vec<Instrument>,
) -> Result<Shown, Failure> {
    let markets = || instruments.iter().map(|one| one.market.as_str());
    let parts = || instruments.iter().filter_map(|one| one.submarket.as_deref());
    known_word("--market", "market", settings.market.as_deref(), markets().collect())?;
    known_word(
        "--submarket",
        "part of a market",
        settings.submarket.as_deref(),
        parts().collect(),
    )?;
    let n_offered = instruments.len();
    let (held, facts) = outside::known(settings, endpoint);
    let mut rows: Vec<_> = instruments
        .into_iter()
        .filter(|one| fits(settings, one))
        .map(|one| report::symbols::Row::new(one, &held, &facts))
        .collect();
    rows.sort_by(report::symbols::Row::in_order);
    Ok(Shown {
        rows,
        n_offered,
        now,
        endpoint: endpoint.shown.clone(),
        api: settings.source.api,
        root: settings.root.clone(),
    })
}

fn fits(settings: &SymbolsSettings, one: &Instrument) -> bool {
    let text = settings.text.to_lowercase();
    let has = |place: &str| place.to_lowercase().contains(&text);
    let is = |wanted: &Option<String>, word: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(word))
    };
    (has(one.symbol.as_str()) || one.name.as_deref().is_some_and(has))
        && is(&settings.market, &one.market)
        && is(&settings.submarket, one.submarket.as_deref().unwrap_or_default())
        && (!settings.open || one.is_open)
}

/// Refuses a word that nothing on offer has, and suggests another.
fn known_word(
    option: &str,
    what: &str,
    typed: Option<&str>,
    mut words: Vec<&str>,
) -> Result<(), Failure> {
    let Some(typed) = typed else { return Ok(()) };
    words.retain(|word| !word.is_empty());
    words.sort_unstable();
    words.dedup();
    if words.iter().any(|word| word.eq_ignore_ascii_case(typed)) {
        return Ok(());
    }
    let problem = format!("cannot read `{option}`: the source has no {what} `{}`", escaped(typed));
    let hint = match similar(typed, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`? There are {}", words.join(", ")),
        None => format!("there are {}", words.join(", ")),
    };
    Err(Failure::cannot_start(problem).with_hint(hint))
}

/// The source did not answer, or refused.
fn unavailable(error: SourceError) -> Failure {
    let (exit, hint) = match error.kind {
        ErrorKind::Rejected if Proxy::is_to_blame(&error) => {
            (ExitCode::CannotStart, download::PROXY_HINT)
        }
        ErrorKind::Unauthorized => (
            ExitCode::CannotStart,
            "check `TITAN_TOKEN` and `--app-id`; the list needs no token on `--api v1`",
        ),
        ErrorKind::Rejected => {
            (ExitCode::CannotStart, "check `--endpoint` and `--api`; they must belong together")
        }
        _ => (
            ExitCode::Unavailable,
            "check the network and `--endpoint`; `titan-download doctor` finds out more",
        ),
    };
    Failure::new(exit, error).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_market_is_named_with_what_was_meant() {
        let words = || vec!["forex", "synthetic_index", "forex", ""];
        assert!(known_word("--market", "market", None, words()).is_ok());
        assert!(known_word("--market", "market", Some("FOREX"), words()).is_ok());
        let refused = known_word("--market", "market", Some("forx\u{1b}[2J"), words()).unwrap_err();
        assert_eq!(refused.exit, ExitCode::CannotStart);
        assert!(refused.chain()[0].contains("`forx\\u{1b}[2J`"), "{refused:?}");
        let refused = known_word("--market", "market", Some("forx"), words()).unwrap_err();
        let hint = "did you mean `forex`? There are forex, synthetic_index";
        assert_eq!(refused.hint.as_deref(), Some(hint));
    }

    #[test]
    fn what_failed_decides_the_exit_code() {
        let exit = |kind| unavailable(SourceError::new(kind, "no")).exit;
        assert_eq!(exit(ErrorKind::Transport), ExitCode::Unavailable);
        assert_eq!(exit(ErrorKind::RateLimited), ExitCode::Unavailable);
        assert_eq!(exit(ErrorKind::Malformed), ExitCode::Unavailable);
        assert_eq!(exit(ErrorKind::Unauthorized), ExitCode::CannotStart);
        assert_eq!(exit(ErrorKind::Rejected), ExitCode::CannotStart);
    }
}
