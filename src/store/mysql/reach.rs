//! How far a statement of a rule would reach: triggers that fire, foreign keys that carry the change on or forbid it.

use super::connection::Database;
use super::grants::{self, Grants};
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
    let grants = Grants::read(database)?;
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
        if triggers.is_empty() && !grants.on_table(table, "TRIGGER") {
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

/// A table with its database.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    database: String,
    table: String,
}

impl Place {
    fn of(facts: &TableFacts) -> Place {
        Place { database: facts.database.clone(), table: facts.name.clone() }
    }

    /// As the operator writes it: with its database where that is another one than the rule's.
    fn seen_from(&self, database: &str) -> String {
        let Place { database: own, table } = self;
        if own == database { table.clone() } else { format!("{own}.{table}") }
    }
}

/// A column that refers to another table.
pub(super) struct Reference {
    constraint: String,
    from: Place,
    column: String,
    to: Place,
    to_column: String,
    on_delete: Option<String>,
    on_update: Option<String>,
}

impl Reference {
    /// Whether it points at or from a table.
    pub(super) fn concerns(&self, facts: &TableFacts) -> bool {
        let place = Place::of(facts);
        self.from == place || self.to == place
    }

    /// As a statement would declare it.
    pub(super) fn declaration(&self, database: &str) -> String {
        let Reference { constraint: _, from, column, to, to_column, on_delete, on_update } = self;
        let (from, to) = (from.seen_from(database), to.seen_from(database));
        let effect = |effect: &Option<String>| effect.clone().unwrap_or_default();
        format!(
            "{from} ({column}) REFERENCES {to} ({to_column}) ON DELETE {} ON UPDATE {}",
            effect(on_delete),
            effect(on_update)
        )
    }
}

/// What a rule's effects are judged by.
struct Reach<'a> {
    rule: &'a TableRule,
    target: Place,
    /// Whether every foreign key that there is can be seen.
    sees_all: bool,
    findings: &'a mut Findings,
}

/// Follows foreign keys from what the rule changes. Gives all that can be seen.
pub(super) fn foreign_keys(
    database: &mut Database,
    rule: &TableRule,
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<Vec<Reference>, StoreError> {
    let sees_all = all_tables_visible(database, findings)?;
    let references = references(database)?;
    let mut reach = Reach { rule, target: Place::of(facts), sees_all, findings };
    match &rule.action {
        Action::EraseRows { children: declared } => {
            let columns = declared.iter().map(|child| child.column.as_str());
            reach.deletion(&references, &children.iter().map(Place::of).zip(columns).collect::<Vec<_>>());
        }
        Action::EraseColumn { column, .. } | Action::TruncateColumn { column, .. } => reach.update(&references, column),
    }
    Ok(references)
}

/// Foreign keys act whether they can be seen or not, and those of other databases as well.
fn all_tables_visible(database: &mut Database, findings: &mut Findings) -> Result<bool, StoreError> {
    let grants = Grants::read(database)?;
    let flavour = database.server.flavour;
    if flavour.shows_keys().iter().any(|privilege| grants.on_server(privilege)) {
        return Ok(true);
    }
    findings.refuse(
        "whether foreign keys of other tables reach further cannot be seen; they act all the same".to_owned(),
        format!("this shows them, and no record: {}", grants::grant_on_server(database, flavour.key_privilege())?),
    );
    Ok(false)
}

fn references(database: &mut Database) -> Result<Vec<Reference>, StoreError> {
    type Columns = (String, String, String, String, String, String, Option<String>, Option<String>, String);
    let sql = "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, \
               k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE, k.CONSTRAINT_NAME FROM information_schema.KEY_COLUMN_USAGE AS k \
               LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS AS r \
               ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
               AND r.TABLE_NAME = k.TABLE_NAME WHERE k.REFERENCED_TABLE_NAME IS NOT NULL \
               ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";
    let rows: Vec<Columns> = database.rows(sql)?;
    let reference = |row: Columns| {
        let (database, table, column, to_database, to_table, to_column, on_delete, on_update, constraint) = row;
        Reference {
            constraint,
            from: Place { database, table },
            column,
            to: Place { database: to_database, table: to_table },
            to_column,
            on_delete,
            on_update,
        }
    };
    Ok(rows.into_iter().map(reference).collect())
}

/// Columns of other tables of the database that refer to a single column of this one, and to which.
pub(super) fn referring(database: &mut Database, facts: &TableFacts) -> Result<Vec<(Child, String)>, StoreError> {
    let place = Place::of(facts);
    let references = references(database)?;
    let of_table = |reference: &&Reference| {
        reference.to == place && reference.from != place && reference.from.database == place.database
    };
    let of_table: Vec<&Reference> = references.iter().filter(of_table).collect();
    let is_single = |reference: &&&Reference| {
        let same_key = |other: &&&Reference| other.from == reference.from && other.constraint == reference.constraint;
        of_table.iter().filter(same_key).count() == 1
    };
    let child = |reference: &&Reference| {
        let Reference { from, column, to_column, .. } = *reference;
        (Child { table: from.table.clone(), column: column.clone() }, to_column.clone())
    };
    Ok(of_table.iter().filter(is_single).map(child).collect())
}

impl Reach<'_> {
    /// From the target and its children on, through every cascade that was accepted.
    fn deletion(&mut self, references: &[Reference], children: &[(Place, &str)]) {
        let mut erased_from = vec![self.target.clone()];
        let add = |tables: &mut Vec<Place>, table: &Place| {
            if !tables.contains(table) {
                tables.push(table.clone());
            }
        };
        children.iter().for_each(|(child, _)| add(&mut erased_from, child));
        let mut next = 0;
        while let Some(parent) = erased_from.get(next).cloned() {
            next += 1;
            for reference in references.iter().filter(|reference| reference.to == parent) {
                let by_key = parent == self.target && is_same(&reference.to_column, &self.rule.target.key);
                let is_declared =
                    |(child, column): &(Place, &str)| *child == reference.from && is_same(column, &reference.column);
                if by_key && children.iter().any(is_declared) {
                    continue;
                }
                match self.carried_on(reference, reference.on_delete.as_deref(), "deleting from") {
                    CarriedOn::Rows => add(&mut erased_from, &reference.from),
                    CarriedOn::Nothing => {}
                    CarriedOn::Forbidden => self.forbidden(reference, by_key),
                }
            }
        }
    }

    /// A column that others refer to.
    fn update(&mut self, references: &[Reference], column: &str) {
        let target = self.target.clone();
        let of_column = |reference: &&Reference| reference.to == target && is_same(&reference.to_column, column);
        for reference in references.iter().filter(of_column) {
            let effect = reference.on_update.as_deref();
            if let CarriedOn::Forbidden = self.carried_on(reference, effect, "a change in") {
                let referring = self.referring(reference);
                self.findings.refuse(
                    format!("{referring} refers to column {column}, so that changing it fails"),
                    "erase whole rows instead, or let the foreign key refer to another column",
                );
            }
        }
    }

    fn carried_on(&mut self, reference: &Reference, effect: Option<&str>, change: &str) -> CarriedOn {
        let (referring, to) = (self.referring(reference), self.name(&reference.to));
        let Some(effect) = effect else {
            if self.sees_all {
                let message = format!("{referring} refers to {to}, and what becomes of it cannot be seen");
                self.findings.refuse(message, format!("give the user a privilege on {}", self.name(&reference.from)));
            }
            return CarriedOn::Nothing;
        };
        if !matches!(effect, "CASCADE" | "SET NULL" | "SET DEFAULT") {
            return CarriedOn::Forbidden;
        }
        let accepted = SideEffect::Cascade(self.name(&reference.from));
        if !accepts(self.rule, &accepted) {
            self.findings.refuse(
                format!("{change} {to} also changes {referring} ({effect})"),
                format!("if it may, add `accepts = [\"{accepted}\"]` to the table"),
            );
            return CarriedOn::Nothing;
        }
        if effect == "CASCADE" { CarriedOn::Rows } else { CarriedOn::Nothing }
    }

    fn forbidden(&mut self, reference: &Reference, by_key: bool) {
        let (referring, to) = (self.referring(reference), self.name(&reference.to));
        let Reference { from, column, .. } = reference;
        let may_be_child = by_key && *from != reference.to && from.database == self.target.database;
        let hint = if may_be_child {
            format!("declare it: `children = [ {{ table = \"{}\", column = \"{column}\" }} ]`", from.table)
        } else {
            format!("give the foreign key of {} ON DELETE CASCADE or SET NULL, and accept it", self.name(from))
        };
        self.findings.refuse(format!("{referring} refers to {to}, so that deleting from it fails"), hint);
    }

    fn name(&self, place: &Place) -> String {
        place.seen_from(&self.target.database)
    }

    fn referring(&self, reference: &Reference) -> String {
        format!("{}.{}", self.name(&reference.from), reference.column)
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
