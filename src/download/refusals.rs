//! Why a series could not be planned, and whether the others have to care.

use crate::domain::{ErrorKind, PartitionKey, Series, SourceError, StoreError};

use super::DownloadError;

/// A series could not be planned.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeriesError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot find out how far back its history reaches")]
    Wall(#[source] SourceError),
    #[error("{0} is locked")]
    Locked(PartitionKey),
}

/// Whether another series would meet the same: the run is ending, or the disk takes nothing more.
pub(super) fn ends_everything(error: &StoreError) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let is_of_the_disk =
        |kind| matches!(kind, StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem);
    match error {
        StoreError::Stopped => true,
        StoreError::Io { source, .. } => is_of_the_disk(source.kind()),
        _ => false,
    }
}

/// Whether no other series will be answered either. A source that fails for one of them, however
/// often it is asked, may still answer for the next; one that is away ends as an outage.
pub(super) fn ends_the_run(kind: ErrorKind) -> bool {
    use ErrorKind::{BudgetSpent, Cancelled, Outage, RateLimited, Unauthorized};
    matches!(kind, BudgetSpent | Cancelled | Outage | RateLimited | Unauthorized)
}

/// Whether the source is to blame, and not what it was asked for.
fn is_no_answer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Transport | ErrorKind::ServerFault | ErrorKind::Unknown)
}

/// What kept series from being planned, for a run that is left without any.
#[derive(Default)]
pub(super) struct Refusals {
    disk: Vec<StoreError>,
    source: Vec<SourceError>,
}

impl Refusals {
    pub(super) fn take(&mut self, error: SeriesError) {
        match error {
            SeriesError::Store(error @ StoreError::Io { .. }) => self.disk.push(error),
            SeriesError::Wall(error) if is_no_answer(error.kind) => self.source.push(error),
            _ => {}
        }
    }

    /// If the disk or the source refused every one of them, that is what there is to say.
    pub(super) fn of_all(mut self, failed: Vec<(Series, String)>) -> DownloadError {
        if self.disk.len() == failed.len()
            && let Some(error) = self.disk.pop()
        {
            return error.into();
        }
        if self.source.len() == failed.len()
            && let Some(source) = self.source.pop()
        {
            return DownloadError::Source { what: "its history", source };
        }
        DownloadError::NoSeries(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(kind: ErrorKind) -> SeriesError {
        SeriesError::Wall(SourceError::new(kind, "no"))
    }

    fn all(errors: Vec<SeriesError>) -> DownloadError {
        let series = |n: usize| Series {
            symbol: format!("R_{n}").parse().unwrap(),
            kind: crate::domain::Kind::Ticks,
        };
        let failed = (0..errors.len()).map(|n| (series(n), "why".to_owned())).collect();
        let mut refusals = Refusals::default();
        errors.into_iter().for_each(|error| refusals.take(error));
        refusals.of_all(failed)
    }

    #[test]
    fn what_refused_every_series_is_what_there_is_to_say() {
        use ErrorKind::{Malformed, ServerFault, Transport};
        let is_source = |error| matches!(error, DownloadError::Source { .. });
        assert!(is_source(all(vec![wall(ServerFault), wall(Transport)])));
        assert!(!is_source(all(vec![wall(ServerFault), wall(Malformed)])));
        let no_disk = || {
            let source = std::io::ErrorKind::PermissionDenied.into();
            SeriesError::Store(StoreError::Io { doing: "read", path: "x".into(), source })
        };
        assert!(matches!(all(vec![no_disk(), no_disk()]), DownloadError::Store(_)));
        assert!(matches!(all(vec![no_disk(), wall(Transport)]), DownloadError::NoSeries(_)));
    }

    #[test]
    fn only_what_concerns_everybody_ends_the_run() {
        use ErrorKind::*;
        for kind in [BudgetSpent, Cancelled, Outage, RateLimited, Unauthorized] {
            assert!(ends_the_run(kind), "{kind:?}");
        }
        for kind in
            [Malformed, MarketClosed, Rejected, TooLarge, UnknownSymbol, ServerFault, Transport]
        {
            assert!(!ends_the_run(kind), "{kind:?}");
        }
    }
}
