//! What a batch is made of: statements over ranges of keys, in a transaction that ends well or not at all.

use rusqlite::{CachedStatement, Connection, ErrorCode};

use super::connection::{self, Database};
use super::keys::{Key, KeyKind, Keys};
use super::predicate::Predicate;
use crate::store::{StoreError, Unknown};

/// What a batch did.
pub(super) struct Erased {
    /// Keys of the records.
    pub(super) keys: Keys,
    /// How many records.
    pub(super) rows: u64,
    /// How many rows of other tables.
    pub(super) children: u64,
}

impl Erased {
    /// Nothing yet.
    pub(super) fn nothing(kind: KeyKind) -> Erased {
        Erased { keys: Keys::none(kind), rows: 0, children: 0 }
    }
}

/// A statement over a range of keys.
pub(super) struct Bound<'c> {
    statement: CachedStatement<'c>,
    first: Option<usize>,
    last: Option<usize>,
}

impl<'c> Bound<'c> {
    /// Prepares it with the predicate's values bound, and the bounds of its range still to be.
    pub(super) fn new(connection: &'c Connection, predicate: &Predicate, sql: &str) -> rusqlite::Result<Bound<'c>> {
        let mut statement = connection.prepare_cached(sql)?;
        predicate.bind(&mut statement)?;
        let (first, last) = (statement.parameter_index(":first")?, statement.parameter_index(":last")?);
        Ok(Bound { statement, first, last })
    }

    /// Runs it, and counts the rows that it changed itself.
    pub(super) fn execute(&mut self, first: &Option<Key>, last: &Option<Key>) -> rusqlite::Result<u64> {
        for (parameter, key) in [(self.first, first), (self.last, last)] {
            if let Some(parameter) = parameter {
                self.statement.raw_bind_parameter(parameter, key)?;
            }
        }
        self.statement.raw_execute().map(|rows| u64::try_from(rows).unwrap_or(u64::MAX))
    }
}

/// A write transaction, rolled back unless it was committed.
pub(super) struct OpenTransaction<'s>(&'s Database);

impl<'s> OpenTransaction<'s> {
    /// Waits for the lock, with a bound.
    pub(super) fn begin(database: &'s Database) -> Result<OpenTransaction<'s>, StoreError> {
        database.run(|connection| connection.execute_batch("BEGIN IMMEDIATE"))?;
        Ok(OpenTransaction(database))
    }

    /// Commits. A COMMIT that failed and left the transaction open is rolled back, and it is known how it ended, but
    /// where the disk failed: the frame that commits may be in the write-ahead log already.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        let Err(error) = self.0.connection.execute_batch("COMMIT") else { return Ok(()) };
        let of_the_disk = [Some(ErrorCode::DiskFull), Some(ErrorCode::SystemIoFailure)];
        if !self.0.connection.is_autocommit() && !of_the_disk.contains(&error.sqlite_error_code()) {
            return Err(self.0.error(&error));
        }
        let reason = connection::describe(&error).to_owned();
        Err(StoreError::CommitUnknown { place: self.0.place.clone(), reason, because: Unknown::DiskFailed })
    }
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        if !self.0.connection.is_autocommit()
            && let Err(error) = self.0.connection.execute_batch("ROLLBACK")
        {
            // Closing the connection rolls back as well; only the lock is held until then.
            tracing::warn!(store = %self.0.place, error = connection::describe(&error), "ROLLBACK failed");
        }
    }
}
