//! Legal holds: a duty to keep suspends erasure, on every path.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::plan::RuleName;
use crate::register::{Hold, Register, RegisterError};
use crate::store::HeldValue;

/// What the holds in force mean for one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldEffect {
    /// The whole rule is suspended, by the hold of that number.
    Whole(u64),
    /// These rows are kept. Empty: no hold concerns the rule.
    Rows(Vec<HeldValue>),
}

/// A hold lasts to the end of its last day wherever on Earth that day ends last (UTC−12).
pub fn day_of(now: Timestamp) -> Date {
    let latest = now.checked_sub(SignedDuration::from_hours(12)).unwrap_or(now);
    latest.to_zoned_datetime(jiff::tz::TimeZone::UTC).date()
}

/// The holds that concern `rule` at `now`.
///
/// # Errors
/// The register cannot be read: nothing may be erased.
pub fn effect(register: Option<&Register>, rule: &RuleName, now: Timestamp) -> Result<HoldEffect, RegisterError> {
    let Some(register) = register else { return Ok(HoldEffect::Rows(Vec::new())) };
    Ok(effect_of(&register.holds(Some(day_of(now)))?, rule))
}

fn effect_of(holds: &[Hold], rule: &RuleName) -> HoldEffect {
    let mut rows = Vec::new();
    for hold in holds.iter().filter(|hold| rule.is_within(&hold.prefix)) {
        match (&hold.column, &hold.value) {
            (Some(column), Some(value)) => rows.push(HeldValue { column: column.clone(), value: value.clone() }),
            _ => return HoldEffect::Whole(hold.id),
        }
    }
    HoldEffect::Rows(rows)
}
