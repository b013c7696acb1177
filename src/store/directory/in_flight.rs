//! What a batch leaves behind before its files are removed, and the count that is made of it when nobody wrote down
//! how it ended.
//!
//! Every name is written down with its inode, and looked for again: where the file is still there as it was, it was
//! not removed. An inode may have been given to a new file of the same name since; that one was born after the run
//! began. What the application removed itself in between cannot be told from what the batch removed, and counts with
//! it.
//!
//! A file system in memory ends with the machine, and what is mounted in its place is another one. All that was in it
//! is gone then, and counts as well.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

use super::erase::Group;
use super::judge::is_before;
use super::names::Names;
use super::root::{self, Identity, Root};
use crate::store::{Resolution, StoreError};

/// First byte of the encoding.
const VERSION: u8 = 1;

/// Writes down a batch.
pub(super) fn encode(root: &Root, groups: &[Group]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for number in [root.identity.file_system, root.identity.inode] {
        bytes.extend(number.to_le_bytes());
    }
    push(&mut bytes, &root.boot);
    for group in groups {
        push(&mut bytes, &group.path);
        push_number(&mut bytes, group.inode);
        push_number(&mut bytes, u64::try_from(group.names.len()).unwrap_or(u64::MAX));
        for (name, inode) in group.names.iter() {
            push(&mut bytes, name.to_bytes_with_nul());
            push_number(&mut bytes, inode);
        }
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, text: &[u8]) {
    push_number(bytes, u64::try_from(text.len()).unwrap_or(u64::MAX));
    bytes.extend_from_slice(text);
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7F).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

/// A batch as it was written down.
struct Noted<'a> {
    identity: Identity,
    boot: &'a [u8],
    groups: Vec<Group>,
}

fn decode(bytes: &[u8]) -> Option<Noted<'_>> {
    let mut unread = Unread(bytes);
    (unread.take(1)? == [VERSION]).then_some(())?;
    let mut fixed = || Some(u64::from_le_bytes(unread.take(8)?.try_into().ok()?));
    let identity = Identity { file_system: fixed()?, inode: fixed()? };
    let boot = unread.text()?;
    let mut groups = Vec::new();
    while !unread.0.is_empty() {
        let (path, inode): (Arc<[u8]>, u64) = (unread.text()?.into(), unread.number()?);
        let mut names = Names::default();
        for _ in 0..unread.number()? {
            let name = CStr::from_bytes_with_nul(unread.text()?).ok()?;
            names.push(name, unread.number()?);
        }
        groups.push(Group { path, inode, names });
    }
    Some(Noted { identity, boot, groups })
}

/// Bytes not yet read.
struct Unread<'a>(&'a [u8]);

impl<'a> Unread<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7F).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}

/// Counts what is gone of a batch of the run that began at `began`.
pub(super) fn resolve(root: &Root, began: Timestamp, in_flight: &[u8]) -> Result<Resolution, StoreError> {
    let Some(Noted { identity, boot, groups }) = decode(in_flight) else {
        return Err(root.failed("the file of the batch in flight cannot be read"));
    };
    if identity != root.identity {
        let ended = !boot.is_empty() && std::fs::read(root::BOOT).is_ok_and(|now| now != boot);
        if ended {
            return Ok(Resolution::Committed);
        }
        let reason = "another directory is in its place: is a file system not mounted?".to_owned();
        return Err(StoreError::Unavailable { place: root.place.clone(), reason });
    }
    let (mut all, mut there) = (0, 0);
    for group in &groups {
        all += group.names.len();
        there += still_there(root, group, began).map_err(|error| root.unavailable(error))?;
    }
    let gone = u64::try_from(all - there).unwrap_or(u64::MAX);
    Ok(match (there, gone) {
        (_, 0) => Resolution::RolledBack,
        (0, _) => Resolution::Committed,
        _ => Resolution::Part(gone),
    })
}

fn still_there(root: &Root, group: &Group, began: Timestamp) -> Result<usize, Errno> {
    // A directory that is gone was empty before.
    let Some(directory) = root.reach(&group.path)? else { return Ok(0) };
    let mut there = 0;
    for (name, inode) in group.names.iter() {
        match root::stat(directory.as_fd(), name, AtFlags::empty()) {
            Ok(stat) => {
                let tells_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
                let is_new = tells_birth && !is_before(&stat.stx_btime, began);
                there += usize::from(stat.stx_ino == inode && !is_new);
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    // The process may have died between removing and syncing: what is said to be gone must not come back with the power.
    if there < group.names.len() {
        root::sync(&directory)?;
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::site::{Directory, FileAge, NamePattern};

    #[test]
    fn a_batch_is_read_back_as_it_was_written() {
        let mut names = Names::default();
        names.push(c"sess_1", 127);
        names.push(c"\xFF\n", u64::MAX);
        let groups = [
            Group { path: b""[..].into(), inode: 2, names },
            Group { path: b"a/\xFE"[..].into(), inode: 128, names: Names::default() },
        ];
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = open(directory.path());
        let bytes = encode(&root, &groups);
        let Noted { identity, boot, groups: decoded } = decode(&bytes).unwrap();
        assert_eq!((identity, boot), (root.identity, std::fs::read(root::BOOT).unwrap().as_slice()));
        let plain = |groups: &[Group]| -> Vec<_> {
            let names = |group: &Group| group.names.iter().map(|(n, i)| (n.to_owned(), i)).collect::<Vec<_>>();
            groups.iter().map(|group| (group.path.to_vec(), group.inode, names(group))).collect()
        };
        assert_eq!(plain(&decoded), plain(&groups));
        for length in 0..bytes.len() {
            let whole = decode(&bytes[..length]).map_or(0, |noted| noted.groups.len());
            assert!(whole < groups.len(), "{length}");
        }
    }

    fn open(path: &Path) -> Root {
        Root::open(&Directory {
            path: path.to_owned(),
            pattern: NamePattern::new("*").unwrap(),
            age: FileAge::Modified,
            settle: Duration::ZERO,
        })
        .unwrap()
    }

    #[test]
    fn what_was_in_memory_is_gone_after_the_next_boot_and_only_then() {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let (was, is) = (place.path().join("was"), place.path().join("is"));
        for path in [&was, &is] {
            std::fs::create_dir(path).unwrap();
        }
        let mut names = Names::default();
        names.push(c"sess_1", 127);
        let groups = [Group { path: b""[..].into(), inode: 2, names }];
        let (mut was, is) = (open(&was), open(&is));
        let resolved = |was: &Root| resolve(&is, Timestamp::UNIX_EPOCH, &encode(was, &groups));
        assert!(matches!(resolved(&was), Err(StoreError::Unavailable { .. })));
        was.boot = b"the one before".to_vec();
        assert_eq!(resolved(&was).unwrap(), Resolution::Committed);
        // As of a file system on a disk, which may be mounted again.
        was.boot = Vec::new();
        assert!(matches!(resolved(&was), Err(StoreError::Unavailable { .. })));
    }
}
