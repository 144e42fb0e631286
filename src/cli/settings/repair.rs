//! Reads what `repair` shall do.

use crate::domain::{Kind, Symbol};
use crate::download::DownloadRequest;

use super::super::args::{Origins, RepairArgs};
use super::parse::{choice, number, symbol};
use super::{DownloadSettings, Outside, SettingsError, Whom};
use super::{file, named, pace, rate_warning, some_folder, token_warning, whom};

/// A repair, ready to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct RepairSettings {
    /// Where and how to ask and to write. Which series it asks for is found in the archive.
    pub run: DownloadSettings,
    /// Repair these only; all if empty.
    pub symbols: Vec<Symbol>,
    /// Whether ticks are repaired.
    pub ticks: bool,
    /// Whether candles are repaired.
    pub candles: bool,
    /// Whether ticks are held against candles.
    pub deep: bool,
    /// Files checked at once; `None` is one per core.
    pub threads: Option<usize>,
}

impl RepairSettings {
    /// Tells whether a kind is to be repaired.
    pub fn is_wanted(&self, kind: Kind) -> bool {
        if kind == Kind::Ticks { self.ticks } else { self.candles }
    }
}

/// Reads what `repair` shall do.
///
/// # Errors
///
/// The first setting that cannot be used.
pub fn repair(
    args: &RepairArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<RepairSettings, SettingsError> {
    if !args.place.accept_restatement.is_empty() {
        let option = origins.place_of("accept-restatement");
        return Err(SettingsError::rule(
            format!("{option} is nothing for `repair`, which never replaces a good price"),
            "give it to a download of that month: `titan-download --symbol …`",
        ));
    }
    let texts = args.symbols.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let symbols = named("symbol", origins, texts.map(symbol).collect())?;
    let mut kinds = Vec::new();
    for text in args.kinds.iter().filter(|text| !text.trim().is_empty()) {
        kinds.push(named("kind", origins, choice(text, &[("ticks", true), ("candles", false)]))?);
    }
    if kinds.is_empty() {
        return Err(SettingsError::rule("no kind is given", "choose `ticks`, `candles` or both"));
    }
    let threads = args.threads.as_deref().map(|text| number(text, 1..=1024)).transpose();
    Ok(RepairSettings {
        run: run(args, origins, outside)?,
        symbols,
        ticks: kinds.contains(&true),
        candles: kinds.contains(&false),
        deep: args.deep,
        threads: named("threads", origins, threads)?,
    })
}

fn run(
    args: &RepairArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<DownloadSettings, SettingsError> {
    let place = &args.place;
    let Whom { api, endpoint, app_id, token } = whom(&place.source, origins, outside)?;
    let is_local = endpoint.as_ref().is_none_or(|endpoint| endpoint.is_loopback);
    let mut warnings = Vec::from_iter(token_warning(token.as_ref(), endpoint.as_ref()));
    let pace = pace(&args.pace, place.source.demo, is_local, origins)?;
    warnings.extend(rate_warning(pace.rate, is_local));
    Ok(DownloadSettings {
        request: DownloadRequest { wanted: Vec::new() },
        output: some_folder(args.path.as_ref().unwrap_or(&place.output), origins)?,
        // What is mended is there, in any case.
        must_exist: true,
        ask_everything: false,
        accept_restatement: Default::default(),
        api,
        endpoint,
        app_id,
        token,
        state_dir: place.state_dir.clone(),
        insecure_ws: place.source.insecure_ws,
        check_clock: place.source.check_clock,
        pace,
        file: file(&args.file, origins, outside)?,
        dry_run: args.dry_run,
        progress: !args.no_progress,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::args::{self, Command};
    use super::super::EndpointChoice;
    use super::*;

    fn read(line: &str) -> Result<RepairSettings, SettingsError> {
        let words = ["titan-download", "repair"].into_iter().chain(line.split_whitespace());
        let (cli, origins) = args::parse(words.map(Into::into).collect()).unwrap();
        let Some(Command::Repair(args)) = cli.command else { panic!("another command") };
        let endpoint = |_, text: Option<&str>| {
            let shown = text.unwrap_or("wss://far").to_owned();
            Ok(EndpointChoice { url: shown.clone(), shown, is_tls: true, is_loopback: false })
        };
        let outside = Outside { token: None, endpoint: &endpoint, compression: &|_| Ok(()) };
        repair(&args, &origins, &outside)
    }

    #[test]
    fn repairs_everything_unless_told_otherwise() {
        let all = read("").unwrap();
        assert!(all.symbols.is_empty() && all.ticks && all.candles && !all.deep);
        assert_eq!(all.run.output.to_str(), Some("data_cache"));
        let some = read("archive --symbol R_50,R_100 --kind ticks --deep --dry-run --rate 60");
        let some = some.unwrap();
        assert_eq!(some.run.output.to_str(), Some("archive"));
        assert_eq!((some.symbols.len(), some.ticks, some.candles), (2, true, false));
        assert!(some.deep && some.run.dry_run);
    }

    #[test]
    fn bad_values_are_named() {
        let check = |line: &str, expected: &str| {
            let error = read(line).expect_err(line).to_string();
            assert!(error.contains(expected), "{line}: {error}");
        };
        check("--kind bars", "cannot read `--kind`");
        check("--symbol a/b", "cannot read `--symbol`");
        check("--threads 0", "cannot read `--threads`");
        check("--accept-restatement R_100/ticks/2026-03", "never replaces a good price");
    }
}
