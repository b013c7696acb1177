//! What is SQLite's own: inspection, physical erasure, odd names and odd schemas.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use rusqlite::Connection;
use tempfile::TempDir;

use super::connection::Database;
use super::walk::SqliteWalk;
use crate::config::TimeFormat;
use crate::config::site::{
    Child, Consent, DatabaseKind, Mask, RowTime, Scalar, SideEffect, TimeMeaning, Unparsed, Zone,
};
use crate::plan::{Action, TableRule, Target, When};
use crate::store::{self, Finding, HeldValue, Physical, Selection, Severity, Store, StoreError, Walk};

/// Nothing here has a replica.
const MAX_LAG: Duration = Duration::ZERO;

const VISITORS: &str = "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, ip TEXT, name TEXT NOT NULL);
    CREATE INDEX by_time ON visitors (last_seen);";
const PAGES: &str = "CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id INTEGER);
    CREATE INDEX by_visitor ON pages (visitor_id);";

struct Fixture {
    directory: TempDir,
    application: Connection,
}

impl Fixture {
    fn new(schema: &str) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let application = Connection::open(directory.path().join("chat.db")).unwrap();
        application.execute_batch(schema).unwrap();
        Fixture { directory, application }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("chat.db")
    }

    fn open(&self) -> Box<dyn Store> {
        store::open_database(&DatabaseKind::Sqlite { path: self.path() })
    }

    fn rule(&self, action: Action) -> TableRule {
        rule(self.path(), action)
    }

    fn count(&self, sql: &str) -> i64 {
        self.application.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// All bytes of the database and of the files beside it.
    fn bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.directory.path()).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

fn rule(path: PathBuf, action: Action) -> TableRule {
    let utc = Zone { name: "UTC".to_owned(), zone: jiff::tz::TimeZone::UTC };
    TableRule {
        rule: serde_json::from_value("shop.example/chat/visitors".into()).unwrap(),
        store: DatabaseKind::Sqlite { path },
        target: Target {
            table: "visitors".to_owned(),
            key: "id".to_owned(),
            time: RowTime {
                column: "last_seen".to_owned(),
                format: TimeFormat::UnixSeconds,
                zone: None,
                meaning: TimeMeaning::Recorded,
            },
            filter: Default::default(),
            accepts: Default::default(),
        },
        when: When::Older("6 months".parse().unwrap()),
        action,
        zone: utc,
    }
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn selection(rule: &TableRule) -> Selection<'_> {
    let cutoff = matches!(rule.when, When::Older(_)).then(|| now() - SignedDuration::from_hours(180 * 24));
    Selection { rule: rule.into(), now: now(), cutoff, holds: Vec::new() }
}

fn erase(store: &mut dyn Store, selection: &Selection<'_>) -> u64 {
    let mut walk = store.walk(selection, MAX_LAG).unwrap();
    let mut rows = 0;
    while let Some(batch) = walk.prepare(100).unwrap() {
        rows += batch.rows();
        batch.commit().unwrap();
    }
    rows
}

fn rows() -> Action {
    Action::EraseRows { children: Vec::new() }
}

fn rows_and_pages() -> Action {
    Action::EraseRows { children: vec![Child { table: "pages".to_owned(), column: "visitor_id".to_owned() }] }
}

fn column(name: &str) -> Action {
    Action::EraseColumn { column: name.to_owned(), stand_in: None }
}

fn column_as(name: &str, stand_in: &str) -> Action {
    Action::EraseColumn { column: name.to_owned(), stand_in: Some(Scalar::Text(stand_in.to_owned())) }
}

fn truncate(name: &str) -> Action {
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    Action::TruncateColumn { column: name.to_owned(), mask, stand_in: None }
}

fn findings(schema: &str, action: Action, accepts: &[SideEffect]) -> Vec<Finding> {
    let fixture = Fixture::new(schema);
    let mut rule = fixture.rule(action);
    rule.target.accepts = accepts.iter().cloned().collect();
    fixture.open().inspect(&selection(&rule)).unwrap().findings
}

#[rstest]
#[case::rows(rows())]
#[case::children(rows_and_pages())]
#[case::nullable_column(column("ip"))]
#[case::not_null_column_with_a_value(column_as("name", ""))]
#[case::masked_column(truncate("ip"))]
fn a_table_in_order_has_no_findings(#[case] action: Action) {
    assert_eq!(findings(&format!("{VISITORS}{PAGES}"), action, &[]), []);
}

#[rstest]
#[case::no_table("", rows(), "there is no table visitors", "as the database has it")]
#[case::view(
    "CREATE TABLE v (id INTEGER PRIMARY KEY, last_seen); CREATE VIEW visitors AS SELECT * FROM v;",
    rows(),
    "is a view",
    "reads from"
)]
#[case::virtual_table(
    "CREATE VIRTUAL TABLE visitors USING fts5(id, last_seen)",
    rows(),
    "not an ordinary table",
    "writes to"
)]
#[case::no_column("CREATE TABLE visitors (id INTEGER PRIMARY KEY)", rows(), "no column last_seen", "it has id")]
#[case::no_action_column(VISITORS, column("city"), "no column city", "it has id, last_seen, ip, name")]
#[case::no_child_table(VISITORS, rows_and_pages(), "there is no table pages", "")]
#[case::no_child_column(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE pages (id)",
    rows_and_pages(),
    "no column visitor_id",
    "it has id"
)]
#[case::key_not_unique("CREATE TABLE visitors (id INTEGER, last_seen)", rows(), "is not unique", "primary key")]
#[case::key_part_of_a_primary_key(
    "CREATE TABLE visitors (id INTEGER, last_seen, PRIMARY KEY (id, last_seen))",
    rows(),
    "is not unique",
    "primary key"
)]
#[case::key_in_a_partial_index(
    "CREATE TABLE visitors (id INTEGER NOT NULL, last_seen); CREATE UNIQUE INDEX u ON visitors (id) WHERE id > 5",
    rows(),
    "is not unique",
    ""
)]
#[case::key_in_an_expression_index(
    "CREATE TABLE visitors (id INTEGER NOT NULL, last_seen); CREATE UNIQUE INDEX u ON visitors (abs(id))",
    rows(),
    "is not unique",
    ""
)]
#[case::nullable_unique_key("CREATE TABLE visitors (id TEXT UNIQUE, last_seen)", rows(), "may be NULL", "NOT NULL")]
#[case::primary_key_that_is_null(
    "CREATE TABLE visitors (id TEXT PRIMARY KEY, last_seen); INSERT INTO visitors VALUES (NULL, 1)",
    rows(),
    "may be NULL",
    "NOT NULL"
)]
#[case::not_null_without_a_value(VISITORS, column("name"), "may not be NULL", "value = \"\"")]
#[case::not_null_masked(VISITORS, truncate("name"), "may not be NULL", "value = \"\"")]
#[case::key_column(VISITORS, column("id"), "the key or the time", "another column")]
#[case::time_column(VISITORS, column("last_seen"), "the key or the time", "another column")]
#[case::generated_column(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip AS (last_seen || id))",
    column("ip"),
    "is computed",
    "computed from"
)]
#[case::unique_with_a_value(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip UNIQUE)",
    column_as("ip", ""),
    "values would collide",
    "NULL"
)]
#[case::unique_masked(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip); CREATE UNIQUE INDEX u ON visitors (last_seen, ip)",
    truncate("ip"),
    "unique index u",
    "not unique"
)]
#[case::unique_by_expression(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip); CREATE UNIQUE INDEX u ON visitors (lower(IP))",
    truncate("ip"),
    "unique index u",
    "not unique"
)]
#[case::strict_type(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INT, ip INT) STRICT",
    column_as("ip", "gone"),
    "only values of type INT",
    "of that type"
)]
#[case::strict_blob(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INT, ip BLOB) STRICT",
    column_as("ip", ""),
    "only values of type BLOB",
    ""
)]
#[case::deleting_trigger(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip); CREATE TABLE log (x); CREATE TRIGGER \"keep it\" BEFORE DELETE ON visitors BEGIN INSERT INTO log VALUES (old.ip); END",
    rows(),
    "trigger keep it",
    "accepts = [\"trigger:keep it\"]"
)]
#[case::raising_trigger(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TRIGGER never BEFORE DELETE ON visitors BEGIN SELECT RAISE(IGNORE); END",
    rows(),
    "trigger never",
    "accepts = [\"trigger:never\"]"
)]
#[case::updating_trigger(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip); CREATE TRIGGER t AFTER UPDATE OF ip ON visitors BEGIN UPDATE visitors SET last_seen = 1; END",
    column("ip"),
    "trigger t",
    "accepts = [\"trigger:t\"]"
)]
#[case::trigger_of_a_child(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE pages (visitor_id); CREATE TRIGGER t AFTER DELETE ON pages BEGIN DELETE FROM visitors; END",
    rows_and_pages(),
    "trigger t",
    "accepts = [\"trigger:t\"]"
)]
#[case::cascade(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE orders (v REFERENCES visitors ON DELETE CASCADE)",
    rows(),
    "also changes orders.v (CASCADE)",
    "accepts = [\"cascade:orders\"]"
)]
#[case::set_null(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE orders (v REFERENCES visitors ON DELETE SET NULL)",
    rows(),
    "orders.v (SET NULL)",
    "accepts = [\"cascade:orders\"]"
)]
#[case::cascade_of_a_child(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id REFERENCES visitors); CREATE TABLE hits (p REFERENCES pages ON DELETE CASCADE)",
    rows_and_pages(),
    "also changes hits.p",
    "accepts = [\"cascade:hits\"]"
)]
#[case::undeclared_child(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE pages (visitor_id REFERENCES visitors (id))",
    rows(),
    "pages.visitor_id refers to visitors",
    "children = [ { table = \"pages\", column = \"visitor_id\" } ]"
)]
#[case::forbidden_grandchild(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id REFERENCES visitors); CREATE TABLE hits (p REFERENCES pages)",
    rows_and_pages(),
    "hits.p refers to pages",
    "ON DELETE CASCADE"
)]
#[case::update_cascade(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip UNIQUE); CREATE TABLE bans (ip REFERENCES visitors (ip) ON UPDATE CASCADE)",
    column("ip"),
    "also changes bans.ip",
    "accepts = [\"cascade:bans\"]"
)]
#[case::update_forbidden(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen, ip UNIQUE); CREATE TABLE bans (ip REFERENCES visitors (ip))",
    column("ip"),
    "bans.ip refers to column ip",
    "whole rows"
)]
#[case::functions_of_the_application(
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TRIGGER t AFTER DELETE ON visitors BEGIN SELECT slug(old.id); END",
    rows(),
    "no such function: slug",
    "only the application has"
)]
fn what_makes_a_rule_unsafe_is_refused_with_a_remedy(
    #[case] schema: &str,
    #[case] action: Action,
    #[case] message: &str,
    #[case] hint: &str,
) {
    let findings = findings(schema, action, &[]);
    let refusal = findings.iter().find(|finding| finding.message.contains(message));
    let Some(refusal) = refusal else { panic!("not among {findings:#?}") };
    assert_eq!(refusal.severity, Severity::Refusal);
    assert!(refusal.hint.as_ref().is_some_and(|found| found.contains(hint)), "{refusal:?}");
}

#[test]
fn accepted_side_effects_are_followed_but_not_refused() {
    let schema = "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen);
        CREATE INDEX i ON visitors (last_seen);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, v REFERENCES visitors ON DELETE CASCADE);
        CREATE TABLE items (o REFERENCES orders ON DELETE CASCADE);
        CREATE TRIGGER t AFTER DELETE ON items BEGIN SELECT 1; END;";
    let orders = SideEffect::Cascade("Orders".to_owned());
    let items = SideEffect::Cascade("items".to_owned());
    let trigger = SideEffect::Trigger("t".to_owned());
    let messages = |accepts: &[SideEffect]| -> Vec<String> {
        findings(schema, rows(), accepts).into_iter().map(|finding| finding.message).collect()
    };
    assert_eq!(messages(&[orders.clone(), trigger.clone()]), ["deleting from orders also changes items.o (CASCADE)"]);
    assert_eq!(messages(&[orders.clone(), items.clone()]), ["trigger t would fire"]);
    assert_eq!(messages(&[orders, items, trigger]), Vec::<String>::new());
}

#[test]
fn what_makes_a_rule_slow_is_a_warning_with_the_statement_that_helps() {
    let schema = "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen); CREATE TABLE pages (visitor_id);";
    let findings = findings(schema, rows_and_pages(), &[]);
    let hints: Vec<_> = findings.iter().filter_map(|finding| finding.hint.as_deref()).collect();
    assert_eq!(
        hints,
        [
            "CREATE INDEX \"pages_visitor_id\" ON \"pages\" (\"visitor_id\");",
            "CREATE INDEX \"visitors_last_seen\" ON \"visitors\" (\"last_seen\");"
        ]
    );
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
}

#[rstest]
#[case::insert_trigger(
    "CREATE TABLE log (x); CREATE TRIGGER t AFTER INSERT ON visitors BEGIN INSERT INTO log VALUES (1); END;"
)]
#[case::update_trigger("CREATE TRIGGER t AFTER UPDATE OF ip ON visitors BEGIN SELECT 1; END;")]
#[case::foreign_key_of_our_own(
    "CREATE TABLE shops (id INTEGER PRIMARY KEY); ALTER TABLE visitors ADD COLUMN shop REFERENCES shops;"
)]
fn what_a_deletion_does_not_reach_is_no_finding(#[case] schema: &str) {
    assert_eq!(findings(&format!("{VISITORS}{schema}"), rows(), &[]), []);
}

/// The application overwrites what it moves as well: what it left behind in free space is not ours to find.
#[rstest]
#[case::deleted_rows("DELETE", rows(), |id| id < 1_500)]
#[case::deleted_rows_in_wal("WAL", rows(), |id| id < 1_500)]
#[case::deleted_rows_persisting_journal("PERSIST", rows(), |id| id < 1_500)]
#[case::deleted_rows_truncated_journal("TRUNCATE", rows(), |id| id < 1_500)]
#[case::erased_column("DELETE", column("ip"), |id| id % 4 != 0)]
#[case::erased_column_in_wal("WAL", column("ip"), |id| id % 4 != 0)]
fn erased_values_are_nowhere_in_the_files(
    #[case] journal_mode: &str,
    #[case] action: Action,
    #[case] is_expired: fn(i64) -> bool,
) {
    let fixture = Fixture::new(VISITORS);
    fixture.application.pragma_update(None, "journal_mode", journal_mode).unwrap();
    fixture.application.pragma_update(None, "secure_delete", "ON").unwrap();
    for id in 0..2_000 {
        let (age_in_days, fate) = if is_expired(id) { (300, "gone") } else { (3, "alive") };
        let last_seen = now() - SignedDuration::from_hours(age_in_days * 24);
        let values = (id, last_seen.as_second(), format!("canary-{fate}-{id}"));
        fixture.application.execute("INSERT INTO visitors VALUES (?1, ?2, ?3, '')", values).unwrap();
    }
    let rule = fixture.rule(action);
    let mut store = fixture.open();
    assert_eq!(erase(store.as_mut(), &selection(&rule)), 1_500);
    assert_eq!(store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap(), Physical::Gone);
    let bytes = fixture.bytes();
    let occurrences = |text: &[u8]| bytes.windows(text.len()).filter(|window| *window == text).count();
    assert_eq!(occurrences(b"canary-gone-"), 0);
    assert!(occurrences(b"canary-alive-") >= 500);
    let mode: String = fixture.application.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, journal_mode.to_ascii_lowercase());
}

#[test]
fn a_reader_of_the_write_ahead_log_leaves_the_erasure_pending_until_it_ends() {
    let fixture = Fixture::new(VISITORS);
    fixture.application.pragma_update(None, "journal_mode", "WAL").unwrap();
    fixture.application.execute_batch("INSERT INTO visitors VALUES (1, 1000000000, 'canary', '')").unwrap();
    let reader = Connection::open(fixture.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM visitors").unwrap();
    let rule = fixture.rule(rows());
    let mut store = fixture.open();
    assert_eq!(erase(store.as_mut(), &selection(&rule)), 1);
    assert!(matches!(store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap(), Physical::Pending(_)));
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap(), Physical::Gone);
}

#[test]
fn a_missing_database_is_unavailable_and_not_made() {
    let fixture = Fixture::new(VISITORS);
    let path = fixture.directory.path().join("other.db");
    let rule = rule(path.clone(), rows());
    let opened = store::open_database(&DatabaseKind::Sqlite { path: path.clone() }).survey(&selection(&rule));
    assert!(matches!(opened, Err(StoreError::Unavailable { .. })), "{opened:?}");
    assert!(!path.exists());
}

#[rstest]
#[case::another_kind_of_file(|path: &PathBuf| fs::write(path, "this is a text of more than sixteen bytes").unwrap())]
#[case::directory(|path: &PathBuf| fs::create_dir(path).unwrap())]
#[case::second_name(|path: &PathBuf| fs::hard_link(path.with_file_name("chat.db"), path).unwrap())]
fn what_is_no_database_of_ones_own_is_unavailable(#[case] make: fn(&PathBuf)) {
    let fixture = Fixture::new(VISITORS);
    let path = fixture.directory.path().join("other.db");
    make(&path);
    let rule = rule(path.clone(), rows());
    let opened = store::open_database(&DatabaseKind::Sqlite { path }).survey(&selection(&rule));
    assert!(matches!(opened, Err(StoreError::Unavailable { .. })), "{opened:?}");
}

#[test]
fn counting_changes_nothing_and_leaves_no_file_behind() {
    let fixture = Fixture::new(VISITORS);
    fixture.application.execute_batch("INSERT INTO visitors VALUES (1, 1000000000, 'canary', '')").unwrap();
    let before = fixture.bytes();
    let rule = fixture.rule(rows());
    let mut store = fixture.open();
    store.inspect(&selection(&rule)).unwrap();
    assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 1);
    drop(store);
    assert_eq!(fixture.bytes(), before);
}

#[test]
fn a_hold_on_a_column_that_is_not_there_refuses_the_rule() {
    let fixture = Fixture::new(VISITORS);
    let rule = fixture.rule(rows());
    let holds = vec![HeldValue { column: "case_number".to_owned(), value: "7".to_owned() }];
    let findings = fixture.open().inspect(&Selection { holds, ..selection(&rule) }).unwrap().findings;
    let refused = |finding: &Finding| finding.severity == Severity::Refusal && finding.message.contains("case_number");
    assert!(findings.iter().any(refused), "{findings:?}");
}

#[test]
fn names_may_contain_anything() {
    let schema =
        "CREATE TABLE \"vis\"\"it; DROP TABLE x--\" (\"i d\" INTEGER PRIMARY KEY, \"last'seen\" INTEGER, \"ip)\" TEXT);
        INSERT INTO \"vis\"\"it; DROP TABLE x--\" VALUES (1, 1000000000, '192.0.2.1'), (2, 1771000000, '192.0.2.1');";
    for action in [rows(), column("ip)"), truncate("ip)")] {
        let fixture = Fixture::new(schema);
        let mut rule = fixture.rule(action);
        rule.target.table = "vis\"it; DROP TABLE x--".to_owned();
        rule.target.key = "i d".to_owned();
        rule.target.time.column = "last'seen".to_owned();
        let mut store = fixture.open();
        let refusals = store
            .inspect(&selection(&rule))
            .unwrap()
            .findings
            .into_iter()
            .filter(|finding| finding.severity == Severity::Refusal);
        assert_eq!(refusals.count(), 0);
        assert_eq!(erase(store.as_mut(), &selection(&rule)), 1);
    }
}

#[test]
fn keys_of_any_type_are_walked() {
    let schema = "CREATE TABLE visitors (id NOT NULL UNIQUE, last_seen INTEGER);
        INSERT INTO visitors VALUES (1, 1000000000), (1.5, 1000000000), ('x', 1000000000), (x'00ff', 1000000000),
            (CAST(x'ff' AS TEXT), 1000000000), (7, 1771000000);";
    let fixture = Fixture::new(schema);
    let rule = fixture.rule(rows());
    let mut store = fixture.open();
    let selection = selection(&rule);
    let in_flight = store.walk(&selection, MAX_LAG).unwrap().prepare(9).unwrap().unwrap().in_flight().to_vec();
    assert_eq!(store.resolve(&selection, &in_flight).unwrap(), store::Resolution::RolledBack);
    assert_eq!(erase(store.as_mut(), &selection), 5);
    assert_eq!(store.resolve(&selection, &in_flight).unwrap(), store::Resolution::Committed);
}

#[rstest]
#[case::rowid("id INTEGER PRIMARY KEY")]
#[case::text("id TEXT NOT NULL UNIQUE")]
fn more_keys_than_memory_holds_are_walked_in_chunks(#[case] key: &str) {
    let fixture = Fixture::new(&format!(
        "CREATE TABLE visitors ({key}, last_seen INTEGER); CREATE INDEX t ON visitors (last_seen);"
    ));
    for id in 0..1_000_i64 {
        let last_seen = if id % 3 == 0 { now().as_second() } else { 1_000_000_000 + id * 7_919 % 1_000 };
        fixture.application.execute("INSERT INTO visitors VALUES (?1, ?2)", (id, last_seen)).unwrap();
    }
    let rule = fixture.rule(rows());
    let selection = selection(&rule);
    let database = Database::open(&fixture.path()).unwrap();
    let mut walk = SqliteWalk::begin(&database, selection.of_table().unwrap()).unwrap();
    walk.chunk = 100;
    let mut sizes = Vec::new();
    while let Some(batch) = walk.prepare(60).unwrap() {
        sizes.push(batch.rows());
        batch.commit().unwrap();
    }
    assert_eq!(sizes.iter().sum::<u64>(), 666);
    assert!(sizes.starts_with(&[60, 40, 60, 40]), "{sizes:?}");
    assert_eq!(fixture.count("SELECT count(*) FROM visitors"), 334);
}

#[test]
fn a_key_that_was_used_again_for_a_newer_visitor_does_not_hide_a_commit() {
    let fixture = Fixture::new(VISITORS);
    fixture.application.execute_batch("INSERT INTO visitors VALUES (1, 1000000000, NULL, '')").unwrap();
    let rule = fixture.rule(rows());
    let mut store = fixture.open();
    let selection = selection(&rule);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let batch = walk.prepare(9).unwrap().unwrap();
    let in_flight = batch.in_flight().to_vec();
    batch.commit().unwrap();
    drop(walk);
    fixture.application.execute("INSERT INTO visitors VALUES (1, ?1, NULL, '')", [now().as_second()]).unwrap();
    assert_eq!(store.resolve(&selection, &in_flight).unwrap(), store::Resolution::Committed);
}

#[test]
fn rows_that_arrive_inside_the_range_of_a_batch_are_not_taken_for_it() {
    let fixture = Fixture::new(VISITORS);
    fixture
        .application
        .execute_batch("INSERT INTO visitors VALUES (1, 1000000000, NULL, ''), (3, 1000000000, NULL, '')")
        .unwrap();
    let rule = fixture.rule(rows());
    let mut store = fixture.open();
    let selection = selection(&rule);
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    drop(walk.prepare(2).unwrap());
    fixture.application.execute_batch("INSERT INTO visitors VALUES (2, 1000000000, NULL, '')").unwrap();
    let batch = walk.prepare(2).unwrap().unwrap();
    assert_eq!(batch.rows(), 2);
    batch.commit().unwrap();
    drop(walk);
    assert_eq!(fixture.count("SELECT id FROM visitors"), 2);
}

#[rstest]
#[case::text_in_a_text_column("TEXT", "'7'", "7")]
#[case::number_in_an_integer_column("INTEGER", "7", "7")]
#[case::number_written_with_zeros("INTEGER", "7", "007")]
#[case::number_in_a_real_column("REAL", "7", "7")]
#[case::fraction_in_an_untyped_column("", "7.0", "7")]
#[case::bytes("", "x'37'", "7")]
#[case::text_in_an_untyped_column("", "'7'", "7")]
fn a_hold_holds_whatever_the_type_of_the_column(#[case] declared: &str, #[case] stored: &str, #[case] held: &str) {
    let fixture = Fixture::new(&format!(
        "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, customer {declared});
         INSERT INTO visitors VALUES (1, 1000000000, {stored}), (2, 1000000000, 8);"
    ));
    let rule = fixture.rule(rows());
    let mut selection = selection(&rule);
    selection.holds.push(HeldValue { column: "customer".to_owned(), value: held.to_owned() });
    let mut store = fixture.open();
    let survey = store.survey(&selection).unwrap();
    assert_eq!((survey.matches, survey.on_hold), (1, 1));
    assert_eq!(erase(store.as_mut(), &selection), 1);
    assert_eq!(fixture.count("SELECT id FROM visitors"), 1);
}

#[test]
fn a_hold_on_a_column_that_does_not_exist_stops_the_rule() {
    let fixture = Fixture::new(VISITORS);
    let rule = fixture.rule(rows());
    let mut selection = selection(&rule);
    selection.holds.push(HeldValue { column: "customer".to_owned(), value: "customer".to_owned() });
    let counted = fixture.open().survey(&selection);
    assert!(matches!(counted, Err(StoreError::Failed { .. })), "{counted:?}");
}

#[rstest]
#[case::text_where_a_number_is_meant("TEXT", "'3'", Scalar::Integer(3), 0)]
#[case::number_where_text_is_meant("INTEGER", "3", Scalar::Text("3".to_owned()), 0)]
#[case::number("INTEGER", "3", Scalar::Integer(3), 1)]
#[case::boolean("BOOLEAN", "1", Scalar::Boolean(true), 1)]
#[case::text("TEXT", "'x'", Scalar::Text("x".to_owned()), 1)]
#[case::text_in_other_letters("TEXT COLLATE NOCASE", "'X'", Scalar::Text("x".to_owned()), 0)]
#[case::nothing("INTEGER", "NULL", Scalar::Integer(0), 0)]
fn a_filter_lets_through_what_is_equal_in_type_and_value(
    #[case] declared: &str,
    #[case] stored: &str,
    #[case] filter: Scalar,
    #[case] expected: u64,
) {
    let fixture = Fixture::new(&format!(
        "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, site {declared});
         INSERT INTO visitors VALUES (1, 1000000000, {stored}), (2, NULL, {stored});"
    ));
    let mut rule = fixture.rule(rows());
    rule.target.filter.insert("site".to_owned(), filter);
    let survey = fixture.open().survey(&selection(&rule)).unwrap();
    assert_eq!((survey.matches, survey.total, survey.undatable), (expected, 2 * expected, expected));
}

#[rstest]
#[case::given("1", Scalar::Integer(1), 0, 0)]
#[case::refused("0", Scalar::Integer(1), 1, 0)]
#[case::fraction("1.0", Scalar::Integer(1), 0, 0)]
#[case::nothing("NULL", Scalar::Integer(1), 1, 0)]
#[case::text_for_a_number("'yes'", Scalar::Integer(1), 0, 1)]
#[case::boolean("1", Scalar::Boolean(true), 0, 0)]
#[case::text_given("'yes'", Scalar::Text("yes".to_owned()), 0, 0)]
#[case::text_refused("'no'", Scalar::Text("yes".to_owned()), 1, 0)]
#[case::number_for_text("1", Scalar::Text("yes".to_owned()), 0, 1)]
#[case::bytes("x'01'", Scalar::Integer(1), 0, 1)]
fn consent_is_judged_by_type_and_value(
    #[case] stored: &str,
    #[case] given: Scalar,
    #[case] matches: u64,
    #[case] undatable: u64,
) {
    let fixture = Fixture::new(&format!(
        "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, consent);
         INSERT INTO visitors VALUES (1, NULL, {stored});"
    ));
    let mut rule = fixture.rule(rows());
    rule.when = When::WithoutConsent(Consent { column: "consent".to_owned(), given });
    let mut store = fixture.open();
    let survey = store.survey(&selection(&rule)).unwrap();
    assert_eq!((survey.matches, survey.undatable), (matches, undatable));
    assert_eq!(erase(store.as_mut(), &selection(&rule)), matches);
}

#[test]
fn every_stored_form_of_an_address_is_masked_once() {
    let fixture = Fixture::new(
        "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, ip);
         INSERT INTO visitors (last_seen, ip) VALUES (1000000000, '192.0.2.77'), (1000000000, x'C000024D'),
            (1000000000, 3221225985), (1000000000, '2001:db8:1:2::3'), (1000000000, 'unknown'),
            (1000000000, NULL), (1000000000, 'no address'), (1000000000, 1.5), (1000000000, CAST(x'ff' AS TEXT));",
    );
    let rule = fixture.rule(truncate("ip"));
    let mut store = fixture.open();
    assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 7);
    assert_eq!(erase(store.as_mut(), &selection(&rule)), 7);
    assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 0);
    let stored: String = fixture
        .application
        .query_row("SELECT group_concat(quote(ip), ' ') FROM (SELECT ip FROM visitors ORDER BY id)", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(stored, "'192.0.2.0' X'C0000200' 3221225984 '2001:db8:1::' 'unknown' NULL NULL NULL NULL");
}

#[test]
fn a_trigger_that_quotes_a_record_cannot_put_it_into_an_error() {
    let fixture = Fixture::new(&format!(
        "{VISITORS} CREATE TRIGGER t BEFORE DELETE ON visitors BEGIN SELECT RAISE(ABORT, 'canary'); END;
         INSERT INTO visitors VALUES (1, 1000000000, 'canary', '');"
    ));
    let rule = fixture.rule(rows());
    let mut store = fixture.open();
    let selection = selection(&rule);
    let failed = store.walk(&selection, MAX_LAG).unwrap().prepare(1).err().unwrap();
    assert!(matches!(failed, StoreError::Failed { .. }));
    assert!(!format!("{failed} {failed:?}").contains("canary"));
    assert_eq!(fixture.count("SELECT count(*) FROM visitors"), 1);
}
