//! What a declaration of a table would have to name, as the database itself declares it: its keys, its columns, and who
//! refers to it.
//!
//! A rule looks at its own table when it is inspected, and says what is wrong with it. This is for the time before
//! there is a rule: somebody has a database and wants to know what to write.

use crate::config::site::Child;

/// What a table is like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// Columns of which each alone tells a row from all others and is never empty, the primary key first.
    pub keys: Vec<String>,
    /// Its columns, in their order.
    pub columns: Vec<OutlinedColumn>,
    /// Columns of other tables that refer to a single column of this one.
    pub referring: Vec<Referring>,
}

/// A column, as far as a catalog does not tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlinedColumn {
    /// Its name.
    pub name: String,
    /// Whether it may be NULL.
    pub null: Null,
    /// Whether its values are computed from others: nothing can be written to it.
    pub is_computed: bool,
    /// Whether its type is about instants.
    pub clock: Clock,
}

/// Whether a column may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    /// It may.
    Allowed,
    /// It may not.
    Refused,
}

/// Whether the type of a column is about instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Its values are instants.
    Instant,
    /// Its values are days, or times of some zone that they do not tell.
    Local,
    /// It is not, or the type says nothing: only values could tell.
    Unknown,
}

/// A foreign key of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referring {
    /// The table that refers, and its column.
    pub from: Child,
    /// The column that is referred to.
    pub to: String,
    /// Whether a row may refer to nothing.
    pub null: Null,
}

impl Outline {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&OutlinedColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Null {
    /// Of a column that says whether it refuses it.
    pub(super) fn refused(refused: bool) -> Null {
        if refused { Null::Refused } else { Null::Allowed }
    }
}
