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
        /// CHAR: spaces at the end are not kept.
        padded: bool,
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
    /// TIME.
    Time,
    /// YEAR.
    Year,
    /// ENUM.
    Enum,
    /// SET.
    Set,
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
    /// How its text is written and compared, if it is text.
    pub(super) collation: Option<Collation>,
}

/// How text is written and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collation {
    /// The character set.
    pub(super) character_set: String,
    /// The collation's name.
    pub(super) name: String,
}

impl ColumnFacts {
    /// Whether the column's character set certainly has every character of `text`.
    pub(super) fn has_characters_of(&self, text: &str) -> bool {
        let has_all = |collation: &Collation| {
            ["utf8mb4", "utf16", "utf16le", "utf32"].contains(&collation.character_set.as_str())
        };
        text.is_ascii() || self.collation.as_ref().is_some_and(has_all)
    }
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
    /// Its indexes that queries use.
    pub(super) indexes: Vec<IndexFacts>,
    /// What it is partitioned by, as the server writes it; empty if it is not.
    pub(super) partitioned_by: String,
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
             COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS WHERE {of_table} \
             ORDER BY ORDINAL_POSITION"
        ))?;
        let parts = database.rows::<(String, bool, Option<String>, bool)>(&format!(
            "SELECT INDEX_NAME, NON_UNIQUE = 0, COLUMN_NAME, SUB_PART IS NOT NULL FROM information_schema.STATISTICS \
             WHERE {of_table} AND NOT ({}) ORDER BY INDEX_NAME, SEQ_IN_INDEX",
            database.server.flavour.unused_index()
        ))?;
        let indexes = indexes(parts);
        let partitioned_by = database.row(&format!(
            "SELECT COALESCE(MAX(CONCAT_WS(' ', PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION)), '') \
             FROM information_schema.PARTITIONS WHERE {of_table} AND PARTITION_NAME IS NOT NULL"
        ))?;
        Ok(Some(TableFacts { database: database.name.clone(), name, kind, engine, columns, indexes, partitioned_by }))
    }

    /// The table, quoted, with its database.
    pub(super) fn quoted(&self) -> String {
        table(&self.database, &self.name)
    }

    /// The column of that name; names of columns do not differ in case.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase())
    }

    /// Whether the table is partitioned by this column, among others perhaps.
    pub(super) fn is_partitioned_by(&self, column: &str) -> bool {
        let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == '$';
        let mut words = self.partitioned_by.split(|character| !is_part(character));
        self.partitioned_by.to_lowercase().contains(&quoted(column).to_lowercase())
            || words.any(|word| is_same(word, column))
    }

    /// The index by which rows are found by `key`; `None` if it is not unique. Of a partitioned table the server wants
    /// every unique index to contain what it is partitioned by: behind the key, this makes it no less unique.
    pub(super) fn key_index(&self, key: &str) -> Option<&IndexFacts> {
        let only = |index: &&IndexFacts| {
            let Some((first, others)) = index.columns.split_first() else { return false };
            let by_partition = |part: &Option<String>| part.as_ref().is_some_and(|name| self.is_partitioned_by(name));
            index.unique && names(first.as_ref(), key) && others.iter().all(by_partition)
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
        type Columns = (String, String, String, bool, String, u64, Option<String>, Option<String>);
        let (name, data_type, declared, nullable, extra, longest, character_set, collation) =
            Columns::from_row_opt(row)?;
        Ok(ColumnFacts {
            class: class(&data_type, longest),
            generated: extra.contains("generated") && !extra.contains("default_generated")
                || extra.contains("virtual")
                || extra.contains("persistent"),
            on_update: extra.contains("on update"),
            collation: character_set.zip(collation).map(|(character_set, name)| Collation { character_set, name }),
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
        "char" => Class::Text { longest, padded: true },
        "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Class::Text { longest, padded: false },
        "binary" => Class::Binary { longest, fixed: true },
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Class::Binary { longest, fixed: false },
        "date" => Class::Date,
        "datetime" => Class::Datetime,
        "timestamp" => Class::Timestamp,
        "time" => Class::Time,
        "year" => Class::Year,
        "enum" => Class::Enum,
        "set" => Class::Set,
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
