//! How far a statement of a rule would reach: triggers that fire, foreign keys that carry the change on or forbid it.

use super::connection::Database;
use super::grants;
use super::inspect::Findings;
use super::schema::{TableFacts, is_same};
use super::sql::text;
use crate::config::site::{Child, SideEffect};
use crate::plan::{Action, TableRule};
use crate::store::StoreError;

/// A trigger that a rule fires.
#[derive(Debug)]
pub(super) struct Trigger {
    /// The table that it is on.
    pub(super) table: String,
    /// Its name.
    pub(super) name: String,
    /// What it does, and when.
    pub(super) definition: String,
}

/// Refuses triggers on the tables that the rule itself changes, unless they are accepted. What foreign keys carry on
/// fires none (InnoDB). Says which would fire.
pub(super) fn triggers(
    database: &mut Database,
    rule: &TableRule,
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<Vec<Trigger>, StoreError> {
    let event = if rule.action.column().is_some() { "UPDATE" } else { "DELETE" };
    let mut fired = Vec::new();
    for table in std::iter::once(facts).chain(children) {
        let sql = format!(
            "SELECT TRIGGER_NAME, EVENT_MANIPULATION, CONCAT(ACTION_TIMING, ' ', ACTION_STATEMENT) \
             FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} AND EVENT_OBJECT_TABLE = {} \
             ORDER BY TRIGGER_NAME",
            text(&table.database),
            text(&table.name)
        );
        let triggers: Vec<(String, String, String)> = database.rows(&sql)?;
        if triggers.is_empty() && !grants::is_granted(database, table, "TRIGGER")? {
            let grant = grants::grant(database, "TRIGGER", &table.name)?;
            findings.refuse(format!("whether {} has triggers cannot be seen", table.name), grant);
        }
        for (name, _, definition) in triggers.into_iter().filter(|(_, of, _)| of == event) {
            let accepted = SideEffect::Trigger(name.clone());
            if !accepts(rule, &accepted) {
                findings.refuse(
                    format!("trigger {name} of table {} would fire", table.name),
                    format!("look at what it does and, if it may, add `accepts = [\"{accepted}\"]` to the table"),
                );
            }
            fired.push(Trigger { table: table.name.clone(), name, definition });
        }
    }
    Ok(fired)
}

/// Whether the operator has looked at the effect.
fn accepts(rule: &TableRule, effect: &SideEffect) -> bool {
    rule.target.accepts.iter().any(|accepted| match (accepted, effect) {
        (SideEffect::Trigger(one), SideEffect::Trigger(other))
        | (SideEffect::Cascade(one), SideEffect::Cascade(other)) => is_same(one, other),
        _ => false,
    })
}

/// A column that refers to another table.
pub(super) struct Reference {
    table: String,
    column: String,
    parent: String,
    parent_column: String,
    on_delete: String,
    on_update: String,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Reference { table, column, parent, parent_column, on_delete, on_update } = self;
        write!(
            f,
            "{table} ({column}) REFERENCES {parent} ({parent_column}) ON DELETE {on_delete} ON UPDATE {on_update}"
        )
    }
}

impl Reference {
    /// Whether it points at or from `table`.
    pub(super) fn concerns(&self, table: &str) -> bool {
        is_same(&self.table, table) || is_same(&self.parent, table)
    }

    fn is(&self, child: &Child) -> bool {
        is_same(&self.table, &child.table) && is_same(&self.column, &child.column)
    }
}

/// Follows foreign keys from what the rule changes.
pub(super) fn foreign_keys(
    database: &mut Database,
    rule: &TableRule,
    facts: &TableFacts,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    all_tables_visible(database, facts, findings)?;
    let references = references(database)?;
    match &rule.action {
        Action::EraseRows { children } => deletion(rule, children, &references, findings),
        Action::EraseColumn { column, .. } | Action::TruncateColumn { column, .. } => {
            update(rule, column, &references, findings);
        }
    }
    Ok(())
}

/// A table without any grant cannot be seen, and neither can its foreign keys, which act all the same.
fn all_tables_visible(database: &mut Database, facts: &TableFacts, findings: &mut Findings) -> Result<(), StoreError> {
    let anywhere = TableFacts { name: String::new(), ..facts.clone() };
    for privilege in ["SELECT", "SHOW VIEW", "REFERENCES", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "TRIGGER"] {
        if grants::is_granted(database, &anywhere, privilege)? {
            return Ok(());
        }
    }
    let grant = grants::grant_on_database(database, "SHOW VIEW")?;
    findings.warn(
        "foreign keys of tables on which the user has no grant cannot be seen; they act all the same".to_owned(),
        format!("this makes them seen, and no record readable: {grant}"),
    );
    Ok(())
}

/// All of the database that the user may see.
pub(super) fn references(database: &mut Database) -> Result<Vec<Reference>, StoreError> {
    let sql = "SELECT k.TABLE_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, \
               r.UPDATE_RULE FROM information_schema.KEY_COLUMN_USAGE AS k \
               JOIN information_schema.REFERENTIAL_CONSTRAINTS AS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA \
               AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME \
               WHERE k.REFERENCED_TABLE_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME IS NOT NULL \
               ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";
    let rows: Vec<(String, String, String, String, String, String)> = database.rows(sql)?;
    let reference = |(table, column, parent, parent_column, on_delete, on_update)| Reference {
        table,
        column,
        parent,
        parent_column,
        on_delete,
        on_update,
    };
    Ok(rows.into_iter().map(reference).collect())
}

/// From the target and its children on, through every cascade that was accepted.
fn deletion(rule: &TableRule, children: &[Child], references: &[Reference], findings: &mut Findings) {
    let target = &rule.target;
    let mut erased_from: Vec<&str> = vec![&target.table];
    let add = |tables: &mut Vec<_>, table| {
        if !tables.iter().any(|known: &&str| is_same(known, table)) {
            tables.push(table);
        }
    };
    children.iter().for_each(|child| add(&mut erased_from, &child.table));
    let mut next = 0;
    while let Some(parent) = erased_from.get(next).copied() {
        next += 1;
        for reference in references.iter().filter(|reference| is_same(&reference.parent, parent)) {
            let by_key = parent == target.table && is_same(&reference.parent_column, &target.key);
            if by_key && children.iter().any(|child| reference.is(child)) {
                continue;
            }
            match carried_on(rule, reference, &reference.on_delete, "deleting from", findings) {
                CarriedOn::Rows => add(&mut erased_from, &reference.table),
                CarriedOn::Nothing => {}
                CarriedOn::Forbidden => forbidden(reference, by_key, findings),
            }
        }
    }
}

/// What a foreign key does when its parent changes.
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
    change: &str,
    findings: &mut Findings,
) -> CarriedOn {
    if !matches!(effect, "CASCADE" | "SET NULL" | "SET DEFAULT") {
        return CarriedOn::Forbidden;
    }
    let accepted = SideEffect::Cascade(reference.table.clone());
    if !accepts(rule, &accepted) {
        findings.refuse(
            format!("{change} {} also changes {}.{} ({effect})", reference.parent, reference.table, reference.column),
            format!("if it may, add `accepts = [\"{accepted}\"]` to the table"),
        );
        return CarriedOn::Nothing;
    }
    if effect == "CASCADE" { CarriedOn::Rows } else { CarriedOn::Nothing }
}

fn forbidden(reference: &Reference, by_key: bool, findings: &mut Findings) {
    let Reference { table, column, parent, .. } = reference;
    let hint = if by_key && !is_same(table, parent) {
        format!("declare it: `children = [ {{ table = \"{table}\", column = \"{column}\" }} ]`")
    } else {
        format!("give the foreign key of {table} ON DELETE CASCADE or SET NULL, and accept it")
    };
    findings.refuse(format!("{table}.{column} refers to {parent}, so that deleting from it fails"), hint);
}

/// A column that others refer to.
fn update(rule: &TableRule, column: &str, references: &[Reference], findings: &mut Findings) {
    let of_column = |reference: &&Reference| {
        is_same(&reference.parent, &rule.target.table) && is_same(&reference.parent_column, column)
    };
    for reference in references.iter().filter(of_column) {
        if let CarriedOn::Forbidden = carried_on(rule, reference, &reference.on_update, "a change in", findings) {
            let Reference { table, column: referring, .. } = reference;
            findings.refuse(
                format!("{table}.{referring} refers to column {column}, so that changing it fails"),
                "erase whole rows instead, or let the foreign key refer to another column",
            );
        }
    }
}
