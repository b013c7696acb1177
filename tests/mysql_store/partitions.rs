//! Whole partitions go at once, and never one with a record inside retention.

use forgetd::config::TimeFormat;
use forgetd::config::site::Zone;
use forgetd::plan::TableRule;
use forgetd::store::{self, HeldValue, Resolution};
use jiff::tz::TimeZone;
use mysql::prelude::Queryable;

use super::mariadb::MariaDbDatabase;
use super::{MAX_LAG, count, database, erase, rows, rule, run, selection};

const PARTITIONED: &str = "CREATE TABLE visitors (id INT NOT NULL, seen DATETIME NOT NULL, UNIQUE KEY (id, seen), \
    KEY (id)) PARTITION BY RANGE COLUMNS (seen) (PARTITION p2023 VALUES LESS THAN ('2024-01-01'), \
    PARTITION p2024 VALUES LESS THAN ('2025-01-01'), PARTITION p2025 VALUES LESS THAN ('2026-01-01'), \
    PARTITION rest VALUES LESS THAN (MAXVALUE))";

/// A table whose only unique key is the partitioned time: the server wants the time in every unique key.
fn by_seconds(values: &str) -> MariaDbDatabase {
    database(&[
        "CREATE TABLE visitors (seen BIGINT NOT NULL PRIMARY KEY) PARTITION BY RANGE (seen) \
         (PARTITION old VALUES LESS THAN (1700000000), PARTITION older VALUES LESS THAN (1735689600), \
         PARTITION straddling VALUES LESS THAN (1767225600), PARTITION rest VALUES LESS THAN (MAXVALUE))",
        &format!("INSERT INTO visitors VALUES {values}"),
    ])
}

fn of_seconds(database: &MariaDbDatabase) -> TableRule {
    let mut rule = rule(database.kind("root"), rows());
    rule.target.key = "seen".to_owned();
    rule
}

fn partitions(database: &MariaDbDatabase) -> Vec<String> {
    let sql = "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() \
               ORDER BY PARTITION_ORDINAL_POSITION";
    database.connect().query(sql).unwrap()
}

#[test]
fn expired_partitions_are_dropped_and_the_one_that_straddles_is_erased_from() {
    // 1756684800 is the cutoff.
    let database = by_seconds("(1600000000), (1600000001), (1720000000), (1756684799), (1756684800), (1771000000)");
    let rule = of_seconds(&database);
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    assert_eq!(store.survey(&selection).unwrap().matches, 4);
    assert_eq!(erase(store.as_mut(), &selection, 9), 4);
    assert_eq!(partitions(&database), ["straddling", "rest"]);
    assert_eq!(
        database.connect().query::<i64, _>("SELECT seen FROM visitors").unwrap(),
        [1_756_684_800, 1_771_000_000]
    );
}

#[test]
fn a_partition_with_an_undatable_record_stays_and_loses_the_others() {
    let database = by_seconds("(0), (1600000000), (1720000000)");
    let rule = of_seconds(&database);
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection(&rule), 9), 2);
    assert_eq!(partitions(&database), ["old", "straddling", "rest"]);
    assert_eq!(count(&database, "visitors"), 1);
}

#[test]
fn a_hold_keeps_partitions_from_being_dropped() {
    let database = by_seconds("(1600000000), (1600000001)");
    let rule = of_seconds(&database);
    let mut selection = selection(&rule);
    selection.holds.push(HeldValue { column: "seen".to_owned(), value: "1600000001".to_owned() });
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection, 9), 1);
    assert_eq!(partitions(&database).len(), 4);
}

#[test]
fn whether_a_partition_was_dropped_is_resolved() {
    let database = by_seconds("(1600000000), (1600000001)");
    let rule = of_seconds(&database);
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(9).unwrap().unwrap();
    let in_flight = batch.in_flight().to_vec();
    assert_eq!(batch.rows(), 2);
    drop(batch);
    let resolve = || store::open_database(&rule.store).resolve(&selection, &in_flight).unwrap();
    assert_eq!(resolve(), Resolution::RolledBack);
    // The lock is gone with the batch.
    run(&database, &["INSERT INTO visitors VALUES (1600000002)"]);
    let batch = walk.prepare(9).unwrap().unwrap();
    assert_eq!(batch.rows(), 3);
    batch.commit().unwrap();
    assert_eq!(resolve(), Resolution::Committed);
}

#[test]
fn a_key_that_is_unique_only_together_with_the_time_is_refused() {
    let database = database(&[PARTITIONED]);
    let mut rule = rule(database.kind("root"), rows());
    rule.target.time.format = TimeFormat::Datetime;
    rule.target.time.zone = Some(Zone { name: "UTC".to_owned(), zone: TimeZone::UTC });
    let refusals = super::inspect::refusals(store::open_database(&rule.store).as_mut(), &rule);
    assert!(refusals.iter().any(|refusal| refusal.contains("is not unique")), "{refusals:?}");
}

#[test]
fn a_partition_that_comes_or_goes_changes_no_shape_and_another_division_does() {
    let database = by_seconds("(1600000000), (1771000000)");
    let rule = of_seconds(&database);
    let shape = || store::open_database(&rule.store).inspect(&selection(&rule)).unwrap().shape.unwrap();
    let before = shape();
    run(
        &database,
        &[
            "ALTER TABLE visitors REORGANIZE PARTITION rest INTO (PARTITION p2026 VALUES LESS THAN (1800000000), \
             PARTITION rest VALUES LESS THAN (MAXVALUE))",
            "ALTER TABLE visitors DROP PARTITION old",
        ],
    );
    assert_eq!(shape(), before);
    run(&database, &["ALTER TABLE visitors PARTITION BY HASH (seen) PARTITIONS 2"]);
    let expected = "table visitors was InnoDB table partitioned by RANGE (`seen`), is now InnoDB table partitioned by \
                    HASH (`seen`)";
    assert_eq!(shape().changes_since(&before), [expected]);
}
