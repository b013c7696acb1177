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
    /// Where its range lies.
    pub(super) range: Range,
    /// Whether all of it lies before the cutoff, and this user may drop it.
    pub(super) droppable: bool,
}

/// Where a partition's range of times lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// All of it before the cutoff.
    Expired,
    /// All of it at the cutoff or later: no row of it matches.
    Kept,
    /// Both, or it does not tell.
    Open,
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

/// Partitions with their bounds, where they are ranges right below the table.
const LEAVES: &str = "SELECT c.oid, n.nspname::text, c.relname::text, pg_has_role(c.relowner, 'USAGE'), \
     CASE WHEN p.parentrelid = $1 THEN regexp_match(pg_get_expr(c.relpartbound, c.oid), \
     ' FROM [(]''?([^'',()]+)''?[)] TO [(]''?([^'',()]+)''?[)]$') END \
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
        let (quoted, attached) = (facts.quoted.clone(), "true".to_owned());
        return Ok(vec![Leaf { oid: facts.oid, quoted, attached, range: Range::Open, droppable: false }]);
    }
    let ranges = ranges(selection, facts, predicate);
    let may_drop = ranges.is_some() && may_drop(session, selection, facts)?;
    let mut leaves = Vec::new();
    for row in session.query(LEAVES, &[(&facts.oid, Type::OID)])? {
        let (oid, schema, name): (u32, String, String) =
            (session.get(&row, 0)?, session.get(&row, 1)?, session.get(&row, 2)?);
        let (owned, bounds): (bool, Option<Vec<String>>) = (session.get(&row, 3)?, session.get(&row, 4)?);
        let range = match (&ranges, bounds.as_deref()) {
            (Some(sql), Some([from, until])) => range(session, sql, from, until)?,
            _ => Range::Open,
        };
        leaves.push(Leaf {
            oid,
            quoted: quoted_table(&schema, &name),
            attached: format!(
                "EXISTS (SELECT 1 FROM pg_partition_ancestors({oid}) AS a WHERE a.relid = {})",
                facts.oid
            ),
            range,
            droppable: may_drop && owned && range == Range::Expired,
        });
    }
    Ok(leaves)
}

/// SQL of whether a range from $1 until $2 lies before or behind the cutoff; `None` where ranges are not of the time
/// that the rule goes by.
fn ranges(selection: &TableSelection<'_>, facts: &TableFacts, predicate: &Predicate) -> Option<String> {
    let partitioning = facts.partitioning.as_ref().filter(|by| by.by_range)?;
    let time = facts.column(&selection.rule.target.time.column)?;
    let (of_type, kept) = predicate.time.first_kept(selection.cutoff?)?;
    let bound = |parameter: &str| format!("nullif(nullif({parameter}, 'MINVALUE'), 'MAXVALUE')::{of_type}");
    let sql = || format!("SELECT {} >= {kept}, {} <= {kept}", bound("$1"), bound("$2"));
    (partitioning.columns == [time.number]).then(sql)
}

fn range(session: &mut Session, sql: &str, from: &str, until: &str) -> Result<Range, StoreError> {
    let row = session.one(sql, &[(&from, Type::TEXT), (&until, Type::TEXT)])?;
    let (kept, expired): (Option<bool>, Option<bool>) = (session.get(&row, 0)?, session.get(&row, 1)?);
    Ok(match (kept, expired) {
        (Some(true), _) => Range::Kept,
        (_, Some(true)) => Range::Expired,
        _ => Range::Open,
    })
}

/// Whether a subscriber of logical replication has the rows: a deletion reaches it, a drop does not.
const PUBLISHED: &str = "SELECT EXISTS (SELECT 1 FROM pg_publication_tables AS p JOIN pg_namespace AS n \
     ON n.nspname = p.schemaname JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename \
     WHERE c.oid IN (SELECT relid FROM pg_partition_tree($1)) OR c.oid IN (SELECT relid FROM pg_partition_ancestors($1)))";

/// Whole rows, nothing that hangs on them, and nobody who only hears of deletions.
fn may_drop(session: &mut Session, selection: &TableSelection<'_>, facts: &TableFacts) -> Result<bool, StoreError> {
    let plain = matches!(&selection.rule.action, Action::EraseRows { children } if children.is_empty());
    if !plain || !selection.rule.target.accepts.is_empty() {
        return Ok(false);
    }
    let row = session.one(PUBLISHED, &[(&facts.oid, Type::OID)])?;
    let published: bool = session.get(&row, 0)?;
    Ok(!published)
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
