//! The built binary as its users see it: what each command prints, how it ends, and what it leaves alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/installation.rs"]
mod installation;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use installation::{GUARDED, Installation, Ran, UNGUARDED, forgetd};
use serde_json::{Value, json};

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
fn a_plan_tells_every_rule_its_counts_and_because_of_what() {
    let shop = shop(GUARDED);
    let ran = shop.run(&["plan"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let header = ["RULE", "ACTION", "CUTOFF", "MATCHES", "TOTAL", "UNDATABLE", "ON", "HOLD", "STATE", "PLAN"];
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), header);
    let cells: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(cells[..2], ["shop.example/chat/visitors", "erase-rows"]);
    assert_eq!(cells[3..8], ["3", "10", "0", "0", "waiting"]);
    assert!(ran.stdout.contains("shop.example/chat/visitors: `ssupp.vid` of processor smartsupp lives 6 months"));
    let approve = format!("`forgetd --config {} approve shop.example/chat/visitors --plan ", shop.config().display());
    assert!(ran.stdout.contains(&approve), "the command works as printed: {}", ran.stdout);
}

#[test]
fn a_plan_in_json_has_the_documented_keys() {
    let shop = shop(GUARDED);
    let plan = shop.json(&["plan"], 3);
    assert_eq!(plan.as_object().unwrap().keys().collect::<Vec<_>>(), ["rules"]);
    let documented =
        ["rule", "action", "because", "cutoff", "matches", "total", "undatable", "on_hold", "state", "plan"];
    for rule in plan["rules"].as_array().unwrap() {
        let keys: Vec<&String> = rule.as_object().unwrap().keys().collect();
        assert_eq!(keys[..10], documented, "{rule}");
    }
    let names: Vec<&Value> = plan["rules"].as_array().unwrap().iter().map(|rule| &rule["rule"]).collect();
    let expected = ["", "/city", "/ip@setting", "/visits@consent"];
    let mut expected = expected.map(|suffix| format!("shop.example/chat/visitors{suffix}"));
    expected.sort();
    let mut names: Vec<&str> = names.into_iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn a_plan_of_one_rule_leaves_the_others_out() {
    let shop = shop(GUARDED);
    let one = shop.json(&["plan", "shop.example/chat/visitors/city"], 3);
    assert_eq!(one["rules"].as_array().unwrap().len(), 1);
    // A prefix ends at a border of the name, never within a word.
    told(&shop.run(&["plan", "shop.example/chat/visit"]), 2, &["no rule is called `shop.example/chat/visit`"]);
}

#[test]
fn the_token_of_a_plan_approves_its_rule_and_then_the_rule_runs() {
    let shop = shop(GUARDED);
    let rule = "shop.example/chat/visitors";
    let refused = shop.run(&["purge", rule, "--yes"]);
    assert_eq!(refused.code, 3);
    assert!(refused.stdout.contains("has not been approved"), "{refused:?}");
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 10);

    let approved = shop.approve(rule);
    assert_eq!(approved.code, 0, "{approved:?}");
    assert_eq!(approved.stdout, format!("Approved: {rule}: its next run may touch 3 records.\n"));
    assert_eq!(shop.planned(rule)["state"], "ready");
    // The columns' rules were not approved with it.
    assert_eq!(shop.run(&["purge", "--yes"]).code, 3);
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 7);
    assert_eq!(shop.number("SELECT count(ip) FROM visitors"), 7);
}

#[test]
fn a_token_that_does_not_fit_is_refused_with_the_command_that_prints_another() {
    let shop = shop(GUARDED);
    let malformed = shop.run(&["approve", "shop.example/chat/visitors", "--plan", "3f2a"]);
    told(&malformed, 2, &["'3f2a'", "--plan <TOKEN>", "not a plan token", "forgetd plan RULE"]);
    let token = shop.planned("shop.example/chat/visitors/city")["plan"].as_str().unwrap().to_owned();
    let other = shop.run(&["approve", "shop.example/chat/visitors", "--plan", &token]);
    told(&other, 1, &["made for another rule", "plan shop.example/chat/visitors` again"]);
    let unknown = shop.run(&["approve", "shop.example/chat", "--plan", &token]);
    told(&unknown, 2, &["no rule is called `shop.example/chat`", "plan` lists them all"]);
}

/// One rule for each kind, with what it must match, told by a query of the application's own.
const EVERY_KIND: &str = r#"
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "ssupp.vid"
consent = { column = "consent", given = 1 }
children = [{ table = "pages", column = "visitor_id" }]
[store.chat.table.columns]
phone = "contact.phone"
city = "visit.location"
visits = "ssupp.visits"
ip = { category = "visit.ip-address", steps = [{ after = "7 days", do = "truncate" }, { after = "30 days", do = "erase" }] }

[[store.chat.table]]
name = "logins"
key = "id"
time = { column = "at", format = "iso-8601" }
holds = "contact"
[store.chat.table.columns]
address = { category = "visit.ip-address", do = "truncate" }

[[store.chat.table]]
name = "comments"
key = "id"
time = { column = "at", format = "unix-millis" }
holds = "visit"
filter = { site_id = 3 }

[[store.chat.table]]
name = "carts"
key = "id"
expires = { column = "expire_date", format = "unix-seconds" }
holds = "visit"
"#;

const EVERY_KIND_ROWS: &str = "
    CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, consent INTEGER, phone TEXT, city TEXT,
                           visits INTEGER, ip TEXT);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER);
    CREATE TABLE logins (id INTEGER PRIMARY KEY, at TEXT, address TEXT);
    CREATE TABLE comments (id INTEGER PRIMARY KEY, at INTEGER, site_id INTEGER);
    CREATE TABLE carts (id INTEGER PRIMARY KEY, expire_date INTEGER);
    INSERT INTO visitors SELECT value, unixepoch() - 86400 * value * 10, CASE value % 2 WHEN 0 THEN 1 END,
                                '+420 5' || value, 'Brno', 5, '192.0.2.' || value FROM generate(30);
    INSERT INTO pages (visitor_id) SELECT id FROM visitors UNION ALL SELECT id FROM visitors;
    INSERT INTO logins SELECT value, strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-' || (value * 100) || ' days'),
                              '198.51.100.' || value FROM generate(12);
    INSERT INTO comments SELECT value, (unixepoch() - 86400 * value * 100) * 1000, value % 4 FROM generate(12);
    INSERT INTO carts SELECT value, unixepoch() + 86400 * (value - 5) + 3600 FROM generate(12);
    ";

/// Rule, and what it must match at the moment it runs, in an order in which none is the beginning of a later one.
const EXPECTED: [(&str, &str); 10] = [
    ("visitors/phone@setting", "SELECT count(phone) FROM visitors"),
    // Ten days from one visitor to the next: 40 days are beyond 30, 190 beyond 6 months in every calendar.
    ("visitors/city", "SELECT count(city) FROM visitors WHERE id >= 4"),
    ("visitors/visits@consent", "SELECT count(visits) FROM visitors WHERE consent IS NOT 1"),
    ("visitors/ip@7-days", "SELECT count(ip) FROM visitors WHERE id >= 1"),
    ("visitors/ip@30-days", "SELECT count(ip) FROM visitors WHERE id >= 4"),
    ("visitors", "SELECT count(*) FROM visitors WHERE id >= 19"),
    ("logins/address", "SELECT count(*) FROM logins WHERE id >= 2"),
    ("logins", "SELECT count(*) FROM logins WHERE id >= 8"),
    ("comments", "SELECT count(*) FROM comments WHERE site_id = 3 AND id >= 2"),
    ("carts", "SELECT count(*) FROM carts WHERE expire_date < unixepoch()"),
];

#[test]
fn a_plan_counts_what_the_purge_then_erases_for_every_kind_of_rule() {
    let shop = Installation::new(UNGUARDED).with_database(&rows(EVERY_KIND_ROWS));
    let settings = "store-ip = true\nnot-stored = [\"contact.phone\"]";
    shop.write("sites/shop.example.toml", &shop.site(settings, EVERY_KIND));
    let rules = shop.json(&["plan"], 0)["rules"].as_array().unwrap().len();
    assert_eq!(rules, EXPECTED.len(), "every rule is looked at");
    for (rule, query) in EXPECTED {
        let rule = format!("shop.example/chat/{rule}");
        let expected = shop.number(query);
        assert!(expected > 0, "{rule}");
        let planned = shop.planned(&rule);
        assert_eq!(planned["matches"], expected, "{planned}");
        let purged = shop.json(&["purge", &rule, "--yes"], 0);
        let run = purged["runs"].as_array().unwrap().iter().find(|run| run["rule"] == rule.as_str()).unwrap();
        assert_eq!((&run["erased"], &run["left"], &run["outcome"]), (&json!(expected), &json!(0), &json!("done")));
        assert_eq!(shop.planned(&rule)["matches"], 0, "{rule}");
    }
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 18);
    assert_eq!(shop.number("SELECT count(*) FROM pages"), 36, "the pages of erased visitors went with them");
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE ip = '192.0.2.0'"), 3, "younger than 30 days: masked");
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE ip IS NULL"), 15);
    assert_eq!(shop.number("SELECT count(*) FROM comments WHERE site_id <> 3"), 9, "other sites' rows are not touched");
}

#[test]
fn a_purge_in_a_pipe_needs_yes_and_a_dry_run_erases_nothing() {
    let shop = shop(UNGUARDED);
    told(&shop.run(&["purge"]), 2, &["nobody is there to ask", "--yes", "--dry-run"]);
    assert!(!shop.state().exists());
    let before = shop.tree();
    let dry = shop.run(&["purge", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    let columns = dry.stdout.lines().nth(1).unwrap().split_whitespace().nth(3);
    assert_eq!(columns, Some("3"), "{dry:?}");
    assert!(shop.tree() == before, "a dry run changed something");
}

#[test]
fn a_purge_tells_what_went_and_what_is_left() {
    let shop = shop(UNGUARDED);
    let ran = shop.run(&["purge", "--yes"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let cells: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["RULE", "OUTCOME", "ERASED", "CHILDREN", "LEFT"]);
    assert_eq!(cells[1], ["shop.example/chat/visitors", "done", "3", "6", "0"]);
    assert_eq!(shop.number("SELECT count(*) FROM pages"), 14);
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
fn a_hold_keeps_its_rows_until_it_is_lifted() {
    let shop = shop(UNGUARDED);
    let place = ["hold", "add", "shop.example", "--where", "id=2", "--until", "2999-12-31", "--reason-code", "case-7"];
    let placed = shop.run(&place);
    assert_eq!((placed.code, placed.stdout.as_str()), (0, "Placed: hold 1 on shop.example until 2999-12-31\n"));
    let listed = shop.json(&["hold", "list"], 0);
    assert_eq!(listed["holds"][0]["reason_code"], "case-7");
    assert!(shop.run(&["hold", "list"]).stdout.contains("case-7"));
    assert_eq!(shop.planned("shop.example/chat/visitors")["on_hold"], 1);
    assert_eq!(shop.run(&["purge", "shop.example/chat/visitors", "--yes"]).code, 0);
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE id <= 3"), 1);

    assert_eq!(shop.run(&["hold", "lift", "1"]).stdout, "Lifted: hold 1\n");
    told(&shop.run(&["hold", "lift", "1"]), 2, &["no hold 1 is in force", "hold list`"]);
    assert_eq!(shop.run(&["hold", "list"]).stdout, "No holds are in force.\n");
    assert_eq!(shop.run(&["purge", "shop.example/chat/visitors", "--yes"]).code, 0);
    assert_eq!(shop.number("SELECT count(*) FROM visitors WHERE id <= 3"), 0);
}

#[test]
fn a_hold_that_cannot_be_meant_is_refused() {
    let shop = shop(GUARDED);
    let add = |more: &[&str]| shop.run(&[&["hold", "add", "shop.example"], more].concat());
    told(&add(&["--until", "2020-01-01", "--reason-code", "x"]), 2, &["--until 2020-01-01 is in the past"]);
    told(
        &add(&["--until", "tomorrow", "--reason-code", "x"]),
        2,
        &["'tomorrow'", "--until <DATE>", "such as 2026-03-01"],
    );
    told(&add(&["--until", "2999-01-01", "--reason-code", "a b"]), 2, &["'a b'", "1 to 40 letters"]);
    told(&add(&["--until", "2999-01-01", "--reason-code", "x", "--where", "id"]), 2, &["'id'", "COLUMN=VALUE"]);
    told(&add(&["--until", "2999-01-01"]), 2, &["--reason-code <CODE>"]);
    assert!(!shop.state().exists());
}

#[test]
fn stopped_purges_erase_nothing_until_they_are_let_go_on() {
    let shop = shop(UNGUARDED);
    let stopped = shop.run(&["stop-purges"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert!(stopped.stdout.starts_with("Stopped: no batch begins until "), "{stopped:?}");
    assert!(shop.state().join("stop").exists());
    let held = shop.run(&["purge", "--yes"]);
    assert_eq!(held.code, 3);
    assert!(held.stdout.contains("purges are stopped") && held.stdout.contains("stop-purges --lift`"), "{held:?}");
    assert_eq!(shop.json(&["status"], 3)["purges"], "stopped");
    assert_eq!(shop.run(&["stop-purges", "--lift"]).stdout, "Purges go on.\n");
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    assert_eq!(shop.number("SELECT count(*) FROM visitors"), 7);
}

#[test]
fn holds_and_the_stop_switch_work_while_the_configuration_is_invalid() {
    let shop = purged_shop();
    shop.write("sites/shop.example.toml", "domain = \"shop.example\"\n");
    let place = ["hold", "add", "shop.example", "--until", "2999-12-31", "--reason-code", "case-7"];
    for command in [&place[..], &["hold", "list"], &["hold", "lift", "1"], &["stop-purges"], &["stop-purges", "--lift"]]
    {
        let ran = shop.run(command);
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
    }
    let suspended = shop.run(&["plan"]);
    told(&suspended, 78, &["sites/shop.example.toml:", "the version in force is used"]);
    assert!(suspended.stdout.contains("suspended"), "{suspended:?}");
}

#[test]
fn the_register_shows_what_is_declared_and_how_it_was() {
    let shop = purged_shop();
    let items = shop.run(&["register", "show", "storage-items"]);
    assert_eq!(items.code, 0, "{items:?}");
    assert!(items.stdout.lines().any(|line| line.contains("ssupp.vid") && line.contains("6 months")), "{items:?}");
    let everything = shop.json(&["register", "show"], 0);
    assert_eq!(everything["storage_items"].as_array().unwrap().len(), 10);
    assert_eq!(everything["processors"][0]["legal_name"], "Smartsupp.com, s.r.o.");

    let before = shop.json(&["register", "show", "processors", "--as-of", "2020-01-01"], 0);
    assert_eq!(before["processors"], json!([]), "nothing was declared then");
    let later = shop.json(&["register", "show", "processors", "--as-of", "2999-01-01"], 0);
    assert_eq!(later["processors"].as_array().unwrap().len(), 1);

    let smartsupp = fs::read_to_string(shop.config().join("processors/smartsupp.toml")).unwrap();
    shop.write("processors/smartsupp.toml", &smartsupp.replace("Smartsupp.com, s.r.o.", "Smartsupp a.s."));
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
    let history = shop.json(&["register", "history", "processors"], 0);
    let versions: Vec<(&Value, bool)> = history["processors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (&version["legal_name"], version["valid_until"].is_null()))
        .collect();
    assert_eq!(versions, [(&json!("Smartsupp.com, s.r.o."), false), (&json!("Smartsupp a.s."), true)]);
    told(&shop.run(&["register", "show", "cats"]), 2, &["no table `cats`", "processors"]);
    let date = shop.run(&["register", "show", "--as-of", "2026-13-01"]);
    told(&date, 2, &["'2026-13-01'", "--as-of <DATE>", "YEAR-MONTH-DAY"]);
}

/// The kinds of the entries that a call of `audit list` selects.
fn kinds(shop: &Installation, filter: &[&str]) -> Vec<String> {
    let listed = shop.json(&[&["audit", "list"], filter].concat(), 0);
    listed["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_filter_of_the_audit_list_selects() {
    let shop = purged_shop();
    let all = kinds(&shop, &[]);
    assert_eq!(all[0], "log.created");
    assert_eq!(kinds(&shop, &["--kind", "run.finished"]), vec!["run.finished"; 4]);
    assert_eq!(kinds(&shop, &["--kind", "run"]).len(), 8, "a group is its kinds");
    assert!(kinds(&shop, &["--kind", "ru"]).is_empty());
    let city = ["run.started", "batch.prepared", "batch.committed", "run.finished"];
    assert_eq!(kinds(&shop, &["--rule", "shop.example/chat/visitors/city"]), city);
    assert_eq!(kinds(&shop, &["--site", "shop.example"]).len(), 16);
    assert!(kinds(&shop, &["--site", "other.example"]).is_empty());
    assert!(kinds(&shop, &["--until", "2020-01-01"]).is_empty());
    assert_eq!(kinds(&shop, &["--since", "2020-01-01"]), all);
    assert!(kinds(&shop, &["--since", "2999-01-01"]).is_empty());
    assert_eq!(kinds(&shop, &["--last", "2"]), all[all.len() - 2..]);
    assert_eq!(kinds(&shop, &["--kind", "run.finished", "--last", "1", "--site", "shop.example"]), ["run.finished"]);
    let text = shop.run(&["audit", "list", "--kind", "run.finished"]).stdout;
    assert_eq!(text.lines().count(), 5);
    assert!(text.lines().nth(1).unwrap().contains("erased=3 children=6 left=0"), "{text}");
}

#[test]
fn an_entry_in_json_is_exactly_its_line_of_the_log() {
    let shop = purged_shop();
    let log = fs::read_to_string(shop.state().join("audit/log.jsonl")).unwrap();
    assert_eq!(shop.run(&["audit", "show", "1", "--json"]).stdout, format!("{}\n", log.lines().nth(1).unwrap()));
    assert!(shop.run(&["audit", "show", "1"]).stdout.contains("\"kind\": \"config.applied\""));
    told(&shop.run(&["audit", "show", "4711"]), 2, &["no entry 4711", "audit list --last 10`"]);
}

#[test]
fn the_evidence_is_verified_against_a_kept_checkpoint_and_every_verdict_has_its_exit_code() {
    let shop = purged_shop();
    let audit = shop.state().join("audit");
    let kept = shop.path().join("kept");
    fs::copy(audit.join("checkpoint"), &kept).unwrap();
    assert_eq!(shop.json(&["audit", "verify"], 0)["verdict"], "self-consistent");
    assert_eq!(shop.json(&["audit", "verify", "--anchor", kept.to_str().unwrap()], 0)["verdict"], "anchored");

    let log = fs::read_to_string(audit.join("log.jsonl")).unwrap();
    let copy = shop.path().join("copy");
    let changed = |name: &str, text: &str| {
        let copy = copy.join(name);
        fs::create_dir_all(&copy).unwrap();
        for file in ["checkpoint", "forgetd.vkey"] {
            fs::copy(audit.join(file), copy.join(file)).unwrap();
        }
        fs::write(copy.join("log.jsonl"), text).unwrap();
        copy.display().to_string()
    };
    let verify = |log: &str, code: i32| shop.json(&["audit", "--log", log, "verify"], code)["verdict"].clone();
    assert_eq!(verify(&changed("same", &log), 0), "self-consistent");
    assert_eq!(verify(&changed("tampered", &log.replace("\"erased\":3", "\"erased\":2")), 4), "tampered");
    let shorter: String = log.lines().take(5).map(|line| format!("{line}\n")).collect();
    assert_eq!(verify(&changed("truncated", &shorter), 4), "truncated");
    let longer = format!("{log}{}\n", log.lines().last().unwrap().replace("\"seq\":17", "\"seq\":18"));
    assert_eq!(verify(&changed("longer", &longer), 3), "unsigned tail");
    let text = shop.run(&["audit", "verify"]).stdout;
    assert!(text.starts_with("self-consistent: ") && !text.contains("verified"), "{text}");
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
    let more = [&["register", "history"][..], &["audit", "list"], &["audit", "show", "0"], &["audit", "verify"]];
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
