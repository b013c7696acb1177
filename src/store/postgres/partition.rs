//! The tables that really hold the rows: a table itself, or the partitions of one.
//!
//! Positions of rows count within one file, so a partitioned table is walked partition by partition. One whose upper
//! bound lies before the cutoff holds nothing that must be kept by its time; where every row of it matches, counted
//! exactly with writers shut out, it is dropped as a whole.

use postgres::types::Type;

use super::connection::Session;
use super::predicate::Predicate;
use super::schema::{TableFacts, TableKind, quoted_table};
use crate::plan::Action;
use crate::store::{StoreError, TableSelection};

/// A table that holds rows.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Its number in the catalog.
    pub(super) oid: u32,
    /// Schema and name, quoted.
    pub(super) quoted: String,
    /// Whether all of it lies before the cutoff, and this user may drop it.
    pub(super) droppable: bool,
}

const PARTITIONED_BY: &str = "SELECT partstrat::text, partattrs::int2[] FROM pg_partitioned_table WHERE partrelid = $1";

/// Partitions with their upper bound, where they are ranges right below the table.
const LEAVES: &str = "SELECT c.oid, n.nspname::text, c.relname::text, pg_has_role(c.relowner, 'USAGE'), \
     CASE WHEN p.parentrelid = $1 THEN \
     (regexp_match(pg_get_expr(c.relpartbound, c.oid), ' TO [(]''?([^'',()]+)''?[)]$'))[1] END \
     FROM pg_partition_tree($1) AS p JOIN pg_class AS c ON c.oid = p.relid \
     JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE p.isleaf AND c.relkind = 'r' ORDER BY n.nspname, c.relname";

/// Columns by which the table is partitioned, and whether by ranges; empty where it is not.
pub(super) fn partitioned_by(session: &mut Session, facts: &TableFacts) -> Result<(bool, Vec<i16>), StoreError> {
    match session.query(PARTITIONED_BY, &[(&facts.oid, Type::OID)])?.as_slice() {
        [row] => Ok((session.get::<String>(row, 0)? == "r", session.get(row, 1)?)),
        _ => Ok((false, Vec::new())),
    }
}

/// The tables that hold the rows of the target.
pub(super) fn leaves(
    session: &mut Session,
    selection: &TableSelection<'_>,
    facts: &TableFacts,
    predicate: &Predicate,
) -> Result<Vec<Leaf>, StoreError> {
    if facts.kind != TableKind::Partitioned {
        return Ok(vec![Leaf { oid: facts.oid, quoted: facts.quoted.clone(), droppable: false }]);
    }
    let may_drop = may_drop(session, selection, facts)?;
    let mut leaves = Vec::new();
    for row in session.query(LEAVES, &[(&facts.oid, Type::OID)])? {
        let (schema, name): (String, String) = (session.get(&row, 1)?, session.get(&row, 2)?);
        let (owned, bound): (bool, Option<String>) = (session.get(&row, 3)?, session.get(&row, 4)?);
        let below = match bound {
            Some(bound) if may_drop && owned => is_below(session, selection, predicate, &bound)?,
            _ => false,
        };
        leaves.push(Leaf { oid: session.get(&row, 0)?, quoted: quoted_table(&schema, &name), droppable: below });
    }
    Ok(leaves)
}

/// Whole rows, nothing that hangs on them, and ranges of the very time that the rule goes by.
fn may_drop(session: &mut Session, selection: &TableSelection<'_>, facts: &TableFacts) -> Result<bool, StoreError> {
    let target = &selection.rule.target;
    let plain = matches!(&selection.rule.action, Action::EraseRows { children } if children.is_empty());
    let (by_range, columns) = partitioned_by(session, facts)?;
    let by_time = facts.column(&target.time.column).is_some_and(|time| columns == [time.number]);
    Ok(plain && target.accepts.is_empty() && by_range && by_time)
}

fn is_below(
    session: &mut Session,
    selection: &TableSelection<'_>,
    predicate: &Predicate,
    bound: &str,
) -> Result<bool, StoreError> {
    let Some(condition) = selection.cutoff.and_then(|cutoff| predicate.time.all_expired_below("$1", cutoff)) else {
        return Ok(false);
    };
    if bound == "MAXVALUE" {
        return Ok(false);
    }
    let row = session.one(&format!("SELECT {condition}"), &[(&bound, Type::TEXT)])?;
    session.get(&row, 0)
}

/// Drops the partition in the transaction that is open, if every row of it matches: how many. Nobody writes to it
/// from here until the transaction's end.
pub(super) fn drop(session: &mut Session, leaf: &Leaf, predicate: &Predicate) -> Result<Option<u64>, StoreError> {
    session.batch(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", leaf.quoted))?;
    let sql = format!("SELECT count(*), count(*) FILTER (WHERE {}) FROM {} AS t", predicate.matches(), leaf.quoted);
    let row = session.one(&sql, &predicate.values.with(&[]))?;
    let (all, matching) = (session.count(&row, 0)?, session.count(&row, 1)?);
    if all == 0 || all != matching {
        return Ok(None);
    }
    session.batch(&format!("DROP TABLE {}", leaf.quoted))?;
    Ok(Some(all))
}
