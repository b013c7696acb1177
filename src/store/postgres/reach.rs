//! How far a statement of a rule would reach: foreign keys that carry the change on or forbid it, triggers and rules
//! that fire on the way.
//!
//! A change in a partition is one in the table that it belongs to, and the other way round: whatever stands on a table
//! of the tree, and what refers to one above, is looked at.

use std::collections::BTreeSet;

use postgres::types::Type;

use super::connection::Session;
use super::inspect::Findings;
use super::schema::{TableFacts, label};
use crate::config::site::{Child, SideEffect};
use crate::plan::{Action, TableRule};
use crate::store::StoreError;

/// What happens to the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// They are erased.
    Erased,
    /// These columns are written.
    Written(Vec<String>),
}

impl Change {
    /// The columns, for the catalog's queries: none stands for a deletion.
    fn columns(&self) -> &[String] {
        match self {
            Change::Erased => &[],
            Change::Written(columns) => columns,
        }
    }
}

/// A table that the rule changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reached {
    oid: u32,
    label: String,
    change: Change,
}

/// Triggers of the application that fire in an ordinary session, on the table and its partitions: bit 8 of `tgtype`
/// is DELETE, bit 16 UPDATE. An UPDATE may be of certain columns, and fires for a computed one when what it is computed
/// from is written. Foreign keys have triggers of their own, which are internal; before version 15 so are those that a
/// partition has from its parent. A trigger is what it says, but for the partition that it is on, and what its function
/// says.
const TRIGGERS: &str = "SELECT DISTINCT t.tgname::text, \
     replace(pg_get_triggerdef(t.oid), quote_ident(n.nspname) || '.' || quote_ident(c.relname), ''), p.prosrc \
     FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid \
     JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE (t.tgrelid = $1 OR t.tgrelid IN (SELECT relid FROM pg_partition_tree($1))) \
     AND (NOT t.tgisinternal OR t.tgparentid <> 0) \
     AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.oid = t.tgconstraint AND k.contype = 'f') \
     AND t.tgenabled IN ('O', 'A') \
     AND CASE WHEN $2 = '{}' THEN t.tgtype & 8 <> 0 \
     ELSE t.tgtype & 16 <> 0 AND (array_length(t.tgattr::int2[], 1) IS NULL OR EXISTS (SELECT 1 FROM pg_attribute AS a \
     WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::int2[]) \
     AND (a.attname = ANY ($2) OR a.attgenerated <> ''))) END \
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
const REWRITES: &str = "SELECT DISTINCT rulename::text FROM pg_rewrite \
     WHERE (ev_class = $1 OR ev_class IN (SELECT relid FROM pg_partition_tree($1))) \
     AND ev_enabled <> 'D' AND ev_type = CASE WHEN $2 = '{}' THEN '4' ELSE '2' END ORDER BY 1";

/// Refuses every trigger that would fire and is not accepted, and every rewrite rule. Says which would fire.
pub(super) fn triggers(
    session: &mut Session,
    rule: &TableRule,
    reached: &BTreeSet<Reached>,
    findings: &mut Findings,
) -> Result<Vec<Trigger>, StoreError> {
    let mut fired: Vec<Trigger> = Vec::new();
    for Reached { oid, label, change } in reached {
        let columns = change.columns();
        let parameters = [(oid as &(dyn postgres::types::ToSql + Sync), Type::OID), (&columns, Type::TEXT_ARRAY)];
        let mut last = None;
        for row in session.query(TRIGGERS, &parameters)? {
            let name: String = session.get(&row, 0)?;
            let (declared, function): (String, String) = (session.get(&row, 1)?, session.get(&row, 2)?);
            // Partitions may have triggers of one name that differ.
            if last.replace(name.clone()).as_ref() != Some(&name) {
                accept_or_refuse(rule, &name, label, findings);
            }
            fired.push(Trigger { table: *oid, name, definition: format!("{declared}\n{function}") });
        }
        for row in session.query(REWRITES, &parameters)? {
            let name: String = session.get(&row, 0)?;
            findings.refuse(
                format!("rule {name} of {label} rewrites the statements of forgetd"),
                "drop it, or let a trigger do its work",
            );
        }
    }
    Ok(fired)
}

fn accept_or_refuse(rule: &TableRule, trigger: &str, table: &str, findings: &mut Findings) {
    let accepted = SideEffect::Trigger(trigger.to_owned());
    if !rule.target.accepts.contains(&accepted) {
        findings.refuse(
            format!("trigger {trigger} of {table} would fire"),
            format!("look at what it does and, if it may, add `accepts = [\"{accepted}\"]` to the table"),
        );
    }
}

/// A foreign key.
struct Reference {
    table: String,
    oid: u32,
    columns: Vec<String>,
    parent_columns: Vec<String>,
    on_delete: &'static str,
    on_update: &'static str,
}

/// Foreign keys that refer to the table, to one of its partitions, or to a table that it is a partition of. Those that
/// partitions have from their parents are left out.
const REFERENCES: &str = "SELECT n.nspname::text, c.relname::text, c.oid, \
     ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place) \
     JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place), \
     ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (number, place) \
     JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place), \
     k.confdeltype::text, k.confupdtype::text \
     FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.confrelid = $1 \
     OR k.confrelid IN (SELECT relid FROM pg_partition_tree($1)) \
     OR k.confrelid IN (SELECT relid FROM pg_partition_ancestors($1))) ORDER BY 1, 2, 4";

fn references(session: &mut Session, parent: u32) -> Result<Vec<Reference>, StoreError> {
    let effect = |code: &str| match code {
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        _ => NO_ACTION,
    };
    let rows = session.query(REFERENCES, &[(&parent, Type::OID)])?;
    let reference = |row| {
        let (schema, name): (String, String) = (session.get(row, 0)?, session.get(row, 1)?);
        Ok(Reference {
            table: label(&schema, &name),
            oid: session.get(row, 2)?,
            columns: session.get(row, 3)?,
            parent_columns: session.get(row, 4)?,
            on_delete: effect(session.get::<String>(row, 5)?.as_str()),
            on_update: effect(session.get::<String>(row, 6)?.as_str()),
        })
    };
    rows.iter().map(reference).collect()
}

/// Columns of other tables that refer to a single column of `parent`, and to which.
pub(super) fn referring(session: &mut Session, parent: u32) -> Result<Vec<(Child, String)>, StoreError> {
    let others = references(session, parent)?.into_iter().filter(|reference| reference.oid != parent);
    let single = |reference: Reference| match (reference.columns.as_slice(), reference.parent_columns.as_slice()) {
        ([column], [to]) => Some((Child { table: reference.table, column: column.clone() }, to.clone())),
        _ => None,
    };
    Ok(others.filter_map(single).collect())
}

/// A foreign key that forbids a change instead of carrying it on.
const NO_ACTION: &str = "NO ACTION";

impl Reference {
    /// Table and columns, as people read them.
    fn label(&self) -> String {
        match self.columns.as_slice() {
            [column] => format!("{}.{column}", self.table),
            columns => format!("{} ({})", self.table, columns.join(", ")),
        }
    }

    /// What a change of the parent does to the rows that refer to it; `None` where it is none of theirs.
    fn effect_of(&self, change: &Change) -> Option<&'static str> {
        match change {
            Change::Erased => Some(self.on_delete),
            Change::Written(columns) => {
                self.parent_columns.iter().any(|column| columns.contains(column)).then_some(self.on_update)
            }
        }
    }

    /// Whether `column` refers to `key`.
    fn joins(&self, column: &str, key: &str) -> bool {
        self.columns.iter().zip(&self.parent_columns).any(|(child, parent)| child == column && parent == key)
    }
}

/// Follows foreign keys from what the rule says it changes, through every change that was accepted: all the tables
/// that are changed.
pub(super) fn foreign_keys(
    session: &mut Session,
    rule: &TableRule,
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<BTreeSet<Reached>, StoreError> {
    let change = rule.action.column().map_or(Change::Erased, |column| Change::Written(vec![column.to_owned()]));
    let declared: &[Child] = match &rule.action {
        Action::EraseRows { children } => children,
        Action::EraseColumn { .. } | Action::TruncateColumn { .. } => &[],
    };
    let is_declared = |reference: &Reference| {
        let of_table = |(child, table): (&Child, &TableFacts)| {
            table.oid == reference.oid && reference.joins(&child.column, &rule.target.key)
        };
        declared.iter().zip(children).any(of_table)
    };
    let mut waiting: Vec<Reached> = std::iter::once(facts)
        .chain(children)
        .map(|table| Reached { oid: table.oid, label: table.label.clone(), change: change.clone() })
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(parent) = waiting.pop() {
        if !reached.insert(parent.clone()) {
            continue;
        }
        for reference in references(session, parent.oid)? {
            let by_key = parent.oid == facts.oid && reference.parent_columns.contains(&rule.target.key);
            if parent.change != Change::Erased || !(by_key && is_declared(&reference)) {
                waiting.extend(carried_on(rule, &reference, &parent, by_key, findings));
            }
        }
    }
    Ok(reached)
}

/// What a foreign key does when its parent changes, if the operator accepted that.
fn carried_on(
    rule: &TableRule,
    reference: &Reference,
    parent: &Reached,
    by_key: bool,
    findings: &mut Findings,
) -> Option<Reached> {
    let effect = reference.effect_of(&parent.change)?;
    if effect == NO_ACTION {
        forbidden(reference, by_key, parent, findings);
        return None;
    }
    let accepted = SideEffect::Cascade(reference.table.clone());
    if !rule.target.accepts.contains(&accepted) {
        findings.refuse(
            format!("a change in {} also changes {} ({effect})", parent.label, reference.label()),
            format!("if it may, add `accepts = [\"{accepted}\"]` to the table"),
        );
        return None;
    }
    let erased = effect == "CASCADE" && parent.change == Change::Erased;
    if erased {
        findings.warn(
            format!("rows of {} go with those of {}, and no evidence counts them", reference.table, parent.label),
            "declare the table under `children` where its column holds the key of the rule's table",
        );
    }
    let change = if erased { Change::Erased } else { Change::Written(reference.columns.clone()) };
    Some(Reached { oid: reference.oid, label: reference.table.clone(), change })
}

fn forbidden(reference: &Reference, by_key: bool, parent: &Reached, findings: &mut Findings) {
    let Reference { table, columns, .. } = reference;
    match (&parent.change, columns.as_slice()) {
        (Change::Written(changed), _) => findings.refuse(
            format!("{} refers to column {}, so that changing it fails", reference.label(), changed.join(", ")),
            "erase whole rows instead, or let the foreign key refer to another column",
        ),
        (Change::Erased, [column]) if by_key && *table != parent.label => findings.refuse(
            format!("{table}.{column} refers to {}, so that deleting from it fails", parent.label),
            format!("declare it: `children = [ {{ table = \"{table}\", column = \"{column}\" }} ]`"),
        ),
        (Change::Erased, _) => findings.refuse(
            format!("{} refers to {}, so that deleting from it fails", reference.label(), parent.label),
            format!("give the foreign key of {table} ON DELETE CASCADE or SET NULL, and accept it"),
        ),
    }
}
