//! The only place that reads the wall clock. It names sessions and sets simulated clocks; it never
//! decides what is asked or what is complete: that is for the source's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Epoch;

/// Now, by this machine.
#[allow(clippy::disallowed_methods)] // The command line may read it; everything below is told.
pub fn now() -> Epoch {
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Epoch::new(i64::try_from(secs).unwrap_or(i64::MAX))
}

/// Names this run in logs, locks and reports: when it began and which process it is.
pub fn session_id() -> String {
    session_name(now(), std::process::id())
}

fn session_name(now: Epoch, process: u32) -> String {
    let began = now.to_utc().map(|utc| utc.format("%Y%m%dT%H%M%SZ").to_string());
    format!("{}-{process}", began.unwrap_or_else(|| now.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_its_time_and_process() {
        assert_eq!(session_name(Epoch::new(1_772_884_805), 42), "20260307T120005Z-42");
    }
}
