//! How long a record may be kept: `6 months`, `90 days`, `36 hours`.
//!
//! The grammar is our own and strict. General parsers of durations read `6m` as six minutes, and a period that is
//! read shorter than it was meant erases what the site was entitled to keep.
//!
//! Days, weeks, months and years are whole calendar days of the site's zone: the cutoff is always a local midnight.
//! Every rounding on the way there goes towards keeping, and the cutoff never steps back as time goes on. Arithmetic
//! that carries the time of day would step back: six months before 30 August 10:00 is 28 February 10:00, six months
//! before 31 August 09:00 is 28 February 09:00. The repeated hour of a clock change would do the same. A cutoff that
//! steps back lets a record be expired now and kept an hour later, and no evidence could be checked against it.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod grammar;

pub use grammar::PeriodError;

#[cfg(test)]
mod tests;

/// Bounds of the length of a local day in hours. Ordinary clock changes move by up to one hour; [`ZONE_SLACK_HOURS`]
/// covers the rest.
const DAY_HOURS: (u64, u64) = (23, 25);

/// Hours by which a zone may have moved once beyond [`DAY_HOURS`]: crossing the date line costs or adds a whole day.
const ZONE_SLACK_HOURS: u64 = 24;

/// The fewest days that this many consecutive months can have, 0 to 11 of them.
const FEWEST_DAYS_OF_MONTHS: [u64; 12] = [0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334];

/// The most days that this many consecutive months can have, 0 to 11 of them.
const MOST_DAYS_OF_MONTHS: [u64; 12] = [0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337];

/// Days among which the expiry of a record lies once its period is added: a shortened month and a shifted zone move it
/// by three at most.
const SEARCHED_DAYS: usize = 8;

/// How long records are kept: at least 24 hours, at most 100 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Hours,
    Days,
    Weeks,
    Months,
    Years,
}

impl Period {
    /// The instant before which (strictly) a record is expired at `now`.
    ///
    /// It never steps back when `now` advances. A month that is too short gives its last day: six months before
    /// 31 August is 28 February. Where a local midnight does not exist or exists twice, the earlier instant counts as
    /// the cutoff.
    ///
    /// # Errors
    ///
    /// [`PeriodError::OutOfRange`] when the date leaves the calendar.
    pub fn cutoff(&self, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, PeriodError> {
        let cutoff = match self.unit {
            Unit::Hours => now.checked_sub(self.as_duration()).ok(),
            _ => completed_midnight(now, zone)
                .and_then(|today| today.checked_sub(self.as_span()).ok())
                .and_then(|day| earlier_midnight(day, zone)),
        };
        cutoff.ok_or(PeriodError::OutOfRange)
    }

    /// The first instant at which a record of the instant `record` is expired; `None` when it is out of range.
    pub fn expiry(&self, record: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.unit == Unit::Hours {
            let kept_until = record.checked_add(self.as_duration()).ok()?;
            return kept_until.checked_add(SignedDuration::from_nanos(1)).ok();
        }
        // Adding a period does not undo subtracting it (31 August + 6 months − 6 months = 28 August), so the sum only
        // says where to look.
        let first = zone.to_datetime(record).date().yesterday().ok()?.checked_add(self.as_span()).ok()?;
        first
            .series(Span::new().days(1))
            .take(SEARCHED_DAYS)
            .find(|day| {
                let cutoff = day.checked_sub(self.as_span()).ok().and_then(|start| earlier_midnight(start, zone));
                cutoff.is_some_and(|cutoff| record < cutoff)
            })
            .and_then(|day| later_midnight(day, zone))
    }

    /// Whether this period provably keeps every record as long as `other` or longer, whatever the date and the zone.
    ///
    /// `false` in doubt: 30 days and 1 month keep longer than one another by turns.
    pub fn keeps_at_least(&self, other: &Self) -> bool {
        match (self.length(), other.length()) {
            (Length::Hours(own), Length::Hours(others)) => own >= others,
            (Length::Days(own), Length::Days(others)) => own >= others,
            (Length::Months(own), Length::Months(others)) => own >= others,
            (Length::Days(own), Length::Months(others)) => own >= most_days(others),
            (Length::Months(own), Length::Days(others)) => fewest_days(own) >= others,
            (Length::Days(own), Length::Hours(others)) => fewest_hours(own) >= others,
            (Length::Months(own), Length::Hours(others)) => fewest_hours(fewest_days(own)) >= others,
            (Length::Hours(own), Length::Days(others)) => own >= most_hours(others),
            (Length::Hours(own), Length::Months(others)) => own >= most_hours(most_days(others)),
        }
    }

    /// The longest time that anybody means by this period: a month is 31 days, a year 366.
    ///
    /// For what others keep: who means six months may count calendar months or thirty-one days six times.
    pub fn longest(&self) -> SignedDuration {
        const LONGEST_MONTH: u64 = 31;
        const LONGEST_YEAR: u64 = 366;
        let hours = match self.length() {
            Length::Hours(hours) => hours,
            Length::Days(days) => days * 24,
            Length::Months(months) => (months / 12 * LONGEST_YEAR + months % 12 * LONGEST_MONTH) * 24,
        };
        SignedDuration::from_hours(i64::try_from(hours).unwrap_or(i64::MAX / 3600))
    }

    fn length(self) -> Length {
        let count = u64::from(self.count);
        match self.unit {
            Unit::Hours => Length::Hours(count),
            Unit::Days => Length::Days(count),
            Unit::Weeks => Length::Days(count * 7),
            Unit::Months => Length::Months(count),
            Unit::Years => Length::Months(count * 12),
        }
    }

    fn as_duration(self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.count))
    }

    fn as_span(self) -> Span {
        let count = i64::from(self.count);
        match self.unit {
            Unit::Hours => Span::new().hours(count),
            Unit::Days => Span::new().days(count),
            Unit::Weeks => Span::new().weeks(count),
            Unit::Months => Span::new().months(count),
            Unit::Years => Span::new().years(count),
        }
    }
}

/// A period in the unit it is exact in.
#[derive(Clone, Copy)]
enum Length {
    Hours(u64),
    Days(u64),
    Months(u64),
}

/// Whole years of 365 days, and the shortest run of the months left over.
fn fewest_days(months: u64) -> u64 {
    months / 12 * 365 + FEWEST_DAYS_OF_MONTHS[left_over(months)]
}

/// Whole years of 366 days, and the longest run of the months left over.
fn most_days(months: u64) -> u64 {
    months / 12 * 366 + MOST_DAYS_OF_MONTHS[left_over(months)]
}

fn left_over(months: u64) -> usize {
    usize::from(u8::try_from(months % 12).unwrap_or_default())
}

/// The least time between the midnight that a period of `days` goes back to and any instant of the day it starts from.
fn fewest_hours(days: u64) -> u64 {
    (days * DAY_HOURS.0).saturating_sub(ZONE_SLACK_HOURS)
}

/// The most time between them: the day that has begun counts too.
fn most_hours(days: u64) -> u64 {
    (days + 1) * DAY_HOURS.1 + ZONE_SLACK_HOURS
}

/// The last day whose midnight is over at `now`, on every reading of the clock.
///
/// The local date itself can step back: Newfoundland used to repeat an hour from 00:01, so that a new day began,
/// ended after a minute, and began again.
fn completed_midnight(now: Timestamp, zone: &TimeZone) -> Option<Date> {
    let date = zone.to_datetime(now).date();
    if later_midnight(date, zone)? <= now { Some(date) } else { date.yesterday().ok() }
}

fn earlier_midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).earlier().ok()
}

fn later_midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).later().ok()
}

impl Unit {
    fn singular(self) -> &'static str {
        match self {
            Self::Hours => "hour",
            Self::Days => "day",
            Self::Weeks => "week",
            Self::Months => "month",
            Self::Years => "year",
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.count, self.unit.singular())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
