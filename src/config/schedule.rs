//! When a site's purge is due: the five fields of crontab(5), in the site's time zone.
//!
//! The `cron` crate finds the next match; it does not speak crontab(5). It wants six fields, numbers the week from
//! Sunday = 1, demands day of month *and* weekday where crontab means *or*, accepts 30 February, and loses or repeats
//! runs when the clocks change. So the fields are read here and handed over as plain lists of numbers, the search
//! runs on civil time as if it were UTC, and the result is placed in the zone afterwards: a run due in the hour that
//! spring skips takes place the same day just after it, one due in the hour that autumn repeats takes place once.
//!
//! No other module names `cron` or `chrono`.

use std::fmt;
use std::str::FromStr;

use chrono::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

mod field;

pub use field::{Field, Mistake};
use field::{Values, read_field};

#[cfg(test)]
mod tests;

/// The widest step of a zone's clock: across the date line. A run skipped by a step is due within this time after it.
const WIDEST_STEP: SignedDuration = SignedDuration::from_hours(24);

/// When runs are due, as written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    /// A run is due when any of them matches: two when day of month and weekday are both restricted.
    alternatives: Vec<cron::Schedule>,
}

/// Why a text is no schedule.
///
/// The message says what is wrong; [`ScheduleError::hint`] says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error("`{text}` has {count} fields; a schedule has five")]
    FieldCount {
        /// As written.
        text: String,
        /// Fields found.
        count: usize,
    },
    /// One field cannot be read.
    #[error("`{text}` is not a valid {field}: {mistake}")]
    Field {
        /// The field, as written.
        text: String,
        /// Which one it is.
        field: Field,
        /// What is wrong with it.
        mistake: Mistake,
    },
    /// A `@name` that crontab(5) does not know.
    #[error("`{text}` is not a schedule")]
    UnknownName {
        /// As written.
        text: String,
    },
    /// `@reboot`, which is no time.
    #[error("`@reboot` is not a time: a daemon that starts often or never would erase at random or never")]
    Reboot,
    /// Well formed, but no such day exists.
    #[error("`{text}` is never due: no such date exists")]
    NeverDue {
        /// As written.
        text: String,
    },
}

impl ScheduleError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::FieldCount { count: 6 | 7, .. } => {
                "write minute, hour, day of month, month, weekday, without seconds or years: `30 3 * * *`".into()
            }
            Self::FieldCount { .. } => "write minute, hour, day of month, month, weekday: `30 3 * * *`".into(),
            Self::Field { field, mistake, .. } => mistake.hint(*field),
            Self::UnknownName { .. } => {
                "write five fields such as `30 3 * * *`, or one of `@hourly`, `@daily`, `@midnight`, `@weekly`, \
                 `@monthly`, `@yearly`, `@annually`"
                    .into()
            }
            Self::Reboot => {
                "write a time, such as `30 3 * * *`; a run missed while the system was down is made up".into()
            }
            Self::NeverDue { .. } => "write a day that the month has".into(),
        }
    }
}

impl Schedule {
    /// The first instant strictly after `after` at which a run is due in `zone`; `None` beyond the year 2100.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.alternatives.iter().filter_map(|times| next_of(times, after, zone)).min()
    }
}

/// The earliest of the civil times of `times` that lies after `after` once placed in the zone.
///
/// Placing keeps the order, except that a time in a gap moves behind those that follow the gap. So the search begins
/// on the clock as it was before any step just made, and goes on until a time that is not in a gap.
fn next_of(times: &cron::Schedule, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let before_step = after.checked_sub(WIDEST_STEP).unwrap_or(Timestamp::MIN);
    let offset = zone.to_offset(after).min(zone.to_offset(before_step));
    let local_second = after.as_nanosecond().div_euclid(1_000_000_000) + i128::from(offset.seconds());
    let start = DateTime::from_timestamp(i64::try_from(local_second).ok()?, 0)?;

    let mut earliest = None;
    for time in times.after(&start) {
        let civil = TimeZone::UTC.to_datetime(Timestamp::from_second(time.timestamp()).ok()?);
        let placed = zone.to_ambiguous_timestamp(civil);
        let in_gap = matches!(placed.offset(), jiff::tz::AmbiguousOffset::Gap { .. });
        let due = placed.compatible().ok()?;
        if due > after {
            earliest = Some(earliest.map_or(due, |other: Timestamp| other.min(due)));
            if !in_gap {
                break;
            }
        }
    }
    earliest
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let expanded = if text.starts_with('@') { named(text)? } else { text };
        let [minute, hour, day, month, weekday] = split(expanded)?;
        let minutes = read_field(Field::Minute, minute)?;
        let hours = read_field(Field::Hour, hour)?;
        let days = read_field(Field::DayOfMonth, day)?;
        let months = read_field(Field::Month, month)?;
        let weekdays = read_field(Field::Weekday, weekday)?;

        let build = |days: Option<&Values>, weekdays: Option<&Values>| times(&minutes, &hours, days, &months, weekdays);
        // crontab(5): a field that begins with an asterisk does not restrict, and of two that do either is enough.
        let either = !day.starts_with('*') && !weekday.starts_with('*');
        let all = if either {
            vec![build(Some(&days), None), build(None, Some(&weekdays))]
        } else {
            vec![build(Some(&days), Some(&weekdays))]
        };
        let alternatives: Vec<_> = all.into_iter().flatten().filter(is_ever_due).collect();
        if alternatives.is_empty() {
            return Err(ScheduleError::NeverDue { text: text.into() });
        }
        Ok(Self { text: text.into(), alternatives })
    }
}

/// The names of crontab(5) for frequent schedules.
fn named(text: &str) -> Result<&'static str, ScheduleError> {
    match text {
        "@hourly" => Ok("0 * * * *"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@monthly" => Ok("0 0 1 * *"),
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@reboot" => Err(ScheduleError::Reboot),
        _ => Err(ScheduleError::UnknownName { text: text.into() }),
    }
}

fn split(text: &str) -> Result<[&str; 5], ScheduleError> {
    let fields: Vec<&str> = text.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
    <[&str; 5]>::try_from(fields).map_err(|fields| ScheduleError::FieldCount { text: text.into(), count: fields.len() })
}

/// The same times in the words of the `cron` crate: seconds first, and the week from Sunday = 1.
fn times(
    minutes: &Values,
    hours: &Values,
    days: Option<&Values>,
    months: &Values,
    weekdays: Option<&Values>,
) -> Option<cron::Schedule> {
    let list = |values: &Values| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let any = || String::from("*");
    let days = days.map_or_else(any, list);
    let weekdays = weekdays.map_or_else(any, |values| list(&values.iter().map(|day| day + 1).collect()));
    format!("0 {} {} {days} {} {weekdays}", list(minutes), list(hours), list(months)).parse().ok()
}

/// From 1970 to 2100 every date that exists falls on every weekday, so what is not due by then never is.
fn is_ever_due(times: &cron::Schedule) -> bool {
    times.after(&DateTime::UNIX_EPOCH).next().is_some()
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
