//! What the database's schema says about a table.

use rusqlite::{Connection, Result, Row};

use super::predicate::quoted;
use crate::store::shape::words;

/// A table as it is.
#[derive(Debug)]
pub(super) struct TableFacts {
    /// Its name as the database has it.
    pub(super) name: String,
    /// `table`, `view`, `virtual` or `shadow`.
    pub(super) kind: String,
    /// STRICT: a value of another type is refused.
    pub(super) strict: bool,
    /// Columns, hidden and generated ones too.
    pub(super) columns: Vec<ColumnFacts>,
    /// Indexes, those of constraints too.
    pub(super) indexes: Vec<IndexFacts>,
    without_rowid: bool,
}

/// A column as it is.
#[derive(Debug)]
pub(super) struct ColumnFacts {
    /// Its name.
    pub(super) name: String,
    /// Its type as declared, in capitals; may be empty.
    pub(super) declared: String,
    /// Whether NULL is refused.
    pub(super) not_null: bool,
    /// Whether it is part of the primary key.
    pub(super) in_primary_key: bool,
    /// Whether its value is computed.
    pub(super) generated: bool,
}

/// An index as it is.
#[derive(Debug)]
pub(super) struct IndexFacts {
    /// Its name.
    pub(super) name: String,
    /// Whether it forbids duplicates.
    pub(super) unique: bool,
    /// Whether it leaves rows out.
    pub(super) partial: bool,
    /// Its columns in order; `None` for an expression.
    pub(super) columns: Vec<Option<String>>,
    /// The statement that made it; `None` for a constraint's.
    pub(super) sql: Option<String>,
    is_primary_key: bool,
}

/// How rows are found by their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyShape {
    /// The key is the rowid itself: integers, in the order in which the rows lie.
    Rowid,
    /// WITHOUT ROWID: rows lie in the order of the key.
    Clustered,
    /// A unique index of this name leads to the rows.
    Indexed(String),
}

impl TableFacts {
    /// Reads them; `None` where there is no table of that name.
    pub(super) fn read(connection: &Connection, table: &str) -> Result<Option<TableFacts>> {
        let sql =
            "SELECT type, wr, strict, name FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([table])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(TableFacts {
            kind: row.get(0)?,
            without_rowid: row.get(1)?,
            strict: row.get(2)?,
            name: row.get(3)?,
            columns: columns(connection, table)?,
            indexes: indexes(connection, table)?,
        }))
    }

    /// The column of that name. SQLite's names differ in more than the case of ASCII letters.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// How rows are found by `key`; `None` if it is not unique.
    pub(super) fn key_shape(&self, key: &str) -> Option<KeyShape> {
        let is_primary =
            self.column(key)?.in_primary_key && self.columns.iter().filter(|column| column.in_primary_key).count() == 1;
        if is_primary && self.without_rowid {
            return Some(KeyShape::Clustered);
        }
        // A primary key that has no index of its own is the rowid.
        if is_primary && !self.indexes.iter().any(|index| index.is_primary_key) {
            return Some(KeyShape::Rowid);
        }
        let index = self.indexes.iter().find(|index| {
            index.unique
                && !index.partial
                && matches!(index.columns.as_slice(), [Some(name)] if name.eq_ignore_ascii_case(key))
        })?;
        Some(KeyShape::Indexed(index.name.clone()))
    }

    /// Whether an index over all rows begins with `column`.
    pub(super) fn has_index_on(&self, column: &str) -> bool {
        let leads = |index: &IndexFacts| {
            !index.partial
                && index
                    .columns
                    .first()
                    .is_some_and(|name| name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(column)))
        };
        self.indexes.iter().any(leads) || self.key_shape(column).is_some()
    }

    /// What it is, and what kinds of values it takes.
    pub(super) fn form(&self) -> String {
        words([
            Some(self.kind.as_str()),
            self.strict.then_some("STRICT"),
            self.without_rowid.then_some("WITHOUT ROWID"),
        ])
    }

    /// The name by which a row's rowid can be read, qualified later; `None` if there is none or every name is taken.
    pub(super) fn rowid_name(&self) -> Option<&'static str> {
        let free = |name: &&str| self.column(name).is_none();
        if self.without_rowid { None } else { ["rowid", "_rowid_", "oid"].into_iter().find(free) }
    }
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<ColumnFacts>> {
    /// `hidden` of `table_xinfo`: a generated column, virtual or stored.
    const GENERATED: [i64; 2] = [2, 3];
    let mut statement = connection.prepare("SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1)")?;
    let column = |row: &Row<'_>| {
        Ok(ColumnFacts {
            name: row.get(0)?,
            declared: row.get::<_, String>(1)?.to_ascii_uppercase(),
            not_null: row.get(2)?,
            in_primary_key: row.get::<_, i64>(3)? > 0,
            generated: GENERATED.contains(&row.get(4)?),
        })
    };
    statement.query_map([table], column)?.collect()
}

fn indexes(connection: &Connection, table: &str) -> Result<Vec<IndexFacts>> {
    let sql = "SELECT l.name, l.\"unique\", l.partial, l.origin = 'pk', s.sql FROM pragma_index_list(?1) AS l \
               LEFT JOIN main.sqlite_schema AS s ON s.type = 'index' AND s.name = l.name";
    let mut statement = connection.prepare(sql)?;
    let index = |row: &Row<'_>| {
        let name: String = row.get(0)?;
        let columns = index_columns(connection, &name)?;
        Ok(IndexFacts {
            unique: row.get(1)?,
            partial: row.get(2)?,
            is_primary_key: row.get(3)?,
            sql: row.get(4)?,
            columns,
            name,
        })
    };
    statement.query_map([table], index)?.collect()
}

fn index_columns(connection: &Connection, index: &str) -> Result<Vec<Option<String>>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")?;
    statement.query_map([index], |row| row.get(0))?.collect()
}

/// The statement that would make an index over `column`.
pub(super) fn create_index(table: &str, column: &str) -> String {
    format!("CREATE INDEX {} ON {} ({});", quoted(&format!("{table}_{column}")), quoted(table), quoted(column))
}
