//! The source as `symbols` and `doctor` ask it: without wrappers, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::deriv::probe::{self, Check, Examination, ProbePlan};
use crate::deriv::{DerivClient, DerivConfig, Endpoint, Secret};
use crate::domain::{Epoch, FactsStore, Instrument, SourceError, SourceFacts, SourceInfo, Symbol};
use crate::format::Layout;
use crate::integrity::{self, PartitionChecker};
use crate::storage::{self, FolderProbe, ParquetStore, StoreOptions};

use super::super::clock;
use super::super::error::Failure;
use super::super::settings::EndpointChoice;
use super::super::settings::source::{DoctorSettings, SourceSettings, SymbolsSettings};

/// Pause between two requests of `doctor` to others: half a minute's worth of what users were
/// refused at.
const POLITE: Duration = Duration::from_secs(2);

fn config(source: &SourceSettings, endpoint: &EndpointChoice) -> Result<DerivConfig, Failure> {
    let address = Endpoint::parse(&endpoint.url).map_err(Failure::cannot_start)?;
    let mut config = DerivConfig::new(super::version(source.api), address);
    config.app_id = source.app_id;
    config.token = source.token.as_ref().map(|token| Secret::new(token.reveal()));
    config.request_timeout = source.timeout;
    config.connect_timeout = config.connect_timeout.min(source.timeout);
    Ok(config)
}

/// The proxy of an endpoint, without its user and password.
pub(in crate::cli) fn proxy(endpoint: &EndpointChoice) -> Result<Option<String>, Failure> {
    let address = Endpoint::parse(&endpoint.url).map_err(Failure::cannot_start)?;
    Ok(super::proxy(&address)?.map(|proxy| proxy.to_string()))
}

/// Asks for the time and for what is on offer, once each.
pub(in crate::cli) async fn offer(
    source: &SourceSettings,
    endpoint: &EndpointChoice,
) -> Result<Result<(Epoch, Vec<Instrument>), SourceError>, Failure> {
    let config = config(source, endpoint)?;
    let connector = super::connector(&config.endpoint, source.insecure_ws)?;
    let client = DerivClient::new(config, connector);
    let asked = async {
        let now = client.server_time().await?;
        Ok((now, client.instruments().await?))
    };
    let offered = asked.await;
    client.close().await;
    Ok(offered)
}

/// What the archive knows of symbols: the kinds that it holds, and what was learned of the source.
pub(in crate::cli) fn known(
    settings: &SymbolsSettings,
    endpoint: &EndpointChoice,
) -> (BTreeMap<Symbol, BTreeSet<String>>, SourceFacts) {
    let root = &settings.root;
    let mut held: BTreeMap<Symbol, BTreeSet<String>> = BTreeMap::new();
    if root.is_dir() {
        let layout = Layout::new(root);
        for key in integrity::contents(layout.root(), &[]).0 {
            held.entry(key.series.symbol).or_default().insert(key.series.kind.folder());
        }
    }
    let options = StoreOptions {
        endpoint: format!("{} {}", settings.source.api.word(), endpoint.shown),
        ..StoreOptions::default()
    };
    let store = ParquetStore::open(root, options, Arc::new(PartitionChecker));
    (held, store.map(|store| store.load_facts()).unwrap_or_default())
}

/// Examines the API.
pub(in crate::cli) async fn examine(
    settings: &DoctorSettings,
    endpoint: &EndpointChoice,
    tell: &(dyn Fn(Check) + Sync),
) -> Result<Examination, Failure> {
    let config = config(&settings.source, endpoint)?;
    let connector = super::connector(&config.endpoint, settings.source.insecure_ws)?;
    let plan = ProbePlan {
        symbol: settings.symbol.clone(),
        is_long: settings.long,
        pace: if endpoint.is_loopback { Duration::ZERO } else { POLITE },
        clock: Arc::new(clock::now_millis),
    };
    Ok(probe::probe(&config, &connector, &plan, tell).await)
}

/// Tries out a folder.
pub(in crate::cli) fn folder(dir: &Path, session: &str) -> FolderProbe {
    storage::probe_folder(dir, session)
}

/// Who works in an archive now.
pub(in crate::cli) fn lock_holders(root: &Path) -> Vec<(String, String)> {
    storage::lock_holders(root)
}

/// The folders of an archive that others must not look into.
pub(in crate::cli) fn private_folders(root: &Path) -> [std::path::PathBuf; 3] {
    let layout = Layout::new(root);
    [layout.locks_dir(), layout.staging_root(), layout.quarantine_dir()]
}
