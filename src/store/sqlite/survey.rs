//! Exact counts of a selection, from one snapshot of the database.

use jiff::Timestamp;
use rusqlite::{Connection, Result, Row, Transaction, TransactionBehavior};

use super::predicate::Predicate;
use crate::config::TimeFormat;
use crate::store::Survey;

/// Counts. The queries see one state of the database: they share a read transaction.
pub(super) fn survey(connection: &Connection, predicate: &Predicate) -> Result<Survey> {
    let _snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let total = count(connection, predicate, &predicate.scope)?;
    let (matches, oldest) = matches(connection, predicate)?;
    let on_hold = match &predicate.free {
        Some(free) => count(connection, predicate, &format!("{} AND NOT ({free})", predicate.due))?,
        None => 0,
    };
    let undatable = total.saturating_sub(judged(connection, predicate, total, matches + on_hold)?);
    let survey = Survey { total, matches, on_hold, undatable, oldest, ..Survey::default() };
    match (&predicate.instant, &predicate.judged) {
        (Some(_), Some(judged)) if undatable > 0 => doubts(connection, predicate, judged, survey),
        _ => Ok(survey),
    }
}

/// How many records can be judged. Where whole rows go, those that are due were counted already, and only the younger
/// ones are left to count.
fn judged(connection: &Connection, predicate: &Predicate, total: u64, due: u64) -> Result<u64> {
    let of = |condition: &str| count(connection, predicate, &format!("{} AND {condition}", predicate.scope));
    match (&predicate.judged, &predicate.young, &predicate.assignment) {
        (None, ..) => Ok(total),
        (Some(_), Some(young), None) => Ok(due + of(young)?),
        (Some(judged), ..) => of(judged),
    }
}

/// How many rows satisfy `condition`, which is made from the predicate's parts.
pub(super) fn count(connection: &Connection, predicate: &Predicate, condition: &str) -> Result<u64> {
    let sql = match condition {
        "1" => format!("SELECT count(*) FROM {}", predicate.table),
        _ => format!("SELECT count(*) FROM {} WHERE {condition}", predicate.table),
    };
    first_row(connection, predicate, &sql, |row| counted(row, 0))
}

fn matches(connection: &Connection, predicate: &Predicate) -> Result<(u64, Option<Timestamp>)> {
    let Some((instant, format)) = &predicate.instant else {
        return Ok((count(connection, predicate, &predicate.matches())?, None));
    };
    let sql = format!("SELECT count(*), min({instant}) FROM {} WHERE {}", predicate.table, predicate.matches());
    first_row(connection, predicate, &sql, |row| {
        let oldest: Option<i64> = row.get(1)?;
        Ok((counted(row, 0)?, oldest.and_then(|oldest| format.from_number(oldest))))
    })
}

/// What the undatable values may be instead.
fn doubts(connection: &Connection, predicate: &Predicate, judged: &str, survey: Survey) -> Result<Survey> {
    let units = predicate.other_units();
    let sums: Vec<String> = units
        .iter()
        .map(|(_, condition)| condition)
        .chain(std::iter::once(&predicate.lacks_zone()))
        .map(|condition| format!("coalesce(sum({condition}), 0)"))
        .collect();
    let sql =
        format!("SELECT {} FROM {} WHERE {} AND NOT ({judged})", sums.join(", "), predicate.table, predicate.scope);
    first_row(connection, predicate, &sql, |row| {
        let mut counts: Vec<(TimeFormat, u64)> = Vec::new();
        for (index, (format, _)) in units.iter().enumerate() {
            counts.push((*format, counted(row, index)?));
        }
        let other_unit = counts.into_iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count);
        Ok(Survey { other_unit, without_zone: counted(row, units.len())?, ..survey.clone() })
    })
}

/// The first row of a query with the predicate's values bound.
pub(super) fn first_row<T>(
    connection: &Connection,
    predicate: &Predicate,
    sql: &str,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<T> {
    let mut statement = connection.prepare(sql)?;
    predicate.bind(&mut statement)?;
    let mut rows = statement.raw_query();
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    read(row)
}

/// A count in a row: SQLite's are never negative.
pub(super) fn counted(row: &Row<'_>, index: usize) -> Result<u64> {
    row.get::<_, i64>(index).map(i64::unsigned_abs)
}
