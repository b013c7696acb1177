//! `forgetd drift`: each disagreement made real, with the built binary on real stores, and what is said of it. Values
//! of records are said nowhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "drift/covered.rs"]
mod covered;
#[path = "drift/daily.rs"]
mod daily;
#[path = "support/database.rs"]
mod database;
#[path = "drift/files.rs"]
mod files;
#[path = "support/installation.rs"]
mod installation;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "drift/personal.rs"]
mod personal;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "drift/servers.rs"]
mod servers;

use installation::{GUARDED, Installation, UNGUARDED};
use rstest::rstest;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Every column of the table is spoken of.
const VISITORS: &str = r#"
[[store.chat.table]]
name = "visitors"
key = "id"
time = { column = "last_seen", format = "unix-seconds" }
holds = "visit"
children = [{ table = "pages", column = "visitor_id" }]
[store.chat.table.columns]
ip = "visit.ip-address"
email = "contact.email"
"#;

/// Four visitors of yesterday, none of whom has an address.
const ROWS: &str = "
    CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, ip TEXT, email TEXT, colour TEXT);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER, path TEXT);
    INSERT INTO visitors SELECT value, unixepoch() - 86400, NULL, 'canary-' || value || '@shop.example', 'blue'
        FROM json_each('[1, 2, 3, 4]');
    INSERT INTO pages (visitor_id, path) SELECT id, '/' FROM visitors;
    ";

const RULE: &str = "shop.example/chat/visitors";
const IP_RULE: &str = "shop.example/chat/visitors/ip@setting";

/// A shop in which everything is as it should be: its rules have just run.
fn shop() -> Installation {
    shop_with("")
}

/// The same, with the result of these statements in its database when its rules ran.
fn shop_with(sql: &str) -> Installation {
    let shop = Installation::new(UNGUARDED).with_tables(VISITORS).with_database(ROWS).with_database(sql);
    let ran = shop.run(&["purge", "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    shop
}

fn drift(shop: &Installation, code: i32) -> Value {
    shop.json(&["drift"], code)
}

/// Kind, place and number of records of every finding.
fn findings(drift: &Value) -> Vec<(String, String, Option<u64>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let finding = |found: &Value| (text(&found["kind"]), text(&found["place"]), found["records"].as_u64());
    drift["findings"].as_array().unwrap().iter().map(finding).collect()
}

fn found(kind: &str, place: &str, records: impl Into<Option<u64>>) -> (String, String, Option<u64>) {
    (kind.to_owned(), place.to_owned(), records.into())
}

/// What drift says of one rule.
fn of_rule<'a>(drift: &'a Value, rule: &str) -> &'a Value {
    drift["rules"].as_array().unwrap().iter().find(|told| told["rule"] == rule).unwrap()
}

/// The register, as if somebody had waited.
fn register(shop: &Installation, sql: &str) {
    Connection::open(shop.state().join("register.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_shop_in_which_everything_is_as_declared_has_no_drift() {
    let shop = shop();
    let ran = shop.run(&["drift"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let last = ran.stdout.lines().last().unwrap();
    assert_eq!(last, "What is declared is what is enforced, and the stores agree with it.");
    let drift = drift(&shop, 0);
    assert_eq!((&drift["ok"], findings(&drift)), (&json!(true), vec![]));
    assert_eq!(of_rule(&drift, RULE)["answer"], "ok");
    assert_eq!(drift["stores"], json!([{"store": "shop.example/chat", "kind": "sqlite", "answer": "ok", "tables": 2}]));
}

#[test]
fn the_keys_of_the_json_are_those_that_are_documented() {
    let shop = shop_with("ALTER TABLE visitors ADD COLUMN phone TEXT");
    let drift = drift(&shop, 3);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(drift["form"], 1);
    assert_eq!(keys(&drift), "form checked ok rules stores findings counts notes accepted");
    assert_eq!(keys(&drift["rules"][0]), "rule answer records matches overdue oldest undatable on_hold last_success");
    assert_eq!(keys(&drift["stores"][0]), "store kind answer tables");
    assert_eq!(keys(&drift["findings"][0]), "kind place records oldest columns text");
    assert_eq!(drift["findings"][0]["columns"], json!([{"column": "phone", "looks_like": "phone", "by": "name"}]));
    assert_eq!(drift["counts"], json!({"undeclared-column": 1}));
}

#[test]
fn nothing_is_changed_by_looking_and_no_register_is_needed() {
    let shop = shop();
    let before = shop.tree();
    drift(&shop, 0);
    let after = shop.tree();
    // What SQLite keeps beside a database while it is read goes when it is closed.
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after, "a file was changed");

    let fresh = Installation::new(UNGUARDED).with_tables(VISITORS).with_database(ROWS);
    let never = drift(&fresh, 3);
    assert_eq!(findings(&never), [found("never-run", RULE, None), found("never-run", IP_RULE, None)]);
    assert!(!fresh.state().exists());
}

#[test]
fn records_that_should_have_gone_are_overdue_with_the_age_of_the_oldest() {
    let shop = shop()
        .with_database("INSERT INTO visitors (last_seen) VALUES (unixepoch('2024-03-01')), (unixepoch('2024-02-01'))");
    let drift = drift(&shop, 3);
    assert_eq!(findings(&drift), [found("overdue", RULE, 2)]);
    assert_eq!(drift["findings"][0]["oldest"], "2024-02-01T00:00:00Z");
    let rule = of_rule(&drift, RULE);
    assert_eq!((&rule["answer"], &rule["overdue"], &rule["matches"]), (&json!("overdue"), &json!(2), &json!(2)));
    let told = shop.run(&["drift"]);
    assert!(
        told.stdout
            .contains("overdue: shop.example/chat/visitors: 2 records are overdue, the oldest of 2024-02-01T00:00:00Z")
    );
    assert_eq!(told.code, 3);
}

#[test]
fn a_column_that_is_not_stored_and_holds_values_is_told() {
    let shop = shop().with_database("UPDATE visitors SET ip = '192.0.2.7' WHERE id < 4");
    let drift = drift(&shop, 3);
    assert_eq!(findings(&drift), [found("not-stored", IP_RULE, 3)]);
    assert!(drift["findings"][0]["text"].as_str().unwrap().contains("`store-ip` is off by default"), "{drift}");
}

#[test]
fn a_rule_that_did_not_run_in_time_is_stale() {
    let shop = shop();
    register(&shop, "UPDATE runs SET started_at = '2026-01-01T00:00:00.000000Z' WHERE rule LIKE '%visitors'");
    assert_eq!(findings(&drift(&shop, 3)), [found("stale", RULE, None)]);
    // A run that did not end well is none.
    register(&shop, "UPDATE runs SET outcome = 'failed' WHERE rule LIKE '%visitors'");
    assert_eq!(findings(&drift(&shop, 3)), [found("never-run", RULE, None)]);
}

#[test]
fn records_that_cannot_be_judged_are_counted() {
    let shop = shop().with_database("INSERT INTO visitors (last_seen) VALUES (NULL), ('yesterday'), (0)");
    assert_eq!(findings(&drift(&shop, 3)), [found("undatable", RULE, 3)]);
}

#[test]
fn a_rule_that_waits_or_is_stopped_is_declared_and_not_enforced() {
    let waiting = Installation::new(GUARDED).with_tables(VISITORS).with_database(ROWS);
    let drift_of_waiting = drift(&waiting, 3);
    assert_eq!(drift_of_waiting["counts"], json!({"not-enforced": 2, "never-run": 2}));
    assert!(of_rule(&drift_of_waiting, RULE)["answer"] == "not-enforced, never-run");

    let stopped = shop();
    assert_eq!(stopped.run(&["stop-purges"]).code, 0);
    let found = drift(&stopped, 3);
    assert_eq!(found["counts"], json!({"not-enforced": 2}));
    assert!(found["findings"][0]["text"].as_str().unwrap().contains("purges are stopped"), "{found}");
}

#[test]
fn what_a_hold_keeps_is_no_drift() {
    let shop = shop().with_database("INSERT INTO visitors (last_seen) VALUES (unixepoch('2024-03-01'))");
    let hold = ["hold", "add", "shop.example", "--until", "2999-12-31", "--reason-code", "case-7"];
    assert_eq!(shop.run(&hold).code, 0);
    let drift = drift(&shop, 0);
    assert_eq!(of_rule(&drift, RULE)["overdue"], 0);
    assert!(drift["notes"][0].as_str().unwrap().contains("hold 1 suspends it"), "{drift}");
}

#[test]
fn a_store_that_cannot_be_looked_at_fails_the_comparison_and_is_named() {
    let shop = shop();
    std::fs::write(shop.database_path(), "no database").unwrap();
    let ran = shop.run(&["drift"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("unreadable: shop.example/chat: it cannot be looked at: "), "{ran:?}");
    let drift = drift(&shop, 1);
    assert_eq!(findings(&drift), [found("unreadable", "shop.example/chat", None)]);
    assert_eq!(
        (&of_rule(&drift, RULE)["answer"], &of_rule(&drift, RULE)["records"]),
        (&json!("unreadable"), &json!(null))
    );
    std::fs::remove_file(shop.database_path()).unwrap();
    assert_eq!(findings(&self::drift(&shop, 1)), [found("unreadable", "shop.example/chat", None)]);
}

#[test]
fn a_declared_table_that_is_gone_is_told() {
    let shop = shop().with_database("DROP TABLE pages");
    let drift = drift(&shop, 3);
    assert!(findings(&drift).contains(&found("gone", "shop.example/chat/pages", None)), "{drift}");
    assert_eq!(drift["stores"][0]["answer"], "gone");
}

#[test]
fn an_unknown_site_is_a_mistake_of_the_caller() {
    let ran = shop().run(&["drift", "--site", "shop.exmaple"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("no site is called `shop.exmaple`"), "{ran:?}");
    assert_eq!(shop().run(&["drift", "--site", "shop.example"]).code, 0);
}

#[rstest]
fn a_table_fits_the_terminal_and_says_the_same(#[values(200, 40)] columns: u16) {
    let shop = shop();
    let ran = shop.on_a_terminal(columns, &["drift"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(RULE) && ran.stdout.contains("agree with it."), "{ran:?}");
}
