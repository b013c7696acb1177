//! What changes the shape of a table, and what does not.

use forgetd::config::site::{Child, SideEffect};
use forgetd::plan::Action;
use forgetd::store::{self, Shape};
use rstest::rstest;

use super::mariadb::{self, MariaDbDatabase};
use super::{database, rule, run, selection};

const TABLES: &[&str] = &[
    "CREATE TABLE visitors (id BIGINT(20) UNSIGNED AUTO_INCREMENT PRIMARY KEY, seen BIGINT(20), ip VARCHAR(45), \
     city VARCHAR(40), KEY (seen))",
    "CREATE TABLE pages (id BIGINT AUTO_INCREMENT PRIMARY KEY, visitor BIGINT UNSIGNED, \
     FOREIGN KEY (visitor) REFERENCES visitors (id) ON DELETE SET NULL)",
    "CREATE TABLE log (id BIGINT)",
    "CREATE TRIGGER note AFTER DELETE ON visitors FOR EACH ROW INSERT INTO log VALUES (OLD.id)",
];

/// Of the visitors and their pages, with the trigger that is accepted.
fn shape(database: &MariaDbDatabase) -> Shape {
    let children = vec![Child { table: "pages".to_owned(), column: "visitor".to_owned() }];
    let mut rule = rule(database.kind("root"), Action::EraseRows { children });
    rule.target.accepts.insert(SideEffect::Trigger("note".to_owned()));
    store::open_database(&rule.store).inspect(&selection(&rule)).unwrap().shape.unwrap()
}

#[rstest]
#[case::type_changed(
    &["ALTER TABLE visitors MODIFY ip VARBINARY(16)"],
    &["column `ip` of visitors was varchar(45), is now varbinary(16)"]
)]
#[case::not_null(
    &["ALTER TABLE visitors MODIFY city VARCHAR(40) NOT NULL"],
    &["column `city` of visitors was varchar(40), is now varchar(40) NOT NULL"]
)]
#[case::computed(
    &["ALTER TABLE visitors DROP COLUMN city", "ALTER TABLE visitors ADD COLUMN city VARCHAR(40) AS (ip) STORED"],
    &["column `city` of visitors was varchar(40), is now varchar(40) GENERATED"]
)]
#[case::unique(&["ALTER TABLE visitors ADD UNIQUE (ip, city)"], &["UNIQUE (city, ip) of visitors was added"])]
#[case::cascade(
    &[
        "ALTER TABLE pages DROP FOREIGN KEY pages_ibfk_1",
        "ALTER TABLE pages ADD FOREIGN KEY (visitor) REFERENCES visitors (id) ON DELETE CASCADE",
    ],
    &[
        "foreign key pages (visitor) REFERENCES visitors (id) ON DELETE SET NULL ON UPDATE RESTRICT was removed",
        "foreign key pages (visitor) REFERENCES visitors (id) ON DELETE CASCADE ON UPDATE RESTRICT was added",
    ]
)]
#[case::trigger_replaced(
    &[
        "DROP TRIGGER note",
        "CREATE TRIGGER note AFTER DELETE ON visitors FOR EACH ROW DELETE FROM log WHERE id = OLD.id",
    ],
    &["trigger `note` of visitors was changed"]
)]
#[case::trigger_gone(&["DROP TRIGGER note"], &["trigger `note` of visitors was removed"])]
fn a_change_that_a_rule_relies_on_is_told(#[case] statements: &[&str], #[case] told: &[&str]) {
    let database = database(TABLES);
    let before = shape(&database);
    run(&database, statements);
    // What a key does that says nothing of updates, as either server calls it.
    let unsaid = if mariadb::is_mysql() { "ON UPDATE NO ACTION" } else { "ON UPDATE RESTRICT" };
    let told: Vec<String> = told.iter().map(|told| told.replace("ON UPDATE RESTRICT", unsaid)).collect();
    assert_eq!(shape(&database).changes_since(&before), told);
}

#[test]
fn a_column_that_every_update_sets_is_told() {
    let database = database(TABLES);
    run(&database, &["ALTER TABLE visitors ADD COLUMN changed DATETIME"]);
    let before = shape(&database);
    run(&database, &["ALTER TABLE visitors MODIFY changed DATETIME ON UPDATE CURRENT_TIMESTAMP"]);
    let expected = "column `changed` of visitors was datetime, is now datetime ON UPDATE CURRENT_TIMESTAMP";
    assert_eq!(shape(&database).changes_since(&before), [expected]);
}

#[rstest]
#[case::index("ALTER TABLE visitors ADD KEY (city)")]
#[case::statistics("ANALYZE TABLE visitors")]
#[case::comment("ALTER TABLE visitors COMMENT 'people', MODIFY ip VARCHAR(45) COMMENT 'an address'")]
#[case::counter("ALTER TABLE visitors AUTO_INCREMENT = 1000000")]
#[case::width("ALTER TABLE visitors MODIFY seen BIGINT(10)")]
#[case::order("ALTER TABLE visitors MODIFY city VARCHAR(40) FIRST")]
#[case::default("ALTER TABLE visitors ALTER city SET DEFAULT ''")]
#[case::rebuilt("OPTIMIZE TABLE visitors")]
#[case::trigger_of_an_insert(
    "CREATE TRIGGER came AFTER INSERT ON visitors FOR EACH ROW INSERT INTO log VALUES (NEW.id)"
)]
fn a_change_that_no_rule_relies_on_is_none(#[case] statement: &str) {
    let database = database(TABLES);
    let before = shape(&database);
    run(&database, &[statement]);
    assert_eq!(shape(&database), before);
}
