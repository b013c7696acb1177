//! Conditions on the time column, by how the column holds an instant.
//!
//! Numbers and the server's own types are compared as they are stored, so that an index serves. A local time without
//! a zone is never converted by the server, whose zone database may be older than ours: the cutoff is turned into
//! local time instead, with the one exception that a clock change can make ([`Civil`]). Only text is converted row by
//! row, behind a check of its shape, because a cast of what is no time would fail.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::civil::{Civil, end_of_day, first_day, local_literal};
use super::schema::{ColumnFacts, ColumnKind, qualified};
use super::text_time;
use crate::config::TimeFormat;
use crate::config::site::{RowTime, TimeMeaning};
use crate::config::time_format::{EARLIEST_PLAUSIBLE, FUTURE_TOLERANCE};

/// An expiry further away than this is a mistake, not a plan.
const LONGEST_EXPIRY: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// The resolution of PostgreSQL's types.
const MICROSECOND: SignedDuration = SignedDuration::from_micros(1);

/// Conditions on the time column.
#[derive(Debug, Clone)]
pub(super) struct TimeSql {
    column: String,
    reading: Reading,
    earliest: Timestamp,
    /// The first instant that is too late to be plausible.
    end: Timestamp,
}

/// How the column is read.
#[derive(Debug, Clone)]
enum Reading {
    Number(TimeFormat),
    Instant,
    Local(TimeZone),
    Day(TimeZone),
    /// SQL of the instant, NULL where there is none; and the same for texts that have no zone, read as UTC.
    Text {
        instant: String,
        zoneless: Option<String>,
        /// Dates of the text order like the text itself.
        ordered: bool,
    },
    /// The type does not fit the format, or the zone is missing.
    Unreadable {
        /// What it would be with a zone.
        with_zone: Option<Box<Reading>>,
    },
}

/// How the smallest time of matching rows becomes an instant.
#[derive(Debug)]
pub(super) enum Oldest {
    Number(TimeFormat),
    Micros,
    LocalMicros(TimeZone),
    Day(TimeZone),
}

impl Oldest {
    /// SQL of the number that stands for a value: not asked of every row, since the server reckons slowly in it.
    pub(super) fn number(&self, value: &str) -> String {
        match self {
            Oldest::Number(_) => format!("({value})::int8"),
            Oldest::Micros | Oldest::LocalMicros(_) => format!("(extract(epoch FROM {value}) * 1000000)::int8"),
            Oldest::Day(_) => format!("({value} - '1970-01-01'::date)::int8"),
        }
    }

    /// The instant that a number from the server stands for.
    pub(super) fn instant(&self, number: i64) -> Option<Timestamp> {
        match self {
            Oldest::Number(format) => format.from_number(number),
            Oldest::Micros => Timestamp::from_microsecond(number).ok(),
            Oldest::LocalMicros(zone) => {
                let local = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(number).ok()?);
                zone.to_ambiguous_timestamp(local).later().ok()
            }
            Oldest::Day(zone) => {
                let start = Timestamp::from_second(number.checked_mul(86_400)?).ok()?;
                end_of_day(TimeZone::UTC.to_datetime(start).date(), zone)
            }
        }
    }
}

impl TimeSql {
    /// The conditions at the moment `now`.
    pub(super) fn new(time: &RowTime, column: &ColumnFacts, now: Timestamp) -> TimeSql {
        let ahead = match time.meaning {
            TimeMeaning::Recorded => FUTURE_TOLERANCE,
            TimeMeaning::Expires => LONGEST_EXPIRY,
        };
        let latest = now.saturating_add(ahead).unwrap_or(now);
        TimeSql {
            column: qualified(&time.column),
            reading: reading(time, column),
            earliest: EARLIEST_PLAUSIBLE,
            end: whole_microseconds(latest).saturating_add(MICROSECOND).unwrap_or(latest),
        }
    }

    /// True where the value is a plausible instant. Never NULL.
    pub(super) fn datable(&self) -> String {
        self.datable_as(&self.reading)
    }

    fn datable_as(&self, reading: &Reading) -> String {
        match self.between(reading, self.end) {
            Some(between) => format!("coalesce({between}, false)"),
            None => "false".to_owned(),
        }
    }

    /// SQL over all rows, true where the smallest and the largest value are plausible instants, so that every value that
    /// is not NULL is one. `None` where values do not order as the instants do.
    pub(super) fn all_datable(&self) -> Option<String> {
        let ordered = matches!(self.reading, Reading::Number(_) | Reading::Instant | Reading::Day(_));
        let of = |extreme: &str| {
            let column = format!("{extreme}({})", self.column);
            TimeSql { column, ..self.clone() }.datable()
        };
        ordered.then(|| format!("{} AND {}", of("min"), of("max")))
    }

    /// Datable and strictly before `cutoff`. Where there is no cutoff: nothing is.
    pub(super) fn expired(&self, cutoff: Option<Timestamp>) -> String {
        let expired = cutoff.and_then(|cutoff| self.between(&self.reading, whole_microseconds(cutoff).min(self.end)));
        expired.unwrap_or_else(|| "false".to_owned())
    }

    /// From the earliest plausible instant until `end`, exclusively. May be NULL.
    fn between(&self, reading: &Reading, end: Timestamp) -> Option<String> {
        let column = &self.column;
        Some(match reading {
            Reading::Number(format) => {
                let first = format.to_number_floor(self.earliest)?;
                // The last whole unit that lies before the end.
                let last = match end == self.end {
                    true => format.to_number_floor(end.checked_sub(MICROSECOND).ok()?)?,
                    false => format.to_number_floor(end)?.checked_sub(1)?,
                };
                format!("{column} BETWEEN {first} AND {last}")
            }
            Reading::Instant => {
                format!("{column} >= {} AND {column} < {}", literal(self.earliest), literal(end))
            }
            Reading::Local(zone) => {
                let (from, until) = (Civil::before(self.earliest, zone)?, Civil::before(end, zone)?);
                format!("{column} >= {} AND {}", local_literal(from.end), until.sql(column))
            }
            Reading::Day(zone) => {
                let (from, until) = (first_day(self.earliest, zone)?, first_day(end, zone)?);
                format!("{column} >= '{from}'::date AND {column} < '{until}'::date")
            }
            Reading::Text { instant, ordered, .. } => {
                let exact = format!("{instant} >= {} AND {instant} < {}", literal(self.earliest), literal(end));
                match ordered {
                    true => format!("{} AND {exact}", text_time::roughly_before(column, end)),
                    false => exact,
                }
            }
            Reading::Unreadable { .. } => return None,
        })
    }

    /// The type of the column, and the value from which on no row is expired, below which every one is: for bounds of
    /// partitions, as the catalog writes them.
    pub(super) fn first_kept(&self, cutoff: Timestamp) -> Option<(&'static str, String)> {
        let cutoff = whole_microseconds(cutoff);
        Some(match &self.reading {
            Reading::Number(format) => ("int8", format.to_number_floor(cutoff)?.to_string()),
            Reading::Instant => ("timestamptz", literal(cutoff)),
            Reading::Local(zone) => ("timestamp", local_literal(Civil::before(cutoff, zone)?.end)),
            Reading::Day(zone) => ("date", format!("'{}'::date", first_day(cutoff, zone)?)),
            Reading::Text { .. } | Reading::Unreadable { .. } => return None,
        })
    }

    /// SQL of a value whose minimum over rows is the oldest, and how to read it.
    pub(super) fn oldest(&self) -> Option<(String, Oldest)> {
        let column = self.column.clone();
        Some(match &self.reading {
            Reading::Number(format) => (column, Oldest::Number(*format)),
            Reading::Instant => (column, Oldest::Micros),
            Reading::Local(zone) => (column, Oldest::LocalMicros(zone.clone())),
            Reading::Day(zone) => (column, Oldest::Day(zone.clone())),
            Reading::Text { instant, .. } => (instant.clone(), Oldest::Micros),
            Reading::Unreadable { .. } => return None,
        })
    }

    /// Other numeric formats, each with SQL that is true where a number is plausible in it.
    pub(super) fn other_units(&self, column: &ColumnFacts, declared: TimeFormat) -> Vec<(TimeFormat, String)> {
        if column.kind != ColumnKind::Integer {
            return Vec::new();
        }
        let others = TimeFormat::ALL.into_iter().filter(|format| *format != declared);
        others.filter_map(|format| Some((format, self.between(&Reading::Number(format), self.end)?))).collect()
    }

    /// SQL that is true where a value makes sense but for its missing zone; `None` where that cannot be.
    pub(super) fn lacks_zone(&self) -> Option<String> {
        match &self.reading {
            Reading::Unreadable { with_zone: Some(reading) } => Some(self.datable_as(reading)),
            Reading::Text { zoneless: Some(instant), .. } => {
                let reading = Reading::Text { instant: instant.clone(), zoneless: None, ordered: false };
                Some(self.datable_as(&reading))
            }
            _ => None,
        }
    }
}

fn reading(time: &RowTime, column: &ColumnFacts) -> Reading {
    let zone = time.zone.as_ref().map(|zone| zone.zone.clone());
    let name = qualified(&time.column);
    let zoned = |make: fn(TimeZone) -> Reading| match zone.clone() {
        Some(zone) => make(zone),
        None => Reading::Unreadable { with_zone: Some(Box::new(make(TimeZone::UTC))) },
    };
    match (time.format, column.kind) {
        (TimeFormat::UnixSeconds | TimeFormat::UnixMillis | TimeFormat::UnixMicros, ColumnKind::Integer) => {
            Reading::Number(time.format)
        }
        (TimeFormat::Datetime, ColumnKind::Timestamptz) => Reading::Instant,
        (TimeFormat::Datetime, ColumnKind::Timestamp) => zoned(Reading::Local),
        (TimeFormat::Datetime, ColumnKind::Date) => zoned(Reading::Day),
        (TimeFormat::Iso8601, ColumnKind::Text) => match &time.zone {
            Some(zone) => {
                Reading::Text { instant: text_time::iso_8601(&name, Some(&zone.name)), zoneless: None, ordered: true }
            }
            None => Reading::Text {
                instant: text_time::iso_8601(&name, None),
                zoneless: Some(text_time::iso_8601(&name, Some("UTC"))),
                ordered: true,
            },
        },
        (TimeFormat::Mediawiki, ColumnKind::Text) => {
            Reading::Text { instant: text_time::mediawiki(&format!("{name}::text")), zoneless: None, ordered: false }
        }
        (TimeFormat::Mediawiki, ColumnKind::Bytea) => {
            let text = format!("encode({name}, 'escape')");
            Reading::Text { instant: text_time::mediawiki(&text), zoneless: None, ordered: false }
        }
        _ => Reading::Unreadable { with_zone: None },
    }
}

/// Rounded down, towards keeping, to what PostgreSQL stores.
fn whole_microseconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_nanosecond().div_euclid(1_000).try_into().unwrap_or(i64::MIN))
        .unwrap_or(Timestamp::MIN)
}

/// An instant in SQL.
pub(super) fn literal(instant: Timestamp) -> String {
    format!("'{}+00'::timestamptz", TimeZone::UTC.to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S%.6f"))
}
