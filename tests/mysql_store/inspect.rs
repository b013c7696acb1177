//! What is found before a rule may touch a table, and what the operator is told to do.

use forgetd::config::TimeFormat;
use forgetd::config::site::{Child, Consent, Mask, Scalar, SideEffect, Unparsed, Zone};
use forgetd::plan::{Action, TableRule, When};
use forgetd::store::{self, Severity, Store};
use jiff::tz::TimeZone;
use mysql::prelude::Queryable;
use rstest::rstest;

use super::{VISITORS, count, database, erase, mariadb, rows, rule, selection};

/// Refusals with their hints.
pub(crate) fn refusals(store: &mut dyn Store, rule: &TableRule) -> Vec<String> {
    let findings = store.inspect(&selection(rule)).unwrap().findings;
    findings.iter().filter(|finding| finding.severity == Severity::Refusal).map(ToString::to_string).collect()
}

fn erase_ip(stand_in: Option<Scalar>) -> Action {
    Action::EraseColumn { column: "ip".to_owned(), stand_in }
}

fn truncate_ip() -> Action {
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    Action::TruncateColumn { column: "ip".to_owned(), mask, stand_in: None }
}

fn with_pages() -> Action {
    Action::EraseRows { children: vec![Child { table: "pages".to_owned(), column: "visitor".to_owned() }] }
}

fn text(text: &str) -> Option<Scalar> {
    Some(Scalar::Text(text.to_owned()))
}

const KEY: &str = "id INT PRIMARY KEY";
const PAGES: &str = "CREATE TABLE pages (id INT PRIMARY KEY, visitor BIGINT, KEY (visitor)";

#[rstest]
#[case::nothing_wrong(&[VISITORS], rows(), "")]
#[case::no_table(&[], rows(), "no table visitors")]
#[case::view(&["CREATE TABLE t (id INT PRIMARY KEY, seen BIGINT)", "CREATE VIEW visitors AS SELECT * FROM t"], rows(), "is a view")]
#[case::sequence(&["CREATE SEQUENCE visitors"], rows(), "no ordinary table")]
#[case::engine(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT) ENGINE=MyISAM"], rows(), "ENGINE=InnoDB")]
#[case::system_versioned(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT) WITH SYSTEM VERSIONING"], rows(), "every old version")]
#[case::no_column(&["CREATE TABLE visitors (id INT PRIMARY KEY)"], rows(), "no column seen")]
#[case::key_not_unique(&["CREATE TABLE visitors (id INT NOT NULL, seen BIGINT, KEY (id))"], rows(), "is not unique")]
#[case::key_of_two(&["CREATE TABLE visitors (id INT, seen BIGINT, PRIMARY KEY (id, seen))"], rows(), "is not unique")]
#[case::key_of_a_part(&["CREATE TABLE visitors (id VARCHAR(9) NOT NULL, seen BIGINT, UNIQUE (id(3)))"], rows(), "is not unique")]
#[case::key_may_be_null(&["CREATE TABLE visitors (id INT UNIQUE, seen BIGINT)"], rows(), "may be NULL")]
#[case::key_of_a_fraction(&["CREATE TABLE visitors (id DOUBLE PRIMARY KEY, seen BIGINT)"], rows(), "is of type double")]
#[case::time_as_text(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen VARCHAR(20))"], rows(), "iso-8601")]
#[case::time_as_datetime(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen DATETIME)"], rows(), "format = \"datetime\"")]
#[case::not_null(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip VARCHAR(40) NOT NULL)"], erase_ip(None), "add `value = \"\"`")]
#[case::stand_in_too_long(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip CHAR(2))"], erase_ip(text("gone")), "cannot hold the `value`")]
#[case::stand_in_of_another_type(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip INT)"], erase_ip(text("gone")), "cannot hold the `value`")]
#[case::unique(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip VARCHAR(40) UNIQUE)"], truncate_ip(), "values would collide")]
#[case::generated(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip INT AS (id + 1) STORED)"], erase_ip(None), "computed from others")]
#[case::no_address(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip DOUBLE)"], truncate_ip(), "holds no addresses")]
#[case::text_in_bytes(&["CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip VARBINARY(45))"], truncate_ip(), "holds no addresses")]
#[case::trigger(&[VISITORS, "CREATE TRIGGER t AFTER DELETE ON visitors FOR EACH ROW SET @x = 1"], rows(), "trigger:t")]
#[case::trigger_of_another_event(&[VISITORS, "CREATE TRIGGER t AFTER DELETE ON visitors FOR EACH ROW SET @x = 1"], erase_ip(None), "")]
#[case::trigger_of_an_update(&[VISITORS, "CREATE TRIGGER t AFTER UPDATE ON visitors FOR EACH ROW SET @x = 1"], truncate_ip(), "trigger:t")]
#[case::cascade(&[VISITORS, &format!("{PAGES}, FOREIGN KEY (visitor) REFERENCES visitors (id) ON DELETE CASCADE)")], rows(), "cascade:pages")]
#[case::set_null(&[VISITORS, &format!("{PAGES}, FOREIGN KEY (visitor) REFERENCES visitors (id) ON DELETE SET NULL)")], rows(), "cascade:pages")]
#[case::forbidden(&[VISITORS, &format!("{PAGES}, FOREIGN KEY (visitor) REFERENCES visitors (id))")], rows(), "children = [ { table = \"pages\"")]
#[case::declared_child(&[VISITORS, &format!("{PAGES}, FOREIGN KEY (visitor) REFERENCES visitors (id))")], with_pages(), "")]
#[case::no_child(&[VISITORS], with_pages(), "no table pages")]
#[case::child_of_another_type(&[VISITORS, "CREATE TABLE pages (id INT PRIMARY KEY, visitor DATETIME, KEY (visitor))"], with_pages(), "unlike the key")]
#[case::trigger_of_a_child(&[VISITORS, &format!("{PAGES})"), "CREATE TRIGGER t AFTER DELETE ON pages FOR EACH ROW SET @x = 1"], with_pages(), "trigger:t")]
fn what_stands_in_the_way_of_a_rule_is_told(#[case] schema: &[&str], #[case] action: Action, #[case] expected: &str) {
    if !schema.iter().all(|statement| mariadb::knows(statement)) {
        return;
    }
    let database = database(schema);
    let rule = rule(database.kind("root"), action);
    let refusals = refusals(store::open_database(&rule.store).as_mut(), &rule);
    match expected {
        "" => assert_eq!(refusals, Vec::<String>::new()),
        _ => assert!(refusals.iter().any(|refusal| refusal.contains(expected)), "{refusals:?}"),
    }
}

#[test]
fn side_effects_that_were_accepted_are_no_refusal() {
    let database = database(&[
        VISITORS,
        &format!("{PAGES}, FOREIGN KEY (visitor) REFERENCES visitors (id) ON DELETE CASCADE)"),
        "CREATE TRIGGER t AFTER DELETE ON visitors FOR EACH ROW SET @x = 1",
    ]);
    let mut rule = rule(database.kind("root"), rows());
    rule.target.accepts = [SideEffect::Trigger("t".to_owned()), SideEffect::Cascade("pages".to_owned())].into();
    assert_eq!(refusals(store::open_database(&rule.store).as_mut(), &rule), Vec::<String>::new());
}

#[rstest]
#[case::datetime("DATETIME", None, "add `time-zone")]
#[case::date("DATE", None, "add `time-zone")]
#[case::datetime_with_zone("DATETIME", Some(TimeZone::UTC), "")]
#[case::timestamp("TIMESTAMP NULL", None, "")]
#[case::timestamp_with_zone("TIMESTAMP NULL", Some(TimeZone::UTC), "remove `time-zone`")]
fn a_zone_is_declared_where_the_type_has_none_and_only_there(
    #[case] declared: &str,
    #[case] zone: Option<TimeZone>,
    #[case] expected: &str,
) {
    let database = database(&[&format!("CREATE TABLE visitors ({KEY}, seen {declared}, KEY (seen))")]);
    let mut rule = rule(database.kind("root"), rows());
    rule.target.time.format = TimeFormat::Datetime;
    rule.target.time.zone = zone.map(|zone| Zone { name: "UTC".to_owned(), zone });
    let refusals = refusals(store::open_database(&rule.store).as_mut(), &rule);
    assert_eq!(refusals.is_empty(), expected.is_empty(), "{refusals:?}");
    assert!(refusals.iter().all(|refusal| refusal.contains(expected)), "{refusals:?}");
}

#[test]
fn a_value_that_no_column_of_that_type_has_is_refused() {
    let database = database(&[&format!("CREATE TABLE visitors ({KEY}, seen BIGINT, site INT, consent VARCHAR(9))")]);
    let mut rule = rule(database.kind("root"), rows());
    rule.target.filter.insert("site".to_owned(), Scalar::Text("3".to_owned()));
    rule.when = When::WithoutConsent(Consent { column: "consent".to_owned(), given: Scalar::Integer(1) });
    assert_eq!(refusals(store::open_database(&rule.store).as_mut(), &rule).len(), 2);
}

#[test]
fn a_missing_index_is_a_warning_with_the_statement_that_makes_it() {
    let database = database(&[&format!("CREATE TABLE visitors ({KEY}, seen BIGINT)")]);
    let rule = rule(database.kind("root"), rows());
    let mut store = store::open_database(&rule.store);
    let findings = store.inspect(&selection(&rule)).unwrap().findings;
    let [warning] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(warning.severity, Severity::Warning);
    database.connect().query_drop(warning.hint.as_ref().unwrap()).unwrap();
    assert_eq!(store.inspect(&selection(&rule)).unwrap().findings, []);
    // One that no query uses is none.
    let unused = if mariadb::is_mysql() { "INVISIBLE" } else { "IGNORED" };
    database.connect().query_drop(format!("ALTER TABLE visitors ALTER INDEX visitors_seen {unused}")).unwrap();
    assert_eq!(store.inspect(&selection(&rule)).unwrap().findings.len(), 1);
}

/// The statements that the refusals name are all that is needed, and after them the rule works.
#[rstest]
#[case::rows("rower", with_pages(), 1)]
#[case::column("columner", erase_ip(None), 1)]
fn the_grants_that_are_told_are_enough(#[case] user: &str, #[case] action: Action, #[case] expected: u64) {
    let database = database(&[
        "CREATE TABLE visitors (id BIGINT PRIMARY KEY, seen BIGINT, ip VARCHAR(40), \
         changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (seen))",
        &format!("{PAGES})"),
        "INSERT INTO visitors (id, seen, ip) VALUES (1, 1600000000, 'x'), (2, 1771000000, 'x')",
        "INSERT INTO pages VALUES (1, 1)",
    ]);
    let mut administrator = mariadb::shared().administrator();
    administrator.query_drop(format!("CREATE USER {user}@localhost")).unwrap();
    administrator.query_drop(format!("GRANT USAGE ON *.* TO {user}@localhost")).unwrap();
    // Without any grant in the database the login itself is refused; with one on nothing in it, it is not.
    administrator.query_drop(format!("CREATE TABLE {}.other (id INT)", database.name)).unwrap();
    administrator.query_drop(format!("GRANT SELECT ON {}.other TO {user}@localhost", database.name)).unwrap();
    let rule = rule(database.kind(user), action);
    let mut given = Vec::new();
    loop {
        let mut store = store::open_database(&rule.store);
        let findings = store.inspect(&selection(&rule)).unwrap().findings;
        let refusals = findings.iter().filter(|finding| finding.severity == Severity::Refusal);
        let grants: Vec<String> = refusals
            .map(|finding| {
                let hint = finding.hint.clone().unwrap();
                hint[hint.find("GRANT").unwrap_or_else(|| panic!("{finding:?}"))..].to_owned()
            })
            .collect();
        if grants.is_empty() {
            assert_eq!(erase(store.as_mut(), &selection(&rule), 9), expected);
            break;
        }
        for grant in grants {
            assert!(!given.contains(&grant), "given already: {grant}");
            administrator.query_drop(&grant).unwrap();
            given.push(grant);
        }
    }
    assert_eq!(count(&database, "pages"), if user == "rower" { 0 } else { 1 });
    let on_everything: Vec<&String> = given.iter().filter(|grant| grant.contains("ON *.*")).collect();
    // None of them shows a record.
    let expected: &[&str] = if mariadb::is_mysql() { &["REPLICATION CLIENT", "REFERENCES"] } else { &["SHOW VIEW"] };
    let expected = expected.iter().map(|privilege| format!("GRANT {privilege} ON *.* TO '{user}'@'localhost';"));
    assert_eq!(on_everything, expected.collect::<Vec<_>>().iter().collect::<Vec<_>>());
}
