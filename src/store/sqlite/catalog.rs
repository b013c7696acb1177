//! The tables of the whole database, and a short look at what their columns hold.

use rusqlite::Connection;

use super::connection::Database;
use super::predicate::{quoted, table};
use crate::store::catalog::{Catalog, FoundColumn, FoundTable, NameCase, Nature};
use crate::store::{GLANCE_LENGTH, GLANCE_ROWS, StoreError};

/// Ordinary tables alone: what belongs to an extension is read through it.
const COLUMNS: &str = "SELECT t.name, c.name, upper(c.type) FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c \
     WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY t.name, c.cid";

pub(super) fn read(database: &Database) -> Result<Catalog, StoreError> {
    let read = |connection: &Connection| -> rusqlite::Result<Vec<(FoundTable, FoundColumn)>> {
        let mut statement = connection.prepare(COLUMNS)?;
        let rows = statement.query_map([], |row| {
            let table = FoundTable { name: row.get(0)?, also: None, columns: Vec::new() };
            let declared: String = row.get(2)?;
            Ok((table, FoundColumn { name: row.get(1)?, nature: nature(&declared) }))
        })?;
        rows.collect()
    };
    Ok(Catalog::gather((NameCase::Folded, NameCase::Folded), database.run(read)?))
}

/// A column without a type, or of a type that SQLite does not know, may hold text.
fn nature(declared: &str) -> Nature {
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    match declared {
        _ if has(&["CHAR", "CLOB", "TEXT"]) => Nature::Text,
        _ if has(&["DATE", "TIME"]) => Nature::Time,
        _ if has(&["INET", "CIDR"]) => Nature::Address,
        _ if has(&["INT", "REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL"]) => Nature::Number,
        _ if has(&["BLOB"]) => Nature::Other,
        _ => Nature::Text,
    }
}

/// The newest rows: the connection reads tables backwards.
pub(super) fn glance(
    database: &Database,
    name: &str,
    columns: &[&str],
    see: &mut dyn FnMut(usize, &str),
) -> Result<(), StoreError> {
    let text = |column: &&str| {
        let column = quoted(column);
        format!("CASE WHEN typeof(t.{column}) = 'text' THEN substr(t.{column}, 1, {GLANCE_LENGTH}) END")
    };
    let values: Vec<String> = columns.iter().map(text).collect();
    let sql = format!("SELECT {} FROM {} AS t LIMIT {GLANCE_ROWS}", values.join(", "), table(name));
    database.run(|connection| {
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for position in 0..columns.len() {
                if let Ok(Some(value)) = row.get_ref(position)?.as_str_or_null() {
                    see(position, value);
                }
            }
        }
        Ok(())
    })
}
