//! Instants written as text, in SQL that never fails: a cast happens only behind a check of shape and range.
//!
//! The rules are those of [`crate::config::TimeFormat`]. A local time that the clocks repeat or skip is read as the
//! later one, which is also how PostgreSQL's `AT TIME ZONE` reads it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Date; time, with its seconds and their fraction; offset. All after the date may be missing.
const ISO_8601: &str = "^([0-9]{4})-([0-9]{2})-([0-9]{2})\
     (?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.]([0-9]{1,9}))?)?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?$";

const MEDIAWIKI: &str = "^([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})$";

/// PostgreSQL's own bound on offsets; real ones lie between -12 and +14 hours.
const LARGEST_OFFSET_HOURS: u32 = 15;

/// No offset moves a date further than this.
const FARTHEST_OFFSET: SignedDuration = SignedDuration::from_hours(48);

/// The date and the time exist. PostgreSQL has no year 0.
const EXISTS: &str = "y > 0 AND mo BETWEEN 1 AND 12 AND d >= 1 AND h < 24 AND mi < 60 AND s < 60 AND d <= CASE \
     WHEN mo = 2 THEN CASE WHEN y % 4 = 0 AND (y % 100 <> 0 OR y % 400 = 0) THEN 29 ELSE 28 END \
     WHEN mo IN (4, 6, 9, 11) THEN 30 ELSE 31 END";

/// The instant, a `timestamptz`, in a column of text; NULL where there is none. `zone` is where a value without an
/// offset was written; without one, such a value is none.
pub(super) fn iso_8601(column: &str, zone: Option<&str>) -> String {
    // A fraction beyond microseconds is rounded up, towards keeping.
    let moment = "(make_timestamp(y, mo, d, h, mi, s) \
         + ceil(rpad(coalesce(p[7], ''), 9, '0')::int / 1000.0)::float8 * interval '1 microsecond')";
    let (day, local) = match zone.map(|zone| zone.replace('\'', "''")) {
        Some(zone) => (
            format!("((make_date(y, mo, d) + 1)::timestamp AT TIME ZONE '{zone}') - interval '1 microsecond'"),
            format!("{moment} AT TIME ZONE '{zone}'"),
        ),
        None => ("NULL".to_owned(), "NULL".to_owned()),
    };
    format!(
        "(SELECT CASE WHEN NOT ({EXISTS}) THEN NULL WHEN p[4] IS NULL THEN {day} WHEN p[8] IS NULL THEN {local} \
         WHEN oh <= {LARGEST_OFFSET_HOURS} AND om < 60 THEN \
         ({moment} - CASE WHEN left(p[8], 1) = '-' THEN -1 ELSE 1 END * make_interval(hours => oh, mins => om)) \
         AT TIME ZONE 'UTC' END FROM \
         (SELECT p, p[1]::int AS y, p[2]::int AS mo, p[3]::int AS d, coalesce(p[4], '0')::int AS h, \
         coalesce(p[5], '0')::int AS mi, coalesce(p[6], '0')::int AS s, \
         coalesce(nullif(substr(p[8], 2, 2), ''), '0')::int AS oh, \
         coalesce(nullif(right(substr(p[8], 4), 2), ''), '0')::int AS om \
         FROM regexp_match({column}::text, '{ISO_8601}') AS m(p) WHERE p IS NOT NULL) AS a)"
    )
}

/// The instant in fourteen digits of `text`, always UTC.
pub(super) fn mediawiki(text: &str) -> String {
    format!(
        "(SELECT CASE WHEN {EXISTS} THEN make_timestamp(y, mo, d, h, mi, s) AT TIME ZONE 'UTC' END FROM \
         (SELECT p[1]::int AS y, p[2]::int AS mo, p[3]::int AS d, p[4]::int AS h, p[5]::int AS mi, p[6]::int AS s \
         FROM regexp_match({text}, '{MEDIAWIKI}') AS m(p)) AS a)"
    )
}

/// True for every text that may be an instant before `end`, and cheap: dates as text order like dates.
pub(super) fn roughly_before(column: &str, end: Timestamp) -> String {
    let end = end.saturating_add(FARTHEST_OFFSET).unwrap_or(end);
    format!("{column}::text COLLATE \"C\" < '{}'", TimeZone::UTC.to_datetime(end).strftime("%Y-%m-%d"))
}
