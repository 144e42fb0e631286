//! What was asked of the exchange and what became of it.

use std::time::Duration;

use crate::domain::Epoch;

/// One call as the exchange saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedCall {
    /// When it arrived, from the start of the simulator on tokio's clock.
    pub received_after: Duration,
    /// What the exchange's clock showed.
    pub now: Epoch,
    /// On which connection, from 1 in the order they were accepted.
    pub connection: u32,
    /// The name of the call, for instance `ticks_history`; `unknown` for anything unrecognised.
    pub call: &'static str,
    /// The symbol asked for, if the call names one.
    pub symbol: Option<Box<str>>,
    /// The `start` asked for.
    pub start: Option<Epoch>,
    /// The `end` asked for.
    pub end: Option<LoggedEnd>,
    /// The `count` asked for.
    pub count: Option<i64>,
    /// Whether `style` asked for candles.
    pub candles: bool,
    /// The `granularity` asked for, in seconds.
    pub granularity: Option<u32>,
    /// The `req_id` sent.
    pub req_id: Option<i64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// The `end` of a history call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedEnd {
    /// `latest`.
    Latest,
    /// An epoch.
    At(Epoch),
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not answered yet, or its connection ended first.
    Pending,
    /// Answered in good form with so many rows (0 for calls that have none).
    Answered {
        /// Ticks or candles in the answer.
        rows: u32,
    },
    /// Refused in band with this code.
    Error(&'static str),
    /// Spoiled on purpose by the fault of this name.
    Fault(&'static str),
}

impl LoggedCall {
    /// Tells whether the call counts against the limits: all but `ping` and `time` do.
    pub fn is_limited(&self) -> bool {
        !matches!(self.call, "ping" | "time")
    }
}

/// Every call so far, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Log {
    calls: Vec<LoggedCall>,
}

impl Log {
    /// Keeps a call and returns its place.
    pub(super) fn push(&mut self, call: LoggedCall) -> usize {
        self.calls.push(call);
        self.calls.len() - 1
    }

    /// Tells what became of the call at `place`.
    pub(super) fn finish(&mut self, place: usize, outcome: Outcome) {
        if let Some(call) = self.calls.get_mut(place) {
            call.outcome = outcome;
        }
    }

    /// A copy of all of it.
    pub(super) fn calls(&self) -> Vec<LoggedCall> {
        self.calls.clone()
    }

    /// The most limited calls that ever fell into one window of this length.
    pub(super) fn max_in_any(&self, window: Duration) -> usize {
        let times: Vec<Duration> = self
            .calls
            .iter()
            .filter(|call| call.is_limited())
            .map(|call| call.received_after)
            .collect();
        let mut first = 0;
        let mut most = 0;
        for (last, time) in times.iter().enumerate() {
            while *time - times[first] >= window {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_busiest_window() {
        let mut log = Log::default();
        for (millis, call) in [
            (0, "ticks_history"),
            (10, "time"),
            (500, "ticks_history"),
            (1000, "ticks"),
            (1400, "ping"),
        ] {
            log.push(LoggedCall {
                received_after: Duration::from_millis(millis),
                now: Epoch::new(0),
                connection: 1,
                call,
                symbol: None,
                start: None,
                end: None,
                count: None,
                candles: false,
                granularity: None,
                req_id: None,
                outcome: Outcome::Pending,
            });
        }
        assert_eq!(log.max_in_any(Duration::from_secs(1)), 2);
        assert_eq!(log.max_in_any(Duration::from_millis(1001)), 3);
        assert_eq!(log.max_in_any(Duration::from_millis(100)), 1);
    }
}
