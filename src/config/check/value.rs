//! Single values: texts, words out of a list, dates, shares, durations, time zones.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::value::Datetime;

use super::super::error::{FileProblems, suggest};
use super::super::file::{ContactTable, ControllerTable, Keyed, Number, Section, Text};
use super::super::site::{Zone, is_domain};
use super::super::{Contact, Controller, Period, Share};

/// Longest text of the register: a description, an address. Evidence repeats some, and an entry of it is bounded.
const LONGEST_TEXT: usize = 4_096;

/// Longest name of a table or column: PostgreSQL has 63 bytes, MariaDB 64 characters, SQLite any number.
const LONGEST_NAME: usize = 255;

/// A text that says something.
pub(super) fn filled(text: Text, problems: &mut FileProblems<'_>) -> Option<String> {
    let span = text.span();
    let text = text.into_inner();
    if text.trim().is_empty() {
        problems.report_with_hint(
            &span,
            "this must not be empty",
            "fill it in, or leave the key out if it may be absent",
        );
        return None;
    }
    if text.contains('\0') {
        problems.report(&span, "a NUL character cannot stand here");
        return None;
    }
    bounded(text, &span, LONGEST_TEXT, problems)
}

fn bounded(text: String, span: &Range<usize>, longest: usize, problems: &mut FileProblems<'_>) -> Option<String> {
    if text.chars().nth(longest).is_none() {
        return Some(text);
    }
    problems.report(span, format!("this is longer than {longest} characters"));
    None
}

/// The name of a table, column or trigger.
pub(super) fn name(text: Text, problems: &mut FileProblems<'_>) -> Option<String> {
    let span = text.span();
    filled(text, problems).and_then(|name| bounded(name, &span, LONGEST_NAME, problems))
}

/// The name at a mandatory key of the table at `table`.
pub(super) fn required_name(
    table: &Range<usize>,
    key: &str,
    value: Option<Text>,
    hint: &str,
    problems: &mut FileProblems<'_>,
) -> Option<String> {
    problems.required(table, key, value, hint).and_then(|text| name(text, problems))
}

/// The text of a mandatory key of the table at `table`.
pub(super) fn required(
    table: &Range<usize>,
    key: &str,
    value: Option<Text>,
    hint: &str,
    problems: &mut FileProblems<'_>,
) -> Option<String> {
    problems.required(table, key, value, hint).and_then(|text| filled(text, problems))
}

/// The text of a key that may be absent.
pub(super) fn optional(value: Option<Text>, problems: &mut FileProblems<'_>) -> Option<String> {
    value.and_then(|text| filled(text, problems))
}

/// A host name in lower case.
pub(super) fn host_name(text: Text, problems: &mut FileProblems<'_>) -> Option<String> {
    let name = text.get_ref();
    if is_domain(name) {
        return Some(text.into_inner());
    }
    let lower = name.to_ascii_lowercase();
    let hint = match lower.split_once("://") {
        Some((_, rest)) => format!("write the host name alone: `{}`", rest.split('/').next().unwrap_or_default()),
        None if lower != *name && is_domain(&lower) => format!("write it in lower case: `{lower}`"),
        None => "write a host name such as `shop.example`; other letters as Punycode (`xn--…`)".to_owned(),
    };
    problems.report_with_hint(&text.span(), format!("`{name}` is not a host name"), hint);
    None
}

/// What one of several fixed words means; `what` names their kind.
pub(super) fn one_of<T: Copy>(
    word: &Text,
    what: &str,
    choices: &[(&'static str, T)],
    problems: &mut FileProblems<'_>,
) -> Option<T> {
    let meaning = choices.iter().find(|(choice, _)| choice == word.get_ref()).map(|(_, meaning)| *meaning);
    if meaning.is_none() {
        let hint = suggest::hint(word.get_ref(), choices.iter().map(|(choice, _)| *choice));
        problems.report_with_hint(&word.span(), format!("unknown {what} `{}`", word.get_ref()), hint);
    }
    meaning
}

/// An absolute path.
pub(super) fn absolute_path(
    table: &Range<usize>,
    key: &str,
    value: Option<Text>,
    hint: &str,
    problems: &mut FileProblems<'_>,
) -> Option<PathBuf> {
    let span = value.as_ref().map(Spanned::span).unwrap_or_default();
    let path = PathBuf::from(required(table, key, value, hint, problems)?);
    if path.is_absolute() {
        return Some(path);
    }
    problems.report_with_hint(
        &span,
        format!("`{key}` must be an absolute path"),
        "begin it with `/`: the daemon has no directory of its own to start from",
    );
    None
}

/// A day without a time of day.
pub(super) fn date(value: &Spanned<Datetime>, problems: &mut FileProblems<'_>) -> Option<Date> {
    let date = match value.get_ref() {
        Datetime { date: Some(date), time: None, offset: None } => {
            let number = |part: u8| i8::try_from(part).ok();
            i16::try_from(date.year)
                .ok()
                .zip(number(date.month))
                .zip(number(date.day))
                .and_then(|((year, month), day)| Date::new(year, month, day).ok())
        }
        _ => None,
    };
    if date.is_none() {
        problems.report_with_hint(&value.span(), "expected a day", "write it like 2026-01-10 (without quotes)");
    }
    date
}

/// How long something may be kept.
pub(super) fn period(text: &str, span: &Range<usize>, problems: &mut FileProblems<'_>) -> Option<Period> {
    match text.parse::<Period>() {
        Ok(period) => Some(period),
        Err(error) => {
            problems.report_with_hint(span, error.to_string(), error.hint());
            None
        }
    }
}

/// A share above 0 and up to 1. The digits are read as they stand: 0.1 is no binary fraction.
pub(super) fn share(key: &str, value: &Spanned<Number>, problems: &mut FileProblems<'_>) -> Option<Share> {
    let share = millionths(problems.text_at(&value.span())).and_then(Share::from_millionths);
    let share = share.filter(|share| share.millionths() > 0);
    if share.is_none() {
        let message = format!("`{key}` must be above 0 and at most 1, with at most six decimals");
        problems.report_with_hint(&value.span(), message, "write a decimal number such as 0.10");
    }
    share
}

/// `0.10` in millionths.
fn millionths(written: &str) -> Option<u32> {
    const DECIMALS: usize = 6;
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS {
        return None;
    }
    format!("{whole}{fraction:0<DECIMALS$}").parse().ok()
}

/// A short time, within bounds: `200 ms`, `10 s`, `2 min`.
pub(super) fn duration(
    key: &str,
    text: &Text,
    bounds: (Duration, Duration),
    problems: &mut FileProblems<'_>,
) -> Option<Duration> {
    let Some(duration) = parse_duration(text.get_ref()) else {
        let message = format!("`{}` is not a duration", text.get_ref());
        let hint = "write one number, one space and `ms`, `s` or `min`: `200 ms`";
        problems.report_with_hint(&text.span(), message, hint);
        return None;
    };
    let (shortest, longest) = bounds;
    if (shortest..=longest).contains(&duration) {
        return Some(duration);
    }
    let message = format!("`{key}` must be between {} ms and {} s", shortest.as_millis(), longest.as_secs());
    problems.report(&text.span(), message);
    None
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once(' ')?;
    if number.starts_with('0') || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

/// A time zone of the IANA database.
pub(super) fn zone(name: &Text, problems: &mut FileProblems<'_>) -> Option<Zone> {
    match TimeZone::get(name.get_ref()) {
        Ok(zone) if !zone.is_unknown() => {
            let name = zone.iana_name().unwrap_or(name.get_ref()).to_owned();
            Some(Zone { name, zone })
        }
        _ => {
            let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let hint = suggest::nearest_or(
                name.get_ref(),
                names.iter().map(String::as_str),
                "write a name such as `Europe/Prague`",
            );
            problems.report_with_hint(&name.span(), format!("unknown time zone `{}`", name.get_ref()), hint);
            None
        }
    }
}

/// Name, address and contact.
pub(super) fn contact(section: Section<ContactTable>, problems: &mut FileProblems<'_>) -> Option<Contact> {
    let span = section.span();
    let Keyed(ContactTable { name, address, contact }) = section.into_inner();
    party(&span, name, address, contact, problems)
}

/// A controller with those who act beside it.
pub(super) fn controller(section: Section<ControllerTable>, problems: &mut FileProblems<'_>) -> Option<Controller> {
    let span = section.span();
    let Keyed(ControllerTable { name, address, contact: reach, joint_controller, representative }) =
        section.into_inner();
    let party = party(&span, name, address, reach, problems);
    let joint_controller = joint_controller.and_then(|section| contact(section, problems));
    let representative = representative.and_then(|section| contact(section, problems));
    Some(Controller { party: party?, joint_controller, representative })
}

/// The three keys by which somebody is known; only the name is mandatory.
pub(super) fn party(
    table: &Range<usize>,
    name: Option<Text>,
    address: Option<Text>,
    contact: Option<Text>,
    problems: &mut FileProblems<'_>,
) -> Option<Contact> {
    let name = required(table, "name", name, "add `name = \"…\"`: the name of the company or person", problems);
    let address = optional(address, problems);
    let contact = optional(contact, problems);
    Some(Contact { name: name?, address, contact })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_keeps_every_digit_that_was_written() {
        for (written, expected) in
            [("0.10", Some(100_000)), ("1", Some(1_000_000)), ("0.000001", Some(1)), ("1.5", Some(1_500_000))]
        {
            assert_eq!(millionths(written), expected, "{written}");
        }
        for written in ["1e-1", "-0.1", "0.0000001", "inf", "0.1_0"] {
            assert_eq!(millionths(written), None, "{written}");
        }
    }

    #[test]
    fn a_duration_is_one_number_one_space_and_a_unit() {
        assert_eq!(parse_duration("200 ms"), Some(Duration::from_millis(200)));
        assert_eq!(parse_duration("2 min"), Some(Duration::from_secs(120)));
        for text in ["200ms", "200  ms", "0 s", "1 h", "-1 s", "1.5 s", "", "s", "18446744073709551615 min"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
