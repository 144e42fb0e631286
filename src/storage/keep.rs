//! Keeps what newer prices replace: file and sidecar, in quarantine, before the new file takes the
//! name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::{EpochRange, Finding, FindingKind, FindingState, PartitionKey, StoreError};
use crate::format::Sidecar;
use crate::format::layout::SET_ASIDE;

use super::ParquetStore;
use super::atomic;
use super::merge::Accepted;
use super::read::file_sha256;
use super::staging::{file_name, list};

/// Keeps the published file and its sidecar and returns where the file is now as well.
///
/// A stopped publish may have kept them before: they are then not kept twice.
pub(super) fn keep_published(
    store: &ParquetStore,
    key: &PartitionKey,
) -> Result<PathBuf, StoreError> {
    let (parquet, sidecar) = (store.layout.parquet(key), store.layout.sidecar(key));
    let folder = Path::new(key.series.symbol.as_str()).join(key.series.kind.folder());
    let dir = store.layout.quarantine_dir().join(&folder);
    let names = [file_name(&parquet), file_name(&sidecar)];
    let places = store.quarantine_places(&folder, [names[0].as_str(), names[1].as_str()])?;
    if kept_before(&dir, &sidecar)?.is_none() {
        atomic::keep(&sidecar, &places[1], &store.names.next())?;
    }
    if let Some(kept) = kept_before(&dir, &parquet)? {
        return Ok(kept);
    }
    let [kept, _] = places;
    // Last: where the file is, its sidecar is too.
    atomic::keep(&parquet, &kept, &store.names.next())?;
    Ok(kept)
}

/// Where the same file of the same month is kept already, if it is.
fn kept_before(dir: &Path, file: &Path) -> Result<Option<PathBuf>, StoreError> {
    let name = file_name(file);
    let Some((month, rest)) = name.split_once('.') else { return Ok(None) };
    let Ok(size) = fs::metadata(file).map(|metadata| metadata.len()) else { return Ok(None) };
    for path in list(dir)? {
        let other = file_name(&path);
        let is_named = other.starts_with(&format!("{month}."))
            && other.ends_with(&format!(".{rest}{SET_ASIDE}"));
        let is_as_long = || fs::metadata(&path).is_ok_and(|metadata| metadata.len() == size);
        if is_named && is_as_long() && file_sha256(&path)? == file_sha256(file)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Says what was replaced, and where it is kept.
pub(super) fn accepted(key: &PartitionKey, rows: &Accepted, kept: Option<&Path>) -> Finding {
    let span = match (rows.first, rows.last) {
        (Some(first), Some(last)) => format!(", the first at {first}, the last at {last}"),
        _ => String::new(),
    };
    let place = kept
        .map_or("in quarantine already".to_owned(), |kept| format!("kept as `{}`", kept.display()));
    let count = if rows.n_rows == 1 { "1 row".into() } else { format!("{} rows", rows.n_rows) };
    let finding = accepting(key, format!("{count} changed{span}; the file before is {place}"));
    Finding {
        at: rows.first.zip(rows.last).and_then(|(a, b)| EpochRange::inclusive(a, b)),
        ..finding
    }
}

/// Says that newer prices were asked for and that there are none.
pub(super) fn nothing_restated(key: &PartitionKey) -> Finding {
    accepting(key, "no row for which it names another price".to_owned())
}

fn accepting(key: &PartitionKey, found: String) -> Finding {
    let expected = "the newer prices of the source, as was asked for";
    Finding::info(FindingKind::Restatement, key, expected, found)
        .in_partition(key)
        .in_state(FindingState::Accepted)
}

/// Tells whether newer prices were accepted, and nothing was refused or left unasked since.
pub(super) fn is_accepted(sidecar: &Sidecar) -> bool {
    let stands = |f: &Finding| f.is_open_restatement() || f.kind == FindingKind::NotCompared;
    sidecar.findings.iter().any(says_accepted) && !sidecar.findings.iter().any(stands)
}

/// Tells whether `finding` is one of [`accepted`] or [`nothing_restated`].
pub(super) fn says_accepted(finding: &Finding) -> bool {
    finding.kind == FindingKind::Restatement && finding.state == FindingState::Accepted
}

/// Tells whether what `kept` says is news no more if `finding` says it: the same, or a refusal
/// among those that it only counts.
pub(super) fn knows(kept: &Finding, finding: &Finding) -> bool {
    let counts = |at: EpochRange| kept.n > 1 && kept.at.is_some_and(|all| all.covers(at));
    let is_counted = kept.is_open_restatement() && finding.is_open_restatement();
    kept.says_the_same_as(finding) || is_counted && finding.at.is_some_and(counts)
}
