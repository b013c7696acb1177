//! The embedded store: a SQLite database that belongs to an application.
//!
//! The file is somebody else's. It is opened as its owner or not at all, its journal mode and format stay as they
//! are, its locks are waited for with a bound, and deleted content is overwritten (`secure_delete`). The predicate
//! of a rule is built once, in `predicate`, and every statement that counts or erases is made from it.

mod batch;
mod catalog;
mod connection;
mod functions;
mod in_flight;
mod inspect;
mod keys;
mod outline;
mod predicate;
mod reach;
mod schema;
mod shape;
mod statements;
mod survey;
mod walk;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;

use super::{Catalog, Inspection, Outline, Physical, Resolution, Selection, Store, StoreError, Survey, Walk};
use connection::{Access, Database};
use predicate::Predicate;

/// A SQLite database file. Opened at first use and kept open: make one per run, so that a file that was replaced
/// meanwhile is looked at anew.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    database: Option<Database>,
}

impl Sqlite {
    /// The database at `path`. Nothing is opened yet.
    pub fn new(path: &Path) -> Sqlite {
        Sqlite { path: path.to_owned(), database: None }
    }

    fn database(&mut self, access: Access) -> Result<&mut Database, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::open(&self.path)?,
        };
        let database = self.database.insert(database);
        database.set_access(access)?;
        Ok(database)
    }
}

impl Store for Sqlite {
    fn inspect(&mut self, selection: &Selection<'_>) -> Result<Inspection, StoreError> {
        inspect::inspect(self.database(Access::Reading)?, &selection.of_table()?)
    }

    fn survey(&mut self, selection: &Selection<'_>) -> Result<Survey, StoreError> {
        let selection = selection.of_table()?;
        let database = self.database(Access::Reading)?;
        let predicate = database.run(|connection| Predicate::new(connection, &selection))?;
        database.run(|connection| survey::survey(connection, &predicate))
    }

    fn walk<'s>(
        &'s mut self,
        selection: &'s Selection<'s>,
        _max_lag: Duration,
    ) -> Result<Box<dyn Walk + 's>, StoreError> {
        let walk = walk::SqliteWalk::begin(self.database(Access::Writing)?, selection.of_table()?)?;
        Ok(Box::new(walk))
    }

    fn resolve(&mut self, selection: &Selection<'_>, in_flight: &[u8]) -> Result<Resolution, StoreError> {
        in_flight::resolve(self.database(Access::Writing)?, &selection.of_table()?, in_flight)
    }

    fn settle(&mut self, _interrupt: &AtomicBool) -> Result<Physical, StoreError> {
        self.database(Access::Writing)?.settle()
    }

    fn clock(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn catalog(&mut self) -> Result<Option<Catalog>, StoreError> {
        catalog::read(self.database(Access::Reading)?).map(Some)
    }

    fn outline(&mut self, table: &str) -> Result<Option<Outline>, StoreError> {
        outline::read(self.database(Access::Reading)?, table)
    }

    fn glance(&mut self, table: &str, columns: &[&str], see: &mut dyn FnMut(usize, &str)) -> Result<(), StoreError> {
        catalog::glance(self.database(Access::Reading)?, table, columns, see)
    }
}
