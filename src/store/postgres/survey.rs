//! Exact counts of a selection, by one statement and so from one snapshot.
//!
//! A condition asked of every row of a large table is most of what a count costs. Where age is all that counts and no
//! time is implausible, which is nearly always, the extremes of the column tell what would else be asked row by row;
//! where that turns out to be wrong, everything is counted once more, thoroughly.

use super::connection::Session;
use super::predicate::Predicate;
use super::schema::TableFacts;
use crate::config::TimeFormat;
use crate::store::{StoreError, Survey};

/// Columns of the thorough answer before those of the other units.
const FIXED: usize = 6;

/// Counts.
pub(super) fn survey(session: &mut Session, facts: &TableFacts, predicate: &Predicate) -> Result<Survey, StoreError> {
    match at_a_glance(session, facts, predicate)? {
        Some(survey) => Ok(survey),
        None => thorough(session, facts, predicate),
    }
}

/// By the extremes of the time; `None` where they do not tell.
fn at_a_glance(session: &mut Session, facts: &TableFacts, predicate: &Predicate) -> Result<Option<Survey>, StoreError> {
    let (Some((value, oldest)), Some(all_datable)) = (&predicate.oldest, &predicate.all_datable) else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE {matches}), count({value}), {all_datable}, \
             CASE WHEN {all_datable} THEN {} END \
         FROM {} AS t WHERE {}",
        oldest.number(&format!("min({value})")),
        facts.quoted,
        predicate.scope,
        matches = predicate.matches(),
    );
    let row = session.one(&sql, &predicate.values.with(&[]))?;
    let (total, matches, dated) = (session.count(&row, 0)?, session.count(&row, 1)?, session.count(&row, 2)?);
    // Nobody has a time: nothing was told by one.
    if dated == 0 || !session.get::<bool>(&row, 3)? {
        return Ok(None);
    }
    let smallest: Option<i64> = session.get(&row, 4)?;
    Ok(Some(Survey {
        total,
        matches,
        undatable: total.saturating_sub(dated),
        oldest: smallest.filter(|_| matches > 0).and_then(|smallest| oldest.instant(smallest)),
        ..Survey::default()
    }))
}

fn thorough(session: &mut Session, facts: &TableFacts, predicate: &Predicate) -> Result<Survey, StoreError> {
    let (matches, judged) = (predicate.matches(), &predicate.judged);
    let count = |condition: &str| format!("count(*) FILTER (WHERE {condition})");
    let undatable = |condition: &str| count(&format!("NOT ({judged}) AND {condition}"));
    let oldest = match &predicate.oldest {
        Some((value, oldest)) => oldest.number(&format!("min({value}) FILTER (WHERE {matches})")),
        None => "NULL::int8".to_owned(),
    };
    let mut columns = vec![
        "count(*)".to_owned(),
        count(&matches),
        oldest,
        count(&format!("{} AND NOT ({})", predicate.due, predicate.free)),
        count(&format!("NOT ({judged})")),
        predicate.lacks_zone.as_deref().map_or_else(|| "0::int8".to_owned(), undatable),
    ];
    columns.extend(predicate.other_units.iter().map(|(_, condition)| undatable(condition)));
    let sql = format!("SELECT {} FROM {} AS t WHERE {}", columns.join(", "), facts.quoted, predicate.scope);
    let row = session.one(&sql, &predicate.values.with(&[]))?;
    let oldest: Option<i64> = session.get(&row, 2)?;
    let mut units: Vec<(TimeFormat, u64)> = Vec::new();
    for (index, (format, _)) in predicate.other_units.iter().enumerate() {
        units.push((*format, session.count(&row, FIXED + index)?));
    }
    Ok(Survey {
        total: session.count(&row, 0)?,
        matches: session.count(&row, 1)?,
        on_hold: session.count(&row, 3)?,
        undatable: session.count(&row, 4)?,
        other_unit: units.into_iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count),
        without_zone: session.count(&row, 5)?,
        oldest: oldest.zip(predicate.oldest.as_ref()).and_then(|(oldest, (_, reading))| reading.instant(oldest)),
        kept: Vec::new(),
    })
}
