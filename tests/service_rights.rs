//! What the service may not do is told before it is tried: a file system that is mounted read-only holds the rules on
//! it, and `check --stores` prints what the unit needs for the files of its stores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

#[path = "support/installation.rs"]
mod installation;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use installation::{Installation, UNGUARDED};

/// An installation with a store of each kind that is made of files, each with an expired record.
fn shop() -> Installation {
    let shop = Installation::new(UNGUARDED);
    for kind in ["sqlite", "directory", "log"] {
        fs::create_dir(shop.path().join(kind)).unwrap();
    }
    let [sqlite, directory, log] = ["sqlite", "directory", "log"].map(|kind| shop.path().join(kind));
    rusqlite::Connection::open(sqlite.join("chat.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE visitors (id INTEGER PRIMARY KEY, seen INTEGER); INSERT INTO visitors VALUES (1, 1577836800)",
        )
        .unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_577_836_800);
    for (path, text) in [
        (directory.join("sess_1"), "x"),
        (log.join("access.log.1"), "192.0.2.7 - - [01/Jan/2020:00:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n"),
    ] {
        fs::write(&path, text).unwrap();
        fs::File::open(&path).unwrap().set_modified(old).unwrap();
    }
    shop.write(
        "sites/shop.example.toml",
        &format!(
            "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"30 3 * * *\"\n[retention]\nvisit = \"6 months\"\n\
             [store.sqlite]\nkind = \"sqlite\"\npath = \"{0}/sqlite/chat.db\"\n\
             [[store.sqlite.table]]\nname = \"visitors\"\nkey = \"id\"\nholds = \"visit\"\n\
             time = {{ column = \"seen\", format = \"unix-seconds\" }}\n\
             [store.directory]\nkind = \"directory\"\npath = \"{0}/directory\"\npattern = \"sess_*\"\nholds = \"visit\"\n\
             settle = \"none\"\n\
             [store.log]\nkind = \"log\"\npath = \"{0}/log/access.log*\"\nformat = \"combined\"\nholds = \"visit\"\n",
            shop.path().display()
        ),
    );
    shop
}

/// A directory that is mounted over itself, read-only, as the sandbox of a service does it.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn new(directory: &Path) -> Option<ReadOnly> {
        let mount = |options: &[&str]| Command::new("mount").args(options).arg(directory).status().unwrap().success();
        if !Command::new("mount").arg("--bind").arg(directory).arg(directory).status().unwrap().success() {
            eprintln!("left out: nothing can be mounted here");
            return None;
        }
        let mounted = ReadOnly(directory.to_owned());
        assert!(mount(&["-o", "remount,bind,ro"]));
        Some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn a_read_only_file_system_holds_its_rules_before_anything_is_tried() {
    for kind in ["sqlite", "directory", "log"] {
        let shop = shop();
        let rule =
            if kind == "sqlite" { "shop.example/sqlite/visitors".to_owned() } else { format!("shop.example/{kind}") };
        {
            let Some(_mounted) = ReadOnly::new(&shop.path().join(kind)) else { return };
            assert_eq!(shop.planned(&rule)["state"], "held", "{kind}");
            let text = shop.run(&["plan", &rule]).stdout;
            assert!(text.contains("mounted read-only") && text.contains("ReadWritePaths="), "{kind}: {text}");
            let ran = shop.run(&["purge", &rule, "--yes"]);
            assert_eq!(ran.code, 3, "{kind}: held, not failed: {ran:?}");
            let checked = shop.json(&["check", "--stores"], 3);
            let findings = checked["stores"].as_array().unwrap();
            let told = findings.iter().filter(|finding| finding["rule"] == rule.as_str());
            let told: Vec<&str> = told.map(|finding| finding["finding"].as_str().unwrap()).collect();
            assert!(told.iter().any(|finding| finding.contains("mounted read-only")), "{kind}: {told:?}");
            assert!(!shop.run(&["audit", "list"]).stdout.contains("run.started"), "{kind}");
        }
        assert_eq!(shop.planned(&rule)["state"], "ready", "{kind}: as soon as it is mounted for writing");
    }
}

/// The drop-in of `check --stores --json`, and the same in the text.
fn drop_in(shop: &Installation) -> String {
    let checked = shop.json(&["check", "--stores"], 0);
    let drop_in = checked["drop_in"].as_str().unwrap().to_owned();
    let text = shop.run(&["check", "--stores"]).stdout;
    assert!(text.contains("/etc/systemd/system/forgetd.service.d/stores.conf"), "{text}");
    assert!(text.ends_with(&drop_in), "{text}");
    assert!(shop.json(&["check"], 0)["drop_in"].is_null(), "only where the stores are looked at");
    drop_in
}

#[test]
fn the_drop_in_names_what_the_files_of_all_stores_need() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can give files away");
        return;
    }
    let shop = shop();
    for name in ["sqlite", "sqlite/chat.db"] {
        chown(shop.path().join(name), Some(54_321), Some(54_321)).unwrap();
    }
    for name in ["log", "log/access.log.1", "directory"] {
        chown(shop.path().join(name), Some(54_322), Some(54_322)).unwrap();
        fs::set_permissions(shop.path().join(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let drop_in = drop_in(&shop);
    let lines: Vec<&str> = drop_in.lines().collect();
    for line in [
        "User=54321",
        "RestrictSUIDSGID=no",
        "AmbientCapabilities=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_PTRACE",
        "SystemCallFilter=@chown",
        "PrivateUsers=no",
        "ProtectProc=default",
    ] {
        assert!(lines.contains(&line), "{line}: {drop_in}");
    }
    let paths = lines.iter().find_map(|line| line.strip_prefix("ReadWritePaths=")).unwrap();
    let expected: Vec<String> =
        ["directory", "log", "sqlite"].iter().map(|kind| format!("-{}/{kind}", shop.path().display())).collect();
    assert_eq!(paths.split(' ').collect::<Vec<_>>(), expected);
}

/// A store in SQLite, which makes 54321 the service's user, and a directory of somebody else's with such an access list.
fn with_access_list(list: &str) -> Installation {
    let shop = shop();
    let site = fs::read_to_string(shop.config().join("sites/shop.example.toml")).unwrap();
    shop.write("sites/shop.example.toml", site.split("[store.log]").next().unwrap());
    for name in ["sqlite", "sqlite/chat.db"] {
        chown(shop.path().join(name), Some(54_321), Some(54_321)).unwrap();
    }
    let directory = shop.path().join("directory");
    chown(&directory, Some(54_322), Some(54_322)).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    let set = Command::new("setfacl").args(["-m", list]).arg(&directory).status();
    assert!(set.expect("setfacl of acl is there").success(), "{list}");
    shop
}

#[test]
fn an_access_list_that_opens_a_directory_saves_the_capability_and_a_mask_that_closes_it_does_not() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can give files away");
        return;
    }
    for (list, group, is_capability_needed) in [
        ("u:54321:rwx", None, false),
        ("u:54321:rwx,m::r-x", None, true),
        ("u:54321:r-x", None, true),
        ("g:adm:rwx", Some("SupplementaryGroups=adm"), false),
        ("g:adm:rwx,m::r-x", None, true),
        // The mode shows rwx for the group: that is the mask, and its owning group may do nothing.
        ("u:9:rwx", None, true),
    ] {
        let drop_in = drop_in(&with_access_list(list));
        assert_eq!(drop_in.contains("CAP_DAC_OVERRIDE"), is_capability_needed, "{list}: {drop_in}");
        let groups = drop_in.lines().find(|line| line.starts_with("SupplementaryGroups="));
        assert_eq!(groups, group, "{list}: {drop_in}");
    }
}

#[test]
fn systemd_takes_the_unit_with_the_drop_in() {
    let shop = shop();
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/forgetd.service")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forgetd.service");
    fs::write(&path, unit.replace("/usr/bin/forgetd", env!("CARGO_BIN_EXE_forgetd"))).unwrap();
    fs::create_dir(directory.path().join("forgetd.service.d")).unwrap();
    fs::write(directory.path().join("forgetd.service.d/stores.conf"), drop_in(&shop)).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
    let Ok(verified) = verified else { panic!("systemd-analyze of systemd is there") };
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !told.contains("forgetd.service"), "{told}");
}
