//! Which series of a run are its own: one that another run holds, or whose folders refuse, leaves
//! the others alone.

use crate::domain::{Series, StoreError};
use crate::download::DownloadError;

use super::super::error::chain;

/// Which series a run may work on, once it has asked for their locks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Those that are ours, and those that are not on offer: nothing is written for them, and the
    /// download says what is wrong.
    pub(super) ours: Vec<Series>,
    /// Those that another run holds, with its owner.
    pub(super) held: Vec<(Series, String)>,
    /// Those whose folders refused the lock, with the reason.
    pub(super) refused: Vec<(Series, String)>,
}

impl Taken {
    /// Asks for the lock of each series on offer. One that cannot be had leaves the others alone.
    ///
    /// # Errors
    ///
    /// If none is left to work on: what the first series met, or all reasons if they differ.
    pub(super) fn of(
        series: &[Series],
        offered: &[Series],
        mut lock: impl FnMut(&Series) -> Result<(), StoreError>,
    ) -> Result<Self, DownloadError> {
        let mut taken = Self { ours: Vec::new(), held: Vec::new(), refused: Vec::new() };
        let mut first = None;
        for series in series {
            match if offered.contains(series) { lock(series) } else { Ok(()) } {
                Ok(()) => taken.ours.push(series.clone()),
                Err(StoreError::Stopped) => return Err(StoreError::Stopped.into()),
                Err(error) => {
                    match &error {
                        StoreError::Held { owner, .. } => {
                            taken.held.push((series.clone(), owner.clone()));
                        }
                        other => {
                            let reason = chain(other).join(": ");
                            taken.refused.push((series.clone(), reason));
                        }
                    }
                    first.get_or_insert(error);
                }
            }
        }
        match first {
            Some(error) if taken.ours.is_empty() => {
                let is_alike = taken.held.is_empty() || taken.refused.is_empty();
                Err(if is_alike { error.into() } else { DownloadError::NoSeries(taken.reasons()) })
            }
            _ => Ok(taken),
        }
    }

    /// Why the series that are not ours are left alone.
    fn reasons(&self) -> Vec<(Series, String)> {
        let by_owner =
            |(series, owner): &(Series, String)| (series.clone(), format!("held by {owner}"));
        self.held.iter().map(by_owner).chain(self.refused.iter().cloned()).collect()
    }

    /// A run that can work on none of ours says of the others as well why it cannot.
    pub(super) fn with_reasons(&self, error: DownloadError) -> DownloadError {
        match error {
            DownloadError::NoSeries(mut failed) => {
                failed.extend(self.reasons());
                DownloadError::NoSeries(failed)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::Kind;

    use super::super::super::exit::ExitCode;
    use super::*;

    fn series(symbols: &str) -> Vec<Series> {
        let ticks = |symbol: &str| Series { symbol: symbol.parse().unwrap(), kind: Kind::Ticks };
        symbols.split_whitespace().map(ticks).collect()
    }

    /// Locks that refuse: symbols that begin with `H` are held, those with `B` broken.
    fn refusing(series: &Series) -> Result<(), StoreError> {
        let path = || "x".into();
        match series.symbol.as_str().as_bytes()[0] {
            b'H' => Err(StoreError::Held { series: series.to_string(), owner: "pid 4".into() }),
            b'B' => Err(StoreError::Damaged { path: path(), problem: "is broken".into() }),
            b'S' => Err(StoreError::Stopped),
            _ => Ok(()),
        }
    }

    fn take(wanted: &str, offered: &str) -> Result<Taken, DownloadError> {
        Taken::of(&series(wanted), &series(offered), refusing)
    }

    #[test]
    fn a_series_that_cannot_be_had_leaves_the_others_alone() {
        let taken = take("R_1 H_1 B_1 H_2 R_2", "R_1 H_1 B_1").unwrap();
        // What is not on offer is not locked.
        assert_eq!(taken.ours, series("R_1 H_2 R_2"));
        assert_eq!((taken.held.len(), taken.refused.len()), (1, 1));
        assert_eq!(taken.held[0].1, "pid 4");
        assert_eq!(taken.refused[0].1, "`x` is broken");
    }

    #[test]
    fn only_a_run_without_any_series_cannot_start() {
        let exit = |wanted| ExitCode::of_error(&take(wanted, wanted).unwrap_err(), None).number();
        assert_eq!((exit("H_1 H_2"), exit("B_1 B_2"), exit("H_1 B_1")), (75, 2, 2));
        assert_eq!(exit("R_1 S_1 R_2"), 130);
        let both = take("H_1 B_1", "H_1 B_1").unwrap_err().to_string();
        assert!(both.contains("pid 4") && both.contains("`x` is broken"), "{both}");
        let taken = take("R_1 H_1", "H_1").unwrap();
        let none = taken.with_reasons(DownloadError::NoSeries(vec![]));
        assert!(none.to_string().contains("pid 4"), "{none}");
    }
}
