//! What stands in a record stands nowhere else: not in evidence, register, output or errors, whether a run succeeds or
//! fails; and what was erased cannot be read in the database's files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/installation.rs"]
mod installation;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use installation::{Installation, Ran, UNGUARDED, tree};
use rstest::rstest;

/// Stands in every cell of every record, and in no other place of an installation.
const CANARY: &str = "canary";

/// Stands only in cells that a purge must erase.
const GONE: &str = "canary-gone";

/// Stands only in cells that it must keep.
const KEPT: &str = "canary-kept";

const TABLES: &str = r#"
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "ssupp.vid"
consent = { column = "consent", given = "yes" }
children = [{ table = "pages", column = "visitor_id" }]
ACCEPTS
[store.chat.table.columns]
ip = "visit.ip-address"
city = "visit.location"
visits = "ssupp.visits"

[[store.chat.table]]
name = "logins"
key = "id"
time = { column = "at", format = "iso-8601" }
holds = "visit"
[store.chat.table.columns]
address = { category = "visit.device", steps = [{ after = "30 days", do = "erase" }] }
"#;

/// 40 visitors beyond their period, 20 within it, 3 without a usable time; a page of each long enough for overflow.
const ROWS: &str = "
    PRAGMA secure_delete = ON; -- what an application itself leaves behind is not the question
    CREATE TABLE visitors (id TEXT NOT NULL UNIQUE, last_seen, name TEXT, email TEXT, phone TEXT, ip TEXT, city TEXT,
                           visits TEXT, consent TEXT);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id TEXT, url TEXT);
    CREATE TABLE logins (id TEXT PRIMARY KEY, at TEXT, address TEXT) WITHOUT ROWID;
    CREATE INDEX visitors_email ON visitors (email);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 63),
         v(i, word, age) AS (SELECT i, CASE WHEN i <= 40 THEN 'canary-gone' ELSE 'canary-kept' END,
                                    CASE WHEN i <= 40 THEN 300 ELSE 60 END FROM n)
    INSERT INTO visitors SELECT word || '-id-' || i,
        CASE WHEN i > 60 THEN word || '-seen-' || i ELSE unixepoch() - 86400 * age - i END,
        word || '-name-' || i, word || '-email-' || i, word || '-phone-' || i,
        'canary-gone-ip-' || i, CASE WHEN i > 60 THEN word ELSE 'canary-gone' END || '-city-' || i,
        'canary-gone-visits-' || i, CASE i % 2 WHEN 0 THEN 'canary-gone-no' END FROM v;
    UPDATE visitors SET consent = NULL WHERE id LIKE 'canary-kept%';
    INSERT INTO pages (visitor_id, url)
        SELECT id, replace(hex(zeroblob(300)), '00', '/' || substr(id, 1, 11) || '-url') FROM visitors;
    INSERT INTO logins SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', 'now', CASE WHEN id LIKE 'canary-gone%' THEN '-300 days' ELSE '-60 days' END),
                              'canary-gone-address-' || id FROM visitors;
    UPDATE logins SET address = replace(address, 'canary-kept', 'canary-gone') ;
    ";

fn shop(accepts: &str) -> Installation {
    Installation::new(UNGUARDED).with_tables(&TABLES.replace("ACCEPTS", accepts)).with_database(ROWS)
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// The files below a directory in which a word stands.
fn files_with(directory: &Path, word: &str) -> Vec<String> {
    let found = tree(directory).into_iter().filter(|(_, bytes)| bytes.as_ref().is_some_and(|b| contains(b, word)));
    found.map(|(path, _)| path.strip_prefix(directory).unwrap().display().to_string()).collect()
}

/// The files of the database in which a word stands: itself, its journal, its write-ahead log.
fn database_files_with(shop: &Installation, word: &str) -> Vec<String> {
    files_with(shop.path(), word).into_iter().filter(|name| name.starts_with("chat.db")).collect()
}

fn tells_nothing(ran: &Ran, what: &[&str]) {
    assert!(
        !ran.stdout.contains(CANARY) && !ran.stderr.contains(CANARY),
        "{what:?} tells a record's contents: {ran:?}"
    );
}

/// Every command that prints something, as text and as JSON.
fn nothing_is_told(shop: &Installation) {
    let commands = [
        &["check", "--stores"][..],
        &["plan"],
        &["status"],
        &["doctor"],
        &["drift"],
        &["purge", "--dry-run"],
        &["hold", "list"],
        &["register", "show"],
        &["register", "history"],
        &["audit", "list"],
        &["audit", "show", "3"],
        &["audit", "verify"],
    ];
    for command in commands {
        tells_nothing(&shop.run(command), command);
        tells_nothing(&shop.run(&[command, &["--json"]].concat()), command);
    }
}

#[rstest]
fn what_stood_in_erased_records_stands_nowhere_afterwards(#[values("DELETE", "WAL", "TRUNCATE")] journal_mode: &str) {
    let shop = shop("");
    shop.database().pragma_update(None, "journal_mode", journal_mode).unwrap();
    assert_eq!(database_files_with(&shop, GONE), ["chat.db"], "the canaries are there before");
    for command in [&["purge", "--yes"][..], &["purge", "--yes", "--json"]] {
        let ran = shop.run(command);
        assert_eq!(ran.code, 0, "{ran:?}");
        tells_nothing(&ran, command);
    }
    nothing_is_told(&shop);
    assert_eq!(files_with(&shop.state(), CANARY), [""; 0]);
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 23);
    assert_eq!(database_files_with(&shop, GONE), [""; 0], "an erased value can still be read");
    assert_eq!(database_files_with(&shop, KEPT), ["chat.db"]);
}

#[test]
fn the_value_of_a_hold_stands_in_the_register_alone() {
    let shop = shop("");
    let held = ["hold", "add", "shop.example", "--where", "email=canary-gone-email-7", "--until", "2999-12-31"];
    let held = [&held[..], &["--reason-code", "case-7"]].concat();
    tells_nothing(&shop.run(&held), &["hold add"]);
    for command in [&["plan"][..], &["purge", "--yes"], &["hold", "lift", "4711"]] {
        tells_nothing(&shop.run(command), command);
    }
    nothing_is_told(&shop);
    assert_eq!(files_with(&shop.state(), CANARY), ["register.db"]);
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE email = 'canary-gone-email-7'"), 1);
}

#[test]
fn a_hold_on_a_column_that_is_not_there_tells_the_column_and_not_the_value() {
    let shop = shop("");
    let held = ["hold", "add", "shop.example", "--where", "e-mail=canary-gone-email-7", "--until", "2999-12-31"];
    tells_nothing(&shop.run(&[&held[..], &["--reason-code", "case-7"]].concat()), &["hold add"]);
    let ran = shop.run(&["purge", "--yes"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("table visitors has no column e-mail"), "{ran:?}");
    tells_nothing(&ran, &["purge"]);
    nothing_is_told(&shop);
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 63, "a hold that cannot be applied keeps everything");
}

/// A trigger of the application, and the rule's run that it makes fail.
#[rstest]
#[case::raised(
    "CREATE TRIGGER objection BEFORE DELETE ON visitors BEGIN SELECT raise(ABORT, 'canary ' || OLD.email); END"
)]
#[case::unique(
    "CREATE TABLE former (email TEXT UNIQUE); INSERT INTO former SELECT email FROM visitors;
     CREATE TRIGGER objection AFTER DELETE ON visitors BEGIN INSERT INTO former VALUES (OLD.email); END"
)]
#[case::check(
    "CREATE TABLE former (email TEXT CHECK (email = 'canary'));
     CREATE TRIGGER objection AFTER DELETE ON visitors BEGIN INSERT INTO former VALUES (OLD.email); END"
)]
fn a_run_that_the_database_refuses_tells_nothing_of_the_record(#[case] trigger: &str) {
    let shop = shop("accepts = [\"trigger:objection\"]").with_database(trigger);
    let ran = shop.run(&["purge", "--yes", "--json"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("\"failed\""), "{ran:?}");
    tells_nothing(&ran, &["purge"]);
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 63, "the batch was rolled back");
    nothing_is_told(&shop);
    assert_eq!(files_with(&shop.state(), CANARY), [""; 0]);
}

#[test]
fn a_locked_database_tells_nothing_of_its_records() {
    let shop = shop("");
    let application = shop.database();
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let rule = "shop.example/chat/visitors/city";
    let ran = shop.run(&["purge", rule, "--yes"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("locked by another process"), "{ran:?}");
    tells_nothing(&ran, &["purge"]);
    application.execute_batch("ROLLBACK").unwrap();
    assert_eq!(files_with(&shop.state(), CANARY), [""; 0]);
    assert_eq!(shop.run(&["purge", rule, "--yes"]).code, 0);
}

#[test]
fn a_daemon_that_tells_everything_tells_nothing_of_a_record() {
    let shop = shop("");
    let metrics = shop.path().join("forgetd.prom");
    let file = fs::read_to_string(shop.config().join("forgetd.toml")).unwrap();
    shop.write("forgetd.toml", &format!("{file}[metrics]\ntextfile = \"{}\"\n", metrics.display()));
    let mut daemon = shop.command(&["run"]);
    let daemon = daemon.env("RUST_LOG", "trace").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let daemon = daemon.spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&daemon);
    let erased = wait_for(|| shop.number("SELECT count(ip) FROM visitors") == 0);
    let offered = wait_for(|| fs::read_to_string(&metrics).is_ok_and(|page| page.contains("ip@setting")));
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ran = Ran::of(daemon.wait_with_output().unwrap());
    assert!(erased, "a setting that is off is enforced at once: {ran:?}");
    assert!(ran.stderr.contains("ip@setting"), "it tells what it does: {ran:?}");
    tells_nothing(&ran, &["run"]);
    assert!(offered && !fs::read_to_string(&metrics).unwrap().contains(CANARY));
    assert_eq!(files_with(&shop.state(), CANARY), [""; 0]);
}

fn wait_for(mut condition: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if condition() {
            return true;
        }
        sleep(Duration::from_millis(5));
    }
    false
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o777
}

/// Slow enough that somebody can look at a run under way.
const SLOW: &str = "[safety]\napproval = \"automatic\"\nmax-share = 1.0\n[pace]\nduty = 0.02\nbatch-time = \"10 ms\"\n";

#[test]
fn keys_of_a_batch_under_way_are_private_and_go_with_it() {
    let more = "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                INSERT INTO visitors (id, last_seen) SELECT 'canary-gone-id-' || i, unixepoch() - 86400 * 300 FROM n";
    let shop =
        Installation::new(SLOW).with_tables(&TABLES.replace("ACCEPTS", "")).with_database(ROWS).with_database(more);
    let mut purge = shop.command(&["purge", "--yes"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let in_flight = shop.state().join("in-flight");
    assert!(wait_for(|| in_flight.exists() && files_with(&in_flight, GONE).len() == 1), "no batch was seen under way");
    assert_eq!(mode(&in_flight), 0o700);
    for entry in fs::read_dir(&in_flight).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert_eq!(shop.run(&["stop-purges"]).code, 0);
    purge.wait().unwrap();
    assert_eq!(fs::read_dir(&in_flight).unwrap().count(), 0);
    assert_eq!(files_with(&shop.state(), CANARY), [""; 0]);
}

#[test]
fn the_state_is_private_whatever_the_umask() {
    let shop = shop("");
    let line = format!(
        "umask 000; exec '{}' --config '{}' purge --yes",
        env!("CARGO_BIN_EXE_forgetd"),
        shop.config().display()
    );
    let ran = Ran::of(Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let state = shop.state();
    for private in ["keys", "in-flight", "locks"] {
        assert_eq!(mode(&state.join(private)), 0o700, "{private}");
    }
    for secret in ["keys/audit.key", "register.db"] {
        assert_eq!(mode(&state.join(secret)), 0o600, "{secret}");
    }
    for path in tree(&state).into_keys().chain([state]) {
        assert_eq!(mode(&path) & 0o027, 0, "{} is open to others", path.display());
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let shop = shop("");
    assert_eq!(shop.run(&["stop-purges", "--lift"]).code, 0);
    let key = shop.state().join("keys/audit.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = shop.run(&["purge", "--yes"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("audit.key"), "{ran:?}");
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 63);
}
