//! Noticing changes: of the configuration directory, and of the state by other commands.
//!
//! A watch on a directory falls silent when the directory is replaced, or the link that leads to it: so its parent is
//! watched too, and all watches are set anew whenever anything was noticed, before the directory is read. What no
//! event tells is found by a poll of names, sizes and times.
//!
//! Events are sorted where they arrive, in the watch's own thread: who merely reads, or changes a neighbour of the
//! directory (in `/etc`, say), does not wake the daemon.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::ServiceError;
use crate::purge::{StatePaths, open_private};

/// Directories below the configuration directory whose files count.
const SUBDIRECTORIES: [&str; 2] = ["processors", "sites"];

/// Another command looks for a daemon by taking its lock for a moment: a start waits so long, so often.
const LOCK_PATIENCE: (u32, Duration) = (5, Duration::from_millis(100));

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Something in or about the configuration directory.
    Configuration,
    /// A command has changed the state.
    Woken,
}

/// The watches.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    wake: Option<PathBuf>,
    /// Absent where the kernel grants none: then the poll alone finds changes.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches the configuration in `directory`.
    pub(super) fn begin(directory: &Path) -> (Watch, UnboundedReceiver<Change>) {
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let (sender, changes) = unbounded_channel();
        let about = directory.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // The receiver is gone when the daemon ends.
            let _ = meaning(event.ok().as_ref(), &about).map(|change| sender.send(change));
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "changes are not watched for: they are found within a minute"));
        let mut watch = Watch { directory, wake: None, watcher: watcher.ok() };
        watch.renew();
        (watch, changes)
    }

    /// From now on also notices when commands change the state.
    pub(super) fn listen_for_commands(&mut self, paths: &StatePaths) {
        self.wake = paths.wake().parent().map(Path::to_owned);
        self.renew();
    }

    /// Watches what stands at the paths now, whatever stood there before.
    pub(super) fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let parts = SUBDIRECTORIES.map(|part| self.directory.join(part));
        let own = std::iter::once(self.directory.as_path()).chain(parts.iter().map(PathBuf::as_path));
        for path in own.chain(self.directory.parent()).chain(self.wake.as_deref()) {
            // A watch whose directory is gone has ended by itself.
            let _ = watcher.unwatch(path);
            if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, path = %path.display(), "not watched");
            }
        }
    }
}

/// What an event means for the configuration in `directory`; `None` where nothing has changed that matters. An error,
/// a queue that overflowed for one, is a reason to look.
fn meaning(event: Option<&Event>, directory: &Path) -> Option<Change> {
    let Some(event) = event else { return Some(Change::Configuration) };
    if matches!(event.kind, EventKind::Access(_)) {
        return None;
    }
    let is_neighbour = |path: &PathBuf| path.parent() == directory.parent() && path != directory;
    let is_ours = |path: &PathBuf| path.starts_with(directory) || directory.parent() == Some(path);
    if event.paths.is_empty() || event.paths.iter().any(is_ours) {
        Some(Change::Configuration)
    } else if event.paths.iter().all(is_neighbour) {
        None
    } else {
        // The only other place that is watched.
        Some(Change::Woken)
    }
}

/// Names, sizes, times and identities of the directory, its parts and their files: equal as long as nothing was
/// written.
#[derive(Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, Option<Seen>)>);

/// Device and inode; mode and owner; size; last change of contents and of anything, with nanoseconds.
type Seen = [(i64, i64); 5];

impl Fingerprint {
    /// What the directory looks like now.
    pub fn of(directory: &Path) -> Fingerprint {
        let mut found = Vec::new();
        for part in ["", SUBDIRECTORIES[0], SUBDIRECTORIES[1]] {
            let part = directory.join(part);
            if let Ok(entries) = fs::read_dir(&part) {
                found.extend(entries.flatten().map(|entry| look(entry.path())));
            }
            found.push(look(part));
        }
        found.sort();
        Fingerprint(found)
    }
}

/// Through links: a link's target is what counts.
fn look(path: PathBuf) -> (PathBuf, Option<Seen>) {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let seen = fs::metadata(&path).ok().map(|found| {
        [
            (number(found.dev()), number(found.ino())),
            (i64::from(found.mode()), i64::from(found.uid())),
            (number(found.len()), 0),
            (found.mtime(), found.mtime_nsec()),
            (found.ctime(), found.ctime_nsec()),
        ]
    });
    (path, seen)
}

/// Lets a running daemon look at once at what a command has changed. Without a daemon, or without the right to, its
/// poll will find it.
pub fn wake(paths: &StatePaths) {
    let _ = crate::durable::touch(&paths.wake(), 0o640);
}

/// One daemon on one state.
#[derive(Debug)]
pub(super) struct DaemonLock {
    _file: fs::File,
}

impl DaemonLock {
    pub(super) fn acquire(paths: &StatePaths) -> Result<DaemonLock, ServiceError> {
        let file = open_private(&lock_path(paths))?;
        let (attempts, pause) = LOCK_PATIENCE;
        for _ in 0..attempts {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(DaemonLock { _file: signed(file)? }),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(pause),
                Err(error) => return Err(ServiceError::Runtime(error.into())),
            }
        }
        Err(ServiceError::AlreadyRunning(paths.dir().to_owned()))
    }
}

/// Writes into the lock who holds it, for `doctor`, which looks at the process.
fn signed(mut file: fs::File) -> std::io::Result<fs::File> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

fn lock_path(paths: &StatePaths) -> PathBuf {
    paths.dir().join("daemon.lock")
}

/// Whether a daemon runs on this state.
pub fn is_running(paths: &StatePaths) -> bool {
    let Ok(file) = fs::File::open(lock_path(paths)) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

/// The process id of the daemon that runs on this state; `None` where none does, or it cannot be told.
pub fn running_process(paths: &StatePaths) -> Option<u32> {
    if !is_running(paths) {
        return None;
    }
    fs::read_to_string(lock_path(paths)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
