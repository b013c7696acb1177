//! Whether the columns of a rule can hold what the rule compares them with and writes to them.

use super::inspect::Findings;
use super::mask::MaskSql;
use super::predicate::is_equal;
use super::schema::{Class, ColumnFacts, TableFacts, is_same};
use super::sql::qualified;
use super::stand_in;
use crate::config::site::{Scalar, Unparsed};
use crate::plan::{Action, TableRule, When};

/// Filters and consent: a comparison with another type would match nothing, silently.
pub(super) fn compared_columns(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let consent = match &rule.when {
        When::WithoutConsent(consent) => Some((&consent.column, &consent.given, "given")),
        When::Older(_) | When::Expired | When::NotStored => None,
    };
    let filter = rule.target.filter.iter().map(|(name, value)| (name, value, "filter"));
    for (name, value, key) in filter.chain(consent) {
        let Some(column) = facts.column(name) else { continue };
        if is_equal(&qualified(&facts.name, name), column.class, value).is_none() {
            findings.refuse(
                format!(
                    "column {name} of table {} is of type {}: no value of it is equal to {value}",
                    facts.name, column.declared
                ),
                format!("write a value of that type as `{key}`"),
            );
        }
    }
}

/// Whether the column can take what the action writes.
pub(super) fn changed_column(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let Some(column) = rule.action.column().and_then(|name| facts.column(name)) else { return };
    let place = format!("column {} of table {}", column.name, rule.target.table);
    if column.generated {
        findings.refuse(format!("{place} is computed from others"), "name the columns that it is computed from");
    }
    if is_same(&column.name, &rule.target.key) || is_same(&column.name, &rule.target.time.column) {
        findings.refuse(
            format!("{place} is the key or the time by which its rows are found and judged"),
            "erase whole rows, or name another column as `key` or `time`",
        );
    }
    match &rule.action {
        Action::EraseRows { .. } => {}
        Action::EraseColumn { stand_in: None, .. } => null(column, &place, findings),
        Action::EraseColumn { stand_in: Some(stand_in), .. } => {
            writes(column, stand_in, &place, findings);
            unique(column, facts, &place, findings);
        }
        Action::TruncateColumn { mask, stand_in, .. } => {
            match stand_in {
                Some(stand_in) => writes(column, stand_in, &place, findings),
                None if mask.unparsed == Unparsed::Erase => null(column, &place, findings),
                None => {}
            }
            if MaskSql::new("c", column.class, mask, "NULL").is_none() {
                findings.refuse(
                    format!("{place} is of type {}, which holds no addresses in a form that is known", column.declared),
                    "addresses are masked in text, BINARY and VARBINARY of 4 or 16 bytes, whole numbers, INET4 and \
                     INET6: write `do = \"erase\"`",
                );
            }
            if matches!(column.class, Class::Binary { longest: 16, fixed: true }) {
                findings.warn(
                    format!("{place} fills IPv4 addresses up with zeros, and then they look like IPv6"),
                    "an address of which only the first four bytes are not zero is masked as IPv4; VARBINARY(16) has \
                     no such doubt",
                );
            }
            unique(column, facts, &place, findings);
        }
    }
}

fn null(column: &ColumnFacts, place: &str, findings: &mut Findings) {
    if !column.nullable {
        findings.refuse(format!("{place} may not be NULL"), "add `value = \"\"`, or another value to write instead");
    }
}

fn writes(column: &ColumnFacts, value: &Scalar, place: &str, findings: &mut Findings) {
    if stand_in::literal("c", column.class, value).is_none() {
        findings.refuse(
            format!("{place} is of type {}, which cannot hold the `value` {value}", column.declared),
            "write a `value` of that type, or none where the column may be NULL",
        );
    }
}

/// Values that differ now would be the same afterwards.
fn unique(column: &ColumnFacts, facts: &TableFacts, place: &str, findings: &mut Findings) {
    // Of a part of a column or an expression nothing is known: doubt enough.
    let is_touched = |part: &Option<String>| part.as_ref().is_none_or(|name| is_same(name, &column.name));
    let colliding = facts.indexes.iter().find(|index| index.unique && index.columns.iter().any(is_touched));
    if let Some(index) = colliding {
        findings.refuse(
            format!("{place} is part of the unique index {}: values would collide", index.name),
            "erase the column to NULL without a `value`, or make the index not unique",
        );
    }
}
