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
use super::root::{self, Root};
use crate::store::{Committed, Prepared, StoreError};

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
        let in_flight = in_flight::encode(walk.root.identity, &groups);
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
        let FilesWalk { judge, in_use, walker, .. } = &*self.walk;
        let eraser = Eraser { root, judge, in_use, locks_seen: walker.locks() };
        eraser.erase(&groups)
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
    /// Locks that were there when the walk entered the directories.
    locks_seen: &'a HashSet<u64>,
}

/// What became of a directory's files.
#[derive(Default)]
struct Erased {
    rows: u64,
    /// Why files could not be removed, where that was so.
    refused: Option<Errno>,
    /// What is not known to be durable.
    unsynced: Option<OwnedFd>,
}

impl Eraser<'_> {
    fn erase(&self, groups: &[Group]) -> Result<Committed, StoreError> {
        let mut total = Erased::default();
        // In pieces, so that the directories of each are synced together.
        for piece in groups.chunks(MOST_UNSYNCED) {
            let (results, ()) = look::both(piece, |group| self.group(group), || ());
            let mut unsynced = Vec::new();
            for result in results {
                let erased = result.map_err(|error| self.unknown(error))?;
                total.rows += erased.rows;
                total.refused = total.refused.or(erased.refused);
                unsynced.extend(erased.unsynced);
            }
            for directory in unsynced {
                rustix::fs::fsync(directory).map_err(|error| self.unknown(error))?;
            }
        }
        match total.refused {
            Some(error) if total.rows == 0 => Err(self.root.failed(format!("files cannot be removed: {error}"))),
            Some(error) => {
                tracing::warn!(store = %self.root.place, %error, "some files cannot be removed");
                Ok(Committed { rows: total.rows, children: 0 })
            }
            None => Ok(Committed { rows: total.rows, children: 0 }),
        }
    }

    fn unknown(&self, error: Errno) -> StoreError {
        StoreError::CommitUnknown { place: self.root.place.clone(), reason: error.to_string() }
    }

    /// Removes what may go of one directory's files.
    fn group(&self, group: &Group) -> Result<Erased, Errno> {
        let mut erased = Erased::default();
        let Some(directory) = self.root.reach(&group.path)? else { return Ok(erased) };
        if root::inode(directory.as_fd())? != group.inode || self.was_locked(&directory)? {
            return Ok(erased);
        }
        for (name, inode) in group.names.iter() {
            match self.remove(&directory, name, inode) {
                Ok(true) => erased.rows += 1,
                Ok(false) => {}
                Err(error @ (Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::BUSY)) => erased.refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        erased.unsynced = (erased.rows > 0).then_some(directory);
        Ok(erased)
    }

    /// Whether the file was there, may go, and is gone.
    fn remove(&self, directory: &OwnedFd, name: &CStr, inode: u64) -> Result<bool, Errno> {
        match self.judge.look(directory.as_fd(), name, false, self.in_use)? {
            Verdict::Expired(Expired { inode: found, .. }) if found == inode => {}
            _ => return Ok(false),
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
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
            let inode = root::inode(at.as_fd())?;
            if self.in_use.is_locked(inode) {
                return Ok(true);
            }
            if inode == self.root.identity.inode {
                return Ok(false);
            }
            let above = rustix::fs::openat(&at, c"..", ABOVE, Mode::empty())?;
            if root::inode(above.as_fd())? == inode {
                // The top of everything: it was moved out of the tree just now.
                return Ok(true);
            }
            at = above;
        }
    }
}
