//! The same on servers: PostgreSQL and MariaDB.

use rstest::rstest;
use serde_json::{Value, json};

use super::database::{Database, OnMariaDb, OnPostgres};
use super::installation::{Installation, UNGUARDED};
use super::{drift, findings, found, mariadb, postgres_server};

#[derive(Debug, Clone, Copy)]
enum Kind {
    Postgres,
    MariaDb,
}

impl Kind {
    fn database(self) -> Box<dyn Database> {
        match self {
            Kind::Postgres => Box::new(OnPostgres::new(postgres_server::server())),
            Kind::MariaDb => Box::new(OnMariaDb::new(mariadb::shared())),
        }
    }

    fn quoted(self, name: &str) -> String {
        match self {
            Kind::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Kind::MariaDb => format!("`{}`", name.replace('`', "``")),
        }
    }
}

const SITE: &str = "sites/shop.example.toml";
const RULE: &str = "shop.example/shop/visitors";

fn site(declaration: &str) -> String {
    format!(
        r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "30 3 * * *"
[retention]
visit = "6 months"
[store.shop]
{declaration}
[[store.shop.table]]
name = "visitors"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}
holds = "visit"
[store.shop.table.columns]
ip = "visit.ip-address"
"#
    )
}

/// A shop whose rules have just run, and a connection to its database.
fn shop(kind: Kind, further: &str) -> (Installation, Box<dyn Database>) {
    let database = kind.database();
    let mut connection = database.connect();
    connection.execute(&format!(
        "CREATE TABLE visitors (id bigint PRIMARY KEY, last_seen bigint, ip varchar(40), note varchar(80){further})"
    ));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    for id in 1..=4 {
        connection.execute(&format!("INSERT INTO visitors (id, last_seen, note) VALUES ({id}, {}, 'x')", now - 86_400));
    }
    let shop = Installation::new(UNGUARDED);
    shop.write(SITE, &site(&database.declaration()));
    let ran = shop.run(&["purge", "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    (shop, database)
}

#[rstest]
fn every_disagreement_is_told_on_a_server(#[values(Kind::Postgres, Kind::MariaDb)] kind: Kind) {
    let (shop, database) = shop(kind, ", telefon varchar(20)");
    let mut connection = database.connect();
    for sql in [
        "INSERT INTO visitors (id, last_seen) VALUES (11, 1706745600), (12, 1709251200)",
        "INSERT INTO visitors (id) VALUES (21)",
        "UPDATE visitors SET ip = '192.0.2.77' WHERE id <= 3",
        "UPDATE visitors SET note = concat('canary', id, '@shop.example')",
        "CREATE TABLE orders (id bigint PRIMARY KEY, customer_email varchar(80), created_at timestamp)",
        "CREATE TABLE products (id bigint PRIMARY KEY, name varchar(80), created_at timestamp)",
        "CREATE VIEW mails AS SELECT customer_email, created_at FROM orders",
    ] {
        connection.execute(sql);
    }
    let drift = drift(&shop, 3);
    assert_eq!(
        findings(&drift),
        [
            found("overdue", RULE, 2),
            found("undatable", RULE, 1),
            found("not-stored", "shop.example/shop/visitors/ip@setting", 3),
            found("undeclared-table", "shop.example/shop/orders", None),
            found("undeclared-column", "shop.example/shop/visitors/note", None),
            found("undeclared-column", "shop.example/shop/visitors/telefon", None),
        ]
    );
    assert_eq!(drift["findings"][0]["oldest"], "2024-02-01T00:00:00Z");
    assert_eq!(drift["findings"][4]["columns"], json!([{"column": "note", "looks_like": "email", "by": "values"}]));
    assert_eq!(drift["stores"][0]["tables"], 3);
    assert!(!drift.to_string().contains("canary") && !drift.to_string().contains("192.0.2"), "{drift}");
}

#[rstest]
fn hostile_names_are_names_on_a_server(#[values(Kind::Postgres, Kind::MariaDb)] kind: Kind) {
    let (shop, database) = shop(kind, "");
    let mut connection = database.connect();
    let table = "x`\"'; DROP TABLE visitors; --";
    let (quoted, column) = (kind.quoted(table), kind.quoted("v`\"' \u{202e}"));
    connection.execute(&format!("CREATE TABLE {quoted} (created_at timestamp, {column} varchar(80))"));
    for host in 1..=4 {
        connection.execute(&format!("INSERT INTO {quoted} ({column}) VALUES ('192.0.2.{host}')"));
    }
    let drift = drift(&shop, 3);
    assert_eq!(findings(&drift), [found("undeclared-table", &format!("shop.example/shop/{table}"), None)]);
    assert_eq!(connection.row("SELECT count(*) FROM visitors"), [4]);
}

#[test]
fn an_address_is_told_by_its_type_in_any_schema_and_a_partition_is_no_table_of_its_own() {
    let (shop, database) = shop(Kind::Postgres, "");
    let mut connection = database.connect();
    connection.execute("CREATE SCHEMA audit");
    connection.execute("CREATE TABLE audit.events (x inet, created timestamptz) PARTITION BY RANGE (created)");
    connection.execute("CREATE TABLE audit.events_1 PARTITION OF audit.events DEFAULT");
    let drift = drift(&shop, 3);
    assert_eq!(findings(&drift), [found("undeclared-table", "shop.example/shop/audit.events", None)]);
    assert_eq!(drift["findings"][0]["columns"], json!([{"column": "x", "looks_like": "ip-address", "by": "type"}]));
}

#[rstest]
fn a_table_that_may_not_be_read_is_judged_by_its_names(#[values(Kind::Postgres)] kind: Kind) {
    let (shop, database) = shop(kind, "");
    let mut connection = database.connect();
    connection.execute("CREATE TABLE facts (v varchar(80), created_at timestamp)");
    // Somebody works on it for longer than a glance waits.
    connection.execute("BEGIN");
    connection.execute("LOCK TABLE facts IN ACCESS EXCLUSIVE MODE");
    let drift = drift(&shop, 0);
    assert_eq!(drift["notes"], json!(["shop.example/shop: one table was judged by names and types alone"]));
    connection.execute("ROLLBACK");
}

#[rstest]
fn a_server_that_is_away_fails_the_comparison(#[values("postgres", "mysql")] kind: &str) {
    let shop = Installation::new(UNGUARDED);
    let url = match kind {
        "postgres" => "postgresql://forgetd@/shop?host=/nowhere",
        _ => "mysql://forgetd@localhost/shop?socket=/nowhere/socket",
    };
    shop.write(SITE, &site(&format!("kind = \"{kind}\"\nurl = \"{url}\"")));
    let drift: Value = drift(&shop, 1);
    assert_eq!(findings(&drift), [found("unreadable", "shop.example/shop", None)]);
}
