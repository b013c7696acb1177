//! `plan`, `approve` and `purge`.

use serde_json::{Value, json};

use super::installation::{GUARDED, Installation, UNGUARDED};
use super::{rows, shop, told};

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
