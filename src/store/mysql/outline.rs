//! What a declaration of a table would have to name.

use super::connection::Database;
use super::reach;
use super::schema::{Class, ColumnFacts, IndexFacts, TableFacts};
use crate::store::StoreError;
use crate::store::outline::{Clock, Null, Outline, OutlinedColumn, Referring};

pub(super) fn read(database: &mut Database, table: &str) -> Result<Option<Outline>, StoreError> {
    let Some(facts) = TableFacts::read(database, table)? else { return Ok(None) };
    let mut referring = Vec::new();
    for (from, to) in reach::referring(database, &facts)? {
        let child = TableFacts::read(database, &from.table)?;
        let not_null =
            child.as_ref().and_then(|child| child.column(&from.column)).is_some_and(|column| !column.nullable);
        referring.push(Referring { from, to, null: Null::refused(not_null) });
    }
    Ok(Some(Outline { keys: keys(&facts), columns: facts.columns.iter().map(column).collect(), referring }))
}

fn keys(facts: &TableFacts) -> Vec<String> {
    let index = |column: &ColumnFacts| facts.key_index(&column.name).map(|index: &IndexFacts| index.name.clone());
    let unique = facts.columns.iter().filter(|column| !column.nullable);
    let mut keys: Vec<(bool, String)> =
        unique.filter_map(|column| Some((index(column)? != "PRIMARY", column.name.clone()))).collect();
    keys.sort_by_key(|(is_secondary, _)| *is_secondary);
    keys.into_iter().map(|(_, name)| name).collect()
}

fn column(facts: &ColumnFacts) -> OutlinedColumn {
    let clock = match facts.class {
        Class::Timestamp => Clock::Instant,
        Class::Datetime | Class::Date => Clock::Local,
        _ => Clock::Unknown,
    };
    let null = Null::refused(!facts.nullable);
    OutlinedColumn { name: facts.name.clone(), null, is_computed: facts.generated, clock }
}
