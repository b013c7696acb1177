//! The shape of the tables that a rule reaches in a SQLite database.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result};

use super::reach::{self, Reference, Trigger};
use super::schema::{ColumnFacts, IndexFacts, TableFacts};
use crate::plan::TableRule;
use crate::store::Shape;
use crate::store::shape::{TableShape, digest, unique_key, words};

/// Of the tables that the rule says it erases from, and of those with triggers that it fires.
pub(super) fn of(connection: &Connection, rule: &TableRule, fired: &[Trigger]) -> Result<Shape> {
    let references = reach::references(connection)?;
    let mut tables = BTreeMap::new();
    for name in rule.tables().chain(fired.iter().map(|trigger| trigger.table.as_str())) {
        if let Some(facts) = TableFacts::read(connection, name)? {
            tables.insert(facts.name.clone(), table(&facts, &references, fired));
        }
    }
    Ok(Shape::new(tables))
}

fn table(facts: &TableFacts, references: &[Reference], fired: &[Trigger]) -> TableShape {
    let concerning = references.iter().filter(|reference| reference.concerns(&facts.name));
    let of_table = fired.iter().filter(|trigger| trigger.table.eq_ignore_ascii_case(&facts.name));
    let in_primary_key = facts.columns.iter().filter(|column| column.in_primary_key);
    let primary_key = unique_key(in_primary_key.map(|column| Some(column.name.as_str())));
    let has_primary_key = facts.columns.iter().any(|column| column.in_primary_key);
    let unique = facts.indexes.iter().filter(|index| index.unique).map(key);
    TableShape {
        kind: facts.form(),
        columns: facts.columns.iter().map(|column| (column.name.clone(), declaration(column))).collect(),
        // A primary key that is the rowid has no index.
        keys: unique.chain(has_primary_key.then_some(primary_key)).collect(),
        foreign_keys: concerning.map(ToString::to_string).collect(),
        triggers: of_table.map(|trigger| (trigger.name.clone(), digest([trigger.sql.as_str()]))).collect(),
    }
}

fn declaration(column: &ColumnFacts) -> String {
    let declared = if column.declared.is_empty() { "without a type" } else { &column.declared };
    words([Some(declared), column.not_null.then_some("NOT NULL"), column.generated.then_some("GENERATED")])
}

fn key(index: &IndexFacts) -> String {
    let columns = unique_key(index.columns.iter().map(Option::as_deref));
    words([Some(columns.as_str()), index.partial.then_some("for some rows")])
}
