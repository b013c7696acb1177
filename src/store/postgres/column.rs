//! Whether the column that a rule changes can take what would be written to it.

use super::connection::Session;
use super::inspect::Findings;
use super::predicate::text_of;
use super::schema::{ColumnFacts, ColumnKind, TableFacts};
use crate::config::site::{Scalar, Unparsed};
use crate::plan::{Action, TableRule};
use crate::store::StoreError;

/// Whether the column can take what the action writes.
pub(super) fn changed_column(
    session: &mut Session,
    rule: &TableRule,
    facts: &TableFacts,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let Some(column) = rule.action.column().and_then(|name| facts.column(name)) else { return Ok(()) };
    let place = format!("column {} of table {}", column.name, facts.label);
    if column.generated {
        findings.refuse(format!("{place} is computed from others"), "name the columns that it is computed from");
    }
    let places_rows = facts.partitioning.as_ref().is_some_and(|by| by.all_columns.contains(&column.number));
    if [&rule.target.key, &rule.target.time.column].contains(&&column.name) || places_rows {
        findings.refuse(
            format!("{place} is the key, the time or the partition by which its rows are found and judged"),
            "erase whole rows, or name another column as `key` or `time`",
        );
    }
    match &rule.action {
        Action::EraseRows { .. } => {}
        Action::EraseColumn { stand_in: None, .. } => null(column, &place, findings),
        Action::EraseColumn { stand_in: Some(stand_in), .. } => {
            writes(session, column, stand_in, &place, findings)?;
            unique(column, facts, &place, findings);
        }
        Action::TruncateColumn { mask, stand_in, .. } => {
            match stand_in {
                Some(stand_in) => writes(session, column, stand_in, &place, findings)?,
                None if mask.unparsed == Unparsed::Erase && !is_inet(column) => null(column, &place, findings),
                None => {}
            }
            holds_addresses(column, &place, findings);
            unique(column, facts, &place, findings);
        }
    }
    Ok(())
}

fn is_inet(column: &ColumnFacts) -> bool {
    matches!(column.kind, ColumnKind::Inet | ColumnKind::Cidr)
}

fn holds_addresses(column: &ColumnFacts, place: &str, findings: &mut Findings) {
    let can = matches!(column.kind, ColumnKind::Text | ColumnKind::Bytea | ColumnKind::Integer) || is_inet(column);
    // An unsigned 32-bit number does not fit in these, and what is stored instead is not known.
    let signed = matches!(column.type_label.as_str(), "integer" | "smallint");
    if !can || signed {
        findings.refuse(
            format!("{place} has type {}, in which no form of an address can be masked", column.type_label),
            "forms that can: text, inet, cidr, bytea of 4 or 16 bytes, bigint; or erase the column",
        );
    }
}

fn null(column: &ColumnFacts, place: &str, findings: &mut Findings) {
    if column.not_null {
        findings.refuse(format!("{place} may not be NULL"), "add `value = \"\"`, or another value to write instead");
    }
}

/// Values that differ now would be the same afterwards.
fn unique(column: &ColumnFacts, facts: &TableFacts, place: &str, findings: &mut Findings) {
    // Of an expression it is not known what it is made of: that there is one is doubt enough.
    let colliding = |number: &i16| *number == column.number || *number == 0;
    if let Some(index) = facts.indexes.iter().find(|index| index.unique && index.columns.iter().any(colliding)) {
        findings.refuse(
            format!("{place} may be part of the unique index {}: values would collide", index.name),
            "erase the column to NULL without a `value`, or make the index not unique",
        );
    }
}

fn writes(
    session: &mut Session,
    column: &ColumnFacts,
    stand_in: &Scalar,
    place: &str,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let text = text_of(stand_in);
    let fits = column.length.is_none_or(|length| text.chars().count() <= length);
    if !fits || !session.can_cast(&text, &column.type_name)? {
        findings.refuse(
            format!("{place} takes only values of type {}", column.type_label),
            "write a `value` of that type, or none where the column may be NULL",
        );
    }
    Ok(())
}
