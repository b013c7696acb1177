//! The metrics of a real daemon, asked for as a collector does. What they should say is known from the audit log and
//! from the shop's database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;

use daemon::{AGE_RULE, Daemon, FAST, Installation, QUIET, Rules, SETTING_RULE, Site, eventually};

/// Approvals as they are required by default.
const WITH_APPROVAL: Rules = Rules { approval: "required", duty: "1.0" };

/// Addresses are no longer stored: a rule that is due at once.
const WITHOUT_ADDRESSES: Site = Site { store_ip: false, ..QUIET };

fn socket(shop: &Installation) -> PathBuf {
    shop.path().join("metrics.sock")
}

/// Switches metrics on.
fn with_metrics(shop: &Installation, rules: Rules, keys: &str) {
    shop.put("forgetd.toml", &format!("{}[metrics]\n{keys}\n", shop.daemon_file(rules, "state")));
}

/// A shop whose daemon offers metrics at a Unix socket.
fn observed(rules: Rules, site: Site) -> (Installation, Daemon) {
    let shop = Installation::new(rules, site, 10);
    with_metrics(&shop, rules, &format!("listen = \"unix:{}\"", socket(&shop).display()));
    let daemon = Daemon::start(&shop);
    (shop, daemon)
}

/// What is answered to these bytes.
fn asked(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    body
}

fn page(shop: &Installation) -> String {
    let mut stream = UnixStream::connect(socket(shop)).unwrap();
    body(&asked(&mut stream, GET)).to_owned()
}

/// The value of one sample, as it is written before the value.
fn value(page: &str, sample: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')).map(|value| value.parse().unwrap())
}

fn of_rule(page: &str, name: &str, rule: &str) -> Option<f64> {
    value(page, &format!("forgetd_rule_{name}{{rule=\"{rule}\",site=\"shop.example\"}}"))
}

/// Waits for a sample to have a value.
fn wait_for(shop: &Installation, sample: &str, wanted: f64) {
    eventually(&format!("{sample} {wanted}"), || (value(&page(shop), sample) == Some(wanted)).then_some(()));
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn seconds(entry: &serde_json::Value) -> f64 {
    let at: Timestamp = entry["time"].as_str().unwrap().parse().unwrap();
    at.as_microsecond() as f64 / 1e6
}

fn near(found: Option<f64>, wanted: f64) -> bool {
    found.is_some_and(|found| (found - wanted).abs() < 0.01)
}

/// What Prometheus itself has to say of a page.
fn assert_promtool_finds_nothing(page: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = promtool.spawn().expect("promtool of the package prometheus is there");
    running.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

#[test]
fn a_run_is_told_as_the_log_and_the_database_have_it() {
    let (shop, daemon) = observed(FAST, WITHOUT_ADDRESSES);
    let finished = shop.wait_for("run.finished", 1);
    eventually("the run", || of_rule(&page(&shop), "last_success_timestamp_seconds", SETTING_RULE));
    let page = page(&shop);
    assert_promtool_finds_nothing(&page);
    assert!(near(of_rule(&page, "last_success_timestamp_seconds", SETTING_RULE), seconds(&finished)), "{page}");
    let started = shop.entries_of("run.started").pop().unwrap();
    let took = seconds(&finished) - seconds(&started);
    assert!(near(of_rule(&page, "last_run_duration_seconds", SETTING_RULE), took), "{took}: {page}");
    for (name, wanted) in [
        ("erased_records_total", 10.0),
        ("overdue_records", 0.0),
        ("last_run_failed", 0.0),
        ("held", 0.0),
        ("waiting", 0.0),
        ("suspended", 0.0),
    ] {
        assert_eq!(of_rule(&page, name, SETTING_RULE), Some(wanted), "{name}: {page}");
    }
    assert_eq!(of_rule(&page, "oldest_expired_timestamp_seconds", SETTING_RULE), None);
    // The schedule's next time after the run is the new year.
    let due = of_rule(&page, "due_timestamp_seconds", SETTING_RULE).unwrap();
    assert!(due > seconds(&finished) && due % 3600.0 == 0.0, "{due}");
    // The other rule has not run, and is not due before the new year either.
    assert_eq!(of_rule(&page, "last_success_timestamp_seconds", AGE_RULE), None);
    assert_eq!(of_rule(&page, "erased_records_total", AGE_RULE), Some(0.0));
    assert_eq!(value(&page, "forgetd_configuration_valid"), Some(1.0));
    assert_eq!(value(&page, "forgetd_purges_stopped"), Some(0.0));
    assert_eq!(value(&page, &format!("forgetd_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), Some(1.0));
    // A run by hand counts too.
    assert!(shop.command(&["purge", AGE_RULE, "--yes"]).status.success());
    wait_for(&shop, &format!("forgetd_rule_erased_records_total{{rule=\"{AGE_RULE}\",site=\"shop.example\"}}"), 5.0);
    daemon.stop();
    assert!(!socket(&shop).exists(), "the socket goes with the daemon");
}

/// The page, and the entries of the log that it speaks of: the daemon may write one at any time.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn page_and_entries(shop: &Installation, kind: &str) -> (String, Vec<serde_json::Value>) {
    eventually(&format!("a page since {kind}"), || {
        let (page, entries) = (page(shop), shop.entries());
        let is_of_them = value(&page, "forgetd_audit_entries") == Some(entries.len() as f64);
        (is_of_them && entries.iter().any(|entry| entry["kind"] == kind)).then_some((page, entries))
    })
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn the_log_is_counted_and_a_review_brings_what_is_unreviewed_down() {
    let (shop, daemon) = observed(FAST, QUIET);
    let (page, entries) = page_and_entries(&shop, "daemon.started");
    assert_eq!(value(&page, "forgetd_audit_unreviewed_entries"), Some(entries.len() as f64));
    assert!(near(value(&page, "forgetd_audit_unreviewed_since_timestamp_seconds"), seconds(&entries[0])), "{page}");
    assert!(shop.command(&["audit", "review", "--through", "0", "--note", "seen"]).status.success());
    let (page, entries) = page_and_entries(&shop, "log.reviewed");
    // The first was reviewed, and the review is nothing that would have to be.
    assert_eq!(value(&page, "forgetd_audit_unreviewed_entries"), Some((entries.len() - 2) as f64));
    assert!(near(value(&page, "forgetd_audit_unreviewed_since_timestamp_seconds"), seconds(&entries[1])), "{page}");
    assert!(
        near(value(&page, "forgetd_audit_last_entry_timestamp_seconds"), seconds(entries.last().unwrap())),
        "{page}"
    );
    daemon.stop();
}

#[test]
fn a_rule_that_nobody_approved_waits_until_somebody_does() {
    let (shop, daemon) = observed(WITH_APPROVAL, QUIET);
    let waiting = format!("forgetd_rule_waiting{{rule=\"{AGE_RULE}\",site=\"shop.example\"}}");
    wait_for(&shop, &waiting, 1.0);
    let plan = shop.json(&["plan", AGE_RULE]);
    let token = plan["rules"][0]["plan"].as_str().unwrap().to_owned();
    assert!(shop.command(&["approve", AGE_RULE, "--plan", &token]).status.success());
    wait_for(&shop, &waiting, 0.0);
    daemon.stop();
}

#[test]
fn a_held_rule_tells_how_many_records_are_overdue_and_how_old_the_oldest_is() {
    let shop = Installation::new(FAST, WITHOUT_ADDRESSES, 10);
    // The oldest of the five that are older than two years; a hold on the rule keeps it.
    let hold = ["hold", "add", "shop.example", "--until", "2099-12-31", "--reason-code", "case-1"];
    assert!(shop.command(&hold).status.success());
    let listen = format!("listen = \"unix:{}\"", socket(&shop).display());
    with_metrics(&shop, FAST, &listen);
    let purged = shop.command(&["purge", AGE_RULE, "--yes"]);
    assert!(!purged.status.success());
    let daemon = Daemon::start(&shop);
    wait_for(&shop, &format!("forgetd_rule_held{{rule=\"{AGE_RULE}\",site=\"shop.example\"}}"), 1.0);
    let page = page(&shop);
    // Expired for nineteen months, and due every new year.
    assert_eq!(of_rule(&page, "overdue_records", AGE_RULE), Some(5.0), "{page}");
    let oldest = rusqlite::Connection::open(shop.path().join("chat.db"))
        .unwrap()
        .query_row("SELECT min(last_seen) FROM visitors", [], |row| row.get::<_, f64>(0))
        .unwrap();
    assert_eq!(of_rule(&page, "oldest_expired_timestamp_seconds", AGE_RULE), Some(oldest), "{page}");
    assert_promtool_finds_nothing(&page);
    daemon.stop();
}

#[test]
fn an_invalid_configuration_and_the_stop_switch_are_told() {
    let (shop, daemon) = observed(FAST, QUIET);
    shop.set_site(Site { visit: "for ever", ..QUIET });
    wait_for(&shop, "forgetd_configuration_valid", 0.0);
    wait_for(&shop, &format!("forgetd_rule_suspended{{rule=\"{AGE_RULE}\",site=\"shop.example\"}}"), 1.0);
    assert!(shop.command(&["stop-purges"]).status.success());
    wait_for(&shop, "forgetd_purges_stopped", 1.0);
    shop.set_site(QUIET);
    wait_for(&shop, "forgetd_configuration_valid", 1.0);
    daemon.stop();
}

#[test]
fn no_store_is_opened_for_them() {
    let (shop, daemon) = observed(FAST, WITHOUT_ADDRESSES);
    shop.wait_for("run.finished", 1);
    let sample = format!("forgetd_rule_erased_records_total{{rule=\"{SETTING_RULE}\",site=\"shop.example\"}}");
    wait_for(&shop, &sample, 10.0);
    // Whoever opened it would wait for ever.
    fs::remove_file(shop.path().join("chat.db")).unwrap();
    assert!(Command::new("mkfifo").arg(shop.path().join("chat.db")).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(value(&page(&shop), &sample), Some(10.0));
    daemon.stop();
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn they_are_offered_at_a_port_of_this_machine_where_that_is_wanted_and_a_change_is_followed() {
    let shop = Installation::new(FAST, QUIET, 10);
    let port = free_port();
    with_metrics(&shop, FAST, &format!("listen = \"127.0.0.1:{port}\""));
    let daemon = Daemon::start(&shop);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(body(&asked(&mut stream, GET)).contains("forgetd_configuration_valid 1"));
    with_metrics(&shop, FAST, &format!("listen = \"unix:{}\"", socket(&shop).display()));
    eventually("the socket", || socket(&shop).exists().then_some(()));
    assert!(page(&shop).contains("forgetd_configuration_valid 1"));
    eventually("the port is closed", || TcpStream::connect(("127.0.0.1", port)).err());
    shop.set_rules(FAST);
    eventually("nothing is offered", || (!socket(&shop).exists()).then_some(()));
    daemon.stop();
}

#[test]
fn other_requests_are_refused() {
    let (shop, daemon) = observed(FAST, QUIET);
    let answered = |request: &str| asked(&mut UnixStream::connect(socket(&shop)).unwrap(), request);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("GET /metrics/../x HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("\u{1}\u{2}\r\n\r\n", "400 Bad Request"),
        ("GET /metrics SSH-2.0\r\n\r\n", "400 Bad Request"),
    ] {
        let answer = answered(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {answer}");
    }
    assert!(body(&answered("GET /metrics?x=1 HTTP/1.0\r\nX: y\r\n\r\n")).contains("forgetd_build_info"));
    let mut endless = UnixStream::connect(socket(&shop)).unwrap();
    let mut refused = String::new();
    // The daemon may close while this is still being written.
    let _ = endless.write_all(format!("GET /metrics HTTP/1.1\r\nX: {}", "y".repeat(9_000)).as_bytes());
    let _ = endless.read_to_string(&mut refused);
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");
    assert!(page(&shop).contains("forgetd_build_info"));
    daemon.stop();
}

#[test]
fn clients_that_say_nothing_delay_neither_the_daemon_nor_for_long_each_other() {
    let (shop, daemon) = observed(FAST, QUIET);
    // As many as there is room for, and more: those are turned away.
    let silent: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(socket(&shop)).unwrap()).collect();
    let mut turned_away = UnixStream::connect(socket(&shop)).unwrap();
    let mut nothing = Vec::new();
    // Closed with what it sent unread, it may be reset.
    let _ = turned_away.write_all(GET.as_bytes());
    let _ = turned_away.read_to_end(&mut nothing);
    assert!(nothing.is_empty(), "{}", String::from_utf8_lossy(&nothing));
    shop.set_site(Site { visit: "7 months", ..QUIET });
    shop.wait_for("config.applied", 2);
    // The silent ones are given up after ten seconds.
    let get = || {
        let mut stream = UnixStream::connect(socket(&shop)).ok()?;
        let mut answer = String::new();
        stream.write_all(GET.as_bytes()).and_then(|()| stream.read_to_string(&mut answer)).ok()?;
        answer.contains("forgetd_build_info").then_some(())
    };
    eventually("an answer", get);
    drop(silent);
    daemon.stop();
}

#[test]
fn the_socket_of_a_daemon_that_was_killed_is_replaced_and_nobody_elses_file_is() {
    let (shop, daemon) = observed(FAST, QUIET);
    drop(daemon);
    assert!(socket(&shop).exists(), "it was killed");
    let daemon = Daemon::start(&shop);
    assert!(page(&shop).contains("forgetd_build_info"));
    let mode = fs::metadata(socket(&shop)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660, "the daemon's user and group may ask");
    daemon.stop();

    fs::write(socket(&shop), "somebody's").unwrap();
    let daemon = Daemon::start(&shop);
    assert!(daemon.said("metrics are not offered"), "{}", daemon.log());
    assert_eq!(fs::read_to_string(socket(&shop)).unwrap(), "somebody's");
    daemon.stop();

    fs::remove_file(socket(&shop)).unwrap();
    let other = UnixListener::bind(socket(&shop)).unwrap();
    let daemon = Daemon::start(&shop);
    assert!(daemon.said("metrics are not offered"), "{}", daemon.log());
    drop(other);
    daemon.stop();
}

fn read_if_there(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[test]
fn the_file_for_the_node_exporter_is_whole_and_readable_by_others_and_follows_what_happens() {
    let shop = Installation::new(FAST, QUIET, 10);
    let file = shop.path().join("forgetd.prom");
    with_metrics(&shop, FAST, &format!("textfile = \"{}\"", file.display()));
    let daemon = Daemon::start(&shop);
    let first = eventually("the file", || read_if_there(&file));
    assert_promtool_finds_nothing(&first);
    assert!(first.ends_with('\n') && first.contains("forgetd_build_info"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    shop.set_site(Site { visit: "for ever", ..QUIET });
    eventually("the change", || read_if_there(&file)?.contains("forgetd_configuration_valid 0").then_some(()));
    let left: Vec<_> = fs::read_dir(shop.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
    shop.set_site(QUIET);
    shop.set_rules(FAST);
    eventually("where it is not wanted any more it goes", || (!file.exists()).then_some(()));
    daemon.stop();
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_the_daemon_goes_on() {
    let shop = Installation::new(FAST, WITHOUT_ADDRESSES, 10);
    with_metrics(&shop, FAST, "textfile = \"/nowhere/forgetd.prom\"");
    let daemon = Daemon::start(&shop);
    eventually("the complaint", || daemon.said("metrics are not written").then_some(()));
    assert_eq!(shop.wait_for("run.finished", 1)["outcome"], "done");
    daemon.stop();
}
