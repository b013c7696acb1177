//! The predicate of a rule, in SQL, built once. Counting, erasing and the negative proof use the same text.
//!
//! MySQL compares across types by converting, so that `'2024-05-01'` becomes the number 2024. Every condition
//! therefore depends on the column's type as the server declares it, and one that does not suit the type matches
//! nothing. What SQL cannot judge (an address in an unusual form) is a [`Doubt`], and judged outside.

use jiff::{SignedDuration, Timestamp};

use super::connection::Database;
use super::hold::is_held;
use super::mask::MaskSql;
use super::schema::{Class, ColumnFacts, IndexFacts, TableFacts};
use super::sql::{all, exact_text, is_exactly, qualified, quoted, text};
use super::stand_in;
use super::time::TimeColumn;
use crate::config::TimeFormat;
use crate::config::site::{Consent, Mask, RowTime, Scalar, TimeMeaning};
use crate::config::time_format::{EARLIEST_PLAUSIBLE, FUTURE_TOLERANCE};
use crate::plan::{Action, When};
use crate::store::address::{Masked, mask_text};
use crate::store::{StoreError, TableSelection};

/// An expiry further away than this is a mistake, not a plan.
const LONGEST_EXPIRY: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// The conditions of one selection. Each is SQL that is true, false or NULL (which counts as false).
#[derive(Debug)]
pub(super) struct Predicate {
    /// The table, quoted, with its database.
    pub(super) table: String,
    /// The key, quoted and qualified.
    pub(super) key: String,
    /// What the key can hold.
    pub(super) key_class: Class,
    /// Has the server find rows by the key, whatever it thinks of that. Empty where the key has no index of its own.
    pub(super) by_key: String,
    /// Which rows are records of the target: the filter.
    pub(super) scope: String,
    /// Which of them can be judged; `None` where all can. Never NULL.
    pub(super) judged: Option<String>,
    /// What would be touched: due, in scope, and changed by the action (or in doubt).
    pub(super) due: String,
    /// As `due`, without what is in doubt.
    certain: String,
    /// What no hold keeps; `None` where there are no holds. Never NULL.
    pub(super) free: Option<String>,
    /// The time column, where age matters.
    pub(super) time: Option<TimeColumn>,
    /// Which rows were recorded after the run's moment; `None` where the time does not tell. May be NULL.
    pub(super) recorded_later: Option<String>,
    /// What the action writes, as the SET of an UPDATE; `None` where rows are erased.
    pub(super) assignment: Option<Assignment>,
    /// Rows whose column must be looked at outside.
    pub(super) doubt: Option<Doubt>,
    /// The instants that a record may plausibly have, in microseconds since 1970.
    pub(super) plausible: (i64, i64),
}

/// What an UPDATE writes.
#[derive(Debug)]
pub(super) struct Assignment {
    /// The column, quoted.
    pub(super) column: String,
    /// What it becomes, as SQL.
    pub(super) value: String,
    /// Columns that the server would set to the present moment, each to itself: the visitor was not here again.
    pub(super) kept: String,
}

/// Addresses in a form that SQL cannot mask.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Where they are. Never NULL.
    pub(super) condition: String,
    /// Their text.
    pub(super) value: String,
    /// Instead of what must be erased, as SQL.
    unparsed: String,
    mask: Mask,
}

impl Doubt {
    /// What must be written instead of `value`, as SQL; `None` if it may stay.
    pub(super) fn replacement(&self, value: &[u8]) -> Option<String> {
        // What is no text is no address in a form that is known.
        match mask_text(&String::from_utf8_lossy(value), &self.mask) {
            Masked::Unchanged => None,
            Masked::To(masked) => Some(text(&masked)),
            Masked::Unparsed => Some(self.unparsed.clone()),
        }
    }
}

impl Predicate {
    /// Builds the predicate of `selection` for the table as it is.
    pub(super) fn new(
        database: &Database,
        facts: &TableFacts,
        selection: &TableSelection<'_>,
    ) -> Result<Self, StoreError> {
        let columns = Columns { database, facts };
        let target = &selection.rule.target;
        let (key, key_facts) = columns.get(&target.key)?;
        let plausible = plausible(&target.time, selection.now);
        let latest = Timestamp::from_microsecond(plausible.1).unwrap_or(selection.now);
        let (time_column, time_facts) = columns.get(&target.time.column)?;
        let time = TimeColumn::new(time_column, time_facts, &target.time, latest);
        let scope = scope(&columns, selection)?;
        let ages = matches!(selection.rule.when, When::Older(_) | When::Expired);
        let cutoff = selection.cutoff.filter(|_| ages);
        let (judged, when) = match &selection.rule.when {
            When::Older(_) | When::Expired => {
                let datable = format!("({}) IS TRUE", time.within(plausible.0, plausible.1));
                (Some(datable), Some(before(&time, plausible, cutoff)))
            }
            When::NotStored => (None, None),
            When::WithoutConsent(consent) => {
                let (judged, missing) = without_consent(&columns, consent)?;
                (Some(judged), Some(missing))
            }
        };
        let Effect { assignment, changes, certain, doubt } = effect(&columns, &selection.rule.action)?;
        let recorded_later = match target.time.meaning {
            // An expiry says nothing about when the record came.
            TimeMeaning::Expires => None,
            TimeMeaning::Recorded => Some(time.within(micros(selection.now).saturating_add(1), plausible.1)),
        };
        Ok(Predicate {
            table: facts.quoted(),
            key,
            key_class: key_facts.class,
            by_key: facts.key_index(&target.key).map_or(String::new(), by_index),
            free: free(&columns, selection)?,
            certain: all([when.clone(), certain, Some(scope.clone())]),
            due: all([when, changes, Some(scope.clone())]),
            time: cutoff.map(|_| time),
            scope,
            judged,
            recorded_later,
            assignment,
            doubt,
            plausible,
        })
    }

    /// What a purge touches, but for what is in doubt and proves harmless.
    pub(super) fn matches(&self) -> String {
        all([Some(self.due.clone()), self.free.clone()])
    }

    /// What a purge touches by its statement alone.
    pub(super) fn certainly_matches(&self) -> String {
        all([Some(self.certain.clone()), self.free.clone()])
    }

    /// Other numeric formats, each with SQL that is true where a number is plausible in it. Never NULL.
    pub(super) fn other_units(&self) -> Vec<(TimeFormat, String)> {
        self.time.as_ref().map_or_else(Vec::new, |time| time.other_units(self.plausible.0, self.plausible.1))
    }

    /// SQL that is true where a text makes sense but for its missing zone. Never NULL.
    pub(super) fn lacks_zone(&self) -> String {
        let sql = self.time.as_ref().map(|time| time.lacks_zone(self.plausible.0, self.plausible.1));
        format!("({}) IS TRUE", sql.unwrap_or_else(|| "FALSE".to_owned()))
    }
}

/// The columns of one table, by name.
struct Columns<'a> {
    database: &'a Database,
    facts: &'a TableFacts,
}

impl<'a> Columns<'a> {
    fn get(&self, name: &str) -> Result<(String, &'a ColumnFacts), StoreError> {
        let TableFacts { name: table, .. } = self.facts;
        match self.facts.column(name) {
            Some(facts) => Ok((qualified(table, name), facts)),
            None => Err(self.database.failed(&format!("table {table} has no column {name}"))),
        }
    }
}

fn by_index(index: &IndexFacts) -> String {
    format!("FORCE INDEX ({})", quoted(&index.name))
}

fn plausible(time: &RowTime, now: Timestamp) -> (i64, i64) {
    let ahead = match time.meaning {
        TimeMeaning::Recorded => FUTURE_TOLERANCE,
        TimeMeaning::Expires => LONGEST_EXPIRY,
    };
    let latest = now.saturating_add(ahead).unwrap_or(now);
    (micros(EARLIEST_PLAUSIBLE), micros(latest).saturating_add(1))
}

fn micros(instant: Timestamp) -> i64 {
    i64::try_from(instant.as_nanosecond().div_euclid(1_000)).unwrap_or(i64::MAX)
}

/// Where there is no cutoff, or none that can be expressed, nothing is expired.
fn before(time: &TimeColumn, (earliest, latest): (i64, i64), cutoff: Option<Timestamp>) -> String {
    let cutoff = cutoff.and_then(|cutoff| time.cutoff(cutoff));
    cutoff.map_or("FALSE".to_owned(), |cutoff| time.within(earliest, cutoff.min(latest)))
}

/// Equal in type and value: where the column is of another type, the doubt keeps the row.
fn scope(columns: &Columns<'_>, selection: &TableSelection<'_>) -> Result<String, StoreError> {
    let conditions = selection.rule.target.filter.iter().map(|(name, expected)| {
        let (column, facts) = columns.get(name)?;
        Ok(Some(is_equal(&column, facts.class, expected).unwrap_or_else(|| "FALSE".to_owned())))
    });
    Ok(all(conditions.collect::<Result<Vec<_>, StoreError>>()?))
}

/// SQL that is true where a column has a value; `None` if its type cannot hold values of that type.
pub(super) fn is_equal(column: &str, class: Class, value: &Scalar) -> Option<String> {
    let number = match value {
        Scalar::Boolean(value) => i64::from(*value),
        Scalar::Integer(value) => *value,
        Scalar::Text(value) => {
            let holds_text = matches!(class, Class::Text { .. } | Class::Binary { .. } | Class::Enum | Class::Uuid);
            return holds_text.then(|| is_exactly(column, class, value));
        }
    };
    match class {
        Class::Integer | Class::Decimal | Class::Float | Class::Bit => Some(format!("{column} = {number}")),
        _ => None,
    }
}

/// What can be judged, and what of it has no consent. No value at all is no consent; a value of another type than the
/// one that means "given" is a doubt.
fn without_consent(columns: &Columns<'_>, consent: &Consent) -> Result<(String, String), StoreError> {
    let (column, facts) = columns.get(&consent.column)?;
    Ok(match is_equal(&column, facts.class, &consent.given) {
        Some(given) => ("TRUE".to_owned(), format!("({given}) IS NOT TRUE")),
        None => (format!("{column} IS NULL"), format!("{column} IS NULL")),
    })
}

/// What the action does to a row, and to which.
struct Effect {
    assignment: Option<Assignment>,
    changes: Option<String>,
    /// As `changes`, without what is in doubt.
    certain: Option<String>,
    doubt: Option<Doubt>,
}

/// Only what the action changes is touched, so that a second run finds nothing.
fn effect(columns: &Columns<'_>, action: &Action) -> Result<Effect, StoreError> {
    let (name, stand_in) = match action {
        Action::EraseRows { .. } => return Ok(Effect { assignment: None, changes: None, certain: None, doubt: None }),
        Action::EraseColumn { column, stand_in } | Action::TruncateColumn { column, stand_in, .. } => {
            (column, stand_in)
        }
    };
    let (column, facts) = columns.get(name)?;
    let stand_in = match stand_in {
        None => None,
        Some(stand_in) => Some(stand_in::literal(&column, facts.class, stand_in).ok_or_else(|| {
            columns.database.failed(&format!("column {name} is of type {}: it cannot hold its `value`", facts.declared))
        })?),
    };
    let holds_something = match &stand_in {
        None => format!("{column} IS NOT NULL"),
        Some(stand_in) => format!("{column} IS NOT NULL AND ({}) IS NOT TRUE", stand_in.is_there),
    };
    let written = stand_in.map_or("NULL".to_owned(), |stand_in| stand_in.literal);
    let (value, certain, doubt) = match action {
        Action::TruncateColumn { mask, .. } => {
            let Some(sql) = MaskSql::new(&column, facts.class, mask, &written) else {
                let reason = format!("column {name} is of type {}: it holds no addresses", facts.declared);
                return Err(columns.database.failed(&reason));
            };
            let doubt = sql.doubt.map(|condition| {
                let value = exact_text(&column, facts.class);
                Doubt { condition, value, unparsed: written, mask: *mask }
            });
            (sql.masked, Some(sql.changes), doubt)
        }
        _ => (written, None, None),
    };
    let changes = match (&certain, &doubt) {
        (Some(certain), Some(doubt)) => Some(format!("({certain} OR {})", doubt.condition)),
        _ => certain.clone(),
    };
    let with = |changes| Some(all([Some(holds_something.clone()), changes]));
    let (changes, certain) = (with(changes), with(certain));
    let assignment = Assignment { column: quoted(name), value, kept: kept(columns.facts, name) };
    Ok(Effect { assignment: Some(assignment), changes, certain, doubt })
}

/// Columns with `ON UPDATE CURRENT_TIMESTAMP`, other than the one that is written, each set to itself.
fn kept(facts: &TableFacts, written: &str) -> String {
    let automatic =
        facts.columns.iter().filter(|column| column.on_update && !super::schema::is_same(&column.name, written));
    automatic.map(|column| format!(", {0} = {0}", quoted(&column.name))).collect()
}

/// Not held.
fn free(columns: &Columns<'_>, selection: &TableSelection<'_>) -> Result<Option<String>, StoreError> {
    let conditions = selection.holds.iter().map(|hold| {
        let (column, facts) = columns.get(&hold.column)?;
        Ok(Some(format!("({}) IS NOT TRUE", is_held(&column, facts.class, &hold.value))))
    });
    let conditions = conditions.collect::<Result<Vec<_>, StoreError>>()?;
    Ok((!conditions.is_empty()).then(|| all(conditions)))
}
