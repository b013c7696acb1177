//! What this user may do, and the least grant that is missing.

use postgres::types::Type;

use super::connection::Session;
use super::inspect::Findings;
use super::schema::{TableFacts, quoted, quoted_table};
use crate::store::StoreError;

/// What a rule does to a table, besides reading it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// It erases rows.
    Delete,
    /// It changes a column, or locks rows by the right to change it.
    Update(&'a str),
}

/// The table itself, and its partitions, which are written to directly.
const HELD: &str = "SELECT n.nspname::text, c.relname::text, current_user::text, \
     has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'), \
     CASE WHEN $2 = '' THEN has_table_privilege(c.oid, 'DELETE') ELSE has_column_privilege(c.oid, $2, 'UPDATE') END \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1) WHERE isleaf) ORDER BY c.oid <> $1, 1, 2";

/// Refuses with the statement that would give what is missing.
pub(super) fn require(
    session: &mut Session,
    facts: &TableFacts,
    need: Need<'_>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let (column, verb) = match need {
        Need::Delete => ("", "DELETE".to_owned()),
        Need::Update(column) => (column, format!("UPDATE ({})", quoted(column))),
    };
    let (mut grants, mut user) = (Vec::new(), String::new());
    for row in session.query(HELD, &[(&facts.oid, Type::OID), (&column, Type::TEXT)])? {
        let (schema, name): (String, String) = (session.get(&row, 0)?, session.get(&row, 1)?);
        user = session.get(&row, 2)?;
        let (usage, select, act): (bool, bool, bool) =
            (session.get(&row, 3)?, session.get(&row, 4)?, session.get(&row, 5)?);
        let to = quoted(&user);
        let schema_grant = format!("GRANT USAGE ON SCHEMA {} TO {to};", quoted(&schema));
        if !usage && !grants.contains(&schema_grant) {
            grants.push(schema_grant);
        }
        let missing: Vec<&str> = [(select, "SELECT"), (act, verb.as_str())]
            .iter()
            .filter(|(held, _)| !held)
            .map(|(_, verb)| *verb)
            .collect();
        if !missing.is_empty() {
            grants.push(format!("GRANT {} ON {} TO {to};", missing.join(", "), quoted_table(&schema, &name)));
        }
    }
    if !grants.is_empty() {
        findings.refuse(format!("user {user} lacks privileges on {}", facts.label), grants.join(" "));
    }
    Ok(())
}
