//! The statements of a batch: rows alone, or rows after their children.

use postgres::types::Type;

use super::connection::Session;
use super::in_flight::SAMPLE;
use super::predicate::{KEYS, Predicate};
use super::schema::{quoted, table_facts};
use super::values::Position;
use crate::plan::Action;
use crate::store::{StoreError, TableSelection};

/// A child table and its column, quoted.
pub(super) struct ChildSql {
    pub(super) table: String,
    pub(super) column: String,
}

/// The child tables of a selection.
pub(super) fn children(session: &mut Session, selection: &TableSelection<'_>) -> Result<Vec<ChildSql>, StoreError> {
    let Action::EraseRows { children } = &selection.rule.action else { return Ok(Vec::new()) };
    let mut tables = Vec::new();
    for child in children {
        let facts = table_facts(session, &child.table)?;
        tables.push(ChildSql { table: facts.quoted, column: quoted(&child.column) });
    }
    Ok(tables)
}

/// What the action does to the rows that `rows` tells.
fn act(predicate: &Predicate, leaf: &str, rows: &str) -> String {
    match &predicate.assignment {
        None => format!("DELETE FROM {leaf} AS t WHERE {rows}"),
        Some(assignment) => format!("UPDATE {leaf} AS t SET {assignment} WHERE {rows}"),
    }
}

/// Erases or changes rows that have no children: keys of some, and how many of them and of their children. One of those
/// few may change in between and be kept, which is why a resolution goes by most of them; giving back the key of every
/// row would cost the server half as much as erasing it, and locking them a privilege that erasing does not need.
pub(super) fn alone(
    session: &mut Session,
    predicate: &Predicate,
    leaf: &str,
    list: &[Position],
    rows: &str,
) -> Result<(Vec<String>, u64, u64), StoreError> {
    let parameters = predicate.values.with(&[(&list, Type::TID_ARRAY)]);
    let sample = format!(
        "SELECT array_agg(key::text) FROM (SELECT {} FROM {leaf} AS t WHERE {rows} LIMIT {SAMPLE}) AS s (key)",
        predicate.key
    );
    let sample = session.one(&sample, &parameters)?;
    let Some(keys) = session.get::<Option<Vec<String>>>(&sample, 0)? else { return Ok((Vec::new(), 0, 0)) };
    let touched = session.execute(&act(predicate, leaf, rows), &parameters)?;
    Ok((keys, touched, 0))
}

/// Erases rows after their children. They are locked first, and no others are touched afterwards: a row that begins
/// to match in between would go without its children, and one that ceases to would lose them.
pub(super) fn with_children(
    session: &mut Session,
    predicate: &Predicate,
    leaf: &str,
    list: &[Position],
    rows: &str,
    children: &[ChildSql],
) -> Result<(Vec<String>, u64, u64), StoreError> {
    let sql = format!(
        "SELECT array_agg(ctid), array_agg(key::text) \
         FROM (SELECT t.ctid, {} FROM {leaf} AS t WHERE {rows} FOR UPDATE) AS s (ctid, key)",
        predicate.key
    );
    let row = session.one(&sql, &predicate.values.with(&[(&list, Type::TID_ARRAY)]))?;
    let locked: (Option<Vec<Position>>, Option<Vec<String>>) = (session.get(&row, 0)?, session.get(&row, 1)?);
    let (Some(positions), Some(mut keys)) = locked else { return Ok((Vec::new(), 0, 0)) };
    let mut gone = 0;
    for ChildSql { table, column } in children {
        let sql = format!("DELETE FROM {table} AS c WHERE c.{column} = ANY ($1::{}[])", predicate.key_type);
        gone += session.execute(&sql, &[(&keys, KEYS)])?;
    }
    let exactly = format!("t.ctid = ANY (${}) AND {}", predicate.values.next(), predicate.matches());
    let parameters = predicate.values.with(&[(&positions, Type::TID_ARRAY)]);
    let erased = session.execute(&act(predicate, leaf, &exactly), &parameters)?;
    keys.truncate(SAMPLE);
    Ok((keys, erased, gone))
}
