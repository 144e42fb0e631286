//! Ctrl-C, SIGTERM and a terminal that is closed: the first one stops the work in good order, a second
//! one at once.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::exit::ExitCode;
use super::terminal::Terminal;

/// After this long the first signal ends the process by itself, whatever it still waits for: a
/// little before the two seconds that are promised. What is lost then is only asked again.
const LEAVE_AFTER: Duration = Duration::from_millis(1_850);

/// How long the work may take to end after the first signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Under two seconds, even if the disk does not answer any more.
    Bounded,
    /// As long as it takes.
    Endless,
}

/// Who wants the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt = 1,
    /// SIGTERM.
    Terminate = 2,
    /// SIGHUP: the terminal was closed, or the connection to it lost. Where it is ignored, as under
    /// `nohup`, it never comes.
    HangUp = 3,
}

/// What came before anybody listened.
static HELD: Mutex<Option<SignalSource>> = Mutex::new(None);

/// Holds every signal from now on until [`Signals::listen`] takes it up: without this, one that comes
/// while settings are read ends the process without a word and without an exit code. To be called
/// inside a runtime, and only by who goes on to listen.
///
/// # Errors
///
/// If the operating system refuses to deliver signals.
pub fn hold() -> io::Result<()> {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(SignalSource::new()?);
    Ok(())
}

/// Listens as long as it lives.
#[derive(Debug)]
pub struct Signals {
    stop: CancellationToken,
    seen: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl Signals {
    /// Starts to listen; `on_first` is said when the first signal comes.
    ///
    /// # Errors
    ///
    /// If the operating system refuses to deliver signals.
    pub fn listen(
        terminal: Terminal,
        on_first: &'static str,
        patience: Patience,
    ) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let seen = Arc::new(AtomicU8::new(0));
        let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut source = held.map_or_else(SignalSource::new, Ok)?;
        let task = tokio::spawn({
            let (stop, seen) = (stop.clone(), Arc::clone(&seen));
            async move {
                let first = source.next().await;
                seen.store(first as u8, Ordering::Relaxed);
                // Before the message: a terminal that blocks must not delay the end.
                stop.cancel();
                if patience == Patience::Bounded {
                    leave_after(LEAVE_AFTER, first, terminal.clone());
                }
                terminal.say(on_first);
                leave(source.next_but_hang_up().await, &terminal);
            }
        });
        Ok(Self { stop, seen, task })
    }

    /// Cancelled by the first signal.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The first signal, if one came.
    pub fn first(&self) -> Option<Signal> {
        match self.seen.load(Ordering::Relaxed) {
            1 => Some(Signal::Interrupt),
            2 => Some(Signal::Terminate),
            3 => Some(Signal::HangUp),
            _ => None,
        }
    }
}

/// Ends the process after a while. On a thread of its own that needs neither runtime nor disk, and
/// that lives no longer than the process, so nobody has to wait for it.
fn leave_after(limit: Duration, first: Signal, terminal: Terminal) {
    let wait = move || {
        std::thread::sleep(limit);
        leave(first, &terminal);
    };
    if std::thread::Builder::new().name("leave".to_owned()).spawn(wait).is_err() {
        tracing::warn!("no thread is left to watch over the end");
    }
}

/// Ends the process where it stands; the next run cleans up.
fn leave(signal: Signal, terminal: &Terminal) -> ! {
    terminal.abandon();
    std::process::exit(i32::from(ExitCode::of_signal(Some(signal)).number()))
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(unix)]
struct SignalSource {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl SignalSource {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hears_hang_up = std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| is_hang_up_obeyed(&status));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: hears_hang_up.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = hang_up => Signal::HangUp,
        }
    }
}

/// Whether SIGHUP ends this process, by what the kernel says of it. To listen to a signal that was
/// ignored on purpose, as under `nohup`, would undo that. Where there is no such file it is not
/// listened to either, and does what it always does.
#[cfg(unix)]
fn is_hang_up_obeyed(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 0)
}

impl SignalSource {
    /// What is meant as a second one: a terminal that is closed is told of by the kernel and by the
    /// shell.
    async fn next_but_hang_up(&mut self) -> Signal {
        loop {
            match self.next().await {
                Signal::HangUp => {}
                signal => return signal,
            }
        }
    }
}

#[cfg(not(unix))]
struct SignalSource;

#[cfg(not(unix))]
impl SignalSource {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        // If it cannot be listened to, nobody will ever press it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_hang_up_that_is_ignored_stays_so() {
        let status = |mask| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(is_hang_up_obeyed(&status("0000000000001000")));
        assert!(!is_hang_up_obeyed(&status("0000000000001001")));
        assert!(!is_hang_up_obeyed(&status("x")));
        assert!(!is_hang_up_obeyed(""));
    }
}
