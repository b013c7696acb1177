//! Conditions on the time column, by the column's type.
//!
//! A column of the database's own type is compared as it is, so that an index serves: instants become the ranges of
//! local time that stand for them. Text is taken apart in SQL, by a grammar that lets nothing through which a
//! conversion would have to guess at or fail on. A format that the column's type cannot hold dates nothing.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::schema::{Class, ColumnFacts};
use super::sql::{bytes, civil, exact_text, text};
use super::text_time::TextTime;
use super::zones::{ceiling_to, civil_of, local_ranges};
use crate::config::TimeFormat;
use crate::config::site::RowTime;

/// A time column, as its type and its format have it.
#[derive(Debug)]
pub(super) struct TimeColumn {
    /// Quoted and qualified.
    pub(super) column: String,
    class: Class,
    form: Form,
}

/// How instants are written.
#[derive(Debug)]
enum Form {
    /// As numbers.
    Number(TimeFormat),
    /// As the database's own type, in a zone.
    Local(TimeZone),
    /// As dates in a zone; a date is the last microsecond of its day.
    Date(TimeZone),
    /// As the database's own type, in no zone that is known.
    LocalWithoutZone,
    /// As dates in no zone that is known.
    DateWithoutZone,
    /// As text after ISO 8601.
    Iso(TextTime),
    /// As fourteen digits.
    Mediawiki,
    /// Not at all: the column's type cannot hold the format.
    Never,
}

const SECOND: i64 = 1_000_000;

impl TimeColumn {
    /// The column as `time` declares it and as it is. `column` is its name, quoted and qualified.
    pub(super) fn new(column: String, facts: &ColumnFacts, time: &RowTime, latest: Timestamp) -> TimeColumn {
        let zone = time.zone.as_ref().map(|zone| zone.zone.clone());
        let form = match (time.format, facts.class) {
            (number, Class::Integer) if number.units_per_second().is_some() => Form::Number(number),
            // An instant whatever the declaration says; the session's zone is UTC.
            (TimeFormat::Datetime, Class::Timestamp) => Form::Local(TimeZone::UTC),
            (TimeFormat::Datetime, Class::Datetime) => zone.map_or(Form::LocalWithoutZone, Form::Local),
            (TimeFormat::Datetime, Class::Date) => zone.map_or(Form::DateWithoutZone, Form::Date),
            (TimeFormat::Iso8601, Class::Text { .. }) => {
                Form::Iso(TextTime::new(exact_text(&column, facts.class), zone, latest))
            }
            (TimeFormat::Mediawiki, Class::Text { .. } | Class::Binary { .. }) => Form::Mediawiki,
            _ => Form::Never,
        };
        TimeColumn { column, class: facts.class, form }
    }

    /// Whether the column's type can hold the format at all.
    pub(super) fn is_possible(&self) -> bool {
        !matches!(self.form, Form::Never)
    }

    /// SQL that is true where the instant lies in `from..to`, in microseconds since 1970. Never true where there is
    /// no instant; may be NULL.
    pub(super) fn within(&self, from: i64, to: i64) -> String {
        let column = &self.column;
        match &self.form {
            Form::Number(format) => number_within(column, *format, from, to),
            Form::Local(zone) => self.local_within(zone, from, to),
            Form::Date(zone) => self.date_within(zone, from, to),
            Form::Iso(text) => text.within(column, from, to),
            Form::Mediawiki => self.mediawiki_within(from, to),
            Form::LocalWithoutZone | Form::DateWithoutZone | Form::Never => "FALSE".to_owned(),
        }
    }

    /// Strictly before `cutoff`, which is rounded towards keeping.
    pub(super) fn cutoff(&self, cutoff: Timestamp) -> Option<i64> {
        match &self.form {
            Form::Number(format) => {
                let number = format.to_number_floor(cutoff)?;
                Some(number * micros_per_unit(*format))
            }
            _ => i64::try_from(cutoff.as_nanosecond().div_euclid(1_000)).ok(),
        }
    }

    /// SQL that is true where a value would be in `from..to` if it were of UTC, and lacks a zone.
    pub(super) fn lacks_zone(&self, from: i64, to: i64) -> String {
        match &self.form {
            Form::LocalWithoutZone => self.local_within(&TimeZone::UTC, from, to),
            Form::DateWithoutZone => self.date_within(&TimeZone::UTC, from, to),
            Form::Iso(text) => text.lacks_zone(from, to),
            _ => "FALSE".to_owned(),
        }
    }

    /// SQL whose smallest value belongs to the oldest record, and is read by [`TimeColumn::read`].
    pub(super) fn sortable(&self) -> String {
        match &self.form {
            Form::Iso(text) => format!("CAST({} AS CHAR)", text.instant()),
            Form::Mediawiki => exact_text(&self.column, self.class),
            _ => self.column.clone(),
        }
    }

    /// The instant that a value of [`TimeColumn::sortable`] stands for.
    pub(super) fn read(&self, value: &str) -> Option<Timestamp> {
        match &self.form {
            Form::Number(format) => format.from_number(value.parse().ok()?),
            Form::Local(zone) | Form::Date(zone) => TimeFormat::Datetime.parse_text(value, Some(zone)),
            Form::Iso(_) => TimeFormat::Datetime.parse_text(value, Some(&TimeZone::UTC)),
            Form::Mediawiki => TimeFormat::Mediawiki.parse_text(value, None),
            Form::LocalWithoutZone | Form::DateWithoutZone | Form::Never => None,
        }
    }

    /// Numeric formats in which a column of numbers may be meant instead.
    pub(super) fn other_units(&self, from: i64, to: i64) -> Vec<(TimeFormat, String)> {
        if self.class != Class::Integer {
            return Vec::new();
        }
        let is_other = |format: &TimeFormat| {
            format.units_per_second().is_some() && !matches!(&self.form, Form::Number(own) if own == format)
        };
        let within = |format| (format, format!("({}) IS TRUE", number_within(&self.column, format, from, to)));
        TimeFormat::ALL.into_iter().filter(is_other).map(within).collect()
    }

    fn local_within(&self, zone: &TimeZone, from: i64, to: i64) -> String {
        let column = &self.column;
        let range = |(from, to): (DateTime, DateTime)| {
            format!("({column} >= {} AND {column} < {} AND {})", civil(from), civil(to), exists(column))
        };
        any(local_ranges(zone, from, to).into_iter().map(range))
    }

    /// A date is the last microsecond of its day: the microsecond before the next midnight.
    fn date_within(&self, zone: &TimeZone, from: i64, to: i64) -> String {
        let column = &self.column;
        let (from, to) = (from.saturating_add(1), to.saturating_add(1));
        let first_midnight = |at: DateTime| {
            let midnight = at.date().to_datetime(Default::default());
            if midnight == at { at.date() } else { at.date().tomorrow().unwrap_or(at.date()) }
        };
        let day = |at: DateTime| {
            let date = first_midnight(at).yesterday().unwrap_or(at.date());
            format!("DATE'{}'", date.strftime("%Y-%m-%d"))
        };
        let range = |(from, to): (DateTime, DateTime)| {
            format!("({column} >= {} AND {column} < {} AND {})", day(from), day(to), exists(column))
        };
        any(local_ranges(zone, from, to).into_iter().map(range))
    }

    /// Digits sort like what they stand for. Without a fraction, a bound within a second means the next one.
    fn mediawiki_within(&self, from: i64, to: i64) -> String {
        let digits = |micros: i64| {
            civil_of(ceiling_to(micros, SECOND)).map(|at| at.strftime("%Y%m%d%H%M%S").to_string()).unwrap_or_default()
        };
        let (from, to) = (digits(from), digits(to));
        let (column, exact) = (&self.column, exact_text(&self.column, self.class));
        let literal = |digits: &str| match self.class {
            Class::Binary { .. } => bytes(digits.as_bytes()),
            _ => text(digits),
        };
        format!("{column} >= {} AND {column} < {} AND {exact} REGEXP '{MEDIAWIKI}'", literal(&from), literal(&to))
    }
}

/// Fourteen digits that are a date and a time.
const MEDIAWIKI: &str = "^(([0-9]{4}(0[13578]|1[02])(0[1-9]|[12][0-9]|3[01]))|([0-9]{4}(0[469]|11)(0[1-9]|[12][0-9]|30))\
    |([0-9]{4}02(0[1-9]|1[0-9]|2[0-8]))|(([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)0229))\
    ([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]\\\\z";

fn number_within(column: &str, format: TimeFormat, from: i64, to: i64) -> String {
    let unit = micros_per_unit(format);
    let first = from.div_euclid(unit) + i64::from(from.rem_euclid(unit) > 0);
    let last = (to - 1).div_euclid(unit);
    format!("{column} BETWEEN {first} AND {last}")
}

fn micros_per_unit(format: TimeFormat) -> i64 {
    format.units_per_second().map_or(SECOND, |units| SECOND / units)
}

fn any(ranges: impl Iterator<Item = String>) -> String {
    let ranges: Vec<String> = ranges.collect();
    if ranges.is_empty() { "FALSE".to_owned() } else { format!("({})", ranges.join(" OR ")) }
}

/// True of a date that the calendar knows. The server can be told to store others: `2025-00-10`, `2025-02-30`. Most
/// days need no look at the month's length.
fn exists(column: &str) -> String {
    format!(
        "MONTH({column}) BETWEEN 1 AND 12 AND (DAYOFMONTH({column}) BETWEEN 1 AND 28 OR DAYOFMONTH({column}) BETWEEN 29 \
         AND (CASE MONTH({column}) WHEN 2 THEN 28 + \
         (YEAR({column}) % 4 = 0 AND (YEAR({column}) % 100 <> 0 OR YEAR({column}) % 400 = 0)) \
         WHEN 4 THEN 30 WHEN 6 THEN 30 WHEN 9 THEN 30 WHEN 11 THEN 30 ELSE 31 END))"
    )
}
