//! Where a repair meets the checker, the store and the download.

use std::collections::BTreeSet;
use std::path::Path;

use crate::domain::{Evidence, PartitionKey, RangeSet, Remedy, Series, StoreError};
use crate::download::{self, DownloadError, Orders, Plan, Summary};
use crate::format::digest::DayDigest;
use crate::integrity::{self, Depth, Report, VerifyOptions};

use super::super::settings::repair::RepairSettings;
use super::Session;

/// Checks the archive as `verify` does, and tells the facts a repair needs. Blocks.
pub(crate) fn assess(settings: &RepairSettings) -> (Report, Vec<Evidence>) {
    let options = VerifyOptions {
        threads: settings.threads.unwrap_or(0),
        depth: if settings.deep { Depth::Deep } else { Depth::Full },
        symbols: settings.symbols.clone(),
        ..VerifyOptions::default()
    };
    integrity::assess(&settings.run.output, &options)
}

/// The series of the archive that may be repaired. Opens no file.
pub(crate) fn contents(settings: &RepairSettings) -> Vec<Series> {
    let (keys, _) = integrity::present(&settings.run.output, &settings.symbols);
    let series: BTreeSet<Series> = keys.into_iter().map(|key| key.series).collect();
    series.into_iter().filter(|series| settings.is_wanted(series.kind)).collect()
}

/// What is to be asked.
pub(crate) fn orders(evidence: &[Evidence]) -> Orders {
    download::orders(evidence)
}

/// The hash of each day's rows beside some seconds. Blocks.
pub(crate) fn rows_beside(root: &Path, key: &PartitionKey, except: &RangeSet) -> Vec<DayDigest> {
    integrity::rows_beside(root, key, except)
}

impl Session {
    /// Does what is to be done with the files of a partition before anybody is asked.
    pub(crate) async fn mend(&self, key: &PartitionKey, remedy: &Remedy) -> Result<(), StoreError> {
        let (key, remedy) = (key.clone(), remedy.clone());
        self.with_store(move |store| store.mend(&key, &remedy)).await
    }

    /// What a repair would ask.
    pub(crate) async fn plan_repair(&self, orders: &Orders) -> Result<Plan, DownloadError> {
        self.downloader.plan_repair(orders).await
    }

    /// Asks what is ordered and publishes it.
    pub(crate) async fn repair(&self, orders: &Orders) -> Result<Summary, DownloadError> {
        self.downloader.repair(orders).await
    }
}
