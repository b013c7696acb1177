//! Exact counts of a selection, from one snapshot of the database.

use jiff::Timestamp;

use super::connection::{Database, StatementLimit};
use super::predicate::Predicate;
use super::sql::all;
use crate::config::TimeFormat;
use crate::store::{StoreError, Survey};

/// Counts.
pub(super) fn survey(database: &mut Database, predicate: &Predicate) -> Result<Survey, StoreError> {
    database.limit_statements(StatementLimit::Counting)?;
    let survey = in_snapshot(database, |database| counts(database, predicate))?;
    database.limit_statements(StatementLimit::Batch)?;
    Ok(survey)
}

/// Queries that see one state of the database.
pub(super) fn in_snapshot<T>(
    database: &mut Database,
    queries: impl FnOnce(&mut Database) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Of this one transaction only: a walk wants to see what others commit.
    database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
    database.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
    let result = queries(database);
    database.roll_back();
    result
}

fn counts(database: &mut Database, predicate: &Predicate) -> Result<Survey, StoreError> {
    let (total, judged) = totals(database, predicate)?;
    let (matches, oldest) = matching(database, predicate, &predicate.matches())?;
    let on_hold = match &predicate.free {
        Some(free) => matching(database, predicate, &format!("{} AND NOT ({free})", predicate.due))?.0,
        None => 0,
    };
    let undatable = total - judged;
    let survey = Survey { total, matches, on_hold, undatable, oldest, ..Survey::default() };
    match (&predicate.time, &predicate.judged) {
        (Some(_), Some(judged)) if undatable > 0 => doubts(database, predicate, judged, survey),
        _ => Ok(survey),
    }
}

/// Records of the target, and how many of them can be judged. Both in one pass over the index, where one serves.
fn totals(database: &mut Database, predicate: &Predicate) -> Result<(u64, u64), StoreError> {
    let judged = predicate.judged.as_deref().unwrap_or("TRUE");
    let counts = format!("COUNT(*), COUNT(CASE WHEN {judged} THEN 1 END)");
    database.row(&format!("SELECT {counts} FROM {} WHERE {}", predicate.table, predicate.scope))
}

fn count(database: &mut Database, predicate: &Predicate, condition: &str) -> Result<u64, StoreError> {
    database.row(&format!("SELECT COUNT(*) FROM {} WHERE {condition}", predicate.table))
}

/// How many rows satisfy `condition` and are changed by the action, and the time of the oldest.
pub(super) fn matching(
    database: &mut Database,
    predicate: &Predicate,
    condition: &str,
) -> Result<(u64, Option<Timestamp>), StoreError> {
    let sortable = predicate.time.as_ref().map_or("NULL".to_owned(), super::time::TimeColumn::sortable);
    let read = |value: Option<String>| predicate.time.as_ref().and_then(|time| time.read(&value?));
    let in_doubt = predicate.doubt.as_ref().map_or("FALSE", |doubt| &doubt.condition);
    let sql = format!(
        "SELECT COUNT(*), MIN({sortable}), COUNT(CASE WHEN {in_doubt} THEN 1 END) FROM {} WHERE {condition}",
        predicate.table
    );
    let (count, oldest, doubts) = database.row::<(u64, Option<String>, u64)>(&sql)?;
    let Some(doubt) = predicate.doubt.as_ref().filter(|_| doubts > 0) else {
        return Ok((count, read(oldest)));
    };
    let certain = all([Some(condition.to_owned()), Some(format!("NOT {}", doubt.condition))]);
    let sql = format!("SELECT COUNT(*), MIN({sortable}) FROM {} WHERE {certain}", predicate.table);
    let (mut count, oldest) = database.row::<(u64, Option<String>)>(&sql)?;
    let mut oldest = read(oldest);
    let in_doubt = all([Some(condition.to_owned()), Some(doubt.condition.clone())]);
    let sql = format!("SELECT {}, CAST({sortable} AS CHAR) FROM {} WHERE {in_doubt}", doubt.value, predicate.table);
    database.each(&sql, |mut row| {
        let value = row.take::<Option<Vec<u8>>, _>(0).flatten();
        if value.is_some_and(|value| doubt.replacement(&value).is_some()) {
            count += 1;
            let instant = read(row.take::<Option<String>, _>(1).flatten());
            oldest = oldest.into_iter().chain(instant).min();
        }
    })?;
    Ok((count, oldest))
}

/// What the undatable values may be instead.
fn doubts(database: &mut Database, predicate: &Predicate, judged: &str, survey: Survey) -> Result<Survey, StoreError> {
    let mut counts: Vec<(TimeFormat, u64)> = Vec::new();
    let among = format!("{} AND NOT ({judged})", predicate.scope);
    for (format, condition) in predicate.other_units() {
        counts.push((format, count(database, predicate, &format!("{among} AND {condition}"))?));
    }
    let other_unit = counts.into_iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count);
    let without_zone = count(database, predicate, &format!("{among} AND {}", predicate.lacks_zone()))?;
    Ok(Survey { other_unit, without_zone, ..survey })
}
