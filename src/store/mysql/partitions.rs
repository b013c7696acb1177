//! Dropping whole partitions.
//!
//! Where a table is partitioned by RANGE on the time column, a partition all of whose rows match goes as a whole, which
//! takes a moment instead of minutes. The server commits such a statement by itself, so the proof comes first, and
//! nobody waits for it: the rows are looked at and counted in a snapshot, without a lock. Then the table is locked for
//! an instant in which nothing is read but when the partition last changed. If that was before the count began, the
//! count is exact, and the partition is offered as a batch; otherwise it is counted anew. A partition whose lock is not
//! to be had, and the one that straddles the cutoff, are erased row by row.
//!
//! MySQL does not tell when a partition last changed: there every partition is erased row by row.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::connection::{Database, StatementLimit};
use super::grants::{self, Grants};
use super::in_flight;
use super::predicate::Predicate;
use super::schema::TableFacts;
use super::sql::{quoted, text};
use super::survey::in_snapshot;
use super::walk::MysqlWalk;
use crate::plan::{Action, TableRule, When};
use crate::store::{Committed, Prepared, Resolution, StoreError, TableSelection};

/// How long the lock is waited for. Meanwhile everybody else waits behind this wait.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// How often a lock is asked for, or a count begun anew, before the partition is erased row by row.
const MOST_ATTEMPTS: u32 = 2;

/// A change is told to the second. For how long one of this very second is waited away.
const UNTOLD: Duration = Duration::from_secs(2);

/// The rows of a partition, by the value of what the table is partitioned by. All three are SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    expression: String,
    /// `None` for the lowest partition.
    from: Option<String>,
    below: String,
}

impl Range {
    fn condition(&self) -> String {
        let Range { expression, from, below } = self;
        let above = from.as_ref().map_or(String::new(), |from| format!("{expression} >= {from} AND "));
        format!("{above}{expression} < {below}")
    }
}

/// A partition that may consist of matching rows alone.
#[derive(Debug)]
pub(super) struct Candidate {
    name: String,
    range: Range,
    counted: Option<Counted>,
    attempts: u32,
}

/// What was found without a lock: all rows match.
#[derive(Debug, Clone)]
struct Counted {
    rows: u64,
    /// The server's clock in seconds; nothing had changed in this second.
    since: i64,
    /// Rows with the smallest and the largest key: whole partitions can be exchanged without a trace.
    ends: Ends,
}

type Ends = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Partitions that may consist of matching rows alone, the oldest first.
pub(super) fn candidates(
    database: &mut Database,
    facts: &TableFacts,
    selection: &TableSelection<'_>,
) -> Result<VecDeque<Candidate>, StoreError> {
    if !selection.holds.is_empty() || !suits(database, facts, selection.rule) {
        return Ok(VecDeque::new());
    }
    let partitions = expiring(database, facts)?;
    let may_drop = !partitions.is_empty() && !has_delete_trigger(database, facts)? && may_drop(database, facts)?;
    Ok(if may_drop { partitions } else { VecDeque::new() })
}

/// Whether what a rule erases may be whole partitions.
fn suits(database: &Database, facts: &TableFacts, rule: &TableRule) -> bool {
    let whole_rows = matches!(&rule.action, Action::EraseRows { children } if children.is_empty());
    let by_age = matches!(rule.when, When::Older(_) | When::Expired);
    let by_time = facts.is_partitioned_by(&rule.target.time.column);
    let is_told = database.server.flavour.tells_changes_of_partitions();
    whole_rows && by_age && by_time && is_told && rule.target.filter.is_empty()
}

/// All partitions but the last, if their bounds are understood.
fn expiring(database: &mut Database, facts: &TableFacts) -> Result<VecDeque<Candidate>, StoreError> {
    let mut partitions = ranges(database, facts)?;
    // A table keeps at least one partition.
    partitions.pop_back();
    let is_known = partitions.iter().all(|partition| is_bound(&partition.range.below));
    Ok(if is_known { partitions } else { VecDeque::new() })
}

/// Statements that would let the user drop whole partitions, where only that is missing.
pub(super) fn missing_grants(
    database: &mut Database,
    facts: &TableFacts,
    rule: &TableRule,
) -> Result<Option<String>, StoreError> {
    if !suits(database, facts, rule) || may_drop(database, facts)? || expiring(database, facts)?.is_empty() {
        return Ok(None);
    }
    let of_table = grants::grant(database, "ALTER, DROP", &facts.name)?;
    Ok(Some(format!("{of_table} {}", grants::grant_on_database(database, "LOCK TABLES")?)))
}

fn of_table(facts: &TableFacts) -> String {
    format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", text(&facts.database), text(&facts.name))
}

fn ranges(database: &mut Database, facts: &TableFacts) -> Result<VecDeque<Candidate>, StoreError> {
    let sql = format!(
        "SELECT PARTITION_NAME, PARTITION_EXPRESSION, PARTITION_DESCRIPTION FROM information_schema.PARTITIONS \
         WHERE {} AND PARTITION_METHOD IN ('RANGE', 'RANGE COLUMNS') AND SUBPARTITION_NAME IS NULL \
         ORDER BY PARTITION_ORDINAL_POSITION",
        of_table(facts)
    );
    let mut from = None;
    let ranges = database.rows::<(String, String, String)>(&sql)?.into_iter().map(|(name, expression, below)| {
        let range = Range { expression, from: from.replace(below.clone()), below };
        Candidate { name, range, counted: None, attempts: 0 }
    });
    Ok(ranges.collect())
}

/// Whether a bound is one number or one date.
fn is_bound(description: &str) -> bool {
    let inner = description.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(description);
    !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit() || b"-: .".contains(&byte))
}

/// No trigger fires for a row that goes with its partition.
fn has_delete_trigger(database: &mut Database, facts: &TableFacts) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT COUNT(*) > 0 FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} \
         AND EVENT_OBJECT_TABLE = {} AND EVENT_MANIPULATION = 'DELETE'",
        text(&facts.database),
        text(&facts.name)
    );
    database.row(&sql)
}

/// What dropping a partition needs beyond what a rule needs.
const PRIVILEGES: [&str; 3] = ["ALTER", "DROP", "LOCK TABLES"];

/// Whether the user may drop partitions and lock the table. Where it cannot be told, rows are erased one by one.
fn may_drop(database: &mut Database, facts: &TableFacts) -> Result<bool, StoreError> {
    let grants = Grants::read(database)?;
    Ok(PRIVILEGES.into_iter().all(|privilege| grants.on_table(facts, privilege)))
}

/// A partition that is locked and proven to hold nothing but matching rows.
pub(super) struct Proven {
    name: String,
    range: Range,
    rows: u64,
}

/// The next partition to drop. The table stays locked.
pub(super) fn next(walk: &mut MysqlWalk<'_>) -> Result<Option<Proven>, StoreError> {
    while let Some(mut candidate) = walk.partitions.pop_front() {
        if candidate.counted.is_none() {
            candidate.counted = count(walk, &candidate)?;
        }
        let Some(counted) = candidate.counted.clone() else { continue };
        candidate.attempts += 1;
        let may_try_again = candidate.attempts < MOST_ATTEMPTS;
        match lock(walk, &candidate, &counted) {
            Ok(Locked::AsCounted) => {
                let Candidate { name, range, .. } = &candidate;
                let proven = Proven { name: name.clone(), range: range.clone(), rows: counted.rows };
                walk.partitions.push_front(Candidate { attempts: 0, ..candidate });
                return Ok(Some(proven));
            }
            Ok(Locked::Changed) if may_try_again => {
                candidate.counted = None;
                walk.partitions.push_front(candidate);
            }
            Err(error @ StoreError::Busy { .. }) if may_try_again => {
                walk.partitions.push_front(candidate);
                return Err(error);
            }
            Ok(Locked::Changed) | Err(StoreError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Looks at every row without locking any. `None` if one does not match, or there are none.
fn count(walk: &mut MysqlWalk<'_>, candidate: &Candidate) -> Result<Option<Counted>, StoreError> {
    let MysqlWalk { database, facts, predicate, .. } = walk;
    let started = Instant::now();
    let since = loop {
        let Some(state) = state(database, facts, candidate)? else { return Ok(None) };
        if state.changed < state.now {
            break state.now;
        }
        if started.elapsed() > UNTOLD {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    database.limit_statements(StatementLimit::Counting)?;
    let of_partition = format!("{} PARTITION ({})", predicate.table, quoted(&candidate.name));
    // A partition of fresh rows is told by any of them.
    let first = format!("SELECT ({}) IS TRUE FROM {of_partition} LIMIT 1", predicate.matches());
    let counts = format!("SELECT COUNT(*), COUNT(CASE WHEN {} THEN 1 END) FROM {of_partition}", predicate.matches());
    let counted = in_snapshot(database, |database| {
        if !database.rows::<bool>(&first)?.contains(&true) {
            return Ok(None);
        }
        let (rows, matching): (u64, u64) = database.row(&counts)?;
        Ok((rows == matching).then_some(Counted { rows, since, ends: ends(database, predicate, candidate)? }))
    });
    database.limit_statements(StatementLimit::Batch)?;
    match counted {
        // It took too long, or somebody ended it.
        Err(StoreError::Busy { .. }) => Ok(None),
        counted => counted,
    }
}

fn ends(database: &mut Database, predicate: &Predicate, candidate: &Candidate) -> Result<Ends, StoreError> {
    let Predicate { table, key, .. } = predicate;
    database.row(&format!("SELECT MIN({key}), MAX({key}) FROM {table} PARTITION ({})", quoted(&candidate.name)))
}

/// What the server says of a partition.
struct State {
    now: i64,
    changed: i64,
}

/// `None` if it is no longer there as it was. The server forgets when it starts what had changed before.
fn state(database: &mut Database, facts: &TableFacts, candidate: &Candidate) -> Result<Option<State>, StoreError> {
    let sql = format!(
        "SELECT UNIX_TIMESTAMP(), UNIX_TIMESTAMP(GREATEST(CREATE_TIME, COALESCE(UPDATE_TIME, CREATE_TIME))) \
         FROM information_schema.PARTITIONS WHERE {} AND PARTITION_NAME = {} AND PARTITION_DESCRIPTION = {}",
        of_table(facts),
        text(&candidate.name),
        text(&candidate.range.below)
    );
    let rows: Vec<(i64, Option<i64>)> = database.rows(&sql)?;
    Ok(rows.into_iter().find_map(|(now, changed)| Some(State { now, changed: changed? })))
}

enum Locked {
    /// And stays locked.
    AsCounted,
    /// And no longer locked.
    Changed,
}

/// Locks the table and looks whether the partition is what was counted.
fn lock(walk: &mut MysqlWalk<'_>, candidate: &Candidate, counted: &Counted) -> Result<Locked, StoreError> {
    let MysqlWalk { database, facts, predicate, .. } = walk;
    database.execute(&format!("LOCK TABLES {} WRITE WAIT {}", facts.quoted(), LOCK_WAIT.as_secs()))?;
    let unchanged = state(database, facts, candidate).and_then(|state| {
        let is_older = state.is_some_and(|state| state.changed < counted.since);
        Ok(is_older && ends(database, predicate, candidate)? == counted.ends)
    });
    if !matches!(unchanged, Ok(true)) {
        unlock(database);
    }
    Ok(if unchanged? { Locked::AsCounted } else { Locked::Changed })
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
        let in_flight = in_flight::of_range(walk.moment, &partition.range, partition.rows);
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

    /// The statement commits by itself, and may have before an error.
    fn commit(self: Box<Self>) -> Result<Committed, StoreError> {
        let (table, partition) = (self.walk.facts.quoted(), quoted(&self.partition.name));
        self.walk.database.decide(&format!("ALTER TABLE {table} DROP PARTITION {partition}"))?;
        self.walk.partitions.pop_front();
        Ok(Committed { rows: self.partition.rows, children: 0 })
    }
}

impl std::ops::Drop for Drop<'_, '_> {
    fn drop(&mut self) {
        unlock(self.walk.database);
    }
}

/// Whether the rows of a range are still there: at least half of them, for the application may have written others.
/// What partitions there are now does not matter, nor their names. Reading waits for whoever has the table locked.
pub(super) fn resolve(
    database: &mut Database,
    predicate: &Predicate,
    range: &Range,
    rows: u64,
) -> Result<Resolution, StoreError> {
    let sql =
        format!("SELECT COUNT(*) FROM {} WHERE {} AND {}", predicate.table, predicate.matches(), range.condition());
    database.limit_statements(StatementLimit::Counting)?;
    let left: u64 = database.row(&sql)?;
    database.limit_statements(StatementLimit::Batch)?;
    Ok(if left > rows / 2 { Resolution::RolledBack } else { Resolution::Committed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_number_or_a_date_and_nothing_else() {
        for bound in ["739251", "-5", "'2024-01-01'", "'2025-01-01 10:00:00'"] {
            assert!(is_bound(bound), "{bound}");
        }
        for other in ["", "MAXVALUE", "'a'", "1,2", "1 OR 1=1", "''"] {
            assert!(!is_bound(other), "{other}");
        }
    }

    #[test]
    fn a_range_is_half_open() {
        let range = |from: Option<&str>| Range {
            expression: "to_days(`seen`)".to_owned(),
            from: from.map(str::to_owned),
            below: "9".to_owned(),
        };
        assert_eq!(range(Some("5")).condition(), "to_days(`seen`) >= 5 AND to_days(`seen`) < 9");
        assert_eq!(range(None).condition(), "to_days(`seen`) < 9");
    }
}
