//! Real modes and access control lists, and what the kernel says of them to a process that is that user.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::accounts::Account;
use super::facts::{Facts, Needed};

const OWNER: u32 = 54_320;
const USER: u32 = 54_321;
const OWNING: u32 = 54_330;
const NAMED: u32 = 54_331;
const OTHER: u32 = 54_332;
const NO_GROUP: u32 = 54_399;

/// As setfacl(1) takes them; the mode comes before.
const LISTS: [&str; 13] = [
    "",
    "u:54321:rwx",
    "u:54321:rwx,m::r-x",
    "u:54321:r-x",
    "u:54321:---",
    "g:54331:rwx",
    "g:54331:rwx,m::r-x",
    "g:54331:---",
    "g:54331:r-x,g:54332:rwx",
    "g::r-x,u:9:rwx",
    "g::rwx,u:9:rwx,m::r-x",
    "g::---,g:54331:rwx,u:54321:r-x",
    "g::rwx,g:54331:---,m::rwx",
];

const MODES: [u32; 6] = [0o700, 0o750, 0o770, 0o705, 0o707, 0o070];

fn account(uid: u32, groups: &[u32]) -> Account {
    Account { name: uid.to_string(), uid, groups: groups.iter().copied().collect() }
}

/// Whether the kernel lets the user read, write and search the directory.
fn kernel_opens(path: &Path, user: &Account) -> bool {
    let groups: Vec<String> = user.groups.iter().map(u32::to_string).collect();
    let groups = if groups.is_empty() { "--clear-groups".to_owned() } else { format!("--groups={}", groups.join(",")) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={NO_GROUP}")).arg(groups);
    let path = path.as_os_str();
    let mut test = vec!["test".as_ref(), "-r".as_ref(), path, "-a".as_ref(), "-w".as_ref(), path];
    test.extend(["-a".as_ref(), "-x".as_ref(), path]);
    let code = command.args(test).status().expect("setpriv of util-linux is there").code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
    code == Some(0)
}

/// A directory of that mode and list, and what is known of it.
fn directory(root: &Path, mode: u32, list: &str) -> (PathBuf, Needed) {
    let path = root.join(format!("{mode:o} {list}"));
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    chown(&path, Some(OWNER), Some(OWNING)).unwrap();
    if !list.is_empty() {
        let set = Command::new("setfacl").args(["-m", list]).arg(&path).status();
        assert!(set.expect("setfacl of acl is there").success(), "{list}");
    }
    let needed = Facts::of_tree(&path).needed.pop().unwrap();
    (path, needed)
}

#[test]
#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
fn the_advice_is_what_the_kernel_says_of_access_control_lists() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can ask the kernel as another user");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let users = [
        account(OWNER, &[]),
        account(USER, &[]),
        account(USER, &[OWNING]),
        account(USER, &[NAMED]),
        account(USER + 1, &[]),
        account(USER + 1, &[NAMED]),
        account(USER + 1, &[OWNING, NAMED]),
    ];
    let mut seen = BTreeSet::new();
    for (mode, list) in MODES.iter().flat_map(|mode| LISTS.map(|list| (*mode, list))) {
        let (path, needed) = directory(root.path(), mode, list);
        for user in &users {
            let is_open = needed.is_open_to(user);
            assert_eq!(is_open, kernel_opens(&path, user), "{mode:o} {list}: {user:?}");
            if is_open {
                seen.insert((list, "open"));
                continue;
            }
            let opening: BTreeSet<u32> = needed.opening_groups(user).into_iter().collect();
            let joined = |group: &u32| {
                let mut user = user.clone();
                user.groups.insert(*group);
                kernel_opens(&path, &user)
            };
            let helping: BTreeSet<u32> = [OWNING, NAMED, OTHER].into_iter().filter(joined).collect();
            assert_eq!(opening, helping, "{mode:o} {list}: groups that {user:?} would join");
            seen.insert((list, if helping.is_empty() { "closed" } else { "by a group" }));
        }
    }
    assert!(LISTS.iter().all(|list| seen.contains(&(list, "open")) && seen.contains(&(list, "closed"))), "{seen:?}");
}
