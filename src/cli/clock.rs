//! The only place that reads the wall clock. It names sessions and sets simulated clocks; it never
//! decides what is asked or what is complete: that is for the source's clock.

use std::sync::Arc;
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Epoch;
use crate::resilience::MachineClock;

/// Now, by this machine.
#[allow(clippy::disallowed_methods)] // The command line may read it; everything below is told.
pub fn now() -> Epoch {
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Epoch::new(i64::try_from(secs).unwrap_or(i64::MAX))
}

/// Milliseconds since 1970, by this machine: to hold its clock against that of the source.
#[allow(clippy::disallowed_methods)] // As in `now`.
pub fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The clocks by which the processes of this machine share a budget.
///
/// Not the wall clock: set forward it would end a pause early, set back it would prolong it, and
/// each process may learn of that at another moment. The time since the machine started is the same
/// for all, goes on while it sleeps, as the windows of the source do, and cannot be set.
pub fn machine() -> MachineClock {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    MachineClock {
        since_boot: Arc::new(since_boot),
        boot: boot.trim().to_owned(),
        epoch: Arc::new(now),
    }
}

#[cfg(unix)]
fn since_boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(CLOCK);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Where there is no such clock the wall clock has to do; what was saved later than now is not
/// believed.
#[cfg(not(unix))]
#[allow(clippy::disallowed_methods)] // As in `now`.
fn since_boot() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
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
    fn the_machine_has_been_on_for_a_while_and_time_goes_on() {
        let clock = machine();
        let (one, other) = ((clock.since_boot)(), (machine().since_boot)());
        assert!(one > Duration::ZERO && one <= other, "{one:?}, {other:?}");
        assert_eq!(clock.boot, machine().boot);
    }

    #[test]
    fn a_session_is_named_by_its_time_and_process() {
        assert_eq!(session_name(Epoch::new(1_772_884_805), 42), "20260307T120005Z-42");
    }
}
