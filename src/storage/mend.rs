//! What is done with the files of a partition before anybody is asked: the offline half of a repair.
//!
//! Recovery trusts what its cheap looks show; here somebody has read everything and says what is
//! wrong. Nothing is deleted: what cannot be trusted is kept in quarantine, its good days take its
//! name, and what it held besides is staged as lost, so that every later run asks for it.

use std::fs;
use std::path::Path;

use crate::domain::{
    Candle, FindingKind, Kind, PartitionKey, RangeSet, Record, Remedy, StoreError, Tick,
};

use super::atomic;
use super::errors::damaged;
use super::read::{PartitionFile, Unusable, file_sha256};
use super::recover::Remains;
use super::staging::file_name;
use super::{Access, ParquetStore, watermark};

/// Applies a remedy. The lock of the series must be held, for [`Remedy::Return`] that of the other
/// series as well.
pub(super) fn mend<R: Record>(
    store: &ParquetStore,
    key: &PartitionKey,
    remedy: &Remedy,
) -> Result<(), StoreError> {
    let remains = Remains::new(store, key, Access::Owner);
    atomic::confine(store.layout.root(), remains.parquet())?;
    atomic::confine(store.layout.root(), remains.sidecar())?;
    if remains.read_sidecar()?.is_some_and(|sidecar| sidecar.locked) {
        return Err(StoreError::Locked { path: remains.sidecar().to_owned() });
    }
    if remains.is_amid_publish()? || remains.is_given_up()? {
        // What did not end is taken up first; what is wrong then is found again.
        return remains.settle::<R>().map(drop);
    }
    match remedy {
        Remedy::Keep | Remedy::Leave(_) => Ok(()),
        Remedy::RebuildSidecar | Remedy::Salvage => judge::<R>(&remains, key),
        Remedy::Rewrite { wrong } => rewrite::<R>(&remains, key, wrong),
        Remedy::Return(home) => {
            bring_home::<R>(store, &remains, key, home)?;
            // A publish may never follow, at the one place or at the other; and what lay in the
            // wrong place is not missing there.
            let is_absent = |path: &Path| fs::symlink_metadata(path).is_err();
            match is_absent(remains.parquet()) && is_absent(remains.sidecar()) {
                true => watermark::forget(store, key),
                false => watermark::refresh(store, &key.series),
            }
            watermark::refresh(store, &home.series);
            Ok(())
        }
    }
}

/// Reads the file as a whole: a good one gets its sidecar anew, another one is given up.
fn judge<R: Record>(remains: &Remains<'_>, key: &PartitionKey) -> Result<(), StoreError> {
    let path = remains.parquet();
    match fs::symlink_metadata(path) {
        Err(_) => return remains.without_file::<R>().map(drop),
        Ok(found) if !found.is_file() && !found.is_symlink() => {
            let problem = damaged(path, "is no ordinary file");
            remains.set_aside_file(FindingKind::Unreadable, &problem)?;
            return remains.without_file::<R>().map(drop);
        }
        Ok(_) => {}
    }
    let file = match PartitionFile::open(path) {
        Ok(file) => file,
        Err(Unusable::Broken(error)) => {
            return remains.give_up::<R>(FindingKind::Unreadable, &error);
        }
        Err(Unusable::Foreign(_)) => {
            let problem = damaged(path, "has lost its footer");
            return remains.give_up::<R>(FindingKind::FooterMismatch, &problem);
        }
        Err(Unusable::Undecodable(error) | Unusable::Unknown(error)) => return Err(error),
    };
    if file.footer.key != *key {
        let problem = damaged(path, format!("is the file of {} by its footer", file.footer.key));
        return remains.give_up::<R>(FindingKind::FooterMismatch, &problem);
    }
    match file.verify_rows::<R>(remains.stop()) {
        Ok(ends) => {
            let stale = remains.read_sidecar()?;
            remains.rebuild(file, ends, stale.as_ref()).map(drop)
        }
        Err(error @ StoreError::Damaged { .. }) => {
            remains.give_up::<R>(FindingKind::RowsHash, &error)
        }
        Err(error) => Err(error),
    }
}

/// Writes the rows of a file anew that are those it promises, each in its place; the file before is
/// kept. Where the sidecar speaks of the same rows, only what both hold counts as answered.
fn rewrite<R: Record>(
    remains: &Remains<'_>,
    key: &PartitionKey,
    wrong: &RangeSet,
) -> Result<(), StoreError> {
    let path = remains.parquet();
    let file = match PartitionFile::open(path) {
        Ok(file) if file.footer.key == *key => file,
        _ => return judge::<R>(remains, key),
    };
    let sha256 = file_sha256(path)?;
    let sidecar = remains.own_sidecar()?.filter(|sidecar| {
        sidecar.sha256.as_ref() == Some(&sha256)
            || sidecar.rows_sha256.as_ref() == Some(&file.footer.rows_sha256)
    });
    let (kind, problem) = match wrong.iter().next() {
        Some(first) => {
            let problem = format!("holds rows out of their place, the first at {}", first.start());
            (FindingKind::ForeignRows, problem)
        }
        None => (FindingKind::FileHash, "is not the file that was written".to_owned()),
    };
    remains.give_up_knowing::<R>(kind, &damaged(path, problem), sidecar.as_ref())
}

/// Moves a whole file to the place its footer names; one that is not whole, or is there already, is
/// given up instead. Where another file has its place, both stay: their rows may be nowhere else,
/// and only a person knows how they came there.
fn bring_home<R: Record>(
    store: &ParquetStore,
    remains: &Remains<'_>,
    key: &PartitionKey,
    home: &PartitionKey,
) -> Result<(), StoreError> {
    let (file, sidecar) = (store.layout.parquet(home), store.layout.sidecar(home));
    let is_free = |path: &Path| fs::symlink_metadata(path).is_err();
    let is_whole = match home.series.kind {
        Kind::Ticks => proves_itself::<Tick>(remains, home)?,
        Kind::Candles(_) => proves_itself::<Candle>(remains, home)?,
    };
    if !is_whole {
        return judge::<R>(remains, key);
    }
    if !is_free(&file) {
        let at_home = Remains::new(store, home, Access::Owner);
        let is_there = match home.series.kind {
            Kind::Ticks => is_twice::<Tick>(remains, &at_home, home)?,
            Kind::Candles(_) => is_twice::<Candle>(remains, &at_home, home)?,
        };
        if is_there {
            let problem = format!("is the file of {home}, where its rows lie as well");
            let problem = damaged(remains.parquet(), problem);
            return remains.move_away::<R>(FindingKind::FooterMismatch, &problem);
        }
        let problem = format!(
            "is the file of {home}, whose place another file has; put both where they belong by \
             hand, each with its sidecar, and repair again"
        );
        return Err(damaged(remains.parquet(), problem));
    }
    store.make_dir_inside(&store.layout.series_dir(&home.series))?;
    tracing::warn!(from = %key, to = %home, "a file lay in the place of another and goes back");
    atomic::move_aside(remains.parquet(), &file)?;
    if is_free(remains.sidecar()) {
        return Ok(());
    }
    let at_home = Remains::new(store, home, Access::Owner);
    let is_its_own = remains.read_sidecar()?.is_some_and(|said| at_home.is_about_this(&said));
    // A sidecar that stayed at home knows the file, or is made anew from it.
    if is_its_own && is_free(&sidecar) {
        return atomic::move_aside(remains.sidecar(), &sidecar);
    }
    let folder = Path::new(key.series.symbol.as_str()).join(key.series.kind.folder());
    let [place] = store.quarantine_places(&folder, [&file_name(remains.sidecar())])?;
    atomic::move_aside(remains.sidecar(), &place)
}

/// Tells whether the same rows lie in their own place as well, whole.
fn is_twice<R: Record>(
    remains: &Remains<'_>,
    at_home: &Remains<'_>,
    home: &PartitionKey,
) -> Result<bool, StoreError> {
    let Ok(file) = PartitionFile::open(remains.parquet()) else { return Ok(false) };
    let Ok(other) = PartitionFile::open(at_home.parquet()) else { return Ok(false) };
    let is_same = file.footer.rows_sha256 == other.footer.rows_sha256;
    Ok(is_same && proves_itself::<R>(at_home, home)?)
}

fn proves_itself<R: Record>(
    remains: &Remains<'_>,
    home: &PartitionKey,
) -> Result<bool, StoreError> {
    let Ok(file) = PartitionFile::open(remains.parquet()) else { return Ok(false) };
    match file.verify_rows::<R>(remains.stop()) {
        Ok(_) => Ok(file.footer.key == *home),
        Err(StoreError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
