//! Opening somebody else's database without leaving traces that lock its application out, and telling its errors
//! apart by what the caller does next.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::super::{Physical, StoreError};

/// How long a lock of the application is waited for: longer than any transaction of a website should take, short
/// enough that a run stuck behind one is noticed.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Page cache: as much as the time index of two million rows, whose pages a walk in another order touches at random.
/// With the largest chunk of keys (8 MB) and the program itself it keeps a run below 64 MiB.
const CACHE_KIB: i64 = 32 * 1024;

/// What a connection is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Statements that would change anything fail.
    Reading,
    /// Statements may change records.
    Writing,
}

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    /// The connection.
    pub(super) connection: Connection,
    /// The file, as errors name it.
    pub(super) place: String,
    path: PathBuf,
}

impl Database {
    /// Opens the database at `path`, which must exist.
    pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
        let place = path.display().to_string();
        let unavailable = |reason: String| StoreError::Unavailable { place: place.clone(), reason };
        let path = fs::canonicalize(path).map_err(|error| unavailable(error.to_string()))?;
        check_file(&path).map_err(unavailable)?;
        // No CREATE: a missing file is an error, never an empty database. The path is absolute and free of links, so
        // it is never taken for a URI, and a link put in its place meanwhile is refused.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection =
            Connection::open_with_flags(&path, flags).map_err(|error| unavailable(describe(&error).to_owned()))?;
        let database = Database { connection, place, path };
        database.run(configure)?;
        database.check_usable()?;
        Ok(database)
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        let is_readonly = self.run(|connection| {
            connection.query_row("SELECT count(*) FROM main.sqlite_schema", [], |_| Ok(()))?;
            connection.is_readonly("main")
        })?;
        if is_readonly {
            let reason = "the file cannot be written: records in it cannot be erased".to_owned();
            return Err(StoreError::Unavailable { place: self.place.clone(), reason });
        }
        Ok(())
    }

    /// Lets the statements that follow change records, or not.
    pub(super) fn set_access(&self, access: Access) -> Result<(), StoreError> {
        self.run(|connection| connection.pragma_update(None, "query_only", access == Access::Reading))
    }

    /// Runs `work`, with its error put in terms of the contract.
    pub(super) fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        work(&self.connection).map_err(|error| self.error(&error))
    }

    /// An error by what the caller does next. SQLite's own text is dropped: a trigger's may quote a record.
    pub(super) fn error(&self, error: &rusqlite::Error) -> StoreError {
        let place = self.place.clone();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let waited_ms = u64::try_from(LOCK_WAIT.as_millis()).unwrap_or(u64::MAX);
                StoreError::Busy { place, waited_ms }
            }
            Some(ErrorCode::NotADatabase) => {
                StoreError::Unavailable { place, reason: "this is no SQLite database, or it is encrypted".to_owned() }
            }
            _ => StoreError::Failed { place, reason: describe(error).to_owned() },
        }
    }

    /// Empties the write-ahead log, where there is one, as far as nobody has to wait for it.
    pub(super) fn settle(&self) -> Result<Physical, StoreError> {
        let mode: String =
            self.run(|connection| connection.pragma_query_value(None, "journal_mode", |row| row.get(0)))?;
        if mode == "wal" { self.checkpoint() } else { Ok(self.rollback_journal()) }
    }

    fn checkpoint(&self) -> Result<Physical, StoreError> {
        let blocked = self.run(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            let blocked = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            connection.busy_timeout(LOCK_WAIT)?;
            blocked
        });
        match blocked {
            Ok(0) => Ok(Physical::Gone),
            Ok(_) | Err(StoreError::Busy { .. }) => Ok(Physical::Pending(
                "the write-ahead log still holds earlier contents; this ends with the first checkpoint after the \
                 application's open readers have finished"
                    .to_owned(),
            )),
            Err(error) => Err(error),
        }
    }

    /// Our own commits delete the rollback journal. One that is there now was left by an application that keeps it
    /// (`journal_mode = PERSIST`): it holds pages as they were before that application's last write.
    fn rollback_journal(&self) -> Physical {
        let mut journal = self.path.clone().into_os_string();
        journal.push("-journal");
        match fs::metadata(&journal) {
            Ok(metadata) if metadata.len() > 0 => Physical::Pending(
                "the application keeps its rollback journal, which may hold earlier contents; this ends when the \
                 application overwrites it or uses journal_mode DELETE"
                    .to_owned(),
            ),
            _ => Physical::Gone,
        }
    }
}

/// Whether this file may be opened by this process. The reason it may not is for the operator.
fn check_file(path: &Path) -> Result<(), String> {
    let metadata = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    if metadata.nlink() > 1 {
        return Err("the file has several names (hard links); an application that uses another one would not see our \
                    journal, and the database would be damaged: remove the other names"
            .to_owned());
    }
    let user = rustix::process::geteuid();
    if !user.is_root() && user.as_raw() != metadata.uid() {
        return Err(format!(
            "the file belongs to user {}, and this process runs as user {}; files that SQLite creates beside it would \
             lock the application out: run as root or as the file's owner",
            metadata.uid(),
            user.as_raw(),
        ));
    }
    Ok(())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCK_WAIT)?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // The schema is the application's: it may call SQLite's harmless functions, nothing else.
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    // Also the order in which a statement erases: a walk goes downwards. See there.
    connection.pragma_update(None, "reverse_unordered_selects", "ON")?;
    // Contents of records never go to temporary files.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// What SQLite says, reduced to the meaning of its code.
pub(super) fn describe(error: &rusqlite::Error) -> &'static str {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::DiskFull => "the disk is full: free space",
            ErrorCode::SystemIoFailure => "disk I/O error: look after the disk, and whether it is full",
            _ => ffi::code_to_str(code.extended_code),
        },
        rusqlite::Error::SqlInputError { error, .. } => ffi::code_to_str(error.extended_code),
        _ => "the database answers in an unexpected form",
    }
}
