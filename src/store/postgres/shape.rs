//! The shape of the tables that a rule reaches in a PostgreSQL database.

use std::collections::{BTreeMap, BTreeSet};

use postgres::types::Type;

use super::connection::Session;
use super::reach::Trigger;
use super::schema::{ColumnFacts, IndexFacts, TableFacts};
use crate::plan::TableRule;
use crate::store::shape::{TableShape, digest, unique_key, words};
use crate::store::{Shape, StoreError};

/// What a table is partitioned by; the partitions themselves come and go. NULL where it is not partitioned.
const PARTITIONED_BY: &str =
    "SELECT CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END FROM pg_class AS c WHERE c.oid = $1";

/// Foreign keys from and to a table. Those of partitions repeat those of their parent.
const FOREIGN_KEYS: &str = "SELECT n.nspname::text || '.' || c.relname::text || ' ' || pg_get_constraintdef(k.oid) \
     FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE k.contype = 'f' AND k.conparentid = 0 AND $1 IN (k.conrelid, k.confrelid)";

/// Of the tables that the rule says it erases from, with the triggers that it fires.
pub(super) fn of(session: &mut Session, rule: &TableRule, fired: &[Trigger]) -> Result<Shape, StoreError> {
    let mut tables = BTreeMap::new();
    for name in rule.tables() {
        if let Some(facts) = TableFacts::read(session, name)? {
            let shape = table(session, &facts, fired)?;
            tables.insert(facts.label, shape);
        }
    }
    Ok(Shape::new(tables))
}

fn table(session: &mut Session, facts: &TableFacts, fired: &[Trigger]) -> Result<TableShape, StoreError> {
    let unique = facts.indexes.iter().filter(|index| index.unique);
    Ok(TableShape {
        kind: kind(session, facts)?,
        columns: facts.columns.iter().map(|column| (column.name.clone(), declaration(column))).collect(),
        keys: unique.map(|index| key(index, facts)).collect(),
        foreign_keys: foreign_keys(session, facts)?,
        triggers: triggers(facts, fired),
    })
}

fn kind(session: &mut Session, facts: &TableFacts) -> Result<String, StoreError> {
    let row = session.one(PARTITIONED_BY, &[(&facts.oid, Type::OID)])?;
    let partitioned_by: Option<String> = session.get(&row, 0)?;
    Ok(partitioned_by.map_or("table".to_owned(), |by| format!("table partitioned by {by}")))
}

fn foreign_keys(session: &mut Session, facts: &TableFacts) -> Result<BTreeSet<String>, StoreError> {
    let rows = session.query(FOREIGN_KEYS, &[(&facts.oid, Type::OID)])?;
    rows.iter().map(|row| session.get(row, 0)).collect()
}

fn triggers(facts: &TableFacts, fired: &[Trigger]) -> BTreeMap<String, String> {
    let mut definitions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for trigger in fired.iter().filter(|trigger| trigger.table == facts.oid) {
        definitions.entry(&trigger.name).or_default().push(&trigger.definition);
    }
    let digested = |(name, mut definitions): (&str, Vec<&str>)| {
        definitions.sort_unstable();
        (name.to_owned(), digest(definitions))
    };
    definitions.into_iter().map(digested).collect()
}

fn declaration(column: &ColumnFacts) -> String {
    words([
        Some(column.type_label.as_str()),
        column.not_null.then_some("NOT NULL"),
        column.generated.then_some("GENERATED"),
    ])
}

fn key(index: &IndexFacts, facts: &TableFacts) -> String {
    let name =
        |number: &i16| facts.columns.iter().find(|column| column.number == *number).map(|column| column.name.as_str());
    let columns = unique_key(index.columns.iter().map(name));
    words([Some(columns.as_str()), index.partial.then_some("for some rows")])
}
