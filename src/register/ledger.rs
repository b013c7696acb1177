//! What operators decided and forgetd did: approvals, holds, runs, and the clock as it was last seen.
//!
//! The audit log is the evidence; these tables are what the next run needs to know.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Params, Row, params};
use serde::Serialize;

use super::record::instant;
use super::{Register, RegisterError};

/// An operator's release of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Its number.
    pub id: i64,
    /// The rule's definition, as JSON.
    pub definition: String,
    /// Most records that its next run may touch whatever their share; `None` once that run has ended.
    pub ceiling: Option<u64>,
    /// When it was given.
    pub approved_at: Timestamp,
}

/// A duty to keep that suspends erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Its number.
    #[serde(rename = "hold")]
    pub id: u64,
    /// The rules it covers: a name or its beginning.
    pub prefix: String,
    /// Only rows whose column has the value; all rows where `None`.
    pub column: Option<String>,
    /// The value. Stands in the register only.
    #[serde(skip)]
    pub value: Option<String>,
    /// The last day on which it holds.
    pub until: Date,
    /// Why, as a code of the operator's own.
    pub reason_code: String,
    /// When it was placed.
    pub added_at: Timestamp,
}

/// A hold to be placed.
#[derive(Debug, Clone)]
pub struct NewHold<'a> {
    /// As [`Hold::prefix`].
    pub prefix: &'a str,
    /// Column and value, for some rows only.
    pub rows: Option<(&'a str, &'a str)>,
    /// As [`Hold::until`].
    pub until: Date,
    /// As [`Hold::reason_code`].
    pub reason_code: &'a str,
    /// Who places it.
    pub uid: u32,
}

/// A run that begins.
#[derive(Debug, Clone)]
pub struct RunStart<'a> {
    /// Its id.
    pub run: &'a str,
    /// The rule.
    pub rule: &'a str,
    /// Digest of the rule's definition.
    pub digest: &'a str,
    /// The run's cutoff.
    pub cutoff: Option<Timestamp>,
    /// Records that matched.
    pub counted: u64,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FinishedRun {
    /// Its id.
    pub run: String,
    /// The rule.
    pub rule: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is under way or after a crash that is not yet resolved.
    pub finished_at: Option<Timestamp>,
    /// `done`, `interrupted`, `stopped`, `held`, `failed`.
    pub outcome: Option<String>,
    /// Records that matched at its beginning.
    pub counted: u64,
    /// Records erased or changed.
    pub erased: u64,
    /// Rows of child tables erased with them.
    pub children: u64,
    /// Records that should have gone and are still there.
    pub left: Option<u64>,
    /// What is physically left, in words.
    pub pending: Option<String>,
    /// Why it did not end with `done`; while it is under way, for what it waits.
    pub reason: Option<String>,
}

/// Wall clock and boot clock, seen together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSample {
    /// Identifies one boot of the machine.
    pub boot: String,
    /// Microseconds since that boot, suspended time included.
    pub boottime_us: i64,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Register {
    /// The approval of `rule` that is in force.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn approval(&self, rule: &str) -> Result<Option<Approval>, RegisterError> {
        let sql = "SELECT approval, definition, ceiling, approved_at, used_at FROM approvals \
                   WHERE rule = ?1 AND ended_at IS NULL";
        self.optional(sql, [rule], |row| {
            let used: Option<String> = row.get(4)?;
            Ok(Approval {
                id: row.get(0)?,
                definition: row.get(1)?,
                ceiling: if used.is_none() { Some(count(row, 2)?) } else { None },
                approved_at: timestamp(row, 3)?,
            })
        })
    }

    /// The number of the latest approval of any rule: it changes whenever one is given.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn latest_approval(&self) -> Result<Option<i64>, RegisterError> {
        Ok(self.optional("SELECT max(approval) FROM approvals", [], |row| row.get(0))?.flatten())
    }

    /// Whether `rule` ever had an approval, in whatever form.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn was_approved(&self, rule: &str) -> Result<bool, RegisterError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM approvals WHERE rule = ?1)";
        Ok(self.optional(sql, [rule], |row| row.get(0))?.unwrap_or(false))
    }

    /// Approves `rule` with `definition`; an earlier approval of it ends.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn approve(
        &mut self,
        rule: &str,
        definition: &str,
        (counted, ceiling): (u64, u64),
        uid: u32,
        now: Timestamp,
    ) -> Result<(), RegisterError> {
        self.end_approval(rule, now)?;
        self.execute(
            "INSERT INTO approvals (rule, definition, counted, ceiling, approved_at, uid) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![rule, definition, signed(counted), signed(ceiling), instant(now), uid],
        )?;
        self.execute("DELETE FROM held_rules WHERE rule = ?1", [rule])
    }

    /// The rule has become another one: its approval ends.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn end_approval(&mut self, rule: &str, now: Timestamp) -> Result<(), RegisterError> {
        self.execute(
            "UPDATE approvals SET ended_at = ?2 WHERE rule = ?1 AND ended_at IS NULL",
            params![rule, instant(now)],
        )
    }

    /// The rule keeps more than what was approved: from now on its approval covers only that.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn narrow_approval(&mut self, id: i64, definition: &str) -> Result<(), RegisterError> {
        self.execute("UPDATE approvals SET definition = ?2 WHERE approval = ?1", params![id, definition])
    }

    /// Rules with an approval in force.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn approved_rules(&self) -> Result<Vec<String>, RegisterError> {
        self.list("SELECT rule FROM approvals WHERE ended_at IS NULL ORDER BY rule", [], |row| row.get(0))
    }

    /// Holds in force on `today` (UTC), or all of them.
    ///
    /// # Errors
    /// The register cannot be read: nothing may be erased.
    pub fn holds(&self, today: Option<Date>) -> Result<Vec<Hold>, RegisterError> {
        let sql = "SELECT hold, prefix, column_name, value, until, reason_code, added_at FROM holds \
                   WHERE lifted_at IS NULL AND (?1 IS NULL OR until >= ?1) ORDER BY hold";
        self.list(sql, [today.map(|date| date.to_string())], |row| {
            Ok(Hold {
                id: count(row, 0)?,
                prefix: row.get(1)?,
                column: row.get(2)?,
                value: row.get(3)?,
                until: parsed(row, 4)?,
                reason_code: row.get(5)?,
                added_at: timestamp(row, 6)?,
            })
        })
    }

    /// Places a hold and returns its number.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn add_hold(&mut self, hold: &NewHold<'_>, now: Timestamp) -> Result<u64, RegisterError> {
        let (column, value) = hold.rows.unzip();
        self.execute(
            "INSERT INTO holds (prefix, column_name, value, until, reason_code, added_at, uid) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![hold.prefix, column, value, hold.until.to_string(), hold.reason_code, instant(now), hold.uid],
        )?;
        Ok(u64::try_from(self.db.last_insert_rowid()).unwrap_or_default())
    }

    /// Lifts a hold; `false` where there is none of that number in force.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn lift_hold(&mut self, id: u64, now: Timestamp) -> Result<bool, RegisterError> {
        self.execute(
            "UPDATE holds SET lifted_at = ?2 WHERE hold = ?1 AND lifted_at IS NULL",
            params![signed(id), instant(now)],
        )?;
        Ok(self.db.changes() == 1)
    }

    /// Writes that a run begins; a run that is known already stays as it is.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn start_run(&mut self, run: &RunStart<'_>, now: Timestamp) -> Result<(), RegisterError> {
        self.execute(
            "INSERT INTO runs (run, rule, digest, started_at, cutoff, counted) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (run) DO NOTHING",
            params![run.run, run.rule, run.digest, instant(now), run.cutoff.map(instant), signed(run.counted)],
        )
    }

    /// Writes how a run ended. A run that ended well uses the ceiling of its approval up.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn finish_run(&mut self, run: &FinishedRun, now: Timestamp) -> Result<(), RegisterError> {
        self.execute(
            "UPDATE runs SET finished_at = ?2, outcome = ?3, erased = ?4, children = ?5, left_over = ?6, pending = ?7, \
             reason = ?8 WHERE run = ?1",
            params![
                run.run,
                instant(now),
                run.outcome,
                signed(run.erased),
                signed(run.children),
                run.left.map(signed),
                run.pending,
                run.reason
            ],
        )?;
        if run.outcome.as_deref() == Some("done") {
            self.execute(
                "UPDATE approvals SET used_at = ?2 WHERE rule = ?1 AND ended_at IS NULL AND used_at IS NULL \
                 AND approved_at <= ?3",
                params![run.rule, instant(now), instant(run.started_at)],
            )?;
        }
        Ok(())
    }

    /// Writes for what a run that is under way waits, or that it does not wait any more.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn note_waiting(&mut self, run: &str, waits: Option<&str>) -> Result<(), RegisterError> {
        let sql = "UPDATE runs SET reason = ?2 WHERE run = ?1 AND finished_at IS NULL";
        self.execute(sql, params![run, waits])
    }

    /// The last run of `rule`.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn last_run(&self, rule: &str) -> Result<Option<FinishedRun>, RegisterError> {
        let sql = "SELECT run, rule, started_at, finished_at, outcome, counted, erased, children, left_over, pending, \
                   reason FROM runs WHERE rule = ?1 ORDER BY started_at DESC, rowid DESC LIMIT 1";
        self.optional(sql, [rule], finished_run)
    }

    /// The run that ended last, of any rule, and when.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn latest_finished_run(&self) -> Result<Option<(String, Timestamp)>, RegisterError> {
        let sql = "SELECT run, finished_at FROM runs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1";
        self.optional(sql, [], |row| Ok((row.get(0)?, timestamp(row, 1)?)))
    }

    /// The number of the hold that was placed last, lifted or not; 0 before the first.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn last_hold(&self) -> Result<u64, RegisterError> {
        Ok(self.optional("SELECT coalesce(max(hold), 0) FROM holds", [], |row| count(row, 0))?.unwrap_or_default())
    }

    /// Records erased by runs of `rule` since `since`: what an approval's ceiling has already let through.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn erased_since(&self, rule: &str, since: Timestamp) -> Result<u64, RegisterError> {
        let sql = "SELECT coalesce(sum(erased), 0) FROM runs WHERE rule = ?1 AND started_at >= ?2";
        Ok(self.optional(sql, params![rule, instant(since)], |row| count(row, 0))?.unwrap_or_default())
    }

    /// When `rule` last began a run that ended well: what the schedule counts from.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn last_success(&self, rule: &str) -> Result<Option<Timestamp>, RegisterError> {
        let sql = "SELECT started_at FROM runs WHERE rule = ?1 AND outcome = 'done' ORDER BY started_at DESC LIMIT 1";
        self.optional(sql, [rule], |row| timestamp(row, 0))
    }

    /// Why `rule` is held, as it was last remembered; `None` where it is not.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn held_reason(&self, rule: &str) -> Result<Option<String>, RegisterError> {
        self.optional("SELECT reason FROM held_rules WHERE rule = ?1", [rule], |row| row.get(0))
    }

    /// Rules that are held, and why, as it was last remembered.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn held_rules(&self) -> Result<BTreeMap<String, String>, RegisterError> {
        let rows = self.list("SELECT rule, reason FROM held_rules", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.into_iter().collect())
    }

    /// Remembers that `rule` is held, and why. Since when, stays.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn note_held(&mut self, rule: &str, reason: &str, now: Timestamp) -> Result<(), RegisterError> {
        self.execute(
            "INSERT INTO held_rules (rule, reason, since) VALUES (?1, ?2, ?3) \
             ON CONFLICT (rule) DO UPDATE SET reason = excluded.reason",
            params![rule, reason, instant(now)],
        )
    }

    /// Remembers that `rule` is no longer held.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn note_released(&mut self, rule: &str) -> Result<(), RegisterError> {
        self.execute("DELETE FROM held_rules WHERE rule = ?1", [rule])
    }

    /// Since when `rule` is held.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn held_since(&self, rule: &str) -> Result<Option<Timestamp>, RegisterError> {
        self.optional("SELECT since FROM held_rules WHERE rule = ?1", [rule], |row| timestamp(row, 0))
    }

    /// The clock as it was last seen and found good.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn clock_sample(&self) -> Result<Option<ClockSample>, RegisterError> {
        self.optional("SELECT boot, boottime_us, wall FROM clock", [], |row| {
            Ok(ClockSample { boot: row.get(0)?, boottime_us: row.get(1)?, wall: timestamp(row, 2)? })
        })
    }

    /// Keeps a clock that was found good.
    ///
    /// # Errors
    /// The register cannot be written.
    pub fn keep_clock_sample(&mut self, sample: &ClockSample) -> Result<(), RegisterError> {
        self.execute(
            "INSERT INTO clock (only, boot, boottime_us, wall) VALUES (1, ?1, ?2, ?3) ON CONFLICT (only) DO UPDATE \
             SET boot = excluded.boot, boottime_us = excluded.boottime_us, wall = excluded.wall",
            params![sample.boot, sample.boottime_us, instant(sample.wall)],
        )
    }

    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<(), RegisterError> {
        let run = || self.db.prepare_cached(sql)?.execute(params);
        run().map(|_| ()).map_err(|source| self.query_error(source))
    }

    pub(super) fn optional<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, RegisterError> {
        let run = || self.db.prepare_cached(sql)?.query_row(params, read).optional();
        run().map_err(|source| self.query_error(source))
    }

    pub(super) fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, RegisterError> {
        let run = || self.db.prepare_cached(sql)?.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>();
        run().map_err(|source| self.query_error(source))
    }
}

pub(super) fn finished_run(row: &Row<'_>) -> rusqlite::Result<FinishedRun> {
    let finished: Option<String> = row.get(3)?;
    let left: Option<i64> = row.get(8)?;
    Ok(FinishedRun {
        run: row.get(0)?,
        rule: row.get(1)?,
        started_at: timestamp(row, 2)?,
        finished_at: if finished.is_some() { Some(timestamp(row, 3)?) } else { None },
        outcome: row.get(4)?,
        counted: count(row, 5)?,
        erased: count(row, 6)?,
        children: count(row, 7)?,
        left: left.map(|left| u64::try_from(left).unwrap_or_default()),
        pending: row.get(9)?,
        reason: row.get(10)?,
    })
}

/// A count as SQLite stores it. Counts of records never reach its limit.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(at)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, value))
}

pub(super) fn timestamp(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    parsed(row, at)
}

/// A value in the text form that the register writes.
fn parsed<T>(row: &Row<'_>, at: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(at)?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error)))
}
