//! What stays behind after a run, and what ends it.
//!
//! A deleted row is a dead version until VACUUM, and VACUUM leaves it while any snapshot is older. Its bytes then lie
//! in free space until overwritten, and the write-ahead log, replicas and backups have copies of their own: so this
//! store never claims that nothing is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::types::Type;

use super::connection::Session;
use crate::config::site::After;
use crate::store::{Physical, StoreError};

const DEAD: &str = "SELECT c.relname::text, coalesce(pg_stat_get_dead_tuples(c.oid), 0) FROM pg_class AS c \
     WHERE c.relkind IN ('r', 'm') AND (c.oid = $1::regclass \
     OR c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass) WHERE isleaf))";

/// What keeps dead rows from VACUUM: snapshots of sessions, with the age of the oldest where this user may see it;
/// prepared transactions; slots and standbys that say so.
const OLDEST_SNAPSHOT: &str = "SELECT pg_has_role('pg_read_all_stats', 'USAGE'), \
     (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::int8 FROM pg_stat_activity \
     WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()), \
     (SELECT count(*) FROM pg_prepared_xacts), \
     (SELECT count(*) FROM pg_replication_slots WHERE xmin IS NOT NULL) \
     + (SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL)";

/// Statistics are reported at most once a second; since version 15 sooner if asked.
const REPORT: &str = "SELECT pg_stat_force_next_flush()";
const REPORTS_SINCE: i32 = 150_000;

/// A table that takes longer is left to autovacuum: a run ends before the next one begins.
const LONGEST_VACUUM: Duration = Duration::from_secs(15 * 60);

const COPIES: &str = "SELECT current_setting('archive_mode') <> 'off', \
     (SELECT count(*) FROM pg_stat_replication), (SELECT count(*) FROM pg_replication_slots WHERE NOT active)";

/// What became of a VACUUM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vacuum {
    /// It was not asked for, or somebody else had the table.
    Not,
    Done,
    /// The process was told to end.
    Cancelled,
    /// It took too long.
    GivenUp,
}

/// Does what `after` says to the tables of the run, of which so many rows were erased or changed, and says what is
/// left. Once `interrupt` is set nobody waits for a VACUUM.
pub(super) fn settle(
    session: &mut Session,
    tables: &BTreeMap<String, u64>,
    after: After,
    interrupt: &AtomicBool,
) -> Result<Physical, StoreError> {
    if session.version >= REPORTS_SINCE {
        session.one(REPORT, &[])?;
    }
    let (mut dead, mut ended) = (0, Vec::new());
    for (table, erased) in tables {
        let vacuumed = match after {
            After::Vacuum => vacuum(session, table, interrupt)?,
            After::Nothing => Vacuum::Not,
        };
        ended.push(vacuumed);
        session.batch("SELECT pg_stat_clear_snapshot()")?;
        let mut known = 0;
        for row in session.query(DEAD, &[(table, Type::TEXT)])? {
            known += session.count(&row, 1)?;
        }
        // Without a VACUUM there is no less than what the run itself left behind.
        dead += if vacuumed == Vacuum::Done { known } else { known.max(*erased) };
    }
    let mut left = Vec::new();
    if dead > 0 {
        left.push(format!("about {dead} dead rows until VACUUM{}", oldest_snapshot(session)?));
    }
    if ended.contains(&Vacuum::Cancelled) {
        left.push(
            "VACUUM was cancelled, since forgetd was told to end: the next run's or the server's own does it".into(),
        );
    }
    if ended.contains(&Vacuum::GivenUp) {
        let minutes = LONGEST_VACUUM.as_secs() / 60;
        left.push(format!(
            "VACUUM was given up after {minutes} minutes, or somebody cancelled it: the server's own does it"
        ));
    }
    left.push("bytes in the free space of the files until they are overwritten".to_owned());
    left.push(copies(session)?);
    Ok(Physical::Pending(left.join("; ")))
}

/// Makes nobody wait: a table that is locked is left alone, and the file is not cut, which would need a lock.
fn vacuum(session: &mut Session, table: &str, interrupt: &AtomicBool) -> Result<Vacuum, StoreError> {
    if interrupt.load(Ordering::Relaxed) {
        return Ok(Vacuum::Cancelled);
    }
    session.batch(&format!("SET statement_timeout = {}", LONGEST_VACUUM.as_millis()))?;
    let sql = format!("VACUUM (SKIP_LOCKED, TRUNCATE FALSE) {table}");
    match session.batch_unless(&sql, LONGEST_VACUUM, interrupt) {
        Ok(()) => Ok(Vacuum::Done),
        Err(StoreError::Busy { .. }) => Ok(Vacuum::Not),
        Err(StoreError::Slow { .. }) if interrupt.load(Ordering::Relaxed) => Ok(Vacuum::Cancelled),
        Err(StoreError::Slow { .. }) => Ok(Vacuum::GivenUp),
        Err(error) => Err(error),
    }
}

/// Who keeps them, as far as it is known.
fn oldest_snapshot(session: &mut Session) -> Result<String, StoreError> {
    let row = session.one(OLDEST_SNAPSHOT, &[])?;
    let (sees_all, seconds): (bool, Option<i64>) = (session.get(&row, 0)?, session.get(&row, 1)?);
    let (prepared, replication) = (session.count(&row, 2)?, session.count(&row, 3)?);
    let mut keepers = Vec::new();
    match seconds {
        Some(seconds) if seconds > 0 => keepers.push(format!("a transaction open for {seconds} s")),
        None if !sees_all => keepers.push("transactions that this user may not see".to_owned()),
        _ => {}
    }
    if prepared > 0 {
        keepers.push(format!("{prepared} prepared transactions"));
    }
    if replication > 0 {
        keepers.push(format!("{replication} replicas or slots that hold a snapshot"));
    }
    Ok(if keepers.is_empty() { String::new() } else { format!(" ({} may keep them)", keepers.join(", ")) })
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
