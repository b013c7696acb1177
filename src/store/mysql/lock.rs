//! One purger per table, also from two hosts: a lock that the server keeps for the session, by name.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::connection::Database;
use super::sql::text;
use crate::store::StoreError;

/// How long another purger is waited for before the run pauses.
const WAIT: Duration = Duration::from_secs(1);

/// Characters of the hash in the lock's name, which may have 64 in all.
const HASH_LENGTH: usize = 40;

/// The lock of one table.
#[derive(Debug)]
pub(super) struct TableLock {
    name: String,
    is_held: bool,
}

impl TableLock {
    /// The lock of a table, not held.
    pub(super) fn new(database: &str, table: &str) -> TableLock {
        TableLock { name: lock_name(database, table), is_held: false }
    }

    /// Takes it, unless it is held already.
    pub(super) fn hold(&mut self, database: &mut Database) -> Result<(), StoreError> {
        if self.is_held {
            return Ok(());
        }
        let sql = format!("SELECT GET_LOCK({}, {})", text(&self.name), WAIT.as_secs());
        self.is_held = database.row::<Option<i64>>(&sql)? == Some(1);
        if self.is_held { Ok(()) } else { Err(database.busy(WAIT)) }
    }

    /// Gives it back. The end of the connection does so as well.
    pub(super) fn release(&mut self, database: &mut Database) {
        if self.is_held && !database.is_lost() {
            let released = database.row::<Option<i64>>(&format!("SELECT RELEASE_LOCK({})", text(&self.name)));
            if let Err(error) = released {
                tracing::warn!(store = %database.place, %error, "RELEASE_LOCK failed");
            }
        }
        self.is_held = false;
    }
}

/// Names of tables may be longer than names of locks, and locks are one space for all databases of a server.
pub(super) fn lock_name(database: &str, table: &str) -> String {
    let hash = crate::config::hex(Sha256::digest(format!("{database}\0{table}")));
    format!("forgetd:{}", hash.chars().take(HASH_LENGTH).collect::<String>())
}
