//! What the catalog says about a table.
//!
//! The catalog is asked by schema and name, never through a search path. A column's type decides how its values are
//! compared; domains count as the type beneath them.

use postgres::types::Type;

use super::connection::Session;
use super::partition::Partitioning;
use crate::store::StoreError;

/// Schema of a table that is named without one.
const DEFAULT_SCHEMA: &str = "public";

/// A table as it is.
#[derive(Debug)]
pub(super) struct TableFacts {
    /// Its number in the catalog.
    pub(super) oid: u32,
    /// Schema and name, quoted.
    pub(super) quoted: String,
    /// The name as an operator writes it.
    pub(super) label: String,
    /// What it is.
    pub(super) kind: TableKind,
    /// Whether policies hide rows from this user, in it or in a partition.
    pub(super) row_security: bool,
    /// Whether this user owns it, or is a member of who does.
    pub(super) owned: bool,
    /// Whether other tables inherit from it, not as partitions.
    pub(super) inherited: bool,
    /// How it is partitioned, if it is.
    pub(super) partitioning: Option<Partitioning>,
    /// Columns.
    pub(super) columns: Vec<ColumnFacts>,
    /// Indexes.
    pub(super) indexes: Vec<IndexFacts>,
}

/// `pg_class.relkind`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    Ordinary,
    Partitioned,
    View,
    MaterializedView,
    Foreign,
    Other,
}

/// A column as it is.
#[derive(Debug)]
pub(super) struct ColumnFacts {
    /// Its name.
    pub(super) name: String,
    /// Its number in the table.
    pub(super) number: i16,
    /// Its type, quoted, without a length.
    pub(super) type_name: String,
    /// Its type as people write it.
    pub(super) type_label: String,
    /// How its values behave.
    pub(super) kind: ColumnKind,
    /// Characters that fit, where there is a limit.
    pub(super) length: Option<usize>,
    /// The operator by which values of its type are equal, with its schema: types of extensions bring their own.
    /// `None` where the type has no order, and so no equality that is sure to be one.
    pub(super) equality: Option<String>,
    /// Whether NULL is refused, by the table or by a domain.
    pub(super) not_null: bool,
    /// Whether its value is computed.
    pub(super) generated: bool,
}

/// How the values of a column behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Integer,
    Boolean,
    Text,
    Bytea,
    Inet,
    Cidr,
    Timestamptz,
    Timestamp,
    Date,
    Other,
}

/// An index as it is.
#[derive(Debug)]
pub(super) struct IndexFacts {
    /// Its name.
    pub(super) name: String,
    /// Whether it forbids duplicates.
    pub(super) unique: bool,
    /// Whether it leaves rows out.
    pub(super) partial: bool,
    /// Whether it serves comparisons.
    pub(super) ordered: bool,
    /// Columns of its key by number; 0 for an expression.
    pub(super) columns: Vec<i16>,
}

/// How unique a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uniqueness {
    /// In the whole table.
    Whole,
    /// Together with the columns that the table is partitioned by.
    WithinPartition,
    /// Not.
    None,
}

const TABLE: &str = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, \
     row_security_active(c.oid) OR EXISTS (SELECT 1 FROM pg_partition_tree(c.oid) WHERE row_security_active(relid)), \
     pg_has_role(c.relowner, 'USAGE'), \
     c.relkind <> 'p' AND EXISTS (SELECT 1 FROM pg_inherits AS i WHERE i.inhparent = c.oid) \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') \
     AND ((n.nspname = $2 AND c.relname = $1) OR (n.nspname || '.' || c.relname = $1))";

const COLUMNS: &str = "WITH RECURSIVE base AS ( \
     SELECT a.attnum, a.atttypid AS typ, a.atttypmod AS typmod, a.attnotnull AS strict FROM pg_attribute AS a \
     WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped \
     UNION ALL SELECT b.attnum, t.typbasetype, CASE WHEN b.typmod = -1 THEN t.typtypmod ELSE b.typmod END, \
     b.strict OR t.typnotnull \
     FROM base AS b JOIN pg_type AS t ON t.oid = b.typ WHERE t.typtype = 'd') \
     SELECT a.attname::text, a.attnum, quote_ident(n.nspname) || '.' || quote_ident(d.typname), \
     format_type(a.atttypid, a.atttypmod), t.typname::text, t.typcategory::text, b.typmod, \
     CASE WHEN t.typcategory IN ('A', 'E', 'R') OR t.typname IN ('varchar', 'cidr') THEN 'OPERATOR(pg_catalog.=)' \
     ELSE (SELECT 'OPERATOR(' || quote_ident(s.nspname) || '.' || o.oprname || ')' FROM pg_opclass AS c \
     JOIN pg_am AS m ON m.oid = c.opcmethod AND m.amname = 'btree' JOIN pg_amop AS e ON e.amopfamily = c.opcfamily \
     AND e.amopstrategy = 3 AND e.amoplefttype = c.opcintype AND e.amoprighttype = c.opcintype \
     JOIN pg_operator AS o ON o.oid = e.amopopr JOIN pg_namespace AS s ON s.oid = o.oprnamespace \
     WHERE c.opcdefault AND c.opcintype = t.oid) END, \
     b.strict, a.attgenerated <> '' \
     FROM base AS b JOIN pg_type AS t ON t.oid = b.typ AND t.typtype <> 'd' \
     JOIN pg_attribute AS a ON a.attrelid = $1 AND a.attnum = b.attnum \
     JOIN pg_type AS d ON d.oid = a.atttypid JOIN pg_namespace AS n ON n.oid = d.typnamespace ORDER BY a.attnum";

const INDEXES: &str = "SELECT c.relname::text, i.indisunique AND i.indisvalid, i.indpred IS NOT NULL, \
     i.indisvalid AND m.amname = 'btree', (i.indkey::int2[])[0 : i.indnkeyatts - 1] \
     FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam \
     WHERE i.indrelid = $1 ORDER BY c.relname";

impl TableFacts {
    /// Reads them; `None` where there is no table of that name, or the name could mean two.
    pub(super) fn read(session: &mut Session, table: &str) -> Result<Option<TableFacts>, StoreError> {
        let rows = session.query(TABLE, &[(&table, Type::TEXT), (&DEFAULT_SCHEMA, Type::TEXT)])?;
        let [row] = rows.as_slice() else { return Ok(None) };
        let (oid, schema, name): (u32, String, String) =
            (session.get(row, 0)?, session.get(row, 1)?, session.get(row, 2)?);
        let kind: String = session.get(row, 3)?;
        Ok(Some(TableFacts {
            oid,
            quoted: quoted_table(&schema, &name),
            label: label(&schema, &name),
            kind: table_kind(&kind),
            row_security: session.get(row, 4)?,
            owned: session.get(row, 5)?,
            inherited: session.get(row, 6)?,
            partitioning: Partitioning::read(session, oid)?,
            columns: columns(session, oid)?,
            indexes: indexes(session, oid)?,
        }))
    }

    /// The column of that name.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// How unique `key` is.
    pub(super) fn uniqueness(&self, key: &str) -> Uniqueness {
        let Some(column) = self.column(key) else { return Uniqueness::None };
        let mut unique = self.indexes.iter().filter(|index| index.unique && !index.partial);
        if unique.clone().any(|index| index.columns == [column.number]) {
            return Uniqueness::Whole;
        }
        let partitioned_by = self.partitioning.as_ref().map_or(&[][..], |by| &by.all_columns);
        let of_partitions = |index: &IndexFacts| {
            index.columns.contains(&column.number)
                && index.columns.iter().all(|number| *number == column.number || partitioned_by.contains(number))
        };
        if unique.any(of_partitions) { Uniqueness::WithinPartition } else { Uniqueness::None }
    }

    /// Whether an index over all rows begins with `column`.
    pub(super) fn has_index_on(&self, column: &str) -> bool {
        self.has_index_behind(&[], column)
    }

    /// Whether an index over all rows begins with `column`, apart from columns that are `fixed` to one value before it.
    pub(super) fn has_index_behind(&self, fixed: &[i16], column: &str) -> bool {
        let number = self.column(column).map(|column| column.number);
        let leads = |index: &IndexFacts| index.columns.iter().copied().find(|part| !fixed.contains(part)) == number;
        number.is_some() && self.indexes.iter().any(|index| index.ordered && !index.partial && leads(index))
    }
}

fn table_kind(relkind: &str) -> TableKind {
    match relkind {
        "r" => TableKind::Ordinary,
        "p" => TableKind::Partitioned,
        "v" => TableKind::View,
        "m" => TableKind::MaterializedView,
        "f" => TableKind::Foreign,
        _ => TableKind::Other,
    }
}

fn columns(session: &mut Session, table: u32) -> Result<Vec<ColumnFacts>, StoreError> {
    /// Of a type modifier, what is not length (`VARHDRSZ`).
    const HEADER: i32 = 4;
    let rows = session.query(COLUMNS, &[(&table, Type::OID)])?;
    let column = |row| {
        let (base, category): (String, String) = (session.get(row, 4)?, session.get(row, 5)?);
        let modifier: i32 = session.get(row, 6)?;
        let has_length = matches!(base.as_str(), "varchar" | "bpchar");
        Ok(ColumnFacts {
            name: session.get(row, 0)?,
            number: session.get(row, 1)?,
            type_name: session.get(row, 2)?,
            type_label: session.get(row, 3)?,
            kind: column_kind(&base, &category),
            length: has_length.then(|| usize::try_from(modifier - HEADER).ok()).flatten(),
            equality: session.get(row, 7)?,
            not_null: session.get(row, 8)?,
            generated: session.get(row, 9)?,
        })
    };
    rows.iter().map(column).collect()
}

fn column_kind(base: &str, category: &str) -> ColumnKind {
    match base {
        "int2" | "int4" | "int8" => ColumnKind::Integer,
        "bool" => ColumnKind::Boolean,
        "bytea" => ColumnKind::Bytea,
        "inet" => ColumnKind::Inet,
        "cidr" => ColumnKind::Cidr,
        "timestamptz" => ColumnKind::Timestamptz,
        "timestamp" => ColumnKind::Timestamp,
        "date" => ColumnKind::Date,
        _ if category == "S" => ColumnKind::Text,
        _ => ColumnKind::Other,
    }
}

fn indexes(session: &mut Session, table: u32) -> Result<Vec<IndexFacts>, StoreError> {
    let rows = session.query(INDEXES, &[(&table, Type::OID)])?;
    let index = |row| {
        Ok(IndexFacts {
            name: session.get(row, 0)?,
            unique: session.get(row, 1)?,
            partial: session.get(row, 2)?,
            ordered: session.get(row, 3)?,
            columns: session.get(row, 4)?,
        })
    };
    rows.iter().map(index).collect()
}

/// An identifier: any character but NUL may occur in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table with its schema.
pub(super) fn quoted_table(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A table as an operator writes it.
pub(super) fn label(schema: &str, name: &str) -> String {
    if schema == DEFAULT_SCHEMA { name.to_owned() } else { format!("{schema}.{name}") }
}

/// A column of the table that a statement is about: it is called `t` there.
pub(super) fn qualified(column: &str) -> String {
    format!("t.{}", quoted(column))
}

/// The table, which the inspection has seen: here it can only have gone since.
pub(super) fn table_facts(session: &mut Session, table: &str) -> Result<TableFacts, StoreError> {
    TableFacts::read(session, table)?.ok_or_else(|| StoreError::Failed {
        place: session.place.clone(),
        reason: format!("there is no table {table}"),
    })
}
