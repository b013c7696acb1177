//! How far a change goes beyond the table that a rule names: by foreign keys, by triggers on the way, through
//! partitions.

use forgetd::config::site::SideEffect;
use forgetd::plan::Action;
use forgetd::store::Remainder;
use rstest::rstest;

use super::partitions::PARTITIONS;
use super::{Shop, VISITORS, erase, older, selection};

/// A trigger function, and one trigger of it: `when` on `table`.
fn trigger(when: &str, table: &str) -> String {
    format!(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER noted AFTER {when} ON {table} FOR EACH ROW EXECUTE FUNCTION f();"
    )
}

const CASCADES: &str =
    "CREATE TABLE pages (id bigint PRIMARY KEY, visitor bigint REFERENCES visitors ON DELETE CASCADE);";
const NULLS: &str =
    "CREATE TABLE pages (id bigint PRIMARY KEY, visitor bigint REFERENCES visitors ON DELETE SET NULL);";

#[rstest]
#[case::of_the_deletion(CASCADES, "DELETE", true)]
#[case::of_an_update_that_does_not_happen(CASCADES, "UPDATE", false)]
#[case::of_the_column_set_to_null(NULLS, "UPDATE OF visitor", true)]
#[case::of_another_column(NULLS, "UPDATE OF id", false)]
#[case::of_a_deletion_that_does_not_happen(NULLS, "DELETE", false)]
fn a_trigger_behind_an_accepted_cascade_is_asked_for(#[case] pages: &str, #[case] when: &str, #[case] fires: bool) {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute(pages).unwrap();
    shop.client.batch_execute(&trigger(when, "pages")).unwrap();
    let mut rule = shop.erasure();
    rule.target.accepts.insert(SideEffect::Cascade("pages".to_owned()));
    let refusals = shop.refusals(&rule);
    assert_eq!(refusals.iter().any(|refusal| refusal.contains("trigger noted of pages would fire")), fires);
    assert_eq!(refusals.len(), usize::from(fires), "{refusals:#?}");
}

#[test]
fn rows_that_a_cascade_takes_along_are_told_not_to_be_counted() {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute(CASCADES).unwrap();
    let mut rule = shop.erasure();
    rule.target.accepts.insert(SideEffect::Cascade("pages".to_owned()));
    let findings = shop.inspect(&rule);
    assert!(findings.iter().any(|finding| finding.message.contains("rows of pages go with those of visitors")));
}

#[rstest]
#[case::over_one_column(
    "UPDATE visitors SET ip = id; ALTER TABLE visitors ADD UNIQUE (ip); CREATE TABLE logins (ip text REFERENCES visitors (ip) ON UPDATE CASCADE)",
    "logins.ip (CASCADE)"
)]
#[case::over_a_second_column(
    "UPDATE visitors SET ip = id; ALTER TABLE visitors ADD UNIQUE (site, ip); CREATE TABLE logins (site int, ip text, FOREIGN KEY (site, ip) REFERENCES visitors (site, ip) ON UPDATE SET NULL)",
    "logins (site, ip) (SET NULL)"
)]
#[case::that_forbids_it(
    "UPDATE visitors SET ip = id; ALTER TABLE visitors ADD UNIQUE (ip); CREATE TABLE logins (ip text REFERENCES visitors (ip))",
    "logins.ip refers to column ip, so that changing it fails"
)]
fn a_foreign_key_that_carries_a_changed_column_on_is_refused(#[case] change: &str, #[case] expected: &str) {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute(change).unwrap();
    let rule = shop.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None });
    let refusals = shop.refusals(&rule);
    assert!(refusals.iter().any(|refusal| refusal.contains(expected)), "{refusals:#?}");
}

#[test]
fn a_trigger_of_a_computed_column_fires_for_what_it_is_computed_from() {
    let mut shop = Shop::new(VISITORS);
    shop.client.batch_execute("ALTER TABLE visitors ADD net text GENERATED ALWAYS AS (left(ip, 3)) STORED").unwrap();
    shop.client.batch_execute(&trigger("UPDATE OF net", "visitors")).unwrap();
    let rule = shop.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None });
    let refusals = shop.refusals(&rule);
    assert!(refusals.len() == 1 && refusals[0].contains("trigger noted of visitors would fire"), "{refusals:#?}");
}

#[rstest]
#[case::key_to_the_parent_of_the_target(
    "v2025_06",
    "CREATE TABLE pages (id bigint, seen timestamptz, FOREIGN KEY (id, seen) REFERENCES visitors ON DELETE CASCADE)",
    "a change in v2025_06 also changes pages (id, seen) (CASCADE)"
)]
#[case::key_to_one_partition_of_the_target(
    "visitors",
    "ALTER TABLE v2025_06 ADD UNIQUE (id); CREATE TABLE pages (id bigint REFERENCES v2025_06 (id) ON DELETE CASCADE)",
    "a change in visitors also changes pages.id (CASCADE)"
)]
#[case::rule_on_a_partition(
    "visitors",
    "CREATE RULE keep AS ON DELETE TO v2025_06 DO INSTEAD NOTHING",
    "rule keep of visitors rewrites"
)]
#[case::trigger_from_the_parent_of_the_target(
    "v2025_06",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER noted AFTER DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION f()",
    "trigger noted of v2025_06 would fire"
)]
fn what_stands_on_a_part_of_a_partitioned_table_is_seen(
    #[case] target: &str,
    #[case] change: &str,
    #[case] expected: &str,
) {
    let mut shop = Shop::new(PARTITIONS);
    // A partition has its key from its parent, which is one of two columns.
    let change =
        format!("{change}; ALTER TABLE v2025_06 DROP CONSTRAINT IF EXISTS one, ADD CONSTRAINT one UNIQUE (id)");
    shop.client.batch_execute(&change).unwrap();
    let mut rule = shop.erasure();
    rule.target.table = target.to_owned();
    let refusals = shop.refusals(&rule);
    assert!(refusals.len() == 1 && refusals[0].contains(expected), "{refusals:#?}");
}

#[test]
fn a_table_with_a_partition_on_another_server_has_no_unique_key() {
    let mut shop = Shop::new(PARTITIONS);
    let far = "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER archive FOREIGN DATA WRAPPER far";
    shop.client.batch_execute(far).unwrap();
    let partition = "CREATE FOREIGN TABLE v2024_05 PARTITION OF visitors FOR VALUES FROM ('2024-05-01Z') TO ('2024-06-01Z') SERVER archive";
    // The server itself sees to it.
    assert_eq!(shop.client.batch_execute(partition).unwrap_err().code().unwrap().code(), "42809");
    shop.client.batch_execute("ALTER TABLE visitors DROP CONSTRAINT visitors_pkey").unwrap();
    shop.client.batch_execute(partition).unwrap();
    let refusals = shop.refusals(&shop.erasure());
    assert!(refusals.len() == 1 && refusals[0].contains("column id of table visitors is not unique"), "{refusals:#?}");
}

#[test]
fn a_key_is_unique_also_with_the_columns_of_further_partitions() {
    let shop = Shop::new(
        "CREATE TABLE visitors (id bigint NOT NULL, seen timestamptz NOT NULL, site int NOT NULL, ip text, PRIMARY KEY (id, seen, site)) PARTITION BY RANGE (seen);
         CREATE INDEX ON visitors (seen);
         CREATE TABLE first (site int NOT NULL, ip text, seen timestamptz NOT NULL, id bigint NOT NULL) PARTITION BY LIST (site);
         CREATE TABLE first_1 PARTITION OF first FOR VALUES IN (1);
         CREATE TABLE first_2 PARTITION OF first FOR VALUES IN (2);
         ALTER TABLE visitors ATTACH PARTITION first FOR VALUES FROM ('2020-01-01Z') TO ('2026-01-01Z');
         INSERT INTO visitors SELECT n, '2025-01-01', 1 + n % 2 FROM generate_series(1, 10) AS n",
    );
    let mut rule = shop.erasure();
    assert_eq!(shop.refusals(&rule), Vec::<String>::new());
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 3), (10, Remainder::default()));
    rule.action = Action::EraseColumn { column: "site".to_owned(), stand_in: None };
    let refusals = shop.refusals(&rule);
    assert!(
        refusals.iter().any(|refusal| refusal.contains("the partition by which its rows are found")),
        "{refusals:#?}"
    );
}
