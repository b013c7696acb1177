//! Every guard is provoked, and what the operator then sees is what is asserted: the state, the reason, the exit
//! status of the built binary. The settings are the default ones unless a test says otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "guards/limits.rs"]
mod limits;
#[path = "guards/schema.rs"]
mod schema;
#[path = "support/shop.rs"]
mod shop;

use std::cell::Cell;
use std::fs;
use std::process::Command;

use forgetd::audit::{Event, Sync};
use forgetd::purge::{Outcome, Step, Unwatched, Watcher};
use forgetd::register::{FinishedRun, NewHold, RegisterError};
use jiff::Timestamp;
use rstest::rstest;
use rusqlite::Connection;
use serde_json::Value;
use shop::{
    DEFAULT_SAFETY, SCHEMA, SITE, Shop, UNLIMITED, VISITORS, assess, clock, days, insert, noon, run, site, try_run,
};

/// How a command ended, and what it said.
struct Told {
    exit: i32,
    json: Value,
    stderr: String,
}

fn forgetd(shop: &Shop, arguments: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_forgetd"))
        .arg("--config")
        .arg(shop.config_dir())
        .arg("--json")
        .args(arguments)
        .output()
        .unwrap();
    Told {
        exit: output.status.code().unwrap(),
        json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// One rule in `plan` or `status`.
fn of_rule<'a>(told: &'a Told, rule: &str) -> &'a Value {
    let rules = told.json["rules"].as_array().unwrap_or_else(|| panic!("{}", told.stderr));
    rules.iter().find(|planned| planned["rule"] == rule).unwrap()
}

fn planned(shop: &Shop, rule: &str) -> Value {
    of_rule(&forgetd(shop, &["plan"]), rule).clone()
}

fn state_of(shop: &Shop, rule: &str) -> String {
    planned(shop, rule)["state"].as_str().unwrap().to_owned()
}

/// The only reason why a rule does not run.
fn reason(shop: &Shop, rule: &str) -> String {
    let planned = planned(shop, rule);
    let reasons = planned["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons[0].as_str().unwrap().to_owned()
}

fn token(shop: &Shop, rule: &str) -> String {
    planned(shop, rule)["plan"].as_str().unwrap().to_owned()
}

fn approve(shop: &Shop, rule: &str) {
    let told = forgetd(shop, &["approve", rule, "--plan", &token(shop, rule)]);
    assert_eq!(told.exit, 0, "{}", told.stderr);
}

/// Exit status, outcome and count of a one-off purge of the one rule.
fn purge(shop: &Shop) -> (i32, String, u64) {
    let told = forgetd(shop, &["purge", VISITORS, "--yes"]);
    let runs = told.json["runs"].as_array().unwrap_or_else(|| panic!("{}", told.stderr));
    assert_eq!(runs.len(), 1, "{runs:?}");
    (told.exit, runs[0]["outcome"].as_str().unwrap().to_owned(), runs[0]["erased"].as_u64().unwrap())
}

fn done(erased: u64) -> (i32, String, u64) {
    (0, "done".to_owned(), erased)
}

fn not_run(state: &str) -> (i32, String, u64) {
    (3, state.to_owned(), 0)
}

fn real_now() -> Timestamp {
    forgetd::service::read_clock().unwrap().wall
}

/// A shop in the present, with so many visitors past their six months and so many within them.
fn shop_with(expired: u32, kept: u32) -> Shop {
    shop_of(&site(""), expired, kept)
}

fn shop_of(site: &str, expired: u32, kept: u32) -> Shop {
    let shop = Shop::new(site, SCHEMA);
    insert(&shop.sql(), expired, real_now() - days(400));
    insert(&shop.sql(), kept, real_now() - days(10));
    shop
}

/// The same, approved and purged once.
fn shop_in_order(kept: u32) -> Shop {
    let shop = shop_with(1, kept);
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(1));
    shop
}

/// Days pass: so many more visitors are past their time.
fn let_expire(shop: &Shop, count: u32) {
    let sql = "UPDATE visitors SET last_seen = ?1 WHERE id IN (SELECT id FROM visitors WHERE last_seen > ?1 LIMIT ?2)";
    let changed = shop.sql().execute(sql, ((real_now() - days(400)).as_second(), count)).unwrap();
    assert_eq!(changed, usize::try_from(count).unwrap());
}

fn register(shop: &Shop) -> Connection {
    Connection::open(shop.state_dir().join("register.db")).unwrap()
}

// Approval and blast radius.

#[test]
fn a_backlog_is_approved_a_usual_night_runs_and_an_unusual_one_is_held() {
    let shop = shop_with(400, 600);
    assert_eq!(forgetd(&shop, &["plan"]).exit, 3);
    assert_eq!(state_of(&shop, VISITORS), "waiting");
    assert_eq!(purge(&shop), not_run("waiting"));
    approve(&shop, VISITORS);
    assert_eq!(forgetd(&shop, &["plan"]).exit, 0);
    assert_eq!(purge(&shop), done(400));
    assert_eq!(shop.count("visitors"), 600);

    let_expire(&shop, 5);
    assert_eq!(purge(&shop), done(5));

    let_expire(&shop, 300);
    assert_eq!(purge(&shop), not_run("held"));
    assert_eq!(shop.count("visitors"), 595);
    assert!(
        reason(&shop, VISITORS).starts_with("it would touch 300 of 595 records, more than the 59 that one run may")
    );
    let status = forgetd(&shop, &["status"]);
    assert_eq!(status.exit, 3);
    assert_eq!(of_rule(&status, VISITORS)["overdue"], true);

    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(300));
    assert_eq!((shop.count("visitors"), shop.count("pages")), (295, 590));
}

#[test]
fn an_approval_releases_one_run_beyond_the_usual_limit_and_no_second() {
    let shop = shop_with(300, 600);
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(300));
    let_expire(&shop, 200);
    assert_eq!(purge(&shop), not_run("held"));
}

#[test]
fn automatic_approval_still_holds_an_unusual_night() {
    let shop = shop_with(5, 600);
    shop.write_daemon("[safety]\napproval = \"automatic\"\n");
    assert_eq!(purge(&shop), done(5));
    let_expire(&shop, 61);
    assert_eq!(purge(&shop), not_run("held"));
    shop.write_daemon("[safety]\napproval = \"automatic\"\nmax-share = 0.2\nmax-rows = 60\n");
    assert!(reason(&shop, VISITORS).contains("more than the 60"));
    shop.write_daemon("[safety]\napproval = \"automatic\"\nmax-share = 0.2\n");
    assert_eq!(purge(&shop), done(61));
}

#[test]
fn the_share_does_not_apply_to_a_setting_that_is_off_but_approval_does() {
    let columns = "[store.chat.table.columns]\nip = \"visit.ip-address\"\n";
    let shop = shop_of(&site(columns).replace("store-ip = true", "store-ip = false"), 0, 600);
    let rule = "shop.example/chat/visitors/ip@setting";
    assert_eq!(state_of(&shop, rule), "waiting");
    approve(&shop, rule);
    let told = forgetd(&shop, &["purge", rule, "--yes"]);
    assert_eq!((told.exit, told.json["runs"][0]["erased"].as_u64()), (0, Some(600)));
    insert(&shop.sql(), 600, real_now() - days(1));
    assert_eq!(forgetd(&shop, &["purge", rule, "--yes"]).exit, 0);
}

#[test]
fn a_one_off_purge_says_which_approval_is_missing() {
    let shop = shop_with(4, 6);
    let told = forgetd(&shop, &["purge", VISITORS, "--yes"]);
    assert_eq!(told.exit, 3);
    let said = told.json["runs"][0]["reason"].as_str().unwrap().to_owned();
    let expected = format!("it is new and has not been approved: `forgetd approve {VISITORS} --plan ");
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(shop.count("visitors"), 10);
    // What it names is what releases.
    let token = said.strip_prefix(&expected).unwrap().trim_end_matches('`');
    assert_eq!(forgetd(&shop, &["approve", VISITORS, "--plan", token]).exit, 0);
    assert_eq!(purge(&shop), done(4));
}

#[test]
fn a_loosened_rule_waits_and_a_tightened_one_narrows_its_approval() {
    let shop = shop_in_order(100);
    shop.edit(SITE, "visit = \"6 months\"", "visit = \"3 months\"");
    assert_eq!(purge(&shop), not_run("waiting"));
    assert!(reason(&shop, VISITORS).starts_with("it no longer is the rule that was approved: `forgetd approve"));

    // Applied, the loosened form ended the approval: even the form that was approved waits now.
    shop.edit(SITE, "visit = \"3 months\"", "visit = \"6 months\"");
    assert_eq!(purge(&shop), not_run("waiting"));
    approve(&shop, VISITORS);

    shop.edit(SITE, "visit = \"6 months\"", "visit = \"12 months\"");
    let_expire(&shop, 1);
    assert_eq!(purge(&shop), done(1));
    shop.edit(SITE, "visit = \"12 months\"", "visit = \"6 months\"");
    assert_eq!(purge(&shop), not_run("waiting"));
}

/// The process that applied the change was killed before it came to the approvals.
#[test]
fn an_approval_is_narrowed_by_whoever_applies_the_same_configuration_next() {
    let shop = shop_in_order(100);
    shop.edit(SITE, "visit = \"6 months\"", "visit = \"12 months\"");
    let now = real_now();
    let recorded = shop.state(now).register.record(&shop.config(), now, |_| Ok::<_, RegisterError>(())).unwrap();
    assert!(recorded.new_version);
    assert_eq!(purge(&shop), done(0));
    shop.edit(SITE, "visit = \"12 months\"", "visit = \"6 months\"");
    assert_eq!(purge(&shop), not_run("waiting"));
}

#[rstest]
#[case::another_zone("time-zone = \"Europe/Prague\"", "time-zone = \"Asia/Tokyo\"")]
#[case::another_column("column = \"last_seen\"", "column = \"first_seen\"")]
#[case::another_format("\"unix-seconds\"", "\"unix-millis\"")]
#[case::another_key("key = \"id\"", "key = \"public_id\"")]
#[case::other_children(", column = \"visitor_id\"", ", column = \"other_id\"")]
#[case::accepted_side_effects("holds = \"visit\"", "holds = \"visit\"\naccepts = [\"trigger:note\"]")]
#[case::days_instead_of_months("visit = \"6 months\"", "visit = \"183 days\"")]
fn a_change_that_does_not_provably_keep_more_waits(#[case] before: &str, #[case] after: &str) {
    let shop = Shop::new(
        &site(""),
        "CREATE TABLE visitors (id INTEGER PRIMARY KEY, public_id TEXT NOT NULL UNIQUE DEFAULT (hex(randomblob(8))),
            last_seen INTEGER, first_seen INTEGER, city TEXT, ip TEXT);
         CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER, other_id INTEGER, url TEXT);",
    );
    insert(&shop.sql(), 10, real_now() - days(10));
    approve(&shop, VISITORS);
    assert_eq!(state_of(&shop, VISITORS), "ready");
    shop.edit(SITE, before, after);
    assert!(planned(&shop, VISITORS)["reasons"].to_string().contains("it no longer is the rule that was approved"));
}

#[test]
fn a_narrower_filter_keeps_the_approval_and_dropping_it_again_loses_it() {
    let shop = shop_in_order(100);
    shop.edit(SITE, "holds = \"visit\"", "holds = \"visit\"\nfilter = { city = \"Brno\" }");
    assert_eq!(purge(&shop), done(0));
    shop.edit(SITE, "\nfilter = { city = \"Brno\" }", "");
    assert_eq!(purge(&shop), not_run("waiting"));
}

#[test]
fn a_rule_that_was_removed_has_to_be_approved_again() {
    let shop = shop_in_order(100);
    let text = fs::read_to_string(shop.config_dir().join(SITE)).unwrap();
    shop.write(SITE, &text[..text.find("[store.chat]").unwrap()]);
    assert_eq!(forgetd(&shop, &["purge", "--yes"]).exit, 0);
    shop.write(SITE, &text);
    assert_eq!(purge(&shop), not_run("waiting"));
}

// Tokens.

fn approve_with(shop: &Shop, rule: &str, token: &str) -> Told {
    forgetd(shop, &["approve", rule, "--plan", token])
}

/// The token with its count or instant, its second and third part, replaced.
fn with_part(token: &str, part: usize, value: impl ToString) -> String {
    let mut parts: Vec<String> = token.split('-').map(str::to_owned).collect();
    parts[part] = value.to_string();
    parts.join("-")
}

#[test]
fn a_token_of_another_rule_or_of_an_earlier_form_is_refused() {
    let shop = shop_of(&site("[store.chat.table.columns]\ncity = \"visit.location\"\n"), 5, 5);
    let of_the_city = token(&shop, "shop.example/chat/visitors/city");
    let told = approve_with(&shop, VISITORS, &of_the_city);
    assert_eq!(told.exit, 1);
    assert!(told.stderr.contains("the plan was made for another rule or an earlier form of it"), "{}", told.stderr);
    let earlier = token(&shop, VISITORS);
    shop.edit(SITE, "visit = \"6 months\"", "visit = \"7 months\"");
    assert_eq!(approve_with(&shop, VISITORS, &earlier).exit, 1);
    assert_eq!(state_of(&shop, VISITORS), "waiting");
}

#[test]
fn a_token_is_good_for_24_hours() {
    let shop = shop_with(5, 5);
    let token = token(&shop, VISITORS);
    let now = real_now().as_second();
    let stale = approve_with(&shop, VISITORS, &with_part(&token, 2, now - 24 * 3600 - 60));
    assert_eq!(stale.exit, 1);
    assert!(stale.stderr.contains("the plan is not from the last 24 hours"), "{}", stale.stderr);
    assert_eq!(approve_with(&shop, VISITORS, &with_part(&token, 2, now + 3600)).exit, 1, "from the future");
    assert_eq!(state_of(&shop, VISITORS), "waiting");
    assert_eq!(approve_with(&shop, VISITORS, &with_part(&token, 2, now - 24 * 3600 + 60)).exit, 0);
}

#[test]
fn a_token_allows_for_a_tenth_more_than_it_counted() {
    let shop = shop_with(100, 200);
    let token = token(&shop, VISITORS);
    let_expire(&shop, 11);
    let grown = approve_with(&shop, VISITORS, &token);
    assert_eq!(grown.exit, 1);
    assert!(grown.stderr.contains("the plan counted 100 records, now there are 111"), "{}", grown.stderr);
    shop.sql().execute("UPDATE visitors SET last_seen = ?1 WHERE id = 1", [real_now().as_second()]).unwrap();
    assert_eq!(approve_with(&shop, VISITORS, &token).exit, 0);
    assert_eq!(purge(&shop), done(110));
}

#[test]
fn records_that_came_after_the_approval_may_be_a_tenth_and_no_more() {
    let shop = shop_with(100, 300);
    approve(&shop, VISITORS);
    let_expire(&shop, 11);
    assert_eq!(purge(&shop), not_run("held"));
    assert!(reason(&shop, VISITORS).contains("it would touch 111 of 400 records, more than the 110 that one run may"));
}

// What happens during a run.

/// Does something once, when the run gets somewhere.
struct Once<F> {
    at: fn(Step) -> bool,
    act: Cell<Option<F>>,
}

impl<F: FnOnce()> Watcher for Once<F> {
    fn reached(&self, step: Step) {
        if (self.at)(step)
            && let Some(act) = self.act.take()
        {
            act();
        }
    }
}

fn after_the_first_batch(step: Step) -> bool {
    matches!(step, Step::Recorded { .. })
}

/// A run during which something happens.
fn run_while(shop: &Shop, safety: forgetd::config::Safety, at: fn(Step) -> bool, act: impl FnOnce()) -> FinishedRun {
    let watcher = Once { at, act: Cell::new(Some(act)) };
    match run(&shop.rule(VISITORS), &mut shop.state(noon()), safety, &clock(noon()), &watcher).unwrap() {
        Outcome::Ran(run) => *run,
        other => panic!("{other:?}"),
    }
}

/// A shop at the noon of the tests, whose run takes several batches: the first one is of 500.
fn large_shop(expired: u32, kept: u32) -> Shop {
    let shop = Shop::new(&site(""), SCHEMA);
    insert(&shop.sql(), expired, noon() - days(300));
    insert(&shop.sql(), kept, noon() - days(10));
    shop
}

#[test]
fn records_that_expire_in_masses_during_a_run_stop_it_at_the_ceiling() {
    let shop = large_shop(800, 9_200);
    let safety = forgetd::config::Safety { approval: forgetd::config::ApprovalMode::Automatic, ..DEFAULT_SAFETY };
    let sql = shop.sql();
    let end = run_while(
        &shop,
        safety,
        |step| matches!(step, Step::Started { .. }),
        || {
            let old = (noon() - days(300)).as_second();
            sql.execute("UPDATE visitors SET last_seen = ?1 WHERE id > 9000", [old]).unwrap();
        },
    );
    assert_eq!(end.outcome.as_deref(), Some("held"));
    assert!(end.erased > 0 && end.erased <= 1_000, "{}", end.erased);
    assert_eq!(shop.count("visitors"), 10_000 - end.erased);
    assert!(end.reason.unwrap().contains("more than the 1000 released"));
    // The next run is held before it begins.
    let outcome = run(&shop.rule(VISITORS), &mut shop.state(noon()), safety, &clock(noon()), &Unwatched).unwrap();
    assert!(matches!(outcome, Outcome::NotReady(_)), "{outcome:?}");
}

#[test]
fn a_rule_at_work_is_not_run_a_second_time() {
    let shop = large_shop(600, 10);
    let (rule, mut other_process) = (shop.rule(VISITORS), shop.state(noon()));
    let end = run_while(&shop, UNLIMITED, after_the_first_batch, || {
        let second = try_run(&rule, &mut other_process, UNLIMITED, &clock(noon()), &Unwatched);
        assert!(matches!(second, Ok(Outcome::Busy)), "{second:?}");
    });
    assert_eq!((end.outcome.as_deref(), end.erased), (Some("done"), 600));
}

#[test]
fn a_one_off_purge_begins_no_rule_by_a_configuration_that_has_changed_meanwhile() {
    let shop = shop_of(&site("[store.chat.table.columns]\ncity = \"visit.location\"\n"), 2_000, 0);
    insert(&shop.sql(), 2_000, real_now() - days(100));
    shop.write_daemon("[safety]\napproval = \"automatic\"\nmax-share = 1.0\n[pace]\nduty = 0.01\n");
    let purge = Command::new(env!("CARGO_BIN_EXE_forgetd"))
        .arg("--config")
        .arg(shop.config_dir())
        .args(["--json", "purge", "--yes"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let has_begun = || shop.audit_dir().join("log.jsonl").exists() && !shop.events("batch.committed").is_empty();
    while !has_begun() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    shop.edit(SITE, "\"visit.location\" = \"30 days\"", "\"visit.location\" = \"5 months\"");
    let ended = purge.wait_with_output().unwrap();
    let runs = serde_json::from_slice::<Value>(&ended.stdout).unwrap();
    let outcomes = [0, 1].map(|run| runs["runs"][run]["outcome"].as_str().unwrap().to_owned());
    assert_eq!((ended.status.code(), outcomes), (Some(3), ["done", "interrupted"].map(str::to_owned)));
    assert_eq!(shop.count("visitors WHERE city = 'Brno'"), 2_000);
}

#[test]
fn a_hold_placed_during_a_run_keeps_its_record_from_the_next_batch_on() {
    let shop = large_shop(2_000, 10);
    let mut other_process = shop.state(noon());
    let end = run_while(&shop, UNLIMITED, after_the_first_batch, || {
        let until = "2027-12-31".parse().unwrap();
        let hold = NewHold { prefix: "shop.example", rows: Some(("id", "1000")), until, reason_code: "court", uid: 0 };
        other_process.register.add_hold(&hold, noon()).unwrap();
    });
    assert_eq!((end.outcome.as_deref(), end.erased), (Some("done"), 1_999));
    assert_eq!(shop.count("visitors WHERE id = 1000"), 1);
    assert_eq!(shop.count("pages WHERE visitor_id = 1000"), 2);
}

#[test]
fn a_hold_on_the_whole_rule_placed_during_a_run_ends_it() {
    let shop = large_shop(2_000, 10);
    let mut other_process = shop.state(noon());
    let end = run_while(&shop, UNLIMITED, after_the_first_batch, || {
        let until = "2027-12-31".parse().unwrap();
        let hold = NewHold { prefix: "shop.example/chat", rows: None, until, reason_code: "court", uid: 0 };
        other_process.register.add_hold(&hold, noon()).unwrap();
    });
    assert_eq!((end.outcome.as_deref(), end.erased, end.left), (Some("held"), 500, Some(1_500)));
    assert_eq!(end.reason.as_deref(), Some("hold 1 was placed"));
    assert_eq!(shop.count("visitors"), 1_510);
}

#[test]
fn holds_that_become_unreadable_during_a_run_end_it() {
    let shop = large_shop(2_000, 10);
    shop.state(noon());
    let end = run_while(&shop, UNLIMITED, after_the_first_batch, || {
        let damaged = "INSERT INTO holds (prefix, until, reason_code, added_at, uid) VALUES ('x', '9x', 'c', '?', 0)";
        register(&shop).execute(damaged, []).unwrap();
    });
    assert_eq!((end.outcome.as_deref(), end.erased), (Some("held"), 500));
}

#[test]
fn the_stop_switch_ends_a_run_after_the_batch_under_way() {
    let shop = large_shop(2_000, 10);
    let switch = shop.state_dir().join("stop");
    let end = run_while(&shop, UNLIMITED, after_the_first_batch, || fs::write(&switch, "").unwrap());
    assert_eq!((end.outcome.as_deref(), end.erased), (Some("stopped"), 500));
    assert_eq!(shop.count("visitors"), 1_510);
}

// Holds and the stop switch, as the operator sets them.

const FOR_EVER: [&str; 4] = ["--until", "2099-12-31", "--reason-code", "court-7"];

#[test]
fn a_hold_on_a_rule_or_on_all_of_a_site_suspends_it_until_it_is_lifted() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    for prefix in ["shop.example", "shop.example/", "shop.example/chat", VISITORS] {
        let told = forgetd(&shop, &[&["hold", "add", prefix], &FOR_EVER[..]].concat());
        let number = told.json["hold"].to_string();
        assert_eq!(purge(&shop), not_run("held"));
        assert_eq!(reason(&shop, VISITORS), format!("hold {number} suspends it: `forgetd hold list`"));
        assert_eq!(forgetd(&shop, &["hold", "lift", &number]).exit, 0);
    }
    assert_eq!(purge(&shop), done(2));
}

#[test]
fn a_hold_on_something_else_that_begins_alike_suspends_nothing() {
    let shop = shop_in_order(100);
    for prefix in ["shop.exam", "shop.example/chat/visitors/city", "shop.example/cha"] {
        forgetd(&shop, &[&["hold", "add", prefix], &FOR_EVER[..]].concat());
    }
    assert_eq!(state_of(&shop, VISITORS), "ready");
}

#[test]
fn a_hold_on_a_child_table_keeps_the_rows_that_would_take_its_rows_along() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    for rows in [&[][..], &["--where", "url=/"]] {
        let told = forgetd(&shop, &[&["hold", "add", "shop.example/chat/pages"], rows, &FOR_EVER[..]].concat());
        let number = told.json["hold"].to_string();
        assert_eq!((purge(&shop), shop.count("pages")), (not_run("held"), 200));
        assert_eq!(forgetd(&shop, &["hold", "lift", &number]).exit, 0);
    }
    let child = shop.sql().query_row("SELECT min(id) FROM visitors", [], |row| row.get::<_, i64>(0)).unwrap();
    let rows = format!("visitor_id={child}");
    forgetd(&shop, &[&["hold", "add", "shop.example/chat/pages", "--where", &rows], &FOR_EVER[..]].concat());
    assert_eq!((purge(&shop), shop.count("pages")), (done(1), 198));
    assert_eq!(shop.count(&format!("pages WHERE visitor_id = {child}")), 2);
}

#[test]
fn a_hold_on_a_column_keeps_the_rows_that_would_take_it_along() {
    let columns = "[store.chat.table.columns]\ncity = \"visit.location\"\n";
    let shop = shop_of(&site(columns), 4, 96);
    shop.sql().execute("UPDATE visitors SET city = 'Praha' WHERE id = 2", []).unwrap();
    approve(&shop, VISITORS);
    let column = "shop.example/chat/visitors/city";
    let told = forgetd(&shop, &[&["hold", "add", column], &FOR_EVER[..]].concat());
    let outcome_of_rows = || forgetd(&shop, &["purge", "--yes"]).json["runs"][0]["outcome"].clone();
    assert_eq!((outcome_of_rows(), shop.count("visitors")), ("held".into(), 100));
    assert_eq!(forgetd(&shop, &["hold", "lift", &told.json["hold"].to_string()]).exit, 0);
    forgetd(&shop, &[&["hold", "add", column, "--where", "city=Praha"], &FOR_EVER[..]].concat());
    assert_eq!((outcome_of_rows(), shop.count("visitors")), ("done".into(), 97));
    assert_eq!(shop.count("visitors WHERE city = 'Praha'"), 1);
}

#[test]
fn a_hold_on_rows_keeps_those_and_counts_them() {
    let shop = shop_with(10, 90);
    shop.sql().execute("UPDATE visitors SET city = 'Praha' WHERE id IN (2, 3, 50)", []).unwrap();
    forgetd(&shop, &[&["hold", "add", "shop.example", "--where", "city=Praha"], &FOR_EVER[..]].concat());
    let planned = planned(&shop, VISITORS);
    assert_eq!((planned["matches"].as_u64(), planned["on_hold"].as_u64()), (Some(8), Some(2)));
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(8));
    assert_eq!(shop.count("visitors WHERE id IN (2, 3, 50)"), 3);
    assert_eq!(shop.count("pages WHERE visitor_id IN (2, 3, 50)"), 6);
}

#[test]
fn a_hold_on_a_column_that_the_table_does_not_have_stops_the_rule() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    forgetd(&shop, &[&["hold", "add", "shop.example", "--where", "phone=1"], &FOR_EVER[..]].concat());
    let (exit, outcome, erased) = purge(&shop);
    assert_eq!((exit, erased), (3, 0), "{outcome}");
}

#[test]
fn a_register_that_cannot_be_read_stops_everything() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    for name in ["register.db-wal", "register.db-shm"] {
        let _ = fs::remove_file(shop.state_dir().join(name));
    }
    fs::write(shop.state_dir().join("register.db"), "this was a register").unwrap();
    for arguments in [&["purge", "--yes"][..], &["plan"], &["status"]] {
        assert_eq!(forgetd(&shop, arguments).exit, 1, "{arguments:?}");
    }
    assert_eq!(shop.count("visitors"), 100);
}

#[test]
fn a_register_that_was_lost_or_emptied_stops_everything_since_holds_stood_in_it() {
    let shop = shop_in_order(100);
    shop.write_daemon("[safety]\napproval = \"automatic\"\n");
    let_expire(&shop, 2);
    forgetd(&shop, &[&["hold", "add", "shop.example"], &FOR_EVER[..]].concat());
    let place = shop.state_dir().join("register.db");
    for name in ["register.db", "register.db-wal", "register.db-shm"] {
        let _ = fs::remove_file(shop.state_dir().join(name));
    }
    for emptied in [false, true] {
        if emptied {
            fs::write(&place, "").unwrap();
        }
        for arguments in [&["purge", "--yes"][..], &["plan"], &["status"], &["hold", "list"]] {
            let told = forgetd(&shop, arguments);
            assert_eq!(told.exit, 1, "{arguments:?}");
            assert!(told.stderr.contains("restore it from a backup"), "{}", told.stderr);
        }
        assert_eq!((shop.count("visitors"), place.exists()), (100, emptied));
    }
}

#[test]
fn more_objections_than_an_entry_can_hold_hold_the_rule_and_nothing_else() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    for number in 0..400 {
        let name = format!("trigger_number_{number}_{}", "x".repeat(60));
        let trigger = format!("CREATE TRIGGER {name} AFTER DELETE ON visitors BEGIN SELECT 1; END");
        shop.sql().execute_batch(&trigger).unwrap();
    }
    assert_eq!(purge(&shop), not_run("held"));
    assert_eq!(shop.events("rule.held").len(), 1);
}

#[test]
fn the_stop_switch_stops_and_lifting_it_lets_go_on() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    assert_eq!(forgetd(&shop, &["stop-purges"]).exit, 0);
    assert_eq!(purge(&shop), not_run("held"));
    assert_eq!(reason(&shop, VISITORS), "purges are stopped: `forgetd stop-purges --lift`");
    assert_eq!(forgetd(&shop, &["status"]).json["purges"], "stopped");
    assert_eq!(forgetd(&shop, &["stop-purges", "--lift"]).exit, 0);
    assert_eq!(purge(&shop), done(2));
    assert_eq!((shop.events("purges.stopped").len(), shop.events("purges.resumed").len()), (1, 1));
}

#[test]
fn a_hold_and_the_stop_switch_work_while_the_configuration_is_invalid() {
    let shop = shop_in_order(100);
    shop.write("categories.toml", "this is no TOML");
    assert_eq!(forgetd(&shop, &[&["hold", "add", "shop.example"], &FOR_EVER[..]].concat()).exit, 0);
    assert_eq!(forgetd(&shop, &["stop-purges"]).exit, 0);
    assert_eq!(shop.events("hold.added").len(), 1);
}

// The clock.

#[test]
fn a_clock_from_before_the_release_erases_nothing() {
    let shop = large_shop(10, 10);
    let mut state = shop.state("2026-11-23T00:00:00Z".parse().unwrap());
    let rule = shop.rule(VISITORS);
    let reason_at = |now: &str, state: &_| assess(&rule, state, UNLIMITED, &clock(now.parse().unwrap())).reason();
    assert!(reason_at("2026-11-23T23:59:59Z", &state).contains("before this version was released (2026-11-24)"));
    assert_eq!(reason_at("2026-11-24T00:00:00Z", &state), "");
    let outcome = run(&rule, &mut state, UNLIMITED, &clock("2026-11-23T12:00:00Z".parse().unwrap()), &Unwatched);
    assert!(matches!(outcome, Ok(Outcome::NotReady(_))), "{outcome:?}");
    assert_eq!(shop.count("visitors"), 20);
}

#[test]
fn a_clock_that_is_behind_the_last_entry_erases_nothing() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    let mut state = shop.state(real_now());
    state.log.append(real_now() + days(1), &Event::Heartbeat {}, Sync::Now).unwrap();
    state.log.checkpoint().unwrap();
    // Not even the entry that says so lets such a clock be believed.
    for _ in 0..3 {
        assert_eq!(purge(&shop), not_run("held"));
        assert!(reason(&shop, VISITORS).contains("before the audit log's last entry at"));
    }
    assert_eq!(forgetd(&shop, &["approve", "--clock"]).exit, 0);
    assert_eq!(purge(&shop), done(2));
}

/// Pretends that the clocks were last seen so long ago.
fn last_seen(shop: &Shop, boot: Option<&str>, wall_ago: i64, boottime_ago: i64) {
    let clock = forgetd::service::read_clock().unwrap();
    let wall = clock.wall - jiff::SignedDuration::from_secs(wall_ago);
    let sql = "UPDATE clock SET boot = coalesce(?1, boot), wall = ?2, boottime_us = ?3";
    let values = (boot, format!("{wall:.6}"), clock.boottime_us - boottime_ago * 1_000_000);
    assert_eq!(register(shop).execute(sql, values).unwrap(), 1);
}

#[test]
fn a_clock_that_was_stepped_since_the_boot_erases_nothing_until_it_is_approved() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    last_seen(&shop, None, 3_600, 3_600 - 240);
    assert_eq!(state_of(&shop, VISITORS), "ready", "four minutes are within the tolerance");
    for (wall_ago, boottime_ago) in [(3_600, 0), (0, 3_600)] {
        last_seen(&shop, None, wall_ago, boottime_ago);
        assert_eq!(purge(&shop), not_run("held"));
        assert!(
            reason(&shop, VISITORS)
                .contains("since it was last seen: if it is right now, run `forgetd approve --clock`")
        );
    }
    assert_eq!(forgetd(&shop, &["approve", "--clock"]).exit, 0);
    assert_eq!(purge(&shop), done(2));
    let approved = shop.events("clock.approved");
    let [Event::ClockApproved { jump_seconds, .. }] = approved.as_slice() else { panic!("{approved:?}") };
    assert!((-3_700..=-3_500).contains(jump_seconds), "the jump, not the time since: {jump_seconds}");
}

#[test]
fn a_clock_that_is_far_ahead_after_a_boot_erases_nothing_until_it_is_approved() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    let day = 24 * 3_600;
    last_seen(&shop, Some("an earlier boot"), 34 * day, 0);
    assert_eq!(state_of(&shop, VISITORS), "ready", "a machine may be off for a month");
    last_seen(&shop, Some("an earlier boot"), 36 * day, 0);
    assert_eq!(purge(&shop), not_run("held"));
    assert!(
        reason(&shop, VISITORS).starts_with("36 days have passed while the machine was off, or the clock is wrong")
    );
    assert_eq!(forgetd(&shop, &["approve", "--clock"]).exit, 0);
    assert_eq!(purge(&shop), done(2));
}

// Types.

#[test]
fn milliseconds_in_a_column_of_seconds_hold_the_rule() {
    let shop = shop_in_order(100);
    shop.sql().execute("UPDATE visitors SET last_seen = last_seen * 1000 WHERE id % 3 > 0", []).unwrap();
    assert_eq!(purge(&shop), not_run("held"));
    let said = reason(&shop, VISITORS);
    assert!(said.contains("of 100 values in the time column make sense only as unix-millis"), "{said}");
    assert!(said.contains("set `format = \"unix-millis\"`"), "{said}");
}

#[test]
fn what_has_no_plausible_time_is_counted_and_kept() {
    let shop = shop_with(7, 60);
    let odd = ["NULL", "0", "-1", "'2019-01-01'", "''", "'1500000000'", "1.5e9", "x'00'", "789000000 - 90000"];
    let sql = shop.sql();
    // A column without affinity keeps what it is given.
    sql.execute_batch("CREATE TABLE odd (id INTEGER PRIMARY KEY, last_seen, city, ip)").unwrap();
    sql.execute_batch(
        "INSERT INTO odd SELECT * FROM visitors; DROP TABLE visitors; ALTER TABLE odd RENAME TO visitors",
    )
    .unwrap();
    for value in odd {
        sql.execute_batch(&format!("INSERT INTO visitors (last_seen, city) VALUES ({value}, 'odd')")).unwrap();
    }
    let planned = planned(&shop, VISITORS);
    assert_eq!((planned["matches"].as_u64(), planned["undatable"].as_u64()), (Some(7), Some(9)));
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(7));
    assert_eq!(shop.count("visitors WHERE city = 'odd'"), 9);
}

// Keys and side effects.

const PAGES: &str = "CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER, url TEXT);";

#[rstest]
#[case::no_key("CREATE TABLE visitors (id INTEGER, last_seen INTEGER)", "unique")]
#[case::a_key_that_may_be_null("CREATE TABLE visitors (id TEXT UNIQUE, last_seen INTEGER)", "NULL")]
#[case::a_view(
    "CREATE TABLE v (id INTEGER PRIMARY KEY, last_seen INTEGER); CREATE VIEW visitors AS SELECT * FROM v",
    "is a view"
)]
#[case::a_trigger(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER); CREATE TABLE log (id);
     CREATE TRIGGER note AFTER DELETE ON visitors BEGIN INSERT INTO log VALUES (old.id); END",
    "accepts = [\"trigger:note\"]"
)]
#[case::a_cascade(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER);
     CREATE TABLE orders (id INTEGER PRIMARY KEY, visitor INTEGER REFERENCES visitors (id) ON DELETE CASCADE)",
    "accepts = [\"cascade:orders\"]"
)]
#[case::an_undeclared_child(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER);
     CREATE TABLE orders (id INTEGER PRIMARY KEY, visitor INTEGER REFERENCES visitors (id))",
    "children = [ { table = \"orders\", column = \"visitor\" } ]"
)]
fn a_table_that_is_not_safe_to_erase_from_is_refused_with_what_to_do(#[case] tables: &str, #[case] said: &str) {
    let shop = Shop::new(&site(""), &format!("{tables}; {PAGES}"));
    assert_eq!(state_of(&shop, VISITORS), "held");
    assert!(
        planned(&shop, VISITORS)["reasons"].to_string().replace("\\\"", "\"").contains(said),
        "{}",
        planned(&shop, VISITORS)
    );
    assert_eq!(purge(&shop), not_run("held"));
    // What cannot be judged cannot be approved.
    assert!(planned(&shop, VISITORS)["plan"].is_null());
}

#[test]
fn a_trigger_that_was_accepted_is_no_obstacle() {
    let shop = shop_with(3, 30);
    let trigger = "CREATE TABLE log (id); CREATE TRIGGER note AFTER DELETE ON visitors
        BEGIN INSERT INTO log VALUES (old.id); END";
    shop.sql().execute_batch(trigger).unwrap();
    shop.edit(SITE, "holds = \"visit\"", "holds = \"visit\"\naccepts = [\"trigger:note\"]");
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(3));
}

// The configuration.

#[test]
fn a_retention_below_24_hours_is_an_error() {
    let shop = Shop::new(&site("").replace("6 months", "23 hours"), SCHEMA);
    let told = forgetd(&shop, &["plan"]);
    assert_eq!(told.exit, 78);
    assert!(told.stderr.contains("sites/shop.example.toml:"), "{}", told.stderr);
}

#[test]
fn where_nothing_was_ever_applied_an_invalid_configuration_ends_every_command_with_78() {
    let shop = shop_with(5, 5);
    shop.write("categories.toml", "this is no TOML");
    for arguments in [&["plan"][..], &["purge", "--yes"], &["status"], &["approve", "--clock"], &["run"]] {
        assert_eq!(forgetd(&shop, arguments).exit, 78, "{arguments:?}");
    }
    assert!(!shop.state_dir().exists(), "no state is left behind");
    assert_eq!(shop.count("visitors"), 10);
}

/// Three sites with a store each; the second uses a processor.
fn three_sites() -> Shop {
    let shop = shop_with(0, 50);
    let write_other = |name: &str, processor: &str| {
        let database = shop.root().join(format!("{name}.db"));
        fs::copy(shop.database(), &database).unwrap();
        let text = site("")
            .replace("shop.example", &format!("{name}.example"))
            .replace("[retention]", &format!("{processor}\n[retention]"))
            .replace("DATABASE", &database.display().to_string());
        shop.write(&format!("sites/{name}.toml"), &text);
    };
    write_other("second", "[[processor]]\nid = \"smartsupp\"\nchat-key = \"k\"\nfeatures = [\"chat\"]");
    write_other("third", "");
    for site in ["shop", "second", "third"] {
        approve(&shop, &format!("{site}.example/chat/visitors"));
    }
    let_expire(&shop, 3);
    shop
}

/// The states of the rules of the three sites, and the exit status of `plan`.
fn states(shop: &Shop) -> (i32, Vec<String>) {
    let told = forgetd(shop, &["plan"]);
    let state =
        |site: &str| of_rule(&told, &format!("{site}.example/chat/visitors"))["state"].as_str().unwrap().to_owned();
    (told.exit, ["shop", "second", "third"].map(state).to_vec())
}

#[test]
fn an_invalid_file_suspends_the_sites_that_depend_on_it_and_no_other() {
    let shop = three_sites();
    assert_eq!(states(&shop), (0, ["ready"; 3].map(str::to_owned).to_vec()));

    let good = fs::read_to_string(shop.config_dir().join("sites/third.toml")).unwrap();
    shop.write("sites/third.toml", &good.replace("6 months", "6 mon"));
    assert_eq!(states(&shop), (78, ["ready", "ready", "suspended"].map(str::to_owned).to_vec()));
    // The others go on.
    let told = forgetd(&shop, &["purge", VISITORS, "--yes"]);
    assert_eq!((told.exit, told.json["runs"][0]["erased"].as_u64()), (78, Some(3)));

    // A valid edit beside the mistake is not applied, and what it is about is in doubt.
    shop.edit(SITE, "visit = \"6 months\"", "visit = \"12 months\"");
    assert_eq!(states(&shop), (78, ["suspended", "ready", "suspended"].map(str::to_owned).to_vec()));
    let_expire(&shop, 3);
    let told = forgetd(&shop, &["purge", VISITORS, "--yes"]);
    assert_eq!((told.exit, told.json["runs"][0]["outcome"].as_str()), (78, Some("suspended")));
    assert_eq!(shop.count("visitors"), 47);
    shop.edit(SITE, "visit = \"12 months\"", "visit = \"6 months\"");
    shop.write("sites/third.toml", &good);
    assert_eq!(states(&shop).0, 0);

    let smartsupp = "processors/smartsupp.toml";
    shop.edit(smartsupp, "product = \"Smartsupp\"", "product = 7");
    assert_eq!(states(&shop), (78, ["ready", "suspended", "ready"].map(str::to_owned).to_vec()));
    shop.edit(smartsupp, "product = 7", "product = \"Smartsupp\"");
    shop.edit("categories.toml", "[[category]]\nid = \"conversation\"", "[[categry]]\nid = \"conversation\"");
    assert_eq!(states(&shop), (78, ["suspended"; 3].map(str::to_owned).to_vec()));
}

#[test]
fn a_site_file_that_is_gone_while_another_is_invalid_suspends_its_site() {
    let shop = three_sites();
    fs::remove_file(shop.config_dir().join(SITE)).unwrap();
    shop.write("sites/third.toml", "domain = ");
    assert_eq!(states(&shop), (78, ["suspended", "ready", "suspended"].map(str::to_owned).to_vec()));
}

// What is told.

#[test]
fn a_rule_that_is_held_is_told_once_with_the_instant_since_when_its_records_are_overdue() {
    let shop = Shop::new(&site(""), SCHEMA);
    let seen: Timestamp = "2026-08-20T10:00:00Z".parse().unwrap();
    insert(&shop.sql(), 5, seen);
    insert(&shop.sql(), 5, noon() - days(1));
    let rule = shop.rule(VISITORS);
    let mut state = shop.state(noon());
    for night in 0..3 {
        let outcome = run(&rule, &mut state, DEFAULT_SAFETY, &clock(noon() + days(night)), &Unwatched).unwrap();
        assert!(matches!(outcome, Outcome::NotReady(_)));
    }
    let held = shop.events("rule.held");
    let [Event::RuleHeld { matches, overdue_since, reason, .. }] = held.as_slice() else { panic!("{held:?}") };
    // Six months after the end of 20 August in Prague: the midnight that begins 21 February.
    assert_eq!((*matches, *overdue_since), (5, Some("2027-02-20T23:00:00Z".parse().unwrap())));
    assert!(reason.starts_with("it is new"), "{reason}");

    // Another reason is news.
    fs::write(shop.state_dir().join("stop"), "").unwrap();
    for night in 3..5 {
        let _ = run(&rule, &mut state, DEFAULT_SAFETY, &clock(noon() + days(night)), &Unwatched).unwrap();
    }
    assert_eq!(shop.events("rule.held").len(), 2);
    fs::remove_file(shop.state_dir().join("stop")).unwrap();
    let _ = run(&rule, &mut state, UNLIMITED, &clock(noon() + days(5)), &Unwatched).unwrap();
    assert_eq!(shop.events("rule.released").len(), 1);
}
