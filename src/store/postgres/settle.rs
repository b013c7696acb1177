//! What stays behind after a run, and what ends it.
//!
//! A deleted row is a dead version until VACUUM, and VACUUM leaves it while any snapshot is older. Its bytes then lie
//! in free space until overwritten, and the write-ahead log, replicas and backups have copies of their own: so this
//! store never claims that nothing is left.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use postgres::types::Type;

use super::connection::Session;
use crate::config::site::After;
use crate::store::{Physical, StoreError};

/// A session tells what it did at most once a second, unless it is asked to (since PostgreSQL 15).
const CAN_TELL_AT_ONCE: &str = "SELECT to_regprocedure('pg_catalog.pg_stat_force_next_flush()') IS NOT NULL";

/// How long an older server needs to hear of it and to pass it on.
const HEARSAY: Duration = Duration::from_millis(1_200);

const DEAD: &str = "SELECT c.relname::text, coalesce(pg_stat_get_dead_tuples(c.oid), 0) FROM pg_class AS c \
     WHERE c.relkind IN ('r', 'm') AND (c.oid = $1::regclass \
     OR c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass) WHERE isleaf))";

/// The age of the oldest snapshot, as far as this user may see those of others.
const OLDEST_SNAPSHOT: &str = "SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::int8 \
     FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()";

const COPIES: &str = "SELECT current_setting('archive_mode') <> 'off', \
     (SELECT count(*) FROM pg_stat_replication), (SELECT count(*) FROM pg_replication_slots WHERE NOT active)";

/// Does what `after` says to the tables of the run, and says what is left.
pub(super) fn settle(session: &mut Session, tables: &BTreeSet<String>, after: After) -> Result<Physical, StoreError> {
    // Before a vacuum, which counts anew: told afterwards, rows that are gone would be added to its count.
    tell_statistics(session)?;
    if after == After::Vacuum {
        for table in tables {
            vacuum(session, table)?;
        }
    }
    session.batch("SELECT pg_stat_clear_snapshot()")?;
    let mut dead = 0;
    for table in tables {
        for row in session.query(DEAD, &[(table, Type::TEXT)])? {
            dead += session.count(&row, 1)?;
        }
    }
    let mut left = Vec::new();
    if dead > 0 {
        left.push(format!("about {dead} dead rows until VACUUM{}", oldest_snapshot(session)?));
    }
    left.push("bytes in the free space of the files until they are overwritten".to_owned());
    left.push(copies(session)?);
    Ok(Physical::Pending(left.join("; ")))
}

/// Has the statistics know of what this session itself has just done.
fn tell_statistics(session: &mut Session) -> Result<(), StoreError> {
    let row = session.one(CAN_TELL_AT_ONCE, &[])?;
    if session.get(&row, 0)? {
        return session.batch("SELECT pg_stat_force_next_flush()");
    }
    sleep(HEARSAY);
    session.batch("SELECT 1")?;
    sleep(HEARSAY);
    Ok(())
}

/// Makes nobody wait: a table that is locked is left alone, and the file is not cut, which would need a lock.
fn vacuum(session: &mut Session, table: &str) -> Result<(), StoreError> {
    session.batch("SET statement_timeout = 0")?;
    let vacuumed = session.batch(&format!("VACUUM (SKIP_LOCKED, TRUNCATE FALSE) {table}"));
    match vacuumed {
        Ok(()) | Err(StoreError::Busy { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn oldest_snapshot(session: &mut Session) -> Result<String, StoreError> {
    let row = session.one(OLDEST_SNAPSHOT, &[])?;
    let seconds: Option<i64> = session.get(&row, 0)?;
    Ok(match seconds {
        Some(seconds) if seconds > 0 => format!(" (a transaction open for {seconds} s may keep them)"),
        _ => String::new(),
    })
}

fn copies(session: &mut Session) -> Result<String, StoreError> {
    let row = session.one(COPIES, &[])?;
    let (archived, replicas, slots): (bool, i64, i64) =
        (session.get(&row, 0)?, session.get(&row, 1)?, session.get(&row, 2)?);
    let mut copies = "the write-ahead log until its segments are recycled".to_owned();
    if archived {
        copies.push_str(", its archive until that expires");
    }
    if slots > 0 {
        copies.push_str(&format!(", held by {slots} unused replication slots"));
    }
    if replicas > 0 {
        copies.push_str(&format!(", {replicas} replicas until they have replayed it"));
    }
    copies.push_str(", backups until they expire");
    Ok(copies)
}
