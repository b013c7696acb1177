//! Noticing changes: of the configuration directory, and of the state by other commands.
//!
//! A watch on a directory falls silent when the directory is replaced, or the link that leads to it: so its parent is
//! watched too, and all watches are set anew whenever anything was noticed, before the directory is read. What no
//! event tells is found by a poll of names, sizes and times.
//!
//! The kernel is asked for changes alone. A watch that also reports who opens a file would wake the daemon whenever any
//! program on the machine looks into `/etc`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ServiceError;
use crate::purge::StatePaths;

/// Directories below the configuration directory whose files count.
const SUBDIRECTORIES: [&str; 2] = ["processors", "sites"];

/// Room for several hundred events in one read.
const EVENT_BUFFER: usize = 16 * 1024;

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

/// An event as the kernel tells it: at which watch, and the name in the directory watched.
#[derive(Debug)]
pub(super) struct Noticed {
    watch: i32,
    name: Option<OsString>,
}

/// What a watch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The configuration directory, or one of its parts.
    Configuration,
    /// The directory in which the configuration directory, or a link to it, stands.
    Parent,
    /// Where commands announce themselves.
    Wake,
}

/// The watches.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    wake: Option<PathBuf>,
    /// Absent where the kernel grants none: then the poll alone finds changes.
    inotify: Option<Arc<OwnedFd>>,
    places: BTreeMap<i32, Place>,
}

impl Watch {
    /// Watches the configuration in `directory`.
    pub(super) fn begin(directory: &Path) -> (Watch, UnboundedReceiver<Noticed>) {
        let (sender, noticed) = unbounded_channel();
        let inotify = match listen(sender) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                tracing::warn!(%error, "changes are not watched for: they are found within a minute");
                None
            }
        };
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let mut watch = Watch { directory, wake: None, inotify, places: BTreeMap::new() };
        watch.renew();
        (watch, noticed)
    }

    /// From now on also notices when commands change the state.
    pub(super) fn listen_for_commands(&mut self, paths: &StatePaths) {
        self.wake = paths.wake().parent().map(Path::to_owned);
        self.renew();
    }

    /// Watches what stands at the paths now, whatever stood there before.
    pub(super) fn renew(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let mut places = BTreeMap::new();
        let mut watch = |path: &Path, place| match inotify::add_watch(inotify, path, changes_alone()) {
            // Two paths may be one directory: what is said first counts.
            Ok(watch) => _ = places.entry(watch).or_insert(place),
            Err(error) => tracing::debug!(%error, path = %path.display(), "not watched"),
        };
        watch(&self.directory, Place::Configuration);
        for part in SUBDIRECTORIES {
            watch(&self.directory.join(part), Place::Configuration);
        }
        if let Some(wake) = &self.wake {
            watch(wake, Place::Wake);
        }
        if let Some(parent) = self.directory.parent() {
            watch(parent, Place::Parent);
        }
        for stale in self.places.keys().filter(|watch| !places.contains_key(watch)) {
            // A watch whose directory is gone has ended by itself.
            let _ = inotify::remove_watch(inotify, *stale);
        }
        self.places = places;
    }

    /// What an event means; `None` for a neighbour of the configuration directory.
    pub(super) fn meaning(&self, noticed: &Noticed) -> Option<Change> {
        match self.places.get(&noticed.watch) {
            Some(Place::Wake) => Some(Change::Woken),
            Some(Place::Parent) if noticed.name.as_deref() != self.directory.file_name() => None,
            // A queue that overflowed, or a watch that has just been given up, is a reason to look, too.
            Some(Place::Parent | Place::Configuration) | None => Some(Change::Configuration),
        }
    }
}

/// Contents, names and permissions, of the files in a directory and of the directory itself.
fn changes_alone() -> WatchFlags {
    WatchFlags::ATTRIB
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MODIFY
        | WatchFlags::MOVE_SELF
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ONLYDIR
}

/// Hands events on from a thread of its own, until nobody wants them any more.
fn listen(sender: UnboundedSender<Noticed>) -> io::Result<Arc<OwnedFd>> {
    let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
    let events = Arc::clone(&inotify);
    std::thread::Builder::new().name("watch".to_owned()).spawn(move || hand_on(&events, &sender))?;
    Ok(inotify)
}

fn hand_on(inotify: &OwnedFd, sender: &UnboundedSender<Noticed>) {
    let mut buffer = [const { MaybeUninit::uninit() }; EVENT_BUFFER];
    let mut events = inotify::Reader::new(inotify, &mut buffer);
    loop {
        let noticed = match events.next() {
            // The end of a watch: either the directory's own end was told before, or we gave it up.
            Ok(event) if event.events().contains(ReadFlags::IGNORED) => continue,
            Ok(event) => {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                Noticed { watch: event.wd(), name }
            }
            Err(Errno::INTR) => continue,
            Err(error) => return tracing::warn!(%error, "changes are no longer watched for: the poll finds them"),
        };
        if sender.send(noticed).is_err() {
            return;
        }
    }
}

/// Names, sizes, times and identities of the directory, its parts and their files: equal as long as nothing was
/// written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<Seen>)>);

/// Device and inode; mode and owner; size; last change of contents and of anything, with nanoseconds.
type Seen = [(i64, i64); 5];

impl Fingerprint {
    pub(super) fn of(directory: &Path) -> Fingerprint {
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
        let (attempts, pause) = LOCK_PATIENCE;
        for _ in 0..attempts {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(DaemonLock { _file: file }),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(pause),
                Err(error) => return Err(ServiceError::Runtime(error.into())),
            }
        }
        Err(ServiceError::AlreadyRunning(paths.dir().to_owned()))
    }
}

fn lock_path(paths: &StatePaths) -> PathBuf {
    paths.dir().join("daemon.lock")
}

/// Whether a daemon runs on this state.
pub fn is_running(paths: &StatePaths) -> bool {
    let Ok(file) = fs::File::open(lock_path(paths)) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests;
