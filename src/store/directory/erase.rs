//! Erasing batch by batch.
//!
//! A walk looks for files that may go and hands out their names in batches. Nothing is changed before a batch is
//! committed: only then, with the evidence durable, is each of its files looked at once more and removed in the next
//! instant.

use std::collections::{HashSet, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::batch::Batch;
use super::count;
use super::found::{self, Found, Inodes};
use super::in_use::InUse;
use super::judge::{Expired, Judge, Verdict};
use super::look;
use super::names::Names;
use super::refused::Refused;
use super::root::Root;
use super::walker::{Chunk, Walker};
use crate::store::{Prepared, Remainder, StoreError, Walk};

/// Files of one directory.
pub(super) struct Group {
    /// Where the directory is, below the root.
    pub(super) path: Arc<[u8]>,
    /// Its inode.
    pub(super) inode: u64,
    pub(super) names: Names,
}

/// A walk over one selection.
pub(super) struct FilesWalk<'s> {
    pub(super) root: &'s Root,
    pub(super) judge: Judge,
    pub(super) in_use: InUse,
    walker: Walker<'s>,
    /// Locks that were there when the directories were read.
    pub(super) locks_seen: HashSet<u64>,
    /// Files that the count before found expired.
    found: Option<Inodes>,
    /// Files that it found young.
    young: Option<Inodes>,
    /// Read, and not looked at yet.
    chunks: Vec<Chunk>,
    begun: bool,
    /// Files that may go, in the order of the walk.
    pub(super) ready: VecDeque<Group>,
    /// Files that may go and could not be removed.
    pub(super) refused: Refused,
}

impl<'s> FilesWalk<'s> {
    pub(super) fn begin(root: &'s Root, judge: Judge, found: Option<Found>) -> Result<FilesWalk<'s>, StoreError> {
        let in_use = InUse::read(root)?;
        let walker = Walker::begin(root, in_use.locks())?;
        let mut walk = FilesWalk {
            locks_seen: in_use.locks(),
            root,
            judge,
            in_use,
            walker,
            found: None,
            young: None,
            chunks: Vec::new(),
            begun: false,
            ready: VecDeque::new(),
            refused: Refused::default(),
        };
        if let Some(found) = found.filter(|found| found.moment == walk.judge.moment()) {
            walk.go_by(found);
        }
        Ok(walk)
    }

    /// What the count before found need not be looked for again.
    fn go_by(&mut self, found: Found) {
        self.young = found.young;
        match found.expired {
            found::Expired::Names(groups) => {
                // A directory that was locked since must not count as one that was locked then.
                self.locks_seen = found.locks;
                self.ready = groups.into();
                self.begun = true;
            }
            found::Expired::Inodes(inodes) => self.found = Some(inodes),
            found::Expired::Unknown => {}
        }
    }

    /// Looks until `count` files are ready, or there are no more.
    fn fill(&mut self, count: usize) -> Result<(), StoreError> {
        if !self.begun {
            self.chunks = look::read(&mut self.walker)?;
            self.begun = true;
        }
        while !self.chunks.is_empty() && self.ready.iter().map(|group| group.names.len()).sum::<usize>() < count {
            let chunks = std::mem::take(&mut self.chunks);
            let (judge, in_use, found) = (&self.judge, &self.in_use, self.found.as_ref());
            let (groups, next) = look::look(&chunks, &mut self.walker, |chunk| expired(chunk, judge, in_use, found));
            for group in groups {
                self.add(group.map_err(|error| self.root.unavailable(error))?);
            }
            self.chunks = next?;
        }
        Ok(())
    }

    /// Files of one directory stay together: they are removed by one thread, and its entry is synced once.
    fn add(&mut self, group: Group) {
        if group.names.is_empty() {
            return;
        }
        match self.ready.back_mut() {
            Some(last) if last.inode == group.inode && last.path == group.path => last.names.append(group.names),
            _ => self.ready.push_back(group),
        }
    }

    /// Takes the next `count` files that are ready.
    fn take(&mut self, count: usize) -> Vec<Group> {
        let (mut taken, mut missing) = (Vec::new(), count);
        while missing > 0
            && let Some(mut group) = self.ready.pop_front()
        {
            if group.names.len() > missing {
                let rest = group.names.split_off(missing);
                self.ready.push_front(Group { path: Arc::clone(&group.path), inode: group.inode, names: rest });
            }
            missing -= group.names.len();
            taken.push(group);
        }
        taken
    }
}

/// Files of a chunk that may go. What was found by the count before is not looked at here again, only right before it
/// is removed.
fn expired(chunk: &Chunk, judge: &Judge, in_use: &InUse, found: Option<&Inodes>) -> Result<Group, Errno> {
    let (mut names, mut near) = (Names::default(), 0);
    for (name, told) in chunk.names.iter() {
        let expired = match found {
            Some(found) => {
                let was_found = !chunk.locked && found.have(told, &mut near) && judge.is_named(name);
                was_found.then_some(told)
            }
            None => match judge.look(chunk.directory.as_fd(), name, chunk.locked, in_use)? {
                Verdict::Expired(Expired { inode, .. }) => Some(inode),
                _ => None,
            },
        };
        expired.iter().for_each(|inode| names.push(name, *inode));
    }
    Ok(Group { path: Arc::clone(&chunk.path), inode: chunk.inode, names })
}

impl Walk for FilesWalk<'_> {
    fn prepare(&mut self, limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        self.fill(limit)?;
        let groups = self.take(limit);
        if groups.is_empty() {
            return std::mem::take(&mut self.refused).at_the_end(self.root).map(|()| None);
        }
        Ok(Some(Box::new(Batch::new(self, groups))))
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        let in_use = InUse::read(self.root)?;
        Ok(count::count_again(self.root, &self.judge, &in_use, self.young.as_ref())?.remainder())
    }
}
