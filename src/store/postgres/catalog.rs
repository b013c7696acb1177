//! The tables of the whole database, and a short look at what their columns hold.

use super::connection::{LOCK_WAIT, LONGEST_READ, Session};
use super::schema::{TableFacts, label, quoted};
use crate::store::catalog::{Catalog, FoundColumn, FoundTable, NameCase, Nature};
use crate::store::{GLANCE_LENGTH, GLANCE_ROWS, LONGEST_GLANCE, StoreError};

/// A domain has the category of the type beneath it. Partitions are their table's.
const COLUMNS: &str = "SELECT n.nspname::text, c.relname::text, a.attname::text, t.typcategory::text \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     JOIN pg_type AS t ON t.oid = a.atttypid \
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
     AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
     ORDER BY n.nspname, c.relname, a.attnum";

pub(super) fn read(session: &mut Session) -> Result<Catalog, StoreError> {
    let rows = session.query(COLUMNS, &[])?;
    let column = |row| {
        let (schema, table): (String, String) = (session.get(row, 0)?, session.get(row, 1)?);
        let category: String = session.get(row, 3)?;
        let (name, whole) = (label(&schema, &table), format!("{schema}.{table}"));
        let also = (whole != name).then_some(whole);
        let table = FoundTable { name, also, columns: Vec::new() };
        Ok((table, FoundColumn { name: session.get(row, 2)?, nature: nature(&category) }))
    };
    let columns = rows.iter().map(column).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Catalog::gather((NameCase::Exact, NameCase::Exact), columns))
}

/// By the categories of `pg_type.typcategory`.
fn nature(category: &str) -> Nature {
    match category {
        "I" => Nature::Address,
        "S" => Nature::Text,
        "D" => Nature::Time,
        "N" | "B" => Nature::Number,
        _ => Nature::Other,
    }
}

pub(super) fn glance(
    session: &mut Session,
    table: &str,
    columns: &[&str],
    see: &mut dyn FnMut(usize, &str),
) -> Result<(), StoreError> {
    let Some(facts) = TableFacts::read(session, table)? else { return Ok(()) };
    let text = |column: &&str| format!("left(t.{}::text, {GLANCE_LENGTH})", quoted(column));
    let values: Vec<String> = columns.iter().map(text).collect();
    let sql = format!("SELECT {} FROM {} AS t LIMIT {GLANCE_ROWS}", values.join(", "), facts.quoted);
    let limit = |statement: std::time::Duration, lock: std::time::Duration| {
        format!("SET statement_timeout = {}; SET lock_timeout = {}", statement.as_millis(), lock.as_millis())
    };
    session.limited_to(LONGEST_GLANCE);
    session.batch(&limit(LONGEST_GLANCE, LONGEST_GLANCE))?;
    let rows = session.query(&sql, &[]);
    session.limited_to(LONGEST_READ);
    if !session.is_closed() {
        session.batch(&limit(LONGEST_READ, LOCK_WAIT))?;
    }
    for row in &rows? {
        for position in 0..columns.len() {
            if let Some(value) = session.get::<Option<&str>>(row, position)? {
                see(position, value);
            }
        }
    }
    Ok(())
}
