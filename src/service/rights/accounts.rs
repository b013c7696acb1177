//! The machine's accounts, as its own files list them. What only a directory service knows goes by its number.

use std::collections::BTreeSet;
use std::fs;

/// The user of the shipped unit, and its group.
const SERVICE: &str = "forgetd";

/// The number of nobody's files: a user that is not there yet owns nothing, and is in no group.
const UNKNOWN: u32 = u32::MAX;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) groups: BTreeSet<u32>,
}

/// A group's name, its number and its members.
type Group = (String, u32, Vec<String>);

/// All users and groups.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: Vec<(String, u32)>,
    groups: Vec<Group>,
}

impl Accounts {
    /// Those of this machine.
    pub fn read() -> Accounts {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Accounts::parse(&text("/etc/passwd"), &text("/etc/group"))
    }

    /// By passwd(5) and group(5).
    pub(super) fn parse(passwd: &str, group: &str) -> Accounts {
        let user = |line: &str| {
            let mut fields = line.split(':');
            let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?);
            Some((name.to_owned(), uid.parse().ok()?))
        };
        let group_of = |line: &str| {
            let mut fields = line.split(':');
            let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
            let members = fields.next().unwrap_or_default().split(',').filter(|name| !name.is_empty());
            Some((name.to_owned(), gid.parse().ok()?, members.map(str::to_owned).collect()))
        };
        Accounts {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(group_of).collect(),
        }
    }

    /// The service's user; where there is none yet, one that owns nothing.
    pub(super) fn service(&self) -> Account {
        let uid = self.users.iter().find(|(name, _)| name == SERVICE).map_or(UNKNOWN, |(_, uid)| *uid);
        self.of(uid)
    }

    /// The user of that number, in the service: its first group is that of the unit, and not the one in passwd(5).
    pub(super) fn of(&self, uid: u32) -> Account {
        let name = self.users.iter().find(|(_, known)| *known == uid).map(|(name, _)| name.clone());
        let is_in =
            |(group, _, members): &&Group| group == SERVICE || name.as_ref().is_some_and(|name| members.contains(name));
        let groups = self.groups.iter().filter(is_in).map(|(_, gid, _)| *gid).collect();
        Account { name: name.unwrap_or_else(|| uid.to_string()), uid, groups }
    }

    /// The name of a group; that of root opens more than files, and is never proposed.
    pub(super) fn group(&self, gid: u32) -> Option<String> {
        self.groups.iter().find(|(_, known, _)| *known == gid && gid != 0).map(|(name, ..)| name.clone())
    }
}
