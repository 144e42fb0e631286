//! The one place that decides exit codes. Pure.

use std::process;

use crate::domain::{ErrorKind, StoreError};
use crate::download::{DownloadError, Ending, Summary};

use super::report::repair::Repaired;
use super::signal::Signal;

/// How the process ends. Part of the stability promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// All that was asked for and that the source offers is on disk and certified.
    Success = 0,
    /// It ran, but something is missing or broken.
    Incomplete = 1,
    /// It could not start: arguments, configuration, permissions, disk.
    CannotStart = 2,
    /// It stopped at its own budget; run again.
    BudgetSpent = 3,
    /// The source is unavailable.
    Unavailable = 69,
    /// Another run holds the series.
    Held = 75,
    /// The terminal was closed.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl ExitCode {
    /// The number the shell sees.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The words of all codes, for files that programs read.
    pub const WORDS: [&'static str; 9] = [
        "success",
        "incomplete",
        "cannot_start",
        "budget_spent",
        "unavailable",
        "held",
        "interrupted",
        "terminated",
        "hung_up",
    ];

    /// Its word.
    pub const fn word(self) -> &'static str {
        Self::WORDS[match self {
            Self::Success => 0,
            Self::Incomplete => 1,
            Self::CannotStart => 2,
            Self::BudgetSpent => 3,
            Self::Unavailable => 4,
            Self::Held => 5,
            Self::Interrupted => 6,
            Self::Terminated => 7,
            Self::HungUp => 8,
        }]
    }

    /// What ends a run that `signal` stopped.
    pub const fn of_signal(signal: Option<Signal>) -> Self {
        match signal {
            Some(Signal::Terminate) => Self::Terminated,
            Some(Signal::HangUp) => Self::HungUp,
            Some(Signal::Interrupt) | None => Self::Interrupted,
        }
    }

    /// What ends a run that took place; `n_held` series were left to another run.
    pub fn of_summary(summary: &Summary, signal: Option<Signal>, n_held: usize) -> Self {
        let ending = Self::of_ending(&summary.ending, signal);
        let is_whole = summary.is_complete() && n_held == 0;
        ending.or_worse(if is_whole { Self::Success } else { Self::Incomplete })
    }

    fn of_ending(ending: &Ending, signal: Option<Signal>) -> Self {
        match ending {
            Ending::Cancelled => Self::of_signal(signal),
            Ending::Outage(_) => Self::Unavailable,
            Ending::BudgetSpent(_) => Self::BudgetSpent,
            Ending::StoreFailed { .. } => Self::Incomplete,
            Ending::Finished => Self::Success,
        }
    }

    /// What ends a repair that took place, or was only planned.
    pub fn of_repair(repaired: &Repaired, signal: Option<Signal>) -> Self {
        let ending = repaired.ending.as_ref();
        let ending = ending.map_or(Self::Success, |ending| Self::of_ending(ending, signal));
        let is_fine = repaired.is_mended() || repaired.is_dry_run && repaired.is_possible();
        ending.or_worse(if is_fine { Self::Success } else { Self::Incomplete })
    }

    /// What ends a run that could not start.
    pub fn of_error(error: &DownloadError, signal: Option<Signal>) -> Self {
        match error {
            DownloadError::Source { source, .. } => Self::of_refusal(source.kind, signal),
            DownloadError::Store(StoreError::Held { .. }) => Self::Held,
            DownloadError::Store(StoreError::Stopped) => Self::of_signal(signal),
            // Every series failed because the run was ending, not because it is not on offer.
            DownloadError::NoSeries(_) if signal.is_some() => Self::of_signal(signal),
            DownloadError::Store(_)
            | DownloadError::Window(_)
            | DownloadError::Restatement { .. }
            | DownloadError::NoRoom { .. }
            | DownloadError::NoSeries(_) => Self::CannotStart,
        }
    }

    fn of_refusal(kind: ErrorKind, signal: Option<Signal>) -> Self {
        match kind {
            ErrorKind::Cancelled => Self::of_signal(signal),
            ErrorKind::BudgetSpent => Self::BudgetSpent,
            ErrorKind::Rejected | ErrorKind::UnknownSymbol | ErrorKind::Unauthorized => {
                Self::CannotStart
            }
            ErrorKind::RateLimited
            | ErrorKind::Transport
            | ErrorKind::ServerFault
            | ErrorKind::Malformed
            | ErrorKind::TooLarge
            | ErrorKind::Unknown
            | ErrorKind::MarketClosed
            | ErrorKind::Outage => Self::Unavailable,
        }
    }

    /// Several outcomes in one run: 129/130/143 > 69 > 3 > 1. What could not start (2, 75) counts as 1
    /// once something else ran.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        let weight = |code| match code {
            Self::Success => 0,
            Self::Incomplete | Self::CannotStart | Self::Held => 1,
            Self::BudgetSpent => 2,
            Self::Unavailable => 3,
            Self::HungUp | Self::Interrupted | Self::Terminated => 4,
        };
        let worse = if weight(other) > weight(self) { other } else { self };
        if weight(worse) == 1 { Self::Incomplete } else { worse }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use crate::domain::{Epoch, SourceError};
    use crate::download::{PartitionOutcome, WindowError};

    use super::super::report::samples;
    use super::*;

    fn source(kind: ErrorKind) -> DownloadError {
        DownloadError::Source { what: "the time", source: SourceError::new(kind, "no") }
    }

    #[test]
    fn a_run_that_could_not_start() {
        let io = |kind| StoreError::Io {
            doing: "write",
            path: "x".into(),
            source: io::Error::from(kind),
        };
        let held = StoreError::Held { series: "R_100 ticks".into(), owner: "pid 4".into() };
        let empty = WindowError::Empty { start: Epoch::new(1), end: Epoch::new(1) };
        let check = |error: DownloadError, expected| {
            assert_eq!(ExitCode::of_error(&error, None).number(), expected, "{error:?}");
        };
        check(source(ErrorKind::Transport), 69);
        check(source(ErrorKind::Outage), 69);
        check(source(ErrorKind::ServerFault), 69);
        check(source(ErrorKind::RateLimited), 69);
        check(source(ErrorKind::Malformed), 69);
        check(source(ErrorKind::Unauthorized), 2);
        check(source(ErrorKind::Rejected), 2);
        check(source(ErrorKind::Cancelled), 130);
        check(source(ErrorKind::BudgetSpent), 3);
        check(DownloadError::Store(StoreError::Stopped), 130);
        check(DownloadError::Store(io(io::ErrorKind::PermissionDenied)), 2);
        check(DownloadError::Store(held), 75);
        check(DownloadError::Window(empty), 2);
        check(DownloadError::NoSeries(Vec::new()), 2);
        let none = DownloadError::NoSeries(Vec::new());
        assert_eq!(ExitCode::of_error(&none, Some(Signal::Interrupt)).number(), 130);
        let cancelled = source(ErrorKind::Cancelled);
        assert_eq!(ExitCode::of_error(&cancelled, Some(Signal::Terminate)).number(), 143);
    }

    #[test]
    fn a_run_that_took_place() {
        let check = |change: fn(&mut Summary), signal, n_held, expected| {
            let mut summary =
                Summary { elapsed: Duration::from_secs(1), ..samples::whole_summary() };
            change(&mut summary);
            let code = ExitCode::of_summary(&summary, signal, n_held);
            assert_eq!(code.number(), expected, "{summary:?}");
        };
        check(|_| (), None, 0, 0);
        check(|_| (), Some(Signal::Interrupt), 0, 0); // it came too late to stop anything
        check(|_| (), None, 1, 1);
        check(|s| s.ending = Ending::Cancelled, None, 0, 130);
        check(|s| s.ending = Ending::Cancelled, Some(Signal::Interrupt), 1, 130);
        check(|s| s.ending = Ending::Cancelled, Some(Signal::Terminate), 0, 143);
        check(|s| s.ending = Ending::Cancelled, Some(Signal::HangUp), 0, 129);
        check(|s| s.ending = Ending::Outage("gone".into()), None, 0, 69);
        let full = |s: &mut Summary| {
            let kind = Some(io::ErrorKind::StorageFull);
            s.ending = Ending::StoreFailed { why: "full".into(), kind };
        };
        check(full, None, 0, 1);
        check(|s| s.ending = Ending::BudgetSpent("spent".into()), None, 1, 3);
        check(|s| s.ending = Ending::BudgetSpent("spent".into()), Some(Signal::Interrupt), 0, 3);
        check(|s| s.partitions[0].outcome = PartitionOutcome::Failed("no".into()), None, 0, 1);
        check(|s| s.partitions[0].outcome = PartitionOutcome::NotOffered, None, 0, 0);
    }

    #[test]
    fn the_worse_outcome_wins() {
        use ExitCode::*;
        let order = [Success, Incomplete, BudgetSpent, Unavailable, Interrupted];
        for (rank, code) in order.into_iter().enumerate() {
            for less in &order[..=rank] {
                assert_eq!(code.or_worse(*less), code);
                assert_eq!(less.or_worse(code), code);
            }
        }
        assert_eq!(Success.or_worse(Held), Incomplete);
        assert_eq!(CannotStart.or_worse(Success), Incomplete);
    }
}
