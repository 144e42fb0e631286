//! Whether the process of another run still lives.

use chrono::DateTime;

use crate::domain::Epoch;
use crate::storage::host_name;

use super::last_run::RunNote;

/// A run says that it lives at least every minute; one that was silent for this long is gone.
const SILENT_SECS: i64 = 600;

/// Which process this is.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) host: String,
    /// Tells it from another process that gets its number later; `None` where that cannot be told.
    pub(super) mark: Option<String>,
}

impl Process {
    pub(super) fn own() -> Self {
        let pid = std::process::id();
        Self { pid, host: host_name(), mark: mark(pid) }
    }

    /// Whether a run that says it is at work is gone.
    pub(super) fn is_gone(&self, note: &RunNote, now: Epoch) -> bool {
        match (&self.mark, &note.process) {
            (Some(_), Some(known)) if note.host == self.host => {
                mark(note.pid).as_ref() != Some(known)
            }
            _ => {
                let said = DateTime::parse_from_rfc3339(&note.updated_at).ok();
                said.is_none_or(|said| now.since(Epoch::new(said.timestamp())) > SILENT_SECS)
            }
        }
    }
}

/// When a process began, in the words of the kernel.
fn mark(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses and may hold anything. The third is its state, the
    // start is the 22nd.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // It has ended, and only nobody has asked how.
    if fields.first().is_some_and(|state| ["Z", "X"].contains(state)) {
        return None;
    }
    let began = fields.get(19)?;
    let boot: String = boot.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    Some(format!("{boot}-{began}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_known_by_its_beginning() {
        let own = Process::own();
        let now = Epoch::new(1_000_000);
        let alive = RunNote {
            pid: own.pid,
            host: own.host.clone(),
            process: own.mark.clone(),
            ..RunNote::default()
        };
        assert!(!own.is_gone(&alive, now));
        let other = RunNote { process: Some("another-1".to_owned()), ..alive.clone() };
        assert!(own.is_gone(&other, now), "its number was given to another process");
        let elsewhere = |at: i64| RunNote {
            host: "elsewhere".to_owned(),
            updated_at: Epoch::new(at).to_string(),
            ..alive.clone()
        };
        assert!(!own.is_gone(&elsewhere(999_500), now));
        assert!(own.is_gone(&elsewhere(999_300), now));
        assert!(own.is_gone(&RunNote { host: "x".to_owned(), ..alive }, now), "it never said when");
    }
}
