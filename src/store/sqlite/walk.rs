//! Erasing batch by batch.
//!
//! The keys of what matches are read first, a bounded chunk at a time and by whatever index serves best, and sorted:
//! in key order rows that lie side by side on disk go in the same batch, so that each page is written once, and no
//! statement searches again among rows that are already gone. Keys that lie close together are erased by one
//! statement over their range. Each statement says the whole predicate again, so that a row which changed in between
//! is kept.
//!
//! The walk goes from the largest key down, within a range too, for the sake of what stays on disk. When a page runs
//! empty SQLite merges it with its neighbours, and `secure_delete` does not overwrite every place from which a row was
//! moved. Upwards, rows that are yet to be erased are moved and leave copies in the free space of pages; downwards
//! they hardly ever do (random tables of 3,000 rows: 8 in 10,000 erased rows left a copy upwards, 1 in 100,000
//! downwards). What is left of that kind, also by the application's own writing, ends with its next VACUUM.
//!
//! A batch knows exactly which keys it erased: where a range held another number of rows than it was meant to,
//! because others wrote in between, the batch is rolled back and done again key by key.

use rusqlite::{Connection, ToSql};

use super::batch::{Bound, Erased, OpenTransaction};
use super::connection::Database;
use super::in_flight;
use super::keys::{Key, KeyKind, Keys};
use super::predicate::{Predicate, quoted, table};
use super::schema::{KeyShape, TableFacts};
use super::statements::Statements;
use super::survey;
use crate::store::{Committed, Prepared, Remainder, StoreError, TableSelection, Walk};

/// Most rowids in memory: 8 MB.
const CHUNK_OF_ROWIDS: usize = 1_000_000;
/// Most keys of other types in memory: a UUID as text takes about 70 bytes.
const CHUNK_OF_VALUES: usize = 20_000;
/// Most keys in one range. SQLite keeps a copy in memory of every page that the statement has changed so far, to undo
/// it alone: a copy for each row, where each lies in another page. Shorter ranges copy the same pages again and again.
const LONGEST_RANGE: usize = 256;

/// Keys of one batch that are in memory and in evidence.
const LARGEST_BATCH: usize = 100_000;

/// A walk over one selection.
pub(super) struct SqliteWalk<'s> {
    database: &'s Database,
    selection: TableSelection<'s>,
    predicate: Predicate,
    statements: Statements,
    kind: KeyKind,
    /// How many keys are held in memory at a time.
    pub(super) chunk: usize,
    /// Rows numbered higher arrived after the walk began.
    high_water: Option<HighWater>,
    keys: Keys,
    /// How many of `keys` are done.
    done: usize,
    progress: Progress,
}

/// The largest rowid when the walk began.
struct HighWater {
    /// SQL that is true for rows with a larger one.
    arrived: String,
}

/// Where the keys come from next.
enum Progress {
    /// Nothing was read yet.
    NotBegun,
    /// There are more than one chunk; they are read in descending order, below this key.
    Below(Option<Key>),
    /// There are no more.
    Complete,
}

impl<'s> SqliteWalk<'s> {
    /// Prepares a walk. Nothing is changed.
    pub(super) fn begin(database: &'s Database, selection: TableSelection<'s>) -> Result<SqliteWalk<'s>, StoreError> {
        let target = &selection.rule.target;
        let facts = database.run(|connection| TableFacts::read(connection, &target.table))?;
        let found = facts.and_then(|facts| facts.key_shape(&target.key).map(|shape| (facts, shape)));
        let Some((facts, shape)) = found else {
            let reason = format!("table {} has no unique key {}", target.table, target.key);
            return Err(StoreError::Failed { place: database.place.clone(), reason });
        };
        let predicate = database.run(|connection| Predicate::new(connection, &selection))?;
        let high_water = database.run(|connection| high_water(connection, &facts, &target.table))?;
        let kind = if shape == KeyShape::Rowid { KeyKind::Rowid } else { KeyKind::Value };
        Ok(SqliteWalk {
            statements: Statements::new(&predicate, &shape, &selection.rule.action),
            keys: Keys::none(kind),
            progress: Progress::NotBegun,
            done: 0,
            database,
            selection,
            predicate,
            chunk: chunk(kind),
            kind,
            high_water,
        })
    }

    /// Makes sure that there are keys to do; false at the end.
    fn fill(&mut self) -> Result<bool, StoreError> {
        while self.done == self.keys.len() {
            if matches!(self.progress, Progress::Complete) {
                return Ok(false);
            }
            self.load()?;
        }
        Ok(true)
    }

    fn load(&mut self) -> Result<(), StoreError> {
        self.done = 0;
        self.keys = Keys::none(self.kind);
        if matches!(self.progress, Progress::NotBegun) {
            let keys = self.read_keys(&self.statements.all_keys, None, self.chunk + 1)?;
            if keys.len() <= self.chunk {
                self.keys = keys;
                self.keys.sort();
                self.progress = Progress::Complete;
                return Ok(());
            }
            self.progress = Progress::Below(None);
        }
        let Progress::Below(key) = &self.progress else { return Ok(()) };
        let sql = if key.is_some() { &self.statements.next_keys } else { &self.statements.first_keys };
        self.keys = self.read_keys(sql, key.as_ref(), self.chunk)?;
        self.progress = match self.keys.len().checked_sub(1).and_then(|last| self.keys.get(last)) {
            Some(last) => Progress::Below(Some(last)),
            None => Progress::Complete,
        };
        Ok(())
    }

    fn read_keys(&self, sql: &str, below: Option<&Key>, limit: usize) -> Result<Keys, StoreError> {
        self.database.run(|connection| {
            let mut statement = connection.prepare(sql)?;
            self.predicate.bind(&mut statement)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            for (name, value) in [(":below", &below as &dyn ToSql), (":limit", &limit)] {
                if let Some(index) = statement.parameter_index(name)? {
                    statement.raw_bind_parameter(index, value)?;
                }
            }
            let mut keys = Keys::none(self.kind);
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                match &mut keys {
                    Keys::Integers(keys) => keys.push(row.get(0)?),
                    Keys::Values(keys) => keys.extend(Key::new(row.get_ref(0)?)),
                }
            }
            Ok(keys)
        })
    }

    /// Erases the records of the next `count` keys in the transaction that is open, and says which.
    fn erase(&self, count: usize) -> rusqlite::Result<Erased> {
        if let Some(erased) = self.erase_ranges(count, LONGEST_RANGE)? {
            return Ok(erased);
        }
        self.database.connection.execute_batch("ROLLBACK; BEGIN IMMEDIATE")?;
        Ok(self.erase_ranges(count, 1)?.unwrap_or_else(|| Erased::nothing(self.kind)))
    }

    /// Erases by ranges of at most `longest` keys. `None` if one of several keys held another number of rows: then it
    /// is not known which were erased.
    fn erase_ranges(&self, count: usize, longest: usize) -> rusqlite::Result<Option<Erased>> {
        let bound = |sql: &String| Bound::new(&self.database.connection, &self.predicate, sql);
        let mut of_children = self.statements.children.iter().map(bound).collect::<rusqlite::Result<Vec<_>>>()?;
        let mut act = bound(&self.statements.act)?;
        let mut erased = Erased::nothing(self.kind);
        let (mut next, end) = (self.done, self.done + count);
        while next < end {
            let length = self.keys.range_from(next, longest.min(end - next));
            let (last, first) = (self.keys.get(next), self.keys.get(next + length - 1));
            for statement in &mut of_children {
                erased.children += statement.execute(&first, &last)?;
            }
            let rows = act.execute(&first, &last)?;
            erased.rows += rows;
            if rows > 0 {
                erased.keys.extend(&self.keys, next..next + length);
            }
            if length > 1 && usize::try_from(rows) != Ok(length) {
                return Ok(None);
            }
            next += length;
        }
        Ok(Some(erased))
    }
}

impl Walk for SqliteWalk<'_> {
    fn prepare(&mut self, limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, LARGEST_BATCH);
        while self.fill()? {
            let count = limit.min(self.keys.len() - self.done);
            let transaction = OpenTransaction::begin(self.database)?;
            let erased = self.database.run(|_| self.erase(count))?;
            if erased.rows > 0 {
                let in_flight = in_flight::encode(&self.selection, &erased.keys);
                return Ok(Some(Box::new(Batch { walk: self, transaction, count, erased, in_flight })));
            }
            // Others were faster with all of them.
            self.done += count;
        }
        Ok(None)
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        let arrived: Vec<&str> = self
            .high_water
            .iter()
            .map(|mark| mark.arrived.as_str())
            .chain(self.predicate.recorded_later.as_deref())
            .collect();
        let arrived = if arrived.is_empty() { "0".to_owned() } else { arrived.join(" OR ") };
        let sql = format!(
            "SELECT count(*), coalesce(sum({arrived}), 0) FROM {} WHERE {}",
            self.predicate.table,
            self.predicate.matches()
        );
        let (all, arrived): (u64, u64) = self.database.run(|connection| {
            survey::first_row(connection, &self.predicate, &sql, |row| {
                Ok((survey::counted(row, 0)?, survey::counted(row, 1)?))
            })
        })?;
        Ok(Remainder { left: all - arrived, arrived, ..Remainder::default() })
    }
}

struct Batch<'w, 's> {
    walk: &'w mut SqliteWalk<'s>,
    transaction: OpenTransaction<'s>,
    /// How many keys it was to erase.
    count: usize,
    erased: Erased,
    in_flight: Vec<u8>,
}

impl Prepared for Batch<'_, '_> {
    fn rows(&self) -> u64 {
        self.erased.rows
    }

    fn children(&self) -> u64 {
        self.erased.children
    }

    fn in_flight(&self) -> &[u8] {
        &self.in_flight
    }

    fn commit(self: Box<Self>) -> Result<Committed, StoreError> {
        let batch = *self;
        batch.transaction.commit()?;
        batch.walk.done += batch.count;
        Ok(Committed { rows: batch.erased.rows, children: batch.erased.children })
    }
}

fn chunk(kind: KeyKind) -> usize {
    match kind {
        KeyKind::Rowid => CHUNK_OF_ROWIDS,
        KeyKind::Value => CHUNK_OF_VALUES,
    }
}

fn high_water(connection: &Connection, facts: &TableFacts, name: &str) -> rusqlite::Result<Option<HighWater>> {
    let Some(rowid) = facts.rowid_name() else { return Ok(None) };
    let rowid = format!("{}.{rowid}", quoted(name));
    let sql = format!("SELECT max({rowid}) FROM {}", table(name));
    let largest: Option<i64> = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(Some(HighWater { arrived: format!("{rowid} > {}", largest.unwrap_or(i64::MIN)) }))
}
