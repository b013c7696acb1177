//! Looking at the real table before a rule may touch it. Every refusal says what to change or to write.

use rusqlite::Connection;

use super::connection::Database;
use super::predicate::{qualified, table};
use super::reach;
use super::schema::{ColumnFacts, KeyShape, TableFacts, create_index};
use super::shape;
use crate::config::site::{Child, Scalar, Unparsed};
use crate::plan::{Action, TableRule, Target, When};
use crate::store::{Finding, Inspection, Severity, Shape, StoreError, TableSelection};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// The rule must not run.
    pub(super) fn refuse(&mut self, message: String, hint: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Refusal, message, hint: Some(hint.into()) });
    }

    fn warn(&mut self, message: String, hint: String) {
        self.0.push(Finding { severity: Severity::Warning, message, hint: Some(hint) });
    }
}

/// Looks at everything that the rule and its holds rely on.
pub(super) fn inspect(database: &mut Database, selection: &TableSelection<'_>) -> Result<Inspection, StoreError> {
    let mut findings = Findings::default();
    let shape = look(database, selection, &mut findings)?;
    Ok(Inspection::new(findings.0, shape))
}

fn look(
    database: &mut Database,
    selection: &TableSelection<'_>,
    findings: &mut Findings,
) -> Result<Option<Shape>, StoreError> {
    let rule = selection.rule;
    let facts = database.run(|connection| real_table(connection, &rule.target.table, findings))?;
    let Some(facts) = facts else { return Ok(None) };
    let held = selection.holds.iter().map(|hold| hold.column.as_str());
    for column in rule.columns().chain(held) {
        require_column(&facts, &rule.target.table, column, findings);
    }
    database.run(|connection| children(connection, rule, findings))?;
    if findings.0.iter().any(|finding| finding.severity == Severity::Refusal) {
        // What is missing has no further properties.
        return Ok(None);
    }
    database.run(|connection| key(connection, &rule.target, &facts, findings))?;
    time_index(rule, &facts, findings);
    changed_column(rule, &facts, findings);
    let Some(key_shape) = facts.key_shape(&rule.target.key) else { return Ok(None) };
    let fired = reach::triggers(database, rule, &key_shape, findings)?;
    database.run(|connection| reach::foreign_keys(connection, rule, findings))?;
    database.run(|connection| shape::of(connection, rule, &fired)).map(Some)
}

/// The table's facts, if it is a table that records can be erased from.
fn real_table(connection: &Connection, name: &str, findings: &mut Findings) -> rusqlite::Result<Option<TableFacts>> {
    let facts = TableFacts::read(connection, name)?;
    let (message, hint) = match facts {
        None => (format!("there is no table {name}"), "write the table's name as the database has it"),
        Some(facts) if facts.kind == "table" && !name.to_ascii_lowercase().starts_with("sqlite_") => {
            return Ok(Some(facts));
        }
        Some(facts) if facts.kind == "view" => (format!("{name} is a view"), "name the table that the view reads from"),
        Some(_) => (
            format!("{name} is not an ordinary table but part of an extension or of SQLite itself"),
            "name the table that the application writes to",
        ),
    };
    findings.refuse(message, hint);
    Ok(None)
}

fn require_column(facts: &TableFacts, table: &str, column: &str, findings: &mut Findings) {
    if facts.column(column).is_none() {
        let names: Vec<&str> = facts.columns.iter().map(|column| column.name.as_str()).collect();
        findings.refuse(format!("table {table} has no column {column}"), format!("it has {}", names.join(", ")));
    }
}

/// The key is unique and not null, or a batch could erase a row that it did not mean.
fn key(connection: &Connection, target: &Target, facts: &TableFacts, findings: &mut Findings) -> rusqlite::Result<()> {
    let Target { table: name, key, .. } = target;
    let Some(shape) = facts.key_shape(key) else {
        findings.refuse(
            format!("column {key} of table {name} is not unique"),
            "name the primary key, or a column with a UNIQUE constraint of its own, as `key`",
        );
        return Ok(());
    };
    let Some(column) = facts.column(key) else { return Ok(()) };
    if column.not_null || !matches!(shape, KeyShape::Indexed(_)) {
        return Ok(());
    }
    // A primary key ought to be not null; that SQLite lets it be is a fault it keeps for compatibility.
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {} IS NULL)", table(name), qualified(name, key));
    let holds_null: bool = connection.query_row(&sql, [], |row| row.get(0))?;
    if holds_null || !column.in_primary_key {
        findings.refuse(
            format!("column {key} of table {name} may be NULL"),
            "declare the column NOT NULL, or name another unique column as `key`",
        );
    }
    Ok(())
}

fn time_index(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let Target { table, time, .. } = &rule.target;
    if matches!(rule.when, When::Older(_) | When::Expired) && !facts.has_index_on(&time.column) {
        findings.warn(
            format!("no index begins with {table}.{}: every run reads the whole table", time.column),
            create_index(table, &time.column),
        );
    }
}

fn children(connection: &Connection, rule: &TableRule, findings: &mut Findings) -> rusqlite::Result<()> {
    let Action::EraseRows { children } = &rule.action else { return Ok(()) };
    for Child { table, column } in children {
        let Some(facts) = real_table(connection, table, findings)? else { continue };
        require_column(&facts, table, column, findings);
        if !facts.has_index_on(column) {
            findings.warn(
                format!("no index begins with {table}.{column}: every batch reads the whole of {table}"),
                create_index(table, column),
            );
        }
    }
    Ok(())
}

/// Whether the column can take what the action writes.
fn changed_column(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let Some(column) = rule.action.column().and_then(|name| facts.column(name)) else { return };
    let is = |name: &str| column.name.eq_ignore_ascii_case(name);
    let place = format!("column {} of table {}", column.name, rule.target.table);
    if column.generated {
        findings.refuse(format!("{place} is computed from others"), "name the columns that it is computed from");
    }
    if is(&rule.target.key) || is(&rule.target.time.column) {
        findings.refuse(
            format!("{place} is the key or the time by which its rows are found and judged"),
            "erase whole rows, or name another column as `key` or `time`",
        );
    }
    match &rule.action {
        Action::EraseRows { .. } => {}
        Action::EraseColumn { stand_in: None, .. } => null(column, &place, findings),
        Action::EraseColumn { stand_in: Some(stand_in), .. } => {
            writes(column, facts, stand_in, &place, findings);
            unique(column, facts, &place, findings);
        }
        Action::TruncateColumn { mask, stand_in, .. } => {
            match stand_in {
                Some(stand_in) => writes(column, facts, stand_in, &place, findings),
                None if mask.unparsed == Unparsed::Erase => null(column, &place, findings),
                None => {}
            }
            unique(column, facts, &place, findings);
        }
    }
}

fn null(column: &ColumnFacts, place: &str, findings: &mut Findings) {
    if column.not_null {
        findings.refuse(format!("{place} may not be NULL"), "add `value = \"\"`, or another value to write instead");
    }
}

/// Values that differ now would be the same afterwards.
fn unique(column: &ColumnFacts, facts: &TableFacts, place: &str, findings: &mut Findings) {
    let is = |name: &str| column.name.eq_ignore_ascii_case(name);
    // Of an expression only the text is known: that it occurs there is doubt enough.
    let occurs = |sql: &String| sql.to_ascii_lowercase().contains(&column.name.to_ascii_lowercase());
    let colliding = facts.indexes.iter().find(|index| {
        index.unique
            && index.columns.iter().any(|name| match name {
                Some(name) => is(name),
                None => index.sql.as_ref().is_some_and(occurs),
            })
    });
    if let Some(index) = colliding {
        findings.refuse(
            format!("{place} is part of the unique index {}: values would collide", index.name),
            "erase the column to NULL without a `value`, or make the index not unique",
        );
    }
}

/// A STRICT table refuses what cannot be converted to the column's type without loss.
fn writes(column: &ColumnFacts, facts: &TableFacts, stand_in: &Scalar, place: &str, findings: &mut Findings) {
    let fits = match (column.declared.as_str(), stand_in) {
        ("INT" | "INTEGER" | "REAL", Scalar::Text(text)) => text.parse::<i64>().is_ok(),
        ("BLOB", _) => false,
        _ => true,
    };
    if facts.strict && !fits {
        findings.refuse(
            format!("{place} takes only values of type {}", column.declared),
            "write a `value` of that type, or none where the column may be NULL",
        );
    }
}
