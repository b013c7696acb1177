//! Reading the declared facts: as they are, as they were, and how they changed.

use jiff::Timestamp;
use serde::Serialize;

use super::facts::{FACT_TABLES, FactTable};
use super::record::{columns, instant};
use super::{Register, RegisterError};

/// The version of the register since which it keeps whose a storage item is, and where.
const HOSTS_SINCE: i64 = 4;
const HOSTS: (&str, &str) = ("storage_items", "host");

/// Which state of the register is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// What is in force.
    Now,
    /// What was in force at an instant.
    At(Timestamp),
    /// Every version there ever was.
    Always,
}

/// One version of one fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactRow {
    /// Columns and values in the table's order.
    pub values: Vec<(&'static str, Option<String>)>,
    /// Since when it holds.
    pub valid_from: String,
    /// Until when it held.
    pub valid_until: Option<String>,
}

impl Register {
    /// Facts of one table.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn facts(&self, table: &FactTable, moment: Moment) -> Result<Vec<FactRow>, RegisterError> {
        let columns = columns(table);
        let version = self.version()?;
        let (condition, at) = match moment {
            Moment::Now => ("valid_until IS NULL AND ?1 IS NULL", None),
            Moment::At(at) => ("valid_from <= ?1 AND (valid_until IS NULL OR valid_until > ?1)", Some(instant(at))),
            Moment::Always => ("?1 IS NULL", None),
        };
        // Whoever only reads does not migrate.
        let is_there = |column: &str| version >= HOSTS_SINCE || (table.name, column) != HOSTS;
        let name =
            |column: &&'static str| if is_there(column) { (*column).to_owned() } else { format!("NULL AS {column}") };
        let names = columns.iter().map(name).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {names}, valid_from, valid_until FROM {} WHERE {condition} ORDER BY {}, valid_from",
            table.name,
            table.key.join(", ")
        );
        let read = || -> rusqlite::Result<Vec<FactRow>> {
            let mut statement = self.db.prepare_cached(&sql)?;
            let rows = statement.query_map([at], |row| {
                let value = |(position, column): (usize, &&'static str)| Ok((*column, row.get(position)?));
                Ok(FactRow {
                    values: columns.iter().enumerate().map(value).collect::<rusqlite::Result<_>>()?,
                    valid_from: row.get(columns.len())?,
                    valid_until: row.get(columns.len() + 1)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|source| self.query_error(source))
    }

    /// The table of declared facts with that name.
    pub fn fact_table(name: &str) -> Option<&'static FactTable> {
        FACT_TABLES.iter().find(|table| table.name == name)
    }
}
