//! Rows that match, and what a batch does to them.
//!
//! A batch knows exactly which rows it touched. Where nothing depends on a row but the row itself, one statement over
//! a range of keys touches it and the number of rows must come out as planned. Where others wrote in between, or
//! where rows of other tables go first, the rows are locked and read before, and only those are touched.

use super::connection::Database;
use super::keys::Keys;
use super::predicate::{Doubt, Predicate};
use super::schema::Class;
use super::sql;
use crate::store::StoreError;

/// A table whose rows go with those of the target.
#[derive(Debug)]
pub(super) struct ChildTable {
    /// The table, quoted, with its database.
    pub(super) table: String,
    /// The column that holds the parent's key, quoted.
    pub(super) column: String,
    /// What that column can hold.
    pub(super) class: Class,
}

/// How many rows a batch touched.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Of the target.
    pub(super) rows: u64,
    /// Of other tables.
    pub(super) children: u64,
}

/// A row as [`select`] gives it: the key, and its column where that is in doubt.
fn select(predicate: &Predicate, which: &str, tail: &str) -> String {
    let Predicate { table, key, .. } = predicate;
    let value = match &predicate.doubt {
        None => String::new(),
        Some(Doubt { condition, value, .. }) => format!(", IF({condition}, {value}, NULL)"),
    };
    format!("SELECT {key}{value} FROM {table} {which} {tail}")
}

/// Whether rows of a batch must be judged outside, which costs another look at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubts {
    /// None of them.
    None,
    /// Some, or it is not known.
    Some,
}

/// What reading keys gave.
#[derive(Debug)]
pub(super) struct Read {
    /// Keys of rows that match, without those whose doubt proves harmless.
    pub(super) keys: Keys,
    /// How many rows the server gave.
    pub(super) rows: usize,
    /// Whether any of them must be judged outside.
    pub(super) doubts: Doubts,
    /// The key of the last one, as SQL.
    pub(super) last: Option<String>,
}

/// Reads keys of rows, as `which` and `tail` narrow and order them.
pub(super) fn read_keys(
    database: &mut Database,
    predicate: &Predicate,
    which: &str,
    tail: &str,
) -> Result<Read, StoreError> {
    let mut keys = Keys::none(predicate.key_class);
    let mut last = Keys::none(predicate.key_class);
    let (mut rows, mut is_readable, mut doubts) = (0, true, Doubts::None);
    database.each(&select(predicate, which, tail), |mut row| {
        let in_doubt = row.take::<Option<Vec<u8>>, _>(1).flatten();
        let Some(key) = row.take::<mysql::Value, _>(0) else { return };
        rows += 1;
        last = Keys::none(predicate.key_class);
        let is_harmless = match (&predicate.doubt, in_doubt) {
            (Some(doubt), Some(value)) => {
                doubts = Doubts::Some;
                doubt.replacement(&value).is_none()
            }
            _ => false,
        };
        let list = if is_harmless { &mut last } else { &mut keys };
        is_readable &= list.push(key).is_some();
    })?;
    if !is_readable {
        return Err(database.failed("a key is of a type that is not supported"));
    }
    let last = last.literal(0).or_else(|| keys.literal(keys.len().checked_sub(1)?));
    Ok(Read { keys, rows, doubts, last })
}

/// Keys of the rows among `piece` that match, each row locked, and no other: of a row that is read by its key and does
/// not match the lock is given back, of one that is met in another index it stays.
pub(super) fn matching_keys(database: &mut Database, predicate: &Predicate, piece: &str) -> Result<Keys, StoreError> {
    let which = format!("{} WHERE {piece} AND {}", predicate.by_key, rechecked(predicate));
    Ok(read_keys(database, predicate, &which, "FOR UPDATE")?.keys)
}

/// The whole predicate, so that the server looks for no other way to the rows than by their keys.
fn rechecked(predicate: &Predicate) -> String {
    format!("({}) = 1", predicate.matches())
}

/// Erases or changes the rows of `keys` that still match. `None` if it was another number than planned.
pub(super) fn touch_planned(
    database: &mut Database,
    predicate: &Predicate,
    keys: &Keys,
    doubts: Doubts,
) -> Result<Option<Touched>, StoreError> {
    let rows = act(database, predicate, &keys.reaching(&predicate.key), doubts)?;
    let is_planned = usize::try_from(rows) == Ok(keys.len());
    Ok(is_planned.then_some(Touched { rows, children: 0 }))
}

/// Locks the rows of `keys` that still match, and erases or changes exactly those, what belongs to them first.
pub(super) fn touch_exactly(
    database: &mut Database,
    predicate: &Predicate,
    children: &[ChildTable],
    keys: &Keys,
) -> Result<(Keys, Touched), StoreError> {
    let mut locked = Keys::none(predicate.key_class);
    for piece in keys.exactly(&predicate.key) {
        locked.append(matching_keys(database, predicate, &piece)?);
    }
    let mut touched = Touched::default();
    for ChildTable { table, column, class } in children {
        for piece in locked.exactly_as(column, *class) {
            touched.children += database.execute(&format!("DELETE FROM {table} WHERE {piece}"))?;
        }
    }
    touched.rows = act(database, predicate, &locked.exactly(&predicate.key), Doubts::Some)?;
    Ok((locked, touched))
}

fn act(database: &mut Database, predicate: &Predicate, pieces: &[String], doubts: Doubts) -> Result<u64, StoreError> {
    let mut rows = 0;
    for piece in pieces {
        rows += database.execute(&statement(predicate, piece))?;
        if let (Some(doubt), Doubts::Some) = (&predicate.doubt, doubts) {
            rows += replace_doubtful(database, predicate, doubt, piece)?;
        }
    }
    Ok(rows)
}

/// The statement over one piece. What is in doubt is left to another one.
fn statement(predicate: &Predicate, piece: &str) -> String {
    let table = &predicate.table;
    let which = format!("WHERE {piece} AND ({}) = 1", predicate.certainly_matches());
    match &predicate.assignment {
        None => format!("DELETE FROM {table} {which}"),
        Some(assignment) => {
            format!("UPDATE {table} SET {} = {}{} {which}", assignment.column, assignment.value, assignment.kept)
        }
    }
}

/// Writes what was computed outside, for rows that stay locked meanwhile. The old value is compared once more.
fn replace_doubtful(
    database: &mut Database,
    predicate: &Predicate,
    doubt: &Doubt,
    piece: &str,
) -> Result<u64, StoreError> {
    /// Rows in one statement: each brings its old value and its new one.
    const ROWS: usize = 500;
    let Some(assignment) = &predicate.assignment else { return Ok(0) };
    let (table, key) = (&predicate.table, &predicate.key);
    let which = format!("{} WHERE {piece} AND {} AND {}", predicate.by_key, rechecked(predicate), doubt.condition);
    let mut replaced: Vec<(String, String, String)> = Vec::new();
    database.each(&select(predicate, &which, "FOR UPDATE"), |mut row| {
        let mut of_row = Keys::none(predicate.key_class);
        let is_key = row.take(0).and_then(|value| of_row.push(value)).is_some();
        let old = row.take::<Option<Vec<u8>>, _>(1).flatten().unwrap_or_default();
        if let (true, Some(literal), Some(new)) = (is_key, of_row.literal(0), doubt.replacement(&old)) {
            let old = sql::text(&String::from_utf8_lossy(&old));
            replaced.push((literal, old, new));
        }
    })?;
    let mut rows = 0;
    for chunk in replaced.chunks(ROWS) {
        let whens: String = chunk.iter().map(|(key, _, new)| format!(" WHEN {key} THEN {new}")).collect();
        let pairs: Vec<String> =
            chunk.iter().map(|(literal, old, _)| format!("({key} = {literal} AND {} = {old})", doubt.value)).collect();
        let keys: Vec<&str> = chunk.iter().map(|(key, ..)| key.as_str()).collect();
        rows += database.execute(&format!(
            "UPDATE {table} SET {} = (CASE {key}{whens} END){} WHERE {key} IN ({}) AND ({}) = 1",
            assignment.column,
            assignment.kept,
            keys.join(","),
            pairs.join(" OR ")
        ))?;
    }
    Ok(rows)
}
