//! What the service must be allowed for the files that its stores are in, as a drop-in for its unit.
//!
//! A command is run by root mostly, and root may do everything; the service is another user in a sandbox. Whether it
//! may do what its rules ask for cannot be tried from outside, but it can be told from owners, groups, modes and access
//! control lists.

mod access_list;
mod accounts;
mod drop_in;
mod facts;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use accounts::Accounts;

use crate::config::Config;
use crate::config::site::{DatabaseKind, Store};
use accounts::Account;
use drop_in::DropIn;
use facts::{Facts, Owner};

/// Where the drop-in belongs.
pub const DROP_IN: &str = "/etc/systemd/system/forgetd.service.d/stores.conf";

/// The drop-in for all stores of a configuration; `None` where they are on database servers only.
pub fn drop_in(config: &Config, accounts: &Accounts) -> Option<String> {
    let mut places = Places::default();
    for store in config.sites.values().flat_map(|site| site.stores.values()) {
        places.add(store);
    }
    places.drop_in(accounts)
}

/// What was found of all stores.
#[derive(Debug, Default)]
struct Places {
    paths: BTreeSet<PathBuf>,
    /// Owners of SQLite files.
    owners: BTreeSet<u32>,
    /// Of directories.
    directories: Vec<Facts>,
    /// Of directories with logs, and of the logs.
    logs: Vec<Facts>,
}

impl Places {
    fn add(&mut self, store: &Store) {
        match store {
            Store::Tables { database: DatabaseKind::Sqlite { path }, .. } => self.add_sqlite(path),
            Store::Tables { .. } => {}
            Store::Directory { directory, .. } => {
                self.paths.insert(directory.path.clone());
                self.directories.push(Facts::of_tree(&directory.path));
            }
            Store::Log { log, .. } => {
                self.paths.insert(log.directory.clone());
                self.logs.push(Facts::of_log(log));
            }
        }
    }

    /// A link leads to the file, and what SQLite makes lies beside that.
    fn add_sqlite(&mut self, path: &Path) {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.paths.extend(path.parent().map(Path::to_owned));
        self.owners.extend(Owner::of(&path).map(|owner| owner.uid));
    }

    fn drop_in(&self, accounts: &Accounts) -> Option<String> {
        if self.paths.is_empty() {
            return None;
        }
        let user = self.user(accounts);
        let mut drop_in = DropIn::new(&self.paths);
        if user.uid != accounts.service().uid {
            drop_in.user = Some(user.name.clone());
        }
        self.reach(&user, accounts, &mut drop_in);
        if self.owners.len() > 1 {
            drop_in.remarks.push("SQLite files have several owners: only root may open them all");
            drop_in.capabilities.extend(["CAP_DAC_OVERRIDE", "CAP_CHOWN"]);
        }
        self.rewrite(&user, &mut drop_in);
        if !self.directories.is_empty() || !self.logs.is_empty() {
            drop_in.opens_beneath = true;
        }
        if !self.logs.is_empty() {
            drop_in.capabilities.insert("CAP_SYS_PTRACE");
        } else if !self.directories.is_empty() {
            drop_in
                .remarks
                .push("without CAP_SYS_PTRACE it is not noticed when other users' processes have a file open");
        }
        Some(drop_in.to_string())
    }

    /// A SQLite file is opened by its owner alone, or by root.
    fn user(&self, accounts: &Accounts) -> Account {
        match self.owners.iter().collect::<Vec<_>>().as_slice() {
            [] => accounts.service(),
            [owner] => accounts.of(**owner),
            _ => accounts.of(0),
        }
    }

    /// A group where one opens everything, else the capability that does.
    fn reach(&self, user: &Account, accounts: &Accounts, drop_in: &mut DropIn) {
        let needed = self.directories.iter().chain(&self.logs).flat_map(|facts| &facts.needed);
        let closed: Vec<_> = needed.filter(|needed| !needed.is_open_to(user)).collect();
        let groups: Option<BTreeSet<String>> = closed
            .iter()
            .map(|needed| needed.opening_groups(user).into_iter().find_map(|gid| accounts.group(gid)))
            .collect();
        match groups {
            Some(groups) => drop_in.groups = groups,
            None => drop_in.capabilities.extend(["CAP_DAC_OVERRIDE"]),
        }
        let is_sticky_of_others = |facts: &Facts| facts.sticky.iter().any(|owner| owner.uid != user.uid);
        if self.directories.iter().chain(&self.logs).any(is_sticky_of_others) {
            drop_in.capabilities.insert("CAP_FOWNER");
        }
    }

    /// A log that is written anew keeps its owner, mode and times.
    fn rewrite(&self, user: &Account, drop_in: &mut DropIn) {
        let mut owners = self.logs.iter().flat_map(|facts| &facts.rewritten);
        if owners.clone().any(|owner| owner.uid != user.uid || !user.groups.contains(&owner.gid)) {
            drop_in.capabilities.insert("CAP_CHOWN");
        }
        if owners.any(|owner| owner.uid != user.uid) {
            drop_in.capabilities.insert("CAP_FOWNER");
        }
    }
}

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod tests;
