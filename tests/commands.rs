//! The built binary as its users see it: what each command prints, how it ends, and what it leaves alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "commands/evidence.rs"]
mod evidence;
#[path = "commands/holds.rs"]
mod holds;
#[path = "support/installation.rs"]
mod installation;
#[path = "commands/plan.rs"]
mod plan;
#[path = "commands/proofs.rs"]
mod proofs;
#[path = "commands/restored.rs"]
mod restored;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use installation::{GUARDED, Installation, Ran, UNGUARDED, forgetd};
use serde_json::json;

/// One visitor table with every kind of rule that needs nothing else of it.
const VISITORS: &str = r#"
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "ssupp.vid"
consent = { column = "consent", given = 1 }
children = [{ table = "pages", column = "visitor_id" }]
[store.chat.table.columns]
ip = "visit.ip-address"
city = "visit.location"
visits = "ssupp.visits"
"#;

/// Ten visitors, one for each of these ages in days; the odd ones gave no consent. Two pages each.
const VISITOR_ROWS: &str = "
    CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, consent INTEGER, ip TEXT, city TEXT, visits INTEGER);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER, url TEXT);
    INSERT INTO visitors
        SELECT value, unixepoch() - 86400 * (CASE WHEN value <= 3 THEN 300 WHEN value <= 7 THEN 60 ELSE 2 END),
               CASE value % 2 WHEN 0 THEN 1 END, '192.0.2.' || value, 'Brno', 5
        FROM generate(10);
    INSERT INTO pages (visitor_id, url) SELECT id, '/' FROM visitors UNION ALL SELECT id, '/cart' FROM visitors;
    ";

/// `generate(N)` as the numbers 1 to N.
fn rows(sql: &str) -> String {
    let numbers = |n: &str| {
        format!(
            "(WITH RECURSIVE g(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g WHERE value < {n}) SELECT value FROM g)"
        )
    };
    let mut text = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("generate(") {
        let (n, behind) = after.split_once(')').unwrap();
        text.extend([before, &numbers(n)]);
        rest = behind;
    }
    text + rest
}

fn shop(daemon: &str) -> Installation {
    Installation::new(daemon).with_tables(VISITORS).with_database(&rows(VISITOR_ROWS))
}

/// A shop whose every rule is approved and has run.
fn purged_shop() -> Installation {
    let shop = shop(UNGUARDED);
    let ran = shop.run(&["purge", "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    shop
}

fn has_escapes(text: &str) -> bool {
    text.contains('\u{1b}') || text.contains('\r')
}

/// Asserts that one command said all of it on standard error and ended so.
fn told(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
    }
}

#[test]
fn a_valid_configuration_is_told_with_its_next_three_runs() {
    let shop = shop(GUARDED);
    let ran = shop.run(&["check"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "The configuration is valid: 1 site.");
    assert!(lines[1].starts_with("  shop.example: 4 rules, next runs "), "{lines:?}");
    assert_eq!(lines[1].matches("T0").count(), 3, "{lines:?}");
    assert!(lines[1].ends_with("(`30 3 * * *` in Europe/Prague)"), "{lines:?}");

    let checked = shop.json(&["check"], 0);
    assert_eq!(checked["valid"], true);
    assert_eq!(checked["sites"][0]["next_runs"].as_array().unwrap().len(), 3);
}

#[test]
fn a_check_of_the_stores_says_what_is_missing_and_what_to_do() {
    let shop = shop(GUARDED);
    assert_eq!(shop.run(&["check", "--stores"]).code, 0);
    shop.database().execute_batch("DROP TABLE pages").unwrap();
    let ran = shop.run(&["check", "--stores"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("refused: shop.example/chat/visitors: ") && ran.stdout.contains("pages"), "{ran:?}");
    assert_eq!(shop.json(&["check", "--stores"], 3)["stores"][0]["severity"], "refused");
}

#[test]
fn five_mistakes_are_five_problems_with_the_place_of_each() {
    let shop = shop(GUARDED);
    let mistakes = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad-config/five-mistakes.toml");
    shop.write("sites/shop.example.toml", &fs::read_to_string(mistakes).unwrap());
    let file = shop.config().join("sites/shop.example.toml");
    let places =
        ["3:13: unknown time zone", "7:1: unknown key", "14:9: `6m`", "18:8: string", "24:9: unknown category"];
    for command in [&["check"][..], &["plan"], &["purge", "--yes"], &["status"], &["register", "show"]] {
        let ran = shop.run(command);
        let expected = places.map(|place| format!("{}:{place}", file.display()));
        told(&ran, 78, &expected.each_ref().map(String::as_str));
        assert_eq!(ran.stderr.matches("= hint: ").count(), 5, "{ran:?}");
        assert!(!shop.state().exists(), "{command:?} left a state");
    }
    let checked = shop.json(&["check"], 78);
    assert_eq!((&checked["valid"], checked["problems"].as_array().unwrap().len()), (&json!(false), 5));
}

#[test]
fn a_status_tells_the_last_run_and_the_next() {
    let shop = purged_shop();
    let ran = shop.run(&["status"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("Daemon: not running. Purges: allowed.\nAudit log: self-consistent; "), "{ran:?}");
    let status = shop.json(&["status"], 0);
    assert_eq!((&status["daemon"], &status["purges"]), (&json!("not running"), &json!("allowed")));
    let rule = &status["rules"][0];
    assert_eq!((&rule["state"], &rule["last_run"]["erased"]), (&json!("ready"), &json!(3)));
    assert!(rule["next_due"].is_string() && rule["overdue"] == false, "{rule}");
}

#[test]
fn commands_that_read_write_nothing_and_need_no_state() {
    let readers = [
        &["check"][..],
        &["check", "--stores"],
        &["plan"],
        &["plan", "--json"],
        &["purge", "--dry-run"],
        &["status"],
        &["status", "--json"],
        &["register", "show"],
        &["hold", "list"],
    ];
    let fresh = shop(UNGUARDED);
    let before = fresh.tree();
    for command in readers {
        let ran = fresh.run(command);
        // What no run has erased yet is overdue, and a status says so.
        let expected = if command.contains(&"status") { 3 } else { 0 };
        assert_eq!(ran.code, expected, "{command:?}: {ran:?}");
        assert!(fresh.tree() == before, "{command:?} changed something");
    }
    told(&fresh.run(&["audit", "list"]), 1, &["there is no audit log", "--log DIR"]);
    told(&fresh.run(&["register", "history"]), 1, &["there is no register yet"]);
    assert!(fresh.tree() == before);

    let used = purged_shop();
    let before = used.tree();
    let more = [
        &["register", "history"][..],
        &["audit", "list"],
        &["audit", "show", "0"],
        &["audit", "verify"],
        &["audit", "anchor"],
        &["audit", "prove", "0"],
    ];
    for command in readers.iter().chain(&more) {
        let ran = used.run(command);
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
        assert!(used.tree() == before, "{command:?} changed something");
    }
}

#[test]
fn every_result_in_a_pipe_is_plain_and_in_json_it_parses() {
    let shop = purged_shop();
    let readers = [
        &["check", "--stores"][..],
        &["plan"],
        &["status"],
        &["hold", "list"],
        &["register", "show"],
        &["register", "history"],
        &["audit", "list"],
        &["audit", "show", "0"],
        &["audit", "verify"],
        &["audit", "anchor"],
        &["audit", "prove", "0"],
        &["purge", "--yes"],
        &["stop-purges", "--lift"],
    ];
    for command in readers {
        let ran = shop.run(command);
        assert!(!has_escapes(&ran.stdout) && !has_escapes(&ran.stderr), "{command:?}: {ran:?}");
        assert!(ran.stdout.lines().all(|line| line == line.trim_end()), "{command:?}: {ran:?}");
        let json = shop.json(command, 0);
        assert!(json.is_object(), "{command:?}");
    }
    let twice = [shop.run(&["audit", "list"]), shop.run(&["audit", "list"])];
    assert_eq!(twice[0].stdout, twice[1].stdout);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let shop = purged_shop();
    for command in [&["plan"][..], &["status", "--json"], &["audit", "list"], &["completions", "bash"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = shop.command(command).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let ran = Ran::of(ran);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command:?}");
    }
}

#[test]
fn what_is_missing_or_not_readable_is_told_with_its_place() {
    let shop = shop(GUARDED);
    let nowhere = shop.path().join("nowhere");
    let ran = Ran::of(forgetd().arg("--config").arg(&nowhere).arg("plan").output().unwrap());
    told(&ran, 78, &[&format!("{}:1:1: cannot be read", nowhere.display()), "name the directory with `--config DIR`"]);

    std::os::unix::fs::symlink("/nonexistent", shop.config().join("sites/gone.toml")).unwrap();
    told(&shop.run(&["check"]), 78, &["sites/gone.toml:1:1: cannot be read"]);
    fs::remove_file(shop.config().join("sites/gone.toml")).unwrap();

    let site = shop.config().join("sites/shop.example.toml");
    fs::set_permissions(&site, fs::Permissions::from_mode(0o666)).unwrap();
    told(&shop.run(&["check"]), 78, &["sites/shop.example.toml:1:1: ", "chmod"]);
    fs::set_permissions(&site, fs::Permissions::from_mode(0o644)).unwrap();

    fs::remove_file(shop.database_path()).unwrap();
    let ran = shop.run(&["plan"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains(&shop.database_path().display().to_string()), "{ran:?}");
}

#[test]
fn a_terminal_shows_headings_and_colour_and_no_name_or_token_is_broken() {
    let shop = shop(GUARDED);
    for columns in [200, 80] {
        let ran = shop.on_a_terminal(columns, &["plan"], "");
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stdout.contains("\u{1b}[1m") && ran.stdout.contains("\u{1b}[33mwaiting"), "{ran:?}");
        let token = shop.planned("shop.example/chat/visitors/visits@consent")["plan"].as_str().unwrap().to_owned();
        let digest = token.split('-').next().unwrap();
        let shown = ran.stdout.lines().filter(|line| line.contains(digest)).count();
        assert_eq!(shown, 2, "once in the table, once in the command: {ran:?}");
    }
    let mut plain = shop.command(&["plan"]);
    let plain = plain.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
    assert!(!has_escapes(&Ran::of(plain).stdout), "NO_COLOR is honoured");
}

#[test]
fn who_watches_sees_which_store_is_being_looked_at_and_nobody_else_does() {
    let shop = shop(GUARDED);
    let rules = shop.json(&["plan"], 3)["rules"].as_array().unwrap().len();
    for command in [&["plan"][..], &["status"], &["drift"], &["check", "--stores"], &["doctor"]] {
        let ran = shop.on_a_terminal(200, command, "");
        let place = if command == ["drift"] { "chat.db" } else { "shop.example/chat/visitors" };
        let shown = ran.stdout.split('\r').find(|shown| shown.contains(" 1 of ")).unwrap_or_else(|| panic!("{ran:?}"));
        assert!(shown.contains(place), "{shown}");
        // The comparison looks at stores, too, and not only at what rules are about.
        assert!(command == ["drift"] || shown.contains(&format!(" 1 of {rules}: ")), "{shown}");
        let piped = shop.run(command);
        assert!(piped.stderr.is_empty() && !piped.stdout.contains(" 1 of "), "{piped:?}");
    }
}

#[test]
fn a_person_is_asked_before_anything_is_erased() {
    let shop = shop(UNGUARDED);
    let no = shop.on_a_terminal(100, &["purge", "shop.example/chat/visitors"], "n\n");
    assert_eq!(no.code, 1, "{no:?}");
    assert!(no.stdout.contains("[y/N]") && no.stdout.contains("nothing was erased"), "{no:?}");
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 10);
    assert!(!shop.state().exists());

    let yes = shop.on_a_terminal(100, &["purge", "shop.example/chat/visitors"], "y\n");
    assert_eq!(yes.code, 0, "{yes:?}");
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 7);
}
