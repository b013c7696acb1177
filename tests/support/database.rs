//! A database on one of the servers: as the application and an administrator speak to it, and as it is declared.

#![allow(dead_code, reason = "each test file uses its part")]

use mysql::prelude::Queryable;

use super::mariadb::{MariaDb, MariaDbDatabase};
use super::postgres_server::Server;

/// A connection of the application, or of an administrator. Whatever goes wrong on it fails the test.
pub(crate) trait Connection: Send {
    /// How many rows a statement changed.
    fn execute(&mut self, sql: &str) -> u64;
    /// Rows of whole numbers.
    fn rows(&mut self, sql: &str) -> Vec<Vec<i64>>;
    /// Whether the server still answers on it.
    fn is_alive(&mut self) -> bool;

    /// The one row of a query.
    fn row(&mut self, sql: &str) -> Vec<i64> {
        self.rows(sql).remove(0)
    }
}

impl Connection for postgres::Client {
    fn execute(&mut self, sql: &str) -> u64 {
        postgres::Client::execute(self, sql, &[]).unwrap_or_else(|error| panic!("{sql:.200}: {error:?}"))
    }

    fn rows(&mut self, sql: &str) -> Vec<Vec<i64>> {
        let rows = self.query(sql, &[]).unwrap_or_else(|error| panic!("{sql:.200}: {error:?}"));
        rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
    }

    fn is_alive(&mut self) -> bool {
        self.simple_query("SELECT 1").is_ok()
    }
}

impl Connection for mysql::Conn {
    fn execute(&mut self, sql: &str) -> u64 {
        self.query_drop(sql).unwrap_or_else(|error| panic!("{sql:.200}: {error:?}"));
        self.affected_rows()
    }

    fn rows(&mut self, sql: &str) -> Vec<Vec<i64>> {
        let rows: Vec<mysql::Row> = self.query(sql).unwrap_or_else(|error| panic!("{sql:.200}: {error:?}"));
        rows.into_iter().map(|row| row.unwrap().into_iter().map(mysql::from_value).collect()).collect()
    }

    fn is_alive(&mut self) -> bool {
        self.ping().is_ok()
    }
}

/// A database of one test.
pub(crate) trait Database {
    /// A new connection.
    fn connect(&self) -> Box<dyn Connection>;
    /// The lines of a site file that say where it is.
    fn declaration(&self) -> String;
}

/// A database on a PostgreSQL server.
pub(crate) struct OnPostgres<'a> {
    pub(crate) server: &'a Server,
    pub(crate) name: String,
}

impl<'a> OnPostgres<'a> {
    pub(crate) fn new(server: &'a Server) -> OnPostgres<'a> {
        OnPostgres { server, name: server.create_database() }
    }
}

impl Database for OnPostgres<'_> {
    fn connect(&self) -> Box<dyn Connection> {
        Box::new(self.server.client(&self.name))
    }

    fn declaration(&self) -> String {
        format!("kind = \"postgres\"\nurl = \"{}\"", self.server.url("postgres", &self.name))
    }
}

/// A database on a MariaDB server.
pub(crate) struct OnMariaDb {
    pub(crate) database: MariaDbDatabase,
    socket: String,
}

impl OnMariaDb {
    pub(crate) fn new(server: &MariaDb) -> OnMariaDb {
        OnMariaDb { database: server.database(), socket: server.socket().display().to_string() }
    }
}

impl Database for OnMariaDb {
    fn connect(&self) -> Box<dyn Connection> {
        Box::new(self.database.connect())
    }

    fn declaration(&self) -> String {
        let (name, socket) = (&self.database.name, &self.socket);
        // Some of the servers write a binary log that nobody reads.
        format!("kind = \"mysql\"\nurl = \"mysql://root@localhost/{name}?socket={socket}&replica=none\"")
    }
}
