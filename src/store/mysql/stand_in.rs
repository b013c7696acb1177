//! The value that is written where NULL is not allowed, in the column's own type.

use jiff::tz::TimeZone;

use super::schema::Class;
use super::sql::{bytes, filled_up, is_exactly, text};
use crate::config::TimeFormat;
use crate::config::site::Scalar;

/// A stand-in for one column.
#[derive(Debug)]
pub(super) struct StandIn {
    /// It, as SQL.
    pub(super) literal: String,
    /// True where the column has it already. May be NULL.
    pub(super) is_there: String,
}

/// The stand-in as the column takes it; `None` if its type cannot hold it.
pub(super) fn literal(column: &str, class: Class, value: &Scalar) -> Option<StandIn> {
    let written = match value {
        Scalar::Boolean(value) => i64::from(*value).to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Text(value) => value.clone(),
    };
    let equal = |literal: String| Some(StandIn { is_there: format!("{column} = {literal}"), literal });
    match class {
        Class::Integer | Class::Decimal | Class::Float | Class::Bit => equal(written.parse::<i64>().ok()?.to_string()),
        Class::Text { longest, padded } => {
            // CHAR gives values back without the spaces at their end.
            let kept = if padded { written.trim_end_matches(' ') } else { &written };
            let fits = u64::try_from(kept.chars().count()).is_ok_and(|length| length <= longest);
            fits.then(|| StandIn { literal: text(kept), is_there: is_exactly(column, class, kept) })
        }
        Class::Binary { longest, .. } => {
            let filled = filled_up(written.as_bytes(), class);
            if filled.len() <= usize::try_from(longest).ok()? { equal(bytes(&filled)) } else { None }
        }
        Class::Date | Class::Datetime | Class::Timestamp => {
            // A date alone is its first moment here: nothing is dated by a stand-in.
            let moment = if written.len() == "2000-01-01".len() { written + " 00:00:00" } else { written };
            let instant = TimeFormat::Datetime.parse_text(&moment, Some(&TimeZone::UTC))?;
            let utc = TimeZone::UTC.to_datetime(instant);
            match class {
                Class::Date => equal(format!("DATE'{}'", utc.strftime("%Y-%m-%d"))),
                _ => equal(format!("TIMESTAMP'{}'", utc.strftime("%Y-%m-%d %H:%M:%S"))),
            }
        }
        Class::Enum | Class::Inet6 | Class::Inet4 | Class::Uuid => equal(text(&written)),
        Class::Time | Class::Year | Class::Set | Class::Other => None,
    }
}
