//! `forgetd doctor` on real installations: a sound one, and one for every fault that it should find.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/faketime.rs"]
mod faketime;
#[path = "doctor/faults.rs"]
mod faults;
#[path = "doctor/outside.rs"]
mod outside;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use daemon::{AGE_RULE, Daemon, FAST, Installation, QUIET, Rules, Site};

/// Approvals as they are required by default.
const WITH_APPROVAL: Rules = Rules { approval: "required", duty: "1.0" };

/// What the page says, and how the command ends.
struct Page {
    code: Option<i32>,
    checks: Vec<Value>,
    sound: bool,
}

impl Page {
    fn of(shop: &Installation) -> Page {
        Page::within(shop, &[])
    }

    /// Asked for in an environment.
    fn within(shop: &Installation, environment: &[(&str, &str)]) -> Page {
        let (code, page) = shop.told(environment, &["doctor"]);
        let checks = page["checks"].as_array().unwrap().clone();
        Page { code: Some(code), checks, sound: page["sound"].as_bool().unwrap() }
    }

    /// What is said about one thing, as `condition: finding (advice)`.
    fn about(&self, about: &str) -> String {
        let mut told = String::new();
        for check in self.checks.iter().filter(|check| check["about"] == about) {
            let text = |key: &str| check[key].as_str().unwrap_or_default();
            told.push_str(&format!("{}: {} ({})\n", text("condition"), text("finding"), text("advice")));
        }
        assert!(!told.is_empty(), "nothing about {about}: {:?}", self.checks);
        told
    }

    fn failures(&self) -> Vec<&str> {
        let failed = self.checks.iter().filter(|check| check["condition"] == "failed");
        failed.map(|check| check["about"].as_str().unwrap()).collect()
    }
}

/// The page must fail for this reason alone, and say so.
fn fails_for(page: &Page, about: &str, said: &[&str]) {
    assert_eq!(page.failures(), [about], "{:#?}", page.checks);
    assert_eq!((page.code, page.sound), (Some(3), false));
    let told = page.about(about);
    for words in said {
        assert!(told.contains(words), "{words}: {told}");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An installation whose daemon has run once and is running again.
fn running() -> (Installation, Daemon) {
    let shop = Installation::new(FAST, QUIET, 10);
    let daemon = Daemon::start(&shop);
    (shop, daemon)
}

/// One whose daemon has ended: that is its first fault.
fn stopped() -> Installation {
    let (shop, daemon) = running();
    daemon.stop();
    shop
}

/// What the page fails for beside the daemon that does not run.
fn also_fails_for(shop: &Installation, about: &str, said: &[&str]) {
    let page = Page::of(shop);
    let others: Vec<&str> = page.failures().into_iter().filter(|about| *about != "daemon").collect();
    assert!(others.contains(&about), "{:#?}", page.checks);
    assert_eq!(page.code, Some(3));
    let told = page.about(about);
    for words in said {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn nothing_fails_on_a_sound_installation_and_every_question_is_answered() {
    let (shop, daemon) = running();
    let page = Page::of(&shop);
    assert_eq!((page.code, page.sound), (Some(0), true), "{:#?}", page.checks);
    for about in [
        "permissions",
        "configuration",
        "state directory",
        "free space",
        "register",
        "key",
        "audit log",
        "heartbeat",
        "drift",
        "clock",
        "time synchronisation",
        "daemon",
        "sandbox",
        "landlock",
        "stores",
        "physical remnants",
        "runs",
        "next runs",
    ] {
        page.about(about);
    }
    assert!(page.about("next runs").contains("shop.example 20"), "{}", page.about("next runs"));
    let text = String::from_utf8(shop.command(&["doctor"]).stdout).unwrap();
    assert!(text.contains("\nok       register "), "{text}");
    assert!(text.lines().last().unwrap().starts_with("This installation is sound"), "{text}");
    daemon.stop();
}

/// The names and contents of the files of a state, but for what SQLite keeps beside an open file.
fn contents(state: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for directory in ["", "audit", "keys", "wake", "locks", "in-flight"] {
        let entries = fs::read_dir(state.join(directory)).unwrap().map(|entry| entry.unwrap().path());
        let beside =
            |path: &PathBuf| path.to_string_lossy().ends_with("-shm") || path.to_string_lossy().ends_with("-wal");
        found.extend(
            entries.filter(|path| path.is_file() && !beside(path)).map(|path| (path.clone(), fs::read(path).unwrap())),
        );
    }
    found.sort();
    found
}

#[test]
fn looking_changes_nothing() {
    let shop = stopped();
    let before = contents(&shop.state());
    Page::of(&shop);
    assert!(contents(&shop.state()) == before);
}

#[test]
fn before_the_first_start_nothing_is_there_and_that_is_said() {
    let shop = Installation::new(FAST, QUIET, 10);
    let page = Page::of(&shop);
    fails_for(&page, "daemon", &["it does not run", "systemctl enable --now forgetd"]);
    assert!(page.about("state directory").starts_with("warning: "));
    assert!(!shop.state().exists(), "and nothing was made");
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_place_and_hides_nothing_else() {
    let (shop, daemon) = running();
    shop.set_site(Site { visit: "6 moths", ..QUIET });
    let page = Page::of(&shop);
    fails_for(&page, "configuration", &["sites/shop.example.toml:7:9: `6 moths` is not a period", "6 months"]);
    assert!(page.about("register").starts_with("ok: "), "{:#?}", page.checks);
    // The version in force says what to look for.
    page.about("stores");
    assert!(page.about("runs").contains("suspended"), "{}", page.about("runs"));
    daemon.stop();
}

#[test]
fn a_file_that_others_can_write_is_told() {
    let (shop, daemon) = running();
    chmod(&shop.config().join("sites/shop.example.toml"), 0o666);
    fails_for(&Page::of(&shop), "permissions", &["writable by group or others", "chmod go-w"]);
    daemon.stop();
}

#[test]
fn a_missing_configuration_is_told() {
    let shop = Installation::new(FAST, QUIET, 10);
    fs::rename(shop.config(), shop.path().join("elsewhere")).unwrap();
    let page = Page::of(&shop);
    assert_eq!(page.failures(), ["permissions", "state directory"]);
    assert_eq!(page.code, Some(3));
}

#[test]
fn a_state_that_others_can_write_is_told() {
    let shop = stopped();
    chmod(&shop.state(), 0o777);
    also_fails_for(&shop, "state directory", &["others can write there", "chmod 750"]);
    chmod(&shop.state(), 0o755);
    assert!(Page::of(&shop).about("state directory").starts_with("warning: "));
}

#[test]
fn who_may_not_look_into_the_state_is_told_so_and_nothing_is_guessed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can become somebody else");
        return;
    }
    let (shop, daemon) = running();
    chmod(shop.path(), 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_forgetd")]);
    let output = command.arg("--config").arg(shop.config()).args(["doctor", "--json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let page: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    let checks = page["checks"].as_array().unwrap().clone();
    let page = Page { code: output.status.code(), checks, sound: page["sound"].as_bool().unwrap() };
    fails_for(&page, "state directory", &["Permission denied", "run this as root"]);
    assert!(!text.contains("it does not run") && !text.contains("purges are stopped"), "{text}");
    daemon.stop();
}

/// A file system of its own, until the end.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("--lazy").arg(self.0).status().unwrap().success());
    }
}

#[test]
fn a_disk_that_is_nearly_full_is_told() {
    let shop = Installation::new(FAST, QUIET, 10);
    let state = shop.state();
    fs::create_dir(&state).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m,mode=0750", "none"]).arg(&state).status();
    if !mounted.unwrap().success() {
        eprintln!("left out: nothing can be mounted here");
        return;
    }
    let _mounted = Mounted(&state);
    let daemon = Daemon::start(&shop);
    fails_for(&Page::of(&shop), "free space", &["MiB for", "free space: without room"]);
    daemon.stop();
}

#[test]
fn a_damaged_register_is_told() {
    let shop = stopped();
    let register = shop.state().join("register.db");
    // The log of later writes would stand in for the page.
    Connection::open(&register).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = fs::read(&register).unwrap();
    let page = 4096;
    bytes[5 * page..6 * page].fill(0xA5);
    fs::write(&register, bytes).unwrap();
    also_fails_for(&shop, "register", &["register.db", "restore the register"]);
}

#[test]
fn a_register_that_is_gone_is_told() {
    let shop = stopped();
    for name in ["register.db", "register.db-wal", "register.db-shm"] {
        let _ = fs::remove_file(shop.state().join(name));
    }
    also_fails_for(&shop, "register", &["is missing although an audit log was begun"]);
}

#[test]
fn a_key_that_others_can_read_is_told() {
    let (shop, daemon) = running();
    chmod(&shop.state().join("keys/audit.key"), 0o644);
    fails_for(&Page::of(&shop), "key", &["can be read or written by others (mode 0644)", "chmod 600"]);
    daemon.stop();
}

#[test]
fn the_key_of_another_log_is_told() {
    let (shop, other) = (stopped(), stopped());
    fs::copy(other.state().join("keys/audit.key"), shop.state().join("keys/audit.key")).unwrap();
    also_fails_for(&shop, "key", &["is not the key that"]);
}

#[test]
fn a_key_that_is_gone_is_told() {
    let shop = stopped();
    fs::remove_file(shop.state().join("keys/audit.key")).unwrap();
    also_fails_for(&shop, "key", &["is missing although an audit log was begun"]);
}

#[test]
fn a_changed_log_is_told() {
    let (shop, daemon) = running();
    let log = shop.state().join("audit/log.jsonl");
    let text = fs::read_to_string(&log).unwrap().replacen("log.created", "log.creAted", 1);
    fs::write(&log, text).unwrap();
    fails_for(&Page::of(&shop), "audit log", &["tampered", "keep the audit directory as it is"]);
    drop(daemon);
}

#[test]
fn a_clock_that_was_moved_is_told() {
    let shop = Installation::new(FAST, QUIET, 10);
    let output = shop.command(&["purge", "--yes"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let register = Connection::open(shop.state().join("register.db")).unwrap();
    // An hour more than the boot clock counted has passed since it was last seen.
    let moved = register.execute("UPDATE clock SET boottime_us = boottime_us + 3600000000", []).unwrap();
    assert_eq!(moved, 1);
    also_fails_for(&shop, "clock", &["the clock was moved by", "forgetd approve --clock"]);
}

#[test]
fn a_daemon_that_does_not_run_is_told() {
    let shop = stopped();
    fails_for(&Page::of(&shop), "daemon", &["nothing is erased on time"]);
}

#[test]
fn what_confines_the_daemon_is_read_from_its_process() {
    let (shop, daemon) = running();
    let page = Page::of(&shop);
    assert!(page.about("daemon").contains("it runs: process "), "{}", page.about("daemon"));
    let sandbox = page.about("sandbox");
    assert!(sandbox.starts_with("warning: no new privileges: no; system calls filtered:"), "{sandbox}");
    daemon.stop();
}

#[test]
fn a_store_that_is_gone_is_told_once_for_all_its_rules() {
    let (shop, daemon) = running();
    fs::rename(shop.path().join("chat.db"), shop.path().join("moved.db")).unwrap();
    let page = Page::of(&shop);
    fails_for(&page, "stores", &["chat.db", AGE_RULE]);
    assert_eq!(page.failures().len(), 1);
    daemon.stop();
}

#[test]
fn what_the_last_run_left_on_the_disk_is_told() {
    let shop = Installation::new(FAST, QUIET, 10);
    let application = Connection::open(shop.path().join("chat.db")).unwrap();
    application.pragma_update(None, "journal_mode", "WAL").unwrap();
    // A reader that never finishes keeps the log of earlier contents from being emptied.
    application.execute_batch("BEGIN; SELECT count(*) FROM visitors;").unwrap();
    assert!(shop.command(&["purge", "--yes"]).status.success());
    let told = Page::of(&shop).about("physical remnants");
    assert!(told.starts_with("warning: ") && told.contains("the write-ahead log still holds"), "{told}");
}

#[test]
fn the_stop_switch_and_rules_that_wait_are_warnings() {
    let shop = Installation::new(WITH_APPROVAL, QUIET, 10);
    let daemon = Daemon::start(&shop);
    assert!(shop.command(&["stop-purges"]).status.success());
    let page = Page::of(&shop);
    assert_eq!((page.code, page.failures()), (Some(0), vec![]));
    assert!(page.about("stop switch").contains("forgetd --config") || page.about("stop switch").contains("--lift"));
    let runs = page.about("runs");
    assert!(runs.contains("1 rule waiting: shop.example/chat/visitors") && runs.contains("forgetd plan"), "{runs}");
    daemon.stop();
}
