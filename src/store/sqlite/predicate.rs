//! The predicate of a rule, in SQL, built once. Counting, erasing and the negative proof use the same text and values.
//!
//! SQLite compares across types: an INTEGER is smaller than any text, so a bare `time < cutoff` would match rows that
//! have no time at all. Every condition therefore says which type it speaks of, and a value of another type is kept.
//! Columns are always qualified: SQLite reads an unknown `"name"` alone as a string.

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement};

use super::functions::{self, INSTANT, LACKS_ZONE, MASK, Plausible, UNMASKED};
use crate::config::TimeFormat;
use crate::config::site::{Consent, RowTime, Scalar, TimeMeaning};
use crate::config::time_format::{EARLIEST_PLAUSIBLE, FUTURE_TOLERANCE};
use crate::plan::{Action, When};
use crate::store::TableSelection;

/// An expiry further away than this is a mistake, not a plan.
const LONGEST_EXPIRY: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// The conditions of one selection. Each is SQL that is true, false or NULL (which counts as false).
#[derive(Debug)]
pub(super) struct Predicate {
    /// The table, quoted, with its schema.
    pub(super) table: String,
    /// The key, quoted and qualified.
    pub(super) key: String,
    /// Which rows are records of the target: the filter.
    pub(super) scope: String,
    /// Which of them can be judged; `None` where all can. Never NULL.
    pub(super) judged: Option<String>,
    /// Which records can be judged and are too young yet; `None` where age does not matter.
    pub(super) young: Option<String>,
    /// What would be touched: due, in scope, and changed by the action.
    pub(super) due: String,
    /// What no hold keeps; `None` where there are no holds. Never NULL.
    pub(super) free: Option<String>,
    /// The instant of a matching row as a number, and how to read it; `None` where age does not matter.
    pub(super) instant: Option<(String, TimeFormat)>,
    /// Which rows were recorded after the run's moment; `None` where the time does not tell. May be NULL.
    pub(super) recorded_later: Option<String>,
    /// What the action writes, as the SET of an UPDATE; `None` where rows are erased.
    pub(super) assignment: Option<String>,
    /// The time column, quoted and qualified.
    time_column: String,
    time_format: TimeFormat,
    plausible: Plausible,
    values: Vec<(String, Value)>,
}

impl Predicate {
    /// Builds the predicate of `selection` and defines on `connection` the functions that it calls. There is one at a
    /// time: building another one redefines them.
    pub(super) fn new(connection: &Connection, selection: &TableSelection<'_>) -> rusqlite::Result<Predicate> {
        let target = &selection.rule.target;
        let plausible = plausible(&target.time, selection.now);
        functions::define_instant(connection, &target.time, plausible)?;
        if let Action::TruncateColumn { mask, stand_in, .. } = &selection.rule.action {
            functions::define_mask(connection, *mask, stand_in.as_ref().map_or(Value::Null, value))?;
        }
        let mut values = Values::default();
        let column = |name: &str| qualified(&target.table, name);
        let time = TimeSql::new(&target.time, column(&target.time.column), plausible, &mut values);
        let scope = scope(selection, &mut values);
        let ages = matches!(selection.rule.when, When::Older(_) | When::Expired);
        let cutoff = selection.cutoff.filter(|_| ages);
        let (judged, when) = match &selection.rule.when {
            When::Older(_) | When::Expired => (Some(time.datable.clone()), time.before(cutoff, &mut values)),
            When::NotStored => (None, None),
            When::WithoutConsent(consent) => {
                let (judged, missing) = without_consent(consent, &column(&consent.column), &mut values);
                (Some(judged), Some(missing))
            }
        };
        let (assignment, changes) = effect(&selection.rule.action, &target.table, &mut values);
        let due = all([when, changes, Some(scope.clone())]);
        Ok(Predicate {
            table: table(&target.table),
            key: column(&target.key),
            free: free(selection, &mut values),
            recorded_later: time.later_than(selection.now, &mut values),
            young: cutoff.and_then(|cutoff| time.not_before(cutoff, &mut values)),
            instant: cutoff.map(|_| time.instant),
            scope,
            judged,
            due,
            assignment,
            time_column: time.column,
            time_format: time.format,
            plausible,
            values: values.0,
        })
    }

    /// What a purge touches.
    pub(super) fn matches(&self) -> String {
        all([Some(self.due.clone()), self.free.clone()])
    }

    /// Binds the predicate's values in `statement`, as far as they occur there.
    pub(super) fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        for (name, value) in &self.values {
            if let Some(index) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(index, value)?;
            }
        }
        Ok(())
    }

    /// Other numeric formats, each with SQL that is true where a number is plausible in it.
    pub(super) fn other_units(&self) -> Vec<(TimeFormat, String)> {
        let column = &self.time_column;
        let others = TimeFormat::ALL.into_iter().filter(|format| *format != self.time_format);
        others
            .filter_map(|format| {
                let earliest = format.to_number_floor(self.plausible.earliest)?;
                let latest = format.to_number_floor(self.plausible.latest)?;
                let sql = format!("(typeof({column}) = 'integer' AND {column} BETWEEN {earliest} AND {latest})");
                Some((format, sql))
            })
            .collect()
    }

    /// SQL that is true where a text makes sense but for its missing zone.
    pub(super) fn lacks_zone(&self) -> String {
        format!("{LACKS_ZONE}({})", self.time_column)
    }
}

/// Values by the name of their parameter.
#[derive(Debug, Default)]
struct Values(Vec<(String, Value)>);

impl Values {
    /// The parameter that stands for `value`.
    fn add(&mut self, value: Value) -> String {
        let name = format!(":v{}", self.0.len());
        self.0.push((name.clone(), value));
        name
    }
}

/// Conditions on the time column.
struct TimeSql {
    column: String,
    format: TimeFormat,
    meaning: TimeMeaning,
    datable: String,
    instant: (String, TimeFormat),
    /// For numbers: the bounds of what is plausible.
    bounds: Option<(i64, i64)>,
}

impl TimeSql {
    fn new(time: &RowTime, column: String, plausible: Plausible, values: &mut Values) -> TimeSql {
        let number = |instant| time.format.to_number_floor(instant);
        let bounds = number(plausible.earliest).zip(number(plausible.latest));
        let (datable, instant) = match bounds {
            Some((earliest, latest)) => {
                let (earliest, latest) = (values.add(earliest.into()), values.add(latest.into()));
                let datable = format!("(typeof({column}) = 'integer' AND {column} BETWEEN {earliest} AND {latest})");
                (datable, (column.clone(), time.format))
            }
            None => {
                let instant = format!("{INSTANT}({column})");
                (format!("{instant} IS NOT NULL"), (instant, TimeFormat::UnixMicros))
            }
        };
        TimeSql { column, format: time.format, meaning: time.meaning, datable, instant, bounds }
    }

    /// Datable and strictly before `cutoff`. Where there is no cutoff, or none that can be expressed: nothing is.
    fn before(&self, cutoff: Option<Timestamp>, values: &mut Values) -> Option<String> {
        let before = cutoff.and_then(|cutoff| match self.bounds {
            Some((earliest, latest)) => self.number_before(cutoff, earliest, latest, values),
            None => self.text_before(cutoff, values),
        });
        Some(before.unwrap_or_else(|| "0".to_owned()))
    }

    fn number_before(&self, cutoff: Timestamp, earliest: i64, latest: i64, values: &mut Values) -> Option<String> {
        let column = &self.column;
        let last = self.format.to_number_floor(cutoff)?.checked_sub(1)?.min(latest);
        let (earliest, last) = (values.add(earliest.into()), values.add(last.into()));
        Some(format!("typeof({column}) = 'integer' AND {column} BETWEEN {earliest} AND {last}"))
    }

    /// What is datable and not [`TimeSql::before`] the cutoff.
    fn not_before(&self, cutoff: Timestamp, values: &mut Values) -> Option<String> {
        let column = &self.column;
        let Some((earliest, latest)) = self.bounds else {
            let cutoff = values.add(functions::microseconds_down(cutoff)?.into());
            return Some(format!("{} >= {cutoff}", self.instant.0));
        };
        let first = values.add(self.format.to_number_floor(cutoff)?.max(earliest).into());
        let latest = values.add(latest.into());
        Some(format!("typeof({column}) = 'integer' AND {column} BETWEEN {first} AND {latest}"))
    }

    /// The function decides; before it stands a range of dates as text, which an index can serve and which no offset
    /// between UTC-24 and UTC+24 can make too narrow.
    fn text_before(&self, cutoff: Timestamp, values: &mut Values) -> Option<String> {
        let column = &self.column;
        let exact = format!("{} < {}", self.instant.0, values.add(functions::microseconds_down(cutoff)?.into()));
        let first = EARLIEST_PLAUSIBLE.checked_sub(SignedDuration::from_hours(48)).ok()?;
        let end = cutoff.checked_add(SignedDuration::from_hours(48)).ok()?;
        match self.format {
            // Also found as bytes, which sort after all text.
            TimeFormat::Mediawiki => Some(format!("{column} COLLATE BINARY >= '19' AND {exact}")),
            _ => {
                let date = |instant: Timestamp| instant.strftime("%Y-%m-%d").to_string();
                let (first, end) = (values.add(date(first).into()), values.add(date(end).into()));
                Some(format!("{column} COLLATE BINARY >= {first} AND {column} COLLATE BINARY < {end} AND {exact}"))
            }
        }
    }

    /// Recorded after `now`. An expiry says nothing about that.
    fn later_than(&self, now: Timestamp, values: &mut Values) -> Option<String> {
        let now = match (self.meaning, self.bounds) {
            (TimeMeaning::Expires, _) => None,
            (TimeMeaning::Recorded, Some(_)) => self.format.to_number_floor(now),
            (TimeMeaning::Recorded, None) => functions::microseconds_down(now),
        }?;
        Some(format!("({} AND {} > {})", self.datable, self.instant.0, values.add(now.into())))
    }
}

fn plausible(time: &RowTime, now: Timestamp) -> Plausible {
    let ahead = match time.meaning {
        TimeMeaning::Recorded => FUTURE_TOLERANCE,
        TimeMeaning::Expires => LONGEST_EXPIRY,
    };
    Plausible { earliest: EARLIEST_PLAUSIBLE, latest: now.saturating_add(ahead).unwrap_or(now) }
}

/// Equal in type and value: where a column of another type holds something similar, the doubt keeps the row.
fn scope(selection: &TableSelection<'_>, values: &mut Values) -> String {
    let target = &selection.rule.target;
    all(target.filter.iter().map(|(name, expected)| {
        let column = qualified(&target.table, name);
        let kind = kind(expected);
        let expected = values.add(value(expected));
        Some(format!("typeof({column}) = '{kind}' AND {column} COLLATE BINARY IS {expected}"))
    }))
}

/// What can be judged, and what of it has no consent. No value at all is no consent; a value of another type than the
/// one that means "given" is a doubt.
fn without_consent(consent: &Consent, column: &str, values: &mut Values) -> (String, String) {
    let kinds = match consent.given {
        Scalar::Boolean(_) | Scalar::Integer(_) => "'integer', 'real'",
        Scalar::Text(_) => "'text'",
    };
    let given = values.add(value(&consent.given));
    let judged = format!("typeof({column}) IN ('null', {kinds})");
    let missing = format!("{judged} AND {column} COLLATE BINARY IS NOT {given}");
    (judged, missing)
}

/// What the action writes, and which rows that changes, so that a second run finds nothing.
fn effect(action: &Action, table: &str, values: &mut Values) -> (Option<String>, Option<String>) {
    let (name, stand_in) = match action {
        Action::EraseRows { .. } => return (None, None),
        Action::EraseColumn { column, stand_in } | Action::TruncateColumn { column, stand_in, .. } => {
            (column, stand_in)
        }
    };
    let column = qualified(table, name);
    let stand_in = stand_in.as_ref().map(|stand_in| values.add(value(stand_in)));
    let holds_something = match &stand_in {
        None => format!("{column} IS NOT NULL"),
        Some(stand_in) => format!("{column} IS NOT NULL AND {column} COLLATE BINARY IS NOT {stand_in}"),
    };
    let (written, changes) = match action {
        Action::TruncateColumn { .. } => {
            (format!("{MASK}({column})"), format!("{holds_something} AND {UNMASKED}({column})"))
        }
        _ => (stand_in.unwrap_or_else(|| "NULL".to_owned()), holds_something),
    };
    (Some(format!("{} = {written}", quoted(name))), Some(changes))
}

/// Not held. A hold compares as text and, so that neither the type of the column nor the way a number is written lets
/// a row slip, also as SQLite would and as a fraction.
fn free(selection: &TableSelection<'_>, values: &mut Values) -> Option<String> {
    let table = &selection.rule.target.table;
    let conditions: Vec<Option<String>> = selection
        .holds
        .iter()
        .map(|hold| {
            let column = qualified(table, &hold.column);
            let value = values.add(hold.value.clone().into());
            Some(format!(
                "CAST({column} AS TEXT) IS NOT {value} AND {column} IS NOT {value} \
                 AND NOT (typeof({column}) = 'real' AND {column} IS CAST({value} AS REAL))"
            ))
        })
        .collect();
    (!conditions.is_empty()).then(|| all(conditions))
}

/// The conditions joined by AND; true where there are none.
fn all(conditions: impl IntoIterator<Item = Option<String>>) -> String {
    let conditions: Vec<String> = conditions.into_iter().flatten().filter(|condition| condition != "1").collect();
    if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") }
}

fn kind(scalar: &Scalar) -> &'static str {
    match scalar {
        Scalar::Boolean(_) | Scalar::Integer(_) => "integer",
        Scalar::Text(_) => "text",
    }
}

/// The value as SQLite stores it; it has no booleans.
pub(super) fn value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Boolean(value) => Value::Integer((*value).into()),
        Scalar::Integer(value) => Value::Integer(*value),
        Scalar::Text(value) => Value::Text(value.clone()),
    }
}

/// An identifier: any character but NUL may occur in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table of the database itself, not of an attached or temporary one.
pub(super) fn table(name: &str) -> String {
    format!("main.{}", quoted(name))
}

/// A column of a table.
pub(super) fn qualified(table: &str, column: &str) -> String {
    format!("{}.{}", quoted(table), quoted(column))
}
