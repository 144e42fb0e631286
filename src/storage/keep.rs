//! Keeps what newer prices replace: file and sidecar, in quarantine, before the new file takes the
//! name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::{Epoch, Finding, FindingKind, PartitionKey, Severity, StoreError};
use crate::format::Sidecar;

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
    if let Some(kept) = kept_before(&dir, &parquet)? {
        return Ok(kept);
    }
    let names = [file_name(&parquet), file_name(&sidecar)];
    let [kept, kept_sidecar] =
        store.quarantine_places(&folder, [names[0].as_str(), names[1].as_str()])?;
    atomic::keep(&sidecar, &kept_sidecar, &store.names.next())?;
    // Last: where the file is, its sidecar is too.
    atomic::keep(&parquet, &kept, &store.names.next())?;
    Ok(kept)
}

fn kept_before(dir: &Path, parquet: &Path) -> Result<Option<PathBuf>, StoreError> {
    let month = parquet.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let size = fs::metadata(parquet).map(|metadata| metadata.len()).ok();
    for path in list(dir)? {
        let is_named = file_name(&path).starts_with(&format!("{month}."))
            && path.extension().is_some_and(|extension| extension == "parquet");
        let is_as_long = || fs::metadata(&path).map(|metadata| metadata.len()).ok() == size;
        if is_named && is_as_long() && file_sha256(&path)? == file_sha256(parquet)? {
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
    Finding::info(
        FindingKind::Restatement,
        key,
        "the newer prices of the source, as was asked for",
        format!("{count} changed{span}; the file before is {place}"),
    )
}

/// Says that newer prices were asked for and that there are none.
pub(super) fn nothing_restated(key: &PartitionKey) -> Finding {
    let expected = "the newer prices of the source, as was asked for";
    Finding::info(
        FindingKind::Restatement,
        key,
        expected,
        "no row for which it names another price",
    )
}

/// Tells whether newer prices were accepted, and nothing was refused or left unasked since.
pub(super) fn is_accepted(sidecar: &Sidecar) -> bool {
    let stands = |finding: &Finding| {
        finding.severity == Severity::Error
            && matches!(finding.kind, FindingKind::Restatement | FindingKind::CoverageMissing)
    };
    sidecar.findings.iter().any(says_accepted) && !sidecar.findings.iter().any(stands)
}

/// Tells whether `finding` is one of [`accepted`] or [`nothing_restated`].
pub(super) fn says_accepted(finding: &Finding) -> bool {
    finding.kind == FindingKind::Restatement && finding.severity == Severity::Info
}

/// Tells whether an old refusal is settled, now that the prices of the seconds that `is_asked`
/// tells of were taken as the source names them. `None` stands for all of them.
pub(super) fn is_settled(finding: &Finding, is_asked: impl Fn(Option<Epoch>) -> bool) -> bool {
    finding.kind == FindingKind::Restatement
        && finding.severity == Severity::Error
        && is_asked(epoch_of(&finding.subject))
}

/// The epoch of a subject like `R_100 ticks 2026-03 at 2026-03-01T00:00:02Z`.
fn epoch_of(subject: &str) -> Option<Epoch> {
    let (_, text) = subject.rsplit_once(" at ")?;
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|utc| Epoch::new(utc.timestamp()))
}
