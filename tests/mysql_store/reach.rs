//! Foreign keys act whether the user sees them or not: what cannot be seen holds the rule.

use forgetd::config::site::{Child, SideEffect};
use forgetd::plan::Action;
use forgetd::store::{self, Severity};
use mysql::prelude::Queryable;
use rstest::rstest;

use super::inspect::refusals;
use super::{VISITORS, database, mariadb, rows, rule, selection};

const ORDERS: &str = "CREATE TABLE orders (id INT PRIMARY KEY, visitor_id BIGINT, \
    FOREIGN KEY (visitor_id) REFERENCES visitors (id) ON DELETE CASCADE)";

/// With DATABASE in place of the database and USER of the user.
fn grant(database: &str, user: &str, grants: &[&str]) {
    let mut administrator = mariadb::shared().administrator();
    administrator.query_drop(format!("CREATE USER {user}@localhost")).unwrap();
    for grant in grants {
        let sql = grant.replace("DATABASE", database).replace("USER", &format!("{user}@localhost"));
        administrator.query_drop(sql).unwrap();
    }
}

const ON_THE_TABLE: &str = "GRANT SELECT, DELETE, TRIGGER ON DATABASE.visitors TO USER";

#[rstest]
#[case::with_the_table_alone("unseen_1", &[ON_THE_TABLE])]
#[case::with_all_tables_readable("unseen_2", &[ON_THE_TABLE, "GRANT SELECT ON DATABASE.* TO USER"])]
#[case::with_everything_readable("unseen_3", &[ON_THE_TABLE, "GRANT SELECT ON *.* TO USER"])]
#[case::of_another_database("unseen_4", &["GRANT ALL ON DATABASE.* TO USER"])]
fn foreign_keys_that_cannot_be_seen_hold_the_rule_until_they_are(#[case] user: &str, #[case] grants: &[&str]) {
    let database = database(&[VISITORS, ORDERS, "INSERT INTO visitors VALUES (1, 1600000000, '')"]);
    grant(&database.name, user, grants);
    let mut administrator = mariadb::shared().administrator();
    // What MySQL is asked first, and what shows no key.
    administrator.query_drop(format!("GRANT REPLICATION CLIENT ON *.* TO {user}@localhost")).unwrap();
    let rule = rule(database.kind(user), rows());
    let told = |told: &str| {
        let refusals = refusals(store::open_database(&rule.store).as_mut(), &rule);
        assert!(refusals.iter().any(|refusal| refusal.contains(told)), "{refusals:?}");
    };
    // On MySQL whoever may read everything sees the keys as well.
    if !(mariadb::is_mysql() && grants.contains(&"GRANT SELECT ON *.* TO USER")) {
        let grant = format!("GRANT {} ON *.* TO '{user}'@'localhost'", mariadb::key_privilege());
        told(&grant);
        administrator.query_drop(grant).unwrap();
    }
    told("cascade:orders");
}

#[test]
fn a_foreign_key_of_another_database_is_no_declared_child() {
    let (database, crm) = (database(&[VISITORS]), database(&[]));
    let (shop, crm) = (&database.name, &crm.name);
    let pages = "(id INT PRIMARY KEY, visitor BIGINT, KEY (visitor)";
    super::run(
        &database,
        &[
            &format!("CREATE TABLE pages {pages}, FOREIGN KEY (visitor) REFERENCES visitors (id))"),
            &format!(
                "CREATE TABLE {crm}.pages {pages}, FOREIGN KEY (visitor) REFERENCES {shop}.visitors (id) ON DELETE CASCADE)"
            ),
        ],
    );
    let child = Child { table: "pages".to_owned(), column: "visitor".to_owned() };
    let mut rule = rule(database.kind("root"), Action::EraseRows { children: vec![child] });
    let told = refusals(store::open_database(&rule.store).as_mut(), &rule);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&format!("accepts = [\"cascade:{crm}.pages\"]")), "{told:?}");
    rule.target.accepts = [SideEffect::Cascade("pages".to_owned())].into();
    assert_eq!(refusals(store::open_database(&rule.store).as_mut(), &rule).len(), 1);
    rule.target.accepts = [SideEffect::Cascade(format!("{crm}.pages"))].into();
    assert_eq!(refusals(store::open_database(&rule.store).as_mut(), &rule), Vec::<String>::new());
}

#[test]
fn a_cascade_is_followed_into_another_database_and_on() {
    let (database, crm) = (database(&[VISITORS]), database(&[]));
    let (shop, crm) = (&database.name, &crm.name);
    super::run(
        &database,
        &[
            &format!(
                "CREATE TABLE {crm}.a (id BIGINT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {shop}.visitors (id) \
                 ON DELETE CASCADE)"
            ),
            &format!("CREATE TABLE {crm}.b (id BIGINT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {crm}.a (id))"),
            // Of the same name, and not reached.
            "CREATE TABLE a (id BIGINT PRIMARY KEY)",
            "CREATE TABLE c (id BIGINT PRIMARY KEY, FOREIGN KEY (id) REFERENCES a (id))",
        ],
    );
    let mut rule = rule(database.kind("root"), rows());
    rule.target.accepts = [SideEffect::Cascade(format!("{crm}.a"))].into();
    let told = refusals(store::open_database(&rule.store).as_mut(), &rule);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&format!("{crm}.b.id refers to {crm}.a")), "{told:?}");
}

#[test]
fn a_privilege_that_comes_through_a_role_counts() {
    let database = database(&[VISITORS]);
    let mut administrator = mariadb::shared().administrator();
    administrator.query_drop("CREATE ROLE looks").unwrap();
    grant(
        &database.name,
        "with_role",
        &[
            "GRANT SELECT, DELETE ON DATABASE.visitors TO USER",
            "GRANT TRIGGER ON DATABASE.* TO looks",
            &format!("GRANT {} ON *.* TO looks", mariadb::key_privilege()),
            "GRANT REPLICATION CLIENT ON *.* TO looks",
            "GRANT looks TO USER",
            if mariadb::is_mysql() { "SET DEFAULT ROLE looks TO USER" } else { "SET DEFAULT ROLE looks FOR USER" },
        ],
    );
    let rule = rule(database.kind("with_role"), rows());
    let findings = store::open_database(&rule.store).inspect(&selection(&rule)).unwrap().findings;
    let refusals: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Refusal).collect();
    assert!(refusals.is_empty(), "{refusals:?}");
}
