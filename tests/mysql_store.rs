//! What is MySQL's and MariaDB's own, on a real server: types, masks, locks, lost connections, partitions, privileges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "mysql_store/inspect.rs"]
mod inspect;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/mariadb_pair.rs"]
mod mariadb_pair;
#[path = "mysql_store/masks.rs"]
mod masks;
#[path = "mysql_store/partitions.rs"]
mod partitions;
#[path = "mysql_store/reach.rs"]
mod reach;
#[path = "mysql_store/server.rs"]
mod server;
#[path = "mysql_store/shape.rs"]
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forgetd::config::TimeFormat;
use forgetd::config::site::{Child, DatabaseKind, Mask, RowTime, Scalar, TimeMeaning, Unparsed, Zone};
use forgetd::plan::{Action, TableRule, Target, When};
use forgetd::store::{self, HeldValue, Resolution, Selection, Store, StoreError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mariadb::MariaDbDatabase;
use mysql::prelude::Queryable;
use rstest::rstest;

const MAX_LAG: Duration = Duration::from_secs(10);

/// Expired, whatever the zone.
const OLD: i64 = 1_600_000_000;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn cutoff() -> Timestamp {
    "2025-09-01T00:00:00Z".parse().unwrap()
}

/// A database with these statements run in it.
fn database(statements: &[&str]) -> MariaDbDatabase {
    let database = mariadb::shared().database();
    run(&database, statements);
    database
}

fn run(database: &MariaDbDatabase, statements: &[&str]) {
    let mut connection = database.connect();
    statements.iter().for_each(|statement| connection.query_drop(mariadb::in_its_words(statement)).unwrap());
}

fn count(database: &MariaDbDatabase, table: &str) -> u64 {
    database.connect().query_first(format!("SELECT COUNT(*) FROM {table}")).unwrap().unwrap()
}

fn rule(kind: DatabaseKind, action: Action) -> TableRule {
    TableRule {
        rule: serde_json::from_value("shop.example/chat/visitors".into()).unwrap(),
        store: kind,
        target: Target {
            table: "visitors".to_owned(),
            key: "id".to_owned(),
            time: RowTime {
                column: "seen".to_owned(),
                format: TimeFormat::UnixSeconds,
                zone: None,
                meaning: TimeMeaning::Recorded,
            },
            filter: BTreeMap::new(),
            accepts: BTreeSet::new(),
        },
        when: When::Older("6 months".parse().unwrap()),
        action,
        zone: Zone { name: "UTC".to_owned(), zone: TimeZone::UTC },
    }
}

fn rows() -> Action {
    Action::EraseRows { children: Vec::new() }
}

fn selection(rule: &TableRule) -> Selection<'_> {
    Selection { rule: rule.into(), now: now(), cutoff: Some(cutoff()), holds: Vec::new() }
}

/// Walks to the end; how many records were erased.
fn erase(store: &mut dyn Store, selection: &Selection<'_>, limit: u32) -> u64 {
    let mut walk = store.walk(selection, MAX_LAG).unwrap();
    let mut rows = 0;
    while let Some(batch) = walk.prepare(limit).unwrap() {
        rows += batch.rows();
        batch.commit().unwrap();
    }
    assert_eq!(walk.remainder().unwrap().left, 0);
    rows
}

const VISITORS: &str = "CREATE TABLE visitors (id BIGINT PRIMARY KEY, seen BIGINT, ip VARCHAR(200), KEY (seen))";

#[test]
fn names_may_hold_any_character() {
    let database = database(&[
        "CREATE TABLE `we``ird \"t' -- é` (`i d` INT PRIMARY KEY, `last'seen` BIGINT, `sélect` VARCHAR(9))",
        "INSERT INTO `we``ird \"t' -- é` VALUES (1, 1600000000, 'a'), (2, 1771000000, 'b')",
    ]);
    let mut rule = rule(database.kind("root"), Action::EraseColumn { column: "sélect".to_owned(), stand_in: None });
    rule.target.table = "we`ird \"t' -- é".to_owned();
    rule.target.key = "i d".to_owned();
    rule.target.time.column = "last'seen".to_owned();
    let mut store = store::open_database(&rule.store);
    assert_eq!(inspect::refusals(store.as_mut(), &rule), Vec::<String>::new());
    assert_eq!(erase(store.as_mut(), &selection(&rule), 9), 1);
}

#[rstest]
#[case::close_together("BIGINT UNSIGNED", "seq")]
#[case::far_apart("BIGINT UNSIGNED", "seq * 1000003")]
#[case::beyond_signed_numbers("BIGINT UNSIGNED", "18446744073709551615 - seq * 97")]
#[case::negative("BIGINT", "-seq * 50")]
#[case::text("VARCHAR(40)", "LEFT(SHA2(seq, 256), 32)")]
#[case::bytes("BINARY(16)", "UNHEX(LEFT(SHA2(seq, 256), 32))")]
#[case::uuid("UUID", "CONCAT('12345678-1234-4123-8123-', LPAD(seq, 12, '0'))")]
fn keys_of_every_type_are_walked_whatever_the_gaps(#[case] declared: &str, #[case] key: &str) {
    if !mariadb::knows(declared) {
        return;
    }
    let database = database(&[
        &format!("CREATE TABLE visitors (id {declared} PRIMARY KEY, seen BIGINT, KEY (seen))"),
        &format!("INSERT INTO visitors SELECT {key}, IF(seq % 3 = 0, 1771000000, 1600000000) FROM seq_1_to_9000"),
    ]);
    let rule = rule(database.kind("root"), rows());
    let mut store = store::open_database(&rule.store);
    let selection = selection(&rule);
    assert_eq!(store.survey(&selection).unwrap().matches, 6_000);
    assert_eq!(erase(store.as_mut(), &selection, 2_500), 6_000);
    assert_eq!(count(&database, "visitors"), 3_000);
}

#[rstest]
#[case::in_order("seq <= 20000", 20_000)]
#[case::anywhere("seq % 3 = 0", 13_333)]
#[case::in_two_heaps("seq <= 9000 OR seq > 31000", 18_000)]
#[case::rare_and_then_all("seq % 100 = 0 OR seq > 25000", 15_250)]
fn where_much_of_a_large_table_goes_nothing_is_left_and_nothing_more_is_gone(#[case] old: &str, #[case] expected: u64) {
    let database = database(&[
        VISITORS,
        &format!("INSERT INTO visitors SELECT seq, IF({old}, 1600000000, 1771000000), '' FROM seq_1_to_40000"),
        "ANALYZE TABLE visitors",
    ]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut store = store::open(&rule);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let mut rows = 0;
    while let Some(batch) = walk.prepare(1_000).unwrap() {
        // Whatever was guessed, a batch stays within its bounds.
        assert!(batch.rows() <= 4_000);
        // A few keys of a range are written down, where every key of a list would be.
        assert!(batch.in_flight().len() < 1_000);
        rows += batch.rows();
        batch.commit().unwrap();
    }
    assert_eq!((rows, walk.remainder().unwrap().left), (expected, 0));
    drop(walk);
    assert_eq!(count(&database, "visitors"), 40_000 - expected);
    assert_eq!(count(&database, &format!("visitors WHERE seen = {OLD}")), 0);
}

#[test]
fn in_a_large_table_lists_of_addresses_are_masked_as_well() {
    let database = database(&[
        VISITORS,
        "INSERT INTO visitors SELECT seq, IF(seq % 2 = 0, 1600000000, 1771000000), \
         IF(seq % 50 < 2, '198.51.100.7, 203.0.113.9', CONCAT('198.51.100.', seq % 250 + 1)) FROM seq_1_to_30000",
        "ANALYZE TABLE visitors",
    ]);
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let rule = rule(database.kind("root"), Action::TruncateColumn { column: "ip".to_owned(), stand_in: None, mask });
    let mut store = store::open_database(&rule.store);
    let selection = selection(&rule);
    assert_eq!(store.survey(&selection).unwrap().matches, 15_000);
    assert_eq!(erase(store.as_mut(), &selection, 1_000), 15_000);
    let masked = "visitors WHERE seen = 1600000000 AND ip = '198.51.100.0'";
    let lists = "visitors WHERE seen = 1600000000 AND ip = '198.51.100.0, 203.0.113.0'";
    assert_eq!((count(&database, masked), count(&database, lists)), (14_400, 600));
    assert_eq!(count(&database, "visitors WHERE ip LIKE '%.0'"), 15_000);
    assert_eq!(store.survey(&selection).unwrap().matches, 0);
}

#[test]
fn a_range_whose_outcome_is_unknown_is_resolved_by_what_is_there() {
    let database = database(&[
        VISITORS,
        "INSERT INTO visitors SELECT seq, 1600000000, '' FROM seq_1_to_20000",
        "ANALYZE TABLE visitors",
    ]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut store = store::open(&rule);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let rolled_back = walk.prepare(1_000).unwrap().unwrap().in_flight().to_vec();
    let batch = walk.prepare(1_000).unwrap().unwrap();
    let committed = batch.in_flight().to_vec();
    drop(batch);
    drop(walk);
    assert_eq!(store.resolve(&selection, &rolled_back).unwrap(), Resolution::RolledBack);
    assert!(erase(store.as_mut(), &selection, 1_000) == 20_000);
    assert_eq!(store.resolve(&selection, &committed).unwrap(), Resolution::Committed);
}

#[test]
fn more_keys_than_fit_in_memory_at_once_are_read_in_pieces() {
    let database = database(&[
        "CREATE TABLE visitors (id VARCHAR(40) PRIMARY KEY, seen BIGINT, KEY (seen))",
        "INSERT INTO visitors SELECT LEFT(SHA2(seq, 256), 32), IF(seq % 5 = 0, 1771000000, 1600000000) FROM seq_1_to_55000",
    ]);
    let rule = rule(database.kind("root"), rows());
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection(&rule), 100_000), 44_000);
    assert_eq!(count(&database, "visitors"), 11_000);
}

#[test]
fn children_that_hold_the_key_as_text_go_as_well_and_others_stay() {
    let database = database(&[
        VISITORS,
        "CREATE TABLE meta (id INT AUTO_INCREMENT PRIMARY KEY, visitor VARCHAR(20), KEY (visitor))",
        "INSERT INTO visitors VALUES (1, 1600000000, NULL), (2, 1771000000, NULL)",
        "INSERT INTO meta (visitor) VALUES ('1'), ('1'), ('1abc'), ('01'), ('2')",
    ]);
    let child = Child { table: "meta".to_owned(), column: "visitor".to_owned() };
    let rule = rule(database.kind("root"), Action::EraseRows { children: vec![child] });
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(9).unwrap().unwrap();
    assert_eq!((batch.rows(), batch.children()), (1, 2));
    batch.commit().unwrap();
    assert_eq!(count(&database, "meta"), 3);
}

/// Which children of `stored` are left after the parent with the key `expired` has gone; `fresh` stays.
fn children_left(parent: &str, child: &str, (expired, fresh): (&str, &str), stored: &[&str]) -> Vec<String> {
    let database = database(&[
        &format!("CREATE TABLE visitors (id VARCHAR(20) {parent} PRIMARY KEY, seen BIGINT)"),
        &format!("CREATE TABLE meta (id INT AUTO_INCREMENT PRIMARY KEY, visitor VARCHAR(20) {child}, KEY (visitor))"),
        &format!("INSERT INTO visitors VALUES ('{expired}', 1600000000), ('{fresh}', 1771000000)"),
    ]);
    let mut connection = database.connect();
    stored.iter().for_each(|key| connection.exec_drop("INSERT INTO meta (visitor) VALUES (?)", (key,)).unwrap());
    let child = Child { table: "meta".to_owned(), column: "visitor".to_owned() };
    let rule = rule(database.kind("root"), Action::EraseRows { children: vec![child] });
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection(&rule), 9), 1);
    connection.query("SELECT visitor FROM meta ORDER BY id").unwrap()
}

#[rstest]
#[case::parent_of_bytes("COLLATE utf8mb4_bin", "COLLATE utf8mb4_general_ci", ("aB3", "ab3"), &["aB3", "ab3"], &["ab3"])]
#[case::parent_of_letters("COLLATE utf8mb4_general_ci", "COLLATE utf8mb4_bin", ("aB3", "x"), &["aB3", "x"], &["x"])]
#[case::child_of_fewer_characters(
    "CHARACTER SET utf8mb4", "CHARACTER SET latin1", ("Dvo\u{159}\u{e1}k", "x"), &["x", "Dvo??k"], &["x", "Dvo??k"]
)]
#[case::child_of_more_characters(
    "CHARACTER SET latin1 COLLATE latin1_bin", "CHARACTER SET utf8mb4", ("Ren\u{e9}", "?"),
    &["Ren\u{e9}", "\u{416}", "?", "REN\u{c9}"], &["\u{416}", "?", "REN\u{c9}"]
)]
fn children_are_those_whose_key_is_equal_for_the_parent(
    #[case] parent: &str,
    #[case] child: &str,
    #[case] keys: (&str, &str),
    #[case] stored: &[&str],
    #[case] expected: &[&str],
) {
    let character_set = |declared: &str| match declared.starts_with("COLLATE") {
        true => format!("CHARACTER SET utf8mb4 {declared}"),
        false => declared.to_owned(),
    };
    assert_eq!(children_left(&character_set(parent), &character_set(child), keys, stored), expected);
}

#[test]
fn rows_that_arrive_inside_the_range_of_a_batch_are_not_taken_for_it() {
    let database = database(&[VISITORS, "INSERT INTO visitors VALUES (1, 1600000000, ''), (3, 1600000000, '')"]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    drop(walk.prepare(2).unwrap());
    run(&database, &["INSERT INTO visitors VALUES (2, 1600000000, '')"]);
    let batch = walk.prepare(2).unwrap().unwrap();
    assert_eq!(batch.rows(), 2);
    batch.commit().unwrap();
    drop(walk);
    let left: Vec<i64> = database.connect().query("SELECT id FROM visitors").unwrap();
    assert_eq!(left, [2]);
}

#[test]
fn a_row_that_the_application_has_locked_makes_the_batch_wait_and_then_give_up() {
    let database = database(&[VISITORS, "INSERT INTO visitors VALUES (1, 1600000000, ''), (2, 1600000000, '')"]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let mut application = database.connect();
    application.query_drop("BEGIN").unwrap();
    application.query_drop("SELECT * FROM visitors WHERE id = 2 FOR UPDATE").unwrap();
    assert!(matches!(walk.prepare(9).err(), Some(StoreError::Busy { .. })));
    // What the batch had locked is free again.
    application.query_drop("UPDATE visitors SET ip = 'x' WHERE id = 1").unwrap();
    application.query_drop("COMMIT").unwrap();
    assert_eq!(walk.prepare(9).unwrap().unwrap().rows(), 2);
}

/// A small table, of which the server would rather read a whole index than look up some keys.
#[test]
fn while_a_batch_is_open_the_application_can_write_to_every_other_row() {
    let database = database(&[
        VISITORS,
        "CREATE TABLE pages (visitor BIGINT, KEY (visitor))",
        "INSERT INTO visitors SELECT seq, IF(seq <= 200, 1600000000, 1771000000), '' FROM seq_1_to_400",
        "INSERT INTO pages SELECT seq FROM seq_1_to_400",
        "ANALYZE TABLE visitors, pages",
    ]);
    let child = Child { table: "pages".to_owned(), column: "visitor".to_owned() };
    let rule = rule(database.kind("root"), Action::EraseRows { children: vec![child] });
    let selection = selection(&rule);
    let mut store = store::open(&rule);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(150).unwrap().unwrap();
    let mut application = database.connect();
    application.query_drop("SET innodb_lock_wait_timeout = 1").unwrap();
    application.query_drop("UPDATE visitors FORCE INDEX (PRIMARY) SET ip = 'x' WHERE id > 150").unwrap();
    application
        .query_drop("UPDATE pages FORCE INDEX (visitor) SET visitor = visitor + 1000 WHERE visitor > 150")
        .unwrap();
    batch.commit().unwrap();
}

#[test]
fn one_purger_at_a_time_works_on_a_table() {
    let database = database(&[VISITORS, "INSERT INTO visitors VALUES (1, 1600000000, '')"]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let (mut one, mut other) = (store::open_database(&rule.store), store::open_database(&rule.store));
    let mut first = one.walk(&selection, MAX_LAG).unwrap();
    drop(first.prepare(9).unwrap());
    let mut second = other.walk(&selection, MAX_LAG).unwrap();
    assert!(matches!(second.prepare(9).err(), Some(StoreError::Busy { .. })));
    drop(first);
    assert_eq!(second.prepare(9).unwrap().unwrap().rows(), 1);
}

#[test]
fn erasing_a_column_does_not_make_the_visitor_seen_again() {
    let database = database(&[
        "CREATE TABLE visitors (id INT PRIMARY KEY, seen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP \
         ON UPDATE CURRENT_TIMESTAMP, changed DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, \
         ip VARCHAR(40), KEY (seen))",
        "INSERT INTO visitors VALUES (1, '2024-01-01 10:00:00', '2024-01-02 10:00:00', '192.0.2.77')",
    ]);
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let column = || "ip".to_owned();
    for action in [
        Action::TruncateColumn { column: column(), mask, stand_in: None },
        Action::EraseColumn { column: column(), stand_in: None },
    ] {
        let mut rule = rule(database.kind("root"), action);
        rule.target.time.format = TimeFormat::Datetime;
        assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection(&rule), 9), 1);
    }
    let left: Vec<(String, String)> = database.connect().query("SELECT seen, changed FROM visitors").unwrap();
    assert_eq!(left, [("2024-01-01 10:00:00".to_owned(), "2024-01-02 10:00:00".to_owned())]);
}

#[rstest]
#[case::number("INT", "7", "7")]
#[case::number_written_with_zeros("INT", "7", "007")]
#[case::fraction("DECIMAL(10,2)", "7", "7")]
#[case::approximate_number("DOUBLE", "7", "7")]
#[case::number_for_text("VARCHAR(20)", "'7'", "7")]
#[case::text_in_other_letters("VARCHAR(20)", "'Anna'", "anna")]
#[case::bytes("VARBINARY(20)", "'7'", "7")]
#[case::padded_bytes("BINARY(20)", "'7'", "7")]
#[case::uuid_as_bytes("BINARY(16)", "x'000102030405060708090a0b0c0d0e0f'", "00010203-0405-0607-0809-0a0b0c0d0e0f")]
#[case::uuid("UUID", "'00010203-0405-0607-0809-0a0b0c0d0e0f'", "00010203-0405-0607-0809-0a0b0c0d0e0f")]
#[case::enumeration("ENUM('x', 'y')", "'x'", "x")]
#[case::bit("BIT(4)", "7", "7")]
#[case::date("DATE", "'2020-01-01'", "2020-01-01")]
#[case::uuid_in_capitals("UUID", "'550e8400-e29b-41d4-a716-446655440000'", "550E8400-E29B-41D4-A716-446655440000")]
#[case::uuid_without_dashes("UUID", "'550e8400-e29b-41d4-a716-446655440000'", "550e8400e29b41d4a716446655440000")]
#[case::inet6_in_capitals("INET6", "'2001:db8::1'", "2001:DB8::1")]
#[case::inet6_written_out("INET6", "'2001:db8::1'", "2001:0db8:0:0:0:0:0:1")]
#[case::v4_in_inet6("INET6", "'::ffff:192.0.2.7'", "192.0.2.7")]
#[case::inet4("INET4", "'192.0.2.7'", "::ffff:192.0.2.7")]
#[case::datetime_without_fraction("DATETIME(6)", "'2020-01-01 10:00:00'", "2020-01-01 10:00:00")]
#[case::datetime_with_a_letter("DATETIME", "'2020-01-01 10:00:00'", "2020-01-01T10:00:00")]
#[case::timestamp("TIMESTAMP(6) NULL", "'2020-01-01 10:00:00'", "2020-01-01T11:00:00+01:00")]
#[case::date_with_midnight("DATE", "'2020-01-01'", "2020-01-01 00:00:00")]
#[case::time_of_day("TIME(3)", "'10:00:00'", "10:00:00")]
#[case::set_in_another_order("SET('a', 'b', 'c')", "'a,b'", "B, a")]
#[case::year("YEAR", "2020", "02020")]
#[case::unsigned("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615")]
#[case::zero_filled("INT(8) ZEROFILL", "7", "7")]
#[case::text_that_the_character_set_lacks("VARCHAR(20) CHARACTER SET latin1", "'x'", "x")]
fn a_hold_holds_whatever_the_type_of_the_column(#[case] declared: &str, #[case] stored: &str, #[case] held: &str) {
    if !mariadb::knows(declared) {
        return;
    }
    let database = database(&[
        &format!("CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, customer {declared})"),
        &format!("INSERT INTO visitors VALUES (1, {OLD}, {stored}), (2, {OLD}, NULL)"),
    ]);
    let rule = rule(database.kind("root"), rows());
    let mut selection = selection(&rule);
    selection.holds.push(HeldValue { column: "customer".to_owned(), value: held.to_owned() });
    let mut store = store::open_database(&rule.store);
    let survey = store.survey(&selection).unwrap();
    assert_eq!((survey.matches, survey.on_hold), (1, 1));
    assert_eq!(erase(store.as_mut(), &selection, 9), 1);
    assert_eq!(database.connect().query::<i64, _>("SELECT id FROM visitors").unwrap(), [1]);
}

#[test]
fn a_hold_whose_text_the_character_set_lacks_holds_nothing_and_breaks_nothing() {
    let database = database(&[
        "CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, customer VARCHAR(20) CHARACTER SET latin1)",
        "INSERT INTO visitors VALUES (1, 1600000000, 'Dvo??k'), (2, 1600000000, 'Ren\u{e9}')",
    ]);
    let rule = rule(database.kind("root"), rows());
    let mut selection = selection(&rule);
    for value in ["Dvo\u{159}\u{e1}k", "Ren\u{e9}"] {
        selection.holds.push(HeldValue { column: "customer".to_owned(), value: value.to_owned() });
    }
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection, 9), 1);
    assert_eq!(database.connect().query::<i64, _>("SELECT id FROM visitors").unwrap(), [2]);
}

#[rstest]
#[case::number("INT", "3", Scalar::Integer(3), 1)]
#[case::other_number("INT", "4", Scalar::Integer(3), 0)]
#[case::boolean("TINYINT(1)", "1", Scalar::Boolean(true), 1)]
#[case::bit("BIT(1)", "1", Scalar::Boolean(true), 1)]
#[case::number_for_text("VARCHAR(9)", "'3'", Scalar::Integer(3), 0)]
#[case::text_for_number("INT", "3", Scalar::Text("3".to_owned()), 0)]
#[case::text("VARCHAR(9)", "'x'", Scalar::Text("x".to_owned()), 1)]
#[case::text_in_other_letters("VARCHAR(9)", "'X'", Scalar::Text("x".to_owned()), 0)]
#[case::text_with_a_space("VARCHAR(9)", "'x '", Scalar::Text("x".to_owned()), 0)]
#[case::quotes("VARCHAR(9)", "'a\\'b\\\\'", Scalar::Text("a'b\\".to_owned()), 1)]
#[case::padded_bytes("BINARY(8)", "'x'", Scalar::Text("x".to_owned()), 1)]
#[case::uuid("UUID", "'550e8400-e29b-41d4-a716-446655440000'", Scalar::Text("550E8400-E29B-41D4-A716-446655440000".to_owned()), 1)]
#[case::text_that_the_character_set_lacks("VARCHAR(9) CHARACTER SET latin1", "'x'", Scalar::Text("\u{159}".to_owned()), 0)]
fn a_filter_lets_through_what_is_equal_in_type_and_value(
    #[case] declared: &str,
    #[case] stored: &str,
    #[case] filter: Scalar,
    #[case] expected: u64,
) {
    if !mariadb::knows(declared) {
        return;
    }
    let database = database(&[
        &format!("CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, site {declared})"),
        &format!("INSERT INTO visitors VALUES (1, {OLD}, {stored})"),
    ]);
    let mut rule = rule(database.kind("root"), rows());
    rule.target.filter.insert("site".to_owned(), filter);
    let survey = store::open_database(&rule.store).survey(&selection(&rule)).unwrap();
    assert_eq!((survey.matches, survey.total), (expected, expected));
}

/// (value, whether it has no consent, whether it is a doubt)
#[test]
fn consent_that_is_written_a_little_differently_is_a_doubt() {
    for declared in ["VARCHAR(20)", "VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin", "ENUM('yes', 'no')"] {
        let database =
            database(&[&format!("CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, consent {declared})")]);
        let mut values = vec!["'yes'", "'no'", "NULL"];
        let mut doubts = 0;
        if declared.starts_with("VARCHAR") {
            values.extend(["'Yes'", "'yes '", "' YES'", "'yesterday'", "''"]);
            doubts = 3;
        }
        for (id, value) in values.iter().enumerate() {
            run(&database, &[&format!("INSERT INTO visitors VALUES ({id}, {OLD}, {value})")]);
        }
        let mut rule = rule(database.kind("root"), rows());
        let given = Scalar::Text("yes".to_owned());
        rule.when = When::WithoutConsent(forgetd::config::site::Consent { column: "consent".to_owned(), given });
        let mut store = store::open_database(&rule.store);
        let selection = Selection { cutoff: None, ..selection(&rule) };
        let expected = u64::try_from(values.len()).unwrap() - 1 - doubts;
        let survey = store.survey(&selection).unwrap();
        assert_eq!((survey.matches, survey.undatable), (expected, doubts), "{declared}");
        assert_eq!(erase(store.as_mut(), &selection, 9), expected);
        assert_eq!(count(&database, "visitors WHERE TRIM(consent) IN ('yes', 'Yes', 'YES')"), 1 + doubts);
    }
}

#[test]
fn a_stand_in_of_spaces_is_written_once() {
    let database = database(&[
        "CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip CHAR(5) NOT NULL)",
        "INSERT INTO visitors VALUES (1, 1600000000, 'x')",
    ]);
    let stand_in = Some(Scalar::Text("- ".to_owned()));
    let rule = rule(database.kind("root"), Action::EraseColumn { column: "ip".to_owned(), stand_in });
    let mut store = store::open_database(&rule.store);
    assert_eq!(erase(store.as_mut(), &selection(&rule), 9), 1);
    assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 0);
}

/// What the server was told, seen from inside of a statement of a batch.
#[test]
fn the_sessions_settings_are_its_own_whatever_the_servers_are() {
    // MySQL has no limit on a transaction that rests, and its limit on statements is in milliseconds.
    let (isolation, limit, resting, limited) = match mariadb::is_mysql() {
        true => ("transaction_isolation", "max_execution_time", "'none'", "60000"),
        false => ("tx_isolation", "max_statement_time", "@@SESSION.idle_transaction_timeout", "60"),
    };
    let server = mariadb::MariaDb::start(
        "--skip-networking --sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH",
    );
    let database = server.database();
    run(
        &database,
        &[
            VISITORS,
            "CREATE TABLE settings (name VARCHAR(40), value VARCHAR(400))",
            &format!(
                "CREATE TRIGGER t BEFORE DELETE ON visitors FOR EACH ROW INSERT INTO settings VALUES \
         ('time_zone', @@SESSION.time_zone), ('isolation', @@SESSION.{isolation}), \
         ('innodb_lock_wait_timeout', @@SESSION.innodb_lock_wait_timeout), \
         ('lock_wait_timeout', @@SESSION.lock_wait_timeout), ('wait_timeout', @@SESSION.wait_timeout), \
         ('resting', {resting}), \
         ('limit', @@SESSION.{limit}), ('checks', @@SESSION.foreign_key_checks), \
         ('characters', @@SESSION.character_set_client)"
            ),
            "INSERT INTO visitors VALUES (1, 1600000000, '')",
        ],
    );
    let rule = rule(database.kind("root"), rows());
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection(&rule), 9), 1);
    let told: Vec<(String, String)> = database.connect().query("SELECT name, value FROM settings").unwrap();
    let expected = [
        ("time_zone", "+00:00"),
        ("isolation", "READ-COMMITTED"),
        ("innodb_lock_wait_timeout", "2"),
        ("lock_wait_timeout", "2"),
        ("wait_timeout", "900"),
        ("resting", if mariadb::is_mysql() { "none" } else { "60" }),
        ("limit", limited),
        ("checks", "1"),
        ("characters", "utf8mb4"),
    ];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_deadlock_undoes_the_batch_and_it_is_tried_again() {
    let database = database(&[
        VISITORS,
        "CREATE TABLE other (id INT PRIMARY KEY)",
        "INSERT INTO visitors VALUES (1, 1600000000, ''), (2, 1600000000, '')",
    ]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let mut application = database.connect();
    application.query_drop("SET innodb_lock_wait_timeout = 30").unwrap();
    application.query_drop("BEGIN").unwrap();
    // The server undoes whoever has changed less.
    application.query_drop(mariadb::in_its_words("INSERT INTO other SELECT seq FROM seq_1_to_1000")).unwrap();
    application.query_drop("SELECT * FROM visitors WHERE id = 2 FOR UPDATE").unwrap();
    std::thread::scope(|scope| {
        let application = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            application.query_drop("UPDATE visitors SET ip = 'x' WHERE id = 1").unwrap();
            application.query_drop("COMMIT").unwrap();
        });
        let started = std::time::Instant::now();
        assert!(matches!(walk.prepare(9).err(), Some(StoreError::Busy { .. })));
        assert!(started.elapsed() < Duration::from_millis(1_900), "the lock was waited for to the end");
        application.join().unwrap();
    });
    assert_eq!(walk.prepare(9).unwrap().unwrap().rows(), 2);
}

#[test]
fn rows_that_were_written_anew_do_not_undo_what_a_commit_did() {
    let database = database(&[VISITORS, "INSERT INTO visitors SELECT seq, 1600000000, '' FROM seq_1_to_500"]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(500).unwrap().unwrap();
    let in_flight = batch.in_flight().to_vec();
    drop(batch);
    drop(walk);
    // Rolled back, and some visitors came again.
    run(&database, &["UPDATE visitors SET seen = 1771000000 WHERE id <= 9"]);
    assert_eq!(store.resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    while let Some(batch) = walk.prepare(500).unwrap() {
        batch.commit().unwrap();
    }
    drop(walk);
    // Committed, and a cache of the application wrote a few back.
    run(&database, &["INSERT INTO visitors VALUES (100, 1600000000, ''), (101, 1600000000, '')"]);
    assert_eq!(store.resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
}

#[test]
fn an_error_of_the_server_does_not_quote_a_record() {
    let database = database(&[
        VISITORS,
        "CREATE TRIGGER t BEFORE DELETE ON visitors FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'canary'",
        "INSERT INTO visitors VALUES (1, 1600000000, 'canary')",
    ]);
    let rule = rule(database.kind("root"), rows());
    let mut store = store::open_database(&rule.store);
    let selection = selection(&rule);
    let failed = store.walk(&selection, MAX_LAG).unwrap().prepare(1).err().unwrap();
    assert!(matches!(failed, StoreError::Failed { .. }));
    assert!(!format!("{failed} {failed:?}").contains("canary"));
    assert_eq!(count(&database, "visitors"), 1);
}

#[test]
fn a_commit_whose_connection_is_killed_is_resolved_to_what_happened() {
    let database =
        database(&[VISITORS, "INSERT INTO visitors SELECT seq, 1600000000, '192.0.2.77' FROM seq_1_to_3000"]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut administrator = mariadb::shared().administrator();
    let (mut expected, mut unknown) = (3_000, 0);
    for attempt in 0..60 {
        let mut store = store::open_database(&rule.store);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(20).unwrap().unwrap();
        let (rows, in_flight) = (batch.rows(), batch.in_flight().to_vec());
        let sql = format!("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}'", database.name);
        let sessions: Vec<u64> = administrator.query(sql).unwrap();
        let committed = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(attempt * 10));
                // Those of earlier attempts may have ended since.
                sessions.iter().for_each(|id| drop(administrator.query_drop(format!("KILL CONNECTION {id}"))));
            });
            if attempt < 5 {
                std::thread::sleep(Duration::from_millis(100));
            }
            batch.commit()
        });
        drop(walk);
        let is_gone = match committed {
            Ok(_) => true,
            Err(StoreError::CommitUnknown { .. }) => {
                unknown += 1;
                store::open_database(&rule.store).resolve(&selection, &in_flight).unwrap() == Resolution::Committed
            }
            Err(other) => panic!("{other}"),
        };
        expected -= if is_gone { rows } else { 0 };
        assert_eq!(count(&database, "visitors"), expected);
    }
    assert!(unknown >= 5, "{unknown}");
}

#[test]
fn a_lost_connection_is_told_and_the_store_goes_on_with_another() {
    let database = database(&[VISITORS, "INSERT INTO visitors SELECT seq, 1600000000, '' FROM seq_1_to_100"]);
    let rule = rule(database.kind("root"), rows());
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    walk.prepare(10).unwrap().unwrap().commit().unwrap();
    let mut administrator = mariadb::shared().administrator();
    let sql = format!("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}'", database.name);
    for id in administrator.query::<u64, _>(sql).unwrap() {
        administrator.query_drop(format!("KILL CONNECTION {id}")).unwrap();
    }
    assert!(matches!(walk.prepare(10).err(), Some(StoreError::Lost { .. })));
    drop(walk);
    store.reconnect();
    assert_eq!(erase(store.as_mut(), &selection, 50), 90);
}
