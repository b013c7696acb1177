//! The predicate of a rule, in SQL, built once. Counting, erasing and the negative proof use the same text and values.
//!
//! PostgreSQL's columns have types, so what would have to be asked of every value elsewhere is known beforehand: a
//! filter, a consent or a format that does not fit the column's type matches nothing, and the inspection says so.
//! Text is compared byte by byte, whatever the column's collation thinks equal.

use postgres::types::Type;

use super::connection::Session;
use super::mask;
use super::schema::{ColumnFacts, ColumnKind, TableFacts, qualified, quoted};
use super::time::{Oldest, TimeSql};
use super::values::Values;
use crate::config::TimeFormat;
use crate::config::site::Scalar;
use crate::plan::{Action, When};
use crate::store::{HeldValue, StoreError, TableSelection};

/// The conditions of one selection on a table called `t`. Each is true, false or NULL (which counts as false).
#[derive(Debug)]
pub(super) struct Predicate {
    /// The key, quoted and qualified.
    pub(super) key: String,
    /// The key's type, quoted.
    pub(super) key_type: String,
    /// Whether keys are numbers that grow.
    pub(super) key_grows: bool,
    /// Which rows are records of the target: the filter.
    pub(super) scope: String,
    /// Which of them can be judged. Never NULL.
    pub(super) judged: String,
    /// What would be touched: due, in scope, and changed by the action.
    pub(super) due: String,
    /// What no hold keeps. Never NULL.
    pub(super) free: String,
    /// A value whose minimum is the oldest record's time, and how to read it; `None` where age does not matter.
    pub(super) oldest: Option<(String, Oldest)>,
    /// SQL over all rows of the scope, true where `matches` asks for nothing but the age and every time that is there is
    /// plausible; `None` where that cannot be told by the extremes of the column.
    pub(super) all_datable: Option<String>,
    /// Conditions on the time.
    pub(super) time: TimeSql,
    /// Other numeric formats, each with SQL that is true where a number is plausible in it.
    pub(super) other_units: Vec<(TimeFormat, String)>,
    /// SQL that is true where a value makes sense but for its missing zone.
    pub(super) lacks_zone: Option<String>,
    /// What the action writes, as the SET of an UPDATE; `None` where rows are erased.
    pub(super) assignment: Option<String>,
    /// Parameters.
    pub(super) values: Values,
}

impl Predicate {
    /// Builds the predicate of `selection` on the table that `facts` describe.
    pub(super) fn new(
        session: &mut Session,
        selection: &TableSelection<'_>,
        facts: &TableFacts,
    ) -> Result<Predicate, StoreError> {
        let target = &selection.rule.target;
        let mut values = Values::default();
        let key = column(session, facts, &target.key)?;
        let time_column = column(session, facts, &target.time.column)?;
        let time = TimeSql::new(&target.time, time_column, selection.now);
        let scope = scope(session, selection, facts, &mut values)?;
        let (judged, when) = match &selection.rule.when {
            When::Older(_) | When::Expired => (time.datable(), time.expired(selection.cutoff)),
            When::NotStored => ("true".to_owned(), "true".to_owned()),
            When::WithoutConsent(consent) => {
                let facts = column(session, facts, &consent.column)?;
                match given(session, facts, &consent.given, &mut values)? {
                    Some(given) => ("true".to_owned(), format!("({given}) IS NOT TRUE")),
                    None => ("false".to_owned(), "false".to_owned()),
                }
            }
        };
        let (assignment, changes) = effect(session, &selection.rule.action, facts, &mut values)?;
        let ages = selection.cutoff.is_some();
        let free = free(session, selection, facts, &mut values)?;
        let of_age = matches!(selection.rule.when, When::Older(_) | When::Expired);
        let by_age_alone = of_age && changes == "true" && free == "true";
        Ok(Predicate {
            key: qualified(&target.key),
            key_type: key.type_name.clone(),
            key_grows: key.kind == ColumnKind::Integer,
            due: all([scope.clone(), when, changes]),
            free,
            all_datable: time.all_datable().filter(|_| by_age_alone),
            oldest: time.oldest().filter(|_| ages),
            other_units: if ages { time.other_units(time_column, target.time.format) } else { Vec::new() },
            lacks_zone: time.lacks_zone().filter(|_| ages),
            scope,
            judged,
            assignment,
            time,
            values,
        })
    }

    /// What a purge touches.
    pub(super) fn matches(&self) -> String {
        all([self.due.clone(), self.free.clone()])
    }
}

/// The inspection finds what is missing; here it can only have gone since.
fn column<'f>(session: &Session, facts: &'f TableFacts, name: &str) -> Result<&'f ColumnFacts, StoreError> {
    facts.column(name).ok_or_else(|| StoreError::Failed {
        place: session.place.clone(),
        reason: format!("table {} has no column {name}", facts.label),
    })
}

fn scope(
    session: &Session,
    selection: &TableSelection<'_>,
    facts: &TableFacts,
    values: &mut Values,
) -> Result<String, StoreError> {
    let mut conditions = Vec::new();
    for (name, expected) in &selection.rule.target.filter {
        let column = column(session, facts, name)?;
        conditions.push(equals(column, expected, values).unwrap_or_else(|| "false".to_owned()));
    }
    Ok(all(conditions))
}

/// Whether a column of this type can hold the value.
pub(super) fn fits(column: &ColumnFacts, value: &Scalar) -> bool {
    match (column.kind, value) {
        (ColumnKind::Integer, Scalar::Integer(_)) | (ColumnKind::Boolean, Scalar::Boolean(_)) => true,
        // Text stands for enumerations and identifiers as well.
        (ColumnKind::Text | ColumnKind::Other, Scalar::Text(_)) => true,
        _ => false,
    }
}

/// Equal in type and value; `None` where the type does not fit.
fn equals(column: &ColumnFacts, value: &Scalar, values: &mut Values) -> Option<String> {
    let name = qualified(&column.name);
    Some(match value {
        _ if !fits(column, value) => return None,
        Scalar::Integer(number) => format!("{name} = {number}"),
        Scalar::Boolean(value) => format!("{name} = {value}"),
        Scalar::Text(text) => format!("{name}::text COLLATE \"C\" = {}", values.add(text.as_str())),
    })
}

/// Whether consent was given: equal, or equal by what the column's type thinks so (`citext`). What doubt there is
/// keeps the row.
fn given(
    session: &mut Session,
    column: &ColumnFacts,
    value: &Scalar,
    values: &mut Values,
) -> Result<Option<String>, StoreError> {
    let Some(exactly) = equals(column, value, values) else { return Ok(None) };
    let Scalar::Text(text) = value else { return Ok(Some(exactly)) };
    let parameter = values.add(text.as_str());
    Ok(Some(match equals_in(session, column, &column.type_name, text, &parameter)? {
        Some(by_type) => format!("{exactly} OR {by_type}"),
        None => exactly,
    }))
}

/// Equal by the operator of the column's type, to `value` read as `type_name`, which stands for itself as `parameter`;
/// `None` where it cannot be read so. May be NULL.
fn equals_in(
    session: &mut Session,
    column: &ColumnFacts,
    type_name: &str,
    value: &str,
    parameter: &str,
) -> Result<Option<String>, StoreError> {
    let Some(equality) = &column.equality else { return Ok(None) };
    let can = session.can_cast(value, type_name)?;
    Ok(can.then(|| format!("{} {equality} {parameter}::{type_name}", qualified(&column.name))))
}

/// What the action writes, and which rows that changes, so that a second run finds nothing.
fn effect(
    session: &Session,
    action: &Action,
    facts: &TableFacts,
    values: &mut Values,
) -> Result<(Option<String>, String), StoreError> {
    let (name, stand_in) = match action {
        Action::EraseRows { .. } => return Ok((None, "true".to_owned())),
        Action::EraseColumn { column, stand_in } | Action::TruncateColumn { column, stand_in, .. } => {
            (column, stand_in)
        }
    };
    let column = column(session, facts, name)?;
    let (name, type_name) = (qualified(&column.name), &column.type_name);
    let mut written = "NULL".to_owned();
    let mut changes = format!("{name} IS NOT NULL");
    if let Some(stand_in) = stand_in {
        // Written by assignment, which refuses what is too long instead of cutting it.
        written = format!("({}::{type_name})", values.add(text_of(stand_in)));
        changes = match column.equality.as_ref().filter(|_| column.kind != ColumnKind::Text) {
            Some(equality) => format!("{changes} AND NOT ({name} {equality} {written})"),
            None => format!("{changes} AND {name}::text COLLATE \"C\" <> {written}::text"),
        };
    }
    if let Action::TruncateColumn { mask, .. } = action {
        match mask::mask(&name, column.kind, session.charset, mask, &written) {
            Some(mask) => {
                changes = format!("{changes} AND {}", mask.changes);
                written = mask.written;
            }
            None => changes = "false".to_owned(),
        }
    }
    Ok((Some(format!("{} = {written}", quoted(&column.name))), changes))
}

/// A value as the server reads it.
pub(super) fn text_of(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Text(text) => text.clone(),
    }
}

fn free(
    session: &mut Session,
    selection: &TableSelection<'_>,
    facts: &TableFacts,
    values: &mut Values,
) -> Result<String, StoreError> {
    let mut conditions = Vec::new();
    for hold in &selection.holds {
        conditions.push(not_held(session, hold, column(session, facts, &hold.column)?, values)?);
    }
    Ok(all(conditions))
}

/// Not held. A hold compares as text and, so that no way of writing a value lets a row slip, also as the column's type
/// does, and a whole number also as a fraction.
fn not_held(
    session: &mut Session,
    hold: &HeldValue,
    column: &ColumnFacts,
    values: &mut Values,
) -> Result<String, StoreError> {
    let name = qualified(&column.name);
    let value = values.add(hold.value.as_str());
    let condition = format!("{name}::text COLLATE \"C\" IS DISTINCT FROM {value}");
    let of_type = if column.kind == ColumnKind::Integer { "numeric" } else { &column.type_name };
    Ok(match equals_in(session, column, of_type, &hold.value, &value)? {
        Some(held) => format!("{condition} AND ({held}) IS NOT TRUE"),
        None => condition,
    })
}

/// The conditions joined by AND; true where there are none.
fn all(conditions: impl IntoIterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.into_iter().filter(|condition| condition != "true").collect();
    if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") }
}

/// The type of a list of keys as it is sent.
pub(super) const KEYS: Type = Type::TEXT_ARRAY;
