//! What a batch leaves behind before its files are removed, and the count that is made of it when nobody wrote down
//! how it ended.
//!
//! Every name is written down with its inode, and looked for again: where the file is still there as it was, it was
//! not removed. An inode may have been given to a new file of the same name since; that one was born after the run
//! began. What the application removed itself in between cannot be told from what the batch removed, and counts with
//! it.

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
pub(super) fn encode(identity: Identity, groups: &[Group]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for number in [identity.file_system, identity.inode] {
        bytes.extend(number.to_le_bytes());
    }
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

fn decode(bytes: &[u8]) -> Option<(Identity, Vec<Group>)> {
    let mut unread = Unread(bytes);
    (unread.take(1)? == [VERSION]).then_some(())?;
    let mut fixed = || Some(u64::from_le_bytes(unread.take(8)?.try_into().ok()?));
    let identity = Identity { file_system: fixed()?, inode: fixed()? };
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
    Some((identity, groups))
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
    let Some((identity, groups)) = decode(in_flight) else {
        return Err(root.failed("the file of the batch in flight cannot be read"));
    };
    if identity != root.identity {
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
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_back_as_it_was_written() {
        let identity = Identity { file_system: u64::MAX, inode: 2 };
        let mut names = Names::default();
        names.push(c"sess_1", 127);
        names.push(c"\xFF\n", u64::MAX);
        let groups = [
            Group { path: b""[..].into(), inode: 2, names },
            Group { path: b"a/\xFE"[..].into(), inode: 128, names: Names::default() },
        ];
        let bytes = encode(identity, &groups);
        let (read, decoded) = decode(&bytes).unwrap();
        assert_eq!(read, identity);
        let plain = |groups: &[Group]| -> Vec<_> {
            let names = |group: &Group| group.names.iter().map(|(n, i)| (n.to_owned(), i)).collect::<Vec<_>>();
            groups.iter().map(|group| (group.path.to_vec(), group.inode, names(group))).collect()
        };
        assert_eq!(plain(&decoded), plain(&groups));
        for length in 0..bytes.len() {
            let whole = decode(&bytes[..length]).map_or(0, |(_, groups)| groups.len());
            assert!(whole < groups.len(), "{length}");
        }
    }
}
