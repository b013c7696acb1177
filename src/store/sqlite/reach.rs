//! How far a statement of a rule would reach: triggers that fire, foreign keys that carry the change on or forbid it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::{Connection, Row};

use super::connection::Database;
use super::inspect::Findings;
use super::predicate::Predicate;
use super::schema::KeyShape;
use super::statements::Statements;
use crate::config::site::{Child, SideEffect};
use crate::plan::{Action, TableRule};
use crate::store::{StoreError, TableSelection};

/// Refuses triggers that would fire and are not accepted. Says which would fire.
pub(super) fn triggers(
    database: &mut Database,
    rule: &TableRule,
    shape: &KeyShape,
    findings: &mut Findings,
) -> Result<Vec<Trigger>, StoreError> {
    let fired = match fired(database, rule, shape)? {
        Ok(fired) => fired,
        Err(error) => return compile_error(database, &error, findings).map(|()| Vec::new()),
    };
    let mut declared = database.run(declared_triggers)?;
    declared.retain(|trigger| fired.contains(&trigger.name));
    for Trigger { name, .. } in &declared {
        let accepted = SideEffect::Trigger(name.clone());
        if !accepts(rule, &accepted) {
            findings.refuse(
                format!("trigger {name} would fire"),
                format!("look at what it does and, if it may, add `accepts = [\"{accepted}\"]` to the table"),
            );
        }
    }
    Ok(declared)
}

/// Compiles the rule's statements, as they will run, and notes what SQLite asks leave for on behalf of triggers: so
/// triggers of triggers and of cascades are seen, and no SQL of the application has to be parsed here.
fn fired(
    database: &mut Database,
    rule: &TableRule,
    shape: &KeyShape,
) -> Result<rusqlite::Result<BTreeSet<String>>, StoreError> {
    let fired = Arc::new(Mutex::new(BTreeSet::new()));
    let noted = Arc::clone(&fired);
    let note = move |context: AuthContext<'_>| {
        if let Some(name) = context.accessor {
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        Authorization::Allow
    };
    let statements = statements(database, rule, shape)?;
    database.connection.authorizer(Some(note)).map_err(|error| database.error(&error))?;
    let compiled = statements.changing().try_for_each(|sql| database.connection.prepare(sql).map(drop));
    let no_longer = None::<fn(AuthContext<'_>) -> Authorization>;
    database.connection.authorizer(no_longer).map_err(|error| database.error(&error))?;
    let fired = fired.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(compiled.map(|()| fired))
}

/// The moment does not matter: only the text of the statements does.
fn statements(database: &Database, rule: &TableRule, shape: &KeyShape) -> Result<Statements, StoreError> {
    let moment = Timestamp::UNIX_EPOCH;
    let selection = TableSelection { rule, now: moment, cutoff: Some(moment), holds: Vec::new() };
    let predicate = database.run(|connection| Predicate::new(connection, &selection))?;
    Ok(Statements::new(&predicate, shape, &rule.action))
}

/// While a statement is compiled SQLite knows names of the schema, and no record: its message may be shown.
fn compile_error(database: &Database, error: &rusqlite::Error, findings: &mut Findings) -> Result<(), StoreError> {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } | rusqlite::Error::SqliteFailure(_, Some(msg)) => {
            findings.refuse(
                format!("SQLite cannot run the rule on this table: {msg}"),
                "a trigger, index or foreign key of the table needs something that only the application has",
            );
            Ok(())
        }
        _ => Err(database.error(error)),
    }
}

/// A trigger as it is declared.
pub(super) struct Trigger {
    /// Its name: one in a database.
    pub(super) name: String,
    /// The table that it is on.
    pub(super) table: String,
    /// The statement that made it.
    pub(super) sql: String,
}

fn declared_triggers(connection: &Connection) -> rusqlite::Result<Vec<Trigger>> {
    let sql = "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'trigger' ORDER BY name";
    let trigger = |row: &Row<'_>| Ok(Trigger { name: row.get(0)?, table: row.get(1)?, sql: row.get(2)? });
    connection.prepare(sql)?.query_map([], trigger)?.collect()
}

/// Names in SQLite do not differ in the case of ASCII letters.
fn accepts(rule: &TableRule, effect: &SideEffect) -> bool {
    rule.target.accepts.iter().any(|accepted| match (accepted, effect) {
        (SideEffect::Trigger(a), SideEffect::Trigger(b)) | (SideEffect::Cascade(a), SideEffect::Cascade(b)) => {
            a.eq_ignore_ascii_case(b)
        }
        _ => false,
    })
}

/// A column that refers to another table.
pub(super) struct Reference {
    /// Tells the foreign keys of a table apart.
    key: i64,
    table: String,
    column: String,
    parent: String,
    parent_column: Option<String>,
    on_delete: String,
    on_update: String,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Reference { key: _, table, column, parent, parent_column, on_delete, on_update } = self;
        let parent_column = parent_column.as_deref().unwrap_or("its primary key");
        write!(
            f,
            "{table} ({column}) REFERENCES {parent} ({parent_column}) ON DELETE {on_delete} ON UPDATE {on_update}"
        )
    }
}

impl Reference {
    /// Whether it points at or from `table`.
    pub(super) fn concerns(&self, table: &str) -> bool {
        self.table.eq_ignore_ascii_case(table) || self.refers_to(table)
    }

    fn refers_to(&self, parent: &str) -> bool {
        self.parent.eq_ignore_ascii_case(parent)
    }

    /// A reference without a column means the primary key, which the key of the rule then is.
    fn refers_to_column(&self, column: &str) -> bool {
        self.parent_column.as_ref().is_none_or(|parent_column| parent_column.eq_ignore_ascii_case(column))
    }

    fn is(&self, child: &Child) -> bool {
        self.table.eq_ignore_ascii_case(&child.table) && self.column.eq_ignore_ascii_case(&child.column)
    }
}

/// Follows foreign keys from what the rule changes.
pub(super) fn foreign_keys(connection: &Connection, rule: &TableRule, findings: &mut Findings) -> rusqlite::Result<()> {
    let references = references(connection)?;
    match &rule.action {
        Action::EraseRows { children } => deletion(rule, children, &references, findings),
        Action::EraseColumn { column, .. } | Action::TruncateColumn { column, .. } => {
            update(rule, column, &references, findings);
        }
    }
    Ok(())
}

/// All of the database.
pub(super) fn references(connection: &Connection) -> rusqlite::Result<Vec<Reference>> {
    let sql = "SELECT t.name, f.\"from\", f.\"table\", f.\"to\", f.on_delete, f.on_update, f.id \
               FROM pragma_table_list AS t JOIN pragma_foreign_key_list(t.name) AS f \
               WHERE t.schema = 'main' AND t.type = 'table' ORDER BY t.name, f.id, f.seq";
    let reference = |row: &Row<'_>| {
        Ok(Reference {
            key: row.get(6)?,
            table: row.get(0)?,
            column: row.get(1)?,
            parent: row.get(2)?,
            parent_column: row.get(3)?,
            on_delete: row.get(4)?,
            on_update: row.get(5)?,
        })
    };
    connection.prepare(sql)?.query_map([], reference)?.collect()
}

/// Columns of other tables that refer to a single column of `parent`, and to which: without a name, to its primary key.
pub(super) fn referring(connection: &Connection, parent: &str) -> rusqlite::Result<Vec<(Child, Option<String>)>> {
    let references = references(connection)?;
    let others = references.into_iter().filter(|reference| !reference.table.eq_ignore_ascii_case(&reference.parent));
    let of_parent: Vec<Reference> = others.filter(|reference| reference.refers_to(parent)).collect();
    let is_single = |reference: &&Reference| {
        let same_key = |other: &&Reference| other.table == reference.table && other.key == reference.key;
        of_parent.iter().filter(same_key).count() == 1
    };
    let child = |reference: &Reference| {
        let Reference { table, column, parent_column, .. } = reference;
        (Child { table: table.clone(), column: column.clone() }, parent_column.clone())
    };
    Ok(of_parent.iter().filter(is_single).map(child).collect())
}

/// From the target and its children on, through every cascade that was accepted.
fn deletion(rule: &TableRule, children: &[Child], references: &[Reference], findings: &mut Findings) {
    let target = &rule.target;
    let mut erased_from: Vec<&str> = vec![&target.table];
    let add = |tables: &mut Vec<_>, table| {
        if !tables.iter().any(|known: &&str| known.eq_ignore_ascii_case(table)) {
            tables.push(table);
        }
    };
    children.iter().for_each(|child| add(&mut erased_from, &child.table));
    let mut next = 0;
    while let Some(parent) = erased_from.get(next).copied() {
        next += 1;
        let of_target = parent == target.table;
        for reference in references.iter().filter(|reference| reference.refers_to(parent)) {
            let by_key = of_target && reference.refers_to_column(&target.key);
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
    let hint = if by_key && !table.eq_ignore_ascii_case(parent) {
        format!("declare it: `children = [ {{ table = \"{table}\", column = \"{column}\" }} ]`")
    } else {
        format!("give the foreign key of {table} ON DELETE CASCADE or SET NULL, and accept it")
    };
    findings.refuse(format!("{table}.{column} refers to {parent}, so that deleting from it fails"), hint);
}

fn update(rule: &TableRule, column: &str, references: &[Reference], findings: &mut Findings) {
    let of_column = |reference: &&Reference| {
        reference.refers_to(&rule.target.table)
            && reference.parent_column.as_ref().is_some_and(|parent| parent.eq_ignore_ascii_case(column))
    };
    for reference in references.iter().filter(of_column) {
        if let CarriedOn::Forbidden = carried_on(rule, reference, &reference.on_update, "a change in", findings) {
            findings.refuse(
                format!(
                    "{}.{} refers to column {column}, so that changing it fails",
                    reference.table, reference.column
                ),
                "erase whole rows instead, or let the foreign key refer to another column",
            );
        }
    }
}
