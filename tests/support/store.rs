//! What the contract suite needs of each kind of store: an application that writes visitors, and how a rule names them.

#[path = "mariadb.rs"]
mod mariadb;
#[path = "mysql.rs"]
mod mysql;
#[path = "postgres.rs"]
mod postgres;
#[path = "postgres_server.rs"]
mod postgres_server;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use forgetd::config::TimeFormat;
use forgetd::config::site::{Child, DatabaseKind, RowTime, TimeMeaning, Zone};
use forgetd::plan::{Action, RuleName, TableRule, Target, When};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use tempfile::TempDir;

/// A visitor as the application writes it.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) id: i64,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) site: i64,
    pub(crate) consent: Option<i64>,
    pub(crate) address: Option<&'static str>,
    pub(crate) pages: u32,
}

impl Visitor {
    pub(crate) fn new(id: i64, last_seen: Timestamp) -> Visitor {
        Visitor { id, last_seen: Some(last_seen), site: 1, consent: Some(1), address: Some("192.0.2.77"), pages: 2 }
    }
}

/// The application whose store it is, with a connection of its own.
pub(crate) trait Application: Send {
    fn write(&mut self, visitors: &[Visitor]);
    /// The visitors were seen again.
    fn touch(&mut self, ids: &[i64], at: Timestamp);
    fn visitors(&mut self) -> BTreeSet<i64>;
    fn pages(&mut self) -> u64;
    fn address(&mut self, id: i64) -> Option<String>;
    /// Keeps everybody else from writing until [`Application::unlock`].
    fn lock(&mut self);
    fn unlock(&mut self);
    /// Changes its tables.
    fn upgrade(&mut self, statement: &str);
}

/// A kind of store with the suite's tables in it, empty.
pub(crate) trait Fixture {
    fn name(&self) -> &'static str;
    fn kind(&self) -> DatabaseKind;
    fn key(&self) -> String;
    /// Whether the store can always tell a record that arrived during the walk from one that the walk left: it can
    /// where the numbers of erased records are not given again.
    fn tells_arrivals(&self) -> bool;
    /// How the time column is written.
    fn time_format(&self) -> TimeFormat {
        TimeFormat::UnixSeconds
    }
    /// Whether the server keeps copies of its own (a write-ahead log), so that never nothing is left.
    fn keeps_copies(&self) -> bool {
        false
    }
    fn application(&self) -> Box<dyn Application>;

    /// A rule over all visitors.
    fn rule(&self, when: When, action: Action) -> TableRule {
        let utc = Zone { name: "UTC".to_owned(), zone: TimeZone::UTC };
        TableRule {
            rule: rule_name("shop.example/chat/visitors"),
            store: self.kind(),
            target: Target {
                table: "visitors".to_owned(),
                key: self.key(),
                time: RowTime {
                    column: "last_seen".to_owned(),
                    format: self.time_format(),
                    zone: None,
                    meaning: TimeMeaning::Recorded,
                },
                filter: Default::default(),
                accepts: Default::default(),
            },
            when,
            action,
            zone: utc,
        }
    }

    fn erase_rows(&self) -> Action {
        Action::EraseRows { children: vec![Child { table: "pages".to_owned(), column: "visitor_id".to_owned() }] }
    }
}

pub(crate) fn rule_name(name: &str) -> RuleName {
    serde_json::from_value(name.into()).unwrap()
}

/// Every kind of database that the suite runs over.
pub(crate) fn every_database() -> Vec<Box<dyn Fixture>> {
    let sqlite =
        |name, journal_mode, schema| Box::new(SqliteFixture::new(name, journal_mode, schema)) as Box<dyn Fixture>;
    let mut kinds = vec![
        sqlite("sqlite, rollback journal", "DELETE", ROWID),
        sqlite("sqlite, write-ahead log", "WAL", ROWID),
        sqlite("sqlite, key of text", "WAL", TEXT_KEY),
        sqlite("sqlite, without rowid", "DELETE", WITHOUT_ROWID),
    ];
    kinds.extend(postgres::fixtures());
    kinds.extend(mysql::fixtures());
    kinds
}

const ROWID: &str =
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, site INTEGER, consent INTEGER, ip TEXT);";
const TEXT_KEY: &str =
    "CREATE TABLE visitors (id TEXT NOT NULL UNIQUE, last_seen INTEGER, site INTEGER, consent INTEGER, ip TEXT);";
const WITHOUT_ROWID: &str = "CREATE TABLE visitors (id TEXT PRIMARY KEY, last_seen, site, consent, ip) WITHOUT ROWID;";
const COMMON: &str = "CREATE INDEX visitors_last_seen ON visitors (last_seen);
    CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor_id NOT NULL REFERENCES visitors (id), url TEXT);
    CREATE INDEX pages_visitor_id ON pages (visitor_id);";

struct SqliteFixture {
    name: &'static str,
    directory: TempDir,
}

impl SqliteFixture {
    fn new(name: &'static str, journal_mode: &str, schema: &str) -> SqliteFixture {
        let fixture = SqliteFixture { name, directory: tempfile::tempdir().unwrap() };
        let connection = Connection::open(fixture.path()).unwrap();
        connection.pragma_update(None, "journal_mode", journal_mode).unwrap();
        connection.execute_batch(schema).unwrap();
        connection.execute_batch(COMMON).unwrap();
        fixture
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("chat.db")
    }
}

impl Fixture for SqliteFixture {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> DatabaseKind {
        DatabaseKind::Sqlite { path: self.path() }
    }

    fn key(&self) -> String {
        "id".to_owned()
    }

    fn tells_arrivals(&self) -> bool {
        matches!(self.name, "sqlite, rollback journal" | "sqlite, write-ahead log")
    }

    fn application(&self) -> Box<dyn Application> {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        Box::new(SqliteApplication(connection))
    }
}

struct SqliteApplication(Connection);

impl Application for SqliteApplication {
    fn write(&mut self, visitors: &[Visitor]) {
        let transaction = self.0.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        for visitor in visitors {
            let Visitor { id, last_seen, site, consent, address, pages } = visitor;
            let values = (id, last_seen.map(Timestamp::as_second), site, consent, address);
            transaction
                .execute("INSERT INTO visitors (id, last_seen, site, consent, ip) VALUES (?1, ?2, ?3, ?4, ?5)", values)
                .unwrap();
            for _ in 0..*pages {
                // The key as the table has it: text in some of them.
                transaction
                    .execute("INSERT INTO pages (visitor_id, url) SELECT id, '/' FROM visitors WHERE id = ?1", [id])
                    .unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn touch(&mut self, ids: &[i64], at: Timestamp) {
        let transaction = self.0.transaction().unwrap();
        for id in ids {
            transaction
                .execute(
                    "UPDATE visitors SET last_seen = ?2 WHERE id = CAST(?1 AS TEXT) OR id = ?1",
                    (id, at.as_second()),
                )
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    fn visitors(&mut self) -> BTreeSet<i64> {
        let mut statement = self.0.prepare("SELECT CAST(id AS INTEGER) FROM visitors").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn pages(&mut self) -> u64 {
        self.0.query_row("SELECT count(*) FROM pages", [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    }

    fn address(&mut self, id: i64) -> Option<String> {
        self.0.query_row("SELECT ip FROM visitors WHERE CAST(id AS INTEGER) = ?1", [id], |row| row.get(0)).unwrap()
    }

    fn lock(&mut self) {
        self.0.execute_batch("BEGIN IMMEDIATE").unwrap();
    }

    fn unlock(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }

    fn upgrade(&mut self, statement: &str) {
        self.0.execute_batch(statement).unwrap();
    }
}
