//! Ctrl-C and SIGTERM: the first one stops the work in good order, the second one at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::exit::ExitCode;
use super::terminal::Terminal;

/// Who wants the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt = 1,
    /// SIGTERM.
    Terminate = 2,
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
    pub fn listen(terminal: Terminal, on_first: &'static str) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let seen = Arc::new(AtomicU8::new(0));
        let mut source = SignalSource::new()?;
        let task = tokio::spawn({
            let (stop, seen) = (stop.clone(), Arc::clone(&seen));
            async move {
                let first = source.next().await;
                seen.store(first as u8, Ordering::Relaxed);
                // Before the message: a terminal that blocks must not delay the end.
                stop.cancel();
                terminal.say(on_first);
                let second = source.next().await;
                std::process::exit(i32::from(ExitCode::of_signal(Some(second)).number()));
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
            _ => None,
        }
    }
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
}

#[cfg(unix)]
impl SignalSource {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
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
