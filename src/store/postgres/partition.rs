//! The tables that really hold the rows: a table itself, or the partitions of one.
//!
//! Positions of rows count within one file, so a partitioned table is walked partition by partition. One whose upper
//! bound lies before the cutoff holds nothing that must be kept by its time; where every row of it matches, counted
//! exactly with writers shut out, it is dropped as a whole. A drop locks the whole table, for a moment: it is tried
//! for no longer than visitors may wait, and what cannot go so goes row by row.

use std::time::Duration;

use postgres::types::Type;

use super::connection::Session;
use super::predicate::Predicate;
use super::schema::{TableFacts, TableKind, quoted_table};
use crate::plan::Action;
use crate::store::{StoreError, TableSelection};

/// How long a drop waits for others, who all queue up behind it meanwhile. Shorter than the server's usual
/// `deadlock_timeout` (1 s): whoever waits for us in turn is let go before the server ends him.
const DROP_WAIT: Duration = Duration::from_millis(200);

/// How long writers are shut out while the rows are counted: a million take a fraction of a second.
const DROP_COUNT: Duration = Duration::from_secs(2);

/// A table that holds rows.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Its number in the catalog.
    pub(super) oid: u32,
    /// Schema and name, quoted.
    pub(super) quoted: String,
    /// SQL that is true while it belongs to the table of the rule: it may be detached at any moment.
    pub(super) attached: String,
    /// Whether all of it lies before the cutoff, and this user may drop it.
    pub(super) droppable: bool,
}

/// How a table is partitioned.
#[derive(Debug)]
pub(super) struct Partitioning {
    /// Whether into ranges.
    pub(super) by_range: bool,
    /// Numbers of the columns by which it is; 0 for an expression.
    pub(super) columns: Vec<i16>,
    /// With those by which its partitions are partitioned further.
    pub(super) all_columns: Vec<i16>,
}

/// Partitions may have their columns in another order than their parents.
const PARTITIONED_BY: &str = "SELECT p.partstrat = 'r', p.partattrs::int2[], \
     ARRAY(SELECT DISTINCT own.attnum FROM pg_partition_tree($1) AS tree \
     JOIN pg_partitioned_table AS s ON s.partrelid = tree.relid CROSS JOIN unnest(s.partattrs::int2[]) AS u (number) \
     JOIN pg_attribute AS a ON a.attrelid = s.partrelid AND a.attnum = u.number \
     JOIN pg_attribute AS own ON own.attrelid = $1 AND own.attname = a.attname) \
     FROM pg_partitioned_table AS p WHERE p.partrelid = $1";

impl Partitioning {
    /// Of the table with that number; `None` where it is not partitioned.
    pub(super) fn read(session: &mut Session, table: u32) -> Result<Option<Partitioning>, StoreError> {
        let rows = session.query(PARTITIONED_BY, &[(&table, Type::OID)])?;
        let partitioning = |row| {
            let (by_range, columns, all_columns) = (session.get(row, 0)?, session.get(row, 1)?, session.get(row, 2)?);
            Ok(Partitioning { by_range, columns, all_columns })
        };
        rows.first().map(partitioning).transpose()
    }
}

/// Partitions with their upper bound, where they are ranges right below the table.
const LEAVES: &str = "SELECT c.oid, n.nspname::text, c.relname::text, pg_has_role(c.relowner, 'USAGE'), \
     CASE WHEN p.parentrelid = $1 THEN \
     (regexp_match(pg_get_expr(c.relpartbound, c.oid), ' TO [(]''?([^'',()]+)''?[)]$'))[1] END \
     FROM pg_partition_tree($1) AS p JOIN pg_class AS c ON c.oid = p.relid \
     JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE p.isleaf AND c.relkind = 'r' ORDER BY n.nspname, c.relname";

/// The tables that hold the rows of the target.
pub(super) fn leaves(
    session: &mut Session,
    selection: &TableSelection<'_>,
    facts: &TableFacts,
    predicate: &Predicate,
) -> Result<Vec<Leaf>, StoreError> {
    if facts.kind != TableKind::Partitioned {
        let attached = "true".to_owned();
        return Ok(vec![Leaf { oid: facts.oid, quoted: facts.quoted.clone(), attached, droppable: false }]);
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
        let oid = session.get(&row, 0)?;
        leaves.push(Leaf {
            oid,
            quoted: quoted_table(&schema, &name),
            attached: format!(
                "EXISTS (SELECT 1 FROM pg_partition_ancestors({oid}) AS a WHERE a.relid = {})",
                facts.oid
            ),
            droppable: below,
        });
    }
    Ok(leaves)
}

/// Whether a subscriber of logical replication has the rows: a deletion reaches it, a drop does not.
const PUBLISHED: &str = "SELECT EXISTS (SELECT 1 FROM pg_publication_tables AS p JOIN pg_namespace AS n \
     ON n.nspname = p.schemaname JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename \
     WHERE c.oid IN (SELECT relid FROM pg_partition_tree($1)) OR c.oid IN (SELECT relid FROM pg_partition_ancestors($1)))";

/// Whole rows, nothing that hangs on them, ranges of the very time that the rule goes by, and nobody who only hears of
/// deletions.
fn may_drop(session: &mut Session, selection: &TableSelection<'_>, facts: &TableFacts) -> Result<bool, StoreError> {
    let target = &selection.rule.target;
    let plain = matches!(&selection.rule.action, Action::EraseRows { children } if children.is_empty());
    let time = facts.column(&target.time.column).map(|time| time.number);
    let by_time = |by: &Partitioning| by.by_range && by.columns.iter().copied().eq(time);
    if !plain || !target.accepts.is_empty() || !facts.partitioning.as_ref().is_some_and(by_time) {
        return Ok(false);
    }
    let row = session.one(PUBLISHED, &[(&facts.oid, Type::OID)])?;
    let published: bool = session.get(&row, 0)?;
    Ok(!published)
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

/// How many rows the partition has, if it belongs to the table and every row of it matches.
pub(super) fn all_matching(
    session: &mut Session,
    leaf: &Leaf,
    predicate: &Predicate,
) -> Result<Option<u64>, StoreError> {
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE {}) FROM {} AS t WHERE {}",
        predicate.matches(),
        leaf.quoted,
        leaf.attached
    );
    let row = session.one(&sql, &predicate.values.with(&[]))?;
    let (all, matching) = (session.count(&row, 0)?, session.count(&row, 1)?);
    Ok((all > 0 && all == matching).then_some(all))
}

/// Drops the partition in the transaction that is open, if every row of it matches: how many. The table is locked
/// before its partition, as its users do; from then on nobody writes, and at the very end nobody reads.
pub(super) fn drop(
    session: &mut Session,
    table: &TableFacts,
    leaf: &Leaf,
    predicate: &Predicate,
) -> Result<Option<u64>, StoreError> {
    session.batch(&format!(
        "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; \
         LOCK TABLE ONLY {} IN SHARE ROW EXCLUSIVE MODE; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
        DROP_WAIT.as_millis(),
        DROP_COUNT.as_millis(),
        table.quoted,
        leaf.quoted
    ))?;
    let Some(rows) = all_matching(session, leaf, predicate)? else { return Ok(None) };
    session.batch(&format!("DROP TABLE {}", leaf.quoted))?;
    Ok(Some(rows))
}
