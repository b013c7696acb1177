//! The register: what is declared, with every earlier version, and what operators decided and forgetd did.
//!
//! Plain relational tables in one SQLite file that any tool can query (`register/schema/` is their description).
//! Declared facts are versioned by `valid_from` and `valid_until`; loading the same files twice changes nothing. The
//! files themselves are facts too: while the directory is invalid, the configuration in force is read back from here.

mod counts;
mod facts;
mod in_force;
mod ledger;
mod record;
mod shapes;
mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use counts::LastCount;
pub use facts::{FACT_TABLES, FactTable};
pub use in_force::{InForce, NothingInForce};
pub use ledger::{Approval, ClockSample, FinishedRun, Hold, NewHold, RunStart};
pub use record::{Recorded, Version};
pub use show::{FactRow, Moment};

/// "fgtd": tells the register from any other SQLite file.
const APPLICATION_ID: i64 = 0x6667_7464;

/// What leads from each version of the schema to the next, beginning with an empty file.
const MIGRATIONS: [&str; 4] = [
    include_str!("register/schema/1.sql"),
    include_str!("register/schema/2.sql"),
    include_str!("register/schema/3.sql"),
    include_str!("register/schema/4.sql"),
];

/// A register of a newer version is refused: an older program would not see what is in it.
const SCHEMA_VERSION: i64 = 4;

/// Another process writes for milliseconds; whoever waits longer than this has found a fault.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A damaged file has thousands of faults; the first few say as much.
const MOST_FAULTS: i64 = 5;

/// Pages that a connection keeps, in KiB. The daemon has three connections for as long as it lives, and each would fill
/// SQLite's own two megabytes as the register grows; the kernel has the pages anyway.
const CACHE_KIB: i64 = 256;

/// Between two attempts at what SQLite does not wait for.
const PAUSE: Duration = Duration::from_millis(10);

/// The register's file below the state directory.
pub const FILE_NAME: &str = "register.db";

/// An open register.
#[derive(Debug)]
pub struct Register {
    db: Connection,
    path: PathBuf,
}

/// What can go wrong with the register, by what the operator does next.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The file cannot be opened or created.
    #[error("register {path}: cannot be opened: {source}; {}", remedy(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The file is not a register.
    #[error("register {path}: this is another program's database (application id {found:#x}): move it away")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application id.
        found: i64,
    },
    /// The file was written by a newer forgetd.
    #[error("register {path}: written by a newer forgetd (schema {found}, this one knows {SCHEMA_VERSION}): upgrade")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// A query failed.
    #[error("register {path}: {source}; {}", remedy(source))]
    Query {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A value does not have the form that forgetd writes.
    #[error("register {path}: {what} is damaged: restore the register from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which value.
        what: &'static str,
    },
}

/// What to do about an error of SQLite.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "free space, nothing is erased before",
        Some(ErrorCode::SystemIoFailure) => "look after the disk and whether it is full, nothing is erased before",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process keeps it locked, nothing is erased before it lets go"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "restore it from a backup, nothing is erased before"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "correct its owner and mode, nothing is erased before"
        }
        _ => "nothing is erased while it cannot be read and written",
    }
}

/// SQLite takes a negative number for KiB, and any other for pages.
fn bound_cache(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "cache_size", -CACHE_KIB)
}

impl Register {
    /// Opens the register for writing; creates or migrates it where needed.
    ///
    /// # Errors
    /// The file cannot be opened, is not a register, or is a newer one.
    pub fn open(path: &Path) -> Result<Register, RegisterError> {
        let db = Connection::open(path).map_err(|source| RegisterError::Open { path: path.to_owned(), source })?;
        Register::prepare(db, path)
    }

    /// Opens an existing register for reading; `None` where there is none yet.
    ///
    /// # Errors
    /// As [`Register::open`].
    pub fn open_existing(path: &Path) -> Result<Option<Register>, RegisterError> {
        let open_error = |source| RegisterError::Open { path: path.to_owned(), source };
        if !path.exists() {
            return Ok(None);
        }
        // A WAL database needs its -shm file to be read: whoever may read the register may not be able to create it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(open_error)?;
        db.busy_timeout(BUSY_TIMEOUT).map_err(open_error)?;
        db.pragma_update(None, "query_only", true).map_err(open_error)?;
        bound_cache(&db).map_err(open_error)?;
        let register = Register { db, path: path.to_owned() };
        match register.version()? {
            0 => Ok(None),
            _ => Ok(Some(register)),
        }
    }

    /// A register in memory, for commands that read the files as they stand.
    ///
    /// # Errors
    /// Out of memory.
    pub fn in_memory() -> Result<Register, RegisterError> {
        let path = PathBuf::from(":memory:");
        let db = Connection::open_in_memory().map_err(|source| RegisterError::Open { path: path.clone(), source })?;
        Register::prepare(db, &path)
    }

    /// What SQLite finds wrong with the file, at most a few of many; empty where it is whole.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn faults(&self) -> Result<Vec<String>, RegisterError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.db.prepare(&format!("PRAGMA integrity_check({MOST_FAULTS})"))?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let mut found = read().map_err(|source| self.query_error(source))?;
        found.retain(|line| line != "ok");
        Ok(found)
    }

    fn prepare(db: Connection, path: &Path) -> Result<Register, RegisterError> {
        let open_error = |source| RegisterError::Open { path: path.to_owned(), source };
        let mut register = Register { db, path: path.to_owned() };
        register.db.busy_timeout(BUSY_TIMEOUT).map_err(open_error)?;
        // Before anything else: another program's database is left as it is.
        let version = register.version()?;
        register.configure().map_err(open_error)?;
        if version < SCHEMA_VERSION {
            register.migrate()?;
        }
        Ok(register)
    }

    fn configure(&self) -> rusqlite::Result<()> {
        self.write_ahead()?;
        bound_cache(&self.db)?;
        self.db.pragma_update(None, "synchronous", "FULL")?;
        self.db.pragma_update(None, "foreign_keys", true)
    }

    /// SQLite does not wait by itself for whoever else has just opened a new file and wants the same.
    fn write_ahead(&self) -> rusqlite::Result<()> {
        let mut pauses = BUSY_TIMEOUT.as_millis() / PAUSE.as_millis();
        loop {
            match self.db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && pauses > 0 => {
                    pauses -= 1;
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }

    /// The schema version of a register: 0 for an empty file.
    fn version(&self) -> Result<i64, RegisterError> {
        // One statement, one state of the file: another process may be creating the schema.
        let sql = "SELECT application_id, user_version, NOT EXISTS (SELECT 1 FROM sqlite_schema) \
                   FROM pragma_application_id, pragma_user_version";
        let found = self.db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        match found.map_err(|source| self.query_error(source))? {
            (0, 0, true) => Ok(0),
            (APPLICATION_ID, found, _) if found > SCHEMA_VERSION => {
                Err(RegisterError::Newer { path: self.path.clone(), found })
            }
            (APPLICATION_ID, version, _) => Ok(version),
            (found, ..) => Err(RegisterError::Foreign { path: self.path.clone(), found }),
        }
    }

    /// Creates the schema, or brings it up to date, in one transaction; another process may have been faster.
    fn migrate(&mut self) -> Result<(), RegisterError> {
        let migrate = |db: &mut Connection| {
            let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            for (_, step) in (1..).zip(MIGRATIONS).filter(|(to, _)| *to > version) {
                transaction.execute_batch(step)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", version.max(SCHEMA_VERSION))?;
            transaction.commit()
        };
        migrate(&mut self.db).map_err(|source| RegisterError::Query { path: self.path.clone(), source })
    }

    fn query_error(&self, source: rusqlite::Error) -> RegisterError {
        RegisterError::Query { path: self.path.clone(), source }
    }

    fn damaged(&self, what: &'static str) -> RegisterError {
        RegisterError::Damaged { path: self.path.clone(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_fills_two_megabytes_as_the_register_grows() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE_NAME);
        let writing = Register::open(&path).unwrap();
        let reading = Register::open_existing(&path).unwrap().unwrap();
        for register in [writing, reading] {
            let size: i64 = register.db.pragma_query_value(None, "cache_size", |row| row.get(0)).unwrap();
            // Negative: KiB, whatever the size of a page.
            assert!((-512..0).contains(&size), "{size}");
        }
    }
}
