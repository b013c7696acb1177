//! What the page says of what others see: metrics, the comparison with the stores, the kernel, the clock's keeper.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use super::daemon::eventually;
use super::faketime::{Clock, DAY};
use super::*;

fn with_metrics(shop: &Installation, key: &str, path: &Path, prefix: &str) {
    let metrics = format!("[metrics]\n{key} = \"{prefix}{}\"\n", path.display());
    shop.put("forgetd.toml", &format!("{}{metrics}", shop.daemon_file(FAST, "state")));
}

#[test]
fn an_endpoint_of_metrics_is_asked_and_what_it_answers_is_looked_at() {
    let shop = Installation::new(FAST, QUIET, 10);
    let socket = shop.path().join("metrics.sock");
    with_metrics(&shop, "listen", &socket, "unix:");
    let daemon = Daemon::start(&shop);
    let told = Page::of(&shop).about("metrics");
    assert!(told.starts_with("ok: ") && told.contains("metrics.sock answers"), "{told}");

    fs::remove_file(&socket).unwrap();
    let told = Page::of(&shop).about("metrics");
    assert!(told.starts_with("warning: ") && told.contains("does not answer"), "{told}");

    // Somebody else has the place.
    let stranger = UnixListener::bind(&socket).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = stranger.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nanother_metric 1\n").unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let page = Page::of(&shop);
    assert!(answering.join().unwrap().starts_with("GET /metrics HTTP/1.1\r\n"));
    let told = page.about("metrics");
    assert!(told.starts_with("warning: ") && told.contains("not with metrics of forgetd"), "{told}");
    // Nothing is left to erase because of it.
    assert_eq!((page.code, page.failures()), (Some(0), vec![]));
    daemon.stop();
}

#[expect(clippy::disallowed_methods, reason = "the time of a file that another process wrote")]
fn ten_minutes_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(600)
}

#[test]
fn a_file_of_metrics_that_is_not_written_any_more_is_told() {
    let shop = Installation::new(FAST, QUIET, 10);
    let file = shop.path().join("forgetd.prom");
    with_metrics(&shop, "textfile", &file, "");
    let daemon = Daemon::start(&shop);
    eventually("the file", || file.exists().then_some(()));
    let told = Page::of(&shop).about("metrics");
    assert!(told.starts_with("ok: ") && told.contains("forgetd.prom is of "), "{told}");
    // Unless the minute turns in between.
    let old = eventually("an old file", || {
        fs::File::options().write(true).open(&file).unwrap().set_modified(ten_minutes_ago()).unwrap();
        Some(Page::of(&shop).about("metrics")).filter(|told| !told.starts_with("ok: "))
    });
    assert!(old.starts_with("warning: ") && old.contains("is to be written every minute"), "{old}");
    daemon.stop();
}

#[test]
fn the_last_look_at_the_stores_is_told_with_what_it_found_and_when_it_is_long_ago() {
    let shop = Installation::new(FAST, QUIET, 10);
    assert!(shop.command(&["purge", "--yes"]).status.success());
    let told = Page::of(&shop).about("drift");
    assert!(told.starts_with("warning: nobody has looked yet"), "{told}");

    shop.sql().execute_batch("ALTER TABLE visitors ADD COLUMN email TEXT").unwrap();
    let daemon = Daemon::start(&shop);
    shop.wait_for("drift.checked", 1);
    let told = Page::of(&shop).about("drift");
    assert!(told.starts_with("warning: at ") && told.contains(" 1 undeclared-column"), "{told}");
    assert!(told.contains("`forgetd drift` says where"), "{told}");

    let clock = Clock::right();
    clock.set(3 * DAY);
    let environment = clock.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let later = Page::within(&shop, &environment);
    let told = later.about("drift");
    assert!(told.starts_with("warning: the last look whether the stores are as declared was at "), "{told}");
    // A daemon that runs writes an entry a day.
    let told = later.about("heartbeat");
    assert!(told.starts_with("failed: ") && told.contains("although the daemon runs"), "{told}");
    daemon.stop();
}

#[test]
fn stores_that_are_as_declared_are_told_with_when_that_was() {
    let shop = Installation::new(FAST, QUIET, 10);
    assert!(shop.command(&["purge", "--yes"]).status.success());
    let daemon = Daemon::start(&shop);
    let checked = shop.wait_for("drift.checked", 1);
    assert_eq!(checked["counts"], serde_json::json!({}), "{checked}");
    let told = Page::of(&shop).about("drift");
    assert!(told.starts_with("ok: none at "), "{told}");
    daemon.stop();
}

#[test]
fn how_far_the_kernel_confines_a_purge_of_files_is_told() {
    let shop = Installation::new(FAST, QUIET, 10);
    let told = Page::of(&shop).about("landlock");
    assert!(told.starts_with("ok: "), "no rule is about files: {told}");
    // As the kernel itself lists what it enforces.
    if let Ok(modules) = fs::read_to_string("/sys/kernel/security/lsm") {
        let has = modules.trim().split(',').any(|module| module == "landlock");
        assert_eq!(told.contains("full") || told.contains("in part"), has, "{modules}: {told}");
    }
}

/// The page where `timedatectl` says this, and nothing else is known of who keeps the clock.
fn with_timedatectl(says: &str) -> String {
    let shop = Installation::new(FAST, QUIET, 10);
    let script = shop.path().join("timedatectl");
    fs::write(&script, format!("#!/bin/sh\necho {says}\n")).unwrap();
    chmod(&script, 0o755);
    let path = format!("{}:/usr/bin:/bin", shop.path().display());
    Page::within(&shop, &[("PATH", &path)]).about("time synchronisation")
}

#[test]
fn a_clock_that_nobody_keeps_right_is_told() {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        let told = Page::of(&Installation::new(FAST, QUIET, 10)).about("time synchronisation");
        assert!(told.starts_with("ok: systemd-timesyncd sets the clock"), "{told}");
        return;
    }
    let told = with_timedatectl("yes");
    assert!(told.starts_with("ok: the clock is synchronised"), "{told}");
    let told = with_timedatectl("no");
    assert!(told.starts_with("warning: nobody keeps this clock right") && told.contains("chrony"), "{told}");
    let told = with_timedatectl("perhaps");
    assert!(told.starts_with("warning: it is not known"), "{told}");
}
