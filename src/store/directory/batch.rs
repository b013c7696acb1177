//! One batch of files: prepared by name, removed when it is committed.
//!
//! Between the two anything may have happened. So each directory is opened again by its path below the root, and has
//! to be the one that was read; each file is looked at, judged by the whole predicate, and has to be the inode that was
//! read; the call that removes it is the next one. In between lies about a microsecond, in which another process can
//! put another file in its place. To rename the file first and look then would close that gap, at twice the cost, but
//! takes files that must stay out of an application's sight for a moment, and for good after a crash: the smaller evil
//! is the microsecond, on a name whose file nobody has touched for a whole period.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::erase::{FilesWalk, Group};
use super::in_flight;
use super::in_use::InUse;
use super::judge::{Expired, Judge, Verdict};
use super::look;
use super::refused::Refused;
use super::root::{self, Root};
use crate::store::{Committed, Prepared, StoreError, Unknown};

/// Directories that wait for their sync with a descriptor; beyond, one is synced as soon as its files are removed.
/// Together they sync faster: on most file systems the first does it for all.
const MOST_UNSYNCED: usize = 256;

pub(super) struct Batch<'w, 's> {
    walk: &'w mut FilesWalk<'s>,
    /// Empty once it was committed.
    groups: Vec<Group>,
    rows: u64,
    in_flight: Vec<u8>,
}

impl<'w, 's> Batch<'w, 's> {
    pub(super) fn new(walk: &'w mut FilesWalk<'s>, groups: Vec<Group>) -> Batch<'w, 's> {
        let rows = groups.iter().map(|group| group.names.len()).sum::<usize>();
        let in_flight = in_flight::encode(walk.root, &groups);
        Batch { walk, groups, rows: u64::try_from(rows).unwrap_or(u64::MAX), in_flight }
    }
}

impl Prepared for Batch<'_, '_> {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn children(&self) -> u64 {
        0
    }

    fn in_flight(&self) -> &[u8] {
        &self.in_flight
    }

    fn commit(mut self: Box<Self>) -> Result<Committed, StoreError> {
        let root = self.walk.root;
        self.walk.in_use.refresh(root)?;
        let groups = std::mem::take(&mut self.groups);
        let FilesWalk { judge, in_use, locks_seen, .. } = &*self.walk;
        let eraser = Eraser { root, judge, in_use, locks_seen };
        let Erased { rows, refused, unknown, .. } = eraser.erase(&groups);
        self.walk.refused.add(refused);
        match unknown {
            None => Ok(Committed { rows, children: 0 }),
            Some(error) => {
                let (place, reason) = (root.place.clone(), error.to_string());
                Err(StoreError::CommitUnknown { place, reason, because: Unknown::DiskFailed })
            }
        }
    }
}

impl Drop for Batch<'_, '_> {
    fn drop(&mut self) {
        for group in self.groups.drain(..).rev() {
            self.walk.ready.push_front(group);
        }
    }
}

/// What removes files.
struct Eraser<'a> {
    root: &'a Root,
    judge: &'a Judge,
    in_use: &'a InUse,
    /// Locks that were there when the directories were read.
    locks_seen: &'a HashSet<u64>,
}

/// What became of one file.
enum Fate {
    Gone,
    Kept,
    /// It may go, and is certainly still there.
    Refused(Errno),
    Unknown(Errno),
}

/// What became of files.
#[derive(Default)]
struct Erased {
    rows: u64,
    /// Those that are certainly still there.
    refused: Refused,
    /// Why it is not known of others whether they are.
    unknown: Option<Errno>,
    /// Directories whose removals are not known to be durable.
    unsynced: Vec<OwnedFd>,
}

impl Erased {
    fn refused(files: usize, why: Errno) -> Erased {
        Erased { refused: Refused::of(files, why), ..Erased::default() }
    }

    fn add(&mut self, more: Erased) {
        let Erased { rows, refused, unknown, unsynced } = more;
        self.rows += rows;
        self.refused.add(refused);
        self.unknown = self.unknown.or(unknown);
        self.unsynced.extend(unsynced);
    }
}

impl Eraser<'_> {
    fn erase(&self, groups: &[Group]) -> Erased {
        let mut total = Erased::default();
        // In pieces, so that the directories of each are synced together.
        for piece in groups.chunks(MOST_UNSYNCED) {
            let (results, ()) = look::both(piece, |group| self.group(group), || ());
            results.into_iter().for_each(|erased| total.add(erased));
            for directory in total.unsynced.drain(..) {
                total.unknown = root::sync(&directory).err().or(total.unknown);
            }
        }
        total
    }

    /// Removes what may go of one directory's files.
    fn group(&self, group: &Group) -> Erased {
        let directory = match self.enter(group) {
            Ok(Some(directory)) => directory,
            Ok(None) => return Erased::default(),
            Err(error) => return Erased::refused(group.names.len(), error),
        };
        let mut erased = Erased::default();
        for (name, inode) in group.names.iter() {
            match self.remove(&directory, name, inode) {
                Fate::Gone => erased.rows += 1,
                Fate::Kept => {}
                Fate::Refused(error) => erased.refused.add(Refused::of(1, error)),
                Fate::Unknown(error) => erased.unknown = Some(error),
            }
        }
        erased.unsynced.extend((erased.rows > 0).then_some(directory));
        erased
    }

    /// The directory, if it is the one that was read and nobody has locked it since.
    fn enter(&self, group: &Group) -> Result<Option<OwnedFd>, Errno> {
        let Some(directory) = self.root.reach(&group.path)? else { return Ok(None) };
        let is_same = self.root.inode(directory.as_fd())? == Some(group.inode);
        Ok((is_same && !self.was_locked(&directory)?).then_some(directory))
    }

    /// Removes the file if it may go.
    fn remove(&self, directory: &OwnedFd, name: &CStr, inode: u64) -> Fate {
        match self.judge.look(directory.as_fd(), name, false, self.in_use) {
            Ok(Verdict::Expired(Expired { inode: found, .. })) if found == inode => {}
            Ok(_) => return Fate::Kept,
            Err(error) => return Fate::Refused(error),
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => Fate::Gone,
            // Another process was faster, or put a directory in its place.
            Err(Errno::NOENT | Errno::ISDIR) => Fate::Kept,
            // A server may have removed it all the same, and its answer was lost.
            Err(error) => match root::stat(directory.as_fd(), name, AtFlags::empty()) {
                Ok(stat) if stat.stx_ino == inode => Fate::Refused(error),
                Ok(_) | Err(Errno::NOENT) => Fate::Gone,
                Err(_) => Fate::Unknown(error),
            },
        }
    }

    /// Whether the directory, or one above it, was locked since the walk was there.
    fn was_locked(&self, directory: &OwnedFd) -> Result<bool, Errno> {
        if !self.in_use.has_locks_beyond(self.locks_seen) {
            return Ok(false);
        }
        const ABOVE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        let mut at = rustix::fs::openat(directory, c".", ABOVE, Mode::empty())?;
        loop {
            let Some(inode) = self.root.inode(at.as_fd())? else { return Ok(true) };
            if self.in_use.is_locked(inode) {
                return Ok(true);
            }
            if inode == self.root.identity.inode {
                return Ok(false);
            }
            let above = rustix::fs::openat(&at, c"..", ABOVE, Mode::empty())?;
            if self.root.inode(above.as_fd())? == Some(inode) {
                // The top of everything: it was moved out of the tree just now.
                return Ok(true);
            }
            at = above;
        }
    }
}
