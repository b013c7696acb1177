//! A table with visitor records: what its columns hold, how old a row is, and what goes with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Tag, Zone};
use crate::config::{Period, TimeFormat};

/// A table with visitor records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name in the names of rules: the table's own, unless the file says `id = …`. Unique in its store.
    pub id: String,
    /// Its name in the database.
    pub name: String,
    /// Unique, not null.
    pub key: String,
    /// What a row's age is measured by.
    pub time: RowTime,
    /// How long a row lives.
    pub holds: Tag,
    /// Where the visitor's consent is recorded.
    pub consent: Option<Consent>,
    /// Rows of other tables that are erased with a row of this one.
    pub children: Vec<Child>,
    /// Columns that go earlier than their row.
    pub columns: Vec<Column>,
    /// Only rows with these values.
    pub filter: BTreeMap<String, Scalar>,
    /// Side effects of a deletion that the operator has looked at: `trigger:NAME`, `cascade:TABLE`.
    pub accepts: BTreeSet<SideEffect>,
}

/// What a row's age is measured by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowTime {
    /// The column.
    pub column: String,
    /// How it is written.
    pub format: TimeFormat,
    /// Zone of values that carry none.
    pub zone: Option<Zone>,
    /// What the instant means.
    pub meaning: TimeMeaning,
}

/// What the instant in a time column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeMeaning {
    /// The record was last written or seen then: it expires a period later.
    Recorded,
    /// The record expires then.
    Expires,
}

/// Where consent is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The column.
    pub column: String,
    /// The value that means consent was given.
    pub given: Scalar,
}

/// A value in the configuration that is compared with or written to a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` and `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Boolean(value) => value.fmt(f),
            Scalar::Integer(value) => value.fmt(f),
            Scalar::Text(value) => write!(f, "{value:?}"),
        }
    }
}

/// Rows of another table that belong to a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Child {
    /// The other table.
    pub table: String,
    /// Its column that holds the parent's key.
    pub column: String,
}

/// A column that must go earlier than its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub holds: Tag,
    /// What happens to it.
    pub treatment: Treatment,
    /// Written instead of NULL where the column may not be NULL.
    pub stand_in: Option<Scalar>,
}

/// What happens to a column when its time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// One action, at the end of its category's period or as soon as its setting is off.
    Once(ColumnAction),
    /// Several actions, each a period after the record's time.
    Ladder(Vec<Step>),
}

/// One step of a ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long after the record's time.
    pub after: Period,
    /// What then happens.
    pub action: ColumnAction,
}

/// What is done to a column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum ColumnAction {
    /// NULL, or the stand-in.
    Erase,
    /// An IP address keeps only its network.
    Truncate(Mask),
}

/// How much of an IP address stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    /// Leading bits of an IPv4 address that stay.
    pub v4: u8,
    /// Leading bits of an IPv6 address that stay.
    pub v6: u8,
    /// What happens to a value that is no address.
    pub unparsed: Unparsed,
}

/// What happens to a value that should be an IP address and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unparsed {
    /// It is erased: it may be an address in a form that is not known. The default.
    Erase,
    /// It stays, because the operator said so.
    Keep,
}

/// A side effect of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideEffect {
    /// A trigger by its name.
    Trigger(String),
    /// A foreign key that erases or changes rows of this table.
    Cascade(String),
}

impl std::fmt::Display for SideEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SideEffect::Trigger(name) => write!(f, "trigger:{name}"),
            SideEffect::Cascade(table) => write!(f, "cascade:{table}"),
        }
    }
}
