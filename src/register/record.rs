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

/// A version of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: u64,
    /// SHA-256 over its files: [`Config::digest`].
    pub digest: String,
    /// Since when it is in force.
    pub applied_at: Timestamp,
}

/// The version in force.
type InForce = Option<(i64, String, String)>;

impl Register {
    /// Records `config` as in force from `now`, in one transaction. Recording it again changes nothing. A new version
    /// is shown to `evidence` before it is committed: without evidence nothing comes into force.
    ///
    /// # Errors
    /// The register cannot be written, or `evidence` fails; nothing was changed.
    pub fn record<E: From<RegisterError>>(
        &mut self,
        config: &Config,
        now: Timestamp,
        evidence: impl FnOnce(&Recorded) -> Result<(), E>,
    ) -> Result<Recorded, E> {
        let path = self.path.clone();
        let query = |source| RegisterError::Query { path: path.clone(), source };
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(query)?;
        let recorded = record_in(&transaction, config, now).map_err(query)?;
        if recorded.new_version {
            evidence(&recorded)?;
        }
        transaction.commit().map_err(query)?;
        Ok(recorded)
    }

    /// The version in force; `None` where nothing was ever applied.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn version_in_force(&self) -> Result<Option<Version>, RegisterError> {
        let sql = "SELECT version, digest, applied_at FROM configuration_versions ORDER BY version DESC LIMIT 1";
        let found: Option<(i64, String, String)> =
            self.optional(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let version = |(number, digest, applied_at): (i64, String, String)| {
            let number = u64::try_from(number).map_err(|_| self.damaged("a version"))?;
            let applied_at = applied_at.parse().map_err(|_| self.damaged("an instant"))?;
            Ok(Version { number, digest, applied_at })
        };
        found.map(version).transpose()
    }

    /// Since when `site` has been declared without a break.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn site_since(&self, site: &str) -> Result<Option<Timestamp>, RegisterError> {
        let read = || -> rusqlite::Result<Option<String>> {
            // A version that begins when another one ends continues it.
            let sql = "SELECT max(valid_from) FROM sites AS begun WHERE site = ?1 AND NOT EXISTS \
                       (SELECT 1 FROM sites WHERE site = begun.site AND valid_until = begun.valid_from)";
            self.db.prepare_cached(sql)?.query_row([site], |row| row.get(0))
        };
        let since = read().map_err(|source| self.query_error(source))?;
        since.map(|since| since.parse().map_err(|_| self.damaged("an instant"))).transpose()
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
    let mut close =
        transaction.prepare_cached(&format!("UPDATE {} SET valid_until = ?1 WHERE rowid = ?2", table.name))?;
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
    let mut statement = transaction
        .prepare_cached(&format!("SELECT rowid, {columns} FROM {} WHERE valid_until IS NULL", table.name))?;
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

/// Columns whose values say what is kept and why. Others may name a person (a contact, a data protection officer),
/// and what is said here stands in the audit log for good: of them only that they changed.
const TELLING: &[&str] = &[
    "agreed_on",
    "holds",
    "lawful_basis",
    "lifetime",
    "period",
    "safeguard_valid_until",
    "schedule",
    "setting",
    "time_column",
    "time_zone",
    "value",
];

/// Says in words what changed: `setting shop.example store-ip: true → false`.
fn describe(table: &FactTable, closed: Rows, opened: Rows, changes: &mut Vec<String>) {
    let width = table.key.len();
    let split = |mut row: Vec<Option<String>>| {
        let values = row.split_off(width);
        (row, values)
    };
    let mut closed: BTreeMap<_, _> = closed.into_iter().map(split).collect();
    for (key, values) in opened.into_iter().map(split) {
        let subject = subject(table, &key);
        match closed.remove(&key) {
            Some(before) => changes.extend(differences(table, &subject, &before, &values)),
            None => changes.push(format!("{subject} added{}", stated(table, &values))),
        }
    }
    changes.extend(closed.keys().map(|key| format!("{} removed", subject(table, key))));
    changes.dedup();
}

/// Tables whose key ends with somebody's name: a sub-processor too may be a person.
const KEYED_BY_A_NAME: &[&str] = &["contacts", "sub_processors"];

fn subject(table: &FactTable, key: &[Option<String>]) -> String {
    let shown = key.len() - usize::from(KEYED_BY_A_NAME.contains(&table.name));
    let parts = key.iter().take(shown).flatten().map(String::as_str).filter(|part| !part.is_empty());
    std::iter::once(table.noun).chain(parts).collect::<Vec<_>>().join(" ")
}

/// The telling values of a new fact.
fn stated(table: &FactTable, values: &[Option<String>]) -> String {
    let telling = table.values.iter().zip(values).filter(|(column, _)| TELLING.contains(column));
    let stated: Vec<&str> = telling.filter_map(|(_, value)| value.as_deref()).collect();
    if stated.is_empty() { String::new() } else { format!(": {}", stated.join(", ")) }
}

fn differences<'a>(
    table: &'a FactTable,
    subject: &'a str,
    before: &'a [Option<String>],
    after: &'a [Option<String>],
) -> impl Iterator<Item = String> + 'a {
    let columns = table.values.iter().zip(before.iter().zip(after));
    columns.filter(|(_, (before, after))| before != after).map(move |(column, (before, after))| {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        match column {
            // The value is what a setting or a period is about: its name says nothing more.
            &"value" | &"period" => format!("{subject}: {} → {}", show(before), show(after)),
            column if TELLING.contains(column) => format!("{subject}: {column} {} → {}", show(before), show(after)),
            column => format!("{subject}: {column} changed"),
        }
    })
}

/// An instant as the register writes it: RFC 3339 in UTC with microseconds, so that text order is time order.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{at:.6}")
}
