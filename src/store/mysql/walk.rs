//! A walk over the records of a selection.
//!
//! Rows are touched in the order in which they lie: so rows side by side on disk go in the same batch, each page is
//! written once, and no statement searches again among rows that are already gone. Where a good part of a large table
//! goes, range of keys follows range of keys ([`super::ranges`]). Else the keys of what matches are read from whatever
//! index serves best and sorted; those that lie close together are touched by one statement over their range, those
//! that do not, by lists. Each statement says the whole predicate again, so that a row which changed in between is
//! kept.

use std::collections::VecDeque;
use std::time::Duration;

use super::connection::{Database, StatementLimit};
use super::in_flight::{self, Moment};
use super::keys::Keys;
use super::lock::TableLock;
use super::partitions::{self, Candidate};
use super::predicate::Predicate;
use super::ranges::{Range, Ranges};
use super::replicas::ReplicaWatch;
use super::rows::{ChildTable, Doubts, Touched, read_keys, touch_exactly, touch_planned, touch_range};
use super::schema::{Class, Collation, TableFacts};
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
    pub(super) facts: TableFacts,
    pub(super) predicate: Predicate,
    pub(super) moment: Moment,
    /// Its name, as the database has it.
    key_column: String,
    children: Vec<ChildTable>,
    lock: TableLock,
    replicas: ReplicaWatch,
    /// SQL that is true for rows that arrived after the walk began.
    arrived: String,
    /// Partitions all of whose rows may match; the oldest first.
    pub(super) partitions: VecDeque<Candidate>,
    keys: Keys,
    /// Of the rows of `keys`.
    doubts: Doubts,
    /// How many of `keys` are done.
    done: usize,
    progress: Progress,
    proof: Proof,
}

/// Where the keys come from next.
enum Progress {
    /// It is not decided yet.
    NotBegun,
    /// None are read: range by range.
    Ranges(Ranges),
    /// Nothing was read yet.
    Unread,
    /// There are more than one chunk; they are read in the order of the key, above this one.
    Above(Option<String>),
    /// There are no more.
    Complete,
}

/// The count of what is left, which may end the walk before its last range is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    NotAsked,
    /// Something was left then.
    Premature,
    /// Nothing is.
    Nothing,
}

/// What one batch is about.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// So many of the keys that were read.
    Keys(usize),
    /// A range, whatever is in it.
    Range(Range),
}

impl<'s> MysqlWalk<'s> {
    /// Prepares a walk. Nothing is changed.
    pub(super) fn begin(
        database: &'s mut Database,
        facts: TableFacts,
        selection: &TableSelection<'_>,
        max_lag: Duration,
    ) -> Result<MysqlWalk<'s>, StoreError> {
        let target = &selection.rule.target;
        if facts.key_index(&target.key).is_none() {
            return Err(database.failed(&format!("table {} has no unique key {}", target.table, target.key)));
        }
        let predicate = Predicate::new(database, &facts, selection)?;
        let children = children(database, &facts, selection)?;
        let partitions = partitions::candidates(database, &facts, selection)?;
        let arrived = arrived(database, &predicate)?;
        database.limit_statements(StatementLimit::Batch)?;
        Ok(MysqlWalk {
            lock: TableLock::new(&facts.database, &facts.name),
            replicas: ReplicaWatch::new(max_lag),
            keys: Keys::none(predicate.key_class),
            doubts: Doubts::None,
            progress: Progress::NotBegun,
            proof: Proof::NotAsked,
            done: 0,
            database,
            facts,
            predicate,
            moment: Moment::of(selection),
            key_column: target.key.clone(),
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
        if matches!(self.progress, Progress::Unread) {
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

    /// What the next batch is about; `None` at the end.
    fn next_part(&mut self, limit: u32) -> Result<Option<Part>, StoreError> {
        if matches!(self.progress, Progress::NotBegun) {
            self.progress = self.ranges()?.map_or(Progress::Unread, Progress::Ranges);
        }
        self.cross_gap()?;
        if let Progress::Ranges(ranges) = &self.progress {
            if let Some(range) = ranges.next(limit) {
                return Ok(Some(Part::Range(range)));
            }
            self.progress = self.after_ranges()?;
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.fill()?.then(|| Part::Keys(limit.min(self.keys.len() - self.done))))
    }

    /// Where to begin with ranges, if they serve. Where rows of other tables go first, every key is needed.
    fn ranges(&mut self) -> Result<Option<Ranges>, StoreError> {
        if !self.children.is_empty() {
            return Ok(None);
        }
        Ranges::guess(self.database, &self.facts, &self.predicate, &self.key_column)
    }

    /// Ranges leave what is in doubt. If there is any, its keys are read.
    fn after_ranges(&mut self) -> Result<Progress, StoreError> {
        let is_over = self.predicate.doubt.is_none() || self.is_over()?;
        Ok(if is_over { Progress::Complete } else { Progress::Unread })
    }

    /// After an empty range: on to the next record that matches, or to the end. Where rows lie in the order of their
    /// time, the first empty range is behind all of them, and the count that has to be made anyway saves reading the
    /// rest.
    fn cross_gap(&mut self) -> Result<(), StoreError> {
        let Progress::Ranges(ranges) = &self.progress else { return Ok(()) };
        let Some((from, to)) = ranges.gap() else { return Ok(()) };
        let found = if self.is_over()? { None } else { self.first_between(from, to)? };
        if let Progress::Ranges(ranges) = &mut self.progress {
            ranges.leap(found);
        }
        Ok(())
    }

    /// Whether nothing is left of what matches. Asked once.
    fn is_over(&mut self) -> Result<bool, StoreError> {
        if self.proof == Proof::NotAsked {
            self.database.limit_statements(StatementLimit::Counting)?;
            self.proof = match self.count_left()? {
                Remainder { left: 0, arrived: 0, .. } => Proof::Nothing,
                _ => Proof::Premature,
            };
            self.database.limit_statements(StatementLimit::Batch)?;
        }
        Ok(self.proof == Proof::Nothing)
    }

    /// The first key from `from` to `to` whose record matches.
    fn first_between(&mut self, from: i128, to: i128) -> Result<Option<i128>, StoreError> {
        let Predicate { key, by_key, .. } = &self.predicate;
        let matches = self.predicate.certainly_matches();
        let which = format!("{by_key} WHERE {key} BETWEEN {from} AND {to} AND ({matches}) = 1");
        self.database.limit_statements(StatementLimit::Counting)?;
        let read = read_keys(self.database, &self.predicate, &which, &format!("ORDER BY {key} LIMIT 1"))?;
        self.database.limit_statements(StatementLimit::Batch)?;
        Ok(read.keys.integer(0))
    }

    /// Touches the records of a part in the transaction that is open, and says which.
    fn touch(&mut self, part: Part) -> Result<(Keys, Touched), StoreError> {
        let count = match part {
            Part::Range(range) => return touch_range(self.database, &self.predicate, range),
            Part::Keys(count) => count,
        };
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

    /// Goes on behind a part of which so many rows were touched.
    fn pass(&mut self, part: Part, rows: u64) {
        match (part, &mut self.progress) {
            (Part::Keys(count), _) => self.done += count,
            (Part::Range(range), Progress::Ranges(ranges)) => ranges.pass(range, rows),
            (Part::Range(_), _) => {}
        }
    }

    /// What matches now, and how much of it arrived since the walk began.
    fn count_left(&mut self) -> Result<Remainder, StoreError> {
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

impl Walk for MysqlWalk<'_> {
    fn prepare(&mut self, limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        self.lock.hold(self.database)?;
        self.replicas.wait_for(self.database)?;
        if let Some(partition) = partitions::next(self)? {
            return Ok(Some(Box::new(partitions::Drop::new(self, partition))));
        }
        while let Some(part) = self.next_part(limit.max(1))? {
            self.database.execute("START TRANSACTION")?;
            let (keys, touched) = match self.touch(part) {
                Ok(touched) => touched,
                Err(error) => {
                    // A lock that was not to be had undoes the statement, not the transaction.
                    self.database.roll_back();
                    return Err(error);
                }
            };
            if touched.rows > 0 {
                let in_flight = in_flight::of_rows(self.moment, &keys);
                return Ok(Some(Box::new(Batch { walk: self, part, touched, in_flight, ended: false })));
            }
            // Nothing is there, or others were faster with all of it.
            self.database.roll_back();
            self.pass(part, 0);
        }
        Ok(None)
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        // Counted after the last batch, which is why the walk ended.
        if self.proof == Proof::Nothing {
            return Ok(Remainder::default());
        }
        self.database.limit_statements(StatementLimit::Counting)?;
        self.count_left()
    }
}

impl Drop for MysqlWalk<'_> {
    fn drop(&mut self) {
        self.lock.release(self.database);
    }
}

struct Batch<'w, 's> {
    walk: &'w mut MysqlWalk<'s>,
    part: Part,
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
        let (part, rows) = (self.part, self.touched.rows);
        self.walk.pass(part, rows);
        Ok(Committed { rows, children: self.touched.children })
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

fn children(
    database: &mut Database,
    parent: &TableFacts,
    selection: &TableSelection<'_>,
) -> Result<Vec<ChildTable>, StoreError> {
    let Action::EraseRows { children } = &selection.rule.action else { return Ok(Vec::new()) };
    let collation = parent.column(&selection.rule.target.key).and_then(|key| key.collation.as_ref());
    let mut tables = Vec::new();
    for Child { table: name, column } in children {
        let facts = TableFacts::read(database, name)?;
        let Some(found) = facts.as_ref().and_then(|facts| facts.column(column)) else {
            return Err(database.failed(&format!("there is no column {column} in a table {name}")));
        };
        let column = qualified(name, column);
        let differing = collation.filter(|collation| found.collation.as_ref().is_some_and(|own| own != *collation));
        let as_parent = differing.map(|parent| collated(&column, parent));
        tables.push(ChildTable { table: table(&database.name, name), column, class: found.class, as_parent });
    }
    Ok(tables)
}

/// A column with another collation than its own.
fn collated(column: &str, Collation { character_set, name }: &Collation) -> String {
    format!("CONVERT({column} USING {character_set}) COLLATE {name}")
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
