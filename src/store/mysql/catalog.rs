//! The tables of the whole database that the user may see, and a short look at what their columns hold.

use mysql::Row;

use super::connection::{Database, StatementLimit};
use super::sql::{converted, quoted, table};
use crate::store::catalog::{Catalog, FoundColumn, FoundTable, NameCase, Nature};
use crate::store::{GLANCE_LENGTH, GLANCE_ROWS, StoreError};

const COLUMNS: &str = "SELECT t.TABLE_NAME, c.COLUMN_NAME, LOWER(c.DATA_TYPE) FROM information_schema.TABLES AS t \
     JOIN information_schema.COLUMNS AS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME \
     WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
     ORDER BY BINARY t.TABLE_NAME, c.ORDINAL_POSITION";

pub(super) fn read(database: &mut Database) -> Result<Catalog, StoreError> {
    // 0: names of tables are kept and compared as they are written.
    let table_names = match database.row::<u64>("SELECT @@lower_case_table_names")? {
        0 => NameCase::Exact,
        _ => NameCase::Folded,
    };
    let rows: Vec<(String, String, String)> = database.rows(COLUMNS)?;
    let columns = rows.into_iter().map(|(table, column, data_type)| {
        let table = FoundTable { name: table, also: None, columns: Vec::new() };
        (table, FoundColumn { name: column, nature: nature(&data_type) })
    });
    Ok(Catalog::gather((table_names, NameCase::Folded), columns))
}

fn nature(data_type: &str) -> Nature {
    match data_type {
        "inet4" | "inet6" => Nature::Address,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Nature::Text,
        "date" | "datetime" | "timestamp" | "time" | "year" => Nature::Time,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float" | "double" | "bit" => {
            Nature::Number
        }
        _ => Nature::Other,
    }
}

pub(super) fn glance(
    database: &mut Database,
    name: &str,
    columns: &[&str],
    see: &mut dyn FnMut(usize, &str),
) -> Result<(), StoreError> {
    let text = |column: &&str| format!("LEFT({}, {GLANCE_LENGTH})", converted(&format!("t.{}", quoted(column))));
    let values: Vec<String> = columns.iter().map(text).collect();
    let of = table(&database.name, name);
    let sql = format!("SELECT {} FROM {of} AS t LIMIT {GLANCE_ROWS}", values.join(", "));
    database.limit_statements(StatementLimit::Glance)?;
    let looked = database.each(&sql, |mut row: Row| {
        for position in 0..columns.len() {
            if let Some(value) = row.take_opt::<Option<String>, _>(position).and_then(Result::ok).flatten() {
                see(position, &value);
            }
        }
    });
    if !database.is_lost() {
        database.limit_statements(StatementLimit::Batch)?;
    }
    looked
}
