//! The date in a file's name.
//!
//! A name tells a day, or a moment as exact as it goes. What is in the file may be as young as the last instant of
//! that: by it the file is judged, so that a file of today is never older than anything of today. Where a name holds
//! several dates the latest counts. Digits next to a date make it another number, and no date.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Seconds since 1970 have nine digits from 1973 to 2001 and ten until 2286.
const DIGITS_OF_SECONDS: std::ops::RangeInclusive<usize> = 9..=10;

/// A form of dates in names.
pub(super) struct NameDate {
    parts: Vec<Part>,
    exactness: Exactness,
    zone: TimeZone,
}

/// What a name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// Its first instant.
    pub(super) begin: Timestamp,
    /// Its last.
    pub(super) end: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Number(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    SecondsSince1970,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exactness {
    Day,
    Hour,
    Minute,
    Second,
}

/// Numbers read from a name.
#[derive(Default)]
struct Numbers {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    seconds: Option<i64>,
}

impl Field {
    fn of(letter: u8) -> Option<Field> {
        Some(match letter {
            b'Y' => Field::Year,
            b'm' => Field::Month,
            b'd' => Field::Day,
            b'H' => Field::Hour,
            b'M' => Field::Minute,
            b'S' => Field::Second,
            b's' => Field::SecondsSince1970,
            _ => return None,
        })
    }

    /// How many digits it takes of those that follow.
    fn width(self, rest: &[u8]) -> Option<usize> {
        match self {
            Field::Year => Some(4),
            Field::SecondsSince1970 => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                DIGITS_OF_SECONDS.contains(&digits).then_some(digits)
            }
            _ => Some(2),
        }
    }
}

impl NameDate {
    /// Reads a form such as `%Y-%m-%d`. `None` where it does not name a day, or a moment in one without gaps.
    pub(super) fn new(format: &str, zone: &TimeZone) -> Option<NameDate> {
        let parts = parts(format.as_bytes())?;
        let has = |field| parts.contains(&Part::Number(field));
        let day = has(Field::Year) && has(Field::Month) && has(Field::Day);
        let exactness = match (has(Field::Hour), has(Field::Minute), has(Field::Second)) {
            _ if has(Field::SecondsSince1970) => Exactness::Second,
            _ if !day => return None,
            (false, false, false) => Exactness::Day,
            (true, false, false) => Exactness::Hour,
            (true, true, false) => Exactness::Minute,
            (true, true, true) => Exactness::Second,
            _ => return None,
        };
        Some(NameDate { parts, exactness, zone: zone.clone() })
    }

    /// What `name` tells; `None` where it holds no date.
    pub(super) fn of(&self, name: &[u8]) -> Option<Told> {
        (0..name.len()).filter_map(|at| self.told(&self.numbers(name, at)?)).max_by_key(|told| told.end)
    }

    fn numbers(&self, name: &[u8], at: usize) -> Option<Numbers> {
        let is_digit = |at: Option<usize>| at.and_then(|at| name.get(at)).is_some_and(u8::is_ascii_digit);
        let is_number = |part: Option<&Part>| matches!(part, Some(Part::Number(_)));
        if is_number(self.parts.first()) && is_digit(at.checked_sub(1)) {
            return None;
        }
        let mut numbers = Numbers::default();
        let mut rest = name.get(at..)?;
        for part in &self.parts {
            rest = match part {
                Part::Text(text) => rest.strip_prefix(text.as_slice())?,
                Part::Number(field) => {
                    let (digits, after) = rest.split_at_checked(field.width(rest)?)?;
                    numbers.set(*field, number(digits)?)?;
                    after
                }
            };
        }
        let ends_within_a_number = is_number(self.parts.last()) && rest.first().is_some_and(u8::is_ascii_digit);
        (!ends_within_a_number).then_some(numbers)
    }

    fn told(&self, numbers: &Numbers) -> Option<Told> {
        let almost = Span::new().nanoseconds(1);
        if let Some(seconds) = numbers.seconds {
            let begin = Timestamp::from_second(seconds).ok()?;
            let end = begin.checked_add(Span::new().seconds(1)).ok()?.checked_sub(almost).ok()?;
            return Some(Told { begin, end });
        }
        let Numbers { year, month, day, hour, minute, second, .. } = *numbers;
        let begin = DateTime::from_parts(Date::new(year, month, day).ok()?, Time::new(hour, minute, second, 0).ok()?);
        let length = match self.exactness {
            Exactness::Day => Span::new().days(1),
            Exactness::Hour => Span::new().hours(1),
            Exactness::Minute => Span::new().minutes(1),
            Exactness::Second => Span::new().seconds(1),
        };
        let end = begin.checked_add(length).ok()?.checked_sub(almost).ok()?;
        // A moment that the clocks show twice is in doubt: from its first to its second.
        Some(Told {
            begin: self.zone.to_ambiguous_timestamp(begin).earlier().ok()?,
            end: self.zone.to_ambiguous_timestamp(end).later().ok()?,
        })
    }
}

impl Numbers {
    fn set(&mut self, field: Field, number: i64) -> Option<()> {
        let small = || i8::try_from(number).ok();
        match field {
            Field::Year => self.year = i16::try_from(number).ok()?,
            Field::Month => self.month = small()?,
            Field::Day => self.day = small()?,
            Field::Hour => self.hour = small()?,
            Field::Minute => self.minute = small()?,
            Field::Second => self.second = small()?,
            Field::SecondsSince1970 => self.seconds = Some(number),
        }
        Some(())
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |number, digit| {
        digit.is_ascii_digit().then(|| number.checked_mul(10)?.checked_add(i64::from(digit - b'0')))?
    })
}

fn parts(format: &[u8]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut text = Vec::new();
    let mut bytes = format.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            text.push(*byte);
            continue;
        }
        let field = Field::of(*bytes.next()?)?;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Number(field));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prague() -> TimeZone {
        TimeZone::get("Europe/Prague").unwrap()
    }

    fn end(format: &str, name: &[u8]) -> Option<String> {
        NameDate::new(format, &prague()).unwrap().of(name).map(|told| told.end.to_string())
    }

    #[test]
    fn a_day_lasts_until_its_last_instant_in_the_sites_zone() {
        // By `TZ=Europe/Prague date -d 2026-03-02 +%s` less a nanosecond; Prague is an hour ahead then.
        let expected = Some("2026-03-01T22:59:59.999999999Z".to_owned());
        assert_eq!(end("%Y-%m-%d", b"chat-2026-03-01.html"), expected);
        assert_eq!(end("%d.%m.%Y", b"\xFF 01.03.2026\n"), expected);
        assert_eq!(end("log-%Y%m%d", b"log-20260301.gz"), expected);
    }

    #[test]
    fn a_name_is_as_exact_as_it_says() {
        assert_eq!(end("%Y%m%d%H", b"2026030113"), Some("2026-03-01T12:59:59.999999999Z".to_owned()));
        assert_eq!(end("%Y%m%dT%H%M", b"20260301T1305-x"), Some("2026-03-01T12:05:59.999999999Z".to_owned()));
        assert_eq!(end("%Y%m%d-%H%M%S", b"20260301-130507"), Some("2026-03-01T12:05:07.999999999Z".to_owned()));
        assert_eq!(end("_%s", b"upload_1772368507.bin"), Some("2026-03-01T12:35:07.999999999Z".to_owned()));
    }

    #[test]
    fn a_moment_that_exists_twice_ends_with_the_second() {
        // 25 October 2026, 02:30 in Prague: 00:30 and 01:30 UTC.
        let told = NameDate::new("%Y%m%d%H%M", &prague()).unwrap().of(b"202610250230").unwrap();
        assert_eq!(told.begin.to_string(), "2026-10-25T00:30:00Z");
        assert_eq!(told.end.to_string(), "2026-10-25T01:30:59.999999999Z");
    }

    #[test]
    fn the_latest_of_several_dates_counts() {
        let expected = Some("2026-03-01T22:59:59.999999999Z".to_owned());
        assert_eq!(end("%Y-%m-%d", b"2025-01-01-to-2026-03-01"), expected);
        assert_eq!(end("%Y-%m-%d", b"2026-03-01,2026-02-31,2025-01-01"), expected);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for name in [
            &b"chat.html"[..],
            b"",
            b"2026-3-1",
            b"2026-02-30",
            b"2026-13-01",
            b"2026-03-012",
            b"12026-03-01",
            b"2026-03-0",
            b"2026-03-\xC3\xA9",
        ] {
            assert_eq!(end("%Y-%m-%d", name), None, "{name:?}");
        }
        for name in [&b"12345678"[..], b"12345678901", b"x"] {
            assert_eq!(end("%s", name), None, "{name:?}");
        }
        assert_eq!(end("%Y%m%d%H", b"2026030124"), None);
    }

    #[test]
    fn a_form_names_a_day_and_leaves_no_gap() {
        for format in ["", "x", "%Y-%m", "%Y%m%d%M", "%Y%m%d%H%S", "%H%M", "%", "%y%m%d"] {
            assert!(NameDate::new(format, &prague()).is_none(), "{format}");
        }
    }
}
