//! Legal holds: a duty to keep suspends erasure, on every path.
//!
//! A record goes by more paths than the rule of its own name: a column goes with its row, a row with its parent. A hold
//! on what goes along therefore keeps the row that would take it.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::plan::rule::is_within;
use crate::plan::{Belongs, Definition, Rule};
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
pub fn effect(register: Option<&Register>, rule: &Rule, now: Timestamp) -> Result<HoldEffect, RegisterError> {
    let Some(register) = register else { return Ok(HoldEffect::Rows(Vec::new())) };
    Ok(effect_of(&register.holds(Some(day_of(now)))?, rule))
}

/// Whether a hold on `prefix` concerns `rule` at all.
pub fn concerns(prefix: &str, rule: &Rule) -> bool {
    rule.name.is_within(prefix) || rule.goes_along.iter().any(|along| is_within(prefix, &along.name))
}

fn effect_of(holds: &[Hold], rule: &Rule) -> HoldEffect {
    let mut rows = Vec::new();
    for hold in holds.iter().filter(|hold| concerns(&hold.prefix, rule)) {
        match rows_of(hold, rule) {
            Some(held) => rows.extend(held),
            None => return HoldEffect::Whole(hold.id),
        }
    }
    HoldEffect::Rows(rows)
}

/// The rows of `rule` that `hold` keeps; `None` where it keeps all, or cannot be told in terms of the rule's table.
fn rows_of(hold: &Hold, rule: &Rule) -> Option<Vec<HeldValue>> {
    let (column, value) = hold.column.as_ref().zip(hold.value.as_ref())?;
    // Files and lines have no columns to tell them apart by: all of them are kept.
    key_of(rule)?;
    let held = |column: &str| HeldValue { column: column.to_owned(), value: value.clone() };
    if rule.name.is_within(&hold.prefix) {
        return Some(vec![held(column)]);
    }
    let along = rule.goes_along.iter().filter(|along| is_within(&hold.prefix, &along.name));
    let kept = along.map(|along| match &along.belongs {
        Belongs::Column => Some(held(column)),
        Belongs::ByKey(key) if key.eq_ignore_ascii_case(column) => key_of(rule).map(held),
        Belongs::ByKey(_) | Belongs::Cascade => None,
    });
    kept.collect()
}

fn key_of(rule: &Rule) -> Option<&str> {
    match &rule.definition {
        Definition::Table(rule) => Some(&rule.target.key),
        Definition::Directory(_) | Definition::Log(_) => None,
    }
}
