//! Erasing batch by batch.
//!
//! The keys of what matches are read first, a bounded chunk at a time and by whatever index serves best, and sorted:
//! in key order rows that lie side by side on disk go in the same batch, so that each page is written once, and no
//! statement searches again among rows that are already gone. Keys that lie close together are erased by one
//! statement over their range. Each statement says the whole predicate again, so that a row which changed in between
//! is kept.
//!
//! The walk goes from the largest key down, in short ranges, for the sake of what stays on disk. When a page runs
//! empty SQLite merges it with its neighbours, and `secure_delete` does not overwrite every place from which a row
//! was moved. Upwards, rows that are yet to be erased are moved and leave such copies behind (measured: up to 0.8 %
//! of the erased rows); downwards they are not, but for a few in a hundred thousand.
//!
//! A batch knows exactly which keys it erased: where a range held another number of rows than it was meant to,
//! because others wrote in between, the batch is rolled back and done again key by key.

use rusqlite::{CachedStatement, Connection, ToSql};

use super::connection::{self, Database};
use super::in_flight;
use super::keys::{Key, Keys};
use super::predicate::{Predicate, qualified, quoted, table};
use super::schema::{KeyShape, TableFacts};
use super::survey;
use crate::config::site::Child;
use crate::plan::Action;
use crate::store::{Prepared, Remainder, Selection, StoreError, Walk};

/// Most integer keys in memory: 8 MB.
const CHUNK_OF_INTEGERS: usize = 1_000_000;
/// Most keys of other types in memory: a UUID as text takes about 70 bytes.
const CHUNK_OF_VALUES: usize = 20_000;
/// Most keys in one range: about as many rows as fit in a page, see above.
const LONGEST_RANGE: usize = 16;

/// A walk over one selection.
pub(super) struct SqliteWalk<'s> {
    database: &'s Database,
    selection: &'s Selection<'s>,
    predicate: Predicate,
    statements: Statements,
    is_rowid: IsRowid,
    /// Rows numbered higher arrived after the walk began.
    high_water: Option<HighWater>,
    keys: Keys,
    /// How many of `keys` are done.
    done: usize,
    progress: Progress,
}

/// Whether the key is the rowid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsRowid {
    Yes,
    No,
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
    pub(super) fn begin(database: &'s Database, selection: &'s Selection<'s>) -> Result<SqliteWalk<'s>, StoreError> {
        let target = &selection.rule.target;
        let facts = database.run(|connection| TableFacts::read(connection, &target.table))?;
        let found = facts.and_then(|facts| facts.key_shape(&target.key).map(|shape| (facts, shape)));
        let Some((facts, shape)) = found else {
            let reason = format!("table {} has no unique key {}", target.table, target.key);
            return Err(StoreError::Failed { place: database.place.clone(), reason });
        };
        let predicate = database.run(|connection| Predicate::new(connection, selection))?;
        let high_water = database.run(|connection| high_water(connection, &facts, &target.table))?;
        let is_rowid = if shape == KeyShape::Rowid { IsRowid::Yes } else { IsRowid::No };
        Ok(SqliteWalk {
            statements: Statements::new(&predicate, &shape, &selection.rule.action),
            keys: no_keys(is_rowid),
            progress: Progress::NotBegun,
            done: 0,
            database,
            selection,
            predicate,
            is_rowid,
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
        self.keys = no_keys(self.is_rowid);
        let chunk = chunk(self.is_rowid);
        if matches!(self.progress, Progress::NotBegun) {
            let keys = self.read_keys(&self.statements.all_keys, None, chunk + 1)?;
            if keys.len() <= chunk {
                self.keys = sorted(keys);
                self.progress = Progress::Complete;
                return Ok(());
            }
            self.progress = Progress::Below(None);
        }
        let Progress::Below(key) = &self.progress else { return Ok(()) };
        let sql = if key.is_some() { &self.statements.next_keys } else { &self.statements.first_keys };
        self.keys = self.read_keys(sql, key.as_ref(), chunk)?;
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
            let mut keys = no_keys(self.is_rowid);
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
        Ok(self.erase_ranges(count, 1)?.unwrap_or_else(|| Erased::nothing(self.is_rowid)))
    }

    /// Erases by ranges of at most `longest` keys. `None` if one of several keys held another number of rows: then it
    /// is not known which were erased.
    fn erase_ranges(&self, count: usize, longest: usize) -> rusqlite::Result<Option<Erased>> {
        let statements = self.statements.children.iter().map(|sql| self.bound(sql));
        let mut of_children = statements.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut act = self.bound(&self.statements.act)?;
        let mut erased = Erased::nothing(self.is_rowid);
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

    /// A statement with the predicate's values bound, and the bounds of its range still to be.
    fn bound(&self, sql: &str) -> rusqlite::Result<Bound<'s>> {
        let mut statement = self.database.connection.prepare_cached(sql)?;
        self.predicate.bind(&mut statement)?;
        let (first, last) = (statement.parameter_index(":first")?, statement.parameter_index(":last")?);
        Ok(Bound { statement, first, last })
    }
}

impl Walk for SqliteWalk<'_> {
    fn prepare(&mut self, limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        while self.fill()? {
            let count = limit.min(self.keys.len() - self.done);
            let transaction = OpenTransaction::begin(self.database)?;
            let erased = self.database.run(|_| self.erase(count))?;
            if erased.rows > 0 {
                let in_flight = in_flight::encode(self.selection, &erased.keys);
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
        Ok(Remainder { left: all - arrived, arrived })
    }
}

/// What a batch did.
struct Erased {
    keys: Keys,
    rows: u64,
    children: u64,
}

impl Erased {
    fn nothing(is_rowid: IsRowid) -> Erased {
        Erased { keys: no_keys(is_rowid), rows: 0, children: 0 }
    }
}

/// A statement over a range of keys.
struct Bound<'c> {
    statement: CachedStatement<'c>,
    first: Option<usize>,
    last: Option<usize>,
}

impl Bound<'_> {
    /// Runs it, and counts the rows that it changed itself.
    fn execute(&mut self, first: &Option<Key>, last: &Option<Key>) -> rusqlite::Result<u64> {
        for (parameter, key) in [(self.first, first), (self.last, last)] {
            if let Some(parameter) = parameter {
                self.statement.raw_bind_parameter(parameter, key)?;
            }
        }
        self.statement.raw_execute().map(|rows| u64::try_from(rows).unwrap_or(u64::MAX))
    }
}

/// A write transaction, rolled back unless it was committed.
struct OpenTransaction<'s>(&'s Database);

impl<'s> OpenTransaction<'s> {
    fn begin(database: &'s Database) -> Result<OpenTransaction<'s>, StoreError> {
        database.run(|connection| connection.execute_batch("BEGIN IMMEDIATE"))?;
        Ok(OpenTransaction(database))
    }

    /// A COMMIT that failed and left the transaction open can be rolled back, and then it is known how it ended.
    fn commit(self) -> Result<(), StoreError> {
        let Err(error) = self.0.connection.execute_batch("COMMIT") else { return Ok(()) };
        if !self.0.connection.is_autocommit() {
            return Err(self.0.error(&error));
        }
        let reason = connection::describe(&error).to_owned();
        Err(StoreError::CommitUnknown { place: self.0.place.clone(), reason })
    }
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        if !self.0.connection.is_autocommit()
            && let Err(error) = self.0.connection.execute_batch("ROLLBACK")
        {
            // Closing the connection rolls back as well; only the lock is held until then.
            tracing::warn!(store = %self.0.place, error = connection::describe(&error), "ROLLBACK failed");
        }
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

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let batch = *self;
        batch.transaction.commit()?;
        batch.walk.done += batch.count;
        Ok(())
    }
}

/// The statements of a walk, each made from the predicate.
pub(super) struct Statements {
    all_keys: String,
    first_keys: String,
    next_keys: String,
    act: String,
    children: Vec<String>,
}

impl Statements {
    /// All of them for one rule on one table.
    pub(super) fn new(predicate: &Predicate, shape: &KeyShape, action: &Action) -> Statements {
        let Predicate { table: target, key, assignment, .. } = predicate;
        let matches = predicate.matches();
        // Without a word about indexes SQLite may prefer the one over the time, and read all of it for each batch.
        let (by_key, range) = match shape {
            KeyShape::Rowid => ("NOT INDEXED".to_owned(), format!("{key} BETWEEN :first AND :last")),
            KeyShape::Clustered => ("NOT INDEXED".to_owned(), format!("{key} = :first")),
            KeyShape::Indexed(index) => (format!("INDEXED BY {}", quoted(index)), format!("{key} = :first")),
        };
        let keys = |which: &str| {
            format!("SELECT {key} FROM {target} {by_key} WHERE {which} AND {matches} ORDER BY {key} DESC LIMIT :limit")
        };
        let children: &[Child] = if let Action::EraseRows { children } = action { children } else { &[] };
        let erase_children = |child: &Child| {
            format!(
                "DELETE FROM {} WHERE {} IN (SELECT {key} FROM {target} {by_key} WHERE {range} AND {matches})",
                table(&child.table),
                qualified(&child.table, &child.column)
            )
        };
        Statements {
            all_keys: format!("SELECT {key} FROM {target} WHERE {matches} LIMIT :limit"),
            first_keys: keys("1"),
            next_keys: keys(&format!("{key} < :below")),
            act: match assignment {
                None => format!("DELETE FROM {target} {by_key} WHERE {range} AND {matches}"),
                Some(assignment) => format!("UPDATE {target} {by_key} SET {assignment} WHERE {range} AND {matches}"),
            },
            children: children.iter().map(erase_children).collect(),
        }
    }

    /// Those that change something.
    pub(super) fn changing(&self) -> impl Iterator<Item = &str> {
        self.children.iter().chain([&self.act]).map(String::as_str)
    }
}

fn chunk(is_rowid: IsRowid) -> usize {
    match is_rowid {
        IsRowid::Yes => CHUNK_OF_INTEGERS,
        IsRowid::No => CHUNK_OF_VALUES,
    }
}

fn no_keys(is_rowid: IsRowid) -> Keys {
    match is_rowid {
        IsRowid::Yes => Keys::Integers(Vec::new()),
        IsRowid::No => Keys::Values(Vec::new()),
    }
}

/// Rowids from the end of the table to its beginning. Other keys are looked up one by one, in whatever order.
fn sorted(keys: Keys) -> Keys {
    match keys {
        Keys::Integers(mut keys) => {
            keys.sort_unstable_by(|a, b| b.cmp(a));
            Keys::Integers(keys)
        }
        other @ Keys::Values(_) => other,
    }
}

fn high_water(connection: &Connection, facts: &TableFacts, name: &str) -> rusqlite::Result<Option<HighWater>> {
    let Some(rowid) = facts.rowid_name() else { return Ok(None) };
    let rowid = format!("{}.{rowid}", quoted(name));
    let sql = format!("SELECT max({rowid}) FROM {}", table(name));
    let largest: Option<i64> = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(Some(HighWater { arrived: format!("{rowid} > {}", largest.unwrap_or(i64::MIN)) }))
}
