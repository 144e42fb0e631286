//! `.titan/watermark.json`: up to where each series is proved, for readers that have neither a
//! Parquet library nor this program.
//!
//! It is a function of the sidecars and of the months it named before, so writing it twice gives the
//! same bytes, and what a crash left out of date is put right by whoever publishes, rebuilds or takes
//! the series next. Failing to write it spoils no publish. A month that it named and that is not
//! there any more stays in it: readers say that it is missing, and nothing else decides by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::{Month, PartitionKey, Series, StoreError};
use crate::format::standing::WATERMARK_VERSION;
use crate::format::{
    Layout, MonthSeen, Sidecar, SidecarSeen, Standing, WatermarkFile, newer_version,
};

use super::errors::io_error;
use super::staging::{file_name, list, read_if_any, read_sidecar};
use super::{ParquetStore, atomic, lock};

/// Serialises writers of different series, which may be different processes.
const LOCK_NAME: &str = "watermark.lock";

/// The newer version of the file is told once: it is looked at after each publish.
static SAID_NEWER: AtomicBool = AtomicBool::new(false);

/// Says how `series` stands now. A failure is a warning: the partitions are what counts.
///
/// What the file knew of and is not there any more stays in it, as a month whose files are gone:
/// it is the one place that remembers.
pub(super) fn refresh(store: &ParquetStore, series: &Series) {
    update(store, series, None);
}

/// As [`refresh`], for a partition that this program is about to move to quarantine: its files are
/// not gone when they lie there.
pub(super) fn forget(store: &ParquetStore, key: &PartitionKey) {
    update(store, &key.series, Some(key.month));
}

fn update(store: &ParquetStore, series: &Series, forgotten: Option<Month>) {
    if let Err(error) = try_update(store, series, forgotten) {
        let path = store.layout.watermark();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(path = %path.display(), %error, cause, "the watermark file is out of date");
    }
}

fn try_update(
    store: &ParquetStore,
    series: &Series,
    forgotten: Option<Month>,
) -> Result<(), StoreError> {
    store.make_private_dirs()?;
    let layout = &store.layout;
    let path = layout.watermark();
    atomic::confine(layout.root(), &path)?;
    let lock_path = layout.locks_dir().join(LOCK_NAME);
    let lock = lock::open(&lock_path)?;
    lock.lock().map_err(io_error("lock", &lock_path))?;
    // Read only now: whoever comes last has seen what all others published.
    let old = read_if_any(&path)?;
    if old.as_deref().is_some_and(|old| newer_version(old, WATERMARK_VERSION).is_some()) {
        if !SAID_NEWER.swap(true, Ordering::Relaxed) {
            let path = path.display();
            tracing::warn!(%path, "a newer version of this program wrote it, and it stays as it is");
        }
        return Ok(());
    }
    let mut file = match old.as_deref().map(WatermarkFile::from_json) {
        Some(Ok(file)) => file,
        None => WatermarkFile::default(),
        Some(Err(reason)) => {
            tracing::warn!(path = %path.display(), reason, "the watermark file is written anew");
            every_series(store)?
        }
    };
    let mut known: BTreeMap<Series, BTreeSet<Month>> = BTreeMap::new();
    for key in file.partitions() {
        known.entry(key.series).or_default().insert(key.month);
    }
    let of_series = known.remove(series).unwrap_or_default();
    file.set(series, standing(layout, series, &of_series, forgotten)?);
    // Of a series that is gone nobody else says so.
    for (other, months) in known.iter().filter(|(other, _)| is_absent(&layout.series_dir(other))) {
        let gone: Vec<_> = months.iter().copied().map(MonthSeen::gone).collect();
        file.set(other, Standing::of(other, &gone));
    }
    let new = file.to_json();
    let has_news = old.as_deref().map_or(!file.series.is_empty(), |old| old != new);
    if has_news { atomic::write_file(&path, &store.names.next(), &new) } else { Ok(()) }
}

fn is_absent(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// A file that cannot be read says nothing of the other series either.
fn every_series(store: &ParquetStore) -> Result<WatermarkFile, StoreError> {
    let layout = &store.layout;
    let mut file = WatermarkFile::default();
    for folder in list(layout.root())?.into_iter().filter(|path| path.is_dir()) {
        let Ok(symbol) = file_name(&folder).parse() else { continue };
        // One that is closed to this user says nothing, here as elsewhere.
        let inside = list(&folder).unwrap_or_default();
        for kind in inside.iter().filter_map(|path| file_name(path).parse().ok()) {
            let series = Series { symbol: Clone::clone(&symbol), kind };
            file.set(&series, standing(layout, &series, &BTreeSet::new(), None)?);
        }
    }
    Ok(file)
}

fn standing(
    layout: &Layout,
    series: &Series,
    known: &BTreeSet<Month>,
    forgotten: Option<Month>,
) -> Result<Standing, StoreError> {
    let dir = layout.series_dir(series);
    let mut found: BTreeMap<Month, MonthSeen> =
        known.iter().map(|month| (*month, MonthSeen::gone(*month))).collect();
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
    found.retain(|month, _| Some(*month) != forgotten);
    Ok(Standing::of(series, &found.into_values().collect::<Vec<_>>()))
}

fn seen(found: &mut BTreeMap<Month, MonthSeen>, month: Month) -> &mut MonthSeen {
    found.entry(month).or_insert(MonthSeen::gone(month))
}

fn read(path: &Path) -> Result<SidecarSeen, StoreError> {
    let Some(bytes) = read_sidecar(path)? else { return Ok(SidecarSeen::Missing) };
    Ok(match Sidecar::from_json(&bytes) {
        Ok(sidecar) => SidecarSeen::Read(Box::new(sidecar)),
        Err(error) => SidecarSeen::Unreadable(error.to_string()),
    })
}
