//! What `check --stores` says of holds whose column a server does not have or does not show.

use super::database::{Connection, Database, OnMariaDb, OnPostgres};
use super::{RULE, fill, installation, mariadb, postgres_server};

#[test]
fn a_hold_on_a_column_that_postgresql_lacks_or_hides_is_told_with_the_grant() {
    let server = postgres_server::server();
    let database = OnPostgres::new(server);
    let mut connection = database.connect();
    fill(&mut *connection);
    connection.execute("CREATE ROLE clerk LOGIN");
    connection.execute("GRANT SELECT (id, last_seen, ip), DELETE ON visitors TO clerk");
    let declaration = format!("kind = \"postgres\"\nurl = \"{}\"", server.url("clerk", &database.name));
    held(&declaration, &mut *connection, "GRANT SELECT ON \"public\".\"visitors\" TO \"clerk\";");
}

#[test]
fn a_hold_on_a_column_that_mariadb_lacks_or_hides_is_told_with_the_grant() {
    let server = mariadb::shared();
    let database = OnMariaDb::new(server);
    let mut connection = database.connect();
    fill(&mut *connection);
    let name = &database.database.name;
    connection.execute("CREATE USER clerk@localhost");
    connection.execute(&format!("GRANT {} ON *.* TO clerk@localhost", mariadb::key_privilege()));
    if mariadb::is_mysql() {
        connection.execute("GRANT REPLICATION CLIENT ON *.* TO clerk@localhost");
    }
    connection
        .execute(&format!("GRANT SELECT (id, last_seen, ip), DELETE, TRIGGER ON {name}.visitors TO clerk@localhost"));
    let url = format!("mysql://clerk@localhost/{name}?socket={}&replica=none", server.socket().display());
    // MySQL shows every column to who may delete rows.
    let verbs = if mariadb::is_mysql() { "SELECT, DELETE" } else { "SELECT" };
    let grant = format!("GRANT {verbs} ON `{name}`.`visitors` TO 'clerk'@'localhost';");
    held(&format!("kind = \"mysql\"\nurl = \"{url}\""), &mut *connection, &grant);
}

fn held(declaration: &str, administrator: &mut dyn Connection, grant: &str) {
    let installation = installation(declaration, "store-ip = true");
    let add = |row: &str| {
        let ran = installation.run(&[
            "hold",
            "add",
            RULE,
            "--where",
            row,
            "--until",
            "2099-12-31",
            "--reason-code",
            "case-7",
        ]);
        assert_eq!(ran.code, 0, "{ran:?}");
    };
    add("email=canary2@shop.example");
    let checked = installation.run(&["check", "--stores"]);
    assert_eq!(checked.code, 3, "{checked:?}");
    assert!(checked.stdout.contains(grant), "{checked:?}");
    administrator.execute(grant.trim_end_matches(';'));
    let checked = installation.run(&["check", "--stores"]);
    assert_eq!(checked.code, 0, "{checked:?}");

    add("client=7");
    let checked = installation.run(&["check", "--stores"]);
    assert_eq!(checked.code, 3, "{checked:?}");
    let told = "visitors has no column client";
    assert!(checked.stdout.contains(told), "{checked:?}");
    assert!(!checked.stdout.contains("canary"), "the value stands in the register only: {checked:?}");
    // Nothing is erased while it is not known what is held.
    let purged = installation.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 3, "{purged:?}");
    assert!(purged.stdout.contains(told), "{purged:?}");
    let lifted = installation.run(&["hold", "lift", "2"]);
    assert_eq!(lifted.code, 0, "{lifted:?}");
    add("last_seen=yesterday");
    let checked = installation.run(&["check", "--stores"]);
    assert_eq!(checked.code, 3, "{checked:?}");
    let told = "a hold on column last_seen of table";
    assert!(checked.stdout.contains(told) && checked.stdout.contains("type bigint"), "{checked:?}");
    let purged = installation.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 3, "{purged:?}");
    let lifted = installation.run(&["hold", "lift", "3"]);
    assert_eq!(lifted.code, 0, "{lifted:?}");
    let purged = installation.run(&["purge", "--yes"]);
    assert_eq!(purged.code, 0, "{purged:?}");
    let held = administrator.row("SELECT count(*) FROM visitors WHERE email = 'canary2@shop.example'");
    assert_eq!(held, [1]);
}
