//! Recording a configuration: facts that no longer hold are closed, new ones opened, the rest left alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params_from_iter};

use super::facts::{self, FactTable, Rows};
use super::{Register, RegisterError};
use crate::config::{Config, Source};

/// The version that an upgrade of the program makes new facts from.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// What recording a configuration changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Number of the version now in force.
    pub version: u64,
    /// What is different, in words. Empty: the same configuration was in force already.
    pub changes: Vec<String>,
    /// Whether this version is new. An upgrade of the program may make one without a change.
    pub new_version: bool,
}

/// The version in force.
type InForce = Option<(i64, String, String)>;

impl Register {
    /// Records `config` as in force from `now`, in one transaction. Recording it again changes nothing.
    ///
    /// # Errors
    /// The register cannot be written; nothing was changed.
    pub fn record(&mut self, config: &Config, now: Timestamp) -> Result<Recorded, RegisterError> {
        let path = self.path.clone();
        let query = |source| RegisterError::Query { path: path.clone(), source };
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(query)?;
        let recorded = record_in(&transaction, config, now).map_err(query)?;
        transaction.commit().map_err(query)?;
        Ok(recorded)
    }

    /// The files in force, for a start while the directory is invalid; `None` where nothing was ever applied.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn files_in_force(&self) -> Result<Option<BTreeMap<String, Source>>, RegisterError> {
        let read = || -> rusqlite::Result<BTreeMap<String, Source>> {
            let sql = "SELECT path, sha256, content FROM configuration_files WHERE valid_until IS NULL";
            let mut statement = self.db.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let source = Source { path: row.get(0)?, sha256: row.get(1)?, text: row.get(2)? };
                Ok((source.path.clone(), source))
            })?;
            rows.collect()
        };
        let files = read().map_err(|source| self.query_error(source))?;
        Ok((!files.is_empty()).then_some(files))
    }
}

fn record_in(transaction: &Transaction<'_>, config: &Config, now: Timestamp) -> rusqlite::Result<Recorded> {
    let digest = config.digest();
    let in_force: InForce = transaction
        .query_row(
            "SELECT version, digest, program FROM configuration_versions ORDER BY version DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    if let Some((version, known, program)) = &in_force
        && *known == digest
        && program == PROGRAM
    {
        let version = u64::try_from(*version).unwrap_or_default();
        return Ok(Recorded { version, changes: Vec::new(), new_version: false });
    }
    let mut changes = Vec::new();
    for (table, rows) in facts::of(config) {
        record_table(transaction, table, rows, now, &mut changes)?;
    }
    transaction.execute(
        "INSERT INTO configuration_versions (digest, program, applied_at) VALUES (?1, ?2, ?3)",
        (&digest, PROGRAM, instant(now)),
    )?;
    let version = u64::try_from(transaction.last_insert_rowid()).unwrap_or_default();
    Ok(Recorded { version, changes, new_version: true })
}

/// Closes and opens rows of one table.
fn record_table(
    transaction: &Transaction<'_>,
    table: &FactTable,
    declared: Rows,
    now: Timestamp,
    changes: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut current = current_rows(transaction, table)?;
    let mut added = Vec::new();
    for row in declared {
        // What is left in `current` afterwards no longer holds.
        if current.remove(&row).is_none() {
            added.push(row);
        }
    }
    let mut close = transaction.prepare_cached(&format!("UPDATE {} SET valid_until = ?1 WHERE rowid = ?2", table.name))?;
    for rowid in current.values() {
        close.execute((instant(now), rowid))?;
    }
    let mut open = transaction.prepare_cached(&insert_sql(table))?;
    for row in &added {
        let from = Some(instant(now));
        open.execute(params_from_iter(row.iter().chain(std::iter::once(&from))))?;
    }
    describe(table, current.into_keys().collect(), added, changes);
    Ok(())
}

fn current_rows(
    transaction: &Transaction<'_>,
    table: &FactTable,
) -> rusqlite::Result<BTreeMap<Vec<Option<String>>, i64>> {
    let columns = columns(table).join(", ");
    let mut statement =
        transaction.prepare_cached(&format!("SELECT rowid, {columns} FROM {} WHERE valid_until IS NULL", table.name))?;
    let width = table.key.len() + table.values.len();
    let rows = statement.query_map([], |row| {
        let values = (1..=width).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Option<String>>>>()?;
        Ok((values, row.get(0)?))
    })?;
    rows.collect()
}

pub(super) fn columns(table: &FactTable) -> Vec<&'static str> {
    table.key.iter().chain(table.values).copied().collect()
}

fn insert_sql(table: &FactTable) -> String {
    let columns = columns(table);
    let places: Vec<String> = (1..=columns.len() + 1).map(|n| format!("?{n}")).collect();
    format!("INSERT INTO {} ({}, valid_from) VALUES ({})", table.name, columns.join(", "), places.join(", "))
}

/// Says in words what changed: `setting shop.example store-ip: value true → false`.
fn describe(table: &FactTable, closed: Rows, opened: Rows, changes: &mut Vec<String>) {
    let width = table.key.len();
    let mut closed: BTreeMap<Vec<Option<String>>, Vec<Option<String>>> =
        closed.into_iter().map(|mut row| { let values = row.split_off(width); (row, values) }).collect();
    for mut row in opened {
        let values = row.split_off(width);
        match closed.remove(&row) {
            Some(before) => changes.extend(differences(table, &row, &before, &values)),
            None => changes.push(format!("{} added", subject(table, &row))),
        }
    }
    changes.extend(closed.keys().map(|key| format!("{} removed", subject(table, key))));
}

fn subject(table: &FactTable, key: &[Option<String>]) -> String {
    let parts: Vec<&str> = key.iter().flatten().map(String::as_str).filter(|part| !part.is_empty()).collect();
    format!("{} {}", table.noun, parts.join(" "))
}

fn differences<'a>(
    table: &'a FactTable,
    key: &'a [Option<String>],
    before: &'a [Option<String>],
    after: &'a [Option<String>],
) -> impl Iterator<Item = String> + 'a {
    let columns = table.values.iter().zip(before.iter().zip(after));
    // The text of a whole file says nothing in one line; its digest does.
    columns.filter(|(column, (before, after))| before != after && **column != "content").map(|(column, (before, after))| {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        format!("{}: {column} {} → {}", subject(table, key), show(before), show(after))
    })
}

/// An instant as the register writes it: RFC 3339 in UTC with microseconds, so that text order is time order.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{at:.6}")
}

