//! Gives other names to what readers that look everywhere would take for partitions: files that
//! earlier builds put into quarantine, and the transient files of the Python tool.
//!
//! Done by whoever takes a series, under its lock. Nothing depends on it, so failing is a warning.

use std::fs;
use std::path::Path;

use crate::domain::{Series, StoreError};
use crate::format::layout::{SET_ASIDE, is_transient};

use super::atomic::DRAFT_SUFFIX;
use super::staging::{file_name, list};
use super::{ParquetStore, atomic};

/// Tidies the folders of one series.
pub(super) fn tidy(store: &ParquetStore, series: &Series) {
    let folder = Path::new(series.symbol.as_str()).join(series.kind.folder());
    for done in [rename_set_aside(store, &folder), move_transient(store, series, &folder)] {
        if let Err(error) = done {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%series, %error, cause, "a file that is no partition keeps its name");
        }
    }
}

/// Adds the suffix to what lies in quarantine without it, and removes what a dead run had not
/// finished there.
fn rename_set_aside(store: &ParquetStore, folder: &Path) -> Result<(), StoreError> {
    let quarantine = store.layout.quarantine_dir();
    let staged = list_inside(store, &quarantine.join("staging").join(folder))?;
    let staged = staged.into_iter().filter(|dir| dir.is_dir());
    for dir in std::iter::once(quarantine.join(folder)).chain(staged) {
        for path in list_inside(store, &dir)? {
            let name = file_name(&path);
            if name.starts_with('.') && name.ends_with(DRAFT_SUFFIX) {
                atomic::sweep_draft(&path)?;
                continue;
            }
            let is_ours = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
            if name.ends_with(SET_ASIDE) || name.starts_with('.') || !is_ours {
                continue;
            }
            let mut target = path.with_file_name(format!("{name}{SET_ASIDE}"));
            if fs::symlink_metadata(&target).is_ok() {
                [target] = super::free_places(&dir, &[&name])?;
            }
            atomic::move_aside(&path, &target)?;
        }
    }
    Ok(())
}

/// Moves the unfinished files of the Python tool out of the way of readers.
fn move_transient(store: &ParquetStore, series: &Series, folder: &Path) -> Result<(), StoreError> {
    for path in list_inside(store, &store.layout.series_dir(series))? {
        let name = file_name(&path);
        if !is_transient(&name) {
            continue;
        }
        let [target] = store.quarantine_places(folder, [&name])?;
        atomic::move_aside(&path, &target)?;
        let (path, target) = (path.display(), target.display());
        tracing::warn!(%path, %target, "an unfinished file of the Python tool is set aside");
    }
    Ok(())
}

/// The files of a folder that no link leads to; none if it is not there.
fn list_inside(store: &ParquetStore, dir: &Path) -> Result<Vec<std::path::PathBuf>, StoreError> {
    atomic::confine(store.layout.root(), dir)?;
    list(dir)
}
