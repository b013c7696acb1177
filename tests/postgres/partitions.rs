//! Partitions that go whole, and tables that are too large to be read at once.

use forgetd::config::site::{Mask, Scalar, SideEffect, Unparsed};
use forgetd::plan::{Action, When};
use forgetd::store::{HeldValue, Remainder, Resolution};

use super::{MAX_LAG, Shop, erase, selection};

const PARTITIONS: &str = "CREATE TABLE visitors (id bigint NOT NULL, seen timestamptz NOT NULL, site integer, ip text, PRIMARY KEY (id, seen)) PARTITION BY RANGE (seen);
    CREATE INDEX ON visitors (seen);
    CREATE TABLE v2025_06 PARTITION OF visitors FOR VALUES FROM ('2025-06-01Z') TO ('2025-07-01Z');
    CREATE TABLE v2025_07 PARTITION OF visitors FOR VALUES FROM ('2025-07-01Z') TO ('2025-08-01Z');
    CREATE TABLE v2025_08 PARTITION OF visitors FOR VALUES FROM ('2025-08-01Z') TO ('2025-09-01Z');
    CREATE TABLE v2025_q3 PARTITION OF visitors FOR VALUES FROM ('2025-09-01Z') TO ('2025-10-01Z');
    CREATE TABLE v2025_q4 PARTITION OF visitors FOR VALUES FROM ('2025-10-01Z') TO (MAXVALUE);
    CREATE TABLE v_rest PARTITION OF visitors DEFAULT;
    INSERT INTO visitors SELECT n, '2025-12-31'::timestamptz - n * interval '1 day', n % 3, '192.0.2.1' FROM generate_series(1, 300) AS n;";

fn has_table(shop: &mut Shop, name: &str) -> bool {
    shop.count(&format!("pg_tables WHERE tablename = '{name}'")) == 1
}

#[test]
fn partitions_before_the_cutoff_go_whole_and_only_those_in_which_everything_matches() {
    let mut shop = Shop::new(PARTITIONS);
    let rule = shop.erasure();
    assert_eq!(shop.refusals(&rule), Vec::<String>::new());
    let mut selection = selection(&rule);
    selection.cutoff = Some("2025-09-11T00:00:00Z".parse().unwrap());
    // 20 June.
    selection.holds.push(HeldValue { column: "id".to_owned(), value: "194".to_owned() });
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-09-11Z'")).unwrap();
    assert_eq!(erase(&mut *shop.open(), &selection, 7), (expired - 1, Remainder::default()));
    let left = ["v2025_06", "v2025_07", "v2025_08", "v2025_q3", "v2025_q4"].map(|name| has_table(&mut shop, name));
    assert_eq!(left, [true, false, false, true, true]);
    assert_eq!(shop.count("visitors WHERE seen < '2025-09-11Z'"), 1);
    assert_eq!(shop.count("visitors"), 300 - i64::try_from(expired).unwrap() + 1);
}

#[test]
fn a_filter_keeps_a_partition_whole_and_erases_row_by_row() {
    let mut shop = Shop::new(PARTITIONS);
    let mut rule = shop.erasure();
    rule.target.filter.insert("site".to_owned(), Scalar::Integer(1));
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-09-01Z' AND site = 1")).unwrap();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 7), (expired, Remainder::default()));
    assert!(has_table(&mut shop, "v2025_06"));
}

#[test]
fn a_dropped_partition_that_was_rolled_back_is_still_there() {
    let mut shop = Shop::new(PARTITIONS);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(7).unwrap().unwrap();
    assert_eq!(batch.rows(), 30);
    let in_flight = batch.in_flight().to_vec();
    drop(batch);
    assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    assert_eq!(shop.count("v2025_06"), 30);
    let batch = walk.prepare(7).unwrap().unwrap();
    let in_flight = batch.in_flight().to_vec();
    batch.commit().unwrap();
    assert_eq!(shop.open().resolve(&selection, &in_flight).unwrap(), Resolution::Committed);
}

#[test]
fn a_partition_that_something_depends_on_is_emptied_instead() {
    let mut shop = Shop::new(PARTITIONS);
    shop.client.batch_execute("CREATE VIEW june AS SELECT * FROM v2025_06").unwrap();
    let rule = shop.erasure();
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-09-01Z'")).unwrap();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 7), (expired, Remainder::default()));
    assert_eq!(shop.count("june"), 0);
    assert!(!has_table(&mut shop, "v2025_07"));
}

#[test]
fn more_rows_than_fit_in_memory_are_walked_window_by_window() {
    let mut shop = Shop::new(
        // What the planner knows of the table is from before the expired rows: it expects few.
        "CREATE UNLOGGED TABLE visitors (id bigint PRIMARY KEY, seen timestamptz);
         INSERT INTO visitors SELECT n, '2026-02-01' FROM generate_series(1100001, 1100100) AS n; ANALYZE visitors;
         INSERT INTO visitors SELECT n, '2020-01-01' FROM generate_series(1, 1100000) AS n",
    );
    let rule = shop.erasure();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 100_000), (1_100_000, Remainder::default()));
    assert_eq!(shop.count("visitors"), 100);
}

/// Every second row of the first and the last quarter is expired; what lies between is not.
const LARGE: &str = "CREATE UNLOGGED TABLE visitors (id bigint PRIMARY KEY, seen timestamptz, agent text, ip text);
    INSERT INTO visitors SELECT n, CASE WHEN n % 2 = 0 AND n NOT BETWEEN 50000 AND 150000 THEN '2020-01-01' ELSE '2026-02-01' END::timestamptz, repeat('agent ', 10), '192.0.2.77'
    FROM generate_series(1, 200000) AS n; ANALYZE visitors;";

#[test]
fn a_large_table_is_erased_block_by_block_across_its_gaps() {
    let mut shop = Shop::new(LARGE);
    let rule = shop.erasure();
    let selection = selection(&rule);
    let expired = u64::try_from(shop.count("visitors WHERE seen < '2025-01-01'")).unwrap();
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let (mut rows, mut largest) = (0, 0);
    while let Some(batch) = walk.prepare(2_000).unwrap() {
        rows += batch.rows();
        largest = largest.max(batch.rows());
        batch.commit().unwrap();
    }
    assert_eq!((rows, walk.remainder().unwrap()), (expired, Remainder::default()));
    // The first range is a guess from the average of a table that is not even.
    assert!(largest < 3 * 2_000, "{largest}");
    assert_eq!(shop.count("visitors WHERE seen < '2025-01-01'"), 0);
}

#[test]
fn masking_a_large_table_ends_though_every_row_moves_on() {
    let mut shop = Shop::new(LARGE);
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let rule = shop.rule(When::NotStored, Action::TruncateColumn { column: "ip".to_owned(), mask, stand_in: None });
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 5_000), (200_000, Remainder::default()));
    assert_eq!(shop.count("visitors WHERE ip = '192.0.2.0'"), 200_000);
}

const NOTE: &str = "CREATE TABLE log (id bigint);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (OLD.id); RETURN OLD; END';
    CREATE TRIGGER note AFTER DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION note();";

#[test]
fn a_partition_that_comes_or_goes_changes_no_shape_and_another_division_does() {
    let mut shop = Shop::new(PARTITIONS);
    shop.client.batch_execute(NOTE).unwrap();
    let mut rule = shop.erasure();
    rule.target.accepts.insert(SideEffect::Trigger("note".to_owned()));
    let shape = |shop: &Shop| shop.open().inspect(&selection(&rule)).unwrap().shape.unwrap();
    let before = shape(&shop);
    shop.client
        .batch_execute(
            "CREATE TABLE v2024 PARTITION OF visitors FOR VALUES FROM ('2024-01-01Z') TO ('2025-01-01Z');
             DROP TABLE v2025_06; ALTER TABLE visitors DETACH PARTITION v2025_07",
        )
        .unwrap();
    assert_eq!(shape(&shop), before);
    shop.client
        .batch_execute(
            "CREATE TABLE other (LIKE visitors, PRIMARY KEY (id, seen)) PARTITION BY LIST (seen);
             DROP TABLE visitors CASCADE; ALTER TABLE other RENAME TO visitors;
             CREATE TRIGGER note AFTER DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .unwrap();
    let expected =
        "table visitors was table partitioned by RANGE (seen), is now table partitioned by LIST (seen)".to_owned();
    assert_eq!(shape(&shop).changes_since(&before), [expected]);
}

#[test]
fn a_trigger_whose_function_was_replaced_is_another_one() {
    let mut shop = Shop::new(PARTITIONS);
    shop.client.batch_execute(NOTE).unwrap();
    let mut rule = shop.erasure();
    rule.target.accepts.insert(SideEffect::Trigger("note".to_owned()));
    let shape = |shop: &Shop| shop.open().inspect(&selection(&rule)).unwrap().shape.unwrap();
    let before = shape(&shop);
    let replace = "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'";
    shop.client.batch_execute(replace).unwrap();
    let replaced = shape(&shop);
    assert_eq!(replaced.changes_since(&before), ["trigger `note` of visitors was changed"]);
    // On one partition more is done.
    let further = "CREATE TRIGGER note_too AFTER DELETE ON v_rest FOR EACH ROW EXECUTE FUNCTION note()";
    shop.client.batch_execute(further).unwrap();
    rule.target.accepts.insert(SideEffect::Trigger("note_too".to_owned()));
    let further = shop.open().inspect(&selection(&rule)).unwrap().shape.unwrap();
    assert_eq!(further.changes_since(&replaced), ["trigger `note_too` of visitors was added"]);
}
