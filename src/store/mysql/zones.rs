//! Local time and instants, both ways, as ranges.
//!
//! A local time that a clock change repeats or skips is read as the later of the two instants (towards keeping). So
//! read, the calendar falls into consecutive stretches, one for each offset: the stretch of an offset ends where, on
//! the clock, the next offset is in force. Within a stretch local time and instants run side by side.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A stretch of the calendar and the offset with which it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first local time.
    pub(super) start: DateTime,
    /// The first local time after it.
    pub(super) end: DateTime,
    /// Local time minus this is the instant.
    pub(super) offset: Offset,
}

/// No zone is further from UTC than this.
const FURTHEST: SignedDuration = SignedDuration::from_hours(26);

/// The stretches around the instants from `from` to `to`.
pub(super) fn stretches(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Stretch> {
    let from = from.saturating_sub(FURTHEST * 2).unwrap_or(from);
    let to = to.saturating_add(FURTHEST * 2).unwrap_or(to);
    let mut offset = zone.to_offset(from);
    let mut start = offset.to_datetime(from);
    let mut stretches = Vec::new();
    for change in zone.following(from) {
        let at = change.timestamp();
        if at >= to {
            break;
        }
        let end = change.offset().to_datetime(at);
        if change.offset() != offset {
            stretches.push(Stretch { start, end, offset });
            (start, offset) = (end, change.offset());
        }
    }
    stretches.push(Stretch { start, end: offset.to_datetime(to), offset });
    stretches
}

/// The local times that stand for the instants `from..to`, in microseconds since 1970, as half-open ranges.
pub(super) fn local_ranges(zone: &TimeZone, from: i64, to: i64) -> Vec<(DateTime, DateTime)> {
    let (Ok(first), Ok(end)) = (Timestamp::from_microsecond(from), Timestamp::from_microsecond(to)) else {
        return Vec::new();
    };
    let mut ranges: Vec<(DateTime, DateTime)> = Vec::new();
    for stretch in stretches(zone, first, end) {
        let from = stretch.start.max(stretch.offset.to_datetime(first));
        let to = stretch.end.min(stretch.offset.to_datetime(end));
        if from >= to {
            continue;
        }
        match ranges.last_mut() {
            Some((_, last)) if *last == from => *last = to,
            _ => ranges.push((from, to)),
        }
    }
    ranges
}

/// The time in UTC.
pub(super) fn civil_of(micros: i64) -> Option<DateTime> {
    Timestamp::from_microsecond(micros).ok().map(|instant| Offset::UTC.to_datetime(instant))
}

/// The next multiple of `unit`.
pub(super) fn ceiling_to(micros: i64, unit: i64) -> i64 {
    micros.div_euclid(unit).saturating_add(i64::from(micros.rem_euclid(unit) > 0)).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::TimeFormat;

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    proptest! {
        #[test]
        fn a_local_time_is_in_the_ranges_exactly_if_it_stands_for_an_instant_between(
            minute in 0..(60_i64 * 24 * 6),
            cutoff in 0..(60_i64 * 24 * 6),
            zone in prop::sample::select(vec!["UTC", "Europe/Prague", "America/New_York", "Australia/Lord_Howe"]),
            around in prop::sample::select(vec!["2025-03-28", "2025-10-24", "2025-03-07", "2025-10-31", "2025-10-03", "2025-04-04"]),
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let start = micros(&format!("{around}T00:00:00Z"));
            let local = civil_of(start + minute * 60_000_000).unwrap();
            let written = local.strftime("%Y-%m-%d %H:%M:%S").to_string();
            let instant = TimeFormat::Datetime.parse_text(&written, Some(&zone)).unwrap().as_microsecond();
            let (from, to) = (micros("1995-01-01T00:00:00Z"), start + cutoff * 60_000_000);
            let is_in = local_ranges(&zone, from, to).iter().any(|(from, to)| *from <= local && local < *to);
            prop_assert_eq!(is_in, from <= instant && instant < to);
        }
    }

    #[test]
    fn without_clock_changes_nearby_one_range_is_enough() {
        let zone = TimeZone::get("Europe/Prague").unwrap();
        let ranges = local_ranges(&zone, micros("1995-01-01T00:00:00Z"), micros("2025-09-01T00:00:00Z"));
        assert_eq!(ranges, [("1995-01-01T01:00:00".parse().unwrap(), "2025-09-01T02:00:00".parse().unwrap())]);
    }
}
