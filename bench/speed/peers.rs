//! What an operator would write by hand, on the same version of SQLite with the same PRAGMAs: no evidence, no guards.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::rows::cutoff;

/// Rows, or rowids, in one transaction of a loop.
const BATCH: i64 = 5_000;

/// A way to erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Batches by the index over the time: the loop that everybody writes.
    TimeIndex,
    /// Batches by ranges of the rowid.
    RowidRange,
    /// Everything in one statement.
    OneDelete,
}

impl Peer {
    pub(crate) const ALL: [Peer; 3] = [Peer::TimeIndex, Peer::RowidRange, Peer::OneDelete];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::TimeIndex => "loop by time index, 5,000 rows each",
            Peer::RowidRange => "loop by rowid range, 5,000 rowids each",
            Peer::OneDelete => "one DELETE",
        }
    }

    /// Erases what is expired in the database at `path`; from opening it to its closing, which empties the WAL.
    pub(crate) fn purge(self, path: &Path) {
        let connection = open(path);
        match self {
            Peer::TimeIndex => time_index(&connection),
            Peer::RowidRange => rowid_range(&connection),
            Peer::OneDelete => {
                connection.execute("DELETE FROM visitors WHERE last_seen < ?1", [cutoff()]).unwrap();
            }
        }
        connection.close().unwrap();
    }
}

/// A connection set up as forgetd sets up its own: `synchronous` stays at SQLite's default, FULL.
pub(crate) fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
        .execute_batch(
            "PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768;",
        )
        .unwrap();
    connection
}

fn time_index(connection: &Connection) {
    let mut delete = connection
        .prepare(
            "DELETE FROM visitors WHERE rowid IN
                 (SELECT rowid FROM visitors WHERE last_seen < ?1 ORDER BY last_seen LIMIT ?2)",
        )
        .unwrap();
    let cutoff = cutoff();
    loop {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let rows = delete.execute([cutoff, BATCH]).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        if rows == 0 {
            break;
        }
    }
}

fn rowid_range(connection: &Connection) {
    let mut delete =
        connection.prepare("DELETE FROM visitors WHERE rowid > ?1 AND rowid <= ?2 AND +last_seen < ?3").unwrap();
    let last: i64 = connection.query_row("SELECT max(rowid) FROM visitors", [], |row| row.get(0)).unwrap();
    let cutoff = cutoff();
    let mut from = 0;
    while from < last {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        delete.execute([from, from + BATCH, cutoff]).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        from += BATCH;
    }
}

/// Rows that are left, by a count of its own.
pub(crate) fn rows(path: &Path) -> u32 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM visitors NOT INDEXED", [], |row| row.get(0)).unwrap()
}
