//! Whole partitions go at once, and never one with a record inside retention. On MySQL, which does not tell when one last
//! changed, none goes, and their rows are erased one by one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forgetd::config::TimeFormat;
use forgetd::config::site::{Child, Mask, Unparsed, Zone};
use forgetd::plan::{Action, TableRule};
use forgetd::store::{self, HeldValue, Resolution, StoreError};
use jiff::tz::TimeZone;
use mysql::prelude::Queryable;
use rstest::rstest;

use super::inspect::refusals;
use super::mariadb::{self, MariaDbDatabase};
use super::{MAX_LAG, count, database, erase, rows, rule, run, selection};

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

/// Partitions that are left where whole ones go, and all of them where not.
fn left(where_they_go: &[&'static str], all: &[&'static str]) -> Vec<&'static str> {
    if mariadb::is_mysql() { all.to_vec() } else { where_they_go.to_vec() }
}

const ALL: [&str; 4] = ["old", "older", "straddling", "rest"];

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
    assert_eq!(partitions(&database), left(&["straddling", "rest"], &ALL));
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
    assert_eq!(partitions(&database), left(&["old", "straddling", "rest"], &ALL));
    assert_eq!(count(&database, "visitors"), 1);
}

/// As shops partition: the server wants the time in every unique key.
#[rstest]
#[case::by_days(
    "DATETIME",
    "RANGE (TO_DAYS(seen))",
    "TO_DAYS('2024-01-01')",
    "TO_DAYS('2025-01-01')",
    "TO_DAYS('2026-01-01')"
)]
#[case::by_columns("DATETIME", "RANGE COLUMNS (seen)", "'2024-01-01'", "'2025-01-01'", "'2026-01-01'")]
#[case::by_date("DATE", "RANGE COLUMNS (seen)", "'2024-01-01'", "'2025-01-01'", "'2026-01-01'")]
#[case::by_year("DATETIME", "RANGE (YEAR(seen))", "2024", "2025", "2026")]
#[case::by_instant("TIMESTAMP", "RANGE (UNIX_TIMESTAMP(seen))", "1704067200", "1735689600", "1767225600")]
fn tables_whose_key_is_unique_together_with_their_time_are_purged(
    #[case] declared: &str,
    #[case] by: &str,
    #[case] first: &str,
    #[case] second: &str,
    #[case] third: &str,
) {
    let database = database(&[
        &format!(
            "CREATE TABLE visitors (id INT NOT NULL AUTO_INCREMENT, seen {declared} NOT NULL, ip VARCHAR(40), \
             PRIMARY KEY (id, seen), KEY (seen)) PARTITION BY {by} (PARTITION p2023 VALUES LESS THAN ({first}), \
             PARTITION p2024 VALUES LESS THAN ({second}), PARTITION p2025 VALUES LESS THAN ({third}), \
             PARTITION rest VALUES LESS THAN {})",
            if by.contains("COLUMNS") { "(MAXVALUE)" } else { "MAXVALUE" }
        ),
        "INSERT INTO visitors (seen) VALUES ('2023-05-01'), ('2023-06-01'), ('2024-05-01'), ('2025-03-01'), \
         ('2025-12-01'), ('2026-02-01')",
        // The same number again, which nothing forbids.
        "INSERT INTO visitors (id, seen) VALUES (4, '2025-12-02')",
    ]);
    let mut rule = rule(database.kind("root"), rows());
    rule.target.time.format = TimeFormat::Datetime;
    rule.target.time.zone = (declared != "TIMESTAMP").then(|| Zone { name: "UTC".to_owned(), zone: TimeZone::UTC });
    let mut store = store::open_database(&rule.store);
    assert_eq!(refusals(store.as_mut(), &rule), Vec::<String>::new());
    assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 4);
    assert_eq!(erase(store.as_mut(), &selection(&rule), 9), 4);
    assert_eq!(partitions(&database), left(&["p2025", "rest"], &["p2023", "p2024", "p2025", "rest"]));
    let left: Vec<String> = database.connect().query("SELECT DATE(seen) FROM visitors ORDER BY seen").unwrap();
    assert_eq!(left, ["2025-12-01", "2025-12-02", "2026-02-01"]);
}

#[test]
fn addresses_are_masked_row_by_row_where_two_rows_share_a_number() {
    let database = database(&[
        "CREATE TABLE visitors (id INT NOT NULL, seen BIGINT NOT NULL, ip VARCHAR(40), PRIMARY KEY (id, seen)) \
         PARTITION BY RANGE (seen) (PARTITION old VALUES LESS THAN (1700000000), PARTITION rest VALUES LESS THAN MAXVALUE)",
        "INSERT INTO visitors VALUES (1, 1600000000, '192.0.2.77:80'), (1, 1600000001, '198.51.100.9:80'), \
         (1, 1771000000, '203.0.113.5:80')",
    ]);
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let action = Action::TruncateColumn { column: "ip".to_owned(), mask, stand_in: None };
    let rule = rule(database.kind("root"), action);
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection(&rule), 9), 2);
    let left: Vec<String> = database.connect().query("SELECT ip FROM visitors ORDER BY seen").unwrap();
    assert_eq!(left, ["192.0.2.0", "198.51.100.0", "203.0.113.5:80"]);
}

#[test]
fn a_key_that_is_unique_only_with_the_partition_has_no_children() {
    let database = database(&[
        "CREATE TABLE visitors (id INT NOT NULL, seen BIGINT NOT NULL, PRIMARY KEY (id, seen)) \
         PARTITION BY RANGE (seen) (PARTITION old VALUES LESS THAN (1700000000), PARTITION rest VALUES LESS THAN MAXVALUE)",
        "CREATE TABLE pages (id INT PRIMARY KEY, visitor INT, KEY (visitor))",
    ]);
    let child = Child { table: "pages".to_owned(), column: "visitor".to_owned() };
    let rule = rule(database.kind("root"), Action::EraseRows { children: vec![child] });
    let told = refusals(store::open_database(&rule.store).as_mut(), &rule);
    assert!(told.iter().any(|refusal| refusal.contains("unique only together")), "{told:?}");
}

#[test]
fn a_partition_of_undatable_records_does_not_keep_the_next_ones() {
    let database = by_seconds("(0), (1720000000)");
    let rule = of_seconds(&database);
    assert_eq!(erase(store::open_database(&rule.store).as_mut(), &selection(&rule), 9), 1);
    assert_eq!(partitions(&database), left(&["old", "straddling", "rest"], &ALL));
}

/// A backup in one transaction, for instance, keeps a partition from being dropped, and nobody waits for that long.
#[test]
fn where_the_lock_is_not_to_be_had_rows_are_erased_one_by_one() {
    if mariadb::is_mysql() {
        return;
    }
    let database = by_seconds("(1600000000), (1600000001), (1600000002)");
    let rule = of_seconds(&database);
    let selection = selection(&rule);
    let mut backup = database.connect();
    backup.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").unwrap();
    assert_eq!(backup.query_first::<u64, _>("SELECT COUNT(*) FROM visitors").unwrap(), Some(3));
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let refused = walk.prepare(9).err();
    assert!(matches!(refused, Some(StoreError::Busy { .. })), "{refused:?}");
    let batch = walk.prepare(2).unwrap().unwrap();
    assert_eq!(batch.rows(), 2);
    batch.commit().unwrap();
    assert_eq!(walk.prepare(9).unwrap().unwrap().rows(), 1);
    assert_eq!(partitions(&database).len(), 4);
}

/// Prepares until a lock is refused, lets `meanwhile` happen, and says how many rows the next batch has.
fn counted_again(meanwhile: &str) -> Option<u64> {
    let database = by_seconds("(1600000000), (1600000001), (1600000002)");
    let rule = of_seconds(&database);
    let selection = selection(&rule);
    let mut reader = database.connect();
    reader.query_drop("START TRANSACTION").unwrap();
    reader.query_drop("SELECT COUNT(*) FROM visitors").unwrap();
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    assert!(matches!(walk.prepare(9).err(), Some(StoreError::Busy { .. })));
    reader.query_drop("COMMIT").unwrap();
    run(&database, &[meanwhile]);
    walk.prepare(9).unwrap().map(|batch| batch.rows())
}

#[rstest]
#[case::nothing("DO 0", Some(3))]
#[case::a_row_more("INSERT INTO visitors VALUES (1600000003)", Some(4))]
#[case::a_row_less("DELETE FROM visitors WHERE seen = 1600000001", Some(2))]
#[case::a_row_without_a_date("INSERT INTO visitors VALUES (0)", Some(3))]
#[case::all_rows_less("ALTER TABLE visitors TRUNCATE PARTITION old", None)]
fn what_changes_after_a_partition_was_counted_is_in_the_count(#[case] meanwhile: &str, #[case] expected: Option<u64>) {
    if mariadb::is_mysql() {
        return;
    }
    assert_eq!(counted_again(meanwhile), expected);
}

#[test]
fn nobody_waits_while_a_partition_is_counted() {
    if mariadb::is_mysql() {
        return;
    }
    let database = by_seconds("(1771000000)");
    run(&database, &["INSERT INTO visitors SELECT 1600000000 + seq FROM seq_1_to_300000"]);
    let rule = of_seconds(&database);
    let selection = selection(&rule);
    let (done, slowest) = (AtomicBool::new(false), Mutex::new(Duration::ZERO));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut shop = database.connect();
            for seen in 1_771_000_001.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let started = Instant::now();
                shop.query_drop(format!("INSERT INTO visitors VALUES ({seen})")).unwrap();
                let mut slowest = slowest.lock().unwrap();
                *slowest = started.elapsed().max(*slowest);
            }
        });
        let mut store = store::open_database(&rule.store);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(9).unwrap().unwrap();
        assert_eq!(batch.rows(), 300_000);
        batch.commit().unwrap();
        done.store(true, Ordering::Relaxed);
    });
    // The shop waited for the drop itself and not for the count, which takes several times as long.
    assert!(*slowest.lock().unwrap() < Duration::from_millis(700), "{slowest:?}");
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
    if mariadb::is_mysql() {
        return;
    }
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
    // A rotation takes the name again, and a row of the old range comes in.
    run(
        &database,
        &[
            "ALTER TABLE visitors REORGANIZE PARTITION older INTO (PARTITION old VALUES LESS THAN (1700000000), \
             PARTITION older VALUES LESS THAN (1735689600))",
            "INSERT INTO visitors VALUES (1600000009)",
        ],
    );
    assert_eq!(resolve(), Resolution::Committed);
}

#[test]
fn a_partition_that_was_renamed_and_not_dropped_is_resolved() {
    if mariadb::is_mysql() {
        return;
    }
    let database = by_seconds("(1600000000), (1600000001), (1720000000)");
    let rule = of_seconds(&database);
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let in_flight = walk.prepare(9).unwrap().unwrap().in_flight().to_vec();
    drop(walk);
    run(
        &database,
        &["ALTER TABLE visitors REORGANIZE PARTITION old, older INTO (PARTITION past VALUES LESS THAN (1735689600))"],
    );
    assert_eq!(store.resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
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

#[test]
fn who_may_not_drop_partitions_is_told_how_and_erases_rows_meanwhile() {
    if mariadb::is_mysql() {
        return;
    }
    let database = by_seconds("(1600000000), (1600000001)");
    let of_database = |grant: &str| format!("{grant} TO no_drops@localhost").replace("DATABASE", &database.name);
    run(
        &database,
        &[
            "CREATE USER no_drops@localhost",
            &of_database("GRANT SHOW VIEW ON *.*"),
            &of_database("GRANT SELECT, DELETE, TRIGGER ON DATABASE.visitors"),
        ],
    );
    let mut rule = of_seconds(&database);
    rule.store = database.kind("no_drops");
    let mut store = store::open_database(&rule.store);
    let findings = store.inspect(&selection(&rule)).unwrap().findings;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(erase(store.as_mut(), &selection(&rule), 9), 2);
    assert_eq!(partitions(&database).len(), 4);
    let hint = finding.hint.clone().unwrap();
    let grants = &hint[hint.find("GRANT").unwrap()..];
    run(&database, &grants.split_inclusive(';').map(str::trim).collect::<Vec<_>>());
    run(&database, &["INSERT INTO visitors VALUES (1600000000)"]);
    let mut store = store::open_database(&rule.store);
    assert_eq!(store.inspect(&selection(&rule)).unwrap().findings, []);
    assert_eq!(erase(store.as_mut(), &selection(&rule), 9), 1);
    assert_eq!(partitions(&database).len(), 3);
}
