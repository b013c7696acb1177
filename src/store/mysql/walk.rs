//! A walk over the records of a selection.
//!
//! The keys of what matches are read from whatever index serves best and sorted in the order in which the rows lie:
//! so rows side by side on disk go in the same batch, each page is written once, and no statement searches again
//! among rows that are already gone. Keys that lie close together are touched by one statement over their range; keys
//! that do not, by lists. Each statement says the whole predicate again, so that a row which changed in between is
//! kept.

use std::collections::VecDeque;
use std::time::Duration;

use super::connection::{Database, StatementLimit};
use super::in_flight;
use super::keys::Keys;
use super::lock::TableLock;
use super::partitions;
use super::predicate::Predicate;
use super::replicas::ReplicaWatch;
use super::rows::{ChildTable, Doubts, Touched, read_keys, touch_exactly, touch_planned};
use super::schema::{Class, TableFacts};
use super::sql::{qualified, table};
use super::survey;
use crate::config::site::Child;
use crate::plan::Action;
use crate::store::{Committed, Prepared, Remainder, StoreError, TableSelection, Walk};

/// Most numbers in memory: 16 MB.
const CHUNK_OF_INTEGERS: usize = 1_000_000;
/// Most keys of other types in memory: a UUID as text takes about 70 bytes.
const CHUNK_OF_OTHERS: usize = 20_000;

/// A walk over one selection.
pub(super) struct MysqlWalk<'s> {
    pub(super) database: &'s mut Database,
    pub(super) selection: TableSelection<'s>,
    pub(super) facts: TableFacts,
    pub(super) predicate: Predicate,
    children: Vec<ChildTable>,
    lock: TableLock,
    replicas: ReplicaWatch,
    /// SQL that is true for rows that arrived after the walk began.
    arrived: String,
    /// Partitions all of whose rows may match; the oldest first.
    pub(super) partitions: VecDeque<String>,
    keys: Keys,
    /// Of the rows of `keys`.
    doubts: Doubts,
    /// How many of `keys` are done.
    done: usize,
    progress: Progress,
}

/// Where the keys come from next.
enum Progress {
    /// Nothing was read yet.
    NotBegun,
    /// There are more than one chunk; they are read in the order of the key, above this one.
    Above(Option<String>),
    /// There are no more.
    Complete,
}

impl<'s> MysqlWalk<'s> {
    /// Prepares a walk. Nothing is changed.
    pub(super) fn begin(
        database: &'s mut Database,
        facts: TableFacts,
        selection: TableSelection<'s>,
        max_lag: Duration,
    ) -> Result<MysqlWalk<'s>, StoreError> {
        let target = &selection.rule.target;
        if facts.key_index(&target.key).is_none() {
            return Err(database.failed(&format!("table {} has no unique key {}", target.table, target.key)));
        }
        let predicate = Predicate::new(database, &facts, &selection)?;
        let children = children(database, &selection)?;
        let partitions = partitions::candidates(database, &facts, &selection)?;
        let arrived = arrived(database, &predicate)?;
        database.limit_statements(StatementLimit::Batch)?;
        Ok(MysqlWalk {
            lock: TableLock::new(&facts.database, &facts.name),
            replicas: ReplicaWatch::new(max_lag),
            keys: Keys::none(predicate.key_class),
            doubts: Doubts::None,
            progress: Progress::NotBegun,
            done: 0,
            database,
            selection,
            facts,
            predicate,
            children,
            arrived,
            partitions,
        })
    }

    /// Makes sure that there are keys to do; false at the end.
    fn fill(&mut self) -> Result<bool, StoreError> {
        while self.done == self.keys.len() {
            if matches!(self.progress, Progress::Complete) {
                return Ok(false);
            }
            self.database.limit_statements(StatementLimit::Counting)?;
            self.load()?;
            self.database.limit_statements(StatementLimit::Batch)?;
        }
        Ok(true)
    }

    fn load(&mut self) -> Result<(), StoreError> {
        let chunk = chunk(self.predicate.key_class);
        let matches = self.predicate.matches();
        if matches!(self.progress, Progress::NotBegun) {
            let tail = format!("LIMIT {}", chunk + 1);
            let read = read_keys(self.database, &self.predicate, &format!("WHERE {matches}"), &tail)?;
            (self.done, self.doubts) = (0, read.doubts);
            if read.rows <= chunk {
                self.keys = read.keys;
                self.keys.sort();
                self.progress = Progress::Complete;
                return Ok(());
            }
            self.progress = Progress::Above(None);
        }
        let Progress::Above(key) = &self.progress else { return Ok(()) };
        let column = &self.predicate.key;
        let above = key.as_ref().map_or(String::new(), |key| format!("{column} > {key} AND "));
        let which = format!("{} WHERE {above}{matches}", self.predicate.by_key);
        let tail = format!("ORDER BY {column} LIMIT {chunk}");
        let read = read_keys(self.database, &self.predicate, &which, &tail)?;
        self.keys = read.keys;
        (self.done, self.doubts) = (0, read.doubts);
        self.progress = match read.last {
            Some(last) if read.rows == chunk => Progress::Above(Some(last)),
            _ => Progress::Complete,
        };
        Ok(())
    }

    /// Touches the records of the next `count` keys in the transaction that is open, and says which.
    fn touch(&mut self, count: usize) -> Result<(Keys, Touched), StoreError> {
        let keys = self.keys.slice(self.done..self.done + count);
        if self.children.is_empty() {
            if let Some(touched) = touch_planned(self.database, &self.predicate, &keys, self.doubts)? {
                return Ok((keys, touched));
            }
            self.database.execute("ROLLBACK")?;
            self.database.execute("START TRANSACTION")?;
        }
        touch_exactly(self.database, &self.predicate, &self.children, &keys)
    }
}

impl Walk for MysqlWalk<'_> {
    fn prepare(&mut self, limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        self.lock.hold(self.database)?;
        self.replicas.wait_for(self.database)?;
        if let Some(partition) = partitions::next(self)? {
            return Ok(Some(Box::new(partitions::Drop::new(self, partition))));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        while self.fill()? {
            let count = limit.min(self.keys.len() - self.done);
            self.database.execute("START TRANSACTION")?;
            let (keys, touched) = match self.touch(count) {
                Ok(touched) => touched,
                Err(error) => {
                    // A lock that was not to be had undoes the statement, not the transaction.
                    self.database.roll_back();
                    return Err(error);
                }
            };
            if touched.rows > 0 {
                let in_flight = in_flight::of_rows(&self.selection, &keys);
                return Ok(Some(Box::new(Batch { walk: self, count, touched, in_flight, ended: false })));
            }
            // Others were faster with all of them.
            self.database.roll_back();
            self.done += count;
        }
        Ok(None)
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        self.database.limit_statements(StatementLimit::Counting)?;
        let matches = self.predicate.matches();
        let arrived: Vec<&str> =
            std::iter::once(&self.arrived).chain(&self.predicate.recorded_later).map(String::as_str).collect();
        let later = format!("{matches} AND (({}))", arrived.join(") OR ("));
        let predicate = &self.predicate;
        survey::in_snapshot(self.database, |database| {
            let (all, _) = survey::matching(database, predicate, &matches)?;
            let (arrived, _) = if all == 0 { (0, None) } else { survey::matching(database, predicate, &later)? };
            Ok(Remainder { left: all - arrived, arrived, ..Remainder::default() })
        })
    }
}

impl Drop for MysqlWalk<'_> {
    fn drop(&mut self) {
        self.lock.release(self.database);
    }
}

struct Batch<'w, 's> {
    walk: &'w mut MysqlWalk<'s>,
    /// How many keys it was to touch.
    count: usize,
    touched: Touched,
    in_flight: Vec<u8>,
    ended: bool,
}

impl Prepared for Batch<'_, '_> {
    fn rows(&self) -> u64 {
        self.touched.rows
    }

    fn children(&self) -> u64 {
        self.touched.children
    }

    fn in_flight(&self) -> &[u8] {
        &self.in_flight
    }

    fn commit(mut self: Box<Self>) -> Result<Committed, StoreError> {
        let committed = self.walk.database.commit();
        if !matches!(committed, Err(StoreError::Busy { .. })) {
            self.ended = true;
        }
        committed?;
        self.walk.done += self.count;
        Ok(Committed { rows: self.touched.rows, children: self.touched.children })
    }
}

impl Drop for Batch<'_, '_> {
    fn drop(&mut self) {
        if !self.ended {
            self.walk.database.roll_back();
        }
    }
}

/// How many keys are held in memory at a time.
fn chunk(class: Class) -> usize {
    match class {
        Class::Integer => CHUNK_OF_INTEGERS,
        _ => CHUNK_OF_OTHERS,
    }
}

fn children(database: &mut Database, selection: &TableSelection<'_>) -> Result<Vec<ChildTable>, StoreError> {
    let Action::EraseRows { children } = &selection.rule.action else { return Ok(Vec::new()) };
    let mut tables = Vec::new();
    for Child { table: name, column } in children {
        let facts = TableFacts::read(database, name)?;
        let Some(class) = facts.as_ref().and_then(|facts| facts.column(column)).map(|column| column.class) else {
            return Err(database.failed(&format!("there is no column {column} in a table {name}")));
        };
        tables.push(ChildTable { table: table(&database.name, name), column: qualified(name, column), class });
    }
    Ok(tables)
}

/// A row with a larger key than the largest at the beginning arrived since.
fn arrived(database: &mut Database, predicate: &Predicate) -> Result<String, StoreError> {
    let Predicate { table, key, key_class, .. } = predicate;
    let sql = format!("SELECT {key} FROM {table} ORDER BY {key} DESC LIMIT 1");
    let mut largest = Keys::none(*key_class);
    database.each(&sql, |mut row| {
        let _known = row.take(0).and_then(|key| largest.push(key));
    })?;
    Ok(largest.literal(0).map_or("TRUE".to_owned(), |largest| format!("{key} > {largest}")))
}
