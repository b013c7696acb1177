//! Faults of the state and of the work that need more than a wrong mode to be made.

use rustix::process::Signal;

use super::daemon::{SLOW, eventually};
use super::*;

#[test]
fn a_disk_that_will_be_full_some_day_is_a_warning() {
    let shop = Installation::new(FAST, QUIET, 10);
    let state = shop.state();
    fs::create_dir(&state).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=500m,mode=0750", "none"]).arg(&state).status();
    if !mounted.unwrap().success() {
        eprintln!("left out: nothing can be mounted here");
        return;
    }
    let _mounted = Mounted(&state);
    let daemon = Daemon::start(&shop);
    let page = Page::of(&shop);
    assert!(page.about("free space").starts_with("warning: "), "{}", page.about("free space"));
    assert_eq!(page.failures(), [""; 0]);
    daemon.stop();
}

#[test]
fn a_register_of_a_newer_version_is_told() {
    let shop = stopped();
    Connection::open(shop.state().join("register.db")).unwrap().pragma_update(None, "user_version", 9_999).unwrap();
    also_fails_for(&shop, "register", &["newer", "register.db"]);
}

#[test]
fn a_log_that_was_cut_is_told() {
    let shop = stopped();
    let log = shop.state().join("audit/log.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let (first, _) = text.split_once('\n').unwrap();
    fs::write(&log, format!("{first}\n")).unwrap();
    also_fails_for(&shop, "audit log", &["truncated", "keep the audit directory as it is"]);
}

#[test]
fn entries_that_a_killed_daemon_left_unsigned_are_a_warning_with_the_cure() {
    let shop = Installation::new(SLOW, Site { store_ip: false, ..QUIET }, 40_000);
    let mut daemon = Daemon::start(&shop);
    shop.wait_for("batch.committed", 1);
    let running = Page::of(&shop).about("audit log");
    assert!(running.starts_with("ok: "), "a run under way is signed at its end: {running}");
    daemon.signal(Signal::KILL);
    daemon.ended();
    let page = Page::of(&shop);
    let told = page.about("audit log");
    assert!(told.starts_with("warning: unsigned") && told.contains("start the daemon"), "{told}");
    assert_eq!(page.failures(), ["daemon"]);
}

#[test]
fn a_key_in_a_credential_that_only_the_service_is_given_is_a_warning() {
    let shop = stopped();
    fs::write(shop.state().join("keys/audit.key"), "credential audit.key\n").unwrap();
    let told = Page::of(&shop).about("key");
    assert!(told.starts_with("warning: ") && told.contains("systemd credential `audit.key`"), "{told}");
}

#[test]
fn what_nobody_has_reviewed_is_counted() {
    let shop = stopped();
    let entries = shop.entries().len();
    let told = Page::of(&shop).about("review");
    assert!(told.starts_with(&format!("ok: {entries} entries were not reviewed yet")), "{told}");
}

#[test]
fn a_rule_whose_last_run_failed_is_told_with_its_reason() {
    let shop = Installation::new(FAST, QUIET, 10);
    // The application keeps its records.
    shop.sql()
        .execute_batch("CREATE TRIGGER kept BEFORE DELETE ON visitors BEGIN SELECT RAISE(ABORT, 'not now'); END")
        .unwrap();
    let accepting = shop.site_file(QUIET).replace("holds =", "accepts = [\"trigger:kept\"]\nholds =");
    shop.put("sites/shop.example.toml", &accepting);
    assert!(!shop.command(&["purge", "--yes"]).status.success());
    also_fails_for(&shop, "runs", &[AGE_RULE, "its last run failed: "]);
}

#[test]
fn a_configuration_without_sites_has_nothing_to_run() {
    let shop = Installation::new(FAST, QUIET, 10);
    fs::remove_file(shop.config().join("sites/shop.example.toml")).unwrap();
    let told = Page::of(&shop).about("next runs");
    assert!(told.starts_with("warning: none: no site is declared"), "{told}");
}

#[test]
fn who_is_not_the_daemons_user_is_told_that_the_page_may_differ() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can become somebody else");
        return;
    }
    let shop = Installation::new(FAST, QUIET, 10);
    chmod(shop.path(), 0o755);
    fs::create_dir(shop.state()).unwrap();
    chmod(&shop.state(), 0o750);
    let nobody = 65_534;
    std::os::unix::fs::chown(shop.state(), Some(nobody), Some(nobody)).unwrap();
    let mut daemon = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_forgetd")])
        .arg("--config")
        .arg(shop.config())
        .arg("run")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let page = eventually("the daemon of another user", || {
        let page = Page::of(&shop);
        page.about("daemon").starts_with("ok: it runs").then_some(page)
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(page.about("daemon").contains("user id 65534"), "{}", page.about("daemon"));
    let told = page.about("user");
    assert!(told.starts_with("warning: this page is of user id 0") && told.contains("the daemon's user"), "{told}");
}
