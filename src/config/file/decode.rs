//! From TOML to the structs of a file, past every mistake.
//!
//! serde stops at the first mistake. So each one is recorded, the entry it stands in is cut out of the tree of values
//! (which knows where everything stood), and the rest is read again until nothing is wrong with it.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

use super::super::error::FileProblems;
use super::super::error::suggest;

/// Where a document itself stands: nowhere in particular.
pub(in crate::config) const ROOT: Range<usize> = 0..0;

/// The tree of values of a file, as far as it is TOML.
pub(in crate::config) fn parse<'a>(text: &'a str, problems: &mut FileProblems<'_>) -> DeTable<'a> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        report_syntax(error, problems);
    }
    table.into_inner()
}

fn report_syntax(error: &Error, problems: &mut FileProblems<'_>) {
    let span = error.span().unwrap_or(ROOT);
    let (mistake, _) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
    let (message, hint) = if mistake.contains("dotted key") {
        let name = problems.text_from(span.start).split('=').next().unwrap_or_default().trim_end();
        let message = format!("the dot in `{name}` makes it a table, and there is a value of that name already");
        (message, Some(format!("quote a name that contains a dot: `\"{name}\"`")))
    } else if mistake == "duplicate key" {
        let message = format!("`{}` stands here twice", problems.text_at(&span));
        (message, Some("remove or join one of them".to_owned()))
    } else if mistake == "string values must be quoted" {
        (mistake.to_owned(), Some(format!("write `\"{}\"`", problems.text_at(&span))))
    } else if mistake == "missing comma between array elements" {
        let hint = "write `,` between the elements of a list, and `]` at its end";
        (error.message().to_owned(), Some(hint.to_owned()))
    } else {
        (error.message().to_owned(), None)
    };
    problems.report_torn(&span, message, hint);
    // Behind a list or table that is not closed, everything is read as part of it.
    if mistake.starts_with("missing comma") || mistake.starts_with("unclosed") {
        problems.lose_from(span.start);
    }
}

/// Reads the table at `place` into a struct whose keys are all optional; what is wrong with it is recorded and left out.
pub(in crate::config) fn decode<'a, T>(
    mut table: DeTable<'a>,
    place: &Range<usize>,
    problems: &mut FileProblems<'_>,
) -> T
where
    T: Deserialize<'a> + Default,
{
    loop {
        let error = match T::deserialize(Deserializer::from(Spanned::new(place.clone(), table.clone()))) {
            Ok(value) => return value,
            Err(error) => error,
        };
        let span = error.span().unwrap_or(ROOT);
        let cut = cut_from_table(&mut table, place, &span);
        report(&error, &span, cut.as_ref(), problems);
        match cut {
            Some(Cut { table, key: Some(key), .. }) => problems.leave_out(&table, &key),
            Some(_) => {}
            None => return T::default(),
        }
        if problems.is_full() {
            return T::default();
        }
    }
}

/// An entry that was taken out.
struct Cut<'a> {
    /// Where the table stands that it was in.
    table: Range<usize>,
    /// Its key; an element of a list has none.
    key: Option<String>,
    value: DeValue<'a>,
}

/// Takes out the outermost entry whose key or value stands at `span`.
fn cut_from_table<'a>(table: &mut DeTable<'a>, place: &Range<usize>, span: &Range<usize>) -> Option<Cut<'a>> {
    let found = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = found.map(|(key, _)| key.clone()) {
        let (key, value) = table.remove_entry(&key)?;
        let key = Some(key.into_inner().into_owned());
        return Some(Cut { table: place.clone(), key, value: value.into_inner() });
    }
    table.iter_mut().find_map(|(_, value)| cut_from_value(value, span))
}

fn cut_from_value<'a>(value: &mut Spanned<DeValue<'a>>, span: &Range<usize>) -> Option<Cut<'a>> {
    let place = value.span();
    match value.get_mut() {
        DeValue::Table(table) => cut_from_table(table, &place, span),
        DeValue::Array(array) => match array.iter().position(|element| element.span() == *span) {
            Some(index) => {
                let mut elements: Vec<_> = std::mem::replace(array, DeArray::new()).into_iter().collect();
                let value = elements.remove(index).into_inner();
                *array = elements.into_iter().collect::<DeArray<'a>>();
                Some(Cut { table: place, key: None, value })
            }
            None => array.iter_mut().find_map(|element| cut_from_value(element, span)),
        },
        _ => None,
    }
}

fn report(error: &Error, span: &Range<usize>, cut: Option<&Cut<'_>>, problems: &mut FileProblems<'_>) {
    let message = error.message();
    let Some(cut) = cut else { return problems.report(span, message) };
    let key = cut.key.as_deref().unwrap_or("entry");
    if message.starts_with("unknown field") {
        let allowed = message.rsplit_once("`, expected ").map_or("", |(_, allowed)| allowed);
        // Every second piece between backticks is a key.
        let allowed = allowed.split('`').skip(1).step_by(2);
        problems.report_with_hint(span, format!("unknown key `{key}`"), suggest::hint(key, allowed));
    } else if let Some((_, expected)) =
        message.rsplit_once(", expected ").filter(|_| message.starts_with("invalid type"))
    {
        let (expected, found) = (expected_words(expected), found_words(&cut.value));
        let message = format!("expected {expected}, found {found}");
        match (expected, &cut.value) {
            ("a list", DeValue::Table(_)) => problems.report_with_hint(span, message, format!("write `[[{key}]]`")),
            _ => problems.report(span, message),
        }
    } else if message.starts_with("invalid value") || message.contains("overflowed") {
        problems.report(span, "this number is too large");
    } else {
        problems.report(span, message);
    }
}

/// What serde calls a type, in the words of TOML.
fn expected_words(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "true or false",
        "i64" => "a whole number",
        "a TOML datetime" => "a date such as 2026-01-10 (without quotes)",
        other => other,
    }
}

fn found_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
