//! What the server says of a table.

use mysql::prelude::FromRow;
use mysql::{FromRowError, Row};

use super::connection::Database;
use super::sql::{quoted, table, text};
use crate::store::StoreError;

/// What a column can hold, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// TINYINT to BIGINT.
    Integer,
    /// DECIMAL.
    Decimal,
    /// FLOAT, DOUBLE.
    Float,
    /// BIT.
    Bit,
    /// CHAR, VARCHAR, TEXT and their kin.
    Text {
        /// Most characters.
        longest: u64,
    },
    /// BINARY, VARBINARY, BLOB and their kin.
    Binary {
        /// Most bytes.
        longest: u64,
        /// BINARY: shorter values are filled up with zeros.
        fixed: bool,
    },
    /// DATE.
    Date,
    /// DATETIME.
    Datetime,
    /// TIMESTAMP: an instant, shown in the session's zone.
    Timestamp,
    /// ENUM.
    Enum,
    /// INET6 (MariaDB).
    Inet6,
    /// INET4 (MariaDB).
    Inet4,
    /// UUID (MariaDB).
    Uuid,
    /// Anything else.
    Other,
}

/// A column as it is.
#[derive(Debug, Clone)]
pub(super) struct ColumnFacts {
    /// Its name.
    pub(super) name: String,
    /// What it can hold.
    pub(super) class: Class,
    /// Its type as declared.
    pub(super) declared: String,
    /// Whether it may be NULL.
    pub(super) nullable: bool,
    /// Whether it is computed from others.
    pub(super) generated: bool,
    /// Whether every UPDATE of the row sets it to the present moment.
    pub(super) on_update: bool,
}

/// An index as it is.
#[derive(Debug, Clone)]
pub(super) struct IndexFacts {
    /// Its name.
    pub(super) name: String,
    /// Whether it forbids duplicates.
    pub(super) unique: bool,
    /// Its columns in order; `None` for a part of one or an expression.
    pub(super) columns: Vec<Option<String>>,
}

/// A table as it is.
#[derive(Debug, Clone)]
pub(super) struct TableFacts {
    /// The database that it is in.
    pub(super) database: String,
    /// Its name.
    pub(super) name: String,
    /// `BASE TABLE`, `VIEW`, `SEQUENCE`, `SYSTEM VERSIONED`.
    pub(super) kind: String,
    /// The storage engine.
    pub(super) engine: String,
    /// Its columns.
    pub(super) columns: Vec<ColumnFacts>,
    /// Its indexes.
    pub(super) indexes: Vec<IndexFacts>,
}

impl TableFacts {
    /// Reads them; `None` where there is no table of that name, or none that the user may see.
    pub(super) fn read(database: &mut Database, name: &str) -> Result<Option<TableFacts>, StoreError> {
        let of_table = format!("TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {}", text(name));
        let sql = format!(
            "SELECT TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, '') FROM information_schema.TABLES WHERE {of_table}"
        );
        let Some((name, kind, engine)) = database.rows::<(String, String, String)>(&sql)?.into_iter().next() else {
            return Ok(None);
        };
        let columns = database.rows(&format!(
            "SELECT COLUMN_NAME, LOWER(DATA_TYPE), COLUMN_TYPE, IS_NULLABLE = 'YES', LOWER(EXTRA), \
             COALESCE(CHARACTER_MAXIMUM_LENGTH, 0) FROM information_schema.COLUMNS WHERE {of_table} \
             ORDER BY ORDINAL_POSITION"
        ))?;
        let parts = database.rows::<(String, bool, Option<String>, bool)>(&format!(
            "SELECT INDEX_NAME, NON_UNIQUE = 0, COLUMN_NAME, SUB_PART IS NOT NULL FROM information_schema.STATISTICS \
             WHERE {of_table} ORDER BY INDEX_NAME, SEQ_IN_INDEX"
        ))?;
        let indexes = indexes(parts);
        Ok(Some(TableFacts { database: database.name.clone(), name, kind, engine, columns, indexes }))
    }

    /// The table, quoted, with its database.
    pub(super) fn quoted(&self) -> String {
        table(&self.database, &self.name)
    }

    /// The column of that name; names of columns do not differ in case.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase())
    }

    /// The index by which rows are found by `key` alone; `None` if it is not unique.
    pub(super) fn key_index(&self, key: &str) -> Option<&IndexFacts> {
        let only = |index: &&IndexFacts| {
            index.unique && matches!(index.columns.as_slice(), [Some(name)] if is_same(name, key))
        };
        let primary = self.indexes.iter().filter(only).find(|index| index.name == "PRIMARY");
        primary.or_else(|| self.indexes.iter().find(only))
    }

    /// Whether an index begins with `column`.
    pub(super) fn has_index_on(&self, column: &str) -> bool {
        self.has_index_behind(&[], column)
    }

    /// Whether an index begins with `column`, apart from columns that are `fixed` to one value before it.
    pub(super) fn has_index_behind(&self, fixed: &[&str], column: &str) -> bool {
        let is_fixed = |part: &Option<String>| fixed.iter().any(|name| names(part.as_ref(), name));
        let leads = |index: &IndexFacts| {
            index.columns.iter().find(|part| !is_fixed(part)).is_some_and(|part| names(part.as_ref(), column))
        };
        self.indexes.iter().any(leads)
    }
}

fn names(part: Option<&String>, column: &str) -> bool {
    part.is_some_and(|part| is_same(part, column))
}

/// Names of columns do not differ in case.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn indexes(parts: Vec<(String, bool, Option<String>, bool)>) -> Vec<IndexFacts> {
    let mut indexes: Vec<IndexFacts> = Vec::new();
    for (name, unique, column, is_part) in parts {
        let column = column.filter(|_| !is_part);
        match indexes.last_mut() {
            Some(index) if index.name == name => index.columns.push(column),
            _ => indexes.push(IndexFacts { name, unique, columns: vec![column] }),
        }
    }
    indexes
}

impl FromRow for ColumnFacts {
    fn from_row_opt(row: Row) -> Result<ColumnFacts, FromRowError> {
        let (name, data_type, declared, nullable, extra, longest) =
            <(String, String, String, bool, String, u64)>::from_row_opt(row)?;
        Ok(ColumnFacts {
            class: class(&data_type, longest),
            generated: extra.contains("generated") && !extra.contains("default_generated")
                || extra.contains("virtual")
                || extra.contains("persistent"),
            on_update: extra.contains("on update"),
            name,
            declared,
            nullable,
        })
    }
}

fn class(data_type: &str, longest: u64) -> Class {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Class::Integer,
        "decimal" => Class::Decimal,
        "float" | "double" => Class::Float,
        "bit" => Class::Bit,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Class::Text { longest },
        "binary" => Class::Binary { longest, fixed: true },
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Class::Binary { longest, fixed: false },
        "date" => Class::Date,
        "datetime" => Class::Datetime,
        "timestamp" => Class::Timestamp,
        "enum" => Class::Enum,
        "inet6" => Class::Inet6,
        "inet4" => Class::Inet4,
        "uuid" => Class::Uuid,
        _ => Class::Other,
    }
}

/// The statement that would make an index over `column`, without keeping the application from writing meanwhile.
pub(super) fn create_index(table: &str, column: &str) -> String {
    // Names of indexes have at most 64 characters.
    let name: String = format!("{table}_{column}").chars().take(64).collect();
    format!(
        "ALTER TABLE {} ADD INDEX {} ({}), ALGORITHM=INPLACE, LOCK=NONE;",
        quoted(table),
        quoted(&name),
        quoted(column)
    )
}
