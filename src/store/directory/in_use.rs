//! Files that somebody uses: those with a lock, and those that a process has open.
//!
//! Both are asked of the kernel at once for the whole machine, in /proc, and not by opening each file: that would cost
//! as much as removing it, and taking a lock to see whether there is one would disturb whoever wants it. What is seen
//! is what the daemon may see: locks of everybody in its PID namespace; open files of everybody as root, else of its own
//! user.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};

use super::root::{self, Root};
use crate::store::StoreError;
use crate::store::outside::look_from_outside;

const LOCKS: &str = "/proc/locks";

/// The kernel tells the locks page by page. Where one is released between two pages, another is skipped: so what may be
/// more than a page is read several times, and a lock that was seen once counts.
const ONE_PAGE: usize = 3 * 1024;
const LOOKS: u32 = 6;

/// Looking through all processes again is worth at most this part of the time, as 1/n.
const SHARE_OF_TIME: u32 = 20;

/// Inodes of the tree's file system that are in use.
#[derive(Debug, Default)]
pub(super) struct InUse {
    locked: HashSet<u64>,
    open: HashSet<u64>,
    /// When the open files were looked for, and how long that took.
    looked: Option<(Instant, Duration)>,
}

impl InUse {
    pub(super) fn read(root: &Root) -> Result<InUse, StoreError> {
        let mut in_use = InUse::default();
        in_use.refresh(root)?;
        Ok(in_use)
    }

    /// Looks again: always for locks, and for open files unless that was a moment ago for what it costs.
    pub(super) fn refresh(&mut self, root: &Root) -> Result<(), StoreError> {
        self.locked = locks(root)?;
        let enough = |(when, took): (Instant, Duration)| when.elapsed() < took * SHARE_OF_TIME;
        if !self.looked.is_some_and(enough) {
            let started = Instant::now();
            self.open = open_files(root);
            self.looked = Some((started, started.elapsed()));
        }
        Ok(())
    }

    pub(super) fn is_locked(&self, inode: u64) -> bool {
        self.locked.contains(&inode)
    }

    pub(super) fn is_open(&self, inode: u64) -> bool {
        self.open.contains(&inode)
    }

    /// Locks that `earlier` does not have.
    pub(super) fn has_locks_beyond(&self, earlier: &HashSet<u64>) -> bool {
        self.locked.iter().any(|inode| !earlier.contains(inode))
    }

    pub(super) fn locks(&self) -> HashSet<u64> {
        self.locked.clone()
    }
}

fn locks(root: &Root) -> Result<HashSet<u64>, StoreError> {
    let mut seen = HashSet::new();
    for _ in 0..LOOKS {
        let locks = fs::read_to_string(LOCKS)
            .map_err(|error| root.failed(format!("locks cannot be seen: {LOCKS}: {error}")))?;
        let held = locks.lines().filter_map(place);
        seen.extend(held.filter(|held| root.may_have((held.major, held.minor))).map(|held| held.inode));
        if locks.len() < ONE_PAGE {
            break;
        }
    }
    Ok(seen)
}

/// Where a lock is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    major: u32,
    minor: u32,
    inode: u64,
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:1835029 0 EOF` (proc_locks(5)), whatever its kind and whether held or waited
/// for.
fn place(line: &str) -> Option<Place> {
    line.split_ascii_whitespace().skip(1).find_map(|word| {
        let mut parts = word.split(':');
        let (major, minor, inode, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        Some(Place {
            major: u32::from_str_radix(major, 16).ok()?,
            minor: u32::from_str_radix(minor, 16).ok()?,
            inode: inode.parse().ok()?,
        })
    })
}

/// Inodes of files of the tree's file system that another process has open, as far as they may be seen.
fn open_files(root: &Root) -> HashSet<u64> {
    let open = look_from_outside(open_everywhere).unwrap_or_default();
    open.into_iter().filter(|(device, _)| root.may_have(*device)).map(|(_, inode)| inode).collect()
}

/// Regular files that other processes have open, by device and inode.
fn open_everywhere() -> HashSet<((u32, u32), u64)> {
    let mut open = HashSet::new();
    let own = std::process::id().to_string();
    let Ok(processes) = fs::read_dir("/proc") else { return open };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(id) = name.to_str().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()) && *id != own) else {
            continue;
        };
        // Others' processes may not be looked at, and any may have ended.
        if let Some(open_by_it) = directory(&format!("/proc/{id}/fd")) {
            look_through(&open_by_it, &mut open);
        }
    }
    open
}

fn directory(path: &str) -> Option<OwnedFd> {
    let path = CString::new(path).ok()?;
    rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn look_through(open_by_it: &OwnedFd, open: &mut HashSet<((u32, u32), u64)>) {
    let Ok(descriptors) = rustix::fs::Dir::read_from(open_by_it) else { return };
    for descriptor in descriptors.flatten() {
        open.extend(regular_file(open_by_it, descriptor.file_name()));
    }
}

/// The file behind a descriptor. The link of /proc leads to it without opening it, and a server of a network file
/// system is not asked.
fn regular_file(open_by_it: &OwnedFd, descriptor: &CStr) -> Option<((u32, u32), u64)> {
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(open_by_it.as_fd(), descriptor, flags, StatxFlags::TYPE | StatxFlags::INO).ok()?;
    (root::file_type(&stat) == FileType::RegularFile).then(|| (root::device(&stat), stat.stx_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_filed_under_device_and_inode_whatever_its_kind() {
        let at = |major, minor, inode| Some(Place { major, minor, inode });
        let lines = [
            ("1: POSIX  ADVISORY  READ 5433 08:01:7864448 128 128", at(8, 1, 7_864_448)),
            ("2: FLOCK  ADVISORY  WRITE 2001 fd:0a:7864554 0 EOF", at(0xFD, 10, 7_864_554)),
            ("2: -> FLOCK  ADVISORY  WRITE 1974 00:1b:7864554 0 EOF", at(0, 27, 7_864_554)),
            ("4: OFDLCK ADVISORY  WRITE -1 08:01:8713209 128 191", at(8, 1, 8_713_209)),
            ("5: LEASE  ACTIVE    READ 3001 08:01:99 0 EOF", at(8, 1, 99)),
            ("6: FLOCK ADVISORY WRITE 1 <none>:0 0 EOF", None),
            ("", None),
        ];
        for (line, expected) in lines {
            assert_eq!(place(line), expected, "{line}");
        }
    }
}
