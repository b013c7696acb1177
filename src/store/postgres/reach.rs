//! How far a statement of a rule would reach: triggers and rules that fire, foreign keys that carry the change on or
//! forbid it.

use std::collections::BTreeSet;

use postgres::types::Type;

use super::connection::Session;
use super::inspect::Findings;
use super::schema::{TableFacts, label};
use crate::config::site::{Child, SideEffect};
use crate::plan::{Action, TableRule};
use crate::store::StoreError;

/// Triggers of the application that fire in an ordinary session, on the table and its partitions: bit 8 of `tgtype`
/// is DELETE, bit 16 UPDATE, and an UPDATE may be of certain columns. Foreign keys have triggers of their own, which
/// are internal. A trigger is what it says, but for the partition that it is on, and what its function says.
const TRIGGERS: &str = "SELECT DISTINCT t.tgname::text, \
     replace(pg_get_triggerdef(t.oid), quote_ident(n.nspname) || '.' || quote_ident(c.relname), ''), p.prosrc \
     FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid \
     JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE (t.tgrelid = $1 OR t.tgrelid IN (SELECT relid FROM pg_partition_tree($1))) \
     AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') \
     AND CASE WHEN $2 = 0 THEN t.tgtype & 8 <> 0 \
     ELSE t.tgtype & 16 <> 0 AND (array_length(t.tgattr::int2[], 1) IS NULL OR $2 = ANY (t.tgattr::int2[])) END \
     ORDER BY 1, 2, 3";

/// A trigger that a rule fires.
pub(super) struct Trigger {
    /// The table that it is on.
    pub(super) table: u32,
    /// Its name.
    pub(super) name: String,
    /// What it does.
    pub(super) definition: String,
}

/// Rules rewrite a statement before it runs.
const REWRITES: &str = "SELECT rulename::text FROM pg_rewrite \
     WHERE ev_class = $1 AND ev_enabled <> 'D' AND ev_type = CASE WHEN $2 = 0 THEN '4' ELSE '2' END ORDER BY 1";

/// Refuses every trigger that would fire and is not accepted, and every rewrite rule. Says which would fire.
pub(super) fn triggers(
    session: &mut Session,
    rule: &TableRule,
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<Vec<Trigger>, StoreError> {
    // 0 stands for a deletion.
    let changed = rule.action.column().and_then(|name| facts.column(name)).map_or(0, |column| column.number);
    let mut fired: Vec<Trigger> = Vec::new();
    for table in std::iter::once(facts).chain(children) {
        let parameters = [(&table.oid as &(dyn postgres::types::ToSql + Sync), Type::OID), (&changed, Type::INT2)];
        let mut last = None;
        for row in session.query(TRIGGERS, &parameters)? {
            let name: String = session.get(&row, 0)?;
            let (declared, function): (String, String) = (session.get(&row, 1)?, session.get(&row, 2)?);
            // Partitions may have triggers of one name that differ.
            if last.replace(name.clone()).as_ref() != Some(&name) {
                accept_or_refuse(rule, &name, table, findings);
            }
            fired.push(Trigger { table: table.oid, name, definition: format!("{declared}\n{function}") });
        }
        for row in session.query(REWRITES, &parameters)? {
            let name: String = session.get(&row, 0)?;
            findings.refuse(
                format!("rule {name} of {} rewrites the statements of forgetd", table.label),
                "drop it, or let a trigger do its work",
            );
        }
    }
    Ok(fired)
}

fn accept_or_refuse(rule: &TableRule, trigger: &str, table: &TableFacts, findings: &mut Findings) {
    let accepted = SideEffect::Trigger(trigger.to_owned());
    if !rule.target.accepts.contains(&accepted) {
        findings.refuse(
            format!("trigger {trigger} of {} would fire", table.label),
            format!("look at what it does and, if it may, add `accepts = [\"{accepted}\"]` to the table"),
        );
    }
}

/// Foreign keys of one column; of several columns the first that matters is named.
struct Reference {
    table: String,
    oid: u32,
    column: String,
    parent_column: String,
    on_delete: &'static str,
    on_update: &'static str,
}

const REFERENCES: &str = "SELECT n.nspname::text, c.relname::text, c.oid, a.attname::text, p.attname::text, \
     k.confdeltype::text, k.confupdtype::text \
     FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] \
     JOIN pg_attribute AS p ON p.attrelid = k.confrelid AND p.attnum = k.confkey[1] \
     WHERE k.contype = 'f' AND k.confrelid = $1 AND k.conparentid = 0 ORDER BY 1, 2, 4";

fn references(session: &mut Session, parent: u32) -> Result<Vec<Reference>, StoreError> {
    let effect = |code: &str| match code {
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        _ => "NO ACTION",
    };
    let rows = session.query(REFERENCES, &[(&parent, Type::OID)])?;
    let reference = |row| {
        let (schema, name): (String, String) = (session.get(row, 0)?, session.get(row, 1)?);
        Ok(Reference {
            table: label(&schema, &name),
            oid: session.get(row, 2)?,
            column: session.get(row, 3)?,
            parent_column: session.get(row, 4)?,
            on_delete: effect(session.get::<String>(row, 5)?.as_str()),
            on_update: effect(session.get::<String>(row, 6)?.as_str()),
        })
    };
    rows.iter().map(reference).collect()
}

/// Follows foreign keys from what the rule changes.
pub(super) fn foreign_keys(
    session: &mut Session,
    rule: &TableRule,
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    match &rule.action {
        Action::EraseRows { children: declared } => deletion(session, rule, declared, facts, children, findings),
        Action::EraseColumn { column, .. } | Action::TruncateColumn { column, .. } => {
            for reference in references(session, facts.oid)?.iter().filter(|found| found.parent_column == *column) {
                if carried_on(rule, reference, reference.on_update, &facts.label, findings) == CarriedOn::Forbidden {
                    findings.refuse(
                        format!(
                            "{}.{} refers to column {column}, so that changing it fails",
                            reference.table, reference.column
                        ),
                        "erase whole rows instead, or let the foreign key refer to another column",
                    );
                }
            }
            Ok(())
        }
    }
}

/// From the target and its children on, through every cascade that was accepted.
fn deletion(
    session: &mut Session,
    rule: &TableRule,
    declared: &[Child],
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut erased_from: Vec<(u32, String)> =
        std::iter::once(facts).chain(children).map(|table| (table.oid, table.label.clone())).collect();
    let mut seen: BTreeSet<u32> = erased_from.iter().map(|(oid, _)| *oid).collect();
    let is_declared = |reference: &Reference| {
        let of_table =
            |(child, table): (&Child, &TableFacts)| table.oid == reference.oid && child.column == reference.column;
        declared.iter().zip(children).any(of_table)
    };
    let mut next = 0;
    while let Some((oid, parent)) = erased_from.get(next).cloned() {
        next += 1;
        for reference in references(session, oid)? {
            let by_key = oid == facts.oid && reference.parent_column == rule.target.key;
            if by_key && is_declared(&reference) {
                continue;
            }
            match carried_on(rule, &reference, reference.on_delete, &parent, findings) {
                CarriedOn::Rows if seen.insert(reference.oid) => erased_from.push((reference.oid, reference.table)),
                CarriedOn::Rows | CarriedOn::Nothing => {}
                CarriedOn::Forbidden => forbidden(&reference, by_key, &parent, findings),
            }
        }
    }
    Ok(())
}

/// What a foreign key does when its parent changes.
#[derive(Debug, PartialEq, Eq)]
enum CarriedOn {
    /// Rows go as well, and the operator accepted that.
    Rows,
    /// Nothing that is not accepted or already refused.
    Nothing,
    /// The change fails.
    Forbidden,
}

fn carried_on(
    rule: &TableRule,
    reference: &Reference,
    effect: &str,
    parent: &str,
    findings: &mut Findings,
) -> CarriedOn {
    if effect == "NO ACTION" {
        return CarriedOn::Forbidden;
    }
    let accepted = SideEffect::Cascade(reference.table.clone());
    if !rule.target.accepts.contains(&accepted) {
        findings.refuse(
            format!("a change in {parent} also changes {}.{} ({effect})", reference.table, reference.column),
            format!("if it may, add `accepts = [\"{accepted}\"]` to the table"),
        );
        return CarriedOn::Nothing;
    }
    if effect == "CASCADE" { CarriedOn::Rows } else { CarriedOn::Nothing }
}

fn forbidden(reference: &Reference, by_key: bool, parent: &str, findings: &mut Findings) {
    let Reference { table, column, .. } = reference;
    let hint = if by_key && table != parent {
        format!("declare it: `children = [ {{ table = \"{table}\", column = \"{column}\" }} ]`")
    } else {
        format!("give the foreign key of {table} ON DELETE CASCADE or SET NULL, and accept it")
    };
    findings.refuse(format!("{table}.{column} refers to {parent}, so that deleting from it fails"), hint);
}
