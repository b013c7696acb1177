//! Erasing batch by batch.
//!
//! Rows are erased in the order of the file, so that each block is read and written once however scattered the times
//! are, and no statement searches again among rows that are already dead. Two ways lead there:
//!
//! * Where a good part of a large table matches, range of blocks follows range of blocks, as long as the rows found
//!   so far suggest. Nothing is read beforehand.
//! * Else the positions of what matches are read first, by whatever index serves best: six bytes each, put together
//!   by the server, a bounded chunk at a time, and sorted. Where they lie close together a batch is one range of the
//!   file; where they are rare it is a list.
//!
//! Either way the statement says the whole predicate again: a row that changed or moved in between is kept, and a
//! position that was given to another row means nothing by itself. The table's blocks are counted when the walk
//! begins, so that rows which an UPDATE moves to the end do not make it endless.

use std::collections::BTreeMap;
use std::time::Duration;

use postgres::types::Type;

use super::connection::{LONGEST_READ, LONGEST_STATEMENT, Session};
use super::erase::{self, ChildSql};
use super::in_flight::{self, Touched};
use super::lag::Lag;
use super::partition::{self, Leaf, Range};
use super::predicate::Predicate;
use super::scan::{self, Progress, WINDOW};
use super::schema::{TableFacts, table_facts};
use super::values::Position;
use crate::store::{Committed, Prepared, Remainder, StoreError, TableSelection, Walk};

/// Each attempt at a drop that fails made the table's users wait: after so many, somebody is there to stay.
const DROP_ATTEMPTS: u32 = 3;

/// A walk over one selection.
pub(super) struct PostgresWalk<'s> {
    session: &'s mut Session,
    selection: TableSelection<'s>,
    facts: TableFacts,
    predicate: Predicate,
    /// What belongs to the rows of a batch in other tables.
    children: Vec<ChildSql>,
    leaves: Vec<Leaf>,
    /// The first of them that is not done.
    leaf: usize,
    /// How often a drop may still run into somebody.
    drop_attempts: u32,
    progress: Progress,
    positions: Vec<Position>,
    /// How many of `positions` are done.
    done: usize,
    lag: Lag,
    /// SQL that is true for rows that arrived after the walk began; `None` where keys do not tell.
    arrived: Option<String>,
    proof: Proof,
    /// The number of the advisory lock that two hosts would share.
    lock: i64,
    /// Rows that the walk's batches left dead, by table.
    dead: &'s mut BTreeMap<String, u64>,
}

/// The count of what is left, which may end the walk before its last block is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    NotAsked,
    /// Something was left then.
    Premature,
    /// Nothing is.
    Nothing,
}

/// The part of a leaf that one batch is about.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// So many of the positions that were read.
    Positions(usize),
    /// From one block up to, and without, another.
    Blocks(u32, u32),
    /// All of it.
    Leaf,
}

/// What a batch did.
struct Erased {
    transaction: String,
    touched: Touched,
    rows: u64,
    children: u64,
}

impl<'s> PostgresWalk<'s> {
    /// Prepares a walk. Nothing is changed.
    pub(super) fn begin(
        session: &'s mut Session,
        selection: TableSelection<'s>,
        max_lag: Duration,
        dead: &'s mut BTreeMap<String, u64>,
    ) -> Result<PostgresWalk<'s>, StoreError> {
        let table = &selection.rule.target.table;
        let facts = table_facts(session, table)?;
        let predicate = Predicate::new(session, &selection, &facts)?;
        let mut leaves = partition::leaves(session, &selection, &facts, &predicate)?;
        leaves.retain(|leaf| leaf.range != Range::Kept);
        let children = erase::children(session, &selection)?;
        let arrived = high_water(session, &facts, &predicate)?;
        for table in std::iter::once(&facts.quoted).chain(children.iter().map(|child| &child.table)) {
            dead.entry(table.clone()).or_default();
        }
        Ok(PostgresWalk {
            lock: in_flight::lock_number(&facts),
            session,
            selection,
            facts,
            predicate,
            children,
            leaves,
            leaf: 0,
            drop_attempts: DROP_ATTEMPTS,
            progress: Progress::NotBegun,
            positions: Vec::new(),
            done: 0,
            lag: Lag::new(max_lag),
            arrived,
            dead,
            proof: Proof::NotAsked,
        })
    }

    /// Makes sure that there are positions to do; false at the end of the leaf.
    fn fill(&mut self) -> Result<bool, StoreError> {
        while self.done == self.positions.len() {
            let Some(Leaf { quoted, .. }) = self.leaves.get(self.leaf) else { return Ok(false) };
            let (positions, progress) = match self.progress {
                Progress::Complete | Progress::Blocks { .. } => return Ok(false),
                Progress::NotBegun => match scan::dense(self.session, quoted, &self.predicate)? {
                    Some(blocks) => (Vec::new(), blocks),
                    None => scan::first_positions(self.session, quoted, &self.predicate)?,
                },
                Progress::From { block, end } if block >= end => (Vec::new(), Progress::Complete),
                Progress::From { block, end } => {
                    let next = block.saturating_add(WINDOW).min(end);
                    let (from, until) = (Position::start_of(block), Position::start_of(next));
                    let which = format!("t.ctid >= {from} AND t.ctid < {until}");
                    (
                        scan::positions(self.session, quoted, &self.predicate, &which, "")?,
                        Progress::From { block: next, end },
                    )
                }
            };
            self.positions = positions;
            self.positions.sort_unstable();
            self.progress = progress;
            self.done = 0;
        }
        Ok(true)
    }

    /// What the next batch is about; `None` at the end of the leaf.
    fn next_part(&mut self, limit: usize) -> Result<Option<Part>, StoreError> {
        if self.fill()? {
            return Ok(Some(Part::Positions(limit.min(self.positions.len() - self.done))));
        }
        self.seek()?;
        Ok(match self.progress {
            Progress::Blocks { next, end, stride, .. } if next < end => {
                Some(Part::Blocks(next, next.saturating_add(stride.blocks_for(limit)).min(end)))
            }
            _ => None,
        })
    }

    /// After an empty range: on to the block of the next record that matches, or to the end.
    fn seek(&mut self) -> Result<(), StoreError> {
        if !matches!(self.progress, Progress::Blocks { seek: true, .. }) || self.is_over()? {
            return Ok(());
        }
        let (Some(leaf), Progress::Blocks { next, end, seek, .. }) = (self.leaves.get(self.leaf), &mut self.progress)
        else {
            return Ok(());
        };
        while *seek && *next < *end {
            let until = next.saturating_add(WINDOW).min(*end);
            let sql = format!(
                "SELECT min(t.ctid) FROM {} AS t WHERE t.ctid >= {} AND t.ctid < {} AND {}",
                leaf.quoted,
                Position::start_of(*next),
                Position::start_of(until),
                self.predicate.matches()
            );
            let row = self.session.one(&sql, &self.predicate.values.with(&[]))?;
            let found: Option<Position> = self.session.get(&row, 0)?;
            *next = found.map_or(until, |position| position.block);
            *seek = found.is_none();
        }
        Ok(())
    }

    /// Ends the walk if nothing is left of what matches. Where rows lie in the order of their time, the first empty
    /// range is behind all of it, and the count that has to be made anyway saves reading the rest. Asked once.
    fn is_over(&mut self) -> Result<bool, StoreError> {
        if self.proof == Proof::NotAsked {
            self.proof = match self.count_left()? {
                (0, _) => Proof::Nothing,
                _ => Proof::Premature,
            };
            if self.proof == Proof::Nothing {
                (self.leaf, self.progress) = (self.leaves.len(), Progress::Complete);
            }
        }
        Ok(self.proof == Proof::Nothing)
    }

    /// What matches now, and how much of it arrived since the walk began.
    fn count_left(&mut self) -> Result<(u64, u64), StoreError> {
        let arrived = self.arrived.as_deref().unwrap_or("false");
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE {arrived}) FROM {} AS t WHERE {}",
            self.facts.quoted,
            self.predicate.matches()
        );
        let row = self.session.one(&sql, &self.predicate.values.with(&[]))?;
        Ok((self.session.count(&row, 0)?, self.session.count(&row, 1)?))
    }

    /// Goes on behind a part of which so many rows were erased.
    fn pass(&mut self, part: Part, rows: u64) {
        match (part, &mut self.progress) {
            (Part::Leaf, _) => self.next_leaf(),
            (Part::Positions(count), _) => self.done += count,
            (Part::Blocks(from, until), Progress::Blocks { next, stride, seek, .. }) => {
                *next = until;
                *seek = rows == 0;
                if rows > 0 {
                    stride.learn(until - from, rows);
                }
            }
            (Part::Blocks(..), _) => {}
        }
    }

    /// After a part that was too much, or that others stand in: the next one is smaller.
    fn shrink(&mut self, part: Part) {
        if let (Part::Blocks(from, until), Progress::Blocks { stride, .. }) = (part, &mut self.progress) {
            stride.shrink(until - from);
        }
    }

    fn next_leaf(&mut self) {
        self.leaf += 1;
        self.progress = Progress::NotBegun;
        self.positions = Vec::new();
        self.done = 0;
    }

    /// Opens the transaction of a batch and keeps everybody else who erases from the table out of it: its number.
    fn open(&mut self) -> Result<String, StoreError> {
        self.session.limited_to(LONGEST_STATEMENT);
        self.session.batch(&format!("BEGIN; SET LOCAL statement_timeout = {}", LONGEST_STATEMENT.as_millis()))?;
        let sql = "SELECT pg_advisory_xact_lock($1), pg_current_xact_id()::text";
        let row = self.session.one(sql, &[(&self.lock, Type::INT8)])?;
        self.session.get(&row, 1)
    }

    /// Erases the records of a part in a transaction that stays open.
    fn erase(&mut self, part: Part) -> Result<Erased, StoreError> {
        let transaction = self.open()?;
        let Some(Leaf { quoted: leaf, attached, .. }) = self.leaves.get(self.leaf) else {
            return Ok(Erased { transaction, touched: Touched::Records(Vec::new()), rows: 0, children: 0 });
        };
        let positions = match part {
            Part::Positions(count) => self.positions.get(self.done..self.done + count).unwrap_or_default(),
            Part::Blocks(..) | Part::Leaf => &[],
        };
        let PostgresWalk { session, predicate, .. } = self;
        let range = match part {
            Part::Blocks(from, until) => {
                Some(format!("t.ctid >= {} AND t.ctid < {}", Position::start_of(from), Position::start_of(until)))
            }
            Part::Positions(_) | Part::Leaf => scan::range(positions),
        };
        // In a range the list is not asked for, and not sent.
        let list = if range.is_some() { &[][..] } else { positions };
        let within = range.unwrap_or_else(|| format!("t.ctid = ANY (${})", predicate.values.next()));
        let rows = format!("{within} AND {attached} AND {}", predicate.matches());
        let (sample, rows, children) = match self.children.as_slice() {
            [] => erase::alone(session, predicate, leaf, list, &rows)?,
            children => erase::with_children(session, predicate, leaf, list, &rows, children)?,
        };
        Ok(Erased { transaction, touched: Touched::Records(sample), rows, children })
    }

    /// Drops the present leaf, if it may go as a whole, in a transaction that stays open.
    fn drop_leaf(&mut self) -> Result<Option<Erased>, StoreError> {
        let transaction = self.open()?;
        let Some(leaf) = self.leaves.get(self.leaf) else { return Ok(None) };
        let rows = partition::drop(self.session, &self.facts, leaf, &self.predicate)?;
        Ok(rows.map(|rows| Erased { transaction, touched: Touched::Partition(leaf.oid), rows, children: 0 }))
    }

    /// `None` where the leaf must be walked row by row after all: not all of it matches, something depends on it, or
    /// others are in the way.
    fn try_drop(&mut self) -> Result<Option<Erased>, StoreError> {
        let Some(leaf) = self.leaves.get(self.leaf).filter(|leaf| leaf.droppable && self.drop_attempts > 0) else {
            return Ok(None);
        };
        // Nobody is shut out for what cannot be.
        let dropped = match partition::all_matching(self.session, leaf, &self.predicate) {
            Ok(Some(_)) => self.drop_leaf(),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if matches!(dropped, Ok(Some(_))) {
            return dropped;
        }
        self.session.roll_back();
        if let Some(leaf) = self.leaves.get_mut(self.leaf) {
            leaf.droppable = false;
        }
        match dropped {
            Err(StoreError::Busy { .. } | StoreError::Slow { .. }) => {
                self.drop_attempts -= 1;
                Ok(None)
            }
            Ok(_) | Err(StoreError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn batch(&mut self, erased: Erased, part: Part) -> Box<dyn Prepared + '_> {
        let in_flight = in_flight::encode(&self.selection, &erased.transaction, &erased.touched);
        Box::new(Batch { walk: self, erased, part, in_flight, open: true })
    }
}

impl Walk for PostgresWalk<'_> {
    fn prepare(&mut self, limit: u32) -> Result<Option<Box<dyn Prepared + '_>>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        // A server that hangs between two batches shows at once.
        self.session.limited_to(LONGEST_STATEMENT);
        let in_time = self.lag.check(self.session);
        self.session.limited_to(LONGEST_READ);
        in_time?;
        while self.leaf < self.leaves.len() {
            if let Some(erased) = self.try_drop()? {
                return Ok(Some(self.batch(erased, Part::Leaf)));
            }
            let Some(part) = self.next_part(limit)? else {
                self.next_leaf();
                continue;
            };
            match self.erase(part) {
                Ok(erased) if erased.rows > 0 => return Ok(Some(self.batch(erased, part))),
                // Nothing is there, or others were faster with all of it.
                Ok(_) => {
                    self.session.roll_back();
                    self.pass(part, 0);
                }
                Err(error) => {
                    self.session.roll_back();
                    self.shrink(part);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn remainder(&mut self) -> Result<Remainder, StoreError> {
        // Counted after the last batch, which is why the walk ended.
        if self.proof == Proof::Nothing {
            return Ok(Remainder::default());
        }
        let (all, arrived) = self.count_left()?;
        Ok(Remainder { left: all - arrived, arrived, ..Remainder::default() })
    }
}

struct Batch<'w, 's> {
    walk: &'w mut PostgresWalk<'s>,
    erased: Erased,
    part: Part,
    in_flight: Vec<u8>,
    open: bool,
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

    fn transaction(&self) -> Option<&str> {
        Some(&self.erased.transaction)
    }

    fn commit(mut self: Box<Self>) -> Result<Committed, StoreError> {
        self.open = false;
        self.walk.session.commit()?;
        let (part, rows) = (self.part, self.erased.rows);
        self.walk.pass(part, rows);
        if let (Touched::Records(_), Some(dead)) =
            (&self.erased.touched, self.walk.dead.get_mut(&self.walk.facts.quoted))
        {
            *dead += rows;
        }
        Ok(Committed { rows, children: self.erased.children })
    }
}

impl Drop for Batch<'_, '_> {
    fn drop(&mut self) {
        if self.open {
            self.walk.session.roll_back();
        }
    }
}

/// Rows with a larger key than any now arrived later, where keys are numbers that grow.
fn high_water(session: &mut Session, facts: &TableFacts, predicate: &Predicate) -> Result<Option<String>, StoreError> {
    if !predicate.key_grows {
        return Ok(None);
    }
    let row = session.one(&format!("SELECT max({})::int8 FROM {} AS t", predicate.key, facts.quoted), &[])?;
    let largest: Option<i64> = session.get(&row, 0)?;
    Ok(Some(format!("{} > {}", predicate.key, largest.unwrap_or(i64::MIN))))
}
