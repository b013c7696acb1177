//! What is asked about all rules at once, often, and must cost little: what was last counted, and how runs ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::ledger::{FinishedRun, count, finished_run, signed, timestamp};
use super::record::instant;
use super::{Register, RegisterError};

/// The version of the register since which it keeps counts.
const SINCE: i64 = 3;

/// What was last counted of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCount {
    /// When.
    pub counted_at: Timestamp,
    /// Records that should go and are still there: what a run left, or all that match where none may run.
    pub expired: u64,
    /// The time of the oldest expired record that is still there, also of one that is kept for now.
    pub oldest: Option<Timestamp>,
    /// Since when the oldest of those that should go has been expired.
    pub since: Option<Timestamp>,
}

impl Register {
    /// Keeps what was counted of `rule`.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn keep_count(&mut self, rule: &str, count: &LastCount) -> Result<(), RegisterError> {
        let LastCount { counted_at, expired, oldest, since } = count;
        self.execute(
            "INSERT INTO last_counts (rule, counted_at, expired, oldest, since) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (rule) DO UPDATE SET counted_at = excluded.counted_at, expired = excluded.expired, \
             oldest = excluded.oldest, since = excluded.since",
            params![rule, instant(*counted_at), signed(*expired), oldest.map(instant), since.map(instant)],
        )
    }

    /// What was last counted of each rule.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn last_counts(&self) -> Result<BTreeMap<String, LastCount>, RegisterError> {
        // Whoever only reads does not migrate.
        if self.version()? < SINCE {
            return Ok(BTreeMap::new());
        }
        let sql = "SELECT rule, counted_at, expired, oldest, since FROM last_counts";
        let rows = self.list(sql, [], |row| {
            let counted = LastCount {
                counted_at: timestamp(row, 1)?,
                expired: count(row, 2)?,
                oldest: optional_timestamp(row, 3)?,
                since: optional_timestamp(row, 4)?,
            };
            Ok((row.get(0)?, counted))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Rules with an approval in force, and when it was given.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn approvals_in_force(&self) -> Result<BTreeMap<String, Timestamp>, RegisterError> {
        let sql = "SELECT rule, approved_at FROM approvals WHERE ended_at IS NULL";
        let rows = self.list(sql, [], |row| Ok((row.get(0)?, timestamp(row, 1)?)))?;
        Ok(rows.into_iter().collect())
    }

    /// Every run that began after the one of this number, in the order of their beginning, with its own number. The
    /// first begins after 0.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn runs_after(&self, number: i64) -> Result<Vec<(i64, FinishedRun)>, RegisterError> {
        let sql = "SELECT run, rule, started_at, finished_at, outcome, counted, erased, children, left_over, pending, \
                   reason, rowid FROM runs WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
        self.list(sql, [number, MOST_RUNS], |row| Ok((row.get(11)?, finished_run(row)?)))
    }
}

/// Runs that are read at once: memory stays flat however long the register is.
const MOST_RUNS: i64 = 10_000;

fn optional_timestamp(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let written: Option<String> = row.get(at)?;
    written.map(|_| timestamp(row, at)).transpose()
}
