//! Dropping whole partitions.
//!
//! Where a table is partitioned by RANGE on the time column, a partition all of whose rows match goes as a whole,
//! which takes a moment instead of minutes. The server commits such a statement by itself, so the proof comes first:
//! under a lock that keeps writers out, the partition's rows and the rows that match are counted, and only if the two
//! numbers are one is the partition offered as a batch. Records that nobody can date lie in the lowest partition, and
//! keep it. The rows of the partition that straddles the cutoff are erased one by one.

use super::connection::Database;
use super::error::{Failure, describe, store_error};
use super::in_flight;
use super::schema::TableFacts;
use super::sql::{qualified, quoted, text};
use super::walk::MysqlWalk;
use crate::plan::{Action, When};
use crate::store::{Committed, Prepared, Resolution, StoreError, TableSelection};

/// Partitions that may consist of matching rows alone, the oldest first.
pub(super) fn candidates(
    database: &mut Database,
    facts: &TableFacts,
    selection: &TableSelection<'_>,
) -> Result<std::collections::VecDeque<String>, StoreError> {
    let rule = selection.rule;
    let whole_rows = matches!(&rule.action, Action::EraseRows { children } if children.is_empty());
    let by_age = matches!(rule.when, When::Older(_) | When::Expired);
    if !whole_rows || !by_age || !selection.holds.is_empty() || !rule.target.filter.is_empty() {
        return Ok(Default::default());
    }
    let column = text(&format!("%{}%", rule.target.time.column.to_lowercase()));
    let of_table = of_table(facts);
    let sql = format!(
        "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE {of_table} AND PARTITION_NAME IS NOT NULL \
         AND PARTITION_METHOD IN ('RANGE', 'RANGE COLUMNS') AND SUBPARTITION_NAME IS NULL \
         AND LOWER(PARTITION_EXPRESSION) LIKE {column} ORDER BY PARTITION_ORDINAL_POSITION"
    );
    let mut partitions: Vec<String> = database.rows(&sql)?;
    // A table keeps at least one partition, and no trigger fires for a row that goes with its partition.
    partitions.pop();
    let may_drop = !partitions.is_empty() && !has_delete_trigger(database, facts)? && may_drop(database, facts)?;
    Ok(if may_drop { partitions.into() } else { Default::default() })
}

fn of_table(facts: &TableFacts) -> String {
    format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", text(&facts.database), text(&facts.name))
}

fn has_delete_trigger(database: &mut Database, facts: &TableFacts) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT COUNT(*) > 0 FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} \
         AND EVENT_OBJECT_TABLE = {} AND EVENT_MANIPULATION = 'DELETE'",
        text(&facts.database),
        text(&facts.name)
    );
    database.row(&sql)
}

/// Whether the user may drop partitions and lock the table. Where it cannot be told, rows are erased one by one.
fn may_drop(database: &mut Database, facts: &TableFacts) -> Result<bool, StoreError> {
    let may = |privilege| super::grants::is_granted(database, facts, privilege);
    ["ALTER", "DROP", "LOCK TABLES"].into_iter().map(may).try_fold(true, |all, may| Ok(all && may?))
}

/// A partition that is locked and proven to hold nothing but matching rows.
pub(super) struct Proven {
    name: String,
    rows: u64,
}

/// The next partition to drop. It stays locked.
pub(super) fn next(walk: &mut MysqlWalk<'_>) -> Result<Option<Proven>, StoreError> {
    while let Some(name) = walk.partitions.front().cloned() {
        let (rows, matching) = counts(walk, &name)?;
        if rows == matching && rows > 0 {
            let table = walk.facts.quoted();
            walk.database.execute(&format!("LOCK TABLES {table} WRITE"))?;
            match counts(walk, &name) {
                Ok((rows, matching)) if rows == matching && rows > 0 => return Ok(Some(Proven { name, rows })),
                Ok(_) => unlock(walk.database),
                Err(error) => {
                    unlock(walk.database);
                    return Err(error);
                }
            }
        } else if rows > 0 && matching == 0 {
            // Those behind it are newer still.
            walk.partitions.clear();
        }
        walk.partitions.pop_front();
    }
    Ok(None)
}

fn counts(walk: &mut MysqlWalk<'_>, partition: &str) -> Result<(u64, u64), StoreError> {
    let (table, matches) = (&walk.predicate.table, walk.predicate.matches());
    let sql = format!(
        "SELECT COUNT(*), COUNT(CASE WHEN {matches} THEN 1 END) FROM {table} PARTITION ({})",
        quoted(partition)
    );
    walk.database.row(&sql)
}

fn unlock(database: &mut Database) {
    if !database.is_lost()
        && let Err(error) = database.execute("UNLOCK TABLES")
    {
        tracing::warn!(store = %database.place, %error, "UNLOCK TABLES failed");
    }
}

/// A partition as a batch.
pub(super) struct Drop<'w, 's> {
    walk: &'w mut MysqlWalk<'s>,
    partition: Proven,
    in_flight: Vec<u8>,
}

impl<'w, 's> Drop<'w, 's> {
    /// The batch that drops a partition.
    pub(super) fn new(walk: &'w mut MysqlWalk<'s>, partition: Proven) -> Drop<'w, 's> {
        let in_flight = in_flight::of_partition(&walk.selection, &partition.name);
        Drop { walk, partition, in_flight }
    }
}

impl Prepared for Drop<'_, '_> {
    fn rows(&self) -> u64 {
        self.partition.rows
    }

    fn children(&self) -> u64 {
        0
    }

    fn in_flight(&self) -> &[u8] {
        &self.in_flight
    }

    fn commit(self: Box<Self>) -> Result<Committed, StoreError> {
        let (table, partition) = (self.walk.facts.quoted(), quoted(&self.partition.name));
        let place = self.walk.database.place.clone();
        let sql = format!("ALTER TABLE {table} DROP PARTITION {partition}");
        let dropped = self.walk.database.try_execute(&sql).map_err(|error| match Failure::of(&error) {
            // The statement commits by itself: it may have, before it was cut off.
            Failure::Lost => StoreError::CommitUnknown { place, reason: describe(&error) },
            Failure::Busy | Failure::Failed => store_error(&place, 0, &error),
        });
        dropped?;
        self.walk.partitions.pop_front();
        Ok(Committed { rows: self.partition.rows, children: 0 })
    }
}

impl std::ops::Drop for Drop<'_, '_> {
    fn drop(&mut self) {
        unlock(self.walk.database);
    }
}

/// Whether the partition is still there. Reading from the table waits for whoever has it locked.
pub(super) fn resolve(database: &mut Database, facts: &TableFacts, partition: &str) -> Result<Resolution, StoreError> {
    let key = facts.columns.first().map_or("1".to_owned(), |column| qualified(&facts.name, &column.name));
    database.rows::<mysql::Row>(&format!("SELECT {key} FROM {} LIMIT 1", facts.quoted()))?;
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.PARTITIONS WHERE {} AND PARTITION_NAME = {}",
        of_table(facts),
        text(partition)
    );
    let is_there = database.row::<u64>(&sql)? > 0;
    Ok(if is_there { Resolution::RolledBack } else { Resolution::Committed })
}
