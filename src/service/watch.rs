//! Noticing changes: of the configuration directory, and of the state by other commands.
//!
//! A watch on a directory falls silent when the directory is replaced, so its parent is watched too, and any event
//! means "look at the whole directory again". What no event tells is found by a poll of names, sizes and times.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::fs::FlockOperation;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::ServiceError;
use crate::purge::StatePaths;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Something in or about the configuration directory.
    Configuration,
    /// A command has changed the state.
    Woken,
}

/// The watches; they end with the value.
#[derive(Debug)]
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    pub(super) fn begin(
        directory: &Path,
        paths: &StatePaths,
    ) -> Result<(Watch, UnboundedReceiver<Change>), ServiceError> {
        let (sender, changes) = unbounded_channel();
        let wake = paths.wake();
        let woken_by = wake.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let change = match event {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(event) if event.paths.contains(&woken_by) => Change::Woken,
                // An error (a queue that overflowed) is a reason to look, too.
                Ok(_) | Err(_) => Change::Configuration,
            };
            // The receiver is gone when the daemon ends.
            let _ = sender.send(change);
        })?;
        watcher.watch(directory, RecursiveMode::Recursive)?;
        if let Some(parent) = parent(directory) {
            // A parent that may not be read leaves the poll.
            if let Err(error) = watcher.watch(&parent, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, "the directory's parent is not watched");
            }
        }
        if let Some(directory) = wake.parent() {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok((Watch { _watcher: watcher }, changes))
    }
}

fn parent(directory: &Path) -> Option<PathBuf> {
    let parent = std::path::absolute(directory).ok()?.parent()?.to_owned();
    Some(parent)
}

/// Names, sizes, times and identities of the files of a directory: equal as long as nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(OsString, u64, u64, i64, i64, i64, i64)>);

impl Fingerprint {
    pub(super) fn of(directory: &Path) -> Fingerprint {
        let mut files = Vec::new();
        for part in ["", "processors", "sites"] {
            let Ok(entries) = fs::read_dir(directory.join(part)) else { continue };
            for entry in entries.flatten() {
                // Through links: a link's target is what counts.
                let Ok(found) = fs::metadata(entry.path()) else { continue };
                let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
                let name = entry.path().into_os_string();
                files.push((name, found.ino(), found.len(), modified.0, modified.1, changed.0, changed.1));
            }
        }
        files.sort();
        Fingerprint(files)
    }
}

/// Lets a running daemon look at once at what a command has changed. Without a daemon, or without the right to, its
/// poll will find it.
pub fn wake(paths: &StatePaths) {
    let _ = fs::write(paths.wake(), b"");
}

/// One daemon on one state.
#[derive(Debug)]
pub(super) struct DaemonLock {
    _file: fs::File,
}

impl DaemonLock {
    pub(super) fn acquire(paths: &StatePaths) -> Result<DaemonLock, ServiceError> {
        let path = lock_path(paths);
        let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DaemonLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(ServiceError::AlreadyRunning(paths.dir().to_owned())),
            Err(error) => Err(ServiceError::Runtime(error.into())),
        }
    }
}

fn lock_path(paths: &StatePaths) -> PathBuf {
    paths.dir().join("daemon.lock")
}

/// Whether a daemon runs on this state.
pub fn is_running(paths: &StatePaths) -> bool {
    let Ok(file) = fs::File::open(lock_path(paths)) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}
