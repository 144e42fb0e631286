//! One budget for all processes of a machine: the pace in a small locked file.
//!
//! Every look at the pace opens the file, locks it, reads, decides, writes and unlocks: a fraction
//! of a millisecond, on a blocking thread. The lock belongs to the open file, so a process that
//! dies lets go of it; what it leaves behind is a whole file or one that cannot be read, and that
//! one counts as none. Nothing here is worth an `fsync`: after a power loss a younger pace would
//! be lost, and asking starts at half.
//!
//! Moments are told by a clock that all processes of the machine share and nobody can set. The
//! calendar only tells how old the knowledge of an earlier run is.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pace::{Cap, Pace};
use crate::domain::Epoch;

/// Version of the content; another one is not understood.
const VERSION: u32 = 1;

/// Far larger than any content; more is not ours and not read.
const MOST_BYTES: u64 = 256 * 1024;

/// Processes that are remembered; more never share one address.
const MOST_MEMBERS: usize = 64;

/// A process that has not asked for so long has ended, or has nothing to ask.
const MEMBER_FOR: Duration = Duration::from_secs(180);

/// The clocks of the machine, told by whoever may read them.
#[derive(Clone)]
pub struct MachineClock {
    /// Time since the machine started: the same for all its processes, and never set.
    pub since_boot: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Names this start of the machine; empty if that is not known.
    pub boot: String,
    /// The calendar; tells the age of what an earlier run learned.
    pub epoch: Arc<dyn Fn() -> Epoch + Send + Sync>,
}

impl fmt::Debug for MachineClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineClock").field("boot", &self.boot).finish_non_exhaustive()
    }
}

/// Where the processes of a machine keep the pace they share, and by which clock.
#[derive(Debug, Clone)]
pub struct SharedPace {
    /// The file; one for each address. Its folder is made if it is not there.
    pub path: PathBuf,
    /// Tells every moment in it.
    pub clock: MachineClock,
    /// Tells this process from the others; any number that no other has.
    pub process: u64,
}

impl SharedPace {
    /// The time by which this process decides.
    pub(super) fn now(&self) -> Duration {
        (self.clock.since_boot)()
    }

    /// Does something with the pace while no other process can; `None` if another one is at it
    /// right now. To be called on a thread that may block.
    pub(super) fn act<T>(
        &self,
        cap: Cap,
        start: f64,
        act: impl FnOnce(&mut Pace, Duration, Cap) -> T,
    ) -> io::Result<Option<(T, Pace)>> {
        let mut file = open(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Read under the lock, so that no moment in the file is later.
        let (now, epoch) = (self.now(), (self.clock.epoch)());
        let found = read(&mut file)?.filter(|content| content.is_sane(now, &self.clock.boot));
        let mut content = match found {
            Some(content) => content.taken_up(now, epoch, &self.clock.boot, cap, start),
            None => Content::new(cap, start, now),
        };
        let common = content.enter(self.process, cap, now);
        let done = act(&mut content.pace, now, common);
        content.stamp(now, epoch, &self.clock.boot);
        write(&mut file, &content)?;
        Ok(Some((done, content.pace)))
    }
}

impl SharedPace {
    /// The pace as it is now, without changing anything; `None` if there is none that can be read.
    pub(super) fn peek(&self, cap: Cap, start: f64) -> Option<Pace> {
        let mut file = private_file().read(true).open(&self.path).ok()?;
        let (now, epoch) = (self.now(), (self.clock.epoch)());
        let content = read(&mut file).ok()??;
        // A file that is being written just now may be torn, and is then believed not to be there.
        let is_sane = content.is_sane(now, &self.clock.boot);
        is_sane.then(|| content.taken_up(now, epoch, &self.clock.boot, cap, start).pace)
    }
}

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Content {
    version: u32,
    boot: String,
    /// When it was written, by both clocks.
    saved_micros: u64,
    saved_epoch: i64,
    members: Vec<Member>,
    pace: Pace,
}

/// A process that asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    process: u64,
    per_minute: Option<u32>,
    per_hour: u32,
    seen_micros: u64,
}

impl Content {
    fn new(cap: Cap, start: f64, now: Duration) -> Self {
        let pace = Pace::new(cap, start, now);
        let boot = String::new();
        Self { version: VERSION, boot, saved_micros: 0, saved_epoch: 0, members: Vec::new(), pace }
    }

    /// Tells whether it can be believed.
    fn is_sane(&self, now: Duration, boot: &str) -> bool {
        let saved = Duration::from_micros(self.saved_micros);
        self.version == VERSION
            && self.pace.is_sane(saved)
            && (self.boot != boot || saved <= now)
            && self.members.len() <= MOST_MEMBERS
    }

    /// Brings what may be an earlier run's, or of before the machine was started, to now.
    fn taken_up(mut self, now: Duration, epoch: Epoch, boot: &str, cap: Cap, start: f64) -> Self {
        let saved = Duration::from_micros(self.saved_micros);
        let age = if self.boot == boot {
            now.saturating_sub(saved)
        } else {
            // A calendar that was set back makes it look fresh; then its pause is waited out.
            let secs = u64::try_from(epoch.secs().saturating_sub(self.saved_epoch)).unwrap_or(0);
            let age = Duration::from_secs(secs);
            self.pace.moved(saved, now.saturating_sub(age));
            self.members.clear();
            age
        };
        self.pace = self.pace.resumed(age, cap, start, now);
        self
    }

    /// Notes that a process is here; returns what all that are here agree to.
    fn enter(&mut self, process: u64, cap: Cap, now: Duration) -> Cap {
        let now = micros(now);
        let oldest = now.saturating_sub(micros(MEMBER_FOR));
        self.members.retain(|m| m.process != process && m.seen_micros >= oldest);
        self.members.truncate(MOST_MEMBERS - 1);
        let common = self.members.iter().fold(cap, |common, member| {
            common.min(Cap { per_minute: member.per_minute, per_hour: member.per_hour })
        });
        let Cap { per_minute, per_hour } = cap;
        self.members.push(Member { process, per_minute, per_hour, seen_micros: now });
        common
    }

    fn stamp(&mut self, now: Duration, epoch: Epoch, boot: &str) {
        boot.clone_into(&mut self.boot);
        self.saved_micros = micros(now);
        self.saved_epoch = epoch.secs();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}

#[allow(clippy::disallowed_methods, reason = "the state folder is no part of an archive")]
fn open(path: &Path) -> io::Result<File> {
    let open = || private_file().read(true).write(true).create(true).truncate(false).open(path);
    match (open(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = std::fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(folder)?;
            open()
        }
        (opened, _) => opened,
    }
}

/// A file that nobody else has to read, whatever the mask of the process is, and that is never
/// opened through a link: the folder may be one that others can write into.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options
}

/// The first line, if it is ours: what a longer content left behind comes after it.
fn read(file: &mut File) -> io::Result<Option<Content>> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let content = serde_json::from_slice(line);
    if let Err(error) = &content
        && !bytes.is_empty()
    {
        tracing::debug!(%error, "the shared pace cannot be read and begins anew");
    }
    Ok(content.ok())
}

fn write(file: &mut File, content: &Content) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(content)?;
    bytes.push(b'\n');
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len() as u64)
}

#[cfg(test)]
mod tests;
