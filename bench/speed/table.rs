//! The table that everything is measured on, half of its rows expired.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::rows::{Order, agent, city, ip, times, url};

const SCHEMA: &str = "
    CREATE TABLE visitors (
        id        INTEGER PRIMARY KEY,
        last_seen INTEGER NOT NULL,
        ip        TEXT,
        agent     TEXT,
        url       TEXT,
        city      TEXT
    );";

const INDEX: &str = "CREATE INDEX visitors_last_seen ON visitors (last_seen);";

pub(crate) const INSERT: &str = "INSERT INTO visitors (last_seen, ip, agent, url, city) VALUES (?1, ?2, ?3, ?4, ?5)";

/// A table that was written once and is copied for every measurement.
pub(crate) struct Template {
    path: PathBuf,
    /// Rows in it.
    pub(crate) rows: u32,
}

impl Template {
    /// Writes `rows` rows to a file in `dir`.
    pub(crate) fn write(dir: &Path, rows: u32, order: Order) -> Template {
        let path = dir.join("template.db");
        remove(&path);
        let mut connection = Connection::open(&path).unwrap();
        // Written once and thrown away: nothing to lose in a power cut.
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144").unwrap();
        let transaction = connection.transaction().unwrap();
        transaction.execute_batch(SCHEMA).unwrap();
        let mut insert = transaction.prepare(INSERT).unwrap();
        for (number, time) in (1_u32..).zip(times(rows, order)) {
            insert.execute(params![time, ip(number), agent(number), url(number), city(number)]).unwrap();
        }
        drop(insert);
        transaction.execute_batch(INDEX).unwrap();
        transaction.commit().unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.close().unwrap();
        Template { path, rows }
    }

    /// A fresh copy at `path`, on the disk and in memory alike.
    pub(crate) fn copy_to(&self, path: &Path) {
        remove(path);
        fs::copy(&self.path, path).unwrap();
        File::open(path).unwrap().sync_all().unwrap();
    }

    /// Rows that are expired.
    pub(crate) fn expired(&self) -> u32 {
        Order::Time.expired(self.rows)
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a database and what SQLite left beside it.
pub(crate) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _absent = fs::remove_file(name);
    }
}
