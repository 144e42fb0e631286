//! What is wanted of a run: which series, and which time of each.

use crate::domain::{Epoch, EpochRange, Series};

use super::plan::{Window, WindowError};
use super::{DownloadError, DownloadOptions};

/// What is wanted: series, each once, worked on together under one budget.
#[derive(Debug, Clone, PartialEq)]
pub struct DownloadRequest {
    /// One entry for each series, in the order in which they are planned.
    pub wanted: Vec<Wanted>,
}

/// A series, and which time of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Which series.
    pub series: Series,
    /// Which time.
    pub window: Window,
}

impl DownloadRequest {
    /// The same time of every series.
    pub fn of(series: &[Series], window: Window) -> Self {
        let wanted = |series: &Series| Wanted { series: series.clone(), window };
        Self { wanted: series.iter().map(wanted).collect() }
    }

    /// The series whose time makes sense at the source's present time.
    ///
    /// # Errors
    ///
    /// If none does, or if newer prices cannot be accepted where they shall be.
    pub fn in_time(
        &self,
        options: &DownloadOptions,
        now: Epoch,
    ) -> Result<Vec<Series>, DownloadError> {
        let windows = self.windows(options, now)?;
        let sound = self.wanted.iter().zip(windows).filter(|(_, window)| window.is_ok());
        Ok(sound.map(|(wanted, _)| wanted.series.clone()).collect())
    }

    /// The seconds wanted of each series. Where they make no sense, only that series is not worked
    /// on.
    ///
    /// # Errors
    ///
    /// If they make no sense for any series, or if newer prices cannot be accepted where they shall
    /// be.
    pub(super) fn windows(
        &self,
        options: &DownloadOptions,
        now: Epoch,
    ) -> Result<Vec<Result<EpochRange, WindowError>>, DownloadError> {
        let windows: Vec<_> = self.wanted.iter().map(|wanted| wanted.window.resolve(now)).collect();
        if !windows.iter().any(Result::is_ok)
            && let Some(Err(error)) = windows.first()
        {
            return Err(error.clone().into());
        }
        for (wanted, window) in self.wanted.iter().zip(&windows) {
            if let Ok(window) = window {
                options.check_accepted(&wanted.series, *window, now)?;
            }
        }
        Ok(windows)
    }

    /// The series, in their order.
    pub fn series(&self) -> Vec<Series> {
        self.wanted.iter().map(|wanted| wanted.series.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use crate::domain::{Kind, PartitionKey};

    use super::*;

    const DAY_SECS: i64 = 86_400;

    fn options() -> DownloadOptions {
        DownloadOptions {
            concurrency: 1,
            page_limit: 1,
            assumed_page_cap: 1,
            chunk_rows: 1,
            settle_lag: Duration::ZERO,
            tail_lag: Duration::ZERO,
            local_clock: None,
            gap_thresholds: Default::default(),
            source: serde_json::Map::new(),
            ask_everything: false,
            accept_restatement: BTreeSet::new(),
        }
    }

    fn ticks(symbol: &str) -> Series {
        Series { symbol: symbol.parse().unwrap(), kind: Kind::Ticks }
    }

    fn request(windows: &[Window]) -> DownloadRequest {
        let symbols = ["R_100", "R_50", "R_25"].map(ticks);
        let wanted = symbols.into_iter().zip(windows);
        let wanted = wanted.map(|(series, window)| Wanted { series, window: *window });
        DownloadRequest { wanted: wanted.collect() }
    }

    #[test]
    fn a_time_that_makes_no_sense_stops_only_its_series() {
        let now = Epoch::new(1_794_830_400); // 2026-11-16T12:00:00Z
        let until = |end| Window::Range { start: now.plus(-DAY_SECS), end: Some(end) };
        let late = until(now.plus(1));
        let mixed = request(&[late, until(now), Window::LastDay]);
        assert_eq!(mixed.in_time(&options(), now).unwrap(), [ticks("R_50"), ticks("R_25")]);
        let none = request(&[late, late]).in_time(&options(), now);
        let is_future =
            |e: &DownloadError| matches!(e, DownloadError::Window(WindowError::Future { .. }));
        assert!(none.as_ref().is_err_and(is_future), "{none:?}");
    }

    #[test]
    fn newer_prices_are_accepted_in_the_time_of_their_own_series() {
        let now = Epoch::new(1_794_830_400);
        let accept_restatement = BTreeSet::from(["R_100", "R_50"].map(|symbol| PartitionKey {
            series: ticks(symbol),
            month: "2026-10".parse().unwrap(),
        }));
        let options = DownloadOptions { accept_restatement, ..options() };
        let fits = request(&[Window::Months(1), Window::Months(2), Window::LastDay]);
        assert!(fits.in_time(&options, now).is_ok());
        let cut = request(&[Window::Months(1), Window::LastDay]).in_time(&options, now);
        let error = cut.unwrap_err();
        assert!(
            matches!(&error, DownloadError::Restatement { key, .. } if key.series == ticks("R_50"))
        );
    }
}
