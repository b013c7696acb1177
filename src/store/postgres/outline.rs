//! What a declaration of a table would have to name.

use super::connection::Session;
use super::reach;
use super::schema::{ColumnFacts, ColumnKind, TableFacts, Uniqueness};
use crate::store::StoreError;
use crate::store::outline::{Clock, Null, Outline, OutlinedColumn, Referring};

pub(super) fn read(session: &mut Session, table: &str) -> Result<Option<Outline>, StoreError> {
    let Some(facts) = TableFacts::read(session, table)? else { return Ok(None) };
    let is_key = |column: &&ColumnFacts| column.not_null && facts.uniqueness(&column.name) != Uniqueness::None;
    let mut referring = Vec::new();
    for (from, to) in reach::referring(session, facts.oid)? {
        let child = TableFacts::read(session, &from.table)?;
        let not_null =
            child.as_ref().and_then(|child| child.column(&from.column)).is_some_and(|column| column.not_null);
        referring.push(Referring { from, to, null: Null::refused(not_null) });
    }
    let keys = facts.columns.iter().filter(is_key).map(|column| column.name.clone()).collect();
    Ok(Some(Outline { keys, columns: facts.columns.iter().map(column).collect(), referring }))
}

fn column(facts: &ColumnFacts) -> OutlinedColumn {
    let clock = match facts.kind {
        ColumnKind::Timestamptz => Clock::Instant,
        ColumnKind::Timestamp | ColumnKind::Date => Clock::Local,
        _ => Clock::Unknown,
    };
    let null = Null::refused(facts.not_null);
    OutlinedColumn { name: facts.name.clone(), null, is_computed: facts.generated, clock }
}
