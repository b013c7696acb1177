//! How a store writes instants down, and the conversions that every kind of store shares.
//!
//! A value that is not certainly an instant is undatable: `None`, kept and counted, never guessed. A value that
//! stands for more than one instant (a bare date, a local time that a clock change repeats or skips) is read as the
//! latest of them. Both lean towards keeping.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(test)]
mod tests;

/// How a column holds an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeFormat {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    UnixSeconds,
    /// Whole milliseconds since then.
    UnixMillis,
    /// Whole microseconds since then.
    UnixMicros,
    /// Text such as `2024-01-01T23:00:00Z`, after ISO 8601-1:2019, 5.4, in the profiles of RFC 3339 and of databases.
    Iso8601,
    /// The database's own type, whose text has no zone.
    Datetime,
    /// Fourteen digits, `20240101230000`, always UTC: MediaWiki's TS_MW.
    Mediawiki,
}

impl TimeFormat {
    /// All formats, in the order in which they are explained.
    pub const ALL: [Self; 6] =
        [Self::UnixSeconds, Self::UnixMillis, Self::UnixMicros, Self::Iso8601, Self::Datetime, Self::Mediawiki];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnixSeconds => "unix-seconds",
            Self::UnixMillis => "unix-millis",
            Self::UnixMicros => "unix-micros",
            Self::Iso8601 => "iso-8601",
            Self::Datetime => "datetime",
            Self::Mediawiki => "mediawiki",
        }
    }

    /// The instant that `text` stands for; `None` if it is undatable, or if the format is a number.
    ///
    /// `zone` is where a value without an offset was written; without one, such a value is undatable. A date alone is
    /// the last microsecond of that day.
    pub fn parse_text(&self, text: &str, zone: Option<&TimeZone>) -> Option<Timestamp> {
        match self {
            Self::UnixSeconds | Self::UnixMillis | Self::UnixMicros => None,
            Self::Iso8601 => Written::read(text)?.instant(zone),
            Self::Datetime => Written::read(text).filter(|written| written.offset.is_none())?.instant(zone),
            Self::Mediawiki => mediawiki(text),
        }
    }

    /// Units of a second in a number of this format; `None` if it is text.
    pub fn units_per_second(&self) -> Option<i64> {
        match self {
            Self::UnixSeconds => Some(1),
            Self::UnixMillis => Some(1_000),
            Self::UnixMicros => Some(1_000_000),
            Self::Iso8601 | Self::Datetime | Self::Mediawiki => None,
        }
    }

    /// The instant that a number stands for; `None` if it is out of range, or if the format is text.
    pub fn from_number(&self, value: i64) -> Option<Timestamp> {
        Timestamp::from_nanosecond(i128::from(value) * self.nanoseconds_per_unit()?).ok()
    }

    /// The largest number that is not after `instant`: with it, `value < cutoff` leans towards keeping.
    /// `None` if the format is text.
    pub fn to_number_floor(&self, instant: Timestamp) -> Option<i64> {
        i64::try_from(instant.as_nanosecond().div_euclid(self.nanoseconds_per_unit()?)).ok()
    }

    fn nanoseconds_per_unit(self) -> Option<i128> {
        self.units_per_second().map(|units| 1_000_000_000 / i128::from(units))
    }
}

/// Before the web had visitors, a visitor record's date is a mistake: a unit mistaken, a default, a clock never set.
pub const EARLIEST_PLAUSIBLE: Timestamp = Timestamp::constant(788_918_400, 0); // 1995-01-01T00:00:00Z

/// How far in the future a record may lie: the difference that two clocks in order may show.
pub const FUTURE_TOLERANCE: SignedDuration = SignedDuration::from_secs(120);

/// Whether a visitor record can be of that instant.
pub fn plausible(instant: Timestamp, now: Timestamp) -> bool {
    EARLIEST_PLAUSIBLE <= instant && instant.duration_since(now) <= FUTURE_TOLERANCE
}

/// A date and perhaps a time, as the text has them.
struct Written {
    date: Date,
    time: Option<Time>,
    offset: Option<Offset>,
}

impl Written {
    fn read(text: &str) -> Option<Self> {
        let mut rest = Unread(text.as_bytes());
        let date = rest.date()?;
        if rest.is_empty() {
            return Some(Self { date, time: None, offset: None });
        }
        rest.one_of(b"Tt ")?;
        let time = rest.time()?;
        let offset = if rest.is_empty() { None } else { Some(rest.offset()?) };
        rest.is_empty().then_some(Self { date, time: Some(time), offset })
    }

    fn instant(&self, zone: Option<&TimeZone>) -> Option<Timestamp> {
        match (self.time, self.offset) {
            (Some(time), Some(offset)) => offset.to_timestamp(self.date.to_datetime(time)).ok(),
            (Some(time), None) => latest(self.date.to_datetime(time), zone?),
            (None, _) => {
                let next_day = latest(self.date.tomorrow().ok()?.at(0, 0, 0, 0), zone?)?;
                next_day.checked_sub(SignedDuration::from_micros(1)).ok()
            }
        }
    }
}

fn latest(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(local).later().ok()
}

fn mediawiki(text: &str) -> Option<Timestamp> {
    let mut rest = Unread(text.as_bytes());
    let date = Date::new(rest.number(4)?, rest.number(2)?, rest.number(2)?).ok()?;
    let time = Time::new(rest.number(2)?, rest.number(2)?, rest.number(2)?, 0).ok()?;
    rest.is_empty().then_some(())?;
    Offset::UTC.to_timestamp(date.to_datetime(time)).ok()
}

/// The part of a text not yet read. Every method takes what it names off the front, or gives `None`.
struct Unread<'a>(&'a [u8]);

impl Unread<'_> {
    /// PostgreSQL's bound on offsets; real ones lie between -12 and +14 hours.
    const LARGEST_OFFSET_HOURS: i32 = 15;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn one_of(&mut self, accepted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        accepted.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Exactly `width` ASCII digits.
    fn number<N: FromStr>(&mut self, width: usize) -> Option<N> {
        let (digits, rest) = self.0.split_at_checked(width)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        self.0 = rest;
        str::from_utf8(digits).ok()?.parse().ok()
    }

    /// `2024-01-31`.
    fn date(&mut self) -> Option<Date> {
        let year = self.number(4)?;
        self.one_of(b"-")?;
        let month = self.number(2)?;
        self.one_of(b"-")?;
        Date::new(year, month, self.number(2)?).ok()
    }

    /// `23:00`, `23:00:00`, `23:00:00.123456789`. A leap second (60) is refused by `Time`, as is 24:00.
    fn time(&mut self) -> Option<Time> {
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        if self.one_of(b":").is_none() {
            return Time::new(hour, minute, 0, 0).ok();
        }
        let second = self.number(2)?;
        let nanosecond = if self.one_of(b".").is_some() { self.fraction()? } else { 0 };
        Time::new(hour, minute, second, nanosecond).ok()
    }

    /// One to nine digits, in nanoseconds.
    fn fraction(&mut self) -> Option<i32> {
        let width = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let missing = 9_u32.checked_sub(u32::try_from(width).ok()?)?;
        Some(self.number::<i32>(width)? * 10_i32.pow(missing))
    }

    /// `Z`, `+02`, `+0200`, `+02:00`.
    fn offset(&mut self) -> Option<Offset> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(Offset::UTC),
        };
        let hours: i32 = self.number(2)?;
        let minutes = if self.is_empty() {
            0
        } else {
            let _optional_colon = self.one_of(b":");
            self.number(2)?
        };
        let real = hours <= Self::LARGEST_OFFSET_HOURS && minutes < 60;
        real.then(|| Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()).flatten()
    }
}

/// The name is not a time format's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a time format")]
pub struct UnknownTimeFormat {
    name: String,
}

impl UnknownTimeFormat {
    /// What to write instead.
    pub fn hint(&self) -> String {
        let names = TimeFormat::ALL.map(|format| format!("`{format}`"));
        format!("write one of {}", names.join(", "))
    }
}

impl FromStr for TimeFormat {
    type Err = UnknownTimeFormat;

    fn from_str(name: &str) -> Result<Self, UnknownTimeFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownTimeFormat { name: name.into() })
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for TimeFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TimeFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
