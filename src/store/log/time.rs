//! The time that a line carries, as every format writes it.
//!
//! A log is read at gigabytes a second, and most of its lines are of the same minute as the line before: what was learned
//! of that is kept for the next line. Where a civil time is ambiguous, because clocks were set back, it is taken for the
//! later of the two, which keeps the line longer.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;

const NANOS: i64 = 1_000_000_000;

/// From here on a number is of milliseconds: as seconds it would be of the year 5138.
const MILLIS_FROM: i64 = 100_000_000_000;

/// An instant, in nanoseconds since 1970: lines are compared by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// The instant, where it lies between 1678 and 2262: nothing else is the time of a line.
    pub fn of(instant: Timestamp) -> Option<Moment> {
        i64::try_from(instant.as_nanosecond()).ok().map(Moment)
    }

    /// The instant.
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(i128::from(self.0)).ok()
    }

    fn of_seconds(seconds: i64, nanos: i64) -> Option<Moment> {
        seconds.checked_mul(NANOS)?.checked_add(nanos).map(Moment)
    }

    /// As it is kept with a file.
    pub(super) fn to_nanos(self) -> i64 {
        self.0
    }

    /// As it was kept.
    pub(super) fn from_nanos(nanos: i64) -> Moment {
        Moment(nanos)
    }
}

/// Bytes of `10/Oct/2026:13:55:36 +0200`.
pub(super) const CLF_LENGTH: usize = 26;

/// Reads times, and remembers what it learned from the last one.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// The last minute in the Common Log Format.
    clf: Option<ClfMinute>,
    /// The last civil minute, and the seconds at which it began.
    minute: Option<(DateTime, i64)>,
    /// The last text that was read slowly, and what it meant.
    text: (Vec<u8>, Option<Moment>),
}

impl Clock {
    /// A clock for times in `zone`, where they carry none of their own.
    pub(super) fn new(zone: TimeZone) -> Clock {
        Clock { zone, clf: None, minute: None, text: (Vec::new(), None) }
    }

    /// `10/Oct/2026:13:55:36 +0200` (Apache's `%t`, nginx's `$time_local`), without the brackets.
    pub(super) fn clf(&mut self, text: &[u8; CLF_LENGTH]) -> Option<Moment> {
        let [minute @ .., s1, s2, _, _, _, _, _, _] = text;
        let [.., space, sign, oh1, oh2, om1, om2] = text;
        let offset = [*space, *sign, *oh1, *oh2, *om1, *om2];
        let began = match self.clf {
            Some(last) if last.minute == *minute && last.offset == offset => last.began,
            _ => {
                let began = minute_of_clf(minute)? - offset_of_clf(&offset)?;
                self.clf = Some(ClfMinute { minute: *minute, offset, began });
                began
            }
        };
        let second = number(&[*s1, *s2])?;
        (second <= 60).then(|| Moment::of_seconds(began + second, 0)).flatten()
    }

    /// `2026/10/10 13:55:36`, of which nginx's error log is in the zone of its server.
    pub(super) fn nginx_error(&mut self, text: &[u8; 19]) -> Option<Moment> {
        let [.., y1, m1, m2, y2, d1, d2, space, h1, h2, c1, n1, n2, c2, s1, s2] = text;
        if [*y1, *y2, *space, *c1, *c2] != *b"// ::" {
            return None;
        }
        let date = (number(&text[..4])?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
        self.civil(date, (number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?), 0)
    }

    /// `Sat Oct 10 13:55:36.123456 2026`, with or without the fraction.
    pub(super) fn apache_error(&mut self, text: &[u8]) -> Option<Moment> {
        let [_, _, _, b' ', month @ .., b' ', y1, y2, y3, y4] = text else { return None };
        let [o1, o2, o3, b' ', d1, d2, b' ', h1, h2, b':', n1, n2, b':', s1, s2, fraction @ ..] = month else {
            return None;
        };
        let nanos = match fraction {
            [] => 0,
            [b'.', digits @ ..] => nanos(digits)?,
            _ => return None,
        };
        // A day below ten may stand behind a space.
        let day = number(&[if *d1 == b' ' { b'0' } else { *d1 }, *d2])?;
        let date = (number(&[*y1, *y2, *y3, *y4])?, month_of(&[*o1, *o2, *o3])?, day);
        self.civil(date, (number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?), nanos)
    }

    /// RFC 3339, a date and time without an offset, or seconds or milliseconds since 1970.
    pub(super) fn json(&mut self, text: &[u8]) -> Option<Moment> {
        if let Some(moment) = epoch(text) {
            return Some(moment);
        }
        // A date alone says no instant.
        memchr::memchr(b':', text)?;
        self.remembering(text, |text, zone| {
            let parser = DateTimeParser::new();
            if let Ok(instant) = parser.parse_timestamp(text) {
                return Moment::of(instant);
            }
            in_zone(parser.parse_datetime(text).ok()?, zone)
        })
    }

    /// As a format of strftime(3) writes it.
    pub(super) fn custom(&mut self, format: &str, text: &[u8]) -> Option<Moment> {
        self.remembering(text, |text, zone| {
            let parsed = strtime::parse(format, text).ok()?;
            match parsed.to_timestamp() {
                Ok(instant) => Moment::of(instant),
                Err(_) => in_zone(parsed.to_datetime().ok()?, zone),
            }
        })
    }

    fn remembering(&mut self, text: &[u8], read: impl FnOnce(&[u8], &TimeZone) -> Option<Moment>) -> Option<Moment> {
        if self.text.0 != text {
            let moment = read(text, &self.zone);
            self.text.0.clear();
            self.text.0.extend_from_slice(text);
            self.text.1 = moment;
        }
        self.text.1
    }

    fn civil(&mut self, date: (i64, i64, i64), time: (i64, i64, i64), nanos: i64) -> Option<Moment> {
        let small = |number| i8::try_from(number).ok();
        let ((year, month, day), (hour, minute, second)) = (date, time);
        time_of_day(hour, minute, second)?;
        let (month, day, hour, minute) = (small(month)?, small(day)?, small(hour)?, small(minute)?);
        let civil = DateTime::new(i16::try_from(year).ok()?, month, day, hour, minute, 0, 0).ok()?;
        let began = match self.minute {
            Some((known, began)) if known == civil => began,
            // No zone changes its offset within a minute.
            _ => self.zone.to_ambiguous_timestamp(civil).later().ok()?.as_second(),
        };
        self.minute = Some((civil, began));
        Moment::of_seconds(began + second, nanos)
    }
}

fn in_zone(civil: DateTime, zone: &TimeZone) -> Option<Moment> {
    Moment::of(zone.to_ambiguous_timestamp(civil).later().ok()?)
}

/// A number of seconds, with or without a fraction, or of milliseconds.
fn epoch(text: &[u8]) -> Option<Moment> {
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b"0"[..]),
    };
    // Shorter ones are years or worse; a longer one does not fit.
    if !(9..=14).contains(&whole.len()) {
        return None;
    }
    let whole = number(whole)?;
    if whole >= MILLIS_FROM {
        return Moment::of_seconds(whole / 1_000, whole % 1_000 * 1_000_000);
    }
    Moment::of_seconds(whole, nanos(fraction)?)
}

/// The nanoseconds of a decimal fraction; what is finer is cut off.
fn nanos(digits: &[u8]) -> Option<i64> {
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10 + digits.get(place).map_or(Some(0), digit)?;
    }
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(nanos)
}

fn digit(byte: &u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
}

/// Seconds of the day. A leap second is the first of the next minute, as everywhere on Unix.
fn time_of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3_600 + minute * 60 + second)
}

fn month_of(name: &[u8; 3]) -> Option<i64> {
    Some(match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// A minute in the Common Log Format.
#[derive(Debug, Clone, Copy)]
struct ClfMinute {
    /// `10/Oct/2026:13:55:`.
    minute: [u8; 18],
    /// ` +0200`.
    offset: [u8; 6],
    /// The seconds at which it began.
    began: i64,
}

/// `10/Oct/2026:13:55:`: the seconds at which that minute begins in UTC.
fn minute_of_clf(text: &[u8; 18]) -> Option<i64> {
    let [d1, d2, b'/', o1, o2, o3, b'/', y1, y2, y3, y4, b':', h1, h2, b':', m1, m2, b':'] = text else { return None };
    let small = |number| i8::try_from(number).ok();
    let (month, day) = (month_of(&[*o1, *o2, *o3])?, number(&[*d1, *d2])?);
    let year = i16::try_from(number(&[*y1, *y2, *y3, *y4])?).ok()?;
    let date = DateTime::new(year, small(month)?, small(day)?, 0, 0, 0, 0).ok()?;
    let day = TimeZone::UTC.to_timestamp(date).ok()?.as_second();
    Some(day + time_of_day(number(&[*h1, *h2])?, number(&[*m1, *m2])?, 0)?)
}

/// ` +0200`: the seconds by which it is ahead of UTC.
fn offset_of_clf(text: &[u8; 6]) -> Option<i64> {
    let [b' ', sign, h1, h2, m1, m2] = text else { return None };
    let offset = number(&[*h1, *h2])? * 3_600 + number(&[*m1, *m2])? * 60;
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}
