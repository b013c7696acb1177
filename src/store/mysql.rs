//! MySQL 8 and MariaDB 10.6 or newer: the site's own database, on a server that the shop is using meanwhile.
//!
//! The predicate of a rule is built once, in `predicate`, from the types that the server declares, and every
//! statement that counts or erases is made from it. Work is done in short transactions over ranges of the key, under
//! READ COMMITTED, so that only the rows that go are locked, and only for as long as a batch lasts.

mod catalog;
mod columns;
mod connection;
mod error;
mod flavour;
mod grants;
mod hold;
mod in_flight;
mod inspect;
mod keys;
mod line;
mod lock;
mod mask;
mod options;
mod outline;
mod partitions;
mod predicate;
mod ranges;
mod reach;
mod replicas;
mod rows;
mod schema;
mod server_facts;
mod settle;
mod shape;
mod sql;
mod stand_in;
mod survey;
mod text_time;
mod time;
mod walk;
mod zones;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Catalog, Inspection, Outline, Physical, Resolution, Selection, Store, StoreError, Survey, TableSelection, Walk,
};
use crate::config::TimeFormat;
use crate::config::site::Server;
use connection::{Attempt, Database};
use predicate::Predicate;
use schema::TableFacts;

/// A database on a server. Opened at first use and kept open.
#[derive(Debug)]
pub struct Mysql {
    server: Server,
    database: Option<Database>,
    attempt: Attempt,
}

impl Mysql {
    /// The database at `server`. Nothing is opened yet.
    pub fn new(server: &Server) -> Mysql {
        Mysql { server: server.clone(), database: None, attempt: Attempt::First }
    }

    fn database(&mut self) -> Result<&mut Database, StoreError> {
        let database = match self.database.take().filter(|database| !database.is_lost()) {
            Some(database) => database,
            None => Database::open(&self.server, self.attempt)?,
        };
        Ok(self.database.insert(database))
    }

    /// The database, and what the target is like in it.
    fn target(&mut self, selection: &TableSelection<'_>) -> Result<(&mut Database, TableFacts), StoreError> {
        let database = self.database()?;
        let name = &selection.rule.target.table;
        match TableFacts::read(database, name)? {
            Some(facts) => Ok((database, facts)),
            None => Err(database.failed(&format!("there is no table {name}"))),
        }
    }
}

impl Store for Mysql {
    fn inspect(&mut self, selection: &Selection<'_>) -> Result<Inspection, StoreError> {
        inspect::inspect(self.database()?, &selection.of_table()?)
    }

    fn survey(&mut self, selection: &Selection<'_>) -> Result<Survey, StoreError> {
        let selection = selection.of_table()?;
        let (database, facts) = self.target(&selection)?;
        let predicate = Predicate::new(database, &facts, &selection)?;
        survey::survey(database, &predicate)
    }

    fn walk<'s>(
        &'s mut self,
        selection: &'s Selection<'s>,
        max_lag: Duration,
    ) -> Result<Box<dyn Walk + 's>, StoreError> {
        let selection = selection.of_table()?;
        let (database, facts) = self.target(&selection)?;
        Ok(Box::new(walk::MysqlWalk::begin(database, facts, &selection, max_lag)?))
    }

    fn reconnect(&mut self) {
        self.database = None;
        self.attempt = Attempt::Again;
    }

    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError> {
        let selection = selection.of_table()?;
        let (database, facts) = self.target(&selection)?;
        in_flight::resolve(database, &facts, &selection, in_flight)
    }

    fn settle(&mut self, _interrupt: &AtomicBool) -> Result<Physical, StoreError> {
        settle::settle(self.database()?)
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let now: String = self.database()?.row("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")?;
        Ok(TimeFormat::Datetime.parse_text(&now, Some(&jiff::tz::TimeZone::UTC)))
    }

    fn catalog(&mut self) -> Result<Option<Catalog>, StoreError> {
        catalog::read(self.database()?).map(Some)
    }

    fn outline(&mut self, table: &str) -> Result<Option<Outline>, StoreError> {
        outline::read(self.database()?, table)
    }

    fn glance(&mut self, table: &str, columns: &[&str], see: &mut dyn FnMut(usize, &str)) -> Result<(), StoreError> {
        catalog::glance(self.database()?, table, columns, see)
    }
}
