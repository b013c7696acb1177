//! The table under a rule changes, as an upgrade of the application does it.

use super::*;

const ADDS_A_COLUMN: &str = "ALTER TABLE visitors ADD COLUMN locale TEXT";

fn change(shop: &Shop, statements: &str) {
    shop.sql().execute_batch(statements).unwrap();
}

/// What is said of the change of a rule that nothing else holds.
fn change_told(shop: &Shop) -> String {
    let planned = planned(shop, VISITORS);
    let [said] = planned["reasons"].as_array().unwrap().as_slice() else { panic!("{planned}") };
    let said = said.as_str().unwrap();
    let told = said.strip_prefix("its store has changed since it was accepted: ").unwrap_or_else(|| panic!("{said}"));
    let (changes, remedy) = told.split_once(": look whether the rule still means the same, then ").unwrap();
    assert_eq!(remedy, format!("`forgetd approve {VISITORS} --plan {}`", planned["plan"].as_str().unwrap()));
    changes.to_owned()
}

#[test]
fn a_column_that_was_added_holds_the_rule_until_somebody_has_looked() {
    let shop = shop_in_order(100);
    let_expire(&shop, 2);
    change(&shop, ADDS_A_COLUMN);
    assert_eq!(purge(&shop), not_run("held"));
    assert_eq!(change_told(&shop), "column `locale` of visitors was added");
    for command in ["plan", "status"] {
        let told = forgetd(&shop, &[command]);
        assert_eq!((told.exit, of_rule(&told, VISITORS)["state"].as_str()), (3, Some("held")), "{command}");
    }
    let status = forgetd(&shop, &["status"]);
    assert_eq!(of_rule(&status, VISITORS)["overdue"], true, "what is held and should have gone shows");
    assert_eq!(shop.count("visitors"), 100);

    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(2));
    let_expire(&shop, 1);
    assert_eq!(purge(&shop), done(1), "what was accepted stays accepted");
}

#[test]
fn automatic_approval_does_not_accept_a_change_of_the_table() {
    let shop = shop_with(1, 100);
    shop.write_daemon("[safety]\napproval = \"automatic\"\n");
    assert_eq!(purge(&shop), done(1));
    let_expire(&shop, 2);
    change(&shop, ADDS_A_COLUMN);
    assert_eq!(purge(&shop), not_run("held"));
    assert_eq!(change_told(&shop), "column `locale` of visitors was added");
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(2));
}

#[rstest]
#[case::column_dropped("ALTER TABLE visitors DROP COLUMN city", "column `city` of visitors was removed")]
#[case::column_renamed(
    "ALTER TABLE visitors RENAME COLUMN city TO town",
    "column `city` of visitors was removed; column `town` of visitors was added"
)]
#[case::another_type(
    "DROP TABLE visitors; CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen TEXT, city TEXT, ip TEXT NOT NULL)",
    "column `ip` of visitors was TEXT, is now TEXT NOT NULL; \
     column `last_seen` of visitors was INTEGER, is now TEXT"
)]
#[case::another_form(
    "DROP TABLE visitors; CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, city TEXT, ip TEXT) STRICT",
    "table visitors was table, is now table STRICT"
)]
#[case::unique("CREATE UNIQUE INDEX one_of_each ON visitors (ip, city)", "UNIQUE (city, ip) of visitors was added")]
#[case::of_a_child("ALTER TABLE pages ADD COLUMN title TEXT", "column `title` of pages was added")]
#[case::foreign_key(
    "DROP TABLE pages; CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER REFERENCES visitors (id), url TEXT)",
    "foreign key pages (visitor_id) REFERENCES visitors (id) ON DELETE NO ACTION ON UPDATE NO ACTION was added"
)]
fn a_change_that_the_rule_may_depend_on_holds_it(#[case] statements: &str, #[case] told: &str) {
    let shop = shop_in_order(0);
    change(&shop, statements);
    assert_eq!(change_told(&shop), told);
    assert_eq!(purge(&shop), not_run("held"));
}

#[rstest]
#[case::index("CREATE INDEX visitors_city ON visitors (city)")]
#[case::index_dropped("DROP INDEX visitors_last_seen")]
#[case::statistics("ANALYZE")]
#[case::rows("INSERT INTO visitors (last_seen, city) VALUES (unixepoch(), 'Praha'); VACUUM")]
#[case::another_table("CREATE TABLE orders (id INTEGER PRIMARY KEY)")]
#[case::trigger_that_the_rule_does_not_fire(
    "CREATE TRIGGER note AFTER INSERT ON visitors BEGIN UPDATE visitors SET city = '' WHERE id = new.id; END"
)]
#[case::order_of_columns(
    "DROP TABLE visitors; CREATE TABLE visitors (ip TEXT, city TEXT, last_seen INTEGER, id INTEGER PRIMARY KEY)"
)]
fn a_change_that_no_rule_depends_on_holds_none(#[case] statements: &str) {
    let shop = shop_in_order(10);
    change(&shop, statements);
    assert_eq!(state_of(&shop, VISITORS), "ready");
    assert_eq!(purge(&shop), done(0));
}

#[test]
fn an_accepted_trigger_that_does_something_else_now_holds_the_rule() {
    let trigger = |body: &str| format!("CREATE TRIGGER note AFTER DELETE ON visitors BEGIN {body}; END");
    let shop = shop_with(1, 100);
    change(&shop, &format!("CREATE TABLE log (id); {}", trigger("INSERT INTO log VALUES (old.id)")));
    shop.edit(SITE, "holds = \"visit\"", "holds = \"visit\"\naccepts = [\"trigger:note\"]");
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(1));
    change(&shop, &format!("DROP TRIGGER note; {}", trigger("DELETE FROM visitors")));
    assert_eq!(change_told(&shop), "trigger `note` of visitors was changed");
    assert_eq!(purge(&shop), not_run("held"));
    assert_eq!(shop.count("visitors"), 100);
}

#[test]
fn a_table_that_is_emptied_along_by_an_accepted_cascade_is_watched_as_well() {
    let shop = shop_with(1, 100);
    let orders =
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, visitor INTEGER REFERENCES visitors (id) ON DELETE CASCADE)";
    change(&shop, orders);
    shop.edit(SITE, "holds = \"visit\"", "holds = \"visit\"\naccepts = [\"cascade:orders\"]");
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(1));
    change(&shop, "ALTER TABLE orders ADD COLUMN invoice TEXT");
    assert_eq!(change_told(&shop), "column `invoice` of orders was added");
}

#[test]
fn a_token_that_was_printed_before_the_change_is_refused() {
    let shop = shop_with(5, 5);
    let before = token(&shop, VISITORS);
    change(&shop, ADDS_A_COLUMN);
    let told = approve_with(&shop, VISITORS, &before);
    assert_eq!(told.exit, 1);
    assert!(told.stderr.contains("the store has changed since the plan: run `forgetd "), "{}", told.stderr);
    assert!(told.stderr.contains(&format!("plan {VISITORS}` again")), "{}", told.stderr);
    assert_eq!(state_of(&shop, VISITORS), "waiting");
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(5));
}

#[test]
fn what_was_approved_is_the_table_that_was_seen_then() {
    let shop = shop_with(5, 5);
    approve(&shop, VISITORS);
    change(&shop, ADDS_A_COLUMN);
    assert_eq!(purge(&shop), not_run("held"));
    assert_eq!(change_told(&shop), "column `locale` of visitors was added");
}

#[test]
fn the_way_back_releases_the_rule() {
    let shop = shop_in_order(10);
    change(&shop, ADDS_A_COLUMN);
    assert_eq!(state_of(&shop, VISITORS), "held");
    change(&shop, "ALTER TABLE visitors DROP COLUMN locale");
    assert_eq!(purge(&shop), done(0));
}

#[test]
fn every_rule_on_the_table_is_held_and_approved_by_itself() {
    let shop = shop_of(&site("[store.chat.table.columns]\ncity = \"visit.location\"\n"), 0, 100);
    let city = "shop.example/chat/visitors/city";
    for rule in [VISITORS, city] {
        approve(&shop, rule);
    }
    assert_eq!(forgetd(&shop, &["purge", "--yes"]).exit, 0);
    change(&shop, ADDS_A_COLUMN);
    approve(&shop, city);
    assert_eq!([VISITORS, city].map(|rule| state_of(&shop, rule)), ["held", "ready"]);
}

#[test]
fn a_rule_that_was_approved_before_shapes_were_kept_accepts_its_table_at_the_next_run() {
    let shop = shop_in_order(100);
    register(&shop).execute("DELETE FROM accepted_shapes", []).unwrap();
    change(&shop, ADDS_A_COLUMN);
    assert_eq!(purge(&shop), done(0));
    change(&shop, "ALTER TABLE visitors DROP COLUMN locale");
    assert_eq!(change_told(&shop), "column `locale` of visitors was removed");
}

#[test]
fn what_this_version_cannot_read_proves_nothing_and_holds_the_rule() {
    let shop = shop_in_order(100);
    for shape in ["", "{}", "{\"tables\": {}, \"views\": {}}"] {
        register(&shop).execute("UPDATE accepted_shapes SET shape = ?1", [shape]).unwrap();
        assert_eq!(change_told(&shop), "this version cannot read what was accepted");
    }
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(0));
}

#[test]
fn a_change_of_the_configuration_is_no_change_of_the_table() {
    let shop = shop_with(1, 100);
    shop.write_daemon("[safety]\napproval = \"automatic\"\n");
    shop.edit(SITE, "children = [{ table = \"pages\", column = \"visitor_id\" }]", "");
    assert_eq!(purge(&shop), done(1));
    shop.edit(
        SITE,
        "holds = \"visit\"",
        "holds = \"visit\"\nchildren = [{ table = \"pages\", column = \"visitor_id\" }]",
    );
    assert_eq!(purge(&shop), done(0));
    change(&shop, "ALTER TABLE pages ADD COLUMN title TEXT");
    assert_eq!(change_told(&shop), "column `title` of pages was added");
}

#[test]
fn a_table_that_changes_after_it_was_counted_is_not_walked() {
    let shop = large_shop(600, 10);
    let sql = shop.sql();
    let end = run_while(
        &shop,
        UNLIMITED,
        |step| matches!(step, Step::Started { .. }),
        || sql.execute_batch(ADDS_A_COLUMN).unwrap(),
    );
    assert_eq!((end.outcome.as_deref(), end.erased, end.left), (Some("held"), 0, Some(600)));
    let expected = "its store has changed during the run: column `locale` of visitors was added";
    assert_eq!(end.reason.as_deref(), Some(expected));
    assert_eq!(shop.count("visitors"), 610);
    let outcome = run(&shop.rule(VISITORS), &mut shop.state(noon()), UNLIMITED, &clock(noon()), &Unwatched).unwrap();
    assert!(matches!(outcome, Outcome::NotReady(_)), "{outcome:?}");
}

#[test]
fn the_evidence_says_which_table_was_approved_and_which_was_run_on() {
    let shop = shop_in_order(10);
    change(&shop, ADDS_A_COLUMN);
    for _ in 0..2 {
        assert_eq!(purge(&shop), not_run("held"));
    }
    approve(&shop, VISITORS);
    assert_eq!(purge(&shop), done(0));
    let shapes = |kind: &str| -> Vec<Option<String>> {
        let shape = |event: Event| match event {
            Event::RuleApproved { shape, .. } | Event::RunStarted { shape, .. } => shape,
            other => panic!("{other:?}"),
        };
        shop.events(kind).into_iter().map(shape).collect()
    };
    let approved = shapes("rule.approved");
    assert!(approved.iter().flatten().all(|digest| digest.len() == 64), "{approved:?}");
    assert!(approved[0] != approved[1] && approved[0].is_some(), "{approved:?}");
    assert_eq!(shapes("run.started"), approved);
    let held = shop.events("rule.held");
    let [Event::RuleHeld { reason, .. }] = held.as_slice() else { panic!("{held:?}") };
    assert!(reason.starts_with("its store has changed since it was accepted: column `locale`"), "{reason}");
}
