//! What a declaration of a table would have to name.

use rusqlite::Connection;

use super::connection::Database;
use super::reach;
use super::schema::{ColumnFacts, KeyShape, TableFacts};
use crate::store::StoreError;
use crate::store::outline::{Clock, Null, Outline, OutlinedColumn, Referring};

pub(super) fn read(database: &Database, table: &str) -> Result<Option<Outline>, StoreError> {
    database.run(|connection| of(connection, table))
}

fn of(connection: &Connection, table: &str) -> rusqlite::Result<Option<Outline>> {
    let Some(facts) = TableFacts::read(connection, table)? else { return Ok(None) };
    let mut keys: Vec<&ColumnFacts> = facts.columns.iter().filter(|column| is_key(&facts, column)).collect();
    keys.sort_by_key(|column| !column.in_primary_key);
    Ok(Some(Outline {
        keys: keys.into_iter().map(|column| column.name.clone()).collect(),
        columns: facts.columns.iter().map(column).collect(),
        referring: referring(connection, &facts)?,
    }))
}

/// The rowid is never NULL, whatever is declared. Any other key may be, unless that is refused, also a primary one.
fn is_key(facts: &TableFacts, column: &ColumnFacts) -> bool {
    match facts.key_shape(&column.name) {
        Some(KeyShape::Rowid | KeyShape::Clustered) => true,
        Some(KeyShape::Indexed(_)) => column.not_null,
        None => false,
    }
}

/// A type of SQLite says nothing of how an instant is written.
fn column(facts: &ColumnFacts) -> OutlinedColumn {
    OutlinedColumn {
        name: facts.name.clone(),
        null: Null::refused(facts.not_null),
        is_computed: facts.generated,
        clock: Clock::Unknown,
    }
}

fn referring(connection: &Connection, facts: &TableFacts) -> rusqlite::Result<Vec<Referring>> {
    let mut referring = Vec::new();
    for (from, to) in reach::referring(connection, &facts.name)? {
        let child = TableFacts::read(connection, &from.table)?;
        let not_null =
            child.as_ref().and_then(|child| child.column(&from.column)).is_some_and(|column| column.not_null);
        let primary = || facts.columns.iter().find(|column| column.in_primary_key).map(|column| column.name.clone());
        let Some(to) = to.or_else(primary) else { continue };
        referring.push(Referring { from, to, null: Null::refused(not_null) });
    }
    Ok(referring)
}
