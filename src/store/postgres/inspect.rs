//! Looking at the real table before a rule may touch it. Every refusal says what to change or to write.

use super::column;
use super::connection::Session;
use super::lag;
use super::partition::{self, Range};
use super::predicate::{Predicate, fits};
use super::privilege::{self, Need};
use super::reach;
use super::schema::{ColumnKind, TableFacts, TableKind, Uniqueness, quoted};
use super::shape;
use crate::config::TimeFormat;
use crate::config::site::{After, Child, RowTime};
use crate::plan::{Action, TableRule, When};
use crate::store::{Finding, Inspection, Severity, Shape, StoreError, TableSelection};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// The rule must not run.
    pub(super) fn refuse(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Refusal, message: message.into(), hint: Some(hint.into()) });
    }

    /// The operator should know.
    pub(super) fn warn(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Warning, message: message.into(), hint: Some(hint.into()) });
    }

    fn refused(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Refusal)
    }
}

/// Looks at everything that the rule and its holds rely on.
pub(super) fn inspect(
    session: &mut Session,
    selection: &TableSelection<'_>,
    after: After,
) -> Result<Inspection, StoreError> {
    let mut findings = Findings::default();
    let shape = look(session, selection, after, &mut findings)?;
    Ok(Inspection::new(findings.0, shape))
}

fn look(
    session: &mut Session,
    selection: &TableSelection<'_>,
    after: After,
    findings: &mut Findings,
) -> Result<Option<Shape>, StoreError> {
    let rule = selection.rule;
    let Some(facts) = real_table(session, &rule.target.table, findings)? else { return Ok(None) };
    let held = selection.holds.iter().map(|hold| hold.column.as_str());
    for column in rule.columns().chain(held) {
        require_column(&facts, column, findings);
    }
    let children = children(session, rule, &facts, findings)?;
    if findings.refused() {
        // What is missing has no further properties.
        return Ok(None);
    }
    for hold in &selection.holds {
        let number = facts.column(&hold.column).filter(|column| column.kind == ColumnKind::Integer);
        if let Some((message, hint)) = number.and_then(|column| hold.objection(&facts.label, &column.type_label)) {
            findings.refuse(message, hint);
        }
    }
    key(rule, &facts, findings);
    time(&rule.target.time, &facts, findings);
    time_index(rule, &facts, findings);
    compared_values(rule, &facts, findings);
    column::changed_column(session, rule, &facts, findings)?;
    privileges(session, selection, &facts, &children, findings)?;
    let reached = reach::foreign_keys(session, rule, &facts, &children, findings)?;
    let fired = reach::triggers(session, rule, &reached, findings)?;
    lag::inspect(session, findings)?;
    if after == After::Vacuum && !facts.owned {
        findings.warn(
            format!("`after = \"vacuum\"` needs the owner of {}: it will be skipped", facts.label),
            "make forgetd's user a member of the owner, or leave it to autovacuum",
        );
    }
    shape::of(session, rule, &fired).map(Some)
}

/// The table's facts, if it is a table that records can be erased from.
fn real_table(session: &mut Session, name: &str, findings: &mut Findings) -> Result<Option<TableFacts>, StoreError> {
    let Some(facts) = TableFacts::read(session, name)? else {
        findings.refuse(
            format!("there is no table {name}, or there are two"),
            "write its name as the database has it, with its schema unless that is public: `shop.visitors`",
        );
        return Ok(None);
    };
    let what = match facts.kind {
        TableKind::Ordinary | TableKind::Partitioned => None,
        TableKind::View => Some("is a view"),
        TableKind::MaterializedView => Some("is a materialized view"),
        TableKind::Foreign => Some("is a foreign table"),
        TableKind::Other => Some("is no table"),
    };
    if let Some(what) = what {
        findings.refuse(format!("{name} {what}"), "name the table that the application writes to, on its own server");
        return Ok(None);
    }
    if facts.inherited {
        findings.refuse(
            format!("other tables inherit from {name}, and a deletion would reach into them"),
            "partition the table by declaration (PARTITION BY) instead",
        );
    }
    if facts.row_security {
        findings.refuse(
            format!("row-level security hides rows of {name} from this user"),
            "give forgetd's user BYPASSRLS: ALTER ROLE … BYPASSRLS; records that are not seen are not erased",
        );
    }
    Ok(Some(facts))
}

fn require_column(facts: &TableFacts, column: &str, findings: &mut Findings) {
    if facts.column(column).is_none() {
        let names: Vec<&str> = facts.columns.iter().map(|column| column.name.as_str()).collect();
        findings
            .refuse(format!("table {} has no column {column}", facts.label), format!("it has {}", names.join(", ")));
    }
}

/// The key is unique and not null, or a batch could erase a row that it did not mean.
fn key(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let key = &rule.target.key;
    let has_children = matches!(&rule.action, Action::EraseRows { children } if !children.is_empty());
    match facts.uniqueness(key) {
        Uniqueness::Whole => {}
        Uniqueness::WithinPartition if has_children => findings.refuse(
            format!(
                "column {key} of table {} is unique within a partition only, and children refer to it",
                facts.label
            ),
            "erase the children by a rule of their own",
        ),
        Uniqueness::WithinPartition => {}
        Uniqueness::None => findings.refuse(
            format!("column {key} of table {} is not unique", facts.label),
            "name the primary key, or a column with a UNIQUE constraint of its own, as `key`",
        ),
    }
    if facts.column(key).is_some_and(|column| !column.not_null) {
        findings.refuse(
            format!("column {key} of table {} may be NULL", facts.label),
            "declare the column NOT NULL, or name another unique column as `key`",
        );
    }
}

/// The column's type holds what the format says, and a zone is given exactly where one is missing.
fn time(time: &RowTime, facts: &TableFacts, findings: &mut Findings) {
    let Some(column) = facts.column(&time.column) else { return };
    let place = format!("column {} of table {} has type {}", column.name, facts.label, column.type_label);
    let is_local = matches!(column.kind, ColumnKind::Timestamp | ColumnKind::Date);
    let fits = match time.format {
        TimeFormat::UnixSeconds | TimeFormat::UnixMillis | TimeFormat::UnixMicros => column.kind == ColumnKind::Integer,
        TimeFormat::Iso8601 => column.kind == ColumnKind::Text,
        TimeFormat::Mediawiki => matches!(column.kind, ColumnKind::Text | ColumnKind::Bytea),
        TimeFormat::Datetime => is_local || column.kind == ColumnKind::Timestamptz,
    };
    if !fits {
        let hint = match column.kind {
            ColumnKind::Timestamptz | ColumnKind::Timestamp | ColumnKind::Date => "write `format = \"datetime\"`",
            ColumnKind::Text => "write `format = \"iso-8601\"` or `\"mediawiki\"`",
            ColumnKind::Integer => "write `format = \"unix-seconds\"`, `\"unix-millis\"` or `\"unix-micros\"`",
            _ => "name a column that holds a time as a timestamp, a whole number or text",
        };
        findings.refuse(format!("{place}, which is not {}", time.format), hint);
    } else if time.format == TimeFormat::Datetime && is_local && time.zone.is_none() {
        findings.refuse(
            format!("{place}, which has no zone"),
            "say in which zone the application writes it: `time-zone = \"UTC\"`",
        );
    } else if column.kind == ColumnKind::Timestamptz && time.zone.is_some() {
        findings.warn(format!("{place}, which knows the instant: `time-zone` is not used"), "remove it");
    }
}

fn time_index(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let column = &rule.target.time.column;
    if matches!(rule.when, When::Older(_) | When::Expired) && !facts.has_index_behind(&fixed(rule, facts), column) {
        findings.warn(
            format!("no index begins with {}.{column}: every run reads the whole table", facts.label),
            create_index(facts, column),
        );
    }
}

/// Columns of the filter by whose values an index finds rows: text is compared byte by byte, which no index serves.
fn fixed(rule: &TableRule, facts: &TableFacts) -> Vec<i16> {
    let columns = rule.target.filter.keys().filter_map(|name| facts.column(name));
    let found = columns.filter(|column| matches!(column.kind, ColumnKind::Integer | ColumnKind::Boolean));
    found.map(|column| column.number).collect()
}

/// The statement that would make an index over `column`. A partitioned table cannot have it made concurrently.
fn create_index(facts: &TableFacts, column: &str) -> String {
    let concurrently = if facts.kind == TableKind::Partitioned { "" } else { "CONCURRENTLY " };
    format!("CREATE INDEX {concurrently}ON {} ({});", facts.quoted, quoted(column))
}

fn children(
    session: &mut Session,
    rule: &TableRule,
    parent: &TableFacts,
    findings: &mut Findings,
) -> Result<Vec<TableFacts>, StoreError> {
    let Action::EraseRows { children } = &rule.action else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for Child { table, column } in children {
        let Some(facts) = real_table(session, table, findings)? else { continue };
        require_column(&facts, column, findings);
        if facts.column(column).is_some() && !facts.has_index_on(column) {
            findings.warn(
                format!("no index begins with {}.{column}: every batch reads the whole of {table}", facts.label),
                create_index(&facts, column),
            );
        }
        if let (Some(child), Some(key)) = (facts.column(column), parent.column(&rule.target.key))
            && child.kind != key.kind
        {
            findings.refuse(
                format!(
                    "{}.{column} has type {}, and {}.{} has type {}: they cannot be compared",
                    facts.label, child.type_label, parent.label, key.name, key.type_label
                ),
                "name the column that holds the parent's key",
            );
        }
        found.push(facts);
    }
    Ok(found)
}

/// A filter or a consent that can never be equal would make the rule do nothing, or everything.
fn compared_values(rule: &TableRule, facts: &TableFacts, findings: &mut Findings) {
    let consent = match &rule.when {
        When::WithoutConsent(consent) => Some((&consent.column, &consent.given)),
        _ => None,
    };
    for (name, value) in rule.target.filter.iter().chain(consent) {
        let Some(column) = facts.column(name).filter(|column| !fits(column, value)) else { continue };
        let hint = match column.kind {
            ColumnKind::Boolean => "write true or false",
            ColumnKind::Integer => "write a whole number, without quotes",
            _ => "write the value as text, in quotes",
        };
        findings.refuse(
            format!("column {name} of table {} has type {}, which {value} is not", facts.label, column.type_label),
            hint,
        );
    }
}

fn privileges(
    session: &mut Session,
    selection: &TableSelection<'_>,
    facts: &TableFacts,
    children: &[TableFacts],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let rule = selection.rule;
    let mut spared = Vec::new();
    if facts.kind == TableKind::Partitioned {
        let predicate = Predicate::new(session, selection, facts)?;
        let leaves = partition::leaves(session, selection, facts, &predicate)?;
        spared.extend(leaves.iter().filter(|leaf| leaf.range == Range::Kept).map(|leaf| leaf.oid));
    }
    match rule.action.column() {
        Some(column) => privilege::require(session, facts, Need::Update(column), &spared, findings),
        None => {
            privilege::require(session, facts, Need::Delete, &spared, findings)?;
            if !children.is_empty() {
                // The rows are locked while their children are erased.
                privilege::require(session, facts, Need::Update(&rule.target.key), &spared, findings)?;
            }
            children.iter().try_for_each(|child| privilege::require(session, child, Need::Delete, &[], findings))
        }
    }
}
