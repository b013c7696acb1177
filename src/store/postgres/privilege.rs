//! What this user may do, and the least grant that is missing.

use std::collections::BTreeSet;

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
     CASE WHEN $2 = '' THEN has_table_privilege(c.oid, 'DELETE') ELSE has_column_privilege(c.oid, $2, 'UPDATE') END, \
     c.oid = ANY ($3), pg_get_userbyid(c.relowner)::text \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1) WHERE isleaf) ORDER BY c.oid <> $1, 1, 2";

/// Refuses with the statement that would give what is missing. Grants on a table are not those on its partitions: one
/// of the `spared`, from which nothing is erased yet, is only warned of, with what gives them to further ones.
pub(super) fn require(
    session: &mut Session,
    facts: &TableFacts,
    need: Need<'_>,
    spared: &[u32],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let (column, verb) = match need {
        Need::Delete => ("", "DELETE".to_owned()),
        Need::Update(column) => (column, format!("UPDATE ({})", quoted(column))),
    };
    let (mut grants, mut later, mut user) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for row in session.query(HELD, &[(&facts.oid, Type::OID), (&column, Type::TEXT), (&spared, Type::OID_ARRAY)])? {
        let (schema, name): (String, String) = (session.get(&row, 0)?, session.get(&row, 1)?);
        user = session.get(&row, 2)?;
        let (usage, select, act): (bool, bool, bool) =
            (session.get(&row, 3)?, session.get(&row, 4)?, session.get(&row, 5)?);
        let (is_spared, owner): (bool, String) = (session.get(&row, 6)?, session.get(&row, 7)?);
        let to = quoted(&user);
        let missing = if is_spared { &mut later } else { &mut grants };
        if !usage {
            // Before all grants on what is in the schema: the order of the set is that of the text.
            missing.insert((0, format!("GRANT USAGE ON SCHEMA {} TO {to};", quoted(&schema))));
        }
        let verbs = [(select, "SELECT"), (act, verb.as_str())];
        let verbs: Vec<&str> = verbs.iter().filter(|(held, _)| !held).map(|(_, verb)| *verb).collect();
        if !verbs.is_empty() {
            let verbs = verbs.join(", ");
            missing.insert((1, format!("GRANT {verbs} ON {} TO {to};", quoted_table(&schema, &name))));
            if is_spared {
                missing.insert((2, default_privileges(&owner, &schema, need, &to)));
            }
        }
    }
    let statements = |set: BTreeSet<(u8, String)>| set.into_iter().map(|(_, sql)| sql).collect::<Vec<_>>().join(" ");
    if !grants.is_empty() {
        findings.refuse(format!("user {user} lacks privileges on {}", facts.label), statements(grants));
    }
    if !later.is_empty() {
        let message = format!("user {user} will lack privileges on new partitions of {}", facts.label);
        findings.warn(message, statements(later));
    }
    Ok(())
}

/// For tables that `owner` makes from now on; of columns there are no such privileges.
fn default_privileges(owner: &str, schema: &str, need: Need<'_>, to: &str) -> String {
    let verb = match need {
        Need::Delete => "DELETE",
        Need::Update(_) => "UPDATE",
    };
    format!(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT SELECT, {verb} ON TABLES TO {to};",
        quoted(owner),
        quoted(schema)
    )
}
