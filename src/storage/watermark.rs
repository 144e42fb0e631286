//! `.titan/watermark.json`: up to where each series is proved, for readers that have neither a
//! Parquet library nor this program.
//!
//! It is a function of the sidecars alone, so writing it twice gives the same bytes, and what a
//! crash left out of date is put right by whoever publishes, rebuilds or takes the series next.
//! It is for others: nothing here decides by it, and failing to write it spoils no publish.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::domain::{Month, Series, StoreError};
use crate::format::{Layout, MonthSeen, Sidecar, SidecarSeen, Standing, WatermarkFile};

use super::errors::io_error;
use super::staging::{file_name, list, read_if_any};
use super::{ParquetStore, atomic, lock};

/// Serialises writers of different series, which may be different processes.
const LOCK_NAME: &str = "watermark.lock";

/// Says how `series` stands now. A failure is a warning: the partitions are what counts.
pub(super) fn refresh(store: &ParquetStore, series: &Series) {
    if let Err(error) = try_refresh(store, series) {
        let path = store.layout.watermark();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(path = %path.display(), %error, cause, "the watermark file is out of date");
    }
}

fn try_refresh(store: &ParquetStore, series: &Series) -> Result<(), StoreError> {
    store.make_private_dirs()?;
    let layout = &store.layout;
    let path = layout.watermark();
    atomic::confine(layout.root(), &path)?;
    let lock_path = layout.locks_dir().join(LOCK_NAME);
    let lock = lock::open(&lock_path)?;
    lock.lock().map_err(io_error("lock", &lock_path))?;
    // Read only now: whoever comes last has seen what all others published.
    let old = read_if_any(&path)?;
    let mut file = match old.as_deref().map(WatermarkFile::from_json) {
        Some(Ok(file)) => file,
        None => WatermarkFile::default(),
        Some(Err(reason)) => {
            tracing::warn!(path = %path.display(), reason, "the watermark file is written anew");
            every_series(store)?
        }
    };
    file.series.retain(|name, _| layout.root().join(name).is_dir());
    file.set(series, standing(layout, series)?);
    let new = file.to_json();
    let has_news = old.as_deref().map_or(!file.series.is_empty(), |old| old != new);
    if has_news { atomic::write_file(&path, &store.names.next(), &new) } else { Ok(()) }
}

/// A file that cannot be read says nothing of the other series either.
fn every_series(store: &ParquetStore) -> Result<WatermarkFile, StoreError> {
    let layout = &store.layout;
    let mut file = WatermarkFile::default();
    for folder in list(layout.root())?.into_iter().filter(|path| path.is_dir()) {
        let Ok(symbol) = file_name(&folder).parse() else { continue };
        for kind in list(&folder)?.iter().filter_map(|path| file_name(path).parse().ok()) {
            let series = Series { symbol: Clone::clone(&symbol), kind };
            file.set(&series, standing(layout, &series)?);
        }
    }
    Ok(file)
}

fn standing(layout: &Layout, series: &Series) -> Result<Standing, StoreError> {
    let dir = layout.series_dir(series);
    let mut found: BTreeMap<Month, MonthSeen> = BTreeMap::new();
    for path in list(&dir)? {
        let name = file_name(&path);
        let month_before = |suffix| name.strip_suffix(suffix)?.parse::<Month>().ok();
        if let Some(month) = month_before(".parquet") {
            let size = fs::metadata(&path).map_err(io_error("look at", &path))?.len();
            seen(&mut found, month).file_size = Some(size);
        } else if let Some(month) = month_before(".metadata.json") {
            seen(&mut found, month).sidecar = read(&path)?;
        }
    }
    Ok(Standing::of(series, &found.into_values().collect::<Vec<_>>()))
}

fn seen(found: &mut BTreeMap<Month, MonthSeen>, month: Month) -> &mut MonthSeen {
    let nothing = MonthSeen { month, sidecar: SidecarSeen::Missing, file_size: None };
    found.entry(month).or_insert(nothing)
}

fn read(path: &Path) -> Result<SidecarSeen, StoreError> {
    let Some(bytes) = read_if_any(path)? else { return Ok(SidecarSeen::Missing) };
    Ok(match Sidecar::from_json(&bytes) {
        Ok(sidecar) => SidecarSeen::Read(Box::new(sidecar)),
        Err(error) => SidecarSeen::Unreadable(error.to_string()),
    })
}
