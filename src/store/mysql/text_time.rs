//! Instants written as text after ISO 8601, taken apart in SQL.
//!
//! First a grammar decides whether the text is certainly a time, down to the days of each month: what it lets
//! through converts without a warning, and in a statement that changes rows a warning would be an error. Then the
//! parts become an instant in UTC, rounded up to the microsecond (towards keeping).

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::sql::civil;
use super::zones::{Stretch, civil_of, stretches};
use crate::config::time_format::EARLIEST_PLAUSIBLE;

/// Date, and perhaps a time, and behind that perhaps an offset of at most 15 hours. Years before 1994 are never
/// plausible, whatever the offset.
const GRAMMAR: &str = "^(((199[4-9]|[2-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])\
    |(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])))\
    |(([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29))\
    ([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?([Zz]|[-+](0[0-9]|1[0-5])(:?[0-5][0-9])?)?)?\\\\z";

/// What stands behind the minutes: where the offset begins, if there is one.
const OFFSET: &str = "[-Zz+].*";

/// A column of such text.
#[derive(Debug)]
pub(super) struct TextTime {
    /// The value, compared byte by byte.
    text: String,
    /// How local time becomes an instant; `None` where the zone is not known.
    zone: Option<Vec<Stretch>>,
}

impl TextTime {
    /// A column whose value is `text`. `zone` is where values without an offset were written.
    pub(super) fn new(text: String, zone: Option<TimeZone>, latest: Timestamp) -> TextTime {
        let zone = zone.map(|zone| stretches(&zone, EARLIEST_PLAUSIBLE, latest));
        TextTime { text, zone }
    }

    /// The instant, as a DATETIME(6) of UTC; NULL where there is none.
    pub(super) fn instant(&self) -> String {
        self.instant_in(self.zone.as_deref())
    }

    fn instant_in(&self, zone: Option<&[Stretch]>) -> String {
        let (text, offset) = (&self.text, self.offset());
        let is_date = format!("CHAR_LENGTH({text}) = 10");
        let local = format!("IF({is_date}, CAST(LEFT({text}, 10) AS DATETIME(6)) + INTERVAL 1 DAY, {})", self.local());
        let in_zone = zone.map_or("NULL".to_owned(), |stretches| {
            // A date alone is the last microsecond of its day: the one before the next midnight.
            format!("{local} - INTERVAL {} SECOND - INTERVAL ({is_date}) MICROSECOND", seconds_east(&local, stretches))
        });
        let digits = format!("REPLACE({offset}, ':', '')");
        let minutes = format!("(SUBSTR({digits}, 2, 2) * 60 + CONCAT('0', SUBSTR({digits}, 4, 2)))");
        let written = self.local();
        format!(
            "(CASE WHEN {text} IS NULL OR NOT {text} REGEXP '{GRAMMAR}' THEN NULL WHEN {offset} = '' THEN {in_zone} \
             WHEN {offset} IN ('Z', 'z') THEN {written} \
             WHEN LEFT({offset}, 1) = '-' THEN {written} + INTERVAL {minutes} MINUTE \
             ELSE {written} - INTERVAL {minutes} MINUTE END)"
        )
    }

    /// SQL that is true where the instant lies in `from..to`. Before the exact comparison stands a range of dates as
    /// text, which an index can serve and which no offset can make too narrow.
    pub(super) fn within(&self, column: &str, from: i64, to: i64) -> String {
        let day = |micros: i64, hours: i64| {
            let at = Timestamp::from_microsecond(micros).unwrap_or_default();
            let at = at.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(at);
            super::sql::text(&at.strftime("%Y-%m-%d").to_string())
        };
        format!(
            "{column} >= {} AND {column} < {} AND {}",
            day(from, -48),
            day(to, 48),
            bounds(&self.instant(), from, to)
        )
    }

    /// SQL that is true where the text would lie in `from..to` if it were of UTC, and has no offset.
    pub(super) fn lacks_zone(&self, from: i64, to: i64) -> String {
        if self.zone.is_some() {
            return "FALSE".to_owned();
        }
        let utc = stretches(&TimeZone::UTC, EARLIEST_PLAUSIBLE, EARLIEST_PLAUSIBLE);
        let in_utc = self.instant_in(Some(&utc));
        format!("({} IS NULL AND {})", self.instant(), bounds(&in_utc, from, to))
    }

    /// The time as written, rounded up to the microsecond.
    fn local(&self) -> String {
        let text = &self.text;
        let fraction = format!("RPAD(SUBSTR(COALESCE(REGEXP_SUBSTR({text}, '[.][0-9]+'), ''), 2), 9, '0')");
        let seconds = format!("IF(SUBSTR({text}, 17, 1) = ':', SUBSTR({text}, 18, 2), '00')");
        format!(
            "(CAST(CONCAT(LEFT({text}, 10), ' ', SUBSTR({text}, 12, 5), ':', {seconds}, '.', LEFT({fraction}, 6)) \
             AS DATETIME(6)) + INTERVAL (SUBSTR({fraction}, 7) <> '000') MICROSECOND)"
        )
    }

    /// The offset as written; empty where there is none.
    fn offset(&self) -> String {
        format!("COALESCE(REGEXP_SUBSTR(SUBSTR({}, 17), '{OFFSET}'), '')", self.text)
    }
}

/// The offset of a local time: a search tree over the stretches, so that few comparisons are made.
fn seconds_east(local: &str, stretches: &[Stretch]) -> String {
    match stretches {
        [] => "NULL".to_owned(),
        [stretch] => stretch.offset.seconds().to_string(),
        _ => {
            let (earlier, later) = stretches.split_at(stretches.len() / 2);
            let start = later.first().map(|stretch| civil(stretch.start)).unwrap_or_default();
            format!("IF({local} < {start}, {}, {})", seconds_east(local, earlier), seconds_east(local, later))
        }
    }
}

fn bounds(instant: &str, from: i64, to: i64) -> String {
    let (Some(from), Some(last)) = (civil_of(from), civil_of(to - 1)) else { return "FALSE".to_owned() };
    format!("{instant} BETWEEN {} AND {}", civil(from), civil(last))
}
