//! Settings of the commands that look at the source itself.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Symbol;

use super::super::args::Origins;
use super::super::args::source::{AskArgs, DoctorArgs, SymbolsArgs};
use super::parse::{duration, symbol};
use super::{Api, EndpointChoice, Outside, SettingsError, Token, Whom, named, some_folder, whom};

/// Which source is asked, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Which API.
    pub api: Api,
    /// Where to ask; `None` is the built-in simulated exchange.
    pub endpoint: Option<EndpointChoice>,
    /// Names this application to the legacy API.
    pub app_id: u32,
    /// The API token, if one is to be used.
    pub token: Option<Token>,
    /// Whether an unencrypted endpoint on another machine is allowed.
    pub insecure_ws: bool,
    /// Limit of one request.
    pub timeout: Duration,
}

/// What `symbols` shall show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolsSettings {
    /// Text that symbol or name must have; empty fits all.
    pub text: String,
    /// The one market that is shown.
    pub market: Option<String>,
    /// The one part of a market that is shown.
    pub submarket: Option<String>,
    /// Whether only open markets are shown.
    pub open: bool,
    /// Folder of the archive, which need not be there.
    pub root: PathBuf,
    /// Which source.
    pub source: SourceSettings,
}

/// What `doctor` shall examine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorSettings {
    /// With which symbol.
    pub symbol: Symbol,
    /// Whether a silent connection is watched too.
    pub long: bool,
    /// Folder of the archive, which need not be there.
    pub root: PathBuf,
    /// Folder of what all runs on this machine share; `None` is the user's state folder.
    pub state_dir: Option<PathBuf>,
    /// Which source.
    pub source: SourceSettings,
}

/// Reads what `symbols` shall show.
///
/// # Errors
///
/// The first setting that cannot be used.
pub fn symbols(
    args: &SymbolsArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<SymbolsSettings, SettingsError> {
    let word = |text: &Option<String>| text.as_deref().map(|text| text.trim().to_owned());
    Ok(SymbolsSettings {
        text: args.text.as_deref().unwrap_or_default().trim().to_owned(),
        market: word(&args.market),
        submarket: word(&args.submarket),
        open: args.open,
        root: some_folder(&args.output, origins)?,
        source: source(&args.ask, origins, outside)?,
    })
}

/// Reads what `doctor` shall examine.
///
/// # Errors
///
/// The first setting that cannot be used.
pub fn doctor(
    args: &DoctorArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<DoctorSettings, SettingsError> {
    Ok(DoctorSettings {
        symbol: named("symbol", origins, symbol(args.symbol.trim()))?,
        long: args.long,
        root: some_folder(&args.output, origins)?,
        state_dir: args.state_dir.clone(),
        source: source(&args.ask, origins, outside)?,
    })
}

fn source(
    args: &AskArgs,
    origins: &Origins,
    outside: &Outside<'_>,
) -> Result<SourceSettings, SettingsError> {
    let Whom { api, endpoint, app_id, token } = whom(&args.source, origins, outside)?;
    Ok(SourceSettings {
        api,
        endpoint,
        app_id,
        token,
        insecure_ws: args.source.insecure_ws,
        timeout: named("timeout", origins, duration(&args.timeout, Duration::from_millis(100)))?,
    })
}
