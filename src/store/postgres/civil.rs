//! Local times and days that lie before an instant, so that the server never converts what has no zone.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::TimeFormat;

/// The local times whose instant lies before a given one. A time that the clocks repeat or skip is read as the later
/// one: so all before `end`, but for those skipped ones whose later reading is not before it.
pub(super) struct Civil {
    /// Nothing from here on.
    pub(super) end: DateTime,
    except: Option<(DateTime, DateTime)>,
}

impl Civil {
    /// Those before `instant`; `None` beyond the calendar.
    pub(super) fn before(instant: Timestamp, zone: &TimeZone) -> Option<Civil> {
        let local = zone.to_datetime(instant);
        let later = zone.to_ambiguous_timestamp(local).later().ok()?;
        if later > instant {
            // The first passage of an hour that the clocks repeat: all of that hour is read as the second one.
            let change = zone.following(instant).next()?;
            return Some(Civil { end: change.offset().to_datetime(change.timestamp()), except: None });
        }
        Some(Civil { end: local, except: skipped_since(instant, zone) })
    }

    /// True for a column's value that is one of them.
    pub(super) fn sql(&self, column: &str) -> String {
        let before = format!("{column} < {}", local_literal(self.end));
        match self.except {
            None => before,
            Some((from, until)) => format!(
                "{before} AND NOT ({column} >= {} AND {column} < {})",
                local_literal(from),
                local_literal(until)
            ),
        }
    }
}

/// Skipped local times that are read as `instant` or later, where the clocks were put forward just before.
fn skipped_since(instant: Timestamp, zone: &TimeZone) -> Option<(DateTime, DateTime)> {
    let just_after = instant.checked_add(SignedDuration::from_nanos(1)).ok()?;
    let change = zone.preceding(just_after).next()?;
    let (at, after) = (change.timestamp(), change.offset());
    let before = zone.to_offset(at.checked_sub(SignedDuration::from_nanos(1)).ok()?);
    let skipped = SignedDuration::from_secs(i64::from(after.seconds() - before.seconds()));
    (instant.duration_since(at) < skipped).then(|| (before.to_datetime(instant), after.to_datetime(at)))
}

/// The first day whose last microsecond is not before `instant`.
pub(super) fn first_day(instant: Timestamp, zone: &TimeZone) -> Option<Date> {
    /// A day's end lies at most so far from the day of an instant in it.
    const NEARBY: SignedDuration = SignedDuration::from_hours(48);
    let mut day = zone.to_datetime(instant.checked_sub(NEARBY).ok()?).date();
    while end_of_day(day, zone)? < instant {
        day = day.tomorrow().ok()?;
    }
    Some(day)
}

/// A date alone stands for the last microsecond of its day.
pub(super) fn end_of_day(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    TimeFormat::Datetime.parse_text(&day.to_string(), Some(zone))
}

/// A local time in SQL.
pub(super) fn local_literal(local: DateTime) -> String {
    format!("'{}'::timestamp", local.strftime("%Y-%m-%d %H:%M:%S%.6f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    /// Whether `local` is in the set, by the conditions that go into SQL.
    fn holds(civil: &Civil, local: DateTime) -> bool {
        local < civil.end && !civil.except.is_some_and(|(from, until)| from <= local && local < until)
    }

    #[test]
    fn local_times_around_every_clock_change_are_before_an_instant_exactly_if_their_later_reading_is() {
        for (name, change) in [
            ("Europe/Prague", "2025-03-30T01:00:00Z"),
            ("Europe/Prague", "2025-10-26T01:00:00Z"),
            ("America/New_York", "2025-03-09T07:00:00Z"),
            ("America/New_York", "2025-11-02T06:00:00Z"),
            ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
            ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
            ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ] {
            let (zone, change): (_, Timestamp) = (zone(name), change.parse().unwrap());
            for minutes in (-150..150).step_by(10) {
                let instant = change + SignedDuration::from_mins(minutes);
                let civil = Civil::before(instant, &zone).unwrap();
                let around = zone.to_datetime(change - SignedDuration::from_hours(30));
                for offset in (0..60 * 60).step_by(5) {
                    let local = around + SignedDuration::from_mins(offset);
                    let later = zone.to_ambiguous_timestamp(local).later().unwrap();
                    assert_eq!(holds(&civil, local), later < instant, "{name}: {local} before {instant}");
                }
            }
        }
    }

    #[test]
    fn a_day_is_before_an_instant_if_its_last_microsecond_is() {
        let prague = zone("Europe/Prague");
        let first = |instant: &str| first_day(instant.parse().unwrap(), &prague).unwrap().to_string();
        assert_eq!(first("2025-06-30T21:59:59.999999Z"), "2025-06-30");
        assert_eq!(first("2025-06-30T22:00:00Z"), "2025-07-01");
        assert_eq!(first("2025-01-01T12:00:00Z"), "2025-01-01");
    }
}
