//! Owners, groups, modes and access control lists of what a store works on. Names of files are seen and not kept.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use globset::Glob;

use super::access_list::{AccessList, Unknown};
use super::accounts::Account;
use crate::config::site::Log;

/// Directories below one that are looked at: those of an application are alike.
const MOST_DIRECTORIES: usize = 1_000;

/// Files of a log that are looked at.
const MOST_FILES: usize = 10_000;

/// Bits of a mode (inode(7)).
const READ: u32 = 4;
const WHOLE: u32 = 7;
const STICKY: u32 = 0o1000;

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// What must be done with something, and by whom it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) owner: Owner,
    pub(super) mode: u32,
    /// Where its mode does not say everything.
    pub(super) list: Option<AccessList>,
    /// The bits that are needed.
    pub(super) bits: u32,
}

/// What is known of one store.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What must be open to the service.
    pub(super) needed: Vec<Needed>,
    /// Owners of directories in which only owners of files may remove them.
    pub(super) sticky: Vec<Owner>,
    /// Owners of files that are written anew.
    pub(super) rewritten: Vec<Owner>,
}

impl Owner {
    /// Of what is at `path`; `None` where that cannot be looked at.
    pub(super) fn of(path: &Path) -> Option<Owner> {
        fs::metadata(path).ok().as_ref().map(Owner::in_)
    }

    fn in_(metadata: &Metadata) -> Owner {
        Owner { uid: metadata.uid(), gid: metadata.gid() }
    }
}

impl Needed {
    fn new(path: &Path, metadata: &Metadata, bits: u32) -> Needed {
        let owner = Owner::in_(metadata);
        match AccessList::of(path, owner.gid) {
            // Where the mask leaves nothing the kernel does not look into the list, not even for who is named in it.
            Ok(list) => {
                let mode = metadata.mode();
                Needed { owner, mode, list: list.filter(|_| mode >> 3 & WHOLE != 0), bits }
            }
            // Taken for closed: a capability too many is asked for, and is seen where the drop-in is read.
            Err(Unknown) => Needed { owner, mode: 0, list: None, bits },
        }
    }

    /// Whether the user may do it (path_resolution(7), acl(5)): the first of owner, group and others that it is decides.
    pub(super) fn is_open_to(&self, user: &Account) -> bool {
        let Needed { owner, mode, list, bits } = self;
        let allows = |class: u32| class & bits == *bits;
        if owner.uid == user.uid {
            return allows(mode >> 6);
        }
        match list {
            Some(list) => list.allows(user, *bits).unwrap_or_else(|| allows(*mode)),
            None if user.groups.contains(&owner.gid) => allows(mode >> 3),
            None => allows(*mode),
        }
    }

    /// The groups that may do it, where joining one would help.
    pub(super) fn opening_groups(&self, user: &Account) -> Vec<u32> {
        let Needed { owner, mode, list, bits } = self;
        match list {
            _ if owner.uid == user.uid => Vec::new(),
            Some(list) => list.opening_groups(user, *bits),
            None if !user.groups.contains(&owner.gid) && mode >> 3 & bits == *bits => vec![owner.gid],
            None => Vec::new(),
        }
    }
}

impl Facts {
    /// Of a directory and those below it: files are found and removed in each.
    pub(super) fn of_tree(root: &Path) -> Facts {
        let mut facts = Facts::default();
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            facts.add_directory(&path);
            let entries = fs::read_dir(&path).into_iter().flatten().filter_map(Result::ok);
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let room = MOST_DIRECTORIES.saturating_sub(facts.needed.len() + waiting.len());
            waiting.extend(below.take(room).map(|entry| entry.path()));
        }
        facts
    }

    /// Of a log: files are made and exchanged in its directory, and written anew as they were.
    pub(super) fn of_log(log: &Log) -> Facts {
        let mut facts = Facts::default();
        let directory = facts.add_directory(&log.directory);
        let Ok(glob) = Glob::new(log.pattern.as_str()) else { return facts };
        let matcher = glob.compile_matcher();
        let entries = fs::read_dir(&log.directory).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| matcher.is_match(entry.file_name())).take(MOST_FILES) {
            if let Some(file) = entry.metadata().ok().filter(Metadata::is_file) {
                facts.needed.push(Needed::new(&entry.path(), &file, READ));
                facts.rewritten.push(Owner::in_(&file));
            }
        }
        // Of a log that is not there yet: whoever owns its directory.
        if facts.rewritten.is_empty() {
            facts.rewritten.extend(directory);
        }
        facts
    }

    fn add_directory(&mut self, path: &Path) -> Option<Owner> {
        let directory = fs::metadata(path).ok()?;
        self.needed.push(Needed::new(path, &directory, WHOLE));
        let owner = Owner::in_(&directory);
        if directory.mode() & STICKY != 0 {
            self.sticky.push(owner);
        }
        Some(owner)
    }
}
