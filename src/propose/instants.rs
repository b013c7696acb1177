//! Which column of a table says when, and how: by its type where that says it, else by what most of its values make
//! sense as. The values are counted and not kept.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::TimeFormat;
use crate::config::site::TimeMeaning;
use crate::config::time_format::plausible;
use crate::drift::likeness::words;
use crate::store::catalog::{FoundColumn, Nature};
use crate::store::outline::Clock;

/// Units of numbers, in the order in which they are asked for. A number is plausible in one of them at most.
const NUMBERS: [TimeFormat; 3] = [TimeFormat::UnixSeconds, TimeFormat::UnixMillis, TimeFormat::UnixMicros];

/// What a column that says when is declared as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instants {
    /// The column.
    pub column: String,
    /// How an instant is written in it.
    pub format: TimeFormat,
    /// Whether a zone has to be said.
    pub needs_zone: bool,
    /// What the instant means.
    pub meaning: TimeMeaning,
    /// By what this is known.
    pub because: &'static str,
}

/// What the values of a column make sense as.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sense {
    values: u32,
    numbers: [u32; NUMBERS.len()],
    mediawiki: u32,
    with_zone: u32,
    without_zone: u32,
}

impl Sense {
    /// Counts a value in. Zero stands for "unknown" and says nothing.
    pub(super) fn add(&mut self, value: &str, now: Timestamp) {
        let value = value.trim();
        let number = value.parse::<i64>().ok();
        if value.is_empty() || number == Some(0) {
            return;
        }
        self.values += 1;
        let is_plausible = |instant: Option<Timestamp>| instant.is_some_and(|instant| plausible(instant, now));
        if is_plausible(TimeFormat::Mediawiki.parse_text(value, None)) {
            self.mediawiki += 1;
        } else if let Some(number) = number {
            for (count, format) in self.numbers.iter_mut().zip(NUMBERS) {
                *count += u32::from(is_plausible(format.from_number(number)));
            }
        } else if is_plausible(TimeFormat::Iso8601.parse_text(value, None)) {
            self.with_zone += 1;
        } else if is_plausible(TimeFormat::Iso8601.parse_text(value, Some(&TimeZone::UTC))) {
            self.without_zone += 1;
        }
    }

    /// What most of them make sense as, and whether a zone is missing.
    fn format(&self) -> Option<(TimeFormat, bool)> {
        let most = |count: u32| count > self.values / 2;
        let number =
            NUMBERS.iter().zip(self.numbers).find(|(_, count)| most(*count)).map(|(format, _)| (*format, false));
        let text = most(self.with_zone + self.without_zone).then_some((TimeFormat::Iso8601, self.without_zone > 0));
        let mediawiki = most(self.mediawiki).then_some((TimeFormat::Mediawiki, false));
        number.or(mediawiki).or(text)
    }
}

/// How a column says when; `None` where it does not. One without values is believed for its name.
pub(super) fn instants(column: &FoundColumn, clock: Clock, sense: &Sense) -> Option<Instants> {
    let name = &column.name;
    let (format, needs_zone, because) = match (clock, sense.format()) {
        (Clock::Instant, _) => (TimeFormat::Datetime, false, "its type is an instant"),
        (Clock::Local, _) => (TimeFormat::Datetime, true, "its type tells no zone, and UTC is a guess"),
        (Clock::Unknown, Some((format, true))) => (format, true, "some values tell no zone, and UTC is a guess"),
        (Clock::Unknown, Some((format, false))) => (format, false, "most values that were seen make sense so"),
        (Clock::Unknown, None) if sense.values > 0 => return None,
        (Clock::Unknown, None) if column.nature == Nature::Number => (TimeFormat::UnixSeconds, false, NO_VALUES),
        (Clock::Unknown, None) => (TimeFormat::Iso8601, true, NO_VALUES),
    };
    let meaning = if rank(name) == EXPIRES { TimeMeaning::Expires } else { TimeMeaning::Recorded };
    Some(Instants { column: name.clone(), format, needs_zone, meaning, because })
}

const NO_VALUES: &str = "it has no values yet, and the format is a guess";

impl Instants {
    /// The smaller, the more it is meant. What is only guessed comes last.
    pub(super) fn rank(&self) -> (bool, u8) {
        (self.because == NO_VALUES, rank(&self.column))
    }
}

const EXPIRES: u8 = 5;

/// Which of several is meant first: the latest thing that happened to a record keeps it longest.
fn rank(column: &str) -> u8 {
    const FIRST: [&str; 4] = ["first", "started", "prvni", "erste"];
    const LAST: [&str; 5] = ["last", "latest", "posledni", "letzte", "letzter"];
    const SEEN: [&str; 3] = ["seen", "activity", "visited"];
    const CHANGED: [&str; 6] = ["updated", "modified", "changed", "zmeneno", "upraveno", "geaendert"];
    const MADE: [&str; 10] =
        ["created", "inserted", "added", "registered", "timestamp", "date", "time", "vytvoreno", "erstellt", "datum"];
    const ENDS: [&str; 6] = ["expire", "expires", "expiry", "expiration", "ablauf", "expiruje"];
    let words = words(column);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    match () {
        () if has(&ENDS) => EXPIRES,
        () if has(&FIRST) => 4,
        () if has(&LAST) => 0,
        () if has(&SEEN) => 1,
        () if has(&CHANGED) => 2,
        () if has(&MADE) => 3,
        () => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(values: &[&str]) -> Option<(TimeFormat, bool)> {
        let now = "2026-11-30T00:00:00Z".parse().unwrap();
        let mut sense = Sense::default();
        values.iter().for_each(|value| sense.add(value, now));
        sense.format()
    }

    #[test]
    fn the_magnitude_of_numbers_tells_their_unit() {
        for (value, format) in [
            ("1767225600", TimeFormat::UnixSeconds),
            ("1767225600000", TimeFormat::UnixMillis),
            ("1767225600000000", TimeFormat::UnixMicros),
            ("20260101000000", TimeFormat::Mediawiki),
        ] {
            assert_eq!(format_of(&[value]), Some((format, false)), "{value}");
        }
    }

    #[test]
    fn text_without_a_zone_needs_one() {
        assert_eq!(format_of(&["2026-01-01T00:00:00Z"]), Some((TimeFormat::Iso8601, false)));
        assert_eq!(format_of(&["2026-01-01T00:00:00Z", "2026-01-01 00:00:00"]), Some((TimeFormat::Iso8601, true)));
    }

    #[test]
    fn what_is_mostly_no_instant_says_nothing() {
        for values in [&["12", "360", "7"][..], &[], &["0", ""], &["yesterday"], &["1767225600", "5", "6"]] {
            assert_eq!(format_of(values), None, "{values:?}");
        }
        assert_eq!(format_of(&["0", "0", "1767225600"]), Some((TimeFormat::UnixSeconds, false)), "0 is unknown");
    }

    #[test]
    fn what_happened_last_is_meant_before_what_happened_first() {
        let mut names = ["expires_at", "first_seen", "created_at", "last_seen", "updatedAt"];
        names.sort_by_key(|name| rank(name));
        assert_eq!(names, ["last_seen", "updatedAt", "created_at", "first_seen", "expires_at"]);
    }
}
