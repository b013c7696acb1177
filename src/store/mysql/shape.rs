//! The shape of the tables that a rule reaches in a MySQL or MariaDB database.

use std::collections::BTreeMap;

use super::connection::Database;
use super::reach::{self, Reference, Trigger};
use super::schema::{Class, ColumnFacts, IndexFacts, TableFacts, is_same};
use super::sql::text;
use crate::plan::TableRule;
use crate::store::shape::{TableShape, digest, unique_key, words};
use crate::store::{Shape, StoreError};

/// Of the tables that the rule says it erases from, with the triggers that it fires.
pub(super) fn of(database: &mut Database, rule: &TableRule, fired: &[Trigger]) -> Result<Shape, StoreError> {
    let references = reach::references(database)?;
    let mut tables = BTreeMap::new();
    for name in rule.tables() {
        if let Some(facts) = TableFacts::read(database, name)? {
            let shape = table(kind(database, &facts)?, &facts, &references, fired);
            tables.insert(facts.name, shape);
        }
    }
    Ok(Shape::new(tables))
}

fn table(kind: String, facts: &TableFacts, references: &[Reference], fired: &[Trigger]) -> TableShape {
    let concerning = references.iter().filter(|reference| reference.concerns(&facts.name));
    let of_table = fired.iter().filter(|trigger| is_same(&trigger.table, &facts.name));
    TableShape {
        kind,
        columns: facts.columns.iter().map(|column| (column.name.clone(), declaration(column))).collect(),
        keys: facts.indexes.iter().filter(|index| index.unique).map(key).collect(),
        foreign_keys: concerning.map(ToString::to_string).collect(),
        triggers: of_table.map(|trigger| (trigger.name.clone(), digest([trigger.definition.as_str()]))).collect(),
    }
}

/// The engine, and what the table is partitioned by; the partitions themselves come and go.
fn kind(database: &mut Database, facts: &TableFacts) -> Result<String, StoreError> {
    let sql = format!(
        "SELECT DISTINCT PARTITION_METHOD, COALESCE(PARTITION_EXPRESSION, '') FROM information_schema.PARTITIONS \
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND PARTITION_METHOD IS NOT NULL",
        text(&facts.database),
        text(&facts.name)
    );
    let partitioned_by = database.rows::<(String, String)>(&sql)?.into_iter().next();
    let by = partitioned_by.map(|(method, expression)| format!("partitioned by {method} ({expression})"));
    Ok(words([Some(facts.engine.as_str()), Some("table"), by.as_deref()]))
}

fn declaration(column: &ColumnFacts) -> String {
    let declared = match column.class {
        // The width at which whole numbers are shown decides nothing, and newer servers no longer tell it.
        Class::Integer => without_width(&column.declared),
        _ => column.declared.clone(),
    };
    words([
        Some(declared.as_str()),
        (!column.nullable).then_some("NOT NULL"),
        column.generated.then_some("GENERATED"),
        column.on_update.then_some("ON UPDATE CURRENT_TIMESTAMP"),
    ])
}

fn without_width(declared: &str) -> String {
    match declared.split_once('(').and_then(|(name, rest)| Some((name, rest.split_once(')')?.1))) {
        Some((name, rest)) => format!("{name}{rest}"),
        None => declared.to_owned(),
    }
}

fn key(index: &IndexFacts) -> String {
    unique_key(index.columns.iter().map(Option::as_deref))
}

#[cfg(test)]
mod tests {
    use super::without_width;

    #[test]
    fn the_width_at_which_a_number_is_shown_is_left_out() {
        assert_eq!(without_width("bigint(20) unsigned"), "bigint unsigned");
        assert_eq!(without_width("bigint unsigned"), "bigint unsigned");
        assert_eq!(without_width("int(11)"), "int");
    }
}
