//! Whether a hold keeps a row.
//!
//! A hold compares as text and, so that neither the type of the column nor the way a value is written lets a row slip,
//! also as the server would, as a number, and as the bytes that hexadecimal digits stand for.

use super::schema::Class;
use super::sql::{bytes, is_exactly, text};

/// SQL that is true where the column has the value that is held. May be NULL.
pub(super) fn is_held(column: &str, class: Class, value: &str) -> String {
    let as_text = is_exactly(&format!("CAST({column} AS CHAR)"), Class::Other, value);
    let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let in_digits = value.trim().parse::<i128>().map_or_else(|_| value.trim().to_owned(), |number| number.to_string());
    match class {
        Class::Integer | Class::Decimal | Class::Float | Class::Bit => match number {
            // Only what parses as a number stands here.
            Some(_) if is_plain_number(&in_digits) => format!("{as_text} OR {column} = {in_digits}"),
            _ => as_text,
        },
        Class::Text { .. } | Class::Enum => format!("{as_text} OR {column} = {}", text(value)),
        Class::Binary { .. } => {
            let digits: String = value.chars().filter(|digit| *digit != '-').collect();
            format!(
                "{} OR TRIM(TRAILING X'00' FROM {column}) = {} OR HEX({column}) = {}",
                is_exactly(column, class, value),
                bytes(value.as_bytes()),
                text(&digits.to_uppercase())
            )
        }
        _ => as_text,
    }
}

fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.matches('.').count() <= 1
        && digits.as_bytes().first() != Some(&b'.')
        && digits.as_bytes().last() != Some(&b'.')
}
