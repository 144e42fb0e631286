//! Whether the process of another run still lives.

use chrono::DateTime;

use crate::domain::Epoch;
use crate::storage::host_name;

use super::last_run::RunNote;

/// A run says that it lives at least every minute; one that was silent for this long may be gone.
const SILENT_SECS: i64 = 600;

/// Which process this is.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) host: String,
    /// Tells it from another process that gets its number later; `None` where that cannot be told.
    pub(super) mark: Option<String>,
    /// The processes among which its number counts; `None` where that cannot be told.
    pub(super) namespace: Option<String>,
}

impl Process {
    pub(super) fn own() -> Self {
        let pid = std::process::id();
        Self { pid, host: host_name(), mark: mark(pid), namespace: namespace() }
    }

    /// Whether a run that says it is at work is gone; `is_free` tells whether nobody is known to
    /// hold a series of the archive.
    ///
    /// That its process is not seen says so only where each process would be seen. From outside its
    /// container, or as another user where processes are hidden, it is gone only if it was silent
    /// and holds nothing.
    pub(super) fn is_gone(&self, note: &RunNote, now: Epoch, is_free: impl Fn() -> bool) -> bool {
        if note.host == self.host
            && let (Some(_), Some(known)) = (&self.mark, &note.process)
            && note.namespace.as_ref().or(self.namespace.as_ref()) == self.namespace.as_ref()
        {
            if mark(note.pid).as_ref() == Some(known) {
                return false;
            }
            if note.namespace.is_some() && sees_all() {
                return true;
            }
        }
        let said = DateTime::parse_from_rfc3339(&note.updated_at).ok();
        let is_silent =
            said.is_none_or(|said| now.since(Epoch::new(said.timestamp())) > SILENT_SECS);
        is_silent && is_free()
    }
}

/// Whether the processes of others are seen: the first one always belongs to somebody else, or to a
/// user who sees all.
fn sees_all() -> bool {
    std::fs::read_to_string("/proc/1/stat").is_ok()
}

fn namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
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
            namespace: own.namespace.clone(),
            ..RunNote::default()
        };
        let is_gone = |note: &RunNote| own.is_gone(note, now, || true);
        assert!(!is_gone(&alive));
        let other = RunNote { process: Some("another-1".to_owned()), ..alive.clone() };
        assert!(is_gone(&other), "its number was given to another process");
        let elsewhere = |at: i64| RunNote {
            host: "elsewhere".to_owned(),
            updated_at: Epoch::new(at).to_string(),
            ..alive.clone()
        };
        assert!(!is_gone(&elsewhere(999_500)));
        assert!(is_gone(&elsewhere(999_300)));
        assert!(!own.is_gone(&elsewhere(999_300), now, || false), "somebody holds a series");
        assert!(is_gone(&RunNote { host: "x".to_owned(), ..alive.clone() }), "it never said when");
    }

    /// Seen from outside its container a run at work has another number, or none.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_of_another_namespace_is_gone_only_if_it_was_silent_and_holds_nothing() {
        let own = Process::own();
        let now = Epoch::new(1_000_000);
        let inside = |at: i64| RunNote {
            pid: own.pid,
            host: own.host.clone(),
            process: Some("another-1".to_owned()),
            namespace: Some("pid:[1]".to_owned()),
            updated_at: Epoch::new(at).to_string(),
            ..RunNote::default()
        };
        for (at, is_free, expected) in
            [(999_990, true, false), (999_300, false, false), (999_300, true, true)]
        {
            assert_eq!(own.is_gone(&inside(at), now, || is_free), expected, "{at} {is_free}");
        }
        // Builds before this one did not say where their number counts.
        let older = RunNote { namespace: None, ..inside(999_990) };
        assert!(!own.is_gone(&older, now, || true));
    }
}
