//! Walking a tree of any depth and size, with memory for its depth alone.
//!
//! A loop over a stack of directories, no recursion. Names of files are handed out as they are read and forgotten. Of
//! a directory the names of some subdirectories are remembered, up to a bound; then those are walked before it is read
//! further. A directory that is read to its end needs no descriptor while those below it are walked, so that a deep
//! tree needs few: it is opened again by its path, and has to be the same one still.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;

use super::names::Names;
use super::root::{self, Root};
use crate::store::StoreError;

/// What one call reads: about a thousand names.
const BUFFER: usize = 64 * 1024;

/// Bytes of names of subdirectories that are remembered before they are walked.
const MOST_PENDING: usize = 64 * 1024;

/// Directories that may be left open half-read; beyond, one is read to its end however many subdirectories it has.
const MOST_UNFINISHED: usize = 64;

/// Directories that stay open although they were read to their end: going back to them is then for free.
const MOST_OPEN: usize = 32;

/// Some names of one directory.
pub(super) struct Chunk {
    pub(super) directory: Arc<OwnedFd>,
    /// Where it is, below the root.
    pub(super) path: Arc<[u8]>,
    pub(super) inode: u64,
    /// Whether it, or one above it, is locked.
    pub(super) locked: bool,
    /// Names of regular files.
    pub(super) names: Names,
}

/// A directory on the way to where the walk is.
struct Frame {
    fd: Option<Arc<OwnedFd>>,
    inode: u64,
    /// Length of its path.
    path: usize,
    locked: bool,
    unread: bool,
    /// Subdirectories yet to be walked, each name with its NUL.
    pending: Vec<u8>,
    /// How much of that is done.
    done: usize,
}

/// A walk under way.
pub(super) struct Walker<'r> {
    root: &'r Root,
    locks: HashSet<u64>,
    frames: Vec<Frame>,
    path: Vec<u8>,
    buffer: Vec<u8>,
}

impl<'r> Walker<'r> {
    /// Begins at the root. `locks` are inodes of directories below which nothing may go.
    pub(super) fn begin(root: &'r Root, locks: HashSet<u64>) -> Result<Walker<'r>, StoreError> {
        let mut walker =
            Walker { root, locks, frames: Vec::new(), path: Vec::new(), buffer: Vec::with_capacity(BUFFER) };
        let fd = root.reopen()?;
        walker.push(fd, root.identity.inode);
        Ok(walker)
    }

    /// The next names; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, StoreError> {
        while let Some(frame) = self.frames.last_mut() {
            let has_room = frame.pending.len() - frame.done < MOST_PENDING;
            if frame.unread && (has_room || self.unfinished() > MOST_UNFINISHED) {
                let chunk = self.read().map_err(|error| self.root.unavailable(error))?;
                if !chunk.names.is_empty() {
                    return Ok(Some(chunk));
                }
            } else if !self.descend().map_err(|error| self.root.unavailable(error))? {
                self.pop();
            }
        }
        Ok(None)
    }

    fn unfinished(&self) -> usize {
        self.frames.iter().filter(|frame| frame.unread).count()
    }

    fn push(&mut self, fd: OwnedFd, inode: u64) {
        let locked = self.locks.contains(&inode) || self.frames.last().is_some_and(|above| above.locked);
        self.frames.push(Frame {
            fd: Some(Arc::new(fd)),
            inode,
            path: self.path.len(),
            locked,
            unread: true,
            pending: Vec::new(),
            done: 0,
        });
    }

    fn pop(&mut self) {
        self.frames.pop();
        self.path.truncate(self.frames.last().map_or(0, |frame| frame.path));
    }

    /// Reads as many names as one call returns.
    fn read(&mut self) -> Result<Chunk, Errno> {
        let Some(Frame { fd: Some(fd), inode, locked, unread, pending, .. }) = self.frames.last_mut() else {
            return Err(Errno::BADF);
        };
        let mut names = Names::default();
        let mut entries = RawDir::new(&**fd, self.buffer.spare_capacity_mut());
        loop {
            let entry = match entries.next() {
                Some(Ok(entry)) => entry,
                // Removed meanwhile: there is nothing in it.
                None | Some(Err(Errno::NOENT)) => {
                    *unread = false;
                    break;
                }
                Some(Err(error)) => return Err(error),
            };
            let name = entry.file_name();
            match kind(fd, name, entry.file_type())? {
                Some(FileType::RegularFile) => names.push(name, entry.ino()),
                Some(FileType::Directory) if name != c"." && name != c".." => {
                    pending.extend_from_slice(name.to_bytes_with_nul());
                }
                _ => {}
            }
            if entries.is_buffer_empty() {
                break;
            }
        }
        let path = self.path.as_slice().into();
        Ok(Chunk { directory: Arc::clone(fd), path, inode: *inode, locked: *locked, names })
    }

    /// Enters the next subdirectory that is still there. False where there is none left.
    fn descend(&mut self) -> Result<bool, Errno> {
        while let Some(name) = self.next_pending() {
            let Some(above) = self.open_again()? else { return Ok(false) };
            let Some(below) = root::enter(above.as_fd(), &name)? else { continue };
            let Some(inode) = self.root.inode(below.as_fd())? else { continue };
            if self.path.last().is_some_and(|byte| *byte != b'/') {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.push(below, inode);
            return Ok(true);
        }
        Ok(false)
    }

    fn next_pending(&mut self) -> Option<std::ffi::CString> {
        let frame = self.frames.last_mut()?;
        self.path.truncate(frame.path);
        let Some(name) = frame.pending.get(frame.done..).and_then(|rest| CStr::from_bytes_until_nul(rest).ok()) else {
            frame.pending.clear();
            frame.done = 0;
            return None;
        };
        frame.done += name.count_bytes() + 1;
        Some(name.to_owned())
    }

    /// The descriptor of the directory at the top; `None` where it is no longer at its place.
    fn open_again(&mut self) -> Result<Option<Arc<OwnedFd>>, Errno> {
        let keeps = self.frames.len() <= MOST_OPEN;
        let Some(frame) = self.frames.last_mut() else { return Ok(None) };
        let fd = match &frame.fd {
            Some(fd) => Arc::clone(fd),
            None => {
                let path = self.path.get(..frame.path).unwrap_or_default();
                let Some(fd) = self.root.reach(path)? else { return Ok(None) };
                if self.root.inode(fd.as_fd())? != Some(frame.inode) {
                    return Ok(None);
                }
                Arc::new(fd)
            }
        };
        frame.fd = (keeps || frame.unread).then(|| Arc::clone(&fd));
        Ok(Some(fd))
    }
}

/// What an entry is; `None` where it is gone. Some file systems do not say it with the name.
fn kind(directory: &OwnedFd, name: &CStr, said: FileType) -> Result<Option<FileType>, Errno> {
    if said != FileType::Unknown {
        return Ok(Some(said));
    }
    match root::stat(directory.as_fd(), name, AtFlags::empty()) {
        Ok(stat) => Ok(Some(root::file_type(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
