//! Access control lists, as acl(5) judges by them: they open something to users and groups that its mode does not tell
//! of, and where there is one the mode's group bits are its mask, which says nothing about the group.
//!
//! The kernel could be asked only in the service's name, which takes root and a process of its own, and it would not say
//! which group helps. What is computed here is held against what it says in the tests.

use std::path::Path;

use rustix::io::Errno;

use super::accounts::Account;

const NAME: &str = "system.posix_acl_access";

/// The largest attribute that there is (xattr(7)).
const LARGEST: usize = 65_536;

/// Of the kernel's posix_acl_xattr.h: a version, then entries of a tag, its bits and a number.
const VERSION: u32 = 2;
const HEADER: usize = 4;
const ENTRY: usize = 8;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

/// What stands in a list besides what its owner and all others may do: that the mode tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AccessList {
    users: Vec<(u32, u32)>,
    groups: Vec<(u32, u32)>,
    mask: u32,
}

/// It is there and cannot be read: nothing is known of who may do what.
#[derive(Debug)]
pub(super) struct Unknown;

impl AccessList {
    /// That of what is at `path`, which belongs to the group; `None` where its mode says everything.
    pub(super) fn of(path: &Path, owning_group: u32) -> Result<Option<AccessList>, Unknown> {
        let mut bytes = vec![0; LARGEST];
        match rustix::fs::getxattr(path, NAME, &mut bytes[..]) {
            Ok(length) => AccessList::parse(&bytes[..length], owning_group).map(Some).ok_or(Unknown),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(_) => Err(Unknown),
        }
    }

    fn parse(bytes: &[u8], owning_group: u32) -> Option<AccessList> {
        let (version, entries) = bytes.split_first_chunk::<HEADER>()?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % ENTRY != 0 {
            return None;
        }
        let mut list = AccessList { mask: u32::MAX, ..AccessList::default() };
        for entry in entries.chunks_exact(ENTRY) {
            let [tag, tag_too, bits, bits_too, number @ ..] = entry else { return None };
            let bits = u32::from(u16::from_le_bytes([*bits, *bits_too]));
            let number = u32::from_le_bytes(number.try_into().ok()?);
            match u16::from_le_bytes([*tag, *tag_too]) {
                USER => list.users.push((number, bits)),
                OWNING_GROUP => list.groups.push((owning_group, bits)),
                GROUP => list.groups.push((number, bits)),
                MASK => list.mask = bits,
                _ => {}
            }
        }
        Some(list)
    }

    /// What it says of a user who is not the owner; `None` where that is one of all others.
    pub(super) fn allows(&self, user: &Account, bits: u32) -> Option<bool> {
        if let Some((_, allowed)) = self.users.iter().find(|(uid, _)| *uid == user.uid) {
            return Some(allowed & self.mask & bits == bits);
        }
        let mut own = self.groups.iter().filter(|(gid, _)| user.groups.contains(gid)).peekable();
        own.peek()?;
        Some(own.any(|(_, allowed)| allowed & self.mask & bits == bits))
    }

    /// The groups that may do it, where joining one would help.
    pub(super) fn opening_groups(&self, user: &Account, bits: u32) -> Vec<u32> {
        if self.users.iter().any(|(uid, _)| *uid == user.uid) {
            return Vec::new();
        }
        let opening = self.groups.iter().filter(|(_, allowed)| allowed & self.mask & bits == bits);
        opening.map(|(gid, _)| *gid).collect()
    }
}
