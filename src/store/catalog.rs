//! What is in a database, whether anybody declared it or not: tables and columns, never a value.
//!
//! A rule knows its own table. Whether something stands beside it that nobody thought of can only be seen by looking at
//! all of it.

/// The tables of a database that its user may see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    /// When two names of tables are one.
    pub table_names: NameCase,
    /// When two names of columns are one.
    pub column_names: NameCase,
    /// Tables that hold rows of their own: no views, no partitions, nothing of the database itself.
    pub tables: Vec<FoundTable>,
}

/// Whether names that differ in the case of their letters are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameCase {
    /// They are two names.
    #[default]
    Exact,
    /// They are one name.
    Folded,
}

/// A table as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTable {
    /// Its name, as the configuration would write it.
    pub name: String,
    /// Another way to write it: with the schema that needs not be written.
    pub also: Option<String>,
    /// Its columns, in their order.
    pub columns: Vec<FoundColumn>,
}

/// A column as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundColumn {
    /// Its name.
    pub name: String,
    /// What its type says of its values.
    pub nature: Nature,
}

/// What a column's type says of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// They are network addresses.
    Address,
    /// They are text, or may be.
    Text,
    /// They are dates or instants.
    Time,
    /// They are numbers, or one of two.
    Number,
    /// Anything else.
    Other,
}

impl NameCase {
    /// Whether the two are one name.
    pub fn is_same(self, one: &str, other: &str) -> bool {
        match self {
            NameCase::Exact => one == other,
            NameCase::Folded => one.to_lowercase() == other.to_lowercase(),
        }
    }
}

impl Catalog {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&FoundTable> {
        self.tables.iter().find(|table| self.is_called(table, name))
    }

    /// Whether `name` means this table.
    pub fn is_called(&self, table: &FoundTable, name: &str) -> bool {
        let is = |own: &str| self.table_names.is_same(own, name);
        is(&table.name) || table.also.as_deref().is_some_and(is)
    }

    /// Sorts columns, read row by row in the order of their tables, into tables.
    pub(super) fn gather(
        (table_names, column_names): (NameCase, NameCase),
        columns: impl IntoIterator<Item = (FoundTable, FoundColumn)>,
    ) -> Catalog {
        let mut tables: Vec<FoundTable> = Vec::new();
        for (table, column) in columns {
            match tables.last_mut() {
                Some(last) if last.name == table.name => last.columns.push(column),
                _ => tables.push(FoundTable { columns: vec![column], ..table }),
            }
        }
        Catalog { table_names, column_names, tables }
    }
}
